//! Takes merges forward, one bounded step a call, and makes their results live. It holds no lock
//! that an append needs.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::merge::Merge;
use super::plan::{Candidate, Policy, plan};
use crate::block::{Block, BlockError, BlockWriter, Range, path_of};
use crate::maintain::{MaintainError, Maintenance, publish};
use crate::model::Timestamp;
use crate::snapshot::Generation;
use crate::store::Store;

/// Samples written or verified in one step.
const STEP_SAMPLES: u64 = 200_000;
/// How long to wait before planning again when nothing was due, or after a failure.
const PLAN_INTERVAL: Timestamp = 60_000;

/// What compaction remembers from step to step.
#[derive(Default)]
pub(crate) struct Compaction {
    job: Option<Job>,
    /// Nothing is planned before.
    rest_until: Option<Timestamp>,
    /// Blocks that do not read: left alone until the store is opened anew.
    damaged: HashSet<u64>,
}

impl Compaction {
    /// Plans at the next step, rested or not.
    pub(crate) fn hurry(&mut self) {
        self.rest_until = None;
    }
}

struct Job {
    sources: Vec<u64>,
    target: u64,
    stage: Stage,
}

enum Stage {
    Merging(Box<Merge>),
    Verifying(Box<Block>, u32),
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing is due.
    Idle,
    /// There is more to do.
    More,
    /// A merge became live; there may be more to do.
    Merged,
}

/// One step.
pub(crate) fn step(
    store: &Store,
    state: &mut Maintenance,
    now: Timestamp,
) -> Result<Step, MaintainError> {
    abandon_overtaken(store, state);
    let Some(job) = state.compaction.job.take() else {
        return Ok(begin(store, state, now));
    };
    let (sources, target) = (job.sources.clone(), job.target);
    match job.advance() {
        Ok(Advanced::More(job)) => {
            state.compaction.job = Some(job);
            Ok(Step::More)
        }
        Ok(Advanced::Done(block)) => {
            let block = block.map(|mut block| {
                block.share(&store.pages);
                (*block, Vec::new())
            });
            publish(store, state, block.into_iter().collect(), &sources, false)?;
            store.counters.merges.fetch_add(1, Ordering::Relaxed);
            Ok(Step::Merged)
        }
        Err(error) => {
            discard(store, target);
            state.compaction.rest_until = Some(now.saturating_add(PLAN_INTERVAL));
            if let BlockError::Damaged { .. } = &error {
                state.compaction.damaged.extend(sources);
            }
            Err(error.into())
        }
    }
}

enum Advanced {
    More(Job),
    /// Verified; `None` if nothing was left to write.
    Done(Option<Box<Block>>),
}

impl Job {
    fn advance(mut self) -> Result<Advanced, BlockError> {
        self.stage = match self.stage {
            Stage::Merging(mut merge) => {
                if merge.step(STEP_SAMPLES)? {
                    Stage::Merging(merge)
                } else if merge.is_empty() {
                    return Ok(Advanced::Done(None));
                } else {
                    Stage::Verifying(Box::new(merge.finish()?), 0)
                }
            }
            Stage::Verifying(block, from) => match block.verify_from(from, STEP_SAMPLES)? {
                Some(next) => Stage::Verifying(block, next),
                None => return Ok(Advanced::Done(Some(block))),
            },
        };
        Ok(Advanced::More(self))
    }
}

/// Begins the next merge, if one is due.
fn begin(store: &Store, state: &mut Maintenance, now: Timestamp) -> Step {
    let resting = |until: Timestamp| (0..=PLAN_INTERVAL).contains(&(until - now)) && now < until;
    if state.compaction.rest_until.is_some_and(resting) {
        return Step::Idle;
    }
    let generation = store.generation();
    let mut blocks = weigh(&generation);
    for (candidate, block) in blocks.iter_mut().zip(&generation.blocks) {
        candidate.dirty = deleted(&generation, block) || outlived(store, block, now);
        candidate.frozen = state.compaction.damaged.contains(&candidate.meta.number);
    }
    let options = &store.options;
    let policy = Policy::new(options.block_span, options.retention, options.cut_delay);
    let sources = plan(&blocks, policy, now);
    if sources.is_empty() {
        state.compaction.rest_until = Some(now.saturating_add(PLAN_INTERVAL));
        return Step::Idle;
    }
    let merged = generation.blocks.iter().filter(|b| sources.contains(&b.meta().number));
    let merged: Vec<Arc<Block>> = merged.cloned().collect();
    let position = merged.iter().map(|b| b.meta().position).max().unwrap_or(0);
    let target = state.next_block();
    let min_t = merged.iter().map(|b| b.meta().min_t).min().unwrap_or(0);
    let max_t = merged.iter().map(|b| b.meta().max_t).max().unwrap_or(0);
    let range = Range { start: min_t, length: max_t.saturating_sub(min_t).saturating_add(1) };
    let writer = BlockWriter::new((&store.disk, &store.pages), range, target, position);
    let (tombstones, retention) = (generation.tombstones.clone(), options.keep.clone());
    let merge = Merge::new(merged, tombstones, retention, now, writer);
    state.compaction.job = Some(Job { sources, target, stage: Stage::Merging(Box::new(merge)) });
    Step::More
}

/// The live blocks with their bytes.
pub(crate) fn weigh(generation: &Generation) -> Vec<Candidate> {
    let look = |block: &Arc<Block>| Candidate {
        meta: *block.meta(),
        bytes: block.byte_len(),
        dirty: false,
        frozen: false,
    };
    generation.blocks.iter().map(look).collect()
}

/// Whether a tombstone hides a chunk of the block. What does not read is found by the merge itself.
fn deleted(generation: &Generation, block: &Block) -> bool {
    generation.tombstones.iter().filter(|t| t.applies(block.meta())).any(|t| {
        let range = t.what.range;
        let selected = block.select(&t.what.matchers).unwrap_or_default();
        selected.into_iter().filter_map(|n| block.series(n).ok()?).any(|series| {
            series.chunks.iter().any(|c| c.min_t <= range.end() && range.start() <= c.max_t)
        })
    })
}

/// Whether a rule has half of the samples it means behind its horizon: written anew each time half
/// is over, a block is written a few times in all.
fn outlived(store: &Store, block: &Block, now: Timestamp) -> bool {
    let mut meant = (0_u64, 0_u64);
    for rule in &store.options.keep.rules {
        let horizon = now.saturating_sub(rule.keep);
        if block.meta().min_t >= horizon {
            continue;
        }
        for number in block.select(&rule.matchers).unwrap_or_default() {
            let Ok(Some(series)) = block.series(number) else { continue };
            if store.options.keep.keeps(&series.labels) != Some(rule.keep) {
                continue;
            }
            for chunk in &series.chunks {
                let over = if chunk.max_t < horizon { u64::from(chunk.count) } else { 0 };
                meant = (meant.0 + u64::from(chunk.count), meant.1 + over);
            }
        }
    }
    meant.1 > 0 && meant.1 >= meant.0 / 2
}

/// Retention may drop a block that is being merged: then the merge would bring it back.
fn abandon_overtaken(store: &Store, state: &mut Maintenance) {
    let live = |number: &u64| state.is_live(*number);
    if state.compaction.job.as_ref().is_some_and(|job| !job.sources.iter().all(live))
        && let Some(job) = state.compaction.job.take()
    {
        discard(store, job.target);
    }
}

/// Removes what an attempt left; whatever stays is removed at the next start.
fn discard(store: &Store, number: u64) {
    for path in [path_of(number), crate::block::aside_of(number)] {
        let _ = store.disk.remove(&path);
    }
}
