//! A mirror's target behind a network that breaks: nothing of it is felt by those who write, memory stays bounded,
//! and all is equal once it heals. Needs root and `ip`, for a network namespace.
//! `RINGWELL_PARTITION_SECONDS=600` runs long.
//!
//! A node that can feed its target does more than one that cannot, so the processor time of an operation is compared
//! with that of a node which has no target at all, written to by turns while the network is broken.

use std::collections::BTreeMap;
use std::ffi::OsString;
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

/// Processor time of each of a node's threads, in nanoseconds, by their numbers.
fn processor_times(node: &Node) -> BTreeMap<OsString, u64> {
    let threads = std::fs::read_dir(format!("/proc/{}/task", node.pid())).unwrap();
    let of_thread = |thread: std::io::Result<std::fs::DirEntry>| {
        let thread = thread.ok()?;
        let stat = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        Some((thread.file_name(), stat.split(' ').next()?.parse().ok()?))
    };
    threads.filter_map(of_thread).collect()
}

/// What the threads that are there took since; of one that has ended meanwhile nothing is known.
fn processor_time_since(node: &Node, before: &BTreeMap<OsString, u64>) -> u64 {
    let since = |(thread, time): (OsString, u64)| {
        time.saturating_sub(before.get(&thread).copied().unwrap_or(0))
    };
    processor_times(node).into_iter().map(since).sum()
}

fn memory_kib(node: &Node) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Pipelines of a hundred operations a second: many agents, and less than a target can take.
const RATE: u32 = 50;

/// A node that is written to, and what that took.
struct Written {
    node: Node,
    client: TcpStream,
    /// Operations ever.
    done: u64,
    /// Operations of this round, and their processor time in nanoseconds.
    round: (u64, u64),
}

impl Written {
    fn to(node: Node) -> Written {
        let client = TcpStream::connect(&node.redis).unwrap();
        Written { node, client, done: 0, round: (0, 0) }
    }

    /// Writes for so long.
    fn write(&mut self, time: Duration) {
        let (before, began, start) = (processor_times(&self.node), Instant::now(), self.done);
        while began.elapsed() < time {
            let commands: Vec<Vec<Vec<u8>>> = (0..100)
                .map(|_| {
                    self.done += 1;
                    let (key, value) =
                        (format!("q:{}", self.done % 97), format!("value {}", self.done));
                    let words: &[&str] = match self.done % 3 {
                        0 => &["LPUSH", &key, &value],
                        1 => &["LTRIM", &key, "0", "99"],
                        _ => &["HSET", "h", &key, &value],
                    };
                    words.iter().map(|word| word.as_bytes().to_vec()).collect()
                })
                .collect();
            assert!(send_all(&mut self.client, &commands));
            let sent = u32::try_from((self.done - start) / 100).unwrap();
            let due = sent * Duration::from_secs(1) / RATE;
            std::thread::sleep(due.saturating_sub(began.elapsed()));
        }
        self.round.0 += self.done - start;
        self.round.1 += processor_time_since(&self.node, &before);
    }

    /// The processor time of an operation of this round in microseconds; a new one begins.
    fn cost(&mut self) -> f64 {
        let (done, took) = std::mem::take(&mut self.round);
        took as f64 / 1e3 / done as f64
    }
}

/// Writes to both by turns, which are short, since what else the machine does changes slowly.
fn by_turns(one: &mut Written, other: &mut Written, time: Duration) {
    const TURN: Duration = Duration::from_secs(1);
    let began = Instant::now();
    while began.elapsed() < time {
        for written in [&mut *one, &mut *other] {
            written.write(TURN.min(time / 2));
        }
    }
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
    let (mut far, mut alone) = (Written::to(node), Written::to(Node::start()));
    let rounds = 5;
    let time = Duration::from_secs_f64(seconds as f64 / rounds as f64);
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
    by_turns(&mut far, &mut alone, time);
    let before = [far.cost(), alone.cost()];
    caught_up(&far.node);
    let bases = [memory_kib(&far.node), memory_kib(&alone.node)];
    let (mut broken, mut none, mut grown) = (Vec::new(), Vec::new(), [0, 0]);
    namespace.join(false);
    let began = Instant::now();
    for _ in 0..rounds {
        by_turns(&mut far, &mut alone, time);
        broken.push(far.cost());
        none.push(alone.cost());
        for ((grown, base), written) in grown.iter_mut().zip(bases).zip([&far, &alone]) {
            *grown = memory_kib(&written.node).saturating_sub(base).max(*grown);
        }
    }
    let node = &far.node;
    let (lag, lasted) = (metric(node, "ringwell_mirror_lag_bytes"), began.elapsed());
    namespace.join(true);
    let healing = Instant::now();
    caught_up(node);
    let ratios: Vec<f64> = broken.iter().zip(&none).map(|(a, b)| a / b).collect();
    println!(
        "{} operations; the network was broken for {:.0} s, {} KiB behind then, caught up in {:.1} s",
        far.done,
        lasted.as_secs_f64(),
        lag as u64 >> 10,
        healing.elapsed().as_secs_f64(),
    );
    println!(
        "CPU of an operation: {:.2} us before, {:.2} without a target; {:.2} without the network, {:.2} without a target (ratio of the latter two {:.3}, median of {rounds}: {ratios:.3?})",
        before[0],
        before[1],
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
