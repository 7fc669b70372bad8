//! One WebSocket for each browser tab: queries answered again and again, and events as they come.
//!
//! A client subscribes with an id of its own and gets answers under that id. Each subscription is
//! a task that ends with the socket; answers go through one bounded queue, so a tab that does not
//! read slows its own queries down and nobody else's.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State as FromState;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::Response;
use futures_util::{SinkExt, StreamExt};
use ringwell_query::{Detail, When};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{broadcast, mpsc};
use tokio::task::AbortHandle;

use super::error::{ApiError, plain};
use super::query::{self, Asked};
use super::{Handles, State, json as answers};
use crate::clock;

/// The shortest time between two answers.
const MIN_EVERY: u64 = 250;
/// Answers waiting for the client to read them.
const QUEUE: usize = 32;
/// The longest frame a client may send.
const MAX_FRAME: usize = 64 << 10;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    id: u64,
    subscribe: Option<Subscribe>,
    #[serde(default)]
    unsubscribe: bool,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Subscribe {
    Query {
        query: String,
        #[serde(rename = "everyMs")]
        every_ms: u64,
    },
    Events {
        events: String,
    },
}

pub(super) async fn connect(FromState(handles): State, upgrade: WebSocketUpgrade) -> Response {
    // The connection's own permit ends with its HTTP life; the socket needs one of its own.
    let Ok(permit) = Arc::clone(&handles.connections).try_acquire_owned() else {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "too many connections");
    };
    upgrade.max_message_size(MAX_FRAME).max_frame_size(MAX_FRAME).on_upgrade(
        move |socket| async move {
            converse(socket, handles).await;
            drop(permit);
        },
    )
}

async fn converse(socket: WebSocket, handles: Arc<Handles>) {
    let (mut sink, mut stream) = socket.split();
    let (sender, mut queue) = mpsc::channel::<String>(QUEUE);
    let mut session = Session { handles, sender, running: HashMap::new() };
    let shutdown = session.handles.shutdown.clone();
    loop {
        tokio::select! {
            () = shutdown.raised() => break,
            frame = stream.next() => match frame {
                Some(Ok(Message::Text(text))) => session.take(text.as_str()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                Some(Ok(_)) => {}
            },
            answer = queue.recv() => {
                let Some(answer) = answer else { break };
                if sink.send(Message::Text(answer.into())).await.is_err() {
                    break;
                }
            }
        }
    }
    // The client may be gone already.
    let _ = sink.close().await;
}

/// The subscriptions of one socket.
struct Session {
    handles: Arc<Handles>,
    sender: mpsc::Sender<String>,
    running: HashMap<u64, AbortHandle>,
}

impl Drop for Session {
    fn drop(&mut self) {
        for (_, task) in self.running.drain() {
            task.abort();
        }
    }
}

impl Session {
    fn take(&mut self, text: &str) {
        match serde_json::from_str::<Ask>(text) {
            Ok(ask) => {
                let id = ask.id;
                if let Err(error) = self.follow(ask) {
                    self.refuse(Some(id), &error);
                }
            }
            Err(error) => {
                self.refuse(None, &ApiError::bad_data(format!("not understood: {error}")))
            }
        }
    }

    fn follow(&mut self, ask: Ask) -> Result<(), ApiError> {
        if let Some(task) = self.running.remove(&ask.id) {
            task.abort();
        }
        let Some(subscribe) = ask.subscribe else {
            return if ask.unsubscribe {
                Ok(())
            } else {
                Err(ApiError::bad_data("neither subscribe nor unsubscribe"))
            };
        };
        let limit = self.handles.config.limits.live_subscriptions;
        if self.running.len() >= limit {
            return Err(ApiError::bad_data(format!("more than {limit} subscriptions")));
        }
        let (handles, sender, id) = (Arc::clone(&self.handles), self.sender.clone(), ask.id);
        let task = match subscribe {
            Subscribe::Query { every_ms, .. } if every_ms < MIN_EVERY => {
                return Err(ApiError::bad_data(format!("everyMs must be at least {MIN_EVERY}")));
            }
            Subscribe::Query { query, every_ms } => {
                tokio::spawn(repeat(handles, sender, id, query, Duration::from_millis(every_ms)))
            }
            Subscribe::Events { events } if events == "keys" => {
                tokio::spawn(tell_keys(handles.recent.subscribe(), sender, id))
            }
            Subscribe::Events { events } => {
                return Err(ApiError::bad_data(format!("no events {events:?}; there are: keys")));
            }
        };
        self.running.insert(id, task.abort_handle());
        Ok(())
    }

    /// A client that sends faster than it reads loses such answers, never others.
    fn refuse(&self, id: Option<u64>, error: &ApiError) {
        let _ = self.sender.try_send(refusal(id, error));
    }
}

fn refusal(id: Option<u64>, error: &ApiError) -> String {
    json!({ "id": id, "error": error.message, "errorType": error.kind.name() }).to_string()
}

/// Answers a query every so often, until the socket is gone.
async fn repeat(
    handles: Arc<Handles>,
    sender: mpsc::Sender<String>,
    id: u64,
    text: String,
    every: Duration,
) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for seq in 1_u64.. {
        ticks.tick().await;
        let now = clock::now_ms();
        let timeout = handles.config.limits.query_time;
        let asked = Asked {
            text: text.clone(),
            when: When::At(now),
            lookback: None,
            timeout,
            detail: Detail::default(),
        };
        let frame = match query::run(&handles, asked).await {
            Ok(answer) => {
                let data = answers::answer(&answer);
                let mut frame = format!("{{\"id\":{id},\"seq\":{seq},\"t\":");
                crate::number::push_time(&mut frame, now);
                frame.push_str(",\"data\":");
                frame.push_str(&data);
                frame.push('}');
                frame
            }
            Err(error) => refusal(Some(id), &error),
        };
        if sender.send(frame).await.is_err() {
            return;
        }
    }
}

/// Tells of keys as they first arrive.
async fn tell_keys(
    mut news: broadcast::Receiver<crate::ingest::recent::RecentKey>,
    sender: mpsc::Sender<String>,
    id: u64,
) {
    let mut seq = 0_u64;
    loop {
        let key = match news.recv().await {
            Ok(key) => key,
            // Missed ones stand in /api/v1/keys/recent.
            Err(broadcast::error::RecvError::Lagged(_)) => continue,
            Err(broadcast::error::RecvError::Closed) => return,
        };
        seq += 1;
        let frame = json!({ "id": id, "seq": seq, "event": key }).to_string();
        if sender.send(frame).await.is_err() {
            return;
        }
    }
}
