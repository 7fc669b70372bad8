//! The frame of a block file, and what its parts come to in memory: pure.

use crate::model::{Labels, Timestamp};
use crate::wire::{FormatError, Reader, put_varint, put_zigzag};

pub(super) const HEADER: usize = 16;
pub(super) const VERSION: u32 = 1;
pub(super) const PARTS: usize = 6;
/// Offset, length, length and checksum of the directory for each part; then checksum, version, magic.
pub(super) const FOOTER: usize = PARTS * 24 + 16;

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

/// A chunk: when, and where its values stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkMeta {
    pub(crate) min_t: Timestamp,
    pub(crate) max_t: Timestamp,
    pub(crate) count: u32,
    /// Number of its timestamp column.
    pub(crate) times: u64,
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

/// A series, read from the index.
#[derive(Clone, Debug)]
pub(crate) struct SeriesEntry {
    pub(crate) labels: Labels,
    pub(crate) lookback: Option<Timestamp>,
    pub(crate) chunks: Vec<ChunkMeta>,
    pub(crate) rollups: Vec<RollupMeta>,
}

impl SeriesEntry {
    /// About how many bytes it takes in memory.
    pub(super) fn weight(&self) -> usize {
        size_of::<SeriesEntry>()
            + self.labels.byte_len()
            + 2 * size_of::<usize>()
            + self.chunks.len() * size_of::<ChunkMeta>()
            + self.rollups.len() * size_of::<RollupMeta>()
    }
}

/// One part's place, and the checksum of the directory at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) directory: u32,
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
        out.extend_from_slice(&part.directory.to_le_bytes());
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
        let (offset, length) = (reader.u64()?, reader.u64()?);
        *part = Part { offset, length, directory: reader.u32()?, crc: reader.u32()? };
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
    let inside = |p: &Part| {
        let ends = p.offset.checked_add(p.length).is_some_and(|end| end <= file);
        ends && u64::from(p.directory) <= p.length
    };
    if crc32c::crc32c(&bytes[..checked]) != crc || !parts.iter().all(inside) {
        return Err(reader.error("footer checksum does not hold"));
    }
    Ok(parts)
}

impl RollupMeta {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_zigzag(out, self.length);
        put_zigzag(out, self.min_t);
        put_varint(out, self.max_t.wrapping_sub(self.min_t) as u64);
        put_varint(out, u64::from(self.count));
        put_varint(out, self.rows.0);
        put_varint(out, u64::from(self.rows.1));
        out.extend_from_slice(&self.crc.to_le_bytes());
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<RollupMeta, FormatError> {
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
