//! The float column: constant, unchanged stretches, decimal integers with exceptions, or the bits
//! themselves in an integer column.

use super::{Effort, column};
use crate::wire::{FormatError, Reader, put_varint};

const RAW: u8 = 0;
const CONSTANT: u8 = 1;
const DECIMAL: u8 = 2;
const BITS: u8 = 3;
const RUNS: u8 = 4;

/// Unchanged stretches are worth it from so many samples a stretch on.
const RUN_LENGTH: usize = 4;
/// Values looked at first to guess the exponent of a column.
const GUESSES: usize = 16;

/// What a tag is called.
pub(super) fn name_of(tag: u8) -> &'static str {
    match tag {
        RAW => "raw",
        CONSTANT => "constant",
        DECIMAL => "decimal",
        BITS => "bits",
        RUNS => "stretches",
        _ => "unknown",
    }
}

/// Powers of ten that a double holds exactly enough for the division to be checked.
pub(super) const MAX_EXPONENT: usize = 17;
pub(super) const POWERS: [f64; MAX_EXPONENT + 1] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17,
];
/// Above this a double does not hold every integer.
const MAX_INTEGER: f64 = 9_007_199_254_740_992.0;

/// The value all of these are, bit for bit.
pub(super) fn all_equal(values: &[f64]) -> Option<f64> {
    let first = *values.first()?;
    values.iter().all(|v| v.to_bits() == first.to_bits()).then_some(first)
}

/// Appends the column in the form that fits.
pub(super) fn encode(values: &[f64], effort: Effort, out: &mut Vec<u8>) {
    let changes = values.windows(2).filter(|w| w[0].to_bits() != w[1].to_bits()).count();
    match values.first() {
        Some(first) if changes == 0 => {
            out.push(CONSTANT);
            put_short(*first, out);
        }
        _ if (changes + 1) * RUN_LENGTH <= values.len() => {
            let flat = encoded(values, effort);
            let runs = encoded_runs(values, effort);
            out.extend_from_slice(if runs.len() < flat.len() { &runs } else { &flat });
        }
        _ => encode_flat(values, effort, out),
    }
}

fn encoded(values: &[f64], effort: Effort) -> Vec<u8> {
    let mut out = Vec::new();
    encode_flat(values, effort, &mut out);
    out
}

fn encoded_runs(values: &[f64], effort: Effort) -> Vec<u8> {
    let (mut firsts, mut lengths) = (Vec::new(), Vec::new());
    for run in values.chunk_by(|a, b| a.to_bits() == b.to_bits()) {
        firsts.extend(run.first());
        lengths.push(run.len() as i64);
    }
    let mut out = vec![RUNS];
    put_varint(&mut out, lengths.len() as u64);
    column::encode(&lengths, effort, &mut out);
    encode_flat(&firsts, effort, &mut out);
    out
}

fn encode_flat(values: &[f64], effort: Effort, out: &mut Vec<u8>) {
    let start = out.len();
    match Decimal::of(values) {
        Some(decimal) => decimal.encode(effort, out),
        None => {
            let bits: Vec<i64> =
                values.iter().map(|v| ordered(v.to_bits().cast_signed())).collect();
            out.push(BITS);
            column::encode(&bits, effort, out);
        }
    }
    let raw_len = 1 + 8 * values.len();
    if out.len() - start > raw_len {
        out.truncate(start);
        out.push(RAW);
        for value in values {
            out.extend_from_slice(&value.to_bits().to_le_bytes());
        }
    }
}

/// A float by its high bytes; how many comes first, the low ones are 0.
pub(super) fn put_short(value: f64, out: &mut Vec<u8>) {
    let width = 8 - (value.to_bits().trailing_zeros() / 8).min(8) as u8;
    out.push(width);
    out.extend_from_slice(&value.to_le_bytes()[8 - usize::from(width)..]);
}

pub(super) fn short(reader: &mut Reader<'_>) -> Result<f64, FormatError> {
    let width = usize::from(reader.u8()?);
    if width > 8 {
        return Err(reader.error("a constant is wider than a float"));
    }
    let mut bytes = [0; 8];
    bytes[8 - width..].copy_from_slice(reader.take(width)?);
    Ok(f64::from_le_bytes(bytes))
}

/// Integers in the order of the floats whose bits they are, and back.
fn ordered(bits: i64) -> i64 {
    bits ^ ((bits >> 63).cast_unsigned() >> 1).cast_signed()
}

/// Appends `n` decoded values.
pub(super) fn decode(
    reader: &mut Reader<'_>,
    n: usize,
    out: &mut Vec<f64>,
) -> Result<(), FormatError> {
    decode_some(reader, (n, n), out)
}

/// Appends those before `wanted` of a column of `n` values, and maybe some more. Unless that is all of them,
/// the reader does not come to the end of the column.
pub(super) fn decode_some(
    reader: &mut Reader<'_>,
    (n, wanted): (usize, usize),
    out: &mut Vec<f64>,
) -> Result<(), FormatError> {
    let tag = reader.u8()?;
    if tag == RUNS {
        return decode_runs(reader, n, out);
    }
    decode_flat(tag, reader, (n, wanted), out)
}

fn decode_runs(reader: &mut Reader<'_>, n: usize, out: &mut Vec<f64>) -> Result<(), FormatError> {
    let runs = usize::try_from(reader.varint()?).unwrap_or(usize::MAX);
    if runs > n {
        return Err(reader.error("more stretches than samples"));
    }
    let (mut lengths, mut firsts) = (Vec::new(), Vec::new());
    column::decode(reader, runs, &mut lengths)?;
    let tag = reader.u8()?;
    decode_flat(tag, reader, (runs, runs), &mut firsts)?;
    let end = out.len() + n;
    for (length, first) in lengths.into_iter().zip(firsts) {
        let room = end - out.len();
        let length = usize::try_from(length).ok().filter(|length| *length <= room);
        let length = length.ok_or_else(|| reader.error("a stretch past the column"))?;
        out.resize(out.len() + length, first);
    }
    if out.len() < end {
        return Err(reader.error("stretches end before the column"));
    }
    Ok(())
}

fn decode_flat(
    tag: u8,
    reader: &mut Reader<'_>,
    (n, wanted): (usize, usize),
    out: &mut Vec<f64>,
) -> Result<(), FormatError> {
    match tag {
        RAW => {
            let bytes = n.checked_mul(8).ok_or_else(|| reader.error("too many samples"))?;
            let (words, _) = reader.take(bytes)?.as_chunks::<8>();
            out.extend(words.iter().map(|word| f64::from_bits(u64::from_le_bytes(*word))));
        }
        CONSTANT => {
            if n > super::MAX_CHUNK_SAMPLES {
                return Err(reader.error("too many samples in a chunk"));
            }
            let value = short(reader)?;
            out.resize(out.len() + n, value);
        }
        DECIMAL => decode_decimal(reader, (n, wanted), out)?,
        BITS => {
            let float = |bits: &i64| f64::from_bits(ordered(*bits).cast_unsigned());
            let take = |bits: &[i64]| out.extend(bits.iter().map(float));
            column::decode_some(reader, (n, wanted), take)?;
        }
        _ => return Err(reader.error("unknown float column")),
    }
    Ok(())
}

fn decode_decimal(
    reader: &mut Reader<'_>,
    (n, wanted): (usize, usize),
    out: &mut Vec<f64>,
) -> Result<(), FormatError> {
    let exponent = usize::from(reader.u8()?);
    let Some(power) = POWERS.get(exponent).copied() else {
        return Err(reader.error("decimal exponent too large"));
    };
    let mut exceptions = Vec::new();
    for _ in 0..reader.count(9)? {
        exceptions.push((reader.varint()?, reader.f64()?));
    }
    let start = out.len();
    column::decode_some(reader, (n, wanted), |integers| match exponent {
        0 => out.extend(integers.iter().map(|i| *i as f64)),
        _ => out.extend(integers.iter().map(|i| *i as f64 / power)),
    })?;
    for (index, value) in exceptions {
        let index = usize::try_from(index).ok().filter(|index| *index < n);
        let index = index.ok_or_else(|| reader.error("exception past the column"))?;
        // Of what was not wanted it may have none.
        if let Some(slot) = out[start..].get_mut(index) {
            *slot = value;
        }
    }
    Ok(())
}

/// A column as integers over one power of ten.
struct Decimal {
    exponent: usize,
    integers: Vec<i64>,
    exceptions: Vec<(usize, f64)>,
}

impl Decimal {
    /// The smallest exponent that at most one value in eight is an exception to; `None` if there
    /// is none. A few values usually tell it; all are asked only if those few were not enough.
    fn of(values: &[f64]) -> Option<Decimal> {
        let allowed = values.len() / 8;
        let step = (values.len() / GUESSES).max(1);
        let guesses = values.iter().step_by(step);
        let exponent = exponent_of(guesses, GUESSES.min(values.len()) / 2)?;
        Decimal::at(values, exponent, allowed)
            .or_else(|| Decimal::at(values, exponent_of(values.iter(), allowed)?, allowed))
    }

    fn at(values: &[f64], exponent: usize, allowed: usize) -> Option<Decimal> {
        let (mut integers, mut exceptions) = (Vec::with_capacity(values.len()), Vec::new());
        let mut before = 0;
        for (i, value) in values.iter().enumerate() {
            match integer_of(*value, exponent) {
                Some(integer) => before = integer,
                None if exceptions.len() == allowed => return None,
                None => exceptions.push((i, *value)),
            }
            // At an exception the integer before keeps the deltas small.
            integers.push(before);
        }
        Some(Decimal { exponent, integers, exceptions })
    }

    fn encode(&self, effort: Effort, out: &mut Vec<u8>) {
        out.push(DECIMAL);
        out.push(self.exponent as u8);
        put_varint(out, self.exceptions.len() as u64);
        for (index, value) in &self.exceptions {
            put_varint(out, *index as u64);
            out.extend_from_slice(&value.to_bits().to_le_bytes());
        }
        column::encode(&self.integers, effort, out);
    }
}

/// The exponent that suits these values but for `allowed` of them.
pub(super) fn exponent_of<'a>(
    values: impl Iterator<Item = &'a f64>,
    allowed: usize,
) -> Option<usize> {
    let (mut exponent, mut misses) = (0, 0);
    for value in values {
        match (exponent..=MAX_EXPONENT).find(|e| integer_of(*value, *e).is_some()) {
            Some(suits) => exponent = suits,
            None => misses += 1,
        }
        if misses > allowed {
            return None;
        }
    }
    Some(exponent)
}

/// The integer that gives exactly this value at this exponent.
pub(super) fn integer_of(value: f64, exponent: usize) -> Option<i64> {
    let power = *POWERS.get(exponent)?;
    let scaled = value * power;
    if scaled.is_nan() || scaled.abs() >= MAX_INTEGER {
        return None;
    }
    // Rounds to nearest; where a tie would matter the check below decides.
    let integer = (scaled + 0.5_f64.copysign(scaled)) as i64;
    ((integer as f64 / power).to_bits() == value.to_bits()).then_some(integer)
}
