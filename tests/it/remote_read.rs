//! A real Prometheus that has nothing of its own reads everything from the node, and answers as the node
//! does: releases before 3.0 take samples, later ones streamed chunks.

use std::path::{Path, PathBuf};

use prost::Message;
use ringwell::client::{self, Answer};
use serde_json::Value;

use crate::node::{Node, Options, data};
use crate::prometheus::{alike, free_address, installed, start};
use crate::wire::{HEADERS, Histogram, Span, TimeSeries, body, compress, now, series};

/// Every kind of series, up to now: gaps, stale markers, resets, histograms of either kind whose
/// layout changes, and one with more samples than a small frame holds.
fn data_set(end: i64, custom_buckets: bool) -> Vec<TimeSeries> {
    // No sample on the left edge of a window, where releases before 3.0 still count it.
    let start = end - 599_990;
    let floats: Vec<(i64, f64)> =
        (0..600).map(|i| (start + i * 1000 + (i * 37) % 400, (i % 170) as f64 * 1.25)).collect();
    let mut odd: Vec<(i64, f64)> = floats.iter().step_by(7).copied().collect();
    for (i, value) in [f64::from_bits(0x7ff0_0000_0000_0002), f64::NAN, f64::INFINITY, -0.0]
        .into_iter()
        .enumerate()
    {
        odd[20 + 3 * i].1 = value;
    }
    let histogram = |name: &str, of: &dyn Fn(i64) -> Histogram| TimeSeries {
        histograms: (0..60).map(|i| Histogram { t: start + i * 10_000 + i, ..of(i) }).collect(),
        ..series(&[("__name__", name)], &[])
    };
    let mut all = vec![
        series(&[("__name__", "c_total"), ("job", "a")], &floats),
        series(&[("__name__", "c_total"), ("job", "b")], &floats[100..500]),
        series(&[("__name__", "odd"), ("job", "a"), ("text", "ä\"\n")], &odd),
        histogram("whole", &|i| whole(i % 41, i > 50)),
        histogram("float", &|i| float(i)),
        histogram("gauge", &|i| Histogram { reset: 3, ..whole((i * 7) % 23, false) }),
    ];
    if custom_buckets {
        all.push(histogram("custom", &|i| Histogram {
            schema: -53,
            custom_values: vec![0.005, 0.1, 1.0 / 3.0, 10.0],
            ..whole(i, false)
        }));
    }
    all
}

/// A counter after `n` observations or so, with one more bucket where it is `wide`.
fn whole(n: i64, wide: bool) -> Histogram {
    let deltas = if wide { vec![n, 1, -1, 2] } else { vec![n, 1, -1] };
    let sum: i64 = deltas
        .iter()
        .scan(0, |at, d| {
            *at += d;
            Some(*at)
        })
        .sum();
    Histogram {
        count: Some(sum as u64),
        zero: Some(0),
        sum: n as f64 * 0.5,
        positive_spans: vec![
            Span { offset: 0, length: 2 },
            Span { offset: 1, length: deltas.len() as u32 - 2 },
        ],
        positive_deltas: deltas,
        ..Histogram::default()
    }
}

fn float(i: i64) -> Histogram {
    let n = (i % 29) as f64 * 1.5;
    Histogram {
        count_float: Some(n * 2.0 + 1.5),
        zero_float: Some(0.5),
        zero_threshold: if i < 40 { 0.001 } else { 0.25 },
        sum: n,
        schema: 3,
        positive_spans: vec![Span { offset: -2, length: 1 }],
        positive_counts: vec![n],
        negative_spans: vec![Span { offset: 4, length: 1 }],
        negative_counts: vec![n + 1.0],
        ..Histogram::default()
    }
}

/// Instant queries at the end of the data.
const EXPRESSIONS: [&str; 12] = [
    "c_total[10m]",
    "odd[9m17s] offset 30s",
    "{job=~\"a|b\",__name__!=\"odd\"}[3m]",
    "whole[10m]",
    "float[10m]",
    "gauge[10m]",
    "sum by (job) (rate(c_total[1m1s500ms]))",
    "histogram_quantile(0.9, rate(whole[5m3s500ms]))",
    "histogram_quantile(0.9, rate(float[5m3s500ms]))",
    "resets(c_total[8m500ms])",
    "sum(increase(c_total{job!~\"b.*\"}[5m500ms]))",
    "{__name__=\"nobody\"}",
];

fn instant(address: &str, expression: &str, t: i64) -> Value {
    let target =
        format!("/api/v1/query?query={}&time={}", client::encode(expression), t as f64 / 1000.0);
    data(&client::send(address, "GET", &target, &[], b"").unwrap())
}

/// The order of series has no meaning.
fn sorted(mut answer: Value) -> Value {
    if let Some(series) = answer["result"].as_array_mut() {
        series.sort_by_key(|one| one["metric"].to_string());
    }
    answer
}

/// Where two answers part.
fn parting(ours: &Value, theirs: &Value) -> String {
    let (ours, theirs) = (ours.to_string(), theirs.to_string());
    let same = ours.chars().zip(theirs.chars()).take_while(|(a, b)| a == b).count();
    let around =
        |text: &str| text.chars().skip(same.saturating_sub(80)).take(240).collect::<String>();
    format!("ours …{}…, theirs …{}…", around(&ours), around(&theirs))
}

fn reads_alike(program: &Path, custom_buckets: bool, options: Options) {
    let node = options.start();
    let end = now() / 1000 * 1000 + 250;
    assert_eq!(
        node.post("/api/v1/write", &HEADERS, &body(data_set(end, custom_buckets))).status,
        204
    );
    let address = free_address();
    let config =
        format!("remote_read:\n  - url: http://{}/api/v1/read\n    read_recent: true\n", node.http);
    let file = node.dir().join("prometheus.yml");
    std::fs::write(&file, config).unwrap();
    let _prometheus = start(
        program,
        &[
            format!("--config.file={}", file.display()),
            format!("--storage.tsdb.path={}", node.dir().join("prometheus").display()),
            format!("--web.listen-address={address}"),
        ],
    );
    node.wait_for("Prometheus", |_| {
        let answer = client::send(&address, "GET", "/-/ready", &[], b"").ok()?;
        (answer.status == 200).then_some(())
    });
    let custom = ["custom[10m]", "histogram_fraction(0, 0.2, rate(custom[5m3s500ms]))"];
    let more = if custom_buckets { &custom[..] } else { &[] };
    let mut empty = Vec::new();
    // Readers before 2.43 take no histograms.
    let old = !custom_buckets;
    let known = |e: &&&str| !old || ["whole", "float", "gauge"].iter().all(|h| !e.contains(h));
    for expression in EXPRESSIONS.iter().filter(known).chain(more) {
        let ours = sorted(instant(&node.http, expression, end));
        let theirs = sorted(instant(&address, expression, end));
        assert!(alike(&ours, &theirs), "{expression}: {}", parting(&ours, &theirs));
        if ours["result"] == serde_json::json!([]) {
            empty.push(*expression);
        }
    }
    assert_eq!(empty, ["{__name__=\"nobody\"}"]);
}

#[test]
fn debian_s_prometheus_reads_samples() {
    match installed("prometheus") {
        Some(program) => reads_alike(&program, false, Options::default()),
        None => eprintln!("skipped: there is no prometheus on this machine"),
    }
}

#[test]
fn prometheus_3_reads_streamed_chunks() {
    match newer() {
        Some(program) => reads_alike(&program, true, Options::default()),
        None => eprintln!("skipped: no newer prometheus was unpacked (tests/unpack_sid.sh)"),
    }
}

fn newer() -> Option<PathBuf> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/.tools/prometheus3/usr/bin/prometheus");
    path.is_file().then_some(path)
}

#[derive(Clone, PartialEq, prost::Message)]
struct ReadRequest {
    #[prost(message, repeated, tag = "1")]
    queries: Vec<Query>,
    #[prost(int32, repeated, tag = "2")]
    accepted: Vec<i32>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Query {
    #[prost(int64, tag = "1")]
    start: i64,
    #[prost(int64, tag = "2")]
    end: i64,
    #[prost(message, repeated, tag = "3")]
    matchers: Vec<LabelMatcher>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct LabelMatcher {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, tag = "3")]
    value: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ReadResponse {
    #[prost(message, repeated, tag = "1")]
    results: Vec<QueryResult>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct QueryResult {
    #[prost(message, repeated, tag = "1")]
    series: Vec<TimeSeries>,
}

fn read(node: &Node, accepted: &[i32], queries: &[(&str, i64, i64)]) -> Answer {
    let query = |(name, start, end): &(&str, i64, i64)| Query {
        start: *start,
        end: *end,
        matchers: vec![LabelMatcher { kind: 0, name: "__name__".into(), value: (*name).into() }],
    };
    let request =
        ReadRequest { queries: queries.iter().map(query).collect(), accepted: accepted.to_vec() };
    node.post("/api/v1/read", &HEADERS, &compress(&request.encode_to_vec()))
}

#[test]
fn what_is_accepted_is_answered_and_limits_hold() {
    let limits = ["limits.read_samples=1500", "limits.read_frame=1KiB"];
    let options = limits.iter().fold(Options::default(), |o, limit| o.arg("--set").arg(*limit));
    let node = options.start();
    let end = now();
    let sent = data_set(end, true);
    assert_eq!(node.post("/api/v1/write", &HEADERS, &body(sent.clone())).status, 204);

    let answer = read(&node, &[], &[("c_total", end - 600_000, end), ("custom", end, 0)]);
    assert_eq!(answer.header("content-encoding"), Some("snappy"));
    let message = snap::raw::Decoder::new().decompress_vec(&answer.body).unwrap();
    let response = ReadResponse::decode(&message[..]).unwrap();
    assert_eq!(response.results.len(), 2, "a result a query, also where nothing is found");
    assert_eq!(response.results[0].series, sent[..2]);
    assert!(response.results[1].series.is_empty(), "an inverted range holds nothing");
    for series in &sent[3..] {
        let answer = read(&node, &[0], &[(&series.labels[0].value, end - 600_000, end)]);
        let message = snap::raw::Decoder::new().decompress_vec(&answer.body).unwrap();
        let response = ReadResponse::decode(&message[..]).unwrap();
        assert!(response.results[0].series[0] == *series, "{:?}", series.labels);
    }

    let too_many = read(&node, &[0], &[("c_total", 0, end), ("c_total", 0, end)]);
    assert_eq!(
        (too_many.status, too_many.text().as_str()),
        (400, "exceeded sample limit (1500)\n")
    );
    let streamed = read(&node, &[1, 0], &[("c_total", 0, end), ("c_total", 0, end)]);
    let media = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";
    assert_eq!((streamed.status, streamed.header("content-type")), (200, Some(media)));
    let frames = frames(&streamed.body);
    assert!(frames.len() > 4 && frames.iter().all(|size| *size < 2600), "{frames:?}");
    let nothing = read(&node, &[1], &[("nobody", 0, end)]);
    assert_eq!((nothing.status, nothing.body.len()), (200, 0));

    assert_eq!(read(&node, &[7], &[]).status, 400);
    assert_eq!(node.post("/api/v1/read", &HEADERS, b"no snappy").status, 400);
    assert_eq!(node.post("/api/v1/read", &HEADERS, &compress(b"\x0a\x05")).status, 400);
    assert_eq!(node.get("/api/v1/read").status, 405);
}

/// Sizes of the frames of a stream, each held against its checksum.
fn frames(mut bytes: &[u8]) -> Vec<usize> {
    let mut sizes = Vec::new();
    while !bytes.is_empty() {
        let size = prost::encoding::decode_varint(&mut bytes).unwrap() as usize;
        let (checksum, rest) = bytes.split_at(4);
        let (message, rest) = rest.split_at(size);
        assert_eq!(checksum, crc32c::crc32c(message).to_be_bytes());
        sizes.push(size);
        bytes = rest;
    }
    sizes
}
