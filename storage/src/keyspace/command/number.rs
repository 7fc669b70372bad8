//! Integers as Redis reads them: no sign but a minus, no leading zeros, no spaces.

use super::Refusal;

/// Reads an integer.
pub(super) fn integer(text: &[u8]) -> Result<i64, Refusal> {
    parse(text).ok_or(Refusal::NotInteger)
}

/// Reads an integer that is not negative, for counts of pops.
pub(super) fn positive(text: &[u8]) -> Result<usize, Refusal> {
    parse(text).and_then(|n| usize::try_from(n).ok()).ok_or(Refusal::NotPositive)
}

/// Reads an integer, or nothing.
pub(in crate::keyspace) fn parse(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let canonical = match digits {
        [b'0'] => digits.len() == text.len(),
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    let text = std::str::from_utf8(text).ok().filter(|_| canonical)?;
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn reads_what_redis_reads() {
        let good: &[(&str, i64)] = &[
            ("0", 0),
            ("-1", -1),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ];
        for (text, expected) in good {
            assert_eq!(super::parse(text.as_bytes()), Some(*expected));
        }
        for text in ["", "-", "-0", "+1", "01", " 1", "1 ", "1.0", "9223372036854775808", "\u{661}"]
        {
            assert_eq!(super::parse(text.as_bytes()), None, "{text:?}");
        }
    }
}
