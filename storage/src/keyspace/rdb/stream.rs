//! A stream in the bytes of RDB, kinds 15 (before Redis 7) and 19.

use std::sync::Arc;

use super::{RdbError, Reader, put_length, put_string};
use crate::keyspace::stream::{Consumer, Group, Node, Pending, Stream, StreamId};
use crate::keyspace::table::Bytes;

/// Before Redis 7: without what was deleted and how many were read.
pub(super) const OLD: u8 = 15;
pub(super) const NEW: u8 = 19;

const WRONG: RdbError = RdbError::Data("a stream");

/// Appends a stream, as kind 19 without the kind.
pub(crate) fn put_stream(out: &mut Vec<u8>, stream: &Stream) {
    put_in_pieces(out, stream, &mut |_| ());
}

/// The same; `spill` may take what there is after every node and group.
pub(super) fn put_in_pieces(
    out: &mut Vec<u8>,
    stream: &Stream,
    spill: &mut dyn FnMut(&mut Vec<u8>),
) {
    put_length(out, stream.nodes.len());
    for node in &stream.nodes {
        put_string(out, &node.first.to_be_bytes());
        put_string(out, &node.pack);
        spill(out);
    }
    put_number(out, stream.len);
    for id in [stream.last, stream.first, stream.max_deleted] {
        put_id(out, id);
    }
    put_number(out, stream.added);
    put_length(out, stream.groups.len());
    for (name, group) in &stream.groups {
        put_string(out, name);
        put_group(out, group);
        spill(out);
    }
}

fn put_group(out: &mut Vec<u8>, group: &Group) {
    put_id(out, group.last);
    put_number(out, group.read.unwrap_or(u64::MAX));
    put_length(out, group.pending.len());
    for (id, pending) in group.pending.from(StreamId::ZERO) {
        out.extend_from_slice(&id.to_be_bytes());
        out.extend_from_slice(&pending.delivered.to_le_bytes());
        put_number(out, pending.count);
    }
    put_length(out, group.consumers.len());
    for (name, consumer) in &group.consumers {
        put_string(out, name);
        out.extend_from_slice(&consumer.seen.to_le_bytes());
        put_length(out, consumer.pending.len());
        for (id, ()) in consumer.pending.from(StreamId::ZERO) {
            out.extend_from_slice(&id.to_be_bytes());
        }
    }
}

fn put_number(out: &mut Vec<u8>, number: u64) {
    put_length(out, usize::try_from(number).unwrap_or(usize::MAX));
}

fn put_id(out: &mut Vec<u8>, id: StreamId) {
    put_number(out, id.ms);
    put_number(out, id.seq);
}

/// Takes the bytes of a stream and nothing else; checks all of them.
pub(crate) fn whole_stream(bytes: &[u8]) -> Result<Stream, RdbError> {
    let mut reader = Reader::new(bytes);
    let stream = read_stream(&mut reader, NEW)?;
    if reader.rest.is_empty() { Ok(stream) } else { Err(WRONG) }
}

pub(super) fn read_stream(reader: &mut Reader<'_>, kind: u8) -> Result<Stream, RdbError> {
    let mut stream = Stream::default();
    let mut top = None;
    for _ in 0..reader.length()? {
        let first: [u8; 16] = reader.string()?.as_ref().try_into().map_err(|_| WRONG)?;
        let pack = reader.string()?.into_owned();
        let node = Node { first: StreamId::from_be_bytes(first), pack };
        if !node.is_sound() || top.is_some_and(|top| node.first <= top) {
            return Err(RdbError::Data("a node of a stream"));
        }
        top = Some(node.last());
        stream.nodes.push_back(Arc::new(node));
    }
    stream.len = reader.length()?;
    stream.set_last(id(reader)?);
    if kind == NEW {
        stream.first = id(reader)?;
        stream.max_deleted = id(reader)?;
        stream.added = reader.length()?;
    } else {
        stream.added = stream.len;
        stream.first = stream
            .range(StreamId::ZERO, StreamId::MAX, 1)
            .first()
            .map_or(StreamId::ZERO, |entry| entry.0);
    }
    let entries: u64 = stream.nodes.iter().map(|node| node.live()).sum();
    if entries != stream.len || stream.top() > stream.last {
        return Err(RdbError::Data("the length of a stream"));
    }
    for _ in 0..reader.length()? {
        let name = Bytes::from(&*reader.string()?);
        let group = read_group(reader, kind, &stream)?;
        if stream.groups.insert(name, Arc::new(group)).is_some() {
            return Err(RdbError::Data("the groups of a stream"));
        }
    }
    Ok(stream)
}

fn id(reader: &mut Reader<'_>) -> Result<StreamId, RdbError> {
    Ok(StreamId { ms: reader.length()?, seq: reader.length()? })
}

fn read_group(reader: &mut Reader<'_>, kind: u8, stream: &Stream) -> Result<Group, RdbError> {
    const PENDING: RdbError = RdbError::Data("what is pending in a stream");
    let mut group = Group { last: id(reader)?, ..Group::default() };
    group.read = if kind == NEW {
        Some(reader.length()?).filter(|read| *read != u64::MAX)
    } else {
        stream.added_up_to(group.last)
    };
    // To whom each was delivered is told only by the consumers below.
    let nobody = Bytes::from(&b""[..]);
    for _ in 0..reader.length()? {
        let id = StreamId::from_be_bytes(reader.array()?);
        let delivered = i64::from_le_bytes(reader.array()?);
        let pending =
            Pending { consumer: Bytes::clone(&nobody), delivered, count: reader.length()? };
        if group.pending.insert(id, pending).is_some() {
            return Err(PENDING);
        }
    }
    let mut owned = 0;
    for _ in 0..reader.length()? {
        let name = Bytes::from(&*reader.string()?);
        let mut consumer =
            Consumer { seen: i64::from_le_bytes(reader.array()?), ..Consumer::default() };
        for _ in 0..reader.length()? {
            let id = StreamId::from_be_bytes(reader.array()?);
            let pending = group.pending.get(id).cloned();
            // Each has one owner.
            let pending = pending.filter(|pending| Arc::ptr_eq(&pending.consumer, &nobody));
            let pending = pending.ok_or(PENDING)?;
            group.pending.insert(id, Pending { consumer: Bytes::clone(&name), ..pending });
            consumer.pending.insert(id, ());
            owned += 1;
        }
        if group.consumers.insert(name, consumer).is_some() {
            return Err(RdbError::Data("the consumers of a stream"));
        }
    }
    if owned == group.pending.len() { Ok(group) } else { Err(PENDING) }
}
