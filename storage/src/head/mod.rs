//! The newest samples, in memory: shards of series, each series with a ring of its newest samples
//! and sealed chunks until a block has them.
//!
//! A batch visits each shard once: admission decides what is taken and resolves it to rows, the log
//! gives the rows their place, and [`Shard::apply`] puts them in, live and in replay alike.

mod admit;
mod alias;
mod blocks;
mod cardinality;
mod chunk;
mod files;
mod open;
mod series;
mod shard;
mod slots;

pub use admit::Limits;
pub(crate) use admit::Window;
pub(crate) use alias::{Aliases, Hash, Spelling, Target};
pub(crate) use chunk::{Columns, HeadChunk, Sealer};
pub(crate) use files::{
    Away, ChunkFile, ChunkFileStats, ChunkFiles, DIR as CHUNKS, numbers as chunk_files,
    path_of as chunk_file,
};
pub(crate) use open::Open;
pub(crate) use series::{Captured, MemSeries, Shape};
pub(crate) use shard::{Admitting, Order, Pending, Shard};

use cardinality::Cardinality;

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::{Labels, SeriesId, Timestamp};

/// How many shards there are. Part of the on-disk contract: records and checkpoints name shards.
pub const SHARDS: usize = 16;

/// Slots of a shard that are visited before an append may go on.
pub(crate) const SLOTS_AT_A_TIME: u32 = 512;

/// All shards, and what they share.
pub(crate) struct Head {
    shards: Vec<Mutex<Shard>>,
    pub(crate) aliases: Aliases,
    next_id: AtomicU64,
    pub(crate) cardinality: Cardinality,
    batch: AtomicU64,
    files: Option<Arc<ChunkFiles>>,
}

impl Head {
    /// An empty head that keeps everything in memory.
    pub(crate) fn new(ring: usize, span: Timestamp) -> Head {
        Head::with_files(ring, span, None)
    }

    /// An empty head whose sealed chunks never cross a multiple of `span` milliseconds; large ones go into files.
    pub(crate) fn with_files(ring: usize, span: Timestamp, files: Option<Arc<ChunkFiles>>) -> Head {
        let recents = Arc::default();
        let sealer = || Sealer::new(Arc::clone(&recents), files.clone());
        let shard = |i| Mutex::new(Shard::new(i as u16, Shape { ring, span }, sealer()));
        Head {
            shards: (0..SHARDS).map(shard).collect(),
            aliases: Aliases::default(),
            next_id: AtomicU64::new(1),
            cardinality: Cardinality::default(),
            batch: AtomicU64::new(0),
            files,
        }
    }

    /// Where its large chunks are, if anywhere but in memory.
    pub(crate) fn files(&self) -> Option<&ChunkFiles> {
        self.files.as_deref()
    }

    /// The shard of a label set.
    pub(crate) fn shard_of(labels: &Labels) -> usize {
        (labels.stable_hash() >> 32) as usize % SHARDS
    }

    /// A shard, locked.
    pub(crate) fn lock(&self, shard: usize) -> MutexGuard<'_, Shard> {
        self.shards[shard % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Visits all slots, of each shard some at a time under its lock.
    pub(crate) fn in_stretches(&self, mut visit: impl FnMut(usize, &mut Shard, Range<u32>)) {
        let mut slots = 0..SLOTS_AT_A_TIME;
        let mut more = true;
        while std::mem::take(&mut more) {
            // An append goes through the shards from the first to the last: whoever goes the other way meets
            // it once, whoever goes its way may be before it in each.
            for number in (0..SHARDS).rev() {
                let mut shard = self.lock(number);
                more |= slots.end < shard.slots();
                visit(number, &mut shard, slots.clone());
            }
            slots = slots.end..slots.end.saturating_add(SLOTS_AT_A_TIME);
        }
    }

    /// A number no series had.
    pub(crate) fn new_id(&self) -> SeriesId {
        SeriesId(self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    /// Numbers up to `id` are taken.
    pub(crate) fn taken_id(&self, id: SeriesId) {
        self.next_id.fetch_max(id.0 + 1, Ordering::Relaxed);
    }

    /// The lowest number that is free.
    pub(crate) fn next_id(&self) -> u64 {
        self.next_id.load(Ordering::Relaxed)
    }

    /// A number for a batch, never 0.
    pub(crate) fn new_batch(&self) -> u64 {
        self.batch.fetch_add(1, Ordering::Relaxed) + 1
    }
}
