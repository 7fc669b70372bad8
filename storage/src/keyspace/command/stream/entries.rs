//! XADD XLEN XRANGE XREVRANGE XDEL XTRIM XSETID

use std::collections::BTreeSet;

use super::{Outcome, end_id, entries, ids, spelled, start_id, strict_id};
use crate::keyspace::command::number::integer;
use crate::keyspace::command::{Context, Refusal, Reply, count};
use crate::keyspace::stream::{MAX_ENTRIES, Stream, StreamId, Trim};

/// What a new entry's number is to be.
#[derive(Clone, Copy)]
enum Wanted {
    /// The time, or what is next.
    Now,
    /// The next in this millisecond.
    Within(u64),
    This(StreamId),
}

/// What XADD and XTRIM are asked for.
struct Asked {
    wanted: Wanted,
    make: bool,
    trim: Option<Trim>,
    approximate: bool,
    /// Entries a trim takes at most; 0 = all.
    limit: u64,
    /// Where the new number stands.
    at: usize,
}

const BOTH: Refusal = Refusal::Plain(
    "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
);
const NO_STRATEGY: Refusal =
    Refusal::Plain("ERR syntax error, LIMIT cannot be used without specifying a trimming strategy");
const NO_TILDE: Refusal =
    Refusal::Plain("ERR syntax error, LIMIT cannot be used without the special ~ option");
const UNTRIMMED: Refusal =
    Refusal::Plain("ERR syntax error, XTRIM must be called with a trimming strategy");

impl Asked {
    fn read(cx: &Context<'_>, adds: bool) -> Result<Asked, Refusal> {
        let mut asked = Asked {
            wanted: Wanted::Now,
            make: true,
            trim: None,
            approximate: false,
            limit: 0,
            at: cx.args.len(),
        };
        let mut limited = false;
        let mut at = 2;
        while at < cx.args.len() {
            let option = cx.arg(at).to_ascii_lowercase();
            match (option.as_slice(), cx.rest(at + 1)) {
                (b"*", _) if adds => break,
                (b"maxlen" | b"minid", [_, ..]) => at = asked.strategy(cx, at)?,
                (b"limit", [limit, ..]) => {
                    let negative = Refusal::Plain("ERR The LIMIT argument must be >= 0.");
                    asked.limit = u64::try_from(integer(limit)?).map_err(|_| negative)?;
                    limited = true;
                    at += 1;
                }
                (b"nomkstream", _) if adds => asked.make = false,
                _ if adds => {
                    asked.wanted = wanted(cx.arg(at))?;
                    break;
                }
                _ => return Err(Refusal::Syntax),
            }
            at += 1;
        }
        asked.at = at;
        match asked.trim {
            None if asked.limit > 0 => return Err(NO_STRATEGY),
            None if !adds => return Err(UNTRIMMED),
            _ if limited && !asked.approximate => return Err(NO_TILDE),
            _ if asked.approximate && !limited => asked.limit = 100 * MAX_ENTRIES as u64,
            _ => {}
        }
        Ok(asked)
    }

    /// Reads `MAXLEN | MINID [= | ~] threshold` at a place; gives where the threshold stands.
    fn strategy(&mut self, cx: &Context<'_>, at: usize) -> Result<usize, Refusal> {
        if self.trim.is_some() {
            return Err(BOTH);
        }
        let (sign, threshold) = match cx.rest(at + 1) {
            [sign @ (b"~" | b"="), _, ..] => (Some(*sign), at + 2),
            _ => (None, at + 1),
        };
        self.approximate = sign == Some(b"~");
        let text = cx.arg(threshold);
        self.trim = Some(if cx.arg(at).eq_ignore_ascii_case(b"maxlen") {
            let negative = Refusal::Plain("ERR The MAXLEN argument must be >= 0.");
            Trim::Length(u64::try_from(integer(text)?).map_err(|_| negative)?)
        } else {
            Trim::Before(strict_id(text, 0)?)
        });
        Ok(threshold)
    }
}

fn wanted(text: &[u8]) -> Result<Wanted, Refusal> {
    match text.strip_suffix(b"-*") {
        Some(ms) if !ms.contains(&b'-') => Ok(Wanted::Within(strict_id(ms, 0)?.ms)),
        _ => strict_id(text, 0).map(Wanted::This),
    }
}

/// The number a new entry gets; `None` if that is not above all before.
fn new_id(wanted: Wanted, last: StreamId, now: i64) -> Option<StreamId> {
    let now = u64::try_from(now).unwrap_or(0);
    let id = match wanted {
        Wanted::Now if now > last.ms => StreamId { ms: now, seq: 0 },
        Wanted::Now => last.next()?,
        Wanted::Within(ms) if ms == last.ms => StreamId { ms, seq: last.seq.checked_add(1)? },
        Wanted::Within(ms) => StreamId { ms, seq: 0 },
        Wanted::This(id) => id,
    };
    (id > last).then_some(id)
}

/// `XADD key [NOMKSTREAM] [MAXLEN | MINID [= | ~] threshold [LIMIT count]] * | id field value [...]`
pub(in super::super) fn xadd(cx: &mut Context<'_>) -> Outcome {
    let key = cx.arg(1);
    let asked = Asked::read(cx, true)?;
    let pairs = cx.rest(asked.at + 1);
    if pairs.len() < 2 || !pairs.len().is_multiple_of(2) {
        return Err(Refusal::Arity("xadd"));
    }
    if matches!(asked.wanted, Wanted::This(StreamId::ZERO)) {
        return Err(Refusal::Plain("ERR The ID specified in XADD must be greater than 0-0"));
    }
    let none = Stream::default();
    let stream = match cx.stream(key)? {
        Some(stream) => stream,
        None if asked.make => &none,
        None => return Ok(Reply::Null),
    };
    if stream.last == StreamId::MAX {
        return Err(Refusal::Plain(
            "ERR The stream has exhausted the last possible ID, unable to add more items",
        ));
    }
    let id = new_id(asked.wanted, stream.last, cx.now).ok_or(Refusal::Plain(
        "ERR The ID specified in XADD is equal or smaller than the target stream top item",
    ))?;
    cx.effects.stream_add(cx.db, key, id, pairs);
    if let Some(trim) = asked.trim {
        let gone = stream.excess(trim, asked.approximate, asked.limit, Some((id, pairs)));
        if gone > 0 {
            let first = stream.nth(gone).or((gone == stream.len()).then_some(id));
            cx.effects.stream_trim(cx.db, key, gone, first);
        }
    }
    Ok(spelled(id))
}

/// `XTRIM key MAXLEN | MINID [= | ~] threshold [LIMIT count]`
pub(in super::super) fn xtrim(cx: &mut Context<'_>) -> Outcome {
    let key = cx.arg(1);
    let asked = Asked::read(cx, false)?;
    let (Some(stream), Some(trim)) = (cx.stream(key)?, asked.trim) else {
        return Ok(Reply::Integer(0));
    };
    let gone = stream.excess(trim, asked.approximate, asked.limit, None);
    if gone > 0 {
        cx.effects.stream_trim(cx.db, key, gone, stream.nth(gone));
    }
    Ok(Reply::Integer(gone.cast_signed()))
}

/// `XLEN key`
pub(in super::super) fn xlen(cx: &mut Context<'_>) -> Outcome {
    let len = cx.stream(cx.arg(1))?.map_or(0, |stream| stream.len);
    Ok(Reply::Integer(len.cast_signed()))
}

/// `XRANGE key start end [COUNT count]`
pub(in super::super) fn xrange(cx: &mut Context<'_>) -> Outcome {
    range(cx, false)
}

/// `XREVRANGE key end start [COUNT count]`
pub(in super::super) fn xrevrange(cx: &mut Context<'_>) -> Outcome {
    range(cx, true)
}

fn range(cx: &mut Context<'_>, reverse: bool) -> Outcome {
    let (from, to) = if reverse { (3, 2) } else { (2, 3) };
    let (start, end) = (start_id(cx.arg(from))?, end_id(cx.arg(to))?);
    let mut limit = usize::MAX;
    let mut rest = cx.rest(4);
    while let Some((option, more)) = rest.split_first() {
        let [text, more @ ..] = more else { return Err(Refusal::Syntax) };
        if !option.eq_ignore_ascii_case(b"count") {
            return Err(Refusal::Syntax);
        }
        limit = usize::try_from(integer(text)?).unwrap_or(0);
        rest = more;
    }
    Ok(match cx.stream(cx.arg(1))? {
        None => Reply::Array(Vec::new()),
        Some(_) if limit == 0 => Reply::NullArray,
        Some(stream) if reverse => entries(stream.reversed(start, end, limit)),
        Some(stream) => entries(stream.range(start, end, limit)),
    })
}

/// `XDEL key id [id ...]`
pub(in super::super) fn xdel(cx: &mut Context<'_>) -> Outcome {
    let key = cx.arg(1);
    let Some(stream) = cx.stream(key)? else { return Ok(Reply::Integer(0)) };
    let mut seen = BTreeSet::new();
    let mut gone = ids(cx, 2)?;
    gone.retain(|id| stream.contains(*id) && seen.insert(*id));
    if !gone.is_empty() {
        cx.effects.stream_delete(cx.db, key, &gone);
    }
    Ok(count(gone.len()))
}

/// `XSETID key last-id [ENTRIESADDED count] [MAXDELETEDID id]`
pub(in super::super) fn xsetid(cx: &mut Context<'_>) -> Outcome {
    let key = cx.arg(1);
    let last = strict_id(cx.arg(2), 0)?;
    let (mut added, mut deleted) = (None, StreamId::ZERO);
    let mut rest = cx.rest(3);
    while let Some((option, more)) = rest.split_first() {
        rest = match (option.to_ascii_lowercase().as_slice(), more) {
            (b"entriesadded", [text, more @ ..]) => {
                let negative = Refusal::Plain("ERR entries_added must be positive");
                added = Some(u64::try_from(integer(text)?).map_err(|_| negative)?);
                more
            }
            (b"maxdeletedid", [text, more @ ..]) => {
                deleted = strict_id(text, 0)?;
                if last < deleted {
                    return Err(Refusal::Plain(
                        "ERR The ID specified in XSETID is smaller than the provided \
                         max_deleted_entry_id",
                    ));
                }
                more
            }
            _ => return Err(Refusal::Syntax),
        };
    }
    let stream = cx.stream(key)?.ok_or(Refusal::Plain("ERR no such key"))?;
    if stream.len > 0 && last < stream.top() {
        return Err(Refusal::Plain(
            "ERR The ID specified in XSETID is smaller than the target stream top item",
        ));
    }
    if stream.len > 0 && added.is_some_and(|added| stream.len > added) {
        return Err(Refusal::Plain(
            "ERR The entries_added specified in XSETID is smaller than the target stream length",
        ));
    }
    let deleted = if deleted == StreamId::ZERO { stream.max_deleted } else { deleted };
    cx.effects.stream_set(cx.db, key, last, deleted, added.unwrap_or(stream.added));
    Ok(Reply::OK)
}
