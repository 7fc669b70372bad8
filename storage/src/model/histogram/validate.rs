//! What a histogram must satisfy before it is taken in.

use super::{Counts, Histogram, HistogramError, Schema, Span};

/// No more buckets than this a side: a span's length is only a number somebody sent.
const MAX_BUCKETS: u64 = 1 << 20;

impl Histogram {
    /// Checks spans against counts, signs, sums and bounds. Whole-number histograms must add up;
    /// float ones may not, since sums and rates round.
    pub fn validate(&self) -> Result<(), HistogramError> {
        let (positive, negative) = match &self.counts {
            Counts::Integer { positive, negative, .. } => (positive.len(), negative.len()),
            Counts::Float { positive, negative, .. } => (positive.len(), negative.len()),
        };
        check_spans("positive", &self.positive_spans, positive)?;
        check_spans("negative", &self.negative_spans, negative)?;
        if self.schema == Schema::Custom {
            self.check_custom()?;
        } else if !self.custom_values.is_empty() {
            return Err(HistogramError::CustomBounds(
                "only allowed with the custom bucket schema".to_owned(),
            ));
        }
        if self.zero_threshold.is_nan() || self.zero_threshold < 0.0 {
            let text = format!("zero threshold must not be negative, is {}", self.zero_threshold);
            return Err(HistogramError::Invalid(text));
        }
        match &self.counts {
            Counts::Integer { count, zero, positive, negative } => {
                self.check_whole(*count, *zero, positive, negative)
            }
            Counts::Float { count, zero, positive, negative } => {
                check_floats(*count, *zero, positive, negative)
            }
        }
    }

    fn check_custom(&self) -> Result<(), HistogramError> {
        let fault = |text: String| Err(HistogramError::CustomBounds(text));
        let zero = match &self.counts {
            Counts::Integer { zero, .. } => *zero as f64,
            Counts::Float { zero, .. } => *zero,
        };
        if zero != 0.0 || self.zero_threshold != 0.0 {
            return fault("must have no zero bucket".to_owned());
        }
        if !self.negative_spans.is_empty() {
            return fault("must have no negative buckets".to_owned());
        }
        for (i, pair) in self.custom_values.windows(2).enumerate() {
            if let [a, b] = pair
                && (a.is_nan() || b.is_nan() || a >= b)
            {
                return fault(format!("bound {} ({b}) does not follow {a}", i + 2));
            }
        }
        if self.custom_values.iter().any(|b| !b.is_finite()) {
            return fault("bounds must be finite".to_owned());
        }
        let end = self.positive_spans.iter().fold(0_i64, |end, s| {
            end.saturating_add(i64::from(s.offset)).saturating_add(i64::from(s.length))
        });
        let first = self.positive_spans.first().map_or(0, |s| s.offset);
        if first < 0 || end > self.custom_values.len() as i64 + 1 {
            return fault(format!("{} bounds, but buckets up to {end}", self.custom_values.len()));
        }
        Ok(())
    }

    fn check_whole(
        &self,
        count: u64,
        zero: u64,
        positive: &[u64],
        negative: &[u64],
    ) -> Result<(), HistogramError> {
        let all = positive.iter().chain(negative);
        let buckets = all.fold(zero, |sum, c| sum.saturating_add(*c));
        // Observations of NaN are in the count and in no bucket; they make the sum NaN.
        let fits = if self.sum.is_nan() { buckets <= count } else { buckets == count };
        if fits { Ok(()) } else { Err(HistogramError::CountMismatch { buckets, count }) }
    }
}

fn check_floats(
    count: f64,
    zero: f64,
    positive: &[f64],
    negative: &[f64],
) -> Result<(), HistogramError> {
    if count < 0.0 {
        return Err(HistogramError::Invalid(format!("observation count is {count}")));
    }
    if zero < 0.0 {
        return Err(HistogramError::Invalid(format!(
            "zero bucket has observation count of {zero}"
        )));
    }
    for (side, counts) in [("positive", positive), ("negative", negative)] {
        if let Some(at) = counts.iter().position(|c| *c < 0.0) {
            let count = counts.get(at).copied().unwrap_or(0.0);
            return Err(HistogramError::NegativeCount { side, number: at + 1, count });
        }
    }
    Ok(())
}

fn check_spans(side: &'static str, spans: &[Span], have: usize) -> Result<(), HistogramError> {
    for (i, span) in spans.iter().enumerate().skip(1) {
        if span.offset < 0 {
            return Err(HistogramError::NegativeOffset {
                side,
                number: i + 1,
                offset: span.offset,
            });
        }
    }
    let need: u64 = spans.iter().map(|s| u64::from(s.length)).sum();
    let have = have as u64;
    if need != have || need > MAX_BUCKETS {
        return Err(HistogramError::BucketCount { side, need, have });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::CounterReset;

    fn whole(count: u64, positive: &[u64], length: u32) -> Histogram {
        Histogram {
            reset: CounterReset::Unknown,
            schema: Schema::Exponential(0),
            zero_threshold: 0.0,
            sum: 1.0,
            positive_spans: vec![Span { offset: 0, length }],
            negative_spans: vec![],
            custom_values: [].into(),
            counts: Counts::Integer {
                count,
                zero: 0,
                positive: positive.to_vec(),
                negative: vec![],
            },
        }
    }

    #[test]
    fn counts_and_spans_must_agree() {
        assert_eq!(whole(3, &[1, 2], 2).validate(), Ok(()));
        assert!(matches!(
            whole(4, &[1, 2], 2).validate(),
            Err(HistogramError::CountMismatch { buckets: 3, count: 4 })
        ));
        assert!(matches!(
            whole(3, &[1, 2], 3).validate(),
            Err(HistogramError::BucketCount { need: 3, have: 2, .. })
        ));
        let nan = Histogram { sum: f64::NAN, ..whole(9, &[1, 2], 2) };
        assert_eq!(nan.validate(), Ok(()));
    }

    #[test]
    fn custom_bounds_ascend_and_cover() {
        let custom = |bounds: &[f64]| Histogram {
            schema: Schema::Custom,
            custom_values: bounds.into(),
            ..whole(3, &[1, 2], 2)
        };
        assert_eq!(custom(&[1.0]).validate(), Ok(()));
        assert!(custom(&[]).validate().is_err());
        assert!(custom(&[2.0, 1.0]).validate().is_err());
        assert!(custom(&[1.0, f64::INFINITY]).validate().is_err());
    }
}
