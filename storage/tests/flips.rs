//! One flipped bit anywhere in the live bytes of a directory: it is found, no answer is wrong, and after a repair
//! all is served that it did not take away. `RINGWELL_BIT_FLIPS=10000` runs longer, `RINGWELL_FIRST_SEED`
//! elsewhere. What a bit does to the catalogue is in `catalog.rs`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use ringwell_storage::append::{Batch, SeriesRef, SeriesSamples};
use ringwell_storage::block::Block;
use ringwell_storage::disk::{Disk, MemDisk, OsDisk};
use ringwell_storage::keyspace::{Derived, Effects, Extract, Keyspace, Request};
use ringwell_storage::model::{
    CounterReset, Counts, Histogram, Labels, Sample, SampleBuf, Schema, Span, TimeRange, Value,
    WalPosition,
};
use ringwell_storage::read::Queryable;
use ringwell_storage::store::{Ack, Options, Store};
use ringwell_storage::tools::{repair, verify};
use ringwell_storage::wal::LogOptions;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
/// A segment's header.
const HEADER: u64 = 32;

fn options() -> Options {
    Options {
        ring_samples: 16,
        block_span: 20 * MINUTE,
        cut_delay: 0,
        max_future: None,
        log: LogOptions { segment_bytes: 3000, fill_bytes: 1000, ..LogOptions::default() },
        ..Options::default()
    }
}

struct NoSamples;

impl Extract for NoSamples {
    fn extract(&self, _: &Keyspace, _: &Request<'_>, _: &Effects, _: i64, _: &mut Derived) {}
    fn hold(&self, _: &Keyspace, _: i64, _: &mut Derived) {}
}

type Key = (String, i64);

/// What a store answers.
#[derive(Clone, Debug, Default, PartialEq)]
struct Answers {
    samples: BTreeMap<Key, String>,
    /// Aggregates of an hour, where there are any.
    rollups: BTreeMap<Key, String>,
    keys: BTreeMap<&'static str, String>,
    /// Series that could not be read.
    errors: usize,
}

const COMMANDS: [&str; 4] = ["LRANGE list 0 -1", "HGETALL hash", "ZRANGE zset 0 -1", "GET text"];

impl Answers {
    fn of(store: &Store) -> Answers {
        let mut answers = Answers::default();
        for series in store.snapshot().select(&[], TimeRange::ALL).unwrap() {
            let name = series.labels().to_string();
            let mut samples = SampleBuf::default();
            let read = series.cursor(TimeRange::ALL).and_then(|mut cursor| {
                while cursor.next(&mut samples)? {}
                series.aggregates(TimeRange::new(0, 30 * HOUR - 1).unwrap(), HOUR)
            });
            answers.errors += usize::from(read.is_err());
            for sample in samples.iter() {
                let spelled = match &sample.value {
                    Value::Float(v) => format!("{:x}", v.to_bits()),
                    Value::Histogram(h) => format!("{h:?}"),
                };
                answers.samples.insert((name.clone(), sample.t), spelled);
            }
            for row in read.ok().flatten().into_iter().flatten() {
                answers.rollups.insert((name.clone(), row.start), format!("{row:?}"));
            }
        }
        for line in COMMANDS {
            let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            let reply = store.execute(&Request { db: 0, args: &args }, 0, &NoSamples).reply;
            answers.keys.insert(line, format!("{reply:?}"));
        }
        answers
    }

    /// Nothing here that `truth` does not say; a stretch may lack samples only where some are missing.
    fn check(&self, truth: &Answers) -> Result<(), String> {
        for (key, value) in &self.samples {
            match truth.samples.get(key) {
                Some(true_value) if true_value == value => {}
                other => return Err(format!("{key:?} is {value}, not {other:?}")),
            }
        }
        let whole = self.samples.len() == truth.samples.len();
        match self.rollups.iter().find(|(key, row)| whole && truth.rollups.get(key) != Some(*row)) {
            Some(wrong) => Err(format!("{wrong:?} is wrong")),
            None => Ok(()),
        }
    }

    fn lacks<'a>(&'a self, truth: &'a Answers) -> impl Iterator<Item = &'a Key> {
        truth.samples.keys().filter(|key| !self.samples.contains_key(*key))
    }
}

/// A directory as its node left it, and what is known of it.
struct Directory {
    files: Vec<(String, Vec<u8>)>,
    truth: Answers,
    /// Live bytes of each file.
    live: Vec<(String, Range<u64>)>,
    /// The log up to here was said to be synced.
    durable: u64,
    /// Samples that only the log has.
    logged: BTreeSet<Key>,
}

fn histogram(k: u64) -> Value {
    Value::Histogram(Arc::new(Histogram {
        reset: CounterReset::Unknown,
        schema: Schema::Exponential(3),
        zero_threshold: 0.001,
        sum: k as f64 * 0.5,
        positive_spans: vec![Span { offset: -2, length: 2 }],
        negative_spans: vec![],
        custom_values: Arc::from([]),
        counts: Counts::Integer {
            count: 4 + 3 * k,
            zero: 1,
            positive: vec![k + 3, 2 * k],
            negative: vec![],
        },
    }))
}

fn append(store: &Store, t: i64) {
    let one = |i: i64| {
        let name = ["counter", "gauge", "steady", "histogram"][i as usize % 4];
        let value = match i % 4 {
            0 => Value::Float((t / 1000) as f64),
            1 => Value::Float((t as f64).sin()),
            2 => Value::Float(7.0),
            _ => histogram((t / MINUTE) as u64),
        };
        let host = format!("host-{}", i / 4);
        let labels = Labels::from_pairs([("__name__", name), ("host", &host)]).unwrap();
        let samples = [Sample { t, start: 0, value }].into();
        SeriesSamples { series: SeriesRef::Labels(labels), samples }
    };
    let series: Vec<_> = (0..12).map(one).collect();
    let done = store.append(&Batch { series, ..Batch::default() }, t).unwrap();
    assert_eq!(done.accepted, 12);
    written(store, done.position);
}

fn command(store: &Store, line: &str) {
    let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    let done = store.execute(&Request { db: 0, args: &args }, 0, &NoSamples);
    written(store, done.position.unwrap());
}

fn written(store: &Store, position: WalPosition) {
    let wait = std::pin::pin!(store.wait(position, Ack::Written));
    assert!(matches!(wait.poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(()))));
}

fn settle(store: &Store, now: i64) {
    for minutes in [0, 3, 6] {
        while store.maintain(now + minutes * MINUTE).unwrap().more {}
    }
}

impl Directory {
    /// Merged blocks and small ones, a checkpoint with samples and keys, a log of several segments above
    /// it, and groups after the last word on what is synced.
    fn new() -> Directory {
        let dir = tempfile::tempdir().unwrap();
        let disk = Arc::new(OsDisk::open(dir.path()).unwrap());
        let store = Store::open(disk, options(), 0).unwrap();
        for i in 0..480 {
            append(&store, i * MINUTE / 4);
            if i % 80 == 79 {
                settle(&store, i * MINUTE / 4 + 20 * MINUTE);
            }
        }
        for line in ["RPUSH list a b c", "HSET hash f 1 g 2", "ZADD zset 1 x 2 y", "SET text t"] {
            command(&store, line);
        }
        let begin = 10 * HOUR;
        (0..20).for_each(|i| append(&store, begin + i * MINUTE));
        store.close(begin).unwrap();
        drop(store);
        let store = Store::open(Arc::new(OsDisk::open(dir.path()).unwrap()), options(), 0).unwrap();
        let checkpointed = Answers::of(&store);
        for i in 20..40 {
            append(&store, begin + i * MINUTE);
            command(&store, &format!("RPUSH list {i}"));
        }
        store.sync().unwrap();
        store.tick(begin, &NoSamples).unwrap();
        let durable = store.stats().log_synced;
        (40..43).for_each(|i| append(&store, begin + i * MINUTE));
        let truth = Answers::of(&store);
        let end = store.stats().log_end;
        drop(store);
        let logged = checkpointed.lacks(&truth).cloned().collect();
        let files = read(dir.path());
        let live = live(&files, end);
        Directory { files, truth, live, durable, logged }
    }

    fn image(&self, damaged: &str, byte: u64, bit: u8) -> Arc<MemDisk> {
        let disk = MemDisk::new();
        for (path, bytes) in &self.files {
            let mut bytes = bytes.clone();
            if path == damaged {
                bytes[byte as usize] ^= 1 << bit;
            }
            disk.put(path, bytes);
        }
        Arc::new(disk)
    }
}

fn read(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut add = |path: String| files.push((path.clone(), std::fs::read(dir.join(path)).unwrap()));
    add("MANIFEST".to_owned());
    for sub in ["blocks", "checkpoints", "wal"] {
        for entry in std::fs::read_dir(dir.join(sub)).unwrap() {
            add(format!("{sub}/{}", entry.unwrap().file_name().to_str().unwrap()));
        }
    }
    files.sort();
    files
}

/// All of blocks, checkpoint and manifest; of the log what stands before each segment's end.
fn live(files: &[(String, Vec<u8>)], end: u64) -> Vec<(String, Range<u64>)> {
    let mut live: Vec<(String, Range<u64>)> = Vec::new();
    let bases: Vec<u64> = files.iter().filter_map(|(path, _)| base(path)).collect();
    for (path, bytes) in files {
        match base(path) {
            Some(base) => {
                let next = bases.iter().find(|b| **b > base).copied().unwrap_or(end);
                live.push((path.clone(), 0..HEADER + next - base));
            }
            None if path.ends_with(".spare") => {}
            None => live.push((path.clone(), 0..bytes.len() as u64)),
        }
    }
    live
}

/// The position at which a segment begins.
fn base(path: &str) -> Option<u64> {
    u64::from_str_radix(path.strip_prefix("wal/")?.strip_suffix(".log")?, 16).ok()
}

/// What the flips came to.
#[derive(Debug, Default)]
struct Tally {
    refused: u64,
    block_set_aside: u64,
    found_when_read: u64,
    mended: u64,
    torn: u64,
    torn_bytes: u64,
}

/// A start that finds the damage or a read that does, and nothing wrong.
fn start(directory: &Directory, disk: &Arc<MemDisk>, tally: &mut Tally) -> Result<bool, String> {
    let opened: Arc<dyn Disk> = Arc::clone(disk) as _;
    let Ok(store) = Store::open(opened, options(), 0) else {
        tally.refused += 1;
        return Ok(true);
    };
    let answers = Answers::of(&store);
    answers.check(&directory.truth)?;
    let report = store.report();
    if let Some((bytes, _)) = &report.torn {
        tally.torn += 1;
        tally.torn_bytes += bytes;
    } else if !report.refused_blocks.is_empty() {
        tally.block_set_aside += 1;
    } else if report.mended.is_some() {
        tally.mended += 1;
    } else if answers.errors > 0 {
        tally.found_when_read += 1;
    } else {
        return Err("neither the start nor a read found it".to_owned());
    }
    if report.torn.is_none() && answers.keys != directory.truth.keys {
        return Err(format!("keys are {:?}", answers.keys));
    }
    Ok(false)
}

/// What a repair may cost: what lay in the damaged place and nothing else.
fn after_repair(directory: &Directory, path: &str, disk: &Arc<MemDisk>) -> Result<(), String> {
    let done = repair::repair(&**disk).map_err(|e| format!("no repair: {e}"))?;
    if done.is_empty() || disk.list(repair::QUARANTINE).unwrap().is_empty() {
        return Err(format!("repair did nothing: {done:?}"));
    }
    let found = verify::verify(&**disk).map_err(|e| e.to_string())?;
    if !found.damage.is_empty() {
        return Err(format!("after repair: {:?}", found.damage));
    }
    let opened: Arc<dyn Disk> = Arc::clone(disk) as _;
    let store = Store::open(opened, options(), 0).map_err(|e| format!("after repair: {e}"))?;
    let answers = Answers::of(&store);
    answers.check(&directory.truth)?;
    let block = path.strip_prefix("blocks/").and_then(|name| name.strip_suffix(".blk"));
    let in_block = block.map(|hex| {
        let whole = directory.image("", 0, 0);
        Block::open(&*whole, u64::from_str_radix(hex, 16).unwrap()).unwrap().range()
    });
    let may_lack = |key: &Key| match in_block {
        Some(range) => range.contains(key.1),
        None if path.starts_with("checkpoints/") => key.1 >= 10 * HOUR,
        None => base(path).is_some() && directory.logged.contains(key),
    };
    match answers.lacks(&directory.truth).find(|key| !may_lack(key)) {
        Some(key) => Err(format!("{key:?} is lost after the repair: {done:?}")),
        None if answers.errors > 0 => Err("a read fails after the repair".to_owned()),
        None => Ok(()),
    }
}

fn flip(
    directory: &Directory,
    path: &str,
    byte: u64,
    bit: u8,
    tally: &mut Tally,
) -> Result<(), String> {
    let disk = directory.image(path, byte, bit);
    let found = verify::verify(&*disk).map_err(|e| e.to_string())?;
    if found.damage.is_empty() && found.torn.is_none() {
        return Err("verify does not find it".to_owned());
    }
    let was_refused = start(directory, &directory.image(path, byte, bit), tally)?;
    if let Some(base) = base(path) {
        let below = base + byte.saturating_sub(HEADER) < directory.durable;
        if below != was_refused {
            return Err(format!("below the durable end: {below}, start refused: {was_refused}"));
        }
    }
    if found.damage.is_empty() { Ok(()) } else { after_repair(directory, path, &disk) }
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Half of the flips fall on a byte of all, half on a byte of any file.
fn flips(directory: &Directory, count: u64) -> Result<Tally, String> {
    let mut tally = Tally::default();
    let mut random =
        variable("RINGWELL_FIRST_SEED").unwrap_or(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut below = |bound: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random.wrapping_mul(0x2545_f491_4f6c_dd1d) % bound
    };
    let total: u64 = directory.live.iter().map(|(_, range)| range.end).sum();
    for number in 0..count {
        let (mut place, mut at) = (0, 0);
        if number % 2 == 0 {
            place = below(directory.live.len() as u64) as usize;
            at = below(directory.live[place].1.end);
        } else {
            let mut left = below(total);
            while left >= directory.live[place].1.end {
                left -= directory.live[place].1.end;
                place += 1;
            }
            at += left;
        }
        let (path, bit) = (&directory.live[place].0, below(8) as u8);
        flip(directory, path, at, bit, &mut tally)
            .map_err(|what| format!("flip {number}, bit {bit} of byte {at} of {path}: {what}"))?;
    }
    Ok(tally)
}

#[test]
fn every_flipped_bit_is_found_and_costs_no_more_than_its_place() {
    let directory = Directory::new();
    assert!(directory.files.iter().filter(|(path, _)| path.ends_with(".blk")).count() >= 2);
    assert!(directory.files.iter().filter(|(path, _)| base(path).is_some()).count() >= 3);
    assert!(!directory.truth.rollups.is_empty() && directory.truth.errors == 0);
    let count = variable("RINGWELL_BIT_FLIPS").unwrap_or(200);
    let tally = flips(&directory, count).unwrap_or_else(|what| panic!("{what}"));
    let Tally { torn, torn_bytes, .. } = tally;
    println!(
        "{count} flips: {tally:?}; {torn} cut {torn_bytes} bytes above what was said to be synced"
    );
    assert!(tally.refused > 0 && tally.torn > 0 && tally.mended > 0 && tally.block_set_aside > 0);
}

/// Without its manifest a directory is no new store, and a new manifest brings all of it back.
#[test]
fn a_manifest_that_is_gone_is_made_anew() {
    let directory = Directory::new();
    for damage in ["gone", "both copies", "cut short"] {
        let image = || {
            let disk = directory.image("", 0, 0);
            let mut bytes =
                directory.files.iter().find(|(path, _)| path == "MANIFEST").unwrap().1.clone();
            let half = bytes.len() / 2;
            match damage {
                "gone" => disk.remove("MANIFEST").unwrap(),
                "both copies" => {
                    bytes[26] ^= 1;
                    bytes[half + 3] ^= 1;
                    disk.put("MANIFEST", bytes);
                }
                _ => disk.put("MANIFEST", bytes[..30].to_vec()),
            }
            disk
        };
        let (disk, files) = (image(), directory.files.len());
        let error = Store::open(Arc::clone(&disk) as _, options(), 0).err().unwrap().to_string();
        assert!(error.contains("MANIFEST"), "{damage}: {error}");
        let left = ["blocks", "checkpoints", "wal"].map(|dir| disk.list(dir).unwrap().len());
        assert_eq!(left.iter().sum::<usize>(), files - 1, "{damage}: the start removed something");
        assert_eq!(verify::verify(&*disk).unwrap().damage.len(), 1, "{damage}");
        let done = repair::repair(&*disk).unwrap();
        assert!(done.len() == 1 && done[0].contains("made anew"), "{damage}: {done:?}");
        let store = Store::open(Arc::clone(&disk) as _, options(), 0).unwrap();
        assert_eq!(Answers::of(&store), directory.truth, "{damage}");
        // It goes on like any other.
        append(&store, 20 * HOUR);
        store.sync().unwrap();
        let all = Answers::of(&store);
        settle(&store, 30 * HOUR);
        store.close(0).unwrap();
        drop(store);
        let store = Store::open(disk, options(), 0).unwrap();
        assert_eq!(Answers::of(&store).samples, all.samples, "{damage}");
    }
}

#[cfg(feature = "mutants")]
mod mutants {
    use super::*;
    use ringwell_storage::mutants::{Mutant, plant};

    /// Bugs that only a flipped bit shows.
    #[test]
    fn every_planted_bug_is_found() {
        std::panic::set_hook(Box::new(|_| {}));
        for mutant in [
            Mutant::ChecksumSkipsHeader,
            Mutant::ChecksumSkipsEnd,
            Mutant::ServeUnchecked,
            Mutant::CutDamage,
        ] {
            // Before the directory is made, for its checksums are the bug's.
            plant(Some(mutant));
            let found = std::panic::catch_unwind(|| flips(&Directory::new(), 1000).err());
            plant(None);
            let what = found.unwrap_or_else(|_| Some("a panic".to_owned()));
            assert!(what.is_some(), "{mutant:?} is not found");
            println!("{mutant:?}: {}", what.unwrap_or_default());
        }
    }
}
