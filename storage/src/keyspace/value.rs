//! What a key can hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::list::List;
use super::map::Map;
use super::stream::Stream;
use super::table::Bytes;
use super::zset::ZSet;

/// One key's value and its expiry. A clone shares everything; a change copies what is shared.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The value.
    pub value: Value,
    /// When the key expires, in milliseconds since 1970.
    pub expires: Option<i64>,
    /// When it was last used.
    pub(super) used: Used,
}

/// When a key was last used, in seconds since 1970; 0 = not since the store was opened. It is no part of
/// the state: it is neither logged nor kept, and whoever shares an entry may change it.
#[derive(Debug, Default)]
pub(super) struct Used(AtomicU32);

impl Used {
    pub(super) fn at(seconds: u32) -> Used {
        Used(AtomicU32::new(seconds))
    }

    pub(super) fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, seconds: u32) {
        self.0.store(seconds, Ordering::Relaxed);
    }
}

impl Clone for Used {
    fn clone(&self) -> Used {
        Used::at(self.get())
    }
}

/// Milliseconds as the seconds in which uses are told.
pub(super) fn seconds(ms: i64) -> u32 {
    u32::try_from(ms / 1000).unwrap_or(if ms < 0 { 0 } else { u32::MAX })
}

impl Entry {
    pub(super) fn new(value: Value, used: u32) -> Entry {
        Entry { value, expires: None, used: Used::at(used) }
    }

    /// Whether the key is gone at `now`, though not yet deleted. In the very millisecond of its end it is still there.
    pub fn expired(&self, now: i64) -> bool {
        self.expires.is_some_and(|at| at < now)
    }

    /// Whether nothing has touched a key between two looks at it. Both looks must be kept: what is
    /// shared is never changed in place.
    pub fn untouched(&self, later: &Entry) -> bool {
        let same = match (&self.value, &later.value) {
            (Value::String(a), Value::String(b)) => Arc::ptr_eq(a, b),
            (Value::List(a), Value::List(b)) => Arc::ptr_eq(a, b),
            (Value::Hash(a), Value::Hash(b)) => Arc::ptr_eq(a, b),
            (Value::Set(a), Value::Set(b)) => Arc::ptr_eq(a, b),
            (Value::ZSet(a), Value::ZSet(b)) => Arc::ptr_eq(a, b),
            (Value::Stream(a), Value::Stream(b)) => Arc::ptr_eq(a, b),
            _ => false,
        };
        same && self.expires == later.expires
    }
}

/// A Redis value.
#[derive(Clone, Debug)]
pub enum Value {
    /// A byte string.
    String(Bytes),
    /// A list.
    List(Arc<List>),
    /// A hash: fields and their values.
    Hash(Arc<Map<Bytes>>),
    /// A set.
    Set(Arc<Map<()>>),
    /// A sorted set.
    ZSet(Arc<ZSet>),
    /// A stream.
    Stream(Arc<Stream>),
}

impl Value {
    /// What TYPE answers.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::String(_) => "string",
            Value::List(_) => "list",
            Value::Hash(_) => "hash",
            Value::Set(_) => "set",
            Value::ZSet(_) => "zset",
            Value::Stream(_) => "stream",
        }
    }

    /// Whether this is a collection without elements, which no key may hold.
    pub(super) fn is_empty_collection(&self) -> bool {
        match self {
            // A stream lives on without entries.
            Value::String(_) | Value::Stream(_) => false,
            Value::List(list) => list.is_empty(),
            Value::Hash(hash) => hash.is_empty(),
            Value::Set(set) => set.is_empty(),
            Value::ZSet(zset) => zset.is_empty(),
        }
    }
}
