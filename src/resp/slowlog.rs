//! What took long: SLOWLOG's entries and LATENCY's events.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::shared::Client;

/// Arguments and bytes of each that an entry keeps.
const MAX_ARGUMENTS: usize = 32;
const MAX_BYTES: usize = 128;
/// Events of one kind that are kept.
const MAX_EVENTS: usize = 160;

/// One slow command.
#[derive(Clone, Debug)]
pub(super) struct Slow {
    pub(super) id: u64,
    pub(super) at: i64,
    pub(super) us: i64,
    pub(super) args: Vec<Vec<u8>>,
    pub(super) peer: String,
    pub(super) name: String,
}

/// The last slow commands, the newest first.
#[derive(Debug, Default)]
pub(super) struct SlowLog(Mutex<(u64, VecDeque<Slow>)>);

impl SlowLog {
    pub(super) fn note(&self, now: i64, us: i64, args: &[&[u8]], client: &Client, limit: usize) {
        let mut log = self.lock();
        let id = log.0;
        log.0 += 1;
        let entry = Slow {
            id,
            at: now / 1000,
            us,
            args: shortened(args),
            peer: client.peer.to_string(),
            name: client.name.clone(),
        };
        log.1.push_front(entry);
        log.1.truncate(limit);
    }

    pub(super) fn entries(&self, count: usize) -> Vec<Slow> {
        self.lock().1.iter().take(count).cloned().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.lock().1.len()
    }

    pub(super) fn reset(&self) {
        self.lock().1.clear();
    }

    fn lock(&self) -> MutexGuard<'_, (u64, VecDeque<Slow>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Arguments as they are kept: neither many nor long.
fn shortened(args: &[&[u8]]) -> Vec<Vec<u8>> {
    let shown = if args.len() > MAX_ARGUMENTS { MAX_ARGUMENTS - 1 } else { args.len() };
    let mut kept: Vec<Vec<u8>> = args.iter().take(shown).map(|arg| shorten(arg)).collect();
    if shown < args.len() {
        kept.push(format!("... ({} more arguments)", args.len() - shown).into_bytes());
    }
    kept
}

fn shorten(arg: &[u8]) -> Vec<u8> {
    if arg.len() <= MAX_BYTES {
        return arg.to_vec();
    }
    let mut kept = arg.get(..MAX_BYTES).unwrap_or_default().to_vec();
    kept.extend_from_slice(format!("... ({} more bytes)", arg.len() - MAX_BYTES).as_bytes());
    kept
}

/// Events that took long, by kind.
#[derive(Debug, Default)]
pub(super) struct Latency(Mutex<BTreeMap<&'static str, VecDeque<(i64, i64)>>>);

impl Latency {
    /// Notes an event of so many milliseconds; of one second the longest stays.
    pub(super) fn event(&self, kind: &'static str, now: i64, ms: i64) {
        let mut events = self.lock();
        let kept = events.entry(kind).or_default();
        match kept.back_mut() {
            Some((at, longest)) if *at == now / 1000 => *longest = ms.max(*longest),
            _ => kept.push_back((now / 1000, ms)),
        }
        if kept.len() > MAX_EVENTS {
            kept.pop_front();
        }
    }

    pub(super) fn events(&self) -> BTreeMap<&'static str, VecDeque<(i64, i64)>> {
        self.lock().clone()
    }

    /// Forgets events of these kinds, or all; says how many kinds there were.
    pub(super) fn reset(&self, kinds: &[String]) -> usize {
        let mut events = self.lock();
        let before = events.len();
        events.retain(|kind, _| !kinds.is_empty() && !kinds.iter().any(|k| k == kind));
        before - events.len()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, VecDeque<(i64, i64)>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
