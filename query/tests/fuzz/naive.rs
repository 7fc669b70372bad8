//! PromQL the plain way: every expression anew at every step, every series looked through from its first
//! sample. Slow, short, and written from what the language says rather than from the engine.

use std::collections::BTreeMap;

use ringwell_query::When;
use ringwell_query::parse::DurationContext;
use ringwell_query::parse::expr::{
    Aggregate, AggregateOp, At, Binary, BinaryOp, Cardinality, DurationExpr, Expr, Kind, Matching,
    Selector, Shift, Subquery,
};
use ringwell_storage::model::{Labels, is_stale};

/// All series.
pub(crate) type Data = Vec<(Labels, Vec<(i64, f64)>)>;
/// Points by series, named as [`name`] does.
pub(crate) type Answer = BTreeMap<String, Vec<(i64, f64)>>;

type Metric = BTreeMap<String, String>;
type Vector = Vec<(Metric, f64)>;
type Failed = String;

const LOOKBACK: i64 = 300_000;
const SUBQUERY_STEP: i64 = 60_000;

enum Given {
    Scalar(f64),
    Vector(Vector),
    /// Samples of the window, oldest first, and its ends.
    Matrix(Vec<(Metric, Vec<(i64, f64)>)>, i64, i64),
    Text(String),
}

/// How a series is called when answers are compared.
pub(crate) fn name(labels: &Labels) -> String {
    spelled(&labels.iter().map(|l| (l.name.to_owned(), l.value.to_owned())).collect())
}

fn spelled(metric: &Metric) -> String {
    if metric.is_empty() { String::new() } else { format!("{metric:?}") }
}

pub(crate) fn evaluate(expr: &Expr, data: &Data, when: When) -> Result<Answer, Failed> {
    let (start, end, step) = match when {
        When::At(t) => (t, t, 1),
        When::Range { start, end, step } => (start, end, step),
    };
    let naive = Naive { data, start, end, step: if start == end { 0 } else { step } };
    let mut answer = Answer::new();
    let mut t = start;
    while t <= end {
        match naive.at(expr, t)? {
            Given::Scalar(v) => answer.entry(String::new()).or_default().push((t, v)),
            Given::Vector(vector) => {
                for (metric, v) in unique(vector)? {
                    answer.entry(spelled(&metric)).or_default().push((t, v));
                }
            }
            Given::Matrix(..) | Given::Text(_) => return Err("not over a range".to_owned()),
        }
        t += step;
    }
    Ok(answer)
}

fn unique(vector: Vector) -> Result<Vector, Failed> {
    let mut names: Vec<String> = vector.iter().map(|(metric, _)| spelled(metric)).collect();
    names.sort();
    names.dedup();
    if names.len() == vector.len() { Ok(vector) } else { Err("the same labelset twice".to_owned()) }
}

struct Naive<'a> {
    data: &'a Data,
    start: i64,
    end: i64,
    step: i64,
}

impl Naive<'_> {
    fn at(&self, expr: &Expr, t: i64) -> Result<Given, Failed> {
        Ok(match &expr.kind {
            Kind::Number(v) => Given::Scalar(*v),
            Kind::Text(text) => Given::Text(text.value.clone()),
            Kind::Paren(inner) => return self.at(inner, t),
            Kind::Unary(negative, inner) => {
                let sign = if *negative { -1.0 } else { 1.0 };
                match self.at(inner, t)? {
                    Given::Scalar(v) => Given::Scalar(sign * v),
                    given if sign > 0.0 => given,
                    given => Given::Vector(map(vector(given)?, |v| -v)?),
                }
            }
            Kind::Selector(selector) => {
                let newest = self.newest(selector, t)?;
                Given::Vector(newest.into_iter().map(|(m, _, v)| (m, v)).collect())
            }
            Kind::Matrix(selector, range) => self.window(selector, range, t)?,
            Kind::Subquery(subquery) => self.subquery(subquery, t)?,
            Kind::Call(function, args) => return self.call(function.name, args, t),
            Kind::Aggregate(aggregate) => Given::Vector(self.aggregate(aggregate, t)?),
            Kind::Binary(binary) => return self.binary(binary, t),
        })
    }

    fn vector(&self, expr: &Expr, t: i64) -> Result<Vector, Failed> {
        vector(self.at(expr, t)?)
    }

    fn scalar(&self, expr: &Expr, t: i64) -> Result<f64, Failed> {
        match self.at(expr, t)? {
            Given::Scalar(v) => Ok(v),
            _ => Err("not a scalar".to_owned()),
        }
    }

    fn millis(&self, duration: &DurationExpr) -> Result<i64, Failed> {
        let context = DurationContext { step: self.step, range: self.end - self.start };
        duration.millis(context).map_err(str::to_owned)
    }

    fn shifted(&self, shift: &Shift, t: i64) -> Result<i64, Failed> {
        let at = match shift.at {
            None => t,
            Some(At::Time(at)) => at,
            Some(At::Start) => self.start,
            Some(At::End) => self.end,
        };
        let offset = shift.offset.as_ref().map_or(Ok(0), |offset| self.millis(offset))?;
        Ok(at - offset)
    }

    fn selected(&self, selector: &Selector) -> Vec<(Metric, &[(i64, f64)])> {
        let meant = |labels: &Labels| {
            selector.matchers.iter().all(|m| m.matches(labels.get(m.name()).unwrap_or("")))
        };
        let found = self.data.iter().filter(|(labels, _)| meant(labels));
        found
            .map(|(labels, samples)| {
                let pairs = labels.iter().map(|l| (l.name.to_owned(), l.value.to_owned()));
                (pairs.collect(), samples.as_slice())
            })
            .collect()
    }

    /// The newest sample of each series, with its time.
    fn newest(&self, selector: &Selector, t: i64) -> Result<Vec<(Metric, i64, f64)>, Failed> {
        let t = self.shifted(&selector.shift, t)?;
        let mut out = Vec::new();
        for (metric, samples) in self.selected(selector) {
            let newest = samples.iter().rev().find(|s| s.0 <= t && s.0 > t - LOOKBACK);
            if let Some((at, v)) = newest.filter(|s| !is_stale(s.1)) {
                out.push((metric, *at, *v));
            }
        }
        Ok(out)
    }

    fn window(&self, selector: &Selector, range: &DurationExpr, t: i64) -> Result<Given, Failed> {
        let to = self.shifted(&selector.shift, t)?;
        let from = to - self.millis(range)?;
        let inside = |s: &&(i64, f64)| from < s.0 && s.0 <= to && !is_stale(s.1);
        let windows = self.selected(selector).into_iter().map(|(metric, samples)| {
            (metric, samples.iter().filter(inside).copied().collect::<Vec<_>>())
        });
        Ok(Given::Matrix(windows.filter(|w| !w.1.is_empty()).collect(), from, to))
    }

    fn subquery(&self, subquery: &Subquery, t: i64) -> Result<Given, Failed> {
        let to = self.shifted(&subquery.shift, t)?;
        let from = to - self.millis(&subquery.range)?;
        let step = subquery.step.as_ref().map_or(Ok(SUBQUERY_STEP), |step| self.millis(step))?;
        // Steps are multiples of the step; the first lies after the window's left end.
        let mut at = (from.div_euclid(step) + 1) * step;
        let mut series: BTreeMap<String, (Metric, Vec<(i64, f64)>)> = BTreeMap::new();
        while at <= to {
            for (metric, v) in unique(self.vector(&subquery.expr, at)?)? {
                let of = series.entry(spelled(&metric)).or_insert((metric, Vec::new()));
                of.1.push((at, v));
            }
            at += step;
        }
        Ok(Given::Matrix(series.into_values().collect(), from, to))
    }

    fn call(&self, name: &str, args: &[Expr], t: i64) -> Result<Given, Failed> {
        let math: Option<fn(f64) -> f64> = match name {
            "abs" => Some(f64::abs),
            "ceil" => Some(f64::ceil),
            "floor" => Some(f64::floor),
            "exp" => Some(f64::exp),
            "sin" => Some(f64::sin),
            "sqrt" => Some(f64::sqrt),
            "atan" => Some(f64::atan),
            "sgn" => Some(|v| if v == 0.0 || v.is_nan() { v } else { v.signum() }),
            "round" => Some(|v| (v + 0.5).floor()),
            _ => None,
        };
        if let Some(f) = math {
            return Ok(Given::Vector(map(self.vector(&args[0], t)?, f)?));
        }
        Ok(match name {
            "time" => Given::Scalar(t as f64 / 1000.0),
            "scalar" => Given::Scalar(match self.vector(&args[0], t)?.as_slice() {
                [(_, v)] => *v,
                _ => f64::NAN,
            }),
            "timestamp" => Given::Vector(self.timestamps(&args[0], t)?),
            "clamp" => {
                let (low, high) = (self.scalar(&args[1], t)?, self.scalar(&args[2], t)?);
                let all = self.vector(&args[0], t)?;
                let none = low > high;
                Given::Vector(if none {
                    Vec::new()
                } else {
                    map(all, |v| go_max(low, go_min(high, v)))?
                })
            }
            "label_replace" => Given::Vector(self.label_replace(args, t)?),
            "absent" => {
                let none = self.vector(&args[0], t)?.is_empty();
                Given::Vector(if none { vec![(equalities(&args[0]), 1.0)] } else { Vec::new() })
            }
            "absent_over_time" => {
                let Given::Matrix(windows, ..) = self.at(&args[0], t)? else {
                    return Err("not a range".to_owned());
                };
                let none = windows.is_empty();
                Given::Vector(if none { vec![(equalities(&args[0]), 1.0)] } else { Vec::new() })
            }
            _ => self.over_time(name, args, t)?,
        })
    }

    /// Of a selector the times of its samples, of anything else the time of evaluation.
    fn timestamps(&self, arg: &Expr, t: i64) -> Result<Vector, Failed> {
        let mut arg = arg;
        while let Kind::Paren(inner) = &arg.kind {
            arg = inner;
        }
        if let Kind::Selector(selector) = &arg.kind {
            let newest = self.newest(selector, t)?.into_iter();
            return unique(newest.map(|(m, at, _)| (nameless(m), at as f64 / 1000.0)).collect());
        }
        map(self.vector(arg, t)?, |_| t as f64 / 1000.0)
    }

    fn label_replace(&self, args: &[Expr], t: i64) -> Result<Vector, Failed> {
        let text = |i: usize| match self.at(&args[i], t)? {
            Given::Text(text) => Ok(text),
            _ => Err("not a string".to_owned()),
        };
        let (to, with, from) = (text(1)?, text(2)?, text(3)?);
        let pattern =
            regex::Regex::new(&format!("^(?s:{})$", text(4)?)).map_err(|e| e.to_string())?;
        let mut out = Vec::new();
        for (mut metric, v) in self.vector(&args[0], t)? {
            let value = metric.get(&from).cloned().unwrap_or_default();
            if let Some(found) = pattern.captures(&value) {
                let with = with.replace("$1", found.get(1).map_or("", |m| m.as_str()));
                metric.insert(to.clone(), with);
                metric.retain(|_, value| !value.is_empty());
            }
            out.push((metric, v));
        }
        unique(out)
    }

    fn over_time(&self, name: &str, args: &[Expr], t: i64) -> Result<Given, Failed> {
        let (q, window) = match args {
            [q, window] => (self.scalar(q, t)?, window),
            [window] => (0.0, window),
            _ => return Err(format!("{name} is not known here")),
        };
        let Given::Matrix(windows, from, to) = self.at(window, t)? else {
            return Err("not a range".to_owned());
        };
        let keeps_name = name == "last_over_time" || name == "first_over_time";
        let mut out = Vec::new();
        for (metric, samples) in windows {
            let values: Vec<f64> = samples.iter().map(|s| s.1).collect();
            if let Some(v) = of_window(name, q, &samples, &values, from, to) {
                out.push((if keeps_name { metric } else { nameless(metric) }, v));
            }
        }
        Ok(Given::Vector(unique(out)?))
    }

    fn aggregate(&self, aggregate: &Aggregate, t: i64) -> Result<Vector, Failed> {
        let all = self.vector(&aggregate.expr, t)?;
        let mut groups: BTreeMap<String, (Metric, Vec<f64>)> = BTreeMap::new();
        let mut add = |metric: Metric, v: f64| {
            groups.entry(spelled(&metric)).or_insert((metric, Vec::new())).1.push(v);
        };
        let listed = |name: &String| aggregate.grouping.contains(name);
        for (mut metric, v) in all {
            metric.retain(|name, _| {
                if aggregate.without { name != "__name__" && !listed(name) } else { listed(name) }
            });
            if aggregate.op == AggregateOp::CountValues {
                metric.insert("v".to_owned(), ringwell_query::format_float(v));
            }
            add(metric, v);
        }
        let q = match &aggregate.param {
            Some(q) if aggregate.op == AggregateOp::Quantile => self.scalar(q, t)?,
            _ => 0.0,
        };
        let of = |(metric, values): (Metric, Vec<f64>)| {
            let count = values.len() as f64;
            let v = match aggregate.op {
                AggregateOp::Sum => values.iter().sum(),
                AggregateOp::Avg => mean(&values),
                AggregateOp::Min => least(&values),
                AggregateOp::Max => most(&values),
                AggregateOp::Count | AggregateOp::CountValues => count,
                AggregateOp::Group => 1.0,
                AggregateOp::Stddev => variance(&values).sqrt(),
                AggregateOp::Stdvar => variance(&values),
                _ => quantile(q, &values),
            };
            (metric, v)
        };
        Ok(groups.into_values().map(of).collect())
    }

    fn binary(&self, binary: &Binary, t: i64) -> Result<Given, Failed> {
        let (left, right) = (self.at(&binary.left, t)?, self.at(&binary.right, t)?);
        let (op, comparing) = (binary.op, binary.op.is_comparison());
        let keep = comparing && !binary.returns_bool;
        let out = match (left, right) {
            (Given::Scalar(a), Given::Scalar(b)) => return Ok(Given::Scalar(operate(op, a, b))),
            (Given::Vector(all), Given::Scalar(b)) => {
                all.into_iter().map(|(m, a)| (m, a, operate(op, a, b), a)).collect::<Vec<_>>()
            }
            (Given::Scalar(a), Given::Vector(all)) => {
                all.into_iter().map(|(m, b)| (m, b, operate(op, a, b), b)).collect()
            }
            (Given::Vector(a), Given::Vector(b)) if op.is_set() => {
                return Ok(Given::Vector(sets(op, &binary.matching, a, b)));
            }
            (Given::Vector(a), Given::Vector(b)) => {
                return Ok(Given::Vector(unique(matched(binary, a, &b, keep)?)?));
            }
            _ => return Err("not operands".to_owned()),
        };
        let kept = out.into_iter().filter(|(_, _, result, _)| !keep || *result == 1.0);
        let kept =
            kept.map(|(m, _, result, own)| if keep { (m, own) } else { (nameless(m), result) });
        Ok(Given::Vector(unique(kept.collect())?))
    }
}

fn vector(given: Given) -> Result<Vector, Failed> {
    match given {
        Given::Vector(vector) => Ok(vector),
        Given::Scalar(v) => Ok(vec![(Metric::new(), v)]),
        _ => Err("not a vector".to_owned()),
    }
}

fn nameless(mut metric: Metric) -> Metric {
    metric.remove("__name__");
    metric
}

fn map(all: Vector, f: impl Fn(f64) -> f64) -> Result<Vector, Failed> {
    unique(all.into_iter().map(|(m, v)| (nameless(m), f(v))).collect())
}

/// What the absence of a selector's series has as labels: what is asked to be equal, once.
fn equalities(expr: &Expr) -> Metric {
    let mut expr = expr;
    while let Kind::Paren(inner) = &expr.kind {
        expr = inner;
    }
    let (Kind::Selector(selector) | Kind::Matrix(selector, _)) = &expr.kind else {
        return Metric::new();
    };
    let equal = |m: &&ringwell_storage::model::Matcher| {
        m.op() == ringwell_storage::model::MatchOp::Equal
            && m.name() != "__name__"
            && !m.value().is_empty()
    };
    let equal = selector.matchers.iter().filter(equal);
    equal.map(|m| (m.name().to_owned(), m.value().to_owned())).collect()
}

fn operate(op: BinaryOp, a: f64, b: f64) -> f64 {
    let truth = |is: bool| if is { 1.0 } else { 0.0 };
    match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        BinaryOp::Mod => a % b,
        BinaryOp::Equal => truth(a == b),
        BinaryOp::NotEqual => truth(a != b),
        BinaryOp::Less => truth(a < b),
        BinaryOp::LessEqual => truth(a <= b),
        BinaryOp::Greater => truth(a > b),
        BinaryOp::GreaterEqual => truth(a >= b),
        _ => f64::NAN,
    }
}

/// By what elements of two sides find each other.
fn signature(matching: &Matching, metric: &Metric) -> String {
    let listed = |name: &String| matching.labels.contains(name);
    let of = metric.iter().filter(|(name, _)| {
        if matching.on { listed(name) } else { *name != "__name__" && !listed(name) }
    });
    format!("{:?}", of.collect::<Vec<_>>())
}

fn sets(op: BinaryOp, matching: &Matching, left: Vector, right: Vector) -> Vector {
    let of = |side: &Vector| side.iter().map(|(m, _)| signature(matching, m)).collect::<Vec<_>>();
    let (of_left, of_right) = (of(&left), of(&right));
    match op {
        BinaryOp::And => {
            left.into_iter().filter(|(m, _)| of_right.contains(&signature(matching, m))).collect()
        }
        BinaryOp::Unless => {
            left.into_iter().filter(|(m, _)| !of_right.contains(&signature(matching, m))).collect()
        }
        _ => {
            let more =
                right.into_iter().filter(|(m, _)| !of_left.contains(&signature(matching, m)));
            left.into_iter().chain(more).collect()
        }
    }
}

/// One to one, or `group_left ()`.
fn matched(binary: &Binary, left: Vector, right: &Vector, keep: bool) -> Result<Vector, Failed> {
    if left.is_empty() || right.is_empty() {
        return Ok(Vector::new());
    }
    let matching = &binary.matching;
    let mut ones: BTreeMap<String, f64> = BTreeMap::new();
    for (metric, v) in right {
        if ones.insert(signature(matching, metric), *v).is_some() {
            return Err("duplicate series on the right".to_owned());
        }
    }
    let (mut out, mut met) = (Vec::new(), Vec::new());
    for (metric, a) in left {
        let signature = signature(matching, &metric);
        let Some(b) = ones.get(&signature) else { continue };
        let one_to_one = matching.cardinality == Cardinality::OneToOne;
        if one_to_one && met.contains(&signature) {
            return Err("many on the left".to_owned());
        }
        met.push(signature);
        let result = operate(binary.op, a, *b);
        if keep && result != 1.0 {
            continue;
        }
        let mut metric = if keep { metric } else { nameless(metric) };
        if one_to_one {
            metric.retain(|name, _| matching.labels.contains(name) == matching.on);
        }
        out.push((metric, if keep { a } else { result }));
    }
    Ok(out)
}

fn of_window(
    name: &str,
    q: f64,
    samples: &[(i64, f64)],
    values: &[f64],
    from: i64,
    to: i64,
) -> Option<f64> {
    let pairs = || values.windows(2).map(|pair| (pair[0], pair[1]));
    let (&first, &last) = (values.first()?, values.last()?);
    let two =
        || (values.len() >= 2).then(|| (samples[samples.len() - 2], samples[samples.len() - 1]));
    Some(match name {
        "avg_over_time" => mean(values),
        "sum_over_time" => values.iter().sum(),
        "min_over_time" => least(values),
        "max_over_time" => most(values),
        "count_over_time" => values.len() as f64,
        "last_over_time" => last,
        "first_over_time" => first,
        "present_over_time" => 1.0,
        "stddev_over_time" => variance(values).sqrt(),
        "stdvar_over_time" => variance(values),
        "quantile_over_time" => quantile(q, values),
        "changes" => {
            let differs = |(a, b): &(f64, f64)| a != b && !(a.is_nan() && b.is_nan());
            pairs().filter(differs).count() as f64
        }
        "resets" => pairs().filter(|(a, b)| b < a).count() as f64,
        "irate" => {
            let ((t, a), (u, b)) = two()?;
            (if b < a { b } else { b - a }) / ((u - t) as f64 / 1000.0)
        }
        "idelta" => two().map(|((_, a), (_, b))| b - a)?,
        "rate" => extrapolated(samples, true, from, to)? / ((to - from) as f64 / 1000.0),
        "increase" => extrapolated(samples, true, from, to)?,
        "delta" => extrapolated(samples, false, from, to)?,
        _ => return None,
    })
}

/// The change of a window, stretched towards its ends: to an end that is near, else by half of the usual
/// distance of two samples; of a counter no further back than to where it was zero.
fn extrapolated(samples: &[(i64, f64)], counter: bool, from: i64, to: i64) -> Option<f64> {
    let (first, last) = (samples.first()?, samples.last()?);
    if samples.len() < 2 {
        return None;
    }
    let mut change = last.1 - first.1;
    if counter {
        change += samples.windows(2).filter(|p| p[1].1 < p[0].1).map(|p| p[0].1).sum::<f64>();
    }
    let seconds = |ms: i64| ms as f64 / 1000.0;
    let covered = seconds(last.0 - first.0);
    let usual = covered / (samples.len() - 1) as f64;
    let reach = |gap: f64| if gap >= usual * 1.1 { usual / 2.0 } else { gap };
    let mut before = reach(seconds(first.0 - from));
    if counter && change > 0.0 && first.1 >= 0.0 {
        before = before.min(covered * (first.1 / change));
    }
    let after = reach(seconds(to - last.0));
    Some(change * ((covered + before + after) / covered))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Of the distances from the first, so that equal values differ by nothing, however large.
fn variance(values: &[f64]) -> f64 {
    let distances: Vec<f64> = values.iter().map(|v| v - values[0]).collect();
    let mean = mean(&distances);
    distances.iter().map(|d| (d - mean) * (d - mean)).sum::<f64>() / values.len() as f64
}

/// A NaN only where there is nothing else.
fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NAN, f64::min)
}

fn most(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NAN, f64::max)
}

/// Unlike Rust's, NaN wins.
fn go_min(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }
}

fn go_max(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

/// Between the two nearest of the sorted values; NaN is less than any.
fn quantile(q: f64, values: &[f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| match (a.is_nan(), b.is_nan()) {
        (true, true) => std::cmp::Ordering::Equal,
        (true, false) => std::cmp::Ordering::Less,
        (false, true) => std::cmp::Ordering::Greater,
        _ => a.total_cmp(b),
    });
    let rank = q * (values.len() - 1) as f64;
    let low = rank.floor() as usize;
    let high = low + 1;
    let weight = rank - rank.floor();
    sorted[low] * (1.0 - weight) + sorted[high.min(values.len() - 1)] * weight
}
