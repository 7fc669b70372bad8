//! The one that writes: connect, see where the target is, go on from there.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ringwell_storage::feed::{Feeder, Identity};
use ringwell_storage::keyspace::View;
use ringwell_storage::store::Ack;

use super::aside::MOST;
use super::batch::{Requests, Units};
use super::cursor::Cursor;
use super::{Mirror, PAUSE, jitter, rebuild};
use crate::remote::client::{Client, Reply, Trouble, classify, command};

/// Bytes and commands of a batch.
const BATCH: (usize, usize) = (256 << 10, 1000);
/// Bytes of the stream read at a time.
const PIECE: usize = 256 << 10;
/// A cursor that would move without a command moves only so far.
const STEP: u64 = 64 << 10;
/// What is not synced yet waits for others' syncs so long.
const LAG: Duration = Duration::from_millis(100);
const SPOILT: &str = "it was copied from a key that was set aside";
/// Times that a target which cannot now is asked again on the same connection.
const ASKED: u32 = 20;

/// Pushes until something goes wrong.
pub(super) async fn session(mirror: &Mirror) -> Result<Infallible, Trouble> {
    let store = std::sync::Arc::clone(&mirror.store);
    let named = tokio::task::spawn_blocking(move || store.name_stream()).await;
    let position = named.map_err(own)?.map_err(own)?;
    mirror.store.wait(position, Ack::Synced).await.map_err(own)?;
    let mut target = Target::take(mirror).await?;
    let mut going_on = target.goes_on();
    mirror.state.rebuilding.store(going_on.is_none(), Ordering::Relaxed);
    mirror.well();
    loop {
        let feeder = match going_on.take() {
            Some(feeder) => feeder,
            None => rebuild::run(&mut target).await?,
        };
        target.follow(feeder).await?;
    }
}

fn own(error: impl std::fmt::Display) -> Trouble {
    Trouble::Link(format!("the node itself: {error}"))
}

/// A target that knows this writer as its newest.
pub(super) struct Target<'m> {
    pub(super) mirror: &'m Mirror,
    pub(super) client: Client,
    key: Vec<u8>,
    cursor: Cursor,
    /// What stands at the cursor's key.
    text: Option<Vec<u8>>,
    /// Keys that were set aside and are about to be written whole.
    healing: Option<Healing>,
}

/// Keys as they are at an offset of the stream, written when the target is there.
struct Healing {
    keys: Vec<Vec<u8>>,
    view: View,
    offset: u64,
}

impl<'m> Target<'m> {
    /// Connects, reads the cursor and puts this writer's epoch into it.
    async fn take(mirror: &'m Mirror) -> Result<Target<'m>, Trouble> {
        let options = &mirror.options;
        let mut client = Client::connect(&options.target, options.db).await?;
        let key = Cursor::key(&options.name);
        let text = match client.ask(&[b"GET", &key]).await? {
            Reply::Bulk(text) => text,
            _ => return Err(Trouble::Link("the target's cursor is no string".to_owned())),
        };
        let cursor = text.as_deref().map(Cursor::read).unwrap_or_default();
        mirror.takes_over(&cursor)?;
        let mut target = Target { mirror, client, key, cursor, text, healing: None };
        target.cursor.epoch = cursor.epoch.saturating_add(1);
        let place = cursor.place;
        // The time says when the target last had all, so it stays.
        target.commit(&mut Requests::default(), place, cursor.moved).await?;
        Ok(target)
    }

    /// Reads the stream on from the cursor, if that can be.
    fn goes_on(&self) -> Option<Feeder> {
        let (name, offset) = self.cursor.place?;
        let late = crate::clock::now_ms() - self.cursor.moved;
        // What expires there by itself may be gone, though it was changed here since.
        if late > self.grace() / 2 {
            tracing::warn!(
                mirror = self.mirror.options.name,
                "the target was away for too long; all keys are written anew"
            );
            return None;
        }
        let feeder = self.mirror.store.stream_from(&name, offset);
        match feeder {
            Some(_) => self.mirror.state.done.store(offset, Ordering::Relaxed),
            None => tracing::warn!(
                mirror = self.mirror.options.name,
                offset,
                "the log does not have what comes after the target's cursor; all keys are written anew"
            ),
        }
        feeder
    }

    pub(super) fn grace(&self) -> i64 {
        i64::try_from(self.mirror.options.grace.as_millis()).unwrap_or(i64::MAX)
    }

    /// Sends what comes until only a rebuild helps.
    async fn follow(&mut self, mut feeder: Feeder) -> Result<(), Trouble> {
        let options = &self.mirror.options;
        let mut units = Units::new(&options.keys, options.from_db, self.grace(), feeder.offset());
        units.filter.aside.extend(self.mirror.state.aside.names());
        // What was to be written at an offset of before is none of this reading.
        self.healing = None;
        let mut piece = Vec::new();
        loop {
            if self.mirror.state.aside.len() > MOST {
                tracing::warn!(
                    mirror = options.name,
                    "too many keys were set aside; all keys are written anew"
                );
                return Ok(());
            }
            self.plan_healing(&mut units).await?;
            let store = &self.mirror.store;
            let durable = store.synced();
            if feeder.position() >= durable {
                tokio::time::sleep(LAG).await;
                let end = store.log_end();
                if store.synced() == durable && end > durable {
                    store.wait(end, Ack::Synced).await.map_err(own)?;
                }
                self.keep_alive().await?;
                continue;
            }
            let read = tokio::task::spawn_blocking(move || {
                let read = feeder.read(durable, PIECE, &mut piece);
                (read, feeder, piece)
            });
            let read = read.await.map_err(own)?;
            (feeder, piece) = (read.1, read.2);
            if let Err(error) = read.0 {
                tracing::warn!(mirror = options.name, %error, "all keys are written anew");
                return Ok(());
            }
            units.put(&piece);
            piece.clear();
            piece.shrink_to(2 * PIECE);
            if self.send(&mut units).await? {
                return Ok(());
            }
        }
    }

    /// Looks whether keys that were set aside are due, and takes a view to write them from.
    async fn plan_healing(&mut self, units: &mut Units<'_>) -> Result<(), Trouble> {
        let aside = &self.mirror.state.aside;
        units.filter.aside.extend(aside.names());
        let keys = aside.due();
        if self.healing.is_some() || keys.is_empty() {
            return Ok(());
        }
        let store = std::sync::Arc::clone(&self.mirror.store);
        let start = tokio::task::spawn_blocking(move || store.stream_view()).await;
        let start = start.map_err(own)?.map_err(own)?;
        self.healing = Some(Healing { keys, view: start.view, offset: start.offset });
        self.heal(units).await
    }

    /// Writes the keys that were set aside whole, if the target is where the view is.
    async fn heal(&mut self, units: &mut Units<'_>) -> Result<(), Trouble> {
        let at = units.offset();
        let Some(healing) = self.healing.take_if(|healing| healing.offset <= at) else {
            return Ok(());
        };
        if healing.offset < at {
            // The view was taken within a transaction: another one.
            return Ok(());
        }
        let mut requests = Requests::default();
        for key in &healing.keys {
            rebuild::write_whole(self, &healing.view, key, &mut requests);
        }
        let place = self.mirror.store.stream().map(|stream| (stream.name, at));
        let refused = self.apply(requests, place).await?;
        let state = &self.mirror.state;
        for key in &healing.keys {
            if refused.contains(key) {
                state.aside.refused(key);
                continue;
            }
            state.aside.remove(key);
            units.filter.aside.remove(key);
            state.healed.fetch_add(1, Ordering::Relaxed);
        }
        state.done.store(at, Ordering::Relaxed);
        Ok(())
    }

    /// Sends all whole units; whether only a rebuild helps.
    async fn send(&mut self, units: &mut Units<'_>) -> Result<bool, Trouble> {
        let (mut requests, mut end) = (Requests::default(), None);
        loop {
            let healing = self.healing.as_ref().map(|healing| healing.offset);
            let heals = healing.is_some_and(|offset| offset <= units.offset());
            let unit = if heals {
                None
            } else {
                units.next().map_err(|what| own(format!("its stream has {what}")))?
            };
            let over = unit.is_none();
            if let Some(unit) = unit {
                if unit.rebuild {
                    return Ok(true);
                }
                for key in &unit.spoilt {
                    self.mirror.state.aside.add(key, SPOILT);
                }
                requests.append(unit.requests);
                end = Some(unit.end);
            }
            let full = requests.bytes.len() >= BATCH.0 || requests.len() >= BATCH.1;
            if !full && !over {
                continue;
            }
            if let Some(end) = end.take() {
                self.move_to(std::mem::take(&mut requests), end).await?;
                units.filter.aside.extend(self.mirror.state.aside.names());
            }
            if heals {
                self.heal(units).await?;
            } else if over {
                return Ok(false);
            }
        }
    }

    async fn move_to(&mut self, requests: Requests, end: u64) -> Result<(), Trouble> {
        let Some((_, offset)) = self.cursor.place else { return Ok(()) };
        let Some(name) = self.mirror.store.stream().map(|stream| stream.name) else {
            return Ok(());
        };
        if requests.len() > 0 || end >= offset + STEP {
            self.apply(requests, Some((name, end))).await?;
        }
        self.mirror.state.done.store(end, Ordering::Relaxed);
        Ok(())
    }

    /// Lets the target know now and then that it is up to date.
    async fn keep_alive(&mut self) -> Result<(), Trouble> {
        let quiet = crate::clock::now_ms() - self.cursor.moved;
        if quiet < (self.grace() / 8).clamp(1000, 10_000) {
            return Ok(());
        }
        let done = self.mirror.state.done.load(Ordering::Relaxed);
        let name = self.mirror.store.stream().map(|stream| stream.name);
        match (name, self.cursor.place) {
            (Some(name), Some(_)) => {
                self.apply(Requests::default(), Some((name, done))).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Has the target do requests and move the cursor, all or nothing; asks again while it cannot now. Gives the
    /// keys that it refuses: they are set aside, and the rest is done.
    pub(super) async fn apply(
        &mut self,
        mut requests: Requests,
        place: Option<(Identity, u64)>,
    ) -> Result<HashSet<Vec<u8>>, Trouble> {
        let mut pause = PAUSE.0;
        for _ in 0..ASKED {
            let now = crate::clock::now_ms();
            match self.commit(&mut requests, place, now).await {
                Err(trouble @ Trouble::Busy(_)) => {
                    self.mirror.say(&trouble);
                    self.mirror.state.retries.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(pause + jitter(pause)).await;
                    pause = (pause * 2).min(PAUSE.1);
                }
                done => {
                    if done.is_ok() {
                        self.mirror.well();
                    }
                    return done;
                }
            }
        }
        Err(Trouble::Link("the target could not for a long time".to_owned()))
    }

    /// As often as a key's commands are not even queued: without that key.
    async fn commit(
        &mut self,
        requests: &mut Requests,
        place: Option<(Identity, u64)>,
        now: i64,
    ) -> Result<HashSet<Vec<u8>>, Trouble> {
        let mut refused = HashSet::new();
        loop {
            match self.try_commit(requests, place, now).await? {
                Committed::All(keys) => {
                    refused.extend(keys);
                    return Ok(refused);
                }
                Committed::Without(keys) => {
                    requests.leave_out(&keys);
                    refused.extend(keys);
                }
            }
        }
    }

    async fn try_commit(
        &mut self,
        requests: &Requests,
        place: Option<(Identity, u64)>,
        now: i64,
    ) -> Result<Committed, Trouble> {
        self.check().await?;
        let count = requests.len();
        let next = Cursor { epoch: self.cursor.epoch, place, moved: now };
        let text = next.text();
        let mut all = Vec::with_capacity(requests.bytes.len() + 256);
        command(&mut all, &[b"MULTI"]);
        all.extend_from_slice(&requests.bytes);
        command(&mut all, &[b"SET", &self.key, &text]);
        command(&mut all, &[b"EXEC"]);
        let mut replies = self.client.call(&all, count + 3).await?;
        let last = replies.pop();
        if let Some(Reply::Error(aborted)) = last {
            let queued = replies.iter().skip(1).take(count).enumerate();
            let mut errors = queued.filter_map(|(at, reply)| match reply {
                Reply::Error(text) => Some((at, text)),
                _ => None,
            });
            if let Some((at, text)) = errors.next()
                && let Some(key) = requests.key(at).filter(|_| is_of_one_key(text))
            {
                self.refuses(key, text);
                return Ok(Committed::Without(self.spoilt(key, at, requests)));
            }
            let queued = replies.iter().find_map(Reply::trouble);
            return Err(queued.unwrap_or_else(|| classify(&aborted)));
        }
        let refused = match last {
            Some(Reply::Array(Some(done))) => self.look(&done, requests),
            Some(Reply::Array(None)) => return Err(self.overtaken().await),
            _ => return Err(Trouble::Link("the target's EXEC is no array".to_owned())),
        };
        (self.cursor, self.text) = (next, Some(text));
        let state = &self.mirror.state;
        state.batches.fetch_add(1, Ordering::Relaxed);
        state.commands.fetch_add(count as u64, Ordering::Relaxed);
        Ok(Committed::All(refused))
    }

    /// Sees to it that the cursor is as this writer left it, and that EXEC fails if it is not any more.
    async fn check(&mut self) -> Result<(), Trouble> {
        let mut request = Vec::new();
        command(&mut request, &[b"WATCH", &self.key]);
        command(&mut request, &[b"GET", &self.key]);
        let replies = self.client.call(&request, 2).await?;
        if let Some(trouble) = replies.iter().find_map(Reply::trouble) {
            return Err(trouble);
        }
        match replies.last() {
            Some(Reply::Bulk(text)) if *text == self.text => Ok(()),
            _ => Err(self.overtaken().await),
        }
    }

    /// The cursor is not as this writer left it: whether another writer is there.
    async fn overtaken(&mut self) -> Trouble {
        let text = match self.client.ask(&[b"GET", &self.key]).await {
            Ok(Reply::Bulk(text)) => text,
            Ok(_) => None,
            Err(trouble) => return trouble,
        };
        let found = text.as_deref().map(Cursor::read).unwrap_or_default();
        if found.epoch <= self.cursor.epoch {
            return Trouble::Link("the cursor is not where it was left".to_owned());
        }
        self.mirror.sees_other(&found)
    }

    /// Tells of what the target refused for good, as a transaction is not rolled back: keys are set aside.
    fn look(&self, done: &[Reply], requests: &Requests) -> HashSet<Vec<u8>> {
        let mut keys = HashSet::new();
        for (at, reply) in done.iter().take(requests.len()).enumerate() {
            if let (Reply::Error(text), Some(key)) = (reply, requests.key(at)) {
                self.refuses(key, text);
                keys.extend(self.spoilt(key, at, requests));
            }
        }
        keys
    }

    /// A key that was refused at a request, and those that were copied from it since: they are set aside too.
    fn spoilt(&self, key: &[u8], at: usize, requests: &Requests) -> HashSet<Vec<u8>> {
        let mut keys = HashSet::from([key.to_vec()]);
        requests.spoils(at, &mut keys);
        for key in &keys {
            self.mirror.state.aside.add(key, SPOILT);
        }
        keys
    }

    fn refuses(&self, key: &[u8], error: &str) {
        let state = &self.mirror.state;
        state.dead.fetch_add(1, Ordering::Relaxed);
        if state.aside.add(key, error) {
            let (mirror, key) = (&self.mirror.options.name, String::from_utf8_lossy(key));
            tracing::error!(mirror, %key, error, "the target refuses a command: its key is set aside, and written whole");
        }
    }
}

/// What became of a transaction.
enum Committed {
    /// It is done, but for what these keys were refused.
    All(HashSet<Vec<u8>>),
    /// It is not done: what these keys get is not taken.
    Without(HashSet<Vec<u8>>),
}

/// Whether what was not queued is refused for its key or its kind of command, and not for all of them.
fn is_of_one_key(error: &str) -> bool {
    let of_key = error.starts_with("NOPERM") && error.contains("key") && !error.contains("command");
    of_key || error.contains("unknown command")
}
