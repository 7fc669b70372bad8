//! Tools for channels. A subscription outlives the call that made it: it is a handle whose messages
//! wait until they are read. One that is not read for a while is closed.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use rmcp::model::JsonObject;
use tokio::time::{Instant, timeout_at};

use super::Tools;
use super::arguments::Arguments;
use super::tool::{Gives, Kind, Outcome, Run, Tool, may, must, text};
use super::value::Given;
use crate::inside::{Ear, Heard, Inside};

/// Subscriptions at one time.
const MOST: usize = 50;
/// One that nobody read for so long may be closed.
const STALE: Duration = Duration::from_secs(300);

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "publish",
        about: "Publish a message to a channel. Messages on events:training:progress, events:tasks:updates, \
                events:agents:status and events:errors:* also become keys and time series.",
        takes: &[must("channel", Kind::Text), must("message", Kind::Text)],
        gives: Gives::Text,
        run: Run::Later(publish),
    },
    Tool {
        name: "subscribe",
        about: "Subscribe to a channel; returns a subscription_id for read_messages.",
        takes: &[must("channel", Kind::Text)],
        gives: Gives::Dict,
        run: Run::Later(|tools, args| subscribe(&tools, &args, "channel")),
    },
    Tool {
        name: "psubscribe",
        about: "Subscribe to all channels that match a pattern; returns a subscription_id for read_messages.",
        takes: &[must("pattern", Kind::Text)],
        gives: Gives::Dict,
        run: Run::Later(|tools, args| subscribe(&tools, &args, "pattern")),
    },
    Tool {
        name: "read_messages",
        about: "Read what a subscription has heard: waits up to timeout_ms (at most 5000) for up to \
                max_messages (at most 100).",
        takes: &[
            must("subscription_id", Kind::Text),
            may("timeout_ms", Kind::Whole, "1000"),
            may("max_messages", Kind::Whole, "10"),
        ],
        gives: Gives::Dict,
        run: Run::Later(read),
    },
    Tool {
        name: "unsubscribe",
        about: "Close a subscription.",
        takes: &[must("subscription_id", Kind::Text)],
        gives: Gives::Dict,
        run: Run::Later(unsubscribe),
    },
];

/// All subscriptions of agents.
#[derive(Default)]
pub(super) struct Subscriptions(Mutex<HashMap<String, Arc<Subscription>>>);

struct Subscription {
    mode: &'static str,
    target: String,
    ear: tokio::sync::Mutex<Box<dyn Ear>>,
    read: Mutex<Instant>,
}

impl Subscriptions {
    /// Adds one; `None` if there are too many.
    fn add(&self, inside: &dyn Inside, mode: &'static str, target: &str) -> Option<String> {
        let mut all = self.lock();
        all.retain(|_, subscription| subscription.read().elapsed() <= STALE);
        if all.len() >= MOST {
            return None;
        }
        let ear = inside.subscribe(target.as_bytes(), mode == "pattern");
        let id = random_id();
        let subscription = Subscription {
            mode,
            target: target.to_owned(),
            ear: tokio::sync::Mutex::new(ear),
            read: Mutex::new(Instant::now()),
        };
        all.insert(id.clone(), Arc::new(subscription));
        Some(id)
    }

    fn get(&self, id: &str) -> Option<Arc<Subscription>> {
        self.lock().get(id).cloned()
    }

    fn take(&self, id: &str) -> Option<Arc<Subscription>> {
        self.lock().remove(id)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Subscription>>> {
        // Every change is one map operation, so a panic elsewhere leaves no half of one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscription {
    fn read(&self) -> MutexGuard<'_, Instant> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As the calls that make and close it show it.
    fn shown(&self, id: &str) -> Given {
        Given::dict([
            ("status", Given::text("success")),
            ("subscription_id", Given::text(id)),
            ("mode", Given::text(self.mode)),
            ("targets", Given::texts(vec![self.target.clone()])),
        ])
    }
}

/// Thirty-two digits that nobody guesses by counting.
fn random_id() -> String {
    let part = |salt: u8| RandomState::new().hash_one(salt);
    format!("{:016x}{:016x}", part(0), part(1))
}

fn publish(tools: Arc<Tools>, args: JsonObject) -> BoxFuture<'static, Outcome> {
    Box::pin(async move {
        let args = Arguments::unchecked(&args);
        let channel = args.text("channel");
        tools.inside.publish(channel.as_bytes(), args.text("message").as_bytes());
        text(format!("Message published to channel '{channel}'."))
    })
}

fn subscribe(tools: &Tools, args: &JsonObject, mode: &'static str) -> BoxFuture<'static, Outcome> {
    let target = Arguments::unchecked(args).text(mode);
    let id = tools.subscriptions.add(&*tools.inside, mode, target);
    let shown = id.and_then(|id| Some(tools.subscriptions.get(&id)?.shown(&id)));
    let outcome = shown.unwrap_or_else(|| {
        let full = "Too many active subscriptions. Close unused subscriptions and try again.";
        error(full.to_owned())
    });
    Box::pin(async move { Ok(outcome.into()) })
}

fn read(tools: Arc<Tools>, args: JsonObject) -> BoxFuture<'static, Outcome> {
    Box::pin(async move {
        let args = Arguments::unchecked(&args);
        let id = args.text("subscription_id");
        let (wait, most) = (args.whole("timeout_ms", 1000), args.whole("max_messages", 10));
        let wrong = match (wait, most) {
            (i64::MIN..0, _) => "timeout_ms must be greater than or equal to 0",
            (5001.., _) => "timeout_ms must be less than or equal to 5000",
            (_, i64::MIN..1) => "max_messages must be greater than 0",
            (_, 101..) => "max_messages must be less than or equal to 100",
            _ => "",
        };
        if !wrong.is_empty() {
            return Ok(error(wrong.to_owned()).into());
        }
        let Some(subscription) = tools.subscriptions.get(id) else { return Ok(unknown(id)) };
        let deadline = Instant::now() + Duration::from_millis(wait.unsigned_abs());
        let mut ear = subscription.ear.lock().await;
        *subscription.read() = Instant::now();
        let mut messages = Vec::new();
        while (messages.len() as i64) < most {
            match timeout_at(deadline, ear.next()).await {
                Ok(Some(heard)) => messages.push(shown(heard)),
                // More came than may wait: the handle is of no use any more.
                Ok(None) => {
                    tools.subscriptions.take(id);
                    break;
                }
                Err(_) => break,
            }
        }
        let count = i64::try_from(messages.len()).unwrap_or(i64::MAX);
        Ok(Given::dict([
            ("subscription_id", Given::text(id)),
            ("message_count", Given::Number(count)),
            ("messages", Given::List(messages)),
        ])
        .into())
    })
}

fn shown(heard: Heard) -> Given {
    let text = |bytes: Vec<u8>| Given::text(String::from_utf8_lossy(&bytes));
    Given::dict([
        ("type", Given::text(if heard.pattern.is_some() { "pmessage" } else { "message" })),
        ("pattern", heard.pattern.map_or(Given::Null, text)),
        ("channel", text(heard.channel)),
        ("data", text(heard.message)),
    ])
}

fn unsubscribe(tools: Arc<Tools>, args: JsonObject) -> BoxFuture<'static, Outcome> {
    Box::pin(async move {
        let id = Arguments::unchecked(&args).text("subscription_id");
        match tools.subscriptions.take(id) {
            Some(subscription) => Ok(subscription.shown(id).into()),
            None => Ok(unknown(id)),
        }
    })
}

fn unknown(id: &str) -> super::tool::Done {
    error(format!("Subscription '{id}' was not found")).into()
}

fn error(error: String) -> Given {
    Given::dict([("error", Given::Text(error))])
}
