//! Random commands beside Debian's redis-server while both see the same clock, which stands still but where the test
//! moves it: keys live for milliseconds to months and end at the very millisecond, and every answer is the same,
//! times included. `RINGWELL_ORACLE_COMMANDS=1000000` runs longer; a difference names the seed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::Command;

use tempfile::TempDir;

use crate::families::{command_at_once, fill, timeless};
use crate::follow::contents_of;
use crate::node::{Node, Options};
use crate::oracle::{Draw, Redis, both, differences, wanted};

const COMMANDS: usize = 12_000;
/// Commands of a seed: then both begin anew.
const SEED: usize = 6_000;
const PIPELINE: usize = 12;
/// Lines about differences after which no more are looked for.
const SHOWN: usize = 60;
const START: i64 = 1_900_000_000_123;

/// Large letters are sent as they are, small ones are drawn: see [`word`].
const TEMPLATES: &[&str] = &[
    "EXPIRE any secs",
    "EXPIRE any secs x",
    "PEXPIRE any ms",
    "PEXPIRE any ms x",
    "PEXPIRE any ms x x",
    "EXPIREAT any sat",
    "EXPIREAT any sat x",
    "PEXPIREAT any mat",
    "PEXPIREAT any mat x",
    "TTL any",
    "PTTL any",
    "EXPIRETIME any",
    "PEXPIRETIME any",
    "PERSIST any",
    "SET tk v EX secs",
    "SET tk v PX ms",
    "SET tk v PX ms NX",
    "SET tk v PX ms XX GET",
    "SET tk v EXAT sat",
    "SET tk v PXAT mat",
    "SET tk v KEEPTTL",
    "SET tk v PX ms KEEPTTL",
    "SETEX tk secs v",
    "PSETEX tk ms v",
    "GETEX tk EX secs",
    "GETEX tk PX ms",
    "GETEX tk EXAT sat",
    "GETEX tk PXAT mat",
    "GETEX tk PERSIST",
    "GETEX tk PX ms PERSIST",
    "EXISTS any any any",
    "TYPE any",
    "KEYS *",
    "COPY any any",
    "COPY any any REPLACE",
    "RENAME any any",
    "RENAMENX any any",
    "MOVE any 1",
    "SWAPDB 0 1",
    "OBJECT ENCODING nothing",
    "TIME",
    "XADD xs * f v",
    "XADD xs NOMKSTREAM * f v f v",
    "XADD xs MAXLEN 20 * f v",
    "XRANGE xs - +",
    "XREVRANGE xs + - COUNT c",
    "XTRIM xs MINID mat",
    "XGROUP CREATE xs g 0 MKSTREAM",
    "XGROUP CREATE xs g $",
    "XREADGROUP GROUP g who COUNT c STREAMS xs >",
    "XREADGROUP GROUP g who STREAMS xs xs > >",
    "XREADGROUP GROUP g who STREAMS xs 0",
    "XPENDING xs g",
    "XPENDING xs g - + 10",
    "XPENDING xs g IDLE ms - + 10",
    "XAUTOCLAIM xs g who ms 0",
    "XAUTOCLAIM xs g who ms - COUNT c JUSTID",
    "XINFO CONSUMERS xs g",
    "XINFO GROUPS xs",
    "EXPIRE xs secs",
    "PEXPIRE xs ms",
    "PTTL xs",
    "DEL xs",
];

/// How far times are from now, and how far the clock goes in one step, in milliseconds.
const SPANS: &[&str] = &[
    "1",
    "2",
    "9",
    "10",
    "100",
    "500",
    "999",
    "1000",
    "1500",
    "5000",
    "60000",
    "3600000",
    "86400000",
    "2592000000",
];

/// A clock that stands still until it is moved, and the library that shows it to a process.
struct Clock {
    dir: TempDir,
    file: File,
    now: i64,
}

impl Clock {
    /// `None` where there is no C compiler; that Rust links with one makes it likely.
    fn new() -> Option<Clock> {
        let dir = tempfile::tempdir().unwrap();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clock/clock.c");
        let compiled = Command::new("cc")
            .args(["-O2", "-shared", "-fPIC", "-o"])
            .args([dir.path().join("clock.so").as_os_str(), source.as_ref()])
            .status();
        let Ok(status) = compiled else {
            println!("skipped: there is no C compiler");
            return None;
        };
        assert!(status.success());
        let path = dir.path().join("now");
        let file = File::options().create_new(true).read(true).write(true).open(path).unwrap();
        let mut clock = Clock { dir, file, now: 0 };
        clock.forward(START);
        Some(clock)
    }

    fn variables(&self) -> [(&'static str, String); 2] {
        let path = |name: &str| self.dir.path().join(name).to_str().unwrap().to_owned();
        [("LD_PRELOAD", path("clock.so")), ("TEST_CLOCK", path("now"))]
    }

    fn forward(&mut self, ms: i64) {
        self.now += ms;
        self.file.write_all_at(&self.now.to_ne_bytes(), 0).unwrap();
    }

    fn redis(&self) -> Option<Redis> {
        Redis::start_with(&self.variables())
    }

    fn node(&self) -> Node {
        let variables = self.variables();
        let set = |options: Options, (name, value): &(&str, String)| options.variable(name, value);
        variables.iter().fold(Options::default(), set).start()
    }
}

fn span(draw: &mut Draw) -> i64 {
    draw.one(SPANS).parse().unwrap()
}

fn command(draw: &mut Draw, now: i64) -> Vec<Vec<u8>> {
    if draw.below(3) == 0 {
        return command_at_once(draw);
    }
    let template = draw.one(TEMPLATES);
    template.split(' ').map(|name| word(draw, name, now)).collect()
}

fn word(draw: &mut Draw, name: &str, now: i64) -> Vec<u8> {
    // Now and then what lies in the past, or at this very moment.
    let sign = [1, 1, 1, 1, 1, 1, 0, -1][draw.below(8)];
    let number = match name {
        "ms" => span(draw) * sign,
        "secs" => span(draw) * sign / 1_000,
        "mat" => now + span(draw) * sign,
        "sat" => (now + span(draw) * sign) / 1_000,
        "xs" => return format!("xs{}", draw.below(2)).into_bytes(),
        "who" => return draw.one(&["alice", "bob"]).into(),
        name => return fill(draw, name),
    };
    number.to_string().into_bytes()
}

#[test]
fn keys_end_when_redis_s_do() {
    let Some(mut clock) = Clock::new() else { return };
    let Some(redis) = clock.redis() else { return };
    let mut node = clock.node();
    let wanted = wanted(COMMANDS);
    let (mut called, mut seed) = (0, 0);
    let mut found = String::new();
    while called < wanted && found.lines().count() < SHOWN {
        seed += 1;
        let mut connections = both(&node, &redis, if seed % 2 == 0 { "3" } else { "2" });
        let mut draw = Draw(seed);
        for _ in 0..SEED / PIPELINE {
            let commands: Vec<_> = (0..PIPELINE).map(|_| command(&mut draw, clock.now)).collect();
            for told in differences(&mut connections, &commands, timeless).lines() {
                let _ = writeln!(found, "seed {seed} at {}: {told}", clock.now);
            }
            called += commands.len();
            if draw.below(3) == 0 {
                clock.forward(span(&mut draw));
            }
        }
        // Time passes while the node is away, too.
        drop(connections);
        node.kill();
        clock.forward(span(&mut draw));
        node.restart();
        for db in 0..2 {
            // As in replies: the sign of a zero is left alone.
            let unsigned =
                |(key, value): (String, String)| (key, value.replace(" 8000000000000000", " 0"));
            let contents =
                |address: &str| contents_of(address, db, |at| at).into_iter().map(unsigned);
            let [ours, theirs] = [&node.redis, &redis.address()]
                .map(|address| contents(address).collect::<BTreeMap<_, _>>());
            if ours != theirs {
                let _ = writeln!(found, "seed {seed}, database {db}:\n{ours:#?}\n{theirs:#?}");
            }
        }
    }
    assert!(found.is_empty(), "after {called} commands:\n{found}");
}
