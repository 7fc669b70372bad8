//! Redis's parameters by name, as CONFIG GET and CONFIG SET know them.
//!
//! A few act here: `notify-keyspace-events`, the ones of SLOWLOG and LATENCY. The others are
//! about machinery Ringwell does not have; they are checked, kept until the node stops, and shown.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// What cannot be set while the node runs.
    Fixed,
    Switch,
    Number,
    Bytes,
    /// Bytes, or a percentage.
    Share,
    /// One of these words.
    Words(&'static str),
    /// Classes of keyspace events.
    Events,
    /// Limits of output buffers: class, hard, soft, seconds.
    Buffers,
    Text,
}

use Kind::{Buffers, Bytes, Events, Fixed, Number, Share, Switch, Text, Words};

/// Name, what it takes, and its value until it is set.
#[rustfmt::skip]
const TABLE: &[(&str, Kind, &str)] = &[
    ("acl-pubsub-default", Words("allchannels resetchannels"), "resetchannels"),
    ("aclfile", Fixed, ""),
    ("acllog-max-len", Number, "128"),
    ("active-defrag-cycle-max", Number, "25"),
    ("active-defrag-cycle-min", Number, "1"),
    ("active-defrag-ignore-bytes", Bytes, "104857600"),
    ("active-defrag-max-scan-fields", Number, "1000"),
    ("active-defrag-threshold-lower", Number, "10"),
    ("active-defrag-threshold-upper", Number, "100"),
    ("active-expire-effort", Number, "1"),
    ("activedefrag", Switch, "no"),
    ("activerehashing", Switch, "yes"),
    ("always-show-logo", Fixed, "no"),
    ("aof-disable-auto-gc", Switch, "no"),
    ("aof-load-truncated", Switch, "yes"),
    ("aof-rewrite-incremental-fsync", Switch, "yes"),
    ("aof-timestamp-enabled", Switch, "no"),
    ("aof-use-rdb-preamble", Switch, "yes"),
    ("aof_rewrite_cpulist", Fixed, ""),
    ("appenddirname", Fixed, "appendonlydir"),
    ("appendfilename", Fixed, "appendonly.aof"),
    ("auto-aof-rewrite-min-size", Bytes, "67108864"),
    ("auto-aof-rewrite-percentage", Number, "100"),
    ("bgsave_cpulist", Fixed, ""),
    ("bind", Fixed, "* -::*"),
    ("bind-source-addr", Fixed, ""),
    ("bio_cpulist", Fixed, ""),
    ("busy-reply-threshold", Number, "5000"),
    ("client-output-buffer-limit", Buffers, "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"),
    ("client-query-buffer-limit", Bytes, "1073741824"),
    ("cluster-allow-pubsubshard-when-down", Switch, "yes"),
    ("cluster-allow-reads-when-down", Switch, "no"),
    ("cluster-allow-replica-migration", Switch, "yes"),
    ("cluster-announce-bus-port", Number, "0"),
    ("cluster-announce-hostname", Text, ""),
    ("cluster-announce-ip", Text, ""),
    ("cluster-announce-port", Number, "0"),
    ("cluster-announce-tls-port", Number, "0"),
    ("cluster-config-file", Fixed, "nodes.conf"),
    ("cluster-enabled", Fixed, "no"),
    ("cluster-link-sendbuf-limit", Bytes, "0"),
    ("cluster-migration-barrier", Number, "1"),
    ("cluster-node-timeout", Number, "15000"),
    ("cluster-port", Fixed, "0"),
    ("cluster-preferred-endpoint-type", Text, "ip"),
    ("cluster-replica-no-failover", Switch, "no"),
    ("cluster-replica-validity-factor", Number, "10"),
    ("cluster-require-full-coverage", Switch, "yes"),
    ("cluster-slave-no-failover", Switch, "no"),
    ("cluster-slave-validity-factor", Number, "10"),
    ("crash-log-enabled", Switch, "yes"),
    ("crash-memcheck-enabled", Fixed, "yes"),
    ("daemonize", Fixed, "no"),
    ("dbfilename", Text, "dump.rdb"),
    ("dir", Text, ""),
    ("disable-thp", Fixed, "yes"),
    ("dynamic-hz", Switch, "yes"),
    ("enable-debug-command", Fixed, "no"),
    ("enable-module-command", Fixed, "no"),
    ("enable-protected-configs", Fixed, "no"),
    ("hash-max-listpack-entries", Number, "512"),
    ("hash-max-listpack-value", Number, "64"),
    ("hash-max-ziplist-entries", Number, "512"),
    ("hash-max-ziplist-value", Number, "64"),
    ("hll-sparse-max-bytes", Bytes, "3000"),
    ("hz", Number, "10"),
    ("io-threads", Fixed, "1"),
    ("io-threads-do-reads", Fixed, "no"),
    ("jemalloc-bg-thread", Switch, "yes"),
    ("key-load-delay", Number, "0"),
    ("latency-monitor-threshold", Number, "0"),
    ("latency-tracking", Switch, "yes"),
    ("latency-tracking-info-percentiles", Text, "50 99 99.9"),
    ("lazyfree-lazy-eviction", Switch, "no"),
    ("lazyfree-lazy-expire", Switch, "no"),
    ("lazyfree-lazy-server-del", Switch, "no"),
    ("lazyfree-lazy-user-del", Switch, "no"),
    ("lazyfree-lazy-user-flush", Switch, "no"),
    ("lfu-decay-time", Number, "1"),
    ("lfu-log-factor", Number, "10"),
    ("list-compress-depth", Number, "0"),
    ("list-max-listpack-size", Number, "-2"),
    ("list-max-ziplist-size", Number, "-2"),
    ("logfile", Fixed, ""),
    ("loglevel", Words("debug verbose notice warning"), "notice"),
    ("lua-time-limit", Number, "5000"),
    ("masterauth", Text, ""),
    ("masteruser", Text, ""),
    ("maxmemory", Bytes, "0"),
    ("maxmemory-clients", Share, "0"),
    ("maxmemory-eviction-tenacity", Number, "10"),
    ("maxmemory-policy", Words("volatile-lru volatile-lfu volatile-random volatile-ttl allkeys-lru allkeys-lfu allkeys-random noeviction"), "noeviction"),
    ("maxmemory-samples", Number, "5"),
    ("min-replicas-max-lag", Number, "10"),
    ("min-replicas-to-write", Number, "0"),
    ("min-slaves-max-lag", Number, "10"),
    ("min-slaves-to-write", Number, "0"),
    ("no-appendfsync-on-rewrite", Switch, "no"),
    ("notify-keyspace-events", Events, ""),
    ("oom-score-adj", Words("no yes relative absolute"), "no"),
    ("oom-score-adj-values", Text, "0 200 800"),
    ("pidfile", Fixed, ""),
    ("proc-title-template", Text, "{title} {listen-addr} {server-mode}"),
    ("propagation-error-behavior", Words("ignore panic panic-on-replicas"), "ignore"),
    ("protected-mode", Switch, "yes"),
    ("rdb-del-sync-files", Switch, "no"),
    ("rdb-key-save-delay", Number, "0"),
    ("rdb-save-incremental-fsync", Switch, "yes"),
    ("rdbchecksum", Fixed, "yes"),
    ("rdbcompression", Switch, "yes"),
    ("repl-backlog-size", Bytes, "1048576"),
    ("repl-backlog-ttl", Number, "3600"),
    ("repl-disable-tcp-nodelay", Switch, "no"),
    ("repl-diskless-load", Words("disabled on-empty-db swapdb"), "disabled"),
    ("repl-diskless-sync", Switch, "yes"),
    ("repl-diskless-sync-delay", Number, "5"),
    ("repl-diskless-sync-max-replicas", Number, "0"),
    ("repl-ping-replica-period", Number, "10"),
    ("repl-ping-slave-period", Number, "10"),
    ("repl-timeout", Number, "60"),
    ("replica-announce-ip", Text, ""),
    ("replica-announce-port", Number, "0"),
    ("replica-announced", Switch, "yes"),
    ("replica-ignore-disk-write-errors", Switch, "no"),
    ("replica-ignore-maxmemory", Switch, "yes"),
    ("replica-lazy-flush", Switch, "no"),
    ("replica-priority", Number, "100"),
    ("replica-read-only", Switch, "yes"),
    ("replica-serve-stale-data", Switch, "yes"),
    ("replicaof", Fixed, ""),
    ("requirepass", Text, ""),
    ("sanitize-dump-payload", Words("no yes clients"), "no"),
    ("save", Text, ""),
    ("server_cpulist", Fixed, ""),
    ("set-max-intset-entries", Number, "512"),
    ("set-proc-title", Fixed, "yes"),
    ("shutdown-on-sigint", Text, "default"),
    ("shutdown-on-sigterm", Text, "default"),
    ("shutdown-timeout", Number, "10"),
    ("slave-announce-ip", Text, ""),
    ("slave-announce-port", Number, "0"),
    ("slave-ignore-maxmemory", Switch, "yes"),
    ("slave-lazy-flush", Switch, "no"),
    ("slave-priority", Number, "100"),
    ("slave-read-only", Switch, "yes"),
    ("slave-serve-stale-data", Switch, "yes"),
    ("slaveof", Fixed, ""),
    ("slowlog-log-slower-than", Number, "10000"),
    ("slowlog-max-len", Number, "128"),
    ("socket-mark-id", Fixed, "0"),
    ("stop-writes-on-bgsave-error", Switch, "yes"),
    ("stream-node-max-bytes", Bytes, "4096"),
    ("stream-node-max-entries", Number, "100"),
    ("supervised", Fixed, "no"),
    ("syslog-enabled", Fixed, "no"),
    ("syslog-facility", Fixed, "local0"),
    ("syslog-ident", Fixed, "redis"),
    ("tcp-backlog", Fixed, "511"),
    ("tcp-keepalive", Number, "300"),
    ("timeout", Number, "0"),
    ("tracking-table-max-keys", Number, "1000000"),
    ("unixsocket", Fixed, ""),
    ("unixsocketperm", Fixed, "0"),
    ("zset-max-listpack-entries", Number, "128"),
    ("zset-max-listpack-value", Number, "64"),
    ("zset-max-ziplist-entries", Number, "128"),
    ("zset-max-ziplist-value", Number, "64"),
];

/// Parameters that CONFIG GET shows only to those who ask for them by their whole names.
pub(super) const HIDDEN: &[&str] = &["key-load-delay", "rdb-key-save-delay"];

/// What CONFIG SET has set, with what acts beside it for quick reading.
#[derive(Debug)]
pub struct Settings {
    set: Mutex<BTreeMap<&'static str, String>>,
    slower_than: AtomicI64,
    slowlog_length: AtomicI64,
    latency_threshold: AtomicI64,
    events: AtomicU32,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            set: Mutex::default(),
            slower_than: AtomicI64::new(10_000),
            slowlog_length: AtomicI64::new(128),
            latency_threshold: AtomicI64::new(0),
            events: AtomicU32::new(0),
        }
    }
}

/// Names that mean the same parameter.
const SAME: &[(&str, &str)] =
    &[("slave", "replica"), ("ziplist", "listpack"), ("lua-time-limit", "busy-reply-threshold")];

/// The letters of keyspace events, as the bits of their classes.
const CLASSES: &[u8] = b"KEg$lshzxetmdn";

impl Settings {
    /// Commands that take so many microseconds are noted; negative: none is.
    pub(in crate::resp) fn slower_than(&self) -> i64 {
        self.slower_than.load(Ordering::Relaxed)
    }

    /// How many slow commands are kept.
    pub(in crate::resp) fn slowlog_length(&self) -> usize {
        usize::try_from(self.slowlog_length.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Events that take so many milliseconds are noted; 0: none is.
    pub(in crate::resp) fn latency_threshold(&self) -> i64 {
        self.latency_threshold.load(Ordering::Relaxed)
    }

    /// The classes of keyspace events that are published, as bits.
    pub(in crate::resp) fn events(&self) -> u32 {
        self.events.load(Ordering::Relaxed)
    }

    /// How many denials ACL LOG keeps.
    pub(in crate::resp) fn denied_length(&self) -> usize {
        self.value("acllog-max-len").and_then(|text| text.parse().ok()).unwrap_or(128)
    }

    /// How many keys are remembered for clients that track them; 0 = any number.
    pub(in crate::resp) fn tracked_keys(&self) -> usize {
        self.value("tracking-table-max-keys")
            .and_then(|text| text.parse().ok())
            .unwrap_or(1_000_000)
    }

    /// Whether a new user may use all channels.
    pub(in crate::resp) fn opens_channels(&self) -> bool {
        self.value("acl-pubsub-default").is_some_and(|word| word == "allchannels")
    }

    /// What a parameter has been set to.
    fn value(&self, name: &str) -> Option<String> {
        self.lock().get(name).cloned()
    }

    /// The percentiles of INFO latencystats.
    pub(super) fn percentiles(&self) -> Vec<f64> {
        let set = self.value("latency-tracking-info-percentiles");
        let text = set.unwrap_or_else(|| "50 99 99.9".to_owned());
        text.split_whitespace().filter_map(|percent| percent.parse().ok()).collect()
    }

    /// Every parameter and its value.
    pub(super) fn all(&self) -> Vec<(&'static str, String)> {
        let set = self.lock();
        let value = |name: &'static str, usual: &str| {
            set.get(name).cloned().unwrap_or_else(|| usual.to_owned())
        };
        TABLE.iter().map(|(name, _, usual)| (*name, value(name, usual))).collect()
    }

    /// Sets parameters, all or none; the error names the one that is refused and says why.
    pub(super) fn set(&self, pairs: &[(String, String)]) -> Result<(), String> {
        let mut checked = Vec::new();
        for (name, text) in pairs {
            let Some((name, kind, usual)) = TABLE.iter().find(|(known, ..)| *known == *name) else {
                return Err(format!(
                    "ERR Unknown option or number of arguments for CONFIG SET - '{name}'"
                ));
            };
            if checked.iter().any(|(known, _)| known == name) {
                return Err(format!(
                    "ERR CONFIG SET failed (possibly related to argument '{name}') - duplicate parameter"
                ));
            }
            // What cannot be set can be confirmed.
            if *kind == Fixed && text == usual {
                continue;
            }
            let value = kind.read(text).map_err(|why| {
                format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}")
            })?;
            checked.push((*name, value));
        }
        let mut set = self.lock();
        for (name, value) in checked {
            self.act(name, &value);
            for alias in aliases(name) {
                set.insert(alias, value.clone());
            }
            set.insert(name, value);
        }
        Ok(())
    }

    fn act(&self, name: &str, value: &str) {
        let number = || value.parse().unwrap_or(0);
        match name {
            "slowlog-log-slower-than" => self.slower_than.store(number(), Ordering::Relaxed),
            "slowlog-max-len" => self.slowlog_length.store(number(), Ordering::Relaxed),
            "latency-monitor-threshold" => {
                self.latency_threshold.store(number(), Ordering::Relaxed);
            }
            "notify-keyspace-events" => self.events.store(classes(value), Ordering::Relaxed),
            _ => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bit of an event class.
pub(in crate::resp) fn class(letter: u8) -> u32 {
    CLASSES.iter().position(|class| *class == letter).map_or(0, |bit| 1 << bit)
}

fn classes(letters: &str) -> u32 {
    letters.bytes().fold(0, |bits, letter| match letter {
        b'A' => b"g$lshzxetd".iter().fold(bits, |bits, letter| bits | class(*letter)),
        letter => bits | class(letter),
    })
}

/// The other names of a parameter.
fn aliases(name: &'static str) -> impl Iterator<Item = &'static str> {
    let others = SAME.iter().flat_map(move |(a, b)| [name.replace(a, b), name.replace(b, a)]);
    let others: Vec<String> = others.filter(|other| *other != name).collect();
    TABLE.iter().map(|(known, ..)| *known).filter(move |known| others.iter().any(|o| o == known))
}

impl Kind {
    /// The text as it is kept, or why it is refused.
    fn read(self, text: &str) -> Result<String, String> {
        let refused = |why: &str| Err(why.to_owned());
        match self {
            Fixed => refused("can't set immutable config"),
            Switch => match text.to_ascii_lowercase().as_str() {
                word @ ("yes" | "no") => Ok(word.to_owned()),
                _ => refused("argument must be 'yes' or 'no'"),
            },
            Number => match text.parse::<i64>() {
                Ok(number) => Ok(number.to_string()),
                Err(_) => refused("argument couldn't be parsed into an integer"),
            },
            Bytes => bytes(text)
                .map(|bytes| bytes.to_string())
                .ok_or_else(|| "argument must be a memory value".to_owned()),
            Share => match text.strip_suffix('%').map(str::parse::<u32>) {
                Some(Ok(0..=100)) => Ok(text.to_owned()),
                Some(Ok(_)) => refused("percentage argument must be less or equal to 100"),
                Some(Err(_)) => refused("argument must be a memory or percent value"),
                None => Bytes.read(text),
            },
            Words(words) => {
                let word = text.to_ascii_lowercase();
                if words.split(' ').any(|known| known == word) {
                    return Ok(word);
                }
                let list = words.split(' ').collect::<Vec<_>>().join(", ");
                Err(format!("argument(s) must be one of the following: {list}"))
            }
            Events => {
                let known = text.bytes().all(|letter| letter == b'A' || class(letter) != 0);
                if !known {
                    return refused("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.");
                }
                Ok(spell_events(classes(text)))
            }
            Buffers => buffers(text).ok_or_else(|| {
                "Wrong number of arguments in buffer limit configuration.".to_owned()
            }),
            Text => Ok(text.to_owned()),
        }
    }
}

/// Event classes as Redis shows them: `A` for all but misses and new keys.
fn spell_events(bits: u32) -> String {
    let has = |letters: &[u8]| letters.iter().all(|letter| bits & class(*letter) != 0);
    let mut shown = String::new();
    if has(b"g$lshzxetd") {
        shown.push('A');
    } else {
        let letters = b"g$lshzxetd".iter().filter(|letter| bits & class(**letter) != 0);
        shown.extend(letters.map(|letter| char::from(*letter)));
    }
    let rest = b"KEmn".iter().filter(|letter| bits & class(**letter) != 0);
    shown.extend(rest.map(|letter| char::from(*letter)));
    shown
}

fn bytes(text: &str) -> Option<u64> {
    let text = text.to_ascii_lowercase();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor: u64 = match text.get(digits.len()..)? {
        "" | "b" => 1,
        "k" => 1_000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

fn buffers(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut limits = BTreeMap::from([
        ("normal", "0 0 0".to_owned()),
        ("slave", "268435456 67108864 60".to_owned()),
        ("pubsub", "33554432 8388608 60".to_owned()),
    ]);
    if words.is_empty() || !words.len().is_multiple_of(4) {
        return None;
    }
    for class in words.chunks_exact(4) {
        let [name, hard, soft, seconds] = class else { return None };
        let name = match *name {
            "replica" | "slave" => "slave",
            "normal" => "normal",
            "pubsub" => "pubsub",
            _ => return None,
        };
        let seconds: u32 = seconds.parse().ok()?;
        limits.insert(name, format!("{} {} {seconds}", bytes(hard)?, bytes(soft)?));
    }
    let shown = ["normal", "slave", "pubsub"]
        .map(|name| format!("{name} {}", limits.get(name).cloned().unwrap_or_default()));
    Some(shown.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_all_or_none() {
        let settings = Settings::default();
        let pair = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        let value =
            |name: &str| settings.all().into_iter().find(|(n, _)| *n == name).map(|(_, v)| v);
        assert!(settings.set(&[pair("slowlog-max-len", "5"), pair("maxmemory", "1mb")]).is_ok());
        assert_eq!((settings.slowlog_length(), value("maxmemory")), (5, Some("1048576".into())));
        let refused = settings.set(&[pair("slowlog-max-len", "6"), pair("hz", "x")]);
        assert!(refused.is_err_and(|why| why.contains("'hz'")));
        assert_eq!(settings.slowlog_length(), 5);
        assert!(settings.set(&[pair("hash-max-ziplist-value", "7")]).is_ok());
        assert_eq!(value("hash-max-listpack-value"), Some("7".into()));
        assert!(settings.set(&[pair("notify-keyspace-events", "KEA")]).is_ok());
        assert_eq!(value("notify-keyspace-events"), Some("AKE".into()));
        assert_ne!(settings.events() & class(b'l'), 0);
    }
}
