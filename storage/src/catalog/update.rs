//! Keeps the catalogue up with the blocks: by maintenance, a block at a time.

use std::sync::Arc;

use super::{Catalog, CatalogError, Head, Known};
use crate::block::Block;
use crate::model::Labels;
use crate::snapshot::Generation;

/// Records written at a time.
const BATCH: usize = 1_000;

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Update {
    /// It covers the live blocks.
    Current,
    /// There is more to do.
    More,
}

/// Takes the series of one block in, or begins anew if it covers a block that is gone.
pub(crate) fn refresh(
    catalog: &dyn Catalog,
    generation: &Generation,
) -> Result<Update, CatalogError> {
    let mut head = catalog.head().unwrap_or_default();
    let live = |number: &u64| generation.blocks.iter().any(|b| b.meta().number == *number);
    if !head.blocks.iter().all(live) {
        catalog.clear()?;
        catalog.set_head(&Head::default())?;
        return Ok(Update::More);
    }
    let missing = |b: &&Arc<Block>| !head.blocks.contains(&b.meta().number);
    let Some(block) = generation.blocks.iter().find(missing) else {
        return Ok(Update::Current);
    };
    if head.blocks.is_empty() {
        // Nothing may linger from an attempt that did not come to write its head.
        catalog.clear()?;
    }
    take_in(catalog, block, &mut head)?;
    head.blocks.push(block.meta().number);
    head.blocks.sort_unstable();
    catalog.set_head(&head)?;
    Ok(Update::More)
}

fn take_in(catalog: &dyn Catalog, block: &Block, head: &mut Head) -> Result<(), CatalogError> {
    let mut batch: Vec<(Labels, Known)> = Vec::with_capacity(BATCH);
    for series in block.all_series() {
        let series = series.map_err(|error| CatalogError(error.to_string()))?;
        let first = series.chunks.iter().map(|c| c.min_t).min().unwrap_or(0);
        let last = series.chunks.iter().map(|c| c.max_t).max().unwrap_or(0);
        let mut known = Known { first, last };
        match catalog.get(&series.labels)? {
            None => head.series += 1,
            Some(before) => {
                head.toggle(&series.labels, &before);
                known.first = known.first.min(before.first);
                known.last = known.last.max(before.last);
            }
        }
        head.toggle(&series.labels, &known);
        batch.push((series.labels.clone(), known));
        if batch.len() == BATCH {
            catalog.put(&batch)?;
            batch.clear();
        }
    }
    catalog.put(&batch)
}

/// All records, if the catalogue covers exactly the live blocks and checks as a whole.
pub(crate) fn current(
    catalog: &dyn Catalog,
    generation: &Generation,
) -> Option<Vec<(Labels, Known)>> {
    let head = catalog.head()?;
    let mut live: Vec<u64> = generation.blocks.iter().map(|b| b.meta().number).collect();
    live.sort_unstable();
    if head.blocks != live {
        return None;
    }
    let mut found = Head { blocks: live, ..Head::default() };
    let mut records = Vec::new();
    let take = &mut |labels: Labels, known: Known| {
        found.series += 1;
        found.toggle(&labels, &known);
        records.push((labels, known));
    };
    catalog.scan(take).ok()?;
    (found == head).then_some(records)
}
