//! A sender's spelling of a label set straight to its series: no parse and no allocation when known, and no
//! look-up where a sender repeats the order of its last request.
//!
//! Of a spelling only a hash is kept (docs/decisions/0015): 128 bits, keyed with what only this process knows.
//! Every spelling remembers which one followed it last time. An alias may outlive its series; whoever
//! follows it checks the series id.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use hashbrown::HashTable;

use super::SHARDS;
use crate::model::SeriesId;
use crate::paged::Paged;

/// Most aliases kept; past that all are forgotten, and come back from what is in use.
const MAX_ALIASES: usize = 1 << 22;
/// Aliases lie one after the other in pages of so many, in the order they were first seen, which is the
/// order they are asked for in.
const PAGE: usize = 1 << 8;

/// No alias.
const NONE: u32 = u32::MAX;

/// Where a series stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) shard: u16,
    pub(crate) slot: u32,
    pub(crate) id: SeriesId,
}

/// What stands for a spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hash {
    low: u64,
    high: u64,
}

/// Known spellings.
pub(crate) struct Aliases {
    key: u64,
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    table: HashTable<u32>,
    aliases: Paged<Alias, PAGE>,
}

struct Alias {
    hash: Hash,
    id: SeriesId,
    /// Slot and shard in one number.
    place: u32,
    /// Which alias came after this one last time.
    next: AtomicU32,
}

/// Looks spellings up in the order of one request.
pub(crate) struct Lookup<'a> {
    key: u64,
    known: RwLockReadGuard<'a, Known>,
    last: u32,
}

/// A spelling to remember.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spelling {
    pub(crate) hash: Hash,
    pub(crate) target: Target,
}

impl Default for Aliases {
    fn default() -> Aliases {
        Aliases { key: RandomState::new().hash_one(0), known: RwLock::default() }
    }
}

impl Aliases {
    /// The hash of a spelling.
    pub(crate) fn hash(&self, bytes: &[u8]) -> Hash {
        hash(self.key, bytes)
    }

    /// Begins to look up what one request has. Nothing can be remembered while this lives.
    pub(crate) fn lookup(&self) -> Lookup<'_> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        Lookup { key: self.key, known, last: NONE }
    }

    /// Remembers spellings.
    pub(crate) fn remember(&self, spellings: &[Spelling]) {
        if spellings.is_empty() {
            return;
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        for spelling in spellings {
            known.remember(spelling);
        }
    }
}

#[inline]
fn hash(key: u64, bytes: &[u8]) -> Hash {
    let hash = xxhash_rust::xxh3::xxh3_128_with_seed(bytes, key);
    Hash { low: hash as u64, high: (hash >> 64) as u64 }
}

impl Lookup<'_> {
    /// The series these bytes named last time, or their hash.
    pub(crate) fn find(&mut self, bytes: &[u8]) -> Result<Target, Hash> {
        let known = &*self.known;
        let hash = hash(self.key, bytes);
        let before = known.get(self.last);
        if let Some(before) = before {
            let next = before.next.load(Ordering::Relaxed);
            if let Some(alias) = known.get(next)
                && alias.hash == hash
            {
                self.last = next;
                return Ok(alias.target());
            }
        }
        let found = known.find(hash).and_then(|at| Some((at, known.get(at)?)));
        let Some((at, alias)) = found else {
            self.last = NONE;
            return Err(hash);
        };
        if let Some(before) = before {
            before.next.store(at, Ordering::Relaxed);
        }
        self.last = at;
        Ok(alias.target())
    }
}

impl Alias {
    #[inline]
    fn target(&self) -> Target {
        const SHARD: u32 = SHARDS as u32;
        Target { shard: (self.place % SHARD) as u16, slot: self.place / SHARD, id: self.id }
    }

    fn place_of(target: Target) -> u32 {
        // A head of more than 2^28 slots a shard does not fit in memory; the series' number would tell.
        target.slot.wrapping_mul(SHARDS as u32) + u32::from(target.shard)
    }
}

impl Known {
    #[inline]
    fn get(&self, at: u32) -> Option<&Alias> {
        self.aliases.get(at as usize)
    }

    fn find(&self, hash: Hash) -> Option<u32> {
        let same = |at: &u32| self.get(*at).is_some_and(|alias| alias.hash == hash);
        self.table.find(hash.low, same).copied()
    }

    fn remember(&mut self, spelling: &Spelling) {
        let Spelling { hash, target } = *spelling;
        let (id, place) = (target.id, Alias::place_of(target));
        if let Some(at) = self.find(hash) {
            if let Some(alias) = self.aliases.get_mut(at as usize) {
                (alias.id, alias.place) = (id, place);
            }
            return;
        }
        if self.table.len() >= MAX_ALIASES {
            *self = Known::default();
        }
        let at = self.table.len() as u32;
        self.aliases.push(Alias { hash, id, place, next: AtomicU32::new(NONE) });
        let aliases = &self.aliases;
        let low = |at: &u32| aliases.get(*at as usize).map_or(0, |alias| alias.hash.low);
        self.table.insert_unique(hash.low, at, low);
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
        let hashes: Vec<Hash> = {
            let mut lookup = aliases.lookup();
            names.iter().map(|name| lookup.find(name).unwrap_err()).collect()
        };
        let all = names.iter().zip(&hashes).zip(0_u64..);
        let all: Vec<_> =
            all.map(|((_, hash), i)| Spelling { hash: *hash, target: target(i) }).collect();
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
        aliases.remember(&[Spelling { hash: hashes[7], target: target(9999) }]);
        assert_eq!(aliases.lookup().find(&names[7]), Ok(target(9999)));
    }
}
