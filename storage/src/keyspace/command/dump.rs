//! DUMP RESTORE: a key as bytes, which a Redis takes and gives too (`rdb`).

use super::number::integer;
use super::{Context, Refusal, Reply};
use crate::keyspace::list::End;
use crate::keyspace::rdb::{RdbError, decode, encode, put_stream};
use crate::keyspace::value::Value;

type Outcome = Result<Reply, Refusal>;

/// `DUMP key`
pub(super) fn dump(cx: &mut Context<'_>) -> Outcome {
    Ok(cx.entry(cx.arg(1)).map_or(Reply::Null, |entry| Reply::Bulk(encode(&entry.value))))
}

/// `RESTORE key ttl value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]`
pub(super) fn restore(cx: &mut Context<'_>) -> Outcome {
    let key = cx.arg(1);
    let (mut replace, mut absolute) = (false, false);
    let mut rest = cx.rest(4);
    while let Some((option, more)) = rest.split_first() {
        let option = option.to_ascii_lowercase();
        rest = match (option.as_slice(), more) {
            (b"replace", more) => {
                replace = true;
                more
            }
            (b"absttl", more) => {
                absolute = true;
                more
            }
            (b"idletime", [seconds, more @ ..]) => {
                let seconds = integer(seconds)?;
                if seconds < 0 {
                    return Err(Refusal::Plain("ERR Invalid IDLETIME value, must be >= 0"));
                }
                cx.used = cx.now.saturating_sub(seconds.saturating_mul(1000));
                more
            }
            (b"freq", [frequency, more @ ..]) => {
                if !(0..=255).contains(&integer(frequency)?) {
                    return Err(Refusal::Plain("ERR Invalid FREQ value, must be >= 0 and <= 255"));
                }
                more
            }
            _ => return Err(Refusal::Syntax),
        };
    }
    let taken = cx.entry(key).is_some();
    if taken && !replace {
        return Err(Refusal::Plain("BUSYKEY Target key name already exists."));
    }
    let ttl = integer(cx.arg(2))?;
    if ttl < 0 {
        return Err(Refusal::Plain("ERR Invalid TTL value, must be >= 0"));
    }
    let value = decode(cx.arg(3)).map_err(|error| match error {
        RdbError::Seal => Refusal::Plain("ERR DUMP payload version or checksum are wrong"),
        RdbError::Data(_) => Refusal::Plain("ERR Bad data format"),
    })?;
    if taken {
        cx.effects.delete(cx.db, key);
    }
    let at = if absolute { ttl } else { ttl.saturating_add(cx.now) };
    if ttl > 0 && at <= cx.now {
        return Ok(Reply::OK);
    }
    put(cx, key, &value);
    if ttl > 0 {
        cx.effects.expire(cx.db, key, at);
    }
    Ok(Reply::OK)
}

/// Writes down the effects that make a value.
fn put(cx: &mut Context<'_>, key: &[u8], value: &Value) {
    match value {
        Value::String(string) => cx.effects.string_set(cx.db, key, string, false),
        Value::List(list) => {
            let mut elements = Vec::new();
            list.visit(0, usize::MAX, &mut |element| elements.push(element.to_vec()));
            let elements: Vec<&[u8]> = elements.iter().map(Vec::as_slice).collect();
            cx.effects.list_push(cx.db, key, End::Right, &elements);
        }
        Value::Hash(hash) => {
            let pairs: Vec<&[u8]> = hash.iter().flat_map(|(f, v)| [&**f, &**v]).collect();
            cx.effects.hash_set(cx.db, key, &pairs);
        }
        Value::Set(set) => {
            let members: Vec<&[u8]> = set.iter().map(|(member, ())| &**member).collect();
            cx.effects.set_add(cx.db, key, &members);
        }
        Value::Stream(stream) => {
            let mut bytes = Vec::new();
            put_stream(&mut bytes, stream);
            cx.effects.stream_put(cx.db, key, &bytes);
        }
        Value::ZSet(zset) => {
            let members: Vec<_> = zset.iter().map(|(score, m)| (*score, &**m)).collect();
            cx.effects.zset_add(cx.db, key, &members);
        }
    }
}
