//! A connection to a Redis: requests in one write, replies in order.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

use super::{Source, Stream};

/// A server answers within this time, or the connection is given up.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes that the replies to one call may have, where nothing else is said.
const MAX_STRING: usize = 64 << 20;
/// Deepest nesting and most parts of a reply.
const MAX_DEPTH: u8 = 4;
const MAX_PARTS: usize = 1 << 22;

/// Why something did not work, by what is to be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// The connection is of no use any more: connect anew and look where the target is.
    #[error("{0}")]
    Link(String),
    /// The target cannot now: the same again, later.
    #[error("the target says: {0}")]
    Busy(String),
    /// Trying again changes nothing: somebody has to do something.
    #[error("{0}")]
    Stop(String),
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Trouble {
        Trouble::Link(format!("the link to the target broke: {error}"))
    }
}

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Line(String),
    Error(String),
    Integer(i64),
    Bulk(Option<Vec<u8>>),
    /// A string of so many bytes, which are not kept: there was no room beside what came before in the same call.
    TooLong(usize),
    Array(Option<Vec<Reply>>),
}

impl Reply {
    /// What an error means for the one who writes; everything else is no trouble.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        let Reply::Error(text) = self else { return None };
        Some(classify(text))
    }

    /// Whether it says that a password was not asked for: nothing is wrong with the connection then.
    fn needs_no_password(&self) -> bool {
        let Reply::Error(text) = self else { return false };
        text.contains("without any password configured") || text.contains("no password is set")
    }
}

/// What an error of the whole request means.
pub(crate) fn classify(text: &str) -> Trouble {
    const BUSY: [&str; 9] = [
        "OOM",
        "LOADING",
        "BUSY",
        "READONLY",
        "MASTERDOWN",
        "CLUSTERDOWN",
        "NOREPLICAS",
        "TRYAGAIN",
        "MISCONF",
    ];
    let code = text.split(' ').next().unwrap_or_default();
    match code {
        code if BUSY.contains(&code) => Trouble::Busy(text.to_owned()),
        // Why is said by the reply to the command that was not queued.
        "EXECABORT" => Trouble::Busy(text.to_owned()),
        "NOAUTH" | "WRONGPASS" | "NOPERM" => Trouble::Stop(format!("the target refuses: {text}")),
        _ if text.contains("invalid username-password") || text.contains("unknown command") => {
            Trouble::Stop(format!("the target refuses: {text}"))
        }
        _ => Trouble::Link(format!("the target says: {text}")),
    }
}

/// A connection.
pub(crate) struct Client {
    stream: BufReader<Stream>,
    patience: Duration,
    longest: usize,
}

impl Client {
    /// Connects, says who it is, selects the database.
    pub(crate) async fn connect(source: &Source, db: u8) -> Result<Client, Trouble> {
        let stream = source.connect(PATIENCE).await.map_err(|error| match error.kind() {
            // Certificates, and files of them.
            std::io::ErrorKind::InvalidData | std::io::ErrorKind::NotFound => {
                Trouble::Stop(error.to_string())
            }
            _ => error.into(),
        })?;
        let stream = BufReader::new(stream);
        let mut client = Client { stream, patience: PATIENCE, longest: MAX_STRING };
        let auth = source.login().await.map_err(|error| Trouble::Stop(error.to_string()))?;
        let mut requests = Vec::new();
        if !auth.is_empty() {
            let words: Vec<&[u8]> =
                [&b"AUTH"[..]].into_iter().chain(auth.iter().map(Vec::as_slice)).collect();
            command(&mut requests, &words);
        }
        command(&mut requests, &[b"SELECT", db.to_string().as_bytes()]);
        let count = 1 + usize::from(!auth.is_empty());
        for reply in client.call(&requests, count).await? {
            if !reply.needs_no_password() {
                reply.trouble().map_or(Ok(()), Err)?;
            }
        }
        Ok(client)
    }

    /// Takes longer strings, and waits longer for them.
    pub(crate) fn with_room(mut self, longest: usize, patience: Duration) -> Client {
        (self.longest, self.patience) = (longest, patience);
        self
    }

    /// Sends one request and reads its reply; an error is one.
    pub(crate) async fn ask(&mut self, words: &[&[u8]]) -> Result<Reply, Trouble> {
        let mut request = Vec::new();
        command(&mut request, words);
        let reply = self.call(&request, 1).await?.pop();
        let reply = reply.ok_or_else(|| Trouble::Link("no reply".to_owned()))?;
        reply.trouble().map_or(Ok(reply), Err)
    }

    /// The names that SCAN finds from a cursor on, and where it goes on; `0` at the end.
    pub(crate) async fn scan(
        &mut self,
        cursor: &[u8],
        pattern: &[u8],
        count: usize,
    ) -> Result<(Vec<Vec<u8>>, Vec<u8>), Trouble> {
        let count = count.to_string();
        let words: [&[u8]; 6] = [b"SCAN", cursor, b"MATCH", pattern, b"COUNT", count.as_bytes()];
        let wrong = || Trouble::Link("the server's SCAN is none".to_owned());
        let Reply::Array(Some(parts)) = self.ask(&words).await? else { return Err(wrong()) };
        let mut parts = parts.into_iter();
        let (Some(Reply::Bulk(Some(next))), Some(Reply::Array(Some(keys)))) =
            (parts.next(), parts.next())
        else {
            return Err(wrong());
        };
        let keys = keys.into_iter().map(|key| match key {
            Reply::Bulk(Some(key)) => Ok(key),
            _ => Err(wrong()),
        });
        Ok((keys.collect::<Result<_, _>>()?, next))
    }

    /// Sends requests in one write and reads so many replies.
    pub(crate) async fn call(
        &mut self,
        requests: &[u8],
        count: usize,
    ) -> Result<Vec<Reply>, Trouble> {
        let mut room = self.longest;
        let work = async {
            // Replies are read while requests are still sent, or both sides could wait for ever.
            let (read, mut write) = tokio::io::split(&mut self.stream);
            let mut read = BufReader::new(read);
            let sending = async {
                write.write_all(requests).await?;
                write.flush().await.map_err(Trouble::from)
            };
            let reading = async {
                let mut replies = Vec::with_capacity(count.min(1024));
                for _ in 0..count {
                    replies.push(reply(&mut read, MAX_DEPTH, &mut room).await?);
                }
                Ok::<_, Trouble>(replies)
            };
            let ((), replies) = tokio::try_join!(sending, reading)?;
            Ok(replies)
        };
        let late = |_| Trouble::Link("the target does not answer".to_owned());
        tokio::time::timeout(self.patience, work).await.map_err(late)?
    }
}

/// Appends a request.
pub(crate) fn command(out: &mut Vec<u8>, words: &[&[u8]]) {
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

async fn reply(
    read: &mut (impl tokio::io::AsyncBufRead + Unpin + Send),
    depth: u8,
    room: &mut usize,
) -> Result<Reply, Trouble> {
    let wrong = || Trouble::Link("the target does not speak Redis's protocol".to_owned());
    let mut line = Vec::new();
    (&mut *read).take(64 << 10).read_until(b'\n', &mut line).await?;
    if line.is_empty() {
        return Err(Trouble::Link("the target ended the connection".to_owned()));
    }
    let text = line.strip_suffix(b"\r\n").ok_or_else(wrong)?;
    *room = room.saturating_sub(text.len());
    let (kind, text) = text.split_first().ok_or_else(wrong)?;
    let text = String::from_utf8_lossy(text).into_owned();
    let number = || text.parse::<i64>().map_err(|_| wrong());
    Ok(match kind {
        b'+' => Reply::Line(text),
        b'-' => Reply::Error(text),
        b':' => Reply::Integer(number()?),
        b'$' => match usize::try_from(number()?) {
            Err(_) => Reply::Bulk(None),
            Ok(length) if length <= *room => {
                *room -= length;
                let mut bytes = vec![0; length + 2];
                read.read_exact(&mut bytes).await?;
                bytes.truncate(length);
                Reply::Bulk(Some(bytes))
            }
            Ok(length) => {
                let rest = &mut (&mut *read).take(length as u64 + 2);
                tokio::io::copy(rest, &mut tokio::io::sink()).await?;
                Reply::TooLong(length)
            }
        },
        b'*' => match usize::try_from(number()?) {
            Err(_) => Reply::Array(None),
            Ok(count) if count <= MAX_PARTS && depth > 0 => {
                let mut parts = Vec::new();
                for _ in 0..count {
                    // Lists of nothing within lists take memory too.
                    let takes = if depth < MAX_DEPTH { size_of::<Reply>() } else { 0 };
                    *room = room.checked_sub(takes).ok_or_else(wrong)?;
                    parts.push(Box::pin(reply(read, depth - 1, room)).await?);
                }
                Reply::Array(Some(parts))
            }
            Ok(_) => return Err(wrong()),
        },
        _ => return Err(wrong()),
    })
}

/// A pattern, as SCAN takes them, of all that begins with this.
pub(crate) fn beginning(prefix: &[u8]) -> Vec<u8> {
    let mut pattern = Vec::with_capacity(prefix.len() + 1);
    for byte in prefix {
        if matches!(byte, b'*' | b'?' | b'[' | b']' | b'\\' | b'^') {
            pattern.push(b'\\');
        }
        pattern.push(*byte);
    }
    pattern.push(b'*');
    pattern
}
