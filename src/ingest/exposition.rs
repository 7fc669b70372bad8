//! Prometheus's text format, with timestamps: `name{label="value"} 1.5 1732000000000`, and OpenMetrics, where
//! they are in seconds, an exemplar may follow, and the last line is `# EOF`.
//!
//! A body is taken whole or not at all: the first line that cannot be read refuses it, with line
//! and column. Samples without a timestamp get the time of arrival. `# HELP`, `# TYPE` and `# UNIT` say what
//! a metric means; other comments are passed over.

mod comment;
mod line;

use std::collections::HashMap;

use ringwell_storage::append::{Batch, Duplicates, Samples, SeriesRef, SeriesSamples};
use ringwell_storage::model::{Labels, Sample, Value};

use super::beside::Beside;
use comment::Families;
use line::Line;

/// Why a text cannot be read, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct TextError {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// What is wrong there.
    pub reason: String,
}

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Timestamps in milliseconds.
    Prometheus,
    /// Timestamps in seconds.
    OpenMetrics,
}

/// What a text holds.
#[derive(Debug, Default)]
pub struct Text {
    /// The samples.
    pub batch: Batch<'static>,
    /// What its metrics mean.
    pub beside: Beside,
}

/// Reads a whole text, samples of a series together.
pub fn read(bytes: &[u8], dialect: Dialect, now: i64) -> Result<Text, TextError> {
    let text = std::str::from_utf8(bytes).map_err(|error| not_utf8(bytes, error.valid_up_to()))?;
    let text = if dialect == Dialect::OpenMetrics { before_end(text)? } else { text };
    let mut batch = Batch { series: Vec::new(), duplicates: Duplicates::Reject };
    let mut places: HashMap<Labels, usize> = HashMap::new();
    let mut families = Families::default();
    for (number, text) in text.lines().enumerate() {
        let parsed = line::read(text, dialect).map_err(|(at, reason)| TextError {
            line: number + 1,
            column: 1 + text.get(..at).unwrap_or(text).chars().count(),
            reason,
        })?;
        let Some(Line { labels, value, t }) = parsed else {
            families.read(text);
            continue;
        };
        let sample = Sample { t: t.unwrap_or(now), start: 0, value: Value::Float(value) };
        let place = *places.entry(labels).or_insert_with_key(|labels| {
            let series = SeriesRef::Labels(labels.clone());
            batch.series.push(SeriesSamples { series, samples: Samples::new() });
            batch.series.len() - 1
        });
        if let Some(series) = batch.series.get_mut(place) {
            series.samples.push(sample);
        }
    }
    for series in &mut batch.series {
        series.samples.sort_by_key(|sample| sample.t);
    }
    Ok(Text { batch, beside: families.into_beside() })
}

/// What stands before the line that says that nothing is missing.
fn before_end(text: &str) -> Result<&str, TextError> {
    let trimmed = text.strip_suffix('\n').unwrap_or(text);
    match trimmed.strip_suffix("# EOF") {
        Some(before) if before.is_empty() || before.ends_with('\n') => Ok(before),
        _ => Err(TextError {
            line: text.lines().count().max(1),
            column: 1,
            reason: "the text does not end in # EOF: part of it is missing".to_owned(),
        }),
    }
}

fn not_utf8(bytes: &[u8], at: usize) -> TextError {
    let before = String::from_utf8_lossy(bytes.get(..at).unwrap_or_default());
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    TextError {
        line: 1 + before.matches('\n').count(),
        column: 1 + before.get(line_start..).unwrap_or_default().chars().count(),
        reason: "not UTF-8".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(batch: &Batch<'_>) -> Vec<String> {
        let mut out = Vec::new();
        for series in &batch.series {
            let SeriesRef::Labels(labels) = &series.series else { continue };
            for sample in &series.samples {
                let Value::Float(value) = sample.value else { continue };
                out.push(format!("{labels} {value} @{}", sample.t));
            }
        }
        out
    }

    #[test]
    fn every_shape_of_a_line() {
        let text = "# HELP a Some help\n# TYPE a counter\n\
            a 1\n\
            a{} 2 1000\n\
            \t a { b = \"c\" , d=\"x\\\\y\\\"z\\n\", } +Inf -5 \n\
            {\"my.metric\",\"dotted.label\"=\"v\"} NaN\r\n\
            \n   \n# EOF\n\
            h_bucket{le=\"+Inf\"} 1e3 12\n";
        let Text { batch, beside } = read(text.as_bytes(), Dialect::Prometheus, 7).unwrap();
        let [noted] = beside.metadata.as_slice() else { panic!("{beside:?}") };
        assert_eq!((noted.metric.as_str(), noted.metadata.help.as_str()), ("a", "Some help"));
        assert_eq!(
            spelled(&batch),
            [
                r#"{__name__="a"} 1 @7"#,
                r#"{__name__="a"} 2 @1000"#,
                r#"{__name__="a", b="c", d="x\\y\"z\n"} inf @-5"#,
                r#"{__name__="my.metric", "dotted.label"="v"} NaN @7"#,
                r#"{__name__="h_bucket", le="+Inf"} 1000 @12"#,
            ]
        );
    }

    #[test]
    fn open_metrics_counts_in_seconds() {
        let text = "# TYPE a counter\n# UNIT a seconds\na_total{b=\"c\"} 1 1732000000.1230001\n\
            a_total 2 1732000000.1224 # {trace_id=\"x\"} 0.5 1732000000\n\
            a_total 3 -0.001\na_total 4\na_total 5 # {} 1\na_created 6 1e3\n# EOF\n";
        let Text { batch, .. } = read(text.as_bytes(), Dialect::OpenMetrics, 7).unwrap();
        assert_eq!(
            spelled(&batch),
            [
                r#"{__name__="a_total", b="c"} 1 @1732000000123"#,
                r#"{__name__="a_total"} 3 @-1"#,
                r#"{__name__="a_total"} 4 @7"#,
                r#"{__name__="a_total"} 5 @7"#,
                r#"{__name__="a_total"} 2 @1732000000122"#,
                r#"{__name__="a_created"} 6 @1000000"#,
            ]
        );
        for (text, message) in [
            ("a 1\n", "line 1, column 1: the text does not end in # EOF: part of it is missing"),
            ("a 1 x\n# EOF", "line 1, column 5: not a timestamp in seconds: \"x\""),
            ("a 1 NaN\n# EOF", "line 1, column 5: not a timestamp in seconds: \"NaN\""),
            ("a 1 1e40\n# EOF", "line 1, column 5: not a timestamp in seconds: \"1e40\""),
            ("a 1 2 3\n# EOF", "line 1, column 7: expected the end of the line"),
        ] {
            let error = read(text.as_bytes(), Dialect::OpenMetrics, 0).unwrap_err().to_string();
            assert_eq!(error, message, "{text}");
        }
    }

    #[test]
    fn refusals_name_line_and_column() {
        let table: &[(&[u8], &str)] = &[
            (b"a 1\nb one", "line 2, column 3: not a number: \"one\""),
            (b"a", "line 1, column 2: the value is missing"),
            (b"a{b=\"c} 1", "line 1, column 5: the quoted text does not end"),
            (b"a{b=c} 1", "line 1, column 5: expected a quoted label value"),
            (b"a{b} 1", "line 1, column 4: expected = after the label's name"),
            (b"a{b=\"1\" c=\"2\"} 1", "line 1, column 9: expected , or }"),
            (b"a{b=\"1\",b=\"2\"} 1", "line 1, column 2: label name \"b\" is given twice"),
            (b"9a 1", "line 1, column 1: expected a metric name"),
            (b"{b=\"1\"} 1", "line 1, column 1: the metric name is missing"),
            (b"a 1 2.5", "line 1, column 5: not a timestamp in milliseconds: \"2.5\""),
            (b"a 1 2 3", "line 1, column 7: expected the end of the line"),
            ("ä{b=\"é\"} x".as_bytes(), "line 1, column 1: expected a metric name"),
            ("a{b=\"é\"} x".as_bytes(), "line 1, column 10: not a number: \"x\""),
            (b"a 1\nb{c=\"\xff\"} 1", "line 2, column 6: not UTF-8"),
            (b"a{b=\"\\x\"} 1", "line 1, column 6: an escape that is not known: \\x"),
        ];
        for (text, message) in table {
            let error = read(text, Dialect::Prometheus, 0).unwrap_err().to_string();
            assert_eq!(error, *message, "{}", String::from_utf8_lossy(text));
        }
    }

    /// Every prefix and every changed byte of a real text is read or refused, never a panic.
    #[test]
    fn no_damage_panics() {
        let text = "a{b=\"c\\n\\\"ä\",\"d.e\"=\"\"} +Inf -5\n{\"m.x\",f=\"g\"} 1e3\n".as_bytes();
        for end in 0..text.len() {
            let _ = read(&text[..end], Dialect::Prometheus, 0);
        }
        for at in 0..text.len() {
            for value in 0..=255 {
                let mut text = text.to_vec();
                text[at] = value;
                let _ = read(&text, Dialect::Prometheus, 0);
                let _ = read(&text, Dialect::OpenMetrics, 0);
            }
        }
    }
}
