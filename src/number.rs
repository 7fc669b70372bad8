//! Numbers as Prometheus spells them in JSON and in its text format.

use std::fmt::Write as _;

/// The bits of a NaN that means nothing but "not a number", as Prometheus has it.
pub const NORMAL_NAN: u64 = 0x7ff8_0000_0000_0001;

/// Appends a sample value: shortest digits that come back, an exponent only for the very small
/// and the very large, `NaN`, `+Inf`, `-Inf`.
pub fn push_value(out: &mut String, value: f64) {
    let size = value.abs();
    // Writing to a String cannot fail.
    let _ = if value.is_nan() {
        out.write_str("NaN")
    } else if value.is_infinite() {
        out.write_str(if value > 0.0 { "+Inf" } else { "-Inf" })
    } else if size != 0.0 && !(1e-6..1e21).contains(&size) {
        return push_exponential(out, value);
    } else {
        write!(out, "{value}")
    };
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
    let sign = if millis < 0 { "-" } else { "" };
    let _ = write!(out, "{sign}{}", size / 1000);
    if !size.is_multiple_of(1000) {
        let _ = write!(out, ".{:03}", size % 1000);
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
    fn times() {
        for (millis, text) in [
            (10_000, "10"),
            (10_500, "10.500"),
            (0, "0"),
            (-1, "-0.001"),
            (-1_500, "-1.500"),
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
