//! Keys that are set aside: the target refused what happened to them, or was found to have something else.
//!
//! What happens to such a key is not sent any more. Soon after, the key is written whole as it is then, and goes
//! on with the others; where that is refused too, it is tried again later and later.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// More keys than these are a target of its own: all of it is written anew.
pub(super) const MOST: usize = 1000;
/// Pauses between attempts to write a key: the first after one was refused, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(600));

/// Keys that are set aside, as they are called here.
#[derive(Debug, Default)]
pub(super) struct Aside(Mutex<BTreeMap<Vec<u8>, Why>>);

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
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Vec<u8>, Why>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets a key aside; whether it was not before.
    pub(super) fn add(&self, key: &[u8], error: &str) -> bool {
        let mut keys = self.lock();
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
        if let Some(why) = self.lock().get_mut(key) {
            why.due = Instant::now() + why.pause;
            why.pause = (why.pause * 2).min(PAUSE.1);
        }
    }

    pub(super) fn remove(&self, key: &[u8]) {
        self.lock().remove(key);
    }

    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    pub(super) fn names(&self) -> Vec<Vec<u8>> {
        self.lock().keys().cloned().collect()
    }

    /// Those that are to be written now.
    pub(super) fn due(&self) -> Vec<Vec<u8>> {
        let now = Instant::now();
        let keys = self.lock();
        keys.iter().filter(|(_, why)| why.due <= now).map(|(key, _)| key.clone()).collect()
    }

    /// All, with why.
    pub(super) fn list(&self) -> Vec<(Vec<u8>, Why)> {
        self.lock().iter().map(|(key, why)| (key.clone(), why.clone())).collect()
    }
}
