//! EXPIRE PEXPIRE EXPIREAT PEXPIREAT TTL PTTL EXPIRETIME PEXPIRETIME PERSIST

use super::number::integer;
use super::{Context, Refusal, Reply, error, quote};

type Outcome = Result<Reply, Refusal>;

/// What a command counts time in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Milliseconds,
}

/// The moment a command means, in milliseconds since 1970; `None` if it cannot be said.
pub(super) fn deadline(amount: i64, unit: Unit, absolute: bool, now: i64) -> Option<i64> {
    let ms = match unit {
        Unit::Seconds => amount.checked_mul(1000)?,
        Unit::Milliseconds => amount,
    };
    if absolute { Some(ms) } else { ms.checked_add(now) }
}

/// `EXPIRE key seconds [NX | XX | GT | LT]`
pub(super) fn expire(cx: &mut Context<'_>) -> Outcome {
    set_expiry(cx, Unit::Seconds, false)
}

/// `PEXPIRE key milliseconds [NX | XX | GT | LT]`
pub(super) fn pexpire(cx: &mut Context<'_>) -> Outcome {
    set_expiry(cx, Unit::Milliseconds, false)
}

/// `EXPIREAT key seconds [NX | XX | GT | LT]`
pub(super) fn expireat(cx: &mut Context<'_>) -> Outcome {
    set_expiry(cx, Unit::Seconds, true)
}

/// `PEXPIREAT key milliseconds [NX | XX | GT | LT]`
pub(super) fn pexpireat(cx: &mut Context<'_>) -> Outcome {
    set_expiry(cx, Unit::Milliseconds, true)
}

/// On which condition an expiry is set.
#[derive(Default)]
struct Conditions {
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
}

impl Conditions {
    /// Whether the new expiry may take the place of the old; a key without one lives for ever.
    fn hold(&self, old: Option<i64>, new: i64) -> bool {
        let greater = old.is_some_and(|old| new > old);
        let less = old.is_none_or(|old| new < old);
        !(self.nx && old.is_some()
            || self.xx && old.is_none()
            || self.gt && !greater
            || self.lt && !less)
    }
}

fn set_expiry(cx: &mut Context<'_>, unit: Unit, absolute: bool) -> Outcome {
    let conditions = match conditions(cx.rest(3))? {
        Ok(conditions) => conditions,
        Err(reply) => return Ok(reply),
    };
    let key = cx.arg(1);
    let amount = integer(cx.arg(2))?;
    let at = deadline(amount, unit, absolute, cx.now);
    let at = at.ok_or(Refusal::ExpireTime(cx.command.name))?;
    let Some(entry) = cx.entry(key) else { return Ok(Reply::Integer(0)) };
    if !conditions.hold(entry.expires, at) {
        return Ok(Reply::Integer(0));
    }
    if at <= cx.now {
        cx.effects.delete(cx.db, key);
    } else {
        cx.effects.expire(cx.db, key, at);
    }
    Ok(Reply::Integer(1))
}

/// Reads the options; an unknown one is named in the reply.
fn conditions(args: &[&[u8]]) -> Result<Result<Conditions, Reply>, Refusal> {
    let mut found = Conditions::default();
    for arg in args {
        match arg.to_ascii_lowercase().as_slice() {
            b"nx" => found.nx = true,
            b"xx" => found.xx = true,
            b"gt" => found.gt = true,
            b"lt" => found.lt = true,
            _ => {
                let option = quote(arg, usize::MAX);
                return Ok(Err(error(&format!("ERR Unsupported option {option}"))));
            }
        }
    }
    if found.nx && (found.xx || found.gt || found.lt) {
        return Err(Refusal::NxWithOthers);
    }
    if found.gt && found.lt {
        return Err(Refusal::GtWithLt);
    }
    Ok(Ok(found))
}

/// `TTL key`
pub(super) fn ttl(cx: &mut Context<'_>) -> Outcome {
    // Redis rounds to the nearest second.
    time_left(cx, |at, now| (at - now + 500) / 1000)
}

/// `PTTL key`
pub(super) fn pttl(cx: &mut Context<'_>) -> Outcome {
    time_left(cx, |at, now| at - now)
}

/// `EXPIRETIME key`
pub(super) fn expiretime(cx: &mut Context<'_>) -> Outcome {
    time_left(cx, |at, _| at.saturating_add(500) / 1000)
}

/// `PEXPIRETIME key`
pub(super) fn pexpiretime(cx: &mut Context<'_>) -> Outcome {
    time_left(cx, |at, _| at)
}

/// -2 for an absent key, -1 for one without expiry, else what `say` makes of expiry and now.
fn time_left(cx: &mut Context<'_>, say: impl FnOnce(i64, i64) -> i64) -> Outcome {
    Ok(Reply::Integer(match cx.entry(cx.arg(1)) {
        None => -2,
        Some(entry) => entry.expires.map_or(-1, |at| say(at, cx.now)),
    }))
}

/// `PERSIST key`
pub(super) fn persist(cx: &mut Context<'_>) -> Outcome {
    let key = cx.arg(1);
    let expires = cx.entry(key).is_some_and(|entry| entry.expires.is_some());
    if expires {
        cx.effects.persist(cx.db, key);
    }
    Ok(Reply::Integer(expires.into()))
}
