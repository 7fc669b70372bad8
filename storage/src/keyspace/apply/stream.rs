//! Streams.

use std::sync::Arc;

use crate::keyspace::database::Database;
use crate::keyspace::effect::StreamEffect;
use crate::keyspace::rdb::whole_stream;
use crate::keyspace::stream::{Group, Stream};
use crate::keyspace::value::{Entry, Value};

pub(super) fn apply(database: &mut Database, key: &[u8], effect: StreamEffect<'_>) {
    match effect {
        StreamEffect::Add { .. } | StreamEffect::Set { .. } => {
            let value = database.entry(key, || Value::Stream(Arc::default()));
            change(value, effect);
        }
        StreamEffect::Put { stream } => {
            if let Ok(stream) = whole_stream(stream) {
                database.remove(key);
                let value = Value::Stream(Arc::new(stream));
                database.keys.insert(key, Entry::new(value, database.clock));
            }
        }
        _ => {
            if let Some(entry) = database.keys.get_mut(key) {
                change(&mut entry.value, effect);
            }
        }
    }
}

fn change(value: &mut Value, effect: StreamEffect<'_>) {
    let Value::Stream(stream) = value else { return };
    let stream = Arc::make_mut(stream);
    match effect {
        StreamEffect::Add { id, pairs } => {
            // A number that is not above all before would put entries out of order.
            if id > stream.last {
                stream.append(id, &pairs.collect::<Vec<_>>());
            }
        }
        StreamEffect::Trim { count, .. } => stream.trim(count),
        StreamEffect::Delete { ids } => ids.for_each(|id| stream.delete(id)),
        StreamEffect::Set { last, max_deleted, added, .. } => {
            stream.set_last(last);
            (stream.max_deleted, stream.added) = (max_deleted, added);
        }
        StreamEffect::GroupSet { group, last, read, .. } => {
            let group = match stream.group_mut(group) {
                Some(group) => group,
                None => Arc::make_mut(stream.groups.entry(group.into()).or_default()),
            };
            (group.last, group.read) = (last, read);
        }
        StreamEffect::GroupRemove { group } => drop(stream.groups.remove(group)),
        StreamEffect::Put { .. } => {}
        effect => change_group(stream, effect),
    }
}

fn change_group(stream: &mut Stream, effect: StreamEffect<'_>) {
    let mut in_group = |name: &[u8], edit: &mut dyn FnMut(&mut Group)| {
        stream.group_mut(name).into_iter().for_each(edit);
    };
    match effect {
        StreamEffect::Seen { group, consumer, at } => {
            in_group(group, &mut |group| match group.consumers.get_mut(consumer) {
                Some(known) => known.seen = at,
                None => group.consumers.entry(consumer.into()).or_default().seen = at,
            })
        }
        StreamEffect::ConsumerRemove { group, consumer } => {
            in_group(group, &mut |group| group.remove(consumer));
        }
        StreamEffect::Deliver { group, consumer, entries } => in_group(group, &mut |group| {
            entries.for_each(|(id, at, count)| group.deliver(id, consumer, at, count));
        }),
        StreamEffect::Acknowledge { group, ids } => in_group(group, &mut |group| {
            ids.for_each(|id| group.acknowledge(id));
        }),
        _ => {}
    }
}
