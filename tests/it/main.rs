//! The node as a black box: the real binary on free ports and a directory of its own.

mod api;
mod config;
mod demo;
mod door;
mod grafana;
mod lifecycle;
mod live;
mod node;
mod oracle;
mod overload;
mod prometheus;
mod pushes;
mod watch;
mod wire;
mod write;
