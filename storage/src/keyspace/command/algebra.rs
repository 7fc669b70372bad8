//! Union, intersection and difference of sets and sorted sets.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::list::{Args, numbered_keys};
use super::number::integer;
use super::zrange::store;
use super::{Context, Refusal, Reply, count};
use crate::keyspace::float;
use crate::keyspace::map::Map;
use crate::keyspace::table::Bytes;
use crate::keyspace::value::Value;
use crate::keyspace::zset::ZSet;

type Outcome = Result<Reply, Refusal>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Inter,
    Diff,
}

/// `SINTER key [key ...]`
pub(super) fn sinter(cx: &mut Context<'_>) -> Outcome {
    members(cx, Operation::Inter)
}

/// `SUNION key [key ...]`
pub(super) fn sunion(cx: &mut Context<'_>) -> Outcome {
    members(cx, Operation::Union)
}

/// `SDIFF key [key ...]`
pub(super) fn sdiff(cx: &mut Context<'_>) -> Outcome {
    members(cx, Operation::Diff)
}

fn members(cx: &mut Context<'_>, operation: Operation) -> Outcome {
    let found = combine(cx, operation, cx.rest(1))?;
    Ok(Reply::Set(found.into_iter().map(Reply::bulk).collect()))
}

/// `SINTERSTORE destination key [key ...]`
pub(super) fn sinterstore(cx: &mut Context<'_>) -> Outcome {
    store_members(cx, Operation::Inter)
}

/// `SUNIONSTORE destination key [key ...]`
pub(super) fn sunionstore(cx: &mut Context<'_>) -> Outcome {
    store_members(cx, Operation::Union)
}

/// `SDIFFSTORE destination key [key ...]`
pub(super) fn sdiffstore(cx: &mut Context<'_>) -> Outcome {
    store_members(cx, Operation::Diff)
}

fn store_members(cx: &mut Context<'_>, operation: Operation) -> Outcome {
    let found = combine(cx, operation, cx.rest(2))?;
    let key = cx.arg(1);
    if cx.unread(key).is_some() {
        cx.effects.delete(cx.db, key);
    }
    if !found.is_empty() {
        cx.effects.set_add(cx.db, key, &found);
    }
    Ok(count(found.len()))
}

/// `SINTERCARD numkeys key [key ...] [LIMIT limit]`
pub(super) fn sintercard(cx: &mut Context<'_>) -> Outcome {
    let (keys, rest) = card_keys(cx)?;
    let limit = limit(rest)?;
    Ok(count(combine(cx, Operation::Inter, keys)?.len().min(limit)))
}

fn card_keys<'a>(cx: &Context<'a>) -> Result<(Args<'a>, Args<'a>), Refusal> {
    numbered_keys(cx, 1).map_err(|refusal| match refusal {
        Refusal::Syntax => {
            Refusal::Plain("ERR Number of keys can't be greater than number of args")
        }
        refusal => refusal,
    })
}

fn limit(mut options: &[&[u8]]) -> Result<usize, Refusal> {
    let negative = Refusal::Plain("ERR LIMIT can't be negative");
    let mut limit = 0;
    while let [name, given, more @ ..] = options {
        if !name.eq_ignore_ascii_case(b"limit") {
            break;
        }
        let given = integer(given).map_err(|_| negative)?;
        limit = usize::try_from(given).map_err(|_| negative)?;
        options = more;
    }
    match (options, limit) {
        ([], 0) => Ok(usize::MAX),
        ([], limit) => Ok(limit),
        _ => Err(Refusal::Syntax),
    }
}

fn combine<'a>(
    cx: &mut Context<'a>,
    operation: Operation,
    keys: &[&[u8]],
) -> Result<Vec<&'a [u8]>, Refusal> {
    let sets = keys.iter().map(|key| cx.set(key)).collect::<Result<Vec<_>, _>>()?;
    let holds = |set: &Option<&Arc<Map<()>>>, member: &[u8]| {
        set.is_some_and(|set| set.get(member).is_some())
    };
    let (first, others) = match sets.split_first() {
        Some((first, others)) => (first, others),
        None => return Ok(Vec::new()),
    };
    Ok(match operation {
        Operation::Union => {
            let mut seen = HashSet::new();
            sets.iter().flat_map(|s| names(*s)).filter(|m| seen.insert(*m)).collect()
        }
        Operation::Diff => names(*first)
            .filter(|member| !others.iter().any(|other| holds(other, member)))
            .collect(),
        Operation::Inter => {
            let smallest = sets.iter().min_by_key(|set| set.map_or(0, |set| set.len()));
            names(smallest.copied().flatten())
                .filter(|member| sets.iter().all(|set| holds(set, member)))
                .collect()
        }
    })
}

fn names(set: Option<&Arc<Map<()>>>) -> impl Iterator<Item = &[u8]> {
    set.into_iter().flat_map(|set| set.iter()).map(|(member, ())| &**member)
}

/// How scores of one member become one.
#[derive(Clone, Copy)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn join(self, a: f64, b: f64) -> f64 {
        let joined = match self {
            Aggregate::Sum => a + b,
            Aggregate::Min => a.min(b),
            Aggregate::Max => a.max(b),
        };
        // Infinity less infinity counts as nothing.
        if joined.is_nan() { 0.0 } else { joined }
    }
}

/// `ZUNION numkeys key [key ...] [WEIGHTS weight ...] [AGGREGATE SUM | MIN | MAX] [WITHSCORES]`
pub(super) fn zunion(cx: &mut Context<'_>) -> Outcome {
    scored(cx, Operation::Union)
}

/// `ZINTER numkeys key [key ...] [WEIGHTS weight ...] [AGGREGATE SUM | MIN | MAX] [WITHSCORES]`
pub(super) fn zinter(cx: &mut Context<'_>) -> Outcome {
    scored(cx, Operation::Inter)
}

/// `ZDIFF numkeys key [key ...] [WITHSCORES]`
pub(super) fn zdiff(cx: &mut Context<'_>) -> Outcome {
    scored(cx, Operation::Diff)
}

fn scored(cx: &mut Context<'_>, operation: Operation) -> Outcome {
    let (found, with_scores) = combine_scored(cx, operation, 1, true)?;
    Ok(if with_scores {
        let pair = |(score, m): (f64, &[u8])| (Reply::bulk(m), Reply::Double(score));
        Reply::Pairs(found.into_iter().map(pair).collect())
    } else {
        Reply::Bulks(found.into_iter().map(|(_, member)| member).collect())
    })
}

/// `ZUNIONSTORE destination numkeys key [key ...] [WEIGHTS weight ...] [AGGREGATE SUM | MIN | MAX]`
pub(super) fn zunionstore(cx: &mut Context<'_>) -> Outcome {
    store_scored(cx, Operation::Union)
}

/// `ZINTERSTORE destination numkeys key [key ...] [WEIGHTS weight ...] [AGGREGATE SUM | MIN | MAX]`
pub(super) fn zinterstore(cx: &mut Context<'_>) -> Outcome {
    store_scored(cx, Operation::Inter)
}

/// `ZDIFFSTORE destination numkeys key [key ...]`
pub(super) fn zdiffstore(cx: &mut Context<'_>) -> Outcome {
    store_scored(cx, Operation::Diff)
}

fn store_scored(cx: &mut Context<'_>, operation: Operation) -> Outcome {
    let (found, _) = combine_scored(cx, operation, 2, false)?;
    store(cx, cx.arg(1), &found);
    Ok(count(found.len()))
}

/// `ZINTERCARD numkeys key [key ...] [LIMIT limit]`
pub(super) fn zintercard(cx: &mut Context<'_>) -> Outcome {
    let (keys, rest) = input_keys(cx, 1)?;
    let sources = sources(cx, keys)?;
    let limit = limit(rest)?;
    let smallest = sources.iter().min_by_key(|source| source.len());
    let shared = smallest.into_iter().flat_map(|s| s.entries());
    let shared = shared.filter(|(_, m)| sources.iter().all(|source| source.score(m).is_some()));
    Ok(count(shared.take(limit).count()))
}

/// A set or a sorted set, whose members a plain set scores with one.
#[derive(Clone, Copy)]
enum Source<'a> {
    Absent,
    Set(&'a Map<()>),
    Scored(&'a ZSet),
}

impl<'a> Source<'a> {
    fn len(self) -> usize {
        match self {
            Source::Absent => 0,
            Source::Set(set) => set.len(),
            Source::Scored(zset) => zset.len(),
        }
    }

    fn score(self, member: &[u8]) -> Option<f64> {
        match self {
            Source::Absent => None,
            Source::Set(set) => set.get(member).map(|()| 1.0),
            Source::Scored(zset) => zset.score(member),
        }
    }

    fn entries(self) -> Box<dyn Iterator<Item = (f64, &'a Bytes)> + 'a> {
        match self {
            Source::Absent => Box::new(std::iter::empty()),
            Source::Set(set) => Box::new(set.iter().map(|(member, ())| (1.0, member))),
            Source::Scored(zset) => Box::new(zset.iter().map(|(score, member)| (*score, member))),
        }
    }
}

fn sources<'a>(cx: &mut Context<'a>, keys: &[&[u8]]) -> Result<Vec<Source<'a>>, Refusal> {
    let source = |key: &&[u8]| match cx.entry(key).map(|entry| &entry.value) {
        None => Ok(Source::Absent),
        Some(Value::Set(set)) => Ok(Source::Set(set)),
        Some(Value::ZSet(zset)) => Ok(Source::Scored(zset)),
        Some(_) => Err(Refusal::WrongType),
    };
    keys.iter().map(source).collect()
}

type Scored<'a> = Vec<(f64, &'a [u8])>;

/// The keys of a command about sorted sets, whose number stands at `at`, and what follows them.
fn input_keys<'a>(cx: &Context<'a>, at: usize) -> Result<(Args<'a>, Args<'a>), Refusal> {
    let number = integer(cx.arg(at))?;
    let number = usize::try_from(number).unwrap_or(0);
    if number == 0 {
        return Err(Refusal::Plain(match cx.command.name {
            "zunionstore" => "ERR at least 1 input key is needed for 'zunionstore' command",
            "zinterstore" => "ERR at least 1 input key is needed for 'zinterstore' command",
            "zdiffstore" => "ERR at least 1 input key is needed for 'zdiffstore' command",
            "zunion" => "ERR at least 1 input key is needed for 'zunion' command",
            "zintercard" => "ERR at least 1 input key is needed for 'zintercard' command",
            "zinter" => "ERR at least 1 input key is needed for 'zinter' command",
            _ => "ERR at least 1 input key is needed for 'zdiff' command",
        }));
    }
    cx.rest(at + 1).split_at_checked(number).ok_or(Refusal::Syntax)
}

/// The combined members, lowest first, and whether their scores were asked for. The number of keys
/// stands at `at`.
fn combine_scored<'a>(
    cx: &mut Context<'a>,
    operation: Operation,
    at: usize,
    answers: bool,
) -> Result<(Scored<'a>, bool), Refusal> {
    let (keys, mut rest) = input_keys(cx, at)?;
    let sources = sources(cx, keys)?;
    let (mut weights, mut aggregate) = (vec![1.0; keys.len()], Aggregate::Sum);
    let mut with_scores = false;
    while let Some((option, more)) = rest.split_first() {
        let option = option.to_ascii_lowercase();
        rest = match (option.as_slice(), more) {
            (b"weights", more) if operation != Operation::Diff && more.len() >= keys.len() => {
                let (given, more) = more.split_at(keys.len());
                let invalid = Refusal::Plain("ERR weight value is not a float");
                let read = |weight: &&[u8]| float::parse(weight).ok_or(invalid);
                weights = given.iter().map(read).collect::<Result<_, _>>()?;
                more
            }
            (b"aggregate", [how, more @ ..]) if operation != Operation::Diff => {
                aggregate = match how.to_ascii_lowercase().as_slice() {
                    b"sum" => Aggregate::Sum,
                    b"min" => Aggregate::Min,
                    b"max" => Aggregate::Max,
                    _ => return Err(Refusal::Syntax),
                };
                more
            }
            (b"withscores", more) if answers => {
                with_scores = true;
                more
            }
            _ => return Err(Refusal::Syntax),
        };
    }
    let mut found = join(operation, &sources, &weights, aggregate);
    found.sort_by(|(a, x), (b, y)| a.total_cmp(b).then_with(|| x.cmp(y)));
    Ok((found, with_scores))
}

fn join<'a>(
    operation: Operation,
    sources: &[Source<'a>],
    weights: &[f64],
    aggregate: Aggregate,
) -> Scored<'a> {
    let weigh = |score: f64, weight: f64| {
        let weighed = score * weight;
        if weighed.is_nan() { 0.0 } else { weighed + 0.0 }
    };
    let Some((first, others)) = sources.split_first() else { return Vec::new() };
    match operation {
        Operation::Diff => {
            let alone = |member: &[u8]| others.iter().all(|other| other.score(member).is_none());
            first.entries().map(|(s, m)| (s, &**m)).filter(|(_, m)| alone(m)).collect()
        }
        Operation::Union => {
            let mut joined: HashMap<&[u8], f64> = HashMap::new();
            for (source, weight) in sources.iter().zip(weights) {
                for (score, member) in source.entries() {
                    let score = weigh(score, *weight);
                    let slot = joined.entry(member);
                    slot.and_modify(|old| *old = aggregate.join(*old, score)).or_insert(score);
                }
            }
            joined.into_iter().map(|(member, score)| (score, member)).collect()
        }
        Operation::Inter => {
            let joined = |member: &[u8]| {
                let mut total = None;
                for (source, weight) in sources.iter().zip(weights) {
                    let score = weigh(source.score(member)?, *weight);
                    total = Some(total.map_or(score, |total| aggregate.join(total, score)));
                }
                total
            };
            let smallest = sources.iter().min_by_key(|source| source.len()).unwrap_or(first);
            let entries = smallest.entries();
            entries.filter_map(|(_, m)| joined(m).map(|score| (score, &**m))).collect()
        }
    }
}
