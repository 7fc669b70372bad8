//! One series in memory.
//!
//! Invariants: the ring is in order and within one block span; every sealed chunk is within one
//! block span; a timestamp in the ring is in no other place; where two sealed chunks, or a chunk and
//! the side buffer, have the same timestamp, the later one (in `sealed` order, then the side buffer)
//! holds.

mod delete;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::chunk::{Columns, HeadChunk};
use crate::model::{Labels, Sample, SampleBuf, SeriesId, TimeRange, Timestamp, Value};

/// A late sample waits in the side buffer until so many have come.
const SIDE_CAPACITY: usize = 128;

/// A series with samples not yet in a block.
#[derive(Debug)]
pub(crate) struct MemSeries {
    pub(crate) id: SeriesId,
    pub(crate) labels: Labels,
    pub(crate) lookback: Option<Timestamp>,
    /// The newest samples.
    ring: SampleBuf,
    /// Samples from here on are in a later block span than the ring's; a hint, which may be too low.
    ring_until: Timestamp,
    /// Encoded runs, in the order they were sealed.
    pub(crate) sealed: Vec<Arc<HeadChunk>>,
    /// Samples older than the ring, by time.
    side: Vec<Sample>,
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
    pub(crate) ring: SampleBuf,
}

impl MemSeries {
    pub(crate) fn new(id: SeriesId, labels: Labels, lookback: Option<Timestamp>) -> MemSeries {
        MemSeries {
            id,
            labels,
            lookback,
            ring: SampleBuf::default(),
            ring_until: Timestamp::MIN,
            sealed: Vec::new(),
            side: Vec::new(),
            newest: Timestamp::MIN,
            full_from: Timestamp::MAX,
            batch: InBatch::default(),
            touched: 0,
        }
    }

    /// Puts a float in; the fast path of everything.
    pub(crate) fn push_float(&mut self, t: Timestamp, v: f64, shape: Shape, columns: &mut Columns) {
        if t > self.newest {
            self.make_room(t, shape, columns);
            if self.ring.len() == self.ring.t.capacity() {
                self.grow_ring(shape);
            }
            self.ring.push_float(t, v);
            self.newest = t;
        } else {
            self.put_late(Sample { t, start: 0, value: Value::Float(v) }, shape, columns);
        }
    }

    /// Puts any sample in.
    pub(crate) fn push(&mut self, sample: Sample, shape: Shape, columns: &mut Columns) {
        if sample.t > self.newest {
            self.make_room(sample.t, shape, columns);
            self.newest = sample.t;
            self.ring.push(sample);
        } else {
            self.put_late(sample, shape, columns);
        }
    }

    /// The value at `t`, if the head has one.
    pub(crate) fn value_at(&self, t: Timestamp) -> Option<Value> {
        if t > self.newest {
            return None;
        }
        if let Ok(i) = self.ring.t.binary_search(&t) {
            return self.ring.get(i).map(|s| s.value);
        }
        if let Ok(i) = self.side.binary_search_by_key(&t, |s| s.t) {
            return Some(self.side[i].value.clone());
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
        self.side.iter().cloned().for_each(|s| side.push(s));
        Captured { sealed: self.sealed.clone(), side, ring: self.ring.clone() }
    }

    /// For a reader who looks at a range only: whatever has a sample in it.
    pub(crate) fn capture_in(&self, range: TimeRange) -> Captured {
        let inside = |c: &&Arc<HeadChunk>| c.min_t <= range.end() && range.start() <= c.max_t;
        let mut side = SampleBuf::default();
        let late = self.side.iter().filter(|s| range.contains(s.t));
        late.cloned().for_each(|s| side.push(s));
        let open = self.ring.t.first().is_some_and(|t| *t <= range.end())
            && self.ring.t.last().is_some_and(|t| range.start() <= *t);
        Captured {
            sealed: self.sealed.iter().filter(inside).cloned().collect(),
            side,
            ring: if open { self.ring.clone() } else { SampleBuf::default() },
        }
    }

    /// Whether a run of its samples lies in a range, wholly or in part; the newest are asked first.
    pub(crate) fn touches(&self, range: TimeRange) -> bool {
        let ends =
            |first: Timestamp, last: Timestamp| first <= range.end() && range.start() <= last;
        let ring = self.ring.t.first().zip(self.ring.t.last());
        ring.is_some_and(|(first, last)| ends(*first, *last))
            || self.side.iter().any(|s| range.contains(s.t))
            || self.sealed.iter().rev().any(|c| ends(c.min_t, c.max_t))
    }

    /// Seals every open sample below `before`, so that a cut can take whole chunks.
    pub(crate) fn seal_before(&mut self, before: Timestamp, shape: Shape, columns: &mut Columns) {
        if self.side.iter().any(|s| s.t < before) {
            self.seal_side(shape, columns);
        }
        if self.ring.t.first().is_some_and(|t| *t < before) {
            self.seal_ring(columns);
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
        self.side.iter().for_each(|s| add(s.t, 1));
        if let Some(first) = self.ring.t.first() {
            add(*first, self.ring.len() as u64);
        }
    }

    /// Whether nothing is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.ring.is_empty() && self.side.is_empty() && self.sealed.is_empty()
    }

    /// Puts back what a checkpoint had of a series.
    pub(crate) fn restore(&mut self, captured: Captured, newest: Timestamp) {
        self.sealed = captured.sealed;
        self.side = captured.side.iter().collect();
        self.ring = captured.ring;
        self.newest = newest;
    }

    /// Sees to it that a newer sample may follow in the ring.
    #[inline]
    fn make_room(&mut self, t: Timestamp, shape: Shape, columns: &mut Columns) {
        if self.ring.len() >= shape.ring || t >= self.ring_until {
            self.end_ring(t, shape, columns);
        }
    }

    /// By a quarter and not to the double: of many series, half the memory would be for later.
    fn grow_ring(&mut self, shape: Shape) {
        let more = (self.ring.len() / 4).clamp(4, shape.ring.max(4));
        self.ring.t.reserve_exact(more);
        self.ring.v.reserve_exact(more);
    }

    fn end_ring(&mut self, t: Timestamp, shape: Shape, columns: &mut Columns) {
        let until = |t: Timestamp| (t.div_euclid(shape.span) + 1).saturating_mul(shape.span);
        if let Some(first) = self.ring.t.first() {
            self.ring_until = until(*first);
            if self.ring.len() < shape.ring && t < self.ring_until {
                return;
            }
            self.seal_ring(columns);
        }
        self.ring_until = until(t);
    }

    fn put_late(&mut self, sample: Sample, shape: Shape, columns: &mut Columns) {
        let in_ring = self.ring.t.first().is_some_and(|first| sample.t >= *first);
        if in_ring {
            self.put_in_ring(sample);
            return;
        }
        match self.side.binary_search_by_key(&sample.t, |s| s.t) {
            Ok(i) => self.side[i] = sample,
            Err(i) => self.side.insert(i, sample),
        }
        if self.side.len() >= SIDE_CAPACITY {
            self.seal_side(shape, columns);
        }
    }

    /// The ring is short, so it is simply built anew.
    fn put_in_ring(&mut self, sample: Sample) {
        let at = self.ring.t.partition_point(|t| *t < sample.t);
        let mut ring = SampleBuf::default();
        let mut sample = Some(sample);
        for (i, old) in self.ring.iter().enumerate() {
            if i == at
                && let Some(sample) = sample.take()
            {
                let replaces = old.t == sample.t;
                ring.push(sample);
                if replaces {
                    continue;
                }
            }
            ring.push(old);
        }
        self.ring = ring;
    }

    fn seal_ring(&mut self, columns: &mut Columns) {
        self.sealed.push(Arc::new(HeadChunk::encode(&self.ring, columns)));
        self.ring.clear();
        // A ring that once held a histogram must not keep that column's memory for ever.
        self.ring.h = Vec::new();
        self.ring.start = Vec::new();
    }

    fn seal_side(&mut self, shape: Shape, columns: &mut Columns) {
        let side = std::mem::take(&mut self.side);
        for run in side.chunk_by(|a, b| a.t.div_euclid(shape.span) == b.t.div_euclid(shape.span)) {
            let mut samples = SampleBuf::default();
            run.iter().cloned().for_each(|s| samples.push(s));
            self.sealed.push(Arc::new(HeadChunk::encode(&samples, columns)));
        }
    }
}
