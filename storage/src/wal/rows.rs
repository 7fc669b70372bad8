//! Float rows in columns, as a batch record has them: pure.
//!
//! Times are runs, since the samples of one scrape share theirs. Whose rows they are is said only where it
//! is not as in the record before ([`chain`](super::chain)). A value is the step from the series' row
//! before, where whole numbers, hundredths or thousandths give back the same bits, else its own high bytes.

use super::chain::{Chain, ReadChain, Readable};
use super::record::FloatRow;
use crate::chunk::step::{NO_FORM, form_of, value_after, width_of};
use crate::model::{SeriesId, Timestamp};
use crate::wire::{FormatError, Reader, put_varint, put_zigzag};

/// Appends the rows.
pub(super) fn put_floats(rows: &mut [FloatRow], chain: &mut Chain, out: &mut Vec<u8>) {
    put_varint(out, rows.len() as u64);
    if rows.is_empty() {
        return;
    }
    let start = out.len();
    put_varint(out, chain.record());
    put_ids(rows, chain, out);
    put_times(rows, out);
    put_values(rows, chain, out);
    chain.grew(out.len() - start);
}

/// Reads what [`put_floats`] wrote, to the end of the bytes; slots are not known yet. How many rows could
/// not be read, for they lean on rows that were lost, comes with them.
pub(super) fn get_floats(
    reader: &mut Reader<'_>,
    chain: &mut ReadChain,
) -> Result<(Vec<FloatRow>, u64), FormatError> {
    let count = reader.varint()?;
    if count == 0 {
        return Ok((Vec::new(), 0));
    }
    let number = reader.varint()?;
    // The least a row takes is half a byte.
    let fits = usize::try_from(count).ok().filter(|n| n.div_ceil(2) <= reader.remaining());
    let fits = fits.ok_or_else(|| reader.error("count past the end"))?;
    let readable = chain.record(number).map_err(|e| reader.error(e.what))?;
    if readable == Readable::Lost {
        reader.take(reader.remaining())?;
        return Ok((Vec::new(), count));
    }
    let places = get_places(reader, fits, chain)?;
    let row = |at: &u32| FloatRow { slot: 0, id: chain.id(*at), t: 0, v: 0.0, form: NO_FORM };
    let mut rows: Vec<FloatRow> = places.iter().map(row).collect();
    get_times(reader, &mut rows)?;
    get_values(reader, &places, chain, &mut rows)?;
    Ok((rows, 0))
}

/// In turns: how many rows are those expected, how many are not, and the numbers of these.
fn put_ids(rows: &[FloatRow], chain: &mut Chain, out: &mut Vec<u8>) {
    let (mut at, mut after, mut number) = (0, None, 0);
    while at < rows.len() {
        let start = at;
        while let Some(row) = rows.get(at).filter(|row| row.id == chain.expected(after)) {
            after = Some(row.slot);
            at += 1;
        }
        put_varint(out, (at - start) as u64);
        let start = at;
        while let Some(row) = rows.get(at)
            && row.id != chain.expected(after)
        {
            chain.follows(after, row);
            after = Some(row.slot);
            at += 1;
        }
        if start < rows.len() {
            put_varint(out, (at - start) as u64);
        }
        for row in &rows[start..at] {
            put_zigzag(out, row.id.0.wrapping_sub(number) as i64);
            number = row.id.0;
        }
    }
}

fn get_places(
    reader: &mut Reader<'_>,
    count: usize,
    chain: &mut ReadChain,
) -> Result<Vec<u32>, FormatError> {
    let mut places = Vec::with_capacity(count);
    let (mut after, mut number) = (None, 0_u64);
    while places.len() < count {
        let run = reader.varint()?;
        for _ in 0..run {
            let at = chain.expected(after).filter(|_| places.len() < count);
            let at = at.ok_or_else(|| reader.error("a row nobody expects"))?;
            after = Some(at);
            places.push(at);
        }
        if places.len() == count {
            break;
        }
        let run = reader.varint()?;
        if run == 0 || run > (count - places.len()) as u64 {
            return Err(reader.error("a run of rows past the rows"));
        }
        for _ in 0..run {
            number = number.wrapping_add(reader.zigzag()? as u64);
            let at = chain.follows(after, SeriesId(number));
            after = Some(at);
            places.push(at);
        }
    }
    Ok(places)
}

fn put_times(rows: &[FloatRow], out: &mut Vec<u8>) {
    let mut before = 0;
    for run in rows.chunk_by(|a, b| a.t == b.t) {
        let t = run.first().map_or(before, |row| row.t);
        put_varint(out, run.len() as u64);
        put_zigzag(out, t.wrapping_sub(before));
        before = t;
    }
}

fn get_times(reader: &mut Reader<'_>, rows: &mut [FloatRow]) -> Result<(), FormatError> {
    let (mut t, mut rest): (Timestamp, _) = (0, rows);
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
    Ok(())
}

/// Forms first, two a byte, then what each form says.
fn put_values(rows: &mut [FloatRow], chain: &mut Chain, out: &mut Vec<u8>) {
    let forms = out.len();
    out.resize(forms + rows.len().div_ceil(2) + 8 * rows.len(), 0);
    let mut at = forms + rows.len().div_ceil(2);
    for (i, row) in rows.iter_mut().enumerate() {
        let (form, word, width) = form_of(row.v, chain.replace(row));
        row.form = form;
        out[forms + i / 2] |= form << (i % 2 * 4);
        // Bytes past the width are overwritten by the next value or cut off.
        out[at..at + 8].copy_from_slice(&word.to_le_bytes());
        at += width;
    }
    out.truncate(at);
}

fn get_values(
    reader: &mut Reader<'_>,
    places: &[u32],
    chain: &mut ReadChain,
    rows: &mut [FloatRow],
) -> Result<(), FormatError> {
    let forms = reader.take(rows.len().div_ceil(2))?;
    for (i, (row, at)) in rows.iter_mut().zip(places).enumerate() {
        let before = chain.value(*at);
        let form = forms[i / 2] >> (i % 2 * 4) & 15;
        row.v = value_after(before, form, reader.word(width_of(form))?);
        row.form = form;
        chain.set_value(*at, row.v);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(id: u64, t: Timestamp, v: f64) -> FloatRow {
        FloatRow { slot: (id % 1000) as u32, id: SeriesId(id), t, v, form: NO_FORM }
    }

    /// Writes records one after the other and reads them back; the length of the last.
    fn round_trip(records: &[Vec<FloatRow>]) -> usize {
        let (mut chain, mut read) = (Chain::default(), ReadChain::default());
        let mut length = 0;
        for rows in records {
            let mut bytes = Vec::new();
            put_floats(&mut rows.clone(), &mut chain, &mut bytes);
            let mut reader = Reader::new(&bytes);
            let (back, lost) = get_floats(&mut reader, &mut read).unwrap();
            assert!(reader.is_empty() && lost == 0);
            let plain = |rows: &[FloatRow]| {
                rows.iter().map(|r| (r.id, r.t, r.v.to_bits())).collect::<Vec<_>>()
            };
            assert_eq!(plain(&back), plain(rows));
            length = bytes.len();
        }
        length
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
        // Every value after every other, in one record and in records of their own.
        let pairs = odd.iter().flat_map(|a| odd.iter().flat_map(|b| [*a, *b]));
        let rows: Vec<_> = pairs.map(|v| row(9, 5, v)).collect();
        round_trip(&rows.iter().map(|row| vec![*row]).collect::<Vec<_>>());
        round_trip(&[rows]);
        round_trip(&[vec![row(u64::MAX, i64::MAX, 1.5), row(1, i64::MIN, 1.5), row(7, 0, 1.5)]]);
    }

    #[test]
    fn samples_of_a_scrape_cost_little() {
        let scrape = |n: u64, v: fn(u64, u64) -> f64| -> Vec<_> {
            (0..1000).map(|i| row(1 + i * 17, 1_700_000_000_000, v(i, n))).collect()
        };
        let third = |v| round_trip(&[scrape(1, v), scrape(2, v), scrape(3, v)]);
        assert!(third(|i, _| i as f64 * 0.1) < 520, "unchanged");
        assert!(third(|i, n| (i * 1000 + n * 100) as f64) < 1520, "a counter");
        assert!(third(|i, n| (i * 100 + n * 300) as f64 / 100.0) < 2520, "hundredths");
        assert!(third(|i, n| (i + 1) as f64 / n as f64) < 7520, "full floats");
    }

    #[test]
    fn rows_may_come_in_any_order_and_slots_change_hands() {
        let turn = |ids: &[u64]| ids.iter().map(|id| row(*id, 5, *id as f64)).collect::<Vec<_>>();
        round_trip(&[
            turn(&[1, 2, 3, 4, 5]),
            turn(&[1, 2, 3, 4, 5]),
            turn(&[5, 4, 3, 2, 1]),
            turn(&[2, 2, 4, 4]),
            turn(&[1, 3, 5]),
            // The slots of 1 and 2.
            turn(&[1001, 1002, 3, 4, 5]),
            turn(&[1001, 1002, 3, 4, 5]),
            turn(&[4]),
            turn(&[3, 1002]),
        ]);
    }

    #[test]
    fn a_record_that_is_missing_is_noticed_and_after_a_repair_lost() {
        let (mut chain, mut read) = (Chain::default(), ReadChain::default());
        let mut next = || {
            let mut bytes = Vec::new();
            put_floats(&mut [row(1, 5, 1.0), row(2, 5, 2.5)], &mut chain, &mut bytes);
            bytes
        };
        let (first, second, third) = (next(), next(), next());
        let get = |bytes: &[u8], read: &mut ReadChain| get_floats(&mut Reader::new(bytes), read);
        assert_eq!(get(&first, &mut read).unwrap().0.len(), 2);
        assert!(get(&third, &mut read).is_err());
        assert_eq!(get(&second, &mut read).unwrap().0.len(), 2);
        read.gap();
        assert_eq!(get(&third, &mut read).unwrap().1, 2);
        assert_eq!(get(&second, &mut read).unwrap().1, 2);
        assert_eq!(get(&first, &mut read).unwrap().0.len(), 2, "a chain begins");
        assert_eq!(get(&second, &mut read).unwrap().0.len(), 2);
    }

    #[test]
    fn chains_begin_anew_after_a_while() {
        let (mut chain, mut bytes) = (Chain::default(), Vec::new());
        let mut begun = 0;
        for i in 0..4000_u64 {
            bytes.clear();
            let rows: Vec<_> = (0..50).map(|id| row(1 + id, 5, (i * id) as f64 / 3.0)).collect();
            put_floats(&mut rows.clone(), &mut chain, &mut bytes);
            begun += u64::from(bytes[1] == 0);
        }
        assert!((20..60).contains(&begun), "{begun}");
    }

    proptest! {
        #[test]
        fn any_rows_come_back(
            records in prop::collection::vec(
                prop::collection::vec((1_u64..40, 0_i64..3, any::<u64>(), -300_i32..300), 0..40),
                1..8,
            )
        ) {
            let value = |bits: u64, n: i32| match bits % 5 {
                0 => f64::from_bits(bits),
                1 => f64::from(n),
                2 => f64::from(n) / 100.0,
                3 => f64::from(n) / 1000.0,
                _ => 0.1,
            };
            let record = |rows: Vec<(u64, i64, u64, i32)>| -> Vec<_> {
                rows.into_iter().map(|(id, t, bits, n)| row(id, t, value(bits, n))).collect()
            };
            round_trip(&records.into_iter().map(record).collect::<Vec<_>>());
        }

        #[test]
        fn damaged_bytes_never_panic(
            records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 1..4)
        ) {
            let mut read = ReadChain::default();
            for bytes in records {
                let _ = get_floats(&mut Reader::new(&bytes), &mut read);
            }
        }
    }
}
