//! Series pushed as keys: lists of JSON elements and hashes of current values, as agents push them.
//!
//! A `rule` says which series become which key; `shapes` is the keymap backwards; `spell` writes elements. What a
//! target has of a key is a function of the samples (`list`, `hash`), so that a sample that comes late or twice ends
//! the same. Samples come from the log, as far as the cursor says (`route`), and from the store where the log does
//! not tell (`whole`); `push` brings them to the target.
//!
//! Which keys of the target series made stands there too (`ringwell:mirror:{name}:series`, a hash by key) and moves
//! with them, so that they are told apart from the node's own keys.

mod hash;
mod list;
mod load;
mod own;
mod push;
mod register;
mod route;
mod rule;
mod settle;
mod shapes;
mod spell;
mod whole;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::metrics::{Families, Kind};
use hash::Hash;
use list::List;
use register::Register;
use route::Router;

pub use rule::{Rule, Written};

/// The field of the register that says by which rules all keys are as the store has them.
const SETTLED: &[u8] = b"";
/// What is said of a list in the register; of a hash, see [`Hash`].
const LIST: &[u8] = b"l";

/// What is told of series.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The keys that the target has of series.
    register: Mutex<Register>,
    /// Keys that series would make if they were not somebody else's.
    taken: Mutex<BTreeMap<Vec<u8>, String>>,
    pub(super) samples: AtomicU64,
    pub(super) written: AtomicU64,
    /// Bytes of the log that were not looked at yet.
    pub(super) behind: AtomicU64,
    pub(super) skipped: Arc<Skipped>,
}

/// Samples that were not pushed, by why.
#[derive(Debug, Default)]
pub(super) struct Skipped {
    pub(super) histogram: AtomicU64,
    pub(super) not_finite: AtomicU64,
    /// A list's elements cannot tell the moment.
    pub(super) time: AtomicU64,
    /// The key is somebody else's.
    pub(super) taken: AtomicU64,
    /// There are as many keys, or fields of a hash, as there may be.
    pub(super) limit: AtomicU64,
    /// The key is a hash where a list is wanted, or the other way round.
    pub(super) kind: AtomicU64,
    /// The list has the moment already, or as many that are newer.
    pub(super) known: AtomicU64,
}

impl Skipped {
    pub(super) fn all(&self) -> [(&'static str, &AtomicU64); 7] {
        [
            ("histogram", &self.histogram),
            ("not_finite", &self.not_finite),
            ("time", &self.time),
            ("taken", &self.taken),
            ("limit", &self.limit),
            ("kind", &self.kind),
            ("known", &self.known),
        ]
    }
}

impl Told {
    fn register(&self) -> MutexGuard<'_, Register> {
        self.register.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_taken(&self) -> MutexGuard<'_, BTreeMap<Vec<u8>, String>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a key of the target is one that series made.
    pub(super) fn owns(&self, key: &[u8]) -> bool {
        key != SETTLED && self.register().get(key).is_some()
    }

    /// How many keys series made.
    pub(super) fn keys(&self) -> usize {
        self.register().len()
    }

    /// Adds what is told.
    pub(super) fn gather(&self, mirror: &str, out: &mut Families) {
        let labels = [("mirror", mirror)];
        for (name, help, value) in [
            ("ringwell_mirror_series_keys", "Keys of the target that series made.", self.keys()),
            (
                "ringwell_mirror_series_taken_keys",
                "Keys that series would make if they were not somebody else's.",
                self.lock_taken().len(),
            ),
        ] {
            out.family(name, Kind::Gauge, help).sample(&labels, value as f64);
        }
        let help = "Bytes of the log in which no samples were looked for yet.";
        let behind = self.behind.load(Ordering::Relaxed) as f64;
        out.family("ringwell_mirror_series_lag_bytes", Kind::Gauge, help).sample(&labels, behind);
        for (name, help, counter) in [
            (
                "ringwell_mirror_series_samples_total",
                "Samples of series that were brought to the target.",
                &self.samples,
            ),
            (
                "ringwell_mirror_series_whole_keys_total",
                "Keys of series that were written whole, as the store has them.",
                &self.written,
            ),
        ] {
            let count = counter.load(Ordering::Relaxed) as f64;
            out.family(name, Kind::Counter, help).sample(&labels, count);
        }
        let name = "ringwell_mirror_series_skipped_total";
        let help = "Samples of series with a key that were not pushed, by why.";
        for (why, counter) in self.skipped.all() {
            let count = counter.load(Ordering::Relaxed) as f64;
            out.family(name, Kind::Counter, help)
                .sample(&[("mirror", mirror), ("reason", why)], count);
        }
    }

    /// Keys that are somebody else's, and whose.
    pub(super) fn taken(&self) -> Vec<(Vec<u8>, String)> {
        self.lock_taken().iter().map(|(key, why)| (key.clone(), why.clone())).collect()
    }
}

/// What one connection knows of series.
pub(super) struct Pushing {
    /// What all rules say, to know them again.
    text: Vec<u8>,
    models: HashMap<Arc<[u8]>, Model>,
    /// Keys that have to be written whole.
    whole: Vec<Arc<[u8]>>,
    /// Whether all have to be.
    pub(in crate::mirror::redis) unsettled: bool,
    settled: Instant,
    /// How long that took.
    took: Duration,
    swept: Instant,
    /// From where on the register is swept next.
    sweep: Vec<u8>,
    /// Away while the log is read.
    pub(in crate::mirror::redis) router: Option<Router>,
}

/// A key, as it is known.
enum Model {
    List(List),
    Hash(Hash),
    /// It lived as long as it does after its newest sample.
    Expired,
    /// It is somebody else's; looked at again after a while.
    Taken(Instant),
    /// There were as many keys as there may be.
    Full(Instant),
}
