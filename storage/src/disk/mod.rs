//! The fence to the disk: everything the engine keeps goes through [`Disk`] and [`File`].
//!
//! [`OsDisk`] is the sole user of `std::fs`. [`MemDisk`] keeps everything in memory. [`SimDisk`] does
//! too, with faults and crash images from a seed; the engine cannot tell them apart. Paths are relative to the store's
//! directory and use `/`.

mod mem;
mod os;
mod sim;

use std::fmt;
use std::io::ErrorKind;
use std::sync::Arc;

use crate::mutants::{Mutant, planted};

pub use mem::MemDisk;
pub use os::OsDisk;
pub use sim::{Fault, SimDisk};

/// A directory tree the store owns.
pub trait Disk: Send + Sync {
    /// Makes a new, empty file; fails if it is there.
    fn create(&self, path: &str) -> Result<Arc<dyn File>, DiskError>;
    /// Opens a file for reading and writing.
    fn open(&self, path: &str) -> Result<Arc<dyn File>, DiskError>;
    /// Renames within the tree, replacing what is at `to`, atomically.
    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError>;
    /// Gives a file a second name; fails if that is taken.
    fn link(&self, from: &str, to: &str) -> Result<(), DiskError>;
    /// Removes a file.
    fn remove(&self, path: &str) -> Result<(), DiskError>;
    /// Names in a directory, sorted; none if it is not there.
    fn list(&self, dir: &str) -> Result<Vec<String>, DiskError>;
    /// Makes a directory, if it is not there; its parent is.
    fn create_dir(&self, dir: &str) -> Result<(), DiskError>;
    /// Makes creations, renames and removals in `dir` last.
    fn sync_dir(&self, dir: &str) -> Result<(), DiskError>;
    /// Bytes free for the store.
    fn free_space(&self) -> Result<u64, DiskError>;
}

/// An open file. It stays readable after its removal.
pub trait File: Send + Sync {
    /// Fills `buf` from `offset`; short only at the end of the file.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize, DiskError>;
    /// Writes all of `bytes` at `offset`, or fails with any part of it written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<(), DiskError>;
    /// Reserves room for this length, so that it cannot be missing later.
    fn allocate(&self, len: u64) -> Result<(), DiskError>;
    /// Cuts or extends (with zeros).
    fn set_len(&self, len: u64) -> Result<(), DiskError>;
    /// Makes contents and length last. After a failure nothing is known of earlier writes.
    fn sync(&self) -> Result<(), DiskError>;
    /// Length in bytes.
    fn size(&self) -> Result<u64, DiskError>;
}

/// A refused disk operation: which, on what, why.
#[derive(Clone, Debug)]
pub struct DiskError {
    /// What was tried.
    pub operation: &'static str,
    /// On which path.
    pub path: String,
    /// The kind, for decisions (full disk, not found).
    pub kind: ErrorKind,
    /// What the system said.
    pub reason: String,
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.operation, self.path, self.reason)
    }
}

impl std::error::Error for DiskError {}

impl DiskError {
    /// Whether there was no room for it.
    pub fn is_full(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
        )
    }
}

/// Reads a whole file.
pub fn read_all(disk: &dyn Disk, path: &str) -> Result<Vec<u8>, DiskError> {
    let file = disk.open(path)?;
    let size = file.size()?;
    read_between(&*file, 0, size)
}

/// Reads what a file has from one offset to another.
pub(crate) fn read_between(file: &dyn File, from: u64, to: u64) -> Result<Vec<u8>, DiskError> {
    let length = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; length];
    let got = file.read_at(&mut bytes, from)?;
    bytes.truncate(got);
    Ok(bytes)
}

/// Publishes a small file so that after a crash either the old or the new content is there:
/// write aside, sync, rename, sync the directory.
pub fn replace_atomically(
    disk: &dyn Disk,
    dir: &str,
    name: &str,
    bytes: &[u8],
) -> Result<(), DiskError> {
    let at = |name: &str| if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") };
    let aside = at(&format!("{name}.new"));
    if disk.list(dir)?.iter().any(|n| *n == format!("{name}.new")) {
        disk.remove(&aside)?;
    }
    let file = disk.create(&aside)?;
    file.write_at(bytes, 0)?;
    if !planted(Mutant::RenameBeforeSync) {
        file.sync()?;
    }
    disk.rename(&aside, &at(name))?;
    if planted(Mutant::NoSyncAfterRename) {
        return Ok(());
    }
    disk.sync_dir(dir)
}
