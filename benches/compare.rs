//! The base line: one seeded fleet, written and queried on Ringwell, Prometheus and VictoriaMetrics,
//! one after the other in one run. Prints the tables of docs/performance.md.
//!
//! `cargo bench --bench compare` or `make bench`. Servers run on CPU 1, this client on CPU 0, where
//! `taskset` is there. Only figures of one run may be compared with each other.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[path = "support/fleet.rs"]
mod fleet;
#[path = "support/http.rs"]
mod http;
#[path = "support/server.rs"]
mod server;

use std::time::{Duration, Instant};

use fleet::Fleet;
use server::{Server, Usage};

/// Samples in one request.
const BATCH: usize = 2_000;
/// Times a query is asked; the median counts.
const ASKED: usize = 21;

/// At which times a query is asked.
#[derive(Clone, Copy)]
enum When {
    /// At the end of the data.
    Instant,
    /// Up to there: hours, and seconds between steps.
    Range(i64, i64),
}

use When::{Instant as Now, Range};

/// Name, times, the hours of data it needs, expression.
const QUERIES: &[(&str, When, i64, &str)] = &[
    ("instant, one series", Now, 0, r#"agent_requests_0_total{agent="agent-7"}"#),
    (
        "range 1 h at 15 s, rate by agent",
        Range(1, 15),
        1,
        "sum by (agent) (rate(agent_requests_0_total[5m]))",
    ),
    (
        "range 1 h at 15 s, histogram_quantile",
        Range(1, 15),
        1,
        "histogram_quantile(0.95, sum by (le) (rate(agent_latency_seconds_bucket[5m])))",
    ),
    ("range 1 h at 15 s, one series", Range(1, 15), 1, r#"agent_gauge_1{agent="agent-7"}"#),
    ("range 6 h at 60 s, rate", Range(6, 60), 6, "rate(agent_requests_0_total[5m])"),
    (
        "range 6 h at 60 s, sum by rate",
        Range(6, 60),
        6,
        "sum by (agent) (rate(agent_requests_0_total[5m]))",
    ),
    (
        "range 6 h at 60 s, histogram_quantile",
        Range(6, 60),
        6,
        "histogram_quantile(0.95, sum by (le) (rate(agent_latency_seconds_bucket[5m])))",
    ),
    ("6 h, count_over_time", Now, 6, "count_over_time(agent_gauge_1[6h])"),
    ("6 h, sum_over_time", Now, 6, "sum_over_time(agent_gauge_1[6h])"),
    ("6 h, avg_over_time", Now, 6, "avg_over_time(agent_gauge_1[6h])"),
    ("6 h, max_over_time", Now, 6, "max_over_time(agent_gauge_1[6h])"),
    ("6 h, quantile_over_time", Now, 6, "quantile_over_time(0.95, agent_gauge_1[6h])"),
    ("24 h, count_over_time", Now, 24, "count_over_time(agent_gauge_1[1d])"),
    ("24 h, avg_over_time", Now, 24, "avg_over_time(agent_gauge_1[1d])"),
    ("24 h, max_over_time", Now, 24, "max_over_time(agent_gauge_1[1d])"),
    ("24 h, quantile_over_time", Now, 24, "quantile_over_time(0.95, agent_gauge_1[1d])"),
];

struct Row {
    name: String,
    wall: Duration,
    ingest: Usage,
    settled: Usage,
    disk: u64,
    /// None where the data does not reach that far.
    queries: Vec<Option<(Duration, f64)>>,
}

fn main() {
    // `cargo test` runs benches with --test: compiling them is the test.
    if std::env::args().any(|a| a == "--test") {
        return;
    }
    let steps = env("RINGWELL_BENCH_STEPS", 720);
    let agents = env("RINGWELL_BENCH_AGENTS", 50);
    let fleet = Fleet::new(7, agents, steps);
    let requests = fleet.requests(BATCH);
    let samples = fleet.samples();
    let wire: usize = requests.iter().map(Vec::len).sum();
    println!(
        "Workload: {} series, {steps} steps of 10 s, {samples} samples, {BATCH} a request, \
         {:.1} bytes a sample on the wire.\n",
        fleet.series(),
        wire as f64 / samples as f64
    );
    let mut rows = Vec::new();
    for kind in server::available() {
        let mut server = Server::start(&kind);
        eprintln!("{}: writing", server.name());
        rows.push(measure(&mut server, &fleet, &requests));
        server.stop();
    }
    print_ingest(&rows, samples);
    print_queries(&rows);
}

fn env(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

fn measure(server: &mut Server, fleet: &Fleet, requests: &[Vec<u8>]) -> Row {
    let before = server.usage();
    let started = Instant::now();
    let mut client = http::Client::connect(server.port());
    for body in requests {
        let path = server.write_path();
        let status = client.post(path, "application/x-protobuf", Some("snappy"), body).unwrap();
        assert!((200..300).contains(&status.0), "{}: {status:?}", server.name());
    }
    let wall = started.elapsed();
    let ingest = server.usage().since(&before);
    server.settle();
    let settled = server.usage();
    let disk = server.disk();
    let queries = QUERIES
        .iter()
        .map(|(_, when, hours, q)| {
            let known = fleet.hours() >= *hours;
            known.then(|| ask(server, fleet, *when, q))
        })
        .collect();
    Row { name: server.name().to_owned(), wall, ingest, settled, disk, queries }
}

fn ask(server: &Server, fleet: &Fleet, when: When, query: &str) -> (Duration, f64) {
    let end = fleet.end_seconds();
    let encoded = http::encode(query);
    let path = match when {
        Range(hours, step) => format!(
            "/api/v1/query_range?query={encoded}&start={}&end={end}&step={step}&nocache=1",
            end - hours * 3600
        ),
        Now => format!("/api/v1/query?query={encoded}&time={end}&nocache=1"),
    };
    let mut client = http::Client::connect(server.port());
    let before = server.usage();
    let mut times = Vec::new();
    for _ in 0..ASKED {
        let started = Instant::now();
        let (status, body) = client.get(&path).unwrap();
        times.push(started.elapsed());
        assert_eq!(status, 200, "{}: {body}", server.name());
    }
    times.sort();
    let cpu = server.usage().since(&before).cpu_seconds / ASKED as f64;
    (times[ASKED / 2], cpu)
}

fn print_ingest(rows: &[Row], samples: usize) {
    let million = samples as f64 / 1e6;
    println!("| ingest | {} |", join(rows, |r| r.name.clone()));
    println!("|---|{}", "---|".repeat(rows.len()));
    let line = |name: &str, value: &dyn Fn(&Row) -> String| {
        println!("| {name} | {} |", join(rows, value));
    };
    line("k samples/s, wall", &|r| format!("{:.0}", samples as f64 / 1e3 / r.wall.as_secs_f64()));
    line("server CPU-s a million samples", &|r| format!("{:.2}", r.ingest.cpu_seconds / million));
    line("peak resident MB", &|r| format!("{:.0}", r.settled.peak_mb));
    line("bytes a sample on disk after settling", &|r| {
        format!("{:.2}", r.disk as f64 / samples as f64)
    });
    println!();
}

fn print_queries(rows: &[Row]) {
    println!("| query, median ms / CPU ms | {} |", join(rows, |r| r.name.clone()));
    println!("|---|{}", "---|".repeat(rows.len()));
    for (i, (name, ..)) in QUERIES.iter().enumerate() {
        if rows.iter().all(|r| r.queries[i].is_none()) {
            continue;
        }
        let cell = |r: &Row| {
            let Some((wall, cpu)) = &r.queries[i] else { return String::new() };
            format!("{:.2} / {:.1}", wall.as_secs_f64() * 1e3, cpu * 1e3)
        };
        println!("| {name} | {} |", join(rows, cell));
    }
}

fn join(rows: &[Row], cell: impl Fn(&Row) -> String) -> String {
    rows.iter().map(cell).collect::<Vec<_>>().join(" | ")
}
