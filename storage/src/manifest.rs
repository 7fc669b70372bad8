//! Which blocks and which checkpoint are live: the only truth on restart (docs/format/manifest.md).
//!
//! The file holds itself twice, so that no one place on the disk can take it away.

use crate::block::{self, Tombstone};
use crate::checkpoint;
use crate::disk::{Disk, DiskError, read_all, replace_atomically};
use crate::head::SHARDS;
use crate::model::WalPosition;
use crate::mutants::{Mutant, planted};
use crate::wal::DIRECTORY as LOG;
use crate::wire::{FormatError, Reader, put_varint};

pub(crate) const NAME: &str = "MANIFEST";
const MAGIC: &[u8; 8] = b"RINGMAN\0";
const VERSION: u32 = 1;
/// Magic, version and their checksum: the same in every version.
const HEAD: usize = 16;
/// A copy begins at a multiple of this, so that one bad sector has only one of them.
const COPY_UNIT: usize = 4096;

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
    /// There is none, and yet there is what only a manifest makes a store of.
    #[error("there is no MANIFEST, but {0} is there; `ringwell repair` makes a new one of what is")]
    Missing(String),
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
    /// Reads it; an empty directory is a new store.
    pub(crate) fn load(disk: &dyn Disk) -> Result<Manifest, ManifestError> {
        Manifest::load_checked(disk).map(|(manifest, _)| manifest)
    }

    /// Reads it, and says what is damaged where the other copy is whole.
    pub(crate) fn load_checked(
        disk: &dyn Disk,
    ) -> Result<(Manifest, Option<&'static str>), ManifestError> {
        if !disk.list("")?.iter().any(|n| n == NAME) {
            return match something(disk)? {
                // To take this for a new store would remove it all as nobody's.
                Some(path) => Err(ManifestError::Missing(path)),
                None => Ok((Manifest::default(), None)),
            };
        }
        let bytes = read_all(disk, NAME)?;
        let (first, second) = bytes.split_at(bytes.len() / 2);
        match Manifest::decode(first) {
            Ok(manifest) if first == second => Ok((manifest, None)),
            Ok(manifest) => Ok((manifest, Some("the second copy in MANIFEST is damaged"))),
            Err(error @ ManifestError::Damaged(_)) => match Manifest::decode(second) {
                Ok(manifest) => Ok((manifest, Some("the first copy in MANIFEST is damaged"))),
                Err(ManifestError::Damaged(_)) => Err(error),
                Err(other) => Err(other),
            },
            Err(other) => Err(other),
        }
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
        let forgets = planted(Mutant::ManifestForgetsDeletions);
        let tombstones = if forgets { &[] } else { self.tombstones.as_slice() };
        put_varint(&mut payload, tombstones.len() as u64);
        tombstones.iter().for_each(|t| t.encode(&mut payload));
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
        let length = (payload.len() as u32).to_le_bytes();
        out.extend_from_slice(&length);
        out.extend_from_slice(&checksum(&length, &payload).to_le_bytes());
        out.extend_from_slice(&payload);
        out.resize(out.len().next_multiple_of(COPY_UNIT), 0);
        out.repeat(2)
    }

    fn decode(bytes: &[u8]) -> Result<Manifest, ManifestError> {
        let mut reader = Reader::new(bytes);
        let begins = reader.take(8)? == MAGIC;
        let version = reader.u32()?;
        if !begins || reader.u32()? != crc32c::crc32c(&bytes[..HEAD - 4]) {
            return Err(reader.error("no manifest begins here").into());
        }
        if version != VERSION {
            return Err(ManifestError::Newer(version));
        }
        let (length, crc) = (reader.take(4)?, reader.u32()?);
        let payload = reader.take(Reader::new(length).u32()? as usize)?;
        if checksum(length, payload) != crc {
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

fn checksum(length: &[u8], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(length), payload)
}

/// A file of a store, if there is one.
fn something(disk: &dyn Disk) -> Result<Option<String>, DiskError> {
    if planted(Mutant::MissingManifestIsNew) {
        return Ok(None);
    }
    for (dir, ending) in [(block::DIR, ".blk"), (checkpoint::DIR, ".ckp"), (LOG, ".log")] {
        if let Some(name) = disk.list(dir)?.iter().find(|name| name.ends_with(ending)) {
            return Ok(Some(format!("{dir}/{name}")));
        }
    }
    Ok(None)
}
