//! Float rows in columns, as a batch record has them: pure.
//!
//! Times are runs, since the samples of one scrape share theirs. Values lose the zero bytes at the
//! low end of their mantissa, which whole numbers have; decimals of two or three places, which have
//! none, become whole numbers where that gives back the same bits.

use super::record::FloatRow;
use crate::model::{SeriesId, Timestamp};
use crate::wire::{FormatError, Reader, put_varint, put_zigzag};

/// Forms up to 8 are this many high bytes of the value, the rest 0.
const WHOLE: u8 = 8;
/// Hundredths in two bytes.
const HUNDREDTHS_16: u8 = 9;
/// Hundredths in four bytes.
const HUNDREDTHS_32: u8 = 10;
/// Thousandths in four bytes.
const THOUSANDTHS_32: u8 = 11;

/// Appends the rows.
pub(super) fn put_floats(rows: &[FloatRow], out: &mut Vec<u8>) {
    put_varint(out, rows.len() as u64);
    let mut before = 0;
    for row in rows {
        put_zigzag(out, row.id.0.wrapping_sub(before) as i64);
        before = row.id.0;
    }
    let mut before = 0;
    for run in rows.chunk_by(|a, b| a.t == b.t) {
        let t = run.first().map_or(before, |row| row.t);
        put_varint(out, run.len() as u64);
        put_zigzag(out, t.wrapping_sub(before));
        before = t;
    }
    put_values(rows, out);
}

/// Reads what [`put_floats`] wrote; slots are not known yet.
pub(super) fn get_floats(reader: &mut Reader<'_>) -> Result<Vec<FloatRow>, FormatError> {
    let count = reader.count(1)?;
    let mut rows = Vec::with_capacity(count);
    let mut id = 0_u64;
    for _ in 0..count {
        id = id.wrapping_add(reader.zigzag()? as u64);
        rows.push(FloatRow { slot: 0, id: SeriesId(id), t: 0, v: 0.0 });
    }
    let (mut t, mut rest): (Timestamp, _) = (0, &mut rows[..]);
    while !rest.is_empty() {
        let run = usize::try_from(reader.varint()?).unwrap_or(usize::MAX);
        if run == 0 || run > rest.len() {
            return Err(reader.error("a run of times past the rows"));
        }
        t = t.wrapping_add(reader.zigzag()?);
        let (this, after) = rest.split_at_mut(run);
        this.iter_mut().for_each(|row| row.t = t);
        rest = after;
    }
    get_values(reader, &mut rows)?;
    Ok(rows)
}

/// Forms first, two a byte, then what each form says.
fn put_values(rows: &[FloatRow], out: &mut Vec<u8>) {
    let forms = out.len();
    out.resize(forms + rows.len().div_ceil(2) + 8 * rows.len(), 0);
    let mut at = forms + rows.len().div_ceil(2);
    for (i, row) in rows.iter().enumerate() {
        let (form, bytes, width) = form_of(row.v);
        out[forms + i / 2] |= form << (i % 2 * 4);
        // Bytes past the width are overwritten by the next value or cut off.
        out[at..at + 8].copy_from_slice(&bytes);
        at += width;
    }
    out.truncate(at);
}

fn get_values(reader: &mut Reader<'_>, rows: &mut [FloatRow]) -> Result<(), FormatError> {
    let forms = reader.take(rows.len().div_ceil(2))?;
    for (i, row) in rows.iter_mut().enumerate() {
        let form = forms[i / 2] >> (i % 2 * 4) & 15;
        row.v = match form {
            0..=WHOLE => {
                let mut bytes = [0; 8];
                let width = usize::from(form);
                bytes[8 - width..].copy_from_slice(reader.take(width)?);
                f64::from_le_bytes(bytes)
            }
            HUNDREDTHS_16 => f64::from(reader.u16()?.cast_signed()) / 100.0,
            HUNDREDTHS_32 => f64::from(reader.u32()?.cast_signed()) / 100.0,
            THOUSANDTHS_32 => f64::from(reader.u32()?.cast_signed()) / 1000.0,
            _ => return Err(reader.error("unknown form of a value")),
        };
    }
    Ok(())
}

/// How a value is written: its form, its bytes, and how many of them count.
fn form_of(value: f64) -> (u8, [u8; 8], usize) {
    let bits = value.to_bits();
    let zeros = (bits.trailing_zeros() / 8).min(8);
    if zeros >= 4 {
        let width = 8 - zeros;
        return (
            width as u8,
            (bits.checked_shr(8 * zeros).unwrap_or(0)).to_le_bytes(),
            width as usize,
        );
    }
    let decimal = |power: f64| {
        let scaled = (value * power).round_ties_even() as i32;
        ((f64::from(scaled) / power).to_bits() == bits).then_some(scaled)
    };
    if let Some(scaled) = decimal(100.0) {
        let bytes = i64::from(scaled).to_le_bytes();
        return match i16::try_from(scaled) {
            Ok(_) => (HUNDREDTHS_16, bytes, 2),
            Err(_) => (HUNDREDTHS_32, bytes, 4),
        };
    }
    if let Some(scaled) = decimal(1000.0) {
        return (THOUSANDTHS_32, i64::from(scaled).to_le_bytes(), 4);
    }
    let width = 8 - zeros;
    (width as u8, (bits >> (8 * zeros)).to_le_bytes(), width as usize)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(id: u64, t: Timestamp, v: f64) -> FloatRow {
        FloatRow { slot: 0, id: SeriesId(id), t, v }
    }

    fn round_trip(rows: &[FloatRow]) -> usize {
        let mut bytes = Vec::new();
        put_floats(rows, &mut bytes);
        let mut reader = Reader::new(&bytes);
        let back = get_floats(&mut reader).unwrap();
        assert!(reader.is_empty());
        let plain =
            |rows: &[FloatRow]| rows.iter().map(|r| (r.id, r.t, r.v.to_bits())).collect::<Vec<_>>();
        assert_eq!(plain(&back), plain(rows));
        bytes.len()
    }

    #[test]
    fn every_form_comes_back() {
        let odd = [
            0.0,
            -0.0,
            1.0,
            -3.0,
            0.01,
            -0.01,
            327.67,
            327.68,
            -21_474_836.48,
            21_474_836.48,
            1.001,
            -1.001,
            0.1 + 0.2,
            f64::NAN,
            f64::from_bits(crate::model::STALE_NAN),
            f64::from_bits(0xfff8_0000_dead_beef),
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MIN_POSITIVE / 4.0,
            f64::MAX,
            9_007_199_254_740_993.0,
        ];
        for n in 0..odd.len() {
            let rows: Vec<_> = odd[..n].iter().map(|v| row(9, 5, *v)).collect();
            round_trip(&rows);
        }
        round_trip(&[row(u64::MAX, i64::MAX, 1.5), row(0, i64::MIN, 1.5), row(7, 0, 1.5)]);
    }

    #[test]
    fn samples_of_a_scrape_cost_little() {
        let rows = |v: fn(u64) -> f64| -> Vec<_> {
            (0..1000).map(|i| row(1 + i * 16, 1_700_000_000_000, v(i))).collect()
        };
        assert!(round_trip(&rows(|i| i as f64 * 1000.0)) < 5600);
        assert!(round_trip(&rows(|i| i as f64 / 100.0)) < 3600);
    }

    proptest! {
        #[test]
        fn any_rows_come_back(
            rows in prop::collection::vec((any::<u64>(), 0_i64..3, any::<u64>()), 0..60)
        ) {
            let rows: Vec<_> =
                rows.into_iter().map(|(id, t, bits)| row(id, t, f64::from_bits(bits))).collect();
            round_trip(&rows);
        }

        #[test]
        fn damaged_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = get_floats(&mut Reader::new(&bytes));
        }
    }
}
