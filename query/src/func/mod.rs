//! Functions: [`table`] lists them all with their types; the files beside it hold what they do.

pub(crate) mod classic;
pub(crate) mod extended;
pub(crate) mod histogram;
pub(crate) mod instant;
pub(crate) mod outlier;
pub(crate) mod over_time;
pub(crate) mod quantile;
pub(crate) mod quick;
pub(crate) mod rate;
pub(crate) mod regression;
pub(crate) mod sums;
mod table;
pub(crate) mod time;
pub(crate) mod training;

pub(crate) use table::{Does, find};

pub use table::{Function, Variadic};

use crate::exec::{Call, Out, Window};

/// A function of one window; `None` where the series has no value.
pub(crate) type RangeFn = fn(&Window<'_>, &Call<'_>) -> Option<Out>;
