//! The table of data commands, and what they share: arity, look-ups, errors.
//!
//! A family of commands is a file. A handler reads the keyspace through [`Context`], writes down its
//! effects there and gives the reply; it changes nothing.

mod algebra;
mod bitfield;
mod bits;
mod blocking;
mod dump;
mod expire;
mod geo;
mod hash;
mod hll;
mod keys;
mod list;
mod names;
mod number;
mod random;
mod scan;
mod set;
mod sort;
mod space;
mod stream;
mod string;
mod zrange;
mod zset;

pub use blocking::{as_waiting, waits};
pub use names::Names;
pub(in crate::keyspace) use number::parse as parse_integer;

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use super::effect::Effects;
use super::list::List;
use super::map::Map;
use super::request::{Decision, Looks, Reply, Request};
use super::stream::Stream;
use super::table::Bytes;
use super::value::{Entry, Value, seconds};
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
    /// What it does, in a few words.
    pub summary: &'static str,
    /// Whether a nil reply means that it waits.
    pub blocks: bool,
    /// Whether the keys it looks at count as read.
    looks: bool,
    run: fn(&mut Context<'_>) -> Result<Reply, Refusal>,
}

/// Bytes all arguments of one request may have together, so that its effects fit one record.
pub(in crate::keyspace) const MAX_REQUEST: usize = 768 << 20;

/// Every data command, in order of names.
pub static COMMANDS: &[Command] = &{
    const fn command(
        name: &'static str,
        arity: i8,
        writes: bool,
        run: fn(&mut Context<'_>) -> Result<Reply, Refusal>,
        summary: &'static str,
    ) -> Command {
        Command { name, arity, writes, summary, blocks: false, looks: !writes, run }
    }
    const fn waiting(command: Command) -> Command {
        Command { blocks: true, ..command }
    }
    /// Writes, but what it looks at counts as read.
    const fn reading(command: Command) -> Command {
        Command { looks: true, ..command }
    }
    const R: bool = false;
    const W: bool = true;
    [
        command("append", 3, W, string::append, "Appends to a string."),
        command("bitcount", -2, R, bits::bitcount, "Counts the bits that are set."),
        command("bitfield", -2, W, bitfield::bitfield, "Reads and changes numbers of some bits."),
        command("bitfield_ro", -2, R, bitfield::bitfield_ro, "Reads numbers of some bits."),
        reading(command("bitop", -4, W, bits::bitop, "Combines strings bit by bit.")),
        command("bitpos", -3, R, bits::bitpos, "Finds the first bit that is set or not."),
        waiting(command("blmove", 6, W, blocking::blmove, "Moves an element, waiting for it.")),
        waiting(command("blmpop", -5, W, blocking::blmpop, "Takes elements, waiting for them.")),
        waiting(command("blpop", -3, W, blocking::blpop, "Takes from the head, waiting for it.")),
        waiting(command("brpop", -3, W, blocking::brpop, "Takes from the tail, waiting for it.")),
        waiting(command(
            "brpoplpush",
            4,
            W,
            blocking::brpoplpush,
            "Moves an element, waiting for it.",
        )),
        waiting(command("bzmpop", -5, W, blocking::bzmpop, "Takes members, waiting for them.")),
        waiting(command(
            "bzpopmax",
            -3,
            W,
            blocking::bzpopmax,
            "Takes the highest member, waiting for it.",
        )),
        waiting(command(
            "bzpopmin",
            -3,
            W,
            blocking::bzpopmin,
            "Takes the lowest member, waiting for it.",
        )),
        reading(command("copy", -3, W, space::copy, "Copies a key.")),
        command("dbsize", 1, R, keys::dbsize, "Counts the keys."),
        command("decr", 2, W, string::decr, "Takes one from a number."),
        command("decrby", 3, W, string::decrby, "Takes from a number."),
        command("del", -2, W, keys::del, "Deletes keys."),
        command("dump", 2, R, dump::dump, "Gives a key as bytes."),
        command("exists", -2, R, keys::exists, "Counts which keys exist."),
        command("expire", -3, W, expire::expire, "Lets a key live for seconds."),
        command("expireat", -3, W, expire::expireat, "Lets a key live until."),
        command("expiretime", 2, R, expire::expiretime, "Says until when, in s."),
        command("flushall", -1, W, keys::flushall, "Deletes every key."),
        command("flushdb", -1, W, keys::flushdb, "Deletes the database's keys."),
        command("geoadd", -5, W, geo::geoadd, "Adds places."),
        command("geodist", -4, R, geo::geodist, "Says how far two places are apart."),
        command("geohash", -2, R, geo::geohash, "Gives the geohashes of places."),
        command("geopos", -2, R, geo::geopos, "Gives where places are."),
        reading(command("georadius", -6, W, geo::georadius, "Finds places around a place.")),
        command("georadius_ro", -6, R, geo::georadius_ro, "Finds places around a place."),
        reading(command(
            "georadiusbymember",
            -5,
            W,
            geo::georadiusbymember,
            "Finds places around a member.",
        )),
        command(
            "georadiusbymember_ro",
            -5,
            R,
            geo::georadiusbymember_ro,
            "Finds places around a member.",
        ),
        command("geosearch", -7, R, geo::geosearch, "Finds places in a circle or box."),
        reading(command(
            "geosearchstore",
            -8,
            W,
            geo::geosearchstore,
            "Stores places in a circle or box.",
        )),
        command("get", 2, R, string::get, "Gives a string."),
        command("getbit", 3, R, string::getbit, "Gives a bit."),
        reading(command("getdel", 2, W, string::getdel, "Gives a string and deletes it.")),
        reading(command("getex", -2, W, string::getex, "Gives a string and changes its expiry.")),
        command("getrange", 4, R, string::getrange, "Gives a part of a string."),
        reading(command("getset", 3, W, string::getset, "Sets a string and gives the old one.")),
        command("hdel", -3, W, hash::hdel, "Deletes fields."),
        command("hexists", 3, R, hash::hexists, "Says whether a field exists."),
        command("hget", 3, R, hash::hget, "Gives a field."),
        command("hgetall", 2, R, hash::hgetall, "Gives all fields."),
        command("hincrby", 4, W, hash::hincrby, "Adds to a field."),
        command("hincrbyfloat", 4, W, hash::hincrbyfloat, "Adds to a field that is a float."),
        command("hkeys", 2, R, hash::hkeys, "Gives the names of all fields."),
        command("hlen", 2, R, hash::hlen, "Counts fields."),
        command("hmget", -3, R, hash::hmget, "Gives some fields."),
        command("hmset", -4, W, hash::hmset, "Sets fields."),
        command("hrandfield", -2, R, random::hrandfield, "Gives random fields."),
        command("hscan", -3, R, scan::hscan, "Walks the fields."),
        command("hset", -4, W, hash::hset, "Sets fields, counts new ones."),
        command("hsetnx", 4, W, hash::hsetnx, "Sets a field if it is absent."),
        command("hstrlen", 3, R, hash::hstrlen, "Gives the length of a field's value."),
        command("hvals", 2, R, hash::hvals, "Gives the values of all fields."),
        command("incr", 2, W, string::incr, "Adds one to a number."),
        command("incrby", 3, W, string::incrby, "Adds to a number."),
        command("incrbyfloat", 3, W, string::incrbyfloat, "Adds to a float."),
        command("keys", 2, R, keys::keys, "Gives the keys of a pattern."),
        command("lcs", -3, R, string::lcs, "Finds what two strings have in common."),
        command("lindex", 3, R, list::lindex, "Gives one element."),
        command("linsert", 5, W, list::linsert, "Puts an element beside another."),
        command("llen", 2, R, list::llen, "Counts elements."),
        command("lmove", 5, W, list::lmove, "Moves an element to another list."),
        command("lmpop", -4, W, list::lmpop, "Takes elements from the first list that has some."),
        command("lpop", -2, W, list::lpop, "Takes elements from the head."),
        command("lpos", -3, R, list::lpos, "Finds an element."),
        command("lpush", -3, W, list::lpush, "Pushes elements at the head."),
        command("lpushx", -3, W, list::lpushx, "Pushes if the list exists."),
        command("lrange", 4, R, list::lrange, "Gives a range of elements."),
        command("lrem", 4, W, list::lrem, "Removes elements that are equal."),
        command("lset", 4, W, list::lset, "Replaces one element."),
        command("ltrim", 4, W, list::ltrim, "Keeps only a range of elements."),
        command("memory", -2, R, space::memory, "Says what a key costs."),
        command("mget", -2, R, string::mget, "Gives some strings."),
        command("move", 3, W, space::move_key, "Moves a key to another database."),
        command("mset", -3, W, string::mset, "Sets some strings."),
        command("msetnx", -3, W, string::msetnx, "Sets some strings if none exists."),
        command("object", -2, R, space::object, "Says how a key is kept."),
        command("persist", 2, W, expire::persist, "Lets a key live for ever."),
        command("pexpire", -3, W, expire::pexpire, "Lets a key live for ms."),
        command("pexpireat", -3, W, expire::pexpireat, "Lets a key live until."),
        command("pexpiretime", 2, R, expire::pexpiretime, "Says until when."),
        command("pfadd", -2, W, hll::pfadd, "Counts distinct elements."),
        command("pfcount", -2, R, hll::pfcount, "Says how many distinct elements there were."),
        reading(command("pfmerge", -2, W, hll::pfmerge, "Unites counters of distinct elements.")),
        command("psetex", 4, W, string::psetex, "Sets a string for milliseconds."),
        command("pttl", 2, R, expire::pttl, "Says for how long, in ms."),
        command("randomkey", 1, R, keys::randomkey, "Gives some key."),
        command("rename", 3, W, space::rename, "Gives a key another name."),
        command("renamenx", 3, W, space::renamenx, "Gives a key a name that is free."),
        command("restore", -4, W, dump::restore, "Makes a key of bytes."),
        command("rpop", -2, W, list::rpop, "Takes elements from the tail."),
        command("rpoplpush", 3, W, list::rpoplpush, "Moves an element to another list."),
        command("rpush", -3, W, list::rpush, "Pushes elements at the tail."),
        command("rpushx", -3, W, list::rpushx, "Pushes if the list exists."),
        command("sadd", -3, W, set::sadd, "Adds members."),
        command("scan", -2, R, scan::scan, "Walks the keys."),
        command("scard", 2, R, set::scard, "Counts members."),
        command("sdiff", -2, R, algebra::sdiff, "Subtracts sets."),
        reading(command("sdiffstore", -3, W, algebra::sdiffstore, "Stores a difference.")),
        command("set", -3, W, string::set, "Sets a string."),
        command("setbit", 4, W, string::setbit, "Sets a bit."),
        command("setex", 4, W, string::setex, "Sets a string for seconds."),
        command("setnx", 3, W, string::setnx, "Sets a string if it is absent."),
        command("setrange", 4, W, string::setrange, "Overwrites a part of a string."),
        command("sinter", -2, R, algebra::sinter, "Intersects sets."),
        command("sintercard", -3, R, algebra::sintercard, "Counts an intersection."),
        reading(command("sinterstore", -3, W, algebra::sinterstore, "Stores an intersection.")),
        command("sismember", 3, R, set::sismember, "Says whether a member is in."),
        command("smembers", 2, R, set::smembers, "Gives all members."),
        command("smismember", -3, R, set::smismember, "Says which members are in."),
        command("smove", 4, W, set::smove, "Moves a member."),
        reading(command("sort", -2, W, sort::sort, "Sorts the elements of a key.")),
        command("sort_ro", -2, R, sort::sort_ro, "Sorts the elements of a key."),
        command("spop", -2, W, random::spop, "Takes random members."),
        command("srandmember", -2, R, random::srandmember, "Gives random members."),
        command("srem", -3, W, set::srem, "Removes members."),
        command("sscan", -3, R, scan::sscan, "Walks the members."),
        command("strlen", 2, R, string::strlen, "Gives a string's length."),
        command("substr", 4, R, string::getrange, "Gives a part of a string."),
        command("sunion", -2, R, algebra::sunion, "Unites sets."),
        reading(command("sunionstore", -3, W, algebra::sunionstore, "Stores a union.")),
        command("swapdb", 3, W, space::swapdb, "Lets two databases change places."),
        command("touch", -2, R, keys::exists, "Counts which keys exist."),
        command("ttl", 2, R, expire::ttl, "Says for how long, in seconds."),
        command("type", 2, R, keys::kind, "Says what a key holds."),
        command("unlink", -2, W, keys::del, "Deletes keys."),
        reading(command("xack", -4, W, stream::xack, "Says that entries were processed.")),
        command("xadd", -5, W, stream::xadd, "Adds an entry."),
        reading(command("xautoclaim", -6, W, stream::xautoclaim, "Takes over what others left.")),
        reading(command("xclaim", -6, W, stream::xclaim, "Takes entries over from others.")),
        command("xdel", -3, W, stream::xdel, "Deletes entries."),
        command("xgroup", -2, W, stream::xgroup, "Makes, changes and removes groups."),
        command("xinfo", -2, R, stream::xinfo, "Says what is known of a stream."),
        command("xlen", 2, R, stream::xlen, "Counts entries."),
        command("xpending", -3, R, stream::xpending, "Shows what was not acknowledged."),
        command("xrange", -4, R, stream::xrange, "Gives a range of entries."),
        waiting(command("xread", -4, R, stream::xread, "Gives what is new, waiting for it.")),
        waiting(reading(command("xreadgroup", -7, W, stream::xreadgroup, "Delivers what is new."))),
        command("xrevrange", -4, R, stream::xrevrange, "Gives a range, last first."),
        command("xsetid", -3, W, stream::xsetid, "Sets what a stream counts."),
        command("xtrim", -4, W, stream::xtrim, "Lets the oldest entries go."),
        command("zadd", -4, W, zset::zadd, "Adds members with scores."),
        command("zcard", 2, R, zset::zcard, "Counts members."),
        command("zcount", 4, R, zrange::zcount, "Counts members in a range of scores."),
        command("zdiff", -3, R, algebra::zdiff, "Subtracts sorted sets."),
        reading(command("zdiffstore", -4, W, algebra::zdiffstore, "Stores a difference.")),
        command("zincrby", 4, W, zset::zincrby, "Adds to a score."),
        command("zinter", -3, R, algebra::zinter, "Intersects sorted sets."),
        command("zintercard", -3, R, algebra::zintercard, "Counts an intersection."),
        reading(command("zinterstore", -4, W, algebra::zinterstore, "Stores an intersection.")),
        command("zlexcount", 4, R, zrange::zlexcount, "Counts members in a range of names."),
        command("zmpop", -4, W, zset::zmpop, "Takes members of the first set that has some."),
        command("zmscore", -3, R, zset::zmscore, "Gives scores."),
        command("zpopmax", -2, W, zset::zpopmax, "Takes the highest members."),
        command("zpopmin", -2, W, zset::zpopmin, "Takes the lowest members."),
        command("zrandmember", -2, R, random::zrandmember, "Gives random members."),
        command("zrange", -4, R, zrange::zrange, "Gives a range of members."),
        command("zrangebylex", -4, R, zrange::zrangebylex, "Gives a range of names."),
        command("zrangebyscore", -4, R, zrange::zrangebyscore, "Gives a range of scores."),
        reading(command("zrangestore", -5, W, zrange::zrangestore, "Stores a range of members.")),
        command("zrank", 3, R, zset::zrank, "Says how many stand before a member."),
        command("zrem", -3, W, zset::zrem, "Removes members."),
        command("zremrangebylex", 4, W, zrange::zremrangebylex, "Removes a range of names."),
        command("zremrangebyrank", 4, W, zrange::zremrangebyrank, "Removes a range of ranks."),
        command("zremrangebyscore", 4, W, zrange::zremrangebyscore, "Removes a range of scores."),
        command("zrevrange", -4, R, zrange::zrevrange, "Gives a range, highest first."),
        command(
            "zrevrangebylex",
            -4,
            R,
            zrange::zrevrangebylex,
            "Gives a range of names, last first.",
        ),
        command(
            "zrevrangebyscore",
            -4,
            R,
            zrange::zrevrangebyscore,
            "Gives a range of scores, highest first.",
        ),
        command("zrevrank", 3, R, zset::zrevrank, "Says how many stand behind a member."),
        command("zscan", -3, R, scan::zscan, "Walks the members."),
        command("zscore", 3, R, zset::zscore, "Gives a score."),
        command("zunion", -3, R, algebra::zunion, "Unites sorted sets."),
        reading(command("zunionstore", -4, W, algebra::zunionstore, "Stores a union.")),
    ]
};

/// The command of a name in any case.
pub fn find(name: &[u8]) -> Option<&'static Command> {
    static NAMES: LazyLock<Names> =
        LazyLock::new(|| Names::new(COMMANDS.iter().map(|command| command.name)));
    COMMANDS.get(NAMES.find(name)?)
}

impl Command {
    /// Whether it only asks about a key, so that the key does not count as used.
    fn is_quiet(&self) -> bool {
        matches!(
            self.name,
            "exists" | "expiretime" | "memory" | "object" | "pexpiretime" | "pttl" | "ttl" | "type"
        )
    }

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
    #[error("ERR value is not a valid float")]
    NotFloat,
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
        let (effects, looks) = (Effects::default(), Looks::default());
        return Decision { reply: unknown(request.args), effects, looks, used: now };
    };
    let (db, args) = (request.db, request.args);
    let mut context = Context {
        command,
        keyspace,
        database,
        db,
        args,
        now,
        effects: Effects::default(),
        looks: Looks::default(),
        reads: command.looks,
        uses: !command.is_quiet(),
        used: now,
    };
    let outcome = if !command.takes(args.len()) {
        Err(Refusal::Arity(command.name))
    } else if args.iter().map(|arg| arg.len()).sum::<usize>() > MAX_REQUEST {
        Err(Refusal::TooLarge)
    } else {
        (command.run)(&mut context)
    };
    let reply = outcome.unwrap_or_else(|refusal| Reply::Error(refusal.to_string()));
    let expired = context.looks.expired;
    let unread = Looks { expired, ..Looks::default() };
    let looks = if context.reads { context.looks } else { unread };
    Decision { reply, effects: context.effects, looks, used: context.used }
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
    pub(super) looks: Looks,
    /// Whether what is looked at counts as read.
    pub(super) reads: bool,
    /// Whether what is looked at counts as used.
    pub(super) uses: bool,
    /// When the keys that change count as used, in milliseconds.
    pub(super) used: i64,
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
    pub(super) fn unread(&mut self, key: &[u8]) -> Option<&'a Entry> {
        let database = self.database;
        let found = database.keys.get(key);
        if found.is_some_and(|entry| entry.expired(self.now)) {
            self.effects.delete(self.db, key);
            self.looks.expired += 1;
        }
        found.filter(|entry| !entry.expired(self.now))
    }

    /// The same, counted as read if the command reads.
    pub(super) fn entry(&mut self, key: &[u8]) -> Option<&'a Entry> {
        let entry = self.unread(key);
        if self.uses
            && let Some(entry) = entry
        {
            entry.used.set(seconds(self.now));
        }
        *(if entry.is_some() { &mut self.looks.hits } else { &mut self.looks.misses }) += 1;
        entry
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

    pub(super) fn stream(&mut self, key: &[u8]) -> Result<Option<&'a Arc<Stream>>, Refusal> {
        match self.entry(key).map(|entry| &entry.value) {
            None => Ok(None),
            Some(Value::Stream(stream)) => Ok(Some(stream)),
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
    fn table_is_sorted() {
        assert!(COMMANDS.is_sorted_by(|a, b| a.name < b.name));
        assert_eq!(find(b"LpUsH").map(|c| c.name), Some("lpush"));
        assert!(find(&[b'x'; 100]).is_none());
    }
}
