//! A disk in memory, with faults and crash images from a seed.
//!
//! Faults it can inject ([`Fault`]), by the number of the operation that meets them: the death of the
//! process, a full disk (a prefix of the write being stored), a process with too many open files, a failed sync with Linux's semantics
//! (what was dirty is dropped, and the next sync says all is well), a write that never reaches the
//! platter, a write that lands elsewhere, a read that fails; and a bit that flips
//! ([`SimDisk::flip_bit`]).
//!
//! What a power cut leaves ([`SimDisk::after_power_cut`]): each file has its synced content and an
//! ordered list of unsynced writes, of which none, all, any prefix, any subset, a torn form of each, or
//! only the length (with zeros or with garbage) may have reached the platter; a directory has its
//! synced entries and unsynced creations, renames and removals, of which any subset may have
//! happened, so that names get lost and removed files come back. It may not undo what was synced, or
//! split a rename. A kill of the process ([`SimDisk::after_kill`]) loses nothing that was written.
//!
//! A recording disk ([`SimDisk::record`]) keeps its state before every operation, so that one run of a
//! workload gives all of its crash points; contents are shared between the states.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Disk, DiskError, File};

/// Smallest unit a torn write is cut at, as often as single bytes.
const SECTOR: usize = 512;

/// A fault, at the operation with this number (from 0, counting all that change the disk).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process dies just before it.
    CrashAt(u64),
    /// The disk is full from it on, for so many operations.
    FullFrom(u64, u64),
    /// It fails if it is a sync, and what it should have saved never reaches the disk.
    SyncFailsAt(u64),
    /// If it is a write, the disk says yes and stores nothing.
    LostWriteAt(u64),
    /// If it is a write, its bytes land a sector further on.
    MisdirectedWriteAt(u64),
    /// No file can be opened or made from it on, for so many operations: the process has too many.
    NoHandlesFrom(u64, u64),
    /// The read with this number (counting reads) fails.
    ReadFailsAt(u64),
}

/// The disk. Clones of an `Arc` share it.
#[derive(Debug)]
pub struct SimDisk {
    state: Mutex<State>,
    /// States before each operation, if they are kept.
    history: Mutex<Option<Vec<State>>>,
}

type Names = BTreeMap<Arc<str>, usize>;

#[derive(Debug, Default, Clone)]
struct State {
    /// What every process sees.
    live: Arc<Names>,
    /// What a power cut leaves for sure.
    durable: Arc<Names>,
    /// Changes of names since the last sync of their directory, in order.
    pending_names: Vec<NameChange>,
    inodes: Vec<Inode>,
    operations: u64,
    reads: u64,
    faults: Vec<Fault>,
    crashed: bool,
    /// What [`Disk::free_space`] says, if not the truth.
    free: Option<u64>,
}

#[derive(Debug, Clone)]
struct NameChange {
    dir: Arc<str>,
    remove: Option<Arc<str>>,
    set: Option<(Arc<str>, usize)>,
}

#[derive(Debug, Default, Clone)]
struct Inode {
    live: Arc<Vec<u8>>,
    durable: Arc<Vec<u8>>,
    pending: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Write(u64, Arc<[u8]>),
    SetLen(u64),
}

impl SimDisk {
    /// An empty disk without faults.
    pub fn new() -> Arc<SimDisk> {
        SimDisk::of(State::default())
    }

    fn of(state: State) -> Arc<SimDisk> {
        Arc::new(SimDisk { state: Mutex::new(state), history: Mutex::new(None) })
    }

    /// Injects a fault.
    pub fn inject(&self, fault: Fault) {
        self.lock().faults.push(fault);
    }

    /// What is said to be free from now on, true or not.
    pub fn say_free(&self, bytes: u64) {
        self.lock().free = Some(bytes);
    }

    /// Operations that changed the disk so far.
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// Keeps the state before every operation from now on.
    pub fn record(&self) {
        *lock(&self.history) = Some(Vec::new());
    }

    /// The disk as it stood before each operation since [`SimDisk::record`].
    pub fn recorded(&self) -> Vec<Arc<SimDisk>> {
        let history = lock(&self.history).take().unwrap_or_default();
        history.into_iter().map(SimDisk::of).collect()
    }

    /// The disk as the next process finds it after this one was killed.
    pub fn after_kill(&self) -> Arc<SimDisk> {
        let mut state = self.lock().clone();
        state.faults.clear();
        state.crashed = false;
        state.operations = 0;
        state.reads = 0;
        SimDisk::of(state)
    }

    /// The disk as it may be found after a power cut; `seed` chooses among what is possible.
    pub fn after_power_cut(&self, seed: u64) -> Arc<SimDisk> {
        let state = self.lock().clone();
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut names = state.durable;
        if !state.pending_names.is_empty() {
            surviving_names(Arc::make_mut(&mut names), &state.pending_names, &mut random);
        }
        let mut inodes = state.inodes;
        for inode in &mut inodes {
            // Without anything pending there is nothing to choose.
            if !inode.pending.is_empty() {
                inode.durable = Arc::new(survivors(inode, &mut random));
                inode.pending.clear();
            }
            inode.live = Arc::clone(&inode.durable);
        }
        let state = State { live: Arc::clone(&names), durable: names, inodes, ..State::default() };
        SimDisk::of(state)
    }

    /// Flips one bit of a file's stored bytes.
    pub fn flip_bit(&self, path: &str, byte: u64, bit: u8) -> Result<(), DiskError> {
        let mut state = self.lock();
        let inode = state.find("flip a bit in", path)?;
        let inode = &mut state.inodes[inode];
        for content in [&mut inode.live, &mut inode.durable] {
            if let Some(b) = Arc::make_mut(content).get_mut(byte as usize) {
                *b ^= 1 << (bit & 7);
            }
        }
        Ok(())
    }

    /// All files with their sizes.
    pub fn files(&self) -> Vec<(String, u64)> {
        let state = self.lock();
        let size = |inode: &usize| state.inodes[*inode].live.len() as u64;
        state.live.iter().map(|(name, inode)| (name.to_string(), size(inode))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Counts a changing operation; says which fault it meets.
    fn operate(
        &self,
        operation: &'static str,
        path: &str,
    ) -> Result<(Met, MutexGuard<'_, State>), DiskError> {
        let mut state = self.lock();
        if let Some(history) = lock(&self.history).as_mut() {
            history.push(state.clone());
        }
        let met = state.operate(operation, path)?;
        Ok((met, state))
    }
}

impl State {
    fn operate(&mut self, operation: &'static str, path: &str) -> Result<Met, DiskError> {
        let number = self.operations;
        self.operations += 1;
        let mut met = Met::Nothing;
        for fault in &self.faults {
            match *fault {
                Fault::CrashAt(at) if number >= at => self.crashed = true,
                Fault::FullFrom(at, count) if (at..at + count).contains(&number) => {
                    met = Met::Full;
                }
                Fault::NoHandlesFrom(at, count) if (at..at + count).contains(&number) => {
                    met = Met::NoHandles;
                }
                Fault::SyncFailsAt(at) if at == number => met = Met::SyncFails,
                Fault::LostWriteAt(at) if at == number => met = Met::Lost,
                Fault::MisdirectedWriteAt(at) if at == number => met = Met::Misdirected,
                _ => {}
            }
        }
        self.alive(operation, path)?;
        Ok(met)
    }

    fn alive(&self, operation: &'static str, path: &str) -> Result<(), DiskError> {
        if self.crashed {
            return Err(error(operation, path, ErrorKind::Other, "the process is dead"));
        }
        Ok(())
    }

    fn find(&self, operation: &'static str, path: &str) -> Result<usize, DiskError> {
        self.live
            .get(path)
            .copied()
            .ok_or_else(|| error(operation, path, ErrorKind::NotFound, "no such file"))
    }

    fn change_name(&mut self, change: NameChange) {
        apply_name(Arc::make_mut(&mut self.live), &change);
        self.pending_names.push(change);
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Met {
    Nothing,
    Full,
    NoHandles,
    SyncFails,
    Lost,
    Misdirected,
}

impl Disk for Arc<SimDisk> {
    fn create(&self, path: &str) -> Result<Arc<dyn File>, DiskError> {
        let (met, mut state) = self.operate("create", path)?;
        if met == Met::Full {
            return Err(full("create", path));
        }
        if met == Met::NoHandles {
            return Err(no_handles("create", path));
        }
        if state.live.contains_key(path) {
            return Err(error("create", path, ErrorKind::AlreadyExists, "file exists"));
        }
        let inode = state.inodes.len();
        state.inodes.push(Inode::default());
        let set = Some((path.into(), inode));
        state.change_name(NameChange { dir: dir_of(path).into(), remove: None, set });
        Ok(Arc::new(Handle { disk: Arc::clone(self), inode, path: path.to_owned() }))
    }

    fn open(&self, path: &str) -> Result<Arc<dyn File>, DiskError> {
        let state = self.lock();
        state.alive("open", path)?;
        let none = |f: &Fault| matches!(f, Fault::NoHandlesFrom(at, n) if (*at..at + n).contains(&state.operations));
        if state.faults.iter().any(none) {
            return Err(no_handles("open", path));
        }
        let inode = state.find("open", path)?;
        Ok(Arc::new(Handle { disk: Arc::clone(self), inode, path: path.to_owned() }))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        let (_, mut state) = self.operate("rename", from)?;
        let inode = state.find("rename", from)?;
        let (remove, set) = (Some(from.into()), Some((to.into(), inode)));
        state.change_name(NameChange { dir: dir_of(to).into(), remove, set });
        Ok(())
    }

    fn link(&self, from: &str, to: &str) -> Result<(), DiskError> {
        let (met, mut state) = self.operate("link", from)?;
        if met == Met::Full {
            return Err(full("link", from));
        }
        let inode = state.find("link", from)?;
        if state.live.contains_key(to) {
            return Err(error("link", to, ErrorKind::AlreadyExists, "file exists"));
        }
        let set = Some((to.into(), inode));
        state.change_name(NameChange { dir: dir_of(to).into(), remove: None, set });
        Ok(())
    }

    fn remove(&self, path: &str) -> Result<(), DiskError> {
        let (_, mut state) = self.operate("remove", path)?;
        state.find("remove", path)?;
        let (dir, remove) = (dir_of(path).into(), Some(path.into()));
        state.change_name(NameChange { dir, remove, set: None });
        Ok(())
    }

    fn list(&self, dir: &str) -> Result<Vec<String>, DiskError> {
        let state = self.lock();
        state.alive("list", dir)?;
        let names = state.live.keys().filter(|p| dir_of(p) == dir);
        Ok(names.map(|p| p.rsplit('/').next().unwrap_or(p).to_owned()).collect())
    }

    fn create_dir(&self, dir: &str) -> Result<(), DiskError> {
        self.lock().alive("create directory", dir)
    }

    fn sync_dir(&self, dir: &str) -> Result<(), DiskError> {
        let (met, mut state) = self.operate("sync", dir)?;
        if met == Met::SyncFails {
            return Err(error("sync", dir, ErrorKind::Other, "input/output error"));
        }
        let pending = std::mem::take(&mut state.pending_names);
        for change in pending {
            if &*change.dir == dir {
                apply_name(Arc::make_mut(&mut state.durable), &change);
            } else {
                state.pending_names.push(change);
            }
        }
        Ok(())
    }

    fn free_space(&self) -> Result<u64, DiskError> {
        let state = self.lock();
        let now = state.operations;
        let full = |f: &Fault| matches!(f, Fault::FullFrom(at, n) if (*at..at + n).contains(&now));
        let truth = if state.faults.iter().any(full) { 0 } else { 1 << 40 };
        Ok(state.free.unwrap_or(truth))
    }
}

struct Handle {
    disk: Arc<SimDisk>,
    inode: usize,
    path: String,
}

impl Handle {
    /// Stores a change, unless the disk only says so.
    fn store(&self, state: &mut State, change: Change, met: Met) {
        let inode = &mut state.inodes[self.inode];
        apply_change(Arc::make_mut(&mut inode.live), &change);
        match (met, change) {
            (Met::Lost, _) => {}
            (Met::Misdirected, Change::Write(at, bytes)) => {
                inode.pending.push(Change::Write(at + SECTOR as u64, bytes));
            }
            (_, change) => inode.pending.push(change),
        }
    }
}

impl File for Handle {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize, DiskError> {
        let mut state = self.disk.lock();
        state.alive("read", &self.path)?;
        let number = state.reads;
        state.reads += 1;
        if state.faults.contains(&Fault::ReadFailsAt(number)) {
            return Err(error("read", &self.path, ErrorKind::Other, "input/output error"));
        }
        let content = &state.inodes[self.inode].live;
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
        let got = buf.len().min(content.len() - from);
        buf[..got].copy_from_slice(&content[from..from + got]);
        Ok(got)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<(), DiskError> {
        let (met, mut state) = self.disk.operate("write", &self.path)?;
        let number = state.operations;
        let stored =
            if met == Met::Full { number as usize % (bytes.len() + 1) } else { bytes.len() };
        let change = Change::Write(offset, bytes[..stored].into());
        self.store(&mut state, change, met);
        if met == Met::Full { Err(full("write", &self.path)) } else { Ok(()) }
    }

    fn allocate(&self, len: u64) -> Result<(), DiskError> {
        let (met, mut state) = self.disk.operate("allocate", &self.path)?;
        if met == Met::Full || state.free.is_some_and(|free| free < len) {
            return Err(full("allocate", &self.path));
        }
        self.store(&mut state, Change::SetLen(len), Met::Nothing);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), DiskError> {
        let (_, mut state) = self.disk.operate("set length of", &self.path)?;
        self.store(&mut state, Change::SetLen(len), Met::Nothing);
        Ok(())
    }

    fn sync(&self) -> Result<(), DiskError> {
        let (met, mut state) = self.disk.operate("sync", &self.path)?;
        let inode = &mut state.inodes[self.inode];
        let pending = std::mem::take(&mut inode.pending);
        if met == Met::SyncFails {
            return Err(error("sync", &self.path, ErrorKind::Other, "input/output error"));
        }
        if !pending.is_empty() {
            let durable = Arc::make_mut(&mut inode.durable);
            pending.iter().for_each(|change| apply_change(durable, change));
        }
        Ok(())
    }

    fn size(&self) -> Result<u64, DiskError> {
        let state = self.disk.lock();
        state.alive("stat", &self.path)?;
        Ok(state.inodes[self.inode].live.len() as u64)
    }
}

fn dir_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}

fn apply_name(names: &mut Names, change: &NameChange) {
    if let Some(name) = &change.remove {
        names.remove(name);
    }
    if let Some((name, inode)) = &change.set {
        names.insert(Arc::clone(name), *inode);
    }
}

fn apply_change(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::SetLen(len) => content.resize(*len as usize, 0),
        Change::Write(offset, bytes) => {
            let end = *offset as usize + bytes.len();
            if content.len() < end {
                content.resize(end, 0);
            }
            content[*offset as usize..end].copy_from_slice(bytes);
        }
    }
}

/// Which of the unsynced changes of names happened: a prefix, or any subset.
fn surviving_names(names: &mut Names, pending: &[NameChange], random: &mut Random) {
    if random.below(2) == 0 {
        let kept = random.below(pending.len() as u64 + 1) as usize;
        pending.iter().take(kept).for_each(|change| apply_name(names, change));
        return;
    }
    for change in pending {
        if random.below(2) == 0 {
            apply_name(names, change);
        }
    }
}

/// Which of the unsynced changes reached the platter.
fn survivors(inode: &Inode, random: &mut Random) -> Vec<u8> {
    let mut content = inode.durable.to_vec();
    let count = inode.pending.len();
    match random.below(6) {
        0 => {}
        1 => inode.pending.iter().for_each(|c| apply_change(&mut content, c)),
        2 => {
            let kept = random.below(count as u64 + 1) as usize;
            inode.pending.iter().take(kept).for_each(|c| apply_change(&mut content, c));
            if let Some(change) = inode.pending.get(kept) {
                apply_torn(&mut content, change, random);
            }
        }
        3 => {
            for change in &inode.pending {
                match random.below(3) {
                    0 => {}
                    1 => apply_change(&mut content, change),
                    _ => apply_torn(&mut content, change, random),
                }
            }
        }
        // The length arrived, the data did not: zeros, or what stood there in a former life.
        4 => content.resize(content.len().max(inode.live.len()), 0),
        _ => {
            while content.len() < inode.live.len() {
                content.push(random.below(256) as u8);
            }
        }
    }
    content
}

fn apply_torn(content: &mut Vec<u8>, change: &Change, random: &mut Random) {
    let Change::Write(offset, bytes) = change else {
        return apply_change(content, change);
    };
    let mut cut = random.below(bytes.len() as u64 + 1) as usize;
    if random.below(2) == 0 {
        cut -= cut % SECTOR;
    }
    let part = if random.below(4) == 0 {
        // The tail arrived before the head.
        Change::Write(offset + cut as u64, bytes[cut..].into())
    } else {
        Change::Write(*offset, bytes[..cut].into())
    };
    apply_change(content, &part);
}

fn no_handles(operation: &'static str, path: &str) -> DiskError {
    error(operation, path, ErrorKind::Other, "too many open files")
}

fn full(operation: &'static str, path: &str) -> DiskError {
    error(operation, path, ErrorKind::StorageFull, "no space left on device")
}

fn error(operation: &'static str, path: &str, kind: ErrorKind, reason: &str) -> DiskError {
    DiskError { operation, path: path.to_owned(), kind, reason: reason.to_owned() }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// xorshift64*: small, seeded, good enough to choose faults.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let mixed = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11;
        if bound == 0 { 0 } else { mixed % bound }
    }
}
