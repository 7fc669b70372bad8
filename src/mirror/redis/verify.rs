//! Whether a target has what the node has: looked at all the time, some keys a second, and all at once when asked.
//!
//! A key that differs counts only where the target has moved past the moment at which the node had it so, and
//! the node has it still (`crate::compare`). It is set aside then, and so written whole.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Mirror;
use super::cursor::Cursor;
use crate::compare::{Comparison, Local, Outcome, Patience, Remote, Settle, What};
use crate::remote::client::{Client, Reply, Trouble, command};

/// A target that does not come along within this time is not compared now.
const BEHIND: Duration = Duration::from_secs(60);
const PATIENCE: Patience = Patience { believes: 3, looks: 8 };
/// Keys of a page where all are compared.
const PAGE: usize = 512;
/// After a comparison that broke off.
pub(super) const PAUSE: Duration = Duration::from_secs(5);

/// What is known of comparing.
#[derive(Debug, Default)]
pub(super) struct Verifying {
    pub(super) verified: AtomicU64,
    pub(super) mismatched: AtomicU64,
    pub(super) passes: AtomicU64,
    /// The comparison of all keys that was asked for last.
    asked: Mutex<Asked>,
}

/// A comparison of all keys.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// When it began, in milliseconds since 1970; 0 if none was asked for since the node was started.
    pub begun: i64,
    /// Whether it goes on.
    pub running: bool,
    /// Why it ended early.
    pub error: Option<String>,
    /// Keys compared so far, and how many of them are equal, different, or changed at every look.
    pub compared: u64,
    /// Equal ones.
    pub equal: u64,
    /// Different ones; they are written anew.
    pub different: u64,
    /// Those that could not be settled: changed at every look, or not readable.
    pub unsettled: u64,
    /// The first that are not equal, and how they differ.
    pub named: Vec<(Vec<u8>, &'static str)>,
}

pub(super) type Comparing = Comparison<Local, Remote, Passed>;

/// Waits until the target has moved past what the node has now, and is the one that was moved there.
pub(super) struct Passed {
    mirror: Arc<Mirror>,
    /// Asked for the cursor: the writer notices only when it has something to say that its target is gone, and
    /// another in its place, or one that came back from an old file, has not what was written.
    client: Option<Client>,
}

impl Settle for Passed {
    async fn settle(&mut self, _: u32) -> Result<(), Trouble> {
        let offset = self.mirror.store.stream().map_or(0, |stream| stream.offset);
        let deadline = Instant::now() + BEHIND;
        while !self.mirror.is_past(offset) || !self.is_known().await? {
            if Instant::now() > deadline {
                return Err(Trouble::Busy("the target is behind".to_owned()));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

impl Passed {
    /// Whether the target's cursor is where the writer has last moved it, or further.
    async fn is_known(&mut self) -> Result<bool, Trouble> {
        let options = &self.mirror.options;
        let moved = Cursor::read(&self.mirror.state.lock_last());
        let client = match &mut self.client {
            Some(client) => client,
            none => none.insert(Client::connect(&options.target, options.db).await?),
        };
        let mut request = Vec::new();
        command(&mut request, &[b"GET", &Cursor::key(&options.name)]);
        let replies = client.call(&request, 1).await?;
        if let Some(trouble) = replies.iter().find_map(Reply::trouble) {
            return Err(trouble);
        }
        let Some(Reply::Bulk(Some(text))) = replies.first() else { return Ok(false) };
        let there = Cursor::read(text);
        let offset = |cursor: &Cursor| cursor.place.map(|(_, offset)| offset);
        Ok(there.epoch == moved.epoch && moved.place.is_some() && offset(&there) >= offset(&moved))
    }
}

impl Mirror {
    /// Compares some keys a second, for ever.
    pub(super) async fn verify(self: &Arc<Self>) {
        let rate = self.options.verify as usize;
        if rate == 0 {
            return std::future::pending().await;
        }
        let mut said = String::new();
        loop {
            tokio::time::sleep(PAUSE).await;
            let Err(trouble) = self.verify_slowly(rate).await else { continue };
            let text = trouble.to_string();
            // What breaks the link is said by the one that writes.
            if matches!(trouble, Trouble::Stop(_)) && text != said {
                tracing::warn!(mirror = self.options.name, trouble = text, "keys are not compared");
                said = text;
            }
        }
    }

    /// All keys once, so many a second.
    async fn verify_slowly(self: &Arc<Self>, rate: usize) -> Result<(), Trouble> {
        let mut comparison = self.comparison().await?;
        for forward in [true, false] {
            let mut cursor = 0;
            loop {
                let mut outcome = Outcome::default();
                let began = Instant::now();
                cursor = step(&mut comparison, forward, cursor, rate, &mut outcome).await?;
                self.found(&outcome);
                // A page may be larger than what was asked for.
                let seconds = (outcome.compared as f64 / rate as f64).max(1.0);
                let (due, took) = (Duration::from_secs_f64(seconds), began.elapsed());
                // Large values take long: no more than half of the time is spent on them.
                tokio::time::sleep(due.saturating_sub(took).max(took)).await;
                if cursor == 0 {
                    break;
                }
            }
        }
        self.state.verifying.passes.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Begins to compare all keys, unless that goes on already; see [`Mirror::asked`].
    pub fn verify_all(self: &Arc<Self>) {
        {
            let mut asked = self.lock_asked();
            if asked.running {
                return;
            }
            *asked = Asked { begun: crate::clock::now_ms(), running: true, ..Asked::default() };
        }
        let mirror = Arc::clone(self);
        tokio::spawn(async move {
            let done = mirror.compare_all().await;
            let mut asked = mirror.lock_asked();
            asked.running = false;
            asked.error = done.err().map(|trouble| trouble.to_string());
        });
    }

    /// The comparison of all keys that was asked for last.
    pub fn asked(&self) -> Asked {
        self.lock_asked().clone()
    }

    async fn compare_all(self: &Arc<Self>) -> Result<(), Trouble> {
        let mut comparison = self.comparison().await?;
        for forward in [true, false] {
            let mut cursor = 0;
            loop {
                let mut outcome = Outcome::default();
                cursor = step(&mut comparison, forward, cursor, PAGE, &mut outcome).await?;
                self.found(&outcome);
                let mut asked = self.lock_asked();
                asked.compared += outcome.compared;
                asked.equal += outcome.equal;
                asked.different += outcome.different;
                asked.unsettled += outcome.changing + outcome.unread;
                let room = 100_usize.saturating_sub(asked.named.len());
                let named = outcome.named.into_iter().take(room);
                asked.named.extend(named.map(|(key, what)| (key, what.words())));
                if cursor == 0 {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Counts, and sets aside what differs.
    pub(super) fn found(&self, outcome: &Outcome) {
        let state = &self.state;
        state.verifying.verified.fetch_add(outcome.compared, Ordering::Relaxed);
        state.verifying.mismatched.fetch_add(outcome.different, Ordering::Relaxed);
        for (key, what) in &outcome.named {
            if matches!(what, What::Changing | What::Unread(_)) {
                continue;
            }
            let name = String::from_utf8_lossy(key);
            let mirror = &self.options.name;
            tracing::error!(mirror, key = %name, "a key of the target differs ({}): it is written whole", what.words());
            state.aside.add(key, what.words());
        }
    }

    pub(super) async fn comparison(self: &Arc<Self>) -> Result<Comparing, Trouble> {
        let options = &self.options;
        let client = Client::connect(&options.target, options.db).await?;
        let (keys, series) = (options.keys.clone(), Arc::clone(&self.state.series));
        // What series made is not the node's own.
        let here =
            move |key: &[u8]| keys.here(key).filter(|key| !series.owns(key)).map(<[u8]>::to_vec);
        let prefix = options.keys.prefix.clone().into_bytes();
        let keys = options.keys.clone();
        let belongs = move |key: &[u8]| keys.has(key);
        let first = Local {
            store: Arc::clone(&self.store),
            db: options.from_db,
            belongs: Arc::new(belongs),
            grace: i64::try_from(options.grace.as_millis()).unwrap_or(i64::MAX),
        };
        let second = Remote::of(client, prefix, Arc::new(here));
        let settle = Passed { mirror: Arc::clone(self), client: None };
        Ok(Comparison::new(first, second, settle, PATIENCE))
    }

    /// Whether the writer has moved its target past an offset, as far as it knows.
    fn is_past(&self, offset: u64) -> bool {
        let state = &self.state;
        let done = state.done.load(Ordering::Relaxed) >= offset;
        done && !state.rebuilding.load(Ordering::Relaxed) && state.up.load(Ordering::Relaxed)
    }

    fn lock_asked(&self) -> std::sync::MutexGuard<'_, Asked> {
        self.state.verifying.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn step(
    comparison: &mut Comparing,
    forward: bool,
    cursor: u64,
    count: usize,
    outcome: &mut Outcome,
) -> Result<u64, Trouble> {
    let next = match forward {
        true => comparison.forward(cursor, count, outcome).await?,
        false => comparison.backward(cursor, count, outcome).await?,
    };
    comparison.finish(outcome).await?;
    Ok(next)
}

impl What {
    /// What is wrong with a key of a target.
    pub(super) fn words(&self) -> &'static str {
        match self {
            What::OnlyFirst => "it is not in the target",
            What::OnlySecond => "it is only in the target",
            What::Value => "the target has another value",
            What::Expiry => "it expires at another time",
            What::Changing => "it was changed at every look",
            What::Unread(_) => "it could not be read",
        }
    }
}
