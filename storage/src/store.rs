//! The only file that knows every part: opens a store, appends, executes, waits, gives snapshots.
//!
//! The way of a batch: resolve each series to its shard; then shard by shard, under its lock: admit,
//! log, apply. The way of a command: under the keyspace's lock decide, derive samples, admit those
//! under their shards' locks, log both as one record, apply both. Locks are taken in the order
//! keyspace, shards ascending, log. Nothing here waits for the disk but [`Store::sync`] and what
//! [`Store::maintain`] does; an answer waits with [`Store::wait`].

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use crate::append::{
    AppendError, Appended, Batch, Duplicates, Rejected, Rejection, SeriesRef, SeriesSamples,
};
use crate::block::{CacheStats, PageCache};
use crate::catalog::{Catalog, MemoryCatalog};
use crate::checkpoint::Keys;
use crate::compaction::Retention;
use crate::disk::Disk;
use crate::documents::Shelf;
use crate::exemplars::Ring;
use crate::feed::Identity;
use crate::head::{
    Admitting, Aliases, ChunkFileStats, ChunkFiles, Hash, Head, Limits, Pending, SHARDS, Shard,
    Spelling, Target, Window,
};
use crate::keyspace::{Derived, DerivedSample, Effects, Extract, IDENTITY, Looks, Reply, Request};
use crate::maintain::{MaintainError, Maintained, Maintenance};
use crate::metadata::Book;
use crate::model::{Labels, Sample, SeriesId, Timestamp, Value, WalPosition};
use crate::read::{Queryable, Snapshot};
use crate::recover::Recovering;
use crate::snapshot::{Generation, StoreSnapshot};
use crate::space::Space;
use crate::wal::{Held, KeysRecord, Log, LogOptions, Progress, ShardBatch};

pub use crate::delete::DeleteError;
pub use crate::head::Limits as StoreLimits;
pub use crate::recover::{OpenError, Report};
pub use crate::wal::Ack;

/// Keys that expire in one tick at most.
const EXPIRE_PER_TICK: usize = 10_000;
/// Commands that make room, or change nothing but when: they are taken on a full disk too.
const FREEING: [&str; 14] = [
    "DEL", "UNLINK", "GETDEL", "LTRIM", "LPOP", "RPOP", "LREM", "HDEL", "SREM", "SPOP", "EXPIRE",
    "PEXPIRE", "FLUSHDB", "FLUSHALL",
];

/// How a store behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long samples are kept, in milliseconds; `None` = for ever, then any timestamp is taken.
    pub retention: Option<Timestamp>,
    /// How far ahead of now a sample may be, in milliseconds; `None` = any.
    pub max_future: Option<Timestamp>,
    /// Limits at the door.
    pub limits: Limits,
    /// Samples a series keeps open before they are encoded.
    pub ring_samples: usize,
    /// Time range of a block, in milliseconds.
    pub block_span: Timestamp,
    /// A range is cut into a block so long after its end, in milliseconds.
    pub cut_delay: Timestamp,
    /// Bytes of log after which a checkpoint is taken.
    pub checkpoint_bytes: u64,
    /// The same where hardly anything comes any more, if it is also a quarter of the last checkpoint; 0 = never.
    pub lull_bytes: u64,
    /// What is kept, by bytes and by selector, beside the retention.
    pub keep: Retention,
    /// Deletions that may wait for compaction at a time.
    pub max_tombstones: usize,
    /// Exemplars kept; beyond, the oldest go. 0 = none.
    pub exemplars: usize,
    /// Bytes of documents kept.
    pub documents_bytes: usize,
    /// Bytes of metadata kept.
    pub metadata_bytes: usize,
    /// Sizes of the log.
    pub log: LogOptions,
    /// Ingest stops while less than this is free on the disk, and resumes by itself; 0 = never.
    pub min_free_disk: u64,
    /// Size of the reserve file that is given up when the disk is full; 0 = none.
    pub reserve_bytes: u64,
    /// What pages of the blocks' indexes may take in memory, all blocks together.
    pub index_cache_bytes: usize,
    /// Bytes of log kept below the checkpoint for those who follow, once somebody has.
    pub follow_bytes: u64,
    /// What this opening names the stream that followers are fed; no other opening, of no copy either, may
    /// have had it.
    pub stream_name: Identity,
    /// Where others can see how far an opening is.
    pub progress: Arc<Progress>,
}

impl Default for Options {
    fn default() -> Options {
        const HOUR: Timestamp = 3_600_000;
        Options {
            retention: None,
            max_future: Some(600_000),
            limits: Limits::default(),
            ring_samples: 120,
            block_span: 2 * HOUR,
            cut_delay: HOUR,
            checkpoint_bytes: 128 << 20,
            lull_bytes: 1 << 20,
            keep: Retention::default(),
            max_tombstones: 10_000,
            exemplars: 100_000,
            documents_bytes: 16 << 20,
            metadata_bytes: 64 << 20,
            log: LogOptions::default(),
            min_free_disk: 0,
            reserve_bytes: 0,
            index_cache_bytes: 32 << 20,
            follow_bytes: 1 << 30,
            stream_name: [0; IDENTITY],
            progress: Arc::default(),
        }
    }
}

/// An open store.
pub struct Store {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) options: Options,
    pub(crate) log: Arc<Log>,
    pub(crate) catalog: Box<dyn Catalog>,
    pub(crate) head: Arc<Head>,
    pub(crate) keys: Mutex<Keys>,
    pub(crate) exemplars: Mutex<Ring>,
    pub(crate) metadata: Mutex<Book>,
    pub(crate) documents: Mutex<Shelf>,
    pub(crate) generation: RwLock<Arc<Generation>>,
    pub(crate) maintenance: Mutex<Maintenance>,
    pub(crate) counters: Counters,
    pub(crate) pages: Arc<PageCache>,
    /// What this opening names the stream.
    pub(crate) name: Identity,
    /// Whether keys that expired are deleted.
    expires: AtomicBool,
    pub(crate) space: Space,
    report: Report,
}

/// What has happened since the store was opened.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    accepted: AtomicU64,
    rejected: Mutex<BTreeMap<&'static str, u64>>,
    pub(crate) checkpoints: AtomicU64,
    pub(crate) checkpoint_bytes: AtomicU64,
    pub(crate) merges: AtomicU64,
    shifted: AtomicU64,
    commands: AtomicU64,
}

/// Commands that a crash keeps all or none of.
pub struct Transaction {
    store: Arc<Store>,
    /// Whether followers were told that it began.
    begun: AtomicBool,
    _held: Held,
}

impl Transaction {
    /// Executes one command, as [`Store::execute`].
    pub fn execute(
        &self,
        request: &Request<'_>,
        now: Timestamp,
        extract: &dyn Extract,
    ) -> Executed {
        self.store.execute_in(request, (now, now), extract, Some(&self.begun))
    }

    /// Executes one command of another store, as [`Store::execute_following`].
    pub fn execute_following(
        &self,
        request: &Request<'_>,
        now: Timestamp,
        extract: &dyn Extract,
    ) -> Executed {
        self.store.execute_in(request, (0, now), extract, Some(&self.begun))
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if !self.begun.load(Ordering::Relaxed) {
            return;
        }
        let mut keys = lock(&self.store.keys);
        let mut effects = Effects::default();
        effects.end();
        // The log takes it before the next record, or that one brings it.
        if self.store.append_effects(&mut keys, &effects).is_err() {
            keys.stream.owes_end();
        }
    }
}

/// What became of a command.
#[derive(Debug)]
pub struct Executed {
    /// The reply, due once `position` is durable.
    pub reply: Reply,
    /// Where the log ends for this command; `None` if it changed nothing.
    pub position: Option<WalPosition>,
    /// Derived samples that were refused; the command succeeds all the same.
    pub derived_refused: u64,
    /// The offset at which the stream that followers are fed has it; 0 if it changed nothing, or nobody was
    /// ever fed.
    pub offset: u64,
}

/// Counters and gauges for the node's own metrics.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Series in the head.
    pub series: u64,
    /// Samples accepted since opening.
    pub accepted: u64,
    /// Samples refused since opening, by reason.
    pub rejected: BTreeMap<&'static str, u64>,
    /// List elements that moved to the next free millisecond.
    pub shifted: u64,
    /// Commands executed that changed something.
    pub commands: u64,
    /// Keys in all databases.
    pub keys: u64,
    /// Where the log ends.
    pub log_end: u64,
    /// Up to where the log is synced.
    pub log_synced: u64,
    /// Syncs since opening.
    pub log_syncs: u64,
    /// Live blocks.
    pub blocks: u64,
    /// Bytes of the live blocks.
    pub block_bytes: u64,
    /// Samples in the live blocks.
    pub block_samples: u64,
    /// Files that hold chunks of the head.
    pub chunk_files: ChunkFileStats,
    /// Bytes of the live checkpoint.
    pub checkpoint_bytes: u64,
    /// Checkpoints taken since opening.
    pub checkpoints: u64,
    /// Merges of blocks since opening.
    pub merges: u64,
    /// Times the catalogue had to be set aside and begun anew.
    pub catalog_rebuilds: u64,
    /// Deletions that some block does not carry out yet.
    pub tombstones: u64,
    /// How the pages of the blocks' indexes are kept.
    pub index_cache: CacheStats,
    /// Exemplars kept.
    pub exemplars: u64,
    /// Bytes of documents kept.
    pub documents_bytes: u64,
    /// Metrics whose metadata is kept.
    pub metadata: u64,
    /// Bytes of it.
    pub metadata_bytes: u64,
    /// Bytes free on the disk at the last look.
    pub disk_free: u64,
    /// Whether ingest is stopped for want of room.
    pub ingest_stopped: bool,
}

impl Store {
    /// Opens a directory, or makes it a store.
    pub fn open(disk: Arc<dyn Disk>, options: Options, now: Timestamp) -> Result<Store, OpenError> {
        Store::open_with(disk, Box::<MemoryCatalog>::default(), options, now)
    }

    /// The same with a catalogue that outlives the process.
    pub fn open_with(
        disk: Arc<dyn Disk>,
        catalog: Box<dyn Catalog>,
        options: Options,
        now: Timestamp,
    ) -> Result<Store, OpenError> {
        let files = Arc::new(ChunkFiles::new(Arc::clone(&disk)));
        let (ring, span) = (options.ring_samples.max(1), options.block_span.max(1));
        let head = Head::with_files(ring, span, Some(files));
        let pages = Arc::new(PageCache::new(options.index_cache_bytes));
        let mut recovering = Recovering::begin(disk, &pages, head)?;
        recovering.contents.exemplars.resize(options.exemplars);
        let (mut recovered, log) = recovering.finish(options.log, &options.progress)?;
        recovered.contents.keys.keyspace.opened(now);
        let Recovering { disk, manifest, head, contents, blocks, tombstones, report } = recovered;
        for shard in 0..SHARDS {
            head.cardinality.add(head.lock(shard).iter().map(|(_, series)| &series.labels));
        }
        head.taken_id(SeriesId(manifest.next_series.saturating_sub(1)));
        let mut name = options.stream_name;
        // Tests name all openings of a store alike.
        name.iter_mut().zip(manifest.epoch.to_le_bytes()).for_each(|(byte, epoch)| *byte ^= epoch);
        let space = Space::open(&*disk, options.min_free_disk, options.reserve_bytes);
        Ok(Store {
            disk,
            options,
            log,
            catalog,
            head: Arc::new(head),
            keys: Mutex::new(contents.keys),
            exemplars: Mutex::new(contents.exemplars),
            metadata: Mutex::new(contents.metadata),
            documents: Mutex::new(contents.documents),
            generation: RwLock::new(Arc::new(Generation { blocks, tombstones })),
            maintenance: Mutex::new(Maintenance::new(manifest)),
            counters: Counters::default(),
            pages,
            name,
            expires: AtomicBool::new(true),
            space,
            report,
        })
    }

    /// What opening found.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Takes samples in. A refused sample is a value in the answer; an error means that nothing
    /// may be acknowledged.
    pub fn append(&self, batch: &Batch<'_>, now: Timestamp) -> Result<Appended, AppendError> {
        self.admits()?;
        let mut appended = Appended { position: WalPosition(0), ..Appended::default() };
        let routed = self.route(batch, &mut appended.rejected);
        let mut spellings = Vec::new();
        let mut failed = None;
        for group in routed.by_shard.iter().filter(|group| !group.is_empty()) {
            let group = Group { batch, fresh: &routed.fresh, routes: group };
            if let Err(error) = self.append_shard(&group, now, &mut appended, &mut spellings) {
                failed = Some(error);
                break;
            }
        }
        self.head.aliases.remember(&spellings);
        self.count(&appended.rejected);
        self.counters.accepted.fetch_add(appended.accepted, Ordering::Relaxed);
        failed.map_or(Ok(appended), Err)
    }

    /// Executes one command of the keyspace, as all clients of it must.
    pub fn execute(
        &self,
        request: &Request<'_>,
        now: Timestamp,
        extract: &dyn Extract,
    ) -> Executed {
        self.execute_in(request, (now, now), extract, None)
    }

    /// Executes a command of another store that this one follows: what has expired is there until that one
    /// says that it is gone.
    pub fn execute_following(
        &self,
        request: &Request<'_>,
        now: Timestamp,
        extract: &dyn Extract,
    ) -> Executed {
        self.execute_in(request, (0, now), extract, None)
    }

    /// Whether keys that expired are deleted by [`Store::tick`]; not where another store says when they go.
    pub fn expire_keys(&self, on: bool) {
        self.expires.store(on, Ordering::Relaxed);
    }

    /// The same within a transaction, where there is one; says there that followers know of it. What has
    /// expired by `seen` is gone.
    fn execute_in(
        &self,
        request: &Request<'_>,
        (seen, now): (Timestamp, Timestamp),
        extract: &dyn Extract,
        transaction: Option<&AtomicBool>,
    ) -> Executed {
        let mut keys = lock(&self.keys);
        let decision = keys.keyspace.decide(request, seen);
        keys.looks.add(decision.looks);
        if decision.effects.is_empty() {
            return Executed {
                reply: decision.reply,
                position: None,
                derived_refused: 0,
                offset: 0,
            };
        }
        if let Err(error) = self.space.admits()
            && !frees(request)
        {
            let reply = Reply::Error(format!("MISCONF {error}"));
            return Executed { reply, position: None, derived_refused: 0, offset: 0 };
        }
        let mut derived = Derived::default();
        extract.extract(&keys.keyspace, request, &decision.effects, now, &mut derived);
        let begins = keys.stream.is_used()
            && transaction.is_some_and(|begun| !begun.load(Ordering::Relaxed));
        keys.keyspace.set_clock(request.db, decision.used);
        match self.commit(&mut keys, decision.effects, &derived, begins, now) {
            Ok((position, derived_refused)) => {
                if let Some(begun) = transaction.filter(|_| begins) {
                    begun.store(true, Ordering::Relaxed);
                }
                self.counters.commands.fetch_add(1, Ordering::Relaxed);
                let (position, offset) = (Some(position), keys.stream.offset());
                Executed { reply: decision.reply, position, derived_refused, offset }
            }
            Err(error) => {
                let reply = Reply::Error(format!("MISCONF the log takes no writes: {error}"));
                Executed { reply, position: None, derived_refused: 0, offset: 0 }
            }
        }
    }

    /// Begins a transaction: what is executed in it survives a crash whole or not at all. It does not
    /// keep others out. Whoever holds it must not wait for the log before it is dropped.
    pub fn transaction(self: &Arc<Self>) -> Transaction {
        // Room is made now, while this still may write; whether it could be is asked again by each
        // command that changes something.
        let _ = self.log.admits();
        let begun = AtomicBool::new(false);
        Transaction { store: Arc::clone(self), begun, _held: self.log.hold() }
    }

    /// Once a second, where nobody calls [`Store::expire`] and [`Store::hold`] apart.
    pub fn tick(&self, now: Timestamp, extract: &dyn Extract) -> Result<WalPosition, AppendError> {
        self.expire(now, extract)?;
        self.hold(now, extract)
    }

    /// Deletes keys that expired; gives how many. Called often enough, none is seen for long by who only
    /// counts them.
    pub fn expire(&self, now: Timestamp, extract: &dyn Extract) -> Result<usize, AppendError> {
        if !self.expires.load(Ordering::Relaxed) {
            return Ok(0);
        }
        let mut keys = lock(&self.keys);
        let effects = keys.keyspace.due(now, EXPIRE_PER_TICK);
        if effects.is_empty() {
            return Ok(0);
        }
        let expired = effects.iter().count();
        let mut derived = Derived::default();
        let expiry = Request { db: 0, args: &[] };
        extract.extract(&keys.keyspace, &expiry, &effects, now, &mut derived);
        self.commit(&mut keys, effects, &derived, false, now)?;
        keys.looks.expired += expired as u64;
        Ok(expired)
    }

    /// Once a second: repeats state that holds, and lets an idle log say that all of it is synced.
    pub fn hold(&self, now: Timestamp, extract: &dyn Extract) -> Result<WalPosition, AppendError> {
        self.watch_space();
        let mut keys = lock(&self.keys);
        let mut derived = Derived::default();
        if !self.space.is_tight() {
            extract.hold(&keys.keyspace, now, &mut derived);
        }
        if derived.samples.is_empty() && derived.marks.is_empty() {
            drop(keys);
            self.log.mark()?;
            return Ok(self.log.end());
        }
        self.commit(&mut keys, Effects::default(), &derived, false, now)
            .map(|(position, _)| position)
    }

    /// Resolves when the log is durable up to `position`, as `ack` asks.
    pub fn wait(
        &self,
        position: WalPosition,
        ack: Ack,
    ) -> impl Future<Output = Result<(), AppendError>> + Send + 'static {
        self.log.wait(position, ack)
    }

    /// Whether the log is in its file up to `position`.
    pub fn is_written(&self, position: WalPosition) -> bool {
        self.log.written() >= position
    }

    /// Writes and syncs all that is pending. Blocks for the disk.
    pub fn sync(&self) -> Result<WalPosition, AppendError> {
        self.log.sync()
    }

    /// Whether writes are taken now, and if not, why.
    pub fn admits(&self) -> Result<(), AppendError> {
        self.space.admits()?;
        self.log.admits().inspect_err(|_| self.note_full(self.log.take_met_full()))
    }

    /// Looks at the room on the disk: ingest stops for want of it, or resumes.
    fn watch_space(&self) {
        self.note_full(self.log.take_met_full());
        self.space.look(&*self.disk);
    }

    fn note_full(&self, met: bool) {
        if met {
            self.space.met_full(&*self.disk);
        }
    }

    /// Sleeps until someone waits for a sync, at most `timeout`; says whether someone does.
    pub fn park_for_sync(&self, timeout: Duration) -> bool {
        self.log.park_for_sync(timeout)
    }

    /// Wakes [`Store::park_for_sync`].
    pub fn unpark(&self) {
        self.log.unpark();
    }

    /// Looks at the keyspace, under its lock.
    pub fn with_keyspace<T>(&self, look: impl FnOnce(&crate::keyspace::Keyspace) -> T) -> T {
        look(&lock(&self.keys).keyspace)
    }

    /// What commands looked at since the store was opened.
    pub fn looks(&self) -> Looks {
        lock(&self.keys).looks
    }

    /// Does a step of whatever maintenance is due: retention, cuts, a checkpoint, merges.
    pub fn maintain(&self, now: Timestamp) -> Result<Maintained, MaintainError> {
        let done = crate::maintain::run(self, now);
        self.note_full(matches!(&done, Err(error) if error.is_full()));
        done
    }

    /// Has [`Store::maintain`] look at once for blocks with something to leave out, not in a while.
    pub fn hurry_compaction(&self) {
        lock(&self.maintenance).compaction.hurry();
    }

    /// Takes a snapshot of everything acknowledged by now, while the store works; gives its path in the
    /// store's directory, where it is a data directory of its own.
    pub fn snapshot_to(&self, name: &str) -> Result<String, MaintainError> {
        crate::tools::backup::snapshot(self, name)
    }

    /// Takes a checkpoint now, after which the log before it goes.
    pub fn checkpoint(&self, now: Timestamp) -> Result<(), MaintainError> {
        crate::maintain::checkpoint_now(self, now)
    }

    /// Syncs the log and leaves a checkpoint, so that the next start replays nothing.
    pub fn close(&self, now: Timestamp) -> Result<(), MaintainError> {
        if self.log.sync().is_err() {
            // Where there was no room, the reserve may be enough.
            self.note_full(self.log.take_met_full());
            self.log.sync().map_err(MaintainError::Log)?;
        }
        if let Err(error) = crate::maintain::checkpoint_now(self, now) {
            if !error.is_full() {
                return Err(error);
            }
            self.note_full(true);
            crate::maintain::checkpoint_now(self, now)?;
        }
        self.log.mark().map_err(MaintainError::Log)
    }

    /// Counters and gauges.
    pub fn stats(&self) -> Stats {
        let generation = self.generation();
        let keys = lock(&self.keys);
        let key_count: usize =
            (0..crate::keyspace::DATABASES).map(|db| keys.keyspace.counts(db).0).sum();
        drop(keys);
        let (metadata, metadata_bytes) = {
            let book = lock(&self.metadata);
            (book.len() as u64, book.bytes() as u64)
        };
        Stats {
            exemplars: lock(&self.exemplars).len() as u64,
            metadata,
            metadata_bytes,
            documents_bytes: lock(&self.documents).bytes() as u64,
            series: self.head.cardinality.series(),
            accepted: self.counters.accepted.load(Ordering::Relaxed),
            rejected: lock(&self.counters.rejected).clone(),
            shifted: self.counters.shifted.load(Ordering::Relaxed),
            commands: self.counters.commands.load(Ordering::Relaxed),
            keys: key_count as u64,
            log_end: self.log.end().0,
            log_synced: self.log.synced().0,
            log_syncs: self.log.syncs(),
            blocks: generation.blocks.len() as u64,
            block_bytes: generation.blocks.iter().map(|b| b.byte_len()).sum(),
            block_samples: generation.blocks.iter().map(|b| b.meta().samples).sum(),
            chunk_files: self.head.files().map(ChunkFiles::stats).unwrap_or_default(),
            checkpoint_bytes: self.counters.checkpoint_bytes.load(Ordering::Relaxed),
            checkpoints: self.counters.checkpoints.load(Ordering::Relaxed),
            merges: self.counters.merges.load(Ordering::Relaxed),
            catalog_rebuilds: self.catalog.rebuilds(),
            tombstones: generation.tombstones.len() as u64,
            index_cache: self.pages.stats(),
            disk_free: self.space.free(),
            ingest_stopped: self.space.is_tight(),
        }
    }

    pub(crate) fn generation(&self) -> Arc<Generation> {
        Arc::clone(&self.generation.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Finds the shard of every series of a batch; what has no labels is refused here.
    fn route(&self, batch: &Batch<'_>, rejected: &mut Vec<Rejected>) -> Routed {
        let expected = batch.series.len() / SHARDS * 5 / 4;
        let mut routed = Routed {
            by_shard: std::array::from_fn(|_| Vec::with_capacity(expected)),
            fresh: Vec::new(),
        };
        let mut lookup = self.head.aliases.lookup();
        for (index, SeriesSamples { series, .. }) in batch.series.iter().enumerate() {
            let found = match series {
                SeriesRef::Labels(_) => Err(None),
                SeriesRef::Raw { bytes, .. } => lookup.find(bytes).map_err(Some),
            };
            let (shard, to) = match found {
                Ok(target) => (usize::from(target.shard), To::Known(target)),
                Err(hash) => match labels_of(series) {
                    Ok(labels) => {
                        let shard = Head::shard_of(&labels);
                        routed.fresh.push(Fresh { hash, labels });
                        (shard, To::Fresh(routed.fresh.len() as u32 - 1))
                    }
                    Err(reason) => {
                        rejected.push(Rejected { series: index, sample: None, reason });
                        continue;
                    }
                },
            };
            routed.by_shard[shard % SHARDS].push(Route { index: index as u32, to });
        }
        routed
    }

    /// Admits, logs and applies what a batch has for one shard.
    fn append_shard(
        &self,
        group: &Group<'_>,
        now: Timestamp,
        appended: &mut Appended,
        spellings: &mut Vec<Spelling>,
    ) -> Result<(), AppendError> {
        let Some(number) = group.routes.first().map(|route| group.shard(route)) else {
            return Ok(());
        };
        let room = |labels: &Labels| self.room(labels);
        let mut admitting = self.admitting(number, group.batch.duplicates, now, &room);
        admitting.rows.floats.reserve(group.routes.len());
        let before = spellings.len();
        let mut shard = self.head.lock(number);
        for route in group.routes {
            let index = route.index as usize;
            let series = &group.batch.series[index];
            let target = match group.resolve(route, &shard, &self.head.aliases, &mut admitting) {
                Ok((target, None)) => target,
                Ok((target, Some(hash))) => {
                    spellings.push(Spelling { hash, target });
                    target
                }
                Err(reason) => {
                    appended.rejected.push(Rejected { series: index, sample: None, reason });
                    continue;
                }
            };
            for (i, sample) in series.samples.iter().enumerate() {
                match shard.admit(target, sample, &mut admitting) {
                    Ok(_) => appended.accepted += 1,
                    Err(reason) => {
                        appended.rejected.push(Rejected { series: index, sample: Some(i), reason });
                    }
                }
            }
        }
        let rows = admitting.rows;
        if rows.is_empty() {
            return Ok(());
        }
        let created: Vec<Labels> = rows.new_series.iter().map(|s| s.labels.clone()).collect();
        let logged = self.log.append(rows).inspect_err(|_| {
            spellings.truncate(before);
            self.head.cardinality.release(created.iter());
        })?;
        shard.apply(&logged.as_ref());
        appended.position = appended.position.max(logged.end());
        Ok(())
    }

    /// Logs effects and derived samples as one record, and applies both.
    fn commit(
        &self,
        keys: &mut Keys,
        mut effects: Effects,
        derived: &Derived,
        begins: bool,
        now: Timestamp,
    ) -> Result<(WalPosition, u64), AppendError> {
        self.log.admits()?;
        derived.marks.iter().for_each(|mark| effects.mark(mark));
        let first = keys.stream.prefix(&self.name, begins);
        if !first.is_empty() {
            effects.put_before(&first);
        }
        let (mut shards, batches, refused) = self.admit_derived(&derived.samples, now);
        let record = KeysRecord { effects: effects.encoded(), batches };
        let created = record.batches.iter().flat_map(|b| &b.new_series);
        let created: Vec<Labels> = created.map(|s| s.labels.clone()).collect();
        let logged = self.log.append(record).inspect_err(|_| {
            self.head.cardinality.release(created.iter());
        })?;
        keys.keyspace.apply(&effects);
        keys.stream.advance(logged.position(), &effects, true);
        keys.applied = WalPosition(logged.position().0 + 1);
        for batch in logged.batches() {
            if let Some(shard) = shards.get_mut(&usize::from(batch.get().shard)) {
                shard.apply(&batch);
            }
        }
        Ok((logged.end(), refused))
    }

    /// Admits derived samples, shard by shard in ascending order; the locks are kept for applying.
    fn admit_derived(
        &self,
        samples: &[DerivedSample],
        now: Timestamp,
    ) -> (BTreeMap<usize, MutexGuard<'_, Shard>>, Vec<ShardBatch>, u64) {
        let room = |labels: &Labels| self.room(labels);
        let routes: Vec<usize> = samples.iter().map(|s| Head::shard_of(&s.labels)).collect();
        let mut shards = BTreeMap::new();
        let mut admitting = BTreeMap::new();
        let mut numbers = routes.clone();
        numbers.sort_unstable();
        numbers.dedup();
        for number in numbers {
            shards.insert(number, self.head.lock(number));
            admitting.insert(number, self.admitting(number, Duplicates::NextFree, now, &room));
        }
        let mut refused = Vec::new();
        // Where the sample before went: a companion of the same element goes there too.
        let mut before: Option<(Timestamp, Timestamp)> = None;
        for (i, (derived, number)) in samples.iter().zip(&routes).enumerate() {
            let (Some(shard), Some(admitting)) =
                (shards.get_mut(number), admitting.get_mut(number))
            else {
                continue;
            };
            admitting.duplicates = derived.duplicates;
            let follows = derived.duplicates == Duplicates::NextFree;
            let t = match before {
                Some((asked, given)) if follows && asked == derived.t => given,
                _ => derived.t,
            };
            let sample = Sample { t, start: 0, value: Value::Float(derived.value) };
            let target = shard.resolve(&derived.labels, derived.lookback, admitting);
            match target.and_then(|target| shard.admit(target, &sample, admitting)) {
                Ok(Some(given)) => {
                    before = Some((derived.t, given));
                    if given != derived.t {
                        self.counters.shifted.fetch_add(1, Ordering::Relaxed);
                    }
                }
                Ok(None) => {}
                Err(reason) => refused.push(Rejected { series: i, sample: None, reason }),
            }
        }
        self.count(&refused);
        let accepted = (samples.len() - refused.len()) as u64;
        self.counters.accepted.fetch_add(accepted, Ordering::Relaxed);
        let batches = admitting.into_values().map(|a| a.rows).filter(|rows| !rows.is_empty());
        (shards, batches.collect(), refused.len() as u64)
    }

    fn admitting<'a>(
        &'a self,
        shard: usize,
        duplicates: Duplicates,
        now: Timestamp,
        room: &'a dyn Fn(&Labels) -> Result<SeriesId, Rejection>,
    ) -> Admitting<'a> {
        Admitting {
            limits: &self.options.limits,
            window: Window {
                oldest: self.options.retention.map(|r| now.saturating_sub(r)),
                newest: self.options.max_future.map(|f| now.saturating_add(f)),
                now,
            },
            duplicates,
            batch: self.head.new_batch(),
            pending: Pending::default(),
            room,
            rows: ShardBatch { shard: shard as u16, ..ShardBatch::default() },
            new_newest: Vec::new(),
        }
    }

    /// Room for one more series, or the refusal.
    fn room(&self, labels: &Labels) -> Result<SeriesId, Rejection> {
        self.head.cardinality.admit(labels, &self.options.limits)?;
        Ok(self.head.new_id())
    }

    fn count(&self, rejected: &[Rejected]) {
        if rejected.is_empty() {
            return;
        }
        let mut counts = lock(&self.counters.rejected);
        for rejection in rejected {
            *counts.entry(rejection.reason.kind()).or_default() += 1;
        }
    }
}

impl Queryable for Store {
    fn snapshot(&self) -> Arc<dyn Snapshot> {
        Arc::new(StoreSnapshot {
            head: Arc::clone(&self.head),
            generation: self.generation(),
            times: Arc::default(),
        })
    }
}

/// The series of a batch, by shard and in the sender's order.
struct Routed {
    by_shard: [Vec<Route>; SHARDS],
    /// Series that no alias knows.
    fresh: Vec<Fresh>,
}

/// A series of a batch on its way to its shard.
struct Route {
    /// Its place in the batch.
    index: u32,
    to: To,
}

/// Where a series goes.
#[derive(Clone, Copy)]
enum To {
    /// To this series, if it is still there.
    Known(Target),
    /// To the series with the labels at this place of [`Routed::fresh`].
    Fresh(u32),
}

/// A series that came by its labels, or by a spelling not seen before.
struct Fresh {
    /// Of its spelling.
    hash: Option<Hash>,
    labels: Labels,
}

/// What a batch has for one shard.
struct Group<'a> {
    batch: &'a Batch<'a>,
    fresh: &'a [Fresh],
    routes: &'a [Route],
}

impl Group<'_> {
    fn shard(&self, route: &Route) -> usize {
        match route.to {
            To::Known(target) => usize::from(target.shard),
            To::Fresh(at) => Head::shard_of(&self.fresh[at as usize].labels),
        }
    }

    /// The series a route leads to, and the spelling's hash if it is to be remembered.
    fn resolve(
        &self,
        route: &Route,
        shard: &Shard,
        aliases: &Aliases,
        admitting: &mut Admitting<'_>,
    ) -> Result<(Target, Option<Hash>), Rejection> {
        match route.to {
            To::Known(target) if shard.follow(target).is_some() => Ok((target, None)),
            // The series an alias pointed to has left the head.
            To::Known(_) => {
                let series = &self.batch.series[route.index as usize].series;
                let hash = match series {
                    SeriesRef::Labels(_) => None,
                    SeriesRef::Raw { bytes, .. } => Some(aliases.hash(bytes)),
                };
                Ok((shard.resolve(&labels_of(series)?, None, admitting)?, hash))
            }
            To::Fresh(at) => {
                let Fresh { hash, labels } = &self.fresh[at as usize];
                Ok((shard.resolve(labels, None, admitting)?, *hash))
            }
        }
    }
}

fn frees(request: &Request<'_>) -> bool {
    let Some(name) = request.args.first() else { return false };
    FREEING.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

fn labels_of(series: &SeriesRef<'_>) -> Result<Labels, Rejection> {
    match series {
        SeriesRef::Labels(labels) => Ok(labels.clone()),
        SeriesRef::Raw { bytes, parse } => Ok(parse(bytes)?),
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
