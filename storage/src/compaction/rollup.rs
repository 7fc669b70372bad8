//! Aggregates over stretches of 5 minutes and 1 hour: pure.
//!
//! A stretch is open at its start and holds its end, as a window of PromQL does, so that windows
//! whose ends are multiples of the length are made up of whole stretches.

use crate::chunk::{ChunkStats, Effort, column, decode_floats, encode_floats};
use crate::model::{SampleBuf, Timestamp, is_stale};
use crate::read::Aggregate;
use crate::wire::{FormatError, Reader};

/// Lengths of the stretches, in milliseconds, the coarsest first; a level's is a multiple of the next.
pub(crate) const LEVELS: [Timestamp; 2] = [3_600_000, 300_000];
/// A level is written where it has at most this part of the samples,
const SHARE: usize = 10;
/// and all levels at most this part of the bytes.
const BYTES_SHARE: usize = 8;
/// A sum keeps its compensation where it is so many times smaller than what was added up may be.
const CANCELLED: f64 = 1e3;

/// Aggregates samples as they come, in order of time.
pub(crate) struct Roller {
    length: Timestamp,
    rows: Vec<Aggregate>,
    /// The stretch that is open, its times and its floats.
    open: Option<(Timestamp, Timestamp, Timestamp)>,
    values: Vec<f64>,
    samples: usize,
    /// Whether a histogram came by: then there are no aggregates.
    mixed: bool,
}

impl Roller {
    pub(crate) fn new(length: Timestamp) -> Roller {
        Roller {
            length,
            rows: Vec::new(),
            open: None,
            values: Vec::new(),
            samples: 0,
            mixed: false,
        }
    }

    pub(crate) fn push(&mut self, samples: &SampleBuf) {
        self.mixed |= samples.h.iter().any(Option::is_some);
        self.samples += samples.len();
        for (t, v) in samples.t.iter().zip(&samples.v).filter(|(_, v)| !is_stale(**v)) {
            let start = start_of(*t, self.length);
            match &mut self.open {
                Some((open, _, last)) if *open == start => *last = *t,
                _ => {
                    self.close();
                    self.open = Some((start, *t, *t));
                }
            }
            self.values.push(*v);
        }
    }

    /// The rows.
    pub(crate) fn finish(mut self) -> Vec<Aggregate> {
        self.close();
        self.rows
    }

    /// The rows, if they are few enough to be worth writing.
    pub(crate) fn worthy(self) -> Option<Vec<Aggregate>> {
        let (samples, mixed) = (self.samples, self.mixed);
        let rows = self.finish();
        (!mixed && !rows.is_empty() && rows.len() * SHARE <= samples).then_some(rows)
    }

    fn close(&mut self) {
        if let Some((start, first_t, last_t)) = self.open.take() {
            let stats = settled(ChunkStats::of(&self.values));
            self.rows.push(Aggregate { start, first_t, last_t, stats });
            self.values.clear();
        }
    }
}

/// With the sum as one number, where that loses no more than its last bit: decimals add up to
/// decimals, which take few bytes.
fn settled(stats: ChunkStats) -> ChunkStats {
    let total = stats.sum.0 + stats.sum.1;
    let largest = stats.min.abs().max(stats.max.abs()) * stats.count as f64;
    let sum = if total.abs() * CANCELLED >= largest { (total, 0.0) } else { stats.sum };
    ChunkStats { sum, ..stats }
}

/// Whether so many bytes of aggregates are worth it beside so many of samples.
pub(crate) fn worth(aggregates: usize, samples: usize) -> bool {
    aggregates * BYTES_SHARE <= samples
}

/// The start of the stretch of this length that a time lies in; the start itself lies before it.
pub(crate) fn start_of(t: Timestamp, length: Timestamp) -> Timestamp {
    t.saturating_sub(1).div_euclid(length).saturating_mul(length)
}

/// Encodes rows, column by column, as `docs/format/block.md` says.
pub(crate) fn encode(rows: &[Aggregate], length: Timestamp) -> Vec<u8> {
    let mut out = Vec::new();
    let whole = |f: &dyn Fn(&Aggregate) -> i64| rows.iter().map(f).collect::<Vec<_>>();
    for values in [
        whole(&|r| r.start.div_euclid(length)),
        whole(&|r| r.first_t.wrapping_sub(r.start)),
        whole(&|r| r.last_t.wrapping_sub(r.start)),
        whole(&|r| r.stats.count as i64),
        whole(&|r| r.stats.nans as i64),
    ] {
        column::encode(&values, Effort::Small, &mut out);
    }
    let floats =
        |f: &dyn Fn(&ChunkStats) -> f64| rows.iter().map(|r| f(&r.stats)).collect::<Vec<_>>();
    for values in [
        floats(&|s| s.min),
        floats(&|s| s.max),
        floats(&|s| s.first),
        floats(&|s| s.last),
        floats(&|s| s.increase),
        floats(&|s| s.sum.0),
        floats(&|s| s.sum.1),
    ] {
        encode_floats(&values, &mut out);
    }
    out
}

/// Decodes `n` rows.
pub(crate) fn decode(
    bytes: &[u8],
    n: usize,
    length: Timestamp,
) -> Result<Vec<Aggregate>, FormatError> {
    let mut reader = Reader::new(bytes);
    let mut whole: [Vec<i64>; 5] = Default::default();
    for column in &mut whole {
        column::decode(&mut reader, n, column)?;
    }
    let mut floats: [Vec<f64>; 7] = Default::default();
    for column in &mut floats {
        decode_floats(&mut reader, n, column)?;
    }
    let row = |i: usize| {
        let start = whole[0][i].wrapping_mul(length);
        Aggregate {
            start,
            first_t: start.wrapping_add(whole[1][i]),
            last_t: start.wrapping_add(whole[2][i]),
            stats: ChunkStats {
                count: whole[3][i] as u64,
                nans: whole[4][i] as u64,
                min: floats[0][i],
                max: floats[1][i],
                first: floats[2][i],
                last: floats[3][i],
                increase: floats[4][i],
                sum: (floats[5][i], floats[6][i]),
            },
        }
    };
    Ok((0..n).map(row).collect())
}

/// Joins rows of one stretch of `length`, all in order of time.
pub(crate) fn join(rows: Vec<Aggregate>, length: Timestamp) -> Vec<Aggregate> {
    let mut joined: Vec<Aggregate> = Vec::new();
    for row in rows {
        let start = start_of(row.first_t, length);
        match joined.last_mut() {
            Some(last) if last.start == start => {
                last.stats = last.stats.join(&row.stats);
                last.last_t = row.last_t;
            }
            _ => joined.push(Aggregate { start, ..row }),
        }
    }
    joined
}
