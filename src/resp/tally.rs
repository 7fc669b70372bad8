//! What is counted of every command and sub-command: calls, time, refusals, failures, errors by code.
//!
//! A slot is a place in the table of commands, or behind those in the table of sub-commands. Counting a
//! call takes no lock: two additions. How often a command was called is the sum of its histogram.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::facts::{COMMANDS, Facts, SUBCOMMANDS};
use super::shared::Counters;

/// Steps a doubling of the time is divided into, and how many bits that takes.
const STEPS: usize = 8;
const STEP_BITS: u32 = 3;
/// Bins of a histogram: each microsecond under eight, then eight a doubling up to an hour and more.
const BINS: usize = 30 * STEPS;
/// Codes of errors that are counted apart.
const MAX_CODES: usize = 128;

/// What is counted of one command.
#[derive(Debug, Default)]
struct Slot {
    nanos: AtomicU64,
    rejected: AtomicU64,
    failed: AtomicU64,
    /// Calls by how long they took; made with the first call.
    bins: OnceLock<Box<[AtomicU64]>>,
}

/// What is counted of all of them.
#[derive(Debug)]
pub(super) struct Tally {
    slots: Box<[Slot]>,
    errors: Mutex<BTreeMap<String, u64>>,
}

/// What passed in the last second: commands, bytes read, bytes written.
#[derive(Debug, Default)]
pub(super) struct Rates(Mutex<Sampled>);

/// The totals at the last look, and how fast they grew before it.
#[derive(Debug, Default)]
struct Sampled {
    at: i64,
    totals: [u64; 3],
    rates: [f64; 3],
}

impl Rates {
    /// Looks at the totals, once a second however often it is called.
    pub(super) fn sample(&self, now: i64, counters: &Counters) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now - last.at < 1000 {
            return;
        }
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let calls = counters.commands().map(|(_, calls)| calls).sum();
        let totals = [calls, load(&counters.bytes_in), load(&counters.bytes_out)];
        let seconds = (now - last.at) as f64 / 1000.0;
        let grown = |i: usize| totals[i].saturating_sub(last.totals[i]) as f64 / seconds;
        *last = Sampled { at: now, totals, rates: std::array::from_fn(grown) };
    }

    /// Commands, bytes read and bytes written a second.
    pub(super) fn get(&self) -> [f64; 3] {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).rates
    }
}

/// What was counted of one command.
#[derive(Clone, Debug)]
pub(super) struct Counted {
    pub(super) name: &'static str,
    pub(super) usec: u64,
    /// Calls refused before they ran.
    pub(super) rejected: u64,
    /// Calls that ran and answered an error.
    pub(super) failed: u64,
    pub(super) histogram: Histogram,
}

/// Calls by how long they took.
#[derive(Clone, Debug)]
pub(super) struct Histogram(Vec<u64>);

impl Default for Tally {
    fn default() -> Tally {
        let slots = COMMANDS.len() + SUBCOMMANDS.len();
        Tally { slots: (0..slots).map(|_| Slot::default()).collect(), errors: Mutex::default() }
    }
}

impl Tally {
    /// Counts a call that ran.
    pub(super) fn called(&self, slot: usize, took: Duration, failed: bool) {
        let Some(slot) = self.slots.get(slot) else { return };
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        slot.nanos.fetch_add(nanos, Ordering::Relaxed);
        let bins = slot.bins.get_or_init(|| (0..BINS).map(|_| AtomicU64::new(0)).collect());
        if let Some(bin) = bins.get(bin(nanos / 1000)) {
            bin.fetch_add(1, Ordering::Relaxed);
        }
        if failed {
            slot.failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a call that was refused before it ran.
    pub(super) fn rejected(&self, slot: usize) {
        if let Some(slot) = self.slots.get(slot) {
            slot.rejected.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts an error by the code in front of its text.
    pub(super) fn error(&self, text: &str) {
        let code = text.split(' ').next().unwrap_or_default();
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = errors.get_mut(code) {
            *count += 1;
        } else if errors.len() < MAX_CODES {
            errors.insert(code.to_owned(), 1);
        }
    }

    /// Errors by their codes.
    pub(super) fn errors(&self) -> BTreeMap<String, u64> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was counted, of commands that were called or refused.
    pub(super) fn counted(&self) -> impl Iterator<Item = Counted> {
        let rows = COMMANDS.iter().chain(SUBCOMMANDS);
        let counted = rows.zip(&self.slots).map(|(facts, slot)| slot.read(facts));
        counted.filter(|c| c.histogram.calls() + c.rejected > 0)
    }

    /// Forgets all of it.
    pub(super) fn reset(&self) {
        for slot in &self.slots {
            let bins = slot.bins.get().into_iter().flatten();
            for counter in bins.chain([&slot.nanos, &slot.rejected, &slot.failed]) {
                counter.store(0, Ordering::Relaxed);
            }
        }
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Slot {
    fn read(&self, facts: &'static Facts) -> Counted {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counted {
            name: facts.name,
            usec: load(&self.nanos) / 1000,
            rejected: load(&self.rejected),
            failed: load(&self.failed),
            histogram: Histogram(self.bins.get().into_iter().flatten().map(load).collect()),
        }
    }
}

impl Histogram {
    pub(super) fn calls(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Calls up to each power of two microseconds, where there were more than up to the one before.
    pub(super) fn doublings(&self) -> Vec<(u64, u64)> {
        let (mut shown, mut total) = (Vec::new(), 0);
        for doubling in 0..u64::BITS {
            let upper = 1_u64 << doubling;
            let below = |bin: usize| highest(bin) <= upper;
            let sum = self.0.iter().enumerate().filter(|(bin, _)| below(*bin)).map(|(_, n)| n);
            let sum: u64 = sum.sum();
            if sum > total {
                shown.push((upper, sum));
                total = sum;
            }
        }
        shown
    }

    /// The time, in microseconds, that so many percent of the calls did not exceed.
    pub(super) fn percentile(&self, percent: f64) -> u64 {
        let wanted = (percent / 100.0 * self.calls() as f64).max(1.0);
        let mut total = 0;
        let reached = self.0.iter().position(|n| {
            total += n;
            total as f64 >= wanted
        });
        reached.map_or(0, highest)
    }
}

/// The bin of a time: the leading bit and the bits behind it.
fn bin(us: u64) -> usize {
    let us = us.max(1);
    let exponent = us.ilog2();
    let bin = match exponent.checked_sub(STEP_BITS) {
        None => us as usize,
        Some(shift) => (shift as usize + 1) * STEPS + (us >> shift) as usize % STEPS,
    };
    bin.min(BINS - 1)
}

/// The longest time of a bin.
fn highest(bin: usize) -> u64 {
    match (bin / STEPS).checked_sub(1) {
        None => bin as u64,
        Some(shift) => (((STEPS + bin % STEPS + 1) as u64) << shift) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_in_a_bin_that_ends_at_most_an_eighth_above_it() {
        let times = (0..2_000).chain((11..32).flat_map(|e| [(1 << e) - 1, 1 << e, (1 << e) + 1]));
        for us in times.map(|us: u64| us.max(1)) {
            let top = highest(bin(us));
            assert!(top >= us && top <= us + us / 8, "{us} in a bin up to {top}");
            assert_eq!(bin(top), bin(us));
            assert_eq!(bin(top + 1), bin(us) + 1);
        }
        assert_eq!(bin(u64::MAX), BINS - 1);
    }

    #[test]
    fn counts_calls_failures_and_codes() {
        let tally = Tally::default();
        let slot = crate::resp::facts::find(b"get").unwrap();
        for us in [1, 2, 3, 100] {
            tally.called(slot, Duration::from_micros(us), us == 3);
        }
        tally.rejected(slot);
        tally.error("WRONGTYPE of a kind");
        let counted: Vec<Counted> = tally.counted().collect();
        let [get] = counted.as_slice() else { panic!("{counted:?}") };
        assert_eq!((get.name, get.usec, get.rejected, get.failed), ("get", 106, 1, 1));
        assert_eq!(get.histogram.doublings(), [(1, 1), (2, 2), (4, 3), (128, 4)]);
        assert_eq!((get.histogram.percentile(50.0), get.histogram.percentile(99.0)), (2, 103));
        assert_eq!(tally.errors(), BTreeMap::from([("WRONGTYPE".to_owned(), 1)]));
        tally.reset();
        assert_eq!((tally.counted().count(), tally.errors().len()), (0, 0));
    }
}
