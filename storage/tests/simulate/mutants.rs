//! The tests of the tests: every planted bug must be found.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ringwell_storage::mutants::{Mutant, plant};

use crate::{Violation, crash_everywhere, faults};

/// Seeds tried for each bug.
const SEEDS: u64 = 4;

fn hunt() -> Option<String> {
    for seed in 1..=SEEDS {
        let searches: [&dyn Fn() -> Result<u64, Violation>; 8] = [
            &|| crash_everywhere(seed, None),
            &|| faults::full_disks(seed),
            &|| faults::too_many_files(seed),
            &|| faults::failed_syncs(seed),
            &|| faults::lying_disks(seed),
            &|| faults::flipped_bits(seed, 2000),
            &|| faults::unnoticed_bits(seed, 400),
            &|| faults::lost_manifest(seed),
        ];
        for search in searches {
            // A bug may also make the workload itself fall over.
            match catch_unwind(AssertUnwindSafe(search)) {
                Ok(Ok(_)) => {}
                Ok(Err(Violation(what))) => return Some(what),
                Err(_) => return Some(format!("seed {seed}: a panic")),
            }
        }
    }
    None
}

#[test]
fn every_planted_bug_is_found() {
    std::panic::set_hook(Box::new(|_| {}));
    plant(None);
    let clean = hunt();
    if clean.is_some() {
        let _ = std::panic::take_hook();
    }
    assert_eq!(clean, None, "found without any bug planted");
    let mut missed = Vec::new();
    for mutant in Mutant::ALL {
        plant(Some(mutant));
        match hunt() {
            Some(what) => println!("{mutant:?}: {what}"),
            None => missed.push(mutant),
        }
        plant(None);
    }
    let _ = std::panic::take_hook();
    assert!(missed.is_empty(), "not found: {missed:?}");
}
