//! A stream: entries by number in packed nodes, and its consumer groups.
//!
//! Nodes and groups are shared with views, so a change after a freeze copies one node or group. Unlike
//! other collections a stream may be empty.

mod group;
mod id;
mod node;
mod paged;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

pub(crate) use group::{Consumer, Group, Pending};
pub use id::StreamId;
pub(crate) use node::{MAX_ENTRIES, Node};
pub(crate) use paged::Paged;

use super::bulks::Bulks;
use super::table::Bytes;

/// A Redis stream.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// Ascending, none without entries that are not deleted.
    pub(crate) nodes: VecDeque<Arc<Node>>,
    /// Entries that are not deleted.
    pub(crate) len: u64,
    /// The highest number ever used.
    pub(crate) last: StreamId,
    /// The lowest that is not deleted; zero if there is none.
    pub(crate) first: StreamId,
    /// The highest that XDEL deleted.
    pub(crate) max_deleted: StreamId,
    /// Entries ever added.
    pub(crate) added: u64,
    pub(crate) groups: BTreeMap<Bytes, Arc<Group>>,
}

/// An entry: its number, names and values by turns.
pub(crate) type Entry = (StreamId, Bulks);

/// Up to where a stream is trimmed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trim {
    /// So many entries stay.
    Length(u64),
    /// What stands before this number goes.
    Before(StreamId),
}

impl Stream {
    /// How many entries.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The highest number ever used.
    pub fn last_id(&self) -> StreamId {
        self.last
    }

    /// Whether a group is there.
    pub fn has_group(&self, name: &[u8]) -> bool {
        self.groups.contains_key(name)
    }

    /// Whether a consumer of a group is there.
    pub fn has_consumer(&self, group: &[u8], consumer: &[u8]) -> bool {
        self.groups.get(group).is_some_and(|group| group.consumers.contains_key(consumer))
    }

    /// Bytes it takes.
    pub(crate) fn memory(&self) -> usize {
        const NODE: usize = 96;
        const PENDING: usize = 72;
        let nodes: usize = self.nodes.iter().map(|node| node.pack.len() + NODE).sum();
        let group = |(name, group): (&Bytes, &Arc<Group>)| {
            name.len() + group.pending.len() * PENDING + (group.consumers.len() + 1) * NODE
        };
        nodes + self.groups.iter().map(group).sum::<usize>()
    }

    /// Up to `limit` entries from `start` to `end`, both included.
    pub(crate) fn range(&self, start: StreamId, end: StreamId, limit: usize) -> Vec<Entry> {
        let at = self.node_of(start);
        let items =
            self.nodes.iter().skip(at).flat_map(|node| node.items().map(move |i| (node, i)));
        let wanted = items
            .skip_while(|(_, item)| item.id < start)
            .take_while(|(_, item)| item.id <= end)
            .filter(|(_, item)| !item.deleted());
        wanted.take(limit).map(|(node, item)| (item.id, node.pairs(&item))).collect()
    }

    /// The same from the end on.
    pub(crate) fn reversed(&self, start: StreamId, end: StreamId, limit: usize) -> Vec<Entry> {
        let behind = self.nodes.partition_point(|node| node.first <= end);
        let mut found = Vec::new();
        for node in self.nodes.iter().take(behind).rev() {
            let items: Vec<_> = node.items().take_while(|item| item.id <= end).collect();
            for item in items.iter().rev() {
                if item.id < start || found.len() == limit {
                    return found;
                }
                if !item.deleted() {
                    found.push((item.id, node.pairs(item)));
                }
            }
        }
        found
    }

    /// The entry of a number.
    pub(crate) fn get(&self, id: StreamId) -> Option<Entry> {
        self.range(id, id, 1).pop()
    }

    pub(crate) fn contains(&self, id: StreamId) -> bool {
        let node = self.nodes.get(self.node_of(id));
        node.is_some_and(|node| node.items().any(|item| item.id == id && !item.deleted()))
    }

    /// The number of the entry that has so many before it.
    pub(crate) fn nth(&self, before: u64) -> Option<StreamId> {
        let mut left = before;
        for node in &self.nodes {
            let live = node.live();
            if left < live {
                let mut items = node.items().filter(|item| !item.deleted());
                return items.nth(usize::try_from(left).ok()?).map(|item| item.id);
            }
            left -= live;
        }
        None
    }

    /// The highest number that is not deleted.
    pub(crate) fn top(&self) -> StreamId {
        self.edge(self.nodes.iter().rev(), true)
    }

    fn bottom(&self) -> StreamId {
        self.edge(self.nodes.iter(), false)
    }

    fn edge<'a>(&self, nodes: impl Iterator<Item = &'a Arc<Node>>, top: bool) -> StreamId {
        let live = |node: &'a Arc<Node>| {
            let mut items = node.items().filter(|item| !item.deleted());
            if top { items.last() } else { items.next() }
        };
        nodes.filter_map(live).next().map_or(StreamId::ZERO, |item| item.id)
    }

    /// The node an entry is in if it is there.
    fn node_of(&self, id: StreamId) -> usize {
        self.nodes.partition_point(|node| node.first <= id).saturating_sub(1)
    }

    /// How many entries a trim takes from the front, once the entry `new` is there: whole nodes only if
    /// it is approximate, and no more than `limit` if that is not 0.
    pub(crate) fn excess(
        &self,
        trim: Trim,
        approximate: bool,
        limit: u64,
        new: Option<(StreamId, &[&[u8]])>,
    ) -> u64 {
        let joins = new.is_some_and(|(_, pairs)| self.nodes.back().is_some_and(|n| n.takes(pairs)));
        let alone = usize::from(new.is_some() && !joins);
        let len = self.len + u64::from(new.is_some());
        let mut taken = 0;
        for at in 0..self.nodes.len() + alone {
            let node = self.nodes.get(at);
            let own = new.filter(|_| at + 1 == self.nodes.len() + alone).map(|(id, _)| id);
            let entries = node.map_or(0, |node| node.live()) + u64::from(own.is_some());
            let left = len.saturating_sub(taken);
            let done = matches!(trim, Trim::Length(kept) if left <= kept);
            if done || limit > 0 && taken + entries > limit {
                break;
            }
            let whole = match trim {
                Trim::Length(kept) => left.saturating_sub(entries) >= kept,
                Trim::Before(id) => {
                    own.or_else(|| node.map(|node| node.last())).is_some_and(|last| last < id)
                }
            };
            if !whole {
                let inside = match trim {
                    Trim::Length(kept) => left - kept,
                    Trim::Before(id) => node.map_or(0, |node| node.live_before(id)),
                };
                return taken + if approximate { 0 } else { inside };
            }
            taken += entries;
        }
        taken
    }

    /// Appends an entry with a number above all before; `pairs` alternates names and values.
    pub(crate) fn append(&mut self, id: StreamId, pairs: &[&[u8]]) {
        match self.nodes.back_mut() {
            Some(node) if node.takes(pairs) => Arc::make_mut(node).append(id, pairs),
            full => {
                if let Some(node) = full {
                    Arc::make_mut(node).pack.shrink_to_fit();
                }
                self.nodes.push_back(Arc::new(Node::new(id, pairs)));
            }
        }
        self.len += 1;
        // Anybody may have set it to any number.
        self.added = self.added.wrapping_add(1);
        self.last = id;
        if self.len == 1 {
            self.first = id;
        }
    }

    /// The oldest entries go.
    pub(crate) fn trim(&mut self, count: u64) {
        let mut left = count;
        while let Some(node) = self.nodes.front_mut().filter(|_| left > 0) {
            let entries = node.live();
            if entries <= left {
                left -= entries;
                self.len = self.len.saturating_sub(entries);
                self.nodes.pop_front();
                continue;
            }
            let live = node.items().filter(|item| !item.deleted());
            let gone: Vec<_> = live.take(usize::try_from(left).unwrap_or(usize::MAX)).collect();
            Arc::make_mut(node).delete(&gone);
            self.len = self.len.saturating_sub(left);
            left = 0;
        }
        self.first = self.bottom();
    }

    /// An entry goes, if it is there.
    pub(crate) fn delete(&mut self, id: StreamId) {
        let at = self.node_of(id);
        let Some(node) = self.nodes.get_mut(at) else { return };
        let Some(item) = node.items().find(|item| item.id == id && !item.deleted()) else { return };
        if node.live() <= 1 {
            self.nodes.remove(at);
        } else {
            Arc::make_mut(node).delete(&[item]);
        }
        self.len -= 1;
        self.max_deleted = self.max_deleted.max(id);
        if self.len == 0 {
            self.first = StreamId::ZERO;
        } else if self.first == id {
            self.first = self.bottom();
        }
    }

    /// The highest number used becomes another. Deleted numbers above it may come again, so what is left
    /// of them goes: entries ascend, the deleted too.
    pub(crate) fn set_last(&mut self, last: StreamId) {
        self.last = last;
        if let Some(node) = self.nodes.back_mut().filter(|node| node.last() > last) {
            *node = Arc::new(node.without_deleted());
        }
    }

    /// A group, for change.
    pub(crate) fn group_mut(&mut self, name: &[u8]) -> Option<&mut Group> {
        self.groups.get_mut(name).map(Arc::make_mut)
    }

    /// Whether entries were deleted from `start` on, so that what follows cannot be counted.
    pub(crate) fn has_holes_from(&self, start: StreamId) -> bool {
        let holes = self.len > 0 && self.max_deleted != StreamId::ZERO;
        holes && self.first <= self.max_deleted && start <= self.max_deleted
    }

    /// How many entries were ever added up to a number, where that can be told.
    pub(crate) fn added_up_to(&self, id: StreamId) -> Option<u64> {
        if self.added == 0 {
            return Some(0);
        }
        if self.len == 0 && id <= self.last || id == self.last {
            return Some(self.added);
        }
        let whole = self.max_deleted == StreamId::ZERO || self.max_deleted < self.first;
        if id > self.last || !whole {
            return None;
        }
        let before = self.added.wrapping_sub(self.len);
        match id.cmp(&self.first) {
            std::cmp::Ordering::Less => Some(before),
            std::cmp::Ordering::Equal => Some(before.wrapping_add(1)),
            std::cmp::Ordering::Greater => None,
        }
    }

    /// How many entries a group has not read, where that can be told.
    pub(crate) fn lag(&self, group: &Group) -> Option<i64> {
        let read = match group.read {
            _ if self.added == 0 => return Some(0),
            Some(read) if !self.has_holes_from(group.last) => read,
            _ => self.added_up_to(group.last)?,
        };
        Some(self.added.wrapping_sub(read).cast_signed())
    }

    /// What a group is after an entry was delivered to it: its last number, and how many it has read.
    pub(crate) fn reads(&self, read: Option<u64>, id: StreamId) -> Option<u64> {
        match read {
            Some(read) if !self.has_holes_from(id) => Some(read.wrapping_add(1)),
            known if self.added == 0 => known,
            _ => self.added_up_to(id),
        }
    }
}
