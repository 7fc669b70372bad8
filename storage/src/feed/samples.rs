//! The samples of the log, for one that follows them beside the stream.
//!
//! They are no part of the stream and have no offset: how far they were read is a position of the log. A position
//! alone may mean something else after an old copy was put in the directory's place, so it goes with the life of the
//! log in which what stands below it was written.

use super::{Feeder, Following, Identity, Place};
use crate::keyspace::Effects;
use crate::model::{Labels, SeriesId, Timestamp, WalPosition};
use crate::store::{Store, lock};
use crate::wal::follow::{FollowError, epoch_below};
use crate::wal::{Record, ShardBatch};

/// A position of the log up to which it was read, between two transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogPlace {
    /// Where.
    pub position: WalPosition,
    /// In which life of the log the last byte below it was written: every opening is one of its own.
    pub epoch: u32,
    /// The stream's offset there.
    pub offset: u64,
}

/// What the log says of samples.
#[derive(Debug)]
pub enum Told<'a> {
    /// These were taken in, and not made of keys.
    Batch(&'a ShardBatch),
    /// Some were deleted.
    Deletion,
    /// So many could not be read, for a repair has lost what they lean on.
    Lost(u64),
}

impl Store {
    /// Reads the stream on, as [`Store::stream_from`], from a place of the log that a follower was at, which has the
    /// stream up to `offset`. `None` where the place is not kept any more, or of another life.
    pub fn stream_at(&self, name: &Identity, offset: u64, at: LogPlace) -> Option<Feeder> {
        {
            let keys = lock(&self.keys);
            let known = keys.stream.names.iter().rposition(|(known, _)| known == name)?;
            let reach = keys.stream.names.get(known + 1);
            if offset > reach.map_or(keys.stream.offset, |(_, from)| *from) {
                return None;
            }
        }
        let here = at.position <= self.log.synced() && at.offset <= offset;
        if !here || epoch_below(&*self.disk, at.position) != Some(at.epoch) {
            return None;
        }
        Some(self.feeder(Place { position: at.position, offset: at.offset, open: false }, offset))
    }

    /// Who a series of the head is, and how far back it is looked for.
    pub fn series(&self, shard: u16, id: SeriesId) -> Option<(Labels, Option<Timestamp>)> {
        let shard = self.head.lock(usize::from(shard));
        let series = shard.by_number(id)?;
        Some((series.labels.clone(), series.lookback()))
    }
}

impl Feeder {
    /// Has it tell of samples too, those from `from` on.
    #[must_use]
    pub fn with_samples(mut self, from: WalPosition) -> Feeder {
        self.follower.read_whole_segments();
        self.samples = Some(Following { from: from.0, ..Following::default() });
        self
    }

    /// Samples below are not told.
    pub fn skip_samples(&mut self, below: WalPosition) {
        if let Some(samples) = &mut self.samples {
            samples.from = samples.from.max(below.0);
        }
    }

    /// Where it is in the log; `None` within a transaction, and where the log below is gone.
    pub fn place(&self) -> Option<LogPlace> {
        let epoch = self.follower.epoch().filter(|_| !self.open)?;
        Some(LogPlace { position: self.position(), epoch, offset: self.offset })
    }

    /// As [`Feeder::read`], and tells of samples; ends also where `enough` bytes of the log were read.
    pub fn read_all(
        &mut self,
        durable: WalPosition,
        enough: usize,
        out: &mut Vec<u8>,
        tell: &mut dyn FnMut(Told<'_>),
    ) -> Result<(), FollowError> {
        let Some(mut samples) = self.samples.take() else {
            return self.read(durable, enough, out);
        };
        let read = self.read_groups(durable, enough, out, &mut samples, tell);
        self.samples = Some(samples);
        read
    }

    fn read_groups(
        &mut self,
        durable: WalPosition,
        enough: usize,
        out: &mut Vec<u8>,
        samples: &mut Following,
        tell: &mut dyn FnMut(Told<'_>),
    ) -> Result<(), FollowError> {
        let from = self.position();
        while out.len() < enough
            && self.position().0 - from.0 < enough as u64
            && let Some(group) = self.follower.next(durable)?
        {
            let lost = samples.chains.lost_rows;
            for record in group.records(&mut samples.chains) {
                let (position, record) = record?;
                let told = position.0 >= samples.from.max(from.0);
                match record {
                    Record::Keys(keys) if position >= from => {
                        let effects = Effects::decode(&keys.effects);
                        let effects = effects.map_err(|_| FollowError::Damaged {
                            position: position.0,
                            what: "effects do not decode",
                        })?;
                        self.append(&effects, out);
                    }
                    Record::Batch(batch) if told => tell(Told::Batch(&batch)),
                    Record::Deletion(_) if told => tell(Told::Deletion),
                    _ => {}
                }
            }
            let lost = samples.chains.lost_rows - lost;
            if lost > 0 {
                tell(Told::Lost(lost));
            }
        }
        Ok(())
    }
}
