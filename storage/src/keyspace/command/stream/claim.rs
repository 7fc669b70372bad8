//! XCLAIM XAUTOCLAIM: entries that were delivered to one consumer become another's.

use std::collections::BTreeMap;

use super::{Outcome, entry, group, spelled, start_id, strict_id};
use crate::keyspace::command::{Context, QUOTED, Refusal, Reply, error, parse_integer, quote};
use crate::keyspace::stream::{Group, Stream, StreamId};

/// What a claim does to each entry.
struct Claim<'a> {
    stream: &'a Stream,
    group: &'a Group,
    /// Entries that were not delivered for less than so long stay.
    min_idle: i64,
    delivered: i64,
    count: Option<u64>,
    force: bool,
    just_id: bool,
    /// What changed so far: when and how often delivered; `None` where the entry is gone.
    changed: BTreeMap<StreamId, Option<(i64, u64)>>,
    /// What the command answers.
    replies: Vec<Reply>,
}

/// What became of an entry.
#[derive(PartialEq, Eq)]
enum Fate {
    Claimed,
    Left,
    Gone,
}

impl Claim<'_> {
    fn is_fresh(&self, delivered: i64, now: i64) -> bool {
        self.min_idle > 0 && now.saturating_sub(delivered) < self.min_idle
    }

    fn one(&mut self, id: StreamId, now: i64) -> Fate {
        let known = self.group.pending.get(id).map(|pending| (pending.delivered, pending.count));
        let known = self.changed.get(&id).copied().unwrap_or(known);
        let Some(found) = self.stream.get(id) else {
            if known.is_some() {
                self.changed.insert(id, None);
                return Fate::Gone;
            }
            return Fate::Left;
        };
        let before = match known {
            Some((delivered, _)) if self.is_fresh(delivered, now) => None,
            Some((_, count)) => Some(count),
            // Made from nothing, it counts as delivered once.
            None if self.force => Some(1),
            None => None,
        };
        let Some(before) = before else { return Fate::Left };
        let again = before.saturating_add(u64::from(!self.just_id));
        self.changed.insert(id, Some((self.delivered, self.count.unwrap_or(again))));
        self.replies.push(if self.just_id { spelled(id) } else { entry(found) });
        Fate::Claimed
    }

    /// Writes down what changed.
    fn finish(self, cx: &mut Context<'_>) -> Vec<Reply> {
        let (key, name, consumer) = (cx.arg(1), cx.arg(2), cx.arg(3));
        let gone: Vec<_> =
            self.changed.iter().filter(|(_, now)| now.is_none()).map(|(id, _)| *id).collect();
        if !gone.is_empty() {
            cx.effects.acknowledge(cx.db, key, name, &gone);
        }
        let claimed: Vec<_> = self
            .changed
            .iter()
            .filter_map(|(id, now)| now.map(|(delivered, count)| (*id, delivered, count)))
            .collect();
        if !claimed.is_empty() {
            cx.effects.consumer_seen(cx.db, key, name, consumer, cx.now);
            cx.effects.deliver(cx.db, key, name, consumer, &claimed);
        }
        self.replies
    }
}

/// An integer argument with an error of its own.
fn named(text: &[u8], error: &'static str) -> Result<i64, Refusal> {
    parse_integer(text).ok_or(Refusal::Plain(error))
}

/// `XCLAIM key group consumer min-idle id [id ...] [IDLE ms] [TIME ms] [RETRYCOUNT count] [FORCE]
/// [JUSTID] [LASTID id]`
pub(in super::super) fn xclaim(cx: &mut Context<'_>) -> Outcome {
    let (key, name, now) = (cx.arg(1), cx.arg(2), cx.now);
    let (stream, group) = match group(cx, key, name, "")? {
        Ok(found) => found,
        Err(missing) => return Ok(missing),
    };
    let min_idle = named(cx.arg(4), "ERR Invalid min-idle-time argument for XCLAIM")?.max(0);
    let mut rest = cx.rest(5);
    let mut ids = Vec::new();
    while let [text, more @ ..] = rest
        && let Ok(id) = strict_id(text, 0)
    {
        ids.push(id);
        rest = more;
    }
    let mut claim = Claim {
        stream,
        group,
        min_idle,
        delivered: -1,
        count: None,
        force: false,
        just_id: false,
        changed: BTreeMap::new(),
        replies: Vec::new(),
    };
    let last = match options(&mut claim, rest, now)? {
        Ok(last) => last,
        Err(unknown) => return Ok(unknown),
    };
    if last > group.last {
        cx.effects.group_set(cx.db, key, name, last, group.read);
    }
    // What was not given, or makes no sense, is now.
    if !(0..=now).contains(&claim.delivered) {
        claim.delivered = now;
    }
    for id in ids {
        claim.one(id, now);
    }
    Ok(Reply::Array(claim.finish(cx)))
}

/// Reads what stands behind the numbers; gives LASTID, or the error for what is no option.
fn options(
    claim: &mut Claim<'_>,
    mut rest: &[&[u8]],
    now: i64,
) -> Result<Result<StreamId, Reply>, Refusal> {
    let mut last = StreamId::ZERO;
    while let Some((option, more)) = rest.split_first() {
        rest = match (option.to_ascii_lowercase().as_slice(), more) {
            (b"force", more) => {
                claim.force = true;
                more
            }
            (b"justid", more) => {
                claim.just_id = true;
                more
            }
            (b"idle", [text, more @ ..]) => {
                let idle = named(text, "ERR Invalid IDLE option argument for XCLAIM")?;
                claim.delivered = now.saturating_sub(idle);
                more
            }
            (b"time", [text, more @ ..]) => {
                claim.delivered = named(text, "ERR Invalid TIME option argument for XCLAIM")?;
                more
            }
            (b"retrycount", [text, more @ ..]) => {
                let count = named(text, "ERR Invalid RETRYCOUNT option argument for XCLAIM")?;
                claim.count = u64::try_from(count).ok();
                more
            }
            (b"lastid", [text, more @ ..]) => {
                last = strict_id(text, 0)?;
                more
            }
            _ => {
                let option = quote(option, QUOTED);
                return Ok(Err(error(&format!("ERR Unrecognized XCLAIM option '{option}'"))));
            }
        };
    }
    Ok(Ok(last))
}

/// Entries XAUTOCLAIM gives where COUNT says nothing, and how many it looks at for each.
const DEFAULT_COUNT: i64 = 100;
const LOOKS: i64 = 10;

/// `XAUTOCLAIM key group consumer min-idle start [COUNT count] [JUSTID]`
pub(in super::super) fn xautoclaim(cx: &mut Context<'_>) -> Outcome {
    let now = cx.now;
    let min_idle = named(cx.arg(4), "ERR Invalid min-idle-time argument for XAUTOCLAIM")?.max(0);
    let start = start_id(cx.arg(5))?;
    let (mut limit, mut just_id) = (DEFAULT_COUNT, false);
    let mut rest = cx.rest(6);
    while let Some((option, more)) = rest.split_first() {
        rest = match (option.to_ascii_lowercase().as_slice(), more) {
            (b"count", [text, more @ ..]) => {
                limit = named(text, "ERR COUNT must be > 0")?;
                if !(1..=i64::MAX / 16).contains(&limit) {
                    return Err(Refusal::Plain("ERR COUNT must be > 0"));
                }
                more
            }
            (b"justid", more) => {
                just_id = true;
                more
            }
            _ => return Err(Refusal::Syntax),
        };
    }
    let (stream, group) = match group(cx, cx.arg(1), cx.arg(2), "")? {
        Ok(found) => found,
        Err(missing) => return Ok(missing),
    };
    let mut claim = Claim {
        stream,
        group,
        min_idle,
        delivered: now,
        count: None,
        force: false,
        just_id,
        changed: BTreeMap::new(),
        replies: Vec::new(),
    };
    let (mut looks, mut gone) = (limit.saturating_mul(LOOKS), Vec::new());
    let mut pending = group.pending.from(start);
    while looks > 0 && limit > 0 {
        let Some((id, _)) = pending.next() else { break };
        looks -= 1;
        match claim.one(id, now) {
            Fate::Left => continue,
            Fate::Claimed => {}
            Fate::Gone => gone.push(spelled(id)),
        }
        limit -= 1;
    }
    let next = pending.next().map_or(StreamId::ZERO, |(id, _)| id);
    let claimed = claim.finish(cx);
    Ok(Reply::Array(vec![spelled(next), Reply::Array(claimed), Reply::Array(gone)]))
}
