//! `/api/v1/keys/recent`: keys that the keymap turned into series since the start.

use axum::response::Response;

use super::error::ApiError;
use super::params::Params;
use super::{State, json};

pub(super) async fn recent(state: State, params: Params) -> Result<Response, ApiError> {
    let mut keys = state.recent.list();
    keys.truncate(params.limit()?);
    // Strings and numbers always make JSON.
    let data = serde_json::to_string(&keys).unwrap_or_else(|_| "[]".to_owned());
    Ok(json::success(&data, &[], &[]))
}
