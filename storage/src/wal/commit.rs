//! Appending: records gather in a group, one write puts the group into the file, one sync makes all
//! groups before it last.
//!
//! Three positions move forward: `end` (appended), `written` (survives a crash of the process),
//! `synced` (survives a power cut). An append never waits for a sync. After a failed write the group
//! is kept and written again, whole, before anything else, so nothing is acknowledged over a gap.
//! After a failed sync the log is poisoned: no more acknowledgements, ever.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::Logged;
use super::chain::Chains;
use super::file::{DIR, SPARE, SegmentFile, segment_path, segments, spare_path};
use super::record::{Encode, put_record};
use super::segment::{GROUP_HEADER, MAX_GROUP, seal_group};
use crate::append::AppendError;
use crate::disk::{Disk, DiskError, File};
use crate::model::WalPosition;
use crate::mutants::{Mutant, planted};

/// The memory of a group larger than this is given back.
const KEEP: usize = 256 << 10;

/// What an answer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    /// In the file: survives a crash of the process.
    Written,
    /// Synced: survives a power cut.
    Synced,
}

/// Sizes of the log.
#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// A segment that has reached this takes no further group.
    pub segment_bytes: u64,
    /// Most bytes appended and not yet written; more are refused.
    pub max_pending: usize,
    /// Most zeros written ahead of the groups at a time, so that a sync changes no metadata; 0 = none.
    pub fill_bytes: u64,
    /// Files of trimmed segments kept for the next ones.
    pub spares: usize,
}

impl Default for LogOptions {
    fn default() -> LogOptions {
        LogOptions {
            segment_bytes: 64 << 20,
            max_pending: 256 << 20,
            fill_bytes: 4 << 20,
            spares: 2,
        }
    }
}

/// The open log.
pub struct Log {
    disk: Arc<dyn Disk>,
    options: LogOptions,
    gathering: Mutex<Gathering>,
    /// Told when a held group is let go, or nobody waits for one any more.
    released: Condvar,
    writer: Mutex<Writer>,
    /// Held through a sync, so that syncs come one after the other.
    syncing: Mutex<()>,
    /// Bytes that have gathered; a hint, so that an append need not look twice.
    pending: AtomicUsize,
    written: AtomicU64,
    synced: AtomicU64,
    syncs: AtomicU64,
    /// Whether a group's write failed and has not succeeded since.
    stuck: AtomicBool,
    met_full: AtomicBool,
    /// Whether `waiting` says that a sync failed.
    poisoned: AtomicBool,
    waiting: Mutex<Waiting>,
    wanted: Condvar,
}

/// Records of the next group, after room for its header.
struct Gathering {
    bytes: Vec<u8>,
    start: u64,
    /// What the next record may lean on.
    chains: Chains,
    /// Whether records are to come that must stand in this group.
    held: bool,
    /// How many wait until it is not held; a new hold waits for them.
    wanting: usize,
}

struct Writer {
    segment: SegmentFile,
    epoch: u32,
    /// Base of the first segment of this opening; older files are not recycled.
    opened: u64,
    /// Whether the segment is full, so that the next group begins a new one.
    full: bool,
    /// Files that wait for their next life.
    spares: Vec<String>,
    /// The memory of the last group, for the next one.
    spare: Vec<u8>,
    /// A group whose write failed.
    unwritten: Option<(u64, Vec<u8>)>,
    /// Closed segments that are not synced yet, oldest first.
    unsynced: Vec<Arc<dyn File>>,
    /// Whether a segment was made since the directory was last synced.
    new_names: bool,
    /// Whether all that is synced lies below a `durable end` in the file.
    marked: bool,
}

#[derive(Default)]
struct Waiting {
    wakers: Vec<Waker>,
    sync_wanted: bool,
    /// Counts failed writes, so a waiter sees those that happened while it waited.
    failures: u64,
    failure: String,
    poisoned: Option<String>,
}

impl Log {
    /// Begins a new segment at `end`, which is where replay stopped.
    pub(super) fn start(
        disk: Arc<dyn Disk>,
        options: LogOptions,
        end: WalPosition,
        epoch: u32,
    ) -> Result<Log, DiskError> {
        disk.create_dir(DIR)?;
        for name in disk.list(DIR)?.iter().filter(|name| name.ends_with(SPARE)) {
            disk.remove(&format!("{DIR}/{name}"))?;
        }
        let segment = SegmentFile::create(&*disk, end.0, epoch, options.fill_bytes, None)?;
        segment.file.sync()?;
        disk.sync_dir(DIR)?;
        Ok(Log {
            disk,
            options,
            gathering: Mutex::new(Gathering {
                bytes: vec![0; GROUP_HEADER],
                start: end.0,
                chains: Chains::default(),
                held: false,
                wanting: 0,
            }),
            released: Condvar::new(),
            writer: Mutex::new(Writer {
                segment,
                epoch,
                opened: end.0,
                full: false,
                spares: Vec::new(),
                spare: Vec::new(),
                unwritten: None,
                unsynced: Vec::new(),
                new_names: false,
                marked: false,
            }),
            syncing: Mutex::new(()),
            pending: AtomicUsize::new(0),
            written: AtomicU64::new(end.0),
            synced: AtomicU64::new(end.0),
            syncs: AtomicU64::new(0),
            stuck: AtomicBool::new(false),
            met_full: AtomicBool::new(false),
            poisoned: AtomicBool::new(false),
            waiting: Mutex::default(),
            wanted: Condvar::new(),
        })
    }

    /// Gives a value its place. It is not in the file yet; wait for [`Logged::end`].
    pub fn append<T: Encode>(&self, mut value: T) -> Result<Logged<T>, AppendError> {
        let mut gathering = lock(&self.gathering);
        let gathering = &mut *gathering;
        let before = gathering.bytes.len();
        let position = gathering.start + before as u64;
        put_record(&mut gathering.bytes, &mut value, &mut gathering.chains);
        if gathering.bytes.len() > MAX_GROUP {
            gathering.bytes.truncate(before);
            gathering.chains.begin_anew();
            return Err(AppendError::Log(format!("a record is larger than {MAX_GROUP} bytes")));
        }
        self.pending.store(gathering.bytes.len(), Ordering::Relaxed);
        let end = gathering.start + gathering.bytes.len() as u64;
        Ok(Logged::new(WalPosition(position), WalPosition(end), value))
    }

    /// Whether the log takes records now. Asked before anything is admitted, so that a log which
    /// cannot be written does not gather without bound.
    pub fn admits(&self) -> Result<(), AppendError> {
        self.healthy()?;
        if self.pending.load(Ordering::Relaxed) > self.options.max_pending {
            self.write_now()?;
        }
        // A flag, so that an append does not wait for a write that is under way.
        if self.stuck.load(Ordering::Acquire) {
            self.write_now()?;
        }
        Ok(())
    }

    /// Where the log ends.
    pub fn end(&self) -> WalPosition {
        let gathering = lock(&self.gathering);
        match gathering.bytes.len() {
            GROUP_HEADER => WalPosition(gathering.start),
            len => WalPosition(gathering.start + len as u64),
        }
    }

    /// Up to where it is in the file.
    pub fn written(&self) -> WalPosition {
        WalPosition(self.written.load(Ordering::Acquire))
    }

    /// Up to where it is synced.
    pub fn synced(&self) -> WalPosition {
        WalPosition(self.synced.load(Ordering::Acquire))
    }

    /// How many syncs there were.
    pub fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    /// Puts all records below `upto` into the file. Whoever comes first writes for all.
    pub fn flush(&self, upto: WalPosition) -> Result<(), AppendError> {
        while self.written() < upto {
            let _no_hold_begins = self.wait_for_release();
            let mut writer = lock(&self.writer);
            if self.written() < upto {
                let done = self.write_group(&mut writer);
                drop(writer);
                self.note(done)?;
            }
        }
        self.healthy()
    }

    /// Puts what has gathered into the file, unless more must stand in the same group. Unlike
    /// [`Log::flush`] it never waits for whoever holds the group, so it may be called under locks.
    fn write_now(&self) -> Result<(), AppendError> {
        let mut writer = lock(&self.writer);
        if self.written() >= self.end() {
            return Ok(());
        }
        let done = self.write_group(&mut writer);
        drop(writer);
        self.note(done)
    }

    fn note(&self, done: Result<(), DiskError>) -> Result<(), AppendError> {
        done.map_err(|error| {
            self.failed(&error);
            AppendError::Log(error.to_string())
        })
    }

    /// Keeps the group that gathers open until the answer is dropped: what is appended meanwhile is in
    /// the file whole or not at all. Waits for another hold. Whoever holds must not wait for the log.
    pub(crate) fn hold(self: &Arc<Self>) -> Held {
        let busy = |gathering: &mut Gathering| gathering.held || gathering.wanting > 0;
        let gathering = lock(&self.gathering);
        let mut gathering =
            self.released.wait_while(gathering, busy).unwrap_or_else(PoisonError::into_inner);
        gathering.held = true;
        Held { log: Arc::clone(self) }
    }

    /// Waits while somebody holds the group, without the writer's lock: until the answer is dropped
    /// nobody does so again, or those who come later would always go first.
    fn wait_for_release(&self) -> Option<Wanting<'_>> {
        let mut gathering = lock(&self.gathering);
        if !gathering.held {
            return None;
        }
        gathering.wanting += 1;
        let held = |gathering: &mut Gathering| gathering.held;
        drop(self.released.wait_while(gathering, held).unwrap_or_else(PoisonError::into_inner));
        Some(Wanting(self))
    }

    /// Writes and syncs everything; says up to where. Blocks for the disk.
    pub fn sync(&self) -> Result<WalPosition, AppendError> {
        let _one = lock(&self.syncing);
        lock(&self.waiting).sync_wanted = false;
        self.flush(self.end())?;
        let target = self.written();
        // A segment may have been begun before its first group came.
        let begun = lock(&self.writer).new_names;
        if target > self.synced() || begun {
            let (files, new_names) = {
                let mut writer = lock(&self.writer);
                let mut files = std::mem::take(&mut writer.unsynced);
                files.push(Arc::clone(&writer.segment.file));
                (files, std::mem::take(&mut writer.new_names))
            };
            let files = if planted(Mutant::AckBeforeSync) { &files[..0] } else { &files[..] };
            let synced = files.iter().try_for_each(|f| f.sync());
            let synced =
                synced.and_then(|()| if new_names { self.disk.sync_dir(DIR) } else { Ok(()) });
            if let Err(error) = synced {
                if planted(Mutant::RetryFailedSync) {
                    return Err(AppendError::Log(error.to_string()));
                }
                return Err(self.poison(&error));
            }
            self.syncs.fetch_add(1, Ordering::Relaxed);
            self.synced.fetch_max(target.0, Ordering::AcqRel);
        }
        self.wake();
        Ok(target)
    }

    /// Writes and syncs a marker if the log is idle and its last group does not yet tell that all
    /// before it is synced.
    pub fn mark(&self) -> Result<(), AppendError> {
        {
            let mut writer = lock(&self.writer);
            let end = self.end();
            if writer.marked || end > self.synced() || writer.unwritten.is_some() {
                return Ok(());
            }
            let mut gathering = lock(&self.gathering);
            if gathering.bytes.len() > GROUP_HEADER {
                return Ok(());
            }
            let start = gathering.start;
            writer.unwritten = Some((start, vec![0; GROUP_HEADER]));
            gathering.start += GROUP_HEADER as u64;
            self.ends_segment(&writer, start, &mut gathering);
            writer.marked = true;
        }
        self.sync().map(|_| ())
    }

    /// Whether a write found no room since this was asked last.
    pub(crate) fn take_met_full(&self) -> bool {
        self.met_full.swap(false, Ordering::Relaxed)
    }

    /// Resolves when the log is durable up to `position` as `ack` asks.
    pub fn wait(self: &Arc<Self>, position: WalPosition, ack: Ack) -> Durable {
        let failures = lock(&self.waiting).failures;
        Durable { log: Arc::clone(self), position, ack, failures }
    }

    /// Sleeps until someone waits for a sync, at most `timeout`; says whether someone does.
    pub fn park_for_sync(&self, timeout: Duration) -> bool {
        let waiting = lock(&self.waiting);
        let (waiting, _) = self
            .wanted
            .wait_timeout_while(waiting, timeout, |w| !w.sync_wanted)
            .unwrap_or_else(PoisonError::into_inner);
        waiting.sync_wanted
    }

    /// Wakes whoever is parked, so that it can see a shutdown.
    pub fn unpark(&self) {
        lock(&self.waiting).sync_wanted = true;
        self.wanted.notify_all();
    }

    /// Removes segments that lie wholly below `position`, or keeps their files for the next ones.
    pub fn trim(&self, position: WalPosition) -> Result<(), DiskError> {
        let bases = segments(&*self.disk)?;
        let (opened, mut room) = {
            let writer = lock(&self.writer);
            (writer.opened, self.options.spares.saturating_sub(writer.spares.len()))
        };
        let mut spares = Vec::new();
        for pair in bases.windows(2).filter(|pair| pair[1] <= position.0) {
            let path = segment_path(pair[0]);
            if pair[0] >= opened && room > 0 {
                room -= 1;
                let spare = spare_path(pair[0]);
                self.disk.rename(&path, &spare)?;
                spares.push(spare);
            } else {
                self.disk.remove(&path)?;
            }
        }
        if !spares.is_empty() {
            // A name that came back after a power cut must not lead into a segment in use.
            self.disk.sync_dir(DIR)?;
            lock(&self.writer).spares.append(&mut spares);
        }
        Ok(())
    }

    /// Begins a new segment, so that a trim can take all before it, and gives memory back; for a log that has gone
    /// quiet. Does not where there is something to be written, and says so.
    pub(crate) fn begin_segment(&self) -> Result<bool, DiskError> {
        let mut writer = lock(&self.writer);
        let base = {
            let mut gathering = lock(&self.gathering);
            if gathering.held || gathering.bytes.len() > GROUP_HEADER || writer.unwritten.is_some()
            {
                return Ok(false);
            }
            if gathering.start == writer.segment.base {
                return Ok(true);
            }
            gathering.chains.begin_anew();
            gathering.bytes = vec![0; GROUP_HEADER];
            gathering.start
        };
        writer.spare = Vec::new();
        // If it cannot be made now, the next group makes it.
        writer.full = true;
        self.next_segment(&mut writer, base, None)?;
        writer.full = false;
        Ok(true)
    }

    /// Gives the files back that wait for their next life.
    pub(crate) fn drop_spares(&self) -> Result<(), DiskError> {
        let spares = std::mem::take(&mut lock(&self.writer).spares);
        spares.iter().try_for_each(|spare| self.disk.remove(spare))
    }

    /// Where the oldest segment begins.
    pub(crate) fn oldest(&self) -> Result<WalPosition, DiskError> {
        Ok(WalPosition(segments(&*self.disk)?.first().copied().unwrap_or(0)))
    }

    fn write_group(&self, writer: &mut Writer) -> Result<(), DiskError> {
        let (start, mut group) = match writer.unwritten.take() {
            Some(kept) => kept,
            None => {
                let mut gathering = lock(&self.gathering);
                if gathering.held {
                    return Ok(());
                }
                let start = gathering.start;
                let mut next = std::mem::take(&mut writer.spare);
                next.resize(GROUP_HEADER, 0);
                let group = std::mem::replace(&mut gathering.bytes, next);
                gathering.start += group.len() as u64;
                self.pending.store(GROUP_HEADER, Ordering::Relaxed);
                writer.marked = false;
                self.ends_segment(writer, start, &mut gathering);
                (start, group)
            }
        };
        let written = self.put_group(writer, start, &mut group);
        match written {
            Ok(()) => {
                self.written.store(start + group.len() as u64, Ordering::Release);
                if group.capacity() <= KEEP {
                    group.clear();
                    writer.spare = group;
                }
            }
            Err(_) if planted(Mutant::AppendOverGap) => {
                self.written.store(start + group.len() as u64, Ordering::Release);
            }
            Err(_) => writer.unwritten = Some((start, group)),
        }
        self.stuck.store(writer.unwritten.is_some(), Ordering::Release);
        written
    }

    fn put_group(
        &self,
        writer: &mut Writer,
        start: u64,
        group: &mut [u8],
    ) -> Result<(), DiskError> {
        if writer.full {
            // A spare is tried once: what goes wrong with it must not stand in the way for ever.
            let spare = writer.spares.pop();
            self.next_segment(writer, start, spare.as_deref())?;
            writer.full = false;
        }
        let durable_end =
            if planted(Mutant::BoastDurableEnd) { WalPosition(start) } else { self.synced() };
        seal_group(group, WalPosition(start), durable_end, writer.epoch);
        writer.segment.put(group, start)?;
        writer.full = self.fills(writer.segment.base, start + group.len() as u64);
        Ok(())
    }

    /// Whether a segment takes no group past `end`.
    fn fills(&self, base: u64, end: u64) -> bool {
        end - base >= self.options.segment_bytes
    }

    /// The group that begins at `start` has been taken. What comes after it leans on nothing if it begins a
    /// segment, which is known here, before the next record is made, and not when the group is written.
    fn ends_segment(&self, writer: &Writer, start: u64, gathering: &mut Gathering) {
        let base = if writer.full { start } else { writer.segment.base };
        if self.fills(base, gathering.start) {
            gathering.chains.begin_anew();
        }
    }

    fn next_segment(
        &self,
        writer: &mut Writer,
        base: u64,
        spare: Option<&str>,
    ) -> Result<(), DiskError> {
        let fill = self.options.fill_bytes;
        let next = SegmentFile::create(&*self.disk, base, writer.epoch, fill, spare)?;
        let full = std::mem::replace(&mut writer.segment, next);
        writer.unsynced.push(full.file);
        writer.new_names = !planted(Mutant::NoDirectorySync);
        Ok(())
    }

    fn healthy(&self) -> Result<(), AppendError> {
        if !self.poisoned.load(Ordering::Acquire) {
            return Ok(());
        }
        match &lock(&self.waiting).poisoned {
            Some(reason) => Err(AppendError::Poisoned(reason.clone())),
            None => Ok(()),
        }
    }

    fn failed(&self, error: &DiskError) {
        if error.is_full() {
            self.met_full.store(true, Ordering::Relaxed);
        }
        let mut waiting = lock(&self.waiting);
        waiting.failures += 1;
        waiting.failure = error.to_string();
        drop(waiting);
        self.wake();
    }

    fn poison(&self, error: &DiskError) -> AppendError {
        let reason = error.to_string();
        lock(&self.waiting).poisoned = Some(reason.clone());
        self.poisoned.store(true, Ordering::Release);
        self.wake();
        AppendError::Poisoned(reason)
    }

    fn wake(&self) {
        let wakers = std::mem::take(&mut lock(&self.waiting).wakers);
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// Someone who waited for a group and has not written it yet.
struct Wanting<'a>(&'a Log);

impl Drop for Wanting<'_> {
    fn drop(&mut self) {
        lock(&self.0.gathering).wanting -= 1;
        self.0.released.notify_all();
    }
}

/// Keeps a group of the log open while it lives.
pub(crate) struct Held {
    log: Arc<Log>,
}

impl Drop for Held {
    fn drop(&mut self) {
        lock(&self.log.gathering).held = false;
        self.log.released.notify_all();
    }
}

/// Resolves when what was asked of [`Log::wait`] holds, or cannot hold.
pub struct Durable {
    log: Arc<Log>,
    position: WalPosition,
    ack: Ack,
    failures: u64,
}

impl Future for Durable {
    type Output = Result<(), AppendError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.ack == Ack::Written {
            return Poll::Ready(self.log.flush(self.position));
        }
        let mut waiting = lock(&self.log.waiting);
        if let Some(reason) = &waiting.poisoned {
            return Poll::Ready(Err(AppendError::Poisoned(reason.clone())));
        }
        if self.log.synced() >= self.position {
            return Poll::Ready(Ok(()));
        }
        if waiting.failures != self.failures {
            return Poll::Ready(Err(AppendError::Log(waiting.failure.clone())));
        }
        waiting.wakers.push(context.waker().clone());
        waiting.sync_wanted = true;
        self.log.wanted.notify_all();
        Poll::Pending
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
