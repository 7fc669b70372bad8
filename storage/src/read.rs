//! THE read contract for queries: [`Queryable`] gives a [`Snapshot`], that selects [`Series`], and a
//! series opens a [`Cursor`] over its samples.
//!
//! A snapshot is one moment: a cut or a compaction never shows a sample twice or not at all. Per
//! series a reader sees a prefix in log order. Nothing is copied before a series is selected.

use std::sync::Arc;

pub use crate::chunk::ChunkStats as Stats;

use crate::model::{Labels, Matcher, SampleBuf, TimeRange, Timestamp};

/// Gives snapshots.
pub trait Queryable: Send + Sync {
    /// All that is acknowledged by now, frozen.
    fn snapshot(&self) -> Arc<dyn Snapshot>;
}

/// What one query sees.
pub trait Snapshot: Send + Sync {
    /// The series all matchers accept and that may have samples in `range` (both ends included),
    /// sorted by labels. A series may turn out to have none.
    fn select(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<Vec<Arc<dyn Series>>, ReadError>;

    /// Names of labels on matching series (all series if there are no matchers), sorted.
    fn label_names(&self, matchers: &[Matcher], range: TimeRange)
    -> Result<Vec<String>, ReadError>;

    /// Values of one label on matching series, sorted.
    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<Vec<String>, ReadError>;
}

/// One selected series.
pub trait Series: Send + Sync {
    /// Who it is.
    fn labels(&self) -> &Labels;

    /// How far back an instant selector looks for this series where the query sets nothing, in
    /// milliseconds; `None` = the engine's default.
    fn lookback(&self) -> Option<Timestamp> {
        None
    }

    /// Aggregates of the floats in stretches of `step` milliseconds between its multiples, each without
    /// its start and with its end: one for every stretch that lies in `range` and has a sample, in
    /// order of time. Counts, extremes, first
    /// and last are those of the samples; sums and increases may differ by rounding, as each stretch
    /// is added up by itself. `None` where this is no cheaper than the samples, or there are
    /// histograms.
    fn aggregates(
        &self,
        _range: TimeRange,
        _step: i64,
    ) -> Result<Option<Vec<Aggregate>>, ReadError> {
        Ok(None)
    }

    /// Its samples in `range`, both ends included, in order of time and without doubles. Stale
    /// markers are samples too.
    fn cursor(&self, range: TimeRange) -> Result<Box<dyn Cursor>, ReadError>;
}

/// A run of samples by its statistics alone. It has neither histograms nor stale markers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// Time of its first sample.
    pub first_t: Timestamp,
    /// Time of its last sample.
    pub last_t: Timestamp,
    /// What the samples come to.
    pub stats: Stats,
}

/// The floats of a stretch of time, stale markers excluded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Aggregate {
    /// When the stretch begins; a sample at that very time is not in it.
    pub start: Timestamp,
    /// Time of its first sample.
    pub first_t: Timestamp,
    /// Time of its last sample.
    pub last_t: Timestamp,
    /// What the samples come to.
    pub stats: Stats,
}

/// Walks samples in order of time.
pub trait Cursor: Send {
    /// Appends the next run (about a chunk) to `out`; false when there are no more.
    fn next(&mut self, out: &mut SampleBuf) -> Result<bool, ReadError>;

    /// How many encoded bytes what it has told so far came from.
    fn bytes_read(&self) -> u64 {
        0
    }

    /// Where the next run lies, if statistics may stand for it: all of it is wanted, nothing else is
    /// as old, nothing of it is deleted.
    fn ahead(&self) -> Option<TimeRange> {
        None
    }

    /// Goes past the run that is [`Cursor::ahead`] and tells what its samples come to, without
    /// decoding them. `None`, and it goes nowhere, where that is not known; then `next` reads it.
    fn summary(&mut self) -> Result<Option<Summary>, ReadError> {
        Ok(None)
    }
}

/// Why a read failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// The disk refused.
    #[error("reading {path}: {reason}")]
    Io {
        /// Which file.
        path: String,
        /// What the system said.
        reason: String,
    },
    /// A checksum or a structure does not hold.
    #[error("{path} is damaged at byte {offset}: {reason}")]
    Corrupt {
        /// Which file.
        path: String,
        /// Where.
        offset: u64,
        /// What does not hold.
        reason: String,
    },
}
