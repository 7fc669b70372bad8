//! Makes the node's keys those of a file: of each key only what differs is changed.
//!
//! What was pushed to a list since is found by where the lists overlap, and pushed; so an element that became a
//! sample once does not become one again.

use std::cell::Cell;
use std::collections::HashSet;

use ringwell_storage::keyspace::{
    Entry, Keyspace, List, RdbKey, Reply, Value, for_restore, spell_double,
};
use ringwell_storage::model::WalPosition;
use ringwell_storage::store::Store;

use crate::inside::Inside;

/// Arguments of one command.
const CHUNK: usize = 1000;

/// Takes keys over, one by one.
pub(crate) struct Adopting<'a> {
    inside: &'a dyn Inside,
    store: &'a Store,
    there: HashSet<(u8, Vec<u8>)>,
    /// Where the log ends for what was changed.
    position: Cell<Option<WalPosition>>,
}

impl<'a> Adopting<'a> {
    pub(crate) fn new(inside: &'a dyn Inside, store: &'a Store) -> Adopting<'a> {
        Adopting { inside, store, there: HashSet::new(), position: Cell::new(None) }
    }

    /// Whether the node has a key.
    pub(crate) fn has(&self, key: &RdbKey) -> Result<bool, String> {
        let db = database(key)?;
        Ok(self.store.with_keyspace(|keyspace| keyspace.entry(db, &key.key).is_some()))
    }

    /// Where the log ends for what was changed; `None` if nothing was.
    pub(crate) fn position(&self) -> Option<WalPosition> {
        self.position.get()
    }

    /// Takes a key over; whether it was another one before.
    pub(crate) fn take(&self, key: &RdbKey) -> Result<bool, String> {
        let before = self.position.get();
        let db = database(key)?;
        let on = On { adopting: self, db, key: &key.key };
        let known = self.store.with_keyspace(|keyspace| keyspace.entry(db, &key.key).cloned());
        on.become_value(known.as_ref(), &key.value)?;
        // Looked up again: what was made anew has lost when it expires.
        let expires = |keyspace: &Keyspace| keyspace.entry(db, &key.key).and_then(|e| e.expires);
        match (key.expires, self.store.with_keyspace(expires)) {
            (Some(at), before) if before != Some(at) => {
                on.call(&[b"PEXPIREAT", &key.key, at.to_string().as_bytes()])?;
            }
            (None, Some(_)) => on.call(&[b"PERSIST", &key.key])?,
            _ => {}
        }
        Ok(self.position.get() != before)
    }

    /// Remembers a key that [`Adopting::finish`] is to leave.
    pub(super) fn stays(&mut self, key: RdbKey) {
        if let Ok(db) = database(&key) {
            self.there.insert((db, key.key));
        }
    }

    /// Deletes what was not taken over; gives how many keys there are.
    pub(super) fn finish(self) -> Result<u64, String> {
        for db in 0..ringwell_storage::keyspace::DATABASES {
            let names: Vec<Vec<u8>> = self.store.with_keyspace(|keyspace| {
                let names = keyspace.entries(db).map(|(name, _)| name.to_vec());
                names.filter(|name| !self.there.contains(&(db, name.clone()))).collect()
            });
            for key in &names {
                On { adopting: &self, db, key }.call(&[b"DEL", key])?;
            }
        }
        Ok(self.there.len() as u64)
    }
}

fn database(key: &RdbKey) -> Result<u8, String> {
    let db = u8::try_from(key.db).ok();
    let db = db.filter(|db| *db < ringwell_storage::keyspace::DATABASES);
    db.ok_or_else(|| format!("database {} is not here: there are 16", key.db))
}

/// A key that is worked on.
struct On<'a> {
    adopting: &'a Adopting<'a>,
    db: u8,
    key: &'a [u8],
}

impl On<'_> {
    fn call(&self, args: &[&[u8]]) -> Result<(), String> {
        let called = self.adopting.inside.follow(self.db, args);
        if called.position.is_some() {
            self.adopting.position.set(called.position);
        }
        match called.reply {
            Reply::Error(error) => {
                let key = String::from_utf8_lossy(self.key);
                Err(format!("key {key:?} of database {}: {error}", self.db))
            }
            _ => Ok(()),
        }
    }

    /// Calls a command with many arguments, some at a time.
    fn call_all(&self, name: &[u8], args: &[&[u8]]) -> Result<(), String> {
        for part in args.chunks(CHUNK) {
            let words: Vec<&[u8]> =
                [name, self.key].into_iter().chain(part.iter().copied()).collect();
            self.call(&words)?;
        }
        Ok(())
    }

    fn become_value(&self, known: Option<&Entry>, value: &Value) -> Result<(), String> {
        match (known.map(|entry| &entry.value), value) {
            (Some(Value::String(old)), Value::String(new)) if old == new => Ok(()),
            (_, Value::String(new)) => self.call(&[b"SET", self.key, new, b"KEEPTTL"]),
            (Some(Value::List(old)), Value::List(new)) => self.become_list(&elements(old), new),
            (Some(Value::Hash(old)), Value::Hash(new)) => {
                let gone: Vec<&[u8]> = old
                    .iter()
                    .map(|(field, _)| &**field)
                    .filter(|f| new.get(f).is_none())
                    .collect();
                let come = new.iter().filter(|(field, value)| old.get(field) != Some(value));
                let come: Vec<&[u8]> = come.flat_map(|(f, v)| [&**f, &**v]).collect();
                // First what comes: a hash without fields would be gone, and its expiry with it.
                self.call_all(b"HSET", &come)?;
                self.call_all(b"HDEL", &gone)
            }
            (Some(Value::Set(old)), Value::Set(new)) => {
                let gone: Vec<&[u8]> =
                    old.iter().map(|(m, ())| &**m).filter(|m| new.get(m).is_none()).collect();
                let come: Vec<&[u8]> =
                    new.iter().map(|(m, ())| &**m).filter(|m| old.get(m).is_none()).collect();
                self.call_all(b"SADD", &come)?;
                self.call_all(b"SREM", &gone)
            }
            (Some(Value::ZSet(old)), Value::ZSet(new)) => {
                let gone: Vec<&[u8]> =
                    old.iter().map(|(_, m)| &**m).filter(|m| new.score(m).is_none()).collect();
                let differs = |score: f64, member: &[u8]| {
                    old.score(member).is_none_or(|known| known.to_bits() != score.to_bits())
                };
                let come: Vec<(String, &[u8])> = new
                    .iter()
                    .filter(|(score, member)| differs(*score, member))
                    .map(|(score, member)| (spell_double(*score), &**member))
                    .collect();
                let come: Vec<&[u8]> = come.iter().flat_map(|(s, m)| [s.as_bytes(), *m]).collect();
                self.call_all(b"ZADD", &come)?;
                self.call_all(b"ZREM", &gone)
            }
            (known, value) => {
                if let (Some(Value::Stream(_)), Value::Stream(_)) = (known, value)
                    && known.is_some_and(|known| for_restore(known) == for_restore(value))
                {
                    return Ok(());
                }
                if known.is_some() {
                    self.call(&[b"DEL", self.key])?;
                }
                self.make(value)
            }
        }
    }

    fn make(&self, value: &Value) -> Result<(), String> {
        match value {
            Value::String(text) => self.call(&[b"SET", self.key, text]),
            Value::List(list) => self.push_all(&elements(list)),
            Value::Hash(hash) => {
                let pairs: Vec<&[u8]> = hash.iter().flat_map(|(f, v)| [&**f, &**v]).collect();
                self.call_all(b"HSET", &pairs)
            }
            Value::Set(set) => {
                self.call_all(b"SADD", &set.iter().map(|(m, ())| &**m).collect::<Vec<_>>())
            }
            Value::ZSet(zset) => {
                let pairs: Vec<(String, &[u8])> =
                    zset.iter().map(|(score, m)| (spell_double(*score), &**m)).collect();
                let pairs: Vec<&[u8]> =
                    pairs.iter().flat_map(|(s, m)| [s.as_bytes(), *m]).collect();
                self.call_all(b"ZADD", &pairs)
            }
            Value::Stream(_) => {
                self.call(&[b"RESTORE", self.key, b"0", &for_restore(value), b"REPLACE"])
            }
        }
    }

    /// From the tail on, for most metrics are pushed at the head: the oldest comes first.
    fn push_all(&self, elements: &[Vec<u8>]) -> Result<(), String> {
        self.push(b"LPUSH", &elements.iter().rev().cloned().collect::<Vec<_>>())
    }

    fn push(&self, name: &[u8], elements: &[Vec<u8>]) -> Result<(), String> {
        self.call_all(name, &elements.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    fn become_list(&self, old: &[Vec<u8>], new: &List) -> Result<(), String> {
        let new = elements(new);
        if old == new {
            return Ok(());
        }
        // Pushed at the head: the old list's beginning is the new one's end. At the tail: the other way round.
        let (at_head, at_tail) = (overlap(old, &new), overlap(&new, old));
        if at_head.max(at_tail) == 0 {
            self.call(&[b"DEL", self.key])?;
            return self.push_all(&new);
        }
        if at_head >= at_tail {
            let come: Vec<Vec<u8>> = new.iter().take(new.len() - at_head).rev().cloned().collect();
            self.push(b"LPUSH", &come)?;
            return self.call(&[b"LTRIM", self.key, b"0", (new.len() - 1).to_string().as_bytes()]);
        }
        self.push(b"RPUSH", new.get(at_tail..).unwrap_or_default())?;
        let start = (old.len() - at_tail).to_string();
        self.call(&[b"LTRIM", self.key, start.as_bytes(), b"-1"])
    }
}

fn elements(list: &List) -> Vec<Vec<u8>> {
    let mut all = Vec::with_capacity(list.len());
    list.visit(0, usize::MAX, &mut |element| all.push(element.to_vec()));
    all
}

/// How many elements at the start of `front` are those at the end of `back`, at most.
fn overlap(front: &[Vec<u8>], back: &[Vec<u8>]) -> usize {
    // The failure function of Knuth, Morris and Pratt, and the state it is in at the end of `back`.
    let mut fails = vec![0; front.len()];
    let mut length = 0;
    let step = |mut length: usize, element: &Vec<u8>, fails: &[usize]| {
        loop {
            if front.get(length) == Some(element) {
                return length + 1;
            }
            match length.checked_sub(1).and_then(|before| fails.get(before)) {
                Some(shorter) => length = *shorter,
                None => return 0,
            }
        }
    };
    for (at, element) in front.iter().enumerate().skip(1) {
        length = step(length, element, &fails);
        if let Some(slot) = fails.get_mut(at) {
            *slot = length;
        }
    }
    back.iter().fold(0, |length, element| step(length, element, &fails))
}

#[cfg(test)]
mod tests {
    use super::overlap;

    #[test]
    fn lists_overlap_where_one_ends_as_the_other_begins() {
        let list = |text: &str| text.bytes().map(|byte| vec![byte]).collect::<Vec<_>>();
        for (front, back, length) in [
            ("abc", "xyzab", 2),
            ("abc", "abc", 3),
            ("abc", "xabc", 3),
            ("abc", "abcx", 0),
            ("aab", "aaa", 2),
            ("abab", "xabababab", 4),
            ("", "abc", 0),
            ("abc", "", 0),
            ("abcabd", "abcabcab", 5),
        ] {
            assert_eq!(overlap(&list(front), &list(back)), length, "{front} {back}");
        }
    }
}
