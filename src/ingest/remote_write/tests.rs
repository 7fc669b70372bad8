//! Against prost's reading of the same bytes, and a table of damage.

use prost::Message as _;
use ringwell_storage::model::{Counts, Schema, Span};

use super::*;

#[derive(Clone, PartialEq, prost::Message)]
struct Request {
    #[prost(message, repeated, tag = "1")]
    series: Vec<Series>,
    #[prost(message, repeated, tag = "3")]
    metadata: Vec<MetricMetadata>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct MetricMetadata {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(string, tag = "2")]
    metric: String,
    #[prost(string, tag = "4")]
    help: String,
    #[prost(string, tag = "5")]
    unit: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireExemplar {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Pair>,
    #[prost(double, tag = "2")]
    value: f64,
    #[prost(int64, tag = "3")]
    t: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Series {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Pair>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<FloatSample>,
    #[prost(message, repeated, tag = "3")]
    exemplars: Vec<WireExemplar>,
    #[prost(message, repeated, tag = "4")]
    histograms: Vec<WireHistogram>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Pair {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct FloatSample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    t: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireSpan {
    #[prost(sint32, tag = "1")]
    offset: i32,
    #[prost(uint32, tag = "2")]
    length: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireHistogram {
    #[prost(uint64, optional, tag = "1")]
    count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    count_float: Option<f64>,
    #[prost(double, tag = "3")]
    sum: f64,
    #[prost(sint32, tag = "4")]
    schema: i32,
    #[prost(double, tag = "5")]
    zero_threshold: f64,
    #[prost(uint64, optional, tag = "6")]
    zero: Option<u64>,
    #[prost(double, optional, tag = "7")]
    zero_float: Option<f64>,
    #[prost(message, repeated, tag = "8")]
    negative_spans: Vec<WireSpan>,
    #[prost(sint64, repeated, tag = "9")]
    negative_deltas: Vec<i64>,
    #[prost(double, repeated, tag = "10")]
    negative_counts: Vec<f64>,
    #[prost(message, repeated, tag = "11")]
    positive_spans: Vec<WireSpan>,
    #[prost(sint64, repeated, packed = "false", tag = "12")]
    positive_deltas: Vec<i64>,
    #[prost(double, repeated, packed = "false", tag = "13")]
    positive_counts: Vec<f64>,
    #[prost(int32, tag = "14")]
    reset: i32,
    #[prost(int64, tag = "15")]
    t: i64,
    #[prost(double, repeated, tag = "16")]
    custom_values: Vec<f64>,
}

fn pair(name: &str, value: &str) -> Pair {
    Pair { name: name.into(), value: value.into() }
}

fn exemplar(labels: &[(&str, &str)]) -> WireExemplar {
    let labels = labels.iter().map(|(name, value)| pair(name, value)).collect();
    WireExemplar { labels, value: 0.5, t: 9 }
}

fn labels_of(series: &SeriesRef<'_>) -> Result<Labels, LabelError> {
    match series {
        SeriesRef::Labels(labels) => Ok(labels.clone()),
        SeriesRef::Raw { bytes, parse } => parse(bytes),
    }
}

#[test]
fn a_request_reads_as_prost_wrote_it() {
    let request = Request {
        series: vec![
            Series {
                labels: vec![pair("__name__", "up"), pair("job", "näme"), pair("empty", "")],
                samples: vec![
                    FloatSample { value: 1.5, t: 1 },
                    FloatSample { value: 2.5, t: 1_767_225_600_123 },
                    FloatSample { value: -0.0, t: i64::MAX },
                    FloatSample { value: f64::from_bits(0x7ff0_0000_0000_0002), t: -5 },
                ],
                exemplars: vec![
                    exemplar(&[("trace_id", "é")]),
                    exemplar(&[("a", "1"), ("a", "2")]),
                ],
                histograms: vec![],
            },
            Series { labels: vec![pair("__name__", "without_samples")], ..Series::default() },
            Series { exemplars: vec![exemplar(&[])], ..Series::default() },
        ],
        metadata: vec![
            MetricMetadata::default(),
            MetricMetadata { kind: 4, metric: "m".into(), help: "h\n".into(), unit: "s".into() },
        ],
    };
    let bytes = request.encode_to_vec();
    let read = read(&bytes).unwrap();
    let beside = &read.beside;
    assert_eq!((beside.refused_exemplars, beside.refused_metadata), (2, 1));
    let [kept] = beside.exemplars.as_slice() else { panic!("{beside:?}") };
    assert_eq!(kept.series.to_string(), r#"{__name__="up", job="näme"}"#);
    assert_eq!(kept.exemplar.labels.to_string(), r#"{trace_id="é"}"#);
    assert_eq!((kept.exemplar.value, kept.exemplar.t), (0.5, 9));
    let [noted] = beside.metadata.as_slice() else { panic!("{beside:?}") };
    let metadata = &noted.metadata;
    assert_eq!((noted.metric.as_str(), metadata.kind.name()), ("m", "gaugehistogram"));
    assert_eq!((metadata.help.as_str(), metadata.unit.as_str()), ("h\n", "s"));
    assert!(read.refused.is_empty());
    let [series] = read.batch.series.as_slice() else { panic!("{:?}", read.batch) };
    assert!(matches!(series.series, SeriesRef::Raw { .. }));
    assert_eq!(labels_of(&series.series).unwrap().to_string(), r#"{__name__="up", job="näme"}"#);
    let got: Vec<(i64, u64)> = series
        .samples
        .iter()
        .map(|s| match s.value {
            Value::Float(v) => (s.t, v.to_bits()),
            Value::Histogram(_) => panic!("no histogram was sent"),
        })
        .collect();
    let decoded = Request::decode(bytes.as_slice()).unwrap();
    let want: Vec<(i64, u64)> =
        decoded.series[0].samples.iter().map(|s| (s.t, s.value.to_bits())).collect();
    assert_eq!(got, want);
}

#[test]
fn histograms_of_every_kind() {
    let spans = |spans: &[(i32, u32)]| {
        spans.iter().map(|(offset, length)| WireSpan { offset: *offset, length: *length }).collect()
    };
    let request = Request {
        series: vec![Series {
            labels: vec![pair("__name__", "h")],
            histograms: vec![
                WireHistogram {
                    count: Some(12),
                    sum: 18.4,
                    schema: 1,
                    zero_threshold: 0.001,
                    zero: Some(2),
                    positive_spans: spans(&[(0, 2), (1, 2)]),
                    positive_deltas: vec![1, 1, -1, 0],
                    negative_spans: spans(&[(-3, 1)]),
                    negative_deltas: vec![5],
                    reset: 2,
                    t: 10,
                    ..WireHistogram::default()
                },
                WireHistogram {
                    count_float: Some(2.5),
                    sum: 1.0,
                    zero_float: Some(0.5),
                    positive_spans: spans(&[(3, 1)]),
                    positive_counts: vec![2.0],
                    reset: 3,
                    t: 20,
                    ..WireHistogram::default()
                },
                WireHistogram {
                    count: Some(3),
                    sum: 4.0,
                    schema: -53,
                    positive_spans: spans(&[(0, 3)]),
                    positive_deltas: vec![1, 0, 0],
                    custom_values: vec![0.5, 1.0],
                    t: 30,
                    ..WireHistogram::default()
                },
            ],
            ..Series::default()
        }],
        metadata: vec![],
    };
    let bytes = request.encode_to_vec();
    let read = read(&bytes).unwrap();
    assert!(read.refused.is_empty(), "{:?}", read.refused);
    let histograms: Vec<_> = read.batch.series[0]
        .samples
        .iter()
        .map(|s| match &s.value {
            Value::Histogram(h) => (s.t, h.as_ref()),
            Value::Float(_) => panic!("no float was sent"),
        })
        .collect();
    let [(10, integer), (20, float), (30, custom)] = histograms.as_slice() else {
        panic!("{histograms:?}")
    };
    assert_eq!(integer.schema, Schema::Exponential(1));
    assert_eq!(
        integer.counts,
        Counts::Integer { count: 12, zero: 2, positive: vec![1, 2, 1, 1], negative: vec![5] }
    );
    assert_eq!(integer.negative_spans, [Span { offset: -3, length: 1 }]);
    assert_eq!(
        float.counts,
        Counts::Float { count: 2.5, zero: 0.5, positive: vec![2.0], negative: vec![] }
    );
    assert_eq!(custom.schema, Schema::Custom);
    assert_eq!(custom.custom_values.as_ref(), [0.5, 1.0]);
}

#[test]
fn a_histogram_that_contradicts_itself_is_refused_alone() {
    let histogram = |deltas: Vec<i64>, schema| WireHistogram {
        count: Some(1),
        schema,
        positive_spans: vec![WireSpan { offset: 0, length: 1 }],
        positive_deltas: deltas,
        ..WireHistogram::default()
    };
    for (histogram, reason) in [
        (histogram(vec![-1], 0), "positive side bucket number 1 has observation count of -1"),
        (histogram(vec![1], 99), "unknown schema 99"),
        (histogram(vec![1], 1007), "unknown schema 1007"),
        (histogram(vec![i64::MAX, i64::MAX], 0), "overflows"),
        (histogram(vec![], 0), "positive spans need 1 buckets, have 0 buckets"),
    ] {
        let request = Request {
            series: vec![Series {
                labels: vec![pair("__name__", "h")],
                samples: vec![FloatSample { value: 1.0, t: 1 }],
                histograms: vec![histogram],
                ..Series::default()
            }],
            metadata: vec![],
        };
        let bytes = request.encode_to_vec();
        let read = read(&bytes).unwrap();
        assert_eq!(read.batch.series[0].samples.len(), 1);
        let [refused] = read.refused.as_slice() else { panic!("{:?}", read.refused) };
        assert_eq!(refused.series, 0);
        assert!(refused.reason.to_string().contains(reason), "{}", refused.reason);
    }
}

#[test]
fn labels_that_do_not_stand_together_are_read_too() {
    let part = |series: Series| series.encode_to_vec();
    let mut series = part(Series { labels: vec![pair("__name__", "a")], ..Series::default() });
    series.extend(part(Series {
        samples: vec![FloatSample { value: 1.0, t: 1 }],
        ..Series::default()
    }));
    series.extend(part(Series { labels: vec![pair("b", "c")], ..Series::default() }));
    let mut bytes = vec![0x0a, u8::try_from(series.len()).unwrap()];
    bytes.extend(series);
    let read = read(&bytes).unwrap();
    let labels = labels_of(&read.batch.series[0].series).unwrap();
    assert_eq!(labels.to_string(), r#"{__name__="a", b="c"}"#);
}

#[test]
fn label_sets_that_are_none() {
    let parse = |pairs: &[(&str, &str)]| {
        let labels = pairs.iter().map(|(n, v)| pair(n, v)).collect();
        parse_labels(&Series { labels, ..Series::default() }.encode_to_vec())
    };
    assert_eq!(parse(&[("a", "b")]), Err(LabelError::NoMetricName));
    assert_eq!(parse(&[("__name__", "")]), Err(LabelError::NoMetricName));
    assert_eq!(
        parse(&[("__name__", "a"), ("b", "1"), ("b", "2")]),
        Err(LabelError::Duplicate("b".into()))
    );
    let not_utf8 = b"\x0a\x05\x0a\x01\xff\x12\x00";
    assert!(matches!(parse_labels(not_utf8), Err(LabelError::NotUtf8(_))));
    assert!(matches!(parse_labels(b"\x0a\x7f"), Err(LabelError::Damaged(_))));
}

#[test]
fn damage_names_its_place() {
    let table: &[(&[u8], usize, &str)] = &[
        (b"\x0a\x05\x0a", 1, "a length beyond the message's end"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 1, "a length beyond the message's end"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 1, "a number longer than 64 bits"),
        (b"\x0b", 0, "a wire type that is not known"),
        (b"\x00\x01", 0, "not a field number"),
        (b"\x08\x01", 0, "a field that should be a block is not"),
        (b"\x0a\x04\x12\x02\x09\x00", 5, "the message ends within a number"),
        (b"\x0a\x04\x12\x02\x08\x01", 4, "a field that should be a float is not"),
        (b"\x80", 0, "the message ends within a number"),
        (b"\x0a\x05\x22\x03\x6a\x01\x00", 4, "a packed run of floats ends within one"),
    ];
    for (bytes, at, reason) in table {
        let error = read(bytes).unwrap_err();
        assert_eq!(error, BodyError::Protobuf(Malformed { at: *at, reason }), "{bytes:?}");
    }
}

/// Every prefix and every changed byte of a real message is read or refused, never a panic.
#[test]
fn no_damage_panics() {
    let request = Request {
        series: vec![Series {
            labels: vec![pair("__name__", "h"), pair("le", "0.5")],
            samples: vec![FloatSample { value: 1.0, t: 1 }],
            exemplars: vec![exemplar(&[("t", "1")])],
            histograms: vec![WireHistogram {
                count: Some(1),
                positive_spans: vec![WireSpan { offset: 0, length: 1 }],
                positive_deltas: vec![1],
                ..WireHistogram::default()
            }],
        }],
        metadata: vec![MetricMetadata { metric: "m".into(), ..MetricMetadata::default() }],
    };
    let bytes = request.encode_to_vec();
    for end in 0..bytes.len() {
        let _ = read(&bytes[..end]);
    }
    for at in 0..bytes.len() {
        for value in 0..=255 {
            let mut bytes = bytes.clone();
            bytes[at] = value;
            if let Ok(request) = read(&bytes) {
                for series in &request.batch.series {
                    let _ = labels_of(&series.series);
                }
            }
        }
    }
}

#[test]
fn a_declared_size_is_checked_before_it_is_believed() {
    let mut bomb = vec![0x80, 0x80, 0x80, 0x80, 0x08];
    bomb.resize(21, 0);
    assert_eq!(
        decompress(&bomb, 1 << 27),
        Err(BodyError::TooLarge { declared: 1 << 31, limit: 1 << 27 })
    );
    let mut liar = vec![0x80, 0x80, 0x80, 0x20];
    liar.resize(21, 0);
    let error = decompress(&liar, 1 << 27).unwrap_err().to_string();
    assert_eq!(error, "snappy: damaged header: 21 bytes cannot hold the declared 67108864");
    let zeros = snap::raw::Encoder::new().compress_vec(&vec![0; 1 << 20]).unwrap();
    assert_eq!(decompress(&zeros, 1 << 20).unwrap().len(), 1 << 20);
    assert!(decompress(&zeros[..zeros.len() - 1], 1 << 20).is_err());
    assert!(decompress(b"", 10).is_err());
}
