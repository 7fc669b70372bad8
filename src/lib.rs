//! The Ringwell node: all contact with the world. Config, collectors, ingest, HTTP, the Redis
//! protocol, and the life of the process; samples and keys are kept by `ringwell_storage`, PromQL
//! is answered by `ringwell_query`.
//!
//! Read [`node`] first: it starts everything, in order, and stops it in the reverse one.

pub mod blocking;
pub mod client;
pub mod clock;
pub mod config;
pub mod listen;
pub mod number;
pub mod shutdown;
pub mod telemetry;
