//! `/api/v1/mirrors`: how the mirrors are, and comparing all keys of one with the node's.

use std::sync::Arc;

use axum::response::Response;

use super::error::ApiError;
use super::params::Params;
use super::{State, json as answers};

pub(super) async fn mirrors(state: State) -> Response {
    let told: Vec<_> = state.mirrors.iter().map(|mirror| mirror.told()).collect();
    answers::success(&serde_json::Value::from(told).to_string(), &[], &[])
}

/// Begins to compare all keys of the mirror in `name`; how far that is stands in the list of mirrors.
pub(super) async fn verify(state: State, params: Params) -> Result<Response, ApiError> {
    let name = params.get("name");
    let mirror = state.mirrors.iter().find(|mirror| mirror.name() == name);
    let mirror = mirror.ok_or_else(|| ApiError::parameter("name", "there is no such mirror"))?;
    Arc::clone(mirror).verify_all();
    Ok(answers::success(&mirror.told().to_string(), &[], &[]))
}
