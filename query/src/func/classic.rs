//! Classic histograms: cumulative buckets, one series each.

use crate::notes::Forced;

/// Counts that differ by less than this share are equal but for rounding.
const TOLERANCE: f64 = 1e-12;

/// A cumulative bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ClassicBucket {
    pub(crate) upper: f64,
    pub(crate) count: f64,
}

/// Buckets in order, each bound once, counts not falling.
#[derive(Clone, Debug)]
pub(crate) struct Classic {
    buckets: Vec<ClassicBucket>,
    /// Counts had to be raised.
    pub(crate) forced: Option<Forced>,
}

impl Classic {
    /// Of buckets in ascending order.
    pub(crate) fn sorted(mut merged: Vec<ClassicBucket>, t: i64) -> Classic {
        merged.dedup_by(|bucket, last| {
            let same = last.upper == bucket.upper;
            if same {
                last.count += bucket.count;
            }
            same
        });
        let mut forced: Option<Forced> = None;
        let mut previous = f64::NAN;
        for bucket in &mut merged {
            let gap = previous - bucket.count;
            if almost_equal(previous, bucket.count) {
                bucket.count = previous;
            } else if gap > 0.0 {
                let upper = bucket.upper;
                bucket.count = previous;
                let entry = forced.get_or_insert(Forced {
                    t,
                    lowest: upper,
                    highest: upper,
                    max_diff: gap,
                });
                entry.lowest = entry.lowest.min(upper);
                entry.highest = entry.highest.max(upper);
                entry.max_diff = entry.max_diff.max(gap);
            }
            previous = bucket.count;
        }
        Classic { buckets: merged, forced }
    }

    /// The memory of its buckets.
    pub(crate) fn into_buckets(self) -> Vec<ClassicBucket> {
        self.buckets
    }

    fn complete(&self) -> bool {
        self.buckets.last().is_some_and(|b| b.upper == f64::INFINITY)
    }

    pub(crate) fn quantile(&self, q: f64) -> f64 {
        if q.is_nan() {
            return f64::NAN;
        }
        if q < 0.0 {
            return f64::NEG_INFINITY;
        }
        if q > 1.0 {
            return f64::INFINITY;
        }
        let count = self.buckets.last().map_or(0.0, |b| b.count);
        // A count of NaN is above every rank, and the highest finite bound is the answer.
        if !self.complete() || self.buckets.len() < 2 || count == 0.0 {
            return f64::NAN;
        }
        let rank = q * count;
        let last = self.buckets.len() - 1;
        let at = self.buckets.iter().take(last).position(|b| b.count >= rank).unwrap_or(last);
        let before = at.checked_sub(1).and_then(|i| self.buckets.get(i)).copied();
        let Some(bucket) = self.buckets.get(at) else { return f64::NAN };
        if at == last {
            return before.map_or(f64::NAN, |b| b.upper);
        }
        if at == 0 && bucket.upper <= 0.0 {
            return bucket.upper;
        }
        let before = before.unwrap_or(ClassicBucket { upper: 0.0, count: 0.0 });
        let share = (rank - before.count) / (bucket.count - before.count);
        before.upper + (bucket.upper - before.upper) * share
    }

    /// The ends of the bucket that holds a quantile; `None` without observations, or for no quantile.
    /// What lies above the highest finite bound has no upper end; what lies in the first bucket is
    /// taken to be above zero, as in [`Classic::quantile`], if its bound is.
    pub(crate) fn holding(&self, q: f64) -> Option<(f64, f64)> {
        let count = self.buckets.last().map_or(0.0, |b| b.count);
        let known = self.complete() && count > 0.0 && (0.0..=1.0).contains(&q);
        let rank = q * count;
        let holds = |b: &ClassicBucket| b.count > 0.0 && b.count >= rank;
        let at = self.buckets.iter().position(holds).filter(|_| known)?;
        let upper = self.buckets.get(at)?.upper;
        let before = at.checked_sub(1).and_then(|i| self.buckets.get(i)).map(|b| b.upper);
        let lower = before.unwrap_or(if upper > 0.0 { 0.0 } else { f64::NEG_INFINITY });
        Some((lower, upper))
    }

    pub(crate) fn fraction(&self, lower: f64, upper: f64) -> f64 {
        let count = self.buckets.last().map_or(0.0, |b| b.count);
        let known = self.complete() && count != 0.0 && !count.is_nan();
        if !known || lower.is_nan() || upper.is_nan() {
            return f64::NAN;
        }
        if lower >= upper {
            return 0.0;
        }
        (self.rank(upper, count) - self.rank(lower, count)) / count
    }

    /// How many observations lie at or below `value`.
    fn rank(&self, value: f64, count: f64) -> f64 {
        let mut before = ClassicBucket { upper: f64::NEG_INFINITY, count: 0.0 };
        for &bucket in &self.buckets {
            if before.upper == f64::NEG_INFINITY && bucket.upper > 0.0 {
                before.upper = 0.0;
            }
            if before.upper >= value {
                return before.count;
            }
            if bucket.upper > value {
                // A bucket without end is not divided: all of it lies at its finite bound.
                if before.upper == f64::NEG_INFINITY {
                    return bucket.count;
                }
                if bucket.upper == f64::INFINITY {
                    return before.count;
                }
                let share = (value - before.upper) / (bucket.upper - before.upper);
                return before.count + (bucket.count - before.count) * share;
            }
            before = bucket;
        }
        count
    }
}

fn almost_equal(a: f64, b: f64) -> bool {
    if a == b {
        return true;
    }
    let diff = (a - b).abs();
    let both = a.abs() + b.abs();
    both != 0.0 && diff / both.min(f64::MAX) < TOLERANCE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(buckets: &[(f64, f64)]) -> Classic {
        let mut buckets: Vec<_> =
            buckets.iter().map(|&(upper, count)| ClassicBucket { upper, count }).collect();
        buckets.sort_by(|a, b| a.upper.total_cmp(&b.upper));
        Classic::sorted(buckets, 0)
    }

    #[test]
    fn quantiles_and_fractions_agree() {
        let h = of(&[(f64::INFINITY, 10.0), (1.0, 4.0), (2.0, 8.0)]);
        assert_eq!(h.quantile(0.6), 1.5);
        assert_eq!(h.fraction(0.0, 1.5), 0.6);
        assert_eq!(h.quantile(0.99), 2.0);
        assert_eq!(h.holding(0.6), Some((1.0, 2.0)));
        assert_eq!(h.holding(0.0), Some((0.0, 1.0)));
        assert_eq!(h.holding(0.99), Some((2.0, f64::INFINITY)));
        assert_eq!(h.holding(1.1), None);
        assert!(of(&[(1.0, 4.0)]).quantile(0.5).is_nan());
    }

    #[test]
    fn falling_counts_are_raised_and_told() {
        let h = of(&[(1.0, 2.0), (2.0, 1.0), (f64::INFINITY, 4.0)]);
        assert_eq!(h.forced.map(|f| (f.lowest, f.max_diff)), Some((2.0, 1.0)));
        assert!(of(&[(1.0, 2.0), (2.0, 2.0 - 1e-13), (f64::INFINITY, 4.0)]).forced.is_none());
    }
}
