//! Query answers in Prometheus's JSON, written straight into a string.

use std::fmt::Write as _;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use ringwell_query::{Answer, AnswerValue, MatrixSeries, VectorSample};
use ringwell_storage::model::{Histogram, Labels, Value};

use crate::number::{push_short_time, push_time, push_value};

/// No more warnings and infos than this are listed, each.
const MAX_NOTES: usize = 10;

/// A success: `data` is JSON already.
pub(super) fn success(data: &str, warnings: &[String], infos: &[String]) -> Response {
    successful(|out| out.push_str(data), warnings, infos)
}

/// A success, its data written in place.
fn successful(data: impl FnOnce(&mut String), warnings: &[String], infos: &[String]) -> Response {
    let mut out = String::from("{\"status\":\"success\",\"data\":");
    data(&mut out);
    push_notes(&mut out, "warnings", "warning", warnings);
    push_notes(&mut out, "infos", "info", infos);
    out.push('}');
    ([(header::CONTENT_TYPE, "application/json")], out).into_response()
}

fn push_notes(out: &mut String, key: &str, word: &str, notes: &[String]) {
    if notes.is_empty() {
        return;
    }
    let _ = write!(out, ",\"{key}\":[");
    for (i, note) in notes.iter().take(MAX_NOTES).enumerate() {
        separate(out, i);
        push_string(out, note);
    }
    if notes.len() > MAX_NOTES {
        let more = notes.len() - MAX_NOTES;
        let _ = write!(out, ",\"{more} more {word} annotations omitted\"");
    }
    out.push(']');
}

/// A query's answer; `stats` is JSON to put beside it.
pub(super) fn answered(answer: &Answer, stats: Option<&str>) -> Response {
    let data = |out: &mut String| push_answer(out, answer, stats);
    successful(data, &answer.warnings, &answer.infos)
}

/// The `data` of a query's answer.
pub(super) fn answer(answer: &Answer) -> String {
    let mut out = String::new();
    push_answer(&mut out, answer, None);
    out
}

fn push_answer(out: &mut String, answer: &Answer, stats: Option<&str>) {
    /// About what labels take, and a sample with its time.
    const LABELS: usize = 100;
    const SAMPLE: usize = 40;
    let (name, size) = match &answer.value {
        AnswerValue::Scalar { .. } => ("scalar", SAMPLE),
        AnswerValue::String { .. } => ("string", SAMPLE),
        AnswerValue::Vector(samples) => ("vector", samples.len() * (LABELS + SAMPLE)),
        AnswerValue::Matrix(series) => {
            let points: usize = series.iter().map(|series| series.floats.len()).sum();
            ("matrix", series.len() * LABELS + points * SAMPLE)
        }
    };
    out.reserve(size + 128);
    let _ = write!(out, "{{\"resultType\":\"{name}\",\"result\":[");
    match &answer.value {
        AnswerValue::Scalar { t, v } => {
            push_short_time(out, *t);
            out.push_str(",\"");
            push_value(out, *v);
            out.push('"');
        }
        AnswerValue::String { t, s } => {
            push_short_time(out, *t);
            out.push(',');
            push_string(out, s);
        }
        AnswerValue::Vector(samples) => {
            for (i, sample) in samples.iter().enumerate() {
                separate(out, i);
                push_vector_sample(out, sample);
            }
        }
        AnswerValue::Matrix(series) => {
            for (i, series) in series.iter().enumerate() {
                separate(out, i);
                push_matrix_series(out, series);
            }
        }
    }
    out.push(']');
    if let Some(stats) = stats {
        out.push_str(",\"stats\":");
        out.push_str(stats);
    }
    out.push('}');
}

fn push_vector_sample(out: &mut String, sample: &VectorSample) {
    out.push_str("{\"metric\":");
    push_labels(out, &sample.labels);
    match &sample.value {
        Value::Float(v) => {
            out.push_str(",\"value\":[");
            push_pair(out, sample.t, |out| push_value(out, *v));
        }
        Value::Histogram(histogram) => {
            out.push_str(",\"histogram\":[");
            push_histogram_pair(out, sample.t, histogram);
        }
    }
    out.push_str("]}");
}

fn push_matrix_series(out: &mut String, series: &MatrixSeries) {
    out.push_str("{\"metric\":");
    push_labels(out, &series.labels);
    if !series.floats.is_empty() {
        out.push_str(",\"values\":[");
        for (i, (t, v)) in series.floats.iter().enumerate() {
            separate(out, i);
            out.push('[');
            push_pair(out, *t, |out| push_value(out, *v));
            out.push(']');
        }
        out.push(']');
    }
    if !series.histograms.is_empty() {
        out.push_str(",\"histograms\":[");
        for (i, (t, histogram)) in series.histograms.iter().enumerate() {
            separate(out, i);
            out.push('[');
            push_histogram_pair(out, *t, histogram);
            out.push(']');
        }
        out.push(']');
    }
    out.push('}');
}

/// `1732000000.123,"1.5"`: without the brackets.
fn push_pair(out: &mut String, t: i64, value: impl FnOnce(&mut String)) {
    push_time(out, t);
    out.push_str(",\"");
    value(out);
    out.push('"');
}

fn push_histogram_pair(out: &mut String, t: i64, histogram: &Histogram) {
    push_time(out, t);
    out.push(',');
    push_histogram(out, histogram);
}

fn push_histogram(out: &mut String, histogram: &Histogram) {
    use ringwell_storage::model::Counts;
    let count = match &histogram.counts {
        Counts::Integer { count, .. } => *count as f64,
        Counts::Float { count, .. } => *count,
    };
    out.push_str("{\"count\":\"");
    push_value(out, count);
    out.push_str("\",\"sum\":\"");
    push_value(out, histogram.sum);
    out.push('"');
    let mut first = true;
    for bucket in histogram.buckets().iter().filter(|bucket| bucket.count != 0.0) {
        out.push_str(if first { ",\"buckets\":[" } else { "," });
        first = false;
        // 0: (lower, upper], 1: [lower, upper), 2: both open, 3: both closed.
        let rule = match (bucket.lower_inclusive, bucket.upper_inclusive) {
            (false, true) => 0,
            (true, false) => 1,
            (false, false) => 2,
            (true, true) => 3,
        };
        let _ = write!(out, "[{rule}");
        for value in [bucket.lower, bucket.upper, bucket.count] {
            out.push_str(",\"");
            push_value(out, value);
            out.push('"');
        }
        out.push(']');
    }
    out.push_str(if first { "}" } else { "]}" });
}

/// Labels as an object, keys in order.
pub(super) fn push_labels(out: &mut String, labels: &Labels) {
    out.push('{');
    for (i, label) in labels.iter().enumerate() {
        separate(out, i);
        push_string(out, label.name);
        out.push(':');
        push_string(out, label.value);
    }
    out.push('}');
}

/// An array of strings.
pub(super) fn strings(texts: &[String]) -> String {
    let mut out = String::from("[");
    for (i, text) in texts.iter().enumerate() {
        separate(&mut out, i);
        push_string(&mut out, text);
    }
    out.push(']');
    out
}

pub(super) fn separate(out: &mut String, index: usize) {
    if index > 0 {
        out.push(',');
    }
}

/// A string with what JSON wants escaped, and `<`, `>`, `&` as Prometheus escapes them.
pub(super) fn push_string(out: &mut String, text: &str) {
    out.push('"');
    if text.bytes().all(is_plain) {
        out.push_str(text);
    } else {
        push_escaped(out, text);
    }
    out.push('"');
}

/// Whether a byte stands for itself; the line separators begin with `0xe2`, as other characters do.
fn is_plain(byte: u8) -> bool {
    byte >= 0x20 && !matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&' | 0xe2)
}

fn push_escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{0}'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringwell_storage::model::{CounterReset, Counts, Schema, Span};
    use std::sync::Arc;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::from_pairs(pairs.iter().copied()).unwrap()
    }

    fn text(value: AnswerValue) -> String {
        answer(&Answer {
            value,
            warnings: vec![],
            infos: vec![],
            stats: Default::default(),
            operators: vec![],
        })
    }

    fn histogram() -> Arc<Histogram> {
        Arc::new(Histogram {
            reset: CounterReset::Gauge,
            schema: Schema::Exponential(0),
            zero_threshold: 0.001,
            sum: 18.4,
            positive_spans: vec![Span { offset: 0, length: 3 }],
            negative_spans: vec![Span { offset: 0, length: 1 }],
            custom_values: Arc::from([]),
            counts: Counts::Float {
                count: 6.5,
                zero: 2.0,
                positive: vec![1.0, 0.0, 1.5],
                negative: vec![2.0],
            },
        })
    }

    #[test]
    fn every_type_of_answer() {
        assert_eq!(
            text(AnswerValue::Scalar { t: 10_500, v: f64::INFINITY }),
            r#"{"resultType":"scalar","result":[10.5,"+Inf"]}"#
        );
        assert_eq!(
            text(AnswerValue::String { t: 10_000, s: "a\"<\n".into() }),
            r#"{"resultType":"string","result":[10,"a\"\u003c\n"]}"#
        );
        assert_eq!(text(AnswerValue::Vector(vec![])), r#"{"resultType":"vector","result":[]}"#);
        assert_eq!(
            text(AnswerValue::Vector(vec![
                VectorSample {
                    labels: labels(&[("b", "1"), ("__name__", "up")]),
                    t: 1,
                    value: Value::Float(1.0)
                },
                VectorSample { labels: labels(&[]), t: 2000, value: Value::Histogram(histogram()) },
            ])),
            concat!(
                r#"{"resultType":"vector","result":[{"metric":{"__name__":"up","b":"1"},"value":[0.001,"1"]},"#,
                r#"{"metric":{},"histogram":[2,{"count":"6.5","sum":"18.4","buckets":[[1,"-1","-0.5","2"],"#,
                r#"[3,"-0.001","0.001","2"],[0,"0.5","1","1"],[0,"2","4","1.5"]]}]}]}"#
            )
        );
        assert_eq!(
            text(AnswerValue::Matrix(vec![MatrixSeries {
                labels: labels(&[]),
                floats: vec![(0, 0.5), (1500, f64::NAN)],
                histograms: vec![],
            }])),
            r#"{"resultType":"matrix","result":[{"metric":{},"values":[[0,"0.5"],[1.500,"NaN"]]}]}"#
        );
    }

    #[test]
    fn notes_are_listed_up_to_ten() {
        let mut out = String::new();
        let notes: Vec<String> = (0..12).map(|i| format!("note {i}")).collect();
        push_notes(&mut out, "warnings", "warning", &notes);
        assert!(out.starts_with(r#","warnings":["note 0","#));
        assert!(out.ends_with(r#""note 9","2 more warning annotations omitted"]"#));
    }
}
