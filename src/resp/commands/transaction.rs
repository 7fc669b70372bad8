//! MULTI EXEC DISCARD WATCH UNWATCH

use std::sync::Arc;

use ringwell_storage::keyspace::{Keyspace, Reply};

use super::error;
use crate::resp::session::{Session, Transaction, Watched};
use crate::resp::shared::Shared;
use crate::resp::write::length;

/// Keys one connection may watch: each holds on to the value it had.
const MAX_WATCHED: usize = 10_000;

/// `MULTI`
pub(super) fn multi(session: &mut Session, _: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    if session.transaction.is_some() {
        return Some(error("ERR MULTI calls can not be nested"));
    }
    session.transaction = Some(Transaction::default());
    Some(Reply::OK)
}

/// `EXEC`: no other connection's data command runs between the first and the last queued one.
pub(super) fn exec(session: &mut Session, args: &[&[u8]], out: &mut Vec<u8>) -> Option<Reply> {
    let reply = run_all(session, out);
    if session.shared.hub.monitored() {
        // Behind what it ran, as that was done before it.
        session.show_monitors_that(args);
    }
    reply
}

fn run_all(session: &mut Session, out: &mut Vec<u8>) -> Option<Reply> {
    let Some(transaction) = &mut session.transaction else {
        return Some(error("ERR EXEC without MULTI"));
    };
    let (queue, broken) = (std::mem::take(&mut transaction.queue), transaction.broken);
    let watched = std::mem::take(&mut session.watched);
    if broken {
        session.transaction = None;
        return Some(error("EXECABORT Transaction discarded because of previous errors."));
    }
    let shared = Arc::clone(&session.shared);
    // The lock guards no data, so a panic under it left nothing half done.
    let _alone = shared.exclusive.write();
    if touched(&shared, &watched) {
        session.transaction = None;
        return Some(Reply::NullArray);
    }
    session.running = shared.store().map(|store| store.transaction());
    length(b'*', queue.len(), out);
    for command in &queue {
        let args: Vec<&[u8]> = command.iter().map(|arg| &**arg).collect();
        session.run_queued(&args, out);
        if out.len() > shared.options.output_limit {
            // All of it is done, but nobody could be told: the connection ends.
            tracing::warn!(peer = %session.client.peer, "replies of a transaction are too large");
            out.clear();
            session.hang_up();
        }
    }
    session.transaction = None;
    session.running = None;
    if shared.waiters.count() > 0 {
        shared.serve_waiters(None);
    }
    None
}

fn touched(shared: &Shared, watched: &[Watched]) -> bool {
    let now = shared.now();
    let Some(store) = shared.store() else { return false };
    store.with_keyspace(|keyspace| {
        watched.iter().any(|watched| {
            let entry =
                keyspace.entry(watched.db, &watched.key).filter(|entry| !entry.expired(now));
            match (&watched.entry, entry) {
                (None, None) => false,
                (Some(before), Some(entry)) => !before.untouched(entry),
                _ => true,
            }
        })
    })
}

/// `WATCH key [key ...]`
pub(super) fn watch(session: &mut Session, args: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    if session.transaction.is_some() {
        return Some(error("ERR WATCH inside MULTI is not allowed"));
    }
    let keys = args.get(1..).unwrap_or_default();
    if session.watched.len() + keys.len() > MAX_WATCHED {
        return Some(error(&format!("ERR a connection may watch up to {MAX_WATCHED} keys")));
    }
    let (db, now) = (session.client.db, session.shared.now());
    let watch = |keyspace: &Keyspace, key: &[u8]| {
        let entry = keyspace.entry(db, key).filter(|entry| !entry.expired(now));
        Watched { db, key: key.into(), entry: entry.cloned() }
    };
    let shared = Arc::clone(&session.shared);
    match shared.store() {
        Some(store) => store.with_keyspace(|keyspace| {
            session.watched.extend(keys.iter().map(|key| watch(keyspace, key)));
        }),
        // What is there is not known yet: nothing is, so that what is found later counts as touched.
        None => session.watched.extend(keys.iter().map(|key| Watched {
            db,
            key: (*key).into(),
            entry: None,
        })),
    }
    Some(Reply::OK)
}

/// `DISCARD`
pub(super) fn discard(session: &mut Session, _: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    Some(match session.transaction.take() {
        Some(_) => {
            session.watched.clear();
            Reply::OK
        }
        None => error("ERR DISCARD without MULTI"),
    })
}

/// `UNWATCH`
pub(super) fn unwatch(session: &mut Session, _: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    session.watched.clear();
    Some(Reply::OK)
}
