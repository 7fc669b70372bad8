//! Data and queries on which the naive evaluator has a say: floats, and of the language what it knows.
//! Values are multiples of a quarter, so that comparisons and roundings of what is only added, counted
//! and picked never hang on the last digit.

use std::sync::Arc;

use ringwell_query::When;
use ringwell_storage::append::{Batch, Duplicates, SeriesRef, SeriesSamples};
use ringwell_storage::disk::SimDisk;
use ringwell_storage::model::{Labels, STALE_NAN, Sample, Value};
use ringwell_storage::read::{Queryable, Snapshot};
use ringwell_storage::store::{Options, Store};

use crate::draw::Draw;
use crate::naive::Data;

/// The data: from here, for an hour.
const START: i64 = 1_000_000_000;
const HOUR: i64 = 3_600_000;

/// Series with gaps, stale markers, resets, jitter, and now and then no number.
pub(crate) fn data(draw: &mut Draw) -> Data {
    let mut all = Data::new();
    for name in ["c_total", "g", "h"] {
        for (job, instance) in [("a", "1"), ("a", "2"), ("b", "1"), ("b", "3")] {
            if draw.once_in(8) {
                continue;
            }
            let labels =
                Labels::from_pairs([("__name__", name), ("job", job), ("instance", instance)]);
            all.push((labels.unwrap(), samples(draw, name == "c_total")));
        }
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn samples(draw: &mut Draw, counter: bool) -> Vec<(i64, f64)> {
    let step = [10_000, 15_000, 60_000][draw.below(3)];
    let (jitter, odd) = (draw.below(2) * 1000, draw.once_in(3));
    let (mut t, mut v) = (START + draw.below(30_000) as i64, 0.0);
    let mut out = Vec::new();
    while t < START + HOUR {
        v = match counter {
            true if draw.once_in(40) => draw.below(8) as f64 / 4.0,
            true => v + draw.below(40) as f64 / 4.0,
            false => draw.below(400) as f64 / 4.0 - 50.0,
        };
        out.push((t, v));
        match draw.below(60) {
            0 => t += draw.below(900_000) as i64,
            1 => out.push((t + 1, f64::from_bits(STALE_NAN))),
            2 if odd && !counter => {
                out.push((t + 1, [f64::NAN, f64::INFINITY, f64::NEG_INFINITY][draw.below(3)]));
            }
            _ => {}
        }
        t += step + draw.below(jitter.max(1)) as i64;
    }
    out
}

/// A store that holds it, in open and in sealed chunks.
pub(crate) fn load(data: &Data) -> Arc<dyn Snapshot> {
    let options = Options { max_future: None, ring_samples: 20, ..Options::default() };
    let store = Store::open(Arc::new(SimDisk::new()), options, 0).unwrap();
    let series = data.iter().map(|(labels, samples)| SeriesSamples {
        series: SeriesRef::Labels(labels.clone()),
        samples: samples
            .iter()
            .map(|(t, v)| Sample { t: *t, start: 0, value: Value::Float(*v) })
            .collect(),
    });
    let batch = Batch { series: series.collect(), duplicates: Duplicates::Reject };
    assert!(store.append(&batch, 0).unwrap().rejected.is_empty());
    store.snapshot()
}

/// A time or a range within the data or at its edges, often on its grid.
pub(crate) fn when(draw: &mut Draw) -> When {
    let start = START - 60_000 + 1000 * draw.below(3_700) as i64 + [0, 0, 1, 999][draw.below(4)];
    if draw.once_in(3) {
        return When::At(start);
    }
    let step = [1000, 7_321, 15_000, 60_000, 300_000][draw.below(5)];
    When::Range { start, end: start + step * draw.below(30) as i64, step }
}

pub(crate) fn query(draw: &mut Draw) -> String {
    let depth = 1 + draw.below(4);
    match draw.below(10) {
        0 => scalar(draw, depth),
        _ => vector(draw, depth),
    }
}

fn duration(draw: &mut Draw) -> &'static str {
    draw.one(&["1s", "30s", "1m", "90s", "5m", "7m13s", "20m", "1h"])
}

fn shift(draw: &mut Draw) -> String {
    match draw.below(12) {
        0 => format!(" offset {}", duration(draw)),
        1 => format!(" offset -{}", duration(draw)),
        2 => format!(" @ {}", (START + 60_000 * draw.below(60) as i64) / 1000),
        3 => format!(" @ {}()", draw.one(&["start", "end"])),
        4 => format!(" @ end() offset {}", duration(draw)),
        _ => String::new(),
    }
}

fn selector(draw: &mut Draw) -> String {
    let name = draw.one(&["c_total", "g", "h"]);
    let matchers = draw.one(&[
        "",
        "",
        "",
        "{job=\"a\"}",
        "{instance!=\"1\"}",
        "{instance=~\"1|3\"}",
        "{job!~\"b.*\"}",
        "{nope=\"\"}",
        "{job=\"none\"}",
    ]);
    format!("{name}{matchers}")
}

fn scalar(draw: &mut Draw, depth: usize) -> String {
    match draw.below(if depth == 0 { 4 } else { 6 }) {
        0 => "time()".to_owned(),
        1 => "-2.5".to_owned(),
        2 | 3 => draw.below(60).to_string(),
        4 => format!("scalar({})", vector(draw, depth - 1)),
        _ => {
            let op = draw.one(&["+", "-", "*", "/", "%"]);
            format!("({} {op} {})", scalar(draw, depth - 1), scalar(draw, depth - 1))
        }
    }
}

fn window(draw: &mut Draw, depth: usize, exactly: bool) -> String {
    if depth > 0 && draw.once_in(5) {
        let inner = if exactly { exact(draw, depth - 1) } else { vector(draw, depth - 1) };
        let step = draw.one(&["", "15s", "1m", "47s"]);
        return format!("({inner})[{}:{step}]{}", duration(draw), shift(draw));
    }
    format!("{}[{}]{}", selector(draw), duration(draw), shift(draw))
}

/// Anything; it is compared up to rounding.
fn vector(draw: &mut Draw, depth: usize) -> String {
    if depth == 0 {
        return format!("{}{}", selector(draw), shift(draw));
    }
    let below = depth - 1;
    match draw.below(10) {
        0 | 1 => {
            let f = draw.one(&[
                "rate",
                "increase",
                "irate",
                "delta",
                "idelta",
                "avg_over_time",
                "sum_over_time",
                "stddev_over_time",
                "stdvar_over_time",
            ]);
            format!("{f}({})", window(draw, below, false))
        }
        2 => {
            let q = draw.one(&["0", "0.25", "0.9", "1", "-1", "2"]);
            format!("quantile_over_time({q}, {})", window(draw, below, false))
        }
        3 => aggregate(draw, below, false),
        4 => {
            let f = draw.one(&["exp", "sin", "abs", "-", "sqrt", "atan"]);
            format!("{f}({})", vector(draw, below))
        }
        5 => format!("({}) {} {}", vector(draw, below), arithmetic(draw), scalar(draw, below)),
        6 => {
            let on = draw.one(&["", "", "on (job, instance)", "ignoring (nope)"]);
            let op = arithmetic(draw);
            format!("({}) {op} {on} ({})", vector(draw, below), vector(draw, below))
        }
        7 => set(draw, below, false),
        _ => exact(draw, depth),
    }
}

fn arithmetic(draw: &mut Draw) -> &'static str {
    draw.one(&["+", "-", "*", "/"])
}

/// Only sums, counts and picks of the data: equal however it is computed.
fn exact(draw: &mut Draw, depth: usize) -> String {
    if depth == 0 {
        return format!("{}{}", selector(draw), shift(draw));
    }
    let below = depth - 1;
    match draw.below(12) {
        0 | 1 => {
            let f = draw.one(&[
                "min_over_time",
                "max_over_time",
                "count_over_time",
                "last_over_time",
                "first_over_time",
                "present_over_time",
                "changes",
                "resets",
                "absent_over_time",
            ]);
            format!("{f}({})", window(draw, below, true))
        }
        2 => aggregate(draw, below, true),
        3 => format!("count_values(\"v\", {})", exact(draw, below)),
        4 => {
            let op = draw.one(&["==", "!=", ">", "<", ">=", "<=", "== bool", "> bool", "<= bool"]);
            format!("({}) {op} {}", exact(draw, below), draw.below(100))
        }
        5 => comparison(draw, below),
        6 => set(draw, below, true),
        7 => {
            let f = draw.one(&["abs", "ceil", "floor", "sgn", "absent", "timestamp", "round"]);
            format!("{f}({})", exact(draw, below))
        }
        8 => format!("clamp({}, {}, 40)", exact(draw, below), draw.below(60)),
        9 => format!(
            "label_replace({}, \"x\", \"$1-x\", \"job\", \"{}\")",
            exact(draw, below),
            draw.one(&["(.*)", "a", "(b)?", "(c)"])
        ),
        10 => format!("({}) * on (job, instance) group_left () h", exact(draw, below)),
        _ => format!("({}) + {}", exact(draw, below), draw.below(9)),
    }
}

fn comparison(draw: &mut Draw, depth: usize) -> String {
    let op = draw.one(&["==", "!=", ">", "<=", "> bool"]);
    let on = draw.one(&["", "on (job, instance)", "ignoring (nope)", "ignoring (instance, v)"]);
    format!("({}) {op} {on} ({})", exact(draw, depth), exact(draw, depth))
}

fn set(draw: &mut Draw, depth: usize, exactly: bool) -> String {
    let op = draw.one(&["and", "or", "unless"]);
    let on = draw.one(&["", "on (job)", "ignoring (instance)", "on ()"]);
    let mut side = || if exactly { exact(draw, depth) } else { vector(draw, depth) };
    let (left, right) = (side(), side());
    format!("({left}) {op} {on} ({right})")
}

fn aggregate(draw: &mut Draw, depth: usize, exactly: bool) -> String {
    let by = draw.one(&["", "by (job) ", "without (instance) ", "by (nope) ", "without (v, x) "]);
    if exactly {
        let op = draw.one(&["sum", "min", "max", "count", "group"]);
        return format!("{op} {by}({})", exact(draw, depth));
    }
    match draw.below(7) {
        0 => format!("quantile {by}(0.{}, {})", draw.below(100), vector(draw, depth)),
        _ => {
            let op = draw.one(&["sum", "avg", "min", "max", "count", "stddev", "stdvar"]);
            format!("{op} {by}({})", vector(draw, depth))
        }
    }
}
