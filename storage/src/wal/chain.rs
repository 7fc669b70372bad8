//! What the rows of a batch record may lean on: the rows before them in their chain. Pure.
//!
//! A chain is the records of one shard from one that leans on nothing. Every series of it is known by the
//! row it had last: its value, and which series' row followed. Both sides keep the same memory, the writer
//! by slot, for it is on every sample's way; the reader by number. A segment begins all chains anew, so
//! that whoever reads it from its start can read it all; and so does every so many bytes, so that a
//! damaged group takes little with it.

use hashbrown::HashMap;

use super::record::FloatRow;
use crate::head::SHARDS;
use crate::model::SeriesId;
use crate::mutants::{Mutant, planted};
use crate::paged::Paged;
use crate::wire::FormatError;

/// A chain ends after so many bytes,
const CHAIN_BYTES: usize = 32 << 10;
/// or after so many for each series in it, whichever is more.
const CHAIN_BYTES_A_SERIES: usize = 64;

/// Slots of a page: 6 KB.
const PAGE: usize = 256;

/// The writer's chains, one a shard.
#[derive(Debug, Default)]
pub struct Chains(Vec<Chain>);

/// A shard's chain, as the writer knows it. A slot has one series at a time, and a series one slot for life.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    /// Records in it.
    records: u64,
    bytes: usize,
    series: usize,
    /// Whose row a record begins with.
    first: u64,
    by_slot: Paged<Last, PAGE>,
}

/// The row a series had last; 0 for the number of no series.
#[derive(Clone, Copy, Debug, Default)]
struct Last {
    id: u64,
    bits: u64,
    next: u64,
}

impl Chains {
    /// The chain of a shard.
    pub(crate) fn of(&mut self, shard: u16) -> &mut Chain {
        let at = usize::from(shard);
        if self.0.len() <= at {
            self.0.resize_with(at + 1, Chain::default);
        }
        &mut self.0[at]
    }

    /// The next record of every shard leans on nothing.
    pub(crate) fn begin_anew(&mut self) {
        self.0.iter_mut().for_each(Chain::begin_anew);
    }
}

impl Chain {
    /// Begins a record: its number in the chain.
    pub(super) fn record(&mut self) -> u64 {
        let full = CHAIN_BYTES.max(CHAIN_BYTES_A_SERIES * self.series);
        if self.bytes >= full {
            self.begin_anew();
        }
        self.records += 1;
        self.records - 1
    }

    /// The record took so many bytes.
    pub(super) fn grew(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    fn begin_anew(&mut self) {
        if planted(Mutant::ChainsCrossSegments) {
            return;
        }
        (self.records, self.bytes, self.series) = (0, 0, 0);
        self.first = 0;
        self.by_slot.iter_mut().for_each(|last| *last = Last::default());
    }

    /// Whose row is expected after the row of this slot; at the start of a record, after none.
    #[inline]
    pub(super) fn expected(&self, after: Option<u32>) -> SeriesId {
        SeriesId(match after {
            None => self.first,
            Some(slot) => self.by_slot.get(slot as usize).map_or(0, |last| last.next),
        })
    }

    /// A row that was not expected.
    pub(super) fn follows(&mut self, after: Option<u32>, row: &FloatRow) {
        match after {
            None => self.first = row.id.0,
            Some(slot) => {
                if let Some(last) = self.by_slot.get_mut(slot as usize) {
                    last.next = row.id.0;
                }
            }
        }
        let slot = row.slot as usize;
        while slot >= self.by_slot.len() {
            self.by_slot.push(Last::default());
        }
        let Some(last) = self.by_slot.get_mut(slot) else { return };
        if last.id != row.id.0 {
            self.series += 1;
            *last = Last { id: row.id.0, ..Last::default() };
        }
    }

    /// Puts in the value of a row that [`Chain::follows`] or was expected; gives the one before.
    #[inline]
    pub(super) fn replace(&mut self, row: &FloatRow) -> f64 {
        match self.by_slot.get_mut(row.slot as usize) {
            Some(last) => f64::from_bits(std::mem::replace(&mut last.bits, row.v.to_bits())),
            None => 0.0,
        }
    }
}

/// The reader's chains, one a shard.
#[derive(Debug, Default)]
pub(crate) struct ReadChains {
    by_shard: HashMap<u16, ReadChain>,
    /// Rows that leaned on what was lost.
    pub(crate) lost_rows: u64,
    /// Gaps that were met.
    pub(crate) gaps: u64,
}

/// A shard's chain, as the reader knows it.
#[derive(Debug, Default)]
pub(crate) struct ReadChain {
    records: u64,
    /// Whether a record may be missing, because something was lost and a repair has said so.
    broken: bool,
    first: Option<u32>,
    series: Vec<ReadLast>,
    by_id: HashMap<SeriesId, u32>,
}

#[derive(Clone, Copy, Debug)]
struct ReadLast {
    id: SeriesId,
    bits: u64,
    next: Option<u32>,
}

/// What can be made of a record's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readable {
    Yes,
    /// They lean on rows that were lost.
    Lost,
}

impl ReadChains {
    /// The chain of a shard.
    pub(crate) fn of(&mut self, shard: u16) -> &mut ReadChain {
        self.by_shard.entry(shard).or_default()
    }

    /// A segment begins.
    pub(crate) fn begin_anew(&mut self) {
        self.by_shard.clear();
    }

    /// A repair has put a gap here.
    pub(crate) fn gap(&mut self) {
        self.gaps += 1;
        (0..SHARDS as u16).for_each(|shard| self.of(shard).gap());
    }
}

impl ReadChain {
    /// Records may be missing from here on.
    pub(super) fn gap(&mut self) {
        self.broken = true;
    }

    /// Begins the record with this number.
    pub(super) fn record(&mut self, number: u64) -> Result<Readable, FormatError> {
        if number == 0 {
            *self = ReadChain::default();
        } else if self.broken {
            return Ok(Readable::Lost);
        } else if number != self.records {
            return Err(FormatError { what: "a record of the chain is missing", offset: 0 });
        }
        self.records += 1;
        Ok(Readable::Yes)
    }

    /// The row expected after this one.
    pub(super) fn expected(&self, after: Option<u32>) -> Option<u32> {
        match after {
            None => self.first,
            Some(at) => self.series[at as usize].next,
        }
    }

    /// A row of this series follows, which was not expected.
    pub(super) fn follows(&mut self, after: Option<u32>, id: SeriesId) -> u32 {
        let at = *self.by_id.entry(id).or_insert_with(|| {
            self.series.push(ReadLast { id, bits: 0, next: None });
            self.series.len() as u32 - 1
        });
        match after {
            None => self.first = Some(at),
            Some(before) => self.series[before as usize].next = Some(at),
        }
        at
    }

    /// Whose rows these are.
    pub(super) fn id(&self, at: u32) -> SeriesId {
        self.series[at as usize].id
    }

    /// The value of the row before.
    pub(super) fn value(&self, at: u32) -> f64 {
        f64::from_bits(self.series[at as usize].bits)
    }

    /// The value of this row.
    pub(super) fn set_value(&mut self, at: u32, value: f64) {
        self.series[at as usize].bits = value.to_bits();
    }
}
