//! `/api/v1/write`, `/api/v1/import` and `/api/v1/import/prometheus`: bodies in, one batch each, 204 or a reason.

use std::collections::HashSet;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ringwell_storage::append::{Appended, Batch, Rejected};
use ringwell_storage::model::Value;
use tokio::sync::OwnedSemaphorePermit;

use super::error::plain;
use super::{Handles, State};
use crate::clock;
use crate::ingest::exposition::{self, Dialect, Text, TextError};
use crate::ingest::remote_write::v2::Symbols;
use crate::ingest::remote_write::{self, BodyError, WriteRequest};
use crate::ingest::{Ingest, Logged, Refusals, Source, jsonl};

/// Work on larger bodies does not hold up the other tasks of its thread. What is smaller takes less time than
/// the threads' change of places: 2,000 samples are 370 KB and a tenth of a millisecond.
const LARGE: usize = 1 << 20;

pub(super) async fn remote_write(state: State, headers: HeaderMap, body: Body) -> Response {
    let version = match Version::of(&headers) {
        Ok(version) => version,
        Err(refusal) => return refusal.into_response(),
    };
    let mut written = Written::default();
    let taken = take_remote_write(&state, &headers, body, version, &mut written).await;
    let mut response = match taken {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(refusal) => refusal.into_response(),
    };
    if version == Version::Two {
        written.tell(response.headers_mut());
    }
    response
}

async fn take_remote_write(
    handles: &Handles,
    headers: &HeaderMap,
    body: Body,
    version: Version,
    written: &mut Written,
) -> Result<(), Refusal> {
    let ingest = &handles.ingest;
    let (logged, verdict, counts) = {
        let (body, _room) = read_body(handles, headers, body, handles.config.limits.body).await?;
        let limit = ingest.max_decoded();
        let size = remote_write::decompressed_size(&body, limit).map_err(bad_body)?;
        let _more_room = ingest.room_for(size).await.ok_or_else(no_room)?;
        let mut message = ingest.buffers.take(size);
        let size = on_large(body.len(), || remote_write::decompress_into(&body, &mut message))
            .map_err(bad_body)?;
        message.truncate(size);
        drop(body);
        let (spelling, symbols, _label_room);
        let request = match version {
            Version::One => on_large(message.len(), || remote_write::read(&message)),
            Version::Two => {
                symbols =
                    on_large(message.len(), || Symbols::read(&message, limit)).map_err(bad_body)?;
                let size = symbols.spelled_size();
                _label_room = ingest.room_for(size).await.ok_or_else(no_room)?;
                spelling = on_large(size, || symbols.spell(&message)).map_err(bad_body)?;
                on_large(message.len(), || remote_write::v2::read(&message, &symbols, &spelling))
            }
        }
        .map_err(bad_body)?;
        take(ingest, Source::RemoteWrite, request, version)?
    };
    // All memory of the request is given back while its samples are being synced.
    ingest.acknowledge(logged).await.map_err(try_later)?;
    *written = counts;
    verdict
}

/// Logs and applies what was read: what to wait for before the verdict is told, and what was written.
fn take(
    ingest: &Ingest,
    source: Source,
    request: WriteRequest<'_>,
    version: Version,
) -> Result<(Logged, Result<(), Refusal>, Written), Refusal> {
    let WriteRequest { batch, refused, beside } = request;
    let kept = ingest.keep(source, beside).map_err(try_later)?;
    ingest.count_refused(source, &batch, &refused);
    let (logged, appended) = ingest.log(source, &batch).map_err(try_later)?;
    let mut counts = Written { exemplars: kept.exemplars, ..Written::default() };
    if version == Version::Two {
        counts.count(&batch, &appended.rejected);
    }
    Ok((logged.with(&kept), conclude(&batch, refused, appended), counts))
}

/// What a 2.0 sender is told of its request, in headers.
#[derive(Debug, Default)]
struct Written {
    samples: u64,
    histograms: u64,
    exemplars: u64,
}

impl Written {
    fn count(&mut self, batch: &Batch<'_>, rejected: &[Rejected]) {
        let gone: HashSet<_> = rejected.iter().map(|r| (r.series, r.sample)).collect();
        for (at, series) in batch.series.iter().enumerate() {
            if gone.contains(&(at, None)) {
                continue;
            }
            for (i, sample) in series.samples.iter().enumerate() {
                let counter = match sample.value {
                    Value::Float(_) => &mut self.samples,
                    Value::Histogram(_) => &mut self.histograms,
                };
                *counter += u64::from(!gone.contains(&(at, Some(i))));
            }
        }
    }

    fn tell(&self, headers: &mut HeaderMap) {
        for (name, count) in [
            ("x-prometheus-remote-write-samples-written", self.samples),
            ("x-prometheus-remote-write-histograms-written", self.histograms),
            ("x-prometheus-remote-write-exemplars-written", self.exemplars),
        ] {
            headers.insert(name, header::HeaderValue::from(count));
        }
    }
}

pub(super) async fn import(state: State, headers: HeaderMap, body: Body) -> Response {
    let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let dialect = match media.and_then(|media| media.split(';').next()).map(str::trim) {
        Some(media) if media.eq_ignore_ascii_case("application/openmetrics-text") => {
            Dialect::OpenMetrics
        }
        _ => Dialect::Prometheus,
    };
    let read = |body: &[u8]| exposition::read(body, dialect, clock::now_ms());
    take_import(&state, &headers, body, read).await
}

pub(super) async fn import_jsonl(state: State, headers: HeaderMap, body: Body) -> Response {
    let read = |body: &[u8]| jsonl::read(body).map(|batch| Text { batch, ..Text::default() });
    take_import(&state, &headers, body, read).await
}

async fn take_import(
    handles: &Handles,
    headers: &HeaderMap,
    body: Body,
    read: impl FnOnce(&[u8]) -> Result<Text, TextError>,
) -> Response {
    match import_body(handles, headers, body, read).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

async fn import_body(
    handles: &Handles,
    headers: &HeaderMap,
    body: Body,
    read: impl FnOnce(&[u8]) -> Result<Text, TextError>,
) -> Result<(), Refusal> {
    // A compressed body is decompressed as it is read and has lost its length by now, so the limit
    // is the one for what comes out.
    let limits = &handles.config.limits;
    let whole = headers.contains_key(header::CONTENT_LENGTH);
    let limit = if whole { limits.body } else { limits.body_decoded };
    let (logged, verdict) = {
        let (body, _room) = read_body(handles, headers, body, limit).await?;
        let Text { batch, beside } = on_large(body.len(), || read(&body))
            .map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, error))?;
        let kept = handles.ingest.keep(Source::Import, beside).map_err(try_later)?;
        let logged = handles.ingest.log(Source::Import, &batch);
        let (logged, appended) = logged.map_err(try_later)?;
        (logged.with(&kept), conclude(&batch, Vec::new(), appended))
    };
    handles.ingest.acknowledge(logged).await.map_err(try_later)?;
    verdict
}

/// The version of the protocol a sender speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

impl Version {
    /// From the headers; what is neither is refused as senders understand it, so that they fall
    /// back to what is taken.
    fn of(headers: &HeaderMap) -> Result<Version, Refusal> {
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
        let unsupported =
            |message: String| Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
        let encoding = header(header::CONTENT_ENCODING);
        if !encoding.is_empty() && !encoding.eq_ignore_ascii_case("snappy") {
            return unsupported(format!("content encoding {encoding:?} is not taken, only snappy"));
        }
        let content_type = header(header::CONTENT_TYPE);
        let mut parts = content_type.split(';').map(str::trim);
        let media = parts.next().unwrap_or("");
        if !media.is_empty() && !media.eq_ignore_ascii_case("application/x-protobuf") {
            return unsupported(format!(
                "content type {content_type:?} is not taken, only application/x-protobuf"
            ));
        }
        match parts.find_map(|part| part.strip_prefix("proto=")) {
            None | Some("prometheus.WriteRequest") => Ok(Version::One),
            Some("io.prometheus.write.v2.Request") => Ok(Version::Two),
            Some(proto) => unsupported(format!(
                "protobuf message {proto:?} is not taken, only prometheus.WriteRequest (remote \
                 write 1.0) and io.prometheus.write.v2.Request (2.0)"
            )),
        }
    }
}

/// The whole body, within its limit, its deadline, and the room for requests in flight.
pub(super) async fn read_body(
    handles: &Handles,
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<(Bytes, OwnedSemaphorePermit), Refusal> {
    let declared = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    let room = handles.ingest.room_for(declared.unwrap_or(limit)).await.ok_or_else(no_room)?;
    let deadline = handles.config.limits.body_time;
    let read = tokio::time::timeout(deadline, axum::body::to_bytes(body, limit)).await;
    match read {
        Ok(Ok(body)) => Ok((body, room)),
        Ok(Err(error)) => Err(body_error(&error, limit)),
        Err(_) => Err(Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            format!("the body did not arrive within {deadline:?}"),
        )),
    }
}

fn body_error(error: &axum::Error, limit: usize) -> Refusal {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.is::<http_body_util::LengthLimitError>() {
            return too_large(limit);
        }
        cause = error.source();
    }
    Refusal::new(StatusCode::BAD_REQUEST, format!("the body cannot be read: {error}"))
}

fn too_large(limit: usize) -> Refusal {
    Refusal::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("the body is larger than the limit of {limit} bytes"),
    )
}

pub(super) fn bad_body(error: BodyError) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, error)
}

fn no_room() -> Refusal {
    try_later("too many bytes of ingest requests are in flight")
}

pub(super) fn try_later(message: impl std::fmt::Display) -> Refusal {
    Refusal { retry: true, ..Refusal::new(StatusCode::SERVICE_UNAVAILABLE, message) }
}

/// Why a body is not taken, or not all of it.
pub(super) struct Refusal {
    status: StatusCode,
    message: String,
    /// Whether the same may be taken a little later.
    retry: bool,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl std::fmt::Display) -> Refusal {
        Refusal { status, message: message.to_string(), retry: false }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = plain(self.status, self.message);
        if self.retry {
            let seconds = header::HeaderValue::from_static("5");
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

/// What the sender is told. Senders drop what is answered with 400 and send again what is
/// answered with 5xx, so a refusal that cannot change is a 400.
fn conclude(
    batch: &Batch<'_>,
    mut refused: Vec<Rejected>,
    appended: Appended,
) -> Result<(), Refusal> {
    refused.extend(appended.rejected);
    match Refusals::of(batch, &refused) {
        None => Ok(()),
        Some(refusals) if refusals.only_limits() => {
            Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, refusals))
        }
        Some(refusals) => Err(Refusal::new(StatusCode::BAD_REQUEST, refusals)),
    }
}

/// Runs work on `size` bytes, away from the other tasks if it is long.
fn on_large<T>(size: usize, work: impl FnOnce() -> T) -> T {
    if size < LARGE { work() } else { tokio::task::block_in_place(work) }
}
