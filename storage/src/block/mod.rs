//! Immutable files of a time range. [`layout`] and the parts' own modules are the pure codec of
//! `docs/format/block.md`; the writer builds one, the reader opens, checks and serves it, its index
//! read page by page through a cache; tombstones hide what was deleted since.

mod cache;
mod index;
mod layout;
mod page;
mod postings;
mod reader;
mod series;
mod symbols;
mod times;
mod tombstones;
mod writer;

pub use cache::{CacheStats, PageCache};
pub(crate) use index::SeriesRef;
pub(crate) use layout::ChunkMeta;
pub use layout::Meta;
pub use reader::{Block, BlockError};
pub(crate) use tombstones::Masks;
pub use tombstones::{Deletion, Tombstone};
pub(crate) use writer::{BlockWriter, Range};

/// Parts of a file, in its order.
const PART_NAMES: [&str; layout::PARTS] =
    ["columns", "times", "symbols", "series", "postings", "meta"];
const COLUMNS: usize = 0;
const TIMES: usize = 1;
const SYMBOLS: usize = 2;
const SERIES: usize = 3;
const POSTINGS: usize = 4;
const META: usize = 5;

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
