//! Keys on their way to a node: gathered into pieces, each an RDB file of its own.

use anyhow::Context;
use ringwell_storage::keyspace::{RdbRaw, rdb_of};

use crate::client::Peer;

/// Bytes and keys of a piece; a key of more is one of its own.
const PIECE: (usize, usize) = (4 << 20, 2000);

/// Sends keys to a node, and counts what became of them.
pub(super) struct Sending<'a> {
    peer: &'a Peer,
    path: String,
    gathered: Vec<RdbRaw>,
    bytes: usize,
    pub(super) counts: Counts,
}

/// What became of keys.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) keys: u64,
    changed: u64,
    kept: u64,
    expired: u64,
}

impl<'a> Sending<'a> {
    pub(super) fn to(peer: &'a Peer, keep_existing: bool) -> Sending<'a> {
        let existing = if keep_existing { "keep" } else { "replace" };
        let path = format!("/api/v1/import/rdb?existing={existing}");
        Sending { peer, path, gathered: Vec::new(), bytes: 0, counts: Counts::default() }
    }

    /// Takes a key, and sends what has gathered if that is enough.
    pub(super) fn put(&mut self, key: RdbRaw) -> anyhow::Result<()> {
        if self.bytes + key.size() > PIECE.0 {
            self.flush()?;
        }
        self.bytes += key.size();
        self.gathered.push(key);
        if self.gathered.len() >= PIECE.1 { self.flush() } else { Ok(()) }
    }

    /// Sends what has gathered.
    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let piece = rdb_of(&self.gathered);
        let media = "application/octet-stream";
        let answer = super::post(self.peer, &self.path, media, &piece)
            .with_context(|| format!("{}; all keys before are in", self.between()))?;
        let data: serde_json::Value = serde_json::from_slice(&answer.body)?;
        let count = |name: &str| data.pointer(&format!("/data/{name}")).and_then(|n| n.as_u64());
        self.counts.keys += count("keys").context("the node does not say what it took")?;
        for (name, to) in [
            ("changed", &mut self.counts.changed),
            ("kept", &mut self.counts.kept),
            ("expired", &mut self.counts.expired),
        ] {
            *to += count(name).unwrap_or(0);
        }
        (self.gathered, self.bytes) = (Vec::new(), 0);
        Ok(())
    }

    fn between(&self) -> String {
        let name = |key: Option<&RdbRaw>| {
            key.map(|key| String::from_utf8_lossy(&key.key).into_owned()).unwrap_or_default()
        };
        let (first, last) = (name(self.gathered.first()), name(self.gathered.last()));
        format!("keys {first:?} to {last:?}")
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Counts { keys, changed, kept, expired } = self;
        let same = keys.saturating_sub(changed + kept + expired);
        write!(f, "{keys} keys: {changed} new or changed, {same} were so already")?;
        if *kept > 0 {
            write!(f, ", {kept} kept as the node has them")?;
        }
        if *expired > 0 {
            write!(f, ", {expired} left out as they had expired")?;
        }
        Ok(())
    }
}
