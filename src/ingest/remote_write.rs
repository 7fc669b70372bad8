//! Prometheus remote write: snappy, then protobuf, walked in place. Here is 1.0, [`v2`] is 2.0.
//!
//! Nothing is allocated from a length that is only declared: the decompressed size is checked
//! against the limit and against what snappy can do. Labels stay the sender's bytes, which the
//! store maps to a known series without parsing.

mod histogram;
pub mod v2;

use std::borrow::Cow;

use ringwell_storage::append::{
    Batch, Duplicates, Rejected, Rejection, Samples, SeriesRef, SeriesSamples,
};
use ringwell_storage::exemplars::Exemplar;
use ringwell_storage::model::{LabelError, Labels, METRIC_NAME, Sample, Value};

use super::beside::{Beside, value_and_time};
pub use super::protobuf::Malformed;
use super::protobuf::{Field, Message};

/// Snappy's densest element gives 64 bytes for 3, so a longer declared size is a lie.
const MAX_RATIO: usize = 22;
/// Bytes of a series with its labels, at the least, as exporters write them.
const USUAL_SERIES: usize = 120;

/// Bytes of a sample's field, as [`usual_sample`] has it.
const USUAL_SAMPLE: usize = 18;

/// Why a body is refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The compressed block is damaged.
    #[error("snappy: {0}")]
    Snappy(String),
    /// It is too large decompressed.
    #[error("snappy: {declared} bytes after decompression, more than the limit of {limit}")]
    TooLarge {
        /// What the body says.
        declared: usize,
        /// What is allowed.
        limit: usize,
    },
    /// The message is damaged.
    #[error("protobuf: {0}")]
    Protobuf(#[from] Malformed),
}

/// A write request, its series still slices of the message.
#[derive(Debug, Default)]
pub struct WriteRequest<'a> {
    /// The samples.
    pub batch: Batch<'a>,
    /// Histograms that contradict themselves; they are not in the batch, the places are those of
    /// their series.
    pub refused: Vec<Rejected>,
    /// Exemplars and metadata.
    pub beside: Beside,
}

/// The size a body says it has after decompression, checked before anything is allocated.
pub fn decompressed_size(body: &[u8], limit: usize) -> Result<usize, BodyError> {
    let declared =
        snap::raw::decompress_len(body).map_err(|error| BodyError::Snappy(told(&error)))?;
    if declared > limit {
        return Err(BodyError::TooLarge { declared, limit });
    }
    if declared > body.len().saturating_mul(MAX_RATIO) {
        return Err(BodyError::Snappy(format!(
            "damaged header: {} bytes cannot hold the declared {declared}",
            body.len()
        )));
    }
    Ok(declared)
}

/// Decompresses a body.
pub fn decompress(body: &[u8], limit: usize) -> Result<Vec<u8>, BodyError> {
    let mut message = vec![0; decompressed_size(body, limit)?];
    let written = decompress_into(body, &mut message)?;
    message.truncate(written);
    Ok(message)
}

/// Decompresses a body into as many bytes as it says it has; how many it had.
pub fn decompress_into(body: &[u8], message: &mut [u8]) -> Result<usize, BodyError> {
    let decompressed = snap::raw::Decoder::new().decompress(body, message);
    decompressed.map_err(|error| BodyError::Snappy(told(&error)))
}

/// What snappy says, without its own name before it.
fn told(error: &snap::Error) -> String {
    let text = error.to_string();
    text.strip_prefix("snappy: ").map(str::to_owned).unwrap_or(text)
}

/// Walks a decompressed request.
pub fn read(message: &[u8]) -> Result<WriteRequest<'_>, BodyError> {
    let mut request = WriteRequest::default();
    request.batch.duplicates = Duplicates::Reject;
    request.batch.series.reserve(message.len() / USUAL_SERIES);
    let mut fields = Message::new(message);
    loop {
        while let Some(series) = fields.take_if(1, usual_series) {
            request.batch.series.push(series);
        }
        let Some(field) = fields.next()? else { break };
        match field.number {
            1 => read_series(message, &field, &mut request)?,
            3 => read_metadata(&field, &mut request.beside)?,
            _ => {}
        }
    }
    Ok(request)
}

/// A series in the form nearly all have: labels, then one usual sample.
#[inline]
fn usual_series(bytes: &[u8]) -> Option<SeriesSamples<'_>> {
    let (labels, sample) = bytes.split_last_chunk::<USUAL_SAMPLE>()?;
    let [0x12, length, sample @ ..] = sample else { return None };
    let (t, v) = usual_sample(sample).filter(|_| usize::from(*length) == sample.len())?;
    let mut fields = Message::new(labels);
    if fields.run_of(1).len() != labels.len() {
        return None;
    }
    let sample = Sample { t, start: 0, value: Value::Float(v) };
    let series = SeriesRef::Raw { bytes: labels, parse: parse_labels };
    Some(SeriesSamples { series, samples: Samples::from_buf([sample]) })
}

fn read_series<'a>(
    whole: &'a [u8],
    series: &Field<'a>,
    request: &mut WriteRequest<'a>,
) -> Result<(), Malformed> {
    let (mut samples, mut exemplars) = (Samples::new(), Vec::new());
    let index = request.batch.series.len();
    let mut fields = series.message()?;
    let mut labels = RawLabels::at_front(&mut fields, series);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => labels.push(whole, &field)?,
            2 => samples.push(read_sample(&field)?),
            3 => exemplars.push(field),
            4 => match histogram::read(&field)? {
                Ok(sample) => samples.push(sample),
                Err(error) => request.refused.push(Rejected {
                    series: index,
                    sample: None,
                    reason: Rejection::Histogram(error),
                }),
            },
            _ => {}
        }
    }
    if !exemplars.is_empty() {
        take_exemplars(&labels.bytes, &exemplars, &mut request.beside)?;
    }
    let refused = request.refused.last().is_some_and(|refused| refused.series == index);
    if samples.is_empty() && !refused {
        return Ok(());
    }
    let series = match labels.bytes {
        Cow::Borrowed(bytes) => SeriesRef::Raw { bytes, parse: parse_labels },
        Cow::Owned(bytes) => match parse_labels(&bytes) {
            Ok(labels) => SeriesRef::Labels(labels),
            Err(error) => {
                let reason = Rejection::Labels(error);
                request.refused.push(Rejected { series: index, sample: None, reason });
                samples.clear();
                SeriesRef::Labels(Labels::empty())
            }
        },
    };
    request.batch.series.push(SeriesSamples { series, samples });
    Ok(())
}

fn take_exemplars(
    series: &[u8],
    exemplars: &[Field<'_>],
    beside: &mut Beside,
) -> Result<(), Malformed> {
    let Ok(series) = parse_labels(series) else {
        beside.refuse_exemplars(exemplars.len());
        return Ok(());
    };
    for field in exemplars {
        let (value, t) = value_and_time(field)?;
        let labels = pairs(field.bytes()?).and_then(Labels::from_pairs);
        beside.take_exemplar(&series, labels.map(|labels| Exemplar { labels, t, value }));
    }
    Ok(())
}

fn read_metadata(entry: &Field<'_>, beside: &mut Beside) -> Result<(), Malformed> {
    let (mut kind, mut texts) = (0, [&b""[..]; 3]);
    let mut fields = entry.message()?;
    while let Some(field) = fields.next()? {
        match field.number {
            1 => kind = field.uint64()?,
            2 => texts[0] = field.bytes()?,
            4 => texts[1] = field.bytes()?,
            5 => texts[2] = field.bytes()?,
            _ => {}
        }
    }
    let [metric, help, unit] = texts;
    beside.take_metadata(kind, metric, help, unit);
    Ok(())
}

#[inline]
fn read_sample(field: &Field<'_>) -> Result<Sample, Malformed> {
    let mut sample = Sample { t: 0, start: 0, value: Value::Float(0.0) };
    let mut fields = field.message()?;
    if let Some((t, v)) = usual_sample(fields.rest()) {
        return Ok(Sample { t, start: 0, value: Value::Float(v) });
    }
    while let Some(field) = fields.next()? {
        match field.number {
            1 => sample.value = Value::Float(field.double()?),
            2 => sample.t = field.int64()?,
            _ => {}
        }
    }
    Ok(sample)
}

/// A sample in the form nearly all have: the value, then a time of six bytes (1987 to 2109).
#[inline]
fn usual_sample(bytes: &[u8]) -> Option<(i64, f64)> {
    let [0x09, v @ .., 0x10, a, b, c, d, e, f] = bytes else { return None };
    let v = f64::from_le_bytes(v.try_into().ok()?);
    let digits = [*a, *b, *c, *d, *e, *f];
    let more = digits.map(|digit| digit >> 7);
    if more != [1, 1, 1, 1, 1, 0] {
        return None;
    }
    let t = digits.iter().rev().fold(0_i64, |t, digit| t << 7 | i64::from(digit & 0x7f));
    Some((t, v))
}

/// The label fields of a series as the sender wrote them: a slice where they stand together, as
/// every known sender writes them, else a copy.
struct RawLabels<'a> {
    bytes: Cow<'a, [u8]>,
    start: usize,
    end: usize,
}

impl<'a> RawLabels<'a> {
    /// The labels a series begins with.
    #[inline]
    fn at_front(fields: &mut Message<'a>, series: &Field<'a>) -> RawLabels<'a> {
        let length = fields.rest().len();
        let bytes = fields.run_of(1);
        let start = series.end - length;
        RawLabels { bytes: Cow::Borrowed(bytes), start, end: start + bytes.len() }
    }

    fn push(&mut self, whole: &'a [u8], field: &Field<'a>) -> Result<(), Malformed> {
        field.bytes()?;
        if self.bytes.is_empty() {
            self.start = field.at;
        }
        let together = self.bytes.is_empty() || self.end == field.at;
        match &mut self.bytes {
            Cow::Borrowed(bytes) if together => {
                *bytes = whole.get(self.start..field.end).unwrap_or_default();
            }
            bytes => {
                let more = whole.get(field.at..field.end).unwrap_or_default();
                bytes.to_mut().extend_from_slice(more);
            }
        }
        self.end = field.end;
        Ok(())
    }
}

/// Makes labels of the sender's label fields.
pub fn parse_labels(bytes: &[u8]) -> Result<Labels, LabelError> {
    let pairs = pairs(bytes)?;
    if !pairs.iter().any(|(name, value)| *name == METRIC_NAME && !value.is_empty()) {
        return Err(LabelError::NoMetricName);
    }
    Labels::from_pairs(pairs)
}

/// Names and values of the label fields (number 1); other fields are passed over.
fn pairs(bytes: &[u8]) -> Result<Vec<(&str, &str)>, LabelError> {
    let mut pairs = Vec::with_capacity(16);
    let mut fields = Message::new(bytes);
    let damaged = |error: Malformed| LabelError::Damaged(error.to_string());
    while let Some(field) = fields.next().map_err(damaged)? {
        if field.number != 1 {
            continue;
        }
        let (mut name, mut value) = ("", "");
        let mut parts = field.message().map_err(damaged)?;
        while let Some(part) = parts.next().map_err(damaged)? {
            match part.number {
                1 => name = text(part.bytes().map_err(damaged)?)?,
                2 => value = text(part.bytes().map_err(damaged)?)?,
                _ => {}
            }
        }
        pairs.push((name, value));
    }
    Ok(pairs)
}

fn text(bytes: &[u8]) -> Result<&str, LabelError> {
    std::str::from_utf8(bytes)
        .map_err(|_| LabelError::NotUtf8(String::from_utf8_lossy(bytes).into_owned()))
}

#[cfg(test)]
mod tests;
