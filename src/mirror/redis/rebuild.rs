//! All keys written anew, each whole: where the log does not reach back, or commands do not tell enough.
//!
//! Until it is done the cursor has no place, so one that is cut off begins anew.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ringwell_storage::feed::Feeder;
use ringwell_storage::keyspace::{View, for_restore};
use ringwell_storage::store::Ack;

use super::aside::MOST;
use super::batch::Requests;
use super::writer::Target;
use crate::remote::client::{Trouble, beginning};

/// Bytes of a batch, and keys.
pub(super) const BATCH: (usize, usize) = (1 << 20, 500);

pub(super) async fn run(target: &mut Target<'_>) -> Result<Feeder, Trouble> {
    let mirror = target.mirror;
    mirror.state.rebuilds.fetch_add(1, Ordering::Relaxed);
    mirror.state.rebuilding.store(true, Ordering::Relaxed);
    let mut first = Requests::default();
    target.unsettle(&mut first);
    target.at = None;
    target.apply(first, None).await?;
    mirror.state.aside.clear();
    let store = Arc::clone(&mirror.store);
    let frozen = tokio::task::spawn_blocking(move || {
        store.stream_view().map(|start| (start, store.log_end()))
    });
    let own = |error: &dyn std::fmt::Display| Trouble::Link(format!("the node itself: {error}"));
    let frozen = frozen.await.map_err(|error| own(&error))?;
    let (start, end) = frozen.map_err(|error| own(&error))?;
    mirror.store.wait(end, Ack::Synced).await.map_err(|error| own(&error))?;
    tracing::info!(
        mirror = mirror.options.name,
        keys = start.view.keys(),
        "all keys are written anew"
    );
    remove_others(target, &start.view).await?;
    write_all(target, &start.view).await?;
    let feeder = target.with_samples(start.feeder);
    target.at = feeder.place();
    target.apply(Requests::default(), Some((start.name, start.offset))).await?;
    mirror.state.done.store(start.offset, Ordering::Relaxed);
    mirror.state.rebuilding.store(false, Ordering::Relaxed);
    Ok(feeder)
}

/// Deletes keys there that are the mirror's and are not here.
async fn remove_others(target: &mut Target<'_>, view: &View) -> Result<(), Trouble> {
    let mirror = target.mirror;
    let options = &mirror.options;
    let pattern = beginning(options.keys.prefix.as_bytes());
    let mut at = b"0".to_vec();
    loop {
        let (keys, next) = target.client.scan(&at, &pattern, 1000).await?;
        let mut requests = Requests::default();
        for key in &keys {
            let here = options.keys.here(key);
            let extra = |here: &&[u8]| {
                view.entry(options.from_db, here).is_none() && !mirror.state.series.owns(here)
            };
            if let Some(here) = here.filter(extra) {
                requests.push(here, &[b"DEL", key]);
            }
        }
        if requests.len() > 0 {
            target.apply(requests, None).await?;
        }
        at = next;
        if at == b"0" {
            return Ok(());
        }
    }
}

async fn write_all(target: &mut Target<'_>, view: &View) -> Result<(), Trouble> {
    let mirror = target.mirror;
    let options = &mirror.options;
    let mut requests = Requests::default();
    for key in view.names(options.from_db) {
        if !options.keys.has(&key) || view.entry(options.from_db, &key).is_none() {
            continue;
        }
        write_whole(target, view, &key, &mut requests);
        if requests.bytes.len() >= BATCH.0 || requests.len() >= BATCH.1 {
            target.apply(std::mem::take(&mut requests), None).await?;
            bounded(target)?;
        }
    }
    if requests.len() > 0 {
        target.apply(requests, None).await?;
    }
    bounded(target)
}

/// Writing all anew helps some keys, but not where the target takes hardly any.
fn bounded(target: &Target<'_>) -> Result<(), Trouble> {
    let aside = target.mirror.state.aside.list();
    match aside.first().filter(|_| aside.len() > MOST) {
        Some((key, why)) => Err(Trouble::Stop(format!(
            "the target refuses more than {MOST} keys, {:?} with: {}",
            String::from_utf8_lossy(key),
            why.error
        ))),
        None => Ok(()),
    }
}

/// Writes a key whole, as the view has it; deletes it there if the view has it not, unless series made it.
pub(super) fn write_whole(
    target: &mut Target<'_>,
    view: &View,
    key: &[u8],
    requests: &mut Requests,
) {
    let mirror = target.mirror;
    let options = &mirror.options;
    let there = options.keys.there(key);
    let Some(entry) = view.entry(options.from_db, key) else {
        if !mirror.state.series.owns(key) {
            requests.push(key, &[b"DEL", &there]);
        }
        return;
    };
    target.give_way(key, requests);
    let at = entry.expires.map_or(0, |at| at.saturating_add(target.grace()).max(1)).to_string();
    let value = for_restore(&entry.value);
    requests.push(key, &[b"RESTORE", &there, at.as_bytes(), &value, b"REPLACE", b"ABSTTL"]);
}
