//! A histogram's buckets as intervals, in order of value.

use super::{Counts, FloatHistogram, Histogram, Schema};

/// One populated bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// Lower bound.
    pub lower: f64,
    /// Upper bound.
    pub upper: f64,
    /// Whether an observation at the lower bound counts here.
    pub lower_inclusive: bool,
    /// Whether an observation at the upper bound counts here.
    pub upper_inclusive: bool,
    /// How many observations.
    pub count: f64,
}

impl Histogram {
    /// The populated buckets, ascending, the zero bucket among them.
    pub fn buckets(&self) -> Vec<Bucket> {
        FloatHistogram::from(self).buckets()
    }

    /// The number of all observations.
    pub fn count(&self) -> f64 {
        match &self.counts {
            Counts::Integer { count, .. } => *count as f64,
            Counts::Float { count, .. } => *count,
        }
    }
}

impl FloatHistogram {
    /// The populated buckets, ascending, the zero bucket among them. Neighbours of the zero bucket
    /// are clipped at its threshold.
    pub fn buckets(&self) -> Vec<Bucket> {
        let mut out = Vec::with_capacity(self.positive.len() + self.negative.len() + 1);
        for &(index, count) in self.negative.iter().rev().filter(|b| b.1 != 0.0) {
            out.push(self.negative_bucket(index, count));
        }
        if self.zero_count > 0.0 {
            out.push(Bucket {
                lower: -self.zero_threshold,
                upper: self.zero_threshold,
                lower_inclusive: true,
                upper_inclusive: true,
                count: self.zero_count,
            });
        }
        for &(index, count) in self.positive.iter().filter(|b| b.1 != 0.0) {
            out.push(self.positive_bucket(index, count));
        }
        out
    }

    fn positive_bucket(&self, index: i32, count: f64) -> Bucket {
        let (mut lower, upper) = self.schema.bounds(index, &self.custom_values);
        if self.schema != Schema::Custom && lower < self.zero_threshold {
            lower = self.zero_threshold;
        }
        let lower_inclusive = match self.schema {
            Schema::Exponential(_) => false,
            Schema::Custom => lower == f64::NEG_INFINITY,
            Schema::Hdr(_) => true,
        };
        let upper_inclusive = !matches!(self.schema, Schema::Hdr(_));
        Bucket { lower, upper, lower_inclusive, upper_inclusive, count }
    }

    fn negative_bucket(&self, index: i32, count: f64) -> Bucket {
        let mirror = self.positive_bucket(index, count);
        Bucket {
            lower: -mirror.upper,
            upper: -mirror.lower,
            lower_inclusive: mirror.upper_inclusive,
            upper_inclusive: mirror.lower_inclusive,
            count,
        }
    }
}
