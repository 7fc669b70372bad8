//! The syntax tree: what was written, with places.

use std::fmt;

use ringwell_storage::model::Matcher;

use super::text::Text;
use super::token::Span;
use crate::func::Function;

/// An expression and its place.
#[derive(Clone, Debug)]
pub struct Expr {
    /// What it is.
    pub kind: Kind,
    /// Where it stands.
    pub span: Span,
}

/// The kinds of expressions.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A number; durations are numbers of seconds.
    Number(f64),
    /// A string.
    Text(Text),
    /// `name{...}` with modifiers.
    Selector(Box<Selector>),
    /// `selector[range]`.
    Matrix(Box<Selector>, DurationExpr),
    /// `expr[range:step]`.
    Subquery(Box<Subquery>),
    /// A function call.
    Call(&'static Function, Vec<Expr>),
    /// `sum by (...) (...)`.
    Aggregate(Box<Aggregate>),
    /// Two operands.
    Binary(Box<Binary>),
    /// `-x` if true, `+x` if false.
    Unary(bool, Box<Expr>),
    /// `(x)`.
    Paren(Box<Expr>),
}

/// An instant selector, or what a range is taken of.
#[derive(Clone, Debug, PartialEq)]
pub struct Selector {
    /// The name before the braces.
    pub name: Option<String>,
    /// All conditions, the name's included.
    pub matchers: Vec<Matcher>,
    /// `@` and `offset`.
    pub shift: Shift,
    /// `anchored` or `smoothed`.
    pub edges: Edges,
}

/// How values at the edges of a range are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Edges {
    /// Only samples inside count.
    #[default]
    Plain,
    /// The last sample before each edge stands for it.
    Anchored,
    /// Edges are interpolated.
    Smoothed,
}

/// `@` and `offset` of a selector or a subquery.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shift {
    /// `@`.
    pub at: Option<At>,
    /// `offset`.
    pub offset: Option<DurationExpr>,
}

/// What follows `@`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum At {
    /// A time in milliseconds.
    Time(i64),
    /// `start()`.
    Start,
    /// `end()`.
    End,
}

/// A duration that may depend on the query's step and range. Numbers are seconds.
#[derive(Clone, Debug, PartialEq)]
pub enum DurationExpr {
    /// A number of seconds.
    Number(f64),
    /// A duration in milliseconds.
    Millis(i64),
    /// `step()`.
    Step,
    /// `range()`.
    Range,
    /// `-x`.
    Negate(Box<DurationExpr>),
    /// An operator.
    Binary(BinaryOp, Box<DurationExpr>, Box<DurationExpr>),
    /// `min_of(a, b)`.
    Min(Box<DurationExpr>, Box<DurationExpr>),
    /// `max_of(a, b)`.
    Max(Box<DurationExpr>, Box<DurationExpr>),
    /// `(x)`.
    Paren(Box<DurationExpr>),
}

/// A subquery.
#[derive(Clone, Debug)]
pub struct Subquery {
    /// What is evaluated.
    pub expr: Expr,
    /// Over which time.
    pub range: DurationExpr,
    /// How often; the engine's default if none.
    pub step: Option<DurationExpr>,
    /// `@` and `offset`.
    pub shift: Shift,
}

/// An aggregation.
#[derive(Clone, Debug)]
pub struct Aggregate {
    /// Which.
    pub op: AggregateOp,
    /// Its parameter, as of topk.
    pub param: Option<Expr>,
    /// What is aggregated.
    pub expr: Expr,
    /// Labels that group, or with `without` those that do not.
    pub grouping: Vec<String>,
    /// Whether it is `without`.
    pub without: bool,
}

/// The aggregations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is PromQL's word")]
pub enum AggregateOp {
    Sum,
    Avg,
    Count,
    Min,
    Max,
    Group,
    Stddev,
    Stdvar,
    Topk,
    Bottomk,
    CountValues,
    Quantile,
    Limitk,
    LimitRatio,
}

/// A binary operation.
#[derive(Clone, Debug)]
pub struct Binary {
    /// Which.
    pub op: BinaryOp,
    /// Where it is written.
    pub op_span: Span,
    /// Left.
    pub left: Expr,
    /// Right.
    pub right: Expr,
    /// `bool`.
    pub returns_bool: bool,
    /// How vectors are matched.
    pub matching: Matching,
}

/// How the elements of two vectors find each other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matching {
    /// One to one, or which side has many.
    pub cardinality: Cardinality,
    /// `on` rather than `ignoring`.
    pub on: bool,
    /// Whether `on` or `ignoring` was written.
    pub written: bool,
    /// Labels of `on` or `ignoring`.
    pub labels: Vec<String>,
    /// Labels taken from the one side.
    pub include: Vec<String>,
    /// What stands for a missing left element.
    pub fill_left: Option<f64>,
    /// What stands for a missing right element.
    pub fill_right: Option<f64>,
}

/// See [`Matching`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Cardinality {
    #[default]
    OneToOne,
    ManyToOne,
    OneToMany,
    ManyToMany,
}

/// Binary operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum BinaryOp {
    Or,
    And,
    Unless,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    TrimUpper,
    TrimLower,
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Atan2,
    Pow,
}

impl BinaryOp {
    /// As written.
    pub fn symbol(self) -> &'static str {
        match self {
            BinaryOp::Or => "or",
            BinaryOp::And => "and",
            BinaryOp::Unless => "unless",
            BinaryOp::Equal => "==",
            BinaryOp::NotEqual => "!=",
            BinaryOp::Less => "<",
            BinaryOp::LessEqual => "<=",
            BinaryOp::Greater => ">",
            BinaryOp::GreaterEqual => ">=",
            BinaryOp::TrimUpper => "</",
            BinaryOp::TrimLower => ">/",
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Mod => "%",
            BinaryOp::Atan2 => "atan2",
            BinaryOp::Pow => "^",
        }
    }

    /// Binding power; higher binds closer.
    pub(crate) fn precedence(self) -> u8 {
        match self {
            BinaryOp::Or => 1,
            BinaryOp::And | BinaryOp::Unless => 2,
            BinaryOp::Add | BinaryOp::Sub => 4,
            BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod | BinaryOp::Atan2 => 5,
            BinaryOp::Pow => 6,
            _ => 3,
        }
    }

    /// `and`, `or`, `unless`.
    pub fn is_set(self) -> bool {
        matches!(self, BinaryOp::Or | BinaryOp::And | BinaryOp::Unless)
    }

    /// `==` and its like.
    pub fn is_comparison(self) -> bool {
        matches!(
            self,
            BinaryOp::Equal
                | BinaryOp::NotEqual
                | BinaryOp::Less
                | BinaryOp::LessEqual
                | BinaryOp::Greater
                | BinaryOp::GreaterEqual
        )
    }

    /// Whether the result is another metric than the operand.
    pub fn changes_metric(self) -> bool {
        matches!(
            self,
            BinaryOp::Add
                | BinaryOp::Sub
                | BinaryOp::Mul
                | BinaryOp::Div
                | BinaryOp::Mod
                | BinaryOp::Pow
                | BinaryOp::Atan2
        )
    }
}

impl AggregateOp {
    /// As written.
    pub fn name(self) -> &'static str {
        match self {
            AggregateOp::Sum => "sum",
            AggregateOp::Avg => "avg",
            AggregateOp::Count => "count",
            AggregateOp::Min => "min",
            AggregateOp::Max => "max",
            AggregateOp::Group => "group",
            AggregateOp::Stddev => "stddev",
            AggregateOp::Stdvar => "stdvar",
            AggregateOp::Topk => "topk",
            AggregateOp::Bottomk => "bottomk",
            AggregateOp::CountValues => "count_values",
            AggregateOp::Quantile => "quantile",
            AggregateOp::Limitk => "limitk",
            AggregateOp::LimitRatio => "limit_ratio",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<AggregateOp> {
        use AggregateOp::*;
        [
            Sum,
            Avg,
            Count,
            Min,
            Max,
            Group,
            Stddev,
            Stdvar,
            Topk,
            Bottomk,
            CountValues,
            Quantile,
            Limitk,
            LimitRatio,
        ]
        .into_iter()
        .find(|op| op.name() == name)
    }

    /// Whether it takes a parameter first.
    pub fn has_param(self) -> bool {
        use AggregateOp::*;
        matches!(self, Topk | Bottomk | CountValues | Quantile | Limitk | LimitRatio)
    }
}

/// What an expression gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// One number a step.
    Scalar,
    /// An instant vector.
    Vector,
    /// A range vector.
    Matrix,
    /// A string.
    Text,
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ValueType::Scalar => "scalar",
            ValueType::Vector => "instant vector",
            ValueType::Matrix => "range vector",
            ValueType::Text => "string",
        })
    }
}

impl ValueType {
    /// The short word of the HTTP API.
    pub fn short(self) -> &'static str {
        match self {
            ValueType::Scalar => "scalar",
            ValueType::Vector => "vector",
            ValueType::Matrix => "matrix",
            ValueType::Text => "string",
        }
    }
}

impl Expr {
    /// What it gives.
    pub fn value_type(&self) -> ValueType {
        match &self.kind {
            Kind::Number(_) => ValueType::Scalar,
            Kind::Text(_) => ValueType::Text,
            Kind::Selector(_) | Kind::Aggregate(_) => ValueType::Vector,
            Kind::Matrix(..) | Kind::Subquery(_) => ValueType::Matrix,
            Kind::Call(function, _) => function.returns,
            Kind::Unary(_, inner) | Kind::Paren(inner) => inner.value_type(),
            Kind::Binary(binary) => {
                let scalar = |e: &Expr| e.value_type() == ValueType::Scalar;
                if scalar(&binary.left) && scalar(&binary.right) {
                    ValueType::Scalar
                } else {
                    ValueType::Vector
                }
            }
        }
    }

    /// What is inside all parentheses.
    pub fn unwrapped(&self) -> &Expr {
        let mut expr = self;
        while let Kind::Paren(inner) = &expr.kind {
            expr = inner;
        }
        expr
    }
}
