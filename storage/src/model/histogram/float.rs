//! The working form of a histogram: floats, and buckets as sparse `(index, count)` pairs.
//!
//! Queries convert a sample once when they read it and compute in this form; [`Histogram`] with
//! its spans is what disk and wire see. Invariants: indexes ascend strictly within a side, and
//! only populated buckets are kept.

use std::sync::Arc;

use super::{CounterReset, Counts, Histogram, Schema, Span};

/// A histogram to compute with.
#[derive(Clone, Debug)]
pub struct FloatHistogram {
    /// What is known about a counter reset before this sample.
    pub reset: CounterReset,
    /// How buckets get their bounds.
    pub schema: Schema,
    /// Half width of the zero bucket.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    /// All observations.
    pub count: f64,
    /// Sum of all observations.
    pub sum: f64,
    /// Populated positive buckets.
    pub positive: Vec<(i32, f64)>,
    /// Populated negative buckets, by the index of their mirror image.
    pub negative: Vec<(i32, f64)>,
    /// Upper bounds of custom buckets without +Inf.
    pub custom_values: Arc<[f64]>,
}

impl FloatHistogram {
    /// Nothing observed, in the layout of `like`.
    pub fn empty_like(like: &FloatHistogram) -> FloatHistogram {
        FloatHistogram {
            reset: CounterReset::Unknown,
            schema: like.schema,
            zero_threshold: 0.0,
            zero_count: 0.0,
            count: 0.0,
            sum: 0.0,
            positive: Vec::new(),
            negative: Vec::new(),
            custom_values: Arc::clone(&like.custom_values),
        }
    }

    /// About how much memory it takes.
    pub fn byte_len(&self) -> usize {
        let buckets = self.positive.capacity() + self.negative.capacity();
        size_of::<FloatHistogram>() + buckets * size_of::<(i32, f64)>()
    }

    /// Whether the bounds are explicit.
    pub fn is_custom(&self) -> bool {
        self.schema == Schema::Custom
    }

    /// Whether both observe the same, whatever is known about resets.
    pub fn same_observations(&self, other: &FloatHistogram) -> bool {
        self.schema == other.schema
            && self.count == other.count
            && self.sum == other.sum
            && self.zero_threshold == other.zero_threshold
            && self.zero_count == other.zero_count
            && self.positive == other.positive
            && self.negative == other.negative
            && (!self.is_custom() || self.custom_values == other.custom_values)
    }

    /// The form for disk and wire.
    pub fn to_histogram(&self) -> Histogram {
        let (positive_spans, positive) = pack(&self.positive);
        let (negative_spans, negative) = pack(&self.negative);
        Histogram {
            reset: self.reset,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            sum: self.sum,
            positive_spans,
            negative_spans,
            custom_values: Arc::clone(&self.custom_values),
            counts: Counts::Float { count: self.count, zero: self.zero_count, positive, negative },
        }
    }
}

impl From<&Histogram> for FloatHistogram {
    fn from(h: &Histogram) -> FloatHistogram {
        let (count, zero_count, positive, negative) = match &h.counts {
            Counts::Integer { count, zero, positive, negative } => (
                *count as f64,
                *zero as f64,
                unpack(&h.positive_spans, positive.iter().map(|&c| c as f64)),
                unpack(&h.negative_spans, negative.iter().map(|&c| c as f64)),
            ),
            Counts::Float { count, zero, positive, negative } => (
                *count,
                *zero,
                unpack(&h.positive_spans, positive.iter().copied()),
                unpack(&h.negative_spans, negative.iter().copied()),
            ),
        };
        FloatHistogram {
            reset: h.reset,
            schema: h.schema,
            zero_threshold: h.zero_threshold,
            zero_count,
            count,
            sum: h.sum,
            positive,
            negative,
            custom_values: Arc::clone(&h.custom_values),
        }
    }
}

fn unpack(spans: &[Span], mut counts: impl Iterator<Item = f64>) -> Vec<(i32, f64)> {
    let mut out = Vec::new();
    let mut index = 0_i32;
    for span in spans {
        index = index.saturating_add(span.offset);
        for _ in 0..span.length {
            // Spans may promise more buckets than there are counts; the counts decide.
            let Some(count) = counts.next() else { return out };
            if count != 0.0 {
                out.push((index, count));
            }
            index = index.saturating_add(1);
        }
    }
    out
}

fn pack(buckets: &[(i32, f64)]) -> (Vec<Span>, Vec<f64>) {
    let mut spans: Vec<Span> = Vec::new();
    let mut next = 0_i32;
    for &(index, _) in buckets {
        match spans.last_mut() {
            Some(span) if index == next => span.length += 1,
            _ => spans.push(Span { offset: index.saturating_sub(next), length: 1 }),
        }
        next = index.saturating_add(1);
    }
    (spans, buckets.iter().map(|b| b.1).collect())
}
