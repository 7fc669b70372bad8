//! Around queries: formatting, parsing, plans, statistics, charts, federation, other origins.

use serde_json::json;

use crate::node::{Node, Options, data};
use crate::wire::{HEADERS, body, now, series};

fn with_data() -> (Node, i64) {
    let node = Options::default().arg("--set").arg("log.slow_query=1ms").start();
    let t = now() / 1000 * 1000;
    let samples: Vec<(i64, f64)> = (0..600).map(|i| (t - 600_000 + i * 1000, i as f64)).collect();
    let request = body(vec![
        series(&[("__name__", "c_total"), ("job", "a")], &samples),
        series(&[("__name__", "c_total"), ("job", "b")], &samples),
    ]);
    assert_eq!(node.post("/api/v1/write", &HEADERS, &request).status, 204);
    (node, t)
}

#[test]
fn queries_are_formatted_and_parsed() {
    let node = Node::start();
    let form = [("query", "foo/bar")];
    assert_eq!(data(&node.post_form("/api/v1/format_query", &form)), json!("foo / bar"));
    let long = format!("sum by(job)(rate({}[5m])) > 1", "x".repeat(100));
    let pretty = data(&node.post_form("/api/v1/format_query", &[("query", &long)]));
    let name = "x".repeat(100);
    assert_eq!(
        pretty,
        json!(format!("  sum by (job) (\n    rate(\n      {name}[5m]\n    )\n  )\n>\n  1"))
    );
    let refused = node.get("/api/v1/parse_query?query=foo{");
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("invalid parameter \\\"query\\\": 1:5: parse error"));
    let tree =
        data(&node.post_form("/api/v1/parse_query", &[("query", "foo * on(a) group_left(b) c")]));
    assert_eq!(tree["type"], "binaryExpr");
    assert_eq!(
        tree["matching"],
        json!({ "card": "many-to-one", "labels": ["a"], "on": true, "include": ["b"] })
    );
    assert_eq!(tree["lhs"]["matchers"], json!([{"type": "=", "name": "__name__", "value": "foo"}]));
}

#[test]
fn plans_and_statistics_tell_what_a_query_took() {
    let (node, t) = with_data();
    let at = (t / 1000).to_string();
    let start = (t / 1000 - 60).to_string();
    let range =
        [("query", "sum(rate(c_total[1m]))"), ("start", &start), ("end", &at), ("step", "30")];
    let plan = data(&node.post_form("/api/v1/explain", &range));
    let words: Vec<&str> = plan["operators"]
        .as_array()
        .unwrap()
        .iter()
        .map(|o| o["operator"].as_str().unwrap())
        .collect();
    assert_eq!(words, ["aggregate sum by ()", "call rate", "window 1m #0 {__name__=\"c_total\"}"]);
    assert!(plan["operators"][0].get("seconds").is_none() && plan["totals"].is_null());
    let analyze = [range.as_slice(), &[("analyze", "true")]].concat();
    let ran = data(&node.post_form("/api/v1/explain", &analyze));
    let rate = &ran["operators"][1];
    assert_eq!((&rate["series"], &rate["values"]), (&json!(2), &json!(6)));
    assert_eq!(ran["operators"][0]["series"], 1);
    for (of_rate, total) in [("samplesDecoded", "samplesDecoded"), ("bytesRead", "bytesRead")] {
        assert_eq!(rate[of_rate], ran["totals"][total]);
        assert!(rate[of_rate].as_u64() > Some(0));
    }
    // A byte that tells what a cell holds, and a float, for each of two series and three steps.
    assert_eq!(rate["bytes"], 2 * 3 * 9);
    // Windows at t-60 s, t-30 s and t; the last sample is a second older than t.
    assert_eq!(ran["totals"]["samplesQueryable"], 2 * (60 + 60 + 59));
    let all = [range.as_slice(), &[("stats", "all")]].concat();
    let stats = data(&node.post_form("/api/v1/query_range", &all))["stats"]["samples"].clone();
    assert_eq!(stats["totalQueryableSamples"], 358);
    let per_step = stats["totalQueryableSamplesPerStep"].as_array().unwrap();
    assert_eq!(per_step.iter().map(|s| s[1].clone()).collect::<Vec<_>>(), [120, 120, 118]);
    // Each once, where it is looked at first.
    assert_eq!(stats["samplesRead"], 238);
    let per_step = stats["samplesReadPerStep"].as_array().unwrap();
    assert_eq!(per_step.iter().map(|s| s[1].clone()).collect::<Vec<_>>(), [120, 60, 58]);
    node.query("sum_over_time(c_total[10m:5ms])", t as f64 / 1000.0);
    node.wait_for("the slow query in the log", |node| {
        node.log().contains("slow query").then_some(())
    });
}

#[test]
fn a_chart_gets_extremes_and_no_wall() {
    let (node, t) = with_data();
    let (start, end) = ((t / 1000 - 600).to_string(), (t / 1000 - 1).to_string());
    let query =
        [("query", "c_total{job=\"a\"}"), ("start", &start), ("end", &end), ("step", "10ms")];
    assert_eq!(node.post_form("/api/v1/query_range", &query).status, 400, "59,900 points");
    let panel = [query.as_slice(), &[("width", "10")]].concat();
    let result = data(&node.post_form("/api/v1/query_panel", &panel))["result"].clone();
    let values = result[0]["values"].as_array().unwrap();
    assert!((10..=22).contains(&values.len()), "{} points", values.len());
    assert_eq!(values[0][1], "0");
    assert_eq!(values.last().unwrap()[1], "599");
}

#[test]
fn newest_samples_are_federated() {
    let (node, t) = with_data();
    let text =
        node.get("/federate?match[]=c_total%7Bjob%3D%22a%22%7D&match[]=%7Bjob%3D%22a%22%7D").text();
    let last = t - 1000;
    assert_eq!(
        text,
        format!("# TYPE c_total untyped\nc_total{{job=\"a\",instance=\"\"}} 599 {last}\n")
    );
    assert_eq!(node.get("/federate?match[]=%7B").status, 400);
}

#[test]
fn pages_of_allowed_hosts_may_read() {
    let node = Options::default().arg("--set").arg("http.allowed_hosts=ui.example").start();
    let ask = |method: &str, origin: &str| {
        let headers = [("Origin", origin)];
        ringwell::client::send(&node.http, method, "/api/v1/labels", &headers, b"").unwrap()
    };
    let preflight = ask("OPTIONS", "https://ui.example");
    assert_eq!(preflight.status, 204);
    assert!(preflight.header("access-control-allow-headers").unwrap().contains("Authorization"));
    let answer = ask("GET", "https://ui.example");
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://ui.example"));
    assert_eq!(ask("GET", "https://evil.example").status, 403);
    assert_eq!(ask("OPTIONS", "https://evil.example").status, 403);
}

#[test]
fn the_command_line_explains() {
    let (node, _) = with_data();
    let run = |flag: &str| {
        let url = format!("http://{}", node.http);
        let output = crate::node::command()
            .args(["query", "sum(rate(c_total[1m]))", flag, "--url", &url])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let plan = "aggregate sum by ()\n  call rate\n    window 1m #0 {__name__=\"c_total\"}\n";
    assert_eq!(run("--explain"), plan);
    let analyzed = run("--analyze");
    assert!(analyzed.starts_with("operator"), "{analyzed}");
    assert!(analyzed.lines().nth(2).unwrap().trim_start().starts_with("call rate"), "{analyzed}");
}

#[test]
fn a_query_over_its_budget_says_which_and_how_to_narrow_it() {
    let node = Options::default().arg("--set").arg("limits.query_samples=1000").start();
    let run = |expression: &str| {
        let url = format!("http://{}", node.http);
        let output =
            crate::node::command().args(["query", expression, "--url", &url]).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let over = run("sum_over_time(vector(1)[1h:1s])");
    for words in ["too many samples", "over limits.query_samples = 1000", "select fewer series"] {
        assert!(over.contains(words), "{over}");
    }
    assert_eq!(
        run("sum(up{"),
        "ringwell: invalid parameter \"query\": 1:8: parse error: unexpected end of input inside \
         braces\n  sum(up{\n         ^\nhint: a bracket, a brace or an operand is missing at the \
         end\n"
    );
    let slow = node.get("/api/v1/query?query=sum_over_time(vector(1)[10h:1s])&timeout=0.000001");
    assert_eq!(slow.status, 503);
    assert!(slow.text().contains("limits.query_time"), "{}", slow.text());
}
