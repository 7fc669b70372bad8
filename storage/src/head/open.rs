//! The open samples of a series, not yet sealed: a byte for each, and what its time and value need beside.
//!
//! A sample that comes as long after the one before as that came after its own, and with a value a small
//! step away, takes two bytes, not sixteen; so no series has to share its times with others to be small.
//! Histograms and start timestamps are rare: a run that has one is kept as it is.

use crate::chunk::step::{NO_FORM, Walk, form_like, width_of};
use crate::model::{Sample, SampleBuf, Timestamp, Value};

/// In a sample's first byte: the form of its value, and above how many bytes its time has.
const FORM: u8 = 15;
const TIME_SHIFT: u32 = 4;
/// Bytes of a sample at the most.
const MOST: usize = 17;

/// A run of samples in order of time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Open {
    /// Floats; empty where there is anything else.
    bytes: Vec<u8>,
    /// All samples, once there is anything else.
    other: Option<Box<SampleBuf>>,
    first: Timestamp,
    last: Timestamp,
    /// From the sample before to the last one.
    delta: i64,
    /// Of the last sample.
    value: f64,
    count: u32,
}

impl Open {
    pub(crate) fn len(&self) -> usize {
        self.count as usize
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes its samples take.
    pub(crate) fn bytes(&self) -> usize {
        self.other.as_ref().map_or(self.bytes.len(), |other| 16 * other.len())
    }

    /// Time of the first sample.
    pub(crate) fn first(&self) -> Option<Timestamp> {
        (self.count > 0).then_some(self.first)
    }

    /// Times of the first and the last sample.
    pub(crate) fn bounds(&self) -> Option<(Timestamp, Timestamp)> {
        (self.count > 0).then_some((self.first, self.last))
    }

    /// Appends a float, later than all others; the form that it may have is a hint.
    #[inline]
    pub(crate) fn push_float(&mut self, t: Timestamp, v: f64, form: u8) {
        if let Some(other) = &mut self.other {
            other.push_float(t, v);
        } else {
            self.put(t, v, form);
        }
        self.note(t);
    }

    /// Appends any sample, later than all others.
    pub(crate) fn push(&mut self, sample: Sample) {
        let t = sample.t;
        if let (Value::Float(v), 0) = (&sample.value, sample.start) {
            return self.push_float(t, *v, NO_FORM);
        }
        let mut other = self.other.take().unwrap_or_else(|| Box::new(self.samples()));
        self.bytes = Vec::new();
        other.push(sample);
        self.other = Some(other);
        self.note(t);
    }

    /// Forgets all samples; keeps the memory that floats need.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.other = None;
        self.count = 0;
    }

    /// Appends all samples to `out`.
    pub(crate) fn decode(&self, out: &mut SampleBuf) {
        if let Some(other) = &self.other {
            return out.append(other, 0..other.len());
        }
        let before = out.len();
        out.t.reserve(self.len());
        out.v.reserve(self.len());
        for (t, v) in self.floats() {
            out.t.push(t);
            out.v.push(v);
        }
        if !out.h.is_empty() {
            out.h.resize(before + self.len(), None);
        }
        if !out.start.is_empty() {
            out.start.resize(before + self.len(), 0);
        }
    }

    /// All samples.
    pub(crate) fn samples(&self) -> SampleBuf {
        let mut samples = SampleBuf::default();
        self.decode(&mut samples);
        samples
    }

    /// The value at `t`, if there is a sample.
    pub(crate) fn value_at(&self, t: Timestamp) -> Option<Value> {
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
        self.floats().find(|(at, _)| *at == t).map(|(_, v)| Value::Float(v))
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
    fn put(&mut self, t: Timestamp, v: f64, likely: u8) {
        let (mut more, mut before) = (0, 0.0);
        if self.count == 0 {
            self.delta = 0;
        } else {
            let delta = t.wrapping_sub(self.last);
            more = delta.wrapping_sub(self.delta);
            self.delta = delta;
            before = self.value;
        }
        let (form, word, width) = form_like(v, before, likely);
        if more == 0 && width < 8 && self.bytes.capacity() - self.bytes.len() >= 8 {
            // One store of a length that is known, of a word that never was in memory.
            let end = self.bytes.len() + 1 + width;
            self.bytes.extend_from_slice(&(word << 8 | u64::from(form)).to_le_bytes());
            self.bytes.truncate(end);
        } else {
            self.put_at_end(more, (form, word, width));
        }
        self.value = v;
    }

    /// Grows by a quarter and not to the double: of many series, half the memory would be for later.
    fn put_at_end(&mut self, more: i64, (form, word, width): (u8, u64, usize)) {
        const UNIT: usize = 16;
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
        let end = self.bytes.len();
        if self.bytes.capacity() - end < len {
            let wanted = (end + len.max(end / 4)).next_multiple_of(UNIT);
            self.bytes.reserve_exact(wanted - end);
        }
        self.bytes.extend_from_slice(&sample[..len]);
    }

    fn floats(&self) -> Floats<'_> {
        Floats {
            bytes: &self.bytes,
            left: self.len(),
            t: self.first,
            delta: 0,
            walk: Walk::from(0.0),
        }
    }
}

impl FromIterator<Sample> for Open {
    fn from_iter<I: IntoIterator<Item = Sample>>(samples: I) -> Open {
        let mut open = Open::default();
        samples.into_iter().for_each(|sample| open.push(sample));
        open
    }
}

/// Times and values, in order.
struct Floats<'a> {
    bytes: &'a [u8],
    left: usize,
    /// Of the sample before; of the first one, before there was any.
    t: Timestamp,
    delta: i64,
    walk: Walk,
}

impl Iterator for Floats<'_> {
    type Item = (Timestamp, f64);

    #[inline]
    fn next(&mut self) -> Option<(Timestamp, f64)> {
        self.left = self.left.checked_sub(1)?;
        let (head, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        let width = usize::from(head >> TIME_SHIFT);
        if width != 0 {
            let zigzag = self.word(width) & u64::MAX >> (64 - 8 * width);
            self.delta =
                self.delta.wrapping_add((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed());
        }
        self.t = self.t.wrapping_add(self.delta);
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

    /// The runs hold the same, bit for bit.
    fn assert_same(open: &Open, samples: &[Sample]) {
        let back: Vec<Sample> = open.samples().iter().collect();
        assert_eq!(back.len(), samples.len());
        assert_eq!(open.len(), samples.len());
        for (a, b) in back.iter().zip(samples) {
            assert!(a.t == b.t && a.start == b.start && a.value.same(&b.value), "{a:?} {b:?}");
            assert!(open.value_at(b.t).is_some_and(|value| value.same(&b.value)), "{b:?}");
        }
        assert_eq!(open.bounds(), samples.first().map(|s| s.t).zip(samples.last().map(|s| s.t)));
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
            assert_same(&samples[from..].iter().cloned().collect(), &samples[from..]);
        }
        assert!(Open::default().value_at(0).is_none());
        assert_same(&Open::default(), &[]);
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
        let mut open: Open = samples.iter().cloned().collect();
        assert_same(&open, &samples);
        open.clear();
        assert_same(&open, &[]);
        open.push(float(30, 5.0));
        assert_same(&open, &[float(30, 5.0)]);
        assert!(open.other.is_none());
    }

    #[test]
    fn a_sample_of_a_scrape_takes_two_bytes() {
        let samples = |v: fn(i64) -> f64| (0..120).map(move |i| float(i * 10_000, v(i)));
        let bytes = |open: &Open| open.bytes.len();
        assert!(bytes(&samples(|i| (i * 40) as f64).collect()) <= 2 * 120 + 4, "a counter");
        assert!(bytes(&samples(|i| (i % 9) as f64 / 100.0).collect()) <= 2 * 120 + 4, "hundredths");
        assert!(bytes(&samples(|_| 7.5).collect()) <= 120 + 6, "unchanged");
        let floats: Open = samples(|i| 1.0 / (i + 3) as f64).collect();
        assert!(bytes(&floats) <= 9 * 120 + 4, "full floats");
        assert!(floats.bytes.capacity() <= bytes(&floats) * 5 / 4 + 16);
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
            assert_same(&samples.iter().cloned().collect(), &samples);
        }
    }
}
