//! `/api/v1/keys/`: which keys became series since the start, what a key becomes and a series comes
//! from, and forgetting both.

use std::time::Duration;

use axum::response::Response;
use ringwell_storage::keyspace::Reply;
use ringwell_storage::model::TimeRange;
use ringwell_storage::read::Queryable as _;
use ringwell_storage::store::Ack;
use serde_json::json;

use super::error::ApiError;
use super::params::Params;
use super::{State, json as answers};
use crate::inside::strings;

/// Forgetting looks at every key, and deletes as many as there are.
const LONGEST: Duration = Duration::from_secs(600);

pub(super) async fn recent(state: State, params: Params) -> Result<Response, ApiError> {
    let mut keys = state.recent.list();
    keys.truncate(params.limit()?);
    // Strings and numbers always make JSON.
    let data = serde_json::to_string(&keys).unwrap_or_else(|_| "[]".to_owned());
    Ok(answers::success(&data, &[], &[]))
}

/// What the key or series in `question` becomes or comes from.
pub(super) async fn explain(state: State, params: Params) -> Result<Response, ApiError> {
    let question = asked(&params, "question")?;
    let found = json!(state.keymap.explain(question));
    Ok(answers::success(&found.to_string(), &[], &[]))
}

/// Deletes the keys that match `pattern`, in database 0, and the series they have fed, whether the
/// keys are still there or not. With `dry_run=true` it only says what they are.
pub(super) async fn forget(state: State, params: Params) -> Result<Response, ApiError> {
    let pattern = asked(&params, "pattern")?.to_owned();
    let dry = match params.get("dry_run") {
        "" | "false" | "0" => false,
        "true" | "1" => true,
        _ => return Err(ApiError::parameter("dry_run", "must be true or false")),
    };
    let selector = state.keymap.selector(&pattern);
    let handles = std::sync::Arc::clone(&state);
    let done = state.pool.run(LONGEST, {
        let selector = selector.clone();
        move |_: &_| {
            let matchers = selector.as_deref().map(ringwell_query::parse_selector);
            let matchers = matchers.transpose().map_err(|error| error.to_string())?;
            let series = match &matchers {
                Some(matchers) => {
                    let found = handles.store.snapshot().select(matchers, TimeRange::ALL);
                    found.map_err(|error| error.to_string())?.len()
                }
                None => 0,
            };
            let keys = keys(&handles, pattern.as_bytes(), dry)?;
            let position = match matchers.filter(|_| !dry) {
                Some(matchers) => {
                    Some(handles.store.forget(matchers).map_err(|error| error.to_string())?)
                }
                None => None,
            };
            Ok((keys, series, position))
        }
    });
    let told = |message: String| ApiError { kind: super::error::Kind::Internal, message };
    let (keys, series, position) = done.await?.map_err(told)?;
    if let Some(position) = position {
        state.store.wait(position, Ack::Synced).await.map_err(|error| told(error.to_string()))?;
    }
    let data = json!({ "keys": keys, "series": series, "selector": selector });
    Ok(answers::success(&data.to_string(), &[], &[]))
}

fn asked<'a>(params: &'a Params, name: &'static str) -> Result<&'a str, ApiError> {
    match params.get(name) {
        "" => Err(ApiError::parameter(name, "must be given")),
        text => Ok(text),
    }
}

/// How many keys match; they are deleted unless they are only counted. An error says why one is not.
fn keys(handles: &super::Handles, pattern: &[u8], dry: bool) -> Result<usize, String> {
    let (mut cursor, mut count) = (b"0".to_vec(), 0);
    loop {
        let args: [&[u8]; 6] = [b"SCAN", &cursor, b"MATCH", pattern, b"COUNT", b"1000"];
        let mut found = strings(&handles.inside.call(&args).reply).into_iter();
        let Some(next) = found.next() else { return Ok(count) };
        for key in found {
            count += 1;
            if !dry && let Reply::Error(error) = handles.inside.call(&[b"DEL", &key]).reply {
                return Err(error);
            }
        }
        if next == b"0" {
            return Ok(count);
        }
        cursor = next;
    }
}
