//! What goes into a command and what comes out.

use super::bulks::Bulks;
use super::effect::Effects;

/// One data command.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The database selected on the connection, 0 to 15.
    pub db: u8,
    /// The command's name, in any case, and its arguments.
    pub args: &'a [&'a [u8]],
}

/// What a command answers. How it is spelled in RESP2 and RESP3 is the connection's business.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// A status line such as `OK`.
    Simple(&'static str),
    /// An error with its code in front, without the `-`.
    Error(String),
    /// An integer.
    Integer(i64),
    /// A byte string.
    Bulk(Vec<u8>),
    /// Nothing, where a byte string could be.
    Null,
    /// Nothing, where an array could be.
    NullArray,
    /// Replies in order.
    Array(Vec<Reply>),
    /// Byte strings in order, in one allocation and already spelled, as both versions spell them alike.
    Bulks(Bulks),
    /// Pairs; RESP2 spells them as a flat array.
    Map(Vec<(Reply, Reply)>),
    /// Distinct replies; RESP2 spells them as an array.
    Set(Vec<Reply>),
    /// A float; RESP2 spells it as a byte string.
    Double(f64),
    /// A number whose digits are given; RESP2 spells it as a byte string.
    Decimal(String),
    /// A truth value; RESP2 spells it as 0 or 1.
    Boolean(bool),
    /// Text for people; RESP2 spells it as a byte string.
    Verbatim(String),
    /// Pairs as arrays of two; RESP2 spells them as one flat array.
    Pairs(Vec<(Reply, Reply)>),
    /// Pairs by key; RESP2 spells them as arrays of two in an array.
    Keyed(Vec<(Reply, Reply)>),
    /// A message out of turn; RESP2 spells it as an array.
    Push(Vec<Reply>),
}

impl Reply {
    /// The status `OK`.
    pub const OK: Reply = Reply::Simple("OK");

    /// A byte string, copied.
    pub fn bulk(bytes: &[u8]) -> Reply {
        Reply::Bulk(bytes.to_vec())
    }
}

/// A command decided: what to answer once the effects are logged and applied.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The answer.
    pub reply: Reply,
    /// What changes; empty when nothing does.
    pub effects: Effects,
    /// What it looked at.
    pub looks: Looks,
    /// When the keys it changes count as used, in milliseconds.
    pub used: i64,
}

/// Keys that commands looked at, as INFO counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looks {
    /// Keys that were there for a command that reads.
    pub hits: u64,
    /// Keys that were not.
    pub misses: u64,
    /// Keys deleted because their time was over.
    pub expired: u64,
}

impl Looks {
    /// Adds others.
    pub fn add(&mut self, other: Looks) {
        self.hits += other.hits;
        self.misses += other.misses;
        self.expired += other.expired;
    }
}
