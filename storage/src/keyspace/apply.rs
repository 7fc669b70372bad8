//! The one function that changes the keyspace, live and in replay. It cannot fail.

mod stream;

use std::sync::Arc;

use super::database::Database;
use super::effect::{Effect, Effects};
use super::list::{End, List};
use super::map::Map;
use super::table::{Bytes, renew};
use super::value::{Entry, Value};
use super::zset::ZSet;
use super::{Keyspace, Strings};

impl Keyspace {
    /// Applies what a command did.
    pub fn apply(&mut self, effects: &Effects) {
        for (db, effect) in effects.iter() {
            if matches!(effect, Effect::FlushAll) {
                self.databases.iter_mut().for_each(Database::flush);
            } else if let Effect::Copy { key, to_db, to } = effect {
                self.copy(db, key, to_db, to);
            } else if let Effect::SwapDb { with } = effect {
                self.swap(db, with);
            } else if let Some(database) = self.databases.get_mut(usize::from(db)) {
                apply(database, effect);
            }
        }
    }
}

impl Keyspace {
    fn copy(&mut self, db: u8, key: &[u8], to_db: u8, to: &[u8]) {
        let Some(entry) = self.entry(db, key).cloned() else { return };
        let clock = self.database(db).map_or(0, |database| database.clock);
        if let Some(database) = self.databases.get_mut(usize::from(to_db)) {
            database.remove(to);
            database.keys.insert(to, Entry::new(entry.value, clock));
            database.expire(to, entry.expires);
        }
    }

    /// Keys change places; marks belong to the numbers and stay.
    fn swap(&mut self, db: u8, with: u8) {
        let (low, high) = (usize::from(db.min(with)), usize::from(db.max(with)));
        let Some((below, above)) = self.databases.split_at_mut_checked(high) else { return };
        if let (Some(a), Some(b)) = (below.get_mut(low), above.first_mut()) {
            std::mem::swap(&mut a.keys, &mut b.keys);
            std::mem::swap(&mut a.expiries, &mut b.expiries);
            std::mem::swap(&mut a.expiry_sum, &mut b.expiry_sum);
        }
    }
}

fn apply(database: &mut Database, effect: Effect<'_>) {
    match effect {
        Effect::Delete { key } => database.remove(key),
        Effect::Expire { key, at } => database.expire(key, Some(at)),
        Effect::Persist { key } => database.expire(key, None),
        Effect::StringSet { key, value, keep_expiry } => set(database, key, value, keep_expiry),
        Effect::StringPut { key, at, bytes } => put(database, key, at, bytes),
        Effect::ListPush { key, end, elements } if elements.count() > 0 => {
            push(database, key, end, elements);
        }
        Effect::ListDrop { key, left, right } => {
            change(database, key, |value| {
                if let Value::List(list) = value {
                    let list = Arc::make_mut(list);
                    list.drop(End::Left, usize::try_from(left).unwrap_or(usize::MAX));
                    list.drop(End::Right, usize::try_from(right).unwrap_or(usize::MAX));
                }
            });
        }
        Effect::HashSet { key, pairs } if pairs.count() > 0 => set_fields(database, key, pairs),
        Effect::HashDelete { key, fields } => change(database, key, |value| {
            if let Value::Hash(hash) = value {
                let hash = Arc::make_mut(hash);
                fields.for_each(|field| hash.remove(field));
            }
        }),
        Effect::SetAdd { key, members } if members.count() > 0 => {
            let value = database.entry(key, || Value::Set(Arc::new(Map::default())));
            if let Value::Set(set) = value {
                let set = Arc::make_mut(set);
                members.for_each(|member| set.insert(member, ()));
            }
        }
        Effect::SetRemove { key, members } => change(database, key, |value| {
            if let Value::Set(set) = value {
                let set = Arc::make_mut(set);
                members.for_each(|member| set.remove(member));
            }
        }),
        Effect::ListSet { key, index, element } => change_list(database, key, |list| {
            list.set(usize::try_from(index).unwrap_or(usize::MAX), element);
        }),
        Effect::ListInsert { key, index, element, .. } => change_list(database, key, |list| {
            list.insert(usize::try_from(index).unwrap_or(usize::MAX), element);
        }),
        Effect::ListRemove { key, indexes, .. } => change_list(database, key, |list| {
            let place = |i: &[u8]| i.try_into().ok().map(u64::from_le_bytes);
            let places = indexes.filter_map(place).filter_map(|i| usize::try_from(i).ok());
            list.remove(&places.collect::<Vec<_>>());
        }),
        Effect::ZSetAdd { key, pairs } if pairs.count() > 0 => add_scored(database, key, pairs),
        Effect::ZSetRemove { key, members } => change(database, key, |value| {
            if let Value::ZSet(zset) = value {
                let zset = Arc::make_mut(zset);
                members.for_each(|member| zset.remove(member));
            }
        }),
        Effect::Stream { key, effect } => stream::apply(database, key, effect),
        // These concern two databases and are done above.
        Effect::Copy { .. } | Effect::SwapDb { .. } => {}
        // These are for followers.
        Effect::Begin | Effect::End | Effect::Ping | Effect::Ask | Effect::Identity { .. } => {}
        // Nothing to add makes no key: no collection is ever empty.
        Effect::ListPush { .. }
        | Effect::HashSet { .. }
        | Effect::SetAdd { .. }
        | Effect::ZSetAdd { .. } => {}
        Effect::FlushDb | Effect::FlushAll => database.flush(),
        Effect::Mark { key, state } => database.mark(key, state),
    }
}

fn set(database: &mut Database, key: &[u8], value: &[u8], keep_expiry: bool) {
    if !keep_expiry {
        database.expire(key, None);
    }
    let clock = database.clock;
    match database.keys.get_mut(key) {
        Some(entry) => {
            match &mut entry.value {
                Value::String(old) => renew(old, value),
                other => *other = Value::String(Bytes::from(value)),
            }
            entry.used.set(clock);
        }
        None => database.keys.add(key, Entry::new(Value::String(Bytes::from(value)), clock)),
    }
}

fn put(database: &mut Database, key: &[u8], at: u64, bytes: &[u8]) {
    let value = database.entry(key, || Value::String(Bytes::from(&[][..])));
    let Ok(at) = usize::try_from(at) else { return };
    let Value::String(string) = value else { return };
    let place = at..at + bytes.len();
    // What stays as long is changed where it lies, if nobody shares it.
    if let Some(place) = Arc::get_mut(string).and_then(|string| string.get_mut(place.clone())) {
        place.copy_from_slice(bytes);
    } else {
        *string = Bytes::from(with(string, at, bytes));
    }
}

/// A string in which these bytes stand from `at` on.
pub fn with(string: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let end = at + bytes.len();
    let mut new = Vec::with_capacity(string.len().max(end));
    new.extend_from_slice(string.get(..at).unwrap_or(string));
    new.resize(at, 0);
    new.extend_from_slice(bytes);
    new.extend_from_slice(string.get(end..).unwrap_or_default());
    new
}

fn push(database: &mut Database, key: &[u8], end: End, elements: Strings<'_>) {
    let value = database.entry(key, || Value::List(Arc::new(List::default())));
    if let Value::List(list) = value {
        let list = Arc::make_mut(list);
        elements.for_each(|element| list.push(end, element));
    }
}

fn set_fields(database: &mut Database, key: &[u8], mut pairs: Strings<'_>) {
    let value = database.entry(key, || Value::Hash(Arc::new(Map::default())));
    if let Value::Hash(hash) = value {
        let hash = Arc::make_mut(hash);
        while let (Some(field), Some(value)) = (pairs.next(), pairs.next()) {
            hash.set(field, value);
        }
    }
}

fn add_scored(database: &mut Database, key: &[u8], mut pairs: Strings<'_>) {
    let value = database.entry(key, || Value::ZSet(Arc::new(ZSet::default())));
    if let Value::ZSet(zset) = value {
        let zset = Arc::make_mut(zset);
        while let (Some(score), Some(member)) = (pairs.next(), pairs.next()) {
            if let Ok(score) = score.try_into().map(f64::from_le_bytes) {
                zset.insert(member, score);
            }
        }
    }
}

fn change_list(database: &mut Database, key: &[u8], edit: impl FnOnce(&mut List)) {
    change(database, key, |value| {
        if let Value::List(list) = value {
            edit(Arc::make_mut(list));
        }
    });
}

/// Changes a value, and deletes the key if that emptied it.
fn change(database: &mut Database, key: &[u8], change: impl FnOnce(&mut Value)) {
    let Some(entry) = database.keys.get_mut(key) else { return };
    change(&mut entry.value);
    if entry.value.is_empty_collection() {
        database.remove(key);
    }
}
