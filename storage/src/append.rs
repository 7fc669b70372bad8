//! What goes in: a batch of samples, and what became of each.
//!
//! Admission happens before the log, so what is logged is applied, live and in replay, without a
//! second opinion. A refused sample is a value here, never an error of the batch.

use crate::model::{LabelError, Labels, Sample, WalPosition};

/// Samples of one or many series, in the sender's order.
#[derive(Clone, Debug, Default)]
pub struct Batch<'a> {
    /// The series, each with its samples.
    pub series: Vec<SeriesSamples<'a>>,
    /// What to do with a second value for a taken millisecond.
    pub duplicates: Duplicates,
}

/// Samples of one series.
#[derive(Clone, Debug)]
pub struct SeriesSamples<'a> {
    /// Whose samples these are.
    pub series: SeriesRef<'a>,
    /// The samples; in order of time is the fast path.
    pub samples: Samples,
}

/// Samples of one series; one, as a scraper sends them, needs no allocation of its own.
pub type Samples = smallvec::SmallVec<[Sample; 1]>;

/// How a sender names a series.
#[derive(Clone, Debug)]
pub enum SeriesRef<'a> {
    /// By its labels.
    Labels(Labels),
    /// By the bytes the sender's protocol spells labels with. Known bytes map straight to their
    /// series; unknown ones are parsed once by `parse`.
    Raw {
        /// The bytes, equal for equal spellings of one protocol.
        bytes: &'a [u8],
        /// Makes labels of them.
        parse: fn(&[u8]) -> Result<Labels, LabelError>,
    },
}

/// What to do with another value for a millisecond that is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Duplicates {
    /// Refuse it and say so, as Prometheus does. An equal value is silently fine.
    #[default]
    Reject,
    /// The later one wins.
    Last,
    /// It moves to the next free millisecond, at most 999 on (elements of lists are events).
    NextFree,
}

/// What became of a batch.
#[derive(Clone, Debug, Default)]
pub struct Appended {
    /// Where the log ends for this batch: wait for it, then acknowledge.
    pub position: WalPosition,
    /// Samples taken (equal duplicates included).
    pub accepted: u64,
    /// Samples refused, each with its place in the batch.
    pub rejected: Vec<Rejected>,
}

/// One refused sample, or one refused series (then `sample` is `None`).
#[derive(Clone, Debug)]
pub struct Rejected {
    /// Index into [`Batch::series`].
    pub series: usize,
    /// Index into its samples; `None` = all of them.
    pub sample: Option<usize>,
    /// Why.
    pub reason: Rejection,
}

/// Why a sample or series is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Rejection {
    /// Another value has this millisecond.
    #[error("duplicate sample for timestamp")]
    Duplicate,
    /// Older than what is kept.
    #[error("too old sample: older than the retention, {horizon} ms since 1970")]
    TooOld {
        /// Oldest time taken.
        horizon: i64,
    },
    /// Too far ahead of the clock.
    #[error("sample is {ahead} ms in the future, more than {limit} ms are refused")]
    TooNew {
        /// How far ahead.
        ahead: i64,
        /// How far is allowed.
        limit: i64,
    },
    /// A limit would be passed; names which one.
    #[error("{limit} limit of {max} reached: {offender}")]
    LimitReached {
        /// Which limit.
        limit: &'static str,
        /// Its value.
        max: u64,
        /// Whose fault: a metric, a label.
        offender: String,
    },
    /// The labels are no label set.
    #[error("invalid labels: {0}")]
    Labels(#[from] LabelError),
    /// The histogram contradicts itself.
    #[error("invalid histogram: {0}")]
    Histogram(#[from] crate::model::HistogramError),
}

impl Rejection {
    /// The reason's name in metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Rejection::Duplicate => "duplicate",
            Rejection::TooOld { .. } => "too_old",
            Rejection::TooNew { .. } => "too_new",
            Rejection::LimitReached { .. } => "limit",
            Rejection::Labels(_) => "labels",
            Rejection::Histogram(_) => "histogram",
        }
    }
}

/// Why nothing of a batch could be taken.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// The log cannot be written now; try again later.
    #[error("log not writable: {0}")]
    Log(String),
    /// Too little room is left on the disk; taken again, without a restart, once there is more.
    #[error("ingest is stopped: {free} bytes are free on the disk, the minimum is {min_free}")]
    Full {
        /// Bytes free.
        free: u64,
        /// How many there must be.
        min_free: u64,
    },
    /// A sync failed: nothing is acknowledged until the store is opened anew.
    #[error("store is read-only after a failed sync: {0}")]
    Poisoned(String),
}
