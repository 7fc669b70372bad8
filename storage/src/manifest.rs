//! Which blocks and which checkpoint are live: the only truth on restart (docs/format/manifest.md).

use crate::block::Tombstone;
use crate::disk::{Disk, DiskError, read_all, replace_atomically};
use crate::head::SHARDS;
use crate::model::WalPosition;
use crate::wire::{FormatError, Reader, put_varint};

pub(crate) const NAME: &str = "MANIFEST";
const MAGIC: &[u8; 8] = b"RINGMAN\0";
const VERSION: u32 = 1;

/// The manifest's contents.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Manifest {
    /// Raised by every opening; groups of the log carry it.
    pub(crate) epoch: u32,
    pub(crate) next_block: u64,
    pub(crate) next_series: u64,
    pub(crate) checkpoint: Option<Checkpointed>,
    /// Live blocks, ascending.
    pub(crate) blocks: Vec<u64>,
    /// Deletions that some of the blocks do not carry out yet.
    pub(crate) tombstones: Vec<Tombstone>,
}

/// The live checkpoint: its number, and where replay begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checkpointed {
    pub(crate) number: u64,
    pub(crate) position: WalPosition,
}

/// Why a manifest is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// It does not check.
    #[error("MANIFEST is damaged: {what} at byte {offset}", what = .0.what, offset = .0.offset)]
    Damaged(#[from] FormatError),
    /// Written by a newer release.
    #[error("the data directory has format version {0}, this release reads up to {VERSION}")]
    Newer(u32),
    /// Its shards are not ours.
    #[error("the data directory has {0} shards, this release has {SHARDS}")]
    Shards(u64),
}

impl Default for Manifest {
    fn default() -> Manifest {
        Manifest {
            epoch: 0,
            next_block: 1,
            next_series: 1,
            checkpoint: None,
            blocks: Vec::new(),
            tombstones: Vec::new(),
        }
    }
}

impl Manifest {
    /// Reads it; a directory without one is new.
    pub(crate) fn load(disk: &dyn Disk) -> Result<Manifest, ManifestError> {
        if !disk.list("")?.iter().any(|n| n == NAME) {
            return Ok(Manifest::default());
        }
        Manifest::decode(&read_all(disk, NAME)?)
    }

    /// Makes this the truth.
    pub(crate) fn store(&self, disk: &dyn Disk) -> Result<(), DiskError> {
        replace_atomically(disk, "", NAME, &self.encode())
    }

    /// Writes it into another directory, as part of a snapshot.
    pub(crate) fn store_in(&self, disk: &dyn Disk, dir: &str) -> Result<(), DiskError> {
        replace_atomically(disk, dir, NAME, &self.encode())
    }

    fn encode(&self) -> Vec<u8> {
        let mut payload = self.epoch.to_le_bytes().to_vec();
        put_varint(&mut payload, self.next_block);
        put_varint(&mut payload, self.next_series);
        put_varint(&mut payload, SHARDS as u64);
        match self.checkpoint {
            None => put_varint(&mut payload, 0),
            Some(Checkpointed { number, position }) => {
                put_varint(&mut payload, 1);
                put_varint(&mut payload, number);
                put_varint(&mut payload, position.0);
            }
        }
        put_varint(&mut payload, self.blocks.len() as u64);
        self.blocks.iter().for_each(|b| put_varint(&mut payload, *b));
        put_varint(&mut payload, self.tombstones.len() as u64);
        self.tombstones.iter().for_each(|t| t.encode(&mut payload));
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        out.extend_from_slice(&crc32c::crc32c(&payload).to_le_bytes());
        out.extend_from_slice(&payload);
        out
    }

    fn decode(bytes: &[u8]) -> Result<Manifest, ManifestError> {
        let mut reader = Reader::new(bytes);
        if reader.take(8)? != MAGIC {
            return Err(reader.error("no manifest begins here").into());
        }
        let version = reader.u32()?;
        if version > VERSION {
            return Err(ManifestError::Newer(version));
        }
        let (length, crc) = (reader.u32()? as usize, reader.u32()?);
        let payload = reader.take(length)?;
        if crc32c::crc32c(payload) != crc {
            return Err(reader.error("checksum does not hold").into());
        }
        let mut reader = Reader::new(payload);
        let epoch = reader.u32()?;
        let (next_block, next_series) = (reader.varint()?, reader.varint()?);
        let shards = reader.varint()?;
        if shards != SHARDS as u64 {
            return Err(ManifestError::Shards(shards));
        }
        let checkpoint = match reader.varint()? {
            0 => None,
            _ => Some(Checkpointed {
                number: reader.varint()?,
                position: WalPosition(reader.varint()?),
            }),
        };
        let mut blocks = Vec::new();
        for _ in 0..reader.count(1)? {
            blocks.push(reader.varint()?);
        }
        let mut tombstones = Vec::new();
        for _ in 0..reader.count(5)? {
            tombstones.push(Tombstone::decode(&mut reader)?);
        }
        Ok(Manifest { epoch, next_block, next_series, checkpoint, blocks, tombstones })
    }
}
