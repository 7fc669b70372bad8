//! Function calls: what is not a range function or plain mathematics.

use super::range_call::{RangeCall, subquery_rows};
use super::select::{Take, eval_taking};
use super::{Context, info, labels, scalar, training, vector};
use crate::error::QueryError;
use crate::func::quick::{Fold, Quick};
use crate::func::{Does, Function, instant, over_time, sums};
use crate::parse::Span;
use crate::plan::{Node, Op};
use crate::value::{Cell, Column, Evaluated, Row, Steps};
use ringwell_storage::model::{Labels, METRIC_NAME, MatchOp};

type Evaluation = Result<Evaluated, QueryError>;

pub(super) fn eval(
    ctx: &Context<'_>,
    function: &'static Function,
    args: &[Node],
    span: Span,
    steps: Steps,
) -> Evaluation {
    match function.does {
        Does::Math(f) => each_float(ctx, args, steps, |_, v| f(v)),
        Does::OfTime(f) => match args.first() {
            Some(_) => each_float(ctx, args, steps, |_, v| f(v)),
            None => {
                let values = steps.iter().map(|t| f((t as f64 / 1000.0).floor()));
                Ok(Evaluated::Vector(vec![nameless(values.collect())]))
            }
        },
        Does::OfHistogram(f) => {
            let rows = rows_of(ctx, args, 0, steps)?;
            Ok(Evaluated::Vector(map_cells(rows, |_, cell| match cell {
                Cell::Histogram(h) => Some(f(h)),
                _ => None,
            })))
        }
        Does::Range { f, keeps_name, quick } => {
            if function.name == "double_exponential_smoothing" {
                check_smoothing(ctx, args, steps)?;
            }
            let call = RangeCall { f, keeps_name, quick, training: false, args, span };
            call.eval(ctx, steps).map(Evaluated::Vector)
        }
        Does::Training(f) => {
            let call =
                RangeCall { f, keeps_name: true, quick: Quick::No, training: true, args, span };
            let rows = call.eval(ctx, steps)?;
            let mut rows = training::newest_runs(ctx, rows, args, span, steps)?;
            rows.iter_mut().for_each(|row| row.drop_name = true);
            Ok(Evaluated::Vector(rows))
        }
        Does::Special => special(ctx, function.name, args, span, steps),
    }
}

fn special(ctx: &Context<'_>, name: &str, args: &[Node], span: Span, steps: Steps) -> Evaluation {
    let frame = ctx.frame;
    let constant = |value: f64| Ok(Evaluated::Scalar(vec![value; steps.count]));
    match name {
        "pi" => constant(std::f64::consts::PI),
        "start" => constant(frame.start as f64 / 1000.0),
        "end" => constant(frame.end as f64 / 1000.0),
        "step" => constant(frame.step as f64 / 1000.0),
        "range" => constant(frame.end.saturating_sub(frame.start) as f64 / 1000.0),
        "time" => Ok(Evaluated::Scalar(steps.iter().map(|t| t as f64 / 1000.0).collect())),
        "min_of" | "max_of" => {
            let (a, b) = (scalar_of(ctx, args, 0, steps)?, scalar_of(ctx, args, 1, steps)?);
            let pick = if name == "min_of" { instant::go_min } else { instant::go_max };
            Ok(Evaluated::Scalar(a.iter().zip(&b).map(|(a, b)| pick(*a, *b)).collect()))
        }
        "scalar" => Ok(Evaluated::Scalar(to_scalar(&rows_of(ctx, args, 0, steps)?, steps))),
        "vector" => Ok(Evaluated::Vector(vec![nameless(scalar_of(ctx, args, 0, steps)?)])),
        "timestamp" => timestamps(ctx, args, steps, Take::Time),
        "start_timestamp" => timestamps(ctx, args, steps, Take::StartTime),
        "absent" => absent(ctx, args, steps),
        "absent_over_time" => absent_over_time(ctx, args, span, steps),
        "clamp" => {
            let (min, max) = (scalar_of(ctx, args, 1, steps)?, scalar_of(ctx, args, 2, steps)?);
            let rows = rows_of(ctx, args, 0, steps)?;
            let of = |values: &[f64], i: usize| values.get(i).copied().unwrap_or(f64::NAN);
            Ok(Evaluated::Vector(map_cells(rows, |i, cell| match cell {
                // Inverted bounds leave nothing; a bound of NaN makes all NaN.
                Cell::Float(_) if of(&max, i) < of(&min, i) => None,
                Cell::Float(v) => Some(instant::clamp(v, of(&min, i), of(&max, i))),
                _ => None,
            })))
        }
        "clamp_max" => with_scalar(ctx, args, steps, instant::go_min),
        "clamp_min" => with_scalar(ctx, args, steps, instant::go_max),
        "round" if args.len() == 1 => each_float(ctx, args, steps, |_, v| instant::round(v, 1.0)),
        "round" => with_scalar(ctx, args, steps, instant::round),
        "sort" | "sort_desc" | "sort_by_label" | "sort_by_label_desc" => {
            if frame.step > 0 {
                ctx.warn(
                    span,
                    "sort is ineffective for range queries since results are always ordered by \
                     labels",
                );
            }
            let rows = rows_of(ctx, args, 0, steps)?;
            let by: Vec<String> = args.iter().skip(1).map(|a| text_of(a).0).collect();
            Ok(Evaluated::Vector(labels::sorted(name, rows, &by)))
        }
        "label_replace" => labels::replace(ctx, args, steps).map(Evaluated::Vector),
        "label_join" => labels::join(ctx, args, steps).map(Evaluated::Vector),
        "histogram_quantile" | "histogram_quantiles" | "histogram_fraction" => {
            super::histograms::eval(ctx, name, args, span, steps).map(Evaluated::Vector)
        }
        "load_variance" => {
            Ok(Evaluated::Vector(load_variance(&rows_of(ctx, args, 0, steps)?, steps)))
        }
        "quantile_bounds" => super::histograms::bounds(ctx, args, steps).map(Evaluated::Vector),
        "last_n" => Err(QueryError::execution("a range vector has no value of its own")),
        "info" => info::eval(ctx, args, steps).map(Evaluated::Vector),
        other => Err(QueryError::execution(format!("function {other:?} is not built"))),
    }
}

/// Text and, if it is no UTF-8, its spelling.
pub(super) fn text_of(node: &Node) -> (String, Option<String>) {
    match &node.unwrapped().op {
        Op::Text { value, not_utf8 } => (value.clone(), not_utf8.clone()),
        _ => (String::new(), None),
    }
}

pub(super) fn rows_of(
    ctx: &Context<'_>,
    args: &[Node],
    at: usize,
    steps: Steps,
) -> Result<Vec<Row>, QueryError> {
    args.get(at).map_or(Ok(Vec::new()), |arg| vector(ctx, arg, steps))
}

pub(super) fn scalar_of(
    ctx: &Context<'_>,
    args: &[Node],
    at: usize,
    steps: Steps,
) -> Result<Vec<f64>, QueryError> {
    args.get(at).map_or(Ok(vec![f64::NAN; steps.count]), |arg| scalar(ctx, arg, steps))
}

fn nameless(values: Vec<f64>) -> Row {
    let mut column = Column::empty(values.len());
    for (i, value) in values.into_iter().enumerate() {
        column.set_float(i, value);
    }
    Row { labels: Labels::empty(), drop_name: false, column }
}

/// Floats from cells, nothing where `f` gives nothing; the name goes, empty rows too.
pub(super) fn map_cells(
    mut rows: Vec<Row>,
    mut f: impl FnMut(usize, Cell<'_>) -> Option<f64>,
) -> Vec<Row> {
    for row in &mut rows {
        row.drop_name = true;
        for i in 0..row.column.len() {
            let cell = row.column.get(i);
            if matches!(cell, Cell::None) {
                continue;
            }
            match f(i, cell) {
                Some(value) => row.column.set_float(i, value),
                None => row.column.clear(i),
            }
        }
    }
    rows.retain(|row| !row.column.is_empty());
    rows
}

fn each_float(
    ctx: &Context<'_>,
    args: &[Node],
    steps: Steps,
    f: impl Fn(usize, f64) -> f64,
) -> Evaluation {
    let rows = rows_of(ctx, args, 0, steps)?;
    Ok(Evaluated::Vector(map_cells(rows, |i, cell| match cell {
        Cell::Float(v) => Some(f(i, v)),
        _ => None,
    })))
}

fn with_scalar(
    ctx: &Context<'_>,
    args: &[Node],
    steps: Steps,
    f: fn(f64, f64) -> f64,
) -> Evaluation {
    let values = scalar_of(ctx, args, 1, steps)?;
    each_float(ctx, args, steps, |i, v| f(v, values.get(i).copied().unwrap_or(f64::NAN)))
}

/// The largest distance from the mean, in percent of the mean; nothing where that is zero.
fn load_variance(rows: &[Row], steps: Steps) -> Vec<Row> {
    let mut column = Column::empty(steps.count);
    for i in 0..steps.count {
        let loads: Vec<f64> = rows
            .iter()
            .filter_map(|row| match row.column.get(i) {
                Cell::Float(v) => Some(v),
                _ => None,
            })
            .collect();
        let mean = sums::sum(loads.iter().copied()) / loads.len() as f64;
        if loads.is_empty() || mean == 0.0 {
            continue;
        }
        let farthest = loads.iter().map(|v| (v - mean).abs()).fold(0.0, f64::max);
        column.set_float(i, farthest / mean * 100.0);
    }
    if column.is_empty() {
        return Vec::new();
    }
    vec![Row { labels: Labels::empty(), drop_name: false, column }]
}

fn to_scalar(rows: &[Row], steps: Steps) -> Vec<f64> {
    (0..steps.count)
        .map(|i| {
            let mut floats = rows.iter().filter_map(|row| match row.column.get(i) {
                Cell::Float(v) => Some(v),
                _ => None,
            });
            match (floats.next(), floats.next()) {
                (Some(only), None) => only,
                _ => f64::NAN,
            }
        })
        .collect()
}

/// The time of the sample itself where a selector is asked, else of the step.
fn timestamps(ctx: &Context<'_>, args: &[Node], steps: Steps, take: Take) -> Evaluation {
    let Some(arg) = args.first() else { return Ok(Evaluated::Vector(Vec::new())) };
    if let Op::Select(select) = &arg.unwrapped().op {
        let mut rows = eval_taking(ctx, select, arg.span, steps, take)?;
        rows.iter_mut().for_each(|row| row.drop_name = true);
        return Ok(Evaluated::Vector(rows));
    }
    let rows = vector(ctx, arg, steps)?;
    Ok(Evaluated::Vector(map_cells(rows, |i, _| {
        (take == Take::Time).then(|| steps.at(i) as f64 / 1000.0)
    })))
}

fn check_smoothing(ctx: &Context<'_>, args: &[Node], steps: Steps) -> Result<(), QueryError> {
    for (at, name, letter) in [(1, "smoothing", "sf"), (2, "trend", "tf")] {
        let values = scalar_of(ctx, args, at, steps)?;
        if let Some(bad) = values.iter().find(|v| !(**v > 0.0 && **v < 1.0)) {
            return Err(QueryError::execution(format!(
                "invalid {name} factor. Expected: 0 < {letter} < 1, got: {bad:.6}"
            )));
        }
    }
    Ok(())
}

/// The labels that a selector's equalities fix.
fn absent_labels(ctx: &Context<'_>, arg: &Node) -> Labels {
    let source = match &arg.unwrapped().op {
        Op::Select(select) => select.source,
        Op::Window(window) => window.select.source,
        _ => return Labels::empty(),
    };
    let matchers = ctx.sources.get(source).map_or(&[][..], |s| &s.matchers);
    let mut labels = Labels::empty().to_builder();
    let mut fixed: Vec<&str> = Vec::new();
    for matcher in matchers.iter().filter(|m| m.name() != METRIC_NAME) {
        // A second condition on a label leaves its value open.
        if matcher.op() == MatchOp::Equal && !fixed.contains(&matcher.name()) {
            labels.set(matcher.name(), matcher.value());
            fixed.push(matcher.name());
        } else {
            labels.remove(matcher.name());
        }
    }
    labels.build().unwrap_or_else(|_| Labels::empty())
}

fn absent_row(labels: Labels, rows: &[Row], steps: Steps) -> Evaluated {
    let mut column = Column::empty(steps.count);
    for i in 0..steps.count {
        if !rows.iter().any(|row| row.column.has(i)) {
            column.set_float(i, 1.0);
        }
    }
    if column.is_empty() {
        return Evaluated::Vector(Vec::new());
    }
    Evaluated::Vector(vec![Row { labels, drop_name: false, column }])
}

fn absent(ctx: &Context<'_>, args: &[Node], steps: Steps) -> Evaluation {
    let Some(arg) = args.first() else { return Ok(Evaluated::Vector(Vec::new())) };
    let rows = vector(ctx, arg, steps)?;
    Ok(absent_row(absent_labels(ctx, arg), &rows, steps))
}

fn absent_over_time(ctx: &Context<'_>, args: &[Node], span: Span, steps: Steps) -> Evaluation {
    let Some(arg) = args.first() else { return Ok(Evaluated::Vector(Vec::new())) };
    let (f, quick) = (over_time::present, Quick::Fold(Fold::Present));
    let call = RangeCall { f, keeps_name: false, quick, training: false, args, span };
    let rows = call.eval(ctx, steps)?;
    Ok(absent_row(absent_labels(ctx, arg), &rows, steps))
}

/// The samples of a range vector at the one step of an instant query.
pub(crate) fn matrix(
    ctx: &Context<'_>,
    node: &Node,
    t: i64,
) -> Result<Vec<(Labels, bool, super::Samples)>, QueryError> {
    let steps = Steps::once(t);
    match &node.op {
        Op::Window(window) => super::select::range_samples(ctx, window, t),
        Op::Subquery(subquery) => {
            let (rows, inner) = subquery_rows(ctx, subquery, steps)?;
            let with_samples = |row: Row| {
                let samples = super::Samples::of_row(&row, inner);
                (row.labels, row.drop_name, samples)
            };
            Ok(rows.into_iter().map(with_samples).collect())
        }
        Op::Call { args, .. } => last_of(ctx, args, t),
        _ => Err(QueryError::execution("expected a range vector")),
    }
}

/// `last_n(range, n)`: of each series the newest samples.
fn last_of(
    ctx: &Context<'_>,
    args: &[Node],
    t: i64,
) -> Result<Vec<(Labels, bool, super::Samples)>, QueryError> {
    let Some(range) = args.first() else { return Ok(Vec::new()) };
    let n = scalar_of(ctx, args, 1, Steps::once(t))?.first().copied().unwrap_or(f64::NAN);
    let mut series = matrix(ctx, range, t)?;
    for (_, _, samples) in &mut series {
        samples.keep_last(as_count(n));
    }
    series.retain(|(_, _, samples)| samples.len() > 0);
    Ok(series)
}

/// A number of samples: 0 for what is none.
pub(super) fn as_count(n: f64) -> usize {
    // Casting saturates, and makes 0 of NaN.
    n as usize
}
