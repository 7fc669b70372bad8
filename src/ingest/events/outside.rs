//! Events of another Redis: a connection that subscribes there, and comes back when it is lost.
//!
//! Pub/sub keeps nothing: what is published there while the connection is down is lost, as for any
//! other subscriber.

use std::io::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::Queue;

/// Waits between attempts to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How long connecting may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// A connection that says nothing is asked whether it lives.
const SILENCE: Duration = Duration::from_secs(30);
/// Replies nest by one, and say no more than this many things.
const MOST_PARTS: usize = 64;
/// The largest message that is read.
const LONGEST: usize = 8 << 20;

/// Where another Redis answers.
#[derive(Clone, PartialEq, Eq)]
pub struct Source {
    /// `host:port`.
    pub address: String,
    /// What AUTH is told: a password, or user and password.
    pub auth: Vec<String>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "redis://{}", self.address)
    }
}

impl Source {
    /// Reads `redis://[[user]:password@]host[:port]`.
    pub fn read(url: &str) -> std::result::Result<Source, String> {
        let rest = url
            .strip_prefix("redis://")
            .ok_or("not an address; write it like redis://host:6379")?
            .trim_end_matches('/');
        let (login, host) = match rest.rsplit_once('@') {
            Some((login, host)) => (Some(login), host),
            None => (None, rest),
        };
        if host.is_empty() || host.contains('/') {
            return Err("not an address; write it like redis://host:6379".to_owned());
        }
        let auth = match login.map(|login| login.split_once(':').unwrap_or(("", login))) {
            None => Vec::new(),
            Some(("", password)) => vec![password.to_owned()],
            Some((user, password)) => vec![user.to_owned(), password.to_owned()],
        };
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let address = if has_port { host.to_owned() } else { format!("{host}:6379") };
        Ok(Source { address, auth })
    }
}

/// Listens for ever.
pub(super) async fn listen(source: Source, queue: Arc<Queue>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let mut heard = false;
        if let Err(error) = connection(&source, &queue, &mut heard).await {
            tracing::warn!(redis = ?source, %error, "events of the outside Redis are not heard");
        }
        pause = if heard { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
        tokio::time::sleep(pause).await;
    }
}

async fn connection(source: &Source, queue: &Queue, heard: &mut bool) -> Result<()> {
    let connecting = TcpStream::connect(&source.address);
    let stream = tokio::time::timeout(PATIENCE, connecting).await??;
    let mut stream = BufReader::new(stream);
    if !source.auth.is_empty() {
        let words: Vec<&str> =
            std::iter::once("AUTH").chain(source.auth.iter().map(String::as_str)).collect();
        stream.get_mut().write_all(&command(&words)).await?;
        tokio::time::timeout(PATIENCE, reply(&mut stream)).await??;
    }
    let subscribe = [
        "PSUBSCRIBE",
        "events:training:progress",
        "events:tasks:updates",
        "events:agents:status",
        "events:errors:*",
    ];
    stream.get_mut().write_all(&command(&subscribe)).await?;
    queue.counters.connections.add(1);
    loop {
        // Looking for the first byte takes nothing away, so giving up on it loses nothing.
        if tokio::time::timeout(SILENCE, stream.fill_buf()).await.is_err() {
            stream.get_mut().write_all(&command(&["PING"])).await?;
            tokio::time::timeout(PATIENCE, stream.fill_buf()).await??;
        }
        let parts = tokio::time::timeout(PATIENCE, reply(&mut stream)).await??;
        *heard = true;
        if let [kind, _, channel, message] = parts.as_slice()
            && kind == b"pmessage"
            && super::is_event(channel)
        {
            queue.put(channel, message);
        }
    }
}

fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}

/// The parts of a reply; an error reply is an error.
async fn reply(stream: &mut BufReader<TcpStream>) -> Result<Vec<Vec<u8>>> {
    let mut parts = Vec::new();
    let mut missing = 1_usize;
    while missing > 0 {
        missing -= 1;
        let line = line(stream).await?;
        let (kind, rest) = line.split_at_checked(1).ok_or(ErrorKind::InvalidData)?;
        let length = || rest.parse::<i64>().map_err(|_| Error::from(ErrorKind::InvalidData));
        match kind {
            "-" => return Err(Error::other(rest.to_owned())),
            "*" => missing += usize::try_from(length()?).unwrap_or(0),
            "$" => parts.push(match usize::try_from(length()?) {
                Ok(length) => bulk(stream, length).await?,
                Err(_) => Vec::new(),
            }),
            _ => parts.push(rest.as_bytes().to_vec()),
        }
        if missing > MOST_PARTS {
            return Err(ErrorKind::InvalidData.into());
        }
    }
    Ok(parts)
}

async fn bulk(stream: &mut BufReader<TcpStream>, length: usize) -> Result<Vec<u8>> {
    if length > LONGEST {
        return Err(Error::other("a message of the outside Redis is too long"));
    }
    let mut bytes = vec![0; length + 2];
    stream.read_exact(&mut bytes).await?;
    bytes.truncate(length);
    Ok(bytes)
}

async fn line(stream: &mut BufReader<TcpStream>) -> Result<String> {
    let mut bytes = Vec::new();
    stream.take(64 << 10).read_until(b'\n', &mut bytes).await?;
    if !bytes.ends_with(b"\r\n") {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    bytes.truncate(bytes.len() - 2);
    String::from_utf8(bytes).map_err(|_| ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::Source;

    #[test]
    fn addresses() {
        for (url, address, auth) in [
            ("redis://cache:7000", "cache:7000", &[][..]),
            ("redis://cache", "cache:6379", &[]),
            ("redis://:s3@cache/", "cache:6379", &["s3"]),
            ("redis://bob:s@3@[::1]:7000", "[::1]:7000", &["bob", "s@3"]),
        ] {
            let source = Source::read(url).unwrap();
            assert_eq!(
                (source.address.as_str(), source.auth),
                (address, auth.iter().map(|s| (*s).to_owned()).collect())
            );
        }
        for url in ["cache:6379", "redis://", "redis://:x@", "redis://h/0/1"] {
            assert!(Source::read(url).is_err(), "{url}");
        }
    }
}
