//! Samples of the log brought to the target.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ringwell_storage::feed::{Feeder, LogPlace};

use super::list::Added;
use super::own::REFUSED;
use super::route::{Router, Row, Where, count};
use super::rule::Part;
use super::{LIST, Model, Pushing, SETTLED};
use crate::mirror::redis::Mirror;
use crate::mirror::redis::batch::Requests;
use crate::mirror::redis::writer::Target;
use crate::remote::client::Trouble;

/// Samples of a transaction.
const ROWS: usize = 5000;

impl Pushing {
    /// What is known at the start of a connection.
    pub(in crate::mirror::redis) fn new(mirror: &Mirror) -> Pushing {
        let rules: Arc<[super::Rule]> = mirror.options.series.clone().into();
        let mut text = b"1".to_vec();
        for rule in rules.iter() {
            text.push(b' ');
            text.extend_from_slice(rule.text().as_bytes());
        }
        text.extend_from_slice(format!(" {:?}", mirror.options.keys.prefix).as_bytes());
        let to = Where { rules, keymap: Arc::clone(&mirror.keymap) };
        let skipped = Arc::clone(&mirror.state.series.skipped);
        let router = Router::new(to, Arc::clone(&mirror.store), skipped);
        let now = Instant::now();
        Pushing {
            text,
            models: std::collections::HashMap::new(),
            whole: Vec::new(),
            unsettled: false,
            settled: now,
            took: Duration::ZERO,
            swept: now,
            sweep: Vec::new(),
            router: Some(router),
        }
    }

    pub(super) fn to(&self) -> Option<Where> {
        self.router.as_ref().map(|router| router.to.clone())
    }

    /// What the target has of a key is not known any more.
    pub(in crate::mirror::redis) fn forget(&mut self, key: &[u8]) {
        self.models.remove(key);
    }

    pub(super) fn due(&self) -> bool {
        self.unsettled || !self.whole.is_empty()
    }
}

impl Target<'_> {
    pub(in crate::mirror::redis) fn has_series(&self) -> bool {
        !self.mirror.options.series.is_empty()
    }

    /// Has a feeder tell of samples from its own place on, if there are rules for them.
    pub(in crate::mirror::redis) fn with_samples(&self, feeder: Feeder) -> Feeder {
        let from = feeder.position();
        if self.has_series() { feeder.with_samples(from) } else { feeder }
    }

    /// Brings the samples that were read to the target, which has all of the log up to a place then.
    pub(in crate::mirror::redis) async fn push_samples(
        &mut self,
        at: Option<LogPlace>,
    ) -> Result<(), Trouble> {
        let Some(router) = &mut self.pushing.router else { return Ok(()) };
        let rows = std::mem::take(&mut router.rows);
        self.pushing.unsettled |= std::mem::take(&mut router.unsettled);
        let mut chunks = rows.chunks(ROWS).peekable();
        while let Some(rows) = chunks.next() {
            self.load(rows).await?;
            let mut requests = Requests::default();
            let touched = self.add(rows);
            for key in touched {
                self.flush(&key, &mut requests);
            }
            if chunks.peek().is_none() {
                self.at = at.or(self.at);
            }
            if self.pushing.due() {
                self.register(SETTLED, None, &mut requests);
            }
            self.apply_series(requests).await?;
            self.mirror.state.series.samples.fetch_add(rows.len() as u64, Ordering::Relaxed);
        }
        self.at = at.or(self.at);
        if self.pushing.due() && self.mirror.state.series.register().get(SETTLED).is_some() {
            let mut requests = Requests::default();
            self.register(SETTLED, None, &mut requests);
            self.apply_series(requests).await?;
        }
        Ok(())
    }

    /// Applies what is of series' keys. Those that are refused are somebody else's, and not set aside.
    pub(super) async fn apply_series(&mut self, requests: Requests) -> Result<(), Trouble> {
        if requests.len() == 0 {
            return Ok(());
        }
        let offset = self.mirror.state.done.load(Ordering::Relaxed);
        let name = self.mirror.store.stream().map(|stream| stream.name);
        let place = self.cursor.place.and(name).map(|name| (name, offset));
        let refused = self.apply(requests, place).await?;
        for key in refused {
            self.mirror.state.aside.remove(&key);
            self.is_taken(&key, REFUSED);
        }
        Ok(())
    }

    /// Takes samples into what is known; gives the keys that they change.
    fn add(&mut self, rows: &[Row]) -> BTreeSet<Arc<[u8]>> {
        let mut touched = BTreeSet::new();
        let room = self.mirror.state.series.register().has_room();
        let skipped = &self.mirror.state.series.skipped;
        for row in rows {
            for place in row.places.iter() {
                match (self.pushing.models.get_mut(&place.key), &place.part) {
                    (Some(Model::List(_)), Part::Member { time, .. }) if !time.tells(row.t) => {
                        count(&skipped.time);
                    }
                    (Some(Model::List(list)), Part::Member { labels, member, .. }) => {
                        let Some(value) = row.value else { continue };
                        match list.add(row.t, labels, member, value) {
                            Added::Yes => drop(touched.insert(Arc::clone(&place.key))),
                            Added::No => count(&skipped.known),
                            Added::Deeper if self.pushing.whole.contains(&place.key) => {}
                            Added::Deeper => self.pushing.whole.push(Arc::clone(&place.key)),
                        }
                    }
                    (Some(Model::Hash(hash)), Part::Field { field, scale }) => {
                        if hash.add(row.t, field, row.value.map(|v| v * scale), room) {
                            touched.insert(Arc::clone(&place.key));
                        } else {
                            count(&skipped.limit);
                        }
                    }
                    (Some(Model::Taken(_)), _) => count(&skipped.taken),
                    (Some(Model::Expired) | None, _) => count(&skipped.known),
                    (Some(Model::Full(_)), _) => count(&skipped.limit),
                    (Some(_), _) => count(&skipped.kind),
                }
            }
        }
        touched
    }

    fn flush(&mut self, key: &Arc<[u8]>, requests: &mut Requests) {
        let there = self.mirror.options.keys.there(key);
        match self.pushing.models.get_mut(key) {
            Some(Model::List(list)) => {
                list.flush(key, &there, requests);
                self.register(key, Some(LIST), requests);
            }
            Some(Model::Hash(hash)) => {
                if let Some(state) = hash.flush(key, &there, requests) {
                    self.register(key, Some(&state), requests);
                }
            }
            _ => {}
        }
    }
}
