//! Reads an RDB file, key by key, as Redis 5 to 8 and Valkey write it.
//!
//! One value at a time is in memory. What this build has no type for (modules, functions, hashes whose
//! fields expire) is named and refused, for a source that has it cannot be followed exactly.

use std::io::Read;

use super::{
    HASH, HASH_LISTPACK, HASH_ZIPLIST, LIST, LIST_OF_LISTPACKS, LIST_OF_ZIPLISTS, LIST_ZIPLIST,
    MAX_STRING, RdbError, SET, SET_INTSET, SET_LISTPACK, STRING, ZSET, ZSET_LISTPACK, ZSET_TEXT,
    ZSET_ZIPLIST, crc64, stream,
};
use crate::keyspace::digest::{ListDigest, digest};
use crate::keyspace::value::Value;

const SLOT_INFO: u8 = 244;
const FUNCTION: u8 = 245;
const FUNCTION_OLD: u8 = 246;
const MODULE_AUX: u8 = 247;
const IDLE: u8 = 248;
const FREQUENCY: u8 = 249;
const AUX: u8 = 250;
const RESIZE: u8 = 251;
const EXPIRES_MS: u8 = 252;
const EXPIRES: u8 = 253;
const SELECT: u8 = 254;
const END: u8 = 255;
/// A stream whose consumers say when they were active, since Redis 7.2.
const STREAM_ACTIVE: u8 = 21;
/// Versions read: Redis 5 and 6 write 9, Redis 8 writes 12, Valkey's own begin at 80.
const VERSIONS: [std::ops::RangeInclusive<u32>; 2] = [9..=12, 80..=80];

/// Why a file is not read on.
#[derive(Debug, thiserror::Error)]
pub enum RdbFileError {
    /// It could not be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// It is no RDB file.
    #[error("this is no RDB file")]
    Magic,
    /// It is newer.
    #[error("RDB version {0} is not known here")]
    Version(u32),
    /// It is damaged.
    #[error("the RDB file is damaged: {0}")]
    Damaged(&'static str),
    /// It holds what there is nothing like here.
    #[error("{what} cannot be taken over")]
    Foreign {
        /// What it is, and where.
        what: String,
    },
}

/// A key of a file.
#[derive(Debug)]
pub struct RdbKey {
    /// Of which database.
    pub db: u64,
    /// Its name.
    pub key: Vec<u8>,
    /// When it expires, in milliseconds since 1970.
    pub expires: Option<i64>,
    /// What it holds.
    pub value: Value,
}

/// A key of a file or of a Redis, its value in the bytes it came in: not looked at, but bounded.
#[derive(Clone, Debug)]
pub struct RdbRaw {
    /// Of which database.
    pub db: u64,
    /// Its name.
    pub key: Vec<u8>,
    /// When it expires, in milliseconds since 1970.
    pub expires: Option<i64>,
    kind: u8,
    body: Vec<u8>,
    /// Bytes that what is packed in it may become, all of it together.
    room: u64,
}

/// Walks a file.
pub struct RdbReader<R> {
    read: R,
    checksum: u64,
    db: u64,
    version: u32,
    at: u64,
    /// Bytes that one key may have.
    most: u64,
}

impl<R: Read> RdbReader<R> {
    /// Reads the head.
    pub fn new(read: R) -> Result<RdbReader<R>, RdbFileError> {
        let mut reader = RdbReader { read, checksum: 0, db: 0, version: 0, at: 0, most: u64::MAX };
        let head: [u8; 9] = reader.array()?;
        // `REDIS` and four digits, or `VALKEY` and three.
        let digits = head.strip_prefix(b"REDIS").or_else(|| head.strip_prefix(b"VALKEY"));
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let version = digits.and_then(|digits| digits.parse().ok());
        reader.version = version.ok_or(RdbFileError::Magic)?;
        match VERSIONS.iter().any(|known| known.contains(&reader.version)) {
            true => Ok(reader),
            false => Err(RdbFileError::Version(reader.version)),
        }
    }

    /// Refuses keys of more bytes, as they stand there or unpacked.
    pub fn with_keys_up_to(mut self, bytes: u64) -> RdbReader<R> {
        self.most = bytes;
        self
    }

    /// Bytes read so far; behind an error, where it was met.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// The next key; `None` behind the last, and then the checksum held.
    pub fn next_key(&mut self) -> Result<Option<RdbKey>, RdbFileError> {
        self.next_raw()?.map(RdbRaw::read).transpose()
    }

    /// The same with its value as it stands there.
    pub fn next_raw(&mut self) -> Result<Option<RdbRaw>, RdbFileError> {
        let mut expires = None;
        loop {
            match self.byte()? {
                AUX => {
                    self.string()?;
                    self.string()?;
                }
                RESIZE => {
                    self.length()?;
                    self.length()?;
                }
                SLOT_INFO => {
                    for _ in 0..3 {
                        self.length()?;
                    }
                }
                SELECT => self.db = self.length()?,
                EXPIRES_MS => expires = Some(i64::from_le_bytes(self.array()?)),
                EXPIRES => {
                    expires =
                        Some(i64::from(i32::from_le_bytes(self.array()?)).saturating_mul(1000));
                }
                IDLE => drop(self.length()?),
                FREQUENCY => drop(self.byte()?),
                FUNCTION | FUNCTION_OLD => {
                    return Err(RdbFileError::Foreign {
                        what: "a library of functions".to_owned(),
                    });
                }
                MODULE_AUX => {
                    return Err(RdbFileError::Foreign { what: "a module's data".to_owned() });
                }
                END => {
                    self.end()?;
                    return Ok(None);
                }
                kind => return self.key(kind, expires).map(Some),
            }
        }
    }

    fn end(&mut self) -> Result<(), RdbFileError> {
        let found = self.checksum;
        match u64::from_le_bytes(self.array()?) {
            // Its writer had checksums off.
            0 => Ok(()),
            wanted if wanted == found => Ok(()),
            _ => Err(RdbFileError::Damaged("its checksum does not hold")),
        }
    }

    fn key(&mut self, kind: u8, expires: Option<i64>) -> Result<RdbRaw, RdbFileError> {
        let mut raw = Vec::new();
        self.copy_string(&mut raw)?;
        let mut name = super::Reader { rest: &raw, room: self.most };
        let text = name.string().map_err(|_| RdbFileError::Damaged("a key"))?;
        let key = text.into_owned();
        let mut body = Vec::new();
        let kind = self.copy_value(kind, &key, &mut body)?;
        Ok(RdbRaw { db: self.db, key, expires, kind, body, room: self.most })
    }

    /// Copies a value's bytes; gives the kind they then are of.
    fn copy_value(&mut self, kind: u8, key: &[u8], out: &mut Vec<u8>) -> Result<u8, RdbFileError> {
        match kind {
            STRING | LIST_ZIPLIST | SET_INTSET | SET_LISTPACK | ZSET_ZIPLIST | HASH_ZIPLIST
            | HASH_LISTPACK | ZSET_LISTPACK => self.copy_string(out)?,
            LIST | SET | LIST_OF_ZIPLISTS => self.copy_strings(1, out)?,
            HASH => self.copy_strings(2, out)?,
            ZSET | ZSET_TEXT => {
                for _ in 0..self.copy_length(out)? {
                    self.copy_string(out)?;
                    if kind == ZSET {
                        self.copy(8, out)?;
                    } else {
                        self.copy(1, out)?;
                        let length = out.last().copied().filter(|length| *length < 253);
                        self.copy(length.unwrap_or(0).into(), out)?;
                    }
                }
            }
            LIST_OF_LISTPACKS => {
                for _ in 0..self.copy_length(out)? {
                    self.copy_length(out)?;
                    self.copy_string(out)?;
                }
            }
            stream::OLD | stream::NEW | STREAM_ACTIVE => {
                self.copy_stream(kind, out)?;
                return Ok(kind.min(stream::NEW));
            }
            kind => {
                let key = String::from_utf8_lossy(key).into_owned();
                let what = format!("key {key:?} of database {}, a value of kind {kind},", self.db);
                return Err(RdbFileError::Foreign { what });
            }
        }
        Ok(kind)
    }

    fn copy_stream(&mut self, kind: u8, out: &mut Vec<u8>) -> Result<(), RdbFileError> {
        self.copy_strings(2, out)?;
        // Entries and the last number; then the first one, the highest deleted, how many were added.
        for _ in 0..if kind == stream::OLD { 3 } else { 8 } {
            self.copy_length(out)?;
        }
        for _ in 0..self.copy_length(out)? {
            self.copy_string(out)?;
            for _ in 0..if kind == stream::OLD { 2 } else { 3 } {
                self.copy_length(out)?;
            }
            for _ in 0..self.copy_length(out)? {
                self.copy(16 + 8, out)?;
                self.copy_length(out)?;
            }
            for _ in 0..self.copy_length(out)? {
                self.copy_string(out)?;
                self.copy(8, out)?;
                if kind == STREAM_ACTIVE {
                    let _active: [u8; 8] = self.array()?;
                }
                for _ in 0..self.copy_length(out)? {
                    self.copy(16, out)?;
                }
            }
        }
        Ok(())
    }

    fn copy_strings(&mut self, each: u64, out: &mut Vec<u8>) -> Result<(), RdbFileError> {
        let count = self.copy_length(out)?.checked_mul(each);
        for _ in 0..count.ok_or(RdbFileError::Damaged("a count"))? {
            self.copy_string(out)?;
        }
        Ok(())
    }

    fn string(&mut self) -> Result<(), RdbFileError> {
        self.copy_string(&mut Vec::new())
    }

    fn length(&mut self) -> Result<u64, RdbFileError> {
        self.copy_length(&mut Vec::new())
    }

    fn copy_length(&mut self, out: &mut Vec<u8>) -> Result<u64, RdbFileError> {
        match self.copy_head(out)? {
            (length, false) => Ok(length),
            (_, true) => Err(RdbFileError::Damaged("a length")),
        }
    }

    fn copy_string(&mut self, out: &mut Vec<u8>) -> Result<(), RdbFileError> {
        match self.copy_head(out)? {
            (length, false) => self.copy(length, out),
            (0, true) => self.copy(1, out),
            (1, true) => self.copy(2, out),
            (2, true) => self.copy(4, out),
            (3, true) => {
                let packed = self.copy_length(out)?;
                self.copy_length(out)?;
                self.copy(packed, out)
            }
            _ => Err(RdbFileError::Damaged("a string")),
        }
    }

    /// A length, or (true) the number of a special string.
    fn copy_head(&mut self, out: &mut Vec<u8>) -> Result<(u64, bool), RdbFileError> {
        let first = self.byte()?;
        out.push(first);
        let start = out.len();
        let more = match first {
            0x80 => 4,
            0x81 => 8,
            first => u64::from(first >> 6 == 1),
        };
        self.copy(more, out)?;
        let big = out.get(start..).unwrap_or_default().iter();
        let big = big.fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        Ok(match (first >> 6, first) {
            (0, length) => (length.into(), false),
            (1, high) => (u64::from(high & 0x3f) << 8 | big, false),
            (_, 0x80 | 0x81) => (big, false),
            (3, special) => (u64::from(special & 0x3f), true),
            _ => return Err(RdbFileError::Damaged("a length")),
        })
    }

    fn copy(&mut self, count: u64, out: &mut Vec<u8>) -> Result<(), RdbFileError> {
        if count > MAX_STRING {
            return Err(RdbFileError::Damaged("a string that is too long"));
        }
        let before = out.len();
        if (before as u64).saturating_add(count) > self.most {
            return Err(RdbFileError::Damaged("a key of more bytes than are taken"));
        }
        // Memory comes with the bytes, not with the claim.
        let got = (&mut self.read).take(count).read_to_end(out)?;
        self.checksum = crc64::on(self.checksum, out.get(before..).unwrap_or_default());
        self.at += got as u64;
        if got as u64 == count { Ok(()) } else { Err(RdbFileError::Damaged("it ends too early")) }
    }

    fn byte(&mut self) -> Result<u8, RdbFileError> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RdbFileError> {
        let mut array = [0; N];
        self.read.read_exact(&mut array).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => RdbFileError::Damaged("it ends too early"),
            _ => error.into(),
        })?;
        self.checksum = crc64::on(self.checksum, &array);
        self.at += N as u64;
        Ok(array)
    }
}

impl RdbRaw {
    /// What DUMP gave for a key, of a Redis or Valkey of any version that is read as a file.
    pub fn of_dump(
        db: u64,
        key: Vec<u8>,
        expires: Option<i64>,
        dump: &[u8],
    ) -> Result<RdbRaw, RdbFileError> {
        let seal = RdbFileError::Damaged("the checksum of a dump");
        let Some((sealed, checksum)) = dump.split_last_chunk::<8>() else { return Err(seal) };
        let Some((body, version)) = sealed.split_last_chunk::<2>() else { return Err(seal) };
        if crc64::of(sealed) != u64::from_le_bytes(*checksum) {
            return Err(seal);
        }
        let version = u32::from(u16::from_le_bytes(*version));
        // The plain kinds are those of much older versions.
        if version > *VERSIONS[0].end() && !VERSIONS.iter().any(|known| known.contains(&version)) {
            return Err(RdbFileError::Version(version));
        }
        let (kind, read) = body.split_first().ok_or(RdbFileError::Damaged("an empty dump"))?;
        let mut reader = RdbReader { read, checksum: 0, db, version, at: 0, most: u64::MAX };
        let mut body = Vec::with_capacity(read.len());
        let kind = reader.copy_value(*kind, &key, &mut body)?;
        match reader.read.is_empty() {
            true => Ok(RdbRaw { db, key, expires, kind, body, room: u64::MAX }),
            false => Err(RdbFileError::Damaged("bytes are left over behind a dump")),
        }
    }

    /// Bytes of key and value.
    pub fn size(&self) -> usize {
        self.key.len() + self.body.len()
    }

    /// Appends it as a file has it.
    fn put(&self, out: &mut Vec<u8>) {
        if let Some(at) = self.expires {
            out.push(EXPIRES_MS);
            out.extend_from_slice(&at.to_le_bytes());
        }
        out.push(self.kind);
        super::put_string(out, &self.key);
        out.extend_from_slice(&self.body);
    }

    /// Reads its value.
    pub fn read(self) -> Result<RdbKey, RdbFileError> {
        let value = self.value()?;
        Ok(RdbKey { db: self.db, key: self.key, expires: self.expires, value })
    }

    /// The digest of its value. A list is not made for it: that costs much more than to read it.
    pub fn digest(&self) -> Result<u64, RdbFileError> {
        if !super::is_list(self.kind) {
            return Ok(digest(&self.value()?));
        }
        let mut reader = super::Reader { rest: &self.body, room: self.room };
        let mut list = ListDigest::default();
        let read = super::each_element(self.kind, &mut reader, &mut |element| list.add(element));
        read.map_err(|_| RdbFileError::Damaged("a list"))?;
        match reader.rest.is_empty() {
            true => Ok(list.digest()),
            false => Err(RdbFileError::Damaged("bytes are left over behind a value")),
        }
    }

    /// Its value; all of it is checked.
    pub fn value(&self) -> Result<Value, RdbFileError> {
        let mut reader = super::Reader { rest: &self.body, room: self.room };
        let value = super::value_of(self.kind, &mut reader).map_err(|error| match error {
            RdbError::Data(what) => RdbFileError::Damaged(what),
            RdbError::Seal => RdbFileError::Damaged("a value"),
        })?;
        match reader.rest.is_empty() {
            true => Ok(value),
            false => Err(RdbFileError::Damaged("bytes are left over behind a value")),
        }
    }
}

/// A file of some keys, as a Redis writes one: for passing them on.
pub fn rdb_of(keys: &[RdbRaw]) -> Vec<u8> {
    let room = keys.iter().map(|key| key.size() + 32).sum::<usize>();
    let mut out = Vec::with_capacity(room + 32);
    // The newest version whose kinds are all read.
    out.extend_from_slice(b"REDIS0012");
    let mut db = None;
    for key in keys {
        if db.replace(key.db) != Some(key.db) {
            out.push(SELECT);
            super::put_length(&mut out, usize::try_from(key.db).unwrap_or(usize::MAX));
        }
        key.put(&mut out);
    }
    out.push(END);
    let checksum = crc64::of(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    out
}
