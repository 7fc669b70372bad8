//! Keys that were set aside are written whole, as a view has them, when the target is where the view is.

use std::sync::atomic::Ordering;

use ringwell_storage::keyspace::View;

use super::batch::{Requests, Units};
use super::rebuild::{self, BATCH};
use super::writer::{Target, own};
use crate::remote::client::Trouble;

/// Keys as they are at an offset of the stream, written when the target is there.
pub(super) struct Healing {
    keys: Vec<Vec<u8>>,
    view: View,
    pub(super) offset: u64,
}

impl Target<'_> {
    /// Looks whether keys that were set aside are due, and takes a view to write them from.
    pub(super) async fn plan_healing(&mut self, units: &mut Units<'_>) -> Result<(), Trouble> {
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
    pub(super) async fn heal(&mut self, units: &mut Units<'_>) -> Result<(), Trouble> {
        let at = units.offset();
        let Some(healing) = self.healing.take_if(|healing| healing.offset <= at) else {
            return Ok(());
        };
        if healing.offset < at {
            // The view was taken within a transaction: another one.
            return Ok(());
        }
        let place = self.mirror.store.stream().map(|stream| (stream.name, at));
        let mirror = self.mirror;
        let state = &mirror.state;
        let mut keys = healing.keys.as_slice();
        while !keys.is_empty() {
            let (mut requests, mut count) = (Requests::default(), 0);
            // A target takes only so much at a time, and the keys may be large.
            while let Some(key) = keys.get(count).filter(|_| requests.bytes.len() < BATCH.0) {
                rebuild::write_whole(self, &healing.view, key, &mut requests);
                count += 1;
            }
            let (written, rest) = keys.split_at(count);
            keys = rest;
            let refused = self.apply(requests, place).await?;
            for key in written {
                if refused.contains(key) {
                    state.aside.refused(key);
                    continue;
                }
                state.aside.remove(key);
                units.filter.aside.remove(key);
                state.healed.fetch_add(1, Ordering::Relaxed);
            }
        }
        // The target is to know at once, or a restart would write them again.
        self.apply(Requests::default(), place).await?;
        state.done.store(at, Ordering::Relaxed);
        Ok(())
    }
}
