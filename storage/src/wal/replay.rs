//! Reading the log back at start: every record from a position on, then the verdict on its tail.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::chain::ReadChains;
use super::file::{DIR, segment_path, segments};
use super::record::{Record, get_record};
use super::segment::{
    BadSegment, GROUP_HEADER, SEGMENT_HEADER, SegmentHeader, check_group, claimed, survey,
};
use super::{Log, LogOptions, Logged};
use crate::disk::{Disk, DiskError, File, read_between};
use crate::model::WalPosition;
use crate::mutants::{Mutant, planted};
use crate::wire::Reader;

/// Why the log cannot be opened. Nothing was changed on the disk.
#[derive(Debug, thiserror::Error)]
pub enum OpenLogError {
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Something that was synced is damaged, in the middle.
    #[error(
        "the log is damaged: {file} at byte {offset} ({what}), and later records were synced; \
         `ringwell repair` sets it aside so that the rest can be served"
    )]
    Damaged {
        /// Which segment.
        file: String,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// A segment is not there.
    #[error("the log is damaged: no segment holds position {0}")]
    Missing(u64),
    /// Written by a newer release.
    #[error("{file} has format version {version}, this release reads up to {known}")]
    Newer {
        /// Which segment.
        file: String,
        /// Its version.
        version: u32,
        /// What is known here.
        known: u32,
    },
}

/// What reading back found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Records given to the visitor.
    pub records: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Bytes of a torn tail that were cut, and from where.
    pub torn: Option<(u64, String)>,
    /// Where what could be read ends.
    pub end: WalPosition,
    /// Rows above `from` that lean on what a repair found lost.
    pub lost_rows: u64,
    /// Gaps above `from`, where a repair could not read.
    pub gaps: u64,
}

/// How far reading back is, for those who look on from other threads.
#[derive(Debug, Default)]
pub struct Progress {
    bytes: AtomicU64,
    done: AtomicU64,
}

impl Progress {
    /// Bytes of the log that are to be read; 0 before that is known.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes of them that were read and applied.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    fn expect(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn advance(&self, bytes: usize) {
        self.done.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Log {
    /// Reads every record at or above `from`, in order, cuts a torn tail, and begins a new segment.
    pub fn open(
        disk: &Arc<dyn Disk>,
        options: LogOptions,
        from: WalPosition,
        epoch: u32,
        progress: &Progress,
        visit: &mut dyn FnMut(Logged<Record>),
    ) -> Result<(Log, Recovered), OpenLogError> {
        let (reading, oldest) = read(&**disk, from, true, progress, visit)?;
        reading.secure(&**disk, oldest)?;
        let log = Log::start(Arc::clone(disk), options, WalPosition(reading.end), epoch)?;
        Ok((log, Recovered { end: WalPosition(reading.end), ..reading.recovered }))
    }

    /// Reads and checks what an opening would, and changes nothing.
    pub(crate) fn check(disk: &dyn Disk, from: WalPosition) -> Result<Recovered, OpenLogError> {
        let nobody = Progress::default();
        let (reading, _) = read(disk, from, false, &nobody, &mut |_| {})?;
        Ok(Recovered { end: WalPosition(reading.end), ..reading.recovered })
    }
}

/// Reads the log from `from` on and, if `cut`, cuts a torn tail; gives the base of the oldest segment read.
fn read<'a>(
    disk: &dyn Disk,
    from: WalPosition,
    cut: bool,
    progress: &'a Progress,
    visit: &mut dyn FnMut(Logged<Record>),
) -> Result<(Reading<'a>, u64), OpenLogError> {
    let bases = segments(disk)?;
    let first = match bases.iter().rposition(|base| *base <= from.0) {
        Some(first) => first,
        None if bases.is_empty() && from.0 == 0 => 0,
        None => return Err(OpenLogError::Missing(from.0)),
    };
    let mut reading = Reading {
        from,
        cut,
        progress,
        end: from.0,
        durable: from.0,
        chains: ReadChains::default(),
        recovered: Recovered::default(),
    };
    for base in bases.iter().skip(first) {
        progress.expect(disk.open(&segment_path(*base))?.size()?);
    }
    for (i, base) in bases.iter().enumerate().skip(first) {
        if i > first && *base != reading.end {
            // The segment before lost its end, or one is missing between.
            reading.tear(disk, &bases[i - 1..], reading.end)?;
            break;
        }
        let file = Ahead::of(disk.open(&segment_path(*base))?)?;
        let next = bases.get(i + 1).copied();
        if let Some(end) = reading.segment(*base, file, visit)?
                // What is left of a segment after its last group is filling or a former life.
                && next != Some(end)
        {
            reading.tear(disk, &bases[i..], end)?;
            break;
        }
    }
    Ok((reading, bases.get(first).copied().unwrap_or(0)))
}

/// Bytes of a segment that are read at a time: a node that starts holds no whole segment, let alone two.
const CHUNK: usize = 1 << 20;

/// A file that is read from its beginning on, some of it ahead.
struct Ahead {
    file: Arc<dyn File>,
    size: u64,
    /// Where in the file `bytes` end.
    read: u64,
    bytes: Vec<u8>,
    /// How many of `bytes` are done with.
    done: usize,
}

impl Ahead {
    fn of(file: Arc<dyn File>) -> Result<Ahead, DiskError> {
        let size = file.size()?;
        Ok(Ahead { file, size, read: 0, bytes: Vec::new(), done: 0 })
    }

    /// What was read and is not done with.
    fn waiting(&self) -> &[u8] {
        &self.bytes[self.done..]
    }

    /// How much of the file is not done with.
    fn left(&self) -> usize {
        self.waiting().len() + (self.size - self.read) as usize
    }

    fn pass(&mut self, length: usize) {
        self.done = (self.done + length).min(self.bytes.len());
    }

    /// Sees to it that so many bytes wait, if the file has them.
    fn fill(&mut self, wanted: usize) -> Result<(), DiskError> {
        let have = self.waiting().len();
        if have >= wanted {
            return Ok(());
        }
        self.bytes.drain(..self.done);
        self.done = 0;
        let more = (wanted.max(CHUNK) - have).min((self.size - self.read) as usize);
        self.bytes.resize(have + more, 0);
        let got = self.file.read_at(&mut self.bytes[have..], self.read)?;
        self.bytes.truncate(have + got);
        self.read = if got < more { self.size } else { self.read + got as u64 };
        Ok(())
    }
}

struct Reading<'a> {
    from: WalPosition,
    /// Whether a torn tail is cut.
    cut: bool,
    progress: &'a Progress,
    /// Where the last good group ended.
    end: u64,
    /// Highest `durable end` seen; a checkpoint synced the log up to where reading begins.
    durable: u64,
    chains: ReadChains,
    recovered: Recovered,
}

impl Reading<'_> {
    /// Reads one segment; `Some(position)` where its groups end before the file does.
    fn segment(
        &mut self,
        base: u64,
        mut bytes: Ahead,
        visit: &mut dyn FnMut(Logged<Record>),
    ) -> Result<Option<u64>, OpenLogError> {
        let file = segment_path(base);
        bytes.fill(SEGMENT_HEADER)?;
        let header = match SegmentHeader::decode(bytes.waiting()) {
            Ok(header) if header.base.0 == base => header,
            Err(BadSegment::Newer(version)) => {
                return Err(OpenLogError::Newer { file, version, known: super::segment::VERSION });
            }
            _ => {
                self.end = base;
                return Ok(Some(base));
            }
        };
        let mut at = SEGMENT_HEADER;
        bytes.pass(at);
        self.end = base;
        self.chains.begin_anew();
        while bytes.left() > 0 {
            let (position, epoch) = (WalPosition(self.end), Some(header.epoch));
            bytes.fill(GROUP_HEADER)?;
            if let Some(length) = claimed(bytes.waiting(), position, epoch) {
                bytes.fill(GROUP_HEADER + length)?;
            }
            let Some(group) = check_group(bytes.waiting(), position, epoch) else {
                // What follows is filling, or a torn tail.
                self.progress.advance(bytes.left());
                self.recovered.bytes += at as u64;
                return Ok(Some(self.end));
            };
            self.durable = self.durable.max(group.durable_end.0);
            self.records(&file, at, group.records, visit)?;
            let length = GROUP_HEADER + group.records.len();
            bytes.pass(length);
            at += length;
            self.progress.advance(length);
            self.end = base + (at - SEGMENT_HEADER) as u64;
        }
        self.recovered.bytes += at as u64;
        Ok(None)
    }

    fn records(
        &mut self,
        file: &str,
        group_at: usize,
        records: &[u8],
        visit: &mut dyn FnMut(Logged<Record>),
    ) -> Result<(), OpenLogError> {
        let mut reader = Reader::new(records);
        let end = WalPosition(self.end + (GROUP_HEADER + records.len()) as u64);
        while !reader.is_empty() {
            let position = self.end + (GROUP_HEADER + reader.offset()) as u64;
            let (lost, gaps) = (self.chains.lost_rows, self.chains.gaps);
            let record = get_record(&mut reader, &mut self.chains);
            let record = record.map_err(|e| OpenLogError::Damaged {
                file: file.to_owned(),
                offset: (group_at + GROUP_HEADER + e.offset) as u64,
                what: e.what,
            })?;
            if position < self.from.0 {
                continue;
            }
            self.recovered.lost_rows += self.chains.lost_rows - lost;
            self.recovered.gaps += self.chains.gaps - gaps;
            if let Some(record) = record {
                self.recovered.records += 1;
                visit(Logged::new(WalPosition(position), end, record));
            }
        }
        Ok(())
    }

    /// Makes what was read last, for the segment begun next says that all before it does. A process
    /// that was killed has left what is written and not synced, and one whose sync failed what the
    /// system takes for written and may not be: so what is not known to be synced is written again.
    fn secure(&self, disk: &dyn Disk, oldest: u64) -> Result<(), DiskError> {
        let bases: Vec<u64> = segments(disk)?.into_iter().filter(|b| *b >= oldest).collect();
        for (i, base) in bases.iter().enumerate() {
            let end = bases.get(i + 1).copied().unwrap_or(self.end);
            if end <= self.durable || planted(Mutant::StartTrustsCache) {
                continue;
            }
            let path = segment_path(*base);
            let file = disk.open(&path)?;
            let from = match self.durable.saturating_sub(*base) {
                0 => 0,
                known => known + SEGMENT_HEADER as u64,
            };
            let again = read_between(&*file, from, end - base + SEGMENT_HEADER as u64)?;
            if !again.is_empty() {
                file.write_at(&again, from)?;
            }
            file.sync()?;
        }
        Ok(())
    }

    /// Decides on a tail that does not check from `position` on: cut it, or refuse.
    /// `bases` are the segment that holds it and all later ones.
    fn tear(&mut self, disk: &dyn Disk, bases: &[u64], position: u64) -> Result<(), OpenLogError> {
        let mut lost = 0;
        for base in bases {
            let file = disk.open(&segment_path(*base))?;
            let behind = position.saturating_sub(*base);
            let from = behind + SEGMENT_HEADER as u64;
            let header = read_between(&*file, 0, SEGMENT_HEADER as u64)?;
            let header = SegmentHeader::decode(&header).ok().filter(|h| h.base.0 == *base);
            let tail = read_between(&*file, from, file.size()?)?;
            let start = WalPosition(*base + behind);
            let found = survey(&tail, start, header.map(|h| h.epoch));
            self.durable = self.durable.max(found.durable_end.0);
            lost += found.bytes;
        }
        let torn = bases.first().copied().unwrap_or(0);
        let offset = position - torn + SEGMENT_HEADER as u64;
        let file = segment_path(torn);
        if self.durable > position && !planted(Mutant::CutDamage) {
            let what = "a group's checksum or place does not hold";
            return Err(OpenLogError::Damaged { file, offset, what });
        }
        self.end = position;
        if lost > 0 {
            self.recovered.torn = Some((lost, file.clone()));
        }
        if !self.cut {
            return Ok(());
        }
        for base in bases.iter().skip(1).rev() {
            disk.remove(&segment_path(*base))?;
        }
        let open = disk.open(&file)?;
        open.set_len(offset)?;
        open.sync()?;
        disk.sync_dir(DIR)?;
        Ok(())
    }
}
