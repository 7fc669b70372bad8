//! Aggregations that give one value a group: sum, avg, count, min, max, group, stddev, stdvar,
//! quantile. Those that choose or rename series are in [`super::aggregate_select`].

use std::collections::HashMap;
use std::sync::Arc;

use ringwell_storage::model::{
    FloatHistogram, Label, Labels, METRIC_NAME, average_histograms, sum_histograms,
};

use super::aggregate_select::{self, Choose};
use super::{Context, scalar, vector};
use crate::error::QueryError;
use crate::func::rate::{MIXED_SCHEMAS, RECONCILED_AGGREGATION, RESET_COLLISION};
use crate::func::sums::{Mean, Sum, Variance, quantile};
use crate::notes::named;
use crate::parse::Span;
use crate::parse::expr::AggregateOp;
use crate::plan::Aggregate;
use crate::value::{Cell, Column, Row, Steps, format_general};

pub(super) fn eval(
    ctx: &Context<'_>,
    aggregate: &Aggregate,
    steps: Steps,
) -> Result<Vec<Row>, QueryError> {
    use AggregateOp::*;
    let param = match &aggregate.param {
        Some(param) if aggregate.op != CountValues => Some(scalar(ctx, param, steps)?),
        _ => None,
    };
    let param = param.unwrap_or_default();
    let choose = aggregate_select::Choose::new(ctx, aggregate, &param)?;
    let rows = vector(ctx, &aggregate.input, steps)?;
    let groups = Groups::new(&rows, aggregate);
    let span = aggregate.input.span;
    let job = Job { ctx, rows: &rows, groups: &groups, steps, span, op: aggregate.op };
    match aggregate.op {
        Sum => job.fold::<SumFold>(Histograms::Combine),
        Avg => job.fold::<MeanFold>(Histograms::Combine),
        Count => job.fold::<CountFold>(Histograms::Count),
        Group => job.fold::<GroupFold>(Histograms::Count),
        Min => job.fold::<MinFold>(Histograms::Ignore),
        Max => job.fold::<MaxFold>(Histograms::Ignore),
        Stdvar => job.fold::<VarianceFold>(Histograms::Ignore),
        Stddev => job.fold::<DeviationFold>(Histograms::Ignore),
        Quantile => job.quantile(&param, aggregate.param.as_ref().map_or(span, |p| p.span)),
        CountValues => aggregate_select::count_values(ctx, aggregate, &rows, &groups, steps),
        Topk | Bottomk | Limitk | LimitRatio => {
            Ok(choose.unwrap_or(Choose::None).apply(&job, rows.clone()))
        }
    }
}

/// Which rows belong together.
pub(super) struct Groups {
    /// Labels and the name's fate of each group, in order of appearance.
    pub(super) labels: Vec<(Labels, bool)>,
    /// The rows of each group.
    pub(super) members: Vec<Vec<usize>>,
}

impl Groups {
    fn new(rows: &[Row], aggregate: &Aggregate) -> Groups {
        let mut groups = Groups { labels: Vec::new(), members: Vec::new() };
        let mut index: HashMap<String, usize> = HashMap::new();
        let names: Vec<&str> = aggregate.grouping.iter().map(String::as_str).collect();
        let stays = |label: Label<'_>| {
            let named = names.contains(&label.name);
            if aggregate.without {
                return !named && !super::answer::METRIC_LABELS.contains(&label.name);
            }
            named
        };
        // A label set is made once a group, not once a row.
        let mut key = String::new();
        for (i, row) in rows.iter().enumerate() {
            key.clear();
            row.labels.encode_some(stays, &mut key);
            let next = groups.labels.len();
            let at = match index.get(&key) {
                Some(at) => *at,
                None => {
                    index.insert(key.clone(), next);
                    next
                }
            };
            if at == next {
                groups.labels.push((row.labels.retain(stays), false));
                groups.members.push(Vec::new());
            }
            if let (Some(group), Some(members)) =
                (groups.labels.get_mut(at), groups.members.get_mut(at))
            {
                group.1 |= row.drop_name;
                members.push(i);
            }
        }
        groups
    }

    /// Labels, the name's fate and the rows of each group.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Labels, bool, &[usize])> {
        let members = self.members.iter().map(Vec::as_slice);
        self.labels.iter().zip(members).map(|((labels, drop), m)| (labels, *drop, m))
    }
}

/// One aggregation at work.
pub(super) struct Job<'a> {
    pub(super) ctx: &'a Context<'a>,
    pub(super) rows: &'a [Row],
    pub(super) groups: &'a Groups,
    pub(super) steps: Steps,
    pub(super) span: Span,
    pub(super) op: AggregateOp,
}

/// What becomes of histograms.
#[derive(Clone, Copy, PartialEq)]
enum Histograms {
    /// They are summed or averaged among themselves.
    Combine,
    /// They count like floats.
    Count,
    /// They are left out, with a word.
    Ignore,
}

impl Job<'_> {
    fn fold<F: Fold>(&self, histograms: Histograms) -> Result<Vec<Row>, QueryError> {
        let mut out = Vec::new();
        for (labels, drop_name, members) in self.groups.iter() {
            self.ctx.budget.check()?;
            let column = self.fold_group::<F>(members, histograms);
            if !column.is_empty() {
                let drop_name = drop_name && labels.get(METRIC_NAME).is_some();
                out.push(Row { labels: labels.clone(), drop_name, column });
            }
        }
        Ok(out)
    }

    fn fold_group<F: Fold>(&self, members: &[usize], histograms: Histograms) -> Column {
        let count = self.steps.count;
        let mut folds: Vec<Option<F>> = vec![None; count];
        let mut collected: Vec<Vec<&Arc<FloatHistogram>>> = Vec::new();
        for row in members.iter().filter_map(|i| self.rows.get(*i)) {
            if let Some(floats) = row.column.floats() {
                for (slot, value) in folds.iter_mut().zip(floats) {
                    if let Some(value) = value {
                        slot.get_or_insert_default().add(value);
                    }
                }
                continue;
            }
            for (i, slot) in folds.iter_mut().enumerate() {
                match row.column.get(i) {
                    Cell::None => {}
                    Cell::Float(value) => slot.get_or_insert_default().add(value),
                    Cell::Histogram(h) => match histograms {
                        Histograms::Count => slot.get_or_insert_default().add(1.0),
                        Histograms::Ignore => self.ignored(),
                        Histograms::Combine => {
                            collected.resize(count, Vec::new());
                            if let Some(all) = collected.get_mut(i) {
                                all.push(h);
                            }
                        }
                    },
                }
            }
        }
        let mut column = Column::empty(count);
        for (i, fold) in folds.iter().enumerate() {
            let together = collected.get(i).map_or(&[][..], Vec::as_slice);
            match (fold, together.is_empty()) {
                (None, true) => {}
                (Some(fold), true) => column.set_float(i, fold.result()),
                (Some(_), false) => self
                    .ctx
                    .warn(self.span, "encountered a mix of histograms and floats for aggregation"),
                (None, false) => {
                    if let Some(h) = self.combine(together, members) {
                        column.set_histogram(i, Arc::new(h));
                    }
                }
            }
        }
        column
    }

    fn combine(
        &self,
        histograms: &[&Arc<FloatHistogram>],
        members: &[usize],
    ) -> Option<FloatHistogram> {
        let parts: Vec<&FloatHistogram> = histograms.iter().map(|h| h.as_ref()).collect();
        let combined = match self.op {
            AggregateOp::Avg => average_histograms(&parts),
            _ => sum_histograms(&parts),
        }?;
        let Ok(combined) = combined else {
            let row = members.first().and_then(|i| self.rows.get(*i));
            let metric = row.map_or("", |r| r.labels.metric_name());
            self.ctx.warn(self.span, named(MIXED_SCHEMAS, metric));
            return None;
        };
        if combined.reset_collision {
            self.ctx.warn(self.span, RESET_COLLISION);
        }
        if combined.bounds_reconciled {
            self.ctx.info(self.span, RECONCILED_AGGREGATION);
        }
        Some(combined.histogram)
    }

    pub(super) fn ignored(&self) {
        let text = format!("ignored histogram in {} aggregation", self.op.name());
        self.ctx.info(self.span, text);
    }

    fn quantile(&self, param: &[f64], param_span: Span) -> Result<Vec<Row>, QueryError> {
        if let Some(bad) = param.iter().find(|q| !(0.0..=1.0).contains(*q)) {
            let text =
                format!("quantile value should be between 0 and 1, got {}", format_general(*bad));
            self.ctx.warn(param_span, text);
        }
        let mut out = Vec::new();
        let mut values = Vec::new();
        for (labels, drop_name, members) in self.groups.iter() {
            self.ctx.budget.check()?;
            let mut column = Column::empty(self.steps.count);
            for i in 0..self.steps.count {
                values.clear();
                for row in members.iter().filter_map(|m| self.rows.get(*m)) {
                    match row.column.get(i) {
                        Cell::None => {}
                        Cell::Float(value) => values.push(value),
                        Cell::Histogram(_) => self.ignored(),
                    }
                }
                if !values.is_empty() {
                    let q = param.get(i).copied().unwrap_or(f64::NAN);
                    column.set_float(i, quantile(q, &mut values));
                }
            }
            if !column.is_empty() {
                out.push(Row { labels: labels.clone(), drop_name, column });
            }
        }
        Ok(out)
    }
}

/// Folds the floats of one group at one step.
trait Fold: Clone + Default {
    fn add(&mut self, value: f64);
    fn result(&self) -> f64;
}

#[derive(Clone, Default)]
struct SumFold(Sum);

impl Fold for SumFold {
    fn add(&mut self, value: f64) {
        self.0.add(value);
    }
    fn result(&self) -> f64 {
        self.0.total()
    }
}

#[derive(Clone, Default)]
struct MeanFold(Mean);

impl Fold for MeanFold {
    fn add(&mut self, value: f64) {
        self.0.add(value);
    }
    fn result(&self) -> f64 {
        self.0.result()
    }
}

#[derive(Clone, Default)]
struct CountFold(f64);

impl Fold for CountFold {
    fn add(&mut self, _: f64) {
        self.0 += 1.0;
    }
    fn result(&self) -> f64 {
        self.0
    }
}

#[derive(Clone, Default)]
struct GroupFold;

impl Fold for GroupFold {
    fn add(&mut self, _: f64) {}
    fn result(&self) -> f64 {
        1.0
    }
}

/// The least so far; NaN only if there is nothing else.
#[derive(Clone, Default)]
struct MinFold(Option<f64>);

impl Fold for MinFold {
    fn add(&mut self, value: f64) {
        self.0 = Some(self.0.map_or(value, |m| if value < m || m.is_nan() { value } else { m }));
    }
    fn result(&self) -> f64 {
        self.0.unwrap_or(f64::NAN)
    }
}

/// The greatest so far; NaN only if there is nothing else.
#[derive(Clone, Default)]
struct MaxFold(Option<f64>);

impl Fold for MaxFold {
    fn add(&mut self, value: f64) {
        self.0 = Some(self.0.map_or(value, |m| if value > m || m.is_nan() { value } else { m }));
    }
    fn result(&self) -> f64 {
        self.0.unwrap_or(f64::NAN)
    }
}

#[derive(Clone, Default)]
struct VarianceFold(Variance);

impl Fold for VarianceFold {
    fn add(&mut self, value: f64) {
        self.0.add(value);
    }
    fn result(&self) -> f64 {
        self.0.result()
    }
}

#[derive(Clone, Default)]
struct DeviationFold(Variance);

impl Fold for DeviationFold {
    fn add(&mut self, value: f64) {
        self.0.add(value);
    }
    fn result(&self) -> f64 {
        self.0.result().sqrt()
    }
}
