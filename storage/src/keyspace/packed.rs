//! Byte strings packed one after another: a list's open ends, and what becomes a segment.

use std::ops::Range;

/// Byte strings in one allocation, with their ends beside them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Packed {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Packed {
    /// None yet, with room for a quarter of what there is: lists that rest are many.
    pub(super) fn for_more_like(other: &Packed) -> Packed {
        let (strings, bytes) = (other.len() / 4, other.byte_len() / 4);
        Packed { bytes: Vec::with_capacity(bytes), ends: Vec::with_capacity(strings) }
    }

    /// The strings, the last in front.
    pub(super) fn reversed(&self) -> Packed {
        let bytes = Vec::with_capacity(self.bytes.len());
        let mut reversed = Packed { bytes, ends: Vec::with_capacity(self.ends.len()) };
        self.iter().rev().for_each(|string| reversed.push(string));
        reversed
    }

    /// How many strings.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of all strings together.
    pub(super) fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// Appends a string.
    pub(super) fn push(&mut self, string: &[u8]) {
        self.bytes.extend_from_slice(string);
        self.ends.push(self.bytes.len());
    }

    /// The string at `i`.
    pub(super) fn get(&self, i: usize) -> Option<&[u8]> {
        let end = *self.ends.get(i)?;
        let start = if i == 0 { 0 } else { *self.ends.get(i - 1)? };
        self.bytes.get(start..end)
    }

    /// The strings, in order.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &[u8]> + ExactSizeIterator {
        self.range(0..self.len())
    }

    /// The strings of `range`, in order.
    pub(super) fn range(
        &self,
        range: Range<usize>,
    ) -> impl DoubleEndedIterator<Item = &[u8]> + ExactSizeIterator {
        range.map(|i| self.get(i).unwrap_or_default())
    }

    /// Keeps the first `len` strings.
    pub(super) fn truncate(&mut self, len: usize) {
        self.ends.truncate(len);
        self.bytes.truncate(self.ends.last().copied().unwrap_or(0));
    }

    /// Bytes it has allocated.
    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<usize>()
    }
}

impl<'a> FromIterator<&'a [u8]> for Packed {
    fn from_iter<I: IntoIterator<Item = &'a [u8]>>(strings: I) -> Packed {
        let mut packed = Packed::default();
        for string in strings {
            packed.push(string);
        }
        packed
    }
}
