//! Keys of a Redis taken over from its file and by SCAN, compared with `import status`, and imported again without a
//! sample that is twice.

use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use crate::follow::{Draw, Server, valkey};
use crate::moving::{equal, fill, push, samples};
use crate::node::{Node, Options, command};
use crate::oracle::{Connection, Reply};

/// Whether it succeeded, and all that it said.
pub fn import(node: &Node, arguments: &[&str]) -> (bool, String) {
    let url = format!("http://{}", node.http);
    told(&[&["import", "--url", &url], arguments].concat())
}

pub fn status(node: &Node, source: &str, arguments: &[&str]) -> (bool, String) {
    let at = format!("redis://{}", node.redis);
    told(&[&["import", "status", "--node", &at, source], arguments].concat())
}

fn told(arguments: &[&str]) -> (bool, String) {
    let output = command().args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout) + &text(&output.stderr))
}

/// A secret that one of the two does not ask for is no obstacle.
#[test]
fn servers_without_a_password_are_compared_all_the_same() {
    let Some(source) = Server::start(Path::new("redis-server"), &[]) else { return };
    let node = Node::start();
    for address in [&source.address(), &node.redis] {
        Connection::open(address).call(&["SET", "k", "v"]);
    }
    let at = format!("redis://{}", node.redis);
    let mut compare = command();
    compare.args(["import", "status", "--node", &at, &format!("redis://:s@{}", source.address())]);
    let output = compare.env("RINGWELL_AUTH_TOKEN", "not asked for").output().unwrap();
    let told = format!("{output:?}");
    assert!(output.status.success() && told.contains("all are equal"), "{told}");
}

fn size(node: &Node) -> Reply {
    Connection::open(&node.redis).call(&["DBSIZE"])
}

fn filled(program: &Path) -> Option<Server> {
    let source = Server::start(program, &[])?;
    fill(&source, &mut Draw(23));
    push(&mut TcpStream::connect(source.address()).unwrap(), 0, 300);
    // What was to expire soon has.
    std::thread::sleep(Duration::from_millis(1100));
    Connection::open(&source.address()).call(&["SAVE"]);
    Some(source)
}

fn imports(program: &Path) {
    let Some(source) = filled(program) else { return };
    let url = format!("redis://{}", source.address());
    let file = source.dir.path().join("dump.rdb").display().to_string();
    let node = Node::start();
    for arguments in [&file, &file, &url] {
        let (done, told) = import(&node, &[arguments]);
        assert!(done, "{told}");
        equal(&node, &source.address());
        assert_eq!(samples(&node), 300.0, "{told}");
    }
    let (same, told) = status(&node, &url, &[]);
    assert!(same && told.contains("all are equal"), "{told}");

    // By SCAN alone, and again with what came since.
    let node = Node::start();
    for (from, pushed) in [(300, 0), (300, 60)] {
        push(&mut TcpStream::connect(source.address()).unwrap(), from, pushed);
        for _ in 0..2 {
            let (done, told) = import(&node, &[&url]);
            assert!(done, "{told}");
            equal(&node, &source.address());
            assert_eq!(samples(&node), 300.0 + pushed as f64, "{told}");
        }
    }
    let (done, told) = import(&node, &[&url]);
    assert!(done && told.contains(" 0 new or changed"), "{told}");
    differences_are_named(&node, &source, &url);
    // Keys of the node stay where that is asked for.
    Connection::open(&node.redis).call(&["SET", "long", "mine"]);
    let (done, told) = import(&node, &["--keep-existing", &format!("{url}/1")]);
    assert!(done && told.contains("kept as the node has them"), "{told}");
}

fn differences_are_named(node: &Node, source: &Server, url: &str) {
    let mut own = Connection::open(&node.redis);
    own.call(&["SELECT", "1"]);
    own.call(&["SET", "long", "mine"]);
    own.call(&["SET", "only-here", "x"]);
    own.call(&["SADD", "big:set", "one more"]);
    Connection::open(&source.address()).call(&["SET", "only-there", "x"]);
    let (same, told) = status(node, url, &[]);
    assert!(!same && told.contains("4 differ"), "{told}");
    for line in [
        "database 1, long: it holds something else",
        "database 1, big:set: it holds something else",
        "database 1, only-here: only the node has it",
        "only-there: the node has it not",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
}

#[test]
fn keys_of_a_redis_are_imported_once() {
    imports(Path::new("redis-server"));
}

#[test]
fn keys_of_a_valkey_are_imported_once() {
    match valkey() {
        Some(program) => imports(&program),
        None => println!("skipped: Valkey's package is not installed"),
    }
}

/// A key of which nothing is left expires when that of the source does.
#[test]
fn a_key_that_is_made_anew_keeps_when_it_expires() {
    let Some(source) = Server::start(Path::new("redis-server"), &[]) else { return };
    let node = Node::start();
    let (mut own, mut other) = (Connection::open(&node.redis), Connection::open(&source.address()));
    for (connection, element) in [(&mut own, "a"), (&mut other, "b")] {
        connection.call(&["RPUSH", "list", element]);
        connection.call(&["XADD", "stream", "1-1", "f", element]);
        for key in ["list", "stream"] {
            connection.call(&["PEXPIREAT", key, "4000000000000"]);
        }
    }
    let (done, told) = import(&node, &[&format!("redis://{}", source.address())]);
    assert!(done && told.contains("2 new or changed"), "{told}");
    for key in ["list", "stream"] {
        let expires = own.call(&["PEXPIRETIME", key]);
        assert_eq!(expires, Reply::Line(':', "4000000000000".to_owned()), "{key}");
    }
}

/// A source that is written to and followed is equal all the same.
#[test]
fn a_source_in_use_is_compared() {
    let Some(source) = Server::start(Path::new("redis-server"), &[]) else { return };
    let mut client = TcpStream::connect(source.address()).unwrap();
    push(&mut client, 0, 300);
    let node = Options::default().arg(format!("--replica-of=redis://{}", source.address())).start();
    equal(&node, &source.address());
    let writer = std::thread::spawn(move || {
        for n in 0..100 {
            push(&mut client, 300 + n, 1);
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let (same, told) = status(&node, &format!("redis://{}", source.address()), &[]);
    assert!(same, "{told}");
    writer.join().unwrap();
    let (done, told) = import(&node, &[&format!("redis://{}", source.address())]);
    assert!(!done && told.contains("READONLY"), "{told}");
}

#[test]
fn files_that_are_damaged_or_foreign_are_refused_whole() {
    let Some(source) = filled(Path::new("redis-server")) else { return };
    let bytes = std::fs::read(source.dir.path().join("dump.rdb")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bad.rdb");
    let node = Node::start();
    let mut flipped = bytes.clone();
    let at = bytes.len() - 40;
    flipped[at] ^= 4;
    for (bytes, says) in [
        (&bytes[..bytes.len() / 2], "it ends too early"),
        (&flipped[..], "at byte"),
        (&b"REDIS0099"[..], "RDB version 99"),
        (&b"not an RDB file"[..], "no RDB file"),
        (b"", "at byte 0"),
    ] {
        std::fs::write(&file, bytes).unwrap();
        let (done, told) = import(&node, &[&file.display().to_string()]);
        assert!(!done && told.contains("nothing was imported"), "{told}");
        assert!(told.contains(says), "{says}: {told}");
        assert_eq!(size(&node), Reply::Line(':', "0".to_owned()));
    }
    // The same by HTTP, where what came before is told.
    let answer = node.post("/api/v1/import/rdb", &[], &bytes[..bytes.len() / 2]);
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains("keys before it are in"), "{}", answer.text());
    let answer = node.post("/api/v1/import/rdb?existing=perhaps", &[], &bytes);
    assert_eq!(answer.status, 400, "{}", answer.text());
    let (done, told) = import(&node, &["redis://127.0.0.1:1"]);
    assert!(!done, "{told}");
}
