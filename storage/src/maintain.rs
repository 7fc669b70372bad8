//! Background work, one due step after the other, with now handed in: retention, cutting ranges of
//! the head into blocks, checkpoints. merging blocks. [`plan_cut`] decides and is pure; [`run`] does.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, Weak};

use crate::append::AppendError;
use crate::block::{Block, BlockError, BlockWriter, Range, path_of};
use crate::catalog::{self, Update};
use crate::checkpoint::{self, CheckpointError};
use crate::compaction::{self, Compaction, Step, expired};
use crate::disk::DiskError;
use crate::head::{HeadChunk, MemSeries, SHARDS};
use crate::manifest::{Checkpointed, Manifest};
use crate::model::{Labels, Timestamp, WalPosition};
use crate::mutants::{Mutant, planted};
use crate::read::ReadError;
use crate::snapshot::{Generation, merge_chunks};
use crate::store::{Options, Store, lock};

/// How often ranges are looked at, in milliseconds.
const PLAN_INTERVAL: Timestamp = 60_000;
/// A range is cut when it has been quiet for so long, in milliseconds, so that late samples and
/// back-fills gather.
const QUIET: Timestamp = 120_000;
/// How often the log is looked at, in milliseconds.
const LULL_INTERVAL: Timestamp = 10_000;
/// A log is quiet that grew by less than this part of [`Options::lull_bytes`] between two looks.
const LULL_SHARE: u64 = 4;
/// A checkpoint is taken in a lull when the log is at least this part of the last one, so that one is never written
/// for little.
const LULL_WORTH: u64 = 4;
/// Ranges cut in one run.
const CUTS_PER_RUN: usize = 8;

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maintained {
    /// Blocks cut from the head.
    pub cut: u64,
    /// Blocks dropped by retention.
    pub dropped: u64,
    /// Merges of blocks that became live.
    pub merged: u64,
    /// Whether a checkpoint was taken.
    pub checkpoint: bool,
    /// Whether more is due at once: the work is done in steps.
    pub more: bool,
}

/// Why maintenance failed. What was live before still is.
#[derive(Debug, thiserror::Error)]
pub enum MaintainError {
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A new block does not check.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// A chunk of the head does not decode.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A checkpoint cannot be written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The log cannot be synced.
    #[error(transparent)]
    Log(AppendError),
}

impl MaintainError {
    /// Whether there was no room on the disk.
    pub fn is_full(&self) -> bool {
        match self {
            MaintainError::Disk(error)
            | MaintainError::Block(BlockError::Disk(error))
            | MaintainError::Checkpoint(CheckpointError::Disk(error)) => error.is_full(),
            _ => false,
        }
    }
}

/// What maintenance remembers from run to run.
pub(crate) struct Maintenance {
    manifest: Manifest,
    /// Log position of the last checkpoint.
    checkpointed: u64,
    pub(crate) compaction: Compaction,
    /// Blocks the catalogue was last brought up to.
    catalogued: Option<Vec<u64>>,
    recatalogued: bool,
    /// When the log was last looked at, and where it ended.
    last_look: Option<(Timestamp, u64)>,
    /// Where the log ended when a lull was last made use of.
    lulled: u64,
    last_plan: Option<Timestamp>,
    /// Per range: samples when last looked at, and since when unchanged.
    ranges: BTreeMap<Timestamp, (u64, Timestamp)>,
    /// Chunks that blocks have, and whose readers may still need them in the head.
    moved: Vec<Moved>,
    /// Generations that were replaced and may still be read.
    replaced: Vec<Weak<Generation>>,
}

struct Moved {
    /// Every generation of before that a reader may still hold.
    before: Vec<Weak<Generation>>,
    chunks: Vec<SeriesChunks>,
}

/// Chunks of one series in one range.
pub(crate) struct SeriesChunks {
    shard: usize,
    slot: u32,
    labels: Labels,
    lookback: Option<Timestamp>,
    chunks: Vec<Arc<HeadChunk>>,
}

impl Maintenance {
    /// What is live.
    pub(crate) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub(crate) fn new(manifest: Manifest) -> Maintenance {
        let checkpointed = manifest.checkpoint.map_or(0, |c| c.position.0);
        Maintenance {
            manifest,
            checkpointed,
            compaction: Compaction::default(),
            catalogued: None,
            recatalogued: false,
            last_look: None,
            lulled: 0,
            last_plan: None,
            ranges: BTreeMap::new(),
            moved: Vec::new(),
            replaced: Vec::new(),
        }
    }
}

impl Maintenance {
    /// A number no block had.
    pub(crate) fn next_block(&mut self) -> u64 {
        let number = self.manifest.next_block;
        self.manifest.next_block += 1;
        number
    }

    /// Whether the manifest names a block.
    pub(crate) fn is_live(&self, number: u64) -> bool {
        self.manifest.blocks.contains(&number)
    }
}

/// Does what is due.
pub(crate) fn run(store: &Store, now: Timestamp) -> Result<Maintained, MaintainError> {
    let mut state = lock(&store.maintenance);
    let mut done = Maintained::default();
    forget_moved(store, &mut state);
    let (age, bytes) = (store.options.retention, store.options.keep.bytes);
    let dropped = expired(&compaction::weigh(&store.generation()), age, bytes, now);
    let due = due_ranges(store, &mut state, now);
    let position = store.log.end();
    let quiet = is_quiet(store, &mut state, now, position);
    let lull = quiet && is_worth_it(store, &state, position)? && begin_segment(store)?;
    if quiet {
        store.log.drop_spares()?;
    }
    let grown = position.0.saturating_sub(state.checkpointed);
    let grown = lull || grown >= store.options.checkpoint_bytes;
    let mut cut = Vec::new();
    for start in due.into_iter().take(CUTS_PER_RUN) {
        match cut_range(store, &mut state, start, position) {
            Ok(block) => cut.extend(block),
            Err(error) => {
                // A range that cannot be cut stays in the head, but the log must not grow for ever by it.
                if grown {
                    publish(store, &mut state, cut, &dropped, true)?;
                }
                return Err(error);
            }
        }
    }
    if cut.is_empty() && dropped.is_empty() && !grown {
        return merge_some(store, &mut state, now);
    }
    done.cut = cut.len() as u64;
    done.dropped = dropped.len() as u64;
    done.checkpoint = !cut.is_empty() || grown;
    publish(store, &mut state, cut, &dropped, done.checkpoint)?;
    forget_moved(store, &mut state);
    if lull {
        state.lulled = position.0;
        store.log.drop_spares()?;
    }
    done.more = true;
    Ok(done)
}

/// Begins a segment of the log where nothing comes in between; where it does, there is another lull.
fn begin_segment(store: &Store) -> Result<bool, MaintainError> {
    store.log.sync().map_err(MaintainError::Log)?;
    Ok(store.log.begin_segment()?)
}

/// Whether the log has gone quiet: it has grown by little since it was looked at last.
fn is_quiet(store: &Store, state: &mut Maintenance, now: Timestamp, end: WalPosition) -> bool {
    let (looked, before) = *state.last_look.get_or_insert((now, end.0));
    if (0..LULL_INTERVAL).contains(&(now - looked)) {
        return false;
    }
    state.last_look = Some((now, end.0));
    let lull = store.options.lull_bytes;
    lull > 0 && end.0.saturating_sub(before) < lull / LULL_SHARE
}

/// Whether a quiet log is worth a checkpoint: a burst is not to stay on the disk until the next one. That is also so
/// where the last checkpoint was taken near the burst's end, for it leaves the segment that it ends in.
fn is_worth_it(
    store: &Store,
    state: &Maintenance,
    end: WalPosition,
) -> Result<bool, MaintainError> {
    let least = store.counters.checkpoint_bytes.load(Ordering::Relaxed) / LULL_WORTH;
    let least = least.max(store.options.lull_bytes);
    let grown = end.0.saturating_sub(state.checkpointed);
    if grown >= least || lock(&store.keys).stream.is_used() {
        return Ok(grown >= least);
    }
    // Once after each burst, whatever may still keep the log.
    let burst = end.0.saturating_sub(state.lulled) >= least;
    Ok(burst && end.0.saturating_sub(store.log.oldest()?.0) >= least)
}

/// A step of compaction, where nothing more urgent was due.
fn merge_some(
    store: &Store,
    state: &mut Maintenance,
    now: Timestamp,
) -> Result<Maintained, MaintainError> {
    let step = compaction::step(store, state, now)?;
    if step == Step::Idle {
        return Ok(Maintained { more: catalogue(store, state), ..Maintained::default() });
    }
    Ok(Maintained {
        merged: u64::from(step == Step::Merged),
        more: step != Step::Idle,
        ..Maintained::default()
    })
}

/// Takes the catalogue forward; whether there is more to do. It may fail: no answer depends on it.
fn catalogue(store: &Store, state: &mut Maintenance) -> bool {
    let generation = store.generation();
    let numbers: Vec<u64> = generation.blocks.iter().map(|b| b.meta().number).collect();
    if state.catalogued.as_ref() == Some(&numbers) {
        return false;
    }
    let refreshed = catalog::refresh(&*store.catalog, &generation);
    if matches!(refreshed, Ok(Update::More)) {
        return true;
    }
    let current = refreshed.is_ok() && catalog::current(&*store.catalog, &generation).is_some();
    // What fails or does not check as a whole is begun anew, once before the blocks change.
    if !current && !state.recatalogued {
        state.recatalogued = true;
        return store.catalog.clear().is_ok();
    }
    state.recatalogued = false;
    state.catalogued = Some(numbers);
    false
}

/// Takes a checkpoint, due or not.
pub(crate) fn checkpoint_now(store: &Store, _now: Timestamp) -> Result<(), MaintainError> {
    let mut state = lock(&store.maintenance);
    forget_moved(store, &mut state);
    publish(store, &mut state, Vec::new(), &[], true)
}

/// The ranges to cut: ended for long enough, and quiet.
pub(crate) fn plan_cut(
    ranges: &BTreeMap<Timestamp, (u64, Timestamp)>,
    options: &Options,
    now: Timestamp,
) -> Vec<Timestamp> {
    let ended = |start: Timestamp| {
        let end = start.saturating_add(options.block_span);
        end.saturating_add(options.cut_delay) <= now
    };
    let quiet = |since: Timestamp| now.saturating_sub(since) >= QUIET;
    let due = ranges.iter().filter(|(start, (_, since))| ended(**start) && quiet(*since));
    due.map(|(start, _)| *start).collect()
}

/// Looks at the head's ranges, once in a while, and says which are due.
fn due_ranges(store: &Store, state: &mut Maintenance, now: Timestamp) -> Vec<Timestamp> {
    if state.last_plan.is_some_and(|last| (0..PLAN_INTERVAL).contains(&(now - last))) {
        return Vec::new();
    }
    state.last_plan = Some(now);
    let moved = moved_chunks(state);
    let mut counts: BTreeMap<Timestamp, u64> = BTreeMap::new();
    store.head.in_stretches(|_, shard, slots| {
        for (_, series) in shard.iter_in(slots) {
            series.count_by_range(store.options.block_span, &moved, &mut counts);
        }
    });
    let before = std::mem::take(&mut state.ranges);
    for (start, count) in counts {
        let since = match before.get(&start) {
            Some((known, since)) if *known == count => *since,
            _ => now,
        };
        state.ranges.insert(start, (count, since));
    }
    plan_cut(&state.ranges, &store.options, now)
}

/// Writes a block of one range. The chunks stay in the head until no reader needs them there.
fn cut_range(
    store: &Store,
    state: &mut Maintenance,
    start: Timestamp,
    position: WalPosition,
) -> Result<Option<(Block, Vec<SeriesChunks>)>, MaintainError> {
    let span = store.options.block_span;
    let end = start.saturating_add(span);
    let moved = moved_chunks(state);
    let in_range =
        |c: &&Arc<HeadChunk>| start <= c.min_t && c.min_t < end && !moved.contains(&Arc::as_ptr(c));
    let mut taken = Vec::new();
    store.head.in_stretches(|number, shard, slots| {
        shard.seal_before(end, slots.clone());
        let take = |(slot, series): (u32, &MemSeries)| SeriesChunks {
            shard: number,
            slot,
            labels: series.labels.clone(),
            lookback: series.lookback(),
            chunks: series.sealed.iter().filter(in_range).cloned().collect(),
        };
        taken.extend(shard.iter_in(slots).map(take).filter(|t| !t.chunks.is_empty()));
    });
    taken.sort_by(|a, b| a.labels.cmp(&b.labels));
    let range = Range { start, length: span };
    let number = state.next_block();
    let mut writer = BlockWriter::new((&store.disk, &store.pages), range, number, position.0);
    for series in &taken {
        writer.add(series.labels.clone(), series.lookback, &merge_chunks(&series.chunks)?)?;
    }
    if writer.is_empty() {
        return Ok(None);
    }
    let block = writer.publish()?;
    state.ranges.remove(&start);
    Ok(Some((block, taken)))
}

/// Makes new blocks live, old ones gone, and takes a checkpoint if asked, all in one manifest.
pub(crate) fn publish(
    store: &Store,
    state: &mut Maintenance,
    cut: Vec<(Block, Vec<SeriesChunks>)>,
    dropped: &[u64],
    checkpoint: bool,
) -> Result<(), MaintainError> {
    let mut manifest = state.manifest.clone();
    manifest.blocks.retain(|b| !dropped.contains(b));
    manifest.blocks.extend(cut.iter().map(|(block, _)| block.meta().number));
    manifest.blocks.sort_unstable();
    manifest.next_series = store.head.next_id();
    let (blocks, moved): (Vec<Block>, Vec<Vec<SeriesChunks>>) = cut.into_iter().unzip();
    let moved: Vec<SeriesChunks> = moved.into_iter().flatten().collect();
    let mut next = Generation::clone(&store.generation());
    next.blocks.retain(|b| !dropped.contains(&b.meta().number));
    next.blocks.extend(blocks.into_iter().map(Arc::new));
    // A block that was refused may come back after a repair, and then needs all of them.
    if next.blocks.len() == manifest.blocks.len() {
        next.tombstones.retain(|t| next.blocks.iter().any(|b| t.applies(b.meta())));
    }
    manifest.tombstones = next.tombstones.clone();
    let mut written = None;
    if checkpoint {
        let checkpoint = write_checkpoint(store, state, &moved)?;
        manifest.checkpoint = Some(checkpoint.live);
        written = Some(checkpoint);
    }
    // What the manifest refers to must be on the disk before it.
    if !planted(Mutant::ManifestBeforeLog) {
        store.log.sync().map_err(MaintainError::Log)?;
    }
    let old = state.manifest.checkpoint;
    if let Some(written) = &written {
        plant_early_removals(store, written.live, old)?;
    }
    manifest.store(&*store.disk)?;
    state.manifest = manifest;
    replace_generation(store, state, next);
    if !moved.is_empty() {
        state.moved.push(Moved { before: state.replaced.clone(), chunks: moved });
    }
    for number in dropped {
        store.disk.remove(&path_of(*number))?;
    }
    if let Some(Written { live, bytes, referred }) = written {
        state.checkpointed = live.position.0;
        store.counters.checkpoints.fetch_add(1, Ordering::Relaxed);
        store.counters.checkpoint_bytes.store(bytes, Ordering::Relaxed);
        if let Some(old) = old.filter(|_| !planted(Mutant::CheckpointRemovedEarly)) {
            store.disk.remove(&checkpoint::path_of(old.number))?;
        }
        if let Some(files) = store.head.files() {
            files.checkpointed(referred)?;
        }
        trim_log(store, live.position)?;
        drop_idle_series(store, live.position);
    }
    Ok(())
}

/// Removes the log below a position, but for what is kept for those who follow.
fn trim_log(store: &Store, position: WalPosition) -> Result<(), MaintainError> {
    let followed = lock(&store.keys).stream.is_used() && !store.space.is_tight();
    let kept = if followed { store.options.follow_bytes } else { 0 };
    store.log.trim(WalPosition(position.0.saturating_sub(kept)))?;
    let oldest = store.log.oldest()?;
    lock(&store.keys).stream.trim(oldest);
    Ok(())
}

/// Nothing, in a program without planted bugs.
fn plant_early_removals(
    store: &Store,
    live: Checkpointed,
    old: Option<Checkpointed>,
) -> Result<(), MaintainError> {
    if planted(Mutant::TrimBeforeManifest) {
        store.log.trim(live.position)?;
    }
    if planted(Mutant::CheckpointRemovedEarly)
        && let Some(old) = old
    {
        store.disk.remove(&checkpoint::path_of(old.number))?;
    }
    Ok(())
}

/// A checkpoint that is to become live.
struct Written {
    live: Checkpointed,
    bytes: u64,
    /// Files of chunks it refers to.
    referred: BTreeSet<u64>,
}

/// Replay begins at the lowest position any part of the checkpoint is in up to; parts taken later
/// carry their own.
fn write_checkpoint(
    store: &Store,
    state: &Maintenance,
    moving: &[SeriesChunks],
) -> Result<Written, MaintainError> {
    let position = store.log.end();
    let number = state.manifest.checkpoint.map_or(1, |c| c.number + 1);
    let (view, applied, stream) = {
        let keys = lock(&store.keys);
        let mut stream = Vec::new();
        if keys.stream.is_used() {
            keys.stream.encode(&mut stream);
        }
        (keys.keyspace.freeze(), keys.applied, stream)
    };
    let mut in_blocks = moved_chunks(state);
    in_blocks.extend(moving.iter().flat_map(|m| &m.chunks).map(Arc::as_ptr));
    let disk = &*store.disk;
    let beside = checkpoint::Beside {
        documents: lock(&store.documents).encode(),
        exemplars: lock(&store.exemplars).encode(),
        metadata: lock(&store.metadata).encode(),
        stream,
    };
    let keys = (view, applied);
    let (bytes, referred) =
        checkpoint::write(disk, number, &store.head, keys, &beside, &in_blocks)?;
    if let Some(files) = store.head.files() {
        files.sync()?;
    }
    Ok(Written { live: Checkpointed { number, position }, bytes, referred })
}

/// Changes what readers see from now on.
pub(crate) fn swap_generation(
    store: &Store,
    state: &mut Maintenance,
    change: impl FnOnce(&mut Generation),
) {
    let mut next = Generation::clone(&store.generation());
    change(&mut next);
    replace_generation(store, state, next);
}

fn replace_generation(store: &Store, state: &mut Maintenance, next: Generation) {
    let before = store.generation();
    state.replaced.retain(|old| old.strong_count() > 0);
    state.replaced.push(Arc::downgrade(&before));
    *store.generation.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
}

/// Takes chunks out of the head that a block has and no reader of the time before needs.
fn forget_moved(store: &Store, state: &mut Maintenance) {
    let before = state.moved.len();
    state.moved.retain(|moved| {
        if moved.before.iter().any(|old| old.strong_count() > 0) {
            return true;
        }
        for series in &moved.chunks {
            store.head.lock(series.shard).forget(series.slot, &series.chunks);
        }
        false
    });
    if state.moved.len() < before
        && let Some(files) = store.head.files()
    {
        // What cannot be removed now is nobody's, and the next start removes it.
        let _ = files.sweep();
    }
}

fn drop_idle_series(store: &Store, before: WalPosition) {
    let mut idle: [Vec<u32>; SHARDS] = Default::default();
    store.head.in_stretches(|number, shard, slots| {
        idle[number].extend(shard.idle(before.0, slots));
    });
    for (number, slots) in idle.iter().enumerate().filter(|(_, slots)| !slots.is_empty()) {
        // At once, for it walks through lists of the index.
        let gone = store.head.lock(number).drop_idle(before.0, slots);
        store.head.cardinality.release(gone.iter());
    }
}

fn moved_chunks(state: &Maintenance) -> HashSet<*const HeadChunk> {
    state.moved.iter().flat_map(|m| &m.chunks).flat_map(|c| &c.chunks).map(Arc::as_ptr).collect()
}
