//! GET SET INCR INCRBY DECR DECRBY

use super::expire::{Unit, deadline};
use super::number::{integer, parse};
use super::{Context, Refusal, Reply};

type Outcome = Result<Reply, Refusal>;

/// `GET key`
pub(super) fn get(cx: &mut Context<'_>) -> Outcome {
    let string = cx.string(cx.arg(1))?;
    Ok(string.map_or(Reply::Null, |string| Reply::bulk(string)))
}

/// What SET was asked besides key and value.
#[derive(Default)]
struct SetOptions<'a> {
    /// `NX`: only if absent (`false`), `XX`: only if present (`true`).
    present: Option<bool>,
    get: bool,
    keep_expiry: bool,
    expiry: Option<(&'a [u8], Unit, bool)>,
}

/// `SET key value [NX | XX] [GET] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL]`
pub(super) fn set(cx: &mut Context<'_>) -> Outcome {
    let (key, value) = (cx.arg(1), cx.arg(2));
    let options = set_options(cx.rest(3))?;
    let expires = match options.expiry {
        Some((text, unit, absolute)) => {
            let amount = integer(text)?;
            let invalid = Refusal::ExpireTime("set");
            let at = deadline(amount, unit, absolute, cx.now).filter(|_| amount > 0);
            Some(at.ok_or(invalid)?)
        }
        None => None,
    };
    let (found, old) = if options.get {
        let old = cx.string(key)?;
        (old.is_some(), old.map_or(Reply::Null, |old| Reply::bulk(old)))
    } else {
        (cx.entry(key).is_some(), Reply::Null)
    };
    if options.present.is_some_and(|present| present != found) {
        return Ok(old);
    }
    cx.effects.string_set(cx.db, key, value, options.keep_expiry);
    if let Some(at) = expires {
        cx.effects.expire(cx.db, key, at);
    }
    Ok(if options.get { old } else { Reply::OK })
}

fn set_options<'a>(args: &[&'a [u8]]) -> Result<SetOptions<'a>, Refusal> {
    let mut options = SetOptions::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let is = |name: &str| arg.eq_ignore_ascii_case(name.as_bytes());
        if is("NX") && options.present != Some(true) {
            options.present = Some(false);
        } else if is("XX") && options.present != Some(false) {
            options.present = Some(true);
        } else if is("GET") {
            options.get = true;
        } else if is("KEEPTTL") && options.expiry.is_none() {
            options.keep_expiry = true;
        } else {
            let (unit, absolute) = match () {
                () if is("EX") => (Unit::Seconds, false),
                () if is("PX") => (Unit::Milliseconds, false),
                () if is("EXAT") => (Unit::Seconds, true),
                () if is("PXAT") => (Unit::Milliseconds, true),
                () => return Err(Refusal::Syntax),
            };
            // The same kind may be given again; then the last one counts.
            let same = |(_, u, a): &(_, Unit, bool)| (*u, *a) == (unit, absolute);
            if options.keep_expiry || !options.expiry.as_ref().is_none_or(same) {
                return Err(Refusal::Syntax);
            }
            let amount = args.next().ok_or(Refusal::Syntax)?;
            options.expiry = Some((*amount, unit, absolute));
        }
    }
    Ok(options)
}

/// `INCR key`
pub(super) fn incr(cx: &mut Context<'_>) -> Outcome {
    add(cx, 1)
}

/// `DECR key`
pub(super) fn decr(cx: &mut Context<'_>) -> Outcome {
    add(cx, -1)
}

/// `INCRBY key increment`
pub(super) fn incrby(cx: &mut Context<'_>) -> Outcome {
    let increment = integer(cx.arg(2))?;
    add(cx, increment)
}

/// `DECRBY key decrement`
pub(super) fn decrby(cx: &mut Context<'_>) -> Outcome {
    let decrement = integer(cx.arg(2))?;
    add(cx, decrement.checked_neg().ok_or(Refusal::DecrementOverflow)?)
}

fn add(cx: &mut Context<'_>, increment: i64) -> Outcome {
    let key = cx.arg(1);
    let old = match cx.string(key)? {
        Some(string) => parse(string).ok_or(Refusal::NotInteger)?,
        None => 0,
    };
    let new = old.checked_add(increment).ok_or(Refusal::Overflow)?;
    cx.effects.string_set(cx.db, key, new.to_string().as_bytes(), true);
    Ok(Reply::Integer(new))
}
