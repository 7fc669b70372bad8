//! Ringwell's storage engine: keeps samples and keys.
//!
//! Blocking, and free of clock, network and config files: the disk and `now` are handed in.
//! Read in this order: [`model`] (values), [`read`] and [`append`] (the two contracts), [`wal`],
//! [`head`], [`block`], and last [`store`], the only file that knows every part.

pub mod append;
pub mod keyspace;
pub mod model;
pub mod read;
