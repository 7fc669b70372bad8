//! A small workload on a simulated disk, crashed at every operation, by kill and by power cut,
//! reopened, and compared with what was acknowledged. The canary at the end checks the check.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use ringwell_storage::append::{AppendError, Batch, Duplicates, SeriesRef, SeriesSamples};
use ringwell_storage::disk::{Disk, Fault, SimDisk};
use ringwell_storage::keyspace::{
    Derived, DerivedSample, Effects, Extract, Keyspace, Reply, Request,
};
use ringwell_storage::model::{
    CounterReset, Counts, Histogram, Labels, Matcher, Sample, SampleBuf, Schema, Span, TimeRange,
    Value, WalPosition,
};
use ringwell_storage::read::Queryable;
use ringwell_storage::store::{Ack, DeleteError, Options, Store};
use ringwell_storage::wal::LogOptions;

const LIST: &str = "metrics:events";
const SPAN: i64 = 10_000;

fn options() -> Options {
    Options {
        ring_samples: 4,
        block_span: SPAN,
        cut_delay: 0,
        max_future: None,
        checkpoint_bytes: 700,
        log: LogOptions { segment_bytes: 600, max_pending: 1 << 20, fill_bytes: 256, spares: 2 },
        ..Options::default()
    }
}

/// Every pushed element `t:v` is a sample of one series.
struct Elements;

impl Extract for Elements {
    fn extract(&self, _: &Keyspace, request: &Request<'_>, _: &Effects, _: i64, out: &mut Derived) {
        for element in request.args.iter().skip(2) {
            let text = std::str::from_utf8(element).unwrap();
            let (t, v) = text.split_once(':').unwrap();
            out.samples.push(DerivedSample {
                labels: labels("events"),
                lookback: Some(3_600_000),
                t: t.parse().unwrap(),
                value: v.parse().unwrap(),
                duplicates: Duplicates::NextFree,
            });
        }
    }

    fn hold(&self, _: &Keyspace, _: i64, _: &mut Derived) {}
}

/// What was sent, and how far each thing is acknowledged.
#[derive(Default)]
struct Oracle {
    /// Series and time to value.
    samples: BTreeMap<(String, i64), f64>,
    /// What was deleted, and where that stands in the log once it does.
    deleted: BTreeMap<(String, i64), WalPosition>,
    elements: Vec<String>,
    /// Log end after each thing: samples first, then how many elements there are.
    sent: Vec<(WalPosition, Sent)>,
    written: WalPosition,
    synced: WalPosition,
}

enum Sent {
    Sample((String, i64)),
    Elements(usize),
}

fn labels(name: &str) -> Labels {
    Labels::from_pairs([("__name__", name), ("job", "crash")]).unwrap()
}

fn now_or_never<F: Future>(future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

impl Oracle {
    fn append(&mut self, store: &Store, name: &str, t: i64, v: f64) -> Result<(), AppendError> {
        let value = if name == "h" { histogram(v) } else { Value::Float(v) };
        let samples = vec![Sample { t, start: 0, value }];
        let series = vec![SeriesSamples {
            series: SeriesRef::Labels(labels(name)),
            samples: samples.into(),
        }];
        self.samples.insert((name.to_owned(), t), v);
        let done = store.append(&Batch { series, duplicates: Duplicates::Reject }, t)?;
        assert!(done.rejected.is_empty(), "{:?}", done.rejected);
        self.sent.push((done.position, Sent::Sample((name.to_owned(), t))));
        self.written(store, done.position)
    }

    fn push(&mut self, store: &Store, t: i64, v: f64) -> Result<(), AppendError> {
        let element = format!("{t}:{v}");
        let args: Vec<&[u8]> = vec![b"RPUSH", LIST.as_bytes(), element.as_bytes()];
        let done = store.execute(&Request { db: 0, args: &args }, t, &Elements);
        self.elements.push(element);
        let Some(position) = done.position else {
            return Err(AppendError::Log(format!("{:?}", done.reply)));
        };
        assert_eq!(done.derived_refused, 0);
        self.sent.push((position, Sent::Elements(self.elements.len())));
        self.written(store, position)
    }

    /// Deletes what a series has by now up to `end`.
    fn delete(&mut self, store: &Store, name: &str, end: i64) -> Result<(), AppendError> {
        let meant = |(series, t): &&(String, i64)| series == name && *t <= end;
        let keys: Vec<_> = self.samples.keys().filter(meant).cloned().collect();
        let mut mark = |position| {
            for key in &keys {
                self.deleted.entry(key.clone()).or_insert(position);
            }
        };
        let range = TimeRange::new(0, end).unwrap();
        let done = store.delete(vec![Matcher::equal("__name__", name)], range);
        mark(*done.as_ref().unwrap_or(&WalPosition(u64::MAX)));
        match done {
            Ok(position) => self.written(store, position),
            Err(DeleteError::Log(error)) => Err(error),
            Err(error) => panic!("{error}"),
        }
    }

    fn written(&mut self, store: &Store, position: WalPosition) -> Result<(), AppendError> {
        now_or_never(store.wait(position, Ack::Written)).unwrap()?;
        self.written = self.written.max(position);
        Ok(())
    }

    fn sync(&mut self, store: &Store) -> Result<(), AppendError> {
        self.synced = store.sync()?;
        Ok(())
    }

    /// Everything acknowledged up to `upto` is there, nothing else that was never sent, nothing twice.
    fn check(&self, store: &Store, upto: WalPosition, context: &str) {
        let found = contents(store);
        let elements = list(store);
        for (position, sent) in self.sent.iter().filter(|(p, _)| *p <= upto) {
            match sent {
                Sent::Sample(key) if self.deleted.contains_key(key) => {
                    let gone = self.deleted[key] <= upto;
                    assert!(!gone || !found.contains_key(key), "{context}: {key:?} came back");
                }
                Sent::Sample(key) => assert_eq!(
                    found.get(key).copied(),
                    Some(self.samples[key]),
                    "{context}: {key:?} at {position:?} lost"
                ),
                Sent::Elements(n) => {
                    assert!(elements.len() >= *n, "{context}: elements lost, {elements:?}");
                }
            }
        }
        assert_eq!(elements, self.elements[..elements.len()], "{context}: elements differ");
        let derived: BTreeMap<_, _> = found.iter().filter(|(k, _)| k.0 == "events").collect();
        assert_eq!(derived.len(), elements.len(), "{context}: effects and samples come apart");
        for (key, value) in found.iter().filter(|(k, _)| k.0 != "events") {
            assert_eq!(self.samples.get(key), Some(value), "{context}: {key:?} never sent");
        }
    }
}

fn histogram(v: f64) -> Value {
    Value::Histogram(Arc::new(Histogram {
        reset: CounterReset::Gauge,
        schema: Schema::Hdr(7),
        zero_threshold: 0.0,
        sum: v,
        positive_spans: vec![Span { offset: 100, length: 1 }],
        negative_spans: vec![],
        custom_values: Arc::from([]),
        counts: Counts::Integer { count: 3, zero: 1, positive: vec![2], negative: vec![] },
    }))
}

fn contents(store: &Store) -> BTreeMap<(String, i64), f64> {
    let mut found = BTreeMap::new();
    for series in store.snapshot().select(&[], TimeRange::ALL).unwrap() {
        let mut samples = SampleBuf::default();
        let mut cursor = series.cursor(TimeRange::ALL).unwrap();
        while cursor.next(&mut samples).unwrap() {}
        assert!(samples.t.is_sorted_by(|a, b| a < b), "doubled or out of order: {:?}", samples.t);
        for sample in samples.iter() {
            let value = match &sample.value {
                Value::Float(v) => *v,
                Value::Histogram(h) => h.sum,
            };
            found.insert((series.labels().metric_name().to_owned(), sample.t), value);
        }
    }
    found
}

fn list(store: &Store) -> Vec<String> {
    let args: Vec<&[u8]> = vec![b"LRANGE", LIST.as_bytes(), b"0", b"-1"];
    let reply = store.execute(&Request { db: 0, args: &args }, 0, &Elements).reply;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    match reply {
        Reply::Bulks(packed) => packed.iter().map(text).collect(),
        Reply::Array(replies) => replies
            .iter()
            .map(|r| match r {
                Reply::Bulk(bytes) => text(bytes),
                other => panic!("{other:?}"),
            })
            .collect(),
        other => panic!("{other:?}"),
    }
}

/// Appends in and out of order, pushes, syncs now and then, cuts, checkpoints and closes.
fn workload(store: &Store, oracle: &mut Oracle, from: i64) -> Result<(), AppendError> {
    for i in 0..24_i64 {
        let t = from + i * 1500;
        oracle.append(store, "a", t, i as f64)?;
        oracle.append(store, if i % 2 == 0 { "b" } else { "h" }, t, 0.5 + i as f64)?;
        if i % 5 == 4 {
            // Late, into a range that may be a block already.
            oracle.append(store, "a", t - 4001, -(i as f64))?;
        }
        oracle.push(store, t, i as f64)?;
        oracle.push(store, t, i as f64 + 0.25)?;
        if i % 3 == 0 {
            oracle.sync(store)?;
        }
        if i % 4 == 3 {
            // Ranges are looked at once a minute and cut when quiet for two.
            for minutes in [0, 2, 4] {
                let now = t + minutes * 60_000 + i * 600_000;
                while store.maintain(now).map_err(|e| AppendError::Log(e.to_string()))?.more {}
            }
        }
        if i % 8 == 5 {
            oracle.delete(store, "b", t - 6000)?;
        }
    }
    store.close(from).map_err(|e| AppendError::Log(e.to_string()))?;
    oracle.synced = oracle.written;
    Ok(())
}

fn open(disk: &Arc<SimDisk>) -> Result<Store, String> {
    let disk: Arc<dyn Disk> = Arc::new(Arc::clone(disk));
    Store::open(disk, options(), 0).map_err(|e| e.to_string())
}

/// Runs the workload with faults; what is left and what was promised.
fn run(faults: &[Fault]) -> (Arc<SimDisk>, Oracle, bool) {
    let disk = SimDisk::new();
    faults.iter().for_each(|f| disk.inject(*f));
    let mut oracle = Oracle::default();
    let Ok(store) = open(&disk) else { return (disk, oracle, false) };
    let finished = workload(&store, &mut oracle, 0).is_ok();
    (disk, oracle, finished)
}

#[test]
fn the_workload_exercises_blocks_checkpoints_and_segments() {
    let (disk, oracle, finished) = run(&[]);
    assert!(finished);
    let files: BTreeSet<String> = disk.files().into_iter().map(|(n, _)| n).collect();
    assert!(files.iter().any(|f| f.ends_with(".blk")), "{files:?}");
    assert!(files.iter().any(|f| f.ends_with(".ckp")), "{files:?}");
    let store = open(&disk.after_kill()).unwrap();
    assert_eq!(store.report().records, 0, "a clean close leaves nothing to replay");
    oracle.check(&store, oracle.written, "clean close");
    let series = store.snapshot().select(&[], TimeRange::ALL).unwrap();
    assert_eq!(series.len(), 4);
    let lookback = |name| {
        let found = series.iter().find(|s| s.labels().metric_name() == name);
        found.and_then(|s| s.lookback())
    };
    assert_eq!((lookback("events"), lookback("a")), (Some(3_600_000), None));
}

#[test]
fn nothing_acknowledged_is_lost_at_any_crash_point() {
    let total = run(&[]).0.operations();
    assert!(total > 150, "{total}");
    for at in 0..total {
        let (disk, oracle, finished) = run(&[Fault::CrashAt(at)]);
        assert!(!finished, "crash point {at} was not met");
        let context = format!("kill at operation {at}");
        let killed = disk.after_kill();
        let store = open(&killed).unwrap_or_else(|e| panic!("{context}: {e}"));
        oracle.check(&store, oracle.written, &context);
        drop(store);
        let again = open(&killed.after_kill()).unwrap_or_else(|e| panic!("{context}, again: {e}"));
        oracle.check(&again, oracle.written, &context);
        for seed in 0..6 {
            let seed = at * 1000 + seed;
            let context = format!("power cut at operation {at}, seed {seed}");
            let cut = disk.after_power_cut(seed);
            let store = open(&cut).unwrap_or_else(|e| panic!("{context}: {e}"));
            oracle.check(&store, oracle.synced, &context);
            go_on(&cut, store, &oracle, &context, seed);
        }
    }
}

/// After a recovery the store takes more, survives another cut inside the next recovery, and still
/// has what was promised.
fn go_on(disk: &Arc<SimDisk>, store: Store, oracle: &Oracle, context: &str, seed: u64) {
    let mut more = Oracle::default();
    more.append(&store, "later", 1_000_000, 1.0).unwrap();
    more.sync(&store).unwrap();
    drop(store);
    let cut = disk.after_power_cut(seed ^ 77);
    cut.inject(Fault::CrashAt(seed % 7));
    drop(open(&cut));
    let cut = cut.after_power_cut(seed ^ 99);
    let store = open(&cut).unwrap_or_else(|e| panic!("{context}, then: {e}"));
    assert!(contents(&store).contains_key(&("later".to_owned(), 1_000_000)), "{context}");
    let mut both = Oracle { samples: oracle.samples.clone(), ..Oracle::default() };
    both.samples.extend(more.samples);
    both.elements = oracle.elements.clone();
    both.check(&store, WalPosition(0), context);
    for (position, sent) in &oracle.sent {
        if let Sent::Sample(key) = sent
            && *position <= oracle.synced
            && !oracle.deleted.contains_key(key)
        {
            assert!(contents(&store).contains_key(key), "{context}, then: {key:?} lost");
        }
    }
}

#[test]
fn a_full_disk_loses_nothing_that_was_acknowledged_before_or_after() {
    let total = run(&[]).0.operations();
    for at in (3..total).step_by(3) {
        for crash in [None, Some(at + 9), Some(at + 16), Some(at + 30)] {
            let disk = SimDisk::new();
            disk.inject(Fault::FullFrom(at, 5));
            crash.into_iter().for_each(|at| disk.inject(Fault::CrashAt(at)));
            let Ok(store) = open(&disk) else { continue };
            let mut oracle = Oracle::default();
            let mut rounds = 0;
            // A refused thing may or may not be there; what comes after must be.
            while workload(&store, &mut oracle, 100_000 * rounds).is_err() && rounds < 12 {
                rounds += 1;
                // Ingest is stopped until the disk was seen with room, once without a complaint between.
                for _ in 0..2 {
                    let _ = store.tick(0, &Elements);
                }
            }
            let context = format!("full at operation {at}, crash at {crash:?}");
            assert!(crash.is_some() || rounds < 12, "{context}: the store did not recover");
            drop(store);
            let store = open(&disk.after_kill()).unwrap_or_else(|e| panic!("{context}: {e}"));
            oracle.check(&store, oracle.written, &context);
            let cut = disk.after_power_cut(at);
            let store = open(&cut).unwrap_or_else(|e| panic!("{context}: {e}"));
            oracle.check(&store, oracle.synced, &context);
        }
    }
}

#[test]
fn a_failed_sync_poisons() {
    let total = run(&[]).0.operations();
    let mut poisoned = 0;
    for at in 3..total {
        let disk = SimDisk::new();
        let Ok(store) = open(&disk) else { continue };
        disk.inject(Fault::SyncFailsAt(at));
        let mut oracle = Oracle::default();
        let ended = workload(&store, &mut oracle, 0);
        if let Err(AppendError::Poisoned(_)) = ended {
            poisoned += 1;
            let again = oracle.append(&store, "a", 5_000_000, 1.0);
            assert!(matches!(again, Err(AppendError::Poisoned(_))), "{again:?}");
            assert!(!contents(&store).is_empty(), "reads go on");
        }
        let context = format!("sync failed at operation {at}");
        let store = open(&disk.after_power_cut(at)).unwrap_or_else(|e| panic!("{context}: {e}"));
        oracle.check(&store, oracle.synced, &context);
    }
    assert!(poisoned > 5, "{poisoned}");
}

#[test]
fn damage_in_the_middle_of_the_log_is_refused_with_file_and_offset() {
    let disk = SimDisk::new();
    let store = open(&disk).unwrap();
    let mut oracle = Oracle::default();
    for i in 0..6 {
        oracle.append(&store, "a", i, i as f64).unwrap();
        oracle.sync(&store).unwrap();
    }
    drop(store);
    let disk = disk.after_kill();
    let (segment, _) = disk.files().into_iter().find(|(n, _)| n.starts_with("wal/")).unwrap();
    let len = 32 + oracle.synced.0;
    disk.flip_bit(&segment, 90, 3).unwrap();
    let error = open(&disk).err().unwrap();
    assert!(error.contains(&segment) && error.contains("at byte 32"), "{error}");
    // The same bit back, and one in the last group: that was never known to be synced.
    disk.flip_bit(&segment, 90, 3).unwrap();
    disk.flip_bit(&segment, len - 1, 0).unwrap();
    let store = open(&disk).unwrap();
    let (torn, file) = store.report().torn.clone().unwrap();
    assert!(torn > 32 && file == segment, "{torn} {file}");
    assert_eq!(contents(&store).len(), 5);
}

#[test]
fn an_idle_log_marks_that_all_of_it_is_synced() {
    let disk = SimDisk::new();
    let store = open(&disk).unwrap();
    let mut oracle = Oracle::default();
    oracle.append(&store, "a", 1, 1.0).unwrap();
    oracle.sync(&store).unwrap();
    store.tick(2, &Elements).unwrap();
    let marked = disk.operations();
    store.tick(3, &Elements).unwrap();
    assert_eq!(disk.operations(), marked, "one marker is enough");
    drop(store);
    let disk = disk.after_kill();
    let (segment, _) = disk.files().into_iter().find(|(n, _)| n.starts_with("wal/")).unwrap();
    disk.flip_bit(&segment, 70, 0).unwrap();
    assert!(open(&disk).is_err(), "the only group was synced, so its damage is no torn tail");
}

#[test]
#[should_panic(expected = "lost")]
fn canary_the_oracle_notices_a_lost_sample() {
    let disk = SimDisk::new();
    let store = open(&disk).unwrap();
    let mut oracle = Oracle::default();
    oracle.append(&store, "a", 1, 1.0).unwrap();
    oracle.append(&store, "a", 2, 2.0).unwrap();
    drop(store);
    // Never synced, so seed 0's power cut may take it; claiming otherwise must be noticed.
    let lost = (0..64)
        .map(|seed| disk.after_power_cut(seed))
        .find(|cut| open(cut).is_ok_and(|store| contents(&store).len() < 2));
    oracle.check(&open(&lost.unwrap()).unwrap(), oracle.written, "canary");
}
