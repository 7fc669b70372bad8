//! `ringwell keymap explain` and `ringwell forget`: keys and the series they feed.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::Value;

use crate::client::{self, Peer};
use crate::config::Config;
use crate::ingest::keymap::{Explanation, Rules};

/// What is asked of the keymap.
#[derive(Debug, Args)]
pub struct Keymap {
    #[command(subcommand)]
    what: KeymapCommand,
}

#[derive(Debug, Subcommand)]
enum KeymapCommand {
    /// Say what a key becomes, or which keys feed a series
    Explain(Explain),
}

/// A key or a series.
#[derive(Debug, Args)]
struct Explain {
    /// A key such as metrics:training:proj-1:loss, or a series such as training_loss
    #[arg(value_name = "KEY|SERIES")]
    question: String,
    /// Ask the node that answers here
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9680")]
    url: String,
    /// Ask no node: answer from the rules of this file and the built-in ones
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    config: Option<PathBuf>,
}

/// What is forgotten.
#[derive(Debug, Args)]
pub struct Forget {
    /// Keys, such as 'metrics:training:old-run:*'; * and ? stand for any text and any character
    #[arg(value_name = "PATTERN")]
    pattern: String,
    /// Delete; without it, what would be deleted is only told
    #[arg(long)]
    yes: bool,
    /// Of the node that answers here
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9680")]
    url: String,
}

/// Answers what is asked of the keymap.
pub fn keymap(what: &Keymap) -> anyhow::Result<()> {
    let KeymapCommand::Explain(asked) = &what.what;
    let found = match &asked.config {
        Some(file) => {
            let config = Config::load(Some(file), std::iter::empty(), |_| Ok(()))?;
            Rules::new(config.keymap_rules).explain(&asked.question)
        }
        None => {
            let form = format!("question={}", client::encode(&asked.question));
            let data = ask(&asked.url, "/api/v1/keys/explain", &form)?;
            serde_json::from_value(data).context("the answer is no explanation")?
        }
    };
    if found.is_empty() {
        bail!("no key of the keymap and no series that it feeds: {}", asked.question);
    }
    print!("{}", table(&found));
    Ok(())
}

/// Deletes, or says what would be deleted.
pub fn forget(what: &Forget) -> anyhow::Result<()> {
    let form = format!("pattern={}&dry_run={}", client::encode(&what.pattern), !what.yes);
    let done = ask(&what.url, "/api/v1/keys/forget", &form)?;
    let count = |name: &str| done.get(name).and_then(Value::as_u64).unwrap_or(0);
    let (keys, series) = (count("keys"), count("series"));
    let selector = done.get("selector").and_then(Value::as_str).unwrap_or("none");
    println!("{keys} keys, {series} series: {selector}");
    if what.yes {
        println!("deleted; the bytes leave the files with the next compaction");
    } else {
        println!("nothing is deleted yet; say --yes");
    }
    Ok(())
}

/// `data` of what a node answers to a form.
fn ask(url: &str, target: &str, form: &str) -> anyhow::Result<Value> {
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let answer = Peer::of(url, None)?
        .send("POST", target, &headers, form.as_bytes())
        .with_context(|| format!("no answer from {url} (is a node running there?)"))?;
    let text = answer.text();
    let body = serde_json::from_str::<Value>(&text).unwrap_or_default();
    if answer.status != 200 {
        bail!("{}", body.get("error").and_then(Value::as_str).unwrap_or(text.trim()));
    }
    Ok(body.get("data").cloned().unwrap_or_default())
}

/// Ways in lines: key, from what, series.
fn table(found: &[Explanation]) -> String {
    let width = |cell: fn(&Explanation) -> &str| {
        found.iter().map(|way| cell(way).chars().count()).max().unwrap_or(0)
    };
    let (keys, froms) = (width(|way| &way.key), width(|way| &way.from));
    let mut out = String::new();
    for way in found {
        let _ = writeln!(out, "{:<keys$}  {:<froms$}  {}", way.key, way.from, way.series);
    }
    out
}
