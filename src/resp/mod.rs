//! The Redis face: RESP2 and RESP3 over TCP.
//!
//! A connection is a task. `parse` reads requests without copying, `session` decides what becomes of
//! each, data commands run inline in [`Store::execute`], `write` spells the replies. Commands about
//! the connection and the node are a table in `commands`; data commands have theirs in the keyspace.
//! Nothing here knows how samples come about: that is the keymap's, behind `Extract`.

mod commands;
mod connection;
mod facts;
mod hub;
mod inside;
mod notify;
mod parse;
mod saves;
mod session;
mod shared;
mod slowlog;
mod tally;
mod waiting;
mod write;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ringwell_storage::keyspace::Extract;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use commands::{SESSION_COMMANDS, SessionCommand, Settings};
pub use hub::{Hub, Inbox, Mailbox, Message, Topic, mailbox};
pub use notify::Notifier;
pub use parse::{Limits, Parser, ProtocolError};
pub use shared::{Counters, Gauge, RespOptions};
pub use write::{Protocol, write};

use shared::Shared;

use crate::inside::Inside;
use crate::opening::Opening;

/// How long connections may take to end when the node stops.
const GRACE: Duration = Duration::from_secs(5);
/// How often keys expire while somebody listens for it; else once a second is enough.
const EXPIRY: Duration = Duration::from_millis(100);
/// How long accepting pauses when the system has no more sockets.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The face, before it serves anybody.
#[derive(Clone)]
pub struct Face(Arc<Shared>);

impl Face {
    /// A face on a store, open or not yet, that will answer at this port.
    pub fn new(
        opening: Arc<Opening>,
        keymap: Arc<dyn Extract>,
        options: RespOptions,
        port: u16,
    ) -> Face {
        Face(Arc::new(Shared::new(opening, keymap, options, port)))
    }

    /// For parts of the node that work with keys and channels themselves.
    pub fn inside(&self) -> Arc<dyn Inside> {
        Arc::<Shared>::clone(&self.0)
    }

    /// Serves connections until `shutdown` returns; then each ends after the request it is at.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> std::io::Result<()> {
        serve(listener, self.0, shutdown).await
    }
}

async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    shutdown: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let (stop, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut expiry = tokio::time::interval(EXPIRY);
    expiry.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    shared.counters.connections.fetch_add(1, Ordering::Relaxed);
                    if connections.len() >= shared.options.max_connections {
                        shared.counters.refused.fetch_add(1, Ordering::Relaxed);
                        refuse(stream);
                        continue;
                    }
                    let (shared, stopped) = (Arc::clone(&shared), stopped.clone());
                    connections.spawn(async move {
                        // A connection that breaks is its own business.
                        let _ = connection::serve(stream, peer, shared, stopped).await;
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept Redis connections");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            _ = expiry.tick() => {
                shared.rates.sample(shared.now(), &shared.counters);
                tell_expired(&shared);
            }
            // Ended connections leave the set, so that its length says how many there are.
            Some(_) = connections.join_next() => {}
        }
    }
    stop.send_replace(true);
    let ended = async { while connections.join_next().await.is_some() {} };
    // Whoever has not ended by then is cut off when the set is dropped.
    let _ = tokio::time::timeout(GRACE, ended).await;
    Ok(())
}

/// Deletes what has expired, where somebody wants to hear of it, and tells.
fn tell_expired(shared: &Shared) {
    if shared.settings.events() & commands::class(b'x') == 0 {
        return;
    }
    let Some(store) = shared.store() else { return };
    let notifier = Notifier::of_expiry(&*shared.keymap, &shared.settings);
    if let Err(error) = store.tick(shared.now(), &notifier) {
        tracing::warn!(%error, "expiry could not be written");
    }
    notifier.publish(&shared.hub);
}

/// Tells a client that there are too many; whether it hears it does not matter.
fn refuse(mut stream: TcpStream) {
    tokio::spawn(async move {
        let told = stream.write_all(b"-ERR max number of clients reached\r\n");
        let _ = tokio::time::timeout(GRACE, told).await;
    });
}
