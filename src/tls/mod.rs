//! TLS in both directions: certificates and keys from files, what a client trusts, and a server whose files may
//! change while it runs.

mod acceptor;
mod expiry;
mod secured;
mod stamp;

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

pub use acceptor::{Acceptor, Files, gather, watch};
pub use secured::Secured;
pub(crate) use secured::next;

/// What a client shows of itself, and whom it trusts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Trust<'a> {
    /// Certificates of who may have signed the server's; else the system's list counts.
    pub(crate) ca: Option<&'a Path>,
    /// The certificate that is shown to the server, and its key.
    pub(crate) shows: Option<(&'a Path, &'a Path)>,
}

/// How a client agrees on TLS.
pub(crate) fn client_config(trust: Trust<'_>) -> io::Result<ClientConfig> {
    let roots = match trust.ca {
        Some(path) => authorities(path)?,
        None => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            roots
        }
    };
    if roots.is_empty() {
        return Err(wrong(&"there is no certificate to trust; name one with ca_file"));
    }
    let config =
        ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let config = config.map_err(|error| wrong(&error))?.with_root_certificates(roots);
    match trust.shows {
        Some((cert, key)) => {
            let config = config.with_client_auth_cert(certificates(cert)?, private_key(key)?);
            config.map_err(|error| wrong(&error))
        }
        None => Ok(config.with_no_client_auth()),
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Whom to trust, and what is shown to whom, does not change by trying again.
pub(crate) fn wrong(error: &dyn std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("TLS: {error}"))
}

fn authorities(path: &Path) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| unreadable(&error, path))?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let all = CertificateDer::pem_file_iter(path).map_err(|error| unreadable(&error, path))?;
    let all: Result<Vec<_>, _> = all.collect();
    let all = all.map_err(|error| unreadable(&error, path))?;
    match all.is_empty() {
        true => Err(unreadable(&"there is no certificate in it", path)),
        false => Ok(all),
    }
}

fn private_key(path: &Path) -> io::Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| match error {
        pem::Error::NoItemsFound => unreadable(&"there is no key in it, or it is encrypted", path),
        error => unreadable(&error, path),
    })
}

/// What is wrong with a file.
pub(crate) fn unreadable(error: &dyn std::fmt::Display, path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("cannot read {}: {error}", path.display()))
}
