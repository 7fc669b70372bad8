//! `/api/v1/import/rdb`: keys in an RDB file, taken over one by one as they come.
//!
//! Of each key only what differs is changed, as in a full sync of a Redis that the node follows, so the same
//! file may be sent again: what became a sample does not become one again. Other keys stay.

use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures_util::StreamExt as _;
use ringwell_storage::keyspace::RdbReader;
use ringwell_storage::model::WalPosition;
use serde_json::json;
use tokio::sync::mpsc;

use super::error::{ApiError, Kind};
use super::params::Params;
use super::{Handles, State, json as answers};
use crate::clock;
use crate::replication::Adopting;

/// Pieces of the body that wait to be read.
const AHEAD: usize = 8;
/// A file takes as long as its sender does; this is for one that sends nothing.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

pub(super) async fn rdb(
    state: State,
    axum::extract::RawQuery(query): axum::extract::RawQuery,
    body: Body,
) -> Result<Response, ApiError> {
    if state.config.replica_of.is_some() {
        let message = "READONLY this node follows a Redis, which alone changes its keys";
        return Err(ApiError { kind: Kind::Execution, message: message.to_owned() });
    }
    let query = query.unwrap_or_default();
    let pairs = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let keeps = match Params::of(pairs).get("existing") {
        "" | "replace" => false,
        "keep" => true,
        _ => return Err(ApiError::parameter("existing", "write replace or keep")),
    };
    let (pieces, incoming) = mpsc::channel(AHEAD);
    let silence = state.config.limits.body_time;
    let reading = tokio::spawn(read(body, pieces, silence));
    let handles = Arc::clone(&state);
    let taken = state.exports.run(LONGEST, move |_: &_| take(&handles, incoming, keeps)).await;
    reading.abort();
    let (taken, done) = taken?;
    if let Some(position) = taken.position {
        let written = state.inside.acknowledged(position).await;
        written.map_err(|message| ApiError { kind: Kind::Unavailable, message })?;
    }
    done.map_err(|(kind, message)| {
        let before = taken.keys;
        ApiError { kind, message: format!("{message}; the {before} keys before it are in") }
    })?;
    let data = json!({
        "keys": taken.keys,
        "changed": taken.changed,
        "kept": taken.kept,
        "expired": taken.expired,
    });
    Ok(answers::success(&data.to_string(), &[], &[]))
}

/// Hands the body on, piece by piece, as it is taken.
async fn read(body: Body, pieces: mpsc::Sender<io::Result<Bytes>>, silence: Duration) {
    let mut stream = body.into_data_stream();
    loop {
        let piece = match tokio::time::timeout(silence, stream.next()).await {
            Ok(Some(piece)) => piece.map_err(io::Error::other),
            Ok(None) => return,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        let over = piece.is_err();
        if pieces.send(piece).await.is_err() || over {
            return;
        }
    }
}

/// What became of a file's keys.
#[derive(Debug, Default)]
struct Taken {
    keys: u64,
    changed: u64,
    /// There already, and to stay as they are.
    kept: u64,
    /// Over by now.
    expired: u64,
    position: Option<WalPosition>,
}

type Ended = Result<(), (Kind, String)>;

fn take(
    handles: &Handles,
    incoming: mpsc::Receiver<io::Result<Bytes>>,
    keeps: bool,
) -> (Taken, Ended) {
    let mut taken = Taken::default();
    let adopting = Adopting::new(&*handles.inside, &handles.store);
    let pieces = Pieces { incoming, piece: Bytes::new() };
    let most = handles.config.limits.body_decoded as u64;
    let done = take_all(&adopting, pieces, (keeps, most), &mut taken);
    taken.position = adopting.position();
    (taken, done)
}

fn take_all(
    adopting: &Adopting<'_>,
    pieces: Pieces,
    (keeps, most): (bool, u64),
    taken: &mut Taken,
) -> Ended {
    let reader = RdbReader::new(BufReader::new(pieces));
    let mut reader =
        reader.map_err(|error| (Kind::BadData, error.to_string()))?.with_keys_up_to(most);
    loop {
        let key = reader.next_key();
        let key = key.map_err(|error| {
            let at = reader.at();
            (Kind::BadData, format!("{error}, at byte {at}"))
        })?;
        let Some(key) = key else { return Ok(()) };
        let wrong = |error: String| {
            // What cannot be written now is taken later.
            let later = error.contains("MISCONF") || error.contains("LOADING");
            (if later { Kind::Unavailable } else { Kind::Execution }, error)
        };
        if key.expires.is_some_and(|at| at < clock::now_ms()) {
            taken.expired += 1;
        } else if keeps && adopting.has(&key).map_err(wrong)? {
            taken.kept += 1;
        } else if adopting.take(&key).map_err(wrong)? {
            taken.changed += 1;
        }
        taken.keys += 1;
    }
}

/// The body, read where waiting for it is allowed.
struct Pieces {
    incoming: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.incoming.blocking_recv() {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let count = into.len().min(self.piece.len());
        let part = self.piece.split_to(count);
        if let Some(into) = into.get_mut(..count) {
            into.copy_from_slice(&part);
        }
        Ok(count)
    }
}
