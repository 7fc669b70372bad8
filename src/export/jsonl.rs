//! Samples as JSON, a run of one series a line (docs/format/jsonl.md). Nothing is lost: what a number of
//! JSON cannot hold stands beside it in bits.

use std::fmt::Write as _;

use ringwell_storage::model::{CounterReset, Counts, Histogram, Labels, SampleBuf, Span};

use super::Written;
use crate::number::NORMAL_NAN;

/// Appends a line for every stretch of samples of one kind.
pub(super) fn push(out: &mut String, labels: &Labels, samples: &SampleBuf, written: &mut Written) {
    let is_histogram = |i: usize| samples.h.get(i).is_some_and(Option::is_some);
    let mut from = 0;
    while from < samples.len() {
        let kind = is_histogram(from);
        let rest = from..samples.len();
        let to = rest.clone().find(|i| is_histogram(*i) != kind).unwrap_or(rest.end);
        push_line(out, labels, samples, from..to);
        written.samples += (to - from) as u64;
        from = to;
    }
}

fn push_line(
    out: &mut String,
    labels: &Labels,
    samples: &SampleBuf,
    range: std::ops::Range<usize>,
) {
    let pairs = labels.iter().map(|l| format!("{}:{}", string(l.name), string(l.value)));
    let _ = write!(out, "{{\"metric\":{{{}}}", pairs.collect::<Vec<_>>().join(","));
    push_list(out, "timestamps", samples.t.get(range.clone()), |t| t.to_string());
    let histograms = samples.h.get(range.clone());
    if let Some([Some(_), ..]) = histograms {
        push_list(out, "histograms", histograms, |h| h.as_deref().map_or_else(String::new, object));
    } else {
        let values = samples.v.get(range.clone());
        push_list(out, "values", values, |v| number(*v));
        let special = values.unwrap_or_default().iter().enumerate();
        let special: Vec<_> =
            special.filter(|(_, v)| v.is_nan() && v.to_bits() != NORMAL_NAN).collect();
        if !special.is_empty() {
            push_list(out, "nan", Some(&special), |(i, v)| {
                format!("[{i},\"{:016x}\"]", v.to_bits())
            });
        }
    }
    if let Some(starts) = samples.start.get(range).filter(|s| s.iter().any(|t| *t != 0)) {
        push_list(out, "starts", Some(starts), |t| t.to_string());
    }
    out.push_str("}\n");
}

fn push_list<T>(out: &mut String, name: &str, items: Option<&[T]>, spell: impl Fn(&T) -> String) {
    let _ = write!(out, ",\"{name}\":[");
    for (i, item) in items.unwrap_or_default().iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        out.push_str(&spell(item));
    }
    out.push(']');
}

fn object(h: &Histogram) -> String {
    let mut out = format!(
        "{{\"schema\":{},\"reset\":\"{}\",\"zero_threshold\":{},\"sum\":{}",
        h.schema.number(),
        match h.reset {
            CounterReset::Unknown => "unknown",
            CounterReset::Yes => "yes",
            CounterReset::No => "no",
            CounterReset::Gauge => "gauge",
        },
        in_bits(h.zero_threshold),
        in_bits(h.sum),
    );
    let span = |s: &Span| format!("[{},{}]", s.offset, s.length);
    push_list(&mut out, "positive_spans", Some(&h.positive_spans), span);
    push_list(&mut out, "negative_spans", Some(&h.negative_spans), span);
    push_list(&mut out, "custom_values", Some(&h.custom_values), |v| in_bits(*v));
    match &h.counts {
        Counts::Integer { count, zero, positive, negative } => {
            let _ = write!(out, ",\"counts\":\"integer\",\"count\":{count},\"zero\":{zero}");
            push_list(&mut out, "positive", Some(positive), u64::to_string);
            push_list(&mut out, "negative", Some(negative), u64::to_string);
        }
        Counts::Float { count, zero, positive, negative } => {
            let (count, zero) = (in_bits(*count), in_bits(*zero));
            let _ = write!(out, ",\"counts\":\"float\",\"count\":{count},\"zero\":{zero}");
            push_list(&mut out, "positive", Some(positive), |v| in_bits(*v));
            push_list(&mut out, "negative", Some(negative), |v| in_bits(*v));
        }
    }
    out.push('}');
    out
}

/// A float of the list of values: its shortest digits; what has none as other databases spell it.
fn number(value: f64) -> String {
    if value.is_nan() {
        "null".to_owned()
    } else if value.is_infinite() {
        let text = if value > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" };
        text.to_owned()
    } else {
        format!("{value:?}")
    }
}

/// A float within a histogram: a NaN has its bits with it.
fn in_bits(value: f64) -> String {
    if value.is_nan() { format!("\"NaN:{:016x}\"", value.to_bits()) } else { number(value) }
}

fn string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
