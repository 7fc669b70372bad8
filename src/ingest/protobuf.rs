//! Walks protobuf without copying: fields as slices of the message, each with its place.

/// Why a message cannot be read, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {at}: {reason}")]
pub struct Malformed {
    /// Offset in the decompressed message.
    pub at: usize,
    /// What is wrong there.
    pub reason: &'static str,
}

/// A field of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'a> {
    /// Its number.
    pub(crate) number: u32,
    /// Where its tag begins, from the start of the whole.
    pub(crate) at: usize,
    /// Where it ends.
    pub(crate) end: usize,
    value: FieldValue<'a>,
}

#[derive(Clone, Copy, Debug)]
enum FieldValue<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32,
    Bytes(&'a [u8]),
}

/// Reads the fields of one message in order.
#[derive(Clone, Debug)]
pub(crate) struct Message<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where `bytes` begins in the whole.
    base: usize,
}

impl<'a> Message<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Message<'a> {
        Message { bytes, at: 0, base: 0 }
    }

    /// Passes all fields at the front that are blocks of this number (at most 15) and returns them
    /// as one slice. A field that is damaged stays, for [`Message::next`] to name.
    #[inline]
    pub(crate) fn run_of(&mut self, number: u8) -> &'a [u8] {
        let (start, tag) = (self.at, number << 3 | 2);
        while let Some([first, length, rest @ ..]) = self.bytes.get(self.at..)
            && *first == tag
        {
            // Nearly all are shorter than 128 bytes, which is a length of one byte.
            let length = usize::from(*length);
            if length < 0x80 && length <= rest.len() {
                self.at += 2 + length;
                continue;
            }
            let before = self.at;
            self.at += 1;
            if self.block().is_err() {
                self.at = before;
                break;
            }
        }
        self.bytes.get(start..self.at).unwrap_or_default()
    }

    /// Passes the field at the front if it is a short block of this number (at most 15) of which `read` makes
    /// something, and returns that.
    #[inline]
    pub(crate) fn take_if<T>(
        &mut self,
        number: u8,
        read: impl FnOnce(&'a [u8]) -> Option<T>,
    ) -> Option<T> {
        let (length, start) = match self.bytes.get(self.at..)? {
            [tag, length, ..] if *tag == number << 3 | 2 && *length < 0x80 => {
                (usize::from(*length), self.at + 2)
            }
            [tag, low, high, ..] if *tag == number << 3 | 2 && *high < 0x80 => {
                (usize::from(*low & 0x7f) | usize::from(*high) << 7, self.at + 3)
            }
            _ => return None,
        };
        let taken = read(self.bytes.get(start..start + length)?)?;
        self.at = start + length;
        Some(taken)
    }

    /// All that is left.
    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// The next field; `None` at the end.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<Field<'a>>, Malformed> {
        if self.at == self.bytes.len() {
            return Ok(None);
        }
        let at = self.at;
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|n| *n != 0);
        let number = number.ok_or_else(|| self.wrong(at, "not a field number"))?;
        let value = match tag & 7 {
            0 => FieldValue::Varint(self.varint()?),
            1 => FieldValue::Fixed64(u64::from_le_bytes(self.fixed()?)),
            2 => FieldValue::Bytes(self.block()?),
            5 => {
                self.fixed::<4>()?;
                FieldValue::Fixed32
            }
            _ => return Err(self.wrong(at, "a wire type that is not known")),
        };
        Ok(Some(Field { number, at: self.base + at, end: self.base + self.at, value }))
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, Malformed> {
        match self.bytes.get(self.at..) {
            Some([byte, ..]) if *byte < 0x80 => {
                self.at += 1;
                Ok(u64::from(*byte))
            }
            Some([low, high, ..]) if *high < 0x80 => {
                self.at += 2;
                Ok(u64::from(*low & 0x7f) | u64::from(*high) << 7)
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Malformed> {
        let start = self.at;
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let Some(byte) = self.bytes.get(self.at).copied() else {
                return Err(self.wrong(start, "the message ends within a number"));
            };
            self.at += 1;
            let digit = u64::from(byte & 0x7f);
            if shift == 63 && digit > 1 {
                break;
            }
            value |= digit << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.wrong(start, "a number longer than 64 bits"))
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let bytes = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<N>());
        let bytes =
            *bytes.ok_or_else(|| self.wrong(self.at, "the message ends within a number"))?;
        self.at += N;
        Ok(bytes)
    }

    #[inline]
    fn block(&mut self) -> Result<&'a [u8], Malformed> {
        let start = self.at;
        let length = usize::try_from(self.varint()?).ok();
        let end = length.and_then(|length| self.at.checked_add(length));
        let block = end.and_then(|end| self.bytes.get(self.at..end));
        let block = block.ok_or_else(|| self.wrong(start, "a length beyond the message's end"))?;
        self.at += block.len();
        Ok(block)
    }

    fn wrong(&self, at: usize, reason: &'static str) -> Malformed {
        Malformed { at: self.base + at, reason }
    }
}

impl<'a> Field<'a> {
    fn wrong(&self, reason: &'static str) -> Malformed {
        Malformed { at: self.at, reason }
    }

    /// As an unsigned number.
    pub(crate) fn uint64(&self) -> Result<u64, Malformed> {
        match self.value {
            FieldValue::Varint(value) => Ok(value),
            _ => Err(self.wrong("a field that should be a number is not")),
        }
    }

    /// As a signed number, negative ones in ten bytes.
    pub(crate) fn int64(&self) -> Result<i64, Malformed> {
        self.uint64().map(u64::cast_signed)
    }

    /// As a zigzag number of 32 bits.
    pub(crate) fn sint32(&self) -> Result<i32, Malformed> {
        let value = zigzag(self.uint64()?);
        i32::try_from(value).map_err(|_| self.wrong("a number longer than 32 bits"))
    }

    /// As an unsigned number of 32 bits.
    pub(crate) fn uint32(&self) -> Result<u32, Malformed> {
        u32::try_from(self.uint64()?).map_err(|_| self.wrong("a number longer than 32 bits"))
    }

    /// As a float of 64 bits.
    pub(crate) fn double(&self) -> Result<f64, Malformed> {
        match self.value {
            FieldValue::Fixed64(bits) => Ok(f64::from_bits(bits)),
            _ => Err(self.wrong("a field that should be a float is not")),
        }
    }

    /// As bytes.
    pub(crate) fn bytes(&self) -> Result<&'a [u8], Malformed> {
        match self.value {
            FieldValue::Bytes(bytes) => Ok(bytes),
            _ => Err(self.wrong("a field that should be a block is not")),
        }
    }

    /// As a message.
    #[inline]
    pub(crate) fn message(&self) -> Result<Message<'a>, Malformed> {
        let bytes = self.bytes()?;
        Ok(Message { bytes, at: 0, base: self.end - bytes.len() })
    }

    /// Appends one float, or a packed run of them.
    pub(crate) fn doubles(&self, out: &mut Vec<f64>) -> Result<(), Malformed> {
        let FieldValue::Bytes(bytes) = self.value else {
            out.push(self.double()?);
            return Ok(());
        };
        let (whole, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(self.wrong("a packed run of floats ends within one"));
        }
        out.extend(whole.iter().map(|bytes| f64::from_le_bytes(*bytes)));
        Ok(())
    }

    /// Appends one unsigned number, or a packed run of them.
    pub(crate) fn uints(&self, out: &mut Vec<u64>) -> Result<(), Malformed> {
        if let FieldValue::Varint(value) = self.value {
            out.push(value);
            return Ok(());
        }
        let mut run = self.message()?;
        while run.at < run.bytes.len() {
            out.push(run.varint()?);
        }
        Ok(())
    }

    /// Appends one zigzag number, or a packed run of them.
    pub(crate) fn sints(&self, out: &mut Vec<i64>) -> Result<(), Malformed> {
        if let FieldValue::Varint(value) = self.value {
            out.push(zigzag(value));
            return Ok(());
        }
        let mut run = self.message()?;
        while run.at < run.bytes.len() {
            out.push(zigzag(run.varint()?));
        }
        Ok(())
    }
}

fn zigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}
