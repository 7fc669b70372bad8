//! An expression over several lines: what does not fit in a line is split where it nests.

use super::expr::{Aggregate, Binary, Expr, Kind, Subquery};
use super::print::{aggregate_head, binary_operator, subquery_suffix};

/// Longest expression that stays on one line, in bytes.
const LINE: usize = 100;

/// The text of an expression for people.
pub fn pretty(expr: &Expr) -> String {
    at_level(expr, 0)
}

fn indent(level: usize) -> String {
    "  ".repeat(level)
}

fn at_level(expr: &Expr, level: usize) -> String {
    let line = expr.to_string();
    let margin = indent(level);
    if let Kind::Unary(negative, inner) = &expr.kind {
        let sign = if *negative { '-' } else { '+' };
        return format!("{margin}{sign}{}", at_level(inner, level).trim());
    }
    if line.len() <= LINE {
        return format!("{margin}{line}");
    }
    let below = |inner: &Expr| at_level(inner, level + 1);
    match &expr.kind {
        Kind::Paren(inner) => format!("{margin}(\n{}\n{margin})", below(inner)),
        Kind::Call(function, args) => {
            let args: Vec<String> = args.iter().map(below).collect();
            format!("{margin}{}(\n{}\n{margin})", function.name, args.join(",\n"))
        }
        Kind::Aggregate(aggregate) => split_aggregate(aggregate, level),
        Kind::Binary(binary) => {
            let Binary { left, right, .. } = binary.as_ref();
            format!("{}\n{margin}{}\n{}", below(left), binary_operator(binary), below(right))
        }
        Kind::Subquery(subquery) => {
            let Subquery { expr, .. } = subquery.as_ref();
            format!("{}{}", at_level(expr, level), subquery_suffix(subquery))
        }
        _ => format!("{margin}{line}"),
    }
}

fn split_aggregate(aggregate: &Aggregate, level: usize) -> String {
    let margin = indent(level);
    let mut out = format!("{margin}{}(\n", aggregate_head(aggregate));
    if let Some(param) = &aggregate.param {
        out.push_str(&format!("{},\n", at_level(param, level + 1)));
    }
    out.push_str(&format!("{}\n{margin})", at_level(&aggregate.expr, level + 1)));
    out
}
