//! Histograms one after the other; a layout equal to the one before is not repeated.

use std::sync::Arc;

use super::Histograms;
use crate::model::{CounterReset, Counts, Histogram, Schema, Span};
use crate::wire::{FormatError, Reader, put_f64, put_varint, put_zigzag};

const RESET_MASK: u8 = 3;
const FLOATS: u8 = 4;
const SAME_LAYOUT: u8 = 8;
/// Float counts are written as what differs from the histogram before.
const DIFFERENCES: u8 = 16;

/// Most buckets of one side, so that a damaged span cannot make a reader allocate much.
const MAX_BUCKETS: u64 = 1 << 20;

pub(super) fn encode_column(column: &[Option<Arc<Histogram>>], out: &mut Vec<u8>) {
    for slots in column.chunks(8) {
        let bits = slots.iter().enumerate().map(|(i, h)| u8::from(h.is_some()) << i);
        out.push(bits.sum());
    }
    let mut before = None;
    for histogram in column.iter().flatten() {
        put_histogram(out, histogram, before);
        before = Some(&**histogram);
    }
}

pub(super) fn decode_column(
    reader: &mut Reader<'_>,
    n: usize,
    out: &mut Histograms,
) -> Result<(), FormatError> {
    let bitmap = reader.take(n.div_ceil(8))?;
    let mut before: Option<Arc<Histogram>> = None;
    for i in 0..n {
        if bitmap[i / 8] >> (i % 8) & 1 == 0 {
            out.push(None);
            continue;
        }
        let histogram = Arc::new(get_histogram(reader, before.as_deref())?);
        before = Some(Arc::clone(&histogram));
        out.push(Some(histogram));
    }
    Ok(())
}

/// Appends one histogram; `before` is the one before it in the same run.
pub(crate) fn put_histogram(out: &mut Vec<u8>, h: &Histogram, before: Option<&Histogram>) {
    let same = before.is_some_and(|b| same_layout(b, h));
    let of_floats = matches!(h.counts, Counts::Float { .. });
    let flags_at = out.len();
    out.push(
        reset_number(h.reset)
            | if of_floats { FLOATS } else { 0 }
            | if same { SAME_LAYOUT } else { 0 },
    );
    if !same {
        put_layout(out, h);
    }
    put_f64(out, h.sum);
    match &h.counts {
        Counts::Integer { .. } => match before.filter(|_| same).map(|before| &before.counts) {
            Some(before @ Counts::Integer { .. }) => {
                for (n, before) in integers(&h.counts).zip(integers(before)) {
                    put_zigzag(out, n.wrapping_sub(before).cast_signed());
                }
            }
            _ => integers(&h.counts).for_each(|n| put_varint(out, n)),
        },
        Counts::Float { .. } => {
            let start = out.len();
            let base = before.filter(|_| same).map(|before| &before.counts);
            let base = base.into_iter().flat_map(floats).chain(std::iter::repeat(0.0));
            for (n, before) in floats(&h.counts).zip(base) {
                put_varint(out, (n.to_bits() ^ before.to_bits()).reverse_bits());
            }
            if out.len() - start < 8 * floats(&h.counts).count() {
                out[flags_at] |= DIFFERENCES;
            } else {
                out.truncate(start);
                floats(&h.counts).for_each(|n| put_f64(out, n));
            }
        }
    }
}

/// Reads what [`put_histogram`] wrote.
pub(crate) fn get_histogram(
    reader: &mut Reader<'_>,
    before: Option<&Histogram>,
) -> Result<Histogram, FormatError> {
    let flags = reader.u8()?;
    let mut h = match before {
        Some(before) if flags & SAME_LAYOUT != 0 => before.clone(),
        None if flags & SAME_LAYOUT != 0 => {
            return Err(reader.error("histogram refers to one that is not there"));
        }
        _ => get_layout(reader)?,
    };
    h.reset = reset_of(flags & RESET_MASK);
    h.sum = reader.f64()?;
    let base = before.filter(|_| flags & SAME_LAYOUT != 0).map(|before| &before.counts);
    let mut float_base = base.into_iter().flat_map(floats);
    let mut base = base.into_iter().flat_map(integers);
    let positive = buckets(&h.positive_spans, reader)?;
    let negative = buckets(&h.negative_spans, reader)?;
    h.counts = if flags & FLOATS == 0 {
        let mut next = || match base.next() {
            Some(before) => Ok(before.wrapping_add(reader.zigzag()?.cast_unsigned())),
            None => reader.varint(),
        };
        Counts::Integer {
            count: next()?,
            zero: next()?,
            positive: (0..positive).map(|_| next()).collect::<Result<_, _>>()?,
            negative: (0..negative).map(|_| next()).collect::<Result<_, _>>()?,
        }
    } else {
        let mut next = || match flags & DIFFERENCES {
            0 => reader.f64(),
            _ => {
                let before = float_base.next().unwrap_or(0.0);
                Ok(f64::from_bits(reader.varint()?.reverse_bits() ^ before.to_bits()))
            }
        };
        Counts::Float {
            count: next()?,
            zero: next()?,
            positive: (0..positive).map(|_| next()).collect::<Result<_, _>>()?,
            negative: (0..negative).map(|_| next()).collect::<Result<_, _>>()?,
        }
    };
    Ok(h)
}

/// All counts in the order they are written; none of a float histogram.
fn integers(counts: &Counts) -> impl Iterator<Item = u64> + '_ {
    let none: &[u64] = &[];
    let (ends, positive, negative) = match counts {
        Counts::Integer { count, zero, positive, negative } => {
            (Some([*count, *zero]), &positive[..], &negative[..])
        }
        Counts::Float { .. } => (None, none, none),
    };
    ends.into_iter().flatten().chain(positive.iter().copied()).chain(negative.iter().copied())
}

/// The same of a float histogram; none of an integer one.
fn floats(counts: &Counts) -> impl Iterator<Item = f64> + '_ {
    let none: &[f64] = &[];
    let (ends, positive, negative) = match counts {
        Counts::Float { count, zero, positive, negative } => {
            (Some([*count, *zero]), &positive[..], &negative[..])
        }
        Counts::Integer { .. } => (None, none, none),
    };
    ends.into_iter().flatten().chain(positive.iter().copied()).chain(negative.iter().copied())
}

fn same_layout(a: &Histogram, b: &Histogram) -> bool {
    let bounds = |h: &Histogram| h.custom_values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    a.schema == b.schema
        && a.zero_threshold.to_bits() == b.zero_threshold.to_bits()
        && a.positive_spans == b.positive_spans
        && a.negative_spans == b.negative_spans
        && (Arc::ptr_eq(&a.custom_values, &b.custom_values) || bounds(a) == bounds(b))
}

fn put_layout(out: &mut Vec<u8>, h: &Histogram) {
    put_zigzag(out, i64::from(h.schema.number()));
    put_f64(out, h.zero_threshold);
    for spans in [&h.positive_spans, &h.negative_spans] {
        put_varint(out, spans.len() as u64);
        for span in spans {
            put_zigzag(out, i64::from(span.offset));
            put_varint(out, u64::from(span.length));
        }
    }
    put_varint(out, h.custom_values.len() as u64);
    for value in h.custom_values.iter() {
        put_f64(out, *value);
    }
}

/// A histogram with this layout and nothing in it.
fn get_layout(reader: &mut Reader<'_>) -> Result<Histogram, FormatError> {
    let number = reader.zigzag()?;
    let schema = i32::try_from(number).ok().and_then(Schema::from_number);
    let schema = schema.ok_or_else(|| reader.error("unknown histogram schema"))?;
    let zero_threshold = reader.f64()?;
    let positive_spans = get_spans(reader)?;
    let negative_spans = get_spans(reader)?;
    let mut custom = Vec::new();
    for _ in 0..reader.count(8)? {
        custom.push(reader.f64()?);
    }
    Ok(Histogram {
        reset: CounterReset::Unknown,
        schema,
        zero_threshold,
        sum: 0.0,
        positive_spans,
        negative_spans,
        custom_values: custom.into(),
        counts: Counts::Integer { count: 0, zero: 0, positive: vec![], negative: vec![] },
    })
}

fn get_spans(reader: &mut Reader<'_>) -> Result<Vec<Span>, FormatError> {
    let mut spans = Vec::new();
    for _ in 0..reader.count(2)? {
        let offset = i32::try_from(reader.zigzag()?);
        let length = u32::try_from(reader.varint()?);
        match (offset, length) {
            (Ok(offset), Ok(length)) => spans.push(Span { offset, length }),
            _ => return Err(reader.error("histogram span out of range")),
        }
    }
    Ok(spans)
}

fn buckets(spans: &[Span], reader: &Reader<'_>) -> Result<u64, FormatError> {
    let n = spans.iter().map(|s| u64::from(s.length)).sum();
    if n > MAX_BUCKETS { Err(reader.error("too many histogram buckets")) } else { Ok(n) }
}

fn reset_number(reset: CounterReset) -> u8 {
    match reset {
        CounterReset::Unknown => 0,
        CounterReset::Yes => 1,
        CounterReset::No => 2,
        CounterReset::Gauge => 3,
    }
}

fn reset_of(number: u8) -> CounterReset {
    match number {
        0 => CounterReset::Unknown,
        1 => CounterReset::Yes,
        2 => CounterReset::No,
        _ => CounterReset::Gauge,
    }
}
