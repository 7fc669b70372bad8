//! Sets: SADD SREM SMEMBERS SCARD SISMEMBER SMISMEMBER SMOVE

use std::collections::HashSet;

use super::{Context, Refusal, Reply, count};
use crate::keyspace::value::Value;

type Outcome = Result<Reply, Refusal>;

/// `SADD key member [member ...]`
pub(super) fn sadd(cx: &mut Context<'_>) -> Outcome {
    let key = cx.arg(1);
    let set = cx.set(key)?;
    let absent = |member: &[u8]| set.is_none_or(|set| set.get(member).is_none());
    let mut seen = HashSet::new();
    let members = cx.rest(2).iter().copied();
    let new: Vec<_> = members.filter(|m| absent(m) && seen.insert(*m)).collect();
    if !new.is_empty() {
        cx.effects.set_add(cx.db, key, &new);
    }
    Ok(count(new.len()))
}

/// `SREM key member [member ...]`
pub(super) fn srem(cx: &mut Context<'_>) -> Outcome {
    let key = cx.arg(1);
    let Some(set) = cx.set(key)? else { return Ok(Reply::Integer(0)) };
    let mut seen = HashSet::new();
    let members = cx.rest(2).iter().copied();
    let gone: Vec<_> = members.filter(|m| set.get(m).is_some() && seen.insert(*m)).collect();
    if !gone.is_empty() {
        cx.effects.set_remove(cx.db, key, &gone);
    }
    Ok(count(gone.len()))
}

/// `SMEMBERS key`
pub(super) fn smembers(cx: &mut Context<'_>) -> Outcome {
    let set = cx.set(cx.arg(1))?;
    let members = set.into_iter().flat_map(|set| set.iter());
    Ok(Reply::Set(members.map(|(member, ())| Reply::bulk(member)).collect()))
}

/// `SCARD key`
pub(super) fn scard(cx: &mut Context<'_>) -> Outcome {
    Ok(count(cx.set(cx.arg(1))?.map_or(0, |set| set.len())))
}

/// `SISMEMBER key member`
pub(super) fn sismember(cx: &mut Context<'_>) -> Outcome {
    let set = cx.set(cx.arg(1))?;
    Ok(Reply::Integer(set.is_some_and(|set| set.get(cx.arg(2)).is_some()).into()))
}

/// `SMISMEMBER key member [member ...]`
pub(super) fn smismember(cx: &mut Context<'_>) -> Outcome {
    let set = cx.set(cx.arg(1))?;
    let held = |member: &&[u8]| set.is_some_and(|set| set.get(member).is_some());
    Ok(Reply::Array(cx.rest(2).iter().map(|m| Reply::Integer(held(m).into())).collect()))
}

/// `SMOVE source destination member`
pub(super) fn smove(cx: &mut Context<'_>) -> Outcome {
    let (source, destination, member) = (cx.arg(1), cx.arg(2), cx.arg(3));
    let Some(from) = cx.entry(source) else { return Ok(Reply::Integer(0)) };
    let Value::Set(from) = &from.value else { return Err(Refusal::WrongType) };
    let to = cx.set(destination)?;
    let held = from.get(member).is_some();
    if held && source != destination {
        cx.effects.set_remove(cx.db, source, &[member]);
        if to.is_none_or(|to| to.get(member).is_none()) {
            cx.effects.set_add(cx.db, destination, &[member]);
        }
    }
    Ok(Reply::Integer(held.into()))
}
