//! MULTI EXEC DISCARD UNWATCH

use std::sync::Arc;

use ringwell_storage::keyspace::Reply;

use super::error;
use crate::resp::session::{Session, Transaction};
use crate::resp::write::length;

/// `MULTI`
pub(super) fn multi(session: &mut Session, _: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    if session.transaction.is_some() {
        return Some(error("ERR MULTI calls can not be nested"));
    }
    session.transaction = Some(Transaction::default());
    Some(Reply::OK)
}

/// `EXEC`: no other connection's data command runs between the first and the last queued one.
pub(super) fn exec(session: &mut Session, _: &[&[u8]], out: &mut Vec<u8>) -> Option<Reply> {
    let Some(transaction) = &mut session.transaction else {
        return Some(error("ERR EXEC without MULTI"));
    };
    let (queue, broken) = (std::mem::take(&mut transaction.queue), transaction.broken);
    if broken {
        session.transaction = None;
        return Some(error("EXECABORT Transaction discarded because of previous errors."));
    }
    let shared = Arc::clone(&session.shared);
    // The lock guards no data, so a panic under it left nothing half done.
    let alone = shared.exclusive.write();
    length(b'*', queue.len(), out);
    for command in &queue {
        let args: Vec<&[u8]> = command.iter().map(|arg| &**arg).collect();
        session.run_queued(&args, out);
    }
    drop(alone);
    session.transaction = None;
    None
}

/// `DISCARD`
pub(super) fn discard(session: &mut Session, _: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    Some(match session.transaction.take() {
        Some(_) => Reply::OK,
        None => error("ERR DISCARD without MULTI"),
    })
}

/// `UNWATCH`: nothing is ever watched.
pub(super) fn unwatch(_: &mut Session, _: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    Some(Reply::OK)
}
