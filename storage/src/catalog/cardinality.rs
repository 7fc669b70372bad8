//! How many series there are, of which metrics and with how many values of which labels, over all
//! blocks and, in an open store, the head.

use std::collections::{HashMap, HashSet};

use super::current;
use crate::block::Block;
use crate::head::SHARDS;
use crate::model::{Labels, METRIC_NAME};
use crate::read::ReadError;
use crate::store::Store;

/// Counts of distinct series.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cardinality {
    /// Series.
    pub series: u64,
    /// Metrics with the most series, these first.
    pub metrics: Vec<(String, u64)>,
    /// Labels with the most values, these first.
    pub labels: Vec<(String, u64)>,
}

impl Cardinality {
    /// Counts distinct label sets; keeps the `most` largest of each list.
    pub(crate) fn of(series: &HashSet<Labels>, most: usize) -> Cardinality {
        let mut metrics: HashMap<&str, u64> = HashMap::new();
        let mut labels: HashMap<&str, HashSet<&str>> = HashMap::new();
        for one in series {
            *metrics.entry(one.metric_name()).or_default() += 1;
            for label in one.iter().filter(|l| l.name != METRIC_NAME) {
                labels.entry(label.name).or_default().insert(label.value);
            }
        }
        let labels = labels.into_iter().map(|(name, values)| (name, values.len() as u64));
        Cardinality {
            series: series.len() as u64,
            metrics: largest(metrics.into_iter(), most),
            labels: largest(labels, most),
        }
    }

    /// The label sets of a block.
    pub(crate) fn collect(block: &Block, into: &mut HashSet<Labels>) -> Result<(), ReadError> {
        for series in block.all_series() {
            into.insert(series?.labels.clone());
        }
        Ok(())
    }
}

fn largest<'a>(counts: impl Iterator<Item = (&'a str, u64)>, most: usize) -> Vec<(String, u64)> {
    let mut sorted: Vec<_> = counts.collect();
    sorted.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    sorted.into_iter().take(most).map(|(name, n)| (name.to_owned(), n)).collect()
}

impl Store {
    /// Counts series over all blocks and the head; from the catalogue where it is current, else from
    /// the blocks' own indexes, to the same answer.
    pub fn cardinality(&self, most: usize) -> Result<Cardinality, ReadError> {
        let generation = self.generation();
        let mut series = HashSet::new();
        match current(&*self.catalog, &generation) {
            Some(records) => series.extend(records.into_iter().map(|(labels, _)| labels)),
            None => {
                for block in &generation.blocks {
                    Cardinality::collect(block, &mut series)?;
                }
            }
        }
        for shard in 0..SHARDS {
            series.extend(self.head.lock(shard).iter().map(|(_, s)| s.labels.clone()));
        }
        Ok(Cardinality::of(&series, most))
    }

    /// Whether the catalogue covers the live blocks and checks.
    pub fn catalog_is_current(&self) -> bool {
        current(&*self.catalog, &self.generation()).is_some()
    }
}
