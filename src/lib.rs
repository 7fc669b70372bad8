//! The Ringwell node: all contact with the world. Config, collectors, ingest, HTTP, the Redis
//! protocol, and the life of the process; samples and keys are kept by `ringwell_storage`, PromQL
//! is answered by `ringwell_query`.

pub mod config;
