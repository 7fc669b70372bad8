//! Remote write 2.0: what is written is answered, and the sender learns how much of it was kept.

use prost::Message;
use serde_json::json;

use crate::node::{Node, Options};
use crate::wire::v2::{HEADERS, Request, Sample, TimeSeries};
use crate::wire::{Histogram, compress, now};

fn request(series: Vec<TimeSeries>) -> Vec<u8> {
    let symbols = ["", "__name__", "c_total", "job", "a"].map(str::to_owned).to_vec();
    compress(&Request { symbols, series }.encode_to_vec())
}

fn written(node: &Node, body: &[u8]) -> (u16, [Option<String>; 3]) {
    let answer = node.post("/api/v1/write", &HEADERS, body);
    let of = |what: &str| {
        let name = format!("x-prometheus-remote-write-{what}-written");
        answer.header(&name).map(str::to_owned)
    };
    (answer.status, [of("samples"), of("histograms"), of("exemplars")])
}

fn counts(samples: u64, histograms: u64) -> [Option<String>; 3] {
    [Some(samples.to_string()), Some(histograms.to_string()), Some("0".to_owned())]
}

#[test]
fn samples_and_histograms_are_kept_and_counted_in_headers() {
    let node = Node::start();
    let t = now() / 1000 * 1000;
    let floats = TimeSeries {
        refs: vec![1, 2, 3, 4],
        samples: vec![
            Sample { value: 1.0, t: t - 1, start: 0 },
            Sample { value: 2.0, t, start: 0 },
        ],
        histograms: vec![],
    };
    let histogram = Histogram { count: Some(0), t, ..Histogram::default() };
    let histograms = TimeSeries { refs: vec![1, 2], samples: vec![], histograms: vec![histogram] };
    let broken = TimeSeries { refs: vec![1, 77], ..floats.clone() };
    assert_eq!(written(&node, &request(vec![floats.clone(), histograms])), (204, counts(2, 1)));
    let seconds = t / 1000;
    assert_eq!(
        node.query("c_total{job=\"a\"}", seconds as f64),
        json!([{ "metric": { "__name__": "c_total", "job": "a" }, "value": [seconds, "2"] }])
    );
    let mut changed = floats;
    changed.samples[1].value = 3.0;
    assert_eq!(written(&node, &request(vec![changed, broken])), (400, counts(1, 0)));
    let (status, headers) = written(&node, b"no snappy");
    assert_eq!((status, headers), (400, counts(0, 0)));
}

/// A counter that was born inside the range counts from zero, if the query engine may use it.
#[test]
fn starts_of_counters_count_where_the_feature_is_on() {
    for (feature, increase) in [(None, "10"), (Some("use-start-timestamps"), "15")] {
        let mut options = Options::default();
        if let Some(feature) = feature {
            options = options.arg(format!("--enable-feature={feature}"));
        }
        let node = options.start();
        let t = now() / 1000 * 1000 - 60_000;
        let start = t - 5_000;
        let samples =
            vec![Sample { value: 10.0, t, start }, Sample { value: 15.0, t: t + 5_000, start }];
        let series = TimeSeries { refs: vec![1, 2], samples, histograms: vec![] };
        assert_eq!(written(&node, &request(vec![series])), (204, counts(2, 0)));
        let at = (t + 5_000) as f64 / 1000.0;
        let result = node.query("increase(c_total[10001ms])", at);
        let got: f64 = result[0]["value"][1].as_str().unwrap().parse().unwrap();
        let want: f64 = increase.parse().unwrap();
        assert!((got - want).abs() < 0.1, "{feature:?}: {got}, not about {want}");
    }
}
