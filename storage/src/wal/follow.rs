//! Following the log: group by group from a position on, never past what is synced.
//!
//! A follower reads files, so that it may be as slow as it likes: what waits for it stands in the log
//! and not in memory, and nothing that is appended ever waits for it. It holds one group at a time. The
//! log is kept for followers up to a size; one that comes too late is told so and begins anew from a
//! View of the keyspace.

use std::sync::Arc;

use super::chain::ReadChains;
use super::file::{segment_path, segments};
use super::record::{Record, get_record, keys_effects};
use super::segment::{GROUP_HEADER, SEGMENT_HEADER, SegmentHeader, check_group, claimed};
use crate::disk::{Disk, DiskError, File};
use crate::model::WalPosition;
use crate::wire::{FormatError, Reader};

/// Bytes read at a time, where groups are smaller.
const CHUNK: usize = 256 << 10;

/// Why a follower cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The log before `oldest` is gone.
    #[error("the log is kept from position {oldest} on, and {wanted} is asked for")]
    Behind {
        /// What was to be read next.
        wanted: u64,
        /// What there is.
        oldest: u64,
    },
    /// What was synced does not check.
    #[error("the log is damaged at position {position}: {what}")]
    Damaged {
        /// Where.
        position: u64,
        /// What is wrong.
        what: &'static str,
    },
}

/// Reads the log behind those who write it.
pub struct Follower {
    disk: Arc<dyn Disk>,
    /// Position of the next group.
    next: u64,
    /// Records below are not given.
    from: u64,
    segment: Option<Segment>,
    /// Bytes of the log from `next` on, read ahead.
    ahead: Vec<u8>,
    /// How many of them are behind `next` already.
    done: usize,
    /// Whether groups are given from the start of their segment on, though what is in them may be below `from`.
    whole: bool,
    /// The life of the log in which the last group was written that was given or passed over.
    epoch: Option<u32>,
}

/// What stands where the next group should.
enum Look {
    /// A group of this length.
    Whole(usize),
    /// A group that is not durable yet.
    Later,
    /// None.
    None,
}

struct Segment {
    file: Arc<dyn File>,
    base: u64,
    epoch: u32,
}

/// A group that is durable: what one write put into the log.
#[derive(Debug)]
pub struct FollowedGroup {
    start: u64,
    from: u64,
    /// Whether it is the first of its segment.
    first: bool,
    records: Vec<u8>,
}

/// What one command did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowedKeys<'a> {
    /// Where its record stands.
    pub position: WalPosition,
    /// As `docs/format/effects.md` says.
    pub effects: &'a [u8],
}

impl Follower {
    /// Reads records at or above `from`.
    pub fn new(disk: Arc<dyn Disk>, from: WalPosition) -> Follower {
        Follower {
            disk,
            next: 0,
            from: from.0,
            segment: None,
            ahead: Vec::new(),
            done: 0,
            whole: false,
            epoch: None,
        }
    }

    /// Gives groups from the start of the segment on: the rows of samples lean on those before them.
    pub(crate) fn read_whole_segments(&mut self) {
        self.whole = true;
    }

    /// In which life of the log the last byte below [`Follower::position`] was written; `None` if that is not
    /// kept any more.
    pub(crate) fn epoch(&self) -> Option<u32> {
        self.epoch.or_else(|| epoch_below(&*self.disk, WalPosition(self.from)))
    }

    /// Where the group after those that were given begins; `from` before the first.
    pub fn position(&self) -> WalPosition {
        WalPosition(self.next.max(self.from))
    }

    /// The next group that ends at or below `durable`; `None` while there is none.
    pub fn next(&mut self, durable: WalPosition) -> Result<Option<FollowedGroup>, FollowError> {
        if self.segment.is_none() && !self.enter(durable)? {
            return Ok(None);
        }
        while self.next < durable.0 {
            let Some(length) = self.group(durable)? else { return Ok(None) };
            let start = self.next;
            let end = start + length as u64;
            let whole = self.ahead.get(self.done..self.done + length).unwrap_or_default();
            let wanted = (self.whole || end > self.from) && length > GROUP_HEADER;
            let (base, epoch) = self.segment.as_ref().map(|s| (s.base, s.epoch)).unzip();
            self.epoch = if end > self.from { epoch } else { self.epoch };
            let records = wanted.then(|| whole.get(GROUP_HEADER..).unwrap_or_default().to_vec());
            self.next = end;
            self.done += length;
            if let Some(records) = records {
                let first = base == Some(start);
                return Ok(Some(FollowedGroup { start, from: self.from, first, records }));
            }
        }
        Ok(None)
    }

    /// Goes to the segment that holds where reading begins; whether there is one.
    fn enter(&mut self, durable: WalPosition) -> Result<bool, FollowError> {
        let bases = segments(&*self.disk)?;
        let Some(base) = bases.iter().rev().find(|base| **base <= self.from) else {
            let wanted = self.from;
            return match bases.first() {
                Some(oldest) => Err(FollowError::Behind { wanted, oldest: *oldest }),
                None => Ok(false),
            };
        };
        if *base >= durable.0 {
            return Ok(false);
        }
        self.open(*base)
    }

    /// Opens the segment that begins at `base`; `false` if it is not that segment any more, or not yet.
    fn open(&mut self, base: u64) -> Result<bool, FollowError> {
        let file = self.disk.open(&segment_path(base))?;
        let mut header = [0; SEGMENT_HEADER];
        let got = file.read_at(&mut header, 0)?;
        let header = SegmentHeader::decode(header.get(..got).unwrap_or_default());
        let Some(header) = header.ok().filter(|header| header.base.0 == base) else {
            return Ok(false);
        };
        self.segment = Some(Segment { file, base, epoch: header.epoch });
        self.next = base;
        self.ahead.clear();
        self.done = 0;
        Ok(true)
    }

    /// Sees to it that the next group is read ahead, whole and checked; gives its length.
    fn group(&mut self, durable: WalPosition) -> Result<Option<usize>, FollowError> {
        for fresh in [false, true] {
            match self.look(durable, fresh)? {
                Look::Whole(length) => return Ok(Some(length)),
                Look::Later => return Ok(None),
                Look::None => {}
            }
        }
        // The segment ends here, and what follows it in the file is nothing: the next one begins.
        let bases = segments(&*self.disk)?;
        let here = self.segment.as_ref().map(|segment| segment.base);
        if Some(self.next) != here && bases.contains(&self.next) {
            return if self.open(self.next)? { self.group(durable) } else { Ok(None) };
        }
        match bases.first() {
            Some(oldest) if *oldest > self.next => {
                Err(FollowError::Behind { wanted: self.next, oldest: *oldest })
            }
            _ => {
                let what = "no group stands where one was synced";
                Err(FollowError::Damaged { position: self.next, what })
            }
        }
    }

    /// Looks at the next group; `fresh` reads it again, for what was read ahead may be older.
    fn look(&mut self, durable: WalPosition, fresh: bool) -> Result<Look, FollowError> {
        if fresh {
            self.ahead.clear();
            self.done = 0;
        }
        self.fill(GROUP_HEADER, durable)?;
        let Some(segment) = &self.segment else { return Ok(Look::None) };
        let (position, epoch) = (WalPosition(self.next), Some(segment.epoch));
        let Some(records) = claimed(self.waiting(), position, epoch) else { return Ok(Look::None) };
        let length = GROUP_HEADER + records;
        if self.next + length as u64 > durable.0 {
            return Ok(Look::Later);
        }
        self.fill(length, durable)?;
        let whole = check_group(self.waiting(), position, epoch).is_some();
        Ok(if whole { Look::Whole(length) } else { Look::None })
    }

    fn waiting(&self) -> &[u8] {
        self.ahead.get(self.done..).unwrap_or_default()
    }

    /// Reads on until `wanted` bytes wait, if there are so many that are durable.
    fn fill(&mut self, wanted: usize, durable: WalPosition) -> Result<(), FollowError> {
        if self.waiting().len() >= wanted {
            return Ok(());
        }
        let Some(segment) = &self.segment else { return Ok(()) };
        self.ahead.drain(..self.done);
        self.done = 0;
        let have = self.ahead.len();
        let left = usize::try_from(durable.0 - self.next).unwrap_or(usize::MAX);
        let target = wanted.max(CHUNK).min(left);
        if target <= have {
            return Ok(());
        }
        self.ahead.resize(target, 0);
        let at = SEGMENT_HEADER as u64 + self.next - segment.base + have as u64;
        let into = self.ahead.get_mut(have..).unwrap_or_default();
        let got = segment.file.read_at(into, at)?;
        self.ahead.truncate(have + got);
        if self.ahead.capacity() > 4 * CHUNK && target <= CHUNK {
            self.ahead.shrink_to(CHUNK);
        }
        Ok(())
    }
}

impl FollowedGroup {
    /// What commands did, in order.
    pub fn keys(&self) -> impl Iterator<Item = Result<FollowedKeys<'_>, FollowError>> {
        let mut reader = Reader::new(&self.records);
        let first = self.start + GROUP_HEADER as u64;
        std::iter::from_fn(move || {
            while !reader.is_empty() {
                let position = WalPosition(first + reader.offset() as u64);
                match keys_effects(&mut reader) {
                    Ok(Some(effects)) if position.0 >= self.from => {
                        return Some(Ok(FollowedKeys { position, effects }));
                    }
                    Ok(_) => {}
                    Err(FormatError { what, .. }) => {
                        let position = position.0;
                        return Some(Err(FollowError::Damaged { position, what }));
                    }
                }
            }
            None
        })
    }

    /// All its records with their positions, also those below where reading begins; whoever reads groups one after
    /// the other from the start of a segment keeps the chains.
    pub(crate) fn records<'a>(
        &'a self,
        chains: &'a mut ReadChains,
    ) -> impl Iterator<Item = Result<(WalPosition, Record), FollowError>> + 'a {
        if self.first {
            chains.begin_anew();
        }
        let mut reader = Reader::new(&self.records);
        let first = self.start + GROUP_HEADER as u64;
        std::iter::from_fn(move || {
            while !reader.is_empty() {
                let position = WalPosition(first + reader.offset() as u64);
                let gaps = chains.gaps;
                match get_record(&mut reader, chains) {
                    Ok(_) if chains.gaps > gaps => {
                        let what = "a repair could not read what stood here";
                        return Some(Err(FollowError::Damaged { position: position.0, what }));
                    }
                    Ok(Some(record)) => return Some(Ok((position, record))),
                    Ok(None) => {}
                    Err(FormatError { what, .. }) => {
                        let position = position.0;
                        return Some(Err(FollowError::Damaged { position, what }));
                    }
                }
            }
            None
        })
    }

    /// Where it ends.
    pub fn end(&self) -> WalPosition {
        WalPosition(self.start + (GROUP_HEADER + self.records.len()) as u64)
    }
}

/// In which life of the log the byte below a position was written; `None` if it is not there.
pub(crate) fn epoch_below(disk: &dyn Disk, position: WalPosition) -> Option<u32> {
    let bases = segments(disk).ok()?;
    let base = bases.into_iter().rev().find(|base| *base < position.0)?;
    let file = disk.open(&segment_path(base)).ok()?;
    let mut header = [0; SEGMENT_HEADER];
    let got = file.read_at(&mut header, 0).ok()?;
    let header = SegmentHeader::decode(header.get(..got)?).ok()?;
    (header.base.0 == base).then_some(header.epoch)
}
