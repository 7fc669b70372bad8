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

/// Reads a float as C's `strtod` does, the whole text and no NaN.
pub(super) fn parse(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    let value: f64 = text.parse().ok()?;
    let overflowed = value.is_infinite() && text.bytes().any(|byte| byte.is_ascii_digit());
    (!value.is_nan() && !overflowed).then_some(value)
}

/// The sum of two decimal numbers as INCRBYFLOAT answers it: up to seventeen decimals, none of
/// them a rounding error. `None` if it is no finite number.
pub(super) fn sum(a: &[u8], b: &[u8]) -> Option<String> {
    if let (Some(x), Some(y)) = (decimal(a), decimal(b))
        && let Some(total) = x.checked_add(y)
    {
        let (sign, size) = (if total < 0 { "-" } else { "" }, total.unsigned_abs());
        let text = format!("{sign}{}.{:017}", size / SCALE as u128, size % SCALE as u128);
        return Some(trimmed(&text).to_owned());
    }
    let total = parse(a)? + parse(b)?;
    total.is_finite().then(|| trimmed(&format!("{total:.17}")).to_owned())
}

const SCALE: i128 = 100_000_000_000_000_000;

/// A plain decimal number in units of 1e-17, if it fits.
fn decimal(text: &[u8]) -> Option<i128> {
    let text = std::str::from_utf8(text).ok()?;
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, digits) = match number.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.len() + part.len() == 0
        || !(whole.bytes().chain(part.bytes())).all(|b| b.is_ascii_digit())
    {
        return None;
    }
    let units: i128 = format!("{whole}{part}").parse().ok()?;
    let shift = 17 - i32::try_from(part.len()).ok()? + exponent;
    let size = if shift >= 0 {
        units.checked_mul(10_i128.checked_pow(shift.unsigned_abs())?)?
    } else {
        // More decimals than are answered: only if they are zeros is nothing lost.
        let divisor = 10_i128.checked_pow(shift.unsigned_abs())?;
        (units % divisor == 0).then_some(units / divisor)?
    };
    Some(if negative { -size } else { size })
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn sums_are_decimal() {
        let table: &[(&str, &str, Option<&str>)] = &[
            ("3.0", "1.1", Some("4.1")),
            ("1", "-1.1", Some("-0.1")),
            ("17179869184", "1.5", Some("17179869185.5")),
            ("5.0e3", "200", Some("5200")),
            ("1e30", "0", Some("1000000000000000019884624838656")),
            ("0", "inf", None),
        ];
        for (a, b, expected) in table {
            assert_eq!(sum(a.as_bytes(), b.as_bytes()).as_deref(), *expected);
        }
    }
}
