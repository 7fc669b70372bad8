//! ACL: users and what they may do.

use std::sync::Arc;

use ringwell_storage::keyspace::{Bytes, Reply};

use super::{QUOTED, arg, count, error, help, integer, is, quote, text};
use crate::resp::acl::{CATEGORIES, Denial, Entry, Rules, Selector, User};
use crate::resp::facts::{self, COMMANDS, Facts, SUBCOMMANDS};
use crate::resp::session::{Session, lookup};
use crate::resp::shared::LOADING;

/// Most bits of a generated password, and how many without being asked.
const MAX_BITS: i64 = 4096;
const USUAL_BITS: i64 = 256;
/// Bytes of what was denied that an entry keeps.
const MAX_OBJECT: usize = 1024;
/// Entries that ACL LOG shows without being asked.
const SHOWN: i64 = 10;

/// `ACL subcommand [argument ...]`
pub(super) fn acl(session: &mut Session, args: &[&[u8]], _: &mut Vec<u8>) -> Option<Reply> {
    let rest = args.get(2..).unwrap_or_default();
    let users = &session.shared.users;
    let outcome = match (arg(args, 1).to_ascii_lowercase().as_slice(), rest) {
        (b"whoami", []) => Ok(Reply::bulk(&session.client.user.name)),
        (b"users", []) => Ok(Reply::Bulks(users.all().iter().map(|user| &*user.name).collect())),
        (b"list", []) => Ok(Reply::Array(users.all().iter().map(|user| line(user)).collect())),
        (b"getuser", [name]) => {
            Ok(users.get(name).map_or(Reply::Null, |user| described(&user.rules())))
        }
        (b"setuser", [name, rules @ ..]) => set_user(session, name, rules),
        (b"deluser", names) => delete_users(session, names),
        (b"cat", []) => Ok(Reply::Array(CATEGORIES.iter().map(|name| text(name)).collect())),
        (b"cat", [category]) => commands_of(category),
        (b"log", rest) if rest.len() <= 1 => log(session, rest.first().copied()),
        (b"dryrun", [name, command @ ..]) => dry_run(session, name, command),
        (b"genpass", rest) if rest.len() <= 1 => generate(rest.first().copied()),
        (b"load" | b"save", []) => Err(error(
            "ERR This Redis instance is not configured to use an ACL file. You may want to specify \
             users via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a \
             Redis configuration file set) in order to store users in the Redis configuration.",
        )),
        (b"help", []) => Ok(help("acl")),
        _ => {
            let sub = quote(arg(args, 1), QUOTED);
            Err(error(&format!(
                "ERR unknown subcommand or wrong number of arguments for '{sub}'. Try ACL HELP."
            )))
        }
    };
    Some(outcome.unwrap_or_else(|refusal| refusal))
}

fn set_user(session: &mut Session, name: &[u8], rules: &[&[u8]]) -> Result<Reply, Reply> {
    let shared = Arc::clone(&session.shared);
    let channels = shared.settings.opens_channels();
    let store = shared.store().ok_or_else(|| error(LOADING))?;
    let changed = shared.users.set(store, name, rules, channels);
    let changed = changed.map_err(|why| error(&format!("ERR {why}")))?;
    session.wrote(changed.position);
    if changed.fewer_channels {
        let hears = |(channel, pattern): &(Bytes, bool)| changed.user.hears(channel, *pattern);
        for client in shared.clients(None).iter().filter(|c| Arc::ptr_eq(&c.user, &changed.user)) {
            if !shared.hub.heard_by(client.id).iter().all(hears) {
                session.end(client);
            }
        }
    }
    Ok(Reply::OK)
}

fn delete_users(session: &mut Session, names: &[&[u8]]) -> Result<Reply, Reply> {
    let shared = Arc::clone(&session.shared);
    let store = shared.store().ok_or_else(|| error(LOADING))?;
    let removed = shared.users.remove(store, names);
    let (gone, position) = removed.map_err(|why| error(&format!("ERR {why}")))?;
    if let Some(position) = position {
        session.wrote(position);
    }
    for client in shared.clients(None) {
        if gone.iter().any(|user| Arc::ptr_eq(user, &client.user)) {
            session.end(&client);
        }
    }
    Ok(count(gone.len()))
}

/// A user as ACL LIST shows it.
fn line(user: &User) -> Reply {
    Reply::Bulk([b"user ", &*user.name, b" ", user.rules().line().as_slice()].concat())
}

fn described(rules: &Rules) -> Reply {
    let others = rules.others().iter().map(|selector| Reply::Map(permissions(selector)));
    let mut fields = vec![
        (text("flags"), Reply::Set(rules.flags().into_iter().map(text).collect())),
        (
            text("passwords"),
            Reply::Array(rules.passwords().iter().map(|hash| text(hash)).collect()),
        ),
    ];
    fields.extend(permissions(rules.root()));
    fields.push((text("selectors"), Reply::Array(others.collect())));
    Reply::Map(fields)
}

fn permissions(selector: &Selector) -> Vec<(Reply, Reply)> {
    let words = |words: Vec<Vec<u8>>| Reply::Bulk(words.join(&b' '));
    vec![
        (text("commands"), words(selector.command_words())),
        (text("keys"), words(selector.key_words())),
        (text("channels"), words(selector.channel_words())),
    ]
}

/// `ACL CAT category`
fn commands_of(name: &[u8]) -> Result<Reply, Reply> {
    let given = quote(name, QUOTED);
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    if !CATEGORIES.contains(&name.as_str()) {
        return Err(error(&format!("ERR Unknown category '{given}'")));
    }
    let all = COMMANDS.iter().chain(SUBCOMMANDS).filter(|facts| facts.is_in(&name));
    Ok(Reply::Array(all.map(|facts| text(facts.name)).collect()))
}

/// `ACL LOG [count | RESET]`
fn log(session: &Session, option: Option<&[u8]>) -> Result<Reply, Reply> {
    let users = &session.shared.users;
    let count = match option {
        Some(option) if is(option, "reset") => {
            users.forget_denied();
            return Ok(Reply::OK);
        }
        Some(count) => integer(count)?,
        None => SHOWN,
    };
    let now = session.shared.now();
    let entries = users.denied(usize::try_from(count).unwrap_or(0));
    Ok(Reply::Array(entries.iter().map(|entry| denied(entry, now)).collect()))
}

fn denied(entry: &Entry, now: i64) -> Reply {
    let number = |n: u64| Reply::Integer(i64::try_from(n).unwrap_or(i64::MAX));
    Reply::Map(vec![
        (text("count"), number(entry.count)),
        (text("reason"), text(entry.reason)),
        (text("context"), text(entry.context)),
        (text("object"), Reply::bulk(&entry.object)),
        (text("username"), Reply::bulk(&entry.user)),
        (text("age-seconds"), Reply::Double((now - entry.at).max(0) as f64 / 1000.0)),
        (text("client-info"), text(&entry.client)),
    ])
}

/// `ACL DRYRUN user command [argument ...]`
fn dry_run(session: &Session, name: &[u8], command: &[&[u8]]) -> Result<Reply, Reply> {
    let shown = |arg: &[u8]| quote(arg, QUOTED).into_owned();
    let user = session.shared.users.get(name);
    let user = user.ok_or_else(|| error(&format!("ERR User '{}' not found", shown(name))))?;
    let found = lookup(command)
        .map_err(|_| error(&format!("ERR Command '{}' not found", shown(arg(command, 0)))))?;
    if !found.facts.takes(command.len()) {
        return Err(super::wrong_arity(found.facts.name));
    }
    let object = |at: usize| String::from_utf8_lossy(arg(command, at)).into_owned();
    let what = match user.rules().check(found.slot, found.facts, command) {
        Ok(()) => return Ok(Reply::OK),
        Err(Denial::Command) => format!("run the '{}' command", found.facts.name),
        Err(Denial::Key(at)) => format!("access the '{}' key", object(at)),
        Err(Denial::Channel(at)) => format!("access the '{}' channel", object(at)),
    };
    Ok(text(&format!("This user has no permissions to {what}")))
}

/// `ACL GENPASS [bits]`: from the system's own source of randomness.
fn generate(bits: Option<&[u8]>) -> Result<Reply, Reply> {
    let bits = bits.map_or(Ok(USUAL_BITS), integer)?;
    if !(1..=MAX_BITS).contains(&bits) {
        return Err(error(&format!(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a positive \
             number up to {MAX_BITS}"
        )));
    }
    let digits = usize::try_from((bits + 3) / 4).unwrap_or_default();
    let mut random = vec![0_u8; digits.div_ceil(2)];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut source| std::io::Read::read_exact(&mut source, &mut random))
        .map_err(|why| error(&format!("ERR the system gives no random bytes: {why}")))?;
    let hex: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(text(hex.get(..digits).unwrap_or_default()))
}

/// Notes what a user may not do, and says so in Redis's words.
pub(in crate::resp) fn deny(
    session: &Session,
    facts: &Facts,
    args: &[&[u8]],
    denial: Denial,
) -> Reply {
    let (reason, object, queued) = match denial {
        Denial::Command => {
            ("command", facts.name.as_bytes(), "no permission to execute the command or subcommand")
        }
        Denial::Key(at) => ("key", arg(args, at), "no permission to touch the specified keys"),
        Denial::Channel(at) => (
            "channel",
            arg(args, at),
            "no permission to access one of the channels used as arguments to the command",
        ),
    };
    note(session, reason, object, &session.client.user.name);
    if session.running.is_some() {
        return error(&format!(
            "NOPERM ACLs rules changed between the moment the transaction was accumulated and the \
             EXEC call. This command is no longer allowed for the following reason: {queued}"
        ));
    }
    error(&match denial {
        Denial::Command => {
            format!("NOPERM this user has no permissions to run the '{}' command", facts.name)
        }
        Denial::Key(_) => {
            "NOPERM this user has no permissions to access one of the keys used as arguments".into()
        }
        Denial::Channel(_) => {
            "NOPERM this user has no permissions to access one of the channels used as arguments"
                .into()
        }
    })
}

/// Notes that somebody was denied something.
pub(super) fn note(session: &Session, reason: &'static str, object: &[u8], user: &[u8]) {
    let shared = &session.shared;
    let context = if session.transaction.is_some() { "multi" } else { "toplevel" };
    let entry = Entry {
        count: 0,
        reason,
        context,
        object: object.get(..MAX_OBJECT).unwrap_or(object).to_vec(),
        user: user.to_vec(),
        at: shared.now(),
        client: super::client::line(&session.client, shared),
    };
    shared.users.note_denied(entry, shared.settings.denied_length());
}

/// Whether SORT's patterns, which may name any key, are allowed; the error says which is not.
pub(in crate::resp) fn sorts(session: &Session, slot: usize, args: &[&[u8]]) -> Result<(), Reply> {
    let user = &session.client.user;
    let Some(facts) = facts::of(slot).filter(|_| !user.is_free()) else { return Ok(()) };
    let mut rest = args.get(2..).unwrap_or_default();
    let mut option = None;
    while let [name, more @ ..] = rest {
        rest = match (name.to_ascii_lowercase().as_slice(), more) {
            (b"limit", [_, _, more @ ..]) => more,
            (b"store", [_, more @ ..]) => more,
            (b"by", [pattern, more @ ..]) => {
                option = option.or(pattern.contains(&b'*').then_some("BY"));
                more
            }
            (b"get", [_, more @ ..]) => {
                option = option.or(Some("GET"));
                more
            }
            _ => more,
        };
    }
    match option {
        Some(option) if !user.rules().reads_all(slot, facts, args) => Err(error(&format!(
            "ERR {option} option of SORT denied due to insufficient ACL permissions."
        ))),
        _ => Ok(()),
    }
}
