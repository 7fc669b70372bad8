//! CLIENT TRACKING | CACHING | GETREDIR | TRACKINGINFO

use ringwell_storage::keyspace::{Bytes, Reply};

use super::{arg, error, integer, text};
use crate::resp::session::Session;
use crate::resp::tracking::{Mode, Tracker};

type Outcome = Result<Reply, Reply>;

/// `CLIENT TRACKING ON | OFF [REDIRECT id] [PREFIX prefix ...] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]`
pub(super) fn tracking(session: &mut Session, args: &[&[u8]]) -> Outcome {
    let asked = Asked::read(session, args.get(3..).unwrap_or_default())?;
    let on = match arg(args, 2).to_ascii_lowercase().as_slice() {
        b"on" => true,
        b"off" => false,
        _ => return Err(error("ERR syntax error")),
    };
    let tracker = if on { Some(asked.tracker(session)?) } else { None };
    set(session, tracker);
    Ok(Reply::OK)
}

/// Lets a connection track, or not any more.
pub(super) fn set(session: &mut Session, tracker: Option<Tracker>) {
    session.client.tracking = tracker.is_some();
    session.caching = false;
    if tracker.is_some() {
        session.mailbox();
    }
    session.shared.tracking.set(session.client.id, tracker);
    session.publish_state();
}

/// Options as they were given.
#[derive(Default)]
struct Asked {
    redirect: Option<u64>,
    prefixes: Vec<Bytes>,
    broadcast: bool,
    opt_in: bool,
    opt_out: bool,
    no_loop: bool,
}

impl Asked {
    fn read(session: &Session, mut options: &[&[u8]]) -> Result<Asked, Reply> {
        let mut asked = Asked::default();
        while let [option, more @ ..] = options {
            options = match (option.to_ascii_lowercase().as_slice(), more) {
                (b"redirect", [id, more @ ..]) => {
                    if asked.redirect.is_some() {
                        return Err(error(
                            "ERR A client can only redirect to a single other client",
                        ));
                    }
                    let id = u64::try_from(integer(id)?).ok();
                    asked.redirect = id.filter(|id| session.shared.client(*id).is_some());
                    if asked.redirect.is_none() {
                        return Err(error("ERR The client ID you want redirect to does not exist"));
                    }
                    more
                }
                (b"prefix", [prefix, more @ ..]) => {
                    asked.prefixes.push(Bytes::from(*prefix));
                    more
                }
                (b"bcast", more) => {
                    asked.broadcast = true;
                    more
                }
                (b"optin", more) => {
                    asked.opt_in = true;
                    more
                }
                (b"optout", more) => {
                    asked.opt_out = true;
                    more
                }
                (b"noloop", more) => {
                    asked.no_loop = true;
                    more
                }
                _ => return Err(error("ERR syntax error")),
            };
        }
        Ok(asked)
    }

    /// What the options make of how the connection tracks already.
    fn tracker(self, session: &Session) -> Result<Tracker, Reply> {
        let before = session.shared.tracking.get(session.client.id);
        let mode = before.as_ref().map(|tracker| &tracker.mode);
        let old = match mode {
            Some(Mode::Broadcast(prefixes)) => prefixes.clone(),
            _ => Vec::new(),
        };
        if !self.broadcast && !self.prefixes.is_empty() {
            return Err(error("ERR PREFIX option requires BCAST mode to be enabled"));
        }
        if mode.is_some_and(|mode| matches!(mode, Mode::Broadcast(_)) != self.broadcast) {
            return Err(error(
                "ERR You can't switch BCAST mode on/off before disabling tracking for this client, \
                 and then re-enabling it with a different mode.",
            ));
        }
        if self.broadcast && (self.opt_in || self.opt_out) {
            return Err(error("ERR OPTIN and OPTOUT are not compatible with BCAST"));
        }
        if self.opt_in && self.opt_out {
            return Err(error("ERR You can't specify both OPTIN mode and OPTOUT mode"));
        }
        if self.opt_in && mode == Some(&Mode::OptOut) || self.opt_out && mode == Some(&Mode::OptIn)
        {
            return Err(error(
                "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, \
                 and then re-enabling it with a different mode.",
            ));
        }
        if self.broadcast {
            self.collides(&old)?;
        }
        let mode = match () {
            () if self.broadcast => {
                let given = if self.prefixes.is_empty() && old.is_empty() {
                    vec![Bytes::from(&b""[..])]
                } else {
                    self.prefixes
                };
                Mode::Broadcast([old, given].concat())
            }
            () if self.opt_in => Mode::OptIn,
            () if self.opt_out => Mode::OptOut,
            () => mode.cloned().unwrap_or_default(),
        };
        let no_loop = self.no_loop || before.is_some_and(|tracker| tracker.no_loop);
        Ok(Tracker { redirect: self.redirect, mode, no_loop, broken: false })
    }

    /// No prefix of a client may begin with another of its.
    fn collides(&self, old: &[Bytes]) -> Result<(), Reply> {
        let overlap = |a: &[u8], b: &[u8]| a.starts_with(b) || b.starts_with(a);
        for (i, prefix) in self.prefixes.iter().enumerate() {
            let shown = |prefix: &[u8]| String::from_utf8_lossy(prefix).into_owned();
            let told = |which: &str, other: &[u8]| {
                Err(error(&format!(
                    "ERR Prefix '{}' overlaps with {which} prefix '{}'. Prefixes for a single client \
                     must not overlap.",
                    shown(prefix),
                    shown(other)
                )))
            };
            if let Some(other) = old.iter().find(|other| overlap(prefix, other)) {
                return told("an existing", other);
            }
            let mut later = self.prefixes.iter().skip(i + 1);
            if let Some(other) = later.find(|other| overlap(prefix, other)) {
                return told("another provided", other);
            }
        }
        Ok(())
    }
}

/// `CLIENT CACHING YES | NO`
pub(super) fn caching(session: &mut Session, word: &[u8]) -> Outcome {
    let Some(tracker) = session.shared.tracking.get(session.client.id) else {
        return Err(error(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or \
             OPTOUT mode enabled",
        ));
    };
    let mode = match word.to_ascii_lowercase().as_slice() {
        b"yes" => Mode::OptIn,
        b"no" => Mode::OptOut,
        _ => return Err(error("ERR syntax error")),
    };
    if tracker.mode != mode {
        let (word, mode) = if mode == Mode::OptIn { ("YES", "OPTIN") } else { ("NO", "OPTOUT") };
        return Err(error(&format!(
            "ERR CLIENT CACHING {word} is only valid when tracking is enabled in {mode} mode."
        )));
    }
    session.caching = true;
    Ok(Reply::OK)
}

/// Who hears for a connection: -1 = it does not track, 0 = itself.
pub(super) fn redirection(tracker: Option<&Tracker>) -> i64 {
    let id = tracker.map(|tracker| tracker.redirect.unwrap_or(0));
    id.map_or(-1, |id| i64::try_from(id).unwrap_or(i64::MAX))
}

/// `CLIENT TRACKINGINFO`
pub(super) fn info(session: &Session) -> Reply {
    let tracker = session.shared.tracking.get(session.client.id);
    let mut flags = vec![if tracker.is_some() { "on" } else { "off" }];
    let mut prefixes = Vec::new();
    if let Some(tracker) = &tracker {
        let caching = |word| session.caching.then_some(word);
        match &tracker.mode {
            Mode::All => {}
            Mode::OptIn => flags.extend(std::iter::once("optin").chain(caching("caching-yes"))),
            Mode::OptOut => flags.extend(std::iter::once("optout").chain(caching("caching-no"))),
            Mode::Broadcast(names) => {
                flags.push("bcast");
                prefixes = names.iter().map(|name| Reply::bulk(name)).collect();
            }
        }
        flags.extend(tracker.no_loop.then_some("noloop"));
        flags.extend(tracker.broken.then_some("broken_redirect"));
    }
    Reply::Map(vec![
        (text("flags"), Reply::Set(flags.into_iter().map(text).collect())),
        (text("redirect"), Reply::Integer(redirection(tracker.as_ref()))),
        (text("prefixes"), Reply::Array(prefixes)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_of_one_client_do_not_overlap() {
        let asked = |prefixes: &[&str]| Asked {
            prefixes: prefixes.iter().map(|p| Bytes::from(p.as_bytes())).collect(),
            ..Asked::default()
        };
        assert!(asked(&["a", "b"]).collides(&[Bytes::from(&b"c"[..])]).is_ok());
        assert!(asked(&["a", "ab"]).collides(&[]).is_err());
        assert!(asked(&["a"]).collides(&[Bytes::from(&b""[..])]).is_err());
    }
}
