//! Users and what they may do, and who is told which keys change, beside Debian's redis-server: the same
//! script on both, on two connections. And users outlive a restart.

use crate::node::Node;
use crate::oracle::{Connection, Redis, Reply};

/// Each line: the connection, then a command; `<` reads what comes without being asked for.
const USERS: &str = "
A ACL WHOAMI
A ACL SETUSER ann on >secret +get +set +mget %R~r:* %W~w:* ~both:* &news:*
A ACL LIST
A ACL GETUSER ann
A ACL GETUSER nobody
A ACL USERS
B AUTH ann wrong
B AUTH ann secret
B ACL WHOAMI
B GET r:1
B SET r:1 x
B SET w:1 x
B SET w:1 x GET
B SET w:1 get
B GET w:1
B MGET both:1 r:1
B MGET both:1 w:1
B SET both:1 x
B LPUSH both:2 x
B PING
B FOO
B GET
A ACL SETUSER ann +@pubsub +multi +exec +discard +ping
B PUBLISH news:1 x
B PUBLISH other x
B SUBSCRIBE other
B PSUBSCRIBE news:1
B MULTI
B LPUSH both:2 x
B SET both:1 y
B EXEC
B MULTI
B SET both:1 z
A ACL SETUSER ann -set
B EXEC
A ACL SETUSER ann nocommands (+@read ~*) (+lpush +sort %W~l:* %RW~s:*)
A ACL GETUSER ann
B GET anything
B LPUSH l:1 x
B LPUSH q x
B DEL l:1
B SORT s:1 BY w*
A ACL SETUSER ann (+sort ~s:* %R~*)
B SORT s:1 BY w*
A ACL DRYRUN ann GET q
A ACL DRYRUN ann LPUSH q v
A ACL DRYRUN ann FOO
A ACL DRYRUN nobody GET q
A ACL DRYRUN ann GET
A ACL SETUSER ann +nope
A ACL SETUSER ann ~x ~* ~y
A ACL SETUSER ann (+get
A ACL SETUSER ann >a <b
A ACL SETUSER ann #00
A ACL SETUSER ann +config|get|x
A ACL SETUSER ann -@all +select|0 +@pubsub
A ACL SETUSER ann nonsense
A ACL SETUSER a\\x20b on
A ACL CAT nope
A ACL GENPASS 0
A ACL LOG x
A ACL LOAD
A ACL NOPE
A ACL SETUSER bob reset on nopass +@all -client|kill ~*
A ACL LIST
B AUTH bob any
B CLIENT ID x
B CLIENT KILL ID 999
B HELLO 2 AUTH ann secret
B HELLO 2 AUTH ann nope
A ACL DELUSER default
A ACL DELUSER nobody bob bob
A ACL SETUSER default off
A PING
A ACL SETUSER default on
A CONFIG SET requirepass pw
A CONFIG GET requirepass
A ACL GETUSER default
B RESET
B PING
B AUTH pw
B PING
A CONFIG SET requirepass
A AUTH x
A CONFIG SET requirepass x
A RESET
A PING
A AUTH x
A PING
";

const TRACKING: &str = "
A HELLO 3
A CLIENT TRACKING ON PREFIX x
A CLIENT TRACKING ON OPTIN OPTOUT
A CLIENT TRACKING ON REDIRECT 99999
A CLIENT CACHING YES
A CLIENT TRACKING ON
A CLIENT TRACKINGINFO
A CLIENT GETREDIR
A CLIENT TRACKING ON BCAST
A GET a
A MGET b c
B SET a 1
A <
B SET a 2
B SET b 1
A <
B MSET c 1 d 1
A <
A GET a
A SET a 3
A <
A HGETALL h
B HSET h f v
A <
A GET e
B SET e 1 PX 30
A <
A GET e
A <
A GET a
B FLUSHALL
A <
A CLIENT TRACKING OFF
A CLIENT TRACKING ON NOLOOP
A GET a
A SET a 1
A GET a
B DEL a
A <
A CLIENT TRACKING OFF
A CLIENT TRACKING ON BCAST PREFIX u: PREFIX u
A CLIENT TRACKING ON BCAST PREFIX u: PREFIX v:
A CLIENT TRACKING ON BCAST PREFIX u:x
A CLIENT TRACKINGINFO
B SET w:1 x
B SET u:1 x
A <
A CLIENT TRACKING OFF
A CLIENT TRACKING ON OPTIN
A GET a
B SET a x
A CLIENT CACHING NO
A CLIENT CACHING YES
A GET a
B SET a y
A <
A RESET
A CLIENT TRACKINGINFO
A CLIENT GETREDIR
";

fn play(script: &str, address: &str) -> Vec<(String, Option<Reply>)> {
    let (mut a, mut b) = (Connection::open(address), Connection::open(address));
    let mut told = Vec::new();
    for line in script.lines().filter(|line| !line.is_empty()) {
        let (who, words) = line.split_at(2);
        let connection = if who == "A " { &mut a } else { &mut b };
        let reply = match words {
            "<" => connection.reply(),
            words => {
                let words: Vec<String> =
                    words.split(' ').map(|word| word.replace("\\x20", " ")).collect();
                let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
                if words == ["CONFIG", "SET", "requirepass"] {
                    words.push("");
                }
                connection.call(&words)
            }
        };
        told.push((line.to_owned(), Some(reply)));
    }
    told
}

/// Redis lists single commands behind the categories in no order.
fn sorted(reply: Option<Reply>) -> Option<Reply> {
    fn words(reply: Reply) -> Reply {
        match reply {
            Reply::Bulk(text) => {
                let text = text.replace('(', "( ").replace(')', " )");
                let mut words: Vec<&str> = text.split(' ').collect();
                words.sort_unstable();
                Reply::Bulk(words.join(" "))
            }
            Reply::Nested(kind, parts) => {
                Reply::Nested(kind, parts.into_iter().map(words).collect())
            }
            line => line,
        }
    }
    reply.map(words)
}

fn same(script: &str) {
    let Some(redis) = Redis::start() else { return };
    let node = Node::start();
    let (ours, theirs) = (play(script, &node.redis), play(script, &redis.address()));
    for ((line, our), (_, their)) in ours.into_iter().zip(theirs) {
        // HELLO tells the connection's number, which is not the same.
        let both = (&our, &their);
        if line.contains(" HELLO ")
            && let (Some(Reply::Nested(..)), Some(Reply::Nested(..))) = both
        {
            continue;
        }
        assert_eq!(sorted(our), sorted(their), "{line}");
    }
}

#[test]
fn users_may_do_what_redis_lets_them() {
    same(USERS);
}

#[test]
fn tracking_tells_what_redis_tells() {
    same(TRACKING);
}

#[test]
fn users_outlive_a_restart_and_the_secret_stays_default_s() {
    let mut node = Node::start();
    let mut admin = Connection::open(&node.redis);
    let ok = Reply::Line('+', "OK".to_owned());
    assert_eq!(admin.call(&["ACL", "SETUSER", "ann", "on", ">pw", "+get", "~a*"]), ok);
    assert_eq!(admin.call(&["ACL", "SETUSER", "bob", "on", "nopass", "(+get", "~b)", "&x"]), ok);
    assert_eq!(admin.call(&["ACL", "SETUSER", "gone"]), ok);
    assert_eq!(admin.call(&["ACL", "DELUSER", "gone"]), Reply::Line(':', "1".to_owned()));
    let before = admin.call(&["ACL", "LIST"]);
    for _ in 0..2 {
        // Once from the log, once from a checkpoint.
        node.kill();
        node.spawn();
        node.await_ready();
        let mut admin = Connection::open(&node.redis);
        assert_eq!(admin.call(&["ACL", "LIST"]), before);
        assert_eq!(
            admin.call(&["BGREWRITEAOF"]),
            Reply::Line('+', "Background append only file rewriting started".to_owned())
        );
        let mut ann = Connection::open(&node.redis);
        assert_eq!(ann.call(&["AUTH", "ann", "pw"]), ok);
        assert_eq!(ann.call(&["GET", "a"]), Reply::Line('$', "-1".to_owned()));
        assert!(
            matches!(ann.call(&["SET", "a", "1"]), Reply::Line('-', why) if why.starts_with("NOPERM"))
        );
        node.stop();
        node.spawn();
        node.await_ready();
    }
}

/// A search that stores writes where the last word says, so every word counts.
#[test]
fn no_key_that_a_search_stores_to_is_overlooked() {
    let node = Node::start();
    let mut client = Connection::open(&node.redis);
    client.call(&["ACL", "SETUSER", "ann", "on", "nopass", "+@all", "~a"]);
    client.call(&["GEOADD", "a", "1", "1", "here"]);
    client.call(&["AUTH", "ann", "x"]);
    for (search, from) in [("GEORADIUS", &["1", "1"][..]), ("GEORADIUSBYMEMBER", &["here"])] {
        for stores in [&["STORE", "a", "STORE", "b"][..], &["STOREDIST", "a", "STOREDIST", "b"]] {
            let words = [&[search, "a"], from, &["9", "km"], stores].concat();
            let reply = client.call(&words);
            assert!(
                matches!(&reply, Reply::Line('-', why) if why.starts_with("NOPERM")),
                "{words:?}: {reply:?}"
            );
        }
        let words = [&[search, "a"], from, &["9", "km", "STORE", "a"]].concat();
        assert_eq!(client.call(&words), Reply::Line(':', "1".to_owned()));
    }
}

/// The log of slow commands shows no password.
#[test]
fn passwords_do_not_stand_in_the_slow_log() {
    let node = Node::start();
    let mut client = Connection::open(&node.redis);
    client.call(&["CONFIG", "SET", "slowlog-log-slower-than", "0"]);
    client.call(&["ACL", "SETUSER", "ann", "on", ">s3cret"]);
    client.call(&["CONFIG", "SET", "requirepass", "s3cret"]);
    client.call(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    let shown = format!("{:?}", client.call(&["SLOWLOG", "GET"]));
    assert!(shown.contains("SETUSER") && shown.contains("(redacted)"), "{shown}");
    assert!(shown.contains("noeviction") && !shown.contains("s3cret"), "{shown}");
}

/// Who tracks is told of every change, also of one that no command of a connection made at once.
#[test]
fn what_a_waiting_client_changes_is_told_to_those_who_track() {
    let node = Node::start();
    let mut tracker = Connection::open(&node.redis);
    let mut waiting = Connection::open(&node.redis);
    let mut writer = Connection::open(&node.redis);
    tracker.call(&["HELLO", "3"]);
    tracker.call(&["CLIENT", "TRACKING", "ON"]);
    tracker.call(&["LRANGE", "to", "0", "-1"]);
    let words = ["BLMOVE", "from", "to", "LEFT", "RIGHT", "20"];
    waiting.send(&[words.iter().map(|word| word.as_bytes().to_vec()).collect()]);
    node.wait_for("a client that waits", |_| {
        let told = format!("{:?}", writer.call(&["INFO", "clients"]));
        told.contains("blocked_clients:1").then_some(())
    });
    writer.call(&["RPUSH", "from", "x"]);
    assert_eq!(waiting.reply(), Reply::Bulk("$x".to_owned()));
    let told = format!("{:?}", tracker.reply());
    assert!(told.contains("invalidate") && told.contains("$to"), "{told}");
}

/// Every key that expires is told, also those that nobody looks at.
#[test]
fn keys_that_expire_by_themselves_are_told() {
    let node = Node::start();
    let mut listener = Connection::open(&node.redis);
    let mut writer = Connection::open(&node.redis);
    writer.call(&["CONFIG", "SET", "notify-keyspace-events", "Ex"]);
    listener.call(&["SUBSCRIBE", "__keyevent@0__:expired"]);
    let mut wanted: Vec<String> = (0..200).map(|i| format!("key-{i}")).collect();
    for (i, key) in wanted.iter().enumerate() {
        writer.call(&["SET", key, "x", "PX", &(200 + i * 10).to_string()]);
    }
    let mut told: Vec<String> = Vec::new();
    while told.len() < wanted.len() {
        let Reply::Nested(_, parts) = listener.reply() else { panic!("no message") };
        let Reply::Bulk(key) = &parts[2] else { panic!("no key") };
        told.push(key.trim_start_matches('$').to_owned());
    }
    told.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(told, wanted);
}

/// Idle times are whole seconds since a key was last read or written, asking about it aside.
#[test]
fn keys_say_how_long_they_were_not_used() {
    let node = Node::start();
    let mut client = Connection::open(&node.redis);
    let idle = |client: &mut Connection, key: &str| match client.call(&["OBJECT", "IDLETIME", key])
    {
        Reply::Line(':', seconds) => seconds.parse::<u64>().unwrap(),
        other => panic!("{other:?}"),
    };
    client.call(&["MSET", "read", "x", "asked", "x"]);
    client.call(&["RPUSH", "written", "x"]);
    std::thread::sleep(std::time::Duration::from_millis(2_100));
    client.call(&["GET", "read"]);
    client.call(&["RPUSH", "written", "y"]);
    for word in ["TYPE", "TTL", "EXISTS"] {
        client.call(&[word, "asked"]);
    }
    assert!(idle(&mut client, "asked") >= 2);
    // A loaded machine may take its time between two of these lines.
    assert!(idle(&mut client, "read") < idle(&mut client, "asked"));
    assert!(idle(&mut client, "written") < idle(&mut client, "asked"));
}
