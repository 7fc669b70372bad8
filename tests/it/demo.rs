//! The demo fleet on the real binary: six hours at once, every push a sample, a kill or not.

use std::time::Duration;

use ringwell::demo::Fleet;

use crate::node::{Node, Options};
use crate::oracle::{Connection, Redis, Reply};

fn seconds() -> f64 {
    ringwell::clock::now_seconds()
}

/// The number a string key holds; 0 if there is none.
fn number(connection: &mut Connection, key: &str) -> f64 {
    match connection.call(&["GET", key]) {
        Reply::Bulk(text) => text.trim_start_matches('$').parse().unwrap(),
        _ => 0.0,
    }
}

/// Waits until the fleet has reached the present and lived there a moment.
fn caught_up(node: &Node) {
    node.wait_for("the fleet's present", |node| {
        let last = number(&mut Connection::open(&node.redis), "demo-fleet:last") / 1000.0;
        (last > seconds() - 3.0).then_some(())
    });
    std::thread::sleep(Duration::from_millis(1500));
}

/// Pushes as PromQL counts them, and as the fleet does, once it has stopped.
fn counted(node: &Node) -> (f64, f64) {
    assert_eq!(node.post("/api/v1/demo/stop", &[], b"").status, 200);
    let mut connection = Connection::open(&node.redis);
    let mut rounds = number(&mut connection, "demo-fleet:rounds");
    // A round may have been under way.
    loop {
        std::thread::sleep(Duration::from_millis(200));
        match number(&mut connection, "demo-fleet:rounds") {
            same if same == rounds => break,
            more => rounds = more,
        }
    }
    let query = r#"sum(count_over_time(training_loss{project="demo-vision"}[7h]))"#;
    let result = node.query(query, seconds() + 1.0);
    (result[0]["value"][1].as_str().unwrap().parse().unwrap(), rounds)
}

#[test]
fn every_push_is_a_sample_and_a_kill_changes_nothing() {
    let mut node = Options::default().arg("--demo").start();
    // In the middle of its history, and in the middle of its life.
    std::thread::sleep(Duration::from_millis(400));
    node.kill();
    node.restart();
    caught_up(&node);
    node.kill();
    node.restart();
    caught_up(&node);
    let (samples, rounds) = counted(&node);
    assert!(rounds > 1440.0, "{rounds} rounds");
    assert_eq!(samples, rounds);
    let mut connection = Connection::open(&node.redis);
    let length = connection.call(&["LLEN", "metrics:training:demo-vision:loss"]);
    assert_eq!(length, Reply::Line(':', "1000".to_owned()));
    drop(connection);
    node.kill();
    node.restart();
    let (samples_after, rounds_after) = {
        caught_up(&node);
        counted(&node)
    };
    assert!(rounds_after > rounds);
    assert_eq!(samples_after, rounds_after);
    let agents = node.query(r#"count(agent_current_tasks{agent=~"demo-.*"})"#, seconds());
    assert_eq!(agents[0]["value"][1], "8");
}

#[test]
fn the_fleet_s_lists_are_redis_s_byte_for_byte() {
    let Some(redis) = Redis::start() else { return };
    let node = Node::start();
    let now = ringwell::clock::now_ms();
    let fleet = Fleet::new(1, now - 3_600_000);
    let rounds: Vec<i64> = (0..1200).map(|i| now - 1_200_000 + i * 1000).collect();
    let contents = [node.redis.clone(), redis.address()].map(|address| {
        let mut connection = Connection::open(&address);
        for t in &rounds {
            let commands = fleet.round(t - 1000, *t);
            connection.send(&commands);
            commands.iter().for_each(|_| drop(connection.reply()));
        }
        let Reply::Nested(_, mut keys) = connection.call(&["KEYS", "metrics:*"]) else { panic!() };
        keys.sort();
        let mut contents = Vec::new();
        for key in keys {
            let Reply::Bulk(key) = key else { panic!() };
            let key = key.trim_start_matches('$');
            contents.push((key.to_owned(), connection.call(&["LRANGE", key, "0", "-1"])));
            contents.push((key.to_owned(), connection.call(&["HGET", key, "tasks_completed"])));
        }
        contents
    });
    assert!(contents[0].len() > 20);
    assert_eq!(contents[0], contents[1]);
    let loss = "metrics:training:demo-vision:loss";
    let length = Connection::open(&node.redis).call(&["LLEN", loss]);
    assert_eq!(length, Reply::Line(':', "1000".to_owned()));
}
