//! The table of data commands, and what they share: arity, look-ups, errors.
//!
//! A family of commands is a file. A handler reads the keyspace through [`Context`], writes down its
//! effects there and gives the reply; it changes nothing.

mod algebra;
mod blocking;
mod dump;
mod expire;
mod hash;
mod keys;
mod list;
mod number;
mod random;
mod scan;
mod set;
mod sort;
mod space;
mod string;
mod zrange;
mod zset;

pub use blocking::timeout;

use std::borrow::Cow;
use std::sync::Arc;

use super::effect::Effects;
use super::list::List;
use super::map::Map;
use super::request::{Decision, Reply, Request};
use super::table::Bytes;
use super::value::{Entry, Value};
use super::zset::ZSet;
use super::{Database, Keyspace};

/// One command of the table.
#[derive(Clone, Copy, Debug)]
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
    /// Whether a nil reply means that it waits.
    pub blocks: bool,
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
        Command { name, arity, writes, keys, group, summary, blocks: false, run }
    }
    const fn waiting(command: Command) -> Command {
        Command { blocks: true, ..command }
    }
    const R: bool = false;
    const W: bool = true;
    const NONE: (i8, i8, i8) = (0, 0, 0);
    const ONE: (i8, i8, i8) = (1, 1, 1);
    const ALL: (i8, i8, i8) = (1, -1, 1);
    const TWO: (i8, i8, i8) = (1, 2, 1);
    const SECOND: (i8, i8, i8) = (2, 2, 1);
    const PAIRS: (i8, i8, i8) = (1, -1, 2);
    const BUTLAST: (i8, i8, i8) = (1, -2, 1);
    /// A count of keys at this place, and the keys behind it.
    const NUMBERED: (i8, i8, i8) = (1, 0, -1);
    const NUMBERED2: (i8, i8, i8) = (2, 0, -1);
    /// One key, then a count of keys, and the keys behind it.
    const STORED: (i8, i8, i8) = (1, 1, -1);
    [
        command("append", 3, W, ONE, "string", string::append, "Appends to a string."),
        waiting(command(
            "blmove",
            6,
            W,
            TWO,
            "list",
            blocking::blmove,
            "Moves an element, waiting for it.",
        )),
        waiting(command(
            "blmpop",
            -5,
            W,
            NUMBERED2,
            "list",
            blocking::blmpop,
            "Takes elements, waiting for them.",
        )),
        waiting(command(
            "blpop",
            -3,
            W,
            BUTLAST,
            "list",
            blocking::blpop,
            "Takes from the head, waiting for it.",
        )),
        waiting(command(
            "brpop",
            -3,
            W,
            BUTLAST,
            "list",
            blocking::brpop,
            "Takes from the tail, waiting for it.",
        )),
        waiting(command(
            "brpoplpush",
            4,
            W,
            TWO,
            "list",
            blocking::brpoplpush,
            "Moves an element, waiting for it.",
        )),
        waiting(command(
            "bzmpop",
            -5,
            W,
            NUMBERED2,
            "sorted-set",
            blocking::bzmpop,
            "Takes members, waiting for them.",
        )),
        waiting(command(
            "bzpopmax",
            -3,
            W,
            BUTLAST,
            "sorted-set",
            blocking::bzpopmax,
            "Takes the highest member, waiting for it.",
        )),
        waiting(command(
            "bzpopmin",
            -3,
            W,
            BUTLAST,
            "sorted-set",
            blocking::bzpopmin,
            "Takes the lowest member, waiting for it.",
        )),
        command("copy", -3, W, TWO, "generic", space::copy, "Copies a key."),
        command("dbsize", 1, R, NONE, "server", keys::dbsize, "Counts the keys."),
        command("decr", 2, W, ONE, "string", string::decr, "Takes one from a number."),
        command("decrby", 3, W, ONE, "string", string::decrby, "Takes from a number."),
        command("del", -2, W, ALL, "generic", keys::del, "Deletes keys."),
        command("dump", 2, R, ONE, "generic", dump::dump, "Gives a key as bytes."),
        command("exists", -2, R, ALL, "generic", keys::exists, "Counts which keys exist."),
        command("expire", -3, W, ONE, "generic", expire::expire, "Lets a key live for seconds."),
        command("expireat", -3, W, ONE, "generic", expire::expireat, "Lets a key live until."),
        command("expiretime", 2, R, ONE, "generic", expire::expiretime, "Says until when, in s."),
        command("flushall", -1, W, NONE, "server", keys::flushall, "Deletes every key."),
        command("flushdb", -1, W, NONE, "server", keys::flushdb, "Deletes the database's keys."),
        command("get", 2, R, ONE, "string", string::get, "Gives a string."),
        command("getbit", 3, R, ONE, "string", string::getbit, "Gives a bit."),
        command("getdel", 2, W, ONE, "string", string::getdel, "Gives a string and deletes it."),
        command(
            "getex",
            -2,
            W,
            ONE,
            "string",
            string::getex,
            "Gives a string and changes its expiry.",
        ),
        command("getrange", 4, R, ONE, "string", string::getrange, "Gives a part of a string."),
        command(
            "getset",
            3,
            W,
            ONE,
            "string",
            string::getset,
            "Sets a string and gives the old one.",
        ),
        command("hdel", -3, W, ONE, "hash", hash::hdel, "Deletes fields."),
        command("hexists", 3, R, ONE, "hash", hash::hexists, "Says whether a field exists."),
        command("hget", 3, R, ONE, "hash", hash::hget, "Gives a field."),
        command("hgetall", 2, R, ONE, "hash", hash::hgetall, "Gives all fields."),
        command("hincrby", 4, W, ONE, "hash", hash::hincrby, "Adds to a field."),
        command(
            "hincrbyfloat",
            4,
            W,
            ONE,
            "hash",
            hash::hincrbyfloat,
            "Adds to a field that is a float.",
        ),
        command("hkeys", 2, R, ONE, "hash", hash::hkeys, "Gives the names of all fields."),
        command("hlen", 2, R, ONE, "hash", hash::hlen, "Counts fields."),
        command("hmget", -3, R, ONE, "hash", hash::hmget, "Gives some fields."),
        command("hmset", -4, W, ONE, "hash", hash::hmset, "Sets fields."),
        command("hrandfield", -2, R, ONE, "hash", random::hrandfield, "Gives random fields."),
        command("hscan", -3, R, ONE, "hash", scan::hscan, "Walks the fields."),
        command("hset", -4, W, ONE, "hash", hash::hset, "Sets fields, counts new ones."),
        command("hsetnx", 4, W, ONE, "hash", hash::hsetnx, "Sets a field if it is absent."),
        command(
            "hstrlen",
            3,
            R,
            ONE,
            "hash",
            hash::hstrlen,
            "Gives the length of a field's value.",
        ),
        command("hvals", 2, R, ONE, "hash", hash::hvals, "Gives the values of all fields."),
        command("incr", 2, W, ONE, "string", string::incr, "Adds one to a number."),
        command("incrby", 3, W, ONE, "string", string::incrby, "Adds to a number."),
        command("incrbyfloat", 3, W, ONE, "string", string::incrbyfloat, "Adds to a float."),
        command("keys", 2, R, NONE, "generic", keys::keys, "Gives the keys of a pattern."),
        command("lcs", -3, R, TWO, "string", string::lcs, "Finds what two strings have in common."),
        command("lindex", 3, R, ONE, "list", list::lindex, "Gives one element."),
        command("linsert", 5, W, ONE, "list", list::linsert, "Puts an element beside another."),
        command("llen", 2, R, ONE, "list", list::llen, "Counts elements."),
        command("lmove", 5, W, TWO, "list", list::lmove, "Moves an element to another list."),
        command(
            "lmpop",
            -4,
            W,
            NUMBERED,
            "list",
            list::lmpop,
            "Takes elements from the first list that has some.",
        ),
        command("lpop", -2, W, ONE, "list", list::lpop, "Takes elements from the head."),
        command("lpos", -3, R, ONE, "list", list::lpos, "Finds an element."),
        command("lpush", -3, W, ONE, "list", list::lpush, "Pushes elements at the head."),
        command("lpushx", -3, W, ONE, "list", list::lpushx, "Pushes if the list exists."),
        command("lrange", 4, R, ONE, "list", list::lrange, "Gives a range of elements."),
        command("lrem", 4, W, ONE, "list", list::lrem, "Removes elements that are equal."),
        command("lset", 4, W, ONE, "list", list::lset, "Replaces one element."),
        command("ltrim", 4, W, ONE, "list", list::ltrim, "Keeps only a range of elements."),
        command("memory", -2, R, SECOND, "server", space::memory, "Says what a key costs."),
        command("mget", -2, R, ALL, "string", string::mget, "Gives some strings."),
        command("move", 3, W, ONE, "generic", space::move_key, "Moves a key to another database."),
        command("mset", -3, W, PAIRS, "string", string::mset, "Sets some strings."),
        command(
            "msetnx",
            -3,
            W,
            PAIRS,
            "string",
            string::msetnx,
            "Sets some strings if none exists.",
        ),
        command("object", -2, R, SECOND, "generic", space::object, "Says how a key is kept."),
        command("persist", 2, W, ONE, "generic", expire::persist, "Lets a key live for ever."),
        command("pexpire", -3, W, ONE, "generic", expire::pexpire, "Lets a key live for ms."),
        command("pexpireat", -3, W, ONE, "generic", expire::pexpireat, "Lets a key live until."),
        command("pexpiretime", 2, R, ONE, "generic", expire::pexpiretime, "Says until when."),
        command("psetex", 4, W, ONE, "string", string::psetex, "Sets a string for milliseconds."),
        command("pttl", 2, R, ONE, "generic", expire::pttl, "Says for how long, in ms."),
        command("randomkey", 1, R, NONE, "generic", keys::randomkey, "Gives some key."),
        command("rename", 3, W, TWO, "generic", space::rename, "Gives a key another name."),
        command(
            "renamenx",
            3,
            W,
            TWO,
            "generic",
            space::renamenx,
            "Gives a key a name that is free.",
        ),
        command("restore", -4, W, ONE, "generic", dump::restore, "Makes a key of bytes."),
        command("rpop", -2, W, ONE, "list", list::rpop, "Takes elements from the tail."),
        command(
            "rpoplpush",
            3,
            W,
            TWO,
            "list",
            list::rpoplpush,
            "Moves an element to another list.",
        ),
        command("rpush", -3, W, ONE, "list", list::rpush, "Pushes elements at the tail."),
        command("rpushx", -3, W, ONE, "list", list::rpushx, "Pushes if the list exists."),
        command("sadd", -3, W, ONE, "set", set::sadd, "Adds members."),
        command("scan", -2, R, NONE, "generic", scan::scan, "Walks the keys."),
        command("scard", 2, R, ONE, "set", set::scard, "Counts members."),
        command("sdiff", -2, R, ALL, "set", algebra::sdiff, "Subtracts sets."),
        command("sdiffstore", -3, W, ALL, "set", algebra::sdiffstore, "Stores a difference."),
        command("set", -3, W, ONE, "string", string::set, "Sets a string."),
        command("setbit", 4, W, ONE, "string", string::setbit, "Sets a bit."),
        command("setex", 4, W, ONE, "string", string::setex, "Sets a string for seconds."),
        command("setnx", 3, W, ONE, "string", string::setnx, "Sets a string if it is absent."),
        command(
            "setrange",
            4,
            W,
            ONE,
            "string",
            string::setrange,
            "Overwrites a part of a string.",
        ),
        command("sinter", -2, R, ALL, "set", algebra::sinter, "Intersects sets."),
        command(
            "sintercard",
            -3,
            R,
            NUMBERED,
            "set",
            algebra::sintercard,
            "Counts an intersection.",
        ),
        command("sinterstore", -3, W, ALL, "set", algebra::sinterstore, "Stores an intersection."),
        command("sismember", 3, R, ONE, "set", set::sismember, "Says whether a member is in."),
        command("smembers", 2, R, ONE, "set", set::smembers, "Gives all members."),
        command("smismember", -3, R, ONE, "set", set::smismember, "Says which members are in."),
        command("smove", 4, W, TWO, "set", set::smove, "Moves a member."),
        command("sort", -2, W, ONE, "generic", sort::sort, "Sorts the elements of a key."),
        command("sort_ro", -2, R, ONE, "generic", sort::sort_ro, "Sorts the elements of a key."),
        command("spop", -2, W, ONE, "set", random::spop, "Takes random members."),
        command("srandmember", -2, R, ONE, "set", random::srandmember, "Gives random members."),
        command("srem", -3, W, ONE, "set", set::srem, "Removes members."),
        command("sscan", -3, R, ONE, "set", scan::sscan, "Walks the members."),
        command("strlen", 2, R, ONE, "string", string::strlen, "Gives a string's length."),
        command("substr", 4, R, ONE, "string", string::getrange, "Gives a part of a string."),
        command("sunion", -2, R, ALL, "set", algebra::sunion, "Unites sets."),
        command("sunionstore", -3, W, ALL, "set", algebra::sunionstore, "Stores a union."),
        command("swapdb", 3, W, NONE, "server", space::swapdb, "Lets two databases change places."),
        command("touch", -2, R, ALL, "generic", keys::exists, "Counts which keys exist."),
        command("ttl", 2, R, ONE, "generic", expire::ttl, "Says for how long, in seconds."),
        command("type", 2, R, ONE, "generic", keys::kind, "Says what a key holds."),
        command("unlink", -2, W, ALL, "generic", keys::del, "Deletes keys."),
        command("zadd", -4, W, ONE, "sorted-set", zset::zadd, "Adds members with scores."),
        command("zcard", 2, R, ONE, "sorted-set", zset::zcard, "Counts members."),
        command(
            "zcount",
            4,
            R,
            ONE,
            "sorted-set",
            zrange::zcount,
            "Counts members in a range of scores.",
        ),
        command("zdiff", -3, R, NUMBERED, "sorted-set", algebra::zdiff, "Subtracts sorted sets."),
        command(
            "zdiffstore",
            -4,
            W,
            STORED,
            "sorted-set",
            algebra::zdiffstore,
            "Stores a difference.",
        ),
        command("zincrby", 4, W, ONE, "sorted-set", zset::zincrby, "Adds to a score."),
        command(
            "zinter",
            -3,
            R,
            NUMBERED,
            "sorted-set",
            algebra::zinter,
            "Intersects sorted sets.",
        ),
        command(
            "zintercard",
            -3,
            R,
            NUMBERED,
            "sorted-set",
            algebra::zintercard,
            "Counts an intersection.",
        ),
        command(
            "zinterstore",
            -4,
            W,
            STORED,
            "sorted-set",
            algebra::zinterstore,
            "Stores an intersection.",
        ),
        command(
            "zlexcount",
            4,
            R,
            ONE,
            "sorted-set",
            zrange::zlexcount,
            "Counts members in a range of names.",
        ),
        command(
            "zmpop",
            -4,
            W,
            NUMBERED,
            "sorted-set",
            zset::zmpop,
            "Takes members of the first set that has some.",
        ),
        command("zmscore", -3, R, ONE, "sorted-set", zset::zmscore, "Gives scores."),
        command("zpopmax", -2, W, ONE, "sorted-set", zset::zpopmax, "Takes the highest members."),
        command("zpopmin", -2, W, ONE, "sorted-set", zset::zpopmin, "Takes the lowest members."),
        command(
            "zrandmember",
            -2,
            R,
            ONE,
            "sorted-set",
            random::zrandmember,
            "Gives random members.",
        ),
        command("zrange", -4, R, ONE, "sorted-set", zrange::zrange, "Gives a range of members."),
        command(
            "zrangebylex",
            -4,
            R,
            ONE,
            "sorted-set",
            zrange::zrangebylex,
            "Gives a range of names.",
        ),
        command(
            "zrangebyscore",
            -4,
            R,
            ONE,
            "sorted-set",
            zrange::zrangebyscore,
            "Gives a range of scores.",
        ),
        command(
            "zrangestore",
            -5,
            W,
            TWO,
            "sorted-set",
            zrange::zrangestore,
            "Stores a range of members.",
        ),
        command(
            "zrank",
            3,
            R,
            ONE,
            "sorted-set",
            zset::zrank,
            "Says how many stand before a member.",
        ),
        command("zrem", -3, W, ONE, "sorted-set", zset::zrem, "Removes members."),
        command(
            "zremrangebylex",
            4,
            W,
            ONE,
            "sorted-set",
            zrange::zremrangebylex,
            "Removes a range of names.",
        ),
        command(
            "zremrangebyrank",
            4,
            W,
            ONE,
            "sorted-set",
            zrange::zremrangebyrank,
            "Removes a range of ranks.",
        ),
        command(
            "zremrangebyscore",
            4,
            W,
            ONE,
            "sorted-set",
            zrange::zremrangebyscore,
            "Removes a range of scores.",
        ),
        command(
            "zrevrange",
            -4,
            R,
            ONE,
            "sorted-set",
            zrange::zrevrange,
            "Gives a range, highest first.",
        ),
        command(
            "zrevrangebylex",
            -4,
            R,
            ONE,
            "sorted-set",
            zrange::zrevrangebylex,
            "Gives a range of names, last first.",
        ),
        command(
            "zrevrangebyscore",
            -4,
            R,
            ONE,
            "sorted-set",
            zrange::zrevrangebyscore,
            "Gives a range of scores, highest first.",
        ),
        command(
            "zrevrank",
            3,
            R,
            ONE,
            "sorted-set",
            zset::zrevrank,
            "Says how many stand behind a member.",
        ),
        command("zscan", -3, R, ONE, "sorted-set", scan::zscan, "Walks the members."),
        command("zscore", 3, R, ONE, "sorted-set", zset::zscore, "Gives a score."),
        command("zunion", -3, R, NUMBERED, "sorted-set", algebra::zunion, "Unites sorted sets."),
        command(
            "zunionstore",
            -4,
            W,
            STORED,
            "sorted-set",
            algebra::zunionstore,
            "Stores a union.",
        ),
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
    #[error("{0}")]
    Plain(&'static str),
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
    let mut context =
        Context { command, keyspace, database, db, args, now, effects: Effects::default() };
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
    pub(super) keyspace: &'a Keyspace,
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

    pub(super) fn zset(&mut self, key: &[u8]) -> Result<Option<&'a Arc<ZSet>>, Refusal> {
        match self.entry(key).map(|entry| &entry.value) {
            None => Ok(None),
            Some(Value::ZSet(zset)) => Ok(Some(zset)),
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
