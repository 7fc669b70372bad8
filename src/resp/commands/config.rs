//! CONFIG GET: the settings that tools ask a Redis for, as they are true here.

use ringwell_storage::keyspace::{Reply, glob_matches};
use ringwell_storage::store::Ack;

use super::{arg, error, text};
use crate::resp::session::{DATABASES, Session};

pub(super) const SUBCOMMANDS: &[(&str, i8)] = &[("get", -3), ("set", -4)];

/// `CONFIG GET pattern [pattern ...]`
pub(super) fn config(session: &mut Session, args: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    if super::is(arg(args, 1), "set") {
        return Some(error(
            "ERR CONFIG SET is not supported: settings live in Ringwell's own configuration",
        ));
    }
    let patterns: Vec<Vec<u8>> =
        args.iter().skip(2).map(|pattern| pattern.to_ascii_lowercase()).collect();
    let wanted = |name: &str| patterns.iter().any(|p| glob_matches(p, name.as_bytes()));
    let table = settings(session).into_iter().filter(|(name, _)| wanted(name));
    Some(Reply::Map(table.map(|(name, value)| (text(name), text(&value))).collect()))
}

fn settings(session: &Session) -> Vec<(&'static str, String)> {
    let options = &session.shared.options;
    let fsync = if matches!(options.ack, Ack::Synced) { "always" } else { "everysec" };
    vec![
        ("appendfsync", fsync.to_owned()),
        ("appendonly", "yes".to_owned()),
        ("databases", DATABASES.to_string()),
        ("maxclients", options.max_connections.to_string()),
        ("maxmemory", "0".to_owned()),
        ("maxmemory-policy", "noeviction".to_owned()),
        ("port", session.shared.port.to_string()),
        ("proto-max-bulk-len", options.limits.bulk.to_string()),
        ("save", String::new()),
        ("timeout", "0".to_owned()),
    ]
}
