//! A disk that is full, fails or lies: what is acknowledged in spite of it is there, what is damaged is
//! found, and nothing panics or answers with a wrong value.

use std::sync::Arc;

use ringwell_storage::disk::{Disk, Fault, SimDisk};
use ringwell_storage::tools::{repair, verify};

use crate::Violation;
use crate::oracle::{Oracle, Safe};
use crate::workload::{Run, open};

const STEPS: u64 = 60;

fn run_with(seed: u64, fault: Fault) -> (Run, Result<(), String>) {
    let disk = SimDisk::new();
    disk.inject(fault);
    let mut run = Run::new(disk, Oracle::default(), seed, 1_000_000);
    let ended = run.steps(STEPS);
    (run, ended)
}

fn operations(seed: u64) -> u64 {
    let mut run = Run::new(SimDisk::new(), Oracle::default(), seed, 1_000_000);
    run.steps(STEPS).unwrap();
    run.disk.operations()
}

/// Every place for the fault `of` makes; the store must keep what it acknowledged in spite of it.
fn keeps_promises(seed: u64, step: usize, of: impl Fn(u64) -> Fault) -> Result<u64, Violation> {
    let mut points = 0;
    for at in (0..operations(seed)).step_by(step) {
        let (mut run, _) = run_with(seed, of(at));
        // The same process goes on, or, poisoned, says so.
        let _ = run.finish();
        let ends = run.disk.operations();
        let images =
            [(run.disk.after_kill(), Safe::Synced), (run.disk.after_power_cut(at), Safe::Synced)];
        for (image, safe) in images {
            points += 1;
            let opened = open(&image).and_then(|store| run.oracle.check(&store, ends, safe));
            opened.map_err(|e| Violation(format!("SEED={seed} {:?}: {e}", of(at))))?;
        }
    }
    Ok(points)
}

pub(crate) fn full_disks(seed: u64) -> Result<u64, Violation> {
    keeps_promises(seed, 2, |at| Fault::FullFrom(at, 1 + at % 7))
}

pub(crate) fn too_many_files(seed: u64) -> Result<u64, Violation> {
    keeps_promises(seed, 2, |at| Fault::NoHandlesFrom(at, 1 + at % 9))
}

pub(crate) fn failed_syncs(seed: u64) -> Result<u64, Violation> {
    keeps_promises(seed, 1, Fault::SyncFailsAt)
}

/// A start that is refused, damage that is named, or what was sent: nothing else.
fn never_wrong(image: &Arc<SimDisk>, oracle: &Oracle, context: &str) -> Result<(), Violation> {
    let Ok(store) = open(image) else { return Ok(()) };
    // Losing is possible here, for the disk itself lost; the check for invented things stands.
    let nothing_promised = Oracle { sent: Vec::new(), ..oracle.clone() };
    match nothing_promised.check(&store, 0, Safe::Synced) {
        Err(what) if what.contains("never sent") || what.contains("out of order") => {
            Err(Violation(format!("{context}: {what}")))
        }
        _ => Ok(()),
    }
}

pub(crate) fn lying_disks(seed: u64) -> Result<u64, Violation> {
    let mut points = 0;
    for at in (0..operations(seed)).step_by(2) {
        for fault in [Fault::LostWriteAt(at), Fault::MisdirectedWriteAt(at)] {
            let (run, _) = run_with(seed, fault);
            points += 1;
            let image = run.disk.after_power_cut(at);
            never_wrong(&image, &run.oracle, &format!("SEED={seed} {fault:?}"))?;
        }
    }
    Ok(points)
}

/// One bit anywhere: found, or without any effect on what is acknowledged.
pub(crate) fn flipped_bits(seed: u64, flips: u64) -> Result<u64, Violation> {
    let mut run = Run::new(SimDisk::new(), Oracle::default(), seed, 1_000_000);
    run.steps(STEPS).unwrap();
    run.finish().unwrap();
    let ends = run.disk.operations();
    for flip in 0..flips {
        let image = run.disk.after_kill();
        let files = image.files();
        let (path, size) = &files[run.random.below(files.len() as u64) as usize];
        if *size == 0 {
            continue;
        }
        let (byte, bit) = (run.random.below(*size), run.random.below(8) as u8);
        image.flip_bit(path, byte, bit).unwrap();
        let context = format!("SEED={seed} flip {flip} in {path} at {byte}, bit {bit}");
        never_wrong(&image, &run.oracle, &context)?;
        // What opens without a word must be whole.
        let Ok(store) = open(&image) else { continue };
        let report = store.report();
        if report.refused_blocks.is_empty() && report.torn.is_none() {
            match run.oracle.check(&store, ends, Safe::Synced) {
                Err(what) if !what.contains("damaged") => {
                    return Err(Violation(format!("{context}: {what}")));
                }
                _ => {}
            }
        }
    }
    Ok(flips)
}

/// One bit of the log below its end: verifying the directory says so.
pub(crate) fn unnoticed_bits(seed: u64, flips: u64) -> Result<u64, Violation> {
    let mut run = Run::new(SimDisk::new(), Oracle::default(), seed, 1_000_000);
    run.steps(STEPS).unwrap();
    run.finish().unwrap();
    let end = run.log_end();
    for flip in 0..flips {
        let image = run.disk.after_kill();
        let Some((path, base)) = image.files().into_iter().rev().find_map(|(path, _)| {
            let base = path.strip_prefix("wal/")?.strip_suffix(".log")?.to_owned();
            Some((path, u64::from_str_radix(&base, 16).ok()?))
        }) else {
            continue;
        };
        let byte = run.random.below(32 + end - base);
        image.flip_bit(&path, byte, run.random.below(8) as u8).unwrap();
        let found = verify::verify(&image).map_err(|e| Violation(e.to_string()))?;
        if found.damage.is_empty() && found.torn.is_none() {
            let what = format!("SEED={seed} flip {flip} in {path} at {byte} is not found");
            return Err(Violation(what));
        }
    }
    Ok(flips)
}

/// Without its manifest a directory is refused, and a repair brings back all of it.
pub(crate) fn lost_manifest(seed: u64) -> Result<u64, Violation> {
    let mut run = Run::new(SimDisk::new(), Oracle::default(), seed, 1_000_000);
    run.steps(STEPS).unwrap();
    run.finish().unwrap();
    let image = run.disk.after_kill();
    image.remove("MANIFEST").unwrap();
    let violation = |what: String| Violation(format!("SEED={seed} without its manifest: {what}"));
    if open(&image).is_ok() {
        return Err(violation("it opens".to_owned()));
    }
    repair::repair(&image).map_err(|e| violation(e.to_string()))?;
    let ends = run.disk.operations();
    let opened = open(&image).and_then(|store| run.oracle.check(&store, ends, Safe::Synced));
    opened.map_err(violation).map(|()| 1)
}

/// A read that fails is an error for who asked, and the next start is whole.
fn failing_reads(seed: u64) -> Result<u64, Violation> {
    let mut run = Run::new(SimDisk::new(), Oracle::default(), seed, 1_000_000);
    run.steps(STEPS).unwrap();
    run.finish().unwrap();
    let ends = run.disk.operations();
    for at in 0..60 {
        let image = run.disk.after_kill();
        image.inject(Fault::ReadFailsAt(at));
        never_wrong(&image, &run.oracle, &format!("SEED={seed} read {at}"))?;
        let again = image.after_kill();
        let whole = open(&again).and_then(|store| run.oracle.check(&store, ends, Safe::Synced));
        whole.map_err(|e| Violation(format!("SEED={seed} after a failed read {at}: {e}")))?;
    }
    Ok(60)
}

#[test]
fn a_disk_that_is_full_fails_or_lies_makes_no_answer_wrong() {
    for seed in 1..=4 {
        for check in [full_disks, too_many_files, failed_syncs, lying_disks, failing_reads] {
            check(seed).unwrap_or_else(|Violation(what)| panic!("{what}"));
        }
        flipped_bits(seed, 1250).unwrap_or_else(|Violation(what)| panic!("{what}"));
        unnoticed_bits(seed, 50).unwrap_or_else(|Violation(what)| panic!("{what}"));
        lost_manifest(seed).unwrap_or_else(|Violation(what)| panic!("{what}"));
    }
}

/// What [`ringwell_storage::disk::Disk::free_space`] says decides whether samples are taken.
#[test]
fn ingest_stops_for_want_of_room_and_resumes_by_itself() {
    use crate::workload::{Elements, options};
    use ringwell_storage::append::Batch;
    use ringwell_storage::keyspace::{Reply, Request};
    use ringwell_storage::store::{Options, Store};

    let disk = SimDisk::new();
    let options = Options { min_free_disk: 1000, ..options() };
    let opened: Arc<dyn Disk> = Arc::new(Arc::clone(&disk));
    let store = Store::open(opened, options, 0).unwrap();
    let command = |args: &[&[u8]]| store.execute(&Request { db: 0, args }, 1, &Elements).reply;
    assert_eq!(command(&[b"SET", b"k", b"v"]), Reply::Simple("OK"));
    for (free, taken) in [(999, false), (1100, false), (1249, false), (1250, true), (1000, true)] {
        disk.say_free(free);
        store.tick(1, &Elements).unwrap();
        assert_eq!(store.append(&Batch::default(), 1).is_ok(), taken, "{free} bytes free");
        assert_eq!(store.stats().ingest_stopped, !taken);
    }
    disk.say_free(0);
    store.tick(1, &Elements).unwrap();
    let refused = format!("{:?}", command(&[b"SET", b"k", b"w"]));
    assert!(refused.contains("MISCONF") && refused.contains("0 bytes are free"), "{refused}");
    assert_eq!(command(&[b"GET", b"k"]), Reply::Bulk(b"v".to_vec()));
    assert_eq!(command(&[b"DEL", b"k"]), Reply::Integer(1));
}
