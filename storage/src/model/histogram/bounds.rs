//! From a bucket's index to its bounds, and from one resolution's index to another's.

use super::Schema;

impl Schema {
    /// Whether two histograms of these schemas can be brought to one layout.
    pub fn mixes_with(self, other: Schema) -> bool {
        matches!(
            (self, other),
            (Schema::Exponential(_), Schema::Exponential(_))
                | (Schema::Custom, Schema::Custom)
                | (Schema::Hdr(_), Schema::Hdr(_))
        )
    }

    /// The coarser of two schemas that mix.
    pub fn coarser(self, other: Schema) -> Schema {
        match (self, other) {
            (Schema::Exponential(a), Schema::Exponential(b)) => Schema::Exponential(a.min(b)),
            (Schema::Hdr(a), Schema::Hdr(b)) => Schema::Hdr(a.min(b)),
            _ => self,
        }
    }

    /// The index in the coarser schema `to` of the bucket that holds all of bucket `index`.
    pub(super) fn index_in(self, to: Schema, index: i32) -> i32 {
        match (self, to) {
            (Schema::Exponential(from), Schema::Exponential(to)) if to < from => {
                (index.wrapping_sub(1) >> (from - to).min(31)).wrapping_add(1)
            }
            (Schema::Hdr(from), Schema::Hdr(to)) if to < from => index >> (from - to),
            _ => index,
        }
    }

    /// Lower and upper bound of a positive bucket; a custom one reads its bounds from `custom`.
    pub(super) fn bounds(self, index: i32, custom: &[f64]) -> (f64, f64) {
        match self {
            Schema::Exponential(n) => {
                (exponential_bound(index.wrapping_sub(1), n), exponential_bound(index, n))
            }
            Schema::Custom => custom_bounds(index, custom),
            Schema::Hdr(bits) => (hdr_bound(index, bits), hdr_bound(index.wrapping_add(1), bits)),
        }
    }
}

/// The upper bound of bucket `index`; the last finite one is the largest float.
fn exponential_bound(index: i32, schema: i8) -> f64 {
    if schema <= 0 {
        let exponent = i64::from(index) << -schema;
        return if exponent == 1024 { f64::MAX } else { scale_by_two(1.0, exponent) };
    }
    let per_octave = 1_i32 << schema;
    let octave = i64::from(index >> schema);
    let within = index & (per_octave - 1);
    if within == 0 && octave == 1024 {
        return f64::MAX;
    }
    scale_by_two((f64::from(within) / f64::from(per_octave)).exp2(), octave)
}

/// The first bucket reaches down to -Inf, the last up to +Inf.
fn custom_bounds(index: i32, custom: &[f64]) -> (f64, f64) {
    let at = |i: i32| usize::try_from(i).ok().and_then(|i| custom.get(i)).copied();
    let upper = at(index).unwrap_or(f64::INFINITY);
    let lower = if index <= 0 { f64::NEG_INFINITY } else { at(index - 1).unwrap_or(f64::INFINITY) };
    (lower, upper)
}

fn hdr_bound(index: i32, bits: u8) -> f64 {
    let index = u64::try_from(index).unwrap_or(0);
    let bits = index << (52 - u32::from(bits));
    f64::from_bits(bits.min(f64::INFINITY.to_bits()))
}

/// `x * 2^exponent` without losing subnormal results or overflowing on the way.
fn scale_by_two(x: f64, exponent: i64) -> f64 {
    let mut x = x;
    let mut exponent = exponent.clamp(-2200, 2200) as i32;
    while exponent > 1000 {
        x *= 2f64.powi(1000);
        exponent -= 1000;
    }
    while exponent < -1000 {
        x *= 2f64.powi(-1000);
        exponent += 1000;
    }
    x * 2f64.powi(exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_of_all_schemas() {
        let cases = [
            (Schema::Exponential(0), 1, 1.0, 2.0),
            (Schema::Exponential(0), 0, 0.5, 1.0),
            (Schema::Exponential(-1), 1, 1.0, 4.0),
            (Schema::Exponential(1), 2, 2f64.sqrt(), 2.0),
            (Schema::Exponential(0), 1024, 2f64.powi(1023), f64::MAX),
            (Schema::Exponential(0), -1074, 0.0, 5e-324),
            (Schema::Hdr(1), 2046, 1.0, 1.5),
        ];
        for (schema, index, lower, upper) in cases {
            assert_eq!(schema.bounds(index, &[]), (lower, upper), "{schema:?} {index}");
        }
        assert_eq!(Schema::Custom.bounds(0, &[-1.0]), (f64::NEG_INFINITY, -1.0));
        assert_eq!(Schema::Custom.bounds(0, &[5.0]), (f64::NEG_INFINITY, 5.0));
        assert_eq!(Schema::Custom.bounds(1, &[5.0]), (5.0, f64::INFINITY));
    }

    #[test]
    fn coarser_index_holds_the_finer_bucket() {
        for index in -20..20 {
            let (fine, coarse) = (Schema::Exponential(2), Schema::Exponential(0));
            let (lower, upper) = fine.bounds(index, &[]);
            let (l, u) = coarse.bounds(fine.index_in(coarse, index), &[]);
            assert!(l <= lower && upper <= u, "{index}");
        }
    }
}
