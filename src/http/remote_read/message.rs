//! Responses of remote read, written field by field.

use ringwell_storage::model::{CounterReset, Counts, Histogram, Labels, SampleBuf, Span, Value};

use super::chunk::Chunk;

/// Wire types of protobuf.
const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const BLOCK: u8 = 2;

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_tag(out: &mut Vec<u8>, field: u8, wire: u8) {
    put_varint(out, u64::from(field) << 3 | u64::from(wire));
}

fn put_number(out: &mut Vec<u8>, field: u8, value: u64) {
    put_tag(out, field, VARINT);
    put_varint(out, value);
}

fn put_double(out: &mut Vec<u8>, field: u8, value: f64) {
    put_tag(out, field, FIXED64);
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

fn put_block(out: &mut Vec<u8>, field: u8, block: &[u8]) {
    put_tag(out, field, BLOCK);
    put_varint(out, block.len() as u64);
    out.extend_from_slice(block);
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// Labels as field 1 of a series.
pub(super) fn put_labels(out: &mut Vec<u8>, labels: &Labels) {
    let mut label = Vec::new();
    for pair in labels.iter() {
        label.clear();
        put_block(&mut label, 1, pair.name.as_bytes());
        put_block(&mut label, 2, pair.value.as_bytes());
        put_block(out, 1, &label);
    }
}

/// Samples as fields 2 (floats) and 4 (histograms) of a series.
pub(super) fn put_samples(out: &mut Vec<u8>, samples: &SampleBuf) {
    let mut message = Vec::new();
    for sample in samples.iter() {
        message.clear();
        match &sample.value {
            Value::Float(v) => {
                put_double(&mut message, 1, *v);
                put_number(&mut message, 2, sample.t.cast_unsigned());
                put_block(out, 2, &message);
            }
            // Prometheus has no such schema.
            Value::Histogram(h) if matches!(h.schema, ringwell_storage::model::Schema::Hdr(_)) => {}
            Value::Histogram(h) => {
                put_histogram(&mut message, sample.t, h);
                put_block(out, 4, &message);
            }
        }
    }
}

fn put_histogram(out: &mut Vec<u8>, t: i64, histogram: &Histogram) {
    let (mut positive, mut negative) = (Vec::new(), Vec::new());
    match &histogram.counts {
        Counts::Integer { count, zero, positive: p, negative: n } => {
            put_number(out, 1, *count);
            put_number(out, 6, *zero);
            put_differences(&mut positive, p);
            put_differences(&mut negative, n);
        }
        Counts::Float { count, zero, positive: p, negative: n } => {
            put_double(out, 2, *count);
            put_double(out, 7, *zero);
            p.iter().for_each(|v| positive.extend_from_slice(&v.to_bits().to_le_bytes()));
            n.iter().for_each(|v| negative.extend_from_slice(&v.to_bits().to_le_bytes()));
        }
    }
    put_double(out, 3, histogram.sum);
    put_number(out, 4, zigzag(i64::from(histogram.schema.number())));
    put_double(out, 5, histogram.zero_threshold);
    let is_float = u8::from(matches!(histogram.counts, Counts::Float { .. }));
    let sides =
        [(8, &histogram.negative_spans, &negative), (11, &histogram.positive_spans, &positive)];
    for (field, spans, counts) in sides {
        spans.iter().for_each(|span| put_span(out, field, span));
        if !counts.is_empty() {
            put_block(out, field + 1 + is_float, counts);
        }
    }
    let reset = match histogram.reset {
        CounterReset::Unknown => 0,
        CounterReset::Yes => 1,
        CounterReset::No => 2,
        CounterReset::Gauge => 3,
    };
    put_number(out, 14, reset);
    put_number(out, 15, t.cast_unsigned());
    if !histogram.custom_values.is_empty() {
        let bounds = histogram.custom_values.iter().flat_map(|v| v.to_bits().to_le_bytes());
        put_block(out, 16, &bounds.collect::<Vec<u8>>());
    }
}

fn put_differences(out: &mut Vec<u8>, counts: &[u64]) {
    let mut before = 0_u64;
    for count in counts {
        put_varint(out, zigzag(count.wrapping_sub(before).cast_signed()));
        before = *count;
    }
}

fn put_span(out: &mut Vec<u8>, field: u8, span: &Span) {
    let mut message = Vec::new();
    put_number(&mut message, 1, zigzag(i64::from(span.offset)));
    put_number(&mut message, 2, u64::from(span.length));
    put_block(out, field, &message);
}

/// A series (field 1) of a query's result, or a result (field 1) of the response.
pub(super) fn put_message(out: &mut Vec<u8>, message: &[u8]) {
    put_block(out, 1, message);
}

/// A chunk as field 2 of a chunked series.
pub(super) fn put_chunk(out: &mut Vec<u8>, chunk: &Chunk) {
    let mut message = Vec::with_capacity(chunk.data.len() + 32);
    put_number(&mut message, 1, chunk.min_t.cast_unsigned());
    put_number(&mut message, 2, chunk.max_t.cast_unsigned());
    put_number(&mut message, 3, chunk.encoding as u64);
    put_block(&mut message, 4, &chunk.data);
    put_block(out, 2, &message);
}

/// A frame of the stream: length, checksum, and a response with one chunked series.
pub(super) fn frame(series: &[u8], query: u64) -> Vec<u8> {
    let mut message = Vec::with_capacity(series.len() + 16);
    put_message(&mut message, series);
    put_number(&mut message, 2, query);
    let mut out = Vec::with_capacity(message.len() + 16);
    put_varint(&mut out, message.len() as u64);
    out.extend_from_slice(&crc32c::crc32c(&message).to_be_bytes());
    out.extend_from_slice(&message);
    out
}
