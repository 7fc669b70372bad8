//! Effects: what commands did, in the bytes of `docs/format/effects.md`.
//!
//! [`Effects`] holds its encoded form and nothing else, so logging copies bytes and applying reads
//! them where they lie. Invariant: the bytes are well formed, because only the methods here write
//! them and [`Effects::decode`] checks every one.

mod stream;

pub use stream::{Deliveries, Ids, StreamEffect};

use super::extract::Mark;
use super::list::End;
use super::wire::{FormatError, Reader, put_bytes, put_varint};

/// The version this build writes and reads.
const VERSION: u8 = 1;
/// Kinds from here on may be skipped by a reader that does not know them.
const SKIPPABLE: u8 = 128;
/// Bytes a string may have: Redis's `proto-max-bulk-len`.
pub(super) const MAX_STRING: usize = 512 << 20;
/// Databases a node has.
pub const DATABASES: u8 = 16;

mod kind {
    pub(super) const DELETE: u8 = 1;
    pub(super) const EXPIRE: u8 = 2;
    pub(super) const PERSIST: u8 = 3;
    pub(super) const STRING_SET: u8 = 4;
    pub(super) const LIST_PUSH: u8 = 5;
    pub(super) const LIST_DROP: u8 = 6;
    pub(super) const HASH_SET: u8 = 7;
    pub(super) const HASH_DELETE: u8 = 8;
    pub(super) const SET_ADD: u8 = 9;
    pub(super) const SET_REMOVE: u8 = 10;
    pub(super) const FLUSH_DB: u8 = 11;
    pub(super) const FLUSH_ALL: u8 = 12;
    pub(super) const MARK: u8 = 13;
    pub(super) const LIST_SET: u8 = 14;
    pub(super) const LIST_INSERT: u8 = 15;
    pub(super) const LIST_REMOVE: u8 = 16;
    pub(super) const ZSET_ADD: u8 = 17;
    pub(super) const ZSET_REMOVE: u8 = 18;
    pub(super) const COPY: u8 = 19;
    pub(super) const SWAP_DB: u8 = 20;
    // 21 to 31 are those of streams.
    pub(super) const STRING_PUT: u8 = 32;
    pub(super) const BEGIN: u8 = 128;
    pub(super) const END: u8 = 129;
    pub(super) const PING: u8 = 130;
    pub(super) const ASK: u8 = 131;
    pub(super) const IDENTITY: u8 = 132;
}

/// Bytes of the name a stream has.
pub const IDENTITY: usize = 20;

/// The bit of a string-set's flags that keeps the expiry.
const KEEP_EXPIRY: u8 = 1;

/// One effect, read where it lies.
#[derive(Clone, Copy, Debug)]
pub enum Effect<'a> {
    /// The key goes.
    Delete {
        /// Which.
        key: &'a [u8],
    },
    /// The key expires at a time.
    Expire {
        /// Which.
        key: &'a [u8],
        /// When, in milliseconds since 1970.
        at: i64,
    },
    /// The key no longer expires.
    Persist {
        /// Which.
        key: &'a [u8],
    },
    /// The key becomes a string.
    StringSet {
        /// Which.
        key: &'a [u8],
        /// The string.
        value: &'a [u8],
        /// Whether its expiry stays.
        keep_expiry: bool,
    },
    /// Bytes come to stand in a string, which grows with zeros up to them; an absent key is an empty string.
    StringPut {
        /// Which.
        key: &'a [u8],
        /// From which byte on.
        at: u64,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// Elements come to a list, one by one.
    ListPush {
        /// Which.
        key: &'a [u8],
        /// Where.
        end: End,
        /// The elements, in the order they are pushed.
        elements: Strings<'a>,
    },
    /// Elements leave a list.
    ListDrop {
        /// Which.
        key: &'a [u8],
        /// How many at the head.
        left: u64,
        /// How many at the tail.
        right: u64,
    },
    /// Fields of a hash get values.
    HashSet {
        /// Which.
        key: &'a [u8],
        /// Field, value, field, value ...
        pairs: Strings<'a>,
    },
    /// Fields of a hash go.
    HashDelete {
        /// Which.
        key: &'a [u8],
        /// The fields that were there.
        fields: Strings<'a>,
    },
    /// Members come to a set.
    SetAdd {
        /// Which.
        key: &'a [u8],
        /// Those that were not there.
        members: Strings<'a>,
    },
    /// Members leave a set.
    SetRemove {
        /// Which.
        key: &'a [u8],
        /// Those that were there.
        members: Strings<'a>,
    },
    /// An element of a list is replaced.
    ListSet {
        /// Which.
        key: &'a [u8],
        /// Its place from the head.
        index: u64,
        /// What it becomes.
        element: &'a [u8],
    },
    /// An element comes into a list.
    ListInsert {
        /// Which.
        key: &'a [u8],
        /// The place from the head it then has.
        index: u64,
        /// The element.
        element: &'a [u8],
        /// Whether it came behind the first element equal to `pivot`, or before it.
        after: bool,
        /// What it came beside, for followers that know no places.
        pivot: &'a [u8],
    },
    /// Elements leave the middle of a list.
    ListRemove {
        /// Which.
        key: &'a [u8],
        /// How many equal to `element` that are from the head on, from the tail if negative, all of them if
        /// 0; for followers that know no places.
        count: i64,
        /// What all of them are.
        element: &'a [u8],
        /// Their places from the head, ascending, each in eight bytes.
        indexes: Strings<'a>,
    },
    /// Members come to a sorted set or get another score.
    ZSetAdd {
        /// Which.
        key: &'a [u8],
        /// Score in eight bytes, member, score, member ...
        pairs: Strings<'a>,
    },
    /// Members leave a sorted set.
    ZSetRemove {
        /// Which.
        key: &'a [u8],
        /// Those that were there.
        members: Strings<'a>,
    },
    /// A key's value and expiry come to another key, in place of what that one held.
    Copy {
        /// From where.
        key: &'a [u8],
        /// The other key's database.
        to_db: u8,
        /// The other key.
        to: &'a [u8],
    },
    /// Two databases change places.
    SwapDb {
        /// The other one.
        with: u8,
    },
    /// Something happens to a stream.
    Stream {
        /// Which.
        key: &'a [u8],
        /// What.
        effect: StreamEffect<'a>,
    },
    /// Every key of the database goes.
    FlushDb,
    /// Every key goes.
    FlushAll,
    /// The keymap's state for a key changes.
    Mark {
        /// Which.
        key: &'a [u8],
        /// The state; empty removes it.
        state: &'a [u8],
    },
    /// A transaction begins; it changes nothing.
    Begin,
    /// A transaction ends; it changes nothing.
    End,
    /// Followers are told that this node is there; it changes nothing.
    Ping,
    /// Followers are asked how far they are; it changes nothing.
    Ask,
    /// From here on the stream that followers are fed has this name as well; it changes nothing.
    Identity {
        /// The name, 20 bytes.
        id: &'a [u8],
    },
}

/// A run of byte strings inside an effect.
#[derive(Clone, Copy, Debug)]
pub struct Strings<'a> {
    left: u64,
    reader: Reader<'a>,
}

impl Strings<'_> {
    /// How many are left; unlike the iterator's own count it walks nothing.
    pub fn count(&self) -> u64 {
        self.left
    }
}

impl<'a> Iterator for Strings<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        self.reader.bytes().ok()
    }
}

/// What one command did; empty when it changed nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// The encoded form; nothing at all while nothing changes.
    bytes: Vec<u8>,
}

impl Effects {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The encoded form.
    pub fn encoded(&self) -> &[u8] {
        if self.bytes.is_empty() { &[VERSION] } else { &self.bytes }
    }

    fn body(&self) -> &[u8] {
        self.bytes.get(1..).unwrap_or_default()
    }

    /// Takes an encoded form; checks all of it.
    pub fn decode(bytes: &[u8]) -> Result<Effects, FormatError> {
        let mut reader = Reader::new(bytes);
        let found = reader.u8()?;
        if found != VERSION {
            return Err(FormatError::Version { found, known: VERSION });
        }
        if reader.is_empty() {
            return Ok(Effects::default());
        }
        while !reader.is_empty() {
            let offset = reader.offset();
            read::<true>(&mut reader).map_err(|error| at(error, offset))?;
        }
        Ok(Effects { bytes: bytes.to_vec() })
    }

    /// The effects with their databases, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u8, Effect<'_>)> {
        let mut reader = Reader::new(self.body());
        std::iter::from_fn(move || {
            while !reader.is_empty() {
                // The bytes are well formed, so only a skippable kind gives nothing.
                if let Some(effect) = read::<false>(&mut reader).ok()? {
                    return Some(effect);
                }
            }
            None
        })
    }

    /// The effect, if it is one.
    pub(super) fn only(&self) -> Option<(u8, Effect<'_>)> {
        let body = self.body();
        let length = body.get(2..6)?.try_into().map(u32::from_le_bytes).ok()?;
        let only = body.len().checked_sub(6)? == length as usize;
        if only { self.iter().next() } else { None }
    }

    /// The name that a stream gets, if that is said first.
    pub(crate) fn identity_first(&self) -> Option<&[u8]> {
        if self.body().first() != Some(&kind::IDENTITY) {
            return None;
        }
        match self.iter().next()? {
            (_, Effect::Identity { id }) => Some(id),
            _ => None,
        }
    }

    /// The key goes.
    pub fn delete(&mut self, db: u8, key: &[u8]) {
        self.put(kind::DELETE, db, |out| put_bytes(out, key));
    }

    /// The key expires at a time.
    pub fn expire(&mut self, db: u8, key: &[u8], at: i64) {
        self.put(kind::EXPIRE, db, |out| {
            put_bytes(out, key);
            out.extend_from_slice(&at.to_le_bytes());
        });
    }

    /// The key no longer expires.
    pub fn persist(&mut self, db: u8, key: &[u8]) {
        self.put(kind::PERSIST, db, |out| put_bytes(out, key));
    }

    /// The key becomes a string.
    pub fn string_set(&mut self, db: u8, key: &[u8], value: &[u8], keep_expiry: bool) {
        self.put(kind::STRING_SET, db, |out| {
            put_bytes(out, key);
            out.push(if keep_expiry { KEEP_EXPIRY } else { 0 });
            put_bytes(out, value);
        });
    }

    /// Bytes come to stand in a string from a place on; an absent key is an empty string.
    pub fn string_put(&mut self, db: u8, key: &[u8], at: usize, bytes: &[u8]) {
        self.put(kind::STRING_PUT, db, |out| {
            put_bytes(out, key);
            put_varint(out, at as u64);
            put_bytes(out, bytes);
        });
    }

    /// Elements come to a list, one by one.
    pub fn list_push(&mut self, db: u8, key: &[u8], end: End, elements: &[&[u8]]) {
        self.put(kind::LIST_PUSH, db, |out| {
            put_bytes(out, key);
            out.push(if end == End::Left { 0 } else { 1 });
            put_strings(out, elements);
        });
    }

    /// Elements leave a list.
    pub fn list_drop(&mut self, db: u8, key: &[u8], left: usize, right: usize) {
        self.put(kind::LIST_DROP, db, |out| {
            put_bytes(out, key);
            put_varint(out, left as u64);
            put_varint(out, right as u64);
        });
    }

    /// Fields of a hash get values; `pairs` alternates the two.
    pub fn hash_set(&mut self, db: u8, key: &[u8], pairs: &[&[u8]]) {
        self.put(kind::HASH_SET, db, |out| {
            put_bytes(out, key);
            put_varint(out, pairs.len() as u64 / 2);
            pairs.chunks_exact(2).flatten().for_each(|string| put_bytes(out, string));
        });
    }

    /// Fields of a hash go.
    pub fn hash_delete(&mut self, db: u8, key: &[u8], fields: &[&[u8]]) {
        self.put_keyed(kind::HASH_DELETE, db, key, fields);
    }

    /// Members come to a set.
    pub fn set_add(&mut self, db: u8, key: &[u8], members: &[&[u8]]) {
        self.put_keyed(kind::SET_ADD, db, key, members);
    }

    /// Members leave a set.
    pub fn set_remove(&mut self, db: u8, key: &[u8], members: &[&[u8]]) {
        self.put_keyed(kind::SET_REMOVE, db, key, members);
    }

    /// An element of a list is replaced.
    pub fn list_set(&mut self, db: u8, key: &[u8], index: usize, element: &[u8]) {
        self.put(kind::LIST_SET, db, |out| {
            put_bytes(out, key);
            put_varint(out, index as u64);
            put_bytes(out, element);
        });
    }

    /// An element comes into a list, behind or before the first that is equal to `pivot`, to stand at `index`.
    pub fn list_insert(
        &mut self,
        db: u8,
        key: &[u8],
        index: usize,
        element: &[u8],
        (after, pivot): (bool, &[u8]),
    ) {
        self.put(kind::LIST_INSERT, db, |out| {
            put_bytes(out, key);
            put_varint(out, index as u64);
            put_bytes(out, element);
            out.push(u8::from(after));
            put_bytes(out, pivot);
        });
    }

    /// Elements leave the middle of a list: those equal to `element`, `count` from the head on, from the tail
    /// if negative, all if 0. They stand at `indexes`, which ascend.
    pub fn list_remove(
        &mut self,
        db: u8,
        key: &[u8],
        (count, element): (i64, &[u8]),
        indexes: &[usize],
    ) {
        let places: Vec<[u8; 8]> = indexes.iter().map(|i| (*i as u64).to_le_bytes()).collect();
        let places: Vec<&[u8]> = places.iter().map(|place| place.as_slice()).collect();
        self.put(kind::LIST_REMOVE, db, |out| {
            put_bytes(out, key);
            out.extend_from_slice(&count.to_le_bytes());
            put_bytes(out, element);
            put_strings(out, &places);
        });
    }

    /// Members come to a sorted set or get another score, which is not NaN.
    pub fn zset_add(&mut self, db: u8, key: &[u8], members: &[(f64, &[u8])]) {
        self.put(kind::ZSET_ADD, db, |out| {
            put_bytes(out, key);
            put_varint(out, members.len() as u64);
            for (score, member) in members {
                put_bytes(out, &score.to_le_bytes());
                put_bytes(out, member);
            }
        });
    }

    /// Members leave a sorted set.
    pub fn zset_remove(&mut self, db: u8, key: &[u8], members: &[&[u8]]) {
        self.put_keyed(kind::ZSET_REMOVE, db, key, members);
    }

    /// A key's value and expiry come to another key.
    pub fn copy(&mut self, db: u8, key: &[u8], to_db: u8, to: &[u8]) {
        self.put(kind::COPY, db, |out| {
            put_bytes(out, key);
            out.push(to_db);
            put_bytes(out, to);
        });
    }

    /// Two databases change places.
    pub fn swap_db(&mut self, db: u8, with: u8) {
        self.put(kind::SWAP_DB, db, |out| out.push(with));
    }

    /// Every key of the database goes.
    pub fn flush_db(&mut self, db: u8) {
        self.put(kind::FLUSH_DB, db, |_| ());
    }

    /// Every key goes.
    pub fn flush_all(&mut self) {
        self.put(kind::FLUSH_ALL, 0, |_| ());
    }

    /// The keymap's state for a key changes.
    pub fn mark(&mut self, mark: &Mark) {
        self.put(kind::MARK, mark.db, |out| {
            put_bytes(out, &mark.key);
            put_bytes(out, &mark.state);
        });
    }

    /// A transaction begins.
    pub(crate) fn begin(&mut self) {
        self.put(kind::BEGIN, 0, |_| ());
    }

    /// A transaction ends.
    pub(crate) fn end(&mut self) {
        self.put(kind::END, 0, |_| ());
    }

    /// Followers hear that this node is there.
    pub(crate) fn ping(&mut self) {
        self.put(kind::PING, 0, |_| ());
    }

    /// Followers are asked how far they are.
    pub(crate) fn ask(&mut self) {
        self.put(kind::ASK, 0, |_| ());
    }

    /// The stream gets a further name.
    pub(crate) fn identity(&mut self, id: &[u8]) {
        self.put(kind::IDENTITY, 0, |out| put_bytes(out, id));
    }

    /// These effects come before those that are there.
    pub(crate) fn put_before(&mut self, first: &Effects) {
        if self.bytes.is_empty() {
            self.bytes.push(VERSION);
        }
        self.bytes.splice(1..1, first.body().iter().copied());
    }

    fn put_keyed(&mut self, kind: u8, db: u8, key: &[u8], strings: &[&[u8]]) {
        self.put(kind, db, |out| {
            put_bytes(out, key);
            put_strings(out, strings);
        });
    }

    /// Writes one effect; its length is known only after the body, so it is put in behind.
    fn put(&mut self, kind: u8, db: u8, body: impl FnOnce(&mut Vec<u8>)) {
        if self.bytes.is_empty() {
            // Most commands fit, so that what they do is put together in one place.
            self.bytes.reserve(128);
            self.bytes.push(VERSION);
        }
        self.bytes.extend_from_slice(&[kind, db, 0, 0, 0, 0]);
        let start = self.bytes.len();
        body(&mut self.bytes);
        // What does not fit is far above what the log takes, which refuses it.
        let len = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        if let Some(slot) = self.bytes.get_mut(start - 4..start) {
            slot.copy_from_slice(&len.to_le_bytes());
        }
    }
}

fn put_strings(out: &mut Vec<u8>, strings: &[&[u8]]) {
    put_varint(out, strings.len() as u64);
    strings.iter().for_each(|string| put_bytes(out, string));
}

/// Reads one effect; `None` for one that may be skipped. `CHECK`: all of its body, of which otherwise the
/// strings at its end are not walked.
fn read<'a, const CHECK: bool>(
    reader: &mut Reader<'a>,
) -> Result<Option<(u8, Effect<'a>)>, FormatError> {
    let kind = reader.u8()?;
    let db = reader.u8()?;
    let len = reader.u32()?;
    let mut body = Reader::new(reader.take(len as usize)?);
    if kind > kind::IDENTITY {
        // From SKIPPABLE on, what is not known may be skipped.
        const { assert!(kind::IDENTITY >= SKIPPABLE) };
        return Ok(None);
    }
    if db >= DATABASES {
        return Err(FormatError::Unknown { what: "database", found: db.into(), offset: 1 });
    }
    let effect = read_body::<CHECK>(kind, &mut body)?;
    if CHECK {
        body.finish()?;
    }
    Ok(Some((db, effect)))
}

fn read_body<'a, const CHECK: bool>(
    kind: u8,
    body: &mut Reader<'a>,
) -> Result<Effect<'a>, FormatError> {
    Ok(match kind {
        kind::DELETE => Effect::Delete { key: body.bytes()? },
        kind::EXPIRE => Effect::Expire { key: body.bytes()?, at: body.i64()? },
        kind::PERSIST => Effect::Persist { key: body.bytes()? },
        kind::STRING_SET => {
            let key = body.bytes()?;
            let keep_expiry = match body.u8()? {
                flags @ 0..=KEEP_EXPIRY => flags == KEEP_EXPIRY,
                flags => return Err(unknown("string-set flag", flags, body)),
            };
            Effect::StringSet { key, value: body.bytes()?, keep_expiry }
        }
        kind::STRING_PUT => {
            let (key, at, bytes) = (body.bytes()?, body.varint()?, body.bytes()?);
            if CHECK && at.saturating_add(bytes.len() as u64) > MAX_STRING as u64 {
                return Err(FormatError::Unknown {
                    what: "place in a string",
                    found: at,
                    offset: body.offset(),
                });
            }
            Effect::StringPut { key, at, bytes }
        }
        kind::LIST_PUSH => {
            let key = body.bytes()?;
            let end = match body.u8()? {
                0 => End::Left,
                1 => End::Right,
                end => return Err(unknown("list end", end, body)),
            };
            Effect::ListPush { key, end, elements: strings::<CHECK>(body, 1)? }
        }
        kind::LIST_DROP => {
            Effect::ListDrop { key: body.bytes()?, left: body.varint()?, right: body.varint()? }
        }
        kind::HASH_SET => Effect::HashSet { key: body.bytes()?, pairs: strings::<CHECK>(body, 2)? },
        kind::HASH_DELETE => {
            Effect::HashDelete { key: body.bytes()?, fields: strings::<CHECK>(body, 1)? }
        }
        kind::SET_ADD => Effect::SetAdd { key: body.bytes()?, members: strings::<CHECK>(body, 1)? },
        kind::SET_REMOVE => {
            Effect::SetRemove { key: body.bytes()?, members: strings::<CHECK>(body, 1)? }
        }
        kind::FLUSH_DB => Effect::FlushDb,
        kind::FLUSH_ALL => Effect::FlushAll,
        kind::MARK => Effect::Mark { key: body.bytes()?, state: body.bytes()? },
        kind::LIST_SET => {
            Effect::ListSet { key: body.bytes()?, index: body.varint()?, element: body.bytes()? }
        }
        kind::LIST_INSERT => {
            let (key, index, element) = (body.bytes()?, body.varint()?, body.bytes()?);
            let after = match body.u8()? {
                after @ 0..=1 => after == 1,
                after => return Err(unknown("side of a list's element", after, body)),
            };
            Effect::ListInsert { key, index, element, after, pivot: body.bytes()? }
        }
        kind::LIST_REMOVE => Effect::ListRemove {
            key: body.bytes()?,
            count: body.i64()?,
            element: body.bytes()?,
            indexes: strings::<CHECK>(body, 1)?,
        },
        kind::ZSET_ADD => Effect::ZSetAdd { key: body.bytes()?, pairs: strings::<CHECK>(body, 2)? },
        kind::ZSET_REMOVE => {
            Effect::ZSetRemove { key: body.bytes()?, members: strings::<CHECK>(body, 1)? }
        }
        kind::COPY => {
            let key = body.bytes()?;
            Effect::Copy { key, to_db: database(body)?, to: body.bytes()? }
        }
        kind::SWAP_DB => Effect::SwapDb { with: database(body)? },
        kind::BEGIN => Effect::Begin,
        kind::END => Effect::End,
        kind::PING => Effect::Ping,
        kind::ASK => Effect::Ask,
        kind::IDENTITY => match body.bytes()? {
            id if id.len() == IDENTITY => Effect::Identity { id },
            id => {
                let found = id.len() as u64;
                let offset = body.offset();
                return Err(FormatError::Unknown { what: "length of an identity", found, offset });
            }
        },
        _ if stream::is_kind(kind) => {
            let key = body.bytes()?;
            let effect = stream::read(kind, body)?;
            Effect::Stream {
                key,
                effect: effect.ok_or_else(|| unknown("effect kind", kind, body))?,
            }
        }
        _ => return Err(unknown("effect kind", kind, body)),
    })
}

fn database(body: &mut Reader<'_>) -> Result<u8, FormatError> {
    match body.u8()? {
        db @ 0..DATABASES => Ok(db),
        db => Err(unknown("database", db, body)),
    }
}

/// Reads a counted run, `each` strings a count, and gives it back to be walked again.
fn strings<'a, const CHECK: bool>(
    body: &mut Reader<'a>,
    each: u64,
) -> Result<Strings<'a>, FormatError> {
    let count = body.varint()?.saturating_mul(each);
    let run = Strings { left: count, reader: *body };
    if CHECK {
        for _ in 0..count {
            body.bytes()?;
        }
    }
    Ok(run)
}

fn unknown(what: &'static str, found: u8, body: &Reader<'_>) -> FormatError {
    FormatError::Unknown { what, found: found.into(), offset: body.offset() }
}

/// Counts an error's place from the start of all effects instead of the body's.
fn at(mut error: FormatError, base: usize) -> FormatError {
    match &mut error {
        FormatError::Truncated { offset, .. }
        | FormatError::Unknown { offset, .. }
        | FormatError::Trailing { offset, .. } => *offset += base,
        FormatError::Version { .. } | FormatError::List { .. } => {}
    }
    error
}
