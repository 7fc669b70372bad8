//! Mends a damaged segment: pure. A gap between groups that check becomes one group with one record that
//! every reader skips, so that all later groups keep their positions and are served.

use super::record::put_gap;
use super::segment::{
    GROUP_HEADER, SEGMENT_HEADER, SegmentHeader, check_group, next_group, seal_group,
};
use crate::model::WalPosition;

/// A mended segment, and what could not be read: position and length.
pub(crate) struct Mended {
    pub(crate) bytes: Vec<u8>,
    pub(crate) lost: Vec<(u64, u64)>,
}

/// Mends the segment that begins at `base`; the one after it begins at `next`. `None` = it is whole, its
/// torn end apart, which the next start cuts.
pub(crate) fn mend(mut bytes: Vec<u8>, base: u64, next: Option<u64>) -> Option<Mended> {
    let header = SegmentHeader::decode(&bytes).ok().filter(|h| h.base.0 == base);
    let groups = bytes.get(SEGMENT_HEADER..).unwrap_or_default();
    let (_, first_epoch) = next_group(groups, WalPosition(base), header.map(|h| h.epoch))?;
    let epoch = header.map_or(first_epoch, |h| h.epoch);
    let mut lost = Vec::new();
    if header.is_none() {
        let whole = SegmentHeader { epoch, base: WalPosition(base) }.encode();
        bytes[..SEGMENT_HEADER].copy_from_slice(&whole);
        lost.push((base, 0));
    }
    let mut position = base;
    let mut durable = WalPosition(0);
    loop {
        let at = (position - base) as usize + SEGMENT_HEADER;
        let rest = bytes.get(at..).unwrap_or_default();
        if let Some(group) = check_group(rest, WalPosition(position), Some(epoch)) {
            durable = durable.max(group.durable_end);
            position += (GROUP_HEADER + group.records.len()) as u64;
            continue;
        }
        if next == Some(position) {
            break;
        }
        let later = next_group(rest, WalPosition(position), Some(epoch));
        let Some(end) = later.map(|(offset, _)| position + offset as u64).or(next) else { break };
        fill(&mut bytes, at, (end - position) as usize, position, durable, epoch);
        lost.push((position, end - position));
        position = end;
    }
    (!lost.is_empty()).then_some(Mended { bytes, lost })
}

fn fill(
    bytes: &mut Vec<u8>,
    at: usize,
    length: usize,
    position: u64,
    durable: WalPosition,
    epoch: u32,
) {
    if bytes.len() < at + length {
        bytes.resize(at + length, 0);
    }
    let gap = &mut bytes[at..at + length];
    put_gap(&mut gap[GROUP_HEADER..]);
    seal_group(gap, WalPosition(position), durable, epoch);
}
