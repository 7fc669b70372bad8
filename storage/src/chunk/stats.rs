//! What is known of a chunk without decoding it.

use super::float::{POWERS, exponent_of, integer_of, put_short, short};
use crate::model::is_stale;
use crate::wire::{FormatError, Reader, put_varint, put_zigzag};

/// There are NaNs.
const NANS: u8 = 1;
/// The least is the first, the largest the last.
const ASCENDING: u8 = 2;
/// The increase is the last less the first.
const SPAN: u8 = 4;
/// First, last, min and max are whole numbers over a power of ten.
const WHOLE: u8 = 8;
/// So is the increase.
const WHOLE_INCREASE: u8 = 16;
/// The sum's compensation is not 0.
const COMPENSATED: u8 = 32;

/// Statistics over the floats of a chunk, stale markers excluded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChunkStats {
    /// Samples, NaNs included.
    pub count: u64,
    /// NaNs among them.
    pub nans: u64,
    /// Smallest; NaN if all are.
    pub min: f64,
    /// Largest; NaN if all are.
    pub max: f64,
    /// First in time.
    pub first: f64,
    /// Last in time.
    pub last: f64,
    /// Last minus first, with every fall taken as a counter reset.
    pub increase: f64,
    /// Sum and its compensation (Neumaier): `sum + compensation` is the sum.
    pub sum: (f64, f64),
}

impl ChunkStats {
    /// Computes them.
    pub fn of(values: &[f64]) -> ChunkStats {
        let mut stats = ChunkStats {
            count: 0,
            nans: 0,
            min: f64::NAN,
            max: f64::NAN,
            first: f64::NAN,
            last: f64::NAN,
            increase: 0.0,
            sum: (0.0, 0.0),
        };
        for value in values.iter().copied().filter(|v| !is_stale(*v)) {
            stats.add(value);
        }
        stats
    }

    /// The statistics of these values and of `later` ones behind them.
    pub fn join(&self, later: &ChunkStats) -> ChunkStats {
        if self.count == 0 || later.count == 0 {
            return if self.count == 0 { *later } else { *self };
        }
        let fell = later.first < self.last;
        let between = if fell { later.first } else { later.first - self.last };
        let (a, b) = (self.sum.0, later.sum.0);
        let total = a + b;
        let lost = if a.abs() >= b.abs() { a - total + b } else { b - total + a };
        let lost = if total.is_finite() { lost } else { 0.0 };
        ChunkStats {
            count: self.count + later.count,
            nans: self.nans + later.nans,
            min: lower(self.min, later.min),
            max: higher(self.max, later.max),
            first: self.first,
            last: later.last,
            increase: self.increase + between + later.increase,
            sum: (total, self.sum.1 + later.sum.1 + lost),
        }
    }

    fn add(&mut self, value: f64) {
        if self.count == 0 {
            self.first = value;
        } else {
            self.increase += if value < self.last { value } else { value - self.last };
        }
        self.last = value;
        self.count += 1;
        self.nans += u64::from(value.is_nan());
        self.min = lower(self.min, value);
        self.max = higher(self.max, value);
        let (sum, compensation) = self.sum;
        let total = sum + value;
        let lost = if sum.abs() >= value.abs() { sum - total + value } else { value - total + sum };
        self.sum = (total, compensation + if total.is_finite() { lost } else { 0.0 });
    }

    /// First a byte of what follows from other numbers, then those that do not: as whole numbers over one
    /// power of ten where that gives back the same bits, else by their high bytes.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.count);
        let span = self.last - self.first;
        let same = |a: f64, b: f64| a.to_bits() == b.to_bits();
        let four = [self.first, self.last, self.min, self.max];
        // Of long fractions one may suit a power of ten and not the larger one that the next asks for.
        let exponent = exponent_of(four.iter(), 0)
            .filter(|e| four.iter().all(|number| integer_of(*number, *e).is_some()));
        let whole = |v: f64| exponent.and_then(|e| integer_of(v, e));
        let ascending = same(self.min, self.first) && same(self.max, self.last);
        let shape = [
            (self.nans != 0, NANS),
            (ascending, ASCENDING),
            (!span.is_nan() && same(self.increase, span), SPAN),
            (exponent.is_some(), WHOLE),
            (whole(self.increase).is_some(), WHOLE_INCREASE),
            (self.sum.1.to_bits() != 0, COMPENSATED),
        ];
        let shape: u8 = shape.iter().filter(|(set, _)| *set).map(|(_, bit)| bit).sum();
        out.push(shape);
        if shape & NANS != 0 {
            put_varint(out, self.nans);
        }
        out.extend(exponent.map(|e| e as u8));
        let first = whole(self.first).unwrap_or(0);
        let mut put = |number: f64, is_whole: bool, base: i64| match whole(number) {
            Some(integer) if is_whole => put_zigzag(out, integer - base),
            _ => put_short(number, out),
        };
        let all = exponent.is_some();
        put(self.first, all, 0);
        put(self.last, all, first);
        if !ascending {
            put(self.min, all, first);
            put(self.max, all, first);
        }
        if shape & SPAN == 0 {
            put(self.increase, shape & WHOLE_INCREASE != 0, 0);
        }
        put_short(self.sum.0, out);
        if shape & COMPENSATED != 0 {
            put_short(self.sum.1, out);
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<ChunkStats, FormatError> {
        let count = reader.varint()?;
        let shape = reader.u8()?;
        let has = |bit: u8| shape & bit != 0;
        let nans = if has(NANS) { reader.varint()? } else { 0 };
        let exponent = if has(WHOLE) { usize::from(reader.u8()?) } else { 0 };
        let power = POWERS.get(exponent).copied();
        let power = power.ok_or_else(|| reader.error("decimal exponent too large"))?;
        let mut get = |is_whole: bool, base: i64| -> Result<(f64, i64), FormatError> {
            if !is_whole {
                return short(reader).map(|v| (v, 0));
            }
            let integer = base.wrapping_add(reader.zigzag()?);
            Ok((integer as f64 / power, integer))
        };
        let (first, base) = get(has(WHOLE), 0)?;
        let last = get(has(WHOLE), base)?.0;
        let (mut min, mut max) = (first, last);
        if !has(ASCENDING) {
            min = get(has(WHOLE), base)?.0;
            max = get(has(WHOLE), base)?.0;
        }
        let increase =
            if has(SPAN) { last - first } else { get(has(WHOLE) && has(WHOLE_INCREASE), 0)?.0 };
        let sum = get(false, 0)?.0;
        let compensation = if has(COMPENSATED) { get(false, 0)?.0 } else { 0.0 };
        Ok(ChunkStats { count, nans, min, max, first, last, increase, sum: (sum, compensation) })
    }

    /// Of `count` equal values, none a stale marker. The sum is exact, which one after the other is too but for
    /// its last bit.
    pub(super) fn of_equal(value: f64, count: u64) -> ChunkStats {
        let mut stats = ChunkStats::of(&[]);
        if count == 0 {
            return stats;
        }
        stats.add(value);
        let times = count as f64;
        // As sums begin with 0, none is -0.
        let total = value * times + 0.0;
        let lost = if total.is_finite() { value.mul_add(times, -total) } else { 0.0 };
        stats.count = count;
        stats.nans *= count;
        stats.sum = (total, lost);
        if count > 1 && !value.is_finite() {
            stats.increase = f64::NAN;
        }
        stats
    }
}

/// The lower of two, numbers before NaN; of equal ones (0 and -0) the first, as PromQL chooses.
fn lower(a: f64, b: f64) -> f64 {
    if b < a || a.is_nan() { b } else { a }
}

/// The same for the higher.
fn higher(a: f64, b: f64) -> f64 {
    if b > a || a.is_nan() { b } else { a }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn assert_comes_back(values: &[f64]) {
        let stats = ChunkStats::of(values);
        let mut bytes = Vec::new();
        stats.encode(&mut bytes);
        let mut reader = Reader::new(&bytes);
        let back = ChunkStats::decode(&mut reader).unwrap();
        assert!(reader.is_empty(), "{values:?}");
        let bits = |s: &ChunkStats| {
            let floats = [s.min, s.max, s.first, s.last, s.increase, s.sum.0, s.sum.1];
            (s.count, s.nans, floats.map(f64::to_bits))
        };
        assert_eq!(bits(&back), bits(&stats), "{values:?}");
    }

    #[test]
    fn long_fractions_that_suit_different_powers_of_ten_come_back() {
        // The first suits 10^15 and not the 10^16 of the others.
        let values =
            [0.421397261115773, 0.3983111942810168, 0.4341334132036239, 0.4302839144518738];
        assert_comes_back(&values);
    }

    proptest! {
        #[test]
        fn whatever_the_values_their_statistics_come_back(
            values in prop::collection::vec(
                prop_oneof![
                    0.1..0.9_f64,
                    (14..17_i32, 0..9_000_000_000_000_000_i64)
                        .prop_map(|(e, n)| n as f64 / 10_f64.powi(e)),
                    (1..17_i32, any::<i32>()).prop_map(|(e, n)| f64::from(n) / 10_f64.powi(e)),
                    any::<u64>().prop_map(f64::from_bits),
                    (0..1000_i32).prop_map(f64::from),
                ],
                0..6,
            )
        ) {
            assert_comes_back(&values);
        }
    }
}
