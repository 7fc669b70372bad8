//! The HTTP API request by request: the node's status, content type and body are a real Prometheus's, but for
//! times, order and what is said below.

use std::path::Path;

use ringwell::client::{self, Answer};
use serde_json::Value;

use crate::node::Options;
use crate::prometheus::{free_address, start};
use crate::wire::{HEADERS, Histogram, Span, TimeSeries, body, series};

const T: i64 = 1_760_000_000_000;

fn data_set() -> Vec<TimeSeries> {
    let samples: Vec<(i64, f64)> = (0..60).map(|i| (T + i * 10_000, i as f64)).collect();
    let odd = [1e21, 1e-7, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.1, 123456789.5];
    let odd: Vec<(i64, f64)> = (0..).zip(odd).map(|(i, v)| (T + 400_500 + i * 10_000, v)).collect();
    let histogram = Histogram {
        count: Some(9),
        zero: Some(2),
        zero_threshold: 0.001,
        sum: 18.5,
        schema: 0,
        positive_spans: vec![Span { offset: 0, length: 3 }],
        positive_deltas: vec![1, -1, 3],
        negative_spans: vec![Span { offset: 1, length: 1 }],
        negative_deltas: vec![3],
        t: T + 590_000,
        ..Histogram::default()
    };
    let custom = Histogram {
        count: Some(4),
        sum: 5.0,
        schema: -53,
        custom_values: vec![0.5, 2.0],
        positive_spans: vec![Span { offset: 0, length: 3 }],
        positive_deltas: vec![1, 0, 1],
        t: T + 590_000,
        ..Histogram::default()
    };
    vec![
        series(&[("__name__", "m_total"), ("job", "a"), ("z", "1")], &samples),
        series(&[("__name__", "m_total"), ("job", "b")], &samples),
        series(&[("__name__", "odd"), ("job", "ü\"<")], &odd),
        TimeSeries { histograms: vec![histogram], ..series(&[("__name__", "h")], &[]) },
        TimeSeries { histograms: vec![custom], ..series(&[("__name__", "nhcb")], &[]) },
    ]
}

/// Paths below `/api/v1/`, by the lines of the checklist they are for.
const ASKED: &[&str] = &[
    // Parameters that are wrong, and ranges that are.
    "query?query=1&time=x",
    "query?query=1&timeout=x",
    "query?query=1&limit=x",
    "query?query=1&limit=-1",
    "query?query=1&lookback_delta=x",
    "query?time=1",
    "query?query=m_total%7B",
    "query?query=sum(",
    "query?query=foo%20bar",
    "query?query=%22open",
    "query?query=rate(m_total)",
    "query?query=nofunction(1)",
    "query?query=m_total%5B5m%5D%20%2B%201",
    "query?query=%7B%7D",
    "query_range?query=1",
    "query_range?query=1&start=x&end=y&step=z",
    "query_range?query=1&start=5&end=3&step=1",
    "query_range?query=1&start=3&end=5&step=0",
    "query_range?query=1&start=3&end=5&step=x",
    "query_range?query=1&start=0&end=11001&step=1",
    "query_range?query=%22a%22&start=3&end=5&step=1",
    "query_range?query=m_total%5B1m%5D&start=3&end=5&step=1",
    "series",
    "series?match[]=%7B",
    "series?match[]=%7B%7D",
    "series?match[]=%7Bx=~%22.*%22%7D",
    "series?match[]=m_total&start=x",
    "series?match[]=m_total&start=5&end=3",
    "series?match[]=m_total%5B5m%5D",
    "labels?start=x",
    "labels?match[]=%7B",
    "labels?limit=x",
    "label/a/values?end=x",
    "label/job/values?limit=-1",
    "query_exemplars?query=m_total&start=5&end=3",
    "format_query",
    "format_query?query=m_total%7B",
    "parse_query?query=sum(",
    "metadata?limit=x",
    "targets/metadata?limit=x",
    "rules?type=x",
    "rules?type=ALERT&group_limit=5&exclude_alerts=true&rule_name[]=a&match[]=%7Ba=%22b%22%7D",
    "rules?type=x&match[]=%7D",
    "rules?match[]=",
    "rules?match[]=m_total%7B",
    "rules?match[]=%7B%7D",
    "rules?match[]=%7Ba=~%22(%22%7D",
    "rules?exclude_alerts=x",
    "rules?exclude_alerts=x&group_limit=x",
    "rules?group_next_token=x",
    "rules?group_limit=x",
    "rules?group_limit=0",
    "rules?group_limit=-1",
    "rules?group_limit=99999999999",
    "rules?group_limit=2&group_next_token=abc",
    "alerts?type=x&match[]=%7D",
    "status/tsdb?limit=x",
    "status/tsdb?limit=-1",
    "nosuch",
    "nosuch/path",
    // Run-time errors.
    "query?query=m_total%20%2B%20ignoring(job,z)%20sum(m_total)&time=1760000590",
    "query?query=label_replace(m_total,%22a%22,%22b%22,%22job%22,%22(%22)&time=1760000590",
    // Values, times, histograms and orders.
    "query?query=m_total&time=1760000590",
    "query?query=m_total&time=1760000590.5",
    "query?query=m_total&time=2025-10-09T09:03:10.123Z",
    "query?query=m_total&time=-5",
    "query?query=odd%5B5m%5D&time=1760000590",
    "query?query=h&time=1760000590",
    "query?query=nhcb&time=1760000590",
    "query?query=h%5B1m%5D&time=1760000590",
    "query?query=time()&time=10.5",
    "query?query=%22text%22&time=10.25",
    "query?query=nobody&time=1",
    "query?query=sort_desc(m_total%20offset%20-1s)&time=1760000300",
    "query?query=topk(1,m_total)&time=1760000590&limit=0",
    "query?query=m_total&time=1760000890&lookback_delta=1h",
    "query?query=m_total&time=1760000890",
    "query_range?query=m_total&start=1760000000&end=1760000060&step=30",
    "query_range?query=m_total&start=1760000000.25&end=1760000060&step=30s",
    "query_range?query=1&start=1760000000&end=1760000060&step=30",
    "query_range?query=h&start=1760000580&end=1760000600&step=10",
    "query_range?query=nobody&start=1&end=2&step=1",
    "query_range?query=sum(m_total)&start=1760000000&end=1760000600&step=1m&limit=1",
    // Warnings, infos, truncation.
    "query?query=rate(odd%5B5m%5D)&time=1760000590",
    "query?query=quantile(2,m_total)&time=1760000590",
    "query?query=histogram_quantile(0.5,m_total)&time=1760000590",
    "query_range?query=m_total&start=1760000000&end=1760000060&step=30&limit=1",
    "labels?limit=1",
    "label/job/values?limit=1",
    "series?match[]=m_total&limit=1",
    // Names, values, series.
    "labels",
    "labels?match[]=odd",
    "labels?match[]=odd&match[]=h&start=1&end=2000000000",
    "label/__name__/values",
    "label/job/values",
    "label/U__job/values",
    "label/nobody/values",
    "series?match[]=m_total",
    "series?match[]=odd&match[]=m_total%7Bjob=%22b%22%7D",
    "series?match[]=nobody",
    // Formatting.
    "format_query?query=sum%20by(job)(rate(m_total%5B5m%5D))/2",
    "parse_query?query=foo/bar%20offset%205m",
    "parse_query?query=sum%20by(job)(rate(m_total%7Ba!=%22b%22%7D%5B5m%5D))",
    // What is empty.
    "metadata?metric=nobody",
    "targets",
    "targets/metadata",
    "rules",
    "alerts",
    "alertmanagers",
    "scrape_pools",
    "query_exemplars?query=m_total",
    "status/walreplay",
    "notifications",
];

fn get(address: &str, path: &str) -> Answer {
    client::send(address, "GET", &format!("/api/v1/{path}"), &[], b"").unwrap()
}

/// Status, content type, and the body with what has no order in order.
fn told(answer: &Answer) -> (u16, String, Value) {
    let media = answer.header("content-type").unwrap_or_default().to_owned();
    let text = answer.text();
    let mut value: Value = serde_json::from_str(&text).unwrap_or(Value::String(text));
    if let Some(series) = value.pointer_mut("/data/result").and_then(Value::as_array_mut)
        && series.iter().all(|one| one.get("metric").is_some())
    {
        series.sort_by_key(|one| one["metric"].to_string());
    }
    (answer.status, media, value)
}

#[test]
fn request_by_request_as_prometheus() {
    let program =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/.tools/prometheus3/usr/bin/prometheus");
    if !program.is_file() {
        return eprintln!("skipped: no newer prometheus was unpacked (tests/unpack_sid.sh)");
    }
    let node = Options::default().arg("--retention=0").start();
    let (theirs, file) = (free_address(), node.dir().join("p.yml"));
    std::fs::write(&file, "global: {}\n").unwrap();
    let _prometheus = start(
        &program,
        &[
            format!("--config.file={}", file.display()),
            format!("--storage.tsdb.path={}", node.dir().join("prometheus").display()),
            "--storage.tsdb.retention.time=100y".to_owned(),
            format!("--web.listen-address={theirs}"),
            "--web.enable-remote-write-receiver".to_owned(),
            "--enable-feature=native-histograms,exemplar-storage".to_owned(),
        ],
    );
    let request = body(data_set());
    assert_eq!(node.post("/api/v1/write", &HEADERS, &request).status, 204);
    node.wait_for("Prometheus takes the data", |_| {
        let answer = client::send(&theirs, "POST", "/api/v1/write", &HEADERS, &request).ok()?;
        (answer.status == 204).then_some(())
    });
    let mut differ = Vec::new();
    for path in ASKED {
        let (ours, theirs) = (told(&get(&node.http, path)), told(&get(&theirs, path)));
        if ours != theirs {
            differ.push(format!("{path}\n  ours   {ours:?}\n  theirs {theirs:?}"));
        }
    }
    let posted = ["query", "labels", "series", "format_query", "parse_query"];
    let has_time = |path: &str| path.contains("time=") || !path.starts_with("query?");
    for path in ASKED.iter().filter(|p| posted.iter().any(|q| p.starts_with(q)) && has_time(p)) {
        let (path, form) = path.split_once('?').unwrap_or((path, ""));
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        let post = node.post(&format!("/api/v1/{path}"), &headers, form.as_bytes());
        let as_get = told(&get(&node.http, &format!("{path}?{form}")));
        assert_eq!(told(&post), as_get, "{path} {form}");
    }
    for address in [&node.http, &theirs] {
        let asked =
            "/api/v1/query_range?query=m_total&start=1760000000&end=1760000600&step=1&stats=all";
        let accept = [("Accept-Encoding", "gzip")];
        let answer = client::send(address, "GET", asked, &accept, b"").unwrap();
        assert_eq!(answer.header("content-encoding"), Some("gzip"), "{address}");
        let stats =
            told(&client::send(address, "GET", asked, &[], b"").unwrap()).2["data"]["stats"]
                .clone();
        for key in [
            "evalTotalTime",
            "resultSortTime",
            "queryPreparationTime",
            "innerEvalTime",
            "execQueueTime",
            "execTotalTime",
        ] {
            assert!(stats["timings"][key].is_number(), "{address} {key}");
        }
        assert_eq!(stats["samples"]["totalQueryableSamples"], 1200 + 2, "{address}");
    }
    assert!(differ.is_empty(), "{} differ:\n{}", differ.len(), differ.join("\n"));
}
