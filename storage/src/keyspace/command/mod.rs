//! The table of data commands, and what they share: arity, look-ups, errors.
//!
//! A family of commands is a file. A handler reads the keyspace through [`Context`], writes down its
//! effects there and gives the reply; it changes nothing.

mod expire;
mod hash;
mod keys;
mod list;
mod number;
mod scan;
mod set;
mod string;

use std::borrow::Cow;
use std::sync::Arc;

use super::effect::Effects;
use super::list::List;
use super::map::Map;
use super::request::{Decision, Reply, Request};
use super::table::Bytes;
use super::value::{Entry, Value};
use super::{Database, Keyspace};

/// One command of the table.
#[derive(Debug)]
pub struct Command {
    /// Its name, in lower case.
    pub name: &'static str,
    /// How many arguments, the name included; negative: at least so many.
    pub arity: i8,
    /// Whether it may change something.
    pub writes: bool,
    /// Where its keys stand: first, last (negative: from the end), step; zeros: it names none.
    pub keys: (i8, i8, i8),
    /// What kind of keys it is for, as Redis groups commands.
    pub group: &'static str,
    /// What it does, in a few words.
    pub summary: &'static str,
    run: fn(&mut Context<'_>) -> Result<Reply, Refusal>,
}

/// Bytes all arguments of one request may have together, so that its effects fit one record.
const MAX_REQUEST: usize = 768 << 20;
/// The longest name in the table.
const MAX_NAME: usize = 16;

/// Every data command, in order of names.
pub static COMMANDS: &[Command] = &{
    const fn command(
        name: &'static str,
        arity: i8,
        writes: bool,
        keys: (i8, i8, i8),
        group: &'static str,
        run: fn(&mut Context<'_>) -> Result<Reply, Refusal>,
        summary: &'static str,
    ) -> Command {
        Command { name, arity, writes, keys, group, summary, run }
    }
    const R: bool = false;
    const W: bool = true;
    const NONE: (i8, i8, i8) = (0, 0, 0);
    const ONE: (i8, i8, i8) = (1, 1, 1);
    const ALL: (i8, i8, i8) = (1, -1, 1);
    [
        command("dbsize", 1, R, NONE, "server", keys::dbsize, "Counts the keys."),
        command("decr", 2, W, ONE, "string", string::decr, "Takes one from a number."),
        command("decrby", 3, W, ONE, "string", string::decrby, "Takes from a number."),
        command("del", -2, W, ALL, "generic", keys::del, "Deletes keys."),
        command("exists", -2, R, ALL, "generic", keys::exists, "Counts which keys exist."),
        command("expire", -3, W, ONE, "generic", expire::expire, "Lets a key live for seconds."),
        command("expireat", -3, W, ONE, "generic", expire::expireat, "Lets a key live until."),
        command("expiretime", 2, R, ONE, "generic", expire::expiretime, "Says until when, in s."),
        command("flushall", -1, W, NONE, "server", keys::flushall, "Deletes every key."),
        command("flushdb", -1, W, NONE, "server", keys::flushdb, "Deletes the database's keys."),
        command("get", 2, R, ONE, "string", string::get, "Gives a string."),
        command("hdel", -3, W, ONE, "hash", hash::hdel, "Deletes fields."),
        command("hexists", 3, R, ONE, "hash", hash::hexists, "Says whether a field exists."),
        command("hget", 3, R, ONE, "hash", hash::hget, "Gives a field."),
        command("hgetall", 2, R, ONE, "hash", hash::hgetall, "Gives all fields."),
        command("hincrby", 4, W, ONE, "hash", hash::hincrby, "Adds to a field."),
        command("hkeys", 2, R, ONE, "hash", hash::hkeys, "Gives the names of all fields."),
        command("hlen", 2, R, ONE, "hash", hash::hlen, "Counts fields."),
        command("hmget", -3, R, ONE, "hash", hash::hmget, "Gives some fields."),
        command("hmset", -4, W, ONE, "hash", hash::hmset, "Sets fields."),
        command("hset", -4, W, ONE, "hash", hash::hset, "Sets fields, counts new ones."),
        command("hvals", 2, R, ONE, "hash", hash::hvals, "Gives the values of all fields."),
        command("incr", 2, W, ONE, "string", string::incr, "Adds one to a number."),
        command("incrby", 3, W, ONE, "string", string::incrby, "Adds to a number."),
        command("keys", 2, R, NONE, "generic", keys::keys, "Gives the keys of a pattern."),
        command("lindex", 3, R, ONE, "list", list::lindex, "Gives one element."),
        command("llen", 2, R, ONE, "list", list::llen, "Counts elements."),
        command("lpop", -2, W, ONE, "list", list::lpop, "Takes elements from the head."),
        command("lpush", -3, W, ONE, "list", list::lpush, "Pushes elements at the head."),
        command("lpushx", -3, W, ONE, "list", list::lpushx, "Pushes if the list exists."),
        command("lrange", 4, R, ONE, "list", list::lrange, "Gives a range of elements."),
        command("ltrim", 4, W, ONE, "list", list::ltrim, "Keeps only a range of elements."),
        command("persist", 2, W, ONE, "generic", expire::persist, "Lets a key live for ever."),
        command("pexpire", -3, W, ONE, "generic", expire::pexpire, "Lets a key live for ms."),
        command("pexpireat", -3, W, ONE, "generic", expire::pexpireat, "Lets a key live until."),
        command("pexpiretime", 2, R, ONE, "generic", expire::pexpiretime, "Says until when."),
        command("pttl", 2, R, ONE, "generic", expire::pttl, "Says for how long, in ms."),
        command("randomkey", 1, R, NONE, "generic", keys::randomkey, "Gives some key."),
        command("rpop", -2, W, ONE, "list", list::rpop, "Takes elements from the tail."),
        command("rpush", -3, W, ONE, "list", list::rpush, "Pushes elements at the tail."),
        command("rpushx", -3, W, ONE, "list", list::rpushx, "Pushes if the list exists."),
        command("sadd", -3, W, ONE, "set", set::sadd, "Adds members."),
        command("scan", -2, R, NONE, "generic", scan::scan, "Walks the keys."),
        command("scard", 2, R, ONE, "set", set::scard, "Counts members."),
        command("set", -3, W, ONE, "string", string::set, "Sets a string."),
        command("sismember", 3, R, ONE, "set", set::sismember, "Says whether a member is in."),
        command("smembers", 2, R, ONE, "set", set::smembers, "Gives all members."),
        command("srem", -3, W, ONE, "set", set::srem, "Removes members."),
        command("ttl", 2, R, ONE, "generic", expire::ttl, "Says for how long, in seconds."),
        command("type", 2, R, ONE, "generic", keys::kind, "Says what a key holds."),
        command("unlink", -2, W, ALL, "generic", keys::del, "Deletes keys."),
    ]
};

/// The command of a name in any case.
pub fn find(name: &[u8]) -> Option<&'static Command> {
    let mut lower = [0_u8; MAX_NAME];
    let lower = lower.get_mut(..name.len())?;
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    let at = COMMANDS.binary_search_by(|command| command.name.as_bytes().cmp(lower)).ok()?;
    COMMANDS.get(at)
}

impl Command {
    /// Whether so many arguments, the name included, are right.
    pub fn takes(&self, args: usize) -> bool {
        let arity = usize::from(self.arity.unsigned_abs());
        if self.arity < 0 { args >= arity } else { args == arity }
    }
}

/// Why a command is refused; its text is Redis's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("WRONGTYPE Operation against a key holding the wrong kind of value")]
    WrongType,
    #[error("ERR wrong number of arguments for '{0}' command")]
    Arity(&'static str),
    #[error("ERR syntax error")]
    Syntax,
    #[error("ERR value is not an integer or out of range")]
    NotInteger,
    #[error("ERR value is out of range, must be positive")]
    NotPositive,
    #[error("ERR hash value is not an integer")]
    FieldNotInteger,
    #[error("ERR increment or decrement would overflow")]
    Overflow,
    #[error("ERR decrement would overflow")]
    DecrementOverflow,
    #[error("ERR invalid expire time in '{0}' command")]
    ExpireTime(&'static str),
    #[error("ERR NX and XX, GT or LT options at the same time are not compatible")]
    NxWithOthers,
    #[error("ERR GT and LT options at the same time are not compatible")]
    GtWithLt,
    #[error("ERR invalid cursor")]
    Cursor,
    #[error("ERR request is larger than {MAX_REQUEST} bytes")]
    TooLarge,
}

/// Decides one command.
pub(super) fn decide(keyspace: &Keyspace, request: &Request<'_>, now: i64) -> Decision {
    let name = request.args.first().copied().unwrap_or_default();
    let found = find(name).zip(keyspace.database(request.db));
    let Some((command, database)) = found else {
        return Decision { reply: unknown(request.args), effects: Effects::default() };
    };
    let (db, args) = (request.db, request.args);
    let mut context = Context { command, database, db, args, now, effects: Effects::default() };
    let outcome = if !command.takes(args.len()) {
        Err(Refusal::Arity(command.name))
    } else if args.iter().map(|arg| arg.len()).sum::<usize>() > MAX_REQUEST {
        Err(Refusal::TooLarge)
    } else {
        (command.run)(&mut context)
    };
    let reply = outcome.unwrap_or_else(|refusal| Reply::Error(refusal.to_string()));
    Decision { reply, effects: context.effects }
}

/// The reply to a name that is in no table, in Redis's words: it quotes what it can.
pub fn unknown(args: &[&[u8]]) -> Reply {
    let (name, rest) = args.split_first().map_or((&[][..], &[][..]), |(n, r)| (*n, r));
    let mut quoted = String::new();
    for arg in rest {
        let Some(room) = QUOTED.checked_sub(quoted.len()).filter(|room| *room > 0) else { break };
        quoted += &format!("'{}' ", quote(arg, room));
    }
    let name = quote(name, QUOTED);
    error(&format!("ERR unknown command '{name}', with args beginning with: {quoted}"))
}

/// How much of an argument an error quotes.
pub const QUOTED: usize = 128;

/// An argument as errors quote it: up to `room` bytes, and not beyond a NUL.
pub fn quote(arg: &[u8], room: usize) -> Cow<'_, str> {
    let end = arg.iter().take(room).take_while(|byte| **byte != 0).count();
    String::from_utf8_lossy(arg.get(..end).unwrap_or_default())
}

/// An error reply; line breaks would end it early, so they become spaces.
pub fn error(text: &str) -> Reply {
    Reply::Error(text.replace(['\r', '\n'], " "))
}

/// What a handler sees and writes.
pub(super) struct Context<'a> {
    pub(super) command: &'static Command,
    pub(super) database: &'a Database,
    pub(super) db: u8,
    pub(super) args: &'a [&'a [u8]],
    pub(super) now: i64,
    pub(super) effects: Effects,
}

impl<'a> Context<'a> {
    /// The argument at `i`; the table's arity says which exist.
    pub(super) fn arg(&self, i: usize) -> &'a [u8] {
        self.args.get(i).copied().unwrap_or_default()
    }

    /// The arguments from `i` on.
    pub(super) fn rest(&self, i: usize) -> &'a [&'a [u8]] {
        self.args.get(i..).unwrap_or_default()
    }

    /// The entry of a key. One that has expired is absent, and its deletion becomes an effect.
    pub(super) fn entry(&mut self, key: &[u8]) -> Option<&'a Entry> {
        let database = self.database;
        let entry = database.keys.get(key)?;
        if entry.expired(self.now) {
            self.effects.delete(self.db, key);
            return None;
        }
        Some(entry)
    }

    pub(super) fn string(&mut self, key: &[u8]) -> Result<Option<&'a Bytes>, Refusal> {
        match self.entry(key).map(|entry| &entry.value) {
            None => Ok(None),
            Some(Value::String(string)) => Ok(Some(string)),
            Some(_) => Err(Refusal::WrongType),
        }
    }

    pub(super) fn list(&mut self, key: &[u8]) -> Result<Option<&'a Arc<List>>, Refusal> {
        match self.entry(key).map(|entry| &entry.value) {
            None => Ok(None),
            Some(Value::List(list)) => Ok(Some(list)),
            Some(_) => Err(Refusal::WrongType),
        }
    }

    pub(super) fn hash(&mut self, key: &[u8]) -> Result<Option<&'a Arc<Map<Bytes>>>, Refusal> {
        match self.entry(key).map(|entry| &entry.value) {
            None => Ok(None),
            Some(Value::Hash(hash)) => Ok(Some(hash)),
            Some(_) => Err(Refusal::WrongType),
        }
    }

    pub(super) fn set(&mut self, key: &[u8]) -> Result<Option<&'a Arc<Map<()>>>, Refusal> {
        match self.entry(key).map(|entry| &entry.value) {
            None => Ok(None),
            Some(Value::Set(set)) => Ok(Some(set)),
            Some(_) => Err(Refusal::WrongType),
        }
    }
}

/// A length as a reply.
pub(super) fn count(len: usize) -> Reply {
    Reply::Integer(i64::try_from(len).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_sorted_and_names_fit() {
        assert!(COMMANDS.is_sorted_by(|a, b| a.name < b.name));
        assert!(COMMANDS.iter().all(|command| command.name.len() <= MAX_NAME));
        assert_eq!(find(b"LpUsH").map(|c| c.name), Some("lpush"));
        assert!(find(&[b'x'; 100]).is_none());
    }
}
