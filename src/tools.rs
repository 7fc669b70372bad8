//! `ringwell verify`, `repair`, `snapshot` and `restore`: what an operator does with a data directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use clap::Args;
use ringwell_storage::disk::OsDisk;
use ringwell_storage::store::{Options, Store};
use ringwell_storage::tools::{backup, repair, verify};

use crate::client::Peer;
use crate::clock;

/// A stopped node's directory.
#[derive(Debug, Args)]
pub struct Directory {
    /// The directory
    #[arg(long, value_name = "DIR", default_value = "./data")]
    data_dir: PathBuf,
}

/// Where a snapshot is taken.
#[derive(Debug, Args)]
pub struct Snapshot {
    /// Of the running node that answers here
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9680")]
    url: String,
    /// Of this directory instead, whose node is stopped
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// What is restored to where.
#[derive(Debug, Args)]
pub struct Restore {
    /// The snapshot: DATA_DIR/snapshots/NAME, or a copy of it
    #[arg(value_name = "SNAPSHOT")]
    snapshot: PathBuf,
    /// The new data directory; it must not exist, or be empty
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
}

/// Checks everything; fails if anything does not hold.
pub fn verify(what: &Directory) -> anyhow::Result<()> {
    let disk = existing(&what.data_dir)?;
    let found = verify::verify(&disk)?;
    println!("{} blocks, {} records of the log above the checkpoint", found.blocks, found.records);
    if let Some((bytes, file)) = &found.torn {
        println!("{file}: {bytes} bytes of a torn end, which the next start cuts");
    }
    found.damage.iter().for_each(|damage| println!("DAMAGED {damage}"));
    ensure!(
        found.damage.is_empty(),
        "{} places are damaged; `ringwell repair` sets them aside",
        found.damage.len()
    );
    println!("all checksums hold");
    Ok(())
}

/// Sets damage aside.
pub fn repair(what: &Directory) -> anyhow::Result<()> {
    let done = repair::repair(&existing(&what.data_dir)?)?;
    done.iter().for_each(|done| println!("{done}"));
    match done.len() {
        0 => println!("nothing was damaged"),
        n => println!("{n} places repaired; what was there is in {}/", repair::QUARANTINE),
    }
    Ok(())
}

/// Takes a snapshot and prints where it is.
pub fn snapshot(what: &Snapshot) -> anyhow::Result<()> {
    let Some(dir) = &what.data_dir else { return ask_for_snapshot(&what.url) };
    let disk = Arc::new(existing(dir)?);
    let store = Store::open(disk, Options::default(), clock::now_ms())?;
    let path = store.snapshot_to(&name())?;
    store.close(clock::now_ms())?;
    println!("{}", dir.join(path).display());
    Ok(())
}

fn ask_for_snapshot(url: &str) -> anyhow::Result<()> {
    let peer = Peer::of(url, None)?;
    let path = "/api/v1/node/snapshot";
    let answer = peer
        .send("POST", path, &[], b"")
        .with_context(|| format!("no answer from {url} (is a node running there?)"))?;
    if answer.status != 200 {
        bail!("{}", answer.reason());
    }
    let answer: serde_json::Value = serde_json::from_slice(&answer.body)?;
    println!("{}", answer.pointer("/data/path").and_then(|p| p.as_str()).unwrap_or_default());
    Ok(())
}

/// A snapshot's name: when it was taken, in UTC.
pub fn name() -> String {
    let now = jiff::Timestamp::from_millisecond(clock::now_ms()).unwrap_or_default();
    now.strftime("%Y%m%dT%H%M%S.%3fZ").to_string()
}

/// Checks a snapshot and copies it.
pub fn restore(what: &Restore) -> anyhow::Result<()> {
    let from = existing(&what.snapshot)?;
    let found = verify::verify(&from)?;
    ensure!(found.damage.is_empty(), "the snapshot is damaged: {}", found.damage.join("; "));
    let dir = &what.data_dir;
    let empty = !dir.exists() || dir.read_dir().is_ok_and(|mut entries| entries.next().is_none());
    ensure!(empty, "{} is not empty", dir.display());
    let to = OsDisk::open(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let bytes = backup::restore(&from, &to)?;
    println!("{bytes} bytes restored to {}", dir.display());
    Ok(())
}

/// Opening a disk makes its directory, and a look at one must not.
pub(crate) fn existing(dir: &Path) -> anyhow::Result<OsDisk> {
    ensure!(dir.is_dir(), "{} is no directory", dir.display());
    OsDisk::open(dir).with_context(|| format!("cannot open {}", dir.display()))
}
