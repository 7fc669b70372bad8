//! What the faces listen on, plain and with TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use tokio::net::TcpListener;

use crate::collect::host;
use crate::config::{Config, Tls};
use crate::http::About;
use crate::tls::{Acceptor, Secured};
use crate::{clock, listen};

/// Bound listeners.
pub(super) struct Faces {
    pub(super) http: TcpListener,
    pub(super) https: Option<Secured>,
    pub(super) redis: TcpListener,
    pub(super) rediss: Option<Secured>,
}

impl Faces {
    /// Reads certificates and keys, then binds all addresses.
    pub(super) fn bind(config: &Config) -> anyhow::Result<Faces> {
        let [https, rediss] = acceptors(config)?;
        let secured =
            |face, acceptor, tls: &Option<Tls>, flag| match Option::zip(acceptor, tls.as_ref()) {
                None => Ok(None),
                Some((acceptor, tls)) => {
                    let listener = listen::bind(face, tls.listen, flag)?;
                    anyhow::Ok(Some(Secured { listener, acceptor }))
                }
            };
        Ok(Faces {
            http: listen::bind("HTTP", config.http_listen, "--http-listen")?,
            https: secured("HTTP", https, &config.http_tls, "--http-tls-listen")?,
            redis: listen::bind("Redis", config.redis_listen, "--redis-listen")?,
            rediss: secured("Redis", rediss, &config.redis_tls, "--redis-tls-listen")?,
        })
    }

    /// Who the node is that listens there.
    pub(super) fn about(&self) -> std::io::Result<About> {
        let of = |secured: &Option<Secured>| -> std::io::Result<Option<SocketAddr>> {
            secured.as_ref().map(|secured| secured.listener.local_addr()).transpose()
        };
        Ok(About {
            hostname: host::name(),
            http: self.http.local_addr()?,
            redis: self.redis.local_addr()?,
            http_tls: of(&self.https)?,
            redis_tls: of(&self.rediss)?,
            started: clock::now_ms(),
        })
    }

    /// Those that speak TLS.
    pub(super) fn acceptors(&self) -> Vec<Arc<Acceptor>> {
        let secured = [&self.https, &self.rediss].into_iter().flatten();
        secured.map(|secured| Arc::clone(&secured.acceptor)).collect()
    }
}

/// How the faces agree on TLS, HTTP first: reads the files.
pub fn acceptors(config: &Config) -> anyhow::Result<[Option<Arc<Acceptor>>; 2]> {
    let one = |face, name, tls: &Option<Tls>, listen| -> anyhow::Result<Option<Arc<Acceptor>>> {
        let Some(tls) = tls else { return Ok(None) };
        let patience = config.limits.handshake_time;
        let acceptor = Acceptor::new(name, tls.files.clone(), patience);
        let acceptor = acceptor.with_context(|| format!("{face} cannot speak TLS ({listen})"))?;
        Ok(Some(Arc::new(acceptor)))
    };
    Ok([
        one("HTTP", "http", &config.http_tls, "http.tls_listen")?,
        one("Redis", "redis", &config.redis_tls, "redis.tls_listen")?,
    ])
}
