//! CPU time of queries over a fleet in a store of this process, without HTTP: where to look with a
//! profiler before and after a change of the engine.
//!
//! `cargo bench -p ringwell-query --bench queries -- [words of a query]`. `RINGWELL_BENCH_AGENTS` and
//! `RINGWELL_BENCH_STEPS` choose the data (10 s apart), `RINGWELL_BENCH_RUNS` how often each query
//! runs, `RINGWELL_BENCH_BLOCKS=1` cuts the data into blocks on the disk first.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::sync::Arc;

use ringwell_query::{Engine, EngineOptions, Query, Uninterrupted, When};
use ringwell_storage::append::{Batch, Duplicates, SeriesRef, SeriesSamples};
use ringwell_storage::disk::{Disk, MemDisk, OsDisk};
use ringwell_storage::model::{Labels, Sample, Value};
use ringwell_storage::read::Queryable;
use ringwell_storage::store::{Options, Store};

const START: i64 = 1_760_000_400_000;
const STEP: i64 = 10_000;
const BOUNDS: [&str; 12] =
    ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"];

/// Hours back from the end, seconds between steps (0 = instant), expression.
const QUERIES: &[(i64, i64, &str)] = &[
    (6, 60, "rate(requests_total[5m])"),
    (6, 60, "sum by (agent) (rate(requests_total[5m]))"),
    (6, 60, "histogram_quantile(0.95, sum by (le) (rate(latency_seconds_bucket[5m])))"),
    (6, 0, "count_over_time(gauge[6h])"),
    (6, 0, "sum_over_time(gauge[6h])"),
    (6, 0, "avg_over_time(gauge[6h])"),
    (6, 0, "max_over_time(gauge[6h])"),
    (6, 0, "quantile_over_time(0.95, gauge[6h])"),
    (5, 60, "max_over_time(gauge[1h])"),
    (5, 60, "avg_over_time(gauge[1h])"),
    (6, 60, "avg(gauge)"),
    (0, 0, "gauge"),
    (0, 0, "rate(requests_total[5m])"),
];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    // `cargo test` runs benches with --test: compiling them is the test.
    if std::env::args().any(|a| a == "--test") {
        return;
    }
    let (agents, steps) = (env("RINGWELL_BENCH_AGENTS", 20), env("RINGWELL_BENCH_STEPS", 2200));
    let runs = env("RINGWELL_BENCH_RUNS", 200);
    let dir = tempfile::tempdir().unwrap();
    let blocks = env("RINGWELL_BENCH_BLOCKS", 0) > 0;
    let disk: Arc<dyn Disk> =
        if blocks { Arc::new(OsDisk::open(dir.path()).unwrap()) } else { Arc::new(MemDisk::new()) };
    let store = filled(disk, agents, steps);
    let end = START + (steps - 1) * STEP;
    if blocks {
        for hours in 2..40 {
            store.maintain(end + hours * 3_600_000).unwrap();
        }
    }
    let engine = Engine::new(EngineOptions { parallelism: 1, ..EngineOptions::default() });
    println!("{} series, {steps} steps, CPU microseconds a query", agents * 14);
    for (hours, step, text) in QUERIES {
        if !words.iter().all(|word| text.contains(word.as_str())) {
            continue;
        }
        let when = match step {
            0 => When::At(end),
            _ => When::Range { start: end - hours * 3_600_000, end, step: step * 1000 },
        };
        let query = Query { text, when, lookback: None };
        let before = cpu_nanos();
        for _ in 0..runs {
            engine.run(store.snapshot().as_ref(), &query, &Uninterrupted).unwrap();
        }
        let each = (cpu_nanos() - before) as f64 / 1e3 / runs as f64;
        println!("{each:10.1}  {text}{}", if *step == 0 { "" } else { ", a range" });
    }
}

fn env(name: &str, default: i64) -> i64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

/// CPU time of this thread.
fn cpu_nanos() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

fn filled(disk: Arc<dyn Disk>, agents: i64, steps: i64) -> Store {
    let store = Store::open(disk, Options::default(), START).unwrap();
    let mut all: Vec<(Labels, f64)> = Vec::new();
    for agent in 0..agents {
        let agent = format!("agent-{agent}");
        let mut add = |name: &str, le: Option<&str>, value: f64| {
            let mut pairs = vec![("__name__", name), ("agent", &agent), ("cluster", "eu-1")];
            pairs.extend(le.map(|le| ("le", le)));
            all.push((Labels::from_pairs(pairs).unwrap(), value));
        };
        add("requests_total", None, 0.0);
        add("gauge", None, 50.0);
        BOUNDS.iter().for_each(|le| add("latency_seconds_bucket", Some(le), 0.0));
    }
    let mut random = 7_u64;
    for step in 0..steps {
        let t = START + step * STEP;
        let series = all.iter_mut().map(|(labels, value)| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let unit = (random >> 11) as f64 / (1_u64 << 53) as f64;
            *value = match labels.metric_name() {
                "gauge" => ((*value + unit - 0.5).clamp(0.0, 100.0) * 100.0).round() / 100.0,
                _ => *value + (unit * 40.0).floor(),
            };
            let sample = Sample { t, start: 0, value: Value::Float(*value) };
            SeriesSamples { series: SeriesRef::Labels(labels.clone()), samples: [sample].into() }
        });
        let batch = Batch { series: series.collect(), duplicates: Duplicates::Reject };
        store.append(&batch, t).unwrap();
    }
    store
}
