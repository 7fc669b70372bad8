//! Patched frame of reference: blocks of 128 numbers as distances from a base in a few bits each; the
//! numbers too far away are exceptions, so one outlier does not widen a whole block.

use crate::wire::{FormatError, Reader, put_varint, put_zigzag};

const BLOCK: usize = 128;
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

/// About how many bytes a column takes.
pub(super) fn cost(values: &[i64]) -> usize {
    values.chunks(BLOCK).map(|block| Plan::of(block).cost).sum()
}

/// Appends a column.
pub(super) fn encode(values: &[i64], out: &mut Vec<u8>) {
    for block in values.chunks(BLOCK) {
        Plan::of(block).encode(block, out);
    }
}

/// Appends `n` decoded numbers.
pub(super) fn decode(
    reader: &mut Reader<'_>,
    n: usize,
    out: &mut Vec<i64>,
) -> Result<(), FormatError> {
    let mut left = n;
    while left > 0 {
        let count = left.min(BLOCK);
        decode_block(reader, count, out)?;
        left -= count;
    }
    Ok(())
}

impl Plan {
    fn of(block: &[i64]) -> Plan {
        let least = block.iter().copied().min().unwrap_or(0);
        let plan = Plan::from_base(block, least);
        if plan.width <= 2 || block.len() <= 4 * BELOW {
            return plan;
        }
        let mut sorted = [0_i64; BLOCK];
        let sorted = &mut sorted[..block.len()];
        sorted.copy_from_slice(block);
        let (_, base, _) = sorted.select_nth_unstable(BELOW);
        let above = Plan::from_base(block, *base);
        if above.cost < plan.cost { above } else { plan }
    }

    /// The best width over a base. What an exception takes is estimated, which costs nothing but
    /// a byte here and there.
    fn from_base(block: &[i64], base: i64) -> Plan {
        let mut by_bits = [0_u32; 65];
        let mut widest = 0;
        for value in block {
            let bits = bits_of(value.wrapping_sub(base));
            by_bits[bits as usize] += 1;
            widest = widest.max(bits);
        }
        let header = 1 + zigzag_len(base);
        let packed = |width: u32| (block.len() * width as usize).div_ceil(8);
        let mut best = Plan { base, width: widest, cost: header + packed(widest) };
        let (mut above, mut bits_above) = (0, 0);
        for width in (0..widest).rev() {
            let count = by_bits[width as usize + 1];
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

fn decode_block(
    reader: &mut Reader<'_>,
    count: usize,
    out: &mut Vec<i64>,
) -> Result<(), FormatError> {
    let base = reader.zigzag()?;
    let flag = reader.u8()?;
    let width = u32::from(flag & !EXCEPTIONS);
    if width > 64 {
        return Err(reader.error("bit width over 64"));
    }
    let start = out.len();
    unpack(reader.take((count * width as usize).div_ceil(8))?, width, base, count, out);
    if flag & EXCEPTIONS == 0 {
        return Ok(());
    }
    let exceptions = usize::from(reader.u8()?);
    let places = reader.take(exceptions)?;
    for place in places {
        let high = reader.varint()?;
        let far = high.checked_shl(width).filter(|far| far >> width == high);
        let far = far.ok_or_else(|| reader.error("exception too large"))?;
        let value = out.get_mut(start + usize::from(*place));
        let value = value.ok_or_else(|| reader.error("exception past the block"))?;
        *value = value.wrapping_add(far as i64);
    }
    Ok(())
}

fn unpack(bytes: &[u8], width: u32, base: i64, count: usize, out: &mut Vec<i64>) {
    let mut packed = [0_u8; PACKED];
    packed[..bytes.len()].copy_from_slice(bytes);
    let (mask, width) = (low_bits(width), width as usize);
    match width {
        0 => out.resize(out.len() + count, base),
        8 => out.extend(packed[..count].iter().map(|b| base.wrapping_add(i64::from(*b)))),
        // Eight bytes from where a number begins hold all of it.
        1..=56 => out.extend((0..count).map(|i| {
            let bit = i * width;
            let word = word_at(&packed, bit / 8) >> (bit % 8);
            base.wrapping_add((word & mask) as i64)
        })),
        _ => out.extend((0..count).map(|i| {
            let bit = i * width;
            let low = u128::from(word_at(&packed, bit / 8));
            let wide = u128::from(packed[bit / 8 + 8]) << 64 | low;
            base.wrapping_add(((wide >> (bit % 8)) as u64 & mask) as i64)
        })),
    }
}

fn put_bits(packed: &mut [u8; PACKED], bit: usize, value: u64) {
    let wide = u128::from(value) << (bit % 8);
    let low = word_at(packed, bit / 8) | wide as u64;
    packed[bit / 8..bit / 8 + 8].copy_from_slice(&low.to_le_bytes());
    packed[bit / 8 + 8] |= (wide >> 64) as u8;
}

fn word_at(packed: &[u8; PACKED], byte: usize) -> u64 {
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
