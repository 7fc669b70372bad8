//! Followers of the log's samples on a simulated disk: series come and go, the log is trimmed, the store is killed and
//! its power is cut. A follower that goes on from its place was told every sample that is synced, once.
//! `RINGWELL_FEED_SEEDS=1000` runs longer.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use ringwell_storage::append::{Batch, SeriesRef, SeriesSamples};
use ringwell_storage::disk::{Disk, SimDisk};
use ringwell_storage::feed::{Feeder, Identity, LogPlace, Told};
use ringwell_storage::keyspace::{Derived, Effects, Extract, Keyspace, Request};
use ringwell_storage::model::{Labels, Sample, SampleBuf, SeriesId, TimeRange, Value};
use ringwell_storage::read::Queryable;
use ringwell_storage::store::{Options, Store};
use ringwell_storage::wal::LogOptions;

struct Nothing;

impl Extract for Nothing {
    fn extract(&self, _: &Keyspace, _: &Request<'_>, _: &Effects, _: i64, _: &mut Derived) {}

    fn hold(&self, _: &Keyspace, _: i64, _: &mut Derived) {}
}

struct Rng(u64);

impl Rng {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % n
    }
}

type Samples = BTreeMap<(String, i64), u64>;

fn all_of(store: &Store) -> Samples {
    let mut all = Samples::new();
    let range = TimeRange::new(i64::MIN, i64::MAX).unwrap();
    for series in store.snapshot().select(&[], range).unwrap() {
        let mut cursor = series.cursor(range).unwrap();
        let mut run = SampleBuf::default();
        while cursor.next(&mut run).unwrap() {}
        let name = series.labels().encoded().to_owned();
        all.extend(run.t.iter().zip(&run.v).map(|(t, v)| ((name.clone(), *t), v.to_bits())));
    }
    all
}

/// One who is told of samples.
#[derive(Default)]
struct Follower {
    known: Option<(Identity, u64, LogPlace)>,
    samples: Samples,
    names: BTreeMap<SeriesId, String>,
    stream: u64,
    begun: u64,
}

impl Follower {
    /// Reads on from its place, or begins anew, so many pieces of the log.
    fn follow(&mut self, store: &Store, pieces: u64) {
        let named = store.name_stream().unwrap();
        if store.synced() < named {
            store.sync().unwrap();
        }
        let going_on = self.known.and_then(|(name, offset, at)| store.stream_at(&name, offset, at));
        let mut feeder = match going_on {
            Some(feeder) => with_samples(feeder),
            None => self.begin(store),
        };
        for _ in 0..pieces {
            let (mut bytes, before) = (Vec::new(), self.stream);
            let (samples, names) = (&mut self.samples, &mut self.names);
            let mut tell = |told: Told<'_>| match told {
                Told::Batch(batch) => {
                    for series in &batch.new_series {
                        names.insert(series.id, series.labels.encoded().to_owned());
                    }
                    for row in &batch.floats {
                        let known = store.series(batch.shard, row.id);
                        let known = known.map(|(labels, _)| labels.encoded().to_owned());
                        let name = known.or_else(|| names.get(&row.id).cloned()).unwrap();
                        let twice = samples.insert((name, row.t), row.v.to_bits());
                        assert_eq!(twice, None, "told twice");
                    }
                }
                other => panic!("{other:?}"),
            };
            feeder.read_all(store.synced(), 300, &mut bytes, &mut tell).unwrap();
            self.stream = before + bytes.len() as u64;
            assert_eq!(self.stream, feeder.offset());
            if let Some(place) = feeder.place() {
                let name = store.stream().unwrap().name;
                self.known = Some((name, self.stream, place));
            }
        }
    }

    fn begin(&mut self, store: &Store) -> Feeder {
        let start = store.stream_view().unwrap();
        store.sync().unwrap();
        self.samples = all_of(store);
        self.begun += 1;
        self.stream = start.offset;
        with_samples(start.feeder)
    }
}

fn with_samples(feeder: Feeder) -> Feeder {
    let from = feeder.position();
    feeder.with_samples(from)
}

fn open(disk: &Arc<SimDisk>, follow_bytes: u64, rng: &mut Rng) -> Store {
    let options = Options {
        checkpoint_bytes: 3000,
        follow_bytes,
        stream_name: std::array::from_fn(|_| rng.below(256) as u8),
        log: LogOptions { segment_bytes: 1500, max_pending: 4000, fill_bytes: 256, spares: 2 },
        ..Options::default()
    };
    let disk: Arc<dyn Disk> = Arc::new(Arc::clone(disk));
    Store::open(disk, options, 0).unwrap()
}

struct World {
    rng: Rng,
    disk: Arc<SimDisk>,
    store: Store,
    follow_bytes: u64,
    now: i64,
}

impl World {
    fn new(seed: u64, follow_bytes: u64) -> World {
        let mut rng = Rng(seed.wrapping_mul(0x9e3779b97f4a7c15) | 1);
        let disk = SimDisk::new();
        let store = open(&disk, follow_bytes, &mut rng);
        World { rng, disk, store, follow_bytes, now: 1 }
    }

    fn write(&mut self) {
        self.now += 3;
        let count = 1 + self.rng.below(30);
        let series = (0..count).map(|_| {
            let name = format!("s{}", self.rng.below(20 + self.now as u64 / 50));
            let labels = Labels::from_pairs([("n", name.as_str())]).unwrap();
            let t = self.now - self.rng.below(3) as i64;
            let value = Value::Float(self.rng.below(100_000) as f64 / 7.0);
            let samples = vec![Sample { t, start: 0, value }].into();
            SeriesSamples { series: SeriesRef::Labels(labels), samples }
        });
        let batch = Batch { series: series.collect(), ..Batch::default() };
        self.store.append(&batch, self.now).unwrap();
    }

    fn step(&mut self) {
        self.now += 3;
        match self.rng.below(20) {
            0 => drop(self.store.maintain(self.now).unwrap()),
            1 | 2 => drop(self.store.sync().unwrap()),
            3 | 4 => {
                let value = self.now.to_string();
                let args: [&[u8]; 3] = [b"SET", b"key", value.as_bytes()];
                self.store.execute(&Request { db: 0, args: &args }, self.now, &Nothing);
            }
            _ => self.write(),
        }
    }

    fn crash(&mut self) {
        self.disk = match self.rng.below(3) {
            0 => {
                self.store.close(self.now).unwrap();
                self.disk.after_kill()
            }
            1 => self.disk.after_kill(),
            _ => self.disk.after_power_cut(self.rng.below(1 << 30)),
        };
        self.store = open(&self.disk, self.follow_bytes, &mut self.rng);
    }
}

fn run(seed: u64, follow_bytes: u64) -> u64 {
    let mut world = World::new(seed, follow_bytes);
    let mut follower = Follower::default();
    for _ in 0..600 {
        world.step();
        match world.rng.below(30) {
            0..3 => {
                let pieces = 1 + world.rng.below(5);
                follower.follow(&world.store, pieces);
            }
            3 if world.rng.below(4) == 0 => world.crash(),
            _ => {}
        }
    }
    world.store.sync().unwrap();
    while follower.known.is_none_or(|(_, _, at)| at.position < world.store.synced()) {
        follower.follow(&world.store, 50);
    }
    let wanted = all_of(&world.store);
    assert!(wanted.len() > 1000);
    assert!(follower.samples == wanted, "seed {seed}");
    assert_eq!(follower.stream, world.store.stream().unwrap().offset, "seed {seed}");
    follower.begun
}

fn seeds() -> std::ops::Range<u64> {
    let count = std::env::var("RINGWELL_FEED_SEEDS").map_or(20, |text| text.parse().unwrap());
    0..count
}

#[test]
fn samples_are_told_once_from_where_a_follower_was() {
    for seed in seeds() {
        assert_eq!(run(seed, 1 << 30), 1, "seed {seed}");
    }
}

#[test]
fn followers_of_samples_that_come_too_late_begin_anew() {
    let begun: u64 = seeds().map(|seed| run(seed, 500)).sum();
    assert!(begun > seeds().end * 2, "{begun}");
}

/// A place beyond what an old copy of the directory has means something else in it, or will.
#[test]
fn a_place_that_an_old_copy_has_not_is_none_of_it() {
    for seed in seeds() {
        let mut world = World::new(seed, 1 << 30);
        let mut follower = Follower::default();
        (0..100).for_each(|_| world.step());
        follower.follow(&world.store, 100);
        world.store.sync().unwrap();
        let old = world.disk.after_kill();
        let known = follower.known.unwrap();
        // No command any more, so the stream alone would not tell.
        (0..30).for_each(|_| world.write());
        world.store.sync().unwrap();
        follower.follow(&world.store, 100);
        let (name, offset, at) = follower.known.unwrap();
        assert!(at.position > known.2.position);

        world.disk = old;
        world.store = open(&world.disk, world.follow_bytes, &mut world.rng);
        let here = |world: &World, at: LogPlace| world.store.stream_at(&name, offset, at).is_some();
        assert!(!here(&world, at), "seed {seed}");
        while world.store.synced() < at.position {
            (0..10).for_each(|_| world.write());
            world.store.sync().unwrap();
        }
        assert!(!here(&world, at), "seed {seed}");
        assert!(here(&world, known.2), "seed {seed}: both have this");
        follower.follow(&world.store, 100);
        assert_eq!(follower.begun, 2);
    }
}
