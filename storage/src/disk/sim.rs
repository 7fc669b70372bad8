//! A disk in memory, with faults and crash images from a seed.
//!
//! Faults it can inject, by the number of the operation that meets them:
//! - a crash before the operation: every later one fails, as for a dead process;
//! - a full disk (`StorageFull`) for a number of operations, a prefix of the write being stored;
//! - a failed sync with Linux's semantics: what was dirty is dropped from the page cache's duty,
//!   and the next sync says all is well;
//! - a bit flip in stored bytes ([`SimDisk::flip_bit`]).
//!
//! What a power cut leaves ([`SimDisk::after_power_cut`]): each file has its synced content and an
//! ordered list of unsynced writes, of which any prefix, any subset, and a torn form of the last
//! may have reached the platter; a directory has its synced entries and unsynced creations, renames
//! and removals, of which a prefix may have happened. It may not: undo what was synced, or split a
//! rename. A kill of the process ([`SimDisk::after_kill`]) loses nothing that was written.

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
}

/// The disk. Clones of an `Arc` share it.
#[derive(Debug)]
pub struct SimDisk {
    state: Mutex<State>,
}

#[derive(Debug, Default, Clone)]
struct State {
    /// What every process sees.
    live: BTreeMap<String, usize>,
    /// What a power cut leaves for sure.
    durable: BTreeMap<String, usize>,
    /// Changes of names since the last sync of their directory, in order.
    pending_names: Vec<NameChange>,
    inodes: Vec<Inode>,
    operations: u64,
    faults: Vec<Fault>,
    crashed: bool,
}

#[derive(Debug, Clone)]
struct NameChange {
    dir: String,
    remove: Option<String>,
    set: Option<(String, usize)>,
}

#[derive(Debug, Default, Clone)]
struct Inode {
    live: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Write(u64, Vec<u8>),
    SetLen(u64),
}

impl SimDisk {
    /// An empty disk without faults.
    pub fn new() -> Arc<SimDisk> {
        Arc::new(SimDisk { state: Mutex::new(State::default()) })
    }

    /// Injects a fault.
    pub fn inject(&self, fault: Fault) {
        self.lock().faults.push(fault);
    }

    /// Operations that changed the disk so far.
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// The disk as the next process finds it after this one was killed.
    pub fn after_kill(&self) -> Arc<SimDisk> {
        let mut state = self.lock().clone();
        state.faults.clear();
        state.crashed = false;
        state.operations = 0;
        Arc::new(SimDisk { state: Mutex::new(state) })
    }

    /// The disk as it may be found after a power cut; `seed` chooses among what is possible.
    pub fn after_power_cut(&self, seed: u64) -> Arc<SimDisk> {
        let state = self.lock().clone();
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut names = state.durable.clone();
        let kept = random.below(state.pending_names.len() as u64 + 1) as usize;
        for change in state.pending_names.iter().take(kept) {
            apply_name(&mut names, change);
        }
        let inodes = state
            .inodes
            .iter()
            .map(|inode| {
                let content = survivors(inode, &mut random);
                Inode { live: content.clone(), durable: content, pending: Vec::new() }
            })
            .collect();
        let state = State { live: names.clone(), durable: names, inodes, ..State::default() };
        Arc::new(SimDisk { state: Mutex::new(state) })
    }

    /// Flips one bit of a file's stored bytes.
    pub fn flip_bit(&self, path: &str, byte: u64, bit: u8) -> Result<(), DiskError> {
        let mut state = self.lock();
        let inode = state.find("flip a bit in", path)?;
        let inode = &mut state.inodes[inode];
        for content in [&mut inode.live, &mut inode.durable] {
            if let Some(b) = content.get_mut(byte as usize) {
                *b ^= 1 << (bit & 7);
            }
        }
        Ok(())
    }

    /// All files with their sizes.
    pub fn files(&self) -> Vec<(String, u64)> {
        let state = self.lock();
        state.live.iter().map(|(n, i)| (n.clone(), state.inodes[*i].live.len() as u64)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl State {
    /// Counts a changing operation; says which fault it meets.
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
                Fault::SyncFailsAt(at) if at == number => met = Met::SyncFails,
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
        apply_name(&mut self.live, &change);
        self.pending_names.push(change);
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Met {
    Nothing,
    Full,
    SyncFails,
}

impl Disk for Arc<SimDisk> {
    fn create(&self, path: &str) -> Result<Arc<dyn File>, DiskError> {
        let mut state = self.lock();
        if state.operate("create", path)? == Met::Full {
            return Err(full("create", path));
        }
        if state.live.contains_key(path) {
            return Err(error("create", path, ErrorKind::AlreadyExists, "file exists"));
        }
        let inode = state.inodes.len();
        state.inodes.push(Inode::default());
        let set = Some((path.to_owned(), inode));
        state.change_name(NameChange { dir: dir_of(path), remove: None, set });
        Ok(Arc::new(Handle { disk: Arc::clone(self), inode, path: path.to_owned() }))
    }

    fn open(&self, path: &str) -> Result<Arc<dyn File>, DiskError> {
        let state = self.lock();
        state.alive("open", path)?;
        let inode = state.find("open", path)?;
        Ok(Arc::new(Handle { disk: Arc::clone(self), inode, path: path.to_owned() }))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        let mut state = self.lock();
        state.operate("rename", from)?;
        let inode = state.find("rename", from)?;
        state.change_name(NameChange {
            dir: dir_of(to),
            remove: Some(from.to_owned()),
            set: Some((to.to_owned(), inode)),
        });
        Ok(())
    }

    fn remove(&self, path: &str) -> Result<(), DiskError> {
        let mut state = self.lock();
        state.operate("remove", path)?;
        state.find("remove", path)?;
        state.change_name(NameChange {
            dir: dir_of(path),
            remove: Some(path.to_owned()),
            set: None,
        });
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
        let mut state = self.lock();
        if state.operate("sync", dir)? == Met::SyncFails {
            return Err(error("sync", dir, ErrorKind::Other, "input/output error"));
        }
        let pending = std::mem::take(&mut state.pending_names);
        for change in pending {
            if change.dir == dir {
                apply_name(&mut state.durable, &change);
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
        Ok(if state.faults.iter().any(full) { 0 } else { 1 << 40 })
    }
}

struct Handle {
    disk: Arc<SimDisk>,
    inode: usize,
    path: String,
}

impl File for Handle {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize, DiskError> {
        let state = self.disk.lock();
        state.alive("read", &self.path)?;
        let content = &state.inodes[self.inode].live;
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
        let got = buf.len().min(content.len() - from);
        buf[..got].copy_from_slice(&content[from..from + got]);
        Ok(got)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<(), DiskError> {
        let mut state = self.disk.lock();
        let met = state.operate("write", &self.path)?;
        let number = state.operations;
        let inode = &mut state.inodes[self.inode];
        let stored =
            if met == Met::Full { number as usize % (bytes.len() + 1) } else { bytes.len() };
        let change = Change::Write(offset, bytes[..stored].to_vec());
        apply_change(&mut inode.live, &change);
        inode.pending.push(change);
        if met == Met::Full { Err(full("write", &self.path)) } else { Ok(()) }
    }

    fn set_len(&self, len: u64) -> Result<(), DiskError> {
        let mut state = self.disk.lock();
        state.operate("set length of", &self.path)?;
        let inode = &mut state.inodes[self.inode];
        let change = Change::SetLen(len);
        apply_change(&mut inode.live, &change);
        inode.pending.push(change);
        Ok(())
    }

    fn sync(&self) -> Result<(), DiskError> {
        let mut state = self.disk.lock();
        let met = state.operate("sync", &self.path)?;
        let inode = &mut state.inodes[self.inode];
        let pending = std::mem::take(&mut inode.pending);
        if met == Met::SyncFails {
            return Err(error("sync", &self.path, ErrorKind::Other, "input/output error"));
        }
        for change in &pending {
            apply_change(&mut inode.durable, change);
        }
        Ok(())
    }

    fn size(&self) -> Result<u64, DiskError> {
        let state = self.disk.lock();
        state.alive("stat", &self.path)?;
        Ok(state.inodes[self.inode].live.len() as u64)
    }
}

fn dir_of(path: &str) -> String {
    path.rsplit_once('/').map_or(String::new(), |(dir, _)| dir.to_owned())
}

fn apply_name(names: &mut BTreeMap<String, usize>, change: &NameChange) {
    if let Some(name) = &change.remove {
        names.remove(name);
    }
    if let Some((name, inode)) = &change.set {
        names.insert(name.clone(), *inode);
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

/// Which of the unsynced changes reached the platter.
fn survivors(inode: &Inode, random: &mut Random) -> Vec<u8> {
    let mut content = inode.durable.clone();
    let count = inode.pending.len();
    match random.below(5) {
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
        // The length arrived, the data did not.
        _ => content.resize(content.len().max(inode.live.len()), 0),
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
        Change::Write(offset + cut as u64, bytes[cut..].to_vec())
    } else {
        Change::Write(*offset, bytes[..cut].to_vec())
    };
    apply_change(content, &part);
}

fn full(operation: &'static str, path: &str) -> DiskError {
    error(operation, path, ErrorKind::StorageFull, "no space left on device")
}

fn error(operation: &'static str, path: &str, kind: ErrorKind, reason: &str) -> DiskError {
    DiskError { operation, path: path.to_owned(), kind, reason: reason.to_owned() }
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
