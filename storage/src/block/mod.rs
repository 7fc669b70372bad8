//! Immutable files of a time range. [`layout`] is the pure codec of `docs/format/block.md`; the
//! writer builds one, the reader opens, checks and serves it; tombstones hide what was deleted
//! since.

mod layout;
mod reader;
mod tombstones;
mod writer;

pub(crate) use layout::ChunkMeta;
pub use layout::Meta;
pub use reader::{Block, BlockError};
pub(crate) use tombstones::Masks;
pub use tombstones::{Deletion, Tombstone};
pub(crate) use writer::BlockWriter;

/// Directory of the blocks.
pub(crate) const DIR: &str = "blocks";

/// Path of a block that is being written.
pub(crate) fn aside_of(number: u64) -> String {
    format!("{DIR}/{number:016x}.new")
}

/// Path of a published block.
pub(crate) fn path_of(number: u64) -> String {
    format!("{DIR}/{number:016x}.blk")
}
