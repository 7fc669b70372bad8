//! XGROUP XACK

use std::collections::BTreeSet;

use super::{Outcome, any_id, ids, strict_id};
use crate::keyspace::command::number::integer;
use crate::keyspace::command::space::{help, unknown_subcommand};
use crate::keyspace::command::{Context, Refusal, Reply, count, error, quote};
use crate::keyspace::stream::{Group, Stream, StreamId};

const NO_KEY: Refusal = Refusal::Plain(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use \
     the MKSTREAM option to create an empty stream automatically.",
);

const HELP: &[&str] = &[
    "XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CREATE <key> <group> <id | $> [MKSTREAM] [ENTRIESREAD <count>]",
    "    Makes a group that reads what comes behind an entry; with MKSTREAM the stream too.",
    "CREATECONSUMER <key> <group> <consumer>",
    "    Makes a consumer.",
    "DELCONSUMER <key> <group> <consumer>",
    "    Removes a consumer and what it did not acknowledge.",
    "DESTROY <key> <group>",
    "    Removes a group.",
    "SETID <key> <group> <id | $> [ENTRIESREAD <count>]",
    "    Lets a group read on from elsewhere.",
    "HELP",
    "    Print this help.",
];

/// What CREATE and SETID are asked for besides.
#[derive(Default)]
struct Options {
    make: bool,
    read: Option<u64>,
}

impl Options {
    /// `None` if they are not what the sub-command takes.
    fn read(sub: &[u8], mut rest: &[&[u8]]) -> Result<Option<Options>, Refusal> {
        let mut options = Options::default();
        let (create, set) = (sub == b"create", sub == b"setid");
        while let Some((option, more)) = rest.split_first() {
            rest = match (option.to_ascii_lowercase().as_slice(), more) {
                (b"mkstream", more) if create => {
                    options.make = true;
                    more
                }
                (b"entriesread", [text, more @ ..]) if create || set => {
                    options.read = match integer(text)? {
                        -1 => None,
                        read => Some(u64::try_from(read).map_err(|_| {
                            Refusal::Plain("ERR value for ENTRIESREAD must be positive or -1")
                        })?),
                    };
                    more
                }
                _ => return Ok(None),
            };
        }
        Ok(Some(options))
    }
}

/// `XGROUP CREATE | CREATECONSUMER | DELCONSUMER | DESTROY | SETID key group ...`, `XGROUP HELP`
pub(in super::super) fn xgroup(cx: &mut Context<'_>) -> Outcome {
    let sub = cx.arg(1).to_ascii_lowercase();
    let len = cx.args.len();
    if len < 4 {
        let asked = sub == b"help" && len == 2;
        return Ok(if asked { help(HELP) } else { unknown_subcommand(cx) });
    }
    let Some(options) = Options::read(&sub, cx.rest(5))? else {
        return Ok(unknown_subcommand(cx));
    };
    let (key, name) = (cx.arg(2), cx.arg(3));
    let stream = cx.stream(key)?;
    if stream.is_none() && !options.make {
        return Err(NO_KEY);
    }
    let group = stream.and_then(|stream| stream.groups.get(name)).map(|group| &**group);
    let needed = matches!(sub.as_slice(), b"setid" | b"createconsumer" | b"delconsumer");
    if group.is_none() && needed {
        return Ok(no_group(key, name));
    }
    match (sub.as_slice(), len, stream, group) {
        (b"create", 5..=8, stream, group) => create(cx, stream.map(|s| &**s), group, &options),
        (b"setid", 5 | 7, Some(stream), Some(_)) => {
            let last = match cx.arg(4) {
                b"$" => stream.last,
                text => any_id(text, 0)?,
            };
            cx.effects.group_set(cx.db, key, name, last, options.read);
            Ok(Reply::OK)
        }
        (b"destroy", 4, _, group) => {
            if group.is_some() {
                cx.effects.group_remove(cx.db, key, name);
            }
            Ok(Reply::Integer(group.is_some().into()))
        }
        (b"createconsumer", 5, _, Some(group)) => {
            let new = !group.consumers.contains_key(cx.arg(4));
            if new {
                cx.effects.consumer_seen(cx.db, key, name, cx.arg(4), cx.now);
            }
            Ok(Reply::Integer(new.into()))
        }
        (b"delconsumer", 5, _, Some(group)) => {
            let Some(consumer) = group.consumers.get(cx.arg(4)) else {
                return Ok(Reply::Integer(0));
            };
            cx.effects.consumer_remove(cx.db, key, name, cx.arg(4));
            Ok(count(consumer.pending.len()))
        }
        _ => Ok(unknown_subcommand(cx)),
    }
}

pub(super) fn no_group(key: &[u8], name: &[u8]) -> Reply {
    let (key, name) = (quote(key, usize::MAX), quote(name, usize::MAX));
    error(&format!("NOGROUP No such consumer group '{name}' for key name '{key}'"))
}

fn create(
    cx: &mut Context<'_>,
    stream: Option<&Stream>,
    group: Option<&Group>,
    options: &Options,
) -> Outcome {
    let (key, name) = (cx.arg(2), cx.arg(3));
    let last = match cx.arg(4) {
        b"$" => stream.map_or(StreamId::ZERO, |stream| stream.last),
        text => strict_id(text, 0)?,
    };
    if group.is_some() {
        return Err(Refusal::Plain("BUSYGROUP Consumer Group name already exists"));
    }
    if stream.is_none() {
        cx.effects.stream_new(cx.db, key);
    }
    cx.effects.group_new(cx.db, key, name, last, options.read);
    Ok(Reply::OK)
}

/// `XACK key group id [id ...]`
pub(in super::super) fn xack(cx: &mut Context<'_>) -> Outcome {
    let (key, name) = (cx.arg(1), cx.arg(2));
    let group = cx.stream(key)?.and_then(|stream| stream.groups.get(name));
    let Some(group) = group else { return Ok(Reply::Integer(0)) };
    let mut seen = BTreeSet::new();
    let mut done = ids(cx, 3)?;
    done.retain(|id| group.pending.get(*id).is_some() && seen.insert(*id));
    if !done.is_empty() {
        cx.effects.acknowledge(cx.db, key, name, &done);
    }
    Ok(count(done.len()))
}
