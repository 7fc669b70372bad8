//! Segment files: made or recycled, filled with zeros ahead of the groups.
//!
//! A write into bytes the file already has changes no metadata, so its sync is one write and not two.
//! A recycled file still holds groups of its former life; they never parse, because a group carries
//! its position and its epoch, and no byte of a file has the same position in two lives. Only files
//! that this opening made, and whose renaming is synced, are recycled.

use std::io::ErrorKind;
use std::sync::Arc;

use super::segment::{SEGMENT_HEADER, SegmentHeader, next_group};
use crate::disk::{Disk, DiskError, File, read_all};
use crate::model::WalPosition;

/// Directory of the segments.
pub(crate) const DIR: &str = "wal";
/// What the name of a file that waits for its next life ends with.
pub(super) const SPARE: &str = ".spare";
/// The first fill; each next one is as large as the segment is by then.
const FIRST_FILL: u64 = 64 << 10;
/// Not made anew for each fill: memory that is written once stays resident for long.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// The highest epoch that any file of the log carries.
pub(crate) fn highest_epoch(disk: &dyn Disk) -> Result<u32, DiskError> {
    let mut highest = 0;
    for name in disk.list(DIR)? {
        let bytes = read_all(disk, &format!("{DIR}/{name}"))?;
        highest = match SegmentHeader::decode(&bytes) {
            Ok(header) => highest.max(header.epoch),
            Err(_) => highest.max(any_epoch(&bytes, &name)),
        };
    }
    Ok(highest)
}

/// The epoch of the first group that checks, for a segment whose header does not.
fn any_epoch(bytes: &[u8], name: &str) -> u32 {
    let base = name.split('.').next().and_then(|hex| u64::from_str_radix(hex, 16).ok());
    let groups = bytes.get(SEGMENT_HEADER..).unwrap_or_default();
    let found = base.and_then(|base| next_group(groups, WalPosition(base), None));
    found.map_or(0, |(_, epoch)| epoch)
}

/// The segment being written.
pub(super) struct SegmentFile {
    pub(super) file: Arc<dyn File>,
    pub(super) base: u64,
    /// Bytes the file has; groups below them overwrite.
    allocated: u64,
    /// The largest fill; 0 = none, or none any more since one failed.
    fill: u64,
}

impl SegmentFile {
    /// Makes the segment that begins at `base`, of a spare file where there is one.
    pub(super) fn create(
        disk: &dyn Disk,
        base: u64,
        epoch: u32,
        fill: u64,
        spare: Option<&str>,
    ) -> Result<SegmentFile, DiskError> {
        let path = segment_path(base);
        let header = SegmentHeader { epoch, base: WalPosition(base) }.encode();
        if let Some(spare) = spare {
            let file = disk.open(spare)?;
            file.write_at(&header, 0)?;
            let allocated = file.size()?;
            disk.rename(spare, &path)?;
            return Ok(SegmentFile { file, base, allocated, fill });
        }
        let file = match disk.create(&path) {
            // Left by an attempt that failed, or by an opening that wrote nothing: it holds no group.
            Err(e) if e.kind == ErrorKind::AlreadyExists => {
                let file = disk.open(&path)?;
                file.set_len(0)?;
                file
            }
            other => other?,
        };
        file.write_at(&header, 0)?;
        Ok(SegmentFile { file, base, allocated: SEGMENT_HEADER as u64, fill })
    }

    /// Writes a group at its position, and zeros after it where the file ends.
    pub(super) fn put(&mut self, group: &[u8], position: u64) -> Result<(), DiskError> {
        let at = SEGMENT_HEADER as u64 + position - self.base;
        self.file.write_at(group, at)?;
        let end = at + group.len() as u64;
        if end > self.allocated {
            self.allocated = end;
            self.fill(end);
        }
        Ok(())
    }

    /// The group is in; that there is no room for zeros after it is no failure of its write.
    fn fill(&mut self, end: u64) {
        if self.fill == 0 {
            return;
        }
        let until = end + end.max(FIRST_FILL).min(self.fill);
        while self.allocated < until {
            let zeros = &ZEROS[..(until - self.allocated).min(ZEROS.len() as u64) as usize];
            if self.file.write_at(zeros, self.allocated).is_err() {
                self.fill = 0;
                return;
            }
            self.allocated += zeros.len() as u64;
        }
    }
}

/// Path of the segment that begins at `base`.
pub(crate) fn segment_path(base: u64) -> String {
    format!("{DIR}/{base:016x}.log")
}

/// Path of what that segment's file is called until its next life.
pub(super) fn spare_path(base: u64) -> String {
    format!("{DIR}/{base:016x}{SPARE}")
}

/// Bases of all segments, ascending. Other files are not ours to touch.
pub(crate) fn segments(disk: &dyn Disk) -> Result<Vec<u64>, DiskError> {
    let names = disk.list(DIR)?;
    let mut bases: Vec<u64> = names
        .iter()
        .filter_map(|name| u64::from_str_radix(name.strip_suffix(".log")?, 16).ok())
        .collect();
    bases.sort_unstable();
    Ok(bases)
}
