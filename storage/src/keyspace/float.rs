//! Floats as Redis reads and spells them.

/// A score as Redis spells it: seventeen significant digits, as C's `%.17g`.
pub fn spell(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf".to_owned() } else { "-inf".to_owned() };
    }
    if value == 0.0 {
        return if value.is_sign_negative() { "-0".to_owned() } else { "0".to_owned() };
    }
    let scientific = format!("{value:.16e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..17).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trimmed(digits), exponent.abs());
    }
    let decimals = usize::try_from(16 - exponent).unwrap_or(0);
    trimmed(&format!("{value:.decimals$}")).to_owned()
}

/// A number without the zeros behind its point.
pub(super) fn trimmed(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

/// Reads a float as C's `strtod` does, the whole text and no NaN; one too large or too small is refused.
pub(super) fn parse(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    let value: f64 = text.parse().ok()?;
    let overflowed = value.is_infinite() && text.bytes().any(|byte| byte.is_ascii_digit());
    let mut digits = text.bytes().take_while(|byte| !matches!(byte, b'e' | b'E'));
    let underflowed = value == 0.0 && digits.any(|byte| matches!(byte, b'1'..=b'9'));
    (!value.is_nan() && !overflowed && !underflowed).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_redis_reads() {
        let (large, small) = ("1.7976931348623157e308", "5e-324");
        for good in ["0", "-0", "0e99", "0.0e-400", large, small, "inf", "-Infinity", "1.", ".5"] {
            assert!(parse(good.as_bytes()).is_some(), "{good}");
        }
        for bad in ["1e309", "1e-400", "-0.1e-400", "nan", "", "1e", " 1", "1x"] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn spells_as_c_does() {
        let table: &[(f64, &str)] = &[
            (1.0, "1"),
            (1.1, "1.1000000000000001"),
            (-0.5, "-0.5"),
            (3.0e17, "3e+17"),
            (1e16, "10000000000000000"),
            (1e-5, "1.0000000000000001e-05"),
            (17179869184.5, "17179869184.5"),
            (f64::NEG_INFINITY, "-inf"),
            (-0.0, "-0"),
        ];
        for (value, expected) in table {
            assert_eq!(spell(*value), *expected);
        }
    }
}
