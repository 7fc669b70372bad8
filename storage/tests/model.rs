//! Seeded runs of appends, late samples, duplicates, cuts, retention and reopenings, compared with a
//! map after every step.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use ringwell_storage::append::{Batch, Duplicates, Rejection, SeriesRef, SeriesSamples};
use ringwell_storage::disk::{Disk, SimDisk};
use ringwell_storage::model::{
    Labels, MatchOp, Matcher, STALE_NAN, Sample, SampleBuf, TimeRange, Value,
};
use ringwell_storage::read::Queryable;
use ringwell_storage::store::{Options, Store};

const SPAN: i64 = 60_000;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn options() -> Options {
    Options {
        ring_samples: 8,
        block_span: SPAN,
        cut_delay: 0,
        max_future: None,
        checkpoint_bytes: 20_000,
        ..Options::default()
    }
}

fn labels(i: u64) -> Labels {
    let (name, host) = (format!("m{}", i % 3), format!("h{}", i / 3));
    Labels::from_pairs([("__name__", name.as_str()), ("host", host.as_str())]).unwrap()
}

fn raw(bytes: &[u8]) -> Result<Labels, ringwell_storage::model::LabelError> {
    Ok(labels(u64::from(bytes[0])))
}

/// Series to time to value bits.
type Model = BTreeMap<Labels, BTreeMap<i64, u64>>;

struct World {
    disk: Arc<SimDisk>,
    store: Store,
    model: Model,
    now: i64,
}

impl World {
    fn open(disk: Arc<SimDisk>, model: Model, now: i64) -> World {
        let store = Store::open(Arc::new(Arc::clone(&disk)), options(), now).unwrap();
        World { disk, store, model, now }
    }

    fn append(&mut self, random: &mut Random) {
        let duplicates = match random.below(3) {
            0 => Duplicates::Reject,
            1 => Duplicates::Last,
            _ => Duplicates::NextFree,
        };
        let mut batch = Batch { series: Vec::new(), duplicates };
        let names: Vec<[u8; 1]> = (0..4).map(|_| [random.below(12) as u8]).collect();
        for name in &names {
            let mut samples = Vec::new();
            for _ in 0..random.below(12) {
                let late =
                    if random.below(6) == 0 { random.below(4 * SPAN as u64) as i64 } else { 0 };
                let t = self.now - late + random.below(40) as i64;
                let v = match random.below(30) {
                    0 => f64::from_bits(STALE_NAN),
                    1 => f64::NAN,
                    n => n as f64 / 8.0,
                };
                samples.push(Sample { t, start: 0, value: Value::Float(v) });
            }
            let series = match random.below(2) {
                0 => SeriesRef::Labels(labels(u64::from(name[0]))),
                _ => SeriesRef::Raw { bytes: name, parse: raw },
            };
            batch.series.push(SeriesSamples { series, samples: samples.into() });
        }
        let done = self.store.append(&batch, self.now).unwrap();
        let mut refused = 0;
        // Shards are visited in turn, but the samples of one series stay in order.
        for (name, series) in names.iter().zip(&batch.series) {
            let model = self.model.entry(labels(u64::from(name[0]))).or_default();
            for sample in &series.samples {
                let Value::Float(v) = sample.value else { unreachable!() };
                refused += u64::from(!expect(model, sample.t, v.to_bits(), duplicates));
            }
        }
        assert_eq!(done.rejected.len() as u64, refused);
        assert!(done.rejected.iter().all(|r| r.reason == Rejection::Duplicate));
    }

    fn check(&self, random: &mut Random) {
        let from = self.now - random.below(6 * SPAN as u64) as i64;
        let range = match random.below(3) {
            0 => TimeRange::ALL,
            _ => TimeRange::new(from, from + random.below(2 * SPAN as u64) as i64).unwrap(),
        };
        let matcher = Matcher::new(MatchOp::Regex, "__name__", "m[01]").unwrap();
        let matchers = if random.below(2) == 0 { vec![matcher] } else { vec![] };
        let mut found: Model = BTreeMap::new();
        let snapshot = self.store.snapshot();
        for series in snapshot.select(&matchers, range).unwrap() {
            let mut samples = SampleBuf::default();
            let mut cursor = series.cursor(range).unwrap();
            while cursor.next(&mut samples).unwrap() {}
            assert!(samples.t.is_sorted_by(|a, b| a < b));
            let values = samples.t.iter().zip(&samples.v).map(|(t, v)| (*t, v.to_bits()));
            let values: BTreeMap<i64, u64> = values.collect();
            if !values.is_empty() {
                assert!(found.insert(series.labels().clone(), values).is_none());
            }
        }
        let mut wanted: Model = BTreeMap::new();
        for (labels, samples) in &self.model {
            let inside = samples.range(range.start()..=range.end()).map(|(t, v)| (*t, *v));
            let inside: BTreeMap<i64, u64> = inside.collect();
            if matchers.iter().all(|m| m.matches(labels.get(m.name()).unwrap_or("")))
                && !inside.is_empty()
            {
                wanted.insert(labels.clone(), inside);
            }
        }
        assert_eq!(found, wanted);
    }
}

/// What the store should do with a sample; whether it takes it. Blocks are not looked at for
/// duplicates, so times whose range may have been cut are not sent twice in this world.
fn expect(model: &mut BTreeMap<i64, u64>, t: i64, v: u64, duplicates: Duplicates) -> bool {
    match (model.get(&t).copied(), duplicates) {
        (None, _) => {
            model.insert(t, v);
        }
        (Some(old), Duplicates::Reject | Duplicates::Last) if old == v => {}
        (Some(_), Duplicates::Last) => {
            model.insert(t, v);
        }
        (Some(_), Duplicates::Reject) => return false,
        (Some(_), Duplicates::NextFree) => {
            let Some(free) = (1..=999).map(|d| t + d).find(|t| !model.contains_key(t)) else {
                return false;
            };
            model.insert(free, v);
        }
    }
    true
}

#[test]
fn a_store_is_a_map() {
    for seed in 1..=12_u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut world = World::open(SimDisk::new(), Model::new(), 1_000_000);
        for _ in 0..120 {
            match random.below(20) {
                // Cuts need quiet, so that late samples here stay in the head's ranges.
                0 => drop(world.store.maintain(world.now)),
                1 => {
                    let World { disk, store, model, now } = world;
                    if random.below(2) == 0 {
                        store.close(now).unwrap();
                    } else {
                        store.sync().unwrap();
                    }
                    drop(store);
                    world = World::open(disk, model, now);
                }
                2..=5 => world.check(&mut random),
                6 => world.now += SPAN / 2,
                _ => world.append(&mut random),
            }
        }
        world.check(&mut random);
        // Everything into blocks, with a snapshot held across the cut.
        let held = world.store.snapshot();
        let before = read_all(&*held);
        for minutes in [10, 12, 14] {
            world.store.maintain(world.now + minutes * 60_000).unwrap();
        }
        assert_eq!(read_all(&*held), before, "a held snapshot sees the same");
        drop(held);
        assert!(world.store.stats().blocks > 0);
        world.store.maintain(world.now + 15 * 60_000).unwrap();
        assert_eq!(read_all(&*world.store.snapshot()), before);
        world.store.close(world.now).unwrap();
        drop(world.store);
        world = World::open(world.disk, world.model, world.now);
        assert_eq!(read_all(&*world.store.snapshot()), before);
        assert_eq!(world.store.report().records, 0);
        world.check(&mut random);
    }
}

fn read_all(snapshot: &dyn ringwell_storage::read::Snapshot) -> Vec<(Labels, Vec<(i64, u64)>)> {
    let mut all = Vec::new();
    for series in snapshot.select(&[], TimeRange::ALL).unwrap() {
        let mut samples = SampleBuf::default();
        let mut cursor = series.cursor(TimeRange::ALL).unwrap();
        while cursor.next(&mut samples).unwrap() {}
        let values = samples.t.iter().zip(&samples.v).map(|(t, v)| (*t, v.to_bits())).collect();
        all.push((series.labels().clone(), values));
    }
    all
}

#[test]
fn retention_drops_whole_blocks_one_range_at_a_time() {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new());
    let options = Options { retention: Some(10 * SPAN), ..options() };
    let store = Store::open(Arc::clone(&disk), options, 0).unwrap();
    let mut now = 1_000 * SPAN;
    for i in 0..5 {
        let samples = vec![Sample { t: now + i * SPAN, start: 0, value: Value::Float(i as f64) }];
        let series =
            vec![SeriesSamples { series: SeriesRef::Labels(labels(0)), samples: samples.into() }];
        store.append(&Batch { series, duplicates: Duplicates::Reject }, now + i * SPAN).unwrap();
    }
    for minutes in [6, 8, 10] {
        store.maintain(now + minutes * 60_000).unwrap();
    }
    assert_eq!(store.stats().blocks, 5);
    // A clock that jumps a year ahead takes one range a run, not all.
    now += 365 * 24 * 60 * SPAN;
    assert_eq!(store.maintain(now).unwrap().dropped, 1);
    assert_eq!(store.stats().blocks, 4);
    let old = vec![Sample { t: now - 11 * SPAN, start: 0, value: Value::Float(0.0) }];
    let series = vec![SeriesSamples { series: SeriesRef::Labels(labels(0)), samples: old.into() }];
    let done = store.append(&Batch { series, duplicates: Duplicates::Reject }, now).unwrap();
    assert!(matches!(done.rejected[0].reason, Rejection::TooOld { .. }));
}

#[test]
fn limits_name_the_limit_and_the_offender() {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new());
    let mut options = options();
    options.limits.labels = 3;
    options.limits.value_bytes = 10;
    options.limits.series = 2;
    let store = Store::open(disk, options, 0).unwrap();
    let send = |pairs: &[(&str, &str)]| {
        let labels = Labels::from_pairs(pairs.iter().copied()).unwrap();
        let samples = vec![Sample { t: 1, start: 0, value: Value::Float(1.0) }];
        let series =
            vec![SeriesSamples { series: SeriesRef::Labels(labels), samples: samples.into() }];
        let done = store.append(&Batch { series, duplicates: Duplicates::Reject }, 1).unwrap();
        done.rejected.first().map(|r| r.reason.to_string())
    };
    assert_eq!(send(&[("__name__", "a"), ("b", "1")]), None);
    assert_eq!(
        send(&[("__name__", "a"), ("b", "1"), ("c", "2"), ("d", "3")]).as_deref(),
        Some(r#"labels per series limit of 3 reached: "a" has 4 labels"#)
    );
    assert_eq!(
        send(&[("__name__", "a"), ("b", "12345678901")]).as_deref(),
        Some(r#"label value bytes limit of 10 reached: value of "b" has 11 bytes"#)
    );
    assert_eq!(send(&[("__name__", "b")]), None);
    let refused = send(&[("__name__", "c")]).unwrap();
    assert!(refused.starts_with("active series limit of 2 reached"), "{refused}");
    assert_eq!(send(&[("__name__", "b")]), None, "known series go on");
}
