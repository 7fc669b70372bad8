//! The stream that followers are fed: its names, its offset, and where in the log an offset stands.
//!
//! The stream is what `keyspace::feed` spells of the records of the log, one after the other, so its
//! offset is a function of the log: counted when a record is appended, again in replay, and again by a
//! [`Feeder`], which reads the log for one follower. A checkpoint holds the place (docs/format/manifest.md).
//!
//! Every opening of the store that appends to the stream gives it a further name before it does. An older
//! name is good up to the offset at which the next one was given. So a follower that was fed what this
//! directory no longer has (the end of the log was cut, an old copy was put in its place) knows a name
//! whose reach ends before its offset, and is not taken for one that may go on.

mod samples;

use std::sync::Arc;

use crate::append::AppendError;
use crate::keyspace::{Effects, IDENTITY, View, feed};
use crate::model::WalPosition;
use crate::store::{Store, lock};
use crate::wal::KeysRecord;
use crate::wal::chain::ReadChains;
use crate::wal::follow::{FollowError, Follower};
use crate::wire::{FormatError, Reader, put_varint};

pub use samples::{LogPlace, Told};

/// A name of the stream.
pub type Identity = [u8; IDENTITY];

/// Names that are remembered.
const NAMES: usize = 256;
/// So many bytes of the log from one known place to the next.
const STEP: u64 = 4 << 20;

/// Where the stream is. While it has no name, nobody is fed and nothing is counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stream {
    offset: u64,
    /// Whether a transaction is open.
    open: bool,
    /// Names, oldest first, and the offset from which on each was the newest.
    names: Vec<(Identity, u64)>,
    /// Places, ascending.
    places: Vec<Place>,
    /// Whether this opening has named it.
    named: bool,
    /// Whether a transaction's end could not be logged yet.
    end_due: bool,
}

/// The stream's state before the record at a position of the log, or the first one behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    position: WalPosition,
    offset: u64,
    open: bool,
}

impl Stream {
    /// Whether it has a name.
    pub(crate) fn is_used(&self) -> bool {
        !self.names.is_empty()
    }

    /// How many bytes it has.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// What must come before the effects of the next record.
    pub(crate) fn prefix(&self, name: &Identity, begins: bool) -> Effects {
        let mut first = Effects::default();
        if self.is_used() && !self.named {
            first.identity(name);
        }
        if self.end_due {
            first.end();
        }
        if begins {
            first.begin();
        }
        first
    }

    /// A record has its place. Live, its name is that of this opening.
    pub(crate) fn advance(&mut self, position: WalPosition, effects: &Effects, live: bool) {
        if let Some(Ok(id)) = effects.identity_first().map(TryInto::try_into) {
            self.names.push((id, self.offset));
            let old = self.names.len().saturating_sub(NAMES);
            self.names.drain(..old);
            self.named |= live;
        }
        if !self.is_used() {
            return;
        }
        if self.places.last().is_none_or(|last| position.0 - last.position.0 >= STEP) {
            self.places.push(Place { position, offset: self.offset, open: self.open });
        }
        feed::spell(effects, &mut self.open, &mut self.offset);
        self.end_due = false;
    }

    /// A transaction's end could not be logged.
    pub(crate) fn owes_end(&mut self) {
        self.end_due = true;
    }

    /// The store was opened: no transaction is open any more, and followers are to hear so.
    pub(crate) fn opened(&mut self) {
        self.end_due = self.open;
    }

    /// The log before this position is gone.
    pub(crate) fn trim(&mut self, oldest: WalPosition) {
        self.places.retain(|place| place.position >= oldest);
    }

    /// The log cannot be read at this position: who is not past it is not to try.
    fn lost(&mut self, at: WalPosition) {
        self.places.retain(|place| place.position > at);
    }

    /// Something of the log was lost: what was counted is no offset of what was fed.
    pub(crate) fn forget(&mut self) {
        *self = Stream::default();
    }

    /// The newest name, and the offset.
    fn newest(&self) -> Option<(Identity, u64)> {
        self.names.last().map(|(name, _)| (*name, self.offset))
    }

    /// Whether a follower that knows the stream by this name up to this offset may go on, and from which place.
    fn find(&self, name: &Identity, offset: u64) -> Option<Place> {
        let known = self.names.iter().rposition(|(known, _)| known == name)?;
        let reach = self.names.get(known + 1).map_or(self.offset, |(_, from)| *from);
        if offset > reach {
            return None;
        }
        let after = self.places.partition_point(|place| place.offset <= offset);
        self.places.get(after.checked_sub(1)?).copied()
    }

    /// Appends the encoded form.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.offset);
        out.push(u8::from(self.open));
        put_varint(out, self.names.len() as u64);
        for (name, from) in &self.names {
            out.extend_from_slice(name);
            put_varint(out, *from);
        }
        put_varint(out, self.places.len() as u64);
        for place in &self.places {
            put_varint(out, place.position.0);
            put_varint(out, place.offset);
            out.push(u8::from(place.open));
        }
    }

    /// Takes an encoded form.
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Stream, FormatError> {
        let mut stream = Stream { offset: reader.varint()?, ..Stream::default() };
        stream.open = reader.u8()? == 1;
        for _ in 0..reader.count(IDENTITY + 1)? {
            let mut name = [0; IDENTITY];
            name.copy_from_slice(reader.take(IDENTITY)?);
            stream.names.push((name, reader.varint()?));
        }
        for _ in 0..reader.count(3)? {
            let (position, offset) = (WalPosition(reader.varint()?), reader.varint()?);
            stream.places.push(Place { position, offset, open: reader.u8()? == 1 });
        }
        Ok(stream)
    }
}

/// What followers know of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamState {
    /// Its newest name.
    pub name: Identity,
    /// How many bytes it has.
    pub offset: u64,
    /// The name before, and up to which offset that one is good.
    pub before: Option<(Identity, u64)>,
    /// From which offset on it can be read.
    pub first: u64,
}

/// The keyspace at one place of the stream.
pub struct StreamView {
    /// All keys.
    pub view: View,
    /// The stream's newest name.
    pub name: Identity,
    /// The offset at which the stream goes on from the view.
    pub offset: u64,
    /// Reads the stream from there.
    pub feeder: Feeder,
}

/// What followers are told beside what happens to keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tell {
    /// That this node is there.
    Ping,
    /// That they should say how far they are.
    Ask,
}

impl Store {
    /// Where the stream is; `None` while nobody was ever fed.
    pub fn stream(&self) -> Option<StreamState> {
        let keys = lock(&self.keys);
        let (name, offset) = keys.stream.newest()?;
        let names = &keys.stream.names;
        let (_, from) = names.last()?;
        let before =
            names.len().checked_sub(2).and_then(|i| names.get(i)).map(|(id, _)| (*id, *from));
        let first = keys.stream.places.first().map_or(offset, |place| place.offset);
        Some(StreamState { name, offset, before, first })
    }

    /// Sees to it that the stream has a name of this opening, and that no transaction is open in it that is
    /// over; a follower may be told of it once the log is synced up to the answer.
    pub fn name_stream(&self) -> Result<WalPosition, AppendError> {
        // Whoever names it does so between transactions, for all of one is fed or nothing.
        let _held = self.log.hold();
        self.name_held(&mut lock(&self.keys))
    }

    /// The same, where the log is held already.
    fn name_held(&self, keys: &mut crate::checkpoint::Keys) -> Result<WalPosition, AppendError> {
        if keys.stream.named && !keys.stream.end_due {
            return Ok(self.log.end());
        }
        let mut first = keys.stream.prefix(&self.name, false);
        if !keys.stream.is_used() {
            first.identity(&self.name);
        }
        self.append_effects(keys, &first)
    }

    /// Appends what changes no key, but moves the stream.
    pub fn tell(&self, what: Tell) -> Result<WalPosition, AppendError> {
        let _held = self.log.hold();
        let mut keys = lock(&self.keys);
        let mut effects = Effects::default();
        match what {
            Tell::Ping => effects.ping(),
            Tell::Ask => effects.ask(),
        }
        effects.put_before(&keys.stream.prefix(&self.name, false));
        self.append_effects(&mut keys, &effects)
    }

    /// Freezes the keyspace between two transactions, for a follower that begins anew.
    pub fn stream_view(&self) -> Result<StreamView, AppendError> {
        // In one hold: a transaction whose end cannot be logged may come in between, and a follower is not to begin
        // within it.
        let _held = self.log.hold();
        let mut keys = lock(&self.keys);
        self.name_held(&mut keys)?;
        let newest = keys.stream.newest();
        let (name, offset) = newest.ok_or_else(|| AppendError::Log("nothing is fed".to_owned()))?;
        // Not where the last command stands: the log may be gone there, where only samples came since.
        let place = Place { position: self.log.end(), offset, open: false };
        let feeder = self.feeder(place, offset);
        Ok(StreamView { view: keys.keyspace.freeze(), name, offset, feeder })
    }

    /// Reads the stream on for a follower that knows it by this name up to this offset; `None` if it does not know
    /// it, or the log does not reach back so far.
    pub fn stream_from(&self, name: &Identity, offset: u64) -> Option<Feeder> {
        let place = lock(&self.keys).stream.find(name, offset)?;
        Some(self.feeder(place, offset))
    }

    /// What stands where a feeder is cannot be read: from now on nobody goes on there, but begins anew.
    pub fn stream_lost(&self, feeder: &Feeder) {
        lock(&self.keys).stream.lost(feeder.position());
    }

    fn feeder(&self, place: Place, offset: u64) -> Feeder {
        Feeder {
            follower: Follower::new(Arc::clone(&self.disk), place.position),
            open: place.open,
            offset: place.offset,
            skip: offset.saturating_sub(place.offset),
            samples: None,
        }
    }

    /// Logs effects that no command has.
    pub(crate) fn append_effects(
        &self,
        keys: &mut crate::checkpoint::Keys,
        effects: &Effects,
    ) -> Result<WalPosition, AppendError> {
        self.log.admits()?;
        let record = KeysRecord { effects: effects.encoded(), batches: Vec::new() };
        let logged = self.log.append(record)?;
        keys.applied = WalPosition(logged.position().0 + 1);
        keys.stream.advance(logged.position(), effects, true);
        Ok(logged.end())
    }

    /// Up to where the log is synced.
    pub fn synced(&self) -> WalPosition {
        self.log.synced()
    }

    /// Where the log ends.
    pub fn log_end(&self) -> WalPosition {
        self.log.end()
    }
}

/// Reads the stream for one follower.
pub struct Feeder {
    follower: Follower,
    open: bool,
    /// Of what is read next.
    offset: u64,
    /// Bytes the follower has already.
    skip: u64,
    /// What is read of samples, where they are asked for.
    samples: Option<Following>,
}

/// How far the samples are read.
#[derive(Default)]
struct Following {
    chains: ReadChains,
    /// Those below are not told.
    from: u64,
}

impl Feeder {
    /// Appends what comes next and is durable, until there are `enough` bytes or no more.
    pub fn read(
        &mut self,
        durable: WalPosition,
        enough: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), FollowError> {
        while out.len() < enough
            && let Some(group) = self.follower.next(durable)?
        {
            for keys in group.keys() {
                let keys = keys?;
                let effects = Effects::decode(keys.effects).map_err(|_| FollowError::Damaged {
                    position: keys.position.0,
                    what: "effects do not decode",
                })?;
                self.append(&effects, out);
            }
        }
        Ok(())
    }

    fn append(&mut self, effects: &Effects, out: &mut Vec<u8>) {
        let before = out.len();
        feed::spell(effects, &mut self.open, out);
        let new = (out.len() - before) as u64;
        self.offset += new;
        let skipped = self.skip.min(new);
        self.skip -= skipped;
        out.drain(before..before + usize::try_from(skipped).unwrap_or(usize::MAX));
    }

    /// The offset up to which was read.
    pub fn offset(&self) -> u64 {
        self.offset + self.skip
    }

    /// How far in the log it is.
    pub fn position(&self) -> WalPosition {
        self.follower.position()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Disk, MemDisk};
    use crate::store::Options;

    #[test]
    fn a_transaction_that_a_crash_left_open_ends_with_the_next_name() {
        let disk: Arc<dyn Disk> = Arc::new(MemDisk::default());
        let open = |name| {
            let options = Options { stream_name: [name; IDENTITY], ..Options::default() };
            Store::open(Arc::clone(&disk), options, 0).unwrap()
        };
        let store = open(1);
        store.name_stream().unwrap();
        let name = store.stream().unwrap().name;
        let mut begin = Effects::default();
        begin.begin();
        store.append_effects(&mut lock(&store.keys), &begin).unwrap();
        store.sync().unwrap();
        drop(store);
        let store = open(2);
        store.name_stream().unwrap();
        store.sync().unwrap();
        let mut told = Vec::new();
        let mut feeder = store.stream_from(&name, 0).unwrap();
        feeder.read(store.synced(), 1 << 20, &mut told).unwrap();
        assert_eq!(told, b"*1\r\n$5\r\nMULTI\r\n*1\r\n$4\r\nEXEC\r\n");
        assert_eq!(store.stream().unwrap().offset, told.len() as u64);
    }
}
