//! The log. What is not in it did not happen: state is applied from [`Logged`] values only, and only
//! this module makes them.
//!
//! [`record`], [`chain`] and [`segment`] are pure codecs of `docs/format/wal.md`; [`commit`] appends, writes and
//! syncs in groups; `file` makes, fills and recycles the files; [`replay`] reads back and tells a torn tail from damage;
//! [`follow`] reads what is synced while the log is written.

pub mod chain;
pub mod commit;
pub(crate) mod file;
pub mod follow;
pub mod record;
pub(crate) mod repair;
pub mod replay;
mod rows;
pub(crate) mod segment;

pub(crate) use commit::Held;
pub use commit::{Ack, Durable, Log, LogOptions};
pub(crate) use file::DIR as DIRECTORY;
pub use record::{FloatRow, KeysRecord, NewSeries, OtherRow, Record, ShardBatch};
pub use replay::{OpenLogError, Progress, Recovered};

use crate::model::WalPosition;

/// Bytes of a segment before its first group.
pub(crate) fn segment_header_len() -> u64 {
    segment::SEGMENT_HEADER as u64
}

/// Proof that a value has its place in the log. The head and the keyspace take nothing else.
#[derive(Debug)]
pub struct Logged<T> {
    position: WalPosition,
    end: WalPosition,
    value: T,
}

impl<T> Logged<T> {
    /// Only the log calls this: after appending, or after reading back.
    fn new(position: WalPosition, end: WalPosition, value: T) -> Logged<T> {
        Logged { position, end, value }
    }

    /// Where the record stands.
    pub fn position(&self) -> WalPosition {
        self.position
    }

    /// Where the log ended after it: wait for this before acknowledging.
    pub fn end(&self) -> WalPosition {
        self.end
    }

    /// The value.
    pub fn get(&self) -> &T {
        &self.value
    }
}

impl<T> Logged<T> {
    /// The same place for what is made of the value.
    pub(crate) fn map<U>(self, f: impl FnOnce(T) -> U) -> Logged<U> {
        Logged { position: self.position, end: self.end, value: f(self.value) }
    }

    /// The same place for a look at the value.
    pub(crate) fn as_ref(&self) -> Logged<&T> {
        Logged { position: self.position, end: self.end, value: &self.value }
    }

    /// The value, its place forgotten.
    pub(crate) fn into_inner(self) -> T {
        self.value
    }
}

impl<E> Logged<KeysRecord<E>> {
    /// The samples of the record, which share its place.
    pub(crate) fn batches(&self) -> impl Iterator<Item = Logged<&ShardBatch>> {
        let (position, end) = (self.position, self.end);
        self.value.batches.iter().map(move |value| Logged { position, end, value })
    }
}
