//! A node that replays its log is there: it takes connections, says how far it is, and lets writes and
//! queries wait. Nothing is refused that would be taken a moment later.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use ringwell::client::{Answer, send};
use ringwell_storage::append::{Batch, Duplicates, SeriesRef, SeriesSamples};
use ringwell_storage::disk::OsDisk;
use ringwell_storage::model::{Labels, Sample, Value};
use ringwell_storage::store::{Options as StoreOptions, Store};
use serde_json::json;

use crate::node::{Node, Options, data};
use crate::wire::{HEADERS, body, now, series};

/// Samples in the log of every series, a second apart.
const STEPS: i64 = 2_000;
const SERIES: i64 = 1_000;
/// A node may be ready before the test has looked; then it is killed and started again.
const STARTS: usize = 10;

/// Leaves a log as a kill leaves it; the time of its first samples.
fn log_in(node: &Node) -> i64 {
    let start = now() - STEPS * 1000;
    let disk = Arc::new(OsDisk::open(&node.data_dir()).unwrap());
    let store = Store::open(disk, StoreOptions::default(), start).unwrap();
    let label = |i: i64| Labels::from_pairs([("__name__", "old"), ("i", &i.to_string())]).unwrap();
    let all: Vec<Labels> = (0..SERIES).map(label).collect();
    for step in 0..STEPS {
        let row = |(i, labels): (i64, &Labels)| SeriesSamples {
            series: SeriesRef::Labels(labels.clone()),
            samples: vec![Sample {
                t: start + step * 1000,
                start: 0,
                value: Value::Float((step * i) as f64 / 7.0),
            }]
            .into(),
        };
        let rows = (0..).zip(&all).map(row).collect();
        let batch = Batch { series: rows, duplicates: Duplicates::Reject };
        assert!(store.append(&batch, start + step * 1000).unwrap().rejected.is_empty());
    }
    store.sync().unwrap();
    start
}

/// A connection of the Redis protocol that sends words in one line.
struct Redis(BufReader<TcpStream>);

impl Redis {
    fn connect(node: &Node) -> Redis {
        let stream = TcpStream::connect(&node.redis).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Redis(BufReader::new(stream))
    }

    /// The first line of the reply, and what a bulk string says.
    fn call(&mut self, command: &str) -> String {
        self.0.get_mut().write_all(format!("{command}\r\n").as_bytes()).unwrap();
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        let line = line.trim_end().to_owned();
        match line.strip_prefix('$').and_then(|length| length.parse::<usize>().ok()) {
            None => line,
            Some(length) => {
                let mut text = vec![0; length + 2];
                self.0.read_exact(&mut text).unwrap();
                String::from_utf8(text).unwrap()
            }
        }
    }
}

const LOADING: &str = "-LOADING Redis is loading the dataset in memory";

/// What Redis 7.0 answers while it loads; false if the node was done before.
fn answers_as_redis_does_while_it_loads(node: &Node) -> bool {
    let mut redis = Redis::connect(node);
    let replies: Vec<String> =
        ["GET k", "PING", "SELECT 1", "ECHO here", "MULTI", "SET k v", "EXEC", "INFO persistence"]
            .map(|command| redis.call(command))
            .into();
    if !replies[7].contains("loading:1\r\n") {
        return false;
    }
    assert_eq!(replies[..2], [LOADING, LOADING]);
    assert_eq!(replies[2..5], ["+OK", "here\r\n", "+OK"]);
    assert_eq!(replies[5], LOADING);
    assert!(replies[6].starts_with("-EXECABORT"), "{}", replies[6]);
    assert!(replies[7].contains("loading_total_bytes:"), "{}", replies[7]);
    true
}

/// Whether the node said that it replays, by every way that tells, and how far it is.
fn says_that_it_replays(node: &Node) -> bool {
    let ready = node.get("/-/ready");
    assert_eq!(node.get("/-/healthy").status, 200);
    assert_eq!(node.get("/").status, 200, "the web UI needs no store");
    // Answers only count if the store was not open after them.
    let replays = || node.get("/metrics").text().contains("ringwell_replaying 1\n");
    let mut progress = json!(0);
    while replays() && progress == 0 {
        progress = data(&node.get("/api/v1/status/walreplay"))["current"].clone();
    }
    if !replays() {
        return false;
    }
    assert_eq!(ready.status, 503);
    assert!(ready.text().starts_with("Ringwell replays its log: "), "{}", ready.text());
    true
}

fn query(address: &str, expression: &str, seconds: f64, more: &str) -> Answer {
    let expression = ringwell::client::encode(expression);
    let target = format!("/api/v1/query?query={expression}&time={seconds}{more}");
    send(address, "GET", &target, &[], b"").unwrap()
}

#[test]
fn nobody_is_refused_while_the_log_is_replayed() {
    let mut node = Options::default().stopped();
    let start = log_in(&node);
    let mut seen = false;
    for round in 0..STARTS as i64 {
        node.spawn();
        let http = node.http.clone();
        let t = start + round;
        let write = body(vec![series(&[("__name__", "new")], &[(t, round as f64)])]);
        let text = format!("imported {round} {t}\n");
        let at = (start + 999) as f64 / 1000.0;
        let late = std::thread::scope(|scope| {
            let written = scope.spawn(|| send(&http, "POST", "/api/v1/write", &HEADERS, &write));
            let target = "/api/v1/import/prometheus";
            let imported = scope.spawn(|| send(&http, "POST", target, &[], text.as_bytes()));
            let counted = scope.spawn(|| query(&http, "count(old)", at, ""));
            let late = scope.spawn(|| query(&http, "count(old)", at, "&timeout=1ms"));
            // One after the other, so that what is seen first was so for what comes before it.
            seen |= answers_as_redis_does_while_it_loads(&node) & says_that_it_replays(&node);
            assert_eq!(written.join().unwrap().unwrap().status, 204);
            assert_eq!(imported.join().unwrap().unwrap().status, 204);
            let counted: serde_json::Value =
                serde_json::from_slice(&counted.join().unwrap().body).unwrap();
            assert_eq!(counted["data"]["result"][0]["value"][1], json!(SERIES.to_string()));
            late.join().unwrap()
        });
        // It may have come through, where the node was quick.
        if late.status != 200 {
            assert_eq!(late.status, 503);
            assert!(late.text().contains("\"errorType\":\"timeout\""), "{}", late.text());
        }
        node.await_ready();
        assert_eq!(node.get("/-/ready").status, 200);
        assert!(node.get("/metrics").text().contains("ringwell_replaying 0\n"));
        let mut redis = Redis::connect(&node);
        assert_eq!(redis.call("SET k v"), "+OK");
        assert!(redis.call("INFO persistence").contains("loading:0\r\n"));
        for name in ["new", "imported"] {
            let expression = format!("count_over_time({name}[1m])");
            let all = node.query(&expression, (t + 1000) as f64 / 1000.0);
            assert_eq!(all[0]["value"][1], json!((round + 1).to_string()), "{name}");
        }
        node.kill();
        if seen {
            return;
        }
    }
    panic!("in {STARTS} starts the node was ready before anybody could look");
}

/// Until the log is replayed nobody knows that `default` needs a password; who came before that stays out.
#[test]
fn nobody_stays_in_who_came_before_the_users_were_known() {
    let mut node = Node::start();
    assert_eq!(Redis::connect(&node).call("ACL SETUSER default >pw resetpass >pw"), "+OK");
    assert!(node.stop().success());
    log_in(&node);
    for _ in 0..STARTS {
        node.spawn();
        let mut early = Redis::connect(&node);
        let seen = early.call("INFO persistence").contains("loading:1\r\n");
        node.await_ready();
        if seen {
            // Nothing, or a refusal: its connection ends.
            let mut line = String::new();
            let _ = early.0.get_mut().write_all(b"DBSIZE\r\n");
            let _ = early.0.read_line(&mut line);
            assert!(line.is_empty() || line.starts_with("-NOAUTH"), "{line}");
            return;
        }
        node.kill();
    }
    panic!("in {STARTS} starts the node was ready before anybody could look");
}

#[test]
fn a_stop_while_the_log_is_replayed_is_quick_and_leaves_it() {
    let mut node = Options::default().stopped();
    let start = log_in(&node);
    node.spawn();
    let status = node.stop();
    assert_eq!(status.code(), Some(0), "{}", node.log());
    node.restart();
    let count = node.query("count(old)", (start + 999) as f64 / 1000.0);
    assert_eq!(count[0]["value"][1], json!(SERIES.to_string()));
}
