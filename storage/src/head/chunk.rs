//! A sealed, encoded run of samples in memory.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock, Weak};

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
    /// Encodes a run, not empty.
    pub(crate) fn encode(samples: &SampleBuf, columns: &mut Columns) -> HeadChunk {
        HeadChunk {
            count: samples.len() as u32,
            min_t: samples.t.first().copied().unwrap_or(0),
            max_t: samples.t.last().copied().unwrap_or(0),
            timestamps: columns.share(&samples.t),
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

/// A column's timestamps, and its encoded form while some chunk holds it.
type Sealed = (Box<[Timestamp]>, Weak<[u8]>);

/// Recently sealed timestamp columns of a shard, so that equal ones are encoded and kept once.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    recent: VecDeque<Sealed>,
}

impl Columns {
    /// How many columns are compared with; series of one target seal close together.
    const RECENT: usize = 8;

    fn share(&mut self, t: &[Timestamp]) -> Arc<[u8]> {
        let known = self.recent.iter().find(|(known, _)| **known == *t);
        if let Some(column) = known.and_then(|(_, weak)| weak.upgrade()) {
            return column;
        }
        let column: Arc<[u8]> = encode_timestamps_quick(t).into();
        self.recent.truncate(Self::RECENT - 1);
        self.recent.push_front((t.into(), Arc::downgrade(&column)));
        column
    }
}
