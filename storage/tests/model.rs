//! Seeded runs of appends, late samples, duplicates, deletions, cuts, merges, retention and reopenings,
//! compared with a map after every step.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use ringwell_storage::append::{Batch, Duplicates, Rejection, SeriesRef, SeriesSamples};
use ringwell_storage::compaction::{Retention, Rule};
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

    /// Deletes a stretch of some series, or all of one.
    fn delete(&mut self, random: &mut Random) {
        let host = format!("h{}", random.below(4));
        let matcher = Matcher::new(MatchOp::Regex, "host", format!("{host}|none")).unwrap();
        let start = self.now - random.below(8 * SPAN as u64) as i64;
        let range = TimeRange::new(start, start + random.below(3 * SPAN as u64) as i64).unwrap();
        let forget = random.below(4) == 0;
        for (labels, samples) in &mut self.model {
            if labels.get("host") == Some(&host) {
                samples.retain(|t, _| !forget && !range.contains(*t));
            }
        }
        let matchers = vec![matcher];
        let done =
            if forget { self.store.forget(matchers) } else { self.store.delete(matchers, range) };
        done.unwrap();
    }

    /// Lets maintenance do all that is due.
    fn maintain(&self, now: i64) {
        while self.store.maintain(now).unwrap().more {}
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
                0 => world.maintain(world.now),
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
                6 => world.delete(&mut random),
                7 => world.now += SPAN / 2,
                _ => world.append(&mut random),
            }
        }
        world.check(&mut random);
        // Everything into blocks, with a snapshot held across the cut.
        let held = world.store.snapshot();
        let before = read_all(&*held);
        for minutes in [10, 12, 14] {
            while world.store.maintain(world.now + minutes * 60_000).unwrap().more {}
        }
        assert_eq!(read_all(&*held), before, "a held snapshot sees the same");
        drop(held);
        assert!(world.store.stats().blocks > 0);
        world.maintain(world.now + 40 * 60_000);
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

/// A store whose series each got `per_range` samples in each of `ranges` block spans from 0 on.
fn filled(
    disk: &Arc<SimDisk>,
    options: Options,
    series: u64,
    ranges: i64,
    per_range: i64,
) -> Store {
    let store = Store::open(Arc::new(Arc::clone(disk)), options, 0).unwrap();
    for range in 0..ranges {
        let now = range * SPAN;
        for step in 0..per_range {
            let t = now + step * SPAN / per_range;
            let one = |i| SeriesSamples {
                series: SeriesRef::Labels(labels(i)),
                samples: vec![Sample {
                    t,
                    start: 0,
                    value: Value::Float((t * 7 + i as i64) as f64),
                }]
                .into(),
            };
            let batch = Batch { series: (0..series).map(one).collect(), ..Batch::default() };
            assert!(store.append(&batch, t).unwrap().rejected.is_empty());
        }
        settle(&store, now);
    }
    store
}

/// Lets what has been quiet be cut and merged.
fn settle(store: &Store, now: i64) {
    for minutes in [0, 2, 4, 6] {
        while store.maintain(now + minutes * 60_000).unwrap().more {}
    }
}

#[test]
fn merging_changes_no_answer_and_leaves_few_blocks() {
    let disk = SimDisk::new();
    let store = filled(&disk, options(), 6, 70, 5);
    let before = read_all(&*store.snapshot());
    assert_eq!(before.iter().map(|(_, s)| s.len()).sum::<usize>(), 6 * 70 * 5);
    settle(&store, 1_000 * SPAN);
    let stats = store.stats();
    assert!(stats.blocks <= 7 && stats.merges > 1, "{stats:?}");
    assert_eq!(stats.block_samples, 6 * 70 * 5);
    assert_eq!(read_all(&*store.snapshot()), before);
    let live = disk.files().iter().filter(|(name, _)| name.starts_with("blocks/")).count();
    assert_eq!(live as u64, stats.blocks, "sources are removed");
    store.close(0).unwrap();
    drop(store);
    let store = Store::open(Arc::new(Arc::clone(&disk)), options(), 0).unwrap();
    assert_eq!(read_all(&*store.snapshot()), before);
}

#[test]
fn what_is_deleted_is_hidden_at_once_and_gone_after_compaction() {
    let disk = SimDisk::new();
    let store = filled(&disk, options(), 6, 20, 5);
    settle(&store, 1_000 * SPAN);
    assert_eq!(store.stats().block_samples, 600);
    let held = store.snapshot();
    let all = read_all(&*held);
    let range = TimeRange::new(3 * SPAN, 5 * SPAN - 1).unwrap();
    store.delete(vec![Matcher::equal("__name__", "m1")], range).unwrap();
    store.forget(vec![Matcher::equal("host", "h0"), Matcher::equal("__name__", "m0")]).unwrap();
    let mut wanted = all.clone();
    wanted.retain(|(l, _)| *l != labels(0));
    for (_, samples) in wanted.iter_mut().filter(|(l, _)| l.metric_name() == "m1") {
        samples.retain(|(t, _)| !range.contains(*t));
    }
    assert_eq!(read_all(&*store.snapshot()), wanted);
    assert_eq!(read_all(&*held), all, "a held snapshot sees the same");
    // A sample that comes after a deletion stays.
    let again = Sample { t: 4 * SPAN, start: 0, value: Value::Float(1.0) };
    let series =
        vec![SeriesSamples { series: SeriesRef::Labels(labels(1)), samples: vec![again].into() }];
    store.append(&Batch { series, ..Batch::default() }, 4 * SPAN).unwrap();
    let (_, samples) = wanted.iter_mut().find(|(l, _)| *l == labels(1)).unwrap();
    let at = samples.partition_point(|(t, _)| *t < 4 * SPAN);
    samples.insert(at, (4 * SPAN, 1_f64.to_bits()));
    assert_eq!(read_all(&*store.snapshot()), wanted);
    store.sync().unwrap();
    drop((store, held));
    let store = Store::open(Arc::new(Arc::clone(&disk)), options(), 0).unwrap();
    assert_eq!(read_all(&*store.snapshot()), wanted, "replay deletes too");
    assert_eq!(store.stats().tombstones, 2);
    settle(&store, 2_000 * SPAN);
    settle(&store, 3_000 * SPAN);
    let stats = store.stats();
    assert_eq!((stats.tombstones, stats.block_samples), (0, 600 - 100 - 20 + 1), "{stats:?}");
    assert_eq!(read_all(&*store.snapshot()), wanted);
    assert_eq!(store.snapshot().label_values("host", &[], TimeRange::ALL).unwrap(), ["h0", "h1"]);
    store.forget(vec![Matcher::equal("host", "h1")]).unwrap();
    assert_eq!(store.snapshot().label_values("host", &[], TimeRange::ALL).unwrap(), ["h0"]);
    assert!(store.delete(vec![], TimeRange::ALL).is_err(), "everything is not meant");
}

#[test]
fn retention_by_size_and_by_selector() {
    let disk = SimDisk::new();
    let matchers = vec![Matcher::equal("__name__", "m2")];
    let keep = Retention { bytes: None, rules: vec![Rule { matchers, keep: 30 * SPAN }] };
    let options = Options { keep, ..options() };
    let store = filled(&disk, options.clone(), 6, 40, 5);
    settle(&store, 42 * SPAN);
    let stats = store.stats();
    let oldest = |name: &str, store: &Store| {
        let all = read_all(&*store.snapshot());
        all.iter().filter(|(l, _)| l.metric_name() == name).map(|(_, s)| s[0].0).min()
    };
    assert_eq!(oldest("m0", &store), Some(0));
    assert!(oldest("m2", &store) > Some(10 * SPAN), "{:?} {stats:?}", oldest("m2", &store));
    settle(&store, 1_000 * SPAN);
    assert_eq!(oldest("m2", &store), None);
    assert_eq!(store.stats().block_samples, 4 * 40 * 5);
    drop(store);
    let bytes = Some(stats.block_bytes / 2);
    let options = Options { keep: Retention { bytes, rules: vec![] }, ..options };
    let store = Store::open(Arc::new(Arc::clone(&disk)), options, 0).unwrap();
    settle(&store, 1_000 * SPAN);
    assert!(store.stats().block_bytes <= stats.block_bytes / 2, "{:?}", store.stats());
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

#[test]
fn cardinality_is_limited_by_metric_and_by_label() {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new());
    let mut options = options();
    options.limits.metric_series = 3;
    options.limits.label_values = 4;
    let store = Store::open(Arc::clone(&disk), options.clone(), 0).unwrap();
    let send = |store: &Store, name: &str, host: u64| {
        let host = format!("h{host}");
        let labels = Labels::from_pairs([("__name__", name), ("host", host.as_str())]).unwrap();
        let samples = vec![Sample { t: 1, start: 0, value: Value::Float(1.0) }];
        let series =
            vec![SeriesSamples { series: SeriesRef::Labels(labels), samples: samples.into() }];
        let done = store.append(&Batch { series, ..Batch::default() }, 1).unwrap();
        done.rejected.first().map(|r| r.reason.to_string())
    };
    let check = |store: &Store| {
        for host in 0..3 {
            assert_eq!(send(store, "a", host), None);
        }
        let refused = send(store, "a", 3).unwrap();
        assert_eq!(refused, r#"series per metric limit of 3 reached: "a""#);
        assert_eq!(send(store, "b", 7), None, "the fourth value");
        let refused = send(store, "b", 8).unwrap();
        assert_eq!(refused, r#"values per label limit of 4 reached: label "host" of "b""#);
        assert_eq!(send(store, "b", 2), None, "a known value of the label");
        assert_eq!(send(store, "a", 1), None, "known series go on");
    };
    check(&store);
    store.sync().unwrap();
    drop(store);
    let store = Store::open(disk, options, 0).unwrap();
    check(&store);
    store.forget(vec![Matcher::equal("host", "h7")]).unwrap();
    assert_eq!(send(&store, "b", 8), None, "what has left makes room");
    assert_eq!(store.stats().series, 5);
}

#[test]
fn churn_leaves_nothing_behind() {
    let disk = SimDisk::new();
    let store = Store::open(Arc::new(Arc::clone(&disk)), options(), 0).unwrap();
    let pod = |generation: i64, i: i64| {
        let pod = format!("p{generation}-{i}");
        Labels::from_pairs([("__name__", "up"), ("pod", pod.as_str())]).unwrap()
    };
    let mut most = 0;
    for generation in 0..40 {
        let now = generation * SPAN;
        let one = |i| SeriesSamples {
            series: SeriesRef::Labels(pod(generation, i)),
            samples: vec![Sample { t: now + i, start: 0, value: Value::Float(i as f64) }].into(),
        };
        let batch = Batch { series: (0..50).map(one).collect(), ..Batch::default() };
        assert_eq!(store.append(&batch, now).unwrap().accepted, 50);
        settle(&store, now);
        most = most.max(store.stats().series);
    }
    assert!(most <= 6 * 50, "{most} series at a time, 50 of them alive");
    let all = read_all(&*store.snapshot());
    assert_eq!(all.len(), 40 * 50);
    for (labels, samples) in all {
        let pod = labels.get("pod").unwrap();
        let (generation, i) = pod[1..].split_once('-').unwrap();
        let (generation, i): (i64, i64) = (generation.parse().unwrap(), i.parse().unwrap());
        assert_eq!(samples, [(generation * SPAN + i, (i as f64).to_bits())]);
    }
}

#[test]
fn a_burst_of_elements_fills_every_millisecond_and_no_more() {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new());
    let store = Store::open(Arc::clone(&disk), options(), 0).unwrap();
    let push = |t: i64, n: usize| {
        let samples = vec![Sample { t, start: 0, value: Value::Float(1.0) }; n];
        let series =
            vec![SeriesSamples { series: SeriesRef::Labels(labels(0)), samples: samples.into() }];
        let batch = Batch { series, duplicates: Duplicates::NextFree };
        store.append(&batch, t).unwrap().rejected.len()
    };
    // One by one and many at once, in two bursts with a gap that stays free.
    assert_eq!((0..300).map(|_| push(1000, 1)).sum::<usize>(), 0);
    assert_eq!(push(1000, 900), 200, "at most 999 ms on");
    assert_eq!(push(1500, 10), 0);
    assert_eq!(push(3000, 2), 0);
    assert_eq!(push(2500, 1), 0);
    assert_eq!(push(3000, 1), 0);
    let mut times = Vec::new();
    for (_, samples) in read_all(&*store.snapshot()) {
        times.extend(samples.into_iter().map(|(t, _)| t));
    }
    let expected: Vec<i64> = (1000..2010).chain([2500]).chain(3000..3003).collect();
    assert_eq!(times, expected);
}

#[test]
fn a_sample_behind_what_a_deletion_left_of_the_newest_is_kept() {
    let disk = SimDisk::new();
    let store = Store::open(Arc::new(Arc::clone(&disk)), options(), 0).unwrap();
    let put = |times: &[i64], v: f64| {
        let sample = |t: &i64| Sample { t: *t, start: 0, value: Value::Float(v) };
        let samples: Vec<Sample> = times.iter().map(sample).collect();
        let series = SeriesRef::Labels(labels(0));
        let series = vec![SeriesSamples { series, samples: samples.into() }];
        assert_eq!(
            store.append(&Batch { series, ..Batch::default() }, 0).unwrap().accepted,
            times.len() as u64
        );
    };
    put(&[1, 2, 3, 4, 5], 1.0);
    store.delete(vec![Matcher::equal("host", "h0")], TimeRange::new(3, 9).unwrap()).unwrap();
    put(&[4], 2.0);
    put(&[3, 5], 2.0);
    let (one, two) = (1_f64.to_bits(), 2_f64.to_bits());
    let wanted = [(labels(0), vec![(1, one), (2, one), (3, two), (4, two), (5, two)])];
    assert_eq!(read_all(&*store.snapshot()), wanted);
    store.sync().unwrap();
    drop(store);
    let store = Store::open(Arc::new(disk), options(), 0).unwrap();
    assert_eq!(read_all(&*store.snapshot()), wanted);
}

#[test]
fn a_series_that_left_the_head_and_came_back_is_one_after_a_restart() {
    let disk = SimDisk::new();
    let store = Store::open(Arc::new(Arc::clone(&disk)), options(), 0).unwrap();
    let put = |t: i64| {
        let samples = vec![Sample { t, start: 0, value: Value::Float(1.0) }];
        let series = SeriesRef::Labels(labels(0));
        let series = vec![SeriesSamples { series, samples: samples.into() }];
        store.append(&Batch { series, ..Batch::default() }, t).unwrap();
    };
    put(1_000);
    settle(&store, 100 * SPAN);
    settle(&store, 200 * SPAN);
    store.checkpoint(0).unwrap();
    assert_eq!(store.stats().series, 0, "it left the head");
    put(300 * SPAN);
    assert_eq!(store.stats().series, 1);
    store.sync().unwrap();
    drop(store);
    let store = Store::open(Arc::new(disk), options(), 0).unwrap();
    assert_eq!(store.stats().series, 1);
}
