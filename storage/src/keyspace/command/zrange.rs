//! Ranges of sorted sets, by rank, score and name.

use super::number::integer;
use super::{Context, Refusal, Reply, count};
use crate::keyspace::float;
use crate::keyspace::table::Bytes;
use crate::keyspace::zset::{Ranked, ZSet};

type Outcome = Result<Reply, Refusal>;

/// What a range is counted in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Lex,
}

/// A range of scores or names: where it begins and where it ends.
enum Span<'a> {
    Score { min: f64, without_min: bool, max: f64, without_max: bool },
    Lex { min: Bound<'a>, max: Bound<'a> },
}

/// One end of a range of names.
#[derive(Clone, Copy)]
enum Bound<'a> {
    Lowest,
    Highest,
    With(&'a [u8]),
    Without(&'a [u8]),
}

impl<'a> Span<'a> {
    fn score(min: &[u8], max: &[u8]) -> Result<Span<'a>, Refusal> {
        let end = |text: &[u8]| {
            let (number, without) = match text.strip_prefix(b"(") {
                Some(number) => (number, true),
                None => (text, false),
            };
            let invalid = Refusal::Plain("ERR min or max is not a float");
            float::parse(number).map(|number| (number, without)).ok_or(invalid)
        };
        let ((min, without_min), (max, without_max)) = (end(min)?, end(max)?);
        Ok(Span::Score { min, without_min, max, without_max })
    }

    fn lex(min: &'a [u8], max: &'a [u8]) -> Result<Span<'a>, Refusal> {
        let end = |text: &'a [u8]| match text {
            b"-" => Ok(Bound::Lowest),
            b"+" => Ok(Bound::Highest),
            [b'[', name @ ..] => Ok(Bound::With(name)),
            [b'(', name @ ..] => Ok(Bound::Without(name)),
            _ => Err(Refusal::Plain("ERR min or max not valid string range item")),
        };
        Ok(Span::Lex { min: end(min)?, max: end(max)? })
    }

    /// Whether a member stands before the range.
    fn after(&self, (score, member): &Ranked) -> bool {
        match self {
            Span::Score { min, without_min, .. } => {
                if *without_min {
                    score <= min
                } else {
                    score < min
                }
            }
            Span::Lex { min, .. } => match *min {
                Bound::Lowest => false,
                Bound::Highest => true,
                Bound::With(name) => **member < *name,
                Bound::Without(name) => **member <= *name,
            },
        }
    }

    /// Whether a member stands before the end of the range.
    fn reaches(&self, (score, member): &Ranked) -> bool {
        match self {
            Span::Score { max, without_max, .. } => {
                if *without_max {
                    score < max
                } else {
                    score <= max
                }
            }
            Span::Lex { max, .. } => match *max {
                Bound::Lowest => false,
                Bound::Highest => true,
                Bound::With(name) => **member <= *name,
                Bound::Without(name) => **member < *name,
            },
        }
    }

    /// The range as start and count of ranks.
    fn ranks(&self, zset: &ZSet) -> (usize, usize) {
        let start = zset.position(|entry| self.after(entry));
        let end = zset.position(|entry| self.reaches(entry));
        (start, end.saturating_sub(start))
    }
}

/// What a range command asks for.
struct Asked<'a> {
    key: &'a [u8],
    by: By,
    reverse: bool,
    start: &'a [u8],
    stop: &'a [u8],
    limit: Option<(i64, i64)>,
    with_scores: bool,
}

/// `ZRANGE key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]`
pub(super) fn zrange(cx: &mut Context<'_>) -> Outcome {
    let asked = unified(cx, 1, None, None)?;
    answer(cx, &asked)
}

/// `ZREVRANGE key start stop [WITHSCORES]`
pub(super) fn zrevrange(cx: &mut Context<'_>) -> Outcome {
    let asked = unified(cx, 1, Some(By::Rank), Some(true))?;
    answer(cx, &asked)
}

/// `ZRANGEBYSCORE key min max [WITHSCORES] [LIMIT offset count]`
pub(super) fn zrangebyscore(cx: &mut Context<'_>) -> Outcome {
    let asked = unified(cx, 1, Some(By::Score), Some(false))?;
    answer(cx, &asked)
}

/// `ZREVRANGEBYSCORE key max min [WITHSCORES] [LIMIT offset count]`
pub(super) fn zrevrangebyscore(cx: &mut Context<'_>) -> Outcome {
    let asked = unified(cx, 1, Some(By::Score), Some(true))?;
    answer(cx, &asked)
}

/// `ZRANGEBYLEX key min max [LIMIT offset count]`
pub(super) fn zrangebylex(cx: &mut Context<'_>) -> Outcome {
    let asked = unified(cx, 1, Some(By::Lex), Some(false))?;
    answer(cx, &asked)
}

/// `ZREVRANGEBYLEX key max min [LIMIT offset count]`
pub(super) fn zrevrangebylex(cx: &mut Context<'_>) -> Outcome {
    let asked = unified(cx, 1, Some(By::Lex), Some(true))?;
    answer(cx, &asked)
}

/// `ZRANGESTORE destination source start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count]`
pub(super) fn zrangestore(cx: &mut Context<'_>) -> Outcome {
    let asked = unified(cx, 2, None, None)?;
    if asked.with_scores {
        return Err(Refusal::Syntax);
    }
    let found = find(cx, &asked)?;
    let members: Vec<_> = found.iter().map(|(score, member)| (*score, &**member)).collect();
    store(cx, cx.arg(1), &members);
    Ok(count(members.len()))
}

/// Puts a result in the place of whatever a key held; nothing leaves no key.
pub(super) fn store(cx: &mut Context<'_>, key: &[u8], members: &[(f64, &[u8])]) {
    if cx.unread(key).is_some() {
        cx.effects.delete(cx.db, key);
    }
    if !members.is_empty() {
        cx.effects.zset_add(cx.db, key, members);
    }
}

/// Reads a range command whose key stands at `at`; the older names fix kind and direction.
fn unified<'a>(
    cx: &Context<'a>,
    at: usize,
    by: Option<By>,
    reverse: Option<bool>,
) -> Result<Asked<'a>, Refusal> {
    let mut asked = Asked {
        key: cx.arg(at),
        by: by.unwrap_or(By::Rank),
        reverse: reverse.unwrap_or(false),
        start: cx.arg(at + 1),
        stop: cx.arg(at + 2),
        limit: None,
        with_scores: false,
    };
    let mut rest = cx.rest(at + 3);
    while let Some((option, more)) = rest.split_first() {
        rest = more;
        match (option.to_ascii_lowercase().as_slice(), more) {
            (b"withscores", _) => asked.with_scores = true,
            (b"limit", [offset, wanted, more @ ..]) => {
                asked.limit = Some((integer(offset)?, integer(wanted)?));
                rest = more;
            }
            (b"rev", _) if reverse.is_none() => asked.reverse = true,
            (b"byscore", _) if by.is_none() => asked.by = By::Score,
            (b"bylex", _) if by.is_none() => asked.by = By::Lex,
            _ => return Err(Refusal::Syntax),
        }
    }
    if asked.limit.is_some() && asked.by == By::Rank {
        return Err(Refusal::Plain(
            "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
        ));
    }
    if asked.with_scores && asked.by == By::Lex {
        return Err(Refusal::Plain(
            "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
        ));
    }
    Ok(asked)
}

fn find<'a>(cx: &mut Context<'a>, asked: &Asked<'_>) -> Result<Vec<&'a Ranked>, Refusal> {
    let (low, high) =
        if asked.reverse { (asked.stop, asked.start) } else { (asked.start, asked.stop) };
    let (span, ends) = match asked.by {
        By::Rank => (None, (integer(asked.start)?, integer(asked.stop)?)),
        By::Score => (Some(Span::score(low, high)?), (0, 0)),
        By::Lex => (Some(Span::lex(low, high)?), (0, 0)),
    };
    let Some(zset) = cx.zset(asked.key)? else { return Ok(Vec::new()) };
    let (mut start, mut len) = match &span {
        Some(span) => span.ranks(zset),
        None => {
            let (start, len) = ranks(ends.0, ends.1, zset.len());
            if asked.reverse { (zset.len() - start - len, len) } else { (start, len) }
        }
    };
    if let Some((offset, wanted)) = asked.limit {
        let Ok(offset) = usize::try_from(offset) else { return Ok(Vec::new()) };
        let skipped = offset.min(len);
        let kept = usize::try_from(wanted).map_or(len - skipped, |n| n.min(len - skipped));
        start += if asked.reverse { len - skipped - kept } else { skipped };
        len = kept;
    }
    let mut found = zset.range(start, len);
    if asked.reverse {
        found.reverse();
    }
    Ok(found)
}

/// Two ranks, both included and counted from the end if negative, as start and count.
fn ranks(start: i64, stop: i64, len: usize) -> (usize, usize) {
    let from_end = |i: i64| if i < 0 { i.saturating_add_unsigned(len as u64) } else { i };
    let start = usize::try_from(from_end(start).max(0)).unwrap_or(usize::MAX);
    match usize::try_from(from_end(stop)) {
        Ok(stop) if start <= stop && start < len => (start, stop.min(len - 1) - start + 1),
        _ => (0, 0),
    }
}

fn answer(cx: &mut Context<'_>, asked: &Asked<'_>) -> Outcome {
    let found = find(cx, asked)?;
    Ok(if asked.with_scores {
        let pair = |(score, m): &(f64, Bytes)| (Reply::bulk(m), Reply::Double(*score));
        Reply::Pairs(found.into_iter().map(pair).collect())
    } else {
        Reply::Bulks(found.into_iter().map(|(_, member)| &**member).collect())
    })
}

/// `ZCOUNT key min max`
pub(super) fn zcount(cx: &mut Context<'_>) -> Outcome {
    let span = Span::score(cx.arg(2), cx.arg(3))?;
    Ok(count(cx.zset(cx.arg(1))?.map_or(0, |zset| span.ranks(zset).1)))
}

/// `ZLEXCOUNT key min max`
pub(super) fn zlexcount(cx: &mut Context<'_>) -> Outcome {
    let span = Span::lex(cx.arg(2), cx.arg(3))?;
    Ok(count(cx.zset(cx.arg(1))?.map_or(0, |zset| span.ranks(zset).1)))
}

/// `ZREMRANGEBYRANK key start stop`
pub(super) fn zremrangebyrank(cx: &mut Context<'_>) -> Outcome {
    let (start, stop) = (integer(cx.arg(2))?, integer(cx.arg(3))?);
    remove(cx, |zset| ranks(start, stop, zset.len()))
}

/// `ZREMRANGEBYSCORE key min max`
pub(super) fn zremrangebyscore(cx: &mut Context<'_>) -> Outcome {
    let span = Span::score(cx.arg(2), cx.arg(3))?;
    remove(cx, |zset| span.ranks(zset))
}

/// `ZREMRANGEBYLEX key min max`
pub(super) fn zremrangebylex(cx: &mut Context<'_>) -> Outcome {
    let span = Span::lex(cx.arg(2), cx.arg(3))?;
    remove(cx, |zset| span.ranks(zset))
}

fn remove(cx: &mut Context<'_>, range: impl FnOnce(&ZSet) -> (usize, usize)) -> Outcome {
    let key = cx.arg(1);
    let Some(zset) = cx.zset(key)? else { return Ok(Reply::Integer(0)) };
    let (start, len) = range(zset);
    let gone: Vec<&[u8]> = zset.range(start, len).into_iter().map(|(_, m)| &**m).collect();
    if !gone.is_empty() {
        cx.effects.zset_remove(cx.db, key, &gone);
    }
    Ok(count(gone.len()))
}
