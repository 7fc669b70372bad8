//! INFO: the node in Redis's words, for the tools that read them.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use ringwell_storage::keyspace::{DATABASES, Reply};

use super::connection::REDIS_VERSION;
use crate::resp::hub::Topic;
use crate::resp::session::Session;
use crate::resp::shared::Shared;

type Section = (&'static str, fn(&Shared, &mut String));

/// All sections, in Redis's order. Those after `keyspace` come only when asked for.
const SECTIONS: &[Section] = &[
    ("Server", server),
    ("Clients", clients),
    ("Memory", memory),
    ("Persistence", persistence),
    ("Stats", stats),
    ("Replication", replication),
    ("CPU", |_, _| ()),
    ("Modules", |_, _| ()),
    ("Errorstats", |_, _| ()),
    ("Cluster", |_, out| out.push_str("cluster_enabled:0\r\n")),
    ("Keyspace", keyspace),
    ("Commandstats", command_stats),
];
const DEFAULT: usize = SECTIONS.len() - 1;

/// `INFO [section [section ...]]`
pub(super) fn info(session: &mut Session, args: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    let wanted: Vec<String> =
        args.iter().skip(1).map(|a| String::from_utf8_lossy(a).to_ascii_lowercase()).collect();
    let has = |name: &str| wanted.iter().any(|wanted| wanted == name);
    let usual = wanted.is_empty() || has("default");
    let every = has("all") || has("everything");
    let mut out = String::new();
    for (i, (name, write)) in SECTIONS.iter().enumerate() {
        if every || (usual && i < DEFAULT) || has(&name.to_ascii_lowercase()) {
            if !out.is_empty() {
                out.push_str("\r\n");
            }
            line(&mut out, format_args!("# {name}"));
            write(&session.shared, &mut out);
        }
    }
    Some(Reply::Verbatim(out))
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = write!(out, "{text}\r\n");
}

fn server(shared: &Shared, out: &mut String) {
    let now = shared.now();
    let uptime = (now - shared.started).max(0) / 1000;
    line(out, format_args!("redis_version:{REDIS_VERSION}"));
    line(out, format_args!("redis_mode:standalone"));
    line(out, format_args!("ringwell_version:{}", env!("CARGO_PKG_VERSION")));
    line(out, format_args!("os:{} {}", std::env::consts::OS, std::env::consts::ARCH));
    line(out, format_args!("arch_bits:{}", usize::BITS));
    line(out, format_args!("process_id:{}", std::process::id()));
    line(out, format_args!("run_id:{}", shared.run_id));
    line(out, format_args!("tcp_port:{}", shared.port));
    line(out, format_args!("server_time_usec:{}", now.saturating_mul(1000)));
    line(out, format_args!("uptime_in_seconds:{uptime}"));
    line(out, format_args!("uptime_in_days:{}", uptime / 86_400));
}

fn clients(shared: &Shared, out: &mut String) {
    let connected = shared.counters.connected.load(Ordering::Relaxed);
    line(out, format_args!("connected_clients:{connected}"));
    line(out, format_args!("cluster_connections:0"));
    line(out, format_args!("maxclients:{}", shared.options.max_connections));
    line(out, format_args!("blocked_clients:{}", shared.waiters.count()));
    line(out, format_args!("tracking_clients:0"));
}

fn memory(shared: &Shared, out: &mut String) {
    let used = (shared.options.memory)();
    for name in ["used_memory", "used_memory_rss"] {
        line(out, format_args!("{name}:{used}"));
        line(out, format_args!("{name}_human:{}", human(used)));
    }
    line(out, format_args!("maxmemory:0"));
    line(out, format_args!("maxmemory_human:0B"));
    line(out, format_args!("maxmemory_policy:noeviction"));
}

fn human(bytes: u64) -> String {
    let units = [("G", 30), ("M", 20), ("K", 10)];
    match units.iter().find(|(_, shift)| bytes >> shift > 0) {
        Some((unit, shift)) => format!("{:.2}{unit}", bytes as f64 / f64::from(1 << shift)),
        None => format!("{bytes}B"),
    }
}

fn persistence(_: &Shared, out: &mut String) {
    line(out, format_args!("loading:0"));
    line(out, format_args!("async_loading:0"));
    line(out, format_args!("rdb_bgsave_in_progress:0"));
    line(out, format_args!("rdb_last_bgsave_status:ok"));
    line(out, format_args!("aof_enabled:1"));
    line(out, format_args!("aof_rewrite_in_progress:0"));
    line(out, format_args!("aof_last_write_status:ok"));
}

fn stats(shared: &Shared, out: &mut String) {
    let counters = &shared.counters;
    let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let processed: u64 = counters.commands().map(|(_, calls)| calls).sum();
    line(out, format_args!("total_connections_received:{}", load(&counters.connections)));
    line(out, format_args!("total_commands_processed:{processed}"));
    line(out, format_args!("total_net_input_bytes:{}", load(&counters.bytes_in)));
    line(out, format_args!("total_net_output_bytes:{}", load(&counters.bytes_out)));
    line(out, format_args!("rejected_connections:{}", load(&counters.refused)));
    line(out, format_args!("evicted_keys:0"));
    line(out, format_args!("pubsub_channels:{}", shared.hub.channels(Topic::Channel, None).len()));
    line(
        out,
        format_args!("pubsubshard_channels:{}", shared.hub.channels(Topic::Shard, None).len()),
    );
    line(out, format_args!("pubsub_patterns:{}", shared.hub.patterns()));
    line(out, format_args!("total_error_replies:{}", load(&counters.errors)));
}

fn replication(shared: &Shared, out: &mut String) {
    line(out, format_args!("role:master"));
    line(out, format_args!("connected_slaves:0"));
    line(out, format_args!("master_replid:{}", shared.run_id));
    line(out, format_args!("master_repl_offset:0"));
}

fn keyspace(shared: &Shared, out: &mut String) {
    let counts: Vec<(usize, usize)> = shared
        .store
        .with_keyspace(|keyspace| (0..DATABASES).map(|db| keyspace.counts(db)).collect());
    for (db, (keys, expires)) in counts.into_iter().enumerate() {
        if keys > 0 {
            line(out, format_args!("db{db}:keys={keys},expires={expires},avg_ttl=0"));
        }
    }
}

fn command_stats(shared: &Shared, out: &mut String) {
    for (name, calls) in shared.counters.commands().filter(|(_, calls)| *calls > 0) {
        line(out, format_args!("cmdstat_{name}:calls={calls}"));
    }
}
