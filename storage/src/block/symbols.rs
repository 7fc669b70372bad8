//! Names and values of labels, sorted, numbered from 0, each by what it does not share with the one
//! before: pure.

use super::page::Pages;
use crate::wire::{FormatError, Reader, put_prefixed, put_varint};

/// Symbols of a page.
pub(super) const PAGE: usize = 64;

/// Symbols in a row.
#[derive(Debug, Default)]
pub(super) struct SymbolPage {
    text: String,
    ends: Vec<u32>,
}

impl SymbolPage {
    pub(super) fn decode(bytes: &[u8]) -> Result<SymbolPage, FormatError> {
        let mut reader = Reader::new(bytes);
        let mut page = SymbolPage::default();
        let mut whole: Vec<u8> = Vec::new();
        while !reader.is_empty() {
            let shared = usize::try_from(reader.varint()?).unwrap_or(usize::MAX);
            if shared > whole.len() || page.ends.len() >= PAGE {
                return Err(reader.error("symbols are damaged"));
            }
            whole.truncate(shared);
            whole.extend_from_slice(reader.prefixed()?);
            let text = std::str::from_utf8(&whole);
            page.text.push_str(text.map_err(|_| reader.error("a symbol is not UTF-8"))?);
            page.ends.push(page.text.len() as u32);
        }
        Ok(page)
    }

    pub(super) fn get(&self, place: usize) -> Option<&str> {
        let end = *self.ends.get(place)? as usize;
        let start = place.checked_sub(1).and_then(|p| self.ends.get(p)).map_or(0, |e| *e as usize);
        self.text.get(start..end)
    }

    /// The place of a text.
    pub(super) fn find(&self, text: &str) -> Option<usize> {
        let places: Vec<usize> = (0..self.ends.len()).collect();
        places.binary_search_by(|place| self.get(*place).unwrap_or("").cmp(text)).ok()
    }

    pub(super) fn weight(&self) -> usize {
        self.text.len() + self.ends.len() * 4 + size_of::<SymbolPage>()
    }
}

/// Encodes symbols, sorted.
pub(super) fn encode(symbols: &[&str]) -> (Vec<u8>, u32) {
    let mut pages: Pages<Box<str>> = Pages::new();
    for group in symbols.chunks(PAGE) {
        let mut page = Vec::new();
        let mut before = "";
        for text in group {
            let shared = before.bytes().zip(text.bytes()).take_while(|(a, b)| a == b).count();
            put_varint(&mut page, shared as u64);
            put_prefixed(&mut page, &text.as_bytes()[shared..]);
            before = text;
        }
        pages.add((*group.first().unwrap_or(&"")).into(), &page);
    }
    pages.finish()
}
