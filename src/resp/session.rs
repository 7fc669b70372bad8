//! One connection's state, and the way of a command through it.
//!
//! The order of checks is Redis's: does the command exist, has it the right number of arguments, is
//! the sender known, may it be called while subscribed, is it queued; then it runs.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ringwell_storage::keyspace::command::{COMMANDS, find, unknown};
use ringwell_storage::keyspace::{Bytes, Entry, Reply, Request};
use ringwell_storage::model::WalPosition;

use super::commands::{self, SESSION_COMMANDS, SessionCommand};
use super::hub::{Inbox, Mailbox, Message, Topic, mailbox};
use super::shared::{Client, Shared};
use super::write::{Protocol, write};

/// Databases a connection can select.
pub(super) const DATABASES: i64 = ringwell_storage::keyspace::DATABASES as i64;

/// One connection.
pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) client: Client,
    pub(super) authenticated: bool,
    pub(super) transaction: Option<Transaction>,
    /// Keys that must not change before EXEC.
    pub(super) watched: Vec<Watched>,
    pub(super) subscriptions: Subscriptions,
    /// Set when the connection ends after what is already written.
    pub(super) closing: bool,
    /// Set when it ends without another byte.
    pub(super) hung_up: bool,
    /// Where the log ends for all commands since it was last taken.
    written: Option<WalPosition>,
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
    pub(super) mailbox: Option<Arc<Mailbox>>,
    pub(super) inbox: Option<Inbox>,
}

impl Subscriptions {
    pub(super) fn count(&self) -> usize {
        self.channels.len() + self.patterns.len()
    }

    pub(super) fn names(&mut self, topic: Topic) -> &mut HashSet<Bytes> {
        match topic {
            Topic::Channel => &mut self.channels,
            Topic::Pattern => &mut self.patterns,
        }
    }
}

/// A command found in one of the two tables, with its place there.
#[derive(Clone, Copy)]
enum Found {
    Data(usize, &'static ringwell_storage::keyspace::command::Command),
    Session(usize, &'static SessionCommand),
}

impl Session {
    pub(super) fn new(shared: Arc<Shared>, client: Client) -> Session {
        let authenticated = shared.options.secret.is_none();
        Session {
            shared,
            client,
            authenticated,
            transaction: None,
            watched: Vec::new(),
            subscriptions: Subscriptions::default(),
            closing: false,
            hung_up: false,
            written: None,
        }
    }

    pub(super) fn protocol(&self) -> Protocol {
        self.client.protocol
    }

    /// Appends a reply in the connection's protocol.
    pub(super) fn reply(&self, reply: &Reply, out: &mut Vec<u8>) {
        if matches!(reply, Reply::Error(_)) {
            self.shared.counters.errors.fetch_add(1, Ordering::Relaxed);
        }
        write(reply, self.protocol(), out);
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
        match self.admit(args) {
            Err(refusal) => {
                let refusal = self.break_transaction(args, refusal);
                self.reply(&refusal, out);
            }
            Ok(found) => {
                let at_once = matches!(found, Found::Session(_, command) if command.at_once);
                match &mut self.transaction {
                    Some(transaction) if !at_once => {
                        let reply = transaction.enqueue(args, self.shared.options.limits.bulk);
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
        let name = args.first().copied().unwrap_or_default();
        let found = lookup(name).ok_or_else(|| unknown(args))?;
        if let Found::Session(_, command) = found {
            command.check_subcommand(args)?;
        }
        let (name, takes) = match found {
            Found::Data(_, command) => (command.name, command.takes(args.len())),
            Found::Session(_, command) => (command.name, command.takes(args.len())),
        };
        if !takes {
            return Err(commands::wrong_arity(name));
        }
        let open = matches!(found, Found::Session(_, command) if command.before_auth);
        if !self.authenticated && !open {
            return Err(Reply::Error("NOAUTH Authentication required.".into()));
        }
        let listening = self.protocol() == Protocol::Resp2 && self.subscriptions.count() > 0;
        if listening && !matches!(found, Found::Session(_, command) if command.while_subscribed) {
            return Err(Reply::Error(format!(
                "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / \
                 RESET are allowed in this context"
            )));
        }
        Ok(found)
    }

    fn run(&mut self, found: Found, args: &[&[u8]], out: &mut Vec<u8>) {
        match found {
            Found::Data(index, _) => {
                self.shared.counters.called_data(index);
                let reply = self.data(args);
                self.reply(&reply, out);
            }
            Found::Session(index, command) => {
                self.shared.counters.called_session(index);
                if let Some(reply) = (command.run)(self, args, out) {
                    self.reply(&reply, out);
                }
            }
        }
    }

    /// Runs a data command in the store, beside those of other connections but not inside anybody's
    /// transaction.
    fn data(&mut self, args: &[&[u8]]) -> Reply {
        let shared = Arc::clone(&self.shared);
        let in_transaction = self.transaction.is_some();
        // The lock guards no data, so a panic under it left nothing half done.
        let _beside = (!in_transaction).then(|| shared.exclusive.read());
        let request = Request { db: self.client.db, args };
        let executed = shared.store.execute(&request, shared.now(), &*shared.keymap);
        if executed.derived_refused > 0 {
            let counter = &shared.counters.derived_refused;
            counter.fetch_add(executed.derived_refused, Ordering::Relaxed);
        }
        self.written = self.written.max(executed.position);
        executed.reply
    }

    /// Appends a published message.
    pub(super) fn push(&self, message: &Message, out: &mut Vec<u8>) {
        let text = |bytes: &[u8]| Reply::bulk(bytes);
        let (channel, payload) = (text(&message.channel), text(&message.payload));
        self.reply(
            &Reply::Push(match &message.pattern {
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

    /// Shows others what changed about this connection.
    pub(super) fn publish_state(&mut self) {
        self.client.channels = self.subscriptions.channels.len();
        self.client.patterns = self.subscriptions.patterns.len();
        self.client.queued = self.transaction.as_ref().map(|t| t.queue.len());
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
        commands::leave_all(self);
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

fn lookup(name: &[u8]) -> Option<Found> {
    if let Some(command) = find(name) {
        let index = COMMANDS.partition_point(|c| c.name < command.name);
        return Some(Found::Data(index, command));
    }
    let index =
        SESSION_COMMANDS.iter().position(|c| name.eq_ignore_ascii_case(c.name.as_bytes()))?;
    SESSION_COMMANDS.get(index).map(|command| Found::Session(index, command))
}

/// Whether a line is the start or a header of an HTTP request, as browsers can be made to send.
fn is_http(args: &[&[u8]]) -> bool {
    let name = args.first().copied().unwrap_or_default();
    name.eq_ignore_ascii_case(b"host:") || name.eq_ignore_ascii_case(b"post")
}
