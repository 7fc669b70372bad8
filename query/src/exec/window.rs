//! A window of one series' samples, and how functions over ranges see it.

use std::sync::Arc;

use ringwell_storage::model::FloatHistogram;

use super::Context;
use super::samples::Samples;
use crate::parse::Span;
use crate::parse::expr::Edges;

/// The samples of a series in `(from, to]`.
pub(crate) struct Window<'a> {
    /// All that was read of the series, beyond the window too.
    pub(crate) all: &'a Samples,
    /// First sample inside.
    pub(crate) lo: usize,
    /// First sample after.
    pub(crate) hi: usize,
    pub(crate) from: i64,
    pub(crate) to: i64,
}

/// The call a window belongs to.
pub(crate) struct Call<'a> {
    pub(crate) ctx: &'a Context<'a>,
    /// The metric's name.
    pub(crate) metric: &'a str,
    /// The place of the range argument.
    pub(crate) span: Span,
    /// The place of the first scalar argument, or of the call.
    pub(crate) param_span: Span,
    /// The step's time.
    pub(crate) t: i64,
    /// Scalar arguments at this step.
    pub(crate) params: [f64; 2],
    pub(crate) edges: Edges,
    /// How far anchored and smoothed look beyond the window.
    pub(crate) lookback: i64,
}

/// What a function makes of a window.
#[derive(Clone, Debug)]
pub(crate) enum Out {
    Float(f64),
    Histogram(Arc<FloatHistogram>),
}

impl<'a> Window<'a> {
    pub(crate) fn len(&self) -> usize {
        self.hi - self.lo
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.hi <= self.lo
    }

    pub(crate) fn times(&self) -> &'a [i64] {
        self.all.t.get(self.lo..self.hi).unwrap_or_default()
    }

    /// All floats; where there are histograms too, zeros stand in their places.
    pub(crate) fn values(&self) -> &'a [f64] {
        self.all.v.get(self.lo..self.hi).unwrap_or_default()
    }

    pub(crate) fn histograms(
        &self,
    ) -> impl DoubleEndedIterator<Item = &'a Arc<FloatHistogram>> + use<'a> {
        self.all.h.get(self.lo..self.hi).unwrap_or_default().iter().flatten()
    }

    /// The floats with their times, without histograms.
    pub(crate) fn floats(&self) -> impl DoubleEndedIterator<Item = (i64, f64)> + Clone + use<'a> {
        let (all, lo) = (self.all, self.lo);
        let pairs = self.times().iter().zip(self.values()).enumerate();
        pairs.filter(move |(i, _)| all.histogram(lo + i).is_none()).map(|(_, (&t, &v))| (t, v))
    }

    pub(crate) fn has_histograms(&self) -> bool {
        self.histograms().next().is_some()
    }

    pub(crate) fn has_floats(&self) -> bool {
        self.floats().next().is_some()
    }

    /// The length of the range in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        self.to.saturating_sub(self.from) as f64 / 1000.0
    }
}

impl Call<'_> {
    pub(crate) fn metric(&self) -> &str {
        self.metric
    }

    pub(crate) fn warn(&self, text: impl AsRef<str>) {
        self.ctx.warn(self.span, text);
    }

    pub(crate) fn info(&self, text: impl AsRef<str>) {
        self.ctx.info(self.span, text);
    }
}
