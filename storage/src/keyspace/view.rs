//! The keyspace frozen at one log position, and its bytes (`docs/format/keyspace.md`).

use std::sync::Arc;

use super::Keyspace;
use super::database::Database;
use super::effect::DATABASES;
use super::list::List;
use super::map::Map;
use super::rdb::{put_stream, whole_stream};
use super::table::{Bytes, Table};
use super::value::{Entry, Value};
use super::wire::{FormatError, Reader, put_bytes, put_varint};
use super::zset::ZSet;

const VERSION: u8 = 1;
/// Stands where a database's number would, after the last.
const END: u8 = 255;

const STRING: u8 = 1;
const LIST: u8 = 2;
const HASH: u8 = 3;
const SET: u8 = 4;
const ZSET: u8 = 5;
const STREAM: u8 = 6;

/// All keys and marks as they were. It shares pages and segments with the keyspace it came from.
#[derive(Clone, Debug)]
pub struct View {
    databases: Vec<(Table<Entry>, Table<Bytes>)>,
}

impl Keyspace {
    /// Freezes what is there now, at the cost of one reference count a page.
    pub fn freeze(&self) -> View {
        let databases = self.databases.iter();
        View { databases: databases.map(|d| (d.keys.clone(), d.marks.clone())).collect() }
    }

    /// Takes the bytes of a [`View`]; checks all of them.
    pub fn decode(bytes: &[u8]) -> Result<Keyspace, FormatError> {
        let mut reader = Reader::new(bytes);
        let found = reader.u8()?;
        if found != VERSION {
            return Err(FormatError::Version { found, known: VERSION });
        }
        let mut keyspace = Keyspace::new();
        let mut next = 0;
        loop {
            let offset = reader.offset();
            let number = reader.u8()?;
            if number == END {
                break;
            }
            let database = keyspace.databases.get_mut(usize::from(number));
            let Some(database) = database.filter(|_| number >= next && number < DATABASES) else {
                let found = number.into();
                return Err(FormatError::Unknown { what: "database", found, offset });
            };
            next = number + 1;
            decode_database(&mut reader, database)?;
        }
        reader.finish()?;
        Ok(keyspace)
    }
}

impl View {
    /// Appends the encoded form.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        for (number, (keys, marks)) in (0_u8..).zip(&self.databases) {
            if keys.len() + marks.len() > 0 {
                out.push(number);
                put_varint(out, keys.len() as u64);
                keys.iter().for_each(|(name, entry)| encode_entry(out, name, entry));
                put_varint(out, marks.len() as u64);
                for (name, state) in marks.iter() {
                    put_bytes(out, name);
                    put_bytes(out, state);
                }
            }
        }
        out.push(END);
    }

    /// Databases with how many keys they have and which.
    pub(super) fn tables(
        &self,
    ) -> impl Iterator<Item = (u8, usize, impl Iterator<Item = (&Bytes, &Entry)>)> {
        let numbered = (0_u8..).zip(&self.databases);
        numbered.map(|(number, (keys, _))| (number, keys.len(), keys.iter()))
    }

    /// The keys of a database, in no order.
    pub fn names(&self, db: u8) -> Vec<Bytes> {
        let database = self.databases.get(usize::from(db));
        database.map_or_else(Vec::new, |(keys, _)| {
            keys.iter().map(|(name, _)| Bytes::clone(name)).collect()
        })
    }

    /// A key's entry, whether it has expired or not.
    pub fn entry(&self, db: u8, key: &[u8]) -> Option<&Entry> {
        self.databases.get(usize::from(db))?.0.get(key)
    }

    /// How many keys there are in all.
    pub fn keys(&self) -> usize {
        self.databases.iter().map(|(keys, _)| keys.len()).sum()
    }
}

fn encode_entry(out: &mut Vec<u8>, name: &[u8], entry: &Entry) {
    out.push(kind_of(&entry.value));
    put_bytes(out, name);
    match entry.expires {
        None => out.push(0),
        Some(at) => {
            out.push(1);
            out.extend_from_slice(&at.to_le_bytes());
        }
    }
    encode_value(out, &entry.value);
}

fn encode_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::String(string) => put_bytes(out, string),
        Value::List(list) => {
            let mut pieces = Vec::new();
            list.encode(&mut pieces);
            put_bytes(out, &pieces);
        }
        Value::Hash(hash) => {
            put_varint(out, hash.len() as u64);
            for (field, value) in hash.iter() {
                put_bytes(out, field);
                put_bytes(out, value);
            }
        }
        Value::Set(set) => {
            put_varint(out, set.len() as u64);
            set.iter().for_each(|(member, ())| put_bytes(out, member));
        }
        Value::Stream(stream) => {
            let mut bytes = Vec::new();
            put_stream(&mut bytes, stream);
            put_bytes(out, &bytes);
        }
        Value::ZSet(zset) => {
            put_varint(out, zset.len() as u64);
            for (score, member) in zset.iter() {
                out.extend_from_slice(&score.to_le_bytes());
                put_bytes(out, member);
            }
        }
    }
}

fn kind_of(value: &Value) -> u8 {
    match value {
        Value::String(_) => STRING,
        Value::List(_) => LIST,
        Value::Hash(_) => HASH,
        Value::Set(_) => SET,
        Value::ZSet(_) => ZSET,
        Value::Stream(_) => STREAM,
    }
}

fn decode_database(reader: &mut Reader<'_>, database: &mut Database) -> Result<(), FormatError> {
    for _ in 0..reader.varint()? {
        let kind = reader.u8()?;
        let name = reader.bytes()?;
        let expires = match reader.u8()? {
            0 => None,
            1 => Some(reader.i64()?),
            found => return Err(unknown("expiry flag", found, reader)),
        };
        let value = decode_value(kind, reader)?;
        if value.is_empty_collection() {
            return Err(unknown("empty collection of kind", kind, reader));
        }
        database.keys.insert(name, Entry::new(value, 0));
        database.expire(name, expires);
    }
    for _ in 0..reader.varint()? {
        let name = reader.bytes()?;
        let state = reader.bytes()?;
        database.mark(name, state);
    }
    Ok(())
}

fn decode_value(kind: u8, reader: &mut Reader<'_>) -> Result<Value, FormatError> {
    Ok(match kind {
        STRING => Value::String(Bytes::from(reader.bytes()?)),
        LIST => {
            let bytes = reader.bytes()?;
            let offset = reader.offset() - bytes.len();
            let list = List::decode(bytes).map_err(|error| FormatError::List { offset, error })?;
            Value::List(Arc::new(list))
        }
        HASH => {
            let mut hash = Map::default();
            for _ in 0..reader.varint()? {
                let field = reader.bytes()?;
                hash.insert(field, Bytes::from(reader.bytes()?));
            }
            Value::Hash(Arc::new(hash))
        }
        SET => {
            let mut set = Map::default();
            for _ in 0..reader.varint()? {
                set.insert(reader.bytes()?, ());
            }
            Value::Set(Arc::new(set))
        }
        ZSET => {
            let mut zset = ZSet::default();
            for _ in 0..reader.varint()? {
                let score = f64::from_le_bytes(reader.i64()?.to_le_bytes());
                if score.is_nan() {
                    return Err(unknown("score of kind", kind, reader));
                }
                zset.insert(reader.bytes()?, score);
            }
            Value::ZSet(Arc::new(zset))
        }
        STREAM => {
            let stream = whole_stream(reader.bytes()?);
            Value::Stream(Arc::new(stream.map_err(|_| unknown("stream of kind", kind, reader))?))
        }
        _ => return Err(unknown("value kind", kind, reader)),
    })
}

fn unknown(what: &'static str, found: u8, reader: &Reader<'_>) -> FormatError {
    FormatError::Unknown { what, found: found.into(), offset: reader.offset() }
}
