//! Clients that wait for a key: BLPOP and its kin.
//!
//! Who waits stands in one queue, in the order they came. Whoever changes a key serves them from
//! there, in that order and before any other client's command, because it holds the lock that keeps
//! transactions alone. A waiter hears through a channel of one message, and a waiter whose
//! connection is gone is passed over before its command would take anything.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ringwell_storage::keyspace::{Keyspace, Reply, Value};
use ringwell_storage::model::WalPosition;
use tokio::sync::oneshot;

use super::shared::Shared;

/// What ends a wait.
#[derive(Debug)]
pub(super) enum Woken {
    /// The command's reply, and where the log ends for it.
    Answered(Reply, Option<WalPosition>),
    /// CLIENT UNBLOCK, as if the time were over.
    TimedOut,
    /// CLIENT UNBLOCK with an error.
    Unblocked,
}

/// A client that waits.
struct Waiter {
    client: u64,
    db: u8,
    args: Vec<Box<[u8]>>,
    answer: oneshot::Sender<Woken>,
}

/// All of them.
#[derive(Default)]
pub(super) struct Waiters {
    queue: Mutex<VecDeque<Waiter>>,
    count: AtomicUsize,
}

impl Waiters {
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// Lets a client wait until its command has something to answer.
    pub(super) fn wait(
        &self,
        client: u64,
        db: u8,
        args: Vec<Box<[u8]>>,
    ) -> oneshot::Receiver<Woken> {
        let (answer, receiver) = oneshot::channel();
        self.lock().push_back(Waiter { client, db, args, answer });
        self.count.fetch_add(1, Ordering::SeqCst);
        receiver
    }

    /// Ends a client's wait; false if it does not wait.
    pub(super) fn end(&self, client: u64, how: Option<Woken>) -> bool {
        let mut queue = self.lock();
        let Some(at) = queue.iter().position(|waiter| waiter.client == client) else {
            return false;
        };
        if let Some(waiter) = queue.remove(at) {
            self.count.fetch_sub(1, Ordering::SeqCst);
            if let Some(how) = how {
                // A client that is gone does not care.
                let _ = waiter.answer.send(how);
            }
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Waiter>> {
        // Every change is one operation of the queue, so a panic elsewhere leaves no half of one.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Serves those who wait for a key that a command names; without names, all who wait. The
    /// caller holds the exclusive lock.
    pub(super) fn serve_waiters(&self, named: Option<&[&[u8]]>) {
        let mut touched: Option<HashSet<Box<[u8]>>> =
            named.map(|args| args.iter().skip(1).map(|arg| Box::from(*arg)).collect());
        let mut queue = self.waiters.lock();
        let mut at = 0;
        while let Some(waiter) = queue.get(at) {
            let concerned = touched
                .as_ref()
                .is_none_or(|touched| waiter.args.iter().any(|arg| touched.contains(arg)));
            let served = concerned && !waiter.answer.is_closed();
            let outcome = if served { self.try_waiter(waiter) } else { None };
            match outcome {
                Some((reply, position)) => {
                    if let Some(waiter) = queue.remove(at) {
                        self.waiters.count.fetch_sub(1, Ordering::SeqCst);
                        if let Some(touched) = &mut touched {
                            touched.extend(waiter.args);
                        }
                        let _ = waiter.answer.send(Woken::Answered(reply, position));
                    }
                    // What this one moved may be what one before waits for.
                    at = 0;
                }
                None => at += 1,
            }
        }
    }

    /// Runs a waiter's command again; nothing if it goes on waiting.
    fn try_waiter(&self, waiter: &Waiter) -> Option<(Reply, Option<WalPosition>)> {
        let args: Vec<&[u8]> = waiter.args.iter().map(|arg| &**arg).collect();
        // Nobody waits before the store is open.
        let store = self.store()?;
        let executed = self.execute(Some(waiter.client), None, waiter.db, &args);
        match executed.reply {
            Reply::Null | Reply::NullArray => None,
            Reply::Error(_) if reads_as_group(waiter) => {
                let gone = store.with_keyspace(|keyspace| lacks_stream(keyspace, waiter));
                let why = if gone { STREAM_GONE } else { GROUP_GONE };
                Some((Reply::Error(why.to_owned()), executed.position))
            }
            // A key of another kind wakes nobody, but an element that has nowhere to go does.
            Reply::Error(_) => {
                let ready = store.with_keyspace(|keyspace| has_source(keyspace, waiter));
                ready.then_some((executed.reply, executed.position))
            }
            reply => Some((reply, executed.position)),
        }
    }
}

const STREAM_GONE: &str = "UNBLOCKED the stream key no longer exists";
const GROUP_GONE: &str = "NOGROUP the consumer group this client was blocked on no longer exists";

fn reads_as_group(waiter: &Waiter) -> bool {
    waiter.args.first().is_some_and(|name| name.eq_ignore_ascii_case(b"xreadgroup"))
}

/// Whether a key that XREADGROUP waits for is no stream.
fn lacks_stream(keyspace: &Keyspace, waiter: &Waiter) -> bool {
    let streams = waiter.args.iter().position(|arg| arg.eq_ignore_ascii_case(b"streams"));
    let rest = waiter.args.get(streams.map_or(usize::MAX, |at| at + 1)..).unwrap_or_default();
    rest.iter().take(rest.len() / 2).any(|key| {
        let entry = keyspace.entry(waiter.db, key);
        !entry.is_some_and(|entry| matches!(entry.value, Value::Stream(_)))
    })
}

/// Whether what BLMOVE or BRPOPLPUSH takes from is there.
fn has_source(keyspace: &Keyspace, waiter: &Waiter) -> bool {
    let [name, source, ..] = waiter.args.as_slice() else { return false };
    let moves = [&b"blmove"[..], b"brpoplpush"].iter().any(|n| name.eq_ignore_ascii_case(n));
    let entry = keyspace.entry(waiter.db, source);
    moves && entry.is_some_and(|entry| matches!(entry.value, Value::List(_)))
}
