//! Patched frame of reference: blocks of 128 numbers as distances from a base in a few bits each; the
//! numbers too far away are exceptions, so one outlier does not widen a whole block.

use crate::wire::{FormatError, Reader, put_varint, put_zigzag};

pub(super) const BLOCK: usize = 128;
/// So far apart are the numbers that a quick look takes.
const STEP: usize = 4;
/// In a block's width byte: exceptions follow.
const EXCEPTIONS: u8 = 0x80;
/// So many of a block's lowest numbers may be exceptions below the base.
const BELOW: usize = 3;
/// Packed bytes of a whole block of the widest numbers, and room to read and write past a number.
const PACKED: usize = BLOCK * 8 + 16;

/// How a block is laid out.
#[derive(Clone, Copy, Debug)]
struct Plan {
    base: i64,
    width: u32,
    cost: usize,
}

/// Which form takes least, by all of its numbers; of what takes the same, the first.
pub(super) fn least(forms: &[&[i64]; 3]) -> usize {
    let cost = |form: &[i64]| form.chunks(BLOCK).map(|block| Plan::of(block).cost).sum::<usize>();
    first_least(forms.map(cost))
}

/// The same by every [`STEP`]th number only, for columns that need not be the smallest.
pub(super) fn likely_least(forms: &[&[i64]; 3]) -> usize {
    let cost = |form: &[i64]| {
        let some = form.chunks(BLOCK * STEP).map(|part| {
            let mut block = [0; BLOCK];
            let picked = block.iter_mut().zip(part.iter().step_by(STEP));
            let count = picked.map(|(to, from)| *to = *from).count();
            Plan::of(&block[..count]).cost
        });
        some.sum::<usize>()
    };
    first_least(forms.map(cost))
}

fn first_least(costs: [usize; 3]) -> usize {
    (1..costs.len()).fold(0, |best, form| if costs[form] < costs[best] { form } else { best })
}

/// Appends a column.
pub(super) fn encode(values: &[i64], out: &mut Vec<u8>) {
    for block in values.chunks(BLOCK) {
        Plan::of(block).encode(block, out);
    }
}

/// Decodes the next block of at most [`BLOCK`] numbers, all of `out`.
pub(super) fn decode_block(reader: &mut Reader<'_>, out: &mut [i64]) -> Result<(), FormatError> {
    let base = reader.zigzag()?;
    let flag = reader.u8()?;
    let width = u32::from(flag & !EXCEPTIONS);
    if width > 64 {
        return Err(reader.error("bit width over 64"));
    }
    let rest = reader.rest();
    let packed = reader.take((out.len() * width as usize).div_ceil(8))?;
    unpack(packed, rest, width, base, out);
    if flag & EXCEPTIONS == 0 {
        return Ok(());
    }
    let exceptions = usize::from(reader.u8()?);
    let places = reader.take(exceptions)?;
    for place in places {
        let high = reader.varint()?;
        let far = high.checked_shl(width).filter(|far| far >> width == high);
        let far = far.ok_or_else(|| reader.error("exception too large"))?;
        let value = out.get_mut(usize::from(*place));
        let value = value.ok_or_else(|| reader.error("exception past the block"))?;
        *value = value.wrapping_add(far as i64);
    }
    Ok(())
}

impl Plan {
    fn of(block: &[i64]) -> Plan {
        let plan = Plan::from_base(block, block.iter().copied().min().unwrap_or(0));
        if plan.width <= 2 || block.len() <= 4 * BELOW {
            return plan;
        }
        let above = Plan::from_base(block, nth_least(block));
        if above.cost < plan.cost { above } else { plan }
    }

    /// The best width over a base. What an exception takes is estimated, which costs nothing but
    /// a byte here and there.
    fn from_base(block: &[i64], base: i64) -> Plan {
        let by_bits = count_bits(block, base);
        let widest = by_bits.iter().rposition(|count| *count > 0).unwrap_or(0) as u32;
        let header = 1 + zigzag_len(base);
        let packed = |width: u32| (block.len() * width as usize).div_ceil(8);
        let mut best = Plan { base, width: widest, cost: header + packed(widest) };
        let (mut above, mut bits_above) = (0, 0);
        for width in (0..widest).rev() {
            let count = u32::from(by_bits[width as usize + 1]);
            above += count;
            bits_above += count * (width + 1);
            let high = (bits_above - above * width).div_ceil(7);
            let cost = header + packed(width) + (1 + above + high.max(above)) as usize;
            if cost < best.cost {
                best = Plan { base, width, cost };
            }
        }
        best
    }

    fn encode(&self, block: &[i64], out: &mut Vec<u8>) {
        let Plan { base, width, .. } = *self;
        put_zigzag(out, base);
        let flag_at = out.len();
        out.push(width as u8);
        let mask = low_bits(width);
        let mut packed = [0_u8; PACKED];
        let mut exceptions = 0;
        for (i, value) in block.iter().enumerate() {
            let distance = value.wrapping_sub(base) as u64;
            exceptions += u8::from(distance > mask);
            put_bits(&mut packed, i * width as usize, distance & mask);
        }
        out.extend_from_slice(&packed[..(block.len() * width as usize).div_ceil(8)]);
        if exceptions == 0 {
            return;
        }
        out[flag_at] |= EXCEPTIONS;
        out.push(exceptions);
        let far = || {
            let distances = block.iter().map(|value| value.wrapping_sub(base) as u64).enumerate();
            distances.filter(|(_, distance)| *distance > mask)
        };
        out.extend(far().map(|(i, _)| i as u8));
        far().for_each(|(_, distance)| put_varint(out, distance >> width));
    }
}

/// How many distances have how many bits.
fn count_bits(block: &[i64], base: i64) -> [u8; 65] {
    // Neighbours have the same number of bits more often than not: counted in turns, none waits for the
    // one before.
    let mut counts = [[0_u8; 65]; 4];
    for four in block.chunks(4) {
        for (count, value) in counts.iter_mut().zip(four) {
            count[bits_of(value.wrapping_sub(base)) as usize] += 1;
        }
    }
    let [mut all, rest @ ..] = counts;
    for count in rest {
        all.iter_mut().zip(count).for_each(|(all, more)| *all += more);
    }
    all
}

/// The number that [`BELOW`] others are below, or equal to.
fn nth_least(block: &[i64]) -> i64 {
    let mut least = [i64::MAX; BELOW + 1];
    for value in block {
        if *value >= least[BELOW] {
            continue;
        }
        let at = least.partition_point(|known| known <= value);
        least.copy_within(at..BELOW, at + 1);
        least[at] = *value;
    }
    least[BELOW]
}

/// Numbers of `width` bits, as distances from a base. What follows them is in `rest` too, so that
/// the last of them can be read as whole words wherever enough does.
fn unpack(packed: &[u8], rest: &[u8], width: u32, base: i64, out: &mut [i64]) {
    let room = packed.len() + 8;
    let mut copy = [0_u8; PACKED];
    let bytes = match rest.get(..room) {
        Some(bytes) => bytes,
        None => {
            copy[..packed.len()].copy_from_slice(packed);
            &copy[..room]
        }
    };
    macro_rules! by_width {
        ($($width:literal)*) => {
            match width {
                0 => out.fill(base),
                $($width => unpack_narrow::<$width>(bytes, base, out),)*
                _ => unpack_wide(bytes, width as usize, base, out),
            }
        };
    }
    by_width!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32)
}

/// Eight numbers at a time, whose bytes lie where the compiler knows.
fn unpack_narrow<const WIDTH: usize>(bytes: &[u8], base: i64, out: &mut [i64]) {
    let mask = (1_u64 << WIDTH) - 1;
    let number = |bytes: &[u8], i: usize| {
        let bit = i * WIDTH;
        let word = bytes[bit / 8..].first_chunk::<8>().map_or(0, |word| u64::from_le_bytes(*word));
        base.wrapping_add((word >> (bit % 8) & mask) as i64)
    };
    let (groups, rest) = out.as_chunks_mut::<8>();
    let whole = groups.len() * WIDTH;
    for (i, group) in groups.iter_mut().enumerate() {
        let bytes = &bytes[i * WIDTH..][..WIDTH + 8];
        *group = std::array::from_fn(|i| number(bytes, i));
    }
    let bytes = &bytes[whole..];
    rest.iter_mut().enumerate().for_each(|(i, value)| *value = number(bytes, i));
}

fn unpack_wide(bytes: &[u8], width: usize, base: i64, out: &mut [i64]) {
    let mask = low_bits(width as u32);
    for (i, value) in out.iter_mut().enumerate() {
        let bit = i * width;
        let low = word_at(bytes, bit / 8);
        // A number of more than 56 bits may reach into a ninth byte.
        let ninth = bytes.get(bit / 8 + 8).copied().unwrap_or(0);
        let wide = u128::from(ninth) << 64 | u128::from(low);
        *value = base.wrapping_add(((wide >> (bit % 8)) as u64 & mask) as i64);
    }
}

fn put_bits(packed: &mut [u8; PACKED], bit: usize, value: u64) {
    let wide = u128::from(value) << (bit % 8);
    let low = word_at(packed, bit / 8) | wide as u64;
    packed[bit / 8..bit / 8 + 8].copy_from_slice(&low.to_le_bytes());
    packed[bit / 8 + 8] |= (wide >> 64) as u8;
}

fn word_at(packed: &[u8], byte: usize) -> u64 {
    packed[byte..].first_chunk::<8>().map_or(0, |word| u64::from_le_bytes(*word))
}

fn low_bits(width: u32) -> u64 {
    u64::MAX.checked_shr(64 - width).unwrap_or(0)
}

fn bits_of(distance: i64) -> u32 {
    64 - (distance as u64).leading_zeros()
}

fn zigzag_len(value: i64) -> usize {
    (bits_of(value << 1 ^ value >> 63).max(1) as usize).div_ceil(7)
}
