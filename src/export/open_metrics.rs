//! Samples in the text of OpenMetrics 1.0: `name{label="value"} 1.5 1732000000.123`.
//!
//! Types are not kept, so metrics are of the type `unknown`, which is what no `# TYPE` line means. Names
//! that only newer readers know are quoted, as Prometheus 3 spells them.

use ringwell_storage::model::{Labels, METRIC_NAME, SampleBuf, Timestamp, is_stale};

use super::Written;
use crate::number::push_value;

/// The line that says that nothing is missing.
pub(super) const END: &[u8] = b"# EOF\n";

/// A series as its lines begin.
pub(super) struct Place(String);

impl Place {
    pub(super) fn of(labels: &Labels) -> Place {
        let mut text = String::new();
        let name = labels.metric_name();
        let mut parts = Vec::new();
        if is_plain(name, true) {
            text.push_str(name);
        } else {
            parts.push(quoted(name));
        }
        for label in labels.iter().filter(|label| label.name != METRIC_NAME) {
            let plain = is_plain(label.name, false);
            let name = if plain { label.name.to_owned() } else { quoted(label.name) };
            parts.push(format!("{name}={}", quoted(label.value)));
        }
        if !parts.is_empty() {
            text.push('{');
            text.push_str(&parts.join(","));
            text.push('}');
        }
        text.push(' ');
        Place(text)
    }

    pub(super) fn push(&mut self, out: &mut String, samples: &SampleBuf, written: &mut Written) {
        for (i, (t, v)) in samples.t.iter().zip(&samples.v).enumerate() {
            if samples.h.get(i).is_some_and(Option::is_some) {
                written.histograms += 1;
            } else if is_stale(*v) {
                written.stale += 1;
            } else {
                out.push_str(&self.0);
                push_value(out, *v);
                out.push(' ');
                push_seconds(out, *t);
                out.push('\n');
                written.samples += 1;
            }
        }
    }
}

/// Milliseconds as seconds that come back exactly, whether a reader rounds or, as Prometheus does, cuts off
/// what is below a millisecond after multiplying in floats: where that would be one too few, the last place
/// of the float goes up by one.
fn push_seconds(out: &mut String, millis: Timestamp) {
    let mut text = String::new();
    crate::number::push_short_time(&mut text, millis);
    let seconds = text.parse().unwrap_or(millis as f64 / 1000.0);
    if (seconds * 1000.0) as Timestamp == millis {
        out.push_str(&text);
        return;
    }
    let away: f64 = if millis < 0 { seconds.next_down() } else { seconds.next_up() };
    out.push_str(&away.to_string());
}

/// Whether every reader takes this name without quotes.
fn is_plain(name: &str, colons: bool) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || (colons && c == ':'))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let mut samples = SampleBuf::default();
        samples.push_float(1_732_000_000_123, -0.0);
        samples.push_float(1_732_000_001_000, f64::from_bits(ringwell_storage::model::STALE_NAN));
        for (pairs, begin) in [
            (&[("__name__", "a:b")][..], "a:b "),
            (&[("__name__", "a.b")], "{\"a.b\"} "),
            (
                &[("__name__", "up"), ("a\nb", "ä"), ("l", "a\"b\\\n")],
                "up{\"a\\nb\"=\"ä\",l=\"a\\\"b\\\\\\n\"} ",
            ),
            (&[("__name__", "a.b"), ("x:y", "1")], "{\"a.b\",\"x:y\"=\"1\"} "),
        ] {
            let labels = Labels::from_pairs(pairs.iter().copied()).unwrap();
            let (mut out, mut written) = (String::new(), Written::default());
            Place::of(&labels).push(&mut out, &samples, &mut written);
            assert_eq!(out, format!("{begin}-0 1732000000.123\n"));
            assert_eq!((written.samples, written.stale), (1, 1));
        }
    }

    /// Prometheus multiplies and cuts off; others round.
    #[test]
    fn seconds_come_back_either_way() {
        let some = (0..200_000).map(|i| 1_600_000_000_000 + i * 104_729);
        for millis in some.clone().chain(0..5_000).chain(some.map(|t| -t)) {
            let mut text = String::new();
            push_seconds(&mut text, millis);
            let seconds: f64 = text.parse().unwrap();
            assert_eq!((seconds * 1000.0) as i64, millis, "{text}");
            assert_eq!((seconds * 1000.0).round() as i64, millis, "{text}");
        }
    }
}
