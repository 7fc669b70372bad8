//! What SAVE, BGSAVE and BGREWRITEAOF are here: a sync of the log, and a checkpoint that lets it be cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use super::shared::{LOADING, Shared};

/// What is under way, and how the last of it ended.
#[derive(Debug)]
pub(super) struct Saves {
    pub(super) sync: Job,
    pub(super) rewrite: Job,
    /// When everything before was on the disk, in milliseconds.
    last: AtomicI64,
}

/// Work of one kind, of which one is done at a time.
#[derive(Debug, Default)]
pub(super) struct Job {
    running: AtomicBool,
    failed: AtomicBool,
}

impl Job {
    pub(super) fn runs(&self) -> bool {
        self.running.load(Ordering::Relaxed)
    }

    /// How the last one ended, as INFO says it.
    pub(super) fn status(&self) -> &'static str {
        if self.failed.load(Ordering::Relaxed) { "err" } else { "ok" }
    }

    /// Begins one; false if one is under way.
    fn begin(&self) -> bool {
        !self.running.swap(true, Ordering::Relaxed)
    }

    fn end<T, E: std::fmt::Display>(&self, outcome: &Result<T, E>) {
        if let Err(error) = outcome {
            tracing::warn!(%error, "a save that a Redis client asked for failed");
        }
        self.failed.store(outcome.is_err(), Ordering::Relaxed);
        self.running.store(false, Ordering::Relaxed);
    }
}

impl Saves {
    pub(super) fn new(now: i64) -> Saves {
        Saves { sync: Job::default(), rewrite: Job::default(), last: AtomicI64::new(now) }
    }

    /// When everything before was on the disk, in milliseconds.
    pub(super) fn last(&self) -> i64 {
        self.last.load(Ordering::Relaxed)
    }
}

impl Shared {
    /// Syncs the log and waits for it.
    pub(super) fn save(&self) -> Result<(), String> {
        let now = self.now();
        self.store().ok_or(LOADING)?.sync().map_err(|error| error.to_string())?;
        self.saves.last.fetch_max(now, Ordering::Relaxed);
        Ok(())
    }

    /// Has the log synced by another thread; false if that is under way.
    pub(super) fn save_in_background(self: &Arc<Self>) -> bool {
        let begun = self.saves.sync.begin();
        if begun {
            let shared = Arc::clone(self);
            tokio::task::spawn_blocking(move || shared.saves.sync.end(&shared.save()));
        }
        begun
    }

    fn rewrite(&self) -> Result<(), String> {
        let taken = self.store().ok_or(LOADING)?.checkpoint(self.now());
        taken.map(drop).map_err(|error| error.to_string())
    }

    /// Has a checkpoint taken by another thread, so that the log before it can go; false if that is
    /// under way.
    pub(super) fn rewrite_in_background(self: &Arc<Self>) -> bool {
        let begun = self.saves.rewrite.begin();
        if begun {
            let shared = Arc::clone(self);
            tokio::task::spawn_blocking(move || {
                shared.saves.rewrite.end(&shared.rewrite());
            });
        }
        begun
    }
}
