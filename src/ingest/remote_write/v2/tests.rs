//! Against prost's spelling of the same request, and a table of damage.

use prost::Message as _;

use super::*;

#[derive(Clone, PartialEq, prost::Message)]
struct Request {
    #[prost(string, repeated, tag = "4")]
    symbols: Vec<String>,
    #[prost(message, repeated, tag = "5")]
    series: Vec<Series>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Series {
    #[prost(uint32, repeated, tag = "1")]
    refs: Vec<u32>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<FloatSample>,
    #[prost(bytes, repeated, tag = "3")]
    histograms: Vec<Vec<u8>>,
    #[prost(message, repeated, tag = "4")]
    exemplars: Vec<WireExemplar>,
    #[prost(message, optional, tag = "5")]
    metadata: Option<WireMetadata>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireExemplar {
    #[prost(uint32, repeated, tag = "1")]
    refs: Vec<u32>,
    #[prost(double, tag = "2")]
    value: f64,
    #[prost(int64, tag = "3")]
    t: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireMetadata {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(uint32, tag = "3")]
    help: u32,
    #[prost(uint32, tag = "4")]
    unit: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct FloatSample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    t: i64,
    #[prost(int64, tag = "3")]
    start: i64,
}

fn request(symbols: &[&str], series: Vec<Series>) -> Vec<u8> {
    Request { symbols: symbols.iter().map(|s| (*s).to_owned()).collect(), series }.encode_to_vec()
}

fn one(refs: &[u32]) -> Series {
    let samples = vec![FloatSample { value: 1.5, t: 10, start: 4 }];
    Series { refs: refs.to_vec(), samples, ..Series::default() }
}

#[test]
fn labels_samples_and_starts_come_through() {
    let long = "x".repeat(20_000);
    let symbols = ["", "__name__", "up", "job", "näme", &long];
    let with_both = Series {
        exemplars: vec![
            WireExemplar { refs: vec![3, 4], value: 0.5, t: 9 },
            WireExemplar { refs: vec![3, 5], value: 0.5, t: 9 },
            WireExemplar { refs: vec![3, 99], value: 0.5, t: 9 },
            WireExemplar { refs: [3, 4].repeat(200), value: 0.5, t: 9 },
        ],
        metadata: Some(WireMetadata { kind: 1, help: 4, unit: 0 }),
        histograms: vec![vec![0x78, 0x07, 0x88, 0x01, 0x03]],
        ..one(&[3, 4, 1, 2])
    };
    let bytes = request(&symbols, vec![with_both, one(&[1, 5, 3, 0])]);
    let table = Symbols::read(&bytes, 1 << 20).unwrap();
    let spelling = table.spell(&bytes).unwrap();
    assert_eq!(spelling.bytes.len(), table.spelled_size());
    let read = read(&bytes, &table, &spelling).unwrap();
    let [kept] = read.beside.exemplars.as_slice() else { panic!("{:?}", read.beside) };
    assert_eq!(kept.series.to_string(), r#"{__name__="up", job="näme"}"#);
    assert_eq!(kept.exemplar.labels.to_string(), r#"{job="näme"}"#);
    assert_eq!((read.beside.refused_exemplars, read.beside.refused_metadata), (3, 0));
    let [noted] = read.beside.metadata.as_slice() else { panic!("{:?}", read.beside) };
    assert_eq!((noted.metric.as_str(), noted.metadata.help.as_str()), ("up", "näme"));
    assert!(read.refused.is_empty(), "{:?}", read.refused);
    let labels: Vec<String> = read
        .batch
        .series
        .iter()
        .map(|series| match &series.series {
            SeriesRef::Raw { bytes, parse } => parse(bytes).unwrap().to_string(),
            SeriesRef::Labels(labels) => panic!("{labels} should still be bytes"),
        })
        .collect();
    assert_eq!(
        labels,
        [r#"{__name__="up", job="näme"}"#.to_owned(), format!("{{__name__={long:?}}}")]
    );
    let [float, histogram] = read.batch.series[0].samples.as_slice() else { panic!("two samples") };
    assert_eq!((float.t, float.start), (10, 4));
    assert!(matches!(float.value, Value::Float(v) if v == 1.5));
    assert_eq!((histogram.t, histogram.start), (7, 3));
}

#[test]
fn bad_references_refuse_their_series_alone() {
    for (refs, reason) in [
        (vec![1, 2, 3], "an odd number of label references"),
        (vec![1, 9], "reference 9 into a table of 4 symbols"),
    ] {
        let bytes = request(&["", "__name__", "up", "job"], vec![one(&refs), one(&[1, 2])]);
        let symbols = Symbols::read(&bytes, 100).unwrap();
        let spelling = symbols.spell(&bytes).unwrap();
        let read = read(&bytes, &symbols, &spelling).unwrap();
        let [refused] = read.refused.as_slice() else { panic!("{:?}", read.refused) };
        assert_eq!(refused.series, 0);
        assert!(refused.reason.to_string().contains(reason), "{}", refused.reason);
        assert_eq!(read.batch.series.len(), 2);
        assert!(read.batch.series[0].samples.is_empty());
        assert_eq!(read.batch.series[1].samples.len(), 1);
    }
}

#[test]
fn references_that_stand_for_too_much_text_are_refused_before_it_is_spelled_out() {
    let long = "x".repeat(1000);
    let bytes = request(&["", "__name__", &long], vec![one(&[1, 2].repeat(1000))]);
    let error = Symbols::read(&bytes, 1 << 20).map(|s| s.spelled_size()).unwrap();
    assert_eq!(error, 1000 * (3 + 10 + 3 + 1000));
    let limit = 1 << 19;
    let refused = Symbols::read(&bytes, limit).unwrap_err();
    assert_eq!(refused, BodyError::TooLarge { declared: 1000 * 1016, limit });
}

/// Every prefix and every changed byte of a message is read or refused, never a panic.
#[test]
fn no_damage_panics() {
    let read_whole = |bytes: &[u8]| {
        let Ok(symbols) = Symbols::read(bytes, 10_000) else { return };
        let Ok(spelling) = symbols.spell(bytes) else { return };
        assert!(spelling.bytes.len() <= symbols.spelled_size());
        let _ = read(bytes, &symbols, &spelling);
    };
    let beside = Series {
        exemplars: vec![WireExemplar { refs: vec![2, 2], value: 1.0, t: 1 }],
        metadata: Some(WireMetadata { kind: 3, help: 2, unit: 2 }),
        ..one(&[1, 2])
    };
    let bytes = request(&["", "__name__", "up"], vec![beside, one(&[0, 2, 1, 2])]);
    for end in 0..bytes.len() {
        read_whole(&bytes[..end]);
    }
    for at in 0..bytes.len() {
        for value in 0..=255 {
            let mut bytes = bytes.clone();
            bytes[at] = value;
            read_whole(&bytes);
        }
    }
}
