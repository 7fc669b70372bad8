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
    let store = Store::open(Arc::new(SimDisk::new()), options, 0).expect("a new store opens");
    let series = (0..50).map(|i| {
        let name = i.to_string();
        let labels = Labels::from_pairs([("__name__", "x_total"), ("i", name.as_str())])
            .expect("two labels");
        let value = |n: i64| Value::Float((n * (i + 1)) as f64);
        let samples = (0..360).map(|n| Sample { t: n * 10_000, start: 0, value: value(n) });
        SeriesSamples { series: SeriesRef::Labels(labels), samples: samples.collect() }
    });
    let batch = Batch { series: series.collect(), duplicates: Duplicates::Reject };
    store.append(&batch, 0).expect("the batch is taken");
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

/// Makes expressions of all kinds, so that a failure can be run again by its seed.
struct Grammar(u64);

impl Grammar {
    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        of[(self.0 >> 33) as usize % of.len()]
    }

    fn vector(&mut self, depth: usize) -> String {
        const OPERATORS: &[&str] = &[
            "+",
            "-",
            "*",
            "/",
            "%",
            "^",
            "==",
            "> bool",
            "and",
            "or",
            "unless",
            "atan2",
            "</",
            ">/",
            "+ on (i)",
            "/ ignoring (x) group_left ()",
            "* fill (0)",
        ];
        const AGGREGATES: &[&str] =
            &["sum", "avg by (i)", "stddev without (i)", "topk", "quantile", "limit_ratio", "max"];
        const FUNCTIONS: &[&str] =
            &["abs", "sgn", "histogram_sum", "absent", "sort", "timestamp", "year", "-", "ceil"];
        const RANGES: &[&str] = &[
            "rate",
            "increase",
            "delta",
            "irate",
            "deriv",
            "changes",
            "resets",
            "sum_over_time",
            "avg_over_time",
            "last_over_time",
            "mad_over_time",
            "stddev_over_time",
            "absent_over_time",
            "present_over_time",
            "ts_of_max_over_time",
        ];
        if depth == 0 {
            return self.selector("");
        }
        match self.pick(&["select", "aggregate", "call", "range", "range", "binary", "other"]) {
            "select" => self.selector(""),
            "aggregate" => {
                let (op, inner) = (self.pick(AGGREGATES), self.vector(depth - 1));
                match op {
                    "topk" | "quantile" | "limit_ratio" => {
                        format!("{op}({}, {inner})", self.number())
                    }
                    op => format!("{op} ({inner})"),
                }
            }
            "call" => format!("{}({})", self.pick(FUNCTIONS), self.vector(depth - 1)),
            "range" => format!("{}({})", self.pick(RANGES), self.range(depth - 1)),
            "binary" => {
                let left = self.vector(depth - 1);
                format!("({left} {} {})", self.pick(OPERATORS), self.vector(depth - 1))
            }
            _ => match self.pick(&["quantile", "predict", "clamp", "histogram", "scalar"]) {
                "quantile" => {
                    format!("quantile_over_time({}, {})", self.number(), self.range(depth - 1))
                }
                "predict" => {
                    format!("predict_linear({}, {})", self.range(depth - 1), self.number())
                }
                "clamp" => {
                    let inner = self.vector(depth - 1);
                    format!("clamp({inner}, {}, {})", self.number(), self.number())
                }
                "histogram" => {
                    format!("histogram_quantile({}, {})", self.number(), self.vector(depth - 1))
                }
                _ => format!("vector(scalar({}))", self.vector(depth - 1)),
            },
        }
    }

    fn range(&mut self, depth: usize) -> String {
        match self.pick(&["select", "select", "edges", "subquery"]) {
            "select" => self.selector("[1m]"),
            "edges" => format!("x_total[1m] {}", self.pick(&["smoothed", "anchored"])),
            _ => {
                let step = self.pick(&["[5m:1m]", "[1h:7m]", "[1m:]", "[10s:3s] @ 70"]);
                format!("({}){step}", self.vector(depth.saturating_sub(1)))
            }
        }
    }

    fn selector(&mut self, range: &str) -> String {
        let matchers = self.pick(&["", "{i=\"1\"}", "{i=~\"1.*\"}", "{i!=\"3\"}", "{z=\"\"}"]);
        let shift = self.pick(&[
            "",
            "",
            "",
            " offset 1m",
            " offset -1h",
            " @ 100",
            " @ start()",
            " @ end()",
            " offset 290y",
            " @ 9223372036854774",
            " @ -9223372036854774 offset 290y",
        ]);
        format!("x_total{matchers}{range}{shift}")
    }

    fn number(&mut self) -> &'static str {
        self.pick(&["0", "1", "0.5", "-1", "3", "NaN", "Inf", "-Inf", "1e300", "time()"])
    }
}

#[test]
fn random_queries_at_any_time_never_panic() {
    let snapshot = snapshot();
    let options = EngineOptions { max_samples: 200_000, ..EngineOptions::default() };
    let engine = Engine::new(options);
    let (mut answered, mut refused) = (0, 0);
    for seed in 0..600 {
        let text = Grammar(seed).vector(3);
        let start = [0, 600_000, -1, i64::MIN, i64::MAX - 1000][seed as usize % 5];
        let end = start.saturating_add(100_000);
        for when in [When::At(start), When::Range { start, end, step: 30_000 }] {
            match engine.run(snapshot.as_ref(), &query(&text, when), &Uninterrupted) {
                Ok(_) => answered += 1,
                Err(error) if error.kind == ErrorKind::BadData => {
                    panic!("seed {seed}: {text}: {}", error.message)
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(answered > 2 * refused, "{answered} answered, {refused} refused");
}

/// Plain Prometheus drops the name at each operator; delayed, a later function still reads it.
#[test]
fn names_go_at_once_or_at_the_end() {
    let store = Store::open(
        Arc::new(SimDisk::new()),
        Options { max_future: None, ..Options::default() },
        0,
    )
    .expect("a new store opens");
    let series = ["a", "b"].map(|name| {
        let labels = Labels::from_pairs([("__name__", name), ("job", "j")]).expect("two labels");
        let sample = |t, v| Sample { t, start: 0, value: Value::Float(v) };
        // Of different times, so that both can be one series.
        let at = if name == "a" { 0 } else { 600_000 };
        let samples = vec![sample(at, 1.0), sample(at + 10_000, 2.0)];
        SeriesSamples { series: SeriesRef::Labels(labels), samples: samples.into() }
    });
    let batch = Batch { series: series.to_vec(), duplicates: Duplicates::Reject };
    store.append(&batch, 0).expect("the batch is taken");
    let snapshot = store.snapshot();
    let clash = "vector cannot contain metrics with the same labelset";
    let when = When::Range { start: 0, end: 700_000, step: 10_000 };
    for (text, at_once, delayed) in [
        ("label_replace(-a, \"n\", \"$1\", \"__name__\", \"(.*)\")", "{job=\"j\"}", "n=\"a\""),
        ("rate({job=\"j\"}[1m])", clash, "{job=\"j\"}"),
        ("-{job=\"j\"}", "{job=\"j\"}", "{job=\"j\"}"),
    ] {
        for (delayed_name_removal, want) in [(false, at_once), (true, delayed)] {
            let options = EngineOptions { delayed_name_removal, ..EngineOptions::default() };
            let got =
                Engine::new(options).run(snapshot.as_ref(), &query(text, when), &Uninterrupted);
            let got = match got {
                Err(error) => error.message,
                Ok(answer) => format!("{:?}", answer.value),
            };
            assert!(got.contains(want), "{text} delayed={delayed_name_removal}: {got}");
        }
    }
}
