//! The Ringwell node: all contact with the world. Config, collectors, ingest, HTTP, the Redis
//! protocol, and the life of the process; samples and keys are kept by `ringwell_storage`, PromQL
//! is answered by `ringwell_query`.
//!
//! Read [`node`] first: it starts everything, in order, and stops it in the reverse one.

pub mod ask;
pub mod blocking;
pub mod cli;
pub mod client;
pub mod clock;
pub mod collect;
mod compare;
pub mod config;
pub mod demo;
pub mod export;
pub mod http;
pub mod import;
pub mod ingest;
pub mod inside;
pub mod inspect;
pub mod keys;
pub mod listen;
pub mod mcp;
mod memory;
pub mod metrics;
pub mod mirror;
pub mod mirrors;
pub mod node;
pub mod number;
pub mod opening;
mod progress;
pub mod remote;
pub mod replication;
pub mod resp;
pub mod self_metrics;
pub mod shutdown;
pub mod telemetry;
pub mod tls;
pub mod tools;
pub mod wire;
