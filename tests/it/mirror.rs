//! Keys pushed to a real Redis that nobody told to follow: a target that comes back from an old RDB file, one that is
//! frozen, refuses, or differs. All faults at once are in `chaos`.

use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::chaos::never_differed;
use crate::follow::{Draw, Link, Server, contents_of, send_all};
use crate::node::{Node, Options, command};
use crate::oracle::Connection;

const OWN: &str = "ringwell:mirror:{";
/// What keys expire later in the target.
const GRACE_MS: i64 = 3_600_000;

pub fn node_with(dir: &Path, mirror: &str) -> Options {
    let path = dir.join("ringwell.toml");
    std::fs::write(&path, format!("[[mirror.redis]]\nname = \"test\"\ngrace = \"1h\"\n{mirror}"))
        .unwrap();
    Options::default().arg(format!("--config={}", path.display()))
}

/// What is in a database, without the mirror's own keys, expiries moved back by what they are later.
fn there(address: &str, db: u8, prefix: &str) -> Vec<(String, String)> {
    let all =
        contents_of(address, db, |expires| if expires > 0 { expires - GRACE_MS } else { expires });
    let ours = all.into_iter().filter(|(key, _)| !key.starts_with(OWN));
    ours.filter_map(|(key, value)| Some((key.strip_prefix(prefix)?.to_owned(), value))).collect()
}

fn here(node: &Node, only: &str) -> Vec<(String, String)> {
    let all = contents_of(&node.redis, 0, |expires| expires);
    all.into_iter().filter(|(key, _)| key.starts_with(only)).collect()
}

pub fn metric(node: &Node, name: &str) -> f64 {
    let text = node.get("/metrics").text();
    let line = text.lines().find(|line| line.starts_with(&format!("{name}{{")));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(-1.0)
}

pub fn ends_equal(node: &Node, target: &str, (prefix, only): (&str, &str)) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let caught_up = metric(node, "ringwell_mirror_lag_bytes") == 0.0
            && metric(node, "ringwell_mirror_rebuilding") == 0.0;
        let (wanted, found) = (here(node, only), there(target, 0, prefix));
        if caught_up && wanted == found {
            return;
        }
        if Instant::now() > deadline {
            for (key, value) in &wanted {
                let got = found.iter().find(|(name, _)| name == key).map(|(_, value)| value);
                assert_eq!(Some(value), got, "{key}");
            }
            assert_eq!(wanted, found, "lag {}", metric(node, "ringwell_mirror_lag_bytes"));
            panic!("the mirror does not catch up: {}", node.log());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// A target that lost its newest keys says so by its cursor.
#[test]
fn a_target_that_came_back_from_an_old_file_ends_equal() {
    let Some(mut target) = Server::start(Path::new("redis-server"), &["--appendonly", "no"]) else {
        return;
    };
    let link = Link::to(&target.address());
    let dir = tempfile::tempdir().unwrap();
    let node = node_with(dir.path(), &format!("url = \"redis://{}\"\n", link.address)).start();
    let mut client = TcpStream::connect(&node.redis).unwrap();
    let mut draw = Draw(11);
    assert!(send_all(&mut client, &draw.pipeline(400)));
    ends_equal(&node, &target.address(), ("", ""));
    Connection::open(&target.address()).call(&["SAVE"]);
    let rebuilds = metric(&node, "ringwell_mirror_rebuilds_total");
    for _ in 0..10 {
        // Nothing that only a rebuild can tell.
        let plain: Vec<_> =
            draw.pipeline(60).into_iter().filter(|c| c[0] == b"RPUSH" || c[0] == b"ZADD").collect();
        assert!(send_all(&mut client, &plain));
    }
    ends_equal(&node, &target.address(), ("", ""));
    target.kill();
    assert!(target.run());
    link.leads_to(&target.address());
    ends_equal(&node, &target.address(), ("", ""));
    assert_eq!(metric(&node, "ringwell_mirror_rebuilds_total"), rebuilds);
    // And one that lost everything.
    target.kill();
    std::fs::remove_file(target.dir.path().join("dump.rdb")).unwrap();
    assert!(target.run());
    link.leads_to(&target.address());
    ends_equal(&node, &target.address(), ("", ""));
}

/// A writer that has nothing to say does not notice that another server stands in its target's place; what is compared
/// then is another's keys.
#[test]
fn keys_of_another_server_in_the_targets_place_are_not_taken_for_wrong_ones() {
    let start = || Server::start(Path::new("redis-server"), &["--appendonly", "no"]);
    let (Some(target), Some(other)) = (start(), start()) else { return };
    let link = Link::to(&target.address());
    let dir = tempfile::tempdir().unwrap();
    let mirror = format!("url = \"redis://{}\"\nverify = 1000\n", link.address);
    let node = node_with(dir.path(), &mirror).start();
    let mut client = TcpStream::connect(&node.redis).unwrap();
    assert!(send_all(&mut client, &Draw(17).pipeline(400)));
    ends_equal(&node, &target.address(), ("", ""));
    // What is connected stays so.
    link.leads_to(&other.address());
    let mut stranger = Connection::open(&other.address());
    let mut asked =
        move || format!("{:?}", stranger.call(&["INFO", "commandstats"])).contains("cmdstat_dump");
    node.wait_for("keys to be compared with the other's", |node| {
        never_differed(node);
        asked().then_some(())
    });
    std::thread::sleep(Duration::from_secs(3));
    never_differed(&node);
    link.cut();
    ends_equal(&node, &other.address(), ("", ""));
    never_differed(&node);
}

#[test]
fn a_frozen_target_is_in_nobodys_way_and_ends_equal() {
    let Some(target) = Server::start(Path::new("redis-server"), &[]) else { return };
    let dir = tempfile::tempdir().unwrap();
    let mirror = format!(
        "url = \"redis://{}\"\nprefix = \"m:\"\nonly = [\"L*\", \"Z*\"]\nnot = \"L3\"\n",
        target.address()
    );
    let node = node_with(dir.path(), &mirror).start();
    let mut other = Connection::open(&target.address());
    other.call(&["SET", "not-ours", "1"]);
    let mut client = TcpStream::connect(&node.redis).unwrap();
    let mut draw = Draw(13);
    assert!(send_all(&mut client, &draw.pipeline(200)));
    target.signal("-STOP");
    let started = Instant::now();
    for _ in 0..20 {
        assert!(send_all(&mut client, &draw.pipeline(50)));
    }
    assert!(started.elapsed() < Duration::from_secs(20), "a dead target holds nobody up");
    node.wait_for("the lag to show", |node| {
        (metric(node, "ringwell_mirror_lag_seconds") > 0.5).then_some(())
    });
    target.signal("-CONT");
    let ours = |node: &Node| {
        let (lists, zsets) = (here(node, "L"), here(node, "Z"));
        lists.into_iter().filter(|(key, _)| key != "L3").chain(zsets).collect::<Vec<_>>()
    };
    node.wait_for("the target to be equal", |node| {
        (metric(node, "ringwell_mirror_lag_bytes") == 0.0
            && ours(node) == there(&target.address(), 0, "m:"))
        .then_some(())
    });
    assert_eq!(format!("{:?}", other.call(&["GET", "not-ours"])), "Bulk(\"$1\")");
}

/// What the target refuses is told, and made good when it takes it again.
#[test]
fn refusals_are_told_apart() {
    let Some(target) =
        Server::start(Path::new("redis-server"), &["--requirepass", "sesame-of-the-target"])
    else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let password = dir.path().join("password");
    std::fs::write(&password, "wrong\n").unwrap();
    let mirror = format!(
        "url = \"redis://:x@{}\"\npassword_file = \"{}\"\n",
        target.address(),
        password.display()
    );
    let node = node_with(dir.path(), &mirror).start();
    Connection::open(&node.redis).call(&["SET", "k", "v"]);
    node.wait_for("the refusal", |node| {
        (metric(node, "ringwell_mirror_stopped") == 1.0).then_some(())
    });
    assert!(node.log().contains("WRONGPASS"), "{}", node.log());
    assert!(!node.log().contains("sesame"));
}

fn verify(node: &Node) -> (bool, String) {
    let url = format!("http://{}", node.http);
    let output = command().args(["mirror", "verify", "--url", &url]).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout) + &text(&output.stderr))
}

/// All keys of a target are compared with the node's, and what somebody else changed there is found and mended.
#[test]
fn what_differs_in_a_target_is_found_and_written_anew() {
    let Some(target) = Server::start(Path::new("redis-server"), &[]) else { return };
    let dir = tempfile::tempdir().unwrap();
    let mirror = format!("url = \"redis://{}\"\nverify = 0\n", target.address());
    let mut node = node_with(dir.path(), &mirror).start();
    let mut client = TcpStream::connect(&node.redis).unwrap();
    let mut draw = Draw(17);
    assert!(send_all(&mut client, &draw.pipeline(600)));
    // While it is written to, nothing is taken for a difference.
    let busy = std::thread::spawn(move || {
        for _ in 0..60 {
            assert!(send_all(&mut client, &draw.pipeline(30)));
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    let (equal, told) = verify(&node);
    busy.join().unwrap();
    let mut own = Connection::open(&node.redis);
    for n in 0..400 {
        own.call(&["RPUSH", &format!("list:{n}"), "a", "b"]);
    }
    own.call(&["SET", "expires", "x", "EX", "5000"]);
    assert!(equal || told.contains(" 0 differ"), "{told}");
    ends_equal(&node, &target.address(), ("", ""));
    let (equal, told) = verify(&node);
    assert!(equal && told.contains("all are equal"), "{told}");
    assert_eq!(metric(&node, "ringwell_mirror_mismatched_keys_total"), 0.0);

    let meddle = || {
        let mut other = Connection::open(&target.address());
        other.call(&["RPUSH", "list:1", "c"]);
        other.call(&["DEL", "list:2"]);
        other.call(&["SET", "stray", "x"]);
        other.call(&["PERSIST", "expires"]);
    };
    meddle();
    let (equal, told) = verify(&node);
    assert!(!equal && told.contains("4 differ"), "{told}");
    for line in [
        "list:1: the target has another value",
        "list:2: it is not in the target",
        "stray: it is only in the target",
        "expires: it expires at another time",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    ends_equal(&node, &target.address(), ("", ""));
    assert_eq!(metric(&node, "ringwell_mirror_mismatched_keys_total"), 4.0);
    let (equal, told) = verify(&node);
    assert!(equal, "{told}");

    // All are written anew, not only those that are told by name.
    let mut other = Connection::open(&target.address());
    (3..400).for_each(|n| drop(other.call(&["DEL", &format!("list:{n}")])));
    let (equal, told) = verify(&node);
    assert!(!equal && told.contains("397 differ"), "{told}");
    ends_equal(&node, &target.address(), ("", ""));

    // The comparison that always runs finds it too.
    std::fs::write(
        dir.path().join("ringwell.toml"),
        format!(
            "[[mirror.redis]]\nname = \"test\"\ngrace = \"1h\"\nurl = \"redis://{}\"\nverify = 200\n",
            target.address()
        ),
    )
    .unwrap();
    node.kill();
    node.restart();
    ends_equal(&node, &target.address(), ("", ""));
    meddle();
    let deadline = Instant::now() + Duration::from_secs(120);
    while metric(&node, "ringwell_mirror_mismatched_keys_total") < 4.0 {
        assert!(Instant::now() < deadline, "not all is found: {}", node.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    ends_equal(&node, &target.address(), ("", ""));
    assert_eq!(metric(&node, "ringwell_mirror_healed_keys_total"), 4.0);
    assert_eq!(metric(&node, "ringwell_mirror_rebuilds_total"), 0.0);
}

fn told(node: &Node) -> serde_json::Value {
    crate::node::data(&node.get("/api/v1/mirrors"))[0].take()
}

/// One key that the target refuses holds up no other, and is mended.
#[test]
fn a_key_that_is_refused_is_set_aside_and_written_whole() {
    let Some(target) = Server::start(Path::new("redis-server"), &[]) else { return };
    let mut admin = Connection::open(&target.address());
    admin.call(&["ACL", "SETUSER", "mirror", "on", ">secret", "+@all", "~*"]);
    let dir = tempfile::tempdir().unwrap();
    let mirror = format!("url = \"redis://mirror:secret@{}\"\nverify = 0\n", target.address());
    let node = node_with(dir.path(), &mirror).start();
    let mut client = Connection::open(&node.redis);
    client.call(&["RPUSH", "list", "a"]);
    client.call(&["SET", "string", "a"]);
    ends_equal(&node, &target.address(), ("", ""));
    admin.call(&["SET", "list", "not a list"]);
    for n in 0..50 {
        client.call(&["RPUSH", "list", &n.to_string()]);
        client.call(&["COPY", "list", "copy", "REPLACE"]);
        client.call(&["APPEND", "string", "b"]);
    }
    ends_equal(&node, &target.address(), ("", ""));
    node.wait_for("the key to be healed", |node| {
        (metric(node, "ringwell_mirror_dead_keys") == 0.0).then_some(())
    });
    assert!(metric(&node, "ringwell_mirror_dead_commands_total") > 0.0);
    assert!(metric(&node, "ringwell_mirror_healed_keys_total") > 0.0);
    assert!(node.log().contains("WRONGTYPE"), "{}", node.log());

    // What may not be written at all is named, until it may.
    admin.call(&[
        "ACL",
        "SETUSER",
        "mirror",
        "resetkeys",
        "~ringwell:*",
        "~list",
        "~string",
        "~copy",
    ]);
    client.call(&["SET", "forbidden", "x"]);
    client.call(&["RPUSH", "list", "still"]);
    node.wait_for("the key to be named", |node| {
        (metric(node, "ringwell_mirror_dead_keys") == 1.0
            && metric(node, "ringwell_mirror_lag_bytes") == 0.0)
            .then_some(())
    });
    let dead = &told(&node)["deadKeys"][0];
    assert_eq!(dead["key"], "forbidden");
    assert!(dead["error"].as_str().unwrap().contains("NOPERM"), "{dead}");
    assert_eq!(metric(&node, "ringwell_mirror_stopped"), 0.0);
    let there = format!("{:?}", admin.call(&["LINDEX", "list", "-1"]));
    assert!(there.contains("still"), "{there}");
    admin.call(&["ACL", "SETUSER", "mirror", "~*"]);
    ends_equal(&node, &target.address(), ("", ""));
    assert_eq!(metric(&node, "ringwell_mirror_rebuilds_total"), 1.0, "only at first");

    // A target that takes hardly anything is somebody's to put right.
    admin.call(&["ACL", "SETUSER", "mirror", "resetkeys", "~ringwell:*"]);
    let many = (0..1500).map(|n| vec![b"SET".to_vec(), format!("many:{n}").into(), b"x".to_vec()]);
    let mut client = TcpStream::connect(&node.redis).unwrap();
    assert!(send_all(&mut client, &many.collect::<Vec<_>>()));
    node.wait_for("the mirror to stop", |node| {
        (metric(node, "ringwell_mirror_stopped") == 1.0).then_some(())
    });
    assert!(node.log().contains("refuses more than 1000 keys"), "{}", node.log());
}

/// What was set aside still is after a kill: the target says so itself.
#[test]
fn keys_that_are_set_aside_are_so_after_a_kill() {
    let Some(target) = Server::start(Path::new("redis-server"), &[]) else { return };
    let mut admin = Connection::open(&target.address());
    let may = |keys: &[&'static str]| -> Vec<&'static str> {
        let user = ["ACL", "SETUSER", "mirror", "on", ">secret", "+@all", "resetkeys"];
        user.into_iter().chain(keys.iter().copied()).collect()
    };
    admin.call(&may(&["~*"]));
    let dir = tempfile::tempdir().unwrap();
    let mirror = format!("url = \"redis://mirror:secret@{}\"\nverify = 0\n", target.address());
    let mut node = node_with(dir.path(), &mirror).start();
    let mut client = Connection::open(&node.redis);
    client.call(&["SET", "allowed", "x"]);
    ends_equal(&node, &target.address(), ("", ""));
    admin.call(&may(&["~ringwell:*", "~allowed"]));
    client.call(&["SET", "forbidden", "x"]);
    let named = |node: &Node| {
        let dead = metric(node, "ringwell_mirror_dead_keys") == 1.0;
        (dead && metric(node, "ringwell_mirror_lag_bytes") == 0.0).then_some(())
    };
    node.wait_for("the key to be named", named);
    client.call(&["SET", "allowed", "y"]);
    node.wait_for("the cursor to move on", |node| {
        let there = format!("{:?}", admin.call(&["GET", "allowed"]));
        (there.contains('y') && named(node).is_some()).then_some(())
    });
    node.kill();
    node.restart();
    node.wait_for("the key to be named again", named);
    let dead = &told(&node)["deadKeys"][0];
    assert_eq!(dead["key"], "forbidden");
    assert!(dead["error"].as_str().unwrap().contains("NOPERM"), "{dead}");
    admin.call(&may(&["~*"]));
    node.kill();
    node.restart();
    ends_equal(&node, &target.address(), ("", ""));
    assert_eq!(metric(&node, "ringwell_mirror_rebuilds_total"), 0.0);
}

/// A command that is refused in a transaction whose reply nobody hears.
#[test]
fn what_is_refused_unheard_is_found() {
    let Some(target) = Server::start(Path::new("redis-server"), &[]) else { return };
    let link = Link::to(&target.address());
    let dir = tempfile::tempdir().unwrap();
    let mirror = format!("url = \"redis://{}\"\nverify = 0\n", link.address);
    let mut node = node_with(dir.path(), &mirror).start();
    let mut client = Connection::open(&node.redis);
    client.call(&["SET", "first", "x"]);
    ends_equal(&node, &target.address(), ("", ""));
    *link.swallows.lock().unwrap() = b"WRONGTYPE".to_vec();
    let mut admin = Connection::open(&target.address());
    for n in 0..4_u64 {
        let (key, cuts) = (format!("list:{n}"), link.cuts.load(Ordering::SeqCst));
        admin.call(&["SET", &key, "not a list"]);
        client.call(&["RPUSH", &key, "a"]);
        node.wait_for("the refusal", |_| (link.cuts.load(Ordering::SeqCst) > cuts).then_some(()));
        if n % 2 == 1 {
            node.kill();
            node.restart();
            client = Connection::open(&node.redis);
        }
    }
    ends_equal(&node, &target.address(), ("", ""));
    assert_eq!(metric(&node, "ringwell_mirror_rebuilds_total"), 0.0);
    assert_eq!(metric(&node, "ringwell_mirror_dead_commands_total"), 0.0, "nobody heard of it");
}

/// What passes is waited for, on the same connection, and nothing is given up for it.
#[test]
fn a_target_that_cannot_now_is_asked_again() {
    let Some(target) = Server::start(Path::new("redis-server"), &[]) else { return };
    let dir = tempfile::tempdir().unwrap();
    let node = node_with(dir.path(), &format!("url = \"redis://{}\"\n", target.address())).start();
    let mut client = TcpStream::connect(&node.redis).unwrap();
    let mut draw = Draw(29);
    let mut admin = Connection::open(&target.address());
    let plain = |draw: &mut Draw| -> Vec<_> {
        draw.pipeline(80).into_iter().filter(|c| c[0] == b"RPUSH" || c[0] == b"ZADD").collect()
    };
    assert!(send_all(&mut client, &plain(&mut draw)));
    ends_equal(&node, &target.address(), ("", ""));
    let rows: [(&str, &[&str], &[&str]); 2] = [
        ("OOM", &["CONFIG", "SET", "maxmemory", "1"], &["CONFIG", "SET", "maxmemory", "0"]),
        ("READONLY", &["REPLICAOF", "127.0.0.1", "1"], &["REPLICAOF", "NO", "ONE"]),
    ];
    for (says, breaks, mends) in rows {
        admin.call(breaks);
        assert!(send_all(&mut client, &plain(&mut draw)));
        node.wait_for("the refusal", |node| node.log().contains(says).then_some(()));
        assert_eq!(metric(&node, "ringwell_mirror_stopped"), 0.0, "{says}");
        admin.call(mends);
        ends_equal(&node, &target.address(), ("", ""));
    }
    assert!(metric(&node, "ringwell_mirror_retries_total") > 0.0);
    assert_eq!(metric(&node, "ringwell_mirror_dead_commands_total"), 0.0);
    assert_eq!(metric(&node, "ringwell_mirror_rebuilds_total"), 1.0, "only at first");
}

/// Two nodes that write as the same mirror do not take the target from each other for ever.
#[test]
fn of_two_writers_with_one_name_the_first_stops_and_says_so() {
    let Some(target) = Server::start(Path::new("redis-server"), &[]) else { return };
    let dir = tempfile::tempdir().unwrap();
    let mirror = format!("url = \"redis://{}\"\n", target.address());
    let first = node_with(dir.path(), &mirror).start();
    Connection::open(&first.redis).call(&["SET", "of", "the first"]);
    ends_equal(&first, &target.address(), ("", ""));
    let second = node_with(dir.path(), &mirror).start();
    Connection::open(&second.redis).call(&["SET", "of", "the second"]);
    ends_equal(&second, &target.address(), ("", ""));
    Connection::open(&first.redis).call(&["SET", "of", "the first again"]);
    first.wait_for("the first to stop", |node| {
        (metric(node, "ringwell_mirror_stopped") == 1.0).then_some(())
    });
    assert!(first.log().contains("another node writes as mirror"), "{}", first.log());
    let there = format!("{:?}", Connection::open(&target.address()).call(&["GET", "of"]));
    assert!(there.contains("the second"), "{there}");
    ends_equal(&second, &target.address(), ("", ""));
}
