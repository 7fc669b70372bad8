//! A sealed, encoded run of samples in memory.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use super::blocks::Blocks;
use super::files::{Away, ChunkFiles};
use super::open::Ring;
use crate::chunk::{
    ChunkStats, Effort, decode_timestamps, decode_values, encode_timestamps_quick,
    encode_values_with,
};
use crate::model::{SampleBuf, Timestamp};
use crate::read::ReadError;
use crate::wire::FormatError;

/// The encoded columns of a chunk.
#[derive(Debug)]
pub(crate) enum Columns {
    /// In memory; the timestamps are shared with the other series that were sampled at the same times.
    Here(Arc<[u8]>, Box<[u8]>),
    /// In a file.
    Away(Away),
}

/// Of many series most chunks are this and their bytes.
const _: () = assert!(size_of::<HeadChunk>() <= 80);

/// Immutable once made; shared by the series, its readers and a running checkpoint.
#[derive(Debug)]
pub(crate) struct HeadChunk {
    pub(crate) count: u32,
    pub(crate) min_t: Timestamp,
    pub(crate) max_t: Timestamp,
    pub(crate) columns: Columns,
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
            columns: Columns::Here(timestamps, encode_values_with(samples, Effort::Quick).into()),
            summary: OnceLock::new(),
        }
    }

    /// Its statistics, if all its samples are floats and none ends the series.
    pub(crate) fn stats(&self) -> Result<Option<ChunkStats>, ReadError> {
        if let Some(known) = self.summary.get() {
            return Ok(known.as_deref().copied());
        }
        let mut samples = SampleBuf::default();
        match &self.columns {
            Columns::Here(_, values) => self.decode_values(values, &mut samples)?,
            Columns::Away(away) => self.decode_values(&away.values()?, &mut samples)?,
        }
        let stats = ChunkStats::of(&samples.v);
        let whole = samples.h.is_empty() && stats.count == u64::from(self.count);
        let stats = self.summary.get_or_init(|| whole.then(|| stats.into()));
        Ok(stats.as_deref().copied())
    }

    /// Bytes of its values, encoded.
    pub(crate) fn values_len(&self) -> usize {
        match &self.columns {
            Columns::Here(_, values) => values.len(),
            Columns::Away(away) => away.values_len(),
        }
    }

    /// Appends all samples to `out`.
    pub(crate) fn decode(&self, out: &mut SampleBuf) -> Result<(), ReadError> {
        match &self.columns {
            Columns::Here(timestamps, values) => self.decode_columns(timestamps, values, out),
            Columns::Away(away) => self.decode_columns(&away.timestamps()?, &away.values()?, out),
        }
    }

    fn decode_columns(
        &self,
        timestamps: &[u8],
        values: &[u8],
        out: &mut SampleBuf,
    ) -> Result<(), ReadError> {
        decode_timestamps(timestamps, self.count as usize, &mut out.t)
            .map_err(|error| self.damaged(&error))?;
        self.decode_values(values, out)
    }

    fn decode_values(&self, values: &[u8], out: &mut SampleBuf) -> Result<(), ReadError> {
        decode_values(values, self.count as usize, out).map_err(|error| self.damaged(&error))
    }

    fn damaged(&self, error: &FormatError) -> ReadError {
        match &self.columns {
            Columns::Here(..) => ReadError::Corrupt {
                path: "head chunk in memory".to_owned(),
                offset: error.offset as u64,
                reason: error.what.to_owned(),
            },
            Columns::Away(away) => away.damaged(error),
        }
    }
}

/// Recently sealed timestamp columns, so that equal ones are kept once, whichever series and shard they are of.
#[derive(Debug)]
pub(crate) struct Recents(Mutex<Vec<Option<Recent>>>);

/// A column while some chunk holds it.
#[derive(Clone, Debug)]
struct Recent {
    hash: u64,
    count: usize,
    encoded: Weak<[u8]>,
}

impl Default for Recents {
    fn default() -> Recents {
        Recents(Mutex::new(vec![None; Recents::RECENT]))
    }
}

impl Recents {
    /// How many columns are known at a time; series of one target seal close together.
    const RECENT: usize = 256;

    /// The encoded column of these times, another's if that is equal.
    fn share(&self, t: &[Timestamp], scratch: &mut Vec<Timestamp>) -> Arc<[u8]> {
        let ends = [t.first(), t.get(t.len() / 2), t.last()];
        let hash = ends.into_iter().flatten().fold(t.len() as u64, |hash, t| {
            (hash ^ t.cast_unsigned()).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23)
        });
        let place = hash as usize % Recents::RECENT;
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
    recents: Arc<Recents>,
    /// Where large chunks go; none = they stay in memory.
    files: Option<Arc<ChunkFiles>>,
    /// Memory that is used again.
    samples: SampleBuf,
    times: Vec<Timestamp>,
    bytes: Vec<u8>,
}

impl Sealer {
    pub(crate) fn new(recents: Arc<Recents>, files: Option<Arc<ChunkFiles>>) -> Sealer {
        Sealer { recents, files, ..Sealer::default() }
    }

    /// Encodes a run, not empty.
    pub(crate) fn seal(&mut self, samples: &SampleBuf) -> HeadChunk {
        let timestamps = self.recents.share(&samples.t, &mut self.times);
        HeadChunk::encode(samples, timestamps)
    }

    /// Puts a chunk into a file, if it is in memory and there is room in one.
    pub(super) fn put_away(&self, chunk: &mut HeadChunk) {
        if let (Columns::Here(timestamps, values), Some(files)) = (&chunk.columns, &self.files)
            && let Some(away) = files.put(timestamps, values)
        {
            chunk.columns = Columns::Away(away);
        }
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
