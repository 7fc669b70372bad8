//! One connection's state, and the way of a command through it.
//!
//! The order of checks is Redis's: does the command exist, has it the right number of arguments, is
//! the sender known, may it be called while subscribed, is it queued; then it runs.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use ringwell_storage::keyspace::command::{
    Command, QUOTED, as_waiting, error, find, quote, unknown, waits,
};
use ringwell_storage::keyspace::{Bytes, Entry, Reply, Request};
use ringwell_storage::model::WalPosition;
use ringwell_storage::store::Executed;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::commands::{self, SESSION_COMMANDS, SessionCommand};
use super::facts::{self, Facts};
use super::hub::{Inbox, Mailbox, Message, Topic, mailbox};
use super::shared::{Client, LOADING, Shared};
use super::waiting::Woken;
use super::write::{Protocol, write};
use crate::replication::{Handshake, Wanted};

/// A reply of so many bytes is not copied, if nothing waits before it.
const LARGE: usize = 64 << 10;

/// Databases a connection can select.
pub(super) const DATABASES: i64 = ringwell_storage::keyspace::DATABASES as i64;

/// One connection.
pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) client: Client,
    pub(super) authenticated: bool,
    pub(super) transaction: Option<Transaction>,
    /// Set while EXEC runs what was queued.
    pub(super) running: Option<ringwell_storage::store::Transaction>,
    /// Keys that must not change before EXEC.
    pub(super) watched: Vec<Watched>,
    pub(super) subscriptions: Subscriptions,
    /// Set when the connection ends after what is already written.
    pub(super) closing: bool,
    /// Set when it ends without another byte.
    pub(super) hung_up: bool,
    /// Set while it waits for a key.
    pub(super) blocked: Option<Blocked>,
    /// What CLIENT REPLY says.
    pub(super) silence: Silence,
    /// What CLIENT CACHING said of the next command.
    pub(super) caching: bool,
    /// What it said of itself as a replica.
    pub(super) handshake: Handshake,
    /// Set when it is to be fed as a replica from here on.
    pub(super) follows: Option<Wanted>,
    /// Where the log ends for all commands since it was last taken.
    written: Option<WalPosition>,
    /// The offset at which replicas have the last command that changed something.
    pub(super) fed: u64,
    /// When the command before ended, if nothing was waited for since: the next begins then, so that the clock
    /// is asked once for each.
    pub(super) ended: Option<Instant>,
}

/// A wait for a key.
pub(super) struct Blocked {
    pub(super) woken: oneshot::Receiver<Woken>,
    pub(super) deadline: Option<Instant>,
    /// What waits, for the log of slow commands.
    pub(super) name: &'static str,
    pub(super) args: Vec<Box<[u8]>>,
}

/// Which replies are kept back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Silence {
    /// None.
    No,
    /// All, until CLIENT REPLY ON.
    All,
    /// Those of the command that said so.
    This,
    /// Those of the next command.
    Next,
}

/// Commands queued between MULTI and EXEC.
#[derive(Default)]
pub(super) struct Transaction {
    pub(super) queue: Vec<Vec<Box<[u8]>>>,
    /// Bytes queued.
    pub(super) bytes: usize,
    /// Whether a command was refused, so that EXEC refuses all.
    pub(super) broken: bool,
}

/// A key as it was when it was watched.
pub(super) struct Watched {
    pub(super) db: u8,
    pub(super) key: Box<[u8]>,
    pub(super) entry: Option<Entry>,
}

/// What a connection hears.
#[derive(Default)]
pub(super) struct Subscriptions {
    pub(super) channels: HashSet<Bytes>,
    pub(super) patterns: HashSet<Bytes>,
    pub(super) shards: HashSet<Bytes>,
    pub(super) monitor: HashSet<Bytes>,
    pub(super) mailbox: Option<Arc<Mailbox>>,
    pub(super) inbox: Option<Inbox>,
}

impl Subscriptions {
    pub(super) fn count(&self) -> usize {
        self.channels.len() + self.patterns.len() + self.shards.len()
    }

    pub(super) fn names(&mut self, topic: Topic) -> &mut HashSet<Bytes> {
        match topic {
            Topic::Channel => &mut self.channels,
            Topic::Pattern => &mut self.patterns,
            Topic::Shard => &mut self.shards,
            Topic::Monitor | Topic::Invalidated | Topic::Flushed | Topic::Broken => {
                &mut self.monitor
            }
        }
    }
}

/// A command or sub-command that exists.
#[derive(Clone, Copy)]
pub(super) struct Found {
    /// Where it is counted.
    pub(super) slot: usize,
    pub(super) facts: &'static Facts,
    handler: Handler,
}

/// Who does a command.
#[derive(Clone, Copy)]
enum Handler {
    Data(&'static Command),
    Session(&'static SessionCommand),
}

impl Session {
    pub(super) fn new(shared: Arc<Shared>, client: Client) -> Session {
        let authenticated = shared.lets_everybody_in();
        Session {
            shared,
            client,
            authenticated,
            transaction: None,
            running: None,
            watched: Vec::new(),
            subscriptions: Subscriptions::default(),
            closing: false,
            hung_up: false,
            blocked: None,
            silence: Silence::No,
            caching: false,
            handshake: Handshake::default(),
            follows: None,
            written: None,
            fed: 0,
            ended: None,
        }
    }

    pub(super) fn protocol(&self) -> Protocol {
        self.client.protocol
    }

    /// Appends a reply in the connection's protocol.
    pub(super) fn reply(&self, reply: &Reply, out: &mut Vec<u8>) {
        if let Reply::Error(text) = reply {
            self.shared.counters.errors.fetch_add(1, Ordering::Relaxed);
            self.shared.counters.tally.error(text);
        }
        write(reply, self.protocol(), out);
    }

    /// Whether the connection said who it is, or need not.
    pub(super) fn is_known(&self) -> bool {
        self.authenticated || self.shared.users.is_open()
    }

    /// Lets the replies so far wait until the log is durable up to here.
    pub(super) fn wrote(&mut self, position: WalPosition) {
        self.written = self.written.max(Some(position));
    }

    /// Ends a connection, this one after what it is answered.
    pub(super) fn end(&mut self, client: &Client) {
        if client.id == self.client.id {
            self.closing = true;
        } else {
            self.shared.kill(client);
        }
    }

    /// What must be durable before the replies so far may be sent.
    pub(super) fn take_written(&mut self) -> Option<WalPosition> {
        self.written.take()
    }

    /// Takes one request: answers it, queues it, or refuses it.
    pub(super) fn handle(&mut self, args: &[&[u8]], out: &mut Vec<u8>) {
        if is_http(args) {
            self.hang_up_http();
            return;
        }
        let before = out.len();
        self.take_request(args, out);
        if self.caching && self.transaction.is_none() {
            let said = args.first().is_some_and(|name| name.eq_ignore_ascii_case(b"client"));
            self.caching &= said;
        }
        let listens =
            |name: &[u8]| name.len() > 8 && name.to_ascii_lowercase().ends_with(b"subscribe");
        if self.silence != Silence::No {
            // What subscribing confirms is a message, not a reply.
            let kept = args.first().is_some_and(|name| listens(name));
            if !kept {
                out.truncate(before);
            }
            self.silence = match self.silence {
                Silence::This => Silence::Next,
                Silence::Next => Silence::No,
                kept => kept,
            };
        }
    }

    fn take_request(&mut self, args: &[&[u8]], out: &mut Vec<u8>) {
        match self.admit(args) {
            Err(refusal) => {
                let refusal = self.break_transaction(args, refusal);
                self.reply(&refusal, out);
            }
            Ok(found) => {
                let at_once = matches!(found.handler, Handler::Session(c) if c.at_once);
                match &mut self.transaction {
                    Some(transaction) if !at_once => {
                        let reply = transaction.enqueue(args, self.shared.options.limits.bulk);
                        self.show_transaction();
                        self.reply(&reply, out);
                    }
                    _ => self.run(found, args, out),
                }
            }
        }
    }

    /// A refused command spoils the transaction it stands in; a refused EXEC ends it.
    fn break_transaction(&mut self, args: &[&[u8]], refusal: Reply) -> Reply {
        if let Some(transaction) = &mut self.transaction {
            transaction.broken = true;
        }
        match refusal {
            Reply::Error(text) if args.first().is_some_and(|n| n.eq_ignore_ascii_case(b"exec")) => {
                self.transaction = None;
                self.watched.clear();
                let why = text.strip_prefix("ERR ").unwrap_or(&text);
                Reply::Error(format!("EXECABORT Transaction discarded because of: {why}"))
            }
            refusal => refusal,
        }
    }

    /// Runs a command that was queued and admitted before.
    pub(super) fn run_queued(&mut self, args: &[&[u8]], out: &mut Vec<u8>) {
        match self.admit(args) {
            Ok(found) => self.run(found, args, out),
            Err(refusal) => self.reply(&refusal, out),
        }
    }

    fn admit(&self, args: &[&[u8]]) -> Result<Found, Reply> {
        let found = lookup(args)?;
        self.allow(found, args).inspect_err(|_| self.shared.counters.tally.rejected(found.slot))?;
        Ok(found)
    }

    /// Whether a command that exists may run or be queued now.
    fn allow(&self, found: Found, args: &[&[u8]]) -> Result<(), Reply> {
        let facts = found.facts;
        if !facts.takes(args.len()) {
            return Err(commands::wrong_arity(facts.name));
        }
        let (open, heard) = match found.handler {
            Handler::Data(_) => (false, false),
            Handler::Session(command) => (command.before_auth, command.while_subscribed),
        };
        if !open && !self.is_known() {
            return Err(Reply::Error("NOAUTH Authentication required.".into()));
        }
        if self.transaction.is_some() && facts.is("no_multi") {
            return Err(Reply::Error("ERR Command not allowed inside a transaction".into()));
        }
        if !self.client.user.is_free() {
            let rules = self.client.user.rules();
            rules
                .check(found.slot, facts, args)
                .map_err(|denial| commands::deny(self, facts, args, denial))?;
        }
        let listening = self.protocol() == Protocol::Resp2 && self.subscriptions.count() > 0;
        if listening && !heard {
            return Err(Reply::Error(format!(
                "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / \
                 RESET are allowed in this context",
                facts.name
            )));
        }
        // The store's door refuses it too, but here a transaction is spoilt by it, as in Redis.
        if let Some(refusal) = self.shared.refuses(|| facts.is("write")) {
            return Err(refusal);
        }
        if self.shared.store().is_none() && !facts.is("loading") {
            return Err(Reply::Error(LOADING.into()));
        }
        Ok(())
    }

    fn run(&mut self, found: Found, args: &[&[u8]], out: &mut Vec<u8>) {
        if self.shared.hub.monitored() {
            self.show_monitors(found.facts, args);
        }
        self.client.live.command.store(found.slot, Ordering::Relaxed);
        if self.client.tracking && found.facts.is("readonly") {
            // Before it reads: a change at the same moment is told twice rather than never.
            self.shared.remember(self.client.id, found.facts, args, self.caching);
        }
        let started = self.ended.take().unwrap_or_else(Instant::now);
        let reply = match found.handler {
            Handler::Data(_) if found.facts.name == "memory|stats" => {
                Some(commands::memory_stats(self))
            }
            Handler::Data(command) if command.name.starts_with("sort") => {
                match commands::sorts(self, found.slot, args) {
                    Ok(()) => self.data(command, args),
                    Err(refusal) => Some(refusal),
                }
            }
            Handler::Data(command) => self.data(command, args),
            Handler::Session(command) => (command.run)(self, args, out),
        };
        let ended = Instant::now();
        let took = ended.saturating_duration_since(started);
        self.ended = Some(ended);
        if matches!(found.facts.group, "transactions" | "connection") {
            self.show_transaction();
        }
        let failed = matches!(reply, Some(Reply::Error(_)));
        self.shared.counters.tally.called(found.slot, took, failed);
        match reply {
            // A large one is sent as it lies.
            Some(Reply::Bulks(bulks)) if out.is_empty() && bulks.spelled().len() >= LARGE => {
                match bulks.into_array() {
                    Ok(array) => *out = array,
                    Err(bulks) => self.reply(&Reply::Bulks(bulks), out),
                }
            }
            Some(reply) => self.reply(&reply, out),
            None => {}
        }
        if self.blocked.is_none() {
            self.note_time(found.facts.name, args, took);
        }
    }

    /// Runs a data command in the store, beside those of other connections but not inside anybody's
    /// transaction. No reply: it waits.
    fn data(&mut self, command: &Command, args: &[&[u8]]) -> Option<Reply> {
        // The lock guards no data, so a panic under it left nothing half done.
        if self.transaction.is_some() {
            let executed = self.execute(args);
            return Some(self.note(executed).0);
        }
        let waits = waits(command, args);
        if let Some(ms) = waits {
            let shared = Arc::clone(&self.shared);
            let _alone = shared.exclusive.write();
            let executed = self.execute(args);
            let (reply, changed) = self.note(executed);
            if matches!(reply, Reply::Null | Reply::NullArray) {
                self.wait_for_key(command, args, ms);
                return None;
            }
            if changed && shared.waiters.count() > 0 {
                shared.serve_waiters(Some(args));
            }
            return Some(reply);
        }
        let executed = {
            let _beside = self.shared.exclusive.read();
            self.execute(args)
        };
        let (reply, changed) = self.note(executed);
        if changed && self.shared.waiters.count() > 0 {
            let _alone = self.shared.exclusive.write();
            self.shared.serve_waiters((!anywhere(command)).then_some(args));
        }
        Some(reply)
    }

    fn execute(&self, args: &[&[u8]]) -> Executed {
        let by = Some(self.client.id);
        self.shared.execute(by, self.running.as_ref(), self.client.db, args)
    }

    /// The reply, and whether anything changed.
    fn note(&mut self, executed: Executed) -> (Reply, bool) {
        self.written = self.written.max(executed.position);
        self.fed = self.fed.max(executed.offset);
        (executed.reply, executed.position.is_some())
    }

    fn wait_for_key(&mut self, command: &Command, args: &[&[u8]], ms: i64) {
        let time = Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        let deadline = if ms > 0 { Instant::now().checked_add(time) } else { None };
        let request = Request { db: self.client.db, args };
        // Nobody waits before the store is open.
        let Some(store) = self.shared.store() else { return };
        let waiting = store.with_keyspace(|ks| as_waiting(ks, command, &request));
        let woken = self.shared.waiters.wait(self.client.id, self.client.db, waiting);
        self.client.blocked = true;
        let args = args.iter().map(|arg| Box::from(*arg)).collect();
        self.blocked = Some(Blocked { woken, deadline, name: command.name, args });
        self.publish_state();
    }

    /// Ends a wait and answers it; `None` when the time is over.
    pub(super) fn wake(&mut self, woken: Option<Woken>, out: &mut Vec<u8>) {
        let Some(mut blocked) = self.blocked.take() else { return };
        let woken = match woken {
            None if self.shared.waiters.end(self.client.id, None) => Woken::TimedOut,
            // Served at the very moment: what was taken for this client must reach it.
            None => blocked.woken.try_recv().unwrap_or(Woken::TimedOut),
            Some(woken) => woken,
        };
        let reply = match woken {
            Woken::Answered(reply, position) => {
                let args: Vec<&[u8]> = blocked.args.iter().map(|arg| &**arg).collect();
                self.note_time(blocked.name, &args, Duration::ZERO);
                self.written = self.written.max(position);
                // Not below where replicas have it, which is all that is asked for.
                if position.is_some() {
                    self.fed = self.shared.primary.offset();
                }
                reply
            }
            Woken::TimedOut => Reply::NullArray,
            Woken::Unblocked => {
                Reply::Error("UNBLOCKED client unblocked via CLIENT UNBLOCK".into())
            }
        };
        self.client.blocked = false;
        self.publish_state();
        self.reply(&reply, out);
    }

    /// Notes what took long.
    fn note_time(&self, name: &'static str, args: &[&[u8]], took: Duration) {
        if name == "exec" {
            return;
        }
        let us = i64::try_from(took.as_micros()).unwrap_or(i64::MAX);
        let shared = &self.shared;
        let threshold = shared.settings.latency_threshold();
        if threshold > 0 && us >= threshold * 1000 {
            shared.latency.event("command", shared.now(), us / 1000);
        }
        let slower = shared.settings.slower_than();
        if slower >= 0 && us >= slower && !matches!(name, "auth" | "hello") {
            let limit = shared.settings.slowlog_length();
            let args = without_secrets(name, args);
            shared.slowlog.note(shared.now(), us, &args, &self.client, limit);
        }
    }

    /// Shows a command to those who watch all of them.
    fn show_monitors(&self, facts: &Facts, args: &[&[u8]]) {
        // Those that carry a secret are not shown, nor those Redis does not show here.
        // EXEC is shown behind what it runs.
        let hidden = matches!(facts.name, "acl" | "auth" | "hello" | "exec" | "monitor");
        if !hidden && !facts.is("admin") {
            self.show_monitors_that(args);
        }
    }

    /// Shows arguments to those who watch all commands.
    pub(super) fn show_monitors_that(&self, args: &[&[u8]]) {
        let now = self.shared.now();
        let mut line = format!(
            "{}.{:06} [{} {}]",
            now / 1000,
            now % 1000 * 1000,
            self.client.db,
            self.client.peer
        );
        for arg in args {
            line += " \"";
            line += &escape(arg);
            line += "\"";
        }
        self.shared.hub.publish_to(Topic::Monitor, b"", line.as_bytes());
    }

    /// Appends a published message.
    pub(super) fn push(&self, message: &Message, out: &mut Vec<u8>) {
        let text = |bytes: &[u8]| Reply::bulk(bytes);
        if message.topic == Topic::Monitor {
            out.push(b'+');
            out.extend_from_slice(&message.payload);
            out.extend_from_slice(b"\r\n");
            return;
        }
        let (channel, payload) = (text(&message.channel), text(&message.payload));
        let changed = match message.topic {
            Topic::Invalidated => Some(Reply::Array(vec![text(&message.payload)])),
            Topic::Flushed => Some(Reply::Null),
            Topic::Broken => {
                let id = super::parse::number(&message.payload).unwrap_or(0);
                let told = vec![text(b"tracking-redir-broken"), Reply::Integer(id)];
                self.reply(&Reply::Push(told), out);
                return;
            }
            _ => None,
        };
        if let Some(keys) = changed {
            let told = match self.protocol() {
                Protocol::Resp3 => vec![text(b"invalidate"), keys],
                Protocol::Resp2 => vec![text(b"message"), channel, keys],
            };
            self.reply(&Reply::Push(told), out);
            return;
        }
        self.reply(
            &Reply::Push(match &message.pattern {
                None if message.topic == Topic::Shard => vec![text(b"smessage"), channel, payload],
                None => vec![text(b"message"), channel, payload],
                Some(pattern) => vec![text(b"pmessage"), text(pattern), channel, payload],
            }),
            out,
        );
    }

    /// The mailbox of this connection, made when it first subscribes.
    pub(super) fn mailbox(&mut self) -> Arc<Mailbox> {
        if let Some(mailbox) = &self.subscriptions.mailbox {
            return Arc::clone(mailbox);
        }
        let (mailbox, inbox) = mailbox(self.client.id, self.shared.options.output_limit);
        self.subscriptions.mailbox = Some(Arc::clone(&mailbox));
        self.subscriptions.inbox = Some(inbox);
        mailbox
    }

    /// Shows others how many commands wait for EXEC.
    pub(super) fn show_transaction(&self) {
        let (queued, bytes) = match &self.transaction {
            Some(open) => (i64::try_from(open.queue.len()).unwrap_or(i64::MAX), open.bytes),
            None => (-1, 0),
        };
        let live = &self.client.live;
        live.queued.store(queued, Ordering::Relaxed);
        live.queued_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Shows others what changed about this connection.
    pub(super) fn publish_state(&mut self) {
        self.client.channels = self.subscriptions.channels.len();
        self.client.patterns = self.subscriptions.patterns.len();
        self.client.shards = self.subscriptions.shards.len();
        self.client.monitor = !self.subscriptions.monitor.is_empty();
        self.client.mailbox.clone_from(&self.subscriptions.mailbox);
        self.shared.update(&self.client);
    }

    fn hang_up_http(&mut self) {
        if self.shared.counters.http.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!(
                peer = %self.client.peer,
                "closed a connection that speaks HTTP on the Redis port: a client with the wrong \
                 port, or a page that tries to reach the node through a browser"
            );
        }
        self.hang_up();
    }

    /// Ends the connection without another byte.
    pub(super) fn hang_up(&mut self) {
        self.hung_up = true;
        self.closing = true;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.shared.waiters.end(self.client.id, None);
        commands::leave_all(self);
        self.shared.tracking.set(self.client.id, None);
        self.shared.leave(self.client.id);
    }
}

impl Transaction {
    fn enqueue(&mut self, args: &[&[u8]], limit: usize) -> Reply {
        self.bytes += args.iter().map(|arg| arg.len() + 16).sum::<usize>();
        if self.bytes > limit {
            self.broken = true;
            self.queue.clear();
            return Reply::Error(format!("ERR a transaction may queue up to {limit} bytes"));
        }
        self.queue.push(args.iter().map(|arg| Box::from(*arg)).collect());
        Reply::Simple("QUEUED")
    }
}

/// Who does each command, in the order of their facts, and where its sub-commands are.
static HANDLERS: LazyLock<Vec<(Option<Handler>, Range<usize>)>> = LazyLock::new(|| {
    let session = |name: &str| SESSION_COMMANDS.iter().find(|command| command.name == name);
    let handler = |facts: &Facts| match (find(facts.name.as_bytes()), session(facts.name)) {
        (Some(command), _) => Some(Handler::Data(command)),
        (None, session) => session.map(Handler::Session),
    };
    facts::COMMANDS.iter().map(|row| (handler(row), facts::family(row.name))).collect()
});

pub(super) fn lookup(args: &[&[u8]]) -> Result<Found, Reply> {
    let name = args.first().copied().unwrap_or_default();
    let slot = facts::find(name).ok_or_else(|| unknown(args))?;
    let (Some(row), Some((Some(handler), below))) = (facts::COMMANDS.get(slot), HANDLERS.get(slot))
    else {
        return Err(unknown(args));
    };
    let found = Found { slot, facts: row, handler: *handler };
    let Some(given) = args.get(1).filter(|_| !below.is_empty()) else { return Ok(found) };
    let subs = facts::SUBCOMMANDS.get(below.clone()).unwrap_or_default();
    let own = |sub: &Facts| given.eq_ignore_ascii_case(facts::own_name(sub).as_bytes());
    let Some(at) = subs.iter().position(own) else {
        let (shown, family) = (quote(given, QUOTED), row.name.to_ascii_uppercase());
        return Err(error(&format!("ERR unknown subcommand '{shown}'. Try {family} HELP.")));
    };
    let slot = facts::COMMANDS.len() + below.start + at;
    Ok(Found { slot, facts: subs.get(at).unwrap_or(row), ..found })
}

/// Whether a command changes keys it does not name.
fn anywhere(command: &Command) -> bool {
    matches!(command.name, "swapdb" | "flushdb" | "flushall")
}

/// Whether a line is the start or a header of an HTTP request, as browsers can be made to send.
fn is_http(args: &[&[u8]]) -> bool {
    let name = args.first().copied().unwrap_or_default();
    name.eq_ignore_ascii_case(b"host:") || name.eq_ignore_ascii_case(b"post")
}

/// Arguments of a slow command, those that may be a secret hidden as Redis hides them.
fn without_secrets<'a>(name: &str, args: &[&'a [u8]]) -> Vec<&'a [u8]> {
    let secret = |at: usize| match name {
        "acl|setuser" => at >= 2,
        "config|set" => {
            let option = at.checked_sub(1).and_then(|before| args.get(before));
            at > 2 && option.is_some_and(|o| o.eq_ignore_ascii_case(b"requirepass"))
        }
        "migrate" => at >= 6,
        _ => false,
    };
    let shown = |(at, arg): (usize, &&'a [u8])| if secret(at) { &b"(redacted)"[..] } else { *arg };
    args.iter().enumerate().map(shown).collect()
}

/// Bytes as MONITOR shows them.
fn escape(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'\\' => shown += "\\\\",
            b'"' => shown += "\\\"",
            b'\n' => shown += "\\n",
            b'\r' => shown += "\\r",
            b'\t' => shown += "\\t",
            7 => shown += "\\a",
            8 => shown += "\\b",
            b' '..=b'~' => shown.push(char::from(*byte)),
            byte => shown += &format!("\\x{byte:02x}"),
        }
    }
    shown
}
