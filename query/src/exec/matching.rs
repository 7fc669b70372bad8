//! Operators between two vectors. Which series can meet is known up front from their labels; each
//! step then only looks who is there.

use std::collections::HashMap;
use std::sync::Arc;

use ringwell_storage::model::{FloatHistogram, Labels, METRIC_NAME};

use super::Context;
use super::answer::METRIC_LABELS;
use super::binary::{Outcome, apply};
use crate::error::QueryError;
use crate::parse::Span;
use crate::parse::expr::{Cardinality, Matching};
use crate::plan::Binary;
use crate::value::{Cell, Column, Row, Steps};

const NOBODY: usize = usize::MAX;

/// The labels that decide who meets whom.
pub(super) fn signature(matching: &Matching, labels: &Labels) -> Labels {
    let names: Vec<&str> = matching.labels.iter().map(String::as_str).collect();
    if matching.on {
        labels.keep(&names)
    } else {
        labels.retain(|l| l.name != METRIC_NAME && !names.contains(&l.name))
    }
}

pub(super) fn eval(
    ctx: &Context<'_>,
    binary: &Binary,
    span: Span,
    left: &[Row],
    right: &[Row],
    steps: Steps,
) -> Result<Vec<Row>, QueryError> {
    let swapped = binary.matching.cardinality == Cardinality::OneToMany;
    let (many, one) = if swapped { (right, left) } else { (left, right) };
    let Matching { fill_left, fill_right, .. } = binary.matching;
    // Fills belong to the sides after the many side has been put first, as in Prometheus.
    let (fill_many, fill_one) = (fill_left, fill_right);
    let mut signatures: HashMap<Labels, usize> = HashMap::new();
    let mut of = |rows: &[Row]| -> Vec<usize> {
        let number = |row: &Row| {
            let next = signatures.len();
            *signatures.entry(signature(&binary.matching, &row.labels)).or_insert(next)
        };
        rows.iter().map(number).collect()
    };
    let (many_ids, one_ids) = (of(many), of(one));
    let join = Join {
        ctx,
        binary,
        span,
        swapped,
        many,
        one,
        many_ids,
        one_ids,
        groups: signatures.len(),
        fill_many,
        fill_one,
        steps,
        out: Vec::new(),
        pairs: HashMap::new(),
        by_labels: HashMap::new(),
        touched: Vec::new(),
    };
    join.run()
}

struct Join<'a> {
    ctx: &'a Context<'a>,
    binary: &'a Binary,
    span: Span,
    /// The left operand is the one side.
    swapped: bool,
    many: &'a [Row],
    one: &'a [Row],
    many_ids: Vec<usize>,
    one_ids: Vec<usize>,
    groups: usize,
    fill_many: Option<f64>,
    fill_one: Option<f64>,
    steps: Steps,
    out: Vec<Row>,
    /// Which result a pair of rows gives.
    pairs: HashMap<(usize, usize), usize>,
    by_labels: HashMap<(Labels, bool), usize>,
    /// The step, plus one, at which a result was last written.
    touched: Vec<usize>,
}

impl Join<'_> {
    fn run(mut self) -> Result<Vec<Row>, QueryError> {
        let mut at = vec![NOBODY; self.groups];
        let mut met = vec![false; self.groups];
        for i in 0..self.steps.count {
            if i % 64 == 0 {
                self.ctx.budget.check()?;
            }
            // Where a side is empty nothing meets, and what would be wrong with the other is not asked.
            let both = anybody(self.many, i) && anybody(self.one, i);
            if !both && !self.fills() {
                continue;
            }
            at.fill(NOBODY);
            met.fill(false);
            self.find_ones(i, &mut at)?;
            self.meet_many(i, &at, &mut met)?;
            self.fill_missing_many(i, &met)?;
        }
        self.out.retain(|row| !row.column.is_empty());
        Ok(self.out)
    }

    fn fills(&self) -> bool {
        self.fill_many.is_some() || self.fill_one.is_some()
    }

    fn find_ones(&self, i: usize, at: &mut [usize]) -> Result<(), QueryError> {
        for (n, (row, id)) in self.one.iter().zip(&self.one_ids).enumerate() {
            if !row.column.has(i) {
                continue;
            }
            let Some(slot) = at.get_mut(*id) else { continue };
            if let Some(other) = self.one.get(*slot) {
                let side = if self.swapped { "left" } else { "right" };
                return Err(QueryError::execution(format!(
                    "found duplicate series for the match group {} on the {side} hand-side of the \
                     operation: [{}, {}];many-to-many matching not allowed: matching labels must \
                     be unique on one side",
                    self.match_labels(&row.labels),
                    other.labels,
                    row.labels
                )));
            }
            *slot = n;
        }
        Ok(())
    }

    fn meet_many(&mut self, i: usize, at: &[usize], met: &mut [bool]) -> Result<(), QueryError> {
        let one_to_one = self.binary.matching.cardinality == Cardinality::OneToOne;
        let (many, one) = (self.many, self.one);
        for (m, row) in many.iter().enumerate() {
            let cell = row.column.get(i);
            if matches!(cell, Cell::None) {
                continue;
            }
            let Some(&id) = self.many_ids.get(m) else { continue };
            let n = at.get(id).copied().unwrap_or(NOBODY);
            let other = match (one.get(n), self.fill_one) {
                (Some(other), _) => other.column.get(i),
                (None, Some(fill)) => Cell::Float(fill),
                (None, None) => continue,
            };
            let seen = met.get(id).copied().unwrap_or(false);
            if let Some(met) = met.get_mut(id) {
                *met = true;
            }
            if one_to_one && seen {
                return Err(QueryError::execution(
                    "multiple matches for labels: many-to-one matching must be explicit \
                     (group_left/group_right)",
                ));
            }
            if let Some(outcome) = self.outcome(cell, other) {
                self.put(i, (m, n), outcome)?;
            }
        }
        Ok(())
    }

    fn fill_missing_many(&mut self, i: usize, met: &[bool]) -> Result<(), QueryError> {
        let Some(fill) = self.fill_many else { return Ok(()) };
        let one = self.one;
        for (n, row) in one.iter().enumerate() {
            let cell = row.column.get(i);
            let id = self.one_ids.get(n).copied().unwrap_or(NOBODY);
            if matches!(cell, Cell::None) || met.get(id).copied().unwrap_or(true) {
                continue;
            }
            if let Some(outcome) = self.outcome(Cell::Float(fill), cell) {
                self.put(i, (NOBODY, n), outcome)?;
            }
        }
        Ok(())
    }

    /// The value of a pair; `None` if it has none or a comparison does not hold.
    fn outcome(&self, many: Cell<'_>, one: Cell<'_>) -> Option<Value> {
        let (left, right) = if self.swapped { (one, many) } else { (many, one) };
        match apply(self.ctx, self.span, self.binary.op, left, right) {
            Outcome::Float(value) => Some(Value::Float(value)),
            Outcome::Histogram(value) => Some(Value::Histogram(value)),
            Outcome::Holds(holds) if self.binary.returns_bool => {
                Some(Value::Float(f64::from(u8::from(holds))))
            }
            Outcome::Holds(true) => match left {
                Cell::Float(value) => Some(Value::Float(value)),
                Cell::Histogram(value) => Some(Value::Histogram(Arc::clone(value))),
                Cell::None => None,
            },
            Outcome::Holds(false) | Outcome::Nothing => None,
        }
    }

    fn put(&mut self, i: usize, pair: (usize, usize), value: Value) -> Result<(), QueryError> {
        let at = match self.pairs.get(&pair) {
            Some(at) => *at,
            None => {
                let at = self.result_of(pair)?;
                self.pairs.insert(pair, at);
                at
            }
        };
        if let Some(touched) = self.touched.get_mut(at) {
            if *touched == i + 1 {
                return Err(QueryError::execution(
                    "multiple matches for labels: grouping labels must ensure unique matches",
                ));
            }
            *touched = i + 1;
        }
        if let Some(row) = self.out.get_mut(at) {
            match value {
                Value::Float(value) => row.column.set_float(i, value),
                Value::Histogram(value) => row.column.set_histogram(i, value),
            }
        }
        Ok(())
    }

    fn result_of(&mut self, (m, n): (usize, usize)) -> Result<usize, QueryError> {
        let (many, one) = (self.many.get(m), self.one.get(n));
        let empty = Labels::empty();
        let one_labels = one.map_or(&empty, |row| &row.labels);
        let many_labels = match many {
            Some(row) => row.labels.clone(),
            None => self.match_labels(one_labels),
        };
        let labels = self.result_labels(many_labels, one_labels)?;
        let kept = if self.swapped { one } else { many };
        let drop_name = self.binary.returns_bool || kept.is_some_and(|row| row.drop_name);
        let next = self.out.len();
        let at = *self.by_labels.entry((labels.clone(), drop_name)).or_insert(next);
        if at == next {
            self.ctx.budget.charge(self.steps.count)?;
            self.out.push(Row { labels, drop_name, column: Column::empty(self.steps.count) });
            self.touched.push(0);
        }
        Ok(at)
    }

    fn match_labels(&self, labels: &Labels) -> Labels {
        signature(&self.binary.matching, labels)
    }

    fn result_labels(&self, many: Labels, one: &Labels) -> Result<Labels, QueryError> {
        let matching = &self.binary.matching;
        let names: Vec<&str> = matching.labels.iter().map(String::as_str).collect();
        let mut labels = many;
        if self.binary.op.changes_metric() {
            labels = labels.without(&METRIC_LABELS);
        }
        if matching.cardinality == Cardinality::OneToOne {
            labels = if matching.on { labels.keep(&names) } else { labels.without(&names) };
        }
        if matching.include.is_empty() {
            return Ok(labels);
        }
        let mut builder = labels.to_builder();
        for name in &matching.include {
            builder.set(name, one.get(name).unwrap_or(""));
        }
        builder.build().map_err(|e| QueryError::execution(e.to_string()))
    }
}

fn anybody(rows: &[Row], i: usize) -> bool {
    rows.iter().any(|row| row.column.has(i))
}

enum Value {
    Float(f64),
    Histogram(Arc<FloatHistogram>),
}
