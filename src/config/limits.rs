//! How much of everything.

use std::time::Duration;

use super::raw::Settings;
use super::units::{bytes, count, duration};
use super::{ConfigError, interval, read};

/// Bounds; each is a knob of the same name.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each is documented once, in the table of knobs")]
pub struct Limits {
    pub series: u64,
    pub metric_series: u64,
    pub label_values: u64,
    pub labels: usize,
    pub label_name: usize,
    pub label_value: usize,
    pub max_future: Duration,
    pub body: usize,
    pub body_decoded: usize,
    pub ingest_in_flight: usize,
    pub ingest_queue: Duration,
    pub min_free_disk: u64,
    pub disk_reserve: u64,
    pub index_cache: usize,
    pub query_time: Duration,
    pub query_samples: u64,
    pub query_concurrency: usize,
    pub query_queue: Duration,
    pub exemplars: usize,
    pub metadata: usize,
    /// Bytes of documents kept.
    pub documents: usize,
    pub read_samples: usize,
    pub read_frame: usize,
    pub http_connections: usize,
    pub handshake_time: Duration,
    pub head_time: Duration,
    pub body_time: Duration,
    pub redis_connections: usize,
    pub redis_bulk: usize,
    pub redis_args: usize,
    pub redis_output: usize,
    pub source_command: usize,
    pub events_queue: usize,
    pub live_subscriptions: usize,
}

impl Limits {
    pub(super) fn mean(s: &Settings) -> Result<Limits, ConfigError> {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let concurrency = read(s, "limits.query_concurrency", size_count)?;
        Ok(Limits {
            series: read(s, "limits.series", count)?,
            metric_series: read(s, "limits.metric_series", count)?,
            label_values: read(s, "limits.label_values", count)?,
            labels: read(s, "limits.labels", size_count)?,
            label_name: read(s, "limits.label_name", size)?,
            label_value: read(s, "limits.label_value", size)?,
            max_future: read(s, "limits.max_future", duration)?,
            body: read(s, "limits.body", size)?,
            body_decoded: read(s, "limits.body_decoded", size)?,
            ingest_in_flight: read(s, "limits.ingest_in_flight", size)?,
            ingest_queue: read(s, "limits.ingest_queue", duration)?,
            min_free_disk: read(s, "limits.min_free_disk", bytes)?,
            disk_reserve: read(s, "limits.disk_reserve", bytes)?,
            index_cache: read(s, "limits.index_cache", size)?,
            query_time: read(s, "limits.query_time", interval)?,
            query_samples: read(s, "limits.query_samples", count)?,
            query_concurrency: if concurrency == 0 { cores * 2 } else { concurrency },
            query_queue: read(s, "limits.query_queue", duration)?,
            exemplars: read(s, "limits.exemplars", size_count)?,
            documents: read(s, "limits.documents", size)?,
            metadata: read(s, "limits.metadata", size)?,
            read_samples: read(s, "limits.read_samples", size_count)?,
            read_frame: read(s, "limits.read_frame", size)?,
            http_connections: read(s, "limits.http_connections", at_least_one)?,
            handshake_time: read(s, "limits.handshake_time", interval)?,
            head_time: read(s, "limits.head_time", interval)?,
            body_time: read(s, "limits.body_time", interval)?,
            redis_connections: read(s, "limits.redis_connections", at_least_one)?,
            redis_bulk: read(s, "limits.redis_bulk", bulk)?,
            redis_args: read(s, "limits.redis_args", at_least_one)?,
            redis_output: read(s, "limits.redis_output", size)?,
            source_command: read(s, "limits.source_command", size)?,
            events_queue: read(s, "limits.events_queue", size)?,
            live_subscriptions: read(s, "limits.live_subscriptions", size_count)?,
        })
    }
}

fn size(text: &str) -> Result<usize, String> {
    usize::try_from(bytes(text)?).map_err(|_| "too large a size".to_owned())
}

fn bulk(text: &str) -> Result<usize, String> {
    match size(text)? {
        n if n > 512 << 20 => Err("at most 512MiB, as Redis".to_owned()),
        n => Ok(n),
    }
}

fn size_count(text: &str) -> Result<usize, String> {
    usize::try_from(count(text)?).map_err(|_| "too large a number".to_owned())
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match size_count(text)? {
        0 => Err("must be at least 1".to_owned()),
        n => Ok(n),
    }
}
