//! Opens the store as the config says, and tells what was found.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use ringwell_storage::catalog::{Catalog, MemoryCatalog, SledCatalog};
use ringwell_storage::compaction::Retention;
use ringwell_storage::disk::OsDisk;
use ringwell_storage::feed::Identity;
use ringwell_storage::store::{Options, Store, StoreLimits};
use ringwell_storage::wal::Progress;

use super::millis;
use crate::clock;
use crate::config::Config;

/// Takes the data directory, which nobody else may have.
pub(super) fn take_disk(config: &Config) -> anyhow::Result<OsDisk> {
    let dir = &config.data_dir;
    OsDisk::open(dir).with_context(|| {
        format!(
            "cannot use the data directory {} (--data-dir); is another node running on it?",
            dir.display()
        )
    })
}

/// Replays the log of the directory; this takes its time.
pub(super) fn open(
    config: &Config,
    disk: OsDisk,
    progress: Arc<Progress>,
) -> anyhow::Result<Arc<Store>> {
    let dir = &config.data_dir;
    let options = Options {
        retention: config.retention.map(millis),
        max_future: config.retention.map(|_| millis(config.limits.max_future)),
        limits: StoreLimits {
            series: config.limits.series,
            metric_series: config.limits.metric_series,
            label_values: config.limits.label_values,
            labels: config.limits.labels,
            name_bytes: config.limits.label_name,
            value_bytes: config.limits.label_value,
        },
        keep: Retention { bytes: config.retention_size, rules: config.retention_rules.clone() },
        exemplars: config.limits.exemplars,
        documents_bytes: config.limits.documents,
        metadata_bytes: config.limits.metadata,
        min_free_disk: config.limits.min_free_disk,
        reserve_bytes: config.limits.disk_reserve,
        index_cache_bytes: config.limits.index_cache,
        follow_bytes: config.replication_backlog,
        stream_name: random_name(),
        progress,
        ..Options::default()
    };
    let started = Instant::now();
    let store = Store::open_with(Arc::new(disk), open_catalog(dir), options, clock::now_ms())
        .with_context(|| format!("cannot open the store in {}", dir.display()))?;
    report(&store, dir, started.elapsed());
    Ok(Arc::new(store))
}

/// A name that no opening of any store had.
fn random_name() -> Identity {
    use std::hash::{BuildHasher, RandomState};
    let mut name = Identity::default();
    for (part, piece) in name.chunks_mut(8).enumerate() {
        let random = RandomState::new().hash_one((clock::now_ms(), part));
        piece.iter_mut().zip(random.to_le_bytes()).for_each(|(byte, random)| *byte = random);
    }
    name
}

/// The catalogue; one in memory where the directory cannot be used, for no answer depends on it.
fn open_catalog(dir: &Path) -> Box<dyn Catalog> {
    match SledCatalog::open(&dir.join("catalog")) {
        Ok(catalog) => Box::new(catalog),
        Err(error) => {
            tracing::warn!(%error, "the catalogue is kept in memory");
            Box::<MemoryCatalog>::default()
        }
    }
}

/// Says what opening found, loudly where something was lost or refused.
fn report(store: &Store, dir: &Path, took: Duration) {
    let found = store.report();
    tracing::info!(
        dir = %dir.display(), records = found.records, bytes = found.bytes,
        millis = took.as_millis() as u64, "store open, log replayed"
    );
    if let Some((at, reason)) = &found.torn {
        tracing::warn!(at, reason, "the log's torn end was cut; nothing synced lay there");
    }
    if let Some(what) = &found.mended {
        tracing::warn!(what, "the other copy was taken, and both are whole again");
    }
    if found.lost_samples > 0 {
        let samples = found.lost_samples;
        tracing::error!(
            samples,
            "samples of the log cannot be read: a repair lost what they lean on"
        );
    }
    for reason in &found.refused_blocks {
        tracing::error!(reason, "a block is damaged and set aside; the rest is served");
    }
}
