//! Redis commands, reply by reply, beside Debian's redis-server: every answer is the same.

use std::fmt::Write as _;
use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::node::Node;

/// Commands per protocol, and how many are in flight together.
const COMMANDS: usize = 6_000;
const PIPELINE: usize = 40;

/// What is called, in small letters what is drawn: `k` a key, `v` a value, `v+` one to four, `i` an
/// integer or nonsense, `f` a field, `fv+` pairs, `e` seconds or ms to live that cannot pass during
/// the test, `a` a moment, `s` options of SET, `x` options of EXPIRE, `p` a pattern, `c` a count.
const TEMPLATES: &[&str] = &[
    "LPUSH k v+",
    "RPUSH k v+",
    "LPUSH k v+",
    "RPUSH k v+",
    "LPUSHX k v+",
    "RPUSHX k v+",
    "LRANGE k i i",
    "LRANGE k 0 -1",
    "LLEN k",
    "LINDEX k i",
    "LTRIM k i i",
    "LTRIM k 0 9",
    "LPOP k",
    "RPOP k",
    "LPOP k c",
    "RPOP k c",
    "HSET k fv+",
    "HSET k fv+",
    "HMSET k fv+",
    "HGET k f",
    "HMGET k f f f",
    "HGETALL k",
    "HKEYS k",
    "HVALS k",
    "HDEL k f f",
    "HLEN k",
    "HEXISTS k f",
    "HINCRBY k f i",
    "SADD k v+",
    "SADD k v+",
    "SREM k v+",
    "SMEMBERS k",
    "SCARD k",
    "SISMEMBER k v",
    "SET k v",
    "SET k v s",
    "SET k v s s",
    "GET k",
    "INCR k",
    "INCRBY k i",
    "DECR k",
    "DECRBY k i",
    "DEL k",
    "DEL k k k",
    "UNLINK k",
    "EXISTS k k k",
    "TYPE k",
    "KEYS p",
    "DBSIZE",
    "EXPIRE k e",
    "EXPIRE k e x",
    "EXPIRE k e x x",
    "PEXPIRE k e",
    "PEXPIREAT k a x",
    "EXPIREAT k a",
    "TTL k",
    "PTTL k",
    "EXPIRETIME k",
    "PEXPIRETIME k",
    "PERSIST k",
    "SELECT i",
    "SELECT 0",
    "SELECT 0",
    "SELECT 0",
    "SELECT 1",
    "FLUSHDB",
    "FLUSHDB v",
    "MULTI",
    "EXEC",
    "EXEC",
    "EXEC",
    "DISCARD",
    "PING",
    "PING v",
    "PING v v",
    "ECHO v",
    "FOO v+",
    "GET",
    "SCAN v",
    "SCAN 0 COUNT i",
    "WAIT 0 0",
    "AUTH v v v",
    "CLIENT GETNAME",
    "CLIENT SETNAME f",
    "CLIENT v",
    "CLIENT ID v",
    "CONFIG GET save",
    "CONFIG",
    "HELLO 9",
    "HELLO v",
    "PUBLISH k v",
    "PUBSUB NUMSUB k",
    "PUBSUB NUMPAT",
    "PUBSUB v",
    "COMMAND v",
    "UNWATCH",
];

/// Replies that come in no order, and those that tell the time left.
const UNORDERED: &[&str] = &["HGETALL", "HKEYS", "HVALS", "SMEMBERS", "KEYS"];
const TIMES: &[&str] = &["TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"];

/// A redis-server of our own, ended with the test.
pub struct Redis {
    child: Child,
    port: u16,
    _dir: TempDir,
}

impl Redis {
    /// Starts Debian's redis-server; `None` if it is not installed.
    pub fn start() -> Option<Redis> {
        Redis::start_with(&[])
    }

    /// The same, with these variables in its environment.
    pub fn start_with(variables: &[(&str, String)]) -> Option<Redis> {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..5 {
            // A free port may be taken by someone else before redis-server has it.
            let port =
                std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let child = Command::new("redis-server")
                .args(["--port", &port.to_string(), "--save", "", "--bind", "127.0.0.1", "--dir"])
                .arg(dir.path())
                .envs(variables.iter().map(|(name, value)| (name, value)))
                .stdout(Stdio::null())
                .spawn();
            let Ok(mut child) = child else {
                println!("skipped: redis-server is not installed");
                return None;
            };
            for _ in 0..100 {
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return Some(Redis { child, port, _dir: dir });
                }
                if child.try_wait().unwrap().is_some() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        panic!("redis-server does not start");
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A reply with the byte that says its kind, so that RESP2 and RESP3 spellings are told apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reply {
    Line(char, String),
    Bulk(String),
    Nested(char, Vec<Reply>),
}

/// Commands as they are sent.
pub fn encoded(commands: &[Vec<Vec<u8>>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for command in commands {
        bytes.extend(format!("*{}\r\n", command.len()).into_bytes());
        for word in command {
            bytes.extend(format!("${}\r\n", word.len()).into_bytes());
            bytes.extend(word);
            bytes.extend(b"\r\n");
        }
    }
    bytes
}

/// A connection that counts on nothing but the protocol.
pub struct Connection {
    reader: BufReader<TcpStream>,
}

impl Connection {
    pub fn open(address: &str) -> Connection {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Connection { reader: BufReader::new(stream) }
    }

    pub fn send(&mut self, commands: &[Vec<Vec<u8>>]) {
        self.send_raw(&encoded(commands));
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).unwrap();
    }

    /// All that comes until the other side ends the connection.
    pub fn read_to_end(&mut self) -> String {
        let mut out = Vec::new();
        // A reset is an end too.
        let _ = self.reader.read_to_end(&mut out);
        out.escape_ascii().to_string()
    }

    pub fn call(&mut self, words: &[&str]) -> Reply {
        self.send(&[words.iter().map(|word| word.as_bytes().to_vec()).collect()]);
        self.reply()
    }

    pub fn reply(&mut self) -> Reply {
        let line = self.line();
        let (kind, rest) = line.split_at(1);
        let kind = kind.chars().next().unwrap();
        match kind {
            '$' | '=' if rest != "-1" => {
                Reply::Bulk(format!("{kind}{}", self.exactly(rest.parse().unwrap())))
            }
            '*' | '%' | '~' | '>' if rest != "-1" => {
                let each = if kind == '%' { 2 } else { 1 };
                let count = each * rest.parse::<usize>().unwrap();
                Reply::Nested(kind, (0..count).map(|_| self.reply()).collect())
            }
            kind => Reply::Line(kind, rest.to_owned()),
        }
    }

    fn line(&mut self) -> String {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            self.reader.read_exact(&mut byte).unwrap();
            line.push(byte[0]);
        }
        line.truncate(line.len() - 2);
        line.escape_ascii().to_string()
    }

    fn exactly(&mut self, count: usize) -> String {
        let mut bytes = vec![0; count + 2];
        self.reader.read_exact(&mut bytes).unwrap();
        bytes[..count].escape_ascii().to_string()
    }
}

/// A small generator, the same in every run of a seed.
pub struct Draw(pub u64);

impl Draw {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % n
    }

    pub fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    fn command(&mut self) -> Vec<Vec<u8>> {
        let mut out: Vec<Vec<u8>> = Vec::new();
        for (i, word) in self.one(TEMPLATES).split(' ').enumerate() {
            match word {
                _ if i == 0 && self.below(8) == 0 => out.push(word.to_lowercase().into_bytes()),
                "v+" => (0..=self.below(4)).for_each(|_| out.push(self.value())),
                "fv+" => {
                    for _ in 0..=self.below(3) {
                        let field = self.one(&["f1", "f2", "f3", "n"]);
                        out.extend([field.into(), self.value()]);
                    }
                }
                "s" => {
                    let option = self.one(&[
                        "NX", "xx", "GET", "KEEPTTL", "EX e", "px e", "EXAT a", "EX i", "junk",
                    ]);
                    for word in option.split(' ') {
                        let word = self.word(word);
                        out.push(word);
                    }
                }
                word => {
                    let word = self.word(word);
                    out.push(word);
                }
            }
        }
        // Now and then an argument too many or too few.
        match self.below(30) {
            0 if out.len() > 1 => drop(out.pop()),
            1 => out.push(b"extra".to_vec()),
            _ => {}
        }
        out
    }

    fn word(&mut self, word: &str) -> Vec<u8> {
        let drawn = match word {
            "v" => return self.value(),
            "k" => self.one(&["k1", "k2", "k3", "k4", "k5", "k6"]),
            "f" => self.one(&["f1", "f2", "f3", "n", "a b"]),
            "i" => self.one(&[
                "0",
                "1",
                "2",
                "-1",
                "-2",
                "3",
                "-5",
                "10",
                "100",
                "-100",
                "9223372036854775807",
                "-9223372036854775808",
                "99999999999999999999",
                "x",
                "",
                "1.5",
                "01",
                "+1",
                " 1",
                "-0",
            ]),
            "c" => self.one(&["0", "1", "2", "5", "100", "-1", "x"]),
            "e" => self.one(&[
                "0",
                "-1",
                "100000",
                "200000",
                "9223372036854775807",
                "-9223372036854775807",
                "x",
            ]),
            "a" => self.one(&["4000000000000", "5000000000000", "x"]),
            "x" => self.one(&["NX", "XX", "gt", "LT", "junk"]),
            "p" => self.one(&["*", "k*", "k[1-3]", "k[^1]", "?2", "\\k1", "[", "k"]),
            literal => literal,
        };
        drawn.as_bytes().to_vec()
    }

    fn value(&mut self) -> Vec<u8> {
        match self.below(8) {
            0 => self.below(50).to_string().into_bytes(),
            1 => Vec::new(),
            2 => b"a\r\nb\0\xff".to_vec(),
            3 => vec![b'x'; 100],
            _ => self.one(&["a", "b", "c", "10", "{\"step\":1,\"value\":0.5}"]).into(),
        }
    }
}

/// What two servers may rightly answer differently is made the same.
fn normal(command: &[Vec<u8>], reply: Reply) -> Reply {
    let name = String::from_utf8_lossy(&command[0]).to_uppercase();
    match reply {
        Reply::Nested('*', replies) if name == "EXEC" => {
            // What was queued is not known here: nested replies are compared without their order.
            Reply::Nested('*', replies.into_iter().map(loose).collect())
        }
        reply if UNORDERED.contains(&name.as_str()) => sorted(reply),
        reply if TIMES.contains(&name.as_str()) => rounded(reply),
        Reply::Nested(kind, mut parts) if ["HELLO", "SCAN", "COMMAND"].contains(&name.as_str()) => {
            // The connection's number, and which keys a first step shows.
            parts.clear();
            Reply::Nested(kind, parts)
        }
        Reply::Line(':', _) if name == "CLIENT" => Reply::Line(':', "id".to_owned()),
        reply => reply,
    }
}

/// A reply whose command is not known.
fn loose(reply: Reply) -> Reply {
    match reply {
        Reply::Nested(kind, parts)
            if matches!(parts.as_slice(), [Reply::Bulk(_), Reply::Nested(..)]) =>
        {
            Reply::Nested(kind, Vec::new())
        }
        reply => rounded(sorted(reply)),
    }
}

fn sorted(reply: Reply) -> Reply {
    match reply {
        Reply::Nested(kind, mut parts) => {
            parts.sort();
            Reply::Nested(kind, parts)
        }
        reply => reply,
    }
}

/// Times are compared to the nearest ten seconds and more: the two servers are not called at once.
fn rounded(reply: Reply) -> Reply {
    match &reply {
        Reply::Line(':', number) => match number.parse::<i64>() {
            Ok(n) if n > 90_000 => Reply::Line(':', (n + 50_000).div_euclid(100_000).to_string()),
            _ => reply,
        },
        _ => reply,
    }
}

/// How many commands a random run takes: as the environment says, or else so many.
pub fn wanted(otherwise: usize) -> usize {
    let wanted = std::env::var("RINGWELL_ORACLE_COMMANDS").ok();
    wanted.and_then(|count| count.parse().ok()).unwrap_or(otherwise)
}

/// A connection to each of the two servers, with nothing in them.
pub fn both(node: &Node, redis: &Redis, hello: &str) -> [Connection; 2] {
    [&node.redis, &redis.address()].map(|address| {
        let mut connection = Connection::open(address);
        connection.call(&["HELLO", hello]);
        connection.call(&["FLUSHALL"]);
        connection
    })
}

/// Sends commands to both and tells where the answers differ, once `normal` has made the same what rightly does.
pub fn differences(
    [ours, theirs]: &mut [Connection; 2],
    commands: &[Vec<Vec<u8>>],
    normal: fn(&[Vec<u8>], Reply) -> Reply,
) -> String {
    ours.send(commands);
    theirs.send(commands);
    let mut told = String::new();
    for command in commands {
        let (our, their) = (normal(command, ours.reply()), normal(command, theirs.reply()));
        if our != their {
            let words = command.iter().map(|word| word.escape_ascii().to_string());
            let words = words.collect::<Vec<_>>().join(" ");
            let _ = writeln!(told, "{words}\n  ours   {our:?}\n  redis  {their:?}");
        }
    }
    told
}

#[test]
fn replies_equal_redis_s() {
    let Some(redis) = Redis::start() else { return };
    let node = Node::start();
    for (seed, hello) in [(1, "2"), (2, "3"), (3, "2")] {
        let mut connections = both(&node, &redis, hello);
        let mut draw = Draw(seed);
        let mut found = String::new();
        let mut called = 0;
        while called < COMMANDS {
            let batch: Vec<_> = (0..PIPELINE).map(|_| draw.command()).collect();
            found += &differences(&mut connections, &batch, normal);
            called += batch.len();
        }
        assert!(found.is_empty(), "seed {seed}, HELLO {hello}:\n{found}");
    }
}

/// What a script of inline lines answers on both servers, to the last byte.
#[test]
fn conversations_equal_redis_s() {
    let Some(redis) = Redis::start() else { return };
    let node = Node::start();
    let scripts: &[&[&str]] = &[
        // Subscribing, in RESP2 with its narrow mode and in RESP3 with pushes.
        &[
            "subscribe a",
            "get x",
            "ping",
            "ping x",
            "publish a x",
            "unsubscribe",
            "unsubscribe",
            "get x",
        ],
        &[
            "subscribe a b a",
            "psubscribe a* b*",
            "punsubscribe a*",
            "punsubscribe",
            "unsubscribe b a",
            "ping",
        ],
        &[
            "hello 3",
            "subscribe a",
            "publish a x",
            "psubscribe a*",
            "publish ab y",
            "get x",
            "unsubscribe",
            "punsubscribe",
        ],
        &["psubscribe x*", "reset", "get x", "pubsub numpat"],
        // Whole scores past what a float spells in digits are integers while the set is small.
        &[
            "zadd zs 3377873669365921792 a -4611686018427387904 b 47e17 c 1e17 d 99e15 e 2.5 f 1e300 g",
            "zscan zs 0 match a",
            "zscan zs 0 match b",
            "zscan zs 0 match c",
            "zscan zs 0 match d",
            "zscan zs 0 match e",
            "zscan zs 0 match g",
            "zrange zs 0 -1 withscores",
            "zadd zs 1 a-member-that-is-longer-than-the-sixty-four-bytes-that-a-small-set-may-hold",
            "zscan zs 0 match a",
            "del zs",
        ],
        &["multi", "subscribe a", "ping", "exec"],
        // A node of its own, which nobody tells to follow.
        &[
            "replicaof no one",
            "SLAVEOF NO ONE",
            "replicaof no",
            "slaveof host x",
            "replicaof h 70000",
        ],
        // What ends a connection.
        &["ping", "quit", "ping"],
        &["POST / HTTP/1.1", "Host: localhost", "ping"],
        &["GET / HTTP/1.1", "Host: localhost", "ping"],
        &["*1\r\n$-5", "ping"],
        &["*x", "ping"],
        &["*1\r\nping", "ping"],
        &["set \"a", "ping"],
        // Inline requests and empty ones.
        &["", "  ", "*0", "*-1", "SET 'a b' \"c\\x41\\n\"", "GET 'a b'", "DEL 'a b'"],
        &[
            "hello 3 setname",
            "hello 3 auth foo x",
            "hello 3 setname \"a b\"",
            "hello 3 foo",
            "auth a",
        ],
        &[
            "watched", "exec", "multi", "multi", "discard", "discard", "select 3", "multi",
            "select 0", "exec",
        ],
    ];
    for script in scripts {
        // QUIT at the end, so that both close; what comes before it is all that is compared.
        let text = script.iter().map(|line| format!("{line}\r\n")).collect::<String>() + "quit\r\n";
        let converse = |address: &str| {
            let mut connection = Connection::open(address);
            connection.send_raw(text.as_bytes());
            let said = connection.read_to_end();
            // HELLO tells the connection's number.
            said.split(r"$2\r\nid\r\n:")
                .map(|part| part.trim_start_matches(char::is_numeric).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(converse(&node.redis), converse(&redis.address()), "{script:?}");
    }
}

/// A secret keeps everybody out who does not give it, and lets the unknown send little.
#[test]
fn a_secret_is_asked_for() {
    let node = crate::node::Options::default().variable("RINGWELL_AUTH_TOKEN", "s3cret").start();
    let mut connection = Connection::open(&node.redis);
    let error = |text: &str| Reply::Line('-', text.to_owned());
    assert_eq!(connection.call(&["GET", "x"]), error("NOAUTH Authentication required."));
    let wrong = "WRONGPASS invalid username-password pair or user is disabled.";
    assert_eq!(connection.call(&["AUTH", "s3cre"]), error(wrong));
    assert_eq!(connection.call(&["AUTH", "root", "s3cret"]), error(wrong));
    assert!(
        matches!(connection.call(&["HELLO", "3"]), Reply::Line('-', text) if text.starts_with("NOAUTH HELLO"))
    );
    assert!(matches!(
        connection.call(&["HELLO", "3", "AUTH", "default", "s3cret"]),
        Reply::Nested('%', _)
    ));
    assert_eq!(connection.call(&["GET", "x"]), Reply::Line('_', String::new()));
    let mut greedy = Connection::open(&node.redis);
    greedy.send_raw(b"*1000\r\n");
    assert_eq!(greedy.read_to_end(), r"-ERR Protocol error: unauthenticated multibulk length\r\n");
}

/// A SCAN from start to end gives every key once, whatever COUNT is.
#[test]
fn a_scan_gives_every_key() {
    let node = Node::start();
    let mut connection = Connection::open(&node.redis);
    for i in 0..500 {
        connection.call(&["SET", &format!("key:{i}"), "x"]);
        connection.call(&["RPUSH", &format!("list:{i}"), "x"]);
    }
    for count in ["1", "10", "1000000"] {
        let (mut cursor, mut keys) = ("0".to_owned(), Vec::new());
        loop {
            let step =
                connection.call(&["SCAN", &cursor, "MATCH", "*:?", "COUNT", count, "TYPE", "list"]);
            let Reply::Nested('*', parts) = step else { panic!("{step:?}") };
            let [Reply::Bulk(next), Reply::Nested('*', found)] = parts.as_slice() else { panic!() };
            keys.extend(found.clone());
            cursor = next.trim_start_matches('$').to_owned();
            if cursor == "0" {
                break;
            }
        }
        keys.sort();
        let expected: Vec<Reply> = (0..10).map(|i| Reply::Bulk(format!("$list:{i}"))).collect();
        assert_eq!(keys, expected, "COUNT {count}");
    }
}

/// Bounds are refused in Redis's words.
#[test]
fn bounds_are_refused() {
    let node = crate::node::Options::default()
        .arg("--set")
        .arg("limits.redis_connections=2")
        .arg("--set")
        .arg("limits.redis_bulk=1MiB")
        .start();
    let mut first = Connection::open(&node.redis);
    let mut second = Connection::open(&node.redis);
    for connection in [&mut first, &mut second] {
        assert_eq!(connection.call(&["PING"]), Reply::Line('+', "PONG".to_owned()));
    }
    let mut third = Connection::open(&node.redis);
    assert_eq!(third.read_to_end(), r"-ERR max number of clients reached\r\n");
    first.send_raw(b"*2\r\n$4\r\nECHO\r\n$1048577\r\n");
    assert_eq!(first.read_to_end(), r"-ERR Protocol error: invalid bulk length\r\n");
    second.call(&["MULTI"]);
    let half = "x".repeat(600_000);
    assert_eq!(second.call(&["SET", "k", &half]), Reply::Line('+', "QUEUED".to_owned()));
    let refused = second.call(&["SET", "k", &half]);
    assert_eq!(
        refused,
        Reply::Line('-', "ERR a transaction may queue up to 1048576 bytes".to_owned())
    );
    assert!(
        matches!(second.call(&["EXEC"]), Reply::Line('-', text) if text.starts_with("EXECABORT"))
    );
    assert_eq!(second.call(&["EXISTS", "k"]), Reply::Line(':', "0".to_owned()));
}

/// A subscriber that does not read is let go, and everybody else is served.
#[test]
fn a_slow_subscriber_is_let_go() {
    let node = crate::node::Options::default().arg("--set").arg("limits.redis_output=1MiB").start();
    let mut slow = Connection::open(&node.redis);
    slow.call(&["SUBSCRIBE", "news"]);
    let mut publisher = Connection::open(&node.redis);
    let payload = "x".repeat(100_000);
    let let_go = (0..2_000).any(|_| {
        publisher.call(&["PUBLISH", "news", &payload]);
        publisher.call(&["PUBSUB", "NUMSUB", "news"])
            == Reply::Nested('*', vec![Reply::Bulk("$news".into()), Reply::Line(':', "0".into())])
    });
    assert!(let_go);
}
