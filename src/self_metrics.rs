//! Registers the metrics of every part.

use std::sync::Arc;

use ringwell_storage::store::Stats;

use crate::http::Handles;
use crate::metrics::{Families, Kind};

/// Adds all of them to the node's registry.
pub fn register(handles: &Arc<Handles>) {
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
    let pool = Arc::clone(&handles.pool);
    registry.register(move |out| {
        out.gauge("ringwell_queries_running", "Queries that run now.", pool.running() as f64);
        let help = "Queries refused because their turn did not come.";
        out.counter("ringwell_queries_refused_total", help, pool.refused() as f64);
    });
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
    ] {
        out.counter(name, help, value as f64);
    }
    for (name, help, value) in [
        ("ringwell_store_series", "Series in the head.", stats.series),
        ("ringwell_store_keys", "Keys in all databases.", stats.keys),
        ("ringwell_store_blocks", "Live blocks.", stats.blocks),
        ("ringwell_store_block_bytes", "Bytes of the live blocks.", stats.block_bytes),
        ("ringwell_store_block_samples", "Samples in the live blocks.", stats.block_samples),
        ("ringwell_checkpoint_bytes", "Bytes of the live checkpoint.", stats.checkpoint_bytes),
    ] {
        out.gauge(name, help, value as f64);
    }
}
