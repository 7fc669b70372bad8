//! How many series there are in all, of each metric, and how many values each label has: counted
//! where series come and go, so that a limit is judged before a series is logged.

use std::hash::BuildHasher;
use std::sync::{Mutex, PoisonError};

use hashbrown::{DefaultHashBuilder, HashMap};

use super::Limits;
use crate::append::Rejection;
use crate::model::{Labels, METRIC_NAME};

/// The counts of a head.
#[derive(Debug, Default)]
pub(crate) struct Cardinality(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    series: u64,
    metrics: HashMap<Box<str>, u64>,
    /// Values by label name.
    values: HashMap<Box<str>, u64>,
    /// Series by the hash of a name and a value. Two pairs with one hash count as one value, which a
    /// limit can bear.
    pairs: HashMap<u64, u32>,
    hasher: DefaultHashBuilder,
}

impl Cardinality {
    /// Counts a new series, unless a limit speaks against it: then the offender is named, and the
    /// series that are there go on.
    pub(crate) fn admit(&self, labels: &Labels, limits: &Limits) -> Result<(), Rejection> {
        let mut counts = self.lock();
        let refuse = |limit, max, offender| Err(Rejection::LimitReached { limit, max, offender });
        let metric = labels.metric_name();
        if counts.series >= limits.series {
            return refuse("active series", limits.series, format!("a new series of {metric:?}"));
        }
        if counts.metrics.get(metric).copied().unwrap_or(0) >= limits.metric_series {
            return refuse("series per metric", limits.metric_series, format!("{metric:?}"));
        }
        for label in labels.iter().filter(|l| l.name != METRIC_NAME) {
            let values = counts.values.get(label.name).copied().unwrap_or(0);
            let known = counts.pairs.contains_key(&counts.hash(label.name, label.value));
            if values >= limits.label_values && !known {
                let offender = format!("label {:?} of {metric:?}", label.name);
                return refuse("values per label", limits.label_values, offender);
            }
        }
        counts.add(labels);
        Ok(())
    }

    /// Counts series that are there already.
    pub(crate) fn add<'a>(&self, labels: impl Iterator<Item = &'a Labels>) {
        let mut counts = self.lock();
        labels.for_each(|labels| counts.add(labels));
    }

    /// Counts series no more.
    pub(crate) fn release<'a>(&self, labels: impl Iterator<Item = &'a Labels>) {
        let mut counts = self.lock();
        labels.for_each(|labels| counts.release(labels));
    }

    /// Series in all.
    pub(crate) fn series(&self) -> u64 {
        self.lock().series
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn hash(&self, name: &str, value: &str) -> u64 {
        self.hasher.hash_one((name, value))
    }

    fn add(&mut self, labels: &Labels) {
        self.series += 1;
        bump(&mut self.metrics, labels.metric_name());
        for label in labels.iter().filter(|l| l.name != METRIC_NAME) {
            let series = self.pairs.entry(self.hasher.hash_one((label.name, label.value)));
            let series = series.or_default();
            *series += 1;
            if *series == 1 {
                bump(&mut self.values, label.name);
            }
        }
    }

    fn release(&mut self, labels: &Labels) {
        self.series = self.series.saturating_sub(1);
        drop_one(&mut self.metrics, labels.metric_name());
        for label in labels.iter().filter(|l| l.name != METRIC_NAME) {
            let hash = self.hash(label.name, label.value);
            let Some(series) = self.pairs.get_mut(&hash) else { continue };
            *series -= 1;
            if *series == 0 {
                self.pairs.remove(&hash);
                drop_one(&mut self.values, label.name);
            }
        }
    }
}

fn bump(counts: &mut HashMap<Box<str>, u64>, name: &str) {
    match counts.get_mut(name) {
        Some(count) => *count += 1,
        None => drop(counts.insert(name.into(), 1)),
    }
}

fn drop_one(counts: &mut HashMap<Box<str>, u64>, name: &str) {
    if let Some(count) = counts.get_mut(name) {
        *count -= 1;
        if *count == 0 {
            counts.remove(name);
        }
    }
}
