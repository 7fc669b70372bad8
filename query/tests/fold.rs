//! `*_over_time` from statistics of chunks and from sliding folds: the same as from the samples one by
//! one, in the head and in blocks, with gaps, stale markers, NaN, infinities, both zeros and spikes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use ringwell_query::{AnswerValue, Engine, EngineOptions, Query, Uninterrupted, When};
use ringwell_storage::append::{Batch, Duplicates, SeriesRef, SeriesSamples};
use ringwell_storage::disk::SimDisk;
use ringwell_storage::model::{Labels, STALE_NAN, Sample, Value};
use ringwell_storage::read::{Queryable, Snapshot};
use ringwell_storage::store::{Options, Store};

const START: i64 = 1_760_000_400_000;
const STEP: i64 = 15_000;
const SAMPLES: i64 = 3000;
const FUNCTIONS: [&str; 6] = ["count", "present", "sum", "avg", "min", "max"];

/// What the series named so has at a step, if anything.
fn value(shape: usize, i: i64, noise: u64) -> Option<f64> {
    let unit = (noise >> 11) as f64 / (1_u64 << 53) as f64;
    let decimals = ((unit * 200.0 - 100.0) * 100.0).round() / 100.0;
    Some(match (shape, i % 701) {
        (1, 0..40) => return None,
        (1, 40) => f64::from_bits(STALE_NAN),
        (2, 5) => f64::NAN,
        (2, 300) => f64::INFINITY,
        (3, 10) => 1e17,
        (3, 11) => -1e17,
        (3, _) => unit,
        (4, n) => [0.0, -0.0][usize::from(n % 3 == 0)],
        (5, _) => 7.25,
        (6, 0..2) => f64::MAX,
        (6, 400) => f64::MIN,
        _ => decimals,
    })
}

fn store(shared_grid: bool) -> Store {
    let options = Options { max_future: None, ..Options::default() };
    let store = Store::open(Arc::new(SimDisk::new()), options, START).unwrap();
    let mut noise = 42_u64;
    let mut draw = || {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        noise
    };
    for shape in 0..7 {
        let name = shape.to_string();
        let labels = Labels::from_pairs([("__name__", "x"), ("shape", name.as_str())]).unwrap();
        let mut samples = Vec::new();
        for i in 0..SAMPLES {
            let jitter = if shared_grid { 0 } else { (draw() % 4000) as i64 };
            let t = START + i * STEP + jitter;
            let value = value(shape, i, draw());
            samples.extend(value.map(|v| Sample { t, start: 0, value: Value::Float(v) }));
        }
        let series = SeriesRef::Labels(labels);
        let series = [SeriesSamples { series, samples: samples.into() }].into();
        store.append(&Batch { series, duplicates: Duplicates::Reject }, START).unwrap();
    }
    store
}

/// Points of a series by its shape.
type Rows = Vec<(String, Vec<(i64, f64)>)>;

/// The answer, and how many samples statistics stood for.
fn run(snapshot: &dyn Snapshot, text: &str, when: When) -> (Rows, u64) {
    let engine = Engine::new(EngineOptions { parallelism: 1, ..EngineOptions::default() });
    let answer = engine
        .run(snapshot, &Query { text, when, lookback: None }, &Uninterrupted)
        .unwrap_or_else(|e| panic!("{text}: {e}"));
    let name = |labels: &Labels| labels.get("shape").unwrap_or("").to_owned();
    let rows = match answer.value {
        AnswerValue::Matrix(rows) => {
            rows.into_iter().map(|row| (name(&row.labels), row.floats)).collect()
        }
        AnswerValue::Vector(samples) => samples
            .into_iter()
            .map(|s| match s.value {
                Value::Float(v) => (name(&s.labels), vec![(s.t, v)]),
                Value::Histogram(_) => panic!("no histograms here"),
            })
            .collect(),
        other => panic!("{other:?}"),
    };
    (rows, answer.stats.samples_summarised)
}

/// The function over samples in order of time, step by step as Prometheus does it.
fn naive(function: &str, values: &[f64]) -> Option<f64> {
    let n = values.len() as f64;
    let sum = || {
        values.iter().fold((0.0_f64, 0.0_f64), |(sum, c), v| {
            let t = sum + v;
            let lost = if sum.abs() >= v.abs() { sum - t + v } else { v - t + sum };
            (t, if t.is_infinite() { 0.0 } else { c + lost })
        })
    };
    let first = *values.first()?;
    Some(match function {
        "count" => n,
        "present" => 1.0,
        "sum" => sum().0 + sum().1,
        "avg" if sum().0.is_finite() => sum().0 / n + sum().1 / n,
        // Sums that overflow take another way, which other tests hold against Prometheus.
        "avg" => return None,
        "min" => values.iter().fold(first, |m, v| if *v < m || m.is_nan() { *v } else { m }),
        _ => values.iter().fold(first, |m, v| if *v > m || m.is_nan() { *v } else { m }),
    })
}

/// Asks every function over `range` at these times and compares with the samples; how many
/// samples statistics stood for.
fn compare(snapshot: &dyn Snapshot, range: i64, when: When) -> u64 {
    let all = run(snapshot, "x[14h]", When::At(START + SAMPLES * STEP)).0;
    let mut summarised = 0;
    for function in FUNCTIONS {
        let text = format!("{function}_over_time(x[{range}ms])");
        let (rows, by_statistics) = run(snapshot, &text, when);
        summarised += by_statistics;
        assert_eq!(rows.len(), 7, "{text}");
        for (name, points) in rows {
            let samples = &all.iter().find(|(known, _)| *known == name).unwrap().1;
            for (t, got) in points {
                let before = |t: i64| samples.partition_point(|s| s.0 <= t);
                let inside = samples[before(t - range)..before(t)].iter();
                let values: Vec<f64> = inside.map(|s| s.1).collect();
                let Some(want) = naive(function, &values) else { continue };
                let exact = got.to_bits() == want.to_bits() || (got.is_nan() && want.is_nan());
                let size: f64 = values.iter().map(|v| v.abs()).sum();
                let near = (got - want).abs() <= 1e-12 * want.abs().max(size * 1e-4);
                let regrouped = function == "sum" || function == "avg";
                assert!(exact || (regrouped && near), "{text} of {name} at {t}: {got}, not {want}");
            }
        }
    }
    summarised
}

fn every_window(snapshot: &dyn Snapshot) {
    let end = START + SAMPLES * STEP - 1;
    let hours = |n: i64| n * 3_600_000;
    assert!(compare(snapshot, hours(9), When::At(end)) > 20_000);
    compare(snapshot, hours(2), When::At(START + hours(5) + 7));
    let spread = |step| When::Range { start: START + hours(1), end, step };
    compare(snapshot, 300_000, spread(90_000));
    compare(snapshot, hours(1), spread(300_000));
    compare(snapshot, hours(3), spread(hours(1)));
    compare(snapshot, 60_000, spread(hours(1)));
    compare(snapshot, 15_000, spread(45_000));
}

#[test]
fn folds_over_the_head_are_those_of_the_samples() {
    every_window(store(true).snapshot().as_ref());
    every_window(store(false).snapshot().as_ref());
}

#[test]
fn folds_over_blocks_are_those_of_the_samples() {
    for shared_grid in [true, false] {
        let store = store(shared_grid);
        for hour in 13..20 {
            store.maintain(START + hour * 3_600_000).unwrap();
        }
        assert!(store.stats().blocks > 0, "nothing was cut");
        every_window(store.snapshot().as_ref());
    }
}

#[test]
fn folds_over_roll_ups_are_those_of_the_samples() {
    for shared_grid in [true, false] {
        let store = store(shared_grid);
        // Merged blocks have roll-ups; the newest hours stay in the head.
        for hour in 1..60 {
            while store.maintain(START + hour * 3_600_000).unwrap().more {}
        }
        let snapshot = store.snapshot();
        let hour = 3_600_000;
        let first = START.div_euclid(hour) * hour + hour;
        let aligned = When::Range { start: first + hour, end: first + 11 * hour, step: hour };
        compare(snapshot.as_ref(), 2 * hour, aligned);
        let rolled = |text: &str, when: When| {
            let engine = Engine::new(EngineOptions::default());
            let query = Query { text, when, lookback: None };
            let answer = engine.run(snapshot.as_ref(), &query, &Uninterrupted).unwrap();
            answer.stats.samples_rolled_up
        };
        let hours = rolled("sum_over_time(x[2h])", aligned);
        assert!(hours > 1000, "{hours} samples from roll-ups");
        let longer = When::Range { start: first + hour, end: first + 11 * hour, step: 4 * hour };
        compare(snapshot.as_ref(), 4 * hour, longer);
        let minutes = When::Range { start: first + hour, end: first + 11 * hour, step: 300_000 };
        compare(snapshot.as_ref(), 600_000, minutes);
        let off = When::Range { start: first + hour + 1, end: first + 11 * hour, step: hour };
        assert_eq!(rolled("sum_over_time(x[2h])", off), 0);
    }
}
