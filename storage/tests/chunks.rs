//! Runs of list-fed series in files of chunks: they read the same, over restarts, deletions and cuts, and go
//! when nothing needs them; damage is told and set aside. And what a burst leaves of the log.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use ringwell_storage::append::Duplicates;
use ringwell_storage::disk::{Disk, SimDisk};
use ringwell_storage::keyspace::{Derived, DerivedSample, Effects, Extract, Keyspace, Request};
use ringwell_storage::model::{Labels, Matcher, SampleBuf, TimeRange};
use ringwell_storage::read::{Queryable, ReadError};
use ringwell_storage::store::{Options, Store};
use ringwell_storage::tools::{repair, verify};

const MINUTE: i64 = 60_000;

fn options() -> Options {
    let span = 60 * MINUTE;
    Options { ring_samples: 4, block_span: span, cut_delay: 0, ..Options::default() }
}

fn open(disk: &Arc<SimDisk>) -> Store {
    try_open(disk).unwrap()
}

fn try_open(disk: &Arc<SimDisk>) -> Result<Store, String> {
    let disk: Arc<dyn Disk> = Arc::new(Arc::clone(disk));
    Store::open(disk, options(), 0).map_err(|e| e.to_string())
}

/// Every element `t:v` of a list is a sample of the list's series.
struct Elements;

impl Extract for Elements {
    fn extract(&self, _: &Keyspace, request: &Request<'_>, _: &Effects, _: i64, out: &mut Derived) {
        for element in request.args.iter().skip(2) {
            let (t, v) = std::str::from_utf8(element).unwrap().split_once(':').unwrap();
            let key = std::str::from_utf8(request.args[1]).unwrap();
            out.samples.push(DerivedSample {
                labels: Labels::from_pairs([("__name__", key)]).unwrap(),
                lookback: Some(MINUTE),
                t: t.parse().unwrap(),
                value: v.parse().unwrap(),
                duplicates: Duplicates::NextFree,
            });
        }
    }

    fn hold(&self, _: &Keyspace, _: i64, _: &mut Derived) {}
}

struct NoSamples;

impl Extract for NoSamples {
    fn extract(&self, _: &Keyspace, _: &Request<'_>, _: &Effects, _: i64, _: &mut Derived) {}

    fn hold(&self, _: &Keyspace, _: i64, _: &mut Derived) {}
}

/// Pushes samples, one a second, of two lists.
fn push(store: &Store, seconds: std::ops::Range<i64>) {
    for s in seconds {
        for key in ["a", "b"] {
            let element = format!("{}:{}", s * 1000, s * 7 % 1013);
            let args: [&[u8]; 3] = [b"RPUSH", key.as_bytes(), element.as_bytes()];
            store.execute(&Request { db: 0, args: &args }, s * 1000, &Elements);
        }
    }
    store.sync().unwrap();
}

type Contents = BTreeMap<(String, i64), u64>;

fn read(store: &Store) -> Result<Contents, ReadError> {
    let mut found = BTreeMap::new();
    for series in store.snapshot().select(&[], TimeRange::ALL)? {
        let (name, mut samples) = (series.labels().to_string(), SampleBuf::default());
        let mut cursor = series.cursor(TimeRange::ALL)?;
        while cursor.next(&mut samples)? {}
        let values = samples.t.iter().zip(&samples.v);
        found.extend(values.map(|(t, v)| ((name.clone(), *t), v.to_bits())));
    }
    Ok(found)
}

fn files(disk: &Arc<SimDisk>, dir: &str) -> Vec<String> {
    let all = disk.files().into_iter().map(|(name, _)| name);
    all.filter(|name| name.starts_with(dir)).collect()
}

fn maintain(store: &Store, minutes: i64) {
    for later in [0, 3, 6] {
        while store.maintain((minutes + later) * MINUTE).unwrap().more {}
    }
}

#[test]
fn runs_in_files_read_the_same_until_a_block_has_them() {
    let disk = SimDisk::new();
    let store = open(&disk);
    push(&store, 0..1000);
    let before = read(&store).unwrap();
    assert_eq!(before.len(), 2000);
    assert_eq!(files(&disk, "chunks/"), ["chunks/0000000000000001.chk"]);
    let told = store.stats().chunk_files;
    let size = disk.files().into_iter().find(|(name, _)| name.starts_with("chunks/")).unwrap().1;
    assert_eq!((told.files, told.bytes, told.refused), (1, size, 0));
    store.close(1_000_000).unwrap();
    drop(store);

    let disk = disk.after_power_cut(1);
    let store = open(&disk);
    assert_eq!(read(&store).unwrap(), before);
    assert!(verify::verify(&disk).unwrap().damage.is_empty());
    push(&store, 1000..1200);
    assert_eq!(files(&disk, "chunks/").len(), 2, "an opening writes files of its own");
    let gone = TimeRange::new(100_000, 199_999).unwrap();
    store.delete(vec![Matcher::equal("__name__", "a")], gone).unwrap();
    let rest = read(&store).unwrap();
    assert_eq!(rest.len(), 2300);

    maintain(&store, 70);
    assert_eq!(store.snapshot().select(&[], TimeRange::ALL).unwrap().len(), 2);
    assert_eq!(read(&store).unwrap(), rest);
    assert_eq!(files(&disk, "chunks/"), [""; 0], "a block has them all");
    assert_eq!(store.stats().chunk_files.files, 0);
    drop(store);
    assert_eq!(read(&open(&disk.after_power_cut(1))).unwrap(), rest);
}

#[test]
fn a_file_stays_while_the_live_checkpoint_needs_it() {
    let disk = SimDisk::new();
    let store = open(&disk);
    push(&store, 0..1000);
    push(&store, 18_000..19_000);
    let early = TimeRange::new(0, 1_000_000).unwrap();
    let before = read(&store).unwrap().into_iter().filter(|((_, t), _)| early.contains(*t));
    let before = before.collect::<Contents>();
    let reader = store.snapshot();
    maintain(&store, 70);
    assert_eq!(files(&disk, "blocks/").len(), 1);
    // What the cut took out of memory waits for the reader; the rest is only in the checkpoint from now on.
    let rest = TimeRange::new(18_000_000, 19_000_000).unwrap();
    store.delete(vec![Matcher::equal("__name__", "a")], rest).unwrap();
    store.delete(vec![Matcher::equal("__name__", "b")], rest).unwrap();
    store.sync().unwrap();
    drop(reader);
    while store.maintain(80 * MINUTE).unwrap().more {}
    assert_eq!(read(&store).unwrap(), before);
    drop(store);
    assert_eq!(read(&open(&disk.after_kill())).unwrap(), before);
}

#[test]
fn a_damaged_file_is_told_and_set_aside() {
    let disk = SimDisk::new();
    let store = open(&disk);
    push(&store, 0..1000);
    store.close(1_000_000).unwrap();
    let path = files(&disk, "chunks/").pop().unwrap();
    let file = disk.open(&path).unwrap();
    let mut byte = [0];
    file.read_at(&mut byte, 40).unwrap();
    file.write_at(&[byte[0] ^ 4], 40).unwrap();

    let told = read(&store).unwrap_err().to_string();
    assert!(told.starts_with("chunks/0000000000000001.chk is damaged at byte "), "{told}");
    drop(store);
    let told = try_open(&disk).err().unwrap();
    assert!(told.starts_with("chunks/0000000000000001.chk is damaged at byte "), "{told}");
    assert_eq!(verify::verify(&disk).unwrap().damage, [told]);
    let done = repair::repair(&disk).unwrap();
    assert!(done.iter().any(|line| line.contains("chunks/0000000000000001.chk")), "{done:?}");
    let aside = files(&disk, "quarantine/");
    assert!(aside.iter().any(|name| name.contains(".chk")), "{aside:?}");
    open(&disk);
}

#[test]
fn a_burst_leaves_no_log_behind() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let log = || -> u64 {
        let size = |name: &String| disk.open(name).unwrap().size().unwrap();
        files(&disk, "wal/").iter().map(size).sum()
    };
    for s in 0..60 {
        let elements: Vec<_> = (0..3000).map(|n| format!("{}:{n}", s * 3000 + n)).collect();
        let mut args: Vec<&[u8]> = vec![b"RPUSH", b"a"];
        args.extend(elements.iter().map(String::as_bytes));
        store.execute(&Request { db: 0, args: &args }, s * 3000, &Elements);
        store.sync().unwrap();
        if s % 10 == 9 {
            while store.maintain(s * 3000).unwrap().more {}
        }
    }
    let (before, taken) = (read(&store).unwrap(), store.stats().checkpoints);
    assert!(log() > 1 << 20, "{}", log());
    assert_eq!(taken, 0, "it is no lull while much comes");
    while store.maintain(190_000).unwrap().more {}
    // What is held is written right before maintenance, and not in the file yet.
    let args: [&[u8]; 3] = [b"SET", b"text", b"1"];
    store.execute(&Request { db: 0, args: &args }, 200_000, &NoSamples);
    while store.maintain(201_000).unwrap().more {}
    assert_eq!(store.stats().checkpoints, 1);
    assert!(log() < 1000, "{}", log());
    while store.maintain(300_000).unwrap().more {}
    assert_eq!(store.stats().checkpoints, 1, "nothing came since");
    push(&store, 300..301);
    drop(store);
    let store = open(&disk.after_power_cut(1));
    assert_eq!(read(&store).unwrap().len(), before.len() + 2);
}

/// The checkpoint that a burst's size asks for may come right before its end.
#[test]
fn a_burst_that_ends_behind_a_checkpoint_leaves_no_log_behind() {
    let disk = SimDisk::new();
    let options = Options { checkpoint_bytes: 2 << 20, ..options() };
    let opened: Arc<dyn Disk> = Arc::new(Arc::clone(&disk));
    let store = Store::open(opened, options, 0).unwrap();
    let log = || -> u64 {
        let size = |name: &String| disk.open(name).unwrap().size().unwrap();
        files(&disk, "wal/").iter().map(size).sum()
    };
    let text = "x".repeat(100_000);
    let args: [&[u8]; 3] = [b"SET", b"text", text.as_bytes()];
    let mut now = 0;
    while store.stats().checkpoints == 0 {
        store.execute(&Request { db: 0, args: &args }, now, &NoSamples);
        store.sync().unwrap();
        while store.maintain(now).unwrap().more {}
        now += 3000;
    }
    assert!(log() > 2 << 20, "{}", log());
    // Two looks: the first sees the burst's end.
    for _ in 0..2 {
        now += 10_000;
        while store.maintain(now).unwrap().more {}
    }
    assert_eq!(store.stats().checkpoints, 2);
    assert!(log() < 1000, "{}", log());
    for _ in 0..3 {
        now += 10_000;
        while store.maintain(now).unwrap().more {}
    }
    assert_eq!(store.stats().checkpoints, 2, "nothing came since");
}
