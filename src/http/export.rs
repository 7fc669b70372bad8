//! `/api/v1/export`: the samples of a selection as a stream, made as fast as it is read.
//!
//! A stream that ends early ends without its last chunk, so no part passes for the whole; what was written
//! and what the format left out is told in the trailers.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use http_body_util::StreamBody;
use hyper::body::Frame;
use ringwell_storage::model::Matcher;
use ringwell_storage::read::Queryable;
use tokio::sync::mpsc;

use super::error::ApiError;
use super::labels::selector;
use super::params::Params;
use super::{Handles, State};
use crate::export::{self, Format, Selection, Written};

/// Bytes written before they are handed on.
const PIECE: usize = 64 << 10;
/// Pieces that wait to be read.
const AHEAD: usize = 4;
/// An export has no deadline but its reader's patience.
const LONGEST: Duration = Duration::from_secs(u32::MAX as u64);

type Frames = mpsc::Sender<io::Result<Frame<Bytes>>>;

pub(super) async fn export(state: State, params: Params) -> Result<Response, ApiError> {
    let format = match params.get("format") {
        "" => Format::Jsonl,
        name => Format::named(name)
            .ok_or_else(|| ApiError::parameter("format", "write openmetrics or jsonl"))?,
    };
    let selectors: Vec<Vec<Matcher>> =
        params.all("match[]").map(selector).collect::<Result<_, _>>()?;
    let range = params.range()?;
    let range = range.ok_or_else(|| ApiError::parameter("end", "it lies before start"))?;
    let selection = Selection { selectors, range };
    let (frames, mut stream) = mpsc::channel(AHEAD);
    let job = tokio::spawn(run(Arc::clone(&state), selection, format, frames));
    // An error before the first piece still has a status.
    let Some(first) = stream.recv().await else {
        return Err(match job.await {
            Ok(Err(error)) => error.into(),
            _ => ApiError::bad_data("the export ended before it began"),
        });
    };
    let first = first.map_err(|error| ApiError {
        kind: super::error::Kind::Internal,
        message: error.to_string(),
    })?;
    let rest = futures_util::stream::unfold(stream, |mut stream| async {
        stream.recv().await.map(|frame| (frame, stream))
    });
    let begun = futures_util::stream::once(async { Ok(first) });
    let body = Body::new(StreamBody::new(futures_util::StreamExt::chain(begun, rest)));
    let named = Written::default().places().map(|(name, _)| name);
    let headers =
        [(header::CONTENT_TYPE, format.media().to_owned()), (header::TRAILER, named.join(", "))];
    Ok((headers, body).into_response())
}

async fn run(
    handles: Arc<Handles>,
    selection: Selection,
    format: Format,
    frames: Frames,
) -> Result<(), crate::blocking::PoolError> {
    let store = Arc::clone(&handles.store);
    let work = move |_: &_| {
        let mut pieces = Pieces { frames, piece: Vec::with_capacity(PIECE) };
        let done = export::write(store.snapshot().as_ref(), &selection, format, &mut pieces);
        let last = match done {
            Ok(written) => Ok(Frame::trailers(trailers(written))),
            Err(error) => {
                tracing::warn!(%error, "an export ended early");
                Err(io::Error::other(error))
            }
        };
        // Where nobody reads any more there is nobody to tell.
        let _ = pieces.frames.blocking_send(last);
    };
    handles.exports.run(LONGEST, work).await
}

fn trailers(mut written: Written) -> HeaderMap {
    let counts = written.places().map(|(name, count)| (HeaderName::from_static(name), *count));
    counts.into_iter().map(|(name, count)| (name, HeaderValue::from(count))).collect()
}

/// Hands on what is written, and waits while nobody takes it.
struct Pieces {
    frames: Frames,
    piece: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        let sent = self.frames.blocking_send(Ok(Frame::data(piece.into())));
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
