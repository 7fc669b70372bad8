//! What a target has of keys, asked before they are pushed to.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::Model;
use super::hash::Hash;
use super::list::{List, WINDOW};
use super::own::{OTHERS, REFUSED};
use super::route::Row;
use super::rule::{Part, Place};
use super::spell::{Element, Time};
use crate::mirror::redis::batch::{OWN, Requests};
use crate::mirror::redis::commit::is_of_one_key;
use crate::mirror::redis::writer::Target;
use crate::remote::client::{Reply, Trouble, command};

/// Keys that are asked for at a time.
const PAGE: usize = 200;
/// A key that is somebody else's, or for which there was no room, is looked at again so late.
const TAKEN: Duration = Duration::from_secs(60);
/// What a target says that has another type at a key.
const WRONG_TYPE: &str = "WRONGTYPE";

impl Target<'_> {
    /// Sees to it that what the target has of all keys of these rows is known.
    pub(super) async fn load(&mut self, rows: &[Row]) -> Result<(), Trouble> {
        let now = crate::clock::now_ms();
        let mut wanted: Vec<Place> = Vec::new();
        let mut seen = BTreeSet::new();
        for row in rows {
            for place in row.places.iter() {
                if self.is_unknown(place, row.t, now) && seen.insert(Arc::clone(&place.key)) {
                    wanted.push(place.clone());
                }
            }
        }
        let mut whole = Vec::new();
        for page in wanted.chunks(PAGE) {
            whole.extend(self.ask(page).await?);
        }
        if !whole.is_empty() {
            self.write_whole_keys(whole).await?;
        }
        Ok(())
    }

    fn is_unknown(&self, place: &Place, t: i64, now: i64) -> bool {
        // A key that is about to go may be gone.
        let margin = place.ttl.map_or(0, |ttl| (ttl / 4).min(60_000));
        let goes = |at: Option<i64>| at.is_some_and(|at| at <= now + margin);
        match self.pushing.models.get(&place.key) {
            None => true,
            Some(Model::List(list)) => goes(list.expires()),
            Some(Model::Hash(hash)) => goes(hash.expires()),
            Some(Model::Expired) => place.ttl.is_none_or(|ttl| t.saturating_add(ttl) > now),
            Some(Model::Taken(since) | Model::Full(since)) => since.elapsed() >= TAKEN,
        }
    }

    /// Asks for keys; gives those that have to be written whole.
    async fn ask(&mut self, places: &[Place]) -> Result<Vec<Arc<[u8]>>, Trouble> {
        let (mut requests, mut count) = (Vec::new(), 0);
        let last = (WINDOW - 1).to_string();
        let told = Arc::clone(&self.mirror.state.series);
        for place in places {
            let there = self.mirror.options.keys.there(&place.key);
            let owned = told.owns(&place.key);
            command(&mut requests, &[if place.is_list() { b"LLEN" } else { b"HLEN" }, &there]);
            count += 1;
            if owned && place.is_list() {
                command(&mut requests, &[b"LRANGE", &there, b"0", last.as_bytes()]);
                count += 1;
            }
        }
        let mut replies = self.client.call(&requests, count).await?.into_iter();
        let mut whole = Vec::new();
        for place in places {
            let owned = told.owns(&place.key);
            let length = replies.next();
            let newest = if owned && place.is_list() { replies.next() } else { None };
            let taken = match length {
                Some(Reply::Integer(0))
                    if there_is_a_name_for(&self.mirror.options.keys, &place.key) =>
                {
                    whole.push(Arc::clone(&place.key));
                    continue;
                }
                Some(Reply::Integer(0)) => "its name is for mirrors",
                Some(Reply::Integer(length)) if owned => {
                    let length = usize::try_from(length).unwrap_or(0);
                    self.known(place, length, newest, &mut whole);
                    continue;
                }
                Some(Reply::Error(error)) if is_of_one_key(&error) => REFUSED,
                Some(Reply::Error(error)) if !error.starts_with(WRONG_TYPE) => {
                    return Err(crate::remote::client::classify(&error));
                }
                Some(_) => OTHERS,
                None => return Err(Trouble::Link("no reply".to_owned())),
            };
            if owned {
                let mut requests = Requests::default();
                self.register(&place.key, None, &mut requests);
                self.apply_series(requests).await?;
            }
            self.is_taken(&place.key, taken);
        }
        Ok(whole)
    }

    /// The target has a key that series made.
    fn known(
        &mut self,
        place: &Place,
        length: usize,
        newest: Option<Reply>,
        whole: &mut Vec<Arc<[u8]>>,
    ) {
        let model = match &place.part {
            Part::Member { time, .. } => {
                let elements = newest.and_then(|newest| elements(newest, *time));
                let shape = (place.max_len, place.ttl, *time);
                elements.map(|elements| Model::List(List::new(elements, length, shape)))
            }
            Part::Field { .. } => {
                let register = self.mirror.state.series.register();
                let state = register.get(&place.key).unwrap_or_default();
                Hash::read(state, place.ttl).map(Model::Hash)
            }
        };
        match model {
            Some(model) => drop(self.pushing.models.insert(Arc::clone(&place.key), model)),
            None => whole.push(Arc::clone(&place.key)),
        }
    }
}

/// The elements of a reply; `None` if one was not written by series.
fn elements(reply: Reply, time: Time) -> Option<Vec<Element>> {
    let Reply::Array(Some(parts)) = reply else { return None };
    let read = |part| match part {
        Reply::Bulk(Some(text)) => Element::read(&text, time),
        _ => None,
    };
    parts.into_iter().map(read).collect()
}

/// Keys that are called as mirrors' own are in the target are of none.
fn there_is_a_name_for(keys: &crate::mirror::redis::Keys, key: &[u8]) -> bool {
    !keys.there(key).starts_with(OWN) && !key.is_empty()
}
