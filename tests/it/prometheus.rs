//! A real Prometheus scrapes real exporters and writes to the node: both then answer alike.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use ringwell::client;
use serde_json::Value;

use crate::node::{Node, data};
use crate::wire::now;

/// What is asked on both sides, over the same range.
const EXPRESSIONS: [&str; 12] = [
    "up",
    "node_load1",
    "node_cpu_seconds_total",
    "sum by (mode) (rate(node_cpu_seconds_total[3s]))",
    "1 - avg(irate(node_cpu_seconds_total{mode=\"idle\"}[3s]))",
    "node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes",
    "topk(3, node_scrape_collector_duration_seconds)",
    "count by (job) ({__name__=~\".+\"})",
    "histogram_quantile(0.9, sum by (le) (rate(prometheus_http_request_duration_seconds_bucket[3s])))",
    "max_over_time(go_goroutines[4s]) - min_over_time(go_goroutines[4s])",
    "changes(node_time_seconds[4s]) or resets(node_time_seconds[4s])",
    "node_uname_info * on (instance) group_left (sysname) node_boot_time_seconds",
];

/// A process that ends with the test.
pub struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn start(program: &Path, arguments: &[String]) -> Peer {
    let child = Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Peer(child)
}

pub fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

pub fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|program| program.is_file())
}

/// Times in milliseconds.
fn range(address: &str, expression: &str, start: i64, end: i64) -> Value {
    let seconds = |t: i64| t as f64 / 1000.0;
    let target = format!(
        "/api/v1/query_range?query={}&start={}&end={}&step=0.5",
        client::encode(expression),
        seconds(start),
        seconds(end)
    );
    data(&client::send(address, "GET", &target, &[], b"").unwrap())
}

/// Equal but for the last digits of numbers: older releases add up less exactly.
pub fn alike(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Array(ours), Value::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| alike(a, b))
        }
        (Value::Object(ours), Value::Object(theirs)) => {
            ours.len() == theirs.len()
                && ours.iter().all(|(key, a)| theirs.get(key).is_some_and(|b| alike(a, b)))
        }
        (Value::String(ours), Value::String(theirs)) => {
            let near = |a: f64, b: f64| (a - b).abs() <= 1e-12 * a.abs().max(b.abs());
            let numbers = ours.parse::<f64>().ok().zip(theirs.parse::<f64>().ok());
            ours == theirs || numbers.is_some_and(|(a, b)| near(a, b))
        }
        _ => ours == theirs,
    }
}

/// A millisecond after `begin` from which no step meets a sample: at the left end of a range
/// releases before 3.0 still count it.
fn between_samples(node: &Node, begin: i64, end: i64) -> i64 {
    let samples = node.query(&format!("up[{}ms]", end - begin), end as f64 / 1000.0);
    let taken: Vec<i64> = samples
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|series| series["values"].as_array().unwrap())
        .map(|point| (point[0].as_f64().unwrap() * 1000.0).round() as i64)
        .collect();
    let is_free = |start: &i64| taken.iter().all(|t| (t - start).rem_euclid(500) != 0);
    (begin..begin + 500).find(is_free).unwrap()
}

fn answers_alike(prometheus: &Path) {
    let Some(exporter) = installed("prometheus-node-exporter") else {
        return eprintln!("skipped: there is no prometheus-node-exporter on this machine");
    };
    let node = Node::start();
    let (own, host) = (free_address(), free_address());
    let config = format!(
        "global:\n  scrape_interval: 500ms\nscrape_configs:\n\
         \x20 - job_name: node\n    static_configs: [{{targets: ['{host}']}}]\n\
         \x20 - job_name: prometheus\n    static_configs: [{{targets: ['{own}']}}]\n\
         remote_write:\n  - url: http://{}/api/v1/write\n\
         \x20   queue_config: {{batch_send_deadline: 200ms}}\n\
         \x20   metadata_config: {{send: true, send_interval: 500ms}}\n",
        node.http
    );
    let file = node.dir().join("prometheus.yml");
    std::fs::write(&file, config).unwrap();
    let _exporter = start(&exporter, &[format!("--web.listen-address={host}")]);
    let _prometheus = start(
        prometheus,
        &[
            format!("--config.file={}", file.display()),
            format!("--storage.tsdb.path={}", node.dir().join("prometheus").display()),
            format!("--web.listen-address={own}"),
        ],
    );
    let begin = now() / 1000 * 1000;
    let end = node.wait_for("ten seconds of both jobs", |node| {
        let newest = node.query("min(timestamp(up))", now() as f64 / 1000.0);
        let newest: f64 = newest[0]["value"][1].as_str()?.parse().ok()?;
        let two = node.query("count(up)", now() as f64 / 1000.0)[0]["value"][1] == "2";
        (two && newest * 1000.0 > (begin + 12_000) as f64).then_some(begin + 10_000)
    });
    let begin = between_samples(&node, begin, end);
    for expression in EXPRESSIONS {
        let theirs = range(&own, expression, begin, end);
        let ours = range(&node.http, expression, begin, end);
        assert!(!theirs["result"].as_array().unwrap().is_empty(), "{expression} finds nothing");
        assert!(alike(&ours, &theirs), "{expression}:\nours   {ours}\ntheirs {theirs}");
    }
    let meaning = |address: &str| {
        let target = "/api/v1/metadata?metric=node_load1";
        data(&client::send(address, "GET", target, &[], b"").unwrap())
    };
    node.wait_for("metadata", |node| (meaning(&node.http) == meaning(&own)).then_some(()));
    for target in ["/api/v1/labels", "/api/v1/label/job/values", "/api/v1/label/__name__/values"] {
        let theirs = data(&client::send(&own, "GET", target, &[], b"").unwrap());
        assert_eq!(data(&node.get(target)), theirs, "{target}");
    }
}

#[test]
fn as_debian_s_prometheus() {
    match installed("prometheus") {
        Some(program) => answers_alike(&program),
        None => eprintln!("skipped: there is no prometheus on this machine"),
    }
}

#[test]
fn as_prometheus_3() {
    let unpacked =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/.tools/prometheus3/usr/bin/prometheus");
    if unpacked.is_file() {
        answers_alike(&unpacked);
    } else {
        eprintln!("skipped: no newer prometheus was unpacked (tests/unpack_sid.sh)");
    }
}
