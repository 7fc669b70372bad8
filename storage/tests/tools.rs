//! Verify, repair, snapshot and restore on stores with damage in every place.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use ringwell_storage::append::{Batch, Duplicates, SeriesRef, SeriesSamples};
use ringwell_storage::disk::{Disk, MemDisk, SimDisk};
use ringwell_storage::model::{Labels, Sample, SampleBuf, TimeRange, Value};
use ringwell_storage::read::Queryable;
use ringwell_storage::store::{Options, Store};
use ringwell_storage::tools::{backup, repair, verify};

const MINUTE: i64 = 60_000;

fn options() -> Options {
    Options { ring_samples: 4, block_span: 10 * MINUTE, cut_delay: 0, ..Options::default() }
}

fn open(disk: &Arc<SimDisk>) -> Result<Store, String> {
    let disk: Arc<dyn Disk> = Arc::new(Arc::clone(disk));
    Store::open(disk, options(), 0).map_err(|e| e.to_string())
}

fn append(store: &Store, t: i64) {
    let labels = Labels::from_pairs([("__name__", "m"), ("half", ["a", "b"][(t % 2) as usize])]);
    let samples = vec![Sample { t, start: 0, value: Value::Float(t as f64) }];
    let series = SeriesRef::Labels(labels.unwrap());
    let series = vec![SeriesSamples { series, samples: samples.into() }];
    let done = store.append(&Batch { series, duplicates: Duplicates::Reject }, t).unwrap();
    assert_eq!(done.accepted, 1);
    store.sync().unwrap();
}

fn contents(store: &Store) -> BTreeMap<i64, f64> {
    let mut found = BTreeMap::new();
    for series in store.snapshot().select(&[], TimeRange::ALL).unwrap() {
        let mut samples = SampleBuf::default();
        let mut cursor = series.cursor(TimeRange::ALL).unwrap();
        while cursor.next(&mut samples).unwrap() {}
        found.extend(samples.t.iter().copied().zip(samples.v.iter().copied()));
    }
    found
}

/// Twenty samples in a block, twenty in the log above the checkpoint, each group synced.
fn filled() -> (Arc<SimDisk>, BTreeMap<i64, f64>) {
    let disk = SimDisk::new();
    let store = open(&disk).unwrap();
    (0..20).for_each(|i| append(&store, i * 1001));
    for now in [20, 23, 26] {
        store.maintain(now * MINUTE).unwrap();
    }
    (0..20).for_each(|i| append(&store, 30 * MINUTE + i * 1001));
    store.tick(31 * MINUTE, &NoKeys).unwrap();
    let all = contents(&store);
    assert_eq!(all.len(), 40);
    drop(store);
    let disk = disk.after_kill();
    assert!(disk.files().iter().any(|(name, _)| name.ends_with(".blk")));
    (disk, all)
}

struct NoKeys;

impl ringwell_storage::keyspace::Extract for NoKeys {
    fn extract(
        &self,
        _: &ringwell_storage::keyspace::Keyspace,
        _: &ringwell_storage::keyspace::Request<'_>,
        _: &ringwell_storage::keyspace::Effects,
        _: i64,
        _: &mut ringwell_storage::keyspace::Derived,
    ) {
    }

    fn hold(
        &self,
        _: &ringwell_storage::keyspace::Keyspace,
        _: i64,
        _: &mut ringwell_storage::keyspace::Derived,
    ) {
    }
}

#[test]
fn what_is_whole_is_found_whole_and_left_alone() {
    let (disk, all) = filled();
    let files = disk.files();
    let found = verify::verify(&disk).unwrap();
    assert_eq!((found.damage.as_slice(), &found.torn, found.blocks), ([].as_slice(), &None, 1));
    assert!(found.records >= 20, "{found:?}");
    assert_eq!(repair::repair(&disk).unwrap(), Vec::<String>::new());
    assert_eq!(disk.files(), files);
    assert_eq!(contents(&open(&disk).unwrap()), all);
}

/// Wherever a bit of the log flips: verify says so, the start is refused, and after the repair all but
/// the group that held it, and the rows that lean on it, is served. Nothing is deleted.
#[test]
fn damage_in_the_log_costs_one_group() {
    let (whole, all) = filled();
    let is_log = |(name, _): &(String, u64)| name.starts_with("wal/");
    let (path, _) = whole.files().into_iter().rfind(is_log).unwrap();
    let used = {
        let store = open(&whole.after_kill()).unwrap();
        store.stats().log_end
    };
    let mut refused = 0;
    for byte in (0..used).step_by(7) {
        let disk = whole.after_kill();
        if disk.flip_bit(&path, byte, (byte % 8) as u8).is_err() {
            continue;
        }
        let found = verify::verify(&disk).unwrap();
        let Err(error) = open(&disk.after_kill()) else { continue };
        refused += 1;
        assert_eq!(found.damage.len(), 1, "byte {byte}: {error}");
        let done = repair::repair(&disk).unwrap();
        assert_eq!(done.len(), 1, "byte {byte}: {done:?}");
        assert_eq!(verify::verify(&disk).unwrap().damage, Vec::<String>::new(), "byte {byte}");
        let store = open(&disk).unwrap_or_else(|e| panic!("byte {byte}: {e}"));
        let left = contents(&store);
        assert!(left.iter().all(|(t, v)| all.get(t) == Some(v)), "byte {byte}: a wrong value");
        // A group that introduced a series takes the series' later rows of the log with it.
        assert!(left.len() >= 20, "byte {byte}: {} left", left.len());
        let set_aside = disk.files().iter().filter(|(n, _)| n.starts_with("quarantine/")).count();
        assert_eq!(set_aside, 1, "byte {byte}");
    }
    assert!(refused > 50, "{refused}");
}

#[test]
fn a_damaged_block_or_checkpoint_is_set_aside_and_the_rest_served() {
    for (end, least) in [(".blk", 20), (".ckp", 20)] {
        let (disk, all) = filled();
        let (path, size) = disk.files().into_iter().find(|(n, _)| n.ends_with(end)).unwrap();
        disk.flip_bit(&path, size / 2, 3).unwrap();
        assert_eq!(verify::verify(&disk).unwrap().damage.len(), 1, "{end}");
        assert_eq!(repair::repair(&disk).unwrap().len(), 1, "{end}");
        assert_eq!(verify::verify(&disk).unwrap().damage, Vec::<String>::new(), "{end}");
        let left = contents(&open(&disk).unwrap());
        assert!(left.len() >= least, "{end}: {} left", left.len());
        assert!(left.iter().all(|(t, v)| all.get(t) == Some(v)), "{end}: a wrong value");
        assert!(disk.files().iter().any(|(n, _)| n.starts_with("quarantine/")), "{end}");
    }
}

#[test]
fn a_snapshot_is_what_was_acknowledged_and_opens_elsewhere() {
    let (disk, all) = filled();
    let store = open(&disk).unwrap();
    let path = store.snapshot_to("one").unwrap();
    assert_eq!(path, "snapshots/one");
    append(&store, 50 * MINUTE);
    for now in [60, 63, 66] {
        store.maintain(now * MINUTE).unwrap();
    }
    store.close(70 * MINUTE).unwrap();
    assert_eq!(contents(&store).len(), all.len() + 1);

    let snapshot = MemDisk::new();
    for (name, size) in disk.files() {
        let Some(inside) = name.strip_prefix("snapshots/one/") else { continue };
        let mut bytes = vec![0; size as usize];
        disk.open(&name).unwrap().read_at(&mut bytes, 0).unwrap();
        snapshot.put(inside, bytes);
    }
    assert_eq!(verify::verify(&snapshot).unwrap().damage, Vec::<String>::new());
    let restored = Arc::new(MemDisk::new());
    assert_eq!(backup::restore(&snapshot, &*restored).unwrap(), snapshot.byte_len());
    let store = Store::open(restored, options(), 0).unwrap();
    assert_eq!(contents(&store), all);
    assert!(store.report().torn.is_none() && store.report().refused_blocks.is_empty());
}
