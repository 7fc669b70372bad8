//! Binary operators: what they do to two values, and to a vector and a number.

use std::sync::Arc;

use ringwell_storage::model::{Combined, FloatHistogram, Mismatch};

use super::{Context, eval as eval_node, matching, set};
use crate::error::QueryError;
use crate::parse::Span;
use crate::parse::expr::BinaryOp;
use crate::plan::Binary;
use crate::value::{Cell, Evaluated, Row, Steps};

pub(super) fn eval(
    ctx: &Context<'_>,
    binary: &Binary,
    span: Span,
    steps: Steps,
) -> Result<Evaluated, QueryError> {
    let left = eval_node(ctx, &binary.left, steps)?;
    let right = eval_node(ctx, &binary.right, steps)?;
    let op = binary.op;
    Ok(match (left, right) {
        (Evaluated::Scalar(a), Evaluated::Scalar(b)) => {
            Evaluated::Scalar(a.iter().zip(&b).map(|(a, b)| of_scalars(op, *a, *b)).collect())
        }
        (Evaluated::Vector(rows), Evaluated::Scalar(values)) => {
            Evaluated::Vector(with_scalar(ctx, binary, span, rows, &values, false))
        }
        (Evaluated::Scalar(values), Evaluated::Vector(rows)) => {
            Evaluated::Vector(with_scalar(ctx, binary, span, rows, &values, true))
        }
        (Evaluated::Vector(left), Evaluated::Vector(right)) => Evaluated::Vector(if op.is_set() {
            set::eval(ctx, binary, left, right, steps)?
        } else {
            matching::eval(ctx, binary, span, &left, &right, steps)?
        }),
        _ => {
            let text = "binary expression must contain only scalar and instant vector types";
            return Err(QueryError::execution(text));
        }
    })
}

/// What comes of an operator.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Float(f64),
    Histogram(Arc<FloatHistogram>),
    /// A comparison: whether it holds.
    Holds(bool),
    Nothing,
}

fn of_scalars(op: BinaryOp, a: f64, b: f64) -> f64 {
    match of_floats(op, a, b) {
        Outcome::Float(value) => value,
        Outcome::Holds(holds) => f64::from(u8::from(holds)),
        _ => f64::NAN,
    }
}

fn of_floats(op: BinaryOp, a: f64, b: f64) -> Outcome {
    Outcome::Float(match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        BinaryOp::Mod => a % b,
        BinaryOp::Pow => a.powf(b),
        BinaryOp::Atan2 => a.atan2(b),
        BinaryOp::Equal => return Outcome::Holds(a == b),
        BinaryOp::NotEqual => return Outcome::Holds(a != b),
        BinaryOp::Less => return Outcome::Holds(a < b),
        BinaryOp::LessEqual => return Outcome::Holds(a <= b),
        BinaryOp::Greater => return Outcome::Holds(a > b),
        BinaryOp::GreaterEqual => return Outcome::Holds(a >= b),
        _ => return Outcome::Nothing,
    })
}

/// Applies an operator to two cells that are there.
pub(super) fn apply(
    ctx: &Context<'_>,
    span: Span,
    op: BinaryOp,
    left: Cell<'_>,
    right: Cell<'_>,
) -> Outcome {
    let incompatible = |l: &str, r: &str| {
        ctx.info(
            span,
            format!(
                "incompatible sample types encountered for binary operator {:?}: {l} {} {r}",
                op.symbol(),
                op.symbol()
            ),
        );
        Outcome::Nothing
    };
    let histogram = |h: FloatHistogram| Outcome::Histogram(Arc::new(h));
    match (left, right) {
        (Cell::Float(a), Cell::Float(b)) => match of_floats(op, a, b) {
            Outcome::Nothing => incompatible("float", "float"),
            outcome => outcome,
        },
        (Cell::Histogram(a), Cell::Float(b)) => match op {
            BinaryOp::Mul => histogram(a.scaled(b)),
            BinaryOp::Div => histogram(a.divided(b)),
            BinaryOp::TrimUpper => histogram(a.trimmed_to_upper(b)),
            BinaryOp::TrimLower => histogram(a.trimmed_to_lower(b)),
            _ => incompatible("histogram", "float"),
        },
        (Cell::Float(a), Cell::Histogram(b)) => match op {
            BinaryOp::Mul => histogram(b.scaled(a)),
            _ => incompatible("float", "histogram"),
        },
        (Cell::Histogram(a), Cell::Histogram(b)) => match op {
            BinaryOp::Add => combined(ctx, span, op, a.plus(b)),
            BinaryOp::Sub => combined(ctx, span, op, a.minus(b)),
            BinaryOp::Equal => Outcome::Holds(a.same_observations(b)),
            BinaryOp::NotEqual => Outcome::Holds(!a.same_observations(b)),
            _ => incompatible("histogram", "histogram"),
        },
        _ => Outcome::Nothing,
    }
}

fn combined(
    ctx: &Context<'_>,
    span: Span,
    op: BinaryOp,
    result: Result<Combined, Mismatch>,
) -> Outcome {
    let word = if op == BinaryOp::Add { "addition" } else { "subtraction" };
    let Ok(combined) = result else {
        let text =
            format!("incompatible bucket layout encountered for binary operator {}", op.symbol());
        ctx.warn(span, text);
        return Outcome::Nothing;
    };
    if combined.reset_collision {
        ctx.warn(span, format!("conflicting counter resets during histogram {word}"));
    }
    if combined.bounds_reconciled {
        ctx.info(span, format!("mismatched custom buckets were reconciled during {word}"));
    }
    Outcome::Histogram(Arc::new(combined.histogram))
}

/// A comparison without `bool` keeps the vector's own values.
fn with_scalar(
    ctx: &Context<'_>,
    binary: &Binary,
    span: Span,
    mut rows: Vec<Row>,
    values: &[f64],
    scalar_left: bool,
) -> Vec<Row> {
    let Binary { op, returns_bool, .. } = *binary;
    for row in &mut rows {
        row.drop_name |= op.changes_metric() || returns_bool;
        for i in 0..row.column.len() {
            let cell = row.column.get(i);
            if matches!(cell, Cell::None) {
                continue;
            }
            let value = Cell::Float(values.get(i).copied().unwrap_or(f64::NAN));
            let (left, right) = if scalar_left { (value, cell) } else { (cell, value) };
            match apply(ctx, span, op, left, right) {
                Outcome::Float(value) => row.column.set_float(i, value),
                Outcome::Histogram(value) => row.column.set_histogram(i, value),
                Outcome::Holds(holds) if returns_bool => {
                    row.column.set_float(i, f64::from(u8::from(holds)));
                }
                Outcome::Holds(true) => {}
                Outcome::Holds(false) | Outcome::Nothing => row.column.clear(i),
            }
        }
    }
    rows.retain(|row| !row.column.is_empty());
    rows
}
