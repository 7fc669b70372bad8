//! CLIENT: SETNAME GETNAME SETINFO ID INFO LIST NO-EVICT NO-TOUCH

use std::collections::HashSet;

use ringwell_storage::keyspace::Reply;

use super::connection::{client_name, is_name};
use super::{QUOTED, arg, error, integer, is, quote};
use crate::resp::session::Session;
use crate::resp::shared::Client;
use crate::resp::write::Protocol;

pub(super) const SUBCOMMANDS: &[(&str, i8)] = &[
    ("setname", 3),
    ("getname", 2),
    ("setinfo", 4),
    ("id", 2),
    ("info", 2),
    ("list", -2),
    ("no-evict", 3),
    ("no-touch", 3),
];

/// `CLIENT subcommand [argument ...]`
pub(super) fn client(session: &mut Session, args: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    let outcome = match arg(args, 1).to_ascii_lowercase().as_slice() {
        b"setname" => set_name(session, arg(args, 2)),
        b"getname" if session.client.name.is_empty() => Ok(Reply::Null),
        b"getname" => Ok(super::text(&session.client.name)),
        b"setinfo" => set_info(session, arg(args, 2), arg(args, 3)),
        b"id" => Ok(Reply::Integer(i64::try_from(session.client.id).unwrap_or(i64::MAX))),
        b"info" => {
            session.publish_state();
            Ok(Reply::Verbatim(line(&session.client, session.shared.now()) + "\n"))
        }
        b"list" => list(session, args.get(2..).unwrap_or_default()),
        // Nothing is ever evicted here and no access times are kept: both states are the same.
        _ if is(arg(args, 2), "on") || is(arg(args, 2), "off") => Ok(Reply::OK),
        _ => Err(error("ERR syntax error")),
    };
    Some(outcome.unwrap_or_else(|refusal| refusal))
}

fn set_name(session: &mut Session, name: &[u8]) -> Result<Reply, Reply> {
    session.client.name = client_name(name)?;
    session.publish_state();
    Ok(Reply::OK)
}

fn set_info(session: &mut Session, attribute: &[u8], value: &[u8]) -> Result<Reply, Reply> {
    let (slot, attribute) = if is(attribute, "lib-name") {
        (&mut session.client.library.0, "lib-name")
    } else if is(attribute, "lib-ver") {
        (&mut session.client.library.1, "lib-ver")
    } else {
        let given = quote(attribute, QUOTED);
        return Err(error(&format!("ERR Unrecognized option '{given}'")));
    };
    if !is_name(value) {
        return Err(error(&format!(
            "ERR {attribute} cannot contain spaces, newlines or special characters."
        )));
    }
    *slot = String::from_utf8_lossy(value).into_owned();
    session.publish_state();
    Ok(Reply::OK)
}

/// `CLIENT LIST [TYPE type] [ID id [id ...]]`
fn list(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Reply> {
    session.publish_state();
    let (mut only, mut pubsub) = (None, None);
    match args {
        [] => {}
        [option, kind] if is(option, "type") => {
            pubsub = match kind.to_ascii_lowercase().as_slice() {
                b"normal" => Some(false),
                b"pubsub" => Some(true),
                b"master" | b"replica" | b"slave" => return Ok(Reply::Verbatim(String::new())),
                _ => {
                    let kind = quote(kind, QUOTED);
                    return Err(error(&format!("ERR Unknown client type '{kind}'")));
                }
            };
        }
        [option, ids @ ..] if is(option, "id") && !ids.is_empty() => {
            let id = |id: &&[u8]| integer(id).ok().and_then(|id| u64::try_from(id).ok());
            let ids: Option<HashSet<u64>> = ids.iter().map(id).collect();
            only = Some(ids.ok_or_else(|| error("ERR Invalid client ID"))?);
        }
        _ => return Err(error("ERR syntax error")),
    }
    let now = session.shared.now();
    let mut text = String::new();
    for client in session.shared.clients(only.as_ref()) {
        if pubsub.is_none_or(|wanted| wanted == (client.channels + client.patterns > 0)) {
            text += &line(&client, now);
            text.push('\n');
        }
    }
    Ok(Reply::Verbatim(text))
}

fn line(client: &Client, now: i64) -> String {
    let flags = match (client.channels + client.patterns, client.queued) {
        (0, None) => "N",
        (0, Some(_)) => "x",
        _ => "P",
    };
    let resp = if client.protocol == Protocol::Resp3 { 3 } else { 2 };
    let queued = client.queued.map_or(-1, |queued| i64::try_from(queued).unwrap_or(i64::MAX));
    format!(
        "id={} addr={} laddr={} fd=-1 name={} age={} idle=0 flags={flags} db={} sub={} psub={} \
         ssub=0 multi={queued} qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 \
         omem=0 tot-mem=0 events=r cmd=NULL user=default redir=-1 resp={resp} lib-name={} \
         lib-ver={}",
        client.id,
        client.peer,
        client.local,
        client.name,
        (now - client.since).max(0) / 1000,
        client.db,
        client.channels,
        client.patterns,
        client.library.0,
        client.library.1,
    )
}
