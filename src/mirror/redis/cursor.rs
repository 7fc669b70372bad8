//! Where a target is, as it says itself: `epoch:name:offset:time:sure:position:life:there`, in one string key; see
//! docs/format/cursor.md. Beside it stand the keys that are set aside (`aside`), and those of series (`series`).
//!
//! The epoch is raised by every connection that writes. While all keys are written anew there is no
//! place, so that one that is cut off begins anew again. With a tag in braces the key fits a Cluster's slot.

use ringwell_storage::feed::{Identity, LogPlace};
use ringwell_storage::model::WalPosition;

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
    /// Where in the log samples are read on, which the stream's offsets do not tell.
    pub(super) at: Option<LogPlace>,
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

    /// The key that holds which keys series made in a mirror.
    pub(super) fn series_key(mirror: &str) -> Vec<u8> {
        format!("ringwell:mirror:{{{mirror}}}:series").into_bytes()
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
        let mut number = || parts.next().and_then(|text| text.parse::<u64>().ok());
        let (position, life, there) = (number(), number(), number());
        let at = position.zip(life).zip(there);
        let whole = moved.is_some() && sure.is_some() && at.is_some() && parts.next().is_none();
        let place = name.zip(offset).filter(|_| whole);
        let at = at.and_then(|((position, life), offset)| {
            let epoch = u32::try_from(life).ok().filter(|epoch| *epoch > 0 && whole)?;
            Some(LogPlace { position: WalPosition(position), epoch, offset })
        });
        Cursor { epoch, place, moved: moved.unwrap_or(0), sure: sure.unwrap_or(0), at }
    }

    /// As it is written.
    pub(super) fn text(&self) -> Vec<u8> {
        let (epoch, moved, sure) = (self.epoch, self.moved, self.sure);
        let Some((name, offset)) = self.place else {
            return format!("{epoch}:-:0:{moved}:0:0:0:0").into_bytes();
        };
        let (position, life, there) =
            self.at.map_or((0, 0, 0), |at| (at.position.0, at.epoch, at.offset));
        let name = hex(&name);
        format!("{epoch}:{name}:{offset}:{moved}:{sure}:{position}:{life}:{there}").into_bytes()
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
                at: Some(LogPlace { position: WalPosition(1 << 50), epoch: 3, offset: 1 << 39 }),
            },
            Cursor { epoch: 8, place: Some(([1; 20], 5)), moved: 1, sure: 5, at: None },
            Cursor { epoch: u64::MAX, place: None, moved: 5, sure: 0, at: None },
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
            b"3:abababababababababababababababababababab:4:5:6",
            b"3:abababababababababababababababababababab:4:5:6:7:8",
            b"3:abababababababababababababababababababab:4:5:6:7:8:9:1",
        ] {
            assert_eq!(Cursor::read(nonsense).place, None);
        }
        assert_eq!(Cursor::read(b"3:-:0").epoch, 3);
    }
}
