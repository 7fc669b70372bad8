//! When an element happened: ISO 8601, seconds or milliseconds.

use super::json::Scalar;

/// The moment a member says, in milliseconds since 1970, floored.
pub(super) fn of_member(value: &Scalar<'_>) -> Option<i64> {
    match value {
        Scalar::Number(number) => of_number(*number),
        Scalar::Text(text) => of_text(text),
        Scalar::Bool(_) | Scalar::Other => None,
    }
}

/// The moment a text says.
pub(super) fn of_text(text: &str) -> Option<i64> {
    iso(text.as_bytes()).or_else(|| of_number(super::json::number(text.as_bytes())?))
}

/// The moment a number says. What unit it is in shows in its size: seconds below 1e11 (the year
/// 5138), then milliseconds, microseconds and nanoseconds.
fn of_number(number: f64) -> Option<i64> {
    let ms = match number.abs() {
        size if size < 1e11 => number * 1e3,
        size if size < 1e14 => number,
        size if size < 1e17 => number / 1e3,
        size if size < 1e20 => number / 1e6,
        _ => return None,
    };
    Some(ms.floor() as i64)
}

/// `2025-11-22T14:08:00.123456+01:00` and its shorter forms; without an offset it is UTC.
fn iso(text: &[u8]) -> Option<i64> {
    let (year, rest) = digits(text, 4)?;
    let (month, rest) = digits(rest.strip_prefix(b"-")?, 2)?;
    let (day, rest) = digits(rest.strip_prefix(b"-")?, 2)?;
    let days = days_since_1970(year, month, day)?;
    if rest.is_empty() {
        return Some(days * 86_400_000);
    }
    let [b'T' | b't' | b' ', rest @ ..] = rest else { return None };
    let (hour, rest) = digits(rest, 2)?;
    let (minute, mut rest) = digits(rest.strip_prefix(b":")?, 2)?;
    let (mut second, mut fraction) = (0, 0);
    if let Some(after) = rest.strip_prefix(b":") {
        (second, rest) = digits(after, 2)?;
    }
    if let [b'.' | b',', after @ ..] = rest {
        let len = after.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (written, after) = after.split_at_checked(len)?;
        // Milliseconds are the first three digits; more are floored away.
        let digit = |i| written.get(i).map_or(0, |byte| i64::from(byte - b'0'));
        fraction = digit(0) * 100 + digit(1) * 10 + digit(2);
        rest = if len == 0 { return None } else { after };
    }
    // A leap second is the last of its minute.
    if hour > 24 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second.min(59) - offset(rest)?;
    Some(seconds * 1000 + fraction)
}

/// Seconds that the text's clock is ahead of UTC.
fn offset(text: &[u8]) -> Option<i64> {
    let (sign, rest) = match text {
        [] | [b'Z' | b'z'] => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hours, rest) = digits(rest, 2)?;
    let rest = rest.strip_prefix(b":").unwrap_or(rest);
    let minutes =
        if rest.is_empty() { 0 } else { digits(rest, 2).filter(|(_, r)| r.is_empty())?.0 };
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

fn digits(text: &[u8], count: usize) -> Option<(i64, &[u8])> {
    let (digits, rest) = text.split_at_checked(count)?;
    let value = digits.iter().try_fold(0, |value, byte| {
        byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0'))
    })?;
    Some((value, rest))
}

/// Days of the Gregorian calendar, counted in years that begin in March so that the leap day is
/// the last.
fn days_since_1970(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_clients_write() {
        let table: &[(&str, Option<i64>)] = &[
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2024-02-29T12:34:56.789Z", Some(1_709_210_096_789)),
            ("2024-02-29T12:34:56.789999+00:00", Some(1_709_210_096_789)),
            ("2024-02-29T13:34:56+01:00", Some(1_709_210_096_000)),
            ("2024-02-29T13:34:56+0100", Some(1_709_210_096_000)),
            ("2024-02-29 12:34:56", Some(1_709_210_096_000)),
            ("2024-02-29T12:34", Some(1_709_210_040_000)),
            ("2024-02-29", Some(1_709_164_800_000)),
            ("1969-12-31T23:59:59.999Z", Some(-1)),
            ("1709210096", Some(1_709_210_096_000)),
            ("1709210096.7899", Some(1_709_210_096_789)),
            ("1709210096789", Some(1_709_210_096_789)),
            ("1709210096789123", Some(1_709_210_096_789)),
            ("2023-02-29", None),
            ("2024-13-01", None),
            ("2024-02-29T25:00:00Z", None),
            ("2024-02-29T12:34:56+1", None),
            ("yesterday", None),
            ("", None),
            ("2024-02-29Tää", None),
        ];
        for (text, expected) in table {
            assert_eq!(of_text(text), *expected, "{text}");
        }
    }
}
