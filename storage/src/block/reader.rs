//! Opens, checks and serves a block.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, OnceLock};

use super::cache::PageCache;
use super::index::{Index, SeriesRef, SeriesWalk};
use super::layout::{
    ChunkMeta, FOOTER, Footer, HEADER, Meta, Part, RollupMeta, decode_footer, header,
};
use super::{COLUMNS, META, PART_NAMES, POSTINGS, SERIES, SYMBOLS, TIMES, path_of};
use crate::chunk::{ChunkStats, decode_stretch, decode_values, stats_of};
use crate::compaction::rollup;
use crate::disk::{Disk, DiskError, File};
use crate::inspect::Encoded;
use crate::model::{Matcher, SampleBuf, TimeRange};
use crate::mutants::{Mutant, planted};
use crate::read::{Aggregate, ReadError};
use crate::snapshot::Times;
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

/// An open block: index and chunks stay on the disk, and are checked again when they are read.
pub struct Block {
    meta: Meta,
    index: Index,
}

thread_local! {
    /// Where encoded chunks are read to, one after the other.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A thread keeps no more of it.
const MOST_SCRATCH: usize = 64 << 10;

/// What the pages of a block that is opened by itself may take in memory.
const OWN_CACHE: usize = 4 << 20;

impl Block {
    /// Opens a published block and checks its index.
    pub fn open(disk: &dyn Disk, number: u64) -> Result<Block, BlockError> {
        Block::open_with(disk, number, &Arc::new(PageCache::new(OWN_CACHE)))
    }

    /// From now on its pages are kept with those of other blocks.
    pub(crate) fn share(&mut self, cache: &Arc<PageCache>) {
        self.index.share(cache);
    }

    /// The same with a cache that other blocks use too.
    pub(crate) fn open_with(
        disk: &dyn Disk,
        number: u64,
        cache: &Arc<PageCache>,
    ) -> Result<Block, BlockError> {
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
        let meta = read_meta(&*file, &path, &footer)?;
        let index = Index::new(path, file, footer, meta.series, Arc::clone(cache));
        index.check()?;
        Ok(Block { meta, index })
    }

    /// What it says of itself.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Bytes of the file.
    pub fn byte_len(&self) -> u64 {
        let meta = &self.index.footer[META];
        meta.offset + meta.length + FOOTER as u64
    }

    /// Its time range.
    pub fn range(&self) -> TimeRange {
        TimeRange::new(self.meta.min_t, self.meta.max_t).unwrap_or(TimeRange::ALL)
    }

    /// Numbers of the series that all matchers accept, ascending.
    pub(crate) fn select(&self, matchers: &[Matcher]) -> Result<Vec<u32>, ReadError> {
        crate::index::select(&self.index, matchers)
    }

    /// Names of labels, ascending.
    pub(crate) fn label_names(&self) -> Result<Vec<String>, ReadError> {
        self.index.label_names()
    }

    /// Values of a label, ascending.
    pub(crate) fn label_values(&self, name: &str) -> Result<Vec<String>, ReadError> {
        self.index.label_values(name)
    }

    /// A series by number; `None` past the last.
    pub(crate) fn series(&self, number: u32) -> Result<Option<SeriesRef>, ReadError> {
        self.walk()?.get(number)
    }

    /// To look several series up, best in the order of their numbers.
    pub(crate) fn walk(&self) -> Result<SeriesWalk<'_>, ReadError> {
        self.index.walk()
    }

    /// All series, in the order of their labels.
    pub(crate) fn all_series(&self) -> impl Iterator<Item = Result<SeriesRef, ReadError>> + '_ {
        (0..).map_while(|number| self.series(number).transpose())
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
        while let Some(series) = self.series(number)? {
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

    /// Reads a series' aggregates of one level, those of stretches that begin in `range`.
    pub(crate) fn read_rollup(
        &self,
        rollup: &RollupMeta,
        range: TimeRange,
    ) -> Result<Vec<Aggregate>, ReadError> {
        let bytes = self.column(rollup.rows)?;
        let corrupt =
            |reason: &str| self.corrupt(self.index.footer[COLUMNS].offset + rollup.rows.0, reason);
        if crc32c::crc32c(&bytes) != rollup.crc {
            return Err(corrupt("the checksum of aggregates does not hold"));
        }
        let mut rows = rollup::decode(&bytes, rollup.count as usize, rollup.length)
            .map_err(|e| corrupt(e.what))?;
        rows.retain(|row| range.contains(row.first_t));
        Ok(rows)
    }

    /// Adds up what the chunks of each encoding hold, each value column once.
    pub(crate) fn encodings(
        &self,
        sums: &mut BTreeMap<&'static str, Encoded>,
    ) -> Result<(), ReadError> {
        let mut seen = HashSet::new();
        for series in self.all_series() {
            for chunk in &series?.chunks {
                let values = self.column(chunk.values)?;
                let sum = sums.entry(crate::chunk::encoding_of(&values)).or_default();
                sum.chunks += 1;
                sum.samples += u64::from(chunk.count);
                if seen.insert(chunk.values.0) {
                    sum.bytes += u64::from(chunk.values.1);
                }
            }
        }
        Ok(())
    }

    /// Adds up the bytes of each part.
    pub(crate) fn parts(&self, sums: &mut BTreeMap<&'static str, u64>) -> Result<(), ReadError> {
        let mut add = |part, bytes: u64| *sums.entry(part).or_default() += bytes;
        let mut seen = HashSet::new();
        for series in self.all_series() {
            let series = series?;
            for chunk in series.chunks.iter().filter(|c| seen.insert(c.values.0)) {
                let statistics = crate::chunk::stats_len(&self.column(chunk.values)?) as u64;
                add("statistics", statistics);
                add("values", u64::from(chunk.values.1) - statistics);
            }
            add("roll-ups", series.rollups.iter().map(|r| u64::from(r.rows.1)).sum());
        }
        let times = self.index.all_times()?;
        add("timestamps", times.iter().map(|t| u64::from(t.at.1)).sum());
        for part in [TIMES, SYMBOLS, SERIES, POSTINGS] {
            add(PART_NAMES[part], self.index.footer[part].length);
        }
        add("frame", (HEADER + FOOTER) as u64 + self.index.footer[META].length);
        Ok(())
    }

    /// Appends the samples of a chunk to `out`.
    pub(crate) fn read_chunk(
        &self,
        chunk: &ChunkMeta,
        out: &mut SampleBuf,
    ) -> Result<(), ReadError> {
        let t = self.index.timestamps(chunk.times, |at| self.column(at))?;
        out.t.extend_from_slice(&t);
        self.with_values(chunk, |values| decode_values(values, t.len(), out))
    }

    /// The same of those in a range, their timestamps from what the query has decoded already, if they are
    /// there.
    pub(crate) fn read_chunk_in(
        &self,
        chunk: &ChunkMeta,
        range: TimeRange,
        times: &Times,
        out: &mut SampleBuf,
    ) -> Result<(), ReadError> {
        let column = (self.meta.number, chunk.times, chunk.count);
        let t = times.get(column, || self.index.timestamps(chunk.times, |at| self.column(at)))?;
        let from = t.partition_point(|t| *t < range.start());
        let to = t.partition_point(|t| *t <= range.end());
        self.with_values(chunk, |values| decode_stretch(values, &t, from..to, out))
    }

    /// Statistics of a series' chunk, if all its samples are floats and none ends the series.
    pub(crate) fn stats(
        &self,
        series: &SeriesRef,
        place: usize,
    ) -> Result<Option<ChunkStats>, ReadError> {
        let Some(chunk) = series.chunks.get(place) else { return Ok(None) };
        let known = self.index.stats(series)?;
        if let Some(stats) = known.get(place).and_then(OnceLock::get) {
            return Ok(*stats);
        }
        let stats = self.with_values(chunk, stats_of)?;
        let stats = stats.filter(|stats| stats.count == u64::from(chunk.count));
        Ok(known.get(place).map_or(stats, |known| *known.get_or_init(|| stats)))
    }

    /// Decodes the bytes of a chunk's values, which are checked.
    fn with_values<T>(
        &self,
        chunk: &ChunkMeta,
        decode: impl FnOnce(&[u8]) -> Result<T, FormatError>,
    ) -> Result<T, ReadError> {
        let (start, length) = (self.place_of(chunk.values)?, chunk.values.1 as usize);
        SCRATCH.with_borrow_mut(|scratch| {
            if scratch.len() < length {
                scratch.resize(length, 0);
            }
            let values = &mut scratch[..length];
            self.index.read_into(start, values)?;
            if crc32c::crc32c(values) != chunk.crc && !planted(Mutant::ServeUnchecked) {
                return Err(self.damaged(chunk, "a chunk's checksum does not hold"));
            }
            let decoded = decode(values).map_err(|e| self.damaged(chunk, e.what));
            if scratch.len() > MOST_SCRATCH {
                *scratch = Vec::new();
            }
            decoded
        })
    }

    fn damaged(&self, chunk: &ChunkMeta, reason: &str) -> ReadError {
        self.corrupt(self.index.footer[COLUMNS].offset + chunk.values.0, reason)
    }

    fn column(&self, at: (u64, u32)) -> Result<Vec<u8>, ReadError> {
        self.index.read(self.place_of(at)?, u64::from(at.1))
    }

    /// Where in the file a column is.
    fn place_of(&self, at: (u64, u32)) -> Result<u64, ReadError> {
        let Part { offset, length, .. } = self.index.footer[COLUMNS];
        let end = at.0.checked_add(u64::from(at.1)).filter(|end| *end <= length);
        if end.is_none() {
            return Err(self.corrupt(offset, "a chunk points past the columns"));
        }
        Ok(offset + at.0)
    }

    fn corrupt(&self, offset: u64, reason: &str) -> ReadError {
        ReadError::Corrupt { path: self.index.path.clone(), offset, reason: reason.to_owned() }
    }
}

fn read_meta(file: &dyn File, path: &str, footer: &Footer) -> Result<Meta, BlockError> {
    let part = footer[META];
    let damaged = |offset, what| BlockError::Damaged {
        path: path.to_owned(),
        part: PART_NAMES[META],
        offset,
        what,
    };
    let mut bytes = vec![0; usize::try_from(part.length).unwrap_or(usize::MAX)];
    let got = file.read_at(&mut bytes, part.offset)?;
    if got < bytes.len() || crc32c::crc32c(&bytes) != part.crc {
        return Err(damaged(0, "checksum does not hold"));
    }
    Meta::decode(&bytes).map_err(|e| damaged(e.offset as u64, e.what))
}
