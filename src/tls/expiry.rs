//! When a certificate ends, read from its DER; nothing else of it is.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The last second in which a certificate holds, since 1970; `None` if that cannot be read.
pub(super) fn not_after(certificate: &[u8]) -> Option<i64> {
    let (_, certificate, _) = part(certificate, SEQUENCE)?;
    let (_, mut fields, _) = part(certificate, SEQUENCE)?;
    // Version (which may be left out), serial number, algorithm, issuer, and then how long it holds.
    if fields.first() == Some(&VERSION) {
        fields = any(fields)?.2;
    }
    for _ in 0..3 {
        fields = any(fields)?.2;
    }
    let (_, times, _) = part(fields, SEQUENCE)?;
    let (_, _, after) = any(times)?;
    let (tag, text, _) = any(after)?;
    seconds(tag, std::str::from_utf8(text).ok()?)
}

/// Seconds since 1970 of `[YY]YYMMDDHHMMSSZ`.
fn seconds(tag: u8, text: &str) -> Option<i64> {
    let digits =
        text.strip_suffix('Z').filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
    let (year, rest): (i16, &str) = match tag {
        UTC_TIME => {
            let (year, rest) = digits.split_at_checked(2)?;
            let year: i16 = year.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = digits.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let two = |at: usize| rest.get(at..at + 2)?.parse::<i8>().ok();
    let time = DateTime::new(year, two(0)?, two(2)?, two(4)?, two(6)?, two(8)?, 0).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second())
}

fn part(bytes: &[u8], wanted: u8) -> Option<(u8, &[u8], &[u8])> {
    any(bytes).filter(|(tag, ..)| *tag == wanted)
}

/// A value's tag, its content, and what follows.
fn any(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, bytes) = bytes.split_first()?;
    let (&first, bytes) = bytes.split_first()?;
    let (length, bytes) = match first {
        0..=0x7f => (usize::from(first), bytes),
        0x81..=0x84 => {
            let (length, rest) = bytes.split_at_checked(usize::from(first & 0x7f))?;
            (length.iter().fold(0, |all, byte| all << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = bytes.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (tag, text, wanted) in [
            (UTC_TIME, "491231235959Z", Some(2_524_607_999)),
            (UTC_TIME, "500101000000Z", Some(-631_152_000)),
            (GENERALIZED_TIME, "20500101000000Z", Some(2_524_608_000)),
            // Which stands for no end at all.
            (GENERALIZED_TIME, "99991231235959Z", None),
            (UTC_TIME, "261301000000Z", None),
            (UTC_TIME, "2601010000Z", None),
            (UTC_TIME, "260101000000", None),
            (UTC_TIME, "+60101000000Z", None),
            (0x0c, "260101000000Z", None),
        ] {
            assert_eq!(seconds(tag, text), wanted, "{text}");
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_end() {
        let whole = [
            0x30, 0x1b, 0x30, 0x19, 0x02, 0x01, 0x01, 0x30, 0x00, 0x30, 0x00, 0x30, 0x10, 0x17,
            0x00, 0x18, 0x0f,
        ];
        let whole: Vec<u8> = whole.into_iter().chain(*b"20500101000000Z").collect();
        let whole = {
            // Lengths that fit what stands there.
            let mut whole = whole;
            let rest = u8::try_from(whole.len()).unwrap();
            (whole[1], whole[3], whole[12]) = (rest - 2, rest - 4, rest - 13);
            whole
        };
        assert_eq!(not_after(&whole), Some(2_524_608_000));
        for length in 0..whole.len() {
            assert_eq!(not_after(&whole[..length]), None);
        }
        for at in 0..whole.len() {
            for byte in 0..=255 {
                let mut other = whole.clone();
                other[at] = byte;
                let _ = not_after(&other);
            }
        }
    }
}
