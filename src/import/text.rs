//! `ringwell import`: a file in one of the text formats into a running node, piece by piece, each acknowledged
//! before the next is sent. The same file may be sent again: samples that are there already are silently fine.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};

use crate::client::{self, Answer, Peer};

/// Bytes sent at a time, a last line on top.
const PIECE: usize = 4 << 20;
/// A node that asks to come again is asked so often, with a pause before each.
const TRIES: usize = 24;
const PAUSE: Duration = Duration::from_secs(5);

/// What is imported, to where.
#[derive(Debug, Args)]
pub struct Import {
    /// The file; - is the standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What is in it [default: by its ending: .om or .openmetrics, .jsonl, .prom or .txt]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The node
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9680")]
    url: String,
    /// Give the secret in this file (or RINGWELL_AUTH_TOKEN)
    #[arg(long, value_name = "FILE")]
    auth_token_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Text with times in seconds, which ends in # EOF
    #[value(name = "openmetrics")]
    OpenMetrics,
    /// A JSON object a line, as `ringwell export` and VictoriaMetrics write it
    Jsonl,
    /// Prometheus's text format, with times in milliseconds
    Prometheus,
}

impl Format {
    fn path_and_media(self) -> (&'static str, &'static str) {
        match self {
            Format::OpenMetrics => ("/api/v1/import/prometheus", "application/openmetrics-text"),
            Format::Jsonl => ("/api/v1/import", "application/jsonl"),
            Format::Prometheus => ("/api/v1/import/prometheus", "text/plain"),
        }
    }
}

/// Imports.
pub fn run(what: &Import) -> anyhow::Result<()> {
    let format = what.format.map_or_else(|| what.guess(), Ok)?;
    let name = what.file.display();
    let source: Box<dyn io::Read> = if what.file.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(&what.file).with_context(|| format!("cannot read {name}"))?)
    };
    let mut lines = BufReader::with_capacity(1 << 20, source);
    let peer = Peer::of(&what.url, what.auth_token_file.as_deref())?;
    let (mut first, mut whole) = (1, false);
    while let Some(mut piece) = Piece::read(&mut lines)? {
        if format == Format::OpenMetrics {
            let ended = std::mem::replace(&mut whole, piece.ends());
            anyhow::ensure!(!ended, "{name}: there is more after the # EOF before line {first}");
            if !whole {
                piece.bytes.extend_from_slice(b"# EOF\n");
            }
        }
        let last = first + piece.lines - 1;
        send(&peer, format, &piece.bytes)
            .with_context(|| format!("{name}, lines {first} to {last}; all before is in"))?;
        first = last + 1;
    }
    if format == Format::OpenMetrics && !whole {
        bail!("{name} does not end in # EOF: all of it is in, but part of it seems to be missing");
    }
    println!("{} lines imported", first - 1);
    Ok(())
}

impl Import {
    fn guess(&self) -> anyhow::Result<Format> {
        match self.file.extension().and_then(|ending| ending.to_str()) {
            Some("om" | "openmetrics") => Ok(Format::OpenMetrics),
            Some("jsonl" | "ndjson") => Ok(Format::Jsonl),
            Some("prom" | "txt") => Ok(Format::Prometheus),
            _ => bail!("what is in {}? Say it with --format", self.file.display()),
        }
    }
}

/// Whole lines.
struct Piece {
    bytes: Vec<u8>,
    lines: usize,
}

impl Piece {
    fn read(from: &mut impl BufRead) -> io::Result<Option<Piece>> {
        let mut piece = Piece { bytes: Vec::new(), lines: 0 };
        while piece.bytes.len() < PIECE && from.read_until(b'\n', &mut piece.bytes)? > 0 {
            piece.lines += 1;
        }
        Ok((piece.lines > 0).then_some(piece))
    }

    /// Whether its last line says that nothing is missing.
    fn ends(&self) -> bool {
        let end = self.bytes.trim_ascii_end();
        end == b"# EOF" || end.ends_with(b"\n# EOF")
    }
}

fn send(peer: &Peer, format: Format, piece: &[u8]) -> anyhow::Result<()> {
    let (path, media) = format.path_and_media();
    let headers = peer.headers(&[("Content-Type", media)]);
    for _ in 0..TRIES {
        let answer: Answer = client::send(peer.authority(), "POST", path, &headers, piece)
            .with_context(|| format!("no answer from {}", peer.authority()))?;
        match answer.status {
            204 => return Ok(()),
            503 => std::thread::sleep(PAUSE),
            _ => bail!("{}", answer.reason()),
        }
    }
    bail!("{} takes nothing", peer.authority())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_whole_lines() {
        let text = format!("{}\nb\nc", "a".repeat(PIECE));
        let mut from = text.as_bytes();
        let mut next = || Piece::read(&mut from).unwrap();
        let first = next().unwrap();
        assert_eq!((first.bytes.len(), first.lines), (PIECE + 1, 1));
        let second = next().unwrap();
        assert_eq!((second.bytes.as_slice(), second.lines), (&b"b\nc"[..], 2));
        assert!(next().is_none());
    }
}
