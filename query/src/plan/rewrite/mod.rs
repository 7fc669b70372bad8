//! Rewrites, one a file. Each keeps the answer and makes it cheaper.

mod invariant;
mod merge;
mod stats;

use super::Plan;

/// All of them, in order.
pub(crate) fn rewrite(plan: &mut Plan) {
    stats::mark(&mut plan.root);
    merge::merge_sources(plan);
    invariant::wrap(&mut plan.root);
}
