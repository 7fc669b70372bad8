//! Ringwell's storage engine: keeps samples and keys.
//!
//! Blocking, and free of clock, network and config files: the disk and `now` are handed in.
//! Read in this order: [`model`] (values), [`read`] and [`append`] (the two contracts), [`wal`],
//! [`head`], [`block`], [`keyspace`], and last [`store`], the only file that knows every part.

pub mod append;
pub mod block;
pub mod catalog;
mod checkpoint;
pub mod chunk;
pub mod compaction;
mod delete;
pub mod disk;
pub mod documents;
pub mod exemplars;
pub mod feed;
pub mod head;
pub mod index;
pub mod inspect;
pub mod keyspace;
mod maintain;
pub mod manifest;
pub mod metadata;
pub mod model;
#[doc(hidden)]
pub mod mutants;
mod paged;
pub mod read;
mod recover;
mod snapshot;
mod space;
pub mod store;
pub mod tools;
pub mod wal;
pub mod wire;
