//! What remote write carries beside samples: exemplars and metadata, read with the series they stand by.

use ringwell_storage::exemplars::{Exemplar, SeriesExemplar};
use ringwell_storage::metadata::{Metadata, MetricMetadata, MetricType};
use ringwell_storage::model::{LabelError, Labels, METRIC_NAME};

use super::protobuf::{Field, Malformed};

/// Of one request so many of each are taken; a ring holds no more anyway.
const MAX: usize = 100_000;
/// Bytes of metadata taken of one request, which may refer to one long text many times.
const MAX_METADATA_BYTES: usize = 16 << 20;

/// Exemplars and metadata of one request.
#[derive(Debug, Default)]
pub struct Beside {
    /// Exemplars with their series.
    pub exemplars: Vec<SeriesExemplar>,
    /// Metadata by metric.
    pub metadata: Vec<MetricMetadata>,
    /// Exemplars whose own labels or whose series' are none, and those beyond the bound.
    pub refused_exemplars: u64,
    /// Metadata without a metric or that is no text, and what is beyond the bound.
    pub refused_metadata: u64,
    metadata_bytes: usize,
}

impl Beside {
    pub(super) fn take_exemplar(
        &mut self,
        series: &Labels,
        exemplar: Result<Exemplar, LabelError>,
    ) {
        match exemplar {
            Ok(exemplar) if self.exemplars.len() < MAX => {
                self.exemplars.push(SeriesExemplar { series: series.clone(), exemplar });
            }
            _ => self.refused_exemplars += 1,
        }
    }

    pub(super) fn refuse_exemplars(&mut self, count: usize) {
        self.refused_exemplars += count as u64;
    }

    /// Takes metadata whose texts are still bytes, its type by number.
    pub(super) fn take_metadata(&mut self, kind: u64, metric: &[u8], help: &[u8], unit: &[u8]) {
        let text = |bytes| std::str::from_utf8(bytes).ok();
        let texts = (text(metric), text(help), text(unit));
        let (Some(metric), Some(help), Some(unit)) = texts else {
            self.refused_metadata += 1;
            return;
        };
        let kind = MetricType::from_number(kind);
        // The series of a family come one after the other.
        let same = |last: &MetricMetadata| {
            let of = &last.metadata;
            (last.metric.as_str(), of.kind, of.help.as_str(), of.unit.as_str())
                == (metric, kind, help, unit)
        };
        if self.metadata.last().is_some_and(same) {
            return;
        }
        self.metadata_bytes += metric.len() + help.len() + unit.len();
        let full = self.metadata.len() >= MAX || self.metadata_bytes > MAX_METADATA_BYTES;
        if metric.is_empty() || full {
            self.refused_metadata += 1;
            return;
        }
        let metadata = Metadata { kind, help: help.to_owned(), unit: unit.to_owned() };
        self.metadata.push(MetricMetadata { metric: metric.to_owned(), metadata });
    }
}

/// Value and time of an exemplar; its labels are read by each version in its own way.
pub(super) fn value_and_time(exemplar: &Field<'_>) -> Result<(f64, i64), Malformed> {
    let (mut value, mut t) = (0.0, 0);
    let mut fields = exemplar.message()?;
    while let Some(field) = fields.next()? {
        match field.number {
            2 => value = field.double()?,
            3 => t = field.int64()?,
            _ => {}
        }
    }
    Ok((value, t))
}

/// The family of a series in 2.0, whose metadata stands by each of its series.
pub(super) fn family(series: &Labels, kind: u64) -> &str {
    let name = series.get(METRIC_NAME).unwrap_or("");
    let suffixes: &[&str] = match MetricType::from_number(kind) {
        MetricType::Histogram | MetricType::GaugeHistogram => {
            &["_bucket", "_count", "_sum", "_gcount", "_gsum"]
        }
        MetricType::Summary => &["_count", "_sum"],
        _ => &[],
    };
    suffixes.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_of_series() {
        for (name, kind, wanted) in [
            ("h_bucket", 3, "h"),
            ("h_sum", 3, "h"),
            ("s_count", 5, "s"),
            ("s_bucket", 5, "s_bucket"),
            ("c_total", 1, "c_total"),
            ("queue_count", 2, "queue_count"),
        ] {
            let series = Labels::from_pairs([(METRIC_NAME, name)]).unwrap();
            assert_eq!(family(&series, kind), wanted, "{name} {kind}");
        }
    }

    #[test]
    fn a_text_that_is_referred_to_again_and_again_is_bounded() {
        let mut beside = Beside::default();
        let help = vec![b'x'; 1 << 20];
        for i in 0..100 {
            beside.take_metadata(1, format!("m{i}").as_bytes(), &help, b"");
        }
        assert_eq!((beside.metadata.len(), beside.refused_metadata), (15, 85));
        beside.take_metadata(1, b"m14", &help, b"");
        assert_eq!(beside.refused_metadata, 85, "the same again costs nothing");
    }
}
