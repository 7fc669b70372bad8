//! Lists. Those that wait are in `blocking`.

use super::number::{integer, positive};
use super::{Context, Refusal, Reply, count};
use crate::keyspace::bulks::Bulks;
use crate::keyspace::list::{End, List};

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
    let mut elements = take(cx, key, list, end, taken);
    match wanted {
        Some(_) => Ok(Reply::Array(elements)),
        None => Ok(elements.pop().unwrap_or(Reply::Null)),
    }
}

/// `LRANGE key start stop`
pub(super) fn lrange(cx: &mut Context<'_>) -> Outcome {
    let (start, stop) = (integer(cx.arg(2))?, integer(cx.arg(3))?);
    let Some(list) = cx.list(cx.arg(1))? else { return Ok(Reply::Bulks(Bulks::default())) };
    let (start, taken) = range(start, stop, list.len());
    let mut elements = Bulks::expecting(taken);
    list.spell(start, taken, &mut elements);
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

/// `LREM key count element`
pub(super) fn lrem(cx: &mut Context<'_>) -> Outcome {
    let (key, wanted, element) = (cx.arg(1), integer(cx.arg(2))?, cx.arg(3));
    let Some(list) = cx.list(key)? else { return Ok(Reply::Integer(0)) };
    let mut places = places(list, element);
    let limit = usize::try_from(wanted.unsigned_abs()).unwrap_or(usize::MAX);
    if wanted < 0 {
        places.drain(..places.len().saturating_sub(limit));
    } else if wanted > 0 {
        places.truncate(limit);
    }
    if !places.is_empty() {
        let found = i64::try_from(places.len()).unwrap_or(i64::MAX);
        cx.effects.list_remove(cx.db, key, (found * wanted.signum(), element), &places);
    }
    Ok(count(places.len()))
}

/// Where elements equal to this one stand.
fn places(list: &List, element: &[u8]) -> Vec<usize> {
    let (mut index, mut places) = (0, Vec::new());
    list.visit(0, usize::MAX, &mut |found| {
        if found == element {
            places.push(index);
        }
        index += 1;
    });
    places
}

/// An index counted from either end as a place, if it is inside.
fn place(index: i64, len: usize) -> Option<usize> {
    let index = if index < 0 { index.saturating_add_unsigned(len as u64) } else { index };
    usize::try_from(index).ok().filter(|index| *index < len)
}

/// `LSET key index element`
pub(super) fn lset(cx: &mut Context<'_>) -> Outcome {
    let key = cx.arg(1);
    let list = cx.list(key)?.ok_or(Refusal::Plain("ERR no such key"))?;
    let index = integer(cx.arg(2))?;
    let index = place(index, list.len()).ok_or(Refusal::Plain("ERR index out of range"))?;
    cx.effects.list_set(cx.db, key, index, cx.arg(3));
    Ok(Reply::OK)
}

/// `LINSERT key BEFORE | AFTER pivot element`
pub(super) fn linsert(cx: &mut Context<'_>) -> Outcome {
    let after = match cx.arg(2).to_ascii_lowercase().as_slice() {
        b"before" => 0,
        b"after" => 1,
        _ => return Err(Refusal::Syntax),
    };
    let key = cx.arg(1);
    let Some(list) = cx.list(key)? else { return Ok(Reply::Integer(0)) };
    let Some(pivot) = places(list, cx.arg(3)).first().copied() else {
        return Ok(Reply::Integer(-1));
    };
    let beside = (after == 1, cx.arg(3));
    cx.effects.list_insert(cx.db, key, pivot + after, cx.arg(4), beside);
    Ok(count(list.len() + 1))
}

/// `LPOS key element [RANK rank] [COUNT count] [MAXLEN len]`
pub(super) fn lpos(cx: &mut Context<'_>) -> Outcome {
    let (mut rank, mut wanted, mut longest) = (1, None, 0);
    for option in cx.rest(3).chunks(2) {
        let [name, value] = option else { return Err(Refusal::Syntax) };
        match name.to_ascii_lowercase().as_slice() {
            b"rank" => {
                rank = integer(value)?;
                if rank == i64::MIN {
                    return Err(Refusal::Plain(
                        "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
                    ));
                }
                if rank == 0 {
                    return Err(Refusal::Plain(
                        "ERR RANK can't be zero: use 1 to start from the first match, 2 from the \
                         second ... or use negative to start from the end of the list",
                    ));
                }
            }
            b"count" => {
                let negative = Refusal::Plain("ERR COUNT can't be negative");
                let given = integer(value).map_err(|_| negative)?;
                wanted = Some(usize::try_from(given).map_err(|_| negative)?);
            }
            b"maxlen" => {
                let negative = Refusal::Plain("ERR MAXLEN can't be negative");
                let given = integer(value).map_err(|_| negative)?;
                longest = usize::try_from(given).map_err(|_| negative)?;
            }
            _ => return Err(Refusal::Syntax),
        }
    }
    let list = cx.list(cx.arg(1))?;
    let len = list.map_or(0, |list| list.len());
    let mut found = list.map_or_else(Vec::new, |list| places(list, cx.arg(2)));
    let looked = if longest == 0 { len } else { longest.min(len) };
    if rank < 0 {
        found.reverse();
        found.retain(|place| len - place <= looked);
    } else {
        found.retain(|place| *place < looked);
    }
    let skip = usize::try_from(rank.unsigned_abs()).unwrap_or(usize::MAX) - 1;
    let mut found = found.into_iter().skip(skip).map(count);
    Ok(match wanted {
        None => found.next().unwrap_or(Reply::Null),
        Some(0) => Reply::Array(found.collect()),
        Some(wanted) => Reply::Array(found.take(wanted).collect()),
    })
}

/// `RPOPLPUSH source destination`
pub(super) fn rpoplpush(cx: &mut Context<'_>) -> Outcome {
    move_element(cx, End::Right, End::Left)
}

/// `LMOVE source destination LEFT | RIGHT LEFT | RIGHT`
pub(super) fn lmove(cx: &mut Context<'_>) -> Outcome {
    let (from, to) = (end(cx.arg(3))?, end(cx.arg(4))?);
    move_element(cx, from, to)
}

/// LEFT or RIGHT.
pub(super) fn end(arg: &[u8]) -> Result<End, Refusal> {
    match arg.to_ascii_lowercase().as_slice() {
        b"left" => Ok(End::Left),
        b"right" => Ok(End::Right),
        _ => Err(Refusal::Syntax),
    }
}

/// Moves an element from one end to another, of another list or the same; nil if there is none.
pub(super) fn move_element(cx: &mut Context<'_>, from: End, to: End) -> Outcome {
    let (source, destination) = (cx.arg(1), cx.arg(2));
    let Some(list) = cx.list(source)? else { return Ok(Reply::Null) };
    cx.list(destination)?;
    let at = if from == End::Left { 0 } else { list.len() - 1 };
    let Some(element) = list.get(at) else { return Ok(Reply::Null) };
    // Pushed first, so that a list of one element does not go and come back without its expiry; at
    // the same end of the same list that drops the copy, which is the same.
    cx.effects.list_push(cx.db, destination, to, &[&element]);
    let (left, right) = if from == End::Left { (1, 0) } else { (0, 1) };
    cx.effects.list_drop(cx.db, source, left, right);
    Ok(Reply::Bulk(element))
}

/// `LMPOP numkeys key [key ...] LEFT | RIGHT [COUNT count]`
pub(super) fn lmpop(cx: &mut Context<'_>) -> Outcome {
    pop_first(cx, 1)
}

/// The part of LMPOP and BLMPOP from the number of keys on.
pub(super) fn pop_first(cx: &mut Context<'_>, at: usize) -> Outcome {
    let (keys, rest) = numbered_keys(cx, at)?;
    let Some((side, options)) = rest.split_first() else { return Err(Refusal::Syntax) };
    let from = end(side)?;
    let wanted = pop_count(options)?;
    for key in keys {
        if let Some(list) = cx.list(key)? {
            let taken = wanted.min(list.len());
            let elements = take(cx, key, list, from, taken);
            return Ok(Reply::Array(vec![Reply::bulk(key), Reply::Array(elements)]));
        }
    }
    Ok(Reply::NullArray)
}

/// A run of arguments.
pub(super) type Args<'a> = &'a [&'a [u8]];

/// The keys behind their number, and what follows them.
pub(super) fn numbered_keys<'a>(
    cx: &Context<'a>,
    at: usize,
) -> Result<(Args<'a>, Args<'a>), Refusal> {
    let refusal = Refusal::Plain("ERR numkeys should be greater than 0");
    let number = integer(cx.arg(at)).map_err(|_| refusal)?;
    let number = usize::try_from(number).ok().filter(|n| *n > 0).ok_or(refusal)?;
    cx.rest(at + 1).split_at_checked(number).ok_or(Refusal::Syntax)
}

/// `[COUNT count]`, one if it is not there.
pub(super) fn pop_count(options: &[&[u8]]) -> Result<usize, Refusal> {
    match options {
        [] => Ok(1),
        [name, given, more @ ..] if name.eq_ignore_ascii_case(b"count") => {
            let refusal = Refusal::Plain("ERR count should be greater than 0");
            let given = integer(given).map_err(|_| refusal)?;
            let given = usize::try_from(given).ok().filter(|given| *given > 0).ok_or(refusal)?;
            if more.is_empty() { Ok(given) } else { Err(Refusal::Syntax) }
        }
        _ => Err(Refusal::Syntax),
    }
}

/// Takes elements from an end, the outermost first.
pub(super) fn take(
    cx: &mut Context<'_>,
    key: &[u8],
    list: &List,
    from: End,
    taken: usize,
) -> Vec<Reply> {
    let mut elements = Vec::new();
    let (start, left, right) = match from {
        End::Left => (0, taken, 0),
        End::Right => (list.len() - taken, 0, taken),
    };
    list.visit(start, taken, &mut |element| elements.push(Reply::bulk(element)));
    if from == End::Right {
        elements.reverse();
    }
    cx.effects.list_drop(cx.db, key, left, right);
    elements
}
