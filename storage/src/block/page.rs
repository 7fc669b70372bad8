//! A part of a block in pages, each with its checksum, behind them the directory that finds them: pure.

use crate::wire::{FormatError, Reader, put_varint};

/// What a directory says of the first entry of a page.
pub(super) trait First: Sized {
    fn put(&self, out: &mut Vec<u8>);
    fn get(reader: &mut Reader<'_>) -> Result<Self, FormatError>;
}

/// Where pages have a fixed number of entries, it says nothing.
impl First for () {
    fn put(&self, _: &mut Vec<u8>) {}

    fn get(_: &mut Reader<'_>) -> Result<(), FormatError> {
        Ok(())
    }
}

/// A text.
impl First for Box<str> {
    fn put(&self, out: &mut Vec<u8>) {
        crate::wire::put_prefixed(out, self.as_bytes());
    }

    fn get(reader: &mut Reader<'_>) -> Result<Box<str>, FormatError> {
        reader.text().map(Into::into)
    }
}

/// Symbols of a label's name and value.
impl First for (u64, u64) {
    fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, self.0);
        put_varint(out, self.1);
    }

    fn get(reader: &mut Reader<'_>) -> Result<(u64, u64), FormatError> {
        Ok((reader.varint()?, reader.varint()?))
    }
}

/// Where a page stands in its part.
#[derive(Clone, Debug)]
pub(super) struct PageAt<F> {
    pub(super) offset: u64,
    pub(super) length: u32,
    pub(super) crc: u32,
    pub(super) first: F,
}

/// The pages of a part, in their order.
#[derive(Clone, Debug)]
pub(super) struct Directory<F> {
    pub(super) pages: Vec<PageAt<F>>,
}

impl<F: First> Directory<F> {
    /// Decodes the directory of a part whose pages take `length` bytes.
    pub(super) fn decode(bytes: &[u8], length: u64) -> Result<Directory<F>, FormatError> {
        let mut reader = Reader::new(bytes);
        let mut pages = Vec::new();
        let mut offset = 0_u64;
        for _ in 0..reader.count(5)? {
            let page = u32::try_from(reader.varint()?);
            let page = page.map_err(|_| reader.error("a page over 4 GiB"))?;
            let (crc, first) = (reader.u32()?, F::get(&mut reader)?);
            pages.push(PageAt { offset, length: page, crc, first });
            offset = offset.saturating_add(u64::from(page));
        }
        if offset != length {
            return Err(reader.error("the pages do not fill their part"));
        }
        Ok(Directory { pages })
    }

    /// About how many bytes it takes in memory.
    pub(super) fn weight(&self) -> usize {
        self.pages.len() * (size_of::<PageAt<F>>() + 16)
    }
}

/// A part under construction.
pub(super) struct Pages<F> {
    bytes: Vec<u8>,
    directory: Vec<PageAt<F>>,
}

impl<F: First> Pages<F> {
    pub(super) fn new() -> Pages<F> {
        Pages { bytes: Vec::new(), directory: Vec::new() }
    }

    /// Adds a page.
    pub(super) fn add(&mut self, first: F, page: &[u8]) {
        let (offset, length) = (self.bytes.len() as u64, page.len() as u32);
        self.directory.push(PageAt { offset, length, crc: crc32c::crc32c(page), first });
        self.bytes.extend_from_slice(page);
    }

    /// The pages and their directory, and how long the directory is.
    pub(super) fn finish(mut self) -> (Vec<u8>, u32) {
        let start = self.bytes.len();
        put_varint(&mut self.bytes, self.directory.len() as u64);
        for page in &self.directory {
            put_varint(&mut self.bytes, u64::from(page.length));
            self.bytes.extend_from_slice(&page.crc.to_le_bytes());
            page.first.put(&mut self.bytes);
        }
        let length = (self.bytes.len() - start) as u32;
        (self.bytes, length)
    }
}
