//! Aggregates of a series: from roll-ups where one block alone has a stretch, else from the samples.

use super::StoreSeries;
use crate::compaction::rollup::{LEVELS, Roller, join, start_of};
use crate::model::{SampleBuf, TimeRange, Timestamp};
use crate::read::{Aggregate, ReadError, Series};

/// Roll-up rows by stretch, and which stretches must come from the samples.
struct Sources {
    rows: Vec<Aggregate>,
    /// Stretches that more than one source has, as ranges of time.
    raw: Vec<TimeRange>,
}

pub(super) fn of(
    series: &StoreSeries,
    range: TimeRange,
    step: i64,
) -> Result<Option<Vec<Aggregate>>, ReadError> {
    let Some(inside) = whole_steps(range, step) else { return Ok(None) };
    for length in LEVELS.into_iter().filter(|length| step % length == 0) {
        let Some(sources) = sources(series, inside, length)? else { continue };
        let Sources { mut rows, raw } = sources;
        for stretch in raw {
            let Some(read) = from_samples(series, stretch, length)? else { return Ok(None) };
            rows.extend(read);
        }
        // A stretch on the border of two blocks has a row in each.
        rows.sort_by_key(|row| row.first_t);
        return Ok(Some(join(rows, step)));
    }
    Ok(None)
}

/// The part of a range that whole stretches of `step` make up.
fn whole_steps(range: TimeRange, step: i64) -> Option<TimeRange> {
    if step <= 0 {
        return None;
    }
    // The stretch that has the first millisecond, or the one behind it.
    let floor = start_of(range.start(), step);
    let start =
        if floor.checked_add(1)? < range.start() { floor.checked_add(step)? } else { floor };
    let end = range.end().div_euclid(step).checked_mul(step)?;
    TimeRange::new(start.checked_add(1)?, end)
}

/// Rows of one level, and the rest; `None` if no block of the series has this level.
fn sources(
    series: &StoreSeries,
    inside: TimeRange,
    length: Timestamp,
) -> Result<Option<Sources>, ReadError> {
    let mut all: Vec<TimeRange> = Vec::new();
    let mut raw: Vec<TimeRange> = Vec::new();
    let mut rolled = Vec::new();
    for (block, number, masks) in &series.in_blocks {
        let Some(entry) = block.series(*number)? else { continue };
        let ends = entry.chunks.iter().map(|c| (c.min_t, c.max_t));
        let Some((min_t, max_t)) = ends.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))) else {
            continue;
        };
        let levels: Vec<_> = entry.rollups.iter().filter(|r| r.length == length).copied().collect();
        let held = TimeRange::new(min_t, max_t).unwrap_or(TimeRange::ALL);
        if levels.is_empty() || masks.touch(min_t, max_t) {
            raw.push(stretches(held, length));
        } else if stretches(held, length).overlaps(inside) {
            rolled.push((block, levels));
        }
        all.push(held);
    }
    if rolled.is_empty() {
        return Ok(None);
    }
    for captured in series.capture(inside).iter() {
        let side = captured.side.t.first().copied().zip(captured.side.t.last().copied());
        let sealed = captured.sealed.iter().map(|c| (c.min_t, c.max_t));
        let head = sealed
            .chain(side)
            .chain(captured.ring.bounds())
            .filter_map(|(min_t, max_t)| TimeRange::new(min_t, max_t));
        raw.extend(head.map(|held| stretches(held, length)));
    }
    raw.extend(shared(&mut all).into_iter().map(|both| stretches(both, length)));
    let raw = united(raw, inside);
    let mut rows = Vec::new();
    for (block, levels) in rolled {
        for level in levels {
            rows.extend(block.read_rollup(&level, inside)?);
        }
    }
    rows.retain(|row| !raw.iter().any(|r| r.contains(row.first_t)));
    Ok(Some(Sources { rows, raw }))
}

/// A range of time, widened to whole stretches.
fn stretches(held: TimeRange, length: Timestamp) -> TimeRange {
    let start = start_of(held.start(), length).saturating_add(1);
    let end = start_of(held.end(), length).saturating_add(length);
    TimeRange::new(start, end).unwrap_or(TimeRange::ALL)
}

/// What two of the ranges have in common.
fn shared(all: &mut [TimeRange]) -> Vec<TimeRange> {
    all.sort_by_key(|r| r.start());
    let mut common = Vec::new();
    let mut furthest: Option<TimeRange> = None;
    for range in all {
        common.extend(furthest.and_then(|f| f.intersect(*range)));
        furthest = Some(match furthest {
            Some(f) if f.end() >= range.end() => f,
            _ => *range,
        });
    }
    common
}

/// The union of ranges within `inside`, in order and apart.
fn united(mut ranges: Vec<TimeRange>, inside: TimeRange) -> Vec<TimeRange> {
    ranges.sort_by_key(|r| r.start());
    let mut united: Vec<TimeRange> = Vec::new();
    for range in ranges.into_iter().filter_map(|r| r.intersect(inside)) {
        match united.last_mut() {
            Some(last) if last.overlaps(range) => *last = last.union(range),
            _ => united.push(range),
        }
    }
    united
}

fn from_samples(
    series: &StoreSeries,
    range: TimeRange,
    length: Timestamp,
) -> Result<Option<Vec<Aggregate>>, ReadError> {
    let mut roller = Roller::new(length);
    let mut cursor = series.cursor(range)?;
    let mut samples = SampleBuf::default();
    while cursor.next(&mut samples)? {
        if samples.h.iter().any(Option::is_some) {
            return Ok(None);
        }
        roller.push(&samples);
        samples.clear();
    }
    Ok(Some(roller.finish()))
}
