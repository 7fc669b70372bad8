//! The node watches its host and itself: every few seconds one round in one thread of its own,
//! into the node's own store. The same families stand at `/metrics`.
//!
//! Host series carry `job="node"` and `instance="<hostname>"`, the node's own `job="ringwell"` and
//! `instance="<HTTP address>"`; names are those of node_exporter and of Prometheus's client
//! libraries, where they have one. `up` says for both that they were collected.

pub mod host;
pub mod process;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ringwell_storage::append::{Batch, Duplicates, SeriesRef, SeriesSamples};
use ringwell_storage::model::{LabelError, Labels, METRIC_NAME, Sample, Value};

use crate::clock;
use crate::ingest::{Ingest, Source};
use crate::metrics::{Counter, Families, Kind, Registry, Timings};

use host::Host;
use process::Process;

/// What a collector works with.
pub struct Collector {
    host: Host,
    process: Process,
    latest: Arc<Mutex<Families>>,
    metrics: Arc<CollectMetrics>,
    registry: Arc<Registry>,
    ingest: Arc<Ingest>,
    hostname: String,
    address: String,
}

#[derive(Debug, Default)]
struct CollectMetrics {
    rounds: Timings,
    failures: Counter,
}

impl Collector {
    /// A collector; what it collects also stands in the registry.
    pub fn new(
        registry: Arc<Registry>,
        ingest: Arc<Ingest>,
        hostname: String,
        address: String,
    ) -> Collector {
        let latest: Arc<Mutex<Families>> = Arc::default();
        let metrics: Arc<CollectMetrics> = Arc::default();
        let (shown, counted) = (Arc::clone(&latest), Arc::clone(&metrics));
        registry.register(move |out| {
            out.extend(&shown.lock().unwrap_or_else(PoisonError::into_inner));
            let help = "Rounds of collecting host and node metrics, writing them included.";
            let family = out.family("ringwell_collect_duration_seconds", Kind::Histogram, help);
            counted.rounds.gather(family, &[]);
            out.counter(
                "ringwell_collect_failures_total",
                "Rounds whose samples could not be written.",
                counted.failures.get(),
            );
        });
        let (host, process) = (Host::default(), Process::default());
        Collector { host, process, latest, metrics, registry, ingest, hostname, address }
    }

    /// Collects until `stop` says so; it is asked at least every 100 ms.
    pub fn run(mut self, every: Duration, stop: impl Fn() -> bool) {
        const GLANCE: Duration = Duration::from_millis(100);
        let mut due = Instant::now();
        while !stop() {
            let now = Instant::now();
            if now < due {
                std::thread::sleep(GLANCE.min(due - now));
                continue;
            }
            self.round();
            // A late round does not make the next ones hurry.
            due = (due + every).max(Instant::now());
        }
    }

    /// One round.
    pub fn round(&mut self) {
        let started = Instant::now();
        let at = clock::now_ms();
        let mut collected = Families::default();
        self.host.collect(&mut collected);
        self.process.collect(&mut collected);
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = collected;
        if let Err(reason) = self.write(at) {
            self.metrics.failures.add(1);
            tracing::warn!(%reason, "collected metrics not written");
        }
        self.metrics.rounds.observe(started.elapsed());
    }

    fn write(&self, at: i64) -> Result<(), String> {
        let mut batch = Batch { series: Vec::new(), duplicates: Duplicates::Last };
        let mut add = |labels: Result<Labels, LabelError>, value| -> Result<(), String> {
            let series = SeriesRef::Labels(labels.map_err(|error| error.to_string())?);
            let sample = Sample { t: at, start: 0, value: Value::Float(value) };
            batch.series.push(SeriesSamples { series, samples: [sample].into_iter().collect() });
            Ok(())
        };
        for family in self.registry.gather().iter() {
            let [job, instance] = self.target(&family.name);
            for point in &family.samples {
                let name = format!("{}{}", family.name, point.suffix);
                let own = point.labels.iter().map(|(n, v)| (n.as_str(), v.as_str()));
                add(
                    Labels::from_pairs(
                        [(METRIC_NAME, &*name), job, instance].into_iter().chain(own),
                    ),
                    point.value,
                )?;
            }
        }
        for name in ["node_", "ringwell_"] {
            let [job, instance] = self.target(name);
            add(Labels::from_pairs([(METRIC_NAME, "up"), job, instance]), 1.0)?;
        }
        let appended = self
            .ingest
            .append_unacknowledged(Source::Collect, &batch)
            .map_err(|error| error.to_string())?;
        appended.rejected.first().map_or(Ok(()), |refused| Err(refused.reason.to_string()))
    }

    /// Job and instance of a family, by its name.
    fn target(&self, family: &str) -> [(&'static str, &str); 2] {
        if family.starts_with("node_") {
            [("job", "node"), ("instance", &self.hostname)]
        } else {
            [("job", "ringwell"), ("instance", &self.address)]
        }
    }
}
