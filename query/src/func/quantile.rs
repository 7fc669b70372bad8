//! Quantiles of native histograms.

use ringwell_storage::model::{Bucket, FloatHistogram};

use super::histogram::{is_geometric, settled};

/// What a user should hear about the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NanNote {
    /// Nothing.
    None,
    /// Observations of NaN made the result NaN.
    ResultIsNan,
    /// Observations of NaN count as higher than all others.
    SkewedHigher,
}

/// The ends of the bucket that holds a quantile; `None` without observations, or for no quantile.
pub(crate) fn holding(h: &FloatHistogram, q: f64) -> Option<(f64, f64)> {
    if h.count == 0.0 || !(0.0..=1.0).contains(&q) {
        return None;
    }
    let rank = q * h.count;
    let mut seen = 0.0;
    let mut found = None;
    for bucket in h.buckets().into_iter().filter(|bucket| bucket.count > 0.0) {
        seen += bucket.count;
        found = Some(settled(h, bucket));
        if seen >= rank {
            break;
        }
    }
    found.map(|bucket| (bucket.lower, bucket.upper))
}

/// The value below which a share `q` of the observations lies.
pub(crate) fn quantile(h: &FloatHistogram, q: f64) -> (f64, NanNote) {
    if q < 0.0 {
        return (f64::NEG_INFINITY, NanNote::None);
    }
    if q > 1.0 {
        return (f64::INFINITY, NanNote::None);
    }
    if h.count == 0.0 || q.is_nan() {
        return (f64::NAN, NanNote::None);
    }
    let has_nan = h.sum.is_nan();
    let upwards = has_nan || q < 0.5;
    let rank = if upwards { q * h.count } else { (1.0 - q) * h.count };
    let mut buckets = h.buckets();
    if !upwards {
        buckets.reverse();
    }
    let mut seen = 0.0;
    let mut found: Option<Bucket> = None;
    for bucket in buckets {
        seen += bucket.count;
        found = Some(bucket);
        if seen >= rank {
            break;
        }
    }
    let Some(bucket) = found else {
        let note = if has_nan { NanNote::ResultIsNan } else { NanNote::None };
        return (f64::NAN, note);
    };
    let note = if has_nan { NanNote::SkewedHigher } else { NanNote::None };
    if h.is_custom() {
        if bucket.lower == f64::NEG_INFINITY && bucket.upper <= 0.0 {
            return (bucket.upper, note);
        }
        if bucket.upper == f64::INFINITY {
            return (bucket.lower, note);
        }
    }
    let bucket = settled(h, bucket);
    seen = seen.min(h.count);
    if seen < rank {
        return if has_nan { (f64::NAN, NanNote::ResultIsNan) } else { (bucket.upper, note) };
    }
    let into = if upwards { rank - (seen - bucket.count) } else { seen - rank };
    (within(h, &bucket, into / bucket.count), note)
}

fn within(h: &FloatHistogram, bucket: &Bucket, share: f64) -> f64 {
    if !is_geometric(h, bucket) {
        return bucket.lower + (bucket.upper - bucket.lower) * share;
    }
    let (lower, upper) = (bucket.lower.abs().log2(), bucket.upper.abs().log2());
    (lower + (upper - lower) * share).exp2().copysign(bucket.upper)
}
