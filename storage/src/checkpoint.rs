//! State as of the log, in one file (docs/format/manifest.md): what replay need not repeat.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use crate::disk::{Disk, DiskError, read_all};
use crate::documents::Shelf;
use crate::exemplars::Ring;
use crate::feed::Stream;
use crate::head::{
    Away, Captured, ChunkFile, Columns, Head, HeadChunk, MemSeries, SHARDS, SLOTS_AT_A_TIME, Sealer,
};
use crate::keyspace::{Keyspace, Looks, View};
use crate::metadata::Book;
use crate::model::{Labels, SampleBuf, SeriesId, WalPosition};
use crate::mutants::{Mutant, planted};
use crate::read::ReadError;
use crate::wire::{FormatError, Reader, put_prefixed, put_varint, put_zigzag};

pub(crate) const DIR: &str = "checkpoints";

const MAGIC: &[u8; 8] = b"RINGCKP\0";
const VERSION: u32 = 1;
const TAG_SHARD: u32 = 1;
const TAG_KEYSPACE: u32 = 2;
const TAG_DOCUMENTS: u32 = 3;
const TAG_EXEMPLARS: u32 = 4;
const TAG_METADATA: u32 = 5;
const TAG_STREAM: u32 = 6;

/// Why a checkpoint is not accepted, or cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A file of chunks that it refers to, or would.
    #[error(transparent)]
    Chunks(#[from] ReadError),
    /// It does not check.
    #[error("{path} is damaged at byte {offset}: {what}")]
    Damaged {
        /// Which file.
        path: String,
        /// Where.
        offset: u64,
        /// What is wrong.
        what: String,
    },
}

/// The keyspace and the position it is in up to.
pub(crate) struct Keys {
    pub(crate) keyspace: Keyspace,
    pub(crate) applied: WalPosition,
    /// What commands looked at since the store was opened.
    pub(crate) looks: Looks,
    /// What followers are fed, up to the same position.
    pub(crate) stream: Stream,
}

/// What a checkpoint holds beside the head.
pub(crate) struct Contents {
    pub(crate) keys: Keys,
    pub(crate) exemplars: Ring,
    pub(crate) metadata: Book,
    pub(crate) documents: Shelf,
}

impl Default for Contents {
    fn default() -> Contents {
        Contents {
            keys: Keys {
                keyspace: Keyspace::new(),
                applied: WalPosition(0),
                looks: Looks::default(),
                stream: Stream::default(),
            },
            exemplars: Ring::default(),
            metadata: Book::default(),
            documents: Shelf::default(),
        }
    }
}

/// Documents, exemplars, metadata and the place of the stream, encoded; empty where there are none.
pub(crate) struct Beside {
    pub(crate) documents: Vec<u8>,
    pub(crate) stream: Vec<u8>,
    pub(crate) exemplars: Vec<u8>,
    pub(crate) metadata: Vec<u8>,
}

pub(crate) fn path_of(number: u64) -> String {
    format!("{DIR}/{number:016x}.ckp")
}

/// Writes and publishes a checkpoint; the manifest makes it live. Chunks in `in_blocks` (by address) are
/// left out, for a block has them. Says how large it is, and which files of chunks it refers to.
pub(crate) fn write(
    disk: &dyn Disk,
    number: u64,
    head: &Head,
    (view, applied): (View, WalPosition),
    beside: &Beside,
    in_blocks: &HashSet<*const HeadChunk>,
) -> Result<(u64, BTreeSet<u64>), CheckpointError> {
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&VERSION.to_le_bytes());
    let mut referred = BTreeSet::new();
    for shard in 0..SHARDS {
        let mut section = Vec::new();
        put_shard(&mut section, head, shard, in_blocks, &mut referred)?;
        put_section(&mut out, TAG_SHARD, &section);
    }
    let mut section = Vec::new();
    put_varint(&mut section, applied.0);
    view.encode(&mut section);
    put_section(&mut out, TAG_KEYSPACE, &section);
    for (tag, section) in [
        (TAG_DOCUMENTS, &beside.documents),
        (TAG_EXEMPLARS, &beside.exemplars),
        (TAG_METADATA, &beside.metadata),
        (TAG_STREAM, &beside.stream),
    ] {
        if !section.is_empty() {
            put_section(&mut out, tag, section);
        }
    }
    disk.create_dir(DIR)?;
    let name = format!("{number:016x}.ckp");
    crate::disk::replace_atomically(disk, DIR, &name, &out)?;
    Ok((out.len() as u64, referred))
}

/// Writes a checkpoint that holds nothing, for a repair.
pub(crate) fn write_empty(disk: &dyn Disk, number: u64) -> Result<(), DiskError> {
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&VERSION.to_le_bytes());
    crate::disk::replace_atomically(disk, DIR, &format!("{number:016x}.ckp"), &out)
}

/// What a checkpoint holds beside the head, and the files of chunks that it refers to.
type Read = (Contents, Vec<Arc<ChunkFile>>);

/// Reads a checkpoint into an empty head, and looks through all that it refers to.
pub(crate) fn read(disk: &dyn Disk, number: u64, head: &Head) -> Result<Read, CheckpointError> {
    let path = path_of(number);
    let bytes = read_all(disk, &path)?;
    let damaged = |offset: usize, what: &str| CheckpointError::Damaged {
        path: path.clone(),
        offset: offset as u64,
        what: what.to_owned(),
    };
    let mut found = Contents::default();
    let mut files = Files { disk, open: BTreeMap::new() };
    let mut reader = Reader::new(&bytes);
    let begins = reader.take(8).is_ok_and(|m| m == MAGIC);
    match reader.u32() {
        Ok(VERSION) if begins => {}
        Ok(newer) if begins => {
            let what = format!("format version {newer}, this release reads up to {VERSION}");
            return Err(damaged(8, &what));
        }
        _ => return Err(damaged(0, "no checkpoint begins here")),
    }
    while !reader.is_empty() {
        let at = reader.offset();
        let (tag, section) = get_section(&mut reader).map_err(|e| damaged(e.offset, e.what))?;
        let start = reader.offset() - section.len();
        match tag {
            TAG_SHARD => get_shard(section, head, &mut files).map_err(|bad| match bad {
                Bad::Format(e) => damaged(start + e.offset, e.what),
                Bad::Chunks(e) => e.into(),
            })?,
            TAG_KEYSPACE => {
                let mut inner = Reader::new(section);
                let applied = inner.varint().map_err(|e| damaged(start + e.offset, e.what))?;
                let view = &section[inner.offset()..];
                found.keys.keyspace =
                    Keyspace::decode(view).map_err(|e| damaged(start, &e.to_string()))?;
                found.keys.applied = WalPosition(applied);
            }
            TAG_DOCUMENTS => {
                found.documents = Shelf::decode(&mut Reader::new(section))
                    .map_err(|e| damaged(start + e.offset, e.what))?;
            }
            TAG_EXEMPLARS => {
                found.exemplars = Ring::decode(&mut Reader::new(section))
                    .map_err(|e| damaged(start + e.offset, e.what))?;
            }
            TAG_METADATA => {
                found.metadata = Book::decode(&mut Reader::new(section))
                    .map_err(|e| damaged(start + e.offset, e.what))?;
            }
            TAG_STREAM => {
                found.keys.stream = Stream::decode(&mut Reader::new(section))
                    .map_err(|e| damaged(start + e.offset, e.what))?;
            }
            _ => return Err(damaged(at, "section of a newer release")),
        }
    }
    Ok((found, files.open.into_values().collect()))
}

/// Why a part of a checkpoint is not accepted.
enum Bad {
    Format(FormatError),
    Chunks(ReadError),
}

impl From<FormatError> for Bad {
    fn from(error: FormatError) -> Bad {
        Bad::Format(error)
    }
}

impl From<ReadError> for Bad {
    fn from(error: ReadError) -> Bad {
        Bad::Chunks(error)
    }
}

/// Files of chunks, opened when first referred to.
struct Files<'a> {
    disk: &'a dyn Disk,
    open: BTreeMap<u64, Arc<ChunkFile>>,
}

impl Files<'_> {
    fn get(&mut self, number: u64) -> Result<Arc<ChunkFile>, ReadError> {
        if let Some(open) = self.open.get(&number) {
            return Ok(Arc::clone(open));
        }
        let file = ChunkFile::open(self.disk, number)?;
        self.open.insert(number, Arc::clone(&file));
        Ok(file)
    }
}

fn put_section(out: &mut Vec<u8>, tag: u32, section: &[u8]) {
    out.extend_from_slice(&tag.to_le_bytes());
    out.extend_from_slice(&(section.len() as u64).to_le_bytes());
    out.extend_from_slice(&crc32c::crc32c(section).to_le_bytes());
    out.extend_from_slice(section);
}

fn get_section<'a>(reader: &mut Reader<'a>) -> Result<(u32, &'a [u8]), FormatError> {
    let tag = reader.u32()?;
    let (length, crc) = (reader.u64()?, reader.u32()?);
    let section = reader.take(usize::try_from(length).unwrap_or(usize::MAX))?;
    if crc32c::crc32c(section) != crc {
        return Err(reader.error("checksum of a section does not hold"));
    }
    Ok((tag, section))
}

/// A series as it goes into a checkpoint, taken under the shard's lock.
struct Taken {
    id: SeriesId,
    lookback: Option<i64>,
    labels: Labels,
    newest: i64,
    touched: u64,
    captured: Captured,
}

/// Some series of a shard, taken under its lock at once.
struct Stretch {
    applied: WalPosition,
    series: Vec<Taken>,
    /// Whether the shard has slots behind them.
    more: bool,
}

impl Stretch {
    fn take(head: &Head, number: usize, slots: Range<u32>) -> Stretch {
        let shard = head.lock(number);
        let take = |(_, s): (u32, &MemSeries)| Taken {
            id: s.id,
            lookback: s.lookback(),
            labels: s.labels.clone(),
            newest: s.newest,
            touched: s.touched,
            captured: s.capture(shard.blocks()),
        };
        let more = slots.end < shard.slots();
        Stretch { applied: shard.applied, series: shard.iter_in(slots).map(take).collect(), more }
    }
}

/// Takes a shard in stretches and encodes each before the next, so that whoever waits for the shard gets it in
/// between. What is applied between two of them is in some series and not in others: the position is that of the
/// first stretch, and each series says up to where it was applied itself. Those are samples only: whoever
/// deletes or drops a series waits for maintenance, which this is part of.
fn put_shard(
    out: &mut Vec<u8>,
    head: &Head,
    number: usize,
    in_blocks: &HashSet<*const HeadChunk>,
    referred: &mut BTreeSet<u64>,
) -> Result<(), ReadError> {
    let (mut encoded, mut count, mut chunks) = (Vec::new(), 0, Chunks::default());
    let mut put = |stretch: &Stretch| {
        count += stretch.series.len() as u64;
        let mut series = stretch.series.iter();
        series.try_for_each(|taken| taken.put(&mut encoded, &mut chunks, in_blocks))
    };
    let mut slots = 0..SLOTS_AT_A_TIME;
    let first = Stretch::take(head, number, slots.clone());
    put(&first)?;
    let mut more = first.more;
    while more {
        slots = slots.end..slots.end.saturating_add(SLOTS_AT_A_TIME);
        let next = Stretch::take(head, number, slots.clone());
        put(&next)?;
        more = next.more;
    }
    referred.append(&mut chunks.referred);
    put_varint(out, number as u64);
    let boast = if planted(Mutant::CheckpointBoasts) { 300 } else { 0 };
    put_varint(out, first.applied.0 + boast);
    put_varint(out, count);
    out.extend_from_slice(&encoded);
    Ok(())
}

impl Taken {
    fn put(
        &self,
        out: &mut Vec<u8>,
        chunks: &mut Chunks,
        in_blocks: &HashSet<*const HeadChunk>,
    ) -> Result<(), ReadError> {
        put_varint(out, self.id.0);
        put_zigzag(out, self.lookback.unwrap_or(-1));
        put_prefixed(out, self.labels.encoded().as_bytes());
        put_zigzag(out, self.newest);
        put_varint(out, self.touched);
        let keep = |c: &&Arc<HeadChunk>| !in_blocks.contains(&Arc::as_ptr(c));
        let sealed: Vec<_> = self.captured.sealed.iter().filter(keep).collect();
        put_varint(out, sealed.len() as u64);
        sealed.iter().try_for_each(|c| chunks.put(out, c))?;
        chunks.put_samples(out, &self.captured.side)?;
        chunks.put_samples(out, &self.captured.ring.samples())
    }
}

fn get_shard(section: &[u8], head: &Head, files: &mut Files<'_>) -> Result<(), Bad> {
    let mut reader = Reader::new(section);
    let number = reader.varint()?;
    if number >= SHARDS as u64 {
        return Err(reader.error("no such shard").into());
    }
    let mut shard = head.lock(number as usize);
    shard.applied = WalPosition(reader.varint()?);
    let mut chunks = Chunks::default();
    for _ in 0..reader.count(8)? {
        let id = SeriesId(reader.varint()?);
        let lookback = Some(reader.zigzag()?).filter(|ms| *ms >= 0);
        let labels = Labels::from_encoded(reader.text()?);
        let labels = labels.map_err(|_| reader.error("labels are damaged"))?;
        let (newest, touched) = (reader.zigzag()?, reader.varint()?);
        let mut sealed = Vec::new();
        for _ in 0..reader.count(1)? {
            if let Some(chunk) = chunks.get(&mut reader, files)? {
                sealed.push(Arc::new(chunk));
            }
        }
        let side = chunks.get_samples(&mut reader, files)?;
        let ring = chunks.get_samples(&mut reader, files)?;
        let mut series = MemSeries::new(id, labels, lookback);
        series.restore(sealed, &side, &ring, newest, &mut shard.shared.blocks);
        series.touched = touched;
        head.taken_id(id);
        shard.insert(series);
    }
    Ok(())
}

/// Chunks one after the other; a timestamp column equal to the one before is not repeated.
#[derive(Default)]
struct Chunks {
    column: Arc<[u8]>,
    sealer: Sealer,
    /// Files that were referred to.
    referred: BTreeSet<u64>,
}

impl Chunks {
    fn put(&mut self, out: &mut Vec<u8>, chunk: &HeadChunk) -> Result<(), ReadError> {
        put_varint(out, u64::from(chunk.count));
        put_zigzag(out, chunk.min_t);
        put_zigzag(out, chunk.max_t);
        match &chunk.columns {
            Columns::Here(timestamps, values) => self.put_columns(out, timestamps, values),
            Columns::Away(away) => match away.sound_file() {
                Some(file) => {
                    // No chunk in memory has values of no bytes.
                    put_prefixed(out, &[]);
                    put_prefixed(out, &[]);
                    put_varint(out, file);
                    away.encode(out);
                    self.referred.insert(file);
                }
                None => self.put_columns(out, &away.timestamps()?.into(), &away.values()?),
            },
        }
        Ok(())
    }

    fn put_columns(&mut self, out: &mut Vec<u8>, timestamps: &Arc<[u8]>, values: &[u8]) {
        if *timestamps == self.column {
            put_varint(out, 0);
        } else {
            put_prefixed(out, timestamps);
            self.column = Arc::clone(timestamps);
        }
        put_prefixed(out, values);
    }

    fn put_samples(&mut self, out: &mut Vec<u8>, samples: &SampleBuf) -> Result<(), ReadError> {
        if samples.is_empty() {
            put_varint(out, 0);
            return Ok(());
        }
        let chunk = self.sealer.seal(samples);
        self.put(out, &chunk)
    }

    fn get(
        &mut self,
        reader: &mut Reader<'_>,
        files: &mut Files<'_>,
    ) -> Result<Option<HeadChunk>, Bad> {
        let count = reader.varint()?;
        if count == 0 {
            return Ok(None);
        }
        let count = u32::try_from(count).map_err(|_| reader.error("chunk too long"))?;
        let (min_t, max_t) = (reader.zigzag()?, reader.zigzag()?);
        let column = reader.prefixed()?;
        if !column.is_empty() {
            self.column = column.into();
        }
        let columns = match reader.prefixed()? {
            [] => {
                let file = files.get(reader.varint()?)?;
                let away = Away::decode(reader, file)?;
                away.check()?;
                Columns::Away(away)
            }
            values => Columns::Here(Arc::clone(&self.column), values.into()),
        };
        Ok(Some(HeadChunk { count, min_t, max_t, columns, summary: OnceLock::new() }))
    }

    fn get_samples(
        &mut self,
        reader: &mut Reader<'_>,
        files: &mut Files<'_>,
    ) -> Result<SampleBuf, Bad> {
        let mut samples = SampleBuf::default();
        if let Some(chunk) = self.get(reader, files)? {
            chunk.decode(&mut samples)?;
        }
        Ok(samples)
    }
}
