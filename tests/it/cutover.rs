//! Moving in and out under load: a Redis with lists as agents push them becomes a node's source, agents go over, the
//! old Redis follows, and all goes back. `RINGWELL_MOVE_ELEMENTS=3000000` runs it in full.

use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::clients::count;
use crate::follow::{Link, Server, number, send_all};
use crate::import::status;
use crate::moving::metric;
use crate::node::{Node, Options};
use crate::oracle::{Connection, Reply};
use crate::wire::now;

/// Lists, as many as projects.
const LISTS: u64 = 300;
/// Milliseconds from one element to the next.
const STEP: i64 = 700;

fn element(step: u64, at: i64) -> Vec<u8> {
    // Losses that fall and shake, as training runs have them.
    let shake = (step.wrapping_mul(2_654_435_761) >> 7) % 4000;
    let value = 2.5 / (1.0 + step as f64 / 900.0) + shake as f64 / 40_000.0;
    format!(r#"{{"step":{step},"value":{value:.4},"timestamp":{at}}}"#).into_bytes()
}

/// Many elements in lists, oldest first.
fn load(address: &str, elements: u64) {
    let mut client = TcpStream::connect(address).unwrap();
    let each = elements / LISTS;
    let start = now() - 2_000_000 - each as i64 * STEP;
    for from in (0..each).step_by(500) {
        let commands: Vec<Vec<Vec<u8>>> = (0..LISTS)
            .map(|list| {
                let key = format!("metrics:training:proj-{list}:loss");
                let steps = from..(from + 500).min(each);
                let elements = steps.map(|step| element(step, start + step as i64 * STEP));
                [b"LPUSH".to_vec(), key.into_bytes()].into_iter().chain(elements).collect()
            })
            .collect();
        for part in commands.chunks(20) {
            assert!(send_all(&mut client, part));
        }
    }
}

/// Agents that push an element each, again and again, to where they are told.
struct Agents {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Agents {
    fn at(address: &str, pushed: &Arc<AtomicU64>) -> Agents {
        let stop = Arc::new(AtomicBool::new(false));
        let agent = |number: u64| {
            let (stop, pushed) = (Arc::clone(&stop), Arc::clone(pushed));
            let mut client = TcpStream::connect(address).unwrap();
            std::thread::spawn(move || {
                let key = format!("metrics:training:live-{number}:loss").into_bytes();
                while !stop.load(Ordering::SeqCst) {
                    let step = pushed.fetch_add(1, Ordering::SeqCst);
                    let push = vec![b"LPUSH".to_vec(), key.clone(), element(step, now())];
                    let hash: [&[u8]; 4] = [b"HSET", b"agents:status", &key, b"busy"];
                    let hash = hash.map(<[u8]>::to_vec).to_vec();
                    let keep = [b"EXPIRE".to_vec(), key.clone(), b"86400".to_vec()].to_vec();
                    assert!(send_all(&mut client, &[push, hash, keep]));
                    std::thread::sleep(Duration::from_millis(4));
                }
            })
        };
        let threads = (0..3).map(agent).collect();
        Agents { stop, threads }
    }

    fn end(self) {
        self.stop.store(true, Ordering::SeqCst);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

fn samples(node: &Node) -> f64 {
    count(node, "sum(count_over_time(training_loss[30h]))")
}

fn memory_mib(pid: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
}

fn used_memory(address: &str) -> String {
    let told = format!("{:?}", Connection::open(address).call(&["INFO", "memory"]));
    let find = |name: &str| {
        let rest = told.split(name).nth(1).unwrap_or_default();
        rest.trim_start_matches(':').chars().take_while(char::is_ascii_digit).collect::<String>()
    };
    let mib = |text: String| text.parse::<u64>().unwrap_or(0) >> 20;
    format!(
        "{} MiB used, {} MiB resident",
        mib(find("used_memory:")),
        mib(find("used_memory_rss:"))
    )
}

fn is_equal(node: &Node, redis: &Server, when: &str) {
    let began = Instant::now();
    let (same, told) = status(node, &format!("redis://{}", redis.address()), &[]);
    assert!(same, "{when}: {told}\n{}", node.log());
    let told = told.lines().find(|line| line.contains("digest")).unwrap_or_default().to_owned();
    println!("{when}: {told} ({:.1} s)", began.elapsed().as_secs_f64());
}

fn patiently<T>(node: &Node, what: &str, mut ready: impl FnMut(&Node) -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(1200);
    loop {
        if let Some(found) = ready(node) {
            return found;
        }
        assert!(Instant::now() < deadline, "waited for {what}: {}", node.log());
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn follows(node: &Node, fulls: f64) {
    patiently(node, "the source to be followed", |node| {
        let up = metric(node, "ringwell_source_up") == 1.0;
        let syncs = metric(node, "ringwell_source_syncs_total{kind=\"full\"}");
        (up && syncs >= fulls).then_some(())
    });
}

fn replica_is_up(node: &Node, redis: &Server) {
    patiently(node, "the old Redis to follow", |_| {
        let told =
            format!("{:?}", Connection::open(&redis.address()).call(&["INFO", "replication"]));
        (told.contains("master_link_status:up")).then_some(())
    });
}

#[test]
fn agents_go_over_to_a_node_and_back() {
    let elements = number("RINGWELL_MOVE_ELEMENTS", 30_000);
    let arguments =
        ["--enable-debug-command", "yes", "--client-output-buffer-limit", "replica 0 0 0"];
    let Some(redis) = Server::start(Path::new("redis-server"), &arguments) else { return };
    load(&redis.address(), elements);
    let elements = elements / LISTS * LISTS;
    let pushed = Arc::new(AtomicU64::new(0));
    let all = |pushed: &AtomicU64| (elements + pushed.load(Ordering::SeqCst)) as f64;
    let agents = Agents::at(&redis.address(), &pushed);
    let link = Link::to(&redis.address());
    let follow = format!("--replica-of=redis://{}", link.address);
    let began = Instant::now();
    let mut node = Options::default().arg(&follow).start();
    follows(&node, 1.0);
    println!("{elements} elements: followed after {:.1} s", began.elapsed().as_secs_f64());
    agents.end();
    is_equal(&node, &redis, "moved in");
    assert_eq!(samples(&node), all(&pushed));
    println!(
        "Redis: {}; node with all series: {} MiB resident, {} of it its own",
        used_memory(&redis.address()),
        memory_mib(node.pid(), "VmRSS:"),
        memory_mib(node.pid(), "RssAnon:"),
    );

    for round in 1..=3 {
        let agents = Agents::at(&redis.address(), &pushed);
        let fulls = metric(&node, "ringwell_source_syncs_total{kind=\"full\"}");
        let changed = Connection::open(&redis.address()).call(&["DEBUG", "CHANGE-REPL-ID"]);
        assert_eq!(changed, Reply::Line('+', "OK".to_owned()));
        link.cut();
        follows(&node, fulls + 1.0);
        agents.end();
        is_equal(&node, &redis, &format!("full sync {round}"));
        assert_eq!(samples(&node), all(&pushed), "full sync {round}");
    }

    // The agents go over, and the old Redis follows.
    assert!(node.stop().success());
    node = node.without(&follow);
    node.restart();
    println!(
        "after a start: {} MiB resident, {} of it its own",
        memory_mib(node.pid(), "VmRSS:"),
        memory_mib(node.pid(), "RssAnon:"),
    );
    let agents = Agents::at(&node.redis, &pushed);
    let port = node.redis.rsplit(':').next().unwrap().to_owned();
    Connection::open(&redis.address()).call(&["REPLICAOF", "127.0.0.1", &port]);
    replica_is_up(&node, &redis);
    agents.end();
    is_equal(&node, &redis, "the old Redis follows");
    assert_eq!(samples(&node), all(&pushed));

    // And back.
    Connection::open(&redis.address()).call(&["REPLICAOF", "NO", "ONE"]);
    assert!(node.stop().success());
    let agents = Agents::at(&redis.address(), &pushed);
    node = node.with(&follow);
    node.restart();
    follows(&node, 1.0);
    agents.end();
    is_equal(&node, &redis, "back again");
    assert_eq!(samples(&node), all(&pushed));
    node.kill();
}
