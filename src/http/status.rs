//! Who the node is and how it fares: build, runtime, settings, health, and the parts of
//! Prometheus's API whose honest answer here is an empty one.

use axum::extract::State as FromState;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::error::plain;
use super::{State, json as answers};
use crate::clock;
use crate::config::{KNOBS, Settings, printable};

/// The Prometheus release whose API and PromQL are spoken here; Grafana chooses features by it.
const PROMETHEUS_VERSION: &str = "3.14.0";
/// Our own.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

fn success(data: &Value) -> Response {
    answers::success(&data.to_string(), &[], &[])
}

pub(super) async fn buildinfo() -> Response {
    success(&json!({
        "version": PROMETHEUS_VERSION,
        "revision": "",
        "branch": "",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
        "application": "ringwell",
        "ringwellVersion": VERSION,
    }))
}

pub(super) async fn runtimeinfo(state: State) -> Response {
    let retention = state
        .config
        .retention
        .map_or_else(|| "for ever".to_owned(), |kept| format!("{}s", kept.as_secs()));
    success(&json!({
        "startTime": rfc3339(state.about.started),
        "serverTime": rfc3339(clock::now_ms()),
        "CWD": std::env::current_dir().unwrap_or_default(),
        "hostname": state.about.hostname,
        "reloadConfigSuccess": true,
        "lastConfigTime": rfc3339(state.about.started),
        "corruptionCount": 0,
        "storageRetention": retention,
    }))
}

fn rfc3339(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis).map(|t| t.to_string()).unwrap_or_default()
}

/// Settings as texts. Defaults only: what was set may hold secrets or paths of the machine.
pub(super) async fn flags() -> Response {
    let settings = Settings::default();
    let flags: Map<String, Value> = KNOBS
        .iter()
        .filter(|knob| printable(knob))
        .map(|knob| (knob.key.to_owned(), settings.get(knob).text.into()))
        .collect();
    success(&Value::Object(flags))
}

/// Nothing is scraped by this node.
pub(super) async fn targets() -> Response {
    success(&json!({ "activeTargets": [], "droppedTargets": [], "droppedTargetCounts": {} }))
}

/// Nothing is scraped by this node.
pub(super) async fn scrape_pools() -> Response {
    success(&json!({ "scrapePools": [] }))
}

/// Nobody is alerted by this node.
pub(super) async fn alertmanagers() -> Response {
    success(&json!({ "activeAlertmanagers": [], "droppedAlertmanagers": [] }))
}

/// Of the replay that is over; while it goes on [`super::gate`] answers.
pub(super) async fn walreplay() -> Response {
    success(&json!({ "min": 0, "max": 0, "current": 0 }))
}

/// There is nothing an operator has to be told of in this way.
pub(super) async fn notifications() -> Response {
    success(&json!([]))
}

/// No Prometheus configuration is read.
pub(super) async fn config() -> Response {
    success(&json!({ "yaml": "" }))
}

/// Starting and stopping are the operating system's here.
pub(super) async fn lifecycle() -> Response {
    let text = "Lifecycle API is not enabled.";
    (StatusCode::FORBIDDEN, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text)
        .into_response()
}

pub(super) async fn node(state: State) -> Response {
    success(&json!({
        "version": VERSION,
        "hostname": state.about.hostname,
        "http": state.about.http,
        "redis": state.about.redis,
        "httpTls": state.about.http_tls,
        "redisTls": state.about.redis_tls,
        "demo": state.demo.is_running(),
        "startedAt": state.about.started as f64 / 1000.0,
        "authRequired": state.config.secret.is_some(),
    }))
}

pub(super) async fn stop_demo(FromState(handles): State) -> Response {
    handles.demo.stop();
    success(&json!({ "demo": false }))
}

pub(super) async fn metrics(state: State) -> Response {
    let text = state.registry.gather().to_text();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

pub(super) async fn healthy() -> Response {
    plain(StatusCode::OK, "Ringwell is healthy.")
}

/// This answers from the time on when the store is open: until the stop, and as long as the log can be
/// written.
pub(super) async fn ready(state: State) -> Response {
    if state.shutdown.is_raised() {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "Ringwell is stopping.");
    }
    if let Err(reason) = state.store.admits() {
        return plain(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("Ringwell takes no writes: {reason}"),
        );
    }
    plain(StatusCode::OK, "Ringwell is ready.")
}
