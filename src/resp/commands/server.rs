//! About the node: DEBUG LATENCY SLOWLOG MONITOR ROLE SAVE and its kin, CLUSTER, EVAL's refusal.

use std::time::Duration;

use ringwell_storage::keyspace::{Bytes, Reply};

use super::connection::REDIS_VERSION;
use super::{QUOTED, arg, count, error, help, integer, is, keys_of, quote, text};
use crate::resp::hub::Topic;
use crate::resp::session::Session;
use crate::resp::slowlog::Slow;
use crate::resp::tally::Histogram;

/// Longest sleep DEBUG SLEEP takes.
const LONGEST_SLEEP: f64 = 60.0;

/// `DEBUG subcommand [argument ...]`: what changes nothing, and only where it is switched on.
pub(super) fn debug(session: &mut Session, args: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    if !session.shared.options.debug {
        return Some(error(
            "ERR DEBUG command not allowed. If the enable-debug-command option is set to \
             \"local\", you can run it from a local connection, otherwise you need to set this \
             option in the configuration file, and then restart the server.",
        ));
    }
    let sub = arg(args, 1).to_ascii_lowercase();
    Some(match sub.as_slice() {
        b"sleep" => sleep(arg(args, 2)),
        b"protocol" => protocol(arg(args, 2)),
        b"object" if args.len() >= 3 => described(session, arg(args, 2)),
        b"jmap"
        | b"log"
        | b"reload"
        | b"loadaof"
        | b"set-active-expire"
        | b"quicklist-packed-threshold"
        | b"set-disable-deny-scripts"
        | b"change-repl-id"
        | b"stringmatch-len"
        | b"config-rewrite-force-all"
        | b"replicate"
        | b"pause-cron" => Reply::OK,
        sub => {
            let sub = quote(sub, QUOTED);
            error(&format!(
                "ERR unknown subcommand or wrong number of arguments for '{sub}'. Try DEBUG HELP."
            ))
        }
    })
}

/// `DEBUG OBJECT key`: what OBJECT says of it, and how long its DUMP is.
fn described(session: &Session, key: &[u8]) -> Reply {
    let ask = |args: &[&[u8]]| session.shared.execute(None, None, session.client.db, args).reply;
    let Reply::Bulk(encoding) = ask(&[b"object", b"encoding", key]) else {
        return error("ERR no such key");
    };
    let idle = match ask(&[b"object", b"idletime", key]) {
        Reply::Integer(seconds) => seconds,
        _ => 0,
    };
    let length = match ask(&[b"dump", key]) {
        // Without the kind in front, and version and checksum behind.
        Reply::Bulk(bytes) => bytes.len().saturating_sub(11),
        _ => 0,
    };
    Reply::Verbatim(format!(
        "Value at:0x0 refcount:1 encoding:{} serializedlength:{length} lru:0 \
         lru_seconds_idle:{idle}",
        String::from_utf8_lossy(&encoding)
    ))
}

/// Blocks the face's only thread, as Redis blocks: the lock of transactions is not held.
fn sleep(seconds: &[u8]) -> Reply {
    let seconds = std::str::from_utf8(seconds).ok().and_then(|text| text.parse::<f64>().ok());
    let seconds = seconds.filter(|s| s.is_finite()).unwrap_or(0.0).clamp(0.0, LONGEST_SLEEP);
    std::thread::sleep(Duration::from_secs_f64(seconds));
    Reply::OK
}

/// One reply of every kind, for the tests of clients.
fn protocol(kind: &[u8]) -> Reply {
    let numbers = |n: i64| (0..n).map(Reply::Integer);
    match kind.to_ascii_lowercase().as_slice() {
        b"string" => text("Hello World"),
        b"integer" => Reply::Integer(12_345),
        b"double" => Reply::Double(3141.0 / 1000.0),
        b"null" => Reply::Null,
        b"array" => Reply::Array(numbers(3).collect()),
        b"set" => Reply::Set(numbers(3).collect()),
        b"map" => Reply::Map(
            numbers(3)
                .map(|n| {
                    let odd = matches!(n, Reply::Integer(1));
                    (n, Reply::Boolean(odd))
                })
                .collect(),
        ),
        b"attrib" => text("Some real reply following the attribute"),
        b"push" => Reply::Push(vec![text("server-cpu-usage"), Reply::Integer(42)]),
        b"verbatim" => Reply::Verbatim("This is a verbatim\nstring".to_owned()),
        b"true" => Reply::Boolean(true),
        b"false" => Reply::Boolean(false),
        b"bignum" => text("1234567999999999999999999999999999999"),
        _ => error(
            "ERR Wrong protocol type name. Please use one of the following: \
             string|integer|double|null|array|set|map|attrib|push|verbatim|true|false",
        ),
    }
}

/// `SLOWLOG GET [count] | LEN | RESET`
pub(super) fn slowlog(session: &mut Session, args: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    let log = &session.shared.slowlog;
    Some(match arg(args, 1).to_ascii_lowercase().as_slice() {
        b"len" => count(log.len()),
        b"reset" => {
            log.reset();
            Reply::OK
        }
        b"get" => {
            let wanted = match args.get(2).map(|count| integer(count)) {
                None => 10,
                Some(Ok(-1)) => usize::MAX,
                Some(Ok(count)) if count >= 0 => usize::try_from(count).unwrap_or(usize::MAX),
                Some(Ok(_)) => {
                    return Some(error("ERR count should be greater than or equal to -1"));
                }
                Some(Err(refusal)) => return Some(refusal),
            };
            Reply::Array(log.entries(wanted).iter().map(slow).collect())
        }
        _ => help("slowlog"),
    })
}

fn slow(entry: &Slow) -> Reply {
    Reply::Array(vec![
        Reply::Integer(i64::try_from(entry.id).unwrap_or(i64::MAX)),
        Reply::Integer(entry.at),
        Reply::Integer(entry.us),
        Reply::Array(entry.args.iter().map(|arg| Reply::bulk(arg)).collect()),
        text(&entry.peer),
        text(&entry.name),
    ])
}

/// `LATENCY LATEST | HISTORY event | RESET [event ...] | HISTOGRAM [command ...]`
pub(super) fn latency(session: &mut Session, args: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    let latency = &session.shared.latency;
    let named = args.get(2..).unwrap_or_default();
    let lower = |arg: &&[u8]| String::from_utf8_lossy(arg).to_ascii_lowercase();
    Some(match arg(args, 1).to_ascii_lowercase().as_slice() {
        b"latest" => {
            let events = latency.events().into_iter().filter_map(|(kind, events)| {
                let (at, last) = events.back().copied()?;
                let longest = events.iter().map(|(_, ms)| *ms).max()?;
                let numbers = [at, last, longest].map(Reply::Integer);
                Some(Reply::Array([text(kind)].into_iter().chain(numbers).collect()))
            });
            Reply::Array(events.collect())
        }
        b"history" => {
            let events = latency.events();
            let events = events.get(lower(&arg(args, 2)).as_str()).into_iter().flatten();
            let pair = |(at, ms): &(i64, i64)| {
                Reply::Array(vec![Reply::Integer(*at), Reply::Integer(*ms)])
            };
            Reply::Array(events.map(pair).collect())
        }
        b"reset" => count(latency.reset(&named.iter().map(lower).collect::<Vec<_>>())),
        b"histogram" => {
            let wanted: Vec<String> = named.iter().map(lower).collect();
            // A family stands for all its sub-commands.
            let family = |name: &'static str| name.split('|').next().unwrap_or_default();
            let is = |wanted: &String, name| wanted == name || wanted == family(name);
            let counted = session.shared.counters.tally.counted().filter(|counted| {
                counted.histogram.calls() > 0
                    && (wanted.is_empty() || wanted.iter().any(|wanted| is(wanted, counted.name)))
            });
            Reply::Map(counted.map(|c| (text(c.name), histogram(&c.histogram))).collect())
        }
        b"doctor" => Reply::Verbatim(doctor(session)),
        b"graph" => {
            error(&format!("ERR No samples available for event '{}'", quote(arg(args, 2), QUOTED)))
        }
        _ => help("latency"),
    })
}

fn doctor(session: &Session) -> String {
    if session.shared.settings.latency_threshold() == 0 {
        return "Latency is not watched. CONFIG SET latency-monitor-threshold MILLISECONDS notes \
                what takes longer.\n"
            .to_owned();
    }
    let events = session.shared.latency.events();
    if events.is_empty() {
        return "No latency spike was seen.\n".to_owned();
    }
    let mut told = String::new();
    for (kind, events) in events {
        let longest = events.iter().map(|(_, ms)| *ms).max().unwrap_or(0);
        told += &format!("{kind}: {} latency spikes, the longest {longest} ms.\n", events.len());
    }
    told
}

fn histogram(calls: &Histogram) -> Reply {
    let number = |n: u64| Reply::Integer(i64::try_from(n).unwrap_or(i64::MAX));
    let doublings = calls.doublings().into_iter().map(|(us, n)| (number(us), number(n)));
    Reply::Map(vec![
        (text("calls"), number(calls.calls())),
        (text("histogram_usec"), Reply::Map(doublings.collect())),
    ])
}

/// `MONITOR`
pub(super) fn monitor(session: &mut Session, _: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    let mailbox = session.mailbox();
    let name = Bytes::from(&b""[..]);
    if session.subscriptions.names(Topic::Monitor).insert(name.clone()) {
        session.shared.hub.subscribe(Topic::Monitor, &name, &mailbox);
    }
    session.publish_state();
    Some(Reply::OK)
}

/// `SAVE`: all that was answered is in the log; once this answers it survives a power cut.
pub(super) fn save(session: &mut Session, _: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    let saved = session.shared.save();
    Some(saved.map_or_else(|failed| error(&format!("ERR {failed}")), |()| Reply::OK))
}

/// `BGSAVE [SCHEDULE]`: has the log synced by another thread.
pub(super) fn bgsave(session: &mut Session, args: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    if args.len() > 2 || args.get(1).is_some_and(|option| !is(option, "schedule")) {
        return Some(error("ERR syntax error"));
    }
    Some(match session.shared.save_in_background() {
        true => Reply::Simple("Background saving started"),
        false => error("ERR Background save already in progress"),
    })
}

/// `BGREWRITEAOF`: has a checkpoint taken, after which the log before it goes.
pub(super) fn bgrewriteaof(session: &mut Session, _: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    Some(match session.shared.rewrite_in_background() {
        true => Reply::Simple("Background append only file rewriting started"),
        false => error("ERR Background append only file rewriting already in progress"),
    })
}

/// `SHUTDOWN`: whoever runs the process stops it.
pub(super) fn shutdown(_: &mut Session, _: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    Some(error("ERR Ringwell is stopped by a signal to its process, not by SHUTDOWN"))
}

/// `LASTSAVE`: when a save last ended; the log itself is synced on its own.
pub(super) fn lastsave(session: &mut Session, _: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    Some(Reply::Integer(session.shared.saves.last() / 1000))
}

/// `LOLWUT [VERSION version]`
pub(super) fn lolwut(_: &mut Session, _: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    let own = env!("CARGO_PKG_VERSION");
    Some(Reply::Verbatim(format!("Ringwell {own}, which answers as\nRedis ver. {REDIS_VERSION}\n")))
}

/// `EVAL` and everything else that would run a script.
pub(super) fn no_scripts(_: &mut Session, _: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    Some(error("ERR Ringwell runs no scripts: EVAL, SCRIPT and FUNCTION are not supported"))
}

/// `FUNCTION FLUSH | LIST | ...`: there are none, so only emptying them works.
pub(super) fn function(s: &mut Session, args: &[&[u8]], out: &mut Vec<u8>) -> Option<Reply> {
    match arg(args, 1).to_ascii_lowercase().as_slice() {
        b"flush" => Some(Reply::OK),
        b"list" => Some(Reply::Array(Vec::new())),
        _ => no_scripts(s, args, out),
    }
}

/// `SCRIPT FLUSH | EXISTS | ...`: there are none, so only emptying them and looking works.
pub(super) fn script(s: &mut Session, args: &[&[u8]], out: &mut Vec<u8>) -> Option<Reply> {
    match arg(args, 1).to_ascii_lowercase().as_slice() {
        b"flush" => Some(Reply::OK),
        b"exists" => Some(Reply::Array(args.iter().skip(2).map(|_| Reply::Integer(0)).collect())),
        b"kill" => Some(error("NOTBUSY No scripts in execution right now.")),
        _ => no_scripts(s, args, out),
    }
}

/// `CLUSTER subcommand`: one node that has all slots, for clients that speak only to clusters.
pub(super) fn cluster(session: &mut Session, args: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    const LAST: i64 = 16_383;
    let shared = &session.shared;
    let address = session.client.local;
    let (host, port) = (address.ip().to_string(), i64::from(address.port()));
    let id = || text(&shared.run_id);
    Some(match arg(args, 1).to_ascii_lowercase().as_slice() {
        b"myid" => id(),
        b"info" => Reply::Verbatim(
            "cluster_enabled:0\r\ncluster_state:ok\r\ncluster_slots_assigned:16384\r\n\
             cluster_slots_ok:16384\r\ncluster_slots_pfail:0\r\ncluster_slots_fail:0\r\n\
             cluster_known_nodes:1\r\ncluster_size:1\r\ncluster_current_epoch:1\r\n\
             cluster_my_epoch:1\r\n"
                .to_owned(),
        ),
        b"nodes" => Reply::Verbatim(format!(
            "{} {host}:{port}@{port} myself,master - 0 0 1 connected 0-16383\n",
            shared.run_id
        )),
        b"slots" => {
            let node = Reply::Array(vec![
                text(&host),
                Reply::Integer(port),
                id(),
                Reply::Array(Vec::new()),
            ]);
            Reply::Array(vec![Reply::Array(vec![Reply::Integer(0), Reply::Integer(LAST), node])])
        }
        b"shards" => {
            let node = Reply::Map(vec![
                (text("id"), id()),
                (text("port"), Reply::Integer(port)),
                (text("ip"), text(&host)),
                (text("endpoint"), text(&host)),
                (text("role"), text("master")),
                (text("replication-offset"), Reply::Integer(0)),
                (text("health"), text("online")),
            ]);
            Reply::Array(vec![Reply::Map(vec![
                (text("slots"), Reply::Array(vec![Reply::Integer(0), Reply::Integer(LAST)])),
                (text("nodes"), Reply::Array(vec![node])),
            ])])
        }
        b"keyslot" if args.len() == 3 => Reply::Integer(slot(arg(args, 2)).into()),
        _ => error("ERR This instance has cluster support disabled"),
    })
}

/// The slot of a key: CRC16 (XMODEM) of what stands between braces, or of all.
fn slot(key: &[u8]) -> u16 {
    let open = key.iter().position(|byte| *byte == b'{');
    let tag = open.and_then(|open| {
        let inner = key.get(open + 1..)?;
        let close = inner.iter().position(|byte| *byte == b'}').filter(|close| *close > 0)?;
        inner.get(..close)
    });
    let crc = tag.unwrap_or(key).iter().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    });
    crc & 0x3fff
}

/// `MIGRATE host port key|"" db timeout [...]`: nothing to send is answered as Redis answers it.
pub(super) fn migrate(session: &mut Session, args: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    let number = |place| integer(arg(args, place)).map(|_| ());
    if let Err(refusal) = number(4).and_then(|()| number(5)) {
        return Some(refusal);
    }
    let facts = crate::resp::facts::find(b"migrate").and_then(crate::resp::facts::of);
    let keys = facts.and_then(|facts| keys_of(facts, args)).unwrap_or_default();
    let there = |key: &[u8]| {
        let exists = session.shared.execute(None, None, session.client.db, &[b"exists", key]);
        exists.reply == Reply::Integer(1)
    };
    if !keys.iter().any(|(key, _)| there(key)) {
        return Some(Reply::Simple("NOKEY"));
    }
    Some(error(
        "ERR Ringwell opens no connection to other servers for MIGRATE: DUMP here and RESTORE there",
    ))
}

/// `MODULE LIST`: there are none, and none can be loaded.
pub(super) fn module(_: &mut Session, args: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    Some(match arg(args, 1).to_ascii_lowercase().as_slice() {
        b"list" => Reply::Array(Vec::new()),
        b"help" => help("module"),
        _ => error("ERR Ringwell loads no modules"),
    })
}

/// `READONLY`, `READWRITE`, `ASKING`: for nodes of a cluster.
pub(super) fn no_cluster(_: &mut Session, _: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    Some(error("ERR This instance has cluster support disabled"))
}

/// `MEMORY STATS`: as far as it is known here.
pub(in crate::resp) fn memory_stats(session: &Session) -> Reply {
    let usage = (session.shared.options.usage)();
    let number = |n: u64| Reply::Integer(i64::try_from(n).unwrap_or(i64::MAX));
    let keys: Vec<(u8, (usize, usize))> = session.shared.store().map_or_else(Vec::new, |store| {
        store.with_keyspace(|keyspace| {
            (0..16).map(|db| (db, keyspace.counts(db))).filter(|(_, (keys, _))| *keys > 0).collect()
        })
    });
    let total: usize = keys.iter().map(|(_, (keys, _))| keys).sum();
    let per_key = usage.resident.checked_div(total as u64).unwrap_or(0);
    let mut stats = vec![
        (text("peak.allocated"), number(usage.peak)),
        (text("total.allocated"), number(usage.resident)),
        (text("clients.normal"), number(0)),
    ];
    stats.extend(keys.into_iter().map(|(db, (keys, expiring))| {
        let counts = vec![
            (text("overhead.hashtable.main"), number(keys as u64 * 64)),
            (text("overhead.hashtable.expires"), number(expiring as u64 * 24)),
        ];
        (text(&format!("db.{db}")), Reply::Map(counts))
    }));
    stats.push((text("keys.count"), number(total as u64)));
    stats.push((text("keys.bytes-per-key"), number(per_key)));
    stats.push((text("dataset.bytes"), number(usage.resident)));
    Reply::Map(stats)
}
