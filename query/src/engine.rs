//! The engine: options, a query, an answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ringwell_storage::model::{Histogram, Labels, Value};
use ringwell_storage::read::Snapshot;

use crate::error::QueryError;
use crate::exec::{self, Context, Observed, Observer};
use crate::limits::{Budget, Interrupt};
use crate::notes::Notes;
use crate::parse;
use crate::parse::expr::ValueType;
use crate::plan::{self, Frame, Node, Plan};
use crate::stack::with_room;
use crate::value::Steps;

/// Plans higher than this are evaluated on a stack of their own.
const DEEP: usize = 24;

/// What the engine may use, and its defaults. Durations are milliseconds.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// How far back an instant selector looks where neither query nor series says.
    pub lookback: i64,
    /// The longest lookback a series may have of its own.
    pub max_series_lookback: i64,
    /// Samples a query may hold at once.
    pub max_samples: u64,
    /// The step of a subquery that names none.
    pub subquery_step: i64,
    /// Threads a query may use.
    pub parallelism: usize,
    /// Steps a range query may have.
    pub max_steps: u64,
    /// Keep the metric's name until the whole query is done, so that a later function can still
    /// read it; otherwise each operator drops it at once, as plain Prometheus does.
    pub delayed_name_removal: bool,
    /// Let what is known about the starts of counters speak in `rate` and its kin.
    pub start_timestamps: bool,
}

impl Default for EngineOptions {
    fn default() -> EngineOptions {
        EngineOptions {
            lookback: 300_000,
            max_series_lookback: 3_600_000,
            max_samples: 50_000_000,
            subquery_step: 60_000,
            parallelism: std::thread::available_parallelism().map_or(1, usize::from),
            max_steps: 1_000_000,
            delayed_name_removal: false,
            start_timestamps: false,
        }
    }
}

/// A query.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// PromQL.
    pub text: &'a str,
    /// At which times.
    pub when: When,
    /// A lookback for all series.
    pub lookback: Option<i64>,
}

/// The times of a query, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub enum When {
    /// One time.
    At(i64),
    /// From `start` to `end`, both included, every `step`.
    Range {
        /// First.
        start: i64,
        /// Last, if the steps meet it.
        end: i64,
        /// Distance.
        step: i64,
    },
}

/// What a query gives.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The result.
    pub value: AnswerValue,
    /// Things that are probably wrong.
    pub warnings: Vec<String>,
    /// Things worth knowing.
    pub infos: Vec<String>,
    /// What it took.
    pub stats: QueryStats,
    /// The plan with what each operator took; empty unless asked for.
    pub operators: Vec<Operator>,
}

/// What is told about a run beyond its result.
#[derive(Clone, Copy, Debug, Default)]
pub struct Detail {
    /// Samples by step.
    pub per_step: bool,
    /// What each operator took.
    pub operators: bool,
}

/// A node of a plan.
#[derive(Clone, Debug)]
pub struct Operator {
    /// How deep it stands.
    pub depth: usize,
    /// What it does, in words.
    pub text: String,
    /// What it took; none where it has no work of its own or did not run.
    pub observed: Option<Observed>,
}

/// A result.
#[derive(Clone, Debug)]
pub enum AnswerValue {
    /// A number.
    Scalar {
        /// When.
        t: i64,
        /// What.
        v: f64,
    },
    /// A string.
    String {
        /// When.
        t: i64,
        /// What.
        s: String,
    },
    /// A sample a series.
    Vector(Vec<VectorSample>),
    /// Samples over time.
    Matrix(Vec<MatrixSeries>),
}

/// A series at one time.
#[derive(Clone, Debug)]
pub struct VectorSample {
    /// Who.
    pub labels: Labels,
    /// When.
    pub t: i64,
    /// What; histograms hold floats.
    pub value: Value,
}

/// A series over time.
#[derive(Clone, Debug)]
pub struct MatrixSeries {
    /// Who.
    pub labels: Labels,
    /// Its floats.
    pub floats: Vec<(i64, f64)>,
    /// Its histograms, with float counts.
    pub histograms: Vec<(i64, Arc<Histogram>)>,
}

/// What a query took.
#[derive(Clone, Debug, Default)]
pub struct QueryStats {
    /// Samples the query looked at, those in several windows as often.
    pub queryable: u64,
    /// Samples each selector looked at, each once.
    pub samples_read: u64,
    /// Both for each step, with its time, a sample read where it is looked at first; only where it was
    /// asked for.
    pub per_step: Vec<StepStats>,
    /// Samples decoded, some of which may lie outside of what was asked.
    pub samples_decoded: u64,
    /// Encoded bytes these and statistics came from.
    pub bytes_read: u64,
    /// Samples that statistics of chunks stood for, so that nobody had to read them.
    pub samples_summarised: u64,
    /// Samples that rows of roll-ups stood for.
    pub samples_rolled_up: u64,
    /// The most samples held at once.
    pub peak_samples: u64,
    /// Steps evaluated.
    pub steps: u64,
}

/// What a query looked at for one step.
#[derive(Clone, Copy, Debug)]
pub struct StepStats {
    /// The step's time.
    pub t: i64,
    /// As [`QueryStats::queryable`].
    pub queryable: u64,
    /// As [`QueryStats::samples_read`].
    pub samples_read: u64,
}

/// Runs queries.
#[derive(Clone, Debug, Default)]
pub struct Engine {
    options: EngineOptions,
}

impl Engine {
    /// An engine with these options.
    pub fn new(options: EngineOptions) -> Engine {
        Engine { options }
    }

    /// Runs a query over a snapshot.
    pub fn run(
        &self,
        snapshot: &dyn Snapshot,
        query: &Query<'_>,
        interrupt: &dyn Interrupt,
    ) -> Result<Answer, QueryError> {
        self.run_with(snapshot, query, interrupt, Detail::default())
    }

    /// Runs a query and tells more about it.
    pub fn run_with(
        &self,
        snapshot: &dyn Snapshot,
        query: &Query<'_>,
        interrupt: &dyn Interrupt,
        detail: Detail,
    ) -> Result<Answer, QueryError> {
        let (plan, frame, steps) = self.plan(query)?;
        let ctx = Context {
            options: &self.options,
            snapshot,
            sources: &plan.sources,
            lookback: query.lookback,
            frame,
            budget: Budget::new(
                interrupt,
                self.options.max_samples,
                if detail.per_step { Some(steps) } else { None },
            ),
            observer: detail.operators.then(Observer::default),
            notes: Mutex::new(Notes::default()),
            selected: Mutex::new(HashMap::new()),
        };
        let deep = plan.root.height() > DEEP;
        let value =
            with_room(deep, || exec::answer(&ctx, &plan.root, steps)).map_err(|reason| {
                QueryError::execution(format!("a deep query needs its own thread: {reason}"))
            })??;
        let notes = ctx.notes.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (warnings, infos) = notes.texts(query.text);
        let operators = match &ctx.observer {
            None => Vec::new(),
            Some(observer) => operators(&plan, |node| observer.of(node)),
        };
        let looked_at = ctx.budget.looked_at();
        let per_step = ctx.budget.looked_at_per_step().into_iter().map(|(t, looked)| StepStats {
            t,
            queryable: looked.samples,
            samples_read: looked.fresh,
        });
        let stats = QueryStats {
            queryable: looked_at.samples,
            samples_read: looked_at.fresh,
            per_step: per_step.collect(),
            samples_decoded: ctx.budget.samples_decoded(),
            bytes_read: ctx.budget.bytes_read(),
            samples_summarised: ctx.budget.samples_summarised(),
            samples_rolled_up: ctx.budget.samples_rolled_up(),
            peak_samples: ctx.budget.peak(),
            steps: steps.count as u64,
        };
        Ok(Answer { value, warnings, infos, stats, operators })
    }

    /// The plan of a query as an indented tree.
    pub fn explain(&self, query: &Query<'_>) -> Result<String, QueryError> {
        self.plan(query).map(|(plan, _, _)| plan.to_string())
    }

    /// The plan of a query, node by node.
    pub fn operators(&self, query: &Query<'_>) -> Result<Vec<Operator>, QueryError> {
        self.plan(query).map(|(plan, _, _)| operators(&plan, |_| None))
    }

    fn plan(&self, query: &Query<'_>) -> Result<(Plan, Frame, Steps), QueryError> {
        let expr =
            parse::parse(query.text).map_err(|error| QueryError::parse(&error, query.text))?;
        let subquery_step = self.options.subquery_step;
        let (frame, steps) = match query.when {
            When::At(t) => (Frame { start: t, end: t, step: 0, subquery_step }, Steps::once(t)),
            When::Range { start, end, step } => {
                check_range_type(expr.value_type())?;
                let count = self.step_count(start, end, step)?;
                (Frame { start, end, step, subquery_step }, Steps { start, step, count })
            }
        };
        // `parse` bounds the depth, and building takes little of the stack for each level.
        let mut plan = plan::build(&expr, frame)?;
        plan::rewrite::rewrite(&mut plan);
        Ok((plan, frame, steps))
    }

    fn step_count(&self, start: i64, end: i64, step: i64) -> Result<usize, QueryError> {
        if step <= 0 {
            return Err(QueryError::bad_data(
                "zero or negative query resolution step widths are not accepted. Try a positive \
                 integer",
            ));
        }
        if end < start {
            return Err(QueryError::bad_data("end timestamp must not be before start time"));
        }
        let count = end.saturating_sub(start) / step;
        if count as u64 >= self.options.max_steps {
            return Err(QueryError::bad_data(format!(
                "a query may have at most {} steps. Try decreasing the query resolution (?step=XX)",
                self.options.max_steps
            )));
        }
        Ok(count as usize + 1)
    }
}

fn operators(plan: &Plan, observed: impl Fn(&Node) -> Option<Observed>) -> Vec<Operator> {
    let nodes = plan.nodes().into_iter();
    nodes
        .map(|(depth, node)| Operator { depth, text: plan.line(node), observed: observed(node) })
        .collect()
}

fn check_range_type(value_type: ValueType) -> Result<(), QueryError> {
    let name = match value_type {
        ValueType::Scalar | ValueType::Vector => return Ok(()),
        ValueType::Matrix => "range vector",
        ValueType::Text => "string",
    };
    Err(QueryError::bad_data(format!(
        "invalid expression type {name:?} for range query, must be Scalar or instant Vector"
    )))
}
