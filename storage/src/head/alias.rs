//! Raw label bytes of a sender straight to their series: no parse, no allocation when known, and no
//! hash where a sender repeats the order of its last request.
//!
//! Every spelling remembers which one followed it last time. A prediction is believed only if the
//! bytes are equal. An alias may outlive its series; whoever follows it checks the series id.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use hashbrown::HashTable;

use crate::model::SeriesId;

/// Most aliases kept; past that all are forgotten, and come back from what is in use.
const MAX_ALIASES: usize = 1 << 22;
/// Most bytes of spellings kept, likewise.
const MAX_BYTES: usize = 1 << 30;
/// Spellings lie one after the other in pages of this size, in the order they were first seen,
/// which is the order they are compared in.
const PAGE: usize = 64 << 10;

/// No alias.
const NONE: u32 = u32::MAX;

/// Where a series stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) shard: u16,
    pub(crate) slot: u32,
    pub(crate) id: SeriesId,
}

/// Known spellings.
#[derive(Default)]
pub(crate) struct Aliases(RwLock<Known>);

#[derive(Default)]
struct Known {
    table: HashTable<u32>,
    entries: Vec<Alias>,
    pages: Vec<Vec<u8>>,
    bytes: usize,
}

struct Alias {
    hash: u64,
    target: Target,
    page: u32,
    start: u32,
    len: u32,
    /// Which alias came after this one last time.
    next: AtomicU32,
}

/// Looks spellings up in the order of one request.
pub(crate) struct Lookup<'a> {
    known: RwLockReadGuard<'a, Known>,
    last: u32,
}

/// A spelling to remember.
pub(crate) struct Spelling<'a> {
    pub(crate) hash: u64,
    pub(crate) bytes: &'a [u8],
    pub(crate) target: Target,
}

impl Aliases {
    /// The hash of a spelling.
    pub(crate) fn hash(bytes: &[u8]) -> u64 {
        xxhash_rust::xxh3::xxh3_64(bytes)
    }

    /// Begins to look up what one request has. Nothing can be remembered while this lives.
    pub(crate) fn lookup(&self) -> Lookup<'_> {
        Lookup { known: self.0.read().unwrap_or_else(PoisonError::into_inner), last: NONE }
    }

    /// Remembers spellings.
    pub(crate) fn remember(&self, spellings: &[Spelling<'_>]) {
        if spellings.is_empty() {
            return;
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for spelling in spellings {
            known.remember(spelling);
        }
    }
}

impl Lookup<'_> {
    /// The series these bytes named last time, or their hash.
    pub(crate) fn find(&mut self, bytes: &[u8]) -> Result<Target, u64> {
        let known = &*self.known;
        let before = known.entries.get(self.last as usize);
        if let Some(before) = before {
            let next = before.next.load(Ordering::Relaxed);
            if let Some(alias) = known.entries.get(next as usize)
                && known.spelling(alias) == bytes
            {
                self.last = next;
                return Ok(alias.target);
            }
        }
        let hash = Aliases::hash(bytes);
        let Some(found) = known.find(hash, bytes) else {
            self.last = NONE;
            return Err(hash);
        };
        if let Some(before) = before {
            before.next.store(found, Ordering::Relaxed);
        }
        self.last = found;
        Ok(known.entries[found as usize].target)
    }
}

impl Known {
    fn spelling(&self, alias: &Alias) -> &[u8] {
        let start = alias.start as usize;
        &self.pages[alias.page as usize][start..start + alias.len as usize]
    }

    fn find(&self, hash: u64, bytes: &[u8]) -> Option<u32> {
        let same = |at: &u32| {
            let alias = &self.entries[*at as usize];
            alias.hash == hash && self.spelling(alias) == bytes
        };
        self.table.find(hash, same).copied()
    }

    fn remember(&mut self, spelling: &Spelling<'_>) {
        let Spelling { hash, bytes, target } = *spelling;
        if let Some(at) = self.find(hash, bytes) {
            self.entries[at as usize].target = target;
            return;
        }
        if self.entries.len() >= MAX_ALIASES || self.bytes + bytes.len() > MAX_BYTES {
            *self = Known::default();
        }
        let (page, start) = self.store(bytes);
        let (at, len) = (self.entries.len() as u32, bytes.len() as u32);
        self.entries.push(Alias { hash, target, page, start, len, next: AtomicU32::new(NONE) });
        let entries = &self.entries;
        self.table.insert_unique(hash, at, |at| entries[*at as usize].hash);
    }

    fn store(&mut self, bytes: &[u8]) -> (u32, u32) {
        self.bytes += bytes.len();
        let fits = |page: &Vec<u8>| page.capacity() - page.len() >= bytes.len();
        if !self.pages.last().is_some_and(fits) {
            self.pages.push(Vec::with_capacity(PAGE.max(bytes.len())));
        }
        let last = self.pages.len() - 1;
        let page = &mut self.pages[last];
        let start = page.len();
        page.extend_from_slice(bytes);
        (last as u32, start as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(id: u64) -> Target {
        Target { shard: 3, slot: id as u32, id: SeriesId(id) }
    }

    #[test]
    fn order_may_change_and_spellings_may_move() {
        let aliases = Aliases::default();
        let names: Vec<Vec<u8>> = (0..3000_u32).map(|i| i.to_le_bytes().repeat(20)).collect();
        let hashes: Vec<u64> = {
            let mut lookup = aliases.lookup();
            names.iter().map(|name| lookup.find(name).unwrap_err()).collect()
        };
        let all = names.iter().zip(&hashes).zip(0_u64..);
        let all: Vec<_> = all
            .map(|((bytes, hash), i)| Spelling { hash: *hash, bytes, target: target(i) })
            .collect();
        aliases.remember(&all);
        // In order, again in order, backwards, every second one, each one twice.
        let forward: Vec<usize> = (0..names.len()).collect();
        let orders = [
            forward.clone(),
            forward.clone(),
            forward.iter().rev().copied().collect(),
            forward.iter().step_by(2).copied().collect(),
            forward.iter().flat_map(|i| [*i, *i]).collect(),
            forward,
        ];
        for order in orders {
            let mut lookup = aliases.lookup();
            for i in order {
                assert_eq!(lookup.find(&names[i]), Ok(target(i as u64)));
            }
            assert!(lookup.find(b"never sent").is_err());
        }
        aliases.remember(&[Spelling { hash: hashes[7], bytes: &names[7], target: target(9999) }]);
        assert_eq!(aliases.lookup().find(&names[7]), Ok(target(9999)));
    }
}
