//! `deriv`, `predict_linear` and `double_exponential_smoothing`.

use super::over_time::only_floats;
use super::sums::Sum;
use crate::exec::{Call, Out, Window};

/// A line needs two points.
fn floats(w: &Window<'_>, call: &Call<'_>) -> Option<Vec<(i64, f64)>> {
    let floats: Vec<(i64, f64)> = only_floats(w, call)?.collect();
    (floats.len() >= 2).then_some(floats)
}

pub(crate) fn deriv(w: &Window<'_>, call: &Call<'_>) -> Option<Out> {
    let floats = floats(w, call)?;
    let (slope, _) = line(&floats, floats.first()?.0);
    Some(Out::Float(slope))
}

pub(crate) fn predict_linear(w: &Window<'_>, call: &Call<'_>) -> Option<Out> {
    let [ahead, _] = call.params;
    let (slope, now) = line(&floats(w, call)?, call.t);
    Some(Out::Float(slope * ahead + now))
}

/// Least squares: slope per second, and the value at `origin`.
fn line(samples: &[(i64, f64)], origin: i64) -> (f64, f64) {
    let first = samples.first().map_or(f64::NAN, |s| s.1);
    if samples.iter().all(|s| s.1 == first) {
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let n = samples.len() as f64;
    let [mut x, mut y, mut xy, mut xx] = [Sum::default(); 4];
    for &(t, value) in samples {
        let seconds = t.saturating_sub(origin) as f64 / 1000.0;
        x.add(seconds);
        y.add(value);
        xy.add(seconds * value);
        xx.add(seconds * seconds);
    }
    let (x, y) = (x.total(), y.total());
    let covariance = xy.total() - x * y / n;
    let variance = xx.total() - x * x / n;
    let slope = covariance / variance;
    (slope, y / n - slope * x / n)
}

pub(crate) fn double_exponential_smoothing(w: &Window<'_>, call: &Call<'_>) -> Option<Out> {
    let [smoothing, trend_factor] = call.params;
    let floats = floats(w, call)?;
    let (first, second) = (floats.first()?.1, floats.get(1)?.1);
    let (mut before, mut level, mut trend) = (0.0, first, second - first);
    for (i, &(_, value)) in floats.iter().enumerate().skip(1) {
        if i > 1 {
            trend = trend_factor * (level - before) + (1.0 - trend_factor) * trend;
        }
        let next = smoothing * value + (1.0 - smoothing) * (level + trend);
        (before, level) = (level, next);
    }
    Some(Out::Float(level))
}
