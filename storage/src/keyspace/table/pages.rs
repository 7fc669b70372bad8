//! The pages of a table, in blocks; clones share both until one of them writes.

use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use super::Bytes;

/// Pages of a block: a clone of all counts so many fewer references, the first write to a block after it so many.
const BLOCK: usize = 64;

/// Pages by their number.
#[derive(Clone, Debug)]
pub(super) struct Pages<V> {
    /// All but the last are full; none is empty.
    blocks: Vec<Arc<Block<V>>>,
    len: usize,
}

/// Inline, so that the way to a page is one step longer and not two.
type Block<V> = SmallVec<[Arc<Page<V>>; BLOCK]>;

#[derive(Clone, Debug)]
pub(super) struct Page<V> {
    /// Of every slot some bits of its hash: a key is looked for here, and only the slot that may be its own is
    /// looked at.
    tags: SmallVec<[u8; 16]>,
    slots: Vec<Slot<V>>,
}

#[derive(Clone, Debug)]
pub(super) struct Slot<V> {
    pub(super) hash: u64,
    pub(super) key: Bytes,
    pub(super) value: V,
}

impl<V: Clone> Pages<V> {
    /// One page, an empty one.
    pub(super) fn one() -> Pages<V> {
        Pages { blocks: vec![Arc::new(smallvec![Arc::new(Page::of(Vec::new()))])], len: 1 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, index: usize) -> Option<&Page<V>> {
        self.blocks.get(index / BLOCK)?.get(index % BLOCK).map(|page| &**page)
    }

    /// The page, for change: it and its block are copied if a clone shares them.
    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Page<V>> {
        let block = Arc::make_mut(self.blocks.get_mut(index / BLOCK)?);
        block.get_mut(index % BLOCK).map(Arc::make_mut)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Page<V>> {
        self.blocks.iter().flat_map(|block| block.iter().map(|page| &**page))
    }

    pub(super) fn push(&mut self, page: Page<V>) {
        let page = Arc::new(page);
        match self.blocks.last_mut() {
            Some(block) if block.len() < BLOCK => Arc::make_mut(block).push(page),
            _ => self.blocks.push(Arc::new(smallvec![page])),
        }
        self.len += 1;
    }

    pub(super) fn pop(&mut self) -> Option<Page<V>> {
        let block = Arc::make_mut(self.blocks.last_mut()?);
        let page = block.pop()?;
        if block.is_empty() {
            self.blocks.pop();
        }
        self.len -= 1;
        Some(Arc::unwrap_or_clone(page))
    }
}

impl<V> Page<V> {
    pub(super) fn of(slots: Vec<Slot<V>>) -> Page<V> {
        Page { tags: slots.iter().map(|slot| tag(slot.hash)).collect(), slots }
    }

    pub(super) fn slots(&self) -> &[Slot<V>] {
        &self.slots
    }

    pub(super) fn value_mut(&mut self, at: usize) -> Option<&mut V> {
        self.slots.get_mut(at).map(|slot| &mut slot.value)
    }

    pub(super) fn push(&mut self, slot: Slot<V>) {
        self.tags.push(tag(slot.hash));
        self.slots.push(slot);
    }

    pub(super) fn remove(&mut self, at: usize) -> Slot<V> {
        self.tags.swap_remove(at);
        self.slots.swap_remove(at)
    }

    pub(super) fn into_slots(self) -> Vec<Slot<V>> {
        self.slots
    }

    pub(super) fn position(&self, hash: u64, key: &[u8]) -> Option<usize> {
        let wanted = tag(hash);
        let mut tagged = self.tags.iter().enumerate().filter(|(_, tag)| **tag == wanted);
        let is_it = |slot: &Slot<V>| slot.hash == hash && *slot.key == *key;
        tagged.find(|(at, _)| self.slots.get(*at).is_some_and(is_it)).map(|(at, _)| at)
    }
}

/// Bits that do not choose the page.
fn tag(hash: u64) -> u8 {
    (hash >> 56) as u8
}
