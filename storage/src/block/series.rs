//! The series of a block, numbered from 0 in the order of their labels, each by what differs from
//! the one before: pure.

use super::layout::RollupMeta;
use super::page::Pages;
use crate::model::{Labels, Timestamp};
use crate::wire::{FormatError, Reader, put_varint, put_zigzag};

/// Series of a page.
pub(super) const PAGE: usize = 64;
/// Pairs of labels that can be the same as before by a bit.
const MASKED: usize = 63;

/// In the flags of a series.
const HAS_LOOKBACK: u8 = 1;
const HAS_ROLLUPS: u8 = 2;
/// In the head of a chunk: its times are not those that are expected.
const OTHER_TIMES: u64 = 1;
/// Its values are those of the chunk before.
const SAME_VALUES: u64 = 2;
/// Its values do not follow those before.
const ELSEWHERE: u64 = 4;
const LENGTH_SHIFT: u32 = 3;

/// Where the values of a chunk stand, and which times they have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkAt {
    /// Number of its timestamp column.
    pub(crate) times: u64,
    pub(crate) values: (u64, u32),
    pub(crate) crc: u32,
}

/// A series as a block has it.
#[derive(Clone, Debug)]
pub(crate) struct SeriesAt<L> {
    pub(crate) labels: L,
    pub(crate) lookback: Option<Timestamp>,
    pub(crate) chunks: Vec<ChunkAt>,
    pub(crate) rollups: Vec<RollupMeta>,
}

/// Symbols of names and values, in the order of the names.
pub(super) type Pairs = Vec<(u64, u64)>;

/// Encodes all series; `pairs` gives the symbols of a label set.
pub(super) fn encode(all: &[SeriesAt<Labels>], pairs: impl Fn(&Labels) -> Pairs) -> (Vec<u8>, u32) {
    let mut pages: Pages<()> = Pages::new();
    for group in all.chunks(PAGE) {
        let mut page = Vec::new();
        let mut before = Before::default();
        for series in group {
            let pairs = pairs(&series.labels);
            before.put_pairs(&pairs, &mut page);
            let rolled = !series.rollups.is_empty();
            let flags = [(series.lookback.is_some(), HAS_LOOKBACK), (rolled, HAS_ROLLUPS)];
            page.push(flags.iter().filter(|(set, _)| *set).map(|(_, flag)| flag).sum());
            series.lookback.into_iter().for_each(|ms| put_zigzag(&mut page, ms));
            before.put_chunks(&series.chunks, &mut page);
            if rolled {
                put_varint(&mut page, series.rollups.len() as u64);
                series.rollups.iter().for_each(|rollup| rollup.encode(&mut page));
            }
            before.pairs = pairs;
        }
        pages.add((), &page);
    }
    pages.finish()
}

/// Decodes a page.
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<SeriesAt<Pairs>>, FormatError> {
    let mut reader = Reader::new(bytes);
    let mut all = Vec::new();
    let mut before = Before::default();
    while !reader.is_empty() {
        if all.len() >= PAGE {
            return Err(reader.error("too many series in a page"));
        }
        let labels = before.get_pairs(&mut reader)?;
        let flags = reader.u8()?;
        let lookback = if flags & HAS_LOOKBACK != 0 { Some(reader.zigzag()?) } else { None };
        let chunks = before.get_chunks(&mut reader)?;
        let mut rollups = Vec::new();
        if flags & HAS_ROLLUPS != 0 {
            for _ in 0..reader.count(10)? {
                rollups.push(RollupMeta::decode(&mut reader)?);
            }
        }
        before.pairs.clone_from(&labels);
        all.push(SeriesAt { labels, lookback, chunks, rollups });
    }
    Ok(all)
}

/// What an entry is compared with.
#[derive(Default)]
struct Before {
    pairs: Pairs,
    times: Vec<u64>,
    /// Where the values last written end.
    end: u64,
}

impl Before {
    fn put_pairs(&self, pairs: &[(u64, u64)], out: &mut Vec<u8>) {
        put_varint(out, pairs.len() as u64);
        let known = |i: usize| self.pairs.get(i).copied();
        let same = |i: usize| i < MASKED && known(i) == Some(pairs[i]);
        let mask = (0..pairs.len()).filter(|i| same(*i)).fold(0_u64, |mask, i| mask | 1 << i);
        put_varint(out, mask);
        for (i, (name, value)) in pairs.iter().enumerate().filter(|(i, _)| !same(*i)) {
            let before = known(i);
            let same_name = before.is_some_and(|(known, _)| known == *name);
            put_varint(out, if same_name { 0 } else { name + 1 });
            put_zigzag(out, value.wrapping_sub(before.map_or(0, |(_, value)| value)) as i64);
        }
    }

    fn get_pairs(&self, reader: &mut Reader<'_>) -> Result<Pairs, FormatError> {
        let count = reader.varint()?;
        let mask = reader.varint()?;
        // Those that are the same take no byte each, the others two.
        let told = usize::try_from(count.saturating_sub(u64::from(mask.count_ones())));
        if told.is_ok_and(|told| told > reader.remaining() / 2) || count > u64::from(u16::MAX) {
            return Err(reader.error("labels past the end"));
        }
        let mut pairs = Vec::new();
        for i in 0..count as usize {
            let before = self.pairs.get(i).copied();
            if i < MASKED && mask >> i & 1 == 1 {
                pairs.push(before.ok_or_else(|| reader.error("labels of no series before"))?);
                continue;
            }
            let name = match (reader.varint()?, before) {
                (0, Some((name, _))) => name,
                (0, None) => return Err(reader.error("a label without a name")),
                (name, _) => name - 1,
            };
            let base = before.map_or(0, |(_, value)| value);
            pairs.push((name, base.wrapping_add(reader.zigzag()? as u64)));
        }
        Ok(pairs)
    }

    fn put_chunks(&mut self, chunks: &[ChunkAt], out: &mut Vec<u8>) {
        put_varint(out, chunks.len() as u64);
        let mut last: Option<ChunkAt> = None;
        for (i, chunk) in chunks.iter().enumerate() {
            let times = self.expected(i, last.map(|c| c.times));
            let same = last.is_some_and(|l| l.values == chunk.values && l.crc == chunk.crc);
            let elsewhere = chunk.values.0 != self.end;
            let mut head = if chunk.times == times { 0 } else { OTHER_TIMES };
            head |= match (same, elsewhere) {
                (true, _) => SAME_VALUES,
                (_, true) => ELSEWHERE | u64::from(chunk.values.1) << LENGTH_SHIFT,
                _ => u64::from(chunk.values.1) << LENGTH_SHIFT,
            };
            put_varint(out, head);
            if head & OTHER_TIMES != 0 {
                put_zigzag(out, chunk.times.wrapping_sub(times) as i64);
            }
            if !same {
                if elsewhere {
                    put_zigzag(out, chunk.values.0.wrapping_sub(self.end) as i64);
                }
                out.extend_from_slice(&chunk.crc.to_le_bytes());
                self.moved(chunk.values);
            }
            last = Some(*chunk);
        }
        self.times = chunks.iter().map(|chunk| chunk.times).collect();
    }

    fn get_chunks(&mut self, reader: &mut Reader<'_>) -> Result<Vec<ChunkAt>, FormatError> {
        let mut chunks: Vec<ChunkAt> = Vec::new();
        for i in 0..reader.count(1)? {
            let last = chunks.last().copied();
            let head = reader.varint()?;
            let mut times = self.expected(i, last.map(|c| c.times));
            if head & OTHER_TIMES != 0 {
                times = times.wrapping_add(reader.zigzag()? as u64);
            }
            if head & SAME_VALUES != 0 {
                let last = last.ok_or_else(|| reader.error("values of no chunk before"))?;
                chunks.push(ChunkAt { times, ..last });
                continue;
            }
            let length = u32::try_from(head >> LENGTH_SHIFT);
            let length = length.map_err(|_| reader.error("length over 4 GiB"))?;
            let mut offset = self.end;
            if head & ELSEWHERE != 0 {
                offset = offset.wrapping_add(reader.zigzag()? as u64);
            }
            let chunk = ChunkAt { times, values: (offset, length), crc: reader.u32()? };
            self.moved(chunk.values);
            chunks.push(chunk);
        }
        self.times = chunks.iter().map(|chunk| chunk.times).collect();
        Ok(chunks)
    }

    /// Series of one target have the same times, chunk by chunk.
    fn expected(&self, i: usize, last: Option<u64>) -> u64 {
        let next = last.map_or(0, |times| times.wrapping_add(1));
        self.times.get(i).copied().unwrap_or(next)
    }

    /// Values that stand earlier are shared; what follows them is not expected next.
    fn moved(&mut self, values: (u64, u32)) {
        self.end = self.end.max(values.0.saturating_add(u64::from(values.1)));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(labels: Labels, seed: u64) -> SeriesAt<Labels> {
        let chunk = |i: u64| ChunkAt {
            times: if seed.is_multiple_of(3) { i } else { seed.wrapping_mul(i) },
            values: if seed.is_multiple_of(5) { (7, 3) } else { (seed << i, (seed >> 40) as u32) },
            crc: (seed / 7) as u32,
        };
        let rollup =
            RollupMeta { length: 60, min_t: -5, max_t: 9, count: 2, rows: (seed, 1), crc: 1 };
        SeriesAt {
            labels,
            lookback: (seed.is_multiple_of(2)).then_some(300_000),
            chunks: (0..seed % 4).map(chunk).collect(),
            rollups: if seed.is_multiple_of(7) { vec![rollup] } else { Vec::new() },
        }
    }

    proptest! {
        #[test]
        fn any_series_come_back(
            all in prop::collection::vec((prop::collection::vec((0_u64..9, any::<u64>()), 0..70), any::<u64>()), 1..200)
        ) {
            let series: Vec<_> = all.iter().map(|(_, seed)| one(Labels::empty(), *seed)).collect();
            let next = std::cell::Cell::new(0);
            let pairs = |_: &Labels| {
                let at = next.get();
                next.set(at + 1);
                all[at].0.clone()
            };
            let (bytes, directory) = encode(&series, pairs);
            let split = bytes.len() - directory as usize;
            let pages = super::super::page::Directory::<()>::decode(&bytes[split..], split as u64).unwrap();
            let mut back = Vec::new();
            for page in &pages.pages {
                let start = page.offset as usize;
                back.extend(decode(&bytes[start..start + page.length as usize]).unwrap());
            }
            prop_assert_eq!(back.len(), series.len());
            for ((a, b), (pairs, _)) in series.iter().zip(&back).zip(&all) {
                prop_assert_eq!(&b.labels, pairs);
                prop_assert_eq!(a.lookback, b.lookback);
                prop_assert_eq!(&a.chunks, &b.chunks);
                prop_assert_eq!(&a.rollups, &b.rollups);
            }
        }

        #[test]
        fn damaged_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode(&bytes);
            let _ = super::super::times::decode(&bytes);
            let _ = super::super::symbols::SymbolPage::decode(&bytes);
            let _ = super::super::postings::PostingsPage::decode(&bytes);
        }
    }
}
