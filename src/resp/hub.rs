//! Channels and patterns: who hears what.
//!
//! A message is handed to each subscriber's mailbox without waiting. A mailbox is bounded in bytes;
//! one that overflows ends its connection, as Redis does, so that a slow reader harms only itself.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use ringwell_storage::keyspace::{Bytes, glob_matches};
use tokio::sync::{Notify, mpsc};

/// One published message on its way to one subscriber.
#[derive(Clone, Debug)]
pub struct Message {
    /// The pattern that matched, for pattern subscribers.
    pub pattern: Option<Bytes>,
    /// To whom it goes.
    pub topic: Topic,
    /// Where it was published.
    pub channel: Bytes,
    /// What was published.
    pub payload: Bytes,
}

impl Message {
    fn weight(&self) -> usize {
        self.channel.len() + self.payload.len() + 64
    }
}

/// Where a subscriber's messages wait.
#[derive(Debug)]
pub struct Mailbox {
    id: u64,
    queue: mpsc::UnboundedSender<Message>,
    /// Bytes waiting, and how many may.
    waiting: Arc<AtomicUsize>,
    limit: usize,
    overflow: Arc<Notify>,
}

/// The reading end of a mailbox.
#[derive(Debug)]
pub struct Inbox {
    queue: mpsc::UnboundedReceiver<Message>,
    waiting: Arc<AtomicUsize>,
    overflow: Arc<Notify>,
}

/// A mailbox of `limit` bytes for the subscriber of that number.
pub fn mailbox(id: u64, limit: usize) -> (Arc<Mailbox>, Inbox) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    let overflow = Arc::new(Notify::new());
    let inbox =
        Inbox { queue: receiver, waiting: Arc::clone(&waiting), overflow: Arc::clone(&overflow) };
    (Arc::new(Mailbox { id, queue: sender, waiting, limit, overflow }), inbox)
}

impl Mailbox {
    /// Puts a message in; false if it is full, and then its owner is told.
    pub(super) fn deliver(&self, message: Message) -> bool {
        let weight = message.weight();
        let before = self.waiting.fetch_add(weight, Ordering::AcqRel);
        if before + weight > self.limit {
            self.waiting.fetch_sub(weight, Ordering::AcqRel);
            self.overflow.notify_one();
            return false;
        }
        self.queue.send(message).is_ok()
    }
}

impl Inbox {
    /// The next message; `None` once the mailbox has overflowed.
    pub async fn next(&mut self) -> Option<Message> {
        let message = tokio::select! {
            biased;
            () = self.overflow.notified() => None,
            message = self.queue.recv() => message,
        };
        self.taken(message)
    }

    /// Returns once the mailbox has overflowed.
    pub async fn overflowed(&self) {
        self.overflow.notified().await;
    }

    /// A message that is already there.
    pub fn waiting(&mut self) -> Option<Message> {
        let message = self.queue.try_recv().ok();
        self.taken(message)
    }

    fn taken(&self, message: Option<Message>) -> Option<Message> {
        if let Some(message) = &message {
            self.waiting.fetch_sub(message.weight(), Ordering::AcqRel);
        }
        message
    }
}

type Subscribers = HashMap<u64, Arc<Mailbox>>;

/// Everybody's subscriptions.
#[derive(Debug, Default)]
pub struct Hub {
    registry: Mutex<Registry>,
    monitors: AtomicUsize,
    overhears: OnceLock<Overhearer>,
}

/// Is told every published message, without being a subscriber that anybody counts.
struct Overhearer(Box<Told>);

type Told = dyn Fn(&[u8], &[u8]) + Send + Sync;

impl std::fmt::Debug for Overhearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Overhearer")
    }
}

#[derive(Debug, Default)]
struct Registry {
    channels: HashMap<Bytes, Subscribers>,
    patterns: HashMap<Bytes, Subscribers>,
    shards: HashMap<Bytes, Subscribers>,
    monitors: HashMap<Bytes, Subscribers>,
}

/// What a subscription names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// One channel by its name.
    Channel,
    /// All channels whose names match.
    Pattern,
    /// One channel of the sharded kind by its name.
    Shard,
    /// Every command of every client; its name is empty.
    Monitor,
    /// No channel: a key that a tracking client read has changed.
    Invalidated,
    /// The same of all keys.
    Flushed,
    /// Who was to hear for a tracking client is gone; the payload is its number.
    Broken,
}

impl Registry {
    fn of(&mut self, topic: Topic) -> &mut HashMap<Bytes, Subscribers> {
        match topic {
            Topic::Channel => &mut self.channels,
            Topic::Pattern => &mut self.patterns,
            Topic::Shard => &mut self.shards,
            // Nobody subscribes to what follows tracking: it is sent straight to mailboxes.
            Topic::Monitor | Topic::Invalidated | Topic::Flushed | Topic::Broken => {
                &mut self.monitors
            }
        }
    }
}

impl Hub {
    /// Publishes a message; gives how many subscribers got it.
    pub fn publish(&self, channel: &[u8], payload: &[u8]) -> usize {
        if let Some(overhearer) = self.overhears.get() {
            (overhearer.0)(channel, payload);
        }
        let registry = self.lock();
        let direct = registry.channels.get(channel);
        let mut matching =
            registry.patterns.iter().filter(|(p, _)| glob_matches(p, channel)).peekable();
        if direct.is_none() && matching.peek().is_none() {
            return 0;
        }
        let (channel, payload) = (Bytes::from(channel), Bytes::from(payload));
        let message = |pattern: Option<&Bytes>| Message {
            pattern: pattern.cloned(),
            topic: if pattern.is_some() { Topic::Pattern } else { Topic::Channel },
            channel: Arc::clone(&channel),
            payload: Arc::clone(&payload),
        };
        let direct = direct.into_iter().flat_map(HashMap::values).map(|mailbox| (None, mailbox));
        let matched = matching.flat_map(|(p, s)| s.values().map(move |mailbox| (Some(p), mailbox)));
        direct
            .chain(matched)
            .filter(|(pattern, mailbox)| mailbox.deliver(message(*pattern)))
            .count()
    }

    /// From now on this function is told every message, channel first; it must not wait. The first
    /// one that is given stays.
    pub fn overhear(&self, told: impl Fn(&[u8], &[u8]) + Send + Sync + 'static) {
        self.overhears.get_or_init(|| Overhearer(Box::new(told)));
    }

    /// Whether a message on this channel would reach a subscriber.
    pub fn is_heard(&self, channel: &[u8]) -> bool {
        let registry = self.lock();
        registry.channels.contains_key(channel)
            || registry.patterns.keys().any(|pattern| glob_matches(pattern, channel))
    }

    /// Publishes to those who subscribed to this name of this topic and nobody else.
    pub fn publish_to(&self, topic: Topic, name: &[u8], payload: &[u8]) -> usize {
        let mut registry = self.lock();
        let Some(subscribers) = registry.of(topic).get(name) else { return 0 };
        let (channel, payload) = (Bytes::from(name), Bytes::from(payload));
        let deliver = |mailbox: &&Arc<Mailbox>| {
            let (channel, payload) = (Arc::clone(&channel), Arc::clone(&payload));
            mailbox.deliver(Message { pattern: None, topic, channel, payload })
        };
        subscribers.values().filter(deliver).count()
    }

    /// Whether somebody hears every command.
    pub fn monitored(&self) -> bool {
        self.monitors.load(Ordering::Relaxed) > 0
    }

    /// Adds a subscription.
    pub fn subscribe(&self, topic: Topic, name: &Bytes, mailbox: &Arc<Mailbox>) {
        let mut registry = self.lock();
        let subscribers = registry.of(topic).entry(Arc::clone(name)).or_default();
        subscribers.insert(mailbox.id, Arc::clone(mailbox));
        self.monitors.store(registry.monitors.len(), Ordering::Relaxed);
    }

    /// Takes a subscription away.
    pub fn unsubscribe(&self, topic: Topic, name: &[u8], mailbox: &Mailbox) {
        let mut registry = self.lock();
        let topics = registry.of(topic);
        if let Some(subscribers) = topics.get_mut(name) {
            subscribers.remove(&mailbox.id);
            if subscribers.is_empty() {
                topics.remove(name);
            }
        }
        self.monitors.store(registry.monitors.len(), Ordering::Relaxed);
    }

    /// Names of channels that somebody hears, those that match the pattern if there is one.
    pub fn channels(&self, topic: Topic, pattern: Option<&[u8]>) -> Vec<Bytes> {
        let mut registry = self.lock();
        let names = registry.of(topic).keys();
        names.filter(|name| pattern.is_none_or(|p| glob_matches(p, name))).cloned().collect()
    }

    /// How many hear a channel by its name.
    pub fn subscribers(&self, topic: Topic, channel: &[u8]) -> usize {
        self.lock().of(topic).get(channel).map_or(0, HashMap::len)
    }

    /// What the subscriber of that number hears, and whether each is a pattern.
    pub(super) fn heard_by(&self, id: u64) -> Vec<(Bytes, bool)> {
        let registry = self.lock();
        let own = |topics: &HashMap<Bytes, Subscribers>| {
            let heard = topics.iter().filter(|(_, subscribers)| subscribers.contains_key(&id));
            heard.map(|(name, _)| Arc::clone(name)).collect::<Vec<_>>()
        };
        let channels = [own(&registry.channels), own(&registry.shards)].concat();
        let channels = channels.into_iter().map(|name| (name, false));
        channels.chain(own(&registry.patterns).into_iter().map(|name| (name, true))).collect()
    }

    /// How many different patterns somebody hears.
    pub fn patterns(&self) -> usize {
        self.lock().patterns.len()
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        // Every change is one map operation, so a panic elsewhere leaves no half of one.
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Bytes {
        Bytes::from(text.as_bytes())
    }

    #[tokio::test]
    async fn messages_reach_channels_and_patterns_until_they_leave() {
        let hub = Hub::default();
        let (told, overheard) = std::sync::mpsc::channel();
        hub.overhear(move |channel, _| told.send(channel.to_vec()).unwrap());
        let (mailbox, mut inbox) = mailbox(1, 1 << 20);
        hub.subscribe(Topic::Channel, &name("a1"), &mailbox);
        hub.subscribe(Topic::Pattern, &name("a*"), &mailbox);
        assert_eq!(hub.publish(b"a1", b"x"), 2);
        assert_eq!(hub.publish(b"b", b"x"), 0);
        assert_eq!(overheard.try_iter().collect::<Vec<_>>(), [&b"a1"[..], b"b"]);
        assert!(hub.is_heard(b"a1") && hub.is_heard(b"a2") && !hub.is_heard(b"b"));
        let first = inbox.next().await.unwrap();
        let second = inbox.waiting().unwrap();
        assert_eq!((first.pattern, second.pattern), (None, Some(name("a*"))));
        hub.unsubscribe(Topic::Channel, b"a1", &mailbox);
        assert_eq!(
            (hub.publish(b"a1", b"x"), hub.channels(Topic::Channel, None).len(), hub.patterns()),
            (1, 0, 1)
        );
    }

    #[tokio::test]
    async fn a_full_mailbox_says_so() {
        let hub = Hub::default();
        let (mailbox, mut inbox) = mailbox(1, 200);
        hub.subscribe(Topic::Channel, &name("a"), &mailbox);
        assert_eq!(hub.publish(b"a", &[0; 100]), 1);
        assert_eq!(hub.publish(b"a", &[0; 100]), 0);
        assert!(inbox.next().await.is_none());
    }
}
