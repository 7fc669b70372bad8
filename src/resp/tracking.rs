//! CLIENT TRACKING: who is told which keys changed, so that clients can keep what they read.
//!
//! Either the keys that a client read are remembered and it is told once, when one changes, or it is
//! told of every key that begins with its prefixes. A table that grows too large forgets a key and says
//! so as if it had changed. While nobody tracks, a command pays one look at a counter.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ringwell_storage::keyspace::{Bytes, Derived, Effect, Effects, Extract, Keyspace, Request};

use super::commands::keys_of;
use super::facts::Facts;
use super::hub::{Message, Topic};
use super::session::lookup;
use super::shared::Shared;
use super::write::Protocol;

/// How a client tracks.
#[derive(Clone, Debug, Default)]
pub(super) struct Tracker {
    /// Who is told instead.
    pub(super) redirect: Option<u64>,
    pub(super) mode: Mode,
    /// What it changes itself is not told to it.
    pub(super) no_loop: bool,
    /// Whether who was to be told is gone.
    pub(super) broken: bool,
}

/// Of which keys a client is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    /// All that it read.
    #[default]
    All,
    /// Those it read right after it said so.
    OptIn,
    /// Those it read without saying that it does not want to know.
    OptOut,
    /// All that begin with one of these.
    Broadcast(Vec<Bytes>),
}

/// Everybody's.
#[derive(Default)]
pub(super) struct Tracking {
    state: Mutex<State>,
    clients: AtomicUsize,
}

#[derive(Default)]
struct State {
    trackers: HashMap<u64, Tracker>,
    /// Who read which key.
    keys: HashMap<Bytes, HashSet<u64>>,
    items: usize,
}

/// What INFO says of it.
pub(super) struct Totals {
    pub(super) clients: usize,
    pub(super) keys: usize,
    pub(super) items: usize,
    pub(super) prefixes: usize,
}

impl Tracking {
    /// Whether anybody tracks.
    pub(super) fn is_active(&self) -> bool {
        self.clients.load(Ordering::Relaxed) > 0
    }

    pub(super) fn get(&self, client: u64) -> Option<Tracker> {
        self.lock().trackers.get(&client).cloned()
    }

    pub(super) fn set(&self, client: u64, tracker: Option<Tracker>) {
        let mut state = self.lock();
        match tracker {
            Some(tracker) => state.trackers.insert(client, tracker),
            None => state.trackers.remove(&client),
        };
        self.clients.store(state.trackers.len(), Ordering::Relaxed);
        if state.trackers.is_empty() {
            *state = State::default();
        }
    }

    pub(super) fn totals(&self) -> Totals {
        let state = self.lock();
        let prefixes = state.trackers.values().filter_map(|tracker| match &tracker.mode {
            Mode::Broadcast(prefixes) => Some(prefixes),
            _ => None,
        });
        Totals {
            clients: state.trackers.len(),
            keys: state.keys.len(),
            items: state.items,
            prefixes: prefixes.flatten().collect::<HashSet<_>>().len(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What is told is told from copies, so a panic elsewhere leaves no half of a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget(&mut self, key: &[u8]) -> HashSet<u64> {
        let readers = self.keys.remove(key).unwrap_or_default();
        self.items -= readers.len();
        readers
    }
}

impl Shared {
    /// Notes which keys a client is about to read.
    pub(super) fn remember(&self, client: u64, facts: &Facts, args: &[&[u8]], said: bool) {
        let mut state = self.tracking.lock();
        let wants = match state.trackers.get(&client).map(|tracker| &tracker.mode) {
            Some(Mode::All) => true,
            Some(Mode::OptIn) => said,
            Some(Mode::OptOut) => !said,
            Some(Mode::Broadcast(_)) | None => false,
        };
        if !wants {
            return;
        }
        for (key, _) in keys_of(facts, args).unwrap_or_default() {
            let readers = state.keys.entry(Bytes::from(key)).or_default();
            if readers.insert(client) {
                state.items += 1;
            }
        }
        let limit = self.settings.tracked_keys();
        while limit > 0 && state.keys.len() > limit {
            let Some(key) = state.keys.keys().next().cloned() else { break };
            let readers = state.forget(&key);
            let tracks = |id: &u64| state.trackers.contains_key(id);
            let told: Vec<u64> = readers.into_iter().filter(tracks).collect();
            drop(state);
            told.into_iter().for_each(|id| self.tell(id, Some(&key)));
            state = self.tracking.lock();
        }
    }

    /// Tells of the keys that a command has changed. `by` is who sent it.
    pub(super) fn tell_changed(&self, by: Option<u64>, args: &[&[u8]]) {
        let Ok(found) = lookup(args) else { return };
        if matches!(found.facts.name, "flushall" | "flushdb" | "swapdb") {
            self.tell_flushed();
            return;
        }
        let writes = found.facts.is("write");
        for (key, flags) in keys_of(found.facts, args).unwrap_or_default() {
            // A reader changes a key only by finding that its time is over.
            if !writes || !flags.starts_with("RO") {
                self.tell_key(by, key);
            }
        }
    }

    /// Tells that one key has changed.
    pub(super) fn tell_key(&self, by: Option<u64>, key: &[u8]) {
        let told: Vec<u64> = {
            let mut state = self.tracking.lock();
            let readers = state.forget(key);
            let concerned = |(id, tracker): &(&u64, &Tracker)| match &tracker.mode {
                Mode::Broadcast(prefixes) => prefixes.iter().any(|prefix| key.starts_with(prefix)),
                _ => readers.contains(id),
            };
            let looped = |(id, tracker): &(&u64, &Tracker)| tracker.no_loop && by == Some(**id);
            let told = state.trackers.iter().filter(|one| concerned(one) && !looped(one));
            told.map(|(id, _)| *id).collect()
        };
        told.into_iter().for_each(|id| self.tell(id, Some(key)));
    }

    fn tell_flushed(&self) {
        let told: Vec<u64> = {
            let mut state = self.tracking.lock();
            (state.keys, state.items) = (HashMap::new(), 0);
            state.trackers.keys().copied().collect()
        };
        told.into_iter().for_each(|id| self.tell(id, None));
    }

    /// Sends one message to who is to hear for a client; without a key: all are to be forgotten.
    fn tell(&self, id: u64, key: Option<&[u8]>) {
        let Some(tracker) = self.tracking.get(id) else { return };
        let target = tracker.redirect.unwrap_or(id);
        let send = |target: u64, topic: Topic, payload: &[u8]| {
            let client = self.client(target)?;
            let hears = client.protocol == Protocol::Resp3
                || target != id && client.channels + client.patterns + client.shards > 0;
            let mailbox = client.mailbox.filter(|_| hears);
            let message = Message {
                pattern: None,
                topic,
                channel: Bytes::from(INVALIDATE),
                payload: Bytes::from(payload),
            };
            if let Some(mailbox) = mailbox {
                mailbox.deliver(message);
            }
            Some(())
        };
        let topic = if key.is_some() { Topic::Invalidated } else { Topic::Flushed };
        if send(target, topic, key.unwrap_or_default()).is_none() && target != id {
            self.tracking.set(id, Some(Tracker { broken: true, ..tracker }));
            let number = target.to_string();
            if self.client(id).is_some_and(|client| client.protocol == Protocol::Resp3) {
                send(id, Topic::Broken, number.as_bytes());
            }
        }
    }
}

/// The channel of RESP2 clients that hear for others.
pub(super) const INVALIDATE: &[u8] = b"__redis__:invalidate";

/// Hears which keys expire, and passes everything on.
pub(super) struct Gone<'a> {
    inner: &'a dyn Extract,
    keys: Mutex<Vec<Box<[u8]>>>,
}

impl<'a> Gone<'a> {
    pub(super) fn new(inner: &'a dyn Extract) -> Gone<'a> {
        Gone { inner, keys: Mutex::default() }
    }

    /// Tells of them.
    pub(super) fn tell(self, shared: &Shared) {
        let keys = self.keys.into_inner().unwrap_or_else(PoisonError::into_inner);
        keys.iter().for_each(|key| shared.tell_key(None, key));
    }
}

impl Extract for Gone<'_> {
    fn extract(
        &self,
        keyspace: &Keyspace,
        request: &Request<'_>,
        effects: &Effects,
        now: i64,
        out: &mut Derived,
    ) {
        self.inner.extract(keyspace, request, effects, now, out);
        let gone = effects.iter().filter_map(|(_, effect)| match effect {
            Effect::Delete { key } => Some(Box::from(key)),
            _ => None,
        });
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).extend(gone);
    }

    fn hold(&self, keyspace: &Keyspace, now: i64, out: &mut Derived) {
        self.inner.hold(keyspace, now, out);
    }
}
