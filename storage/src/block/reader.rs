//! Opens, checks and serves a block.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::layout::{
    ChunkMeta, FOOTER, Footer, HEADER, Meta, PARTS, Part, RollupMeta, SeriesEntry, decode_footer,
    decode_postings, decode_series, header,
};
use super::path_of;
use crate::chunk::{ChunkStats, MAX_CHUNK_SAMPLES, decode_timestamps, decode_values, stats_of};
use crate::compaction::rollup;
use crate::disk::{Disk, DiskError, File};
use crate::index::Postings;
use crate::inspect::Encoded;
use crate::model::{SampleBuf, TimeRange};
use crate::mutants::{Mutant, planted};
use crate::read::{Aggregate, ReadError};
use crate::snapshot::{Decoded, Times};
use crate::wire::FormatError;

/// Why a block is refused. The rest of the store serves without it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BlockError {
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A checksum or structure does not hold.
    #[error("{path} is damaged, {part} at byte {offset}: {what}")]
    Damaged {
        /// Which file.
        path: String,
        /// Which part of it.
        part: &'static str,
        /// Where in the part.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
}

impl From<ReadError> for BlockError {
    fn from(error: ReadError) -> BlockError {
        match error {
            ReadError::Corrupt { path, offset, .. } => BlockError::Damaged {
                path,
                part: "chunk",
                offset,
                what: "a chunk's checksum or structure does not hold",
            },
            ReadError::Io { path, reason } => BlockError::Disk(DiskError {
                operation: "read",
                path,
                kind: std::io::ErrorKind::Other,
                reason,
            }),
        }
    }
}

/// An open block: its index in memory, its chunks on the disk.
pub struct Block {
    path: String,
    file: Arc<dyn File>,
    meta: Meta,
    footer: Footer,
    series: Vec<SeriesEntry>,
    postings: Postings,
}

const PART_NAMES: [&str; PARTS] = ["columns", "series", "postings", "meta"];
const COLUMNS: usize = 0;
const SERIES: usize = 1;
const POSTINGS: usize = 2;
const META: usize = 3;

impl Block {
    /// Opens a published block and checks its index.
    pub fn open(disk: &dyn Disk, number: u64) -> Result<Block, BlockError> {
        let path = path_of(number);
        let file = disk.open(&path)?;
        let len = file.size()?;
        let damaged = |part, e: FormatError| BlockError::Damaged {
            path: path.clone(),
            part,
            offset: e.offset as u64,
            what: e.what,
        };
        let short = FormatError { what: "file is too short for a block", offset: 0 };
        if len < (HEADER + FOOTER) as u64 {
            return Err(damaged("footer", short));
        }
        let mut head = [0; HEADER];
        file.read_at(&mut head, 0)?;
        if head != header() {
            let what = "not a block of a version this release knows";
            return Err(damaged("header", FormatError { what, offset: 0 }));
        }
        let mut tail = vec![0; FOOTER];
        file.read_at(&mut tail, len - FOOTER as u64)?;
        let footer = decode_footer(&tail, len).map_err(|e| damaged("footer", e))?;
        let meta_bytes = read_part(&*file, &path, &footer, META)?;
        let meta = Meta::decode(&meta_bytes).map_err(|e| damaged("meta", e))?;
        let series_bytes = read_part(&*file, &path, &footer, SERIES)?;
        let (symbols, series) = decode_series(&series_bytes).map_err(|e| damaged("series", e))?;
        let mut postings = Postings::default();
        postings.set_all((0..series.len() as u32).collect());
        let postings_bytes = read_part(&*file, &path, &footer, POSTINGS)?;
        decode_postings(&postings_bytes, &symbols, series.len(), &mut |name, value, numbers| {
            postings.set(name, value, numbers);
        })
        .map_err(|e| damaged("postings", e))?;
        Ok(Block { path, file, meta, footer, series, postings })
    }

    /// What it says of itself.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Bytes of the file.
    pub fn byte_len(&self) -> u64 {
        self.footer[META].offset + self.footer[META].length + FOOTER as u64
    }

    /// Its time range.
    pub fn range(&self) -> TimeRange {
        TimeRange::new(self.meta.min_t, self.meta.max_t).unwrap_or(TimeRange::ALL)
    }

    pub(crate) fn postings(&self) -> &Postings {
        &self.postings
    }

    pub(crate) fn series(&self, number: u32) -> Option<&SeriesEntry> {
        self.series.get(number as usize)
    }

    /// Reads every chunk and checks it.
    pub fn verify(&self) -> Result<(), BlockError> {
        let mut from = 0;
        while let Some(next) = self.verify_from(from, u64::MAX)? {
            from = next;
        }
        Ok(())
    }

    /// Checks the chunks of the series from number `from` on, about `samples` of them; where to go
    /// on, or `None` at the end.
    pub(crate) fn verify_from(&self, from: u32, samples: u64) -> Result<Option<u32>, BlockError> {
        let (mut number, mut seen) = (from, 0);
        let mut decoded = SampleBuf::default();
        while let Some(series) = self.series(number) {
            if seen >= samples {
                return Ok(Some(number));
            }
            for chunk in &series.chunks {
                decoded.clear();
                self.read_chunk(chunk, &mut decoded)?;
                seen += u64::from(chunk.count);
            }
            for rollup in &series.rollups {
                self.read_rollup(rollup, TimeRange::ALL)?;
            }
            number += 1;
        }
        Ok(None)
    }

    /// Reads a series' aggregates of one level, those whose stretches begin in `range`.
    pub(crate) fn read_rollup(
        &self,
        rollup: &RollupMeta,
        range: TimeRange,
    ) -> Result<Vec<Aggregate>, ReadError> {
        let bytes = self.column(rollup.rows)?;
        let corrupt = |reason: &str| ReadError::Corrupt {
            path: self.path.clone(),
            offset: self.footer[COLUMNS].offset + rollup.rows.0,
            reason: reason.to_owned(),
        };
        if crc32c::crc32c(&bytes) != rollup.crc {
            return Err(corrupt("the checksum of aggregates does not hold"));
        }
        let mut rows = rollup::decode(&bytes, rollup.count as usize, rollup.length)
            .map_err(|e| corrupt(e.what))?;
        rows.retain(|row| range.contains(row.start));
        Ok(rows)
    }

    /// Adds up what the chunks of each encoding hold; chunks that do not read are left out.
    pub(crate) fn encodings(&self, sums: &mut BTreeMap<&'static str, Encoded>) {
        for chunk in (0..).map_while(|n| self.series(n)).flat_map(|s| &s.chunks) {
            let Ok(values) = self.column(chunk.values) else { continue };
            let sum = sums.entry(crate::chunk::encoding_of(&values)).or_default();
            sum.chunks += 1;
            sum.samples += u64::from(chunk.count);
            sum.bytes += u64::from(chunk.values.1);
        }
    }

    /// Appends the samples of a chunk to `out`.
    pub(crate) fn read_chunk(
        &self,
        chunk: &ChunkMeta,
        out: &mut SampleBuf,
    ) -> Result<(), ReadError> {
        let (t, v) = self.columns(chunk)?;
        let n = chunk.count as usize;
        decode_timestamps(&t, n, &mut out.t).map_err(|e| self.corrupt(chunk, e.what))?;
        decode_values(&v, n, out).map_err(|e| self.corrupt(chunk, e.what))
    }

    /// The same, its timestamps from what the query has decoded already, if they are there.
    pub(crate) fn read_chunk_sharing(
        &self,
        chunk: &ChunkMeta,
        times: &Times,
        out: &mut SampleBuf,
    ) -> Result<(), ReadError> {
        let n = chunk.count as usize;
        let (decoded, v) = self.sharing(chunk, times)?;
        out.t.extend_from_slice(&decoded.times);
        decode_values(&v, n, out).map_err(|e| self.corrupt(chunk, e.what))
    }

    /// A chunk's statistics, if all its samples are floats and none ends the series.
    pub(crate) fn read_stats(
        &self,
        chunk: &ChunkMeta,
        times: &Times,
    ) -> Result<Option<ChunkStats>, ReadError> {
        let (_, v) = self.sharing(chunk, times)?;
        let stats = stats_of(&v).map_err(|e| self.corrupt(chunk, e.what))?;
        Ok(stats.filter(|stats| stats.count == u64::from(chunk.count)))
    }

    /// A chunk's timestamps, read or known, and the bytes of its values; both checked.
    fn sharing(&self, chunk: &ChunkMeta, times: &Times) -> Result<(Decoded, Vec<u8>), ReadError> {
        let n = chunk.count as usize;
        let decoded = times.get((self.meta.number, chunk.timestamps.0, chunk.count), || {
            let bytes = self.column(chunk.timestamps)?;
            let mut times = Vec::with_capacity(n.min(MAX_CHUNK_SAMPLES));
            // Damage shows in the checksum, which is asked first.
            let decodes = decode_timestamps(&bytes, n, &mut times);
            let crc = crc32c::crc32c(&bytes);
            if let Err(e) = decodes {
                self.check(chunk, crc, &self.column(chunk.values)?)?;
                return Err(self.corrupt(chunk, e.what));
            }
            Ok(Decoded { times: times.into(), crc })
        })?;
        let v = self.column(chunk.values)?;
        self.check(chunk, decoded.crc, &v)?;
        Ok((decoded, v))
    }

    /// The bytes of a chunk's two columns, checked.
    fn columns(&self, chunk: &ChunkMeta) -> Result<(Vec<u8>, Vec<u8>), ReadError> {
        let t = self.column(chunk.timestamps)?;
        let v = self.column(chunk.values)?;
        self.check(chunk, crc32c::crc32c(&t), &v)?;
        Ok((t, v))
    }

    fn check(&self, chunk: &ChunkMeta, times: u32, values: &[u8]) -> Result<(), ReadError> {
        if crc32c::crc32c_append(times, values) != chunk.crc && !planted(Mutant::ServeUnchecked) {
            return Err(self.corrupt(chunk, "a chunk's checksum does not hold"));
        }
        Ok(())
    }

    fn corrupt(&self, chunk: &ChunkMeta, reason: &str) -> ReadError {
        ReadError::Corrupt {
            path: self.path.clone(),
            offset: self.footer[COLUMNS].offset + chunk.values.0,
            reason: reason.to_owned(),
        }
    }

    fn column(&self, at: (u64, u32)) -> Result<Vec<u8>, ReadError> {
        let Part { offset, length, .. } = self.footer[COLUMNS];
        let end = at.0.checked_add(u64::from(at.1)).filter(|end| *end <= length);
        if end.is_none() {
            let reason = "a chunk points past the columns".to_owned();
            return Err(ReadError::Corrupt { path: self.path.clone(), offset, reason });
        }
        let mut bytes = vec![0; at.1 as usize];
        match self.file.read_at(&mut bytes, offset + at.0) {
            Ok(n) if n == bytes.len() => Ok(bytes),
            Ok(_) => Err(ReadError::Corrupt {
                path: self.path.clone(),
                offset: offset + at.0,
                reason: "file ends too early".to_owned(),
            }),
            Err(e) => Err(ReadError::Io { path: self.path.clone(), reason: e.reason }),
        }
    }
}

fn read_part(
    file: &dyn File,
    path: &str,
    footer: &Footer,
    number: usize,
) -> Result<Vec<u8>, BlockError> {
    let part = footer[number];
    let mut bytes = vec![0; usize::try_from(part.length).unwrap_or(usize::MAX)];
    let got = file.read_at(&mut bytes, part.offset)?;
    if got < bytes.len() || crc32c::crc32c(&bytes) != part.crc {
        return Err(BlockError::Damaged {
            path: path.to_owned(),
            part: PART_NAMES[number],
            offset: 0,
            what: "checksum does not hold",
        });
    }
    Ok(bytes)
}
