//! Random commands of every family beside Debian's redis-server: every answer is the same.
//!
//! Each family has keys of its own, so that most commands meet the kind of value they are for, and some
//! meet another. `RINGWELL_ORACLE_COMMANDS=1000000` runs longer; a difference names the seed.

use std::fmt::Write as _;
use std::time::Duration;

use crate::node::Node;
use crate::oracle::{Draw, Redis, Reply, both, differences, wanted};

const COMMANDS: usize = 9_000;
const PIPELINE: usize = 30;
/// Lines about differences after which no more are looked for.
const SHOWN: usize = 60;
/// After so many batches some keys are given a short life, and time passes.
const PAUSES: usize = 40;

/// Large letters are sent as they are, small ones are drawn: see [`fill`].
const TEMPLATES: &[&str] = &[
    "ZADD zk z v z v",
    "ZADD zk zo z v",
    "ZADD zk zo zo z v z v",
    "ZADD zk INCR z v",
    "ZINCRBY zk z v",
    "ZREM zk v v",
    "ZSCORE zk v",
    "ZMSCORE zk v v",
    "ZCARD zk",
    "ZRANK zk v",
    "ZREVRANK zk v",
    "ZRANGE zk i i",
    "ZRANGE zk i i WITHSCORES",
    "ZRANGE zk i i REV",
    "ZRANGE zk r r BYSCORE",
    "ZRANGE zk r r BYSCORE REV LIMIT i i",
    "ZRANGE xk l l BYLEX",
    "ZRANGE zk r r BYSCORE WITHSCORES",
    "ZREVRANGE zk i i WITHSCORES",
    "ZRANGEBYSCORE zk r r",
    "ZRANGEBYSCORE zk r r WITHSCORES LIMIT i i",
    "ZREVRANGEBYSCORE zk r r",
    "ZRANGEBYLEX xk l l",
    "ZREVRANGEBYLEX xk l l LIMIT i i",
    "ZCOUNT zk r r",
    "ZLEXCOUNT xk l l",
    "ZREMRANGEBYRANK zk i i",
    "ZREMRANGEBYSCORE zk r r",
    "ZREMRANGEBYLEX xk l l",
    "ZPOPMIN zk",
    "ZPOPMAX zk c",
    "ZPOPMIN zk c",
    "ZMPOP 2 zk zk MIN",
    "ZMPOP 1 zk MAX COUNT c",
    "BZPOPMIN zk zk zfull 0.01",
    "BZMPOP 0.01 2 zk zfull MAX",
    "ZADD zfull z v",
    "ZADD xk 0 v 0 v 0 v",
    "ZREM xk v",
    "ZUNIONSTORE zk 2 zk zk",
    "ZUNIONSTORE zk 2 zk sk WEIGHTS z z AGGREGATE agg",
    "ZINTERSTORE zk 2 zk zk AGGREGATE agg",
    "ZDIFFSTORE zk 2 zk zk",
    "ZUNION 2 zk zk WITHSCORES",
    "ZINTER 2 zk zk WITHSCORES",
    "ZDIFF 2 zk zk",
    "ZINTERCARD 2 zk zk LIMIT c",
    "ZRANGESTORE zk zk i i",
    "ZRANGESTORE zk zk r r BYSCORE",
    "ZRANDMEMBER zk 0",
    "ZSCAN zk 0 COUNT 1000",
    "GEOADD geo lon lat v",
    "GEOADD geo CH lon lat v lon lat v",
    "GEOPOS geo v v",
    "GEODIST geo v v unit",
    "GEOHASH geo v v",
    "GEOSEARCH geo FROMLONLAT lon lat BYRADIUS rad unit ASC WITHDIST",
    "GEOSEARCH geo FROMMEMBER v BYBOX rad rad unit DESC",
    "GEOSEARCH geo FROMLONLAT lon lat BYBOX rad rad unit COUNT c ANY WITHHASH",
    "GEOSEARCHSTORE zk geo FROMLONLAT lon lat BYRADIUS rad unit STOREDIST",
    "GEORADIUS geo lon lat rad unit WITHCOORD WITHHASH",
    "GEORADIUS geo lon lat rad unit STORE zk",
    "GEORADIUSBYMEMBER_RO geo v rad unit ASC",
    "GEORADIUSBYMEMBER geo v rad unit STOREDIST zk",
    "LPUSH lk v v v",
    "RPUSH lk v v",
    "RPUSH lk n n n",
    "LINSERT lk where v v",
    "LSET lk i v",
    "LREM lk i v",
    "LPOS lk v",
    "LPOS lk v RANK i COUNT c MAXLEN c",
    "LMOVE lk lk d d",
    "RPOPLPUSH lk lk",
    "LMPOP 2 lk lk d COUNT c",
    "BLPOP lk lfull 0.01",
    "BRPOP lfull lk 0.01",
    "BLMOVE lfull lk d d 0.01",
    "BLMPOP 0.01 2 lk lfull d COUNT c",
    "RPUSH lfull v v",
    "LRANGE lk i i",
    "LTRIM lk i i",
    "LPOP lk c",
    "RPOP lk c",
    "LINDEX lk i",
    "LLEN lk",
    "SADD sk v v n",
    "SADD sk v",
    "SREM sk v v",
    "SMOVE sk sk v",
    "SINTER sk sk",
    "SUNION sk sk",
    "SDIFF sk sk",
    "SINTERSTORE sk sk sk",
    "SUNIONSTORE sk sk sk",
    "SDIFFSTORE sk sk sk",
    "SINTERCARD 2 sk sk LIMIT c",
    "SMISMEMBER sk v v",
    "SSCAN sk 0 COUNT 1000",
    "SPOP sk 0",
    "SRANDMEMBER sk 0",
    "HSET hk f v f n",
    "HINCRBYFLOAT hk f q",
    "HINCRBY hk f i",
    "HSETNX hk f v",
    "HSTRLEN hk f",
    "HDEL hk f f",
    "HMGET hk f f",
    "HVALS hk",
    "HSCAN hk 0 COUNT 1000",
    "HRANDFIELD hk 0",
    "HGETALL hk",
    "SET tk v",
    "SET tk n",
    "SET tk q",
    "SETBIT tk c bit",
    "GETBIT tk c",
    "APPEND tk v",
    "BITCOUNT tk",
    "BITCOUNT tk i i",
    "BITCOUNT tk i i range",
    "BITPOS tk bit",
    "BITPOS tk bit i",
    "BITPOS tk bit i i range",
    "BITOP bop tk tk tk",
    "BITOP NOT tk tk",
    "BITFIELD tk GET field c GET field #c",
    "BITFIELD tk OVERFLOW ov INCRBY field c n SET field c i",
    "BITFIELD_RO tk GET field c",
    "PFADD pk v v n",
    "PFADD pk n n n n n n n n",
    "PFCOUNT pk",
    "PFCOUNT pk pk",
    "PFMERGE pk pk pk",
    "GET pk",
    "SETRANGE tk c v",
    "GETRANGE tk i i",
    "STRLEN tk",
    "GETDEL tk",
    "GETSET tk v",
    "GETEX tk PERSIST",
    "GETEX tk EX e",
    "INCRBYFLOAT tk q",
    "INCRBYFLOAT tk q",
    "INCRBY tk i",
    "DECR tk",
    "MSETNX tk v tk v",
    "MSET tk v tk n",
    "MGET tk tk lk",
    "SETNX tk v",
    "SETEX tk e v",
    "PSETEX tk e v",
    "LCS tk tk",
    "LCS tk tk LEN",
    "LCS tk tk IDX WITHMATCHLEN",
    "SUBSTR tk i i",
    "SORT lk",
    "SORT lk ALPHA",
    "SORT lk DESC LIMIT i i",
    "SORT sk ALPHA",
    "SORT lk ALPHA GET # GET hk->f1",
    "SORT lk ALPHA STORE lk",
    "SORT zk ALPHA DESC",
    "SORT_RO lk ALPHA LIMIT 0 c",
    "COPY any any",
    "COPY any any REPLACE",
    "COPY any any DB 1 REPLACE",
    "MOVE any 1",
    "RENAME any any",
    "RENAMENX any any",
    "TYPE any",
    "EXISTS any any",
    "DEL any",
    "UNLINK any any",
    "TOUCH any any",
    "EXPIRE any e",
    "EXPIRE any e x",
    "PEXPIREAT any a x",
    "EXPIREAT any 1",
    "PERSIST any",
    "TTL any",
    "EXPIRETIME any",
    "OBJECT REFCOUNT nothing",
    "OBJECT FREQ any",
    "OBJECT",
    "SCAN 0 COUNT 10000",
    "SCAN 0 MATCH zk* COUNT 10000",
    "SCAN 0 COUNT 10000 TYPE kind",
    "SWAPDB 0 1",
    "SELECT 0",
    "KEYS p",
    "WAIT 0 0",
    "MEMORY USAGE nothing",
    "DUMP nothing",
    "RESTORE any 0 junk",
];

/// Commands whose answers come in no order.
const UNORDERED: &[&str] =
    &["SINTER", "SUNION", "SDIFF", "HVALS", "HGETALL", "KEYS", "SSCAN", "HSCAN", "ZSCAN", "SCAN"];
/// Those that tell the time left.
const TIMES: &[&str] = &["TTL", "EXPIRETIME"];

fn command(draw: &mut Draw) -> Vec<Vec<u8>> {
    let template = draw.one(TEMPLATES);
    filled(draw, template)
}

/// A command of any family that does not wait.
pub fn command_at_once(draw: &mut Draw) -> Vec<Vec<u8>> {
    loop {
        let template = draw.one(TEMPLATES);
        if !template.contains("0.01") {
            return filled(draw, template);
        }
    }
}

fn filled(draw: &mut Draw, template: &str) -> Vec<Vec<u8>> {
    let mut out: Vec<Vec<u8>> = template.split(' ').map(|word| fill(draw, word)).collect();
    // Without its count what draws at random would, and the servers part.
    let random = template.contains("RAND") || template.starts_with("SPOP");
    match draw.below(60) {
        0 if out.len() > 1 && !random => drop(out.pop()),
        1 => out.push(b"extra".to_vec()),
        _ => {}
    }
    out
}

pub fn fill(draw: &mut Draw, word: &str) -> Vec<u8> {
    let key = |draw: &mut Draw, kind: &str| format!("{kind}{}", draw.below(4)).into_bytes();
    let drawn = match word {
        // Now and then a key of another family.
        // All of one score, for ranges of names are defined for those only.
        "xk" => return key(draw, "xk"),
        "pk" => return key(draw, "pk"),
        "#c" => return [b"#", &*fill(draw, "c")].concat(),
        "zk" | "lk" | "sk" | "hk" | "tk" => {
            let kind =
                if draw.below(25) == 0 { draw.one(&["zk", "lk", "sk", "hk", "tk"]) } else { word };
            return key(draw, kind);
        }
        "any" => {
            let kind = draw.one(&["zk", "lk", "sk", "hk", "tk", "none", "geo"]);
            return key(draw, kind);
        }
        "v" => match draw.below(12) {
            0 => return b"a\r\nb\0\xff".to_vec(),
            1 => return vec![b'y'; 70],
            2 => "",
            _ => draw.one(&["a", "b", "c", "d", "e", "aa", "ab", "10", "-3", "2.5"]),
        },
        "n" => return draw.below(500).to_string().into_bytes(),
        "f" => draw.one(&["f1", "f2", "f3", "n"]),
        "i" => draw.one(&["0", "1", "2", "-1", "-2", "3", "-5", "10", "100", "-100", "x", "1.5"]),
        "c" => draw.one(&["0", "1", "2", "5", "7", "100", "-1", "x"]),
        "z" => draw.one(&[
            "0",
            "1",
            "-1",
            "1.5",
            "2",
            "3",
            "inf",
            "-inf",
            "+inf",
            "1e3",
            "nan",
            "x",
            "0.1",
            "-0",
            "3.0000000000000004",
            "9007199254740993",
            "1e-10",
            "123456.789",
        ]),
        "zo" => draw.one(&["NX", "xx", "GT", "LT", "CH"]),
        "r" => draw.one(&["-inf", "+inf", "0", "1", "(1", "2", "(2", "1.5", "(0", "3", "x"]),
        "l" => draw.one(&["-", "+", "[a", "(a", "[b", "(c", "[aa", "(", "x"]),
        "q" => draw.one(&[
            "0.1",
            "-0.1",
            "1e10",
            "3.14",
            "1e-5",
            "x",
            "1000000000000.5",
            "5.0e3",
            "-7",
            "0.3333333333333333",
            "1e17",
            "123456789.123456789",
            "2.2250738585072014e-308",
            "1e400",
            "1e-400",
            "1e-9223372036854775808",
            "-1e15",
            "99999999999999.99",
            "inf",
        ]),
        "lon" => draw.one(&[
            "13.361389",
            "15.087269",
            "-122.4",
            "0",
            "-180",
            "180",
            "200",
            "x",
            "2.2945",
        ]),
        "lat" => {
            draw.one(&["38.115556", "37.502669", "85.05112878", "-33.8", "0", "86", "48.8584"])
        }
        "unit" => draw.one(&["m", "km", "ft", "MI", "yd"]),
        "rad" => draw.one(&["0", "1", "200.5", "3000", "1e7", "-1", "x"]),
        "range" => draw.one(&["BIT", "byte", "bit", "x"]),
        "bop" => draw.one(&["AND", "or", "XOR", "not"]),
        "field" => draw.one(&["u8", "i5", "u1", "i64", "u63", "i64", "u64", "x"]),
        "ov" => draw.one(&["WRAP", "sat", "FAIL", "x"]),
        "agg" => draw.one(&["SUM", "min", "MAX", "avg"]),
        "d" => draw.one(&["LEFT", "right", "LEFT", "x"]),
        "where" => draw.one(&["BEFORE", "after", "x"]),
        "bit" => draw.one(&["0", "1", "1", "2"]),
        "e" => draw.one(&["0", "-1", "100000", "200000", "x", "9223372036854775807"]),
        "a" => draw.one(&["4000000000000", "5000000000000", "1"]),
        "x" => draw.one(&["NX", "XX", "gt", "LT", "junk"]),
        "p" => draw.one(&["*", "zk*", "?k[1-2]", "lk0"]),
        "kind" => draw.one(&["string", "list", "zset", "hash", "set", "nothing"]),
        literal => literal,
    };
    drawn.as_bytes().to_vec()
}

/// What two servers may rightly answer differently is made the same.
fn normal(command: &[Vec<u8>], reply: Reply) -> Reply {
    let name = String::from_utf8_lossy(&command[0]).to_uppercase();
    let reply = timeless(command, reply);
    match &reply {
        Reply::Line(':', number) if TIMES.contains(&name.as_str()) => {
            let number: i64 = number.parse().unwrap();
            let near = if number > 1_000 { (number + 500) / 1_000 } else { number };
            Reply::Line(':', near.to_string())
        }
        _ => reply,
    }
}

/// The same for two servers that see the same clock.
pub fn timeless(command: &[Vec<u8>], reply: Reply) -> Reply {
    let name = String::from_utf8_lossy(&command[0]).to_uppercase();
    let reply = unsigned(reply);
    if UNORDERED.contains(&name.as_str()) { sorted(reply) } else { reply }
}

/// Whether a zero keeps its sign is a matter of how Redis keeps the sorted set.
fn unsigned(reply: Reply) -> Reply {
    match reply {
        Reply::Nested(kind, parts) => {
            Reply::Nested(kind, parts.into_iter().map(unsigned).collect())
        }
        Reply::Bulk(text) if text == "$-0" => Reply::Bulk("$0".into()),
        Reply::Line(',', text) if text == "-0" => Reply::Line(',', "0".into()),
        reply => reply,
    }
}

fn sorted(reply: Reply) -> Reply {
    match reply {
        Reply::Nested(kind, parts) => {
            let mut parts: Vec<Reply> = parts.into_iter().map(sorted).collect();
            parts.sort();
            Reply::Nested(kind, parts)
        }
        reply => reply,
    }
}

/// A batch that gives some keys a life of milliseconds.
fn short_lives(draw: &mut Draw) -> Vec<Vec<Vec<u8>>> {
    let short = |draw: &mut Draw| vec![b"PEXPIRE".to_vec(), fill(draw, "any"), b"10".to_vec()];
    (0..4).map(|_| short(draw)).collect()
}

#[test]
fn every_family_answers_as_redis_does() {
    let Some(redis) = Redis::start() else { return };
    let node = Node::start();
    let wanted = wanted(COMMANDS);
    let (mut called, mut seed) = (0, 0);
    let mut found = String::new();
    while called < wanted {
        seed += 1;
        let mut connections = both(&node, &redis, if seed % 2 == 0 { "3" } else { "2" });
        for connection in &mut connections {
            connection.call(&["RPUSH", "lfull", "1", "2", "3"]);
            connection.call(&["ZADD", "zfull", "1", "a", "2", "b"]);
        }
        let mut draw = Draw(seed);
        for batch in 0..COMMANDS / PIPELINE / 2 {
            let pause = batch % PAUSES == PAUSES - 1;
            let commands: Vec<_> = if pause {
                short_lives(&mut draw)
            } else {
                (0..PIPELINE).map(|_| command(&mut draw)).collect()
            };
            for told in differences(&mut connections, &commands, normal).lines() {
                let _ = writeln!(found, "seed {seed}: {told}");
            }
            if pause {
                std::thread::sleep(Duration::from_millis(30));
            }
            called += commands.len();
        }
        if found.lines().count() > SHOWN {
            break;
        }
    }
    assert!(found.is_empty(), "after {called} commands:\n{found}");
}
