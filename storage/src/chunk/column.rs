//! The integer column: plain, delta or delta of delta, then frame of reference in small blocks.

use crate::wire::{FormatError, Reader, put_zigzag};

const BLOCK: usize = 128;

const PLAIN: u8 = 0;
const DELTA: u8 = 1;
const DELTA2: u8 = 2;

/// Appends the smallest of the three forms. All arithmetic wraps, so every i64 comes back.
pub(crate) fn encode(values: &[i64], out: &mut Vec<u8>) {
    let mut best = encode_as(PLAIN, values);
    for mode in [DELTA, DELTA2] {
        let other = encode_as(mode, values);
        if other.len() < best.len() {
            best = other;
        }
    }
    out.extend_from_slice(&best);
}

fn encode_as(mode: u8, values: &[i64]) -> Vec<u8> {
    let mut out = vec![mode];
    let order = usize::from(mode).min(values.len());
    let mut rest = values.to_vec();
    for _ in 0..order {
        let first = rest[0];
        put_zigzag(&mut out, first);
        rest = rest.windows(2).map(|w| w[1].wrapping_sub(w[0])).collect();
    }
    for block in rest.chunks(BLOCK) {
        pack(block, &mut out);
    }
    out
}

fn pack(block: &[i64], out: &mut Vec<u8>) {
    let base = block.iter().copied().min().unwrap_or(0);
    let span = block.iter().map(|v| v.wrapping_sub(base) as u64).fold(0, |a, b| a | b);
    let width = 64 - span.leading_zeros();
    put_zigzag(out, base);
    out.push(width as u8);
    if width == 0 {
        return;
    }
    let (mut hold, mut held) = (0_u128, 0);
    for value in block {
        hold |= u128::from(value.wrapping_sub(base) as u64) << held;
        held += width;
        while held >= 8 {
            out.push(hold as u8);
            hold >>= 8;
            held -= 8;
        }
    }
    if held > 0 {
        out.push(hold as u8);
    }
}

/// Appends `n` decoded values.
pub(crate) fn decode(
    reader: &mut Reader<'_>,
    n: usize,
    out: &mut Vec<i64>,
) -> Result<(), FormatError> {
    if n > super::MAX_CHUNK_SAMPLES {
        return Err(reader.error("too many samples in a chunk"));
    }
    let mode = reader.u8()?;
    if mode > DELTA2 {
        return Err(reader.error("unknown integer column"));
    }
    let order = usize::from(mode).min(n);
    let mut firsts = [0_i64; 2];
    for first in firsts.iter_mut().take(order) {
        *first = reader.zigzag()?;
    }
    let start = out.len();
    out.extend_from_slice(&firsts[..order.min(1)]);
    if order == 2 {
        out.push(firsts[0].wrapping_add(firsts[1]));
    }
    let mut left = n - order;
    while left > 0 {
        let count = left.min(BLOCK);
        unpack(reader, count, out)?;
        left -= count;
    }
    sum_up(mode, &mut out[start..]);
    Ok(())
}

/// Turns deltas into values, in place; the first `mode` values are already whole.
fn sum_up(mode: u8, values: &mut [i64]) {
    match (mode, values) {
        (DELTA, [first, rest @ ..]) => {
            let mut last = *first;
            for value in rest {
                last = last.wrapping_add(*value);
                *value = last;
            }
        }
        (DELTA2, [first, second, rest @ ..]) => {
            let (mut last, mut delta) = (*second, second.wrapping_sub(*first));
            for value in rest {
                delta = delta.wrapping_add(*value);
                last = last.wrapping_add(delta);
                *value = last;
            }
        }
        _ => {}
    }
}

fn unpack(reader: &mut Reader<'_>, count: usize, out: &mut Vec<i64>) -> Result<(), FormatError> {
    let base = reader.zigzag()?;
    let width = usize::from(reader.u8()?);
    if width == 0 {
        out.resize(out.len() + count, base);
        return Ok(());
    }
    if width > 64 {
        return Err(reader.error("bit width over 64"));
    }
    let bytes = reader.take((count * width).div_ceil(8))?;
    let mask = u64::MAX >> (64 - width);
    let (mut hold, mut held) = (0_u128, 0);
    let mut next = bytes.iter();
    for _ in 0..count {
        while held < width {
            hold |= u128::from(next.next().copied().unwrap_or(0)) << held;
            held += 8;
        }
        out.push(base.wrapping_add((hold as u64 & mask) as i64));
        hold >>= width;
        held -= width;
    }
    Ok(())
}
