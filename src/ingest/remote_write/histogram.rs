//! A native histogram of the wire: integer or float, exponential or custom buckets.

use std::sync::Arc;

use ringwell_storage::model::{
    CounterReset, Counts, Histogram, HistogramError, Sample, Schema, Span, Value,
};

use crate::ingest::protobuf::{Field, Malformed};

/// The fields as they stand on the wire.
#[derive(Default)]
struct Wire {
    count: u64,
    count_float: Option<f64>,
    sum: f64,
    schema: i32,
    zero_threshold: f64,
    zero: u64,
    zero_float: f64,
    negative: Buckets,
    positive: Buckets,
    reset: u64,
    t: i64,
    start: i64,
    custom_values: Vec<f64>,
}

#[derive(Default)]
struct Buckets {
    spans: Vec<Span>,
    deltas: Vec<i64>,
    floats: Vec<f64>,
}

/// Reads one; the inner error is a histogram that is well spelled but contradicts itself.
pub(super) fn read(field: &Field<'_>) -> Result<Result<Sample, HistogramError>, Malformed> {
    let mut wire = Wire::default();
    let mut fields = field.message()?;
    while let Some(field) = fields.next()? {
        match field.number {
            1 => wire.count = field.uint64()?,
            2 => wire.count_float = Some(field.double()?),
            3 => wire.sum = field.double()?,
            4 => wire.schema = field.sint32()?,
            5 => wire.zero_threshold = field.double()?,
            6 => wire.zero = field.uint64()?,
            7 => wire.zero_float = field.double()?,
            8 => wire.negative.spans.push(span(&field)?),
            9 => field.sints(&mut wire.negative.deltas)?,
            10 => field.doubles(&mut wire.negative.floats)?,
            11 => wire.positive.spans.push(span(&field)?),
            12 => field.sints(&mut wire.positive.deltas)?,
            13 => field.doubles(&mut wire.positive.floats)?,
            14 => wire.reset = field.uint64()?,
            15 => wire.t = field.int64()?,
            16 => field.doubles(&mut wire.custom_values)?,
            17 => wire.start = field.int64()?,
            _ => {}
        }
    }
    Ok(wire.meaning())
}

fn span(field: &Field<'_>) -> Result<Span, Malformed> {
    let mut span = Span { offset: 0, length: 0 };
    let mut fields = field.message()?;
    while let Some(field) = fields.next()? {
        match field.number {
            1 => span.offset = field.sint32()?,
            2 => span.length = field.uint32()?,
            _ => {}
        }
    }
    Ok(span)
}

impl Wire {
    fn meaning(self) -> Result<Sample, HistogramError> {
        let schema = match Schema::from_number(self.schema) {
            Some(schema @ (Schema::Exponential(_) | Schema::Custom)) => schema,
            _ => return Err(HistogramError::UnknownSchema(i64::from(self.schema))),
        };
        let counts = match self.count_float {
            Some(count) => Counts::Float {
                count,
                zero: self.zero_float,
                positive: self.positive.floats,
                negative: self.negative.floats,
            },
            None => Counts::Integer {
                count: self.count,
                zero: self.zero,
                positive: absolute("positive", &self.positive.deltas)?,
                negative: absolute("negative", &self.negative.deltas)?,
            },
        };
        let histogram = Histogram {
            reset: match self.reset {
                1 => CounterReset::Yes,
                2 => CounterReset::No,
                3 => CounterReset::Gauge,
                _ => CounterReset::Unknown,
            },
            schema,
            zero_threshold: self.zero_threshold,
            sum: self.sum,
            positive_spans: self.positive.spans,
            negative_spans: self.negative.spans,
            custom_values: self.custom_values.into(),
            counts,
        };
        histogram.validate()?;
        Ok(Sample { t: self.t, start: self.start, value: Value::Histogram(Arc::new(histogram)) })
    }
}

/// Counts from the differences between neighbours.
fn absolute(side: &'static str, deltas: &[i64]) -> Result<Vec<u64>, HistogramError> {
    let mut count = 0_i64;
    let mut counts = Vec::with_capacity(deltas.len());
    for (i, delta) in deltas.iter().enumerate() {
        count = count.checked_add(*delta).ok_or_else(|| {
            HistogramError::Invalid(format!("{side} side bucket number {} overflows", i + 1))
        })?;
        counts.push(u64::try_from(count).map_err(|_| HistogramError::NegativeCount {
            side,
            number: i + 1,
            count: count as f64,
        })?);
    }
    Ok(counts)
}
