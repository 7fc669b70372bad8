//! `ringwell inspect`: what stands in the data directory of a stopped node, by the same readers
//! that the engine uses. It changes nothing.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use ringwell_storage::disk::OsDisk;

/// What to look at.
#[derive(Debug, Args)]
pub struct Inspect {
    /// The directory
    #[arg(long, value_name = "DIR", default_value = "./data")]
    data_dir: PathBuf,
}

/// Prints it.
pub fn run(what: &Inspect) -> anyhow::Result<()> {
    let dir = what.data_dir.display();
    // Opening a disk makes its directory, and a look must not.
    anyhow::ensure!(what.data_dir.is_dir(), "{dir} is no directory");
    let disk = OsDisk::open(&what.data_dir).with_context(|| format!("cannot open {dir}"))?;
    let found = ringwell_storage::inspect::inspect(&disk)?;
    println!("{dir}: opened {} times", found.epoch);
    let bytes: u64 = found.segments.iter().map(|(_, bytes)| bytes).sum();
    println!("log: {} segments, {bytes} bytes", found.segments.len());
    for (name, bytes) in &found.segments {
        println!("  {name}  {bytes} bytes");
    }
    match &found.checkpoint {
        None => println!("checkpoint: none"),
        Some((path, bytes, position)) => {
            println!("checkpoint: {path}, {bytes} bytes, replay begins at {position}");
        }
    }
    println!("blocks: {}", found.blocks.len());
    for block in &found.blocks {
        match block {
            Ok((meta, bytes)) => println!("  {meta:?}  {bytes} bytes"),
            Err(reason) => println!("  refused: {reason}"),
        }
    }
    Ok(())
}
