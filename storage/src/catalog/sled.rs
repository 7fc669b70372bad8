//! The catalogue in sled, its values in bincode: the one place that names either.
//!
//! sled 0.34 may lose what it has flushed, may fail to open after a power cut, and may panic on a
//! damaged file; so it is opened and used under [`catch_unwind`], set aside when it does not open or
//! when it failed and is to be cleared, synced by our own hand, and believed only after the checks
//! of the module above. bincode reads nothing before its checksum holds, and never more than a
//! bounded length.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use bincode::{Decode, Encode};

use super::{Catalog, CatalogError, Head, Known};
use crate::model::Labels;

/// Bytes of sled's cache.
const CACHE_BYTES: u64 = 16 << 20;
/// No value is longer.
const VALUE_LIMIT: usize = 16 << 20;
/// Key of the head entry; records have keys of 16 bytes.
const HEAD_KEY: &[u8] = b"head";
/// Kind and version of each value, after its checksum.
const KIND_HEAD: u8 = 1;
const KIND_SERIES: u8 = 2;

/// A catalogue in a directory of its own.
pub struct SledCatalog {
    dir: PathBuf,
    /// Gone once something failed inside: it is not asked again, only begun anew.
    db: Mutex<Option<sled::Db>>,
    rebuilds: AtomicU64,
}

#[derive(Encode, Decode)]
struct HeadValue {
    blocks: Vec<u64>,
    series: u64,
    digest: u64,
}

#[derive(Encode, Decode)]
struct SeriesValue {
    labels: String,
    first: i64,
    last: i64,
}

impl SledCatalog {
    /// Opens the directory; what does not open is moved aside and begun anew.
    pub fn open(dir: &Path) -> Result<SledCatalog, CatalogError> {
        let (db, rebuilds) = match guarded(|| open(dir)) {
            Ok(db) => (db, 0),
            Err(_) => (open_anew(dir)?, 1),
        };
        let (db, rebuilds) = (Mutex::new(Some(db)), AtomicU64::new(rebuilds));
        Ok(SledCatalog { dir: dir.to_owned(), db, rebuilds })
    }

    fn ask<T>(
        &self,
        f: impl FnOnce(&sled::Db) -> Result<T, sled::Error>,
    ) -> Result<T, CatalogError> {
        let mut db = self.db.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = db.as_ref() else {
            return Err(CatalogError("it failed before".to_owned()));
        };
        let answer = guarded(|| f(open));
        if answer.is_err() {
            // Closing writes what it still can, which may fail as well.
            let failed = db.take();
            let _ = catch_unwind(AssertUnwindSafe(|| drop(failed)));
            self.rebuilds.fetch_add(1, Ordering::Relaxed);
        }
        answer
    }
}

/// Begins with an empty directory; the one that failed is kept beside it.
fn open_anew(dir: &Path) -> Result<sled::Db, CatalogError> {
    set_aside(dir)?;
    guarded(|| open(dir))
}

fn open(dir: &Path) -> Result<sled::Db, sled::Error> {
    // We say when to flush.
    sled::Config::new().path(dir).cache_capacity(CACHE_BYTES).flush_every_ms(None).open()
}

fn guarded<T>(f: impl FnOnce() -> Result<T, sled::Error>) -> Result<T, CatalogError> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(CatalogError(error.to_string())),
        Err(_) => Err(CatalogError("sled panicked".to_owned())),
    }
}

/// Only the newest one that was set aside is kept, for who wants to look.
fn set_aside(dir: &Path) -> Result<(), CatalogError> {
    let failed = |e: std::io::Error| CatalogError(format!("{}: {e}", dir.display()));
    let aside = dir.with_extension("damaged");
    if aside.exists() {
        fs::remove_dir_all(&aside).map_err(failed)?;
    }
    fs::rename(dir, &aside).map_err(failed)
}

impl Catalog for SledCatalog {
    fn head(&self) -> Option<Head> {
        let bytes = self.ask(|db| db.get(HEAD_KEY)).ok()??;
        let HeadValue { blocks, series, digest } = unpack(KIND_HEAD, &bytes)?;
        Some(Head { blocks, series, digest })
    }

    fn set_head(&self, head: &Head) -> Result<(), CatalogError> {
        let Head { blocks, series, digest } = head.clone();
        let value = pack(KIND_HEAD, &HeadValue { blocks, series, digest })?;
        self.ask(|db| {
            db.insert(HEAD_KEY, value)?;
            db.flush()?;
            // sled's own flush leaves the file's length to the system.
            Ok(fs::File::open(self.dir.join("db"))?.sync_all()?)
        })
    }

    fn get(&self, labels: &Labels) -> Result<Option<Known>, CatalogError> {
        let Some(bytes) = self.ask(|db| db.get(key(labels)))? else { return Ok(None) };
        match unpack::<SeriesValue>(KIND_SERIES, &bytes) {
            Some(v) if v.labels == labels.encoded() => {
                Ok(Some(Known { first: v.first, last: v.last }))
            }
            _ => Err(CatalogError("a record is damaged".to_owned())),
        }
    }

    fn put(&self, records: &[(Labels, Known)]) -> Result<(), CatalogError> {
        let mut batch = sled::Batch::default();
        for (labels, Known { first, last }) in records {
            let labels_text = labels.encoded().to_owned();
            let value = SeriesValue { labels: labels_text, first: *first, last: *last };
            batch.insert(&key(labels), pack(KIND_SERIES, &value)?);
        }
        self.ask(|db| db.apply_batch(batch))
    }

    fn scan(&self, visit: &mut dyn FnMut(Labels, Known)) -> Result<(), CatalogError> {
        self.ask(|db| {
            for entry in db.iter() {
                let (_, bytes) = entry?;
                let Some(value) = unpack::<SeriesValue>(KIND_SERIES, &bytes) else { continue };
                if let Ok(labels) = Labels::from_encoded(&value.labels) {
                    visit(labels, Known { first: value.first, last: value.last });
                }
            }
            Ok(())
        })
    }

    fn clear(&self) -> Result<(), CatalogError> {
        if self.ask(|db| db.clear()).is_err() {
            let mut db = self.db.lock().unwrap_or_else(PoisonError::into_inner);
            *db = Some(open_anew(&self.dir)?);
        }
        Ok(())
    }

    fn rebuilds(&self) -> u64 {
        self.rebuilds.load(Ordering::Relaxed)
    }
}

fn key(labels: &Labels) -> [u8; 16] {
    xxhash_rust::xxh3::xxh3_128(labels.encoded().as_bytes()).to_be_bytes()
}

/// Checksum, kind, then the value.
fn pack<T: Encode>(kind: u8, value: &T) -> Result<Vec<u8>, CatalogError> {
    let config = bincode::config::legacy().with_limit::<VALUE_LIMIT>();
    let mut body = vec![kind];
    let encoded = bincode::encode_to_vec(value, config);
    body.extend(encoded.map_err(|e| CatalogError(e.to_string()))?);
    let mut bytes = crc32c::crc32c(&body).to_le_bytes().to_vec();
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

fn unpack<T: Decode<()>>(kind: u8, bytes: &[u8]) -> Option<T> {
    let (crc, body) = bytes.split_first_chunk::<4>()?;
    let (found, value) = body.split_first()?;
    if u32::from_le_bytes(*crc) != crc32c::crc32c(body) || *found != kind {
        return None;
    }
    let config = bincode::config::legacy().with_limit::<VALUE_LIMIT>();
    let (value, used) = bincode::decode_from_slice(value, config).ok()?;
    (used == body.len() - 1).then_some(value)
}
