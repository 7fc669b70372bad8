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

/// Name, whether a range query, expression.
const QUERIES: &[(&str, &str, &str)] = &[
    ("instant, one series", "instant", r#"agent_requests_0_total{agent="agent-7"}"#),
    (
        "range 1 h at 15 s, rate by agent",
        "range",
        "sum by (agent) (rate(agent_requests_0_total[5m]))",
    ),
    (
        "range 1 h at 15 s, histogram_quantile",
        "range",
        "histogram_quantile(0.95, sum by (le) (rate(agent_latency_seconds_bucket[5m])))",
    ),
    ("range 1 h at 15 s, one series", "range", r#"agent_gauge_1{agent="agent-7"}"#),
];

struct Row {
    name: String,
    wall: Duration,
    ingest: Usage,
    settled: Usage,
    disk: u64,
    queries: Vec<(Duration, f64)>,
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
    let queries = QUERIES.iter().map(|(_, kind, q)| ask(server, fleet, kind, q)).collect();
    Row { name: server.name().to_owned(), wall, ingest, settled, disk, queries }
}

fn ask(server: &Server, fleet: &Fleet, kind: &str, query: &str) -> (Duration, f64) {
    let end = fleet.end_seconds();
    let encoded = http::encode(query);
    let path = match kind {
        "range" => format!(
            "/api/v1/query_range?query={encoded}&start={}&end={end}&step=15&nocache=1",
            end - 3600
        ),
        _ => format!("/api/v1/query?query={encoded}&time={end}&nocache=1"),
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
    for (i, (name, _, _)) in QUERIES.iter().enumerate() {
        let cell = |r: &Row| {
            let (wall, cpu) = &r.queries[i];
            format!("{:.2} / {:.1}", wall.as_secs_f64() * 1e3, cpu * 1e3)
        };
        println!("| {name} | {} |", join(rows, cell));
    }
}

fn join(rows: &[Row], cell: impl Fn(&Row) -> String) -> String {
    rows.iter().map(cell).collect::<Vec<_>>().join(" | ")
}
