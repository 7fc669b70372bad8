//! Fewer, larger, cleaner blocks. [`plan`] and [`retention`] decide and are pure; [`merge`] reads
//! and writes; [`run`] takes a merge forward by bounded steps and makes its result live.

mod merge;
pub(crate) mod plan;
mod retention;
pub(crate) mod rollup;
mod run;

pub(crate) use retention::expired;
pub use retention::{Retention, Rule};
pub(crate) use run::{Compaction, Step, step, weigh};
