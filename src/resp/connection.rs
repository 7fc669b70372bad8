//! One connection's input and output.
//!
//! All complete requests of a read are answered in memory, then one wait for the log, then one
//! write: that is what makes pipelines cheap and keeps the promise that an answered write is as
//! safe as the sync mode says. While a client does not read its replies, nothing more of it is read.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;

use super::hub::{Inbox, Message};
use super::nudge;
use super::parse::Parser;
use super::session::{Blocked, Session};
use super::shared::Shared;
use super::waiting::Woken;
use super::write::write;
use crate::replication::{Conversation, Wanted};
use crate::wire::Wire;
use ringwell_storage::keyspace::Reply;

/// Input is read in pieces of at least so many bytes.
const READ: usize = 16 << 10;
/// Replies are sent at the latest when so many bytes wait, so that a long pipeline of large replies
/// holds little at a time.
const FLUSH: usize = 256 << 10;
/// So many small answers in a row, and a large buffer is given back.
const SMALL: u32 = 8;
/// Bytes that may wait for a client that is not let in.
const STRANGERS: usize = 1 << 10;
/// Of so many turns of a connection one asks last for what arrives.
const FAIR: u64 = 16;
/// Buffers larger than this are given back once they are empty.
const KEEP: usize = 1 << 20;

/// Serves one connection until either side ends it.
pub(super) async fn serve<S: Wire>(
    stream: S,
    (peer, local): (SocketAddr, SocketAddr),
    shared: Arc<Shared>,
    stop: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let client = shared.join(peer, local);
    let mut connection = Connection {
        stream,
        parser: Parser::new(shared.options.limits),
        session: Session::new(shared, client),
        input: Vec::new(),
        output: Vec::new(),
        holds: false,
        small: 0,
    };
    connection.run(stop).await
}

struct Connection<S> {
    stream: S,
    session: Session,
    parser: Parser,
    input: Vec<u8>,
    output: Vec<u8>,
    /// Whether it has buffers; one that is idle has none until something arrives.
    holds: bool,
    /// Answers in a row that needed no more than a small buffer.
    small: u32,
}

/// What a connection woke up for.
enum Event {
    Read(std::io::Result<usize>),
    Message(Option<Message>),
    Woken(Option<Woken>),
    Readable(std::io::Result<()>),
    Told(nudge::Wanted),
}

impl<S: Wire> Connection<S> {
    async fn run(&mut self, stop: watch::Receiver<bool>) -> std::io::Result<()> {
        let nudge = Arc::clone(&self.session.client.nudge);
        if *stop.borrow() {
            nudge.tell(nudge::Wanted::Stop);
        }
        for turn in 0_u64.. {
            let arrived = self.input.len();
            let holds = self.holds;
            if holds {
                self.input.reserve(self.parser.expects(arrived).max(READ));
            }
            let inbox = &mut self.session.subscriptions.inbox;
            let waits = self.session.blocked.is_some();
            // One that waits reads on only to see its client leave, and not without bound.
            let reads = !waits || arrived < KEEP;
            let arrival = arrival(&mut self.stream, &mut self.input, holds);
            let others = async {
                tokio::select! {
                    woken = woken(&mut self.session.blocked) => Event::Woken(woken),
                    wanted = nudge.wanted() => Event::Told(wanted),
                    message = next(inbox) => Event::Message(message),
                }
            };
            // What arrives is asked for first, since it is mostly that; but now and then last, so that who
            // always sends hears the others too.
            let event = if turn % FAIR == 0 {
                tokio::select! { biased; event = others => event, event = arrival, if reads => event }
            } else {
                tokio::select! { biased; event = arrival, if reads => event, event = others => event }
            };
            match event {
                Event::Read(read) => {
                    let read = read?;
                    if read == 0 {
                        return Ok(());
                    }
                    let counter = &self.session.shared.counters.bytes_in;
                    counter.fetch_add(read as u64, Ordering::Relaxed);
                    if !waits {
                        self.answer().await?;
                    }
                }
                Event::Message(Some(message)) => self.forward(&message),
                Event::Message(None) => return Err(self.too_slow()),
                Event::Woken(woken) => {
                    self.session.wake(woken, &mut self.output);
                    self.answer().await?;
                }
                Event::Readable(readable) => {
                    readable?;
                    self.holds = true;
                    continue;
                }
                Event::Told(nudge::Wanted::Rest) => {
                    self.rest();
                    continue;
                }
                Event::Told(nudge::Wanted::Stop) => return self.stream.shutdown().await,
                Event::Told(nudge::Wanted::End) => return Ok(()),
            }
            if self.session.hung_up {
                return Ok(());
            }
            self.flush().await?;
            if self.session.closing {
                return self.stream.shutdown().await;
            }
            if let Some(wanted) = self.session.follows.take() {
                return self.become_replica(wanted).await;
            }
        }
        Ok(())
    }

    /// Feeds a replica until either side ends it.
    async fn become_replica(&mut self, wanted: Wanted) -> std::io::Result<()> {
        let input = std::mem::take(&mut self.input);
        self.show_buffer();
        let client = &self.session.client;
        let conversation = Conversation {
            stream: &mut self.stream,
            input,
            peer: client.peer,
            handshake: self.session.handshake.clone(),
            wanted,
        };
        let nudge = Arc::clone(&client.nudge);
        let end = async move { while nudge.wanted().await == nudge::Wanted::Rest {} };
        conversation.run(Arc::clone(&self.session.shared.primary), end).await
    }

    /// Gives the buffers back, unless something has arrived since this was wanted.
    fn rest(&mut self) {
        if self.input.is_empty() {
            (self.input, self.output) = (Vec::new(), Vec::new());
            self.holds = false;
            self.show_buffer();
        }
    }

    /// Shows others how much is buffered.
    fn show_buffer(&self) {
        let live = &self.session.client.live;
        live.input.store(self.input.len(), Ordering::Relaxed);
        live.room.store(self.input.capacity() - self.input.len(), Ordering::Relaxed);
    }

    /// Gives a large buffer back when small ones have been enough for a while.
    fn shrink(&mut self, arrived: usize) {
        self.small = if arrived > READ { 0 } else { self.small + 1 };
        let large = self.input.capacity() > 2 * READ && self.small >= SMALL;
        if self.input.is_empty() && (large || self.input.capacity() > KEEP) {
            self.input = Vec::with_capacity(READ);
        }
    }

    /// Answers every complete request that has arrived.
    async fn answer(&mut self) -> std::io::Result<()> {
        let arrived = self.input.len();
        let now = self.session.shared.now();
        self.session.client.live.active.store(now, Ordering::Relaxed);
        self.show_buffer();
        self.session.ended = None;
        let takes = |session: &Session| {
            !session.closing && session.blocked.is_none() && session.follows.is_none()
        };
        while takes(&self.session) {
            self.parser.set_authenticated(self.session.is_known());
            match self.parser.advance(&self.input) {
                Ok(false) => break,
                Ok(true) => {
                    self.paused().await;
                    self.handle();
                }
                Err(error) => {
                    let counters = &self.session.shared.counters;
                    counters.protocol_errors.fetch_add(1, Ordering::Relaxed);
                    let reply = Reply::Error(format!("ERR {error}"));
                    write(&reply, self.session.protocol(), &mut self.output);
                    self.session.closing = true;
                }
            }
            if self.output.len() >= FLUSH && !self.session.hung_up {
                self.flush().await?;
                self.session.ended = None;
            }
        }
        let released = self.parser.release();
        self.input.drain(..released);
        self.shrink(arrived);
        self.show_buffer();
        Ok(())
    }

    /// Waits while CLIENT PAUSE holds the command at hand back.
    async fn paused(&mut self) {
        loop {
            let args = self.parser.arguments(&self.input);
            let name = args.into_iter().next().unwrap_or_default();
            let Some(left) = self.session.shared.held_back(name) else { return };
            tokio::time::sleep(left).await;
            self.session.ended = None;
        }
    }

    /// Hands the parser's request to the session; short ones without an allocation.
    fn handle(&mut self) {
        const SHORT: usize = 8;
        let args = self.parser.arguments(&self.input);
        let count = args.len();
        if count <= SHORT {
            let mut short = [&[][..]; SHORT];
            for (slot, arg) in short.iter_mut().zip(args) {
                *slot = arg;
            }
            self.session.handle(short.get(..count).unwrap_or_default(), &mut self.output);
        } else {
            let args: Vec<&[u8]> = args.collect();
            self.session.handle(&args, &mut self.output);
        }
    }

    /// Appends a published message and those that wait behind it.
    fn forward(&mut self, message: &Message) {
        self.session.push(message, &mut self.output);
        while self.output.len() < FLUSH {
            let inbox = self.session.subscriptions.inbox.as_mut();
            let Some(message) = inbox.and_then(Inbox::waiting) else { break };
            self.session.push(&message, &mut self.output);
        }
    }

    /// Counts a subscriber that fell too far behind; its connection ends with this.
    fn too_slow(&self) -> std::io::Error {
        self.session.shared.counters.slow_subscribers.fetch_add(1, Ordering::Relaxed);
        std::io::Error::other("the subscriber does not read its messages")
    }

    /// Sends at once what somebody is answered who did not say who it is. Whoever does not read it is not
    /// waited for.
    fn hurry_strangers(&mut self) -> std::io::Result<()> {
        if self.session.is_known() {
            return Ok(());
        }
        let sent = self.stream.send(&self.output)?;
        self.output.drain(..sent);
        match self.output.len() {
            0..=STRANGERS => Ok(()),
            _ => {
                Err(std::io::Error::other("a client that is not let in does not read its replies"))
            }
        }
    }

    /// Waits until what was written is safe, then sends the replies.
    async fn flush(&mut self) -> std::io::Result<()> {
        // Only an open store gives positions.
        if let Some(position) = self.session.take_written()
            && let shared = Arc::clone(&self.session.shared)
            && let Some(store) = shared.store()
        {
            if !store.is_written(position) {
                // Who else has something to say says it now, so that one write is for all.
                let_others_go().await;
            }
            if let Err(error) = store.wait(position, shared.options.ack).await {
                // The replies promise what is not so: the connection ends instead of sending them.
                tracing::error!(%error, "a write could not be made safe; closing its connection");
                self.output.clear();
                let reply = Reply::Error(format!("ERR {error}"));
                write(&reply, self.session.protocol(), &mut self.output);
                self.session.closing = true;
            }
        }
        if !self.output.is_empty() {
            self.hurry_strangers()?;
            let sent = match self.output.as_slice() {
                [] => 0,
                output => self.stream.send(output)?,
            };
            let rest = self.output.get(sent..).unwrap_or_default();
            if !rest.is_empty() || self.stream.holds() {
                let overflowed = overflowed(&self.session.subscriptions.inbox);
                let stream = &mut self.stream;
                let written = async {
                    stream.write_all(rest).await?;
                    stream.flush().await
                };
                tokio::select! {
                    written = written => written?,
                    // A client that does not read its replies does not read its messages either.
                    () = overflowed => return Err(self.too_slow()),
                }
            }
            let counter = &self.session.shared.counters.bytes_out;
            counter.fetch_add(self.output.len() as u64, Ordering::Relaxed);
            self.output.clear();
            if self.output.capacity() > KEEP {
                self.output = Vec::new();
            }
        }
        Ok(())
    }
}

/// Lets every connection go that has something to do. Unlike tokio's own way it does not ask the system first
/// who else has: that is a call for each round of requests.
async fn let_others_go() {
    let mut gone = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut gone, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Reads what arrives; without a buffer only waits for it.
async fn arrival<S: Wire>(stream: &mut S, input: &mut Vec<u8>, holds: bool) -> Event {
    if holds {
        Event::Read(stream.read_buf(input).await)
    } else {
        Event::Readable(stream.readable().await)
    }
}

/// What ends a wait, `None` when its time is over; without a wait this never returns.
async fn woken(blocked: &mut Option<Blocked>) -> Option<Woken> {
    let Some(blocked) = blocked else { return std::future::pending().await };
    let receiver = &mut blocked.woken;
    match blocked.deadline {
        None => receiver.await.ok(),
        Some(deadline) => tokio::time::timeout_at(deadline, receiver).await.ok()?.ok(),
    }
}

/// The next message of an inbox; without one this never returns.
async fn next(inbox: &mut Option<Inbox>) -> Option<Message> {
    match inbox {
        Some(inbox) => inbox.next().await,
        None => std::future::pending().await,
    }
}

/// Returns once an inbox has overflowed; without one never.
async fn overflowed(inbox: &Option<Inbox>) {
    match inbox {
        Some(inbox) => inbox.overflowed().await,
        None => std::future::pending().await,
    }
}
