//! Where a target is, as it says itself: `epoch:name:offset:time:sure`, in one string key. Beside it stand the keys
//! that are set aside (`aside`).
//!
//! The epoch is raised by every connection that writes. While all keys are written anew there is no
//! place, so that one that is cut off begins anew again. With a tag in braces the key fits a Cluster's slot.

use ringwell_storage::feed::Identity;

use crate::replication::{hex, unhex};

/// A cursor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    /// Which writer moved it last.
    pub(super) epoch: u64,
    /// The name of the stream, and the offset up to which the target has all of it.
    pub(super) place: Option<(Identity, u64)>,
    /// When it was moved, in milliseconds since 1970 by the node's clock.
    pub(super) moved: i64,
    /// The offset up to which the writer had heard what became of all that it sent, and had set aside here what was
    /// refused. What was sent from there on may have been refused without its hearing so.
    pub(super) sure: u64,
}

impl Cursor {
    /// The key that holds the cursor of a mirror.
    pub(super) fn key(mirror: &str) -> Vec<u8> {
        format!("ringwell:mirror:{{{mirror}}}:cursor").into_bytes()
    }

    /// The key that holds what is set aside in a mirror.
    pub(super) fn aside_key(mirror: &str) -> Vec<u8> {
        format!("ringwell:mirror:{{{mirror}}}:aside").into_bytes()
    }

    /// Reads what the target says; nonsense is no place.
    pub(super) fn read(text: &[u8]) -> Cursor {
        let text = String::from_utf8_lossy(text);
        let mut parts = text.split(':');
        let epoch = parts.next().and_then(|text| text.parse().ok()).unwrap_or(0);
        let name = parts.next().and_then(|text| unhex(text.as_bytes()));
        let offset = parts.next().and_then(|text| text.parse().ok());
        let moved = parts.next().and_then(|text| text.parse().ok());
        let sure: Option<u64> = parts.next().and_then(|text| text.parse().ok());
        let whole = moved.is_some() && sure.is_some() && parts.next().is_none();
        let place = name.zip(offset).filter(|_| whole);
        Cursor { epoch, place, moved: moved.unwrap_or(0), sure: sure.unwrap_or(0) }
    }

    /// As it is written.
    pub(super) fn text(&self) -> Vec<u8> {
        match self.place {
            Some((name, offset)) => {
                format!("{}:{}:{offset}:{}:{}", self.epoch, hex(&name), self.moved, self.sure)
            }
            None => format!("{}:-:0:{}:0", self.epoch, self.moved),
        }
        .into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for cursor in [
            Cursor {
                epoch: 7,
                place: Some(([0xab; 20], 1 << 40)),
                moved: 1_700_000_000_000,
                sure: 9,
            },
            Cursor { epoch: u64::MAX, place: None, moved: 5, sure: 0 },
        ] {
            assert_eq!(Cursor::read(&cursor.text()), cursor);
        }
        for nonsense in [
            &b""[..],
            b"x",
            b"3:zz:4",
            b"3:",
            b"\xff",
            b"3:abababababababababababababababababababab:4",
            b"3:abababababababababababababababababababab:4:5",
        ] {
            assert_eq!(Cursor::read(nonsense).place, None);
        }
        assert_eq!(Cursor::read(b"3:-:0").epoch, 3);
    }
}
