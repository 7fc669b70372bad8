//! The open samples of a series, not yet sealed: a byte for each, and what its time and value need beside.
//!
//! A sample that comes as long after the one before as that came after its own, and with a value a small
//! step away, takes two bytes, not sixteen; so no series has to share its times with others to be small.
//! Histograms and start timestamps are rare: a run that has one is kept as it is.

use super::blocks::{Blocks, Run};
use crate::chunk::step::{NO_FORM, Walk, form_like, width_of};
use crate::model::{Sample, SampleBuf, Timestamp, Value};

/// In a sample's first byte: the form of its value, and above how many bytes its time has.
const FORM: u8 = 15;
const TIME_SHIFT: u32 = 4;
/// Bytes of a sample at the most.
const MOST: usize = 17;

/// The open samples of a series, in order of time. Floats are bytes in [`Blocks`], which every call is given.
#[derive(Debug, Default)]
pub(super) struct Ring {
    /// Floats; empty where there is anything else.
    run: Run,
    count: u32,
    /// From the sample before to the last one, the low bits of it.
    delta: i32,
    /// Samples up to so many milliseconds after the first are in one block span with it; a hint, which may be
    /// too low.
    reach: u32,
    /// All samples, once there is anything else.
    other: Option<Box<SampleBuf>>,
    first: Timestamp,
    last: Timestamp,
    /// Of the last sample.
    value: f64,
}

/// A copy of open samples.
#[derive(Clone, Debug, Default)]
pub(crate) struct Open {
    /// Floats; empty where there is anything else.
    bytes: Vec<u8>,
    count: u32,
    other: Option<Box<SampleBuf>>,
    first: Timestamp,
    last: Timestamp,
}

impl Ring {
    pub(super) fn len(&self) -> usize {
        self.count as usize
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Time of the first sample.
    #[inline]
    pub(super) fn first(&self) -> Option<Timestamp> {
        (self.count > 0).then_some(self.first)
    }

    /// Times of the first and the last sample.
    pub(super) fn bounds(&self) -> Option<(Timestamp, Timestamp)> {
        (self.count > 0).then_some((self.first, self.last))
    }

    /// Whether a sample later than all others is surely in one block span with them.
    #[inline]
    pub(super) fn reaches(&self, t: Timestamp) -> bool {
        t.wrapping_sub(self.first).cast_unsigned() < u64::from(self.reach)
    }

    /// The first sample is at `first`, or will be where there is none, and its block span ends at `end`.
    pub(super) fn begin(&mut self, first: Timestamp, end: Timestamp) {
        self.first = first;
        self.reach = u32::try_from(end.saturating_sub(first)).unwrap_or(u32::MAX);
    }

    /// Appends a float, later than all others; the form that it may have is a hint.
    #[inline]
    pub(super) fn push_float(&mut self, t: Timestamp, v: f64, form: u8, blocks: &mut Blocks) {
        if let Some(other) = &mut self.other {
            other.push_float(t, v);
        } else {
            self.put((t, v), form, blocks);
        }
        self.note(t);
    }

    /// Appends any sample, later than all others.
    pub(super) fn push(&mut self, sample: Sample, blocks: &mut Blocks) {
        let t = sample.t;
        if let (Value::Float(v), 0) = (&sample.value, sample.start) {
            return self.push_float(t, *v, NO_FORM, blocks);
        }
        let mut other = self.other.take().unwrap_or_else(|| Box::new(self.samples(blocks)));
        blocks.clear(&mut self.run);
        other.push(sample);
        self.other = Some(other);
        self.note(t);
    }

    /// Forgets all samples.
    pub(super) fn clear(&mut self, blocks: &mut Blocks) {
        blocks.clear(&mut self.run);
        self.other = None;
        (self.count, self.reach) = (0, 0);
    }

    /// Has these samples and no others.
    pub(super) fn fill(&mut self, samples: impl Iterator<Item = Sample>, blocks: &mut Blocks) {
        self.clear(blocks);
        samples.for_each(|sample| self.push(sample, blocks));
    }

    /// For a reader.
    pub(super) fn open(&self, blocks: &Blocks) -> Open {
        let mut bytes = Vec::new();
        blocks.copy(&self.run, &mut bytes);
        let Ring { count, other, first, last, .. } = self;
        Open { bytes, count: *count, other: other.clone(), first: *first, last: *last }
    }

    /// All samples.
    pub(super) fn samples(&self, blocks: &Blocks) -> SampleBuf {
        let mut samples = SampleBuf::default();
        self.decode(blocks, &mut Vec::new(), &mut samples);
        samples
    }

    /// Appends all samples to `out`; what is in `scratch` is lost.
    pub(super) fn decode(&self, blocks: &Blocks, scratch: &mut Vec<u8>, out: &mut SampleBuf) {
        if let Some(other) = &self.other {
            return out.append(other, 0..other.len());
        }
        scratch.clear();
        blocks.copy(&self.run, scratch);
        Floats::of(scratch, self.count, self.first).decode(out);
    }

    /// The value at `t`, if there is a sample.
    pub(super) fn value_at(&self, t: Timestamp, blocks: &Blocks) -> Option<Value> {
        let (first, last) = self.bounds()?;
        if t < first || last < t {
            return None;
        }
        if let Some(other) = &self.other {
            let at = other.t.binary_search(&t).ok()?;
            return other.get(at).map(|s| s.value);
        }
        if t == last {
            return Some(Value::Float(self.value));
        }
        let mut bytes = Vec::new();
        blocks.copy(&self.run, &mut bytes);
        let mut floats = Floats::of(&bytes, self.count, self.first);
        floats.find(|(at, _)| *at == t).map(|(_, v)| Value::Float(v))
    }

    #[inline]
    fn note(&mut self, t: Timestamp) {
        if self.count == 0 {
            self.first = t;
        }
        self.last = t;
        self.count += 1;
    }

    #[inline]
    fn put(&mut self, (t, v): (Timestamp, f64), likely: u8, blocks: &mut Blocks) {
        let (mut more, mut before) = (0, 0.0);
        if self.count == 0 {
            self.delta = 0;
        } else {
            let delta = t.wrapping_sub(self.last);
            more = delta.wrapping_sub(i64::from(self.delta));
            self.delta = delta as i32;
            before = self.value;
        }
        let (form, word, width) = form_like(v, before, likely);
        if more == 0 && width < 8 {
            blocks.append_word(&mut self.run, word << 8 | u64::from(form), 1 + width);
        } else {
            self.put_long(more, (form, word, width), blocks);
        }
        self.value = v;
    }

    /// A sample with a time of its own, or a value of eight bytes.
    fn put_long(&mut self, more: i64, (form, word, width): (u8, u64, usize), blocks: &mut Blocks) {
        let mut sample = [form; MOST];
        let mut len = 1;
        if more != 0 {
            let zigzag = (more << 1 ^ more >> 63).cast_unsigned();
            let width = 8 - (zigzag.leading_zeros() / 8) as usize;
            sample[0] |= (width as u8) << TIME_SHIFT;
            sample[1..9].copy_from_slice(&zigzag.to_le_bytes());
            len += width;
        }
        sample[len..len + 8].copy_from_slice(&word.to_le_bytes());
        len += width;
        blocks.append(&mut self.run, &sample[..len]);
    }
}

impl Open {
    /// Bytes its samples take.
    pub(crate) fn bytes(&self) -> usize {
        self.other.as_ref().map_or(self.bytes.len(), |other| 16 * other.len())
    }

    /// Times of the first and the last sample.
    pub(crate) fn bounds(&self) -> Option<(Timestamp, Timestamp)> {
        (self.count > 0).then_some((self.first, self.last))
    }

    /// Appends all samples to `out`.
    pub(crate) fn decode(&self, out: &mut SampleBuf) {
        match &self.other {
            Some(other) => out.append(other, 0..other.len()),
            None => Floats::of(&self.bytes, self.count, self.first).decode(out),
        }
    }

    /// All samples.
    pub(crate) fn samples(&self) -> SampleBuf {
        let mut samples = SampleBuf::default();
        self.decode(&mut samples);
        samples
    }
}

/// Times and values, in order.
struct Floats<'a> {
    bytes: &'a [u8],
    left: usize,
    /// Of the sample before; of the first one, before there was any.
    t: Timestamp,
    delta: i32,
    walk: Walk,
}

impl<'a> Floats<'a> {
    fn of(bytes: &'a [u8], count: u32, first: Timestamp) -> Floats<'a> {
        Floats { bytes, left: count as usize, t: first, delta: 0, walk: Walk::from(0.0) }
    }

    /// Appends all samples to `out`.
    fn decode(self, out: &mut SampleBuf) {
        let (before, count) = (out.len(), self.left);
        out.t.reserve(count);
        out.v.reserve(count);
        for (t, v) in self {
            out.t.push(t);
            out.v.push(v);
        }
        if !out.h.is_empty() {
            out.h.resize(before + count, None);
        }
        if !out.start.is_empty() {
            out.start.resize(before + count, 0);
        }
    }
}

impl Iterator for Floats<'_> {
    type Item = (Timestamp, f64);

    #[inline]
    fn next(&mut self) -> Option<(Timestamp, f64)> {
        self.left = self.left.checked_sub(1)?;
        let (head, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        let width = usize::from(head >> TIME_SHIFT);
        let mut delta = i64::from(self.delta);
        if width != 0 {
            let zigzag = self.word(width) & u64::MAX >> (64 - 8 * width);
            delta = delta.wrapping_add((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed());
            self.delta = delta as i32;
        }
        self.t = self.t.wrapping_add(delta);
        let form = head & FORM;
        let word = self.word(width_of(form));
        Some((self.t, self.walk.next(form, word)))
    }
}

impl Floats<'_> {
    /// The next bytes, as the lowest of a word; what is above them means nothing.
    #[inline]
    fn word(&mut self, width: usize) -> u64 {
        let word = match self.bytes.first_chunk::<8>() {
            Some(word) => u64::from_le_bytes(*word),
            None => self.bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
        };
        self.bytes = self.bytes.get(width..).unwrap_or_default();
        word
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::model::{CounterReset, Counts, Histogram, STALE_NAN, Schema};

    fn ring_of(samples: &[Sample], blocks: &mut Blocks) -> Ring {
        let mut ring = Ring::default();
        ring.fill(samples.iter().cloned(), blocks);
        ring
    }

    fn bytes_of(samples: impl Iterator<Item = Sample>) -> usize {
        let mut blocks = Blocks::default();
        ring_of(&samples.collect::<Vec<_>>(), &mut blocks).open(&blocks).bytes()
    }

    /// A ring of these samples has them, bit for bit.
    fn assert_comes_back(samples: &[Sample]) {
        let mut blocks = Blocks::default();
        let mut ring = ring_of(samples, &mut blocks);
        assert_same(&ring, &blocks, samples);
        ring.clear(&mut blocks);
        assert_eq!(blocks.runs(), 0);
    }

    fn assert_same(ring: &Ring, blocks: &Blocks, samples: &[Sample]) {
        let open = ring.open(blocks);
        for held in [open.samples(), ring.samples(blocks)] {
            let back: Vec<Sample> = held.iter().collect();
            assert_eq!(back.len(), samples.len());
            for (a, b) in back.iter().zip(samples) {
                assert!(a.t == b.t && a.start == b.start && a.value.same(&b.value), "{a:?} {b:?}");
            }
        }
        for b in samples {
            assert!(ring.value_at(b.t, blocks).is_some_and(|v| v.same(&b.value)), "{b:?}");
        }
        assert_eq!(ring.len(), samples.len());
        let bounds = samples.first().map(|s| s.t).zip(samples.last().map(|s| s.t));
        assert_eq!((open.bounds(), ring.bounds()), (bounds, bounds));
    }

    fn float(t: Timestamp, v: f64) -> Sample {
        Sample { t, start: 0, value: Value::Float(v) }
    }

    #[test]
    fn odd_times_and_floats_come_back() {
        let nan = f64::from_bits(0x7ff8_0000_dead_beef);
        let odd =
            [0.0, -0.0, nan, f64::from_bits(STALE_NAN), f64::INFINITY, 5e-324, 0.1, 2e15, 1e300];
        let times = [i64::MIN, i64::MIN + 1, -70_000, -1, 0, 1, 1 << 40, i64::MAX - 1, i64::MAX];
        let samples: Vec<Sample> = times.iter().zip(odd).map(|(t, v)| float(*t, v)).collect();
        for from in 0..samples.len() {
            assert_comes_back(&samples[from..]);
        }
        assert!(Ring::default().value_at(0, &Blocks::default()).is_none());
        assert_comes_back(&[]);
    }

    #[test]
    fn what_is_no_plain_float_is_kept_whole_and_goes_with_its_run() {
        let histogram = Value::Histogram(Arc::new(Histogram {
            reset: CounterReset::No,
            schema: Schema::Exponential(3),
            zero_threshold: 0.001,
            sum: 18.4,
            positive_spans: Vec::new(),
            negative_spans: Vec::new(),
            custom_values: Arc::from([]),
            counts: Counts::Float { count: 2.0, zero: 2.0, positive: vec![], negative: vec![] },
        }));
        let mut samples = vec![float(5, 1.0), float(10, 2.0)];
        samples.push(Sample { t: 15, start: 3, value: Value::Float(3.0) });
        samples.push(Sample { t: 20, start: 0, value: histogram });
        samples.push(float(25, 4.0));
        let mut blocks = Blocks::default();
        let mut ring = ring_of(&samples, &mut blocks);
        assert_same(&ring, &blocks, &samples);
        assert_eq!(blocks.runs(), 0, "no bytes beside");
        ring.clear(&mut blocks);
        assert_same(&ring, &blocks, &[]);
        ring.push(float(30, 5.0), &mut blocks);
        assert_same(&ring, &blocks, &[float(30, 5.0)]);
        assert!(ring.other.is_none());
    }

    #[test]
    fn a_sample_of_a_scrape_takes_two_bytes() {
        let samples = |v: fn(i64) -> f64| (0..120).map(move |i| float(i * 10_000, v(i)));
        assert!(bytes_of(samples(|i| (i * 40) as f64)) <= 2 * 120 + 4, "a counter");
        assert!(bytes_of(samples(|i| (i % 9) as f64 / 100.0)) <= 2 * 120 + 4, "hundredths");
        assert!(bytes_of(samples(|_| 7.5)) <= 120 + 6, "unchanged");
        assert!(bytes_of(samples(|i| 1.0 / (i + 3) as f64)) <= 9 * 120 + 4, "full floats");
    }

    proptest! {
        #[test]
        fn any_run_comes_back(
            steps in prop::collection::vec((1_i64..20_000, any::<u64>(), -300_i32..300), 0..150),
            even: bool,
        ) {
            let mut t = 1_700_000_000_000;
            let sample = |(step, bits, n): (i64, u64, i32)| {
                t += if even { 15_000 } else { step };
                float(t, match bits % 6 {
                    0 => f64::from_bits(bits),
                    1 => f64::from(n),
                    2 => f64::from(n) / 100.0,
                    3 => f64::from(n) / 1000.0,
                    4 => f64::from(n) * 1e13,
                    _ => 0.1,
                })
            };
            let samples: Vec<Sample> = steps.into_iter().map(sample).collect();
            assert_comes_back(&samples);
        }
    }
}
