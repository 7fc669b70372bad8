//! Numbers in a prefix code: small ones, which are most of a gauge's changes, in two or three bits each.
//!
//! A number is a class and so many plain bits. Up to 15 every number is a class of its own; above,
//! every octave has four. Classes are in a canonical Huffman code, which its lengths describe.

use crate::wire::{FormatError, Reader, put_prefixed, put_varint, put_zigzag};

/// Numbers below are classes of their own.
const DIRECT: u64 = 16;
/// Bits of the largest of them.
const DIRECT_BITS: u32 = 4;
/// Classes of an octave, as bits.
const PARTS: u32 = 2;
const CLASSES: usize = DIRECT as usize + (64 - DIRECT_BITS as usize) * (1 << PARTS);
/// No code is longer, so a table of this many bits decodes one at a time.
const MOST_BITS: u32 = 10;

/// Numbers as distances from a base, or by zigzag around it.
const ZIGZAG: u8 = 1;

/// Encodes the numbers; `None` where the code alone would take more than `most` bytes.
pub(super) fn encode(values: &[i64], most: usize) -> Option<Vec<u8>> {
    let base = *values.iter().min()?;
    let plain = Plan::of(base, false, values);
    let zigzag = Plan::of(0, true, values);
    let plan = if zigzag.bits < plain.bits { zigzag } else { plain };
    (plan.bits / 8 < most as u64).then(|| plan.encode(values))
}

/// A code for a column.
struct Plan {
    base: i64,
    zigzag: bool,
    lengths: Vec<u8>,
    /// What the numbers take.
    bits: u64,
}

impl Plan {
    fn of(base: i64, zigzag: bool, values: &[i64]) -> Plan {
        let mut counts = [0_u32; CLASSES];
        let mut bits = 0_u64;
        for value in values {
            let (class, plain, _) = class_of(distance(*value, base, zigzag));
            counts[class] += 1;
            bits += u64::from(plain);
        }
        let used = counts.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1);
        let lengths = code_lengths(&counts[..used]);
        let coded =
            counts.iter().zip(&lengths).map(|(n, length)| u64::from(*n) * u64::from(*length));
        bits += coded.sum::<u64>();
        Plan { base, zigzag, lengths, bits }
    }

    fn encode(&self, values: &[i64]) -> Vec<u8> {
        let mut out = vec![if self.zigzag { ZIGZAG } else { 0 }];
        put_zigzag(&mut out, self.base);
        put_lengths(&self.lengths, &mut out);
        let codes = codes_of(&self.lengths);
        let mut bits = BitWriter::default();
        for value in values {
            let (class, plain, low) = class_of(distance(*value, self.base, self.zigzag));
            bits.put(codes[class], u32::from(self.lengths[class]));
            bits.put(low, plain);
        }
        put_prefixed(&mut out, &bits.finish());
        out
    }
}

/// Decodes a column, some numbers after the other.
pub(super) struct Decoder<'a> {
    base: i64,
    zigzag: bool,
    table: Table,
    bits: BitReader<'a>,
}

impl<'a> Decoder<'a> {
    /// Reads the code, and goes past the numbers.
    pub(super) fn new(reader: &mut Reader<'a>) -> Result<Decoder<'a>, FormatError> {
        let zigzag = reader.u8()? & ZIGZAG != 0;
        let base = reader.zigzag()?;
        let table = Table::of(&get_lengths(reader)?);
        let table = table.ok_or_else(|| reader.error("not a prefix code"))?;
        Ok(Decoder { base, zigzag, table, bits: BitReader::new(reader.prefixed()?) })
    }

    /// The next numbers; past the last of them it is any.
    pub(super) fn fill(&mut self, numbers: &mut [i64]) {
        let (table, bits) = (&self.table, &mut self.bits);
        if table.most <= WHOLE_BITS {
            // As many at a time as are sure to be whole in one word.
            let groups = numbers.chunks_mut((WHOLE_BITS / table.most) as usize);
            groups.for_each(|group| bits.numbers(table, group));
        } else {
            numbers.iter_mut().for_each(|number| *number = bits.number(table).cast_signed());
        }
        if self.zigzag {
            numbers.iter_mut().for_each(|number| *number = unzigzag(number.cast_unsigned()));
        }
        numbers.iter_mut().for_each(|number| *number = self.base.wrapping_add(*number));
    }

    /// Whether more was asked for than there is.
    pub(super) fn is_past_end(&self) -> bool {
        self.bits.at > self.bits.bytes.len() * 8
    }
}

fn distance(value: i64, base: i64, zigzag: bool) -> u64 {
    let distance = value.wrapping_sub(base);
    if zigzag {
        return (distance << 1 ^ distance >> 63).cast_unsigned();
    }
    distance.cast_unsigned()
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}

/// The class of a number, how many plain bits follow, and these.
fn class_of(number: u64) -> (usize, u32, u64) {
    if number < DIRECT {
        return (number as usize, 0, 0);
    }
    let octave = 63 - number.leading_zeros();
    let plain = octave - PARTS;
    let part = number >> plain & ((1 << PARTS) - 1);
    let class = DIRECT + (u64::from(octave - DIRECT_BITS) << PARTS) + part;
    (class as usize, plain, number & ((1 << plain) - 1))
}

/// The least number of a class, and how many plain bits its numbers have.
const fn numbers_of(class: usize) -> (u64, u32) {
    let Some(above) = class.checked_sub(DIRECT as usize) else { return (class as u64, 0) };
    let octave = DIRECT_BITS + (above >> PARTS) as u32;
    let part = (above & ((1 << PARTS) - 1)) as u64;
    let plain = octave - PARTS;
    (((1 << PARTS) | part) << plain, plain)
}

/// Lengths of a Huffman code, none above [`MOST_BITS`]; 0 for what does not occur.
fn code_lengths(counts: &[u32]) -> Vec<u8> {
    let mut counts: Vec<u64> = counts.iter().map(|n| u64::from(*n)).collect();
    loop {
        let lengths = huffman(&counts);
        if lengths.iter().all(|length| u32::from(*length) <= MOST_BITS) {
            return lengths;
        }
        // What is rare is taken for less rare, until no code is too long.
        for count in counts.iter_mut().filter(|count| **count > 0) {
            *count = count.div_ceil(2) + 1;
        }
    }
}

fn huffman(counts: &[u64]) -> Vec<u8> {
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;
    let mut lengths = vec![0_u8; counts.len()];
    // Every node with its count, and the node above once it has one; leaves are the first.
    let mut above: Vec<usize> = vec![usize::MAX; counts.len()];
    let leaves = counts.iter().enumerate().filter(|(_, count)| **count > 0);
    let mut heap: BinaryHeap<Reverse<(u64, usize)>> =
        leaves.map(|(class, count)| Reverse((*count, class))).collect();
    if heap.len() == 1 {
        heap.into_iter().for_each(|Reverse((_, class))| lengths[class] = 1);
        return lengths;
    }
    while let (Some(Reverse(one)), Some(Reverse(two))) = (heap.pop(), heap.pop()) {
        let node = above.len();
        above.push(usize::MAX);
        above[one.1] = node;
        above[two.1] = node;
        heap.push(Reverse((one.0 + two.0, node)));
        if heap.len() == 1 {
            break;
        }
    }
    for (class, length) in lengths.iter_mut().enumerate() {
        let mut node = above[class];
        while node != usize::MAX {
            *length = length.saturating_add(1);
            node = above[node];
        }
    }
    lengths
}

/// Canonical codes, the first bit lowest.
fn codes_of(lengths: &[u8]) -> Vec<u64> {
    let mut codes = vec![0; lengths.len()];
    let mut next = 0_u64;
    for length in 1..=MOST_BITS {
        next <<= 1;
        for (code, _) in codes.iter_mut().zip(lengths).filter(|(_, l)| u32::from(**l) == length) {
            *code = next.reverse_bits() >> (64 - length);
            next += 1;
        }
    }
    codes
}

/// What some bits begin with: the class, and how many bits its code and its plain bits are together.
#[derive(Clone, Copy)]
struct Entry {
    class: u8,
    bits: u8,
}

/// An entry for all bits that the longest code may have. Entries are small, for the table of a chunk is
/// made anew whenever a query wants something of it.
struct Table {
    entries: [Entry; 1 << MOST_BITS],
    /// What of a word's bits is a place in it.
    mask: usize,
    /// Bits of the longest number.
    most: u32,
}

impl Table {
    /// `None` if the lengths are those of no code.
    fn of(lengths: &[u8]) -> Option<Table> {
        let mut counts = [0_u32; MOST_BITS as usize + 1];
        lengths.iter().for_each(|length| counts[usize::from(*length)] += 1);
        counts[0] = 0;
        let used: u32 = (0..).zip(&counts).map(|(l, count)| count << (MOST_BITS - l)).sum();
        if used != 1 << MOST_BITS && counts.iter().sum::<u32>() != 1 {
            return None;
        }
        // Where in their order the codes of each length begin.
        let (mut next, mut before) = ([0; MOST_BITS as usize + 1], 0);
        for (next, count) in next.iter_mut().zip(&counts) {
            *next = before;
            before += *count as usize;
        }
        let mut order = [0_u8; CLASSES];
        for (class, length) in lengths.iter().enumerate().filter(|(_, length)| **length > 0) {
            let next = &mut next[usize::from(*length)];
            order[*next] = class as u8;
            *next += 1;
        }
        let entries = [Entry { class: 0, bits: 1 }; 1 << MOST_BITS];
        let mut table = Table { entries, mask: 0, most: 1 };
        table.fill(&counts, &order);
        Some(table)
    }

    /// The table for codes of one more bit is that for those before, twice, and then theirs.
    fn fill(&mut self, counts: &[u32], order: &[u8; CLASSES]) {
        let mut order = order.iter();
        let longest = counts.iter().rposition(|count| *count > 0).unwrap_or(1).max(1);
        let mut code = 0_u64;
        for (length, count) in (1..=longest).zip(counts.iter().skip(1)) {
            let size = self.mask + 1;
            self.entries.copy_within(..size, size);
            self.mask = 2 * size - 1;
            code <<= 1;
            for class in order.by_ref().take(*count as usize) {
                let bits = length as u8 + PLAIN[usize::from(*class)];
                let place = code.reverse_bits() >> (64 - length);
                self.entries[place as usize] = Entry { class: *class, bits };
                self.most = self.most.max(u32::from(bits));
                code += 1;
            }
        }
    }

    #[inline]
    fn entry(&self, word: u64) -> Entry {
        self.entries[word as usize & self.mask]
    }
}

/// Plain bits of each class.
static PLAIN: [u8; CLASSES] = {
    let (mut plain, mut class) = ([0; CLASSES], 0);
    while class < CLASSES {
        plain[class] = numbers_of(class).1 as u8;
        class += 1;
    }
    plain
};

/// The least number of each class.
static STARTS: [u64; CLASSES] = {
    let (mut starts, mut class) = ([0; CLASSES], 0);
    while class < CLASSES {
        starts[class] = numbers_of(class).0;
        class += 1;
    }
    starts
};

/// Four bits each; after a 0 how many more of them follow.
fn put_lengths(lengths: &[u8], out: &mut Vec<u8>) {
    put_varint(out, lengths.len() as u64);
    let mut digits = Vec::new();
    for run in lengths.chunk_by(|a, b| *a == 0 && *b == 0) {
        match run {
            [0, ..] => {
                for part in run.chunks(16) {
                    digits.extend([0, part.len() as u8 - 1]);
                }
            }
            _ => digits.extend_from_slice(run),
        }
    }
    out.extend(digits.chunks(2).map(|pair| pair[0] | pair.get(1).map_or(0, |high| high << 4)));
}

fn get_lengths(reader: &mut Reader<'_>) -> Result<Vec<u8>, FormatError> {
    let count = usize::try_from(reader.varint()?).unwrap_or(usize::MAX);
    if count > CLASSES {
        return Err(reader.error("too many classes in a prefix code"));
    }
    let mut half = None;
    let mut digit = |reader: &mut Reader<'_>| -> Result<u8, FormatError> {
        if let Some(high) = half.take() {
            return Ok(high);
        }
        let byte = reader.u8()?;
        half = Some(byte >> 4);
        Ok(byte & 15)
    };
    let mut lengths = Vec::with_capacity(count);
    while lengths.len() < count {
        let length = digit(reader)?;
        if u32::from(length) > MOST_BITS {
            return Err(reader.error("a code is too long"));
        }
        let more = if length == 0 { usize::from(digit(reader)?) } else { 0 };
        lengths.resize((lengths.len() + 1 + more).min(count), length);
    }
    Ok(lengths)
}

#[derive(Default)]
struct BitWriter {
    bytes: Vec<u8>,
    open: u64,
    held: u32,
}

impl BitWriter {
    fn put(&mut self, value: u64, bits: u32) {
        let wide = u128::from(self.open) | u128::from(value) << self.held;
        let whole = (self.held + bits) / 8;
        self.bytes.extend_from_slice(&wide.to_le_bytes()[..whole as usize]);
        self.open = (wide >> (whole * 8)) as u64;
        self.held = (self.held + bits) % 8;
    }

    fn finish(mut self) -> Vec<u8> {
        if self.held > 0 {
            self.bytes.push(self.open as u8);
        }
        self.bytes
    }
}

struct BitReader<'a> {
    bytes: &'a [u8],
    /// In bits; may come to lie past the end, where there are zeros.
    at: usize,
}

impl<'a> BitReader<'a> {
    fn new(bytes: &'a [u8]) -> BitReader<'a> {
        BitReader { bytes, at: 0 }
    }

    /// The next numbers, all of which lie in [`WHOLE_BITS`] bits.
    #[inline]
    fn numbers(&mut self, table: &Table, out: &mut [i64]) {
        let (mut word, mut used) = (self.word(self.at), 0);
        for number in out {
            let Entry { class, bits } = table.entry(word);
            let plain = PLAIN[usize::from(class)];
            let low = word >> (bits - plain) & low_bits(u32::from(plain));
            *number = STARTS[usize::from(class)].wrapping_add(low).cast_signed();
            word >>= bits;
            used += usize::from(bits);
        }
        self.at += used;
    }

    /// The next number, however long: a code, which says how many plain bits follow.
    fn number(&mut self, table: &Table) -> u64 {
        let Entry { class, bits } = table.entry(self.word(self.at));
        let plain = PLAIN[usize::from(class)];
        self.at += usize::from(bits - plain);
        let low = self.word(self.at) & low_bits(WHOLE_BITS)
            | self.word(self.at + WHOLE_BITS as usize) << WHOLE_BITS;
        self.at += usize::from(plain);
        STARTS[usize::from(class)] + (low & low_bits(u32::from(plain)))
    }

    /// The bits from a place on, [`WHOLE_BITS`] of them at least.
    #[inline]
    fn word(&self, at: usize) -> u64 {
        let start = at / 8;
        let word = match self.bytes.get(start..).and_then(|rest| rest.first_chunk::<8>()) {
            Some(word) => u64::from_le_bytes(*word),
            None => {
                let mut word = [0; 8];
                let rest = self.bytes.get(start..).unwrap_or(&[]);
                word[..rest.len()].copy_from_slice(rest);
                u64::from_le_bytes(word)
            }
        };
        word >> (at % 8)
    }
}

/// So many bits are in the eight bytes where they begin, wherever that is in the first.
const WHOLE_BITS: u32 = 56;

fn low_bits(bits: u32) -> u64 {
    (1 << bits) - 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round_trip(values: &[i64]) -> usize {
        let Some(bytes) = encode(values, usize::MAX) else {
            assert!(values.is_empty());
            return 0;
        };
        let mut decoder = Decoder::new(&mut Reader::new(&bytes)).unwrap();
        let mut back = vec![0; values.len()];
        back.chunks_mut(100).for_each(|part| decoder.fill(part));
        assert_eq!(back, values);
        assert!(!decoder.is_past_end());
        bytes.len()
    }

    #[test]
    fn every_class_comes_back() {
        let edges = (0..64).flat_map(|bit| [1_u64 << bit, (1 << bit) - 1, (1 << bit) + 1]);
        let edges: Vec<i64> = edges.map(|n| n as i64).collect();
        round_trip(&edges);
        for edge in &edges {
            round_trip(&[*edge]);
            round_trip(&[*edge, i64::MIN, 0, i64::MAX, *edge]);
        }
        // Counts of which a plain Huffman code would be far too long.
        let skewed: Vec<i64> = (0..22).flat_map(|i| vec![i; 1 << i.min(14)]).collect();
        round_trip(&skewed);
    }

    #[test]
    fn small_changes_take_little() {
        let steps = [0, 1, -1, 0, 1, 0, -1, 2, 0, -2, 1, 0, -1, 0, 1, -1];
        let values: Vec<i64> = (0..1024).map(|i| steps[i * 7 % 16]).collect();
        assert!(round_trip(&values) < 1024 * 9 / 32);
    }

    proptest! {
        #[test]
        fn any_numbers_come_back(
            values in prop::collection::vec((any::<i64>(), 0_u32..64), 1..400)
        ) {
            let values: Vec<i64> = values.into_iter().map(|(v, shift)| v >> shift).collect();
            round_trip(&values);
        }

        #[test]
        fn damaged_bytes_never_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..200), n in 0_usize..2000
        ) {
            if let Ok(mut decoder) = Decoder::new(&mut Reader::new(&bytes)) {
                decoder.fill(&mut vec![0; n]);
            }
        }
    }
}
