//! The keymap: how Redis keys become series. `docs/keymap.md` says it for people.
//!
//! It implements the storage's `Extract`: for every decided command it says which samples the
//! effects mean, and they are logged in the same record. It decides nothing about the command and
//! never fails it. `rules` plans a key, `lists` turns pushed elements into events, `states` keeps
//! what holds until it changes, `runs` numbers training runs, `explain` answers people.

mod element;
mod explain;
mod json;
mod lists;
mod rules;
mod runs;
mod series;
mod states;
#[cfg(test)]
mod tests;
mod time;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ringwell_storage::keyspace::{Derived, Effect, Effects, Extract, Keyspace, Request};

use super::recent::RecentKeys;
use crate::metrics::Counter;

pub use explain::Explanation;

use lists::{Lists, Sink};
use series::Owners;
use states::States;

/// Commands whose pushes are events. What moves or edits elements emits nothing.
const PUSHES: [&[u8]; 4] = [b"lpush", b"rpush", b"lpushx", b"rpushx"];

/// Bounds of the keymap.
#[derive(Clone, Debug)]
pub struct Options {
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
        Keymap { options, counters: Arc::default(), recent, memory: Mutex::default() }
    }

    /// What could not be mapped.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    fn sink<'a>(&'a self, owners: &'a mut Owners, now: i64, out: &'a mut Derived) -> Sink<'a> {
        let (counters, options) = (&*self.counters, &self.options);
        Sink { owners, counters, options, now, out, new: Vec::new(), gone: HashSet::new() }
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
            if db != 0 || !key.is_none_or(is_mapped) {
                continue;
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
                Effect::Delete { key } => states.delete(keyspace, key, sink),
                Effect::FlushDb | Effect::FlushAll => states.flush(keyspace, sink),
                // What comes under another name is no new state; only what goes is seen to.
                Effect::Copy { .. } | Effect::SwapDb { .. } => {}
                Effect::ListSet { .. }
                | Effect::ListInsert { .. }
                | Effect::ListRemove { .. }
                | Effect::ZSetAdd { .. }
                | Effect::ZSetRemove { .. } => {}
                Effect::ListPush { .. }
                | Effect::ListDrop { .. }
                | Effect::Expire { .. }
                | Effect::Persist { .. }
                | Effect::Mark { .. } => {}
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

/// The key an effect names; `None` for those that name none.
fn key_of<'a>(effect: &Effect<'a>) -> Option<&'a [u8]> {
    match effect {
        Effect::Delete { key }
        | Effect::Expire { key, .. }
        | Effect::Persist { key }
        | Effect::StringSet { key, .. }
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
        | Effect::Copy { key, .. }
        | Effect::Mark { key, .. } => Some(key),
        Effect::FlushDb | Effect::FlushAll | Effect::SwapDb { .. } => None,
    }
}

/// Whether keys of this beginning are looked at.
fn is_mapped(key: &[u8]) -> bool {
    key.starts_with(b"metrics:") || key.starts_with(b"context:")
}
