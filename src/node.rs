//! The life of a node.
//!
//! Start: the disk and its lock; the store, which replays its log; the threads that sync and
//! maintain; the collectors; the listeners; ready. Stop is the reverse: no new connections, what
//! is in flight finishes, the collectors and threads end, the log is synced, a checkpoint is left.

use std::io::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use ringwell_query::{Engine, EngineOptions};
use ringwell_storage::catalog::{Catalog, MemoryCatalog, SledCatalog};
use ringwell_storage::compaction::Retention;
use ringwell_storage::disk::OsDisk;
use ringwell_storage::store::{Options, Store, StoreLimits};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

use crate::blocking::Pool;
use crate::collect::{Collector, host, process};
use crate::config::{Config, Sync};
use crate::http::{About, Asker, DemoSwitch, Handles, Journal, Server};
use crate::ingest::Ingest;
use crate::ingest::ack_of;
use crate::ingest::events::Events;
use crate::ingest::keymap::{self, Keymap, Rules, keep};
use crate::ingest::recent::RecentKeys;
use crate::inside::Inside;
use crate::mcp::Tools;
use crate::resp::Face;
use crate::shutdown::{self, Shutdown, Signals, Trigger};
use crate::{clock, demo, listen, resp, self_metrics, telemetry};

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
    let store = open_store(&config)?;
    let runtime = Runtime::new().context("cannot start the async runtime")?;
    let (trigger, shutdown) = shutdown::channel();
    // The threads outlive the faces: requests in flight wait for the log to be synced.
    let (threads_trigger, threads_end) = shutdown::channel();
    let recent = Arc::new(RecentKeys::default());
    let keymap = Arc::new(Keymap::with_options(Arc::clone(&recent), keymap_options(&config)));

    let mut threads = Threads::default();
    threads.start("committer", committer(&config, &store, threads_end.clone()))?;
    threads.start("maintenance", maintenance(&store, &keymap, threads_end))?;
    let served =
        serve(&runtime, &config, &store, keymap, recent, &mut threads, &trigger, &shutdown);

    trigger.stop();
    threads_trigger.stop();
    // What queries are still running is not waited for; they only read.
    runtime.shutdown_timeout(Duration::from_secs(1));
    store.unpark();
    threads.join();
    store.close(clock::now_ms()).context("closing the store")?;
    if served.is_ok() {
        tracing::info!("stopped; everything is on the disk");
    }
    served
}

fn open_store(config: &Config) -> anyhow::Result<Arc<Store>> {
    let dir = &config.data_dir;
    let disk = OsDisk::open(dir).with_context(|| {
        format!(
            "cannot use the data directory {} (--data-dir); is another node running on it?",
            dir.display()
        )
    })?;
    let options = Options {
        retention: config.retention.map(millis),
        max_future: config.retention.map(|_| millis(config.limits.max_future)),
        limits: StoreLimits {
            series: config.limits.series,
            metric_series: config.limits.metric_series,
            label_values: config.limits.label_values,
            labels: config.limits.labels,
            name_bytes: config.limits.label_name,
            value_bytes: config.limits.label_value,
        },
        keep: Retention { bytes: config.retention_size, rules: config.retention_rules.clone() },
        exemplars: config.limits.exemplars,
        metadata_bytes: config.limits.metadata,
        min_free_disk: config.limits.min_free_disk,
        reserve_bytes: config.limits.disk_reserve,
        index_cache_bytes: config.limits.index_cache,
        ..Options::default()
    };
    let started = Instant::now();
    let store = Store::open_with(Arc::new(disk), open_catalog(dir), options, clock::now_ms())
        .with_context(|| format!("cannot open the store in {}", dir.display()))?;
    report(&store, dir, started.elapsed());
    Ok(Arc::new(store))
}

/// The catalogue; one in memory where the directory cannot be used, for no answer depends on it.
fn open_catalog(dir: &Path) -> Box<dyn Catalog> {
    match SledCatalog::open(&dir.join("catalog")) {
        Ok(catalog) => Box::new(catalog),
        Err(error) => {
            tracing::warn!(%error, "the catalogue is kept in memory");
            Box::<MemoryCatalog>::default()
        }
    }
}

/// Says what opening found, loudly where something was lost or refused.
fn report(store: &Store, dir: &Path, took: Duration) {
    let found = store.report();
    tracing::info!(
        dir = %dir.display(), records = found.records, bytes = found.bytes,
        millis = took.as_millis() as u64, "store open, log replayed"
    );
    if let Some((at, reason)) = &found.torn {
        tracing::warn!(at, reason, "the log's torn end was cut; nothing synced lay there");
    }
    if let Some(what) = &found.mended {
        tracing::warn!(what, "the other copy was taken, and both are whole again");
    }
    if found.lost_samples > 0 {
        let samples = found.lost_samples;
        tracing::error!(
            samples,
            "samples of the log cannot be read: a repair lost what they lean on"
        );
    }
    for reason in &found.refused_blocks {
        tracing::error!(reason, "a block is damaged and set aside; the rest is served");
    }
}

/// Syncs when someone waits for it, and as often as the sync modes say.
fn committer(config: &Config, store: &Arc<Store>, end: Shutdown) -> impl FnOnce() + Send + 'static {
    let every = [config.samples_sync, config.keys_sync]
        .into_iter()
        .filter_map(|mode| match mode {
            Sync::Every(every) => Some(every),
            Sync::Commit | Sync::Off => None,
        })
        .min();
    let store = Arc::clone(store);
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
                Ok(_) => failed = false,
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

/// Expires keys, repeats state that holds, and does what maintenance is due.
fn maintenance(
    store: &Arc<Store>,
    keymap: &Arc<Keymap>,
    end: Shutdown,
) -> impl FnOnce() + Send + 'static {
    let (store, keymap) = (Arc::clone(store), Arc::clone(keymap));
    move || {
        let mut due = Instant::now() + TICK;
        while !end.is_raised() {
            let now = Instant::now();
            if now < due {
                std::thread::sleep(GLANCE.min(due - now));
                continue;
            }
            due = now + TICK;
            if let Err(error) = store.tick(clock::now_ms(), keymap.as_ref()) {
                tracing::warn!(%error, "expiry and held state could not be written");
            }
            maintain(&store, due, &end);
            crate::memory::give_back();
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

/// Opens the faces and serves until the stop.
#[expect(clippy::too_many_arguments, reason = "it is the rest of `run`, in a file of its own size")]
fn serve(
    runtime: &Runtime,
    config: &Arc<Config>,
    store: &Arc<Store>,
    keymap: Arc<Keymap>,
    recent: Arc<RecentKeys>,
    threads: &mut Threads,
    trigger: &Trigger,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let _inside = runtime.enter();
    let http = listen::bind("HTTP", config.http_listen, "--http-listen")?;
    let redis = listen::bind("Redis", config.redis_listen, "--redis-listen")?;
    let about = About {
        hostname: host::name(),
        http: http.local_addr()?,
        redis: redis.local_addr()?,
        started: clock::now_ms(),
    };
    let counters = Arc::default();
    let options = resp_options(config, Arc::clone(&counters));
    let hub = Arc::clone(&options.hub);
    let extract = Arc::<Keymap>::clone(&keymap);
    let face = Face::new(Arc::clone(store), extract, options, about.redis.port());
    let keys = KeyHandles { recent, keymap, inside: face.inside(), counters };
    let handles = Arc::new(handles(config, store, keys, about.clone(), shutdown));
    self_metrics::register(&handles, &handles.keymap);
    runtime.spawn(keep::run(
        Arc::clone(&handles.keymap),
        face.inside(),
        Arc::clone(store),
        shutdown.clone(),
    ));
    let (events, waiting) = Events::new(face.inside(), config.events.clone());
    let tools = Tools::new(face.inside(), Arc::new(Asker(Arc::clone(&handles))));
    self_metrics::register_events(&handles, &events, &tools);
    let overhears = Arc::clone(&events);
    hub.overhear(move |channel, message| overhears.overhear(channel, message));
    runtime.spawn(events.run(waiting, shutdown.clone()));
    if let Some(every) = config.collect {
        let collector = Collector::new(
            Arc::clone(&handles.registry),
            Arc::clone(&handles.ingest),
            about.hostname.clone(),
            instance(&about),
        );
        let shutdown = shutdown.clone();
        threads.start("collector", move || collector.run(every, || shutdown.is_raised()))?;
    }
    // Before the world hears that the node is ready: from now on a signal is a graceful stop.
    let signals = Signals::take().context("cannot take over signals")?;
    say(&about);
    runtime.block_on(faces(handles, http, redis, face, &tools, signals, trigger, shutdown))
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
fn say(about: &About) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(
        out,
        "http listening on http://{}\nredis listening on redis://{}\nready",
        about.http, about.redis
    );
    let _ = out.flush();
}

#[expect(clippy::too_many_arguments, reason = "both faces and what they are made of")]
/// Serves both faces until the system asks to stop, then lets them drain.
async fn faces(
    handles: Arc<Handles>,
    http: TcpListener,
    redis: TcpListener,
    face: Face,
    tools: &Arc<Tools>,
    signals: Signals,
    trigger: &Trigger,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let mcp = tools.route(handles.config.limits.body);
    let http = tokio::spawn(Server::new(http, &handles, mcp).serve(shutdown.clone()));
    let stop = shutdown.clone();
    let redis = tokio::spawn(face.serve(redis, async move { stop.raised().await }));
    if handles.config.demo {
        tokio::spawn(demo_fleet(&handles, shutdown.clone()));
    }
    let signal = signals.asked().await;
    tracing::info!(signal, "stopping");
    trigger.stop();
    let (http, redis) = tokio::join!(http, redis);
    http.context("the HTTP face failed")?;
    redis.context("the Redis face failed")?.context("the Redis face failed")
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

/// What of the handles is about keys.
struct KeyHandles {
    recent: Arc<RecentKeys>,
    keymap: Arc<Keymap>,
    inside: Arc<dyn Inside>,
    counters: Arc<resp::Counters>,
}

fn handles(
    config: &Arc<Config>,
    store: &Arc<Store>,
    keys: KeyHandles,
    about: About,
    shutdown: &Shutdown,
) -> Handles {
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
    Handles {
        ingest: Arc::new(Ingest::new(Arc::clone(store), config.samples_sync, limits)),
        engine: Arc::new(Engine::new(engine)),
        pool: Arc::new(Pool::new(limits.query_concurrency, limits.query_queue)),
        exports: Arc::new(Pool::new(EXPORTS, limits.query_queue)),
        journal: Arc::new(journal),
        registry: Arc::default(),
        demo: Arc::new(DemoSwitch::new(config.demo)),
        metrics: Arc::default(),
        redis: keys.counters,
        keymap: keys.keymap,
        inside: keys.inside,
        connections: Arc::new(Semaphore::new(limits.http_connections.min(Semaphore::MAX_PERMITS))),
        config: Arc::clone(config),
        store: Arc::clone(store),
        shutdown: shutdown.clone(),
        recent: keys.recent,
        about,
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
