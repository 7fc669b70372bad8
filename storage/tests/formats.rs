//! Golden bytes: a directory this release wrote stands in `tests/golden/v1` and must stay readable, and
//! the log and blocks written today must equal it byte for byte. After a deliberate change of a
//! format (with a new version number) run with `RINGWELL_BLESS=1` to write a new directory.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ringwell_storage::append::{Batch, Duplicates, SeriesRef, SeriesSamples};
use ringwell_storage::disk::OsDisk;
use ringwell_storage::keyspace::{Derived, DerivedSample, Effects, Extract, Keyspace, Request};
use ringwell_storage::model::{
    CounterReset, Counts, Histogram, Labels, Matcher, STALE_NAN, Sample, SampleBuf, Schema, Span,
    TimeRange, Value,
};
use ringwell_storage::read::Queryable;
use ringwell_storage::store::{Options, Store};
use ringwell_storage::wal::LogOptions;

const HOUR: i64 = 3_600_000;
const START: i64 = 1_700_000_000_000;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1")
}

fn labels(name: &str) -> Labels {
    Labels::from_pairs([("__name__", name), ("job", "golden"), ("zone", "zürich")]).unwrap()
}

/// Each push is one sample of a series with a lookback of its own.
struct Pushes;

impl Extract for Pushes {
    fn extract(&self, _: &Keyspace, r: &Request<'_>, _: &Effects, now: i64, out: &mut Derived) {
        if r.args[0] == b"LPUSH" {
            out.samples.push(DerivedSample {
                labels: labels("pushes"),
                lookback: Some(HOUR),
                t: now,
                value: 1.0,
                duplicates: Duplicates::NextFree,
            });
        }
    }

    fn hold(&self, _: &Keyspace, _: i64, _: &mut Derived) {}
}

fn histogram(schema: Schema, k: u64) -> Value {
    let custom: &[f64] = if schema == Schema::Custom { &[0.5, 1.0, 5.0] } else { &[] };
    Value::Histogram(Arc::new(Histogram {
        reset: CounterReset::Unknown,
        schema,
        zero_threshold: 0.0,
        sum: k as f64 * 2.5,
        positive_spans: vec![Span { offset: 0, length: 2 }, Span { offset: 1, length: 1 }],
        negative_spans: vec![],
        custom_values: Arc::from(custom),
        counts: Counts::Integer {
            count: 6 * k,
            zero: 0,
            positive: vec![k, 2 * k, 3 * k],
            negative: vec![],
        },
    }))
}

/// No zeros ahead of the log, which would only make the files larger.
fn options() -> Options {
    let log = LogOptions { fill_bytes: 0, ..LogOptions::default() };
    Options { log, ..Options::default() }
}

/// Floats of every coding, histograms of every family, late samples, keys; a block, a checkpoint
/// and a log to replay.
fn write(dir: &Path) {
    let disk = Arc::new(OsDisk::open(dir).unwrap());
    let store = Store::open(disk, options(), START).unwrap();
    let append = |name: &str, t: i64, start: i64, value: Value| {
        let samples = vec![Sample { t, start, value }];
        let series = vec![SeriesSamples {
            series: SeriesRef::Labels(labels(name)),
            samples: samples.into(),
        }];
        let done = store.append(&Batch { series, duplicates: Duplicates::Reject }, t).unwrap();
        assert!(done.rejected.is_empty());
    };
    for i in 0..400_i64 {
        let t = START + i * 15_000;
        append("constant", t, 0, Value::Float(7.25));
        append("decimal", t, 0, Value::Float((i % 90) as f64 / 100.0));
        append("full", t, 0, Value::Float((i as f64).sin()));
        append("counter", t, START - 1000, Value::Float(i as f64 * 3.0));
    }
    for k in 1..20 {
        let t = START + k * 60_000;
        append("exponential", t, 0, histogram(Schema::Exponential(2), k as u64));
        append("custom", t, 0, histogram(Schema::Custom, k as u64));
        append("hdr", t, 0, histogram(Schema::Hdr(10), k as u64));
    }
    append("decimal", START + 7, 0, Value::Float(-0.0));
    append("constant", START + 400 * 15_000, 0, Value::Float(f64::from_bits(STALE_NAN)));
    let command = |line: &str, now: i64| {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let done = store.execute(&Request { db: 0, args: &args }, now, &Pushes);
        assert!(done.position.is_some(), "{:?}", done.reply);
    };
    command("LPUSH list one two", START);
    command("HSET hash f 1 g 2", START);
    command("SADD set a b", START);
    command("SET string value PX 86400000", START);
    for minutes in [600, 603, 606] {
        store.maintain(START + minutes * 60_000).unwrap();
    }
    // What only the log has.
    append("decimal", START + 11 * HOUR, 0, Value::Float(0.25));
    command("LPUSH list three", START + 11 * HOUR);
    let name = Matcher::equal("__name__", "decimal");
    store.delete(vec![name], TimeRange::new(START + 60_000, START + 90_000).unwrap()).unwrap();
    store.sync().unwrap();
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Everything the store holds, as text.
fn dump(dir: &Path) -> String {
    let disk = Arc::new(OsDisk::open(dir).unwrap());
    let store = Store::open(disk, Options::default(), START).unwrap();
    let mut out = String::new();
    for series in store.snapshot().select(&[], TimeRange::ALL).unwrap() {
        let mut samples = SampleBuf::default();
        let mut cursor = series.cursor(TimeRange::ALL).unwrap();
        while cursor.next(&mut samples).unwrap() {}
        out += &format!("{} lookback {:?}\n", series.labels(), series.lookback());
        for sample in samples.iter() {
            let value = match &sample.value {
                Value::Float(v) => format!("{:016x}", v.to_bits()),
                Value::Histogram(h) => format!("{h:?}"),
            };
            out += &format!("  {} {} {value}\n", sample.t, sample.start);
        }
    }
    for line in ["LRANGE list 0 -1", "HGETALL hash", "SMEMBERS set", "GET string"] {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let reply = store.execute(&Request { db: 0, args: &args }, START, &Pushes).reply;
        out += &format!("{line}: {reply:?}\n");
    }
    out
}

#[test]
fn the_golden_directory_opens_and_holds_what_it_held() {
    let scratch = tempfile::tempdir().unwrap();
    if std::env::var_os("RINGWELL_BLESS").is_some() {
        let _ = std::fs::remove_dir_all(golden());
        write(&golden());
        copy(&golden(), &scratch.path().join("bless"));
        std::fs::write(golden().join("../v1.txt"), dump(&scratch.path().join("bless"))).unwrap();
    }
    copy(&golden(), &scratch.path().join("v1"));
    let expected = std::fs::read_to_string(golden().join("../v1.txt")).unwrap();
    assert_eq!(dump(&scratch.path().join("v1")), expected);
}

#[test]
fn the_log_and_the_blocks_are_written_as_they_were() {
    let scratch = tempfile::tempdir().unwrap();
    write(scratch.path());
    let mut compared = 0;
    for dir in ["wal", "blocks"] {
        for entry in std::fs::read_dir(golden().join(dir)).unwrap() {
            let name = entry.unwrap().file_name();
            let golden = std::fs::read(golden().join(dir).join(&name)).unwrap();
            let now = std::fs::read(scratch.path().join(dir).join(&name)).unwrap();
            assert!(now == golden, "{dir}/{name:?} is written differently: a new format version?");
            compared += 1;
        }
    }
    assert!(compared >= 2, "{compared}");
}

#[test]
fn a_newer_format_is_refused_by_number_and_left_alone() {
    for (file, at) in [("MANIFEST", 8), ("wal", 8)] {
        let scratch = tempfile::tempdir().unwrap();
        copy(&golden(), scratch.path());
        let path = if file == "wal" {
            let mut names: Vec<_> = std::fs::read_dir(scratch.path().join(file))
                .unwrap()
                .map(|e| e.unwrap().path())
                .collect();
            names.sort();
            names.remove(0)
        } else {
            scratch.path().join(file)
        };
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[at] = 9;
        if file == "MANIFEST" {
            let crc = crc32c::crc32c(&bytes[..12]);
            bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        } else {
            let crc = crc32c::crc32c(&bytes[..28]);
            bytes[28..32].copy_from_slice(&crc.to_le_bytes());
        }
        std::fs::write(&path, &bytes).unwrap();
        let disk = Arc::new(OsDisk::open(scratch.path()).unwrap());
        let error = Store::open(disk, Options::default(), START).err().unwrap().to_string();
        assert!(error.contains('9') && error.contains("this release reads up to 1"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
}

#[test]
fn a_flipped_bit_in_a_block_is_refused_and_the_rest_serves() {
    let name =
        std::fs::read_dir(golden().join("blocks")).unwrap().next().unwrap().unwrap().file_name();
    let len = std::fs::metadata(golden().join("blocks").join(&name)).unwrap().len();
    for byte in (0..len).step_by(211) {
        let scratch = tempfile::tempdir().unwrap();
        copy(&golden(), scratch.path());
        let path = scratch.path().join("blocks").join(&name);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[byte as usize] ^= 4;
        std::fs::write(&path, &bytes).unwrap();
        let disk = Arc::new(OsDisk::open(scratch.path()).unwrap());
        let store = Store::open(disk, Options::default(), START).unwrap();
        let mut errors = store.report().refused_blocks.len();
        for series in store.snapshot().select(&[], TimeRange::ALL).unwrap() {
            let mut samples = SampleBuf::default();
            let mut cursor = series.cursor(TimeRange::ALL).unwrap();
            loop {
                match cursor.next(&mut samples) {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(_) => {
                        errors += 1;
                        break;
                    }
                }
            }
        }
        assert!(errors > 0, "byte {byte}: a flipped bit went unnoticed");
    }
}
