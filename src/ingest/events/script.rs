//! Values as the seed's language, JavaScript, reads and spells them: agents compare what the node
//! writes with what their own code wrote before.

use serde_json::Value;

/// A JSON scalar; arrays and objects are none, and `null` is one.
pub(super) fn is_scalar(value: &Value) -> bool {
    !value.is_array() && !value.is_object()
}

/// A scalar as `JSON.stringify` writes it.
pub(super) fn json(value: &Value) -> String {
    match value {
        Value::Number(number) => number.as_f64().map_or_else(|| "null".to_owned(), json_number),
        value => value.to_string(),
    }
}

/// A scalar as `String(value)` gives it.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => json(value),
    }
}

/// A number in JSON: what is not finite is `null`.
pub(super) fn json_number(value: f64) -> String {
    if value.is_finite() { number(value) } else { "null".to_owned() }
}

/// A number as `String(value)` gives it: the shortest digits that come back; an exponent from 1e21
/// on and below 1e-6.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
    } else if size == 0.0 {
        "0".to_owned()
    } else if (1e-6..1e21).contains(&size) {
        value.to_string()
    } else {
        let text = format!("{value:e}");
        match text.split_once('e') {
            Some((digits, exponent)) if !exponent.starts_with('-') => {
                format!("{digits}e+{exponent}")
            }
            _ => text,
        }
    }
}

/// `parseFloat(text)`: the number that the text begins with, or NaN.
pub(super) fn parse_float(text: &str) -> f64 {
    let text = text.trim_start();
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let sign = text.len() - unsigned.len();
    if unsigned.starts_with("Infinity") {
        return if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    let digits = |from: usize| {
        let rest = text.get(from..).unwrap_or_default();
        rest.bytes().take_while(u8::is_ascii_digit).count()
    };
    let mut end = sign + digits(sign);
    if text.get(end..).is_some_and(|rest| rest.starts_with('.')) {
        end += 1 + digits(end + 1);
    }
    if let Some(rest) = text.get(end..).and_then(|rest| rest.strip_prefix(['e', 'E'])) {
        let sign = usize::from(rest.starts_with(['+', '-']));
        let exponent = digits(end + 1 + sign);
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    text.get(..end).and_then(|number| number.parse().ok()).unwrap_or(f64::NAN)
}

/// `parseInt(text)` of a decimal number: the whole number that the text begins with, or NaN.
pub(super) fn parse_int(text: &str) -> f64 {
    let text = text.trim_start();
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = unsigned.bytes().take_while(u8::is_ascii_digit).count();
    let end = text.len() - unsigned.len() + digits;
    match text.get(..end).filter(|_| digits > 0) {
        Some(number) => number.parse().unwrap_or(f64::NAN),
        None => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_as_the_seed_spells_them() {
        for (text, spelled) in [
            ("0.50", "0.5"),
            ("1e1", "10"),
            ("-0", "0"),
            ("12.0", "12"),
            ("1e21", "1e+21"),
            ("123456789012345680000", "123456789012345680000"),
            ("0.000001", "0.000001"),
            ("1.5e-7", "1.5e-7"),
            ("9007199254740993", "9007199254740992"),
            ("null", "null"),
            ("true", "true"),
            (r#""\u00fc\u0007\/\n""#, "\"\u{fc}\\u0007/\\n\""),
        ] {
            assert_eq!(json(&serde_json::from_str(text).unwrap()), spelled, "{text}");
        }
        assert_eq!(json_number(f64::NAN), "null");
        assert_eq!(number(f64::NEG_INFINITY), "-Infinity");
    }

    #[test]
    fn numbers_that_texts_begin_with() {
        for (text, float, int) in [
            ("12", 12.0, 12.0),
            (" -1.5e2x", -150.0, -1.0),
            ("3.e", 3.0, 3.0),
            (".5", 0.5, f64::NAN),
            ("1e", 1.0, 1.0),
            ("-Infinity", f64::NEG_INFINITY, f64::NAN),
            ("", f64::NAN, f64::NAN),
            ("Field 'x' not found", f64::NAN, f64::NAN),
        ] {
            assert!(parse_float(text) == float || float.is_nan() && parse_float(text).is_nan());
            assert!(parse_int(text) == int || int.is_nan() && parse_int(text).is_nan(), "{text}");
        }
    }
}
