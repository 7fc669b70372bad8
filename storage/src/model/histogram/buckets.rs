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
        // As in Prometheus, a zero bucket of less than nothing (in a difference) is not shown.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::CounterReset;

    #[test]
    fn buckets_ascend_and_are_clipped_at_the_zero_bucket() {
        let h = FloatHistogram {
            reset: CounterReset::Unknown,
            schema: Schema::Exponential(0),
            zero_threshold: 0.75,
            zero_count: 2.0,
            count: 6.0,
            sum: 0.0,
            positive: vec![(0, 1.0), (1, 2.0)],
            negative: vec![(1, 1.0)],
            custom_values: [].into(),
        };
        let shown: Vec<_> = h.buckets().iter().map(|b| (b.lower, b.upper, b.count)).collect();
        let want = [(-2.0, -1.0, 1.0), (-0.75, 0.75, 2.0), (0.75, 1.0, 1.0), (1.0, 2.0, 2.0)];
        assert_eq!(shown, want);
        let less = FloatHistogram { zero_count: -2.0, ..h };
        assert_eq!(less.buckets().len(), 3);
    }

    #[test]
    fn custom_buckets_end_at_infinity_and_hdr_ones_are_closed_below() {
        let of = |schema, positive: &[(i32, f64)], bounds: &[f64]| FloatHistogram {
            reset: CounterReset::Unknown,
            schema,
            zero_threshold: 0.0,
            zero_count: 0.0,
            count: 1.0,
            sum: 0.0,
            positive: positive.to_vec(),
            negative: Vec::new(),
            custom_values: bounds.into(),
        };
        let custom = of(Schema::Custom, &[(0, 1.0), (1, 1.0)], &[5.0]).buckets();
        let ends: Vec<_> = custom.iter().map(|b| (b.lower, b.upper, b.lower_inclusive)).collect();
        assert_eq!(ends, [(f64::NEG_INFINITY, 5.0, true), (5.0, f64::INFINITY, false)]);
        let hdr = of(Schema::Hdr(1), &[(2046, 1.0)], &[]).buckets();
        let ends: Vec<_> = hdr.iter().map(|b| (b.lower_inclusive, b.upper_inclusive)).collect();
        assert_eq!(ends, [(true, false)]);
    }
}
