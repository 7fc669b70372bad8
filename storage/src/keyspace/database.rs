//! One numbered database: its keys, which of them expire when, and the keymap's marks.
//!
//! Invariant: `expiries` holds exactly the keys of `keys` that expire, with their times.

use std::collections::BTreeSet;

use super::table::{Bytes, Table};
use super::value::{Entry, Value};

#[derive(Clone, Debug)]
pub(super) struct Database {
    pub(super) keys: Table<Entry>,
    pub(super) expiries: BTreeSet<(i64, Bytes)>,
    pub(super) marks: Table<Bytes>,
    /// The times of `expiries`, added up.
    pub(super) expiry_sum: i128,
    /// The time of the command that is applied, in seconds; 0 in replay.
    pub(super) clock: u32,
}

impl Database {
    pub(super) fn new() -> Database {
        Database {
            keys: Table::new(),
            expiries: BTreeSet::new(),
            marks: Table::new(),
            expiry_sum: 0,
            clock: 0,
        }
    }

    /// The value of a key, made by `new` if there is none.
    pub(super) fn entry(&mut self, key: &[u8], new: impl FnOnce() -> Value) -> &mut Value {
        let clock = self.clock;
        let entry = self.keys.entry(key, || Entry::new(new(), clock));
        let entry = entry.expect("invariant: an entry is there or made");
        entry.used.set(self.clock);
        &mut entry.value
    }

    pub(super) fn remove(&mut self, key: &[u8]) {
        self.expire(key, None);
        self.keys.remove(key);
    }

    /// Sets or takes away a key's expiry.
    pub(super) fn expire(&mut self, key: &[u8], at: Option<i64>) {
        let old = self.keys.get(key).and_then(|entry| entry.expires);
        if old == at {
            return;
        }
        let Some(name) = self.keys.key(key).map(Bytes::clone) else { return };
        if let Some(entry) = self.keys.get_mut(key) {
            entry.expires = at;
        }
        if let Some(old) = old {
            self.expiries.remove(&(old, Bytes::clone(&name)));
            self.expiry_sum -= i128::from(old);
        }
        if let Some(at) = at {
            self.expiries.insert((at, name));
            self.expiry_sum += i128::from(at);
        }
    }

    pub(super) fn mark(&mut self, key: &[u8], state: &[u8]) {
        if state.is_empty() {
            self.marks.remove(key);
        } else {
            self.marks.insert(key, Bytes::from(state));
        }
    }

    /// Every key goes; marks stay.
    pub(super) fn flush(&mut self) {
        self.keys = Table::new();
        self.expiries.clear();
        self.expiry_sum = 0;
    }

    /// How long the keys that expire still have, on average.
    pub(super) fn mean_ttl(&self, now: i64) -> i64 {
        let count = i128::try_from(self.expiries.len()).unwrap_or(i128::MAX);
        let mean = self.expiry_sum.checked_div(count).map(|at| at - i128::from(now));
        mean.map_or(0, |ttl| i64::try_from(ttl.max(0)).unwrap_or(i64::MAX))
    }
}
