//! What all operators of one query share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ringwell_storage::model::TimeRange;
use ringwell_storage::read::{Series, Snapshot};

use super::Observer;
use crate::EngineOptions;
use crate::error::QueryError;
use crate::limits::Budget;
use crate::notes::Notes;
use crate::parse::Span;
use crate::plan::{Frame, Source};

type Selected = Arc<Vec<Arc<dyn Series>>>;

/// One query's surroundings.
pub(crate) struct Context<'a> {
    pub(crate) options: &'a EngineOptions,
    pub(crate) snapshot: &'a dyn Snapshot,
    pub(crate) sources: &'a [Source],
    /// The lookback the query asks for.
    pub(crate) lookback: Option<i64>,
    pub(crate) frame: Frame,
    pub(crate) budget: Budget<'a>,
    pub(crate) notes: Mutex<Notes>,
    /// Where somebody wants to know what each operator took.
    pub(crate) observer: Option<Observer>,
    pub(crate) selected: Mutex<HashMap<(usize, i64, i64), Selected>>,
}

impl Context<'_> {
    /// The series of a source that may have samples in a range; asked once for each range.
    pub(crate) fn series(&self, source: usize, from: i64, to: i64) -> Result<Selected, QueryError> {
        let key = (source, from, to);
        let known = self.selected.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(series) = known {
            return Ok(series);
        }
        let matchers = self.sources.get(source).map_or(&[][..], |s| &s.matchers);
        let series = match TimeRange::new(from, to) {
            Some(range) => self.snapshot.select(matchers, range)?,
            None => Vec::new(),
        };
        let series = Arc::new(series);
        let mut selected = self.selected.lock().unwrap_or_else(PoisonError::into_inner);
        selected.insert(key, Arc::clone(&series));
        Ok(series)
    }

    /// How far back an instant selector looks for this series.
    pub(crate) fn lookback_of(&self, series: &dyn Series) -> i64 {
        self.lookback.or_else(|| series.lookback()).unwrap_or(self.options.lookback)
    }

    pub(crate) fn warn(&self, span: Span, text: impl AsRef<str>) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).warn(span, text);
    }

    pub(crate) fn info(&self, span: Span, text: impl AsRef<str>) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).info(span, text);
    }
}
