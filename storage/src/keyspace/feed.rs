//! Effects as Redis commands: what a follower that is a Redis is fed (`docs/format/feed.md`).
//!
//! The bytes are a function of the record and of whether a transaction is open, and of nothing else:
//! offsets in the stream are counted from them, live, in replay and when the log is read again. So
//! what is spelled here is frozen: a change needs a new version of the effects.

use super::effect::{Effect, Effects, Ids, StreamEffect, Strings};
use super::float;
use super::list::End;
use super::rdb::seal_stream;

/// Arguments of one command at most, beside its name and key; even, so that no pair is torn.
const MOST: usize = 1 << 16;

/// Takes the stream's bytes, or only counts them.
pub trait Out {
    /// The next bytes.
    fn put(&mut self, bytes: &[u8]);

    /// A kind, a number and the end of the line.
    fn line(&mut self, kind: u8, number: usize);
}

impl Out for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn line(&mut self, kind: u8, number: usize) {
        self.push(kind);
        self.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        self.extend_from_slice(b"\r\n");
    }
}

/// Counts bytes.
impl Out for u64 {
    fn put(&mut self, bytes: &[u8]) {
        *self += bytes.len() as u64;
    }

    fn line(&mut self, _: u8, number: usize) {
        *self += 4 + u64::from(number.checked_ilog10().unwrap_or(0));
    }
}

/// Appends one record. `open` says whether a transaction is, before and after.
///
/// Between records database 0 is selected. What one record does to keys is one transaction if it
/// takes more than one command.
pub fn spell(effects: &Effects, open: &mut bool, out: &mut impl Out) {
    // Most records are one effect, which is read once: every record of a node that is followed comes by here.
    let only = effects.only();
    let count = only.map_or_else(|| commands(effects), |(_, effect)| writes(&effect));
    let alone = !*open && count > 1;
    let mut selected = 0;
    if alone {
        command(out, &[b"MULTI"]);
    }
    let mut spell = |(db, effect): (u8, Effect<'_>)| {
        let placed = !matches!(effect, Effect::SwapDb { .. } | Effect::FlushAll);
        if db != selected && placed && writes(&effect) > 0 {
            select(out, db);
            selected = db;
        }
        match effect {
            Effect::Begin if !alone && !*open => {
                *open = true;
                command(out, &[b"MULTI"]);
            }
            Effect::End if *open => {
                *open = false;
                command(out, &[b"EXEC"]);
            }
            Effect::SwapDb { with } => {
                let (a, b) = (number(db.into()), number(with.into()));
                command(out, &[b"SWAPDB", a.as_bytes(), b.as_bytes()]);
            }
            effect => spell_one(effect, out),
        }
    };
    match only {
        Some(only) => spell(only),
        None => effects.iter().for_each(spell),
    }
    if selected != 0 {
        select(out, 0);
    }
    if alone {
        command(out, &[b"EXEC"]);
    }
}

/// Commands that change keys; what is about transactions is counted as none.
fn commands(effects: &Effects) -> usize {
    let mut transaction = false;
    let count = effects.iter().map(|(_, effect)| {
        transaction |= matches!(effect, Effect::Begin | Effect::End);
        writes(&effect)
    });
    let count = count.sum();
    if transaction { 0 } else { count }
}

/// How many commands an effect is, of those that change keys.
fn writes(effect: &Effect<'_>) -> usize {
    let runs = |strings: &Strings<'_>| {
        usize::try_from(strings.count()).unwrap_or(usize::MAX).div_ceil(MOST)
    };
    match effect {
        Effect::Delete { .. }
        | Effect::Expire { .. }
        | Effect::Persist { .. }
        | Effect::StringSet { .. }
        | Effect::StringPut { .. }
        | Effect::ListDrop { .. }
        | Effect::ListSet { .. }
        | Effect::ListInsert { .. }
        | Effect::ListRemove { .. }
        | Effect::Copy { .. }
        | Effect::SwapDb { .. }
        | Effect::FlushDb
        | Effect::FlushAll => 1,
        Effect::ListPush { elements: strings, .. }
        | Effect::HashSet { pairs: strings, .. }
        | Effect::HashDelete { fields: strings, .. }
        | Effect::SetAdd { members: strings, .. }
        | Effect::SetRemove { members: strings, .. }
        | Effect::ZSetAdd { pairs: strings, .. }
        | Effect::ZSetRemove { members: strings, .. } => runs(strings),
        Effect::Stream { effect, .. } => match effect {
            // Made by the group that comes.
            StreamEffect::Set { new: true, .. } => 0,
            StreamEffect::Deliver { entries, .. } => entries.count(),
            _ => 1,
        },
        Effect::Mark { .. }
        | Effect::Begin
        | Effect::End
        | Effect::Ping
        | Effect::Ask
        | Effect::Identity { .. } => 0,
    }
}

fn spell_one(effect: Effect<'_>, out: &mut impl Out) {
    match effect {
        Effect::Delete { key } => command(out, &[b"DEL", key]),
        Effect::Expire { key, at } => command(out, &[b"PEXPIREAT", key, number(at).as_bytes()]),
        Effect::Persist { key } => command(out, &[b"PERSIST", key]),
        Effect::StringSet { key, value, keep_expiry: false } => command(out, &[b"SET", key, value]),
        Effect::StringSet { key, value, keep_expiry: true } => {
            command(out, &[b"SET", key, value, b"KEEPTTL"]);
        }
        Effect::StringPut { key, at, bytes } => {
            command(out, &[b"SETRANGE", key, at.to_string().as_bytes(), bytes]);
        }
        Effect::ListPush { key, end: End::Left, elements } => run(out, b"LPUSH", key, elements),
        Effect::ListPush { key, end: End::Right, elements } => run(out, b"RPUSH", key, elements),
        Effect::ListDrop { key, left, right } => {
            let start = i64::try_from(left).unwrap_or(i64::MAX);
            let stop = i64::try_from(right).unwrap_or(i64::MAX).saturating_add(1).saturating_neg();
            let (mut from, mut to) = (itoa::Buffer::new(), itoa::Buffer::new());
            let (from, to) = (from.format(start).as_bytes(), to.format(stop).as_bytes());
            command(out, &[b"LTRIM", key, from, to]);
        }
        Effect::ListSet { key, index, element } => {
            command(out, &[b"LSET", key, index.to_string().as_bytes(), element]);
        }
        Effect::ListInsert { key, element, after, pivot, .. } => {
            let side: &[u8] = if after { b"AFTER" } else { b"BEFORE" };
            command(out, &[b"LINSERT", key, side, pivot, element]);
        }
        Effect::ListRemove { key, count, element, .. } => {
            command(out, &[b"LREM", key, number(count).as_bytes(), element]);
        }
        Effect::HashSet { key, pairs } => run(out, b"HSET", key, pairs),
        Effect::HashDelete { key, fields } => run(out, b"HDEL", key, fields),
        Effect::SetAdd { key, members } => run(out, b"SADD", key, members),
        Effect::SetRemove { key, members } => run(out, b"SREM", key, members),
        Effect::ZSetAdd { key, pairs } => add_scored(out, key, pairs),
        Effect::ZSetRemove { key, members } => run(out, b"ZREM", key, members),
        Effect::Copy { key, to_db, to } => {
            command(out, &[b"COPY", key, to, b"DB", number(to_db.into()).as_bytes(), b"REPLACE"]);
        }
        Effect::Stream { key, effect } => spell_stream(key, effect, out),
        Effect::FlushDb => command(out, &[b"FLUSHDB"]),
        Effect::FlushAll => command(out, &[b"FLUSHALL"]),
        Effect::Ping => command(out, &[b"PING"]),
        Effect::Ask => command(out, &[b"REPLCONF", b"GETACK", b"*"]),
        Effect::SwapDb { .. }
        | Effect::Mark { .. }
        | Effect::Begin
        | Effect::End
        | Effect::Identity { .. } => {}
    }
}

/// In commands of Redis 7.
fn spell_stream(key: &[u8], effect: StreamEffect<'_>, out: &mut impl Out) {
    match effect {
        StreamEffect::Add { id, pairs } => {
            head(out, 3 + pairs.count());
            [b"XADD", key, id.to_string().as_bytes()].iter().for_each(|arg| bulk(out, arg));
            pairs.for_each(|string| bulk(out, string));
        }
        StreamEffect::Trim { first: Some(first), .. } => {
            command(out, &[b"XTRIM", key, b"MINID", b"=", first.to_string().as_bytes()]);
        }
        StreamEffect::Trim { first: None, .. } => {
            command(out, &[b"XTRIM", key, b"MAXLEN", b"=", b"0"]);
        }
        StreamEffect::Delete { ids } => numbered(out, &[b"XDEL", key], ids),
        StreamEffect::Set { new: true, .. } => {}
        StreamEffect::Set { last: last_id, max_deleted, added, new: false } => {
            let (last, deleted) = (last_id.to_string(), max_deleted.to_string());
            let added = added.to_string();
            let mut words =
                vec![b"XSETID", key, last.as_bytes(), b"ENTRIESADDED", added.as_bytes()];
            // A higher one is what the follower has already, and Redis would refuse it.
            if max_deleted <= last_id {
                words.extend([&b"MAXDELETEDID"[..], deleted.as_bytes()]);
            }
            command(out, &words);
        }
        StreamEffect::GroupSet { group, last, read, new } => {
            let (last, read) = (last.to_string(), read.map(|read| read.to_string()));
            let what: &[u8] = if new { b"CREATE" } else { b"SETID" };
            let mut words = vec![b"XGROUP", what, key, group, last.as_bytes()];
            if new {
                words.push(b"MKSTREAM");
            }
            if let Some(read) = &read {
                words.extend([&b"ENTRIESREAD"[..], read.as_bytes()]);
            }
            command(out, &words);
        }
        StreamEffect::GroupRemove { group } => {
            command(out, &[b"XGROUP", b"DESTROY", key, group]);
        }
        StreamEffect::Seen { group, consumer, .. } => {
            command(out, &[b"XGROUP", b"CREATECONSUMER", key, group, consumer]);
        }
        StreamEffect::ConsumerRemove { group, consumer } => {
            command(out, &[b"XGROUP", b"DELCONSUMER", key, group, consumer]);
        }
        StreamEffect::Deliver { group, consumer, entries } => {
            for (id, at, count) in entries {
                let (id, at, count) = (id.to_string(), at.to_string(), count.to_string());
                let words = [b"XCLAIM", key, group, consumer, b"0", id.as_bytes()];
                let rest = [b"TIME", at.as_bytes(), b"RETRYCOUNT", count.as_bytes()];
                command(out, &[&words[..], &rest, &[b"FORCE", b"JUSTID"]].concat());
            }
        }
        StreamEffect::Acknowledge { group, ids } => numbered(out, &[b"XACK", key, group], ids),
        StreamEffect::Put { stream } => {
            command(out, &[b"RESTORE", key, b"0", &seal_stream(stream), b"REPLACE"]);
        }
    }
}

fn numbered(out: &mut impl Out, words: &[&[u8]], ids: Ids<'_>) {
    head(out, words.len() + usize::try_from(ids.left()).unwrap_or(usize::MAX));
    words.iter().for_each(|word| bulk(out, word));
    ids.for_each(|id| bulk(out, id.to_string().as_bytes()));
}

fn select(out: &mut impl Out, db: u8) {
    command(out, &[b"SELECT", number(db.into()).as_bytes()]);
}

fn number(value: i64) -> String {
    value.to_string()
}

fn command(out: &mut impl Out, args: &[&[u8]]) {
    head(out, args.len());
    args.iter().for_each(|arg| bulk(out, arg));
}

/// A command with all strings, or as many of them as it takes.
fn run(out: &mut impl Out, name: &[u8], key: &[u8], mut strings: Strings<'_>) {
    while let Some(count) = next(&strings) {
        head(out, count + 2);
        bulk(out, name);
        bulk(out, key);
        strings.by_ref().take(count).for_each(|string| bulk(out, string));
    }
}

fn add_scored(out: &mut impl Out, key: &[u8], mut pairs: Strings<'_>) {
    while let Some(count) = next(&pairs) {
        head(out, count + 2);
        bulk(out, b"ZADD");
        bulk(out, key);
        for _ in 0..count / 2 {
            let score = pairs.next().and_then(|score| score.try_into().ok());
            bulk(out, float::spell(score.map_or(0.0, f64::from_le_bytes)).as_bytes());
            bulk(out, pairs.next().unwrap_or_default());
        }
    }
}

/// How many strings the next command takes.
fn next(strings: &Strings<'_>) -> Option<usize> {
    let left = usize::try_from(strings.count()).unwrap_or(usize::MAX).min(MOST);
    (left > 0).then_some(left)
}

fn head(out: &mut impl Out, count: usize) {
    out.line(b'*', count);
}

fn bulk(out: &mut impl Out, bytes: &[u8]) {
    out.line(b'$', bytes.len());
    out.put(bytes);
    out.put(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyspace::stream::StreamId;

    /// The commands of one record, as text; what stands between quotes is one argument.
    fn told(make: impl FnOnce(&mut Effects), open: &mut bool) -> String {
        let mut effects = Effects::default();
        make(&mut effects);
        let (mut bytes, mut count, mut was) = (Vec::new(), 0_u64, *open);
        spell(&effects, open, &mut bytes);
        spell(&effects, &mut was, &mut count);
        assert_eq!((count, was), (bytes.len() as u64, *open), "counted is what is spelled");
        let text = String::from_utf8(bytes).unwrap();
        let mut lines = text.split_terminator("\r\n");
        let mut commands = Vec::new();
        while let Some(head) = lines.next() {
            let arguments: usize = head.strip_prefix('*').unwrap().parse().unwrap();
            let argument = |_| {
                let length = lines.next().unwrap().strip_prefix('$').unwrap();
                let argument = lines.next().unwrap();
                assert_eq!(argument.len().to_string(), length);
                argument
            };
            commands.push((0..arguments).map(argument).collect::<Vec<_>>().join(" "));
        }
        commands.join("; ")
    }

    fn alone(make: impl FnOnce(&mut Effects)) -> String {
        let mut open = false;
        let told = told(make, &mut open);
        assert!(!open);
        told
    }

    /// These texts are frozen: replicas count their bytes.
    #[test]
    fn every_effect_has_its_command() {
        assert_eq!(alone(|e| e.delete(0, b"k")), "DEL k");
        assert_eq!(alone(|e| e.expire(0, b"k", 1_700_000_000_123)), "PEXPIREAT k 1700000000123");
        assert_eq!(alone(|e| e.persist(0, b"k")), "PERSIST k");
        assert_eq!(alone(|e| e.string_set(0, b"k", b"v", false)), "SET k v");
        assert_eq!(alone(|e| e.string_set(0, b"k", b"v", true)), "SET k v KEEPTTL");
        assert_eq!(alone(|e| e.string_put(0, b"k", 300, b"v")), "SETRANGE k 300 v");
        assert_eq!(alone(|e| e.list_push(0, b"k", End::Left, &[b"a", b"b"])), "LPUSH k a b");
        assert_eq!(alone(|e| e.list_push(0, b"k", End::Right, &[b"a"])), "RPUSH k a");
        assert_eq!(alone(|e| e.list_drop(0, b"k", 2, 0)), "LTRIM k 2 -1");
        assert_eq!(alone(|e| e.list_drop(0, b"k", 0, 3)), "LTRIM k 0 -4");
        assert_eq!(alone(|e| e.list_set(0, b"k", 7, b"x")), "LSET k 7 x");
        let insert = |e: &mut Effects| e.list_insert(0, b"k", 3, b"x", (true, b"p"));
        assert_eq!(alone(insert), "LINSERT k AFTER p x");
        let insert = |e: &mut Effects| e.list_insert(0, b"k", 3, b"x", (false, b"p"));
        assert_eq!(alone(insert), "LINSERT k BEFORE p x");
        assert_eq!(alone(|e| e.list_remove(0, b"k", (-2, b"x"), &[1, 2])), "LREM k -2 x");
        assert_eq!(alone(|e| e.hash_set(0, b"k", &[b"f", b"v"])), "HSET k f v");
        assert_eq!(alone(|e| e.hash_delete(0, b"k", &[b"f"])), "HDEL k f");
        assert_eq!(alone(|e| e.set_add(0, b"k", &[b"a", b"b"])), "SADD k a b");
        assert_eq!(alone(|e| e.set_remove(0, b"k", &[b"a"])), "SREM k a");
        let scored = [(0.1, &b"a"[..]), (f64::NEG_INFINITY, b"b"), (-0.0, b"c"), (3.0, b"d")];
        let told = "ZADD k 0.10000000000000001 a -inf b -0 c 3 d";
        assert_eq!(alone(|e| e.zset_add(0, b"k", &scored)), told);
        assert_eq!(alone(|e| e.zset_remove(0, b"k", &[b"a"])), "ZREM k a");
        assert_eq!(alone(|e| e.copy(0, b"k", 3, b"t")), "COPY k t DB 3 REPLACE");
        assert_eq!(alone(|e| e.swap_db(2, 5)), "SWAPDB 2 5");
        assert_eq!(alone(|e| e.flush_db(0)), "FLUSHDB");
        assert_eq!(alone(Effects::flush_all), "FLUSHALL");
        assert_eq!(alone(Effects::ping), "PING");
        assert_eq!(alone(Effects::ask), "REPLCONF GETACK *");
        assert_eq!(alone(|e| e.identity(&[1; 20])), "");
        let id = |ms| StreamId { ms, seq: 1 };
        let told = "XSETID s 5-1 ENTRIESADDED 7 MAXDELETEDID 4-1";
        assert_eq!(alone(|e| e.stream_set(0, b"s", id(5), id(4), 7)), told);
        assert_eq!(
            alone(|e| e.stream_set(0, b"s", id(5), id(6), 7)),
            "XSETID s 5-1 ENTRIESADDED 7"
        );
        let mark =
            super::super::extract::Mark { db: 0, key: b"k"[..].into(), state: b"s"[..].into() };
        assert_eq!(alone(|e| e.mark(&mark)), "");
    }

    #[test]
    fn a_record_is_one_transaction_and_leaves_database_0_selected() {
        assert_eq!(alone(|e| e.delete(3, b"k")), "SELECT 3; DEL k; SELECT 0");
        let both = |e: &mut Effects| {
            e.string_set(3, b"k", b"v", false);
            e.expire(3, b"k", 5);
            e.delete(0, b"l");
        };
        let told = "MULTI; SELECT 3; SET k v; PEXPIREAT k 5; SELECT 0; DEL l; EXEC";
        assert_eq!(alone(both), told);
        let many = vec![&b"m"[..]; MOST + 2];
        let long = alone(|e| e.list_push(0, b"k", End::Left, &many));
        assert!(long.starts_with("MULTI; LPUSH k m m") && long.ends_with("; LPUSH k m m; EXEC"));
    }

    #[test]
    fn a_transaction_spans_records() {
        let mut open = false;
        let first = |e: &mut Effects| {
            e.begin();
            e.delete(1, b"a");
            e.delete(1, b"b");
        };
        assert_eq!(told(first, &mut open), "MULTI; SELECT 1; DEL a; DEL b; SELECT 0");
        assert_eq!(told(|e| e.delete(0, b"c"), &mut open), "DEL c");
        assert_eq!(told(Effects::begin, &mut open), "", "transactions do not nest");
        assert!(open);
        assert_eq!(told(Effects::end, &mut open), "EXEC");
        assert_eq!(told(Effects::end, &mut open), "");
        assert!(!open);
    }
}
