//! `/federate`: the newest sample of matching series in the text format, with its time, for other
//! Prometheus servers to scrape. Native histograms have no spelling in text and are left out.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use ringwell_storage::model::{Labels, METRIC_NAME, Matcher, SampleBuf, TimeRange, is_stale};
use ringwell_storage::read::{Queryable, ReadError, Series, Snapshot};

use super::State;
use super::error::plain;
use super::labels::selector;
use super::params::Params;
use crate::clock;
use crate::number::push_value;

/// Prometheus takes what an instant query would.
const LOOKBACK: i64 = 300_000;

pub(super) async fn federate(state: State, params: Params) -> Response {
    let selectors: Result<Vec<Vec<Matcher>>, _> = params.all("match[]").map(selector).collect();
    let selectors = match selectors {
        Ok(selectors) => selectors,
        Err(error) => return plain(StatusCode::BAD_REQUEST, error.message),
    };
    let (store, now) = (Arc::clone(&state.store), clock::now_ms());
    let work = move |_: &_| newest(store.snapshot().as_ref(), &selectors, now);
    match state.pool.run(state.config.limits.query_time, work).await {
        Ok(Ok(found)) => {
            let media = "text/plain; version=0.0.4; charset=utf-8";
            ([(header::CONTENT_TYPE, media)], text(&found)).into_response()
        }
        Ok(Err(error)) => plain(StatusCode::INTERNAL_SERVER_ERROR, error),
        Err(error) => plain(StatusCode::SERVICE_UNAVAILABLE, error),
    }
}

/// A series' newest float.
struct Newest {
    labels: Labels,
    t: i64,
    value: f64,
}

fn newest(
    snapshot: &dyn Snapshot,
    selectors: &[Vec<Matcher>],
    now: i64,
) -> Result<Vec<Newest>, ReadError> {
    let mut found: Vec<Newest> = Vec::new();
    for matchers in selectors {
        let Some(widest) = TimeRange::new(now.saturating_sub(3_600_000), now) else { continue };
        for series in snapshot.select(matchers, widest)? {
            found.extend(newest_of(series.as_ref(), now)?);
        }
    }
    found.sort_by(|a, b| {
        (a.labels.metric_name(), &a.labels).cmp(&(b.labels.metric_name(), &b.labels))
    });
    found.dedup_by(|a, b| a.labels == b.labels);
    Ok(found)
}

fn newest_of(series: &dyn Series, now: i64) -> Result<Option<Newest>, ReadError> {
    let lookback = series.lookback().unwrap_or(LOOKBACK);
    let from = now.saturating_sub(lookback).saturating_add(1);
    let Some(range) = TimeRange::new(from, now) else { return Ok(None) };
    let mut cursor = series.cursor(range)?;
    let (mut buffer, mut last) = (SampleBuf::default(), None);
    loop {
        let more = cursor.next(&mut buffer)?;
        if let (Some(t), Some(value)) = (buffer.t.last(), buffer.v.last()) {
            let is_histogram = matches!(buffer.h.last(), Some(Some(_)));
            last = (!is_histogram && !is_stale(*value)).then_some((*t, *value));
        }
        buffer.clear();
        if !more {
            break;
        }
    }
    Ok(last.map(|(t, value)| Newest { labels: series.labels().clone(), t, value }))
}

fn text(found: &[Newest]) -> String {
    let mut out = String::new();
    let mut family = None;
    for Newest { labels, t, value } in found {
        let name = labels.metric_name();
        if family != Some(name) {
            let _ = writeln!(out, "# TYPE {} untyped", quoted_name(name));
            family = Some(name);
        }
        let plain = is_plain(name, true);
        if plain {
            out.push_str(name);
        }
        out.push('{');
        if !plain {
            let _ = write!(out, "{},", quoted(name));
        }
        for label in labels.iter().filter(|label| label.name != METRIC_NAME) {
            let _ = write!(out, "{}={},", quoted_name(label.name), quoted(label.value));
        }
        // Without it the server that scrapes would put its own target there.
        if labels.get("instance").is_none() {
            out.push_str("instance=\"\",");
        }
        out.pop();
        out.push_str("} ");
        push_value(&mut out, *value);
        let _ = writeln!(out, " {t}");
    }
    out
}

fn is_plain(name: &str, colons: bool) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || (colons && c == ':'))
}

fn quoted_name(name: &str) -> String {
    if is_plain(name, true) { name.to_owned() } else { quoted(name) }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_as_text() {
        let newest = |pairs: &[(&str, &str)], t, value| Newest {
            labels: Labels::from_pairs(pairs.iter().copied()).unwrap(),
            t,
            value,
        };
        let found = [
            newest(&[("__name__", "a.b"), ("x", "1")], 3, f64::INFINITY),
            newest(&[("__name__", "up"), ("instance", "i"), ("l", "a\"b\\\n")], 1, 1.5),
            newest(&[("__name__", "up"), ("job", "j")], 2, f64::NAN),
        ];
        assert_eq!(
            text(&found),
            "# TYPE \"a.b\" untyped\n{\"a.b\",x=\"1\",instance=\"\"} +Inf 3\n\
             # TYPE up untyped\nup{instance=\"i\",l=\"a\\\"b\\\\\\n\"} 1.5 1\n\
             up{job=\"j\",instance=\"\"} NaN 2\n"
        );
    }
}
