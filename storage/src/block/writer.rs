//! Builds a block and publishes it, all but the manifest that makes it live.

use std::collections::HashMap;

use super::layout::{
    ChunkMeta, Footer, HEADER, Meta, Part, SeriesEntry, encode_footer, encode_index, header,
};
use super::{Block, BlockError, DIR, path_of};
use crate::chunk::{encode_timestamps, encode_values};
use crate::disk::{Disk, DiskError};
use crate::model::{Labels, SampleBuf, Timestamp};
use crate::mutants::{Mutant, planted};

/// Samples of one chunk at most: the unit of decode.
const CHUNK_SAMPLES: usize = 1024;

/// A block under construction. Series come in the order of their labels.
pub(crate) struct BlockWriter {
    meta: Meta,
    timestamps: Vec<u8>,
    values: Vec<u8>,
    series: Vec<SeriesEntry>,
    /// Where equal timestamp columns already stand.
    columns: HashMap<Vec<u8>, u64>,
}

impl BlockWriter {
    /// A block that will hold samples of the log up to `position`.
    pub(crate) fn new(number: u64, position: u64) -> BlockWriter {
        BlockWriter {
            meta: Meta {
                number,
                position,
                min_t: Timestamp::MAX,
                max_t: Timestamp::MIN,
                ..Meta::default()
            },
            timestamps: Vec::new(),
            values: Vec::new(),
            series: Vec::new(),
            columns: HashMap::new(),
        }
    }

    /// Adds a series with its samples, in order of time.
    pub(crate) fn add(&mut self, labels: Labels, lookback: Option<Timestamp>, samples: &SampleBuf) {
        let mut chunks = Vec::new();
        for from in (0..samples.len()).step_by(CHUNK_SAMPLES) {
            let to = samples.len().min(from + CHUNK_SAMPLES);
            chunks.push(self.chunk(&part_of(samples, from, to)));
        }
        self.meta.chunks += chunks.len() as u64;
        self.meta.series += 1;
        self.series.push(SeriesEntry { labels, lookback, chunks });
    }

    /// Whether no series was added.
    pub(crate) fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Writes, syncs, renames, syncs the directory, opens and verifies.
    pub(crate) fn publish(self, disk: &dyn Disk) -> Result<Block, BlockError> {
        let number = self.meta.number;
        let bytes = self.into_bytes();
        disk.create_dir(DIR)?;
        let aside = format!("{DIR}/{number:016x}.new");
        let file = match disk.create(&aside) {
            // An attempt that failed left it.
            Err(DiskError { kind: std::io::ErrorKind::AlreadyExists, .. }) => {
                let file = disk.open(&aside)?;
                file.set_len(0)?;
                file
            }
            other => other?,
        };
        file.write_at(&bytes, 0)?;
        if !planted(Mutant::BlockNotSynced) {
            file.sync()?;
        }
        disk.rename(&aside, &path_of(number))?;
        disk.sync_dir(DIR)?;
        let block = Block::open(disk, number)?;
        block.verify()?;
        Ok(block)
    }

    fn chunk(&mut self, samples: &SampleBuf) -> ChunkMeta {
        let (t, v) = (encode_timestamps(&samples.t), encode_values(samples));
        let crc = crc32c::crc32c_append(crc32c::crc32c(&t), &v);
        let values = (self.values.len() as u64, v.len() as u32);
        self.values.extend_from_slice(&v);
        let length = t.len() as u32;
        let end = self.timestamps.len() as u64;
        let offset = *self.columns.entry(t).or_insert_with_key(|t| {
            self.timestamps.extend_from_slice(t);
            end
        });
        let min_t = samples.t.first().copied().unwrap_or(0);
        let max_t = samples.t.last().copied().unwrap_or(0);
        self.meta.min_t = self.meta.min_t.min(min_t);
        self.meta.max_t = self.meta.max_t.max(max_t);
        self.meta.samples += samples.len() as u64;
        let count = samples.len() as u32;
        ChunkMeta { min_t, max_t, count, timestamps: (offset, length), values, crc }
    }

    fn into_bytes(self) -> Vec<u8> {
        let (series, postings) = encode_index(&self.series);
        let meta = self.meta.encode();
        let mut out = header().to_vec();
        debug_assert_eq!(out.len(), HEADER);
        let mut footer = Footer::default();
        let parts = [self.timestamps, self.values, series, postings, meta];
        for (i, (part, bytes)) in footer.iter_mut().zip(&parts).enumerate() {
            let crc = if i < 2 { 0 } else { crc32c::crc32c(bytes) };
            *part = Part { offset: out.len() as u64, length: bytes.len() as u64, crc };
            out.extend_from_slice(bytes);
        }
        out.extend_from_slice(&encode_footer(&footer));
        out
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
