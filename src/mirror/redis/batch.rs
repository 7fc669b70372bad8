//! From the stream's bytes to what one target is sent: pure.
//!
//! The stream's commands are the few of `docs/format/feed.md`; their key stands behind the name. What is
//! between two moments at which database 0 is selected and no transaction is open is a unit, which a
//! target gets whole.

use std::collections::HashSet;

use ringwell_storage::keyspace::glob_matches;

use crate::remote::client::command;
use crate::replication::{MAX_STRING, next_command};

/// What mirrors' own keys begin with in a target.
pub(super) const OWN: &[u8] = b"ringwell:mirror:{";

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
    /// Whether a key is one of the mirror's. One that is called there what mirrors' own keys are is of none: it
    /// would take their place.
    pub(super) fn has(&self, key: &[u8]) -> bool {
        let any = |of: &[String]| of.iter().any(|pattern| glob_matches(pattern.as_bytes(), key));
        let there = || self.prefix.bytes().chain(key.iter().copied());
        (self.only.is_empty() || any(&self.only))
            && !any(&self.not)
            && !there().take(OWN.len()).eq(OWN.iter().copied())
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

/// Requests, encoded, each with the key it changes, as that is called here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Requests {
    pub(super) bytes: Vec<u8>,
    marks: Vec<Mark>,
}

/// What is known of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mark {
    end: usize,
    /// The key it changes.
    key: Vec<u8>,
    /// The key it copies.
    from: Option<Vec<u8>>,
}

impl Requests {
    /// How many they are.
    pub(super) fn len(&self) -> usize {
        self.marks.len()
    }

    /// Appends one.
    pub(super) fn push(&mut self, key: &[u8], words: &[&[u8]]) {
        command(&mut self.bytes, words);
        self.marks.push(Mark { end: self.bytes.len(), key: key.to_vec(), from: None });
    }

    /// Says of the last one which key it copies.
    fn copies(&mut self, from: &[u8]) {
        if let Some(last) = self.marks.last_mut() {
            last.from = Some(from.to_vec());
        }
    }

    /// Appends others.
    pub(super) fn append(&mut self, others: Requests) {
        let before = self.bytes.len();
        self.bytes.extend_from_slice(&others.bytes);
        let moved = others.marks.into_iter().map(|mark| Mark { end: before + mark.end, ..mark });
        self.marks.extend(moved);
    }

    /// The key that one of them changes.
    pub(super) fn key(&self, at: usize) -> Option<&[u8]> {
        self.marks.get(at).map(|mark| mark.key.as_slice())
    }

    /// The keys they change.
    pub(super) fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.marks.iter().map(|mark| mark.key.as_slice())
    }

    /// Adds to keys that are refused from a request on those that are copied from them then.
    pub(super) fn spoils(&self, from: usize, refused: &mut HashSet<Vec<u8>>) {
        for mark in self.marks.iter().skip(from) {
            if mark.from.as_ref().is_some_and(|from| refused.contains(from)) {
                refused.insert(mark.key.clone());
            }
        }
    }

    /// Adds to keys whose requests are all left out those that are copied from them, at any place: what went
    /// before the copy is left out too.
    pub(super) fn spoils_all(&self, left_out: &mut HashSet<Vec<u8>>) {
        let mut before = usize::MAX;
        while before != left_out.len() {
            before = left_out.len();
            self.spoils(0, left_out);
        }
    }

    /// Takes those away that change one of these keys.
    pub(super) fn leave_out(&mut self, keys: &HashSet<Vec<u8>>) {
        let all = std::mem::take(self);
        let mut start = 0;
        for mark in all.marks {
            let request = all.bytes.get(start..mark.end).unwrap_or_default();
            start = mark.end;
            if !keys.contains(&mark.key) {
                self.bytes.extend_from_slice(request);
                self.marks.push(Mark { end: self.bytes.len(), ..mark });
            }
        }
    }
}

/// A unit as a target gets it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Unit {
    /// What it is sent.
    pub(super) requests: Requests,
    /// Keys that were copied from one that was set aside.
    pub(super) spoilt: Vec<Vec<u8>>,
    /// The offset behind it.
    pub(super) end: u64,
    /// Whether commands cannot tell what happened: all keys have to be written anew.
    pub(super) rebuild: bool,
}

/// Cuts the stream into units.
pub(super) struct Units<'k> {
    pub(super) filter: Filter<'k>,
    bytes: Vec<u8>,
    /// The offset of the first of `bytes`.
    offset: u64,
}

/// What of the stream is sent, and how.
pub(super) struct Filter<'k> {
    keys: &'k Keys,
    from_db: u8,
    /// Milliseconds that keys expire later there.
    grace: i64,
    /// Keys that are set aside, as they are called here: what happens to them is not sent.
    pub(super) aside: HashSet<Vec<u8>>,
}

impl<'k> Units<'k> {
    /// Of a stream that is read from an offset on.
    pub(super) fn new(keys: &'k Keys, from_db: u8, grace: i64, offset: u64) -> Units<'k> {
        let filter = Filter { keys, from_db, grace, aside: HashSet::new() };
        Units { filter, bytes: Vec::new(), offset }
    }

    /// The offset at which the next unit begins.
    pub(super) fn offset(&self) -> u64 {
        self.offset
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
                args => self.filter.translate(args, db, &mut unit),
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
}

impl Filter<'_> {
    fn translate(&mut self, args: &[&[u8]], db: u8, unit: &mut Unit) {
        let ours = db == self.from_db;
        let sent = |name: &[u8]| ours && self.keys.has(name) && !self.aside.contains(name);
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
                    (true, true) if self.aside.contains(*key) => {
                        self.aside.insert(to.to_vec());
                        unit.spoilt.push(to.to_vec());
                    }
                    (true, true) => {
                        let (from, there) = (self.keys.there(key), self.keys.there(to));
                        // What is copied to a key that was set aside is sent with all of that key.
                        if !self.aside.contains(*to) {
                            unit.requests.push(to, &[b"COPY", &from, &there, b"REPLACE"]);
                            unit.requests.copies(key);
                        }
                    }
                    // The target has not what is copied.
                    (false, true) => unit.rebuild = true,
                    (_, false) => {}
                }
            }
            [b"PEXPIREAT", key, at] if sent(key) => {
                let at = std::str::from_utf8(at).ok().and_then(|text| text.parse::<i64>().ok());
                let at = at.unwrap_or(i64::MAX).saturating_add(self.grace).to_string();
                let there = self.keys.there(key);
                unit.requests.push(key, &[b"PEXPIREAT", &there, at.as_bytes()]);
            }
            [b"XGROUP", what, key, rest @ ..] if sent(key) => {
                let there = self.keys.there(key);
                unit.requests.push(key, &[&[&b"XGROUP"[..], what, &there], rest].concat());
            }
            [b"XGROUP", ..] => {}
            [name, key, rest @ ..] if sent(key) => {
                let there = self.keys.there(key);
                let mut words = vec![*name, &there];
                words.extend_from_slice(rest);
                unit.requests.push(key, &words);
            }
            _ => {}
        }
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
            found.iter().map(|(u, _)| (u.requests.bytes.clone(), u.requests.len())).collect();
        assert_eq!(sent[0], (stream("PEXPIREAT p:a 1005"), 1));
        assert_eq!(sent[1], (stream("SET p:a 1"), 1));
        assert_eq!(sent[2], (vec![], 0));
        assert_eq!(sent[4], (stream("DEL p:a1"), 1), "one unit of a transaction");
        assert_eq!(sent[5], (vec![], 0), "another database");
        assert_eq!(sent.len(), 7);
        assert!(found.iter().all(|(unit, _)| !unit.rebuild));
    }

    #[test]
    fn keys_of_mirrors_are_nobodys() {
        let told = "SET ringwell:mirror:{x}:cursor 1; COPY a ringwell:mirror:{x}:cursor DB 0 REPLACE; SET ringwell:mirror 1";
        let found = units(&Keys::default(), told);
        let sent: Vec<_> = found.iter().map(|(unit, _)| unit.requests.bytes.clone()).collect();
        assert_eq!(sent, [vec![], vec![], stream("SET ringwell:mirror 1")]);
        let keys = Keys { prefix: "ringwell:".into(), ..Keys::default() };
        assert_eq!(units(&keys, "SET mirror:{x}:aside 1")[0].0.requests.len(), 0);
        assert_eq!(keys.here(b"ringwell:mirror:{x}:aside"), None);
        let keys = Keys { prefix: "p:".into(), ..Keys::default() };
        assert_eq!(units(&keys, told)[0].0.requests.len(), 1, "there it is called something else");
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
        assert_eq!(copied[0].0.requests.bytes, stream("COPY a a2 REPLACE"));
    }

    #[test]
    fn keys_that_are_set_aside_are_left_out_and_spoil_their_copies() {
        let keys = Keys::default();
        let mut units = Units::new(&keys, 0, 0, 0);
        units.filter.aside.insert(b"x".to_vec());
        let told = "MULTI; SET x 1; SET y 2; COPY x z DB 0 REPLACE; SET z 3; COPY y x DB 0 REPLACE; PEXPIREAT x 5; EXEC";
        units.put(&stream(told));
        let unit = units.next().unwrap().unwrap();
        assert_eq!(unit.requests.bytes, stream("SET y 2"));
        assert_eq!(unit.spoilt, [b"z".to_vec()]);
        let mut requests = Requests::default();
        for key in [b"a", b"b", b"a", b"c"] {
            requests.push(key, &[b"DEL", key]);
        }
        requests.leave_out(&HashSet::from([b"a".to_vec()]));
        assert_eq!((requests.bytes.clone(), requests.len()), (stream("DEL b; DEL c"), 2));
        assert_eq!((requests.key(1), requests.key(2)), (Some(&b"c"[..]), None));
        requests.push(b"d", &[b"COPY", b"c", b"d"]);
        requests.copies(b"c");
        requests.push(b"e", &[b"COPY", b"d", b"e"]);
        requests.copies(b"d");
        let mut refused = HashSet::from([b"c".to_vec()]);
        requests.spoils(1, &mut refused);
        assert_eq!(refused, ["c", "d", "e"].map(|key| key.as_bytes().to_vec()).into());
    }

    #[test]
    fn a_copy_of_what_is_left_out_is_left_out_wherever_it_stands() {
        let mut requests = Requests::default();
        for (from, to) in
            [(None, "x"), (None, "y"), (Some("y"), "z"), (Some("x"), "y"), (None, "x")]
        {
            requests.push(to.as_bytes(), &[b"COPY", from.unwrap_or("").as_bytes(), to.as_bytes()]);
            if let Some(from) = from {
                requests.copies(from.as_bytes());
            }
        }
        // Only the last one of x is not queued; then y lacks what is copied, and z what y had before.
        let mut left_out = HashSet::from([b"x".to_vec()]);
        requests.spoils_all(&mut left_out);
        requests.leave_out(&left_out);
        assert_eq!((left_out.len(), requests.len()), (3, 0));
    }
}
