//! Which keys of the target series made: read, said, and given up.

use std::time::Instant;

use super::register::Register;
use super::{Model, SETTLED};
use crate::mirror::redis::batch::Requests;
use crate::mirror::redis::cursor::Cursor;
use crate::mirror::redis::writer::Target;
use crate::remote::client::{Reply, Trouble, command};

pub(super) const REFUSED: &str = "the target refuses it";
pub(super) const OTHERS: &str = "it is the node's own, or somebody else's";

impl Target<'_> {
    pub(super) fn register_key(&self) -> Vec<u8> {
        Cursor::series_key(&self.mirror.options.name)
    }

    /// Reads which keys of the target series made.
    pub(in crate::mirror::redis) async fn read_register(&mut self) -> Result<(), Trouble> {
        let wrong = || Trouble::Link("the register of series in the target is no hash".to_owned());
        let mut request = Vec::new();
        command(&mut request, &[b"HGETALL", &self.register_key()]);
        let reply = self.client.call(&request, 1).await?.pop();
        let parts = match reply {
            Some(Reply::Array(Some(parts))) => parts,
            // Without rules its user need not be able to ask.
            Some(Reply::Error(_)) if !self.has_series() => Vec::new(),
            Some(reply) => return Err(reply.trouble().unwrap_or_else(wrong)),
            None => return Err(wrong()),
        };
        let mut register = Register::default();
        let mut parts = parts.into_iter();
        while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
            let (Reply::Bulk(Some(name)), Reply::Bulk(Some(value))) = (name, value) else {
                return Err(wrong());
            };
            register.set(&name, &value);
        }
        let settled = register.get(SETTLED) == Some(self.pushing.text.as_slice());
        self.pushing.unsettled =
            !settled && (self.has_series() || register.keys().next().is_some());
        *self.mirror.state.series.register() = register;
        Ok(())
    }

    /// Says of a key what the register has of it; nothing to strike it out.
    pub(super) fn register(&self, key: &[u8], state: Option<&[u8]>, requests: &mut Requests) {
        let of = self.register_key();
        let mut register = self.mirror.state.series.register();
        match state {
            Some(state) if register.get(key) == Some(state) => {}
            Some(state) => {
                requests.push(key, &[b"HSET", &of, key, state]);
                register.set(key, state);
            }
            None => {
                if register.remove(key) {
                    requests.push(key, &[b"HDEL", &of, key]);
                }
            }
        }
    }

    /// A key of the node's own is about to be there: what series made of it goes.
    pub(in crate::mirror::redis) fn give_way(&mut self, key: &[u8], requests: &mut Requests) {
        // A key that was the node's may be free now.
        self.pushing.forget(key);
        if self.mirror.state.series.owns(key) {
            self.delete(key, requests);
            self.is_taken(key, OTHERS);
        }
    }

    /// Deletes a key that series made.
    pub(super) fn delete(&mut self, key: &[u8], requests: &mut Requests) {
        self.pushing.forget(key);
        if !self.mirror.state.series.owns(key) {
            return;
        }
        let there = self.mirror.options.keys.there(key);
        requests.push(key, &[b"DEL", &there]);
        self.register(key, None, requests);
    }

    /// Says that not all keys are as the store has them, until they are.
    pub(in crate::mirror::redis) fn unsettle(&mut self, requests: &mut Requests) {
        self.pushing.unsettled = self.has_series() || self.mirror.state.series.keys() > 0;
        self.register(SETTLED, None, requests);
    }

    pub(super) fn is_taken(&mut self, key: &[u8], whose: &str) {
        let mut taken = self.mirror.state.series.lock_taken();
        if taken.len() < super::settle::MOST_NAMED
            && taken.insert(key.to_vec(), whose.to_owned()).is_none()
        {
            let (mirror, key) = (&self.mirror.options.name, String::from_utf8_lossy(key));
            tracing::warn!(mirror, %key, "series are not pushed to this key: {whose}");
        }
        self.pushing.models.insert(key.into(), Model::Taken(Instant::now()));
    }
}
