//! Which blocks go: pure. At most one range a run, the oldest, so that a clock which jumped does not
//! empty the store.

use super::plan::Candidate;
use crate::model::{Labels, Matcher, Timestamp};
use crate::mutants::{Mutant, planted};

/// How much is kept of what.
#[derive(Clone, Debug, Default)]
pub struct Retention {
    /// Bytes of blocks; beyond, the oldest go. `None` = any.
    pub bytes: Option<u64>,
    /// Shorter times for some series; of several that mean a series the first holds.
    pub rules: Vec<Rule>,
}

/// A shorter time for some series.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Which series: all matchers accept them.
    pub matchers: Vec<Matcher>,
    /// How long their samples are kept, in milliseconds.
    pub keep: Timestamp,
}

impl Retention {
    /// How long the samples of a series are kept, if a rule says so.
    pub(crate) fn keeps(&self, labels: &Labels) -> Option<Timestamp> {
        let means = |rule: &&Rule| {
            rule.matchers.iter().all(|m| m.matches(labels.get(m.name()).unwrap_or("")))
        };
        self.rules.iter().find(means).map(|rule| rule.keep)
    }
}

/// Blocks that are wholly older than `age`, or too many: those of the oldest range.
pub(crate) fn expired(
    blocks: &[Candidate],
    age: Option<Timestamp>,
    bytes: Option<u64>,
    now: Timestamp,
) -> Vec<u64> {
    let early = if planted(Mutant::DropTooEarly) { 2 } else { 1 };
    let horizon = age.map(|age| now.saturating_sub(age / early));
    let too_old = |end: &Timestamp| horizon.is_some_and(|horizon| *end < horizon);
    let total: u64 = blocks.iter().map(|b| b.bytes).sum();
    let too_many = bytes.is_some_and(|most| total > most);
    let Some(oldest) = blocks.iter().map(|b| b.meta.max_t).min() else { return Vec::new() };
    if !too_old(&oldest) && !too_many {
        return Vec::new();
    }
    blocks.iter().filter(|b| b.meta.max_t == oldest).map(|b| b.meta.number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::Meta;

    #[test]
    fn the_oldest_range_goes_by_age_or_by_size() {
        let block = |number, max_t| {
            let meta = Meta { number, min_t: max_t - 9, max_t, ..Meta::default() };
            Candidate { meta, bytes: 100, dirty: false, frozen: false }
        };
        let blocks = [block(1, 19), block(2, 29), block(3, 19), block(4, 39)];
        type Case<'a> = (Option<i64>, Option<u64>, i64, &'a [u64]);
        let cases: &[Case<'_>] = &[
            (None, None, 1_000_000, &[]),
            (Some(10), None, 29, &[]),
            (Some(10), None, 30, &[1, 3]),
            (Some(10), None, 1_000_000, &[1, 3]),
            (None, Some(400), 0, &[]),
            (None, Some(399), 0, &[1, 3]),
            (Some(10), Some(1), 0, &[1, 3]),
        ];
        for (age, bytes, now, wanted) in cases {
            assert_eq!(expired(&blocks, *age, *bytes, *now), *wanted, "{age:?} {bytes:?} {now}");
        }
        assert!(expired(&[], Some(1), Some(0), 1_000).is_empty());
    }
}
