//! A whole keyspace as the RDB file that a replica is given, in pieces: never more than one of them is in
//! memory beside the View it is made of.
//!
//! It is of version 9 and of plain kinds, so that every Redis since 5 and every Valkey reads it; where there
//! are streams it is of version 10, which Redis 7 reads.

use super::{crc64, kind_of, put_length, put_string, put_value};
use crate::keyspace::value::{Entry, Value};
use crate::keyspace::view::View;

const MAGIC: [&[u8]; 2] = [b"REDIS0009", b"REDIS0010"];
const AUX: u8 = 0xfa;
const EXPIRES_MS: u8 = 0xfc;
const RESIZE: u8 = 0xfb;
const SELECT: u8 = 0xfe;
const END: u8 = 0xff;
/// A piece is given away when it is so large.
const PIECE: usize = 64 << 10;

/// Gathers bytes, gives them away in pieces, and counts their checksum.
struct Pieces<'a> {
    gathered: Vec<u8>,
    checksum: u64,
    give: &'a mut dyn FnMut(Vec<u8>) -> bool,
    /// Whether nobody takes them any more.
    stopped: bool,
}

impl Pieces<'_> {
    fn spill(&mut self, least: usize) {
        if self.gathered.len() < least {
            return;
        }
        let piece = std::mem::replace(&mut self.gathered, Vec::with_capacity(PIECE + PIECE / 4));
        self.checksum = crc64::on(self.checksum, &piece);
        self.stopped = self.stopped || !(self.give)(piece);
    }
}

impl View {
    /// Writes all keys as an RDB file, piece by piece, until `give` says that it takes no more; whether
    /// it took all.
    pub fn rdb(&self, give: &mut dyn FnMut(Vec<u8>) -> bool) -> bool {
        let is_stream = |entry: &Entry| matches!(entry.value, Value::Stream(_));
        let streams = self.tables().any(|(_, _, mut entries)| entries.any(|(_, e)| is_stream(e)));
        let magic = MAGIC[usize::from(streams)].to_vec();
        let mut pieces = Pieces { gathered: magic, checksum: 0, give, stopped: false };
        for (name, value) in
            [("redis-ver", "7.0.15"), ("redis-bits", "64"), ("repl-stream-db", "0")]
        {
            pieces.gathered.push(AUX);
            put_string(&mut pieces.gathered, name.as_bytes());
            put_string(&mut pieces.gathered, value.as_bytes());
        }
        for (number, keys, entries) in self.tables() {
            if keys == 0 {
                continue;
            }
            pieces.gathered.push(SELECT);
            put_length(&mut pieces.gathered, usize::from(number));
            pieces.gathered.push(RESIZE);
            put_length(&mut pieces.gathered, keys);
            put_length(&mut pieces.gathered, 0);
            for (name, entry) in entries {
                if let Some(at) = entry.expires {
                    pieces.gathered.push(EXPIRES_MS);
                    pieces.gathered.extend_from_slice(&at.to_le_bytes());
                }
                pieces.gathered.push(kind_of(&entry.value));
                put_string(&mut pieces.gathered, name);
                let mut out = std::mem::take(&mut pieces.gathered);
                put_value(&mut out, &entry.value, &mut |out| {
                    if out.len() >= PIECE {
                        std::mem::swap(out, &mut pieces.gathered);
                        pieces.spill(PIECE);
                        std::mem::swap(out, &mut pieces.gathered);
                    }
                });
                pieces.gathered = out;
                pieces.spill(PIECE);
                if pieces.stopped {
                    return false;
                }
            }
        }
        pieces.gathered.push(END);
        pieces.spill(0);
        pieces.gathered = pieces.checksum.to_le_bytes().to_vec();
        pieces.spill(0);
        !pieces.stopped
    }
}
