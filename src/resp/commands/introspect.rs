//! COMMAND: COUNT LIST INFO DOCS GETKEYS GETKEYSANDFLAGS, made from the tables.

use ringwell_storage::keyspace::command::find;
use ringwell_storage::keyspace::{Reply, glob_matches};

use super::keyspec::keys_of;
use super::{SESSION_COMMANDS, arg, count, error, is, text};
use crate::resp::facts::{self, COMMANDS, Facts, KeySpec, Place, SUBCOMMANDS};
use crate::resp::session::Session;

/// `COMMAND [COUNT | LIST [FILTERBY ...] | INFO [name ...] | DOCS [name ...] | GETKEYS command ...]`
pub(super) fn command(_: &mut Session, args: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    let names = args.get(2..).unwrap_or_default();
    Some(match arg(args, 1).to_ascii_lowercase().as_slice() {
        b"count" => count(COMMANDS.len()),
        b"list" => list(names),
        b"docs" => docs_of(names),
        b"getkeys" => keys(names, false),
        b"getkeysandflags" => keys(names, true),
        b"help" => super::help("command"),
        _ => info_of(names),
    })
}

/// Facts by a name such as `get` or `client|list`.
fn named(name: &[u8]) -> Option<&'static Facts> {
    let name = name.to_ascii_lowercase();
    if name.contains(&b'|') {
        return SUBCOMMANDS.iter().find(|facts| facts.name.as_bytes() == name);
    }
    COMMANDS.get(facts::find(&name)?)
}

/// The sub-commands of a command.
fn below(facts: &Facts) -> &'static [Facts] {
    if facts.name.contains('|') {
        return &[];
    }
    SUBCOMMANDS.get(facts::family(facts.name)).unwrap_or_default()
}

/// `COMMAND LIST [FILTERBY MODULE name | ACLCAT category | PATTERN pattern]`
fn list(filter: &[&[u8]]) -> Reply {
    let all = COMMANDS.iter().chain(SUBCOMMANDS);
    let names = |keep: &dyn Fn(&Facts) -> bool| {
        Reply::Bulks(all.filter(|facts| keep(facts)).map(|facts| facts.name.as_bytes()).collect())
    };
    match filter {
        [] => names(&|_| true),
        [by, kind, wanted] if is(by, "filterby") => match kind.to_ascii_lowercase().as_slice() {
            // There are no modules.
            b"module" => names(&|_| false),
            b"aclcat" => {
                let wanted = String::from_utf8_lossy(wanted);
                names(&|facts| facts.is_in(&wanted))
            }
            b"pattern" => {
                let wanted = wanted.to_ascii_lowercase();
                names(&|facts| glob_matches(&wanted, facts.name.as_bytes()))
            }
            _ => error("ERR syntax error"),
        },
        _ => error("ERR syntax error"),
    }
}

fn info_of(names: &[&[u8]]) -> Reply {
    if names.is_empty() {
        return Reply::Array(COMMANDS.iter().map(info).collect());
    }
    Reply::Array(names.iter().map(|name| named(name).map_or(Reply::NullArray, info)).collect())
}

fn statuses(words: &'static str) -> Reply {
    Reply::Set(words.split_whitespace().map(Reply::Simple).collect())
}

fn info(facts: &Facts) -> Reply {
    let (first, last, step) = facts.range();
    Reply::Array(vec![
        text(facts.name),
        Reply::Integer(facts.arity.into()),
        statuses(facts.flags),
        Reply::Integer(first),
        Reply::Integer(last),
        Reply::Integer(step),
        statuses(facts.categories),
        Reply::Set(facts.tips.split_whitespace().map(text).collect()),
        Reply::Set(facts.keys.iter().map(key_spec).collect()),
        Reply::Set(below(facts).iter().map(info).collect()),
    ])
}

fn key_spec(spec: &KeySpec) -> Reply {
    let number = |n: usize| Reply::Integer(i64::try_from(n).unwrap_or(i64::MAX));
    let map = |pairs: Vec<(&str, Reply)>| {
        Reply::Map(pairs.into_iter().map(|(name, value)| (text(name), value)).collect())
    };
    let part = |kind: &str, spec| map(vec![("type", text(kind)), ("spec", map(spec))]);
    let begins = |place| part("index", vec![("index", number(place))]);
    let (begin, find) = match spec.place {
        Place::Range { first, last, step } => {
            let last = Reply::Integer(last.into());
            let range = vec![("lastkey", last), ("keystep", number(step)), ("limit", number(0))];
            (begins(first), part("range", range))
        }
        Place::Counted { at } => {
            let counted =
                vec![("keynumidx", number(0)), ("firstkey", number(1)), ("keystep", number(1))];
            (begins(at), part("keynum", counted))
        }
        Place::Keyword { word, from, last, limit } => {
            let begin = vec![
                ("keyword", text(word)),
                ("startfrom", Reply::Integer(i64::try_from(from).unwrap_or_default())),
            ];
            let last = Reply::Integer(last.into());
            let range = vec![("lastkey", last), ("keystep", number(1)), ("limit", number(limit))];
            (part("keyword", begin), part("range", range))
        }
        Place::Unknown => (part("unknown", Vec::new()), part("unknown", Vec::new())),
    };
    map(vec![("flags", statuses(spec.flags)), ("begin_search", begin), ("find_keys", find)])
}

fn docs_of(names: &[&[u8]]) -> Reply {
    if names.is_empty() {
        return Reply::Map(COMMANDS.iter().map(docs).collect());
    }
    Reply::Map(names.iter().filter_map(|name| named(name)).map(docs).collect())
}

fn docs(facts: &Facts) -> (Reply, Reply) {
    let words = [("summary", summary(facts)), ("since", facts.since), ("group", facts.group)];
    let mut docs: Vec<_> = words.map(|(name, value)| (text(name), text(value))).into();
    let below = below(facts);
    if !below.is_empty() {
        docs.push((text("subcommands"), Reply::Map(below.iter().map(self::docs).collect())));
    }
    (text(facts.name), Reply::Map(docs))
}

fn summary(facts: &Facts) -> &'static str {
    let session = || SESSION_COMMANDS.iter().find(|command| command.name == facts.name);
    match find(facts.name.as_bytes()) {
        Some(command) => command.summary,
        None => session().map_or(facts.summary, |command| command.summary),
    }
}

/// `COMMAND GETKEYS command [argument ...]`, with what becomes of each where `flags` is set.
fn keys(args: &[&[u8]], flags: bool) -> Reply {
    let (name, sub) = (arg(args, 0), arg(args, 1));
    let found = named(name).map(|facts| {
        let sub = below(facts).iter().find(|below| is(sub, facts::own_name(below)));
        sub.unwrap_or(facts)
    });
    let Some(facts) = found else { return error("ERR Invalid command specified") };
    if facts.keys.iter().all(|spec| spec.flags.contains("not_key")) {
        return error("ERR The command has no key arguments");
    }
    if !facts.takes(args.len()) {
        return error("ERR Invalid number of arguments specified for command");
    }
    let Some(keys) = keys_of(facts, args) else {
        return error("ERR Invalid arguments specified for command");
    };
    if !flags {
        return Reply::Bulks(keys.iter().map(|(key, _)| *key).collect());
    }
    let pair = |(key, flags): &(&[u8], &'static str)| {
        Reply::Array(vec![Reply::bulk(key), statuses(flags)])
    };
    Reply::Array(keys.iter().map(pair).collect())
}
