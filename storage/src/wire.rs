//! The few primitives all formats share: little-endian numbers, varints, and a reader that checks
//! every length before it believes it.

/// Why bytes are not what a format says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {offset}")]
pub struct FormatError {
    /// What is wrong.
    pub what: &'static str,
    /// Where, counted from the start of the piece that was being read.
    pub offset: usize,
}

/// Reads a piece of bytes from the front.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, at: 0 }
    }

    /// How far it has read.
    pub fn offset(&self) -> usize {
        self.at
    }

    /// What is left.
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// All that is not read yet; it stays unread.
    pub(crate) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// Whether all is read.
    pub fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// An error at this place.
    pub fn error(&self, what: &'static str) -> FormatError {
        FormatError { what, offset: self.at }
    }

    /// The next `n` bytes.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], FormatError> {
        let end = self.at.checked_add(n).filter(|end| *end <= self.bytes.len());
        let Some(end) = end else {
            return Err(self.error("bytes end too early"));
        };
        let piece = &self.bytes[self.at..end];
        self.at = end;
        Ok(piece)
    }

    /// The next bytes as the lowest of a word, at most eight; what is above them means nothing.
    #[inline]
    pub(crate) fn word(&mut self, width: usize) -> Result<u64, FormatError> {
        let rest = self.rest();
        let word = match rest.first_chunk::<8>() {
            Some(word) => u64::from_le_bytes(*word),
            None => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
        };
        self.take(width)?;
        Ok(word)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, FormatError> {
        Ok(self.array::<1>()?[0])
    }

    /// Two bytes.
    pub fn u16(&mut self) -> Result<u16, FormatError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// Four bytes.
    pub fn u32(&mut self) -> Result<u32, FormatError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Eight bytes.
    pub fn u64(&mut self) -> Result<u64, FormatError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A float, bit for bit.
    pub fn f64(&mut self) -> Result<f64, FormatError> {
        Ok(f64::from_bits(self.u64()?))
    }

    /// LEB128.
    pub fn varint(&mut self) -> Result<u64, FormatError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let digit = u64::from(byte & 0x7f);
            if shift == 63 && digit > 1 {
                return Err(self.error("number too large"));
            }
            value |= digit << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.error("number too long"))
    }

    /// Signed LEB128 by zigzag.
    pub fn zigzag(&mut self) -> Result<i64, FormatError> {
        let raw = self.varint()?;
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    /// A count of things that take at least `least` bytes each, so it cannot exceed what is left.
    pub fn count(&mut self, least: usize) -> Result<usize, FormatError> {
        let n = self.varint()?;
        let fits = usize::try_from(n)
            .ok()
            .filter(|n| n.checked_mul(least.max(1)).is_some_and(|bytes| bytes <= self.remaining()));
        fits.ok_or_else(|| self.error("count past the end"))
    }

    /// A varint length and so many bytes.
    pub fn prefixed(&mut self) -> Result<&'a [u8], FormatError> {
        let n = self.count(1)?;
        self.take(n)
    }

    /// A varint length and so many bytes of UTF-8.
    pub fn text(&mut self) -> Result<&'a str, FormatError> {
        let offset = self.at;
        std::str::from_utf8(self.prefixed()?)
            .map_err(|_| FormatError { what: "text is not UTF-8", offset })
    }
}

/// Appends LEB128.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends signed LEB128.
pub fn put_zigzag(out: &mut Vec<u8>, value: i64) {
    put_varint(out, (value as u64) << 1 ^ (value >> 63) as u64);
}

/// Appends a length and bytes.
pub fn put_prefixed(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a float, bit for bit.
pub fn put_f64(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}
