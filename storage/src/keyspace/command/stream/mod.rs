//! Streams: entries, reading and waiting, consumer groups, what is known of them.

mod claim;
mod entries;
mod groups;
mod info;
mod pending;
mod read;

pub(super) use claim::{xautoclaim, xclaim};
pub(super) use entries::{xadd, xdel, xlen, xrange, xrevrange, xsetid, xtrim};
pub(super) use groups::{xack, xgroup};
pub(super) use info::xinfo;
pub(super) use pending::xpending;
pub(super) use read::{as_waiting, timeout, xread, xreadgroup};

use super::{Context, Refusal, Reply, error, quote};
use crate::keyspace::stream::{Entry, Group, Stream, StreamId};

type Outcome = Result<Reply, Refusal>;

const INVALID: Refusal =
    Refusal::Plain("ERR Invalid stream ID specified as stream command argument");

/// A number as `<ms>` or `<ms>-<seq>`; `missing` stands in for the second part.
fn strict_id(text: &[u8], missing: u64) -> Result<StreamId, Refusal> {
    let mut parts = text.splitn(2, |byte| *byte == b'-');
    let ms = unsigned(parts.next().unwrap_or_default()).ok_or(INVALID)?;
    let seq = parts.next().map_or(Some(missing), unsigned).ok_or(INVALID)?;
    Ok(StreamId { ms, seq })
}

/// A number, or `-` for the lowest and `+` for the highest.
fn any_id(text: &[u8], missing: u64) -> Result<StreamId, Refusal> {
    match text {
        b"-" => Ok(StreamId::ZERO),
        b"+" => Ok(StreamId::MAX),
        text => strict_id(text, missing),
    }
}

/// Where a range begins: with `(` in front behind the number.
fn start_id(text: &[u8]) -> Result<StreamId, Refusal> {
    let invalid = Refusal::Plain("ERR invalid start ID for the interval");
    match text {
        [b'(', number @ ..] if !number.is_empty() => strict_id(number, 0)?.next().ok_or(invalid),
        text => any_id(text, 0),
    }
}

/// Where a range ends: with `(` in front before the number.
fn end_id(text: &[u8]) -> Result<StreamId, Refusal> {
    let invalid = Refusal::Plain("ERR invalid end ID for the interval");
    match text {
        [b'(', number @ ..] if !number.is_empty() => {
            strict_id(number, u64::MAX)?.previous().ok_or(invalid)
        }
        text => any_id(text, u64::MAX),
    }
}

/// Reads a number as C's `strtoull` does: spaces and a plus may stand in front.
fn unsigned(text: &[u8]) -> Option<u64> {
    let digits = text.trim_ascii_start();
    let digits = digits.strip_prefix(b"+").unwrap_or(digits);
    let all = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| all)?.parse().ok()
}

/// Numbers of entries, from argument `at` on.
fn ids(cx: &Context<'_>, at: usize) -> Result<Vec<StreamId>, Refusal> {
    cx.rest(at).iter().map(|text| strict_id(text, 0)).collect()
}

fn spelled(id: StreamId) -> Reply {
    Reply::Bulk(id.to_string().into_bytes())
}

fn entry((id, pairs): Entry) -> Reply {
    Reply::Array(vec![spelled(id), Reply::Bulks(pairs)])
}

fn entries(found: Vec<Entry>) -> Reply {
    Reply::Array(found.into_iter().map(entry).collect())
}

/// A stream and a group of it, or Redis's error for where one of them is not.
fn group<'a>(
    cx: &mut Context<'a>,
    key: &'a [u8],
    name: &[u8],
    behind: &str,
) -> Result<Result<(&'a Stream, &'a Group), Reply>, Refusal> {
    let stream = cx.stream(key)?;
    let group = stream.and_then(|stream| stream.groups.get(name));
    let (key, name) = (quote(key, usize::MAX), quote(name, usize::MAX));
    let missing =
        || error(&format!("NOGROUP No such key '{key}' or consumer group '{name}'{behind}"));
    Ok(stream.zip(group).map(|(stream, group)| (&**stream, &**group)).ok_or_else(missing))
}
