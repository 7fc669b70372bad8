//! The connection to a Redis that this node follows: what is said on it, and an RDB file that comes.

use std::path::Path;
use std::time::Duration;

use ringwell_storage::store::Store;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::source::{Result, text};
use crate::remote::Stream;
use crate::remote::client::command;

/// A source that is silent for so long is called again.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
const READ: usize = 64 << 10;
/// Longest line of an answer.
const MAX_LINE: usize = 64 << 10;

/// A connection to the source.
pub(super) struct Link {
    pub(super) stream: Stream,
    pub(super) input: Vec<u8>,
}

impl Link {
    pub(super) async fn read(&mut self) -> Result<()> {
        self.input.reserve(READ);
        match self.stream.read_buf(&mut self.input).await {
            Ok(0) => Err("the source ended the connection".to_owned()),
            Ok(_) => Ok(()),
            Err(error) => Err(text(error)),
        }
    }

    async fn patient_read(&mut self) -> Result<()> {
        tokio::time::timeout(PATIENCE, self.read()).await.map_err(|_| "the source is silent")?
    }

    async fn say(&mut self, words: &[&[u8]]) -> Result<()> {
        let mut said = Vec::new();
        command(&mut said, words);
        self.stream.write_all(&said).await.map_err(text)?;
        // A TLS connection gathers what it is to send.
        self.stream.flush().await.map_err(text)
    }

    pub(super) async fn ask(&mut self, words: &[&[u8]]) -> Result<String> {
        self.say(words).await?;
        self.line().await
    }

    pub(super) async fn expect_ok(&mut self, words: &[&[u8]]) -> Result<()> {
        match self.ask(words).await? {
            answer if answer.starts_with('+') => Ok(()),
            answer => {
                let name = String::from_utf8_lossy(words.first().unwrap_or(&&b""[..]));
                Err(format!("the source says {answer:?} to {name}"))
            }
        }
    }

    pub(super) async fn report(&mut self, offset: u64) -> Result<()> {
        self.say(&[b"REPLCONF", b"ACK", offset.to_string().as_bytes()]).await
    }

    /// The next line that is not empty; empty ones only say that the source is there.
    async fn line(&mut self) -> Result<String> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.input) {
                let line: Vec<u8> = self.input.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                if !line.is_empty() {
                    return Ok(line);
                }
                continue;
            }
            if self.input.len() > MAX_LINE {
                return Err("the source does not speak Redis's protocol".to_owned());
            }
            self.patient_read().await?;
        }
    }

    /// Writes the RDB file that comes now, while the disk has room.
    pub(super) async fn spool(&mut self, path: &Path, store: &Store) -> Result<()> {
        let head = self.line().await?;
        let head = head.strip_prefix('$').ok_or_else(|| format!("the source says {head:?}"))?;
        let mut file = tokio::fs::File::create(path).await.map_err(text)?;
        if let Some(mark) = head.strip_prefix("EOF:") {
            let mark = mark.as_bytes().to_vec();
            loop {
                // The source sends nothing behind the mark before it has heard of this node.
                if self.input.ends_with(&mark) {
                    self.input.truncate(self.input.len() - mark.len());
                    file.write_all(&self.input).await.map_err(text)?;
                    self.input.clear();
                    break;
                }
                let sure = self.input.len().saturating_sub(mark.len());
                file.write_all(self.input.get(..sure).unwrap_or_default()).await.map_err(text)?;
                self.input.drain(..sure);
                store.admits().map_err(text)?;
                self.patient_read().await?;
            }
        } else {
            let mut left: usize = head.parse().map_err(|_| format!("the source says {head:?}"))?;
            while left > 0 {
                if self.input.is_empty() {
                    store.admits().map_err(text)?;
                    self.patient_read().await?;
                }
                let part = left.min(self.input.len());
                file.write_all(self.input.get(..part).unwrap_or_default()).await.map_err(text)?;
                self.input.drain(..part);
                left -= part;
            }
        }
        file.flush().await.map_err(text)
    }
}
