//! What rules do to keys: lists are kept as short, and series go with their keys, as the rule says.
//!
//! The keymap only notes what is due, for it runs inside of a command; a task carries it out at
//! once, with ordinary commands. A list from before the start is found when the task begins.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ringwell_storage::keyspace::{Bytes, End, Reply};
use ringwell_storage::model::TimeRange;
use ringwell_storage::store::Store;
use tokio::sync::Notify;

use super::Keymap;
use super::element::Element;
use super::rules::{Age, Keep, Plan};
use crate::clock;
use crate::inside::{Inside, strings};
use crate::shutdown::Shutdown;

/// Ages are looked at so often.
const TICK: Duration = Duration::from_secs(1);
/// Elements that are looked at together.
const PAGE: i64 = 128;
/// Keys noted at one time; further lists are kept when they are pushed to again.
const MOST: usize = 200_000;

/// What is noted for the task.
#[derive(Debug, Default)]
pub(super) struct Due {
    noted: Mutex<Noted>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Noted {
    lists: HashMap<Bytes, List>,
    /// Keys whose series go, and up to when.
    gone: HashMap<Bytes, i64>,
}

/// A list that a rule bounds.
#[derive(Clone, Copy, Debug)]
struct List {
    keep: Keep,
    /// Where the newest element is.
    newest: End,
    /// Whether it was pushed to since its length was last seen to.
    pushed: bool,
    /// What EXPIRE gave it last, in milliseconds.
    expire: Option<i64>,
}

impl Due {
    /// A list was pushed to.
    pub(super) fn pushed(&self, key: &Bytes, keep: Keep, newest: End) {
        let mut noted = self.lock();
        if noted.lists.len() >= MOST && !noted.lists.contains_key(key) {
            return;
        }
        let fresh = List { keep, newest, pushed: true, expire: None };
        let list = noted.lists.entry(Bytes::clone(key)).or_insert(fresh);
        (list.newest, list.pushed) = (newest, true);
        if keep.elements.is_some() {
            self.wake.notify_one();
        }
    }

    /// A key was given a time to live.
    pub(super) fn expires(&self, key: &[u8], millis: i64) {
        if let Some(list) = self.lock().lists.get_mut(key) {
            list.expire = Some(millis);
        }
    }

    /// A key went whose series go with it.
    pub(super) fn gone(&self, key: &[u8], now: i64) {
        let mut noted = self.lock();
        if noted.gone.len() < MOST {
            noted.gone.insert(key.into(), now);
            self.wake.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        // Notes are whole entries; a panic elsewhere leaves no half of one.
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Carries out what is due, until the stop.
pub async fn run(
    keymap: Arc<Keymap>,
    inside: Arc<dyn Inside>,
    store: Arc<Store>,
    shutdown: Shutdown,
) {
    if !keymap.options.rules.acts {
        return;
    }
    let keeper = Keeper { keymap: &keymap, inside: &*inside, store: &store };
    keeper.find();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let ages = tokio::select! {
            () = shutdown.raised() => return,
            () = keymap.due.wake.notified() => false,
            _ = tick.tick() => true,
        };
        keeper.lists(clock::now_ms(), ages);
        keeper.gone();
    }
}

/// The task's tools.
pub(super) struct Keeper<'a> {
    pub(super) keymap: &'a Keymap,
    pub(super) inside: &'a dyn Inside,
    pub(super) store: &'a Store,
}

impl Keeper<'_> {
    /// Notes the lists that are there already.
    fn find(&self) {
        let mut cursor = b"0".to_vec();
        loop {
            let args: [&[u8]; 6] = [b"SCAN", &cursor, b"COUNT", b"1000", b"TYPE", b"list"];
            let mut found = strings(&self.inside.call(&args).reply).into_iter();
            let Some(next) = found.next() else { return };
            for key in found {
                let plan = self.keymap.options.rules.plan(&key);
                if let Some(keep) = plan.map(|plan| plan.keep()).filter(|k| *k != Keep::default()) {
                    // Newest first is how agents push; the next push says whether they do.
                    self.keymap.due.pushed(&Bytes::from(key.as_slice()), keep, End::Left);
                }
            }
            if next == b"0" {
                return;
            }
            cursor = next;
        }
    }

    /// Cuts lists to what they may keep.
    pub(super) fn lists(&self, now: i64, ages: bool) {
        let due: Vec<(Bytes, List)> = {
            let mut noted = self.keymap.due.lock();
            let due = noted.lists.iter_mut().filter(|(_, list)| {
                list.pushed && list.keep.elements.is_some() || ages && list.keep.age.is_some()
            });
            due.map(|(key, list)| {
                let before = *list;
                list.pushed = false;
                (Bytes::clone(key), before)
            })
            .collect()
        };
        for (key, list) in due {
            if let Some(most) = list.keep.elements.filter(|_| list.pushed) {
                self.cut(&key, list.newest, i64::try_from(most).unwrap_or(i64::MAX));
            }
            let age = match list.keep.age {
                Some(Age::Millis(millis)) => Some(millis),
                Some(Age::Expire) => list.expire,
                None => None,
            };
            if let (true, Some(age)) = (ages, age) {
                self.age(&key, list.newest, now.saturating_sub(age));
            }
        }
    }

    /// Keeps so many of the newest elements.
    fn cut(&self, key: &[u8], newest: End, most: i64) {
        let (start, stop) = match newest {
            End::Left => (0, most - 1),
            End::Right => (-most, -1),
        };
        let (start, stop) = (start.to_string(), stop.to_string());
        self.inside.call(&[b"LTRIM", key, start.as_bytes(), stop.as_bytes()]);
    }

    /// Takes the oldest elements away that say they are older; one that says nothing stays, and
    /// what is newer than it.
    fn age(&self, key: &[u8], newest: End, cutoff: i64) {
        let Some(plan) = self.keymap.options.rules.plan(key) else { return };
        loop {
            let (start, stop) = match newest {
                End::Left => (-PAGE, -1),
                End::Right => (0, PAGE - 1),
            };
            let (start, stop) = (start.to_string(), stop.to_string());
            let args: [&[u8]; 4] = [b"LRANGE", key, start.as_bytes(), stop.as_bytes()];
            let mut oldest = strings(&self.inside.call(&args).reply);
            if oldest.is_empty() {
                self.keymap.due.lock().lists.remove(key);
                return;
            }
            if newest == End::Left {
                oldest.reverse();
            }
            let old = oldest.iter().take_while(|text| is_older(text, &plan, cutoff)).count();
            let count = old.to_string();
            let pop: &[u8] = if newest == End::Left { b"RPOP" } else { b"LPOP" };
            // What is refused now would be refused again at once.
            let refused = old > 0
                && matches!(self.inside.call(&[pop, key, count.as_bytes()]).reply, Reply::Error(_));
            if refused || (old as i64) < PAGE {
                return;
            }
        }
    }

    /// Deletes the series of keys that went, up to when they did.
    pub(super) fn gone(&self) {
        let gone = std::mem::take(&mut self.keymap.due.lock().gone);
        for (key, until) in gone {
            let Some(selector) = self.keymap.selector(&String::from_utf8_lossy(&key)) else {
                continue;
            };
            let range = TimeRange::new(i64::MIN, until);
            let done = match (ringwell_query::parse_selector(&selector), range) {
                (Ok(matchers), Some(range)) => {
                    self.store.delete(matchers, range).map_err(|error| error.to_string()).map(drop)
                }
                _ => Err("no selector".to_owned()),
            };
            if let Err(error) = done {
                tracing::warn!(selector, error, "series of a key that went are not deleted yet");
                self.keymap.due.lock().gone.entry(key).or_insert(until);
            }
        }
    }
}

fn is_older(text: &[u8], plan: &Plan, cutoff: i64) -> bool {
    Element::read(text, plan).and_then(|element| element.time).is_some_and(|time| time < cutoff)
}
