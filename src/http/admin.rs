//! What changes or copies the whole store, spelled as Prometheus's admin API.

use std::sync::Arc;

use axum::response::Response;
use serde_json::json;

use super::error::ApiError;
use super::{State, json as answers};

/// A snapshot takes at most about as long as its log takes to copy.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(600);

pub(super) async fn snapshot(state: State) -> Result<Response, ApiError> {
    let store = Arc::clone(&state.store);
    let name = crate::tools::name();
    let taken = state.pool.run(LONGEST, {
        let name = name.clone();
        move |_: &_| store.snapshot_to(&name).map_err(|error| error.to_string())
    });
    let path =
        taken.await?.map_err(|message| ApiError { kind: super::error::Kind::Internal, message })?;
    let path = state.config.data_dir.join(path);
    let data = json!({ "name": name, "path": path });
    Ok(answers::success(&data.to_string(), &[], &[]))
}
