//! Reading the log back at start: every record from a position on, then the verdict on its tail.

use std::sync::Arc;

use super::commit::{DIR, segment_path};
use super::record::{Record, get_record};
use super::segment::{
    BadSegment, GROUP_HEADER, SEGMENT_HEADER, SegmentHeader, check_group, highest_durable_end,
};
use super::{Log, LogOptions, Logged};
use crate::disk::{Disk, DiskError, read_all};
use crate::model::WalPosition;
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
}

impl Log {
    /// Reads every record at or above `from`, in order, cuts a torn tail, and begins a new segment.
    pub fn open(
        disk: &Arc<dyn Disk>,
        options: LogOptions,
        from: WalPosition,
        epoch: u32,
        visit: &mut dyn FnMut(Logged<Record>),
    ) -> Result<(Log, Recovered), OpenLogError> {
        let bases = segments(&**disk)?;
        let first = match bases.iter().rposition(|base| *base <= from.0) {
            Some(first) => first,
            None if bases.is_empty() && from.0 == 0 => 0,
            None => return Err(OpenLogError::Missing(from.0)),
        };
        let mut reading =
            Reading { from, end: from.0, durable: from.0, recovered: Recovered::default() };
        for (i, base) in bases.iter().enumerate().skip(first) {
            if i > first && *base != reading.end {
                // The segment before lost its end, or one is missing between.
                reading.tear(&**disk, &bases[i - 1..], reading.end)?;
                break;
            }
            let bytes = read_all(&**disk, &segment_path(*base))?;
            if let Some(offset) = reading.segment(*base, &bytes, visit)? {
                reading.tear(&**disk, &bases[i..], *base + offset)?;
                break;
            }
        }
        let log = Log::start(Arc::clone(disk), options, WalPosition(reading.end), epoch)?;
        Ok((log, reading.recovered))
    }
}

struct Reading {
    from: WalPosition,
    /// Where the last good group ended.
    end: u64,
    /// Highest `durable end` seen; a checkpoint synced the log up to where reading begins.
    durable: u64,
    recovered: Recovered,
}

impl Reading {
    /// Reads one segment; `Some(offset from base)` where its good part ends too early.
    fn segment(
        &mut self,
        base: u64,
        bytes: &[u8],
        visit: &mut dyn FnMut(Logged<Record>),
    ) -> Result<Option<u64>, OpenLogError> {
        let file = segment_path(base);
        let header = match SegmentHeader::decode(bytes) {
            Ok(header) if header.base.0 == base => header,
            Err(BadSegment::Newer(version)) => {
                return Err(OpenLogError::Newer { file, version, known: super::segment::VERSION });
            }
            _ => {
                self.end = base;
                return Ok(Some(0));
            }
        };
        let mut at = SEGMENT_HEADER;
        self.end = base;
        while at < bytes.len() {
            let Some(group) = check_group(&bytes[at..], WalPosition(self.end), header.epoch) else {
                return Ok(Some((at - SEGMENT_HEADER) as u64));
            };
            self.durable = self.durable.max(group.durable_end.0);
            self.records(&file, at, group.records, visit)?;
            at += GROUP_HEADER + group.records.len();
            self.end = base + (at - SEGMENT_HEADER) as u64;
        }
        self.recovered.bytes += bytes.len() as u64;
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
            let record = get_record(&mut reader).map_err(|e| OpenLogError::Damaged {
                file: file.to_owned(),
                offset: (group_at + GROUP_HEADER + e.offset) as u64,
                what: e.what,
            })?;
            if let Some(record) = record
                && position >= self.from.0
            {
                self.recovered.records += 1;
                visit(Logged::new(WalPosition(position), end, record));
            }
        }
        Ok(())
    }

    /// Decides on a tail that does not check from `position` on: cut it, or refuse.
    /// `bases` are the segment that holds it and all later ones.
    fn tear(&mut self, disk: &dyn Disk, bases: &[u64], position: u64) -> Result<(), OpenLogError> {
        let mut lost = 0;
        for base in bases {
            let bytes = read_all(disk, &segment_path(*base))?;
            let from = position.saturating_sub(*base) as usize + SEGMENT_HEADER;
            let tail = bytes.get(from..).unwrap_or(&[]);
            lost += tail.len() as u64;
            let start = WalPosition(*base + (from - SEGMENT_HEADER) as u64);
            let epoch = SegmentHeader::decode(&bytes).map(|h| h.epoch);
            if let Ok(epoch) = epoch {
                self.durable = self.durable.max(highest_durable_end(tail, start, epoch).0);
            }
        }
        let torn = bases.first().copied().unwrap_or(0);
        let offset = position - torn + SEGMENT_HEADER as u64;
        let file = segment_path(torn);
        if self.durable > position {
            let what = "a group's checksum or place does not hold";
            return Err(OpenLogError::Damaged { file, offset, what });
        }
        for base in bases.iter().skip(1).rev() {
            disk.remove(&segment_path(*base))?;
        }
        let open = disk.open(&file)?;
        open.set_len(offset)?;
        open.sync()?;
        disk.sync_dir(DIR)?;
        self.end = position;
        if lost > 0 {
            self.recovered.torn = Some((lost, file));
        }
        Ok(())
    }
}

/// Bases of all segments, ascending. Other files are not ours to touch.
pub(super) fn segments(disk: &dyn Disk) -> Result<Vec<u64>, DiskError> {
    let names = disk.list(DIR)?;
    let mut bases: Vec<u64> = names
        .iter()
        .filter_map(|name| u64::from_str_radix(name.strip_suffix(".log")?, 16).ok())
        .collect();
    bases.sort_unstable();
    Ok(bases)
}
