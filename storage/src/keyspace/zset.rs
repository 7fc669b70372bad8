//! A sorted set: members by score, then by their bytes, with ranks.
//!
//! Invariants: `scores` and the blocks hold the same members; blocks are sorted, none is empty and
//! none longer than `BLOCK`. Blocks are shared with views, so a change after a freeze copies one block.

use std::cmp::Ordering;
use std::sync::Arc;

use super::map::Map;
use super::table::Bytes;

/// A block is split in two when it holds more members than this.
const BLOCK: usize = 256;

/// A Redis sorted set. Scores are never NaN.
#[derive(Clone, Debug, Default)]
pub struct ZSet {
    scores: Map<f64>,
    blocks: Vec<Arc<Vec<Ranked>>>,
}

/// A member at its place.
pub(super) type Ranked = (f64, Bytes);

impl ZSet {
    /// How many members.
    pub fn len(&self) -> usize {
        self.scores.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A member's score.
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        self.scores.get(member).copied()
    }

    /// All members, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = &Ranked> {
        self.blocks.iter().flat_map(|block| block.iter())
    }

    /// The members by name, for scans and random picks.
    pub(super) fn scores(&self) -> &Map<f64> {
        &self.scores
    }

    /// How many members stand before this one.
    pub fn rank(&self, member: &[u8]) -> Option<usize> {
        let score = self.score(member)?;
        Some(self.position(|(s, m)| order(*s, m, score, member) == Ordering::Less))
    }

    /// How many members stand in front of the first for which `before` is false.
    pub fn position(&self, before: impl Fn(&Ranked) -> bool) -> usize {
        let at = self.blocks.partition_point(|block| block.last().is_some_and(&before));
        let ahead: usize = self.blocks.iter().take(at).map(|block| block.len()).sum();
        ahead + self.blocks.get(at).map_or(0, |block| block.partition_point(&before))
    }

    /// Up to `count` members from rank `start` on.
    pub fn range(&self, start: usize, count: usize) -> Vec<&Ranked> {
        let mut skip = start;
        let mut found = Vec::new();
        for block in &self.blocks {
            if skip >= block.len() {
                skip -= block.len();
                continue;
            }
            found.extend(block.iter().skip(skip).take(count - found.len()));
            skip = 0;
            if found.len() == count {
                break;
            }
        }
        found
    }

    /// Adds a member or moves it.
    pub(super) fn insert(&mut self, member: &[u8], score: f64) {
        // There is one zero, as in Redis's small sorted sets.
        let score = score + 0.0;
        if self.score(member) == Some(score) {
            return;
        }
        self.take_out(member);
        self.scores.insert(member, score);
        let place = |(s, m): &Ranked| order(*s, m, score, member) == Ordering::Less;
        let at = self.blocks.partition_point(|block| block.last().is_some_and(place));
        let at = at.min(self.blocks.len().saturating_sub(1));
        match self.blocks.get_mut(at) {
            None => self.blocks.push(Arc::new(vec![(score, member.into())])),
            Some(block) => {
                let block = Arc::make_mut(block);
                block.insert(block.partition_point(place), (score, member.into()));
                if block.len() > BLOCK {
                    let upper = block.split_off(BLOCK / 2);
                    self.blocks.insert(at + 1, Arc::new(upper));
                }
            }
        }
    }

    /// Takes a member away.
    pub(super) fn remove(&mut self, member: &[u8]) {
        self.take_out(member);
        self.scores.remove(member);
    }

    fn take_out(&mut self, member: &[u8]) {
        let Some(score) = self.score(member) else { return };
        let place = |(s, m): &Ranked| order(*s, m, score, member) == Ordering::Less;
        let at = self.blocks.partition_point(|block| block.last().is_some_and(place));
        let Some(block) = self.blocks.get_mut(at) else { return };
        let block = Arc::make_mut(block);
        let inside = block.partition_point(place);
        if inside < block.len() {
            block.remove(inside);
        }
        if block.is_empty() {
            self.blocks.remove(at);
        }
    }
}

/// The order of two members.
fn order(a: f64, a_member: &[u8], b: f64, b_member: &[u8]) -> Ordering {
    a.partial_cmp(&b).unwrap_or(Ordering::Equal).then_with(|| a_member.cmp(b_member))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_a_sorted_vector_while_members_come_move_and_go() {
        let mut set = ZSet::default();
        let mut model: Vec<(i64, Vec<u8>)> = Vec::new();
        let mut frozen = Vec::new();
        let mut state = 11_u64;
        for round in 0..6_000_u64 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let member = format!("m{}", (state >> 33) % 900).into_bytes();
            let score = (state >> 50) as i64 % 40;
            model.retain(|(_, m)| *m != member);
            if (state >> 20) % 10 < if round < 4_000 { 8 } else { 3 } {
                set.insert(&member, score as f64);
                let at = model.partition_point(|entry| *entry < (score, member.clone()));
                model.insert(at, (score, member.clone()));
                assert_eq!(set.rank(&member), Some(at));
            } else {
                set.remove(&member);
                assert_eq!(set.rank(&member), None);
            }
            assert_eq!(set.len(), model.len());
            if round % 1_500 == 0 {
                frozen.push((set.clone(), model.clone()));
            }
        }
        frozen.push((set, model));
        for (set, model) in frozen {
            let seen: Vec<_> = set.iter().map(|(s, m)| (*s as i64, m.to_vec())).collect();
            assert_eq!(seen, model);
            let part: Vec<_> =
                set.range(5, 300).iter().map(|(s, m)| (*s as i64, m.to_vec())).collect();
            assert_eq!(part, model.iter().skip(5).take(300).cloned().collect::<Vec<_>>());
            assert_eq!(set.position(|(s, _)| *s < 20.0), model.partition_point(|(s, _)| *s < 20));
        }
    }
}
