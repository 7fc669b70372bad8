//! From a directory to a store: manifest, checkpoint, blocks, then the log. A directory that is being
//! recovered is a [`Recovering`]; only [`Recovering::finish`] makes it usable.

use std::sync::{Arc, mpsc};

use crate::block::{self, Block, BlockError, PageCache, Tombstone};
use crate::checkpoint::{self, CheckpointError, Contents};
use crate::disk::{Disk, DiskError};
use crate::head::{Head, Order, SHARDS, Shard};
use crate::keyspace::Effects;
use crate::manifest::{Manifest, ManifestError};
use crate::model::WalPosition;
use crate::mutants::{Mutant, carried, planted};
use crate::wal::{Log, LogOptions, Logged, OpenLogError, Progress, Record, ShardBatch};

/// Bytes of log that are handed on together; rows are some ten times as large in memory.
const STRETCH: u64 = 128 << 10;
/// Stretches that may wait to be applied.
const READ_AHEAD: usize = 2;

/// Why a directory cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The log.
    #[error(transparent)]
    Log(#[from] OpenLogError),
    /// A command's effects in the log do not decode.
    #[error("the log's record at position {position} is damaged: {reason}")]
    Effects {
        /// Which record.
        position: u64,
        /// What is wrong.
        reason: String,
    },
}

/// What opening found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Records replayed from the log.
    pub records: u64,
    /// Bytes of log read.
    pub bytes: u64,
    /// A torn tail that was cut: how many bytes, in which file.
    pub torn: Option<(u64, String)>,
    /// Samples of the log that cannot be read, for they lean on what a repair found lost.
    pub lost_samples: u64,
    /// Blocks that were refused, with the reason; the rest serves.
    pub refused_blocks: Vec<String>,
    /// What was damaged and had a whole copy beside it, which was taken and is written anew.
    pub mended: Option<String>,
    /// Files that nothing referred to and that were removed.
    pub orphans: u64,
}

/// A directory on its way to be a store.
pub(crate) struct Recovering {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) manifest: Manifest,
    pub(crate) head: Head,
    pub(crate) contents: Contents,
    pub(crate) blocks: Vec<Arc<Block>>,
    /// Of the manifest and of the log after it.
    pub(crate) tombstones: Vec<Tombstone>,
    pub(crate) report: Report,
}

impl Recovering {
    /// Reads manifest, checkpoint and blocks, and removes what nothing refers to.
    pub(crate) fn begin(
        disk: Arc<dyn Disk>,
        pages: &Arc<PageCache>,
        head: Head,
    ) -> Result<Recovering, OpenError> {
        let (mut manifest, damage) = Manifest::load_checked(&*disk)?;
        manifest.epoch += 1;
        manifest.store(&*disk)?;
        let (contents, chunk_files) = match manifest.checkpoint {
            Some(live) => checkpoint::read(&*disk, live.number, &head)?,
            None => Default::default(),
        };
        let mended = damage.map(str::to_owned);
        let mut report = Report { mended, ..Report::default() };
        let mut blocks = Vec::new();
        for number in &manifest.blocks {
            match Block::open_with(&*disk, *number, pages) {
                Ok(block) => blocks.push(Arc::new(block)),
                Err(error @ BlockError::Damaged { .. }) => {
                    report.refused_blocks.push(error.to_string());
                }
                Err(BlockError::Disk(error)) => report.refused_blocks.push(error.to_string()),
            }
        }
        report.orphans = remove_orphans(&*disk, &manifest)?;
        if let Some(files) = head.files() {
            report.orphans += files.adopt(chunk_files)?;
        }
        let tombstones = manifest.tombstones.clone();
        Ok(Recovering { disk, manifest, head, contents, blocks, tombstones, report })
    }

    /// Replays the log and begins a new segment.
    pub(crate) fn finish(
        mut self,
        options: LogOptions,
        progress: &Progress,
    ) -> Result<(Recovering, Arc<Log>), OpenError> {
        let from = self.manifest.checkpoint.map_or(WalPosition(0), |c| c.position);
        let (disk, epoch) = (&self.disk, self.manifest.epoch);
        let (head, contents, tombstones) = (&self.head, &mut self.contents, &mut self.tombstones);
        let mut replaying: [Replaying; SHARDS] =
            std::array::from_fn(|number| Replaying::begin(&head.lock(number)));
        let read = |visit: &mut dyn FnMut(Logged<Record>)| {
            Log::open(disk, options, from, epoch, progress, visit)
        };
        let apply = |record| replay(head, &mut replaying, contents, tombstones, record);
        let (opened, applied) = read_beside(read, apply);
        let (log, found) = opened?;
        applied?;
        if found.gaps > 0 {
            self.contents.keys.stream.forget();
        }
        self.contents.keys.stream.opened();
        self.report.records = found.records;
        self.report.bytes = found.bytes;
        self.report.torn = found.torn;
        self.report.lost_samples = found.lost_rows;
        Ok((self, Arc::new(log)))
    }
}

/// Lets another thread read records while this one applies those before, in their order. After one that
/// cannot be applied none is, and the rest is read.
fn read_beside<T: Send, E>(
    read: impl FnOnce(&mut dyn FnMut(Logged<Record>)) -> T + Send,
    apply: impl FnMut(Logged<Record>) -> Result<(), E>,
) -> (T, Result<(), E>) {
    let (sender, receiver) = mpsc::sync_channel(READ_AHEAD);
    let plant = carried();
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            plant();
            let mut some: Vec<Logged<Record>> = Vec::new();
            let done = read(&mut |record| {
                let first = some.first().unwrap_or(&record).position();
                let full = record.position().0 - first.0 >= STRETCH;
                if full {
                    // Nobody takes it any more: something could not be applied.
                    let _ = sender.send(std::mem::take(&mut some));
                }
                some.push(record);
            });
            let _ = sender.send(some);
            done
        });
        let applied = receiver.into_iter().flatten().try_for_each(apply);
        let read = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (read, applied)
    })
}

/// What replay remembers of a shard.
struct Replaying {
    order: Order,
    /// By slot, up to where the checkpoint's series was applied when it was taken, which may be later than
    /// the shard as a whole.
    taken: Vec<u64>,
}

impl Replaying {
    fn begin(shard: &Shard) -> Replaying {
        let mut taken = vec![0; shard.slots() as usize];
        shard.iter().for_each(|(slot, series)| taken[slot as usize] = series.touched);
        Replaying { order: Order::NEW, taken }
    }

    /// Whether the checkpoint's series has what a record did to it. A series that takes the slot of one that
    /// left begins later than that ended.
    fn knows(&self, slot: u32, position: WalPosition) -> bool {
        self.taken.get(slot as usize).is_some_and(|taken| *taken > 0 && position.0 <= *taken)
    }

    /// Finds the slots of a batch, and takes out what the checkpoint has.
    fn prepare(&mut self, shard: &mut Shard, position: WalPosition, batch: &mut ShardBatch) {
        batch.new_series.retain(|new| !shard.has(new.id));
        batch.new_series.iter().for_each(|new| shard.make_way(&new.labels));
        shard.locate(batch, &mut self.order);
        if !self.taken.is_empty() {
            batch.floats.retain(|row| !self.knows(row.slot, position));
            batch.others.retain(|row| !self.knows(row.slot, position));
        }
    }
}

fn replay(
    head: &Head,
    shards: &mut [Replaying; SHARDS],
    contents: &mut Contents,
    tombstones: &mut Vec<Tombstone>,
    record: Logged<Record>,
) -> Result<(), OpenError> {
    let position = record.position();
    let place = record.as_ref().map(|_| ());
    match record.into_inner() {
        Record::Batch(batch) => replay_batch(head, shards, place.map(|()| batch)),
        Record::Exemplars(new) => contents.exemplars.apply(&place.as_ref().map(|_| &new)),
        Record::Documents(new) => contents.documents.apply(&place.as_ref().map(|_| &new)),
        Record::Metadata(new) => contents.metadata.apply(&place.as_ref().map(|_| &new)),
        Record::Keys(record) => {
            let keys = &mut contents.keys;
            if position >= keys.applied {
                let effects = Effects::decode(&record.effects).map_err(|e| OpenError::Effects {
                    position: position.0,
                    reason: e.to_string(),
                })?;
                keys.keyspace.apply(&effects);
                keys.stream.advance(position, &effects, false);
                keys.applied = WalPosition(position.0 + 1);
            }
            for batch in record.batches {
                replay_batch(head, shards, place.as_ref().map(|_| batch));
            }
        }
        Record::Deletion(what) => {
            let forgets = planted(Mutant::ReplayForgetsDeletions);
            for number in (0..SHARDS).filter(|_| !forgets) {
                head.lock(number).delete(&place.as_ref().map(|_| &what));
            }
            // The manifest may have it already.
            if tombstones.iter().all(|t| t.position != position) {
                tombstones.push(Tombstone { position, what });
            }
        }
    }
    Ok(())
}

fn replay_batch(head: &Head, shards: &mut [Replaying; SHARDS], mut logged: Logged<ShardBatch>) {
    for new in &logged.get().new_series {
        head.taken_id(new.id);
    }
    let number = usize::from(logged.get().shard);
    let mut shard = head.lock(number);
    let position = logged.position();
    if position >= shard.applied {
        logged = logged.map(|mut batch| {
            shards[number].prepare(&mut shard, position, &mut batch);
            batch
        });
        shard.apply(&logged.as_ref());
    }
}

/// Removes files of attempts that no manifest came to name.
fn remove_orphans(disk: &dyn Disk, manifest: &Manifest) -> Result<u64, DiskError> {
    let checkpoint = manifest.checkpoint.map(|c| checkpoint::path_of(c.number));
    let blocks: Vec<String> = manifest.blocks.iter().map(|n| block::path_of(*n)).collect();
    let mut removed = 0;
    for dir in [block::DIR, checkpoint::DIR] {
        for name in disk.list(dir)? {
            let path = format!("{dir}/{name}");
            let ours = [".blk", ".ckp", ".new"].iter().any(|end| name.ends_with(end));
            if ours && Some(&path) != checkpoint.as_ref() && !blocks.contains(&path) {
                disk.remove(&path)?;
                removed += 1;
            }
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::{MemSeries, Sealer, Shape};
    use crate::model::{Labels, Sample, SeriesId, Value};
    use crate::wal::{FloatRow, NewSeries, OtherRow};

    fn labels(id: u64) -> Labels {
        Labels::from_pairs([("id", id.to_string().as_str())]).unwrap()
    }

    /// A sample of each form of every series.
    fn batch(ids: &[u64]) -> ShardBatch {
        let sample = || Sample { t: 1, start: 1, value: Value::Float(1.0) };
        let float = |id: &u64| FloatRow { slot: 0, id: SeriesId(*id), t: 1, v: 1.0, form: 0 };
        let other = |id: &u64| OtherRow { slot: 0, id: SeriesId(*id), sample: sample() };
        ShardBatch {
            floats: ids.iter().map(float).collect(),
            others: ids.iter().map(other).collect(),
            ..ShardBatch::default()
        }
    }

    #[test]
    fn what_a_series_of_the_checkpoint_has_is_not_applied_to_it_again() {
        let mut shard = Shard::new(0, Shape { ring: 120, span: 1000 }, Sealer::default());
        for (id, touched) in [(1, 50), (2, 10)] {
            let mut series = MemSeries::new(SeriesId(id), labels(id), None);
            series.touched = touched;
            shard.insert(series);
        }
        let mut replaying = Replaying::begin(&shard);
        let mut kept = |position, mut batch: ShardBatch| {
            replaying.prepare(&mut shard, WalPosition(position), &mut batch);
            let floats: Vec<u64> = batch.floats.iter().map(|row| row.id.0).collect();
            let others: Vec<u64> = batch.others.iter().map(|row| row.id.0).collect();
            assert_eq!(floats, others);
            floats
        };
        assert_eq!(kept(10, batch(&[1, 2])), [0; 0]);
        assert_eq!(kept(11, batch(&[2, 1])), [2]);
        assert_eq!(kept(50, batch(&[1, 2])), [2]);
        assert_eq!(kept(51, batch(&[1, 2])), [1, 2]);
        // One that is new between two stretches and in none of them.
        let new_series = vec![NewSeries { id: SeriesId(3), lookback: None, labels: labels(3) }];
        assert_eq!(kept(20, ShardBatch { new_series, ..batch(&[1, 2, 3]) }), [2, 3]);
    }
}
