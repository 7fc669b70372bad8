//! Functions over ranges: read each series once, slide a window over it.

use ringwell_storage::model::Labels;

use super::call::{as_count, scalar_of};
use super::fold::{Elements, Folded};
use super::laid::Laid;
use super::samples::{Reading, Samples};
use super::training::Axes;
use super::window::{Call, Out, Window};
use super::{Context, eval, parallel, scalar, vector};
use crate::error::QueryError;
use crate::func::RangeFn;
use crate::func::quick::Quick;
use crate::func::rate::{Kind, doubt, lost_in};
use crate::limits::{Looked, over_budget};
use crate::parse::Span;
use crate::parse::expr::{Edges, ValueType};
use crate::plan::{Node, Op, Shift, Subquery};
use crate::value::{Column, Row, Steps};

/// A call of `f` with its one range argument and up to two scalars, in any order.
pub(super) struct RangeCall<'a> {
    pub(super) f: RangeFn,
    pub(super) keeps_name: bool,
    /// How it may be computed where windows hold nothing but floats.
    pub(super) quick: Quick,
    /// Along steps, if the series has them.
    pub(super) training: bool,
    pub(super) args: &'a [Node],
    pub(super) span: Span,
}

/// The range argument's windows, step by step.
pub(super) struct Windows {
    pub(super) range: i64,
    shift: Shift,
    edges: Edges,
    span: Span,
}

/// One window: which step, its ends, and the samples inside.
pub(crate) struct Bounds {
    pub(crate) step: usize,
    t: i64,
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) lo: usize,
    pub(crate) hi: usize,
}

impl Windows {
    /// The ends of the window of a step at `t`; the first is outside.
    pub(super) fn ends(&self, t: i64) -> (i64, i64) {
        let to = self.shift.apply(t);
        (to.saturating_sub(self.range), to)
    }

    /// Whether the window moves with the steps.
    pub(super) fn moves(&self) -> bool {
        self.shift.at.is_none()
    }

    /// Every window, over samples at these times.
    pub(super) fn over(&self, times: &[i64], steps: Steps) -> impl Iterator<Item = Bounds> {
        let (mut lo, mut hi) = (0, 0);
        steps.iter().enumerate().map(move |(step, t)| {
            let (from, to) = self.ends(t);
            lo = first_after(times, lo, from);
            hi = first_after(times, hi.max(lo), to);
            Bounds { step, t, from, to, lo, hi }
        })
    }
}

/// The place of the first sample after a time, from a place on. Most windows move by few samples.
fn first_after(times: &[i64], place: usize, t: i64) -> usize {
    const FEW: usize = 8;
    let rest = times.get(place..).unwrap_or_default();
    let near = rest.iter().take(FEW).take_while(|s| **s <= t).count();
    match rest.get(near..) {
        Some(far) if near == FEW => place + near + far.partition_point(|s| *s <= t),
        _ => place + near,
    }
}

impl RangeCall<'_> {
    pub(super) fn eval(&self, ctx: &Context<'_>, steps: Steps) -> Result<Vec<Row>, QueryError> {
        let mut params: Vec<Vec<f64>> = Vec::new();
        let mut param_span = self.span;
        let mut range = None;
        for arg in self.args {
            if arg.value_type() == ValueType::Matrix {
                range = Some(arg);
            } else {
                if params.is_empty() {
                    param_span = arg.span;
                }
                params.push(scalar(ctx, arg, steps)?);
            }
        }
        let Some(mut range) = range else {
            return Err(QueryError::execution("expected a range vector"));
        };
        let mut last: Option<Vec<usize>> = None;
        while let Op::Call { args, .. } = &range.op {
            let counts = scalar_of(ctx, args, 1, steps)?.into_iter().map(as_count);
            last = Some(match last {
                None => counts.collect(),
                Some(last) => last.into_iter().zip(counts).map(|(a, b)| a.min(b)).collect(),
            });
            range = args.first().ok_or_else(|| QueryError::execution("expected a range vector"))?;
        }
        let scalars = Params { values: &params, span: param_span, last };
        match &range.op {
            Op::Window(window) => {
                let windows = Windows {
                    range: window.range,
                    shift: window.select.shift,
                    edges: window.select.edges,
                    span: range.span,
                };
                self.over_series(ctx, window, &windows, &scalars, steps)
            }
            Op::Subquery(subquery) => {
                let windows = Windows {
                    range: subquery.range,
                    shift: subquery.shift,
                    edges: Edges::Plain,
                    span: range.span,
                };
                let (rows, inner) = subquery_rows(ctx, subquery, steps)?;
                parallel::map(ctx, rows.len(), steps.count + inner.count, |i, _: &mut ()| {
                    let Some(row) = rows.get(i) else { return Ok(None) };
                    let samples = Samples::of_row(row, inner);
                    let result =
                        self.slide(ctx, &row.labels, &samples, &windows, &scalars, 0, steps)?;
                    Ok(result.map(|column| Row {
                        labels: row.labels.clone(),
                        drop_name: row.drop_name || !self.keeps_name,
                        column,
                    }))
                })
            }
            _ => Err(QueryError::execution("expected a range vector")),
        }
    }

    fn over_series(
        &self,
        ctx: &Context<'_>,
        window: &crate::plan::Window,
        windows: &Windows,
        scalars: &Params<'_>,
        steps: Steps,
    ) -> Result<Vec<Row>, QueryError> {
        let select = &window.select;
        let (first, last) = (select.shift.apply(steps.start), select.shift.apply(steps.last()));
        let reach = ctx.lookback.unwrap_or(ctx.options.lookback);
        // Counter resets of the first sample show only beside the one before it.
        let before = if select.stats || select.edges != Edges::Plain { reach } else { 0 };
        let after = if select.edges == Edges::Smoothed { reach } else { 0 };
        let reading = Reading {
            from: first.saturating_sub(window.range).saturating_sub(before).saturating_add(1),
            to: last.saturating_add(after),
            stats: select.stats,
            starts: ctx.options.start_timestamps,
            keep_stale: false,
        };
        let series = ctx.series(select.source, reading.from, reading.to)?;
        let axes = self.training.then(|| Axes::of(ctx, select.source, reading)).transpose()?;
        let plain = windows.edges == Edges::Plain && scalars.last.is_none();
        let fold = match self.quick {
            Quick::Fold(fold) if plain => Some(Folded { fold, windows, steps }),
            _ => None,
        };
        let work = |i: usize, scratch: &mut (Samples, Elements, Laid)| {
            let Some(series) = series.get(i) else { return Ok(None) };
            let (samples, elements, laid) = scratch;
            let labels = series.labels();
            let row = |column: Option<Column>| {
                let (labels, drop_name) = (labels.clone(), !self.keeps_name);
                column.map(|column| Row { labels, drop_name, column })
            };
            if let Some(fold) = &fold
                && let Some(column) = fold.column(ctx, series.as_ref(), elements)?
            {
                return Ok(row(column));
            }
            samples.refill(ctx, series.as_ref(), reading)?;
            if let Some(axes) = &axes {
                axes.put(ctx, labels, reading, samples)?;
            }
            let floats = samples.h.is_empty() && samples.start.is_empty();
            let column = match self.quick {
                Quick::Change(kind) if plain && floats => {
                    let change = Change { ctx, windows, kind, steps };
                    change.of(labels, samples, laid)?
                }
                _ => self.slide(ctx, labels, samples, windows, scalars, reach, steps)?,
            };
            ctx.budget.release(samples.weight());
            Ok(row(column))
        };
        parallel::map(ctx, series.len(), steps.count * 4, work)
    }

    #[expect(clippy::too_many_arguments, reason = "one private loop, called from two places")]
    fn slide(
        &self,
        ctx: &Context<'_>,
        labels: &Labels,
        samples: &Samples,
        windows: &Windows,
        scalars: &Params<'_>,
        lookback: i64,
        steps: Steps,
    ) -> Result<Option<Column>, QueryError> {
        if samples.len() == 0 {
            return Ok(None);
        }
        let mut column = Column::empty(steps.count);
        let mut work = 0;
        let metric = labels.metric_name();
        let mut looked_at = LookedAt::new(ctx.budget.counts_steps(steps));
        for Bounds { step: i, t, from, to, lo, hi } in windows.over(&samples.t, steps) {
            if lo == hi && windows.edges == Edges::Plain {
                continue;
            }
            looked_at.add(i, lo as u64, hi as u64);
            work += hi - lo;
            if work > 1000 {
                work = 0;
                ctx.budget.check()?;
            }
            let count = scalars.last.as_ref().and_then(|last| last.get(i)).copied();
            let first = count.map_or(lo, |count| hi.saturating_sub(count).max(lo));
            if count == Some(0) {
                continue;
            }
            let window = Window { all: samples, lo: first, hi, from, to };
            let call = Call {
                ctx,
                metric,
                span: windows.span,
                param_span: scalars.span,
                t,
                params: scalars.at(i),
                edges: windows.edges,
                lookback,
            };
            match (self.f)(&window, &call) {
                None => {}
                Some(Out::Float(value)) => column.set_float(i, value),
                Some(Out::Histogram(histogram)) => column.set_histogram(i, histogram),
            }
        }
        looked_at.tell(ctx);
        if column.is_empty() {
            return Ok(None);
        }
        ctx.budget.charge(column.weight())?;
        Ok(Some(column))
    }
}

/// The change over each window of floats.
struct Change<'a> {
    ctx: &'a Context<'a>,
    windows: &'a Windows,
    kind: Kind,
    steps: Steps,
}

impl Change<'_> {
    /// Over one series; what is to be said of the metric is said once.
    fn of(
        &self,
        labels: &Labels,
        samples: &Samples,
        laid: &mut Laid,
    ) -> Result<Option<Column>, QueryError> {
        let Change { ctx, windows, kind, steps } = *self;
        let places = laid.over(&samples.t, windows, kind, steps);
        if places.is_empty() {
            return Ok(None);
        }
        let mut column = Column::empty(steps.count);
        let (values, drops) = (&samples.v, if kind.counter { samples.drops() } else { &[] });
        for place in places {
            let Some(layout) = &place.layout else { continue };
            let (lo, hi) = (place.lo, place.hi);
            let (Some(first), Some(last)) = (values.get(lo), values.get(hi - 1)) else { continue };
            let mut total = last - first;
            if !drops.is_empty() {
                total += lost_in(samples, lo, hi);
            }
            column.set_float(place.step, total * layout.factor(kind, *first, total));
        }
        let mut looked_at = LookedAt::new(ctx.budget.counts_steps(steps));
        places.iter().for_each(|p| looked_at.add(p.step, p.lo as u64, p.hi as u64));
        looked_at.tell(ctx);
        if column.is_empty() {
            return Ok(None);
        }
        if kind.counter
            && let Some(text) = doubt(labels.metric_name())
        {
            ctx.info(windows.span, text);
        }
        ctx.budget.charge(column.filled())?;
        Ok(Some(column))
    }
}

/// Samples in the windows of one series, by step only where somebody asked.
pub(super) struct LookedAt {
    all: Looked,
    wanted: bool,
    by_step: Vec<(usize, Looked)>,
    /// How many samples windows have reached so far.
    reached: u64,
}

impl LookedAt {
    pub(super) fn new(wanted: bool) -> LookedAt {
        LookedAt { all: Looked::default(), wanted, by_step: Vec::new(), reached: 0 }
    }

    /// A window from one place among the samples to another; windows move on.
    pub(super) fn add(&mut self, step: usize, from: u64, to: u64) {
        let fresh = to.saturating_sub(from.max(self.reached));
        self.reached = self.reached.max(to);
        let looked = Looked { samples: to.saturating_sub(from), fresh };
        self.all.samples += looked.samples;
        self.all.fresh += fresh;
        if self.wanted {
            self.by_step.push((step, looked));
        }
    }

    pub(super) fn tell(self, ctx: &Context<'_>) {
        ctx.budget.look_at(self.all, self.by_step.into_iter());
    }
}

/// The selector a range argument is taken of, `last_n` around it or not.
pub(super) fn window_of(node: &Node) -> Option<&crate::plan::Window> {
    match &node.op {
        Op::Window(window) => Some(window),
        Op::Call { args, .. } => window_of(args.first()?),
        _ => None,
    }
}

/// Scalar arguments over the steps.
struct Params<'a> {
    values: &'a [Vec<f64>],
    span: Span,
    /// How many samples of a window count, step by step.
    last: Option<Vec<usize>>,
}

impl Params<'_> {
    fn at(&self, i: usize) -> [f64; 2] {
        let of = |n: usize| self.values.get(n).and_then(|v| v.get(i)).copied().unwrap_or(f64::NAN);
        [of(0), of(1)]
    }
}

/// The inner steps of a subquery: multiples of its step, left-open like any range.
pub(super) fn subquery_rows(
    ctx: &Context<'_>,
    subquery: &Subquery,
    steps: Steps,
) -> Result<(Vec<Row>, Steps), QueryError> {
    let open = subquery.shift.apply(steps.start).saturating_sub(subquery.range);
    let last = subquery.shift.apply(steps.last());
    let step = subquery.step.max(1);
    let start = open.div_euclid(step).saturating_add(1).saturating_mul(step);
    let count = if start > last { 0 } else { (last.saturating_sub(start) / step) as usize + 1 };
    if count as u64 > ctx.options.max_samples {
        return Err(over_budget(count as u64, ctx.options.max_samples));
    }
    let inner = Steps { start, step, count };
    if count == 0 {
        return Ok((Vec::new(), inner));
    }
    let rows = match subquery.input.value_type() {
        ValueType::Vector => vector(ctx, &subquery.input, inner)?,
        _ => {
            eval(ctx, &subquery.input, inner)?;
            Vec::new()
        }
    };
    Ok((rows, inner))
}
