//! Streams beside Debian's redis-server: random commands, waiting, what is told of them.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::node::Node;
use crate::oracle::{Connection, Draw, Redis, Reply, both, differences, wanted};

const COMMANDS: usize = 9_000;
const PIPELINE: usize = 30;
/// Lines about differences after which no more are looked for.
const SHOWN: usize = 60;

/// Large letters are sent as they are, small ones are drawn: see [`fill`].
const TEMPLATES: &[&str] = &[
    "XADD k id f v",
    "XADD k id f v",
    "XADD k id f v f v",
    "XADD k id a 1 b 2",
    "XADD k id n n n n",
    "XADD k MAXLEN c id f v",
    "XADD k MAXLEN ~ c id f v",
    "XADD k MINID tilde id id f v",
    "XADD k NOMKSTREAM id f v",
    "XADD k MAXLEN ~ c LIMIT c id f v",
    "XADD k LIMIT c id f v",
    "XADD k MAXLEN c MINID id id f v",
    "XLEN k",
    "XRANGE k e e",
    "XRANGE k - + COUNT c",
    "XREVRANGE k e e COUNT c",
    "XREVRANGE k + -",
    "XDEL k id id",
    "XDEL k id",
    "XTRIM k MAXLEN c",
    "XTRIM k MAXLEN tilde c",
    "XTRIM k MINID tilde id",
    "XTRIM k MINID ~ id LIMIT c",
    "XTRIM k",
    "XREAD COUNT c STREAMS k id",
    "XREAD STREAMS k k id id",
    "XREAD STREAMS k $",
    "XREAD STREAMS k",
    "XREAD GROUP g c STREAMS k >",
    "XREAD COUNT c BLOCK 1 STREAMS k $",
    "XGROUP CREATE k g id",
    "XGROUP CREATE k g $ MKSTREAM",
    "XGROUP CREATE k g id MKSTREAM ENTRIESREAD c",
    "XGROUP CREATECONSUMER k g w",
    "XGROUP DELCONSUMER k g w",
    "XGROUP DESTROY k g",
    "XGROUP SETID k g id",
    "XGROUP SETID k g id ENTRIESREAD c",
    "XGROUP junk k g",
    "XREADGROUP GROUP g w STREAMS k >",
    "XREADGROUP GROUP g w COUNT c STREAMS k >",
    "XREADGROUP GROUP g w COUNT c STREAMS k id",
    "XREADGROUP GROUP g w COUNT c NOACK STREAMS k >",
    "XREADGROUP GROUP g w STREAMS k k > >",
    "XREADGROUP GROUP g w BLOCK 1 STREAMS k >",
    "XREADGROUP GROUP g w STREAMS k $",
    "XREADGROUP STREAMS k k k > > >",
    "XACK k g id id",
    "XACK k g id",
    "XPENDING k g",
    "XPENDING k g e e 0",
    "XPENDING k g IDLE 100000 e e c",
    "XCLAIM k g w 0 id id JUSTID",
    "XCLAIM k g w 0 id",
    "XCLAIM k g w 0 id FORCE",
    "XCLAIM k g w 100000 id",
    "XCLAIM k g w 0 id RETRYCOUNT c JUSTID FORCE",
    "XCLAIM k g w 0 id LASTID id",
    "XCLAIM k g w 0 id junk",
    "XAUTOCLAIM k g w 0 e",
    "XAUTOCLAIM k g w 0 e COUNT c",
    "XAUTOCLAIM k g w 0 - COUNT c JUSTID",
    "XAUTOCLAIM k g w 100000 e",
    "XINFO STREAM k",
    "XINFO GROUPS k",
    "XINFO CONSUMERS k g",
    "XINFO junk k",
    "XINFO",
    "XSETID k id",
    "XSETID k id ENTRIESADDED c MAXDELETEDID id",
    "COPY k k REPLACE",
    "RENAME k k",
    "DEL k",
    "TYPE k",
    "OBJECT ENCODING k",
    "SORT k",
    "SET k v",
    "LPUSH k v",
];

fn command(draw: &mut Draw, step: usize) -> Vec<Vec<u8>> {
    let template = draw.one(TEMPLATES);
    let rare = ["SET", "LPUSH", "DEL", "RENAME", "COPY", "XSETID"];
    let first = template.split(' ').next().unwrap();
    if rare.contains(&first) && draw.below(5) > 0 {
        return vec![b"PING".to_vec()];
    }
    let mut out: Vec<Vec<u8>> = template.split(' ').map(|word| fill(draw, word, step)).collect();
    match draw.below(80) {
        0 if out.len() > 1 => drop(out.pop()),
        1 => out.push(b"extra".to_vec()),
        _ => {}
    }
    out
}

fn fill(draw: &mut Draw, word: &str, step: usize) -> Vec<u8> {
    let near = |draw: &mut Draw| {
        let ms = 1 + draw.below(step / 8 + 2);
        match draw.below(3) {
            0 => ms.to_string(),
            _ => format!("{ms}-{}", draw.below(4)),
        }
    };
    match word {
        "k" => format!("s{}", draw.below(3)).into_bytes(),
        "id" => match draw.below(40) {
            0 => b"0".to_vec(),
            1 => b"0-0".to_vec(),
            2 => b"5-*".to_vec(),
            3 => draw.one(&["x", "1-x", "-", "+", "1-2-3", "", "007", "1-"]).into(),
            4..=20 => format!("{}-*", 1 + step / 8).into_bytes(),
            _ => near(draw).into_bytes(),
        },
        "e" => match draw.below(8) {
            0 => b"-".to_vec(),
            1 => b"+".to_vec(),
            2 => format!("({}", near(draw)).into_bytes(),
            3 => draw.one(&["(0", "(18446744073709551615", "(", "(+", "x"]).into(),
            _ => near(draw).into_bytes(),
        },
        "f" => draw.one(&["name", "name", "name", "other", "12"]).into(),
        "n" => draw.below(100_000).to_string().into_bytes(),
        "v" => match draw.below(8) {
            0 => vec![b'y'; 300],
            1 => b"a\r\n\0\xff".to_vec(),
            2 => b"".to_vec(),
            _ => draw.one(&["a", "-17", "3.5", "70000", "long text here"]).into(),
        },
        "c" => draw.one(&["0", "1", "2", "5", "50", "120", "-1", "x"]).into(),
        "g" => draw.one(&["g1", "g2", "g1"]).into(),
        "w" => draw.one(&["w1", "w2", "w3"]).into(),
        "tilde" => draw.one(&["~", "=", "~"]).into(),
        literal => literal.into(),
    }
}

/// Times are each server's own.
fn timeless(command: &[Vec<u8>], reply: Reply) -> Reply {
    let name = String::from_utf8_lossy(&command[0]).to_uppercase();
    let shape = |reply: Reply| match reply {
        Reply::Nested(kind, mut parts) => {
            if let Some(part) = parts.get_mut(2).filter(|_| kind == '*') {
                *part = Reply::Bulk("idle".into());
            }
            Reply::Nested(kind, parts)
        }
        reply => reply,
    };
    match reply {
        Reply::Nested(kind, parts) if name == "XPENDING" && command.len() > 3 => {
            Reply::Nested(kind, parts.into_iter().map(shape).collect())
        }
        Reply::Nested(kind, parts) if name == "XINFO" => {
            let idle = |reply: Reply| match reply {
                Reply::Nested(kind, mut parts) => {
                    let at = parts.iter().position(|part| *part == Reply::Bulk("$idle".into()));
                    if let Some(at) = at {
                        parts.truncate(at);
                    }
                    Reply::Nested(kind, parts)
                }
                reply => reply,
            };
            Reply::Nested(kind, parts.into_iter().map(idle).collect())
        }
        reply => reply,
    }
}

#[test]
fn streams_answer_as_redis_s_do() {
    let Some(redis) = Redis::start() else { return };
    let node = Node::start();
    let wanted = wanted(COMMANDS);
    let (mut called, mut seed) = (0, 0);
    let mut found = String::new();
    while called < wanted && found.lines().count() <= SHOWN {
        seed += 1;
        let mut connections = both(&node, &redis, if seed % 2 == 0 { "3" } else { "2" });
        let mut draw = Draw(seed);
        for batch in 0..COMMANDS / PIPELINE / 3 {
            let commands: Vec<_> =
                (0..PIPELINE).map(|i| command(&mut draw, batch * PIPELINE + i)).collect();
            for told in differences(&mut connections, &commands, timeless).lines() {
                let _ = writeln!(found, "seed {seed}: {told}");
            }
            called += commands.len();
            if found.lines().count() > SHOWN {
                break;
            }
        }
        // What XINFO FULL and DUMP tell is all there is.
        for key in ["s0", "s1", "s2"] {
            let [our, their] = connections.each_mut().map(|connection| whole(connection, key));
            if our != their {
                let _ = writeln!(found, "seed {seed}: {key}\n  ours   {our}\n  redis  {their}");
            }
        }
    }
    assert!(found.is_empty(), "after {called} commands:\n{found}");
}

/// All of a stream but its times.
fn whole(connection: &mut Connection, key: &str) -> String {
    let reply = connection.call(&["XINFO", "STREAM", key, "FULL", "COUNT", "0"]);
    let text = format!("{reply:?}");
    // Milliseconds since 1970 have thirteen digits.
    let mut out = String::new();
    let mut digits = String::new();
    for letter in text.chars() {
        if letter.is_ascii_digit() {
            digits.push(letter);
            continue;
        }
        out += if digits.len() == 13 { "TIME" } else { &digits };
        digits.clear();
        out.push(letter);
    }
    out
}

/// What those who wait hear, step by step: `who command`, or `who` alone for its next reply. Only `a` and `c`
/// send what waits.
const WAITING: &[&str] = &[
    "a XREAD BLOCK 0 STREAMS s $",
    "b XADD s 1-1 f v",
    "a",
    "a XREAD BLOCK 0 COUNT 2 STREAMS t s 0 $",
    "b XADD s 1-2 f v",
    "a",
    "d XREAD BLOCK 20 STREAMS s $",
    "a XREAD BLOCK 0 STREAMS s $",
    "b MULTI",
    "b XADD s 2-1 f v",
    "b XADD s 2-2 f v",
    "b DEL s",
    "b XADD s 2-3 f v",
    "b EXEC",
    "a",
    "b XGROUP CREATE s g $",
    "a XREADGROUP GROUP g w BLOCK 0 STREAMS s >",
    "c XREADGROUP GROUP g u BLOCK 0 STREAMS s >",
    "b XADD s 3-1 f v",
    "a",
    "b XADD s 3-2 f v",
    "c",
    "b XPENDING s g - + 10",
    "a XREADGROUP GROUP g w BLOCK 0 STREAMS s >",
    "b XGROUP DESTROY s g",
    "a",
    "b XGROUP CREATE s g $",
    "a XREADGROUP GROUP g w BLOCK 0 STREAMS s >",
    "b DEL s",
    "a",
    "b XGROUP CREATE s g $ MKSTREAM",
    "a XREADGROUP GROUP g w BLOCK 0 NOACK STREAMS s >",
    "b SET s x",
    "a",
    "b DEL s",
    "b XGROUP CREATE s g $ MKSTREAM",
    "a XREADGROUP GROUP g w BLOCK 0 NOACK STREAMS s >",
    "b FLUSHALL",
    "a",
    "a XREAD BLOCK 0 STREAMS s 0",
    "b LPUSH s x",
    "b DEL s",
    "b XADD s 9-9 f v",
    "a",
    "d XREAD BLOCK -1 STREAMS s 0",
    "d XREAD BLOCK x STREAMS s 0",
    "b MULTI",
    "b XREAD BLOCK 0 STREAMS s $",
    "b EXEC",
];

/// How many clients wait.
fn blocked(connection: &mut Connection) -> String {
    let info = format!("{:?}", connection.call(&["INFO", "clients"]));
    let (_, from) = info.split_once("blocked_clients:").unwrap();
    from.chars().take_while(char::is_ascii_digit).collect()
}

#[test]
fn those_who_wait_hear_what_redis_tells() {
    let Some(redis) = Redis::start() else { return };
    let node = Node::start();
    let hear = |address: &str, protocol: &str| {
        let mut clients: Vec<Connection> = (0..4).map(|_| Connection::open(address)).collect();
        let mut control = Connection::open(address);
        clients.iter_mut().for_each(|client| drop(client.call(&["HELLO", protocol])));
        let mut heard = Vec::new();
        for step in WAITING {
            let (who, command) = step.split_once(' ').unwrap_or((step, ""));
            let client = &mut clients[usize::from(who.as_bytes()[0] - b'a')];
            let words: Vec<&str> = command.split(' ').collect();
            let reply = match (command, who) {
                ("", _) => client.reply(),
                (_, "a" | "c") => {
                    let waiting = blocked(&mut control);
                    client.send(&[words.iter().map(|word| word.as_bytes().to_vec()).collect()]);
                    let deadline = Instant::now() + Duration::from_secs(20);
                    while blocked(&mut control) == waiting {
                        assert!(Instant::now() < deadline, "{step} does not wait");
                        std::thread::sleep(Duration::from_millis(2));
                    }
                    continue;
                }
                _ => client.call(&words),
            };
            let command = [command.split(' ').map(|w| w.as_bytes().to_vec()).collect::<Vec<_>>()];
            heard.push(format!("{step}: {:?}", timeless(&command[0], reply)));
        }
        clients[1].call(&["FLUSHALL"]);
        heard
    };
    for protocol in ["2", "3"] {
        let (ours, theirs) = (hear(&node.redis, protocol), hear(&redis.address(), protocol));
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours, theirs);
        }
    }
}

#[test]
fn events_are_redis_s() {
    let Some(redis) = Redis::start() else { return };
    let node = Node::start();
    let script = [
        "XADD s 1-1 f v",
        "XADD s MAXLEN 1 2-1 f v",
        "XTRIM s MAXLEN 0",
        "XTRIM s MAXLEN 0",
        "XADD s 3-1 f v",
        "XDEL s 3-1",
        "XDEL s 3-1",
        "XADD s 4-1 f v",
        "XSETID s 9-9",
        "XGROUP CREATE s g 0",
        "XGROUP CREATE other g 0 MKSTREAM",
        "XGROUP CREATECONSUMER s g w",
        "XREADGROUP GROUP g u STREAMS s >",
        "XREADGROUP GROUP g u STREAMS s 0",
        "XCLAIM s g z 0 4-1",
        "XAUTOCLAIM s g y 0 0",
        "XACK s g 4-1",
        "XGROUP SETID s g 0",
        "XGROUP DELCONSUMER s g w",
        "XGROUP DESTROY s g",
        "COPY s t",
        "RENAME t u",
        "MOVE u 1",
        "DEL s",
    ];
    let hear = |address: &str| {
        let mut client = Connection::open(address);
        let mut ear = Connection::open(address);
        client.call(&["CONFIG", "SET", "notify-keyspace-events", "KEAn"]);
        ear.call(&["PSUBSCRIBE", "__key*"]);
        for line in script {
            client.call(&line.split(' ').collect::<Vec<_>>());
        }
        client.call(&["PUBLISH", "__key", "end"]);
        let mut heard = Vec::new();
        loop {
            let message = format!("{:?}", ear.reply());
            if message.contains("$end") {
                return heard;
            }
            heard.push(message);
        }
    };
    let (ours, theirs) = (hear(&node.redis), hear(&redis.address()));
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(ours.len(), theirs.len());
}
