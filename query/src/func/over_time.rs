//! `*_over_time`, `changes` and `resets`.

use std::sync::Arc;

use ringwell_storage::model::{
    Combined, FloatHistogram, Mismatch, average_histograms, sum_histograms,
};

use super::rate::{MIXED_SCHEMAS, MIXED_TYPES, RECONCILED_AGGREGATION, RESET_COLLISION, st_reset};
use super::sums;
use crate::exec::{Call, Out, Window};
use crate::notes::named;
use crate::parse::expr::Edges;
use crate::value::format_general;

const IGNORED: &str = "ignored histograms in a range containing both floats and histograms";

/// The floats of a window, after a word about histograms beside them. `None` without floats.
pub(super) fn only_floats<'a>(
    w: &Window<'a>,
    call: &Call<'_>,
) -> Option<impl DoubleEndedIterator<Item = (i64, f64)> + Clone + use<'a>> {
    let floats = w.floats();
    floats.clone().next()?;
    if w.has_histograms() {
        call.info(named(IGNORED, call.metric()));
    }
    Some(floats)
}

fn float(value: f64) -> Option<Out> {
    Some(Out::Float(value))
}

fn seconds(t: i64) -> f64 {
    t as f64 / 1000.0
}

fn is_mixed(w: &Window<'_>, call: &Call<'_>) -> bool {
    let mixed = w.has_histograms() && w.has_floats();
    if mixed {
        call.warn(named(MIXED_TYPES, call.metric()));
    }
    mixed
}

type Combine = fn(&[&FloatHistogram]) -> Option<Result<Combined, Mismatch>>;

fn combine(w: &Window<'_>, call: &Call<'_>, with: Combine) -> Option<Out> {
    let parts: Vec<&FloatHistogram> = w.histograms().map(Arc::as_ref).collect();
    match with(&parts)? {
        Ok(combined) => {
            if combined.reset_collision {
                call.warn(RESET_COLLISION);
            }
            if combined.bounds_reconciled {
                call.info(RECONCILED_AGGREGATION);
            }
            Some(Out::Histogram(Arc::new(combined.histogram)))
        }
        Err(_) => {
            call.warn(named(MIXED_SCHEMAS, call.metric()));
            None
        }
    }
}

pub(crate) fn sum(w: &Window<'_>, call: &Call<'_>) -> Option<Out> {
    if w.all.h.is_empty() {
        return float(sums::sum(w.values().iter().copied()));
    }
    if is_mixed(w, call) {
        return None;
    }
    if w.has_histograms() {
        return combine(w, call, sum_histograms);
    }
    float(sums::sum(w.floats().map(|s| s.1)))
}

pub(crate) fn avg(w: &Window<'_>, call: &Call<'_>) -> Option<Out> {
    if is_mixed(w, call) {
        return None;
    }
    if w.has_histograms() {
        return combine(w, call, average_histograms);
    }
    let mut mean = sums::Mean::default();
    w.floats().for_each(|s| mean.add(s.1));
    float(mean.result())
}

pub(crate) fn count(w: &Window<'_>, _: &Call<'_>) -> Option<Out> {
    float(w.len() as f64)
}

pub(crate) fn present(_: &Window<'_>, _: &Call<'_>) -> Option<Out> {
    float(1.0)
}

fn sample(w: &Window<'_>, at: usize) -> Option<Out> {
    match w.all.histogram(at) {
        Some(histogram) => Some(Out::Histogram(Arc::clone(histogram))),
        None => w.all.v.get(at).copied().map(Out::Float),
    }
}

pub(crate) fn last(w: &Window<'_>, _: &Call<'_>) -> Option<Out> {
    sample(w, w.hi.checked_sub(1)?)
}

pub(crate) fn first(w: &Window<'_>, _: &Call<'_>) -> Option<Out> {
    sample(w, w.lo)
}

pub(crate) fn ts_of_last(w: &Window<'_>, _: &Call<'_>) -> Option<Out> {
    float(seconds(*w.times().last()?))
}

pub(crate) fn ts_of_first(w: &Window<'_>, _: &Call<'_>) -> Option<Out> {
    float(seconds(*w.times().first()?))
}

/// The extreme by `better`, NaN only if there is nothing else.
fn extreme(
    w: &Window<'_>,
    call: &Call<'_>,
    better: impl Fn(f64, f64) -> bool,
) -> Option<(i64, f64)> {
    only_floats(w, call)?.reduce(
        |best, now| {
            if better(now.1, best.1) || best.1.is_nan() { now } else { best }
        },
    )
}

pub(crate) fn max(w: &Window<'_>, call: &Call<'_>) -> Option<Out> {
    extreme(w, call, |a, b| a > b).and_then(|s| float(s.1))
}

pub(crate) fn min(w: &Window<'_>, call: &Call<'_>) -> Option<Out> {
    extreme(w, call, |a, b| a < b).and_then(|s| float(s.1))
}

pub(crate) fn ts_of_max(w: &Window<'_>, call: &Call<'_>) -> Option<Out> {
    extreme(w, call, |a, b| a >= b).and_then(|s| float(seconds(s.0)))
}

pub(crate) fn ts_of_min(w: &Window<'_>, call: &Call<'_>) -> Option<Out> {
    extreme(w, call, |a, b| a <= b).and_then(|s| float(seconds(s.0)))
}

fn variance(w: &Window<'_>, call: &Call<'_>) -> Option<f64> {
    let mut variance = sums::Variance::default();
    only_floats(w, call)?.for_each(|s| variance.add(s.1));
    Some(variance.result())
}

pub(crate) fn stdvar(w: &Window<'_>, call: &Call<'_>) -> Option<Out> {
    variance(w, call).and_then(float)
}

pub(crate) fn stddev(w: &Window<'_>, call: &Call<'_>) -> Option<Out> {
    variance(w, call).and_then(|v| float(v.sqrt()))
}

pub(crate) fn quantile(w: &Window<'_>, call: &Call<'_>) -> Option<Out> {
    let [q, _] = call.params;
    let mut values: Vec<f64> = only_floats(w, call)?.map(|s| s.1).collect();
    if q.is_nan() || !(0.0..=1.0).contains(&q) {
        let text = format!("quantile value should be between 0 and 1, got {}", format_general(q));
        call.ctx.warn(call.param_span, text);
    }
    float(sums::quantile(q, &mut values))
}

pub(crate) fn mad(w: &Window<'_>, call: &Call<'_>) -> Option<Out> {
    let mut values: Vec<f64> = only_floats(w, call)?.map(|s| s.1).collect();
    if values.iter().any(|v| v.is_nan()) {
        return float(f64::NAN);
    }
    let median = sums::quantile(0.5, &mut values);
    values.iter_mut().for_each(|v| *v = (*v - median).abs());
    float(sums::quantile(0.5, &mut values))
}

/// Counts steps from one sample to the next; an anchored range starts at the sample before it.
fn count_steps(
    w: &Window<'_>,
    call: &Call<'_>,
    counts: impl Fn(&Window<'_>, usize) -> bool,
) -> Option<Out> {
    let mut lo = w.lo;
    if call.edges == Edges::Anchored {
        if w.is_empty() {
            return None;
        }
        let anchor = w.lo.checked_sub(1).and_then(|at| Some((at, *w.all.t.get(at)?)));
        if let Some((at, t)) = anchor
            && t > w.from.saturating_sub(call.lookback)
        {
            lo = at;
        }
    }
    float((lo + 1..w.hi).filter(|&i| counts(w, i)).count() as f64)
}

pub(crate) fn changes(w: &Window<'_>, call: &Call<'_>) -> Option<Out> {
    count_steps(w, call, |w, i| {
        let value = |i: usize| w.all.v.get(i).copied().unwrap_or(f64::NAN);
        match (w.all.histogram(i - 1), w.all.histogram(i)) {
            (Some(a), Some(b)) => !a.same_observations(b),
            (None, None) => {
                let (a, b) = (value(i - 1), value(i));
                a != b && !(a.is_nan() && b.is_nan())
            }
            _ => true,
        }
    })
}

pub(crate) fn resets(w: &Window<'_>, call: &Call<'_>) -> Option<Out> {
    count_steps(w, call, |w, i| {
        let value = |i: usize| w.all.v.get(i).copied().unwrap_or(f64::NAN);
        let by_value = match (w.all.histogram(i - 1), w.all.histogram(i)) {
            (Some(a), Some(b)) => b.is_reset_after(a),
            (None, None) => value(i) < value(i - 1),
            _ => true,
        };
        by_value || st_reset(w.all, i)
    })
}
