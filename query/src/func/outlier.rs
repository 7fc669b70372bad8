//! How far the newest sample of a window lies from the others, windows counted in samples, and
//! samples as a sketch.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringwell_storage::model::{CounterReset, FloatHistogram, Schema};

use super::over_time::only_floats;
use super::sums::{self, Mean, Variance};
use super::training::SIGMAS_PER_MAD;
use crate::exec::{Call, Out, Window};

/// The newest float, and those before it.
fn newest(w: &Window<'_>, call: &Call<'_>) -> Option<(f64, Vec<f64>)> {
    let mut values: Vec<f64> = only_floats(w, call)?.map(|s| s.1).collect();
    let newest = values.pop()?;
    (values.len() >= 2).then_some((newest, values))
}

/// Without spread, what is equal scores 0 and all else is infinitely far.
fn score(distance: f64, spread: f64) -> Option<Out> {
    Some(Out::Float(if distance == 0.0 { 0.0 } else { distance / spread }))
}

pub(crate) fn zscore(w: &Window<'_>, call: &Call<'_>) -> Option<Out> {
    let (newest, before) = newest(w, call)?;
    let (mut mean, mut variance) = (Mean::default(), Variance::default());
    for value in before {
        mean.add(value);
        variance.add(value);
    }
    score(newest - mean.result(), variance.result().sqrt())
}

pub(crate) fn mad_score(w: &Window<'_>, call: &Call<'_>) -> Option<Out> {
    let (newest, mut before) = newest(w, call)?;
    let median = sums::quantile(0.5, &mut before);
    before.iter_mut().for_each(|v| *v = (*v - median).abs());
    score(newest - median, SIGMAS_PER_MAD * sums::quantile(0.5, &mut before))
}

pub(crate) fn avg_last_n(w: &Window<'_>, call: &Call<'_>) -> Option<Out> {
    let [n, _] = call.params;
    let mut mean = Mean::default();
    let mut taken = 0;
    // A NaN is no number of samples, and no float is too large for the comparison.
    for (_, value) in only_floats(w, call)?.rev().take_while(|_| {
        taken += 1;
        f64::from(taken) <= n
    }) {
        mean.add(value);
    }
    (n >= 1.0).then(|| Out::Float(mean.result()))
}

/// Buckets grow by 2^(1/32): a quantile is off by at most 2.2 %, by half of that on average.
const SKETCH: i8 = 5;
/// What is nearer to zero counts as zero.
const ZERO: f64 = 2.938_735_877_055_719e-39;

pub(crate) fn sketch(w: &Window<'_>, call: &Call<'_>) -> Option<Out> {
    let mut sum = sums::Sum::default();
    let (mut count, mut zero) = (0.0, 0.0);
    let mut sides: [BTreeMap<i32, f64>; 2] = Default::default();
    for (_, value) in only_floats(w, call)? {
        if !value.is_finite() {
            call.info("sketch_over_time left out values that are not finite");
            continue;
        }
        sum.add(value);
        count += 1.0;
        let [positive, negative] = &mut sides;
        if value.abs() <= ZERO {
            zero += 1.0;
        } else {
            let side = if value > 0.0 { positive } else { negative };
            *side.entry(bucket(value.abs())).or_insert(0.0) += 1.0;
        }
    }
    let [positive, negative] = sides.map(|side| side.into_iter().collect());
    Some(Out::Histogram(Arc::new(FloatHistogram {
        reset: CounterReset::Gauge,
        schema: Schema::Exponential(SKETCH),
        zero_threshold: ZERO,
        zero_count: zero,
        count,
        sum: sum.total(),
        positive,
        negative,
        custom_values: Arc::from([]),
    })))
}

/// The index of the bucket `(2^((i-1)/32), 2^(i/32)]` a positive number falls into.
fn bucket(value: f64) -> i32 {
    let per_octave = f64::from(1_u32 << SKETCH);
    let guess = (value.log2() * per_octave).ceil();
    let upper = |index: f64| (index / per_octave).exp2();
    // The logarithm may be off by its last bit, which matters right at a bound.
    let index = if value > upper(guess) {
        guess + 1.0
    } else if value <= upper(guess - 1.0) {
        guess - 1.0
    } else {
        guess
    };
    index as i32
}

#[cfg(test)]
mod tests {
    use super::bucket;

    #[test]
    fn numbers_fall_into_the_bucket_that_ends_with_them() {
        for (value, index) in [
            (1.0, 0),
            (2.0, 32),
            (0.5, -32),
            (1.01, 1),
            (1.03, 2),
            (f64::MAX, 32_768),
            (1e-38, -4039),
        ] {
            assert_eq!(bucket(value), index, "{value}");
        }
        for i in -900..900 {
            let bound = (f64::from(i) / 32.0).exp2();
            assert_eq!(bucket(bound), i);
            assert_eq!(bucket(bound * (1.0 + 1e-12)), i + 1);
        }
    }
}
