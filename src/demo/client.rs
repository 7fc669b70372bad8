//! A Redis client as small as the demo needs: sends commands, reads as many replies.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::fleet::Command;

/// A connection to a Redis.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    input: Vec<u8>,
}

impl Client {
    /// Connects, and gives the secret if there is one.
    pub async fn connect(address: SocketAddr, secret: Option<&[u8]>) -> Result<Client> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut client = Client { stream, input: Vec::new() };
        if let Some(secret) = secret {
            client.call(&[vec![b"AUTH".to_vec(), secret.to_vec()]]).await?;
        }
        Ok(client)
    }

    /// Sends commands in one go and gives the last reply's bytes. An error among the replies is an
    /// error here.
    pub async fn call(&mut self, commands: &[Command]) -> Result<Vec<u8>> {
        let mut request = Vec::new();
        commands.iter().for_each(|command| encode(command, &mut request));
        self.stream.write_all(&request).await?;
        let mut last = Vec::new();
        for _ in commands {
            last = self.reply().await?;
        }
        Ok(last)
    }

    /// The number a string key holds.
    pub async fn number(&mut self, key: &[u8]) -> Result<Option<i64>> {
        let reply = self.call(&[vec![b"GET".to_vec(), key.to_vec()]]).await?;
        let text = String::from_utf8_lossy(&reply);
        Ok(text.split("\r\n").nth(1).and_then(|value| value.parse().ok()))
    }

    async fn reply(&mut self) -> Result<Vec<u8>> {
        loop {
            if let Some(length) = complete(&self.input)? {
                let rest = self.input.split_off(length);
                return Ok(std::mem::replace(&mut self.input, rest));
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

fn encode(command: &Command, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("*{}\r\n", command.len()).as_bytes());
    for word in command {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

/// The length of the first reply, if it is all there.
fn complete(input: &[u8]) -> Result<Option<usize>> {
    let (mut at, mut missing) = (0_usize, 1_usize);
    while missing > 0 {
        let rest = input.get(at..).unwrap_or_default();
        let Some(end) = memchr::memchr(b'\n', rest) else { return Ok(None) };
        let line = String::from_utf8_lossy(rest.get(..end).unwrap_or_default());
        let line = line.trim_end();
        at += end + 1;
        missing -= 1;
        let length = || line.get(1..).and_then(|n| n.parse::<i64>().ok()).unwrap_or(-1);
        match line.chars().next() {
            Some('-') => return Err(Error::other(line.to_owned())),
            Some('$') => {
                if let Ok(length) = usize::try_from(length()) {
                    at = at.saturating_add(length).saturating_add(2);
                }
            }
            Some('*') => missing += usize::try_from(length()).unwrap_or(0),
            _ => {}
        }
    }
    Ok((at <= input.len()).then_some(at))
}
