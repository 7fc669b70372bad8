//! A listener that speaks TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};

use super::Acceptor;

/// A listener, and how its clients are spoken to.
pub struct Secured {
    /// Where they connect.
    pub listener: TcpListener,
    /// How TLS is agreed on.
    pub acceptor: Arc<Acceptor>,
}

/// Who connects next, and how they are spoken to; where nobody can this never returns.
pub(crate) async fn next(
    secured: Option<&Secured>,
) -> (io::Result<(TcpStream, SocketAddr)>, Arc<Acceptor>) {
    match secured {
        Some(Secured { listener, acceptor }) => (listener.accept().await, Arc::clone(acceptor)),
        None => std::future::pending().await,
    }
}
