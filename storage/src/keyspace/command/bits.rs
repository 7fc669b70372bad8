//! Strings as bits: BITCOUNT BITPOS BITOP (SETBIT and GETBIT are with the strings).

use super::number::integer;
use super::{Context, Refusal, Reply, count};

type Outcome = Result<Reply, Refusal>;

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
