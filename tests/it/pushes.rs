//! What was answered is there: pushes over the Redis protocol while the node is killed again and
//! again, in the list and in its series alike.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use ringwell::clock::now_ms;

use crate::node::Node;
use crate::oracle::{Connection, Reply};

const KILLS: u64 = 20;
/// Pushes sent before their replies are read.
const PIPELINE: u64 = 8;
const KEY: &str = "metrics:queue:killed:depth";

/// Pushes numbers from `next` on until the connection breaks; gives those that were answered, and
/// the first number that was never sent.
fn push_until_it_breaks(address: &str, base: i64, next: u64) -> (Vec<u64>, u64) {
    let mut reader = BufReader::new(TcpStream::connect(address).unwrap());
    let mut answered = Vec::new();
    let mut next = next;
    loop {
        let batch = next..next + PIPELINE;
        let mut bytes = String::new();
        for number in batch.clone() {
            let t = base + i64::try_from(number).unwrap();
            let element = format!(r#"{{"value":{number},"timestamp":{t}}}"#);
            bytes += &format!("*3\r\n$5\r\nRPUSH\r\n${}\r\n{KEY}\r\n", KEY.len());
            bytes += &format!("${}\r\n{element}\r\n", element.len());
        }
        next += PIPELINE;
        if reader.get_mut().write_all(bytes.as_bytes()).is_err() {
            return (answered, next);
        }
        for number in batch {
            let mut line = String::new();
            match reader.read_line(&mut line) {
                Ok(_) if line.ends_with("\r\n") => {
                    assert!(line.starts_with(':'), "{line}");
                    answered.push(number);
                }
                _ => return (answered, next),
            }
        }
    }
}

fn list(node: &Node) -> Vec<u64> {
    let reply = Connection::open(&node.redis).call(&["LRANGE", KEY, "0", "-1"]);
    let Reply::Nested('*', elements) = reply else { panic!("{reply:?}") };
    let number = |element: &Reply| {
        let Reply::Bulk(text) = element else { panic!("{element:?}") };
        let from_value = text.split("\\\"value\\\":").nth(1).unwrap();
        from_value.split(',').next().unwrap().parse().unwrap()
    };
    elements.iter().map(number).collect()
}

#[test]
fn what_was_answered_survives_kills() {
    let mut node = Node::start();
    let base = now_ms() - 3_600_000;
    let (mut answered, mut next) = (BTreeSet::new(), 0);
    for kill in 0..KILLS {
        let address = node.redis.clone();
        let pusher = std::thread::spawn(move || push_until_it_breaks(&address, base, next));
        std::thread::sleep(Duration::from_millis(20 + kill * 37 % 150));
        node.kill();
        let (more, after) = pusher.join().unwrap();
        answered.extend(more);
        next = after;
        node.restart();
    }
    let there = list(&node);
    assert!(there.is_sorted_by(|a, b| a < b), "an element is doubled or out of order");
    let kept: BTreeSet<u64> = there.iter().copied().collect();
    let lost: Vec<_> = answered.difference(&kept).collect();
    assert!(lost.is_empty(), "lost {lost:?}");
    assert!(answered.len() > KILLS as usize * 10, "only {} were answered", answered.len());
    // The series has exactly what the list has: an element and its sample are one record.
    let at = now_ms() as f64 / 1000.0 + 1.0;
    let value = |query: &str| -> f64 {
        node.query(query, at)[0]["value"][1].as_str().unwrap().parse().unwrap()
    };
    let count = value(r#"count_over_time(queue_depth{queue="killed"}[2h])"#);
    let sum = value(r#"sum_over_time(queue_depth{queue="killed"}[2h])"#);
    assert_eq!(count, there.len() as f64);
    assert_eq!(sum, there.iter().sum::<u64>() as f64);
}
