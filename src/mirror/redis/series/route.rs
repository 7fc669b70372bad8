//! From samples of the log to the places they go to, found once for every series.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ringwell_storage::feed::Told;
use ringwell_storage::model::{Labels, SeriesId, Value, is_stale};
use ringwell_storage::store::Store;
use ringwell_storage::wal::ShardBatch;
use std::collections::HashMap;

use super::Skipped;
use super::rule::{Place, Rule};
use crate::ingest::keymap::Keymap;

/// Series that are remembered; beyond, all are found anew.
const MOST_KNOWN: usize = 1 << 20;

/// A sample that goes somewhere.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) places: Arc<[Place]>,
    pub(super) t: i64,
    /// Its number; `None` for a stale marker, and for what is no number.
    pub(super) value: Option<f64>,
}

/// Says where series go.
#[derive(Clone)]
pub(super) struct Where {
    pub(super) rules: Arc<[Rule]>,
    pub(super) keymap: Arc<Keymap>,
}

impl Where {
    /// All places of a series; none of one that keys are made to feed, for those keys are pushed.
    pub(super) fn places(&self, series: &Labels, lookback: Option<i64>) -> Vec<Place> {
        let mut places: Vec<Place> = self.rules.iter().filter_map(|r| r.place(series)).collect();
        if !places.is_empty() && (lookback.is_some() || self.keymap.feeds(series)) {
            places.clear();
        }
        places
    }
}

/// Finds places, and collects rows.
pub(in crate::mirror::redis) struct Router {
    pub(super) to: Where,
    store: Arc<Store>,
    known: HashMap<SeriesId, Option<Arc<[Place]>>>,
    skipped: Arc<Skipped>,
    pub(super) rows: Vec<Row>,
    /// Whether something was met that only reading the store again can tell.
    pub(super) unsettled: bool,
}

impl Router {
    pub(super) fn new(to: Where, store: Arc<Store>, skipped: Arc<Skipped>) -> Router {
        let (known, rows) = (HashMap::new(), Vec::new());
        Router { to, store, known, skipped, rows, unsettled: false }
    }

    pub(in crate::mirror::redis) fn take(&mut self, told: &Told<'_>) {
        match told {
            Told::Batch(batch) => self.batch(batch),
            Told::Deletion | Told::Lost(_) => self.unsettled = true,
        }
    }

    fn batch(&mut self, batch: &ShardBatch) {
        if self.known.len() > MOST_KNOWN {
            self.known.clear();
        }
        for series in &batch.new_series {
            let places = self.to.places(&series.labels, series.lookback);
            self.known.insert(series.id, (!places.is_empty()).then(|| places.into()));
        }
        for row in &batch.floats {
            self.float(batch.shard, row.id, row.t, row.v);
        }
        for row in &batch.others {
            match &row.sample.value {
                Value::Float(v) => self.float(batch.shard, row.id, row.sample.t, *v),
                Value::Histogram(_) if self.places(batch.shard, row.id).is_some() => {
                    count(&self.skipped.histogram);
                }
                Value::Histogram(_) => {}
            }
        }
    }

    fn float(&mut self, shard: u16, id: SeriesId, t: i64, v: f64) {
        let Some(places) = self.places(shard, id) else { return };
        if !v.is_finite() && !is_stale(v) {
            count(&self.skipped.not_finite);
        }
        self.rows.push(Row { places, t, value: v.is_finite().then_some(v) });
    }

    fn places(&mut self, shard: u16, id: SeriesId) -> Option<Arc<[Place]>> {
        if let Some(known) = self.known.get(&id) {
            return known.clone();
        }
        let found = match self.store.series(shard, id) {
            Some((labels, lookback)) => self.to.places(&labels, lookback),
            // It has left the head since.
            None => {
                self.unsettled = true;
                Vec::new()
            }
        };
        let found = (!found.is_empty()).then(|| Arc::from(found));
        self.known.insert(id, found.clone());
        found
    }
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
