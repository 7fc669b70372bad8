//! Values on their way through the operators: one series is a row of cells, one a step.

use std::sync::Arc;

use ringwell_storage::model::{FloatHistogram, Labels};

/// A histogram counts as so many samples as take its memory.
pub(crate) fn weight_of(histogram: &FloatHistogram) -> usize {
    histogram.byte_len().div_ceil(SAMPLE_BYTES)
}

/// Memory of a sample: its time and its value.
pub(crate) const SAMPLE_BYTES: usize = 16;

/// What one series has at one step.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cell<'a> {
    None,
    Float(f64),
    Histogram(&'a Arc<FloatHistogram>),
}

/// The steps of a query or subquery, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Steps {
    pub(crate) start: i64,
    pub(crate) step: i64,
    pub(crate) count: usize,
}

impl Steps {
    pub(crate) fn once(t: i64) -> Steps {
        Steps { start: t, step: 1, count: 1 }
    }

    pub(crate) fn at(self, i: usize) -> i64 {
        self.start.saturating_add(self.step.saturating_mul(i as i64))
    }

    pub(crate) fn last(self) -> i64 {
        self.at(self.count.saturating_sub(1))
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = i64> {
        (0..self.count).map(move |i| self.at(i))
    }
}

/// A row of cells. `kinds` says what each is; histograms take memory only where there are any.
#[derive(Clone, Debug, Default)]
pub(crate) struct Column {
    kinds: Vec<u8>,
    floats: Vec<f64>,
    histograms: Vec<Option<Arc<FloatHistogram>>>,
}

const NONE: u8 = 0;
const FLOAT: u8 = 1;
const HISTOGRAM: u8 = 2;

impl Column {
    /// A row of `count` empty cells.
    pub(crate) fn empty(count: usize) -> Column {
        Column { kinds: vec![NONE; count], floats: vec![0.0; count], histograms: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.kinds.len()
    }

    pub(crate) fn get(&self, i: usize) -> Cell<'_> {
        match self.kinds.get(i) {
            Some(&FLOAT) => Cell::Float(self.floats.get(i).copied().unwrap_or(f64::NAN)),
            Some(&HISTOGRAM) => match self.histograms.get(i) {
                Some(Some(histogram)) => Cell::Histogram(histogram),
                _ => Cell::None,
            },
            _ => Cell::None,
        }
    }

    /// The floats, cell by cell; `None` if there are histograms.
    pub(crate) fn floats(&self) -> Option<impl Iterator<Item = Option<f64>> + '_> {
        let cells = self.kinds.iter().zip(&self.floats);
        let cells = cells.map(|(kind, float)| (*kind == FLOAT).then_some(*float));
        self.histograms.is_empty().then_some(cells)
    }

    pub(crate) fn set_float(&mut self, i: usize, value: f64) {
        if let (Some(kind), Some(float)) = (self.kinds.get_mut(i), self.floats.get_mut(i)) {
            *kind = FLOAT;
            *float = value;
        }
    }

    pub(crate) fn set_histogram(&mut self, i: usize, value: Arc<FloatHistogram>) {
        if self.histograms.is_empty() {
            self.histograms.resize(self.kinds.len(), None);
        }
        if let (Some(kind), Some(slot)) = (self.kinds.get_mut(i), self.histograms.get_mut(i)) {
            *kind = HISTOGRAM;
            *slot = Some(value);
        }
    }

    pub(crate) fn set(&mut self, i: usize, cell: Cell<'_>) {
        match cell {
            Cell::None => self.clear(i),
            Cell::Float(value) => self.set_float(i, value),
            Cell::Histogram(value) => self.set_histogram(i, Arc::clone(value)),
        }
    }

    pub(crate) fn clear(&mut self, i: usize) {
        if let Some(kind) = self.kinds.get_mut(i) {
            *kind = NONE;
        }
    }

    pub(crate) fn has(&self, i: usize) -> bool {
        self.kinds.get(i).is_some_and(|k| *k != NONE)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.kinds.iter().all(|k| *k == NONE)
    }

    pub(crate) fn has_histograms(&self) -> bool {
        !self.histograms.is_empty() && self.kinds.contains(&HISTOGRAM)
    }

    /// How many cells hold something.
    pub(crate) fn filled(&self) -> usize {
        self.kinds.iter().filter(|k| **k != NONE).count()
    }

    /// About how much memory it takes.
    pub(crate) fn byte_len(&self) -> usize {
        let cells = self.kinds.len() + self.floats.len() * size_of::<f64>();
        let slots = self.histograms.len() * size_of::<Option<Arc<FloatHistogram>>>();
        let histograms = self.histograms.iter().flatten().map(|h| h.byte_len());
        cells + slots + histograms.sum::<usize>()
    }

    /// What its cells count as in the budget.
    pub(crate) fn weight(&self) -> usize {
        let histograms = self.histograms.iter().flatten().map(|h| weight_of(h));
        self.filled() + histograms.sum::<usize>()
    }

    /// The first cell in each of `count` places.
    pub(crate) fn repeated(&self, count: usize) -> Column {
        let mut out = Column::empty(count);
        for i in 0..count {
            out.set(i, self.get(0));
        }
        out
    }
}

/// A series of a vector, over all steps.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) labels: Labels,
    /// The metric's name is to be dropped from the answer.
    pub(crate) drop_name: bool,
    pub(crate) column: Column,
}

/// What an operator gives.
#[derive(Clone, Debug)]
pub(crate) enum Evaluated {
    Scalar(Vec<f64>),
    Text(String),
    Vector(Vec<Row>),
}

/// A number as Prometheus's API prints it: the shortest decimal that reads back the same.
pub fn format_float(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() }
    } else {
        format!("{value}")
    }
}

/// A number as Go's `%g` prints it.
pub(crate) fn format_general(value: f64) -> String {
    if !value.is_finite() || value == 0.0 {
        return format_float(value);
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        return format_float(value);
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// Two digits of a number, as Go's `%.2g` has them.
pub(crate) fn format_two_digits(value: f64) -> String {
    let rounded = format!("{value:.1e}").parse().unwrap_or(value);
    let scientific = format!("{rounded:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !value.is_finite() || rounded == 0.0 || (-4..2).contains(&exponent) {
        return format_float(rounded);
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// A histogram as Prometheus prints it where it becomes a label's value.
pub(crate) fn format_histogram(histogram: &FloatHistogram) -> String {
    let mut out = format!(
        "{{count:{}, sum:{}",
        format_general(histogram.count),
        format_general(histogram.sum)
    );
    for b in histogram.buckets() {
        out.push_str(&format!(
            ", {}{},{}{}:{}",
            if b.lower_inclusive { '[' } else { '(' },
            format_general(b.lower),
            format_general(b.upper),
            if b.upper_inclusive { ']' } else { ')' },
            format_general(b.count)
        ));
    }
    out.push('}');
    out
}
