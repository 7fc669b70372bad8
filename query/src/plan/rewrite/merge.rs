//! Equal selectors become one source, so that the index is asked once.

use super::super::{Node, Op, Plan, Source};

pub(super) fn merge_sources(plan: &mut Plan) {
    let mut kept: Vec<Source> = Vec::new();
    let mut moved = Vec::new();
    for source in plan.sources.drain(..) {
        let at = kept.iter().position(|k| k.matchers == source.matchers).unwrap_or_else(|| {
            kept.push(source);
            kept.len() - 1
        });
        moved.push(at);
    }
    plan.sources = kept;
    renumber(&mut plan.root, &moved);
}

fn renumber(node: &mut Node, moved: &[usize]) {
    let source = match &mut node.op {
        Op::Select(select) => Some(&mut select.source),
        Op::Window(window) => Some(&mut window.select.source),
        _ => None,
    };
    if let Some(source) = source {
        *source = moved.get(*source).copied().unwrap_or(*source);
    }
    for child in node.children_mut() {
        renumber(child, moved);
    }
}
