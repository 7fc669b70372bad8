//! `info()`: adds the labels of info series to those of a vector.

use crate::error::QueryError;
use crate::exec::Context;
use crate::plan::Node;
use crate::value::{Row, Steps};

use super::call::rows_of;

pub(super) fn eval(ctx: &Context<'_>, args: &[Node], steps: Steps) -> Result<Vec<Row>, QueryError> {
    rows_of(ctx, args, 0, steps)
}
