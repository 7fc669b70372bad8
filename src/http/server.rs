//! The accept loop: a bounded number of connections, a deadline for request heads, and a stop
//! that lets requests in flight finish.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;

use super::Gate;
use crate::metrics::{Counter, Families, Kind, Timings};
use crate::shutdown::Shutdown;
use crate::tls::{self, Acceptor, Secured};

/// Requests in flight have this long to finish at a stop.
const DRAIN_DEADLINE: Duration = Duration::from_secs(8);
/// After a failed accept, as when no file descriptors are left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Counts of the HTTP face.
#[derive(Debug, Default)]
pub struct ServerMetrics {
    /// How long queries took, their wait included.
    pub queries: Timings,
    requests: Timings,
    by_class: [Counter; 5],
    connections: Counter,
    accept_errors: Counter,
}

impl ServerMetrics {
    /// Its families.
    pub fn gather(&self, out: &mut Families) {
        let help = "HTTP requests answered, by class of status.";
        let family = out.family("ringwell_http_requests_total", Kind::Counter, help);
        for (class, name) in self.by_class.iter().zip(["1xx", "2xx", "3xx", "4xx", "5xx"]) {
            family.sample(&[("class", name)], class.get());
        }
        let help = "From the head of a request to the head of its answer.";
        self.requests.gather(
            out.family("ringwell_http_request_duration_seconds", Kind::Histogram, help),
            &[],
        );
        let help = "PromQL queries, their wait for a turn included.";
        self.queries
            .gather(out.family("ringwell_query_duration_seconds", Kind::Histogram, help), &[]);
        out.counter(
            "ringwell_http_connections_total",
            "HTTP connections accepted.",
            self.connections.get(),
        );
        out.counter(
            "ringwell_http_accept_errors_total",
            "HTTP connections that could not be accepted.",
            self.accept_errors.get(),
        );
    }
}

/// Counts and times every request.
pub(super) async fn observe(
    State(metrics): State<Arc<ServerMetrics>>,
    request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let response = next.run(request).await;
    metrics.requests.observe(started.elapsed());
    let class = usize::from(response.status().as_u16() / 100).saturating_sub(1);
    if let Some(counter) = metrics.by_class.get(class) {
        counter.add(1);
    }
    response
}

/// The running face.
pub struct Server {
    listener: TcpListener,
    secured: Option<Secured>,
    gate: Arc<Gate>,
    limit: u32,
}

impl Server {
    /// A face on bound listeners.
    pub fn new(listener: TcpListener, secured: Option<Secured>, gate: &Arc<Gate>) -> Server {
        let limit = u32::try_from(gate.connections.available_permits()).unwrap_or(u32::MAX);
        Server { listener, secured, gate: Arc::clone(gate), limit }
    }

    /// Serves until the stop, then waits for what is in flight.
    pub async fn serve(self, shutdown: Shutdown) {
        loop {
            let accepted = tokio::select! {
                () = shutdown.raised() => break,
                accepted = self.accept() => accepted,
            };
            let Some(Accepted { stream, peer, acceptor, permit }) = accepted else { continue };
            self.gate.metrics.connections.add(1);
            let routes = self.gate.routes();
            let (shutdown, head_time) = (shutdown.clone(), self.gate.config.limits.head_time);
            tokio::spawn(async move {
                match acceptor {
                    None => serve_connection(stream, routes, head_time, shutdown).await,
                    Some(acceptor) => {
                        let agreed = tokio::select! {
                            agreed = acceptor.accept(stream, peer) => agreed,
                            () = shutdown.raised() => None,
                        };
                        if let Some(stream) = agreed {
                            serve_connection(stream, routes, head_time, shutdown).await;
                        }
                    }
                }
                drop(permit);
            });
        }
        let Server { listener, secured, gate, limit } = self;
        drop((listener, secured));
        if tokio::time::timeout(DRAIN_DEADLINE, gate.connections.acquire_many(limit)).await.is_err()
        {
            tracing::warn!("HTTP requests still in flight at the stop were cut off");
        }
    }

    /// The next connection, once there is room for it.
    async fn accept(&self) -> Option<Accepted> {
        let permit = Arc::clone(&self.gate.connections).acquire_owned().await.ok()?;
        let (accepted, acceptor) = tokio::select! {
            accepted = self.listener.accept() => (accepted, None),
            (accepted, acceptor) = tls::next(self.secured.as_ref()) => (accepted, Some(acceptor)),
        };
        match accepted {
            Ok((stream, peer)) => {
                // Small answers should not wait for more to send; failing changes only latency.
                let _ = stream.set_nodelay(true);
                Some(Accepted { stream, peer, acceptor, permit })
            }
            Err(error) => {
                self.gate.metrics.accept_errors.add(1);
                tracing::warn!(%error, "HTTP connection not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                None
            }
        }
    }
}

/// A connection that begins.
struct Accepted {
    stream: TcpStream,
    peer: SocketAddr,
    /// How TLS is agreed on, where it is spoken.
    acceptor: Option<Arc<Acceptor>>,
    permit: OwnedSemaphorePermit,
}

async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    routes: Router,
    head_time: Duration,
    shutdown: Shutdown,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_time)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes))
        .with_upgrades();
    tokio::pin!(connection);
    tokio::select! {
        // Broken connections are the clients' business.
        _ = connection.as_mut() => return,
        () = shutdown.raised() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}
