//! Keys as wholes: RENAME RENAMENX COPY MOVE SWAPDB OBJECT MEMORY

use super::number::{integer, parse};
use super::{Context, QUOTED, Refusal, Reply, count, error, quote};
use crate::keyspace::effect::DATABASES;
use crate::keyspace::value::Value;

type Outcome = Result<Reply, Refusal>;

const NO_KEY: Refusal = Refusal::Plain("ERR no such key");
const NO_DATABASE: Refusal = Refusal::Plain("ERR DB index is out of range");
const SAME: Refusal = Refusal::Plain("ERR source and destination objects are the same");

/// `RENAME key newkey`
pub(super) fn rename(cx: &mut Context<'_>) -> Outcome {
    let (from, to) = (cx.arg(1), cx.arg(2));
    cx.entry(from).ok_or(NO_KEY)?;
    move_to(cx, from, cx.db, to);
    Ok(Reply::OK)
}

/// `RENAMENX key newkey`
pub(super) fn renamenx(cx: &mut Context<'_>) -> Outcome {
    let (from, to) = (cx.arg(1), cx.arg(2));
    cx.entry(from).ok_or(NO_KEY)?;
    let free = cx.entry(to).is_none();
    if free {
        move_to(cx, from, cx.db, to);
    }
    Ok(Reply::Integer(free.into()))
}

fn move_to(cx: &mut Context<'_>, from: &[u8], db: u8, to: &[u8]) {
    if (cx.db, from) != (db, to) {
        cx.effects.copy(cx.db, from, db, to);
        cx.effects.delete(cx.db, from);
    }
}

fn database(text: &[u8]) -> Option<u8> {
    parse(text).and_then(|db| u8::try_from(db).ok()).filter(|db| *db < DATABASES)
}

/// Whether a key of another database is there, not expired.
fn taken(cx: &Context<'_>, db: u8, key: &[u8]) -> bool {
    cx.keyspace.entry(db, key).is_some_and(|entry| !entry.expired(cx.now))
}

/// `COPY source destination [DB database] [REPLACE]`
pub(super) fn copy(cx: &mut Context<'_>) -> Outcome {
    let (from, to) = (cx.arg(1), cx.arg(2));
    let (mut db, mut replace) = (cx.db, false);
    let mut rest = cx.rest(3);
    while let Some((option, more)) = rest.split_first() {
        rest = match more {
            _ if option.eq_ignore_ascii_case(b"replace") => {
                replace = true;
                more
            }
            [number, more @ ..] if option.eq_ignore_ascii_case(b"db") => {
                integer(number)?;
                db = database(number).ok_or(NO_DATABASE)?;
                more
            }
            _ => return Err(Refusal::Syntax),
        };
    }
    if (cx.db, from) == (db, to) {
        return Err(SAME);
    }
    if cx.entry(from).is_none() || !replace && taken(cx, db, to) {
        return Ok(Reply::Integer(0));
    }
    cx.effects.copy(cx.db, from, db, to);
    Ok(Reply::Integer(1))
}

/// `MOVE key db`
pub(super) fn move_key(cx: &mut Context<'_>) -> Outcome {
    let key = cx.arg(1);
    let out_of_range = Refusal::Plain("ERR value is not an integer or out of range");
    parse(cx.arg(2)).ok_or(out_of_range)?;
    let db = database(cx.arg(2)).ok_or(NO_DATABASE)?;
    if db == cx.db {
        return Err(SAME);
    }
    let moves = cx.entry(key).is_some() && !taken(cx, db, key);
    if moves {
        move_to(cx, key, db, key);
    }
    Ok(Reply::Integer(moves.into()))
}

/// `SWAPDB index1 index2`
pub(super) fn swapdb(cx: &mut Context<'_>) -> Outcome {
    parse(cx.arg(1)).ok_or(Refusal::Plain("ERR invalid first DB index"))?;
    parse(cx.arg(2)).ok_or(Refusal::Plain("ERR invalid second DB index"))?;
    let a = database(cx.arg(1)).ok_or(NO_DATABASE)?;
    let b = database(cx.arg(2)).ok_or(NO_DATABASE)?;
    if a != b {
        cx.effects.swap_db(a, b);
    }
    Ok(Reply::OK)
}

pub(super) fn unknown_subcommand(cx: &Context<'_>) -> Reply {
    let family = cx.command.name.to_ascii_uppercase();
    let given = quote(cx.arg(1), QUOTED);
    error(&format!(
        "ERR unknown subcommand or wrong number of arguments for '{given}'. Try {family} HELP."
    ))
}

pub(super) fn help(lines: &[&'static str]) -> Reply {
    Reply::Array(lines.iter().map(|line| Reply::Simple(line)).collect())
}

/// `OBJECT ENCODING | REFCOUNT | IDLETIME | FREQ key`, `OBJECT HELP`
pub(super) fn object(cx: &mut Context<'_>) -> Outcome {
    let sub = cx.arg(1).to_ascii_lowercase();
    match (sub.as_slice(), cx.args.len()) {
        (b"help", 2) => return Ok(help(OBJECT_HELP)),
        (b"encoding" | b"refcount" | b"idletime" | b"freq", 3) => {}
        _ => return Ok(unknown_subcommand(cx)),
    }
    let Some(entry) = cx.entry(cx.arg(2)) else { return Ok(Reply::Null) };
    Ok(match sub.as_slice() {
        b"encoding" => Reply::bulk(encoding(&entry.value).as_bytes()),
        b"refcount" => Reply::Integer(1),
        b"idletime" => Reply::Integer(cx.keyspace.idle(entry, cx.now)),
        _ => error(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note \
             that when switching between policies at runtime LRU and LFU data will take some time \
             to adjust.",
        ),
    })
}

const OBJECT_HELP: &[&str] = &[
    "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ENCODING <key>",
    "    Says by Redis's names how a key is kept.",
    "FREQ <key>",
    "    Access frequencies are not kept.",
    "IDLETIME <key>",
    "    Access times are not kept: 0.",
    "REFCOUNT <key>",
    "    1.",
    "HELP",
    "    Print this help.",
];

/// The name Redis would have for how a value of this size is kept.
fn encoding(value: &Value) -> &'static str {
    match value {
        Value::String(string) if parse(string).is_some() => "int",
        Value::String(string) if string.len() <= 44 => "embstr",
        Value::String(_) => "raw",
        Value::List(_) => "quicklist",
        Value::Hash(hash) if hash.fits_listpack() => "listpack",
        Value::Hash(_) => "hashtable",
        Value::Set(set) => {
            let numbers = set.len() <= 512 && set.iter().all(|(m, ())| parse(m).is_some());
            if numbers { "intset" } else { "hashtable" }
        }
        Value::Stream(_) => "stream",
        Value::ZSet(zset) if zset.scores().fits_listpack() => "listpack",
        Value::ZSet(_) => "skiplist",
    }
}

/// `MEMORY USAGE key [SAMPLES count]`, `MEMORY DOCTOR | HELP | MALLOC-STATS | PURGE`
pub(super) fn memory(cx: &mut Context<'_>) -> Outcome {
    match (cx.arg(1).to_ascii_lowercase().as_slice(), cx.rest(2)) {
        (b"usage", [key, options @ ..]) => {
            match options {
                [] => {}
                [name, samples] if name.eq_ignore_ascii_case(b"samples") => {
                    if integer(samples)? < 0 {
                        return Err(Refusal::Syntax);
                    }
                }
                _ => return Err(Refusal::Syntax),
            }
            let entry = cx.entry(key);
            Ok(entry.map_or(Reply::Null, |entry| count(bytes(&entry.value) + key.len() + 64)))
        }
        (b"purge", []) => Ok(Reply::OK),
        (b"doctor", []) => Ok(Reply::bulk(b"")),
        (b"malloc-stats", []) => Ok(Reply::bulk(b"Stats not supported for the current allocator")),
        (b"help", []) => Ok(help(&[
            "MEMORY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
            "USAGE <key> [SAMPLES <count>]",
            "    Bytes a key takes in memory, about.",
            "HELP",
            "    Print this help.",
        ])),
        _ => Ok(unknown_subcommand(cx)),
    }
}

/// Bytes a value takes, with what stands around each of its parts.
fn bytes(value: &Value) -> usize {
    const AROUND: usize = 32;
    match value {
        Value::String(string) => string.len() + 16,
        Value::List(list) => list.memory(),
        Value::Stream(stream) => stream.memory(),
        Value::Hash(hash) => hash.iter().map(|(f, v)| f.len() + v.len() + 2 * AROUND).sum(),
        Value::Set(set) => set.iter().map(|(member, ())| member.len() + AROUND).sum(),
        Value::ZSet(zset) => zset.iter().map(|(_, member)| 2 * (member.len() + AROUND)).sum(),
    }
}
