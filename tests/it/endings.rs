//! Connections of Redis's protocol that wait for something: who is killed goes, who only listens holds little.

use crate::moving::metric;
use crate::node::Node;
use crate::oracle::{Connection, Reply};

fn words(line: &str) -> Vec<Vec<u8>> {
    line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

fn line(kind: char, text: &str) -> Reply {
    Reply::Line(kind, text.to_owned())
}

/// A connection that has sent this, and its number.
fn at(node: &Node, lines: &[&str]) -> (Connection, String) {
    let mut connection = Connection::open(&node.redis);
    let Reply::Line(':', id) = connection.call(&["CLIENT", "ID"]) else { panic!("no number") };
    let commands: Vec<_> = lines.iter().map(|line| words(line)).collect();
    connection.send(&commands);
    (connection, id)
}

#[test]
fn who_is_killed_goes_whatever_it_waits_for() {
    let node = Node::start();
    let mut admin = Connection::open(&node.redis);
    admin.call(&["SET", "long", &"x".repeat(4 << 20)]);
    // The one does not read, the other waits for a key, the third for the end of a pause.
    let (_deaf, deaf) = at(&node, &["GET long"; 32]);
    let (_blocked, blocked) = at(&node, &["BLPOP none 0"]);
    for (id, command) in [(&deaf, "cmd=get"), (&blocked, "cmd=blpop")] {
        node.wait_for(command, |_| {
            let told = format!("{:?}", admin.call(&["CLIENT", "LIST", "ID", id]));
            told.contains(command).then_some(())
        });
    }
    assert_eq!(admin.call(&["CLIENT", "PAUSE", "3600000", "WRITE"]), line('+', "OK"));
    let (mut held, paused) = at(&node, &["PING", "SET k v", "PING"]);
    // What was asked before is answered before.
    assert_eq!(held.reply(), line('+', "PONG"));
    for id in [&deaf, &blocked, &paused] {
        assert_eq!(admin.call(&["CLIENT", "KILL", "ID", id]), line(':', "1"));
    }
    node.wait_for("their end", |node| {
        (metric(node, "ringwell_redis_connections ") == 1.0).then_some(())
    });
    assert_eq!(held.read_to_end(), "");
    admin.call(&["CLIENT", "UNPAUSE"]);
    assert_eq!(admin.call(&["GET", "k"]), line('$', "-1"));
}

#[test]
fn who_only_listens_holds_no_room_for_what_it_heard() {
    const LISTENERS: usize = 128;
    const LONG: usize = 400 << 10;
    let node = Node::start();
    let mut admin = Connection::open(&node.redis);
    let mut listeners: Vec<_> = (0..LISTENERS)
        .map(|_| {
            let mut listener = Connection::open(&node.redis);
            listener.call(&["SUBSCRIBE", "news"]);
            listener
        })
        .collect();
    node.wait_for("their rest", |_| {
        let told = format!("{:?}", admin.call(&["CLIENT", "LIST", "TYPE", "pubsub"]));
        (told.matches("qbuf-free=0 ").count() == LISTENERS).then_some(())
    });
    let before = memory_kib(&node);
    let told = admin.call(&["PUBLISH", "news", &"x".repeat(LONG)]);
    assert_eq!(told, line(':', &LISTENERS.to_string()));
    for listener in &mut listeners {
        listener.reply();
    }
    node.wait_for("room", |node| {
        let grown = memory_kib(node).saturating_sub(before);
        (grown < LISTENERS * LONG / 1024 / 2).then_some(())
    });
}

fn memory_kib(node: &Node) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
