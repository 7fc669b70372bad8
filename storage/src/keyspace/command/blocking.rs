//! The commands that wait: BLPOP BRPOP BLMOVE BRPOPLPUSH BLMPOP BZPOPMIN BZPOPMAX BZMPOP
//!
//! Here they do what they can at once; a nil reply tells the connection to wait and ask again.

use super::number::integer;
use super::{Command, Context, Refusal, Reply, Request, list, stream, zset};
use crate::keyspace::Keyspace;
use crate::keyspace::float;
use crate::keyspace::list::End;

type Outcome = Result<Reply, Refusal>;

/// How long a command waits where it finds nothing, in milliseconds; 0 = for ever, `None` = not at all.
pub fn waits(command: &Command, args: &[&[u8]]) -> Option<i64> {
    let text = match command.name {
        _ if !command.blocks => return None,
        "xread" | "xreadgroup" => return stream::timeout(args),
        "blmpop" | "bzmpop" => args.get(1),
        _ => args.last(),
    };
    Some(timeout(text.copied().unwrap_or_default()).unwrap_or(0))
}

/// The arguments by which a command that waits is run again.
pub fn as_waiting(keyspace: &Keyspace, command: &Command, request: &Request<'_>) -> Vec<Box<[u8]>> {
    if command.name.starts_with('x') {
        return stream::as_waiting(keyspace, request);
    }
    request.args.iter().map(|arg| Box::from(*arg)).collect()
}

/// How long a waiting command may wait, in milliseconds, said at argument `at`; 0 = for ever.
fn timeout(text: &[u8]) -> Result<i64, &'static str> {
    let invalid = "ERR timeout is not a float or out of range";
    let seconds = match integer(text) {
        Ok(seconds) => seconds as f64,
        Err(_) => float::parse(text).ok_or(invalid)?,
    };
    if seconds < 0.0 {
        return Err("ERR timeout is negative");
    }
    let ms = (seconds * 1000.0).ceil();
    if ms >= i64::MAX as f64 / 4.0 { Err("ERR timeout is out of range") } else { Ok(ms as i64) }
}

fn check_timeout(cx: &Context<'_>, at: usize) -> Result<(), Refusal> {
    timeout(cx.arg(at)).map(|_| ()).map_err(Refusal::Plain)
}

/// `BLPOP key [key ...] timeout`
pub(super) fn blpop(cx: &mut Context<'_>) -> Outcome {
    pop(cx, End::Left)
}

/// `BRPOP key [key ...] timeout`
pub(super) fn brpop(cx: &mut Context<'_>) -> Outcome {
    pop(cx, End::Right)
}

fn pop(cx: &mut Context<'_>, from: End) -> Outcome {
    let last = cx.args.len() - 1;
    check_timeout(cx, last)?;
    for key in cx.args.get(1..last).unwrap_or_default() {
        if let Some(found) = cx.list(key)? {
            let mut elements = list::take(cx, key, found, from, 1);
            elements.insert(0, Reply::bulk(key));
            return Ok(Reply::Array(elements));
        }
    }
    Ok(Reply::NullArray)
}

/// `BLMOVE source destination LEFT | RIGHT LEFT | RIGHT timeout`
pub(super) fn blmove(cx: &mut Context<'_>) -> Outcome {
    let (from, to) = (list::end(cx.arg(3))?, list::end(cx.arg(4))?);
    check_timeout(cx, 5)?;
    list::move_element(cx, from, to)
}

/// `BRPOPLPUSH source destination timeout`
pub(super) fn brpoplpush(cx: &mut Context<'_>) -> Outcome {
    check_timeout(cx, 3)?;
    list::move_element(cx, End::Right, End::Left)
}

/// `BLMPOP timeout numkeys key [key ...] LEFT | RIGHT [COUNT count]`
pub(super) fn blmpop(cx: &mut Context<'_>) -> Outcome {
    check_timeout(cx, 1)?;
    list::pop_first(cx, 2)
}

/// `BZPOPMIN key [key ...] timeout`
pub(super) fn bzpopmin(cx: &mut Context<'_>) -> Outcome {
    pop_scored(cx, zset::Side::Min)
}

/// `BZPOPMAX key [key ...] timeout`
pub(super) fn bzpopmax(cx: &mut Context<'_>) -> Outcome {
    pop_scored(cx, zset::Side::Max)
}

fn pop_scored(cx: &mut Context<'_>, side: zset::Side) -> Outcome {
    let last = cx.args.len() - 1;
    check_timeout(cx, last)?;
    for key in cx.args.get(1..last).unwrap_or_default() {
        if let Some(found) = cx.zset(key)? {
            let taken = zset::take(cx, key, found, side, 1);
            let mut reply = vec![Reply::bulk(key)];
            reply.extend(taken.into_iter().flat_map(|(member, score)| [member, score]));
            return Ok(Reply::Array(reply));
        }
    }
    Ok(Reply::NullArray)
}

/// `BZMPOP timeout numkeys key [key ...] MIN | MAX [COUNT count]`
pub(super) fn bzmpop(cx: &mut Context<'_>) -> Outcome {
    check_timeout(cx, 1)?;
    zset::pop_first(cx, 2)
}
