//! What helps with a refused query: its line with a mark below the place, and a way out by class of error.

/// By what an error says, what to do.
const HINTS: &[(&str, &str)] = &[
    ("unexpected end of input", "a bracket, a brace or an operand is missing at the end"),
    ("unterminated", "a quote is still open"),
    ("no expression found", "give an expression, such as 'up'"),
    ("unknown function", "docs/promql.md names the functions beyond Prometheus's own"),
    ("expected type range vector", "give a range of time: x[5m]"),
    (
        "expected type instant vector",
        "leave the range away, or put a function around it: rate(x[5m])",
    ),
    ("expected type scalar", "give a number, or scalar(x) of a single series"),
    ("for range query, must be", "leave --start away, or put a function around it: rate(x[5m])"),
    ("at least one non-empty matcher", "name a metric, or a label that may not be empty"),
    ("duration", "write durations like 90s, 5m or 1h30m"),
    ("many-to-one matching must be explicit", "say which side has more: on (label) group_left ()"),
    (
        "matching labels must be unique",
        "match by more labels: on (a, b), or aggregate a side first",
    ),
    ("grouping labels must ensure unique", "take fewer labels along in group_left (...)"),
    ("same labelset", "a function drops the metric's name; select one metric, or aggregate first"),
    ("exceeded maximum resolution", "ask for a larger --step or a shorter range"),
    ("regular expression", "expressions are RE2's and match the whole value"),
    ("too many queries at once", "try again in a moment, or raise limits.query_concurrency"),
];

/// The lines below an error; empty where nothing is to be added.
pub(super) fn hint(query: &str, error: &str) -> String {
    let mut out = String::new();
    if let Some((line, column)) = place(error)
        && let Some(text) = query.split('\n').nth(line - 1)
    {
        // Columns count bytes, the mark stands below characters.
        let before = text.get(..column - 1).unwrap_or(text).chars().count();
        out.push_str(&format!("\n  {text}\n  {}^", " ".repeat(before)));
    }
    if let Some((_, way)) = HINTS.iter().find(|(words, _)| error.contains(words)) {
        out.push_str(&format!("\nhint: {way}"));
    }
    out
}

/// Line and column of a parse error, both from 1.
fn place(error: &str) -> Option<(usize, usize)> {
    let (before, _) = error.split_once(": parse error: ")?;
    let place = before.rsplit(' ').next()?;
    let (line, column) = place.split_once(':')?;
    let (line, column) = (line.parse().ok()?, column.parse().ok()?);
    (line > 0 && column > 0).then_some((line, column))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_below_the_place_and_a_way_out() {
        for (query, error, lines) in [
            (
                "sum(é{a=\"ü\"}, up{",
                "invalid parameter \"query\": 1:18: parse error: unexpected end of input",
                "\n  sum(é{a=\"ü\"}, up{\n                 ^\nhint: a bracket, a brace or an operand is missing at the end",
            ),
            (
                "a +\n  rate(b)",
                "2:8: parse error: expected type range vector in call",
                "\n    rate(b)\n         ^\nhint: give a range of time: x[5m]",
            ),
            (
                "",
                "unknown position: parse error: no expression found in input",
                "\nhint: give an expression, such as 'up'",
            ),
            ("a", "9:9: parse error: what", ""),
            ("a", "something else", ""),
        ] {
            assert_eq!(hint(query, error), lines, "{query}");
        }
    }
}
