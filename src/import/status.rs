//! `ringwell import status`: whether a node has all keys of a Redis, by name, contents and expiry.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use super::{RedisFiles, live};
use crate::compare::{Comparison, Outcome, Patience, Remote, Settle, What};
use crate::progress::Progress;
use crate::remote::Source;
use crate::remote::client::Trouble;

/// Keys of a page.
const PAGE: usize = 500;
/// A node that follows gets a change in well under this time.
const LAG: Duration = Duration::from_millis(500);
const PATIENCE: Patience = Patience { believes: 5, looks: 10 };
/// Keys that differ and are told by name.
const NAMED: usize = 20;

/// What is compared.
#[derive(Debug, Args)]
pub(super) struct Status {
    /// The Redis: redis[s]://[[user]:password@]host[:port][/db]
    #[arg(value_name = "URL")]
    source: String,
    #[command(flatten)]
    redis: RedisFiles,
    /// The node's Redis port
    #[arg(long, value_name = "URL", default_value = "redis://127.0.0.1:6380")]
    node: String,
    /// Give the node the secret in this file (or RINGWELL_AUTH_TOKEN)
    #[arg(long, value_name = "FILE")]
    auth_token_file: Option<PathBuf>,
}

/// Waits a little longer each time.
struct Later;

impl Settle for Later {
    async fn settle(&mut self, attempt: u32) -> Result<(), Trouble> {
        tokio::time::sleep(LAG * attempt.saturating_sub(1)).await;
        Ok(())
    }
}

pub(super) fn run(what: &Status) -> anyhow::Result<()> {
    let source = what.redis.source(&what.source)?;
    let mut node = Source::read(&what.node).map_err(|error| anyhow::anyhow!("--node: {error}"))?;
    match &what.auth_token_file {
        Some(file) => node.files.password = Some(file.clone()),
        None if node.auth.is_empty() => {
            node.auth = std::env::var("RINGWELL_AUTH_TOKEN").into_iter().collect();
        }
        None => {}
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(compare(&source, &node))?;
    let Outcome { compared, equal, different, changing, unread, digest, .. } = &outcome;
    for (key, what) in outcome.named.iter().take(NAMED) {
        println!("{}: {}", String::from_utf8_lossy(key), words(what));
    }
    if outcome.is_equal() {
        println!("{compared} keys compared, all are equal (digest {digest:016x})");
        return Ok(());
    }
    anyhow::bail!(
        "{compared} keys compared, {equal} are equal; {different} differ, {changing} changed at every look, {unread} could not be read"
    )
}

async fn compare(source: &Source, node: &Source) -> anyhow::Result<Outcome> {
    let there = live::databases(source).await.with_context(|| format!("{source:?}"))?;
    let same = Source { db: source.db, ..node.clone() };
    let here = live::databases(&same).await.with_context(|| format!("the node at {node:?}"))?;
    let total = |all: &[(u8, u64)]| all.iter().map(|(_, keys)| keys).sum::<u64>();
    println!("{} keys in {source:?}, {} in the node", total(&there), total(&here));
    let mut numbers: Vec<u8> = there.iter().chain(&here).map(|(db, _)| *db).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let mut all = Outcome::default();
    let mut progress = Progress::begin();
    for db in numbers {
        let first: Remote = live::connect(source, db).await?;
        let second = live::connect(node, db).await.context("the node")?;
        let mut comparison = Comparison::new(first, second, Later, PATIENCE);
        for forward in [true, false] {
            let mut cursor = 0;
            loop {
                let mut outcome = Outcome::default();
                cursor = match forward {
                    true => comparison.forward(cursor, PAGE, &mut outcome).await?,
                    false => comparison.backward(cursor, PAGE, &mut outcome).await?,
                };
                if cursor == 0 && !forward {
                    comparison.finish(&mut outcome).await?;
                }
                if db > 0 {
                    let shown = format!("database {db}, ");
                    for (key, _) in &mut outcome.named {
                        key.splice(0..0, shown.bytes());
                    }
                }
                all.merge(outcome);
                progress.show(all.compared, Some(total(&there)), "keys compared");
                if cursor == 0 {
                    break;
                }
            }
        }
    }
    progress.end();
    Ok(all)
}

fn words(what: &What) -> String {
    match what {
        What::OnlyFirst => "the node has it not".to_owned(),
        What::OnlySecond => "only the node has it".to_owned(),
        What::Value => "it holds something else in the node".to_owned(),
        What::Expiry => "it expires at another time in the node".to_owned(),
        What::Changing => "it was changed at every look".to_owned(),
        What::Unread(why) => format!("it could not be read: {why}"),
    }
}
