//! Answers and errors of the API, as Prometheus gives them.

use serde_json::{Value, json};

use crate::node::{Node, data};
use crate::wire::{HEADERS, body, series};

/// A node with three series between 0 and 40 s of 1970.
fn node() -> Node {
    let node = crate::node::Options::default().arg("--retention").arg("0").start();
    let samples: Vec<(i64, f64)> = (0..5).map(|i| (i * 10_000, i as f64)).collect();
    let request = body(vec![
        series(&[("__name__", "a"), ("job", "x")], &samples),
        series(&[("__name__", "a"), ("job", "y")], &samples[..2]),
        series(&[("__name__", "b"), ("job", "x"), ("dotted.name", "ä")], &samples),
    ]);
    assert_eq!(node.post("/api/v1/write", &HEADERS, &request).status, 204);
    node
}

#[test]
fn errors_have_type_status_and_text() {
    let node = node();
    let far = "/api/v1/query_range?query=a&start=0&end=11001&step=1";
    let table = [
        (
            "/api/v1/query",
            400,
            "invalid parameter \"query\": unknown position: parse error: no expression found in input",
        ),
        (
            "/api/v1/query?query=a&time=x",
            400,
            "invalid parameter \"time\": invalid time value for 'time': cannot parse \"x\" to a valid timestamp",
        ),
        (
            "/api/v1/query?query=a&timeout=x",
            400,
            "invalid parameter \"timeout\": cannot parse \"x\" to a valid duration",
        ),
        (
            "/api/v1/query?query=a%7B",
            400,
            "invalid parameter \"query\": 1:3: parse error: unexpected end of input inside braces",
        ),
        (
            "/api/v1/query_range?query=a",
            400,
            "invalid parameter \"start\": cannot parse \"\" to a valid timestamp",
        ),
        (
            "/api/v1/query_range?query=a&start=2&end=1&step=1",
            400,
            "invalid parameter \"end\": end timestamp must not be before start time",
        ),
        (
            "/api/v1/query_range?query=a&start=1&end=2&step=0",
            400,
            "invalid parameter \"step\": zero or negative query resolution step widths are not accepted. Try a positive integer",
        ),
        (
            far,
            400,
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ),
        (
            "/api/v1/query_range?query=a%5B1m%5D&start=1&end=2&step=1",
            400,
            "invalid parameter \"query\": invalid expression type \"range vector\" for range query, must be Scalar or instant Vector",
        ),
        ("/api/v1/series", 400, "no match[] parameter provided"),
        (
            "/api/v1/series?match[]=%7B%7D",
            400,
            "invalid parameter \"match[]\": match[] must contain at least one non-empty matcher",
        ),
        (
            "/api/v1/labels?start=x",
            400,
            "invalid parameter \"start\": invalid time value for 'start': cannot parse \"x\" to a valid timestamp",
        ),
        ("/api/v1/labels?limit=-1", 400, "invalid parameter \"limit\": limit must be non-negative"),
        ("/api/v1/query?query=a%2Bon(job)group_left+a&time=10", 200, ""),
        ("/api/v1/query?query=a%2Bon()a&time=10", 422, ""),
    ];
    for (target, status, text) in table {
        let answer = node.get(target);
        assert_eq!(answer.status, status, "{target}: {}", answer.text());
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        if status != 200 {
            assert_eq!(answer.header("content-type"), Some("application/json"));
            let kind = if status == 400 { "bad_data" } else { "execution" };
            assert_eq!((&body["status"], &body["errorType"]), (&json!("error"), &json!(kind)));
        }
        if !text.is_empty() {
            assert_eq!(body["error"], text, "{target}");
        }
    }
}

#[test]
fn paths_and_methods_nobody_has() {
    let node = Node::start();
    let answer = node.get("/api/v1/nothing");
    assert_eq!((answer.status, answer.text().as_str()), (404, "404 page not found\n"));
    assert!(answer.header("content-type").unwrap().starts_with("text/plain"));
    assert_eq!(node.get("/-/nothing").status, 404);
    assert_eq!(node.get("/assets/missing.js").status, 404);
    assert_eq!(node.get("/api/v1/write").status, 405);
    assert_eq!(node.post("/api/v1/label/job/values", &[], b"").status, 405);
    assert_eq!(node.get("/-/healthy").status, 200);
    let page = node.get("/explore");
    assert_eq!(page.status, 200);
    assert!(page.header("content-security-policy").unwrap().contains("default-src 'self'"));
}

#[test]
fn series_labels_and_values() {
    let node = node();
    let get = |target: &str| data(&node.get(target));
    assert_eq!(
        get("/api/v1/series?match[]=a&match[]=%7Bjob%3D%22x%22%7D"),
        json!([
            { "__name__": "a", "job": "x" },
            { "__name__": "a", "job": "y" },
            { "__name__": "b", "dotted.name": "ä", "job": "x" },
        ])
    );
    assert_eq!(get("/api/v1/labels"), json!(["__name__", "dotted.name", "job"]));
    assert_eq!(get("/api/v1/labels?match[]=a"), json!(["__name__", "job"]));
    assert_eq!(get("/api/v1/label/job/values"), json!(["x", "y"]));
    assert_eq!(get("/api/v1/label/job/values?match[]=b"), json!(["x"]));
    assert_eq!(get("/api/v1/label/U__dotted_2e_name/values"), json!(["ä"]));
    assert_eq!(get("/api/v1/label/none/values"), json!([]));
    let limited: Value = serde_json::from_slice(&node.get("/api/v1/labels?limit=1").body).unwrap();
    assert_eq!(limited["data"], json!(["__name__"]));
    assert_eq!(limited["warnings"], json!(["results truncated due to limit"]));
    let posted =
        node.post_form("/api/v1/series", &[("match[]", "b"), ("start", "0"), ("end", "50")]);
    assert_eq!(data(&posted).as_array().map(Vec::len), Some(1));
}

#[test]
fn statistics_name_what_has_the_most_series() {
    let node = node();
    let found = data(&node.get("/api/v1/status/tsdb?limit=2"));
    assert_eq!(found["headStats"], json!({ "numSeries": 3, "numLabelPairs": 5 }));
    let counts = |of: &[(&str, u64)]| -> Value {
        of.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect()
    };
    assert_eq!(found["seriesCountByMetricName"], counts(&[("a", 2), ("b", 1)]));
    assert_eq!(found["labelValueCountByLabelName"], counts(&[("__name__", 2), ("job", 2)]));
    assert_eq!(found["seriesCountByLabelValuePair"], counts(&[("__name__=a", 2), ("job=x", 2)]));
}

#[test]
fn a_range_query_has_a_point_a_step() {
    let node = node();
    let answer =
        node.get("/api/v1/query_range?query=a%7Bjob%3D%22x%22%7D&start=0.5&end=20&step=9.5");
    assert_eq!(
        answer.text(),
        "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[{\"metric\":\
         {\"__name__\":\"a\",\"job\":\"x\"},\"values\":[[0.500,\"0\"],[10,\"1\"],[19.500,\"1\"]]}]}}"
    );
    let limited = node.get("/api/v1/query?query=a&time=10&limit=1");
    let body: Value = serde_json::from_slice(&limited.body).unwrap();
    assert_eq!(body["data"]["result"].as_array().map(Vec::len), Some(1));
    assert_eq!(body["warnings"], json!(["results truncated due to limit"]));
    let at = node.get("/api/v1/query?query=a&time=1970-01-01T00:00:10Z&stats=all");
    assert_eq!(data(&at)["result"].as_array().map(Vec::len), Some(2));
    assert!(data(&at)["stats"]["timings"]["evalTotalTime"].is_number());
    assert!(data(&at)["stats"]["samples"]["samplesRead"].as_u64() >= Some(2));
}

#[test]
fn answers_are_compressed_when_asked() {
    let node = node();
    let headers = [("Accept-Encoding", "gzip")];
    let answer = ringwell::client::send(&node.http, "GET", "/metrics", &headers, b"").unwrap();
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert_eq!(answer.body.first_chunk(), Some(&[0x1f, 0x8b]));
    assert_eq!(node.get("/metrics").header("content-encoding"), None);
}

#[test]
fn what_does_not_exist_is_answered_empty() {
    let node = Node::start();
    assert_eq!(data(&node.get("/api/v1/rules")), json!({ "groups": [] }));
    assert_eq!(data(&node.get("/api/v1/alerts")), json!({ "alerts": [] }));
    assert_eq!(data(&node.get("/api/v1/query_exemplars?query=a&start=0&end=1")), json!([]));
    assert_eq!(data(&node.get("/api/v1/keys/recent")), json!([]));
    assert_eq!(data(&node.get("/api/v1/query?query=nothing"))["result"], json!([]));
}
