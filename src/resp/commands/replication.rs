//! REPLCONF PSYNC SYNC ROLE WAIT: replicas of this node; REPLICAOF: whom it follows.

use std::sync::Arc;
use std::time::Duration;

use ringwell_storage::keyspace::Reply;
use tokio::sync::oneshot;

use super::{arg, count, error, integer, is, text};
use crate::replication::Wanted;
use crate::resp::parse::number;
use crate::resp::session::{Blocked, Session};
use crate::resp::waiting::Woken;

/// `REPLCONF option value [option value ...]`
pub(super) fn replconf(session: &mut Session, args: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    match session.handshake.take(args.get(1..).unwrap_or_default())? {
        Ok(()) => Some(Reply::OK),
        Err(refusal) => Some(Reply::Error(refusal)),
    }
}

/// `PSYNC name offset`: the connection becomes a replica's.
pub(super) fn psync(session: &mut Session, args: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    match Wanted::read(arg(args, 1), arg(args, 2)) {
        Ok(wanted) => session.follows = Some(wanted),
        Err(refusal) => return Some(error(refusal)),
    }
    None
}

/// `SYNC`: the same in the words of old.
pub(super) fn sync(session: &mut Session, _: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    session.follows = Some(Wanted::AllUnnamed);
    None
}

/// `REPLICAOF host port | NO ONE`: whom a node follows is said at its start, so this can only be confirmed.
pub(super) fn replicaof(session: &mut Session, args: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    let (host, port) = (arg(args, 1), arg(args, 2));
    let upstream = session.shared.primary.upstream();
    if is(host, "no") && is(port, "one") {
        return Some(match upstream {
            None => Reply::OK,
            Some(_) => error(
                "ERR this node follows the Redis of its setting replica_of until it is started without it",
            ),
        });
    }
    let Some(port) = number(port).and_then(|port| u16::try_from(port).ok()) else {
        return Some(error("ERR Invalid master port"));
    };
    Some(match upstream.map(|upstream| upstream.role()) {
        Some((name, known, ..)) if known == port && is(host, name) => {
            Reply::Simple("OK Already connected to specified master")
        }
        _ => error(
            "ERR a node follows the Redis of its setting replica_of, not one that REPLICAOF names",
        ),
    })
}

/// `ROLE`
pub(super) fn role(session: &mut Session, _: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    let primary = &session.shared.primary;
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    if let Some(upstream) = primary.upstream() {
        let (host, port, link, offset) = upstream.role();
        let (port, offset) = (Reply::Integer(port.into()), Reply::Integer(number(offset)));
        return Some(Reply::Array(vec![text("slave"), text(host), port, text(link), offset]));
    }
    let (offset, replicas) = primary.role();
    let replicas = replicas.iter().map(|(address, port, offset)| {
        Reply::Array(vec![text(address), text(&port.to_string()), text(&offset.to_string())])
    });
    Some(Reply::Array(vec![
        text("master"),
        Reply::Integer(number(offset)),
        Reply::Array(replicas.collect()),
    ]))
}

/// `WAIT numreplicas timeout`: answers once so many replicas have all that was written before.
pub(super) fn wait(session: &mut Session, args: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    let wanted = match integer(arg(args, 1)) {
        Ok(wanted) => usize::try_from(wanted).unwrap_or(0),
        Err(refusal) => return Some(refusal),
    };
    let timeout = match integer(arg(args, 2)) {
        Err(_) => return Some(error("ERR timeout is not an integer or out of range")),
        Ok(..0) => return Some(error("ERR timeout is negative")),
        Ok(ms) => (ms > 0).then(|| Duration::from_millis(ms.unsigned_abs())),
    };
    let primary = Arc::clone(&session.shared.primary);
    let offset = session.fed;
    let having = primary.having(offset);
    if having >= wanted || session.transaction.is_some() {
        return Some(count(having));
    }
    let (answer, woken) = oneshot::channel();
    tokio::spawn(async move {
        let mut answer = answer;
        tokio::select! {
            having = primary.wait_for(wanted, offset, timeout) => {
                // Whether the client is still there does not matter.
                let _ = answer.send(Woken::Answered(count(having), None));
            }
            () = answer.closed() => {}
        }
    });
    session.client.blocked = true;
    let args = args.iter().map(|arg| Box::from(*arg)).collect();
    session.blocked = Some(Blocked { woken, deadline: None, name: "wait", args });
    session.publish_state();
    None
}
