//! Every function, its arguments and its result.

use super::quick::{Fold, Quick};
use super::rate::Kind;
use super::{RangeFn, histogram, instant, outlier, over_time, rate, regression, time, training};
use crate::parse::expr::ValueType::{self, Matrix, Scalar, Text, Vector};

/// A function's signature.
#[derive(Debug)]
pub struct Function {
    /// As written.
    pub name: &'static str,
    /// Types of its arguments; the last one repeats where it is variadic.
    pub args: &'static [ValueType],
    /// How many arguments there may be.
    pub variadic: Variadic,
    /// What it gives.
    pub returns: ValueType,
    pub(crate) does: Does,
}

impl Function {
    /// Whether it works window by window.
    pub(crate) fn is_ranged(&self) -> bool {
        matches!(self.does, Does::Range { .. } | Does::Training(_))
    }
}

/// How a function is computed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Does {
    /// Number by number; histograms vanish.
    Math(fn(f64) -> f64),
    /// From each histogram a number; floats vanish.
    OfHistogram(fn(&ringwell_storage::model::FloatHistogram) -> f64),
    /// A part of a date, in UTC.
    OfTime(fn(f64) -> f64),
    /// Window by window, or in a quicker way where there is one.
    Range { f: RangeFn, keeps_name: bool, quick: Quick },
    /// Along the steps of the newest run: see `exec::training`.
    Training(RangeFn),
    /// In a way of its own: see `exec::call`.
    Special,
}

/// How the number of arguments may differ from the declared ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variadic {
    /// It may not.
    No,
    /// The last may be missing, or be given up to this often.
    Optional(usize),
    /// The last may be missing or given any number of times.
    Any,
}

/// The function of this name.
pub(crate) fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|f| f.name == name)
}

const fn fixed(name: &'static str, args: &'static [ValueType], returns: ValueType) -> Function {
    Function { name, args, variadic: Variadic::No, returns, does: Does::Special }
}

const fn of_vector(name: &'static str) -> Function {
    fixed(name, &[Vector], Vector)
}

const fn math(name: &'static str, f: fn(f64) -> f64) -> Function {
    Function { does: Does::Math(f), ..fixed(name, &[Vector], Vector) }
}

const fn of_histogram(
    name: &'static str,
    f: fn(&ringwell_storage::model::FloatHistogram) -> f64,
) -> Function {
    Function { does: Does::OfHistogram(f), ..fixed(name, &[Vector], Vector) }
}

const fn of_range(name: &'static str, f: RangeFn) -> Function {
    ranged(name, &[Matrix], f)
}

/// Of a range, folding each window into one number.
const fn folding(name: &'static str, f: RangeFn, fold: Fold) -> Function {
    let does = Does::Range { f, keeps_name: false, quick: Quick::Fold(fold) };
    Function { does, ..fixed(name, &[Matrix], Vector) }
}

/// The change over a range, stretched to its ends.
const fn change(name: &'static str, f: RangeFn, kind: Kind) -> Function {
    let does = Does::Range { f, keeps_name: false, quick: Quick::Change(kind) };
    Function { does, ..fixed(name, &[Matrix], Vector) }
}

/// Of a range and other arguments.
const fn ranged(name: &'static str, args: &'static [ValueType], f: RangeFn) -> Function {
    let does = Does::Range { f, keeps_name: false, quick: Quick::No };
    Function { does, ..fixed(name, args, Vector) }
}

/// Of a training curve.
const fn of_training(name: &'static str, f: RangeFn) -> Function {
    Function { does: Does::Training(f), ..fixed(name, &[Matrix], Vector) }
}

const fn naming_range(name: &'static str, f: RangeFn) -> Function {
    let does = Does::Range { f, keeps_name: true, quick: Quick::No };
    Function { does, ..fixed(name, &[Matrix], Vector) }
}

/// Takes the evaluation time where no vector is given.
const fn of_time(name: &'static str, f: fn(f64) -> f64) -> Function {
    let does = Does::OfTime(f);
    Function { name, args: &[Vector], variadic: Variadic::Optional(1), returns: Vector, does }
}

const fn any(name: &'static str, args: &'static [ValueType]) -> Function {
    Function { name, args, variadic: Variadic::Any, returns: Vector, does: Does::Special }
}

static FUNCTIONS: &[Function] = &[
    math("abs", f64::abs),
    of_vector("absent"),
    fixed("absent_over_time", &[Matrix], Vector),
    math("acos", f64::acos),
    math("acosh", instant::acosh),
    math("asin", f64::asin),
    math("asinh", instant::asinh),
    math("atan", f64::atan),
    math("atanh", f64::atanh),
    folding("avg_over_time", over_time::avg, Fold::Avg),
    math("ceil", f64::ceil),
    of_range("changes", over_time::changes),
    fixed("clamp", &[Vector, Scalar, Scalar], Vector),
    fixed("clamp_max", &[Vector, Scalar], Vector),
    fixed("clamp_min", &[Vector, Scalar], Vector),
    math("cos", f64::cos),
    math("cosh", f64::cosh),
    folding("count_over_time", over_time::count, Fold::Count),
    of_time("day_of_month", time::day_of_month),
    of_time("day_of_week", time::day_of_week),
    of_time("day_of_year", time::day_of_year),
    of_time("days_in_month", time::days_in_month),
    math("deg", instant::deg),
    change("delta", rate::delta, rate::DELTA),
    of_range("deriv", regression::deriv),
    ranged(
        "double_exponential_smoothing",
        &[Matrix, Scalar, Scalar],
        regression::double_exponential_smoothing,
    ),
    fixed("end", &[], Scalar),
    math("exp", f64::exp),
    naming_range("first_over_time", over_time::first),
    math("floor", f64::floor),
    of_histogram("histogram_avg", histogram::avg),
    of_histogram("histogram_count", histogram::count),
    fixed("histogram_fraction", &[Scalar, Scalar, Vector], Vector),
    fixed("histogram_quantile", &[Scalar, Vector], Vector),
    Function {
        name: "histogram_quantiles",
        args: &[Vector, Text, Scalar, Scalar],
        variadic: Variadic::Optional(9),
        returns: Vector,
        does: Does::Special,
    },
    of_histogram("histogram_stddev", histogram::stddev),
    of_histogram("histogram_stdvar", histogram::stdvar),
    of_histogram("histogram_sum", histogram::sum),
    of_time("hour", time::hour),
    of_range("idelta", rate::idelta),
    change("increase", rate::increase, rate::INCREASE),
    Function {
        name: "info",
        args: &[Vector, Vector],
        variadic: Variadic::Optional(1),
        returns: Vector,
        does: Does::Special,
    },
    of_range("irate", rate::irate),
    any("label_join", &[Vector, Text, Text, Text]),
    fixed("label_replace", &[Vector, Text, Text, Text, Text], Vector),
    naming_range("last_over_time", over_time::last),
    math("ln", f64::ln),
    math("log10", f64::log10),
    math("log2", f64::log2),
    of_range("mad_over_time", over_time::mad),
    fixed("max_of", &[Scalar, Scalar], Scalar),
    folding("max_over_time", over_time::max, Fold::Max),
    fixed("min_of", &[Scalar, Scalar], Scalar),
    folding("min_over_time", over_time::min, Fold::Min),
    of_time("minute", time::minute),
    of_time("month", time::month),
    fixed("pi", &[], Scalar),
    ranged("predict_linear", &[Matrix, Scalar], regression::predict_linear),
    folding("present_over_time", over_time::present, Fold::Present),
    ranged("quantile_over_time", &[Scalar, Matrix], over_time::quantile),
    math("rad", instant::rad),
    fixed("range", &[], Scalar),
    change("rate", rate::rate, rate::RATE),
    of_range("resets", over_time::resets),
    Function {
        name: "round",
        args: &[Vector, Scalar],
        variadic: Variadic::Optional(1),
        returns: Vector,
        does: Does::Special,
    },
    fixed("scalar", &[Vector], Scalar),
    math("sgn", instant::sgn),
    math("sin", f64::sin),
    math("sinh", f64::sinh),
    of_vector("sort"),
    any("sort_by_label", &[Vector, Text]),
    any("sort_by_label_desc", &[Vector, Text]),
    of_vector("sort_desc"),
    math("sqrt", f64::sqrt),
    fixed("start", &[], Scalar),
    of_vector("start_timestamp"),
    of_range("stddev_over_time", over_time::stddev),
    of_range("stdvar_over_time", over_time::stdvar),
    fixed("step", &[], Scalar),
    folding("sum_over_time", over_time::sum, Fold::Sum),
    math("tan", f64::tan),
    math("tanh", f64::tanh),
    fixed("time", &[], Scalar),
    of_vector("timestamp"),
    of_range("ts_of_first_over_time", over_time::ts_of_first),
    of_range("ts_of_last_over_time", over_time::ts_of_last),
    of_range("ts_of_max_over_time", over_time::ts_of_max),
    of_range("ts_of_min_over_time", over_time::ts_of_min),
    fixed("vector", &[Scalar], Vector),
    of_time("year", time::year),
    // Ours, beyond PromQL.
    ranged("avg_last_n", &[Matrix, Scalar], outlier::avg_last_n),
    Function {
        name: "converged",
        args: &[Matrix, Scalar],
        variadic: Variadic::Optional(1),
        returns: Vector,
        does: Does::Training(training::converged),
    },
    of_training("diverging", training::diverging),
    fixed("last_n", &[Matrix, Scalar], Matrix),
    fixed("load_variance", &[Vector], Vector),
    of_range("mad_score", outlier::mad_score),
    of_training("plateau", training::plateau),
    fixed("quantile_bounds", &[Scalar, Vector], Vector),
    of_training("seed_converged", training::seed_converged),
    of_training("seed_plateau", training::seed_plateau),
    of_range("seed_response_time", training::seed_response_time),
    of_training("seed_slope", training::seed_slope),
    of_training("seed_trend", training::seed_trend),
    of_training("seed_volatility", training::seed_volatility),
    of_range("sketch_over_time", outlier::sketch),
    of_training("trend", training::trend),
    of_training("trend_error", training::trend_error),
    of_training("volatility", training::volatility),
    of_range("zscore", outlier::zscore),
];
