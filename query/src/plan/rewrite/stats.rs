//! Under `histogram_count`, `histogram_sum` and `histogram_avg` nobody looks at buckets, so
//! selectors there tell resets by what they read next to each other. Anything that needs buckets
//! on the way, and subqueries, end that.

use super::super::{Node, Op};
use crate::parse::expr::BinaryOp;

pub(super) fn mark(node: &mut Node) {
    descend(node, false);
}

fn descend(node: &mut Node, stats: bool) {
    let below = match &node.op {
        Op::Call { function, .. } => match function.name {
            "histogram_count" | "histogram_sum" | "histogram_avg" => true,
            "histogram_quantile"
            | "histogram_quantiles"
            | "histogram_fraction"
            | "histogram_stddev"
            | "histogram_stdvar" => false,
            _ => stats,
        },
        Op::Subquery(_) => false,
        Op::Binary(b) => stats && !matches!(b.op, BinaryOp::TrimUpper | BinaryOp::TrimLower),
        _ => stats,
    };
    match &mut node.op {
        Op::Select(select) => select.stats = stats,
        Op::Window(window) => window.select.stats = stats,
        _ => {}
    }
    for child in node.children_mut() {
        descend(child, below);
    }
}
