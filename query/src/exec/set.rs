//! `and`, `or`, `unless`: membership by matching labels, step by step.

use std::collections::HashMap;

use ringwell_storage::model::Labels;

use super::Context;
use super::answer::merge;
use super::matching::signature;
use crate::error::QueryError;
use crate::parse::expr::BinaryOp;
use crate::plan::Binary;
use crate::value::{Row, Steps};

pub(super) fn eval(
    ctx: &Context<'_>,
    binary: &Binary,
    left: Vec<Row>,
    right: Vec<Row>,
    steps: Steps,
) -> Result<Vec<Row>, QueryError> {
    ctx.budget.check()?;
    match binary.op {
        BinaryOp::Or => {
            let there = Presence::new(binary, &left, steps);
            let added = keep(binary, right, |id, i| !there.has(id, i), &there);
            union(left, added)
        }
        op => {
            let there = Presence::new(binary, &right, steps);
            let wanted = op == BinaryOp::And;
            Ok(keep(binary, left, |id, i| there.has(id, i) == wanted, &there))
        }
    }
}

/// At which steps a signature occurs on one side.
struct Presence {
    ids: HashMap<Labels, usize>,
    steps: Vec<Vec<bool>>,
}

impl Presence {
    fn new(binary: &Binary, rows: &[Row], steps: Steps) -> Presence {
        let mut out = Presence { ids: HashMap::new(), steps: Vec::new() };
        for row in rows {
            let next = out.steps.len();
            let id = *out.ids.entry(signature(&binary.matching, &row.labels)).or_insert(next);
            if id == next {
                out.steps.push(vec![false; steps.count]);
            }
            if let Some(there) = out.steps.get_mut(id) {
                there.iter_mut().enumerate().for_each(|(i, there)| *there |= row.column.has(i));
            }
        }
        out
    }

    fn has(&self, id: Option<usize>, i: usize) -> bool {
        id.and_then(|id| self.steps.get(id)).and_then(|s| s.get(i)).copied().unwrap_or(false)
    }
}

fn keep(
    binary: &Binary,
    mut rows: Vec<Row>,
    wanted: impl Fn(Option<usize>, usize) -> bool,
    there: &Presence,
) -> Vec<Row> {
    for row in &mut rows {
        let id = there.ids.get(&signature(&binary.matching, &row.labels)).copied();
        for i in 0..row.column.len() {
            if !wanted(id, i) {
                row.column.clear(i);
            }
        }
    }
    rows.retain(|row| !row.column.is_empty());
    rows
}

/// A series that is on both sides at different steps is one series.
fn union(left: Vec<Row>, right: Vec<Row>) -> Result<Vec<Row>, QueryError> {
    let mut out = left;
    let mut index: HashMap<(Labels, bool), usize> = HashMap::new();
    for (i, row) in out.iter().enumerate() {
        index.entry((row.labels.clone(), row.drop_name)).or_insert(i);
    }
    for row in right {
        match index.get(&(row.labels.clone(), row.drop_name)).and_then(|i| out.get_mut(*i)) {
            Some(kept) => merge(kept, &row)?,
            None => out.push(row),
        }
    }
    Ok(out)
}
