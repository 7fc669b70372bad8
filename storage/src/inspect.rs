//! What stands in a data directory, read without changing it: for `ringwell inspect`.

use std::collections::{BTreeMap, HashSet};

use crate::block::{Block, BlockError, Meta};
use crate::catalog::Cardinality;
use crate::disk::{Disk, DiskError};
use crate::head::{chunk_file, chunk_files};
use crate::manifest::{Manifest, ManifestError};
use crate::model::Labels;
use crate::{checkpoint, wal};

/// A data directory at a glance.
#[derive(Clone, Debug, Default)]
pub struct Inspection {
    /// Openings so far.
    pub epoch: u32,
    /// Segments of the log: name and bytes.
    pub segments: Vec<(String, u64)>,
    /// Files of chunks that blocks do not have yet, with their sizes.
    pub chunk_files: Vec<(String, u64)>,
    /// The live checkpoint: path, bytes and where replay begins.
    pub checkpoint: Option<(String, u64, u64)>,
    /// Live blocks with their sizes in bytes, or why one is refused.
    pub blocks: Vec<Result<(Meta, u64), String>>,
    /// What the chunks of each encoding hold.
    pub encodings: BTreeMap<&'static str, Encoded>,
    /// Bytes of the blocks by what they are for.
    pub parts: BTreeMap<&'static str, u64>,
    /// Deletions that some block does not carry out yet.
    pub tombstones: u64,
    /// Distinct series of the blocks.
    pub cardinality: Cardinality,
}

/// Chunks of one encoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    /// How many.
    pub chunks: u64,
    /// Their samples.
    pub samples: u64,
    /// Bytes of their values.
    pub bytes: u64,
}

/// Looks at a directory that no node has open; names the `most` largest metrics and labels.
pub fn inspect(disk: &dyn Disk, most: usize) -> Result<Inspection, ManifestError> {
    let manifest = Manifest::load(disk)?;
    let mut found = Inspection { epoch: manifest.epoch, ..Inspection::default() };
    for name in disk.list(wal::DIRECTORY)? {
        let bytes = size(disk, &format!("{}/{name}", wal::DIRECTORY))?;
        found.segments.push((name, bytes));
    }
    for (number, _) in chunk_files(disk)? {
        let path = chunk_file(number);
        let bytes = size(disk, &path)?;
        found.chunk_files.push((path, bytes));
    }
    if let Some(live) = manifest.checkpoint {
        let path = checkpoint::path_of(live.number);
        let bytes = size(disk, &path)?;
        found.checkpoint = Some((path, bytes, live.position.0));
    }
    found.tombstones = manifest.tombstones.len() as u64;
    let mut series = HashSet::new();
    for number in manifest.blocks {
        let look = |found: &mut Inspection, series: &mut HashSet<Labels>| {
            let block = Block::open(disk, number)?;
            Cardinality::collect(&block, series)?;
            block.encodings(&mut found.encodings)?;
            block.parts(&mut found.parts)?;
            Ok((*block.meta(), block.byte_len()))
        };
        let opened = look(&mut found, &mut series);
        found.blocks.push(opened.map_err(|error: BlockError| error.to_string()));
    }
    found.cardinality = Cardinality::of(&series, most);
    Ok(found)
}

fn size(disk: &dyn Disk, path: &str) -> Result<u64, DiskError> {
    disk.open(path)?.size()
}
