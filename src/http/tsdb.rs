//! `/api/v1/status/tsdb`: which metrics, labels and pairs have the most series.

use std::collections::HashMap;
use std::sync::Arc;

use axum::response::Response;
use ringwell_storage::model::{METRIC_NAME, TimeRange};
use ringwell_storage::read::{Queryable, ReadError, Snapshot};
use serde_json::{Value, json};

use super::error::ApiError;
use super::params::Params;
use super::{State, json as answers};

/// So many of each are listed where the request says nothing.
const LISTED: usize = 10;

pub(super) async fn tsdb(state: State, params: Params) -> Result<Response, ApiError> {
    let limit = match params.get("limit") {
        "" => LISTED,
        text => text
            .parse()
            .ok()
            .filter(|n| *n > 0)
            .ok_or_else(|| ApiError::bad_data("limit must be a positive number"))?,
    };
    let store = Arc::clone(&state.store);
    let timeout = params.timeout(state.config.limits.query_time)?;
    let work = move |_: &_| {
        let snapshot = store.snapshot();
        Statistics::of(snapshot.as_ref()).map(|found| found.to_json(limit))
    };
    let data = state.pool.run(timeout, work).await??;
    Ok(answers::success(&data.to_string(), &[], &[]))
}

#[derive(Default)]
struct Statistics {
    series: u64,
    by_metric: HashMap<String, u64>,
    by_pair: HashMap<(String, String), u64>,
    bytes: HashMap<String, u64>,
}

impl Statistics {
    /// Walks all series; this is for people who look, not for every second.
    fn of(snapshot: &dyn Snapshot) -> Result<Statistics, ReadError> {
        let mut found = Statistics::default();
        for series in snapshot.select(&[], TimeRange::ALL)? {
            found.series += 1;
            for label in series.labels().iter() {
                if label.name == METRIC_NAME {
                    *found.by_metric.entry(label.value.to_owned()).or_default() += 1;
                }
                let pair = (label.name.to_owned(), label.value.to_owned());
                *found.by_pair.entry(pair).or_default() += 1;
                *found.bytes.entry(label.name.to_owned()).or_default() += label.value.len() as u64;
            }
        }
        Ok(found)
    }

    fn to_json(&self, limit: usize) -> Value {
        let mut values: HashMap<String, u64> = HashMap::new();
        let mut pairs: HashMap<String, u64> = HashMap::new();
        for ((name, value), series) in &self.by_pair {
            *values.entry(name.clone()).or_default() += 1;
            pairs.insert(format!("{name}={value}"), *series);
        }
        json!({
            "headStats": { "numSeries": self.series, "numLabelPairs": self.by_pair.len() },
            "seriesCountByMetricName": largest(&self.by_metric, limit),
            "labelValueCountByLabelName": largest(&values, limit),
            "memoryInBytesByLabelName": largest(&self.bytes, limit),
            "seriesCountByLabelValuePair": largest(&pairs, limit),
        })
    }
}

/// The largest counts, largest first.
fn largest(counts: &HashMap<String, u64>, limit: usize) -> Vec<Value> {
    let mut sorted: Vec<_> = counts.iter().collect();
    sorted.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
    sorted.into_iter().take(limit).map(|(name, n)| json!({ "name": name, "value": n })).collect()
}
