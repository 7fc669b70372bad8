//! SUBSCRIBE UNSUBSCRIBE PSUBSCRIBE PUNSUBSCRIBE PUBLISH PUBSUB

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ringwell_storage::keyspace::{Bytes, Reply};

use super::{arg, count, text};
use crate::resp::hub::Topic;
use crate::resp::session::Session;

/// `SUBSCRIBE channel [channel ...]`
pub(super) fn subscribe(s: &mut Session, args: &[&[u8]], out: &mut Vec<u8>) -> Option<Reply> {
    enter(s, args, Topic::Channel, out)
}

/// `PSUBSCRIBE pattern [pattern ...]`
pub(super) fn psubscribe(s: &mut Session, args: &[&[u8]], out: &mut Vec<u8>) -> Option<Reply> {
    enter(s, args, Topic::Pattern, out)
}

/// `SSUBSCRIBE shardchannel [shardchannel ...]`
pub(super) fn ssubscribe(s: &mut Session, args: &[&[u8]], out: &mut Vec<u8>) -> Option<Reply> {
    enter(s, args, Topic::Shard, out)
}

/// `SUNSUBSCRIBE [shardchannel ...]`
pub(super) fn sunsubscribe(s: &mut Session, args: &[&[u8]], out: &mut Vec<u8>) -> Option<Reply> {
    leave(s, args, Topic::Shard, out)
}

/// `SPUBLISH shardchannel message`
pub(super) fn spublish(s: &mut Session, args: &[&[u8]], out: &mut Vec<u8>) -> Option<Reply> {
    s.shared.counters.published.fetch_add(1, Ordering::Relaxed);
    let heard = s.shared.hub.publish_to(Topic::Shard, arg(args, 1), arg(args, 2));
    own_messages(s, out);
    Some(count(heard))
}

/// A subscriber that publishes to itself reads the message before the reply.
fn own_messages(session: &mut Session, out: &mut Vec<u8>) {
    while let Some(message) = session.subscriptions.inbox.as_mut().and_then(|i| i.waiting()) {
        session.push(&message, out);
    }
}

/// `UNSUBSCRIBE [channel ...]`
pub(super) fn unsubscribe(s: &mut Session, args: &[&[u8]], out: &mut Vec<u8>) -> Option<Reply> {
    leave(s, args, Topic::Channel, out)
}

/// `PUNSUBSCRIBE [pattern ...]`
pub(super) fn punsubscribe(s: &mut Session, args: &[&[u8]], out: &mut Vec<u8>) -> Option<Reply> {
    leave(s, args, Topic::Pattern, out)
}

fn enter(session: &mut Session, args: &[&[u8]], topic: Topic, out: &mut Vec<u8>) -> Option<Reply> {
    let mailbox = session.mailbox();
    for name in args.get(1..).unwrap_or_default() {
        let name = Bytes::from(*name);
        if session.subscriptions.names(topic).insert(Arc::clone(&name)) {
            session.shared.hub.subscribe(topic, &name, &mailbox);
        }
        let kind = match topic {
            Topic::Pattern => "psubscribe",
            Topic::Shard => "ssubscribe",
            _ => "subscribe",
        };
        confirm(session, kind, topic, Some(&name), out);
    }
    session.publish_state();
    None
}

fn leave(session: &mut Session, args: &[&[u8]], topic: Topic, out: &mut Vec<u8>) -> Option<Reply> {
    let kind = match topic {
        Topic::Pattern => "punsubscribe",
        Topic::Shard => "sunsubscribe",
        _ => "unsubscribe",
    };
    let named = args.get(1..).unwrap_or_default();
    let names: Vec<Bytes> = match named {
        [] => session.subscriptions.names(topic).iter().cloned().collect(),
        named => named.iter().map(|name| Bytes::from(*name)).collect(),
    };
    if names.is_empty() {
        confirm(session, kind, topic, None, out);
    }
    for name in names {
        leave_one(session, topic, &name);
        confirm(session, kind, topic, Some(&name), out);
    }
    session.publish_state();
    None
}

fn leave_one(session: &mut Session, topic: Topic, name: &Bytes) {
    if session.subscriptions.names(topic).remove(name)
        && let Some(mailbox) = &session.subscriptions.mailbox
    {
        session.shared.hub.unsubscribe(topic, name, mailbox);
    }
}

/// Ends all subscriptions of a connection without a word.
pub(in crate::resp) fn leave_all(session: &mut Session) {
    for topic in [Topic::Channel, Topic::Pattern, Topic::Shard, Topic::Monitor] {
        for name in session.subscriptions.names(topic).clone() {
            leave_one(session, topic, &name);
        }
    }
}

fn confirm(session: &Session, kind: &str, topic: Topic, name: Option<&[u8]>, out: &mut Vec<u8>) {
    let name = name.map_or(Reply::Null, Reply::bulk);
    let subscriptions = &session.subscriptions;
    let total = count(match topic {
        Topic::Shard => subscriptions.shards.len(),
        _ => subscriptions.channels.len() + subscriptions.patterns.len(),
    });
    session.reply(&Reply::Push(vec![text(kind), name, total]), out);
}

/// `PUBLISH channel message`
pub(super) fn publish(session: &mut Session, args: &[&[u8]], out: &mut Vec<u8>) -> Option<Reply> {
    session.shared.counters.published.fetch_add(1, Ordering::Relaxed);
    let heard = session.shared.hub.publish(arg(args, 1), arg(args, 2));
    own_messages(session, out);
    Some(count(heard))
}

/// `PUBSUB CHANNELS [pattern] | NUMSUB [channel ...] | NUMPAT`
pub(super) fn pubsub(session: &mut Session, args: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    let hub = &session.shared.hub;
    let rest = args.get(2..).unwrap_or_default();
    Some(match (arg(args, 1).to_ascii_lowercase().as_slice(), rest) {
        (b"channels", [] | [_]) => {
            let names = hub.channels(Topic::Channel, rest.first().copied());
            Reply::Bulks(names.iter().map(|name| &**name).collect())
        }
        (b"channels", _) => super::error(
            "ERR unknown subcommand or wrong number of arguments for 'CHANNELS'. Try PUBSUB HELP.",
        ),
        (b"numsub", names) => Reply::Array(
            names
                .iter()
                .flat_map(|n| [Reply::bulk(n), count(hub.subscribers(Topic::Channel, n))])
                .collect(),
        ),
        (b"shardchannels", rest) => {
            let names = hub.channels(Topic::Shard, rest.first().copied());
            Reply::Bulks(names.iter().map(|name| &**name).collect())
        }
        (b"shardnumsub", names) => Reply::Array(
            names
                .iter()
                .flat_map(|n| [Reply::bulk(n), count(hub.subscribers(Topic::Shard, n))])
                .collect(),
        ),
        (b"help", _) => super::help("pubsub"),
        _ => count(hub.patterns()),
    })
}
