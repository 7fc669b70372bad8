//! Cutting a histogram at a value: what lies below it, or what lies above.
//!
//! A bucket that is cut is split by interpolation: geometric in exponential buckets, linear in the
//! zero bucket and in custom ones. What is left has its sum estimated from the middles of its
//! buckets. A bucket without end cannot be split: it goes whole with the side of its finite bound.

use super::{CounterReset, FloatHistogram, Schema};

/// Which observations stay.
#[derive(Clone, Copy, PartialEq)]
enum Keep {
    Below,
    Above,
}

/// What is left of one bucket, and the value that stands for it in the sum.
struct Rest {
    count: f64,
    middle: f64,
}

#[derive(Clone, Copy, PartialEq)]
enum Scale {
    Linear,
    Geometric,
}

impl FloatHistogram {
    /// Only observations at or below `cut`.
    pub fn trimmed_to_upper(&self, cut: f64) -> FloatHistogram {
        self.trimmed(cut, Keep::Below)
    }

    /// Only observations above `cut`.
    pub fn trimmed_to_lower(&self, cut: f64) -> FloatHistogram {
        self.trimmed(cut, Keep::Above)
    }

    fn trimmed(&self, cut: f64, keep: Keep) -> FloatHistogram {
        let mut out = self.clone();
        if cut.is_nan() {
            return out;
        }
        let mut sum = 0.0;
        let mut split = |lower: f64, upper: f64, scale: Scale, count: f64| {
            let rest = if self.is_custom() {
                split_custom(lower, upper, count, cut, keep)
            } else {
                split_bucket(lower, upper, count, cut, keep, scale)
            };
            if rest.count != 0.0 {
                sum += rest.count * rest.middle;
            }
            rest.count
        };
        let scale = match self.schema {
            Schema::Exponential(_) => Scale::Geometric,
            Schema::Custom | Schema::Hdr(_) => Scale::Linear,
        };
        for bucket in &mut out.negative {
            let (lower, upper) = self.clipped_bounds(bucket.0);
            bucket.1 = split(-upper, -lower, scale, bucket.1);
        }
        if self.zero_count != 0.0 {
            let (lower, upper) = self.zero_bounds();
            out.zero_count = split(lower, upper, Scale::Linear, self.zero_count);
        }
        for bucket in &mut out.positive {
            let (lower, upper) = self.clipped_bounds(bucket.0);
            bucket.1 = split(lower, upper, scale, bucket.1);
        }
        let untouched = out.positive == self.positive
            && out.negative == self.negative
            && out.zero_count == self.zero_count;
        if untouched {
            return self.clone();
        }
        out.positive.retain(|b| b.1 != 0.0);
        out.negative.retain(|b| b.1 != 0.0);
        out.count =
            out.zero_count + out.positive.iter().chain(&out.negative).map(|b| b.1).sum::<f64>();
        out.sum = sum;
        out.reset = CounterReset::Gauge;
        out
    }

    /// The zero bucket, narrowed to the side on which all other observations lie.
    pub fn zero_bounds(&self) -> (f64, f64) {
        let width = self.zero_threshold;
        match (self.negative.is_empty(), self.positive.is_empty()) {
            (true, false) => (0.0, width),
            (false, true) => (-width, 0.0),
            _ => (-width, width),
        }
    }

    fn clipped_bounds(&self, index: i32) -> (f64, f64) {
        let (lower, upper) = self.schema.bounds(index, &self.custom_values);
        if self.is_custom() { (lower, upper) } else { (lower.max(self.zero_threshold), upper) }
    }
}

fn split_bucket(lower: f64, upper: f64, count: f64, cut: f64, keep: Keep, scale: Scale) -> Rest {
    let (from, to) = match keep {
        Keep::Below => (lower, upper.min(cut)),
        Keep::Above => (lower.max(cut), upper),
    };
    if from > to || (from == to && lower != upper) {
        return Rest { count: 0.0, middle: 0.0 };
    }
    let geometric = scale == Scale::Geometric && from * to > 0.0;
    let share = if from == lower && to == upper {
        1.0
    } else if geometric {
        (to / from).log2() / (upper / lower).log2()
    } else {
        (to - from) / (upper - lower)
    };
    let middle = if geometric {
        (from.abs().sqrt() * to.abs().sqrt()).copysign(to)
    } else {
        from + (to - from) / 2.0
    };
    Rest { count: count * share, middle }
}

fn split_custom(lower: f64, upper: f64, count: f64, cut: f64, keep: Keep) -> Rest {
    let none = Rest { count: 0.0, middle: 0.0 };
    let everything = match keep {
        Keep::Below => cut == f64::INFINITY,
        Keep::Above => cut == f64::NEG_INFINITY,
    };
    let endless = (lower == f64::NEG_INFINITY, upper == f64::INFINITY);
    // The first bucket of positive bounds is taken to begin at zero.
    let from_zero = endless.0 && !endless.1 && upper > 0.0;
    if everything {
        let middle = match endless {
            (true, true) => 0.0,
            (false, true) => lower,
            (true, false) if !from_zero => upper,
            (true, false) => upper / 2.0,
            (false, false) => lower + (upper - lower) / 2.0,
        };
        return Rest { count, middle };
    }
    match (endless, keep) {
        ((true, true), _) | ((false, true), Keep::Below) => none,
        ((false, true), Keep::Above) => Rest { count, middle: lower.max(cut) },
        ((true, false), Keep::Above) if !from_zero || cut < 0.0 => none,
        ((true, false), Keep::Below) if !from_zero => {
            if cut == f64::NEG_INFINITY {
                none
            } else {
                Rest { count, middle: upper.min(cut) }
            }
        }
        ((true, false), _) => split_bucket(0.0, upper, count, cut, keep, Scale::Linear),
        ((false, false), _) => split_bucket(lower, upper, count, cut, keep, Scale::Linear),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_halves_make_the_whole() {
        let whole = FloatHistogram {
            reset: CounterReset::Unknown,
            schema: Schema::Exponential(0),
            zero_threshold: 0.001,
            zero_count: 1.0,
            count: 10.0,
            sum: 9.0,
            positive: vec![(0, 2.0), (1, 4.0)],
            negative: vec![(0, 3.0)],
            custom_values: [].into(),
        };
        for cut in [-3.0, -0.7, -0.0005, 0.0, 0.3, 0.7, 1.0, 1.5, 9.0] {
            let (below, above) = (whole.trimmed_to_upper(cut), whole.trimmed_to_lower(cut));
            assert!((below.count + above.count - 10.0).abs() < 1e-12, "{cut}");
        }
        assert_eq!(whole.trimmed_to_upper(1.0).positive, [(0, 2.0)]);
    }
}
