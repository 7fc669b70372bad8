//! How long an append takes at most while ranges are cut and blocks merged: what background work may add is
//! bounded. In the process, without a network and without syncs.
//!
//! `cargo bench -p ringwell-storage --bench stalls`; `RINGWELL_BENCH_SERIES` takes another number than 100,000.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ringwell_storage::append::{Batch, Duplicates, SeriesRef, SeriesSamples};
use ringwell_storage::disk::OsDisk;
use ringwell_storage::model::{Labels, Sample, Value};
use ringwell_storage::store::{Options, Store};

const MINUTE: i64 = 60_000;
/// Block ranges written before any is cut.
const RANGES: i64 = 4;
/// Samples in one append.
const BATCH: usize = 2_000;

fn main() {
    // `cargo test` runs benches with --test: compiling them is the test.
    if std::env::args().any(|a| a == "--test") {
        return;
    }
    let series = std::env::var("RINGWELL_BENCH_SERIES").ok().and_then(|v| v.parse().ok());
    let all = labels(series.unwrap_or(100_000));
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(OsDisk::open(dir.path()).unwrap());
    let options = Options { max_future: None, block_span: 30 * MINUTE, ..Options::default() };
    let store = Store::open(disk, options, 0).unwrap();
    let mut clock = 0;
    let mut quiet = Vec::new();
    while clock < RANGES * 30 * MINUTE {
        write(&store, &all, clock, &mut quiet);
        clock += MINUTE;
    }
    report("alone", &mut quiet);
    let (written, done) = (clock, AtomicBool::new(false));
    let mut busy = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            maintain(&store, written);
            done.store(true, Ordering::Release);
        });
        while !done.load(Ordering::Acquire) {
            write(&store, &all, clock, &mut busy);
            clock += MINUTE;
        }
    });
    report("while cut and merged", &mut busy);
    let stats = store.stats();
    println!("{} blocks after {} merges", stats.blocks, stats.merges);
}

fn labels(count: usize) -> Vec<Labels> {
    let one = |i: usize| {
        let (name, agent) = (format!("metric_{}", i % 50), format!("agent-{}", i / 50));
        Labels::from_pairs([("__name__", name.as_str()), ("agent", agent.as_str())]).unwrap()
    };
    (0..count).map(one).collect()
}

/// Cuts all ranges that have ended, and merges what can be.
fn maintain(store: &Store, written: i64) {
    const HOUR: i64 = 60 * MINUTE;
    let mut now = written + 2 * HOUR;
    for _ in 0..10 {
        while store.maintain(now).unwrap().more {}
        now += 2 * MINUTE;
    }
}

fn write(store: &Store, all: &[Labels], t: i64, times: &mut Vec<Duration>) {
    for (i, some) in all.chunks(BATCH).enumerate() {
        let sample = |j: usize| Sample { t, start: 0, value: Value::Float((i + j) as f64 * 0.01) };
        let one = |(j, labels): (usize, &Labels)| SeriesSamples {
            series: SeriesRef::Labels(labels.clone()),
            samples: [sample(j)].into_iter().collect(),
        };
        let series = some.iter().enumerate().map(one).collect();
        let batch = Batch { series, duplicates: Duplicates::Reject };
        let started = Instant::now();
        let appended = store.append(&batch, t).unwrap();
        times.push(started.elapsed());
        assert!(appended.rejected.is_empty());
    }
}

fn report(when: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |share: f64| {
        let place = ((times.len() - 1) as f64 * share) as usize;
        times.get(place).map_or(0.0, |t| t.as_secs_f64() * 1e3)
    };
    println!(
        "{when}: {} appends of {BATCH}, ms: median {:.2}, 99 % {:.2}, 99.9 % {:.2}, longest {:.2}",
        times.len(),
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    );
}
