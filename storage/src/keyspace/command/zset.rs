//! Sorted sets: adding, removing, asking for one member. Ranges are in `zrange`.

use std::collections::{HashMap, HashSet};

use super::list::{numbered_keys, pop_count};
use super::number::positive;
use super::{Context, Refusal, Reply, count};
use crate::keyspace::float;
use crate::keyspace::zset::ZSet;

type Outcome = Result<Reply, Refusal>;

/// What ZADD was asked besides scores and members.
#[derive(Clone, Copy, Default)]
pub(super) struct AddOptions {
    pub(super) nx: bool,
    pub(super) xx: bool,
    gt: bool,
    lt: bool,
    pub(super) changed: bool,
    increment: bool,
}

/// `ZADD key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]`
pub(super) fn zadd(cx: &mut Context<'_>) -> Outcome {
    let mut options = AddOptions::default();
    let mut at = 2;
    loop {
        match cx.arg(at).to_ascii_lowercase().as_slice() {
            b"nx" => options.nx = true,
            b"xx" => options.xx = true,
            b"gt" => options.gt = true,
            b"lt" => options.lt = true,
            b"ch" => options.changed = true,
            b"incr" => options.increment = true,
            _ => break,
        }
        at += 1;
    }
    add(cx, options, at)
}

/// `ZINCRBY key increment member`
pub(super) fn zincrby(cx: &mut Context<'_>) -> Outcome {
    add(cx, AddOptions { increment: true, ..AddOptions::default() }, 2)
}

fn add(cx: &mut Context<'_>, options: AddOptions, at: usize) -> Outcome {
    let pairs = cx.rest(at);
    if pairs.is_empty() || !pairs.len().is_multiple_of(2) {
        return Err(Refusal::Syntax);
    }
    let AddOptions { nx, xx, gt, lt, .. } = options;
    if nx && xx {
        let text = "ERR XX and NX options at the same time are not compatible";
        return Err(Refusal::Plain(text));
    }
    if nx && (gt || lt) || gt && lt {
        let text = "ERR GT, LT, and/or NX options at the same time are not compatible";
        return Err(Refusal::Plain(text));
    }
    if options.increment && pairs.len() > 2 {
        return Err(Refusal::Plain("ERR INCR option supports a single increment-element pair"));
    }
    let scored = pairs.chunks_exact(2).map(|pair| match pair {
        [score, member] => Ok((float::parse(score).ok_or(Refusal::NotFloat)?, *member)),
        _ => Err(Refusal::Syntax),
    });
    add_scored(cx, options, &scored.collect::<Result<Vec<_>, _>>()?)
}

/// Adds members with their scores, as options that fit together say.
pub(super) fn add_scored(
    cx: &mut Context<'_>,
    options: AddOptions,
    scored: &[(f64, &[u8])],
) -> Outcome {
    let AddOptions { nx, xx, gt, lt, .. } = options;
    let key = cx.arg(1);
    let zset = cx.zset(key)?;
    let mut now: HashMap<&[u8], f64> = HashMap::new();
    let (mut added, mut updated, mut result) = (0, 0, Reply::Null);
    let mut changes = Vec::new();
    for &(given, member) in scored {
        let old = now.get(member).copied().or_else(|| zset.and_then(|zset| zset.score(member)));
        let new = match old {
            None if xx => continue,
            None => given,
            Some(_) if nx => continue,
            Some(old) => {
                let new = if options.increment { old + given } else { given };
                if new.is_nan() {
                    return Err(Refusal::Plain("ERR resulting score is not a number (NaN)"));
                }
                if gt && new <= old || lt && new >= old {
                    continue;
                }
                new
            }
        };
        result = Reply::Double(new);
        match old {
            None => added += 1,
            Some(old) if old != new => updated += 1,
            Some(_) => continue,
        }
        now.insert(member, new);
        changes.push((new, member));
    }
    if !changes.is_empty() {
        cx.effects.zset_add(cx.db, key, &changes);
    }
    Ok(match options {
        AddOptions { increment: true, .. } => result,
        AddOptions { changed: true, .. } => count(added + updated),
        _ => count(added),
    })
}

/// `ZREM key member [member ...]`
pub(super) fn zrem(cx: &mut Context<'_>) -> Outcome {
    let key = cx.arg(1);
    let Some(zset) = cx.zset(key)? else { return Ok(Reply::Integer(0)) };
    let mut seen = HashSet::new();
    let members = cx.rest(2).iter().copied();
    let gone: Vec<_> = members.filter(|m| zset.score(m).is_some() && seen.insert(*m)).collect();
    if !gone.is_empty() {
        cx.effects.zset_remove(cx.db, key, &gone);
    }
    Ok(count(gone.len()))
}

/// `ZCARD key`
pub(super) fn zcard(cx: &mut Context<'_>) -> Outcome {
    Ok(count(cx.zset(cx.arg(1))?.map_or(0, |zset| zset.len())))
}

/// `ZSCORE key member`
pub(super) fn zscore(cx: &mut Context<'_>) -> Outcome {
    let zset = cx.zset(cx.arg(1))?;
    Ok(zset.and_then(|zset| zset.score(cx.arg(2))).map_or(Reply::Null, Reply::Double))
}

/// `ZMSCORE key member [member ...]`
pub(super) fn zmscore(cx: &mut Context<'_>) -> Outcome {
    let zset = cx.zset(cx.arg(1))?;
    let score = |member: &&[u8]| zset.and_then(|zset| zset.score(member));
    let scores = cx.rest(2).iter().map(score);
    Ok(Reply::Array(scores.map(|score| score.map_or(Reply::Null, Reply::Double)).collect()))
}

/// `ZRANK key member`
pub(super) fn zrank(cx: &mut Context<'_>) -> Outcome {
    let zset = cx.zset(cx.arg(1))?;
    Ok(zset.and_then(|zset| zset.rank(cx.arg(2))).map_or(Reply::Null, count))
}

/// `ZREVRANK key member`
pub(super) fn zrevrank(cx: &mut Context<'_>) -> Outcome {
    let zset = cx.zset(cx.arg(1))?;
    let rank = zset.and_then(|zset| zset.rank(cx.arg(2)).map(|rank| zset.len() - 1 - rank));
    Ok(rank.map_or(Reply::Null, count))
}

/// From which side members are taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Min,
    Max,
}

/// `ZPOPMIN key [count]`
pub(super) fn zpopmin(cx: &mut Context<'_>) -> Outcome {
    pop(cx, Side::Min)
}

/// `ZPOPMAX key [count]`
pub(super) fn zpopmax(cx: &mut Context<'_>) -> Outcome {
    pop(cx, Side::Max)
}

fn pop(cx: &mut Context<'_>, side: Side) -> Outcome {
    let wanted = match cx.rest(2) {
        [] => None,
        [wanted] => Some(positive(wanted)?),
        _ => return Err(Refusal::Syntax),
    };
    let key = cx.arg(1);
    let Some(zset) = cx.zset(key)? else { return Ok(Reply::Array(Vec::new())) };
    let taken = take(cx, key, zset, side, wanted.unwrap_or(1));
    Ok(match wanted {
        Some(_) => Reply::Pairs(taken),
        None => Reply::Array(taken.into_iter().flat_map(|(m, s)| [m, s]).collect()),
    })
}

/// Takes members from a side, the outermost first.
pub(super) fn take(
    cx: &mut Context<'_>,
    key: &[u8],
    zset: &ZSet,
    side: Side,
    wanted: usize,
) -> Vec<(Reply, Reply)> {
    let taken = wanted.min(zset.len());
    let start = if side == Side::Min { 0 } else { zset.len() - taken };
    let mut members = zset.range(start, taken);
    if side == Side::Max {
        members.reverse();
    }
    let names: Vec<&[u8]> = members.iter().map(|(_, member)| &**member).collect();
    if !names.is_empty() {
        cx.effects.zset_remove(cx.db, key, &names);
    }
    members.into_iter().map(|(score, m)| (Reply::bulk(m), Reply::Double(*score))).collect()
}

/// `ZMPOP numkeys key [key ...] MIN | MAX [COUNT count]`
pub(super) fn zmpop(cx: &mut Context<'_>) -> Outcome {
    pop_first(cx, 1)
}

/// The part of ZMPOP and BZMPOP from the number of keys on.
pub(super) fn pop_first(cx: &mut Context<'_>, at: usize) -> Outcome {
    let (keys, rest) = numbered_keys(cx, at)?;
    let Some((side, options)) = rest.split_first() else { return Err(Refusal::Syntax) };
    let side = match side.to_ascii_lowercase().as_slice() {
        b"min" => Side::Min,
        b"max" => Side::Max,
        _ => return Err(Refusal::Syntax),
    };
    let wanted = pop_count(options)?;
    for key in keys {
        if let Some(zset) = cx.zset(key)? {
            let taken = take(cx, key, zset, side, wanted).into_iter();
            let pairs = taken.map(|(member, score)| Reply::Array(vec![member, score]));
            return Ok(Reply::Array(vec![Reply::bulk(key), Reply::Array(pairs.collect())]));
        }
    }
    Ok(Reply::NullArray)
}
