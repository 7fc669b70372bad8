//! Events of another Redis: a connection that subscribes there, and comes back when it is lost.
//!
//! Pub/sub keeps nothing: what is published there while the connection is down is lost, as for any
//! other subscriber.

use std::io::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

use super::Queue;
use crate::remote::{Source, Stream};

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
    let mut stream = BufReader::new(source.connect(PATIENCE).await?);
    let auth = source.login().await?;
    if !auth.is_empty() {
        let words: Vec<&[u8]> =
            [&b"AUTH"[..]].into_iter().chain(auth.iter().map(Vec::as_slice)).collect();
        stream.get_mut().write_all(&command(&words)).await?;
        tokio::time::timeout(PATIENCE, reply(&mut stream)).await??;
    }
    let subscribe = [
        &b"PSUBSCRIBE"[..],
        b"events:training:progress",
        b"events:tasks:updates",
        b"events:agents:status",
        b"events:errors:*",
    ];
    stream.get_mut().write_all(&command(&subscribe)).await?;
    queue.counters.connections.add(1);
    loop {
        // Looking for the first byte takes nothing away, so giving up on it loses nothing.
        if tokio::time::timeout(SILENCE, stream.fill_buf()).await.is_err() {
            stream.get_mut().write_all(&command(&[b"PING"])).await?;
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

fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    crate::remote::client::command(&mut bytes, words);
    bytes
}

/// The parts of a reply; an error reply is an error.
async fn reply(stream: &mut BufReader<Stream>) -> Result<Vec<Vec<u8>>> {
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

async fn bulk(stream: &mut BufReader<Stream>, length: usize) -> Result<Vec<u8>> {
    if length > LONGEST {
        return Err(Error::other("a message of the outside Redis is too long"));
    }
    let mut bytes = vec![0; length + 2];
    stream.read_exact(&mut bytes).await?;
    bytes.truncate(length);
    Ok(bytes)
}

async fn line(stream: &mut BufReader<Stream>) -> Result<String> {
    let mut bytes = Vec::new();
    stream.take(64 << 10).read_until(b'\n', &mut bytes).await?;
    if !bytes.ends_with(b"\r\n") {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    bytes.truncate(bytes.len() - 2);
    String::from_utf8(bytes).map_err(|_| ErrorKind::InvalidData.into())
}
