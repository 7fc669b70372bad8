//! The values everything else speaks of. Pure: no disk, no locks, no clock.

mod histogram;
mod label;
mod matcher;
mod plain;
mod re2;
mod sample;
mod time;

pub use histogram::{
    Bucket, Combined, CounterReset, Counts, FloatHistogram, HDR_SCHEMA_BASE, Histogram,
    HistogramError, Mismatch, Quantile, Schema, Sketch, Span, average as average_histograms,
    sum as sum_histograms,
};
pub use label::{Label, LabelError, Labels, LabelsBuilder, METRIC_NAME};
pub use matcher::{MatchOp, Matcher, MatcherError, compile_regex};
pub use sample::{STALE_NAN, Sample, SampleBuf, Value, is_stale};
pub use time::{TimeRange, Timestamp};

/// The permanent number of a series. Never reused, so a stale reference can never name another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesId(pub u64);

/// A byte offset in the log. Every record has one of its own; higher means later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WalPosition(pub u64);
