//! Quicker ways for windows that hold nothing but floats: no call a window, each sample looked at a
//! fixed number of times however much the windows overlap, and statistics in place of samples.

use super::rate::Kind;
use super::sums::kahan;

/// Which quicker way a function over ranges has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Quick {
    No,
    /// A fold: see [`crate::exec`].
    Fold(Fold),
    /// The change from the first sample to the last.
    Change(Kind),
}

/// What a window is folded into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fold {
    Count,
    Present,
    Sum,
    Avg,
    Min,
    Max,
}

/// A fold over samples in order of time. Joining neither subtracts nor depends on where it is
/// split, but for the rounding of compensated sums.
pub(crate) trait Folding: Copy {
    const EMPTY: Self;

    /// Of one sample, or of several by their statistics; a sum has a compensation.
    fn of(value: f64, compensation: f64) -> Self;

    /// This and what comes later.
    fn then(self, later: Self) -> Self;
}

/// A compensated sum.
#[derive(Clone, Copy)]
pub(crate) struct Total {
    pub(crate) sum: f64,
    pub(crate) c: f64,
}

impl Folding for Total {
    const EMPTY: Total = Total { sum: 0.0, c: 0.0 };

    fn of(value: f64, compensation: f64) -> Total {
        Total { sum: value, c: compensation }
    }

    fn then(self, later: Total) -> Total {
        let (sum, c) = kahan(later.sum, self.sum, self.c);
        Total { sum, c: c + later.c }
    }
}

/// The least, NaN only if there is nothing else; of equal ones the first.
#[derive(Clone, Copy)]
pub(crate) struct Least(pub(crate) f64);

impl Folding for Least {
    const EMPTY: Least = Least(f64::NAN);

    fn of(value: f64, _: f64) -> Least {
        Least(value)
    }

    fn then(self, later: Least) -> Least {
        if later.0 < self.0 || self.0.is_nan() { later } else { self }
    }
}

/// The greatest, in the same way.
#[derive(Clone, Copy)]
pub(crate) struct Greatest(pub(crate) f64);

impl Folding for Greatest {
    const EMPTY: Greatest = Greatest(f64::NAN);

    fn of(value: f64, _: f64) -> Greatest {
        Greatest(value)
    }

    fn then(self, later: Greatest) -> Greatest {
        if later.0 > self.0 || self.0.is_nan() { later } else { self }
    }
}

/// The fold of a window that only moves forward: what is left of the window when it last ran dry, as
/// folds from each sample to its end, and one fold of what came since. Nothing is ever subtracted, so
/// a large value that leaves takes no small ones with it.
pub(crate) struct Sliding<F> {
    /// Folds up to `mid`, the shortest first.
    left: Vec<F>,
    mid: usize,
    right: F,
    hi: usize,
}

impl<F: Folding> Sliding<F> {
    pub(crate) fn new() -> Sliding<F> {
        Sliding { left: Vec::new(), mid: 0, right: F::EMPTY, hi: 0 }
    }

    /// The fold of the samples at `lo..hi`; neither end goes back from call to call.
    pub(crate) fn over(&mut self, lo: usize, hi: usize, at: impl Fn(usize) -> F) -> F {
        if lo >= self.mid {
            self.left.clear();
            let mut fold = F::EMPTY;
            for i in (lo..hi).rev() {
                fold = at(i).then(fold);
                self.left.push(fold);
            }
            (self.mid, self.hi, self.right) = (hi, hi, F::EMPTY);
            return fold;
        }
        for i in self.hi..hi {
            self.right = self.right.then(at(i));
        }
        self.hi = hi;
        let left = self.left.get(self.mid - 1 - lo).copied().unwrap_or(F::EMPTY);
        left.then(self.right)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values with both zeros, NaN, and a spike that hides small ones.
    fn values() -> Vec<f64> {
        let mut random = 1_u64;
        let mut next = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
            (random >> 33) as f64 / 1e6
        };
        let value = |i: usize, v: f64| match i % 97 {
            0 => -0.0,
            1 => 0.0,
            50 => 1e18,
            51 => -1e18,
            _ => v,
        };
        (0..3000).map(|i| value(i, next())).collect()
    }

    fn compare<F: Folding>(range: usize, step: usize, check: impl Fn(F, &[f64])) {
        let values = values();
        let mut sliding = Sliding::<F>::new();
        for hi in (0..values.len()).step_by(step) {
            let lo = hi.saturating_sub(range);
            check(sliding.over(lo, hi, |i| F::of(values[i], 0.0)), &values[lo..hi]);
        }
    }

    #[test]
    fn a_sliding_window_folds_as_a_fresh_one_does() {
        for (range, step) in [(1, 1), (30, 6), (360, 1), (10, 25), (360, 77)] {
            compare::<Total>(range, step, |total, window| {
                let whole = crate::func::sums::sum(window.iter().copied());
                let sum = total.sum + total.c;
                assert!((sum - whole).abs() <= 1e-12 * whole.abs(), "{sum} {whole}");
            });
            compare::<Least>(range, step, |least, window| {
                let first = window.iter().copied().reduce(|a, b| if b < a { b } else { a });
                let first = first.unwrap_or(f64::NAN);
                assert_eq!(least.0.to_bits(), first.to_bits());
            });
            compare::<Greatest>(range, step, |greatest, window| {
                let first = window.iter().copied().reduce(|a, b| if b > a { b } else { a });
                let first = first.unwrap_or(f64::NAN);
                assert_eq!(greatest.0.to_bits(), first.to_bits());
            });
        }
    }
}
