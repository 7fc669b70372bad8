//! The one that writes: connect, see where the target is, go on from there.

use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ringwell_storage::feed::{Feeder, LogPlace, Told};
use ringwell_storage::store::Ack;

use super::aside::MOST;
use super::batch::{Requests, Units};
use super::cursor::Cursor;
use super::heal::Healing;
use super::series::Pushing;
use super::{Mirror, doubt, rebuild};
use crate::remote::client::{Client, Reply, Trouble};

/// Bytes and commands of a batch.
const BATCH: (usize, usize) = (256 << 10, 1000);
/// Bytes of the stream read at a time.
pub(super) const PIECE: usize = 256 << 10;
/// A cursor that would move without a command moves only so far.
const STEP: u64 = 64 << 10;
/// What is not synced yet waits for others' syncs so long.
const LAG: Duration = Duration::from_millis(100);
pub(super) const SPOILT: &str = "it was copied from a key that was set aside";

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

pub(super) fn own(error: impl std::fmt::Display) -> Trouble {
    Trouble::Link(format!("the node itself: {error}"))
}

/// What stands at a key of the mirror's own.
async fn string(client: &mut Client, key: &[u8]) -> Result<Option<Vec<u8>>, Trouble> {
    match client.ask(&[b"GET", key]).await? {
        Reply::Bulk(text) => Ok(text),
        _ => Err(Trouble::Link("a key of the mirror's own in the target is no string".to_owned())),
    }
}

/// A target that knows this writer as its newest.
pub(super) struct Target<'m> {
    pub(super) mirror: &'m Mirror,
    pub(super) client: Client,
    pub(super) key: Vec<u8>,
    pub(super) cursor: Cursor,
    /// What stands at the cursor's key.
    pub(super) text: Option<Vec<u8>>,
    /// What stands there of keys that are set aside.
    pub(super) aside: Vec<u8>,
    /// Keys that were set aside and are about to be written whole.
    pub(super) healing: Option<Healing>,
    /// Where in the log samples are read on after what the target has.
    pub(super) at: Option<LogPlace>,
    /// What is known of series.
    pub(super) pushing: Pushing,
}

impl<'m> Target<'m> {
    /// Connects, reads the cursor and puts this writer's epoch into it.
    async fn take(mirror: &'m Mirror) -> Result<Target<'m>, Trouble> {
        let options = &mirror.options;
        let mut client = Client::connect(&options.target, options.db).await?;
        let key = Cursor::key(&options.name);
        let text = string(&mut client, &key).await?;
        let aside = string(&mut client, &Cursor::aside_key(&options.name)).await?;
        let aside = aside.unwrap_or_default();
        let cursor = text.as_deref().map(Cursor::read).unwrap_or_default();
        mirror.takes_over(&cursor)?;
        let heard = text.as_deref() == Some(mirror.state.lock_last().as_slice());
        let place = doubt::place(mirror, &cursor, &aside, heard).await?;
        let (at, pushing) = (cursor.at, Pushing::new(mirror));
        let healing = None;
        let mut target = Target { mirror, client, key, cursor, text, aside, healing, at, pushing };
        target.read_register().await?;
        target.cursor.epoch = cursor.epoch.saturating_add(1);
        // The time says when the target last had all, so it stays.
        target.commit(&mut Requests::default(), place, cursor.moved).await?;
        Ok(target)
    }

    /// Reads the stream on from the cursor, if that can be.
    fn goes_on(&mut self) -> Option<Feeder> {
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
        let store = &self.mirror.store;
        let at = self.at.filter(|_| self.has_series());
        let feeder = at.and_then(|at| store.stream_at(&name, offset, at));
        let feeder = feeder.or_else(|| {
            // Samples are not known to go on from here.
            self.at = None;
            self.pushing.unsettled |= self.has_series();
            store.stream_from(&name, offset)
        });
        let feeder = feeder.map(|feeder| self.with_samples(feeder));
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
        // What has to be written whole at first tells more than the log.
        let (mut piece, mut caught_up) = (Vec::new(), true);
        loop {
            if let Some(below) = self.settle(caught_up).await? {
                feeder.skip_samples(below);
            }
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
            let behind = durable.0.saturating_sub(feeder.position().0);
            self.mirror.state.series.behind.store(behind, Ordering::Relaxed);
            caught_up = behind == 0;
            if caught_up {
                tokio::time::sleep(LAG).await;
                let end = store.log_end();
                if store.synced() == durable && end > durable {
                    store.wait(end, Ack::Synced).await.map_err(own)?;
                }
                self.keep_alive().await?;
                self.sweep().await?;
                continue;
            }
            let mut router = self.pushing.router.take();
            let read = tokio::task::spawn_blocking(move || {
                let mut tell = |told: Told<'_>| router.iter_mut().for_each(|to| to.take(&told));
                let read = feeder.read_all(durable, PIECE, &mut piece, &mut tell);
                (read, feeder, piece, router)
            });
            let read = read.await.map_err(own)?;
            (feeder, piece, self.pushing.router) = (read.1, read.2, read.3);
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
            if self.has_series() {
                self.push_samples(feeder.place()).await?;
            }
        }
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
                for key in unit.requests.keys() {
                    self.give_way(key, &mut requests);
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
}
