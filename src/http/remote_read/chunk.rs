//! Samples in Prometheus's chunks (its tsdb/docs/format/chunks.md): floats, histograms of whole
//! numbers, histograms of floats.
//!
//! A chunk holds one kind and, of histograms, one layout of buckets. Within one a reader takes it that
//! no counter was reset, so a reset begins a chunk.

use std::sync::Arc;

use ringwell_storage::model::{
    CounterReset, Counts, Histogram, Sample, SampleBuf, Schema, Value, is_stale,
};

use super::bits::{Bits, XorWindow};
use super::histogram_chunk;

/// Samples of one chunk, as many as Prometheus's own have.
const SAMPLES: usize = 120;

/// A chunk's encoding, as the wire numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Xor = 1,
    Histogram = 2,
    FloatHistogram = 3,
}

/// An encoded run of samples.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) min_t: i64,
    pub(super) max_t: i64,
    pub(super) encoding: Encoding,
    pub(super) data: Vec<u8>,
}

/// Gathers samples in order of time and gives them back in chunks.
#[derive(Debug, Default)]
pub(super) struct Chunker {
    floats: Vec<(i64, f64)>,
    histograms: Vec<(i64, Arc<Histogram>)>,
    done: Vec<Chunk>,
}

impl Chunker {
    pub(super) fn take(&mut self, samples: &SampleBuf) {
        for Sample { t, value, .. } in samples.iter() {
            match value {
                Value::Float(v) => {
                    self.end_histograms();
                    self.floats.push((t, v));
                    if self.floats.len() == SAMPLES {
                        self.end_floats();
                    }
                }
                // Prometheus has no such schema.
                Value::Histogram(h) if matches!(h.schema, Schema::Hdr(_)) => {}
                Value::Histogram(h) => {
                    self.end_floats();
                    if self.histograms.last().is_some_and(|(_, last)| !continues(last, &h))
                        || self.histograms.len() == SAMPLES
                    {
                        self.end_histograms();
                    }
                    self.histograms.push((t, h));
                }
            }
        }
    }

    /// Chunks that are complete.
    pub(super) fn complete(&mut self) -> Vec<Chunk> {
        std::mem::take(&mut self.done)
    }

    /// The rest of the series.
    pub(super) fn end(&mut self) -> Vec<Chunk> {
        self.end_floats();
        self.end_histograms();
        self.complete()
    }

    fn end_floats(&mut self) {
        if let (Some((min_t, _)), Some((max_t, _))) = (self.floats.first(), self.floats.last()) {
            let (min_t, max_t, data) = (*min_t, *max_t, xor(&self.floats));
            self.done.push(Chunk { min_t, max_t, encoding: Encoding::Xor, data });
            self.floats.clear();
        }
    }

    fn end_histograms(&mut self) {
        let run = &self.histograms;
        if let (Some((min_t, first)), Some((max_t, _))) = (run.first(), run.last()) {
            let encoding = match first.counts {
                Counts::Integer { .. } => Encoding::Histogram,
                Counts::Float { .. } => Encoding::FloatHistogram,
            };
            let data = histogram_chunk::encode(run);
            self.done.push(Chunk { min_t: *min_t, max_t: *max_t, encoding, data });
            self.histograms.clear();
        }
    }
}

/// Floats of at most 65,535 samples, in order of time.
fn xor(samples: &[(i64, f64)]) -> Vec<u8> {
    let mut bits = Bits::after((samples.len() as u16).to_be_bytes().to_vec());
    let mut window = XorWindow::default();
    let (mut before, mut delta) = ((0, 0.0), 0_i64);
    for (i, &(t, v)) in samples.iter().enumerate() {
        let step = t.wrapping_sub(before.0);
        match i {
            0 => {
                bits.push_varint(t);
                bits.push_float(v);
            }
            1 => bits.push_uvarint(step.cast_unsigned()),
            _ => bits.push_time(step.wrapping_sub(delta)),
        }
        if i > 0 {
            bits.push_xor(v, before.1, &mut window);
            delta = step;
        }
        before = (t, v);
    }
    bits.into_bytes()
}

/// Whether the second can stand in the first one's chunk.
fn continues(before: &Histogram, next: &Histogram) -> bool {
    let same_bits = |a: &[f64], b: &[f64]| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
    };
    let gauge = next.reset == CounterReset::Gauge;
    !is_stale(before.sum)
        && !is_stale(next.sum)
        && before.schema == next.schema
        && before.zero_threshold.to_bits() == next.zero_threshold.to_bits()
        && before.positive_spans == next.positive_spans
        && before.negative_spans == next.negative_spans
        && same_bits(&before.custom_values, &next.custom_values)
        && gauge == (before.reset == CounterReset::Gauge)
        && next.reset != CounterReset::Yes
        && grows(&before.counts, &next.counts, gauge)
}

/// Whether both are of one kind and nothing becomes less; of a gauge anything may.
fn grows(before: &Counts, next: &Counts, gauge: bool) -> bool {
    let up = |a: &[u64], b: &[u64]| a.iter().zip(b).all(|(a, b)| a <= b);
    let float_up = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| a <= b);
    match (before, next) {
        (
            Counts::Integer { count: ac, zero: az, positive: ap, negative: an },
            Counts::Integer { count: bc, zero: bz, positive: bp, negative: bn },
        ) => gauge || (ac <= bc && az <= bz && up(ap, bp) && up(an, bn)),
        (
            Counts::Float { count: ac, zero: az, positive: ap, negative: an },
            Counts::Float { count: bc, zero: bz, positive: bp, negative: bn },
        ) => gauge || (ac <= bc && az <= bz && float_up(ap, bp) && float_up(an, bn)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringwell_storage::model::Span;

    fn histogram(count: u64, reset: CounterReset) -> Value {
        Value::Histogram(Arc::new(Histogram {
            reset,
            schema: Schema::Exponential(0),
            zero_threshold: 0.0,
            sum: count as f64,
            positive_spans: vec![Span { offset: 0, length: 1 }],
            negative_spans: vec![],
            custom_values: [].into(),
            counts: Counts::Integer { count, zero: 0, positive: vec![count], negative: vec![] },
        }))
    }

    fn chunks(values: Vec<Value>) -> Vec<(Encoding, i64, i64)> {
        let mut samples = SampleBuf::default();
        for (t, value) in (0..).zip(values) {
            samples.push(Sample { t, start: 0, value });
        }
        let mut chunker = Chunker::default();
        chunker.take(&samples);
        chunker.end().iter().map(|c| (c.encoding, c.min_t, c.max_t)).collect()
    }

    #[test]
    fn chunks_end_where_a_reader_would_go_wrong() {
        use CounterReset::{Gauge, Unknown, Yes};
        let stale = f64::from_bits(ringwell_storage::model::STALE_NAN);
        let floats = vec![Value::Float(1.0); 121];
        assert_eq!(chunks(floats), [(Encoding::Xor, 0, 119), (Encoding::Xor, 120, 120)]);
        let mixed = vec![
            histogram(3, Unknown),
            histogram(4, Unknown),
            histogram(2, Unknown),
            histogram(5, Yes),
            histogram(9, Gauge),
            histogram(8, Gauge),
            Value::Float(stale),
            histogram(8, Unknown),
        ];
        let ends: Vec<(i64, i64)> = chunks(mixed).iter().map(|c| (c.1, c.2)).collect();
        assert_eq!(ends, [(0, 1), (2, 2), (3, 3), (4, 5), (6, 6), (7, 7)]);
    }

    #[test]
    fn floats_as_the_format_says() {
        // One sample: its number, zigzag(1) = 2, and the float.
        assert_eq!(xor(&[(1, 1.5)]), [0, 1, 2, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0]);
        // 15 s, then 15 s again with the same value: one bit each.
        let three = xor(&[(0, 2.0), (15_000, 2.0), (30_000, 2.0)]);
        assert_eq!(three[3..], [0x40, 0, 0, 0, 0, 0, 0, 0, 0x98, 0x75, 0]);
    }
}
