//! Builds a block and publishes it, all but the manifest that makes it live.
//!
//! Columns go to the file as they come, so what a block under construction holds in memory is its
//! index and the open chunk of one series, however large it gets.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::sync::Arc;

use super::layout::{
    ChunkMeta, Footer, HEADER, Meta, Part, RollupMeta, SeriesEntry, encode_footer, encode_index,
    header,
};
use super::{Block, BlockError, DIR, aside_of, path_of};
use crate::chunk::{MAX_CHUNK_SAMPLES, encode_timestamps, encode_values};
use crate::compaction::rollup::{self, LEVELS, Roller};
use crate::disk::{Disk, DiskError, File};
use crate::model::{Labels, SampleBuf, Timestamp};
use crate::mutants::{Mutant, planted};

/// Samples of one chunk at most: the unit of decode.
const CHUNK_SAMPLES: usize = 1024;
/// Bytes written at a time.
const WRITE_BYTES: usize = 1 << 20;
/// Timestamp columns remembered, so that equal ones are written once.
const COLUMNS: usize = 1 << 16;

/// A block under construction. Series come in the order of their labels.
pub(crate) struct BlockWriter {
    disk: Arc<dyn Disk>,
    /// Made with the first write.
    file: Option<Arc<dyn File>>,
    /// What is not in the file yet, and where it goes.
    pending: Vec<u8>,
    written: u64,
    meta: Meta,
    series: Vec<SeriesEntry>,
    /// Samples of the last series that are in no chunk yet.
    open: SampleBuf,
    /// Aggregates of the last series, a level each; none in a block fresh from the head.
    rollers: Vec<Roller>,
    /// Where equal timestamp columns already stand, by their hash; a chunk's own checksum tells
    /// should two ever collide.
    columns: HashMap<u128, u64>,
}

impl BlockWriter {
    /// A block that will hold samples of the log up to `position`.
    pub(crate) fn new(disk: &Arc<dyn Disk>, number: u64, position: u64) -> BlockWriter {
        let meta = Meta {
            number,
            position,
            min_t: Timestamp::MAX,
            max_t: Timestamp::MIN,
            ..Meta::default()
        };
        BlockWriter {
            disk: Arc::clone(disk),
            file: None,
            pending: header().to_vec(),
            written: 0,
            meta,
            series: Vec::new(),
            open: SampleBuf::default(),
            rollers: Vec::new(),
            columns: HashMap::new(),
        }
    }

    /// Says how many merges are behind the block, and up to which log position deletions are
    /// carried out in it.
    pub(crate) fn merged(mut self, level: u64, cleaned: u64) -> BlockWriter {
        (self.meta.level, self.meta.cleaned) = (level, cleaned);
        self
    }

    /// Adds a series with its samples, in order of time.
    pub(crate) fn add(
        &mut self,
        labels: Labels,
        lookback: Option<Timestamp>,
        samples: &SampleBuf,
    ) -> Result<(), BlockError> {
        self.begin_series(labels, lookback);
        self.push(samples)?;
        self.end_series()
    }

    /// Begins a series.
    pub(crate) fn begin_series(&mut self, labels: Labels, lookback: Option<Timestamp>) {
        self.series.push(SeriesEntry { labels, lookback, chunks: Vec::new(), rollups: Vec::new() });
        if self.meta.level > 0 {
            self.rollers = LEVELS.iter().map(|length| Roller::new(*length)).collect();
        }
    }

    /// Adds samples to the series that was begun, in order of time.
    pub(crate) fn push(&mut self, samples: &SampleBuf) -> Result<(), BlockError> {
        samples.iter().for_each(|s| self.open.push(s));
        self.rollers.iter_mut().for_each(|roller| roller.push(samples));
        let mut from = 0;
        while self.open.len() - from >= CHUNK_SAMPLES {
            let chunk = part_of(&self.open, from, from + CHUNK_SAMPLES);
            self.chunk(&chunk)?;
            from += CHUNK_SAMPLES;
        }
        if from > 0 {
            self.open = part_of(&self.open, from, self.open.len());
        }
        Ok(())
    }

    /// Ends the series; one without samples is left out.
    pub(crate) fn end_series(&mut self) -> Result<(), BlockError> {
        let rest = std::mem::take(&mut self.open);
        if !rest.is_empty() {
            self.chunk(&rest)?;
        }
        self.roll_up()?;
        match self.series.last().map(|s| s.chunks.len() as u64) {
            Some(0) => drop(self.series.pop()),
            Some(chunks) => {
                self.meta.chunks += chunks;
                self.meta.series += 1;
            }
            None => {}
        }
        Ok(())
    }

    /// Whether no series was added.
    pub(crate) fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Writes the index, syncs, renames, syncs the directory, opens and verifies.
    pub(crate) fn publish(self) -> Result<Block, BlockError> {
        let block = self.finish()?;
        block.verify()?;
        Ok(block)
    }

    /// The same without verifying the chunks, which the caller does.
    pub(crate) fn finish(mut self) -> Result<Block, BlockError> {
        let number = self.meta.number;
        let columns = self.end() - HEADER as u64;
        let mut footer = Footer::default();
        footer[0] = Part { offset: HEADER as u64, length: columns, crc: 0 };
        let (series, postings) = encode_index(&self.series);
        let parts = [series, postings, self.meta.encode()];
        for (part, bytes) in footer[1..].iter_mut().zip(&parts) {
            let (length, crc) = (bytes.len() as u64, crc32c::crc32c(bytes));
            *part = Part { offset: self.end(), length, crc };
            self.pending.extend_from_slice(bytes);
        }
        self.pending.extend_from_slice(&encode_footer(&footer));
        self.flush()?;
        if let Some(file) = self.file.as_ref().filter(|_| !planted(Mutant::BlockNotSynced)) {
            file.sync()?;
        }
        self.disk.rename(&aside_of(number), &path_of(number))?;
        self.disk.sync_dir(DIR)?;
        Block::open(&*self.disk, number)
    }

    fn chunk(&mut self, samples: &SampleBuf) -> Result<(), BlockError> {
        let (t, v) = (encode_timestamps(&samples.t), encode_values(samples));
        let crc = crc32c::crc32c_append(crc32c::crc32c(&t), &v);
        let hash = xxhash_rust::xxh3::xxh3_128(&t);
        let here = self.end() - HEADER as u64;
        let offset = *self.columns.get(&hash).unwrap_or(&here);
        if offset == here {
            if self.columns.len() >= COLUMNS {
                self.columns.clear();
            }
            self.columns.insert(hash, here);
            self.pending.extend_from_slice(&t);
        }
        let values = (self.end() - HEADER as u64, v.len() as u32);
        self.pending.extend_from_slice(&v);
        let min_t = samples.t.first().copied().unwrap_or(0);
        let max_t = samples.t.last().copied().unwrap_or(0);
        self.meta.min_t = self.meta.min_t.min(min_t);
        self.meta.max_t = self.meta.max_t.max(max_t);
        self.meta.samples += samples.len() as u64;
        let (count, timestamps) = (samples.len() as u32, (offset, t.len() as u32));
        let meta = ChunkMeta { min_t, max_t, count, timestamps, values, crc };
        if let Some(series) = self.series.last_mut() {
            series.chunks.push(meta);
        }
        if self.pending.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    /// Writes the levels that are worth it, the coarsest first.
    fn roll_up(&mut self) -> Result<(), BlockError> {
        let Some(series) = self.series.last_mut() else { return Ok(()) };
        let samples: usize = series.chunks.iter().map(|c| c.values.1 as usize).sum();
        let mut bytes = 0;
        for (roller, length) in std::mem::take(&mut self.rollers).into_iter().zip(LEVELS) {
            let Some(rows) = roller.worthy() else { continue };
            for part in rows.chunks(MAX_CHUNK_SAMPLES) {
                let encoded = rollup::encode(part, length);
                bytes += encoded.len();
                if !rollup::worth(bytes, samples) {
                    // A level is there whole or not at all.
                    series.rollups.retain(|r| r.length != length);
                    return Ok(());
                }
                let here = self.written + self.pending.len() as u64 - HEADER as u64;
                series.rollups.push(RollupMeta {
                    length,
                    min_t: part.first().map_or(0, |row| row.start),
                    max_t: part.last().map_or(0, |row| row.start),
                    count: part.len() as u32,
                    rows: (here, encoded.len() as u32),
                    crc: crc32c::crc32c(&encoded),
                });
                self.pending.extend_from_slice(&encoded);
            }
        }
        if self.pending.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    /// Where the next byte goes.
    fn end(&self) -> u64 {
        self.written + self.pending.len() as u64
    }

    fn flush(&mut self) -> Result<(), BlockError> {
        let file = match &self.file {
            Some(file) => Arc::clone(file),
            None => create(&*self.disk, self.meta.number)?,
        };
        file.write_at(&self.pending, self.written)?;
        self.written = self.end();
        self.pending.clear();
        self.file = Some(file);
        Ok(())
    }
}

fn create(disk: &dyn Disk, number: u64) -> Result<Arc<dyn File>, DiskError> {
    disk.create_dir(DIR)?;
    match disk.create(&aside_of(number)) {
        // An attempt that failed left it.
        Err(DiskError { kind: ErrorKind::AlreadyExists, .. }) => {
            let file = disk.open(&aside_of(number))?;
            file.set_len(0)?;
            Ok(file)
        }
        other => other,
    }
}

fn part_of(samples: &SampleBuf, from: usize, to: usize) -> SampleBuf {
    let optional = |len: usize| if len == 0 { 0..0 } else { from..to };
    SampleBuf {
        t: samples.t[from..to].to_vec(),
        v: samples.v[from..to].to_vec(),
        h: samples.h[optional(samples.h.len())].to_vec(),
        start: samples.start[optional(samples.start.len())].to_vec(),
    }
}
