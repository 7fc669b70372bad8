//! Types and the rules that need more than grammar. Messages are Prometheus's.

use super::error::ParseError;
use super::expr::{
    Aggregate, AggregateOp, Binary, Cardinality, Expr, Kind, Selector, Subquery, ValueType,
};
use super::token::Span;
use crate::func::{Function, Variadic};

type Checked = Result<(), ParseError>;

pub(super) fn check(expr: &Expr) -> Checked {
    match &expr.kind {
        Kind::Number(_) | Kind::Text(_) => Ok(()),
        Kind::Paren(inner) => check(inner),
        Kind::Selector(selector) => check_selector(selector, expr.span),
        Kind::Matrix(selector, _) => check_selector(selector, expr.span),
        Kind::Subquery(subquery) => check_subquery(subquery, expr.span),
        Kind::Unary(_, inner) => {
            check(inner)?;
            match inner.value_type() {
                ValueType::Scalar | ValueType::Vector => Ok(()),
                other => fault(
                    expr.span,
                    format!(
                        "unary expression only allowed on expressions of type scalar or instant \
                         vector, got {:?}",
                        other.to_string()
                    ),
                ),
            }
        }
        Kind::Call(function, args) => check_call(function, args, expr.span),
        Kind::Aggregate(aggregate) => check_aggregate(aggregate),
        Kind::Binary(binary) => check_binary(binary, expr.span),
    }
}

fn fault(span: Span, text: impl Into<String>) -> Checked {
    Err(ParseError::at(span, text))
}

fn check_selector(selector: &Selector, span: Span) -> Checked {
    if selector.matchers.iter().all(|m| m.matches_empty()) {
        return fault(span, "vector selector must contain at least one non-empty matcher");
    }
    Ok(())
}

fn check_subquery(subquery: &Subquery, span: Span) -> Checked {
    check(&subquery.expr)?;
    let inner = subquery.expr.value_type();
    if inner != ValueType::Vector {
        let text =
            format!("subquery is only allowed on instant vector, got {} instead", inner.short());
        return fault(span, text);
    }
    Ok(())
}

fn expect_type(expr: &Expr, want: ValueType, place: &str) -> Checked {
    check(expr)?;
    let have = expr.value_type();
    if have == want {
        return Ok(());
    }
    fault(expr.span, format!("expected type {want} in {place}, got {have}"))
}

fn check_call(function: &Function, args: &[Expr], span: Span) -> Checked {
    let (name, declared, have) = (function.name, function.args.len(), args.len());
    let wrong = |bound: &str, want: usize| {
        fault(span, format!("expected {bound}{want} argument(s) in call to {name:?}, got {have}"))
    };
    match function.variadic {
        Variadic::No if have != declared => return wrong("", declared),
        Variadic::Optional(_) | Variadic::Any if have + 1 < declared => {
            return wrong("at least ", declared - 1);
        }
        Variadic::Optional(more) if have > declared - 1 + more => {
            return wrong("at most ", declared - 1 + more);
        }
        _ => {}
    }
    if name == "info"
        && let Some(selector) = args.get(1)
    {
        check_info_selector(selector)?;
        return args.first().map_or(Ok(()), |arg| check_arg(function, 0, arg));
    }
    for (i, arg) in args.iter().enumerate() {
        check_arg(function, i, arg)?;
    }
    Ok(())
}

fn check_arg(function: &Function, i: usize, arg: &Expr) -> Checked {
    let want = function.args.get(i).or(function.args.last());
    if let Some(&want) = want {
        expect_type(arg, want, &format!("call to function {:?}", function.name))?;
    }
    Ok(())
}

/// The second argument of `info` is a selector that may accept everything.
fn check_info_selector(arg: &Expr) -> Checked {
    match &arg.unwrapped().kind {
        Kind::Selector(selector) if selector.name.is_none() => Ok(()),
        Kind::Selector(_) => {
            fault(arg.span, "expected label selectors only, got vector selector instead")
        }
        _ => fault(arg.span, "expected label selectors only"),
    }
}

fn check_aggregate(aggregate: &Aggregate) -> Checked {
    expect_type(&aggregate.expr, ValueType::Vector, "aggregation expression")?;
    let Some(param) = &aggregate.param else { return Ok(()) };
    let want = match aggregate.op {
        AggregateOp::CountValues => ValueType::Text,
        _ => ValueType::Scalar,
    };
    expect_type(param, want, "aggregation parameter")
}

fn check_binary(binary: &Binary, span: Span) -> Checked {
    let Binary { op, op_span, left, right, returns_bool, matching } = binary;
    check(left)?;
    check(right)?;
    let (l, r) = (left.value_type(), right.value_type());
    if *returns_bool && !op.is_comparison() {
        return fault(*op_span, "bool modifier can only be used on comparison operators");
    }
    if op.is_comparison() && !returns_bool && l == ValueType::Scalar && r == ValueType::Scalar {
        return fault(*op_span, "comparisons between scalars must use BOOL modifier");
    }
    let operand = |t: ValueType| matches!(t, ValueType::Scalar | ValueType::Vector);
    for side in [left, right] {
        if !operand(side.value_type()) {
            let text = "binary expression must contain only scalar and instant vector types";
            return fault(side.span, text);
        }
    }
    if matching.on
        && let Some(both) = matching.include.iter().find(|l| matching.labels.contains(l))
    {
        let text = format!("label {both:?} must not occur in ON and GROUP clause at once");
        return fault(*op_span, text);
    }
    let vectors = l == ValueType::Vector && r == ValueType::Vector;
    let filled = matching.fill_left.is_some() || matching.fill_right.is_some();
    if !vectors {
        if matching.written || filled {
            return fault(span, "vector matching only allowed between instant vectors");
        }
        if op.is_set() {
            let text =
                format!("set operator {:?} not allowed in binary scalar expression", op.symbol());
            return fault(span, text);
        }
    } else if op.is_set() && filled {
        let text = format!("filling in missing series not allowed for {:?} operation", op.symbol());
        return fault(span, text);
    } else if op.is_set() && matching.cardinality != Cardinality::ManyToMany {
        return fault(span, "set operations must always be many-to-many");
    }
    Ok(())
}
