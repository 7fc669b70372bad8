//! Samples of the log brought to the target.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ringwell_storage::feed::{Feeder, LogPlace};

use super::hash::Hash;
use super::list::{Added, List, WINDOW};
use super::register::Register;
use super::route::{Router, Row, Where, count};
use super::rule::{Part, Place};
use super::spell::{Element, Time};
use super::{LIST, Model, Pushing, SETTLED};
use crate::mirror::redis::Mirror;
use crate::mirror::redis::batch::{OWN, Requests};
use crate::mirror::redis::commit::is_of_one_key;
use crate::mirror::redis::cursor::Cursor;
use crate::mirror::redis::writer::Target;
use crate::remote::client::{Reply, Trouble, command};

/// Samples of a transaction.
const ROWS: usize = 5000;
/// Keys that are asked for at a time.
const PAGE: usize = 200;
/// A key that is somebody else's, or for which there was no room, is looked at again so late.
const TAKEN: Duration = Duration::from_secs(60);
pub(super) const REFUSED: &str = "the target refuses it";
pub(super) const OTHERS: &str = "it is the node's own, or somebody else's";
/// What a target says that has another type at a key.
const WRONG_TYPE: &str = "WRONGTYPE";

impl Pushing {
    /// What is known at the start of a connection.
    pub(in crate::mirror::redis) fn new(mirror: &Mirror) -> Pushing {
        let rules: Arc<[super::Rule]> = mirror.options.series.clone().into();
        let mut text = b"1".to_vec();
        for rule in rules.iter() {
            text.push(b' ');
            text.extend_from_slice(rule.text().as_bytes());
        }
        let to = Where { rules, keymap: Arc::clone(&mirror.keymap) };
        let skipped = Arc::clone(&mirror.state.series.skipped);
        let router = Router::new(to, Arc::clone(&mirror.store), skipped);
        let now = Instant::now();
        Pushing {
            text,
            models: std::collections::HashMap::new(),
            whole: Vec::new(),
            unsettled: false,
            settled: now,
            swept: now,
            sweep: Vec::new(),
            router: Some(router),
        }
    }

    pub(super) fn to(&self) -> Option<Where> {
        self.router.as_ref().map(|router| router.to.clone())
    }

    /// What the target has of a key is not known any more.
    pub(in crate::mirror::redis) fn forget(&mut self, key: &[u8]) {
        self.models.remove(key);
    }

    pub(super) fn due(&self) -> bool {
        self.unsettled || !self.whole.is_empty()
    }
}

impl Target<'_> {
    pub(in crate::mirror::redis) fn has_series(&self) -> bool {
        !self.mirror.options.series.is_empty()
    }

    /// Has a feeder tell of samples from its own place on, if there are rules for them.
    pub(in crate::mirror::redis) fn with_samples(&self, feeder: Feeder) -> Feeder {
        let from = feeder.position();
        if self.has_series() { feeder.with_samples(from) } else { feeder }
    }

    pub(super) fn register_key(&self) -> Vec<u8> {
        Cursor::series_key(&self.mirror.options.name)
    }

    /// Reads which keys of the target series made.
    pub(in crate::mirror::redis) async fn read_register(&mut self) -> Result<(), Trouble> {
        let wrong = || Trouble::Link("the register of series in the target is no hash".to_owned());
        let mut request = Vec::new();
        command(&mut request, &[b"HGETALL", &self.register_key()]);
        let reply = self.client.call(&request, 1).await?.pop();
        let parts = match reply {
            Some(Reply::Array(Some(parts))) => parts,
            // Without rules its user need not be able to ask.
            Some(Reply::Error(_)) if !self.has_series() => Vec::new(),
            Some(reply) => return Err(reply.trouble().unwrap_or_else(wrong)),
            None => return Err(wrong()),
        };
        let mut register = Register::default();
        let mut parts = parts.into_iter();
        while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
            let (Reply::Bulk(Some(name)), Reply::Bulk(Some(value))) = (name, value) else {
                return Err(wrong());
            };
            register.set(&name, &value);
        }
        let settled = register.get(SETTLED) == Some(self.pushing.text.as_slice());
        self.pushing.unsettled =
            !settled && (self.has_series() || register.keys().next().is_some());
        *self.mirror.state.series.register() = register;
        Ok(())
    }

    /// Says of a key what the register has of it; nothing to strike it out.
    pub(super) fn register(&self, key: &[u8], state: Option<&[u8]>, requests: &mut Requests) {
        let of = self.register_key();
        let mut register = self.mirror.state.series.register();
        match state {
            Some(state) if register.get(key) == Some(state) => {}
            Some(state) => {
                requests.push(key, &[b"HSET", &of, key, state]);
                register.set(key, state);
            }
            None => {
                if register.remove(key) {
                    requests.push(key, &[b"HDEL", &of, key]);
                }
            }
        }
    }

    /// A key of the node's own is about to be there: what series made of it goes.
    pub(in crate::mirror::redis) fn give_way(&mut self, key: &[u8], requests: &mut Requests) {
        // A key that was the node's may be free now.
        self.pushing.forget(key);
        if self.mirror.state.series.owns(key) {
            self.delete(key, requests);
            self.is_taken(key, OTHERS);
        }
    }

    /// Deletes a key that series made.
    pub(super) fn delete(&mut self, key: &[u8], requests: &mut Requests) {
        self.pushing.forget(key);
        if !self.mirror.state.series.owns(key) {
            return;
        }
        let there = self.mirror.options.keys.there(key);
        requests.push(key, &[b"DEL", &there]);
        self.register(key, None, requests);
    }

    /// Says that not all keys are as the store has them, until they are.
    pub(in crate::mirror::redis) fn unsettle(&mut self, requests: &mut Requests) {
        self.pushing.unsettled = self.has_series() || self.mirror.state.series.keys() > 0;
        self.register(SETTLED, None, requests);
    }

    /// Brings the samples that were read to the target, which has all of the log up to a place then.
    pub(in crate::mirror::redis) async fn push_samples(
        &mut self,
        at: Option<LogPlace>,
    ) -> Result<(), Trouble> {
        let Some(router) = &mut self.pushing.router else { return Ok(()) };
        let rows = std::mem::take(&mut router.rows);
        self.pushing.unsettled |= std::mem::take(&mut router.unsettled);
        let mut chunks = rows.chunks(ROWS).peekable();
        while let Some(rows) = chunks.next() {
            self.load(rows).await?;
            let mut requests = Requests::default();
            let touched = self.add(rows);
            for key in touched {
                self.flush(&key, &mut requests);
            }
            if chunks.peek().is_none() {
                self.at = at.or(self.at);
            }
            if self.pushing.due() {
                self.register(SETTLED, None, &mut requests);
            }
            self.apply_series(requests).await?;
            self.mirror.state.series.samples.fetch_add(rows.len() as u64, Ordering::Relaxed);
        }
        self.at = at.or(self.at);
        if self.pushing.due() && self.mirror.state.series.register().get(SETTLED).is_some() {
            let mut requests = Requests::default();
            self.register(SETTLED, None, &mut requests);
            self.apply_series(requests).await?;
        }
        Ok(())
    }

    /// Applies what is of series' keys. Those that are refused are somebody else's, and not set aside.
    pub(super) async fn apply_series(&mut self, requests: Requests) -> Result<(), Trouble> {
        if requests.len() == 0 {
            return Ok(());
        }
        let offset = self.mirror.state.done.load(Ordering::Relaxed);
        let name = self.mirror.store.stream().map(|stream| stream.name);
        let place = self.cursor.place.and(name).map(|name| (name, offset));
        let refused = self.apply(requests, place).await?;
        for key in refused {
            self.mirror.state.aside.remove(&key);
            self.is_taken(&key, REFUSED);
        }
        Ok(())
    }

    pub(super) fn is_taken(&mut self, key: &[u8], whose: &str) {
        let mut taken = self.mirror.state.series.lock_taken();
        if taken.len() < super::settle::MOST_NAMED
            && taken.insert(key.to_vec(), whose.to_owned()).is_none()
        {
            let (mirror, key) = (&self.mirror.options.name, String::from_utf8_lossy(key));
            tracing::warn!(mirror, %key, "series are not pushed to this key: {whose}");
        }
        self.pushing.models.insert(key.into(), Model::Taken(Instant::now()));
    }

    /// Sees to it that what the target has of all keys of these rows is known.
    async fn load(&mut self, rows: &[Row]) -> Result<(), Trouble> {
        let now = crate::clock::now_ms();
        let mut wanted: Vec<Place> = Vec::new();
        let mut seen = BTreeSet::new();
        for row in rows {
            for place in row.places.iter() {
                if self.is_unknown(place, row.t, now) && seen.insert(Arc::clone(&place.key)) {
                    wanted.push(place.clone());
                }
            }
        }
        let mut whole = Vec::new();
        for page in wanted.chunks(PAGE) {
            whole.extend(self.ask(page).await?);
        }
        if !whole.is_empty() {
            self.write_whole_keys(whole).await?;
        }
        Ok(())
    }

    fn is_unknown(&self, place: &Place, t: i64, now: i64) -> bool {
        // A key that is about to go may be gone.
        let margin = place.ttl.map_or(0, |ttl| (ttl / 4).min(60_000));
        let goes = |at: Option<i64>| at.is_some_and(|at| at <= now + margin);
        match self.pushing.models.get(&place.key) {
            None => true,
            Some(Model::List(list)) => goes(list.expires()),
            Some(Model::Hash(hash)) => goes(hash.expires()),
            Some(Model::Expired) => place.ttl.is_none_or(|ttl| t.saturating_add(ttl) > now),
            Some(Model::Taken(since) | Model::Full(since)) => since.elapsed() >= TAKEN,
        }
    }

    /// Asks for keys; gives those that have to be written whole.
    async fn ask(&mut self, places: &[Place]) -> Result<Vec<Arc<[u8]>>, Trouble> {
        let (mut requests, mut count) = (Vec::new(), 0);
        let last = (WINDOW - 1).to_string();
        let told = Arc::clone(&self.mirror.state.series);
        for place in places {
            let there = self.mirror.options.keys.there(&place.key);
            let owned = told.owns(&place.key);
            command(&mut requests, &[if place.is_list() { b"LLEN" } else { b"HLEN" }, &there]);
            count += 1;
            if owned && place.is_list() {
                command(&mut requests, &[b"LRANGE", &there, b"0", last.as_bytes()]);
                count += 1;
            }
        }
        let mut replies = self.client.call(&requests, count).await?.into_iter();
        let mut whole = Vec::new();
        for place in places {
            let owned = told.owns(&place.key);
            let length = replies.next();
            let newest = if owned && place.is_list() { replies.next() } else { None };
            let taken = match length {
                Some(Reply::Integer(0))
                    if there_is_a_name_for(&self.mirror.options.keys, &place.key) =>
                {
                    whole.push(Arc::clone(&place.key));
                    continue;
                }
                Some(Reply::Integer(0)) => "its name is for mirrors",
                Some(Reply::Integer(length)) if owned => {
                    let length = usize::try_from(length).unwrap_or(0);
                    self.known(place, length, newest, &mut whole);
                    continue;
                }
                Some(Reply::Error(error)) if is_of_one_key(&error) => REFUSED,
                Some(Reply::Error(error)) if !error.starts_with(WRONG_TYPE) => {
                    return Err(crate::remote::client::classify(&error));
                }
                Some(_) => OTHERS,
                None => return Err(Trouble::Link("no reply".to_owned())),
            };
            if owned {
                let mut requests = Requests::default();
                self.register(&place.key, None, &mut requests);
                self.apply_series(requests).await?;
            }
            self.is_taken(&place.key, taken);
        }
        Ok(whole)
    }

    /// The target has a key that series made.
    fn known(
        &mut self,
        place: &Place,
        length: usize,
        newest: Option<Reply>,
        whole: &mut Vec<Arc<[u8]>>,
    ) {
        let model = match &place.part {
            Part::Member { time, .. } => {
                let elements = newest.and_then(|newest| elements(newest, *time));
                let shape = (place.max_len, place.ttl, *time);
                elements.map(|elements| Model::List(List::new(elements, length, shape)))
            }
            Part::Field { .. } => {
                let register = self.mirror.state.series.register();
                let state = register.get(&place.key).unwrap_or_default();
                Hash::read(state, place.ttl).map(Model::Hash)
            }
        };
        match model {
            Some(model) => drop(self.pushing.models.insert(Arc::clone(&place.key), model)),
            None => whole.push(Arc::clone(&place.key)),
        }
    }

    /// Takes samples into what is known; gives the keys that they change.
    fn add(&mut self, rows: &[Row]) -> BTreeSet<Arc<[u8]>> {
        let mut touched = BTreeSet::new();
        let room = self.mirror.state.series.register().has_room();
        let skipped = &self.mirror.state.series.skipped;
        for row in rows {
            for place in row.places.iter() {
                match (self.pushing.models.get_mut(&place.key), &place.part) {
                    (Some(Model::List(list)), Part::Member { labels, member, .. }) => {
                        let Some(value) = row.value else { continue };
                        match list.add(row.t, labels, member, value) {
                            Added::Yes => drop(touched.insert(Arc::clone(&place.key))),
                            Added::No => count(&skipped.known),
                            Added::Deeper if self.pushing.whole.contains(&place.key) => {}
                            Added::Deeper => self.pushing.whole.push(Arc::clone(&place.key)),
                        }
                    }
                    (Some(Model::Hash(hash)), Part::Field { field, scale }) => {
                        if hash.add(row.t, field, row.value.map(|v| v * scale), room) {
                            touched.insert(Arc::clone(&place.key));
                        } else {
                            count(&skipped.limit);
                        }
                    }
                    (Some(Model::Taken(_)), _) => count(&skipped.taken),
                    (Some(Model::Expired) | None, _) => count(&skipped.known),
                    (Some(Model::Full(_)), _) => count(&skipped.limit),
                    (Some(_), _) => count(&skipped.kind),
                }
            }
        }
        touched
    }

    fn flush(&mut self, key: &Arc<[u8]>, requests: &mut Requests) {
        let there = self.mirror.options.keys.there(key);
        match self.pushing.models.get_mut(key) {
            Some(Model::List(list)) => {
                list.flush(key, &there, requests);
                self.register(key, Some(LIST), requests);
            }
            Some(Model::Hash(hash)) => {
                if let Some(state) = hash.flush(key, &there, requests) {
                    self.register(key, Some(&state), requests);
                }
            }
            _ => {}
        }
    }
}

/// The elements of a reply; `None` if one was not written by series.
fn elements(reply: Reply, time: Time) -> Option<Vec<Element>> {
    let Reply::Array(Some(parts)) = reply else { return None };
    let read = |part| match part {
        Reply::Bulk(Some(text)) => Element::read(&text, time),
        _ => None,
    };
    parts.into_iter().map(read).collect()
}

/// Keys that are called as mirrors' own are in the target are of none.
fn there_is_a_name_for(keys: &crate::mirror::redis::Keys, key: &[u8]) -> bool {
    !keys.there(key).starts_with(OWN) && !key.is_empty()
}
