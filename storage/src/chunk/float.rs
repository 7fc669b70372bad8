//! The float column: constant, decimal integers with exceptions, or raw.

use super::column;
use crate::wire::{FormatError, Reader, put_varint};

const RAW: u8 = 0;
const CONSTANT: u8 = 1;
const DECIMAL: u8 = 2;

/// Powers of ten that a double holds exactly enough for the division to be checked.
/// What a tag is called.
pub(super) fn name_of(tag: u8) -> &'static str {
    match tag {
        RAW => "raw",
        CONSTANT => "constant",
        DECIMAL => "decimal",
        _ => "unknown",
    }
}

const MAX_EXPONENT: usize = 17;
const POWERS: [f64; MAX_EXPONENT + 1] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17,
];
/// Above this a double does not hold every integer.
const MAX_INTEGER: f64 = 9_007_199_254_740_992.0;

/// Appends the column in the form that fits.
pub(super) fn encode(values: &[f64], out: &mut Vec<u8>) {
    let Some(first) = values.first().map(|v| v.to_bits()) else {
        out.push(RAW);
        return;
    };
    if values.iter().all(|v| v.to_bits() == first) {
        out.push(CONSTANT);
        out.extend_from_slice(&first.to_le_bytes());
        return;
    }
    let start = out.len();
    if let Some(decimal) = Decimal::of(values) {
        decimal.encode(out);
    }
    let raw_len = 1 + 8 * values.len();
    if out.len() == start || out.len() - start > raw_len {
        out.truncate(start);
        out.push(RAW);
        for value in values {
            out.extend_from_slice(&value.to_bits().to_le_bytes());
        }
    }
}

/// Appends `n` decoded values.
pub(super) fn decode(
    reader: &mut Reader<'_>,
    n: usize,
    out: &mut Vec<f64>,
) -> Result<(), FormatError> {
    match reader.u8()? {
        RAW => {
            let bytes = n.checked_mul(8).ok_or_else(|| reader.error("too many samples"))?;
            let mut raw = Reader::new(reader.take(bytes)?);
            for _ in 0..n {
                out.push(raw.f64()?);
            }
        }
        CONSTANT => {
            if n > super::MAX_CHUNK_SAMPLES {
                return Err(reader.error("too many samples in a chunk"));
            }
            let value = reader.f64()?;
            out.resize(out.len() + n, value);
        }
        DECIMAL => decode_decimal(reader, n, out)?,
        _ => return Err(reader.error("unknown float column")),
    }
    Ok(())
}

fn decode_decimal(
    reader: &mut Reader<'_>,
    n: usize,
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
    let mut integers = Vec::new();
    column::decode(reader, n, &mut integers)?;
    let start = out.len();
    out.extend(integers.iter().map(|i| *i as f64 / power));
    for (index, value) in exceptions {
        let slot = usize::try_from(index).ok().and_then(|i| out.get_mut(start..)?.get_mut(i));
        *slot.ok_or_else(|| reader.error("exception past the column"))? = value;
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
    /// is none.
    fn of(values: &[f64]) -> Option<Decimal> {
        let allowed = values.len() / 8;
        let mut exponent = 0;
        let mut misses = 0;
        for value in values {
            if integer_of(*value, exponent).is_some() {
                continue;
            }
            match (exponent + 1..=MAX_EXPONENT).find(|e| integer_of(*value, *e).is_some()) {
                Some(larger) => exponent = larger,
                None => misses += 1,
            }
            if misses > allowed {
                return None;
            }
        }
        Decimal::at(values, exponent, allowed)
    }

    fn at(values: &[f64], exponent: usize, allowed: usize) -> Option<Decimal> {
        let (mut integers, mut exceptions) = (Vec::with_capacity(values.len()), Vec::new());
        for (i, value) in values.iter().enumerate() {
            match integer_of(*value, exponent) {
                Some(integer) => integers.push(integer),
                None => {
                    // The integer before keeps the deltas small.
                    integers.push(integers.last().copied().unwrap_or(0));
                    exceptions.push((i, *value));
                }
            }
        }
        (exceptions.len() <= allowed).then_some(Decimal { exponent, integers, exceptions })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(DECIMAL);
        out.push(self.exponent as u8);
        put_varint(out, self.exceptions.len() as u64);
        for (index, value) in &self.exceptions {
            put_varint(out, *index as u64);
            out.extend_from_slice(&value.to_bits().to_le_bytes());
        }
        column::encode(&self.integers, out);
    }
}

/// The integer that gives exactly this value at this exponent.
fn integer_of(value: f64, exponent: usize) -> Option<i64> {
    let power = *POWERS.get(exponent)?;
    let scaled = (value * power).round();
    if scaled.is_nan() || scaled.abs() >= MAX_INTEGER {
        return None;
    }
    let integer = scaled as i64;
    ((integer as f64 / power).to_bits() == value.to_bits()).then_some(integer)
}
