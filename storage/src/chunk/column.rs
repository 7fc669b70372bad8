//! The integer column: plain, delta or delta of delta, in blocks of patched frame of reference or a prefix
//! code; or pco, where more work at writing saves enough.
//!
//! All arithmetic wraps, so every i64 comes back.

use super::Effort;
use super::{patched, prefix};
use crate::wire::{FormatError, Reader, put_prefixed, put_zigzag};

const PLAIN: u8 = 0;
const DELTA: u8 = 1;
const DELTA2: u8 = 2;
const PCO: u8 = 3;
/// Plain, delta or delta of delta, the numbers in a prefix code.
const CODED: u8 = 4;

/// Shorter columns do not pay for a prefix code's lengths.
const MIN_CODED: usize = 32;
/// A prefix code decodes slower than blocks, so it must save more than a twenty-fourth.
const CODED_SAVES: usize = 24;

/// Of shorter columns all numbers are looked at to choose a form.
const MIN_GUESSED: usize = 48;

/// Shorter columns do not pay for pco's header.
const MIN_PCO: usize = 64;
/// pco decodes slower, so it must save more than a twenty-fourth.
const PCO_SAVES: usize = 24;
/// What was merged is kept for long: a thirty-second is enough.
const PCO_SAVES_MERGED: usize = 32;
const PCO_LEVEL: usize = 4;
const PCO_LEVEL_MERGED: usize = 8;

/// Appends the smallest of the forms.
pub(crate) fn encode(values: &[i64], effort: Effort, out: &mut Vec<u8>) {
    let start = out.len();
    let deltas = differences(values);
    let forms = [values, &deltas, &differences(&deltas)];
    encode_patched(&forms, effort, out);
    let patched = out.len() - start;
    let (level, saves) = match effort {
        Effort::Quick => return,
        Effort::Small => (PCO_LEVEL, PCO_SAVES),
        Effort::Smallest => (PCO_LEVEL_MERGED, PCO_SAVES_MERGED),
    };
    if values.len() < MIN_CODED || patched <= values.len() / 32 {
        return;
    }
    if let Some(coded) = encode_coded(&forms, patched - patched / CODED_SAVES) {
        out.truncate(start);
        out.extend_from_slice(&coded);
    }
    let best = out.len() - start;
    if values.len() >= MIN_PCO
        && let Some(bytes) = compress(values, level)
        && bytes.len() + 3 < best - best / saves
    {
        out.truncate(start);
        out.push(PCO);
        put_prefixed(out, &bytes);
    }
}

/// The form whose prefix code is smallest, if it takes less than `most`.
fn encode_coded(forms: &[&[i64]; 3], most: usize) -> Option<Vec<u8>> {
    let mut best: Option<Vec<u8>> = None;
    for (mode, rest) in (PLAIN..).zip(forms) {
        let most = best.as_ref().map_or(most, Vec::len);
        let Some(code) = prefix::encode(rest, most) else { continue };
        let mut bytes = vec![CODED | mode << 4];
        put_firsts(mode, forms, &mut bytes);
        bytes.extend_from_slice(&code);
        if bytes.len() < most {
            best = Some(bytes);
        }
    }
    best
}

/// pco's own frame says how much there is of what, which is known here: only its version, the chunk's
/// description and its one page are kept.
fn compress(values: &[i64], level: usize) -> Option<Vec<u8>> {
    let config = pco::ChunkConfig::default().with_compression_level(level);
    let file = pco::wrapped::FileCompressor::default();
    let mut chunk = file.chunk_compressor(values, &config).ok()?;
    if chunk.n_per_page() != [values.len()] {
        return None;
    }
    let bytes = file.write_header(Vec::new()).ok()?;
    let bytes = chunk.write_meta(bytes).ok()?;
    chunk.write_page(0, bytes).ok()
}

/// Plain, delta or delta of delta, whichever the blocks take least for.
fn encode_patched(forms: &[&[i64]; 3], effort: Effort, out: &mut Vec<u8>) {
    let mode = match effort {
        Effort::Quick if forms[0].len() >= MIN_GUESSED => patched::likely_least(forms),
        _ => patched::least(forms),
    };
    out.push(mode as u8);
    put_firsts(mode as u8, forms, out);
    patched::encode(forms[mode], out);
}

/// The first number, and the first difference, where a mode begins with them.
fn put_firsts(mode: u8, forms: &[&[i64]; 3], out: &mut Vec<u8>) {
    for form in forms.iter().take(usize::from(mode)) {
        form.first().into_iter().for_each(|first| put_zigzag(out, *first));
    }
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
    decode_each(reader, n, |values| out.extend_from_slice(values))
}

/// Decodes `n` values and hands them over in order, in pieces that fit into the nearest cache.
pub(crate) fn decode_each(
    reader: &mut Reader<'_>,
    n: usize,
    take: impl FnMut(&[i64]),
) -> Result<(), FormatError> {
    decode_some(reader, (n, n), take)
}

/// The same of a column of `n` values for those before `wanted`, and maybe some more. Unless that is all
/// of them, the reader does not come to the end of the column.
pub(super) fn decode_some(
    reader: &mut Reader<'_>,
    (n, wanted): (usize, usize),
    mut take: impl FnMut(&[i64]),
) -> Result<(), FormatError> {
    if n > super::MAX_CHUNK_SAMPLES {
        return Err(reader.error("too many samples in a chunk"));
    }
    let mode = reader.u8()?;
    if mode == PCO {
        let mut values = Vec::new();
        decompress(reader, n, &mut values)?;
        take(&values);
        return Ok(());
    }
    let (coded, mode) = if mode & 15 == CODED { (true, mode >> 4) } else { (false, mode) };
    if mode > DELTA2 {
        return Err(reader.error("unknown integer column"));
    }
    let order = usize::from(mode).min(n);
    let mut firsts = [0_i64; 2];
    for first in firsts.iter_mut().take(order) {
        *first = reader.zigzag()?;
    }
    let mut sums = Sums { mode, last: firsts[0], delta: firsts[1] };
    take(&firsts[..order.min(1)]);
    if order == 2 {
        sums.last = firsts[0].wrapping_add(firsts[1]);
        take(&[sums.last]);
    }
    let mut left = n - order;
    let last = n - wanted.min(n);
    let mut code = if coded { Some(prefix::Decoder::new(reader)?) } else { None };
    let mut block = [0; patched::BLOCK];
    while left > last {
        let block = &mut block[..left.min(patched::BLOCK)];
        match &mut code {
            Some(code) => code.fill(block),
            None => patched::decode_block(reader, block)?,
        }
        sums.up(block);
        take(block);
        left -= block.len();
    }
    match code {
        Some(code) if code.is_past_end() => Err(reader.error("a coded column ends too early")),
        _ => Ok(()),
    }
}

fn decompress(reader: &mut Reader<'_>, n: usize, out: &mut Vec<i64>) -> Result<(), FormatError> {
    let bytes = reader.prefixed()?;
    let start = out.len();
    out.resize(start + n, 0);
    // The room is ours, so what the bytes say of their count cannot make it larger.
    match page(bytes, &mut out[start..]) {
        Ok(found) if found == n => Ok(()),
        _ => Err(reader.error("a compressed column does not decode")),
    }
}

/// Decodes pco's one page into `room`; how many numbers it had.
fn page(bytes: &[u8], room: &mut [i64]) -> pco::errors::PcoResult<usize> {
    let (file, rest) = pco::wrapped::FileDecompressor::new(bytes)?;
    let (mut chunk, rest) = file.chunk_decompressor::<i64, _>(rest)?;
    let mut page = chunk.page_decompressor(rest, room.len())?;
    page.read(room).map(|progress| progress.n_processed)
}

/// What turns deltas into values.
struct Sums {
    mode: u8,
    last: i64,
    delta: i64,
}

impl Sums {
    /// Turns the next numbers into values, in place.
    fn up(&mut self, numbers: &mut [i64]) {
        let (mut last, mut delta) = (self.last, self.delta);
        match self.mode {
            DELTA => {
                for number in numbers {
                    last = last.wrapping_add(*number);
                    *number = last;
                }
            }
            DELTA2 => {
                for number in numbers {
                    delta = delta.wrapping_add(*number);
                    last = last.wrapping_add(delta);
                    *number = last;
                }
            }
            _ => {}
        }
        (self.last, self.delta) = (last, delta);
    }
}
