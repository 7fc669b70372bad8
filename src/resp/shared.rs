//! What all connections share: options, counters, the list of clients.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use ringwell_storage::keyspace::command::find;
use ringwell_storage::keyspace::{Extract, Looks, Reply, Request};
use ringwell_storage::store::{Ack, Executed, Store, Transaction};

use super::acl::{User, Users};
use super::commands::Settings;
use super::hub::{Hub, Mailbox};
use super::notify::Notifier;
use super::nudge::{Nudge, Wanted};
use super::parse::Limits;
use super::saves::Saves;
use super::slowlog::{Latency, SlowLog};
use super::tally::{Rates, Tally};
use super::tracking::Tracking;
use super::waiting::Waiters;
use super::write::Protocol;
use crate::collect::process::Usage;
use crate::opening::Opening;
use crate::replication::Primary;
use crate::tls::Files;

/// As Redis says it.
pub(super) const LOADING: &str = "LOADING Redis is loading the dataset in memory";

/// A function that tells something about the node.
pub type Gauge<T> = Arc<dyn Fn() -> T + Send + Sync>;

/// How the Redis face behaves.
#[derive(Clone)]
pub struct RespOptions {
    /// What AUTH must give; `None` = everybody is let in.
    pub secret: Option<Vec<u8>>,
    /// How many connections there may be.
    pub max_connections: usize,
    /// What one request may be.
    pub limits: Limits,
    /// Bytes that may wait for one connection: replies to a pipeline, and published messages.
    pub output_limit: usize,
    /// When a write is acknowledged.
    pub ack: Ack,
    /// Milliseconds since 1970.
    pub now: Gauge<i64>,
    /// Whether DEBUG may be called.
    pub debug: bool,
    /// What the process uses.
    pub usage: Gauge<Usage>,
    /// Who hears what; the node keeps the other end to publish and listen itself.
    pub hub: Arc<Hub>,
    /// What CONFIG SET has set; the node keeps the other end for what it does itself.
    pub settings: Arc<Settings>,
    /// What is counted; the node keeps the other end to show it.
    pub counters: Arc<Counters>,
    /// Whether clients may only read, because the node follows another.
    pub read_only: bool,
    /// Who follows this node; the node keeps the other end to tell it of syncs.
    pub primary: Option<Arc<Primary>>,
    /// Where it answers with TLS, for who asks.
    pub tls: Option<TlsPort>,
}

/// Where the face answers with TLS, and what it shows there.
#[derive(Clone, Debug)]
pub struct TlsPort {
    /// The port.
    pub port: u16,
    /// Certificates and key.
    pub files: Files,
}

impl Default for RespOptions {
    fn default() -> RespOptions {
        RespOptions {
            secret: None,
            max_connections: 10_000,
            limits: Limits::default(),
            output_limit: 32 << 20,
            ack: Ack::Written,
            now: Arc::new(crate::clock::now_ms),
            debug: false,
            usage: Arc::new(Usage::default),
            hub: Arc::default(),
            settings: Arc::default(),
            counters: Arc::default(),
            read_only: false,
            primary: None,
            tls: None,
        }
    }
}

/// What the Redis face counted.
#[derive(Debug)]
pub struct Counters {
    /// Connections accepted.
    pub connections: AtomicU64,
    /// Connections refused because there were too many.
    pub refused: AtomicU64,
    /// Connections there are.
    pub connected: AtomicU64,
    /// Bytes read.
    pub bytes_in: AtomicU64,
    /// Bytes written.
    pub bytes_out: AtomicU64,
    /// Commands answered with an error.
    pub errors: AtomicU64,
    /// Connections ended because what they sent is no request.
    pub protocol_errors: AtomicU64,
    /// Connections ended because they spoke HTTP.
    pub http: AtomicU64,
    /// Connections ended because they did not read their messages.
    pub slow_subscribers: AtomicU64,
    /// Messages published.
    pub published: AtomicU64,
    /// Samples that a command implied and the store refused.
    pub derived_refused: AtomicU64,
    /// What is counted of every command.
    pub(super) tally: Tally,
}

impl Default for Counters {
    fn default() -> Counters {
        Counters {
            connections: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            connected: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            protocol_errors: AtomicU64::new(0),
            http: AtomicU64::new(0),
            slow_subscribers: AtomicU64::new(0),
            published: AtomicU64::new(0),
            derived_refused: AtomicU64::new(0),
            tally: Tally::default(),
        }
    }
}

impl Counters {
    /// How often each command was called, by name.
    pub fn commands(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.tally.counted().map(|counted| (counted.name, counted.histogram.calls()))
    }

    /// Forgets what CONFIG RESETSTAT is to forget.
    pub(super) fn reset(&self) {
        self.tally.reset();
        let counters =
            [&self.errors, &self.connections, &self.refused, &self.bytes_in, &self.bytes_out];
        counters.iter().for_each(|counter| counter.store(0, Ordering::Relaxed));
    }
}

/// What CLIENT LIST says of a connection.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) id: u64,
    pub(super) peer: SocketAddr,
    pub(super) local: SocketAddr,
    pub(super) since: i64,
    pub(super) name: String,
    pub(super) library: (String, String),
    pub(super) db: u8,
    pub(super) protocol: Protocol,
    /// Who it is.
    pub(super) user: Arc<User>,
    pub(super) channels: usize,
    pub(super) patterns: usize,
    pub(super) shards: usize,
    /// Whether it waits for a key, and whether it hears all commands.
    pub(super) blocked: bool,
    pub(super) monitor: bool,
    /// Whether it is told which keys change, and where its messages wait.
    pub(super) tracking: bool,
    pub(super) mailbox: Option<Arc<Mailbox>>,
    pub(super) no_evict: bool,
    /// Tells it from outside what is wanted of it.
    pub(super) nudge: Arc<Nudge>,
    /// What changes with every request.
    pub(super) live: Arc<Live>,
}

/// What changes with every request of a connection, told to others without a lock.
#[derive(Debug)]
pub(super) struct Live {
    /// When it last sent something.
    pub(super) active: AtomicI64,
    /// The place of its last command among the facts.
    pub(super) command: AtomicUsize,
    /// Bytes received and not yet done with, and room for more.
    pub(super) input: AtomicUsize,
    pub(super) room: AtomicUsize,
    /// Commands waiting for EXEC, -1 outside a transaction, and their bytes.
    pub(super) queued: AtomicI64,
    pub(super) queued_bytes: AtomicUsize,
}

impl Live {
    fn new(now: i64) -> Live {
        Live {
            active: AtomicI64::new(now),
            command: AtomicUsize::new(usize::MAX),
            input: AtomicUsize::new(0),
            room: AtomicUsize::new(0),
            queued: AtomicI64::new(-1),
            queued_bytes: AtomicUsize::new(0),
        }
    }
}

/// Until when CLIENT PAUSE holds commands back, and whether all of them.
#[derive(Default)]
pub(super) struct Pause {
    /// Whether it does at all, which every command asks.
    holds: AtomicBool,
    until: Mutex<Option<(i64, bool)>>,
}

impl Pause {
    pub(super) fn set(&self, until: Option<(i64, bool)>) {
        let mut held = self.lock();
        *held = until;
        self.holds.store(until.is_some(), Ordering::Release);
    }

    fn get(&self) -> Option<(i64, bool)> {
        if self.holds.load(Ordering::Acquire) { *self.lock() } else { None }
    }

    /// It is over, unless a new one has begun.
    fn end(&self, over: i64) {
        let mut held = self.lock();
        if held.is_some_and(|(until, _)| until <= over) {
            *held = None;
            self.holds.store(false, Ordering::Release);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<(i64, bool)>> {
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What all connections share.
pub(super) struct Shared {
    pub(super) opening: Arc<Opening>,
    pub(super) keymap: Arc<dyn Extract>,
    pub(super) options: RespOptions,
    pub(super) hub: Arc<Hub>,
    pub(super) counters: Arc<Counters>,
    pub(super) started: i64,
    pub(super) port: u16,
    pub(super) run_id: String,
    /// Who follows this node.
    pub(super) primary: Arc<Primary>,
    /// Who waits for a key.
    pub(super) waiters: Waiters,
    /// What CONFIG SET has set.
    pub(super) settings: Arc<Settings>,
    /// Keys looked at when CONFIG RESETSTAT was called.
    looks_before: Mutex<Looks>,
    /// What saves are under way.
    pub(super) saves: Saves,
    /// What passed in the last second.
    pub(super) rates: Rates,
    /// Commands that took long, and events that did.
    pub(super) slowlog: SlowLog,
    pub(super) latency: Latency,
    /// What CLIENT PAUSE holds back.
    pub(super) pause: Pause,
    /// A transaction holds it alone, every other data command together with others.
    pub(super) exclusive: RwLock<()>,
    /// Who may do what.
    pub(super) users: Users,
    /// Who is told which keys change.
    pub(super) tracking: Tracking,
    clients: Mutex<BTreeMap<u64, Client>>,
    next_id: AtomicU64,
}

impl Shared {
    pub(super) fn new(
        opening: Arc<Opening>,
        keymap: Arc<dyn Extract>,
        options: RespOptions,
        port: u16,
    ) -> Shared {
        let started = (options.now)();
        let users = Users::new(options.secret.as_deref());
        if let Some(store) = opening.store() {
            users.load(store, options.secret.as_deref());
        }
        let primary = options.primary.clone();
        let primary = primary.unwrap_or_else(|| {
            Arc::new(Primary::new(Arc::clone(&opening), Default::default(), None))
        });
        Shared {
            opening,
            keymap,
            hub: Arc::clone(&options.hub),
            counters: Arc::clone(&options.counters),
            settings: Arc::clone(&options.settings),
            options,
            started,
            port,
            run_id: run_id(started, port),
            primary,
            waiters: Waiters::default(),
            looks_before: Mutex::default(),
            saves: Saves::new(started),
            rates: Rates::default(),
            slowlog: SlowLog::default(),
            latency: Latency::default(),
            pause: Pause::default(),
            exclusive: RwLock::new(()),
            users,
            tracking: Tracking::default(),
            clients: Mutex::default(),
            next_id: AtomicU64::new(1),
        }
    }

    /// The store; nothing while its log is replayed.
    pub(super) fn store(&self) -> Option<&Arc<Store>> {
        self.opening.store()
    }

    /// Whether who comes now is let in for good without a password. Who `default` is stands in the store, so
    /// before that is open nobody is.
    pub(super) fn lets_everybody_in(&self) -> bool {
        self.users.is_open() && self.store().is_some()
    }

    pub(super) fn now(&self) -> i64 {
        (self.options.now)()
    }

    /// Why a command is refused where the node follows another: only that one changes keys.
    pub(super) fn refuses(&self, writes: impl FnOnce() -> bool) -> Option<Reply> {
        let refusal = "READONLY You can't write against a read only replica.";
        (self.options.read_only && writes()).then(|| Reply::Error(refusal.into()))
    }

    /// Runs a data command in the store, within a transaction if one runs, and tells who wants to hear
    /// of it. `by` is the connection that sent it, if one did.
    pub(super) fn execute(
        &self,
        by: Option<u64>,
        running: Option<&Transaction>,
        db: u8,
        args: &[&[u8]],
    ) -> Executed {
        let name = args.first().copied().unwrap_or_default();
        if let Some(reply) = self.refuses(|| find(name).is_some_and(|command| command.writes)) {
            return unchanged(reply);
        }
        let Some(store) = self.store() else { return unchanged(Reply::Error(LOADING.into())) };
        let request = Request { db, args };
        let notifier = Notifier::new(&*self.keymap, &self.settings);
        let executed = match running {
            Some(running) => running.execute(&request, self.now(), &notifier),
            None => store.execute(&request, self.now(), &notifier),
        };
        self.told(by, args, &notifier, executed)
    }

    /// Runs a command of a Redis that this node follows.
    pub(super) fn execute_following(
        &self,
        running: Option<&Transaction>,
        db: u8,
        args: &[&[u8]],
    ) -> Executed {
        let Some(store) = self.store() else { return unchanged(Reply::Error(LOADING.into())) };
        let notifier = Notifier::new(&*self.keymap, &self.settings);
        let request = Request { db, args };
        let executed = match running {
            Some(running) => running.execute_following(&request, self.now(), &notifier),
            None => store.execute_following(&request, self.now(), &notifier),
        };
        self.told(None, args, &notifier, executed)
    }

    fn told(
        &self,
        by: Option<u64>,
        args: &[&[u8]],
        notifier: &Notifier<'_>,
        executed: Executed,
    ) -> Executed {
        notifier.publish(&self.hub);
        if executed.position.is_some() && self.tracking.is_active() {
            self.tell_changed(by, args);
        }
        if executed.derived_refused > 0 {
            let counter = &self.counters.derived_refused;
            counter.fetch_add(executed.derived_refused, Ordering::Relaxed);
        }
        executed
    }

    /// Keys looked at since CONFIG RESETSTAT.
    pub(super) fn looks(&self) -> Looks {
        let (now, before) = (self.looks_ever(), *self.looks_before());
        Looks {
            hits: now.hits.saturating_sub(before.hits),
            misses: now.misses.saturating_sub(before.misses),
            expired: now.expired.saturating_sub(before.expired),
        }
    }

    /// Counts everything from zero again.
    pub(super) fn reset_counters(&self) {
        self.counters.reset();
        *self.looks_before() = self.looks_ever();
    }

    fn looks_ever(&self) -> Looks {
        self.store().map(|store| store.looks()).unwrap_or_default()
    }

    fn looks_before(&self) -> MutexGuard<'_, Looks> {
        self.looks_before.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn join(&self, peer: SocketAddr, local: SocketAddr) -> Client {
        let client = Client {
            id: self.next_id.fetch_add(1, Ordering::Relaxed),
            peer,
            local,
            since: self.now(),
            name: String::new(),
            library: Default::default(),
            db: 0,
            protocol: Protocol::Resp2,
            user: Arc::clone(self.users.default()),
            channels: 0,
            patterns: 0,
            shards: 0,
            blocked: false,
            monitor: false,
            tracking: false,
            mailbox: None,
            no_evict: false,
            nudge: Arc::default(),
            live: Arc::new(Live::new(self.now())),
        };
        self.lock_clients().insert(client.id, client.clone());
        self.counters.connected.fetch_add(1, Ordering::Relaxed);
        client
    }

    /// Shows others what changed.
    pub(super) fn update(&self, client: &Client) {
        // One that was ended from outside is not listed again.
        if let Some(known) = self.lock_clients().get_mut(&client.id) {
            known.clone_from(client);
        }
    }

    pub(super) fn leave(&self, id: u64) {
        self.lock_clients().remove(&id);
        self.counters.connected.fetch_sub(1, Ordering::Relaxed);
    }

    /// Ends a connection from outside; from now on nobody sees it.
    pub(super) fn kill(&self, client: &Client) {
        self.lock_clients().remove(&client.id);
        client.nudge.tell(Wanted::End);
    }

    /// Tells connections that hold buffers and have sent nothing for so long to give them back. Half a request
    /// waits for its other half.
    pub(super) fn let_rest(&self, idle: Duration) {
        let now = self.now();
        for client in self.lock_clients().values() {
            let live = &client.live;
            let silent = now.saturating_sub(live.active.load(Ordering::Relaxed));
            let empty = live.input.load(Ordering::Relaxed) == 0;
            let holds = live.room.load(Ordering::Relaxed) > 0;
            if empty && holds && silent >= idle.as_millis() as i64 {
                client.nudge.tell(Wanted::Rest);
            }
        }
    }

    /// How long CLIENT PAUSE still holds a command back.
    pub(super) fn held_back(&self, name: &[u8]) -> Option<Duration> {
        let (until, all) = self.pause.get()?;
        let left = until - self.now();
        if left <= 0 {
            self.pause.end(until);
            return None;
        }
        let writes = find(name).is_some_and(|command| command.writes)
            || [&b"publish"[..], b"spublish", b"exec"].iter().any(|n| name.eq_ignore_ascii_case(n));
        let client = name.eq_ignore_ascii_case(b"client");
        // Looked at again and again, so that UNPAUSE is heard soon.
        let step = Duration::from_millis(u64::try_from(left.min(10)).unwrap_or(10));
        (writes || all && !client).then_some(step)
    }

    pub(super) fn clients(&self, only: Option<&HashSet<u64>>) -> Vec<Client> {
        let clients = self.lock_clients();
        let wanted = clients.values().filter(|c| only.is_none_or(|only| only.contains(&c.id)));
        wanted.cloned().collect()
    }

    /// The connection of a number.
    pub(super) fn client(&self, id: u64) -> Option<Client> {
        self.lock_clients().get(&id).cloned()
    }

    fn lock_clients(&self) -> MutexGuard<'_, BTreeMap<u64, Client>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What became of a command that the store did not see.
fn unchanged(reply: Reply) -> Executed {
    Executed { reply, position: None, derived_refused: 0, offset: 0 }
}

/// Forty hexadecimal digits that differ from start to start.
fn run_id(started: i64, port: u16) -> String {
    use std::hash::{BuildHasher, RandomState};
    let random = RandomState::new();
    let part = |i: u8| random.hash_one((started, port, i));
    format!("{:016x}{:016x}{:08x}", part(0), part(1), part(2) as u32)
}
