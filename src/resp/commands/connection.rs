//! PING ECHO SELECT AUTH HELLO QUIT RESET TIME WAIT

use std::sync::Arc;

use ringwell_storage::keyspace::Reply;

use super::{QUOTED, arg, error, integer, is, quote, text};
use crate::resp::session::{DATABASES, Session};
use crate::resp::shared::LOADING;
use crate::resp::write::Protocol;

/// The Redis whose answers ours equal.
pub(super) const REDIS_VERSION: &str = "7.0.15";

const WRONG_PASS: &str = "WRONGPASS invalid username-password pair or user is disabled.";

/// `PING [message]`
pub(super) fn ping(session: &mut Session, args: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    let message = match args {
        [_] => None,
        [_, message] => Some(*message),
        _ => return Some(super::wrong_arity("ping")),
    };
    let listening = session.protocol() == Protocol::Resp2 && session.subscriptions.count() > 0;
    Some(match message {
        message if listening => {
            Reply::Array(vec![text("pong"), Reply::bulk(message.unwrap_or_default())])
        }
        Some(message) => Reply::bulk(message),
        None => Reply::Simple("PONG"),
    })
}

/// `ECHO message`
pub(super) fn echo(_: &mut Session, args: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    Some(Reply::bulk(arg(args, 1)))
}

/// `SELECT index`
pub(super) fn select(session: &mut Session, args: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    Some(match integer(arg(args, 1)) {
        Err(refusal) => refusal,
        Ok(db @ 0..DATABASES) => {
            session.client.db = u8::try_from(db).unwrap_or_default();
            session.publish_state();
            Reply::OK
        }
        Ok(db) if i32::try_from(db).is_err() => {
            error("ERR value is out of range, value must between -2147483648 and 2147483647")
        }
        Ok(_) => error("ERR DB index is out of range"),
    })
}

/// `AUTH [username] password`
pub(super) fn auth(session: &mut Session, args: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    let (user, password) = match args {
        [_, _] if session.shared.users.default().rules().flags().contains(&"nopass") => {
            return Some(error(
                "ERR AUTH <password> called without any password configured for the default user. \
                 Are you sure your configuration is correct?",
            ));
        }
        [_, password] => (&b"default"[..], *password),
        [_, user, password] => (*user, *password),
        _ => return Some(error("ERR syntax error")),
    };
    Some(match log_in(session, user, password, arg(args, 0)) {
        Ok(()) => Reply::OK,
        Err(refusal) => refusal,
    })
}

/// Lets the connection in as a user, if the password is right.
fn log_in(
    session: &mut Session,
    name: &[u8],
    password: &[u8],
    command: &[u8],
) -> Result<(), Reply> {
    let found = session.shared.users.log_in(name, password);
    let Some(user) = found else {
        if session.shared.store().is_none() && name != b"default" {
            // Who else there is stands in the store.
            return Err(error(LOADING));
        }
        super::acl::note(session, "auth", command, name);
        return Err(error(WRONG_PASS));
    };
    session.client.user = user;
    session.authenticated = true;
    session.publish_state();
    Ok(())
}

/// `HELLO [protover [AUTH username password] [SETNAME clientname]]`
pub(super) fn hello(session: &mut Session, args: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    Some(greet(session, args).unwrap_or_else(|refusal| refusal))
}

fn greet(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Reply> {
    let mut protocol = None;
    if let Some(version) = args.get(1) {
        let version = integer(version)
            .map_err(|_| error("ERR Protocol version is not an integer or out of range"))?;
        protocol = Some(match version {
            2 => Protocol::Resp2,
            3 => Protocol::Resp3,
            _ => return Err(error("NOPROTO unsupported protocol version")),
        });
    }
    let mut name = None;
    let mut rest = args.get(2..).unwrap_or_default();
    while let Some((option, more)) = rest.split_first() {
        rest = match more {
            [user, password, more @ ..] if is(option, "auth") => {
                log_in(session, user, password, arg(args, 0))?;
                more
            }
            [given, more @ ..] if is(option, "setname") => {
                name = Some(client_name(given)?);
                more
            }
            _ => {
                let option = quote(option, QUOTED);
                return Err(error(&format!("ERR Syntax error in HELLO option '{option}'")));
            }
        };
    }
    if !session.is_known() {
        return Err(error(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the \
             HELLO AUTH <user> <pass> option can be used to authenticate the client and \
             select the RESP protocol version at the same time",
        ));
    }
    session.client.name = name.unwrap_or(std::mem::take(&mut session.client.name));
    session.client.protocol = protocol.unwrap_or(session.client.protocol);
    session.publish_state();
    let follows = session.shared.primary.upstream().is_some();
    let role = if follows { "replica" } else { "master" };
    let version = if session.protocol() == Protocol::Resp3 { 3 } else { 2 };
    Ok(Reply::Map(vec![
        (text("server"), text("redis")),
        (text("version"), text(REDIS_VERSION)),
        (text("proto"), Reply::Integer(version)),
        (text("id"), Reply::Integer(i64::try_from(session.client.id).unwrap_or(i64::MAX))),
        (text("mode"), text("standalone")),
        (text("role"), text(role)),
        (text("modules"), Reply::Array(Vec::new())),
    ]))
}

/// Longest name a connection may give itself.
const MAX_NAME: usize = 4096;

/// Whether a connection may give itself this name: printable, without spaces, not endless.
pub(super) fn is_name(name: &[u8]) -> bool {
    name.len() <= MAX_NAME && name.iter().all(u8::is_ascii_graphic)
}

/// A name that a connection gives itself.
pub(super) fn client_name(name: &[u8]) -> Result<String, Reply> {
    if is_name(name) {
        return Ok(String::from_utf8_lossy(name).into_owned());
    }
    Err(error("ERR Client names cannot contain spaces, newlines or special characters."))
}

/// `QUIT`
pub(super) fn quit(session: &mut Session, _: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    session.closing = true;
    Some(Reply::OK)
}

/// `RESET`
pub(super) fn reset(session: &mut Session, _: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    session.transaction = None;
    session.watched.clear();
    super::leave_all(session);
    super::tracking::set(session, None);
    session.client.db = 0;
    session.client.name.clear();
    session.client.protocol = Protocol::Resp2;
    session.client.user = Arc::clone(session.shared.users.default());
    session.authenticated = session.shared.lets_everybody_in();
    session.publish_state();
    Some(Reply::Simple("RESET"))
}

/// `TIME`
pub(super) fn time(session: &mut Session, _: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    let now = session.shared.now();
    let parts = [now.div_euclid(1000), now.rem_euclid(1000) * 1000];
    Some(Reply::Array(parts.iter().map(|part| text(&part.to_string())).collect()))
}
