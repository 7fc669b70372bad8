//! Days in seconds: a store through a hand-moved clock, with churn, cuts, merges, roll-ups and
//! retention. A few days in every run; `RINGWELL_DAYS=90 RINGWELL_SERIES=500 cargo test --release -p
//! ringwell-storage --test days -- --nocapture` is the long form, which prints what it finds.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;

use ringwell_storage::append::{Batch, SeriesRef, SeriesSamples};
use ringwell_storage::disk::OsDisk;
use ringwell_storage::model::{Labels, STALE_NAN, Sample, SampleBuf, TimeRange, Value};
use ringwell_storage::read::{Aggregate, Queryable, Series, Stats};
use ringwell_storage::store::{Options, Store};

const STEP: i64 = 15_000;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const START: i64 = 1_700_006_400_000;
/// A series lives so many days before another takes its place: 5 % churn a day.
const LIFE: i64 = 20;

fn knob(name: &str, default: i64) -> i64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

fn labels(i: i64, day: i64) -> Labels {
    let (name, pod) = (format!("metric_{}", i % 10), format!("pod-{i}-{}", (day + i) / LIFE));
    Labels::from_pairs([("__name__", name.as_str()), ("pod", pod.as_str())]).unwrap()
}

/// Gauges of two decimals, counters that reset, and now and then a gap.
fn value(i: i64, t: i64) -> f64 {
    let n = (t - START) / STEP;
    let noise = (n.wrapping_mul(6_364_136_223_846_793_005) ^ (i * 977)).rem_euclid(97);
    match i % 4 {
        0 => ((n + i) % 5000 * 3) as f64,
        1 => (200 + noise) as f64 / 100.0,
        2 if noise == 7 => f64::from_bits(STALE_NAN),
        2 => (noise * 1024) as f64,
        _ => 1.0,
    }
}

fn bytes_below(dir: &Path) -> u64 {
    let size = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.unwrap();
        if entry.path().is_dir() {
            bytes_below(&entry.path())
        } else {
            entry.metadata().unwrap().len()
        }
    };
    std::fs::read_dir(dir).unwrap().map(size).sum()
}

fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

fn samples_of(series: &dyn Series, range: TimeRange) -> SampleBuf {
    let mut samples = SampleBuf::default();
    let mut cursor = series.cursor(range).unwrap();
    while cursor.next(&mut samples).unwrap() {}
    samples
}

/// What the aggregates should be, from the samples.
fn expected(series: &dyn Series, range: TimeRange, step: i64) -> Vec<(i64, Stats)> {
    let samples = samples_of(series, range);
    let all: Vec<(i64, f64)> = samples.t.iter().copied().zip(samples.v.iter().copied()).collect();
    let stretches = all.chunk_by(|a, b| (a.0 - 1).div_euclid(step) == (b.0 - 1).div_euclid(step));
    let of = |run: &[(i64, f64)]| {
        let values: Vec<f64> = run.iter().map(|(_, v)| *v).collect();
        ((run[0].0 - 1).div_euclid(step) * step, Stats::of(&values))
    };
    stretches.map(of).filter(|(_, stats)| stats.count > 0).collect()
}

fn agree(found: &[Aggregate], wanted: &[(i64, Stats)]) {
    assert_eq!(found.len(), wanted.len());
    for (row, (start, stats)) in found.iter().zip(wanted) {
        let (a, b) = (&row.stats, stats);
        assert_eq!(row.start, *start);
        assert!(*start < row.first_t && row.first_t <= row.last_t);
        assert_eq!((a.count, a.nans), (b.count, b.nans));
        for (a, b) in [(a.min, b.min), (a.max, b.max), (a.first, b.first), (a.last, b.last)] {
            assert_eq!(a.to_bits(), b.to_bits());
        }
        let sums = (a.sum.0 + a.sum.1, b.sum.0 + b.sum.1);
        for (a, b) in [sums, (a.increase, b.increase)] {
            assert!((a - b).abs() <= 1e-12 * b.abs().max(1.0), "{a} {b}");
        }
    }
}

#[test]
fn days_pass_and_disk_and_memory_stay() {
    let (days, count) = (knob("RINGWELL_DAYS", 9), knob("RINGWELL_SERIES", 6));
    let retention = days * 4 / 9 * DAY;
    let dir = tempfile::tempdir().unwrap();
    let options = Options { retention: Some(retention), ..Options::default() };
    let disk = Arc::new(OsDisk::open(dir.path()).unwrap());
    let store = Store::open(disk, options, START).unwrap();
    let (mut memory, mut names) = (Vec::new(), Vec::new());
    let mut most_series = 0;
    for step in 0..days * DAY / STEP {
        let now = START + step * STEP;
        if step % (DAY / STEP) == 0 {
            names = (0..count).map(|i| labels(i, (now - START) / DAY)).collect();
        }
        let one = |i: i64| SeriesSamples {
            series: SeriesRef::Labels(names[i as usize].clone()),
            samples: [Sample { t: now, start: 0, value: Value::Float(value(i, now)) }].into(),
        };
        let batch = Batch { series: (0..count).map(one).collect(), ..Batch::default() };
        assert!(store.append(&batch, now).unwrap().rejected.is_empty());
        if now % (5 * MINUTE) == 0 {
            while store.maintain(now).unwrap().more {}
        }
        if now % DAY == 0 {
            memory.push(resident());
            most_series = most_series.max(store.stats().series);
        }
    }
    let now = START + days * DAY;
    let stats = store.stats();
    let per_day = (DAY / STEP * count) as f64;
    let kept = per_day * (retention / DAY) as f64;
    let each = stats.block_bytes as f64 / stats.block_samples as f64;
    let disk = bytes_below(&dir.path().join("blocks"));
    println!(
        "{days} days of {count} series, {} kept: {} blocks, {} samples, {each:.3} bytes each, {disk} \
         bytes on the disk, {} merges, at most {most_series} series at a time, memory MiB {:?}",
        retention / DAY,
        stats.blocks,
        stats.block_samples,
        stats.merges,
        memory.iter().map(|b| b >> 20).collect::<Vec<_>>()
    );
    assert!(stats.merges > 0 && stats.tombstones == 0);
    assert_eq!(disk, stats.block_bytes, "nothing stays that no manifest names");
    // What the head still holds is not in blocks: at most two spans and a delay.
    let (low, high) = (kept - per_day * 6.0 / 24.0, kept * 1.15);
    let samples = stats.block_samples as f64;
    assert!(low <= samples && samples <= high, "{low} <= {samples} <= {high}");
    assert!(most_series as i64 <= count * 3 / 2 + 4, "{most_series} series in the head");
    let (third, last) = (memory[memory.len() / 3], memory[memory.len() - 1]);
    assert!(last <= third + third / 4 + (8 << 20), "memory grew: {third} to {last}");
    let range = TimeRange::new(now - retention + 3 * HOUR + 7, now).unwrap();
    let whole = |step: i64| {
        let start = (range.start() + step - 2).div_euclid(step) * step;
        TimeRange::new(start + 1, range.end().div_euclid(step) * step).unwrap()
    };
    let mut rolled = 0;
    for series in store.snapshot().select(&[], range).unwrap() {
        for step in [HOUR, 6 * HOUR] {
            if let Some(found) = series.aggregates(range, step).unwrap() {
                agree(&found, &expected(&*series, whole(step), step));
                rolled += 1;
            }
        }
        assert!(series.aggregates(range, 90_000).unwrap().is_none(), "no level divides it");
    }
    println!("{rolled} answers from roll-ups");
    assert!(rolled > 1, "{rolled} answers from roll-ups");
    for series in store.snapshot().select(&[], range).unwrap() {
        let samples = samples_of(&*series, range);
        let name = series.labels().get("pod").unwrap().to_owned();
        let i: i64 = name.split('-').nth(1).unwrap().parse().unwrap();
        for (t, v) in samples.t.iter().zip(&samples.v) {
            assert_eq!(v.to_bits(), value(i, *t).to_bits());
        }
        assert!(samples.t.windows(2).all(|w| w[1] - w[0] == STEP), "{name} has a hole");
    }
}
