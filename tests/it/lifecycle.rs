//! Starting, stopping, dying: what was acknowledged is there.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
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

/// Counts upwards in one series until the node no longer answers; gives the last number that was
/// acknowledged.
fn write_until_gone(address: &str, start: i64, gone: &AtomicBool, acked: &AtomicI64) {
    for n in 0.. {
        let request = body(vec![series(&[("__name__", "load")], &[(start + n, n as f64)])]);
        match send(address, "POST", "/api/v1/write", &HEADERS, &request) {
            Ok(answer) if answer.status == 204 => acked.store(n, Ordering::SeqCst),
            Ok(answer) => assert_eq!(answer.status, 503, "{}", answer.text()),
            Err(_) => break,
        }
        if gone.load(Ordering::SeqCst) {
            break;
        }
    }
}

/// Ends a node in the midst of writes; all that it acknowledged must be there, once.
fn nothing_acknowledged_is_lost(end: impl Fn(&mut Node)) {
    let mut node = Node::start();
    let start = now() - 60_000;
    let (gone, acked) = (AtomicBool::new(false), AtomicI64::new(-1));
    let address = node.http.clone();
    std::thread::scope(|scope| {
        scope.spawn(|| write_until_gone(&address, start, &gone, &acked));
        node.wait_for("a first write", |_| (acked.load(Ordering::SeqCst) >= 20).then_some(()));
        std::thread::sleep(Duration::from_millis(50));
        end(&mut node);
        gone.store(true, Ordering::SeqCst);
    });
    let acked = acked.load(Ordering::SeqCst);
    node.restart();
    let result = node.query("load[2m]", now() as f64 / 1000.0);
    let values = result[0]["values"].as_array().unwrap();
    let there = values.len() as i64;
    assert!(there > acked, "{acked} was acknowledged, {there} are there");
    assert!(there <= acked + 2, "only the write in flight may be there beyond {acked}: {there}");
    for (n, point) in values.iter().enumerate() {
        let t = (start + n as i64) as f64 / 1000.0;
        assert_eq!(point, &json!([t, n.to_string()]));
    }
}

#[test]
fn a_kill_during_writes_loses_nothing() {
    nothing_acknowledged_is_lost(Node::kill);
}

#[test]
fn a_stop_during_writes_loses_nothing() {
    nothing_acknowledged_is_lost(|node| {
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
