//! Native histograms in Prometheus's chunks: the layout once, then each sample by its difference
//! to the ones before.

use std::sync::Arc;

use ringwell_storage::model::{CounterReset, Counts, Histogram, Schema, Span, is_stale};

use super::bits::{Bits, XorWindow};

/// Encodes histograms of one kind and one layout, in order of time; a stale marker stands alone.
pub(super) fn encode(run: &[(i64, Arc<Histogram>)]) -> Vec<u8> {
    let Some((_, first)) = run.first() else { return Vec::new() };
    let mut head = (run.len() as u16).to_be_bytes().to_vec();
    head.push(flags(first.reset));
    let mut bits = Bits::after(head);
    push_layout(&mut bits, first);
    match first.counts {
        Counts::Integer { .. } => push_integers(&mut bits, run),
        Counts::Float { .. } => push_floats(&mut bits, run),
    }
    bits.into_bytes()
}

fn flags(reset: CounterReset) -> u8 {
    match reset {
        CounterReset::Unknown => 0,
        CounterReset::No => 0b0100_0000,
        CounterReset::Yes => 0b1000_0000,
        CounterReset::Gauge => 0b1100_0000,
    }
}

fn push_layout(bits: &mut Bits, histogram: &Histogram) {
    push_zero_threshold(bits, histogram.zero_threshold);
    bits.push_int(i64::from(histogram.schema.number()));
    // The marker of an end has no buckets.
    let stale = is_stale(histogram.sum);
    for spans in [&histogram.positive_spans, &histogram.negative_spans] {
        push_spans(bits, if stale { &[] } else { spans });
    }
    if histogram.schema == Schema::Custom {
        bits.push_uint(histogram.custom_values.len() as u64);
        histogram.custom_values.iter().for_each(|bound| push_bound(bits, *bound));
    }
}

/// Powers of two between 2^-243 and 2^10 take a byte, and so does 0.
fn push_zero_threshold(bits: &mut Bits, threshold: f64) {
    let raw = threshold.to_bits();
    let (exponent, mantissa) = (raw >> 52, raw & ((1 << 52) - 1));
    // 2^-243 has the biased exponent 1023 - 243 and is written as 1.
    match exponent.checked_sub(1023 - 244) {
        _ if raw == 0 => bits.push(0, 8),
        Some(power @ 1..=254) if mantissa == 0 => bits.push(power, 8),
        _ => {
            bits.push(255, 8);
            bits.push_float(threshold);
        }
    }
}

fn push_spans(bits: &mut Bits, spans: &[Span]) {
    bits.push_uint(spans.len() as u64);
    for span in spans {
        bits.push_uint(u64::from(span.length));
        bits.push_int(i64::from(span.offset));
    }
}

/// Bounds with up to three decimals, as people choose them, take few bits.
fn push_bound(bits: &mut Bits, bound: f64) {
    let thousandths = bound * 1000.0;
    if (0.0..=33_554_430.0).contains(&thousandths) && thousandths.fract() == 0.0 {
        bits.push_uint(thousandths as u64 + 1);
    } else {
        bits.push(0, 1);
        bits.push_float(bound);
    }
}

/// A column of whole numbers: the number, its difference, then differences of differences.
#[derive(Clone, Copy, Debug, Default)]
struct Deltas {
    before: i64,
    delta: i64,
}

impl Deltas {
    fn push(&mut self, bits: &mut Bits, value: i64, row: usize) {
        let delta = value.wrapping_sub(self.before);
        bits.push_int(if row < 2 { delta } else { delta.wrapping_sub(self.delta) });
        *self = Deltas { before: value, delta: if row == 0 { 0 } else { delta } };
    }

    /// A count, whose first value has no sign.
    fn push_count(&mut self, bits: &mut Bits, value: u64, row: usize) {
        if row > 0 {
            return self.push(bits, value.cast_signed(), row);
        }
        bits.push_uint(value);
        self.before = value.cast_signed();
    }
}

/// A column of floats.
#[derive(Clone, Copy, Debug, Default)]
struct Floats {
    before: f64,
    window: XorWindow,
}

impl Floats {
    fn push(&mut self, bits: &mut Bits, value: f64, row: usize) {
        if row == 0 {
            bits.push_float(value);
        } else {
            bits.push_xor(value, self.before, &mut self.window);
        }
        self.before = value;
    }
}

fn push_integers(bits: &mut Bits, run: &[(i64, Arc<Histogram>)]) {
    let (mut times, mut counts, mut zeros) =
        (Deltas::default(), Deltas::default(), Deltas::default());
    let (mut sums, mut columns) = (Floats::default(), Vec::new());
    for (row, (t, histogram)) in run.iter().enumerate() {
        let Counts::Integer { count, zero, positive, negative } = &histogram.counts else {
            continue;
        };
        let stale = is_stale(histogram.sum);
        times.push(bits, *t, row);
        counts.push_count(bits, if stale { 0 } else { *count }, row);
        zeros.push_count(bits, if stale { 0 } else { *zero }, row);
        sums.push(bits, histogram.sum, row);
        if stale {
            continue;
        }
        let buckets = differences(positive).chain(differences(negative));
        columns.resize(positive.len() + negative.len(), Deltas::default());
        columns.iter_mut().zip(buckets).for_each(|(column, v)| column.push(bits, v, row));
    }
}

/// The first count, then what each has more than the one before.
fn differences(counts: &[u64]) -> impl Iterator<Item = i64> + '_ {
    let before = std::iter::once(&0).chain(counts);
    counts.iter().zip(before).map(|(count, before)| count.wrapping_sub(*before).cast_signed())
}

fn push_floats(bits: &mut Bits, run: &[(i64, Arc<Histogram>)]) {
    let mut times = Deltas::default();
    let (mut counts, mut zeros, mut sums) =
        (Floats::default(), Floats::default(), Floats::default());
    let mut columns = Vec::new();
    for (row, (t, histogram)) in run.iter().enumerate() {
        let Counts::Float { count, zero, positive, negative } = &histogram.counts else { continue };
        let stale = is_stale(histogram.sum);
        times.push(bits, *t, row);
        counts.push(bits, if stale { 0.0 } else { *count }, row);
        zeros.push(bits, if stale { 0.0 } else { *zero }, row);
        sums.push(bits, histogram.sum, row);
        if stale {
            continue;
        }
        columns.resize(positive.len() + negative.len(), Floats::default());
        let buckets = positive.iter().chain(negative);
        columns.iter_mut().zip(buckets).for_each(|(column, v)| column.push(bits, *v, row));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_take_a_byte_where_they_can() {
        for (threshold, byte) in
            [(0.0, 0), (2_f64.powi(-243), 1), (2_f64.powi(-128), 116), (1.0, 244), (1024.0, 254)]
        {
            let mut bits = Bits::default();
            push_zero_threshold(&mut bits, threshold);
            assert_eq!(bits.into_bytes(), [byte], "{threshold}");
        }
        for threshold in [1e-3, 2048.0, 2_f64.powi(-244)] {
            let mut bits = Bits::default();
            push_zero_threshold(&mut bits, threshold);
            let bytes = bits.into_bytes();
            assert_eq!((bytes.len(), bytes[0]), (9, 255), "{threshold}");
        }
    }
}
