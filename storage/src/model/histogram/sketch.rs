//! A sketch of any number of observations, from which every quantile is known with its bound.
//!
//! Observations are counted in HDR buckets, whose bounds are the same for everyone: a sketch is a set
//! of counts, and merging adds counts. So the order of recording and of merging changes nothing, and
//! what is merged is what recording all at once would have given. A sum would depend on the order
//! and is therefore not kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{CounterReset, FloatHistogram, Histogram, Schema};

/// A quantile and how far off it can be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantile {
    /// The best guess.
    pub value: f64,
    /// The true one is not below,
    pub lower: f64,
    /// and not above.
    pub upper: f64,
    /// Observations it is a quantile of.
    pub count: f64,
}

/// Counts of observations by HDR bucket; both signs, zeros, infinities, and NaNs apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sketch {
    bits: u8,
    positive: BTreeMap<i32, u64>,
    negative: BTreeMap<i32, u64>,
    zero: u64,
    nans: u64,
}

impl Sketch {
    /// Mantissa bits that answer with 3 significant digits: for samples.
    pub const FINE: u8 = 10;
    /// Mantissa bits that answer with 2 significant digits: for roll-ups.
    pub const COARSE: u8 = 7;

    /// An empty one whose buckets are `2^-bits` of their lower bound wide, `bits` from 1 to 10.
    pub fn new(bits: u8) -> Sketch {
        let (positive, negative) = (BTreeMap::new(), BTreeMap::new());
        Sketch { bits: bits.clamp(1, 10), positive, negative, zero: 0, nans: 0 }
    }

    /// Counts an observation.
    pub fn record(&mut self, value: f64) {
        if value.is_nan() {
            self.nans += 1;
        } else if value == 0.0 {
            self.zero += 1;
        } else {
            // The sign is gone, so the shifted bits fit.
            let index = (value.abs().to_bits() >> (52 - u32::from(self.bits))) as i32;
            let side = if value > 0.0 { &mut self.positive } else { &mut self.negative };
            *side.entry(index).or_insert(0) += 1;
        }
    }

    /// Adds what another has counted; the coarser of the two resolutions holds.
    pub fn merge(&mut self, other: &Sketch) {
        let bits = self.bits.min(other.bits);
        if self.bits > bits {
            self.positive = coarsened(&self.positive, self.bits - bits);
            self.negative = coarsened(&self.negative, self.bits - bits);
            self.bits = bits;
        }
        let shift = other.bits - bits;
        for (to, from) in
            [(&mut self.positive, &other.positive), (&mut self.negative, &other.negative)]
        {
            for (index, count) in from {
                *to.entry(index >> shift).or_insert(0) += count;
            }
        }
        self.zero += other.zero;
        self.nans += other.nans;
    }

    /// Observations that are numbers.
    pub fn count(&self) -> u64 {
        self.zero + self.positive.values().chain(self.negative.values()).sum::<u64>()
    }

    /// Observations of NaN, which no quantile counts.
    pub fn nans(&self) -> u64 {
        self.nans
    }

    /// The value that a share `q` of the observations does not exceed. The bound holds for the
    /// nearest rank, ⌈q·n⌉, and for what lies between the ranks around q·(n−1), as PromQL
    /// interpolates. `None` without observations, or where `q` is not from 0 to 1.
    pub fn quantile(&self, q: f64) -> Option<Quantile> {
        let n = self.count();
        if n == 0 || !(0.0..=1.0).contains(&q) {
            return None;
        }
        let nearest = ((q * n as f64).ceil() as u64).clamp(1, n) - 1;
        let between = q * (n - 1) as f64;
        let (lower, _) = self.holding(nearest.min(between.floor() as u64))?;
        let (_, upper) = self.holding(nearest.max(between.ceil() as u64).min(n - 1))?;
        let (from, to) = self.holding(nearest)?;
        Some(Quantile { value: from / 2.0 + to / 2.0, lower, upper, count: n as f64 })
    }

    /// As a histogram sample; its sum is that of the buckets' middles, its count has no NaNs.
    pub fn to_histogram(&self) -> Histogram {
        let pairs = |side: &BTreeMap<i32, u64>| side.iter().map(|(i, n)| (*i, *n as f64)).collect();
        let sum = self.buckets().map(|((from, to), n)| (from / 2.0 + to / 2.0) * n as f64).sum();
        FloatHistogram {
            reset: CounterReset::Gauge,
            schema: Schema::Hdr(self.bits),
            zero_threshold: 0.0,
            zero_count: self.zero as f64,
            count: self.count() as f64,
            sum,
            positive: pairs(&self.positive),
            negative: pairs(&self.negative),
            custom_values: Arc::from([]),
        }
        .to_histogram()
    }

    /// Bounds and counts, ascending.
    fn buckets(&self) -> impl Iterator<Item = ((f64, f64), u64)> + '_ {
        let schema = Schema::Hdr(self.bits);
        let below = self.negative.iter().rev().map(move |(index, count)| {
            let (lower, upper) = schema.bounds(*index, &[]);
            ((-upper, -lower), *count)
        });
        let zero = Some(((0.0, 0.0), self.zero)).into_iter().filter(|(_, count)| *count > 0);
        let above = self.positive.iter();
        let above = above.map(move |(index, count)| (schema.bounds(*index, &[]), *count));
        below.chain(zero).chain(above)
    }

    /// The bounds of the bucket with the observation of this rank, from 0.
    fn holding(&self, rank: u64) -> Option<(f64, f64)> {
        let mut seen = 0;
        let mut passed = self.buckets().skip_while(|(_, count)| {
            seen += count;
            seen <= rank
        });
        passed.next().map(|(bounds, _)| bounds)
    }
}

fn coarsened(side: &BTreeMap<i32, u64>, shift: u8) -> BTreeMap<i32, u64> {
    let mut out = BTreeMap::new();
    for (index, count) in side {
        *out.entry(index >> shift).or_insert(0) += count;
    }
    out
}
