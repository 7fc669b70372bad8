//! Keys of series written whole, as the store has them; and keys that have gone struck out of the register.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ringwell_storage::model::WalPosition;
use ringwell_storage::store::Ack;

use super::hash::Hash;
use super::list::List;
use super::own::OTHERS;
use super::rule::Part;
use super::whole::{Contents, Whole, Wholes};
use super::{LIST, Model, SETTLED};
use crate::mirror::redis::batch::Requests;
use crate::mirror::redis::commit::is_of_one_key;
use crate::mirror::redis::rebuild::BATCH;
use crate::mirror::redis::writer::{Target, own};
use crate::remote::client::{Reply, Trouble, command};

/// Keys of somebody else's that are named.
pub(super) const MOST_NAMED: usize = 1000;
/// Where the log is far ahead, keys are written whole so often.
const PAUSE: Duration = Duration::from_secs(5);
/// Keys that have gone are looked for so often, and so many at a time.
const SWEEP: (Duration, usize) = (Duration::from_secs(60), 1000);
/// Elements of one command.
const ELEMENTS: usize = 1000;
/// Keys asked for at a time.
const PAGE: usize = 500;
/// So long the keymap may take to look at all keys after a start.
const LEARNS: Duration = Duration::from_secs(5);

impl Target<'_> {
    /// Writes whole what has to be; gives the position below which no sample of the log tells anything more.
    pub(in crate::mirror::redis) async fn settle(
        &mut self,
        caught_up: bool,
    ) -> Result<Option<WalPosition>, Trouble> {
        // Late samples that keep coming have the store read a tenth of the time at most.
        let pause = if caught_up { Duration::ZERO } else { PAUSE };
        let pause = pause.max(self.pushing.took.saturating_mul(9));
        if !self.pushing.due() || self.pushing.settled.elapsed() < pause {
            return Ok(None);
        }
        let began = Instant::now();
        let end = self.mirror.store.log_end();
        let all = std::mem::take(&mut self.pushing.unsettled);
        if all {
            self.pushing.whole.clear();
            self.pushing.models.clear();
            if let Some(router) = &mut self.pushing.router {
                router.rows.clear();
            }
            self.write_all_keys().await?;
        } else {
            let keys = std::mem::take(&mut self.pushing.whole);
            self.write_whole_keys(keys).await?;
        }
        let mut requests = Requests::default();
        let text = self.pushing.text.clone();
        self.register(SETTLED, Some(&text), &mut requests);
        self.apply_series(requests).await?;
        self.pushing.settled = Instant::now();
        self.pushing.took = began.elapsed();
        // Of one key it tells nothing of the others.
        Ok(all.then_some(end))
    }

    /// All keys of series, and none that is none any more.
    async fn write_all_keys(&mut self) -> Result<(), Trouble> {
        let wholes = self.find_wholes().await?;
        let told = Arc::clone(&self.mirror.state.series);
        told.lock_taken().clear();
        let known: Vec<Vec<u8>> = told.register().keys().map(<[u8]>::to_vec).collect();
        let mut requests = Requests::default();
        for key in known.iter().filter(|key| !wholes.has(key)) {
            self.delete(key, &mut requests);
            if requests.len() >= BATCH.1 {
                self.apply_series(std::mem::take(&mut requests)).await?;
            }
        }
        self.apply_series(requests).await?;
        let keys: Vec<Arc<[u8]>> = wholes.keys().cloned().collect();
        let mut ours = Vec::new();
        for page in keys.chunks(PAGE) {
            ours.extend(self.ours(page).await?);
        }
        tracing::info!(
            mirror = self.mirror.options.name,
            keys = ours.len(),
            "all keys of series are written anew"
        );
        self.write_from(wholes, ours).await
    }

    /// These keys, which are nobody else's.
    pub(super) async fn write_whole_keys(&mut self, keys: Vec<Arc<[u8]>>) -> Result<(), Trouble> {
        if keys.is_empty() {
            return Ok(());
        }
        let wholes = self.find_wholes().await?;
        self.write_from(wholes, keys).await
    }

    /// What the store has, once all of it is synced: a target has nothing that a power cut takes from the node.
    async fn find_wholes(&mut self) -> Result<Wholes, Trouble> {
        let store = Arc::clone(&self.mirror.store);
        let to = self.pushing.to().ok_or_else(|| own("the log is being read"))?;
        let asked = Instant::now();
        while !to.keymap.knows_all() && asked.elapsed() < LEARNS {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let found = tokio::task::spawn_blocking(move || Wholes::find(&store, &to)).await;
        let wholes = found.map_err(own)?.map_err(own)?;
        let end = self.mirror.store.log_end();
        self.mirror.store.wait(end, Ack::Synced).await.map_err(own)?;
        Ok(wholes)
    }

    /// Which of these keys are not somebody else's in the target.
    async fn ours(&mut self, keys: &[Arc<[u8]>]) -> Result<Vec<Arc<[u8]>>, Trouble> {
        let told = Arc::clone(&self.mirror.state.series);
        let (ours, asked): (Vec<_>, Vec<_>) = keys.iter().cloned().partition(|key| told.owns(key));
        let mut ours = ours;
        let found = self.exist(&asked).await?;
        for (key, exists) in asked.into_iter().zip(found) {
            let there = self.mirror.options.keys.there(&key);
            if there.starts_with(crate::mirror::redis::batch::OWN) {
                self.is_taken(&key, "its name is for mirrors");
            } else if exists {
                self.is_taken(&key, OTHERS);
            } else {
                ours.push(key);
            }
        }
        Ok(ours)
    }

    async fn exist(&mut self, keys: &[Arc<[u8]>]) -> Result<Vec<bool>, Trouble> {
        let mut request = Vec::new();
        for key in keys {
            command(&mut request, &[b"EXISTS", &self.mirror.options.keys.there(key)]);
        }
        let replies = self.client.call(&request, keys.len()).await?;
        // One that it may not look at is there for somebody else.
        let of_all = |reply: &&Reply| !matches!(reply, Reply::Error(text) if is_of_one_key(text));
        if let Some(trouble) = replies.iter().filter(of_all).find_map(Reply::trouble) {
            return Err(trouble);
        }
        Ok(replies.iter().map(|reply| *reply != Reply::Integer(0)).collect())
    }

    async fn write_from(&mut self, wholes: Wholes, keys: Vec<Arc<[u8]>>) -> Result<(), Trouble> {
        let wholes = Arc::new(wholes);
        let mut requests = Requests::default();
        for key in keys {
            let told = &self.mirror.state.series;
            let full = told.keys() >= self.mirror.options.series_keys && !told.owns(&key);
            if full {
                self.pushing.models.insert(key, Model::Full(Instant::now()));
                continue;
            }
            let (of, wanted) = (Arc::clone(&wholes), Arc::clone(&key));
            let read = tokio::task::spawn_blocking(move || of.read(&wanted)).await;
            match read.map_err(own)?.map_err(own)? {
                Some(whole) => self.put_whole(&key, whole, &mut requests),
                None => {
                    self.delete(&key, &mut requests);
                    self.pushing.models.insert(key, Model::Expired);
                }
            }
            if requests.bytes.len() >= BATCH.0 || requests.len() >= BATCH.1 {
                self.apply_series(std::mem::take(&mut requests)).await?;
            }
        }
        self.apply_series(requests).await
    }

    fn put_whole(&mut self, key: &Arc<[u8]>, whole: Whole, requests: &mut Requests) {
        let there = self.mirror.options.keys.there(key);
        let expired = |at: Option<i64>| at.is_some_and(|at| at <= crate::clock::now_ms());
        self.mirror.state.series.lock_taken().remove(&**key);
        let Whole { place, value } = whole;
        let model = match (value, &place.part) {
            (Contents::List(elements), Part::Member { time, .. }) => {
                let shape = (place.max_len, place.ttl, *time);
                let list = List::new(elements.iter().cloned(), elements.len(), shape);
                if expired(list.expires()) {
                    Model::Expired
                } else {
                    requests.push(key, &[b"DEL", &there]);
                    let texts: Vec<String> = elements.iter().map(|e| e.spelled(*time)).collect();
                    for texts in texts.chunks(ELEMENTS) {
                        let mut words: Vec<&[u8]> = vec![b"RPUSH", &there];
                        words.extend(texts.iter().map(String::as_bytes));
                        requests.push(key, &words);
                    }
                    if let Some(at) = list.expires() {
                        requests
                            .push(key, &[b"PEXPIREAT", &there, at.max(1).to_string().as_bytes()]);
                    }
                    self.register(key, Some(LIST), requests);
                    Model::List(list)
                }
            }
            (Contents::Hash(fields), _) => {
                let mut hash = Hash::new(place.ttl);
                let room = self.mirror.state.series.register().has_room();
                for (name, t, v) in fields {
                    if !hash.add(t, &name, Some(v), room) {
                        super::route::count(&self.mirror.state.series.skipped.limit);
                    }
                }
                if expired(hash.expires()) {
                    Model::Expired
                } else {
                    requests.push(key, &[b"DEL", &there]);
                    let state = hash.flush(key, &there, requests);
                    self.register(key, state.as_deref(), requests);
                    Model::Hash(hash)
                }
            }
            (Contents::List(_), Part::Field { .. }) => Model::Expired,
        };
        if matches!(model, Model::Expired) {
            self.delete(key, requests);
        }
        self.mirror.state.series.written.fetch_add(1, Ordering::Relaxed);
        self.pushing.models.insert(Arc::clone(key), model);
    }

    /// Strikes keys out of the register that have gone, by themselves or by somebody's hand.
    pub(in crate::mirror::redis) async fn sweep(&mut self) -> Result<(), Trouble> {
        if self.pushing.swept.elapsed() < SWEEP.0 {
            return Ok(());
        }
        self.pushing.swept = Instant::now();
        let from = std::mem::take(&mut self.pushing.sweep);
        let keys: Vec<Arc<[u8]>> = {
            let register = self.mirror.state.series.register();
            let rest = register.keys().filter(|key| **key > *from);
            rest.take(SWEEP.1).map(Arc::from).collect()
        };
        if keys.len() == SWEEP.1 {
            self.pushing.sweep = keys.last().map(|key| key.to_vec()).unwrap_or_default();
        }
        let found = self.exist(&keys).await?;
        let mut requests = Requests::default();
        for (key, _) in keys.iter().zip(found).filter(|(_, exists)| !exists) {
            self.pushing.forget(key);
            self.register(key, None, &mut requests);
        }
        self.apply_series(requests).await
    }
}
