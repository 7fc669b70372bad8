//! The integer column: plain, delta or delta of delta, in blocks of patched frame of reference; or
//! pco, where more work at writing saves enough.
//!
//! All arithmetic wraps, so every i64 comes back.

use super::Effort;
use super::patched;
use crate::wire::{FormatError, Reader, put_prefixed, put_zigzag};

const PLAIN: u8 = 0;
const DELTA: u8 = 1;
const DELTA2: u8 = 2;
const PCO: u8 = 3;

/// Shorter columns do not pay for pco's header.
const MIN_PCO: usize = 64;
/// pco decodes slower, so it must save more than an eighth.
const PCO_SAVES: usize = 8;
const PCO_LEVEL: usize = 4;

/// Appends the smallest of the forms.
pub(crate) fn encode(values: &[i64], effort: Effort, out: &mut Vec<u8>) {
    let start = out.len();
    encode_patched(values, out);
    let patched = out.len() - start;
    if effort == Effort::Small
        && values.len() >= MIN_PCO
        && patched > values.len() / 32
        && let Some(bytes) = compress(values)
        && bytes.len() + 3 < patched - patched / PCO_SAVES
    {
        out.truncate(start);
        out.push(PCO);
        put_prefixed(out, &bytes);
    }
}

fn compress(values: &[i64]) -> Option<Vec<u8>> {
    let config = pco::ChunkConfig::default().with_compression_level(PCO_LEVEL);
    pco::standalone::simple_compress(values, &config).ok()
}

/// Plain, delta or delta of delta, whichever the blocks take least for.
fn encode_patched(values: &[i64], out: &mut Vec<u8>) {
    let deltas = differences(values);
    let deltas2 = differences(&deltas);
    let forms = [(PLAIN, values), (DELTA, &deltas[..]), (DELTA2, &deltas2[..])];
    let best = forms.iter().min_by_key(|(_, rest)| patched::cost(rest));
    let Some((mode, rest)) = best else { return };
    out.push(*mode);
    if *mode >= DELTA {
        values.first().into_iter().for_each(|first| put_zigzag(out, *first));
    }
    if *mode == DELTA2 {
        deltas.first().into_iter().for_each(|first| put_zigzag(out, *first));
    }
    patched::encode(rest, out);
}

fn differences(values: &[i64]) -> Vec<i64> {
    values.iter().zip(values.iter().skip(1)).map(|(a, b)| b.wrapping_sub(*a)).collect()
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
    if mode == PCO {
        return decompress(reader, n, out);
    }
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
    patched::decode(reader, n - order, out)?;
    sum_up(mode, &mut out[start..]);
    Ok(())
}

fn decompress(reader: &mut Reader<'_>, n: usize, out: &mut Vec<i64>) -> Result<(), FormatError> {
    let bytes = reader.prefixed()?;
    let start = out.len();
    out.resize(start + n, 0);
    // The room is ours, so what the bytes say of their count cannot make it larger.
    let progress = pco::standalone::simple_decompress_into(bytes, &mut out[start..]);
    match progress {
        Ok(progress) if progress.n_processed == n => Ok(()),
        _ => Err(reader.error("a compressed column does not decode")),
    }
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
