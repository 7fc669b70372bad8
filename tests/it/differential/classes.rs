//! Why two answers rightly differ: what Prometheus 3.14 demands in its own tests and 3.5.3 does not do yet,
//! and what has no order. Each class is a condition on both servers' answers to parts of the query, not on
//! its words alone; `query/tests/scripts/since_3_5.test` holds the node to the newer behaviour. Where a change of
//! Prometheus explains a class its release note is cited. Of three classes there is none, for nothing has
//! changed: ties are in the order of a Go map, dates of what is no time in that of the processor, and the last
//! digits of labels are those of sums added up in another order.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Series, difference, same_number, series_of};

/// Asks the node and Prometheus the same at the same times.
type Both<'a> = &'a dyn Fn(&str) -> (Value, Value);

/// The class of a difference, if it is of a known one.
pub(super) fn explained(query: &str, ours: &Value, both: Both<'_>) -> Option<&'static str> {
    if pairs_are_dropped(query, ours, both) {
        return Some("pairs that a comparison drops are matches too");
    }
    // (names, condition, class)
    type Class = (&'static [&'static str], fn(&Call<'_>, Both<'_>) -> bool, &'static str);
    let classes: [Class; 5] = [
        (&["topk", "bottomk"], is_tie, "ties in no order"),
        (&["mad_over_time"], is_nan_in_range, "mad_over_time of a NaN is NaN"),
        (DEVIATIONS, is_rounding, "deviations are compensated"),
        (DATES, is_no_time, "dates of what is no time"),
        (&["count_values"], is_last_digit, "last digits as labels"),
    ];
    let found = classes
        .iter()
        .find(|(names, holds, _)| calls(query, names).iter().any(|call| holds(call, both)));
    found.map(|(.., class)| *class)
}

const DEVIATIONS: &[&str] = &["stddev", "stdvar", "stddev_over_time", "stdvar_over_time"];
const DATES: &[&str] = &["minute", "hour", "day_of_week", "month", "days_in_month"];

/// A call within a query.
struct Call<'a> {
    name: &'a str,
    whole: &'a str,
    /// Its last argument.
    last: &'a str,
}

/// Every call of these functions, grouping included.
fn calls<'a>(query: &'a str, names: &[&str]) -> Vec<Call<'a>> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (start, _) in query.char_indices() {
        let rest = &query[start..];
        let name = &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())];
        let inside_a_word = query[..start].ends_with(is_word);
        if inside_a_word || !names.contains(&name) {
            continue;
        }
        let mut at = start + name.len();
        if [" by (", " without ("].iter().any(|g| query[at..].starts_with(g)) {
            at = closing(query, at + query[at..].find('(').unwrap());
        }
        let open = at + query[at..].find('(').unwrap();
        let end = closing(query, open);
        let last = last_argument(&query[open + 1..end - 1]);
        found.push(Call { name, whole: &query[start..end], last });
    }
    found
}

/// Behind the parenthesis that closes the one at `open`.
fn closing(query: &str, open: usize) -> usize {
    let (mut depth, mut quoted) = (0, false);
    for (i, c) in query[open..].char_indices() {
        match c {
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            _ => {}
        }
        if depth == 0 && !quoted {
            return open + i + 1;
        }
    }
    query.len()
}

fn last_argument(arguments: &str) -> &str {
    let (mut depth, mut quoted, mut from) = (0, false, 0);
    for (i, c) in arguments.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '(' | '[' | '{' if !quoted => depth += 1,
            ')' | ']' | '}' if !quoted => depth -= 1,
            ',' if depth == 0 && !quoted => from = i + 1,
            _ => {}
        }
    }
    arguments[from..].trim()
}

/// "[BUGFIX] PromQL: Fix insufficient cardinality checking for filter ops." (pull request 17668)
///
/// Of pairs that do not hold 3.5.3 counts no matches, so a comparison passes where 3.14 says, as both do of
/// other operators, that they are many to one.
fn pairs_are_dropped(query: &str, ours: &Value, both: Both<'_>) -> bool {
    const MANY: &str = "multiple matches for labels: many-to-one";
    let says = |answer: &Value| answer["error"].as_str().unwrap_or_default().starts_with(MANY);
    let mut added = query.to_owned();
    for op in ["==", "!=", ">=", "<=", ">", "<"] {
        added = added.replace(&format!(" {op} bool "), " + ").replace(&format!(" {op} "), " + ");
    }
    says(ours) && added != query && says(&both(&added).1)
}

/// Of equal values Prometheus picks those that come first, and what histogram_quantile finds comes in the
/// order of a Go map, another in each run; here it is the order of labels. So what is picked from is the
/// same and has equal values at a time, and the values that are picked are the same.
fn is_tie(call: &Call<'_>, both: Both<'_>) -> bool {
    let (ours, theirs) = both(call.whole);
    let (from_ours, from_theirs) = both(call.last);
    let (a, b) = (values(&ours), values(&theirs));
    let ties = values(&from_ours).windows(2).any(|pair| alike(&pair[0], &pair[1]));
    ties && difference(&from_ours, &from_theirs).is_none()
        && a.len() == b.len()
        && a.iter().zip(&b).all(|(a, b)| alike(a, b))
}

/// All values with their times, in order.
fn values(answer: &Value) -> Vec<(String, f64)> {
    let points = series_of(answer).into_iter().flatten().flat_map(|(_, points)| points);
    let mut values: Vec<(String, f64)> =
        points.filter_map(|(t, v)| Some((t, v.parse().ok()?))).collect();
    values.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    values
}

fn alike(a: &(String, f64), b: &(String, f64)) -> bool {
    a.0 == b.0 && same_number(&a.1.to_string(), &b.1.to_string())
}

/// "[BUGFIX] PromQL: `mad_over_time` now propagates NaN instead of silently returning 0 when the range contains
/// a NaN sample." (pull request 19040) The NaN is one of the window's: their sum has it too.
fn is_nan_in_range(call: &Call<'_>, both: Both<'_>) -> bool {
    let sums = both(&format!("sum_over_time({})", call.last)).0;
    all_differing(call, both, |ours, _, labels, t| {
        ours.is_nan() && value_at(&sums, labels, t).is_some_and(f64::is_nan)
    })
}

/// Sums are compensated since 3.6: of large and nearly equal values more digits of the difference stay. The
/// variances are as near as squares of such values can be told apart.
fn is_rounding(call: &Call<'_>, both: Both<'_>) -> bool {
    let squared = call.name.starts_with("stddev");
    let mean = both(&call.whole.replacen("stddev", "avg", 1).replacen("stdvar", "avg", 1)).0;
    let variance = |v: f64| if squared { v * v } else { v };
    all_differing(call, both, |ours, theirs, labels, t| {
        let mean = value_at(&mean, labels, t).unwrap_or(f64::NAN);
        (variance(ours) - variance(theirs)).abs() <= 1e-12 * mean * mean
    })
}

/// Go's conversion to an integer of what is none is another on every kind of processor.
fn is_no_time(call: &Call<'_>, both: Both<'_>) -> bool {
    let times = both(call.last).0;
    all_differing(call, both, |_, _, labels, t| {
        value_at(&times, labels, t).is_some_and(|v| !v.is_finite() || v.abs() >= 9.2e18)
    })
}

/// What is counted is equal to nine digits, and all of them are a label's value.
fn is_last_digit(call: &Call<'_>, both: Both<'_>) -> bool {
    let (ours, theirs) = both(call.last);
    let (counted, by_them) = both(call.whole);
    difference(&ours, &theirs).is_none() && difference(&counted, &by_them).is_some()
}

/// Whether the answers to a call differ, and each point that does fulfils a condition.
fn all_differing(
    call: &Call<'_>,
    both: Both<'_>,
    holds: impl Fn(f64, f64, &str, &str) -> bool,
) -> bool {
    let (ours, theirs) = both(call.whole);
    let (Some(ours), Some(theirs)) = (series_of(&ours), series_of(&theirs)) else { return false };
    let mut differing = 0;
    for (labels, points) in &ours {
        let Some(others) = theirs.get(labels).filter(|o| o.len() == points.len()) else {
            return false;
        };
        for ((t, a), (_, b)) in points.iter().zip(others).filter(|(a, b)| !same_number(&a.1, &b.1))
        {
            let (Ok(a), Ok(b)) = (a.parse(), b.parse()) else { return false };
            if !holds(a, b, labels, t) {
                return false;
            }
            differing += 1;
        }
    }
    differing > 0
}

/// A value of an answer; a function has dropped the name of what it was given.
fn value_at(answer: &Value, labels: &str, t: &str) -> Option<f64> {
    let nameless = |(labels, points): (String, Vec<(String, String)>)| {
        let mut labels: BTreeMap<String, String> =
            serde_json::from_str(&labels).unwrap_or_default();
        labels.remove("__name__");
        (serde_json::json!(labels).to_string(), points)
    };
    let series: Series = series_of(answer)?.into_iter().map(nameless).collect();
    let points =
        series.get(labels).or_else(|| series.values().next().filter(|_| series.len() == 1));
    points?.iter().find(|point| point.0 == t)?.1.parse().ok()
}

#[test]
fn calls_are_found_in_a_query() {
    let query = "abs(topk by (a) (2, f{x=\")(\"} + max(1, 2))) or mad_over_time(g[5m])";
    let found: Vec<String> = calls(query, &["topk", "mad_over_time", "max"])
        .iter()
        .map(|call| format!("{} | {} | {}", call.name, call.whole, call.last))
        .collect();
    assert_eq!(
        found,
        [
            "topk | topk by (a) (2, f{x=\")(\"} + max(1, 2)) | f{x=\")(\"} + max(1, 2)",
            "max | max(1, 2) | 2",
            "mad_over_time | mad_over_time(g[5m]) | g[5m]",
        ]
    );
}
