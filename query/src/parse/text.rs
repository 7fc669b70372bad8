//! String literals: three kinds of quotes, and Go's escapes.

/// A string as a query holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// Its value; bytes that are no UTF-8 are replaced.
    pub value: String,
    /// How it is spelled, if escapes made it something else than UTF-8.
    pub not_utf8: Option<String>,
}

/// The value of a literal with its quotes.
pub(crate) fn unquote(literal: &str) -> Result<Text, &'static str> {
    let quote = literal.chars().next().unwrap_or('"');
    let inner = literal.get(1..literal.len().saturating_sub(1)).unwrap_or("");
    if quote == '`' {
        return Ok(Text { value: inner.to_owned(), not_utf8: None });
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c == '\\' {
            escape(&mut chars, quote, &mut out)?;
        } else {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    Ok(match String::from_utf8(out) {
        Ok(value) => Text { value, not_utf8: None },
        Err(error) => Text {
            value: String::from_utf8_lossy(error.as_bytes()).into_owned(),
            not_utf8: Some(inner.to_owned()),
        },
    })
}

fn escape(
    chars: &mut std::str::Chars<'_>,
    quote: char,
    out: &mut Vec<u8>,
) -> Result<(), &'static str> {
    const BAD: &str = "invalid syntax";
    let c = chars.next().ok_or(BAD)?;
    let plain = match c {
        'a' => Some(7),
        'b' => Some(8),
        'f' => Some(12),
        'n' => Some(b'\n'),
        'r' => Some(b'\r'),
        't' => Some(b'\t'),
        'v' => Some(11),
        '\\' => Some(b'\\'),
        _ if c == quote => Some(c as u8),
        _ => None,
    };
    if let Some(byte) = plain {
        out.push(byte);
        return Ok(());
    }
    let mut digits = |radix: u32, first: u32, n: usize| -> Result<u32, &'static str> {
        (0..n).try_fold(first, |value, _| {
            let digit = chars.next().and_then(|c| c.to_digit(radix)).ok_or(BAD)?;
            Ok(value.wrapping_mul(radix).wrapping_add(digit))
        })
    };
    match c {
        'x' => out.push(digits(16, 0, 2)? as u8),
        '0'..='7' => {
            let value = digits(8, c.to_digit(8).unwrap_or(0), 2)?;
            out.push(u8::try_from(value).map_err(|_| BAD)?);
        }
        'u' | 'U' => {
            let value = digits(16, 0, if c == 'u' { 4 } else { 8 })?;
            let c = char::from_u32(value).ok_or(BAD)?;
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
        _ => return Err(BAD),
    }
    Ok(())
}
