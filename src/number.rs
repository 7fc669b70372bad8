//! Numbers as Prometheus spells them in JSON and in its text format.

use std::fmt::Write as _;

/// The bits of a NaN that means nothing but "not a number", as Prometheus has it.
pub const NORMAL_NAN: u64 = 0x7ff8_0000_0000_0001;

/// Appends a sample value: shortest digits that come back, an exponent only for the very small
/// and the very large, `NaN`, `+Inf`, `-Inf`.
pub fn push_value(out: &mut String, value: f64) {
    let size = value.abs();
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    } else if size < WHOLE && size.fract() == 0.0 {
        out.push_str(if value.is_sign_negative() { "-" } else { "" });
        push_digits(out, size as u64);
    } else if size != 0.0 && !(1e-6..1e21).contains(&size) {
        push_exponential(out, value);
    } else {
        push_decimal(out, value);
    }
}

/// Below this a float that is whole is an integer of as many digits.
const WHOLE: f64 = 9_007_199_254_740_992.0;

/// Answers are mostly numbers, so they are not formatted by the general machinery.
fn push_decimal(out: &mut String, value: f64) {
    if !(1e-5..1e16).contains(&value.abs()) {
        // There zmij writes an exponent. Writing to a String cannot fail.
        let _ = write!(out, "{value}");
        return;
    }
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value);
    out.push_str(text.strip_suffix(".0").unwrap_or(text));
}

fn push_digits(out: &mut String, number: u64) {
    out.push_str(itoa::Buffer::new().format(number));
}

/// `1e-07`: at least two digits of exponent, always a sign.
fn push_exponential(out: &mut String, value: f64) {
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    let _ = write!(out, "{digits}e{sign}{exponent:0>2}");
}

/// Appends milliseconds as seconds: `10`, `10.500`, `-0.001`.
pub fn push_time(out: &mut String, millis: i64) {
    let size = millis.unsigned_abs();
    out.push_str(if millis < 0 { "-" } else { "" });
    push_digits(out, size / 1000);
    let rest = size % 1000;
    if rest != 0 {
        out.push('.');
        out.push_str(if rest < 100 { "0" } else { "" });
        out.push_str(if rest < 10 { "0" } else { "" });
        push_digits(out, rest);
    }
}

/// The same as the JSON of scalars and strings has it, without idle zeros: `10`, `10.5`.
pub fn push_short_time(out: &mut String, millis: i64) {
    push_time(out, millis);
    if millis % 1000 != 0 {
        out.truncate(out.trim_end_matches('0').len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        let table: &[(f64, &str)] = &[
            (1.0, "1"),
            (-0.0, "-0"),
            (0.1, "0.1"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (-1.5e300, "-1.5e+300"),
            (1e-6, "0.000001"),
            (9.99e-6, "0.00000999"),
            (1e-5, "0.00001"),
            (9.5e15 + 0.5, "9500000000000000"),
            (-1e16, "-10000000000000000"),
            (12_345_678_901_234_567_890.0, "12345678901234567000"),
            (1e-7, "1e-07"),
            (5e-324, "5e-324"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (1_732_000_000.123, "1732000000.123"),
        ];
        for (value, text) in table {
            let mut out = String::new();
            push_value(&mut out, *value);
            assert_eq!(out, *text);
        }
    }

    #[test]
    fn every_float_comes_back_and_is_spelled_as_short_as_can_be() {
        let mut random = 1_u64;
        for i in 0..20_000_u64 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
            let value = match i % 4 {
                0 => f64::from_bits(random),
                1 => (random >> 40) as f64 / 100.0,
                2 => (random >> 11) as f64,
                _ => (random >> 30) as f64 * 1e-13,
            };
            let mut out = String::new();
            push_value(&mut out, value);
            if value.is_finite() {
                assert_eq!(out.parse::<f64>().unwrap().to_bits(), value.to_bits(), "{out}");
                if (1e-6..1e21).contains(&value.abs()) {
                    // Where two are as short and as near, they may differ in the last digit.
                    assert_eq!(out.len(), format!("{value}").len(), "{out} {value}");
                }
            }
        }
    }

    #[test]
    fn times() {
        for (millis, text) in [
            (10_000, "10"),
            (10_500, "10.500"),
            (0, "0"),
            (-1, "-0.001"),
            (-1_500, "-1.500"),
            (7, "0.007"),
            (1_760_000_000_045, "1760000000.045"),
            (i64::MIN, "-9223372036854775.808"),
        ] {
            let mut out = String::new();
            push_time(&mut out, millis);
            assert_eq!(out, text);
            let mut short = String::new();
            push_short_time(&mut short, millis);
            let trimmed = if text.contains('.') { text.trim_end_matches('0') } else { text };
            assert_eq!(short, trimmed);
        }
    }
}
