//! Elements of lists as agents write them: JSON without spaces, numbers as JavaScript spells them. Pure.
//!
//! `{"agent":"a","duration":12.5,"timestamp":"2026-11-27T10:00:00.000Z"}`: members of labels, numbers by name, the
//! time. What is read back is only what this file writes.

use std::fmt::Write as _;
use std::sync::Arc;

/// How elements tell the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Time {
    /// A text, as `toISOString` writes it.
    Iso,
    /// Milliseconds since 1970.
    Millis,
    /// Seconds since 1970, with a fraction.
    Seconds,
}

impl Time {
    /// Whether a moment can be told: as a text of years with four digits.
    pub(super) fn tells(self, t: i64) -> bool {
        self != Time::Iso || (t >= FIRST && jiff::Timestamp::from_millisecond(t).is_ok())
    }
}

/// The first moment of the year 0, in milliseconds since 1970.
const FIRST: i64 = -62_167_219_200_000;

/// What an element says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Element {
    pub(super) t: i64,
    /// The members of labels, spelled.
    pub(super) labels: Arc<str>,
    /// Numbers by the name of their member, spelled, in its order.
    pub(super) fields: Vec<(Arc<str>, f64)>,
}

/// Appends a number that is finite.
pub(super) fn push_number(out: &mut String, value: f64) {
    let size = value.abs();
    if size == 0.0 || (1e-6..1e21).contains(&size) {
        crate::number::push_value(out, value);
        return;
    }
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((digits, exponent)) if !exponent.starts_with('-') => {
            // Writing to a String cannot fail.
            let _ = write!(out, "{digits}e+{exponent}");
        }
        _ => out.push_str(&text),
    }
}

/// A text as it stands between quotes.
pub(super) fn inside(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned()
}

/// Appends a label's member.
pub(super) fn push_label(out: &mut String, name: &str, value: &str) {
    let _ = write!(out, "\"{}\":\"{}\",", inside(name), inside(value));
}

impl Element {
    /// As it is written.
    pub(super) fn spelled(&self, time: Time) -> String {
        let mut out = String::with_capacity(64 + self.labels.len());
        out.push('{');
        out.push_str(&self.labels);
        for (member, value) in &self.fields {
            let _ = write!(out, "\"{member}\":");
            push_number(&mut out, *value);
            out.push(',');
        }
        out.push_str("\"timestamp\":");
        match time {
            Time::Iso => {
                let moment = jiff::Timestamp::from_millisecond(self.t).unwrap_or_default();
                let _ = write!(out, "\"{}\"", moment.strftime("%Y-%m-%dT%H:%M:%S.%3fZ"));
            }
            Time::Millis => {
                let _ = write!(out, "{}", self.t);
            }
            Time::Seconds => crate::number::push_short_time(&mut out, self.t),
        }
        out.push('}');
        out
    }

    /// What is written; `None` if it was not written so.
    pub(super) fn read(text: &[u8], time: Time) -> Option<Element> {
        let text = std::str::from_utf8(text).ok()?;
        let mut rest = text.strip_prefix('{')?;
        let (mut labels, mut fields) = (String::new(), Vec::new());
        loop {
            let (name, after) = quoted(rest)?;
            let after = after.strip_prefix(':')?;
            if name == "timestamp" {
                let t = read_time(after.strip_suffix('}')?, time)?;
                let element = Element { t, labels: labels.into(), fields };
                return (element.spelled(time) == text).then_some(element);
            }
            let end = if after.starts_with('"') {
                let (_, behind) = quoted(after)?;
                let end = rest.len() - behind.strip_prefix(',')?.len();
                labels.push_str(rest.get(..end)?);
                end
            } else {
                let (number, behind) = after.split_once(',')?;
                fields.push((Arc::from(name), number.parse().ok()?));
                rest.len() - behind.len()
            };
            rest = rest.get(end..)?;
        }
    }
}

/// What stands between the quotes at the start, as it is spelled, and what follows them.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let text = text.strip_prefix('"')?;
    let mut escaped = false;
    let end = text.bytes().position(|byte| match byte {
        b'"' if !escaped => true,
        byte => {
            escaped = byte == b'\\' && !escaped;
            false
        }
    })?;
    Some((text.get(..end)?, text.get(end + 1..)?))
}

fn read_time(text: &str, time: Time) -> Option<i64> {
    match time {
        Time::Iso => {
            let (moment, "") = quoted(text)? else { return None };
            Some(moment.parse::<jiff::Timestamp>().ok()?.as_millisecond())
        }
        Time::Millis => text.parse().ok(),
        // Digit by digit: a double has not all milliseconds.
        Time::Seconds => {
            let size = text.strip_prefix('-').unwrap_or(text);
            let (whole, part) = size.split_once('.').unwrap_or((size, ""));
            let digits = format!("{whole}{part:0<3}").parse::<i128>().ok()?;
            let t = if size.len() < text.len() { -digits } else { digits };
            i64::try_from(t).ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As far as moments of the calendar go, in any zone.
    const LAST: i64 = 253_402_207_200_000;

    #[test]
    fn numbers_are_spelled_as_javascript_does() {
        for (value, text) in [
            (0.0, "0"),
            (87.5, "87.5"),
            (40_960.0, "40960"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (1.5e-9, "1.5e-9"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (-1.25e300, "-1.25e+300"),
            (5e-324, "5e-324"),
            (9_007_199_254_740_993.0, "9007199254740992"),
        ] {
            let mut out = String::new();
            push_number(&mut out, value);
            assert_eq!(out, text);
        }
    }

    #[test]
    fn elements_are_spelled_as_the_seed_has_them() {
        let t = 1_795_774_972_123;
        let one = |labels: &str, fields: &[(&str, f64)]| Element {
            t,
            labels: labels.into(),
            fields: fields.iter().map(|(name, value)| (Arc::from(*name), *value)).collect(),
        };
        let gpu = one("", &[("value", 87.0)]);
        let iso = r#"{"value":87,"timestamp":"2026-11-27T10:22:52.123Z"}"#;
        assert_eq!(gpu.spelled(Time::Iso), iso);
        assert_eq!(gpu.spelled(Time::Millis), r#"{"value":87,"timestamp":1795774972123}"#);
        assert_eq!(gpu.spelled(Time::Seconds), r#"{"value":87,"timestamp":1795774972.123}"#);
        let loss = one("", &[("step", 1200.0), ("value", 0.4321)]);
        let text = r#"{"step":1200,"value":0.4321,"timestamp":"2026-11-27T10:22:52.123Z"}"#;
        assert_eq!(loss.spelled(Time::Iso), text);
        let task = one("\"agent\":\"a \\\"b\\\"\",", &[("duration", 12.5)]);
        let text = r#"{"agent":"a \"b\"","duration":12.5,"timestamp":"2026-11-27T10:22:52.123Z"}"#;
        assert_eq!(task.spelled(Time::Iso), text);
        assert_eq!(Element::read(text.as_bytes(), Time::Iso), Some(task));
    }

    #[test]
    fn a_text_tells_years_of_four_digits() {
        let told = |t| Element { t, labels: "".into(), fields: Vec::new() }.spelled(Time::Iso);
        for (t, text) in [(FIRST, "0000-01-01T00:00:00.000Z"), (LAST, "9999-12-30T22:00:00.000Z")] {
            assert!(Time::Iso.tells(t));
            assert_eq!(told(t), format!(r#"{{"timestamp":"{text}"}}"#));
        }
        assert!(!Time::Iso.tells(FIRST - 1) && !Time::Iso.tells(LAST + 1));
        assert!(Time::Millis.tells(i64::MIN) && Time::Seconds.tells(i64::MAX));
    }

    #[test]
    fn what_is_not_written_so_is_not_read() {
        for other in [
            "",
            "{}",
            "12",
            r#"{"value":87}"#,
            r#"{"value": 87,"timestamp":1}"#,
            r#"{"value":87.0,"timestamp":1}"#,
            r#"{"value":true,"timestamp":1}"#,
            r#"{"timestamp":1,"value":87}"#,
            r#"{"value":87,"timestamp":"1"}"#,
            r#"{"value":87,"timestamp":1}}"#,
        ] {
            assert_eq!(Element::read(other.as_bytes(), Time::Millis), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn what_is_spelled_is_read(
            t in prop_oneof![any::<i64>(), FIRST..=LAST],
            labels in prop::collection::vec(("[a-z]{1,4}", any::<String>()), 0..3),
            values in prop::collection::btree_map("[a-z]{1,5}", any::<f64>(), 1..4),
            time in prop::sample::select(vec![Time::Iso, Time::Millis, Time::Seconds]),
        ) {
            prop_assume!(time.tells(t));
            let mut before = String::new();
            for (name, value) in &labels {
                push_label(&mut before, name, value);
            }
            let finite = values.into_iter().filter(|(name, value)| value.is_finite() && name != "timestamp");
            let fields = finite.map(|(name, value)| (Arc::from(inside(&name)), value)).collect();
            let element = Element { t, labels: before.into(), fields };
            let text = element.spelled(time);
            let json: serde_json::Value = serde_json::from_str(&text).unwrap();
            prop_assert!(json.is_object());
            prop_assert_eq!(Element::read(text.as_bytes(), time), Some(element));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = Element::read(&bytes, Time::Iso);
        }
    }
}
