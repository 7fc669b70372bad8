//! Headers of segments and groups: pure.

use crate::model::WalPosition;
use crate::mutants::{Mutant, planted};

pub(crate) const SEGMENT_HEADER: usize = 32;
pub(crate) const GROUP_HEADER: usize = 32;
pub(crate) const VERSION: u32 = 1;
/// Largest group: what one write may carry.
pub(crate) const MAX_GROUP: usize = 1 << 30;

const SEGMENT_MAGIC: &[u8; 8] = b"RINGWAL\0";
const GROUP_MAGIC: &[u8; 4] = b"WGRP";

// Segment header, see docs/format/wal.md.
const AT_VERSION: usize = 8;
const AT_EPOCH: usize = 12;
const AT_BASE: usize = 16;
// Group header.
const AT_LENGTH: usize = 4;
const AT_POSITION: usize = 8;
const AT_DURABLE: usize = 16;
const AT_GROUP_EPOCH: usize = 24;
// Both end with their checksum.
const AT_CRC: usize = 28;

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) epoch: u32,
    pub(crate) base: WalPosition,
}

/// Why a segment header is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadSegment {
    /// Too short, wrong magic or wrong checksum.
    Damaged,
    /// Written by a newer release.
    Newer(u32),
}

impl SegmentHeader {
    pub(crate) fn encode(self) -> [u8; SEGMENT_HEADER] {
        let mut bytes = [0; SEGMENT_HEADER];
        bytes[..AT_VERSION].copy_from_slice(SEGMENT_MAGIC);
        bytes[AT_VERSION..AT_EPOCH].copy_from_slice(&VERSION.to_le_bytes());
        bytes[AT_EPOCH..AT_BASE].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[AT_BASE..AT_BASE + 8].copy_from_slice(&self.base.0.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..AT_CRC]);
        bytes[AT_CRC..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<SegmentHeader, BadSegment> {
        let header = bytes.get(..SEGMENT_HEADER).ok_or(BadSegment::Damaged)?;
        if &header[..AT_VERSION] != SEGMENT_MAGIC
            || u32_at(header, AT_CRC) != crc32c::crc32c(&header[..AT_CRC])
        {
            return Err(BadSegment::Damaged);
        }
        match u32_at(header, AT_VERSION) {
            VERSION => Ok(SegmentHeader {
                epoch: u32_at(header, AT_EPOCH),
                base: WalPosition(u64_at(header, AT_BASE)),
            }),
            newer => Err(BadSegment::Newer(newer)),
        }
    }
}

/// A group that has been checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group<'a> {
    pub(crate) durable_end: WalPosition,
    pub(crate) records: &'a [u8],
}

/// Fills the first [`GROUP_HEADER`] bytes of `group`, whose records follow them.
pub(crate) fn seal_group(
    group: &mut [u8],
    position: WalPosition,
    durable_end: WalPosition,
    epoch: u32,
) {
    let length = u32::try_from(group.len() - GROUP_HEADER).expect("groups end at MAX_GROUP");
    group[..AT_LENGTH].copy_from_slice(GROUP_MAGIC);
    group[AT_LENGTH..AT_POSITION].copy_from_slice(&length.to_le_bytes());
    group[AT_POSITION..AT_DURABLE].copy_from_slice(&position.0.to_le_bytes());
    group[AT_DURABLE..AT_GROUP_EPOCH].copy_from_slice(&durable_end.0.to_le_bytes());
    group[AT_GROUP_EPOCH..AT_CRC].copy_from_slice(&epoch.to_le_bytes());
    let crc = group_crc(group);
    group[AT_CRC..GROUP_HEADER].copy_from_slice(&crc.to_le_bytes());
}

/// The group at the start of `bytes`, if it is one of this epoch at this position.
pub(crate) fn check_group(
    bytes: &[u8],
    position: WalPosition,
    epoch: Option<u32>,
) -> Option<Group<'_>> {
    let length = begun(bytes, position, epoch)?;
    let header = &bytes[..GROUP_HEADER];
    let group = bytes.get(..GROUP_HEADER + length)?;
    (group_crc(group) == u32_at(header, AT_CRC)).then_some(Group {
        durable_end: WalPosition(u64_at(header, AT_DURABLE)),
        records: &group[GROUP_HEADER..],
    })
}

/// How many bytes of records the group claims that begins here, if one of this epoch does.
pub(crate) fn claimed(bytes: &[u8], position: WalPosition, epoch: Option<u32>) -> Option<usize> {
    begun(bytes, position, epoch)
}

/// What stands after the end of a log.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Survey {
    /// The highest `durable end` of groups that check.
    pub(crate) durable_end: WalPosition,
    /// Bytes up to the end of the last group that was begun here; zeros and groups of the file's
    /// former life do not count.
    pub(crate) bytes: u64,
}

/// Looks for groups at every offset of `bytes`, whose first byte has this position. For telling
/// torn from damaged, and from nothing at all. Where the segment's header does not tell the epoch,
/// the position has to do, which no group of a former life has either.
pub(crate) fn survey(bytes: &[u8], position: WalPosition, epoch: Option<u32>) -> Survey {
    let mut found = Survey::default();
    if let Some(length) = nearly_begun(bytes, position, epoch) {
        found.bytes = (GROUP_HEADER + length).min(bytes.len()) as u64;
    }
    let mut at = 0;
    while let Some(next) = find_magic(bytes, at) {
        at = next + 1;
        let here = WalPosition(position.0 + next as u64);
        let group = &bytes[next..];
        let Some(length) = begun(group, here, epoch) else { continue };
        let end = (next + GROUP_HEADER + length).min(bytes.len());
        found.bytes = found.bytes.max(end as u64);
        if let Some(group) = check_group(group, here, epoch) {
            found.durable_end = found.durable_end.max(group.durable_end);
        }
    }
    found
}

/// The first group at or after the start of `bytes` that checks: its offset, and its epoch.
pub(crate) fn next_group(
    bytes: &[u8],
    position: WalPosition,
    epoch: Option<u32>,
) -> Option<(usize, u32)> {
    let mut at = 0;
    while let Some(next) = find_magic(bytes, at) {
        at = next + 1;
        let here = WalPosition(position.0 + next as u64);
        if check_group(&bytes[next..], here, epoch).is_some() {
            return Some((next, u32_at(&bytes[next..], AT_GROUP_EPOCH)));
        }
    }
    None
}

fn find_magic(bytes: &[u8], mut from: usize) -> Option<usize> {
    loop {
        let rest = bytes.get(from..)?;
        let first = rest.iter().position(|b| *b == GROUP_MAGIC[0])?;
        if rest[first..].starts_with(GROUP_MAGIC) {
            return Some(from + first);
        }
        from += first + 1;
    }
}

/// The length a group of this epoch at this position claims, if one begins here.
fn begun(bytes: &[u8], position: WalPosition, epoch: Option<u32>) -> Option<usize> {
    let header = bytes.get(..GROUP_HEADER)?;
    let length = u32_at(header, AT_LENGTH) as usize;
    let plausible = &header[..AT_LENGTH] == GROUP_MAGIC
        && (planted(Mutant::AcceptStaleGroup)
            || u64_at(header, AT_POSITION) == position.0
                && epoch.is_none_or(|e| u32_at(header, AT_GROUP_EPOCH) == e))
        && length <= MAX_GROUP;
    plausible.then_some(length)
}

/// The length a group claims, however large, whose header is one of this epoch at this position, but for
/// at most one bit.
fn nearly_begun(bytes: &[u8], position: WalPosition, epoch: Option<u32>) -> Option<usize> {
    let header = bytes.get(..GROUP_HEADER)?;
    let magic = u32_at(header, 0) ^ u32::from_le_bytes(*GROUP_MAGIC);
    let epoch = epoch.map_or(0, |epoch| u32_at(header, AT_GROUP_EPOCH) ^ epoch);
    let place = u64_at(header, AT_POSITION) ^ position.0;
    let wrong = magic.count_ones() + epoch.count_ones() + place.count_ones();
    (wrong <= 1).then_some((u32_at(header, AT_LENGTH) as usize).min(MAX_GROUP))
}

fn group_crc(group: &[u8]) -> u32 {
    let skipped = if planted(Mutant::ChecksumSkipsEnd) { group.len() / 8 } else { 0 };
    let records = &group[GROUP_HEADER..(group.len() - skipped).max(GROUP_HEADER)];
    let header = if planted(Mutant::ChecksumSkipsHeader) { 0 } else { AT_CRC };
    crc32c::crc32c_append(crc32c::crc32c(&group[..header]), records)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
