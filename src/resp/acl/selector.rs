//! A selector: which commands it allows, on which keys, in which channels.
//!
//! Commands are bits by their place in the tables of facts, sub-commands behind commands. A rule is
//! applied as Redis 7.0 applies it, in the order given: a category sets the bits of all its commands,
//! a command those of its sub-commands too.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use ringwell_storage::keyspace::glob_matches;

use super::refusal::Refusal;
use crate::resp::commands::keys_of;
use crate::resp::facts::{self, COMMANDS, Facts, SUBCOMMANDS};

/// Redis's categories, in its order.
pub(in crate::resp) const CATEGORIES: [&str; 21] = [
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
];

/// Longest list of patterns, and of first arguments of a command.
const MAX_PATTERNS: usize = 10_000;

/// The categories each command and sub-command is in, as bits.
pub(super) static IN: LazyLock<Vec<u32>> = LazyLock::new(|| {
    let bits = |facts: &Facts| {
        let is_in = |(bit, name): (usize, &&str)| u32::from(facts.is_in(name)) << bit;
        CATEGORIES.iter().enumerate().map(is_in).sum()
    };
    COMMANDS.iter().chain(SUBCOMMANDS).map(bits).collect()
});

/// What a user may do at once: a command is allowed if one selector of the user allows all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::resp) struct Selector {
    pub(super) commands: Commands,
    pub(super) all_keys: bool,
    pub(super) keys: Vec<KeyPattern>,
    pub(super) all_channels: bool,
    pub(super) channels: Vec<Box<[u8]>>,
}

/// Which commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Commands {
    bits: Vec<u64>,
    /// All, with no exception.
    all: bool,
    /// Whether commands of later releases are allowed: what came last of `+@all` and `-@all`.
    pub(super) future: bool,
    /// First arguments with which a command is allowed that is not allowed as such.
    pub(super) first: BTreeMap<usize, Vec<Box<[u8]>>>,
}

/// A pattern of keys, and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyPattern {
    pub(super) pattern: Box<[u8]>,
    pub(super) read: bool,
    pub(super) write: bool,
}

/// Why a command is not allowed; what comes later is the nearer miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::resp) enum Denial {
    /// The command itself.
    Command,
    /// The key at this place among the arguments.
    Key(usize),
    /// The channel at this place.
    Channel(usize),
}

impl Commands {
    pub(super) fn has(&self, slot: usize) -> bool {
        self.bits.get(slot / 64).is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }

    fn put(&mut self, slot: usize, allowed: bool) {
        if self.bits.len() <= slot / 64 {
            self.bits.resize(slot / 64 + 1, 0);
        }
        if let Some(word) = self.bits.get_mut(slot / 64) {
            *word = *word & !(1 << (slot % 64)) | u64::from(allowed) << (slot % 64);
        }
        self.all &= allowed;
    }

    pub(super) fn set_all(&mut self, allowed: bool) {
        let word = if allowed { u64::MAX } else { 0 };
        *self = Commands {
            bits: vec![word; facts::slots().div_ceil(64)],
            all: allowed,
            future: allowed,
            first: BTreeMap::new(),
        };
    }

    /// Allows a command or not, with its sub-commands.
    pub(super) fn set(&mut self, slot: usize, allowed: bool) {
        self.put(slot, allowed);
        self.first.remove(&slot);
        for sub in facts::below(slot) {
            self.put(sub, allowed);
        }
    }

    pub(super) fn set_category(&mut self, category: usize, allowed: bool) {
        for (slot, categories) in IN.iter().enumerate() {
            if categories >> category & 1 == 1 {
                self.set(slot, allowed);
            }
        }
    }

    fn allows(&self, slot: usize, args: &[&[u8]]) -> bool {
        let first = |allowed: &Vec<Box<[u8]>>| {
            let given = args.get(1);
            given.is_some_and(|given| allowed.iter().any(|first| first.eq_ignore_ascii_case(given)))
        };
        self.all || self.has(slot) || self.first.get(&slot).is_some_and(first)
    }
}

impl Selector {
    /// Applies one rule.
    pub(super) fn set(&mut self, rule: &[u8]) -> Result<(), Refusal> {
        match rule.to_ascii_lowercase().as_slice() {
            b"allkeys" | b"~*" => (self.all_keys, self.keys) = (true, Vec::new()),
            b"resetkeys" => (self.all_keys, self.keys) = (false, Vec::new()),
            b"allchannels" | b"&*" => (self.all_channels, self.channels) = (true, Vec::new()),
            b"resetchannels" => (self.all_channels, self.channels) = (false, Vec::new()),
            b"allcommands" | b"+@all" => self.commands.set_all(true),
            b"nocommands" | b"-@all" => self.commands.set_all(false),
            lower => match (rule, lower) {
                ([b'~' | b'%', ..], _) => return self.add_keys(rule),
                ([b'&', channel @ ..], _) => return self.add_channel(channel),
                (_, [sign @ (b'+' | b'-'), b'@', name @ ..]) => {
                    let known = CATEGORIES.iter().position(|known| known.as_bytes() == name);
                    let category = known.ok_or(Refusal::Unknown)?;
                    self.commands.set_category(category, *sign == b'+');
                }
                (_, [b'-', name @ ..]) => {
                    let slot = facts::slot(name).ok_or(Refusal::Unknown)?;
                    self.commands.set(slot, false);
                }
                (_, [b'+', name @ ..]) => return self.allow(name),
                _ => return Err(Refusal::Syntax),
            },
        }
        Ok(())
    }

    /// `~pattern`, `%R~pattern`, `%W~pattern`, `%RW~pattern`
    fn add_keys(&mut self, rule: &[u8]) -> Result<(), Refusal> {
        if self.all_keys {
            return Err(Refusal::KeysAfterAll);
        }
        let (mut read, mut write, mut rest) = (false, false, rule.get(1..).unwrap_or_default());
        if rule.first() == Some(&b'%') {
            // Redis takes letters without a pattern behind them, for the pattern that nothing matches.
            while let [letter, more @ ..] = rest {
                rest = more;
                match letter {
                    b'R' | b'r' if !read => read = true,
                    b'W' | b'w' if !write => write = true,
                    b'~' => break,
                    _ => return Err(Refusal::Syntax),
                }
            }
            if !read && !write {
                return Err(Refusal::Syntax);
            }
        } else {
            (read, write) = (true, true);
        }
        plain(rest)?;
        let full = self.keys.len() >= MAX_PATTERNS;
        match self.keys.iter_mut().find(|known| *known.pattern == *rest) {
            Some(known) => (known.read, known.write) = (known.read || read, known.write || write),
            None if full => return Err(Refusal::TooMany),
            None => self.keys.push(KeyPattern { pattern: rest.into(), read, write }),
        }
        Ok(())
    }

    fn add_channel(&mut self, pattern: &[u8]) -> Result<(), Refusal> {
        if self.all_channels {
            return Err(Refusal::ChannelsAfterAll);
        }
        plain(pattern)?;
        if self.channels.iter().all(|known| **known != *pattern) {
            if self.channels.len() >= MAX_PATTERNS {
                return Err(Refusal::TooMany);
            }
            self.channels.push(pattern.into());
        }
        Ok(())
    }

    /// `+command`, `+command|subcommand`, `+command|first argument`
    fn allow(&mut self, name: &[u8]) -> Result<(), Refusal> {
        let Some(bar) = name.iter().rposition(|byte| *byte == b'|') else {
            let slot = facts::slot(name).ok_or(Refusal::Unknown)?;
            self.commands.set(slot, true);
            return Ok(());
        };
        let (command, first) = name.split_at(bar);
        let first = first.get(1..).unwrap_or_default();
        let slot = facts::slot(command).ok_or(Refusal::Unknown)?;
        if slot >= COMMANDS.len() {
            return Err(Refusal::FirstOfSub);
        }
        if first.is_empty() {
            return Err(Refusal::Syntax);
        }
        if !facts::below(slot).is_empty() {
            let slot = facts::slot(name).ok_or(Refusal::Unknown)?;
            self.commands.set(slot, true);
            return Ok(());
        }
        let allowed = self.commands.first.entry(slot).or_default();
        if allowed.len() >= MAX_PATTERNS {
            return Err(Refusal::TooMany);
        }
        if allowed.iter().all(|known| **known != *first) {
            allowed.push(first.into());
        }
        Ok(())
    }

    /// Whether nothing at all is denied.
    pub(super) fn is_free(&self) -> bool {
        self.commands.all && self.all_keys && self.all_channels
    }

    /// Whether a command may run with these arguments.
    pub(super) fn check(&self, slot: usize, facts: &Facts, args: &[&[u8]]) -> Result<(), Denial> {
        if !facts.is("no_auth") && !self.commands.allows(slot, args) {
            return Err(Denial::Command);
        }
        if !self.all_keys {
            for (key, flags) in keys_of(facts, args).unwrap_or_default() {
                if !self.has_key(key, flags) {
                    return Err(Denial::Key(place(args, key)));
                }
            }
        }
        if !self.all_channels
            && let Some((channels, pattern)) = channels_of(facts.name, args)
        {
            let denied = channels.iter().find(|channel| !self.has_channel(channel, pattern));
            return denied.map_or(Ok(()), |channel| Err(Denial::Channel(place(args, channel))));
        }
        Ok(())
    }

    fn has_key(&self, key: &[u8], flags: &str) -> bool {
        let (read, write) = wants(flags);
        let fits = |known: &&KeyPattern| (known.read || !read) && (known.write || !write);
        self.keys.iter().filter(fits).any(|known| glob_matches(&known.pattern, key))
    }

    /// Whether every key may be read.
    pub(super) fn reads_all(&self) -> bool {
        self.all_keys || self.keys.iter().any(|known| known.read && *known.pattern == *b"*")
    }

    /// Whether a channel may be used; a pattern of channels only if it is given as such.
    pub(super) fn has_channel(&self, channel: &[u8], pattern: bool) -> bool {
        let matches = |known: &[u8]| match pattern {
            true => known == channel,
            false => glob_matches(known, channel),
        };
        self.all_channels || self.channels.iter().any(|known| matches(known))
    }
}

/// What becomes of a key, by Redis's words for it: whether it is read, and whether it is written.
fn wants(flags: &str) -> (bool, bool) {
    let mut words = flags.split(' ');
    let write = words.clone().any(|word| matches!(word, "insert" | "delete" | "update"));
    (words.any(|word| word == "access"), write)
}

/// The channels a command names, and whether they are patterns.
fn channels_of<'a, 'b>(name: &str, args: &'a [&'b [u8]]) -> Option<(&'a [&'b [u8]], bool)> {
    match name {
        "publish" | "spublish" => Some((args.get(1..2)?, false)),
        "subscribe" | "ssubscribe" => Some((args.get(1..)?, false)),
        "psubscribe" => Some((args.get(1..)?, true)),
        _ => None,
    }
}

/// Where an argument stands.
fn place(args: &[&[u8]], arg: &[u8]) -> usize {
    args.iter().position(|given| std::ptr::eq(*given, arg)).unwrap_or_default()
}

/// Patterns and names may not hold what separates rules.
pub(super) fn plain(text: &[u8]) -> Result<(), Refusal> {
    let parts = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, 0 | 11);
    if text.iter().any(parts) { Err(Refusal::Syntax) } else { Ok(()) }
}
