//! LPUSH RPUSH LPUSHX RPUSHX LPOP RPOP LRANGE LINDEX LLEN LTRIM

use super::number::{integer, positive};
use super::{Context, Refusal, Reply, count};
use crate::keyspace::list::End;
use crate::keyspace::packed::Packed;

type Outcome = Result<Reply, Refusal>;

/// `LPUSH key element [element ...]`
pub(super) fn lpush(cx: &mut Context<'_>) -> Outcome {
    push(cx, End::Left, true)
}

/// `RPUSH key element [element ...]`
pub(super) fn rpush(cx: &mut Context<'_>) -> Outcome {
    push(cx, End::Right, true)
}

/// `LPUSHX key element [element ...]`
pub(super) fn lpushx(cx: &mut Context<'_>) -> Outcome {
    push(cx, End::Left, false)
}

/// `RPUSHX key element [element ...]`
pub(super) fn rpushx(cx: &mut Context<'_>) -> Outcome {
    push(cx, End::Right, false)
}

fn push(cx: &mut Context<'_>, end: End, create: bool) -> Outcome {
    let key = cx.arg(1);
    let list = cx.list(key)?;
    if list.is_none() && !create {
        return Ok(Reply::Integer(0));
    }
    let elements = cx.rest(2);
    cx.effects.list_push(cx.db, key, end, elements);
    Ok(count(list.map_or(0, |list| list.len()) + elements.len()))
}

/// `LPOP key [count]`
pub(super) fn lpop(cx: &mut Context<'_>) -> Outcome {
    pop(cx, End::Left)
}

/// `RPOP key [count]`
pub(super) fn rpop(cx: &mut Context<'_>) -> Outcome {
    pop(cx, End::Right)
}

fn pop(cx: &mut Context<'_>, end: End) -> Outcome {
    let wanted = match cx.rest(2) {
        [] => None,
        [wanted] => Some(positive(wanted)?),
        _ => return Err(Refusal::Arity(cx.command.name)),
    };
    let key = cx.arg(1);
    let Some(list) = cx.list(key)? else {
        return Ok(if wanted.is_some() { Reply::NullArray } else { Reply::Null });
    };
    let taken = wanted.unwrap_or(1).min(list.len());
    if taken == 0 {
        return Ok(Reply::Array(Vec::new()));
    }
    let mut elements = Vec::new();
    let (start, left, right) = match end {
        End::Left => (0, taken, 0),
        End::Right => (list.len() - taken, 0, taken),
    };
    list.visit(start, taken, &mut |element| elements.push(Reply::bulk(element)));
    if end == End::Right {
        elements.reverse();
    }
    cx.effects.list_drop(cx.db, key, left, right);
    match wanted {
        Some(_) => Ok(Reply::Array(elements)),
        None => Ok(elements.pop().unwrap_or(Reply::Null)),
    }
}

/// `LRANGE key start stop`
pub(super) fn lrange(cx: &mut Context<'_>) -> Outcome {
    let (start, stop) = (integer(cx.arg(2))?, integer(cx.arg(3))?);
    let Some(list) = cx.list(cx.arg(1))? else { return Ok(Reply::Bulks(Packed::default())) };
    let (start, taken) = range(start, stop, list.len());
    let mut elements = Packed::with_capacity(taken, 0);
    list.visit(start, taken, &mut |element| elements.push(element));
    Ok(Reply::Bulks(elements))
}

/// `LINDEX key index`
pub(super) fn lindex(cx: &mut Context<'_>) -> Outcome {
    let Some(list) = cx.list(cx.arg(1))? else { return Ok(Reply::Null) };
    let index = integer(cx.arg(2))?;
    let index = if index < 0 { index.saturating_add_unsigned(list.len() as u64) } else { index };
    let element = usize::try_from(index).ok().and_then(|index| list.get(index));
    Ok(element.map_or(Reply::Null, Reply::Bulk))
}

/// `LLEN key`
pub(super) fn llen(cx: &mut Context<'_>) -> Outcome {
    Ok(count(cx.list(cx.arg(1))?.map_or(0, |list| list.len())))
}

/// `LTRIM key start stop`
pub(super) fn ltrim(cx: &mut Context<'_>) -> Outcome {
    let (start, stop) = (integer(cx.arg(2))?, integer(cx.arg(3))?);
    let key = cx.arg(1);
    if let Some(list) = cx.list(key)? {
        let (start, kept) = range(start, stop, list.len());
        let (left, right) =
            if kept == 0 { (list.len(), 0) } else { (start, list.len() - start - kept) };
        if left + right > 0 {
            cx.effects.list_drop(cx.db, key, left, right);
        }
    }
    Ok(Reply::OK)
}

/// Resolves two indexes, both included and counted from the end if negative, to start and count.
fn range(start: i64, stop: i64, len: usize) -> (usize, usize) {
    let from_end = |i: i64| if i < 0 { i.saturating_add_unsigned(len as u64) } else { i };
    let start = usize::try_from(from_end(start).max(0)).unwrap_or(usize::MAX);
    let Ok(stop) = usize::try_from(from_end(stop)) else { return (0, 0) };
    if start > stop || start >= len {
        return (0, 0);
    }
    (start, stop.min(len - 1) - start + 1)
}
