//! Durations as Prometheus writes them: `1h30m`, units from years to milliseconds, each once, in
//! descending order.

const UNITS: &[(&str, i64)] = &[
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Parses a duration to milliseconds.
pub fn parse(text: &str) -> Result<i64, String> {
    let fault = || format!("not a valid duration string: {text:?}");
    if text == "0" {
        return Ok(0);
    }
    if text.is_empty() {
        return Err("empty duration string".to_owned());
    }
    let (mut rest, mut total, mut next_unit) = (text, 0_i64, 0);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let letters = after.bytes().take_while(u8::is_ascii_lowercase).count();
        let (unit, after) = after.split_at(letters);
        let number: i64 = number.parse().map_err(|_| fault())?;
        let at = UNITS.iter().position(|u| u.0 == unit).ok_or_else(fault)?;
        if at < next_unit {
            return Err(fault());
        }
        let millis = UNITS.get(at).map_or(0, |u| u.1);
        let part = number.checked_mul(millis).and_then(|part| total.checked_add(part));
        total = part.ok_or_else(|| "duration out of range".to_owned())?;
        next_unit = at + 1;
        rest = after;
    }
    Ok(total)
}

/// Whether a text is a fraction of a unit, as `1.5h`.
pub(crate) fn is_fraction(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number = text.get(..text.len() - unit.len()).unwrap_or("");
    let parts = number.split_once('.');
    UNITS.iter().any(|u| u.0 == unit) && parts.is_some_and(|(a, b)| digits(a) && digits(b))
}

/// Whether a text is a duration but for the order of its units, or for its size.
pub(crate) fn looks_like_one(text: &str) -> bool {
    let unit = |text: &str| UNITS.iter().any(|u| u.0 == text);
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let letters = rest.bytes().skip(digits).take_while(u8::is_ascii_lowercase).count();
        if digits == 0 || !unit(rest.get(digits..digits + letters).unwrap_or("")) {
            return false;
        }
        rest = rest.get(digits + letters..).unwrap_or("");
    }
    true
}

/// The shortest text that parses to this duration.
pub(crate) fn format(millis: i64) -> String {
    if millis == 0 {
        return "0s".to_owned();
    }
    let mut out = String::new();
    let mut rest = millis.unsigned_abs();
    if millis < 0 {
        out.push('-');
    }
    for &(unit, size) in UNITS {
        let size = size.unsigned_abs();
        // Only whole years, weeks and days, so that 8 days stay 8d and not 1w1d.
        let whole_only = matches!(unit, "y" | "w" | "d");
        if rest >= size && (!whole_only || rest.is_multiple_of(size)) {
            out.push_str(&format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_print() {
        for (text, millis) in [("1h30m", 5_400_000), ("1y", 31_536_000_000), ("10ms", 10)] {
            assert_eq!(parse(text), Ok(millis));
            assert_eq!(format(millis), text);
        }
        for bad in ["", "1", "m", "1m1h", "1m2m", "1.5h", "-1s", "99999999999999999999y"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(parse("9999999999999y").is_err());
    }
}
