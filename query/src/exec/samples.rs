//! A series' samples in columns, ready to compute with.

use std::sync::Arc;

use ringwell_storage::model::{CounterReset, FloatHistogram, SampleBuf, TimeRange, is_stale};
use ringwell_storage::read::Series;

use super::Context;
use crate::error::QueryError;
use crate::value::{Cell, Row, Steps};

/// Samples in order of time. `h` and `start` are empty or as long as `t`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples {
    pub(crate) t: Vec<i64>,
    pub(crate) v: Vec<f64>,
    pub(crate) h: Vec<Option<Arc<FloatHistogram>>>,
    pub(crate) start: Vec<i64>,
    /// What stands for time on the step axis; empty or as long as `t`.
    pub(crate) axis: Vec<f64>,
    /// Where a float is lower than the one before.
    pub(crate) drops: Vec<usize>,
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
        let Some(range) = TimeRange::new(reading.from, reading.to) else { return Ok(out) };
        let mut cursor = series.cursor(range)?;
        let mut buffer = SampleBuf::default();
        loop {
            let more = cursor.next(&mut buffer)?;
            ctx.budget.charge_read(buffer.len())?;
            if !reading.starts {
                buffer.start.clear();
            }
            out.take(&buffer, reading.keep_stale);
            buffer.clear();
            if !more {
                break;
            }
        }
        out.mark_resets(reading.stats);
        out.find_drops();
        Ok(out)
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
        out.find_drops();
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
        self.find_drops();
    }

    pub(crate) fn len(&self) -> usize {
        self.t.len()
    }

    pub(crate) fn histogram(&self, i: usize) -> Option<&Arc<FloatHistogram>> {
        self.h.get(i).and_then(Option::as_ref)
    }

    fn take(&mut self, buffer: &SampleBuf, keep_stale: bool) {
        let plain = buffer.h.is_empty() && buffer.start.is_empty();
        let clean = plain && (keep_stale || !buffer.v.iter().any(|v| is_stale(*v)));
        if clean && self.h.is_empty() && self.start.is_empty() {
            self.t.extend_from_slice(&buffer.t);
            self.v.extend_from_slice(&buffer.v);
            return;
        }
        for (i, (&t, &v)) in buffer.t.iter().zip(&buffer.v).enumerate() {
            let histogram = buffer.h.get(i).and_then(Option::as_ref);
            let mark = histogram.map_or(v, |h| h.sum);
            if !keep_stale && is_stale(mark) {
                continue;
            }
            let before = self.t.len();
            self.t.push(t);
            self.v.push(v);
            if histogram.is_some() || !self.h.is_empty() {
                self.h.resize(before, None);
                self.h.push(histogram.map(|h| Arc::new(FloatHistogram::from(h.as_ref()))));
            }
            let start = buffer.start.get(i).copied().unwrap_or(0);
            if start != 0 || !self.start.is_empty() {
                self.start.resize(before, 0);
                self.start.push(start);
            }
        }
        if !self.h.is_empty() {
            self.h.resize(self.t.len(), None);
        }
        if !self.start.is_empty() {
            self.start.resize(self.t.len(), 0);
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

    fn find_drops(&mut self) {
        self.drops.clear();
        if self.h.is_empty() {
            let pairs = self.v.windows(2).enumerate();
            self.drops = pairs
                .filter_map(|(i, pair)| match pair {
                    [a, b] if b < a => Some(i + 1),
                    _ => None,
                })
                .collect();
        }
    }
}
