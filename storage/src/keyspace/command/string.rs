//! Strings: GET SET and their kin, numbers, parts, LCS.

use super::expire::{Unit, deadline};
use super::number::{integer, parse};
use super::{Context, Refusal, Reply, count};
use crate::keyspace::effect::MAX_STRING;
use crate::keyspace::long::Number;

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
        cx.reads = true;
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

/// `APPEND key value`
pub(super) fn append(cx: &mut Context<'_>) -> Outcome {
    let (key, tail) = (cx.arg(1), cx.arg(2));
    let old = cx.string(key)?.map_or(&[][..], |old| &**old);
    within(old.len() + tail.len())?;
    let (at, len) = (old.len(), old.len() + tail.len());
    match len {
        // Followers make no string of nothing put into none.
        0 => cx.effects.string_set(cx.db, key, tail, true),
        _ => cx.effects.string_put(cx.db, key, at, tail),
    }
    Ok(count(len))
}

fn within(len: usize) -> Result<(), Refusal> {
    let refusal = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    if len > MAX_STRING { Err(Refusal::Plain(refusal)) } else { Ok(()) }
}

/// `GETRANGE key start end`, `SUBSTR key start end`
pub(super) fn getrange(cx: &mut Context<'_>) -> Outcome {
    let (start, end) = (integer(cx.arg(2))?, integer(cx.arg(3))?);
    let string = cx.string(cx.arg(1))?.map_or(&[][..], |string| &**string);
    let len = i64::try_from(string.len()).unwrap_or(i64::MAX);
    if len == 0 || start < 0 && end < 0 && start > end {
        return Ok(Reply::bulk(b""));
    }
    let from_end = |i: i64| if i < 0 { i.saturating_add(len).max(0) } else { i };
    let (start, end) = (from_end(start), from_end(end).min(len - 1));
    let range = usize::try_from(start).unwrap_or(0)..usize::try_from(end + 1).unwrap_or(0);
    Ok(Reply::bulk(string.get(range).unwrap_or_default()))
}

/// `SETRANGE key offset value`
pub(super) fn setrange(cx: &mut Context<'_>) -> Outcome {
    let (key, value) = (cx.arg(1), cx.arg(3));
    let offset = integer(cx.arg(2))?;
    let Ok(offset) = usize::try_from(offset) else {
        return Err(Refusal::Plain("ERR offset is out of range"));
    };
    let old = cx.string(key)?.map_or(&[][..], |old| &**old);
    if value.is_empty() {
        return Ok(count(old.len()));
    }
    within(offset.saturating_add(value.len()))?;
    let len = old.len().max(offset + value.len());
    cx.effects.string_put(cx.db, key, offset, value);
    Ok(count(len))
}

/// `STRLEN key`
pub(super) fn strlen(cx: &mut Context<'_>) -> Outcome {
    Ok(count(cx.string(cx.arg(1))?.map_or(0, |string| string.len())))
}

/// `GETSET key value`
pub(super) fn getset(cx: &mut Context<'_>) -> Outcome {
    let old = get(cx)?;
    cx.effects.string_set(cx.db, cx.arg(1), cx.arg(2), false);
    Ok(old)
}

/// `GETDEL key`
pub(super) fn getdel(cx: &mut Context<'_>) -> Outcome {
    let old = get(cx)?;
    if old != Reply::Null {
        cx.effects.delete(cx.db, cx.arg(1));
    }
    Ok(old)
}

/// `GETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST]`
pub(super) fn getex(cx: &mut Context<'_>) -> Outcome {
    let key = cx.arg(1);
    let (mut persist, mut expiry) = (false, None);
    match cx.rest(2) {
        [] => {}
        [option] if option.eq_ignore_ascii_case(b"persist") => persist = true,
        [_, _] => {
            let options = set_options(cx.rest(2))?;
            expiry = Some(options.expiry.ok_or(Refusal::Syntax)?);
        }
        _ => return Err(Refusal::Syntax),
    }
    let old = cx.string(key)?.map(|old| Reply::bulk(old));
    let at = match expiry {
        Some((text, unit, absolute)) if old.is_some() => {
            let amount = integer(text)?;
            let at = deadline(amount, unit, absolute, cx.now).filter(|_| amount > 0);
            Some(at.ok_or(Refusal::ExpireTime("getex"))?)
        }
        _ => None,
    };
    let Some(old) = old else { return Ok(Reply::Null) };
    match at {
        Some(at) if at <= cx.now => cx.effects.delete(cx.db, key),
        Some(at) => cx.effects.expire(cx.db, key, at),
        None if persist && cx.entry(key).is_some_and(|entry| entry.expires.is_some()) => {
            cx.effects.persist(cx.db, key);
        }
        None => {}
    }
    Ok(old)
}

/// `MGET key [key ...]`: what is no string is nil.
pub(super) fn mget(cx: &mut Context<'_>) -> Outcome {
    let keys = cx.rest(1);
    let get = |key: &&[u8]| match cx.string(key) {
        Ok(Some(string)) => Reply::bulk(string),
        _ => Reply::Null,
    };
    Ok(Reply::Array(keys.iter().map(get).collect()))
}

/// `MSET key value [key value ...]`
pub(super) fn mset(cx: &mut Context<'_>) -> Outcome {
    set_all(cx, false)?;
    Ok(Reply::OK)
}

/// `MSETNX key value [key value ...]`
pub(super) fn msetnx(cx: &mut Context<'_>) -> Outcome {
    set_all(cx, true).map(|set| Reply::Integer(set.into()))
}

fn set_all(cx: &mut Context<'_>, absent: bool) -> Result<bool, Refusal> {
    let pairs = cx.rest(1);
    if !pairs.len().is_multiple_of(2) {
        return Err(Refusal::Arity(cx.command.name));
    }
    if absent && pairs.iter().step_by(2).any(|key| cx.entry(key).is_some()) {
        return Ok(false);
    }
    for pair in pairs.chunks_exact(2) {
        if let [key, value] = pair {
            cx.effects.string_set(cx.db, key, value, false);
        }
    }
    Ok(true)
}

/// `SETNX key value`
pub(super) fn setnx(cx: &mut Context<'_>) -> Outcome {
    let absent = cx.entry(cx.arg(1)).is_none();
    if absent {
        cx.effects.string_set(cx.db, cx.arg(1), cx.arg(2), false);
    }
    Ok(Reply::Integer(absent.into()))
}

/// `SETEX key seconds value`
pub(super) fn setex(cx: &mut Context<'_>) -> Outcome {
    set_for(cx, Unit::Seconds)
}

/// `PSETEX key milliseconds value`
pub(super) fn psetex(cx: &mut Context<'_>) -> Outcome {
    set_for(cx, Unit::Milliseconds)
}

fn set_for(cx: &mut Context<'_>, unit: Unit) -> Outcome {
    let amount = integer(cx.arg(2))?;
    let at = deadline(amount, unit, false, cx.now).filter(|_| amount > 0);
    let at = at.ok_or(Refusal::ExpireTime(cx.command.name))?;
    cx.effects.string_set(cx.db, cx.arg(1), cx.arg(3), false);
    cx.effects.expire(cx.db, cx.arg(1), at);
    Ok(Reply::OK)
}

/// `INCRBYFLOAT key increment`
pub(super) fn incrbyfloat(cx: &mut Context<'_>) -> Outcome {
    let (key, increment) = (cx.arg(1), cx.arg(2));
    let old = cx.string(key)?.map_or(&b"0"[..], |old| &**old);
    let number = |text| Number::read(text).ok_or(Refusal::NotFloat);
    let new = number(old)?
        .plus(&number(increment)?)
        .ok_or(Refusal::Plain("ERR increment would produce NaN or Infinity"))?;
    cx.effects.string_set(cx.db, key, new.as_bytes(), true);
    Ok(Reply::Bulk(new.into_bytes()))
}

/// Cells of the table LCS may fill.
const MAX_LCS: usize = 64 << 20;

/// `LCS key1 key2 [LEN] [IDX] [MINMATCHLEN len] [WITHMATCHLEN]`
pub(super) fn lcs(cx: &mut Context<'_>) -> Outcome {
    let wrong = Refusal::Plain("ERR The specified keys must contain string values");
    let a = cx.string(cx.arg(1)).map_err(|_| wrong)?.map_or(&[][..], |string| &**string);
    let b = cx.string(cx.arg(2)).map_err(|_| wrong)?.map_or(&[][..], |string| &**string);
    let (mut len, mut idx, mut with_len, mut shortest) = (false, false, false, 0);
    let mut args = cx.rest(3).iter();
    while let Some(arg) = args.next() {
        match arg.to_ascii_lowercase().as_slice() {
            b"len" => len = true,
            b"idx" => idx = true,
            b"withmatchlen" => with_len = true,
            b"minmatchlen" => {
                shortest = integer(args.next().ok_or(Refusal::Syntax)?)?.max(0);
            }
            _ => return Err(Refusal::Syntax),
        }
    }
    if len && idx {
        return Err(Refusal::Plain(
            "ERR If you want both the length and indexes, please just use IDX.",
        ));
    }
    let width = b.len() + 1;
    if (a.len() + 1).saturating_mul(width) > MAX_LCS {
        return Err(Refusal::Plain(
            "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
        ));
    }
    let table = lcs_table(a, b);
    let cell = |i: usize, j: usize| table.get(i * width + j).copied().unwrap_or(0);
    let total = cell(a.len(), b.len());
    if len {
        return Ok(Reply::Integer(total.into()));
    }
    let (mut i, mut j) = (a.len(), b.len());
    let (mut common, mut runs): (Vec<u8>, Vec<(usize, usize, usize)>) = (Vec::new(), Vec::new());
    while i > 0 && j > 0 {
        if a.get(i - 1) == b.get(j - 1) {
            common.extend(a.get(i - 1));
            match runs.last_mut() {
                Some((x, y, n)) if *x == i && *y == j => (*x, *y, *n) = (i - 1, j - 1, *n + 1),
                _ => runs.push((i - 1, j - 1, 1)),
            }
            (i, j) = (i - 1, j - 1);
        } else if cell(i - 1, j) > cell(i, j - 1) {
            i -= 1;
        } else {
            j -= 1;
        }
    }
    if !idx {
        common.reverse();
        return Ok(Reply::Bulk(common));
    }
    let range = |start: usize, n: usize| Reply::Array(vec![count(start), count(start + n - 1)]);
    let runs = runs.into_iter().filter(|(_, _, n)| i64::try_from(*n).unwrap_or(0) >= shortest);
    let matches = runs.map(|(x, y, n)| {
        let mut found = vec![range(x, n), range(y, n)];
        found.extend(with_len.then(|| count(n)));
        Reply::Array(found)
    });
    Ok(Reply::Map(vec![
        (Reply::bulk(b"matches"), Reply::Array(matches.collect())),
        (Reply::bulk(b"len"), Reply::Integer(total.into())),
    ]))
}

/// Lengths of the longest common subsequence of every two beginnings, row by row.
fn lcs_table(a: &[u8], b: &[u8]) -> Vec<u32> {
    let width = b.len() + 1;
    let mut table = vec![0_u32; width];
    let mut above = table.clone();
    for x in a {
        let mut row = vec![0_u32; width];
        let mut left = 0;
        for ((slot, y), corner) in row.iter_mut().skip(1).zip(b).zip(above.windows(2)) {
            if let [diagonal, up] = corner {
                left = if x == y { diagonal + 1 } else { left.max(*up) };
                *slot = left;
            }
        }
        table.extend_from_slice(&row);
        above = row;
    }
    table
}

/// The byte and the mask of a bit counted from the front.
fn bit(text: &[u8]) -> Result<(usize, u8), Refusal> {
    let invalid = Refusal::Plain("ERR bit offset is not an integer or out of range");
    let offset = integer(text).map_err(|_| invalid)?;
    let offset = usize::try_from(offset).map_err(|_| invalid)?;
    if offset / 8 >= MAX_STRING {
        return Err(invalid);
    }
    Ok((offset / 8, 0x80 >> (offset % 8)))
}

/// `SETBIT key offset value`
pub(super) fn setbit(cx: &mut Context<'_>) -> Outcome {
    let (byte, mask) = bit(cx.arg(2))?;
    let on = match integer(cx.arg(3)) {
        Ok(value @ (0 | 1)) => value == 1,
        _ => return Err(Refusal::Plain("ERR bit is not an integer or out of range")),
    };
    let key = cx.arg(1);
    let old = cx.string(key)?.and_then(|string| string.get(byte).copied());
    let was = old.unwrap_or(0) & mask != 0;
    if old.is_none() || was != on {
        let new = if on { old.unwrap_or(0) | mask } else { old.unwrap_or(0) & !mask };
        cx.effects.string_put(cx.db, key, byte, &[new]);
    }
    Ok(Reply::Integer(was.into()))
}

/// `GETBIT key offset`
pub(super) fn getbit(cx: &mut Context<'_>) -> Outcome {
    let (byte, mask) = bit(cx.arg(2))?;
    let string = cx.string(cx.arg(1))?;
    let held = string.and_then(|string| string.get(byte)).is_some_and(|byte| byte & mask != 0);
    Ok(Reply::Integer(held.into()))
}
