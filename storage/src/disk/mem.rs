//! A plain disk in memory, for programs that keep nothing: every write is at once as durable as the
//! process.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Disk, DiskError, File};

/// Files in memory. What it holds ends with it.
#[derive(Debug, Default)]
pub struct MemDisk {
    files: Mutex<BTreeMap<String, Arc<Content>>>,
}

#[derive(Debug)]
struct Content {
    path: String,
    bytes: Mutex<Vec<u8>>,
}

impl MemDisk {
    /// An empty disk.
    pub fn new() -> MemDisk {
        MemDisk::default()
    }

    /// Bytes of all files.
    pub fn byte_len(&self) -> u64 {
        lock(&self.files).values().map(|file| lock(&file.bytes).len() as u64).sum()
    }

    /// Puts a file there as it is, replacing what has its name.
    pub fn put(&self, path: &str, bytes: Vec<u8>) {
        let content = Content { path: path.to_owned(), bytes: Mutex::new(bytes) };
        lock(&self.files).insert(path.to_owned(), Arc::new(content));
    }

    fn find(&self, operation: &'static str, path: &str) -> Result<Arc<Content>, DiskError> {
        let found = lock(&self.files).get(path).cloned();
        found.ok_or_else(|| error(operation, path, ErrorKind::NotFound, "no such file"))
    }
}

impl Disk for MemDisk {
    fn create(&self, path: &str) -> Result<Arc<dyn File>, DiskError> {
        let mut files = lock(&self.files);
        if files.contains_key(path) {
            return Err(error("create", path, ErrorKind::AlreadyExists, "file exists"));
        }
        let file = Arc::new(Content { path: path.to_owned(), bytes: Mutex::default() });
        files.insert(path.to_owned(), Arc::clone(&file));
        Ok(file)
    }

    fn open(&self, path: &str) -> Result<Arc<dyn File>, DiskError> {
        Ok(self.find("open", path)?)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        let file = self.find("rename", from)?;
        let mut files = lock(&self.files);
        files.remove(from);
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn link(&self, from: &str, to: &str) -> Result<(), DiskError> {
        let file = self.find("link", from)?;
        let mut files = lock(&self.files);
        if files.contains_key(to) {
            return Err(error("link", to, ErrorKind::AlreadyExists, "file exists"));
        }
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, path: &str) -> Result<(), DiskError> {
        self.find("remove", path)?;
        lock(&self.files).remove(path);
        Ok(())
    }

    fn list(&self, dir: &str) -> Result<Vec<String>, DiskError> {
        let name = |path: &String| {
            let (of, name) = path.rsplit_once('/').unwrap_or(("", path));
            (of == dir).then(|| name.to_owned())
        };
        Ok(lock(&self.files).keys().filter_map(name).collect())
    }

    fn create_dir(&self, _: &str) -> Result<(), DiskError> {
        Ok(())
    }

    fn sync_dir(&self, _: &str) -> Result<(), DiskError> {
        Ok(())
    }

    fn free_space(&self) -> Result<u64, DiskError> {
        Ok(u64::MAX)
    }
}

impl File for Content {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize, DiskError> {
        let bytes = lock(&self.bytes);
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let got = buf.len().min(bytes.len() - from);
        buf[..got].copy_from_slice(&bytes[from..from + got]);
        Ok(got)
    }

    fn write_at(&self, from: &[u8], offset: u64) -> Result<(), DiskError> {
        let mut bytes = lock(&self.bytes);
        let start = usize::try_from(offset).ok();
        let Some((start, end)) = start.and_then(|at| Some((at, at.checked_add(from.len())?)))
        else {
            return Err(error("write", &self.path, ErrorKind::FileTooLarge, "file too large"));
        };
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[start..end].copy_from_slice(from);
        Ok(())
    }

    fn allocate(&self, len: u64) -> Result<(), DiskError> {
        let now = lock(&self.bytes).len() as u64;
        self.set_len(now.max(len))
    }

    fn set_len(&self, len: u64) -> Result<(), DiskError> {
        lock(&self.bytes).resize(usize::try_from(len).unwrap_or(usize::MAX), 0);
        Ok(())
    }

    fn sync(&self) -> Result<(), DiskError> {
        Ok(())
    }

    fn size(&self) -> Result<u64, DiskError> {
        Ok(lock(&self.bytes).len() as u64)
    }
}

fn error(operation: &'static str, path: &str, kind: ErrorKind, reason: &str) -> DiskError {
    DiskError { operation, path: path.to_owned(), kind, reason: reason.to_owned() }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
