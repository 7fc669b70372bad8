//! Samples as JSON, a run of one series a line (docs/format/jsonl.md): what `ringwell export` writes, and
//! of float series what VictoriaMetrics does. Bit for bit what was exported comes back.
//!
//! A body is taken whole or not at all, like one in the text format.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use ringwell_storage::append::{Batch, Duplicates, Samples, SeriesRef, SeriesSamples};
use ringwell_storage::model::{
    CounterReset, Counts, Histogram, Labels, Sample, Schema, Span, Timestamp, Value,
};
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use super::exposition::TextError;
use crate::number::NORMAL_NAN;

/// Reads a whole body into one batch.
pub fn read(bytes: &[u8]) -> Result<Batch<'static>, TextError> {
    let mut batch = Batch { series: Vec::new(), duplicates: Duplicates::Reject };
    for (number, line) in bytes.split(|b| *b == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let at = |column, reason| TextError { line: number + 1, column, reason };
        let line: Line<'_> = serde_json::from_slice(line)
            .map_err(|error| at(error.column().max(1), error.to_string()))?;
        batch.series.push(line.take().map_err(|reason| at(1, reason))?);
    }
    Ok(batch)
}

/// A line as it is spelled.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    #[serde(borrow)]
    metric: Pairs<'a>,
    timestamps: Vec<Timestamp>,
    #[serde(default)]
    values: Option<Vec<Number>>,
    /// Places in `values` that are a NaN with bits of its own.
    #[serde(default, borrow)]
    nan: Vec<(usize, Cow<'a, str>)>,
    #[serde(default)]
    starts: Option<Vec<Timestamp>>,
    #[serde(default)]
    histograms: Option<Vec<Distribution>>,
}

impl Line<'_> {
    fn take(self) -> Result<SeriesSamples<'static>, String> {
        let pairs = self.metric.0.iter().map(|(name, value)| (&**name, &**value));
        let labels = Labels::from_pairs(pairs).map_err(|error| error.to_string())?;
        if labels.metric_name().is_empty() {
            return Err("the metric's name is missing".to_owned());
        }
        let values = match (self.values, self.histograms) {
            (Some(numbers), None) => floats(&numbers, &self.nan)?,
            (None, Some(histograms)) => histograms
                .into_iter()
                .map(|h| Ok(Value::Histogram(Arc::new(h.take()?))))
                .collect::<Result<Vec<_>, String>>()?,
            _ => return Err("a line has either values or histograms".to_owned()),
        };
        let count = self.timestamps.len();
        let starts = self.starts.unwrap_or_else(|| vec![0; count]);
        if values.len() != count || starts.len() != count {
            return Err(format!(
                "{count} timestamps, {} values and {} starts do not go together",
                values.len(),
                starts.len()
            ));
        }
        let mut samples: Samples = self
            .timestamps
            .into_iter()
            .zip(starts)
            .zip(values)
            .map(|((t, start), value)| Sample { t, start, value })
            .collect();
        samples.sort_by_key(|sample| sample.t);
        Ok(SeriesSamples { series: SeriesRef::Labels(labels), samples })
    }
}

fn floats(numbers: &[Number], nan: &[(usize, Cow<'_, str>)]) -> Result<Vec<Value>, String> {
    let mut floats: Vec<f64> = numbers.iter().map(|n| n.float()).collect();
    for (place, bits) in nan {
        let float = floats.get_mut(*place).filter(|float| float.is_nan());
        *float.ok_or_else(|| format!("there is no null at {place} of the values"))? = nan_of(bits)?;
    }
    Ok(floats.into_iter().map(Value::Float).collect())
}

fn nan_of(bits: &str) -> Result<f64, String> {
    let float = u64::from_str_radix(bits, 16).map(f64::from_bits);
    float.ok().filter(|v| v.is_nan()).ok_or_else(|| format!("{bits:?} are not the bits of a NaN"))
}

/// The labels in the order given; a name may not come twice, which a map would hide.
struct Pairs<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Pairs<'a>, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of labels")
            }

            fn visit_map<M: de::MapAccess<'de>>(self, mut map: M) -> Result<Pairs<'de>, M::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        from.deserialize_map(Each)
    }
}

/// A number: `null` is a NaN, and what numbers of JSON cannot say comes as text.
#[derive(Clone, Copy)]
enum Number {
    /// Without a point or an exponent.
    Whole(u64),
    Float(f64),
}

impl Number {
    fn float(self) -> f64 {
        match self {
            Number::Whole(n) => n as f64,
            Number::Float(v) => v,
        }
    }

    fn whole(self) -> Result<u64, String> {
        match self {
            Number::Whole(n) => Ok(n),
            Number::Float(v) => Err(format!("{v:?} is no whole number")),
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Number, D::Error> {
        from.deserialize_any(AnyNumber)
    }
}

struct AnyNumber;

impl Visitor<'_> for AnyNumber {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, null, \"Infinity\", \"-Infinity\" or \"NaN:BITS\"")
    }

    fn visit_f64<E>(self, value: f64) -> Result<Number, E> {
        Ok(Number::Float(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Number, E> {
        Ok(Number::Whole(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Number, E> {
        Ok(Number::Float(value as f64))
    }

    fn visit_unit<E>(self) -> Result<Number, E> {
        Ok(Number::Float(f64::from_bits(NORMAL_NAN)))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
        match (text, text.strip_prefix("NaN:")) {
            ("Infinity", _) => Ok(Number::Float(f64::INFINITY)),
            ("-Infinity", _) => Ok(Number::Float(f64::NEG_INFINITY)),
            (_, Some(bits)) => nan_of(bits).map(Number::Float).map_err(E::custom),
            _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
        }
    }
}

/// A histogram as it is spelled.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Distribution {
    schema: i32,
    reset: Reset,
    zero_threshold: Number,
    sum: Number,
    positive_spans: Vec<(i32, u32)>,
    negative_spans: Vec<(i32, u32)>,
    custom_values: Vec<Number>,
    counts: Kind,
    count: Number,
    zero: Number,
    positive: Vec<Number>,
    negative: Vec<Number>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Reset {
    Unknown,
    Yes,
    No,
    Gauge,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Integer,
    Float,
}

impl Distribution {
    fn take(self) -> Result<Histogram, String> {
        let spans = |spans: &[(i32, u32)]| {
            spans.iter().map(|(offset, length)| Span { offset: *offset, length: *length }).collect()
        };
        let floats = |numbers: &[Number]| numbers.iter().map(|n| n.float()).collect();
        let wholes = |numbers: &[Number]| {
            numbers.iter().map(|n| n.whole()).collect::<Result<Vec<u64>, String>>()
        };
        let histogram = Histogram {
            reset: match self.reset {
                Reset::Unknown => CounterReset::Unknown,
                Reset::Yes => CounterReset::Yes,
                Reset::No => CounterReset::No,
                Reset::Gauge => CounterReset::Gauge,
            },
            schema: Schema::from_number(self.schema)
                .ok_or_else(|| format!("no schema of histograms has the number {}", self.schema))?,
            zero_threshold: self.zero_threshold.float(),
            sum: self.sum.float(),
            positive_spans: spans(&self.positive_spans),
            negative_spans: spans(&self.negative_spans),
            custom_values: self.custom_values.iter().map(|n| n.float()).collect(),
            counts: match self.counts {
                Kind::Integer => Counts::Integer {
                    count: self.count.whole()?,
                    zero: self.zero.whole()?,
                    positive: wholes(&self.positive)?,
                    negative: wholes(&self.negative)?,
                },
                Kind::Float => Counts::Float {
                    count: self.count.float(),
                    zero: self.zero.float(),
                    positive: floats(&self.positive),
                    negative: floats(&self.negative),
                },
            },
        };
        histogram.validate().map_err(|error| error.to_string())?;
        Ok(histogram)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOATS: &str = r#"{"metric":{"__name__":"a","l":"\"ä\n"},"timestamps":[5,6,7,8,9],
        "values":[null,null,-0.0,"Infinity",0.1],"nan":[[1,"fff80000deadbeef"]],"starts":[1,0,0,0,2]}"#;
    const DISTRIBUTION: &str = r#"{"metric":{"__name__":"h"},"timestamps":[5],"histograms":[
        {"schema":0,"reset":"gauge","zero_threshold":0.001,"sum":"NaN:7ff0000000000002",
        "positive_spans":[[-3,1]],"negative_spans":[],"custom_values":[],"counts":"integer",
        "count":18446744073709551615,"zero":18446744073709551614,"positive":[1],"negative":[]}]}"#;

    fn one_line(text: &str) -> String {
        text.replace("\n        ", "")
    }

    #[test]
    fn every_bit_comes_back() {
        let text = format!("{}\n\n{}\n", one_line(FLOATS), one_line(DISTRIBUTION));
        let batch = read(text.as_bytes()).unwrap();
        let SeriesRef::Labels(labels) = &batch.series[0].series else { panic!() };
        assert_eq!(labels.to_string(), r#"{__name__="a", l="\"ä\n"}"#);
        let spell = |s: &Sample| match &s.value {
            Value::Float(v) => (s.t, s.start, v.to_bits()),
            Value::Histogram(h) => (s.t, s.start, h.sum.to_bits()),
        };
        assert_eq!(
            batch.series[0].samples.iter().map(spell).collect::<Vec<_>>(),
            [
                (5, 1, NORMAL_NAN),
                (6, 0, 0xfff8_0000_dead_beef),
                (7, 0, (-0.0_f64).to_bits()),
                (8, 0, f64::INFINITY.to_bits()),
                (9, 2, 0.1_f64.to_bits()),
            ]
        );
        let Value::Histogram(h) = &batch.series[1].samples[0].value else { panic!() };
        assert_eq!(h.sum.to_bits(), ringwell_storage::model::STALE_NAN);
        let Counts::Integer { count, zero, .. } = &h.counts else { panic!() };
        assert_eq!((*count, *zero), (u64::MAX, u64::MAX - 1));
    }

    #[test]
    fn refusals_name_the_line() {
        let metric = r#"{"metric":{"__name__":"a"},"timestamps":[1]"#;
        for (line, message) in [
            (format!("{metric}}}"), "column 1: a line has either values or histograms"),
            (
                format!("{metric},\"values\":[1,2]}}"),
                "column 1: 1 timestamps, 2 values and 1 starts do not go together",
            ),
            (
                format!("{metric},\"values\":[1],\"nan\":[[0,\"7ff8000000000001\"]]}}"),
                "column 1: there is no null at 0 of the values",
            ),
            (
                format!("{metric},\"values\":[null],\"nan\":[[0,\"7\"]]}}"),
                "column 1: \"7\" are not the bits of a NaN",
            ),
            (
                r#"{"metric":{"l":"a"},"timestamps":[],"values":[]}"#.to_owned(),
                "column 1: the metric's name is missing",
            ),
            (
                r#"{"metric":{"l":"a","l":"a"},"timestamps":[],"values":[]}"#.to_owned(),
                "column 1: label name \"l\" is given twice",
            ),
        ] {
            let error = read(format!("\n{line}").as_bytes()).unwrap_err().to_string();
            assert_eq!(error, format!("line 2, {message}"));
        }
        for line in [
            format!("{metric},\"values\":[\"x\"]}}"),
            format!("{metric},\"values\":[1],\"more\":1}}"),
            one_line(DISTRIBUTION).replace("[1],\"neg", "[1,2],\"neg"),
            one_line(DISTRIBUTION).replace("[1],\"neg", "[1.5],\"neg"),
            one_line(DISTRIBUTION).replace("\"schema\":0", "\"schema\":900"),
            "\u{1}".to_owned(),
        ] {
            assert!(read(line.as_bytes()).is_err(), "{line}");
        }
    }

    /// Every prefix and every changed byte is read or refused, never a panic.
    #[test]
    fn no_damage_panics() {
        for text in [one_line(FLOATS), one_line(DISTRIBUTION)] {
            let text = text.into_bytes();
            for end in 0..text.len() {
                let _ = read(&text[..end]);
            }
            for at in 0..text.len() {
                for value in [0, b'"', b'0', b'9', b'-', b'[', b'}', b'\\', 0xff] {
                    let mut text = text.clone();
                    text[at] = value;
                    let _ = read(&text);
                }
            }
        }
    }
}
