//! Keys beside Redis: memory of lists, their reads, and what a command costs the server. Prints the
//! tables of docs/performance.md.
//!
//! `cargo bench --bench keys [-- memory|commands]`. Servers run on CPU 1, clients on CPU 0, where
//! `taskset` is there. Only figures of one run may be compared with each other.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "its elements are as fresh as an agent's")]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Elements and lists of the memory table.
const ELEMENTS: usize = 10_000;
const LISTS: usize = 300;
/// Rounds of the command table; the median counts.
const ROUNDS: usize = 3;

/// One server on a free port with a fresh directory.
struct Server {
    name: &'static str,
    child: Child,
    port: u16,
    dir: tempfile::TempDir,
}

impl Server {
    fn start(name: &'static str) -> Server {
        let dir = tempfile::tempdir().unwrap();
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let port = free();
        let mut command = Command::new("taskset");
        command.args(["-c", "1"]);
        let path = dir.path().to_str().unwrap();
        match name {
            "ringwell" => {
                let (redis, http) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{}", free()));
                command.arg(env!("CARGO_BIN_EXE_ringwell")).args(["serve", "--data-dir", path]);
                command.args(["--redis-listen", &redis, "--http-listen", &http]);
                command.args(["--set", "wal.keys_sync=1s", "--set", "collect.enabled=false"]);
                // What is kept free for a full disk is no data.
                command.args(["--set", "limits.disk_reserve=0"]);
            }
            _ => {
                let port = port.to_string();
                command.args(["redis-server", "--port", &port, "--dir", path, "--save", ""]);
                command.args(["--appendonly", "yes", "--appendfsync", "everysec"]);
            }
        }
        let log = std::fs::File::create(dir.path().join("server.log")).unwrap();
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let server = Server { name, child, port, dir };
        let started = Instant::now();
        while !answers(port) {
            assert!(started.elapsed() < Duration::from_secs(20), "{name} does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap()
    }

    fn anonymous_bytes(&self) -> f64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<f64>().unwrap() * 1024.0
    }

    fn cpu_seconds(&self) -> f64 {
        let stat = self.proc("stat");
        let after = stat.rsplit(')').next().unwrap();
        let ticks = after.split_whitespace().skip(11).take(2).flat_map(str::parse::<f64>);
        ticks.sum::<f64>() / 100.0
    }

    fn client(&self) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { reader: BufReader::with_capacity(1 << 20, stream.try_clone().unwrap()), stream }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Client {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Client {
    fn send(&mut self, commands: &[Vec<String>]) {
        let mut bytes = String::new();
        for command in commands {
            write!(bytes, "*{}\r\n", command.len()).unwrap();
            for arg in command {
                write!(bytes, "${}\r\n{arg}\r\n", arg.len()).unwrap();
            }
        }
        self.stream.write_all(bytes.as_bytes()).unwrap();
    }

    /// Reads a reply to its end; gives its first line.
    fn reply(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        let line = line.trim_end().to_owned();
        let (kind, rest) = line.split_at(1);
        match (kind, rest.parse::<i64>()) {
            ("$", Ok(len)) if len >= 0 => {
                let mut body = vec![0; len as usize + 2];
                self.reader.read_exact(&mut body).unwrap();
            }
            ("*", Ok(len)) => (0..len).for_each(|_| drop(self.reply())),
            ("-", _) => panic!("{line}"),
            _ => {}
        }
        line
    }

    fn ask(&mut self, words: &[&str]) -> String {
        self.send(&[words.iter().map(|word| (*word).to_owned()).collect()]);
        self.reply()
    }
}

/// A stream of numbers that look random and are the same in each run.
struct Seeded(u64);

impl Seeded {
    fn unit(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// About normal, with deviation 1.
    fn noise(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

const WORKLOADS: [&str; 3] = ["training loss", "GPU utilization", "random doubles"];

/// The key of a list, and its elements: what the agents' scripts push.
fn list(workload: &str, number: usize) -> (String, impl Iterator<Item = String>) {
    let mut random = Seeded(number as u64);
    let mut t =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
            as i64;
    let (key, gap) = match workload {
        "training loss" => (format!("metrics:training:proj-{number}:loss"), 2.0),
        "GPU utilization" => (format!("metrics:gpu:gpu-{number}:utilization"), 1.0),
        _ => (format!("metrics:training:proj-{number}:wer"), 2.0),
    };
    t -= (ELEMENTS as f64 * gap) as i64;
    let mut load = 60.0;
    let (loss, gpu) = (workload == "training loss", workload == "GPU utilization");
    let elements = (0..ELEMENTS).map(move |i| {
        t += if gpu { 1 } else { 1 + (random.unit() * 3.0) as i64 };
        let time = iso(t);
        if loss {
            let value = 2.3 * (-(i as f64) / 3000.0).exp() + 0.2 + random.noise() * 0.02;
            return format!(r#"{{"step":{i},"value":{:.4},"timestamp":"{time}"}}"#, value);
        }
        if gpu {
            load = (load + random.noise()).clamp(0.0, 100.0);
            return format!(r#"{{"value":{},"timestamp":"{time}"}}"#, load.round());
        }
        format!(r#"{{"step":{i},"value":{},"timestamp":"{time}"}}"#, random.unit())
    });
    (key, elements)
}

/// A time as `2026-01-01T00:00:00Z`.
fn iso(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400) + 719_468, seconds.rem_euclid(86_400));
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let month = if march < 10 { march + 3 } else { march - 9 };
    format!(
        "{:04}-{month:02}-{:02}T{:02}:{:02}:{:02}Z",
        era * 400 + year + i64::from(month <= 2),
        of_year - (153 * march + 2) / 5 + 1,
        rest / 3_600,
        rest / 60 % 60,
        rest % 60
    )
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What a server took for one workload.
struct Memory {
    bytes: f64,
    list_bytes: f64,
    disk_bytes: f64,
    push_cpu: f64,
    range_all: f64,
    range_100: f64,
}

/// Whether a server answers, and not that it is loading.
fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let mut reply = [0; 7];
    let asked = stream.write_all(b"PING\r\n").and_then(|()| stream.read_exact(&mut reply));
    asked.is_ok() && reply == *b"+PONG\r\n"
}

/// Bytes of the files in a directory, but for what a server has logged.
fn bytes_below(dir: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap().map(Result::unwrap);
    let counted = entries.filter(|entry| entry.file_name() != "server.log");
    counted
        .map(|entry| match entry.metadata().unwrap() {
            meta if meta.is_dir() => bytes_below(&entry.path()),
            meta => meta.len(),
        })
        .sum()
}

fn memory(server: &Server, workload: &str) -> Memory {
    let mut client = server.client();
    client.ask(&["PING"]);
    let (before, cpu) = (server.anonymous_bytes(), server.cpu_seconds());
    for number in 0..LISTS {
        let (key, elements) = list(workload, number);
        let pushes: Vec<Vec<String>> =
            elements.map(|element| vec!["LPUSH".to_owned(), key.clone(), element]).collect();
        for part in pushes.chunks(1_000) {
            client.send(part);
            part.iter().for_each(|_| drop(client.reply()));
        }
        client.ask(&["EXPIRE", &key, "604800"]);
    }
    let push_cpu = (server.cpu_seconds() - cpu) / (LISTS * ELEMENTS) as f64 * 1e6;
    std::thread::sleep(Duration::from_secs(60));
    let bytes = server.anonymous_bytes() - before;
    let disk_bytes = bytes_below(server.dir.path()) as f64;
    let (first, _) = list(workload, 1);
    let mut list_bytes = 0.0;
    for number in 0..LISTS {
        let usage = client.ask(&["MEMORY", "USAGE", &list(workload, number).0, "SAMPLES", "0"]);
        list_bytes += usage[1..].parse::<f64>().unwrap();
    }
    let mut timed = |words: &[&str], times: usize| {
        median(
            (0..times)
                .map(|_| {
                    let started = Instant::now();
                    client.ask(words);
                    started.elapsed().as_secs_f64() * 1e3
                })
                .collect(),
        )
    };
    let range_all = timed(&["LRANGE", &first, "0", "-1"], 51);
    let range_100 = timed(&["LRANGE", &first, "0", "99"], 301);
    let each = (LISTS * ELEMENTS) as f64;
    let (bytes, list_bytes, disk_bytes) = (bytes / each, list_bytes / each, disk_bytes / each);
    Memory { bytes, list_bytes, disk_bytes, push_cpu, range_all, range_100 }
}

fn memory_table() {
    println!(
        "\n| {LISTS} lists of {ELEMENTS} | redis B | ringwell B | ratio | of it lists | on disk redis / ringwell | LPUSH CPU us redis / ringwell | LRANGE all ms | LRANGE 0 99 ms |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for workload in WORKLOADS {
        let [redis, ringwell] = ["redis", "ringwell"].map(|name| {
            let server = Server::start(name);
            memory(&server, workload)
        });
        println!(
            "| {workload} | {:.2} | {:.2} | 1/{:.1} | {:.2} | {:.2} / {:.2} | {:.2} / {:.2} | {:.2} / {:.2} | {:.3} / {:.3} |",
            redis.bytes,
            ringwell.bytes,
            redis.bytes / ringwell.bytes,
            ringwell.list_bytes,
            redis.disk_bytes,
            ringwell.disk_bytes,
            redis.push_cpu,
            ringwell.push_cpu,
            redis.range_all,
            ringwell.range_all,
            redis.range_100,
            ringwell.range_100,
        );
    }
}

/// Server CPU microseconds a command, by redis-benchmark.
fn command_cost(server: &Server, test: &str, pipeline: &str, count: usize) -> f64 {
    let before = server.cpu_seconds();
    let done = Command::new("taskset")
        .args(["-c", "0", "redis-benchmark", "-q", "-p", &server.port.to_string(), "-t", test])
        .args(["-c", "50", "-d", "66", "-P", pipeline, "-n", &count.to_string()])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(done.success(), "redis-benchmark {test} against {}", server.name);
    (server.cpu_seconds() - before) / count as f64 * 1e6
}

fn command_table() {
    println!(
        "\n| server CPU us a command | -P 1 redis | ringwell | ratio | -P 16 redis | ringwell | ratio |"
    );
    println!("|---|---|---|---|---|---|---|");
    for test in ["lpush", "lrange_100", "hset", "zadd", "publish"] {
        let mut line = format!("| {test} ");
        for (pipeline, count) in [("1", 50_000), ("16", 300_000)] {
            let count = if test == "lrange_100" { count / 5 } else { count };
            let mut costs = [Vec::new(), Vec::new()];
            for _ in 0..ROUNDS {
                for (name, costs) in ["redis", "ringwell"].into_iter().zip(&mut costs) {
                    costs.push(command_cost(&Server::start(name), test, pipeline, count));
                }
            }
            let [redis, ringwell] = costs.map(median);
            write!(line, "| {redis:.2} | {ringwell:.2} | {:.2} ", ringwell / redis).unwrap();
        }
        println!("{line}|");
    }
}

fn main() {
    let wanted = |name: &str| {
        let mut named = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).peekable();
        named.peek().is_none() || named.any(|arg| arg == name)
    };
    if wanted("memory") {
        memory_table();
    }
    if wanted("commands") {
        command_table();
    }
}
