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
    /// Memory of what it gave.
    pub bytes: u64,
    /// Samples decoded.
    pub samples_decoded: u64,
    /// Encoded bytes these and statistics came from.
    pub bytes_read: u64,
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
        let (started, read) = (Instant::now(), budget.samples_decoded());
        let bytes_read = budget.bytes_read();
        let (summarised, rolled_up) = (budget.samples_summarised(), budget.samples_rolled_up());
        let value = work()?;
        let (series, values, bytes) = match &value {
            Evaluated::Scalar(values) => (1, values.len(), values.len() * size_of::<f64>()),
            Evaluated::Text(text) => (1, 1, text.len()),
            Evaluated::Vector(rows) => {
                let values = rows.iter().map(|row| row.column.filled()).sum();
                let bytes = rows.iter().map(|row| row.column.byte_len()).sum();
                (rows.len(), values, bytes)
            }
        };
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let note = notes.entry(key(node)).or_default();
        note.series = note.series.max(series as u64);
        note.values += values as u64;
        note.bytes += bytes as u64;
        note.samples_decoded += budget.samples_decoded() - read;
        note.bytes_read += budget.bytes_read() - bytes_read;
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
