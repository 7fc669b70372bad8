//! The step axis and the newest run of training series.
//!
//! A series `loss` that comes from elements with a step has a companion `loss_step` with the same
//! labels and times. Functions along steps read it as their axis. They take the newest run of a
//! series unless a matcher asks for one: at each step of the query, the one with the newest sample.

use std::collections::HashMap;

use ringwell_storage::model::{Labels, METRIC_NAME, MatchOp, Matcher, TimeRange};

use super::Context;
use super::samples::{Reading, Samples};
use crate::error::QueryError;
use crate::func::over_time;
use crate::func::quick::Quick;
use crate::plan::Node;
use crate::value::{Cell, Row, Steps};

const RUN: &str = "run";

/// The companions of a source, by their labels without the name.
pub(super) struct Axes {
    found: HashMap<Labels, std::sync::Arc<dyn ringwell_storage::read::Series>>,
}

impl Axes {
    /// Of a selector that names its metric; others have none.
    pub(super) fn of(
        ctx: &Context<'_>,
        source: usize,
        reading: Reading,
    ) -> Result<Axes, QueryError> {
        let matchers = ctx.sources.get(source).map_or(&[][..], |s| &s.matchers);
        let mut found = HashMap::new();
        let is_name = |m: &&Matcher| m.name() == METRIC_NAME && m.op() == MatchOp::Equal;
        let range = TimeRange::new(reading.from, reading.to);
        if let (Some(name), Some(range)) = (matchers.iter().find(is_name), range) {
            let companion = Matcher::equal(METRIC_NAME, format!("{}_step", name.value()));
            let rest = matchers.iter().filter(|m| m.name() != METRIC_NAME).cloned();
            let matchers: Vec<Matcher> = std::iter::once(companion).chain(rest).collect();
            for series in ctx.snapshot.select(&matchers, range)? {
                found.insert(series.labels().without(&[METRIC_NAME]), series);
            }
        }
        Ok(Axes { found })
    }

    /// Puts the axis beside a series' samples; a sample without a step gets NaN.
    pub(super) fn put(
        &self,
        ctx: &Context<'_>,
        labels: &Labels,
        reading: Reading,
        samples: &mut Samples,
    ) -> Result<(), QueryError> {
        let Some(series) = self.found.get(&labels.without(&[METRIC_NAME])) else { return Ok(()) };
        let steps = Samples::read(ctx, series.as_ref(), reading)?;
        let mut at = 0;
        samples.axis = samples
            .t
            .iter()
            .map(|t| {
                while steps.t.get(at).is_some_and(|s| s < t) {
                    at += 1;
                }
                let here = steps.t.get(at) == Some(t);
                steps.v.get(at).copied().filter(|_| here).unwrap_or(f64::NAN)
            })
            .collect();
        ctx.budget.release(steps.len());
        Ok(())
    }
}

/// Leaves of each series only its newest run, step by step.
pub(super) fn newest_runs(
    ctx: &Context<'_>,
    mut rows: Vec<Row>,
    args: &[Node],
    span: crate::parse::Span,
    steps: Steps,
) -> Result<Vec<Row>, QueryError> {
    let has_runs = rows.iter().any(|row| row.labels.get(RUN).is_some());
    if !has_runs || asks_for_run(ctx, args) {
        return Ok(rows);
    }
    let f = over_time::ts_of_last;
    let call = super::range_call::RangeCall {
        f,
        keeps_name: true,
        quick: Quick::No,
        training: false,
        args,
        span,
    };
    let ages: HashMap<Labels, Row> =
        call.eval(ctx, steps)?.into_iter().map(|row| (row.labels.clone(), row)).collect();
    let age = |row: &Row, i: usize| match ages.get(&row.labels).map(|ages| ages.column.get(i)) {
        Some(Cell::Float(age)) => age,
        _ => f64::NEG_INFINITY,
    };
    let mut groups: HashMap<Labels, Vec<usize>> = HashMap::new();
    for (at, row) in rows.iter().enumerate() {
        groups.entry(row.labels.without(&[RUN])).or_default().push(at);
    }
    for members in groups.into_values().filter(|members| members.len() > 1) {
        for i in 0..steps.count {
            let newest = members
                .iter()
                .filter_map(|at| rows.get(*at).map(|row| age(row, i)))
                .fold(f64::NEG_INFINITY, f64::max);
            for at in &members {
                if let Some(row) = rows.get_mut(*at)
                    && age(row, i) < newest
                {
                    row.column.clear(i);
                }
            }
        }
    }
    rows.retain(|row| !row.column.is_empty());
    Ok(rows)
}

fn asks_for_run(ctx: &Context<'_>, args: &[Node]) -> bool {
    args.iter().filter_map(super::range_call::window_of).any(|window| {
        let source = ctx.sources.get(window.select.source);
        source.is_some_and(|source| source.matchers.iter().any(|m| m.name() == RUN))
    })
}
