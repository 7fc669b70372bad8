//! `/api/v1/explain`: the plan of a query; with `analyze=true` it is run, and each operator tells
//! what it took. Operators are told from the top down, each with its depth.

use std::sync::Arc;

use axum::response::Response;
use ringwell_query::{Detail, Operator, Query, When};
use serde_json::{Value, json};

use super::error::ApiError;
use super::params::Params;
use super::query::{Asked, about_query, run};
use super::{State, json as answers};

pub(super) async fn explain(state: State, params: Params) -> Result<Response, ApiError> {
    let when = if params.get("start").is_empty() {
        When::At(params.time_or_now("time")?)
    } else {
        let (start, end) = (params.time("start")?, params.time("end")?);
        When::Range { start, end, step: params.duration("step")? }
    };
    let asked = Asked {
        text: params.get("query").to_owned(),
        when,
        lookback: params.optional_duration("lookback_delta")?.filter(|ms| *ms > 0),
        timeout: params.timeout(state.config.limits.query_time)?,
        detail: Detail { per_step: false, operators: true },
    };
    let analyze = match params.get("analyze") {
        "" | "false" | "0" => false,
        "true" | "1" => true,
        _ => return Err(ApiError::parameter("analyze", "must be true or false")),
    };
    let (operators, totals) = if analyze {
        let started = std::time::Instant::now();
        let answer = run(&state, asked).await?;
        let totals = json!({
            "seconds": started.elapsed().as_secs_f64(),
            "samplesRead": answer.stats.samples_read,
            "samplesDecoded": answer.stats.samples_decoded,
            "bytesRead": answer.stats.bytes_read,
            "samplesSummarised": answer.stats.samples_summarised,
            "samplesRolledUp": answer.stats.samples_rolled_up,
            "samplesQueryable": answer.stats.queryable,
            "peakSamples": answer.stats.peak_samples,
            "steps": answer.stats.steps,
        });
        (answer.operators, totals)
    } else {
        let engine = Arc::clone(&state.engine);
        let plan = move |_: &_| {
            let query = Query { text: &asked.text, when: asked.when, lookback: asked.lookback };
            engine.operators(&query)
        };
        let planned = state.pool.run(state.config.limits.query_time, plan).await?;
        (planned.map_err(about_query)?, Value::Null)
    };
    let operators: Vec<Value> = operators.iter().map(told).collect();
    let data = json!({ "operators": operators, "totals": totals });
    Ok(answers::success(&data.to_string(), &[], &[]))
}

fn told(operator: &Operator) -> Value {
    let mut told = json!({ "depth": operator.depth, "operator": operator.text });
    if let (Some(seen), Some(told)) = (&operator.observed, told.as_object_mut()) {
        told.insert("series".to_owned(), json!(seen.series));
        told.insert("values".to_owned(), json!(seen.values));
        told.insert("bytes".to_owned(), json!(seen.bytes));
        told.insert("samplesDecoded".to_owned(), json!(seen.samples_decoded));
        told.insert("bytesRead".to_owned(), json!(seen.bytes_read));
        told.insert("samplesSummarised".to_owned(), json!(seen.samples_summarised));
        told.insert("samplesRolledUp".to_owned(), json!(seen.samples_rolled_up));
        told.insert("seconds".to_owned(), json!(seen.time.as_secs_f64()));
    }
    told
}
