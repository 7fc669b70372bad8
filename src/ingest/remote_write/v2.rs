//! Prometheus remote write 2.0: labels are references into a table of symbols, samples may carry
//! the start of their counter.
//!
//! Label sets are spelled out as 1.0 spells them, so that a series known from either version maps
//! without parsing. How long they become is measured and checked before anything is allocated: a
//! few bytes of references can stand for many of text.

use std::ops::Range;

use ringwell_storage::append::{Duplicates, Rejected, Rejection, SeriesRef, SeriesSamples};
use ringwell_storage::exemplars::Exemplar;
use ringwell_storage::model::{LabelError, Labels, Sample, Value};

use super::{BodyError, WriteRequest, histogram, parse_labels};
use crate::ingest::beside::{Beside, family, value_and_time};
use crate::ingest::protobuf::{Field, Malformed, Message};

/// An exemplar has 128 characters of names and values, so at most so many labels,
const MAX_EXEMPLAR_LABELS: usize = 128;
/// and so many bytes of them.
const MAX_EXEMPLAR_BYTES: usize = 4 * 128;

/// The symbols of a request, and how long its label sets are once spelled out.
#[derive(Debug)]
pub struct Symbols<'a> {
    table: Vec<&'a [u8]>,
    spelled: usize,
}

/// The label sets of a request, spelled out in its order.
#[derive(Debug, Default)]
pub struct Spelling {
    bytes: Vec<u8>,
    series: Vec<Result<Range<usize>, LabelError>>,
}

impl<'a> Symbols<'a> {
    /// Reads the table and measures the label sets.
    pub fn read(message: &'a [u8], limit: usize) -> Result<Symbols<'a>, BodyError> {
        let mut table = Vec::new();
        let mut fields = Message::new(message);
        while let Some(field) = fields.next()? {
            if field.number == 4 {
                table.push(field.bytes()?);
            }
        }
        let mut symbols = Symbols { table, spelled: 0 };
        let mut refs = Vec::new();
        let mut fields = Message::new(message);
        while let Some(field) = fields.next()? {
            if field.number == 5 {
                read_refs(&field, &mut refs)?;
                let len: usize = symbols.pairs(&refs).map(|p| p.map_or(0, pair_len)).sum();
                symbols.spelled = symbols.spelled.saturating_add(len);
            }
        }
        if symbols.spelled > limit {
            return Err(BodyError::TooLarge { declared: symbols.spelled, limit });
        }
        Ok(symbols)
    }

    /// Bytes the label sets take once spelled out.
    pub fn spelled_size(&self) -> usize {
        self.spelled
    }

    /// Spells the label sets out.
    pub fn spell(&self, message: &[u8]) -> Result<Spelling, BodyError> {
        let mut out = Spelling { bytes: Vec::with_capacity(self.spelled), series: Vec::new() };
        let mut refs = Vec::new();
        let mut fields = Message::new(message);
        while let Some(field) = fields.next()? {
            if field.number != 5 {
                continue;
            }
            read_refs(&field, &mut refs)?;
            let start = out.bytes.len();
            let mut bad = None;
            for pair in self.pairs(&refs) {
                match pair {
                    Ok(pair) => push_pair(&mut out.bytes, pair),
                    Err(error) => bad = Some(error),
                }
            }
            out.series.push(match bad {
                None => Ok(start..out.bytes.len()),
                Some(error) => {
                    out.bytes.truncate(start);
                    Err(error)
                }
            });
        }
        Ok(out)
    }

    fn pairs<'b>(
        &'b self,
        refs: &'b [u64],
    ) -> impl Iterator<Item = Result<(&'a [u8], &'a [u8]), LabelError>> + 'b {
        refs.chunks(2).map(|pair| match pair {
            [name, value] => Ok((self.symbol(*name)?, self.symbol(*value)?)),
            _ => Err(LabelError::Damaged("an odd number of label references".to_owned())),
        })
    }

    fn symbol(&self, reference: u64) -> Result<&'a [u8], LabelError> {
        let symbol = usize::try_from(reference).ok().and_then(|at| self.table.get(at));
        symbol.copied().ok_or_else(|| {
            let known = self.table.len();
            LabelError::Damaged(format!("reference {reference} into a table of {known} symbols"))
        })
    }
}

/// Walks a decompressed request whose label sets are spelled out.
pub fn read<'a>(
    message: &'a [u8],
    symbols: &Symbols<'_>,
    spelling: &'a Spelling,
) -> Result<WriteRequest<'a>, BodyError> {
    let mut request = WriteRequest::default();
    request.batch.duplicates = Duplicates::Reject;
    let mut labels = spelling.series.iter();
    let mut fields = Message::new(message);
    while let Some(field) = fields.next()? {
        if field.number != 5 {
            continue;
        }
        let bytes = match labels.next() {
            Some(Ok(range)) => Ok(spelling.bytes.get(range.clone()).unwrap_or_default()),
            Some(Err(error)) => Err(error.clone()),
            None => Err(LabelError::Damaged("a series without its labels".to_owned())),
        };
        read_series(&field, symbols, bytes, &mut request)?;
    }
    Ok(request)
}

fn read_series<'a>(
    series: &Field<'a>,
    symbols: &Symbols<'_>,
    labels: Result<&'a [u8], LabelError>,
    request: &mut WriteRequest<'a>,
) -> Result<(), Malformed> {
    let index = request.batch.series.len();
    let (mut samples, mut exemplars, mut metadata) = (Vec::new(), Vec::new(), None);
    let mut refused = Vec::new();
    let mut refuse = |reason| refused.push(Rejected { series: index, sample: None, reason });
    let mut fields = series.message()?;
    while let Some(field) = fields.next()? {
        match field.number {
            2 => samples.push(read_sample(&field)?),
            3 => match histogram::read(&field)? {
                Ok(sample) => samples.push(sample),
                Err(error) => refuse(Rejection::Histogram(error)),
            },
            4 => exemplars.push(field),
            5 if !field.bytes()?.is_empty() => metadata = Some(field),
            _ => {}
        }
    }
    if !exemplars.is_empty() || metadata.is_some() {
        read_beside(symbols, &labels, &exemplars, metadata.as_ref(), &mut request.beside)?;
    }
    let series = match labels {
        Ok(bytes) => SeriesRef::Raw { bytes, parse: parse_labels },
        Err(error) => {
            refuse(Rejection::Labels(error));
            samples.clear();
            SeriesRef::Labels(Labels::empty())
        }
    };
    if !samples.is_empty() || !refused.is_empty() {
        request.refused.append(&mut refused);
        request.batch.series.push(SeriesSamples { series, samples: samples.into() });
    }
    Ok(())
}

/// Exemplars and metadata of one series.
fn read_beside(
    symbols: &Symbols<'_>,
    series: &Result<&[u8], LabelError>,
    exemplars: &[Field<'_>],
    metadata: Option<&Field<'_>>,
    beside: &mut Beside,
) -> Result<(), Malformed> {
    let Some(series) = series.as_ref().ok().and_then(|bytes| parse_labels(bytes).ok()) else {
        beside.refuse_exemplars(exemplars.len());
        beside.refused_metadata += u64::from(metadata.is_some());
        return Ok(());
    };
    for field in exemplars {
        let (value, t) = value_and_time(field)?;
        let labels = exemplar_labels(symbols, field)?;
        beside.take_exemplar(&series, labels.map(|labels| Exemplar { labels, t, value }));
    }
    let Some(field) = metadata else { return Ok(()) };
    let (mut kind, mut help, mut unit) = (0, 0, 0);
    let mut fields = field.message()?;
    while let Some(field) = fields.next()? {
        match field.number {
            1 => kind = field.uint64()?,
            3 => help = field.uint64()?,
            4 => unit = field.uint64()?,
            _ => {}
        }
    }
    match (symbols.symbol(help), symbols.symbol(unit)) {
        (Ok(help), Ok(unit)) => {
            let metric = family(&series, kind).as_bytes();
            beside.take_metadata(kind, metric, help, unit);
        }
        _ => beside.refused_metadata += 1,
    }
    Ok(())
}

/// Labels spelled by references; longer ones than an exemplar may have are not put together.
fn exemplar_labels(
    symbols: &Symbols<'_>,
    exemplar: &Field<'_>,
) -> Result<Result<Labels, LabelError>, Malformed> {
    let mut refs = Vec::new();
    read_refs(exemplar, &mut refs)?;
    let text = |bytes| {
        std::str::from_utf8(bytes)
            .map_err(|_| LabelError::NotUtf8(String::from_utf8_lossy(bytes).into_owned()))
    };
    let mut bytes = 0_usize;
    let pairs = symbols.pairs(&refs).take(MAX_EXEMPLAR_LABELS + 1).map(|pair| {
        let (name, value) = pair?;
        bytes = bytes.saturating_add(name.len() + value.len());
        if bytes > MAX_EXEMPLAR_BYTES {
            return Err(LabelError::Damaged("labels too long for an exemplar".to_owned()));
        }
        Ok((text(name)?, text(value)?))
    });
    let pairs: Result<Vec<(&str, &str)>, LabelError> = pairs.collect();
    Ok(pairs.and_then(|pairs| match pairs.len() {
        0..=MAX_EXEMPLAR_LABELS => Labels::from_pairs(pairs),
        _ => Err(LabelError::Damaged("too many labels for an exemplar".to_owned())),
    }))
}

fn read_sample(field: &Field<'_>) -> Result<Sample, Malformed> {
    let mut sample = Sample { t: 0, start: 0, value: Value::Float(0.0) };
    let mut fields = field.message()?;
    while let Some(field) = fields.next()? {
        match field.number {
            1 => sample.value = Value::Float(field.double()?),
            2 => sample.t = field.int64()?,
            3 => sample.start = field.int64()?,
            _ => {}
        }
    }
    Ok(sample)
}

fn read_refs(series: &Field<'_>, refs: &mut Vec<u64>) -> Result<(), Malformed> {
    refs.clear();
    let mut fields = series.message()?;
    while let Some(field) = fields.next()? {
        if field.number == 1 {
            field.uints(refs)?;
        }
    }
    Ok(())
}

/// Bytes of a length-delimited field whose number takes one byte.
fn field_len(content: usize) -> usize {
    let bits = usize::BITS - content.leading_zeros();
    1 + bits.max(1).div_ceil(7) as usize + content
}

fn pair_len((name, value): (&[u8], &[u8])) -> usize {
    field_len(field_len(name.len()) + field_len(value.len()))
}

fn push_pair(out: &mut Vec<u8>, (name, value): (&[u8], &[u8])) {
    push_head(out, 1, field_len(name.len()) + field_len(value.len()));
    for (number, text) in [(1, name), (2, value)] {
        push_head(out, number, text.len());
        out.extend_from_slice(text);
    }
}

fn push_head(out: &mut Vec<u8>, number: u8, mut len: usize) {
    out.push(number << 3 | 2);
    while len >= 0x80 {
        out.push((len & 0x7f) as u8 | 0x80);
        len >>= 7;
    }
    out.push(len as u8);
}

#[cfg(test)]
mod tests;
