//! A series' samples in columns, ready to compute with.

use std::cell::OnceCell;
use std::sync::Arc;

use ringwell_storage::model::{
    CounterReset, FloatHistogram, Histogram, SampleBuf, TimeRange, is_stale,
};
use ringwell_storage::read::Series;

use super::Context;
use crate::error::QueryError;
use crate::value::{Cell, Row, Steps, weight_of};

/// Samples that are read between two looks at the budget.
pub(super) const CHARGE: usize = 1024;

/// Samples in order of time. `h` and `start` are empty or as long as `t`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples {
    pub(crate) t: Vec<i64>,
    pub(crate) v: Vec<f64>,
    pub(crate) h: Vec<Option<Arc<FloatHistogram>>>,
    pub(crate) start: Vec<i64>,
    /// What stands for time on the step axis; empty or as long as `t`.
    pub(crate) axis: Vec<f64>,
    /// What its histograms count as in the budget.
    heavy: usize,
    /// Found out by [`Samples::drops`].
    drops: OnceCell<Vec<usize>>,
}

/// How to read a series.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    /// First millisecond, included.
    pub(crate) from: i64,
    /// Last millisecond, included.
    pub(crate) to: i64,
    /// Only count and sum of histograms matter.
    pub(crate) stats: bool,
    /// The starts of counters matter.
    pub(crate) starts: bool,
    /// Keep stale markers: instant selectors end at them, ranges pass over them.
    pub(crate) keep_stale: bool,
}

impl Samples {
    /// Reads a series. The samples stay charged to the budget until `release`.
    pub(crate) fn read(
        ctx: &Context<'_>,
        series: &dyn Series,
        reading: Reading,
    ) -> Result<Samples, QueryError> {
        let mut out = Samples::default();
        out.refill(ctx, series, reading)?;
        Ok(out)
    }

    /// Reads a series into the memory of the one before.
    pub(crate) fn refill(
        &mut self,
        ctx: &Context<'_>,
        series: &dyn Series,
        reading: Reading,
    ) -> Result<(), QueryError> {
        let mut buffer = self.emptied();
        let Some(range) = TimeRange::new(reading.from, reading.to) else { return Ok(()) };
        let mut cursor = series.cursor(range)?;
        let mut before = 0;
        loop {
            let more = cursor.next(&mut buffer)?;
            // A chunk of the head is too little to look at the clock for.
            if !more || buffer.len() - before >= CHARGE {
                ctx.budget.charge_read(buffer.len() - before)?;
                before = buffer.len();
            }
            if !more {
                break;
            }
        }
        ctx.budget.read_bytes(cursor.bytes_read());
        if !reading.starts {
            buffer.start.clear();
        }
        self.take(buffer, reading.keep_stale);
        // What is left out is no longer held.
        ctx.budget.release(before - self.len());
        self.heavy = self.h.iter().flatten().map(|h| weight_of(h)).sum();
        if self.heavy > 0 {
            ctx.budget.charge(self.heavy)?;
        }
        self.mark_resets(reading.stats);
        Ok(())
    }

    /// Forgets all; the memory of floats is given away, to be filled anew.
    fn emptied(&mut self) -> SampleBuf {
        let old = std::mem::take(self);
        let mut buffer = SampleBuf { t: old.t, v: old.v, ..SampleBuf::default() };
        buffer.clear();
        buffer
    }

    /// The values an evaluated row has, as samples. What was known about resets spoke of other
    /// neighbours, so it is forgotten.
    pub(crate) fn of_row(row: &Row, steps: Steps) -> Samples {
        let mut out = Samples::default();
        let histograms = row.column.has_histograms();
        for (i, t) in steps.iter().enumerate() {
            let (v, h) = match row.column.get(i) {
                Cell::None => continue,
                Cell::Float(value) => (value, None),
                Cell::Histogram(h) if matches!(h.reset, CounterReset::Yes | CounterReset::No) => {
                    let reset = CounterReset::Unknown;
                    (0.0, Some(Arc::new(FloatHistogram { reset, ..(**h).clone() })))
                }
                Cell::Histogram(histogram) => (0.0, Some(Arc::clone(histogram))),
            };
            out.t.push(t);
            out.v.push(v);
            if histograms {
                out.h.push(h);
            }
        }
        out
    }

    /// Drops all but the newest `n`.
    pub(crate) fn keep_last(&mut self, n: usize) {
        let gone = self.t.len().saturating_sub(n);
        self.t.drain(..gone);
        self.v.drain(..gone);
        self.h.drain(..gone.min(self.h.len()));
        self.start.drain(..gone.min(self.start.len()));
        self.axis.drain(..gone.min(self.axis.len()));
        self.drops.take();
    }

    pub(crate) fn len(&self) -> usize {
        self.t.len()
    }

    /// What it counts as in the budget.
    pub(crate) fn weight(&self) -> usize {
        self.len() + self.heavy
    }

    pub(crate) fn histogram(&self, i: usize) -> Option<&Arc<FloatHistogram>> {
        self.h.get(i).and_then(Option::as_ref)
    }

    fn take(&mut self, buffer: SampleBuf, keep_stale: bool) {
        let SampleBuf { t, v, h, start } = buffer;
        if h.is_empty() && start.is_empty() && (keep_stale || !any_stale(&v)) {
            (self.t, self.v) = (t, v);
            return;
        }
        let sum = |i: usize| h.get(i).and_then(Option::as_ref).map(|h| h.sum);
        let ends = |i: usize, v: f64| is_stale(sum(i).unwrap_or(v));
        let keep: Option<Vec<bool>> =
            if keep_stale || !v.iter().enumerate().any(|(i, v)| ends(i, *v)) {
                None
            } else {
                Some(v.iter().enumerate().map(|(i, v)| !ends(i, *v)).collect())
            };
        let float = |h: Option<Arc<Histogram>>| h.map(|h| Arc::new(FloatHistogram::from(&*h)));
        self.t = kept(t, keep.as_deref());
        self.v = kept(v, keep.as_deref());
        self.start = kept(start, keep.as_deref());
        self.h = kept(h, keep.as_deref()).into_iter().map(float).collect();
        if self.h.iter().all(Option::is_none) {
            self.h = Vec::new();
        }
        if self.start.iter().all(|start| *start == 0) {
            self.start = Vec::new();
        }
    }

    /// Tells for each histogram whether a reset lies before it, as far as the sample before it
    /// shows. A reset is only called so where nobody will look at the buckets; otherwise it is
    /// left open, to be found by comparing.
    fn mark_resets(&mut self, stats: bool) {
        for i in (1..self.h.len()).rev() {
            let (before, from) = self.h.split_at_mut(i);
            let (Some(Some(before)), Some(Some(now))) = (before.last(), from.first_mut()) else {
                continue;
            };
            if now.reset == CounterReset::Gauge || is_stale(before.sum) || is_stale(now.sum) {
                continue;
            }
            let given = now.reset;
            let mut plain = FloatHistogram::clone(now);
            plain.reset = CounterReset::Unknown;
            plain.reset = match (plain.is_reset_after(before), given, stats) {
                (true, _, true) => CounterReset::Yes,
                (true, _, false) => CounterReset::Unknown,
                (false, CounterReset::Yes, _) => CounterReset::Yes,
                (false, _, _) => CounterReset::No,
            };
            if plain.reset != given {
                *now = Arc::new(plain);
            }
        }
    }

    /// Where a float is lower than the one before; nowhere if there are histograms.
    pub(crate) fn drops(&self) -> &[usize] {
        self.drops.get_or_init(|| {
            if !self.h.is_empty() || !any_drop(&self.v) {
                return Vec::new();
            }
            let pairs = self.v.iter().zip(self.v.iter().skip(1)).enumerate();
            pairs.filter(|(_, (a, b))| b < a).map(|(i, _)| i + 1).collect()
        })
    }
}

/// Whether there is any stale marker. Nothing depends on what came before, so that several are
/// compared at once.
pub(super) fn any_stale(values: &[f64]) -> bool {
    values.chunks(64).any(|part| part.iter().fold(false, |any, v| any | is_stale(*v)))
}

/// Whether any value is lower than the one before.
fn any_drop(values: &[f64]) -> bool {
    let later = values.get(1..).unwrap_or_default();
    let mut parts = values.chunks(64).zip(later.chunks(64));
    parts.any(|(a, b)| a.iter().zip(b).fold(false, |any, (a, b)| any | (b < a)))
}

/// The items whose places are to be kept; all without a list.
fn kept<T>(items: Vec<T>, keep: Option<&[bool]>) -> Vec<T> {
    let Some(keep) = keep else { return items };
    items.into_iter().zip(keep).filter(|(_, keep)| **keep).map(|(item, _)| item).collect()
}
