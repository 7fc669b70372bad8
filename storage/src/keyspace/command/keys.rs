//! DEL UNLINK EXISTS TYPE KEYS RANDOMKEY DBSIZE FLUSHDB FLUSHALL

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use super::{Context, Refusal, Reply, count};
use crate::keyspace::glob;

type Outcome = Result<Reply, Refusal>;

/// How often RANDOMKEY draws before it says that there is none alive.
const DRAWS: usize = 100;

/// `DEL key [key ...]`, `UNLINK key [key ...]`
pub(super) fn del(cx: &mut Context<'_>) -> Outcome {
    let mut seen = HashSet::new();
    let mut deleted = 0;
    for key in cx.rest(1) {
        if seen.insert(*key) && cx.entry(key).is_some() {
            cx.effects.delete(cx.db, key);
            deleted += 1;
        }
    }
    Ok(count(deleted))
}

/// `EXISTS key [key ...]`
pub(super) fn exists(cx: &mut Context<'_>) -> Outcome {
    Ok(count(cx.rest(1).iter().filter(|key| cx.entry(key).is_some()).count()))
}

/// `TYPE key`
pub(super) fn kind(cx: &mut Context<'_>) -> Outcome {
    Ok(Reply::Simple(cx.entry(cx.arg(1)).map_or("none", |entry| entry.value.kind())))
}

/// `KEYS pattern`
pub(super) fn keys(cx: &mut Context<'_>) -> Outcome {
    let pattern = cx.arg(1);
    let keys = cx.database.keys.iter().filter(|(_, entry)| !entry.expired(cx.now));
    Ok(Reply::Bulks(keys.map(|(key, _)| &**key).filter(|k| glob::matches(pattern, k)).collect()))
}

/// `RANDOMKEY`
pub(super) fn randomkey(cx: &mut Context<'_>) -> Outcome {
    let random = RandomState::new();
    let draw = |i: usize| cx.database.keys.pick(random.hash_one(i));
    let alive = (0..DRAWS).filter_map(draw).find(|(_, entry)| !entry.expired(cx.now));
    Ok(alive.map_or(Reply::Null, |(key, _)| Reply::bulk(key)))
}

/// `DBSIZE`
pub(super) fn dbsize(cx: &mut Context<'_>) -> Outcome {
    Ok(count(cx.database.keys.len()))
}

/// `FLUSHDB [ASYNC | SYNC]`
pub(super) fn flushdb(cx: &mut Context<'_>) -> Outcome {
    flush_mode(cx)?;
    if cx.database.keys.len() > 0 {
        cx.effects.flush_db(cx.db);
    }
    Ok(Reply::OK)
}

/// `FLUSHALL [ASYNC | SYNC]`
pub(super) fn flushall(cx: &mut Context<'_>) -> Outcome {
    flush_mode(cx)?;
    cx.effects.flush_all();
    Ok(Reply::OK)
}

fn flush_mode(cx: &Context<'_>) -> Result<(), Refusal> {
    match cx.rest(1) {
        [] => Ok(()),
        [mode] if mode.eq_ignore_ascii_case(b"async") || mode.eq_ignore_ascii_case(b"sync") => {
            Ok(())
        }
        _ => Err(Refusal::Syntax),
    }
}
