//! A sealed, encoded run of samples in memory.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use super::blocks::Blocks;
use super::open::Ring;
use crate::chunk::{
    ChunkStats, Effort, decode_timestamps, decode_values, encode_timestamps_quick,
    encode_values_with,
};
use crate::model::{SampleBuf, Timestamp};
use crate::wire::FormatError;

/// Immutable once made; shared by the series, its readers and a running checkpoint.
#[derive(Debug)]
pub(crate) struct HeadChunk {
    pub(crate) count: u32,
    pub(crate) min_t: Timestamp,
    pub(crate) max_t: Timestamp,
    /// Shared with the other series that were sampled at the same times.
    pub(crate) timestamps: Arc<[u8]>,
    pub(crate) values: Box<[u8]>,
    /// Found out when a query first asks, so that ingest pays nothing for it.
    pub(crate) summary: OnceLock<Option<Box<ChunkStats>>>,
}

impl HeadChunk {
    /// Encodes a run, not empty, whose timestamps are encoded.
    fn encode(samples: &SampleBuf, timestamps: Arc<[u8]>) -> HeadChunk {
        HeadChunk {
            count: samples.len() as u32,
            min_t: samples.t.first().copied().unwrap_or(0),
            max_t: samples.t.last().copied().unwrap_or(0),
            timestamps,
            values: encode_values_with(samples, Effort::Quick).into(),
            summary: OnceLock::new(),
        }
    }

    /// Its statistics, if all its samples are floats and none ends the series.
    pub(crate) fn stats(&self) -> Option<ChunkStats> {
        let find = || {
            let mut samples = SampleBuf::default();
            decode_values(&self.values, self.count as usize, &mut samples).ok()?;
            let stats = ChunkStats::of(&samples.v);
            (samples.h.is_empty() && stats.count == u64::from(self.count)).then(|| stats.into())
        };
        self.summary.get_or_init(find).as_deref().copied()
    }

    /// Appends all samples to `out`.
    pub(crate) fn decode(&self, out: &mut SampleBuf) -> Result<(), FormatError> {
        decode_timestamps(&self.timestamps, self.count as usize, &mut out.t)?;
        decode_values(&self.values, self.count as usize, out)
    }
}

/// Recently sealed timestamp columns, so that equal ones are kept once, whichever series and shard they are of.
#[derive(Debug)]
pub(crate) struct Columns(Mutex<Vec<Option<Recent>>>);

/// A column while some chunk holds it.
#[derive(Clone, Debug)]
struct Recent {
    hash: u64,
    count: usize,
    encoded: Weak<[u8]>,
}

impl Default for Columns {
    fn default() -> Columns {
        Columns(Mutex::new(vec![None; Columns::RECENT]))
    }
}

impl Columns {
    /// How many columns are known at a time; series of one target seal close together.
    const RECENT: usize = 256;

    /// The encoded column of these times, another's if that is equal.
    fn share(&self, t: &[Timestamp], scratch: &mut Vec<Timestamp>) -> Arc<[u8]> {
        let ends = [t.first(), t.get(t.len() / 2), t.last()];
        let hash = ends.into_iter().flatten().fold(t.len() as u64, |hash, t| {
            (hash ^ t.cast_unsigned()).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23)
        });
        let place = hash as usize % Columns::RECENT;
        let known = self.lock().get(place).cloned().flatten();
        let known = known.filter(|known| (known.hash, known.count) == (hash, t.len()));
        if let Some(column) = known.and_then(|known| known.encoded.upgrade()) {
            scratch.clear();
            if decode_timestamps(&column, t.len(), scratch).is_ok() && *scratch == *t {
                return column;
            }
        }
        let column: Arc<[u8]> = encode_timestamps_quick(t).into();
        if let Some(place) = self.lock().get_mut(place) {
            *place = Some(Recent { hash, count: t.len(), encoded: Arc::downgrade(&column) });
        }
        column
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Option<Recent>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Seals runs of samples of a shard.
#[derive(Debug, Default)]
pub(crate) struct Sealer {
    columns: Arc<Columns>,
    /// Memory that is used again.
    samples: SampleBuf,
    times: Vec<Timestamp>,
    bytes: Vec<u8>,
}

impl Sealer {
    pub(crate) fn new(columns: Arc<Columns>) -> Sealer {
        Sealer { columns, ..Sealer::default() }
    }

    /// Encodes a run, not empty.
    pub(crate) fn seal(&mut self, samples: &SampleBuf) -> HeadChunk {
        let timestamps = self.columns.share(&samples.t, &mut self.times);
        HeadChunk::encode(samples, timestamps)
    }

    /// Encodes open samples, not none.
    pub(super) fn seal_ring(&mut self, ring: &Ring, blocks: &Blocks) -> HeadChunk {
        let mut samples = std::mem::take(&mut self.samples);
        ring.decode(blocks, &mut self.bytes, &mut samples);
        let chunk = self.seal(&samples);
        samples.clear();
        self.samples = samples;
        chunk
    }
}
