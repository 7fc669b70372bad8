//! Arithmetic on histograms in their working form.
//!
//! Before two histograms meet they are brought to one layout: the coarser schema, the larger zero
//! threshold (grown to the end of a bucket it would cut), and for custom buckets the bounds they
//! share. Many are summed at once, so the layout does not depend on their order.

use std::sync::Arc;

use super::{CounterReset, FloatHistogram, Schema};

/// Histograms that cannot be brought to one layout, such as exponential with custom buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("histograms with different kinds of buckets do not mix")]
pub struct Mismatch;

/// What came of combining histograms, and what a user should hear about it.
#[derive(Clone, Debug)]
pub struct Combined {
    /// The result.
    pub histogram: FloatHistogram,
    /// Some input was known to follow a counter reset and another was known not to.
    pub reset_collision: bool,
    /// Custom bounds differed, so only those in common are left.
    pub bounds_reconciled: bool,
}

struct Layout {
    schema: Schema,
    zero_threshold: f64,
    custom_values: Arc<[f64]>,
    bounds_reconciled: bool,
}

/// The sum of histograms, each bucket summed with compensation. `None` for no histograms.
pub fn sum(parts: &[&FloatHistogram]) -> Option<Result<Combined, Mismatch>> {
    let layout = match common_layout(parts)? {
        Ok(layout) => layout,
        Err(mismatch) => return Some(Err(mismatch)),
    };
    let parts: Vec<FloatHistogram> = parts.iter().map(|h| h.in_layout(&layout)).collect();
    let (reset, reset_collision) = joint_reset(&parts);
    let side = |pick: fn(&FloatHistogram) -> &Vec<(i32, f64)>| {
        let mut all: Vec<(i32, f64)> = parts.iter().flat_map(pick).copied().collect();
        all.sort_by_key(|b| b.0);
        merge_runs(&all)
    };
    let histogram = FloatHistogram {
        reset,
        schema: layout.schema,
        zero_threshold: layout.zero_threshold,
        zero_count: kahan(parts.iter().map(|h| h.zero_count)),
        count: kahan(parts.iter().map(|h| h.count)),
        sum: kahan(parts.iter().map(|h| h.sum)),
        positive: side(|h| &h.positive),
        negative: side(|h| &h.negative),
        custom_values: layout.custom_values,
    };
    let bounds_reconciled = layout.bounds_reconciled;
    Some(Ok(Combined { histogram, reset_collision, bounds_reconciled }))
}

/// The mean of histograms; where the plain sum overflows, the sum of their shares.
pub fn average(parts: &[&FloatHistogram]) -> Option<Result<Combined, Mismatch>> {
    let share = parts.len() as f64;
    let total = sum(parts)?;
    Some(total.and_then(|mut total| {
        if total.histogram.overflows() {
            let shares: Vec<FloatHistogram> = parts.iter().map(|h| h.divided(share)).collect();
            let reset = total.histogram.reset;
            total.histogram =
                sum(&shares.iter().collect::<Vec<_>>()).unwrap_or(Err(Mismatch))?.histogram;
            total.histogram.reset = reset;
        } else {
            total.histogram = total.histogram.divided(share);
        }
        Ok(total)
    }))
}

impl FloatHistogram {
    /// `self + other`.
    pub fn plus(&self, other: &FloatHistogram) -> Result<Combined, Mismatch> {
        sum(&[self, other]).unwrap_or(Err(Mismatch))
    }

    /// `self - other`: a gauge.
    pub fn minus(&self, other: &FloatHistogram) -> Result<Combined, Mismatch> {
        let mut negated = other.scaled(-1.0);
        negated.reset = other.reset;
        let mut difference = self.plus(&negated)?;
        difference.histogram.reset = CounterReset::Gauge;
        Ok(difference)
    }

    /// Every count times `factor`; a negative factor leaves a gauge.
    pub fn scaled(&self, factor: f64) -> FloatHistogram {
        let mut out = self.map_counts(|count| count * factor);
        if factor < 0.0 {
            out.reset = CounterReset::Gauge;
        }
        out
    }

    /// Every count divided by `divisor`. Division by zero leaves no regular buckets.
    pub fn divided(&self, divisor: f64) -> FloatHistogram {
        let mut out = self.map_counts(|count| count / divisor);
        if divisor == 0.0 {
            out.positive.clear();
            out.negative.clear();
        }
        if divisor < 0.0 {
            out.reset = CounterReset::Gauge;
        }
        out
    }

    /// In a coarser schema; unchanged if `schema` is no coarser one.
    pub fn reduced(&self, schema: Schema) -> FloatHistogram {
        let layout = Layout {
            schema,
            zero_threshold: self.zero_threshold,
            custom_values: Arc::clone(&self.custom_values),
            bounds_reconciled: false,
        };
        self.in_layout(&layout)
    }

    /// Whether a counter was reset between `previous` and this sample: by its own word, or because
    /// any bucket holds less than before.
    pub fn is_reset_after(&self, previous: &FloatHistogram) -> bool {
        match self.reset {
            CounterReset::Yes => return true,
            CounterReset::No => return false,
            CounterReset::Unknown | CounterReset::Gauge => {}
        }
        if self.count < previous.count || !self.schema.mixes_with(previous.schema) {
            return true;
        }
        let finer = self.schema.coarser(previous.schema) != self.schema;
        if finer || self.zero_threshold < previous.zero_threshold {
            return true;
        }
        if previous.threshold_covering(self.zero_threshold) != self.zero_threshold {
            return true;
        }
        let custom_values = shared_bounds(&self.custom_values, &previous.custom_values);
        let layout = Layout {
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            bounds_reconciled: false,
            custom_values,
        };
        let (now, before) = (self.in_layout(&layout), previous.in_layout(&layout));
        now.zero_count < before.zero_count
            || any_less(&now.positive, &before.positive)
            || any_less(&now.negative, &before.negative)
    }

    fn map_counts(&self, f: impl Fn(f64) -> f64) -> FloatHistogram {
        let side = |buckets: &[(i32, f64)]| -> Vec<(i32, f64)> {
            buckets.iter().map(|&(i, c)| (i, f(c))).filter(|b| b.1 != 0.0).collect()
        };
        FloatHistogram {
            zero_count: f(self.zero_count),
            count: f(self.count),
            sum: f(self.sum),
            positive: side(&self.positive),
            negative: side(&self.negative),
            ..self.clone()
        }
    }

    fn overflows(&self) -> bool {
        let buckets = self.positive.iter().chain(&self.negative).map(|b| b.1);
        buckets.chain([self.count, self.sum, self.zero_count]).any(f64::is_infinite)
    }

    /// The smallest threshold from `threshold` up that cuts through no populated bucket.
    fn threshold_covering(&self, threshold: f64) -> f64 {
        let mut threshold = threshold;
        if threshold == self.zero_threshold || self.is_custom() {
            return threshold;
        }
        loop {
            let cut = self.positive.iter().chain(&self.negative).find_map(|&(index, count)| {
                let (lower, upper) = self.schema.bounds(index, &[]);
                (count != 0.0 && lower < threshold && upper > threshold).then_some(upper)
            });
            match cut {
                Some(upper) => threshold = upper,
                None => return threshold,
            }
        }
    }

    fn in_layout(&self, layout: &Layout) -> FloatHistogram {
        let mut out = self.clone();
        if layout.zero_threshold > self.zero_threshold {
            let inside = |&(index, _): &(i32, f64)| {
                self.schema.bounds(index, &[]).1 <= layout.zero_threshold
            };
            for side in [&mut out.positive, &mut out.negative] {
                out.zero_count += side.iter().filter(|b| inside(b)).map(|b| b.1).sum::<f64>();
                side.retain(|b| !inside(b));
            }
            out.zero_threshold = layout.zero_threshold;
        }
        if out.is_custom() {
            if out.custom_values != layout.custom_values {
                let map = |index: i32| map_custom(index, &self.custom_values, layout);
                out.positive = merge_runs_by(&out.positive, map);
                out.custom_values = Arc::clone(&layout.custom_values);
            }
        } else if out.schema != layout.schema {
            let map = |index: i32| self.schema.index_in(layout.schema, index);
            out.positive = merge_runs_by(&out.positive, map);
            out.negative = merge_runs_by(&out.negative, map);
            out.schema = layout.schema;
        }
        out
    }
}

fn common_layout(parts: &[&FloatHistogram]) -> Option<Result<Layout, Mismatch>> {
    let first = parts.first()?;
    let mut layout = Layout {
        schema: first.schema,
        zero_threshold: first.zero_threshold,
        custom_values: Arc::clone(&first.custom_values),
        bounds_reconciled: false,
    };
    for part in parts {
        if !layout.schema.mixes_with(part.schema) {
            return Some(Err(Mismatch));
        }
        layout.schema = layout.schema.coarser(part.schema);
        layout.zero_threshold = layout.zero_threshold.max(part.zero_threshold);
        if layout.custom_values != part.custom_values {
            layout.custom_values = shared_bounds(&layout.custom_values, &part.custom_values);
            layout.bounds_reconciled = true;
        }
    }
    loop {
        let grown = parts
            .iter()
            .map(|h| h.threshold_covering(layout.zero_threshold))
            .fold(layout.zero_threshold, f64::max);
        if grown == layout.zero_threshold {
            return Some(Ok(layout));
        }
        layout.zero_threshold = grown;
    }
}

fn shared_bounds(a: &Arc<[f64]>, b: &Arc<[f64]>) -> Arc<[f64]> {
    if a == b { Arc::clone(a) } else { a.iter().copied().filter(|x| b.contains(x)).collect() }
}

/// The bucket of the layout that ends at or after this one's upper bound.
fn map_custom(index: i32, bounds: &[f64], layout: &Layout) -> i32 {
    let upper = usize::try_from(index).ok().and_then(|i| bounds.get(i)).copied();
    let upper = upper.unwrap_or(f64::INFINITY);
    let at = layout.custom_values.partition_point(|&bound| bound < upper);
    i32::try_from(at).unwrap_or(i32::MAX)
}

fn merge_runs_by(buckets: &[(i32, f64)], map: impl Fn(i32) -> i32) -> Vec<(i32, f64)> {
    let mapped: Vec<(i32, f64)> = buckets.iter().map(|&(i, c)| (map(i), c)).collect();
    merge_runs(&mapped)
}

/// One bucket for each run of equal indexes, without those that come to nothing.
fn merge_runs(buckets: &[(i32, f64)]) -> Vec<(i32, f64)> {
    buckets
        .chunk_by(|a, b| a.0 == b.0)
        .filter_map(|run| Some((run.first()?.0, kahan(run.iter().map(|b| b.1)))))
        .filter(|b| b.1 != 0.0)
        .collect()
}

fn any_less(now: &[(i32, f64)], before: &[(i32, f64)]) -> bool {
    let mut rest = now.iter().peekable();
    before.iter().any(|&(index, count)| {
        while rest.next_if(|b| b.0 < index).is_some() {}
        let have = rest.next_if(|b| b.0 == index).map_or(0.0, |b| b.1);
        have < count
    })
}

/// Gauge wins, then not knowing; a reset beside a certain non-reset is a collision.
fn joint_reset(parts: &[FloatHistogram]) -> (CounterReset, bool) {
    let has = |reset| parts.iter().any(|h| h.reset == reset);
    let collision = has(CounterReset::Yes) && has(CounterReset::No);
    let first = parts.first().map_or(CounterReset::Unknown, |h| h.reset);
    let reset = if has(CounterReset::Gauge) {
        CounterReset::Gauge
    } else if parts.iter().all(|h| h.reset == first) {
        first
    } else {
        CounterReset::Unknown
    };
    (reset, collision)
}

/// Neumaier's compensated sum; the compensation is forgotten once the sum is infinite.
fn kahan(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut c) = (0.0_f64, 0.0_f64);
    for value in values {
        let t = sum + value;
        if t.is_infinite() {
            c = 0.0;
        } else if sum.abs() >= value.abs() {
            c += (sum - t) + value;
        } else {
            c += (value - t) + sum;
        }
        sum = t;
    }
    sum + c
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exponential(schema: i8, zero: (f64, f64), positive: &[(i32, f64)]) -> FloatHistogram {
        FloatHistogram {
            reset: CounterReset::Unknown,
            schema: Schema::Exponential(schema),
            zero_threshold: zero.0,
            zero_count: zero.1,
            count: zero.1 + positive.iter().map(|b| b.1).sum::<f64>(),
            sum: 1.0,
            positive: positive.to_vec(),
            negative: Vec::new(),
            custom_values: Arc::from([]),
        }
    }

    #[test]
    fn a_sum_takes_the_coarser_schema_and_the_larger_zero_bucket() {
        let fine = exponential(1, (0.0, 1.0), &[(-1, 2.0), (3, 4.0), (4, 1.0)]);
        let coarse = exponential(0, (0.6, 5.0), &[(2, 7.0)]);
        let total = fine.plus(&coarse).unwrap().histogram;
        assert_eq!(total.schema, Schema::Exponential(0));
        // 0.6 cuts the bucket (0.5, 0.707] of the finer one, so the zero bucket ends there.
        assert!((total.zero_threshold - 0.5f64.sqrt()).abs() < 1e-15);
        assert_eq!(total.zero_count, 8.0);
        assert_eq!(total.positive, [(2, 12.0)]);
    }

    #[test]
    fn custom_bounds_meet_in_what_they_share() {
        let of = |bounds: &[f64], counts: &[(i32, f64)]| FloatHistogram {
            schema: Schema::Custom,
            custom_values: bounds.into(),
            ..exponential(0, (0.0, 0.0), counts)
        };
        let a = of(&[2.0, 4.0, 6.0], &[(0, 1.0), (1, 2.0), (2, 5.0), (3, 7.0)]);
        let b = of(&[2.0, 3.0, 6.0], &[(0, 1.0), (1, 1.0), (3, 1.0)]);
        let total = a.plus(&b).unwrap();
        assert!(total.bounds_reconciled);
        assert_eq!(total.histogram.custom_values.as_ref(), [2.0, 6.0]);
        assert_eq!(total.histogram.positive, [(0, 2.0), (1, 8.0), (2, 8.0)]);
        assert!(a.plus(&exponential(0, (0.0, 0.0), &[])).is_err());
    }

    #[test]
    fn resets_show_in_one_bucket() {
        let before = exponential(0, (0.0, 0.0), &[(1, 1.0), (2, 2.0)]);
        let more = exponential(0, (0.0, 0.0), &[(1, 1.0), (2, 3.0)]);
        let less = exponential(0, (0.0, 0.0), &[(1, 9.0)]);
        assert!(!more.is_reset_after(&before));
        assert!(less.is_reset_after(&before));
        assert!(FloatHistogram { reset: CounterReset::Yes, ..more }.is_reset_after(&before));
    }

    #[test]
    fn an_average_survives_an_overflowing_sum() {
        let huge = FloatHistogram { count: f64::MAX, ..exponential(0, (0.0, 0.0), &[(1, 1.0)]) };
        let mean = average(&[&huge, &huge]).unwrap().unwrap().histogram;
        assert_eq!((mean.count, mean.positive), (f64::MAX, vec![(1, 1.0)]));
    }
}
