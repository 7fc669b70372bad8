//! How many distinct elements registers tell of, by Ertl's estimator (arXiv 1702.01284).

use super::{HASH_BITS, REGISTERS};

/// 0.5 / ln 2.
const ALPHA: f64 = 0.721_347_520_444_481_7;

/// The estimate for how many registers have each value.
pub(super) fn of(having: &[u32; 64]) -> u64 {
    let share = |value: usize| f64::from(having.get(value).copied().unwrap_or(0));
    let all = REGISTERS as f64;
    let mut z = all * tau((all - share(HASH_BITS + 1)) / all);
    for value in (1..=HASH_BITS).rev() {
        z += share(value);
        z *= 0.5;
    }
    z += all * sigma(share(0) / all);
    (ALPHA * all * all / z).round() as u64
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}
