//! Up to a hundred entries of a stream in one listpack, as Redis keeps and dumps them.
//!
//! ```text
//! node  := live deleted fields field*fields 0  entry*(live + deleted)
//! entry := flags ms seq (count (field value)*count | value*fields) elements
//! ```
//!
//! `ms` and `seq` count from the number of the node's first entry. Names are left out where they are those
//! at the head of the node, which the flags say. `elements` is how many stand before it. A deleted
//! entry stays, flagged, until its node goes.

use super::StreamId;
use crate::keyspace::bulks::Bulks;
use crate::keyspace::listpack::{self, Walk, push, push_integer, replace};

/// A node takes no more entries, the deleted included (Redis's `stream-node-max-entries`).
pub(crate) const MAX_ENTRIES: i64 = 100;
/// Nor more bytes (Redis's `stream-node-max-bytes`).
const MAX_BYTES: usize = 4096;

/// Flags of an entry.
const DELETED: i64 = 1;
const SAME_FIELDS: i64 = 2;

/// A run of entries.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// The number of its first entry, also once that is deleted.
    pub(crate) first: StreamId,
    pub(crate) pack: Vec<u8>,
}

/// What stands before the entries.
#[derive(Clone, Copy, Debug)]
struct Head {
    live: i64,
    deleted: i64,
    fields: usize,
    /// Where the names, and where the entries begin.
    names: usize,
    entries: usize,
}

/// An entry at its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    pub(crate) id: StreamId,
    flags: i64,
    fields: usize,
    /// Where the flags, and where names and values begin.
    place: usize,
    body: usize,
}

impl Item {
    pub(crate) fn deleted(&self) -> bool {
        self.flags & DELETED != 0
    }

    fn same_fields(&self) -> bool {
        self.flags & SAME_FIELDS != 0
    }
}

impl Node {
    /// A node of one entry; `pairs` alternates names and values.
    pub(crate) fn new(id: StreamId, pairs: &[&[u8]]) -> Node {
        let mut pack = listpack::empty();
        push_integer(&mut pack, 0);
        push_integer(&mut pack, 0);
        push_integer(&mut pack, (pairs.len() / 2) as i64);
        pairs.iter().step_by(2).for_each(|name| push(&mut pack, name));
        push_integer(&mut pack, 0);
        let mut node = Node { first: id, pack };
        node.append(id, pairs);
        node
    }

    /// Whether another entry may come.
    pub(crate) fn takes(&self, pairs: &[&[u8]]) -> bool {
        let bytes: usize = pairs.iter().map(|part| part.len()).sum();
        let entries = self.head().map_or(0, |head| head.live + head.deleted);
        self.pack.len() + bytes < MAX_BYTES && entries < MAX_ENTRIES
    }

    /// Appends an entry.
    pub(crate) fn append(&mut self, id: StreamId, pairs: &[&[u8]]) {
        let Some(head) = self.head() else { return };
        let same = self.has_names(&head, pairs);
        let pack = &mut self.pack;
        push_integer(pack, if same { SAME_FIELDS } else { 0 });
        push_integer(pack, id.ms.wrapping_sub(self.first.ms).cast_signed());
        push_integer(pack, id.seq.wrapping_sub(self.first.seq).cast_signed());
        let fields = (pairs.len() / 2) as i64;
        if same {
            pairs.iter().skip(1).step_by(2).for_each(|value| push(pack, value));
            push_integer(pack, fields + 3);
        } else {
            push_integer(pack, fields);
            pairs.iter().for_each(|part| push(pack, part));
            push_integer(pack, 2 * fields + 4);
        }
        self.count(head.live + 1, head.deleted);
    }

    fn has_names(&self, head: &Head, pairs: &[&[u8]]) -> bool {
        let names = Walk::from(&self.pack, head.names).take(head.fields);
        pairs.len() == 2 * head.fields
            && names.zip(pairs.iter().step_by(2)).all(|(own, name)| own.is(name))
    }

    fn count(&mut self, live: i64, deleted: i64) {
        replace(&mut self.pack, listpack::HEADER, live);
        let mut walk = Walk::new(&self.pack);
        if walk.pass(1).is_some() {
            let place = walk.place();
            replace(&mut self.pack, place, deleted);
        }
    }

    fn head(&self) -> Option<Head> {
        let mut walk = Walk::new(&self.pack);
        let (live, deleted) = (walk.integer()?, walk.integer()?);
        let fields = usize::try_from(walk.integer()?).ok()?;
        let names = walk.place();
        walk.pass(fields.checked_add(1)?)?;
        Some(Head { live, deleted, fields, names, entries: walk.place() })
    }

    /// Entries that are not deleted.
    pub(crate) fn live(&self) -> u64 {
        let live = Walk::new(&self.pack).integer().unwrap_or(0);
        u64::try_from(live).unwrap_or(0)
    }

    /// All entries, the deleted too.
    pub(crate) fn items(&self) -> Items<'_> {
        let head = self.head();
        let walk = Walk::from(&self.pack, head.map_or(usize::MAX, |head| head.entries));
        Items { first: self.first, fields: head.map_or(0, |head| head.fields), walk }
    }

    /// The number of its last entry, also if that is deleted.
    pub(crate) fn last(&self) -> StreamId {
        self.items().last().map_or(self.first, |item| item.id)
    }

    /// How many entries that are not deleted stand before a number.
    pub(crate) fn live_before(&self, id: StreamId) -> u64 {
        let before = self.items().take_while(|item| item.id < id);
        before.filter(|item| !item.deleted()).count() as u64
    }

    /// Names and values of an entry, by turns.
    pub(crate) fn pairs(&self, item: &Item) -> Bulks {
        let mut pairs = Bulks::default();
        let body = Walk::from(&self.pack, item.body);
        if item.same_fields() {
            let names = self.head().map_or(usize::MAX, |head| head.names);
            let names = Walk::from(&self.pack, names).take(item.fields);
            for (name, value) in names.zip(body) {
                pairs.push(&name.text());
                pairs.push(&value.text());
            }
        } else {
            body.take(2 * item.fields).for_each(|part| pairs.push(&part.text()));
        }
        pairs
    }

    /// Flags entries that are not deleted yet.
    pub(crate) fn delete(&mut self, items: &[Item]) {
        for item in items {
            replace(&mut self.pack, item.place, item.flags | DELETED);
        }
        if let Some(head) = self.head() {
            let gone = items.len() as i64;
            self.count(head.live - gone, head.deleted + gone);
        }
    }

    /// The same without what was deleted.
    pub(crate) fn without_deleted(&self) -> Node {
        let mut node: Option<Node> = None;
        for item in self.items().filter(|item| !item.deleted()) {
            let pairs = self.pairs(&item);
            let pairs: Vec<&[u8]> = pairs.iter().collect();
            match &mut node {
                Some(node) => node.append(item.id, &pairs),
                None => node = Some(Node::new(item.id, &pairs)),
            }
        }
        node.unwrap_or_else(|| self.clone())
    }

    /// Whether bytes from outside are a node: whole, counted right, numbers ascending, something left.
    pub(crate) fn is_sound(&self) -> bool {
        if listpack::whole(&self.pack).is_none() {
            return false;
        }
        let Some(head) = self.head() else { return false };
        let zero = head.entries.checked_sub(2).map(|at| Walk::from(&self.pack, at).integer());
        let mut items = self.items();
        let (mut live, mut deleted, mut before) = (0, 0, None);
        for item in items.by_ref() {
            if before.is_some_and(|before| item.id <= before) || item.id < self.first {
                return false;
            }
            before = Some(item.id);
            *(if item.deleted() { &mut deleted } else { &mut live }) += 1;
        }
        let counted = (live, deleted) == (head.live, head.deleted);
        zero == Some(Some(0)) && items.walk.at_end() && counted && live > 0
    }
}

/// Walks the entries of a node.
#[derive(Debug)]
pub(crate) struct Items<'a> {
    first: StreamId,
    fields: usize,
    walk: Walk<'a>,
}

impl Iterator for Items<'_> {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        let mut walk = self.walk;
        let place = walk.place();
        let flags = walk.integer()?;
        let id = StreamId {
            ms: self.first.ms.wrapping_add_signed(walk.integer()?),
            seq: self.first.seq.wrapping_add_signed(walk.integer()?),
        };
        let mut item = Item { id, flags, fields: self.fields, place, body: walk.place() };
        let elements = if item.same_fields() {
            walk.pass(item.fields)?;
            item.fields.checked_add(3)?
        } else {
            item.fields = usize::try_from(walk.integer()?).ok()?;
            item.body = walk.place();
            walk.pass(item.fields.checked_mul(2)?)?;
            item.fields.checked_mul(2)?.checked_add(4)?
        };
        if walk.integer() != i64::try_from(elements).ok() {
            return None;
        }
        self.walk = walk;
        Some(item)
    }
}
