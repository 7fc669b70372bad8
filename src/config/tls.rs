//! Where the faces answer with TLS, and with which files.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::raw::Settings;
use super::units::address;
use super::{ConfigError, read};
use crate::tls::Files;

/// Where a face answers with TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What is shown there, and who is let in.
    pub files: Files,
}

/// What the settings say of both faces: HTTP and Redis.
pub(super) fn mean(s: &Settings) -> Result<[Option<Tls>; 2], ConfigError> {
    let cert = read(s, "tls.cert_file", path)?;
    let key = read(s, "tls.key_file", |text| match (&cert, path(text)?) {
        (Some(_), None) => Err("tls.cert_file is set, so its key is needed too".to_owned()),
        (None, Some(_)) => Err("tls.cert_file is needed too".to_owned()),
        (_, key) => Ok(key),
    })?;
    let files = cert.zip(key);
    let face = |listen, client_ca| -> Result<Option<Tls>, ConfigError> {
        let listen = read(s, listen, |text| match (text.trim(), &files) {
            ("", _) => Ok(None),
            (_, None) => Err("tls.cert_file and tls.key_file are needed for it".to_owned()),
            (text, Some(_)) => address(text).map(Some),
        })?;
        let client_ca = read(s, client_ca, |text| match (path(text)?, listen) {
            (Some(_), None) => Err("this face does not listen with TLS".to_owned()),
            (client_ca, _) => Ok(client_ca),
        })?;
        let both = listen.zip(files.clone());
        Ok(both.map(|(listen, (cert, key))| Tls { listen, files: Files { cert, key, client_ca } }))
    };
    let http = face("http.tls_listen", "http.tls_client_ca_file")?;
    let redis = face("redis.tls_listen", "redis.tls_client_ca_file")?;
    if http.is_none() && redis.is_none() && files.is_some() {
        read(s, "tls.cert_file", |_| {
            let why = "nothing listens with TLS; set http.tls_listen or redis.tls_listen";
            Err::<(), _>(why.to_owned())
        })?;
    }
    Ok([http, redis])
}

fn path(text: &str) -> Result<Option<PathBuf>, String> {
    Ok(Some(text.trim()).filter(|text| !text.is_empty()).map(Into::into))
}
