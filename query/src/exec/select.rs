//! Instant selectors: at each step the newest sample, not older than the lookback and not after a
//! stale marker. `smoothed` interpolates between the samples around the step.

use std::sync::Arc;

use ringwell_storage::model::{CounterReset, FloatHistogram, Labels, is_stale};
use ringwell_storage::read::Series;

use super::range_call::LookedAt;
use super::samples::{Reading, Samples};
use super::{Context, parallel};
use crate::error::QueryError;
use crate::notes::named;
use crate::parse::Span;
use crate::parse::expr::Edges;
use crate::plan::Select;
use crate::value::{Column, Row, Steps};

/// What a selector takes from the sample it finds.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Take {
    Value,
    /// The sample's time in seconds.
    Time,
    /// The start of the counter behind it, in seconds.
    StartTime,
}

pub(super) fn eval(
    ctx: &Context<'_>,
    select: &Select,
    span: Span,
    steps: Steps,
) -> Result<Vec<Row>, QueryError> {
    eval_taking(ctx, select, span, steps, Take::Value)
}

pub(super) fn eval_taking(
    ctx: &Context<'_>,
    select: &Select,
    span: Span,
    steps: Steps,
    take: Take,
) -> Result<Vec<Row>, QueryError> {
    let (first, last) = (select.shift.apply(steps.start), select.shift.apply(steps.last()));
    // A series may look back further than the engine does; which do is known only afterwards.
    let reach = ctx.lookback.unwrap_or(ctx.options.lookback.max(ctx.options.max_series_lookback));
    let after = if select.edges == Edges::Smoothed { reach } else { 0 };
    let (from, to) = (first.saturating_sub(reach).saturating_add(1), last.saturating_add(after));
    let series = ctx.series(select.source, from, to)?;
    parallel::map(ctx, series.len(), steps.count, |i, samples| {
        let Some(series) = series.get(i) else { return Ok(None) };
        row(ctx, series, select, span, steps, take, samples)
    })
}

/// One series over all steps; `None` if it is never there.
pub(super) fn row(
    ctx: &Context<'_>,
    series: &Arc<dyn Series>,
    select: &Select,
    span: Span,
    steps: Steps,
    take: Take,
    samples: &mut Samples,
) -> Result<Option<Row>, QueryError> {
    let lookback = ctx.lookback_of(series.as_ref());
    let smoothed = select.edges == Edges::Smoothed;
    let (first, last) = (select.shift.apply(steps.start), select.shift.apply(steps.last()));
    let reading = Reading {
        from: first.saturating_sub(lookback).saturating_add(1),
        to: last.saturating_add(if smoothed { lookback } else { 0 }),
        stats: select.stats,
        starts: take == Take::StartTime,
        keep_stale: !smoothed,
    };
    samples.refill(ctx, series.as_ref(), reading)?;
    let samples = &*samples;
    let mut column = Column::empty(if samples.len() == 0 { 0 } else { steps.count });
    let mut looked_at = LookedAt::new(ctx.budget.counts_steps(steps));
    let mut next = 0;
    for (i, t) in steps.iter().enumerate().take(column.len()) {
        let t = select.shift.apply(t);
        while samples.t.get(next).is_some_and(|s| *s <= t) {
            next += 1;
        }
        if smoothed {
            let around = Around { samples, next, t, lookback };
            around.put(ctx, span, series.labels().metric_name(), &mut column, i);
            if column.has(i) {
                looked_at.add(i, next.saturating_sub(1) as u64, next as u64);
            }
            continue;
        }
        let Some(at) = next.checked_sub(1) else { continue };
        let found = samples.t.get(at).copied().unwrap_or(t);
        if found > t.saturating_sub(lookback) {
            put(samples, at, take, &mut column, i);
            if column.has(i) {
                looked_at.add(i, at as u64, next as u64);
            }
        }
    }
    ctx.budget.release(samples.weight());
    if column.is_empty() {
        return Ok(None);
    }
    looked_at.tell(ctx);
    ctx.budget.charge(column.weight())?;
    Ok(Some(Row { labels: series.labels().clone(), drop_name: false, column }))
}

/// All samples of a range selector at one time, stale markers left out.
pub(super) fn range_samples(
    ctx: &Context<'_>,
    window: &crate::plan::Window,
    t: i64,
) -> Result<Vec<(Labels, bool, Samples)>, QueryError> {
    let to = window.select.shift.apply(t);
    let from = to.saturating_sub(window.range).saturating_add(1);
    let series = ctx.series(window.select.source, from, to)?;
    let reading = Reading { from, to, stats: false, starts: false, keep_stale: false };
    let mut out = Vec::new();
    for series in series.iter() {
        let samples = Samples::read(ctx, series.as_ref(), reading)?;
        if samples.len() > 0 {
            out.push((series.labels().clone(), false, samples));
        }
    }
    Ok(out)
}

fn put(samples: &Samples, at: usize, take: Take, column: &mut Column, i: usize) {
    let value = samples.v.get(at).copied().unwrap_or(f64::NAN);
    let histogram = samples.histogram(at);
    if is_stale(histogram.map_or(value, |h| h.sum)) {
        return;
    }
    match take {
        Take::Value => match histogram {
            Some(histogram) => column.set_histogram(i, Arc::clone(histogram)),
            None => column.set_float(i, value),
        },
        Take::Time => {
            let t = samples.t.get(at).copied().unwrap_or(0);
            column.set_float(i, t as f64 / 1000.0);
        }
        Take::StartTime => {
            let start = samples.start.get(at).copied().unwrap_or(0);
            if start != 0 {
                column.set_float(i, start as f64 / 1000.0);
            }
        }
    }
}

/// The samples before and after a time.
struct Around<'a> {
    samples: &'a Samples,
    /// The first sample after `t`.
    next: usize,
    t: i64,
    lookback: i64,
}

impl Around<'_> {
    fn put(&self, ctx: &Context<'_>, span: Span, metric: &str, column: &mut Column, i: usize) {
        let time = |at: usize| self.samples.t.get(at).copied();
        let before = self
            .next
            .checked_sub(1)
            .filter(|at| time(*at).is_some_and(|s| s > self.t.saturating_sub(self.lookback)));
        let after = time(self.next)
            .filter(|s| *s < self.t.saturating_add(self.lookback))
            .map(|_| self.next);
        let Some(at) = before else { return };
        let exact = time(at) == Some(self.t);
        let Some(after) = after.filter(|_| !exact) else {
            return put(self.samples, at, Take::Value, column, i);
        };
        match (self.samples.histogram(at), self.samples.histogram(after)) {
            (None, None) => {
                let value = |at: usize| self.samples.v.get(at).copied().unwrap_or(f64::NAN);
                let share = self.share(at, after);
                column.set_float(i, value(at) + (value(after) - value(at)) * share);
            }
            (Some(a), Some(b)) => match interpolate(a, b, self.share(at, after)) {
                Some(middle) => column.set_histogram(i, Arc::new(middle)),
                None => ctx.warn(span, named(crate::func::rate::MIXED_SCHEMAS, metric)),
            },
            _ => ctx.warn(span, named(crate::func::rate::MIXED_TYPES, metric)),
        }
    }

    fn share(&self, a: usize, b: usize) -> f64 {
        let time = |at: usize| self.samples.t.get(at).copied().unwrap_or(self.t);
        self.t.saturating_sub(time(a)) as f64 / time(b).saturating_sub(time(a)) as f64
    }
}

/// Between two histograms; a counter that was reset starts from nothing. `None` if they do not mix.
pub(crate) fn interpolate(
    a: &FloatHistogram,
    b: &FloatHistogram,
    share: f64,
) -> Option<FloatHistogram> {
    if !a.schema.mixes_with(b.schema) {
        return None;
    }
    let counter = a.reset != CounterReset::Gauge && b.reset != CounterReset::Gauge;
    if counter && b.is_reset_after(a) {
        return Some(b.scaled(share));
    }
    let step = b.minus(a).ok()?.histogram.scaled(share);
    let mut middle = a.plus(&step).ok()?.histogram;
    middle.reset = if counter { CounterReset::Unknown } else { CounterReset::Gauge };
    Some(middle)
}
