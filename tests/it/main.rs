//! The node as a black box: the real binary on free ports and a directory of its own.
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    missing_docs,
    reason = "all of this crate is a test, its helpers too"
)]

mod acl;
mod admin;
mod api;
mod beside;
mod chaos;
mod checklist;
mod clients;
mod commands;
mod config;
mod cutover;
mod demo;
mod differential;
mod door;
mod dump;
mod endings;
mod events;
mod export;
mod families;
mod follow;
mod grafana;
mod import;
mod layers;
mod lifecycle;
mod live;
mod mcp;
mod mirror;
mod moved_clock;
mod moving;
mod node;
mod oracle;
mod overload;
mod partition;
mod power;
mod power_keys;
mod prometheus;
mod prometheus_clients;
mod pushed_series;
mod pushes;
mod query_api;
mod remote_read;
mod replay;
mod rules;
mod secured;
mod state;
mod streams;
mod tls;
mod tools;
mod watch;
mod wire;
mod write;
mod write_v2;
