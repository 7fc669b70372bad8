//! From syntax to plan: parentheses go, durations and `@` become numbers.

use super::{Aggregate, Binary, Node, Op, Plan, Select, Shift, Source, Subquery, Window};
use crate::error::QueryError;
use crate::func::Function;
use crate::parse::expr::{self, At, DurationExpr, Edges, Expr, Kind, Selector};
use crate::parse::{DurationContext, Span};

/// What the query's outside fixes: its time and the default subquery step, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// 0 for an instant query.
    pub(crate) step: i64,
    pub(crate) subquery_step: i64,
}

pub(crate) fn build(expr: &Expr, frame: Frame) -> Result<Plan, QueryError> {
    let mut builder = Builder { frame, sources: Vec::new() };
    let root = builder.node(expr)?;
    Ok(Plan { root, sources: builder.sources })
}

struct Builder {
    frame: Frame,
    sources: Vec<Source>,
}

impl Builder {
    fn node(&mut self, expr: &Expr) -> Result<Node, QueryError> {
        let op = match &expr.kind {
            Kind::Paren(inner) | Kind::Unary(false, inner) => return self.node(inner),
            Kind::Number(number) => Op::Number(*number),
            Kind::Text(text) => {
                Op::Text { value: text.value.clone(), not_utf8: text.not_utf8.clone() }
            }
            Kind::Selector(selector) => Op::Select(self.select(selector)?),
            Kind::Matrix(selector, range) => {
                Op::Window(Window { select: self.select(selector)?, range: self.positive(range)? })
            }
            Kind::Subquery(subquery) => self.subquery(subquery)?,
            Kind::Call(function, args) => {
                for arg in args {
                    check_edges(function, arg)?;
                }
                let args = args.iter().map(|arg| self.node(arg)).collect::<Result<_, _>>()?;
                Op::Call { function, args }
            }
            Kind::Aggregate(aggregate) => self.aggregate(aggregate)?,
            Kind::Binary(binary) => Op::Binary(Box::new(Binary {
                op: binary.op,
                left: self.node(&binary.left)?,
                right: self.node(&binary.right)?,
                returns_bool: binary.returns_bool,
                matching: binary.matching.clone(),
            })),
            Kind::Unary(true, inner) => Op::Negate(Box::new(self.node(inner)?)),
        };
        Ok(Node { op, span: place_of(expr) })
    }

    fn aggregate(&mut self, aggregate: &expr::Aggregate) -> Result<Op, QueryError> {
        let param = aggregate.param.as_ref().map(|p| self.node(p)).transpose()?;
        Ok(Op::Aggregate(Box::new(Aggregate {
            op: aggregate.op,
            param,
            input: self.node(&aggregate.expr)?,
            grouping: aggregate.grouping.clone(),
            without: aggregate.without,
        })))
    }

    fn subquery(&mut self, subquery: &expr::Subquery) -> Result<Op, QueryError> {
        let step = match &subquery.step {
            Some(step) => self.positive(step)?,
            None => self.frame.subquery_step,
        };
        Ok(Op::Subquery(Box::new(Subquery {
            input: self.node(&subquery.expr)?,
            range: self.positive(&subquery.range)?,
            step,
            shift: self.shift(&subquery.shift)?,
        })))
    }

    fn select(&mut self, selector: &Selector) -> Result<Select, QueryError> {
        self.sources.push(Source { matchers: selector.matchers.clone() });
        Ok(Select {
            source: self.sources.len() - 1,
            shift: self.shift(&selector.shift)?,
            edges: selector.edges,
            stats: false,
        })
    }

    fn shift(&self, shift: &expr::Shift) -> Result<Shift, QueryError> {
        let at = shift.at.map(|at| match at {
            At::Time(t) => t,
            At::Start => self.frame.start,
            At::End => self.frame.end,
        });
        let offset = shift.offset.as_ref().map_or(Ok(0), |offset| self.millis(offset))?;
        Ok(Shift { at, offset })
    }

    fn positive(&self, duration: &DurationExpr) -> Result<i64, QueryError> {
        match self.millis(duration)? {
            millis if millis > 0 => Ok(millis),
            _ => Err(QueryError::execution("duration must be greater than 0")),
        }
    }

    fn millis(&self, duration: &DurationExpr) -> Result<i64, QueryError> {
        let Frame { start, end, step, .. } = self.frame;
        let context = DurationContext { step, range: end.saturating_sub(start) };
        duration.millis(context).map_err(QueryError::execution)
    }
}

/// Only some functions know what to do with edges.
fn check_edges(function: &Function, arg: &Expr) -> Result<(), QueryError> {
    let Kind::Matrix(selector, _) = &arg.unwrapped().kind else { return Ok(()) };
    let (word, allowed): (&str, &[&str]) = match selector.edges {
        Edges::Plain => return Ok(()),
        Edges::Anchored => ("anchored", &["changes", "delta", "increase", "rate", "resets"]),
        Edges::Smoothed => ("smoothed", &["delta", "increase", "rate"]),
    };
    if allowed.contains(&function.name) {
        return Ok(());
    }
    Err(QueryError::execution(format!(
        "{word} modifier can only be used with: {} - not with {}",
        allowed.join(", "),
        function.name
    )))
}

/// Parentheses and `+` vanish from the plan, but the place of what they hold stays its own.
fn place_of(expr: &Expr) -> Span {
    expr.unwrapped().span
}
