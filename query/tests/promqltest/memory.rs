//! A snapshot in memory: what the scripts load.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringwell_storage::model::{Labels, Matcher, Sample, SampleBuf, TimeRange};
use ringwell_storage::read::{Cursor, ReadError, Series, Snapshot};

/// Series by labels, samples by time.
#[derive(Clone, Default)]
pub struct Memory {
    series: BTreeMap<Labels, Arc<BTreeMap<i64, Sample>>>,
}

impl Memory {
    /// Adds a sample; one of the same time is replaced.
    pub fn push(&mut self, labels: &Labels, sample: Sample) {
        let samples = self.series.entry(labels.clone()).or_default();
        Arc::make_mut(samples).insert(sample.t, sample);
    }
}

struct MemorySeries {
    labels: Labels,
    samples: Arc<BTreeMap<i64, Sample>>,
}

struct MemoryCursor {
    samples: std::vec::IntoIter<Sample>,
}

impl Snapshot for Memory {
    fn select(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<Vec<Arc<dyn Series>>, ReadError> {
        let passes = |labels: &Labels| {
            matchers.iter().all(|m| m.matches(labels.get(m.name()).unwrap_or("")))
        };
        let mut out: Vec<Arc<dyn Series>> = Vec::new();
        for (labels, samples) in self.series.iter().filter(|(labels, _)| passes(labels)) {
            if samples.range(range.start()..=range.end()).next().is_some() {
                let (labels, samples) = (labels.clone(), Arc::clone(samples));
                out.push(Arc::new(MemorySeries { labels, samples }));
            }
        }
        Ok(out)
    }

    fn label_names(&self, _: &[Matcher], _: TimeRange) -> Result<Vec<String>, ReadError> {
        Ok(Vec::new())
    }

    fn label_values(&self, _: &str, _: &[Matcher], _: TimeRange) -> Result<Vec<String>, ReadError> {
        Ok(Vec::new())
    }
}

impl Series for MemorySeries {
    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn cursor(&self, range: TimeRange) -> Result<Box<dyn Cursor>, ReadError> {
        let samples = self.samples.range(range.start()..=range.end());
        let samples: Vec<Sample> = samples.map(|(_, s)| s.clone()).collect();
        Ok(Box::new(MemoryCursor { samples: samples.into_iter() }))
    }
}

impl Cursor for MemoryCursor {
    fn next(&mut self, out: &mut SampleBuf) -> Result<bool, ReadError> {
        // Runs of seven, so that no test depends on chunks being large.
        for sample in self.samples.by_ref().take(7) {
            out.push(sample);
        }
        Ok(self.samples.len() > 0)
    }
}
