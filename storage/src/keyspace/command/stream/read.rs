//! XREAD XREADGROUP: what comes behind a number, waiting for it where BLOCK says so.

use std::collections::HashMap;

use super::{Outcome, entries, entry, group, spelled, strict_id};
use crate::keyspace::Keyspace;
use crate::keyspace::command::number::integer;
use crate::keyspace::command::{Context, Refusal, Reply, Request, parse_integer};
use crate::keyspace::stream::{Group, Stream, StreamId};
use crate::keyspace::value::Value;

/// How many entries end a wait where COUNT says nothing.
const WAITING_COUNT: &[u8] = b"1000";

/// What a read is asked for.
#[derive(Default)]
struct Asked<'a> {
    block: Option<i64>,
    /// 0 = all.
    count: usize,
    /// Group and consumer.
    group: Option<(&'a [u8], &'a [u8])>,
    no_ack: bool,
    /// Where the keys begin, and how many there are.
    keys: usize,
    streams: usize,
}

impl<'a> Asked<'a> {
    fn read(args: &'a [&'a [u8]], grouped: bool) -> Result<Asked<'a>, Refusal> {
        let mut asked = Asked::default();
        let mut at = 1;
        while let Some(option) = args.get(at) {
            let rest = args.get(at + 1..).unwrap_or_default();
            let option = option.to_ascii_lowercase();
            at += match (option.as_slice(), rest) {
                (b"block", [text, ..]) => {
                    asked.block = Some(block(text).map_err(Refusal::Plain)?);
                    2
                }
                (b"count", [text, ..]) => {
                    asked.count = usize::try_from(integer(text)?).unwrap_or(0);
                    2
                }
                (b"streams", [_, ..]) => {
                    if !rest.len().is_multiple_of(2) {
                        return Err(UNBALANCED);
                    }
                    (asked.keys, asked.streams) = (at + 1, rest.len() / 2);
                    break;
                }
                (b"group", [_, _, ..]) if !grouped => return Err(NO_GROUP_HERE),
                (b"group", [group, consumer, ..]) => {
                    asked.group = Some((group, consumer));
                    3
                }
                (b"noack", _) if !grouped => return Err(NO_NOACK_HERE),
                (b"noack", _) => {
                    asked.no_ack = true;
                    1
                }
                _ => return Err(Refusal::Syntax),
            };
        }
        match asked {
            Asked { streams: 0, .. } => Err(Refusal::Syntax),
            Asked { group: None, .. } if grouped => {
                Err(Refusal::Plain("ERR Missing GROUP option for XREADGROUP"))
            }
            asked => Ok(asked),
        }
    }

    fn limit(&self) -> usize {
        if self.count == 0 { usize::MAX } else { self.count }
    }
}

const UNBALANCED: Refusal = Refusal::Plain(
    "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.",
);
const NO_GROUP_HERE: Refusal = Refusal::Plain(
    "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.",
);
const NO_NOACK_HERE: Refusal = Refusal::Plain(
    "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.",
);
const NO_LAST_HERE: Refusal = Refusal::Plain(
    "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this \
     consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just \
     return an empty result set.",
);
const NO_NEW_HERE: Refusal = Refusal::Plain(
    "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> \
     option.",
);

/// Milliseconds to wait; 0 = for ever.
fn block(text: &[u8]) -> Result<i64, &'static str> {
    match parse_integer(text) {
        None => Err("ERR timeout is not an integer or out of range"),
        Some(..0) => Err("ERR timeout is negative"),
        Some(ms) if ms >= i64::MAX / 4 => Err("ERR timeout is out of range"),
        Some(ms) => Ok(ms),
    }
}

/// How long a read waits, in milliseconds; 0 = for ever, `None` = not at all.
pub(in super::super) fn timeout(args: &[&[u8]]) -> Option<i64> {
    let grouped = args.first().is_some_and(|name| name.eq_ignore_ascii_case(b"xreadgroup"));
    Asked::read(args, grouped).ok()?.block
}

/// A read that waits as it is run again: what `$` stands for is what it stood for when the wait began.
pub(in super::super) fn as_waiting(keyspace: &Keyspace, request: &Request<'_>) -> Vec<Box<[u8]>> {
    let mut args: Vec<Box<[u8]>> = request.args.iter().map(|arg| Box::from(*arg)).collect();
    let grouped = args.first().is_some_and(|name| name.eq_ignore_ascii_case(b"xreadgroup"));
    let Ok(asked) = Asked::read(request.args, grouped) else { return args };
    for at in asked.keys..asked.keys + asked.streams {
        let (key, id) = (request.args.get(at), args.get_mut(at + asked.streams));
        if let (Some(key), Some(id)) = (key, id.filter(|id| ***id == *b"$")) {
            let last = match keyspace.entry(request.db, key).map(|entry| &entry.value) {
                Some(Value::Stream(stream)) => stream.last,
                _ => StreamId::ZERO,
            };
            *id = last.to_string().into_bytes().into();
        }
    }
    if asked.count == 0 {
        args.splice(1..1, [&b"COUNT"[..], WAITING_COUNT].map(Box::from));
    }
    args
}

/// From where on a stream is read.
#[derive(Clone, Copy)]
enum From {
    Behind(StreamId),
    /// What the group has not read.
    New,
}

/// `XREAD [COUNT count] [BLOCK ms] STREAMS key [key ...] id [id ...]`
pub(in super::super) fn xread(cx: &mut Context<'_>) -> Outcome {
    let asked = Asked::read(cx.args, false)?;
    let mut from = Vec::new();
    for at in asked.keys..asked.keys + asked.streams {
        let stream = cx.stream(cx.arg(at))?;
        from.push(match cx.arg(at + asked.streams) {
            b"$" => stream.map_or(StreamId::ZERO, |stream| stream.last),
            b">" => return Err(NO_NEW_HERE),
            text => strict_id(text, 0)?,
        });
    }
    let mut found = Vec::new();
    for (at, from) in (asked.keys..).zip(from) {
        let Some(stream) = cx.stream(cx.arg(at))? else { continue };
        if stream.len > 0 && stream.top() > from {
            let next = from.next().unwrap_or(StreamId::ZERO);
            let read = stream.range(next, StreamId::MAX, asked.limit());
            found.push((Reply::bulk(cx.arg(at)), entries(read)));
        }
    }
    Ok(if found.is_empty() { Reply::NullArray } else { Reply::Keyed(found) })
}

/// `XREADGROUP GROUP group consumer [COUNT count] [BLOCK ms] [NOACK] STREAMS key [key ...] id [id ...]`
pub(in super::super) fn xreadgroup(cx: &mut Context<'_>) -> Outcome {
    let asked = Asked::read(cx.args, true)?;
    let (name, _) = asked.group.unwrap_or_default();
    let mut reads = Vec::new();
    for at in asked.keys..asked.keys + asked.streams {
        let key = cx.arg(at);
        let (stream, group) = match group(cx, key, name, " in XREADGROUP with GROUP option")? {
            Ok(found) => found,
            Err(missing) => return Ok(missing),
        };
        let from = match cx.arg(at + asked.streams) {
            b"$" => return Err(NO_LAST_HERE),
            b">" => From::New,
            text => match strict_id(text, 0)? {
                // Redis takes the highest number for `>`.
                StreamId::MAX => From::New,
                id => From::Behind(id),
            },
        };
        reads.push((key, stream, group, from));
    }
    let mut found = Vec::new();
    let mut done: HashMap<&[u8], (StreamId, Option<u64>)> = HashMap::new();
    for (key, stream, group, from) in reads {
        let _ = cx.entry(key);
        match from {
            From::Behind(id) => {
                found.push((Reply::bulk(key), history(cx, &asked, key, (stream, group), id)));
            }
            From::New => {
                // The same key may stand there twice.
                let (last, read) = done.get(key).copied().unwrap_or((group.last, group.read));
                if stream.len > 0 && stream.top() > last {
                    let (reply, last, read) = deliver(cx, &asked, key, stream, (last, read));
                    found.push((Reply::bulk(key), reply));
                    done.insert(key, (last, read));
                }
            }
        }
    }
    Ok(if found.is_empty() { Reply::NullArray } else { Reply::Keyed(found) })
}

/// What was delivered to the consumer before and not acknowledged; of what is gone only the number.
fn history(
    cx: &mut Context<'_>,
    asked: &Asked<'_>,
    key: &[u8],
    (stream, group): (&Stream, &Group),
    behind: StreamId,
) -> Reply {
    let (name, consumer) = asked.group.unwrap_or_default();
    cx.effects.consumer_seen(cx.db, key, name, consumer, cx.now);
    let Some(owner) = group.consumers.get(consumer) else { return Reply::Array(Vec::new()) };
    let start = behind.next().unwrap_or(StreamId::ZERO);
    let (mut replies, mut again) = (Vec::new(), Vec::new());
    for (id, ()) in owner.pending.from(start).take(asked.limit()) {
        match stream.get(id) {
            None => replies.push(Reply::Array(vec![spelled(id), Reply::NullArray])),
            Some(found) => {
                let count = group.pending.get(id).map_or(0, |pending| pending.count);
                again.push((id, cx.now, count.saturating_add(1)));
                replies.push(entry(found));
            }
        }
    }
    if !again.is_empty() {
        cx.effects.deliver(cx.db, key, name, consumer, &again);
    }
    Reply::Array(replies)
}

/// What is new to the group, which from then on has read it.
fn deliver(
    cx: &mut Context<'_>,
    asked: &Asked<'_>,
    key: &[u8],
    stream: &Stream,
    (last, mut read): (StreamId, Option<u64>),
) -> (Reply, StreamId, Option<u64>) {
    let (name, consumer) = asked.group.unwrap_or_default();
    cx.effects.consumer_seen(cx.db, key, name, consumer, cx.now);
    let next = last.next().unwrap_or(StreamId::ZERO);
    let found = stream.range(next, StreamId::MAX, asked.limit());
    for (id, _) in &found {
        read = stream.reads(read, *id);
    }
    let last = found.last().map_or(last, |(id, _)| *id);
    cx.effects.group_set(cx.db, key, name, last, read);
    if !asked.no_ack {
        let delivered: Vec<_> = found.iter().map(|(id, _)| (*id, cx.now, 1)).collect();
        cx.effects.deliver(cx.db, key, name, consumer, &delivered);
    }
    (entries(found), last, read)
}
