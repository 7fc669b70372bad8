//! The one door for samples: limits, one batch, the store, the wait until it is as safe as the
//! sync mode says, and the count of what was refused.
//!
//! What arrives over the network is held within a budget of bytes; a request beyond it waits a
//! little and is then asked to come again.

pub mod beside;
pub mod buffers;
pub mod events;
pub mod exposition;
pub mod jsonl;
pub mod keymap;
pub(crate) mod protobuf;
pub mod recent;
mod refusal;
pub mod remote_write;

use std::sync::Arc;
use std::time::{Duration, Instant};

use ringwell_storage::append::{AppendError, Appended, Batch, Rejected};
use ringwell_storage::model::WalPosition;
use ringwell_storage::store::{Ack, Store};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::clock;
use crate::config::{Limits, Sync};
use crate::metrics::{Counter, Families, Kind, Timings};

pub use refusal::Refusals;

use beside::Beside;

/// The budget is counted in pages of this many bytes.
const PAGE: usize = 1024;

/// Batches of so many series do not hold up the other tasks of their thread: more than some 5 ms.
const LARGE: usize = 16 << 10;

/// Who sends samples; counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Prometheus remote write.
    RemoteWrite,
    /// Text exposition.
    Import,
    /// The node's own collectors.
    Collect,
}

impl Source {
    const ALL: [(Source, &'static str); 3] = [
        (Source::RemoteWrite, "remote_write"),
        (Source::Import, "import"),
        (Source::Collect, "collect"),
    ];
}

/// What became of exemplars and metadata.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kept {
    /// Exemplars kept.
    pub exemplars: u64,
    position: Option<WalPosition>,
}

/// The door.
pub struct Ingest {
    store: Arc<Store>,
    ack: Ack,
    budget: Arc<Semaphore>,
    budget_pages: usize,
    patience: Duration,
    /// For messages that are decompressed.
    pub buffers: buffers::Buffers,
    max_decoded: usize,
    counts: [Counts; Source::ALL.len()],
    refused_requests: Counter,
}

/// A batch that is logged and not acknowledged yet.
#[derive(Debug)]
#[must_use = "a batch is answered after its acknowledgement"]
pub struct Logged {
    source: Source,
    position: WalPosition,
    started: Instant,
}

#[derive(Debug, Default)]
struct Counts {
    requests: Counter,
    accepted: Counter,
    refused: refusal::Counters,
    time: Timings,
    exemplars: Counter,
    exemplars_refused: Counter,
    metadata: Counter,
    metadata_refused: Counter,
}

impl Logged {
    /// What was kept beside the samples is acknowledged with them.
    pub fn with(self, kept: &Kept) -> Logged {
        Logged { position: kept.position.map_or(self.position, |p| p.max(self.position)), ..self }
    }
}

impl Ingest {
    /// A door to a store.
    pub fn new(store: Arc<Store>, sync: Sync, limits: &Limits) -> Ingest {
        let budget_pages = limits.ingest_in_flight.div_ceil(PAGE).min(u32::MAX as usize);
        Ingest {
            store,
            ack: ack_of(sync),
            budget: Arc::new(Semaphore::new(budget_pages)),
            budget_pages,
            patience: limits.ingest_queue,
            buffers: buffers::Buffers::default(),
            max_decoded: limits.body_decoded,
            counts: Default::default(),
            refused_requests: Counter::default(),
        }
    }

    /// Bytes a request may have after decompression.
    pub fn max_decoded(&self) -> usize {
        self.max_decoded
    }

    /// Takes room for `bytes` of a request; `None` when none is free for a while.
    pub async fn room_for(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let pages = (bytes.div_ceil(PAGE) + 1).min(self.budget_pages);
        let pages = u32::try_from(pages).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.budget).acquire_many_owned(pages);
        let room = tokio::time::timeout(self.patience, room).await;
        if room.is_err() {
            self.refused_requests.add(1);
        }
        room.ok()?.ok()
    }

    /// Logs and applies a batch. It is answered after [`Ingest::acknowledge`], which needs no batch any more.
    pub fn log(
        &self,
        source: Source,
        batch: &Batch<'_>,
    ) -> Result<(Logged, Appended), AppendError> {
        let started = Instant::now();
        let append = || self.store.append(batch, clock::now_ms());
        let appended = if batch.series.len() < LARGE {
            append()
        } else {
            tokio::task::block_in_place(append)
        }?;
        self.count(source, batch, &appended);
        Ok((Logged { source, position: appended.position, started }, appended))
    }

    /// Waits until what was logged may be acknowledged.
    pub async fn acknowledge(&self, logged: Logged) -> Result<(), AppendError> {
        self.store.wait(logged.position, self.ack).await?;
        self.counts(logged.source).time.observe(logged.started.elapsed());
        Ok(())
    }

    /// The same for a blocking thread that need not know when its samples are safe.
    pub fn append_unacknowledged(
        &self,
        source: Source,
        batch: &Batch<'_>,
    ) -> Result<Appended, AppendError> {
        let appended = self.store.append(batch, clock::now_ms())?;
        self.count(source, batch, &appended);
        Ok(appended)
    }

    /// Counts samples refused before they reached the store.
    pub fn count_refused(&self, source: Source, batch: &Batch<'_>, refused: &[Rejected]) {
        self.counts(source).refused.count(batch, refused);
    }

    /// Keeps exemplars and metadata; they are acknowledged with the samples of [`Logged::with`].
    pub fn keep(&self, source: Source, beside: Beside) -> Result<Kept, AppendError> {
        let counts = self.counts(source);
        let taken = self.store.add_exemplars(beside.exemplars)?;
        counts.exemplars.add(taken.kept);
        let refused = beside.refused_exemplars + taken.out_of_order + taken.too_long;
        counts.exemplars_refused.add(refused);
        let noted = self.store.note_metadata(beside.metadata)?;
        counts.metadata.add(noted.kept);
        counts.metadata_refused.add(beside.refused_metadata + noted.refused);
        Ok(Kept { exemplars: taken.kept, position: taken.position.max(noted.position) })
    }

    fn count(&self, source: Source, batch: &Batch<'_>, appended: &Appended) {
        let counts = self.counts(source);
        counts.requests.add(1);
        counts.accepted.add(appended.accepted);
        counts.refused.count(batch, &appended.rejected);
    }

    fn counts(&self, source: Source) -> &Counts {
        &self.counts[source as usize]
    }

    /// Its counters.
    pub fn gather(&self, out: &mut Families) {
        for (source, name) in Source::ALL {
            let counts = self.counts(source);
            let labels = [("source", name)];
            let mut counter = |name, help, value: &Counter| {
                out.family(name, Kind::Counter, help).sample(&labels, value.get());
            };
            counter("ringwell_ingest_batches_total", "Batches taken.", &counts.requests);
            counter(
                "ringwell_ingest_samples_total",
                "Samples taken, equal doubles included.",
                &counts.accepted,
            );
            counter(
                "ringwell_ingest_exemplars_total",
                "Exemplars kept, equal ones that came again included.",
                &counts.exemplars,
            );
            counter(
                "ringwell_ingest_exemplars_refused_total",
                "Exemplars older than their series' newest, or whose labels are too long or none.",
                &counts.exemplars_refused,
            );
            counter(
                "ringwell_ingest_metadata_total",
                "Metadata entries kept, known ones included.",
                &counts.metadata,
            );
            counter(
                "ringwell_ingest_metadata_refused_total",
                "Metadata entries without room (limits.metadata), or not well formed.",
                &counts.metadata_refused,
            );
            counts.refused.gather(out, name);
            let help = "From a whole batch to its acknowledgement.";
            let family = out.family("ringwell_ingest_duration_seconds", Kind::Histogram, help);
            counts.time.gather(family, &labels);
        }
        out.counter(
            "ringwell_ingest_requests_refused_total",
            "Requests asked to come again because too many bytes were in flight.",
            self.refused_requests.get(),
        );
        let free = self.budget.available_permits();
        out.gauge(
            "ringwell_ingest_in_flight_bytes",
            "Room taken by ingest requests.",
            ((self.budget_pages - free) * PAGE) as f64,
        );
    }
}

/// What an acknowledgement waits for: only `commit` waits for the disk.
pub fn ack_of(sync: Sync) -> Ack {
    match sync {
        Sync::Commit => Ack::Synced,
        Sync::Every(_) | Sync::Off => Ack::Written,
    }
}
