//! `/api/v1/rules` and `/api/v1/alerts`: no rules exist here, so nothing can fire. What is asked is checked
//! all the same, in Prometheus's order and words.

use axum::response::Response;

use super::error::ApiError;
use super::json::success;
use super::labels::{bare, selector};
use super::params::{Params, parse_bool};

pub(super) async fn rules(params: Params) -> Result<Response, ApiError> {
    for text in params.all("match[]") {
        selector(text).map_err(bare)?;
    }
    match params.get("type").to_lowercase().as_str() {
        "" | "alert" | "record" => {}
        other => return Err(ApiError::parameter("type", format!("not supported value {other:?}"))),
    }
    let excluded = params.get("exclude_alerts");
    if !excluded.is_empty() {
        parse_bool(excluded).map_err(|reason| {
            let reason = format!("error converting exclude_alerts: {reason}");
            ApiError::parameter("exclude_alerts", reason)
        })?;
    }
    check_page(params.get("group_limit"), params.get("group_next_token"))?;
    Ok(success("{\"groups\":[]}", &[], &[]))
}

/// Pages are counted from a token of the page before; without groups there is none.
fn check_page(limit: &str, token: &str) -> Result<(), ApiError> {
    let wrong_limit = |reason: String| ApiError::parameter("group_limit", reason);
    let wrong_token = |reason: String| ApiError::parameter("group_next_token", reason);
    if limit.is_empty() {
        let reason = "group_limit needs to be present in order to paginate over the groups";
        return if token.is_empty() { Ok(()) } else { Err(wrong_token(reason.to_owned())) };
    }
    let digits = limit.strip_prefix(['+', '-']).unwrap_or(limit);
    let parsed = limit.parse::<i32>().map_err(|_| {
        let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        let why = if is_number { "value out of range" } else { "invalid syntax" };
        wrong_limit(format!(
            "group_limit needs to be a valid number: strconv.ParseInt: parsing {limit:?}: {why}"
        ))
    })?;
    if parsed <= 0 {
        return Err(wrong_limit("group_limit needs to be greater than 0".to_owned()));
    }
    if token.is_empty() {
        return Ok(());
    }
    Err(wrong_token(format!("invalid group_next_token '{token}'. were rule groups changed?")))
}

/// Whatever is asked: Prometheus looks at no parameter either.
pub(super) async fn alerts() -> Response {
    success("{\"alerts\":[]}", &[], &[])
}
