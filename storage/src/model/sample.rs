//! Samples, one by one and in columns.

use std::ops::Range;
use std::sync::Arc;

use super::{Histogram, Timestamp};

/// The NaN that means "this series ended here". Its payload is Prometheus's, so it travels.
pub const STALE_NAN: u64 = 0x7ff0_0000_0000_0002;

/// Whether a value is the stale marker and not just any NaN.
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_NAN
}

/// What a sample holds.
#[derive(Clone, Debug)]
pub enum Value {
    /// A float, kept bit for bit.
    Float(f64),
    /// A histogram, kept as it arrived.
    Histogram(Arc<Histogram>),
}

impl Value {
    /// Whether both hold the same bits; NaNs with equal payloads are the same.
    pub fn same(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
            (Value::Histogram(a), Value::Histogram(b)) => a.same(b),
            _ => false,
        }
    }

    /// Whether this is the end mark of a series.
    pub fn is_stale(&self) -> bool {
        match self {
            Value::Float(v) => is_stale(*v),
            Value::Histogram(h) => is_stale(h.sum),
        }
    }
}

/// One sample.
#[derive(Clone, Debug)]
pub struct Sample {
    /// When.
    pub t: Timestamp,
    /// When the counter behind it started; 0 if not known.
    pub start: Timestamp,
    /// What.
    pub value: Value,
}

/// A run of samples of one series, in columns and in order of time.
///
/// `v` has a float for every sample; where `h` holds a histogram the float is 0 and means
/// nothing. The optional columns are empty while no sample has such a thing, else as long as `t`.
#[derive(Clone, Debug, Default)]
pub struct SampleBuf {
    /// Timestamps.
    pub t: Vec<Timestamp>,
    /// Floats.
    pub v: Vec<f64>,
    /// Histograms, or empty.
    pub h: Vec<Option<Arc<Histogram>>>,
    /// Start timestamps (0 = not known), or empty.
    pub start: Vec<Timestamp>,
}

impl SampleBuf {
    /// How many samples.
    pub fn len(&self) -> usize {
        self.t.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.t.is_empty()
    }

    /// Forgets all samples, keeps the memory.
    pub fn clear(&mut self) {
        self.t.clear();
        self.v.clear();
        self.h.clear();
        self.start.clear();
    }

    /// Appends a float without a start timestamp.
    pub fn push_float(&mut self, t: Timestamp, v: f64) {
        self.t.push(t);
        self.v.push(v);
        if !self.h.is_empty() {
            self.h.push(None);
        }
        if !self.start.is_empty() {
            self.start.push(0);
        }
    }

    /// Appends any sample.
    pub fn push(&mut self, sample: Sample) {
        let before = self.len();
        self.t.push(sample.t);
        match sample.value {
            Value::Float(v) => {
                self.v.push(v);
                if !self.h.is_empty() {
                    self.h.push(None);
                }
            }
            Value::Histogram(h) => {
                self.v.push(0.0);
                self.h.resize(before, None);
                self.h.push(Some(h));
            }
        }
        if sample.start != 0 || !self.start.is_empty() {
            self.start.resize(before, 0);
            self.start.push(sample.start);
        }
    }

    /// Appends those of another run that stand at these places; places it does not have are left out.
    pub fn append(&mut self, from: &SampleBuf, places: Range<usize>) {
        let places = places.start.min(from.len())..places.end.min(from.len());
        if places.is_empty() {
            return;
        }
        let before = self.len();
        self.t.extend_from_slice(&from.t[places.clone()]);
        self.v.extend_from_slice(&from.v[places.clone()]);
        if !(self.h.is_empty() && from.h.is_empty()) {
            self.h.resize(before, None);
            self.h.extend_from_slice(from.h.get(places.clone()).unwrap_or_default());
            self.h.resize(self.t.len(), None);
        }
        if !(self.start.is_empty() && from.start.is_empty()) {
            self.start.resize(before, 0);
            self.start.extend_from_slice(from.start.get(places).unwrap_or_default());
            self.start.resize(self.t.len(), 0);
        }
    }

    /// The sample at `i`.
    pub fn get(&self, i: usize) -> Option<Sample> {
        let t = *self.t.get(i)?;
        let start = self.start.get(i).copied().unwrap_or(0);
        let value = match self.h.get(i) {
            Some(Some(h)) => Value::Histogram(Arc::clone(h)),
            _ => Value::Float(*self.v.get(i)?),
        };
        Some(Sample { t, start, value })
    }

    /// All samples, in order.
    pub fn iter(&self) -> impl Iterator<Item = Sample> + '_ {
        (0..self.len()).filter_map(|i| self.get(i))
    }
}
