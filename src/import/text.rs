//! A file in one of the text formats into a running node, piece by piece, each acknowledged before the next is
//! sent. The same file may be sent again: samples that are there already are silently fine.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, bail};
use clap::ValueEnum;

use crate::client::Peer;

/// Bytes sent at a time, a last line on top.
const PIECE: usize = 4 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Text with times in seconds, which ends in # EOF
    #[value(name = "openmetrics")]
    OpenMetrics,
    /// A JSON object a line, as `ringwell export` and VictoriaMetrics write it
    Jsonl,
    /// Prometheus's text format, with times in milliseconds
    Prometheus,
    /// A dump of a Redis or Valkey: its keys, whatever they hold
    Rdb,
}

impl Format {
    /// By the ending of a file's name.
    pub(super) fn of(file: &Path) -> anyhow::Result<Format> {
        match file.extension().and_then(|ending| ending.to_str()) {
            Some("om" | "openmetrics") => Ok(Format::OpenMetrics),
            Some("jsonl" | "ndjson") => Ok(Format::Jsonl),
            Some("prom" | "txt") => Ok(Format::Prometheus),
            Some("rdb") => Ok(Format::Rdb),
            _ => bail!("what is in {}? Say it with --format", file.display()),
        }
    }

    fn path_and_media(self) -> (&'static str, &'static str) {
        match self {
            Format::Rdb => ("/api/v1/import/rdb", "application/octet-stream"),
            Format::OpenMetrics => ("/api/v1/import/prometheus", "application/openmetrics-text"),
            Format::Jsonl => ("/api/v1/import", "application/jsonl"),
            Format::Prometheus => ("/api/v1/import/prometheus", "text/plain"),
        }
    }
}

/// Imports the samples of a file; `-` is the standard input.
pub(super) fn run(file: &Path, format: Format, peer: &Peer) -> anyhow::Result<()> {
    let name = file.display();
    let source: Box<dyn io::Read> = if file.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(file).with_context(|| format!("cannot read {name}"))?)
    };
    let mut lines = BufReader::with_capacity(1 << 20, source);
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
        let (path, media) = format.path_and_media();
        super::post(peer, path, media, &piece.bytes)
            .with_context(|| format!("{name}, lines {first} to {last}; all before is in"))?;
        first = last + 1;
    }
    if format == Format::OpenMetrics && !whole {
        bail!("{name} does not end in # EOF: all of it is in, but part of it seems to be missing");
    }
    println!("{} lines imported", first - 1);
    Ok(())
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
