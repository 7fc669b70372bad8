//! The packed forms that Redis keeps small values in: listpack, ziplist, intset.

use std::borrow::Cow;

use super::{RdbError, Reader, Text};
use crate::keyspace::listpack;

const END: u8 = 0xff;

/// The elements of a listpack.
pub(super) fn listpack<'a>(bytes: &[u8]) -> Result<Vec<Text<'a>>, RdbError> {
    let elements = listpack::whole(bytes).ok_or(RdbError::Data("a listpack"))?;
    Ok(elements.into_iter().map(|element| Cow::Owned(element.text().into_owned())).collect())
}

/// The elements of a ziplist.
pub(super) fn ziplist<'a>(bytes: &[u8]) -> Result<Vec<Text<'a>>, RdbError> {
    let mut reader = Reader::new(bytes);
    let total = u32::from_le_bytes(reader.array()?) as usize;
    let _last = reader.take(4)?;
    let count = u16::from_le_bytes(reader.array()?);
    let mut elements = Vec::new();
    while reader.rest.first() != Some(&END) {
        // How long the entry before is, which only walking backwards needs.
        if reader.u8()? == 0xfe {
            reader.take(4)?;
        }
        elements.push(ziplist_entry(&mut reader)?);
    }
    let counted = usize::from(count) == elements.len() || count == u16::MAX;
    let whole = total == bytes.len() && reader.rest.len() == 1 && counted;
    if whole { Ok(elements) } else { Err(RdbError::Data("a ziplist")) }
}

fn ziplist_entry<'a>(reader: &mut Reader<'_>) -> Result<Text<'a>, RdbError> {
    let first = reader.u8()?;
    let text = |bytes: &[u8]| Ok(Cow::Owned(bytes.to_vec()));
    match first {
        0..0x40 => text(reader.take(first.into())?),
        0x40..0x80 => {
            let length = u64::from(first & 0x3f) << 8 | u64::from(reader.u8()?);
            text(reader.take(length)?)
        }
        0x80 => {
            let length = u32::from_be_bytes(reader.array()?);
            text(reader.take(length.into())?)
        }
        0xc0 => number(i16::from_le_bytes(reader.array()?).into()),
        0xd0 => number(i32::from_le_bytes(reader.array()?).into()),
        0xe0 => number(i64::from_le_bytes(reader.array()?)),
        0xf0 => number(int24(reader.array()?)),
        0xf1..=0xfd => number(i64::from(first & 0x0f) - 1),
        0xfe => number(i8::from_le_bytes(reader.array()?).into()),
        _ => Err(RdbError::Data("an entry of a ziplist")),
    }
}

/// The members of an intset.
pub(super) fn intset<'a>(bytes: &[u8]) -> Result<Vec<Text<'a>>, RdbError> {
    let mut reader = Reader::new(bytes);
    let width = u32::from_le_bytes(reader.array()?);
    let count = u32::from_le_bytes(reader.array()?);
    let members: Result<Vec<_>, _> = (0..count)
        .map(|_| match width {
            2 => number(i16::from_le_bytes(reader.array()?).into()),
            4 => number(i32::from_le_bytes(reader.array()?).into()),
            8 => number(i64::from_le_bytes(reader.array()?)),
            _ => Err(RdbError::Data("an intset")),
        })
        .collect();
    let members = members?;
    if reader.rest.is_empty() { Ok(members) } else { Err(RdbError::Data("an intset")) }
}

fn int24([low, middle, high]: [u8; 3]) -> i64 {
    i64::from(i32::from_le_bytes([0, low, middle, high]) >> 8)
}

fn number<'a>(value: i64) -> Result<Text<'a>, RdbError> {
    Ok(Cow::Owned(value.to_string().into_bytes()))
}
