//! `/api/v1/metadata`: what metrics mean, as senders tell it, and of the node's own metrics.

use std::collections::BTreeMap;

use axum::response::Response;
use ringwell_query::parse_selector;
use ringwell_storage::metadata::{Metadata, MetricType};
use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::params::Params;
use super::{Handles, State, json as answers};

pub(super) async fn metadata(state: State, params: Params) -> Result<Response, ApiError> {
    let limit = number(&params, "limit")?.unwrap_or(-1);
    let per_metric = number(&params, "limit_per_metric")?.and_then(|n| usize::try_from(n).ok());
    let per_metric = per_metric.filter(|n| *n > 0).unwrap_or(usize::MAX);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let wanted = params.get("metric");
    let known = known(&state, Some(wanted).filter(|wanted| !wanted.is_empty()));
    let entries: Map<String, Value> = known
        .into_iter()
        .take(limit)
        .map(|(metric, of)| (metric, of.iter().take(per_metric).map(entry).collect()))
        .collect();
    Ok(answers::success(&Value::Object(entries).to_string(), &[], &[]))
}

/// Nothing is scraped by this node, so no target has metadata.
pub(super) async fn of_targets(params: Params) -> Result<Response, ApiError> {
    number(&params, "limit")?;
    let target = params.get("match_target");
    if !target.is_empty() {
        parse_selector(target)
            .map_err(|error| ApiError::parameter("match_target", error.message))?;
    }
    Ok(answers::success("[]", &[], &[]))
}

fn number(params: &Params, name: &str) -> Result<Option<i64>, ApiError> {
    match params.get(name) {
        "" => Ok(None),
        text => text
            .parse()
            .map(Some)
            .map_err(|_| ApiError::bad_data(format!("{name} must be a number"))),
    }
}

/// The node knows its own metrics better than whoever sends them back to it.
fn known(handles: &Handles, metric: Option<&str>) -> BTreeMap<String, Vec<Metadata>> {
    let mut known = handles.store.metadata(metric);
    for family in handles.registry.gather().iter() {
        if metric.is_some_and(|metric| metric != family.name) {
            continue;
        }
        let own = Metadata {
            kind: MetricType::from_name(family.kind.name()),
            help: family.help.to_owned(),
            unit: String::new(),
        };
        let of = known.entry(family.name.to_string()).or_default();
        of.retain(|other| *other != own);
        of.insert(0, own);
    }
    known
}

fn entry(metadata: &Metadata) -> Value {
    json!({ "type": metadata.kind.name(), "help": metadata.help, "unit": metadata.unit })
}
