//! What is known of a chunk without decoding it.

use crate::model::is_stale;
use crate::wire::{FormatError, Reader, put_f64, put_varint};

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
    pub(crate) fn join(&self, later: &ChunkStats) -> ChunkStats {
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
            min: self.min.min(later.min),
            max: self.max.max(later.max),
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
        // f64::min and max prefer the number over the NaN.
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        let (sum, compensation) = self.sum;
        let total = sum + value;
        let lost = if sum.abs() >= value.abs() { sum - total + value } else { value - total + sum };
        self.sum = (total, compensation + if total.is_finite() { lost } else { 0.0 });
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.count);
        put_varint(out, self.nans);
        let (sum, compensation) = self.sum;
        for value in [self.min, self.max, self.first, self.last, self.increase, sum, compensation] {
            put_f64(out, value);
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<ChunkStats, FormatError> {
        Ok(ChunkStats {
            count: reader.varint()?,
            nans: reader.varint()?,
            min: reader.f64()?,
            max: reader.f64()?,
            first: reader.f64()?,
            last: reader.f64()?,
            increase: reader.f64()?,
            sum: (reader.f64()?, reader.f64()?),
        })
    }
}
