//! What is the same at every step is evaluated once: subtrees whose selectors all are pinned by
//! `@` and that ask no function for the time.

use super::super::{Node, Op, Shift};
use crate::parse::Span;
use crate::parse::expr::ValueType;

pub(super) fn wrap(node: &mut Node) {
    if is_invariant(node) {
        // Literals and ranges are no work of their own.
        let literal = matches!(node.op, Op::Number(_) | Op::Text { .. });
        if !literal && node.value_type() != ValueType::Matrix {
            let span = node.span;
            let placeholder = Node { op: Op::Number(0.0), span: Span::default() };
            let inner = std::mem::replace(node, placeholder);
            *node = Node { op: Op::Invariant(Box::new(inner)), span };
        }
        return;
    }
    // The steps inside a subquery are its own: what is pinned there is found again below.
    for child in node.children_mut() {
        wrap(child);
    }
}

fn is_invariant(node: &Node) -> bool {
    let pinned = |shift: Shift| shift.at.is_some();
    match &node.op {
        Op::Number(_) | Op::Text { .. } => true,
        Op::Select(select) => pinned(select.shift),
        Op::Window(window) => pinned(window.select.shift),
        Op::Subquery(subquery) => pinned(subquery.shift),
        Op::Call { function, args } => {
            let of_time = matches!(
                function.name,
                "time" | "timestamp" | "start_timestamp" | "predict_linear"
            ) || (args.is_empty() && !matches!(function.name, "pi"));
            !of_time && args.iter().all(is_invariant)
        }
        Op::Aggregate(_) | Op::Binary(_) | Op::Negate(_) => {
            node.children().into_iter().all(is_invariant)
        }
        Op::Invariant(_) => true,
    }
}
