//! XINFO

use super::groups::no_group;
use super::{Outcome, entries, entry, spelled};
use crate::keyspace::command::number::integer;
use crate::keyspace::command::space::{help, unknown_subcommand};
use crate::keyspace::command::{Context, Refusal, Reply, count};
use crate::keyspace::stream::{Consumer, Group, Stream, StreamId};
use crate::keyspace::table::Bytes;

/// Entries that FULL shows where COUNT says nothing.
const DEFAULT_COUNT: usize = 10;

const HELP: &[&str] = &[
    "XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CONSUMERS <key> <group>",
    "    Shows the consumers of a group.",
    "GROUPS <key>",
    "    Shows the groups of a stream.",
    "STREAM <key> [FULL [COUNT <count>]]",
    "    Shows what is known of a stream.",
    "HELP",
    "    Print this help.",
];

/// `XINFO CONSUMERS key group`, `XINFO GROUPS key`, `XINFO STREAM key [FULL [COUNT count]]`, `XINFO HELP`
pub(in super::super) fn xinfo(cx: &mut Context<'_>) -> Outcome {
    let sub = cx.arg(1).to_ascii_lowercase();
    let key = match cx.rest(2) {
        [] if sub == b"help" => return Ok(help(HELP)),
        [key, ..] if sub != b"help" => *key,
        _ => return Ok(unknown_subcommand(cx)),
    };
    let stream = cx.stream(key)?.ok_or(Refusal::Plain("ERR no such key"))?;
    Ok(match (sub.as_slice(), cx.rest(3)) {
        (b"consumers", [name]) => match stream.groups.get(*name) {
            None => no_group(key, name),
            Some(group) => {
                let consumers = group.consumers.iter();
                Reply::Array(consumers.map(|(name, one)| consumer(name, one, cx.now)).collect())
            }
        },
        (b"groups", []) => {
            let groups = stream.groups.iter();
            Reply::Array(groups.map(|(name, group)| summary(stream, name, group)).collect())
        }
        (b"stream", []) => brief(stream),
        (b"stream", [full, options @ ..]) if full.eq_ignore_ascii_case(b"full") => {
            let limit = match options {
                [] => DEFAULT_COUNT,
                [name, text] if name.eq_ignore_ascii_case(b"count") => {
                    usize::try_from(integer(text)?).unwrap_or(DEFAULT_COUNT)
                }
                _ => return Ok(unknown_subcommand(cx)),
            };
            whole(stream, if limit == 0 { usize::MAX } else { limit })
        }
        _ => unknown_subcommand(cx),
    })
}

fn map(pairs: Vec<(&str, Reply)>) -> Reply {
    let named = pairs.into_iter().map(|(name, value)| (Reply::bulk(name.as_bytes()), value));
    Reply::Map(named.collect())
}

fn number(value: u64) -> Reply {
    Reply::Integer(value.cast_signed())
}

fn consumer(name: &[u8], consumer: &Consumer, now: i64) -> Reply {
    map(vec![
        ("name", Reply::bulk(name)),
        ("pending", count(consumer.pending.len())),
        ("idle", Reply::Integer(now.saturating_sub(consumer.seen).max(0))),
    ])
}

fn summary(stream: &Stream, name: &[u8], group: &Group) -> Reply {
    map(vec![
        ("name", Reply::bulk(name)),
        ("consumers", count(group.consumers.len())),
        ("pending", count(group.pending.len())),
        ("last-delivered-id", spelled(group.last)),
        ("entries-read", group.read.map_or(Reply::Null, number)),
        ("lag", stream.lag(group).map_or(Reply::Null, Reply::Integer)),
    ])
}

fn common(stream: &Stream) -> Vec<(&'static str, Reply)> {
    vec![
        ("length", number(stream.len)),
        ("radix-tree-keys", count(stream.nodes.len())),
        ("radix-tree-nodes", count(tree_nodes(stream))),
        ("last-generated-id", spelled(stream.last)),
        ("max-deleted-entry-id", spelled(stream.max_deleted)),
        ("entries-added", number(stream.added)),
        ("recorded-first-entry-id", spelled(stream.first)),
    ]
}

fn brief(stream: &Stream) -> Reply {
    let edge = |found: Option<_>| found.map_or(Reply::Null, entry);
    let mut facts = common(stream);
    facts.extend([
        ("groups", count(stream.groups.len())),
        ("first-entry", edge(stream.range(StreamId::ZERO, StreamId::MAX, 1).pop())),
        ("last-entry", edge(stream.reversed(StreamId::ZERO, StreamId::MAX, 1).pop())),
    ]);
    map(facts)
}

fn whole(stream: &Stream, limit: usize) -> Reply {
    let groups = stream.groups.iter().map(|(name, group)| detailed(stream, name, group, limit));
    let mut facts = common(stream);
    facts.extend([
        ("entries", entries(stream.range(StreamId::ZERO, StreamId::MAX, limit))),
        ("groups", Reply::Array(groups.collect())),
    ]);
    map(facts)
}

fn detailed(stream: &Stream, name: &[u8], group: &Group, limit: usize) -> Reply {
    let pending = group.pending.from(StreamId::ZERO).take(limit).map(|(id, pending)| {
        Reply::Array(vec![
            spelled(id),
            Reply::bulk(&pending.consumer),
            Reply::Integer(pending.delivered),
            number(pending.count),
        ])
    });
    let consumers =
        group.consumers.iter().map(|(name, consumer)| owner(group, name, consumer, limit));
    map(vec![
        ("name", Reply::bulk(name)),
        ("last-delivered-id", spelled(group.last)),
        ("entries-read", group.read.map_or(Reply::Null, number)),
        ("lag", stream.lag(group).map_or(Reply::Null, Reply::Integer)),
        ("pel-count", count(group.pending.len())),
        ("pending", Reply::Array(pending.collect())),
        ("consumers", Reply::Array(consumers.collect())),
    ])
}

fn owner(group: &Group, name: &Bytes, consumer: &Consumer, limit: usize) -> Reply {
    let own = consumer.pending.from(StreamId::ZERO).take(limit);
    let own = own.filter_map(|(id, ())| Some((id, group.pending.get(id)?))).map(|(id, pending)| {
        let delivered = Reply::Integer(pending.delivered);
        Reply::Array(vec![spelled(id), delivered, number(pending.count)])
    });
    map(vec![
        ("name", Reply::bulk(name)),
        ("seen-time", Reply::Integer(consumer.seen)),
        ("pel-count", count(consumer.pending.len())),
        ("pending", Reply::Array(own.collect())),
    ])
}

/// How many nodes a radix tree of Redis would have for the nodes' numbers.
fn tree_nodes(stream: &Stream) -> usize {
    let keys: Vec<[u8; 16]> = stream.nodes.iter().map(|node| node.first.to_be_bytes()).collect();
    nodes_below(&keys, 0)
}

fn nodes_below(keys: &[[u8; 16]], depth: usize) -> usize {
    let (Some(first), Some(last)) = (keys.first(), keys.last()) else { return 1 };
    let differ = (depth..16).find(|at| first.get(*at) != last.get(*at)).unwrap_or(16);
    // What all have in common is one node, where it is anything.
    let own = usize::from(differ > depth);
    if differ == 16 {
        return own + 1;
    }
    let branches = keys.chunk_by(|a, b| a.get(differ) == b.get(differ));
    own + 1 + branches.map(|keys| nodes_below(keys, differ + 1)).sum::<usize>()
}
