//! What COMMAND says of every command: flags, categories, where the keys stand.
//!
//! The rows say of each command what Redis 7.0.15 says of it, for clients decide by it where to send a
//! command and when to try again; a test compares them. Both tables are sorted by name.

use std::sync::LazyLock;

use ringwell_storage::keyspace::command::Names;

/// One command or sub-command.
#[derive(Debug)]
pub(super) struct Facts {
    /// Its name; of a sub-command with the family in front, as `client|list`.
    pub(super) name: &'static str,
    /// How many arguments, all names included; negative: at least so many.
    pub(super) arity: i8,
    /// What a sub-command does, in a few words; of a command its own table says so.
    pub(super) summary: &'static str,
    /// The version of Redis that had it first.
    pub(super) since: &'static str,
    pub(super) group: &'static str,
    /// Words, as Redis prints them.
    pub(super) flags: &'static str,
    /// The categories of ACL it is in, each with `@` in front.
    pub(super) categories: &'static str,
    pub(super) keys: &'static [KeySpec],
    pub(super) tips: &'static str,
}

/// Where some keys of a command stand, and what becomes of them.
#[derive(Debug)]
pub(super) struct KeySpec {
    /// Words, as Redis prints them.
    pub(super) flags: &'static str,
    pub(super) place: Place,
}

/// Where keys stand among the arguments.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// Each `step`-th argument from `first` on; `last` counts from the first, or if negative from the end.
    Range { first: usize, last: i8, step: usize },
    /// As many as the argument at `at` says, behind it.
    Counted { at: usize },
    /// Behind a word that stands at `from` or later, or if that is negative so far from the end or before;
    /// `last` and `limit` as Redis has them.
    Keyword { word: &'static str, from: isize, last: i8, limit: usize },
    /// Only the command itself knows.
    Unknown,
}

impl Facts {
    pub(super) fn is(&self, flag: &str) -> bool {
        self.flags.split(' ').any(|known| known == flag)
    }

    pub(super) fn is_in(&self, category: &str) -> bool {
        self.categories
            .split(' ')
            .filter_map(|known| known.strip_prefix('@'))
            .any(|known| known.eq_ignore_ascii_case(category))
    }

    /// Whether so many arguments, all names included, are right.
    pub(super) fn takes(&self, args: usize) -> bool {
        let wanted = usize::from(self.arity.unsigned_abs());
        if self.arity < 0 { args >= wanted } else { args == wanted }
    }

    /// First key, last key and step, where one range tells where all of them stand.
    pub(super) fn range(&self) -> (i64, i64, i64) {
        let int = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let mut found: Option<(i64, i64, i64)> = None;
        for spec in self.keys {
            let Place::Range { first, last, step } = spec.place else { continue };
            let last = if last < 0 { i64::from(last) } else { int(first) + i64::from(last) };
            found = match found {
                None => Some((int(first), last, int(step))),
                // Only what follows at once joins the range.
                Some((begin, end, by)) if end == int(first) - 1 => {
                    Some((begin, last, by.max(int(step))))
                }
                kept => kept,
            };
        }
        found.unwrap_or_default()
    }
}

/// The facts of a command, by its name in any case.
pub(super) fn find(name: &[u8]) -> Option<usize> {
    static NAMES: LazyLock<Names> =
        LazyLock::new(|| Names::new(COMMANDS.iter().map(|facts| facts.name)));
    NAMES.find(name)
}

/// How many commands and sub-commands there are.
pub(super) fn slots() -> usize {
    COMMANDS.len() + SUBCOMMANDS.len()
}

/// The place of a command by its name, or of a sub-command as `client|list`, in lower case.
pub(super) fn slot(name: &[u8]) -> Option<usize> {
    if !name.contains(&b'|') {
        return find(name);
    }
    let at = SUBCOMMANDS.iter().position(|facts| facts.name.as_bytes() == name)?;
    Some(COMMANDS.len() + at)
}

/// The facts of a place.
pub(super) fn of(slot: usize) -> Option<&'static Facts> {
    COMMANDS.get(slot).or_else(|| SUBCOMMANDS.get(slot.checked_sub(COMMANDS.len())?))
}

/// The places of a command's sub-commands.
pub(super) fn below(slot: usize) -> std::ops::Range<usize> {
    let own = COMMANDS.get(slot).map_or(0..0, |facts| family(facts.name));
    COMMANDS.len() + own.start..COMMANDS.len() + own.end
}

/// The name of a command, or behind those of a sub-command, by its place.
pub(super) fn name_of(slot: usize) -> Option<&'static str> {
    of(slot).map(|facts| facts.name)
}

/// Where the sub-commands of a family stand in [`SUBCOMMANDS`].
pub(super) fn family(name: &str) -> std::ops::Range<usize> {
    let first = |facts: &Facts| facts.name.split('|').next().unwrap_or_default() < name;
    let start = SUBCOMMANDS.partition_point(first);
    let own = |facts: &&Facts| facts.name.split('|').next() == Some(name);
    start..start + SUBCOMMANDS.iter().skip(start).take_while(own).count()
}

/// A sub-command's own name.
pub(super) fn own_name(facts: &Facts) -> &'static str {
    facts.name.split('|').nth(1).unwrap_or(facts.name)
}

#[allow(clippy::too_many_arguments, reason = "a row of a table")]
const fn sub(
    name: &'static str,
    arity: i8,
    summary: &'static str,
    since: &'static str,
    group: &'static str,
    flags: &'static str,
    categories: &'static str,
    keys: &'static [KeySpec],
    tips: &'static str,
) -> Facts {
    Facts { name, arity, summary, since, group, flags, categories, keys, tips }
}

#[allow(clippy::too_many_arguments, reason = "a row of a table")]
const fn top(
    name: &'static str,
    arity: i8,
    since: &'static str,
    group: &'static str,
    flags: &'static str,
    categories: &'static str,
    keys: &'static [KeySpec],
    tips: &'static str,
) -> Facts {
    Facts { name, arity, summary: "", since, group, flags, categories, keys, tips }
}

const fn range(flags: &'static str, first: usize, last: i8, step: usize) -> KeySpec {
    KeySpec { flags, place: Place::Range { first, last, step } }
}

const fn at(flags: &'static str, place: usize) -> KeySpec {
    range(flags, place, 0, 1)
}

const fn counted(flags: &'static str, at: usize) -> KeySpec {
    KeySpec { flags, place: Place::Counted { at } }
}

const fn behind(
    flags: &'static str,
    word: &'static str,
    from: isize,
    last: i8,
    limit: usize,
) -> KeySpec {
    KeySpec { flags, place: Place::Keyword { word, from, last, limit } }
}

const fn unknown(flags: &'static str) -> KeySpec {
    KeySpec { flags, place: Place::Unknown }
}

/// Every command.
#[rustfmt::skip]
pub(super) static COMMANDS: &[Facts] = &[
    top("acl", -2, "6.0.0", "server", "", "@slow", &[], ""),
    top("append", 3, "2.0.0", "string", "write denyoom fast", "@write @string @fast", &[at("RW insert", 1)], ""),
    top("asking", 1, "3.0.0", "cluster", "fast", "@fast @connection", &[], ""),
    top("auth", -2, "1.0.0", "connection", "noscript loading stale fast no_auth allow_busy", "@fast @connection", &[], ""),
    top("bgrewriteaof", 1, "1.0.0", "server", "admin noscript no_async_loading", "@admin @slow @dangerous", &[], ""),
    top("bgsave", -1, "1.0.0", "server", "admin noscript no_async_loading", "@admin @slow @dangerous", &[], ""),
    top("bitcount", -2, "2.6.0", "bitmap", "readonly", "@read @bitmap @slow", &[at("RO access", 1)], ""),
    top("bitfield", -2, "3.2.0", "bitmap", "write denyoom", "@write @bitmap @slow", &[at("RW access update variable_flags", 1)], ""),
    top("bitfield_ro", -2, "6.0.0", "bitmap", "readonly fast", "@read @bitmap @fast", &[at("RO access", 1)], ""),
    top("bitop", -4, "2.6.0", "bitmap", "write denyoom", "@write @bitmap @slow", &[at("OW update", 2), range("RO access", 3, -1, 1)], ""),
    top("bitpos", -3, "2.8.7", "bitmap", "readonly", "@read @bitmap @slow", &[at("RO access", 1)], ""),
    top("blmove", 6, "6.2.0", "list", "write denyoom noscript blocking", "@write @list @slow @blocking", &[at("RW access delete", 1), at("RW insert", 2)], ""),
    top("blmpop", -5, "7.0.0", "list", "write blocking movablekeys", "@write @list @slow @blocking", &[counted("RW access delete", 2)], ""),
    top("blpop", -3, "2.0.0", "list", "write noscript blocking", "@write @list @slow @blocking", &[range("RW access delete", 1, -2, 1)], ""),
    top("brpop", -3, "2.0.0", "list", "write noscript blocking", "@write @list @slow @blocking", &[range("RW access delete", 1, -2, 1)], ""),
    top("brpoplpush", 4, "2.2.0", "list", "write denyoom noscript blocking", "@write @list @slow @blocking", &[at("RW access delete", 1), at("RW insert", 2)], ""),
    top("bzmpop", -5, "7.0.0", "sorted-set", "write blocking movablekeys", "@write @sortedset @slow @blocking", &[counted("RW access delete", 2)], ""),
    top("bzpopmax", -3, "5.0.0", "sorted-set", "write noscript blocking fast", "@write @sortedset @fast @blocking", &[range("RW access delete", 1, -2, 1)], ""),
    top("bzpopmin", -3, "5.0.0", "sorted-set", "write noscript blocking fast", "@write @sortedset @fast @blocking", &[range("RW access delete", 1, -2, 1)], ""),
    top("client", -2, "2.4.0", "connection", "", "@slow", &[], ""),
    top("cluster", -2, "3.0.0", "cluster", "", "@slow", &[], ""),
    top("command", -1, "2.8.13", "server", "loading stale", "@slow @connection", &[], "nondeterministic_output_order"),
    top("config", -2, "2.0.0", "server", "", "@slow", &[], ""),
    top("copy", -3, "6.2.0", "generic", "write denyoom", "@keyspace @write @slow", &[at("RO access", 1), at("OW update", 2)], ""),
    top("dbsize", 1, "1.0.0", "server", "readonly fast", "@keyspace @read @fast", &[], "request_policy:all_shards response_policy:agg_sum"),
    top("debug", -2, "1.0.0", "server", "admin noscript loading stale", "@admin @slow @dangerous", &[], ""),
    top("decr", 2, "1.0.0", "string", "write denyoom fast", "@write @string @fast", &[at("RW access update", 1)], ""),
    top("decrby", 3, "1.0.0", "string", "write denyoom fast", "@write @string @fast", &[at("RW access update", 1)], ""),
    top("del", -2, "1.0.0", "generic", "write", "@keyspace @write @slow", &[range("RM delete", 1, -1, 1)], "request_policy:multi_shard response_policy:agg_sum"),
    top("discard", 1, "2.0.0", "transactions", "noscript loading stale fast allow_busy", "@fast @transaction", &[], ""),
    top("dump", 2, "2.6.0", "generic", "readonly", "@keyspace @read @slow", &[at("RO access", 1)], "nondeterministic_output"),
    top("echo", 2, "1.0.0", "connection", "loading stale fast", "@fast @connection", &[], ""),
    top("eval", -3, "2.6.0", "scripting", "noscript stale skip_monitor no_mandatory_keys movablekeys", "@slow @scripting", &[counted("RW access update", 2)], ""),
    top("eval_ro", -3, "7.0.0", "scripting", "readonly noscript stale skip_monitor no_mandatory_keys movablekeys", "@slow @scripting", &[counted("RO access", 2)], ""),
    top("evalsha", -3, "2.6.0", "scripting", "noscript stale skip_monitor no_mandatory_keys movablekeys", "@slow @scripting", &[counted("RW access update", 2)], ""),
    top("evalsha_ro", -3, "7.0.0", "scripting", "readonly noscript stale skip_monitor no_mandatory_keys movablekeys", "@slow @scripting", &[counted("RO access", 2)], ""),
    top("exec", 1, "1.2.0", "transactions", "noscript loading stale skip_slowlog", "@slow @transaction", &[], ""),
    top("exists", -2, "1.0.0", "generic", "readonly fast", "@keyspace @read @fast", &[range("RO", 1, -1, 1)], "request_policy:multi_shard response_policy:agg_sum"),
    top("expire", -3, "1.0.0", "generic", "write fast", "@keyspace @write @fast", &[at("RW update", 1)], ""),
    top("expireat", -3, "1.2.0", "generic", "write fast", "@keyspace @write @fast", &[at("RW update", 1)], ""),
    top("expiretime", 2, "7.0.0", "generic", "readonly fast", "@keyspace @read @fast", &[at("RO access", 1)], ""),
    top("fcall", -3, "7.0.0", "scripting", "noscript stale skip_monitor no_mandatory_keys movablekeys", "@slow @scripting", &[counted("RW access update", 2)], ""),
    top("fcall_ro", -3, "7.0.0", "scripting", "readonly noscript stale skip_monitor no_mandatory_keys movablekeys", "@slow @scripting", &[counted("RO access", 2)], ""),
    top("flushall", -1, "1.0.0", "server", "write", "@keyspace @write @slow @dangerous", &[], "request_policy:all_shards response_policy:all_succeeded"),
    top("flushdb", -1, "1.0.0", "server", "write", "@keyspace @write @slow @dangerous", &[], "request_policy:all_shards response_policy:all_succeeded"),
    top("function", -2, "7.0.0", "scripting", "", "@slow", &[], ""),
    top("geoadd", -5, "3.2.0", "geo", "write denyoom", "@write @geo @slow", &[at("RW update", 1)], ""),
    top("geodist", -4, "3.2.0", "geo", "readonly", "@read @geo @slow", &[at("RO access", 1)], ""),
    top("geohash", -2, "3.2.0", "geo", "readonly", "@read @geo @slow", &[at("RO access", 1)], ""),
    top("geopos", -2, "3.2.0", "geo", "readonly", "@read @geo @slow", &[at("RO access", 1)], ""),
    top("georadius", -6, "3.2.0", "geo", "write denyoom movablekeys", "@write @geo @slow", &[at("RO access", 1), behind("OW update", "STORE", 6, 0, 0), behind("OW update", "STOREDIST", 6, 0, 0)], ""),
    top("georadius_ro", -6, "3.2.10", "geo", "readonly", "@read @geo @slow", &[at("RO access", 1)], ""),
    top("georadiusbymember", -5, "3.2.0", "geo", "write denyoom movablekeys", "@write @geo @slow", &[at("RO access", 1), behind("OW update", "STORE", 5, 0, 0), behind("OW update", "STOREDIST", 5, 0, 0)], ""),
    top("georadiusbymember_ro", -5, "3.2.10", "geo", "readonly", "@read @geo @slow", &[at("RO access", 1)], ""),
    top("geosearch", -7, "6.2.0", "geo", "readonly", "@read @geo @slow", &[at("RO access", 1)], ""),
    top("geosearchstore", -8, "6.2.0", "geo", "write denyoom", "@write @geo @slow", &[at("OW update", 1), at("RO access", 2)], ""),
    top("get", 2, "1.0.0", "string", "readonly fast", "@read @string @fast", &[at("RO access", 1)], ""),
    top("getbit", 3, "2.2.0", "bitmap", "readonly fast", "@read @bitmap @fast", &[at("RO access", 1)], ""),
    top("getdel", 2, "6.2.0", "string", "write fast", "@write @string @fast", &[at("RW access delete", 1)], ""),
    top("getex", -2, "6.2.0", "string", "write fast", "@write @string @fast", &[at("RW access update", 1)], ""),
    top("getrange", 4, "2.4.0", "string", "readonly", "@read @string @slow", &[at("RO access", 1)], ""),
    top("getset", 3, "1.0.0", "string", "write denyoom fast", "@write @string @fast", &[at("RW access update", 1)], ""),
    top("hdel", -3, "2.0.0", "hash", "write fast", "@write @hash @fast", &[at("RW delete", 1)], ""),
    top("hello", -1, "6.0.0", "connection", "noscript loading stale fast no_auth allow_busy", "@fast @connection", &[], ""),
    top("hexists", 3, "2.0.0", "hash", "readonly fast", "@read @hash @fast", &[at("RO", 1)], ""),
    top("hget", 3, "2.0.0", "hash", "readonly fast", "@read @hash @fast", &[at("RO access", 1)], ""),
    top("hgetall", 2, "2.0.0", "hash", "readonly", "@read @hash @slow", &[at("RO access", 1)], "nondeterministic_output_order"),
    top("hincrby", 4, "2.0.0", "hash", "write denyoom fast", "@write @hash @fast", &[at("RW access update", 1)], ""),
    top("hincrbyfloat", 4, "2.6.0", "hash", "write denyoom fast", "@write @hash @fast", &[at("RW access update", 1)], ""),
    top("hkeys", 2, "2.0.0", "hash", "readonly", "@read @hash @slow", &[at("RO access", 1)], "nondeterministic_output_order"),
    top("hlen", 2, "2.0.0", "hash", "readonly fast", "@read @hash @fast", &[at("RO", 1)], ""),
    top("hmget", -3, "2.0.0", "hash", "readonly fast", "@read @hash @fast", &[at("RO access", 1)], ""),
    top("hmset", -4, "2.0.0", "hash", "write denyoom fast", "@write @hash @fast", &[at("RW update", 1)], ""),
    top("hrandfield", -2, "6.2.0", "hash", "readonly", "@read @hash @slow", &[at("RO access", 1)], "nondeterministic_output"),
    top("hscan", -3, "2.8.0", "hash", "readonly", "@read @hash @slow", &[at("RO access", 1)], "nondeterministic_output"),
    top("hset", -4, "2.0.0", "hash", "write denyoom fast", "@write @hash @fast", &[at("RW update", 1)], ""),
    top("hsetnx", 4, "2.0.0", "hash", "write denyoom fast", "@write @hash @fast", &[at("RW insert", 1)], ""),
    top("hstrlen", 3, "3.2.0", "hash", "readonly fast", "@read @hash @fast", &[at("RO", 1)], ""),
    top("hvals", 2, "2.0.0", "hash", "readonly", "@read @hash @slow", &[at("RO access", 1)], "nondeterministic_output_order"),
    top("incr", 2, "1.0.0", "string", "write denyoom fast", "@write @string @fast", &[at("RW access update", 1)], ""),
    top("incrby", 3, "1.0.0", "string", "write denyoom fast", "@write @string @fast", &[at("RW access update", 1)], ""),
    top("incrbyfloat", 3, "2.6.0", "string", "write denyoom fast", "@write @string @fast", &[at("RW access update", 1)], ""),
    top("info", -1, "1.0.0", "server", "loading stale", "@slow @dangerous", &[], "nondeterministic_output request_policy:all_shards response_policy:special"),
    top("keys", 2, "1.0.0", "generic", "readonly", "@keyspace @read @slow @dangerous", &[], "request_policy:all_shards nondeterministic_output_order"),
    top("lastsave", 1, "1.0.0", "server", "loading stale fast", "@admin @fast @dangerous", &[], "nondeterministic_output"),
    top("latency", -2, "2.8.13", "server", "", "@slow", &[], ""),
    top("lcs", -3, "7.0.0", "string", "readonly", "@read @string @slow", &[range("RO access", 1, 1, 1)], ""),
    top("lindex", 3, "1.0.0", "list", "readonly", "@read @list @slow", &[at("RO access", 1)], ""),
    top("linsert", 5, "2.2.0", "list", "write denyoom", "@write @list @slow", &[at("RW insert", 1)], ""),
    top("llen", 2, "1.0.0", "list", "readonly fast", "@read @list @fast", &[at("RO", 1)], ""),
    top("lmove", 5, "6.2.0", "list", "write denyoom", "@write @list @slow", &[at("RW access delete", 1), at("RW insert", 2)], ""),
    top("lmpop", -4, "7.0.0", "list", "write movablekeys", "@write @list @slow", &[counted("RW access delete", 1)], ""),
    top("lolwut", -1, "5.0.0", "server", "readonly fast", "@read @fast", &[], ""),
    top("lpop", -2, "1.0.0", "list", "write fast", "@write @list @fast", &[at("RW access delete", 1)], ""),
    top("lpos", -3, "6.0.6", "list", "readonly", "@read @list @slow", &[at("RO access", 1)], ""),
    top("lpush", -3, "1.0.0", "list", "write denyoom fast", "@write @list @fast", &[at("RW insert", 1)], ""),
    top("lpushx", -3, "2.2.0", "list", "write denyoom fast", "@write @list @fast", &[at("RW insert", 1)], ""),
    top("lrange", 4, "1.0.0", "list", "readonly", "@read @list @slow", &[at("RO access", 1)], ""),
    top("lrem", 4, "1.0.0", "list", "write", "@write @list @slow", &[at("RW delete", 1)], ""),
    top("lset", 4, "1.0.0", "list", "write denyoom", "@write @list @slow", &[at("RW update", 1)], ""),
    top("ltrim", 4, "1.0.0", "list", "write", "@write @list @slow", &[at("RW delete", 1)], ""),
    top("memory", -2, "4.0.0", "server", "", "@slow", &[], ""),
    top("mget", -2, "1.0.0", "string", "readonly fast", "@read @string @fast", &[range("RO access", 1, -1, 1)], "request_policy:multi_shard"),
    top("migrate", -6, "2.6.0", "generic", "write movablekeys", "@keyspace @write @slow @dangerous", &[at("RW access delete", 3), behind("RW access delete incomplete", "KEYS", -2, -1, 0)], "nondeterministic_output"),
    top("module", -2, "4.0.0", "server", "", "@slow", &[], ""),
    top("monitor", 1, "1.0.0", "server", "admin noscript loading stale", "@admin @slow @dangerous", &[], ""),
    top("move", 3, "1.0.0", "generic", "write fast", "@keyspace @write @fast", &[at("RW access update", 1)], ""),
    top("mset", -3, "1.0.1", "string", "write denyoom", "@write @string @slow", &[range("OW update", 1, -1, 2)], "request_policy:multi_shard response_policy:all_succeeded"),
    top("msetnx", -3, "1.0.1", "string", "write denyoom", "@write @string @slow", &[range("OW insert", 1, -1, 2)], "request_policy:multi_shard response_policy:agg_min"),
    top("multi", 1, "1.2.0", "transactions", "noscript loading stale fast allow_busy", "@fast @transaction", &[], ""),
    top("object", -2, "2.2.3", "generic", "", "@slow", &[], ""),
    top("persist", 2, "2.2.0", "generic", "write fast", "@keyspace @write @fast", &[at("RW update", 1)], ""),
    top("pexpire", -3, "2.6.0", "generic", "write fast", "@keyspace @write @fast", &[at("RW update", 1)], ""),
    top("pexpireat", -3, "2.6.0", "generic", "write fast", "@keyspace @write @fast", &[at("RW update", 1)], ""),
    top("pexpiretime", 2, "7.0.0", "generic", "readonly fast", "@keyspace @read @fast", &[at("RO access", 1)], ""),
    top("pfadd", -2, "2.8.9", "hyperloglog", "write denyoom fast", "@write @hyperloglog @fast", &[at("RW insert", 1)], ""),
    top("pfcount", -2, "2.8.9", "hyperloglog", "readonly", "@read @hyperloglog @slow", &[range("RW access", 1, -1, 1)], ""),
    top("pfmerge", -2, "2.8.9", "hyperloglog", "write denyoom", "@write @hyperloglog @slow", &[at("RW access insert", 1), range("RO access", 2, -1, 1)], ""),
    top("ping", -1, "1.0.0", "connection", "fast", "@fast @connection", &[], "request_policy:all_shards response_policy:all_succeeded"),
    top("psetex", 4, "2.6.0", "string", "write denyoom", "@write @string @slow", &[at("OW update", 1)], ""),
    top("psubscribe", -2, "2.0.0", "pubsub", "pubsub noscript loading stale", "@pubsub @slow", &[], ""),
    top("psync", -3, "2.8.0", "server", "admin noscript no_async_loading no_multi", "@admin @slow @dangerous", &[], ""),
    top("pttl", 2, "2.6.0", "generic", "readonly fast", "@keyspace @read @fast", &[at("RO access", 1)], "nondeterministic_output"),
    top("publish", 3, "2.0.0", "pubsub", "pubsub loading stale fast", "@pubsub @fast", &[], ""),
    top("pubsub", -2, "2.8.0", "pubsub", "", "@slow", &[], ""),
    top("punsubscribe", -1, "2.0.0", "pubsub", "pubsub noscript loading stale", "@pubsub @slow", &[], ""),
    top("quit", -1, "1.0.0", "connection", "noscript loading stale fast no_auth allow_busy", "@fast @connection", &[], ""),
    top("randomkey", 1, "1.0.0", "generic", "readonly", "@keyspace @read @slow", &[], "request_policy:all_shards nondeterministic_output"),
    top("readonly", 1, "3.0.0", "cluster", "loading stale fast", "@fast @connection", &[], ""),
    top("readwrite", 1, "3.0.0", "cluster", "loading stale fast", "@fast @connection", &[], ""),
    top("rename", 3, "1.0.0", "generic", "write", "@keyspace @write @slow", &[at("RW access delete", 1), at("OW update", 2)], ""),
    top("renamenx", 3, "1.0.0", "generic", "write fast", "@keyspace @write @fast", &[at("RW access delete", 1), at("OW insert", 2)], ""),
    top("replconf", -1, "3.0.0", "server", "admin noscript loading stale allow_busy", "@admin @slow @dangerous", &[], ""),
    top("replicaof", 3, "5.0.0", "server", "admin noscript stale no_async_loading", "@admin @slow @dangerous", &[], ""),
    top("reset", 1, "6.2.0", "connection", "noscript loading stale fast no_auth allow_busy", "@fast @connection", &[], ""),
    top("restore", -4, "2.6.0", "generic", "write denyoom", "@keyspace @write @slow @dangerous", &[at("OW update", 1)], ""),
    top("role", 1, "2.8.12", "server", "noscript loading stale fast", "@admin @fast @dangerous", &[], ""),
    top("rpop", -2, "1.0.0", "list", "write fast", "@write @list @fast", &[at("RW access delete", 1)], ""),
    top("rpoplpush", 3, "1.2.0", "list", "write denyoom", "@write @list @slow", &[at("RW access delete", 1), at("RW insert", 2)], ""),
    top("rpush", -3, "1.0.0", "list", "write denyoom fast", "@write @list @fast", &[at("RW insert", 1)], ""),
    top("rpushx", -3, "2.2.0", "list", "write denyoom fast", "@write @list @fast", &[at("RW insert", 1)], ""),
    top("sadd", -3, "1.0.0", "set", "write denyoom fast", "@write @set @fast", &[at("RW insert", 1)], ""),
    top("save", 1, "1.0.0", "server", "admin noscript no_async_loading no_multi", "@admin @slow @dangerous", &[], ""),
    top("scan", -2, "2.8.0", "generic", "readonly", "@keyspace @read @slow", &[], "nondeterministic_output request_policy:special"),
    top("scard", 2, "1.0.0", "set", "readonly fast", "@read @set @fast", &[at("RO", 1)], ""),
    top("script", -2, "2.6.0", "scripting", "", "@slow", &[], ""),
    top("sdiff", -2, "1.0.0", "set", "readonly", "@read @set @slow", &[range("RO access", 1, -1, 1)], "nondeterministic_output_order"),
    top("sdiffstore", -3, "1.0.0", "set", "write denyoom", "@write @set @slow", &[at("OW update", 1), range("RO access", 2, -1, 1)], ""),
    top("select", 2, "1.0.0", "connection", "loading stale fast", "@fast @connection", &[], ""),
    top("set", -3, "1.0.0", "string", "write denyoom", "@write @string @slow", &[at("RW access update variable_flags", 1)], ""),
    top("setbit", 4, "2.2.0", "bitmap", "write denyoom", "@write @bitmap @slow", &[at("RW access update", 1)], ""),
    top("setex", 4, "2.0.0", "string", "write denyoom", "@write @string @slow", &[at("OW update", 1)], ""),
    top("setnx", 3, "1.0.0", "string", "write denyoom fast", "@write @string @fast", &[at("OW insert", 1)], ""),
    top("setrange", 4, "2.2.0", "string", "write denyoom", "@write @string @slow", &[at("RW update", 1)], ""),
    top("shutdown", -1, "1.0.0", "server", "admin noscript loading stale no_multi allow_busy", "@admin @slow @dangerous", &[], ""),
    top("sinter", -2, "1.0.0", "set", "readonly", "@read @set @slow", &[range("RO access", 1, -1, 1)], "nondeterministic_output_order"),
    top("sintercard", -3, "7.0.0", "set", "readonly movablekeys", "@read @set @slow", &[counted("RO access", 1)], ""),
    top("sinterstore", -3, "1.0.0", "set", "write denyoom", "@write @set @slow", &[at("RW update", 1), range("RO access", 2, -1, 1)], ""),
    top("sismember", 3, "1.0.0", "set", "readonly fast", "@read @set @fast", &[at("RO", 1)], ""),
    top("slaveof", 3, "1.0.0", "server", "admin noscript stale no_async_loading", "@admin @slow @dangerous", &[], ""),
    top("slowlog", -2, "2.2.12", "server", "", "@slow", &[], ""),
    top("smembers", 2, "1.0.0", "set", "readonly", "@read @set @slow", &[at("RO access", 1)], "nondeterministic_output_order"),
    top("smismember", -3, "6.2.0", "set", "readonly fast", "@read @set @fast", &[at("RO access", 1)], ""),
    top("smove", 4, "1.0.0", "set", "write fast", "@write @set @fast", &[at("RW access delete", 1), at("RW insert", 2)], ""),
    top("sort", -2, "1.0.0", "generic", "write denyoom movablekeys", "@write @set @sortedset @list @slow @dangerous", &[at("RO access", 1), unknown("RO access"), unknown("OW update")], ""),
    top("sort_ro", -2, "7.0.0", "generic", "readonly movablekeys", "@read @set @sortedset @list @slow @dangerous", &[at("RO access", 1), unknown("RO access")], ""),
    top("spop", -2, "1.0.0", "set", "write fast", "@write @set @fast", &[at("RW access delete", 1)], "nondeterministic_output"),
    top("spublish", 3, "7.0.0", "pubsub", "pubsub loading stale fast", "@pubsub @fast", &[at("not_key", 1)], ""),
    top("srandmember", -2, "1.0.0", "set", "readonly", "@read @set @slow", &[at("RO access", 1)], "nondeterministic_output"),
    top("srem", -3, "1.0.0", "set", "write fast", "@write @set @fast", &[at("RW delete", 1)], ""),
    top("sscan", -3, "2.8.0", "set", "readonly", "@read @set @slow", &[at("RO access", 1)], "nondeterministic_output"),
    top("ssubscribe", -2, "7.0.0", "pubsub", "pubsub noscript loading stale", "@pubsub @slow", &[range("not_key", 1, -1, 1)], ""),
    top("strlen", 2, "2.2.0", "string", "readonly fast", "@read @string @fast", &[at("RO", 1)], ""),
    top("subscribe", -2, "2.0.0", "pubsub", "pubsub noscript loading stale", "@pubsub @slow", &[], ""),
    top("substr", 4, "1.0.0", "string", "readonly", "@read @string @slow", &[at("RO access", 1)], ""),
    top("sunion", -2, "1.0.0", "set", "readonly", "@read @set @slow", &[range("RO access", 1, -1, 1)], "nondeterministic_output_order"),
    top("sunionstore", -3, "1.0.0", "set", "write denyoom", "@write @set @slow", &[at("OW update", 1), range("RO access", 2, -1, 1)], ""),
    top("sunsubscribe", -1, "7.0.0", "pubsub", "pubsub noscript loading stale", "@pubsub @slow", &[range("not_key", 1, -1, 1)], ""),
    top("swapdb", 3, "4.0.0", "server", "write fast", "@keyspace @write @fast @dangerous", &[], ""),
    top("sync", 1, "1.0.0", "server", "admin noscript no_async_loading no_multi", "@admin @slow @dangerous", &[], ""),
    top("time", 1, "2.6.0", "server", "loading stale fast", "@fast", &[], "nondeterministic_output"),
    top("touch", -2, "3.2.1", "generic", "readonly fast", "@keyspace @read @fast", &[range("RO", 1, -1, 1)], "request_policy:multi_shard response_policy:agg_sum"),
    top("ttl", 2, "1.0.0", "generic", "readonly fast", "@keyspace @read @fast", &[at("RO access", 1)], "nondeterministic_output"),
    top("type", 2, "1.0.0", "generic", "readonly fast", "@keyspace @read @fast", &[at("RO", 1)], ""),
    top("unlink", -2, "4.0.0", "generic", "write fast", "@keyspace @write @fast", &[range("RM delete", 1, -1, 1)], "request_policy:multi_shard response_policy:agg_sum"),
    top("unsubscribe", -1, "2.0.0", "pubsub", "pubsub noscript loading stale", "@pubsub @slow", &[], ""),
    top("unwatch", 1, "2.2.0", "transactions", "noscript loading stale fast allow_busy", "@fast @transaction", &[], ""),
    top("wait", 3, "3.0.0", "generic", "noscript", "@slow @connection", &[], "request_policy:all_shards response_policy:agg_min"),
    top("watch", -2, "2.2.0", "transactions", "noscript loading stale fast allow_busy", "@fast @transaction", &[range("RO", 1, -1, 1)], ""),
    top("xack", -4, "5.0.0", "stream", "write fast", "@write @stream @fast", &[at("RW update", 1)], ""),
    top("xadd", -5, "5.0.0", "stream", "write denyoom fast", "@write @stream @fast", &[at("RW update", 1)], "nondeterministic_output"),
    top("xautoclaim", -6, "6.2.0", "stream", "write fast", "@write @stream @fast", &[at("RW delete", 1)], "nondeterministic_output"),
    top("xclaim", -6, "5.0.0", "stream", "write fast", "@write @stream @fast", &[at("RW update", 1)], "nondeterministic_output"),
    top("xdel", -3, "5.0.0", "stream", "write fast", "@write @stream @fast", &[at("RW delete", 1)], ""),
    top("xgroup", -2, "5.0.0", "stream", "", "@slow", &[], ""),
    top("xinfo", -2, "5.0.0", "stream", "", "@slow", &[], ""),
    top("xlen", 2, "5.0.0", "stream", "readonly fast", "@read @stream @fast", &[at("RO", 1)], ""),
    top("xpending", -3, "5.0.0", "stream", "readonly", "@read @stream @slow", &[at("RO access", 1)], "nondeterministic_output"),
    top("xrange", -4, "5.0.0", "stream", "readonly", "@read @stream @slow", &[at("RO access", 1)], ""),
    top("xread", -4, "5.0.0", "stream", "readonly blocking movablekeys", "@read @stream @slow @blocking", &[behind("RO access", "STREAMS", 1, -1, 2)], ""),
    top("xreadgroup", -7, "5.0.0", "stream", "write blocking movablekeys", "@write @stream @slow @blocking", &[behind("RO access", "STREAMS", 4, -1, 2)], ""),
    top("xrevrange", -4, "5.0.0", "stream", "readonly", "@read @stream @slow", &[at("RO access", 1)], ""),
    top("xsetid", -3, "5.0.0", "stream", "write denyoom fast", "@write @stream @fast", &[at("RW update", 1)], ""),
    top("xtrim", -4, "5.0.0", "stream", "write", "@write @stream @slow", &[at("RW delete", 1)], "nondeterministic_output"),
    top("zadd", -4, "1.2.0", "sorted-set", "write denyoom fast", "@write @sortedset @fast", &[at("RW update", 1)], ""),
    top("zcard", 2, "1.2.0", "sorted-set", "readonly fast", "@read @sortedset @fast", &[at("RO", 1)], ""),
    top("zcount", 4, "2.0.0", "sorted-set", "readonly fast", "@read @sortedset @fast", &[at("RO access", 1)], ""),
    top("zdiff", -3, "6.2.0", "sorted-set", "readonly movablekeys", "@read @sortedset @slow", &[counted("RO access", 1)], ""),
    top("zdiffstore", -4, "6.2.0", "sorted-set", "write denyoom movablekeys", "@write @sortedset @slow", &[at("OW update", 1), counted("RO access", 2)], ""),
    top("zincrby", 4, "1.2.0", "sorted-set", "write denyoom fast", "@write @sortedset @fast", &[at("RW access update", 1)], ""),
    top("zinter", -3, "6.2.0", "sorted-set", "readonly movablekeys", "@read @sortedset @slow", &[counted("RO access", 1)], ""),
    top("zintercard", -3, "7.0.0", "sorted-set", "readonly movablekeys", "@read @sortedset @slow", &[counted("RO access", 1)], ""),
    top("zinterstore", -4, "2.0.0", "sorted-set", "write denyoom movablekeys", "@write @sortedset @slow", &[at("OW update", 1), counted("RO access", 2)], ""),
    top("zlexcount", 4, "2.8.9", "sorted-set", "readonly fast", "@read @sortedset @fast", &[at("RO access", 1)], ""),
    top("zmpop", -4, "7.0.0", "sorted-set", "write movablekeys", "@write @sortedset @slow", &[counted("RW access delete", 1)], ""),
    top("zmscore", -3, "6.2.0", "sorted-set", "readonly fast", "@read @sortedset @fast", &[at("RO access", 1)], ""),
    top("zpopmax", -2, "5.0.0", "sorted-set", "write fast", "@write @sortedset @fast", &[at("RW access delete", 1)], ""),
    top("zpopmin", -2, "5.0.0", "sorted-set", "write fast", "@write @sortedset @fast", &[at("RW access delete", 1)], ""),
    top("zrandmember", -2, "6.2.0", "sorted-set", "readonly", "@read @sortedset @slow", &[at("RO access", 1)], "nondeterministic_output"),
    top("zrange", -4, "1.2.0", "sorted-set", "readonly", "@read @sortedset @slow", &[at("RO access", 1)], ""),
    top("zrangebylex", -4, "2.8.9", "sorted-set", "readonly", "@read @sortedset @slow", &[at("RO access", 1)], ""),
    top("zrangebyscore", -4, "1.0.5", "sorted-set", "readonly", "@read @sortedset @slow", &[at("RO access", 1)], ""),
    top("zrangestore", -5, "6.2.0", "sorted-set", "write denyoom", "@write @sortedset @slow", &[at("OW update", 1), at("RO access", 2)], ""),
    top("zrank", 3, "2.0.0", "sorted-set", "readonly fast", "@read @sortedset @fast", &[at("RO access", 1)], ""),
    top("zrem", -3, "1.2.0", "sorted-set", "write fast", "@write @sortedset @fast", &[at("RW delete", 1)], ""),
    top("zremrangebylex", 4, "2.8.9", "sorted-set", "write", "@write @sortedset @slow", &[at("RW delete", 1)], ""),
    top("zremrangebyrank", 4, "2.0.0", "sorted-set", "write", "@write @sortedset @slow", &[at("RW delete", 1)], ""),
    top("zremrangebyscore", 4, "1.2.0", "sorted-set", "write", "@write @sortedset @slow", &[at("RW delete", 1)], ""),
    top("zrevrange", -4, "1.2.0", "sorted-set", "readonly", "@read @sortedset @slow", &[at("RO access", 1)], ""),
    top("zrevrangebylex", -4, "2.8.9", "sorted-set", "readonly", "@read @sortedset @slow", &[at("RO access", 1)], ""),
    top("zrevrangebyscore", -4, "2.2.0", "sorted-set", "readonly", "@read @sortedset @slow", &[at("RO access", 1)], ""),
    top("zrevrank", 3, "2.0.0", "sorted-set", "readonly fast", "@read @sortedset @fast", &[at("RO access", 1)], ""),
    top("zscan", -3, "2.8.0", "sorted-set", "readonly", "@read @sortedset @slow", &[at("RO access", 1)], "nondeterministic_output"),
    top("zscore", 3, "1.2.0", "sorted-set", "readonly fast", "@read @sortedset @fast", &[at("RO access", 1)], ""),
    top("zunion", -3, "6.2.0", "sorted-set", "readonly movablekeys", "@read @sortedset @slow", &[counted("RO access", 1)], ""),
    top("zunionstore", -4, "2.0.0", "sorted-set", "write denyoom movablekeys", "@write @sortedset @slow", &[at("OW update", 1), counted("RO access", 2)], ""),
];

/// Every sub-command.
#[rustfmt::skip]
pub(super) static SUBCOMMANDS: &[Facts] = &[
    sub("acl|cat", -2, "Gives the categories, or the commands of one.", "6.0.0", "server", "noscript loading stale", "@slow", &[], ""),
    sub("acl|deluser", -3, "Takes users away.", "6.0.0", "server", "admin noscript loading stale", "@admin @slow @dangerous", &[], ""),
    sub("acl|dryrun", -4, "Says whether a user may run a command.", "7.0.0", "server", "admin noscript loading stale", "@admin @slow @dangerous", &[], ""),
    sub("acl|genpass", -2, "Makes a password.", "6.0.0", "server", "noscript loading stale", "@slow", &[], ""),
    sub("acl|getuser", 3, "Says what a user may do.", "6.0.0", "server", "admin noscript loading stale", "@admin @slow @dangerous", &[], ""),
    sub("acl|help", 2, "Says what ACL can.", "6.0.0", "server", "loading stale", "@slow", &[], ""),
    sub("acl|list", 2, "Gives the rules of every user.", "6.0.0", "server", "admin noscript loading stale", "@admin @slow @dangerous", &[], ""),
    sub("acl|load", 2, "Is refused: there is no ACL file.", "6.0.0", "server", "admin noscript loading stale", "@admin @slow @dangerous", &[], ""),
    sub("acl|log", -2, "Gives what was denied.", "6.0.0", "server", "admin noscript loading stale", "@admin @slow @dangerous", &[], ""),
    sub("acl|save", 2, "Is refused: there is no ACL file.", "6.0.0", "server", "admin noscript loading stale", "@admin @slow @dangerous", &[], ""),
    sub("acl|setuser", -3, "Makes or changes a user.", "6.0.0", "server", "admin noscript loading stale", "@admin @slow @dangerous", &[], ""),
    sub("acl|users", 2, "Gives the names of users.", "6.0.0", "server", "admin noscript loading stale", "@admin @slow @dangerous", &[], ""),
    sub("acl|whoami", 2, "Says which user a connection is.", "6.0.0", "server", "noscript loading stale", "@slow", &[], ""),
    sub("client|caching", 3, "Says whether to track what the next command reads.", "6.0.0", "connection", "noscript loading stale", "@slow @connection", &[], ""),
    sub("client|getname", 2, "Gives the connection's name.", "2.6.9", "connection", "noscript loading stale", "@slow @connection", &[], ""),
    sub("client|getredir", 2, "Says who is told which keys change.", "6.0.0", "connection", "noscript loading stale", "@slow @connection", &[], ""),
    sub("client|help", 2, "Says what CLIENT can.", "5.0.0", "connection", "loading stale", "@slow @connection", &[], ""),
    sub("client|id", 2, "Gives the connection's number.", "5.0.0", "connection", "noscript loading stale", "@slow @connection", &[], ""),
    sub("client|info", 2, "Describes the connection.", "6.2.0", "connection", "noscript loading stale", "@slow @connection", &[], "nondeterministic_output"),
    sub("client|kill", -3, "Ends connections.", "2.4.0", "connection", "admin noscript loading stale", "@admin @slow @dangerous @connection", &[], ""),
    sub("client|list", -2, "Describes every connection.", "2.4.0", "connection", "admin noscript loading stale", "@admin @slow @dangerous @connection", &[], "nondeterministic_output"),
    sub("client|no-evict", 3, "Is noted: no connection is ever evicted.", "7.0.0", "connection", "admin noscript loading stale", "@admin @slow @dangerous @connection", &[], ""),
    sub("client|no-touch", 3, "Is noted: what it reads counts as touched all the same.", "7.2.0", "connection", "noscript loading stale", "@slow @connection", &[], ""),
    sub("client|pause", -3, "Holds commands back for a while.", "2.9.50", "connection", "admin noscript loading stale", "@admin @slow @dangerous @connection", &[], ""),
    sub("client|reply", 3, "Switches replies off and on.", "3.2.0", "connection", "noscript loading stale", "@slow @connection", &[], ""),
    sub("client|setinfo", 4, "Names the library.", "7.2.0", "connection", "noscript loading stale", "@slow @connection", &[], "request_policy:all_nodes response_policy:all_succeeded"),
    sub("client|setname", 3, "Names the connection.", "2.6.9", "connection", "noscript loading stale", "@slow @connection", &[], ""),
    sub("client|tracking", -3, "Lets a connection be told which keys change.", "6.0.0", "connection", "noscript loading stale", "@slow @connection", &[], ""),
    sub("client|trackinginfo", 2, "Says how a connection tracks keys.", "6.2.0", "connection", "noscript loading stale", "@slow @connection", &[], ""),
    sub("client|unblock", -3, "Ends the wait of a connection.", "5.0.0", "connection", "admin noscript loading stale", "@admin @slow @dangerous @connection", &[], ""),
    sub("client|unpause", 2, "Lets commands pass again.", "6.2.0", "connection", "admin noscript loading stale", "@admin @slow @dangerous @connection", &[], ""),
    sub("cluster|addslots", -3, "Is refused: there is one node.", "3.0.0", "cluster", "admin stale no_async_loading", "@admin @slow @dangerous", &[], ""),
    sub("cluster|addslotsrange", -4, "Is refused: there is one node.", "7.0.0", "cluster", "admin stale no_async_loading", "@admin @slow @dangerous", &[], ""),
    sub("cluster|bumpepoch", 2, "Is refused: there is one node.", "3.0.0", "cluster", "admin stale no_async_loading", "@admin @slow @dangerous", &[], "nondeterministic_output"),
    sub("cluster|count-failure-reports", 3, "Is refused: there is one node.", "3.0.0", "cluster", "admin stale", "@admin @slow @dangerous", &[], "nondeterministic_output"),
    sub("cluster|countkeysinslot", 3, "Is refused: there is one node.", "3.0.0", "cluster", "stale", "@slow", &[], ""),
    sub("cluster|delslots", -3, "Is refused: there is one node.", "3.0.0", "cluster", "admin stale no_async_loading", "@admin @slow @dangerous", &[], ""),
    sub("cluster|delslotsrange", -4, "Is refused: there is one node.", "7.0.0", "cluster", "admin stale no_async_loading", "@admin @slow @dangerous", &[], ""),
    sub("cluster|failover", -2, "Is refused: there is one node.", "3.0.0", "cluster", "admin stale no_async_loading", "@admin @slow @dangerous", &[], ""),
    sub("cluster|flushslots", 2, "Is refused: there is one node.", "3.0.0", "cluster", "admin stale no_async_loading", "@admin @slow @dangerous", &[], ""),
    sub("cluster|forget", 3, "Is refused: there is one node.", "3.0.0", "cluster", "admin stale no_async_loading", "@admin @slow @dangerous", &[], ""),
    sub("cluster|getkeysinslot", 4, "Is refused: there is one node.", "3.0.0", "cluster", "stale", "@slow", &[], "nondeterministic_output"),
    sub("cluster|help", 2, "Says what CLUSTER can.", "5.0.0", "cluster", "loading stale", "@slow", &[], ""),
    sub("cluster|info", 2, "Says how the cluster of one node is.", "3.0.0", "cluster", "stale", "@slow", &[], "nondeterministic_output"),
    sub("cluster|keyslot", 3, "Gives a key's slot.", "3.0.0", "cluster", "stale", "@slow", &[], ""),
    sub("cluster|links", 2, "Is refused: there is one node.", "7.0.0", "cluster", "stale", "@slow", &[], "nondeterministic_output"),
    sub("cluster|meet", -4, "Is refused: there is one node.", "3.0.0", "cluster", "admin stale no_async_loading", "@admin @slow @dangerous", &[], ""),
    sub("cluster|myid", 2, "Gives the node's name.", "3.0.0", "cluster", "stale", "@slow", &[], ""),
    sub("cluster|nodes", 2, "Gives the one node.", "3.0.0", "cluster", "stale", "@slow", &[], "nondeterministic_output"),
    sub("cluster|replicas", 3, "Is refused: there is one node.", "5.0.0", "cluster", "admin stale", "@admin @slow @dangerous", &[], "nondeterministic_output"),
    sub("cluster|replicate", 3, "Is refused: there is one node.", "3.0.0", "cluster", "admin stale no_async_loading", "@admin @slow @dangerous", &[], ""),
    sub("cluster|reset", -2, "Is refused: there is one node.", "3.0.0", "cluster", "admin noscript stale", "@admin @slow @dangerous", &[], ""),
    sub("cluster|saveconfig", 2, "Is refused: there is one node.", "3.0.0", "cluster", "admin stale no_async_loading", "@admin @slow @dangerous", &[], ""),
    sub("cluster|set-config-epoch", 3, "Is refused: there is one node.", "3.0.0", "cluster", "admin stale no_async_loading", "@admin @slow @dangerous", &[], ""),
    sub("cluster|setslot", -4, "Is refused: there is one node.", "3.0.0", "cluster", "admin stale no_async_loading", "@admin @slow @dangerous", &[], ""),
    sub("cluster|shards", 2, "Gives who has which slots.", "7.0.0", "cluster", "stale", "@slow", &[], "nondeterministic_output"),
    sub("cluster|slaves", 3, "Is refused: there is one node.", "3.0.0", "cluster", "admin stale", "@admin @slow @dangerous", &[], "nondeterministic_output"),
    sub("cluster|slots", 2, "Gives who has which slots.", "3.0.0", "cluster", "stale", "@slow", &[], "nondeterministic_output"),
    sub("command|count", 2, "Counts the commands.", "2.8.13", "server", "loading stale", "@slow @connection", &[], ""),
    sub("command|docs", -2, "Documents commands.", "7.0.0", "server", "loading stale", "@slow @connection", &[], "nondeterministic_output_order"),
    sub("command|getkeys", -4, "Finds the keys in a command.", "2.8.13", "server", "loading stale", "@slow @connection", &[], ""),
    sub("command|getkeysandflags", -4, "Finds the keys in a command and what it does to them.", "7.0.0", "server", "loading stale", "@slow @connection", &[], ""),
    sub("command|help", 2, "Says what COMMAND can.", "5.0.0", "server", "loading stale", "@slow @connection", &[], ""),
    sub("command|info", -2, "Describes commands.", "2.8.13", "server", "loading stale", "@slow @connection", &[], "nondeterministic_output_order"),
    sub("command|list", -2, "Gives the names of commands.", "7.0.0", "server", "loading stale", "@slow @connection", &[], "nondeterministic_output_order"),
    sub("config|get", -3, "Gives parameters.", "2.0.0", "server", "admin noscript loading stale", "@admin @slow @dangerous", &[], ""),
    sub("config|help", 2, "Says what CONFIG can.", "5.0.0", "server", "loading stale", "@slow", &[], ""),
    sub("config|resetstat", 2, "Sets counters to zero.", "2.0.0", "server", "admin noscript loading stale", "@admin @slow @dangerous", &[], ""),
    sub("config|rewrite", 2, "Is refused: no file of Redis is read.", "2.8.0", "server", "admin noscript loading stale", "@admin @slow @dangerous", &[], ""),
    sub("config|set", -4, "Sets parameters until the node stops.", "2.0.0", "server", "admin noscript loading stale", "@admin @slow @dangerous", &[], "request_policy:all_nodes response_policy:all_succeeded"),
    sub("function|delete", 3, "Is refused.", "7.0.0", "scripting", "write noscript", "@write @slow @scripting", &[], "request_policy:all_shards response_policy:all_succeeded"),
    sub("function|dump", 2, "Is refused.", "7.0.0", "scripting", "noscript", "@slow @scripting", &[], ""),
    sub("function|flush", -2, "Succeeds: there are no functions.", "7.0.0", "scripting", "write noscript", "@write @slow @scripting", &[], "request_policy:all_shards response_policy:all_succeeded"),
    sub("function|help", 2, "Says what FUNCTION can.", "7.0.0", "scripting", "loading stale", "@slow @scripting", &[], ""),
    sub("function|kill", 2, "Is refused.", "7.0.0", "scripting", "noscript allow_busy", "@slow @scripting", &[], "request_policy:all_shards response_policy:one_succeeded"),
    sub("function|list", -2, "Gives all functions: none.", "7.0.0", "scripting", "noscript", "@slow @scripting", &[], "nondeterministic_output_order"),
    sub("function|load", -3, "Is refused.", "7.0.0", "scripting", "write denyoom noscript", "@write @slow @scripting", &[], "request_policy:all_shards response_policy:all_succeeded"),
    sub("function|restore", -3, "Is refused.", "7.0.0", "scripting", "write denyoom noscript", "@write @slow @scripting", &[], "request_policy:all_shards response_policy:all_succeeded"),
    sub("function|stats", 2, "Is refused.", "7.0.0", "scripting", "noscript allow_busy", "@slow @scripting", &[], "nondeterministic_output request_policy:all_shards response_policy:special"),
    sub("latency|doctor", 2, "Tells what was slow.", "2.8.13", "server", "admin noscript loading stale", "@admin @slow @dangerous", &[], "nondeterministic_output request_policy:all_nodes response_policy:special"),
    sub("latency|graph", 3, "Draws the latest samples of an event.", "2.8.13", "server", "admin noscript loading stale", "@admin @slow @dangerous", &[], "nondeterministic_output request_policy:all_nodes response_policy:special"),
    sub("latency|help", 2, "Says what LATENCY can.", "2.8.13", "server", "loading stale", "@slow", &[], ""),
    sub("latency|histogram", -2, "Says how long commands take.", "7.0.0", "server", "admin noscript loading stale", "@admin @slow @dangerous", &[], "nondeterministic_output request_policy:all_nodes response_policy:special"),
    sub("latency|history", 3, "Gives the samples of an event.", "2.8.13", "server", "admin noscript loading stale", "@admin @slow @dangerous", &[], "nondeterministic_output request_policy:all_nodes response_policy:special"),
    sub("latency|latest", 2, "Gives the latest sample of every event.", "2.8.13", "server", "admin noscript loading stale", "@admin @slow @dangerous", &[], "nondeterministic_output request_policy:all_nodes response_policy:special"),
    sub("latency|reset", -2, "Forgets events.", "2.8.13", "server", "admin noscript loading stale", "@admin @slow @dangerous", &[], "request_policy:all_nodes response_policy:all_succeeded"),
    sub("memory|doctor", 2, "Answers nothing.", "4.0.0", "server", "", "@slow", &[], "nondeterministic_output request_policy:all_shards response_policy:special"),
    sub("memory|help", 2, "Says what MEMORY can.", "4.0.0", "server", "loading stale", "@slow", &[], ""),
    sub("memory|malloc-stats", 2, "Answers nothing.", "4.0.0", "server", "", "@slow", &[], "nondeterministic_output request_policy:all_shards response_policy:special"),
    sub("memory|purge", 2, "Succeeds: memory goes back by itself.", "4.0.0", "server", "", "@slow", &[], "request_policy:all_shards response_policy:all_succeeded"),
    sub("memory|stats", 2, "Says what takes memory.", "4.0.0", "server", "", "@slow", &[], "nondeterministic_output request_policy:all_shards response_policy:special"),
    sub("memory|usage", -3, "Estimates the bytes of a key.", "4.0.0", "server", "readonly", "@read @slow", &[at("RO", 2)], ""),
    sub("module|help", 2, "Says what MODULE can.", "5.0.0", "server", "loading stale", "@slow", &[], ""),
    sub("module|list", 2, "Lists no modules.", "4.0.0", "server", "admin noscript", "@admin @slow @dangerous", &[], "nondeterministic_output_order"),
    sub("module|load", -3, "Is refused.", "4.0.0", "server", "admin noscript no_async_loading", "@admin @slow @dangerous", &[], ""),
    sub("module|loadex", -3, "Is refused.", "7.0.0", "server", "admin noscript no_async_loading", "@admin @slow @dangerous", &[], ""),
    sub("module|unload", 3, "Is refused.", "4.0.0", "server", "admin noscript no_async_loading", "@admin @slow @dangerous", &[], ""),
    sub("object|encoding", 3, "Says by Redis's names how a key is kept.", "2.2.3", "generic", "readonly", "@keyspace @read @slow", &[at("RO", 2)], "nondeterministic_output"),
    sub("object|freq", 3, "Is refused: access is not counted.", "4.0.0", "generic", "readonly", "@keyspace @read @slow", &[at("RO", 2)], "nondeterministic_output"),
    sub("object|help", 2, "Says what OBJECT can.", "6.2.0", "generic", "loading stale", "@keyspace @slow", &[], ""),
    sub("object|idletime", 3, "Says since when a key was not touched.", "2.2.3", "generic", "readonly", "@keyspace @read @slow", &[at("RO", 2)], "nondeterministic_output"),
    sub("object|refcount", 3, "Is 1.", "2.2.3", "generic", "readonly", "@keyspace @read @slow", &[at("RO", 2)], "nondeterministic_output"),
    sub("pubsub|channels", -2, "Gives the channels somebody hears.", "2.8.0", "pubsub", "pubsub loading stale", "@pubsub @slow", &[], ""),
    sub("pubsub|help", 2, "Says what PUBSUB can.", "6.2.0", "pubsub", "loading stale", "@slow", &[], ""),
    sub("pubsub|numpat", 2, "Counts patterns.", "2.8.0", "pubsub", "pubsub loading stale", "@pubsub @slow", &[], ""),
    sub("pubsub|numsub", -2, "Counts the subscribers of channels.", "2.8.0", "pubsub", "pubsub loading stale", "@pubsub @slow", &[], ""),
    sub("pubsub|shardchannels", -2, "Gives the sharded channels somebody hears.", "7.0.0", "pubsub", "pubsub loading stale", "@pubsub @slow", &[], ""),
    sub("pubsub|shardnumsub", -2, "Counts the subscribers of sharded channels.", "7.0.0", "pubsub", "pubsub loading stale", "@pubsub @slow", &[], ""),
    sub("script|debug", 3, "Is refused.", "3.2.0", "scripting", "noscript", "@slow @scripting", &[], ""),
    sub("script|exists", -3, "Says that no script is known.", "2.6.0", "scripting", "noscript", "@slow @scripting", &[], "request_policy:all_shards response_policy:agg_logical_and"),
    sub("script|flush", -2, "Succeeds: there are no scripts.", "2.6.0", "scripting", "noscript", "@slow @scripting", &[], "request_policy:all_nodes response_policy:all_succeeded"),
    sub("script|help", 2, "Says what SCRIPT can.", "5.0.0", "scripting", "loading stale", "@slow @scripting", &[], ""),
    sub("script|kill", 2, "Finds no script to kill.", "2.6.0", "scripting", "noscript allow_busy", "@slow @scripting", &[], "request_policy:all_shards response_policy:one_succeeded"),
    sub("script|load", 3, "Is refused.", "2.6.0", "scripting", "noscript stale", "@slow @scripting", &[], "request_policy:all_nodes response_policy:all_succeeded"),
    sub("slowlog|get", -2, "Gives the latest slow commands.", "2.2.12", "server", "admin loading stale", "@admin @slow @dangerous", &[], "request_policy:all_nodes nondeterministic_output"),
    sub("slowlog|help", 2, "Says what SLOWLOG can.", "6.2.0", "server", "loading stale", "@slow", &[], ""),
    sub("slowlog|len", 2, "Counts the slow commands kept.", "2.2.12", "server", "admin loading stale", "@admin @slow @dangerous", &[], "request_policy:all_nodes response_policy:agg_sum nondeterministic_output"),
    sub("slowlog|reset", 2, "Forgets slow commands.", "2.2.12", "server", "admin loading stale", "@admin @slow @dangerous", &[], "request_policy:all_nodes response_policy:all_succeeded"),
    sub("xgroup|create", -5, "Makes a group.", "5.0.0", "stream", "write denyoom", "@write @stream @slow", &[at("RW insert", 2)], ""),
    sub("xgroup|createconsumer", 5, "Makes a consumer.", "6.2.0", "stream", "write denyoom", "@write @stream @slow", &[at("RW insert", 2)], ""),
    sub("xgroup|delconsumer", 5, "Removes a consumer.", "5.0.0", "stream", "write", "@write @stream @slow", &[at("RW delete", 2)], ""),
    sub("xgroup|destroy", 4, "Removes a group.", "5.0.0", "stream", "write", "@write @stream @slow", &[at("RW delete", 2)], ""),
    sub("xgroup|help", 2, "Says what XGROUP can.", "5.0.0", "stream", "loading stale", "@stream @slow", &[], ""),
    sub("xgroup|setid", -5, "Lets a group read on from elsewhere.", "5.0.0", "stream", "write", "@write @stream @slow", &[at("RW update", 2)], ""),
    sub("xinfo|consumers", 4, "Shows the consumers of a group.", "5.0.0", "stream", "readonly", "@read @stream @slow", &[at("RO access", 2)], "nondeterministic_output"),
    sub("xinfo|groups", 3, "Shows the groups of a stream.", "5.0.0", "stream", "readonly", "@read @stream @slow", &[at("RO access", 2)], ""),
    sub("xinfo|help", 2, "Says what XINFO can.", "5.0.0", "stream", "loading stale", "@stream @slow", &[], ""),
    sub("xinfo|stream", -3, "Shows what is known of a stream.", "5.0.0", "stream", "readonly", "@read @stream @slow", &[at("RO access", 2)], ""),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_and_say_what_the_commands_say() {
        use ringwell_storage::keyspace::command::COMMANDS as DATA;
        assert!(COMMANDS.is_sorted_by(|a, b| a.name < b.name));
        let family = |facts: &Facts| facts.name.split('|').next().unwrap_or_default();
        assert!(SUBCOMMANDS.is_sorted_by_key(family));
        for facts in SUBCOMMANDS {
            assert!(find(family(facts).as_bytes()).is_some(), "{}", facts.name);
        }
        let session = crate::resp::SESSION_COMMANDS.iter().map(|c| (c.name, c.arity));
        let all: Vec<_> = DATA.iter().map(|c| (c.name, c.arity)).chain(session).collect();
        assert_eq!(all.len(), COMMANDS.len());
        for (name, arity) in all {
            let facts = find(name.as_bytes()).map(|at| &COMMANDS[at]);
            assert_eq!(facts.map(|facts| facts.arity), Some(arity), "{name}");
        }
        for command in DATA {
            let facts = &COMMANDS[find(command.name.as_bytes()).unwrap()];
            // Of a family, each sub-command says so itself.
            if !SUBCOMMANDS[super::family(command.name)].is_empty() {
                continue;
            }
            assert_eq!(facts.is("write"), command.writes, "{}", command.name);
        }
    }
}
