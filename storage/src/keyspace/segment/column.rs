//! One field of many elements as a column: the form that takes least of those that give every text
//! back byte for byte.

use std::ops::Range;

use super::spell::{
    Decimal, Speller, TimeForm, TimeWriter, put_decimal, put_float, put_padded, put_trimmed,
    read_time,
};
use crate::chunk::{Effort, column as ints};
use crate::wire::{FormatError, Reader, put_prefixed, put_varint};

const SAME: u8 = 0;
const DECIMAL: u8 = 1;
const FLOAT: u8 = 2;
const TIME: u8 = 3;
const COUNTED: u8 = 4;
const WORDS: u8 = 5;
const BYTES: u8 = 6;

/// Digits behind a point that a decimal column can have.
const MAX_SCALE: u32 = 18;
/// Different words a column may have.
const MAX_WORDS: usize = 64;
/// A number in a text has at most so many digits.
const MAX_DIGITS: usize = 18;

/// How the decimals of a column are spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DecimalForm {
    Full = 0,
    Trimmed = 1,
    TrimmedPoint = 2,
}

/// Appends the column of these texts.
pub(super) fn encode(texts: &[&[u8]], out: &mut Vec<u8>) {
    let start = out.len();
    if same(texts, out) || decimals(texts, out) || times(texts, out) {
        return;
    }
    // The others may apply at once; the smallest is kept.
    let mut best: Option<Vec<u8>> = None;
    for form in [floats, counted, words, bytes] {
        if form(texts, out) {
            let size = out.len() - start;
            if best.as_ref().is_none_or(|best| size < best.len()) {
                best = Some(out.split_off(start));
            }
        }
        out.truncate(start);
    }
    out.extend(best.unwrap_or_default());
}

fn same(texts: &[&[u8]], out: &mut Vec<u8>) -> bool {
    let Some((first, rest)) = texts.split_first() else { return false };
    let same = rest.iter().all(|text| text == first);
    if same {
        out.push(SAME);
        put_prefixed(out, first);
    }
    same
}

/// Whether `spell` gives each text back.
fn comes_back<T: Copy>(
    texts: &[&[u8]],
    values: &[T],
    mut spell: impl FnMut(&mut Vec<u8>, T),
) -> bool {
    let mut spelled = Vec::with_capacity(32);
    texts.iter().zip(values).all(|(text, value)| {
        spelled.clear();
        spell(&mut spelled, *value);
        spelled == *text
    })
}

fn decimals(texts: &[&[u8]], out: &mut Vec<u8>) -> bool {
    let read: Option<Vec<Decimal>> = texts.iter().map(|text| Decimal::read(text)).collect();
    let Some(read) = read else { return false };
    let scale = read.iter().map(|d| d.decimals).max().unwrap_or(0);
    if scale > MAX_SCALE {
        return false;
    }
    let values: Option<Vec<i64>> = read.iter().map(|d| d.scaled(scale)).collect();
    let Some(values) = values else { return false };
    let form = [DecimalForm::Full, DecimalForm::Trimmed, DecimalForm::TrimmedPoint]
        .into_iter()
        .find(|form| comes_back(texts, &values, |out, v| put_number(out, v, scale, *form)));
    let Some(form) = form else { return false };
    out.extend_from_slice(&[DECIMAL, scale as u8, form as u8]);
    ints::encode(&values, Effort::Quick, out);
    true
}

fn put_number(out: &mut Vec<u8>, value: i64, scale: u32, form: DecimalForm) {
    match form {
        DecimalForm::Full => put_decimal(out, value, scale),
        DecimalForm::Trimmed => put_trimmed(out, value, scale, false),
        DecimalForm::TrimmedPoint => put_trimmed(out, value, scale, true),
    }
}

fn floats(texts: &[&[u8]], out: &mut Vec<u8>) -> bool {
    let read = |text: &&[u8]| {
        let digits = text.strip_prefix(b"-").unwrap_or(text);
        let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
        (digits.first()?.is_ascii_digit() && value.is_finite()).then_some(value)
    };
    let values: Option<Vec<f64>> = texts.iter().map(read).collect();
    let Some(values) = values else { return false };
    let speller = [Speller::Python, Speller::JavaScript]
        .into_iter()
        .find(|speller| comes_back(texts, &values, |out, v| put_float(out, v, *speller)));
    let Some(speller) = speller else { return false };
    out.extend_from_slice(&[FLOAT, u8::from(speller == Speller::JavaScript)]);
    let bits: Vec<i64> = values.iter().map(|v| v.to_bits() as i64).collect();
    ints::encode(&bits, Effort::Quick, out);
    true
}

fn times(texts: &[&[u8]], out: &mut Vec<u8>) -> bool {
    let Some((_, form)) = texts.first().and_then(|text| read_time(text)) else { return false };
    let read = |text: &&[u8]| read_time(text).filter(|(_, f)| *f == form).map(|(t, _)| t);
    let values: Option<Vec<i64>> = texts.iter().map(read).collect();
    let Some(values) = values else { return false };
    out.extend_from_slice(&[TIME, form.digits, form.between]);
    put_prefixed(out, form.zone);
    ints::encode(&values, Effort::Quick, out);
    true
}

/// Texts that differ in one number: `task-17`, `00042`.
fn counted(texts: &[&[u8]], out: &mut Vec<u8>) -> bool {
    let Some((first, rest)) = texts.split_first() else { return false };
    let shared = |a: &[u8], b: &[u8]| a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let backwards =
        |a: &[u8], b: &[u8]| a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    let mut before = rest.iter().map(|text| shared(first, text)).min().unwrap_or(0);
    let mut after = rest.iter().map(|text| backwards(first, text)).min().unwrap_or(0);
    // Digits that all share belong to the number.
    before -= first[..before].iter().rev().take_while(|b| b.is_ascii_digit()).count();
    after -= first[first.len() - after..].iter().take_while(|b| b.is_ascii_digit()).count();
    let (front, back) = (&first[..before], &first[first.len() - after..]);
    let middle = |text: &&[u8]| {
        let digits = text.get(before..text.len().checked_sub(after)?)?;
        let fits = (1..=MAX_DIGITS).contains(&digits.len());
        if !fits {
            return None;
        }
        let number = digits.iter().try_fold(0_i64, |n, byte| {
            byte.is_ascii_digit().then(|| n.wrapping_mul(10).wrapping_add(i64::from(byte - b'0')))
        });
        number.map(|n| (n, digits.len()))
    };
    let read: Option<Vec<(i64, usize)>> = texts.iter().map(middle).collect();
    let Some(read) = read else { return false };
    let numbers: Vec<i64> = read.iter().map(|(n, _)| *n).collect();
    let padded = read.iter().map(|(_, len)| *len).min().unwrap_or(0);
    let width = [0, padded].into_iter().find(|width| {
        comes_back(texts, &numbers, |out, n| put_counted(out, n, *width, front, back))
    });
    let Some(width) = width else { return false };
    out.extend_from_slice(&[COUNTED, width as u8]);
    put_prefixed(out, front);
    put_prefixed(out, back);
    ints::encode(&numbers, Effort::Quick, out);
    true
}

fn put_counted(out: &mut Vec<u8>, number: i64, width: usize, before: &[u8], after: &[u8]) {
    out.extend_from_slice(before);
    put_padded(out, number, width);
    out.extend_from_slice(after);
}

fn words(texts: &[&[u8]], out: &mut Vec<u8>) -> bool {
    let mut words: Vec<&[u8]> = Vec::new();
    let mut numbers = Vec::with_capacity(texts.len());
    for text in texts {
        let number = words.iter().position(|word| word == text).unwrap_or(words.len());
        if number == words.len() {
            if number == MAX_WORDS {
                return false;
            }
            words.push(text);
        }
        numbers.push(number as i64);
    }
    out.push(WORDS);
    put_varint(out, words.len() as u64);
    words.iter().for_each(|word| put_prefixed(out, word));
    ints::encode(&numbers, Effort::Quick, out);
    true
}

fn bytes(texts: &[&[u8]], out: &mut Vec<u8>) -> bool {
    out.push(BYTES);
    let lengths: Vec<i64> = texts.iter().map(|text| text.len() as i64).collect();
    ints::encode(&lengths, Effort::Quick, out);
    texts.iter().for_each(|text| out.extend_from_slice(text));
    true
}

/// A column read back. Ranges are of the bytes it was read from.
#[derive(Debug)]
pub(super) enum Column {
    Same(Range<usize>),
    Decimal { scale: u32, form: DecimalFormOf, values: Vec<i64> },
    Float { speller: Speller, bits: Vec<i64> },
    Time { digits: u8, between: u8, zone: Range<usize>, values: Vec<i64>, writer: TimeWriter },
    Counted { width: usize, before: Range<usize>, after: Range<usize>, values: Vec<i64> },
    Words { words: Vec<Range<usize>>, numbers: Vec<i64> },
    Bytes(Vec<Range<usize>>),
}

/// Keeps the form private to this file.
#[derive(Clone, Copy, Debug)]
pub(super) struct DecimalFormOf(DecimalForm);

impl Column {
    /// Reads a column of `n` texts and checks it.
    pub(super) fn decode(reader: &mut Reader<'_>, n: usize) -> Result<Column, FormatError> {
        let mut values = Vec::with_capacity(n);
        Ok(match reader.u8()? {
            SAME => Column::Same(prefixed(reader)?),
            DECIMAL => {
                let scale = u32::from(reader.u8()?);
                let form = match reader.u8()? {
                    0 => DecimalForm::Full,
                    1 => DecimalForm::Trimmed,
                    2 => DecimalForm::TrimmedPoint,
                    _ => return Err(reader.error("unknown spelling of decimals")),
                };
                if scale > MAX_SCALE {
                    return Err(reader.error("too many decimals"));
                }
                ints::decode(reader, n, &mut values)?;
                Column::Decimal { scale, form: DecimalFormOf(form), values }
            }
            FLOAT => {
                let speller = match reader.u8()? {
                    0 => Speller::Python,
                    1 => Speller::JavaScript,
                    _ => return Err(reader.error("unknown spelling of floats")),
                };
                ints::decode(reader, n, &mut values)?;
                Column::Float { speller, bits: values }
            }
            TIME => {
                let (digits, between) = (reader.u8()?, reader.u8()?);
                let zone = prefixed(reader)?;
                if digits > 7 {
                    return Err(reader.error("too many digits of a second"));
                }
                ints::decode(reader, n, &mut values)?;
                Column::Time { digits, between, zone, values, writer: TimeWriter::default() }
            }
            COUNTED => {
                let width = usize::from(reader.u8()?);
                let (before, after) = (prefixed(reader)?, prefixed(reader)?);
                ints::decode(reader, n, &mut values)?;
                Column::Counted { width, before, after, values }
            }
            WORDS => {
                let count = reader.count(1)?;
                let words = (0..count).map(|_| prefixed(reader)).collect::<Result<Vec<_>, _>>()?;
                ints::decode(reader, n, &mut values)?;
                let known = |number: &i64| usize::try_from(*number).is_ok_and(|n| n < words.len());
                if !values.iter().all(known) {
                    return Err(reader.error("unknown word"));
                }
                Column::Words { words, numbers: values }
            }
            BYTES => {
                ints::decode(reader, n, &mut values)?;
                Column::Bytes(strings(reader, &values)?)
            }
            _ => return Err(reader.error("unknown column of a segment")),
        })
    }

    /// Appends the text at `i`; `segment` is what the column was read from.
    pub(super) fn put(&mut self, segment: &[u8], i: usize, out: &mut Vec<u8>) {
        let of = |range: &Range<usize>| segment.get(range.clone()).unwrap_or_default();
        let at = |values: &[i64]| values.get(i).copied().unwrap_or_default();
        match self {
            Column::Same(text) => out.extend_from_slice(of(text)),
            Column::Decimal { scale, form, values } => {
                put_number(out, at(values), *scale, form.0);
            }
            Column::Float { speller, bits } => {
                put_float(out, f64::from_bits(at(bits) as u64), *speller);
            }
            Column::Time { digits, between, zone, values, writer } => {
                let form = TimeForm { digits: *digits, between: *between, zone: of(zone) };
                writer.put(out, at(values), form);
            }
            Column::Counted { width, before, after, values } => {
                put_counted(out, at(values), *width, of(before), of(after));
            }
            Column::Words { words, numbers } => {
                let word = usize::try_from(at(numbers)).ok().and_then(|n| words.get(n));
                word.into_iter().for_each(|word| out.extend_from_slice(of(word)));
            }
            Column::Bytes(texts) => {
                texts.get(i).into_iter().for_each(|text| out.extend_from_slice(of(text)));
            }
        }
    }
}

fn prefixed(reader: &mut Reader<'_>) -> Result<Range<usize>, FormatError> {
    let len = reader.prefixed()?.len();
    Ok(reader.offset() - len..reader.offset())
}

/// Where strings of these lengths lie that follow one another.
pub(super) fn strings(
    reader: &mut Reader<'_>,
    lengths: &[i64],
) -> Result<Vec<Range<usize>>, FormatError> {
    let mut ranges = Vec::with_capacity(lengths.len());
    for len in lengths {
        let len = usize::try_from(*len).map_err(|_| reader.error("negative length"))?;
        let start = reader.offset();
        reader.take(len)?;
        ranges.push(start..start + len);
    }
    Ok(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts come back, and the column is of this kind.
    fn check(kind: u8, texts: &[&str]) -> usize {
        let bytes: Vec<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
        let mut out = Vec::new();
        encode(&bytes, &mut out);
        assert_eq!(out[0], kind, "{texts:?}");
        let mut reader = Reader::new(&out);
        let mut column = Column::decode(&mut reader, texts.len()).unwrap();
        assert!(reader.is_empty());
        let mut text = Vec::new();
        for (i, wanted) in bytes.iter().enumerate() {
            text.clear();
            column.put(&out, i, &mut text);
            assert_eq!(&text, wanted, "{texts:?}");
        }
        out.len()
    }

    #[test]
    fn every_kind_comes_back() {
        check(SAME, &["x", "x"]);
        check(DECIMAL, &["1", "2", "-30"]);
        check(DECIMAL, &["0.50", "1.25"]);
        check(DECIMAL, &["0.5", "1.25", "3"]);
        check(DECIMAL, &["0.5", "1.25", "3.0"]);
        let many = |small: &str, whole: &str| {
            let many = (0..100).map(|i| (1.0 / f64::from(i * i + 7)).to_string());
            many.chain([small.to_owned(), whole.to_owned()]).collect::<Vec<_>>()
        };
        for spelled in [many("1.5e-05", "3.0"), many("1.5e-7", "3")] {
            check(FLOAT, &spelled.iter().map(String::as_str).collect::<Vec<_>>());
        }
        check(TIME, &["2026-01-01T00:00:00Z", "2026-01-02T00:00:03Z"]);
        check(TIME, &["2026-01-01T00:00:00.123456+00:00", "2026-01-01T00:00:00.123457+00:00"]);
        check(COUNTED, &["task-9", "task-10"]);
        check(COUNTED, &["007", "123"]);
        check(WORDS, &["agent-a", "worker-b", "agent-a", "agent-a", "worker-b"]);
        check(BYTES, &["", "x", "yz"]);
        check(BYTES, &["0.5", "0.50", "05", "-"]);
        check(BYTES, &["-0", "5", "1e999"]);
    }

    #[test]
    fn a_column_of_numbers_is_small() {
        let texts: Vec<String> = (0..1024).map(|i| format!("{}", 5_000 + i % 700)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        assert!(check(DECIMAL, &texts) < 1024 * 10 / 8 + 64);
    }
}
