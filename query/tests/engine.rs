//! The engine's limits and errors, over a store on a simulated disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ringwell_query::{
    AnswerValue, Engine, EngineOptions, ErrorKind, Interrupt, Query, Stop, Uninterrupted, When,
};
use ringwell_storage::append::{Batch, Duplicates, SeriesRef, SeriesSamples};
use ringwell_storage::disk::SimDisk;
use ringwell_storage::model::{Labels, Sample, Value};
use ringwell_storage::read::{Queryable, Snapshot};
use ringwell_storage::store::{Options, Store};

/// 50 series with a sample every 10 s for an hour.
fn snapshot() -> Arc<dyn Snapshot> {
    let options = Options { max_future: None, ..Options::default() };
    let store = Store::open(Arc::new(SimDisk::new()), options, 0).unwrap();
    let series = (0..50).map(|i| {
        let name = i.to_string();
        let labels = Labels::from_pairs([("__name__", "x_total"), ("i", name.as_str())]).unwrap();
        let value = |n: i64| Value::Float((n * (i + 1)) as f64);
        let samples = (0..360).map(|n| Sample { t: n * 10_000, start: 0, value: value(n) });
        SeriesSamples { series: SeriesRef::Labels(labels), samples: samples.collect() }
    });
    let batch = Batch { series: series.collect(), duplicates: Duplicates::Reject };
    store.append(&batch, 0).unwrap();
    store.snapshot()
}

const HOUR: When = When::Range { start: 0, end: 3_600_000, step: 10_000 };

fn query(text: &str, when: When) -> Query<'_> {
    Query { text, when, lookback: None }
}

#[test]
fn one_thread_and_many_answer_the_same() {
    let snapshot = snapshot();
    let run = |parallelism: usize| {
        let engine = Engine::new(EngineOptions { parallelism, ..EngineOptions::default() });
        let when = When::Range { start: 0, end: 3_600_000, step: 1000 };
        let answer = engine
            .run(snapshot.as_ref(), &query("rate(x_total[5m])", when), &Uninterrupted)
            .unwrap();
        format!("{:?}", answer.value)
    };
    let one = run(1);
    assert!(one.contains("i=\"49\""));
    assert!(one == run(4), "answers differ by the number of threads");
}

#[test]
fn too_many_samples_are_refused() {
    let engine = Engine::new(EngineOptions { max_samples: 5000, ..EngineOptions::default() });
    let error =
        engine.run(snapshot().as_ref(), &query("x_total", HOUR), &Uninterrupted).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Execution);
    assert!(error.message.contains("too many samples"), "{}", error.message);
    let steps = query("sum_over_time(vector(1)[10y:1ms])", When::At(0));
    assert!(engine.run(snapshot().as_ref(), &steps, &Uninterrupted).is_err());
    let narrow = query("sum(x_total{i=\"1\"})", HOUR);
    assert!(engine.run(snapshot().as_ref(), &narrow, &Uninterrupted).is_ok());
}

/// Stops the n-th time it is asked.
struct StopsAfter(AtomicU64, Stop);

impl Interrupt for StopsAfter {
    fn stop(&self) -> Option<Stop> {
        (self.0.fetch_add(1, Ordering::Relaxed) > 20).then_some(self.1)
    }
}

#[test]
fn a_query_stops_when_told() {
    let snapshot = snapshot();
    for (stop, kind) in
        [(Stop::Canceled, ErrorKind::Canceled), (Stop::TimedOut, ErrorKind::Timeout)]
    {
        let interrupt = StopsAfter(AtomicU64::new(0), stop);
        let engine = Engine::new(EngineOptions::default());
        let error = engine
            .run(snapshot.as_ref(), &query("sum(rate(x_total[5m]))", HOUR), &interrupt)
            .unwrap_err();
        assert_eq!(error.kind, kind);
    }
}

#[test]
fn the_deepest_query_fits_a_small_stack() {
    let snapshot = snapshot();
    for text in [
        format!("{}x_total{}", "abs(".repeat(254), ")".repeat(254)),
        format!("x_total{}", " + 1".repeat(250)),
        format!("{}x_total{}", "sum(".repeat(254), ")".repeat(254)),
        format!("vector(1){}", " or vector(1)".repeat(250)),
        format!("{}vector(1){}", "max_over_time(".repeat(120), "[1m:1m])".repeat(120)),
    ] {
        let engine = Engine::new(EngineOptions::default());
        engine.run(snapshot.as_ref(), &query(&text, When::At(60_000)), &Uninterrupted).unwrap();
    }
}

#[test]
fn errors_have_kinds_and_prometheus_texts() {
    let snapshot = snapshot();
    let cases = [
        ("1 +", When::At(0), ErrorKind::BadData, "1:4: parse error: unexpected end of input"),
        (
            "x_total[5m]",
            HOUR,
            ErrorKind::BadData,
            "invalid expression type \"range vector\" for range query, must be Scalar or instant Vector",
        ),
        (
            "x_total",
            When::Range { start: 1, end: 0, step: 1 },
            ErrorKind::BadData,
            "end timestamp must not be before start time",
        ),
        (
            "x_total + on() x_total",
            When::At(60_000),
            ErrorKind::Execution,
            "found duplicate series for the match group {} on the right hand-side of the operation: \
             [{__name__=\"x_total\", i=\"0\"}, {__name__=\"x_total\", i=\"1\"}];many-to-many matching not \
             allowed: matching labels must be unique on one side",
        ),
        (
            "label_replace(x_total, \"i\", \"\", \"\", \"\")",
            When::At(60_000),
            ErrorKind::Execution,
            "vector cannot contain metrics with the same labelset",
        ),
    ];
    for (text, when, kind, message) in cases {
        let engine = Engine::new(EngineOptions::default());
        let error = engine.run(snapshot.as_ref(), &query(text, when), &Uninterrupted).unwrap_err();
        assert_eq!((error.kind, error.message.as_str()), (kind, message), "{text}");
    }
}

#[test]
fn the_querys_lookback_wins() {
    let engine = Engine::new(EngineOptions::default());
    let snapshot = snapshot();
    let count = |lookback| {
        let query = Query { text: "x_total", when: When::At(4_000_000), lookback };
        match engine.run(snapshot.as_ref(), &query, &Uninterrupted).unwrap().value {
            AnswerValue::Vector(samples) => samples.len(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((count(None), count(Some(600_000))), (0, 50));
}
