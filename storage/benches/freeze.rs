//! How long a freeze of a million keys holds the keyspace's lock, and what writes cost before and after one.
//! In the process: what is timed is what a checkpoint or a full sync does under the lock.
//!
//! `cargo bench -p ringwell-storage --bench freeze`; `RINGWELL_BENCH_KEYS` takes another number than 1,000,000.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::time::{Duration, Instant};

use ringwell_storage::keyspace::{Effects, Keyspace, Mark, Request};

/// As in the node: how long a large piece of memory takes is part of what is timed.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 21;
/// Writes that are timed together.
const WRITES: usize = 200_000;
const NOW: i64 = 1_700_000_000_000;

fn main() {
    // `cargo test` runs benches with --test: compiling them is the test.
    if std::env::args().any(|a| a == "--test") {
        return;
    }
    let keys = std::env::var("RINGWELL_BENCH_KEYS").ok().and_then(|v| v.parse().ok());
    let keys = keys.unwrap_or(1_000_000);
    let mut keyspace = filled(keys);
    let mut random = 7_u64;
    let before = write(&mut keyspace, keys, &mut random);
    let (mut held, mut after) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let started = Instant::now();
        let view = keyspace.freeze();
        held.push(started.elapsed());
        assert_eq!(view.keys(), keys);
        after.push(write(&mut keyspace, keys, &mut random));
    }
    held.sort();
    println!(
        "freeze of {keys} keys with as many marks: median {:.3} ms, longest {:.3} ms",
        ms(held[ROUNDS / 2]),
        ms(held[ROUNDS - 1])
    );
    let told = |name: &str, times: &[Times]| {
        let mut mean: Vec<Duration> = times.iter().map(|t| t.all / WRITES as u32).collect();
        mean.sort();
        let longest = times.iter().map(|t| t.longest).max().unwrap();
        println!(
            "SET {name}: {:.3} us in the mean (median of rounds), longest {:.3} ms",
            ms(mean[mean.len() / 2]) * 1e3,
            ms(longest)
        );
    };
    told("before a freeze", &[before]);
    told("after one, with the view alive", &after);
}

/// Short strings, one in ten with an expiry, each with a mark as the keymap keeps for lists.
fn filled(keys: usize) -> Keyspace {
    let mut keyspace = Keyspace::new();
    for i in 0..keys {
        let mut effects = Effects::default();
        let key = key(i);
        effects.string_set(0, &key, b"a value of some bytes", false);
        if i % 10 == 0 {
            effects.expire(0, &key, NOW + i as i64);
        }
        effects.mark(&Mark { db: 0, key: key.into(), state: b"state".to_vec() });
        keyspace.apply(&effects);
    }
    keyspace
}

fn key(i: usize) -> Vec<u8> {
    format!("agents:agent-{i}:status").into_bytes()
}

struct Times {
    all: Duration,
    longest: Duration,
}

fn write(keyspace: &mut Keyspace, keys: usize, random: &mut u64) -> Times {
    let mut times = Times { all: Duration::ZERO, longest: Duration::ZERO };
    for _ in 0..WRITES {
        *random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let key = key((*random >> 33) as usize % keys);
        let args: [&[u8]; 3] = [b"SET", &key, b"another value of some bytes"];
        let started = Instant::now();
        let decided = keyspace.decide(&Request { db: 0, args: &args }, NOW);
        keyspace.apply(&decided.effects);
        let took = started.elapsed();
        times.all += took;
        times.longest = times.longest.max(took);
    }
    times
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
