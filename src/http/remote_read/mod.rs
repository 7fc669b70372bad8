//! `/api/v1/read`: Prometheus's remote read. A reader gets all samples in one message, or a stream of
//! frames with one series each, whichever it names first of what it takes.

mod bits;
mod chunk;
mod histogram_chunk;
mod message;
mod request;

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ringwell_query::{Interrupt, Stop};
use ringwell_storage::model::SampleBuf;
use ringwell_storage::read::{Queryable, ReadError, Series};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::write::{Refusal, bad_body, read_body, try_later};
use super::{Handles, State};
use crate::blocking::{Cancel, PoolError};
use crate::ingest::remote_write::decompress;

use chunk::Chunker;
use request::{ReadRequest, ResponseKind};

/// Frames that wait for the reader.
const WAITING_FRAMES: usize = 2;
/// A request names series, it does not carry them.
const MAX_REQUEST: usize = 4 << 20;

pub(super) async fn remote_read(state: State, headers: HeaderMap, body: Body) -> Response {
    let answer = async {
        let limit = state.config.limits.body.min(MAX_REQUEST);
        let (body, _room) = read_body(&state, &headers, body, limit).await?;
        let message = decompress(&body, MAX_REQUEST).map_err(bad_body)?;
        let request = ReadRequest::read(&message).map_err(bad_request)?;
        match request.response_kind().map_err(bad_request)? {
            ResponseKind::Samples => samples(&state, request).await,
            ResponseKind::Chunks => stream(&state, request).await,
        }
    };
    answer.await.unwrap_or_else(IntoResponse::into_response)
}

fn bad_request(error: request::RequestError) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, error)
}

/// Why a read ends early.
#[derive(Clone, Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Pool(#[from] PoolError),
    #[error("exceeded sample limit ({0})")]
    TooMany(usize),
    #[error("the read took longer than a query may")]
    TimedOut,
    #[error("the reader is gone")]
    Gone,
    #[error("snappy: {0}")]
    Snappy(String),
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Refusal {
        let status = match failure {
            Failure::TooMany(_) => StatusCode::BAD_REQUEST,
            Failure::Pool(PoolError::Busy(_)) => return try_later(failure),
            Failure::TimedOut => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Refusal::new(status, failure)
    }
}

fn go_on(cancel: &Cancel) -> Result<(), Failure> {
    match cancel.stop() {
        None => Ok(()),
        Some(Stop::TimedOut) => Err(Failure::TimedOut),
        Some(Stop::Canceled) => Err(Failure::Gone),
    }
}

async fn samples(handles: &Arc<Handles>, request: ReadRequest) -> Result<Response, Refusal> {
    let (store, limit) = (Arc::clone(&handles.store), handles.config.limits.read_samples);
    let work = move |cancel: &Cancel| whole(store.as_ref(), &request, limit, cancel);
    let whole = handles.pool.run(handles.config.limits.query_time, work).await;
    let body = whole.map_err(Failure::from)??;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf")),
        (header::CONTENT_ENCODING, HeaderValue::from_static("snappy")),
    ];
    Ok((headers, body).into_response())
}

/// The one message with everything, compressed.
fn whole(
    store: &dyn Queryable,
    request: &ReadRequest,
    limit: usize,
    cancel: &Cancel,
) -> Result<Vec<u8>, Failure> {
    let snapshot = store.snapshot();
    let (mut response, mut taken) = (Vec::new(), 0);
    for query in &request.queries {
        let mut result = Vec::new();
        let Some(range) = query.range else {
            message::put_message(&mut response, &result);
            continue;
        };
        for series in snapshot.select(&query.matchers, range)? {
            let (mut out, mut samples) = (Vec::new(), SampleBuf::default());
            message::put_labels(&mut out, series.labels());
            let (bare, mut cursor) = (out.len(), series.cursor(range)?);
            loop {
                let more = cursor.next(&mut samples)?;
                taken += samples.len();
                if taken > limit {
                    return Err(Failure::TooMany(limit));
                }
                message::put_samples(&mut out, &samples);
                samples.clear();
                go_on(cancel)?;
                if !more {
                    break;
                }
            }
            if out.len() > bare {
                message::put_message(&mut result, &out);
            }
        }
        message::put_message(&mut response, &result);
    }
    snap::raw::Encoder::new()
        .compress_vec(&response)
        .map_err(|error| Failure::Snappy(error.to_string()))
}

/// Answers frame by frame. Until the first one is there a failure is an answer of its own; after it
/// the connection breaks off, which a reader cannot take for the end.
async fn stream(handles: &Arc<Handles>, request: ReadRequest) -> Result<Response, Refusal> {
    let (sender, mut frames) = mpsc::channel::<Result<Bytes, Failure>>(WAITING_FRAMES);
    let task = Arc::clone(handles);
    tokio::spawn(async move {
        let limits = &task.config.limits;
        let frames = Frames {
            runtime: Handle::current(),
            sender: sender.clone(),
            size: limits.read_frame,
            patience: limits.body_time,
        };
        let store = Arc::clone(&task.store);
        let work = move |cancel: &Cancel| frames.send_all(store.as_ref(), &request, cancel);
        let done = task.pool.run(limits.query_time, work).await.map_err(Failure::from);
        if let Err(failure) = done.flatten() {
            // Nobody reads it where the reader is gone.
            let _ = sender.send(Err(failure)).await;
        }
    });
    let first = match frames.recv().await {
        Some(Err(failure)) => return Err(failure.into()),
        first => first,
    };
    let rest = futures_util::stream::unfold((first, frames), async |(first, mut frames)| {
        let frame = match first {
            Some(frame) => Some(frame),
            None => frames.recv().await,
        };
        frame.map(|frame| (frame, (None, frames)))
    });
    let media = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";
    Ok(([(header::CONTENT_TYPE, media)], Body::from_stream(rest)).into_response())
}

/// Makes frames and hands them to the connection.
struct Frames {
    runtime: Handle,
    sender: mpsc::Sender<Result<Bytes, Failure>>,
    size: usize,
    /// A reader that takes no frame for so long is given up.
    patience: std::time::Duration,
}

impl Frames {
    fn send_all(
        &self,
        store: &dyn Queryable,
        request: &ReadRequest,
        cancel: &Cancel,
    ) -> Result<(), Failure> {
        let snapshot = store.snapshot();
        for (number, query) in (0..).zip(&request.queries) {
            let Some(range) = query.range else { continue };
            for series in snapshot.select(&query.matchers, range)? {
                let cursor = series.cursor(range)?;
                self.send_series(number, series.as_ref(), cursor, cancel)?;
            }
        }
        Ok(())
    }

    fn send_series(
        &self,
        query: u64,
        series: &dyn Series,
        mut cursor: Box<dyn ringwell_storage::read::Cursor>,
        cancel: &Cancel,
    ) -> Result<(), Failure> {
        let mut head = Vec::new();
        message::put_labels(&mut head, series.labels());
        let (mut out, mut chunker, mut samples) =
            (head.clone(), Chunker::default(), SampleBuf::default());
        loop {
            let more = cursor.next(&mut samples)?;
            chunker.take(&samples);
            samples.clear();
            let chunks = if more { chunker.complete() } else { chunker.end() };
            for chunk in &chunks {
                if out.len() > head.len() && out.len() + chunk.data.len() > self.size {
                    self.send(message::frame(&out, query), cancel)?;
                    out.clone_from(&head);
                }
                message::put_chunk(&mut out, chunk);
            }
            if !more {
                break;
            }
        }
        if out.len() > head.len() {
            self.send(message::frame(&out, query), cancel)?;
        }
        Ok(())
    }

    fn send(&self, frame: Vec<u8>, cancel: &Cancel) -> Result<(), Failure> {
        go_on(cancel)?;
        let frame = self.sender.send_timeout(Ok(frame.into()), self.patience);
        self.runtime.block_on(frame).map_err(|_| Failure::Gone)
    }
}
