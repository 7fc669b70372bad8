//! `/api/v1/series`, `/api/v1/labels` and `/api/v1/label/<name>/values`.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::Path;
use axum::response::Response;
use ringwell_query::parse_selector;
use ringwell_storage::model::{Labels, Matcher, TimeRange};
use ringwell_storage::read::{Queryable, ReadError, Snapshot};

use super::error::ApiError;
use super::params::Params;
use super::{Handles, State, json};
use crate::blocking::Cancel;

pub(super) async fn series(state: State, params: Params) -> Result<Response, ApiError> {
    let search = Search::of(&params)?;
    if search.selectors.is_empty() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let found = run(&state, &params, "series", move |snapshot| {
        let mut found: BTreeSet<Labels> = BTreeSet::new();
        let Some(range) = search.range else { return Ok(found) };
        for matchers in &search.selectors {
            let series = snapshot.select(matchers, range)?;
            found.extend(series.iter().map(|series| series.labels().clone()));
        }
        Ok(found)
    })
    .await?;
    let (found, warnings) = limited(found, params.limit()?);
    let mut data = String::from("[");
    for (i, labels) in found.iter().enumerate() {
        json::separate(&mut data, i);
        json::push_labels(&mut data, labels);
    }
    data.push(']');
    Ok(json::success(&data, &warnings, &[]))
}

pub(super) async fn names(state: State, params: Params) -> Result<Response, ApiError> {
    let search = Search::of(&params).map_err(bare)?;
    let found = run(&state, &params, "names", move |snapshot| {
        search.union(|matchers, range| snapshot.label_names(matchers, range))
    })
    .await?;
    let (found, warnings) = limited(found, params.limit()?);
    Ok(json::success(&json::strings(&found), &warnings, &[]))
}

pub(super) async fn values(
    state: State,
    Path(name): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    let name = unescape(&name);
    if name.is_empty() {
        return Err(ApiError::parameter("name", "invalid label name: \"\""));
    }
    let search = Search::of(&params).map_err(bare)?;
    let kind = format!("values of {name}");
    let found = run(&state, &params, &kind, move |snapshot| {
        search.union(|matchers, range| snapshot.label_values(&name, matchers, range))
    })
    .await?;
    let (found, warnings) = limited(found, params.limit()?);
    Ok(json::success(&json::strings(&found), &warnings, &[]))
}

/// What is wrong with a selector is said without its parameter's name here, as Prometheus does.
pub(super) fn bare(mut error: ApiError) -> ApiError {
    if let Some(reason) = error.message.strip_prefix("invalid parameter \"match[]\": ") {
        error.message = reason.to_owned();
    }
    error
}

/// What is looked for.
struct Search {
    selectors: Vec<Vec<Matcher>>,
    /// `None` = nothing lies in it.
    range: Option<TimeRange>,
}

impl Search {
    fn of(params: &Params) -> Result<Search, ApiError> {
        let selectors = params.all("match[]").map(selector).collect::<Result<_, _>>()?;
        Ok(Search { selectors, range: params.range()? })
    }

    /// What any selector finds; without one, what there is.
    fn union(
        &self,
        find: impl Fn(&[Matcher], TimeRange) -> Result<Vec<String>, ReadError>,
    ) -> Result<BTreeSet<String>, ReadError> {
        let Some(range) = self.range else { return Ok(BTreeSet::new()) };
        if self.selectors.is_empty() {
            return Ok(find(&[], range)?.into_iter().collect());
        }
        let mut found = BTreeSet::new();
        for matchers in &self.selectors {
            found.extend(find(matchers, range)?);
        }
        Ok(found)
    }
}

/// A selector of `match[]`; one that every series passes is refused, as it is in a query.
pub(super) fn selector(text: &str) -> Result<Vec<Matcher>, ApiError> {
    let matchers =
        parse_selector(text).map_err(|error| ApiError::parameter("match[]", error.message))?;
    if matchers.iter().all(Matcher::matches_empty) {
        let reason = "match[] must contain at least one non-empty matcher";
        return Err(ApiError::parameter("match[]", reason));
    }
    Ok(matchers)
}

async fn run<T: Send + 'static>(
    handles: &Arc<Handles>,
    params: &Params,
    kind: &str,
    find: impl Fn(&dyn Snapshot) -> Result<T, ReadError> + Send + Sync + 'static,
) -> Result<T, ApiError> {
    let store = Arc::clone(&handles.store);
    let timeout = params.timeout(handles.config.limits.query_time)?;
    let job = move |_: &Cancel| find(store.snapshot().as_ref());
    let selectors: Vec<&str> = params.all("match[]").collect();
    Ok(handles.pool.run_again((kind, selectors), timeout, job).await??)
}

fn limited<T>(found: BTreeSet<T>, limit: usize) -> (Vec<T>, Vec<String>) {
    let more = found.len() > limit;
    let found = found.into_iter().take(limit).collect();
    (found, more.then(|| "results truncated due to limit".to_owned()).into_iter().collect())
}

/// A label name that came escaped, as Prometheus escapes what a path cannot hold: `U__` before,
/// `_2e_` for a dot, `__` for an underscore. What is not well escaped stays as it is.
fn unescape(name: &str) -> String {
    name.strip_prefix("U__").and_then(unescape_rest).unwrap_or_else(|| name.to_owned())
}

fn unescape_rest(escaped: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = escaped;
    while let Some((plain, after)) = rest.split_once('_') {
        out.push_str(plain);
        let (code, after) = after.split_once('_')?;
        if code.is_empty() {
            out.push('_');
        } else {
            let code = u32::from_str_radix(code, 16).ok().filter(|_| code.len() <= 6)?;
            out.push(char::from_u32(code)?);
        }
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::unescape;

    #[test]
    fn names_come_back_from_their_escapes() {
        for (escaped, name) in [
            ("job", "job"),
            ("U__a_2e_b", "a.b"),
            ("U__a__b", "a_b"),
            ("U___e4_", "ä"),
            ("U__a_b", "U__a_b"),
            ("U___110000_", "U___110000_"),
        ] {
            assert_eq!(unescape(escaped), name);
        }
    }
}
