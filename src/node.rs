//! The life of a node.
//!
//! Start: the disk and its lock; the listeners; the store, which replays its log while the faces say so
//! and let writes and queries wait; the threads that sync and maintain; the collectors; ready. Stop is the
//! reverse: no new connections, what is in flight finishes, the collectors and threads end, the log is
//! synced, a checkpoint is left.

mod faces;
mod store;

use std::io::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use ringwell_query::{Engine, EngineOptions};
use ringwell_storage::disk::OsDisk;
use ringwell_storage::store::Store;
use tokio::runtime::Runtime;

use crate::blocking::Pool;
use crate::collect::{Collector, process};
use crate::config::{Config, Sync};
use crate::http::{self, About, Asker, DemoSwitch, Gate, Handles, Journal, Server};
use crate::ingest::Ingest;
use crate::ingest::ack_of;
use crate::ingest::events::{Events, Waiting};
use crate::ingest::keymap::{self, Keymap, Rules, keep};
use crate::ingest::recent::RecentKeys;
use crate::mcp::Tools;
use crate::mirror::redis::{self, Mirror};
use crate::opening::Opening;
use crate::replication::{Following, Primary, Upstream};
use crate::resp::Face;
use crate::shutdown::{self, Shutdown, Signals, Trigger};
use crate::{clock, demo, resp, self_metrics, telemetry, tls};

use faces::Faces;
pub use faces::acceptors;

/// The store is maintained so often.
const TICK: Duration = Duration::from_secs(1);
/// Every demo fleet is the same one.
const DEMO_SEED: u64 = 1;
/// Exports at a time.
const EXPORTS: usize = 2;
/// Threads look at the stop signal at least so often.
const GLANCE: Duration = Duration::from_millis(100);

/// Runs a node until it is told to stop.
pub fn run(config: Config) -> anyhow::Result<()> {
    telemetry::start(&config.log_level, config.log_json).map_err(anyhow::Error::msg)?;
    let config = Arc::new(config);
    let disk = store::take_disk(&config)?;
    let runtime = Runtime::new().context("cannot start the async runtime")?;
    let (trigger, shutdown) = shutdown::channel();
    let served = live(&runtime, &config, disk, &trigger, &shutdown);
    trigger.stop();
    // What queries are still running is not waited for; they only read. Nor is a replay.
    runtime.shutdown_timeout(Duration::from_secs(1));
    if let Some(open) = served? {
        open.close()?;
        tracing::info!("stopped; everything is on the disk");
    }
    Ok(())
}

/// Opens the faces, then the store behind them, and serves until the stop. Nothing comes of it if the stop
/// came while the log was replayed: then nothing was written.
fn live(
    runtime: &Runtime,
    config: &Arc<Config>,
    disk: OsDisk,
    trigger: &Trigger,
    shutdown: &Shutdown,
) -> anyhow::Result<Option<Open>> {
    let _inside = runtime.enter();
    let faces = Faces::bind(config)?;
    let about = faces.about()?;
    // Before the world hears of the node: from now on a signal is a graceful stop.
    let mut signals = Signals::take().context("cannot take over signals")?;
    let front = Front::new(config, about, shutdown);
    say_where(&front.gate.about);
    let serving = front.serve(faces, shutdown);
    let (at, progress) = (Arc::clone(config), Arc::clone(front.opening.progress()));
    let opened = tokio::task::spawn_blocking(move || store::open(&at, disk, progress));
    let open = runtime.block_on(async {
        tokio::select! {
            opened = opened => Some(opened),
            signal = signals.asked() => {
                tracing::info!(signal, "stopping before the log was replayed");
                None
            }
        }
    });
    let open = match open {
        None => None,
        Some(store) => {
            Some(Open::start(store.context("opening the store failed")??, front, shutdown)?)
        }
    };
    if open.is_some() {
        say_ready();
        let signal = runtime.block_on(signals.asked());
        tracing::info!(signal, "stopping");
    }
    trigger.stop();
    let drained = runtime.block_on(serving.drained());
    match drained {
        Ok(()) => Ok(open),
        Err(error) => {
            // What was acknowledged is on the disk as its mode says; the rest is as after a kill.
            open.map(Open::close).transpose()?;
            Err(error)
        }
    }
}

/// Syncs when someone waits for it, and as often as the sync modes say.
fn committer(
    config: &Config,
    store: &Arc<Store>,
    primary: &Arc<Primary>,
    end: Shutdown,
) -> impl FnOnce() + Send + 'static {
    let every = [config.samples_sync, config.keys_sync]
        .into_iter()
        .filter_map(|mode| match mode {
            Sync::Every(every) => Some(every),
            Sync::Commit | Sync::Off => None,
        })
        .min();
    let (store, primary) = (Arc::clone(store), Arc::clone(primary));
    move || {
        let mut last = Instant::now();
        let mut failed = false;
        while !end.is_raised() {
            let due =
                every.map_or(GLANCE, |every| every.saturating_sub(last.elapsed()).min(GLANCE));
            let someone_waits = store.park_for_sync(due);
            let is_due = every.is_some_and(|every| last.elapsed() >= every);
            if !someone_waits && !is_due {
                continue;
            }
            last = Instant::now();
            match store.sync() {
                Ok(_) => {
                    failed = false;
                    primary.synced();
                }
                Err(error) if !failed => {
                    failed = true;
                    tracing::error!(%error, "the log cannot be synced; nothing is acknowledged");
                }
                // It stays said; do not spin while waiters come and are refused.
                Err(_) => std::thread::sleep(GLANCE),
            }
        }
    }
}

/// Repeats state that holds, and does what maintenance is due. Keys expire by the Redis face, which tells
/// of it.
fn maintenance(
    store: &Arc<Store>,
    keymap: &Arc<Keymap>,
    ingest: &Arc<Ingest>,
    end: Shutdown,
) -> impl FnOnce() + Send + 'static {
    let (store, keymap, ingest) = (Arc::clone(store), Arc::clone(keymap), Arc::clone(ingest));
    move || {
        let mut due = Instant::now() + TICK;
        while !end.is_raised() {
            let now = Instant::now();
            if now < due {
                std::thread::sleep(GLANCE.min(due - now));
                continue;
            }
            due = now + TICK;
            if let Err(error) = store.hold(clock::now_ms(), keymap.as_ref()) {
                tracing::warn!(%error, "held state could not be written");
            }
            crate::memory::in_passing("maintenance", || maintain(&store, due, &end));
            ingest.buffers.trim();
        }
    }
}

/// Does maintenance step by step until nothing is due, or the next tick is.
fn maintain(store: &Store, until: Instant, end: &Shutdown) {
    while !end.is_raised() && Instant::now() < until {
        match store.maintain(clock::now_ms()) {
            Ok(done) if done.more => {}
            Ok(_) => break,
            Err(error) => {
                tracing::error!(%error, "maintenance failed and is tried again");
                break;
            }
        }
    }
}

/// What answers from the start on: the faces, and what of the node needs no store.
struct Front {
    config: Arc<Config>,
    opening: Arc<Opening>,
    gate: Arc<Gate>,
    face: Face,
    recent: Arc<RecentKeys>,
    keymap: Arc<Keymap>,
    counters: Arc<resp::Counters>,
    primary: Arc<Primary>,
    events: Arc<Events>,
    overheard: Waiting,
}

impl Front {
    fn new(config: &Arc<Config>, about: About, shutdown: &Shutdown) -> Front {
        let opening = Arc::<Opening>::default();
        let recent = Arc::new(RecentKeys::default());
        let keymap = Arc::new(Keymap::with_options(Arc::clone(&recent), keymap_options(config)));
        let counters = Arc::default();
        let upstream = config.replica_of.clone().map(|source| Arc::new(Upstream::new(source)));
        let primary = Primary::new(Arc::clone(&opening), config.replication.clone(), upstream);
        let primary = Arc::new(primary);
        let options = resp::RespOptions {
            primary: Some(Arc::clone(&primary)),
            tls: about
                .redis_tls
                .zip(config.redis_tls.as_ref())
                .map(|(at, tls)| resp::TlsPort { port: at.port(), files: tls.files.clone() }),
            ..resp_options(config, Arc::clone(&counters))
        };
        let hub = Arc::clone(&options.hub);
        let extract = Arc::<Keymap>::clone(&keymap);
        let face = Face::new(Arc::clone(&opening), extract, options, about.redis.port());
        let (events, overheard) = Events::new(face.inside(), config.events.clone());
        let overhears = Arc::clone(&events);
        hub.overhear(move |channel, message| overhears.overhear(channel, message));
        let gate = Arc::new(Gate::new(config, about, &opening, shutdown));
        let config = Arc::clone(config);
        Front { config, opening, gate, face, recent, keymap, counters, primary, events, overheard }
    }

    /// Serves both faces until the stop.
    fn serve(&self, faces: Faces, shutdown: &Shutdown) -> Serving {
        let acceptors = faces.acceptors();
        if !acceptors.is_empty() {
            let (told, stop) = (acceptors.clone(), shutdown.clone());
            self.gate.registry.register(move |out| tls::gather(&told, out));
            tokio::spawn(tls::watch(acceptors, async move { stop.raised().await }));
        }
        let Faces { http, https, redis, rediss } = faces;
        let stop = shutdown.clone();
        let http = Server::new(http, https, &self.gate).serve(shutdown.clone());
        let redis = self.face.clone().serve(redis, rediss, async move { stop.raised().await });
        Serving { http: tokio::spawn(http), redis: tokio::spawn(redis) }
    }
}

/// The faces at work.
struct Serving {
    http: tokio::task::JoinHandle<()>,
    redis: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Serving {
    /// Waits until what is in flight is answered.
    async fn drained(self) -> anyhow::Result<()> {
        let (http, redis) = tokio::join!(self.http, self.redis);
        http.context("the HTTP face failed")?;
        redis.context("the Redis face failed")?.context("the Redis face failed")
    }
}

/// An open store and the threads that work on it. They outlive the faces: requests in flight wait for the
/// log to be synced.
struct Open {
    store: Arc<Store>,
    threads: Threads,
    end: Trigger,
}

impl Open {
    /// Starts what needs the store, and lets in who waits for it.
    fn start(store: Arc<Store>, front: Front, shutdown: &Shutdown) -> anyhow::Result<Open> {
        let (end, threads_end) = shutdown::channel();
        let mut threads = Threads::default();
        let config = &front.config;
        threads
            .start("committer", committer(config, &store, &front.primary, threads_end.clone()))?;
        let handles = Arc::new(handles(&front, &store, shutdown));
        let work = maintenance(&store, &front.keymap, &handles.ingest, threads_end);
        threads.start("maintenance", work)?;
        self_metrics::register(&handles, &handles.keymap);
        tokio::spawn(keep::run(
            Arc::clone(&handles.keymap),
            front.face.inside(),
            Arc::clone(&store),
            shutdown.clone(),
        ));
        let tools = Tools::new(front.face.inside(), Arc::new(Asker(Arc::clone(&handles))));
        self_metrics::register_events(&handles, &front.events, &tools);
        if let Some(every) = config.collect {
            let collector = Collector::new(
                Arc::clone(&handles.registry),
                Arc::clone(&handles.ingest),
                handles.about.hostname.clone(),
                instance(&handles.about),
            );
            let shutdown = shutdown.clone();
            threads.start("collector", move || collector.run(every, || shutdown.is_raised()))?;
        }
        front.face.take_users(&store);
        front.opening.open(Arc::clone(&store));
        front.gate.open(http::routes(&handles, tools.route(config.limits.body)));
        // What was published while the log was replayed waits here.
        tokio::spawn(Arc::clone(&front.events).run(front.overheard, shutdown.clone()));
        follow(&front.primary, config, &handles, shutdown);
        if config.demo {
            tokio::spawn(demo_fleet(&handles, shutdown.clone()));
        }
        Ok(Open { store, threads, end })
    }

    /// Ends the threads, syncs the log and leaves a checkpoint.
    fn close(self) -> anyhow::Result<()> {
        self.end.stop();
        self.store.unpark();
        self.threads.join();
        self.store.close(clock::now_ms()).context("closing the store")
    }
}

/// Starts what other servers are fed by.
fn follow(primary: &Arc<Primary>, config: &Config, handles: &Handles, shutdown: &Shutdown) {
    let stop = shutdown.clone();
    tokio::spawn(Arc::clone(primary).run(async move { stop.raised().await }));
    let followed = Arc::clone(primary);
    handles.registry.register(move |out| followed.gather(out));
    if let Some(upstream) = primary.upstream() {
        let file = config.data_dir.join("incoming.rdb");
        let (inside, store) = (Arc::clone(&handles.inside), Arc::clone(&handles.store));
        // As Redis does: where it can be reached in the same way.
        let about = &handles.about;
        let secured = about.redis_tls.filter(|_| upstream.is_secured());
        let port = secured.unwrap_or(about.redis).port();
        let longest = config.limits.source_command;
        let following = Following::new(Arc::clone(upstream), port, inside, store, file, longest);
        let following = Arc::new(following);
        let told = Arc::clone(upstream);
        handles.registry.register(move |out| told.gather(out));
        let stop = shutdown.clone();
        tokio::spawn(following.run(async move { stop.raised().await }));
    }
    for mirror in &handles.mirrors {
        let told = Arc::clone(mirror);
        handles.registry.register(move |out| told.gather(out));
        let stop = shutdown.clone();
        tokio::spawn(Arc::clone(mirror).run(async move { stop.raised().await }));
    }
}

/// How the node's own series name it: an address of all interfaces would name nobody.
fn instance(about: &About) -> String {
    if about.http.ip().is_unspecified() {
        format!("{}:{}", about.hostname, about.http.port())
    } else {
        about.http.to_string()
    }
}

/// Tells whoever started the node where it answers. That nobody reads it is no reason to stop.
fn say_where(about: &About) {
    let secured = [
        about.http_tls.map(|address| format!("http listening on https://{address}")),
        about.redis_tls.map(|address| format!("redis listening on rediss://{address}")),
    ];
    let plain = [
        format!("http listening on http://{}", about.http),
        format!("redis listening on redis://{}", about.redis),
    ];
    let lines: Vec<String> = plain.into_iter().chain(secured.into_iter().flatten()).collect();
    say(&lines.join("\n"));
}

/// Tells that everything is served.
fn say_ready() {
    say("ready");
}

fn say(lines: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{lines}");
    let _ = out.flush();
}

/// The simulated fleet, which pushes to the node's own port until it is switched off.
fn demo_fleet(handles: &Arc<Handles>, shutdown: Shutdown) -> impl Future<Output = ()> + use<> {
    let mut address = handles.about.redis;
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    let options = demo::Options {
        address,
        secret: handles.config.secret.as_ref().map(|secret| secret.bytes().to_vec()),
        seed: DEMO_SEED,
        now: Arc::new(clock::now_ms),
    };
    let switch = Arc::clone(&handles.demo);
    demo::run(options, async move {
        tokio::select! {
            () = switch.stopped() => {}
            () = shutdown.raised() => {}
        }
    })
}

fn keymap_options(config: &Config) -> keymap::Options {
    keymap::Options {
        rules: Rules::new(config.keymap_rules.clone()),
        max_future: millis(config.limits.max_future),
        ..keymap::Options::default()
    }
}

fn resp_options(config: &Config, counters: Arc<resp::Counters>) -> resp::RespOptions {
    let limits = &config.limits;
    resp::RespOptions {
        secret: config.secret.as_ref().map(|secret| secret.bytes().to_vec()),
        max_connections: limits.redis_connections,
        limits: resp::Limits {
            arguments: limits.redis_args,
            bulk: limits.redis_bulk,
            ..resp::Limits::default()
        },
        output_limit: limits.redis_output,
        debug: config.redis_debug,
        read_only: config.replica_of.is_some(),
        ack: ack_of(config.keys_sync),
        now: Arc::new(clock::now_ms),
        usage: Arc::new(process::Usage::now),
        counters,
        ..resp::RespOptions::default()
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn handles(front: &Front, store: &Arc<Store>, shutdown: &Shutdown) -> Handles {
    let Front { config, gate, .. } = front;
    let limits = &config.limits;
    for (name, reason) in &config.features.idle {
        tracing::info!(feature = name, "--enable-feature changes nothing: {reason}");
    }
    let path = config.data_dir.join("queries.active");
    // Pool and journal have the same size, and live queries come through the pool too.
    let journal = match Journal::open(&path, limits.query_concurrency) {
        Ok((journal, unfinished)) => {
            for query in unfinished {
                tracing::warn!(%query, "this query ran when the node last ended unexpectedly");
            }
            journal
        }
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "running queries are not journaled");
            Journal::none()
        }
    };
    let engine = EngineOptions {
        max_samples: limits.query_samples,
        delayed_name_removal: config.features.delayed_name_removal,
        start_timestamps: config.features.start_timestamps,
        ..EngineOptions::default()
    };
    let mirror = |options: &redis::Options| {
        Mirror::new(options.clone(), Arc::clone(store), Arc::clone(&front.keymap))
    };
    let mirrors = config.mirrors.iter().map(|options| Arc::new(mirror(options))).collect();
    Handles {
        mirrors,
        ingest: Arc::new(Ingest::new(Arc::clone(store), config.samples_sync, limits)),
        engine: Arc::new(Engine::new(engine)),
        pool: Arc::new(Pool::new(limits.query_concurrency, limits.query_queue)),
        exports: Arc::new(Pool::new(EXPORTS, limits.query_queue)),
        journal: Arc::new(journal),
        registry: Arc::clone(&gate.registry),
        demo: Arc::new(DemoSwitch::new(config.demo)),
        metrics: Arc::clone(&gate.metrics),
        redis: Arc::clone(&front.counters),
        keymap: Arc::clone(&front.keymap),
        inside: front.face.inside(),
        connections: Arc::clone(&gate.connections),
        config: Arc::clone(config),
        store: Arc::clone(store),
        shutdown: shutdown.clone(),
        recent: Arc::clone(&front.recent),
        about: gate.about.clone(),
    }
}

/// The node's own threads, ended in order.
#[derive(Default)]
struct Threads(Vec<(&'static str, JoinHandle<()>)>);

impl Threads {
    fn start(
        &mut self,
        name: &'static str,
        work: impl FnOnce() + Send + 'static,
    ) -> anyhow::Result<()> {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
        self.0.push((name, thread.with_context(|| format!("cannot start thread {name}"))?));
        Ok(())
    }

    fn join(self) {
        for (name, thread) in self.0 {
            if thread.join().is_err() {
                tracing::error!(name, "a thread panicked");
            }
        }
    }
}
