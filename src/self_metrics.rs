//! Registers the metrics of every part.

use std::sync::Arc;

use ringwell_storage::store::Stats;

use std::sync::atomic::{AtomicU64, Ordering};

use crate::http::Handles;
use crate::ingest::events::Events;
use crate::ingest::keymap::{self, Keymap};
use crate::mcp::Tools;
use crate::metrics::{Families, Kind};
use crate::resp;

/// Adds all of them to the node's registry.
pub fn register(handles: &Arc<Handles>, keymap: &Keymap) {
    let registry = &handles.registry;
    let help = "Ringwell's version, as a label.";
    registry.register(move |out| {
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        out.family("ringwell_build_info", Kind::Gauge, help).sample(&version, 1.0);
    });
    let store = Arc::clone(&handles.store);
    registry.register(move |out| gather_store(&store.stats(), out));
    let ingest = Arc::clone(&handles.ingest);
    registry.register(move |out| ingest.gather(out));
    let metrics = Arc::clone(&handles.metrics);
    registry.register(move |out| metrics.gather(out));
    let redis = Arc::clone(&handles.redis);
    registry.register(move |out| gather_redis(&redis, out));
    let mapped = Arc::clone(keymap.counters());
    registry.register(move |out| gather_keymap(&mapped, out));
    let pool = Arc::clone(&handles.pool);
    registry.register(move |out| {
        out.gauge("ringwell_queries_running", "Queries that run now.", pool.running() as f64);
        let help = "Queries refused because their turn did not come.";
        out.counter("ringwell_queries_refused_total", help, pool.refused() as f64);
    });
}

/// Adds those of the events and of the MCP tools.
pub fn register_events(handles: &Handles, events: &Events, tools: &Arc<Tools>) {
    let tools = Arc::clone(tools);
    handles.registry.register(move |out| tools.gather(out));
    let counters = Arc::clone(events.counters());
    handles.registry.register(move |out| counters.gather(out));
}

fn gather_store(stats: &Stats, out: &mut Families) {
    let help = "Samples the store refused, those derived from keys included, by reason.";
    let family = out.family("ringwell_store_rejected_samples_total", Kind::Counter, help);
    for (reason, count) in &stats.rejected {
        family.sample(&[("reason", reason)], *count as f64);
    }
    for (name, help, value) in [
        ("ringwell_store_samples_total", "Samples accepted.", stats.accepted),
        (
            "ringwell_store_shifted_samples_total",
            "List elements whose millisecond was taken and that got the next free one.",
            stats.shifted,
        ),
        ("ringwell_store_commands_total", "Commands that changed keys.", stats.commands),
        ("ringwell_wal_bytes_total", "Bytes written to the log, ever.", stats.log_end),
        ("ringwell_wal_synced_bytes_total", "Bytes of them on the disk.", stats.log_synced),
        ("ringwell_wal_syncs_total", "Syncs of the log.", stats.log_syncs),
        ("ringwell_checkpoints_total", "Checkpoints taken.", stats.checkpoints),
        (
            "ringwell_catalog_rebuilds_total",
            "Times the catalogue was begun anew.",
            stats.catalog_rebuilds,
        ),
        ("ringwell_compactions_total", "Merges of blocks.", stats.merges),
        (
            "ringwell_chunk_files_refused_total",
            "Chunks of lists' samples that stayed in memory because the disk did not take them.",
            stats.chunk_files.refused,
        ),
        (
            "ringwell_index_cache_hits_total",
            "Pages of blocks' indexes that were in memory when asked for.",
            stats.index_cache.hits,
        ),
        (
            "ringwell_index_cache_misses_total",
            "Pages of blocks' indexes that were read from the disk.",
            stats.index_cache.misses,
        ),
    ] {
        out.counter(name, help, value as f64);
    }
    for (name, help, value) in [
        ("ringwell_store_series", "Series in the head.", stats.series),
        ("ringwell_disk_free_bytes", "Bytes free on the disk.", stats.disk_free),
        (
            "ringwell_ingest_stopped",
            "1 while samples are refused because too little is free on the disk.",
            u64::from(stats.ingest_stopped),
        ),
        ("ringwell_store_keys", "Keys in all databases.", stats.keys),
        ("ringwell_store_blocks", "Live blocks.", stats.blocks),
        ("ringwell_store_block_bytes", "Bytes of the live blocks.", stats.block_bytes),
        (
            "ringwell_index_cache_bytes",
            "Memory of the pages of blocks' indexes.",
            stats.index_cache.bytes,
        ),
        ("ringwell_store_block_samples", "Samples in the live blocks.", stats.block_samples),
        ("ringwell_exemplars", "Exemplars kept.", stats.exemplars),
        ("ringwell_documents_bytes", "Bytes of the documents kept.", stats.documents_bytes),
        ("ringwell_metadata_metrics", "Metrics whose metadata is kept.", stats.metadata),
        ("ringwell_metadata_bytes", "Bytes of that metadata.", stats.metadata_bytes),
        ("ringwell_store_tombstones", "Deletions that wait for compaction.", stats.tombstones),
        ("ringwell_chunk_files", "Files of chunks of lists' samples.", stats.chunk_files.files),
        ("ringwell_chunk_files_bytes", "Bytes of these files.", stats.chunk_files.bytes),
        ("ringwell_checkpoint_bytes", "Bytes of the live checkpoint.", stats.checkpoint_bytes),
    ] {
        out.gauge(name, help, value as f64);
    }
}

fn gather_keymap(counters: &keymap::Counters, out: &mut Families) {
    for (name, help, counter) in [
        (
            "ringwell_keymap_unparsed_total",
            "Elements and fields of mapped keys without a number that can be mapped.",
            &counters.unparsed,
        ),
        (
            "ringwell_keymap_unread_times_total",
            "Elements whose time could not be read; they got their arrival time.",
            &counters.unread_times,
        ),
        (
            "ringwell_keymap_future_total",
            "Elements too far in the future; they got their arrival time.",
            &counters.future,
        ),
        (
            "ringwell_keymap_contested_total",
            "Values of series that another key feeds; they were not mapped.",
            &counters.contested,
        ),
        (
            "ringwell_keymap_unheld_total",
            "Keys whose state is not held because there are too many.",
            &counters.unheld,
        ),
    ] {
        out.counter(name, help, counter.get());
    }
}

fn gather_redis(counters: &resp::Counters, out: &mut Families) {
    let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
    let help = "Redis connections there are.";
    out.gauge("ringwell_redis_connections", help, value(&counters.connected));
    for (name, help, counter) in [
        ("ringwell_redis_connections_total", "Redis connections accepted.", &counters.connections),
        (
            "ringwell_redis_connections_refused_total",
            "Redis connections refused because there were too many.",
            &counters.refused,
        ),
        ("ringwell_redis_input_bytes_total", "Bytes read from Redis clients.", &counters.bytes_in),
        ("ringwell_redis_output_bytes_total", "Bytes sent to Redis clients.", &counters.bytes_out),
        ("ringwell_redis_errors_total", "Redis commands answered with an error.", &counters.errors),
        (
            "ringwell_redis_protocol_errors_total",
            "Redis connections ended because what they sent is no request.",
            &counters.protocol_errors,
        ),
        (
            "ringwell_redis_published_total",
            "Messages published through PUBLISH.",
            &counters.published,
        ),
        (
            "ringwell_redis_derived_refused_total",
            "Samples that a Redis command implied and the store refused.",
            &counters.derived_refused,
        ),
    ] {
        out.counter(name, help, value(counter));
    }
    let help = "Redis commands called, those never called left out.";
    let family = out.family("ringwell_redis_commands_total", Kind::Counter, help);
    for (command, calls) in counters.commands().filter(|(_, calls)| *calls > 0) {
        family.sample(&[("command", command)], calls as f64);
    }
}
