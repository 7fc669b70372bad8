//! What changes or copies the whole store: Prometheus's admin paths, which answer only where
//! `web.enable_admin_api` says so, and the node's own snapshot.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ringwell_query::{Interrupt, parse_selector};
use ringwell_storage::model::{Matcher, TimeRange};
use ringwell_storage::store::{DeleteError, Store};
use serde_json::json;

use super::error::{ApiError, Kind};
use super::params::{Params, parse_bool};
use super::{Handles, State, json as answers};
use crate::blocking::Cancel;
use crate::clock;
use crate::ingest::ack_of;

/// A snapshot takes at most about as long as its log takes to copy, and rewriting blocks as long as
/// reading them.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(600);

fn enabled(handles: &Handles) -> Result<(), ApiError> {
    if handles.config.admin_api {
        return Ok(());
    }
    Err(ApiError { kind: Kind::Disabled, message: "admin APIs disabled".to_owned() })
}

/// Deletes what each selector means in a range; without a range the series as a whole.
pub(super) async fn delete_series(state: State, params: Params) -> Result<Response, ApiError> {
    enabled(&state)?;
    let selectors: Vec<Vec<Matcher>> = params
        .all("match[]")
        .map(|text| {
            parse_selector(text).map_err(|error| ApiError::parameter("match[]", error.message))
        })
        .collect::<Result<_, _>>()?;
    if selectors.is_empty() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let Some(range) = params.range()? else { return Ok(StatusCode::NO_CONTENT.into_response()) };
    let store = Arc::clone(&state.store);
    let work = move |_: &Cancel| {
        let delete = |matchers| match range {
            TimeRange::ALL => store.forget(matchers),
            range => store.delete(matchers, range),
        };
        selectors.into_iter().map(delete).try_fold(None, |_, done| done.map(Some))
    };
    let ended = state.pool.run(state.config.limits.query_time, work).await??;
    if let Some(position) = ended {
        let durable = state.store.wait(position, ack_of(state.config.samples_sync)).await;
        durable.map_err(DeleteError::from)?;
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

impl From<DeleteError> for ApiError {
    fn from(error: DeleteError) -> ApiError {
        let kind = match error {
            DeleteError::Everything => Kind::BadData,
            DeleteError::TooMany(_) | DeleteError::Log(_) => Kind::Unavailable,
        };
        ApiError { kind, message: error.to_string() }
    }
}

/// Rewrites the blocks that still hold deleted samples, and answers when they are gone.
pub(super) async fn clean_tombstones(state: State) -> Result<Response, ApiError> {
    enabled(&state)?;
    let store = Arc::clone(&state.store);
    let work = move |cancel: &Cancel| clean(&store, cancel);
    state.pool.run(LONGEST, work).await?.map_err(internal)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn clean(store: &Store, cancel: &Cancel) -> Result<(), String> {
    store.hurry_compaction();
    while cancel.stop().is_none() {
        let done = store.maintain(clock::now_ms()).map_err(|error| error.to_string())?;
        if !done.more {
            return Ok(());
        }
    }
    Err("it takes longer than a request may; it goes on in the background".to_owned())
}

fn internal(message: String) -> ApiError {
    ApiError { kind: Kind::Internal, message }
}

/// Prometheus's: a name below the data directory. The head cannot be left out of one, for a snapshot
/// is a data directory of its own.
pub(super) async fn snapshot(state: State, params: Params) -> Result<Response, ApiError> {
    enabled(&state)?;
    let skip_head = match params.get("skip_head") {
        "" => false,
        text => parse_bool(text).map_err(|reason| {
            ApiError::parameter("skip_head", format!("unable to parse boolean: {reason}"))
        })?,
    };
    if skip_head {
        return Err(ApiError::parameter("skip_head", "a snapshot always holds the head here"));
    }
    let (name, _) = take_snapshot(&state).await?;
    Ok(answers::success(&json!({ "name": name }).to_string(), &[], &[]))
}

/// `ringwell snapshot`: the path as well.
pub(super) async fn own_snapshot(state: State) -> Result<Response, ApiError> {
    let (name, path) = take_snapshot(&state).await?;
    let path = state.config.data_dir.join(path);
    Ok(answers::success(&json!({ "name": name, "path": path }).to_string(), &[], &[]))
}

async fn take_snapshot(handles: &Arc<Handles>) -> Result<(String, String), ApiError> {
    let store = Arc::clone(&handles.store);
    let name = crate::tools::name();
    let taken = handles.pool.run(LONGEST, {
        let name = name.clone();
        move |_: &Cancel| store.snapshot_to(&name).map_err(|error| error.to_string())
    });
    let path = taken.await?.map_err(internal)?;
    Ok((name, path))
}
