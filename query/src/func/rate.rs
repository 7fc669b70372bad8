//! `rate`, `increase`, `delta`, `irate`, `idelta`.
//!
//! A counter's increase is last minus first, plus what was lost at each reset, stretched to the
//! whole range: as far as half a sampling interval beyond the samples, and never below zero. A
//! known start of the counter inside the range is a sample of zero.

use std::sync::Arc;

use ringwell_storage::model::{CounterReset, FloatHistogram};

use super::extended;
use crate::exec::Samples;
use crate::exec::{Bounds, Call, Out, Window};
use crate::notes::named;
use crate::parse::expr::Edges;

pub(crate) const MIXED_TYPES: &str = "encountered a mix of histograms and floats";
pub(crate) const MIXED_SCHEMAS: &str =
    "vector contains a mix of histograms with exponential and custom buckets schemas";
pub(crate) const RESET_COLLISION: &str = "conflicting counter resets during histogram aggregation";
pub(crate) const RECONCILED_AGGREGATION: &str =
    "mismatched custom buckets were reconciled during aggregation";
pub(crate) const RECONCILED_SUBTRACTION: &str =
    "mismatched custom buckets were reconciled during subtraction";
const RECONCILED_ADDITION: &str = "mismatched custom buckets were reconciled during addition";

/// Which of the family.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Kind {
    pub(crate) counter: bool,
    pub(crate) per_second: bool,
}

pub(crate) const RATE: Kind = Kind { counter: true, per_second: true };
pub(crate) const INCREASE: Kind = Kind { counter: true, per_second: false };
pub(crate) const DELTA: Kind = Kind { counter: false, per_second: false };

pub(crate) fn rate(w: &Window<'_>, call: &Call<'_>) -> Option<Out> {
    counted(w, call, RATE)
}

pub(crate) fn increase(w: &Window<'_>, call: &Call<'_>) -> Option<Out> {
    counted(w, call, INCREASE)
}

pub(crate) fn delta(w: &Window<'_>, call: &Call<'_>) -> Option<Out> {
    extrapolated(w, call, DELTA)
}

fn counted(w: &Window<'_>, call: &Call<'_>, kind: Kind) -> Option<Out> {
    let out = extrapolated(w, call, kind)?;
    if let (Out::Float(_), Some(text)) = (&out, doubt(call.metric())) {
        call.info(text);
    }
    Some(out)
}

/// A word about a metric that is treated as a counter and is not named like one.
pub(crate) fn doubt(metric: &str) -> Option<String> {
    let counter = ["_total", "_sum", "_count", "_bucket"].iter().any(|s| metric.ends_with(s));
    (!metric.is_empty() && !counter).then(|| {
        format!(
            "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \
             {metric:?}"
        )
    })
}

/// How the change within a window of floats without known starts is stretched to all of it. The
/// same for all series that were sampled at the same times.
pub(crate) struct Layout {
    spread: Spread,
    seconds: f64,
    /// The factor of all but counters that would pass zero.
    factor: f64,
}

impl Layout {
    /// Of a window over these times; none for less than two samples.
    pub(crate) fn of(bounds: &Bounds, times: &[i64], kind: Kind) -> Option<Layout> {
        let inside = times.get(bounds.lo..bounds.hi)?;
        let [first, .., last] = inside else { return None };
        let (from, to) = (bounds.from, bounds.to);
        let spread = Spread::of((from, to), inside.len(), *first, *last, None);
        let seconds = to.saturating_sub(from) as f64 / 1000.0;
        let factor = spread.factor(seconds, kind, f64::INFINITY, 1.0);
        Some(Layout { spread, seconds, factor })
    }

    /// What a change of `total` since a `first` value is multiplied with.
    pub(crate) fn factor(&self, kind: Kind, first: f64, total: f64) -> f64 {
        if kind.counter && self.spread.may_pass_zero(first, total) {
            return self.spread.factor(self.seconds, kind, first, total);
        }
        self.factor
    }
}

fn extrapolated(w: &Window<'_>, call: &Call<'_>, kind: Kind) -> Option<Out> {
    if call.edges != Edges::Plain {
        return extended::rate(w, call, kind);
    }
    let times = w.times();
    let (&first_t, &last_t) = (times.first()?, times.last()?);
    let start = if kind.counter { known_start(w) } else { None };
    if w.len() < 2 && start.is_none() {
        return None;
    }
    if kind.counter {
        warn_of_overlaps(w, call);
    }
    let spread = Spread::of((w.from, w.to), w.len(), first_t, last_t, start);
    let stretch = |first: f64, total: f64| spread.factor(w.seconds(), kind, first, total);
    if w.has_histograms() {
        if w.has_floats() {
            call.warn(named(MIXED_TYPES, call.metric()));
            return None;
        }
        let total = histogram_increase(w, call, kind, start.is_some())?;
        let first = w.histograms().next()?.count;
        let factor = stretch(first, total.count);
        let mut out = total.scaled(factor);
        out.reset = CounterReset::Gauge;
        return Some(Out::Histogram(Arc::new(out)));
    }
    let values = w.values();
    let (&first, &last) = (values.first()?, values.last()?);
    let mut total = if start.is_some() { last } else { last - first };
    if kind.counter {
        total += lost_at_resets(w);
    }
    Some(Out::Float(total * stretch(first, total)))
}

/// How the samples of a window lie in it, in seconds.
#[derive(Clone, Copy)]
struct Spread {
    /// From the first, or the known start of the counter, to the last.
    sampled: f64,
    /// As far before and behind as the window's ends may be stretched to.
    before: f64,
    after: f64,
    known_start: bool,
}

impl Spread {
    fn of(
        (from, to): (i64, i64),
        count: usize,
        first_t: i64,
        last_t: i64,
        start: Option<i64>,
    ) -> Spread {
        let seconds = |from: i64, to: i64| to.saturating_sub(from) as f64 / 1000.0;
        let mut before = if start.is_some() { 0.0 } else { seconds(from, first_t) };
        let mut after = seconds(last_t, to);
        let average = if count > 1 { seconds(first_t, last_t) / (count - 1) as f64 } else { 0.0 };
        let threshold = average * 1.1;
        if before >= threshold && start.is_none() {
            before = average / 2.0;
        }
        if after >= threshold {
            after = average / 2.0;
        }
        let sampled = seconds(start.unwrap_or(first_t), last_t);
        Spread { sampled, before, after, known_start: start.is_some() }
    }

    /// Whether a counter stretched to the window's start might have been below zero there; true
    /// where rounding leaves that open.
    fn may_pass_zero(&self, first: f64, total: f64) -> bool {
        let clear = self.sampled * first > self.before * total * (1.0 + 1e-9);
        !(clear && first.is_finite() && total.is_finite())
    }

    /// What the change between the samples is multiplied with. A counter is not stretched to below
    /// zero.
    fn factor(&self, seconds: f64, kind: Kind, first: f64, total: f64) -> f64 {
        let mut before = self.before;
        if kind.counter && total > 0.0 && first >= 0.0 && !self.known_start {
            before = before.min(self.sampled * (first / total));
        }
        let factor = (self.sampled + before + self.after) / self.sampled;
        if kind.per_second { factor / seconds } else { factor }
    }
}

/// The start of the counter, if it lies inside the range and before the first sample.
fn known_start(w: &Window<'_>) -> Option<i64> {
    let start = w.all.start.get(w.lo).copied()?;
    let first = *w.times().first()?;
    (start != 0 && start > w.from && start < first).then_some(start)
}

/// Whether start timestamps say that the counter was reset before sample `i`.
pub(crate) fn st_reset(all: &Samples, i: usize) -> bool {
    let of = |i: usize| Some((*all.t.get(i)?, *all.start.get(i)?));
    let (Some((t, start)), Some((before, start_before))) = (of(i), i.checked_sub(1).and_then(of))
    else {
        return false;
    };
    if start == 0 || start >= t {
        return false;
    }
    // A start right at the sample before is one of a delta, unless that sample's own start is
    // not known or makes no sense.
    start > before || (start == before && start_before != 0 && start_before < before)
}

fn warn_of_overlaps(w: &Window<'_>, call: &Call<'_>) {
    if w.all.start.is_empty() {
        return;
    }
    let overlaps = (w.lo + 1..w.hi).any(|i| {
        let start = |i: usize| w.all.start.get(i).copied().unwrap_or(0);
        let before = w.all.t.get(i - 1).copied().unwrap_or(i64::MAX);
        start(i) != 0 && start(i) < before && start(i) != start(i - 1)
    });
    if overlaps {
        call.warn(format!(
            "sample has start time that overlaps with previous sample timestamp for metric {:?}",
            call.metric()
        ));
    }
}

/// The sum of the values right before each reset in the window.
fn lost_at_resets(w: &Window<'_>) -> f64 {
    let value = |i: usize| w.all.v.get(i).copied().unwrap_or(0.0);
    if !w.all.start.is_empty() || !w.all.h.is_empty() {
        let reset = |&i: &usize| value(i) < value(i - 1) || st_reset(w.all, i);
        return (w.lo + 1..w.hi).filter(reset).map(|i| value(i - 1)).sum();
    }
    lost_in(w.all, w.lo, w.hi)
}

/// The same for floats without known starts.
pub(crate) fn lost_in(all: &Samples, lo: usize, hi: usize) -> f64 {
    let value = |i: usize| all.v.get(i).copied().unwrap_or(0.0);
    let drops = all.drops();
    let from = drops.partition_point(|i| *i <= lo);
    let inside = drops.get(from..).unwrap_or_default().iter().take_while(|i| **i < hi);
    inside.map(|i| value(i - 1)).sum()
}

fn not_a_counter(call: &Call<'_>) {
    call.warn(format!("this native histogram metric is not a counter: {:?}", call.metric()));
}

fn not_a_gauge(call: &Call<'_>) {
    call.warn(format!("this native histogram metric is not a gauge: {:?}", call.metric()));
}

pub(crate) fn warn_of_hints<'a>(
    histograms: impl Iterator<Item = &'a Arc<FloatHistogram>>,
    call: &Call<'_>,
    counter: bool,
) {
    let mut gauges = histograms.map(|h| h.reset == CounterReset::Gauge);
    if counter {
        if gauges.any(|gauge| gauge) {
            not_a_counter(call);
        }
    } else if gauges.any(|gauge| !gauge) {
        not_a_gauge(call);
    }
}

fn histogram_increase(
    w: &Window<'_>,
    call: &Call<'_>,
    kind: Kind,
    from_zero: bool,
) -> Option<FloatHistogram> {
    let points: Vec<&Arc<FloatHistogram>> = w.histograms().collect();
    let (&first, &last) = (points.first()?, points.last()?);
    if kind.counter {
        warn_of_hints(points.iter().copied(), call, true);
    } else {
        warn_of_hints([first, last].into_iter(), call, false);
    }
    // A first sample that a reset makes void may have any layout.
    let void = match points.get(1) {
        Some(second) if kind.counter => second.is_reset_after(first) || st_reset(w.all, w.lo + 1),
        _ => false,
    };
    let checked = if void || !kind.counter { 1 } else { 0 };
    let layout_of = if kind.counter { points.get(checked..)? } else { &[first, last][..] };
    if !layout_of.iter().all(|h| h.schema.mixes_with(last.schema)) {
        call.warn(named(MIXED_SCHEMAS, call.metric()));
        return None;
    }
    let base = if void || from_zero { FloatHistogram::empty_like(last) } else { (**first).clone() };
    let mut reconciled = (false, false);
    let difference = last.minus(&base).ok()?;
    reconciled.0 = difference.bounds_reconciled;
    let mut total = difference.histogram;
    if kind.counter {
        let mut previous: Arc<FloatHistogram> =
            if void && !from_zero { Arc::new(base) } else { Arc::clone(first) };
        for (i, &now) in points.iter().enumerate().skip(1) {
            if now.is_reset_after(&previous) || st_reset(w.all, w.lo + i) {
                let sum = total.plus(&previous).ok()?;
                reconciled.1 |= sum.bounds_reconciled;
                total = sum.histogram;
            }
            previous = Arc::clone(now);
        }
    }
    if reconciled.0 {
        call.info(RECONCILED_SUBTRACTION);
    }
    if reconciled.1 {
        call.info(RECONCILED_ADDITION);
    }
    Some(total)
}

pub(crate) fn irate(w: &Window<'_>, call: &Call<'_>) -> Option<Out> {
    last_two(w, call, true)
}

pub(crate) fn idelta(w: &Window<'_>, call: &Call<'_>) -> Option<Out> {
    last_two(w, call, false)
}

fn last_two(w: &Window<'_>, call: &Call<'_>, rate: bool) -> Option<Out> {
    let (a, b) = (w.hi.checked_sub(2).filter(|a| *a >= w.lo)?, w.hi - 1);
    let (from, to) = (*w.all.t.get(a)?, *w.all.t.get(b)?);
    let seconds = to.saturating_sub(from) as f64 / 1000.0;
    let st_reset = rate && st_reset(w.all, b);
    match (w.all.histogram(a), w.all.histogram(b)) {
        (None, None) => {
            let (a, b) = (*w.all.v.get(a)?, *w.all.v.get(b)?);
            let change = if rate && (b < a || st_reset) { b } else { b - a };
            Some(Out::Float(if rate { change / seconds } else { change }))
        }
        (Some(a), Some(b)) => {
            warn_of_hints([a, b].into_iter(), call, rate);
            let mut change = if rate && (b.is_reset_after(a) || st_reset) {
                (**b).clone()
            } else {
                let Ok(difference) = b.minus(a) else {
                    call.warn(named(MIXED_SCHEMAS, call.metric()));
                    return None;
                };
                if difference.bounds_reconciled {
                    call.info(RECONCILED_SUBTRACTION);
                }
                difference.histogram
            };
            if rate {
                change = change.divided(seconds);
            }
            change.reset = CounterReset::Gauge;
            Some(Out::Histogram(Arc::new(change)))
        }
        _ => {
            call.warn(named(MIXED_TYPES, call.metric()));
            None
        }
    }
}
