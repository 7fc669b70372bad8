//! From rows to the answer: names that were dropped go, equal label sets meet or clash.

use std::collections::HashMap;
use std::sync::Arc;

use ringwell_storage::model::{Histogram, Labels, METRIC_NAME, Value};

use super::{Context, eval, matrix};
use crate::error::QueryError;
use crate::parse::expr::ValueType;
use crate::plan::Node;
use crate::value::{Cell, Evaluated, Row, Steps};
use crate::{AnswerValue, MatrixSeries, VectorSample};

/// Labels that describe the metric and go with its name.
pub(super) const METRIC_LABELS: [&str; 3] = [METRIC_NAME, "__type__", "__unit__"];

const SAME_LABELS: &str = "vector cannot contain metrics with the same labelset";

/// Evaluates the whole query.
pub(crate) fn answer(
    ctx: &Context<'_>,
    root: &Node,
    steps: Steps,
) -> Result<AnswerValue, QueryError> {
    let instant = ctx.frame.step == 0;
    if instant && root.value_type() == ValueType::Matrix {
        return range_vector(ctx, root, steps.start);
    }
    Ok(match eval(ctx, root, steps)? {
        Evaluated::Text(s) => AnswerValue::String { t: steps.start, s },
        Evaluated::Scalar(values) if instant => {
            AnswerValue::Scalar { t: steps.start, v: values.first().copied().unwrap_or(f64::NAN) }
        }
        Evaluated::Scalar(values) => {
            let floats = steps.iter().zip(values).collect();
            let labels = Labels::empty();
            AnswerValue::Matrix(vec![MatrixSeries { labels, floats, histograms: Vec::new() }])
        }
        Evaluated::Vector(rows) => {
            let rows = cleaned(rows)?;
            if instant {
                AnswerValue::Vector(rows.iter().filter_map(|r| sample(r, steps.start)).collect())
            } else {
                let mut series: Vec<MatrixSeries> =
                    rows.iter().map(|row| matrix_series(row, steps)).collect();
                series.sort_by(|a, b| a.labels.cmp(&b.labels));
                AnswerValue::Matrix(series)
            }
        }
    })
}

fn range_vector(ctx: &Context<'_>, root: &Node, t: i64) -> Result<AnswerValue, QueryError> {
    let mut out = Vec::new();
    for (labels, drop_name, samples) in matrix(ctx, root, t)? {
        let labels = if drop_name { labels.without(&METRIC_LABELS) } else { labels };
        let mut series = MatrixSeries { labels, floats: Vec::new(), histograms: Vec::new() };
        for (i, (&t, &v)) in samples.t.iter().zip(&samples.v).enumerate() {
            match samples.histogram(i) {
                Some(h) => series.histograms.push((t, Arc::new(h.to_histogram()))),
                None => series.floats.push((t, v)),
            }
        }
        if !(series.floats.is_empty() && series.histograms.is_empty()) {
            out.push(series);
        }
    }
    out.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok(AnswerValue::Matrix(out))
}

/// Drops names right after an operator. Series that thereby become equal meet or clash as in
/// `cleaned`; `apart` forbids them to meet even at different steps.
pub(super) fn named(rows: Vec<Row>, apart: bool) -> Result<Vec<Row>, QueryError> {
    let series = rows.iter().filter(|row| !row.column.is_empty()).count();
    let rows = cleaned(rows)?;
    if apart && rows.len() < series {
        return Err(QueryError::execution(SAME_LABELS));
    }
    Ok(rows)
}

/// Drops names; rows with equal labels become one if no step has both.
fn cleaned(mut rows: Vec<Row>) -> Result<Vec<Row>, QueryError> {
    let apart = |a: &Row, b: &Row| a.labels < b.labels;
    if !rows.iter().any(|row| row.drop_name) && rows.is_sorted_by(apart) {
        rows.retain(|row| !row.column.is_empty());
        return Ok(rows);
    }
    let mut out: Vec<Row> = Vec::with_capacity(rows.len());
    let mut index: HashMap<Labels, usize> = HashMap::with_capacity(rows.len());
    for mut row in rows {
        if row.column.is_empty() {
            continue;
        }
        if row.drop_name {
            row.labels = row.labels.without(&METRIC_LABELS);
            row.drop_name = false;
        }
        let next = out.len();
        let at = *index.entry(row.labels.clone()).or_insert(next);
        match out.get_mut(at) {
            None => out.push(row),
            Some(kept) => merge(kept, &row)?,
        }
    }
    Ok(out)
}

/// Moves the cells of `row` into the empty ones of `kept`.
pub(super) fn merge(kept: &mut Row, row: &Row) -> Result<(), QueryError> {
    for i in 0..row.column.len() {
        if !row.column.has(i) {
            continue;
        }
        if kept.column.has(i) {
            return Err(QueryError::execution(SAME_LABELS));
        }
        kept.column.set(i, row.column.get(i));
    }
    kept.drop_name |= row.drop_name;
    Ok(())
}

fn sample(row: &Row, t: i64) -> Option<VectorSample> {
    let value = match row.column.get(0) {
        Cell::None => return None,
        Cell::Float(v) => Value::Float(v),
        Cell::Histogram(h) => Value::Histogram(Arc::new(h.to_histogram())),
    };
    Some(VectorSample { labels: row.labels.clone(), t, value })
}

fn matrix_series(row: &Row, steps: Steps) -> MatrixSeries {
    let mut floats = Vec::with_capacity(row.column.filled());
    let mut histograms: Vec<(i64, Arc<Histogram>)> = Vec::new();
    for (i, t) in steps.iter().enumerate() {
        match row.column.get(i) {
            Cell::None => {}
            Cell::Float(v) => floats.push((t, v)),
            Cell::Histogram(h) => histograms.push((t, Arc::new(h.to_histogram()))),
        }
    }
    MatrixSeries { labels: row.labels.clone(), floats, histograms }
}
