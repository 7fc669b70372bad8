//! CONFIG: GET SET RESETSTAT REWRITE

use std::path::PathBuf;

use ringwell_storage::keyspace::{Reply, glob_matches};
use ringwell_storage::store::Ack;

use super::settings::HIDDEN;
use super::{arg, error, is, text, wrong_arity};
use crate::resp::session::{DATABASES, Session};
use crate::tls::Files;

/// `CONFIG GET pattern [pattern ...] | SET name value [name value ...] | RESETSTAT | REWRITE`
pub(super) fn config(session: &mut Session, args: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    let rest = args.get(2..).unwrap_or_default();
    Some(match arg(args, 1).to_ascii_lowercase().as_slice() {
        b"get" => get(session, rest),
        b"set" => set(session, rest),
        b"resetstat" => {
            session.shared.reset_counters();
            Reply::OK
        }
        b"rewrite" => error("ERR The server is running without a config file"),
        _ => super::help("config"),
    })
}

fn get(session: &Session, patterns: &[&[u8]]) -> Reply {
    let patterns: Vec<Vec<u8>> = patterns.iter().map(|p| p.to_ascii_lowercase()).collect();
    let wanted = |name: &str| {
        let hidden = HIDDEN.contains(&name);
        let matches = |pattern: &[u8]| match hidden {
            true => pattern == name.as_bytes(),
            false => glob_matches(pattern, name.as_bytes()),
        };
        patterns.iter().any(|pattern| matches(pattern))
    };
    let mut table = own(session);
    let own_names: Vec<&str> = table.iter().map(|(name, _)| *name).collect();
    let others = session.shared.settings.all();
    table.extend(others.into_iter().filter(|(name, _)| !own_names.contains(name)));
    let table = table.into_iter().filter(|(name, _)| wanted(name));
    Reply::Map(table.map(|(name, value)| (text(name), text(&value))).collect())
}

fn set(session: &Session, pairs: &[&[u8]]) -> Reply {
    if !pairs.len().is_multiple_of(2) {
        return wrong_arity("config|set");
    }
    let own = own(session);
    let lossy = |arg: &[u8]| String::from_utf8_lossy(arg).into_owned();
    let mut given = Vec::new();
    for pair in pairs.chunks_exact(2) {
        let [name, value] = pair else { continue };
        let (name, value) = (lossy(name).to_ascii_lowercase(), lossy(value));
        match own.iter().find(|(known, _)| *known == name) {
            // What Ringwell's own configuration says can only be confirmed here.
            Some((_, now)) if *now == value => {}
            Some(_) => {
                let why = match name.as_str() {
                    "port" | "tls-port" => "Unable to listen on this port: a restart sets it",
                    _ => "can't set immutable config",
                };
                return error(&format!(
                    "ERR CONFIG SET failed (possibly related to argument '{name}') - {why}"
                ));
            }
            None => given.push((name, value)),
        }
    }
    match session.shared.settings.set(&given) {
        Ok(()) => {
            let password = pairs.chunks_exact(2).find(|pair| is(arg(pair, 0), "requirepass"));
            // Without the node's own secret this is the password; with one it was confirmed at most.
            if let Some(pair) = password.filter(|_| session.shared.options.secret.is_none()) {
                session.shared.users.set_default_password(arg(pair, 1));
            }
            Reply::OK
        }
        Err(why) => error(&why),
    }
}

/// The parameters that Ringwell's own configuration sets.
fn own(session: &Session) -> Vec<(&'static str, String)> {
    let options = &session.shared.options;
    let fsync = if matches!(options.ack, Ack::Synced) { "always" } else { "everysec" };
    let secret = options.secret.is_some().then(|| ("requirepass", String::new()));
    let own = [
        ("appendfsync", fsync.to_owned()),
        ("appendonly", "yes".to_owned()),
        ("databases", DATABASES.to_string()),
        ("maxclients", options.max_connections.to_string()),
        ("port", session.shared.port.to_string()),
        ("proto-max-bulk-len", options.limits.bulk.to_string()),
    ];
    own.into_iter().chain(secret).chain(tls(session)).collect()
}

/// The parameters about TLS that say something of this node.
fn tls(session: &Session) -> [(&'static str, String); 6] {
    let shared = &session.shared;
    let tls = shared.options.tls.as_ref();
    let switch = |on: bool| if on { "yes" } else { "no" }.to_owned();
    let file = |of: fn(&Files) -> Option<&PathBuf>| {
        tls.and_then(|tls| of(&tls.files))
            .map(|path| path.display().to_string())
            .unwrap_or_default()
    };
    let asks = tls.is_some_and(|tls| tls.files.client_ca.is_some());
    let follows = shared.primary.upstream().is_some_and(|upstream| upstream.is_secured());
    [
        ("tls-auth-clients", switch(asks)),
        ("tls-ca-cert-file", file(|files| files.client_ca.as_ref())),
        ("tls-cert-file", file(|files| Some(&files.cert))),
        ("tls-key-file", file(|files| Some(&files.key))),
        ("tls-port", tls.map_or(0, |tls| tls.port).to_string()),
        ("tls-replication", switch(follows)),
    ]
}
