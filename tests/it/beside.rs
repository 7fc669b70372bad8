//! Exemplars and metadata: kept from remote write and text, over restarts, and answered as Prometheus does.

use std::path::Path;

use prost::Message;
use ringwell::client;
use serde_json::{Value, json};

use crate::node::{Node, Options, data};
use crate::prometheus::{free_address, start};
use crate::wire::{HEADERS, Label, Sample, compress, now, v2};

#[derive(Clone, PartialEq, prost::Message)]
struct Request {
    #[prost(message, repeated, tag = "1")]
    series: Vec<Series>,
    #[prost(message, repeated, tag = "3")]
    metadata: Vec<Metadata>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Series {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    exemplars: Vec<Exemplar>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Exemplar {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(double, tag = "2")]
    value: f64,
    #[prost(int64, tag = "3")]
    t: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Metadata {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(string, tag = "2")]
    metric: String,
    #[prost(string, tag = "4")]
    help: String,
    #[prost(string, tag = "5")]
    unit: String,
}

fn labels(pairs: &[(&str, &str)]) -> Vec<Label> {
    let label =
        |(name, value): &(&str, &str)| Label { name: (*name).into(), value: (*value).into() };
    pairs.iter().map(label).collect()
}

/// Time, value and labels.
type Told<'a> = (i64, f64, &'a [(&'a str, &'a str)]);

fn series(pairs: &[(&str, &str)], t: i64, exemplars: &[Told<'_>]) -> Series {
    let exemplar =
        |(t, value, pairs): &Told<'_>| Exemplar { labels: labels(pairs), value: *value, t: *t };
    Series {
        labels: labels(pairs),
        samples: vec![Sample { value: 1.0, t }],
        exemplars: exemplars.iter().map(exemplar).collect(),
    }
}

/// Two requests; the second brings an exemplar again, a late one, and one whose labels are too long.
fn requests(t: i64) -> [Request; 2] {
    let a = [("__name__", "h_bucket"), ("job", "a"), ("le", "1")];
    let b = [("__name__", "h_bucket"), ("job", "b"), ("le", "1")];
    let long = "x".repeat(130);
    let first = vec![
        series(&a, t, &[(t - 500, 0.25, &[("trace_id", "abc")]), (t, 1e-9, &[])]),
        series(&b, t, &[(t, f64::INFINITY, &[("trace_id", "ü\"\n")])]),
    ];
    let second = vec![
        series(&a, t + 10, &[(t, 1e-9, &[]), (t + 5, 2.0, &[("trace_id", &long)])]),
        series(
            &b,
            t + 10,
            &[(t - 900, 3.0, &[("span", "late")]), (t + 1, 0.5, &[("trace_id", "2")])],
        ),
    ];
    [first, second].map(|series| Request { series, metadata: vec![] })
}

fn write(address: &str, request: &Request) -> u16 {
    let body = compress(&request.encode_to_vec());
    client::send(address, "POST", "/api/v1/write", &HEADERS, &body).unwrap().status
}

const ASKED: [&str; 9] = [
    "query_exemplars?query=h_bucket",
    "query_exemplars?query=sum(rate(h_bucket%7Bjob=%22a%22%7D[5m]))%2Bnobody",
    "query_exemplars?query=h_bucket%7Bjob!=%22a%22%7D%20or%20h_bucket%7Bjob=%22b%22%7D",
    "query_exemplars?query=nobody",
    "query_exemplars?query=1",
    "query_exemplars?query=",
    "query_exemplars?query=a%7B",
    "query_exemplars?query=a&start=5&end=3",
    "query_exemplars?query=a&start=x",
];

fn answers(address: &str, t: i64) -> Vec<(u16, String)> {
    let seconds = |t: i64| t as f64 / 1000.0;
    let range =
        format!("query_exemplars?query=h_bucket&start={}&end={}", seconds(t - 500), seconds(t));
    let asked = ASKED.iter().map(|asked| (*asked).to_owned()).chain([range]);
    let get = |target: String| {
        let target = format!("/api/v1/{target}");
        let answer = client::send(address, "GET", &target, &[], b"").unwrap();
        (answer.status, answer.text())
    };
    asked.map(get).collect()
}

#[test]
fn exemplars_are_answered_as_by_prometheus_and_survive_a_kill() {
    let mut node = Node::start();
    let t = now() / 1000 * 1000 + 123;
    for request in requests(t) {
        assert_eq!(write(&node.http, &request), 204);
    }
    let ours = answers(&node.http, t);
    let found: Value = serde_json::from_str(&ours[0].1).unwrap();
    let first = &found["data"][0];
    assert_eq!(first["seriesLabels"], json!({"__name__": "h_bucket", "job": "a", "le": "1"}));
    let times: Vec<&Value> =
        first["exemplars"].as_array().unwrap().iter().map(|e| &e["timestamp"]).collect();
    assert_eq!(times, [&json!((t - 500) as f64 / 1000.0), &json!(t as f64 / 1000.0)]);
    let metrics = node.get("/metrics").text();
    assert!(metrics.contains("ringwell_ingest_exemplars_total{source=\"remote_write\"} 5\n"));
    assert!(
        metrics.contains("ringwell_ingest_exemplars_refused_total{source=\"remote_write\"} 2\n")
    );
    assert!(metrics.contains("\nringwell_exemplars 4\n"));
    node.kill();
    node.restart();
    assert_eq!(answers(&node.http, t), ours);
    let program =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/.tools/prometheus3/usr/bin/prometheus");
    if !program.is_file() {
        return eprintln!("skipped: no newer prometheus was unpacked (tests/unpack_sid.sh)");
    }
    let (address, file) = (free_address(), node.dir().join("p.yml"));
    std::fs::write(&file, "storage: {exemplars: {max_exemplars: 100}}\n").unwrap();
    let _prometheus = start(
        &program,
        &[
            format!("--config.file={}", file.display()),
            format!("--storage.tsdb.path={}", node.dir().join("prometheus").display()),
            format!("--web.listen-address={address}"),
            "--web.enable-remote-write-receiver".to_owned(),
            "--enable-feature=exemplar-storage".to_owned(),
        ],
    );
    node.wait_for("Prometheus", |_| {
        let answer = client::send(&address, "GET", "/-/ready", &[], b"").ok()?;
        (answer.status == 200).then_some(())
    });
    for request in requests(t) {
        write(&address, &request);
    }
    let theirs = answers(&address, t);
    for (i, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        assert_eq!(ours, theirs, "{:?}", ASKED.get(i));
    }
}

#[test]
fn the_oldest_exemplars_make_room() {
    let node = Options::default().arg("--set").arg("limits.exemplars=3").start();
    for request in requests(now()) {
        assert_eq!(write(&node.http, &request), 204);
    }
    let found = data(&node.get("/api/v1/query_exemplars?query=h_bucket"));
    let counts: Vec<usize> = found
        .as_array()
        .unwrap()
        .iter()
        .map(|series| series["exemplars"].as_array().unwrap().len())
        .collect();
    assert_eq!(counts, [1, 2]);
}

#[derive(Clone, PartialEq, prost::Message)]
struct Request2 {
    #[prost(string, repeated, tag = "4")]
    symbols: Vec<String>,
    #[prost(message, repeated, tag = "5")]
    series: Vec<Series2>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Series2 {
    #[prost(uint32, repeated, tag = "1")]
    refs: Vec<u32>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<v2::Sample>,
    #[prost(message, repeated, tag = "4")]
    exemplars: Vec<Exemplar2>,
    #[prost(message, optional, tag = "5")]
    metadata: Option<Metadata2>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Exemplar2 {
    #[prost(uint32, repeated, tag = "1")]
    refs: Vec<u32>,
    #[prost(double, tag = "2")]
    value: f64,
    #[prost(int64, tag = "3")]
    t: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Metadata2 {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(uint32, tag = "3")]
    help: u32,
    #[prost(uint32, tag = "4")]
    unit: u32,
}

#[test]
fn what_metrics_mean_is_known_from_every_sender_and_after_a_kill() {
    let mut node = Node::start();
    let t = now();
    let metadata = |metric: &str, kind, help: &str| Metadata {
        kind,
        metric: metric.into(),
        help: help.into(),
        unit: String::new(),
    };
    let told = vec![metadata("a", 1, "first"), metadata("b", 2, "b")];
    assert_eq!(write(&node.http, &Request { series: vec![], metadata: told }), 204);
    let told = vec![metadata("a", 1, "second"), metadata("b", 2, "b")];
    assert_eq!(write(&node.http, &Request { series: vec![], metadata: told }), 204);
    let symbols = ["", "__name__", "c_bucket", "help of c", "seconds", "trace_id", "7"];
    let two = Request2 {
        symbols: symbols.map(str::to_owned).to_vec(),
        series: vec![Series2 {
            refs: vec![1, 2],
            samples: vec![v2::Sample { value: 1.0, t, start: 0 }],
            exemplars: vec![Exemplar2 { refs: vec![5, 6], value: 3.0, t }],
            metadata: Some(Metadata2 { kind: 3, help: 3, unit: 4 }),
        }],
    };
    let answer = node.post("/api/v1/write", &v2::HEADERS, &compress(&two.encode_to_vec()));
    assert_eq!(answer.status, 204, "{}", answer.text());
    assert_eq!(answer.header("x-prometheus-remote-write-exemplars-written"), Some("1"));
    let text = b"# HELP d Words\\nin lines\n# TYPE d summary\n# UNIT d bytes\nd_sum 1\n";
    assert_eq!(node.post("/api/v1/import/prometheus", &[], text).status, 204);
    let get = |node: &Node, rest: &str| data(&node.get(&format!("/api/v1/metadata{rest}")));
    for round in 0..2 {
        let entry = |kind: &str, help: &str, unit: &str| json!({ "type": kind, "help": help, "unit": unit });
        assert_eq!(
            get(&node, "?metric=a"),
            json!({ "a": [entry("counter", "second", ""), entry("counter", "first", "")] })
        );
        assert_eq!(
            get(&node, "?metric=a&limit_per_metric=1"),
            json!({ "a": [entry("counter", "second", "")] })
        );
        assert_eq!(
            get(&node, "?metric=c"),
            json!({ "c": [entry("histogram", "help of c", "seconds")] })
        );
        assert_eq!(
            get(&node, "?metric=d"),
            json!({ "d": [entry("summary", "Words\nin lines", "bytes")] })
        );
        assert_eq!(get(&node, "?metric=nobody"), json!({}));
        assert_eq!(get(&node, "?limit=0"), json!({}));
        assert_eq!(
            get(&node, "?limit=2"),
            json!({ "a": get(&node, "?metric=a")["a"], "b": [entry("gauge", "b", "")] })
        );
        assert_eq!(
            get(&node, "")["ringwell_exemplars"][0]["type"],
            "gauge",
            "its own are there too"
        );
        let found = data(&node.get("/api/v1/query_exemplars?query=c_bucket"));
        assert_eq!(found[0]["exemplars"][0]["labels"], json!({ "trace_id": "7" }));
        if round == 0 {
            node.kill();
            node.restart();
        }
    }
    let refused = |target: &str| node.get(target).text();
    assert!(refused("/api/v1/metadata?limit=x").contains("limit must be a number"));
    assert!(
        refused("/api/v1/metadata?limit_per_metric=x")
            .contains("limit_per_metric must be a number")
    );
    assert_eq!(data(&node.get("/api/v1/targets/metadata")), json!([]));
    assert!(
        refused("/api/v1/targets/metadata?match_target=%7B")
            .contains("invalid parameter \\\"match_target\\\": 1:2: parse error")
    );
}
