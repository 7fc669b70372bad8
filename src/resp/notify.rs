//! Keyspace notifications: what a command did to which key, told to channels.
//!
//! A wrapper around the keymap hears the same as it: every command's effects and the keyspace as it
//! was before. What it notes is published once the effects are applied.

use std::sync::{Mutex, PoisonError};

use ringwell_storage::keyspace::{
    Derived, Effect, Effects, End, Extract, Keyspace, Request, Stream, StreamEffect, Value,
};

use super::commands::{Settings, class};
use super::hub::Hub;

/// Notes the events of one call of the store.
pub struct Notifier<'a> {
    inner: &'a dyn Extract,
    wanted: u32,
    events: Mutex<Vec<Event>>,
}

/// Something that happened to a key.
#[derive(Debug)]
struct Event {
    class: u8,
    name: String,
    db: u8,
    key: Box<[u8]>,
}

impl<'a> Notifier<'a> {
    /// Notes nothing unless somebody switched events on.
    pub fn new(inner: &'a dyn Extract, settings: &Settings) -> Notifier<'a> {
        Notifier { inner, wanted: settings.events(), events: Mutex::default() }
    }

    /// Publishes what was noted.
    pub fn publish(&self, hub: &Hub) {
        if self.wanted == 0 {
            return;
        }
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events.drain(..).filter(|event| self.wanted & class(event.class) != 0) {
            let prefix = |kind: &str| format!("__{kind}@{}__:", event.db).into_bytes();
            if self.wanted & class(b'K') != 0 {
                let channel = [&prefix("keyspace"), &*event.key].concat();
                hub.publish(&channel, event.name.as_bytes());
            }
            if self.wanted & class(b'E') != 0 {
                let channel = [&prefix("keyevent"), event.name.as_bytes()].concat();
                hub.publish(&channel, &event.key);
            }
        }
    }
}

impl Extract for Notifier<'_> {
    fn extract(
        &self,
        keyspace: &Keyspace,
        request: &Request<'_>,
        effects: &Effects,
        now: i64,
        out: &mut Derived,
    ) {
        self.inner.extract(keyspace, request, effects, now, out);
        if self.wanted != 0 {
            let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
            note(keyspace, request, effects, now, &mut events);
        }
    }

    fn hold(&self, keyspace: &Keyspace, now: i64, out: &mut Derived) {
        self.inner.hold(keyspace, now, out);
    }
}

fn note(
    keyspace: &Keyspace,
    request: &Request<'_>,
    effects: &Effects,
    now: i64,
    events: &mut Vec<Event>,
) {
    let command = request.args.first().copied().unwrap_or_default();
    let command = String::from_utf8_lossy(command).to_ascii_lowercase();
    for (db, effect) in effects.iter() {
        let mut tell = |class: u8, name: &str, db: u8, key: &[u8]| {
            events.push(Event { class, name: name.to_owned(), db, key: key.into() });
        };
        let before = |key: &[u8]| keyspace.entry(db, key);
        if let Some(key) = made(&effect) {
            let db = if let Effect::Copy { to_db, .. } = effect { to_db } else { db };
            if keyspace.entry(db, key).is_none_or(|entry| entry.expired(now)) {
                tell(b'n', "new", db, key);
            }
        }
        match effect {
            Effect::Delete { key } if before(key).is_some_and(|entry| entry.expired(now)) => {
                tell(b'x', "expired", db, key);
            }
            // What is overwritten or went elsewhere was not deleted.
            Effect::Delete { key } if moves(&command) || remade(effects, db, key) => {}
            Effect::Delete { key } => tell(b'g', "del", db, key),
            Effect::Expire { key, .. } => tell(b'g', "expire", db, key),
            Effect::Persist { key } => tell(b'g', "persist", db, key),
            Effect::Copy { key, to_db, to } => match command.as_str() {
                "copy" => tell(b'g', "copy_to", to_db, to),
                "move" => {
                    tell(b'g', "move_from", db, key);
                    tell(b'g', "move_to", to_db, to);
                }
                _ => {
                    tell(b'g', "rename_from", db, key);
                    tell(b'g', "rename_to", to_db, to);
                }
            },
            Effect::Stream { key, effect } => {
                let stream = match before(key).map(|entry| &entry.value) {
                    Some(Value::Stream(stream)) => Some(&**stream),
                    _ => None,
                };
                if let Some((class, name)) = to_stream(&command, stream, &effect) {
                    tell(class, name, db, key);
                }
            }
            effect => {
                if let Some((class, name, key)) = changed(&command, &effect) {
                    tell(class, name, db, key);
                    if before(key).is_some_and(|entry| empties(&entry.value, &effect)) {
                        tell(b'g', "del", db, key);
                    }
                }
            }
        }
    }
}

/// The key that an effect makes if it is not there.
fn made<'a>(effect: &Effect<'a>) -> Option<&'a [u8]> {
    match effect {
        Effect::StringSet { key, .. }
        | Effect::StringPut { key, .. }
        | Effect::ListPush { key, .. }
        | Effect::HashSet { key, .. }
        | Effect::SetAdd { key, .. }
        | Effect::ZSetAdd { key, .. } => Some(key),
        Effect::Stream {
            key,
            effect: StreamEffect::Add { .. } | StreamEffect::Set { .. } | StreamEffect::Put { .. },
        } => Some(key),
        Effect::Copy { to, .. } => Some(to),
        _ => None,
    }
}

fn moves(command: &str) -> bool {
    matches!(command, "rename" | "renamenx" | "move")
}

/// Whether a command that deletes a key makes it anew.
fn remade(effects: &Effects, db: u8, key: &[u8]) -> bool {
    effects.iter().any(|(made_in, effect)| made_in == db && made(&effect) == Some(key))
}

/// Class and name of what a command does to a stream, which was `before` if it was there.
fn to_stream(
    command: &str,
    before: Option<&Stream>,
    effect: &StreamEffect<'_>,
) -> Option<(u8, &'static str)> {
    let known = |group: &[u8]| before.is_some_and(|stream| stream.has_group(group));
    let name = match *effect {
        StreamEffect::Put { .. } => return Some((b'g', "restore")),
        StreamEffect::Add { .. } => "xadd",
        StreamEffect::Trim { .. } => "xtrim",
        StreamEffect::Delete { .. } => "xdel",
        StreamEffect::Set { .. } if command == "xsetid" => "xsetid",
        StreamEffect::GroupSet { group, .. } if command == "xgroup" => {
            if known(group) {
                "xgroup-setid"
            } else {
                "xgroup-create"
            }
        }
        StreamEffect::GroupRemove { .. } => "xgroup-destroy",
        StreamEffect::Seen { group, consumer, .. }
            if !before.is_some_and(|stream| stream.has_consumer(group, consumer)) =>
        {
            "xgroup-createconsumer"
        }
        StreamEffect::ConsumerRemove { .. } => "xgroup-delconsumer",
        _ => return None,
    };
    Some((b't', name))
}

/// Class and name of what a command does to the insides of a key.
fn changed<'a>(command: &'a str, effect: &Effect<'a>) -> Option<(u8, &'a str, &'a [u8])> {
    if command == "restore" {
        return made(effect).map(|key| (b'g', "restore", key));
    }
    Some(match *effect {
        // It only notes what it has counted.
        Effect::StringSet { .. } if command == "pfcount" => return None,
        Effect::StringSet { key, .. } | Effect::StringPut { key, .. } => {
            let name = match command {
                "incr" | "incrby" | "decr" | "decrby" => "incrby",
                "incrbyfloat" | "append" | "setrange" => command,
                "setbit" | "bitfield" => "setbit",
                "pfadd" | "pfmerge" => "pfadd",
                _ => "set",
            };
            (b'$', name, key)
        }
        Effect::ListPush { key, .. } if command == "sort" => (b'l', "sortstore", key),
        Effect::ListPush { key, end: End::Left, .. } => (b'l', "lpush", key),
        Effect::ListPush { key, end: End::Right, .. } => (b'l', "rpush", key),
        Effect::ListDrop { key, .. } if command == "ltrim" => (b'l', "ltrim", key),
        Effect::ListDrop { key, left, .. } => (b'l', if left > 0 { "lpop" } else { "rpop" }, key),
        Effect::ListSet { key, .. } => (b'l', "lset", key),
        Effect::ListInsert { key, .. } => (b'l', "linsert", key),
        Effect::ListRemove { key, .. } => (b'l', "lrem", key),
        Effect::HashSet { key, .. } => {
            (b'h', if command.starts_with("hincrby") { command } else { "hset" }, key)
        }
        Effect::HashDelete { key, .. } => (b'h', "hdel", key),
        Effect::SetAdd { key, .. } => {
            (b's', if command.ends_with("store") { command } else { "sadd" }, key)
        }
        Effect::SetRemove { key, .. } => {
            (b's', if command == "spop" { "spop" } else { "srem" }, key)
        }
        Effect::ZSetAdd { key, .. } => {
            let name = match command {
                "zincrby" => "zincr",
                "georadius" | "georadiusbymember" => "georadiusstore",
                name if name.ends_with("store") => name,
                _ => "zadd",
            };
            (b'z', name, key)
        }
        Effect::ZSetRemove { key, .. } => {
            let name = match command {
                "zrem" => "zrem",
                "zremrangebyrank" | "zremrangebyscore" | "zremrangebylex" => command,
                "bzpopmax" | "zpopmax" => "zpopmax",
                _ => "zpopmin",
            };
            (b'z', name, key)
        }
        _ => return None,
    })
}

/// Whether an effect takes all a collection has.
fn empties(value: &Value, effect: &Effect<'_>) -> bool {
    let all = |taken: u64, len: usize| taken >= len as u64;
    match (value, effect) {
        (Value::List(list), Effect::ListDrop { left, right, .. }) => {
            all(left.saturating_add(*right), list.len())
        }
        (Value::List(list), Effect::ListRemove { indexes, .. }) => all(indexes.count(), list.len()),
        (Value::Hash(hash), Effect::HashDelete { fields, .. }) => all(fields.count(), hash.len()),
        (Value::Set(set), Effect::SetRemove { members, .. }) => all(members.count(), set.len()),
        (Value::ZSet(set), Effect::ZSetRemove { members, .. }) => all(members.count(), set.len()),
        _ => false,
    }
}
