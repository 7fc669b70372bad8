//! What stands before the routes while the log is replayed: health and progress are answered, the web UI is
//! served, and who needs the store waits for it.
//!
//! A request that waits holds its connection and what was read of its head, no body: the limits of
//! connections and of bytes in flight stay what they are. A write waits as long as its sender does; anything
//! else no longer than a query may run, and a query has so much less time left.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt as _;

use super::auth::{Door, door};
use super::error::{ApiError, Kind, plain};
use super::params::Params;
use super::server::{ServerMetrics, observe};
use super::{About, json as answers, status, web};
use crate::config::Config;
use crate::metrics::Registry;
use crate::opening::Opening;
use crate::shutdown::Shutdown;

/// How long a request has waited for the store; part of the time it may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waited(pub(super) Duration);

/// The HTTP face from the start on.
pub struct Gate {
    /// What the node was told.
    pub config: Arc<Config>,
    /// Who this node is.
    pub about: About,
    /// The node's own metrics.
    pub registry: Arc<Registry>,
    /// Counts of the face.
    pub metrics: Arc<ServerMetrics>,
    /// One permit an open connection, WebSockets included.
    pub connections: Arc<Semaphore>,
    opening: Arc<Opening>,
    shutdown: Shutdown,
    routes: watch::Sender<Option<Router>>,
    waiting: AtomicUsize,
}

impl Gate {
    /// A closed one.
    pub fn new(
        config: &Arc<Config>,
        about: About,
        opening: &Arc<Opening>,
        shutdown: &Shutdown,
    ) -> Gate {
        let registry = Arc::<Registry>::default();
        let replay = Arc::clone(opening);
        registry.register(move |out| replay.gather(out));
        let connections = config.limits.http_connections.min(Semaphore::MAX_PERMITS);
        Gate {
            config: Arc::clone(config),
            about,
            registry,
            metrics: Arc::default(),
            connections: Arc::new(Semaphore::new(connections)),
            opening: Arc::clone(opening),
            shutdown: shutdown.clone(),
            routes: watch::Sender::new(None),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Lets everybody in who waits, and who comes from now on.
    pub fn open(&self, routes: Router) {
        self.routes.send_replace(Some(routes));
    }

    /// What answers a connection that is opened now.
    pub(super) fn routes(self: &Arc<Self>) -> Router {
        self.routes.borrow().clone().unwrap_or_else(|| self.closed())
    }

    fn closed(self: &Arc<Self>) -> Router {
        let door_state = Door::new(&self.config, &self.about);
        Router::new()
            .route("/-/healthy", get(status::healthy))
            .route("/-/ready", get(ready))
            .route("/metrics", get(metrics))
            .route("/api/v1/status/walreplay", get(walreplay))
            .layer(from_fn_with_state(Arc::clone(&self.metrics), observe))
            .fallback(wait)
            .layer(from_fn_with_state(door_state, door))
            .with_state(Arc::clone(self))
    }

    /// The open routes; nothing once the node stops.
    async fn opened(&self) -> Option<Router> {
        let mut routes = self.routes.subscribe();
        tokio::select! {
            opened = routes.wait_for(Option::is_some) => opened.ok()?.clone(),
            () = self.shutdown.raised() => None,
        }
    }
}

/// Lets a request wait for the store. A connection from before goes through here to its end.
async fn wait(State(gate): State<Arc<Gate>>, mut request: Request) -> Response {
    let open = gate.routes.borrow().clone();
    if let Some(routes) = open {
        return pass(routes, request).await;
    }
    let path = request.uri().path();
    if !needs_store(path) {
        return web::asset(request.method().clone(), request.uri().clone()).await;
    }
    let longest = match writes(path) {
        true => None,
        false => Some(timeout(&request, gate.config.limits.query_time)),
    };
    let started = Instant::now();
    let _counted = Counted::new(&gate.waiting);
    let opened = match longest {
        None => gate.opened().await,
        Some(longest) => match tokio::time::timeout(longest, gate.opened()).await {
            Ok(opened) => opened,
            Err(_) => return too_late(longest).into_response(),
        },
    };
    let Some(routes) = opened else {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "Ringwell is stopping.");
    };
    request.extensions_mut().insert(Waited(started.elapsed()));
    pass(routes, request).await
}

async fn pass(routes: Router, request: Request) -> Response {
    match routes.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// All but the web UI.
fn needs_store(path: &str) -> bool {
    ["/api/", "/-/", "/federate", "/mcp"].iter().any(|start| path.starts_with(start))
}

/// Who is told to come back later would only send the same again.
fn writes(path: &str) -> bool {
    path == "/api/v1/write" || path.starts_with("/api/v1/import")
}

/// How long a request may wait; a form is not read yet, so only what the URL says counts.
fn timeout(request: &Request, longest: Duration) -> Duration {
    let query = request.uri().query().unwrap_or_default();
    let pairs = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "timeout");
    let asked = pairs.take(1).map(|(name, value)| (name.into_owned(), value.into_owned()));
    // What is no time is refused once the query is read.
    Params::of(asked.collect()).timeout(longest).unwrap_or(longest)
}

fn too_late(longest: Duration) -> ApiError {
    let message = format!("the log is still replayed; the query waited {longest:?}");
    ApiError { kind: Kind::Timeout, message }
}

async fn ready(State(gate): State<Arc<Gate>>, request: Request) -> Response {
    let open = gate.routes.borrow().clone();
    if let Some(routes) = open {
        return pass(routes, request).await;
    }
    let told = match gate.shutdown.is_raised() {
        true => "Ringwell is stopping.".to_owned(),
        false => {
            let progress = gate.opening.progress();
            let (done, bytes) = (progress.done(), progress.bytes());
            format!("Ringwell replays its log: {done} of {bytes} bytes.")
        }
    };
    plain(StatusCode::SERVICE_UNAVAILABLE, told)
}

async fn metrics(State(gate): State<Arc<Gate>>) -> Response {
    let waiting = gate.waiting.load(Ordering::Relaxed);
    let mut families = gate.registry.gather();
    let help = "Requests that wait until the log is replayed.";
    families.gauge("ringwell_http_requests_waiting", help, waiting as f64);
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], families.to_text()).into_response()
}

/// In bytes, where Prometheus counts segments.
async fn walreplay(State(gate): State<Arc<Gate>>) -> Response {
    let progress = gate.opening.progress();
    let data = json!({ "min": 0, "max": progress.bytes(), "current": progress.done() });
    answers::success(&data.to_string(), &[], &[])
}

/// Counts a request for as long as it waits.
struct Counted<'a>(&'a AtomicUsize);

impl Counted<'_> {
    fn new(counter: &AtomicUsize) -> Counted<'_> {
        counter.fetch_add(1, Ordering::Relaxed);
        Counted(counter)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
