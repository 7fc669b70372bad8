//! One transaction in the target: requests and the cursor, all or nothing, and what its replies mean.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use ringwell_storage::feed::Identity;

use super::batch::Requests;
use super::cursor::Cursor;
use super::writer::{SPOILT, Target};
use super::{PAUSE, jitter};
use crate::remote::client::{Reply, Trouble, classify, command};

/// Times that a target which cannot now is asked again on the same connection.
const ASKED: u32 = 20;

/// What became of a transaction.
enum Committed {
    /// It is done, but for what these keys were refused.
    All(HashSet<Vec<u8>>),
    /// It is not done: what these keys get is not taken.
    Without(HashSet<Vec<u8>>),
}

impl Target<'_> {
    /// Has the target do requests and move the cursor, all or nothing; asks again while it cannot now. Gives the
    /// keys that it refuses: they are set aside, and the rest is done.
    pub(super) async fn apply(
        &mut self,
        mut requests: Requests,
        place: Option<(Identity, u64)>,
    ) -> Result<HashSet<Vec<u8>>, Trouble> {
        let mut pause = PAUSE.0;
        for _ in 0..ASKED {
            let now = crate::clock::now_ms();
            match self.commit(&mut requests, place, now).await {
                Err(trouble @ Trouble::Busy(_)) => {
                    self.mirror.say(&trouble);
                    self.mirror.state.retries.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(pause + jitter(pause)).await;
                    pause = (pause * 2).min(PAUSE.1);
                }
                done => {
                    if done.is_ok() {
                        self.mirror.well();
                    }
                    return done;
                }
            }
        }
        Err(Trouble::Link("the target could not for a long time".to_owned()))
    }

    /// As often as some keys' commands are not even queued: without those keys.
    pub(super) async fn commit(
        &mut self,
        requests: &mut Requests,
        place: Option<(Identity, u64)>,
        now: i64,
    ) -> Result<HashSet<Vec<u8>>, Trouble> {
        let mut refused = HashSet::new();
        loop {
            match self.try_commit(requests, place, now).await? {
                Committed::All(keys) => {
                    refused.extend(keys);
                    return Ok(refused);
                }
                Committed::Without(keys) => {
                    requests.leave_out(&keys);
                    refused.extend(keys);
                }
            }
        }
    }

    async fn try_commit(
        &mut self,
        requests: &Requests,
        place: Option<(Identity, u64)>,
        now: i64,
    ) -> Result<Committed, Trouble> {
        self.check().await?;
        let count = requests.len();
        let sure = match (place, self.cursor.place) {
            (Some((_, end)), Some((_, before))) if count > 0 => before.min(end),
            (Some((_, end)), _) => end,
            (None, _) => 0,
        };
        let next = Cursor { epoch: self.cursor.epoch, place, moved: now, sure, at: self.at };
        let (text, aside) = (next.text(), self.mirror.state.aside.text());
        let mut all = Vec::with_capacity(requests.bytes.len() + 256);
        command(&mut all, &[b"MULTI"]);
        all.extend_from_slice(&requests.bytes);
        let told = aside != self.aside;
        if told {
            let key = Cursor::aside_key(&self.mirror.options.name);
            match aside.as_slice() {
                b"" => command(&mut all, &[b"DEL", &key]),
                aside => command(&mut all, &[b"SET", &key, aside]),
            }
        }
        command(&mut all, &[b"SET", &self.key, &text]);
        command(&mut all, &[b"EXEC"]);
        let mut replies = self.client.call(&all, count + 3 + usize::from(told)).await?;
        let last = replies.pop();
        if let Some(Reply::Error(aborted)) = last {
            let refused = self.not_queued(&replies, requests);
            if !refused.is_empty() {
                return Ok(Committed::Without(refused));
            }
            let queued = replies.iter().find_map(Reply::trouble);
            return Err(queued.unwrap_or_else(|| classify(&aborted)));
        }
        let refused = match last {
            Some(Reply::Array(Some(done))) => self.look(&done, requests),
            Some(Reply::Array(None)) => return Err(self.overtaken().await),
            _ => return Err(Trouble::Link("the target's EXEC is no array".to_owned())),
        };
        let state = &self.mirror.state;
        state.lock_last().clone_from(&text);
        (self.cursor, self.text, self.aside) = (next, Some(text), aside);
        state.batches.fetch_add(1, Ordering::Relaxed);
        state.commands.fetch_add(count as u64, Ordering::Relaxed);
        Ok(Committed::All(refused))
    }

    /// The keys whose commands were not queued, if nothing else was wrong; they are set aside.
    fn not_queued(&self, replies: &[Reply], requests: &Requests) -> HashSet<Vec<u8>> {
        let errors = || {
            let queued = replies.iter().enumerate();
            queued.filter_map(|(at, reply)| match reply {
                // The first reply is that to MULTI.
                Reply::Error(text) => Some((at.checked_sub(1), text)),
                _ => None,
            })
        };
        let key = |at: Option<usize>| at.and_then(|at| requests.key(at));
        if errors().any(|(at, text)| key(at).is_none() || !is_of_one_key(text)) {
            return HashSet::new();
        }
        let mut keys = HashSet::new();
        for (at, text) in errors() {
            if let Some(key) = key(at) {
                self.refuses(key, text);
                keys.insert(key.to_vec());
            }
        }
        requests.spoils_all(&mut keys);
        for key in &keys {
            self.mirror.state.aside.add(key, SPOILT);
        }
        keys
    }

    /// Sees to it that the cursor is as this writer left it, and that EXEC fails if it is not any more.
    async fn check(&mut self) -> Result<(), Trouble> {
        let mut request = Vec::new();
        command(&mut request, &[b"WATCH", &self.key]);
        command(&mut request, &[b"GET", &self.key]);
        let replies = self.client.call(&request, 2).await?;
        if let Some(trouble) = replies.iter().find_map(Reply::trouble) {
            return Err(trouble);
        }
        match replies.last() {
            Some(Reply::Bulk(text)) if *text == self.text => Ok(()),
            _ => Err(self.overtaken().await),
        }
    }

    /// The cursor is not as this writer left it: whether another writer is there.
    async fn overtaken(&mut self) -> Trouble {
        let text = match self.client.ask(&[b"GET", &self.key]).await {
            Ok(Reply::Bulk(text)) => text,
            Ok(_) => None,
            Err(trouble) => return trouble,
        };
        let found = text.as_deref().map(Cursor::read).unwrap_or_default();
        if found.epoch <= self.cursor.epoch {
            return Trouble::Link("the cursor is not where it was left".to_owned());
        }
        self.mirror.sees_other(&found)
    }

    /// Tells of what the target refused for good, as a transaction is not rolled back: keys are set aside.
    fn look(&self, done: &[Reply], requests: &Requests) -> HashSet<Vec<u8>> {
        let mut keys = HashSet::new();
        for (at, reply) in done.iter().take(requests.len()).enumerate() {
            if let (Reply::Error(text), Some(key)) = (reply, requests.key(at)) {
                self.refuses(key, text);
                keys.extend(self.spoilt(key, at, requests));
            }
        }
        keys
    }

    /// A key that was refused at a request, and those that were copied from it since: they are set aside too.
    fn spoilt(&self, key: &[u8], at: usize, requests: &Requests) -> HashSet<Vec<u8>> {
        let mut keys = HashSet::from([key.to_vec()]);
        requests.spoils(at, &mut keys);
        for key in &keys {
            self.mirror.state.aside.add(key, SPOILT);
        }
        keys
    }

    fn refuses(&self, key: &[u8], error: &str) {
        let state = &self.mirror.state;
        state.dead.fetch_add(1, Ordering::Relaxed);
        if state.aside.add(key, error) {
            let (mirror, key) = (&self.mirror.options.name, String::from_utf8_lossy(key));
            tracing::error!(mirror, %key, error, "the target refuses a command: its key is set aside, and written whole");
        }
    }
}

/// Whether what was not queued is refused for its key or its kind of command, and not for all of them.
pub(super) fn is_of_one_key(error: &str) -> bool {
    let of_key = error.starts_with("NOPERM") && error.contains("key") && !error.contains("command");
    of_key || error.contains("unknown command")
}
