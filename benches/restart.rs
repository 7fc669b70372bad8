//! The first right answer after kill -9, on the real binary: a load, a kill where it stands, a start, and the
//! time until a query that was sent at once has the answer that it had before.
//!
//! `cargo bench --bench restart`. `RINGWELL_BENCH_WORKLOAD` takes one of [`WORKLOADS`]; `RINGWELL_BENCH_RUNS`
//! says how often it is killed and started, the median counts; `RINGWELL_BENCH_KEEP` names a directory to
//! leave the data of the last kill in, for a profiler. The server runs on CPU 1 where `taskset` is there;
//! `RINGWELL_BENCH_CORES=0,1` gives it others.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[path = "support/fleet.rs"]
#[allow(dead_code, reason = "shared with `compare`, which uses all of it")]
mod fleet;
#[path = "support/http.rs"]
#[allow(dead_code, reason = "shared with `compare`, which uses all of it")]
mod http;
#[path = "support/server.rs"]
#[allow(dead_code, reason = "shared with `compare`, which uses all of it")]
mod server;

use std::time::{Duration, Instant};

use fleet::Fleet;
use http::encode;
use server::{Kind, Server};

/// Name, samples in a request, and the fleet.
type Workload = (&'static str, usize, fn() -> Fleet);

const WORKLOADS: [Workload; 3] = [
    ("fleet", 2_000, || Fleet::new(7, 52, 2160)),
    ("wide", 10_000, || Fleet::new(7, 1819, 66)),
    ("a million", 10_000, || Fleet::new(7, 18_182, 3)),
];

/// What one start took.
struct Start {
    answered: Duration,
    cpu_seconds: f64,
    log_bytes: u64,
}

fn main() {
    // `cargo test` runs benches with --test: compiling them is the test.
    if std::env::args().any(|a| a == "--test") {
        return;
    }
    let only = std::env::var("RINGWELL_BENCH_WORKLOAD").ok();
    let kinds = server::available();
    let kind = kinds.iter().find(|kind| kind.is("ringwell")).unwrap();
    println!("| | series | samples | log MB replayed | first right answer, s | CPU-s until then |");
    println!("|---|---|---|---|---|---|");
    for (name, batch, fleet) in WORKLOADS {
        if only.as_ref().is_none_or(|only| only == name) {
            measure(kind, name, &fleet(), batch);
        }
    }
}

fn measure(kind: &Kind, name: &str, fleet: &Fleet, batch: usize) {
    let mut server = Server::start(kind);
    write(&server, fleet, batch);
    let before = ask(&server, fleet);
    let mut starts = Vec::new();
    for _ in 0..env("RINGWELL_BENCH_RUNS", 3) {
        let dir = server.kill();
        if let Ok(keep) = std::env::var("RINGWELL_BENCH_KEEP") {
            copy(&dir.path().join("data"), std::path::Path::new(&keep));
        }
        let started = Instant::now();
        server = Server::spawn_in(kind, dir);
        server.await_connect();
        let answer = ask(&server, fleet);
        let answered = started.elapsed();
        assert_eq!(answer, before, "the first answer is right");
        let cpu_seconds = server.usage().cpu_seconds;
        starts.push(Start { answered, cpu_seconds, log_bytes: replayed(&server) });
    }
    server.stop();
    let median = |of: &dyn Fn(&Start) -> f64| {
        let mut all: Vec<f64> = starts.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    println!(
        "| {name} | {} | {} | {:.1} | {:.2} | {:.2} |",
        fleet.series(),
        fleet.samples(),
        median(&|s| s.log_bytes as f64) / 1e6,
        median(&|s| s.answered.as_secs_f64()),
        median(&|s| s.cpu_seconds),
    );
}

fn write(server: &Server, fleet: &Fleet, batch: usize) {
    let mut client = http::Client::connect(server.port());
    for body in fleet.requests(batch) {
        let path = server.write_path();
        let status = client.post(path, "application/x-protobuf", Some("snappy"), &body).unwrap();
        assert!((200..300).contains(&status.0), "{status:?}");
    }
}

/// All samples of one agent's gauges, and how many series there are at the end.
fn ask(server: &Server, fleet: &Fleet) -> String {
    let expressions =
        ["agent_gauge_1{agent=\"agent-7\"}[1d]", "count({__name__=\"agent_requests_3_total\"})"];
    let mut client = http::Client::connect(server.port());
    let answers = expressions.map(|expression| {
        let end = fleet.end_seconds();
        let path = format!("/api/v1/query?query={}&time={end}", encode(expression));
        let (status, answer) = client.get(&path).unwrap();
        assert_eq!(status, 200, "{answer}");
        answer
    });
    answers.concat()
}

/// Bytes of the log that the last start read, by its own account.
fn replayed(server: &Server) -> u64 {
    let log = server.log();
    let line = log.lines().rfind(|line| line.contains("log replayed")).unwrap_or_default();
    let bytes = line.split(" bytes=").nth(1).and_then(|rest| rest.split(' ').next());
    bytes.and_then(|bytes| bytes.parse().ok()).unwrap_or_else(|| panic!("no bytes: {line}"))
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    drop(std::fs::remove_dir_all(to));
    let done = std::process::Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(done.success());
}

fn env(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}
