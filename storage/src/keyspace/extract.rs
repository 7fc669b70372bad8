//! What the node's keymap makes of a command: samples and marks, logged in the same record.

use super::{Effects, Keyspace, Request};
use crate::append::Duplicates;
use crate::model::Labels;

/// Turns commands on keys into samples. The node's compiled keymap is one.
pub trait Extract: Send + Sync {
    /// Says what a decided command means as samples. `keyspace` is as it was *before* the effects.
    /// Deletions by expiry come here too, with a request without arguments.
    fn extract(
        &self,
        keyspace: &Keyspace,
        request: &Request<'_>,
        effects: &Effects,
        now: i64,
        out: &mut Derived,
    );

    /// Says what state still holds; called about once a second.
    fn hold(&self, keyspace: &Keyspace, now: i64, out: &mut Derived);
}

/// What a command means besides its effects.
#[derive(Clone, Debug, Default)]
pub struct Derived {
    /// Samples, oldest first.
    pub samples: Vec<DerivedSample>,
    /// Changed marks; they become effects of the same record.
    pub marks: Vec<Mark>,
}

/// One sample a key gives.
#[derive(Clone, Debug)]
pub struct DerivedSample {
    /// Whose sample it is.
    pub labels: Labels,
    /// How far back instant selectors look for this series, in milliseconds; 0 = the default, of a series
    /// that a list feeds; `None` = the default, of any other.
    pub lookback: Option<i64>,
    /// When, in milliseconds since 1970.
    pub t: i64,
    /// What.
    pub value: f64,
    /// What to do if its millisecond is taken.
    pub duplicates: Duplicates,
}

/// The keymap's state for one key: small, and it survives the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The key's database.
    pub db: u8,
    /// The key.
    pub key: Box<[u8]>,
    /// The state, in the keymap's own coding; empty removes the mark.
    pub state: Vec<u8>,
}
