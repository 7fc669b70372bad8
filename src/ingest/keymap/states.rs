//! State that holds: hash fields, sets and string keys are true until they change.
//!
//! What was last said of each is remembered, so that a field that goes gets its stale marker and
//! one that stays is repeated. The memory is built from the keyspace: it is never the only copy.

use std::collections::{HashMap, HashSet};

use ringwell_storage::append::Duplicates;
use ringwell_storage::keyspace::{Bytes, Derived, DerivedSample, Entry, Keyspace, Strings, Value};
use ringwell_storage::model::{Labels, STALE_NAN};

use super::json::{self, Scalar};
use super::lists::Sink;
use super::rules::{Field, Others, Plan};
use super::series::{labels, selector};
use super::time;

/// State is repeated in so many turns, each a second of the minute for its share of the keys.
pub(super) const SLOTS: usize = 60;
/// What was said less than so many milliseconds ago is not repeated yet.
const RECENT: i64 = 30_000;
/// The field under which a set's size and a string's value are kept.
const WHOLE: &[u8] = b"";

/// Everything that holds.
#[derive(Debug)]
pub(super) struct States {
    keys: HashMap<Bytes, StateKey>,
    slots: Vec<HashSet<Bytes>>,
    /// Whether the keyspace was looked through for state from before the start.
    built: bool,
    /// The second whose slot was last repeated.
    last_second: Option<i64>,
}

#[derive(Debug)]
struct StateKey {
    name: Bytes,
    plan: Plan,
    /// What each field, or member of a set, says.
    fields: HashMap<Box<[u8]>, Vec<Held>>,
    /// Members, if it is a set; those past the limit have no series of their own.
    size: usize,
}

/// One series and what it says.
#[derive(Clone, Debug)]
struct Held {
    labels: Labels,
    value: f64,
    said: i64,
}

impl Default for States {
    fn default() -> States {
        let slots = (0..SLOTS).map(|_| HashSet::new()).collect();
        States { keys: HashMap::new(), slots, built: false, last_second: None }
    }
}

impl States {
    /// Fields of a hash got values.
    pub(super) fn set_fields(
        &mut self,
        keyspace: &Keyspace,
        key: &[u8],
        mut pairs: Strings<'_>,
        sink: &mut Sink<'_>,
    ) {
        let Some(state) = self.state(keyspace, key, sink) else { return };
        while let (Some(field), Some(value)) = (pairs.next(), pairs.next()) {
            let says = state.field(field, value, sink);
            state.say(field, says, sink);
        }
    }

    /// Fields of a hash went.
    pub(super) fn delete_fields(
        &mut self,
        keyspace: &Keyspace,
        key: &[u8],
        fields: Strings<'_>,
        sink: &mut Sink<'_>,
    ) {
        let Some(state) = self.state(keyspace, key, sink) else { return };
        fields.for_each(|field| state.say(field, Vec::new(), sink));
    }

    /// A key became a string.
    pub(super) fn set_string(
        &mut self,
        keyspace: &Keyspace,
        key: &[u8],
        value: &[u8],
        sink: &mut Sink<'_>,
    ) {
        let Some(state) = self.state(keyspace, key, sink) else { return };
        // Whatever else the key was before, it no longer is.
        let others: Vec<_> =
            state.fields.keys().filter(|field| !field.is_empty()).cloned().collect();
        others.iter().for_each(|field| state.say(field, Vec::new(), sink));
        state.size = 0;
        let says = number(value).into_iter().map(|v| (state.plan.base.clone(), None, v)).collect();
        state.say(WHOLE, says, sink);
    }

    /// Members came to a set.
    pub(super) fn add_members(
        &mut self,
        keyspace: &Keyspace,
        key: &[u8],
        members: Strings<'_>,
        sink: &mut Sink<'_>,
    ) {
        let Some(state) = self.state(keyspace, key, sink) else { return };
        members.for_each(|member| state.add_member(member, sink));
        state.say_size(sink);
    }

    /// Members left a set. A set that is empty says 0 and is not repeated.
    pub(super) fn remove_members(
        &mut self,
        keyspace: &Keyspace,
        key: &[u8],
        members: Strings<'_>,
        sink: &mut Sink<'_>,
    ) {
        let Some(state) = self.state(keyspace, key, sink) else { return };
        for member in members {
            state.size = state.size.saturating_sub(1);
            state.say(member, Vec::new(), sink);
        }
        state.say_size(sink);
        if state.size == 0 {
            let name = Bytes::clone(&state.name);
            self.forget(&name, sink);
        }
    }

    /// A key went: all it said ends.
    pub(super) fn delete(&mut self, keyspace: &Keyspace, key: &[u8], sink: &mut Sink<'_>) {
        let is_list = |entry: &Entry| matches!(entry.value, Value::List(_));
        if !self.keys.contains_key(key) && keyspace.entry(0, key).is_none_or(is_list) {
            return;
        }
        let Some(state) = self.state(keyspace, key, sink) else { return };
        state.end(sink);
        let name = Bytes::clone(&state.name);
        self.forget(&name, sink);
        sink.gone.insert(name);
    }

    /// Every key went.
    pub(super) fn flush(&mut self, keyspace: &Keyspace, sink: &mut Sink<'_>) {
        self.build(keyspace, sink);
        let keys: Vec<Bytes> = self.keys.keys().cloned().collect();
        for key in keys {
            if let Some(state) = self.keys.get_mut(&key) {
                state.end(sink);
            }
            self.forget(&key, sink);
        }
    }

    /// Repeats the state whose turn it is.
    pub(super) fn hold(&mut self, keyspace: &Keyspace, sink: &mut Sink<'_>) {
        self.build(keyspace, sink);
        let second = sink.now.div_euclid(1000);
        let turns = SLOTS as i64;
        // A clock that went back or far ahead repeats at most one whole round.
        let first = match self.last_second {
            Some(last) if last <= second => (last + 1).max(second - turns + 1),
            Some(_) => second,
            None => second,
        };
        self.last_second = Some(second);
        for second in first..=second {
            let slot = second.rem_euclid(turns) as usize;
            let keys: Vec<Bytes> = self.slots.get(slot).into_iter().flatten().cloned().collect();
            keys.iter().for_each(|key| self.repeat(keyspace, key, sink));
        }
    }

    /// Whether all keys were looked at once.
    pub(super) fn are_built(&self) -> bool {
        self.last_second.is_some()
    }

    fn repeat(&mut self, keyspace: &Keyspace, key: &Bytes, sink: &mut Sink<'_>) {
        let now = sink.now;
        let alive = keyspace.entry(0, key).is_some_and(|entry| !entry.expired(now));
        let Some(state) = self.keys.get_mut(key) else { return };
        if !alive {
            state.end(sink);
            self.forget(key, sink);
            return;
        }
        for held in state.fields.values_mut().flatten() {
            if held.said <= now - RECENT || held.said > now {
                held.said = now;
                emit(sink.out, &held.labels, held.value, now);
            }
        }
    }

    /// What is known of a key, learned from the keyspace if it is not; `None` if it maps to nothing.
    fn state(
        &mut self,
        keyspace: &Keyspace,
        key: &[u8],
        sink: &mut Sink<'_>,
    ) -> Option<&mut StateKey> {
        if !self.keys.contains_key(key) {
            let name = Bytes::from(key);
            self.begin(&name, sink)?;
            self.learn(keyspace, &name, sink);
        }
        self.keys.get_mut(key)
    }

    fn begin(&mut self, name: &Bytes, sink: &Sink<'_>) -> Option<()> {
        let plan = sink.options.rules.plan(name)?;
        if self.keys.len() >= sink.options.max_state_keys {
            sink.counters.unheld.add(1);
            return None;
        }
        let state = StateKey { name: Bytes::clone(name), plan, fields: HashMap::new(), size: 0 };
        self.keys.insert(Bytes::clone(name), state);
        let slot = slot_of(name);
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.insert(Bytes::clone(name));
        }
        Some(())
    }

    /// Fills in what a key says already, without saying it again.
    fn learn(&mut self, keyspace: &Keyspace, name: &Bytes, sink: &mut Sink<'_>) {
        let entry = keyspace.entry(0, name).filter(|_| !sink.gone.contains(name));
        let (Some(state), Some(entry)) = (self.keys.get_mut(name), entry) else { return };
        let mut silent = Derived::default();
        std::mem::swap(sink.out, &mut silent);
        state.say_all(&entry.value, sink);
        state.fields.values_mut().flatten().for_each(|held| held.said = i64::MIN);
        std::mem::swap(sink.out, &mut silent);
    }

    /// A key takes the value of another: what it said ends, and what it holds now begins. Elements
    /// of a list that comes like this happened before, and are no events.
    pub(super) fn copy(
        &mut self,
        keyspace: &Keyspace,
        (db, from): (u8, &[u8]),
        to: &[u8],
        sink: &mut Sink<'_>,
    ) {
        let Some(entry) = keyspace.entry(db, from) else { return };
        let Some(state) = self.state(keyspace, to, sink) else { return };
        state.end(sink);
        state.say_all(&entry.value, sink);
        if matches!(entry.value, Value::List(_) | Value::ZSet(_) | Value::Stream(_)) {
            let name = Bytes::clone(&state.name);
            self.forget(&name, sink);
        }
    }

    /// Another database takes the place of this one: all state ends, and what holds there is
    /// learned and said when its turn comes.
    pub(super) fn swap(&mut self, keyspace: &Keyspace, sink: &mut Sink<'_>) {
        self.flush(keyspace, sink);
        self.built = false;
    }

    /// Learns every key that is there, once.
    fn build(&mut self, keyspace: &Keyspace, sink: &mut Sink<'_>) {
        if std::mem::replace(&mut self.built, true) {
            return;
        }
        let state = |value: &Value| !matches!(value, Value::List(_));
        let names: Vec<Bytes> = keyspace
            .entries(0)
            .filter(|(name, entry)| state(&entry.value) && !self.keys.contains_key(*name))
            .map(|(name, _)| Bytes::clone(name))
            .collect();
        for name in names {
            if self.begin(&name, sink).is_some() {
                self.learn(keyspace, &name, sink);
            }
        }
    }

    fn forget(&mut self, key: &Bytes, sink: &mut Sink<'_>) {
        if let Some(state) = self.keys.remove(key) {
            let held = state.fields.values().flatten();
            held.for_each(|held| sink.owners.release(&held.labels));
        }
        if let Some(slot) = self.slots.get_mut(slot_of(key)) {
            slot.remove(key);
        }
    }
}

/// What a field says: names of series, each with a label it adds and a value.
type Says = Vec<(String, Option<(String, String)>, f64)>;

impl StateKey {
    /// What a hash field says with a value.
    fn field(&self, field: &[u8], value: &[u8], sink: &Sink<'_>) -> Says {
        let Ok(name) = std::str::from_utf8(field) else { return Vec::new() };
        let text = std::str::from_utf8(value);
        let one = |name: String, value: Option<f64>| {
            value.into_iter().map(|value| (name.clone(), None, value)).collect()
        };
        let says: Says = match (self.plan.field(name), self.plan.others()) {
            (Some(Field::Nothing), _) => return Vec::new(),
            (Some(Field::Number(name)), _) => one(name.clone(), number(value)),
            (Some(Field::Word(name, label)), _) => match text {
                Ok(word) => vec![(name.clone(), Some((label.clone(), word.to_owned())), 1.0)],
                Err(_) => Vec::new(),
            },
            (Some(Field::Ranking(name, label, by, of)), _) => {
                ranking(value, by, of, sink.options.max_members)
                    .map(|(id, value)| (name.clone(), Some((label.clone(), id)), value))
                    .collect()
            }
            (None, Others::Ignore) => return Vec::new(),
            (None, Others::Label(series, label, divisor)) => {
                let label = Some((label.clone(), name.to_owned()));
                let value = number(value).into_iter();
                value.map(|v| (series.clone(), label.clone(), v / divisor)).collect()
            }
            (None, Others::Append) if name == "last_updated" => {
                let name = self.plan.appended("last_updated_timestamp_seconds");
                one(name, text.ok().and_then(seconds))
            }
            (None, Others::Append) => one(self.plan.appended(name), number(value)),
        };
        if says.is_empty() {
            sink.counters.unparsed.add(1);
        }
        says
    }

    /// Says all that a value holds.
    fn say_all(&mut self, value: &Value, sink: &mut Sink<'_>) {
        match value {
            Value::Hash(hash) => {
                for (field, value) in hash.iter() {
                    let says = self.field(field, value, sink);
                    self.say(field, says, sink);
                }
            }
            Value::Set(set) => {
                set.iter().for_each(|(member, ())| self.add_member(member, sink));
                self.say_size(sink);
            }
            Value::String(string) => {
                let value = number(string).into_iter();
                let says = value.map(|v| (self.plan.base.clone(), None, v)).collect();
                self.say(WHOLE, says, sink);
            }
            Value::List(_) | Value::ZSet(_) | Value::Stream(_) => {}
        }
    }

    fn add_member(&mut self, member: &[u8], sink: &mut Sink<'_>) {
        self.size += 1;
        let members = self.plan.rule.as_ref().and_then(|rule| rule.members.clone());
        let Some((name, label)) = members else { return };
        let Ok(text) = std::str::from_utf8(member) else { return };
        let named = self.fields.len() - usize::from(self.fields.contains_key(WHOLE));
        if named < sink.options.max_members && !text.is_empty() {
            let says = vec![(name, Some((label, text.to_owned())), 1.0)];
            self.say(member, says, sink);
        }
    }

    fn say_size(&mut self, sink: &mut Sink<'_>) {
        let says = vec![(self.plan.base.clone(), None, self.size as f64)];
        self.say(WHOLE, says, sink);
    }

    /// Says what a field says now, and ends what it said before and no longer says.
    fn say(&mut self, field: &[u8], says: Says, sink: &mut Sink<'_>) {
        let now = sink.now;
        let before = self.fields.remove(field).unwrap_or_default();
        let mut held = Vec::with_capacity(says.len());
        for (name, label, value) in says {
            let known = before.iter().find(|held| {
                held.labels.metric_name() == name
                    && label.as_ref().is_none_or(|(l, v)| held.labels.get(l) == Some(v.as_str()))
            });
            let labels = match known {
                Some(known) => Some(known.labels.clone()),
                None => self.claim(&name, label.as_ref(), sink),
            };
            if let Some(labels) = labels {
                emit(sink.out, &labels, value, now);
                held.push(Held { labels, value, said: now });
            }
        }
        for old in before {
            if held.iter().all(|new| new.labels != old.labels) {
                emit(sink.out, &old.labels, f64::from_bits(STALE_NAN), now);
                sink.owners.release(&old.labels);
            }
        }
        if !held.is_empty() {
            self.fields.insert(field.into(), held);
        }
    }

    fn claim(
        &self,
        name: &str,
        label: Option<&(String, String)>,
        sink: &mut Sink<'_>,
    ) -> Option<Labels> {
        let more: Vec<(&str, &str)> =
            label.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let labels = labels(&self.plan, name, &more)?;
        if !sink.owners.claim(&labels, &self.name) {
            sink.counters.contested.add(1);
            return None;
        }
        sink.new.push(selector(&labels));
        Some(labels)
    }

    /// Ends all it says.
    fn end(&mut self, sink: &mut Sink<'_>) {
        for (_, held) in self.fields.drain() {
            for held in held {
                emit(sink.out, &held.labels, f64::from_bits(STALE_NAN), sink.now);
                sink.owners.release(&held.labels);
            }
        }
        self.size = 0;
    }
}

fn emit(out: &mut Derived, labels: &Labels, value: f64, t: i64) {
    out.samples.push(DerivedSample {
        labels: labels.clone(),
        lookback: None,
        t,
        value,
        duplicates: Duplicates::Last,
    });
}

/// A number or a truth value.
fn number(text: &[u8]) -> Option<f64> {
    match text {
        b"true" => Some(1.0),
        b"false" => Some(0.0),
        text => json::number(text),
    }
}

fn seconds(text: &str) -> Option<f64> {
    time::of_text(text).map(|ms| ms as f64 / 1000.0)
}

/// The pairs of a JSON array of objects: a string member and a number member of each.
fn ranking(text: &[u8], by: &str, of: &str, limit: usize) -> impl Iterator<Item = (String, f64)> {
    let mut pairs = Vec::new();
    let whole = json::elements(text, &mut |element| {
        let (mut id, mut score) = (None, None);
        let read = json::members(element, &mut |name, value| match value {
            Scalar::Text(text) if name == by => id = Some(text.into_owned()),
            Scalar::Number(number) if name == of => score = Some(number),
            _ => {}
        });
        if let (Some(()), Some(id), Some(score)) = (read, id, score)
            && pairs.len() < limit
        {
            pairs.push((id, score));
        }
    });
    whole.map(|()| pairs).unwrap_or_default().into_iter()
}

fn slot_of(key: &[u8]) -> usize {
    xxhash_rust::xxh3::xxh3_64(key) as usize % SLOTS
}
