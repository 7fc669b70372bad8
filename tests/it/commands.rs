//! What COMMAND and INFO say of commands, beside Debian's redis-server.

use crate::node::Node;
use crate::oracle::{Connection, Redis, Reply};

fn items(reply: Reply) -> Vec<Reply> {
    match reply {
        Reply::Nested(_, items) => items,
        other => panic!("{other:?}"),
    }
}

fn word(reply: &Reply) -> &str {
    match reply {
        Reply::Bulk(text) => text.trim_start_matches(['$', '=']),
        Reply::Line(_, text) => text,
        other => panic!("{other:?}"),
    }
}

/// Facts as they can be compared: sub-commands by name, and without the prose in key specs.
fn facts(reply: Reply) -> Vec<String> {
    let [name, arity, flags, first, last, step, categories, tips, specs, subs] =
        items(reply).try_into().unwrap();
    let specs: Vec<Vec<Reply>> = items(specs)
        .into_iter()
        .map(|spec| {
            let pairs = items(spec);
            let pairs = pairs.chunks(2).filter(|pair| word(&pair[0]) != "notes");
            pairs.flatten().cloned().collect()
        })
        .collect();
    let name = word(&name).to_owned();
    let rest = format!("{arity:?} {flags:?} {first:?} {last:?} {step:?} {categories:?} {tips:?}");
    let mut all = vec![format!("{name} {rest} {specs:?}")];
    all.extend(items(subs).into_iter().flat_map(facts));
    all.sort();
    all
}

/// Every command says of itself what Redis's says, so that clients route and retry it alike.
#[test]
fn commands_say_of_themselves_what_redis_s_say() {
    let Some(redis) = Redis::start() else { return };
    let node = Node::start();
    let (mut ours, mut theirs) =
        (Connection::open(&node.redis), Connection::open(&redis.address()));
    ours.call(&["HELLO", "3"]);
    theirs.call(&["HELLO", "3"]);
    let names: Vec<String> = items(ours.call(&["COMMAND", "LIST"]))
        .iter()
        .map(|name| word(name).to_owned())
        // Newer than the Redis this is compared with, or a sub-command that is not built.
        .filter(|name| {
            !["client|setinfo", "client|no-touch", "memory", "client"].contains(&&**name)
        })
        .collect();
    assert!(names.len() > 250, "{names:?}");
    for name in names {
        let (our, their) =
            (ours.call(&["COMMAND", "INFO", &name]), theirs.call(&["COMMAND", "INFO", &name]));
        let one = |reply: Reply| match items(reply).remove(0) {
            Reply::Line('_', _) => vec![format!("no {name}")],
            reply => facts(reply),
        };
        assert_eq!(one(our), one(their), "{name}");
        let docs = |reply: Reply| {
            let (_, docs) = match reply {
                Reply::Nested(_, mut parts) => (parts.remove(0), items(parts.remove(0))),
                other => panic!("{other:?}"),
            };
            let wanted = |pair: &&[Reply]| ["since", "group"].contains(&word(&pair[0]));
            docs.chunks(2).filter(wanted).map(<[Reply]>::to_vec).collect::<Vec<_>>()
        };
        let (our, their) =
            (ours.call(&["COMMAND", "DOCS", &name]), theirs.call(&["COMMAND", "DOCS", &name]));
        assert_eq!(docs(our), docs(their), "{name}");
    }
}

#[test]
fn keys_are_found_as_redis_finds_them() {
    let Some(redis) = Redis::start() else { return };
    let node = Node::start();
    let (mut ours, mut theirs) =
        (Connection::open(&node.redis), Connection::open(&redis.address()));
    let table = [
        "get k",
        "set k v",
        "set k v get",
        "set k v ex 1 get",
        "mset a 1 b 2",
        "mset a 1 b",
        "sort k store a store b",
        "sort k by x get y limit 0 1 store d",
        "sort_ro k by x",
        "lmove a b left right",
        "lmpop 2 a b left",
        "blmpop 0 2 a b left",
        "lmpop 0 left",
        "lmpop x a left",
        "lmpop 9 a left",
        "zunionstore d 2 a b weights 1 2",
        "zunionstore d 0 a",
        "zinter 2 a b",
        "eval x 0",
        "eval x 1 k a",
        "eval x y",
        "memory usage k",
        "object encoding k",
        "object",
        "blpop a b 0",
        "bzpopmin a 0",
        "copy a b",
        "xyz k",
        "ping",
        "publish c m",
        "spublish c m",
        "subscribe c",
        "get",
        "get a b",
        "del a b c",
        "exists",
        "lcs a b",
        "sintercard 2 a b limit 1",
        "config get x",
        "client|list",
        "watch a b",
        "touch a",
        "bitop and d a b",
        "bitfield k get u8 0",
        "bitfield k get u8 0 set u8 0 1",
        "pfmerge d a b",
        "georadius k 1 2 3 m store d",
        "georadius k 1 2 3 m store d storedist e",
        "georadiusbymember k m 3 m storedist d",
        "geosearchstore d k frommember m byradius 3 m",
        "xadd k * f v",
        "xread count 1 streams a b 1 2",
        "xread streams a",
        "xread count 1",
        "xreadgroup group g c streams a b > >",
        "xgroup create k g 0",
        "xinfo stream k",
    ];
    for line in table {
        for sub in ["GETKEYS", "GETKEYSANDFLAGS"] {
            let words: Vec<&str> = ["COMMAND", sub].into_iter().chain(line.split(' ')).collect();
            assert_eq!(ours.call(&words), theirs.call(&words), "{words:?}");
        }
    }
}

/// The lines of a section, without times.
fn stats(connection: &mut Connection, section: &str) -> Vec<String> {
    let info = connection.call(&["INFO", section]);
    let lines = word(&info).split(r"\r\n").filter(|line| line.contains(':'));
    let timeless = |line: &str| {
        let parts = line.split(',').filter(|part| !part.contains("usec"));
        parts.collect::<Vec<_>>().join(",")
    };
    lines.map(timeless).collect()
}

#[test]
fn what_is_counted_equals_redis_s() {
    let Some(redis) = Redis::start() else { return };
    let node = Node::start();
    let script = [
        "config resetstat",
        "set a 1",
        "get a",
        "get b",
        "lpush a x",
        "incr a",
        "get",
        "get a b",
        "nonsense",
        "config get save",
        "config nonsense",
        "client id",
        "multi",
        "set c 1",
        "lpush a x",
        "exec",
        "multi",
        "nonsense",
        "exec",
        "exec",
        "mget a b c",
        "exists a b",
        "del a b",
        "lpush l 1 2",
        "brpop l 0",
        "expire l 0",
        "getdel c",
        "sort nothing",
        "hset h f x",
        "hincrby h f 1",
        "smembers s",
        "sadd s 1",
        "sinterstore d s s2",
        "ttl s",
        "type s",
        "object encoding s",
        "set s 1 get",
        "set n 1 get",
        "touch s",
        "copy s t",
    ];
    let run = |address: &str| {
        let mut connection = Connection::open(address);
        for line in script {
            connection.call(&line.split(' ').collect::<Vec<_>>());
        }
        let mut commands = stats(&mut connection, "commandstats");
        commands.sort();
        let mut errors = stats(&mut connection, "errorstats");
        errors.sort();
        let counted = ["keyspace_hits", "keyspace_misses", "total_error_replies", "expired_keys"];
        let rest = stats(&mut connection, "stats");
        let rest =
            rest.into_iter().filter(|line| counted.iter().any(|name| line.starts_with(name)));
        (commands, errors, rest.collect::<Vec<_>>())
    };
    assert_eq!(run(&node.redis), run(&redis.address()));
}
