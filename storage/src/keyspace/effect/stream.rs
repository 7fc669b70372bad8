//! What commands do to streams: kinds 21 to 31.

use super::{Effects, FormatError, Reader, Strings, put_bytes, put_strings, put_varint, strings};
use crate::keyspace::rdb::whole_stream;
use crate::keyspace::stream::StreamId;

const ADD: u8 = 21;
const TRIM: u8 = 22;
const DELETE: u8 = 23;
const SET: u8 = 24;
const GROUP_SET: u8 = 25;
const GROUP_REMOVE: u8 = 26;
const SEEN: u8 = 27;
const CONSUMER_REMOVE: u8 = 28;
const DELIVER: u8 = 29;
const ACKNOWLEDGE: u8 = 30;
const PUT: u8 = 31;

/// Stands where a count of entries read would if it is not known.
const UNKNOWN: u64 = u64::MAX;

/// What happens to a stream.
#[derive(Clone, Copy, Debug)]
pub enum StreamEffect<'a> {
    /// An entry comes.
    Add {
        /// Its number, above all before.
        id: StreamId,
        /// Name, value, name, value ...
        pairs: Strings<'a>,
    },
    /// The oldest entries go.
    Trim {
        /// How many.
        count: u64,
        /// The oldest that stays, if any does; for followers that cannot count.
        first: Option<StreamId>,
    },
    /// Entries go.
    Delete {
        /// Their numbers.
        ids: Ids<'a>,
    },
    /// What the stream counts is set; without a stream an empty one comes.
    Set {
        /// The highest number used.
        last: StreamId,
        /// The highest number deleted.
        max_deleted: StreamId,
        /// How many entries were ever added.
        added: u64,
        /// Whether this makes the stream, for a group that is to come.
        new: bool,
    },
    /// A group comes or reads on from elsewhere.
    GroupSet {
        /// Which.
        group: &'a [u8],
        /// The last number it has read.
        last: StreamId,
        /// How many it has read, if that is known.
        read: Option<u64>,
        /// Whether it comes.
        new: bool,
    },
    /// A group goes.
    GroupRemove {
        /// Which.
        group: &'a [u8],
    },
    /// A consumer comes or was seen again.
    Seen {
        /// Of which group.
        group: &'a [u8],
        /// Which.
        consumer: &'a [u8],
        /// When, in milliseconds since 1970.
        at: i64,
    },
    /// A consumer goes, with what it did not acknowledge.
    ConsumerRemove {
        /// Of which group.
        group: &'a [u8],
        /// Which.
        consumer: &'a [u8],
    },
    /// Entries are delivered.
    Deliver {
        /// Of which group.
        group: &'a [u8],
        /// To whom.
        consumer: &'a [u8],
        /// Number, when, how often.
        entries: Deliveries<'a>,
    },
    /// Entries are acknowledged, or are not there any more.
    Acknowledge {
        /// Of which group.
        group: &'a [u8],
        /// Their numbers.
        ids: Ids<'a>,
    },
    /// The key becomes a stream that came from outside.
    Put {
        /// Its bytes in RDB.
        stream: &'a [u8],
    },
}

/// Numbers of entries.
#[derive(Clone, Copy, Debug)]
pub struct Ids<'a>(Strings<'a>);

impl Ids<'_> {
    /// How many are left.
    pub fn left(&self) -> u64 {
        self.0.left
    }
}

impl Iterator for Ids<'_> {
    type Item = StreamId;

    fn next(&mut self) -> Option<StreamId> {
        self.0.next()?.try_into().ok().map(StreamId::from_be_bytes)
    }
}

/// Deliveries of entries.
#[derive(Clone, Copy, Debug)]
pub struct Deliveries<'a>(Strings<'a>);

/// Bytes of one delivery: number, time, count.
const DELIVERY: usize = 32;

impl Iterator for Deliveries<'_> {
    /// Number, milliseconds since 1970, how often.
    type Item = (StreamId, i64, u64);

    fn next(&mut self) -> Option<(StreamId, i64, u64)> {
        let bytes = self.0.next()?;
        let (id, rest) = bytes.split_first_chunk::<16>()?;
        let (at, count) = rest.split_first_chunk::<8>()?;
        let count = u64::from_le_bytes(count.try_into().ok()?);
        Some((StreamId::from_be_bytes(*id), i64::from_le_bytes(*at), count))
    }
}

impl Effects {
    /// An entry comes to a stream; `pairs` alternates names and values.
    pub fn stream_add(&mut self, db: u8, key: &[u8], id: StreamId, pairs: &[&[u8]]) {
        self.put(ADD, db, |out| {
            put_bytes(out, key);
            put_id(out, id);
            put_varint(out, pairs.len() as u64 / 2);
            pairs.chunks_exact(2).flatten().for_each(|string| put_bytes(out, string));
        });
    }

    /// The oldest entries of a stream go.
    pub fn stream_trim(&mut self, db: u8, key: &[u8], count: u64, first: Option<StreamId>) {
        self.put(TRIM, db, |out| {
            put_bytes(out, key);
            put_varint(out, count);
            put_id(out, first.unwrap_or(StreamId::ZERO));
        });
    }

    /// Entries of a stream go.
    pub fn stream_delete(&mut self, db: u8, key: &[u8], ids: &[StreamId]) {
        self.put(DELETE, db, |out| {
            put_bytes(out, key);
            put_ids(out, ids);
        });
    }

    /// What a stream counts is set.
    pub fn stream_set(
        &mut self,
        db: u8,
        key: &[u8],
        last: StreamId,
        max_deleted: StreamId,
        added: u64,
    ) {
        self.put_stream_set(db, key, (last, max_deleted, added), false);
    }

    /// An empty stream comes, for a group that is to come.
    pub fn stream_new(&mut self, db: u8, key: &[u8]) {
        self.put_stream_set(db, key, (StreamId::ZERO, StreamId::ZERO, 0), true);
    }

    fn put_stream_set(
        &mut self,
        db: u8,
        key: &[u8],
        (last, max_deleted, added): (StreamId, StreamId, u64),
        new: bool,
    ) {
        self.put(SET, db, |out| {
            put_bytes(out, key);
            put_id(out, last);
            put_id(out, max_deleted);
            out.extend_from_slice(&added.to_le_bytes());
            out.push(u8::from(new));
        });
    }

    /// The key becomes a stream of these bytes of RDB, which are sound.
    pub(crate) fn stream_put(&mut self, db: u8, key: &[u8], stream: &[u8]) {
        self.put(PUT, db, |out| {
            put_bytes(out, key);
            put_bytes(out, stream);
        });
    }

    /// A group reads on from elsewhere.
    pub fn group_set(
        &mut self,
        db: u8,
        key: &[u8],
        group: &[u8],
        last: StreamId,
        read: Option<u64>,
    ) {
        self.put_group(db, (key, group), (last, read), false);
    }

    /// A group comes.
    pub fn group_new(
        &mut self,
        db: u8,
        key: &[u8],
        group: &[u8],
        last: StreamId,
        read: Option<u64>,
    ) {
        self.put_group(db, (key, group), (last, read), true);
    }

    fn put_group(
        &mut self,
        db: u8,
        (key, group): (&[u8], &[u8]),
        (last, read): (StreamId, Option<u64>),
        new: bool,
    ) {
        self.put(GROUP_SET, db, |out| {
            put_bytes(out, key);
            put_bytes(out, group);
            put_id(out, last);
            out.extend_from_slice(&read.unwrap_or(UNKNOWN).to_le_bytes());
            out.push(u8::from(new));
        });
    }

    /// A group goes.
    pub fn group_remove(&mut self, db: u8, key: &[u8], group: &[u8]) {
        self.put(GROUP_REMOVE, db, |out| {
            put_bytes(out, key);
            put_bytes(out, group);
        });
    }

    /// A consumer comes or was seen.
    pub fn consumer_seen(&mut self, db: u8, key: &[u8], group: &[u8], consumer: &[u8], at: i64) {
        self.put(SEEN, db, |out| {
            put_consumer(out, key, group, consumer);
            out.extend_from_slice(&at.to_le_bytes());
        });
    }

    /// A consumer goes.
    pub fn consumer_remove(&mut self, db: u8, key: &[u8], group: &[u8], consumer: &[u8]) {
        self.put(CONSUMER_REMOVE, db, |out| put_consumer(out, key, group, consumer));
    }

    /// Entries are delivered: number, milliseconds since 1970, how often.
    pub fn deliver(
        &mut self,
        db: u8,
        key: &[u8],
        group: &[u8],
        consumer: &[u8],
        entries: &[(StreamId, i64, u64)],
    ) {
        self.put(DELIVER, db, |out| {
            put_consumer(out, key, group, consumer);
            put_varint(out, entries.len() as u64);
            for (id, at, count) in entries {
                let mut bytes = id.to_be_bytes().to_vec();
                bytes.extend_from_slice(&at.to_le_bytes());
                bytes.extend_from_slice(&count.to_le_bytes());
                put_bytes(out, &bytes);
            }
        });
    }

    /// Entries are acknowledged.
    pub fn acknowledge(&mut self, db: u8, key: &[u8], group: &[u8], ids: &[StreamId]) {
        self.put(ACKNOWLEDGE, db, |out| {
            put_bytes(out, key);
            put_bytes(out, group);
            put_ids(out, ids);
        });
    }
}

fn put_consumer(out: &mut Vec<u8>, key: &[u8], group: &[u8], consumer: &[u8]) {
    put_bytes(out, key);
    put_bytes(out, group);
    put_bytes(out, consumer);
}

fn put_id(out: &mut Vec<u8>, id: StreamId) {
    out.extend_from_slice(&id.to_be_bytes());
}

fn put_ids(out: &mut Vec<u8>, ids: &[StreamId]) {
    let bytes: Vec<[u8; 16]> = ids.iter().map(|id| id.to_be_bytes()).collect();
    let strings: Vec<&[u8]> = bytes.iter().map(|id| id.as_slice()).collect();
    put_strings(out, &strings);
}

/// Reads a body of these kinds behind its key; `None` if the kind is another.
pub(super) fn read<'a>(
    kind: u8,
    body: &mut Reader<'a>,
) -> Result<Option<StreamEffect<'a>>, FormatError> {
    Ok(Some(match kind {
        ADD => StreamEffect::Add { id: id(body)?, pairs: strings::<true>(body, 2)? },
        TRIM => StreamEffect::Trim {
            count: body.varint()?,
            first: Some(id(body)?).filter(|id| *id != StreamId::ZERO),
        },
        DELETE => StreamEffect::Delete { ids: ids(body)? },
        SET => StreamEffect::Set {
            last: id(body)?,
            max_deleted: id(body)?,
            added: body.u64()?,
            new: flag(body)?,
        },
        GROUP_SET => StreamEffect::GroupSet {
            group: body.bytes()?,
            last: id(body)?,
            read: Some(body.u64()?).filter(|read| *read != UNKNOWN),
            new: flag(body)?,
        },
        GROUP_REMOVE => StreamEffect::GroupRemove { group: body.bytes()? },
        SEEN => {
            StreamEffect::Seen { group: body.bytes()?, consumer: body.bytes()?, at: body.i64()? }
        }
        CONSUMER_REMOVE => {
            StreamEffect::ConsumerRemove { group: body.bytes()?, consumer: body.bytes()? }
        }
        DELIVER => StreamEffect::Deliver {
            group: body.bytes()?,
            consumer: body.bytes()?,
            entries: Deliveries(strings_of(body, DELIVERY)?),
        },
        ACKNOWLEDGE => StreamEffect::Acknowledge { group: body.bytes()?, ids: ids(body)? },
        PUT => {
            let offset = body.offset();
            let stream = body.bytes()?;
            let wrong = FormatError::Unknown { what: "stream", found: stream.len() as u64, offset };
            whole_stream(stream).map_err(|_| wrong)?;
            StreamEffect::Put { stream }
        }
        _ => return Ok(None),
    }))
}

/// Whether a kind is one of these.
pub(super) fn is_kind(kind: u8) -> bool {
    (ADD..=PUT).contains(&kind)
}

fn flag(body: &mut Reader<'_>) -> Result<bool, FormatError> {
    let offset = body.offset();
    match body.u8()? {
        flag @ 0..=1 => Ok(flag == 1),
        found => Err(FormatError::Unknown { what: "flag", found: found.into(), offset }),
    }
}

fn id(body: &mut Reader<'_>) -> Result<StreamId, FormatError> {
    Ok(StreamId::from_be_bytes(body.take(16)?.try_into().unwrap_or_default()))
}

fn ids<'a>(body: &mut Reader<'a>) -> Result<Ids<'a>, FormatError> {
    strings_of(body, 16).map(Ids)
}

/// Strings that are all so long.
fn strings_of<'a>(body: &mut Reader<'a>, len: usize) -> Result<Strings<'a>, FormatError> {
    let offset = body.offset();
    let strings = strings::<true>(body, 1)?;
    match strings.clone().find(|string| string.len() != len) {
        None => Ok(strings),
        Some(odd) => Err(FormatError::Unknown { what: "length", found: odd.len() as u64, offset }),
    }
}
