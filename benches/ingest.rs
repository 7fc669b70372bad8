//! What taking samples costs, beside Prometheus and VictoriaMetrics: one workload after the other, the servers
//! in turns, and at the end a kill and a restart. Prints the tables of docs/performance.md.
//!
//! `cargo bench --bench ingest`. `RINGWELL_BENCH_WORKLOAD` takes one of [`WORKLOADS`],
//! `RINGWELL_BENCH_BODIES` a file of recorded requests instead, `RINGWELL_BENCH_CONNECTIONS` another number
//! than 2, `RINGWELL_BENCH_RUNS` how often the turns are taken; medians count. Servers run on CPU 1, this
//! client on CPU 0 where `taskset` is there. Only figures of one run may be compared with each other.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[path = "support/bodies.rs"]
mod bodies;
#[path = "support/fleet.rs"]
#[allow(dead_code, reason = "shared with `compare`, which asks queries too")]
mod fleet;
#[path = "support/http.rs"]
mod http;
#[path = "support/server.rs"]
mod server;

use std::time::{Duration, Instant};

use fleet::{Fleet, Request};
use server::{Kind, Server};

/// Name, samples in a request, and the fleet.
type Workload = (&'static str, usize, fn() -> Fleet);

const WORKLOADS: [Workload; 5] = [
    ("fleet", 2_000, || Fleet::new(7, 52, 2160)),
    ("jitter", 2_000, || Fleet::new(7, 52, 2160).jittering(12)),
    ("devops", 5_000, || Fleet::new(7, 400, 1440).of_hosts()),
    ("churn", 2_000, || Fleet::new(7, 200, 360).churning()),
    ("wide", 10_000, || Fleet::new(7, 1819, 66)),
];

/// What one server needed for one workload.
struct Row {
    server: &'static str,
    wall: Duration,
    cpu_seconds: f64,
    idle_mb: f64,
    peak_mb: f64,
    resident_mb: f64,
    written: u64,
    disk: u64,
    restart: Duration,
}

fn main() {
    // `cargo test` runs benches with --test: compiling them is the test.
    if std::env::args().any(|a| a == "--test") {
        return;
    }
    if let Ok(path) = std::env::var("RINGWELL_BENCH_BODIES") {
        return compare(&path, &bodies::from_file(&path), None);
    }
    let only = std::env::var("RINGWELL_BENCH_WORKLOAD").ok();
    for (name, batch, fleet) in WORKLOADS {
        if only.as_ref().is_none_or(|only| only == name) {
            let fleet = fleet();
            let requests = fleet.requests_of(env("RINGWELL_BENCH_CONNECTIONS", 2), batch);
            compare(name, &requests, Some(fleet.series()));
        }
    }
}

fn env(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

/// Ringwell as it comes and with looser syncs, and the peers.
fn contenders() -> Vec<Kind> {
    let mut kinds = server::available();
    if let Some(ringwell) = kinds.iter().position(|kind| kind.name == "ringwell") {
        let loose = kinds[ringwell].with("ringwell, 100 ms", "--set=wal.sync=100ms");
        kinds.insert(ringwell + 1, loose);
    }
    kinds
}

fn compare(workload: &str, requests: &[Vec<Request>], series: Option<usize>) {
    let samples: usize = requests.iter().flatten().map(|request| request.samples).sum();
    let kinds = contenders();
    let mut rows = Vec::new();
    for _ in 0..env("RINGWELL_BENCH_RUNS", 1) {
        for kind in &kinds {
            eprintln!("{workload}: {}", kind.name);
            rows.push(measure(kind, requests));
        }
    }
    let connections = requests.len();
    println!("**{workload}**, {samples} samples, {connections} connections\n");
    print(&kinds, &rows, samples, series);
}

fn measure(kind: &Kind, requests: &[Vec<Request>]) -> Row {
    let server = Server::start(kind);
    std::thread::sleep(Duration::from_secs(1));
    let before = server.usage();
    let started = Instant::now();
    std::thread::scope(|scope| {
        for own in requests {
            scope.spawn(|| send(&server, own));
        }
    });
    let wall = started.elapsed();
    let ingest = server.usage().since(&before);
    server.settle();
    let settled = server.usage();
    let disk = server.disk();
    let (server, restart) = server.kill_and_start(kind);
    server.stop();
    Row {
        server: kind.name,
        wall,
        cpu_seconds: ingest.cpu_seconds,
        idle_mb: before.resident_mb,
        peak_mb: settled.peak_mb,
        resident_mb: settled.resident_mb,
        written: settled.since(&before).written,
        disk,
        restart,
    }
}

fn send(server: &Server, requests: &[Request]) {
    let mut client = http::Client::connect(server.port());
    for Request { body, .. } in requests {
        let path = server.write_path();
        let status = client.post(path, "application/x-protobuf", Some("snappy"), body).unwrap();
        assert!((200..300).contains(&status.0), "{}: {status:?}", server.name());
    }
}

fn print(kinds: &[Kind], rows: &[Row], samples: usize, series: Option<usize>) {
    let names: Vec<_> = kinds.iter().map(|kind| kind.name).collect();
    println!("| | {} |\n|---|{}", names.join(" | "), "---|".repeat(names.len()));
    let samples = samples as f64;
    let line = |name: &str, places: usize, value: &dyn Fn(&Row) -> f64| {
        let cell = |server: &&str| {
            let of = rows.iter().filter(|row| row.server == *server);
            format!("{:.places$}", median(of.map(value).collect()))
        };
        println!("| {name} | {} |", names.iter().map(cell).collect::<Vec<_>>().join(" | "));
    };
    line("server CPU-s a million samples", 2, &|r| r.cpu_seconds / samples * 1e6);
    line("k samples/s, wall", 0, &|r| samples / 1e3 / r.wall.as_secs_f64());
    line("idle and empty, resident MB", 0, &|r| r.idle_mb);
    line("peak resident MB", 0, &|r| r.peak_mb);
    if let Some(series) = series {
        let kb = |mb: f64| mb * 1024.0 / series as f64;
        line("resident KB a series", 2, &|r| kb(r.resident_mb - r.idle_mb));
    }
    line("bytes written a sample", 2, &|r| r.written as f64 / samples);
    line("bytes a sample on disk", 2, &|r| r.disk as f64 / samples);
    line("ready after kill -9, ms", 0, &|r| r.restart.as_secs_f64() * 1e3);
    println!();
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
