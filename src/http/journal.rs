//! The journal of running queries: a file with a slot for each, written when a query starts and
//! cleared when it ends. What a crash leaves in it names the culprit at the next start.
//!
//! Nothing here may stop a query: a journal that cannot be written is given up with a warning.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of a slot; longer queries are cut.
const SLOT: usize = 2048;

/// A file of slots.
#[derive(Debug)]
pub struct Journal {
    file: Option<File>,
    free: Mutex<Vec<u64>>,
}

/// A query in its slot, which is cleared when this is dropped.
#[derive(Debug)]
pub(super) struct Entry {
    journal: Arc<Journal>,
    slot: u64,
}

impl Journal {
    /// Opens the journal with room for `slots` queries; also gives the queries that ran when the
    /// node last ended without a goodbye.
    pub fn open(path: &Path, slots: usize) -> io::Result<(Journal, Vec<String>)> {
        let mut file =
            File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut left = Vec::new();
        file.read_to_end(&mut left)?;
        let unfinished = left
            .chunks(SLOT)
            .map(|slot| slot.split(|b| *b == 0).next().unwrap_or_default())
            .filter(|text| !text.is_empty())
            .map(|text| String::from_utf8_lossy(text).into_owned())
            .collect();
        file.set_len(0)?;
        file.set_len((slots * SLOT) as u64)?;
        let free = (0..slots as u64).rev().collect();
        Ok((Journal { file: Some(file), free: Mutex::new(free) }, unfinished))
    }

    /// One that writes nothing.
    pub fn none() -> Journal {
        Journal { file: None, free: Mutex::default() }
    }

    /// Notes that a query starts; `None` where no slot is free.
    pub(super) fn start(self: &Arc<Journal>, query: &str) -> Option<Entry> {
        let file = self.file.as_ref()?;
        let slot = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
        let mut text = [0; SLOT];
        let length = query.floor_char_boundary(SLOT - 1);
        for (to, from) in text.iter_mut().zip(query.bytes().take(length)) {
            // A zero ends the text.
            *to = if from == 0 { b' ' } else { from };
        }
        let entry = Entry { journal: Arc::clone(self), slot };
        let length = (length + 1).min(SLOT);
        let written = file.write_all_at(text.get(..length).unwrap_or(&text), slot * SLOT as u64);
        if let Err(error) = written {
            tracing::warn!(%error, "the journal of running queries cannot be written");
        }
        Some(entry)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(file) = &self.journal.file {
            // Without this a query that ended would be suspected; nothing worse.
            let _ = file.write_all_at(&[0], self.slot * SLOT as u64);
        }
        self.journal.free.lock().unwrap_or_else(PoisonError::into_inner).push(self.slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_end_is_found_at_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("queries");
        let (journal, left) = Journal::open(&path, 3).unwrap();
        assert!(left.is_empty());
        let journal = Arc::new(journal);
        let first = journal.start("up");
        let long = format!("{}é", "x".repeat(SLOT));
        let second = journal.start(&long);
        drop(journal.start("ended\0"));
        let third = journal.start("a\0b");
        assert!(third.is_some() && journal.start("no slot is left").is_none());
        drop(first);
        // As in a crash, nothing is dropped.
        std::mem::forget((second, third));
        let (_, left) = Journal::open(&path, 3).unwrap();
        assert_eq!(left, ["x".repeat(SLOT - 1), "a b".to_owned()]);
        assert!(Journal::open(&path, 3).unwrap().1.is_empty());
    }
}
