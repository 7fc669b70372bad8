//! The HTTP face: Prometheus's API, ours, and the web UI. Every route is on this screen.
//!
//! Before any route stands the door ([`auth`]): the Host allow-list, the Origin check, the secret. While the
//! log is replayed [`gate`] stands before that.

mod admin;
mod auth;
mod error;
mod exemplars;
mod explain;
mod export;
mod federate;
mod gate;
mod import_keys;
mod journal;
mod json;
mod keys;
mod labels;
mod live;
mod metadata;
mod mirrors;
mod panel;
mod params;
mod query;
mod remote_read;
mod rules;
mod server;
mod status;
mod syntax;
mod tsdb;
mod web;
mod write;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post};
use ringwell_query::Engine;
use ringwell_storage::store::Store;
use tower_http::compression::CompressionLayer;
use tower_http::decompression::RequestDecompressionLayer;

use crate::blocking::Pool;
use crate::config::Config;
use crate::ingest::Ingest;
use crate::ingest::keymap::Keymap;
use crate::ingest::recent::RecentKeys;
use crate::inside::Inside;
use crate::metrics::Registry;

pub use gate::Gate;
pub use journal::Journal;
pub use query::Asker;
pub use server::{Server, ServerMetrics};

/// What handlers work with.
pub struct Handles {
    /// What the node was told.
    pub config: Arc<Config>,
    /// Samples and keys.
    pub store: Arc<Store>,
    /// The door for samples.
    pub ingest: Arc<Ingest>,
    /// PromQL.
    pub engine: Arc<Engine>,
    /// Which queries run now.
    pub journal: Arc<Journal>,
    /// Where queries run.
    pub pool: Arc<Pool>,
    /// Where exports run: they last, and no query waits for their turn.
    pub exports: Arc<Pool>,
    /// The node's own metrics.
    pub registry: Arc<Registry>,
    /// How keys become series.
    pub keymap: Arc<Keymap>,
    /// Keys, as a client has them.
    pub inside: Arc<dyn Inside>,
    /// What copies keys to other servers.
    pub mirrors: Vec<Arc<crate::mirror::redis::Mirror>>,
    /// Keys that became series since the start.
    pub recent: Arc<RecentKeys>,
    /// Stops the demo fleet, where one runs.
    pub demo: Arc<DemoSwitch>,
    /// Who this node is.
    pub about: About,
    /// Raised when the node stops.
    pub shutdown: crate::shutdown::Shutdown,
    /// One permit an open connection, WebSockets included.
    pub connections: Arc<tokio::sync::Semaphore>,
    /// Counts of the HTTP face.
    pub metrics: Arc<ServerMetrics>,
    /// Counts of the Redis face.
    pub redis: Arc<crate::resp::Counters>,
}

/// Who a node is.
#[derive(Clone, Debug)]
pub struct About {
    /// The machine's name.
    pub hostname: String,
    /// Where HTTP answers, as bound.
    pub http: SocketAddr,
    /// Where the Redis protocol answers, as bound.
    pub redis: SocketAddr,
    /// Where HTTP answers with TLS, if it does.
    pub http_tls: Option<SocketAddr>,
    /// The same of the Redis protocol.
    pub redis_tls: Option<SocketAddr>,
    /// Milliseconds since 1970.
    pub started: i64,
}

impl About {
    /// Every address at which HTTP answers.
    fn http_addresses(&self) -> impl Iterator<Item = SocketAddr> {
        [self.http].into_iter().chain(self.http_tls)
    }
}

/// Whether the simulated fleet runs; switched off once.
#[derive(Debug, Default)]
pub struct DemoSwitch {
    running: tokio::sync::watch::Sender<bool>,
}

impl DemoSwitch {
    /// A switch in this position.
    pub fn new(running: bool) -> DemoSwitch {
        DemoSwitch { running: tokio::sync::watch::Sender::new(running) }
    }

    /// Whether the fleet runs.
    pub fn is_running(&self) -> bool {
        *self.running.borrow()
    }

    /// Stops it.
    pub fn stop(&self) {
        self.running.send_replace(false);
    }

    /// Returns once it is stopped.
    pub async fn stopped(&self) {
        // The sender lives as long as the switch, so waiting cannot fail.
        let _ = self.running.subscribe().wait_for(|running| !running).await;
    }
}

/// Handlers share them.
type State = axum::extract::State<Arc<Handles>>;

/// All routes; what answers `/mcp` comes from outside.
#[rustfmt::skip]
pub fn routes(handles: &Arc<Handles>, mcp: MethodRouter<Arc<Handles>>) -> Router {
    let import = post(write::import).layer(RequestDecompressionLayer::new());
    let import_jsonl = post(write::import_jsonl).layer(RequestDecompressionLayer::new());
    Router::new()
        // Prometheus's API.
        .route("/api/v1/query", get(query::instant).post(query::instant))
        .route("/api/v1/query_range", get(query::range).post(query::range))
        .route("/api/v1/query_exemplars", get(exemplars::exemplars).post(exemplars::exemplars))
        .route("/api/v1/format_query", get(syntax::format).post(syntax::format))
        .route("/api/v1/parse_query", get(syntax::parse).post(syntax::parse))
        .route("/api/v1/series", get(labels::series).post(labels::series))
        .route("/api/v1/labels", get(labels::names).post(labels::names))
        .route("/api/v1/label/{name}/values", get(labels::values))
        .route("/api/v1/metadata", get(metadata::metadata))
        .route("/api/v1/targets/metadata", get(metadata::of_targets))
        .route("/api/v1/targets", get(status::targets))
        .route("/api/v1/rules", get(rules::rules))
        .route("/api/v1/alerts", get(rules::alerts))
        .route("/api/v1/alertmanagers", get(status::alertmanagers))
        .route("/api/v1/scrape_pools", get(status::scrape_pools))
        .route("/api/v1/notifications", get(status::notifications))
        .route("/api/v1/status/config", get(status::config))
        .route("/api/v1/status/walreplay", get(status::walreplay))
        .route("/api/v1/status/buildinfo", get(status::buildinfo))
        .route("/api/v1/status/runtimeinfo", get(status::runtimeinfo))
        .route("/api/v1/status/flags", get(status::flags))
        .route("/api/v1/status/tsdb", get(tsdb::tsdb))
        .route("/api/v1/write", post(write::remote_write))
        .route("/api/v1/read", post(remote_read::remote_read))
        .route("/api/v1/import/prometheus", import)
        .route("/api/v1/import", import_jsonl)
        .route("/api/v1/import/rdb", post(import_keys::rdb))
        .route("/api/v1/export", get(export::export).post(export::export))
        .route("/api/v1/admin/tsdb/delete_series", post(admin::delete_series).put(admin::delete_series))
        .route("/api/v1/admin/tsdb/clean_tombstones", post(admin::clean_tombstones).put(admin::clean_tombstones))
        .route("/api/v1/admin/tsdb/snapshot", post(admin::snapshot).put(admin::snapshot))
        // Ours.
        .route("/api/v1/node", get(status::node))
        .route("/api/v1/node/snapshot", post(admin::own_snapshot))
        .route("/api/v1/demo/stop", post(status::stop_demo))
        .route("/api/v1/explain", get(explain::explain).post(explain::explain))
        .route("/api/v1/query_panel", get(panel::panel).post(panel::panel))
        .route("/api/v1/keys/recent", get(keys::recent))
        .route("/api/v1/keys/explain", get(keys::explain).post(keys::explain))
        .route("/api/v1/keys/forget", post(keys::forget))
        .route("/api/v1/mirrors", get(mirrors::mirrors))
        .route("/api/v1/mirrors/verify", post(mirrors::verify))
        .route("/api/v1/live", get(live::connect))
        .route("/federate", get(federate::federate))
        .route("/mcp", mcp)
        .route("/metrics", get(status::metrics))
        .route("/-/reload", post(status::lifecycle).put(status::lifecycle))
        .route("/-/quit", post(status::lifecycle).put(status::lifecycle))
        .route("/-/healthy", get(status::healthy))
        .route("/-/ready", get(status::ready))
        // The web UI, and 404 for what is nobody's.
        .fallback(web::asset)
        .method_not_allowed_fallback(error::method_not_allowed)
        .layer(CompressionLayer::new())
        .layer(from_fn_with_state(auth::Door::new(&handles.config, &handles.about), auth::door))
        .layer(from_fn_with_state(Arc::clone(&handles.metrics), server::observe))
        .with_state(Arc::clone(handles))
}
