//! The parts of a block file: pure.

use std::collections::BTreeMap;

use crate::model::{Labels, Timestamp};
use crate::wire::{FormatError, Reader, put_varint, put_zigzag};

pub(super) const HEADER: usize = 16;
pub(super) const VERSION: u32 = 1;
pub(super) const PARTS: usize = 4;
/// Offset, length, checksum for each part; then checksum, version, magic.
pub(super) const FOOTER: usize = PARTS * 20 + 16;

const MAGIC: &[u8; 8] = b"RINGBLK\0";
const END_MAGIC: &[u8; 8] = b"RBLKEND\0";

/// What a block says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Its number; files are named by it.
    pub number: u64,
    /// Oldest sample.
    pub min_t: Timestamp,
    /// Newest sample.
    pub max_t: Timestamp,
    /// Samples, doubles between overlapping chunks included.
    pub samples: u64,
    /// Series.
    pub series: u64,
    /// Chunks.
    pub chunks: u64,
    /// Merges behind it.
    pub level: u64,
    /// Highest log position whose samples it holds.
    pub position: u64,
    /// Deletions up to this log position are carried out in it.
    pub cleaned: u64,
}

/// Where a chunk stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkMeta {
    pub(crate) min_t: Timestamp,
    pub(crate) max_t: Timestamp,
    pub(crate) count: u32,
    pub(crate) timestamps: (u64, u32),
    pub(crate) values: (u64, u32),
    pub(crate) crc: u32,
}

/// Where the aggregates of one level stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RollupMeta {
    /// Length of a stretch, in milliseconds.
    pub(crate) length: Timestamp,
    /// Start of the first stretch.
    pub(crate) min_t: Timestamp,
    /// Start of the last.
    pub(crate) max_t: Timestamp,
    pub(crate) count: u32,
    pub(crate) rows: (u64, u32),
    pub(crate) crc: u32,
}

/// A series in the series part.
#[derive(Clone, Debug)]
pub(crate) struct SeriesEntry {
    pub(crate) labels: Labels,
    pub(crate) lookback: Option<Timestamp>,
    pub(crate) chunks: Vec<ChunkMeta>,
    pub(crate) rollups: Vec<RollupMeta>,
}

/// One part's place and checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) crc: u32,
}

/// In the order of the file.
pub(super) type Footer = [Part; PARTS];

pub(super) fn header() -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes
}

pub(super) fn encode_footer(parts: &Footer) -> Vec<u8> {
    let mut out = Vec::with_capacity(FOOTER);
    for part in parts {
        out.extend_from_slice(&part.offset.to_le_bytes());
        out.extend_from_slice(&part.length.to_le_bytes());
        out.extend_from_slice(&part.crc.to_le_bytes());
    }
    out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(END_MAGIC);
    out
}

/// Decodes the last [`FOOTER`] bytes of a file of length `file`.
pub(super) fn decode_footer(bytes: &[u8], file: u64) -> Result<Footer, FormatError> {
    let mut reader = Reader::new(bytes);
    let mut parts = Footer::default();
    for part in &mut parts {
        *part = Part { offset: reader.u64()?, length: reader.u64()?, crc: reader.u32()? };
    }
    let checked = reader.offset();
    let crc = reader.u32()?;
    let version = reader.u32()?;
    if reader.take(8)? != END_MAGIC {
        return Err(reader.error("no block ends here"));
    }
    if version != VERSION {
        return Err(reader.error("not a block of a version this release knows"));
    }
    let inside = |p: &Part| p.offset.checked_add(p.length).is_some_and(|end| end <= file);
    if crc32c::crc32c(&bytes[..checked]) != crc || !parts.iter().all(inside) {
        return Err(reader.error("footer checksum does not hold"));
    }
    Ok(parts)
}

/// Encodes the series part and the postings part; `series` sorted by labels.
pub(super) fn encode_index(series: &[SeriesEntry]) -> (Vec<u8>, Vec<u8>) {
    let mut symbols: BTreeMap<&str, u64> = BTreeMap::new();
    for label in series.iter().flat_map(|s| s.labels.iter()) {
        symbols.insert(label.name, 0);
        symbols.insert(label.value, 0);
    }
    let mut out = Vec::new();
    put_varint(&mut out, symbols.len() as u64);
    for (number, (text, slot)) in symbols.iter_mut().enumerate() {
        *slot = number as u64;
        crate::wire::put_prefixed(&mut out, text.as_bytes());
    }
    let mut postings: BTreeMap<(u64, u64), Vec<u32>> = BTreeMap::new();
    put_varint(&mut out, series.len() as u64);
    for (number, entry) in series.iter().enumerate() {
        put_varint(&mut out, entry.labels.len() as u64);
        for label in entry.labels.iter() {
            let pair = (symbols[label.name], symbols[label.value]);
            put_varint(&mut out, pair.0);
            put_varint(&mut out, pair.1);
            postings.entry(pair).or_default().push(number as u32);
        }
        put_zigzag(&mut out, entry.lookback.unwrap_or(-1));
        put_varint(&mut out, entry.chunks.len() as u64);
        entry.chunks.iter().for_each(|c| c.encode(&mut out));
        put_varint(&mut out, entry.rollups.len() as u64);
        entry.rollups.iter().for_each(|r| r.encode(&mut out));
    }
    (out, encode_postings(&postings))
}

fn encode_postings(postings: &BTreeMap<(u64, u64), Vec<u32>>) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, postings.len() as u64);
    for ((name, value), numbers) in postings {
        put_varint(&mut out, *name);
        put_varint(&mut out, *value);
        put_varint(&mut out, numbers.len() as u64);
        let mut before = 0;
        for number in numbers {
            put_varint(&mut out, u64::from(*number - before));
            before = *number;
        }
    }
    out
}

/// Decodes the series part: symbols and series.
pub(super) fn decode_series(bytes: &[u8]) -> Result<(Vec<&str>, Vec<SeriesEntry>), FormatError> {
    let mut reader = Reader::new(bytes);
    let mut symbols = Vec::new();
    for _ in 0..reader.count(1)? {
        symbols.push(reader.text()?);
    }
    let mut series = Vec::new();
    for _ in 0..reader.count(3)? {
        let mut pairs = Vec::new();
        for _ in 0..reader.count(2)? {
            pairs.push((symbol(&mut reader, &symbols)?, symbol(&mut reader, &symbols)?));
        }
        let labels = Labels::from_pairs(pairs).map_err(|_| reader.error("labels are damaged"))?;
        let lookback = Some(reader.zigzag()?).filter(|ms| *ms >= 0);
        let mut chunks = Vec::new();
        for _ in 0..reader.count(11)? {
            chunks.push(ChunkMeta::decode(&mut reader)?);
        }
        let mut rollups = Vec::new();
        for _ in 0..reader.count(10)? {
            rollups.push(RollupMeta::decode(&mut reader)?);
        }
        series.push(SeriesEntry { labels, lookback, chunks, rollups });
    }
    Ok((symbols, series))
}

/// Walks the postings part, giving each list to `visit`.
pub(super) fn decode_postings(
    bytes: &[u8],
    symbols: &[&str],
    series: usize,
    visit: &mut dyn FnMut(&str, &str, Vec<u32>),
) -> Result<(), FormatError> {
    let mut reader = Reader::new(bytes);
    for _ in 0..reader.count(4)? {
        let (name, value) = (symbol(&mut reader, symbols)?, symbol(&mut reader, symbols)?);
        let mut numbers = Vec::new();
        let mut number = 0_u64;
        for _ in 0..reader.count(1)? {
            number = number.saturating_add(reader.varint()?);
            if number >= series as u64 {
                return Err(reader.error("posting past the series"));
            }
            numbers.push(number as u32);
        }
        visit(name, value, numbers);
    }
    Ok(())
}

fn symbol<'a>(reader: &mut Reader<'_>, symbols: &[&'a str]) -> Result<&'a str, FormatError> {
    let number = reader.varint()?;
    let found = usize::try_from(number).ok().and_then(|n| symbols.get(n).copied());
    found.ok_or_else(|| reader.error("symbol past the table"))
}

impl RollupMeta {
    fn encode(&self, out: &mut Vec<u8>) {
        put_zigzag(out, self.length);
        put_zigzag(out, self.min_t);
        put_varint(out, self.max_t.wrapping_sub(self.min_t) as u64);
        put_varint(out, u64::from(self.count));
        put_varint(out, self.rows.0);
        put_varint(out, u64::from(self.rows.1));
        out.extend_from_slice(&self.crc.to_le_bytes());
    }

    fn decode(reader: &mut Reader<'_>) -> Result<RollupMeta, FormatError> {
        let length = reader.zigzag()?;
        let min_t = reader.zigzag()?;
        let max_t = min_t.wrapping_add(reader.varint()? as i64);
        let small = |reader: &mut Reader<'_>| {
            u32::try_from(reader.varint()?).map_err(|_| reader.error("length over 4 GiB"))
        };
        let count = small(reader)?;
        let rows = (reader.varint()?, small(reader)?);
        Ok(RollupMeta { length, min_t, max_t, count, rows, crc: reader.u32()? })
    }
}

impl ChunkMeta {
    fn encode(&self, out: &mut Vec<u8>) {
        put_zigzag(out, self.min_t);
        put_varint(out, self.max_t.wrapping_sub(self.min_t) as u64);
        put_varint(out, u64::from(self.count));
        for (offset, length) in [self.timestamps, self.values] {
            put_varint(out, offset);
            put_varint(out, u64::from(length));
        }
        out.extend_from_slice(&self.crc.to_le_bytes());
    }

    fn decode(reader: &mut Reader<'_>) -> Result<ChunkMeta, FormatError> {
        let min_t = reader.zigzag()?;
        let max_t = min_t.wrapping_add(reader.varint()? as i64);
        let small = |reader: &mut Reader<'_>| {
            u32::try_from(reader.varint()?).map_err(|_| reader.error("length over 4 GiB"))
        };
        Ok(ChunkMeta {
            min_t,
            max_t,
            count: small(reader)?,
            timestamps: (reader.varint()?, small(reader)?),
            values: (reader.varint()?, small(reader)?),
            crc: reader.u32()?,
        })
    }
}

impl Meta {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, self.number);
        put_zigzag(&mut out, self.min_t);
        put_zigzag(&mut out, self.max_t);
        let counts =
            [self.samples, self.series, self.chunks, self.level, self.position, self.cleaned];
        for n in counts {
            put_varint(&mut out, n);
        }
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Meta, FormatError> {
        let mut reader = Reader::new(bytes);
        Ok(Meta {
            number: reader.varint()?,
            min_t: reader.zigzag()?,
            max_t: reader.zigzag()?,
            samples: reader.varint()?,
            series: reader.varint()?,
            chunks: reader.varint()?,
            level: reader.varint()?,
            position: reader.varint()?,
            cleaned: reader.varint()?,
        })
    }
}
