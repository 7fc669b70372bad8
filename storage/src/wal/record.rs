//! Records: pure.

use super::chain::{Chains, ReadChains};
use super::rows::{get_floats, put_floats};
use crate::block::Deletion;
use crate::chunk::{get_histogram, put_histogram};
use crate::documents::{self, Document};
use crate::exemplars::{self, SeriesExemplar};
use crate::head::SHARDS;
use crate::metadata::{self, MetricMetadata};
use crate::model::{Labels, Sample, SeriesId, Timestamp, Value};
use crate::wire::{FormatError, Reader, put_f64, put_prefixed, put_varint, put_zigzag};
use std::sync::Arc;

/// Kind, flags and length.
pub(crate) const RECORD_HEADER: usize = 6;

const KIND_BATCH: u8 = 1;
const KIND_KEYS: u8 = 2;
const KIND_DOCUMENTS: u8 = 3;
const KIND_EXEMPLARS: u8 = 4;
const KIND_METADATA: u8 = 5;
/// Stands where a repair could not read; skipped by every reader.
const KIND_GAP: u8 = 7;
const KIND_DELETION: u8 = 6;
const SKIPPABLE: u8 = 1;

const TAG_FLOAT: u8 = 0;
const TAG_HISTOGRAM: u8 = 1;

/// What a reader of the log meets.
#[derive(Debug)]
pub enum Record {
    /// Samples of one shard.
    Batch(ShardBatch),
    /// One command's effects and derived samples.
    Keys(KeysRecord),
    /// Samples deleted.
    Deletion(Deletion),
    /// Documents.
    Documents(Vec<Document>),
    /// Exemplars.
    Exemplars(Vec<SeriesExemplar>),
    /// What metrics mean.
    Metadata(Vec<MetricMetadata>),
}

/// Admitted samples of one shard, in the order they are applied.
#[derive(Debug, Default)]
pub struct ShardBatch {
    /// Which shard.
    pub shard: u16,
    /// Series that begin here.
    pub new_series: Vec<NewSeries>,
    /// Plain floats, the common case.
    pub floats: Vec<FloatRow>,
    /// Histograms and samples with a start timestamp.
    pub others: Vec<OtherRow>,
}

/// A series that begins.
#[derive(Clone, Debug)]
pub struct NewSeries {
    /// Its number.
    pub id: SeriesId,
    /// How far back instant selectors look for it; 0 = the engine's default, of a series that a list
    /// feeds; `None` = the engine's default, of any other.
    pub lookback: Option<Timestamp>,
    /// Who it is.
    pub labels: Labels,
}

/// One float.
#[derive(Clone, Copy, Debug)]
pub struct FloatRow {
    /// Where the series stands in its shard; not logged, found again on replay.
    pub slot: u32,
    /// Whose.
    pub id: SeriesId,
    /// When.
    pub t: Timestamp,
    /// What.
    pub v: f64,
    /// How the log writes it after the row before, where that is known: a hint for the next who writes it.
    pub form: u8,
}

/// One other sample.
#[derive(Clone, Debug)]
pub struct OtherRow {
    /// As in [`FloatRow`].
    pub slot: u32,
    /// Whose.
    pub id: SeriesId,
    /// The sample.
    pub sample: Sample,
}

/// One command: its effects, still encoded, and the samples derived from it.
#[derive(Debug, Default)]
pub struct KeysRecord<E = Vec<u8>> {
    /// As `docs/format/effects.md` says.
    pub effects: E,
    /// At most one batch a shard.
    pub batches: Vec<ShardBatch>,
}

/// What can be appended.
pub trait Encode {
    /// The record's kind.
    const KIND: u8;
    /// Its flags: whether a reader that does not know the kind may skip it.
    const FLAGS: u8 = 0;
    /// Appends the payload, which may lean on records before it. A row keeps how it was written.
    fn encode(&mut self, out: &mut Vec<u8>, chains: &mut Chains);
}

impl ShardBatch {
    /// Whether there is nothing to log.
    pub fn is_empty(&self) -> bool {
        self.new_series.is_empty() && self.floats.is_empty() && self.others.is_empty()
    }
}

/// Appends a record with its header.
pub(crate) fn put_record<T: Encode>(out: &mut Vec<u8>, value: &mut T, chains: &mut Chains) {
    let start = out.len();
    out.extend_from_slice(&[T::KIND, T::FLAGS, 0, 0, 0, 0]);
    value.encode(out, chains);
    let length = u32::try_from(out.len() - start - RECORD_HEADER).unwrap_or(u32::MAX);
    out[start + 2..start + RECORD_HEADER].copy_from_slice(&length.to_le_bytes());
}

/// Fills `bytes` with one record that is skipped; too few for a record are no gap but an empty group.
pub(crate) fn put_gap(bytes: &mut [u8]) {
    const HEADER: usize = 6;
    bytes.fill(0);
    let Some(length) = bytes.len().checked_sub(HEADER) else { return };
    bytes[0] = KIND_GAP;
    bytes[1] = SKIPPABLE;
    bytes[2..HEADER].copy_from_slice(&(length as u32).to_le_bytes());
}

/// Reads one record; `None` if its kind is unknown and may be skipped.
pub(crate) fn get_record(
    reader: &mut Reader<'_>,
    chains: &mut ReadChains,
) -> Result<Option<Record>, FormatError> {
    let (kind, flags) = (reader.u8()?, reader.u8()?);
    let length = reader.u32()? as usize;
    let mut payload = Reader::new(reader.take(length)?);
    let record = match kind {
        KIND_BATCH => Record::Batch(ShardBatch::decode(&mut payload, chains)?),
        KIND_KEYS => Record::Keys(KeysRecord::decode(&mut payload, chains)?),
        KIND_DELETION => Record::Deletion(Deletion::decode(&mut payload)?),
        KIND_GAP => {
            chains.gap();
            return Ok(None);
        }
        KIND_EXEMPLARS => Record::Exemplars(exemplars::get(&mut payload)?),
        KIND_DOCUMENTS => Record::Documents(documents::get(&mut payload)?),
        KIND_METADATA => Record::Metadata(metadata::get(&mut payload)?),
        _ if flags & SKIPPABLE != 0 => return Ok(None),
        _ => return Err(reader.error("unknown record kind, written by a newer release")),
    };
    Ok(Some(record))
}

/// The effects of the next record; `None` if it is not one of a command. Nothing else of it is read. Where a
/// repair has left a gap there may have been some.
pub(crate) fn keys_effects<'a>(reader: &mut Reader<'a>) -> Result<Option<&'a [u8]>, FormatError> {
    let kind = reader.u8()?;
    reader.u8()?;
    let length = reader.u32()? as usize;
    let mut payload = Reader::new(reader.take(length)?);
    match kind {
        KIND_KEYS => payload.prefixed().map(Some),
        KIND_GAP => Err(reader.error("a repair could not read what stood here")),
        _ => Ok(None),
    }
}

impl Encode for ShardBatch {
    const KIND: u8 = KIND_BATCH;

    fn encode(&mut self, out: &mut Vec<u8>, chains: &mut Chains) {
        out.extend_from_slice(&self.shard.to_le_bytes());
        put_varint(out, self.new_series.len() as u64);
        for series in &self.new_series {
            put_varint(out, series.id.0);
            put_zigzag(out, series.lookback.unwrap_or(-1));
            put_prefixed(out, series.labels.encoded().as_bytes());
        }
        put_varint(out, self.others.len() as u64);
        for row in &self.others {
            row.encode(out);
        }
        put_floats(&mut self.floats, chains.of(self.shard), out);
    }
}

impl ShardBatch {
    fn decode(reader: &mut Reader<'_>, chains: &mut ReadChains) -> Result<ShardBatch, FormatError> {
        let mut batch = ShardBatch { shard: reader.u16()?, ..ShardBatch::default() };
        for _ in 0..reader.count(3)? {
            batch.new_series.push(NewSeries::decode(reader)?);
        }
        for _ in 0..reader.count(4)? {
            batch.others.push(OtherRow::decode(reader)?);
        }
        if usize::from(batch.shard) >= SHARDS {
            return Err(reader.error("no such shard"));
        }
        let (floats, lost) = get_floats(reader, chains.of(batch.shard))?;
        batch.floats = floats;
        chains.lost_rows += lost;
        Ok(batch)
    }
}

impl NewSeries {
    fn decode(reader: &mut Reader<'_>) -> Result<NewSeries, FormatError> {
        let id = SeriesId(reader.varint()?);
        let lookback = Some(reader.zigzag()?).filter(|ms| *ms >= 0);
        let text = reader.text()?;
        let labels = Labels::from_encoded(text).map_err(|_| reader.error("labels are damaged"))?;
        Ok(NewSeries { id, lookback, labels })
    }
}

impl OtherRow {
    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.id.0);
        put_zigzag(out, self.sample.t);
        put_zigzag(out, self.sample.start);
        match &self.sample.value {
            Value::Float(v) => {
                out.push(TAG_FLOAT);
                put_f64(out, *v);
            }
            Value::Histogram(h) => {
                out.push(TAG_HISTOGRAM);
                let mut bytes = Vec::new();
                put_histogram(&mut bytes, h, None);
                put_prefixed(out, &bytes);
            }
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<OtherRow, FormatError> {
        let id = SeriesId(reader.varint()?);
        let (t, start) = (reader.zigzag()?, reader.zigzag()?);
        let value = match reader.u8()? {
            TAG_FLOAT => Value::Float(reader.f64()?),
            TAG_HISTOGRAM => {
                let mut inner = Reader::new(reader.prefixed()?);
                Value::Histogram(Arc::new(get_histogram(&mut inner, None)?))
            }
            _ => return Err(reader.error("unknown sample tag")),
        };
        Ok(OtherRow { slot: 0, id, sample: Sample { t, start, value } })
    }
}

impl<E: AsRef<[u8]>> Encode for KeysRecord<E> {
    const KIND: u8 = KIND_KEYS;

    fn encode(&mut self, out: &mut Vec<u8>, chains: &mut Chains) {
        put_prefixed(out, self.effects.as_ref());
        put_varint(out, self.batches.len() as u64);
        for batch in &mut self.batches {
            let mut bytes = Vec::new();
            batch.encode(&mut bytes, chains);
            put_prefixed(out, &bytes);
        }
    }
}

impl Encode for Deletion {
    const KIND: u8 = KIND_DELETION;

    fn encode(&mut self, out: &mut Vec<u8>, _: &mut Chains) {
        Deletion::encode(self, out);
    }
}

impl Encode for Vec<Document> {
    const KIND: u8 = KIND_DOCUMENTS;

    fn encode(&mut self, out: &mut Vec<u8>, _: &mut Chains) {
        documents::put(out, self);
    }
}

impl Encode for Vec<SeriesExemplar> {
    const KIND: u8 = KIND_EXEMPLARS;
    const FLAGS: u8 = SKIPPABLE;

    fn encode(&mut self, out: &mut Vec<u8>, _: &mut Chains) {
        exemplars::put(out, self.len(), self.iter());
    }
}

impl Encode for Vec<MetricMetadata> {
    const KIND: u8 = KIND_METADATA;
    const FLAGS: u8 = SKIPPABLE;

    fn encode(&mut self, out: &mut Vec<u8>, _: &mut Chains) {
        metadata::put(out, self);
    }
}

impl KeysRecord {
    fn decode(reader: &mut Reader<'_>, chains: &mut ReadChains) -> Result<KeysRecord, FormatError> {
        let effects = reader.prefixed()?.to_vec();
        let mut batches = Vec::new();
        for _ in 0..reader.count(5)? {
            batches.push(ShardBatch::decode(&mut Reader::new(reader.prefixed()?), chains)?);
        }
        Ok(KeysRecord { effects, batches })
    }
}
