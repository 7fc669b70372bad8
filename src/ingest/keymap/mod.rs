//! The keymap: how Redis keys become series. `docs/keymap.md` says it for people.
//!
//! It implements the storage's `Extract`: for every decided command it says which samples the
//! effects mean, and they are logged in the same record. It decides nothing about the command and
//! never fails it. `rules` plans a key, `lists` turns pushed elements into events, `states` keeps
//! what holds until it changes, `runs` numbers training runs, `explain` answers people. `own` reads the
//! operator's rules, `keep` carries out what they do to keys, `forget` finds what a key has fed.

mod element;
mod explain;
mod forget;
mod json;
pub mod keep;
mod lists;
mod own;
mod rules;
mod runs;
mod series;
mod states;
#[cfg(test)]
mod tests;
mod time;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ringwell_storage::keyspace::{
    Bytes, Derived, Effect, Effects, Extract, Keyspace, Request, Value, string_with,
};

use super::recent::RecentKeys;
use crate::metrics::Counter;

pub use explain::Explanation;
pub(crate) use own::wrong;
pub use own::{MaxAge, Written, WrongRule};
pub use rules::{Rule, Rules};

use keep::Due;
use lists::{Lists, Sink};
use rules::Keep;
use series::Owners;
use states::States;

/// Commands whose pushes are events. What moves or edits elements emits nothing.
const PUSHES: [&[u8]; 4] = [b"lpush", b"rpush", b"lpushx", b"rpushx"];

/// Bounds of the keymap.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which key becomes which series.
    pub rules: Rules,
    /// An element further ahead of the clock than this, in milliseconds, gets its arrival time.
    pub max_future: i64,
    /// Members of one set, or entries of one ranking, that get a series of their own.
    pub max_members: usize,
    /// Lists whose series are remembered; past it they are learned anew.
    pub max_list_keys: usize,
    /// Series remembered for all lists together; past it likewise.
    pub max_list_series: usize,
    /// Hashes, sets and strings whose state is held; past it further ones are only keys.
    pub max_state_keys: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            rules: Rules::default(),
            max_future: 600_000,
            max_members: 1_000,
            max_list_keys: 200_000,
            max_list_series: 1_000_000,
            max_state_keys: 200_000,
        }
    }
}

/// What the keymap could not map as written.
#[derive(Debug, Default)]
pub struct Counters {
    /// Elements and fields without a number that can be mapped.
    pub unparsed: Counter,
    /// Elements whose time could not be read; they got their arrival time.
    pub unread_times: Counter,
    /// Elements too far in the future; they got their arrival time.
    pub future: Counter,
    /// Values of series that another key feeds.
    pub contested: Counter,
    /// Keys whose state is not held because there are too many.
    pub unheld: Counter,
}

/// Turns commands on keys into samples.
#[derive(Debug)]
pub struct Keymap {
    options: Options,
    counters: Arc<Counters>,
    recent: Arc<RecentKeys>,
    memory: Mutex<Memory>,
    due: Due,
}

#[derive(Debug, Default)]
struct Memory {
    owners: Owners,
    lists: Lists,
    states: States,
}

impl Keymap {
    /// A keymap with the built-in rules, which tells `recent` of keys as they first arrive.
    pub fn new(recent: Arc<RecentKeys>) -> Keymap {
        Keymap::with_options(recent, Options::default())
    }

    /// The same with other bounds.
    pub fn with_options(recent: Arc<RecentKeys>, options: Options) -> Keymap {
        Keymap {
            options,
            counters: Arc::default(),
            recent,
            memory: Mutex::default(),
            due: Due::default(),
        }
    }

    /// What could not be mapped.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    fn sink<'a>(&'a self, owners: &'a mut Owners, now: i64, out: &'a mut Derived) -> Sink<'a> {
        let (counters, options) = (&*self.counters, &self.options);
        Sink { owners, counters, options, now, out, new: Vec::new(), gone: HashSet::new() }
    }

    /// Notes what the operator's rules have to be carried out for.
    fn note_due(&self, effect: &Effect<'_>, keyspace: &Keyspace, now: i64) {
        let rules = &self.options.rules;
        match effect {
            Effect::ListPush { key, end, .. } => {
                let keep = rules.plan(key).map(|plan| plan.keep()).unwrap_or_default();
                if keep != Keep::default() {
                    self.due.pushed(&Bytes::from(*key), keep, *end);
                }
            }
            Effect::Expire { key, at } => self.due.expires(key, at.saturating_sub(now)),
            Effect::Delete { key } if rules.forgets(key) => self.due.gone(key, now),
            Effect::FlushDb | Effect::FlushAll => {
                let keys = keyspace.entries(0).map(|(key, _)| key);
                keys.filter(|key| rules.forgets(key)).for_each(|key| self.due.gone(key, now));
            }
            _ => {}
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        // What is remembered is rebuilt from keys and pushes; a half-made entry is only relearned.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Extract for Keymap {
    fn extract(
        &self,
        keyspace: &Keyspace,
        request: &Request<'_>,
        effects: &Effects,
        now: i64,
        out: &mut Derived,
    ) {
        if effects.is_empty() {
            return;
        }
        let command = request.args.first().copied().unwrap_or_default();
        let pushes = PUSHES.iter().any(|push| command.eq_ignore_ascii_case(push));
        let mut memory = self.memory();
        let Memory { owners, lists, states } = &mut *memory;
        let sink = &mut self.sink(owners, now, out);
        for (db, effect) in effects.iter() {
            let key = key_of(&effect);
            match effect {
                Effect::Copy { key, to_db: 0, to } if self.options.rules.may_map(to) => {
                    states.copy(keyspace, (db, key), to, sink);
                    let new = std::mem::take(&mut sink.new);
                    if !new.is_empty() {
                        self.recent.note(to, now, || new);
                    }
                }
                // These are about database 0 whichever one the client has selected.
                Effect::FlushAll => states.flush(keyspace, sink),
                Effect::SwapDb { with } if db == 0 || with == 0 => states.swap(keyspace, sink),
                _ => {}
            }
            if db != 0 || !key.is_none_or(|key| self.options.rules.may_map(key)) {
                continue;
            }
            if self.options.rules.acts {
                self.note_due(&effect, keyspace, now);
            }
            match effect {
                Effect::ListPush { key, elements, .. } if pushes => {
                    lists.push(keyspace, key, elements, sink);
                }
                Effect::HashSet { key, pairs } => {
                    states.set_fields(keyspace, key, pairs, sink);
                }
                Effect::HashDelete { key, fields } => {
                    states.delete_fields(keyspace, key, fields, sink);
                }
                Effect::SetAdd { key, members } => {
                    states.add_members(keyspace, key, members, sink);
                }
                Effect::SetRemove { key, members } => {
                    states.remove_members(keyspace, key, members, sink);
                }
                Effect::StringSet { key, value, .. } => {
                    states.set_string(keyspace, key, value, sink);
                }
                Effect::StringPut { key, at, bytes } => {
                    let value = put(keyspace, effects, key, at, bytes);
                    states.set_string(keyspace, key, &value, sink);
                }
                Effect::Delete { key } => states.delete(keyspace, key, sink),
                Effect::FlushDb => states.flush(keyspace, sink),
                Effect::Copy { .. } | Effect::SwapDb { .. } | Effect::FlushAll => {}
                Effect::ListSet { .. }
                | Effect::ListInsert { .. }
                | Effect::ListRemove { .. }
                | Effect::ZSetAdd { .. }
                | Effect::ZSetRemove { .. }
                | Effect::Stream { .. } => {}
                Effect::ListPush { .. }
                | Effect::ListDrop { .. }
                | Effect::Expire { .. }
                | Effect::Persist { .. }
                | Effect::Mark { .. } => {}
                Effect::Begin
                | Effect::End
                | Effect::Ping
                | Effect::Ask
                | Effect::Identity { .. } => {}
            }
            let new = std::mem::take(&mut sink.new);
            if let (Some(key), false) = (key, new.is_empty()) {
                self.recent.note(key, now, || new);
            }
        }
    }

    fn hold(&self, keyspace: &Keyspace, now: i64, out: &mut Derived) {
        let mut memory = self.memory();
        let Memory { owners, states, .. } = &mut *memory;
        states.hold(keyspace, &mut self.sink(owners, now, out));
    }
}

/// What a string becomes by bytes that are put into it; one that had expired goes before, and is empty then.
fn put(keyspace: &Keyspace, effects: &Effects, key: &[u8], at: u64, bytes: &[u8]) -> Vec<u8> {
    let goes =
        |(db, effect)| db == 0 && matches!(effect, Effect::Delete { key: gone } if gone == key);
    let old = match keyspace.entry(0, key).map(|entry| &entry.value) {
        Some(Value::String(old)) if !effects.iter().any(goes) => &**old,
        _ => &[],
    };
    string_with(old, usize::try_from(at).unwrap_or(0), bytes)
}

/// The key an effect names; `None` for those that name none.
fn key_of<'a>(effect: &Effect<'a>) -> Option<&'a [u8]> {
    match effect {
        Effect::Delete { key }
        | Effect::Expire { key, .. }
        | Effect::Persist { key }
        | Effect::StringSet { key, .. }
        | Effect::StringPut { key, .. }
        | Effect::ListPush { key, .. }
        | Effect::ListDrop { key, .. }
        | Effect::HashSet { key, .. }
        | Effect::HashDelete { key, .. }
        | Effect::SetAdd { key, .. }
        | Effect::SetRemove { key, .. }
        | Effect::ListSet { key, .. }
        | Effect::ListInsert { key, .. }
        | Effect::ListRemove { key, .. }
        | Effect::ZSetAdd { key, .. }
        | Effect::ZSetRemove { key, .. }
        | Effect::Stream { key, .. }
        | Effect::Copy { key, .. }
        | Effect::Mark { key, .. } => Some(key),
        Effect::FlushDb | Effect::FlushAll | Effect::SwapDb { .. } => None,
        Effect::Begin | Effect::End | Effect::Ping | Effect::Ask | Effect::Identity { .. } => None,
    }
}
