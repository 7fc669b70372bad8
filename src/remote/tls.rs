//! TLS towards a server, from files that are read anew for every connection.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::{Files, Stream, with_path};

/// Agrees on TLS with a server that must be the one of this name.
pub(super) async fn shake(stream: TcpStream, host: &str, files: &Files) -> io::Result<Stream> {
    let read = files.clone();
    let config = tokio::task::spawn_blocking(move || config(&read)).await;
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

fn wrong(error: &dyn std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("TLS: {error}"))
}

fn config(files: &Files) -> io::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    match &files.ca {
        Some(path) => {
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|error| with_path(&error, path))?;
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
        }
    }
    if roots.is_empty() {
        return Err(wrong(&"there is no certificate to trust; name one with ca_file"));
    }
    let provider = Arc::new(ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| wrong(&error))?.with_root_certificates(roots);
    match (&files.cert, &files.key) {
        (Some(cert), Some(path)) => {
            let key =
                PrivateKeyDer::from_pem_file(path).map_err(|error| with_path(&error, path))?;
            let config = config.with_client_auth_cert(certificates(cert)?, key);
            config.map_err(|error| wrong(&error))
        }
        _ => Ok(config.with_no_client_auth()),
    }
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let all = CertificateDer::pem_file_iter(path).map_err(|error| with_path(&error, path))?;
    let all: Result<Vec<_>, _> = all.collect();
    let all = all.map_err(|error| with_path(&error, path))?;
    match all.is_empty() {
        true => Err(with_path(&"there is no certificate in it", path)),
        false => Ok(all),
    }
}
