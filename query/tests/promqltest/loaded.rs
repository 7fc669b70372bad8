//! What a script loads: a real store on a simulated disk.

use std::sync::Arc;

use ringwell_storage::append::{Batch, Duplicates, SeriesRef, SeriesSamples};
use ringwell_storage::disk::SimDisk;
use ringwell_storage::model::{Labels, Sample};
use ringwell_storage::read::{Queryable, Snapshot};
use ringwell_storage::store::{Options, Store};

/// A store that takes any timestamp.
pub(crate) struct Loaded {
    store: Store,
}

impl Loaded {
    /// An empty one.
    pub(crate) fn new() -> Loaded {
        // Small rings, so that samples lie in open and sealed chunks alike.
        let options = Options { max_future: None, ring_samples: 7, ..Options::default() };
        Loaded {
            store: Store::open(Arc::new(SimDisk::new()), options, 0).expect("a new store opens"),
        }
    }

    /// Appends samples; later ones win over those of the same time.
    pub(crate) fn push(&self, series: Vec<(Labels, Vec<Sample>)>) -> Result<(), String> {
        let of = |(labels, samples): (Labels, Vec<Sample>)| SeriesSamples {
            series: SeriesRef::Labels(labels),
            samples: samples.into(),
        };
        let series = series.into_iter().map(of).collect();
        let batch = Batch { series, duplicates: Duplicates::Last };
        let appended = self.store.append(&batch, 0).map_err(|e| e.to_string())?;
        match appended.rejected.first() {
            None => Ok(()),
            Some(refused) => Err(format!("{} refused: {refused:?}", appended.rejected.len())),
        }
    }

    pub(crate) fn snapshot(&self) -> Arc<dyn Snapshot> {
        self.store.snapshot()
    }
}
