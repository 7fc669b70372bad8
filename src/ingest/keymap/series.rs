//! The series that keys feed: their labels, and which key each belongs to.
//!
//! Two keys never feed one series: the first key to name a series owns it while the node runs.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use ringwell_storage::keyspace::Bytes;
use ringwell_storage::model::{Labels, METRIC_NAME};

use super::rules::Plan;

/// Who feeds which series.
#[derive(Debug, Default)]
pub(super) struct Owners(HashMap<Labels, Bytes>);

impl Owners {
    /// Whether a key may feed a series; the first that asks may.
    pub(super) fn claim(&mut self, labels: &Labels, key: &Bytes) -> bool {
        match self.0.entry(labels.clone()) {
            Entry::Occupied(owner) => *owner.get() == *key,
            Entry::Vacant(free) => {
                free.insert(Bytes::clone(key));
                true
            }
        }
    }

    /// Whether a key feeds a series.
    pub(super) fn has(&self, labels: &Labels) -> bool {
        self.0.contains_key(labels)
    }

    /// Frees a series.
    pub(super) fn release(&mut self, labels: &Labels) {
        self.0.remove(labels);
    }

    /// All series with the keys that feed them.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Labels, &Bytes)> {
        self.0.iter()
    }
}

/// The labels of a series of a key: its name, the key's ids, and what its value adds.
pub(super) fn labels(plan: &Plan, name: &str, more: &[(&str, &str)]) -> Option<Labels> {
    let ids = plan.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    // What the value says stands over what the key says.
    let ids = ids.filter(|(name, _)| more.iter().all(|(other, _)| other != name));
    let name = std::iter::once((METRIC_NAME, name));
    Labels::from_pairs(name.chain(ids).chain(more.iter().copied())).ok()
}

/// A series as PromQL spells its selector.
pub(super) fn selector(labels: &Labels) -> String {
    let mut text = labels.metric_name().to_owned();
    let mut open = '{';
    for label in labels.iter().filter(|label| label.name != METRIC_NAME) {
        text.push(open);
        text += label.name;
        text += "=\"";
        for c in label.value.chars() {
            match c {
                '"' | '\\' => text.extend(['\\', c]),
                '\n' => text += "\\n",
                c => text.push(c),
            }
        }
        text.push('"');
        open = ',';
    }
    if open == ',' {
        text.push('}');
    }
    text
}
