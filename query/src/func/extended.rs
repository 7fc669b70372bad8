//! The rate family over `anchored` and `smoothed` ranges: nothing is stretched; the values at the
//! edges are the last samples before them, or lie between the samples around them.

use std::sync::Arc;

use ringwell_storage::model::{CounterReset, FloatHistogram};

use super::rate::{Kind, MIXED_SCHEMAS, MIXED_TYPES, warn_of_hints};
use crate::exec::{Call, Out, Window, interpolate};
use crate::notes::named;
use crate::parse::expr::Edges;

/// The samples that decide: from the first, at or before the left edge, to the last, at or (if
/// smoothed) after the right one.
struct Points<'a> {
    w: &'a Window<'a>,
    first: usize,
    last: usize,
    /// The left value lies between the first two samples.
    left_between: bool,
    /// The right value lies between the last two samples.
    right_between: bool,
}

pub(crate) fn rate(w: &Window<'_>, call: &Call<'_>, kind: Kind) -> Option<Out> {
    let points = points(w, call)?;
    let histograms = (points.first..=points.last).filter(|i| w.all.histogram(*i).is_some()).count();
    let out = if histograms == 0 {
        Out::Float(points.float_change(kind))
    } else if histograms == points.last - points.first + 1 {
        let mut change = points.histogram_change(call, kind)?;
        change.reset = CounterReset::Gauge;
        Out::Histogram(Arc::new(change))
    } else {
        call.warn(named(MIXED_TYPES, call.metric()));
        return None;
    };
    if !kind.per_second {
        return Some(out);
    }
    Some(match out {
        Out::Float(value) => Out::Float(value / w.seconds()),
        Out::Histogram(histogram) => Out::Histogram(Arc::new(histogram.divided(w.seconds()))),
    })
}

fn points<'a>(w: &'a Window<'a>, call: &Call<'_>) -> Option<Points<'a>> {
    let time = |i: usize| w.all.t.get(i).copied();
    let smoothed = call.edges == Edges::Smoothed;
    let anchor =
        w.lo.checked_sub(1)
            .filter(|i| time(*i).is_some_and(|t| t > w.from.saturating_sub(call.lookback)));
    let first = anchor.unwrap_or(w.lo);
    let exact_end = w.hi.checked_sub(1).is_some_and(|i| time(i) == Some(w.to));
    let after = time(w.hi).filter(|t| *t < w.to.saturating_add(call.lookback)).map(|_| w.hi);
    let last = match after {
        Some(after) if smoothed && !exact_end => after,
        _ => w.hi.checked_sub(1)?,
    };
    let (first_t, last_t) = (time(first)?, time(last)?);
    // Data only before or only after the range says nothing about it.
    if last < first || last_t <= w.from || first_t > w.to {
        return None;
    }
    let left_between = smoothed && first_t < w.from && last > first;
    Some(Points { w, first, last, left_between, right_between: last_t > w.to && last > first })
}

impl Points<'_> {
    fn share(&self, a: usize, b: usize, t: i64) -> f64 {
        let time = |i: usize| self.w.all.t.get(i).copied().unwrap_or(t);
        t.saturating_sub(time(a)) as f64 / time(b).saturating_sub(time(a)) as f64
    }

    fn float_change(&self, kind: Kind) -> f64 {
        let value = |i: usize| self.w.all.v.get(i).copied().unwrap_or(f64::NAN);
        let between = |mut a: f64, mut b: f64, share: f64, left: bool| {
            if kind.counter && b < a {
                if left {
                    a = 0.0;
                } else {
                    b += a;
                }
            }
            a + (b - a) * share
        };
        let (first, last) = (self.first, self.last);
        let left = if self.left_between {
            let share = self.share(first, first + 1, self.w.from);
            between(value(first), value(first + 1), share, true)
        } else {
            value(first)
        };
        let right = if self.right_between {
            let both = self.left_between && last == first + 1;
            let share = self.share(last - 1, last, self.w.to);
            between(value(last - 1), value(last), share, both)
        } else {
            value(last)
        };
        let mut change = right - left;
        if kind.counter {
            let mut previous = left;
            let end = if self.right_between { last } else { last + 1 };
            for i in first + 1..end {
                if value(i) < previous {
                    change += previous;
                }
                previous = value(i);
            }
            if self.right_between && right < previous {
                change += previous;
            }
        }
        change
    }

    fn histogram_change(&self, call: &Call<'_>, kind: Kind) -> Option<FloatHistogram> {
        let all = self.w.all;
        let at = |i: usize| all.histogram(i);
        let (first, last) = (self.first, self.last);
        if kind.counter {
            warn_of_hints((first..=last).filter_map(at), call, true);
        } else {
            warn_of_hints([at(first)?, at(last)?].into_iter(), call, false);
        }
        let mixed = || {
            call.warn(named(MIXED_SCHEMAS, call.metric()));
        };
        let schema = at(last)?.schema;
        if !(first..=last).filter_map(at).all(|h| h.schema.mixes_with(schema)) {
            mixed();
            return None;
        }
        let left = if self.left_between {
            interpolate(at(first)?, at(first + 1)?, self.share(first, first + 1, self.w.from))?
        } else {
            (**at(first)?).clone()
        };
        let right = if self.right_between {
            interpolate(at(last - 1)?, at(last)?, self.share(last - 1, last, self.w.to))?
        } else {
            (**at(last)?).clone()
        };
        let mut change = right.minus(&left).ok()?.histogram;
        if kind.counter {
            // An interpolated left edge already lies behind a reset before the second sample.
            let from = if self.left_between { first + 2 } else { first + 1 };
            for i in from..=last {
                if at(i)?.is_reset_after(at(i - 1)?) {
                    change = change.plus(at(i - 1)?).ok()?.histogram;
                }
            }
        }
        Some(change)
    }
}
