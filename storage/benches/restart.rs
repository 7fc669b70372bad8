//! How long a store takes to come back after a kill: `cargo bench -p ringwell-storage --bench restart`.
//!
//! A store is filled and dropped as a kill leaves it, then opened anew and asked for one series.
//! `RINGWELL_SERIES` and `RINGWELL_STEPS` (10 s apart) choose another size.

#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::sync::Arc;
use std::time::Instant;

use ringwell_storage::append::{Batch, Duplicates, SeriesRef, SeriesSamples};
use ringwell_storage::disk::OsDisk;
use ringwell_storage::model::{Labels, Matcher, Sample, SampleBuf, TimeRange, Value};
use ringwell_storage::read::Queryable;
use ringwell_storage::store::{Options, Store};

const START: i64 = 1_760_000_000_000;
const STEP: i64 = 10_000;
/// Samples in one batch.
const BATCH: usize = 10_000;

fn main() {
    if std::env::args().any(|a| a == "--test") {
        return;
    }
    let env = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<usize>().ok());
    let sizes = match (env("RINGWELL_SERIES"), env("RINGWELL_STEPS")) {
        (Some(series), Some(steps)) => vec![(series, steps)],
        _ => vec![(2_850, 2_160), (100_000, 66), (1_000_000, 2)],
    };
    println!("| series | samples | log MB at the kill | replayed | open s | first answer s |");
    println!("|---|---|---|---|---|---|");
    for (series, steps) in sizes {
        measure(series, steps);
    }
}

fn measure(series: usize, steps: usize) {
    let dir = tempfile::tempdir().unwrap();
    let end = fill(dir.path(), series, steps);
    let started = Instant::now();
    let store = Store::open(Arc::new(OsDisk::open(dir.path()).unwrap()), options(), end).unwrap();
    let opened = started.elapsed();
    let one = Matcher::equal("pod", format!("pod-{}", series / 2));
    let found = store.snapshot().select(&[one], TimeRange::ALL).unwrap();
    let (mut samples, mut seen) = (SampleBuf::default(), 0);
    let mut cursor = found[0].cursor(TimeRange::ALL).unwrap();
    while cursor.next(&mut samples).unwrap() {}
    seen += samples.len();
    let answered = started.elapsed();
    assert_eq!((found.len(), seen), (1, steps));
    let report = store.report();
    println!(
        "| {series} | {} | {:.1} | {} records | {:.2} | {:.2} |",
        series * steps,
        report.bytes as f64 / 1e6,
        report.records,
        opened.as_secs_f64(),
        answered.as_secs_f64()
    );
}

/// Fills a store and lets go of it as it is; the time of the last step.
fn fill(dir: &std::path::Path, series: usize, steps: usize) -> i64 {
    let store = Store::open(Arc::new(OsDisk::open(dir).unwrap()), options(), START).unwrap();
    let all: Vec<Labels> = (0..series).map(labels).collect();
    let mut random = 1_u64;
    let mut values = vec![0.0; series];
    for step in 0..steps as i64 {
        let t = START + step * STEP;
        for (part, labels) in all.chunks(BATCH).enumerate() {
            let row = |(i, labels): (usize, &Labels)| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
                let value = &mut values[part * BATCH + i];
                *value += (random >> 58) as f64 / if i.is_multiple_of(3) { 100.0 } else { 1.0 };
                let value = Value::Float(*value);
                let sample = Sample { t, start: 0, value };
                SeriesSamples {
                    series: SeriesRef::Labels(labels.clone()),
                    samples: vec![sample].into(),
                }
            };
            let rows = labels.iter().enumerate().map(row).collect();
            let batch = Batch { series: rows, duplicates: Duplicates::Reject };
            assert!(store.append(&batch, t).unwrap().rejected.is_empty());
        }
        store.maintain(t).unwrap();
    }
    store.sync().unwrap();
    START + steps as i64 * STEP
}

fn labels(i: usize) -> Labels {
    let (name, job) = (format!("metric_{}", i % 57), format!("job-{}", i % 37));
    let (pod, zone) = (format!("pod-{i}"), format!("z{}", i % 5));
    Labels::from_pairs([
        ("__name__", name.as_str()),
        ("cluster", "eu-1"),
        ("job", job.as_str()),
        ("pod", pod.as_str()),
        ("zone", zone.as_str()),
    ])
    .unwrap()
}

fn options() -> Options {
    Options { max_future: None, ..Options::default() }
}
