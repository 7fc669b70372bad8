//! What a query sees: the head and the blocks of one moment, as one set of series.

mod aggregates;
mod times;

pub(crate) use times::Times;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use crate::block::{Block, ChunkMeta, Masks, SeriesRef, Tombstone};
use crate::head::{Captured, Head, HeadChunk, Open, SHARDS};
use crate::model::{Labels, Matcher, Sample, SampleBuf, SeriesId, TimeRange, Timestamp};
use crate::read::{Aggregate, Cursor, ReadError, Series, Snapshot, Stats, Summary};

/// The live blocks. Replaced as a whole; chunks that a cut moved into a block leave the head only
/// when no snapshot holds the generation before.
#[derive(Clone)]
pub(crate) struct Generation {
    pub(crate) blocks: Vec<Arc<Block>>,
    /// Deletions that some of the blocks do not carry out yet.
    pub(crate) tombstones: Vec<Tombstone>,
}

impl Generation {
    /// Whether a block holds anything that was deleted, or may.
    fn hides_from(&self, block: &Block) -> bool {
        self.tombstones.iter().any(|t| t.applies(block.meta()))
    }
}

pub(crate) struct StoreSnapshot {
    pub(crate) head: Arc<Head>,
    pub(crate) generation: Arc<Generation>,
    /// What its series share.
    pub(crate) times: Arc<Times>,
}

impl StoreSnapshot {
    fn blocks(&self, range: TimeRange) -> impl Iterator<Item = &Arc<Block>> {
        self.generation.blocks.iter().filter(move |b| b.range().overlaps(range))
    }

    /// Whether the indexes alone may name what is deleted.
    fn hides_any(&self, range: TimeRange) -> bool {
        self.blocks(range).any(|b| self.generation.hides_from(b))
    }

    /// The parts of all matching series, in no order.
    fn parts(&self, matchers: &[Matcher], range: TimeRange) -> Result<Vec<Found>, ReadError> {
        let mut found = Vec::new();
        for shard in 0..SHARDS {
            let locked = self.head.lock(shard);
            for slot in locked.postings.select(matchers) {
                let Some(series) = locked.get(slot) else { continue };
                if series.touches(range) {
                    found.push(Found {
                        labels: series.labels.clone(),
                        lookback: series.lookback(),
                        part: Part::Head { shard, slot, id: series.id },
                    });
                }
            }
        }
        let tombstones = &self.generation.tombstones;
        let none = Arc::new(Masks::default());
        for block in self.blocks(range) {
            let mut walk = block.walk()?;
            let hides = self.generation.hides_from(block);
            for number in block.select(matchers)? {
                let Some(series) = walk.get(number)? else { continue };
                let masks = match hides {
                    true => Arc::new(Masks::of(tombstones, block.meta(), &series.labels)),
                    false => Arc::clone(&none),
                };
                let inside = |c: &ChunkMeta| {
                    c.min_t <= range.end()
                        && range.start() <= c.max_t
                        && !masks.cover(c.min_t, c.max_t)
                };
                if series.chunks.iter().any(inside) {
                    found.push(Found {
                        labels: series.labels.clone(),
                        lookback: series.lookback,
                        part: Part::Block(Arc::clone(block), number, masks),
                    });
                }
            }
        }
        Ok(found)
    }
}

struct Found {
    labels: Labels,
    lookback: Option<Timestamp>,
    part: Part,
}

enum Part {
    Head {
        shard: usize,
        slot: u32,
        id: SeriesId,
    },
    /// By number, for a series that is looked at keeps its whole page of the index in memory.
    Block(Arc<Block>, u32, Arc<Masks>),
}

impl Snapshot for StoreSnapshot {
    fn select(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<Vec<Arc<dyn Series>>, ReadError> {
        let mut found = self.parts(matchers, range)?;
        found.sort_by(|a, b| a.labels.cmp(&b.labels));
        let mut selected: Vec<StoreSeries> = Vec::new();
        for Found { labels, lookback, part } in found {
            match selected.last_mut() {
                Some(last) if last.labels == labels => last.add(part, lookback),
                _ => {
                    let mut series = StoreSeries::new(labels, range, self);
                    series.add(part, lookback);
                    selected.push(series);
                }
            }
        }
        Ok(selected.into_iter().map(|s| Arc::new(s) as Arc<dyn Series>).collect())
    }

    fn label_names(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<Vec<String>, ReadError> {
        let mut names = BTreeSet::new();
        if matchers.is_empty() && !self.hides_any(range) {
            for shard in 0..SHARDS {
                names.extend(self.head.lock(shard).postings.names().map(str::to_owned));
            }
            for block in self.blocks(range) {
                names.extend(block.label_names()?);
            }
        } else {
            for found in self.parts(matchers, range)? {
                names.extend(found.labels.iter().map(|l| l.name.to_owned()));
            }
        }
        Ok(names.into_iter().collect())
    }

    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<Vec<String>, ReadError> {
        let mut values = BTreeSet::new();
        if matchers.is_empty() && !self.hides_any(range) {
            for shard in 0..SHARDS {
                let locked = self.head.lock(shard);
                values.extend(locked.postings.values(name).map(str::to_owned));
            }
            for block in self.blocks(range) {
                values.extend(block.label_values(name)?);
            }
        } else {
            for found in self.parts(matchers, range)? {
                values.extend(found.labels.get(name).map(str::to_owned));
            }
        }
        Ok(values.into_iter().collect())
    }
}

/// A series and where its samples are. Holds its generation, so nothing it points to goes away.
struct StoreSeries {
    labels: Labels,
    /// What was selected; reads are mostly of this or of a part.
    range: TimeRange,
    lookback: Option<Timestamp>,
    head: Arc<Head>,
    _generation: Arc<Generation>,
    times: Arc<Times>,
    in_head: Vec<(usize, u32, SeriesId)>,
    in_blocks: Vec<(Arc<Block>, u32, Arc<Masks>)>,
    /// Of what was selected; taken at the first read, so that several reads agree.
    captured: OnceLock<Vec<Captured>>,
}

impl StoreSeries {
    fn new(labels: Labels, range: TimeRange, snapshot: &StoreSnapshot) -> StoreSeries {
        StoreSeries {
            labels,
            range,
            lookback: None,
            head: Arc::clone(&snapshot.head),
            _generation: Arc::clone(&snapshot.generation),
            times: Arc::clone(&snapshot.times),
            in_head: Vec::new(),
            in_blocks: Vec::new(),
            captured: OnceLock::new(),
        }
    }

    fn add(&mut self, part: Part, lookback: Option<Timestamp>) {
        self.lookback = self.lookback.or(lookback);
        match part {
            Part::Head { shard, slot, id } => self.in_head.push((shard, slot, id)),
            Part::Block(block, number, masks) => self.in_blocks.push((block, number, masks)),
        }
    }

    /// What the head has in a range, and maybe more.
    fn capture(&self, range: TimeRange) -> Cow<'_, [Captured]> {
        if self.range.contains(range.start()) && self.range.contains(range.end()) {
            return Cow::Borrowed(self.captured.get_or_init(|| self.captured_in(self.range)));
        }
        Cow::Owned(self.captured_in(range))
    }

    fn captured_in(&self, range: TimeRange) -> Vec<Captured> {
        let take = |(shard, slot, id): &(usize, u32, SeriesId)| {
            let locked = self.head.lock(*shard);
            let series = locked.get(*slot).filter(|s| s.id == *id)?;
            Some(series.capture_in(range, locked.blocks()))
        };
        self.in_head.iter().filter_map(take).collect()
    }
}

impl Series for StoreSeries {
    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn lookback(&self) -> Option<Timestamp> {
        self.lookback.filter(|ms| *ms > 0)
    }

    fn aggregates(&self, range: TimeRange, step: i64) -> Result<Option<Vec<Aggregate>>, ReadError> {
        aggregates::of(self, range, step)
    }

    fn cursor(&self, range: TimeRange) -> Result<Box<dyn Cursor>, ReadError> {
        let mut pieces = Vec::new();
        for (block, number, masks) in &self.in_blocks {
            if let Some(series) = block.series(*number)? {
                block_pieces(block, &series, masks, range, &mut pieces);
            }
        }
        for captured in self.capture(range).iter() {
            pieces.reserve(captured.sealed.len() + 2);
            for (i, chunk) in (0..).zip(&captured.sealed) {
                if chunk.max_t < range.start() || range.end() < chunk.min_t {
                    continue;
                }
                let source = Source::Sealed(Arc::clone(chunk));
                let (min_t, max_t) = (chunk.min_t, chunk.max_t);
                pieces.push(Piece { min_t, max_t, rank: (1, i), source });
            }
            if let (Some(min_t), Some(max_t)) = (captured.side.t.first(), captured.side.t.last()) {
                let (rank, source) = ((1, u64::MAX - 1), Source::Side(captured.side.clone()));
                pieces.push(Piece { min_t: *min_t, max_t: *max_t, rank, source });
            }
            if let Some((min_t, max_t)) = captured.ring.bounds() {
                let (rank, source) = ((1, u64::MAX), Source::Open(Arc::clone(&captured.ring)));
                pieces.push(Piece { min_t, max_t, rank, source });
            }
        }
        Ok(Box::new(Pieces::new(range, pieces, Arc::clone(&self.times))))
    }
}

/// The chunks of a block's series in a range, less those that are hidden altogether.
pub(crate) fn block_pieces(
    block: &Arc<Block>,
    series: &SeriesRef,
    masks: &Arc<Masks>,
    range: TimeRange,
    pieces: &mut Vec<Piece>,
) {
    let rank = (0, block.meta().position);
    for (place, chunk) in series.chunks.iter().enumerate() {
        let (min_t, max_t) = (chunk.min_t, chunk.max_t);
        let asked = min_t <= range.end() && range.start() <= max_t;
        if asked && !masks.cover(min_t, max_t) {
            let (block, series, masks) = (Arc::clone(block), series.clone(), Arc::clone(masks));
            let source = Source::Block(BlockChunk { block, series, place, masks });
            pieces.push(Piece { min_t, max_t, rank, source });
        }
    }
}

/// A run of samples somewhere. Of equal timestamps the higher rank holds.
pub(crate) struct Piece {
    min_t: Timestamp,
    max_t: Timestamp,
    rank: (u8, u64),
    source: Source,
}

enum Source {
    Block(BlockChunk),
    Sealed(Arc<HeadChunk>),
    Side(SampleBuf),
    Open(Arc<Open>),
}

/// A chunk of a block's series.
struct BlockChunk {
    block: Arc<Block>,
    series: SeriesRef,
    place: usize,
    masks: Arc<Masks>,
}

impl BlockChunk {
    fn meta(&self) -> &ChunkMeta {
        &self.series.chunks[self.place]
    }

    /// Whether some of it may be deleted.
    fn is_masked(&self) -> bool {
        let ChunkMeta { min_t, max_t, .. } = *self.meta();
        self.masks.touch(min_t, max_t)
    }

    fn read(&self, range: TimeRange, times: &Times, out: &mut SampleBuf) -> Result<(), ReadError> {
        if !self.is_masked() {
            return self.block.read_chunk_in(self.meta(), range, times, out);
        }
        let mut all = SampleBuf::default();
        self.block.read_chunk_in(self.meta(), range, times, &mut all)?;
        all.iter().filter(|s| !self.masks.hide(s.t)).for_each(|s| out.push(s));
        Ok(())
    }
}

impl Source {
    /// Whether statistics may be known of it: of what is open they are not, nor where some of it
    /// is deleted.
    fn may_have_stats(&self) -> bool {
        match self {
            Source::Block(chunk) => !chunk.is_masked(),
            Source::Sealed(_) => true,
            Source::Side(_) | Source::Open(_) => false,
        }
    }

    fn stats(&self) -> Result<Option<Stats>, ReadError> {
        match self {
            Source::Block(chunk) => chunk.block.stats(&chunk.series, chunk.place),
            Source::Sealed(chunk) => chunk.stats(),
            Source::Side(_) | Source::Open(_) => Ok(None),
        }
    }

    /// Encoded bytes, timestamps that are shared left out.
    fn byte_len(&self) -> u64 {
        match self {
            Source::Block(chunk) => u64::from(chunk.meta().values.1),
            Source::Sealed(chunk) => chunk.values_len() as u64,
            Source::Side(samples) => 16 * samples.len() as u64,
            Source::Open(open) => open.bytes() as u64,
        }
    }

    fn read(&self, range: TimeRange, times: &Times, out: &mut SampleBuf) -> Result<(), ReadError> {
        match self {
            Source::Block(chunk) => chunk.read(range, times, out)?,
            Source::Sealed(chunk) => {
                if range.contains(chunk.min_t) && range.contains(chunk.max_t) {
                    return chunk.decode(out);
                }
                let mut all = SampleBuf::default();
                chunk.decode(&mut all)?;
                append_in(range, &all, out);
            }
            Source::Side(samples) => append_in(range, samples, out),
            Source::Open(open) => {
                let mut all = SampleBuf::default();
                open.decode(&mut all);
                append_in(range, &all, out);
            }
        }
        Ok(())
    }
}

/// Pieces in order of time, those that overlap merged.
pub(crate) struct Pieces {
    range: TimeRange,
    pieces: Vec<Piece>,
    times: Arc<Times>,
    bytes_read: u64,
}

impl Pieces {
    pub(crate) fn new(range: TimeRange, mut pieces: Vec<Piece>, times: Arc<Times>) -> Pieces {
        pieces.retain(|p| p.min_t <= range.end() && range.start() <= p.max_t);
        // The last is taken first.
        pieces.sort_by_key(|p| std::cmp::Reverse((p.min_t, p.rank)));
        Pieces { range, pieces, times, bytes_read: 0 }
    }
}

impl Cursor for Pieces {
    fn next(&mut self, out: &mut SampleBuf) -> Result<bool, ReadError> {
        let Some(first) = self.pieces.pop() else {
            return Ok(false);
        };
        self.bytes_read += first.source.byte_len();
        let mut end = first.max_t;
        if self.pieces.last().is_none_or(|next| next.min_t > end) {
            first.source.read(self.range, &self.times, out)?;
            return Ok(true);
        }
        let mut run = vec![first];
        while let Some(next) = self.pieces.pop_if(|p| p.min_t <= end) {
            end = end.max(next.max_t);
            self.bytes_read += next.source.byte_len();
            run.push(next);
        }
        merge(&run, self.range, &self.times, out)?;
        Ok(true)
    }

    fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    fn ahead(&self) -> Option<TimeRange> {
        let (next, rest) = self.pieces.split_last()?;
        let whole = self.range.start() <= next.min_t && next.max_t <= self.range.end();
        let alone = rest.last().is_none_or(|after| next.max_t < after.min_t);
        let known = whole && alone && next.source.may_have_stats();
        TimeRange::new(next.min_t, next.max_t).filter(|_| known)
    }

    fn summary(&mut self) -> Result<Option<Summary>, ReadError> {
        let (Some(_), Some(next)) = (self.ahead(), self.pieces.last()) else { return Ok(None) };
        let (first_t, last_t) = (next.min_t, next.max_t);
        let Some(stats) = next.source.stats()? else { return Ok(None) };
        self.bytes_read += next.source.byte_len();
        self.pieces.pop();
        Ok(Some(Summary { first_t, last_t, stats }))
    }
}

/// Appends those samples that lie in a range.
fn append_in(range: TimeRange, samples: &SampleBuf, out: &mut SampleBuf) {
    let from = samples.t.partition_point(|t| *t < range.start());
    let to = samples.t.partition_point(|t| *t <= range.end());
    out.append(samples, from..to);
}

fn merge(
    run: &[Piece],
    range: TimeRange,
    times: &Times,
    out: &mut SampleBuf,
) -> Result<(), ReadError> {
    let mut samples: Vec<((u8, u64), Sample)> = Vec::new();
    for piece in run {
        let mut decoded = SampleBuf::default();
        piece.source.read(range, times, &mut decoded)?;
        samples.extend(decoded.iter().map(|s| (piece.rank, s)));
    }
    if run.len() > 1 {
        samples.sort_by_key(|(rank, s)| (s.t, std::cmp::Reverse(*rank)));
        samples.dedup_by_key(|(_, s)| s.t);
    }
    samples.into_iter().for_each(|(_, s)| out.push(s));
    Ok(())
}

/// Decodes and merges chunks of one series, later ones holding over earlier ones.
pub(crate) fn merge_chunks(chunks: &[Arc<HeadChunk>]) -> Result<SampleBuf, ReadError> {
    let piece = |(i, chunk): (u64, &Arc<HeadChunk>)| Piece {
        min_t: chunk.min_t,
        max_t: chunk.max_t,
        rank: (1, i),
        source: Source::Sealed(Arc::clone(chunk)),
    };
    let run: Vec<Piece> = (0..).zip(chunks).map(piece).collect();
    let mut out = SampleBuf::default();
    merge(&run, TimeRange::ALL, &Times::default(), &mut out)?;
    Ok(out)
}
