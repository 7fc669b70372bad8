//! All keys written anew, each whole: where the log does not reach back, or commands do not tell enough.
//!
//! Until it is done the cursor has no place, so one that is cut off begins anew.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ringwell_storage::feed::Feeder;
use ringwell_storage::keyspace::{View, for_restore};
use ringwell_storage::store::Ack;

use super::client::{Reply, Trouble, command};
use super::writer::Target;

/// Bytes of a batch, and keys.
const BATCH: (usize, usize) = (1 << 20, 500);

pub(super) async fn run(target: &mut Target<'_>) -> Result<Feeder, Trouble> {
    let mirror = target.mirror;
    mirror.state.rebuilds.fetch_add(1, Ordering::Relaxed);
    target.apply(&[], 0, None).await?;
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
    target.apply(&[], 0, Some((start.name, start.offset))).await?;
    mirror.state.done.store(start.offset, Ordering::Relaxed);
    Ok(start.feeder)
}

/// Deletes keys there that are the mirror's and are not here.
async fn remove_others(target: &mut Target<'_>, view: &View) -> Result<(), Trouble> {
    let options = &target.mirror.options;
    let mut pattern: Vec<u8> = Vec::new();
    for byte in options.keys.prefix.bytes() {
        if matches!(byte, b'*' | b'?' | b'[' | b']' | b'\\' | b'^') {
            pattern.push(b'\\');
        }
        pattern.push(byte);
    }
    pattern.push(b'*');
    let mut at = b"0".to_vec();
    loop {
        let mut request = Vec::new();
        command(&mut request, &[b"SCAN", &at, b"MATCH", &pattern, b"COUNT", b"1000"]);
        let reply = target.client.call(&request, 1).await?.pop();
        if let Some(trouble) = reply.as_ref().and_then(Reply::trouble) {
            return Err(trouble);
        }
        let wrong = || Trouble::Link("the target's SCAN is none".to_owned());
        let Some(Reply::Array(Some(parts))) = reply else { return Err(wrong()) };
        let [Reply::Bulk(Some(next)), Reply::Array(Some(keys))] = parts.as_slice() else {
            return Err(wrong());
        };
        let (mut requests, mut count) = (Vec::new(), 0);
        for key in keys {
            let Reply::Bulk(Some(key)) = key else { return Err(wrong()) };
            let cursor = key.starts_with(b"ringwell:mirror:{");
            let here = options.keys.here(key).filter(|_| !cursor);
            if here.is_some_and(|here| view.entry(options.from_db, here).is_none()) {
                command(&mut requests, &[b"DEL", key]);
                count += 1;
            }
        }
        if count > 0 {
            target.apply(&requests, count, None).await?;
        }
        at.clone_from(next);
        if at == b"0" {
            return Ok(());
        }
    }
}

async fn write_all(target: &mut Target<'_>, view: &View) -> Result<(), Trouble> {
    let (options, grace) = (&target.mirror.options, target.grace());
    let (mut requests, mut count) = (Vec::new(), 0);
    for key in view.names(options.from_db) {
        let Some(entry) = view.entry(options.from_db, &key).filter(|_| options.keys.has(&key))
        else {
            continue;
        };
        let at = entry.expires.map_or(0, |at| at.saturating_add(grace).max(1)).to_string();
        let there = options.keys.there(&key);
        let value = for_restore(&entry.value);
        command(&mut requests, &[b"RESTORE", &there, at.as_bytes(), &value, b"REPLACE", b"ABSTTL"]);
        count += 1;
        if requests.len() >= BATCH.0 || count >= BATCH.1 {
            target.apply(&std::mem::take(&mut requests), count, None).await?;
            count = 0;
        }
    }
    if count > 0 {
        target.apply(&requests, count, None).await?;
    }
    Ok(())
}
