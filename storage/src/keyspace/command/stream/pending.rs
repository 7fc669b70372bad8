//! XPENDING

use super::{Outcome, end_id, group, spelled, start_id};
use crate::keyspace::command::number::integer;
use crate::keyspace::command::{Context, Refusal, Reply, count};
use crate::keyspace::stream::{Group, Pending, StreamId};

/// `XPENDING key group [[IDLE min-idle] start end count [consumer]]`
pub(in super::super) fn xpending(cx: &mut Context<'_>) -> Outcome {
    let len = cx.args.len();
    if len == 3 {
        let found = group(cx, cx.arg(1), cx.arg(2), "")?;
        return Ok(found.map_or_else(|missing| missing, |(_, group)| summary(group)));
    }
    if !(6..=9).contains(&len) {
        return Err(Refusal::Syntax);
    }
    let (mut idle, mut at) = (0, 3);
    if cx.arg(3).eq_ignore_ascii_case(b"idle") {
        idle = integer(cx.arg(4))?;
        if len < 8 {
            return Err(Refusal::Syntax);
        }
        at = 5;
    }
    let limit = usize::try_from(integer(cx.arg(at + 2))?).unwrap_or(0);
    let (start, end) = (start_id(cx.arg(at))?, end_id(cx.arg(at + 1))?);
    let group = match group(cx, cx.arg(1), cx.arg(2), "")? {
        Ok((_, group)) => group,
        Err(missing) => return Ok(missing),
    };
    let now = cx.now;
    let shown = |(id, pending): (StreamId, &Pending)| {
        let since = now.saturating_sub(pending.delivered);
        (idle == 0 || since >= idle).then(|| {
            Reply::Array(vec![
                spelled(id),
                Reply::bulk(&pending.consumer),
                Reply::Integer(since.max(0)),
                Reply::Integer(pending.count.cast_signed()),
            ])
        })
    };
    let within = |id: &StreamId| *id <= end;
    Ok(Reply::Array(match cx.args.get(at + 3) {
        None => {
            let all = group.pending.from(start).take_while(|(id, _)| within(id));
            all.filter_map(shown).take(limit).collect()
        }
        Some(name) => {
            let Some(consumer) = group.consumers.get(*name) else {
                return Ok(Reply::Array(Vec::new()));
            };
            let own = consumer.pending.from(start).take_while(|(id, ())| within(id));
            let own = own.filter_map(|(id, ())| Some((id, group.pending.get(id)?)));
            own.filter_map(shown).take(limit).collect()
        }
    }))
}

/// How many are pending, from where to where, and of whom.
fn summary(group: &Group) -> Reply {
    let Some((first, last)) = group.pending.ends() else {
        return Reply::Array(vec![Reply::Integer(0), Reply::Null, Reply::Null, Reply::NullArray]);
    };
    let owners = group.consumers.iter().filter(|(_, consumer)| !consumer.pending.is_empty());
    let owners = owners.map(|(name, consumer)| {
        let pending = consumer.pending.len().to_string().into_bytes();
        Reply::Array(vec![Reply::bulk(name), Reply::Bulk(pending)])
    });
    Reply::Array(vec![
        count(group.pending.len()),
        spelled(first),
        spelled(last),
        Reply::Array(owners.collect()),
    ])
}
