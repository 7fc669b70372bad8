//! Hashes: fields with values.

use std::collections::HashSet;

use super::number::{integer, parse};
use super::{Context, Refusal, Reply, count};
use crate::keyspace::long::Number;

type Outcome = Result<Reply, Refusal>;

/// `HSET key field value [field value ...]`
pub(super) fn hset(cx: &mut Context<'_>) -> Outcome {
    set_fields(cx).map(count)
}

/// `HMSET key field value [field value ...]`
pub(super) fn hmset(cx: &mut Context<'_>) -> Outcome {
    set_fields(cx).map(|_| Reply::OK)
}

/// Sets fields and counts those that are new.
fn set_fields(cx: &mut Context<'_>) -> Result<usize, Refusal> {
    let (key, pairs) = (cx.arg(1), cx.rest(2));
    if !pairs.len().is_multiple_of(2) {
        return Err(Refusal::Arity(cx.command.name));
    }
    let hash = cx.hash(key)?;
    let absent = |field: &[u8]| hash.is_none_or(|hash| hash.get(field).is_none());
    let fields = pairs.iter().step_by(2).filter(|field| absent(field));
    let new = match pairs {
        [_, _] => fields.count(),
        _ => fields.collect::<HashSet<_>>().len(),
    };
    cx.effects.hash_set(cx.db, key, pairs);
    Ok(new)
}

/// `HGET key field`
pub(super) fn hget(cx: &mut Context<'_>) -> Outcome {
    let value = cx.hash(cx.arg(1))?.and_then(|hash| hash.get(cx.arg(2)));
    Ok(value.map_or(Reply::Null, |value| Reply::bulk(value)))
}

/// `HMGET key field [field ...]`
pub(super) fn hmget(cx: &mut Context<'_>) -> Outcome {
    let hash = cx.hash(cx.arg(1))?;
    let value = |field: &&[u8]| hash.and_then(|hash| hash.get(field));
    let values = cx.rest(2).iter().map(value);
    Ok(Reply::Array(values.map(|v| v.map_or(Reply::Null, |v| Reply::bulk(v))).collect()))
}

/// `HGETALL key`
pub(super) fn hgetall(cx: &mut Context<'_>) -> Outcome {
    let hash = cx.hash(cx.arg(1))?;
    let pairs = hash.into_iter().flat_map(|hash| hash.iter());
    Ok(Reply::Map(pairs.map(|(f, v)| (Reply::bulk(f), Reply::bulk(v))).collect()))
}

/// `HKEYS key`
pub(super) fn hkeys(cx: &mut Context<'_>) -> Outcome {
    let hash = cx.hash(cx.arg(1))?;
    Ok(Reply::Bulks(hash.into_iter().flat_map(|hash| hash.iter()).map(|(f, _)| &**f).collect()))
}

/// `HVALS key`
pub(super) fn hvals(cx: &mut Context<'_>) -> Outcome {
    let hash = cx.hash(cx.arg(1))?;
    Ok(Reply::Bulks(hash.into_iter().flat_map(|hash| hash.iter()).map(|(_, v)| &**v).collect()))
}

/// `HDEL key field [field ...]`
pub(super) fn hdel(cx: &mut Context<'_>) -> Outcome {
    let key = cx.arg(1);
    let Some(hash) = cx.hash(key)? else { return Ok(Reply::Integer(0)) };
    let mut seen = HashSet::new();
    let fields = cx.rest(2).iter().copied();
    let gone: Vec<_> = fields.filter(|f| hash.get(f).is_some() && seen.insert(*f)).collect();
    if !gone.is_empty() {
        cx.effects.hash_delete(cx.db, key, &gone);
    }
    Ok(count(gone.len()))
}

/// `HLEN key`
pub(super) fn hlen(cx: &mut Context<'_>) -> Outcome {
    Ok(count(cx.hash(cx.arg(1))?.map_or(0, |hash| hash.len())))
}

/// `HEXISTS key field`
pub(super) fn hexists(cx: &mut Context<'_>) -> Outcome {
    let hash = cx.hash(cx.arg(1))?;
    Ok(Reply::Integer(hash.is_some_and(|hash| hash.get(cx.arg(2)).is_some()).into()))
}

/// `HINCRBY key field increment`
pub(super) fn hincrby(cx: &mut Context<'_>) -> Outcome {
    let (key, field) = (cx.arg(1), cx.arg(2));
    let increment = integer(cx.arg(3))?;
    let old = match cx.hash(key)?.and_then(|hash| hash.get(field)) {
        Some(value) => parse(value).ok_or(Refusal::FieldNotInteger)?,
        None => 0,
    };
    let new = old.checked_add(increment).ok_or(Refusal::Overflow)?;
    cx.effects.hash_set(cx.db, key, &[field, new.to_string().as_bytes()]);
    Ok(Reply::Integer(new))
}

/// `HSETNX key field value`
pub(super) fn hsetnx(cx: &mut Context<'_>) -> Outcome {
    let (key, field) = (cx.arg(1), cx.arg(2));
    let absent = cx.hash(key)?.is_none_or(|hash| hash.get(field).is_none());
    if absent {
        cx.effects.hash_set(cx.db, key, &[field, cx.arg(3)]);
    }
    Ok(Reply::Integer(absent.into()))
}

/// `HSTRLEN key field`
pub(super) fn hstrlen(cx: &mut Context<'_>) -> Outcome {
    let value = cx.hash(cx.arg(1))?.and_then(|hash| hash.get(cx.arg(2)));
    Ok(count(value.map_or(0, |value| value.len())))
}

/// `HINCRBYFLOAT key field increment`
pub(super) fn hincrbyfloat(cx: &mut Context<'_>) -> Outcome {
    let (key, field, increment) = (cx.arg(1), cx.arg(2), cx.arg(3));
    let increment = Number::read(increment).ok_or(Refusal::NotFloat)?;
    if matches!(increment, Number::Infinite) {
        return Err(Refusal::Plain("ERR value is NaN or Infinity"));
    }
    let old = cx.hash(key)?.and_then(|hash| hash.get(field)).map_or(&b"0"[..], |old| &**old);
    let old = Number::read(old).ok_or(Refusal::Plain("ERR hash value is not a float"))?;
    let new = old
        .plus(&increment)
        .ok_or(Refusal::Plain("ERR increment would produce NaN or Infinity"))?;
    cx.effects.hash_set(cx.db, key, &[field, new.as_bytes()]);
    Ok(Reply::Bulk(new.into_bytes()))
}
