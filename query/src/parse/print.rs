//! The canonical text of an expression. It parses to the same tree.

use std::fmt::{self, Display, Formatter, Write as _};

use ringwell_storage::model::{METRIC_NAME, MatchOp, Matcher};

use super::duration;
use super::expr::{
    Aggregate, At, Binary, Cardinality, DurationExpr, Edges, Expr, Kind, Matching, Selector, Shift,
    Subquery,
};
use crate::value::format_general;

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Number(number) => f.write_str(&number_text(*number)),
            Kind::Text(text) => match &text.not_utf8 {
                Some(spelled) => write!(f, "\"{spelled}\""),
                None => f.write_str(&quoted(&text.value)),
            },
            Kind::Selector(selector) => {
                selector_text(f, selector)?;
                edges_text(f, selector.edges)?;
                write!(f, "{}", selector.shift)
            }
            Kind::Matrix(selector, range) => {
                selector_text(f, selector)?;
                write!(f, "[{range}]")?;
                edges_text(f, selector.edges)?;
                write!(f, "{}", selector.shift)
            }
            Kind::Subquery(subquery) => {
                write!(f, "{}{}", subquery.expr, subquery_suffix(subquery))
            }
            Kind::Call(function, args) => {
                write!(f, "{}(", function.name)?;
                list(f, args)?;
                f.write_char(')')
            }
            Kind::Aggregate(aggregate) => aggregate_text(f, aggregate),
            Kind::Binary(binary) => binary_text(f, binary),
            Kind::Unary(negative, inner) => {
                write!(f, "{}{inner}", if *negative { '-' } else { '+' })
            }
            Kind::Paren(inner) => write!(f, "({inner})"),
        }
    }
}

impl Display for DurationExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            DurationExpr::Number(seconds) => {
                let millis = seconds * 1000.0;
                if millis.fract() == 0.0 && millis.abs() < 1e15 {
                    f.write_str(&duration::format(millis as i64))
                } else {
                    f.write_str(&number_text(*seconds))
                }
            }
            DurationExpr::Millis(millis) => f.write_str(&duration::format(*millis)),
            DurationExpr::Step => f.write_str("step()"),
            DurationExpr::Range => f.write_str("range()"),
            DurationExpr::Negate(inner) => write!(f, "-{inner}"),
            DurationExpr::Paren(inner) => write!(f, "({inner})"),
            DurationExpr::Min(a, b) => write!(f, "min_of({a}, {b})"),
            DurationExpr::Max(a, b) => write!(f, "max_of({a}, {b})"),
            DurationExpr::Binary(op, a, b) => write!(f, "{a} {} {b}", op.symbol()),
        }
    }
}

impl Display for Shift {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.at {
            Some(At::Start) => f.write_str(" @ start()")?,
            Some(At::End) => f.write_str(" @ end()")?,
            Some(At::Time(t)) => write!(f, " @ {}", MillisAsSeconds(t))?,
            None => {}
        }
        match &self.offset {
            Some(offset) => write!(f, " offset {offset}"),
            None => Ok(()),
        }
    }
}

/// Seconds with three decimals, as Prometheus prints times.
struct MillisAsSeconds(i64);

impl Display for MillisAsSeconds {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let millis = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:03}", millis / 1000, millis % 1000)
    }
}

impl Display for Matching {
    /// With a blank before each part.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.written {
            let word = if self.on { "on" } else { "ignoring" };
            write!(f, " {word} ({})", names(&self.labels))?;
        }
        let side = match self.cardinality {
            Cardinality::ManyToOne => "group_left",
            Cardinality::OneToMany => "group_right",
            _ => "",
        };
        if !side.is_empty() {
            write!(f, " {side} ({})", names(&self.include))?;
        }
        match (self.fill_left, self.fill_right) {
            (Some(l), Some(r)) if l.to_bits() == r.to_bits() => {
                write!(f, " fill ({})", number_text(l))
            }
            (left, right) => {
                if let Some(left) = left {
                    write!(f, " fill_left ({})", number_text(left))?;
                }
                right.map_or(Ok(()), |right| write!(f, " fill_right ({})", number_text(right)))
            }
        }
    }
}

/// Without a plus before infinity, which would read as an operator of its own.
fn number_text(number: f64) -> String {
    if number == f64::INFINITY { "Inf".to_owned() } else { format_general(number) }
}

/// A string with Go's double quotes.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() && (c as u32) < 0x80 => {
                let _ = write!(out, "\\x{:02x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A label or metric name, in quotes where the plain grammar would not read it.
fn name_text(name: &str) -> String {
    let mut chars = name.chars();
    let plain = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_');
    // The one keyword that a list of labels does not take for a label.
    let keyword = name.eq_ignore_ascii_case("without");
    if plain && !keyword { name.to_owned() } else { quoted(name) }
}

fn names(labels: &[String]) -> String {
    labels.iter().map(|l| name_text(l)).collect::<Vec<_>>().join(", ")
}

fn list(f: &mut Formatter<'_>, args: &[Expr]) -> fmt::Result {
    for (i, arg) in args.iter().enumerate() {
        write!(f, "{}{arg}", if i > 0 { ", " } else { "" })?;
    }
    Ok(())
}

fn selector_text(f: &mut Formatter<'_>, selector: &Selector) -> fmt::Result {
    if let Some(name) = &selector.name {
        f.write_str(name)?;
    }
    let implied = |m: &Matcher| {
        selector.name.as_deref() == Some(m.value())
            && m.name() == METRIC_NAME
            && m.op() == MatchOp::Equal
    };
    let shown: Vec<String> =
        selector.matchers.iter().filter(|m| !implied(m)).map(matcher_text).collect();
    if !shown.is_empty() || selector.name.is_none() {
        write!(f, "{{{}}}", shown.join(","))?;
    }
    Ok(())
}

/// One condition as it stands in braces.
pub(crate) fn matcher_text(matcher: &Matcher) -> String {
    let op = match matcher.op() {
        MatchOp::Equal => "=",
        MatchOp::NotEqual => "!=",
        MatchOp::Regex => "=~",
        MatchOp::NotRegex => "!~",
    };
    format!("{}{op}{}", name_text(matcher.name()), quoted(matcher.value()))
}

fn edges_text(f: &mut Formatter<'_>, edges: Edges) -> fmt::Result {
    f.write_str(match edges {
        Edges::Plain => "",
        Edges::Anchored => " anchored",
        Edges::Smoothed => " smoothed",
    })
}

/// `[1h:1m] offset 5m`
pub(super) fn subquery_suffix(subquery: &Subquery) -> String {
    let step = subquery.step.as_ref().map(ToString::to_string).unwrap_or_default();
    format!("[{}:{step}]{}", subquery.range, subquery.shift)
}

/// `sum by (job) `, with the blank before the parenthesis.
pub(super) fn aggregate_head(aggregate: &Aggregate) -> String {
    let name = aggregate.op.name();
    if aggregate.without {
        format!("{name} without ({}) ", names(&aggregate.grouping))
    } else if aggregate.grouping.is_empty() {
        name.to_owned()
    } else {
        format!("{name} by ({}) ", names(&aggregate.grouping))
    }
}

fn aggregate_text(f: &mut Formatter<'_>, aggregate: &Aggregate) -> fmt::Result {
    write!(f, "{}(", aggregate_head(aggregate))?;
    if let Some(param) = &aggregate.param {
        write!(f, "{param}, ")?;
    }
    write!(f, "{})", aggregate.expr)
}

fn binary_text(f: &mut Formatter<'_>, binary: &Binary) -> fmt::Result {
    write!(f, "{} {} {}", binary.left, binary_operator(binary), binary.right)
}

/// `== bool on (job)`
pub(super) fn binary_operator(binary: &Binary) -> String {
    let word = if binary.returns_bool { " bool" } else { "" };
    format!("{}{word}{}", binary.op.symbol(), binary.matching)
}
