//! The store on its way. The faces answer before it is open; who needs it waits here, or does without.

use std::sync::{Arc, OnceLock};

use ringwell_storage::store::Store;
use ringwell_storage::wal::Progress;
use tokio::sync::watch;

use crate::metrics::Families;

/// A store that is open or will be.
#[derive(Default)]
pub struct Opening {
    store: OnceLock<Arc<Store>>,
    opened: watch::Sender<bool>,
    progress: Arc<Progress>,
}

impl Opening {
    /// One that is open.
    pub fn opened(store: Arc<Store>) -> Opening {
        let opening = Opening::default();
        opening.open(store);
        opening
    }

    /// The store; nothing while its log is replayed.
    pub fn store(&self) -> Option<&Arc<Store>> {
        self.store.get()
    }

    /// It is open now. Only the first time counts.
    pub fn open(&self, store: Arc<Store>) {
        if self.store.set(store).is_ok() {
            self.opened.send_replace(true);
        }
    }

    /// Returns once it is open.
    pub async fn wait(&self) {
        // The sender lives as long as this does, so waiting cannot fail.
        let _ = self.opened.subscribe().wait_for(|opened| *opened).await;
    }

    /// How far the replay of the log is.
    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// Its metrics.
    pub fn gather(&self, out: &mut Families) {
        let help = "1 while the log is replayed and the store is not open yet.";
        out.gauge("ringwell_replaying", help, f64::from(u8::from(self.store().is_none())));
        let help = "Bytes of the log to replay at this start, filling included.";
        out.gauge("ringwell_replay_bytes", help, self.progress.bytes() as f64);
        let help = "Bytes of the log that this start has replayed.";
        out.gauge("ringwell_replayed_bytes", help, self.progress.done() as f64);
    }
}
