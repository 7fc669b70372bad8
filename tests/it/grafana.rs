//! The requests that Grafana's Prometheus data source sends, and what it reads of the answers.

use std::path::{Path, PathBuf};

use ringwell::client;
use serde_json::Value;

use crate::node::{Node, data};
use crate::prometheus::{alike, free_address, installed, start};
use crate::wire::{HEADERS, body, now, series};

fn node() -> (Node, i64) {
    let node = Node::start();
    let t = now() / 1000 * 1000;
    let samples: Vec<(i64, f64)> = (0..60).map(|i| (t - 60_000 + i * 1000, i as f64)).collect();
    let request = body(vec![series(
        &[("__name__", "http_requests_total"), ("instance", "i"), ("job", "j")],
        &samples,
    )]);
    assert_eq!(node.post("/api/v1/write", &HEADERS, &request).status, 204);
    (node, t)
}

#[test]
fn save_and_test() {
    let (node, t) = node();
    let time = (t / 1000).to_string();
    let answer = data(&node.post_form("/api/v1/query", &[("query", "1+1"), ("time", &time)]));
    assert_eq!(answer["resultType"], "scalar");
    assert_eq!(answer["result"][1], "2");
    let build = data(&node.get("/api/v1/status/buildinfo"));
    let version = build["version"].as_str().unwrap();
    let major: u32 = version.split('.').next().unwrap().parse().unwrap();
    assert!(major >= 3, "{version}");
    assert!(build["features"].is_null(), "with features Grafana takes it for Mimir");
}

#[test]
fn explore_and_panels() {
    let (node, t) = node();
    let (start, end) = ((t / 1000 - 60).to_string(), (t / 1000).to_string());
    let form = [
        ("query", "rate(http_requests_total[30s])"),
        ("start", &*start),
        ("end", &*end),
        ("step", "15"),
    ];
    let matrix = data(&node.post_form("/api/v1/query_range", &form));
    assert_eq!(matrix["resultType"], "matrix");
    let points = matrix["result"][0]["values"].as_array().unwrap();
    assert!(points.len() >= 3, "{points:?}");
    assert_eq!(points.last().unwrap()[1], "1");
    for (path, what) in
        [("/api/v1/query_exemplars?query=x", "[]"), ("/api/v1/rules", "{\"groups\":[]}")]
    {
        assert_eq!(data(&node.get(path)).to_string(), what);
    }
    let metadata = data(&node.get("/api/v1/metadata?limit=5000"));
    assert_eq!(metadata["ringwell_store_series"][0]["type"], "gauge");
}

#[test]
fn variables_and_the_metric_browser() {
    let (node, t) = node();
    let (start, end) = ((t / 1000 - 60).to_string(), (t / 1000).to_string());
    let range = [("start", &*start), ("end", &*end)];
    let names = data(&node.post_form("/api/v1/labels", &range));
    assert_eq!(names, serde_json::json!(["__name__", "instance", "job"]));
    let target = format!(
        "/api/v1/label/__name__/values?start={start}&end={end}&match[]=%7Bjob%3D%22j%22%7D"
    );
    assert_eq!(data(&node.get(&target)), serde_json::json!(["http_requests_total"]));
    let form = [("match[]", "http_requests_total{job=~\"j.*\"}"), range[0], range[1]];
    let found: Value = data(&node.post_form("/api/v1/series", &form));
    assert_eq!(found[0]["instance"], "i");
}

/// Names and values of a form.
type Form<'a> = &'a [(&'a str, &'a str)];

/// The newest Prometheus on this machine.
fn prometheus() -> Option<PathBuf> {
    let unpacked =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/.tools/prometheus3/usr/bin/prometheus");
    if unpacked.is_file() { Some(unpacked) } else { installed("prometheus") }
}

#[test]
fn prometheus_gives_the_same_answers() {
    let Some(program) = prometheus() else {
        return eprintln!("skipped: there is no prometheus on this machine");
    };
    let node = Node::start();
    let (own, dir) = (free_address(), node.dir().to_owned());
    std::fs::write(dir.join("empty.yml"), "").unwrap();
    let _peer = start(
        &program,
        &[
            format!("--config.file={}", dir.join("empty.yml").display()),
            format!("--storage.tsdb.path={}", dir.join("peer").display()),
            format!("--web.listen-address={own}"),
            "--web.enable-remote-write-receiver".to_owned(),
        ],
    );
    let ready = || client::send(&own, "GET", "/-/ready", &[], b"").is_ok_and(|a| a.status == 200);
    node.wait_for("prometheus", |_| ready().then_some(()));
    let t = now() / 1000 * 1000 - 1000;
    let series: Vec<_> = (0..6)
        .map(|i| {
            let (path, code) = (format!("/p{}", i % 3), format!("{}00", 2 + i % 2 * 3));
            let labels = [("__name__", "http_requests_total"), ("code", &*code), ("path", &*path)];
            let samples: Vec<(i64, f64)> =
                (0..120).map(|k| (t - 119_000 + k * 1000, (k * (i + 1)) as f64)).collect();
            crate::wire::series(&labels, &samples)
        })
        .collect();
    let request = body(series);
    for address in [&node.http, &own] {
        let answer = client::send(address, "POST", "/api/v1/write", &HEADERS, &request).unwrap();
        assert_eq!(answer.status / 100, 2, "{}", answer.text());
    }
    let (start, end) = ((t / 1000 - 110).to_string(), (t / 1000).to_string());
    let range = [("start", &*start), ("end", &*end)];
    let at = [("time", &*end)];
    let stepped = [range[0], range[1], ("step", "15")];
    let asked: &[(&str, Form<'_>, Form<'_>)] = &[
        ("/api/v1/query", &[("query", "1+1")], &at),
        ("/api/v1/query", &[("query", "sum by (code) (http_requests_total)")], &at),
        ("/api/v1/query", &[("query", "http_requests_total[30s]")], &at),
        ("/api/v1/query", &[("query", "rate(http_requests_total[")], &at),
        ("/api/v1/query_range", &[("query", "rate(http_requests_total[1m])")], &stepped),
        ("/api/v1/query_range", &[("query", "sum(rate(http_requests_total[1m]))")], &stepped),
        ("/api/v1/query_exemplars", &[("query", "http_requests_total")], &range),
        ("/api/v1/labels", &[], &range),
        ("/api/v1/labels", &[("match[]", "http_requests_total{code=\"200\"}")], &range),
        ("/api/v1/series", &[("match[]", "{path=~\"/p[01]\"}")], &range),
        ("/api/v1/series", &[], &range),
    ];
    for (path, form, more) in asked {
        let form: Vec<(&str, &str)> = form.iter().chain(*more).copied().collect();
        let encode = |(name, value): &(&str, &str)| format!("{name}={}", client::encode(value));
        let form = form.iter().map(encode).collect::<Vec<_>>().join("&");
        let kind = [("Content-Type", "application/x-www-form-urlencoded")];
        let [ours, theirs] = [&node.http, &own]
            .map(|address| client::send(address, "POST", path, &kind, form.as_bytes()).unwrap());
        assert_eq!(ours.status, theirs.status, "{path} {form}");
        let [ours, theirs] =
            [ours, theirs].map(|a| sorted(serde_json::from_slice(&a.body).unwrap()));
        assert!(alike(&ours, &theirs), "{path} {form}:\nours   {ours}\ntheirs {theirs}");
    }
    for path in ["/api/v1/label/code/values", "/api/v1/label/__name__/values", "/api/v1/rules"] {
        let [ours, theirs] =
            [&node.http, &own].map(|a| data(&client::send(a, "GET", path, &[], b"").unwrap()));
        assert_eq!(ours, theirs, "{path}");
    }
}

/// Series and the results of an instant query come in no particular order.
fn sorted(mut answer: Value) -> Value {
    for place in ["/data/result", "/data"] {
        if let Some(list) = answer.pointer_mut(place).and_then(Value::as_array_mut) {
            list.sort_by_key(ToString::to_string);
        }
    }
    answer
}
