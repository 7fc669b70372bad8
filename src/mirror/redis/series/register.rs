//! Which keys of the target series made, as it stands there and is known here. Pure.

use std::collections::BTreeMap;

use super::SETTLED;

/// Bytes of names and states beyond which hashes get no further fields: it is read in one piece.
const ROOM: usize = 16 << 20;

/// The register.
#[derive(Debug, Default)]
pub(super) struct Register {
    keys: BTreeMap<Vec<u8>, Vec<u8>>,
    bytes: usize,
}

impl Register {
    /// What it says of a key, or at [`SETTLED`].
    pub(super) fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.keys.get(key).map(Vec::as_slice)
    }

    pub(super) fn set(&mut self, key: &[u8], state: &[u8]) {
        self.remove(key);
        self.bytes += key.len() + state.len();
        self.keys.insert(key.to_vec(), state.to_vec());
    }

    /// Strikes a key out; whether it was there.
    pub(super) fn remove(&mut self, key: &[u8]) -> bool {
        let Some(state) = self.keys.remove(key) else { return false };
        self.bytes -= key.len() + state.len();
        true
    }

    /// The keys that series made.
    pub(super) fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.keys.keys().map(Vec::as_slice).filter(|key| *key != SETTLED)
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len() - usize::from(self.keys.contains_key(SETTLED))
    }

    pub(super) fn has_room(&self) -> bool {
        self.bytes < ROOM
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_what_it_holds() {
        let mut register = Register::default();
        register.set(SETTLED, b"rules");
        register.set(b"a", &vec![b'x'; ROOM]);
        assert!(!register.has_room() && register.len() == 1);
        register.set(b"a", b"l");
        assert!(register.has_room() && register.keys().eq([&b"a"[..]]));
        assert!(register.remove(b"a") && !register.remove(b"a"));
        assert_eq!(
            (register.len(), register.bytes, register.get(SETTLED)),
            (0, 5, Some(&b"rules"[..]))
        );
    }
}
