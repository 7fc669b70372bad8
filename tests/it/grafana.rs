//! The requests that Grafana's Prometheus data source sends, and what it reads of the answers.

use serde_json::Value;

use crate::node::{Node, data};
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
    for (path, what) in [("/api/v1/query_exemplars", "[]"), ("/api/v1/rules", "{\"groups\":[]}")] {
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
