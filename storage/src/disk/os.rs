//! The real disk. The only file that names `std::fs`.

use std::fs::{File as OsFile, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Disk, DiskError, File};

/// A directory of the real file system, locked against a second process.
#[derive(Debug)]
pub struct OsDisk {
    root: PathBuf,
    /// Held open for its lock.
    _lock: OsFile,
}

impl OsDisk {
    /// Opens (or makes) the directory and takes its lock, which ends with this value.
    pub fn open(root: &Path) -> Result<OsDisk, DiskError> {
        let at = |operation, error| error_of(operation, &root.display().to_string(), &error);
        std::fs::create_dir_all(root).map_err(|e| at("create directory", e))?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(root.join("LOCK"))
            .map_err(|e| at("open lock file in", e))?;
        match lock.try_lock() {
            Ok(()) => Ok(OsDisk { root: root.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DiskError {
                operation: "lock",
                path: root.display().to_string(),
                kind: ErrorKind::WouldBlock,
                reason: "another process has this data directory open".to_owned(),
            }),
            Err(TryLockError::Error(e)) => Err(at("lock", e)),
        }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    fn sync_path(&self, path: &Path, shown: &str) -> Result<(), DiskError> {
        OsFile::open(path).and_then(|d| d.sync_all()).map_err(|e| error_of("sync", shown, &e))
    }
}

impl Disk for OsDisk {
    fn create(&self, path: &str) -> Result<Arc<dyn File>, DiskError> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(self.at(path));
        wrap("create", path, file)
    }

    fn open(&self, path: &str) -> Result<Arc<dyn File>, DiskError> {
        wrap("open", path, OpenOptions::new().read(true).write(true).open(self.at(path)))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        std::fs::rename(self.at(from), self.at(to)).map_err(|e| error_of("rename", from, &e))
    }

    fn link(&self, from: &str, to: &str) -> Result<(), DiskError> {
        std::fs::hard_link(self.at(from), self.at(to)).map_err(|e| error_of("link", from, &e))
    }

    fn remove(&self, path: &str) -> Result<(), DiskError> {
        std::fs::remove_file(self.at(path)).map_err(|e| error_of("remove", path, &e))
    }

    fn list(&self, dir: &str) -> Result<Vec<String>, DiskError> {
        let entries = match std::fs::read_dir(self.at(dir)) {
            Ok(entries) => entries,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(error_of("list", dir, &e)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| error_of("list", dir, &e))?;
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    fn create_dir(&self, dir: &str) -> Result<(), DiskError> {
        match std::fs::create_dir(self.at(dir)) {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => {
                Err(error_of("create directory", dir, &e))
            }
            _ => Ok(()),
        }
    }

    fn sync_dir(&self, dir: &str) -> Result<(), DiskError> {
        self.sync_path(&self.at(dir), dir)
    }

    fn free_space(&self) -> Result<u64, DiskError> {
        let stat = rustix::fs::statvfs(&self.root)
            .map_err(|e| error_of("statvfs", &self.root.display().to_string(), &e.into()))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

struct Open {
    file: OsFile,
    path: String,
}

fn wrap(
    operation: &'static str,
    path: &str,
    file: io::Result<OsFile>,
) -> Result<Arc<dyn File>, DiskError> {
    match file {
        Ok(file) => Ok(Arc::new(Open { file, path: path.to_owned() })),
        Err(e) => Err(error_of(operation, path, &e)),
    }
}

fn error_of(operation: &'static str, path: &str, error: &io::Error) -> DiskError {
    DiskError { operation, path: path.to_owned(), kind: error.kind(), reason: error.to_string() }
}

impl File for Open {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize, DiskError> {
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|r| !r.is_empty()) {
            match self.file.read_at(rest, offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(error_of("read", &self.path, &e)),
            }
        }
        Ok(done)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<(), DiskError> {
        self.file.write_all_at(bytes, offset).map_err(|e| error_of("write", &self.path, &e))
    }

    fn allocate(&self, len: u64) -> Result<(), DiskError> {
        rustix::fs::fallocate(&self.file, rustix::fs::FallocateFlags::empty(), 0, len)
            .map_err(|e| error_of("allocate", &self.path, &e.into()))
    }

    fn set_len(&self, len: u64) -> Result<(), DiskError> {
        self.file.set_len(len).map_err(|e| error_of("set length of", &self.path, &e))
    }

    fn sync(&self) -> Result<(), DiskError> {
        self.file.sync_data().map_err(|e| error_of("sync", &self.path, &e))
    }

    fn size(&self) -> Result<u64, DiskError> {
        self.file.metadata().map(|m| m.len()).map_err(|e| error_of("stat", &self.path, &e))
    }
}
