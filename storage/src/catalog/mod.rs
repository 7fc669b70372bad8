//! The catalogue of series over all blocks: who there was, and when. A look-up that could always be
//! made anew from the blocks, and is never the only copy of anything.
//!
//! A [`Catalog`] keeps keys and values; what it holds is checked as a whole before it is believed
//! (a head entry names the blocks it covers, how many series they have and a digest over them), and
//! whatever does not check is cleared and made anew. Only maintenance writes it, never ingest or a
//! start, so losing, damaging or aging it changes no answer.

mod cardinality;
#[cfg(feature = "catalog")]
mod sled;
mod update;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

pub use cardinality::Cardinality;
#[cfg(feature = "catalog")]
pub use sled::SledCatalog;
pub(crate) use update::{Update, current, refresh};

use crate::model::{Labels, Timestamp};

/// Keeps what the catalogue knows. Anything may be lost or damaged in between.
pub trait Catalog: Send + Sync {
    /// What it covers, if it says so and can be read.
    fn head(&self) -> Option<Head>;
    /// Writes what it covers, and makes all of it last.
    fn set_head(&self, head: &Head) -> Result<(), CatalogError>;
    /// The record of a series.
    fn get(&self, labels: &Labels) -> Result<Option<Known>, CatalogError>;
    /// Writes records.
    fn put(&self, records: &[(Labels, Known)]) -> Result<(), CatalogError>;
    /// Shows every record. Records that do not read are left out.
    fn scan(&self, visit: &mut dyn FnMut(Labels, Known)) -> Result<(), CatalogError>;
    /// Forgets everything.
    fn clear(&self) -> Result<(), CatalogError>;
    /// How often it had to be set aside and begun anew.
    fn rebuilds(&self) -> u64 {
        0
    }
}

/// What a catalogue covers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The blocks whose series it has, ascending.
    pub blocks: Vec<u64>,
    /// How many series.
    pub series: u64,
    /// Digest over all records, in no order.
    pub digest: u64,
}

/// What is known of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its first sample in any block.
    pub first: Timestamp,
    /// Its last.
    pub last: Timestamp,
}

/// Why the catalogue could not be used; the answer then comes from the blocks.
#[derive(Clone, Debug, thiserror::Error)]
#[error("catalogue: {0}")]
pub struct CatalogError(pub String);

impl Head {
    /// Takes a record into the digest, or out of it.
    pub(crate) fn toggle(&mut self, labels: &Labels, known: &Known) {
        let mut bytes = labels.encoded().as_bytes().to_vec();
        bytes.extend_from_slice(&known.first.to_le_bytes());
        bytes.extend_from_slice(&known.last.to_le_bytes());
        self.digest ^= xxhash_rust::xxh3::xxh3_64(&bytes);
    }
}

/// A catalogue that lives as long as the process.
#[derive(Debug, Default)]
pub struct MemoryCatalog(Mutex<(Option<Head>, BTreeMap<Labels, Known>)>);

impl MemoryCatalog {
    fn lock(&self) -> std::sync::MutexGuard<'_, (Option<Head>, BTreeMap<Labels, Known>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Catalog for MemoryCatalog {
    fn head(&self) -> Option<Head> {
        self.lock().0.clone()
    }

    fn set_head(&self, head: &Head) -> Result<(), CatalogError> {
        self.lock().0 = Some(head.clone());
        Ok(())
    }

    fn get(&self, labels: &Labels) -> Result<Option<Known>, CatalogError> {
        Ok(self.lock().1.get(labels).copied())
    }

    fn put(&self, records: &[(Labels, Known)]) -> Result<(), CatalogError> {
        self.lock().1.extend(records.iter().cloned());
        Ok(())
    }

    fn scan(&self, visit: &mut dyn FnMut(Labels, Known)) -> Result<(), CatalogError> {
        self.lock().1.iter().for_each(|(labels, known)| visit(labels.clone(), *known));
        Ok(())
    }

    fn clear(&self) -> Result<(), CatalogError> {
        *self.lock() = (None, BTreeMap::new());
        Ok(())
    }
}
