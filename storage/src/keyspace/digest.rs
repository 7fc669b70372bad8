//! A digest of what a key holds, the same for the same contents however they are kept: for comparing keys of
//! different servers.
//!
//! Of a stream it counts the entries, the last number, and of each group how far it is, what is pending and its
//! consumers. Left out is what servers of different versions count differently though nothing differs: how many
//! entries were ever added, read and deleted, and when a consumer was last seen.

use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

use super::stream::{Stream, StreamId};
use super::value::Value;

/// The digest of a value.
pub fn digest(value: &Value) -> u64 {
    let mut all = Xxh3::new();
    add(&mut all, value.kind().as_bytes());
    match value {
        Value::String(text) => add(&mut all, text),
        Value::List(list) => {
            let mut digest = ListDigest::default();
            list.visit(0, usize::MAX, &mut |element| digest.add(element));
            return digest.digest();
        }
        Value::Hash(hash) => add_unordered(&mut all, hash.iter().map(|(f, v)| [&**f, &**v])),
        Value::Set(set) => add_unordered(&mut all, set.iter().map(|(member, ())| [&**member])),
        Value::ZSet(zset) => {
            for (score, member) in zset.iter() {
                all.update(&score.to_bits().to_le_bytes());
                add(&mut all, member);
            }
        }
        Value::Stream(stream) => add_stream(&mut all, stream),
    }
    all.digest()
}

/// The digest of a list whose elements come one by one.
pub(super) struct ListDigest(Xxh3);

impl Default for ListDigest {
    fn default() -> ListDigest {
        let mut all = Xxh3::new();
        add(&mut all, b"list");
        ListDigest(all)
    }
}

impl ListDigest {
    pub(super) fn add(&mut self, element: &[u8]) {
        add(&mut self.0, element);
    }

    pub(super) fn digest(&self) -> u64 {
        self.0.digest()
    }
}

/// With its length, so that what is parted differently differs.
fn add(all: &mut Xxh3, bytes: &[u8]) {
    all.update(&(bytes.len() as u64).to_le_bytes());
    all.update(bytes);
}

/// Things that have no order.
fn add_unordered<'a, const N: usize>(all: &mut Xxh3, things: impl Iterator<Item = [&'a [u8]; N]>) {
    let (mut sums, mut count) = ([0_u64; 2], 0_u64);
    let mut bytes = Vec::new();
    for thing in things {
        bytes.clear();
        for part in thing {
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            bytes.extend_from_slice(part);
        }
        for (seed, sum) in (0..).zip(&mut sums) {
            *sum = sum.wrapping_add(xxh3_64_with_seed(&bytes, seed));
        }
        count += 1;
    }
    sums.into_iter().chain([count]).for_each(|number| all.update(&number.to_le_bytes()));
}

fn add_stream(all: &mut Xxh3, stream: &Stream) {
    let add_id = |all: &mut Xxh3, id: StreamId| all.update(&id.to_be_bytes());
    for node in &stream.nodes {
        for item in node.items().filter(|item| !item.deleted()) {
            add_id(all, item.id);
            node.pairs(&item).iter().for_each(|part| add(all, part));
        }
    }
    add_id(all, stream.last);
    for (name, group) in &stream.groups {
        add(all, name);
        add_id(all, group.last);
        for (id, pending) in group.pending.from(StreamId::ZERO) {
            add_id(all, id);
            add(all, &pending.consumer);
            all.update(&pending.delivered.to_le_bytes());
            all.update(&pending.count.to_le_bytes());
        }
        group.consumers.keys().for_each(|name| add(all, name));
    }
}
