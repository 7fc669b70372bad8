//! Room on the disk. Ingest stops while less than a minimum is free and resumes by itself; a reserve
//! file is given up when the disk is full all the same, so that deletes, retention, checkpoints and
//! the stop of the node still find room.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::append::AppendError;
use crate::disk::{Disk, DiskError};

/// The reserve file, in the store's directory.
pub(crate) const RESERVE: &str = "RESERVE";

/// What is known of the room on the disk.
#[derive(Debug)]
pub(crate) struct Space {
    min_free: u64,
    reserve: u64,
    free: AtomicU64,
    /// Ingest is stopped.
    tight: AtomicBool,
    /// Something was refused for want of room since the last look.
    met_full: AtomicBool,
}

impl Space {
    pub(crate) fn open(disk: &dyn Disk, min_free: u64, reserve: u64) -> Space {
        let space = Space {
            min_free,
            reserve,
            free: AtomicU64::new(0),
            tight: AtomicBool::new(false),
            met_full: AtomicBool::new(false),
        };
        space.look(disk);
        space
    }

    /// Whether samples and growing keys are taken.
    pub(crate) fn admits(&self) -> Result<(), AppendError> {
        if !self.is_tight() {
            return Ok(());
        }
        let free = self.free.load(Ordering::Relaxed);
        Err(AppendError::Full { free, min_free: self.min_free })
    }

    pub(crate) fn is_tight(&self) -> bool {
        self.tight.load(Ordering::Relaxed)
    }

    /// Bytes free at the last look.
    pub(crate) fn free(&self) -> u64 {
        self.free.load(Ordering::Relaxed)
    }

    /// Something found no room: the reserve goes, and ingest stops until there is room again.
    pub(crate) fn met_full(&self, disk: &dyn Disk) {
        self.met_full.store(true, Ordering::Relaxed);
        self.tight.store(true, Ordering::Relaxed);
        if has_reserve(disk) {
            // Where even this fails there is nothing left to give.
            let _ = disk.remove(RESERVE);
        }
    }

    /// Looks at the disk: stops ingest, or lets it go on. Resuming takes a quarter more than the
    /// minimum and the whole reserve, so that it does not flap.
    pub(crate) fn look(&self, disk: &dyn Disk) {
        let Ok(free) = disk.free_space() else { return };
        self.free.store(free, Ordering::Relaxed);
        if free < self.min_free {
            self.tight.store(true, Ordering::Relaxed);
            return;
        }
        let was_full = self.met_full.swap(false, Ordering::Relaxed);
        let enough = !self.is_tight() || free >= self.min_free.saturating_add(self.min_free / 4);
        if was_full || !enough {
            return;
        }
        let missing = self.reserve > 0 && !has_reserve(disk);
        let made = if missing { self.make_reserve(disk) } else { Ok(()) };
        // A reserve that finds no room although there was some says that the disk lies. One that
        // cannot be made for another reason is done without.
        let lies = made.is_err_and(|error| error.kind == ErrorKind::StorageFull);
        self.tight.store(lies, Ordering::Relaxed);
    }

    fn make_reserve(&self, disk: &dyn Disk) -> Result<(), DiskError> {
        let made = disk.create(RESERVE)?.allocate(self.reserve);
        if made.is_err() {
            disk.remove(RESERVE)?;
        }
        made
    }
}

fn has_reserve(disk: &dyn Disk) -> bool {
    match disk.open(RESERVE) {
        Ok(_) => true,
        Err(error) => error.kind != ErrorKind::NotFound,
    }
}
