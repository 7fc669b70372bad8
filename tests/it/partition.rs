//! A mirror's target behind a network that breaks: nothing of it is felt by those who write, memory stays bounded,
//! and all is equal once it heals. Needs root and `ip`, for a network namespace.
//! `RINGWELL_PARTITION_SECONDS=600` runs long.
//!
//! A node that can feed its target does more than one that cannot, so the processor time of an operation is compared
//! with that of a node which has no target at all, written to by turns while the network is broken.

use std::net::{TcpStream, ToSocketAddrs as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::follow::{contents_of, number, send_all};
use crate::moving::metric;
use crate::node::{Node, Options};

/// A network namespace, joined to this one by a pair of interfaces.
struct Namespace {
    name: String,
    /// The first three numbers of its addresses.
    net: String,
}

fn ip(line: &str) -> bool {
    let done = Command::new("ip").args(line.split(' ')).output();
    done.is_ok_and(|output| output.status.success())
}

impl Namespace {
    fn new() -> Option<Namespace> {
        let pid = std::process::id();
        let name = format!("rw{pid}");
        let net = format!("10.{}.{}", 200 + pid % 50, pid / 50 % 250);
        if !ip(&format!("netns add {name}")) {
            println!("skipped: no network namespace can be made here (it takes root and ip)");
            return None;
        }
        let namespace = Namespace { name: name.clone(), net: net.clone() };
        let made = ip(&format!("link add {name}a type veth peer name {name}b netns {name}"))
            && ip(&format!("addr add {net}.1/24 dev {name}a"))
            && ip(&format!("link set {name}a up"))
            && ip(&format!("-n {name} addr add {net}.2/24 dev {name}b"))
            && ip(&format!("-n {name} link set {name}b up"))
            && ip(&format!("-n {name} link set lo up"));
        if !made {
            println!("skipped: no pair of interfaces can be made here");
        }
        made.then_some(namespace)
    }

    fn join(&self, together: bool) {
        let state = if together { "up" } else { "down" };
        assert!(ip(&format!("-n {0} link set {0}b {state}", self.name)));
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        ip(&format!("netns del {}", self.name));
    }
}

struct Inside(Child);

impl Drop for Inside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A Redis in the namespace.
fn redis(namespace: &Namespace, dir: &std::path::Path) -> Option<Inside> {
    let child = Command::new("ip")
        .args(["netns", "exec", &namespace.name, "redis-server", "--port", "6379", "--save", ""])
        .args(["--protected-mode", "no", "--bind", "0.0.0.0", "--dir"])
        .arg(dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let inside = Inside(child.ok()?);
    let address = format!("{}.2:6379", namespace.net).to_socket_addrs().unwrap().next().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err() {
        if Instant::now() > deadline {
            println!("skipped: redis-server does not start in a namespace");
            return None;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Some(inside)
}

/// Processor time of a node, in clock ticks.
fn ticks(node: &Node) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", node.pid())).unwrap();
    let behind = stat.rsplit(')').next().unwrap();
    let fields: Vec<&str> = behind.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

fn memory_kib(node: &Node) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Pipelines of a hundred operations a second: many agents, and less than a target can take.
const RATE: u32 = 50;

/// Writes for so long; gives the operations, and the processor time of each in microseconds.
fn write(node: &Node, client: &mut TcpStream, time: Duration, from: &mut u64) -> (u64, f64) {
    let (before, began) = (ticks(node), Instant::now());
    let start = *from;
    while began.elapsed() < time {
        let commands: Vec<Vec<Vec<u8>>> = (0..100)
            .map(|_| {
                *from += 1;
                let (key, value) = (format!("q:{}", *from % 97), format!("value {from}"));
                let words: &[&str] = match *from % 3 {
                    0 => &["LPUSH", &key, &value],
                    1 => &["LTRIM", &key, "0", "99"],
                    _ => &["HSET", "h", &key, &value],
                };
                words.iter().map(|word| word.as_bytes().to_vec()).collect()
            })
            .collect();
        assert!(send_all(client, &commands));
        let sent = u32::try_from((*from - start) / 100).unwrap();
        std::thread::sleep((sent * Duration::from_secs(1) / RATE).saturating_sub(began.elapsed()));
    }
    let done = *from - start;
    (done, (ticks(node) - before) as f64 * 10_000.0 / done as f64)
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

#[test]
fn a_broken_network_is_felt_by_nobody_who_writes() {
    let seconds = number("RINGWELL_PARTITION_SECONDS", 6);
    let Some(namespace) = Namespace::new() else { return };
    let dir = tempfile::tempdir().unwrap();
    let Some(_target) = redis(&namespace, dir.path()) else { return };
    let address = format!("{}.2:6379", namespace.net);
    let config = dir.path().join("ringwell.toml");
    let mirror = format!("[[mirror.redis]]\nname = \"far\"\nurl = \"redis://{address}\"\n");
    std::fs::write(&config, mirror).unwrap();
    let node = Options::default().arg(format!("--config={}", config.display())).start();
    let alone = Node::start();
    let mut client = TcpStream::connect(&node.redis).unwrap();
    let mut to_alone = TcpStream::connect(&alone.redis).unwrap();
    let (mut written, mut written_alone, rounds) = (0, 0, 5);
    let time = Duration::from_secs_f64(seconds as f64 / (2 * rounds) as f64);
    write(&node, &mut client, time, &mut written);
    write(&alone, &mut to_alone, time, &mut written_alone);
    let caught_up = |node: &Node| {
        let (mut moved, mut least) = (Instant::now(), f64::MAX);
        loop {
            let lag = metric(node, "ringwell_mirror_lag_bytes");
            if lag == 0.0 {
                return;
            }
            if lag < least {
                (moved, least) = (Instant::now(), lag);
            }
            let waited = moved.elapsed() < Duration::from_secs(120);
            assert!(waited, "the target does not catch up: {}", node.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    let mut before = Vec::new();
    for _ in 0..rounds {
        before.push(write(&node, &mut client, time, &mut written).1);
    }
    caught_up(&node);
    let bases = [memory_kib(&node), memory_kib(&alone)];
    let (mut broken, mut none, mut grown) = (Vec::new(), Vec::new(), [0, 0]);
    namespace.join(false);
    let began = Instant::now();
    for _ in 0..rounds {
        broken.push(write(&node, &mut client, time, &mut written).1);
        none.push(write(&alone, &mut to_alone, time, &mut written_alone).1);
        for ((grown, base), node) in grown.iter_mut().zip(bases).zip([&node, &alone]) {
            *grown = memory_kib(node).saturating_sub(base).max(*grown);
        }
    }
    let (lag, lasted) = (metric(&node, "ringwell_mirror_lag_bytes"), began.elapsed());
    namespace.join(true);
    let healing = Instant::now();
    caught_up(&node);
    let ratios: Vec<f64> = broken.iter().zip(&none).map(|(a, b)| a / b).collect();
    println!(
        "{written} operations; the network was broken for {:.0} s, {} KiB behind then, caught up in {:.1} s",
        lasted.as_secs_f64(),
        lag as u64 >> 10,
        healing.elapsed().as_secs_f64(),
    );
    println!(
        "CPU of an operation: {:.2} us before, {:.2} without the network, {:.2} without a target (ratio of the latter two {:.3}, median of {rounds}: {ratios:.3?})",
        median(before),
        median(broken),
        median(none),
        median(ratios.clone()),
    );
    println!("{} KiB more memory, without a target {}", grown[0], grown[1]);
    assert!(lag > 0.0);
    assert!(grown[0] < 96 << 10, "{} KiB more memory", grown[0]);
    let wanted = contents_of(&node.redis, 0, |at| at);
    let mut found = contents_of(&address, 0, |at| at);
    found.retain(|key, _| !key.starts_with("ringwell:mirror:"));
    assert_eq!(wanted, found);
}
