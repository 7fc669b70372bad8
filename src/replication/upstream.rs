//! A Redis that this node follows, as INFO, ROLE and the metrics tell of it.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use crate::metrics::{Families, Kind};
use crate::remote::Source;

/// A Redis that this node follows, as INFO and ROLE tell of it.
#[derive(Debug)]
pub struct Upstream {
    pub(super) source: Source,
    pub(super) state: State,
}

/// What is told of it.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) up: AtomicBool,
    /// Whether a full sync is under way.
    pub(super) syncing: AtomicBool,
    /// When it last sent something, and when the link broke, in milliseconds since 1970.
    pub(super) heard: AtomicI64,
    down: AtomicI64,
    pub(super) full: AtomicU64,
    pub(super) partial: AtomicU64,
    pub(super) offset: AtomicU64,
    pub(super) commands: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) keys: AtomicU64,
}

impl Upstream {
    /// One that is not followed yet.
    pub fn new(source: Source) -> Upstream {
        let state = State::default();
        state.down.store(crate::clock::now_ms(), Ordering::Relaxed);
        Upstream { source, state }
    }

    /// Whether it is called with TLS.
    pub fn is_secured(&self) -> bool {
        self.source.tls
    }

    /// The link broke; whether that was in a full sync.
    pub(super) fn broke(&self) -> bool {
        if self.state.up.swap(false, Ordering::Relaxed) {
            self.state.down.store(crate::clock::now_ms(), Ordering::Relaxed);
        }
        self.state.syncing.swap(false, Ordering::Relaxed)
    }

    /// Host and port, the state of the link and the offset, as ROLE gives them.
    pub fn role(&self) -> (&str, u16, &'static str, u64) {
        let (host, port) = self.source.host_and_port();
        let is = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
        let link = match () {
            () if is(&self.state.up) => "connected",
            () if is(&self.state.syncing) => "sync",
            () => "connect",
        };
        (host, port, link, self.state.offset.load(Ordering::Relaxed))
    }

    /// What INFO says of it.
    pub(super) fn info(&self, now: i64) -> Vec<String> {
        let (host, port, link, offset) = self.role();
        let seconds = |since: &AtomicI64| (now - since.load(Ordering::Relaxed)).max(0) / 1000;
        let up = link == "connected";
        let mut lines = vec![
            "role:slave".to_owned(),
            format!("master_host:{host}"),
            format!("master_port:{port}"),
            format!("master_link_status:{}", if up { "up" } else { "down" }),
            format!(
                "master_last_io_seconds_ago:{}",
                if up { seconds(&self.state.heard) } else { -1 }
            ),
            format!("master_sync_in_progress:{}", u8::from(link == "sync")),
            format!("slave_read_repl_offset:{offset}"),
            format!("slave_repl_offset:{offset}"),
        ];
        if !up {
            let down = seconds(&self.state.down);
            lines.push(format!("master_link_down_since_seconds:{down}"));
        }
        let fixed = ["slave_priority:100", "slave_read_only:1", "replica_announced:1"];
        lines.extend(fixed.map(str::to_owned));
        lines
    }

    /// Adds what is told of it.
    pub fn gather(&self, out: &mut Families) {
        let state = &self.state;
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
        let up = f64::from(u8::from(state.up.load(Ordering::Relaxed)));
        out.gauge(
            "ringwell_source_up",
            "1 while the Redis that this node follows is followed.",
            up,
        );
        out.gauge(
            "ringwell_source_offset",
            "The offset in its stream up to which all is here.",
            value(&state.offset),
        );
        out.gauge("ringwell_source_keys", "Keys of its last full sync.", value(&state.keys));
        let help = "How following began: full, or partial where it was.";
        let family = out.family("ringwell_source_syncs_total", Kind::Counter, help);
        family.sample(&[("kind", "full")], value(&state.full));
        family.sample(&[("kind", "partial")], value(&state.partial));
        out.counter(
            "ringwell_source_commands_total",
            "Commands of its stream.",
            value(&state.commands),
        );
        let help = "Commands of its stream that are refused here; their keys are not equal.";
        out.counter("ringwell_source_refused_total", help, value(&state.refused));
    }
}
