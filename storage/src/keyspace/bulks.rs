//! Byte strings as a reply has them: each spelled out as both versions of the protocol spell it, one after
//! another, so that a reply of many is put together once and sent as it lies.

use std::fmt;
use std::ops::Range;

/// Room for what stands before a string: `$`, its length, `\r\n`.
const HEAD: usize = 16;

/// Byte strings in order, in one allocation.
#[derive(Clone, Default)]
pub struct Bulks {
    /// Their count, where it was known from the start; what is spelled; and room behind it.
    bytes: Vec<u8>,
    /// Where the strings begin.
    begin: usize,
    /// Where the room begins.
    end: usize,
    len: usize,
    /// How many there will be, where that is known.
    expected: usize,
    /// What stood before the last string; the next is mostly as long.
    head: Head,
}

/// `$62\r\n`
#[derive(Clone)]
struct Head {
    text: [u8; HEAD],
    size: usize,
    of: usize,
}

impl Bulks {
    /// For exactly so many strings; there is room for them once the first shows how long they are.
    pub(super) fn expecting(strings: usize) -> Bulks {
        let Head { mut text, size, .. } = Head::of(strings);
        text[0] = b'*';
        let bytes = text.get(..size).unwrap_or_default().to_vec();
        Bulks { begin: bytes.len(), end: bytes.len(), bytes, expected: strings, ..Bulks::default() }
    }

    /// The whole array as the protocol has it, where its count was known from the start.
    pub fn into_array(mut self) -> Result<Vec<u8>, Bulks> {
        if self.begin == 0 || self.len != self.expected {
            return Err(self);
        }
        self.bytes.truncate(self.end);
        Ok(self.bytes)
    }

    /// How many strings.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All of it as the protocol has it, without the count in front.
    pub fn spelled(&self) -> &[u8] {
        self.bytes.get(self.begin..self.end).unwrap_or_default()
    }

    /// The strings, in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.spelled();
        std::iter::from_fn(move || {
            let (head, behind) = rest.split_at_checked(memchr::memchr(b'\n', rest)? + 1)?;
            let digits = head.iter().filter(|byte| byte.is_ascii_digit());
            let len = digits.fold(0, |len, digit| len * 10 + usize::from(digit - b'0'));
            let (string, behind) = behind.split_at_checked(len)?;
            rest = behind.get(2..)?;
            Some(string)
        })
    }

    /// Appends a string.
    pub fn push(&mut self, string: &[u8]) {
        if string.len() != self.head.of {
            self.head = Head::of(string.len());
        }
        self.put(string.len(), |room, at| {
            let end = at + string.len();
            if let Some(place) = room.get_mut(at..end) {
                place.copy_from_slice(string);
            }
            end
        });
    }

    /// Appends the string that `write` writes at a place, in up to `most` bytes; it says where it ends.
    #[inline]
    pub(super) fn put(&mut self, most: usize, write: impl FnOnce(&mut [u8], usize) -> usize) {
        let start = self.end;
        let needed = most + HEAD + 2;
        if self.bytes.len() - start < needed {
            self.make_room(needed);
        }
        if let Some(place) = self.bytes.get_mut(start..start + HEAD) {
            place.copy_from_slice(&self.head.text);
        }
        let at = start + self.head.size;
        let mut end = write(&mut self.bytes, at);
        if end - at != self.head.of {
            end = self.correct(start, at..end);
        }
        if let Some(place) = self.bytes.get_mut(end..end + 2) {
            place.copy_from_slice(b"\r\n");
        }
        self.end = end + 2;
        self.len += 1;
    }

    /// The string at `place` is not as long as the head at `start` says; gives the end it then has.
    fn correct(&mut self, start: usize, place: Range<usize>) -> usize {
        self.head = Head::of(place.len());
        let at = start + self.head.size;
        let end = at + place.len();
        if at != place.start {
            self.bytes.copy_within(place, at);
        }
        let head = self.head.text.get(..self.head.size).unwrap_or_default();
        let Some(place) = self.bytes.get_mut(start..at) else { return end };
        // Mostly as two pieces of fixed size, which may overlap.
        match (head.first_chunk::<4>(), head.last_chunk::<4>()) {
            (Some(first), Some(last)) if head.len() <= 8 => {
                if let Some(front) = place.first_chunk_mut::<4>() {
                    *front = *first;
                }
                if let Some(back) = place.last_chunk_mut::<4>() {
                    *back = *last;
                }
            }
            _ => place.copy_from_slice(head),
        }
        end
    }

    /// Room for `needed` bytes. What is written is mostly filled with zeros just before, in pieces that fit
    /// into the nearest cache.
    #[cold]
    fn make_room(&mut self, needed: usize) {
        const PIECE: usize = 16 << 10;
        const MOST: usize = 1 << 20;
        // Before the first it is not known how long they are.
        let each = if self.len == 0 { needed } else { self.head.of.saturating_add(HEAD) };
        let left = self.expected.saturating_sub(self.len).saturating_mul(each);
        self.bytes.reserve(left.min(MOST));
        let piece = if self.len == 0 { needed } else { left.max(self.end).min(PIECE) };
        self.bytes.resize(self.end + needed.max(piece), 0);
    }
}

impl Head {
    fn of(len: usize) -> Head {
        match HEADS.get(len) {
            Some(head) => head.clone(),
            None => Head::spelled(len),
        }
    }

    const fn spelled(len: usize) -> Head {
        let mut text = [b'$'; HEAD];
        // No memory holds a string whose length has more than 13 digits.
        let mut digits = 1;
        while digits < HEAD - 3 && len / 10_usize.pow(digits as u32) > 0 {
            digits += 1;
        }
        let (mut at, mut left) = (digits, len);
        while at > 0 {
            text[at] = b'0' + (left % 10) as u8;
            left /= 10;
            at -= 1;
        }
        text[digits + 1] = b'\r';
        text[digits + 2] = b'\n';
        Head { text, size: digits + 3, of: len }
    }
}

/// Those of lengths that mostly occur.
static HEADS: [Head; 256] = {
    let mut heads = [const { Head::spelled(0) }; 256];
    let mut len = 0;
    while len < heads.len() {
        heads[len] = Head::spelled(len);
        len += 1;
    }
    heads
};

impl Default for Head {
    fn default() -> Head {
        Head::of(0)
    }
}

impl<'a> FromIterator<&'a [u8]> for Bulks {
    fn from_iter<I: IntoIterator<Item = &'a [u8]>>(strings: I) -> Bulks {
        let mut bulks = Bulks::default();
        for string in strings {
            bulks.push(string);
        }
        bulks
    }
}

impl PartialEq for Bulks {
    fn eq(&self, other: &Bulks) -> bool {
        self.spelled() == other.spelled()
    }
}

impl fmt::Debug for Bulks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|string| string.escape_ascii().to_string())).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_of_any_length_come_back_as_they_were_put() {
        let lengths = [0, 5, 5, 9, 10, 9, 99, 100, 1_000, 3, 70_000, 0];
        let strings: Vec<Vec<u8>> = lengths.iter().map(|len| vec![b'\n'; *len]).collect();
        let mut put = Bulks::default();
        for string in &strings {
            put.put(string.len(), |room, at| {
                room[at..at + string.len()].copy_from_slice(string);
                at + string.len()
            });
        }
        let pushed: Bulks = strings.iter().map(Vec::as_slice).collect();
        assert_eq!(put, pushed);
        assert_eq!(put.len(), strings.len());
        let back: Vec<Vec<u8>> = put.iter().map(<[u8]>::to_vec).collect();
        assert_eq!(back, strings);
        assert!(put.clone().into_array().is_err());
        let mut whole = Bulks::expecting(strings.len());
        strings.iter().for_each(|string| whole.push(string));
        assert_eq!(whole, put);
        let array = whole.into_array().unwrap();
        assert_eq!(array, [b"*12\r\n", put.spelled()].concat());
        assert!(put.spelled().starts_with(b"$0\r\n\r\n$5\r\n\n\n\n\n\n\r\n"));
    }
}
