//! A hash or a set: a short vector while small, a paged table once it is not.
//!
//! While small it gives its entries back in the order they came, as Redis's small hashes do.

use super::table::{Bytes, Table, renew};

/// A map stays a vector up to so many entries (Redis's `hash-max-listpack-entries`).
const SMALL_ENTRIES: usize = 128;

/// Redis's `hash-max-listpack-value`.
const LISTPACK_BYTES: usize = 64;

/// Entries by byte string.
#[derive(Clone, Debug)]
pub struct Map<V>(Shape<V>);

#[derive(Clone, Debug)]
enum Shape<V> {
    Small(Vec<(Bytes, V)>),
    Large(Table<V>),
}

/// What a map can hold: something with a length in bytes.
pub trait Weight: Clone {
    /// Bytes of the value itself.
    fn weight(&self) -> usize;
}

impl Weight for () {
    fn weight(&self) -> usize {
        0
    }
}

impl Weight for Bytes {
    fn weight(&self) -> usize {
        self.len()
    }
}

impl Weight for f64 {
    fn weight(&self) -> usize {
        0
    }
}

impl<V> Default for Map<V> {
    fn default() -> Map<V> {
        Map(Shape::Small(Vec::new()))
    }
}

impl<V: Weight> Map<V> {
    /// How many entries.
    pub fn len(&self) -> usize {
        match &self.0 {
            Shape::Small(entries) => entries.len(),
            Shape::Large(table) => table.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of `key`.
    pub fn get(&self, key: &[u8]) -> Option<&V> {
        match &self.0 {
            Shape::Small(entries) => entries.iter().find(|(k, _)| **k == *key).map(|(_, v)| v),
            Shape::Large(table) => table.get(key),
        }
    }

    /// All entries.
    pub fn iter(&self) -> Box<dyn Iterator<Item = (&Bytes, &V)> + '_> {
        match &self.0 {
            Shape::Small(entries) => Box::new(entries.iter().map(|(k, v)| (k, v))),
            Shape::Large(table) => Box::new(table.iter()),
        }
    }

    /// Shows whole pages from `cursor` on as [`Table::scan`] does; a small map all at once.
    pub(super) fn scan<'a>(
        &'a self,
        cursor: u64,
        count: usize,
        see: &mut dyn FnMut(&'a Bytes, &'a V),
    ) -> u64 {
        match &self.0 {
            Shape::Small(entries) => {
                entries.iter().for_each(|(key, value)| see(key, value));
                0
            }
            Shape::Large(table) => table.scan(cursor, count, see),
        }
    }

    /// Some entry, each as likely as any other; `random` gives the numbers to choose by.
    pub(super) fn pick(&self, random: &mut dyn FnMut() -> u64) -> Option<(&Bytes, &V)> {
        match &self.0 {
            Shape::Small(entries) => {
                let at = (random() as usize).checked_rem(entries.len())?;
                entries.get(at).map(|(key, value)| (key, value))
            }
            Shape::Large(table) => table.draw(random),
        }
    }

    /// Whether Redis would keep it as a listpack: few entries, and none long.
    pub(super) fn fits_listpack(&self) -> bool {
        let short = |(key, value): &(Bytes, V)| key.len().max(value.weight()) <= LISTPACK_BYTES;
        matches!(&self.0, Shape::Small(entries) if entries.iter().all(short))
    }

    pub(super) fn insert(&mut self, key: &[u8], value: V) {
        match self.get_mut(key) {
            Some(old) => *old = value,
            None => self.add(key, value),
        }
    }

    fn get_mut(&mut self, key: &[u8]) -> Option<&mut V> {
        match &mut self.0 {
            Shape::Small(entries) => entries.iter_mut().find(|(k, _)| **k == *key).map(|(_, v)| v),
            Shape::Large(table) => table.get_mut(key),
        }
    }

    /// Adds an entry whose key is not there.
    fn add(&mut self, key: &[u8], value: V) {
        if matches!(&self.0, Shape::Small(entries) if entries.len() >= SMALL_ENTRIES) {
            self.enlarge();
        }
        match &mut self.0 {
            Shape::Small(entries) => entries.push((key.into(), value)),
            Shape::Large(table) => table.add(key, value),
        }
    }

    pub(super) fn remove(&mut self, key: &[u8]) {
        match &mut self.0 {
            Shape::Small(entries) => entries.retain(|(k, _)| **k != *key),
            Shape::Large(table) => {
                table.remove(key);
            }
        }
    }

    fn enlarge(&mut self) {
        let mut table = Table::new();
        if let Shape::Small(entries) = &mut self.0 {
            for (key, value) in entries.drain(..) {
                table.add(&key, value);
            }
        }
        self.0 = Shape::Large(table);
    }
}

impl Map<Bytes> {
    /// Sets a field. A value as long as the one before takes its memory.
    pub(super) fn set(&mut self, key: &[u8], value: &[u8]) {
        match self.get_mut(key) {
            Some(old) => renew(old, value),
            None => self.add(key, Bytes::from(value)),
        }
    }
}
