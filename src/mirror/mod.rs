//! What copies a node to another system, following the log from a saved position.
//!
//! [`redis`] pushes keys to a Redis that cannot be told to follow. One that can is a replica
//! (`crate::replication`).

pub mod redis;
