//! Keys pushed to a real Redis that nobody told to follow: through cut links, kills, a target that comes
//! back from an old RDB file and one that is frozen, it ends with exactly what the node has.
//! `RINGWELL_MIRROR_OPS=20000 RINGWELL_MIRROR_CUTS=90` run longer.

use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::follow::{Draw, Link, Server, contents_of, number, send_all};
use crate::node::{Node, Options};
use crate::oracle::Connection;

const CURSOR: &str = "ringwell:mirror:{test}:cursor";
/// What keys expire later in the target.
const GRACE_MS: i64 = 3_600_000;

fn node_with(dir: &Path, mirror: &str) -> Options {
    let path = dir.join("ringwell.toml");
    std::fs::write(&path, format!("[[mirror.redis]]\nname = \"test\"\ngrace = \"1h\"\n{mirror}"))
        .unwrap();
    Options::default().arg(format!("--config={}", path.display()))
}

/// What is in a database, without the mirror's own keys, expiries moved back by what they are later.
fn there(address: &str, db: u8, prefix: &str) -> Vec<(String, String)> {
    let all =
        contents_of(address, db, |expires| if expires > 0 { expires - GRACE_MS } else { expires });
    let ours = all.into_iter().filter(|(key, _)| key != CURSOR);
    ours.filter_map(|(key, value)| Some((key.strip_prefix(prefix)?.to_owned(), value))).collect()
}

fn here(node: &Node, only: &str) -> Vec<(String, String)> {
    let all = contents_of(&node.redis, 0, |expires| expires);
    all.into_iter().filter(|(key, _)| key.starts_with(only)).collect()
}

fn metric(node: &Node, name: &str) -> f64 {
    let text = node.get("/metrics").text();
    let line = text.lines().find(|line| line.starts_with(&format!("{name}{{")));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(-1.0)
}

fn ends_equal(node: &Node, target: &str, (prefix, only): (&str, &str)) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let caught_up = metric(node, "ringwell_mirror_lag_bytes") == 0.0;
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

#[test]
fn a_target_ends_equal_whatever_happens_to_it_and_to_the_link() {
    let (ops, cuts) = (number("RINGWELL_MIRROR_OPS", 3_000), number("RINGWELL_MIRROR_CUTS", 12));
    let saved = ["--appendonly", "yes", "--appendfsync", "always"];
    let Some(mut target) = Server::start(Path::new("redis-server"), &saved) else { return };
    let link = Link::to(&target.address());
    let dir = tempfile::tempdir().unwrap();
    let mirror = format!("url = \"redis://{}\"\n", link.address);
    let mut node = node_with(dir.path(), &mirror).start();
    let mut client = TcpStream::connect(&node.redis).unwrap();
    let mut draw = Draw(number("RINGWELL_FIRST_SEED", 3));
    let (mut sent, mut kills) = (0, 0);
    for round in 0..cuts {
        link.chaos.store([0, 20, 60][round as usize % 3], std::sync::atomic::Ordering::SeqCst);
        while sent < ops / cuts * (round + 1) {
            let pipeline = draw.pipeline(15);
            sent += pipeline.len() as u64;
            assert!(send_all(&mut client, &pipeline));
            std::thread::sleep(Duration::from_millis(10));
        }
        link.cut();
        match round % 6 {
            2 => {
                kills += 1;
                target.kill();
                assert!(target.run());
                link.leads_to(&target.address());
            }
            4 => {
                node.kill();
                node.restart();
                client = TcpStream::connect(&node.redis).unwrap();
            }
            _ => {}
        }
    }
    link.chaos.store(0, std::sync::atomic::Ordering::SeqCst);
    ends_equal(&node, &target.address(), ("", ""));
    let cut = link.cuts.load(std::sync::atomic::Ordering::SeqCst);
    println!("{sent} commands, {cut} cuts, {kills} kills: equal");
    assert_eq!(metric(&node, "ringwell_mirror_dead_commands_total"), 0.0);
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
