//! `info()`: adds the labels of info series (such as `target_info`) to those of a vector.
//!
//! An info series belongs to a series with the same values of the identifying labels `instance`
//! and `job`. The second argument's matchers choose the info metrics by name, filter the info
//! series, and name the labels to add; without it `target_info` gives all its labels. A series
//! that finds no info series passes if the matchers accept empty labels.

use std::collections::HashMap;

use ringwell_storage::model::{Labels, METRIC_NAME, MatchOp, Matcher, TimeRange};

use super::answer::merge;
use super::call::rows_of;
use super::samples::Samples;
use super::{Context, select};
use crate::error::QueryError;
use crate::parse::Span;
use crate::parse::expr::Edges;
use crate::plan::{Node, Op, Select, Shift};
use crate::value::{Cell, Column, Row, Steps};

const IDENTIFYING: [&str; 2] = ["instance", "job"];

pub(super) fn eval(ctx: &Context<'_>, args: &[Node], steps: Steps) -> Result<Vec<Row>, QueryError> {
    let base = rows_of(ctx, args, 0, steps)?;
    let filter = Filter::new(ctx, args.get(1));
    let shift = args.first().and_then(time_reference).unwrap_or_default();
    let infos = filter.read(ctx, shift, args.get(1).map_or(Span::default(), |a| a.span), steps)?;
    let mut out: Vec<Row> = Vec::new();
    let mut index: HashMap<(Labels, bool), usize> = HashMap::new();
    for row in base {
        ctx.budget.check()?;
        for part in enrich(&row, &filter, &infos)? {
            let next = out.len();
            let at = *index.entry((part.labels.clone(), part.drop_name)).or_insert(next);
            match out.get_mut(at) {
                None => out.push(part),
                Some(kept) => merge(kept, &part)?,
            }
        }
    }
    Ok(out)
}

/// What the second argument asks for.
struct Filter {
    names: Vec<Matcher>,
    data: Vec<Matcher>,
}

/// An info series and when its samples were taken.
struct Info {
    labels: Labels,
    identity: Labels,
    times: Column,
}

impl Filter {
    fn new(ctx: &Context<'_>, arg: Option<&Node>) -> Filter {
        let source = match arg.map(|a| &a.unwrapped().op) {
            Some(Op::Select(select)) => ctx.sources.get(select.source),
            _ => None,
        };
        let matchers = source.map_or(&[][..], |s| &s.matchers);
        let (mut names, data): (Vec<Matcher>, Vec<Matcher>) =
            matchers.iter().cloned().partition(|m| m.name() == METRIC_NAME);
        // Conditions that only exclude choose among the default.
        if !names.iter().any(|m| matches!(m.op(), MatchOp::Equal | MatchOp::Regex)) {
            names.push(Matcher::equal(METRIC_NAME, "target_info"));
        }
        Filter { names, data }
    }

    /// Info metrics themselves are not enriched.
    fn is_info(&self, labels: &Labels) -> bool {
        self.names.iter().all(|m| m.matches(labels.metric_name()))
    }

    fn read(
        &self,
        ctx: &Context<'_>,
        shift: Shift,
        span: Span,
        steps: Steps,
    ) -> Result<Vec<Info>, QueryError> {
        let matchers: Vec<Matcher> = self.names.iter().chain(&self.data).cloned().collect();
        let reach = ctx.lookback.unwrap_or(ctx.options.lookback);
        let from = shift.apply(steps.start).saturating_sub(reach);
        let Some(range) = TimeRange::new(from, shift.apply(steps.last())) else {
            return Ok(Vec::new());
        };
        let select = Select { source: usize::MAX, shift, edges: Edges::Plain, stats: false };
        let (mut out, mut samples) = (Vec::new(), Samples::default());
        for series in ctx.snapshot.select(&matchers, range)? {
            let mut take =
                |take| select::row(ctx, &series, &select, span, steps, take, &mut samples);
            let (Some(values), Some(times)) =
                (take(select::Take::Value)?, take(select::Take::Time)?)
            else {
                continue;
            };
            if (0..steps.count).any(|i| matches!(values.column.get(i), Cell::Histogram(_))) {
                return Err(QueryError::execution("info sample should be float"));
            }
            let identity = values.labels.keep(&IDENTIFYING);
            out.push(Info { labels: values.labels, identity, times: times.column });
        }
        Ok(out)
    }

    fn wants(&self, name: &str) -> bool {
        name != METRIC_NAME && (self.data.is_empty() || self.data.iter().any(|m| m.name() == name))
    }
}

/// The row, cut into one for each label set it has over time.
fn enrich(row: &Row, filter: &Filter, infos: &[Info]) -> Result<Vec<Row>, QueryError> {
    if filter.is_info(&row.labels) {
        return Ok(vec![row.clone()]);
    }
    let identity = row.labels.keep(&IDENTIFYING);
    let mine: Vec<&Info> = match identity.is_empty() {
        true => Vec::new(),
        false => infos.iter().filter(|info| info.identity == identity).collect(),
    };
    let optional = filter.data.iter().all(Matcher::matches_empty);
    let mut out: Vec<Row> = Vec::new();
    for i in 0..row.column.len() {
        if !row.column.has(i) {
            continue;
        }
        let current = newest(&mine, i)?;
        if current.is_empty() && !optional {
            continue;
        }
        let labels = enriched(&row.labels, filter, &current)?;
        let at = out.iter().position(|part| part.labels == labels).unwrap_or_else(|| {
            let column = Column::empty(row.column.len());
            out.push(Row { labels, drop_name: row.drop_name, column });
            out.len() - 1
        });
        if let Some(part) = out.get_mut(at) {
            part.column.set(i, row.column.get(i));
        }
    }
    Ok(out)
}

/// Of each info metric the series with the newest sample at a step.
fn newest<'a>(infos: &[&'a Info], i: usize) -> Result<Vec<&'a Info>, QueryError> {
    let mut out: Vec<(f64, &Info)> = Vec::new();
    for &info in infos {
        let Cell::Float(t) = info.times.get(i) else { continue };
        let name = info.labels.metric_name();
        match out.iter_mut().find(|(_, other)| other.labels.metric_name() == name) {
            None => out.push((t, info)),
            Some(other) if t > other.0 => *other = (t, info),
            Some(other) if t == other.0 => {
                return Err(QueryError::execution(format!(
                    "found duplicate series for info metric: existing {} @ {}, new {} @ {}",
                    other.1.labels,
                    (other.0 * 1000.0) as i64,
                    info.labels,
                    (t * 1000.0) as i64
                )));
            }
            Some(_) => {}
        }
    }
    Ok(out.into_iter().map(|(_, info)| info).collect())
}

fn enriched(base: &Labels, filter: &Filter, infos: &[&Info]) -> Result<Labels, QueryError> {
    let mut builder = base.to_builder();
    for info in infos {
        for label in info.labels.iter().filter(|l| filter.wants(l.name)) {
            if base.get(label.name).is_some() {
                continue;
            }
            if builder.get(label.name).is_some_and(|other| other != label.value) {
                let text = format!("conflicting label: {}", label.name);
                return Err(QueryError::execution(text));
            }
            builder.set(label.name, label.value);
        }
    }
    builder.build().map_err(|e| QueryError::execution(e.to_string()))
}

/// The times the base looks at: those of the outermost selector or subquery that moves them.
fn time_reference(node: &Node) -> Option<Shift> {
    let own = match &node.op {
        Op::Select(select) => Some(select.shift),
        Op::Window(window) => Some(window.select.shift),
        Op::Subquery(subquery) => Some(subquery.shift),
        _ => None,
    };
    own.filter(|shift| *shift != Shift::default())
        .or_else(|| node.children().into_iter().find_map(time_reference))
}
