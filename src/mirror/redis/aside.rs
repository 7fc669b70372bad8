//! Keys that are set aside: the target refused what happened to them, or was found to have something else.
//!
//! What happens to such a key is not sent any more. Soon after, the key is written whole as it is then, and goes
//! on with the others; where that is refused too, it is tried again later and later.
//!
//! Keys are in doubt that were sent something of which nobody heard whether it was refused; they go on, and are
//! compared (`doubt`). Both stand in the target beside the cursor, as it moves them: an array, as Redis's protocol
//! writes it, of keys and why they are set aside; nothing behind those that are in doubt.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::remote::client::command;
use crate::replication::{MAX_STRING, next_command};

/// More keys than these are a target of its own: all of it is written anew.
pub(super) const MOST: usize = 1000;
/// Pauses between attempts to write a key: the first after one was refused, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(600));

/// Keys that are set aside, as they are called here.
#[derive(Debug, Default)]
pub(super) struct Aside(Mutex<Keys>);

#[derive(Debug, Default)]
struct Keys {
    refused: BTreeMap<Vec<u8>, Why>,
    doubtful: BTreeSet<Vec<u8>>,
}

/// Why one is, and when it is written.
#[derive(Clone, Debug)]
pub(super) struct Why {
    pub(super) error: String,
    /// When it was set aside, in milliseconds since 1970.
    pub(super) since: i64,
    due: Instant,
    pause: Duration,
}

impl Aside {
    fn lock(&self) -> MutexGuard<'_, Keys> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets a key aside; whether it was not before.
    pub(super) fn add(&self, key: &[u8], error: &str) -> bool {
        let keys = &mut self.lock().refused;
        if keys.contains_key(key) {
            return false;
        }
        let (since, due) = (crate::clock::now_ms(), Instant::now());
        let why = Why { error: error.to_owned(), since, due, pause: PAUSE.0 };
        keys.insert(key.to_vec(), why);
        true
    }

    /// It could not be written: later, then.
    pub(super) fn refused(&self, key: &[u8]) {
        if let Some(why) = self.lock().refused.get_mut(key) {
            why.due = Instant::now() + why.pause;
            why.pause = (why.pause * 2).min(PAUSE.1);
        }
    }

    pub(super) fn remove(&self, key: &[u8]) {
        self.lock().refused.remove(key);
    }

    pub(super) fn clear(&self) {
        *self.lock() = Keys::default();
    }

    pub(super) fn len(&self) -> usize {
        self.lock().refused.len()
    }

    pub(super) fn names(&self) -> Vec<Vec<u8>> {
        self.lock().refused.keys().cloned().collect()
    }

    /// Those that are to be written now.
    pub(super) fn due(&self) -> Vec<Vec<u8>> {
        let now = Instant::now();
        let keys = self.lock();
        keys.refused.iter().filter(|(_, why)| why.due <= now).map(|(key, _)| key.clone()).collect()
    }

    /// All, with why.
    pub(super) fn list(&self) -> Vec<(Vec<u8>, Why)> {
        self.lock().refused.iter().map(|(key, why)| (key.clone(), why.clone())).collect()
    }

    /// Keys of which nobody heard whether they were refused; how many there are now.
    pub(super) fn doubt(&self, keys: impl IntoIterator<Item = Vec<u8>>) -> usize {
        let doubtful = &mut self.lock().doubtful;
        doubtful.extend(keys);
        doubtful.len()
    }

    /// Some of those that are in doubt.
    pub(super) fn doubtful(&self, most: usize) -> Vec<Vec<u8>> {
        self.lock().doubtful.iter().take(most).cloned().collect()
    }

    /// These are in doubt no more.
    pub(super) fn judged(&self, keys: &[Vec<u8>]) {
        let doubtful = &mut self.lock().doubtful;
        doubtful.retain(|known| !keys.contains(known));
    }

    /// As it stands in the target; nothing if nothing is set aside or in doubt.
    pub(super) fn text(&self) -> Vec<u8> {
        let keys = self.lock();
        let refused = keys.refused.iter().map(|(key, why)| (key, why.error.as_bytes()));
        let doubtful = keys.doubtful.iter().map(|key| (key, &b""[..]));
        let words: Vec<&[u8]> =
            refused.chain(doubtful).flat_map(|(key, why)| [key.as_slice(), why]).collect();
        let mut text = Vec::new();
        if !words.is_empty() {
            command(&mut text, &words);
        }
        text
    }

    /// Adds what stands in the target; whether that is understood.
    pub(super) fn take(&self, text: &[u8]) -> bool {
        let words = match next_command(text, MAX_STRING) {
            _ if text.is_empty() => Vec::new(),
            Ok(Some((words, length))) if length == text.len() && words.len() % 2 == 0 => words,
            _ => return false,
        };
        for pair in words.chunks_exact(2) {
            match pair {
                [key, b""] => drop(self.doubt([key.to_vec()])),
                [key, why] => drop(self.add(key, &String::from_utf8_lossy(why))),
                _ => {}
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let aside = Aside::default();
        assert_eq!(aside.text(), b"");
        aside.add(b"a\r\n\xff", "NOPERM");
        aside.doubt([b"b".to_vec()]);
        let again = Aside::default();
        assert!(again.take(&aside.text()) && again.take(b""));
        assert_eq!(again.names(), [b"a\r\n\xff".to_vec()]);
        assert_eq!(
            (again.list()[0].1.error.as_str(), again.doubtful(9)),
            ("NOPERM", vec![b"b".to_vec()])
        );
        assert_eq!(again.text(), aside.text());
        for nonsense in [&b"x"[..], b"*1\r\n$1\r\na\r\n", b"*2\r\n$1\r\na\r\n$0\r\n\r\nx"] {
            assert!(!Aside::default().take(nonsense));
        }
    }
}
