//! Strings as bits: BITCOUNT BITPOS BITOP BITFIELD BITFIELD_RO (SETBIT and GETBIT are with the strings).

use super::number::{integer, parse};
use super::string::MAX_STRING;
use super::{Context, Refusal, Reply, count};

type Outcome = Result<Reply, Refusal>;

const OFFSET: Refusal = Refusal::Plain("ERR bit offset is not an integer or out of range");

/// Whether a range counts bits.
fn in_bits(unit: &[u8]) -> Result<bool, Refusal> {
    match unit.to_ascii_lowercase().as_slice() {
        b"bit" => Ok(true),
        b"byte" => Ok(false),
        _ => Err(Refusal::Syntax),
    }
}

/// First and last of a range of so many, both counted from the end if negative; `None` if it is empty.
fn range(start: i64, end: i64, len: i64) -> Option<(usize, usize)> {
    let place = |at: i64| if at < 0 { at.saturating_add(len) } else { at }.max(0);
    let (start, end) = (place(start), place(end).min(len - 1));
    (start <= end).then_some((usize::try_from(start).ok()?, usize::try_from(end).ok()?))
}

/// First and last bit of a range that is given in bits or bytes.
fn bits(start: i64, end: i64, bytes: usize, bit: bool) -> Option<(usize, usize)> {
    let len = i64::try_from(bytes).ok()?;
    if bit {
        return range(start, end, len * 8);
    }
    range(start, end, len).map(|(start, end)| (start * 8, end * 8 + 7))
}

/// The byte at a place, with only the bits from `first` to `last` of the whole string left.
fn masked(string: &[u8], at: usize, first: usize, last: usize) -> u8 {
    let byte = string.get(at).copied().unwrap_or(0);
    let from = if at == first / 8 { 0xff >> (first % 8) } else { 0xff };
    let to = if at == last / 8 { 0xff << (7 - last % 8) } else { 0xff };
    byte & from & to
}

/// `BITCOUNT key [start end [BYTE | BIT]]`
pub(super) fn bitcount(cx: &mut Context<'_>) -> Outcome {
    let Some(string) = cx.string(cx.arg(1))? else { return Ok(Reply::Integer(0)) };
    let wanted = match cx.rest(2) {
        [] => bits(0, -1, string.len(), false),
        [start, end, unit @ ..] if unit.len() < 2 => {
            let (start, end) = (integer(start)?, integer(end)?);
            if start < 0 && end < 0 && start > end {
                return Ok(Reply::Integer(0));
            }
            let bit = unit.first().map_or(Ok(false), |unit| in_bits(unit))?;
            bits(start, end, string.len(), bit)
        }
        _ => return Err(Refusal::Syntax),
    };
    let Some((first, last)) = wanted else { return Ok(Reply::Integer(0)) };
    let ones = |at: usize| masked(string, at, first, last).count_ones() as usize;
    let inner = string.get(first / 8 + 1..last / 8).unwrap_or_default();
    let edges = ones(first / 8) + if last / 8 > first / 8 { ones(last / 8) } else { 0 };
    Ok(count(edges + inner.iter().map(|byte| byte.count_ones() as usize).sum::<usize>()))
}

/// `BITPOS key bit [start [end [BYTE | BIT]]]`
pub(super) fn bitpos(cx: &mut Context<'_>) -> Outcome {
    let one = match integer(cx.arg(2))? {
        bit @ (0 | 1) => bit == 1,
        _ => return Err(Refusal::Plain("ERR The bit argument must be 1 or 0.")),
    };
    let Some(string) = cx.string(cx.arg(1))? else {
        return Ok(Reply::Integer(if one { -1 } else { 0 }));
    };
    let (wanted, to_end) = match cx.rest(3) {
        [] => (bits(0, -1, string.len(), false), true),
        [start] => (bits(integer(start)?, -1, string.len(), false), true),
        [start, end, unit @ ..] if unit.len() < 2 => {
            let start = integer(start)?;
            let bit = unit.first().map_or(Ok(false), |unit| in_bits(unit))?;
            (bits(start, integer(end)?, string.len(), bit), false)
        }
        _ => return Err(Refusal::Syntax),
    };
    let Some((first, last)) = wanted else { return Ok(Reply::Integer(-1)) };
    // Zeros are looked for as ones of what is turned around.
    let turned = |at: usize| {
        let byte = string.get(at).copied().unwrap_or(0);
        masked(&[if one { byte } else { !byte }], 0, edge(at, first, 0), edge(at, last, 7))
    };
    let found = (first / 8..=last / 8).find(|at| turned(*at) != 0);
    Ok(match found {
        Some(at) => count(at * 8 + turned(at).leading_zeros() as usize),
        // Behind a string there are zeros, unless the range says where it ends.
        None if to_end && !one => count(string.len() * 8),
        None => Reply::Integer(-1),
    })
}

/// The bit of a byte at which a range begins or ends, if it does so in this byte.
fn edge(at: usize, bit: usize, otherwise: usize) -> usize {
    if bit / 8 == at { bit % 8 } else { otherwise }
}

/// `BITOP AND | OR | XOR | NOT destination key [key ...]`
pub(super) fn bitop(cx: &mut Context<'_>) -> Outcome {
    let combine: fn(u8, u8) -> u8 = match cx.arg(1).to_ascii_lowercase().as_slice() {
        b"and" => |a, b| a & b,
        b"or" => |a, b| a | b,
        b"xor" => |a, b| a ^ b,
        b"not" if cx.args.len() != 4 => {
            return Err(Refusal::Plain("ERR BITOP NOT must be called with a single source key."));
        }
        b"not" => |a, _| !a,
        _ => return Err(Refusal::Syntax),
    };
    let mut strings: Vec<&[u8]> = Vec::new();
    for key in cx.rest(3) {
        strings.push(cx.string(key)?.map_or(&[][..], |string| string));
    }
    let len = strings.iter().map(|string| string.len()).max().unwrap_or(0);
    let (first, others) = strings.split_first().map_or((&[][..], &[][..]), |(f, o)| (*f, o));
    let mut result = first.to_vec();
    result.resize(len, 0);
    if cx.arg(1).eq_ignore_ascii_case(b"not") {
        result.iter_mut().for_each(|byte| *byte = combine(*byte, 0));
    }
    for other in others {
        let padded = other.iter().copied().chain(std::iter::repeat(0));
        result.iter_mut().zip(padded).for_each(|(byte, other)| *byte = combine(*byte, other));
    }
    let key = cx.arg(2);
    if len > 0 {
        cx.effects.string_set(cx.db, key, &result, false);
    } else if cx.unread(key).is_some() {
        cx.effects.delete(cx.db, key);
    }
    Ok(count(len))
}

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

    /// The last byte it touches.
    fn last_byte(&self) -> usize {
        (self.offset + self.width as usize - 1) / 8
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
    let last = written.map(|(field, ..)| field.last_byte()).max();
    if last.is_some() && read_only {
        return Err(Refusal::Plain("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    // What only reads counts as read.
    cx.reads = last.is_none();
    let before = cx.string(key)?;
    let mut string = before.map_or_else(Vec::new, |string| string.to_vec());
    if let Some(last) = last.filter(|last| *last >= string.len()) {
        string.resize(last + 1, 0);
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
            Action::Set(value) => field.fit(value.into(), overflow),
            Action::Add(value) => field.fit(i128::from(old) + i128::from(value), overflow),
        };
        replies.push(match (action, new) {
            (_, None) => Reply::Null,
            (Action::Get | Action::Set(_), Some(_)) => Reply::Integer(old),
            (Action::Add(_), Some(new)) => Reply::Integer(new),
        });
        if let (Action::Set(_) | Action::Add(_), Some(new)) = (action, new) {
            field.set(&mut string, new);
        }
    }
    if last.is_some() && before.is_none_or(|before| **before != *string) {
        cx.effects.string_set(cx.db, key, &string, true);
    }
    Ok(Reply::Array(replies))
}
