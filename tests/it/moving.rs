//! Moving in: a node follows a running Redis, with what it holds and what is written meanwhile, becomes its own,
//! and the old Redis follows it. Full syncs that are repeated make no sample twice.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::clients::count;
use crate::follow::{Draw, Link, Server, contents_of, send_all, valkey};
use crate::node::{Node, Options};
use crate::oracle::{Connection, Reply};
use crate::wire::now;

pub fn metric(node: &Node, line: &str) -> f64 {
    let text = node.get("/metrics").text();
    let found = text.lines().find(|l| l.starts_with(line));
    found.and_then(|l| l.rsplit(' ').next()?.parse().ok()).unwrap_or(-1.0)
}

/// All keys of the first databases are the same, and when they expire.
pub fn equal(node: &Node, source: &str) {
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
pub fn push(client: &mut TcpStream, from: u64, count: u64) {
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

pub fn samples(node: &Node) -> f64 {
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

fn replication(node: &Node) -> String {
    match Connection::open(&node.redis).call(&["INFO", "replication"]) {
        Reply::Bulk(text) => text,
        other => panic!("{other:?}"),
    }
}

/// What a node that follows says of itself, in Redis's words.
fn says_whom_it_follows(node: &Node, source: &str) {
    let told = replication(node);
    let (host, port) = source.rsplit_once(':').unwrap();
    for line in [
        "role:slave",
        &format!("master_host:{host}"),
        &format!("master_port:{port}"),
        "master_link_status:up",
        "master_sync_in_progress:0",
        "connected_slaves:0",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    let role = Connection::open(&node.redis).call(&["ROLE"]);
    let Reply::Nested('*', role) = role else { panic!("{role:?}") };
    let wanted = [
        Reply::Bulk("$slave".to_owned()),
        Reply::Bulk(format!("${host}")),
        Reply::Line(':', port.to_owned()),
        Reply::Bulk("$connected".to_owned()),
    ];
    assert_eq!(role[..4], wanted);
    // REPLICAOF confirms it, and changes nothing.
    let mut connection = Connection::open(&node.redis);
    let confirmed = Reply::Line('+', "OK Already connected to specified master".to_owned());
    assert_eq!(connection.call(&["REPLICAOF", host, port]), confirmed);
    for other in [["NO", "ONE"], [host, "1"]] {
        let refused = connection.call(&["SLAVEOF", other[0], other[1]]);
        assert!(
            matches!(&refused, Reply::Line('-', text) if text.contains("replica_of")),
            "{refused:?}"
        );
    }
}

/// Nobody but the source changes keys, whatever the door.
fn others_may_only_read(node: &Node) {
    let size = Connection::open(&node.redis).call(&["DBSIZE"]);
    let call = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "set", "arguments": {"key": "k", "value": "v"},
    }});
    let headers =
        [("Content-Type", "application/json"), ("Accept", "application/json, text/event-stream")];
    let answer = node.post("/mcp", &headers, call.to_string().as_bytes());
    assert!(answer.text().contains("READONLY"), "{}", answer.text());
    let answer = node.post_form("/api/v1/keys/forget", &[("pattern", "metrics:*")]);
    assert!(answer.status >= 400 && answer.text().contains("READONLY"), "{}", answer.text());
    assert_eq!(Connection::open(&node.redis).call(&["DBSIZE"]), size);
}

/// Keys of every type and encoding.
pub fn fill(source: &Server, draw: &mut Draw) {
    let mut client = TcpStream::connect(source.address()).unwrap();
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
}

fn moves_in(program: &Path, arguments: &[&str]) {
    let Some(mut source) = Server::start(program, arguments) else { return };
    let mut client = TcpStream::connect(source.address()).unwrap();
    let mut draw = Draw(21);
    fill(&source, &mut draw);
    let mut pusher = TcpStream::connect(source.address()).unwrap();
    push(&mut pusher, 0, 300);

    let link = Link::to(&source.address());
    let follow = format!("--replica-of=redis://{}", link.address);
    let mut node = Options::default().arg(&follow).start();
    equal(&node, &source.address());
    assert_eq!(samples(&node), 300.0);
    let refused = Connection::open(&node.redis).call(&["SET", "k", "v"]);
    assert!(format!("{refused:?}").contains("READONLY"), "{refused:?}");
    others_may_only_read(&node);
    says_whom_it_follows(&node, &link.address);

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
    assert!(replication(&node).contains("role:master"));
    let mut connection = Connection::open(&source.address());
    let port = node.redis.rsplit(':').next().unwrap().to_owned();
    connection.call(&["REPLICAOF", "127.0.0.1", &port]);
    let mut client = TcpStream::connect(&node.redis).unwrap();
    assert!(send_all(&mut client, &draw.pipeline(200)));
    push(&mut client, 530, 20);
    equal(&node, &source.address());
    assert_eq!(samples(&node), 550.0);
    // And back: the old Redis is its own again, and the node follows it with what is there.
    connection.call(&["REPLICAOF", "NO", "ONE"]);
    let mut client = TcpStream::connect(source.address()).unwrap();
    assert!(node.stop().success());
    let mut node = node.with(&format!("--replica-of=redis://{}", source.address()));
    push(&mut client, 550, 10);
    node.restart();
    equal(&node, &source.address());
    assert_eq!(samples(&node), 560.0);
    node.kill();
    source.kill();
}

/// What a source does in one transaction is seen here whole or not at all.
#[test]
fn transactions_of_a_source_are_whole() {
    let Some(source) = Server::start(Path::new("redis-server"), &[]) else { return };
    Connection::open(&source.address()).call(&["MSET", "a", "0", "b", "0"]);
    let link = Link::to(&source.address());
    let node = Options::default().arg(format!("--replica-of=redis://{}", link.address)).start();
    node.wait_for("the link", |node| (metric(node, "ringwell_source_up") == 1.0).then_some(()));
    let address = source.address();
    let writer = std::thread::spawn(move || {
        let mut client = TcpStream::connect(address).unwrap();
        let words = |text: &str| text.split(' ').map(|w| w.as_bytes().to_vec()).collect();
        for n in 0..300 {
            // Long ones, so that their middle can be met.
            let mut all: Vec<Vec<Vec<u8>>> = vec![words("MULTI"), words("INCRBY a 1")];
            all.extend((0..40).map(|i| words(&format!("RPUSH filler:{} x", (n + i) % 50))));
            all.extend([words("SELECT 1"), words("INCRBY there 1"), words("SELECT 0")]);
            all.extend([words("DECRBY b 1"), words("EXEC")]);
            assert!(send_all(&mut client, &all));
        }
    });
    let mut reader = Connection::open(&node.redis);
    let mut looks = 0;
    while !writer.is_finished() {
        let pair = format!("{:?}", reader.call(&["MGET", "a", "b"]));
        let numbers: Vec<i64> = pair
            .split(|c: char| !c.is_ascii_digit() && c != '-')
            .filter_map(|text| text.parse().ok())
            .collect();
        assert!(numbers.len() == 2 && numbers[0] + numbers[1] == 0, "{pair}");
        looks += 1;
        if looks % 200 == 0 {
            link.cut();
        }
    }
    writer.join().unwrap();
    println!("{looks} looks");
    equal(&node, &source.address());
    assert_eq!(metric(&node, "ringwell_source_refused_total"), 0.0);
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

/// An RDB file without keys.
const EMPTY: &[u8] = b"$18\r\nREDIS0009\xff\0\0\0\0\0\0\0\0";

/// Waits until a node calls, answers what it says of itself, and gives what it asks to be fed.
fn called(listener: &TcpListener) -> (TcpStream, Vec<String>) {
    listener.set_nonblocking(true).unwrap();
    let deadline = Instant::now() + Duration::from_secs(40);
    let mut stream = loop {
        match listener.accept() {
            Ok((stream, _)) => break stream,
            Err(error) => assert!(Instant::now() < deadline, "the node does not call: {error}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    };
    loop {
        let count: usize = line().strip_prefix('*').unwrap().parse().unwrap();
        let words: Vec<String> = (0..count).map(|_| (line(), line()).1).collect();
        if words[0] == "PSYNC" {
            return (stream, words);
        }
        stream.write_all(b"+OK\r\n").unwrap();
    }
}

fn anew(offset: &str) -> Vec<u8> {
    format!("+FULLRESYNC {} {offset}\r\n", "a".repeat(40)).into_bytes()
}

/// What is too long to be held comes with a full sync.
#[test]
fn commands_that_are_too_long_come_with_a_full_sync() {
    let Some(source) = Server::start(Path::new("redis-server"), &[]) else { return };
    let follow = format!("--replica-of=redis://{}", source.address());
    let node = Options::default().arg(follow).arg("--set=limits.source_command=100KiB").start();
    let fulls = |node: &Node| metric(node, "ringwell_source_syncs_total{kind=\"full\"}");
    let is = |node: &Node, wanted: f64| {
        node.wait_for("a full sync", |node| {
            (fulls(node) == wanted && metric(node, "ringwell_source_up") == 1.0).then_some(())
        });
        equal(node, &source.address());
    };
    is(&node, 1.0);
    let mut client = TcpStream::connect(source.address()).unwrap();
    let set = |name: &str, length| vec![b"SET".to_vec(), name.into(), vec![b'x'; length]];
    assert!(send_all(&mut client, &[set("short", 50_000)]));
    is(&node, 1.0);
    // It may be held whole by the time it is measured, so it is far beyond.
    assert!(send_all(&mut client, &[set("long", 5_000_000)]));
    is(&node, 2.0);
    let word = |word: &str| vec![word.as_bytes().to_vec()];
    let all = [vec![word("MULTI")], vec![set("a", 60_000), set("b", 60_000)], vec![word("EXEC")]];
    assert!(send_all(&mut client, &all.concat()));
    is(&node, 3.0);
    assert!(node.log().contains("limits.source_command"), "{}", node.log());
}

/// Whatever stands where the source should be: the node ends the connection soon, and tries again.
#[test]
fn a_source_that_is_none_does_no_harm() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let follow = format!("--replica-of=redis://{}", listener.local_addr().unwrap());
    let node = Options::default().arg(follow).start();
    let ping = b"*1\r\n$4\r\nPING\r\n";
    for bytes in [
        [anew("18446744073709551615").as_slice(), EMPTY, ping].concat(),
        [anew("0").as_slice(), EMPTY, b"*", &[b'1'; 200_000]].concat(),
        [anew("0").as_slice(), EMPTY, b"*1\r\n$99999999999\r\nx"].concat(),
        [anew("0").as_slice(), EMPTY, b"*18446744073709551615\r\n"].concat(),
        [anew("0").as_slice(), b"$5\r\nhello"].concat(),
    ] {
        let (mut stream, _) = called(&listener);
        let shown = bytes.escape_ascii().to_string();
        let shown = &shown[..shown.len().min(200)];
        // It may hang up in the midst of it.
        let _ = stream.write_all(&bytes);
        let deadline = Instant::now() + Duration::from_secs(20);
        while matches!(stream.read(&mut [0; 1024]), Ok(n) if n > 0) {
            assert!(Instant::now() < deadline, "{shown}");
        }
        assert!(Instant::now() < deadline, "{shown}");
        assert!(!node.data_dir().join("incoming.rdb").exists(), "{shown}");
    }
    called(&listener);
    assert!(replication(&node).contains("master_link_status:down"));
}

/// What a node cannot write now it asks for again: nothing of the stream is passed over.
#[test]
fn what_cannot_be_written_is_asked_for_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let follow = format!("--replica-of=redis://{}", listener.local_addr().unwrap());
    let node = Options::default().arg(follow).largest_file(64).start();
    let (mut stream, _) = called(&listener);
    stream.write_all(&[anew("1000").as_slice(), EMPTY].concat()).unwrap();
    let element = "x".repeat(1000);
    let push = format!("*3\r\n$5\r\nRPUSH\r\n$1\r\nl\r\n$1000\r\n{element}\r\n");
    // Slowly, so that the log is written in between.
    while stream.write_all(push.as_bytes()).is_ok() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let (_again, asked) = called(&listener);
    let there = Connection::open(&node.redis).call(&["LLEN", "l"]);
    let Reply::Line(':', there) = there else { panic!("{there:?}") };
    let behind = 1000 + there.parse::<usize>().unwrap() * push.len();
    assert_eq!(asked[2], (behind + 1).to_string(), "{}", node.log());
}
