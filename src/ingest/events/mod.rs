//! Events: messages that agents publish become the lists, hashes, sets and counters of the agents'
//! seed, without any code of theirs. `docs/events.md` says it for people.
//!
//! The node overhears its own channels, and may listen to an outside Redis. Messages wait in one
//! bounded queue; one task takes them in order, so that what is read back and written again (the
//! balance of load) is consistent, and writes through [`Inside`]: the log and the keymap see
//! ordinary commands. A message that makes no sense is counted and changes nothing. `writes` says
//! what a message means, `balance` and `dashboard` compute from keys, `script` spells values as
//! the seed's language does, `outside` listens to the other Redis.

mod balance;
mod dashboard;
mod outside;
mod script;
#[cfg(test)]
mod tests;
mod writes;

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ringwell_storage::keyspace::Reply;
use tokio::sync::mpsc;

use crate::clock;
use crate::inside::{Heard, Inside};
use crate::metrics::{Counter, Families, Kind};
use crate::remote::Source;
use crate::shutdown::Shutdown;

use writes::{Command, Meant, meaning};

/// Channels that mean something begin like this.
const EVENTS: &[u8] = b"events:";
/// So many messages are taken before what they imply together is computed.
const BATCH: usize = 256;

/// How events are treated.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which messages of the node's own channels become keys.
    pub derive: Derive,
    /// Bytes of messages that may wait.
    pub queue: usize,
    /// How often the dashboard's message is published; `None` = never.
    pub dashboard: Option<Duration>,
    /// The dashboard's project; empty = the one that was heard of last.
    pub project: String,
    /// Another Redis to listen to.
    pub outside: Option<Source>,
}

/// Which messages become keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Derive {
    /// All.
    Always,
    /// Those on channels that nobody else subscribed to by name: a subscriber writes for itself.
    Unheard,
    /// None.
    Off,
}

/// What is counted.
#[derive(Debug, Default)]
pub struct Counters {
    /// Messages that became keys.
    pub taken: Counter,
    /// Messages on known channels that make no sense.
    pub bad: Counter,
    /// Messages lost because too many waited.
    pub lost: Counter,
    /// Commands that the keyspace refused, as for a key of another type.
    pub refused: Counter,
    /// Messages left to those who subscribed.
    pub left: Counter,
    /// Dashboard messages published.
    pub dashboards: Counter,
    /// Connections to the outside Redis that were made.
    pub connections: Counter,
}

impl Counters {
    /// Its families.
    pub fn gather(&self, out: &mut Families) {
        let help = "Published events, by what became of them.";
        let family = out.family("ringwell_events_total", Kind::Counter, help);
        for (outcome, counter) in
            [("taken", &self.taken), ("bad", &self.bad), ("lost", &self.lost), ("left", &self.left)]
        {
            family.sample(&[("outcome", outcome)], counter.get());
        }
        for (name, help, counter) in [
            (
                "ringwell_events_refused_writes_total",
                "Commands derived from events that the keyspace refused.",
                &self.refused,
            ),
            (
                "ringwell_events_dashboards_total",
                "Messages published on events:dashboard:update.",
                &self.dashboards,
            ),
            (
                "ringwell_events_outside_connections_total",
                "Connections made to the outside Redis whose events are heard.",
                &self.connections,
            ),
        ] {
            out.counter(name, help, counter.get());
        }
    }
}

/// Messages on their way, bounded in bytes.
#[derive(Debug)]
struct Queue {
    sender: mpsc::UnboundedSender<Heard>,
    waiting: AtomicUsize,
    limit: usize,
    counters: Arc<Counters>,
}

impl Queue {
    fn put(&self, channel: &[u8], message: &[u8]) {
        let weight = weight(channel, message);
        if self.waiting.fetch_add(weight, Ordering::AcqRel) + weight > self.limit {
            self.waiting.fetch_sub(weight, Ordering::AcqRel);
            self.counters.lost.add(1);
            return;
        }
        // Without a receiver the node stops, and nobody waits for what a message would mean.
        let (channel, message) = (channel.to_vec(), message.to_vec());
        let _ = self.sender.send(Heard { pattern: None, channel, message });
    }
}

fn weight(channel: &[u8], message: &[u8]) -> usize {
    channel.len() + message.len() + 64
}

/// Turns events into keys.
pub struct Events {
    inside: Arc<dyn Inside>,
    options: Options,
    queue: Arc<Queue>,
    counters: Arc<Counters>,
    /// Channels whose other subscribers were told of once.
    warned: Mutex<HashSet<Vec<u8>>>,
}

/// The reading end of the queue.
pub struct Waiting(mpsc::UnboundedReceiver<Heard>);

impl Events {
    /// Takes part in the node's channels through `inside`.
    pub fn new(inside: Arc<dyn Inside>, options: Options) -> (Arc<Events>, Waiting) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let counters = Arc::<Counters>::default();
        let queue = Arc::new(Queue {
            sender,
            waiting: AtomicUsize::new(0),
            limit: options.queue,
            counters: Arc::clone(&counters),
        });
        let events = Events { inside, options, queue, counters, warned: Mutex::default() };
        (Arc::new(events), Waiting(receiver))
    }

    /// What is counted.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Hears a message of the node's own channels; never waits.
    pub fn overhear(&self, channel: &[u8], message: &[u8]) {
        if self.options.derive != Derive::Off && is_event(channel) {
            self.queue.put(channel, message);
        }
    }

    /// Works until the stop.
    pub async fn run(self: Arc<Events>, mut waiting: Waiting, shutdown: Shutdown) {
        if let Some(source) = &self.options.outside {
            let listening = outside::listen(source.clone(), Arc::clone(&self.queue));
            let shutdown = shutdown.clone();
            tokio::spawn(async move {
                tokio::select! {
                    () = listening => {}
                    () = shutdown.raised() => {}
                }
            });
        }
        let mut project = None;
        // Where it is off the timer is never looked at.
        let every = self.options.dashboard.unwrap_or(Duration::from_secs(5));
        let mut dashboard = tokio::time::interval(every);
        dashboard.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                () = shutdown.raised() => return,
                taken = waiting.0.recv_many(&mut batch, BATCH) => {
                    if taken == 0 {
                        return;
                    }
                    self.take(batch.drain(..), &mut project);
                }
                _ = dashboard.tick(), if self.options.dashboard.is_some() => {
                    self.publish_dashboard(project.as_deref());
                }
            }
        }
    }

    /// Takes messages in order; then computes what they imply together.
    fn take(&self, batch: impl Iterator<Item = Heard>, project: &mut Option<String>) {
        let mut balance = false;
        for heard in batch {
            let bytes = weight(&heard.channel, &heard.message);
            self.queue.waiting.fetch_sub(bytes, Ordering::AcqRel);
            if self.is_left(&heard.channel) {
                self.counters.left.add(1);
                continue;
            }
            let Some(Meant { commands, project: of, balance: moves }) =
                meaning(&heard.channel, &heard.message)
            else {
                self.counters.bad.add(1);
                continue;
            };
            commands.iter().for_each(|command| self.write(command));
            self.counters.taken.add(1);
            balance |= moves;
            if of.is_some() {
                *project = of;
            }
        }
        if balance {
            balance::of_load(&*self.inside).iter().for_each(|command| self.write(command));
        }
    }

    fn write(&self, command: &Command) {
        let args: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
        if let Reply::Error(error) = self.inside.call(&args).reply {
            self.counters.refused.add(1);
            let key = args.get(1).map(|key| String::from_utf8_lossy(key).into_owned());
            tracing::debug!(key, error, "what an event means could not be written");
        }
    }

    /// Whether an event is another's to write. Says once per channel that somebody may write twice.
    fn is_left(&self, channel: &[u8]) -> bool {
        if self.inside.subscribers(channel) == 0 {
            return false;
        }
        if self.options.derive == Derive::Unheard {
            return true;
        }
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        // The known channels are few, those of errors are not.
        if warned.len() < 100 && warned.insert(channel.to_vec()) {
            let channel = String::from_utf8_lossy(channel);
            tracing::info!(
                %channel,
                "events of this channel become keys here, and somebody else subscribed to it too; if \
                 they write the same keys, set events.derive to unheard"
            );
        }
        false
    }

    fn publish_dashboard(&self, heard: Option<&str>) {
        if !self.inside.is_heard(dashboard::CHANNEL) {
            return;
        }
        let project = match self.options.project.as_str() {
            "" => heard.unwrap_or("proj-1"),
            project => project,
        };
        let message = dashboard::message(&*self.inside, project, clock::now_ms());
        self.inside.publish(dashboard::CHANNEL, message.as_bytes());
        self.counters.dashboards.add(1);
    }
}

/// Whether messages on a channel mean anything.
fn is_event(channel: &[u8]) -> bool {
    channel.starts_with(EVENTS) && writes::is_known(channel)
}
