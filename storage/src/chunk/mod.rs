//! Pure codecs of `docs/format/chunk.md`: columns of integers, floats and histograms.
//!
//! Everything is bit-exact: NaN payloads, stale markers and -0 come back as they went in.

pub(crate) mod column;
mod float;
mod histogram;
mod stats;

use std::sync::Arc;

pub(crate) use histogram::{get_histogram, put_histogram};
pub use stats::ChunkStats;

use crate::model::{Histogram, SampleBuf, Timestamp};
use crate::wire::{FormatError, Reader};

const HAS_HISTOGRAMS: u8 = 1;
const HAS_START: u8 = 2;
const HAS_STATS: u8 = 4;

/// Most samples a chunk may hold, so that a damaged count cannot make a reader allocate much.
pub const MAX_CHUNK_SAMPLES: usize = 1 << 16;

/// Encodes the timestamps of a run.
pub fn encode_timestamps(t: &[Timestamp]) -> Vec<u8> {
    let mut out = Vec::with_capacity(16);
    column::encode(t, &mut out);
    out
}

/// Decodes `n` timestamps.
pub fn decode_timestamps(
    bytes: &[u8],
    n: usize,
    out: &mut Vec<Timestamp>,
) -> Result<(), FormatError> {
    column::decode(&mut Reader::new(bytes), n, out)
}

/// Encodes everything but the timestamps.
pub fn encode_values(samples: &SampleBuf) -> Vec<u8> {
    let with_histograms = samples.h.iter().any(Option::is_some);
    let with_start = samples.start.iter().any(|t| *t != 0);
    let mut out = vec![
        if with_histograms { HAS_HISTOGRAMS } else { HAS_STATS }
            | if with_start { HAS_START } else { 0 },
    ];
    if !with_histograms {
        ChunkStats::of(&samples.v).encode(&mut out);
    }
    float::encode(&samples.v, &mut out);
    if with_histograms {
        histogram::encode_column(&samples.h, &mut out);
    }
    if with_start {
        column::encode(&samples.start, &mut out);
    }
    out
}

/// Decodes the values of `n` samples and appends them; the timestamps must have been appended.
pub fn decode_values(bytes: &[u8], n: usize, out: &mut SampleBuf) -> Result<(), FormatError> {
    let before = out.v.len();
    let mut reader = Reader::new(bytes);
    let flags = reader.u8()?;
    if flags & HAS_STATS != 0 {
        ChunkStats::decode(&mut reader)?;
    }
    float::decode(&mut reader, n, &mut out.v)?;
    if flags & HAS_HISTOGRAMS != 0 {
        out.h.resize(before, None);
        histogram::decode_column(&mut reader, n, &mut out.h)?;
    } else if !out.h.is_empty() {
        out.h.resize(before + n, None);
    }
    if flags & HAS_START != 0 {
        out.start.resize(before, 0);
        column::decode(&mut reader, n, &mut out.start)?;
    } else if !out.start.is_empty() {
        out.start.resize(before + n, 0);
    }
    Ok(())
}

/// The statistics of an encoded value column, if it has them.
pub fn stats_of(bytes: &[u8]) -> Result<Option<ChunkStats>, FormatError> {
    let mut reader = Reader::new(bytes);
    if reader.u8()? & HAS_STATS == 0 {
        return Ok(None);
    }
    ChunkStats::decode(&mut reader).map(Some)
}

/// Encodes bare floats.
pub(crate) fn encode_floats(values: &[f64], out: &mut Vec<u8>) {
    float::encode(values, out);
}

/// Appends `n` bare floats.
pub(crate) fn decode_floats(
    reader: &mut Reader<'_>,
    n: usize,
    out: &mut Vec<f64>,
) -> Result<(), FormatError> {
    float::decode(reader, n, out)
}

/// How a value column is encoded, for people who look.
pub(crate) fn encoding_of(bytes: &[u8]) -> &'static str {
    let mut reader = Reader::new(bytes);
    let Ok(flags) = reader.u8() else { return "damaged" };
    if flags & HAS_HISTOGRAMS != 0 {
        return "histogram";
    }
    if flags & HAS_STATS != 0 && ChunkStats::decode(&mut reader).is_err() {
        return "damaged";
    }
    reader.u8().map_or("damaged", float::name_of)
}

/// A column of histograms, one slot a sample.
type Histograms = Vec<Option<Arc<Histogram>>>;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{CounterReset, Counts, STALE_NAN, Sample, Schema, Span, Value};

    fn round_trip(samples: &SampleBuf) {
        let (t, v) = (encode_timestamps(&samples.t), encode_values(samples));
        let mut back = SampleBuf::default();
        decode_timestamps(&t, samples.len(), &mut back.t).unwrap();
        decode_values(&v, samples.len(), &mut back).unwrap();
        assert_eq!(back.len(), samples.len());
        for (a, b) in samples.iter().zip(back.iter()) {
            assert!(a.t == b.t && a.start == b.start && a.value.same(&b.value), "{a:?} {b:?}");
        }
    }

    #[test]
    fn odd_floats_come_back_bit_for_bit() {
        let nan = f64::from_bits(0x7ff8_0000_dead_beef);
        let odd = [0.0, -0.0, nan, f64::from_bits(STALE_NAN), f64::INFINITY, 1e300, 5e-324, 0.1];
        for n in [1, 2, 7, 8, 130] {
            let mut samples = SampleBuf::default();
            for i in 0..n {
                samples.push_float(i as i64 * 15_000, odd[i % odd.len()]);
            }
            round_trip(&samples);
        }
    }

    #[test]
    fn decimals_cost_little() {
        let mut samples = SampleBuf::default();
        for i in 0..1024_i64 {
            samples.push_float(1_700_000_000_000 + i * 15_000, (i * 37 % 100) as f64 / 100.0);
        }
        round_trip(&samples);
        assert!(encode_timestamps(&samples.t).len() < 40);
        assert!(encode_values(&samples).len() < 1024 + 200);
    }

    #[test]
    fn histograms_and_starts_come_back() {
        let histogram = |k: u64| Histogram {
            reset: CounterReset::No,
            schema: Schema::Exponential(3),
            zero_threshold: 0.001,
            sum: 18.4 * k as f64,
            positive_spans: vec![Span { offset: -2, length: 2 }, Span { offset: 1, length: 1 }],
            negative_spans: vec![Span { offset: 0, length: 1 }],
            custom_values: Arc::from([]),
            counts: Counts::Integer {
                count: 12 * k,
                zero: 2 * k,
                positive: vec![k, 3 * k, 5 * k],
                negative: vec![k],
            },
        };
        let mut samples = SampleBuf::default();
        for k in 0..40 {
            let value = match k % 3 {
                0 => Value::Float(k as f64),
                _ => Value::Histogram(Arc::new(histogram(k))),
            };
            samples.push(Sample { t: k as i64 * 1000, start: (k / 10) as i64 * 7, value });
        }
        round_trip(&samples);
    }

    proptest! {
        #[test]
        fn any_column_comes_back(v in prop::collection::vec(any::<u64>(), 1..300), t0: i64) {
            let mut samples = SampleBuf::default();
            for (i, bits) in v.iter().enumerate() {
                samples.push_float(t0.wrapping_add(i as i64 * (bits >> 50) as i64), f64::from_bits(*bits));
            }
            round_trip(&samples);
        }

        #[test]
        fn damaged_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), n in 0_usize..2000) {
            let mut out = SampleBuf::default();
            let _ = decode_timestamps(&bytes, n, &mut out.t);
            let _ = decode_values(&bytes, n, &mut out);
            let _ = stats_of(&bytes);
        }
    }
}
