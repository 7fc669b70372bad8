//! The Redis face: RESP2 and RESP3 over TCP, plain and with TLS.
//!
//! A connection is a task. `parse` reads requests without copying, `session` decides what becomes of
//! each, data commands run inline in [`Store::execute`], `write` spells the replies. Commands about
//! the connection and the node are a table in `commands`; data commands have theirs in the keyspace.
//! Nothing here knows how samples come about: that is the keymap's, behind `Extract`.

mod acl;
mod commands;
mod connection;
mod facts;
mod hub;
mod inside;
mod notify;
mod nudge;
mod parse;
mod saves;
mod session;
mod shared;
mod slowlog;
mod tally;
mod tracking;
mod waiting;
mod write;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ringwell_storage::keyspace::Extract;
use ringwell_storage::store::Store;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

pub use commands::{SESSION_COMMANDS, SessionCommand, Settings};
pub use hub::{Hub, Inbox, Mailbox, Message, Topic, mailbox};
pub use notify::Notifier;
pub use parse::{Limits, Parser, ProtocolError};
pub use shared::{Counters, Gauge, RespOptions, TlsPort};
pub use write::{Protocol, write};

use nudge::Wanted;
use shared::Shared;
use tracking::Gone;

use crate::inside::Inside;
use crate::opening::Opening;
use crate::tls::{self, Acceptor, Secured};

/// How long connections may take to end when the node stops.
const GRACE: Duration = Duration::from_secs(5);
/// How often keys that have expired are deleted.
const EXPIRY: Duration = Duration::from_millis(100);
/// Of so many such rounds one looks for connections that may rest.
const RESTS: u64 = 10;
/// Steps of connections before the system is asked what else has arrived; a step answers what one of them sent
/// in a piece. Many, so that what arrived together is answered and written together.
const EVENTS: u32 = 256;
/// A connection that sends nothing for so long gives its buffers back.
const IDLE: Duration = Duration::from_secs(2);
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

    /// Takes over the users that a store keeps; to be called before it is opened to clients. Who came without
    /// a password while it was not known that one is needed has to come again.
    pub fn take_users(&self, store: &Store) {
        let shared = &self.0;
        let was_open = shared.users.is_open();
        shared.users.load(store, shared.options.secret.as_deref());
        if was_open && !shared.users.is_open() {
            shared.clients(None).iter().for_each(|client| shared.kill(client));
        }
    }

    /// For parts of the node that work with keys and channels themselves.
    pub fn inside(&self) -> Arc<dyn Inside> {
        Arc::<Shared>::clone(&self.0)
    }

    /// Serves connections, plain and secured ones, until `shutdown` returns; then each ends after the request it is at. One thread
    /// does all of it, as in Redis: commands take turns at the keyspace anyway, no other thread has to be
    /// woken for one, what arrived first is done first, and what arrived together is written together.
    pub async fn serve(
        self,
        listener: TcpListener,
        secured: Option<Secured>,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        let listener = listener.into_std()?;
        let secured = match secured {
            Some(Secured { listener, acceptor }) => Some((listener.into_std()?, acceptor)),
            None => None,
        };
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().event_interval(EVENTS).build()?;
        let (done, ended) = oneshot::channel();
        std::thread::Builder::new().name("redis".to_owned()).spawn(move || {
            let served = runtime.block_on(async {
                let secured = match secured {
                    Some((listener, acceptor)) => {
                        Some(Secured { listener: TcpListener::from_std(listener)?, acceptor })
                    }
                    None => None,
                };
                serve(TcpListener::from_std(listener)?, secured, self.0, shutdown).await
            });
            // What still runs in the background only syncs what is written.
            runtime.shutdown_timeout(GRACE);
            // Nobody waits for it any more if the node is gone.
            let _ = done.send(served);
        })?;
        ended.await.unwrap_or_else(|_| Err(std::io::Error::other("its thread has ended")))
    }
}

async fn serve(
    listener: TcpListener,
    secured: Option<Secured>,
    shared: Arc<Shared>,
    shutdown: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let (stop, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut expiry = tokio::time::interval(EXPIRY);
    expiry.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut rounds = 0_u64;
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let (accepted, acceptor) = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => (accepted, None),
            (accepted, acceptor) = tls::next(secured.as_ref()) => (accepted, Some(acceptor)),
            _ = expiry.tick() => {
                shared.rates.sample(shared.now(), &shared.counters);
                expire(&shared);
                rounds += 1;
                if rounds.is_multiple_of(RESTS) {
                    shared.let_rest(IDLE);
                }
                continue;
            }
            // Ended connections leave the set, so that its length says how many there are.
            Some(_) = connections.join_next() => continue,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept Redis connections");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        shared.counters.connections.fetch_add(1, Ordering::Relaxed);
        if connections.len() >= shared.options.max_connections {
            shared.counters.refused.fetch_add(1, Ordering::Relaxed);
            // Before TLS is agreed on nothing can be told.
            if acceptor.is_none() {
                refuse(stream);
            }
            continue;
        }
        let (shared, stopped) = (Arc::clone(&shared), stopped.clone());
        match acceptor {
            None => connections.spawn(begin(stream, peer, shared, stopped)),
            Some(acceptor) => connections.spawn(agree(acceptor, stream, peer, shared, stopped)),
        };
    }
    stop.send_replace(true);
    shared.clients(None).iter().for_each(|client| client.nudge.tell(Wanted::Stop));
    let ended = async { while connections.join_next().await.is_some() {} };
    // Whoever has not ended by then is cut off when the set is dropped.
    let _ = tokio::time::timeout(GRACE, ended).await;
    Ok(())
}

/// A connection that breaks is its own business.
async fn begin(
    stream: TcpStream,
    peer: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Receiver<bool>,
) {
    let Ok(local) = ready(&stream) else { return };
    let _ = connection::serve(stream, (peer, local), shared, stop).await;
}

/// The same once TLS is agreed on.
async fn agree(
    acceptor: Arc<Acceptor>,
    stream: TcpStream,
    peer: SocketAddr,
    shared: Arc<Shared>,
    mut stop: watch::Receiver<bool>,
) {
    let Ok(local) = ready(&stream) else { return };
    let agreed = tokio::select! {
        agreed = acceptor.accept(stream, peer) => agreed,
        _ = stop.wait_for(|stop| *stop) => None,
    };
    if let Some(stream) = agreed {
        let _ = connection::serve(stream, (peer, local), shared, stop).await;
    }
}

/// Its own address, once nothing waits for more to be sent with it.
fn ready(stream: &TcpStream) -> std::io::Result<SocketAddr> {
    stream.set_nodelay(true)?;
    stream.local_addr()
}

/// Deletes what has expired, and tells who wants to hear of it.
fn expire(shared: &Shared) {
    let Some(store) = shared.store() else { return };
    let notifier = Notifier::new(&*shared.keymap, &shared.settings);
    let gone = Gone::new(&notifier);
    let tracked = shared.tracking.is_active();
    let extract: &dyn Extract = if tracked { &gone } else { &notifier };
    let started = Instant::now();
    let now = shared.now();
    if let Err(error) = store.expire(now, extract) {
        tracing::warn!(%error, "expiry could not be written");
    }
    let took = i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX);
    let threshold = shared.settings.latency_threshold();
    if threshold > 0 && took >= threshold {
        shared.latency.event("expire-cycle", now, took);
    }
    gone.tell(shared);
    notifier.publish(&shared.hub);
}

/// Tells a client that there are too many; whether it hears it does not matter.
fn refuse(mut stream: TcpStream) {
    tokio::spawn(async move {
        let told = stream.write_all(b"-ERR max number of clients reached\r\n");
        let _ = tokio::time::timeout(GRACE, told).await;
    });
}
