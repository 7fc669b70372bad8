//! What samples cost inside the engine, without a network: appending, cutting into blocks, merging
//! and reading back, and the bytes of the blocks beside VictoriaMetrics with the same bodies.
//!
//! `cargo bench --bench blocks`; `RINGWELL_BENCH_BODIES` names files of bodies to write instead, apart by
//! `:`. `RINGWELL_BENCH_SCRAPES` names such a file of real scrapes; where it is not there yet it is recorded
//! first, for `RINGWELL_BENCH_SECONDS`. `RINGWELL_BENCH_PEERS=0` leaves VictoriaMetrics out.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[path = "support/bodies.rs"]
mod bodies;
#[path = "support/fleet.rs"]
#[allow(dead_code, reason = "shared with `compare`, which uses all of it")]
mod fleet;
#[path = "support/http.rs"]
#[allow(dead_code, reason = "shared with `compare`, which uses all of it")]
mod http;
#[path = "support/server.rs"]
#[allow(dead_code, reason = "shared with `compare`, which uses all of it")]
mod server;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fleet::Fleet;
use ringwell::ingest::remote_write;
use ringwell_storage::disk::{Disk, OsDisk};
use ringwell_storage::inspect::inspect;
use ringwell_storage::model::{SampleBuf, TimeRange, Timestamp};
use ringwell_storage::read::Queryable;
use ringwell_storage::store::{Options, Store};
use server::Server;

/// Samples in one request.
const BATCH: usize = 2_000;
/// More than any body has after decompression.
const LIMIT: usize = 128 << 20;
const MINUTE: Timestamp = 60_000;

/// What is written.
struct Workload {
    name: String,
    bodies: Vec<Vec<u8>>,
}

/// What was written.
#[derive(Default)]
struct Written {
    samples: u64,
    /// Time of the newest sample.
    end: Timestamp,
    reading: Duration,
    appending: Duration,
}

fn main() {
    // `cargo test` runs benches with --test: compiling them is the test.
    if std::env::args().any(|a| a == "--test") {
        return;
    }
    let peer = (env("RINGWELL_BENCH_PEERS", 1) > 0)
        .then(|| server::available().into_iter().find(|kind| kind.is("victoria-metrics")))
        .flatten();
    for name in names() {
        let work = load(&name);
        println!("## {}\n", work.name);
        let (samples, cut, merged) = measure(&work);
        let Some(kind) = &peer else { continue };
        let theirs = peer_bytes(kind, &work.bodies) as f64 / samples;
        println!("victoria-metrics      {theirs:8.3} bytes a sample");
        println!("ratio as cut          {:8.3}", cut / theirs);
        println!("ratio merged          {:8.3}\n", merged / theirs);
    }
}

fn names() -> Vec<String> {
    let listed = |name: &str| std::env::var(name).unwrap_or_default();
    let (bodies, scrapes) = (listed("RINGWELL_BENCH_BODIES"), listed("RINGWELL_BENCH_SCRAPES"));
    let mut names: Vec<String> =
        bodies.split(':').filter(|path| !path.is_empty()).map(str::to_owned).collect();
    if names.is_empty() && scrapes.is_empty() {
        names = ["fleet", "fleet, 12 ms", "60 samples"].map(str::to_owned).to_vec();
    }
    if !scrapes.is_empty() {
        if !Path::new(&scrapes).exists() {
            let seconds = env("RINGWELL_BENCH_SECONDS", 900) as u64;
            bodies::record(&scrapes, Duration::from_secs(seconds));
        }
        names.push(scrapes);
    }
    names
}

fn load(name: &str) -> Workload {
    let (agents, steps) = (env("RINGWELL_BENCH_AGENTS", 50), env("RINGWELL_BENCH_STEPS", 1440));
    let bodies = match name {
        "fleet" => Fleet::new(7, agents, steps).requests(BATCH),
        "fleet, 12 ms" => Fleet::new(7, agents, steps).jittering(12).requests(BATCH),
        "60 samples" => Fleet::new(7, agents * 20, 60).requests(BATCH * 5),
        path => bodies::read(path),
    };
    Workload { name: name.to_owned(), bodies }
}

/// Samples, and bytes of each in blocks as they were cut and after merges.
fn measure(work: &Workload) -> (f64, f64, f64) {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(OsDisk::open(dir.path()).unwrap());
    let options = Options { max_future: None, ..Options::default() };
    let store = Store::open(Arc::clone(&disk) as Arc<dyn Disk>, options, 0).unwrap();
    let written = write(&store, &work.bodies);
    let (samples, series) = (written.samples as f64, store.stats().series);
    let log = store.stats().log_end as f64 / samples;
    let (cutting, cut) = cut_all(&store, &written);
    let decoding = read_all(&store, written.samples);
    println!("{series} series, {samples} samples, {} blocks as cut", store.stats().blocks);
    parts(&*disk, samples);
    let merging = merge_all(&store, &written);
    let merged = store.stats().block_bytes;
    read_all(&store, written.samples);
    println!("{} blocks after {} merges", store.stats().blocks, store.stats().merges);
    parts(&*disk, samples);
    let ns = |time: Duration| time.as_nanos() as f64 / samples;
    println!("snappy and protobuf   {:8.1} ns a sample", ns(written.reading));
    println!("append, no sync       {:8.1} ns a sample", ns(written.appending));
    println!("cut into blocks       {:8.1} ns a sample", ns(cutting));
    println!("merge, all levels     {:8.1} ns a sample", ns(merging));
    println!("read from blocks      {:8.1} ns a sample", ns(decoding));
    println!("log                   {log:8.3} bytes a sample");
    println!("blocks as cut         {:8.3} bytes a sample", cut as f64 / samples);
    println!("blocks merged         {:8.3} bytes a sample", merged as f64 / samples);
    (samples, cut as f64 / samples, merged as f64 / samples)
}

fn write(store: &Store, bodies: &[Vec<u8>]) -> Written {
    let mut written = Written { end: Timestamp::MIN, ..Written::default() };
    for body in bodies {
        let started = Instant::now();
        let message = remote_write::decompress(body, LIMIT).unwrap();
        let request = remote_write::read(&message).unwrap();
        written.reading += started.elapsed();
        let times = request.batch.series.iter().flat_map(|s| &s.samples).map(|s| s.t);
        written.end = times.max().unwrap_or(Timestamp::MIN).max(written.end);
        let started = Instant::now();
        let appended = store.append(&request.batch, 0).unwrap();
        written.appending += started.elapsed();
        assert!(appended.rejected.is_empty(), "{:?}", appended.rejected.first());
        written.samples += appended.accepted;
    }
    written
}

/// Lets maintenance run until all is in blocks, by a clock moved by hand; then the bytes of the blocks,
/// before any is merged.
fn cut_all(store: &Store, written: &Written) -> (Duration, u64) {
    let (mut spent, mut bytes) = (Duration::ZERO, 0);
    for minute in 0..1_000 {
        let started = Instant::now();
        store.maintain(written.end + 3 * 60 * MINUTE + minute * MINUTE).unwrap();
        spent += started.elapsed();
        let stats = store.stats();
        if stats.merges > 0 {
            break;
        }
        bytes = stats.block_bytes;
        if stats.block_samples >= written.samples {
            return (spent, bytes);
        }
    }
    assert!(bytes > 0, "nothing was cut");
    (spent, bytes)
}

/// Lets maintenance run until nothing is left to merge.
fn merge_all(store: &Store, written: &Written) -> Duration {
    const MONTH: Timestamp = 31 * 24 * 60 * MINUTE;
    let (started, mut minute, mut idle) = (Instant::now(), 0, 0);
    while idle < 5 {
        minute += 2;
        let done = store.maintain(written.end + 2 * MONTH + minute * MINUTE).unwrap();
        idle = if done.more || done.merged > 0 || done.cut > 0 { 0 } else { idle + 1 };
    }
    started.elapsed()
}

/// Where the bytes of the blocks are.
fn parts(disk: &dyn Disk, samples: f64) {
    let found = inspect(disk, 0).unwrap();
    let parts = found.parts.iter().map(|(name, bytes)| {
        let share = *bytes as f64 / samples;
        format!("{name} {share:.4}")
    });
    println!("  bytes a sample: {}", parts.collect::<Vec<_>>().join(", "));
    let encodings = found.encodings.iter().map(|(name, sum)| {
        let each = sum.bytes as f64 / sum.samples.max(1) as f64;
        format!("{name} {each:.3} of {:.1} %", 100.0 * sum.samples as f64 / samples)
    });
    println!("  encodings: {}", encodings.collect::<Vec<_>>().join(", "));
}

fn read_all(store: &Store, expected: u64) -> Duration {
    let snapshot = store.snapshot();
    let (mut found, mut out) = (0, SampleBuf::default());
    let started = Instant::now();
    for series in snapshot.select(&[], TimeRange::ALL).unwrap() {
        let mut cursor = series.cursor(TimeRange::ALL).unwrap();
        out.clear();
        while cursor.next(&mut out).unwrap() {
            found += out.len();
            out.clear();
        }
    }
    let spent = started.elapsed();
    assert_eq!(found as u64, expected);
    spent
}

/// Bytes of a peer's directory once it has merged all it was sent.
fn peer_bytes(kind: &server::Kind, bodies: &[Vec<u8>]) -> u64 {
    let server = Server::start(kind);
    let mut client = http::Client::connect(server.port());
    for body in bodies {
        let kind = "application/x-protobuf";
        let (status, answer) =
            client.post(server.write_path(), kind, Some("snappy"), body).unwrap();
        assert!((200..300).contains(&status), "{status} {answer}");
    }
    server.settle();
    let mut bytes = server.disk();
    // Merges go on in the background; nothing more after a while means that they are done.
    for _ in 0..12 {
        std::thread::sleep(Duration::from_secs(5));
        let before = std::mem::replace(&mut bytes, server.disk());
        if before == bytes {
            break;
        }
    }
    server.stop();
    bytes
}

fn env(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}
