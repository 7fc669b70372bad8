//! Commands as they pass between servers: arrays of bulk strings.

/// Longest string of a command, as Redis takes them.
pub(crate) const MAX_STRING: usize = 512 << 20;
/// A line that announces a number is shorter.
const MAX_LINE: usize = 32;

/// Arguments of a command, and its length.
pub(crate) type Parsed<'a> = Option<(Vec<&'a [u8]>, usize)>;

/// The command at the start of some bytes; `None` if it is not whole, an error if it is none, or announces
/// more than `most` strings or bytes of one.
pub(crate) fn next_command(bytes: &[u8], most: usize) -> Result<Parsed<'_>, &'static str> {
    let Some((count, mut at)) = line(bytes, 0, b'*', most)? else { return Ok(None) };
    let mut args = Vec::new();
    for _ in 0..count {
        let Some((length, start)) = line(bytes, at, b'$', most)? else { return Ok(None) };
        let end = start.saturating_add(length);
        let Some(arg) = bytes.get(start..end).filter(|_| bytes.len() >= end.saturating_add(2))
        else {
            return Ok(None);
        };
        args.push(arg);
        at = end + 2;
    }
    Ok(Some((args, at)))
}

fn line(
    bytes: &[u8],
    at: usize,
    kind: u8,
    most: usize,
) -> Result<Option<(usize, usize)>, &'static str> {
    let rest = bytes.get(at..).unwrap_or_default();
    if rest.first().is_some_and(|first| *first != kind) {
        return Err("what should be a command is none");
    }
    let head = rest.get(..MAX_LINE).unwrap_or(rest);
    let Some(end) = memchr::memchr(b'\n', head) else {
        return if rest.len() < MAX_LINE { Ok(None) } else { Err("a length without end") };
    };
    let text = rest.get(1..end).and_then(|text| text.strip_suffix(b"\r"));
    let number = text.and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
    match number.ok_or("a length that is no number")? {
        number if number > most => Err("a length that is too large"),
        number => Ok(Some((number, at + end + 1))),
    }
}
