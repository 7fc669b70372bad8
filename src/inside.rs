//! A client inside the process: how parts of the node work with keys and channels, and ask queries.
//!
//! The faces implement it, so that what is called here keeps every rule of theirs: a command runs
//! beside other clients' and inside nobody's transaction, waiting clients are served, keyspace
//! events are told; a query takes its turn and is journaled. Those who call know nothing of them.

use futures_util::future::BoxFuture;
use ringwell_storage::keyspace::Reply;
use ringwell_storage::model::WalPosition;

/// Keys in database 0, and channels.
pub trait Inside: Send + Sync {
    /// Runs a data command; one that would wait for a key is refused.
    fn call(&self, args: &[&[u8]]) -> Called;

    /// Runs a command of a Redis that this node follows: what has expired is there until that one says that it
    /// is gone.
    fn follow(&self, db: u8, args: &[&[u8]]) -> Called;

    /// Runs a transaction of such a Redis: nobody sees a part of it, and a crash keeps all of it or nothing.
    fn follow_all(&self, commands: &[(u8, Vec<&[u8]>)]) -> Vec<Called>;

    /// Resolves when what is written up to here may be acknowledged; an error says why it may not.
    fn acknowledged(&self, position: WalPosition) -> BoxFuture<'static, Result<(), String>>;

    /// Publishes a message; gives how many subscribers got it.
    fn publish(&self, channel: &[u8], message: &[u8]) -> usize;

    /// Whether a message on this channel would reach anybody.
    fn is_heard(&self, channel: &[u8]) -> bool;

    /// How many subscribed to a channel by its name.
    fn subscribers(&self, channel: &[u8]) -> usize;

    /// Subscribes to a channel, or to all that match a pattern, until the ear is dropped.
    fn subscribe(&self, name: &[u8], pattern: bool) -> Box<dyn Ear>;
}

/// PromQL.
pub trait Ask: Send + Sync {
    /// Answers a query with the parameters of the HTTP API's `query`, or `query_range`.
    fn ask(
        &self,
        parameters: Vec<(String, String)>,
        range: bool,
    ) -> BoxFuture<'_, Result<Asked, String>>;
}

/// What a query gave.
#[derive(Debug)]
pub struct Asked {
    /// `data` of the HTTP API's answer.
    pub data: String,
    /// What the API would give as warnings and infos.
    pub notes: Vec<String>,
}

/// What a command gave.
#[derive(Debug)]
pub struct Called {
    /// The reply, due once `position` is acknowledged.
    pub reply: Reply,
    /// Where the log ends for it; `None` if it changed nothing.
    pub position: Option<WalPosition>,
}

/// A subscription.
pub trait Ear: Send {
    /// The next message; `None` once more came than it may hold.
    fn next(&mut self) -> BoxFuture<'_, Option<Heard>>;
}

/// A message that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The pattern that matched, for subscribers to a pattern.
    pub pattern: Option<Vec<u8>>,
    /// Where it was published.
    pub channel: Vec<u8>,
    /// What was published.
    pub message: Vec<u8>,
}

/// The byte strings of a reply, in order; those of nested replies too.
pub fn strings(reply: &Reply) -> Vec<Vec<u8>> {
    match reply {
        Reply::Bulk(bytes) => vec![bytes.clone()],
        Reply::Bulks(bulks) => bulks.iter().map(<[u8]>::to_vec).collect(),
        Reply::Array(replies) | Reply::Set(replies) | Reply::Push(replies) => {
            replies.iter().flat_map(strings).collect()
        }
        Reply::Map(pairs) | Reply::Pairs(pairs) | Reply::Keyed(pairs) => {
            pairs.iter().flat_map(|(a, b)| strings(a).into_iter().chain(strings(b))).collect()
        }
        Reply::Verbatim(text) => vec![text.clone().into_bytes()],
        Reply::Simple(text) => vec![text.as_bytes().to_vec()],
        _ => Vec::new(),
    }
}
