//! The side of a server: handshakes with a time limit, and files that may change while it runs.
//!
//! Files are looked at once a second, apart from all connections. What changed is read once it has stayed the same
//! for a look, so that certificate and key are both there. What cannot be used leaves in place what was before.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{Error, ServerConfig};
use tokio_rustls::server::TlsStream;

use super::expiry::not_after;
use super::stamp::{Stamp, stamp};
use super::{authorities, certificates, private_key, provider, unreadable, wrong};
use crate::metrics::{Counter, Families, Kind};

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What a server shows, and whom it lets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The certificate that is shown to clients, with those between it and its authority, in PEM.
    pub cert: PathBuf,
    /// Its key, in PEM.
    pub key: PathBuf,
    /// Certificates of who may have signed those that clients have to show then, in PEM.
    pub client_ca: Option<PathBuf>,
}

/// Agrees on TLS with clients.
pub struct Acceptor {
    face: &'static str,
    files: Files,
    /// How long a handshake may take.
    patience: Duration,
    config: RwLock<Arc<ServerConfig>>,
    /// How the files were when they were read at first.
    began: Stamp,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    done: Counter,
    failed: Counter,
    late: Counter,
    reloads: Counter,
    reloads_failed: Counter,
    /// Whether the files are not what is in use, because they cannot be used.
    stale: AtomicBool,
    /// When the first of the certificates in use ends, in seconds since 1970.
    ends: AtomicI64,
}

impl Acceptor {
    /// Reads the files; `face` is its name in metrics and in the log.
    pub fn new(face: &'static str, files: Files, patience: Duration) -> io::Result<Acceptor> {
        let began = stamp(files.paths());
        let (config, ends) = files.read()?;
        let config = RwLock::new(Arc::new(config));
        let counts = Counts { ends: ends.into(), ..Counts::default() };
        Ok(Acceptor { face, files, patience, config, began, counts })
    }

    /// Where its files are.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Agrees on TLS with whoever has connected; nothing comes of it if they cannot, or not in time.
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> Option<TlsStream<TcpStream>> {
        let config = Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner));
        // Kept until the end, so that one that is late is counted before its connection ends.
        let mut shaking = pin!(TlsAcceptor::from(config).accept(stream));
        let face = self.face;
        match tokio::time::timeout(self.patience, shaking.as_mut()).await {
            Ok(Ok(stream)) => {
                self.counts.done.add(1);
                Some(stream)
            }
            Ok(Err(error)) => {
                self.counts.failed.add(1);
                tracing::debug!(face, %peer, %error, "no TLS was agreed on");
                None
            }
            Err(_) => {
                self.counts.late.add(1);
                tracing::debug!(face, %peer, "no TLS was agreed on in time");
                None
            }
        }
    }

    /// Takes new files into use.
    fn reload(&self) {
        let face = self.face;
        match self.files.read() {
            Ok((config, ends)) => {
                self.counts.ends.store(ends, Ordering::Relaxed);
                *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
                self.counts.reloads.add(1);
                self.counts.stale.store(false, Ordering::Relaxed);
                tracing::info!(face, "new files for TLS are in use for new connections");
            }
            Err(error) => {
                self.counts.reloads_failed.add(1);
                self.counts.stale.store(true, Ordering::Relaxed);
                tracing::error!(face, %error, "new files for TLS cannot be used; what was before goes on");
            }
        }
    }
}

/// Takes files into use that change, until `stop` returns.
pub async fn watch(acceptors: Vec<Arc<Acceptor>>, stop: impl Future<Output = ()>) {
    let begin = |acceptor: Arc<Acceptor>| {
        let began = acceptor.began.clone();
        Watched { acceptor, read: began.clone(), seen: began }
    };
    let mut watched: Vec<Watched> = acceptors.into_iter().map(begin).collect();
    let watching = async {
        while !watched.is_empty() {
            tokio::time::sleep(LOOK).await;
            let looked = tokio::task::spawn_blocking(move || {
                watched.iter_mut().for_each(Watched::look);
                watched
            });
            watched = match looked.await {
                Ok(watched) => watched,
                Err(error) => {
                    tracing::error!(%error, "files of TLS are not looked at any more");
                    return;
                }
            };
        }
    };
    tokio::select! {
        () = stop => {}
        () = watching => {}
    }
}

/// What was seen of an acceptor's files.
struct Watched {
    acceptor: Arc<Acceptor>,
    /// As they were when they were read.
    read: Stamp,
    /// As they were at the last look.
    seen: Stamp,
}

impl Watched {
    fn look(&mut self) {
        let now = stamp(self.acceptor.files.paths());
        if now != self.read && now == self.seen {
            self.acceptor.reload();
            self.read.clone_from(&now);
        }
        self.seen = now;
    }
}

impl Files {
    fn paths(&self) -> impl Iterator<Item = &Path> {
        [&self.cert, &self.key].into_iter().chain(&self.client_ca).map(PathBuf::as_path)
    }

    /// What they say, and when the first of the certificates ends.
    fn read(&self) -> io::Result<(ServerConfig, i64)> {
        let builder =
            ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| wrong(&error))?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let roots = Arc::new(authorities(path)?);
                let asks = WebPkiClientVerifier::builder_with_provider(roots, provider()).build();
                builder.with_client_cert_verifier(asks.map_err(|error| unreadable(&error, path))?)
            }
        };
        let (cert, key) = (certificates(&self.cert)?, private_key(&self.key)?);
        let ends = cert.iter().filter_map(|certificate| not_after(certificate)).min().unwrap_or(0);
        let config = builder.with_single_cert(cert, key).map_err(|error| match error {
            Error::InconsistentKeys(_) => wrong(&format!(
                "the key in {} is not the one of the certificate in {}",
                self.key.display(),
                self.cert.display()
            )),
            error => unreadable(&error, &self.cert),
        });
        Ok((config?, ends))
    }
}

/// Adds what the acceptors counted.
pub fn gather(acceptors: &[Arc<Acceptor>], out: &mut Families) {
    let help = "TLS handshakes: done, failed (plain bytes, no common terms, no trusted certificate), or late.";
    let family = out.family("ringwell_tls_handshakes_total", Kind::Counter, help);
    for Acceptor { face, counts, .. } in acceptors.iter().map(|acceptor| &**acceptor) {
        for (result, counter) in
            [("done", &counts.done), ("failed", &counts.failed), ("late", &counts.late)]
        {
            family.sample(&[("face", face), ("result", result)], counter.get());
        }
    }
    let help =
        "Times that changed certificates and keys were read, and whether they could be used.";
    let family = out.family("ringwell_tls_reloads_total", Kind::Counter, help);
    for Acceptor { face, counts, .. } in acceptors.iter().map(|acceptor| &**acceptor) {
        for (result, counter) in [("done", &counts.reloads), ("failed", &counts.reloads_failed)] {
            family.sample(&[("face", face), ("result", result)], counter.get());
        }
    }
    let help = "1 while the files of TLS cannot be used and what they were before is in use.";
    let family = out.family("ringwell_tls_files_stale", Kind::Gauge, help);
    for acceptor in acceptors {
        let stale = u8::from(acceptor.counts.stale.load(Ordering::Relaxed));
        family.sample(&[("face", acceptor.face)], stale.into());
    }
    let help = "When the first of the certificates in use ends, in seconds since 1970.";
    let name = "ringwell_tls_certificate_expires_timestamp_seconds";
    let family = out.family(name, Kind::Gauge, help);
    for acceptor in acceptors {
        let ends = acceptor.counts.ends.load(Ordering::Relaxed);
        // Where it cannot be read nothing is better than the year 1970.
        if ends != 0 {
            family.sample(&[("face", acceptor.face)], ends as f64);
        }
    }
}
