//! One field of many elements as a column: the form that takes least of those that give every text
//! back byte for byte.

use std::ops::Range;

use super::spell::{
    Decimal, KEPT, MAX_NUMBER, MAX_OWN_SCALE, MAX_SCALE, SLACK, Speller, Text, TimeForm,
    TimeWriter, put_bytes, put_decimal, put_float, put_padded, put_trimmed, read_time,
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
const DIGITS: u8 = 7;

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
    // The others may apply at once; the smallest is kept. Digits are spelled several times as fast as the doubles
    // they mostly are, for a few bits more.
    let mut best: Option<(usize, Vec<u8>)> = None;
    for form in [digits, floats, counted, words, bytes] {
        if form(texts, out) {
            let column = out.split_off(start);
            let size =
                if column.first() == Some(&DIGITS) { column.len() / 16 * 15 } else { column.len() };
            if best.as_ref().is_none_or(|(best, _)| size < *best) {
                best = Some((size, column));
            }
        }
        out.truncate(start);
    }
    out.extend(best.map(|(_, column)| column).unwrap_or_default());
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
    spell: impl Fn(&mut [u8], T) -> usize,
) -> bool {
    // A counted number may have as many zeros in front as a text has digits.
    let longest = texts.iter().map(|text| text.len()).max().unwrap_or(0);
    let mut room = vec![0; longest + MAX_NUMBER + SLACK];
    texts.iter().zip(values).all(|(text, value)| {
        let end = spell(&mut room, *value);
        room.get(..end) == Some(*text)
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
        .find(|form| comes_back(texts, &values, |room, v| put_number(room, 0, v, scale, *form)));
    let Some(form) = form else { return false };
    out.extend_from_slice(&[DECIMAL, scale as u8, form as u8]);
    ints::encode(&values, Effort::Quick, out);
    true
}

/// Decimals of which each has its own scale.
fn digits(texts: &[&[u8]], out: &mut Vec<u8>) -> bool {
    let read = |text: &&[u8]| {
        let read = Decimal::read(text).filter(|read| read.decimals <= MAX_OWN_SCALE)?;
        Some((read.scaled(read.decimals)?, i64::from(read.decimals)))
    };
    let read: Option<Vec<(i64, i64)>> = texts.iter().map(read).collect();
    let Some(read) = read else { return false };
    if !comes_back(texts, &read, |room, (value, scale)| put_decimal(room, 0, value, scale as u32)) {
        return false;
    }
    let (values, scales): (Vec<i64>, Vec<i64>) = read.into_iter().unzip();
    out.push(DIGITS);
    ints::encode(&values, Effort::Quick, out);
    ints::encode(&scales, Effort::Quick, out);
    true
}

#[inline]
fn put_number(room: &mut [u8], at: usize, value: i64, scale: u32, form: DecimalForm) -> usize {
    match form {
        DecimalForm::Full => put_decimal(room, at, value, scale),
        DecimalForm::Trimmed => put_trimmed(room, at, value, scale, false),
        DecimalForm::TrimmedPoint => put_trimmed(room, at, value, scale, true),
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
        .find(|speller| comes_back(texts, &values, |room, v| put_float(room, 0, v, *speller)));
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
        comes_back(texts, &numbers, |room, n| {
            let at = put_bytes(room, 0, front);
            let at = put_padded(room, at, n, *width);
            put_bytes(room, at, back)
        })
    });
    let Some(width) = width else { return false };
    out.extend_from_slice(&[COUNTED, width as u8]);
    put_prefixed(out, front);
    put_prefixed(out, back);
    ints::encode(&numbers, Effort::Quick, out);
    true
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
    Same(Text),
    Decimal { scale: u32, form: DecimalFormOf, values: Vec<i64> },
    Float { speller: Speller, bits: Vec<i64> },
    Time { digits: u8, between: u8, zone: Range<usize>, values: Vec<i64>, writer: TimeWriter },
    Counted { width: usize, before: Text, after: Text, values: Vec<i64> },
    Words { words: Vec<Text>, numbers: Vec<i64> },
    Bytes(Vec<Range<usize>>),
    Digits { values: Vec<i64>, scales: Vec<u8> },
}

/// Keeps the form private to this file.
#[derive(Clone, Copy, Debug)]
pub(super) struct DecimalFormOf(DecimalForm);

impl Column {
    /// The one text that all of it is, where it is.
    pub(super) fn constant(&self) -> Option<&Text> {
        match self {
            Column::Same(text) => Some(text),
            _ => None,
        }
    }

    /// Reads a column of `n` texts and checks it.
    pub(super) fn decode(reader: &mut Reader<'_>, n: usize) -> Result<Column, FormatError> {
        let mut values = Vec::with_capacity(n);
        Ok(match reader.u8()? {
            SAME => Column::Same(text(reader)?),
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
                let (before, after) = (text(reader)?, text(reader)?);
                ints::decode(reader, n, &mut values)?;
                Column::Counted { width, before, after, values }
            }
            WORDS => {
                let count = reader.count(1)?;
                let words = (0..count).map(|_| text(reader)).collect::<Result<Vec<_>, _>>()?;
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
            DIGITS => {
                ints::decode(reader, n, &mut values)?;
                let mut read = Vec::with_capacity(n);
                ints::decode(reader, n, &mut read)?;
                let scale = |scale: &i64| {
                    u8::try_from(*scale).ok().filter(|scale| u32::from(*scale) <= MAX_OWN_SCALE)
                };
                let scales: Option<Vec<u8>> = read.iter().map(scale).collect();
                let scales = scales.ok_or_else(|| reader.error("too many decimals"))?;
                Column::Digits { values, scales }
            }
            _ => return Err(reader.error("unknown column of a segment")),
        })
    }

    /// Most bytes a text of it has.
    pub(super) fn most(&self) -> usize {
        match self {
            Column::Same(text) => text.bytes().len(),
            Column::Decimal { .. } | Column::Float { .. } | Column::Digits { .. } => MAX_NUMBER,
            Column::Time { zone, .. } => KEPT + zone.len(),
            Column::Counted { width, before, after, .. } => {
                before.bytes().len() + width + MAX_NUMBER + after.bytes().len()
            }
            Column::Words { words, .. } => {
                words.iter().map(|word| word.bytes().len()).max().unwrap_or(0)
            }
            Column::Bytes(texts) => texts.iter().map(Range::len).max().unwrap_or(0),
        }
    }

    /// Writes the text at `i` at a place and says where it ends; `segment` is what the column was read from.
    /// There has to be room for [`Column::most`] and [`SLACK`].
    #[inline]
    pub(super) fn put(&mut self, segment: &[u8], i: usize, room: &mut [u8], at: usize) -> usize {
        let of = |range: &Range<usize>| segment.get(range.clone()).unwrap_or_default();
        let value = |values: &[i64]| values.get(i).copied().unwrap_or_default();
        match self {
            Column::Same(text) => text.put(room, at),
            Column::Decimal { scale, form, values } => {
                put_number(room, at, value(values), *scale, form.0)
            }
            Column::Digits { values, scales } => {
                let scale = scales.get(i).copied().unwrap_or_default();
                put_decimal(room, at, value(values), scale.into())
            }
            Column::Float { speller, bits } => {
                put_float(room, at, f64::from_bits(value(bits) as u64), *speller)
            }
            Column::Time { digits, between, zone, values, writer } => {
                let form = TimeForm { digits: *digits, between: *between, zone: of(zone) };
                writer.put(room, at, value(values), form)
            }
            Column::Counted { width, before, after, values } => {
                let at = before.put(room, at);
                let at = put_padded(room, at, value(values), *width);
                after.put(room, at)
            }
            Column::Words { words, numbers } => {
                let word = usize::try_from(value(numbers)).ok().and_then(|n| words.get(n));
                word.map_or(at, |word| word.put(room, at))
            }
            Column::Bytes(texts) => texts.get(i).map_or(at, |text| put_bytes(room, at, of(text))),
        }
    }
}

fn text(reader: &mut Reader<'_>) -> Result<Text, FormatError> {
    reader.prefixed().map(Text::new)
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
        let most = column.most();
        let mut room = vec![0; most + SLACK];
        for (i, wanted) in bytes.iter().enumerate() {
            let end = column.put(&out, i, &mut room, 0);
            assert!(end <= most && &room[..end] == *wanted, "{texts:?}");
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
        let part = |i: i32| (f64::from(i) * 0.618_033_988_749_894_9).fract();
        let fine: Vec<String> = (1..200).map(|i| part(i).to_string()).collect();
        check(DIGITS, &fine.iter().map(String::as_str).collect::<Vec<_>>());
        check(BYTES, &["-0", "5", "1e999"]);
    }

    #[test]
    fn a_column_of_numbers_is_small() {
        let texts: Vec<String> = (0..1024).map(|i| format!("{}", 5_000 + i % 700)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        assert!(check(DECIMAL, &texts) < 1024 * 10 / 8 + 64);
    }
}
