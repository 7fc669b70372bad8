//! Series by slot, in pages: none is moved when there are more, and a series takes what it takes, not the
//! next size an allocator has.

use std::ops::Range;

use super::series::MemSeries;

/// Slots of a page.
const PAGE: usize = 64;

/// Slots with a series or without.
#[derive(Debug, Default)]
pub(super) struct Slots {
    pages: Vec<Vec<Option<MemSeries>>>,
}

impl Slots {
    /// Slots there are.
    pub(super) fn len(&self) -> usize {
        match self.pages.split_last() {
            Some((last, full)) => full.len() * PAGE + last.len(),
            None => 0,
        }
    }

    /// The series at a slot.
    #[inline]
    pub(super) fn get(&self, slot: u32) -> Option<&MemSeries> {
        let slot = slot as usize;
        self.pages.get(slot / PAGE)?.get(slot % PAGE)?.as_ref()
    }

    /// The same, to change it.
    #[inline]
    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut MemSeries> {
        let slot = slot as usize;
        self.pages.get_mut(slot / PAGE)?.get_mut(slot % PAGE)?.as_mut()
    }

    /// Puts a series into a slot that has none, or into the next one.
    pub(super) fn put(&mut self, slot: u32, series: MemSeries) {
        let slot = slot as usize;
        match self.pages.get_mut(slot / PAGE).and_then(|page| page.get_mut(slot % PAGE)) {
            Some(free) => *free = Some(series),
            None => self.push(series),
        }
    }

    fn push(&mut self, series: MemSeries) {
        if let Some(page) = self.pages.last_mut().filter(|page| page.len() < PAGE) {
            return page.push(Some(series));
        }
        let mut page = Vec::with_capacity(PAGE);
        page.push(Some(series));
        self.pages.push(page);
    }

    /// Takes the series out of a slot.
    pub(super) fn take(&mut self, slot: u32) -> Option<MemSeries> {
        let slot = slot as usize;
        self.pages.get_mut(slot / PAGE)?.get_mut(slot % PAGE)?.take()
    }

    /// All series with their slots.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &MemSeries)> {
        let all = (0..).zip(self.pages.iter().flatten());
        all.filter_map(|(slot, series)| Some((slot, series.as_ref()?)))
    }

    /// The series in these slots.
    pub(super) fn iter_in(&self, slots: Range<u32>) -> impl Iterator<Item = (u32, &MemSeries)> {
        let end = slots.end.min(self.len() as u32);
        (slots.start..end).filter_map(|slot| Some((slot, self.get(slot)?)))
    }

    /// The same, to change them.
    pub(super) fn each_in(&mut self, slots: Range<u32>, mut change: impl FnMut(&mut MemSeries)) {
        for slot in slots.start..slots.end.min(self.len() as u32) {
            self.get_mut(slot).into_iter().for_each(&mut change);
        }
    }
}
