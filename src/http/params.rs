//! Parameters of the API: the query string and the form, in one list, and the types they have.

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use ringwell_storage::model::TimeRange;

use super::Handles;
use super::error::{ApiError, plain};
use super::gate::Waited;
use crate::clock;
use std::sync::Arc;
use std::time::Duration;

/// A form may be this long.
const MAX_FORM: usize = 4 << 20;
/// Parameters of one request.
const MAX_PARAMS: usize = 10_000;

/// All parameters, those of the form first, as Go's `FormValue` has them.
#[derive(Clone, Debug, Default)]
pub(super) struct Params {
    pairs: Vec<(String, String)>,
    /// How long the request waited for the store.
    waited: Duration,
}

impl FromRequest<Arc<Handles>> for Params {
    type Rejection = Response;

    async fn from_request(request: Request, _: &Arc<Handles>) -> Result<Params, Response> {
        let (head, body) = request.into_parts();
        let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
        let is_form = content_type
            .is_some_and(|v| v.trim_start().starts_with("application/x-www-form-urlencoded"));
        let waited = head.extensions.get::<Waited>().map_or(Duration::ZERO, |waited| waited.0);
        let mut params = Params { waited, ..Params::default() };
        if is_form {
            let form = read_form(body).await?;
            params.read(&form).map_err(IntoResponse::into_response)?;
        }
        let query = head.uri.query().unwrap_or_default();
        params.read(query.as_bytes()).map_err(IntoResponse::into_response)?;
        Ok(params)
    }
}

async fn read_form(body: Body) -> Result<axum::body::Bytes, Response> {
    axum::body::to_bytes(body, MAX_FORM).await.map_err(|_| {
        plain(StatusCode::PAYLOAD_TOO_LARGE, format!("a form may have {MAX_FORM} bytes"))
    })
}

impl Params {
    /// Parameters that come from inside the node.
    pub(super) fn of(pairs: Vec<(String, String)>) -> Params {
        Params { pairs, ..Params::default() }
    }

    fn read(&mut self, text: &[u8]) -> Result<(), ApiError> {
        let room = MAX_PARAMS.saturating_sub(self.pairs.len());
        let mut pairs = form_urlencoded::parse(text);
        self.pairs.extend(pairs.by_ref().take(room).map(|(n, v)| (n.into_owned(), v.into_owned())));
        match pairs.next() {
            None => Ok(()),
            Some(_) => {
                let reason = format!("more than {MAX_PARAMS} parameters in one request");
                Err(ApiError::bad_data(reason))
            }
        }
    }

    /// The first value of a parameter; empty if it is not there.
    pub(super) fn get(&self, name: &str) -> &str {
        self.pairs.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }

    /// All its values.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// A time that must be there.
    pub(super) fn time(&self, name: &str) -> Result<i64, ApiError> {
        parse_time(self.get(name)).map_err(|reason| ApiError::parameter(name, reason))
    }

    /// A time, if given; what is wrong with one is said in other words than where it must be there.
    pub(super) fn optional_time(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let text = self.get(name);
        if text.is_empty() {
            return Ok(None);
        }
        parse_time(text).map(Some).map_err(|reason| {
            ApiError::parameter(name, format!("invalid time value for '{name}': {reason}"))
        })
    }

    /// The time a query is for: now, if none is given.
    pub(super) fn time_or_now(&self, name: &str) -> Result<i64, ApiError> {
        Ok(self.optional_time(name)?.unwrap_or_else(clock::now_ms))
    }

    /// A duration in milliseconds that must be there.
    pub(super) fn duration(&self, name: &str) -> Result<i64, ApiError> {
        parse_duration(self.get(name)).map_err(|reason| ApiError::parameter(name, reason))
    }

    /// A duration, if given.
    pub(super) fn optional_duration(&self, name: &str) -> Result<Option<i64>, ApiError> {
        if self.get(name).is_empty() { Ok(None) } else { self.duration(name).map(Some) }
    }

    /// How long a query may run from now on: what it waited for the store is gone.
    pub(super) fn timeout(&self, longest: Duration) -> Result<Duration, ApiError> {
        let asked = self.optional_duration("timeout")?.and_then(|ms| u64::try_from(ms).ok());
        let asked = asked.map_or(longest, |ms| Duration::from_millis(ms).min(longest));
        Ok(asked.saturating_sub(self.waited))
    }

    /// How many results at most; 0 and absence mean all.
    pub(super) fn limit(&self) -> Result<usize, ApiError> {
        match self.get("limit") {
            "" => Ok(usize::MAX),
            text => match text.parse::<i64>() {
                Ok(0) => Ok(usize::MAX),
                Ok(n) => usize::try_from(n)
                    .map_err(|_| ApiError::parameter("limit", "limit must be non-negative")),
                Err(_) => Err(ApiError::parameter(
                    "limit",
                    format!("strconv.Atoi: parsing {text:?}: invalid syntax"),
                )),
            },
        }
    }

    /// `start` and `end`; all of time where they are not given, `None` where they are inverted.
    pub(super) fn range(&self) -> Result<Option<TimeRange>, ApiError> {
        let start = self.optional_time("start")?.unwrap_or(i64::MIN);
        let end = self.optional_time("end")?.unwrap_or(i64::MAX);
        Ok(TimeRange::new(start, end))
    }
}

/// Seconds since 1970, or RFC 3339.
fn parse_time(text: &str) -> Result<i64, String> {
    if let Ok(seconds) = text.parse::<f64>()
        && let Some(millis) = millis(seconds)
    {
        return Ok(millis);
    }
    text.parse::<jiff::Timestamp>()
        .map(jiff::Timestamp::as_millisecond)
        .map_err(|_| format!("cannot parse {text:?} to a valid timestamp"))
}

/// Seconds, or Prometheus's spelling.
fn parse_duration(text: &str) -> Result<i64, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        return millis(seconds).ok_or_else(|| {
            format!("cannot parse {text:?} to a valid duration. It overflows int64")
        });
    }
    ringwell_query::parse_duration(text)
        .map_err(|_| format!("cannot parse {text:?} to a valid duration"))
}

/// A boolean as Go spells it.
pub(super) fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "True" | "TRUE" => Ok(true),
        "0" | "f" | "F" | "false" | "False" | "FALSE" => Ok(false),
        other => Err(format!("strconv.ParseBool: parsing {other:?}: invalid syntax")),
    }
}

/// Seconds in whole milliseconds, if they are a number in range.
fn millis(seconds: f64) -> Option<i64> {
    let millis = (seconds * 1000.0).round();
    // Beyond this, times in nanoseconds no longer fit where Prometheus keeps them.
    (millis.abs() < 9.3e15).then_some(millis as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_durations() {
        for (text, want) in [
            ("1732000000", Ok(1_732_000_000_000)),
            ("1732000000.1234", Ok(1_732_000_000_123)),
            ("-1.5", Ok(-1_500)),
            ("2015-07-01T20:10:51.781Z", Ok(1_435_781_451_781)),
            ("2015-07-01T20:10:51+02:00", Ok(1_435_774_251_000)),
            ("", Err("cannot parse \"\" to a valid timestamp")),
            ("NaN", Err("cannot parse \"NaN\" to a valid timestamp")),
            ("yesterday", Err("cannot parse \"yesterday\" to a valid timestamp")),
        ] {
            assert_eq!(parse_time(text), want.map_err(str::to_owned), "{text}");
        }
        for (text, want) in [
            ("15", Ok(15_000)),
            ("0.1", Ok(100)),
            ("1h30m", Ok(5_400_000)),
            ("x", Err("cannot parse \"x\" to a valid duration")),
            ("1e300", Err("cannot parse \"1e300\" to a valid duration. It overflows int64")),
        ] {
            assert_eq!(parse_duration(text), want.map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn parameters_of_every_kind() {
        let mut params = Params::default();
        params.read(b"match[]=a&match%5B%5D=b+c&limit=-1&end=5&start=6").unwrap();
        assert_eq!(params.all("match[]").collect::<Vec<_>>(), ["a", "b c"]);
        assert_eq!(
            params.limit().unwrap_err().message,
            "invalid parameter \"limit\": limit must be non-negative"
        );
        assert_eq!(params.range(), Ok(None));
        assert!(Params::default().read("a&".repeat(MAX_PARAMS + 1).as_bytes()).is_err());
    }
}
