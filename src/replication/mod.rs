//! Redis servers as replicas of this node: `REPLICAOF node port`.
//!
//! A replica is a connection of the Redis face that said PSYNC. It is fed from the log by a `Feeder`: a
//! View as an RDB file first, or at once where it was cut off. [`Primary`] knows all of them, for
//! INFO, ROLE and WAIT; `link` is the conversation with one; `handshake` is what it says before.
//! [`Following`] is the other way round: this node follows a Redis, to move in.

mod adopt;
mod call;
mod command;
mod handshake;
mod link;
mod source;
mod upstream;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ringwell_storage::append::AppendError;
use ringwell_storage::feed::{Identity, StreamState, Tell};
use ringwell_storage::store::{Ack, Store};

use tokio::sync::Notify;

use crate::metrics::{Families, Kind};
use crate::opening::Opening;

pub(crate) use adopt::Adopting;
pub(crate) use command::{MAX_STRING, next_command};
pub use handshake::{Handshake, Wanted};
pub use link::Conversation;
pub use source::Following;
pub use upstream::Upstream;

/// How replicas are dealt with.
#[derive(Clone, Debug)]
pub struct Options {
    /// How often the stream says that the node is there.
    pub ping: Duration,
    /// A replica that says nothing for so long is cut off.
    pub timeout: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options { ping: Duration::from_secs(10), timeout: Duration::from_secs(60) }
    }
}

/// This node as the one that replicas follow.
pub struct Primary {
    opening: Arc<Opening>,
    options: Options,
    /// Whom this node follows itself.
    upstream: Option<Arc<Upstream>>,
    replicas: Mutex<BTreeMap<u64, Arc<Replica>>>,
    next: AtomicU64,
    /// Told after every sync of the log.
    synced: Notify,
    /// Told when a replica says how far it is, or comes, or goes.
    acknowledged: Notify,
    counters: Counters,
}

/// What was counted.
#[derive(Debug, Default)]
pub struct Counters {
    /// Replicas that began anew.
    pub full: AtomicU64,
    /// Replicas that went on where they were.
    pub partial: AtomicU64,
    /// Replicas that wanted to go on and could not.
    pub refused: AtomicU64,
}

/// A replica, as it was seen last.
#[derive(Debug)]
pub struct Replica {
    address: IpAddr,
    port: u16,
    /// Whether it has all of the RDB file and is fed what comes after.
    online: AtomicBool,
    offset: AtomicU64,
    /// When it last said something, or took a piece of the RDB file, in milliseconds since 1970.
    heard: AtomicI64,
    /// Told when it says something.
    spoke: Notify,
}

impl Primary {
    /// A node without replicas.
    pub fn new(
        opening: Arc<Opening>,
        options: Options,
        upstream: Option<Arc<Upstream>>,
    ) -> Primary {
        Primary {
            opening,
            options,
            upstream,
            replicas: Mutex::default(),
            next: AtomicU64::new(0),
            synced: Notify::new(),
            acknowledged: Notify::new(),
            counters: Counters::default(),
        }
    }

    /// The log was synced.
    pub fn synced(&self) {
        self.synced.notify_waiters();
    }

    /// Says in the stream that the node is there, as long as somebody hears it, until `stop` returns.
    pub async fn run(self: Arc<Self>, stop: impl Future<Output = ()>) {
        let mut due = tokio::time::interval(self.options.ping);
        due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return,
                _ = due.tick() => {}
            }
            if self.replicas().is_empty() {
                continue;
            }
            if let Err(error) = self.tell(Tell::Ping).await {
                tracing::warn!(%error, "replicas cannot be told that this node is there");
            }
        }
    }

    /// What was counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How many replicas there are, and how many bytes of the stream the one furthest behind lacks.
    pub fn lag(&self) -> (usize, u64) {
        let offset = self.offset();
        let replicas = self.replicas();
        let behind = replicas.iter().map(|r| offset.saturating_sub(r.offset())).max();
        (replicas.len(), behind.unwrap_or(0))
    }

    /// Adds what is told of replicas.
    pub fn gather(&self, out: &mut Families) {
        let (replicas, behind) = self.lag();
        out.gauge("ringwell_replicas", "Redis servers that follow this node.", replicas as f64);
        let help = "Bytes of the stream that the replica furthest behind has not said to have.";
        out.gauge("ringwell_replica_lag_bytes", help, behind as f64);
        let help = "How replicas began: full anew, partial where they were, refused the latter.";
        let family = out.family("ringwell_replica_syncs_total", Kind::Counter, help);
        let counters = &self.counters;
        for (kind, counter) in [
            ("full", &counters.full),
            ("partial", &counters.partial),
            ("refused", &counters.refused),
        ] {
            family.sample(&[("kind", kind)], counter.load(Ordering::Relaxed) as f64);
        }
    }

    /// How many replicas have all up to an offset.
    pub fn having(&self, offset: u64) -> usize {
        let has = |replica: &&Arc<Replica>| replica.is_online() && replica.offset() >= offset;
        self.replicas().iter().filter(has).count()
    }

    /// The offset that what was written by now ends at.
    pub fn offset(&self) -> u64 {
        self.stream().map_or(0, |stream| stream.offset)
    }

    fn stream(&self) -> Option<StreamState> {
        self.opening.store()?.stream()
    }

    /// The store, which is open where there is a replica.
    fn store(&self) -> std::io::Result<&Arc<Store>> {
        self.opening.store().ok_or_else(|| std::io::Error::other("the store is not open"))
    }

    /// Waits until so many replicas have all up to an offset; gives how many have when it ends.
    pub async fn wait_for(&self, wanted: usize, offset: u64, timeout: Option<Duration>) -> usize {
        let enough = async {
            let mut asked = false;
            loop {
                let acknowledged = self.acknowledged.notified();
                tokio::pin!(acknowledged);
                acknowledged.as_mut().enable();
                if self.having(offset) >= wanted {
                    return;
                }
                if !asked && !self.replicas().is_empty() {
                    asked = true;
                    // Where this fails they say it by themselves, once a second.
                    if let Err(error) = self.tell(Tell::Ask).await {
                        tracing::debug!(%error, "replicas cannot be asked how far they are");
                    }
                }
                acknowledged.await;
            }
        };
        match timeout {
            Some(timeout) => drop(tokio::time::timeout(timeout, enough).await),
            None => enough.await,
        }
        self.having(offset)
    }

    async fn tell(&self, what: Tell) -> Result<(), AppendError> {
        let closed = || AppendError::Log("the store is not open".to_owned());
        let store = Arc::clone(self.opening.store().ok_or_else(closed)?);
        let waits = Arc::clone(&store);
        let told = tokio::task::spawn_blocking(move || store.tell(what)).await;
        let position = told.map_err(|error| AppendError::Log(error.to_string()))??;
        waits.wait(position, Ack::Synced).await
    }

    fn join(&self, replica: Replica) -> (u64, Arc<Replica>) {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let replica = Arc::new(replica);
        self.lock().insert(id, Arc::clone(&replica));
        (id, replica)
    }

    fn leave(&self, id: u64) {
        self.lock().remove(&id);
        self.acknowledged.notify_waiters();
    }

    fn replicas(&self) -> Vec<Arc<Replica>> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Replica>>> {
        self.replicas.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What INFO says of replication; `nobody` names the stream while nobody was ever fed.
    pub fn info(&self, nobody: &str, now: i64) -> Vec<String> {
        let replicas = self.replicas();
        let mut lines = match &self.upstream {
            Some(upstream) => upstream.info(now),
            None => vec!["role:master".to_owned()],
        };
        lines.push(format!("connected_slaves:{}", replicas.len()));
        for (i, replica) in replicas.iter().enumerate() {
            let state = if replica.is_online() { "online" } else { "send_bulk" };
            lines.push(format!(
                "slave{i}:ip={},port={},state={state},offset={},lag={}",
                replica.address,
                replica.port,
                replica.offset(),
                replica.lag(now)
            ));
        }
        lines.push("master_failover_state:no-failover".to_owned());
        let stream = self.stream();
        let name = stream.map_or_else(|| nobody.to_owned(), |stream| hex(&stream.name));
        lines.push(format!("master_replid:{name}"));
        let before = stream.and_then(|stream| stream.before);
        lines.push(format!("master_replid2:{}", hex(&before.map_or([0; 20], |(name, _)| name))));
        lines.push(format!("master_repl_offset:{}", stream.map_or(0, |stream| stream.offset)));
        let second = before.map_or(-1, |(_, reach)| i64::try_from(reach + 1).unwrap_or(i64::MAX));
        lines.push(format!("second_repl_offset:{second}"));
        lines.extend(backlog(stream));
        lines
    }

    /// Whom this node follows itself.
    pub fn upstream(&self) -> Option<&Arc<Upstream>> {
        self.upstream.as_ref()
    }

    /// Address, port and offset of every replica, as ROLE gives them.
    pub fn role(&self) -> (u64, Vec<(String, u16, u64)>) {
        let one = |r: &Arc<Replica>| (r.address.to_string(), r.port, r.offset());
        (self.offset(), self.replicas().iter().map(one).collect())
    }
}

/// What can be read again, in INFO's words.
fn backlog(stream: Option<StreamState>) -> [String; 4] {
    let (first, length) = stream.map_or((0, 0), |s| (s.first + 1, s.offset - s.first));
    [
        format!("repl_backlog_active:{}", u8::from(stream.is_some())),
        format!("repl_backlog_size:{}", length.max(1 << 20)),
        format!("repl_backlog_first_byte_offset:{first}"),
        format!("repl_backlog_histlen:{length}"),
    ]
}

impl Replica {
    fn is_online(&self) -> bool {
        self.online.load(Ordering::Acquire)
    }

    fn offset(&self) -> u64 {
        self.offset.load(Ordering::Acquire)
    }

    /// It said something, or took something.
    fn hear(&self) {
        self.heard.store(crate::clock::now_ms(), Ordering::Relaxed);
    }

    /// Seconds since it last said something.
    fn lag(&self, now: i64) -> i64 {
        (now - self.heard.load(Ordering::Relaxed)).max(0) / 1000
    }
}

/// A name of the stream as Redis writes it.
pub(crate) fn hex(name: &Identity) -> String {
    let mut text = String::with_capacity(name.len() * 2);
    for byte in name {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// A name as Redis writes it, read.
pub(crate) fn unhex(text: &[u8]) -> Option<Identity> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.len() == 40 && text.is_ascii())?;
    let mut name = Identity::default();
    for (byte, at) in name.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(name)
}
