//! INFO: the node in Redis's words, for the tools that read them.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use ringwell_storage::keyspace::{DATABASES, Reply};

use super::connection::REDIS_VERSION;
use crate::resp::hub::Topic;
use crate::resp::session::Session;
use crate::resp::shared::Shared;

#[derive(Clone, Copy)]
struct Section {
    name: &'static str,
    /// Whether it comes without being asked for.
    usual: bool,
    write: fn(&Shared, &mut String),
}

/// All sections, in Redis's order.
const SECTIONS: &[Section] = &{
    const fn section(name: &'static str, write: fn(&Shared, &mut String)) -> Section {
        Section { name, usual: true, write }
    }
    const fn asked(section: Section) -> Section {
        Section { usual: false, ..section }
    }
    [
        section("Server", server),
        section("Clients", clients),
        section("Memory", memory),
        section("Persistence", persistence),
        section("Stats", stats),
        section("Replication", replication),
        section("CPU", cpu),
        section("Modules", |_, _| ()),
        asked(section("Commandstats", command_stats)),
        section("Errorstats", error_stats),
        asked(section("Latencystats", latency_stats)),
        section("Cluster", |_, out| line(out, format_args!("cluster_enabled:0"))),
        section("Keyspace", keyspace),
    ]
};

/// `INFO [section [section ...]]`
pub(super) fn info(session: &mut Session, args: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    let wanted: Vec<String> =
        args.iter().skip(1).map(|a| String::from_utf8_lossy(a).to_ascii_lowercase()).collect();
    let has = |name: &str| wanted.iter().any(|wanted| wanted == name);
    let usual = wanted.is_empty() || has("default");
    let every = has("all") || has("everything");
    let mut out = String::new();
    for Section { name, usual: comes, write } in SECTIONS {
        if every || (usual && *comes) || has(&name.to_ascii_lowercase()) {
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

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn server(shared: &Shared, out: &mut String) {
    let now = shared.now();
    let uptime = (now - shared.started).max(0) / 1000;
    line(out, format_args!("redis_version:{REDIS_VERSION}"));
    line(out, format_args!("redis_git_sha1:00000000"));
    line(out, format_args!("redis_git_dirty:0"));
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
    line(out, format_args!("connected_clients:{}", load(&shared.counters.connected)));
    line(out, format_args!("cluster_connections:0"));
    line(out, format_args!("maxclients:{}", shared.options.max_connections));
    line(out, format_args!("blocked_clients:{}", shared.waiters.count()));
    line(out, format_args!("tracking_clients:{}", shared.tracking.totals().clients));
}

/// Memory as the system counts it: there is no allocator of our own to ask.
fn memory(shared: &Shared, out: &mut String) {
    let usage = (shared.options.usage)();
    let sizes = [
        ("used_memory", usage.resident),
        ("used_memory_rss", usage.resident),
        ("used_memory_peak", usage.peak),
        ("total_system_memory", usage.machine),
    ];
    for (name, bytes) in sizes {
        line(out, format_args!("{name}:{bytes}"));
        line(out, format_args!("{name}_human:{}", human(bytes)));
    }
    line(out, format_args!("maxmemory:0"));
    line(out, format_args!("maxmemory_human:0B"));
    line(out, format_args!("maxmemory_policy:noeviction"));
    line(out, format_args!("mem_fragmentation_ratio:1.00"));
}

fn human(bytes: u64) -> String {
    let units = [("G", 30), ("M", 20), ("K", 10)];
    match units.iter().find(|(_, shift)| bytes >> shift > 0) {
        Some((unit, shift)) => format!("{:.2}{unit}", bytes as f64 / f64::from(1 << shift)),
        None => format!("{bytes}B"),
    }
}

/// Everything is in the log at once; a save is a sync of it.
fn persistence(shared: &Shared, out: &mut String) {
    line(out, format_args!("loading:{}", u8::from(shared.store().is_none())));
    line(out, format_args!("async_loading:0"));
    let saves = &shared.saves;
    line(out, format_args!("rdb_bgsave_in_progress:{}", u8::from(saves.sync.runs())));
    line(out, format_args!("rdb_last_save_time:{}", saves.last() / 1000));
    line(out, format_args!("rdb_last_bgsave_status:{}", saves.sync.status()));
    line(out, format_args!("aof_enabled:1"));
    line(out, format_args!("aof_rewrite_in_progress:{}", u8::from(saves.rewrite.runs())));
    line(out, format_args!("aof_rewrite_scheduled:0"));
    line(out, format_args!("aof_last_bgrewrite_status:{}", saves.rewrite.status()));
    let admits = shared.store().is_none_or(|store| store.admits().is_ok());
    line(out, format_args!("aof_last_write_status:{}", if admits { "ok" } else { "err" }));
    if shared.store().is_none() {
        loading(shared, out);
    }
}

/// How far the replay of the log is.
fn loading(shared: &Shared, out: &mut String) {
    let progress = shared.opening.progress();
    let (done, bytes) = (progress.done(), progress.bytes());
    let percent = 100.0 * done as f64 / bytes.max(1) as f64;
    let seconds = (shared.now() - shared.started).max(0) as f64 / 1000.0;
    let left = bytes.saturating_sub(done) as f64 * seconds / done.max(1) as f64;
    line(out, format_args!("loading_start_time:{}", shared.started / 1000));
    line(out, format_args!("loading_total_bytes:{bytes}"));
    line(out, format_args!("loading_loaded_bytes:{done}"));
    line(out, format_args!("loading_loaded_perc:{percent:.2}"));
    line(out, format_args!("loading_eta_seconds:{left:.0}"));
}

fn stats(shared: &Shared, out: &mut String) {
    let counters = &shared.counters;
    let processed: u64 = counters.commands().map(|(_, calls)| calls).sum();
    let [commands, read, written] = shared.rates.get();
    let looks = shared.looks();
    let channels = |topic| shared.hub.channels(topic, None).len();
    line(out, format_args!("total_connections_received:{}", load(&counters.connections)));
    line(out, format_args!("total_commands_processed:{processed}"));
    line(out, format_args!("instantaneous_ops_per_sec:{commands:.0}"));
    line(out, format_args!("total_net_input_bytes:{}", load(&counters.bytes_in)));
    line(out, format_args!("total_net_output_bytes:{}", load(&counters.bytes_out)));
    line(out, format_args!("instantaneous_input_kbps:{:.2}", read / 1024.0));
    line(out, format_args!("instantaneous_output_kbps:{:.2}", written / 1024.0));
    line(out, format_args!("rejected_connections:{}", load(&counters.refused)));
    let followed = shared.primary.counters();
    line(out, format_args!("sync_full:{}", load(&followed.full)));
    line(out, format_args!("sync_partial_ok:{}", load(&followed.partial)));
    line(out, format_args!("sync_partial_err:{}", load(&followed.refused)));
    line(out, format_args!("expired_keys:{}", looks.expired));
    line(out, format_args!("evicted_keys:0"));
    line(out, format_args!("evicted_clients:0"));
    line(out, format_args!("keyspace_hits:{}", looks.hits));
    line(out, format_args!("keyspace_misses:{}", looks.misses));
    line(out, format_args!("pubsub_channels:{}", channels(Topic::Channel)));
    line(out, format_args!("pubsub_patterns:{}", shared.hub.patterns()));
    line(out, format_args!("pubsubshard_channels:{}", channels(Topic::Shard)));
    line(out, format_args!("latest_fork_usec:0"));
    line(out, format_args!("total_forks:0"));
    line(out, format_args!("migrate_cached_sockets:0"));
    let tracked = shared.tracking.totals();
    line(out, format_args!("tracking_total_keys:{}", tracked.keys));
    line(out, format_args!("tracking_total_items:{}", tracked.items));
    line(out, format_args!("tracking_total_prefixes:{}", tracked.prefixes));
    line(out, format_args!("unexpected_error_replies:0"));
    line(out, format_args!("total_error_replies:{}", load(&counters.errors)));
}

fn replication(shared: &Shared, out: &mut String) {
    for told in shared.primary.info(&shared.run_id, shared.now()) {
        line(out, format_args!("{told}"));
    }
}

fn cpu(shared: &Shared, out: &mut String) {
    let usage = (shared.options.usage)();
    line(out, format_args!("used_cpu_sys:{:.6}", usage.system));
    line(out, format_args!("used_cpu_user:{:.6}", usage.user));
    line(out, format_args!("used_cpu_sys_children:0.000000"));
    line(out, format_args!("used_cpu_user_children:0.000000"));
}

fn keyspace(shared: &Shared, out: &mut String) {
    let now = shared.now();
    let Some(store) = shared.store() else { return };
    let counts: Vec<_> = store.with_keyspace(|keyspace| {
        (0..DATABASES).map(|db| (keyspace.counts(db), keyspace.mean_ttl(db, now))).collect()
    });
    for (db, ((keys, expires), ttl)) in counts.into_iter().enumerate() {
        if keys > 0 {
            line(out, format_args!("db{db}:keys={keys},expires={expires},avg_ttl={ttl}"));
        }
    }
}

fn command_stats(shared: &Shared, out: &mut String) {
    for counted in shared.counters.tally.counted() {
        let (calls, usec) = (counted.histogram.calls(), counted.usec);
        let mean = if calls > 0 { usec as f64 / calls as f64 } else { 0.0 };
        line(
            out,
            format_args!(
                "cmdstat_{}:calls={calls},usec={usec},usec_per_call={mean:.2},\
                 rejected_calls={},failed_calls={}",
                counted.name, counted.rejected, counted.failed
            ),
        );
    }
}

fn error_stats(shared: &Shared, out: &mut String) {
    for (code, count) in shared.counters.tally.errors() {
        line(out, format_args!("errorstat_{code}:count={count}"));
    }
}

fn latency_stats(shared: &Shared, out: &mut String) {
    let percentiles = shared.settings.percentiles();
    for counted in shared.counters.tally.counted().filter(|c| c.histogram.calls() > 0) {
        let shown: Vec<String> = percentiles
            .iter()
            .map(|percent| format!("p{percent}={}", counted.histogram.percentile(*percent)))
            .collect();
        line(out, format_args!("latency_percentiles_usec_{}:{}", counted.name, shown.join(",")));
    }
}
