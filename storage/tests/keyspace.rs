//! The keyspace as one machine: replay equals live, views are frozen, foreign bytes are refused.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use ringwell_storage::keyspace::{Effects, Keyspace, Mark, Reply, Request, View};

/// A command as words; few keys, so that they meet.
fn command() -> impl Strategy<Value = Vec<String>> {
    let key = || (0..6_u8).prop_map(|i| format!("k{i}"));
    let word = || prop_oneof![(0..9_i64).prop_map(|n| n.to_string()), "[a-c]{0,3}", "x{70}"];
    let number = || prop_oneof![(-5..9_i64).prop_map(|n| n.to_string()), Just("x".to_owned())];
    let build = |name: &'static str| {
        move |(key, rest): (String, Vec<String>)| {
            let mut words = vec![name.to_owned(), key];
            words.extend(rest);
            words
        }
    };
    let few = |name| (key(), prop::collection::vec(word(), 1..5)).prop_map(build(name));
    let numbers = |name, n| (key(), prop::collection::vec(number(), n)).prop_map(build(name));
    prop_oneof![
        prop_oneof![few("lpush"), few("RPUSH"), few("lpushx"), few("del")],
        prop_oneof![few("sadd"), few("srem"), few("hset"), few("hdel")],
        prop_oneof![numbers("ltrim", 2), numbers("lrange", 2), numbers("lpop", 1)],
        prop_oneof![numbers("pexpire", 1), numbers("incrby", 1), numbers("rpop", 0)],
        prop_oneof![numbers("persist", 0), numbers("get", 0), numbers("set", 1)],
        prop_oneof![numbers("hgetall", 0), numbers("smembers", 0)],
        Just(vec!["flushdb".to_owned()]),
        stream(),
    ]
}

/// What streams and counters have; `ID` is the number of an entry that may be there.
fn stream() -> impl Strategy<Value = Vec<String>> {
    const LINES: &[&str] = &[
        "XADD K * a 1",
        "XADD K * a 1",
        "XADD K MAXLEN ~ 2 * a b c d",
        "XADD K MAXLEN 3 * n 70000",
        "XDEL K ID",
        "XTRIM K MINID ID",
        "XGROUP CREATE K g 0 MKSTREAM",
        "XREADGROUP GROUP g w COUNT 2 STREAMS K >",
        "XREADGROUP GROUP g v STREAMS K 0",
        "XREADGROUP GROUP g v NOACK STREAMS K >",
        "XACK K g ID ID",
        "XCLAIM K g v 0 ID FORCE",
        "XAUTOCLAIM K g v 0 0 COUNT 1",
        "XGROUP DELCONSUMER K g w",
        "XGROUP SETID K g ID",
        "XGROUP DESTROY K g",
        "XSETID K 400-0 ENTRIESADDED 90 MAXDELETEDID ID",
        "XSETID K ID",
        "RENAME K k0",
        "PFADD K a b ID",
        "PFCOUNT K",
        "BITFIELD K INCRBY u5 ID 9",
        "BITFIELD K SET u8 ID 7 GET u8 0 INCRBY u3 2 1",
        "APPEND K ID",
        "SETRANGE K ID ab",
        "SETBIT K ID 1",
        "GEOADD K 13.4 52.5 ID",
        "GEORADIUS K 13 52 100 km STORE k1",
    ];
    (0..LINES.len(), 0..6_u8, 0..120_u64).prop_map(|(line, key, id)| {
        let word = |word: &str| match word {
            "K" => format!("k{key}"),
            "ID" => (3 * id).to_string(),
            word => word.to_owned(),
        };
        LINES[line].split(' ').map(word).collect()
    })
}

fn run(keyspace: &Keyspace, words: &[String], now: i64) -> (Reply, Effects) {
    let args: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    let decision = keyspace.decide(&Request { db: 1, args: &args }, now);
    (decision.reply, decision.effects)
}

/// What a view holds, in an order that does not depend on hashing.
fn content(view: &View) -> Vec<String> {
    let mut bytes = Vec::new();
    view.encode(&mut bytes);
    let keyspace = Keyspace::decode(&bytes).expect("a view decodes");
    let mut lines = Vec::new();
    for (key, entry) in keyspace.entries(1) {
        let name = String::from_utf8(key.to_vec()).expect("test keys are text");
        let read = match entry.value.kind() {
            "string" => vec!["get".to_owned(), name],
            "list" => vec!["lrange".to_owned(), name, "0".to_owned(), "-1".to_owned()],
            "hash" => vec!["hgetall".to_owned(), name],
            "zset" => ["zrange", &name, "0", "-1", "withscores"].map(str::to_owned).into(),
            "stream" => ["xinfo", "stream", &name, "full", "count", "0"].map(str::to_owned).into(),
            _ => vec!["smembers".to_owned(), name],
        };
        let mut reply = run(&keyspace, &read, i64::MIN).0;
        match &mut reply {
            Reply::Set(members) => members.sort_by_key(|m| format!("{m:?}")),
            Reply::Map(pairs) => pairs.sort_by_key(|p| format!("{p:?}")),
            _ => {}
        }
        lines.push(format!("{read:?} {:?} {:?} {reply:?}", entry.expires, keyspace.mark(1, key)));
    }
    lines.sort();
    lines
}

fn encoded(effects: &Effects) -> Vec<u8> {
    effects.encoded().to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Effects survive their encoding, replaying them gives the same keyspace, from the start and
    /// from any view, and a view does not change once it is frozen.
    #[test]
    fn replay_equals_live(
        commands in prop::collection::vec(command(), 1..120),
        cut in 0..120_usize,
    ) {
        let mut live = Keyspace::new();
        let mut replayed = Keyspace::new();
        let mut from_view = None;
        let mut frozen = None;
        for (i, words) in commands.iter().enumerate() {
            let now = 3 * i as i64;
            if i == cut {
                let view = live.freeze();
                let mut bytes = Vec::new();
                view.encode(&mut bytes);
                from_view = Some(Keyspace::decode(&bytes).unwrap());
                frozen = Some((content(&view), view));
            }
            let (_, mut effects) = run(&live, words, now);
            if i % 7 == 0 {
                let key = words.last().unwrap().as_bytes().into();
                effects.mark(&Mark { db: 1, key, state: vec![1; i % 3] });
            }
            let due = if i % 5 == 0 { live.due(now, 3) } else { Effects::default() };
            for effects in [effects, due] {
                live.apply(&effects);
                let decoded = Effects::decode(&encoded(&effects)).unwrap();
                prop_assert_eq!(&decoded, &effects);
                replayed.apply(&decoded);
                from_view.iter_mut().for_each(|keyspace| keyspace.apply(&decoded));
            }
        }
        let expected = content(&live.freeze());
        prop_assert_eq!(&content(&replayed.freeze()), &expected);
        if let Some(keyspace) = from_view {
            prop_assert_eq!(&content(&keyspace.freeze()), &expected);
        }
        if let Some((then, view)) = frozen {
            prop_assert_eq!(content(&view), then);
        }
    }

    /// Damaged bytes are refused or read as something else, and nothing panics.
    #[test]
    fn damage_never_panics(
        commands in prop::collection::vec(command(), 1..30),
        at in any::<prop::sample::Index>(),
        to in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut keyspace = Keyspace::new();
        for words in &commands {
            let (_, effects) = run(&keyspace, words, 0);
            keyspace.apply(&effects);
            let mut bytes = encoded(&effects);
            let i = at.index(bytes.len());
            bytes[i] = to;
            if let Ok(effects) = Effects::decode(&bytes) {
                keyspace.clone().apply(&effects);
            }
            bytes.truncate(cut.index(bytes.len()));
            let _ = Effects::decode(&bytes);
        }
        let mut bytes = Vec::new();
        keyspace.freeze().encode(&mut bytes);
        prop_assert!(Keyspace::decode(&bytes[..cut.index(bytes.len())]).is_err());
        let i = at.index(bytes.len());
        bytes[i] = to;
        let _ = Keyspace::decode(&bytes);
    }
}

/// Golden bytes: the format of `docs/format/effects.md` as it is written down.
#[test]
fn effects_have_the_documented_bytes() {
    let keyspace = Keyspace::new();
    let golden: &[(&[&str], &[u8])] = &[
        (&["LPUSH", "k", "ab", "c"], b"\x01\x05\x01\x09\0\0\0\x01k\0\x02\x02ab\x01c"),
        (&["HSET", "h", "f", "v"], b"\x01\x07\x01\x07\0\0\0\x01h\x01\x01f\x01v"),
        (&["SADD", "s", "m", "m"], b"\x01\x09\x01\x05\0\0\0\x01s\x01\x01m"),
        (
            &["SET", "k", "v", "PX", "5"],
            b"\x01\x04\x01\x05\0\0\0\x01k\0\x01v\x02\x01\x0a\0\0\0\x01k\x0c\0\0\0\0\0\0\0",
        ),
        (&["FLUSHALL"], b"\x01\x0c\0\0\0\0\0"),
    ];
    for (words, expected) in golden {
        let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
        let bytes = encoded(&run(&keyspace, &words, 7).1);
        assert_eq!(bytes, *expected, "{words:?}");
        assert!(Effects::decode(&bytes).is_ok());
    }
}

/// The same for effects of commands that need something there first: what to do before, the command.
#[test]
fn effects_on_what_is_there_have_the_documented_bytes() {
    let golden: &[(&[&str], &str, &[u8])] = &[
        (&["RPUSH l a b c"], "LSET l 1 xy", b"\x01\x0e\x01\x06\0\0\0\x01l\x01\x02xy"),
        (&["RPUSH l a b c"], "LINSERT l AFTER a n", b"\x01\x0f\x01\x08\0\0\0\x01l\x01\x01n\x01\x01a"),
        (&["RPUSH l a b c", "RPUSH l a"], "LREM l 0 a", b"\x01\x10\x01\x1f\0\0\0\x01l\0\0\0\0\0\0\0\0\x01a\x02\x08\0\0\0\0\0\0\0\0\x08\x03\0\0\0\0\0\0\0"),
        (&[], "ZADD z 1.5 m", b"\x01\x11\x01\x0e\0\0\0\x01z\x01\x08\0\0\0\0\0\0\xf8?\x01m"),
        (&["ZADD z 1 m"], "ZREM z m x", b"\x01\x12\x01\x05\0\0\0\x01z\x01\x01m"),
        (&["SET k v"], "COPY k t DB 2", b"\x01\x13\x01\x05\0\0\0\x01k\x02\x01t"),
        (&["SET k abc"], "APPEND k de", b"\x01 \x01\x06\0\0\0\x01k\x03\x02de"),
        (&["SET k abc"], "SETRANGE k 300 x", b"\x01 \x01\x06\0\0\0\x01k\xac\x02\x01x"),
        (&["SET k abc"], "SETBIT k 12 1", b"\x01 \x01\x05\0\0\0\x01k\x01\x01j"),
        (&["SET k abcdef"], "BITFIELD k SET u8 8 120 GET u8 0 SET u8 24 121", b"\x01 \x01\x07\0\0\0\x01k\x01\x03xcy"),
        (&[], "SWAPDB 1 3", b"\x01\x14\x01\x01\0\0\0\x03"),
        (&[], "XADD s 5-1 f v", b"\x01\x15\x01\x17\0\0\0\x01s\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x01\x01\x01f\x01v"),
        (&["XADD s 5-1 f v", "XADD s 6-0 f w"], "XTRIM s MAXLEN 1", b"\x01\x16\x01\x13\0\0\0\x01s\x01\0\0\0\0\0\0\0\x06\0\0\0\0\0\0\0\0"),
        (&["XADD s 5-1 f v", "XADD s 6-0 f w"], "XDEL s 6 7", b"\x01\x17\x01\x14\0\0\0\x01s\x01\x10\0\0\0\0\0\0\0\x06\0\0\0\0\0\0\0\0"),
        (&["XADD s 5-1 f v", "XADD s 6-0 f w"], "XSETID s 9-9 ENTRIESADDED 7 MAXDELETEDID 2", b"\x01\x18\x01+\0\0\0\x01s\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\0"),
        (&[], "XGROUP CREATE s g 3 MKSTREAM ENTRIESREAD 2", b"\x01\x18\x01+\0\0\0\x01s\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x19\x01\x1d\0\0\0\x01s\x01g\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x01"),
        (&["XADD s 5-1 f v", "XADD s 6-0 f w", "XGROUP CREATE s g 5-1"], "XGROUP DESTROY s g", b"\x01\x1a\x01\x04\0\0\0\x01s\x01g"),
        (&["XADD s 5-1 f v", "XADD s 6-0 f w", "XGROUP CREATE s g 5-1"], "XGROUP CREATECONSUMER s g w", b"\x01\x1b\x01\x0e\0\0\0\x01s\x01g\x01w\x07\0\0\0\0\0\0\0"),
        (&["XADD s 5-1 f v", "XADD s 6-0 f w", "XGROUP CREATE s g 5-1", "XGROUP CREATECONSUMER s g w"], "XGROUP DELCONSUMER s g w", b"\x01\x1c\x01\x06\0\0\0\x01s\x01g\x01w"),
        (&["XADD s 5-1 f v", "XADD s 6-0 f w", "XGROUP CREATE s g 5-1"], "XREADGROUP GROUP g w STREAMS s >", b"\x01\x1b\x01\x0e\0\0\0\x01s\x01g\x01w\x07\0\0\0\0\0\0\0\x19\x01\x1d\0\0\0\x01s\x01g\0\0\0\0\0\0\0\x06\0\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\0\x1d\x01(\0\0\0\x01s\x01g\x01w\x01 \0\0\0\0\0\0\0\x06\0\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0"),
        (&["XADD s 5-1 f v", "XADD s 6-0 f w", "XGROUP CREATE s g 5-1", "XREADGROUP GROUP g w STREAMS s >"], "XACK s g 6-0", b"\x01\x1e\x01\x16\0\0\0\x01s\x01g\x01\x10\0\0\0\0\0\0\0\x06\0\0\0\0\0\0\0\0"),
    ];
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    for (before, line, expected) in golden {
        let mut keyspace = Keyspace::new();
        for line in *before {
            let (reply, effects) = run(&keyspace, &words(line), 7);
            assert!(!matches!(reply, Reply::Error(_)), "{line}: {reply:?}");
            keyspace.apply(&effects);
        }
        let (reply, effects) = run(&keyspace, &words(line), 7);
        let bytes = encoded(&effects);
        assert_eq!(
            bytes.escape_ascii().to_string(),
            expected.escape_ascii().to_string(),
            "{line}: {reply:?}"
        );
        assert_eq!(Effects::decode(&bytes).unwrap(), effects);
    }
}

/// Executes lines one after another; gives the last reply.
fn runs(keyspace: &mut Keyspace, lines: &[&str]) -> Reply {
    let mut last = Reply::Null;
    for line in lines {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let (reply, effects) = run(keyspace, &words, 7);
        assert!(!matches!(reply, Reply::Error(_)), "{line}: {reply:?}");
        keyspace.apply(&effects);
        last = reply;
    }
    last
}

/// XSETID goes below what was deleted, as in Redis: those numbers may come again.
#[test]
fn a_stream_goes_on_below_what_was_deleted() {
    let mut keyspace = Keyspace::new();
    runs(&mut keyspace, &["XADD s 1-1 a b", "XADD s 4-1 a b", "XADD s 5-1 a b"]);
    runs(&mut keyspace, &["XDEL s 4-1 5-1", "XSETID s 2-1"]);
    content(&keyspace.freeze());
    runs(&mut keyspace, &["XADD s 3-1 c d", "XADD s 5-1 e f"]);
    let both = runs(&mut keyspace, &["XRANGE s 3 5"]);
    assert!(matches!(&both, Reply::Array(found) if found.len() == 2), "{both:?}");
    let Reply::Array(mut both) = both else { return };
    both.reverse();
    assert_eq!(runs(&mut keyspace, &["XREVRANGE s 5 3"]), Reply::Array(both));
    assert_eq!(runs(&mut keyspace, &["XDEL s 3-1"]), Reply::Integer(1));
    content(&keyspace.freeze());
    let Reply::Bulk(dump) = runs(&mut keyspace, &["DUMP s"]) else { panic!("no dump") };
    let args: [&[u8]; 4] = [b"RESTORE", b"t", b"0", &dump];
    assert_eq!(keyspace.decide(&Request { db: 1, args: &args }, 7).reply, Reply::OK);
}

/// As redis-server 7.0.15 does: it reads what an 80-bit float can hold, and refuses what that cannot.
#[test]
fn long_floats_are_added_and_impossible_ones_refused() {
    let mut keyspace = Keyspace::new();
    let large = format!("1{:0400}", 0);
    runs(&mut keyspace, &[&format!("SET k {large}"), &format!("HSET h f {large}")]);
    for line in ["INCRBYFLOAT k 2.2250738585072014e-308", "HINCRBYFLOAT h f 1e-400"] {
        let Reply::Bulk(sum) = runs(&mut keyspace, &[line]) else { panic!("{line}") };
        assert!(sum.starts_with(b"1000000000000000000028188068394758651458") && sum.len() == 401);
    }
    let refused = Reply::Error("ERR value is not a valid float".to_owned());
    for power in ["1e-9223372036854775808", "1e9223372036854775807", "1e-4951", "1e4933"] {
        for line in [format!("INCRBYFLOAT k {power}"), format!("HINCRBYFLOAT h f {power}")] {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(run(&keyspace, &words, 7).0, refused, "{line}");
        }
    }
}

/// A stream that came from outside is one effect with all its bytes.
#[test]
fn a_restored_stream_is_one_effect() {
    let mut keyspace = Keyspace::new();
    for line in ["XADD s 5-1 f v", "XGROUP CREATE s g 0", "XREADGROUP GROUP g w STREAMS s >"] {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let (_, effects) = run(&keyspace, &words, 7);
        keyspace.apply(&effects);
    }
    let args: [&[u8]; 2] = [b"DUMP", b"s"];
    let dump = keyspace.decide(&Request { db: 1, args: &args }, 7).reply;
    let Reply::Bulk(dump) = dump else { panic!("{dump:?}") };
    let args: [&[u8]; 4] = [b"RESTORE", b"t", b"0", &dump];
    let effects = keyspace.decide(&Request { db: 1, args: &args }, 7).effects;
    let body = &dump[1..dump.len() - 10];
    let length = u32::try_from(body.len() + 3).unwrap().to_le_bytes();
    let len = u8::try_from(body.len()).unwrap();
    let expected = [&[1, 31, 1], &length[..], b"\x01t", &[len], body].concat();
    assert_eq!(encoded(&effects), expected);
    keyspace.apply(&effects);
    let read = |key: &str| {
        let words = ["XINFO", "STREAM", key, "FULL"].map(str::to_owned);
        run(&keyspace, &words, 7).0
    };
    assert_eq!(read("s"), read("t"));
    // One that says another length of its node is no effect.
    let mut damaged = expected;
    damaged[29] ^= 1;
    assert!(Effects::decode(&damaged).is_err());
}

/// A reader skips what it may and refuses what it must.
#[test]
fn unknown_effects() {
    let skipped = Effects::decode(b"\x01\xc8\x00\x02\0\0\0zz\x0c\0\0\0\0\0").unwrap();
    assert_eq!(skipped.iter().count(), 1);
    for bytes in [
        &b""[..],
        b"\x02",
        b"\x01\x63\0\0\0\0\0",
        b"\x01\x01\x10\x02\0\0\0\x01k",
        b"\x01\x01\0\x03\0\0\0\x01k!",
        b"\x01\x05\0\xff\xff\xff\xff\x01k",
        b"\x01\x20\0\x09\0\0\0\x01k\x80\x80\x80\x80\x02\x01x",
        b"\x01\x09\0\x0c\0\0\0\x01k\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    ] {
        assert!(Effects::decode(bytes).is_err(), "{bytes:?}");
    }
}

/// What is put into a string shows what was there before, behind it and between; others do not see the change.
#[test]
fn bytes_are_put_into_a_string_where_it_lies_or_into_another() {
    let mut keyspace = Keyspace::new();
    let get = |keyspace: &mut Keyspace| match runs(keyspace, &["GET k"]) {
        Reply::Bulk(value) => String::from_utf8(value).unwrap(),
        other => panic!("{other:?}"),
    };
    for (line, expected) in [
        ("APPEND k abc", "abc"),
        ("APPEND k de", "abcde"),
        ("SETRANGE k 1 XY", "aXYde"),
        ("SETRANGE k 4 vw", "aXYdvw"),
        ("SETRANGE k 8 z", "aXYdvw\0\0z"),
        ("SETBIT k 7 0", "`XYdvw\0\0z"),
        ("SETBIT k 87 1", "`XYdvw\0\0z\0\u{1}"),
        ("BITFIELD k SET u8 #2 65 SET u8 #11 66", "`XAdvw\0\0z\0\u{1}B"),
    ] {
        let before = keyspace.freeze();
        let old = content(&before);
        runs(&mut keyspace, &[line]);
        assert_eq!(get(&mut keyspace), expected, "{line}");
        assert_eq!(content(&before), old, "{line}");
    }
}

/// What is logged of a string says that it is not longer than it may be.
#[test]
fn a_field_behind_the_longest_string_is_read_and_not_written() {
    let keyspace = Keyspace::new();
    let decide = |line: &str| {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        run(&keyspace, &words, 7)
    };
    for line in ["BITFIELD k SET u8 4294967289 1", "BITFIELD k INCRBY i64 4294967295 1"] {
        let (reply, effects) = decide(line);
        assert!(Effects::decode(effects.encoded()).is_ok(), "{line}");
        let refusal = "ERR bit offset is not an integer or out of range";
        assert_eq!(reply, Reply::Error(refusal.into()), "{line}");
    }
    let (reply, _) = decide("BITFIELD k GET u8 4294967289");
    assert_eq!(reply, Reply::Array(vec![Reply::Integer(0)]));
}
