//! Published events become keys: what redis-py publishes ends in the same bytes as the seed's own
//! code leaves on Debian's redis-server, and in series whose past outlives LTRIM.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::clients::{cli, count, port, python, run};
use crate::node::{Node, Options};
use crate::oracle::{Connection, Redis};
use crate::wire;

fn agent(what: &str, address: &str, argument: &str) -> Option<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/seed_events.py");
    Some(run(Command::new(python()?).arg(script).args([what, port(address), argument])))
}

/// Waits until a command answers this.
fn wait(node: &Node, words: &[&str], answer: &str) {
    node.wait_for(&format!("{words:?} = {answer}"), |node| {
        (cli(&node.redis, words).trim() == answer).then_some(())
    });
}

/// All keys with their values; sets and the order of fields do not count.
fn contents(address: &str) -> Vec<String> {
    let mut connection = Connection::open(address);
    let keys = cli(address, &["KEYS", "metrics:*"]);
    let mut keys: Vec<&str> = keys.lines().collect();
    keys.sort_unstable();
    let mut found = Vec::new();
    for key in keys.into_iter().filter(|key| *key != "metrics:errors:counters") {
        let command = match cli(address, &["TYPE", key]).trim() {
            "list" => vec!["LRANGE", key, "0", "-1"],
            "hash" => vec!["HGETALL", key],
            "set" => vec!["SORT", key, "ALPHA"],
            other => panic!("{key} is a {other}"),
        };
        found.push(format!("{key} {:?}", connection.call(&command)));
    }
    found
}

#[test]
fn published_events_end_in_the_bytes_that_the_seed_writes() {
    let Some(redis) = Redis::start() else { return };
    let mut node = Node::start();
    let base = (wire::now() / 1000 - 300).to_string();
    if agent("publish", &node.redis, &base).is_none() {
        return;
    }
    agent("by_hand", &redis.address(), &base);
    // Events are taken in order, so the last one tells that all are.
    wait(&node, &["LLEN", "events:errors:critical"], "1");
    assert_eq!(contents(&node.redis), contents(&redis.address()));
    for key in ["metrics:training:proj-1:loss", "metrics:tasks:completion_times"] {
        let ttl = |address: &str| cli(address, &["TTL", key]).trim().parse::<i64>().unwrap();
        assert!((ttl(&node.redis) - ttl(&redis.address())).abs() <= 60, "{key}");
    }
    let metrics = node.get("/metrics").text();
    assert!(metrics.contains("ringwell_events_total{outcome=\"bad\"} 4\n"), "{metrics}");
    cli(&node.redis, &["LTRIM", "metrics:training:proj-1:loss", "0", "9"]);
    node.kill();
    node.restart();
    let loss = r#"training_loss{project="proj-1"}"#;
    assert_eq!(count(&node, &format!("count_over_time({loss}[1h])")), 60.0);
    assert_eq!(count(&node, &format!("max_over_time({loss}[1h])")), 3.0, "the past is there");
    assert_eq!(cli(&node.redis, &["LLEN", "metrics:training:proj-1:loss"]).trim(), "10");
    assert_eq!(count(&node, "sum(count_over_time(tasks_completion_duration_seconds[1h]))"), 30.0);
    assert_eq!(count(&node, "tasks_completed_today"), 30.0);
    assert_eq!(count(&node, "agents_active"), 39.0);
    assert_eq!(count(&node, r#"errors_total{kind="critical"}"#), 1.0);
}

#[test]
fn counters_of_concurrent_events_are_exact() {
    let node = Node::start();
    if agent("crowd", &node.redis, "2000").is_none() {
        return;
    }
    wait(&node, &["HGET", "metrics:tasks:counters", "completed_today"], "2000");
    for agent in 0..8 {
        let key = format!("metrics:agent:a{agent}:performance");
        wait(&node, &["HGET", &key, "tasks_completed"], "250");
    }
    wait(&node, &["LLEN", "metrics:tasks:completion_times"], "2000");
}

#[test]
fn events_of_an_outside_redis_and_the_dashboard() {
    let Some(redis) = Redis::start() else { return };
    let options = Options::default()
        .arg("--set")
        .arg(format!("events.redis=redis://{}", redis.address()))
        .arg("--set")
        .arg("events.dashboard=50ms");
    let node = options.start();
    let progress = r#"{"projectId":"far","step":1,"loss":0.25}"#;
    node.wait_for("a subscriber of the outside Redis", |_| {
        let heard = cli(&redis.address(), &["PUBLISH", "events:training:progress", progress]);
        (heard.trim() == "1").then_some(())
    });
    wait(&node, &["LINDEX", "metrics:training:far:loss", "-1"], r#"{"step":1,"value":0.25}"#);
    let mut listener = Connection::open(&node.redis);
    listener.call(&["SUBSCRIBE", "events:dashboard:update"]);
    let shown = format!("{:?}", listener.reply()).replace('\\', "");
    assert!(
        shown.contains(r#""currentLoss":0.25,"currentWER":null,"lossTrend":[{"step":1"#),
        "{shown}"
    );
    drop(listener);
    let published = |node: &Node| {
        let metrics = node.get("/metrics").text();
        let line = metrics.lines().find(|l| l.starts_with("ringwell_events_dashboards_total "));
        line.unwrap().to_owned()
    };
    node.wait_for("the end of the dashboard: nobody listens any more", |node| {
        let before = published(node);
        std::thread::sleep(Duration::from_millis(200));
        (published(node) == before).then_some(())
    });
}
