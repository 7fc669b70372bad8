//! `/api/v1/query` and `/api/v1/query_range`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::response::Response;
use futures_util::future::BoxFuture;
use ringwell_query::{Answer, AnswerValue, Detail, Query, QueryError, StepStats, When};
use ringwell_storage::read::Queryable;

use super::error::ApiError;
use super::params::Params;
use super::{Handles, State, json};
use crate::inside::{self, Ask};

/// Points of one series in a range query.
const MAX_POINTS: i64 = 11_000;

/// One query as it was asked.
pub(super) struct Asked {
    pub(super) text: String,
    pub(super) when: When,
    pub(super) lookback: Option<i64>,
    pub(super) timeout: std::time::Duration,
    pub(super) detail: Detail,
}

pub(super) async fn instant(state: State, params: Params) -> Result<Response, ApiError> {
    let at = params.time_or_now("time")?;
    respond(&state, params, When::At(at)).await
}

pub(super) async fn range(state: State, params: Params) -> Result<Response, ApiError> {
    let when = steps(&params)?;
    respond(&state, params, when).await
}

/// The steps of a range query.
fn steps(params: &Params) -> Result<When, ApiError> {
    let start = params.time("start")?;
    let end = params.time("end")?;
    if end < start {
        let reason = "end timestamp must not be before start time";
        return Err(ApiError::parameter("end", reason));
    }
    let step = params.duration("step")?;
    if step <= 0 {
        return Err(ApiError::parameter(
            "step",
            "zero or negative query resolution step widths are not accepted. Try a positive integer",
        ));
    }
    if (end - start) / step > MAX_POINTS {
        return Err(ApiError::bad_data(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query \
             resolution (?step=XX)",
        ));
    }
    Ok(When::Range { start, end, step })
}

/// Answers queries of the node's other parts.
pub struct Asker(pub Arc<Handles>);

impl Ask for Asker {
    fn ask(
        &self,
        parameters: Vec<(String, String)>,
        range: bool,
    ) -> BoxFuture<'_, Result<inside::Asked, String>> {
        Box::pin(async move {
            let params = Params::of(parameters);
            let when = match range {
                true => steps(&params),
                false => params.time_or_now("time").map(When::At),
            };
            let answer = match when {
                Ok(when) => answered(&self.0, &params, when).await,
                Err(error) => Err(error),
            };
            let answer = answer.map_err(|error| error.message)?;
            let notes = [answer.warnings.as_slice(), &answer.infos].concat();
            Ok(inside::Asked { data: json::answer(&answer), notes })
        })
    }
}

async fn respond(handles: &Arc<Handles>, params: Params, when: When) -> Result<Response, ApiError> {
    let wants_stats = !params.get("stats").is_empty();
    let started = Instant::now();
    let answer = answered(handles, &params, when).await?;
    let stats = wants_stats.then(|| stats(&answer, started.elapsed().as_secs_f64()));
    Ok(json::answered(&answer, stats.as_deref()))
}

/// Runs a query as its parameters say.
async fn answered(handles: &Arc<Handles>, params: &Params, when: When) -> Result<Answer, ApiError> {
    let asked = Asked {
        text: params.get("query").to_owned(),
        when,
        lookback: lookback(params)?,
        timeout: params.timeout(handles.config.limits.query_time)?,
        detail: Detail { per_step: params.get("stats") == "all", operators: false },
    };
    let limit = params.limit()?;
    let mut answer = run(handles, asked).await?;
    if truncate(&mut answer.value, limit) {
        answer.warnings.push("results truncated due to limit".to_owned());
    }
    Ok(answer)
}

/// How far back instant selectors look, if the query says so; what is no span of time is passed over.
fn lookback(params: &Params) -> Result<Option<i64>, ApiError> {
    let asked = params.optional_duration("lookback_delta").map_err(|error| {
        let reason = error.message.replace("invalid parameter \"lookback_delta\"", "");
        ApiError::bad_data(format!("error parsing lookback delta duration{reason}"))
    })?;
    Ok(asked.filter(|ms| *ms > 0))
}

/// Runs a query in the pool; it is told to stop when nobody waits for it any more.
pub(super) async fn run(handles: &Arc<Handles>, asked: Asked) -> Result<Answer, ApiError> {
    let (store, engine) = (Arc::clone(&handles.store), Arc::clone(&handles.engine));
    let (journal, slow) = (Arc::clone(&handles.journal), handles.config.slow_query);
    let (started, timeout) = (Instant::now(), asked.timeout);
    // The same expression over as many steps takes about as long as the last time.
    let steps = match asked.when {
        When::At(_) => 0,
        When::Range { start, end, step } => (end - start) / step,
    };
    let key = (asked.text.clone(), steps);
    let answer = handles
        .pool
        .run_again(key, asked.timeout, move |cancel| {
            let query = Query { text: &asked.text, when: asked.when, lookback: asked.lookback };
            let _noted = journal.start(&asked.text);
            let started = Instant::now();
            let answer = engine.run_with(store.snapshot().as_ref(), &query, cancel, asked.detail);
            tell_slow(&asked, &answer, started.elapsed(), slow);
            answer
        })
        .await;
    handles.metrics.queries.observe(started.elapsed());
    answer?.map_err(|error| within(about_query(error), timeout))
}

/// Says of a query that took too long how long it may take.
fn within(mut error: ApiError, timeout: Duration) -> ApiError {
    if error.kind == super::error::Kind::Timeout {
        error.message.push_str(&format!(
            ": it may take {timeout:?} (limits.query_time, or its own timeout); select fewer \
             series, a shorter range or a larger step"
        ));
    }
    error
}

/// What is wrong with a query, as the API says it.
pub(super) fn about_query(error: QueryError) -> ApiError {
    let error = ApiError::from(error);
    if error.kind == super::error::Kind::BadData && is_about_query(&error.message) {
        return ApiError::parameter("query", error.message);
    }
    error
}

/// A line in the log for a query that took long.
fn tell_slow(
    asked: &Asked,
    answer: &Result<Answer, QueryError>,
    took: Duration,
    slow: Option<Duration>,
) {
    if slow.is_none_or(|slow| took < slow) {
        return;
    }
    let (query, seconds) = (&asked.text, took.as_secs_f64());
    let when = match asked.when {
        When::At(t) => format!("at {t}"),
        When::Range { start, end, step } => format!("from {start} to {end} every {step} ms"),
    };
    match answer {
        Ok(answer) => {
            let (read, peak) = (answer.stats.samples_read, answer.stats.peak_samples);
            tracing::warn!(%query, when, seconds, read, peak, "slow query");
        }
        Err(error) => tracing::warn!(%query, when, seconds, %error, "slow query"),
    }
}

/// Errors of parsing and of types are about the parameter `query`; others stand for themselves.
fn is_about_query(message: &str) -> bool {
    !message.starts_with("exceeded maximum resolution") && !message.starts_with("invalid parameter")
}

fn truncate(value: &mut AnswerValue, limit: usize) -> bool {
    match value {
        AnswerValue::Vector(samples) if samples.len() > limit => samples.truncate(limit),
        AnswerValue::Matrix(series) if series.len() > limit => series.truncate(limit),
        _ => return false,
    }
    true
}

/// Prometheus's statistics, as far as they mean something here, and the steps.
fn stats(answer: &Answer, seconds: f64) -> String {
    let stats = &answer.stats;
    let mut told = serde_json::json!({
        "timings": {
            "evalTotalTime": seconds,
            "resultSortTime": 0,
            "queryPreparationTime": 0,
            "innerEvalTime": seconds,
            "execQueueTime": 0,
            "execTotalTime": seconds,
        },
        "samples": {
            "totalQueryableSamples": stats.queryable,
            "samplesRead": stats.samples_read,
            "samplesDecoded": stats.samples_decoded,
            "bytesRead": stats.bytes_read,
            "samplesSummarised": stats.samples_summarised,
            "samplesRolledUp": stats.samples_rolled_up,
            "peakSamples": stats.peak_samples,
        },
        "steps": stats.steps,
    });
    if !stats.per_step.is_empty() {
        let of = |count: fn(&StepStats) -> u64| -> Vec<_> {
            stats.per_step.iter().map(|step| (step.t as f64 / 1000.0, count(step))).collect()
        };
        let (queryable, read) = (of(|step| step.queryable), of(|step| step.samples_read));
        told["samples"]["totalQueryableSamplesPerStep"] = serde_json::json!(queryable);
        told["samples"]["samplesReadPerStep"] = serde_json::json!(read);
    }
    told.to_string()
}
