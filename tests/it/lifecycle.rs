//! Starting, stopping, dying: what was acknowledged is there.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use ringwell::client::send;
use serde_json::json;

use crate::node::{Node, command};
use crate::wire::{HEADERS, body, now, series};

#[test]
fn a_stop_loses_nothing_and_ends_with_0() {
    let mut node = Node::start();
    let t = now();
    let request = body(vec![series(&[("__name__", "s")], &[(t, 42.0)])]);
    assert_eq!(node.post("/api/v1/write", &HEADERS, &request).status, 204);
    let status = node.stop();
    assert_eq!(status.code(), Some(0), "{}", node.log());
    node.restart();
    let seconds = t as f64 / 1000.0;
    assert_eq!(node.query("s", seconds)[0]["value"], json!([seconds, "42"]));
}

/// As a terminal sends when it is closed, and who would have other servers read their files again.
#[test]
fn a_hangup_is_told_and_ends_nothing() {
    let mut node = Node::start();
    node.signal("-HUP");
    let told = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        node.log().contains("SIGHUP changes nothing")
    });
    assert!(told, "{}", node.log());
    assert_eq!(node.get("/-/ready").status, 200);
    assert_eq!(node.stop().code(), Some(0), "{}", node.log());
}

/// Numbers that one client writes one after the other, and which of them were acknowledged.
#[derive(Default)]
struct Count {
    next: AtomicI64,
    acknowledged: Mutex<Vec<i64>>,
}

impl Count {
    /// Writes on until the node is gone; `write` says whether it was acknowledged.
    fn run(&self, mut write: impl FnMut(i64) -> Option<bool>) {
        loop {
            let n = self.next.fetch_add(1, Ordering::SeqCst);
            match write(n) {
                Some(true) => self.acknowledged.lock().unwrap().push(n),
                Some(false) => {}
                None => return,
            }
        }
    }

    fn len(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }
}

/// Sample `n` of the series `load`, by remote write.
fn write_sample(address: &str, start: i64, n: i64) -> Option<bool> {
    let request = body(vec![series(&[("__name__", "load")], &[(start + n, n as f64)])]);
    let answer = send(address, "POST", "/api/v1/write", &HEADERS, &request).ok()?;
    assert!(matches!(answer.status, 204 | 503), "{}", answer.text());
    Some(answer.status == 204)
}

const LIST: &str = "metrics:training:kill:loss";

/// One command of the Redis protocol; gives the first line of its reply.
fn command_line(stream: &mut BufReader<TcpStream>, arguments: &[&str]) -> Option<String> {
    let mut request = format!("*{}\r\n", arguments.len());
    for argument in arguments {
        request.push_str(&format!("${}\r\n{argument}\r\n", argument.len()));
    }
    stream.get_mut().write_all(request.as_bytes()).ok()?;
    let mut line = String::new();
    stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
    Some(line.trim_end().to_owned())
}

fn redis(node: &Node) -> BufReader<TcpStream> {
    BufReader::new(TcpStream::connect(&node.redis).unwrap())
}

/// Element `n` of the list; each has a millisecond of its own, however fast they come.
fn push_element(stream: &mut BufReader<TcpStream>, start: i64, n: i64) -> Option<bool> {
    let t = start + n;
    let element = format!("{{\"step\":{n},\"value\":{n}.5,\"timestamp\":{t}}}");
    let reply = command_line(stream, &["LPUSH", LIST, &element])?;
    assert!(reply.starts_with(':'), "{reply}");
    Some(true)
}

/// Ends a node again and again in the midst of writes on both faces. All that it acknowledged is
/// there, once; a list and its series tell of the same pushes.
fn nothing_acknowledged_is_lost(times: usize, end: impl Fn(&mut Node)) {
    let mut node = Node::start();
    let start = now() - 600_000;
    let (samples, elements) = (Count::default(), Count::default());
    for round in 1..=times {
        let before = (samples.len(), elements.len());
        let http = node.http.clone();
        let mut connection = redis(&node);
        std::thread::scope(|scope| {
            scope.spawn(|| samples.run(|n| write_sample(&http, start, n)));
            scope.spawn(|| elements.run(|n| push_element(&mut connection, start, n)));
            node.wait_for("some writes", |_| {
                (samples.len() > before.0 + 3 && elements.len() > before.1 + 3).then_some(())
            });
            std::thread::sleep(Duration::from_millis(7 * round as u64 % 50));
            end(&mut node);
        });
        node.restart();
    }
    check_samples(&node, start, &samples, times);
    check_elements(&node, &elements, times);
}

fn check_samples(node: &Node, start: i64, samples: &Count, in_flight: usize) {
    let result = node.query("load[15m]", now() as f64 / 1000.0);
    let mut there = Vec::new();
    for point in result[0]["values"].as_array().unwrap() {
        let t = (point[0].as_f64().unwrap() * 1000.0).round() as i64;
        assert_eq!(point[1], (t - start).to_string());
        there.push(t - start);
    }
    let acknowledged = samples.acknowledged.lock().unwrap();
    let lost: Vec<_> = acknowledged.iter().filter(|n| !there.contains(n)).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    assert!(there.is_sorted_by(|a, b| a < b), "none is doubled");
    assert!(there.len() <= acknowledged.len() + in_flight);
}

fn check_elements(node: &Node, elements: &Count, in_flight: usize) {
    let reply = command_line(&mut redis(node), &["LLEN", LIST]).unwrap();
    let length: usize = reply.trim_start_matches(':').parse().unwrap();
    let acknowledged = elements.len();
    assert!((acknowledged..=acknowledged + in_flight).contains(&length), "{acknowledged} {length}");
    let count = "sum(count_over_time(training_loss{project=\"kill\"}[1h]))";
    let count = node.query(count, now() as f64 / 1000.0 + 60.0);
    assert_eq!(count[0]["value"][1], length.to_string(), "a sample a push");
}

#[test]
fn twenty_kills_during_writes_lose_nothing() {
    nothing_acknowledged_is_lost(20, Node::kill);
}

#[test]
fn stops_during_writes_lose_nothing() {
    nothing_acknowledged_is_lost(3, |node| {
        let status = node.stop();
        assert_eq!(status.code(), Some(0), "{}", node.log());
    });
}

#[test]
fn a_stop_is_quick_though_clients_stay_connected() {
    let mut node = Node::start();
    let _idle: Vec<_> =
        (0..10).map(|_| std::net::TcpStream::connect(&node.http).unwrap()).collect();
    let started = std::time::Instant::now();
    assert_eq!(node.stop().code(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn inspect_shows_a_stopped_node() {
    let mut node = Node::start();
    let inspect = |node: &Node| {
        let dir = node.data_dir();
        command().args(["inspect", "--data-dir", dir.to_str().unwrap()]).output().unwrap()
    };
    assert!(!inspect(&node).status.success(), "a running node's directory is locked");
    node.stop();
    let shown = inspect(&node);
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.status.success() && text.contains("log: 1 segments"), "{text}");
    assert!(text.contains("checkpoint: checkpoints/"), "{text}");
}

#[test]
fn a_log_that_cannot_be_written_acknowledges_nothing() {
    let mut node = crate::node::Options::default().largest_file(64).start();
    let t = now() - 60_000;
    let long = "x".repeat(1000);
    let write = |node: &Node, n: i64| {
        let name = format!("{n}{long}");
        let request =
            body(vec![series(&[("__name__", "full"), ("n", &name)], &[(t + n, n as f64)])]);
        node.post("/api/v1/write", &HEADERS, &request)
    };
    let mut acknowledged = 0;
    let refused = loop {
        let answer = write(&node, acknowledged);
        match answer.status {
            204 => acknowledged += 1,
            _ => break answer,
        }
        assert!(acknowledged < 1_000, "the limit was not met");
    };
    assert!(acknowledged > 10, "{acknowledged}: {}", refused.text());
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.header("retry-after").is_some());
    assert_eq!(node.get("/-/ready").status, 503);
    assert_eq!(node.get("/-/healthy").status, 200);
    let count = |node: &Node| {
        let result = node.query("count(full)", (t + 30_000) as f64 / 1000.0);
        result[0]["value"][1].as_str().unwrap_or("0").parse::<i64>().unwrap()
    };
    assert!(count(&node) >= acknowledged, "reads go on");
    node.kill();
    node.with_room();
    node.restart();
    let there = count(&node);
    assert!((acknowledged..=acknowledged + 1).contains(&there), "{acknowledged} {there}");
    assert_eq!(write(&node, 2_000).status, 204);
}
