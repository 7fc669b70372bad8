//! Which series have a label: lists of series numbers, sorted by the symbols of name and value: pure.

use std::collections::BTreeMap;

use super::page::Pages;
use crate::chunk::{Effort, column};
use crate::wire::{FormatError, Reader, put_varint};

/// A page is closed when it has so many bytes.
const PAGE_BYTES: usize = 2048;
/// Shorter lists are written number by number.
const SHORT: usize = 8;
/// Longer lists are written in columns of so many.
const COLUMN: usize = 1 << 15;

/// A list in a page, still encoded.
#[derive(Clone, Copy, Debug)]
struct List {
    pair: (u64, u64),
    count: u32,
    at: (u32, u32),
}

/// Lists in a row.
#[derive(Debug)]
pub(super) struct PostingsPage {
    bytes: Vec<u8>,
    lists: Vec<List>,
}

/// Encodes lists; numbers ascending.
pub(super) fn encode(postings: &BTreeMap<(u64, u64), Vec<u32>>) -> (Vec<u8>, u32) {
    let mut pages: Pages<(u64, u64)> = Pages::new();
    let mut page = Vec::new();
    let mut first = None;
    let mut before = (0, 0);
    for (pair, numbers) in postings {
        if page.len() >= PAGE_BYTES {
            pages.add(first.take().unwrap_or_default(), &page);
            page.clear();
            before = (0, 0);
        }
        first.get_or_insert(*pair);
        put_varint(&mut page, pair.0 - before.0);
        let base = if pair.0 == before.0 { before.1 } else { 0 };
        put_varint(&mut page, pair.1 - base);
        put_varint(&mut page, numbers.len() as u64);
        let list = encode_list(numbers);
        if numbers.len() > 1 {
            put_varint(&mut page, list.len() as u64);
        }
        page.extend_from_slice(&list);
        before = *pair;
    }
    if let Some(first) = first {
        pages.add(first, &page);
    }
    pages.finish()
}

fn encode_list(numbers: &[u32]) -> Vec<u8> {
    let mut out = Vec::new();
    if numbers.len() < SHORT {
        let mut before = 0;
        for number in numbers {
            put_varint(&mut out, u64::from(number - before));
            before = *number;
        }
        return out;
    }
    for part in numbers.chunks(COLUMN) {
        let part: Vec<i64> = part.iter().map(|n| i64::from(*n)).collect();
        column::encode(&part, Effort::Quick, &mut out);
    }
    out
}

impl PostingsPage {
    pub(super) fn decode(bytes: &[u8]) -> Result<PostingsPage, FormatError> {
        let mut reader = Reader::new(bytes);
        let mut lists: Vec<List> = Vec::new();
        let mut before = (0_u64, 0_u64);
        while !reader.is_empty() {
            let name = before.0.saturating_add(reader.varint()?);
            let base = if name == before.0 { before.1 } else { 0 };
            let value = base.saturating_add(reader.varint()?);
            let count = u32::try_from(reader.varint()?);
            let count = count.map_err(|_| reader.error("a list is too long"))?;
            let start = reader.offset();
            if count == 1 {
                reader.varint()?;
            } else {
                reader.prefixed()?;
            }
            let at = (start as u32, (reader.offset() - start) as u32);
            lists.push(List { pair: (name, value), count, at });
            before = (name, value);
        }
        Ok(PostingsPage { bytes: bytes.to_vec(), lists })
    }

    /// How many lists.
    pub(super) fn len(&self) -> usize {
        self.lists.len()
    }

    /// Symbols of the name and value of a list.
    pub(super) fn pair(&self, place: usize) -> Option<(u64, u64)> {
        self.lists.get(place).map(|list| list.pair)
    }

    /// The place of the first list that is not below this one.
    pub(super) fn seek(&self, pair: (u64, u64)) -> usize {
        self.lists.partition_point(|list| list.pair < pair)
    }

    /// The numbers of a list, ascending and below `series`.
    pub(super) fn numbers(&self, place: usize, series: u64) -> Result<Vec<u32>, FormatError> {
        let Some(list) = self.lists.get(place) else { return Ok(Vec::new()) };
        let start = list.at.0 as usize;
        let bytes = self.bytes.get(start..start + list.at.1 as usize).unwrap_or(&[]);
        let mut reader = Reader::new(bytes);
        let count = list.count as usize;
        if count as u64 > series {
            return Err(reader.error("more postings than series"));
        }
        if count != 1 {
            // Its length.
            reader.varint()?;
        }
        let mut numbers = Vec::with_capacity(count);
        if count < SHORT {
            let mut number = 0_u64;
            for _ in 0..count {
                number = number.saturating_add(reader.varint()?);
                numbers.push(number as i64);
            }
        } else {
            while numbers.len() < count {
                column::decode(&mut reader, (count - numbers.len()).min(COLUMN), &mut numbers)?;
            }
        }
        let below = numbers.last().is_none_or(|last| (0..series as i64).contains(last));
        if !below || numbers.first().is_some_and(|n| *n < 0) || !numbers.is_sorted_by(|a, b| a < b)
        {
            return Err(reader.error("postings are damaged"));
        }
        Ok(numbers.into_iter().map(|n| n as u32).collect())
    }

    pub(super) fn weight(&self) -> usize {
        self.bytes.len() + self.lists.len() * size_of::<List>() + size_of::<PostingsPage>()
    }
}
