//! Timestamp columns of blocks that one query has decoded. Series that were sampled together share a
//! column, so most of a query's series find theirs here: read, checked and decoded once. In the head
//! decoding again is as quick as looking it up.

use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashMap;

use crate::model::Timestamp;

/// Timestamps kept at most, so that columns nobody shares take a bounded place.
const CAPACITY: usize = 1 << 20;

/// Which column: the block's number, the column's, and how many timestamps it has.
pub(crate) type Column = (u64, u64, u32);

/// A decoded column, which the cache of pages may have too.
type Decoded = Arc<Vec<Timestamp>>;

/// What has been decoded so far; all is forgotten when it is too much.
#[derive(Default)]
pub(crate) struct Times(Mutex<Known>);

#[derive(Default)]
struct Known {
    columns: HashMap<Column, Decoded>,
    timestamps: usize,
}

impl Times {
    /// The column, from here or from `decode`.
    pub(crate) fn get<E>(
        &self,
        column: Column,
        decode: impl FnOnce() -> Result<Decoded, E>,
    ) -> Result<Decoded, E> {
        let known = |times: &Times| {
            let known = times.0.lock().unwrap_or_else(PoisonError::into_inner);
            known.columns.get(&column).cloned()
        };
        if let Some(decoded) = known(self) {
            return Ok(decoded);
        }
        let decoded = decode()?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.timestamps + decoded.len() > CAPACITY {
            *known = Known::default();
        }
        known.timestamps += decoded.len();
        known.columns.insert(column, decoded.clone());
        Ok(decoded)
    }
}
