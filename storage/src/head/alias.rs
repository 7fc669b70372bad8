//! Raw label bytes of a sender straight to their series: no parse, no allocation when known.
//!
//! An alias may outlive its series; whoever follows it checks the series id.

use std::sync::{PoisonError, RwLock};

use hashbrown::HashTable;

use crate::model::SeriesId;

/// Locks the aliases are spread over.
const PARTS: usize = 16;
/// Most aliases a part keeps; past that it is emptied, and fills again from what is in use.
const MAX_PER_PART: usize = 1 << 18;

/// Where a series stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) shard: u16,
    pub(crate) slot: u32,
    pub(crate) id: SeriesId,
}

/// Known spellings.
pub(crate) struct Aliases {
    parts: Vec<RwLock<HashTable<Alias>>>,
}

struct Alias {
    hash: u64,
    bytes: Box<[u8]>,
    target: Target,
}

impl Default for Aliases {
    fn default() -> Aliases {
        Aliases { parts: (0..PARTS).map(|_| RwLock::new(HashTable::new())).collect() }
    }
}

impl Aliases {
    /// The hash that the other two take.
    pub(crate) fn hash(bytes: &[u8]) -> u64 {
        xxhash_rust::xxh3::xxh3_64(bytes)
    }

    /// The series these bytes named last time.
    pub(crate) fn get(&self, hash: u64, bytes: &[u8]) -> Option<Target> {
        let part = self.part(hash).read().unwrap_or_else(PoisonError::into_inner);
        part.find(hash, |a| a.hash == hash && *a.bytes == *bytes).map(|a| a.target)
    }

    /// Remembers them.
    pub(crate) fn set(&self, hash: u64, bytes: &[u8], target: Target) {
        let mut part = self.part(hash).write().unwrap_or_else(PoisonError::into_inner);
        if let Some(alias) = part.find_mut(hash, |a| a.hash == hash && *a.bytes == *bytes) {
            alias.target = target;
            return;
        }
        if part.len() >= MAX_PER_PART {
            part.clear();
        }
        part.insert_unique(hash, Alias { hash, bytes: bytes.into(), target }, |a| a.hash);
    }

    fn part(&self, hash: u64) -> &RwLock<HashTable<Alias>> {
        &self.parts[(hash >> 56) as usize % PARTS]
    }
}
