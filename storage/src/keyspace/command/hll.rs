//! PFADD PFCOUNT PFMERGE: how many distinct elements there are, about (`hyperloglog`).

use super::{Context, Refusal, Reply};
use crate::keyspace::hyperloglog::{Estimate, HyperLogLog, HyperLogLogError};

type Outcome = Result<Reply, Refusal>;

impl From<HyperLogLogError> for Refusal {
    fn from(error: HyperLogLogError) -> Refusal {
        Refusal::Plain(match error {
            HyperLogLogError::Other => "WRONGTYPE Key is not a valid HyperLogLog string value.",
            HyperLogLogError::Damaged => "INVALIDOBJ Corrupted HLL object detected",
        })
    }
}

/// `PFADD key [element ...]`
pub(super) fn pfadd(cx: &mut Context<'_>) -> Outcome {
    let key = cx.arg(1);
    let found = cx.string(key)?;
    let mut changed = found.is_none();
    let mut counter = match found {
        Some(string) => HyperLogLog::read(string)?,
        None => HyperLogLog::default(),
    };
    for element in cx.rest(2) {
        changed |= counter.add(element);
    }
    if changed {
        cx.effects.string_set(cx.db, key, &counter.bytes(), true);
    }
    Ok(Reply::Integer(changed.into()))
}

/// `PFCOUNT key [key ...]`: of several, how many there are in all of them together.
pub(super) fn pfcount(cx: &mut Context<'_>) -> Outcome {
    if let [key] = cx.rest(1) {
        let Some(string) = cx.string(key)? else { return Ok(Reply::Integer(0)) };
        return Ok(Reply::Integer(match HyperLogLog::estimated(string)? {
            Estimate::Kept(estimate) => estimate.cast_signed(),
            Estimate::New(estimate, string) => {
                // The string remembers what was counted, as Redis's does.
                cx.effects.string_set(cx.db, key, &string, true);
                estimate.cast_signed()
            }
        }));
    }
    let mut all = HyperLogLog::default();
    for key in cx.rest(1) {
        if let Some(string) = cx.string(key)? {
            all.merge(&HyperLogLog::read(string)?);
        }
    }
    Ok(Reply::Integer(all.estimate().cast_signed()))
}

/// `PFMERGE destination [source ...]`
pub(super) fn pfmerge(cx: &mut Context<'_>) -> Outcome {
    let key = cx.arg(1);
    let mut sources = Vec::new();
    for key in cx.rest(1) {
        if let Some(string) = cx.string(key)? {
            sources.push(HyperLogLog::read(string)?);
        }
    }
    let mut target = match cx.string(key)? {
        Some(string) => HyperLogLog::read(string)?,
        None => HyperLogLog::default(),
    };
    target.take_all(&sources);
    cx.effects.string_set(cx.db, key, &target.bytes(), true);
    Ok(Reply::OK)
}
