//! Keys that became series since the start: the newest ones, and news of each further one.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::broadcast;

/// So many are remembered and listed.
const LISTED: usize = 1_000;
/// So many are known as seen; past it a key may be told of again.
const KNOWN: usize = 100_000;
/// A listener this far behind misses some.
const NEWS: usize = 256;

/// A key and the series it feeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecentKey {
    /// The key, as text.
    pub key: String,
    /// Its series, as PromQL selectors.
    pub series: Vec<String>,
    /// Seconds since 1970.
    pub first_seen: f64,
}

/// The keys seen since the start.
#[derive(Debug)]
pub struct RecentKeys {
    state: Mutex<State>,
    news: broadcast::Sender<RecentKey>,
}

#[derive(Debug, Default)]
struct State {
    known: HashSet<Vec<u8>>,
    newest_last: VecDeque<RecentKey>,
}

impl Default for RecentKeys {
    fn default() -> RecentKeys {
        RecentKeys { state: Mutex::default(), news: broadcast::Sender::new(NEWS) }
    }
}

impl RecentKeys {
    /// Takes note of a key; only the first time counts, and only then are its series asked for.
    pub fn note(&self, key: &[u8], now: i64, series: impl FnOnce() -> Vec<String>) {
        let mut state = self.lock();
        if state.known.contains(key) {
            return;
        }
        if state.known.len() >= KNOWN {
            state.known.clear();
        }
        state.known.insert(key.to_vec());
        let recent = RecentKey {
            key: String::from_utf8_lossy(key).into_owned(),
            series: series(),
            first_seen: now as f64 / 1000.0,
        };
        if state.newest_last.len() == LISTED {
            state.newest_last.pop_front();
        }
        state.newest_last.push_back(recent.clone());
        drop(state);
        // Nobody listening is fine.
        let _ = self.news.send(recent);
    }

    /// The newest keys, newest first.
    pub fn list(&self) -> Vec<RecentKey> {
        self.lock().newest_last.iter().rev().cloned().collect()
    }

    /// Keys as they first arrive, from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<RecentKey> {
        self.news.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whoever panicked here left a list that is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_news_once_and_the_newest_is_first() {
        let recent = RecentKeys::default();
        let mut news = recent.subscribe();
        for key in ["a", "b", "a"] {
            recent.note(key.as_bytes(), 1_500, || vec![format!("series_{key}")]);
        }
        let keys: Vec<_> = recent.list().into_iter().map(|recent| recent.key).collect();
        assert_eq!(keys, ["b", "a"]);
        assert_eq!(news.try_recv().unwrap().series, ["series_a"]);
        assert_eq!(news.try_recv().unwrap().first_seen, 1.5);
        assert!(news.try_recv().is_err());
    }
}
