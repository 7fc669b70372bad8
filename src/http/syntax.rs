//! `/api/v1/format_query` and `/api/v1/parse_query`: a query's text for people, its tree for
//! programs, in Prometheus's shape. Nothing is evaluated.

use axum::response::Response;
use ringwell_query::parse::DurationContext;
use ringwell_query::parse::expr::{
    At, Binary, Cardinality, DurationExpr, Edges, Expr, Kind, Selector, Shift, ValueType,
};
use ringwell_query::{Function, Variadic, format_expression, format_float, parse_expression};
use ringwell_storage::model::{MatchOp, Matcher};
use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::json as answers;
use super::params::Params;

pub(super) async fn format(params: Params) -> Result<Response, ApiError> {
    let text = format_expression(params.get("query")).map_err(about_query)?;
    Ok(answers::success(&Value::from(text).to_string(), &[], &[]))
}

pub(super) async fn parse(params: Params) -> Result<Response, ApiError> {
    let expr = parse_expression(params.get("query")).map_err(about_query)?;
    Ok(answers::success(&tree(&expr).to_string(), &[], &[]))
}

fn about_query(error: ringwell_query::QueryError) -> ApiError {
    ApiError::parameter("query", error.message)
}

fn tree(expr: &Expr) -> Value {
    match &expr.kind {
        Kind::Number(number) => json!({ "type": "numberLiteral", "val": format_float(*number) }),
        Kind::Text(text) => json!({ "type": "stringLiteral", "val": text.value }),
        Kind::Paren(inner) => json!({ "type": "parenExpr", "expr": tree(inner) }),
        Kind::Unary(negative, inner) => {
            let op = if *negative { "-" } else { "+" };
            json!({ "type": "unaryExpr", "op": op, "expr": tree(inner) })
        }
        Kind::Selector(selector) => Value::Object(of_selector("vectorSelector", selector)),
        Kind::Matrix(selector, range) => {
            let mut node = of_selector("matrixSelector", selector);
            node.insert("range".to_owned(), json!(millis(range)));
            Value::Object(node)
        }
        Kind::Subquery(subquery) => {
            let mut node = Map::new();
            node.insert("type".to_owned(), json!("subquery"));
            node.insert("expr".to_owned(), tree(&subquery.expr));
            node.insert("range".to_owned(), json!(millis(&subquery.range)));
            node.insert("step".to_owned(), json!(subquery.step.as_ref().map_or(0, millis)));
            of_shift(&mut node, &subquery.shift);
            Value::Object(node)
        }
        Kind::Call(function, args) => json!({
            "type": "call",
            "func": signature(function),
            "args": args.iter().map(tree).collect::<Vec<_>>(),
        }),
        Kind::Aggregate(aggregate) => json!({
            "type": "aggregation",
            "op": aggregate.op.name(),
            "expr": tree(&aggregate.expr),
            "param": aggregate.param.as_ref().map(tree),
            "grouping": aggregate.grouping,
            "without": aggregate.without,
        }),
        Kind::Binary(binary) => json!({
            "type": "binaryExpr",
            "op": binary.op.symbol(),
            "lhs": tree(&binary.left),
            "rhs": tree(&binary.right),
            "bool": binary.returns_bool,
            "matching": matching(binary),
        }),
    }
}

/// Only two vectors are matched.
fn matching(binary: &Binary) -> Value {
    let vector = |side: &Expr| side.value_type() == ValueType::Vector;
    if !(vector(&binary.left) && vector(&binary.right)) {
        return Value::Null;
    }
    let matching = &binary.matching;
    let card = match matching.cardinality {
        Cardinality::OneToOne => "one-to-one",
        Cardinality::ManyToOne => "many-to-one",
        Cardinality::OneToMany => "one-to-many",
        Cardinality::ManyToMany => "many-to-many",
    };
    let mut node = json!({
        "card": card,
        "labels": matching.labels,
        "on": matching.on,
        "include": matching.include,
    });
    let fills = [("lhs", matching.fill_left), ("rhs", matching.fill_right)];
    if fills.iter().any(|(_, value)| value.is_some())
        && let Some(node) = node.as_object_mut()
    {
        let values = fills.map(|(side, value)| (side.to_owned(), json!(value)));
        node.insert("fillValues".to_owned(), Value::Object(values.into_iter().collect()));
    }
    node
}

fn of_selector(kind: &str, selector: &Selector) -> Map<String, Value> {
    let mut node = Map::new();
    node.insert("type".to_owned(), json!(kind));
    node.insert("name".to_owned(), json!(selector.name.as_deref().unwrap_or_default()));
    let matchers: Vec<Value> = selector.matchers.iter().map(of_matcher).collect();
    node.insert("matchers".to_owned(), Value::Array(matchers));
    of_shift(&mut node, &selector.shift);
    match selector.edges {
        Edges::Plain => None,
        Edges::Anchored => node.insert("anchored".to_owned(), json!(true)),
        Edges::Smoothed => node.insert("smoothed".to_owned(), json!(true)),
    };
    node
}

fn of_matcher(matcher: &Matcher) -> Value {
    let op = match matcher.op() {
        MatchOp::Equal => "=",
        MatchOp::NotEqual => "!=",
        MatchOp::Regex => "=~",
        MatchOp::NotRegex => "!~",
    };
    json!({ "type": op, "name": matcher.name(), "value": matcher.value() })
}

fn of_shift(node: &mut Map<String, Value>, shift: &Shift) {
    let (at, edge) = match shift.at {
        None => (None, None),
        Some(At::Time(t)) => (Some(t), None),
        Some(At::Start) => (None, Some("start")),
        Some(At::End) => (None, Some("end")),
    };
    node.insert("offset".to_owned(), json!(shift.offset.as_ref().map_or(0, millis)));
    node.insert("timestamp".to_owned(), json!(at));
    node.insert("startOrEnd".to_owned(), json!(edge));
}

/// Milliseconds; 0 where only a running query knows them.
fn millis(duration: &DurationExpr) -> i64 {
    duration.millis(DurationContext { step: 0, range: 0 }).unwrap_or(0)
}

fn signature(function: &Function) -> Value {
    let variadic = match function.variadic {
        Variadic::No => 0,
        Variadic::Optional(count) => i64::try_from(count).unwrap_or(i64::MAX),
        Variadic::Any => -1,
    };
    let word = |value: &ValueType| value.short();
    json!({
        "name": function.name,
        "argTypes": function.args.iter().map(word).collect::<Vec<_>>(),
        "variadic": variadic,
        "returnType": function.returns.short(),
    })
}
