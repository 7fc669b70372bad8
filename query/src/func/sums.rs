//! Sums and means that lose nothing: Neumaier's compensation, as Prometheus sums.

/// A running compensated sum.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sum {
    sum: f64,
    c: f64,
}

impl Sum {
    pub(crate) fn add(&mut self, value: f64) {
        (self.sum, self.c) = kahan(value, self.sum, self.c);
    }

    pub(crate) fn total(self) -> f64 {
        self.sum + self.c
    }
}

/// One step of the compensated sum; once it is infinite nothing is left to compensate.
pub(crate) fn kahan(value: f64, sum: f64, c: f64) -> (f64, f64) {
    let t = sum + value;
    let c = if t.is_infinite() {
        0.0
    } else if sum.abs() >= value.abs() {
        c + ((sum - t) + value)
    } else {
        c + ((value - t) + sum)
    };
    (t, c)
}

pub(crate) fn sum(values: impl Iterator<Item = f64>) -> f64 {
    let mut total = Sum::default();
    values.for_each(|v| total.add(v));
    total.total()
}

/// A running mean: sum by count while the sum stays finite, incremental from then on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mean {
    count: f64,
    sum: f64,
    c: f64,
    incremental: bool,
}

impl Mean {
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        if !self.incremental {
            let (sum, c) = kahan(value, self.sum, self.c);
            if !sum.is_infinite() || self.count == 1.0 {
                (self.sum, self.c) = (sum, c);
                return;
            }
            self.incremental = true;
            self.sum /= self.count - 1.0;
            self.c /= self.count - 1.0;
        }
        let mean = self.sum;
        if mean.is_infinite() {
            // Another infinity of the same sign, or a finite number, changes nothing.
            let same = value.is_infinite() && (mean > 0.0) == (value > 0.0);
            if same || value.is_finite() {
                return;
            }
        }
        let share = (self.count - 1.0) / self.count;
        (self.sum, self.c) = kahan(value / self.count, share * mean, share * self.c);
    }

    pub(crate) fn result(self) -> f64 {
        if self.incremental {
            self.sum + self.c
        } else {
            self.sum / self.count + self.c / self.count
        }
    }
}

/// A running variance.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Variance {
    count: f64,
    mean: (f64, f64),
    squares: (f64, f64),
}

impl Variance {
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        let delta = value - (self.mean.0 + self.mean.1);
        self.mean = kahan(delta / self.count, self.mean.0, self.mean.1);
        let product = delta * (value - (self.mean.0 + self.mean.1));
        self.squares = kahan(product, self.squares.0, self.squares.1);
    }

    pub(crate) fn result(self) -> f64 {
        (self.squares.0 + self.squares.1) / self.count
    }
}

/// The quantile of values in any order; NaN is the smallest value.
pub(crate) fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let n = values.len() as f64;
    let rank = q * (n - 1.0);
    let lower = rank.floor().max(0.0);
    let weight = rank - rank.floor();
    // Only the two neighbours of the rank need to be in their places.
    let (_, low, above) = if values.iter().any(|v| v.is_nan()) {
        values.select_nth_unstable_by(lower as usize, |a, b| nan_first(*a, *b))
    } else {
        values.select_nth_unstable_by(lower as usize, f64::total_cmp)
    };
    let low = *low;
    let high = above.iter().copied().min_by(|a, b| nan_first(*a, *b)).unwrap_or(low);
    low * (1.0 - weight) + high * weight
}

/// Ascending, NaN before all else.
pub(crate) fn nan_first(a: f64, b: f64) -> std::cmp::Ordering {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => std::cmp::Ordering::Equal,
        (true, false) => std::cmp::Ordering::Less,
        (false, true) => std::cmp::Ordering::Greater,
        (false, false) => a.partial_cmp(&b).unwrap_or(std::cmp::Ordering::Equal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_keep_small_parts_and_means_do_not_overflow() {
        assert_eq!(sum([2.0, 8.0, 1e100, -1e100].into_iter()), 10.0);
        let mut mean = Mean::default();
        [f64::MAX, f64::MAX, f64::MAX].into_iter().for_each(|v| mean.add(v));
        assert!((mean.result() / f64::MAX - 1.0).abs() < 1e-15);
        let mut mean = Mean::default();
        [f64::INFINITY, 2.0].into_iter().for_each(|v| mean.add(v));
        assert_eq!(mean.result(), f64::INFINITY);
    }

    #[test]
    fn quantiles_interpolate() {
        assert!((quantile(0.8, &mut [1.0, 0.0, 4.0]) - 2.8).abs() < 1e-12);
        assert!(quantile(0.2, &mut [1.0, 0.0, f64::NAN]).is_nan());
        assert_eq!(quantile(1.5, &mut [1.0]), f64::INFINITY);
    }
}
