//! `ringwell mcp`: the tools of a running node for clients that speak through a pipe.
//!
//! Each line of the input is a message that goes to the node's `/mcp`; what comes back is a line of
//! the output. Nothing is interpreted but what HTTP wants to hear in headers.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

use crate::client::{Answer, Peer};

/// Requests under way at a time; further ones wait in the pipe.
const TOGETHER: usize = 16;

/// The running node whose tools are offered.
#[derive(Debug, Args)]
pub struct Mcp {
    /// The node that answers here
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9680")]
    url: String,
    /// Give the secret in this file (or RINGWELL_AUTH_TOKEN)
    #[arg(long, value_name = "FILE")]
    auth_token_file: Option<PathBuf>,
}

/// Carries messages until the input ends.
pub fn run(what: &Mcp) -> anyhow::Result<()> {
    let peer = Peer::of(&what.url, what.auth_token_file.as_deref())?;
    let node = Node { peer, version: Mutex::default() };
    node.carry(&mut std::io::stdin().lock(), &Mutex::new(std::io::stdout()))
}

/// The node at the other end.
struct Node {
    peer: Peer,
    /// The protocol's version, once it is agreed on.
    version: Mutex<Option<String>>,
}

impl Node {
    fn carry(
        &self,
        input: &mut impl BufRead,
        output: &Mutex<impl Write + Send>,
    ) -> anyhow::Result<()> {
        let mut line = String::new();
        loop {
            // A full round of requests ends before the next begins; a pipe has one reader and few calls.
            let ended = std::thread::scope(|scope| -> anyhow::Result<bool> {
                for _ in 0..TOGETHER {
                    line.clear();
                    if input.read_line(&mut line).context("the input cannot be read")? == 0 {
                        return Ok(true);
                    }
                    let message = line.trim().to_owned();
                    if message.is_empty() {
                        continue;
                    }
                    // What follows a handshake depends on it.
                    if message.contains("\"initialize\"") {
                        self.exchange(&message, output);
                        continue;
                    }
                    scope.spawn(move || self.exchange(&message, output));
                }
                Ok(false)
            })?;
            if ended {
                return Ok(());
            }
        }
    }

    /// Sends one message, and writes what comes back.
    fn exchange(&self, message: &str, output: &Mutex<impl Write>) {
        let parsed: Value = serde_json::from_str(message).unwrap_or_default();
        let back = match self.send(message, &parsed) {
            Ok(answer) if answer.status == 202 => return,
            Ok(answer) => replies(&answer, &parsed),
            Err(error) => vec![refusal(&parsed, &format!("no answer from the node: {error}"))],
        };
        if parsed.get("method").and_then(Value::as_str) == Some("initialize") {
            self.agree(&back);
        }
        let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
        for reply in back.iter().filter(|reply| !reply.is_empty()) {
            // Whoever closed the pipe wants no more answers.
            let _ = writeln!(output, "{reply}");
        }
        let _ = output.flush();
    }

    fn send(&self, message: &str, parsed: &Value) -> std::io::Result<Answer> {
        let agreed = self.version.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let told = parsed.pointer("/params/_meta/io.modelcontextprotocol~1protocolVersion");
        let version = told.and_then(Value::as_str).map(str::to_owned).or(agreed);
        let method = parsed.get("method").and_then(Value::as_str).filter(|text| is_token(text));
        let name = parsed.pointer("/params/name").and_then(Value::as_str);
        let mut headers = vec![
            ("Content-Type", "application/json"),
            ("Accept", "application/json, text/event-stream"),
        ];
        headers.extend(version.as_deref().map(|version| ("MCP-Protocol-Version", version)));
        headers.extend(method.map(|method| ("Mcp-Method", method)));
        headers.extend(name.filter(|text| is_token(text)).map(|name| ("Mcp-Name", name)));
        self.peer.send("POST", "/mcp", &headers, message.as_bytes())
    }

    fn agree(&self, back: &[String]) {
        let agreed = back.iter().find_map(|reply| {
            let reply: Value = serde_json::from_str(reply).ok()?;
            Some(reply.pointer("/result/protocolVersion")?.as_str()?.to_owned())
        });
        *self.version.lock().unwrap_or_else(PoisonError::into_inner) = agreed;
    }
}

/// Whether a text can stand in a header.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())
}

/// The messages of an answer, one a line.
fn replies(answer: &Answer, request: &Value) -> Vec<String> {
    let text = answer.text();
    let kind = answer.header("content-type").unwrap_or_default();
    if kind.starts_with("text/event-stream") {
        let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
        return data.map(|data| data.trim().to_owned()).collect();
    }
    match serde_json::from_str::<Value>(&text) {
        Ok(message) if message.get("jsonrpc").is_some() => vec![message.to_string()],
        _ => vec![refusal(request, &format!("{} {}", answer.status, text.trim()))],
    }
}

/// An error for a request; nothing for a notification.
fn refusal(request: &Value, reason: &str) -> String {
    match request.get("id") {
        Some(id) => json!({
            "jsonrpc": "2.0", "id": id, "error": {"code": -32603, "message": reason},
        })
        .to_string(),
        None => String::new(),
    }
}
