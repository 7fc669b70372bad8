//! One series in memory.
//!
//! Invariants: the ring is in order and within one block span; every sealed chunk is within one
//! block span; a timestamp in the ring is in no other place; where two sealed chunks, or a chunk and
//! the side buffer, have the same timestamp, the later one (in `sealed` order, then the side buffer)
//! holds.

mod delete;

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashSet};
use std::ops::Deref;
use std::sync::Arc;

use super::blocks::Blocks;
use super::chunk::{HeadChunk, Sealer};
use super::open::{Open, Ring};
use crate::model::{Labels, Sample, SampleBuf, SeriesId, TimeRange, Timestamp, Value};

/// A late sample waits in the side buffer until so many have come.
const SIDE_CAPACITY: usize = 128;

/// A series that a key's elements feed has its ring this much longer: it gets many samples at once and few are
/// asked for, so fewer and larger chunks are better.
const EVENTS_RING: usize = 2;
/// Its runs are joined while they have no more than so many rings' samples, about those of a chunk in a block. One
/// that is too long to be joined leaves memory for a file.
const EVENTS_RUN: usize = 8;
/// What the place of a run in a file takes in memory, about: a smaller run stays.
const PLACE_BYTES: usize = 100;

/// A series with samples not yet in a block.
#[derive(Debug)]
pub(crate) struct MemSeries {
    pub(crate) id: SeriesId,
    pub(crate) labels: Labels,
    /// The newest samples.
    ring: Ring,
    /// Encoded runs, in the order they were sealed.
    pub(crate) sealed: Sealed,
    rare: Option<Box<Rare>>,
    /// Newest timestamp ever taken, `i64::MIN` before the first.
    pub(crate) newest: Timestamp,
    /// Every millisecond from here to the newest admitted sample is taken; a hint for bursts of
    /// pushes, not kept over a restart.
    pub(crate) full_from: Timestamp,
    /// The batch that last admitted samples for it, in the low bits of its number.
    pub(crate) batch: u32,
    /// Log position of its last sample; a series that is idle for long leaves the head.
    pub(crate) touched: u64,
}

/// What few series ever have.
#[derive(Debug, Default)]
struct Rare {
    /// Samples older than the ring, by time.
    side: Vec<Sample>,
    /// How far back instant selectors look, of a series that a key's elements feed; 0 = the engine's default.
    lookback: Option<Timestamp>,
}

/// Encoded runs; a pointer where there are none.
#[derive(Debug, Default)]
#[expect(clippy::box_collection, reason = "where there are none it is to be 8 bytes and not 24")]
pub(crate) struct Sealed(Option<Box<Vec<Arc<HeadChunk>>>>);

impl Deref for Sealed {
    type Target = [Arc<HeadChunk>];

    fn deref(&self) -> &[Arc<HeadChunk>] {
        self.0.as_ref().map_or(&[], |chunks| chunks)
    }
}

impl Sealed {
    fn of(chunks: Vec<Arc<HeadChunk>>) -> Sealed {
        Sealed((!chunks.is_empty()).then(|| Box::new(chunks)))
    }

    fn push(&mut self, chunk: HeadChunk) {
        let chunks = self.0.get_or_insert_default();
        if chunks.len() == chunks.capacity() {
            // Not to the double: a series has a few.
            chunks.reserve_exact(1 + chunks.len() / 4);
        }
        chunks.push(Arc::new(chunk));
    }

    /// The last two.
    fn last_two(&self) -> Option<(&Arc<HeadChunk>, &Arc<HeadChunk>)> {
        let [.., before, last] = &**self else { return None };
        Some((before, last))
    }

    /// Puts one in the place of the last two.
    fn join(&mut self, joined: HeadChunk) {
        if let Some(chunks) = &mut self.0 {
            chunks.truncate(chunks.len().saturating_sub(2));
        }
        self.push(joined);
    }

    /// The last one, if nobody else has it.
    fn last_mut(&mut self) -> Option<&mut HeadChunk> {
        self.0.as_mut()?.last_mut().and_then(Arc::get_mut)
    }

    /// Lets go those that are not to be kept.
    pub(crate) fn retain(&mut self, keep: impl FnMut(&Arc<HeadChunk>) -> bool) {
        if let Some(chunks) = &mut self.0 {
            chunks.retain(keep);
            if chunks.is_empty() {
                self.0 = None;
            }
        }
    }
}

/// Of many series most are this and nothing else.
const _: () = assert!(size_of::<MemSeries>() <= 128);

/// How a series is laid out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Samples in the ring when it is sealed.
    pub(crate) ring: usize,
    /// Length of a block's time range.
    pub(crate) span: Timestamp,
}

/// What the series of a shard share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) shape: Shape,
    pub(crate) sealer: Sealer,
    pub(crate) blocks: Blocks,
}

/// What a reader takes away: shared chunks and a copy of the few open samples.
#[derive(Clone, Debug, Default)]
pub(crate) struct Captured {
    pub(crate) sealed: Vec<Arc<HeadChunk>>,
    pub(crate) side: SampleBuf,
    pub(crate) ring: Arc<Open>,
}

impl MemSeries {
    pub(crate) fn new(id: SeriesId, labels: Labels, lookback: Option<Timestamp>) -> MemSeries {
        MemSeries {
            id,
            labels,
            ring: Ring::default(),
            sealed: Sealed::default(),
            rare: lookback.map(|ms| Box::new(Rare { lookback: Some(ms), ..Rare::default() })),
            newest: Timestamp::MIN,
            full_from: Timestamp::MAX,
            batch: 0,
            touched: 0,
        }
    }

    /// Puts a float in; the fast path of everything. The form is a hint.
    pub(crate) fn push_float(&mut self, (t, v): (Timestamp, f64), form: u8, shared: &mut Shared) {
        if t > self.newest {
            self.make_room(t, shared);
            self.ring.push_float(t, v, form, &mut shared.blocks);
            self.newest = t;
        } else {
            self.put_late(Sample { t, start: 0, value: Value::Float(v) }, shared);
        }
    }

    /// Puts any sample in.
    pub(crate) fn push(&mut self, sample: Sample, shared: &mut Shared) {
        if sample.t > self.newest {
            self.make_room(sample.t, shared);
            self.newest = sample.t;
            self.ring.push(sample, &mut shared.blocks);
        } else {
            self.put_late(sample, shared);
        }
    }

    /// The value at `t`, if the head has one. Who asks again and again gives a place for the open samples.
    pub(crate) fn value_at(
        &self,
        t: Timestamp,
        opened: Option<&OnceCell<SampleBuf>>,
        blocks: &Blocks,
    ) -> Option<Value> {
        if t > self.newest {
            return None;
        }
        let in_ring = match opened {
            Some(opened) if self.ring.first().is_some_and(|first| first <= t) => {
                let open = opened.get_or_init(|| self.ring.samples(blocks));
                open.t.binary_search(&t).ok().and_then(|at| open.get(at)).map(|s| s.value)
            }
            _ => self.ring.value_at(t, blocks),
        };
        if in_ring.is_some() {
            return in_ring;
        }
        if let Ok(i) = self.side().binary_search_by_key(&t, |s| s.t) {
            return Some(self.side()[i].value.clone());
        }
        let holding = self.sealed.iter().rev().filter(|c| c.min_t <= t && t <= c.max_t);
        let mut decoded = SampleBuf::default();
        for chunk in holding {
            decoded.clear();
            // A chunk of this process's own memory decodes, or memory itself is broken; one in a file that does
            // not read has no sample that could be compared.
            chunk.decode(&mut decoded).ok()?;
            if let Ok(i) = decoded.t.binary_search(&t) {
                return decoded.get(i).map(|s| s.value);
            }
        }
        None
    }

    /// A sample at `t` is admitted; `pending` is the newest that this batch admitted before.
    pub(crate) fn extend_full(&mut self, t: Timestamp, pending: Timestamp) {
        let newest = self.newest.max(pending);
        if t > newest {
            let follows = newest.checked_add(1) == Some(t) && self.full_from <= newest;
            self.full_from = if follows { self.full_from } else { t };
        }
    }

    /// For a reader.
    pub(crate) fn capture(&self, blocks: &Blocks) -> Captured {
        let mut side = SampleBuf::default();
        self.side().iter().cloned().for_each(|s| side.push(s));
        Captured { sealed: self.sealed.to_vec(), side, ring: Arc::new(self.ring.open(blocks)) }
    }

    /// For a reader who looks at a range only: whatever has a sample in it.
    pub(crate) fn capture_in(&self, range: TimeRange, blocks: &Blocks) -> Captured {
        let inside = |c: &&Arc<HeadChunk>| c.min_t <= range.end() && range.start() <= c.max_t;
        let mut side = SampleBuf::default();
        let late = self.side().iter().filter(|s| range.contains(s.t));
        late.cloned().for_each(|s| side.push(s));
        let open = self.ring.bounds().and_then(|(first, last)| TimeRange::new(first, last));
        let open = open.is_some_and(|open| open.overlaps(range));
        Captured {
            sealed: self.sealed.iter().filter(inside).cloned().collect(),
            side,
            ring: if open { Arc::new(self.ring.open(blocks)) } else { Arc::default() },
        }
    }

    /// Whether a run of its samples lies in a range, wholly or in part; the newest are asked first.
    pub(crate) fn touches(&self, range: TimeRange) -> bool {
        let ends =
            |first: Timestamp, last: Timestamp| first <= range.end() && range.start() <= last;
        self.ring.bounds().is_some_and(|(first, last)| ends(first, last))
            || self.side().iter().any(|s| range.contains(s.t))
            || self.sealed.iter().rev().any(|c| ends(c.min_t, c.max_t))
    }

    /// Seals every open sample below `before`, so that a cut can take whole chunks.
    pub(crate) fn seal_before(&mut self, before: Timestamp, shared: &mut Shared) {
        if self.side().iter().any(|s| s.t < before) {
            self.seal_side(shared);
        }
        if self.ring.first().is_some_and(|t| t < before) {
            self.seal_ring(shared);
        }
    }

    /// Adds its samples to the count of each block range; `moved` chunks are in blocks already.
    pub(crate) fn count_by_range(
        &self,
        span: Timestamp,
        moved: &HashSet<*const HeadChunk>,
        counts: &mut BTreeMap<Timestamp, u64>,
    ) {
        let mut add = |t: Timestamp, n: u64| {
            *counts.entry(t.div_euclid(span).saturating_mul(span)).or_default() += n;
        };
        for chunk in self.sealed.iter().filter(|c| !moved.contains(&Arc::as_ptr(c))) {
            add(chunk.min_t, u64::from(chunk.count));
        }
        self.side().iter().for_each(|s| add(s.t, 1));
        if let Some(first) = self.ring.first() {
            add(first, self.ring.len() as u64);
        }
    }

    /// Whether nothing is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.ring.is_empty() && self.side().is_empty() && self.sealed.is_empty()
    }

    /// Puts back what a checkpoint had of a series.
    pub(crate) fn restore(
        &mut self,
        sealed: Vec<Arc<HeadChunk>>,
        side: &SampleBuf,
        ring: &SampleBuf,
        newest: Timestamp,
        blocks: &mut Blocks,
    ) {
        self.sealed = Sealed::of(sealed);
        if !side.is_empty() {
            self.rare.get_or_insert_default().side = side.iter().collect();
        }
        self.ring.fill(ring.iter(), blocks);
        self.newest = newest;
    }

    /// How far back instant selectors look for it, if a key's elements feed it; 0 = the engine's default.
    pub(crate) fn lookback(&self) -> Option<Timestamp> {
        self.rare.as_ref()?.lookback
    }

    /// Gives back what it has of the shard's memory, before it is dropped.
    pub(crate) fn leave(&mut self, blocks: &mut Blocks) {
        self.ring.clear(blocks);
    }

    fn side(&self) -> &[Sample] {
        self.rare.as_ref().map_or(&[], |rare| &rare.side)
    }

    /// Sees to it that a newer sample may follow in the ring.
    #[inline]
    fn make_room(&mut self, t: Timestamp, shared: &mut Shared) {
        if self.ring.len() >= self.ring_samples(shared.shape) || !self.ring.reaches(t) {
            self.end_ring(t, shared);
        }
    }

    /// Samples in its ring when it is sealed.
    #[inline]
    fn ring_samples(&self, shape: Shape) -> usize {
        if self.lookback().is_none() { shape.ring } else { EVENTS_RING * shape.ring }
    }

    fn end_ring(&mut self, t: Timestamp, shared: &mut Shared) {
        let span = shared.shape.span;
        let end = |t: Timestamp| (t.div_euclid(span) + 1).saturating_mul(span);
        if let Some(first) = self.ring.first() {
            self.ring.begin(first, end(first));
            if self.ring.len() < self.ring_samples(shared.shape) && t < end(first) {
                return;
            }
            self.seal_ring(shared);
            if self.lookback().is_some() && t >= end(first) {
                self.end_range(shared);
            }
        }
        self.ring.begin(t, end(t));
    }

    fn put_late(&mut self, sample: Sample, shared: &mut Shared) {
        if self.ring.first().is_some_and(|first| sample.t >= first) {
            if self.ring.len() < self.ring_samples(shared.shape) {
                self.put_in_ring(sample, &mut shared.blocks);
                return;
            }
            // Late samples alone must not make it longer than a chunk may be.
            self.seal_ring(shared);
        }
        let side = &mut self.rare.get_or_insert_default().side;
        match side.binary_search_by_key(&sample.t, |s| s.t) {
            Ok(i) => side[i] = sample,
            Err(i) => side.insert(i, sample),
        }
        if side.len() >= SIDE_CAPACITY {
            self.seal_side(shared);
        }
    }

    /// The ring is short, so it is simply built anew. It may end before `sample`, where a deletion took its end.
    fn put_in_ring(&mut self, sample: Sample, blocks: &mut Blocks) {
        let open = self.ring.samples(blocks);
        let at = open.t.partition_point(|t| *t < sample.t);
        let after = at + usize::from(open.t.get(at) == Some(&sample.t));
        let later = open.iter().skip(after);
        self.ring.fill(open.iter().take(at).chain([sample]).chain(later), blocks);
    }

    fn seal_ring(&mut self, shared: &mut Shared) {
        let chunk = shared.sealer.seal_ring(&self.ring, &shared.blocks);
        self.sealed.push(chunk);
        self.ring.clear(&mut shared.blocks);
        if self.lookback().is_some() {
            while let Some(joined) = self.joined(|a, b| a.count <= b.count, shared) {
                self.sealed.join(joined);
            }
            let longest = EVENTS_RUN * shared.shape.ring;
            self.put_away(|last| 2 * last.count as usize > longest, shared);
        }
    }

    /// No sample is to follow in the range of the last run, but late ones, so it waits for no other.
    fn end_range(&mut self, shared: &mut Shared) {
        while let Some(joined) = self.joined(|_, _| true, shared) {
            self.sealed.join(joined);
        }
        self.put_away(|last| last.values_len() > PLACE_BYTES, shared);
    }

    /// Puts the last run into a file, if it is to be there and nobody has it.
    fn put_away(&mut self, is_due: impl FnOnce(&HeadChunk) -> bool, shared: &Shared) {
        if let Some(last) = self.sealed.last_mut().filter(|last| is_due(last)) {
            shared.sealer.put_away(last);
        }
    }

    /// The last two runs as one, if they are to be, follow each other and are nobody else's.
    fn joined(
        &self,
        is_due: impl FnOnce(&HeadChunk, &HeadChunk) -> bool,
        shared: &mut Shared,
    ) -> Option<HeadChunk> {
        let (a, b) = self.sealed.last_two()?;
        let range = |t: Timestamp| t.div_euclid(shared.shape.span);
        let follows = a.max_t < b.min_t && range(a.min_t) == range(b.max_t);
        let longest = EVENTS_RUN * shared.shape.ring;
        let short = is_due(a, b) && a.count as usize + b.count as usize <= longest;
        let held = [a, b].iter().any(|chunk| Arc::strong_count(chunk) > 1);
        if !follows || !short || held {
            return None;
        }
        let mut samples = SampleBuf::default();
        a.decode(&mut samples).and_then(|()| b.decode(&mut samples)).ok()?;
        Some(shared.sealer.seal(&samples))
    }

    fn seal_side(&mut self, shared: &mut Shared) {
        let side = self.rare.as_mut().map(|rare| std::mem::take(&mut rare.side));
        let span = shared.shape.span;
        let side = side.unwrap_or_default();
        for run in side.chunk_by(|a, b| a.t.div_euclid(span) == b.t.div_euclid(span)) {
            let mut samples = SampleBuf::default();
            run.iter().cloned().for_each(|s| samples.push(s));
            self.sealed.push(shared.sealer.seal(&samples));
        }
        if self.rare.as_ref().is_some_and(|rare| rare.lookback.is_none()) {
            self.rare = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::step::NO_FORM;

    #[test]
    fn runs_of_events_are_joined_unless_somebody_holds_them() {
        let shape = Shape { ring: 120, span: 10_000_000 };
        let (sealer, blocks) = (Sealer::default(), Blocks::default());
        let mut shared = Shared { shape, sealer, blocks };
        let labels = Labels::from_pairs([("a", "b")]).unwrap();
        let mut series = MemSeries::new(SeriesId(1), labels, Some(1));
        let counts = |series: &MemSeries| series.sealed.iter().map(|c| c.count).collect::<Vec<_>>();
        let mut held = None;
        for i in 0..3_000 {
            series.push_float((i * 1000, i as f64), NO_FORM, &mut shared);
            if i == 1_200 {
                assert_eq!(counts(&series), [960, 240]);
                held = series.sealed.last().cloned();
            }
        }
        assert_eq!(counts(&series), [960, 240, 960, 480, 240]);
        let mut samples = SampleBuf::default();
        series.sealed.iter().for_each(|c| c.decode(&mut samples).unwrap());
        assert!((0..2_880).map(|i| (i * 1000, i as f64)).eq(samples.t.into_iter().zip(samples.v)));
        drop(held);
    }

    #[test]
    fn late_samples_make_no_ring_longer_than_it_may_be() {
        let shape = Shape { ring: 8, span: 100_000 };
        let (sealer, blocks) = (Sealer::default(), Blocks::default());
        let mut shared = Shared { shape, sealer, blocks };
        let labels = Labels::from_pairs([("a", "b")]).unwrap();
        let mut series = MemSeries::new(SeriesId(1), labels, None);
        let times = [1000, 90_000].into_iter().chain((0..3000).map(|i| 1000 + i * 7919 % 80_000));
        for t in times.clone() {
            series.push_float((t, t as f64), NO_FORM, &mut shared);
            assert!(series.ring.len() <= shape.ring);
        }
        let held = |t| {
            series
                .value_at(t, None, &shared.blocks)
                .is_some_and(|v| v.same(&Value::Float(t as f64)))
        };
        assert!(times.into_iter().all(held));
    }
}
