//! What selects series: a label name, an operator, a value.

use std::fmt;

use regex::Regex;

use super::plain::Plain;
use super::re2::translate;

/// Largest compiled size of one matcher's expression.
const REGEX_SIZE_LIMIT: usize = 1 << 20;
/// Deepest nesting of one matcher's expression.
const REGEX_NEST_LIMIT: u32 = 250;

/// How a matcher compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
}

/// One condition on a label. An absent label has the empty value.
#[derive(Clone, Debug)]
pub struct Matcher {
    name: String,
    op: MatchOp,
    value: String,
    test: Test,
}

/// An expression that does not compile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("regular expression {pattern:?} for label {label:?}: {reason}")]
pub struct MatcherError {
    /// The label it was meant for.
    pub label: String,
    /// The expression as written.
    pub pattern: String,
    /// What is wrong with it, in one line.
    pub reason: String,
}

#[derive(Clone, Debug)]
enum Test {
    Literal,
    /// The expression is a choice of texts: a lookup instead of a search.
    OneOf(Vec<String>),
    /// It needs no search either.
    Plain(Plain),
    Regex(Regex),
}

impl Matcher {
    /// Compiles a matcher. Expressions match the whole value; `.` matches newlines too.
    pub fn new(
        op: MatchOp,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<Matcher, MatcherError> {
        let (name, value) = (name.into(), value.into());
        let test = match op {
            MatchOp::Equal | MatchOp::NotEqual => Test::Literal,
            MatchOp::Regex | MatchOp::NotRegex => compile(&name, &value)?,
        };
        Ok(Matcher { name, op, value, test })
    }

    /// `name="value"`, which cannot fail.
    pub fn equal(name: impl Into<String>, value: impl Into<String>) -> Matcher {
        Matcher { name: name.into(), op: MatchOp::Equal, value: value.into(), test: Test::Literal }
    }

    /// The label's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The operator.
    pub fn op(&self) -> MatchOp {
        self.op
    }

    /// The value or expression as written.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether a label of this value passes.
    pub fn matches(&self, value: &str) -> bool {
        let hit = match &self.test {
            Test::Literal => self.value == value,
            Test::OneOf(values) => values.binary_search_by(|v| v.as_str().cmp(value)).is_ok(),
            Test::Plain(plain) => plain.matches(value),
            Test::Regex(regex) => regex.is_match(value),
        };
        hit != matches!(self.op, MatchOp::NotEqual | MatchOp::NotRegex)
    }

    /// Whether a series without the label passes.
    pub fn matches_empty(&self) -> bool {
        self.matches("")
    }

    /// If only a known few values can pass, those: a lookup in the index instead of a scan.
    pub fn one_of(&self) -> Option<Vec<&str>> {
        match (self.op, &self.test) {
            (MatchOp::Equal, _) => Some(vec![self.value.as_str()]),
            (MatchOp::Regex, Test::OneOf(values)) => {
                Some(values.iter().map(String::as_str).collect())
            }
            _ => None,
        }
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Matcher) -> bool {
        (&self.name, self.op, &self.value) == (&other.name, other.op, &other.value)
    }
}

impl Eq for Matcher {}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let op = match self.op {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Regex => "=~",
            MatchOp::NotRegex => "!~",
        };
        write!(f, "{}{op}{:?}", self.name, self.value)
    }
}

fn compile(label: &str, pattern: &str) -> Result<Test, MatcherError> {
    if let Some(values) = plain_alternation(pattern) {
        return Ok(Test::OneOf(values));
    }
    match plain(pattern) {
        Some(plain) if plain.is_choice() => return Ok(Test::OneOf(plain.starts)),
        Some(plain) => return Ok(Test::Plain(plain)),
        None => {}
    }
    compile_regex(pattern).map(Test::Regex).map_err(|reason| MatcherError {
        label: label.to_owned(),
        pattern: pattern.to_owned(),
        reason,
    })
}

/// Compiles an expression in Go's syntax for whole values; what is wrong with it in one line.
pub fn compile_regex(pattern: &str) -> Result<Regex, String> {
    regex::RegexBuilder::new(&format!("^(?s:{})$", translate(pattern)?))
        .size_limit(REGEX_SIZE_LIMIT)
        .nest_limit(REGEX_NEST_LIMIT)
        .build()
        .map_err(|error| last_line(&error.to_string()))
}

/// An expression that needs no search; what is wrong with others is told where they are compiled.
fn plain(pattern: &str) -> Option<Plain> {
    let mut parser = regex_syntax::ParserBuilder::new().nest_limit(REGEX_NEST_LIMIT).build();
    Plain::of(&parser.parse(&format!("(?s:{})", translate(pattern).ok()?)).ok()?)
}

/// `a|b|c` without any operator, sorted; `None` for everything else.
fn plain_alternation(pattern: &str) -> Option<Vec<String>> {
    if pattern.contains(|c: char| r"\.+*?()[]{}^$".contains(c)) {
        return None;
    }
    let mut values: Vec<String> = pattern.split('|').map(str::to_owned).collect();
    values.sort();
    values.dedup();
    Some(values)
}

/// The regex crate draws a picture over several lines; its last one says what is wrong.
fn last_line(text: &str) -> String {
    text.lines().last().unwrap_or(text).trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(op: MatchOp, pattern: &str, values: &[&str]) -> Vec<bool> {
        let matcher = Matcher::new(op, "l", pattern).unwrap();
        values.iter().map(|v| matcher.matches(v)).collect()
    }

    #[test]
    fn expressions_are_anchored_and_dot_takes_newlines() {
        assert_eq!(hits(MatchOp::Regex, "a.c", &["abc", "xabc", "a\nc"]), [true, false, true]);
        assert_eq!(
            hits(MatchOp::NotRegex, "a|b", &["a", "b", "", "ab"]),
            [false, false, true, true]
        );
        assert_eq!(hits(MatchOp::Regex, "a||b", &["", "a"]), [true, true]);
    }

    #[test]
    fn a_bad_expression_names_label_and_reason() {
        let error = Matcher::new(MatchOp::Regex, "job", "a(").unwrap_err();
        assert_eq!(error.label, "job");
        assert_eq!(error.reason, "missing closing ): `a(`");
    }
}
