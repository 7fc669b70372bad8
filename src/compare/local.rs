//! The keys of the node itself, read from its store.

use std::sync::Arc;

use ringwell_storage::keyspace::{Entry, Keyspace};
use ringwell_storage::store::Store;

use super::{Look, Side};
use crate::remote::client::Trouble;

/// Which keys belong to a comparison.
pub(crate) type Belongs = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// One database of the node.
pub(crate) struct Local {
    pub(crate) store: Arc<Store>,
    pub(crate) db: u8,
    pub(crate) belongs: Belongs,
    /// Milliseconds that keys expire later on the other side.
    pub(crate) grace: i64,
}

impl Side for Local {
    async fn page(&mut self, cursor: u64, count: usize) -> Result<(Vec<Vec<u8>>, u64), Trouble> {
        let (store, db, belongs) = (Arc::clone(&self.store), self.db, Arc::clone(&self.belongs));
        blocking(move || {
            store.with_keyspace(|keyspace: &Keyspace| {
                let mut names = Vec::new();
                let next = keyspace.scan(db, cursor, count, &mut |name, _| {
                    if belongs(name) {
                        names.push(name.to_vec());
                    }
                });
                (names, next)
            })
        })
        .await
    }

    async fn look(&mut self, names: &[Vec<u8>]) -> Result<Vec<Look>, Trouble> {
        let (store, db, grace, names) =
            (Arc::clone(&self.store), self.db, self.grace, names.to_vec());
        blocking(move || {
            let look = |name: &Vec<u8>| {
                // Held only for a moment: a value is shared, and read without the lock.
                let entry: Option<Entry> = store.with_keyspace(|k| k.entry(db, name).cloned());
                entry.map_or(Look::Missing, |entry| {
                    let expires = entry.expires.map(|at| at.saturating_add(grace));
                    Look::of(&entry.value, expires)
                })
            };
            names.iter().map(look).collect()
        })
        .await
    }

    async fn has(&mut self, names: &[Vec<u8>]) -> Result<Vec<bool>, Trouble> {
        let there = |keyspace: &Keyspace| {
            names.iter().map(|name| keyspace.entry(self.db, name).is_some()).collect()
        };
        Ok(self.store.with_keyspace(there))
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Trouble> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Trouble::Link(format!("the node itself: {error}")))
}
