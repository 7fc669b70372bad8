//! Pure codecs of `docs/format/chunk.md`: columns of integers, floats and histograms.
//!
//! Everything is bit-exact: NaN payloads, stale markers and -0 come back as they went in.

pub(crate) mod column;
mod float;
mod histogram;
mod patched;
mod prefix;
mod stats;
pub(crate) mod step;

use std::ops::Range;
use std::sync::Arc;

pub(crate) use histogram::{get_histogram, put_histogram};
pub use stats::ChunkStats;

use crate::model::{Histogram, SampleBuf, Timestamp, is_stale};
use crate::wire::{FormatError, Reader, put_varint};

const HAS_HISTOGRAMS: u8 = 1;
const HAS_START: u8 = 2;
const HAS_STATS: u8 = 4;
/// The statistics are those of equal values; only their count is written.
const EQUAL_STATS: u8 = 8;

/// Begins a column of timestamps in whole seconds; the integer column's own modes are others.
const SECONDS: u8 = 5;
const SECOND: Timestamp = 1000;
/// Shorter columns of timestamps are even enough.
const FEW_BYTES: usize = 16;

/// Most samples a chunk may hold, so that a damaged count cannot make a reader allocate much.
pub const MAX_CHUNK_SAMPLES: usize = 1 << 16;

/// How hard an encoder tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// For chunks of the head, which live for an hour or two: quick, and without statistics.
    Quick,
    /// For blocks.
    Small,
    /// For merged blocks: as small as it gets, even where that is slower to read.
    Smallest,
}

/// Encodes the timestamps of a run.
pub fn encode_timestamps(t: &[Timestamp]) -> Vec<u8> {
    encode_timestamps_with(t, Effort::Small)
}

/// Encodes the timestamps of a run for the head.
pub(crate) fn encode_timestamps_quick(t: &[Timestamp]) -> Vec<u8> {
    encode_timestamps_with(t, Effort::Quick)
}

/// Times that differ by whole seconds, but not evenly, are counted in seconds where that is shorter.
fn encode_timestamps_with(t: &[Timestamp], effort: Effort) -> Vec<u8> {
    let mut out = Vec::with_capacity(16);
    column::encode(t, effort, &mut out);
    let Some(first) = t.first().filter(|_| out.len() > FEW_BYTES + t.len() / 8) else { return out };
    let part = first.rem_euclid(SECOND);
    if !t.iter().all(|t| t.rem_euclid(SECOND) == part) {
        return out;
    }
    let seconds: Vec<i64> = t.iter().map(|t| t.div_euclid(SECOND)).collect();
    let mut short = vec![SECONDS];
    put_varint(&mut short, part.cast_unsigned());
    column::encode(&seconds, effort, &mut short);
    if short.len() < out.len() { short } else { out }
}

/// Decodes `n` timestamps.
pub fn decode_timestamps(
    bytes: &[u8],
    n: usize,
    out: &mut Vec<Timestamp>,
) -> Result<(), FormatError> {
    let Some((SECONDS, rest)) = bytes.split_first().map(|(mode, rest)| (*mode, rest)) else {
        return column::decode(&mut Reader::new(bytes), n, out);
    };
    let mut reader = Reader::new(rest);
    let part = reader.varint()?;
    let part = i64::try_from(part).ok().filter(|part| *part < SECOND);
    let part = part.ok_or_else(|| reader.error("part of a second out of range"))?;
    let start = out.len();
    column::decode(&mut reader, n, out)?;
    out[start..].iter_mut().for_each(|t| *t = t.wrapping_mul(SECOND).wrapping_add(part));
    Ok(())
}

/// Encodes everything but the timestamps, for a block.
pub fn encode_values(samples: &SampleBuf) -> Vec<u8> {
    encode_values_with(samples, Effort::Small)
}

/// Encodes everything but the timestamps.
pub(crate) fn encode_values_with(samples: &SampleBuf, effort: Effort) -> Vec<u8> {
    let with_histograms = samples.h.iter().any(Option::is_some);
    let with_start = samples.start.iter().any(|t| *t != 0);
    let with_stats = effort != Effort::Quick && !with_histograms;
    let equal = with_stats && float::all_equal(&samples.v).is_some_and(|v| !is_stale(v));
    let flags = [
        (with_histograms, HAS_HISTOGRAMS),
        (with_start, HAS_START),
        (with_stats && !equal, HAS_STATS),
        (equal, EQUAL_STATS),
    ];
    let mut out = Vec::with_capacity(samples.len() * 2);
    out.push(flags.iter().filter(|(set, _)| *set).map(|(_, flag)| flag).sum());
    if equal {
        put_varint(&mut out, samples.len() as u64);
    } else if with_stats {
        ChunkStats::of(&samples.v).encode(&mut out);
    }
    float::encode(&samples.v, effort, &mut out);
    if with_histograms {
        histogram::encode_column(&samples.h, &mut out);
    }
    if with_start {
        column::encode(&samples.start, effort, &mut out);
    }
    out
}

/// Decodes the values of `n` samples and appends them; the timestamps must have been appended.
pub fn decode_values(bytes: &[u8], n: usize, out: &mut SampleBuf) -> Result<(), FormatError> {
    let before = out.v.len();
    let mut reader = Reader::new(bytes);
    let flags = reader.u8()?;
    skip_stats(flags, &mut reader)?;
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

/// Decodes a stretch of a chunk whose timestamps are `t`, and appends it. What lies behind it is not decoded
/// where the form allows that.
pub(crate) fn decode_stretch(
    bytes: &[u8],
    t: &[Timestamp],
    stretch: Range<usize>,
    out: &mut SampleBuf,
) -> Result<(), FormatError> {
    let mut reader = Reader::new(bytes);
    let flags = reader.u8()?;
    if flags & (HAS_HISTOGRAMS | HAS_START) != 0 {
        let mut all = SampleBuf { t: t.to_vec(), ..SampleBuf::default() };
        decode_values(bytes, t.len(), &mut all)?;
        out.append(&all, stretch);
        return Ok(());
    }
    skip_stats(flags, &mut reader)?;
    let start = out.v.len();
    float::decode_some(&mut reader, (t.len(), stretch.end), &mut out.v)?;
    out.v.truncate(start + stretch.end);
    out.v.drain(start..start + stretch.start);
    out.t.extend_from_slice(&t[stretch]);
    if !out.h.is_empty() {
        out.h.resize(out.t.len(), None);
    }
    if !out.start.is_empty() {
        out.start.resize(out.t.len(), 0);
    }
    Ok(())
}

fn skip_stats(flags: u8, reader: &mut Reader<'_>) -> Result<(), FormatError> {
    match flags & (HAS_STATS | EQUAL_STATS) {
        0 => Ok(()),
        HAS_STATS => ChunkStats::decode(reader).map(|_| ()),
        _ => reader.varint().map(|_| ()),
    }
}

/// The statistics of an encoded value column, if it has them.
pub fn stats_of(bytes: &[u8]) -> Result<Option<ChunkStats>, FormatError> {
    let mut reader = Reader::new(bytes);
    let flags = reader.u8()?;
    if flags & EQUAL_STATS != 0 {
        let count = reader.varint()?;
        if count > MAX_CHUNK_SAMPLES as u64 {
            return Err(reader.error("too many samples in a chunk"));
        }
        let mut value = Vec::with_capacity(1);
        float::decode(&mut reader, 1, &mut value)?;
        return Ok(value.first().map(|value| ChunkStats::of_equal(*value, count)));
    }
    if flags & HAS_STATS == 0 {
        return Ok(None);
    }
    ChunkStats::decode(&mut reader).map(Some)
}

/// Encodes bare floats.
pub(crate) fn encode_floats(values: &[f64], out: &mut Vec<u8>) {
    float::encode(values, Effort::Small, out);
}

/// Appends `n` bare floats.
pub(crate) fn decode_floats(
    reader: &mut Reader<'_>,
    n: usize,
    out: &mut Vec<f64>,
) -> Result<(), FormatError> {
    float::decode(reader, n, out)
}

/// Bytes of the statistics in an encoded value column; 0 if it has none or does not decode.
pub(crate) fn stats_len(bytes: &[u8]) -> usize {
    let mut reader = Reader::new(bytes);
    let passed = reader.u8().and_then(|flags| skip_stats(flags, &mut reader));
    passed.map_or(0, |()| reader.offset() - 1)
}

/// How a value column is encoded, for people who look.
pub(crate) fn encoding_of(bytes: &[u8]) -> &'static str {
    let mut reader = Reader::new(bytes);
    let Ok(flags) = reader.u8() else { return "damaged" };
    if flags & HAS_HISTOGRAMS != 0 {
        return "histogram";
    }
    if skip_stats(flags, &mut reader).is_err() {
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
        let small = (encode_timestamps(&samples.t), encode_values(samples));
        let quick =
            (encode_timestamps_quick(&samples.t), encode_values_with(samples, Effort::Quick));
        let smallest = (small.0.clone(), encode_values_with(samples, Effort::Smallest));
        for (t, v) in [small, quick, smallest] {
            let mut back = SampleBuf::default();
            decode_timestamps(&t, samples.len(), &mut back.t).unwrap();
            decode_values(&v, samples.len(), &mut back).unwrap();
            assert_eq!(back.len(), samples.len());
            for (a, b) in samples.iter().zip(back.iter()) {
                assert!(a.t == b.t && a.start == b.start && a.value.same(&b.value), "{a:?} {b:?}");
            }
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

    /// Columns that real series are made of, one a form of the codec.
    fn shapes() -> Vec<Vec<f64>> {
        let noise = |i: i64| (i * 2_654_435_761) >> 7 & 0xffff;
        let column = |f: &dyn Fn(i64) -> f64| (0..1000).map(f).collect::<Vec<_>>();
        vec![
            column(&|_| 7.25),
            column(&|i| (i / 90) as f64),
            column(&|i| if i == 500 { f64::from_bits(STALE_NAN) } else { (i / 200) as f64 * 0.1 }),
            column(&|i| (noise(i) % 5000) as f64 / 100.0),
            column(&|i| (i * 1000 + noise(i) % 50) as f64),
            column(&|i| if i < 600 { i * 977 } else { (i - 600) * 977 } as f64),
            column(&|i| if i % 90 == 0 { 1e12 } else { noise(i) as f64 }),
            column(&|i| if i % 9 == 0 { 1.0 / 3.0 } else { i as f64 / 10.0 }),
            column(&|i| 100.0 + (i as f64 / 50.0).sin()),
            column(&|i| f64::from_bits((noise(i) << 48 | noise(i + 7) << 20) as u64)),
            column(&|i| if i % 2 == 0 { -0.0 } else { 0.0 }),
        ]
    }

    fn filled(values: &[f64]) -> SampleBuf {
        let mut samples = SampleBuf::default();
        values.iter().zip(0..).for_each(|(v, i)| samples.push_float(i * 15_000 + i % 7, *v));
        samples
    }

    #[test]
    fn a_stretch_is_what_lies_there_of_the_whole() {
        for shape in shapes() {
            let samples = filled(&shape);
            for effort in [Effort::Quick, Effort::Small, Effort::Smallest] {
                let bytes = encode_values_with(&samples, effort);
                for (from, to) in [(0, 0), (0, 1), (1, 2), (0, 130), (500, 530), (990, 1000)] {
                    let (mut wanted, mut found) = (SampleBuf::default(), SampleBuf::default());
                    wanted.push_float(-5, 2.5);
                    found.push_float(-5, 2.5);
                    wanted.append(&samples, from..to);
                    decode_stretch(&bytes, &samples.t, from..to, &mut found).unwrap();
                    assert_eq!(found.t, wanted.t);
                    let bits = |v: &[f64]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                    assert_eq!(bits(&found.v), bits(&wanted.v), "{effort:?} {from}..{to}");
                }
            }
        }
    }

    #[test]
    fn every_form_comes_back_at_every_length() {
        for shape in shapes() {
            for n in [1, 2, 3, 5, 16, 64, 120, 128, 129, 257, 1000] {
                round_trip(&filled(&shape[..n]));
            }
        }
    }

    #[test]
    fn statistics_are_those_of_the_values() {
        let same = |a: &ChunkStats, b: &ChunkStats| format!("{a:?}") == format!("{b:?}");
        for shape in shapes() {
            let stats = stats_of(&encode_values(&filled(&shape))).unwrap().unwrap();
            assert!(
                same(&stats, &ChunkStats::of(&shape)),
                "{stats:?} {:?}",
                ChunkStats::of(&shape)
            );
        }
        for value in [0.1, -0.3, -0.0, 1e308, f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            let values = [value; 1000];
            let found = stats_of(&encode_values(&filled(&values))).unwrap().unwrap();
            let (sum, wanted) = (found.sum.0 + found.sum.1, ChunkStats::of(&values));
            let exact = wanted.sum.0 + wanted.sum.1;
            assert!(
                sum == exact
                    || (sum - exact).abs() < exact.abs() * 1e-15
                    || (sum.is_nan() && exact.is_nan())
            );
            assert!(
                same(&ChunkStats { sum: wanted.sum, ..found }, &wanted),
                "{found:?} {wanted:?}"
            );
        }
        let stale = stats_of(&encode_values(&filled(&[f64::from_bits(STALE_NAN); 9])));
        assert_eq!(stale.unwrap().unwrap().count, 0);
    }

    #[test]
    fn damage_to_real_chunks_never_panics() {
        let mut seed = 1_u64;
        let mut random = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
            (seed >> 33) as usize % below
        };
        for shape in shapes() {
            let whole = encode_values(&filled(&shape));
            for _ in 0..300 {
                let mut bytes = whole.clone();
                for _ in 0..1 + random(3) {
                    let at = random(bytes.len());
                    bytes[at] ^= 1 << random(8);
                }
                bytes.truncate(bytes.len() - random(3).min(bytes.len() - 1));
                let mut out = SampleBuf::default();
                let _ = decode_values(&bytes, 1000, &mut out);
                assert!(out.v.len() <= 1000);
                let _ = stats_of(&bytes);
            }
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
    fn times_of_whole_seconds_are_counted_in_seconds() {
        for (from, part) in [(1_700_000_000_000_i64, 0), (-50_000, 7), (0, 999)] {
            let uneven = (0..120_i64).map(|i| from + part + (2 * i + (i * i) % 3) * 1000);
            let t: Vec<i64> = uneven.collect();
            let bytes = encode_timestamps_quick(&t);
            assert!(bytes.len() < 50, "{} bytes", bytes.len());
            let mut back = vec![7];
            decode_timestamps(&bytes, t.len(), &mut back).unwrap();
            assert_eq!(back[1..], t);
            let odd: Vec<i64> = t.iter().enumerate().map(|(i, t)| t + i64::from(i == 60)).collect();
            let bytes = encode_timestamps_quick(&odd);
            back.clear();
            decode_timestamps(&bytes, odd.len(), &mut back).unwrap();
            assert_eq!(back, odd);
        }
        assert!(decode_timestamps(&[5, 0xe8, 7, 0, 0, 0, 0], 1, &mut Vec::new()).is_err());
        assert!(decode_timestamps(&[5], 1, &mut Vec::new()).is_err());
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

    /// A gauge of float counts, whole ones or shares of them, as scraped and as computed.
    fn float_histograms(share: f64) -> SampleBuf {
        let mut samples = SampleBuf::default();
        let mut counts = [100.0_f64, 250.0, 900.0, 400.0, 50.0, 3.0, 0.0, 1.0];
        for k in 0..120_usize {
            for (i, count) in counts.iter_mut().enumerate() {
                *count += ((k * 7 + i * 13) % 11) as f64;
            }
            let positive: Vec<f64> = counts.iter().map(|count| count * share).collect();
            let value = Histogram {
                reset: CounterReset::Gauge,
                schema: Schema::Exponential(3),
                zero_threshold: 0.001,
                sum: 18.4 * k as f64,
                positive_spans: vec![Span { offset: -2, length: 8 }],
                negative_spans: vec![],
                custom_values: Arc::from([]),
                counts: Counts::Float {
                    count: positive.iter().sum(),
                    zero: if k == 50 { f64::from_bits(0x7ff8_0000_dead_beef) } else { -0.0 },
                    positive,
                    negative: vec![],
                },
            };
            let value = Value::Histogram(Arc::new(value));
            samples.push(Sample { t: k as i64 * 15_000, start: 0, value });
        }
        samples
    }

    #[test]
    fn float_histograms_come_back_and_take_what_changed() {
        for (share, most) in [(1.0, 44), (1.0 / 3.0, 100)] {
            let samples = float_histograms(share);
            round_trip(&samples);
            let each = encode_values(&samples).len() / samples.len();
            // Ten counts and a sum, eight bytes each, and two of flags are 90.
            println!("{each} bytes a histogram of ten counts, times {share}");
            assert!(each <= most, "{each} bytes a histogram");
        }
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
