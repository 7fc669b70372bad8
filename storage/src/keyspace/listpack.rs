//! Listpacks: strings and integers one after another, in the bytes of Redis.
//!
//! `total:u32 count:u16 element* 255`. An element is its value and behind it how long that is, so that
//! it can be walked from either end. Strings that are integers are kept as such. A count of 65535 says
//! that there are too many to tell. Reading stops at what is no element; it never panics.

use std::borrow::Cow;

use super::command::parse_integer;

/// Bytes before the first element.
pub(super) const HEADER: usize = 6;
const END: u8 = 0xff;

/// One element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element<'a> {
    Integer(i64),
    Text(&'a [u8]),
}

impl<'a> Element<'a> {
    /// The string it stands for.
    pub(super) fn text(self) -> Cow<'a, [u8]> {
        match self {
            Element::Integer(value) => Cow::Owned(value.to_string().into_bytes()),
            Element::Text(text) => Cow::Borrowed(text),
        }
    }

    pub(super) fn integer(self) -> Option<i64> {
        match self {
            Element::Integer(value) => Some(value),
            Element::Text(_) => None,
        }
    }

    /// Whether it stands for this string.
    pub(super) fn is(self, text: &[u8]) -> bool {
        match self {
            Element::Integer(value) => parse_integer(text) == Some(value),
            Element::Text(own) => own == text,
        }
    }
}

/// A listpack without elements.
pub(super) fn empty() -> Vec<u8> {
    let mut pack = vec![0; HEADER];
    pack.push(END);
    set_header(&mut pack, 0);
    pack
}

/// Appends a string.
pub(super) fn push(pack: &mut Vec<u8>, text: &[u8]) {
    let element = match parse_integer(text) {
        Some(value) => Element::Integer(value),
        None => Element::Text(text),
    };
    append(pack, element);
}

/// Appends an integer.
pub(super) fn push_integer(pack: &mut Vec<u8>, value: i64) {
    append(pack, Element::Integer(value));
}

fn append(pack: &mut Vec<u8>, element: Element<'_>) {
    pack.pop();
    encode(pack, element);
    pack.push(END);
    let count = count(pack).saturating_add(1);
    set_header(pack, count);
}

/// Puts an integer in the place of the element at `at`.
pub(super) fn replace(pack: &mut Vec<u8>, at: usize, value: i64) {
    let mut walk = Walk { pack, at };
    if walk.next().is_none() {
        return;
    }
    let end = walk.at;
    let mut bytes = Vec::new();
    encode(&mut bytes, Element::Integer(value));
    pack.splice(at..end, bytes);
    let count = count(pack);
    set_header(pack, count);
}

fn count(pack: &[u8]) -> u16 {
    pack.get(4..HEADER).and_then(|bytes| bytes.try_into().ok()).map_or(0, u16::from_le_bytes)
}

fn set_header(pack: &mut [u8], count: u16) {
    let total = u32::try_from(pack.len())
        .expect("invariant: what goes into one listpack is limited to less than 1 GiB");
    if let Some((head, _)) = pack.split_first_chunk_mut::<4>() {
        *head = total.to_le_bytes();
    }
    if let Some(slot) = pack.get_mut(4..HEADER) {
        slot.copy_from_slice(&count.to_le_bytes());
    }
}

fn encode(out: &mut Vec<u8>, element: Element<'_>) {
    let start = out.len();
    match element {
        Element::Integer(value) => encode_integer(out, value),
        Element::Text(text) => {
            match text.len() {
                len @ 0..64 => out.push(0x80 | len as u8),
                len @ 64..4096 => out.extend_from_slice(&(0xe000 | len as u16).to_be_bytes()),
                len => {
                    out.push(0xf0);
                    out.extend_from_slice(&(len as u32).to_le_bytes());
                }
            }
            out.extend_from_slice(text);
        }
    }
    let len = out.len() - start;
    let digits = back_length(len);
    for digit in (0..digits).rev() {
        let more = if digit + 1 == digits { 0 } else { 0x80 };
        out.push((len >> (7 * digit) & 0x7f) as u8 | more);
    }
}

fn encode_integer(out: &mut Vec<u8>, value: i64) {
    let bytes = value.to_le_bytes();
    let (head, len) = match value {
        0..=127 => return out.push(value as u8),
        -4096..=4095 => {
            let low = (value & 0x1fff) as u16 | 0xc000;
            return out.extend_from_slice(&low.to_be_bytes());
        }
        -0x8000..=0x7fff => (0xf1, 2),
        -0x80_0000..=0x7f_ffff => (0xf2, 3),
        -0x8000_0000..=0x7fff_ffff => (0xf3, 4),
        _ => (0xf4, 8),
    };
    out.push(head);
    out.extend_from_slice(bytes.get(..len).unwrap_or_default());
}

/// How many bytes the length behind an element takes.
fn back_length(len: usize) -> usize {
    match len {
        0..=127 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    }
}

/// Walks the elements from a place on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk<'a> {
    pack: &'a [u8],
    at: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(pack: &'a [u8]) -> Walk<'a> {
        Walk { pack, at: HEADER }
    }

    /// From the element at a place that an earlier walk told.
    pub(super) fn from(pack: &'a [u8], at: usize) -> Walk<'a> {
        Walk { pack, at }
    }

    /// Where the next element begins.
    pub(super) fn place(&self) -> usize {
        self.at
    }

    /// The next element, if it is an integer.
    pub(super) fn integer(&mut self) -> Option<i64> {
        self.next()?.integer()
    }

    /// Passes over elements; `None` if there are not so many.
    pub(super) fn pass(&mut self, count: usize) -> Option<()> {
        (0..count).try_for_each(|_| self.next().map(|_| ()))
    }

    /// Whether what is left is just the end of a whole listpack.
    pub(super) fn at_end(&self) -> bool {
        self.at + 1 == self.pack.len() && self.pack.last() == Some(&END)
    }

    fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let bytes = self.pack.get(self.at..self.at.checked_add(len)?)?;
        self.at += len;
        Some(bytes)
    }

    fn little_endian(&mut self, len: usize) -> Option<i64> {
        let mut bytes = [0; 8];
        bytes.get_mut(8 - len..)?.copy_from_slice(self.bytes(len)?);
        Some(i64::from_le_bytes(bytes) >> (64 - 8 * len))
    }

    fn element(&mut self) -> Option<Element<'a>> {
        let &[first] = self.bytes(1)? else { return None };
        let next = |walk: &mut Self| walk.bytes(1).and_then(|byte| byte.first().copied());
        Some(match first {
            0..0x80 => Element::Integer(first.into()),
            0x80..0xc0 => Element::Text(self.bytes(usize::from(first & 0x3f))?),
            0xc0..0xe0 => {
                let value = i64::from(first & 0x1f) << 8 | i64::from(next(self)?);
                Element::Integer(if value >= 1 << 12 { value - (1 << 13) } else { value })
            }
            0xe0..0xf0 => {
                let len = usize::from(first & 0x0f) << 8 | usize::from(next(self)?);
                Element::Text(self.bytes(len)?)
            }
            0xf0 => {
                let len = u32::from_le_bytes(self.bytes(4)?.try_into().ok()?);
                Element::Text(self.bytes(usize::try_from(len).ok()?)?)
            }
            0xf1 => Element::Integer(self.little_endian(2)?),
            0xf2 => Element::Integer(self.little_endian(3)?),
            0xf3 => Element::Integer(self.little_endian(4)?),
            0xf4 => Element::Integer(self.little_endian(8)?),
            _ => return None,
        })
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        let mut walk = *self;
        let element = walk.element()?;
        walk.bytes(back_length(walk.at - self.at))?;
        *self = walk;
        Some(element)
    }
}

/// All elements of a listpack from outside; `None` if its header or an element is wrong.
pub(super) fn whole(pack: &[u8]) -> Option<Vec<Element<'_>>> {
    let total = u32::from_le_bytes(*pack.first_chunk::<4>()?);
    let mut walk = Walk::new(pack);
    let elements: Vec<Element<'_>> = walk.by_ref().collect();
    let counted = usize::from(count(pack)) == elements.len() || count(pack) == u16::MAX;
    (walk.at_end() && counted && usize::try_from(total) == Ok(pack.len())).then_some(elements)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_is_read_and_replaced() {
        let long = [16_377, 16_378, 70_000].map(|len| "x".repeat(len));
        let mut texts = vec!["", "a", "01", "-0", "1.5", "9223372036854775808"];
        texts.extend(long.iter().map(String::as_str));
        let numbers = [
            0,
            127,
            128,
            -1,
            4095,
            4096,
            -4096,
            -4097,
            32767,
            32768,
            -32768,
            -32769,
            8388607,
            8388608,
            -8388608,
            -8388609,
            2147483647,
            2147483648,
            -2147483648,
            -2147483649,
            i64::MAX,
            i64::MIN,
        ];
        let mut pack = empty();
        texts.iter().for_each(|text| push(&mut pack, text.as_bytes()));
        numbers.iter().for_each(|number| push(&mut pack, number.to_string().as_bytes()));
        let read = whole(&pack).unwrap();
        assert_eq!(read.len(), texts.len() + numbers.len());
        for (element, text) in read.iter().zip(&texts) {
            assert_eq!(*element, Element::Text(text.as_bytes()));
        }
        for (element, number) in read.iter().skip(texts.len()).zip(numbers) {
            assert_eq!(*element, Element::Integer(number));
            assert!(element.is(number.to_string().as_bytes()));
        }
        for number in numbers {
            let mut pack = pack.clone();
            let mut walk = Walk::new(&pack);
            walk.pass(2).unwrap();
            let at = walk.place();
            replace(&mut pack, at, number);
            let read = whole(&pack).unwrap();
            assert_eq!(read[2], Element::Integer(number));
            assert_eq!(read[3], Element::Text(b"-0"));
        }
        for end in 0..pack.len() {
            assert_eq!(whole(&pack[..end]), None);
        }
    }
}
