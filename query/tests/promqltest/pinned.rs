//! A query pinned to a time by `@`: evaluated at any other time it must answer the same.

use ringwell_query::parse::expr::{At, Expr, Kind, Shift};
use ringwell_query::parse::parse;

/// The query with every selector pinned to `t`; `None` if its answer depends on the time of
/// evaluation in another way.
pub(crate) fn pinned(text: &str, t: i64) -> Option<String> {
    let mut expr = parse(text).ok()?;
    pin(&mut expr, t).then(|| expr.to_string())
}

fn pin(expr: &mut Expr, t: i64) -> bool {
    match &mut expr.kind {
        Kind::Number(_) | Kind::Text(_) => true,
        Kind::Selector(selector) | Kind::Matrix(selector, _) => pin_shift(&mut selector.shift, t),
        // What is inside a subquery is evaluated at the subquery's own steps.
        Kind::Subquery(subquery) => pin_shift(&mut subquery.shift, t) && !asks_time(&subquery.expr),
        Kind::Call(function, args) => {
            let of_time = ["time", "timestamp", "predict_linear", "start_timestamp", "info"];
            let bare = args.is_empty() && function.name != "pi";
            !bare && !of_time.contains(&function.name) && args.iter_mut().all(|a| pin(a, t))
        }
        Kind::Aggregate(aggregate) => {
            aggregate.param.iter_mut().all(|p| pin(p, t)) && pin(&mut aggregate.expr, t)
        }
        Kind::Binary(binary) => pin(&mut binary.left, t) && pin(&mut binary.right, t),
        Kind::Unary(_, inner) | Kind::Paren(inner) => pin(inner, t),
    }
}

fn pin_shift(shift: &mut Shift, t: i64) -> bool {
    let free = shift.at.is_none();
    shift.at = Some(At::Time(t));
    free
}

fn asks_time(expr: &Expr) -> bool {
    expr.to_string().contains("start()") || expr.to_string().contains("end()")
}
