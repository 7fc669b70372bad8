//! Series by slot.

use std::ops::Range;

use super::series::MemSeries;
use crate::paged::Paged;

/// Slots of a page: 8 KB.
const PAGE: usize = 64;

/// Slots with a series or without.
#[derive(Debug, Default)]
pub(super) struct Slots(Paged<Option<MemSeries>, PAGE>);

impl Slots {
    /// Slots there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The series at a slot.
    #[inline]
    pub(super) fn get(&self, slot: u32) -> Option<&MemSeries> {
        self.0.get(slot as usize)?.as_ref()
    }

    /// The same, to change it.
    #[inline]
    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut MemSeries> {
        self.0.get_mut(slot as usize)?.as_mut()
    }

    /// Puts a series into a slot that has none, or into the next one.
    pub(super) fn put(&mut self, slot: u32, series: MemSeries) {
        match self.0.get_mut(slot as usize) {
            Some(free) => *free = Some(series),
            None => self.0.push(Some(series)),
        }
    }

    /// Takes the series out of a slot.
    pub(super) fn take(&mut self, slot: u32) -> Option<MemSeries> {
        self.0.get_mut(slot as usize)?.take()
    }

    /// All series with their slots.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &MemSeries)> {
        let all = (0..).zip(self.0.iter());
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
