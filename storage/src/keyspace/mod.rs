//! Redis data types as pure state machines.
//!
//! [`Keyspace::decide`] reads and says what a command answers and does; [`Keyspace::apply`] does it,
//! live and in replay, and is the only thing that changes a keyspace. So what is logged is the
//! effect, with absolute times, and never the command. No clock: now is an argument. Read on in
//! [`command`] (the table and its families), `effect` and `docs/format/effects.md` (what is logged),
//! `table` and `list` (how it is kept and frozen), [`extract`] (what the keymap makes of it).

mod apply;
mod bulks;
pub mod command;
mod database;
mod digest;
mod effect;
pub mod extract;
pub mod feed;
mod float;
mod glob;
mod hyperloglog;
mod list;
mod listpack;
mod long;
mod map;
mod packed;
mod rdb;
mod request;
mod segment;
mod stream;
mod table;
mod value;
mod view;
mod wire;
mod zset;

pub use apply::with as string_with;
pub use bulks::Bulks;
pub use digest::digest;
pub use effect::{DATABASES, Deliveries, Effect, Effects, IDENTITY, Ids, StreamEffect, Strings};
pub use extract::{Derived, DerivedSample, Extract, Mark};
pub use float::spell as spell_double;
pub use glob::matches as glob_matches;
pub use list::{End, List};
pub use map::{Map, Weight};
pub use rdb::{RdbFileError, RdbKey, RdbRaw, RdbReader, for_restore, rdb_of};
pub use request::{Decision, Looks, Reply, Request};
pub use stream::{Stream, StreamId};
pub use table::Bytes;
pub use value::{Entry, Value};
pub use view::View;
pub use wire::FormatError;
pub use zset::ZSet;

use database::Database;

/// Sixteen databases of keys.
#[derive(Clone, Debug)]
pub struct Keyspace {
    databases: Vec<Database>,
    /// When the store was opened, in seconds: no key counts as unused for longer.
    opened: u32,
}

impl Default for Keyspace {
    fn default() -> Keyspace {
        Keyspace::new()
    }
}

impl Keyspace {
    /// A keyspace without keys.
    pub fn new() -> Keyspace {
        Keyspace { databases: (0..DATABASES).map(|_| Database::new()).collect(), opened: 0 }
    }

    /// Whether `name`, in any case, is a data command.
    pub fn knows(name: &[u8]) -> bool {
        command::find(name).is_some()
    }

    /// Says when the store was opened.
    pub fn opened(&mut self, now: i64) {
        self.opened = value::seconds(now);
    }

    /// Says what time it is for what is applied to a database next: its keys were used then.
    pub(crate) fn set_clock(&mut self, db: u8, now: i64) {
        if let Some(database) = self.databases.get_mut(usize::from(db)) {
            database.clock = value::seconds(now);
        }
    }

    /// For how many seconds a key has not been used.
    pub(crate) fn idle(&self, entry: &Entry, now: i64) -> i64 {
        i64::from(value::seconds(now).saturating_sub(entry.used.get().max(self.opened)))
    }

    /// Says what a command answers and what it does. Reads only.
    pub fn decide(&self, request: &Request<'_>, now: i64) -> Decision {
        command::decide(self, request, now)
    }

    /// Deletes up to `limit` keys that have expired by `now`, those that expired first in front.
    pub fn due(&self, now: i64, limit: usize) -> Effects {
        let mut effects = Effects::default();
        let mut left = limit;
        for (db, database) in (0..).zip(&self.databases) {
            let due = database.expiries.iter().take_while(|(at, _)| *at < now);
            for (_, key) in due.take(left) {
                effects.delete(db, key);
                left -= 1;
            }
        }
        effects
    }

    /// A key's entry, whether it has expired or not.
    pub fn entry(&self, db: u8, key: &[u8]) -> Option<&Entry> {
        self.database(db)?.keys.get(key)
    }

    /// All keys of a database, in no order.
    pub fn entries(&self, db: u8) -> impl Iterator<Item = (&Bytes, &Entry)> {
        self.database(db).into_iter().flat_map(|database| database.keys.iter())
    }

    /// Shows at least `count` entries of a database from `cursor` on, as SCAN does; gives the cursor to go
    /// on from, 0 at the end.
    pub fn scan<'a>(
        &'a self,
        db: u8,
        cursor: u64,
        count: usize,
        see: &mut dyn FnMut(&'a Bytes, &'a Entry),
    ) -> u64 {
        self.database(db).map_or(0, |database| database.keys.scan(cursor, count, see))
    }

    /// The keymap's mark for a key.
    pub fn mark(&self, db: u8, key: &[u8]) -> Option<&[u8]> {
        self.database(db)?.marks.get(key).map(|state| &**state)
    }

    /// How many keys a database has, and how many of them expire.
    pub fn counts(&self, db: u8) -> (usize, usize) {
        self.database(db).map_or((0, 0), |d| (d.keys.len(), d.expiries.len()))
    }

    /// How long the keys of a database that expire still have, in milliseconds, on average.
    pub fn mean_ttl(&self, db: u8, now: i64) -> i64 {
        self.database(db).map_or(0, |database| database.mean_ttl(now))
    }

    fn database(&self, db: u8) -> Option<&Database> {
        self.databases.get(usize::from(db))
    }
}
