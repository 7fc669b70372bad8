//! The way out, and back in: Prometheus answers from an export what the node answered, and what is exported
//! as JSON comes back bit for bit.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use ringwell::client;
use serde_json::Value;

use crate::node::{Node, command, data};
use crate::prometheus::{free_address, installed, start};
use crate::wire::{HEADERS, Histogram, Span, TimeSeries, body, now, series};

const STALE: u64 = 0x7ff0_0000_0000_0002;
/// Floats that formats like to bend.
const VALUES: [u64; 16] = [
    0x7ff8_0000_0000_0001,
    0x7ff8_0000_0000_0000,
    0xfff8_0000_dead_beef,
    0x7ff0_0000_0000_0000,
    0xfff0_0000_0000_0000,
    0x8000_0000_0000_0000,
    0x0000_0000_0000_0001,
    0x7fef_ffff_ffff_ffff,
    0x3fb9_9999_9999_999a,
    0x3fb9_9999_9999_999b,
    0x4340_0000_0000_0001,
    0x43e0_0000_0000_0000,
    0x3ddb_7cdf_d9d7_bdbb,
    0x444b_1ae4_d6e2_ef50,
    0x7fef_1111_2222_3333,
    0x4009_21fb_5444_2d18,
];

fn tool(arguments: &[&str]) -> Output {
    let output = command().args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    output
}

/// Six hours up to `end`, at milliseconds that no step meets.
fn times(end: i64) -> impl DoubleEndedIterator<Item = i64> {
    (0..350).map(move |i| end - i * 61_007 - 1).rev()
}

fn float_series(end: i64) -> Vec<TimeSeries> {
    let text = "\"quotes\" \\ back\\n, new\nline, \t, €, {}=,# ";
    let mut all = Vec::new();
    let values = VALUES.iter().map(|bits| f64::from_bits(*bits)).cycle();
    let odd: Vec<(i64, f64)> = times(end).zip(values).collect();
    all.push(series(&[("__name__", "x_odd"), ("text", text)], &odd));
    let counter: Vec<(i64, f64)> =
        times(end).enumerate().map(|(i, t)| (t, (i % 200) as f64 * 1e9 + 0.1)).collect();
    all.push(series(&[("__name__", "x_requests_total"), ("job", "ä b")], &counter));
    let mut ended: Vec<(i64, f64)> = times(end).step_by(7).map(|t| (t, t as f64)).collect();
    ended[20].1 = f64::from_bits(STALE);
    ended[49].1 = f64::from_bits(STALE);
    all.push(series(&[("__name__", "x_ended")], &ended));
    for le in ["0.5", "+Inf"] {
        all.push(series(&[("__name__", "x_seconds_bucket"), ("le", le)], &counter[..100]));
    }
    all
}

fn histogram_series(end: i64) -> TimeSeries {
    let mut one = series(&[("__name__", "x_native")], &[]);
    for (i, t) in times(end).step_by(70).enumerate() {
        one.histograms.push(Histogram {
            count: Some(6 + i as u64),
            sum: if i == 3 { f64::from_bits(0x7ff8_0000_0000_0007) } else { 18.1 },
            schema: 0,
            zero_threshold: 0.001,
            zero: Some(2 + i as u64),
            positive_spans: vec![Span { offset: -3, length: 1 }, Span { offset: 2, length: 1 }],
            positive_deltas: vec![1, 2],
            t,
            ..Histogram::default()
        });
    }
    one
}

fn load(node: &Node, all: Vec<TimeSeries>) {
    let answer = node.post("/api/v1/write", &HEADERS, &body(all));
    assert_eq!(answer.status, 204, "{}", answer.text());
}

/// Every sample there is, as an answer spells it, in order of series.
fn all_samples(address: &str, end: i64) -> Vec<String> {
    let target = format!(
        "/api/v1/query?query={}&time={}",
        client::encode("{__name__=~\"x_.*\"}[8h]"),
        end as f64 / 1000.0
    );
    let answer = data(&client::send(address, "GET", &target, &[], b"").unwrap());
    let series = answer["result"].as_array().unwrap().iter();
    let mut series: Vec<String> = series.map(Value::to_string).collect();
    series.sort();
    series
}

fn export(node: &Node, format: &str, to: &Path) -> String {
    let url = format!("http://{}", node.http);
    let to = to.display().to_string();
    let selector = "{__name__=~\"x_.*\"}";
    let output =
        tool(&["export", "--url", &url, "--format", format, "--match", selector, "--output", &to]);
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn prometheus_answers_the_same_from_an_export() {
    let (Some(promtool), Some(prometheus)) = (installed("promtool"), installed("prometheus"))
    else {
        return eprintln!("skipped: there is no prometheus with promtool on this machine");
    };
    let node = Node::start();
    let end = now();
    load(&node, float_series(end));
    load(&node, vec![histogram_series(end)]);
    let (text, blocks) = (node.dir().join("out.om"), node.dir().join("prometheus"));
    let told = export(&node, "openmetrics", &text);
    assert_eq!(
        told,
        "948 samples of 5 series written\n\
         left out: 5 native histograms, which only jsonl carries\n\
         left out: 2 markers of the end of a series, which only jsonl carries\n"
    );
    let made = Command::new(promtool)
        .args(["tsdb", "create-blocks-from", "openmetrics"])
        .args([&text, &blocks])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let (address, config) = (free_address(), node.dir().join("prometheus.yml"));
    std::fs::write(&config, "").unwrap();
    let _prometheus = start(
        &prometheus,
        &[
            format!("--config.file={}", config.display()),
            format!("--storage.tsdb.path={}", blocks.display()),
            format!("--web.listen-address={address}"),
        ],
    );
    let deadline = Instant::now() + Duration::from_secs(60);
    while client::send(&address, "GET", "/-/ready", &[], b"").map_or(0, |a| a.status) != 200 {
        assert!(Instant::now() < deadline, "Prometheus is not ready");
        std::thread::sleep(Duration::from_millis(50));
    }
    let ours: Vec<String> = all_samples(&node.http, end);
    let floats: Vec<String> = ours.into_iter().filter(|s| !s.contains("x_native")).collect();
    assert_eq!(floats.len(), 5);
    assert_eq!(all_samples(&address, end), floats);
}

#[test]
fn json_lines_come_back_bit_for_bit() {
    let mut node = Node::start();
    let end = now();
    load(&node, float_series(end));
    load(&node, vec![histogram_series(end)]);
    let at = |name: &str| node.dir().join(name);
    let (first, second, third) = (at("first.jsonl"), at("second.jsonl"), at("third.jsonl"));
    assert_eq!(export(&node, "jsonl", &first), "955 samples of 6 series written\n");
    let other = Node::start();
    let url = format!("http://{}", other.http);
    // Twice: what is there already is fine.
    for _ in 0..2 {
        tool(&["import", "--url", &url, &first.display().to_string()]);
    }
    export(&other, "jsonl", &second);
    assert_eq!(all_samples(&other.http, end), all_samples(&node.http, end));
    let read = |path| std::fs::read_to_string(path).unwrap();
    assert_eq!(read(&second), read(&first));
    // The directory of a stopped node says the same.
    node.stop();
    let dir = node.data_dir().display().to_string();
    let to = third.display().to_string();
    tool(&["export", "--data-dir", &dir, "--format", "jsonl", "--output", &to]);
    assert_eq!(read(&third), read(&first));
    for bits in ["fff80000deadbeef", "7ff0000000000002", "NaN:7ff8000000000007"] {
        assert!(read(&first).contains(bits), "{bits}");
    }
}

#[test]
fn open_metrics_comes_back_and_a_part_of_it_is_no_whole() {
    let node = Node::start();
    let end = now();
    load(&node, float_series(end));
    let out = node.dir().join("out.om");
    export(&node, "openmetrics", &out);
    let other = Node::start();
    let url = format!("http://{}", other.http);
    tool(&["import", "--url", &url, &out.display().to_string()]);
    assert_eq!(all_samples(&other.http, end), all_samples(&node.http, end));
    let text = std::fs::read_to_string(&out).unwrap();
    std::fs::write(&out, text.strip_suffix("# EOF\n").unwrap()).unwrap();
    let cut = command().args(["import", "--url", &url]).arg(&out).output().unwrap();
    assert!(!cut.status.success());
    assert!(String::from_utf8_lossy(&cut.stderr).contains("part of it seems to be missing"));
}

#[test]
fn exports_take_a_selection_and_refuse_what_is_none() {
    let node = Node::start();
    let t = now() / 1000 * 1000;
    load(
        &node,
        vec![
            series(&[("__name__", "a"), ("l", "1")], &[(t - 2_000, 1.0), (t - 1_000, 2.0)]),
            series(&[("__name__", "a"), ("l", "2")], &[(t, 3.0)]),
            series(&[("__name__", "b")], &[(t, 4.0)]),
        ],
    );
    let get = |query: &str| {
        let answer = node.get(&format!("/api/v1/export?{query}"));
        (answer.status, answer.text())
    };
    let line = |pairs: &str, t: i64, v: &str| {
        format!("{{\"metric\":{{{pairs}}},\"timestamps\":[{t}],\"values\":[{v}]}}\n")
    };
    let (one, two) = ("\"__name__\":\"a\",\"l\":\"1\"", "\"__name__\":\"a\",\"l\":\"2\"");
    let b = line("\"__name__\":\"b\"", t, "4.0");
    let start = (t - 1_000) / 1000;
    assert_eq!(
        get(&format!("match[]=a&match[]=%7B__name__%3D~%22a%7Cb%22%7D&start={start}")),
        (200, format!("{}{}{b}", line(one, t - 1_000, "2.0"), line(two, t, "3.0")))
    );
    assert_eq!(get("match[]=b&format=openmetrics"), (200, format!("b 4 {}\n# EOF\n", t / 1000)));
    assert_eq!(get("match[]=none"), (200, String::new()));
    assert_eq!(get("match[]=none&format=openmetrics"), (200, "# EOF\n".to_owned()));
    for query in ["format=csv", "match[]=%7B%7D", "start=5&end=4"] {
        assert_eq!(get(query).0, 400, "{query}");
    }
    let post = |path: &str, body: &str| {
        let answer = node.post(path, &[], body.as_bytes());
        (answer.status, answer.text())
    };
    let refused = post("/api/v1/import", "{\"metric\":{\"__name__\":\"c\"},\"timestamps\":[1]}");
    assert_eq!(refused.0, 400);
    assert_eq!(refused.1, "line 1, column 1: a line has either values or histograms\n");
}
