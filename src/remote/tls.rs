//! TLS towards a server, from files that are read anew for every connection.

use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::{Files, Stream};
use crate::tls::{client_config, wrong};

/// Agrees on TLS with a server that must be the one of this name.
pub(super) async fn shake(stream: TcpStream, host: &str, files: &Files) -> io::Result<Stream> {
    let read = files.clone();
    let config = tokio::task::spawn_blocking(move || client_config(read.trust())).await;
    let config = config.map_err(io::Error::other)??;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(host).map_err(|error| wrong(&error))?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    // Whom to trust, and what the server asks for, does not change by trying again.
    let stream = stream.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => wrong(&error),
        _ => error,
    })?;
    Ok(Box::new(stream))
}
