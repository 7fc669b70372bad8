//! CLIENT: SETNAME GETNAME SETINFO ID INFO LIST NO-EVICT NO-TOUCH

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ringwell_storage::keyspace::Reply;

use super::connection::{client_name, is_name};
use super::{QUOTED, arg, error, integer, is, quote, tracking};
use crate::resp::facts;
use crate::resp::session::{Session, Silence};
use crate::resp::shared::{Client, Shared};
use crate::resp::tracking::Mode;
use crate::resp::waiting::Woken;
use crate::resp::write::Protocol;

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
            Ok(Reply::Verbatim(line(&session.client, &session.shared) + "\n"))
        }
        b"kill" => kill(session, args.get(2..).unwrap_or_default()),
        b"pause" => pause(session, args),
        b"unpause" => {
            session.shared.pause.set(None);
            Ok(Reply::OK)
        }
        b"unblock" => unblock(session, args),
        b"reply" => match arg(args, 2).to_ascii_lowercase().as_slice() {
            b"on" => {
                session.silence = Silence::No;
                Ok(Reply::OK)
            }
            b"off" => {
                session.silence = Silence::All;
                Ok(Reply::OK)
            }
            b"skip" => {
                if session.silence == Silence::No {
                    session.silence = Silence::This;
                }
                Ok(Reply::OK)
            }
            _ => Err(error("ERR syntax error")),
        },
        b"tracking" => tracking::tracking(session, args),
        b"caching" => tracking::caching(session, arg(args, 2)),
        b"getredir" => {
            let tracker = session.shared.tracking.get(session.client.id);
            Ok(Reply::Integer(tracking::redirection(tracker.as_ref())))
        }
        b"trackinginfo" => Ok(tracking::info(session)),
        b"help" => Ok(super::help("client")),
        b"no-evict" if is(arg(args, 2), "on") || is(arg(args, 2), "off") => {
            session.client.no_evict = is(arg(args, 2), "on");
            Ok(Reply::OK)
        }
        b"list" => list(session, args.get(2..).unwrap_or_default()),
        // Nothing is ever evicted here and no access times are kept: both states are the same.
        _ if is(arg(args, 2), "on") || is(arg(args, 2), "off") => Ok(Reply::OK),
        _ => Err(error("ERR syntax error")),
    };
    Some(outcome.unwrap_or_else(|refusal| refusal))
}

/// `CLIENT UNBLOCK id [TIMEOUT | ERROR]`
fn unblock(session: &Session, args: &[&[u8]]) -> Result<Reply, Reply> {
    let how = match args.get(3).map(|how| how.to_ascii_lowercase()).as_deref() {
        None | Some(b"timeout") => Woken::TimedOut,
        Some(b"error") => Woken::Unblocked,
        Some(_) => {
            return Err(error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"));
        }
    };
    let id = integer(arg(args, 2))?;
    let ended = u64::try_from(id).is_ok_and(|id| session.shared.waiters.end(id, Some(how)));
    Ok(Reply::Integer(ended.into()))
}

/// `CLIENT PAUSE ms [WRITE | ALL]`
fn pause(session: &Session, args: &[&[u8]]) -> Result<Reply, Reply> {
    let all = match args.get(3).map(|mode| mode.to_ascii_lowercase()).as_deref() {
        None | Some(b"all") => true,
        Some(b"write") => false,
        Some(_) => return Err(error("ERR CLIENT PAUSE mode must be WRITE or ALL")),
    };
    let ms = integer(arg(args, 2))
        .map_err(|_| error("ERR timeout is not an integer or out of range"))?;
    if ms < 0 {
        return Err(error("ERR timeout is negative"));
    }
    let shared = &session.shared;
    let until = shared.now().saturating_add(ms);
    shared.pause.set(Some((until, all)));
    Ok(Reply::OK)
}

/// `CLIENT KILL addr`, `CLIENT KILL filter value [filter value ...]`
fn kill(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Reply> {
    let own = session.client.id;
    let clients = session.shared.clients(None);
    if let [address] = args {
        let found = clients.iter().find(|c| c.peer.to_string().as_bytes() == *address);
        let found = found.ok_or_else(|| error("ERR No such client"))?;
        session.end(found);
        return Ok(Reply::OK);
    }
    let (mut chosen, mut skip_own) = (clients, true);
    for filter in args.chunks(2) {
        let [name, value] = filter else { return Err(error("ERR syntax error")) };
        match name.to_ascii_lowercase().as_slice() {
            b"id" => {
                let id = integer(value).ok().filter(|id| *id > 0);
                let id = id.ok_or_else(|| error("ERR client-id should be greater than 0"))?;
                chosen.retain(|c| i64::try_from(c.id) == Ok(id));
            }
            b"addr" => chosen.retain(|c| c.peer.to_string().as_bytes() == *value),
            b"laddr" => chosen.retain(|c| c.local.to_string().as_bytes() == *value),
            b"user" => {
                let user = session.shared.users.get(value).ok_or_else(|| {
                    error(&format!("ERR No such user '{}'", quote(value, QUOTED)))
                })?;
                chosen.retain(|c| Arc::ptr_eq(&c.user, &user));
            }
            b"type" => {
                let pubsub = match value.to_ascii_lowercase().as_slice() {
                    b"normal" => Some(false),
                    b"pubsub" => Some(true),
                    b"master" | b"replica" | b"slave" => None,
                    _ => {
                        let kind = quote(value, QUOTED);
                        return Err(error(&format!("ERR Unknown client type '{kind}'")));
                    }
                };
                chosen.retain(|c| pubsub == Some(c.channels + c.patterns + c.shards > 0));
            }
            b"skipme" if is(value, "yes") => skip_own = true,
            b"skipme" if is(value, "no") => skip_own = false,
            _ => return Err(error("ERR syntax error")),
        }
    }
    chosen.retain(|c| !(skip_own && c.id == own));
    chosen.iter().for_each(|client| session.end(client));
    Ok(super::count(chosen.len()))
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
    let mut text = String::new();
    for client in session.shared.clients(only.as_ref()) {
        if pubsub.is_none_or(|wanted| wanted == (client.channels + client.patterns > 0)) {
            text += &line(&client, &session.shared);
            text.push('\n');
        }
    }
    Ok(Reply::Verbatim(text))
}

pub(super) fn line(client: &Client, shared: &Shared) -> String {
    let now = shared.now();
    let tracker = if client.tracking { shared.tracking.get(client.id) } else { None };
    let broadcasts = tracker.as_ref().is_some_and(|t| matches!(t.mode, Mode::Broadcast(_)));
    let live = &client.live;
    let load = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    let queued = live.queued.load(Ordering::Relaxed);
    let held = load(&live.queued_bytes);
    let (input, room) = (load(&live.input), load(&live.room));
    let mut flags = String::new();
    let marks = [
        (client.monitor, 'O'),
        (client.channels + client.patterns + client.shards > 0, 'P'),
        (queued >= 0, 'x'),
        (client.blocked, 'b'),
        (client.no_evict, 'e'),
        (tracker.is_some(), 't'),
        (tracker.as_ref().is_some_and(|tracker| tracker.broken), 'R'),
        (broadcasts, 'B'),
    ];
    flags.extend(marks.iter().filter(|(is, _)| *is).map(|(_, mark)| mark));
    if flags.is_empty() {
        flags.push('N');
    }
    let resp = if client.protocol == Protocol::Resp3 { 3 } else { 2 };
    format!(
        "id={} addr={} laddr={} fd=-1 name={} age={} idle={} flags={flags} db={} sub={} psub={} \
         ssub={} multi={queued} qbuf={input} qbuf-free={room} argv-mem=0 multi-mem={held} rbs=0 \
         rbp=0 obl=0 oll=0 omem=0 tot-mem={} events=r cmd={} user={} redir={} resp={resp} lib-name={} \
         lib-ver={}",
        client.id,
        client.peer,
        client.local,
        client.name,
        (now - client.since).max(0) / 1000,
        (now - live.active.load(Ordering::Relaxed)).max(0) / 1000,
        client.db,
        client.channels,
        client.patterns,
        client.shards,
        input + room + held,
        facts::name_of(load(&live.command)).unwrap_or("NULL"),
        String::from_utf8_lossy(&client.user.name),
        tracking::redirection(tracker.as_ref()),
        client.library.0,
        client.library.1,
    )
}
