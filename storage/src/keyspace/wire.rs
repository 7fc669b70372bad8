//! The few primitives `docs/format/effects.md` is made of. Reading never panics and allocates nothing.

/// Why bytes are no effects or no view.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// The bytes end inside something.
    #[error("the bytes end {needed} short at offset {offset}")]
    Truncated {
        /// Where reading stopped.
        offset: usize,
        /// How many bytes are missing.
        needed: usize,
    },
    /// A newer or foreign version.
    #[error("version {found} is not known (this build reads {known})")]
    Version {
        /// What the bytes say.
        found: u8,
        /// What this build reads.
        known: u8,
    },
    /// A number stands for nothing this build knows.
    #[error("unknown {what} {found} at offset {offset}")]
    Unknown {
        /// What the number should be.
        what: &'static str,
        /// The number.
        found: u64,
        /// Where.
        offset: usize,
    },
    /// A list's segments do not decode.
    #[error("list at offset {offset}: {error}")]
    List {
        /// Where the list begins.
        offset: usize,
        /// What is wrong, counted from there.
        error: crate::wire::FormatError,
    },
    /// Bytes are left over after the last thing.
    #[error("{count} bytes left over at offset {offset}")]
    Trailing {
        /// Where.
        offset: usize,
        /// How many.
        count: usize,
    },
}

pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Walks bytes and knows where it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, offset: 0 }
    }

    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    pub(super) fn is_empty(&self) -> bool {
        self.offset == self.bytes.len()
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], FormatError> {
        let left = self.bytes.get(self.offset..).unwrap_or_default();
        let Some(taken) = left.get(..count) else {
            return Err(FormatError::Truncated { offset: self.offset, needed: count - left.len() });
        };
        self.offset += count;
        Ok(taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, FormatError> {
        self.take(1).map(|b| b.first().copied().unwrap_or_default())
    }

    pub(super) fn u32(&mut self) -> Result<u32, FormatError> {
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes(bytes.try_into().unwrap_or_default()))
    }

    pub(super) fn i64(&mut self) -> Result<i64, FormatError> {
        let bytes = self.take(8)?;
        Ok(i64::from_le_bytes(bytes.try_into().unwrap_or_default()))
    }

    pub(super) fn u64(&mut self) -> Result<u64, FormatError> {
        let bytes = self.take(8)?;
        Ok(u64::from_le_bytes(bytes.try_into().unwrap_or_default()))
    }

    pub(super) fn varint(&mut self) -> Result<u64, FormatError> {
        let start = self.offset;
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let digit = u64::from(byte & 0x7f);
            if shift == 63 && digit > 1 {
                break;
            }
            value |= digit << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(FormatError::Unknown { what: "varint", found: value, offset: start })
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], FormatError> {
        let len = self.varint()?;
        self.take(usize::try_from(len).unwrap_or(usize::MAX))
    }

    pub(super) fn finish(&self) -> Result<(), FormatError> {
        match self.bytes.len() - self.offset {
            0 => Ok(()),
            count => Err(FormatError::Trailing { offset: self.offset, count }),
        }
    }
}
