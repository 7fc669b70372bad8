//! A map by entry number in sorted blocks that are shared with views: a change copies one block.
//!
//! Invariant: blocks are sorted and none is empty.

use std::sync::Arc;

use super::StreamId;

/// A block is split in two when it holds more than this.
const BLOCK: usize = 256;

type Block<V> = Arc<Vec<(StreamId, V)>>;

/// Values by number.
#[derive(Clone, Debug)]
pub(crate) struct Paged<V> {
    blocks: Vec<Block<V>>,
    len: usize,
}

impl<V> Default for Paged<V> {
    fn default() -> Paged<V> {
        Paged { blocks: Vec::new(), len: 0 }
    }
}

impl<V: Clone> Paged<V> {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of a number.
    pub(crate) fn get(&self, id: StreamId) -> Option<&V> {
        self.from(id).next().filter(|(found, _)| *found == id).map(|(_, value)| value)
    }

    /// All from a number on, lowest first.
    pub(crate) fn from(&self, id: StreamId) -> impl Iterator<Item = (StreamId, &V)> {
        let at = self.block_of(id);
        let blocks = self.blocks.get(at..).unwrap_or_default();
        let skip = blocks.first().map_or(0, |block| block.partition_point(|(i, _)| *i < id));
        blocks.iter().flat_map(|block| block.iter()).skip(skip).map(|(id, value)| (*id, value))
    }

    /// The lowest and the highest number.
    pub(crate) fn ends(&self) -> Option<(StreamId, StreamId)> {
        let first = self.blocks.first()?.first()?.0;
        let last = self.blocks.last()?.last()?.0;
        Some((first, last))
    }

    /// The first block that holds a number as high.
    fn block_of(&self, id: StreamId) -> usize {
        self.blocks.partition_point(|block| block.last().is_some_and(|(last, _)| *last < id))
    }

    pub(crate) fn insert(&mut self, id: StreamId, value: V) -> Option<V> {
        let at = self.block_of(id).min(self.blocks.len().saturating_sub(1));
        let Some(shared) = self.blocks.get_mut(at) else {
            self.blocks.push(Arc::new(vec![(id, value)]));
            self.len = 1;
            return None;
        };
        let block = Arc::make_mut(shared);
        match block.binary_search_by_key(&id, |(id, _)| *id) {
            Ok(found) => block.get_mut(found).map(|(_, old)| std::mem::replace(old, value)),
            Err(place) => {
                block.insert(place, (id, value));
                self.len += 1;
                if block.len() > BLOCK {
                    // What comes in order fills its blocks.
                    let upper = block.split_off(if place == BLOCK { BLOCK } else { BLOCK / 2 });
                    self.blocks.insert(at + 1, Arc::new(upper));
                }
                None
            }
        }
    }

    pub(crate) fn remove(&mut self, id: StreamId) -> Option<V> {
        let at = self.block_of(id);
        let shared = self.blocks.get_mut(at)?;
        let place = shared.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        let block = Arc::make_mut(shared);
        let (_, value) = block.remove(place);
        if block.is_empty() {
            self.blocks.remove(at);
        }
        self.len -= 1;
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn equals_a_map_while_entries_come_and_go_and_views_do_not_change() {
        let (mut paged, mut model) = (Paged::default(), BTreeMap::new());
        let mut frozen = Vec::new();
        let mut state = 5_u64;
        for round in 0..8_000_u64 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let id = StreamId { ms: (state >> 33) % 30, seq: (state >> 50) % 50 };
            if (state >> 20) % 10 < if round < 5_000 { 7 } else { 3 } {
                assert_eq!(paged.insert(id, round), model.insert(id, round));
            } else {
                assert_eq!(paged.remove(id), model.remove(&id));
            }
            assert_eq!(paged.len(), model.len());
            assert_eq!(paged.get(id), model.get(&id));
            if round % 2_000 == 0 {
                frozen.push((paged.clone(), model.clone()));
            }
        }
        frozen.push((paged, model));
        for (paged, model) in frozen {
            let from = StreamId { ms: 9, seq: 3 };
            assert!(paged.from(from).eq(model.range(from..).map(|(id, v)| (*id, v))));
            let ends = model.first_key_value().zip(model.last_key_value());
            assert_eq!(paged.ends(), ends.map(|((first, _), (last, _))| (*first, *last)));
        }
    }
}
