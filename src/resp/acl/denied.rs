//! What was denied: ACL LOG.

use std::collections::VecDeque;

/// Entries younger than this, in milliseconds, are counted together if they tell the same.
const TOGETHER: i64 = 60_000;
/// How many of the newest entries are looked at for that.
const LOOKED_AT: usize = 10;

/// Something that was denied.
#[derive(Clone, Debug)]
pub(in crate::resp) struct Entry {
    pub(in crate::resp) count: u64,
    pub(in crate::resp) reason: &'static str,
    pub(in crate::resp) context: &'static str,
    /// The command, key or channel.
    pub(in crate::resp) object: Vec<u8>,
    pub(in crate::resp) user: Vec<u8>,
    /// When it last happened, in milliseconds.
    pub(in crate::resp) at: i64,
    /// The client as CLIENT LIST shows it.
    pub(in crate::resp) client: String,
}

/// The newest first.
#[derive(Debug, Default)]
pub(super) struct Denied(pub(super) VecDeque<Entry>);

impl Denied {
    pub(super) fn note(&mut self, new: Entry, limit: usize) {
        let same = |old: &Entry| {
            (old.reason, old.context) == (new.reason, new.context)
                && (&old.object, &old.user) == (&new.object, &new.user)
                && (new.at - old.at).abs() <= TOGETHER
        };
        let known = self.0.iter().take(LOOKED_AT).position(same);
        let count = known.and_then(|at| self.0.remove(at)).map_or(0, |old| old.count);
        self.0.push_front(Entry { count: count + 1, ..new });
        self.0.truncate(limit);
    }
}
