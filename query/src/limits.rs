//! What one query may use, and the signs to stop.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{ErrorKind, QueryError};
use crate::value::Steps;

/// Tells a running query to stop.
pub trait Interrupt: Sync {
    /// Why to stop, if so. Asked about every thousand samples.
    fn stop(&self) -> Option<Stop>;
}

/// Why a query stops before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Nobody waits for it any more.
    Canceled,
    /// Its time is up.
    TimedOut,
}

/// Never stops.
#[derive(Clone, Copy, Debug)]
pub struct Uninterrupted;

impl Interrupt for Uninterrupted {
    fn stop(&self) -> Option<Stop> {
        None
    }
}

/// Samples that windows or steps looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Looked {
    /// Those in several windows as often.
    pub(crate) samples: u64,
    /// Each once, where it was looked at first.
    pub(crate) fresh: u64,
}

/// The same, counted from several threads.
#[derive(Default)]
struct Counted {
    samples: AtomicU64,
    fresh: AtomicU64,
}

impl Counted {
    fn add(&self, looked: Looked) {
        self.samples.fetch_add(looked.samples, Ordering::Relaxed);
        self.fresh.fetch_add(looked.fresh, Ordering::Relaxed);
    }

    fn get(&self) -> Looked {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Looked { samples: load(&self.samples), fresh: load(&self.fresh) }
    }
}

/// Counts samples against the limit.
pub(crate) struct Budget<'a> {
    interrupt: &'a dyn Interrupt,
    max: u64,
    held: AtomicU64,
    peak: AtomicU64,
    read: AtomicU64,
    summarised: AtomicU64,
    rolled_up: AtomicU64,
    bytes_read: AtomicU64,
    looked_at: Counted,
    steps: Option<Steps>,
    by_step: Vec<Counted>,
}

impl Budget<'_> {
    /// With `steps`, what is looked at is also counted by step.
    pub(crate) fn new(interrupt: &dyn Interrupt, max: u64, steps: Option<Steps>) -> Budget<'_> {
        let zero = || AtomicU64::new(0);
        let count = steps.map_or(0, |steps| steps.count);
        let by_step = (0..count).map(|_| Counted::default()).collect();
        Budget {
            interrupt,
            max,
            held: zero(),
            peak: zero(),
            read: zero(),
            summarised: zero(),
            rolled_up: zero(),
            bytes_read: zero(),
            looked_at: Counted::default(),
            steps,
            by_step,
        }
    }

    /// Whether somebody asked for samples by step, and these are the query's own steps rather
    /// than those within a subquery.
    pub(crate) fn counts_steps(&self, steps: Steps) -> bool {
        self.steps == Some(steps)
    }

    /// Samples an operator looks at over all its steps, and how many at which.
    pub(crate) fn look_at(&self, all: Looked, by_step: impl Iterator<Item = (usize, Looked)>) {
        for (step, looked) in by_step {
            if let Some(counter) = self.by_step.get(step) {
                counter.add(looked);
            }
        }
        self.looked_at.add(all);
    }

    /// Encoded bytes that samples were read from.
    pub(crate) fn read_bytes(&self, bytes: u64) {
        self.bytes_read.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Samples that were read and are held now.
    pub(crate) fn charge_read(&self, samples: usize) -> Result<(), QueryError> {
        self.read.fetch_add(samples as u64, Ordering::Relaxed);
        self.charge(samples)
    }

    /// Samples that statistics stood for.
    pub(crate) fn summarise(&self, samples: u64) {
        self.summarised.fetch_add(samples, Ordering::Relaxed);
    }

    /// Samples that rows of roll-ups stood for.
    pub(crate) fn roll_up(&self, samples: u64) {
        self.rolled_up.fetch_add(samples, Ordering::Relaxed);
    }

    /// Samples that are held now.
    pub(crate) fn charge(&self, samples: usize) -> Result<(), QueryError> {
        let held = self.held.fetch_add(samples as u64, Ordering::Relaxed) + samples as u64;
        self.peak.fetch_max(held, Ordering::Relaxed);
        if held > self.max {
            return Err(over_budget(held, self.max));
        }
        self.check()
    }

    /// Samples that are let go.
    pub(crate) fn release(&self, samples: usize) {
        self.held.fetch_sub(samples as u64, Ordering::Relaxed);
    }

    /// Whether to go on.
    pub(crate) fn check(&self) -> Result<(), QueryError> {
        let (kind, message) = match self.interrupt.stop() {
            None => return Ok(()),
            Some(Stop::Canceled) => {
                (ErrorKind::Canceled, "query was canceled in expression evaluation")
            }
            Some(Stop::TimedOut) => {
                (ErrorKind::Timeout, "query timed out in expression evaluation")
            }
        };
        Err(QueryError { kind, message: message.to_owned() })
    }

    pub(crate) fn samples_decoded(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    pub(crate) fn samples_summarised(&self) -> u64 {
        self.summarised.load(Ordering::Relaxed)
    }

    pub(crate) fn samples_rolled_up(&self) -> u64 {
        self.rolled_up.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    pub(crate) fn looked_at(&self) -> Looked {
        self.looked_at.get()
    }

    pub(crate) fn looked_at_per_step(&self) -> Vec<(i64, Looked)> {
        let counts = self.by_step.iter().map(Counted::get);
        self.steps.into_iter().flat_map(Steps::iter).zip(counts).collect()
    }

    pub(crate) fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }
}

/// Which limit, how far over, and how to narrow the query, behind Prometheus's words.
pub(crate) fn over_budget(held: u64, max: u64) -> QueryError {
    QueryError::execution(format!(
        "query processing would load too many samples into memory in query execution: {held} so far, \
         {} over limits.query_samples = {max}; select fewer series, a shorter range or a larger \
         step",
        held.saturating_sub(max)
    ))
}
