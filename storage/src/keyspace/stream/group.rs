//! A consumer group: how far it has read, and what was delivered and not yet acknowledged.
//!
//! Invariant: `pending` and the consumers' own numbers are the same, each under the consumer it names.

use std::collections::BTreeMap;

use super::{Paged, StreamId};
use crate::keyspace::table::Bytes;

/// A group of consumers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    /// The last entry that was delivered.
    pub(crate) last: StreamId,
    /// How many entries were read, if that is known.
    pub(crate) read: Option<u64>,
    pub(crate) pending: Paged<Pending>,
    pub(crate) consumers: BTreeMap<Bytes, Consumer>,
}

/// An entry that was delivered.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    /// To whom.
    pub(crate) consumer: Bytes,
    /// When, for the last time, in milliseconds since 1970.
    pub(crate) delivered: i64,
    /// How often.
    pub(crate) count: u64,
}

/// One consumer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Consumer {
    /// When it last asked, in milliseconds since 1970.
    pub(crate) seen: i64,
    /// What was delivered to it.
    pub(crate) pending: Paged<()>,
}

impl Group {
    /// An entry is the consumer's, who is there; if it was another's, no longer that one's.
    pub(crate) fn deliver(&mut self, id: StreamId, consumer: &[u8], delivered: i64, count: u64) {
        let Some((name, _)) = self.consumers.get_key_value(consumer) else { return };
        let pending = Pending { consumer: Bytes::clone(name), delivered, count };
        if let Some(before) = self.pending.insert(id, pending)
            && *before.consumer != *consumer
            && let Some(owner) = self.consumers.get_mut(&before.consumer)
        {
            owner.pending.remove(id);
        }
        if let Some(owner) = self.consumers.get_mut(consumer) {
            owner.pending.insert(id, ());
        }
    }

    /// An entry is acknowledged, or gone.
    pub(crate) fn acknowledge(&mut self, id: StreamId) {
        if let Some(before) = self.pending.remove(id)
            && let Some(owner) = self.consumers.get_mut(&before.consumer)
        {
            owner.pending.remove(id);
        }
    }

    /// A consumer goes with all that was delivered to it.
    pub(crate) fn remove(&mut self, consumer: &[u8]) {
        if let Some(gone) = self.consumers.remove(consumer) {
            for (id, ()) in gone.pending.from(StreamId::ZERO) {
                self.pending.remove(id);
            }
        }
    }
}
