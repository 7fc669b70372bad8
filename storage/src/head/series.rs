//! One series in memory.
//!
//! Invariants: the ring is in order and within one block span; every sealed chunk is within one
//! block span; a timestamp in the ring is in no other place; where two sealed chunks, or a chunk and
//! the side buffer, have the same timestamp, the later one (in `sealed` order, then the side buffer)
//! holds.

mod delete;

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::chunk::{HeadChunk, Sealer};
use super::open::Open;
use crate::model::{Labels, Sample, SampleBuf, SeriesId, TimeRange, Timestamp, Value};

/// A late sample waits in the side buffer until so many have come.
const SIDE_CAPACITY: usize = 128;

/// A series that a key's elements feed has its ring this much longer: it gets many samples at once and few are
/// asked for, so fewer and larger chunks are better.
const EVENTS_RING: usize = 2;

/// A series with samples not yet in a block.
#[derive(Debug)]
pub(crate) struct MemSeries {
    pub(crate) id: SeriesId,
    pub(crate) labels: Labels,
    lookback: Lookback,
    /// The newest samples.
    ring: Open,
    /// Samples from here on are in a later block span than the ring's; a hint, which may be too low.
    ring_until: Timestamp,
    /// Encoded runs, in the order they were sealed.
    pub(crate) sealed: Vec<Arc<HeadChunk>>,
    /// Samples older than the ring, by time; few series ever have one.
    side: Option<Box<Side>>,
    /// Newest timestamp ever taken, `i64::MIN` before the first.
    pub(crate) newest: Timestamp,
    /// Every millisecond from here to the newest admitted sample is taken; a hint for bursts of
    /// pushes, not kept over a restart.
    pub(crate) full_from: Timestamp,
    /// What the batch under admission has for it.
    pub(crate) batch: InBatch,
    /// Log position of its last sample; a series that is idle for long leaves the head.
    pub(crate) touched: u64,
}

/// Late samples, by time.
#[derive(Debug, Default)]
struct Side {
    samples: Vec<Sample>,
}

/// How far back instant selectors look; the lowest number stands for the engine's default.
#[derive(Clone, Copy, Debug)]
struct Lookback(Timestamp);

impl Lookback {
    const DEFAULT: Lookback = Lookback(Timestamp::MIN);
}

/// The batch that last admitted samples for a series, and the newest of those.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct InBatch {
    pub(crate) number: u64,
    pub(crate) newest: Timestamp,
}

/// How a series is laid out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Samples in the ring when it is sealed.
    pub(crate) ring: usize,
    /// Length of a block's time range.
    pub(crate) span: Timestamp,
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
            lookback: lookback.map_or(Lookback::DEFAULT, Lookback),
            ring: Open::default(),
            ring_until: Timestamp::MIN,
            sealed: Vec::new(),
            side: None,
            newest: Timestamp::MIN,
            full_from: Timestamp::MAX,
            batch: InBatch::default(),
            touched: 0,
        }
    }

    /// Puts a float in; the fast path of everything. The form is a hint.
    pub(crate) fn push_float(
        &mut self,
        (t, v): (Timestamp, f64),
        form: u8,
        shape: Shape,
        sealer: &mut Sealer,
    ) {
        if t > self.newest {
            self.make_room(t, shape, sealer);
            self.ring.push_float(t, v, form);
            self.newest = t;
        } else {
            self.put_late(Sample { t, start: 0, value: Value::Float(v) }, shape, sealer);
        }
    }

    /// Puts any sample in.
    pub(crate) fn push(&mut self, sample: Sample, shape: Shape, sealer: &mut Sealer) {
        if sample.t > self.newest {
            self.make_room(sample.t, shape, sealer);
            self.newest = sample.t;
            self.ring.push(sample);
        } else {
            self.put_late(sample, shape, sealer);
        }
    }

    /// The value at `t`, if the head has one. Who asks again and again gives a place for the open samples.
    pub(crate) fn value_at(
        &self,
        t: Timestamp,
        opened: Option<&OnceCell<SampleBuf>>,
    ) -> Option<Value> {
        if t > self.newest {
            return None;
        }
        let in_ring = match opened {
            Some(opened) if self.ring.first().is_some_and(|first| first <= t) => {
                let open = opened.get_or_init(|| self.ring.samples());
                open.t.binary_search(&t).ok().and_then(|at| open.get(at)).map(|s| s.value)
            }
            _ => self.ring.value_at(t),
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
            // A chunk of this process's own memory decodes, or memory itself is broken.
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
    pub(crate) fn capture(&self) -> Captured {
        let mut side = SampleBuf::default();
        self.side().iter().cloned().for_each(|s| side.push(s));
        Captured { sealed: self.sealed.clone(), side, ring: Arc::new(self.ring.clone()) }
    }

    /// For a reader who looks at a range only: whatever has a sample in it.
    pub(crate) fn capture_in(&self, range: TimeRange) -> Captured {
        let inside = |c: &&Arc<HeadChunk>| c.min_t <= range.end() && range.start() <= c.max_t;
        let mut side = SampleBuf::default();
        let late = self.side().iter().filter(|s| range.contains(s.t));
        late.cloned().for_each(|s| side.push(s));
        let open = self.ring.bounds().and_then(|(first, last)| TimeRange::new(first, last));
        let open = open.is_some_and(|open| open.overlaps(range));
        Captured {
            sealed: self.sealed.iter().filter(inside).cloned().collect(),
            side,
            ring: if open { Arc::new(self.ring.clone()) } else { Arc::default() },
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
    pub(crate) fn seal_before(&mut self, before: Timestamp, shape: Shape, sealer: &mut Sealer) {
        if self.side().iter().any(|s| s.t < before) {
            self.seal_side(shape, sealer);
        }
        if self.ring.first().is_some_and(|t| t < before) {
            self.seal_ring(sealer);
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
    ) {
        self.sealed = sealed;
        if !side.is_empty() {
            self.side = Some(Box::new(Side { samples: side.iter().collect() }));
        }
        self.ring = ring.iter().collect();
        self.newest = newest;
    }

    /// How far back instant selectors look for it; `None` = the engine's default.
    pub(crate) fn lookback(&self) -> Option<Timestamp> {
        Some(self.lookback.0).filter(|ms| *ms != Lookback::DEFAULT.0)
    }

    fn side(&self) -> &[Sample] {
        self.side.as_ref().map_or(&[], |side| &side.samples)
    }

    /// Sees to it that a newer sample may follow in the ring.
    #[inline]
    fn make_room(&mut self, t: Timestamp, shape: Shape, sealer: &mut Sealer) {
        if self.ring.len() >= self.ring_samples(shape) || t >= self.ring_until {
            self.end_ring(t, shape, sealer);
        }
    }

    /// Samples in its ring when it is sealed.
    #[inline]
    fn ring_samples(&self, shape: Shape) -> usize {
        if self.lookback.0 == Lookback::DEFAULT.0 { shape.ring } else { EVENTS_RING * shape.ring }
    }

    fn end_ring(&mut self, t: Timestamp, shape: Shape, sealer: &mut Sealer) {
        let until = |t: Timestamp| (t.div_euclid(shape.span) + 1).saturating_mul(shape.span);
        if let Some(first) = self.ring.first() {
            self.ring_until = until(first);
            if self.ring.len() < self.ring_samples(shape) && t < self.ring_until {
                return;
            }
            self.seal_ring(sealer);
        }
        self.ring_until = until(t);
    }

    fn put_late(&mut self, sample: Sample, shape: Shape, sealer: &mut Sealer) {
        if self.ring.first().is_some_and(|first| sample.t >= first) {
            if self.ring.len() < self.ring_samples(shape) {
                self.put_in_ring(sample);
                return;
            }
            // Late samples alone must not make it longer than a chunk may be.
            self.seal_ring(sealer);
        }
        let side = &mut self.side.get_or_insert_default().samples;
        match side.binary_search_by_key(&sample.t, |s| s.t) {
            Ok(i) => side[i] = sample,
            Err(i) => side.insert(i, sample),
        }
        if side.len() >= SIDE_CAPACITY {
            self.seal_side(shape, sealer);
        }
    }

    /// The ring is short, so it is simply built anew. It may end before `sample`, where a deletion took its end.
    fn put_in_ring(&mut self, sample: Sample) {
        let open = self.ring.samples();
        let at = open.t.partition_point(|t| *t < sample.t);
        let after = at + usize::from(open.t.get(at) == Some(&sample.t));
        let later = open.iter().skip(after);
        self.ring = open.iter().take(at).chain([sample]).chain(later).collect();
    }

    fn seal_ring(&mut self, sealer: &mut Sealer) {
        let chunk = sealer.seal_open(&self.ring);
        self.sealed.push(Arc::new(chunk));
        self.ring.clear();
    }

    fn seal_side(&mut self, shape: Shape, sealer: &mut Sealer) {
        let Some(side) = self.side.take() else { return };
        for run in
            side.samples.chunk_by(|a, b| a.t.div_euclid(shape.span) == b.t.div_euclid(shape.span))
        {
            let mut samples = SampleBuf::default();
            run.iter().cloned().for_each(|s| samples.push(s));
            self.sealed.push(Arc::new(sealer.seal(&samples)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::step::NO_FORM;

    #[test]
    fn late_samples_make_no_ring_longer_than_it_may_be() {
        let (shape, mut sealer) = (Shape { ring: 8, span: 100_000 }, Sealer::default());
        let labels = Labels::from_pairs([("a", "b")]).unwrap();
        let mut series = MemSeries::new(SeriesId(1), labels, None);
        let times = [1000, 90_000].into_iter().chain((0..3000).map(|i| 1000 + i * 7919 % 80_000));
        for t in times.clone() {
            series.push_float((t, t as f64), NO_FORM, shape, &mut sealer);
            assert!(series.ring.len() <= shape.ring);
        }
        let held = |t| series.value_at(t, None).is_some_and(|v| v.same(&Value::Float(t as f64)));
        assert!(times.into_iter().all(held));
    }
}
