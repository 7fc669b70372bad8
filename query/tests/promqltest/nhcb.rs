//! `load_with_nhcb`: classic histograms become native ones with custom buckets as well.

use std::collections::BTreeMap;

use ringwell_storage::model::{CounterReset, FloatHistogram, Labels, METRIC_NAME, Schema};

/// Classic series, collected by histogram and time.
#[derive(Default)]
pub(crate) struct Classics {
    families: BTreeMap<Labels, BTreeMap<i64, Family>>,
}

#[derive(Default)]
struct Family {
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: Option<f64>,
}

impl Classics {
    /// Takes a sample if its series is part of a classic histogram.
    pub(crate) fn push(&mut self, labels: &Labels, t: i64, value: f64) {
        let name = labels.metric_name();
        let le = labels.get("le");
        let (base, part) = match name.rsplit_once('_') {
            Some((base, part @ "bucket")) if le.is_some() => (base, part),
            Some((base, part @ ("count" | "sum"))) => (base, part),
            _ => return,
        };
        let mut builder = labels.to_builder();
        builder.remove("le").set(METRIC_NAME, base);
        let Ok(key) = builder.build() else { return };
        let family = self.families.entry(key).or_default().entry(t).or_default();
        match part {
            "bucket" => {
                let le = le.unwrap_or("").trim_start_matches('+').to_ascii_lowercase();
                let upper = if le == "inf" { Ok(f64::INFINITY) } else { le.parse() };
                if let Ok(upper) = upper {
                    family.buckets.push((upper, value));
                }
            }
            "count" => family.count = Some(value),
            _ => family.sum = Some(value),
        }
    }

    /// The native histograms.
    pub(crate) fn convert(self) -> Vec<(Labels, i64, FloatHistogram)> {
        let mut out = Vec::new();
        for (labels, times) in self.families {
            for (t, family) in times {
                if !family.buckets.is_empty() {
                    out.push((labels.clone(), t, family.native()));
                }
            }
        }
        out
    }
}

impl Family {
    fn native(mut self) -> FloatHistogram {
        self.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        self.buckets.dedup_by(|later, earlier| later.0 == earlier.0);
        let highest = self.buckets.last().map_or(0.0, |b| b.1);
        let count = self.count.unwrap_or(highest);
        if self.buckets.last().is_none_or(|b| b.0 != f64::INFINITY) {
            self.buckets.push((f64::INFINITY, count));
        }
        let mut positive = Vec::new();
        let mut before = 0.0;
        for (i, (_, cumulative)) in self.buckets.iter().enumerate() {
            if *cumulative != before {
                positive.push((i as i32, cumulative - before));
            }
            before = *cumulative;
        }
        let bounds = self.buckets.iter().map(|b| b.0).filter(|b| b.is_finite());
        FloatHistogram {
            reset: CounterReset::Unknown,
            schema: Schema::Custom,
            zero_threshold: 0.0,
            zero_count: 0.0,
            count,
            sum: self.sum.unwrap_or(0.0),
            positive,
            negative: Vec::new(),
            custom_values: bounds.collect(),
        }
    }
}
