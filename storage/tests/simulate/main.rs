//! Seeded runs on a simulated disk, crashed at every operation in many ways, reopened, compared with what
//! was acknowledged, and crashed again inside the recovery.
//!
//! One recorded run gives all of its crash points. `RINGWELL_CRASH_POINTS=1000000` runs longer;
//! a failure prints `SEED= OP= SUBSET=`, and the same in the environment runs only that one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod faults;
#[cfg(feature = "mutants")]
mod mutants;
mod oracle;
mod workload;

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use oracle::{Oracle, Safe};
use ringwell_storage::disk::{Fault, SimDisk};
use workload::{Random, Run, open};

/// Images of a power cut, for each operation; one kill comes on top.
const SUBSETS: u64 = 8;
/// Crashes inside a recovery, one inside the other.
const DEPTH: u64 = 3;

pub(crate) fn now_or_never<F: Future>(future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// A crash and what was wrong after it.
#[derive(Debug)]
pub(crate) struct Violation(pub(crate) String);

/// A recorded run without faults: its state before every operation, and at its end.
fn recorded(seed: u64) -> (Vec<Arc<SimDisk>>, Run) {
    let disk = SimDisk::new();
    disk.record();
    let mut run = Run::new(disk, Oracle::default(), seed, 1_000_000);
    let steps = 50 + run.random.below(60);
    run.steps(steps).unwrap();
    let mut states = run.disk.recorded();
    states.push(Arc::clone(&run.disk));
    (states, run)
}

/// Crashes one run of `seed` at every operation; says how many crash points that were.
pub(crate) fn crash_everywhere(seed: u64, only: Option<(u64, u64)>) -> Result<u64, Violation> {
    let (states, run) = recorded(seed);
    let mut points = 0;
    for (operation, state) in states.iter().enumerate() {
        let operation = operation as u64;
        for subset in 0..=SUBSETS {
            if only.is_some_and(|only| only != (operation, subset)) {
                continue;
            }
            points += crash(&run, state, seed, operation, subset).map_err(|what| {
                Violation(format!("SEED={seed} OP={operation} SUBSET={subset}: {what}"))
            })?;
        }
    }
    Ok(points)
}

/// Subset 0 is a kill, the others are power cuts.
fn crash(
    run: &Run,
    state: &Arc<SimDisk>,
    seed: u64,
    operation: u64,
    subset: u64,
) -> Result<u64, String> {
    let mut random = Random::of(seed ^ operation << 20 ^ subset << 50);
    let (mut disk, safe) = match subset {
        0 => (state.after_kill(), Safe::Written),
        _ => (state.after_power_cut(random.below(u64::MAX)), Safe::Synced),
    };
    let mut points = 1;
    if subset % 4 == 1 {
        for _ in 0..DEPTH {
            disk.inject(Fault::CrashAt(random.below(12)));
            drop(open(&disk));
            disk = disk.after_power_cut(random.below(u64::MAX));
            points += 1;
        }
    }
    let store = open(&disk).map_err(|e| format!("does not open: {e}"))?;
    run.oracle.check(&store, operation, safe)?;
    drop(store);
    if subset % 4 == 2 {
        go_on(run, &disk, operation, safe, &mut random)?;
        points += 1;
    }
    Ok(points)
}

/// The recovered store takes more and survives another power cut with all of it.
fn go_on(
    run: &Run,
    disk: &Arc<SimDisk>,
    operation: u64,
    safe: Safe,
    random: &mut Random,
) -> Result<(), String> {
    // What the first life acknowledged counts as acknowledged before the second began.
    let mut oracle = run.oracle.clone();
    for sent in &mut oracle.sent {
        let due = match safe {
            Safe::Written => sent.written,
            Safe::Synced => sent.synced,
        };
        sent.synced = if due <= operation { 0 } else { u64::MAX };
    }
    oracle.process_ends();
    let seed = random.below(1 << 30) | 1 << 40;
    let mut second = Run::new(Arc::clone(disk), oracle, seed, run.now);
    second.steps(6)?;
    second.finish().map_err(|e| format!("then: {e}"))?;
    let cut = disk.after_power_cut(random.below(u64::MAX));
    let store = open(&cut).map_err(|e| format!("then does not open: {e}"))?;
    second.oracle.check(&store, disk.operations(), Safe::Synced).map_err(|e| format!("then: {e}"))
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_invented() {
    if let Some(seed) = variable("SEED") {
        let only = variable("OP").zip(variable("SUBSET"));
        println!("{} crash points of seed {seed}", crash_everywhere(seed, only).unwrap());
        return;
    }
    let wanted = variable("RINGWELL_CRASH_POINTS").unwrap_or(50_000);
    let (mut points, mut seed) = (0, variable("RINGWELL_FIRST_SEED").unwrap_or(1));
    while points < wanted {
        points += crash_everywhere(seed, None).unwrap_or_else(|Violation(what)| panic!("{what}"));
        seed += 1;
    }
    println!("{points} crash points, seeds up to {}", seed - 1);
}
