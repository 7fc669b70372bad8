//! `/api/v1/query_exemplars`: the exemplars of the series an expression selects.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ringwell_query::parse::expr::{Expr, Kind};
use ringwell_query::parse_expression;
use ringwell_storage::exemplars::Exemplar;
use ringwell_storage::model::{Labels, Matcher};

use super::error::ApiError;
use super::params::Params;
use super::{State, json};
use crate::number::{push_time, push_value};

pub(super) async fn exemplars(state: State, params: Params) -> Result<Response, ApiError> {
    let Some(range) = params.range()? else {
        return Err(ApiError::bad_data("end timestamp must not be before start timestamp"));
    };
    let expr = parse_expression(params.get("query"))?;
    let mut selectors = Vec::new();
    gather(&expr, &mut selectors);
    if selectors.is_empty() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let store = Arc::clone(&state.store);
    let timeout = params.timeout(state.config.limits.query_time)?;
    let found = state.pool.run(timeout, move |_| store.exemplars(&selectors, range)).await?;
    Ok(json::success(&text(&found), &[], &[]))
}

/// The conditions of every selector of an expression.
fn gather(expr: &Expr, out: &mut Vec<Vec<Matcher>>) {
    match &expr.kind {
        Kind::Number(_) | Kind::Text(_) => {}
        Kind::Selector(selector) | Kind::Matrix(selector, _) => {
            out.push(selector.matchers.clone());
        }
        Kind::Subquery(subquery) => gather(&subquery.expr, out),
        Kind::Call(_, args) => args.iter().for_each(|arg| gather(arg, out)),
        Kind::Aggregate(aggregate) => {
            aggregate.param.iter().for_each(|param| gather(param, out));
            gather(&aggregate.expr, out);
        }
        Kind::Binary(binary) => {
            gather(&binary.left, out);
            gather(&binary.right, out);
        }
        Kind::Unary(_, inner) | Kind::Paren(inner) => gather(inner, out),
    }
}

fn text(found: &BTreeMap<Labels, Vec<Exemplar>>) -> String {
    let mut out = String::from("[");
    for (i, (series, exemplars)) in found.iter().enumerate() {
        json::separate(&mut out, i);
        out.push_str("{\"seriesLabels\":");
        json::push_labels(&mut out, series);
        out.push_str(",\"exemplars\":[");
        for (i, exemplar) in exemplars.iter().enumerate() {
            json::separate(&mut out, i);
            out.push_str("{\"labels\":");
            json::push_labels(&mut out, &exemplar.labels);
            out.push_str(",\"value\":\"");
            push_value(&mut out, exemplar.value);
            out.push_str("\",\"timestamp\":");
            push_time(&mut out, exemplar.t);
            out.push('}');
        }
        out.push_str("]}");
    }
    out.push(']');
    out
}
