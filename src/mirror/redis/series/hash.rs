//! What is known of a hash of current values that series make: of each field, when its value was. Pure.
//!
//! A field has the newest sample of its series. It goes where that is a stale marker or no number, and where it is
//! older than the newest of the hash by more than the hash lives.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::spell;
use crate::mirror::redis::batch::Requests;
use crate::remote::client::command;
use crate::replication::{MAX_STRING, next_command};

/// Fields of a hash at most.
pub(super) const MOST_FIELDS: usize = 1000;
/// How long a field that went is known, where the hash lives for ever: a sample of before does not bring it back.
const GONE: i64 = 3_600_000;

/// A hash.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Hash {
    fields: BTreeMap<Arc<[u8]>, Field>,
    ttl: Option<i64>,
}

#[derive(Clone, Debug, PartialEq)]
struct Field {
    t: i64,
    /// Its number; `None` if it has none, or was read from the target.
    value: Option<f64>,
    /// Whether the target has no such field, or is to have none.
    gone: bool,
    due: bool,
}

impl Hash {
    /// A hash of nothing yet.
    pub(super) fn new(ttl: Option<i64>) -> Hash {
        Hash { ttl, ..Hash::default() }
    }

    /// What [`Hash::state`] tells of one that the target has.
    pub(super) fn read(state: &[u8], ttl: Option<i64>) -> Option<Hash> {
        let (words, length) = next_command(state, MAX_STRING).ok()??;
        if length != state.len() || words.first() != Some(&&b"h"[..]) {
            return None;
        }
        let mut hash = Hash::new(ttl);
        for pair in words.get(1..)?.chunks(2) {
            let [name, t] = pair else { return None };
            let t = std::str::from_utf8(t).ok()?;
            let (gone, t) = t.strip_prefix('x').map_or((false, t), |t| (true, t));
            let field = Field { t: t.parse().ok()?, value: None, gone, due: false };
            hash.fields.insert(Arc::from(*name), field);
        }
        Some(hash)
    }

    /// When its fields were, for one that reads it again.
    fn state(&self) -> Vec<u8> {
        let mut words = vec![b"h".to_vec()];
        for (name, field) in &self.fields {
            let gone = if field.gone { "x" } else { "" };
            words.extend([name.to_vec(), format!("{gone}{}", field.t).into_bytes()]);
        }
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let mut state = Vec::new();
        command(&mut state, &words);
        state
    }

    /// When it goes: so long after its newest sample.
    pub(super) fn expires(&self) -> Option<i64> {
        self.newest()?.checked_add(self.ttl?)
    }

    fn newest(&self) -> Option<i64> {
        self.fields.values().filter(|field| !field.gone).map(|field| field.t).max()
    }

    /// Takes a sample, a stale marker or a value that is no number; false if there is no room for its field, here or in
    /// the register.
    pub(super) fn add(&mut self, t: i64, name: &Arc<[u8]>, value: Option<f64>, room: bool) -> bool {
        let full = !room || self.fields.len() >= MOST_FIELDS;
        let new = Field { t, value, gone: value.is_none(), due: true };
        match self.fields.get_mut(name) {
            Some(field) if t > field.t => *field = new,
            // Of two series that say different things of one moment the larger number stands.
            Some(field) if t == field.t && field.due => {
                if value.unwrap_or(f64::NEG_INFINITY) > field.value.unwrap_or(f64::NEG_INFINITY) {
                    *field = new;
                }
            }
            Some(_) => {}
            None if full => return false,
            None => {
                self.fields.insert(Arc::clone(name), new);
            }
        }
        true
    }

    /// Appends what the target needs to have the hash as it is; gives its state, if that has changed.
    pub(super) fn flush(
        &mut self,
        key: &[u8],
        there: &[u8],
        requests: &mut Requests,
    ) -> Option<Vec<u8>> {
        if !self.fields.values().any(|field| field.due) {
            return None;
        }
        let newest = self.newest().or_else(|| self.fields.values().map(|field| field.t).max());
        let old = newest.unwrap_or(i64::MAX).saturating_sub(self.ttl.unwrap_or(i64::MAX));
        for field in self.fields.values_mut().filter(|field| !field.gone && field.t < old) {
            (field.gone, field.due) = (true, true);
        }
        let due = || self.fields.iter().filter(|(_, field)| field.due);
        let set = due().filter(|(_, field)| !field.gone).filter_map(|(name, field)| {
            let mut text = String::new();
            spell::push_number(&mut text, field.value?);
            Some([name.to_vec(), text.into_bytes()])
        });
        let set: Vec<Vec<u8>> = set.flatten().collect();
        let gone: Vec<&[u8]> = due().filter(|(_, f)| f.gone).map(|(name, _)| &**name).collect();
        if !set.is_empty() {
            let mut words: Vec<&[u8]> = vec![b"HSET", there];
            words.extend(set.iter().map(Vec::as_slice));
            requests.push(key, &words);
        }
        if !gone.is_empty() {
            requests.push(key, &[&[&b"HDEL"[..], there], gone.as_slice()].concat());
        }
        if let Some(at) = self.expires() {
            requests.push(key, &[b"PEXPIREAT", there, at.max(1).to_string().as_bytes()]);
        }
        self.fields.values_mut().for_each(|field| field.due = false);
        let known = newest.unwrap_or(i64::MIN).saturating_sub(self.ttl.unwrap_or(GONE).max(GONE));
        self.fields.retain(|_, field| !field.gone || field.t >= known);
        Some(self.state())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(hash: &mut Hash, samples: &[(i64, &str, Option<f64>)]) -> String {
        for (t, name, value) in samples {
            assert!(hash.add(*t, &Arc::from(name.as_bytes()), *value, true));
        }
        let mut requests = Requests::default();
        if let Some(state) = hash.flush(b"k", b"p:k", &mut requests) {
            let again = Hash::read(&state, hash.ttl).unwrap();
            let plain = |hash: &Hash| {
                let fields = hash.fields.iter();
                fields.map(|(n, f)| (n.to_vec(), f.t, f.gone)).collect::<Vec<_>>()
            };
            assert_eq!(plain(&again), plain(hash));
        }
        let text = String::from_utf8(requests.bytes).unwrap();
        let words = text.split("\r\n").filter(|w| !w.is_empty() && !w.starts_with(['*', '$']));
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_field_has_the_newest_sample() {
        let mut hash = Hash::new(Some(1000));
        let samples = [(5, "a", Some(1.5)), (6, "a", Some(2.0)), (4, "b", Some(1e-7))];
        assert_eq!(told(&mut hash, &samples), "HSET p:k a 2 b 1e-7 PEXPIREAT p:k 1006");
        assert_eq!(told(&mut hash, &[(5, "a", Some(9.0)), (6, "a", Some(9.0))]), "", "not newer");
        assert_eq!(told(&mut hash, &[(7, "a", None)]), "HDEL p:k a PEXPIREAT p:k 1004");
        assert_eq!(told(&mut hash, &[(6, "a", Some(3.0))]), "", "it is stale since");
        assert_eq!(told(&mut hash, &[(8, "a", Some(3.0))]), "HSET p:k a 3 PEXPIREAT p:k 1008");
        // b is older than the hash lives.
        let later = told(&mut hash, &[(1005, "a", Some(4.0))]);
        assert_eq!(later, "HSET p:k a 4 HDEL p:k b PEXPIREAT p:k 2005");
        let both = [(2000, "a", Some(1.0)), (2000, "a", Some(3.0)), (2000, "a", Some(2.0))];
        assert_eq!(told(&mut hash, &both), "HSET p:k a 3 PEXPIREAT p:k 3000");
    }

    #[test]
    fn fields_are_bounded_and_a_damaged_state_is_none() {
        let mut hash = Hash::new(None);
        for i in 0..MOST_FIELDS {
            assert!(hash.add(1, &Arc::from(format!("f{i}").as_bytes()), Some(1.0), true));
        }
        assert!(!hash.add(1, &Arc::from(&b"one more"[..]), Some(1.0), true));
        assert!(hash.add(2, &Arc::from(&b"f7"[..]), Some(2.0), false));
        assert!(!Hash::new(None).add(2, &Arc::from(&b"f7"[..]), Some(2.0), false));
        for nonsense in [&b""[..], b"l", b"*1\r\n$1\r\nl\r\n", b"*2\r\n$1\r\nh\r\n$1\r\na\r\n"] {
            assert_eq!(Hash::read(nonsense, None), None);
        }
    }
}
