//! Redis servers that this node calls: where they are, how they are reached, with TLS or without, and what they
//! are told first.
//!
//! Files that hold secrets and certificates are read at every connection, so that new ones need no restart.

pub(crate) mod client;
mod tls;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::tls::{Trust, unreadable};

/// A connection, whatever it runs over.
pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}
pub(crate) type Stream = Box<dyn Io>;

/// Where a Redis answers, and what it is told.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Source {
    /// `host:port`.
    pub address: String,
    /// What AUTH is told: a password, or user and password.
    pub auth: Vec<String>,
    /// The database, where one is named.
    pub db: Option<u8>,
    /// Whether it is called with TLS.
    pub tls: bool,
    /// What stands in files.
    pub files: Files,
}

/// Files that are read at every connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// The password; what stands in the address as one does not count then.
    pub password: Option<PathBuf>,
    /// Certificates of who may have signed the server's, in PEM; else the system's list counts.
    pub ca: Option<PathBuf>,
    /// The certificate that is shown to the server, in PEM.
    pub cert: Option<PathBuf>,
    /// Its key, in PEM.
    pub key: Option<PathBuf>,
}

const HOW: &str = "not an address; write it like redis://host:6379 or rediss://host:6379";

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", if self.tls { "rediss" } else { "redis" }, self.address)
    }
}

impl Source {
    /// Whether a text is meant as an address.
    pub fn is_url(text: &str) -> bool {
        text.starts_with("redis://") || text.starts_with("rediss://")
    }

    /// Reads `redis[s]://[[user]:password@]host[:port][/db][?ca_file=...&cert_file=...&key_file=...&password_file=...]`.
    /// User and password may be written in percent; what is no such escape stands for itself.
    pub fn read(url: &str) -> Result<Source, String> {
        let (tls, rest) = match (url.strip_prefix("redis://"), url.strip_prefix("rediss://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err(HOW.to_owned()),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (login, rest) = match rest.rsplit_once('@') {
            Some((login, rest)) => (Some(login), rest),
            None => (None, rest),
        };
        let (host, db) = rest.split_once('/').unwrap_or((rest, ""));
        if host.is_empty() {
            return Err(HOW.to_owned());
        }
        let db = match db {
            "" => None,
            text => Some(text.parse().map_err(|_| "what stands behind / is no database")?),
        };
        let auth = match login.map(|login| login.split_once(':').unwrap_or(("", login))) {
            None => Vec::new(),
            Some(("", password)) => vec![plain(password)?],
            Some((user, password)) => vec![plain(user)?, plain(password)?],
        };
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let address = if has_port { host.to_owned() } else { format!("{host}:6379") };
        let mut source = Source { address, auth, db, tls, files: Files::default() };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let file = source.files.named(&name).ok_or_else(|| {
                // It may be the rest of a password, so it is not told.
                "what stands behind ? is not known; ca_file=, cert_file=, key_file=, password_file= are; in a password a ? is written %3F".to_owned()
            })?;
            *file = Some(value.into_owned().into());
        }
        source.checked()
    }

    /// The same, if what is said of files holds together.
    pub fn checked(self) -> Result<Source, String> {
        let Files { ca, cert, key, .. } = &self.files;
        if !self.tls && [ca, cert, key].iter().any(|file| file.is_some()) {
            return Err("certificates are for rediss://".to_owned());
        }
        if cert.is_some() != key.is_some() {
            return Err("cert_file and key_file go together".to_owned());
        }
        Ok(self)
    }

    /// Host and port.
    pub fn host_and_port(&self) -> (&str, u16) {
        let (host, port) = self.address.rsplit_once(':').unwrap_or((&self.address, ""));
        (host, port.parse().unwrap_or(0))
    }

    /// What AUTH is told now; nothing where there is nothing to tell.
    pub(crate) async fn login(&self) -> io::Result<Vec<Vec<u8>>> {
        let mut auth: Vec<Vec<u8>> = self.auth.iter().map(|part| part.clone().into()).collect();
        if let Some(path) = &self.files.password {
            let password = tokio::fs::read_to_string(path).await;
            let password = password.map_err(|error| unreadable(&error, path))?;
            auth.pop();
            auth.push(password.trim().into());
        }
        Ok(auth)
    }

    /// Connects.
    pub(crate) async fn connect(&self, patience: Duration) -> io::Result<Stream> {
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "it does not answer");
        let connecting = TcpStream::connect(&self.address);
        let stream = tokio::time::timeout(patience, connecting).await.map_err(late)??;
        stream.set_nodelay(true)?;
        if !self.tls {
            return Ok(Box::new(stream));
        }
        let shaking = tls::shake(stream, self.host_and_port().0, &self.files);
        tokio::time::timeout(patience, shaking).await.map_err(late)?
    }
}

impl Files {
    /// The file of a name, as addresses and configuration call it.
    pub fn named(&mut self, name: &str) -> Option<&mut Option<PathBuf>> {
        Some(match name {
            "password_file" => &mut self.password,
            "ca_file" => &mut self.ca,
            "cert_file" => &mut self.cert,
            "key_file" => &mut self.key,
            _ => return None,
        })
    }

    /// Those that TLS is agreed on by.
    pub(crate) fn trust(&self) -> Trust<'_> {
        let shows = self.cert.as_deref().zip(self.key.as_deref());
        Trust { ca: self.ca.as_deref(), shows }
    }
}

/// What a part of an address stands for.
fn plain(part: &str) -> Result<String, String> {
    let plain = percent_encoding::percent_decode_str(part).decode_utf8();
    plain.map(Into::into).map_err(|_| "a user or a password in percent is no UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (url, address, auth) in [
            ("redis://cache:7000", "cache:7000", &[][..]),
            ("redis://cache", "cache:6379", &[]),
            ("redis://:s3@cache/", "cache:6379", &["s3"]),
            ("redis://bob:s@3@[::1]:7000", "[::1]:7000", &["bob", "s@3"]),
            ("redis://:a/b@cache:7000/2", "cache:7000", &["a/b"]),
            ("redis://:p%40ss%3Aw%2Fo%3Frd%25@cache", "cache:6379", &["p@ss:w/o?rd%"]),
            ("redis://b%C3%B6b:50%@cache", "cache:6379", &["b\u{f6}b", "50%"]),
            ("redis://cache?password_file=/run/a@b", "cache:6379", &[]),
        ] {
            let source = Source::read(url).unwrap();
            assert_eq!(
                (source.address.as_str(), source.auth),
                (address, auth.iter().map(|s| (*s).to_owned()).collect())
            );
        }
        let url = "rediss://u:p@cache/3?ca_file=/x/ca.pem&password_file=/run/a%20b";
        let source = Source::read(url).unwrap();
        assert_eq!((source.db, source.tls), (Some(3), true));
        assert_eq!(source.files.ca, Some("/x/ca.pem".into()));
        assert_eq!(source.files.password, Some("/run/a b".into()));
        for url in [
            "cache:6379",
            "redis://",
            "redis://:x@",
            "redis://h/0/1",
            "redis://h/x",
            "redis://h?ca_file=a",
            "rediss://h?cert_file=a",
            "rediss://h?pass=a",
            "redis://:%ff@h",
            "redis://:a?b@h",
        ] {
            assert!(Source::read(url).is_err(), "{url}");
        }
        for url in ["redis://:secret?rest@h", "redis://u:secret?rest@h:6379"] {
            let told = Source::read(url).unwrap_err();
            assert!(!told.contains("secret") && !told.contains("rest"), "{told}");
        }
    }
}
