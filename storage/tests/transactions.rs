//! A transaction survives a crash whole or not at all: a simulated disk, crashed at every operation by
//! kill and by power cut, while others append and the log is told to write whatever it has.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use ringwell_storage::append::{Batch, Duplicates, SeriesRef, SeriesSamples};
use ringwell_storage::disk::{Disk, SimDisk};
use ringwell_storage::keyspace::{Derived, Effects, Extract, Keyspace, Reply, Request};
use ringwell_storage::model::{Labels, Sample, Value, WalPosition};
use ringwell_storage::store::{Ack, Options, Store};
use ringwell_storage::wal::LogOptions;

const SPAN: i64 = 10_000;
/// Transactions of a run, and how many keys each of them writes.
const TRANSACTIONS: i64 = 25;
const KEYS: usize = 4;

/// So small that the log writes itself in the middle of whatever is not held together.
fn options() -> Options {
    Options {
        ring_samples: 4,
        block_span: SPAN,
        cut_delay: 0,
        max_future: None,
        checkpoint_bytes: 900,
        log: LogOptions { segment_bytes: 700, max_pending: 40, fill_bytes: 128, spares: 1 },
        ..Options::default()
    }
}

struct Nothing;

impl Extract for Nothing {
    fn extract(&self, _: &Keyspace, _: &Request<'_>, _: &Effects, _: i64, _: &mut Derived) {}

    fn hold(&self, _: &Keyspace, _: i64, _: &mut Derived) {}
}

fn open(disk: &Arc<SimDisk>) -> Arc<Store> {
    let disk: Arc<dyn Disk> = Arc::new(Arc::clone(disk));
    Arc::new(Store::open(disk, options(), 0).unwrap())
}

fn now_or_never<F: Future>(future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

fn call(
    run: &dyn Fn(&Request<'_>) -> ringwell_storage::store::Executed,
    line: &str,
) -> WalPosition {
    let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    let done = run(&Request { db: 0, args: &args });
    assert!(!matches!(done.reply, Reply::Error(_)), "{line}: {:?}", done.reply);
    done.position.unwrap_or(WalPosition(0))
}

fn sample(store: &Store, t: i64) {
    let labels = Labels::from_pairs([("__name__", "beside")]).unwrap();
    let samples = vec![Sample { t, start: 0, value: Value::Float(t as f64) }];
    let series = vec![SeriesSamples { series: SeriesRef::Labels(labels), samples: samples.into() }];
    store.append(&Batch { series, duplicates: Duplicates::Reject }, t).unwrap();
}

/// Writes the number `n` to every key, in commands of several kinds, with appends of others between.
fn write_all(store: &Arc<Store>, n: i64, held: bool) -> WalPosition {
    let transaction = held.then(|| store.transaction());
    let run = |request: &Request<'_>| match &transaction {
        Some(transaction) => transaction.execute(request, n, &Nothing),
        None => store.execute(request, n, &Nothing),
    };
    call(&run, &format!("SET a {n}"));
    sample(store, n * 100);
    call(&run, &format!("RPUSH b {n}"));
    call(&run, &format!("HSET c f {n} padding {}", "x".repeat((n as usize * 37) % 90)));
    sample(store, n * 100 + 1);
    call(&run, &format!("ZADD d {n} m"))
}

/// What every key says the last transaction was.
fn read_all(store: &Store) -> [i64; KEYS] {
    let ask = |line: &str| {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        match store.execute(&Request { db: 0, args: &args }, 0, &Nothing).reply {
            Reply::Bulk(text) => String::from_utf8(text).unwrap().parse().unwrap(),
            Reply::Double(score) => score as i64,
            Reply::Null => 0,
            other => panic!("{other:?}"),
        }
    };
    [ask("GET a"), ask("LINDEX b -1"), ask("HGET c f"), ask("ZSCORE d m")]
}

/// A run with its disk before every operation, and how many transactions were written by then.
fn recorded(held: bool) -> Vec<(Arc<SimDisk>, i64)> {
    let disk = SimDisk::new();
    disk.record();
    let store = open(&disk);
    let mut written = Vec::new();
    for n in 1..=TRANSACTIONS {
        let position = write_all(&store, n, held);
        now_or_never(store.wait(position, Ack::Written)).unwrap().unwrap();
        written.push((disk.operations(), n));
        if n % 3 == 0 {
            store.sync().unwrap();
        }
        store.maintain(n * 100).unwrap();
    }
    let before = |operation: u64| {
        let done = written.iter().filter(|(after, _)| *after <= operation);
        done.map(|(_, n)| *n).max().unwrap_or(0)
    };
    let states = disk.recorded().into_iter().zip(0..);
    states.map(|(state, operation)| (state, before(operation))).collect()
}

/// The first crash after which a transaction is there in part, or one that was answered is not.
fn first_violation(held: bool) -> Option<String> {
    for (operation, (state, written)) in recorded(held).into_iter().enumerate() {
        for cut in 0..6 {
            let disk = match cut {
                0 => state.after_kill(),
                seed => state.after_power_cut(seed + operation as u64 * 31),
            };
            let found = read_all(&open(&disk));
            if found.iter().any(|n| *n != found[0]) {
                return Some(format!("operation {operation}, cut {cut}: {found:?}"));
            }
            if cut == 0 && found[0] < written {
                return Some(format!("operation {operation}: {found:?}, written {written}"));
            }
        }
    }
    None
}

#[test]
fn a_crash_keeps_all_of_a_transaction_or_none() {
    assert_eq!(first_violation(true), None);
}

/// The check above would see it: the same commands without a transaction are torn.
#[test]
fn without_a_transaction_a_crash_may_keep_a_part() {
    assert!(first_violation(false).is_some());
}

/// Whoever waits for the log waits until the transaction is over, and then all of it is written.
#[test]
fn others_that_wait_are_written_with_the_transaction() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let transaction = std::sync::Mutex::new(Some(store.transaction()));
    let run = |request: &Request<'_>| {
        transaction.lock().unwrap().as_ref().unwrap().execute(request, 1, &Nothing)
    };
    let first = call(&run, "SET a 1");
    let rest = ["RPUSH b 1", "HSET c f 1", "ZADD d 1 m"];
    let (told, waits) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            waits.store(true, Ordering::SeqCst);
            now_or_never(store.wait(first, Ack::Written)).unwrap().unwrap();
            told.store(true, Ordering::SeqCst);
            read_all(&open(&disk.after_kill()))
        });
        while !waits.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        for line in rest {
            call(&run, line);
        }
        assert!(!told.load(Ordering::SeqCst));
        drop(transaction.lock().unwrap().take());
        assert_eq!(waiter.join().unwrap(), [1; KEYS]);
    });
}
