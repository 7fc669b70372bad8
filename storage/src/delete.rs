//! Deleting samples: logged, gone from the head with the log, hidden in the blocks at once, and out of
//! their files with the next compaction.

use crate::append::AppendError;
use crate::block::{Deletion, Tombstone};
use crate::head::SHARDS;
use crate::maintain::swap_generation;
use crate::model::{Labels, Matcher, TimeRange, WalPosition};
use crate::store::{Store, lock};

/// Why nothing was deleted.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DeleteError {
    /// The log takes no writes.
    #[error(transparent)]
    Log(#[from] AppendError),
    /// A deletion that selects everything is not meant.
    #[error("a deletion needs a matcher that does not accept the empty value")]
    Everything,
    /// Compaction is behind.
    #[error("{0} deletions wait for compaction, no more are taken now")]
    TooMany(usize),
}

impl Store {
    /// Deletes the samples of matching series in `range` that are there by now. Wait for the
    /// position, then acknowledge.
    pub fn delete(
        &self,
        matchers: Vec<Matcher>,
        range: TimeRange,
    ) -> Result<WalPosition, DeleteError> {
        self.carry_out(Deletion { matchers, range, forget: false })
    }

    /// Deletes matching series with all their samples.
    pub fn forget(&self, matchers: Vec<Matcher>) -> Result<WalPosition, DeleteError> {
        self.carry_out(Deletion { matchers, range: TimeRange::ALL, forget: true })
    }

    fn carry_out(&self, what: Deletion) -> Result<WalPosition, DeleteError> {
        if what.matchers.iter().all(Matcher::matches_empty) {
            return Err(DeleteError::Everything);
        }
        // No block comes or goes meanwhile, so the log's position tells for each whether it holds
        // what is deleted.
        let mut state = lock(&self.maintenance);
        let before = self.generation();
        if before.tombstones.len() >= self.options.max_tombstones {
            return Err(DeleteError::TooMany(before.tombstones.len()));
        }
        self.log.admits()?;
        let mut shards: Vec<_> = (0..SHARDS).map(|number| self.head.lock(number)).collect();
        let logged = self.log.append(what)?;
        let logged_ref = logged.as_ref();
        let gone: Vec<Labels> = shards.iter_mut().flat_map(|s| s.delete(&logged_ref)).collect();
        drop(shards);
        self.head.cardinality.release(gone.iter());
        let end = logged.end();
        let tombstone = Tombstone { position: logged.position(), what: logged.into_inner() };
        if before.blocks.iter().any(|b| tombstone.applies(b.meta())) {
            swap_generation(self, &mut state, |next| next.tombstones.push(tombstone));
        }
        Ok(end)
    }
}
