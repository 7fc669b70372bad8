//! What a single histogram tells: count, sum, mean, spread, the share between two values.

use ringwell_storage::model::{Bucket, FloatHistogram, Schema};

use super::sums::Sum;

pub(crate) fn count(h: &FloatHistogram) -> f64 {
    h.count
}

pub(crate) fn sum(h: &FloatHistogram) -> f64 {
    h.sum
}

pub(crate) fn avg(h: &FloatHistogram) -> f64 {
    h.sum / h.count
}

pub(crate) fn stddev(h: &FloatHistogram) -> f64 {
    stdvar(h).sqrt()
}

/// The variance if every observation lay in the middle of its bucket.
pub(crate) fn stdvar(h: &FloatHistogram) -> f64 {
    let mean = h.sum / h.count;
    let mut total = Sum::default();
    for bucket in h.buckets() {
        let middle = if bucket.lower <= 0.0 && bucket.upper >= 0.0 && !h.is_custom() {
            0.0
        } else if matches!(h.schema, Schema::Exponential(_)) {
            let middle = (bucket.upper.abs()).sqrt() * (bucket.lower.abs()).sqrt();
            middle.copysign(bucket.upper)
        } else {
            let bucket = from_zero(bucket);
            (bucket.upper + bucket.lower) / 2.0
        };
        total.add(bucket.count * (middle - mean) * (middle - mean));
    }
    total.total() / h.count
}

/// The first bucket of positive custom bounds is taken to begin at zero.
fn from_zero(bucket: Bucket) -> Bucket {
    if bucket.lower == f64::NEG_INFINITY && bucket.upper > 0.0 {
        Bucket { lower: 0.0, ..bucket }
    } else {
        bucket
    }
}

/// The zero bucket narrowed to the side of all other observations; other buckets as they are.
pub(crate) fn settled(h: &FloatHistogram, bucket: Bucket) -> Bucket {
    if h.is_custom() {
        from_zero(bucket)
    } else if bucket.lower <= 0.0 && bucket.upper >= 0.0 {
        let (lower, upper) = h.zero_bounds();
        Bucket { lower, upper, ..bucket }
    } else {
        bucket
    }
}

/// Whether positions within a bucket are even in the logarithm.
pub(crate) fn is_geometric(h: &FloatHistogram, bucket: &Bucket) -> bool {
    matches!(h.schema, Schema::Exponential(_)) && bucket.lower * bucket.upper > 0.0
}

/// How far into a bucket `value` lies, from 0 to 1.
fn position(h: &FloatHistogram, bucket: &Bucket, value: f64) -> f64 {
    // A bucket without end cannot be divided: all of it lies at its finite bound.
    if bucket.lower == f64::NEG_INFINITY {
        return 1.0;
    }
    if bucket.upper == f64::INFINITY {
        return 0.0;
    }
    if !is_geometric(h, bucket) {
        return (value - bucket.lower) / (bucket.upper - bucket.lower);
    }
    let log = |x: f64| x.abs().log2();
    (log(value) - log(bucket.lower)) / (log(bucket.upper) - log(bucket.lower))
}

/// The share of observations between two values.
pub(crate) fn fraction(h: &FloatHistogram, lower: f64, upper: f64) -> f64 {
    if h.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let buckets = h.buckets();
    let rank = |value: f64| {
        let mut rank = 0.0;
        for &bucket in &buckets {
            let bucket = settled(h, bucket);
            if bucket.lower >= value {
                return rank;
            }
            if bucket.upper > value {
                return rank + bucket.count * position(h, &bucket, value);
            }
            rank += bucket.count;
        }
        // Observations of NaN are in no bucket: above all of them there is nothing more.
        if h.sum.is_nan() { rank } else { h.count }
    };
    let at = |value: f64| rank(value).min(h.count);
    (at(upper) - at(lower)) / h.count
}
