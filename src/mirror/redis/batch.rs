//! From the stream's bytes to what one target is sent: pure.
//!
//! The stream's commands are the few of `docs/format/feed.md`; their key stands behind the name. What is
//! between two moments at which database 0 is selected and no transaction is open is a unit, which a
//! target gets whole.

use ringwell_storage::keyspace::glob_matches;

use super::client::command;
use crate::replication::{MAX_STRING, next_command};

/// Which keys a mirror has, and what they are called there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// What stands before every key there.
    pub prefix: String,
    /// Patterns of keys, as KEYS takes them; none means all.
    pub only: Vec<String>,
    /// Patterns of keys that are left out all the same.
    pub not: Vec<String>,
}

impl Keys {
    /// Whether a key is one of the mirror's.
    pub(super) fn has(&self, key: &[u8]) -> bool {
        let any = |of: &[String]| of.iter().any(|pattern| glob_matches(pattern.as_bytes(), key));
        (self.only.is_empty() || any(&self.only)) && !any(&self.not)
    }

    /// What a key is called there.
    pub(super) fn there(&self, key: &[u8]) -> Vec<u8> {
        [self.prefix.as_bytes(), key].concat()
    }

    /// What a key there is called here; `None` for those that are not the mirror's.
    pub(super) fn here<'a>(&self, key: &'a [u8]) -> Option<&'a [u8]> {
        key.strip_prefix(self.prefix.as_bytes()).filter(|key| self.has(key))
    }
}

/// A unit as a target gets it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Unit {
    /// Requests, encoded.
    pub(super) requests: Vec<u8>,
    /// How many they are.
    pub(super) count: usize,
    /// The offset behind it.
    pub(super) end: u64,
    /// Whether commands cannot tell what happened: all keys have to be written anew.
    pub(super) rebuild: bool,
}

/// Cuts the stream into units.
pub(super) struct Units<'k> {
    keys: &'k Keys,
    from_db: u8,
    /// Milliseconds that keys expire later there.
    grace: i64,
    bytes: Vec<u8>,
    /// The offset of the first of `bytes`.
    offset: u64,
}

impl<'k> Units<'k> {
    /// Of a stream that is read from an offset on.
    pub(super) fn new(keys: &'k Keys, from_db: u8, grace: i64, offset: u64) -> Units<'k> {
        Units { keys, from_db, grace, bytes: Vec::new(), offset }
    }

    /// The next bytes.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next unit, if it is whole; an error is what is wrong with the stream.
    pub(super) fn next(&mut self) -> Result<Option<Unit>, &'static str> {
        let mut unit = Unit::default();
        let (mut at, mut db, mut open) = (0, 0_u8, false);
        loop {
            let rest = self.bytes.get(at..).unwrap_or_default();
            let Some((args, length)) = next_command(rest, MAX_STRING)? else { return Ok(None) };
            at += length;
            match args.as_slice() {
                [name] if *name == b"MULTI" => open = true,
                [name] if *name == b"EXEC" => open = false,
                [name, number] if *name == b"SELECT" => {
                    let number =
                        std::str::from_utf8(number).ok().and_then(|text| text.parse().ok());
                    db = number.ok_or("a database that is no number")?;
                }
                args => self.translate(args, db, &mut unit),
            }
            if !open && db == 0 {
                break;
            }
        }
        unit.end = self.offset + at as u64;
        self.offset = unit.end;
        self.bytes.drain(..at);
        Ok(Some(unit))
    }

    fn translate(&self, args: &[&[u8]], db: u8, unit: &mut Unit) {
        let ours = db == self.from_db;
        let number =
            |text: &[u8]| std::str::from_utf8(text).ok().and_then(|t| t.parse::<u8>().ok());
        match args {
            [b"PING", ..] | [b"REPLCONF", ..] => {}
            [b"FLUSHALL", ..] => unit.rebuild = true,
            [b"FLUSHDB", ..] => unit.rebuild |= ours,
            [b"SWAPDB", a, b] => {
                let ours = Some(self.from_db);
                unit.rebuild |= number(a) == ours || number(b) == ours;
            }
            [b"COPY", key, to, b"DB", to_db, ..] => {
                let comes = number(to_db) == Some(self.from_db) && self.keys.has(to);
                let known = ours && self.keys.has(key);
                match (known, comes) {
                    (true, true) => {
                        let (key, to) = (self.keys.there(key), self.keys.there(to));
                        unit.push(&[b"COPY", &key, &to, b"REPLACE"]);
                    }
                    // The target has not what is copied.
                    (false, true) => unit.rebuild = true,
                    (_, false) => {}
                }
            }
            [b"PEXPIREAT", key, at] if ours && self.keys.has(key) => {
                let at = std::str::from_utf8(at).ok().and_then(|text| text.parse::<i64>().ok());
                let at = at.unwrap_or(i64::MAX).saturating_add(self.grace).to_string();
                unit.push(&[b"PEXPIREAT", &self.keys.there(key), at.as_bytes()]);
            }
            [b"XGROUP", what, key, rest @ ..] if ours && self.keys.has(key) => {
                let key = self.keys.there(key);
                unit.push(&[&[&b"XGROUP"[..], what, &key], rest].concat());
            }
            [b"XGROUP", ..] => {}
            [name, key, rest @ ..] if ours && self.keys.has(key) => {
                let key = self.keys.there(key);
                let mut words = vec![*name, &key];
                words.extend_from_slice(rest);
                unit.push(&words);
            }
            _ => {}
        }
    }
}

impl Unit {
    fn push(&mut self, words: &[&[u8]]) {
        command(&mut self.requests, words);
        self.count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(text: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        for line in text.split("; ") {
            let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            command(&mut bytes, &words);
        }
        bytes
    }

    fn units(keys: &Keys, text: &str) -> Vec<(Unit, u64)> {
        let bytes = stream(text);
        let mut units = Units::new(keys, 0, 1000, 100);
        let mut found = Vec::new();
        // Byte by byte, so that every cut is met.
        for byte in &bytes {
            units.put(&[*byte]);
            while let Some(unit) = units.next().unwrap() {
                let end = unit.end;
                found.push((unit, end));
            }
        }
        assert_eq!(found.last().map(|(unit, _)| unit.end), Some(100 + bytes.len() as u64));
        found
    }

    #[test]
    fn units_hold_together_and_keys_get_their_prefix() {
        let keys = Keys { prefix: "p:".into(), only: vec!["a*".into()], not: vec!["ab*".into()] };
        let told = "PEXPIREAT a 5; SET a 1; SET ab 2; SET b 3; MULTI; DEL a1; DEL b; EXEC; SELECT 2; DEL a; SELECT 0; PING";
        let found = units(&keys, told);
        let sent: Vec<_> =
            found.iter().map(|(unit, _)| (unit.requests.clone(), unit.count)).collect();
        assert_eq!(sent[0], (stream("PEXPIREAT p:a 1005"), 1));
        assert_eq!(sent[1], (stream("SET p:a 1"), 1));
        assert_eq!(sent[2], (vec![], 0));
        assert_eq!(sent[4], (stream("DEL p:a1"), 1), "one unit of a transaction");
        assert_eq!(sent[5], (vec![], 0), "another database");
        assert_eq!(sent.len(), 7);
        assert!(found.iter().all(|(unit, _)| !unit.rebuild));
    }

    #[test]
    fn what_commands_cannot_tell_is_a_rebuild() {
        let keys = Keys { only: vec!["a*".into()], ..Keys::default() };
        for (told, rebuilds) in [
            ("FLUSHALL", true),
            ("FLUSHDB", true),
            ("SELECT 1; FLUSHDB; SELECT 0", false),
            ("SWAPDB 0 3", true),
            ("SWAPDB 1 3", false),
            ("COPY b a DB 0 REPLACE", true),
            ("COPY a b DB 0 REPLACE", false),
            ("COPY a a2 DB 0 REPLACE", false),
            ("COPY a a2 DB 1 REPLACE", false),
            ("SELECT 1; COPY a a2 DB 0 REPLACE; SELECT 0", true),
        ] {
            let found = units(&keys, told);
            assert_eq!((found.len(), found[0].0.rebuild), (1, rebuilds), "{told}");
        }
        let copied = units(&keys, "COPY a a2 DB 0 REPLACE");
        assert_eq!(copied[0].0.requests, stream("COPY a a2 REPLACE"));
    }
}
