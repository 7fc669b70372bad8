//! Generated queries over generated data, asked of the node and of a real Prometheus 3.5.3: the
//! answers are the same. The data has jitter, resets, gaps, stale markers, and samples right on the
//! edges of windows. `RINGWELL_DIFF_QUERIES` and `RINGWELL_DIFF_SEED` choose how many and which.

mod classes;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ringwell::client;
use serde_json::Value;

use self::classes::explained;
use crate::node::Options;
use crate::prometheus::{free_address, start};
use crate::wire::{HEADERS, TimeSeries, body, series};

/// Queries in an ordinary run.
const QUERIES: usize = 2000;
/// Of so many may at most one differ.
const PER_DIFFERENCE: usize = 100;
/// The data: from here, so many steps of 15 s.
const START: i64 = 1_760_000_400_000;
const STEPS: i64 = 480;
const STEP: i64 = 15_000;
const STALE: u64 = 0x7ff0_0000_0000_0002;

/// A small generator, the same in every run of a seed.
struct Draw(u64);

impl Draw {
    fn below(&mut self, n: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    fn share(&mut self) -> f64 {
        self.below(1 << 30) as f64 / f64::from(1 << 30)
    }
}

/// Samples of one series: time jittered or on the grid, holes, resets, ends.
fn samples(draw: &mut Draw, counter: bool) -> Vec<(i64, f64)> {
    let jittered = draw.below(3) > 0;
    let (mut value, mut hole) = (if counter { 0.0 } else { 50.0 }, 0);
    let mut out = Vec::new();
    for step in 0..STEPS {
        if hole > 0 {
            hole -= 1;
            continue;
        }
        let jitter =
            if jittered && draw.below(4) > 0 { draw.below(3_000) as i64 - 1_500 } else { 0 };
        let t = START + step * STEP + jitter;
        if counter {
            value += draw.share() * 10.0;
            if draw.below(60) == 0 {
                value = draw.share();
            }
        } else {
            value += draw.share() * 4.0 - 2.0;
        }
        match draw.below(120) {
            0 => hole = draw.below(50),
            1 => out.push((t, f64::from_bits(STALE))),
            2 if !counter => out.push((t, [f64::NAN, f64::INFINITY, 0.0][draw.below(3)])),
            _ => out.push((t, value)),
        }
    }
    out
}

fn data(seed: u64) -> Vec<TimeSeries> {
    let mut draw = Draw(seed);
    let mut all = Vec::new();
    for job in ["a", "b"] {
        for instance in ["1", "2", "3"] {
            let labels = |name| [("__name__", name), ("job", job), ("instance", instance)];
            all.push(series(&labels("c_total"), &samples(&mut draw, true)));
            all.push(series(&labels("d_total"), &samples(&mut draw, true)));
            all.push(series(&labels("g"), &samples(&mut draw, false)));
            let constant: Vec<(i64, f64)> =
                (0..STEPS).map(|i| (START + i * STEP, f64::from(u8::from(job == "a")))).collect();
            all.push(series(&labels("up"), &constant));
            let mut buckets = samples(&mut draw, true);
            for le in ["0.1", "0.5", "1", "5", "+Inf"] {
                let labels =
                    [("__name__", "h_bucket"), ("job", job), ("instance", instance), ("le", le)];
                all.push(series(&labels, &buckets));
                let markers = |s: &&mut (i64, f64)| s.1.to_bits() != STALE;
                buckets.iter_mut().filter(markers).for_each(|s| s.1 *= 1.25);
            }
        }
        all.push(series(
            &[("__name__", "info"), ("job", job), ("version", "v1")],
            &[(START, 1.0), (START + 3_000_000, 1.0)],
        ));
    }
    // Prometheus breaks ties of topk by the order of creation, the node by labels.
    let labels = |s: &TimeSeries| {
        let mut pairs: Vec<_> =
            s.labels.iter().map(|l| (l.name.clone(), l.value.clone())).collect();
        pairs.sort();
        pairs
    };
    all.sort_by_key(labels);
    all
}

/// An expression of PromQL that both sides know.
struct Grammar {
    draw: Draw,
    range: bool,
    /// How many subqueries are open.
    subqueries: usize,
}

impl Grammar {
    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        self.draw.one(of)
    }

    fn duration(&mut self) -> &'static str {
        self.draw.one(&["15s", "30s", "1m", "90s", "5m", "7m13s", "20m", "1h"])
    }

    fn selector(&mut self) -> String {
        let name = self.one(&["c_total", "d_total", "g", "g", "up", "h_bucket", "c_total"]);
        let matchers = self.one(&[
            "",
            "",
            "",
            "{job=\"a\"}",
            "{instance!=\"1\"}",
            "{instance=~\"1|3\"}",
            "{job!~\"b.*\"}",
            "{job=\"a\",instance=\"2\"}",
            "{nope=\"\"}",
            "{job=\"none\"}",
        ]);
        format!("{name}{matchers}")
    }

    fn shift(&mut self) -> String {
        match self.draw.below(12) {
            0 => format!(" offset {}", self.duration()),
            1 => format!(" offset -{}", self.duration()),
            2 => format!(" @ {}", (START + 3_600_000) / 1000 + self.draw.below(600) as i64),
            3 => format!(" @ {}", self.one(&["start()", "end()"])),
            _ => String::new(),
        }
    }

    fn window(&mut self, depth: usize) -> String {
        if depth > 0 && self.draw.below(6) == 0 {
            self.subqueries += 1;
            let inner = self.vector(depth - 1);
            self.subqueries -= 1;
            let step = self.one(&["", "15s", "1m", "47s"]);
            return format!("({inner})[{}:{step}]{}", self.duration(), self.shift());
        }
        format!("{}[{}]{}", self.selector(), self.duration(), self.shift())
    }

    fn scalar(&mut self) -> String {
        match self.draw.below(8) {
            0 => "time()".to_owned(),
            1 => format!("scalar({})", self.selector()),
            2 => "1e3".to_owned(),
            3 => "-0.5".to_owned(),
            4 => "(2 ^ 3 % 5)".to_owned(),
            _ => self.draw.below(60).to_string(),
        }
    }

    fn vector(&mut self, depth: usize) -> String {
        if depth == 0 {
            return format!("{}{}", self.selector(), self.shift());
        }
        let below = depth - 1;
        match self.draw.below(14) {
            0..=3 => {
                let f = self.one(&[
                    "rate",
                    "increase",
                    "irate",
                    "delta",
                    "idelta",
                    "deriv",
                    "changes",
                    "resets",
                    "avg_over_time",
                    "min_over_time",
                    "max_over_time",
                    "sum_over_time",
                    "count_over_time",
                    "stddev_over_time",
                    "stdvar_over_time",
                    "last_over_time",
                    "present_over_time",
                    "absent_over_time",
                    "mad_over_time",
                    "ts_of_max_over_time",
                    "ts_of_min_over_time",
                    "ts_of_last_over_time",
                ]);
                format!("{f}({})", self.window(below))
            }
            4 => match self.draw.below(3) {
                0 => format!(
                    "quantile_over_time(0.{}, {})",
                    self.draw.below(100),
                    self.window(below)
                ),
                1 => format!("predict_linear({}, {})", self.window(below), self.scalar()),
                _ => format!("double_exponential_smoothing({}, 0.3, 0.6)", self.window(below)),
            },
            5..=7 => self.aggregate(below),
            8 | 9 => self.binary(below),
            10 => {
                let f = self.one(&[
                    "abs",
                    "ceil",
                    "floor",
                    "exp",
                    "ln",
                    "log2",
                    "log10",
                    "sqrt",
                    "sgn",
                    "sin",
                    "cos",
                    "atan",
                    "tanh",
                    "deg",
                    "rad",
                    "timestamp",
                    "minute",
                    "hour",
                    "day_of_week",
                    "month",
                    "days_in_month",
                    "absent",
                    "-",
                    "sort",
                    "sort_desc",
                ]);
                match f {
                    "-" => format!("-({})", self.vector(below)),
                    // Their order has no meaning over a range.
                    "sort" | "sort_desc" if self.range => format!("abs({})", self.vector(below)),
                    f => format!("{f}({})", self.vector(below)),
                }
            }
            11 => match self.draw.below(4) {
                0 => format!("clamp({}, {}, {})", self.vector(below), self.scalar(), self.scalar()),
                1 => format!("round({}, {})", self.vector(below), self.scalar()),
                2 => format!("clamp_min({}, {})", self.vector(below), self.scalar()),
                _ => format!("clamp_max({}, {})", self.vector(below), self.scalar()),
            },
            12 => match self.draw.below(3) {
                0 => format!(
                    "label_replace({}, \"x\", \"$1-x\", \"job\", \"(.*)\")",
                    self.vector(below)
                ),
                1 => format!(
                    "label_join({}, \"x\", \"/\", \"job\", \"instance\")",
                    self.vector(below)
                ),
                _ => format!("vector({})", self.scalar()),
            },
            _ => {
                let q = self.one(&["0", "0.1", "0.5", "0.9", "0.99", "1", "-1", "2"]);
                let d = self.duration();
                match self.draw.below(3) {
                    0 => format!("histogram_quantile({q}, rate(h_bucket[{d}]))"),
                    1 => format!("histogram_quantile({q}, sum by (le) (rate(h_bucket[{d}])))"),
                    _ => format!("histogram_quantile({q}, h_bucket)"),
                }
            }
        }
    }

    fn aggregate(&mut self, depth: usize) -> String {
        let by = self.one(&[
            "",
            "",
            "by (job) ",
            "by (instance) ",
            "without (instance) ",
            "by (job, instance) ",
            "without (job, le) ",
            "by (nope) ",
        ]);
        let inner = self.vector(depth);
        match self.draw.below(12) {
            // Whom a tie leaves over cannot be asked about within a subquery.
            0 | 1 if self.subqueries > 0 => format!("max {by}({inner})"),
            0 => format!("topk {by}(2, {inner})"),
            1 => format!("bottomk {by}(1, {inner})"),
            2 => format!("quantile {by}(0.{}, {inner})", self.draw.below(100)),
            3 => format!("count_values {by}(\"v\", {inner})"),
            _ => {
                let op =
                    self.one(&["sum", "avg", "min", "max", "count", "stddev", "stdvar", "group"]);
                format!("{op} {by}({inner})")
            }
        }
    }

    fn binary(&mut self, depth: usize) -> String {
        let op = self.one(&[
            "+", "-", "*", "/", "%", "^", "atan2", "==", "!=", ">", "<", ">=", "<=", "== bool",
            "> bool", "<= bool",
        ]);
        match self.draw.below(7) {
            0 => format!("({}) {op} {}", self.vector(depth), self.scalar()),
            1 => format!("{} {op} ({})", self.scalar(), self.vector(depth)),
            2 => {
                let op = self.one(&["and", "or", "unless"]);
                let on = self.one(&["", "on (job)", "ignoring (instance)", "on ()"]);
                format!("({}) {op} {on} ({})", self.vector(depth), self.vector(depth))
            }
            3 => format!("({}) {op} on (job, instance) (g)", self.vector(depth)),
            4 => format!("({}) {op} on (job) group_left (version) info", self.vector(depth)),
            5 => format!("({}) {op} ignoring (le) group_left () up", self.vector(depth)),
            _ => format!("({}) {op} ({})", self.vector(depth), self.vector(depth)),
        }
    }
}

/// A query and its times, as a form.
fn ask(address: &str, query: &str, times: Option<i64>, at: i64) -> Value {
    let seconds = |t: i64| format!("{}", t as f64 / 1000.0);
    let (path, form) = match times {
        None => ("/api/v1/query", format!("time={}", seconds(at))),
        Some(step) => {
            let end = at + 20 * step;
            let times =
                format!("start={}&end={}&step={}", seconds(at), seconds(end), seconds(step));
            ("/api/v1/query_range", times)
        }
    };
    let form = format!("{form}&query={}", client::encode(query));
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let answer = client::send(address, "POST", path, &headers, form.as_bytes()).unwrap();
    serde_json::from_str(&answer.text()).unwrap_or(Value::Null)
}

/// Series by their labels, each with `(time, value)`.
type Series = BTreeMap<String, Vec<(String, String)>>;

fn series_of(answer: &Value) -> Option<Series> {
    let result = answer.pointer("/data/result")?;
    let pair = |p: &Value| Some((p[0].to_string(), p[1].as_str()?.to_owned()));
    if let Some(only) = pair(result) {
        return Some([(String::new(), vec![only])].into());
    }
    let mut out = Series::new();
    for one in result.as_array()? {
        let points = match one.get("value") {
            Some(value) => vec![pair(value)?],
            None => one.get("values")?.as_array()?.iter().map(pair).collect::<Option<_>>()?,
        };
        out.insert(one["metric"].to_string(), points);
    }
    Some(out)
}

fn same_number(a: &str, b: &str) -> bool {
    let (Ok(x), Ok(y)) = (a.parse::<f64>(), b.parse::<f64>()) else { return a == b };
    (x.is_nan() && y.is_nan()) || x == y || (x - y).abs() <= 1e-9 * x.abs().max(y.abs()).max(1.0)
}

/// What differs, in words; `None` if nothing does.
fn difference(ours: &Value, theirs: &Value) -> Option<String> {
    if ours["status"] != theirs["status"] || ours["errorType"] != theirs["errorType"] {
        return Some(format!(
            "{} {} against {} {}",
            ours["status"], ours["error"], theirs["status"], theirs["error"]
        ));
    }
    let (ours, theirs) = (series_of(ours), series_of(theirs));
    let (Some(ours), Some(theirs)) = (&ours, &theirs) else {
        return (ours.is_some() != theirs.is_some()).then(|| "one side has no result".to_owned());
    };
    for (labels, points) in ours {
        let Some(other) = theirs.get(labels) else { return Some(format!("only here: {labels}")) };
        if points.len() != other.len() {
            return Some(format!("{labels}: {} points against {}", points.len(), other.len()));
        }
        let differs =
            points.iter().zip(other).find(|(a, b)| a.0 != b.0 || !same_number(&a.1, &b.1));
        if let Some((a, b)) = differs {
            return Some(format!("{labels}: {a:?} against {b:?}"));
        }
    }
    let missing = theirs.keys().find(|labels| !ours.contains_key(*labels));
    missing.map(|labels| format!("only there: {labels}"))
}

fn unpacked() -> Option<PathBuf> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/.tools/prometheus3/usr/bin/prometheus");
    path.is_file().then_some(path)
}

#[test]
fn generated_queries_are_answered_as_by_prometheus() {
    let Some(program) = unpacked() else {
        println!("skipped: tests/setup.sh unpacks Prometheus 3");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("p.yml"), "global:\n  evaluation_interval: 1m\n").unwrap();
    let address = free_address();
    let _prometheus = start(
        &program,
        &[
            format!("--config.file={}", dir.path().join("p.yml").display()),
            format!("--storage.tsdb.path={}", dir.path().join("data").display()),
            "--storage.tsdb.retention.time=100y".to_owned(),
            format!("--web.listen-address={address}"),
            "--web.enable-remote-write-receiver".to_owned(),
            "--enable-feature=promql-experimental-functions".to_owned(),
        ],
    );
    let node = Options::default().arg("--retention=0").start();
    let env = |name: &str| std::env::var(name).ok().and_then(|v| v.parse().ok());
    let seed = env("RINGWELL_DIFF_SEED").unwrap_or(7) as u64;
    let request = body(data(seed));
    assert_eq!(node.post("/api/v1/write", &HEADERS, &request).status, 204);
    node.wait_for("Prometheus takes the data", |_| {
        let answer = client::send(&address, "POST", "/api/v1/write", &HEADERS, &request).ok()?;
        (answer.status == 204).then_some(())
    });
    let count = env("RINGWELL_DIFF_QUERIES").unwrap_or(QUERIES);
    let mut grammar = Grammar { draw: Draw(seed), range: false, subqueries: 0 };
    let (mut differ, mut reasons) = (Vec::new(), BTreeMap::<&str, usize>::new());
    let mut answered = 0;
    for _ in 0..count {
        grammar.range = grammar.draw.below(2) == 0;
        let depth = 1 + grammar.draw.below(3);
        let query = grammar.vector(depth);
        // Now and then right on the samples' grid, to the millisecond.
        let at = START
            + 3_000_000
            + 15_000 * grammar.draw.below(60) as i64
            + [0, 0, 1, -1, 7_321][grammar.draw.below(5)];
        let step = grammar.range.then(|| [15_000, 60_000, 13_001, 300_000][grammar.draw.below(4)]);
        let (ours, theirs) = (ask(&node.http, &query, step, at), ask(&address, &query, step, at));
        answered += usize::from(series_of(&theirs).is_some_and(|series| !series.is_empty()));
        let Some(how) = difference(&ours, &theirs) else { continue };
        let both = |query: &str| (ask(&node.http, query, step, at), ask(&address, query, step, at));
        match explained(&query, &ours, &both) {
            Some(reason) => *reasons.entry(reason).or_default() += 1,
            None => differ.push(format!("{query} at {at} step {step:?}: {how}")),
        }
    }
    println!("{count} queries, {answered} with series; explained: {reasons:?}");
    differ.iter().for_each(|line| println!("{line}"));
    assert!(answered > count / 2, "too few queries find anything");
    let differences = differ.len() + reasons.values().sum::<usize>();
    assert!(differences * PER_DIFFERENCE <= count, "{differences} of {count} differ");
    assert!(differ.is_empty(), "{} differences without a reason", differ.len());
}
