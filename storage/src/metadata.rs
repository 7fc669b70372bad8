//! What metrics mean: type, help and unit by name, as senders tell it. Bounded by bytes; logged where it
//! changes, and in every checkpoint, so that a restart keeps it.

use std::collections::{BTreeMap, HashSet};

use crate::append::AppendError;
use crate::model::WalPosition;
use crate::store::{Store, lock};
use crate::wal::Logged;
use crate::wire::{FormatError, Reader, put_prefixed, put_varint};

/// What senders that disagree say of one metric; beyond, the oldest goes.
const MAX_PER_METRIC: usize = 4;
/// Bytes of a name or a unit.
const MAX_NAME: usize = 4 << 10;
/// Bytes of a help text.
const MAX_HELP: usize = 16 << 10;

/// How a metric behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is OpenMetrics's word")]
pub enum MetricType {
    #[default]
    Unknown,
    Counter,
    Gauge,
    Histogram,
    GaugeHistogram,
    Summary,
    Info,
    Stateset,
}

/// What is said of a metric.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Metadata {
    /// Its type.
    pub kind: MetricType,
    /// What it is, in words.
    pub help: String,
    /// Of what it counts.
    pub unit: String,
}

/// A metric's name and what is said of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MetricMetadata {
    /// The metric.
    pub metric: String,
    /// What is said.
    pub metadata: Metadata,
}

/// What became of metadata.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Noted {
    /// Kept; what was known counts too.
    pub kept: u64,
    /// Left out for want of room, or too long.
    pub refused: u64,
    /// Where the log ends for it; `None` if nothing was new.
    pub position: Option<WalPosition>,
}

impl MetricType {
    const ALL: [MetricType; 8] = [
        MetricType::Unknown,
        MetricType::Counter,
        MetricType::Gauge,
        MetricType::Histogram,
        MetricType::GaugeHistogram,
        MetricType::Summary,
        MetricType::Info,
        MetricType::Stateset,
    ];

    /// As the text format and the API name it.
    pub fn name(self) -> &'static str {
        match self {
            MetricType::Unknown => "unknown",
            MetricType::Counter => "counter",
            MetricType::Gauge => "gauge",
            MetricType::Histogram => "histogram",
            MetricType::GaugeHistogram => "gaugehistogram",
            MetricType::Summary => "summary",
            MetricType::Info => "info",
            MetricType::Stateset => "stateset",
        }
    }

    /// Of its name; what is none of them is unknown, as `untyped` is.
    pub fn from_name(name: &str) -> MetricType {
        let named = |kind: &MetricType| kind.name() == name;
        MetricType::ALL.into_iter().find(named).unwrap_or_default()
    }

    /// Of its number on the wire of remote write, which is that of the log.
    pub fn from_number(number: u64) -> MetricType {
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        MetricType::ALL.get(at).copied().unwrap_or_default()
    }
}

/// All that is known.
#[derive(Debug, Default)]
pub(crate) struct Book {
    metrics: BTreeMap<String, Vec<Metadata>>,
    bytes: usize,
    /// Records below this position are in.
    pub(crate) applied: WalPosition,
}

impl Book {
    pub(crate) fn len(&self) -> usize {
        self.metrics.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    fn knows(&self, new: &MetricMetadata) -> bool {
        self.metrics.get(&new.metric).is_some_and(|known| known.contains(&new.metadata))
    }

    /// Takes what is logged.
    pub(crate) fn apply(&mut self, logged: &Logged<&Vec<MetricMetadata>>) {
        if logged.position() >= self.applied {
            logged.get().iter().for_each(|new| self.note(new));
            self.applied = WalPosition(logged.position().0 + 1);
        }
    }

    /// The newest comes first.
    fn note(&mut self, new: &MetricMetadata) {
        if self.knows(new) {
            return;
        }
        self.bytes += size(new);
        let known = self.metrics.entry(new.metric.clone()).or_default();
        known.insert(0, new.metadata.clone());
        if let Some(oldest) = known.get(MAX_PER_METRIC).cloned() {
            known.truncate(MAX_PER_METRIC);
            let metric = new.metric.clone();
            self.bytes -= size(&MetricMetadata { metric, metadata: oldest });
        }
    }

    /// For a checkpoint; empty where there is nothing to keep.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if !self.metrics.is_empty() {
            put_varint(&mut out, self.applied.0);
            let oldest_first = |(metric, known): (&String, &Vec<Metadata>)| {
                let entry = |metadata: &Metadata| MetricMetadata {
                    metric: metric.clone(),
                    metadata: metadata.clone(),
                };
                known.iter().rev().map(entry).collect::<Vec<_>>()
            };
            put(&mut out, &self.metrics.iter().flat_map(oldest_first).collect::<Vec<_>>());
        }
        out
    }

    /// Of a checkpoint.
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Book, FormatError> {
        let mut book = Book { applied: WalPosition(reader.varint()?), ..Book::default() };
        get(reader)?.iter().for_each(|entry| book.note(entry));
        Ok(book)
    }
}

/// Bytes an entry counts for.
fn size(entry: &MetricMetadata) -> usize {
    entry.metric.len() + entry.metadata.help.len() + entry.metadata.unit.len()
}

fn too_long(entry: &MetricMetadata) -> bool {
    entry.metric.len().max(entry.metadata.unit.len()) > MAX_NAME
        || entry.metadata.help.len() > MAX_HELP
}

/// The payload of a record, and of a section of the checkpoint (docs/format/wal.md).
pub(crate) fn put(out: &mut Vec<u8>, entries: &[MetricMetadata]) {
    put_varint(out, entries.len() as u64);
    for MetricMetadata { metric, metadata } in entries {
        put_prefixed(out, metric.as_bytes());
        out.push(metadata.kind as u8);
        put_prefixed(out, metadata.help.as_bytes());
        put_prefixed(out, metadata.unit.as_bytes());
    }
}

pub(crate) fn get(reader: &mut Reader<'_>) -> Result<Vec<MetricMetadata>, FormatError> {
    let mut entries = Vec::new();
    for _ in 0..reader.count(4)? {
        let metric = reader.text()?.to_owned();
        let kind = MetricType::from_number(u64::from(reader.u8()?));
        let (help, unit) = (reader.text()?.to_owned(), reader.text()?.to_owned());
        entries.push(MetricMetadata { metric, metadata: Metadata { kind, help, unit } });
    }
    Ok(entries)
}

impl Store {
    /// Takes metadata in; what is known already costs nothing. Wait for the position, then
    /// acknowledge.
    pub fn note_metadata(&self, new: Vec<MetricMetadata>) -> Result<Noted, AppendError> {
        let mut noted = Noted::default();
        if new.is_empty() {
            return Ok(noted);
        }
        self.admits()?;
        let mut book = lock(&self.metadata);
        let mut room = self.options.metadata_bytes.saturating_sub(book.bytes);
        let (mut fresh, mut seen) = (Vec::new(), HashSet::new());
        for entry in new {
            if book.knows(&entry) || seen.contains(&entry) {
                noted.kept += 1;
            } else if too_long(&entry) || size(&entry) > room {
                noted.refused += 1;
            } else {
                room -= size(&entry);
                noted.kept += 1;
                seen.insert(entry.clone());
                fresh.push(entry);
            }
        }
        if !fresh.is_empty() {
            let logged = self.log.append(fresh)?;
            book.apply(&logged.as_ref());
            noted.position = Some(logged.end());
        }
        Ok(noted)
    }

    /// What is said of all metrics, or of one, the newest first.
    pub fn metadata(&self, metric: Option<&str>) -> BTreeMap<String, Vec<Metadata>> {
        let book = lock(&self.metadata);
        match metric {
            None => book.metrics.clone(),
            Some(metric) => {
                let known = book.metrics.get_key_value(metric);
                known.map(|(name, known)| (name.clone(), known.clone())).into_iter().collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(metric: &str, help: &str) -> MetricMetadata {
        let metadata =
            Metadata { kind: MetricType::Counter, help: help.to_owned(), unit: String::new() };
        MetricMetadata { metric: metric.to_owned(), metadata }
    }

    #[test]
    fn the_newest_says_it_and_the_oldest_is_forgotten() {
        let mut book = Book::default();
        for help in ["a", "bb", "a", "ccc", "d", "e"] {
            book.note(&entry("m", help));
        }
        let helps: Vec<&str> = book.metrics["m"].iter().map(|m| m.help.as_str()).collect();
        assert_eq!(helps, ["e", "d", "ccc", "bb"]);
        assert_eq!(book.bytes(), 4 + 7);
        let bytes = book.encode();
        assert_eq!(&bytes[..9], b"\0\x04\x01m\x01\x02bb\0", "docs/format/wal.md");
        let again = Book::decode(&mut Reader::new(&bytes)).unwrap();
        assert_eq!((&again.metrics, again.bytes), (&book.metrics, book.bytes));
        for end in 0..bytes.len() {
            assert!(Book::decode(&mut Reader::new(&bytes[..end])).is_err(), "{end}");
        }
        for kind in MetricType::ALL {
            assert_eq!(MetricType::from_name(kind.name()), kind);
            assert_eq!(MetricType::from_number(kind as u64), kind);
        }
    }
}
