//! A value in the bytes of Redis's DUMP: kind, value, version of RDB, CRC64.
//!
//! Written are the plain kinds, which every Redis since 4 reads, and for streams the kind of Redis 7.
//! Read are all kinds of Redis 7.0 but modules, the packed ones too. Nothing is allocated that the bytes do not warrant.

mod crc64;
mod file;
mod lzf;
mod packed;
mod reader;
mod stream;

pub use reader::{RdbFileError, RdbKey, RdbRaw, RdbReader, rdb_of};
pub(super) use stream::{put_stream, whole_stream};

use std::borrow::Cow;
use std::sync::Arc;

use super::command::MAX_REQUEST;
use super::list::{End, List};
use super::map::Map;
use super::table::Bytes;
use super::value::Value;
use super::zset::ZSet;
use packed::{intset, listpack, ziplist};

/// The version of RDB that Redis 7.0 writes; newer ones are refused, as it refuses them.
const VERSION: u16 = 10;

const STRING: u8 = 0;
const LIST: u8 = 1;
const SET: u8 = 2;
const ZSET_TEXT: u8 = 3;
const HASH: u8 = 4;
const ZSET: u8 = 5;
const LIST_ZIPLIST: u8 = 10;
const SET_INTSET: u8 = 11;
const ZSET_ZIPLIST: u8 = 12;
const HASH_ZIPLIST: u8 = 13;
const LIST_OF_ZIPLISTS: u8 = 14;
const HASH_LISTPACK: u8 = 16;
const ZSET_LISTPACK: u8 = 17;
const LIST_OF_LISTPACKS: u8 = 18;
/// Since Redis 7.2.
const SET_LISTPACK: u8 = 20;

/// Longest string, also unpacked.
const MAX_STRING: u64 = 512 << 20;

/// A node of [`LIST_OF_LISTPACKS`] that is one element.
const PLAIN: u64 = 1;

/// Why bytes are no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RdbError {
    /// The checksum is wrong, or the version is newer.
    #[error("version or checksum are wrong")]
    Seal,
    /// The checksum is right, but what it seals is no value.
    #[error("bad data format at {0}")]
    Data(&'static str),
}

type Text<'a> = Cow<'a, [u8]>;

/// What RESTORE takes of a value, in every Redis since 5; a stream in every one since 7.
pub fn for_restore(value: &Value) -> Vec<u8> {
    let version = if matches!(value, Value::Stream(_)) { VERSION } else { 9 };
    sealed(value, version)
}

/// What DUMP answers for a value.
pub(super) fn encode(value: &Value) -> Vec<u8> {
    sealed(value, VERSION)
}

fn sealed(value: &Value, version: u16) -> Vec<u8> {
    let mut out = vec![kind_of(value)];
    put_value(&mut out, value, &mut |_| ());
    seal(out, version)
}

fn seal(mut out: Vec<u8>, version: u16) -> Vec<u8> {
    out.extend_from_slice(&version.to_le_bytes());
    let checksum = crc64::of(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    out
}

/// What RESTORE takes of a stream that is in the bytes of RDB already.
pub(super) fn seal_stream(bytes: &[u8]) -> Vec<u8> {
    seal([&[stream::NEW], bytes].concat(), VERSION)
}

fn kind_of(value: &Value) -> u8 {
    match value {
        Value::String(_) => STRING,
        Value::List(_) => LIST,
        Value::Hash(_) => HASH,
        Value::Set(_) => SET,
        Value::Stream(_) => stream::NEW,
        Value::ZSet(_) => ZSET,
    }
}

/// Appends a value without its kind; `spill` may take what there is after every element or node.
fn put_value(out: &mut Vec<u8>, value: &Value, spill: &mut dyn FnMut(&mut Vec<u8>)) {
    match value {
        Value::String(string) => put_string(out, string),
        Value::List(list) => {
            put_length(out, list.len());
            list.visit(0, usize::MAX, &mut |element| {
                put_string(out, element);
                spill(out);
            });
        }
        Value::Hash(hash) => {
            put_length(out, hash.len());
            for (field, value) in hash.iter() {
                put_string(out, field);
                put_string(out, value);
                spill(out);
            }
        }
        Value::Set(set) => {
            put_length(out, set.len());
            for (member, ()) in set.iter() {
                put_string(out, member);
                spill(out);
            }
        }
        Value::Stream(stream) => stream::put_in_pieces(out, stream, spill),
        Value::ZSet(zset) => {
            put_length(out, zset.len());
            for (score, member) in zset.iter() {
                put_string(out, member);
                out.extend_from_slice(&score.to_le_bytes());
                spill(out);
            }
        }
    }
}

/// Takes what DUMP answered, here or on a Redis; checks all of it. What it unpacks to is limited like the
/// request that brought it, for it goes into one record of the log.
pub(super) fn decode(bytes: &[u8]) -> Result<Value, RdbError> {
    decode_within(bytes, MAX_REQUEST as u64)
}

fn decode_within(bytes: &[u8], room: u64) -> Result<Value, RdbError> {
    let (sealed, checksum) = bytes.split_last_chunk::<8>().ok_or(RdbError::Seal)?;
    let (body, version) = sealed.split_last_chunk::<2>().ok_or(RdbError::Seal)?;
    let right = crc64::of(sealed) == u64::from_le_bytes(*checksum);
    if !right || u16::from_le_bytes(*version) > VERSION {
        return Err(RdbError::Seal);
    }
    let mut reader = Reader { rest: body, room };
    let kind = reader.u8()?;
    let value = value_of(kind, &mut reader)?;
    match reader.rest {
        [] if !value.is_empty_collection() => Ok(value),
        [] => Err(RdbError::Data("an empty collection")),
        _ => Err(RdbError::Data("bytes behind the value")),
    }
}

fn value_of(kind: u8, reader: &mut Reader<'_>) -> Result<Value, RdbError> {
    match kind {
        STRING => Ok(Value::String(Bytes::from(&*reader.string()?))),
        kind if is_list(kind) => {
            let mut list = List::default();
            each_element(kind, reader, &mut |element| list.push(End::Right, element))?;
            Ok(Value::List(Arc::new(list)))
        }
        SET => set_of(&reader.strings(1)?),
        HASH => hash_of(&reader.strings(2)?),
        ZSET | ZSET_TEXT => {
            let count = reader.length()?;
            let mut zset = ZSet::default();
            for _ in 0..count {
                let member = reader.string()?;
                let score = if kind == ZSET { reader.f64()? } else { reader.score()? };
                add_scored(&mut zset, &member, score)?;
            }
            Ok(Value::ZSet(Arc::new(zset)))
        }
        SET_INTSET => set_of(&intset(&reader.string()?)?),
        SET_LISTPACK => set_of(&listpack(&reader.string()?)?),
        ZSET_ZIPLIST => zset_of(&ziplist(&reader.string()?)?),
        ZSET_LISTPACK => zset_of(&listpack(&reader.string()?)?),
        HASH_ZIPLIST => hash_of(&ziplist(&reader.string()?)?),
        HASH_LISTPACK => hash_of(&listpack(&reader.string()?)?),
        stream::OLD | stream::NEW => {
            Ok(Value::Stream(Arc::new(stream::read_stream(reader, kind)?)))
        }
        _ => Err(RdbError::Data("the kind of value")),
    }
}

fn is_list(kind: u8) -> bool {
    matches!(kind, LIST | LIST_ZIPLIST | LIST_OF_ZIPLISTS | LIST_OF_LISTPACKS)
}

/// Shows the elements of a list of any kind, in order.
fn each_element(
    kind: u8,
    reader: &mut Reader<'_>,
    see: &mut dyn FnMut(&[u8]),
) -> Result<(), RdbError> {
    let mut see_all = |elements: &[Text<'_>]| elements.iter().for_each(|element| see(element));
    match kind {
        LIST => {
            for _ in 0..reader.length()? {
                see_all(&[reader.string()?]);
            }
        }
        LIST_ZIPLIST => see_all(&ziplist(&reader.string()?)?),
        LIST_OF_ZIPLISTS => {
            for _ in 0..reader.length()? {
                see_all(&ziplist(&reader.string()?)?);
            }
        }
        _ => {
            for _ in 0..reader.length()? {
                match reader.length()? {
                    PLAIN => see_all(&[reader.string()?]),
                    _ => see_all(&listpack(&reader.string()?)?),
                }
            }
        }
    }
    Ok(())
}

fn set_of(members: &[Text<'_>]) -> Result<Value, RdbError> {
    let mut set = Map::default();
    members.iter().for_each(|member| set.insert(member, ()));
    distinct(set.len(), members.len())?;
    Ok(Value::Set(Arc::new(set)))
}

fn hash_of(pairs: &[Text<'_>]) -> Result<Value, RdbError> {
    let mut hash = Map::default();
    let fields = pairs.chunks_exact(2);
    distinct(fields.remainder().len(), 0)?;
    for pair in fields.clone() {
        if let [field, value] = pair {
            hash.insert(field, Bytes::from(&**value));
        }
    }
    distinct(hash.len(), fields.len())?;
    Ok(Value::Hash(Arc::new(hash)))
}

fn zset_of(pairs: &[Text<'_>]) -> Result<Value, RdbError> {
    let mut zset = ZSet::default();
    let members = pairs.chunks_exact(2);
    distinct(members.remainder().len(), 0)?;
    for pair in members {
        if let [member, score] = pair {
            let score = super::float::parse(score).ok_or(RdbError::Data("a score"))?;
            add_scored(&mut zset, member, score)?;
        }
    }
    Ok(Value::ZSet(Arc::new(zset)))
}

fn add_scored(zset: &mut ZSet, member: &[u8], score: f64) -> Result<(), RdbError> {
    if score.is_nan() {
        return Err(RdbError::Data("a score"));
    }
    let before = zset.len();
    zset.insert(member, score);
    distinct(zset.len(), before + 1)
}

fn distinct(found: usize, wanted: usize) -> Result<(), RdbError> {
    if found == wanted { Ok(()) } else { Err(RdbError::Data("members that are not distinct")) }
}

fn put_length(out: &mut Vec<u8>, len: usize) {
    match (u8::try_from(len), u16::try_from(len), u32::try_from(len)) {
        (Ok(len @ 0..=63), ..) => out.push(len),
        (_, Ok(len @ 0..=0x3fff), _) => out.extend_from_slice(&(len | 0x4000).to_be_bytes()),
        (.., Ok(len)) => {
            out.push(0x80);
            out.extend_from_slice(&len.to_be_bytes());
        }
        _ => {
            out.push(0x81);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
}

fn put_string(out: &mut Vec<u8>, string: &[u8]) {
    put_length(out, string.len());
    out.extend_from_slice(string);
}

/// Walks the bytes of a value.
struct Reader<'a> {
    rest: &'a [u8],
    /// Bytes that what is packed may become.
    room: u64,
}

/// What stands where a length can.
enum Length {
    Is(u64),
    /// Not a length: a string kept in another way.
    Special(u8),
}

const CUT: RdbError = RdbError::Data("its end: bytes are missing");

impl<'a> Reader<'a> {
    /// Of a value whose size its sender did not choose.
    fn new(rest: &'a [u8]) -> Reader<'a> {
        Reader { rest, room: u64::MAX }
    }

    fn take(&mut self, count: u64) -> Result<&'a [u8], RdbError> {
        let count = usize::try_from(count).map_err(|_| CUT)?;
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(CUT)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RdbError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(CUT)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn u8(&mut self) -> Result<u8, RdbError> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn f64(&mut self) -> Result<f64, RdbError> {
        self.array().map(f64::from_le_bytes)
    }

    fn length_or_special(&mut self) -> Result<Length, RdbError> {
        let first = self.u8()?;
        Ok(match (first >> 6, first) {
            (0, len) => Length::Is(len.into()),
            (1, high) => Length::Is(u64::from(high & 0x3f) << 8 | u64::from(self.u8()?)),
            (_, 0x80) => Length::Is(u32::from_be_bytes(self.array()?).into()),
            (_, 0x81) => Length::Is(u64::from_be_bytes(self.array()?)),
            (3, kind) => Length::Special(kind & 0x3f),
            _ => return Err(RdbError::Data("a length")),
        })
    }

    fn length(&mut self) -> Result<u64, RdbError> {
        match self.length_or_special()? {
            Length::Is(length) => Ok(length),
            Length::Special(_) => Err(RdbError::Data("a length")),
        }
    }

    fn string(&mut self) -> Result<Text<'a>, RdbError> {
        let number = |n: i64| Ok(Cow::Owned(n.to_string().into_bytes()));
        match self.length_or_special()? {
            Length::Is(length) => self.take(length).map(Cow::Borrowed),
            Length::Special(0) => number(i8::from_le_bytes(self.array()?).into()),
            Length::Special(1) => number(i16::from_le_bytes(self.array()?).into()),
            Length::Special(2) => number(i32::from_le_bytes(self.array()?).into()),
            Length::Special(3) => {
                let (packed, length) = (self.length()?, self.length()?);
                let left = self.room.checked_sub(length).filter(|_| length <= MAX_STRING);
                self.room = left.ok_or(RdbError::Data("a compressed string that is too long"))?;
                let unpacked = lzf::unpack(self.take(packed)?, length);
                unpacked.map(Cow::Owned).ok_or(RdbError::Data("a compressed string"))
            }
            Length::Special(_) => Err(RdbError::Data("a string")),
        }
    }

    /// So many strings for each of a count.
    fn strings(&mut self, each: u64) -> Result<Vec<Text<'a>>, RdbError> {
        let count = self.length()?.checked_mul(each).ok_or(CUT)?;
        (0..count).map(|_| self.string()).collect()
    }

    /// A score as text, with one byte for its length or for what is no number.
    fn score(&mut self) -> Result<f64, RdbError> {
        match self.u8()? {
            255 => Ok(f64::NEG_INFINITY),
            254 => Ok(f64::INFINITY),
            253 => Err(RdbError::Data("a score")),
            length => {
                let text = self.take(length.into())?;
                super::float::parse(text).ok_or(RdbError::Data("a score"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(body: &[u8]) -> Vec<u8> {
        let mut bytes = body.to_vec();
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        let checksum = crc64::of(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// What a value holds; of what has no order, in order.
    fn contents(value: &Value) -> (&'static str, Vec<Vec<u8>>) {
        let mut parts = match value {
            Value::String(string) => vec![string.to_vec()],
            Value::List(list) => (0..list.len()).map(|i| list.get(i).unwrap()).collect(),
            Value::Set(set) => set.iter().map(|(member, ())| member.to_vec()).collect(),
            Value::Hash(hash) => hash.iter().map(|(f, v)| [&**f, b"=", &**v].concat()).collect(),
            Value::Stream(stream) => {
                let mut bytes = Vec::new();
                put_stream(&mut bytes, stream);
                vec![bytes]
            }
            Value::ZSet(zset) => {
                zset.iter().map(|(score, m)| [&score.to_le_bytes(), &**m].concat()).collect()
            }
        };
        if matches!(value, Value::Set(_) | Value::Hash(_)) {
            parts.sort();
        }
        (value.kind(), parts)
    }

    #[test]
    fn what_is_written_is_read() {
        let texts = |n: usize| (0..n).map(|i| vec![b'x'; i % 200]).collect::<Vec<_>>();
        let cow =
            |texts: &[Vec<u8>]| texts.iter().map(|t| Cow::Owned(t.clone())).collect::<Vec<_>>();
        let list = |texts: &[Vec<u8>]| {
            let mut list = List::default();
            texts.iter().for_each(|text| list.push(End::Right, text));
            Value::List(Arc::new(list))
        };
        let numbers: Vec<Vec<u8>> = (0..20_000).map(|n| n.to_string().into_bytes()).collect();
        let values = [
            Value::String(Bytes::from(&b""[..])),
            Value::String(Bytes::from(&vec![b'y'; 70_000][..])),
            list(&texts(300)),
            set_of(&cow(&numbers)).unwrap(),
            hash_of(&cow(&numbers)).unwrap(),
            zset_of(&cow(&numbers)).unwrap(),
        ];
        for value in values {
            let read = decode(&encode(&value)).unwrap();
            assert_eq!(contents(&read), contents(&value));
            // And passed on as it stands it is the same.
            let (key, dump) = (b"key".to_vec(), encode(&value));
            let raw = RdbRaw::of_dump(3, key.clone(), Some(7), &dump).unwrap();
            let file = rdb_of(&[raw.clone(), raw.clone()]);
            let mut reader = RdbReader::new(file.as_slice()).unwrap();
            for _ in 0..2 {
                let read = reader.next_raw().unwrap().unwrap();
                assert_eq!((read.db, &read.key, read.expires), (3, &key, Some(7)));
                assert_eq!(read.digest().unwrap(), crate::keyspace::digest(&value));
                assert_eq!(contents(&read.value().unwrap()), contents(&value));
            }
            assert!(reader.next_raw().unwrap().is_none());
            assert_eq!(reader.at(), file.len() as u64);
        }
    }

    #[test]
    fn damage_is_told_and_nothing_panics() {
        let mut wrong = encode(&Value::String(Bytes::from(&b"hello"[..])));
        wrong[2] ^= 1;
        assert_eq!(decode(&wrong).err(), Some(RdbError::Seal));
        // Sealed nonsense of every kind, short and long, must be refused or be a value.
        let mut state = 1_u64;
        for round in 0..60_000_u32 {
            let mut body = vec![(round % 20) as u8];
            for _ in 0..round % 40 {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                body.push((state >> 40) as u8);
            }
            let _ = decode(&sealed(&body));
        }
        // What is packed may become no more than there is room for, all of it together.
        let packed = [0xc3, 5, 60, 0, b'a', 0xe0, 50, 0];
        let two = sealed(&[&[LIST, 2][..], &packed, &packed].concat());
        assert!(decode_within(&two, 120).is_ok());
        assert!(matches!(decode_within(&two, 119), Err(RdbError::Data(_))));
        // So in a file.
        let file = rdb_of(&[RdbRaw::of_dump(0, b"k".to_vec(), None, &two).unwrap()]);
        let within = |room| RdbReader::new(&file[..]).unwrap().with_keys_up_to(room).next_key();
        assert!(within(120).is_ok());
        assert!(matches!(within(119), Err(RdbFileError::Damaged(_))));
        let claims_much = [LIST, 0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert!(matches!(decode(&sealed(&claims_much)), Err(RdbError::Data(_))));
        assert!(matches!(decode(&sealed(&[SET, 2, 1, b'a', 1, b'a'])), Err(RdbError::Data(_))));
        assert!(matches!(decode(&sealed(&[LIST, 0])), Err(RdbError::Data(_))));
    }
}
