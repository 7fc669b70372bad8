//! What is written is answered; what is malformed is refused with status, place and reason.

use prost::Message;
use serde_json::{Value, json};

use crate::node::Node;
use crate::wire::{HEADERS, Histogram, Span, WriteRequest, body, compress, now, series};

fn write(node: &Node, body: &[u8]) -> (u16, String) {
    let answer = node.post("/api/v1/write", &HEADERS, body);
    (answer.status, answer.text())
}

#[test]
fn remote_write_comes_back_from_a_query() {
    let node = Node::start();
    let t = now() / 1000 * 1000;
    let request = body(vec![
        series(&[("__name__", "w"), ("job", "a")], &[(t - 2_000, 1.5), (t - 1_000, -2.0)]),
        series(&[("__name__", "w"), ("job", "b")], &[(t - 1_000, f64::INFINITY)]),
    ]);
    assert_eq!(write(&node, &request), (204, String::new()));
    let seconds = t / 1000;
    assert_eq!(
        node.query("w", seconds as f64),
        json!([
            { "metric": { "__name__": "w", "job": "a" }, "value": [seconds, "-2"] },
            { "metric": { "__name__": "w", "job": "b" }, "value": [seconds, "+Inf"] },
        ])
    );
    let form = [("query", "w{job=\"a\"}[10s]"), ("time", &seconds.to_string())];
    let text = node.post_form("/api/v1/query", &form).text();
    let (first, second) = (t / 1000 - 2, t / 1000 - 1);
    assert_eq!(
        text,
        format!(
            "{{\"status\":\"success\",\"data\":{{\"resultType\":\"matrix\",\"result\":[{{\"metric\":\
             {{\"__name__\":\"w\",\"job\":\"a\"}},\"values\":[[{first},\"1.5\"],[{second},\"-2\"]]}}]}}}}"
        )
    );
}

#[test]
fn a_native_histogram_comes_back() {
    let node = Node::start();
    let t = now() / 1000 * 1000;
    let histogram = Histogram {
        count: Some(6),
        sum: 18.5,
        schema: 0,
        zero_threshold: 0.001,
        zero: Some(2),
        positive_spans: vec![Span { offset: 0, length: 2 }],
        positive_deltas: vec![1, 2],
        t,
        ..Histogram::default()
    };
    let mut one = series(&[("__name__", "h")], &[]);
    one.histograms.push(histogram);
    assert_eq!(write(&node, &body(vec![one])).0, 204);
    let result = node.query("h", t as f64 / 1000.0);
    assert_eq!(
        result[0]["histogram"][1],
        json!({
            "count": "6",
            "sum": "18.5",
            "buckets": [[3, "-0.001", "0.001", "2"], [0, "0.5", "1", "1"], [0, "1", "2", "3"]],
        })
    );
}

#[test]
fn a_refused_sample_is_named_and_the_rest_is_kept() {
    let node = Node::start();
    let t = now();
    let first = body(vec![series(&[("__name__", "d")], &[(t, 1.0)])]);
    assert_eq!(write(&node, &first).0, 204);
    assert_eq!(write(&node, &first).0, 204, "an equal sample is fine");
    let second = body(vec![
        series(&[("__name__", "d")], &[(t, 2.0), (t + 1, 3.0)]),
        series(&[("__name__", "e")], &[(t, 4.0)]),
    ]);
    let (status, text) = write(&node, &second);
    assert_eq!(status, 400);
    assert!(text.starts_with("duplicate sample for timestamp: series {__name__=\"d\"}"), "{text}");
    assert!(text.contains("(1 of 3 samples refused, the rest is kept)"), "{text}");
    let value = |name: &str| node.query(name, (t + 1) as f64 / 1000.0)[0]["value"][1].clone();
    assert_eq!(value("d"), "3");
    assert_eq!(value("e"), "4");
}

#[test]
fn limits_refuse_the_offender_and_name_it() {
    let node = crate::node::Options::default()
        .arg("--set")
        .arg("limits.labels=3")
        .arg("--set")
        .arg("limits.label_value=10")
        .start();
    let t = now();
    let labels = [("__name__", "l"), ("a", "1"), ("b", "2"), ("c", "3")];
    let long = [("__name__", "l"), ("a", "01234567890")];
    for labels in [&labels[..], &long] {
        let (status, text) = write(
            &node,
            &body(vec![series(labels, &[(t, 1.0)]), series(&labels[..1], &[(t, 1.0)])]),
        );
        assert!(status == 400 || status == 429, "{status} {text}");
        assert!(text.contains("1 of 2 samples refused"), "{text}");
    }
    let (status, text) =
        write(&node, &body(vec![series(&[("__name__", "l")], &[(t + 3_600_000, 1.0)])]));
    assert_eq!(status, 400);
    assert!(text.contains("in the future"), "{text}");
    assert_eq!(node.query("l", t as f64 / 1000.0).as_array().map(Vec::len), Some(1));
}

#[test]
fn malformed_bodies_are_refused_with_place_and_reason() {
    let node = Node::start();
    let good = WriteRequest { series: vec![series(&[("__name__", "g")], &[(now(), 1.0)])] };
    let message = good.encode_to_vec();
    let mut bomb = vec![0x80, 0x80, 0x80, 0x80, 0x08];
    bomb.resize(21, 0);
    let no_name = body(vec![series(&[("job", "x")], &[(now(), 1.0)])]);
    let table: &[(&[u8], &str)] = &[
        (&bomb, "snappy: 2147483648 bytes after decompression, more than the limit of 134217728"),
        (b"", "snappy: corrupt input (empty)"),
        (b"plain text", "snappy: corrupt input"),
        (
            &compress(&message[..message.len() - 1]),
            "protobuf: byte 1: a length beyond the message's end",
        ),
        (&compress(b"\x0a\x02\x0b\x00"), "protobuf: byte 2: a wire type that is not known"),
        (&no_name, "invalid labels: the metric name (label __name__) is missing"),
    ];
    for (body, reason) in table {
        let (status, text) = write(&node, body);
        assert_eq!(status, 400, "{text}");
        assert!(text.starts_with(reason), "{text:?} does not begin with {reason:?}");
    }
    let typed = |content_type: &str, encoding: &str| {
        let headers = [("Content-Type", content_type), ("Content-Encoding", encoding)];
        node.post("/api/v1/write", &headers, &compress(&message)).status
    };
    assert_eq!(typed("application/x-protobuf;proto=io.prometheus.write.v3.Request", "snappy"), 415);
    assert_eq!(typed("application/json", "snappy"), 415);
    assert_eq!(typed("application/x-protobuf", "zstd"), 415);
    assert_eq!(typed("application/x-protobuf;proto=prometheus.WriteRequest", "snappy"), 204);
    assert_eq!(write(&node, &vec![0; 33 << 20]).0, 413);
    assert_eq!(node.get("/-/ready").status, 200, "it keeps serving");
}

/// A body that declares much must not make the node take much.
#[test]
fn a_bomb_takes_no_memory() {
    let node = Node::start();
    let resident = || -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    assert_eq!(write(&node, &body(vec![series(&[("__name__", "x")], &[(now(), 1.0)])])).0, 204);
    let before = resident();
    for declared in [&[0x80, 0x80, 0x80, 0x80, 0x08][..], &[0xff, 0xff, 0xff, 0x3f]] {
        let mut bomb = declared.to_vec();
        bomb.resize(21, 0);
        for _ in 0..20 {
            assert_eq!(write(&node, &bomb).0, 400);
        }
    }
    let zeros = compress(&vec![0; 256 << 20]);
    assert_eq!(write(&node, &zeros).0, 400);
    let grown = resident() - before;
    assert!(grown < 64 << 10, "the peak grew by {grown} KiB");
}

#[test]
fn text_is_imported_with_its_timestamps() {
    let node = Node::start();
    let t = now() / 1000 * 1000;
    let text =
        format!("# TYPE i gauge\ni{{a=\"b\"}} 1.5 {t}\ni{{a=\"b\"}} 2.5 {}\nj 3\n", t - 1_000);
    let import = |text: &str| {
        let answer = node.post("/api/v1/import/prometheus", &[], text.as_bytes());
        (answer.status, answer.text())
    };
    assert_eq!(import(&text), (204, String::new()));
    let whole = t / 1000;
    let seconds = whole as f64;
    assert_eq!(node.query("i", seconds)[0]["value"], json!([whole, "1.5"]));
    assert_eq!(node.query("i", seconds - 1.0)[0]["value"], json!([whole - 1, "2.5"]));
    assert_eq!(node.query("j", seconds + 60.0)[0]["value"][1], "3", "the time of arrival");
    let refused = import("k 1\nk{a=b} 2\n");
    assert_eq!(refused, (400, "line 2, column 5: expected a quoted label value\n".to_owned()));
    assert_eq!(node.query("k", seconds + 60.0), Value::Array(vec![]), "nothing of it is taken");
}

#[test]
fn without_retention_any_timestamp_is_taken() {
    let node = crate::node::Options::default().arg("--retention").arg("0").start();
    let request = body(vec![series(&[("__name__", "old")], &[(-5_000, 1.0), (10_000, 2.0)])]);
    assert_eq!(write(&node, &request).0, 204);
    assert_eq!(node.query("old", -5.0)[0]["value"], json!([-5, "1"]));
    assert_eq!(node.query("old", 10.5)[0]["value"], json!([10.5, "2"]));

    let bounded = Node::start();
    let (status, text) =
        write(&bounded, &body(vec![series(&[("__name__", "old")], &[(10_000, 2.0)])]));
    assert_eq!(status, 400);
    assert!(text.starts_with("too old sample"), "{text}");
}
