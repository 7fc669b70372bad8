//! A shard: some of the series, behind one lock.

use std::cell::OnceCell;
use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashTable;

use super::admit::{Admission, Limits, Window, admit, shifted};
use super::alias::Target;
use super::blocks::Blocks;
use super::chunk::Sealer;
use super::series::{MemSeries, Shape, Shared};
use super::slots::Slots;
use crate::append::{Duplicates, Rejection};
use crate::block::Deletion;
use crate::chunk::step::NO_FORM;
use crate::index::Postings;
use crate::model::{Labels, Sample, SeriesId, Timestamp, Value, WalPosition};
use crate::wal::{FloatRow, Logged, NewSeries, OtherRow, ShardBatch};

/// Series that share a lock.
#[derive(Debug)]
pub(crate) struct Shard {
    number: u16,
    /// By slot; none where a series has left the head, until a new one takes the slot: who comes
    /// back to a slot compares the series number.
    series: Slots,
    /// Slots without a series; the last is taken first.
    free: Vec<u32>,
    /// Slots by labels.
    by_labels: HashTable<u32>,
    /// Slots by series number.
    by_id: HashTable<u32>,
    pub(crate) postings: Postings,
    pub(crate) shared: Shared,
    /// Every record below has been applied.
    pub(crate) applied: WalPosition,
    pub(crate) samples: u64,
}

/// A batch while it is admitted.
pub(crate) struct Admitting<'a> {
    pub(crate) limits: &'a Limits,
    pub(crate) window: Window,
    pub(crate) duplicates: Duplicates,
    /// Number of this batch.
    pub(crate) batch: u64,
    pub(crate) pending: Pending,
    /// Whether one more series fits, asked once a new series.
    pub(crate) room: &'a dyn Fn(&Labels) -> Result<SeriesId, Rejection>,
    /// What has been admitted so far.
    pub(crate) rows: ShardBatch,
    /// Newest time admitted for each of the batch's new series.
    pub(crate) new_newest: Vec<Timestamp>,
}

/// The newest time that a batch has so far for each series it has rows of. A series' samples mostly stand
/// together, so that of the last one is at hand and the others are looked for when one of them comes again.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    last: Option<(u32, Timestamp)>,
    others: Option<hashbrown::HashMap<u32, Timestamp>>,
}

impl Pending {
    #[inline]
    fn note(&mut self, slot: u32, newest: Timestamp) {
        self.last = Some((slot, newest));
        if let Some(others) = &mut self.others {
            others.insert(slot, newest);
        }
    }
}

impl Admitting<'_> {
    /// The newest time that the batch has for a series that is there.
    #[inline]
    fn pending_newest(&mut self, slot: u32, series: &MemSeries) -> Option<Timestamp> {
        match self.pending.last {
            Some((last, newest)) if last == slot => Some(newest),
            // Only a hint: numbers of batches come round.
            _ if series.batch == self.batch as u32 => self.look_back(slot),
            _ => None,
        }
    }

    #[cold]
    fn look_back(&mut self, slot: u32) -> Option<Timestamp> {
        let rows = &self.rows;
        let others = self.pending.others.get_or_insert_with(|| {
            let floats = rows.floats.iter().map(|row| (row.slot, row.t));
            // As many as the batch has rows for this shard, so that the table does not grow.
            let mut newest = hashbrown::HashMap::with_capacity(rows.floats.capacity());
            for (slot, t) in floats.chain(rows.others.iter().map(|row| (row.slot, row.sample.t))) {
                newest.entry(slot).and_modify(|n: &mut Timestamp| *n = t.max(*n)).or_insert(t);
            }
            newest
        });
        others.get(&slot).copied()
    }
}

impl Shard {
    pub(crate) fn new(number: u16, shape: Shape, sealer: Sealer) -> Shard {
        Shard {
            number,
            series: Slots::default(),
            free: Vec::new(),
            by_labels: HashTable::new(),
            by_id: HashTable::new(),
            postings: Postings::default(),
            shared: Shared { shape, sealer, blocks: Blocks::default() },
            applied: WalPosition(0),
            samples: 0,
        }
    }

    /// The slot an alias points to, if its series is still there.
    pub(crate) fn follow(&self, target: Target) -> Option<u32> {
        let series = self.series.get(target.slot)?;
        (series.id == target.id).then_some(target.slot)
    }

    /// The slot of a label set; a new series is admitted into `admitting` if need be.
    pub(crate) fn resolve(
        &self,
        labels: &Labels,
        lookback: Option<Timestamp>,
        admitting: &mut Admitting<'_>,
    ) -> Result<Target, Rejection> {
        if let Some((slot, series)) = self.find(labels) {
            return Ok(Target { shard: self.number, slot, id: series.id });
        }
        let new = &admitting.rows.new_series;
        if let Some(i) = new.iter().position(|s| s.labels == *labels) {
            return Ok(Target { shard: self.number, slot: self.slot_of_new(i), id: new[i].id });
        }
        admitting.limits.check(labels)?;
        let id = (admitting.room)(labels)?;
        let slot = self.slot_of_new(new.len());
        admitting.rows.new_series.push(NewSeries { id, lookback, labels: labels.clone() });
        admitting.new_newest.push(Timestamp::MIN);
        Ok(Target { shard: self.number, slot, id })
    }

    /// Admits one sample of a resolved series; says at what time, or `None` if it is known.
    pub(crate) fn admit(
        &mut self,
        target: Target,
        sample: &Sample,
        admitting: &mut Admitting<'_>,
    ) -> Result<Option<Timestamp>, Rejection> {
        admitting.window.check(sample.t)?;
        let existing = self.series.get(target.slot);
        let in_batch = match existing {
            Some(series) => admitting.pending_newest(target.slot, series),
            None => admitting.new_newest.get(self.new_of_slot(target.slot)).copied(),
        };
        let newest =
            existing.map_or(Timestamp::MIN, |s| s.newest).max(in_batch.unwrap_or(Timestamp::MIN));
        if sample.t > newest {
            return Ok(self.take(target, sample, sample.t, in_batch, admitting));
        }
        if admitting.duplicates == Duplicates::NextFree
            && existing.is_some_and(|s| s.full_from <= sample.t)
        {
            // A burst of pushes: everything up to the newest is taken, so the next free is after it.
            return match shifted(sample.t, newest) {
                Some(t) => Ok(self.take(target, sample, t, in_batch, admitting)),
                None => Err(Rejection::Duplicate),
            };
        }
        let rows = &admitting.rows;
        let taken = |t| in_batch.and_then(|_| row_at(rows, target.id, t));
        // To find a free millisecond may take many looks.
        let opened = OnceCell::new();
        let many = (admitting.duplicates == Duplicates::NextFree).then_some(&opened);
        let stored = |t| existing.and_then(|s| s.value_at(t, many, &self.shared.blocks));
        let at = |t| taken(t).or_else(|| stored(t));
        match admit(sample, admitting.duplicates, &at) {
            Admission::Take(t) => Ok(self.take(target, sample, t, in_batch, admitting)),
            Admission::Known => Ok(None),
            Admission::Refuse(reason) => Err(reason),
        }
    }

    /// Takes a sample; `in_batch` is the newest that this batch had for the series before.
    fn take(
        &mut self,
        target: Target,
        sample: &Sample,
        t: Timestamp,
        in_batch: Option<Timestamp>,
        admitting: &mut Admitting<'_>,
    ) -> Option<Timestamp> {
        let Target { slot, id, .. } = target;
        let new = self.new_of_slot(slot);
        if let Some(series) = self.series.get_mut(slot) {
            series.extend_full(t, in_batch.unwrap_or(Timestamp::MIN));
            series.batch = admitting.batch as u32;
            admitting.pending.note(slot, in_batch.map_or(t, |before| before.max(t)));
        } else if let Some(newest) = admitting.new_newest.get_mut(new) {
            *newest = t.max(*newest);
        }
        match sample.value {
            Value::Float(v) if sample.start == 0 => {
                admitting.rows.floats.push(FloatRow { slot, id, t, v, form: NO_FORM });
            }
            _ => {
                let sample = Sample { t, ..sample.clone() };
                admitting.rows.others.push(OtherRow { slot, id, sample });
            }
        }
        Some(t)
    }

    /// Puts a logged batch in. Never refuses; a batch below `applied` is already in.
    pub(crate) fn apply(&mut self, logged: &Logged<&ShardBatch>) {
        let (position, batch) = (logged.position(), *logged.get());
        if position < self.applied {
            return;
        }
        self.applied = WalPosition(position.0 + 1);
        for new in &batch.new_series {
            self.insert(MemSeries::new(new.id, new.labels.clone(), new.lookback));
        }
        for row in &batch.floats {
            if let Some(series) = series_mut(&mut self.series, row.slot, row.id) {
                series.push_float((row.t, row.v), row.form, &mut self.shared);
                series.touched = position.0;
            }
        }
        for row in &batch.others {
            if let Some(series) = series_mut(&mut self.series, row.slot, row.id) {
                series.push(row.sample.clone(), &mut self.shared);
                series.touched = position.0;
            }
        }
        self.samples += (batch.floats.len() + batch.others.len()) as u64;
    }

    /// The slot that the batch's new series number `n` will take.
    fn slot_of_new(&self, n: usize) -> u32 {
        match self.free.len().checked_sub(n + 1) {
            Some(last) => self.free[last],
            None => (self.series.len() + n - self.free.len()) as u32,
        }
    }

    /// The reverse, for a slot without a series.
    fn new_of_slot(&self, slot: u32) -> usize {
        match (slot as usize).checked_sub(self.series.len()) {
            Some(past) => self.free.len() + past,
            None => self.free.iter().rev().position(|free| *free == slot).unwrap_or(usize::MAX),
        }
    }

    /// Carries out a logged deletion; says which series left.
    pub(crate) fn delete(&mut self, logged: &Logged<&Deletion>) -> Vec<Labels> {
        let (position, what) = (logged.position(), *logged.get());
        if position < self.applied {
            return Vec::new();
        }
        self.applied = WalPosition(position.0 + 1);
        let slots = self.postings.select(&what.matchers);
        if what.forget {
            return self.remove(&slots);
        }
        for slot in slots {
            if let Some(series) = self.series.get_mut(slot) {
                series.delete(what.range, &mut self.shared);
            }
        }
        Vec::new()
    }

    /// Up to where the series that is furthest was applied, or all of them were.
    pub(crate) fn furthest(&self) -> WalPosition {
        let touched = self.iter().map(|(_, series)| series.touched).max().unwrap_or(0);
        self.applied.max(WalPosition(touched + u64::from(touched > 0)))
    }

    /// Finds the slots of a batch read back from the log, which knows series by number only. Rows mostly
    /// follow each other as they did before, so that is tried first.
    pub(crate) fn locate(&self, batch: &mut ShardBatch, order: &mut Order) {
        let number = |(i, s): (usize, &NewSeries)| (s.id, self.slot_of_new(i));
        let new: hashbrown::HashMap<SeriesId, u32> =
            batch.new_series.iter().enumerate().map(number).collect();
        let slot = |id: SeriesId| self.slot_of(id).or_else(|| new.get(&id).copied());
        let lost = u32::MAX;
        let mut after = None;
        for row in &mut batch.floats {
            let guess = order.expected(after);
            row.slot = match self.get(guess) {
                Some(series) if series.id == row.id => guess,
                _ => {
                    let found = slot(row.id).unwrap_or(lost);
                    order.follows(after, found);
                    found
                }
            };
            after = Some(row.slot);
        }
        for row in &mut batch.others {
            row.slot = slot(row.id).unwrap_or(lost);
        }
    }

    /// Enters a series; its slot.
    pub(crate) fn insert(&mut self, series: MemSeries) -> u32 {
        let slot = self.slot_of_new(0);
        let (hash, id_hash) = (series.labels.stable_hash(), hash_of_id(series.id));
        self.postings.add(slot, &series.labels);
        self.free.pop();
        self.series.put(slot, series);
        let series = &self.series;
        self.by_labels.insert_unique(hash, slot, |s| hash_at(series, *s));
        self.by_id.insert_unique(id_hash, slot, |s| series.get(*s).map_or(0, |s| hash_of_id(s.id)));
        slot
    }

    /// A series with these labels begins in the log. One that a checkpoint has, with nothing in it, had left the
    /// head by then, which is not logged.
    pub(crate) fn make_way(&mut self, labels: &Labels) {
        if let Some((slot, _)) = self.find(labels) {
            self.remove(&[slot]);
        }
    }

    /// Whether a series is here.
    pub(crate) fn has(&self, id: SeriesId) -> bool {
        self.slot_of(id).is_some()
    }

    /// A series by number.
    pub(crate) fn by_number(&self, id: SeriesId) -> Option<&MemSeries> {
        self.get(self.slot_of(id)?)
    }

    /// All series with their slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &MemSeries)> {
        self.series.iter()
    }

    /// Where the open samples of its series are.
    pub(crate) fn blocks(&self) -> &Blocks {
        &self.shared.blocks
    }

    /// A series by slot.
    pub(crate) fn get(&self, slot: u32) -> Option<&MemSeries> {
        self.series.get(slot)
    }

    /// Slots there are, with a series or without.
    pub(crate) fn slots(&self) -> u32 {
        self.series.len() as u32
    }

    /// The series in these slots.
    pub(crate) fn iter_in(&self, slots: Range<u32>) -> impl Iterator<Item = (u32, &MemSeries)> {
        self.series.iter_in(slots)
    }

    /// Seals the open samples below `before` of the series in these slots.
    pub(crate) fn seal_before(&mut self, before: Timestamp, slots: Range<u32>) {
        let shared = &mut self.shared;
        self.series.each_in(slots, |series| series.seal_before(before, shared));
    }

    /// Which of these slots have a series that holds nothing and had no sample since.
    pub(crate) fn idle(&self, since: u64, slots: Range<u32>) -> impl Iterator<Item = u32> {
        let idle = move |(_, s): &(u32, &MemSeries)| s.is_empty() && s.touched < since;
        self.iter_in(slots).filter(idle).map(|(slot, _)| slot)
    }

    /// Lets the series of these slots go that are idle still; says which.
    pub(crate) fn drop_idle(&mut self, since: u64, slots: &[u32]) -> Vec<Labels> {
        let still = |slot: &&u32| self.idle(since, **slot..**slot + 1).next().is_some();
        let gone: Vec<u32> = slots.iter().filter(still).copied().collect();
        self.remove(&gone)
    }

    fn remove(&mut self, slots: &[u32]) -> Vec<Labels> {
        let mut gone = Vec::new();
        for slot in slots {
            let Some(mut series) = self.series.take(*slot) else { continue };
            series.leave(&mut self.shared.blocks);
            self.free.push(*slot);
            if let Ok(entry) = self.by_id.find_entry(hash_of_id(series.id), |s| s == slot) {
                entry.remove();
            }
            let hash = series.labels.stable_hash();
            if let Ok(entry) = self.by_labels.find_entry(hash, |s| s == slot) {
                entry.remove();
            }
            gone.push((*slot, series.labels));
        }
        self.postings.remove(&gone);
        gone.into_iter().map(|(_, labels)| labels).collect()
    }

    /// Removes chunks that a block now has.
    pub(crate) fn forget(&mut self, slot: u32, chunks: &[Arc<super::HeadChunk>]) {
        if let Some(series) = self.series.get_mut(slot) {
            let in_block = |c: &Arc<_>| chunks.iter().any(|b| Arc::ptr_eq(b, c));
            series.sealed.retain(|c| !in_block(c));
        }
    }

    fn slot_of(&self, id: SeriesId) -> Option<u32> {
        let same = |slot: &u32| self.get(*slot).is_some_and(|s| s.id == id);
        self.by_id.find(hash_of_id(id), same).copied()
    }

    fn find(&self, labels: &Labels) -> Option<(u32, &MemSeries)> {
        let hash = labels.stable_hash();
        let same = |slot: &u32| self.get(*slot).is_some_and(|s| s.labels == *labels);
        let slot = *self.by_labels.find(hash, same)?;
        Some((slot, self.get(slot)?))
    }
}

/// Which slot's row followed which.
#[derive(Debug)]
pub(crate) struct Order {
    first: u32,
    next: Vec<u32>,
}

impl Order {
    pub(crate) const NEW: Order = Order { first: u32::MAX, next: Vec::new() };

    fn expected(&self, after: Option<u32>) -> u32 {
        match after {
            None => self.first,
            Some(slot) => self.next.get(slot as usize).copied().unwrap_or(u32::MAX),
        }
    }

    fn follows(&mut self, after: Option<u32>, slot: u32) {
        match after {
            None => self.first = slot,
            Some(u32::MAX) => {}
            Some(after) => {
                let after = after as usize;
                if after >= self.next.len() {
                    self.next.resize(after + 1, u32::MAX);
                }
                self.next[after] = slot;
            }
        }
    }
}

/// The series at a slot, if it is the one the row means.
fn series_mut(series: &mut Slots, slot: u32, id: SeriesId) -> Option<&mut MemSeries> {
    series.get_mut(slot).filter(|s| s.id == id)
}

/// Numbers are given one after the other, by nobody outside.
fn hash_of_id(id: SeriesId) -> u64 {
    let mixed = id.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ mixed >> 32
}

fn hash_at(series: &Slots, slot: u32) -> u64 {
    series.get(slot).map_or(0, |s| s.labels.stable_hash())
}

/// What a batch has already admitted for a series at a time.
fn row_at(rows: &ShardBatch, id: SeriesId, t: Timestamp) -> Option<Value> {
    let float = rows.floats.iter().rev().find(|r| r.id == id && r.t == t);
    let other = || rows.others.iter().rev().find(|r| r.id == id && r.sample.t == t);
    match float {
        Some(row) => Some(Value::Float(row.v)),
        None => other().map(|r| r.sample.value.clone()),
    }
}
