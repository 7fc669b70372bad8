//! Which blocks to merge next: pure.
//!
//! Ranges are aligned: a block span, four of them, sixteen, and so on up to the largest. Blocks of
//! one range become one once the range is over, so a sample is written a few times in its life.
//! Blocks that overlap (late data) are merged when what came late is worth rewriting the rest.
//!
//! Of two samples at one time the one from the block with the higher log position holds, and a
//! merged block has the highest of its sources. So blocks may only be merged if no other block that
//! overlaps them has a position in between; [`closed`] sees to that.

use crate::block::Meta;
use crate::model::Timestamp;

/// Blocks of a range that weigh no more are merged at once as far as the range goes.
const SMALL_BYTES: u64 = 8 << 20;
/// Each range is so many of the next smaller.
const STEP: Timestamp = 4;
/// Overlapping blocks are merged when there are so many.
const MANY: usize = 8;
/// Or when the largest is at most so many times the rest.
const LATE_SHARE: u64 = 4;

/// A live block as the planner sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub(crate) meta: Meta,
    pub(crate) bytes: u64,
    /// Whether it holds something that was deleted or has expired.
    pub(crate) dirty: bool,
    /// Whether it does not read, and so is left alone.
    pub(crate) frozen: bool,
}

/// How to plan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// Length of the smallest range.
    pub(crate) span: Timestamp,
    /// No range is longer.
    pub(crate) largest: Timestamp,
    /// A range is over so long after its end.
    pub(crate) delay: Timestamp,
}

impl Policy {
    /// Ranges up to a tenth of the retention, at most 31 days.
    pub(crate) fn new(span: Timestamp, retention: Option<Timestamp>, delay: Timestamp) -> Policy {
        const MONTH: Timestamp = 31 * 24 * 3_600_000;
        let largest = retention.map_or(MONTH, |kept| (kept / 10).min(MONTH)).max(span);
        Policy { span, largest, delay }
    }

    /// Lengths of ranges, ascending.
    fn lengths(self) -> impl DoubleEndedIterator<Item = Timestamp> {
        let grow = move |length: &Timestamp| length.checked_mul(STEP);
        let all = std::iter::successors(Some(self.span), grow);
        let fitting: Vec<Timestamp> = all.take_while(|length| *length <= self.largest).collect();
        fitting.into_iter()
    }
}

/// The numbers of the blocks to merge next (one: to be written anew), or nothing.
pub(crate) fn plan(blocks: &[Candidate], policy: Policy, now: Timestamp) -> Vec<u64> {
    let found = gather(blocks, policy, now)
        .or_else(|| overlapping(blocks))
        .or_else(|| range(blocks, policy, now))
        .or_else(|| dirty(blocks));
    found.into_iter().flatten().map(|block| block.meta.number).collect()
}

/// Small blocks of a range that is over, the largest range first.
fn gather(blocks: &[Candidate], policy: Policy, now: Timestamp) -> Option<Vec<&Candidate>> {
    let small = |group: &Vec<&Candidate>| weight(group) <= SMALL_BYTES;
    policy.lengths().rev().find_map(|length| over(blocks, length, policy, now).find(small))
}

/// Blocks of a range that is over, the smallest range first.
fn range(blocks: &[Candidate], policy: Policy, now: Timestamp) -> Option<Vec<&Candidate>> {
    policy.lengths().skip(1).find_map(|length| over(blocks, length, policy, now).next())
}

/// Groups of at least two blocks that lie in one range of this length, oldest first.
fn over(
    blocks: &[Candidate],
    length: Timestamp,
    policy: Policy,
    now: Timestamp,
) -> impl Iterator<Item = Vec<&Candidate>> {
    let number = move |t: Timestamp| t.div_euclid(length);
    let mut inside: Vec<&Candidate> =
        movable(blocks).filter(|b| number(b.meta.min_t) == number(b.meta.max_t)).collect();
    inside.sort_by_key(|b| b.meta.min_t);
    let groups: Vec<Vec<&Candidate>> = inside
        .chunk_by(|a, b| number(a.meta.min_t) == number(b.meta.min_t))
        .map(<[_]>::to_vec)
        .collect();
    groups.into_iter().filter(move |group| {
        let end = number(group[0].meta.min_t).saturating_add(1).saturating_mul(length);
        let is_over = end.saturating_add(policy.delay) <= now;
        is_over && group.len() > 1 && closed(group, blocks)
    })
}

/// Blocks that overlap, where what is not the largest has come to matter.
fn overlapping(blocks: &[Candidate]) -> Option<Vec<&Candidate>> {
    let mut sorted: Vec<&Candidate> = movable(blocks).collect();
    sorted.sort_by_key(|b| b.meta.min_t);
    let mut group: Vec<&Candidate> = Vec::new();
    let mut end = Timestamp::MIN;
    for block in sorted.into_iter().map(Some).chain([None]) {
        if let Some(block) = block
            && (group.is_empty() || block.meta.min_t <= end)
        {
            end = end.max(block.meta.max_t);
            group.push(block);
            continue;
        }
        let most = group.iter().map(|b| b.bytes).max().unwrap_or(0);
        let late = weight(&group) - most;
        let matters = late >= most / LATE_SHARE || group.len() >= MANY;
        if group.len() > 1 && matters && closed(&group, blocks) {
            return Some(group);
        }
        end = block.map_or(end, |b| b.meta.max_t);
        group = block.into_iter().collect();
    }
    None
}

/// The oldest block with something to leave out.
fn dirty(blocks: &[Candidate]) -> Option<Vec<&Candidate>> {
    let oldest = movable(blocks).filter(|b| b.dirty).min_by_key(|b| b.meta.min_t);
    oldest.map(|block| vec![block])
}

fn movable(blocks: &[Candidate]) -> impl Iterator<Item = &Candidate> {
    blocks.iter().filter(|b| !b.frozen)
}

fn weight(group: &[&Candidate]) -> u64 {
    group.iter().map(|b| b.bytes).sum()
}

/// Whether no other block that overlaps the group stands between its log positions.
fn closed(group: &[&Candidate], blocks: &[Candidate]) -> bool {
    let ends = |f: fn(&Meta) -> (i64, u64)| group.iter().map(move |b| f(&b.meta));
    let (min_t, low) = ends(|m| (m.min_t, m.position))
        .fold((i64::MAX, u64::MAX), |a, b| (a.0.min(b.0), a.1.min(b.1)));
    let (max_t, high) =
        ends(|m| (m.max_t, m.position)).fold((i64::MIN, 0), |a, b| (a.0.max(b.0), a.1.max(b.1)));
    let between = |b: &&Candidate| {
        let overlaps = b.meta.min_t <= max_t && min_t <= b.meta.max_t;
        overlaps && low < b.meta.position && b.meta.position < high
    };
    let member = |b: &Candidate| group.iter().any(|g| g.meta.number == b.meta.number);
    !blocks.iter().filter(between).any(|b| !member(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Timestamp = 3_600_000;
    const MIB: u64 = 1 << 20;

    fn policy() -> Policy {
        Policy::new(2 * HOUR, Some(100 * 24 * HOUR), HOUR)
    }

    /// Number, hours, MiB, log position.
    fn block(number: u64, hours: (i64, i64), mib: u64, position: u64) -> Candidate {
        let (min_t, max_t) = (hours.0 * HOUR, hours.1 * HOUR - 1);
        let meta = Meta { number, min_t, max_t, position, ..Meta::default() };
        Candidate { meta, bytes: mib * MIB, dirty: false, frozen: false }
    }

    #[test]
    fn plans() {
        let two_hours = |n: u64, mib| {
            let start = n as i64 * 2;
            block(n, (start, start + 2), mib, n)
        };
        let dirty = |b: Candidate| Candidate { dirty: true, ..b };
        let day: Vec<_> = (0..12).map(|n| two_hours(n, 20)).collect();
        let tiny: Vec<_> = (0..12).map(|n| two_hours(n, 0)).collect();
        let merged = |n: u64, hours, mib| block(n, hours, mib, n);
        type Case<'a> = (&'a str, Vec<Candidate>, i64, &'a [u64]);
        let cases: &[Case<'_>] = &[
            ("nothing", vec![], 100, &[]),
            ("four make the next range, the oldest first", day.clone(), 30, &[0, 1, 2, 3]),
            ("not before the range is over", day[..4].to_vec(), 8, &[]),
            ("an hour later it is", day[..4].to_vec(), 9, &[0, 1, 2, 3]),
            ("a range with a hole", vec![day[0], day[3]], 30, &[0, 3]),
            (
                "small ones go as far as their range at once",
                tiny,
                40,
                &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
            ),
            (
                "a little late data waits",
                vec![block(0, (0, 8), 100, 9), block(20, (2, 4), 1, 20)],
                8,
                &[],
            ),
            (
                "much late data does not",
                vec![block(0, (0, 8), 100, 9), block(20, (2, 4), 30, 20)],
                8,
                &[0, 20],
            ),
            (
                "the next range takes late data along",
                vec![
                    merged(30, (0, 8), 80),
                    merged(31, (8, 16), 80),
                    merged(32, (16, 24), 80),
                    merged(33, (24, 32), 80),
                    block(40, (2, 4), 1, 40),
                ],
                34,
                &[40, 30],
            ),
            ("what was deleted goes", vec![day[0], dirty(day[1])], 4, &[1]),
            ("a block that fits no range stays", vec![block(1, (7, 9), 20, 1)], 1000, &[]),
        ];
        for (name, blocks, now, wanted) in cases {
            let mut found = plan(blocks, policy(), now * HOUR);
            let mut wanted = wanted.to_vec();
            found.sort_unstable();
            wanted.sort_unstable();
            assert_eq!(found, wanted, "{name}");
        }
    }

    #[test]
    fn a_block_in_between_holds_a_merge_back() {
        let (old, new) = (block(1, (0, 2), 20, 1), block(3, (2, 4), 20, 3));
        let between = block(2, (1, 30), 900, 2);
        assert!(plan(&[old, new, between], policy(), 10 * HOUR).is_empty());
        assert_eq!(plan(&[old, new], policy(), 10 * HOUR), [1, 3]);
    }

    #[test]
    fn a_simulated_year_is_written_a_few_times_only() {
        let policy = policy();
        let (mut blocks, mut written, mut next) = (Vec::<Candidate>::new(), 0, 10_000);
        for n in 0..4380_u64 {
            let start = n as i64 * 2;
            blocks.push(block(n, (start, start + 2), 20, n));
            loop {
                let merge = plan(&blocks, policy, (start + 3) * HOUR);
                if merge.is_empty() {
                    break;
                }
                let (gone, kept): (Vec<Candidate>, Vec<Candidate>) =
                    blocks.into_iter().partition(|b| merge.contains(&b.meta.number));
                blocks = kept;
                let bytes: u64 = gone.iter().map(|b| b.bytes).sum();
                written += bytes;
                next += 1;
                let meta = Meta {
                    number: next,
                    min_t: gone.iter().map(|b| b.meta.min_t).min().unwrap(),
                    max_t: gone.iter().map(|b| b.meta.max_t).max().unwrap(),
                    position: gone.iter().map(|b| b.meta.position).max().unwrap(),
                    ..Meta::default()
                };
                blocks.push(Candidate { meta, bytes, dirty: false, frozen: false });
            }
        }
        let total: u64 = blocks.iter().map(|b| b.bytes).sum();
        assert_eq!(total, 4380 * 20 * MIB);
        assert!(written <= 3 * total, "{} times", written / total);
        assert!(blocks.len() < 90, "{}", blocks.len());
    }
}
