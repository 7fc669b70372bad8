//! The commands about the connection and the node. Data commands have their table in the keyspace.

mod acl;
mod client;
mod config;
mod connection;
mod info;
mod introspect;
mod keyspec;
mod pubsub;
mod replication;
mod server;
mod settings;
mod tracking;
mod transaction;

use ringwell_storage::keyspace::Reply;
use ringwell_storage::keyspace::command::{QUOTED, error, quote};

use super::facts;
use super::session::Session;

pub(super) use acl::{deny, sorts};
pub(super) use keyspec::keys_of;
pub(super) use pubsub::leave_all;
pub(super) use server::memory_stats;
pub use settings::Settings;
pub(super) use settings::class;

/// Does a command; `None` when it has written its replies itself.
type Run = fn(&mut Session, &[&[u8]], &mut Vec<u8>) -> Option<Reply>;

/// One command of this table.
#[derive(Clone, Copy, Debug)]
pub struct SessionCommand {
    /// Its name, in lower case.
    pub name: &'static str,
    /// How many arguments, the name included; negative: at least so many.
    pub arity: i8,
    /// Whether it may be called before AUTH.
    pub before_auth: bool,
    /// Whether it may be called while subscribed in RESP2.
    pub while_subscribed: bool,
    /// Whether it runs inside a transaction instead of being queued.
    pub at_once: bool,
    /// What it does, in a few words.
    pub summary: &'static str,
    pub(super) run: Run,
}

/// Every connection command.
pub static SESSION_COMMANDS: &[SessionCommand] = &{
    const fn plain(
        name: &'static str,
        arity: i8,
        run: Run,
        summary: &'static str,
    ) -> SessionCommand {
        SessionCommand {
            name,
            arity,
            before_auth: false,
            while_subscribed: false,
            at_once: false,
            summary,
            run,
        }
    }
    const fn open(command: SessionCommand) -> SessionCommand {
        SessionCommand { before_auth: true, ..command }
    }
    const fn heard(command: SessionCommand) -> SessionCommand {
        SessionCommand { while_subscribed: true, ..command }
    }
    const fn at_once(command: SessionCommand) -> SessionCommand {
        SessionCommand { at_once: true, ..command }
    }
    [
        heard(plain("ping", -1, connection::ping, "Answers PONG.")),
        plain("publish", 3, pubsub::publish, "Sends a message to a channel."),
        plain("select", 2, connection::select, "Selects a database."),
        at_once(plain("multi", 1, transaction::multi, "Begins a transaction.")),
        at_once(plain("exec", 1, transaction::exec, "Runs the queued commands.")),
        at_once(plain("discard", 1, transaction::discard, "Forgets the queued commands.")),
        open(plain("auth", -2, connection::auth, "Gives the secret.")),
        plain("client", -2, client::client, "About connections."),
        plain("command", -1, introspect::command, "About commands."),
        plain("config", -2, config::config, "Shows settings."),
        plain("echo", 2, connection::echo, "Answers what it is given."),
        open(plain("hello", -1, connection::hello, "Chooses the protocol.")),
        plain("info", -1, info::info, "Says how the node is."),
        heard(plain("psubscribe", -2, pubsub::psubscribe, "Hears channels of a pattern.")),
        plain("pubsub", -2, pubsub::pubsub, "About channels."),
        heard(plain("punsubscribe", -1, pubsub::punsubscribe, "Stops hearing patterns.")),
        at_once(heard(open(plain("quit", -1, connection::quit, "Ends the connection.")))),
        at_once(heard(open(plain("reset", 1, connection::reset, "Begins anew.")))),
        heard(plain("subscribe", -2, pubsub::subscribe, "Hears channels.")),
        plain("time", 1, connection::time, "Says what time it is."),
        heard(plain("unsubscribe", -1, pubsub::unsubscribe, "Stops hearing channels.")),
        plain("unwatch", 1, transaction::unwatch, "Forgets watched keys."),
        plain("spublish", 3, pubsub::spublish, "Sends a message to a sharded channel."),
        heard(plain("ssubscribe", -2, pubsub::ssubscribe, "Hears sharded channels.")),
        heard(plain("sunsubscribe", -1, pubsub::sunsubscribe, "Stops hearing sharded channels.")),
        plain("debug", -2, server::debug, "Helps those who test."),
        plain("migrate", -6, server::migrate, "Is refused where there is a key to send."),
        plain("module", -2, server::module, "There are no modules."),
        plain("asking", 1, server::no_cluster, "Is refused: this is no node of a cluster."),
        plain("readonly", 1, server::no_cluster, "Is refused: this is no node of a cluster."),
        plain("readwrite", 1, server::no_cluster, "Is refused: this is no node of a cluster."),
        plain("slowlog", -2, server::slowlog, "Slow commands."),
        plain("latency", -2, server::latency, "What takes how long."),
        plain("monitor", 1, server::monitor, "Shows every command."),
        plain("role", 1, replication::role, "Says who follows whom."),
        plain("replicaof", 3, replication::replicaof, "Confirms whom this node follows."),
        plain("slaveof", 3, replication::replicaof, "Confirms whom this node follows."),
        plain("replconf", -1, replication::replconf, "Hears what a replica is like."),
        plain("psync", -3, replication::psync, "Feeds a replica."),
        plain("sync", 1, replication::sync, "Feeds a replica of old."),
        plain("shutdown", -1, server::shutdown, "Is refused."),
        plain("save", 1, server::save, "Syncs the log."),
        plain("bgsave", -1, server::bgsave, "Has the log synced in the background."),
        plain("bgrewriteaof", 1, server::bgrewriteaof, "Does nothing: the log is cut by itself."),
        plain("lastsave", 1, server::lastsave, "Says until when all is safe."),
        plain("lolwut", -1, server::lolwut, "Says the version."),
        plain("eval", -3, server::no_scripts, "Is refused."),
        plain("eval_ro", -3, server::no_scripts, "Is refused."),
        plain("evalsha", -3, server::no_scripts, "Is refused."),
        plain("evalsha_ro", -3, server::no_scripts, "Is refused."),
        plain("fcall", -3, server::no_scripts, "Is refused."),
        plain("fcall_ro", -3, server::no_scripts, "Is refused."),
        plain("script", -2, server::script, "There are no scripts."),
        plain("function", -2, server::function, "There are no functions."),
        plain("cluster", -2, server::cluster, "One node with all slots."),
        plain("acl", -2, acl::acl, "About users."),
        at_once(plain("watch", -2, transaction::watch, "Lets EXEC fail if keys change.")),
        plain("wait", 3, replication::wait, "Waits for replicas to have it all."),
    ]
};

/// What HELP answers: the sub-commands of a family and what they do.
fn help(family: &str) -> Reply {
    let name = family.to_ascii_uppercase();
    let head = text(&format!("{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    let below = facts::SUBCOMMANDS.get(facts::family(family)).unwrap_or_default();
    let lines = below.iter().flat_map(|sub| {
        let name = facts::own_name(sub).to_ascii_uppercase();
        [text(&name), text(&format!("    {}", sub.summary))]
    });
    Reply::Array(std::iter::once(head).chain(lines).collect())
}

/// Whether an argument is this word, in any case.
fn is(arg: &[u8], word: &str) -> bool {
    arg.eq_ignore_ascii_case(word.as_bytes())
}

pub(super) fn wrong_arity(name: &str) -> Reply {
    Reply::Error(format!("ERR wrong number of arguments for '{name}' command"))
}

fn text(text: &str) -> Reply {
    Reply::bulk(text.as_bytes())
}

fn count(n: usize) -> Reply {
    Reply::Integer(i64::try_from(n).unwrap_or(i64::MAX))
}

/// An integer argument as Redis reads it.
fn integer(arg: &[u8]) -> Result<i64, Reply> {
    super::parse::number(arg).ok_or_else(|| error("ERR value is not an integer or out of range"))
}

/// The argument at `i`, empty if there is none; the table's arity says which exist.
fn arg<'a>(args: &[&'a [u8]], i: usize) -> &'a [u8] {
    args.get(i).copied().unwrap_or_default()
}
