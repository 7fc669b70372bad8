//! COMMAND: COUNT LIST INFO DOCS GETKEYS, made from the two tables.

use ringwell_storage::keyspace::Reply;
use ringwell_storage::keyspace::command::{COMMANDS, Command, find};

use super::{SESSION_COMMANDS, SessionCommand, arg, count, error, text};
use crate::resp::session::Session;

pub(super) const SUBCOMMANDS: &[(&str, i8)] =
    &[("count", 2), ("list", 2), ("info", -2), ("docs", -2), ("getkeys", -3)];

/// What both tables say of a command.
#[derive(Clone, Copy)]
enum Entry {
    Data(&'static Command),
    Session(&'static SessionCommand),
}

/// `COMMAND [COUNT | LIST | INFO [name ...] | DOCS [name ...] | GETKEYS command [argument ...]]`
pub(super) fn command(_: &mut Session, args: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    let names = args.get(2..).unwrap_or_default();
    Some(match arg(args, 1).to_ascii_lowercase().as_slice() {
        b"count" => count(COMMANDS.len() + SESSION_COMMANDS.len()),
        b"list" => Reply::Bulks(all().map(|entry| entry.name().as_bytes()).collect()),
        b"docs" => Reply::Map(chosen(names).into_iter().flatten().map(Entry::docs).collect()),
        b"getkeys" => keys(names),
        _ => {
            let infos = chosen(names).into_iter();
            Reply::Array(infos.map(|e| e.map_or(Reply::NullArray, Entry::info)).collect())
        }
    })
}

fn all() -> impl Iterator<Item = Entry> {
    let session = SESSION_COMMANDS.iter().map(Entry::Session);
    COMMANDS.iter().map(Entry::Data).chain(session)
}

/// The commands of these names, or all if there are none.
fn chosen(names: &[&[u8]]) -> Vec<Option<Entry>> {
    if names.is_empty() {
        return all().map(Some).collect();
    }
    let by_name = |name: &&[u8]| all().find(|entry| super::is(name, entry.name()));
    names.iter().map(by_name).collect()
}

impl Entry {
    fn name(self) -> &'static str {
        match self {
            Entry::Data(command) => command.name,
            Entry::Session(command) => command.name,
        }
    }

    fn info(self) -> Reply {
        let (arity, flags, keys, categories) = match self {
            Entry::Data(c) if c.writes => (c.arity, vec!["write"], c.keys, vec!["@write"]),
            Entry::Data(c) => (c.arity, vec!["readonly"], c.keys, vec!["@read"]),
            Entry::Session(c) => {
                (c.arity, vec!["loading", "stale"], (0, 0, 0), vec!["@connection"])
            }
        };
        let statuses =
            |list: Vec<&'static str>| Reply::Set(list.into_iter().map(Reply::Simple).collect());
        let none = || Reply::Array(Vec::new());
        Reply::Array(vec![
            text(self.name()),
            Reply::Integer(arity.into()),
            statuses(flags),
            Reply::Integer(keys.0.into()),
            Reply::Integer(keys.1.into()),
            Reply::Integer(keys.2.into()),
            statuses(categories),
            none(),
            none(),
            none(),
        ])
    }

    fn docs(self) -> (Reply, Reply) {
        let (summary, group) = match self {
            Entry::Data(command) => (command.summary, command.group),
            Entry::Session(command) => (command.summary, "connection"),
        };
        let pairs = [("summary", summary), ("group", group)];
        let docs = pairs.iter().map(|(name, value)| (text(name), text(value))).collect();
        (text(self.name()), Reply::Map(docs))
    }
}

/// `COMMAND GETKEYS command [argument ...]`
fn keys(args: &[&[u8]]) -> Reply {
    let Some(command) = find(arg(args, 0)) else {
        let known = chosen(args.get(..1).unwrap_or_default()).into_iter().flatten().next();
        return error(match known {
            Some(_) => "ERR The command has no key arguments",
            None => "ERR Invalid command specified",
        });
    };
    if !command.takes(args.len()) {
        return error("ERR Invalid number of arguments specified for command");
    }
    let (first, last, step) = command.keys;
    let (Ok(first), Ok(step)) = (usize::try_from(first), usize::try_from(step)) else {
        return error("ERR The command has no key arguments");
    };
    if step == 0 {
        return error("ERR The command has no key arguments");
    }
    let end = usize::try_from(last).map_or(args.len(), |last| last + 1);
    let named = args.get(first..end).unwrap_or_default();
    Reply::Bulks(named.iter().copied().step_by(step).collect())
}
