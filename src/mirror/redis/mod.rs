//! Keys pushed to a Redis: exactly what the node has, through cuts and restarts on either side.
//!
//! The stream that replicas are fed (`ringwell_storage::feed`) is read from the log, cut into batches
//! (`batch`), and each batch is one transaction in the target which moves the mirror's cursor too. The
//! cursor lives there and nowhere else: what the target forgets, as after coming back from an old RDB
//! file, is simply sent again. A batch is applied only if the cursor is as this writer left it (WATCH),
//! so a connection that hung and is late changes nothing. Where the log does not reach back to the cursor,
//! or the target cannot be brought along by commands, all keys are written anew (`rebuild`).

mod aside;
mod batch;
mod commit;
mod cursor;
mod doubt;
mod heal;
mod rebuild;
mod series;
mod verify;
mod writer;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ringwell_storage::store::Store;

use crate::ingest::keymap::Keymap;
use crate::metrics::{Families, Kind};
use crate::remote::Source;
use crate::remote::client::Trouble;
use aside::Aside;
use cursor::Cursor;
use verify::Verifying;

pub use batch::Keys;
pub use series::{Rule, Written};

/// Names of series lag samples that are remembered: an hour of them.
const MARKS: usize = 3600;
/// Pauses after a failure: the first, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
/// After what only somebody can put right it is tried again so late.
const STOPPED: Duration = Duration::from_secs(30);

/// One target.
#[derive(Clone, Debug)]
pub struct Options {
    /// How it is called; the cursor's name has it.
    pub name: String,
    /// Where it is, and what it is told first.
    pub target: Source,
    /// The database there.
    pub db: u8,
    /// The database here.
    pub from_db: u8,
    /// Which keys, and what they are called there.
    pub keys: Keys,
    /// Keys that expire do so there so much later by themselves; the node deletes them in time.
    pub grace: Duration,
    /// Keys that are compared a second, all the time; 0 compares none.
    pub verify: u32,
    /// Which series are pushed, and as what.
    pub series: Vec<Rule>,
    /// Keys that series make at most.
    pub series_keys: usize,
}

/// A mirror, as it is.
pub struct Mirror {
    options: Options,
    store: Arc<Store>,
    keymap: Arc<Keymap>,
    state: State,
}

/// What is told of it.
#[derive(Debug, Default)]
struct State {
    up: AtomicBool,
    /// The offset up to which the target has all.
    done: AtomicU64,
    commands: AtomicU64,
    batches: AtomicU64,
    rebuilds: AtomicU64,
    retries: AtomicU64,
    dead: AtomicU64,
    aside: Aside,
    healed: AtomicU64,
    /// Whether all keys are being written anew.
    rebuilding: AtomicBool,
    /// The cursor as this writer left it last, and heard that it did.
    last: Mutex<Vec<u8>>,
    /// The cursor of another writer, as it was seen last.
    other: Mutex<Option<Cursor>>,
    verifying: Verifying,
    series: Arc<series::Told>,
    stopped: AtomicBool,
    error: Mutex<String>,
    /// Offsets, and when the stream had them, in milliseconds since 1970.
    marks: Mutex<VecDeque<(u64, i64)>>,
}

impl State {
    fn lock_last(&self) -> MutexGuard<'_, Vec<u8>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mirror {
    /// A mirror that does nothing yet.
    pub fn new(options: Options, store: Arc<Store>, keymap: Arc<Keymap>) -> Mirror {
        Mirror { options, store, keymap, state: State::default() }
    }

    /// Pushes until `stop` returns.
    pub async fn run(self: Arc<Self>, stop: impl Future<Output = ()>) {
        tokio::select! {
            () = stop => {}
            () = self.mark() => {}
            () = self.push() => {}
            () = self.verify() => {}
            () = self.judge_doubtful() => {}
        }
    }

    async fn push(&self) {
        let mut pause = PAUSE.0;
        loop {
            let before = self.state.batches.load(Ordering::Relaxed);
            let Err(trouble) = writer::session(self).await;
            self.state.up.store(false, Ordering::Relaxed);
            self.state.retries.fetch_add(1, Ordering::Relaxed);
            let moved = self.state.batches.load(Ordering::Relaxed) > before;
            pause = if moved { PAUSE.0 } else { (pause * 2).min(PAUSE.1) };
            let wait = if let Trouble::Stop(_) = trouble { STOPPED } else { pause };
            self.say(&trouble);
            tokio::time::sleep(wait + jitter(wait)).await;
        }
    }

    /// Tells of a trouble, once while it stays the same.
    fn say(&self, trouble: &Trouble) {
        let text = trouble.to_string();
        let mut last = self.state.error.lock().unwrap_or_else(PoisonError::into_inner);
        self.state.stopped.store(matches!(trouble, Trouble::Stop(_)), Ordering::Relaxed);
        if *last != text {
            let mirror = &self.options.name;
            match trouble {
                Trouble::Stop(_) => tracing::error!(
                    mirror,
                    error = text,
                    "the mirror stands until this is put right"
                ),
                _ => tracing::warn!(mirror, error = text, "the mirror tries again"),
            }
            *last = text;
        }
    }

    /// All is well again.
    fn well(&self) {
        self.state.up.store(true, Ordering::Relaxed);
        self.state.stopped.store(false, Ordering::Relaxed);
        self.state.error.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Whether this node may take the cursor: not from another writer that is at work.
    fn takes_over(&self, found: &Cursor) -> Result<(), Trouble> {
        let mut other = self.state.other.lock().unwrap_or_else(PoisonError::into_inner);
        match &*other {
            // It has moved since the last look.
            Some(seen) if seen != found && found.epoch >= seen.epoch => {
                *other = Some(*found);
                Err(self.other_writer())
            }
            _ => {
                *other = None;
                Ok(())
            }
        }
    }

    /// Another writer has taken the cursor.
    fn sees_other(&self, found: &Cursor) -> Trouble {
        *self.state.other.lock().unwrap_or_else(PoisonError::into_inner) = Some(*found);
        self.other_writer()
    }

    fn other_writer(&self) -> Trouble {
        let name = &self.options.name;
        Trouble::Stop(format!(
            "another node writes as mirror {name:?} to this target: give one of the two another name, or end it"
        ))
    }

    /// Notes once a second how far the stream is, so that lag can be told in seconds.
    async fn mark(&self) {
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        loop {
            tick.tick().await;
            let offset = self.store.stream().map_or(0, |stream| stream.offset);
            let done = self.state.done.load(Ordering::Relaxed);
            let mut marks = self.state.marks.lock().unwrap_or_else(PoisonError::into_inner);
            while marks.front().is_some_and(|(offset, _)| *offset <= done) {
                marks.pop_front();
            }
            let newest = marks.back().map_or(done, |(offset, _)| *offset);
            if offset > newest && marks.len() < MARKS {
                marks.push_back((offset, crate::clock::now_ms()));
            }
        }
    }

    /// How far the target is behind: bytes of the stream, and seconds.
    pub fn lag(&self) -> (u64, f64) {
        let offset = self.store.stream().map_or(0, |stream| stream.offset);
        let done = self.state.done.load(Ordering::Relaxed);
        let marks = self.state.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let since = marks.iter().find(|(offset, _)| *offset > done).map(|(_, at)| *at);
        let seconds = since.map_or(0.0, |at| (crate::clock::now_ms() - at).max(0) as f64 / 1000.0);
        (offset.saturating_sub(done), seconds)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// How it is, for people.
    pub fn told(&self) -> serde_json::Value {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (bytes, seconds) = self.lag();
        let text = |key: &[u8]| String::from_utf8_lossy(key).into_owned();
        let dead = self.state.aside.list().into_iter().map(|(key, why)| {
            serde_json::json!({"key": text(&key), "error": why.error, "since": why.since})
        });
        let asked = self.asked();
        let named = asked.named.iter();
        let named = named.map(|(key, what)| serde_json::json!({"key": text(key), "what": what}));
        let taken = self.state.series.taken().into_iter();
        let taken = taken.map(|(key, why)| serde_json::json!({"key": text(&key), "error": why}));
        serde_json::json!({
            "name": self.options.name,
            "target": format!("{:?}", self.options.target),
            "up": self.state.up.load(Ordering::Relaxed),
            "stopped": self.state.stopped.load(Ordering::Relaxed),
            "error": *self.state.error.lock().unwrap_or_else(PoisonError::into_inner),
            "lagBytes": bytes,
            "lagSeconds": seconds,
            "deadKeys": dead.collect::<Vec<_>>(),
            "seriesKeys": self.state.series.keys(),
            "seriesTaken": taken.collect::<Vec<_>>(),
            "verifiedKeys": load(&self.state.verifying.verified),
            "mismatchedKeys": load(&self.state.verifying.mismatched),
            "verification": {
                "begun": asked.begun,
                "running": asked.running,
                "error": asked.error,
                "compared": asked.compared,
                "equal": asked.equal,
                "different": asked.different,
                "unsettled": asked.unsettled,
                "named": named.collect::<Vec<_>>(),
            },
        })
    }

    /// Adds what is told of it.
    pub fn gather(&self, out: &mut Families) {
        let labels = [("mirror", self.options.name.as_str())];
        let (bytes, seconds) = self.lag();
        let flag = |flag: &AtomicBool| f64::from(u8::from(flag.load(Ordering::Relaxed)));
        for (name, help, value) in [
            (
                "ringwell_mirror_up",
                "1 while the target takes what it is sent.",
                flag(&self.state.up),
            ),
            (
                "ringwell_mirror_stopped",
                "1 while the mirror stands until somebody puts something right.",
                flag(&self.state.stopped),
            ),
            (
                "ringwell_mirror_lag_bytes",
                "Bytes of the stream that the target has not.",
                bytes as f64,
            ),
            (
                "ringwell_mirror_lag_seconds",
                "How long the oldest change that the target has not is there.",
                seconds,
            ),
            (
                "ringwell_mirror_offset",
                "The offset in the stream up to which the target has all.",
                self.state.done.load(Ordering::Relaxed) as f64,
            ),
            (
                "ringwell_mirror_rebuilding",
                "1 while all keys are written anew; what lag says is of the stream behind that.",
                flag(&self.state.rebuilding),
            ),
            (
                "ringwell_mirror_dead_keys",
                "Keys that are set aside, as the target refuses them.",
                self.state.aside.len() as f64,
            ),
        ] {
            out.family(name, Kind::Gauge, help).sample(&labels, value);
        }
        for (name, help, counter) in [
            ("ringwell_mirror_commands_total", "Commands the target took.", &self.state.commands),
            (
                "ringwell_mirror_healed_keys_total",
                "Keys that were set aside and written whole since.",
                &self.state.healed,
            ),
            (
                "ringwell_mirror_verified_keys_total",
                "Keys of the target that were compared with the node's.",
                &self.state.verifying.verified,
            ),
            (
                "ringwell_mirror_mismatched_keys_total",
                "Keys that were compared and differ, though the target has all that was sent.",
                &self.state.verifying.mismatched,
            ),
            (
                "ringwell_mirror_verify_passes_total",
                "Times that all keys were compared, one after the other.",
                &self.state.verifying.passes,
            ),
            ("ringwell_mirror_batches_total", "Transactions the target took.", &self.state.batches),
            (
                "ringwell_mirror_rebuilds_total",
                "Times all keys were written anew.",
                &self.state.rebuilds,
            ),
            (
                "ringwell_mirror_retries_total",
                "Times the mirror had to try again.",
                &self.state.retries,
            ),
            (
                "ringwell_mirror_dead_commands_total",
                "Commands the target refused for good; their keys are set aside and written whole.",
                &self.state.dead,
            ),
        ] {
            out.family(name, Kind::Counter, help)
                .sample(&labels, counter.load(Ordering::Relaxed) as f64);
        }
        if !self.options.series.is_empty() {
            self.state.series.gather(&self.options.name, out);
        }
    }
}

/// A part of a pause, so that many mirrors do not come at once.
fn jitter(pause: Duration) -> Duration {
    use std::hash::{BuildHasher, RandomState};
    pause.mul_f64((RandomState::new().hash_one(0_u8) % 1000) as f64 / 2000.0)
}
