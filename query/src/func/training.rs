//! What a training curve does: trend, noise, convergence, plateau, divergence.
//!
//! Windows are read along the step axis where the series has one (see `exec::training`), else by
//! position. The robust forms need enough points to mean something and give nothing below that;
//! the `seed_*` forms reproduce the formulas of the scripts Ringwell grew from, defects included.
//! docs/promql.md has every formula.

use super::over_time::only_floats;
use super::sums::{self, Mean, Sum, Variance};
use crate::exec::{Call, Out, Window};

/// Of a normal distribution, the standard deviation in median absolute deviations.
pub(super) const SIGMAS_PER_MAD: f64 = 1.482_602_218_505_602;

/// The points of a window: `(step or position, value)`, in order of the axis.
fn points(w: &Window<'_>, call: &Call<'_>) -> Option<Vec<(f64, f64)>> {
    drop(only_floats(w, call)?);
    let axis = |i: usize| w.all.axis.get(i).copied();
    let mut points: Vec<(f64, f64)> = (w.lo..w.hi)
        .filter(|i| w.all.histogram(*i).is_none())
        .enumerate()
        .filter_map(|(n, i)| Some((axis(i).unwrap_or(n as f64), *w.all.v.get(i)?)))
        .filter(|(x, _)| !x.is_nan())
        .collect();
    // Elements may have come out of order; equal steps keep their order of arrival.
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    (!points.is_empty()).then_some(points)
}

fn values(points: &[(f64, f64)]) -> Vec<f64> {
    points.iter().map(|p| p.1).collect()
}

fn truth(value: bool) -> Option<Out> {
    Some(Out::Float(f64::from(u8::from(value))))
}

fn float(value: f64) -> Option<Out> {
    Some(Out::Float(value))
}

/// A least-squares line.
struct Line {
    slope: f64,
    /// The slope's standard error; NaN below three points.
    error: f64,
    mean: f64,
    reach: f64,
}

fn line(points: &[(f64, f64)]) -> Option<Line> {
    let n = points.len() as f64;
    let mean_of = |of: fn(&(f64, f64)) -> f64| sums::sum(points.iter().map(of)) / n;
    let (mean_x, mean) = (mean_of(|p| p.0), mean_of(|p| p.1));
    let [mut xx, mut xy, mut yy] = [Sum::default(); 3];
    for (x, y) in points {
        let (dx, dy) = (x - mean_x, y - mean);
        xx.add(dx * dx);
        xy.add(dx * dy);
        yy.add(dy * dy);
    }
    let (xx, xy, yy) = (xx.total(), xy.total(), yy.total());
    if points.len() < 2 || xx == 0.0 {
        return None;
    }
    let slope = xy / xx;
    let left = (yy - slope * xy).max(0.0);
    let error = if points.len() > 2 { (left / (n - 2.0) / xx).sqrt() } else { f64::NAN };
    let reach = points.last()?.0 - points.first()?.0;
    Some(Line { slope, error, mean, reach })
}

pub(crate) fn trend(w: &Window<'_>, call: &Call<'_>) -> Option<Out> {
    float(line(&points(w, call)?)?.slope)
}

pub(crate) fn trend_error(w: &Window<'_>, call: &Call<'_>) -> Option<Out> {
    let line = line(&points(w, call)?)?;
    (!line.error.is_nan()).then_some(Out::Float(line.error))
}

pub(crate) fn volatility(w: &Window<'_>, call: &Call<'_>) -> Option<Out> {
    let mut variance = Variance::default();
    points(w, call)?.iter().for_each(|p| variance.add(p.1));
    float(variance.result().sqrt())
}

/// The newest part of a curve that is judged: a tenth, but at least `least` points, and as many
/// before it to judge by.
fn recent(count: usize, least: usize) -> Option<usize> {
    let recent = count.div_ceil(10).max(least);
    (count >= 2 * recent).then_some(recent)
}

pub(crate) fn converged(w: &Window<'_>, call: &Call<'_>) -> Option<Out> {
    let mut values = values(&points(w, call)?);
    let [tolerance, _] = call.params;
    let tolerance = if tolerance.is_nan() { 0.01 } else { tolerance };
    let count = values.len();
    let recent = recent(count, 10)?;
    let (before, last) = values.split_at_mut(count - recent);
    let from = before.len() - recent;
    let before = median(before.get_mut(from..)?);
    let last = median(last);
    truth((last - before).abs() <= tolerance * before.abs())
}

pub(crate) fn plateau(w: &Window<'_>, call: &Call<'_>) -> Option<Out> {
    let points = points(w, call)?;
    if points.len() < 10 {
        return None;
    }
    let line = line(&points)?;
    let insignificant = line.slope.abs() <= 2.0 * line.error;
    let tiny = line.slope.abs() * line.reach <= 0.001 * line.mean.abs();
    truth(insignificant || tiny)
}

pub(crate) fn diverging(w: &Window<'_>, call: &Call<'_>) -> Option<Out> {
    let mut values = values(&points(w, call)?);
    let count = values.len();
    let recent = recent(count, 5)?;
    let tail = values.get(count - recent..)?;
    if tail.iter().any(|v| !v.is_finite()) {
        return truth(true);
    }
    values.iter_mut().filter(|v| !v.is_finite()).for_each(|v| *v = f64::MAX);
    let mut moves: Vec<f64> = values
        .windows(2)
        .map(|pair| pair.iter().rev().copied().reduce(|b, a| b - a))
        .map(|moved| moved.unwrap_or(0.0).abs())
        .collect();
    let noise = SIGMAS_PER_MAD * median(&mut moves) / std::f64::consts::SQRT_2;
    let (before, last) = values.split_at_mut(count - recent);
    let best = before.rchunks_exact_mut(recent).map(median).fold(f64::INFINITY, f64::min);
    let rise = median(last) - best;
    truth(rise > 4.0 * noise && rise > 0.1 * best.abs())
}

fn median(values: &mut [f64]) -> f64 {
    sums::quantile(0.5, values)
}

/// The slope over positions, as the seed computes it; nothing below ten points.
fn seed_slope_of(points: &[(f64, f64)]) -> Option<f64> {
    if points.len() < 10 {
        return None;
    }
    let n = points.len() as f64;
    let [mut x, mut y, mut xy, mut xx] = [0.0; 4];
    for (i, (_, value)) in points.iter().enumerate() {
        let i = i as f64;
        x += i;
        y += value;
        xy += i * value;
        xx += i * i;
    }
    Some((n * xy - x * y) / (n * xx - x * x))
}

pub(crate) fn seed_slope(w: &Window<'_>, call: &Call<'_>) -> Option<Out> {
    float(seed_slope_of(&points(w, call)?)?)
}

pub(crate) fn seed_trend(w: &Window<'_>, call: &Call<'_>) -> Option<Out> {
    let slope = seed_slope_of(&points(w, call)?)?;
    float(if slope < -0.01 {
        -1.0
    } else if slope > 0.01 {
        1.0
    } else {
        0.0
    })
}

pub(crate) fn seed_volatility(w: &Window<'_>, call: &Call<'_>) -> Option<Out> {
    let points = points(w, call)?;
    if points.len() < 10 {
        return None;
    }
    let n = points.len() as f64;
    let mean = points.iter().map(|p| p.1).sum::<f64>() / n;
    let variance = points.iter().map(|p| (p.1 - mean).powi(2)).sum::<f64>() / n;
    float(variance.sqrt())
}

pub(crate) fn seed_converged(w: &Window<'_>, call: &Call<'_>) -> Option<Out> {
    let points = points(w, call)?;
    if points.len() < 10 {
        return None;
    }
    let recent = points.len() / 10;
    let tail = points.get(points.len() - recent..)?;
    let lowest = tail.iter().map(|p| p.1).fold(f64::INFINITY, f64::min);
    let highest = tail.iter().map(|p| p.1).fold(f64::NEG_INFINITY, f64::max);
    truth((highest - lowest) / lowest * 100.0 < 1.0)
}

pub(crate) fn seed_plateau(w: &Window<'_>, call: &Call<'_>) -> Option<Out> {
    let newest = only_floats(w, call)?.rev().take(10);
    truth(newest.map(|s| s.1).sum::<f64>() / 10.0 < 0.01)
}

/// 0 as ever, 1 a warning, 2 critical: the mean of the newest 20 against mean and sample standard
/// deviation of all. With fewer than ten points there is no verdict.
pub(crate) fn seed_response_time(w: &Window<'_>, call: &Call<'_>) -> Option<Out> {
    let values: Vec<f64> = only_floats(w, call)?.map(|s| s.1).collect();
    if values.len() < 10 {
        return None;
    }
    let mean_of = |values: &[f64]| {
        let mut mean = Mean::default();
        values.iter().for_each(|v| mean.add(*v));
        mean.result()
    };
    let mean = mean_of(&values);
    let squares = sums::sum(values.iter().map(|v| (v - mean).powi(2)));
    let deviation = (squares / (values.len() - 1) as f64).sqrt();
    let recent = mean_of(values.get(values.len().saturating_sub(20)..)?);
    float(if recent <= mean + 2.0 * deviation {
        0.0
    } else if recent < mean + 3.0 * deviation {
        1.0
    } else {
        2.0
    })
}
