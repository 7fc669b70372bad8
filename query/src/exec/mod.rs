//! Evaluation: each node gives its series over all steps at once.
//!
//! Selectors and functions over ranges work series by series: a series' samples are read once into
//! columns and a window slides over them. One operator a file; [`context`] is what all share.

mod aggregate;
mod aggregate_select;
mod answer;
mod binary;
mod call;
mod context;
mod fold;
mod histograms;
mod info;
mod labels;
mod laid;
mod matching;
mod observe;
mod parallel;
mod range_call;
mod samples;
mod select;
mod set;
mod training;
mod window;

pub(crate) use answer::answer;
pub(crate) use call::matrix;
pub(crate) use context::Context;
pub(crate) use observe::Observer;
pub(crate) use range_call::Bounds;
pub(crate) use samples::Samples;
pub(crate) use select::interpolate;
pub(crate) use window::{Call, Out, Window};

pub use observe::Observed;

use crate::error::QueryError;
use crate::plan::{Node, Op};
use crate::value::{Cell, Evaluated, Row, Steps};

/// Evaluates a node over `steps`.
pub(crate) fn eval(ctx: &Context<'_>, node: &Node, steps: Steps) -> Result<Evaluated, QueryError> {
    ctx.budget.check()?;
    let value = match &ctx.observer {
        None => operate(ctx, node, steps)?,
        Some(observer) => observer.watch(node, &ctx.budget, || operate(ctx, node, steps))?,
    };
    if ctx.options.delayed_name_removal {
        return Ok(value);
    }
    match value {
        Evaluated::Vector(rows) if rows.iter().any(|row| row.drop_name) => {
            let ranged = matches!(&node.op, Op::Call { function, .. } if function.is_ranged());
            answer::named(rows, ranged).map(Evaluated::Vector)
        }
        value => Ok(value),
    }
}

fn operate(ctx: &Context<'_>, node: &Node, steps: Steps) -> Result<Evaluated, QueryError> {
    match &node.op {
        Op::Number(number) => Ok(Evaluated::Scalar(vec![*number; steps.count])),
        Op::Text { value, .. } => Ok(Evaluated::Text(value.clone())),
        Op::Select(select) => Ok(Evaluated::Vector(select::eval(ctx, select, node.span, steps)?)),
        Op::Window(_) | Op::Subquery(_) => {
            Err(QueryError::execution("a range vector has no value of its own"))
        }
        Op::Call { function, args } => call::eval(ctx, function, args, node.span, steps),
        Op::Aggregate(aggregate) => aggregate::eval(ctx, aggregate, steps).map(Evaluated::Vector),
        Op::Binary(binary) => binary::eval(ctx, binary, node.span, steps),
        Op::Negate(inner) => negate(ctx, inner, steps),
        Op::Invariant(inner) => once(ctx, inner, steps),
    }
}

/// Evaluates a node that gives a vector.
pub(crate) fn vector(ctx: &Context<'_>, node: &Node, steps: Steps) -> Result<Vec<Row>, QueryError> {
    match eval(ctx, node, steps)? {
        Evaluated::Vector(rows) => Ok(rows),
        _ => Err(QueryError::execution("expected an instant vector")),
    }
}

/// Evaluates a node that gives a number a step.
pub(crate) fn scalar(ctx: &Context<'_>, node: &Node, steps: Steps) -> Result<Vec<f64>, QueryError> {
    match eval(ctx, node, steps)? {
        Evaluated::Scalar(values) => Ok(values),
        _ => Err(QueryError::execution("expected a scalar")),
    }
}

fn negate(ctx: &Context<'_>, inner: &Node, steps: Steps) -> Result<Evaluated, QueryError> {
    Ok(match eval(ctx, inner, steps)? {
        Evaluated::Scalar(values) => Evaluated::Scalar(values.into_iter().map(|v| -v).collect()),
        Evaluated::Text(text) => Evaluated::Text(text),
        Evaluated::Vector(mut rows) => {
            for row in &mut rows {
                row.drop_name = true;
                for i in 0..steps.count {
                    match row.column.get(i) {
                        Cell::None => {}
                        Cell::Float(value) => row.column.set_float(i, -value),
                        Cell::Histogram(histogram) => {
                            let negated = histogram.scaled(-1.0);
                            row.column.set_histogram(i, negated.into());
                        }
                    }
                }
            }
            Evaluated::Vector(rows)
        }
    })
}

fn once(ctx: &Context<'_>, inner: &Node, steps: Steps) -> Result<Evaluated, QueryError> {
    let first = Steps { count: 1, ..steps };
    Ok(match eval(ctx, inner, first)? {
        Evaluated::Scalar(values) => {
            Evaluated::Scalar(vec![values.first().copied().unwrap_or(f64::NAN); steps.count])
        }
        Evaluated::Text(text) => Evaluated::Text(text),
        Evaluated::Vector(mut rows) => {
            ctx.budget.charge(rows.len().saturating_mul(steps.count))?;
            for row in &mut rows {
                row.column = row.column.repeated(steps.count);
            }
            Evaluated::Vector(rows)
        }
    })
}
