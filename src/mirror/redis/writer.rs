//! The one that writes: connect, see where the target is, go on from there.

use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ringwell_storage::feed::{Feeder, Identity};
use ringwell_storage::store::Ack;

use super::batch::Units;
use super::client::{Client, Reply, Trouble, classify, command};
use super::cursor::Cursor;
use super::{Mirror, PAUSE, jitter, rebuild};

/// Bytes and commands of a batch.
const BATCH: (usize, usize) = (256 << 10, 1000);
/// Bytes of the stream read at a time.
const PIECE: usize = 256 << 10;
/// A cursor that would move without a command moves only so far.
const STEP: u64 = 64 << 10;
/// What is not synced yet waits for others' syncs so long.
const LAG: Duration = Duration::from_millis(100);
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
}

impl<'m> Target<'m> {
    /// Connects, reads the cursor and puts this writer's epoch into it.
    async fn take(mirror: &'m Mirror) -> Result<Target<'m>, Trouble> {
        let mut client = Client::connect(&mirror.options).await?;
        let key = Cursor::key(&mirror.options.name);
        let mut request = Vec::new();
        command(&mut request, &[b"GET", &key]);
        let text = match client.call(&request, 1).await?.pop() {
            Some(Reply::Bulk(text)) => text,
            Some(Reply::Error(text)) => return Err(classify(&text)),
            _ => return Err(Trouble::Link("the target's cursor is no string".to_owned())),
        };
        let cursor = text.as_deref().map(Cursor::read).unwrap_or_default();
        let mut target = Target { mirror, client, key, cursor, text };
        target.cursor.epoch = cursor.epoch.saturating_add(1);
        let place = cursor.place;
        // The time says when the target last had all, so it stays.
        target.commit(&[], 0, place, cursor.moved).await?;
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
        let mut piece = Vec::new();
        loop {
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

    /// Sends all whole units; whether only a rebuild helps.
    async fn send(&mut self, units: &mut Units<'_>) -> Result<bool, Trouble> {
        let (mut requests, mut count, mut end) = (Vec::new(), 0, None);
        loop {
            let unit = units.next().map_err(|what| own(format!("its stream has {what}")))?;
            let over = unit.is_none();
            if let Some(unit) = unit {
                if unit.rebuild {
                    return Ok(true);
                }
                requests.extend_from_slice(&unit.requests);
                count += unit.count;
                end = Some(unit.end);
            }
            let full = requests.len() >= BATCH.0 || count >= BATCH.1;
            if !full && !over {
                continue;
            }
            if let Some(end) = end.take() {
                self.move_to(&std::mem::take(&mut requests), count, end).await?;
                count = 0;
            }
            if over {
                return Ok(false);
            }
        }
    }

    async fn move_to(&mut self, requests: &[u8], count: usize, end: u64) -> Result<(), Trouble> {
        let Some((_, offset)) = self.cursor.place else { return Ok(()) };
        let Some(name) = self.mirror.store.stream().map(|stream| stream.name) else {
            return Ok(());
        };
        if count > 0 || end >= offset + STEP {
            self.apply(requests, count, Some((name, end))).await?;
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
            (Some(name), Some(_)) => self.apply(&[], 0, Some((name, done))).await,
            _ => Ok(()),
        }
    }

    /// Has the target do requests and move the cursor, all or nothing; asks again while it cannot now.
    pub(super) async fn apply(
        &mut self,
        requests: &[u8],
        count: usize,
        place: Option<(Identity, u64)>,
    ) -> Result<(), Trouble> {
        let mut pause = PAUSE.0;
        for _ in 0..ASKED {
            let now = crate::clock::now_ms();
            match self.commit(requests, count, place, now).await {
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

    async fn commit(
        &mut self,
        requests: &[u8],
        count: usize,
        place: Option<(Identity, u64)>,
        now: i64,
    ) -> Result<(), Trouble> {
        self.check().await?;
        let next = Cursor { epoch: self.cursor.epoch, place, moved: now };
        let text = next.text();
        let mut all = Vec::with_capacity(requests.len() + 256);
        command(&mut all, &[b"MULTI"]);
        all.extend_from_slice(requests);
        command(&mut all, &[b"SET", &self.key, &text]);
        command(&mut all, &[b"EXEC"]);
        let mut replies = self.client.call(&all, count + 3).await?;
        let queued = replies.iter().take(count + 2).find_map(Reply::trouble);
        match replies.pop() {
            Some(Reply::Array(Some(done))) => self.look(&done, count),
            Some(Reply::Array(None)) => {
                return Err(Trouble::Link("the cursor was moved by somebody else".to_owned()));
            }
            Some(Reply::Error(text)) => return Err(queued.unwrap_or_else(|| classify(&text))),
            _ => return Err(Trouble::Link("the target's EXEC is no array".to_owned())),
        }
        (self.cursor, self.text) = (next, Some(text));
        let state = &self.mirror.state;
        state.batches.fetch_add(1, Ordering::Relaxed);
        state.commands.fetch_add(count as u64, Ordering::Relaxed);
        Ok(())
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
            _ => Err(Trouble::Link("the cursor is not where it was left".to_owned())),
        }
    }

    /// Counts what the target refused for good: a transaction is not rolled back.
    fn look(&self, done: &[Reply], count: usize) {
        let refused = done.iter().take(count).filter_map(|reply| match reply {
            Reply::Error(text) => Some(text),
            _ => None,
        });
        let mut dead = 0;
        for text in refused {
            if dead == 0 {
                tracing::error!(mirror = self.mirror.options.name, error = %text, "the target refused a command: a key of it was changed by somebody else");
            }
            dead += 1;
        }
        self.mirror.state.dead.fetch_add(dead, Ordering::Relaxed);
    }
}
