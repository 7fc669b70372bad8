//! Histograms in one shape: sparse buckets whose bounds follow from a schema.
//!
//! Three families share it. Exponential ones (schema -4..=8) and custom buckets (-53) are exactly
//! Prometheus's native histograms. HDR ones (schema 1000 + k) are log-linear over the float's own
//! exponent and k bits of its mantissa: bucket i holds the floats whose bits, shifted right by
//! 52 - k, are i, so bounds are universal and merging in any order gives the same sketch. There
//! k = 10 answers with 3 significant digits, k = 7 with 2. Infinities have their own bucket by
//! that rule, zeros are counted in `zero`, NaNs only in `count`.

mod bounds;
mod buckets;
mod float;
mod ops;
mod sketch;
mod trim;
mod validate;

use std::sync::Arc;

pub use buckets::Bucket;
pub use float::FloatHistogram;
pub use ops::{Combined, Mismatch, average, sum};
pub use sketch::{Quantile, Sketch};

/// Schema number of an HDR histogram with zero mantissa bits.
pub const HDR_SCHEMA_BASE: i32 = 1000;

/// The rule that gives a bucket its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Schema {
    /// Base 2^(2^-n), bounds `(lower, upper]`, n in -4..=8.
    Exponential(i8),
    /// Explicit upper bounds in `custom_values`.
    Custom,
    /// Log-linear with this many mantissa bits (1..=10), bounds `[lower, upper)`.
    Hdr(u8),
}

impl Schema {
    /// The number written to disk and wire.
    pub fn number(self) -> i32 {
        match self {
            Schema::Exponential(n) => i32::from(n),
            Schema::Custom => -53,
            Schema::Hdr(bits) => HDR_SCHEMA_BASE + i32::from(bits),
        }
    }

    /// The schema of a number; `None` if no such schema is known.
    pub fn from_number(number: i32) -> Option<Schema> {
        match number {
            -4..=8 => Some(Schema::Exponential(number as i8)),
            -53 => Some(Schema::Custom),
            1001..=1010 => Some(Schema::Hdr((number - HDR_SCHEMA_BASE) as u8)),
            _ => None,
        }
    }
}

/// What is known about a counter reset before this sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CounterReset {
    /// Not known: compare with the sample before.
    #[default]
    Unknown,
    /// The counter was reset before this sample.
    Yes,
    /// It certainly was not.
    No,
    /// Not a counter.
    Gauge,
}

/// A run of buckets next to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// Distance from the end of the span before; for the first span, the index itself.
    pub offset: i32,
    /// How many buckets.
    pub length: u32,
}

/// Bucket counts: whole numbers as counters give them, or floats as rates and scaled ones.
/// Each count stands for itself (no deltas), in the order of the spans.
#[derive(Clone, Debug, PartialEq)]
pub enum Counts {
    /// Whole numbers.
    Integer {
        /// All observations.
        count: u64,
        /// Those within the zero bucket.
        zero: u64,
        /// Positive buckets.
        positive: Vec<u64>,
        /// Negative buckets.
        negative: Vec<u64>,
    },
    /// Floats.
    Float {
        /// All observations.
        count: f64,
        /// Those within the zero bucket.
        zero: f64,
        /// Positive buckets.
        positive: Vec<f64>,
        /// Negative buckets.
        negative: Vec<f64>,
    },
}

/// A histogram sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// What is known about a reset.
    pub reset: CounterReset,
    /// How buckets get their bounds.
    pub schema: Schema,
    /// Half width of the zero bucket; 0 counts exact zeros only.
    pub zero_threshold: f64,
    /// Sum of all observations; the stale marker here ends the series.
    pub sum: f64,
    /// Where the positive buckets lie.
    pub positive_spans: Vec<Span>,
    /// Where the negative buckets lie.
    pub negative_spans: Vec<Span>,
    /// Upper bounds of custom buckets, ascending, without +Inf; empty for other schemas.
    pub custom_values: Arc<[f64]>,
    /// How many observations each bucket holds.
    pub counts: Counts,
}

/// Why a histogram cannot be taken.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum HistogramError {
    /// No such schema.
    #[error("histogram has unknown schema {0}, valid are -4 to 8 and -53")]
    UnknownSchema(i64),
    /// Spans and counts differ.
    #[error("{side} spans need {need} buckets, have {have} buckets")]
    BucketCount {
        /// "positive" or "negative".
        side: &'static str,
        /// Buckets by the spans.
        need: u64,
        /// Buckets given.
        have: u64,
    },
    /// A span but the first goes backwards.
    #[error("{side} side span number {number} has negative offset {offset}")]
    NegativeOffset {
        /// "positive" or "negative".
        side: &'static str,
        /// Which span, from 1.
        number: usize,
        /// Its offset.
        offset: i32,
    },
    /// A bucket holds less than nothing.
    #[error("{side} side bucket number {number} has observation count of {count}")]
    NegativeCount {
        /// "positive" or "negative".
        side: &'static str,
        /// Which bucket, from 1.
        number: usize,
        /// Its count.
        count: f64,
    },
    /// More in the buckets than in all.
    #[error("{buckets} observations found in buckets, but the Count field is {count}")]
    CountMismatch {
        /// In the buckets.
        buckets: u64,
        /// In the count.
        count: u64,
    },
    /// Bounds out of order or not finite, or too few for the buckets.
    #[error("custom buckets: {0}")]
    CustomBounds(String),
    /// A threshold, sum or bound that cannot be.
    #[error("{0}")]
    Invalid(String),
}

impl Histogram {
    /// Whether both hold the same bits throughout.
    pub fn same(&self, other: &Histogram) -> bool {
        let bits = |a: f64, b: f64| a.to_bits() == b.to_bits();
        let all =
            |a: &[f64], b: &[f64]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| bits(*a, *b));
        let counts = match (&self.counts, &other.counts) {
            (
                Counts::Float { count: ac, zero: az, positive: ap, negative: an },
                Counts::Float { count: bc, zero: bz, positive: bp, negative: bn },
            ) => bits(*ac, *bc) && bits(*az, *bz) && all(ap, bp) && all(an, bn),
            (a, b) => a == b,
        };
        counts
            && self.reset == other.reset
            && self.schema == other.schema
            && bits(self.zero_threshold, other.zero_threshold)
            && bits(self.sum, other.sum)
            && self.positive_spans == other.positive_spans
            && self.negative_spans == other.negative_spans
            && all(&self.custom_values, &other.custom_values)
    }
}
