//! Several blocks into one, series by series in the order of their labels, samples in order of time,
//! what was deleted or has expired left out.

use std::sync::Arc;

use super::retention::Retention;
use crate::block::{Block, BlockError, BlockWriter, Masks, Tombstone};
use crate::model::{Labels, SampleBuf, TimeRange, Timestamp};
use crate::read::Cursor;
use crate::snapshot::{Pieces, block_pieces};

/// A merge under way.
pub(crate) struct Merge {
    /// Each with the next series it has to give.
    sources: Vec<(Arc<Block>, u32)>,
    tombstones: Vec<Tombstone>,
    retention: Retention,
    now: Timestamp,
    writer: BlockWriter,
}

impl Merge {
    pub(crate) fn new(
        sources: Vec<Arc<Block>>,
        tombstones: Vec<Tombstone>,
        retention: Retention,
        now: Timestamp,
        writer: BlockWriter,
    ) -> Merge {
        let level = sources.iter().map(|b| b.meta().level).max().unwrap_or(0) + 1;
        let cleaned = sources.iter().map(|b| b.meta().cleaned);
        let cleaned = cleaned.chain(tombstones.iter().map(|t| t.position.0)).max().unwrap_or(0);
        let sources = sources.into_iter().map(|b| (b, 0)).collect();
        let writer = writer.merged(level, cleaned);
        Merge { sources, tombstones, retention, now, writer }
    }

    /// Writes series until about `budget` samples have been; whether more is to be done.
    pub(crate) fn step(&mut self, budget: u64) -> Result<bool, BlockError> {
        let mut done = 0;
        while done < budget {
            let Some(labels) = self.next_labels()? else { return Ok(false) };
            done += self.series(&labels)?.max(1);
        }
        Ok(true)
    }

    /// Whether nothing was left to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.writer.is_empty()
    }

    /// Publishes what was written, its chunks not yet verified.
    pub(crate) fn finish(self) -> Result<Block, BlockError> {
        self.writer.finish()
    }

    fn next_labels(&self) -> Result<Option<Labels>, BlockError> {
        let mut least: Option<Labels> = None;
        for (block, next) in &self.sources {
            let Some(series) = block.series(*next)? else { continue };
            if least.as_ref().is_none_or(|least| series.labels < *least) {
                least = Some(series.labels.clone());
            }
        }
        Ok(least)
    }

    /// Writes one series; how many samples it has.
    fn series(&mut self, labels: &Labels) -> Result<u64, BlockError> {
        let horizon = self.retention.keeps(labels).map(|keep| self.now.saturating_sub(keep));
        let (mut pieces, mut lookback) = (Vec::new(), None);
        for (block, next) in &mut self.sources {
            let Some(series) = block.series(*next)?.filter(|s| s.labels == *labels) else {
                continue;
            };
            let mut masks = Masks::of(&self.tombstones, block.meta(), labels);
            horizon.into_iter().for_each(|h| masks.hide_before(h));
            block_pieces(block, &series, &Arc::new(masks), TimeRange::ALL, &mut pieces);
            lookback = lookback.or(series.lookback);
            *next += 1;
        }
        self.writer.begin_series(labels.clone(), lookback);
        let mut cursor = Pieces::new(TimeRange::ALL, pieces, Arc::default());
        let (mut samples, mut count) = (SampleBuf::default(), 0);
        while cursor.next(&mut samples)? {
            count += samples.len() as u64;
            self.writer.push(&samples)?;
            samples.clear();
        }
        self.writer.end_series()?;
        Ok(count)
    }
}
