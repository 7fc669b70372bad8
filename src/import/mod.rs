//! `ringwell import`: samples and keys from elsewhere into a running node, piece by piece, each acknowledged before
//! the next is sent.
//!
//! Everything may be imported again: samples that are there already are silently fine, and of a key only what
//! differs is changed, so that what became a sample does not become one again.

mod keys;
mod live;
mod rdb;
mod status;
mod text;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use crate::client::{Answer, Peer};
use crate::remote::Source;
use text::Format;

/// A node that asks to come again is asked so often, with a pause before each.
const TRIES: usize = 24;
const PAUSE: Duration = Duration::from_secs(5);

/// What is imported, to where.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Import {
    #[command(subcommand)]
    what: Option<ImportCommand>,
    /// The file, - for the standard input, or redis[s]://[[user]:password@]host[:port][/db] for a Redis whose keys are read by SCAN
    #[arg(value_name = "FILE|URL", required = true)]
    source: Option<String>,
    /// What is in the file [default: by its ending: .om or .openmetrics, .jsonl, .prom or .txt, .rdb]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Keys that the node has already stay as they are there [default: they become those of the source]
    #[arg(long)]
    keep_existing: bool,
    #[command(flatten)]
    redis: RedisFiles,
    /// The node
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9680")]
    url: String,
    /// Give the secret in this file (or RINGWELL_AUTH_TOKEN)
    #[arg(long, value_name = "FILE")]
    auth_token_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum ImportCommand {
    /// Compare all keys of a Redis with the node's, both in use or not; fails if any differs
    Status(status::Status),
}

/// What stands in files for a Redis that is called.
#[derive(Debug, Args)]
struct RedisFiles {
    /// The password of the Redis stands in this file
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Who may have signed the certificate of the Redis (rediss://) [default: the system's list]
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// The certificate that is shown to the Redis
    #[arg(long, value_name = "FILE", requires = "key_file")]
    cert_file: Option<PathBuf>,
    /// Its key
    #[arg(long, value_name = "FILE", requires = "cert_file")]
    key_file: Option<PathBuf>,
}

impl RedisFiles {
    /// The Redis of an address, with these files.
    fn source(&self, url: &str) -> anyhow::Result<Source> {
        let mut source = Source::read(url).map_err(anyhow::Error::msg)?;
        for (to, from) in [
            (&mut source.files.password, &self.password_file),
            (&mut source.files.ca, &self.ca_file),
            (&mut source.files.cert, &self.cert_file),
            (&mut source.files.key, &self.key_file),
        ] {
            if from.is_some() {
                to.clone_from(from);
            }
        }
        source.checked().map_err(anyhow::Error::msg)
    }
}

/// Imports, or compares.
pub fn run(what: &Import) -> anyhow::Result<()> {
    if let Some(ImportCommand::Status(status)) = &what.what {
        return status::run(status);
    }
    let source = what.source.as_deref().unwrap_or("-");
    let peer = Peer::of(&what.url, what.auth_token_file.as_deref())?;
    if Source::is_url(source) {
        return live::run(&what.redis.source(source)?, &peer, what.keep_existing);
    }
    let file = Path::new(source);
    match what.format.map_or_else(|| Format::of(file), Ok)? {
        Format::Rdb => rdb::run(file, &peer, what.keep_existing),
        format => text::run(file, format, &peer),
    }
}

/// Sends a piece, and again while the node cannot take it now.
fn post(peer: &Peer, path: &str, media: &str, piece: &[u8]) -> anyhow::Result<Answer> {
    let headers = [("Content-Type", media)];
    for _ in 0..TRIES {
        let answer = peer
            .send("POST", path, &headers, piece)
            .with_context(|| format!("no answer from {}", peer.authority()))?;
        match answer.status {
            200 | 204 => return Ok(answer),
            503 => std::thread::sleep(PAUSE),
            _ => bail!("{}", answer.reason()),
        }
    }
    bail!("{} takes nothing", peer.authority())
}
