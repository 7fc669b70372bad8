//! Strings as numbers of some bits: BITFIELD BITFIELD_RO

use std::borrow::Cow;
use std::ops::RangeInclusive;

use super::number::{integer, parse};
use super::{Context, Refusal, Reply};
use crate::keyspace::effect::MAX_STRING;

type Outcome = Result<Reply, Refusal>;

const OFFSET: Refusal = Refusal::Plain("ERR bit offset is not an integer or out of range");

/// What becomes of a number that does not fit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

/// What BITFIELD does to one field.
#[derive(Clone, Copy)]
enum Action {
    Get,
    Set(i64),
    Add(i64),
}

/// A number of some bits at some bit.
#[derive(Clone, Copy)]
struct Field {
    signed: bool,
    width: u32,
    offset: usize,
}

impl Field {
    fn read(kind: &[u8], offset: &[u8]) -> Result<Field, Refusal> {
        let invalid = Refusal::Plain(
            "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported \
             but i64 is.",
        );
        let (signed, width) = match kind {
            [b'i', width @ ..] => (true, width),
            [b'u', width @ ..] => (false, width),
            _ => return Err(invalid),
        };
        let width = parse(width).and_then(|width| u32::try_from(width).ok()).ok_or(invalid)?;
        if width == 0 || width > if signed { 64 } else { 63 } {
            return Err(invalid);
        }
        let (number, unit) = match offset {
            [b'#', number @ ..] => (number, i64::from(width)),
            number => (number, 1),
        };
        let offset = parse(number).and_then(|number| number.checked_mul(unit)).ok_or(OFFSET)?;
        let offset = usize::try_from(offset).map_err(|_| OFFSET)?;
        if offset / 8 >= MAX_STRING {
            return Err(OFFSET);
        }
        Ok(Field { signed, width, offset })
    }

    /// The bytes it touches.
    fn bytes(&self) -> RangeInclusive<usize> {
        self.offset / 8..=(self.offset + self.width as usize - 1) / 8
    }

    fn get(&self, string: &[u8]) -> i64 {
        let mut value = 0_u64;
        for bit in self.offset..self.offset + self.width as usize {
            let byte = string.get(bit / 8).copied().unwrap_or(0);
            value = value << 1 | u64::from(byte >> (7 - bit % 8) & 1);
        }
        let unused = 64 - self.width;
        if self.signed { (value << unused).cast_signed() >> unused } else { value.cast_signed() }
    }

    fn set(&self, string: &mut [u8], value: i64) {
        for i in 0..self.width as usize {
            let bit = self.offset + i;
            let on = value >> (self.width as usize - 1 - i) & 1 == 1;
            if let Some(byte) = string.get_mut(bit / 8) {
                let mask = 0x80 >> (bit % 8);
                *byte = if on { *byte | mask } else { *byte & !mask };
            }
        }
    }

    /// Redis takes a number so far below a signed field that its distance to the highest does not fit
    /// 64 bits for one above it.
    fn as_redis_sees(&self, value: i64, overflow: Overflow) -> i128 {
        let highest = i64::MAX >> (64 - self.width);
        if overflow == Overflow::Saturate && highest.checked_sub(value).is_none() && self.width < 64
        {
            return i128::from(i64::MAX);
        }
        value.into()
    }

    /// A number as it fits in here; `None` if it must not be changed to fit.
    fn fit(&self, value: i128, overflow: Overflow) -> Option<i64> {
        let (low, high) = if self.signed {
            (-(1_i128 << (self.width - 1)), (1_i128 << (self.width - 1)) - 1)
        } else {
            (0, (1_i128 << self.width) - 1)
        };
        let fitted = match overflow {
            _ if (low..=high).contains(&value) => value,
            Overflow::Fail => return None,
            Overflow::Saturate => value.clamp(low, high),
            Overflow::Wrap => low + (value - low).rem_euclid(1_i128 << self.width),
        };
        i64::try_from(fitted).ok()
    }
}

/// `BITFIELD key [GET type offset | [OVERFLOW WRAP | SAT | FAIL] SET | INCRBY type offset value ...]`
pub(super) fn bitfield(cx: &mut Context<'_>) -> Outcome {
    fields(cx, false)
}

/// `BITFIELD_RO key [GET type offset ...]`
pub(super) fn bitfield_ro(cx: &mut Context<'_>) -> Outcome {
    fields(cx, true)
}

fn actions(mut rest: &[&[u8]]) -> Result<Vec<(Field, Action, Overflow)>, Refusal> {
    let mut overflow = Overflow::Wrap;
    let mut all = Vec::new();
    while let Some((name, more)) = rest.split_first() {
        rest = match (name.to_ascii_lowercase().as_slice(), more) {
            (b"get", [kind, offset, more @ ..]) => {
                all.push((Field::read(kind, offset)?, Action::Get, overflow));
                more
            }
            (name @ (b"set" | b"incrby"), [kind, offset, value, more @ ..]) => {
                let field = Field::read(kind, offset)?;
                let value = integer(value)?;
                let action = if name == b"set" { Action::Set(value) } else { Action::Add(value) };
                all.push((field, action, overflow));
                more
            }
            (b"overflow", [how, more @ ..]) => {
                overflow = match how.to_ascii_lowercase().as_slice() {
                    b"wrap" => Overflow::Wrap,
                    b"sat" => Overflow::Saturate,
                    b"fail" => Overflow::Fail,
                    _ => return Err(Refusal::Plain("ERR Invalid OVERFLOW type specified")),
                };
                more
            }
            _ => return Err(Refusal::Syntax),
        };
    }
    Ok(all)
}

fn fields(cx: &mut Context<'_>, read_only: bool) -> Outcome {
    let key = cx.arg(1);
    let actions = actions(cx.rest(2))?;
    let written = actions.iter().filter(|(_, action, _)| !matches!(action, Action::Get));
    // The bytes that may change, and those between.
    let place = written
        .map(|(field, ..)| field.bytes())
        .reduce(|a, b| *a.start().min(b.start())..=*a.end().max(b.end()));
    let last = place.as_ref().map(|place| *place.end());
    if last.is_some() && read_only {
        return Err(Refusal::Plain("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    // One that begins in the longest string may end behind it.
    if last.is_some_and(|last| last >= MAX_STRING) {
        return Err(OFFSET);
    }
    // What only reads counts as read.
    cx.reads = last.is_none();
    let before = cx.string(key)?;
    // Copied only to be changed.
    let mut string = Cow::Borrowed(before.map_or(&[][..], |string| &**string));
    if let Some(last) = last.filter(|last| *last >= string.len()) {
        string.to_mut().resize(last + 1, 0);
    }
    let mut replies = Vec::with_capacity(actions.len());
    for (field, action, overflow) in actions {
        let old = field.get(&string);
        let new = match action {
            Action::Get => Some(old),
            // An unsigned field takes the bits of a negative number.
            Action::Set(value) if !field.signed => {
                field.fit(i128::from(value.cast_unsigned()), overflow)
            }
            Action::Set(value) => field.fit(field.as_redis_sees(value, overflow), overflow),
            Action::Add(value) => field.fit(i128::from(old) + i128::from(value), overflow),
        };
        replies.push(match (action, new) {
            (_, None) => Reply::Null,
            (Action::Get | Action::Set(_), Some(_)) => Reply::Integer(old),
            (Action::Add(_), Some(new)) => Reply::Integer(new),
        });
        if let (Action::Set(_) | Action::Add(_), Some(new)) = (action, new) {
            field.set(string.to_mut(), new);
        }
    }
    if let Some(place) = place.filter(|_| before.is_none_or(|before| **before != *string)) {
        let start = *place.start();
        cx.effects.string_put(cx.db, key, start, string.get(place).unwrap_or_default());
    }
    Ok(Reply::Array(replies))
}
