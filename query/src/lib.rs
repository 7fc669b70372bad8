//! PromQL and its extensions over a snapshot of the storage. No I/O, no clock, no async.
//!
//! A query goes through [`parse`] (text to a checked tree with places), `plan` (logical nodes,
//! rewrites) and `exec` (operators over all steps, every one drawing from a budget). [`Engine`]
//! runs it and gives an [`Answer`] with Prometheus's values, texts and annotations.
//!
//! Functions only mark a series whose metric name is to go. It goes after each operator, or, with
//! `delayed_name_removal`, at the very end, so that a later `label_replace` can still read it.

mod engine;
pub mod error;
mod exec;
mod func;
mod limits;
mod notes;
pub mod parse;
mod plan;
mod stack;
mod value;

pub use engine::{
    Answer, AnswerValue, Detail, Engine, EngineOptions, MatrixSeries, Operator, Query, QueryStats,
    StepStats, VectorSample, When,
};
pub use error::{ErrorKind, QueryError};
pub use exec::Observed;
pub use func::{Function, Variadic};
pub use limits::{Interrupt, Stop, Uninterrupted};
pub use value::format_float;

use ringwell_storage::model::{FloatHistogram, Histogram, Matcher};

pub use ringwell_storage::model::Quantile;

/// A quantile of a histogram as `histogram_quantile` gives it, with the ends of its bucket as bound.
/// `None` without observations, or where `q` is not from 0 to 1.
pub fn quantile(histogram: &Histogram, q: f64) -> Option<Quantile> {
    let histogram = FloatHistogram::from(histogram);
    let (lower, upper) = func::quantile::holding(&histogram, q)?;
    let (value, _) = func::quantile::quantile(&histogram, q);
    // On the border of two buckets the guess may be told from the other side.
    let (lower, upper) = (lower.min(value), upper.max(value));
    Some(Quantile { value, lower, upper, count: histogram.count })
}

/// Parses what `match[]` takes.
pub fn parse_selector(text: &str) -> Result<Vec<Matcher>, QueryError> {
    parse::parse_selector(text).map_err(|error| QueryError::parse(&error, text))
}

/// Parses an expression, for those who look at its tree.
pub fn parse_expression(text: &str) -> Result<parse::expr::Expr, QueryError> {
    parse::parse(text).map_err(|error| QueryError::parse(&error, text))
}

/// An expression as Prometheus formats it for people.
pub fn format_expression(text: &str) -> Result<String, QueryError> {
    parse_expression(text).map(|expr| parse::pretty(&expr))
}

/// Parses a Prometheus duration to milliseconds.
pub fn parse_duration(text: &str) -> Result<i64, String> {
    parse::duration::parse(text)
}
