//! What each operator of a plan took, where somebody asked: `ANALYZE`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::QueryError;
use crate::limits::Budget;
use crate::plan::Node;
use crate::value::Evaluated;

/// What an operator took, the operators below it included.
#[derive(Clone, Copy, Debug, Default)]
pub struct Observed {
    /// Series it gave, in its largest evaluation.
    pub series: u64,
    /// Values it gave.
    pub values: u64,
    /// Samples read from storage.
    pub samples_read: u64,
    /// Samples that statistics of chunks stood for.
    pub samples_summarised: u64,
    /// Samples that rows of roll-ups stood for.
    pub samples_rolled_up: u64,
    /// Time.
    pub time: Duration,
}

/// Notes by node; nodes stay where they are while a query runs.
#[derive(Debug, Default)]
pub(crate) struct Observer(Mutex<HashMap<usize, Observed>>);

impl Observer {
    pub(crate) fn watch(
        &self,
        node: &Node,
        budget: &Budget<'_>,
        work: impl FnOnce() -> Result<Evaluated, QueryError>,
    ) -> Result<Evaluated, QueryError> {
        let (started, read) = (Instant::now(), budget.samples_read());
        let (summarised, rolled_up) = (budget.samples_summarised(), budget.samples_rolled_up());
        let value = work()?;
        let (series, values) = match &value {
            Evaluated::Scalar(values) => (1, values.len() as u64),
            Evaluated::Text(_) => (1, 1),
            Evaluated::Vector(rows) => {
                let values = rows.iter().map(|row| row.column.filled() as u64).sum();
                (rows.len() as u64, values)
            }
        };
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let note = notes.entry(key(node)).or_default();
        note.series = note.series.max(series);
        note.values += values;
        note.samples_read += budget.samples_read() - read;
        note.samples_summarised += budget.samples_summarised() - summarised;
        note.samples_rolled_up += budget.samples_rolled_up() - rolled_up;
        note.time += started.elapsed();
        Ok(value)
    }

    pub(crate) fn of(&self, node: &Node) -> Option<Observed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key(node)).copied()
    }
}

fn key(node: &Node) -> usize {
    std::ptr::from_ref(node).addr()
}
