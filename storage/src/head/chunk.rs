//! A sealed, encoded run of samples in memory.

use std::sync::{Arc, Weak};

use crate::chunk::{
    Effort, decode_timestamps, decode_values, encode_timestamps_quick, encode_values_with,
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
}

impl HeadChunk {
    /// Encodes a run, not empty.
    pub(crate) fn encode(samples: &SampleBuf, columns: &mut Columns) -> HeadChunk {
        HeadChunk {
            count: samples.len() as u32,
            min_t: samples.t.first().copied().unwrap_or(0),
            max_t: samples.t.last().copied().unwrap_or(0),
            timestamps: columns.share(encode_timestamps_quick(&samples.t)),
            values: encode_values_with(samples, Effort::Quick).into(),
        }
    }

    /// Appends all samples to `out`.
    pub(crate) fn decode(&self, out: &mut SampleBuf) -> Result<(), FormatError> {
        decode_timestamps(&self.timestamps, self.count as usize, &mut out.t)?;
        decode_values(&self.values, self.count as usize, out)
    }
}

/// Recently sealed timestamp columns of a shard, so that equal ones are kept once.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    recent: Vec<Weak<[u8]>>,
}

impl Columns {
    /// How many columns are compared with; series of one target seal close together.
    const RECENT: usize = 16;

    fn share(&mut self, column: Vec<u8>) -> Arc<[u8]> {
        let recent = &mut self.recent;
        for weak in recent.iter().rev() {
            if let Some(known) = weak.upgrade()
                && *known == *column
            {
                return known;
            }
        }
        let column: Arc<[u8]> = column.into();
        if recent.len() == Self::RECENT {
            recent.remove(0);
        }
        recent.push(Arc::downgrade(&column));
        column
    }
}
