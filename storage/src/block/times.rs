//! The timestamp columns of a block, numbered from 0 as they were written: pure.

use super::page::Pages;
use crate::model::Timestamp;
use crate::wire::{FormatError, Reader, put_varint, put_zigzag};

/// Columns of a page.
pub(super) const PAGE: usize = 128;

/// One column of timestamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) min_t: Timestamp,
    pub(crate) max_t: Timestamp,
    pub(crate) count: u32,
    pub(crate) at: (u64, u32),
    pub(crate) crc: u32,
}

/// Encodes columns.
pub(super) fn encode(all: &[Times]) -> (Vec<u8>, u32) {
    let mut pages: Pages<()> = Pages::new();
    for group in all.chunks(PAGE) {
        let mut page = Vec::new();
        let mut before = (0, 0_u64);
        for times in group {
            put_zigzag(&mut page, times.min_t.wrapping_sub(before.0));
            put_varint(&mut page, times.max_t.wrapping_sub(times.min_t) as u64);
            put_varint(&mut page, u64::from(times.count));
            put_zigzag(&mut page, times.at.0.wrapping_sub(before.1) as i64);
            put_varint(&mut page, u64::from(times.at.1));
            page.extend_from_slice(&times.crc.to_le_bytes());
            before = (times.min_t, times.at.0 + u64::from(times.at.1));
        }
        pages.add((), &page);
    }
    pages.finish()
}

/// Decodes a page.
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<Times>, FormatError> {
    let mut reader = Reader::new(bytes);
    let mut all = Vec::new();
    let mut before = (0_i64, 0_u64);
    while !reader.is_empty() {
        let min_t = before.0.wrapping_add(reader.zigzag()?);
        let max_t = min_t.wrapping_add(reader.varint()? as i64);
        let small = |reader: &mut Reader<'_>| {
            u32::try_from(reader.varint()?).map_err(|_| reader.error("length over 4 GiB"))
        };
        let count = small(&mut reader)?;
        let offset = before.1.wrapping_add(reader.zigzag()? as u64);
        let length = small(&mut reader)?;
        if count == 0 || max_t < min_t || all.len() >= PAGE {
            return Err(reader.error("a column of times is damaged"));
        }
        all.push(Times { min_t, max_t, count, at: (offset, length), crc: reader.u32()? });
        before = (min_t, offset.wrapping_add(u64::from(length)));
    }
    Ok(all)
}
