//! `ringwell inspect`: what stands in the data directory of a stopped node, by the same readers
//! that the engine uses. It changes nothing.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use ringwell_storage::block::Meta;
use ringwell_storage::disk::OsDisk;

/// What to look at.
#[derive(Debug, Args)]
pub struct Inspect {
    /// The directory
    #[arg(long, value_name = "DIR", default_value = "./data")]
    data_dir: PathBuf,
    /// How many metrics and labels to name
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
}

/// Prints it.
pub fn run(what: &Inspect) -> anyhow::Result<()> {
    let dir = what.data_dir.display();
    // Opening a disk makes its directory, and a look must not.
    anyhow::ensure!(what.data_dir.is_dir(), "{dir} is no directory");
    let disk = OsDisk::open(&what.data_dir).with_context(|| format!("cannot open {dir}"))?;
    let found = ringwell_storage::inspect::inspect(&disk, what.top)?;
    println!("{dir}: opened {} times", found.epoch);
    let bytes: u64 = found.segments.iter().map(|(_, bytes)| bytes).sum();
    println!("log: {} segments, {bytes} bytes", found.segments.len());
    for (name, bytes) in &found.segments {
        println!("  {name}  {bytes} bytes");
    }
    for (path, bytes) in &found.chunk_files {
        println!("chunks: {path}, {bytes} bytes");
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
            Ok((meta, bytes)) => print_block(meta, *bytes),
            Err(reason) => println!("  refused: {reason}"),
        }
    }
    if found.tombstones > 0 {
        println!("deletions that wait for compaction: {}", found.tombstones);
    }
    println!("bytes of blocks:");
    for (name, bytes) in &found.parts {
        println!("  {name}: {bytes}");
    }
    println!("encodings of values:");
    for (name, sum) in &found.encodings {
        let each = per(sum.bytes, sum.samples);
        println!(
            "  {name}: {} chunks, {} samples, {each:.3} bytes a sample",
            sum.chunks, sum.samples
        );
    }
    println!("series in blocks: {}", found.cardinality.series);
    for (what, list) in [
        ("metrics by series", &found.cardinality.metrics),
        ("labels by values", &found.cardinality.labels),
    ] {
        println!("{what}:");
        list.iter().for_each(|(name, count)| println!("  {count:>9}  {name}"));
    }
    Ok(())
}

fn print_block(meta: &Meta, bytes: u64) {
    let Meta { number, min_t, max_t, samples, series, chunks, level, .. } = meta;
    let each = per(bytes, *samples);
    println!(
        "  {number:016x}  {min_t}..{max_t}  level {level}  {series} series  {chunks} chunks  \
         {samples} samples  {bytes} bytes  {each:.3} bytes a sample"
    );
}

fn per(bytes: u64, samples: u64) -> f64 {
    bytes as f64 / samples.max(1) as f64
}
