//! A hash table whose pages are shared with views: linear hashing over copy-on-write pages.
//!
//! The pages stand in blocks, which are shared too: a freeze counts blocks, of which there are few.
//!
//! Page `i` holds the keys whose low hash bits say `i`. The table grows by splitting one page at a
//! time, so no insert ever pays for all, and a write after a freeze copies one page. Scanning walks
//! the hash space in bit-reversed order: splitting or joining pages only divides or joins intervals
//! of that order, so a scan that runs while the table changes shows every key that stays.

mod pages;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use pages::{Page, Pages, Slot};

/// An immutable byte string, shared between the table, views and indexes.
pub type Bytes = Arc<[u8]>;

/// Makes a byte string another one: in its own memory, if nobody shares that and it is as long.
pub(super) fn renew(bytes: &mut Bytes, new: &[u8]) {
    match Arc::get_mut(bytes) {
        Some(room) if room.len() == new.len() => room.copy_from_slice(new),
        _ => *bytes = Bytes::from(new),
    }
}

/// Keys a page holds on average before the table grows, and below which it shrinks.
const GROW_AT: usize = 8;
const SHRINK_AT: usize = 2;

/// A map from byte strings to `V`. A clone costs a reference count a block of pages.
#[derive(Clone, Debug)]
pub(super) struct Table<V> {
    pages: Pages<V>,
    len: usize,
    /// Drawn at random, so that nobody outside can choose keys that share a page.
    seed: u64,
}

impl<V: Clone> Table<V> {
    pub(super) fn new() -> Table<V> {
        let seed = RandomState::new().hash_one(0_u8);
        Table { pages: Pages::one(), len: 0, seed }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&V> {
        self.slot(key).map(|slot| &slot.value)
    }

    /// The key as the table holds it: a shared string.
    pub(super) fn key(&self, key: &[u8]) -> Option<&Bytes> {
        self.slot(key).map(|slot| &slot.key)
    }

    /// The value, for change; its page is copied if a view shares it.
    pub(super) fn get_mut(&mut self, key: &[u8]) -> Option<&mut V> {
        let hash = self.hash(key);
        let index = page_of(hash, self.pages.len());
        let at = self.pages.get(index)?.position(hash, key)?;
        self.pages.get_mut(index)?.value_mut(at)
    }

    /// The value, for change, made by `new` if there is none.
    pub(super) fn entry(&mut self, key: &[u8], new: impl FnOnce() -> V) -> Option<&mut V> {
        let hash = self.hash(key);
        let mut index = page_of(hash, self.pages.len());
        let found = self.pages.get(index)?.position(hash, key);
        if found.is_none() {
            self.pages.get_mut(index)?.push(Slot { hash, key: Arc::from(key), value: new() });
            self.added();
            index = page_of(hash, self.pages.len());
        }
        let page = self.pages.get_mut(index)?;
        let at = found.or_else(|| page.position(hash, key))?;
        page.value_mut(at)
    }

    fn added(&mut self) {
        self.len += 1;
        if self.len > self.pages.len() * GROW_AT {
            self.split();
        }
    }

    /// Sets a value and gives back the old one.
    pub(super) fn insert(&mut self, key: &[u8], value: V) -> Option<V> {
        if let Some(old) = self.get_mut(key) {
            return Some(std::mem::replace(old, value));
        }
        self.add(key, value);
        None
    }

    /// Adds a key that is not there.
    pub(super) fn add(&mut self, key: &[u8], value: V) {
        let hash = self.hash(key);
        let index = page_of(hash, self.pages.len());
        if let Some(page) = self.pages.get_mut(index) {
            page.push(Slot { hash, key: Arc::from(key), value });
            self.added();
        }
    }

    pub(super) fn remove(&mut self, key: &[u8]) -> Option<V> {
        let hash = self.hash(key);
        let index = page_of(hash, self.pages.len());
        let at = self.pages.get(index)?.position(hash, key)?;
        let slot = self.pages.get_mut(index)?.remove(at);
        self.len -= 1;
        if self.pages.len() > 1 && self.len < self.pages.len() * SHRINK_AT {
            self.join();
        }
        Some(slot.value)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Bytes, &V)> {
        self.pages.iter().flat_map(|page| page.slots().iter().map(|s| (&s.key, &s.value)))
    }

    /// Shows whole pages from `cursor` on until at least `count` keys were seen; gives the cursor to
    /// go on from, 0 at the end.
    pub(super) fn scan<'a>(
        &'a self,
        cursor: u64,
        count: usize,
        see: &mut dyn FnMut(&'a Bytes, &'a V),
    ) -> u64 {
        let mut at = cursor.reverse_bits();
        let mut seen = 0;
        loop {
            let index = page_of(at.reverse_bits(), self.pages.len());
            for slot in self.pages.get(index).into_iter().flat_map(|page| page.slots()) {
                if slot.hash.reverse_bits() >= at {
                    see(&slot.key, &slot.value);
                    seen += 1;
                }
            }
            at = after(index, self.pages.len());
            if at == 0 || seen >= count {
                return at.reverse_bits();
            }
        }
    }

    /// Some key, chosen by `random`; `None` when there are none.
    pub(super) fn pick(&self, random: u64) -> Option<(&Bytes, &V)> {
        let start = page_of(random, self.pages.len());
        let around = (start..self.pages.len()).chain(0..start);
        let mut pages = around.filter_map(|index| self.pages.get(index)).map(|page| page.slots());
        let slots = pages.find(|slots| !slots.is_empty())?;
        let at = (random >> 32) as usize % slots.len();
        slots.get(at).map(|slot| (&slot.key, &slot.value))
    }

    /// Some entry, each as likely as any other: a page and a slot are drawn until the slot exists.
    pub(super) fn draw(&self, random: &mut dyn FnMut() -> u64) -> Option<(&Bytes, &V)> {
        /// More slots than a page ever has, but for the odd page, whose last slots come less often.
        const SLOTS: usize = 64;
        const TRIES: usize = 10_000;
        for _ in 0..TRIES {
            let number = random();
            let page = self.pages.get((number >> 32) as usize % self.pages.len());
            let slot = page.and_then(|page| page.slots().get(number as usize % SLOTS));
            if let Some(slot) = slot {
                return Some((&slot.key, &slot.value));
            }
        }
        self.pick(random())
    }

    fn hash(&self, key: &[u8]) -> u64 {
        xxhash_rust::xxh3::xxh3_64_with_seed(key, self.seed)
    }

    fn slot(&self, key: &[u8]) -> Option<&Slot<V>> {
        let hash = self.hash(key);
        let page = self.pages.get(page_of(hash, self.pages.len()))?;
        page.slots().get(page.position(hash, key)?)
    }

    /// Adds one page: the lowest page not yet split at this level gives it half of its keys.
    fn split(&mut self) {
        let new = self.pages.len();
        let buddy = new - (new + 1).next_power_of_two() / 2;
        let Some(page) = self.pages.get_mut(buddy) else { return };
        let slots = std::mem::replace(page, Page::of(Vec::new())).into_slots();
        let (moved, kept) = slots.into_iter().partition(|s| page_of(s.hash, new + 1) == new);
        *page = Page::of(kept);
        self.pages.push(Page::of(moved));
    }

    /// Takes the last page away: its keys go back to the page it was split from.
    fn join(&mut self) {
        let Some(last) = self.pages.pop() else { return };
        let left = self.pages.len();
        let buddy = left - (left + 1).next_power_of_two() / 2;
        if let Some(page) = self.pages.get_mut(buddy) {
            last.into_slots().into_iter().for_each(|slot| page.push(slot));
        }
    }
}

/// The page of a hash in a table of `pages` pages.
fn page_of(hash: u64, pages: usize) -> usize {
    let level = pages.next_power_of_two();
    let index = hash as usize & (level - 1);
    if index < pages { index } else { index & (level / 2 - 1) }
}

/// Where, in bit-reversed order, the interval after page `index` begins; 0 after the last.
fn after(index: usize, pages: usize) -> u64 {
    let level = pages.next_power_of_two();
    let half = level / 2;
    let split = index >= half || index < pages - half;
    let depth = if split { level.trailing_zeros() } else { half.trailing_zeros() };
    match depth {
        0 => 0,
        depth => (index as u64).reverse_bits().wrapping_add(1 << (64 - depth)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn equals_a_map_while_it_grows_and_shrinks_and_views_do_not_change() {
        let mut table = Table::new();
        let mut model = HashMap::new();
        let mut frozen = Vec::new();
        let mut state = 7_u64;
        for round in 0..20_000_u64 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let key = format!("k{}", (state >> 33) % 3000).into_bytes();
            let growing = round < 8_000;
            if (state >> 20) % 10 < if growing { 8 } else { 2 } {
                assert_eq!(table.insert(&key, round), model.insert(key, round));
            } else {
                assert_eq!(table.remove(&key), model.remove(&key));
            }
            assert_eq!(table.len(), model.len());
            if round % 4_000 == 0 {
                frozen.push((table.clone(), model.clone()));
            }
        }
        frozen.push((table, model));
        for (table, model) in frozen {
            let seen: HashMap<Vec<u8>, u64> = table.iter().map(|(k, v)| (k.to_vec(), *v)).collect();
            assert_eq!(seen, model);
            assert!(model.iter().all(|(k, v)| table.get(k) == Some(v)));
        }
    }

    #[test]
    fn a_scan_shows_every_key_that_stays_once_while_others_come_and_go() {
        for (start, grow) in [(50, true), (3_000, false), (1, true)] {
            let mut table = Table::new();
            for i in 0..start {
                table.insert(format!("stays{i}").as_bytes(), ());
                table.insert(format!("goes{i}").as_bytes(), ());
            }
            let mut seen: HashMap<Vec<u8>, u32> = HashMap::new();
            let (mut cursor, mut step) = (0, 0);
            loop {
                cursor =
                    table.scan(cursor, 10, &mut |k, ()| *seen.entry(k.to_vec()).or_default() += 1);
                if cursor == 0 {
                    break;
                }
                for i in step * 20..step * 20 + 20 {
                    table.remove(format!("goes{i}").as_bytes());
                    if grow {
                        table.insert(format!("new{i}").as_bytes(), ());
                    }
                }
                step += 1;
            }
            for i in 0..start {
                assert_eq!(seen.get(format!("stays{i}").as_bytes()), Some(&1), "{start} {i}");
            }
        }
    }
}
