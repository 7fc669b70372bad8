//! `histogram_quantile`, `histogram_quantiles` and `histogram_fraction`, over native histograms
//! and over classic ones, whose buckets are series with a label `le`.

use std::collections::HashMap;
use std::sync::Arc;

use ringwell_storage::model::{FloatHistogram, Labels};

use super::Context;
use super::call::{rows_of, scalar_of, text_of};
use super::labels::label_name;
use crate::error::QueryError;
use crate::func::classic::{Classic, ClassicBucket};
use crate::func::histogram::fraction;
use crate::func::quantile::{NanNote, holding, quantile};
use crate::notes::named;
use crate::parse::Span;
use crate::plan::Node;
use crate::value::{Cell, Column, Row, Steps, format_float, format_general};
use std::sync::PoisonError;

const BUCKET_LABEL: &str = "le";

/// What is asked of each histogram.
enum Ask {
    /// Quantiles, each with the label value that tells it apart.
    Quantiles {
        label: Option<String>,
        quantiles: Vec<Vec<f64>>,
    },
    Fraction {
        lower: Vec<f64>,
        upper: Vec<f64>,
    },
}

pub(super) fn eval(
    ctx: &Context<'_>,
    name: &str,
    args: &[Node],
    span: Span,
    steps: Steps,
) -> Result<Vec<Row>, QueryError> {
    let span_of = |i: usize| args.get(i).map_or(span, |a| a.span);
    let (ask, rows_at) = match name {
        "histogram_fraction" => {
            let (lower, upper) = (scalar_of(ctx, args, 0, steps)?, scalar_of(ctx, args, 1, steps)?);
            (Ask::Fraction { lower, upper }, 2)
        }
        "histogram_quantile" => {
            let quantiles = vec![scalar_of(ctx, args, 0, steps)?];
            warn_of_range(ctx, span_of(0), &quantiles);
            (Ask::Quantiles { label: None, quantiles }, 1)
        }
        _ => {
            let label = label_name(args.get(1).map(text_of).unwrap_or_default(), |name| {
                format!("invalid label name {name:?}")
            })?;
            let mut quantiles = Vec::new();
            for i in 2..args.len() {
                let values = vec![scalar_of(ctx, args, i, steps)?];
                warn_of_range(ctx, span_of(i), &values);
                quantiles.extend(values);
            }
            (Ask::Quantiles { label: Some(label), quantiles }, 0)
        }
    };
    let rows = rows_of(ctx, args, rows_at, steps)?;
    let work = Work {
        ctx,
        span: span_of(rows_at),
        ask,
        steps,
        out: Vec::new(),
        rows: Vec::new(),
        buckets: Vec::new(),
    };
    work.run(&rows)
}

/// `quantile_bounds(q, v)`: of each histogram, native or classic, the two ends of the bucket that
/// holds the quantile, as series with `bound="lower"` and `bound="upper"`.
pub(super) fn bounds(
    ctx: &Context<'_>,
    args: &[Node],
    steps: Steps,
) -> Result<Vec<Row>, QueryError> {
    let quantiles = vec![scalar_of(ctx, args, 0, steps)?];
    let span_of = |i: usize| args.get(i).map_or_else(Span::default, |a| a.span);
    warn_of_range(ctx, span_of(0), &quantiles);
    let q = |i: usize| quantiles.first().and_then(|q| q.get(i)).copied().unwrap_or(f64::NAN);
    let rows = rows_of(ctx, args, 1, steps)?;
    let mut out = Vec::new();
    for (labels, family) in families(ctx, span_of(1), &rows) {
        let mut ends = [Column::empty(steps.count), Column::empty(steps.count)];
        for i in 0..steps.count {
            let found = match (family.native_at(i), family.buckets_at(i)) {
                (Some(native), buckets) if buckets.is_empty() => holding(native, q(i)),
                (None, buckets) => Classic::sorted(buckets, steps.at(i)).holding(q(i)),
                _ => {
                    let text = "vector contains a mix of classic and native histograms";
                    ctx.warn(span_of(1), named(text, labels.metric_name()));
                    None
                }
            };
            let Some((lower, upper)) = found else { continue };
            let [low, high] = &mut ends;
            low.set_float(i, lower);
            high.set_float(i, upper);
        }
        for (bound, column) in ["lower", "upper"].into_iter().zip(ends) {
            let mut labels = labels.to_builder();
            labels.set("bound", bound);
            let labels = labels.build().unwrap_or_else(|_| Labels::empty());
            if !column.is_empty() {
                out.push(Row { labels, drop_name: true, column });
            }
        }
    }
    Ok(out)
}

fn warn_of_range(ctx: &Context<'_>, span: Span, quantiles: &[Vec<f64>]) {
    let bad = quantiles.iter().flatten().find(|q| !(0.0..=1.0).contains(*q));
    if let Some(bad) = bad {
        let text =
            format!("quantile value should be between 0 and 1, got {}", format_general(*bad));
        ctx.warn(span, text);
    }
}

struct Work<'a> {
    ctx: &'a Context<'a>,
    span: Span,
    ask: Ask,
    steps: Steps,
    out: Vec<Row>,
    /// Rows of the family at work, by what tells them apart.
    rows: Vec<(Option<String>, usize)>,
    /// Memory that goes from step to step.
    buckets: Vec<ClassicBucket>,
}

/// The series of one histogram.
#[derive(Default)]
struct Family<'a> {
    native: Vec<&'a Row>,
    buckets: Vec<(f64, &'a Row)>,
}

impl<'a> Family<'a> {
    fn native_at(&self, i: usize) -> Option<&'a Arc<FloatHistogram>> {
        self.native.iter().find_map(|row| match row.column.get(i) {
            Cell::Histogram(h) => Some(h),
            _ => None,
        })
    }

    fn buckets_at(&self, i: usize) -> Vec<ClassicBucket> {
        let mut buckets = Vec::new();
        self.put_buckets(i, &mut buckets);
        buckets
    }

    fn put_buckets(&self, i: usize, out: &mut Vec<ClassicBucket>) {
        out.extend(self.buckets.iter().filter_map(|(upper, row)| match row.column.get(i) {
            Cell::Float(count) => Some(ClassicBucket { upper: *upper, count }),
            _ => None,
        }));
    }
}

impl Work<'_> {
    fn run(mut self, rows: &[Row]) -> Result<Vec<Row>, QueryError> {
        let families = families(self.ctx, self.span, rows);
        for (labels, family) in &families {
            self.rows.clear();
            for i in 0..self.steps.count {
                self.step(labels, family, i)?;
            }
        }
        Ok(self.out)
    }

    fn step(&mut self, labels: &Labels, family: &Family<'_>, i: usize) -> Result<(), QueryError> {
        let native = family.native_at(i);
        let mut buckets = std::mem::take(&mut self.buckets);
        buckets.clear();
        family.put_buckets(i, &mut buckets);
        let metric = labels.metric_name();
        match (native, buckets.is_empty()) {
            (None, true) => Ok(()),
            (Some(_), false) => {
                let text = "vector contains a mix of classic and native histograms";
                self.ctx.warn(self.span, named(text, metric));
                Ok(())
            }
            (Some(h), true) => {
                let (ctx, span) = (self.ctx, self.span);
                if matches!(self.ask, Ask::Fraction { .. }) && h.sum.is_nan() && h.count > 0.0 {
                    let text = "input to histogram_fraction has NaN observations, which are \
                                excluded from all fractions";
                    ctx.info(span, named(text, metric));
                }
                let of_quantile = |q: f64| {
                    let (value, note) = quantile(h, q);
                    let result = match note {
                        NanNote::None => return value,
                        NanNote::ResultIsNan => "result is NaN",
                        NanNote::SkewedHigher => "result is skewed higher",
                    };
                    let text =
                        format!("input to histogram_quantile has NaN observations, {result}");
                    ctx.info(span, named(&text, metric));
                    value
                };
                self.answers(labels, i, of_quantile, |l, u| fraction(h, l, u))
            }
            (None, false) => {
                let classic = Classic::sorted(buckets, self.steps.at(i));
                if let (Some(forced), Ask::Quantiles { .. }) = (classic.forced, &self.ask) {
                    let mut notes = self.ctx.notes.lock().unwrap_or_else(PoisonError::into_inner);
                    notes.forced_monotonic(self.span, metric, forced);
                }
                self.answers(labels, i, |q| classic.quantile(q), |l, u| classic.fraction(l, u))?;
                self.buckets = classic.into_buckets();
                Ok(())
            }
        }
    }

    fn answers(
        &mut self,
        labels: &Labels,
        i: usize,
        quantile: impl Fn(f64) -> f64,
        fraction: impl Fn(f64, f64) -> f64,
    ) -> Result<(), QueryError> {
        let at = |values: &[f64]| values.get(i).copied().unwrap_or(f64::NAN);
        match &self.ask {
            Ask::Fraction { lower, upper } => {
                let value = fraction(at(lower), at(upper));
                self.put(labels, None, i, value)
            }
            Ask::Quantiles { label, quantiles } => {
                let Some(label) = label.clone() else {
                    let q = quantiles.first().map_or(f64::NAN, |q| at(q));
                    return self.put(labels, None, i, quantile(q));
                };
                let all: Vec<(f64, f64)> =
                    quantiles.iter().map(|q| (at(q), quantile(at(q)))).collect();
                for (q, value) in all {
                    self.put(labels, Some((&label, quantile_text(q))), i, value)?;
                }
                Ok(())
            }
        }
    }

    fn put(
        &mut self,
        labels: &Labels,
        extra: Option<(&str, String)>,
        i: usize,
        value: f64,
    ) -> Result<(), QueryError> {
        let text = extra.as_ref().map(|extra| &extra.1);
        let known = self.rows.iter().find(|(known, _)| known.as_ref() == text);
        let at = match known {
            Some((_, at)) => *at,
            None => {
                let mut labels = labels.clone();
                let text = text.cloned();
                if let Some((name, text)) = extra {
                    let mut builder = labels.to_builder();
                    builder.set(name, &text);
                    labels = builder.build().map_err(|e| QueryError::execution(e.to_string()))?;
                }
                let column = Column::empty(self.steps.count);
                self.out.push(Row { labels, drop_name: true, column });
                self.rows.push((text, self.out.len() - 1));
                self.out.len() - 1
            }
        };
        if let Some(row) = self.out.get_mut(at) {
            row.column.set_float(i, value);
        }
        Ok(())
    }
}

/// The series of each histogram, its buckets in order once, so that no step has to sort.
fn families<'r>(ctx: &Context<'_>, span: Span, rows: &'r [Row]) -> Vec<(Labels, Family<'r>)> {
    let mut families: Vec<(Labels, Family<'_>)> = Vec::new();
    let mut index: HashMap<Labels, usize> = HashMap::new();
    for row in rows {
        let native = (0..row.column.len()).any(|i| matches!(row.column.get(i), Cell::Histogram(_)));
        if native && let Some(family) = family_of(&mut families, &mut index, &row.labels) {
            family.native.push(row);
        }
        let floats = (0..row.column.len()).any(|i| matches!(row.column.get(i), Cell::Float(_)));
        if floats {
            let le = row.labels.get(BUCKET_LABEL).unwrap_or("");
            let Some(upper) = parse_bound(le) else {
                let text = format!(
                    "bucket label {BUCKET_LABEL:?} is missing or has a malformed value of {le:?}"
                );
                ctx.warn(span, named(&text, row.labels.metric_name()));
                continue;
            };
            let labels = row.labels.without(&[BUCKET_LABEL]);
            if let Some(family) = family_of(&mut families, &mut index, &labels) {
                family.buckets.push((upper, row));
            }
        }
    }
    for (_, family) in &mut families {
        family.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    families
}

fn family_of<'f, 'r>(
    families: &'f mut Vec<(Labels, Family<'r>)>,
    index: &mut HashMap<Labels, usize>,
    labels: &Labels,
) -> Option<&'f mut Family<'r>> {
    let next = families.len();
    let at = *index.entry(labels.clone()).or_insert(next);
    if at == next {
        families.push((labels.clone(), Family::default()));
    }
    families.get_mut(at).map(|f| &mut f.1)
}

/// A quantile as a label's value: whole numbers keep a decimal.
fn quantile_text(q: f64) -> String {
    if q.is_finite() && q.fract() == 0.0 { format!("{q:.1}") } else { format_float(q) }
}

fn parse_bound(text: &str) -> Option<f64> {
    match text.trim_start_matches('+').to_ascii_lowercase().as_str() {
        "inf" | "infinity" => Some(f64::INFINITY),
        "" => None,
        other => other.parse().ok().filter(|b: &f64| !b.is_nan()),
    }
}
