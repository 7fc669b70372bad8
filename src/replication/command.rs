//! Commands as they pass between servers: arrays of bulk strings.

/// Arguments of a command, and its length.
pub(crate) type Parsed<'a> = Option<(Vec<&'a [u8]>, usize)>;

/// The command at the start of some bytes; `None` if it is not whole, an error if it is none.
pub(crate) fn next_command(bytes: &[u8]) -> Result<Parsed<'_>, &'static str> {
    let Some((count, mut at)) = line(bytes, 0, b'*')? else { return Ok(None) };
    let mut args = Vec::new();
    for _ in 0..count {
        let Some((length, start)) = line(bytes, at, b'$')? else { return Ok(None) };
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

fn line(bytes: &[u8], at: usize, kind: u8) -> Result<Option<(usize, usize)>, &'static str> {
    let rest = bytes.get(at..).unwrap_or_default();
    if rest.first().is_some_and(|first| *first != kind) {
        return Err("what should be a command is none");
    }
    let Some(end) = memchr::memchr(b'\n', rest) else { return Ok(None) };
    let text = rest.get(1..end).and_then(|text| text.strip_suffix(b"\r"));
    let number = text.and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
    Ok(Some((number.ok_or("a length that is no number")?, at + end + 1)))
}
