//! Builds a block and publishes it, all but the manifest that makes it live.
//!
//! Columns go to the file as they come, so what a block under construction holds in memory is its
//! index and the open chunk of one series, however large it gets.

use std::collections::{BTreeMap, HashMap};
use std::io::ErrorKind;
use std::sync::Arc;

use super::cache::PageCache;
use super::layout::{Footer, HEADER, Meta, PARTS, Part, RollupMeta, encode_footer, header};
use super::series::{ChunkAt, SeriesAt};
use super::times::Times;
use super::{Block, BlockError, DIR, aside_of, path_of, postings, series, symbols, times};
use crate::chunk::{Effort, MAX_CHUNK_SAMPLES, encode_timestamps, encode_values_with};
use crate::compaction::rollup::{self, LEVELS, Roller};
use crate::disk::{Disk, DiskError, File};
use crate::model::{Labels, SampleBuf, Timestamp};
use crate::mutants::{Mutant, planted};

/// About how many samples a chunk has: the unit of decode.
const CHUNK_SAMPLES: usize = 1024;
/// More than so many are cut whatever their times.
const MOST_SAMPLES: usize = CHUNK_SAMPLES * 3 / 2;
/// How many samples tell how far apart a series' samples are.
const TELLING: usize = 64;
/// How far apart samples usually are, in milliseconds; what is between is taken for the nearest.
const INTERVALS: [Timestamp; 14] = [
    1, 10, 100, 1_000, 2_000, 5_000, 10_000, 15_000, 20_000, 30_000, 60_000, 120_000, 300_000,
    3_600_000,
];
/// Bytes written at a time.
const WRITE_BYTES: usize = 1 << 20;
/// Columns of a kind remembered, so that equal ones are written once.
const REMEMBERED: usize = 1 << 16;

/// The range of time that a block is made for. Series that were sampled together are cut into chunks
/// at the same times of it, so that one that misses a sample still has most columns in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    /// Where it begins.
    pub(crate) start: Timestamp,
    /// How long it is, in milliseconds.
    pub(crate) length: Timestamp,
}

impl Range {
    /// Lengths of the stretches of one chunk each, for samples so far apart.
    fn stretch(self, interval: Timestamp) -> Timestamp {
        let most = interval.saturating_mul(CHUNK_SAMPLES as Timestamp).max(1);
        let stretches = (self.length.max(1) - 1) / most + 1;
        (self.length.max(1) - 1) / stretches + 1
    }
}

/// A block under construction. Series come in the order of their labels.
pub(crate) struct BlockWriter {
    disk: Arc<dyn Disk>,
    /// Made with the first write.
    file: Option<Arc<dyn File>>,
    /// What is not in the file yet, and where it goes.
    pending: Vec<u8>,
    written: u64,
    meta: Meta,
    range: Range,
    cache: Arc<PageCache>,
    series: Vec<SeriesAt<Labels>>,
    /// Samples of the last series that are in no chunk yet.
    open: SampleBuf,
    /// Length of the stretches the last series is cut into, once it is known.
    stretch: Option<Timestamp>,
    /// Aggregates of the last series, a level each; none in a block fresh from the head.
    rollers: Vec<Roller>,
    times: Vec<Times>,
    /// Numbers of equal timestamp columns and places of equal value columns, by their hash; their
    /// checksums tell should two ever collide.
    known_times: HashMap<u128, u64>,
    known_values: HashMap<u128, (u64, u32)>,
}

impl BlockWriter {
    /// A block that will hold samples of the log up to `position`.
    pub(crate) fn new(
        (disk, cache): (&Arc<dyn Disk>, &Arc<PageCache>),
        range: Range,
        number: u64,
        position: u64,
    ) -> BlockWriter {
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
            range,
            cache: Arc::clone(cache),
            series: Vec::new(),
            open: SampleBuf::default(),
            stretch: None,
            rollers: Vec::new(),
            times: Vec::new(),
            known_times: HashMap::new(),
            known_values: HashMap::new(),
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
        self.stretch = None;
        self.series.push(SeriesAt { labels, lookback, chunks: Vec::new(), rollups: Vec::new() });
        if self.meta.level > 0 {
            self.rollers = LEVELS.iter().map(|length| Roller::new(*length)).collect();
        }
    }

    /// Adds samples to the series that was begun, in order of time.
    pub(crate) fn push(&mut self, samples: &SampleBuf) -> Result<(), BlockError> {
        extend(&mut self.open, samples);
        self.rollers.iter_mut().for_each(|roller| roller.push(samples));
        if self.stretch.is_none() && self.open.len() >= TELLING {
            self.stretch = Some(self.range.stretch(interval(&self.open.t)));
        }
        self.cut()?;
        Ok(())
    }

    /// Ends the series; one without samples is left out.
    pub(crate) fn end_series(&mut self) -> Result<(), BlockError> {
        if self.stretch.is_none() {
            self.stretch = Some(self.range.stretch(interval(&self.open.t)));
            self.cut()?;
        }
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
        let cache = Arc::clone(&self.cache);
        let mut block = self.finish()?;
        block.verify()?;
        block.share(&cache);
        Ok(block)
    }

    /// The same without verifying the chunks, which the caller does. Until the block shares a cache it has its
    /// own: what is verified is looked at once.
    pub(crate) fn finish(mut self) -> Result<Block, BlockError> {
        let number = self.meta.number;
        let columns = self.end() - HEADER as u64;
        let mut footer = Footer::default();
        footer[0] = Part { offset: HEADER as u64, length: columns, directory: 0, crc: 0 };
        let meta = self.meta.encode();
        let whole = meta.len() as u32;
        let [symbols, series, postings] = self.encode_index();
        let parts = [times::encode(&self.times), symbols, series, postings, (meta, whole)];
        const _: () = assert!(PARTS == 6, "the columns and those of the index");
        for (part, (bytes, directory)) in footer[1..].iter_mut().zip(&parts) {
            let crc = crc32c::crc32c(&bytes[bytes.len() - *directory as usize..]);
            let (offset, length) = (self.end(), bytes.len() as u64);
            *part = Part { offset, length, directory: *directory, crc };
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

    /// Symbols, series and postings.
    fn encode_index(&self) -> [(Vec<u8>, u32); 3] {
        let mut numbers: BTreeMap<&str, u64> = BTreeMap::new();
        for label in self.series.iter().flat_map(|s| s.labels.iter()) {
            numbers.insert(label.name, 0);
            numbers.insert(label.value, 0);
        }
        numbers.values_mut().zip(0..).for_each(|(slot, number)| *slot = number);
        let sorted: Vec<&str> = numbers.keys().copied().collect();
        let pairs = |labels: &Labels| -> series::Pairs {
            labels.iter().map(|label| (numbers[label.name], numbers[label.value])).collect()
        };
        let mut lists: BTreeMap<(u64, u64), Vec<u32>> = BTreeMap::new();
        for (number, entry) in (0..).zip(&self.series) {
            for pair in pairs(&entry.labels) {
                lists.entry(pair).or_default().push(number);
            }
        }
        [symbols::encode(&sorted), series::encode(&self.series, pairs), postings::encode(&lists)]
    }

    /// Makes chunks of the stretches that are over.
    fn cut(&mut self) -> Result<(), BlockError> {
        let Range { start, .. } = self.range;
        let stretch = self.stretch.unwrap_or(Timestamp::MAX);
        let number = |t: Timestamp| t.saturating_sub(start).div_euclid(stretch);
        loop {
            let open = &self.open.t;
            let Some(first) = open.first() else { return Ok(()) };
            let inside = open.partition_point(|t| number(*t) == number(*first));
            let end = match inside {
                end if end > MOST_SAMPLES => CHUNK_SAMPLES,
                end if end < open.len() => end,
                _ => return Ok(()),
            };
            let chunk = part_of(&self.open, 0, end);
            self.open = part_of(&self.open, end, self.open.len());
            self.chunk(&chunk)?;
        }
    }

    fn chunk(&mut self, samples: &SampleBuf) -> Result<(), BlockError> {
        let effort = if self.meta.level > 0 { Effort::Smallest } else { Effort::Small };
        let times = self.put_times(&samples.t);
        let encoded = encode_values_with(samples, effort);
        let values = self.put_values(&encoded);
        self.meta.samples += samples.len() as u64;
        let chunk = ChunkAt { times, values, crc: crc32c::crc32c(&encoded) };
        if let Some(series) = self.series.last_mut() {
            series.chunks.push(chunk);
        }
        if self.pending.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    /// The number of a timestamp column, written if it is new.
    fn put_times(&mut self, t: &[Timestamp]) -> u64 {
        let bytes = encode_timestamps(t);
        let hash = xxhash_rust::xxh3::xxh3_128(&bytes);
        // Two columns of other lengths may have equal bytes.
        let hash = hash ^ t.len() as u128;
        if let Some(number) = self.known_times.get(&hash) {
            return *number;
        }
        let min_t = t.first().copied().unwrap_or(0);
        let max_t = t.last().copied().unwrap_or(0);
        self.meta.min_t = self.meta.min_t.min(min_t);
        self.meta.max_t = self.meta.max_t.max(max_t);
        let at = (self.end() - HEADER as u64, bytes.len() as u32);
        let (count, crc) = (t.len() as u32, crc32c::crc32c(&bytes));
        let number = self.times.len() as u64;
        self.times.push(Times { min_t, max_t, count, at, crc });
        remember(&mut self.known_times, hash, number);
        self.pending.extend_from_slice(&bytes);
        number
    }

    /// Where a value column stands, written if it is new.
    fn put_values(&mut self, bytes: &[u8]) -> (u64, u32) {
        let hash = xxhash_rust::xxh3::xxh3_128(bytes);
        if let Some(known) = self.known_values.get(&hash) {
            return *known;
        }
        let at = (self.end() - HEADER as u64, bytes.len() as u32);
        remember(&mut self.known_values, hash, at);
        self.pending.extend_from_slice(bytes);
        at
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

/// How far apart samples usually are: the middle one of the first distances, as the nearest of
/// [`INTERVALS`].
fn interval(t: &[Timestamp]) -> Timestamp {
    let first = t.iter().zip(t.iter().skip(1)).take(TELLING);
    let mut apart: Vec<Timestamp> = first.map(|(a, b)| b.saturating_sub(*a).max(1)).collect();
    apart.sort_unstable();
    let usual = apart.get(apart.len() / 2).copied().unwrap_or(1);
    let farther = |than: &Timestamp| (*than.max(&usual) as f64) / (*than.min(&usual) as f64);
    INTERVALS.into_iter().min_by(|a, b| farther(a).total_cmp(&farther(b))).unwrap_or(usual)
}

fn remember<T>(known: &mut HashMap<u128, T>, hash: u128, place: T) {
    if known.len() >= REMEMBERED {
        known.clear();
    }
    known.insert(hash, place);
}

fn extend(open: &mut SampleBuf, samples: &SampleBuf) {
    let plain = [&*open, samples].iter().all(|s| s.h.is_empty() && s.start.is_empty());
    if plain {
        open.t.extend_from_slice(&samples.t);
        open.v.extend_from_slice(&samples.v);
    } else {
        samples.iter().for_each(|sample| open.push(sample));
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
