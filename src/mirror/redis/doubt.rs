//! Keys of which nobody heard whether the target refused what they got: the link was cut, or the node killed, before
//! the reply came. A transaction of the target is not rolled back where one of its commands is refused, so the cursor
//! has moved. Such keys are compared, and written whole where they differ.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ringwell_storage::feed::Identity;

use super::Mirror;
use super::batch::Units;
use super::cursor::Cursor;
use super::verify::PAUSE;
use super::writer::{PIECE, own};
use crate::compare::{Outcome, What};
use crate::remote::client::Trouble;

/// More keys than these are not compared: all are written anew.
const MOST: usize = 10_000;
/// Keys that are compared together.
const AT_ONCE: usize = 500;
/// Between two looks whether there are any.
const TICK: Duration = Duration::from_secs(1);

/// Where a target is that a writer takes, with what stands there of keys that are set aside; `None` where all keys
/// have to be written anew. Notes the keys that are in doubt, unless it was `heard` what became of all.
pub(super) async fn place(
    mirror: &Mirror,
    cursor: &Cursor,
    aside: &[u8],
    heard: bool,
) -> Result<Option<(Identity, u64)>, Trouble> {
    let Some((name, end)) = cursor.place else { return Ok(None) };
    if heard {
        return Ok(cursor.place);
    }
    if !mirror.state.aside.take(aside) {
        tracing::warn!(
            mirror = mirror.options.name,
            "the target does not say which keys are set aside; all keys are written anew"
        );
        return Ok(None);
    }
    if cursor.sure >= end {
        return Ok(cursor.place);
    }
    let (store, options) = (Arc::clone(&mirror.store), mirror.options.clone());
    let from = cursor.sure;
    let touched = tokio::task::spawn_blocking(move || {
        let mut feeder = store.stream_from(&name, from)?;
        let mut units = Units::new(&options.keys, options.from_db, 0, from);
        let (mut keys, mut piece) = (BTreeSet::new(), Vec::new());
        while units.offset() < end {
            while let Some(unit) = units.next().ok()? {
                keys.extend(unit.requests.keys().map(<[u8]>::to_vec));
            }
            if units.offset() < end {
                feeder
                    .read(store.synced(), PIECE, &mut piece)
                    .ok()
                    .filter(|()| !piece.is_empty())?;
                units.put(&piece);
                piece.clear();
            }
        }
        Some(keys)
    });
    let in_doubt = touched.await.map_err(own)?.map(|keys| mirror.state.aside.doubt(keys));
    if in_doubt.is_none_or(|count| count > MOST) {
        tracing::warn!(
            mirror = mirror.options.name,
            "it is not known what the target refused of what it got last; all keys are written anew"
        );
        return Ok(None);
    }
    Ok(cursor.place)
}

impl Mirror {
    /// Compares keys that are in doubt, for ever.
    pub(super) async fn judge_doubtful(self: &Arc<Self>) {
        let mut said = String::new();
        loop {
            tokio::time::sleep(TICK).await;
            let keys = self.state.aside.doubtful(AT_ONCE);
            if keys.is_empty() {
                continue;
            }
            match self.judge(&keys).await {
                Ok(()) => said.clear(),
                Err(trouble) => {
                    let text = trouble.to_string();
                    // What breaks the link is said by the one that writes.
                    if matches!(trouble, Trouble::Stop(_)) && text != said {
                        tracing::warn!(
                            mirror = self.options.name,
                            trouble = text,
                            "keys cannot be compared of which it is not known whether the target refused what they got"
                        );
                        said = text;
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn judge(self: &Arc<Self>, keys: &[Vec<u8>]) -> Result<(), Trouble> {
        let mut outcome = Outcome::default();
        self.comparison().await?.these(keys, &mut outcome).await?;
        self.found(&outcome);
        for (key, what) in &outcome.named {
            // What cannot be settled is written whole: that is right in any case.
            if let What::Changing | What::Unread(_) = what {
                self.state.aside.add(key, what.words());
            }
        }
        self.state.aside.judged(keys);
        Ok(())
    }
}
