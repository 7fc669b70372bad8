//! A plan as text: one node a line, children indented.

use std::fmt::{self, Display, Formatter, Write as _};

use super::{Node, Op, Plan, Select, Shift};
use crate::parse::expr::Edges;
use crate::parse::{duration, matcher_text, quoted};
use crate::value::format_general;

impl Display for Plan {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.nodes().into_iter().try_for_each(|(depth, node)| {
            let indent = 2 * depth;
            writeln!(f, "{:indent$}{}", "", self.line(node))
        })
    }
}

impl Plan {
    /// All nodes with their depths, as they are printed.
    pub(crate) fn nodes(&self) -> Vec<(usize, &Node)> {
        fn walk<'a>(node: &'a Node, depth: usize, out: &mut Vec<(usize, &'a Node)>) {
            out.push((depth, node));
            node.children().into_iter().for_each(|child| walk(child, depth + 1, out));
        }
        let mut out = Vec::new();
        walk(&self.root, 0, &mut out);
        out
    }

    /// One node in words.
    pub(crate) fn line(&self, node: &Node) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = line(&mut out, self, node);
        out
    }
}

fn line(f: &mut String, plan: &Plan, node: &Node) -> fmt::Result {
    match &node.op {
        Op::Number(number) => write!(f, "number {}", format_general(*number))?,
        Op::Text { value, .. } => write!(f, "text {}", quoted(value))?,
        Op::Select(select) => {
            f.write_str("select")?;
            select_text(f, plan, select)?;
        }
        Op::Window(window) => {
            write!(f, "window {}", duration::format(window.range))?;
            select_text(f, plan, &window.select)?;
        }
        Op::Subquery(subquery) => {
            let (range, step) = (duration::format(subquery.range), duration::format(subquery.step));
            write!(f, "subquery {range}:{step}{}", ShiftText(subquery.shift))?;
        }
        Op::Call { function, .. } => write!(f, "call {}", function.name)?,
        Op::Aggregate(aggregate) => {
            let word = if aggregate.without { "without" } else { "by" };
            write!(
                f,
                "aggregate {} {word} ({})",
                aggregate.op.name(),
                aggregate.grouping.join(", ")
            )?;
        }
        Op::Binary(binary) => {
            let returns_bool = if binary.returns_bool { " bool" } else { "" };
            write!(f, "binary {}{returns_bool}{}", binary.op.symbol(), binary.matching)?;
        }
        Op::Negate(_) => f.write_str("negate")?,
        Op::Invariant(_) => f.write_str("once")?,
    }
    Ok(())
}

fn select_text(f: &mut String, plan: &Plan, select: &Select) -> fmt::Result {
    let matchers = plan.sources.get(select.source).map_or(&[][..], |s| &s.matchers);
    let matchers: Vec<String> = matchers.iter().map(matcher_text).collect();
    write!(f, " #{} {{{}}}{}", select.source, matchers.join(","), ShiftText(select.shift))?;
    f.write_str(match select.edges {
        Edges::Plain => "",
        Edges::Anchored => " anchored",
        Edges::Smoothed => " smoothed",
    })?;
    if select.stats { f.write_str(" stats") } else { Ok(()) }
}

struct ShiftText(Shift);

impl Display for ShiftText {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(at) = self.0.at {
            write!(f, " @ {at}ms")?;
        }
        match self.0.offset {
            0 => Ok(()),
            offset => write!(f, " offset {}", duration::format(offset)),
        }
    }
}
