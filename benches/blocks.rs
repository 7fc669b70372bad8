//! What samples cost inside the engine, without a network: appending, cutting into blocks, reading
//! back, and the bytes of the blocks. The same seeded fleet as `compare`, whose table has the peers.
//!
//! `cargo bench --bench blocks`; `RINGWELL_BENCH_BODIES` names a file of bodies to write instead.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[path = "support/fleet.rs"]
#[allow(dead_code, reason = "shared with `compare`, which uses all of it")]
mod fleet;

use std::sync::Arc;
use std::time::{Duration, Instant};

use fleet::Fleet;
use ringwell::ingest::remote_write;
use ringwell_storage::disk::OsDisk;
use ringwell_storage::model::{SampleBuf, TimeRange};
use ringwell_storage::read::Queryable;
use ringwell_storage::store::{Options, Store};

/// Samples in one request.
const BATCH: usize = 2_000;
/// More than any body has after decompression.
const LIMIT: usize = 128 << 20;

/// What is written.
struct Workload {
    bodies: Vec<Vec<u8>>,
    samples: usize,
    /// Time of the newest sample, or of one of the same request.
    end: i64,
}

fn main() {
    // `cargo test` runs benches with --test: compiling them is the test.
    if std::env::args().any(|a| a == "--test") {
        return;
    }
    let work = match std::env::var("RINGWELL_BENCH_BODIES") {
        Ok(path) => from_file(&path),
        Err(_) => from_fleet(),
    };
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(OsDisk::open(dir.path()).unwrap());
    let options = Options { max_future: None, ..Options::default() };
    let store = Store::open(disk, options, 0).unwrap();

    let (mut reading, mut appending) = (Duration::ZERO, Duration::ZERO);
    for body in &work.bodies {
        let started = Instant::now();
        let message = remote_write::decompress(body, LIMIT).unwrap();
        let request = remote_write::read(&message).unwrap();
        reading += started.elapsed();
        let started = Instant::now();
        let appended = store.append(&request.batch, 0).unwrap();
        appending += started.elapsed();
        assert!(appended.rejected.is_empty());
    }
    let log = store.stats().log_end;
    println!("{} series, {} samples\n", store.stats().series, work.samples);
    let cutting = cut_all(&store, &work);
    let stats = store.stats();
    let decoding = read_all(&store, work.samples);

    let samples = work.samples as f64;
    let ns = |time: Duration| time.as_nanos() as f64 / samples;
    println!("snappy and protobuf   {:8.1} ns a sample", ns(reading));
    println!("append, no sync       {:8.1} ns a sample", ns(appending));
    println!("cut into blocks       {:8.1} ns a sample", ns(cutting));
    println!("read from blocks      {:8.1} ns a sample", ns(decoding));
    println!("log                   {:8.3} bytes a sample", log as f64 / samples);
    println!("blocks, index and all {:8.3} bytes a sample", stats.block_bytes as f64 / samples);
}

/// Lets maintenance run until all is in blocks, by a clock moved by hand.
fn cut_all(store: &Store, work: &Workload) -> Duration {
    const DAY: i64 = 24 * 3_600_000;
    let (mut spent, mut minutes) = (Duration::ZERO, 0);
    while store.stats().block_samples < work.samples as u64 {
        assert!(minutes < 1_000, "not all was cut");
        let started = Instant::now();
        store.maintain(work.end + DAY + minutes * 60_000).unwrap();
        spent += started.elapsed();
        minutes += 1;
    }
    spent
}

fn read_all(store: &Store, expected: usize) -> Duration {
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
    assert_eq!(found, expected);
    spent
}

/// Bodies from a file, each after 24 bytes: samples at 4, time of the first in ms at 12, length of
/// the body at 20, all little-endian.
fn from_file(path: &str) -> Workload {
    let bytes = std::fs::read(path).unwrap();
    let mut work = Workload { bodies: Vec::new(), samples: 0, end: 0 };
    let mut rest = &bytes[..];
    while let Some((header, after)) = rest.split_first_chunk::<24>() {
        let word = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().unwrap());
        let (body, next) = after.split_at(word(20) as usize);
        work.bodies.push(body.to_vec());
        work.samples += word(4) as usize;
        work.end = work.end.max(i64::from_le_bytes(header[12..20].try_into().unwrap()));
        rest = next;
    }
    work
}

fn from_fleet() -> Workload {
    let fleet = Fleet::new(7, env("RINGWELL_BENCH_AGENTS", 50), env("RINGWELL_BENCH_STEPS", 1440));
    let (samples, end) = (fleet.samples(), fleet.end_seconds() * 1000);
    Workload { bodies: fleet.requests(BATCH), samples, end }
}

fn env(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}
