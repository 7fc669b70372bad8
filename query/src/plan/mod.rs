//! What to do: a tree of logical nodes with all durations and times resolved.
//!
//! [`build`] makes it from the syntax tree, each file of [`rewrite`] improves it, [`print`] shows
//! it as an indented text (tests compare that, and `EXPLAIN` will print it).

mod build;
mod print;
pub(crate) mod rewrite;

use ringwell_storage::model::Matcher;

pub(crate) use build::{Frame, build};

use crate::func::Function;
use crate::parse::Span;
use crate::parse::expr::{AggregateOp, BinaryOp, Edges, Matching, ValueType};

/// A planned query: the tree, and the distinct selections it reads.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) root: Node,
    pub(crate) sources: Vec<Source>,
}

/// One selection of series; equal ones are merged.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) matchers: Vec<Matcher>,
}

/// A node and the place it came from.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) op: Op,
    pub(crate) span: Span,
}

#[derive(Debug)]
pub(crate) enum Op {
    Number(f64),
    Text {
        value: String,
        not_utf8: Option<String>,
    },
    Select(Select),
    Window(Window),
    Subquery(Box<Subquery>),
    Call {
        function: &'static Function,
        args: Vec<Node>,
    },
    Aggregate(Box<Aggregate>),
    Binary(Box<Binary>),
    Negate(Box<Node>),
    /// The same at every step: evaluated once.
    Invariant(Box<Node>),
}

/// A selector at an instant.
#[derive(Clone, Debug)]
pub(crate) struct Select {
    /// Which of the plan's sources.
    pub(crate) source: usize,
    pub(crate) shift: Shift,
    pub(crate) edges: Edges,
    /// Only count and sum of histograms are looked at, so resets are found on the way.
    pub(crate) stats: bool,
}

/// A selector over a range in milliseconds.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    pub(crate) select: Select,
    pub(crate) range: i64,
}

#[derive(Debug)]
pub(crate) struct Subquery {
    pub(crate) input: Node,
    pub(crate) range: i64,
    pub(crate) step: i64,
    pub(crate) shift: Shift,
}

/// `@` and `offset`, resolved.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Shift {
    pub(crate) at: Option<i64>,
    pub(crate) offset: i64,
}

impl Shift {
    /// The time looked at for a step at `t`.
    pub(crate) fn apply(self, t: i64) -> i64 {
        self.at.unwrap_or(t).saturating_sub(self.offset)
    }
}

#[derive(Debug)]
pub(crate) struct Aggregate {
    pub(crate) op: AggregateOp,
    pub(crate) param: Option<Node>,
    pub(crate) input: Node,
    pub(crate) grouping: Vec<String>,
    pub(crate) without: bool,
}

#[derive(Debug)]
pub(crate) struct Binary {
    pub(crate) op: BinaryOp,
    pub(crate) left: Node,
    pub(crate) right: Node,
    pub(crate) returns_bool: bool,
    pub(crate) matching: Matching,
}

impl Node {
    /// What it gives.
    pub(crate) fn value_type(&self) -> ValueType {
        match &self.op {
            Op::Number(_) => ValueType::Scalar,
            Op::Text { .. } => ValueType::Text,
            Op::Select(_) | Op::Aggregate(_) => ValueType::Vector,
            Op::Window(_) | Op::Subquery(_) => ValueType::Matrix,
            Op::Call { function, .. } => function.returns,
            Op::Negate(inner) | Op::Invariant(inner) => inner.value_type(),
            Op::Binary(binary) => {
                let scalar = |n: &Node| n.value_type() == ValueType::Scalar;
                if scalar(&binary.left) && scalar(&binary.right) {
                    ValueType::Scalar
                } else {
                    ValueType::Vector
                }
            }
        }
    }

    /// The nodes right below.
    pub(crate) fn children_mut(&mut self) -> Vec<&mut Node> {
        match &mut self.op {
            Op::Number(_) | Op::Text { .. } | Op::Select(_) | Op::Window(_) => vec![],
            Op::Subquery(subquery) => vec![&mut subquery.input],
            Op::Call { args, .. } => args.iter_mut().collect(),
            Op::Aggregate(aggregate) => {
                let Aggregate { param, input, .. } = aggregate.as_mut();
                param.iter_mut().chain([input]).collect()
            }
            Op::Binary(binary) => {
                let Binary { left, right, .. } = binary.as_mut();
                vec![left, right]
            }
            Op::Negate(inner) | Op::Invariant(inner) => vec![inner],
        }
    }

    /// The nodes right below.
    pub(crate) fn children(&self) -> Vec<&Node> {
        match &self.op {
            Op::Number(_) | Op::Text { .. } | Op::Select(_) | Op::Window(_) => vec![],
            Op::Subquery(subquery) => vec![&subquery.input],
            Op::Call { args, .. } => args.iter().collect(),
            Op::Aggregate(aggregate) => aggregate.param.iter().chain([&aggregate.input]).collect(),
            Op::Binary(binary) => vec![&binary.left, &binary.right],
            Op::Negate(inner) | Op::Invariant(inner) => vec![inner],
        }
    }

    /// How many nodes lie on the longest way down.
    pub(crate) fn height(&self) -> usize {
        1 + self.children().into_iter().map(Node::height).max().unwrap_or(0)
    }

    /// What is inside step-invariant wrappers.
    pub(crate) fn unwrapped(&self) -> &Node {
        match &self.op {
            Op::Invariant(inner) => inner.unwrapped(),
            _ => self,
        }
    }
}
