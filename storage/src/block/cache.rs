//! Pages of block indexes in memory: at most so many bytes, whatever the number of series and blocks.
//!
//! Two halves: what is asked for goes into the young one; when that is full it becomes the old one,
//! and what was not asked for again by then is forgotten.

use std::any::Any;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;

/// A page by block (a number no other opening of a block has), part and place.
type Key = (u64, u8, u64);
type Held = (Arc<dyn Any + Send + Sync>, usize);

/// What an entry takes beside its page.
const OVERHEAD: usize = 96;

/// The cache. A store has one for all its blocks.
pub struct PageCache {
    /// Of one half.
    most: usize,
    halves: Mutex<Halves>,
    hits: AtomicU64,
    misses: AtomicU64,
    next: AtomicU64,
}

#[derive(Default)]
struct Halves {
    young: HashMap<Key, Held>,
    old: HashMap<Key, Held>,
    young_bytes: usize,
    old_bytes: usize,
}

/// How a cache is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Bytes held.
    pub bytes: u64,
    /// Pages that were there when asked for.
    pub hits: u64,
    /// Pages that had to be read.
    pub misses: u64,
}

impl PageCache {
    /// A cache of about so many bytes.
    pub fn new(bytes: usize) -> PageCache {
        PageCache {
            most: bytes / 2,
            halves: Mutex::default(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            next: AtomicU64::new(0),
        }
    }

    /// How it is used.
    pub fn stats(&self) -> CacheStats {
        let halves = self.lock();
        CacheStats {
            bytes: (halves.young_bytes + halves.old_bytes) as u64,
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
        }
    }

    /// A number for a block that is being opened.
    pub(super) fn enter(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Forgets all pages of a block.
    pub(super) fn leave(&self, block: u64) {
        let mut halves = self.lock();
        let Halves { young, old, young_bytes, old_bytes } = &mut *halves;
        for (half, bytes) in [(young, young_bytes), (old, old_bytes)] {
            half.retain(|key, (_, weight)| {
                let stays = key.0 != block;
                *bytes -= if stays { 0 } else { *weight };
                stays
            });
        }
    }

    /// A page, read if it is not there; `read` says what it weighs.
    pub(super) fn get<T: Any + Send + Sync, E>(
        &self,
        key: Key,
        read: impl FnOnce() -> Result<(T, usize), E>,
    ) -> Result<Arc<T>, E> {
        let known = self.lock().find(&key, self.most);
        if let Some(page) = known.and_then(|page| page.downcast::<T>().ok()) {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return Ok(page);
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        let (page, weight) = read()?;
        let page = Arc::new(page);
        let held: Arc<dyn Any + Send + Sync> = Arc::<T>::clone(&page);
        self.lock().put(key, (held, weight + OVERHEAD), self.most);
        Ok(page)
    }

    fn lock(&self) -> MutexGuard<'_, Halves> {
        self.halves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Halves {
    fn find(&mut self, key: &Key, most: usize) -> Option<Arc<dyn Any + Send + Sync>> {
        if let Some((page, _)) = self.young.get(key) {
            return Some(Arc::clone(page));
        }
        let held = self.old.remove(key)?;
        self.old_bytes -= held.1;
        let page = Arc::clone(&held.0);
        self.put(*key, held, most);
        Some(page)
    }

    fn put(&mut self, key: Key, held: Held, most: usize) {
        if held.1 > most {
            return;
        }
        if self.young_bytes + held.1 > most {
            self.old = std::mem::take(&mut self.young);
            self.old_bytes = std::mem::take(&mut self.young_bytes);
        }
        self.young_bytes += held.1;
        if let Some((_, weight)) = self.young.insert(key, held) {
            self.young_bytes -= weight;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(cache: &PageCache, block: u64, page: u64) -> u64 {
        let read = || Ok::<_, ()>((block * 1000 + page, 100));
        *cache.get((block, 0, page), read).unwrap()
    }

    #[test]
    fn it_is_bounded_and_keeps_what_is_asked_for() {
        let cache = PageCache::new(20 * (100 + OVERHEAD));
        for page in 0..1_000 {
            assert_eq!(get(&cache, 1, page), 1000 + page);
            assert_eq!(get(&cache, 2, 7), 2007);
            assert!(cache.stats().bytes <= 20 * (100 + OVERHEAD as u64));
        }
        let stats = cache.stats();
        assert_eq!((stats.hits, stats.misses), (999, 1001));
        cache.leave(1);
        assert_eq!(cache.stats().bytes, 100 + OVERHEAD as u64);
        cache.leave(2);
        assert_eq!(cache.stats().bytes, 0);
    }

    #[test]
    fn what_is_larger_than_a_half_is_not_kept() {
        let cache = PageCache::new(0);
        assert_eq!(get(&cache, 1, 1), 1001);
        assert_eq!(cache.stats(), CacheStats { bytes: 0, hits: 0, misses: 1 });
    }
}
