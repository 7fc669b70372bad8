//! The index of blocks stays on the disk: what it takes in memory is bounded, and damage to it is an error.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use ringwell_storage::append::{Batch, Duplicates, SeriesRef, SeriesSamples};
use ringwell_storage::disk::{Disk, MemDisk};
use ringwell_storage::model::{Labels, MatchOp, Matcher, Sample, SampleBuf, TimeRange, Value};
use ringwell_storage::read::{Queryable, ReadError, Snapshot};
use ringwell_storage::store::{Options, Store};

const HOUR: i64 = 3_600_000;
const START: i64 = 1_700_006_400_000;
const SERIES: usize = 130;

/// Some blocks of two hours, most of the series in each; `cache` bytes for their indexes.
fn filled(disk: &Arc<MemDisk>, blocks: i64, cache: usize) -> Store {
    let log = ringwell_storage::wal::LogOptions { fill_bytes: 0, ..Default::default() };
    // No retention of so many days merges blocks of two hours.
    let retention = Some(20 * HOUR);
    let options = Options {
        index_cache_bytes: cache,
        max_future: None,
        retention,
        log,
        ..Options::default()
    };
    let store = Store::open(Arc::clone(disk) as Arc<dyn Disk>, options, START).unwrap();
    for step in 0..blocks * 4 {
        let t = START + step * HOUR / 2;
        let row = |i: usize| SeriesSamples {
            series: SeriesRef::Labels(labels(i)),
            samples: vec![Sample { t, start: 0, value: Value::Float((i as i64 + step) as f64) }]
                .into(),
        };
        let there = |i: &usize| !(i + step as usize / 4).is_multiple_of(7);
        let batch = Batch {
            series: (0..SERIES).filter(there).map(row).collect(),
            duplicates: Duplicates::Reject,
        };
        assert!(store.append(&batch, t).unwrap().rejected.is_empty());
    }
    for minute in [0, 3, 6, 9] {
        store.maintain(START + (2 * blocks + 2) * HOUR + minute * 60_000).unwrap();
    }
    assert_eq!(store.stats().blocks, blocks as u64);
    store
}

fn labels(i: usize) -> Labels {
    let (name, pod) = (format!("metric_{}", i % 9), format!("pöd-{i}"));
    let mut pairs = vec![("__name__", name.as_str()), ("pod", pod.as_str())];
    if i.is_multiple_of(5) {
        pairs.push(("zone", "eu"));
    }
    Labels::from_pairs(pairs).unwrap()
}

/// All that a few questions are answered with.
fn answers(snapshot: &dyn Snapshot) -> Result<Vec<String>, ReadError> {
    let matcher = |op, name, value| Matcher::new(op, name, value).unwrap();
    let questions = [
        vec![],
        vec![matcher(MatchOp::Equal, "__name__", "metric_3")],
        vec![matcher(MatchOp::Equal, "pod", "pöd-77"), matcher(MatchOp::NotEqual, "zone", "eu")],
        vec![matcher(MatchOp::Regex, "pod", "pöd-1.*7"), matcher(MatchOp::Equal, "zone", "")],
        vec![matcher(MatchOp::NotRegex, "__name__", "metric_[1-7]")],
    ];
    let mut answers = Vec::new();
    for matchers in &questions {
        for series in snapshot.select(matchers, TimeRange::ALL)? {
            let mut cursor = series.cursor(TimeRange::ALL)?;
            let mut samples = SampleBuf::default();
            while cursor.next(&mut samples)? {}
            answers.push(format!("{} {:?} {:?}", series.labels(), samples.t, samples.v));
        }
    }
    answers.extend(snapshot.label_names(&[], TimeRange::ALL)?);
    answers.extend(snapshot.label_values("pod", &[], TimeRange::ALL)?);
    Ok(answers)
}

#[test]
fn a_small_cache_answers_as_a_large_one() {
    let disks = [Arc::new(MemDisk::new()), Arc::new(MemDisk::new())];
    let caches = [0, 32 << 20];
    let [none, large] = [0, 1].map(|i| filled(&disks[i], 6, caches[i]));
    let wanted = answers(&*large.snapshot()).unwrap();
    assert!(wanted.len() > SERIES);
    assert_eq!(answers(&*none.snapshot()).unwrap(), wanted);
    assert_eq!(none.stats().index_cache.bytes, 0);
    let before = large.stats().index_cache;
    assert_eq!(answers(&*large.snapshot()).unwrap(), wanted);
    let after = large.stats().index_cache;
    assert_eq!((after.misses, after.bytes), (before.misses, before.bytes), "all is there by now");
}

#[test]
fn many_blocks_take_no_more_memory_than_the_cache() {
    const CACHE: usize = 64 << 10;
    let disk = Arc::new(MemDisk::new());
    let store = filled(&disk, 9, CACHE);
    for _ in 0..3 {
        answers(&*store.snapshot()).unwrap();
        let used = store.stats().index_cache;
        assert!(used.bytes > 0 && used.bytes <= CACHE as u64, "{used:?}");
    }
}

#[test]
fn a_flipped_bit_in_an_open_blocks_index_is_an_error_or_changes_nothing() {
    let disk = Arc::new(MemDisk::new());
    let store = filled(&disk, 1, 0);
    let wanted = answers(&*store.snapshot()).unwrap();
    let name = disk.list("blocks").unwrap().remove(0);
    let file = disk.open(&format!("blocks/{name}")).unwrap();
    let (mut errors, size) = (0, file.size().unwrap());
    for at in (0..size).step_by(127) {
        let mut byte = [0];
        file.read_at(&mut byte, at).unwrap();
        file.write_at(&[byte[0] ^ 1 << (at % 8)], at).unwrap();
        match answers(&*store.snapshot()) {
            Ok(found) => assert!(found == wanted, "a wrong answer for the bit at {at}"),
            Err(ReadError::Corrupt { .. }) => errors += 1,
            Err(error) => panic!("{error}"),
        }
        file.write_at(&byte, at).unwrap();
    }
    assert!(errors > 10, "{errors} of {size}");
    assert_eq!(answers(&*store.snapshot()).unwrap(), wanted);
}
