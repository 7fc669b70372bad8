//! Aggregations that choose series (topk, bottomk, limitk, limit_ratio) or name groups by their
//! values (count_values).

use std::collections::HashMap;

use ringwell_storage::model::Labels;

use super::Context;
use super::aggregate::{Groups, Job};
use super::call::text_of;
use super::labels::label_name;
use crate::error::QueryError;
use crate::parse::expr::AggregateOp;
use crate::plan::Aggregate;
use crate::value::{Cell, Column, Row, Steps, format_float, format_general, format_histogram};

/// How many, or which share, at each step.
pub(super) enum Choose {
    None,
    Best { counts: Vec<usize>, largest: bool },
    First { counts: Vec<usize> },
    Ratio { ratios: Vec<f64> },
}

impl Choose {
    /// Checks the parameter, even if there will be no series.
    pub(super) fn new(
        ctx: &Context<'_>,
        aggregate: &Aggregate,
        param: &[f64],
    ) -> Result<Option<Choose>, QueryError> {
        let fault = |text: String| Err(QueryError::execution(text));
        match aggregate.op {
            AggregateOp::Topk | AggregateOp::Bottomk | AggregateOp::Limitk => {
                if param.iter().any(|k| k.is_nan()) {
                    return fault("Parameter value is NaN".to_owned());
                }
                if let Some(low) = param.iter().find(|k| **k <= i64::MIN as f64) {
                    return fault(format!(
                        "Scalar value {} underflows int64",
                        format_general(*low)
                    ));
                }
                if let Some(high) = param.iter().find(|k| **k >= i64::MAX as f64) {
                    return fault(format!(
                        "Scalar value {} overflows int64",
                        format_general(*high)
                    ));
                }
                let counts = param.iter().map(|k| (*k as i64).max(0) as usize).collect();
                let largest = aggregate.op == AggregateOp::Topk;
                Ok(Some(match aggregate.op {
                    AggregateOp::Limitk => Choose::First { counts },
                    _ => Choose::Best { counts, largest },
                }))
            }
            AggregateOp::LimitRatio => {
                if param.iter().any(|r| r.is_nan()) {
                    return fault("Ratio value is NaN".to_owned());
                }
                let span = aggregate.param.as_ref().map_or(aggregate.input.span, |p| p.span);
                for ratio in param.iter().filter(|r| r.abs() > 1.0) {
                    ctx.warn(
                        span,
                        format!(
                            "ratio value should be between -1 and 1, got {}, capping to {}",
                            format_general(*ratio),
                            format_general(ratio.clamp(-1.0, 1.0))
                        ),
                    );
                }
                let ratios = param.iter().map(|r| r.clamp(-1.0, 1.0)).collect();
                Ok(Some(Choose::Ratio { ratios }))
            }
            _ => Ok(None),
        }
    }

    /// The rows with only the chosen cells; for one step in the order they were chosen.
    pub(super) fn apply(&self, job: &Job<'_>, rows: Vec<Row>) -> Vec<Row> {
        let mut chosen: Vec<Column> =
            rows.iter().map(|row| Column::empty(row.column.len())).collect();
        let mut order = Vec::new();
        for (_, _, members) in job.groups.iter() {
            for i in 0..job.steps.count {
                for member in self.members_at(job, &rows, members, i) {
                    if let (Some(row), Some(column)) = (rows.get(member), chosen.get_mut(member)) {
                        column.set(i, row.column.get(i));
                        if job.steps.count == 1 {
                            order.push(member);
                        }
                    }
                }
            }
        }
        if job.steps.count != 1 {
            order = (0..rows.len()).collect();
        }
        let mut slots: Vec<Option<Row>> = rows
            .into_iter()
            .zip(chosen)
            .map(|(row, column)| (!column.is_empty()).then_some(Row { column, ..row }))
            .collect();
        order.into_iter().filter_map(|i| slots.get_mut(i).and_then(Option::take)).collect()
    }

    fn members_at(&self, job: &Job<'_>, rows: &[Row], members: &[usize], i: usize) -> Vec<usize> {
        let present = || {
            members.iter().copied().filter(|m| rows.get(*m).is_some_and(|row| row.column.has(i)))
        };
        match self {
            Choose::None => Vec::new(),
            Choose::First { counts } => {
                present().take(counts.get(i).copied().unwrap_or(0)).collect()
            }
            Choose::Ratio { ratios } => {
                let ratio = ratios.get(i).copied().unwrap_or(0.0);
                let inside =
                    |m: &usize| rows.get(*m).is_some_and(|row| within_ratio(&row.labels, ratio));
                present().filter(inside).collect()
            }
            Choose::Best { counts, largest } => {
                let count = counts.get(i).copied().unwrap_or(0);
                if count == 0 {
                    return Vec::new();
                }
                let mut floats: Vec<(f64, usize)> = Vec::new();
                for m in present() {
                    match rows.get(m).map(|row| row.column.get(i)) {
                        Some(Cell::Float(value)) => floats.push((value, m)),
                        _ => job.ignored(),
                    }
                }
                floats.sort_by(|a, b| match (a.0.is_nan(), b.0.is_nan()) {
                    (false, false) if *largest => b.0.total_cmp(&a.0),
                    (false, false) => a.0.total_cmp(&b.0),
                    (a, b) => a.cmp(&b),
                });
                floats.into_iter().take(count).map(|f| f.1).collect()
            }
        }
    }
}

/// A series falls into a share of all by its hash, so `r` and `r - 1` are each other's rest. The
/// hash is Prometheus's own, for all labels shorter than 127 bytes, so the same series are chosen.
fn within_ratio(labels: &Labels, ratio: f64) -> bool {
    let hash = xxhash_rust::xxh64::xxh64(labels.encoded().as_bytes(), 0);
    let position = hash as f64 / u64::MAX as f64;
    if ratio >= 0.0 { position < ratio || ratio >= 1.0 } else { position >= 1.0 + ratio }
}

pub(super) fn count_values(
    ctx: &Context<'_>,
    aggregate: &Aggregate,
    rows: &[Row],
    groups: &Groups,
    steps: Steps,
) -> Result<Vec<Row>, QueryError> {
    let text = aggregate.param.as_ref().map(text_of).unwrap_or_default();
    let label = label_name(text, |name| format!("invalid label name \"{name}\""))?;
    let mut out: Vec<Row> = Vec::new();
    let mut index: HashMap<Labels, usize> = HashMap::new();
    for (labels, drop_name, members) in groups.iter() {
        ctx.budget.check()?;
        let mut known: HashMap<String, usize> = HashMap::new();
        for row in members.iter().filter_map(|m| rows.get(*m)) {
            for i in 0..steps.count {
                let value = match row.column.get(i) {
                    Cell::None => continue,
                    Cell::Float(value) => format_float(value),
                    Cell::Histogram(h) => format_histogram(h),
                };
                let at = match known.get(&value) {
                    Some(at) => *at,
                    None => {
                        let mut builder = labels.to_builder();
                        builder.set(&label, &value);
                        let labels =
                            builder.build().map_err(|e| QueryError::execution(e.to_string()))?;
                        let next = out.len();
                        let at = *index.entry(labels.clone()).or_insert(next);
                        if at == next {
                            ctx.budget.charge(steps.count)?;
                            let column = Column::empty(steps.count);
                            out.push(Row { labels, drop_name, column });
                        }
                        known.insert(value, at);
                        at
                    }
                };
                if let Some(row) = out.get_mut(at) {
                    let before = match row.column.get(i) {
                        Cell::Float(count) => count,
                        _ => 0.0,
                    };
                    row.column.set_float(i, before + 1.0);
                }
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_and_its_rest_share_all_series() {
        for i in 0..100 {
            let labels = Labels::from_pairs([("i", i.to_string().as_str())]).unwrap();
            for ratio in [0.0, 0.2, 0.5, 0.9, 1.0] {
                assert_ne!(within_ratio(&labels, ratio), within_ratio(&labels, ratio - 1.0));
            }
        }
    }
}
