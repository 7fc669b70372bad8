//! Functions that fold each window into one number, for series of floats alone.
//!
//! A series is read as *elements*: samples, and whole chunks where no window begins or ends within
//! and statistics say enough. Where all windows begin and end at multiples of a roll-up's stretch its
//! rows are the elements. Then a window slides over the elements. What this way cannot tell
//! exactly is left to the general one: histograms, and sums that are, or could become, infinite or
//! NaN, since there the order of adding decides.

use ringwell_storage::model::{SampleBuf, TimeRange, is_stale};
use ringwell_storage::read::{Aggregate, Series, Summary};

use super::Context;
use super::range_call::{LookedAt, Windows};
use super::samples::{CHARGE, any_stale};
use crate::error::QueryError;
use crate::func::quick::{Fold, Folding, Greatest, Least, Sliding, Total};
use crate::value::{Column, Steps};

/// Sums of values below this, as many as there may be, stay finite.
const SAFE: f64 = 1e290;

/// Samples and summaries in order of time, as one fold needs them.
#[derive(Default)]
pub(super) struct Elements {
    /// Time of the sample, or of a summary's last one.
    t: Vec<i64>,
    v: Vec<f64>,
    /// Empty while there are no summaries, else as long as `t`.
    more: Vec<More>,
}

/// What a summary has beside its value.
#[derive(Clone, Copy)]
struct More {
    /// Compensation of a sum.
    c: f64,
    count: u64,
}

fn common_divisor(a: i64, b: i64) -> i64 {
    let (mut a, mut b) = (a.saturating_abs(), b.saturating_abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

const SAMPLE: More = More { c: 0.0, count: 1 };

/// One fold over all windows of a query.
pub(super) struct Folded<'a> {
    pub(super) fold: Fold,
    pub(super) windows: &'a Windows,
    pub(super) steps: Steps,
}

impl Folded<'_> {
    /// The values of a series; `None` if it must be computed in the general way. The outer result
    /// has no column where no window has a sample.
    pub(super) fn column(
        &self,
        ctx: &Context<'_>,
        series: &dyn Series,
        elements: &mut Elements,
    ) -> Result<Option<Option<Column>>, QueryError> {
        if !self.read(ctx, series, elements)? {
            return Ok(None);
        }
        let column = self.slide(ctx, elements);
        ctx.budget.release(elements.t.len());
        if column.is_empty() {
            return Ok(Some(None));
        }
        ctx.budget.charge(column.filled())?;
        Ok(Some(Some(column)))
    }

    /// Reads all windows; false if this is no series for this way.
    fn read(
        &self,
        ctx: &Context<'_>,
        series: &dyn Series,
        elements: &mut Elements,
    ) -> Result<bool, QueryError> {
        elements.more.clear();
        let mut buffer = SampleBuf {
            t: std::mem::take(&mut elements.t),
            v: std::mem::take(&mut elements.v),
            ..SampleBuf::default()
        };
        buffer.clear();
        let from = self.windows.ends(self.steps.start).0.saturating_add(1);
        let to = self.windows.ends(self.steps.last()).1;
        let Some(range) = TimeRange::new(from, to) else { return Ok(true) };
        let mut charged = 0;
        let mut sound = true;
        if let Some(rows) = series.aggregates(range, self.grain())? {
            for Aggregate { first_t, last_t, stats, .. } in rows {
                let summary = Summary { first_t, last_t, stats };
                sound &= elements.summarise(self.fold, &summary, &mut buffer);
                ctx.budget.roll_up(stats.count);
            }
            ctx.budget.charge_read(buffer.len())?;
            elements.take(buffer);
            // Sums of rows are rounded; where they cancel each other out that would show.
            let sums = matches!(self.fold, Fold::Sum | Fold::Avg);
            let one_sign =
                elements.v.iter().all(|v| *v >= 0.0) || elements.v.iter().all(|v| *v <= 0.0);
            sound &= !sums || one_sign;
            return self.settled(ctx, elements, sound, elements.t.len());
        }
        let mut cursor = series.cursor(range)?;
        loop {
            let undivided = cursor.ahead().filter(|run| !self.divides(*run));
            if undivided.is_some()
                && let Some(summary) = cursor.summary()?
            {
                sound &= elements.summarise(self.fold, &summary, &mut buffer);
                ctx.budget.summarise(summary.stats.count);
            } else if !cursor.next(&mut buffer)? {
                break;
            }
            if buffer.len() - charged >= CHARGE {
                ctx.budget.charge_read(buffer.len() - charged)?;
                charged = buffer.len();
            }
        }
        ctx.budget.charge_read(buffer.len() - charged)?;
        charged = buffer.len();
        ctx.budget.read_bytes(cursor.bytes_read());
        sound &= buffer.h.iter().all(Option::is_none);
        elements.take(buffer);
        self.settled(ctx, elements, sound, charged)
    }

    /// Whether the elements will do; what is not held any more is released.
    fn settled(
        &self,
        ctx: &Context<'_>,
        elements: &Elements,
        sound: bool,
        charged: usize,
    ) -> Result<bool, QueryError> {
        let sums = matches!(self.fold, Fold::Sum | Fold::Avg);
        // No value waits for the one before, so that several are compared at once.
        let safe = || elements.v.iter().fold(true, |safe, v| safe & (v.abs() < SAFE));
        let sound = sound && (!sums || safe());
        ctx.budget.release(if sound { charged - elements.t.len() } else { charged });
        Ok(sound)
    }

    /// The longest stretch that all ends of windows are multiples of.
    fn grain(&self) -> i64 {
        let several = self.steps.count > 1 && self.windows.moves();
        let step = if several { self.steps.step } else { 0 };
        let end = self.windows.ends(self.steps.start).1;
        [step, end].into_iter().fold(self.windows.range, common_divisor)
    }

    /// Whether a window begins or ends between the first and the last sample of a run.
    fn divides(&self, run: TimeRange) -> bool {
        let (open, close) = self.windows.ends(self.steps.start);
        let step = if self.windows.moves() { self.steps.step.max(1) } else { i64::MAX };
        let count = i64::try_from(self.steps.count).unwrap_or(i64::MAX);
        [open, close].into_iter().any(|first| {
            // The first end not before the run.
            let ahead = run.start().saturating_sub(first);
            let number = if ahead <= 0 { 0 } else { (ahead - 1) / step + 1 };
            let end = first.saturating_add(number.saturating_mul(step));
            number < count && end < run.end()
        })
    }

    fn slide(&self, ctx: &Context<'_>, elements: &Elements) -> Column {
        match self.fold {
            Fold::Count => self.slide_as(ctx, elements, |_: Least, count| count as f64),
            Fold::Present => self.slide_as(ctx, elements, |_: Least, _| 1.0),
            Fold::Min => self.slide_as(ctx, elements, |least: Least, _| least.0),
            Fold::Max => self.slide_as(ctx, elements, |greatest: Greatest, _| greatest.0),
            Fold::Sum => self.slide_as(ctx, elements, |total: Total, _| total.sum + total.c),
            Fold::Avg => self.slide_as(ctx, elements, |total: Total, count| {
                let count = count as f64;
                total.sum / count + total.c / count
            }),
        }
    }

    fn slide_as<F: Folding>(
        &self,
        ctx: &Context<'_>,
        elements: &Elements,
        result: impl Fn(F, u64) -> f64,
    ) -> Column {
        let mut column = Column::empty(self.steps.count);
        let mut looked_at = LookedAt::new(ctx.budget.counts_steps(self.steps));
        let counts = elements.counts();
        let counting = matches!(self.fold, Fold::Count | Fold::Present);
        let overlap = self.steps.count > 1 && self.windows.range > self.steps.step;
        let mut sliding = Sliding::<F>::new();
        for bounds in self.windows.over(&elements.t, self.steps) {
            let (lo, hi) = (bounds.lo, bounds.hi);
            if lo == hi {
                continue;
            }
            let (from, to) = match &counts {
                None => (lo as u64, hi as u64),
                Some(counts) => {
                    let before = |i: usize| counts.get(i).copied().unwrap_or(0);
                    (before(lo), before(hi))
                }
            };
            looked_at.add(bounds.step, from, to);
            let count = to - from;
            let fold = match (counting, overlap) {
                (true, _) => F::EMPTY,
                (false, true) => sliding.over(lo, hi, |i| elements.at(i)),
                (false, false) => (lo..hi).fold(F::EMPTY, |fold, i| fold.then(elements.at(i))),
            };
            column.set_float(bounds.step, result(fold, count));
        }
        looked_at.tell(ctx);
        column
    }
}

impl Elements {
    /// Appends a summary; false if the fold cannot be told from it.
    fn summarise(&mut self, fold: Fold, summary: &Summary, out: &mut SampleBuf) -> bool {
        let stats = &summary.stats;
        let (value, c) = match fold {
            Fold::Count | Fold::Present => (0.0, 0.0),
            Fold::Min => (stats.min, 0.0),
            Fold::Max => (stats.max, 0.0),
            Fold::Sum | Fold::Avg => stats.sum,
        };
        self.more.resize(out.len(), SAMPLE);
        self.more.push(More { c, count: stats.count });
        out.push_float(summary.last_t, value);
        let sums = matches!(fold, Fold::Sum | Fold::Avg);
        !sums || (stats.nans == 0 && stats.min > -SAFE && stats.max < SAFE)
    }

    /// Takes what was read, stale markers left out.
    fn take(&mut self, buffer: SampleBuf) {
        (self.t, self.v) = (buffer.t, buffer.v);
        if !self.more.is_empty() {
            self.more.resize(self.t.len(), SAMPLE);
        }
        if !any_stale(&self.v) {
            return;
        }
        let stale: Vec<bool> = self.v.iter().map(|v| is_stale(*v)).collect();
        let mut marks = stale.iter();
        self.t.retain(|_| marks.next() != Some(&true));
        let mut marks = stale.iter();
        self.more.retain(|_| marks.next() != Some(&true));
        self.v.retain(|v| !is_stale(*v));
    }

    fn at<F: Folding>(&self, i: usize) -> F {
        F::of(
            self.v.get(i).copied().unwrap_or(f64::NAN),
            self.more.get(i).map_or(0.0, |more| more.c),
        )
    }

    /// How many samples stand before each place; none where every element is a sample.
    fn counts(&self) -> Option<Vec<u64>> {
        if self.more.is_empty() {
            return None;
        }
        let mut all = 0;
        let after = self.more.iter().map(|more| {
            all += more.count;
            all
        });
        Some(std::iter::once(0).chain(after).collect())
    }
}
