//! A checkpoint takes a shard in stretches while samples go on, and deletions before and after: what a store has
//! after a crash is what it had before.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ringwell_storage::append::{Batch, Duplicates, SeriesRef, SeriesSamples};
use ringwell_storage::disk::{Disk, MemDisk};
use ringwell_storage::model::{Labels, Matcher, Sample, SampleBuf, TimeRange, Value};
use ringwell_storage::read::Queryable;
use ringwell_storage::store::{Options, Store};

/// More than a shard gives at a time, in each of its sixteen.
const SERIES: usize = 10_000;
const CHECKPOINTS: usize = 20;
/// Times are taken again after a deletion, so that one carried out twice would be seen.
const TIMES: i64 = 5;

fn open(disk: &Arc<dyn Disk>) -> Store {
    let options = Options { max_future: None, ..Options::default() };
    Store::open(Arc::clone(disk), options, 0).unwrap()
}

fn write(store: &Store, all: &[Labels], round: i64) {
    let t = 1_000 + round % TIMES;
    let row = |labels: &Labels| SeriesSamples {
        series: SeriesRef::Labels(labels.clone()),
        samples: vec![Sample { t, start: 0, value: Value::Float(round as f64) }].into(),
    };
    let batch = Batch { series: all.iter().map(row).collect(), duplicates: Duplicates::Last };
    assert!(store.append(&batch, t).unwrap().rejected.is_empty());
}

/// Every series with what it has, in order.
fn all(store: &Store) -> Vec<(String, Vec<(i64, u64)>)> {
    let mut found = Vec::new();
    for series in store.snapshot().select(&[], TimeRange::ALL).unwrap() {
        let mut out = SampleBuf::default();
        let mut cursor = series.cursor(TimeRange::ALL).unwrap();
        while cursor.next(&mut out).unwrap() {}
        let samples = out.t.iter().zip(&out.v).map(|(t, v)| (*t, v.to_bits())).collect();
        found.push((series.labels().to_string(), samples));
    }
    found.sort();
    found
}

#[test]
fn records_between_two_stretches_are_kept() {
    let disk: Arc<dyn Disk> = Arc::new(MemDisk::default());
    let labels = |i: usize| {
        let (part, i) = ((i % 7).to_string(), i.to_string());
        Labels::from_pairs([("__name__", "m"), ("i", &i), ("part", &part)]).unwrap()
    };
    let labels: Vec<Labels> = (0..SERIES).map(labels).collect();
    let store = open(&disk);
    write(&store, &labels, 1);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut round = 2;
            while !done.load(Ordering::Relaxed) {
                // New series come in between, too.
                let newest = [Labels::from_pairs([("new", round.to_string().as_str())]).unwrap()];
                write(&store, &newest, round);
                labels.chunks(500).for_each(|some| write(&store, some, round));
                round += 1;
            }
        });
        for i in 0..CHECKPOINTS {
            // By who takes the checkpoints, for a writer that deletes would wait for them.
            let range = TimeRange::new(1_000, 1_000 + TIMES).unwrap();
            store.delete(vec![Matcher::equal("part", (i % 7).to_string())], range).unwrap();
            store.checkpoint(0).unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    store.sync().unwrap();
    let before = all(&store);
    drop(store);
    let again = all(&open(&disk));
    assert_eq!(before.len(), again.len());
    let differ = before.iter().zip(&again).filter(|(a, b)| a != b).count();
    assert_eq!(differ, 0, "{:?}", before.iter().zip(&again).find(|(a, b)| a != b));
}
