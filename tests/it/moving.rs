//! Moving in: a node follows a running Redis, with what it holds and what is written meanwhile, becomes its own,
//! and the old Redis follows it. Full syncs that are repeated make no sample twice.

use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::clients::count;
use crate::follow::{Draw, Link, Server, contents_of, send_all, valkey};
use crate::node::{Node, Options};
use crate::oracle::{Connection, Reply};
use crate::wire::now;

fn metric(node: &Node, line: &str) -> f64 {
    let text = node.get("/metrics").text();
    let found = text.lines().find(|l| l.starts_with(line));
    found.and_then(|l| l.rsplit(' ').next()?.parse().ok()).unwrap_or(-1.0)
}

/// All keys of the first databases are the same, and when they expire.
fn equal(node: &Node, source: &str) {
    let all =
        |address: &str| (0..3).map(|db| contents_of(address, db, |at| at)).collect::<Vec<_>>();
    let deadline = Instant::now() + Duration::from_secs(40);
    loop {
        let (wanted, found) = (all(source), all(&node.redis));
        if wanted == found {
            return;
        }
        if Instant::now() > deadline {
            for (wanted, found) in wanted.iter().zip(&found) {
                for key in wanted.keys().chain(found.keys()) {
                    assert_eq!(wanted.get(key), found.get(key), "{key}: {}", node.log());
                }
            }
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Lists as agents push them, a sample an element.
fn push(client: &mut TcpStream, from: u64, count: u64) {
    let start = now() - 3_000_000;
    let commands: Vec<_> = (from..from + count)
        .map(|n| {
            let element = format!(r#"{{"value":{n}.5,"timestamp":{}}}"#, start + n as i64 * 10);
            let key = format!("metrics:queue:q{}:depth", n % 3);
            vec![b"LPUSH".to_vec(), key.into_bytes(), element.into_bytes()]
        })
        .collect();
    assert!(send_all(client, &commands));
}

fn samples(node: &Node) -> f64 {
    count(node, "sum(count_over_time(queue_depth[2h]))")
}

/// Makes the source forget what it could send on, and cuts the link: all is asked for again.
fn full_sync(node: &Node, source: &str, link: &Link) {
    let syncs = metric(node, "ringwell_source_syncs_total{kind=\"full\"}");
    let mut connection = Connection::open(source);
    assert_eq!(connection.call(&["DEBUG", "CHANGE-REPL-ID"]), Reply::Line('+', "OK".to_owned()));
    link.cut();
    node.wait_for("a full sync", |node| {
        (metric(node, "ringwell_source_syncs_total{kind=\"full\"}") > syncs).then_some(())
    });
}

fn moves_in(program: &Path, arguments: &[&str]) {
    let Some(mut source) = Server::start(program, arguments) else { return };
    let mut client = TcpStream::connect(source.address()).unwrap();
    let mut draw = Draw(21);
    // Small and large, so that every encoding is there.
    (0..5).for_each(|_| assert!(send_all(&mut client, &draw.pipeline(100))));
    let mut connection = Connection::open(&source.address());
    connection.call(&["SELECT", "1"]);
    for n in 0..1500 {
        let (n, member) = (n.to_string(), format!("member-{n}-{}", "x".repeat(n % 90)));
        connection.call(&["HSET", "big:hash", &n, &member]);
        connection.call(&["SADD", "big:set", &member]);
        connection.call(&["SADD", "big:ints", &n]);
        connection.call(&["ZADD", "big:zset", &format!("{n}.25"), &member]);
        connection.call(&["RPUSH", "big:list", &member]);
    }
    connection.call(&["SADD", "small:set", "a", "b"]);
    connection.call(&["SADD", "small:ints", "1", "70000", "-5"]);
    connection.call(&["SET", "long", &"compressible ".repeat(500)]);
    let mut pusher = TcpStream::connect(source.address()).unwrap();
    push(&mut pusher, 0, 300);

    let link = Link::to(&source.address());
    let follow = format!("--replica-of=redis://{}", link.address);
    let mut node = Options::default().arg(&follow).start();
    equal(&node, &source.address());
    assert_eq!(samples(&node), 300.0);
    let refused = Connection::open(&node.redis).call(&["SET", "k", "v"]);
    assert!(format!("{refused:?}").contains("READONLY"), "{refused:?}");

    // What is written meanwhile, through links that break.
    for round in 0..4 {
        assert!(send_all(&mut client, &draw.pipeline(100)));
        push(&mut pusher, 300 + round * 50, 50);
        link.cut();
    }
    equal(&node, &source.address());
    assert_eq!(samples(&node), 500.0);
    assert!(metric(&node, "ringwell_source_syncs_total{kind=\"partial\"}") > 0.0);
    assert_eq!(metric(&node, "ringwell_source_refused_total"), 0.0);

    // Three full syncs in a row, one with something new, and a start anew.
    for round in 0..3 {
        full_sync(&node, &source.address(), &link);
        equal(&node, &source.address());
        assert_eq!(samples(&node), 500.0, "round {round}");
    }
    node.kill();
    push(&mut pusher, 500, 30);
    node.restart();
    equal(&node, &source.address());
    assert_eq!(samples(&node), 530.0);

    // Agents switch, and the old Redis follows.
    assert!(node.stop().success());
    let mut node = own(node, &follow);
    let mut connection = Connection::open(&source.address());
    let port = node.redis.rsplit(':').next().unwrap().to_owned();
    connection.call(&["REPLICAOF", "127.0.0.1", &port]);
    let mut client = TcpStream::connect(&node.redis).unwrap();
    assert!(send_all(&mut client, &draw.pipeline(200)));
    push(&mut client, 530, 20);
    equal(&node, &source.address());
    assert_eq!(samples(&node), 550.0);
    node.kill();
    source.kill();
}

/// The same node, following nobody.
fn own(node: Node, follow: &str) -> Node {
    let mut node = node.without(follow);
    node.restart();
    node
}

#[test]
fn a_node_takes_the_place_of_a_redis() {
    moves_in(Path::new("redis-server"), &["--enable-debug-command", "yes"]);
}

#[test]
fn a_node_takes_the_place_of_a_valkey() {
    match valkey() {
        Some(program) => moves_in(&program, &["--enable-debug-command", "yes"]),
        None => println!("skipped: Valkey's package is not installed"),
    }
}
