//! Reads everything that is live and checks every checksum and structure; changes nothing.

use crate::block::Block;
use crate::checkpoint;
use crate::disk::Disk;
use crate::head::Head;
use crate::manifest::{Manifest, ManifestError};
use crate::model::WalPosition;
use crate::wal::Log;

/// What verifying found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Live blocks.
    pub blocks: u64,
    /// Records of the log above the checkpoint.
    pub records: u64,
    /// A torn end of the log, which the next start cuts: how many bytes, in which file. Nothing that was
    /// known to be synced lies there.
    pub torn: Option<(u64, String)>,
    /// Everything that does not hold.
    pub damage: Vec<String>,
}

/// Checks a directory that no node has open.
pub fn verify(disk: &dyn Disk) -> Result<Verified, ManifestError> {
    let mut found = Verified::default();
    let manifest = match Manifest::load_checked(disk) {
        Ok((manifest, damage)) => {
            found.damage.extend(damage.map(str::to_owned));
            manifest
        }
        Err(error @ (ManifestError::Damaged(_) | ManifestError::Missing(_))) => {
            found.damage.push(error.to_string());
            return Ok(found);
        }
        Err(error) => return Err(error),
    };
    found.blocks = manifest.blocks.len() as u64;
    for number in &manifest.blocks {
        if let Err(error) = Block::open(disk, *number).and_then(|block| block.verify()) {
            found.damage.push(error.to_string());
        }
    }
    let mut from = WalPosition(0);
    if let Some(live) = manifest.checkpoint {
        from = live.position;
        if let Err(error) = checkpoint::read(disk, live.number, &Head::new(1, 1)) {
            found.damage.push(error.to_string());
        }
    }
    match Log::check(disk, from) {
        Ok(recovered) => {
            found.records = recovered.records;
            found.torn = recovered.torn;
        }
        Err(error) => found.damage.push(error.to_string()),
    }
    Ok(found)
}
