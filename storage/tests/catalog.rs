//! The catalogue is a look-up that may be lost: every file of it deleted, cut short or with a bit
//! flipped, the store opens, answers the same, and has a good one again after maintenance.

#![cfg(feature = "catalog")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use ringwell_storage::append::{Batch, SeriesRef, SeriesSamples};
use ringwell_storage::catalog::{
    Cardinality, Catalog, CatalogError, Head, Known, MemoryCatalog, SledCatalog,
};
use ringwell_storage::disk::{Disk, OsDisk, SimDisk};
use ringwell_storage::model::{Labels, Matcher, Sample, Value};
use ringwell_storage::store::{Options, Store};

const SPAN: i64 = 60_000;

fn options() -> Options {
    Options { block_span: SPAN, cut_delay: 0, max_future: None, ..Options::default() }
}

fn open(dir: &Path) -> Store {
    let disk = Arc::new(OsDisk::open(&dir.join("store")).unwrap());
    let catalog = SledCatalog::open(&dir.join("catalog")).unwrap();
    Store::open_with(disk, Box::new(catalog), options(), 0).unwrap()
}

fn append(store: &Store, from: u64, t: i64) {
    let one = |i: u64| {
        let (name, host) = (format!("m{}", i % 5), format!("h{}", i / 5));
        let labels =
            Labels::from_pairs([("__name__", name.as_str()), ("host", host.as_str())]).unwrap();
        let samples = [Sample { t, start: 0, value: Value::Float(i as f64) }].into();
        SeriesSamples { series: SeriesRef::Labels(labels), samples }
    };
    let batch = Batch { series: (from..from + 60).map(one).collect(), ..Batch::default() };
    assert_eq!(store.append(&batch, t).unwrap().accepted, 60);
}

fn settle(store: &Store, now: i64) {
    for minutes in [0, 2, 4] {
        while store.maintain(now + minutes * 60_000).unwrap().more {}
    }
}

/// Every file below a directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// What is wanted of any state the catalogue is in.
fn check(dir: &Path, wanted: &Cardinality, what: &str) {
    let store = open(dir);
    assert_eq!(&store.cardinality(5).unwrap(), wanted, "{what}");
    settle(&store, 100 * SPAN);
    assert!(store.catalog_is_current(), "{what}: not made anew");
    assert_eq!(&store.cardinality(5).unwrap(), wanted, "{what}, made anew");
    store.close(0).unwrap();
}

#[test]
fn losing_or_damaging_it_changes_no_answer() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for range in 0..6 {
        append(&store, range * 20, range as i64 * SPAN);
        settle(&store, range as i64 * SPAN);
    }
    settle(&store, 100 * SPAN);
    assert!(store.catalog_is_current());
    store.close(0).unwrap();
    assert_eq!(store.stats().series, 0, "the head knows none of them");
    let wanted = store.cardinality(5).unwrap();
    assert_eq!((wanted.series, wanted.labels[0].1), (160, 32));
    store.close(0).unwrap();
    drop(store);
    check(dir.path(), &wanted, "untouched");
    let catalog = dir.path().join("catalog");
    for file in files(&catalog) {
        let name = file.strip_prefix(&catalog).unwrap().display().to_string();
        for at in [1_usize, 8, 40, 500, 2_000, 9_000] {
            let Ok(mut bytes) = std::fs::read(&file) else { continue };
            let Some(byte) = bytes.get_mut(at) else { continue };
            *byte ^= 1 << (at % 8);
            std::fs::write(&file, &bytes).unwrap();
            check(dir.path(), &wanted, &format!("a bit of {name} at {at} flipped"));
        }
        for keep in [2, 0] {
            let Ok(bytes) = std::fs::read(&file) else { continue };
            std::fs::write(&file, &bytes[..bytes.len() * keep / 4]).unwrap();
            check(dir.path(), &wanted, &format!("{name} cut to {keep} quarters"));
        }
        if file.exists() {
            std::fs::remove_file(&file).unwrap();
            check(dir.path(), &wanted, &format!("{name} deleted"));
        }
    }
    std::fs::remove_dir_all(&catalog).unwrap();
    check(dir.path(), &wanted, "the directory deleted");
}

/// A catalogue that forgets, invents or mixes up what it holds, as told.
struct Faulty(MemoryCatalog, Arc<AtomicU8>);

impl Catalog for Faulty {
    fn head(&self) -> Option<Head> {
        self.0.head()
    }
    fn set_head(&self, head: &Head) -> Result<(), CatalogError> {
        self.0.set_head(head)
    }
    fn get(&self, labels: &Labels) -> Result<Option<Known>, CatalogError> {
        self.0.get(labels)
    }
    fn put(&self, records: &[(Labels, Known)]) -> Result<(), CatalogError> {
        self.0.put(records)
    }
    fn scan(&self, visit: &mut dyn FnMut(Labels, Known)) -> Result<(), CatalogError> {
        let (fault, mut seen) = (self.1.load(Ordering::Relaxed), 0);
        self.0.scan(&mut |labels, known| {
            seen += 1;
            match fault {
                1 if seen == 3 => {}
                2 if seen == 3 => visit(Labels::from_pairs([("x", "y")]).unwrap(), known),
                3 if seen == 3 => visit(labels, Known { last: known.last + 1, ..known }),
                _ => visit(labels, known),
            }
        })?;
        if fault == 4 { Err(CatalogError("out of order".to_owned())) } else { Ok(()) }
    }
    fn clear(&self) -> Result<(), CatalogError> {
        self.0.clear()
    }
}

#[test]
fn it_is_believed_only_as_a_whole() {
    let fault = Arc::new(AtomicU8::new(0));
    let catalog = Box::new(Faulty(MemoryCatalog::default(), Arc::clone(&fault)));
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new());
    let store = Store::open_with(disk, catalog, options(), 0).unwrap();
    append(&store, 0, 0);
    settle(&store, 4 * SPAN);
    store.close(0).unwrap();
    assert_eq!(store.stats().series, 0, "the head knows none of them");
    let wanted = store.cardinality(5).unwrap();
    assert!(store.catalog_is_current() && wanted.series == 60);
    for kind in 1..=4 {
        fault.store(kind, Ordering::Relaxed);
        assert!(!store.catalog_is_current(), "fault {kind}");
        assert_eq!(store.cardinality(5).unwrap(), wanted, "fault {kind}");
    }
}

#[test]
fn a_stale_one_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    append(&store, 0, 0);
    settle(&store, SPAN);
    store.close(0).unwrap();
    drop(store);
    let old: Vec<(PathBuf, Vec<u8>)> = files(&dir.path().join("catalog"))
        .into_iter()
        .map(|path| (path.clone(), std::fs::read(&path).unwrap()))
        .collect();
    let store = open(dir.path());
    append(&store, 60, 50 * SPAN);
    settle(&store, 52 * SPAN);
    store.forget(vec![Matcher::equal("host", "h3")]).unwrap();
    settle(&store, 200 * SPAN);
    let wanted = store.cardinality(5).unwrap();
    assert_eq!(wanted.series, 115);
    store.close(0).unwrap();
    drop(store);
    std::fs::remove_dir_all(dir.path().join("catalog")).unwrap();
    for (path, bytes) in old {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    check(dir.path(), &wanted, "an old copy of the directory");
}
