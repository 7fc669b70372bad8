//! Ringwell as a library: a store in memory, samples in, a rate and a quantile out; no node, no disk, no
//! clock, no threads. `cargo run --example embed`

use std::sync::Arc;

use ringwell_query::{Engine, EngineOptions, Query, Uninterrupted, When};
use ringwell_storage::append::{Batch, Duplicates, SeriesRef, SeriesSamples};
use ringwell_storage::disk::MemDisk;
use ringwell_storage::model::{Labels, Sample, Value};
use ringwell_storage::read::Queryable;
use ringwell_storage::store::{Options, Store};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options { ring_samples: 120, retention: Some(3_600_000), ..Options::default() };
    let store = Store::open(Arc::new(MemDisk::new()), options, 0)?;
    for second in 0..600_i64 {
        let now = 1_000_000 + second * 1000;
        let series = [("requests_total", second as f64 * 3.0), ("latency", (second % 100) as f64)];
        let series = series.map(|(name, value)| SeriesSamples {
            series: SeriesRef::Labels(Labels::from_pairs([("__name__", name)]).expect("is valid")),
            samples: vec![Sample { t: now, start: 0, value: Value::Float(value) }].into(),
        });
        store.append(&Batch { series: series.into(), duplicates: Duplicates::Reject }, now)?;
        store.maintain(now)?;
    }
    let engine = Engine::new(EngineOptions::default());
    for text in ["rate(requests_total[5m])", "quantile_over_time(0.9, latency[5m])"] {
        let query = Query { text, when: When::At(1_599_000), lookback: None };
        let answer = engine.run(&*store.snapshot(), &query, &Uninterrupted)?;
        println!("{text} = {:?}", answer.value);
    }
    Ok(())
}
