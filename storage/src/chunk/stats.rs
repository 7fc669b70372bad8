//! What is known of a chunk without decoding it.

use crate::model::is_stale;
use crate::wire::{FormatError, Reader, put_varint};

/// How many of them are floats.
const NUMBERS: usize = 7;

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

    fn numbers(&self) -> [f64; NUMBERS] {
        let (sum, compensation) = self.sum;
        [self.min, self.max, self.first, self.last, self.increase, sum, compensation]
    }

    /// Widths first, four bits each, then the bytes that are not 0 at the low end of a number.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.count);
        put_varint(out, self.nans);
        let numbers = self.numbers();
        let widths = numbers.map(|number| 8 - (number.to_bits().trailing_zeros() / 8).min(8) as u8);
        out.extend(widths.chunks(2).map(|pair| pair[0] | pair.get(1).map_or(0, |w| w << 4)));
        for (number, width) in numbers.iter().zip(widths) {
            out.extend_from_slice(&number.to_le_bytes()[8 - usize::from(width)..]);
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<ChunkStats, FormatError> {
        let (count, nans) = (reader.varint()?, reader.varint()?);
        let widths = reader.take(NUMBERS.div_ceil(2))?;
        let mut numbers = [0.0; NUMBERS];
        for (i, number) in numbers.iter_mut().enumerate() {
            let width = usize::from(widths[i / 2] >> (i % 2 * 4) & 15);
            if width > 8 {
                return Err(reader.error("a statistic is wider than a float"));
            }
            let mut bytes = [0; 8];
            bytes[8 - width..].copy_from_slice(reader.take(width)?);
            *number = f64::from_le_bytes(bytes);
        }
        let [min, max, first, last, increase, sum, compensation] = numbers;
        Ok(ChunkStats { count, nans, min, max, first, last, increase, sum: (sum, compensation) })
    }

    /// Of `count` equal values, none a stale marker; the same as [`ChunkStats::of`] gives.
    pub(super) fn of_equal(value: f64, count: u64) -> ChunkStats {
        let mut stats = ChunkStats::of(&[]);
        (0..count).for_each(|_| stats.add(value));
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
