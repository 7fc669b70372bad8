//! `label_replace`, `label_join` and the sorts.

use std::cmp::Ordering;
use std::collections::HashMap;

use regex::Regex;
use ringwell_storage::model::{Labels, METRIC_NAME, compile_regex};

use super::Context;
use super::answer::merge;
use super::call::{rows_of, text_of};
use crate::error::QueryError;
use crate::plan::Node;
use crate::value::{Cell, Row, Steps};

pub(super) fn replace(
    ctx: &Context<'_>,
    args: &[Node],
    steps: Steps,
) -> Result<Vec<Row>, QueryError> {
    let text = |i: usize| args.get(i).map(text_of).unwrap_or_default();
    let (target, replacement, source, pattern) = (text(1), text(2).0, text(3).0, text(4).0);
    let regex = compile_regex(&pattern).map_err(|_| {
        QueryError::execution(format!("invalid regular expression in label_replace(): {pattern}"))
    })?;
    let replacement = go_template(&replacement);
    let target = label_name(target, |name| {
        format!("invalid destination label name in label_replace(): {name}")
    })?;
    let mut rows = rows_of(ctx, args, 0, steps)?;
    for row in &mut rows {
        let value = row.labels.get(&source).unwrap_or("").to_owned();
        if let Some(new) = expanded(&regex, &value, &replacement) {
            set_label(row, &target, &new);
        }
    }
    distinct(rows)
}

fn expanded(regex: &Regex, value: &str, template: &str) -> Option<String> {
    let captures = regex.captures(value)?;
    let mut out = String::new();
    captures.expand(template, &mut out);
    Some(out)
}

/// Go takes `$1x` for a group named `1x`, as the regex crate does; only `$` followed by nothing
/// that can be a name stays, and is spelled `$$` there.
fn go_template(template: &str) -> String {
    let mut out = String::with_capacity(template.len());
    let mut chars = template.chars().peekable();
    while let Some(c) = chars.next() {
        out.push(c);
        if c == '$' {
            match chars.peek() {
                Some('$') => out.extend(chars.next()),
                Some(c) if c.is_alphanumeric() || matches!(c, '_' | '{') => {}
                _ => out.push('$'),
            }
        }
    }
    out
}

pub(super) fn join(ctx: &Context<'_>, args: &[Node], steps: Steps) -> Result<Vec<Row>, QueryError> {
    let text = |i: usize| args.get(i).map(text_of).unwrap_or_default();
    let target = label_name(text(1), |name| {
        format!("invalid destination label name in label_join(): {name}")
    })?;
    let separator = text(2).0;
    let mut sources = Vec::new();
    for arg in args.iter().skip(3) {
        sources.push(label_name(text_of(arg), |name| {
            format!("invalid source label name in label_join(): {name}")
        })?);
    }
    let mut rows = rows_of(ctx, args, 0, steps)?;
    for row in &mut rows {
        let values: Vec<&str> = sources.iter().map(|l| row.labels.get(l).unwrap_or("")).collect();
        let joined = values.join(&separator);
        set_label(row, &target, &joined);
    }
    distinct(rows)
}

/// A label's name must be UTF-8 and not empty.
pub(super) fn label_name(
    (name, not_utf8): (String, Option<String>),
    fault: impl Fn(&str) -> String,
) -> Result<String, QueryError> {
    match not_utf8 {
        Some(spelled) => Err(QueryError::execution(fault(&spelled))),
        None if name.is_empty() => Err(QueryError::execution(fault(&name))),
        None => Ok(name),
    }
}

fn set_label(row: &mut Row, name: &str, value: &str) {
    let mut builder = row.labels.to_builder();
    builder.set(name, value);
    // A value past the format's limit cannot be held; the label stays as it was.
    if let Ok(labels) = builder.build() {
        row.labels = labels;
    }
    if name == METRIC_NAME {
        row.drop_name = false;
    }
}

/// Rows that came to equal labels are one series, if they never meet.
fn distinct(rows: Vec<Row>) -> Result<Vec<Row>, QueryError> {
    let mut out: Vec<Row> = Vec::with_capacity(rows.len());
    let mut index: HashMap<Labels, usize> = HashMap::with_capacity(rows.len());
    for row in rows {
        let next = out.len();
        let at = *index.entry(row.labels.clone()).or_insert(next);
        match out.get_mut(at) {
            None => out.push(row),
            Some(kept) => merge(kept, &row)?,
        }
    }
    Ok(out)
}

/// Rows in the order of a sort; it matters for instant queries only.
pub(super) fn sorted(name: &str, mut rows: Vec<Row>, by: &[String]) -> Vec<Row> {
    let descending = name.ends_with("_desc");
    if name.starts_with("sort_by_label") {
        rows.sort_by(|a, b| {
            let order = by_labels(&a.labels, &b.labels, by);
            if descending { order.reverse() } else { order }
        });
        return rows;
    }
    for row in &mut rows {
        for i in 0..row.column.len() {
            if matches!(row.column.get(i), Cell::Histogram(_)) {
                row.column.clear(i);
            }
        }
    }
    rows.retain(|row| !row.column.is_empty());
    let value = |row: &Row| match row.column.get(0) {
        Cell::Float(v) => v,
        _ => f64::NAN,
    };
    rows.sort_by(|a, b| match (value(a), value(b)) {
        (a, b) if a.is_nan() || b.is_nan() => a.is_nan().cmp(&b.is_nan()),
        (a, b) if descending => b.total_cmp(&a),
        (a, b) => a.total_cmp(&b),
    });
    rows
}

fn by_labels(a: &Labels, b: &Labels, by: &[String]) -> Ordering {
    by.iter()
        .map(|name| natural(a.get(name).unwrap_or(""), b.get(name).unwrap_or("")))
        .find(|order| order.is_ne())
        .unwrap_or_else(|| a.cmp(b))
}

/// Digits compare as numbers, all else as text.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    while !a.is_empty() && !b.is_empty() {
        let (left, right) = (chunk(a), chunk(b));
        let digits = |s: &str| s.starts_with(|c: char| c.is_ascii_digit());
        let order = if digits(left) && digits(right) {
            let (l, r) = (left.trim_start_matches('0'), right.trim_start_matches('0'));
            l.len().cmp(&r.len()).then_with(|| l.cmp(r)).then_with(|| left.len().cmp(&right.len()))
        } else {
            left.cmp(right)
        };
        if order.is_ne() {
            return order;
        }
        a = a.get(left.len()..).unwrap_or("");
        b = b.get(right.len()..).unwrap_or("");
    }
    a.len().cmp(&b.len())
}

/// The digits at the start, or all before the next digit.
fn chunk(text: &str) -> &str {
    let digit = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text.find(|c: char| c.is_ascii_digit() != digit).unwrap_or(text.len());
    text.get(..end).unwrap_or(text)
}
