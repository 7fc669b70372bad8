//! Sets damage aside, in `quarantine/`, so that the rest is served. Nothing is deleted: a damaged file is
//! moved there whole, and what can be read of a log's segment is written anew under its name, the gap
//! filled by a record that readers skip.

use crate::block::{self, Block};
use crate::checkpoint;
use crate::disk::{Disk, DiskError, read_all};
use crate::head::{Head, chunk_file, chunk_files};
use crate::manifest::{self, Checkpointed, Manifest, ManifestError};
use crate::model::WalPosition;
use crate::wal::OpenLogError;
use crate::wal::file::{DIR as LOG, segment_path, segments};
use crate::wal::repair::{Mended, mend};

use super::rebuild::rebuild;

/// Where damage goes.
pub const QUARANTINE: &str = "quarantine";

/// Why a directory cannot be repaired.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The manifest is none this release may touch.
    #[error(transparent)]
    Manifest(ManifestError),
    /// The log that is there cannot be read.
    #[error(transparent)]
    Log(#[from] OpenLogError),
    /// There is no manifest, and none can be made.
    #[error("{why}; no new MANIFEST can be made: {reason}; restore a snapshot")]
    NoManifest {
        /// What is wrong with the one there was.
        why: String,
        /// What is missing for a new one.
        reason: String,
    },
}

impl From<ManifestError> for RepairError {
    fn from(error: ManifestError) -> RepairError {
        RepairError::Manifest(error)
    }
}

/// Repairs a directory that no node has open; says what was done, nothing if nothing was damaged.
pub fn repair(disk: &dyn Disk) -> Result<Vec<String>, RepairError> {
    if let Err(error @ (ManifestError::Newer(_) | ManifestError::Shards(_))) = Manifest::load(disk)
    {
        return Err(error.into());
    }
    let mut done = Vec::new();
    // First, for a manifest made anew asks the log how far it goes.
    mend_log(disk, &mut done)?;
    let mut manifest = keep_manifest(disk, &mut done)?;
    let before = manifest.clone();
    manifest.blocks.retain(|number| keep_block(disk, *number, &mut done));
    if let Some(live) = manifest.checkpoint {
        manifest.checkpoint = Some(keep_checkpoint(disk, live, &mut done)?);
    }
    if manifest != before {
        manifest.store(disk)?;
    }
    // Moved only now: until here the old manifest and all that it names were in place.
    for number in before.blocks.iter().filter(|b| !manifest.blocks.contains(b)) {
        set_aside(disk, &block::path_of(*number))?;
    }
    if let Some(live) = before.checkpoint.filter(|live| manifest.checkpoint != Some(*live)) {
        set_aside(disk, &checkpoint::path_of(live.number))?;
        // Nothing refers to them any more, and the next start would remove them.
        for (number, _) in chunk_files(disk)? {
            set_aside(disk, &chunk_file(number))?;
        }
    }
    Ok(done)
}

/// The manifest, made whole from its other copy or made anew where need be.
fn keep_manifest(disk: &dyn Disk, done: &mut Vec<String>) -> Result<Manifest, RepairError> {
    let manifest = match Manifest::load_checked(disk) {
        Ok((manifest, None)) => return Ok(manifest),
        Ok((manifest, Some(damage))) => {
            done.push(format!("{damage}; written anew from the other copy, nothing is lost"));
            manifest
        }
        Err(error @ (ManifestError::Damaged(_) | ManifestError::Missing(_))) => {
            rebuild(disk, &error, done)?
        }
        Err(error) => return Err(error.into()),
    };
    if disk.list("")?.iter().any(|name| name == manifest::NAME) {
        let aside = free_in_quarantine(disk, manifest::NAME)?;
        disk.link(manifest::NAME, &aside)?;
        disk.sync_dir(QUARANTINE)?;
    }
    manifest.store(disk)?;
    Ok(manifest)
}

fn keep_block(disk: &dyn Disk, number: u64, done: &mut Vec<String>) -> bool {
    match Block::open(disk, number).and_then(|block| block.verify()) {
        Ok(()) => true,
        Err(error) => {
            done.push(format!("{error}; set aside, its time range is served without it"));
            false
        }
    }
}

/// A damaged checkpoint is replaced by an empty one: what it alone had is lost, the log above it is not.
fn keep_checkpoint(
    disk: &dyn Disk,
    live: Checkpointed,
    done: &mut Vec<String>,
) -> Result<Checkpointed, DiskError> {
    let Err(error) = checkpoint::read(disk, live.number, &Head::new(1, 1)) else {
        return Ok(live);
    };
    done.push(format!(
        "{error}; set aside, what was newer than the blocks and older than it is lost"
    ));
    let number = live.number + 1;
    checkpoint::write_empty(disk, number)?;
    let oldest = segments(disk)?.first().map_or(live.position, |base| WalPosition(*base));
    Ok(Checkpointed { number, position: oldest.min(live.position) })
}

fn mend_log(disk: &dyn Disk, done: &mut Vec<String>) -> Result<(), DiskError> {
    let bases = segments(disk)?;
    for (i, base) in bases.iter().enumerate() {
        let path = segment_path(*base);
        let bytes = read_all(disk, &path)?;
        let Some(Mended { bytes, lost }) = mend(bytes, *base, bases.get(i + 1).copied()) else {
            continue;
        };
        for (position, length) in lost {
            done.push(format!("{path}: {length} bytes of log at position {position} set aside"));
        }
        // Written aside and whole before the damaged file leaves its place.
        let aside = format!("{LOG}/{base:016x}.mended");
        let file = disk.create(&aside)?;
        file.write_at(&bytes, 0)?;
        file.sync()?;
        set_aside(disk, &path)?;
        disk.rename(&aside, &path)?;
        disk.sync_dir(LOG)?;
    }
    Ok(())
}

/// Moves a file into the quarantine, under a name that is free there.
pub(super) fn set_aside(disk: &dyn Disk, path: &str) -> Result<(), DiskError> {
    let aside = free_in_quarantine(disk, path.rsplit('/').next().unwrap_or(path))?;
    disk.rename(path, &aside)?;
    disk.sync_dir(QUARANTINE)?;
    disk.sync_dir(path.rsplit_once('/').map_or("", |(dir, _)| dir))
}

fn free_in_quarantine(disk: &dyn Disk, name: &str) -> Result<String, DiskError> {
    disk.create_dir(QUARANTINE)?;
    let taken = disk.list(QUARANTINE)?;
    let free = (1..).map(|n| format!("{name}.{n}")).find(|name| !taken.contains(name));
    Ok(format!("{QUARANTINE}/{}", free.unwrap_or_default()))
}
