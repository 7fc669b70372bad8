//! Keys move between Ringwell and Redis by DUMP and RESTORE, both ways, in every kind and every small form.

use crate::node::Node;
use crate::oracle::{Connection, Redis, Reply};

/// A raw call: DUMP's bytes are no text.
fn raw(connection: &mut Connection, words: &[&[u8]]) -> Reply {
    connection.send(&[words.iter().map(|word| word.to_vec()).collect()]);
    connection.reply()
}

/// The bytes of a reply that was shown escaped.
fn unescaped(reply: &Reply) -> Vec<u8> {
    let Reply::Bulk(shown) = reply else { panic!("{reply:?}") };
    let mut bytes = Vec::new();
    let mut rest = shown.strip_prefix('$').unwrap().bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next().unwrap() {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'x' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            other => other,
        });
    }
    bytes
}

/// Settings of a Redis, and what is made under them: the forms that values are kept in small and large.
fn fill(connection: &mut Connection) -> Vec<String> {
    let mut keys = Vec::new();
    let mut put = |connection: &mut Connection, line: String| {
        let words: Vec<&str> = line.split(' ').collect();
        let reply = connection.call(&words);
        assert!(!matches!(&reply, Reply::Line('-', _)), "{line}: {reply:?}");
        let key = words[1].to_owned();
        if !keys.contains(&key) {
            keys.push(key);
        }
    };
    let long = "z".repeat(300);
    let longer = "ab".repeat(9_000);
    let numbers = "0 1 12 13 -1 127 128 -128 -129 4095 4096 -4096 -4097 32767 32768 -32768 -32769 8388607 \
                   8388608 -8388608 -8388609 2147483647 2147483648 -2147483648 -2147483649 \
                   9223372036854775807 -9223372036854775808 1.5 01";
    for (i, value) in ["", "7", "-300", "70000", "3000000000", "text", &longer].iter().enumerate() {
        let words = [&b"SET"[..], &format!("string{i}").into_bytes(), value.as_bytes()];
        raw(connection, &words);
        put(connection, format!("APPEND string{i} {}", if i == 5 { "more" } else { "0" }));
    }
    for value in ["127", "-32768", "2147483647", "99999999999"] {
        put(connection, format!("SET number{value} {value}"));
    }
    put(connection, format!("RPUSH list {numbers} {long}"));
    put(connection, format!("RPUSH biglist {longer} {longer} a"));
    for i in 0..40 {
        put(connection, format!("RPUSH manylist {longer}{i} {i}"));
    }
    put(connection, format!("HSET hash {} {long}", numbers));
    put(connection, format!("HSET bighash f {} g {long} n -5", "v".repeat(100)));
    put(connection, "SADD intset16 1 -2 300".to_owned());
    put(connection, "SADD intset32 1 -2 70000".to_owned());
    put(connection, "SADD intset64 1 -2 5000000000".to_owned());
    put(connection, format!("SADD set {numbers} {long}"));
    put(
        connection,
        "ZADD zset 1 a -inf b +inf c 2.5 d 100000000000000000 e 1e-7 f -3 g".to_owned(),
    );
    put(connection, format!("ZADD bigzset 1.25 {} -7 x inf y", "m".repeat(100)));
    for i in 0..250 {
        put(connection, format!("XADD stream {}-{} loss 0.{i} step {i}", i / 3 + 1, i % 3));
    }
    put(connection, format!("XADD stream 700-1 other {long} n -70000"));
    put(connection, format!("XADD bigstream 5-* f {longer}"));
    for line in [
        "XDEL stream 3-1 84-0",
        "XGROUP CREATE stream g 0",
        "XGROUP CREATE stream other $ ENTRIESREAD 9",
        "XREADGROUP GROUP g w COUNT 120 STREAMS stream >",
        "XREADGROUP GROUP g v COUNT 3 STREAMS stream >",
        "XACK stream g 2-0 2-1",
        "XDEL stream 4-0",
        "XGROUP CREATE emptystream g 0 MKSTREAM",
    ] {
        connection.call(&line.split(' ').collect::<Vec<_>>());
    }
    keys.push("emptystream".to_owned());
    keys
}

/// A key's contents, in order where they have none.
fn contents(connection: &mut Connection, key: &str) -> Vec<Reply> {
    let Reply::Line('+', kind) = connection.call(&["TYPE", key]) else { panic!() };
    let reply = match kind.as_str() {
        "string" => connection.call(&["GET", key]),
        "list" => connection.call(&["LRANGE", key, "0", "-1"]),
        "hash" => connection.call(&["HGETALL", key]),
        "set" => connection.call(&["SMEMBERS", key]),
        "zset" => connection.call(&["ZRANGE", key, "0", "-1", "WITHSCORES"]),
        "stream" => connection.call(&["XINFO", "STREAM", key, "FULL", "COUNT", "0"]),
        other => panic!("{key} is {other}"),
    };
    match reply {
        Reply::Nested(_, items) if kind == "hash" => {
            let mut pairs: Vec<Vec<Reply>> = items.chunks(2).map(<[Reply]>::to_vec).collect();
            pairs.sort();
            pairs.concat()
        }
        Reply::Nested(_, mut items) => {
            if kind == "set" {
                items.sort();
            }
            items
        }
        one => vec![one],
    }
}

fn moves(from: &mut Connection, to: &mut Connection) {
    to.call(&["FLUSHALL"]);
    let keys = fill(from);
    assert!(keys.len() > 20);
    for key in keys {
        let dumped = unescaped(&from.call(&["DUMP", &key]));
        let restored = raw(to, &[b"RESTORE", key.as_bytes(), b"0", &dumped]);
        assert_eq!(restored, Reply::Line('+', "OK".into()), "{key}");
        assert_eq!(contents(to, &key), contents(from, &key), "{key}");
        let mut damaged = dumped;
        damaged[1] ^= 0x40;
        assert_eq!(
            raw(to, &[b"RESTORE", b"other", b"0", &damaged]),
            Reply::Line('-', "ERR DUMP payload version or checksum are wrong".into())
        );
    }
}

#[test]
fn keys_move_to_redis_and_back() {
    let Some(redis) = Redis::start() else { return };
    let node = Node::start();
    let (mut ours, mut theirs) =
        (Connection::open(&node.redis), Connection::open(&redis.address()));
    moves(&mut ours, &mut theirs);
    // A Redis that packs nothing, then as it is by itself, then all of it.
    let limits =
        ["hash-max-listpack-entries", "set-max-intset-entries", "zset-max-listpack-entries"];
    for (entries, compress) in [("0", "no"), ("128", "yes"), ("10000", "yes")] {
        for limit in limits {
            theirs.call(&["CONFIG", "SET", limit, entries]);
        }
        theirs.call(&["CONFIG", "SET", "rdbcompression", compress]);
        theirs.call(&["FLUSHALL"]);
        moves(&mut theirs, &mut ours);
    }
}
