//! The node's own parts as clients of the Redis face.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::BoxFuture;
use ringwell_storage::keyspace::command::{find, waits};
use ringwell_storage::keyspace::{Bytes, Reply};
use ringwell_storage::model::WalPosition;
use ringwell_storage::store::Executed;

use super::hub::{Hub, Inbox, Mailbox, Topic, mailbox};
use super::shared::{LOADING, Shared};
use crate::inside::{Called, Ear, Heard, Inside};

/// Bytes that wait for an ear that is not read; beyond, it hears no more.
const EAR_LIMIT: usize = 1 << 20;

/// Mailboxes of ears are numbered apart from those of connections, which count from 1.
static NEXT_EAR: AtomicU64 = AtomicU64::new(1 << 63);

impl Inside for Shared {
    fn call(&self, args: &[&[u8]]) -> Called {
        self.run(args, || self.execute(None, None, 0, args))
    }

    fn follow(&self, db: u8, args: &[&[u8]]) -> Called {
        self.run(args, || self.execute_following(None, db, args))
    }

    fn follow_all(&self, commands: &[(u8, Vec<&[u8]>)]) -> Vec<Called> {
        // The lock guards no data, so a panic under it left nothing half done.
        let _alone = self.exclusive.write();
        let running = self.store().map(|store| store.transaction());
        let called = commands.iter().map(|(db, args)| {
            refuses(args).unwrap_or_else(|| {
                let executed = self.execute_following(running.as_ref(), *db, args);
                Called { reply: executed.reply, position: executed.position }
            })
        });
        let called = called.collect();
        drop(running);
        if self.waiters.count() > 0 {
            self.serve_waiters(None);
        }
        called
    }

    fn acknowledged(&self, position: WalPosition) -> BoxFuture<'static, Result<(), String>> {
        let durable = self.store().map(|store| store.wait(position, self.options.ack));
        Box::pin(async move {
            let durable = durable.ok_or(LOADING)?;
            durable.await.map_err(|error| error.to_string())
        })
    }

    fn publish(&self, channel: &[u8], message: &[u8]) -> usize {
        self.counters.published.fetch_add(1, Ordering::Relaxed);
        self.hub.publish(channel, message)
    }

    fn is_heard(&self, channel: &[u8]) -> bool {
        self.hub.is_heard(channel)
    }

    fn subscribers(&self, channel: &[u8]) -> usize {
        self.hub.subscribers(Topic::Channel, channel)
    }

    fn subscribe(&self, name: &[u8], pattern: bool) -> Box<dyn Ear> {
        let id = NEXT_EAR.fetch_add(1, Ordering::Relaxed);
        let (mailbox, inbox) = mailbox(id, EAR_LIMIT.min(self.options.output_limit));
        let topic = if pattern { Topic::Pattern } else { Topic::Channel };
        let name = Bytes::from(name);
        self.hub.subscribe(topic, &name, &mailbox);
        Box::new(Subscription { hub: Arc::clone(&self.hub), topic, name, mailbox, inbox })
    }
}

impl Shared {
    /// Runs a data command beside those of clients.
    fn run(&self, args: &[&[u8]], execute: impl FnOnce() -> Executed) -> Called {
        if let Some(refused) = refuses(args) {
            return refused;
        }
        let executed = {
            // The lock guards no data, so a panic under it left nothing half done.
            let _beside = self.exclusive.read();
            execute()
        };
        if executed.position.is_some() && self.waiters.count() > 0 {
            let _alone = self.exclusive.write();
            self.serve_waiters(Some(args));
        }
        Called { reply: executed.reply, position: executed.position }
    }
}

/// What is said of a command that waits, or is none.
fn refuses(args: &[&[u8]]) -> Option<Called> {
    let name = args.first().copied().unwrap_or_default();
    if find(name).is_some_and(|c| waits(c, args).is_none() && c.takes(args.len())) {
        return None;
    }
    let name = String::from_utf8_lossy(name);
    let reply = Reply::Error(format!("ERR '{name}' cannot be called like this here"));
    Some(Called { reply, position: None })
}

/// One ear at the hub.
struct Subscription {
    hub: Arc<Hub>,
    topic: Topic,
    name: Bytes,
    mailbox: Arc<Mailbox>,
    inbox: Inbox,
}

impl Ear for Subscription {
    fn next(&mut self) -> BoxFuture<'_, Option<Heard>> {
        Box::pin(async {
            let message = self.inbox.next().await?;
            Some(Heard {
                pattern: message.pattern.map(|pattern| pattern.to_vec()),
                channel: message.channel.to_vec(),
                message: message.payload.to_vec(),
            })
        })
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.unsubscribe(self.topic, &self.name, &self.mailbox);
    }
}
