//! One line of the text format. Errors carry the byte offset in the line.

use std::borrow::Cow;

use ringwell_storage::model::{Labels, METRIC_NAME};

use super::Dialect;

/// A sample's line.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) labels: Labels,
    pub(super) value: f64,
    pub(super) t: Option<i64>,
}

type Wrong = (usize, String);

/// Reads a line; `None` for comments and empty lines.
pub(super) fn read(text: &str, dialect: Dialect) -> Result<Option<Line>, Wrong> {
    let mut scan = Scan { text, at: 0, dialect };
    scan.skip_space();
    if scan.rest().is_empty() || scan.rest().starts_with('#') {
        return Ok(None);
    }
    let start = scan.at;
    let name = scan.name(true);
    let mut pairs: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::new();
    if !name.is_empty() {
        pairs.push((METRIC_NAME.into(), name.into()));
    } else if !scan.rest().starts_with('{') {
        return Err((start, "expected a metric name".to_owned()));
    }
    scan.skip_space();
    let labels_at = scan.at;
    if scan.take('{') {
        scan.labels(&mut pairs)?;
    }
    if !pairs.iter().any(|(name, _)| name == METRIC_NAME) {
        return Err((start, "the metric name is missing".to_owned()));
    }
    let labels = Labels::from_pairs(pairs.iter().map(|(name, value)| (&**name, &**value)))
        .map_err(|error| (labels_at, error.to_string()))?;
    scan.skip_space();
    let value = scan.value()?;
    scan.skip_space();
    let t = scan.timestamp()?;
    scan.skip_space();
    match scan.rest() {
        // An exemplar is not kept.
        rest if dialect == Dialect::OpenMetrics && rest.starts_with("# {") => {
            Ok(Some(Line { labels, value, t }))
        }
        "" => Ok(Some(Line { labels, value, t })),
        _ => Err((scan.at, "expected the end of the line".to_owned())),
    }
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
    dialect: Dialect,
}

impl<'a> Scan<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r']).len();
    }

    fn take(&mut self, c: char) -> bool {
        let there = self.rest().starts_with(c);
        self.at += if there { c.len_utf8() } else { 0 };
        there
    }

    /// A name of letters, digits and `_`; a metric's may have `:` too.
    fn name(&mut self, colon: bool) -> &'a str {
        let rest = self.rest();
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || (colon && c == ':');
        let end = rest.find(|c| !fits(c)).unwrap_or(rest.len());
        let name = rest.get(..end).unwrap_or_default();
        if name.starts_with(|c: char| c.is_ascii_digit()) {
            return "";
        }
        self.at += name.len();
        name
    }

    /// Label pairs up to and with the closing brace. A quoted text alone is the metric's name.
    fn labels(&mut self, pairs: &mut Vec<(Cow<'a, str>, Cow<'a, str>)>) -> Result<(), Wrong> {
        loop {
            self.skip_space();
            if self.take('}') {
                return Ok(());
            }
            let quoted = self.rest().starts_with('"');
            let name: Cow<'a, str> = if quoted { self.quoted()? } else { self.name(false).into() };
            if name.is_empty() {
                return Err((self.at, "expected a label name or }".to_owned()));
            }
            self.skip_space();
            if self.take('=') {
                self.skip_space();
                if !self.rest().starts_with('"') {
                    return Err((self.at, "expected a quoted label value".to_owned()));
                }
                let value = self.quoted()?;
                pairs.push((name, value));
            } else if quoted && pairs.is_empty() {
                pairs.push((METRIC_NAME.into(), name));
            } else {
                return Err((self.at, "expected = after the label's name".to_owned()));
            }
            self.skip_space();
            if !self.take(',') && !self.rest().starts_with('}') {
                return Err((self.at, "expected , or }".to_owned()));
            }
        }
    }

    /// A text in quotes, with `\\`, `\"` and `\n`.
    fn quoted(&mut self) -> Result<Cow<'a, str>, Wrong> {
        let start = self.at;
        self.at += 1;
        let body = self.rest();
        let Some(stop) = body.find(['"', '\\']) else {
            return Err((start, "the quoted text does not end".to_owned()));
        };
        if body.get(stop..).is_some_and(|rest| rest.starts_with('"')) {
            self.at += stop + 1;
            return Ok(body.get(..stop).unwrap_or_default().into());
        }
        let mut text = String::new();
        let mut chars = body.char_indices();
        while let Some((i, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += i + 1;
                    return Ok(text.into());
                }
                '\\' => match chars.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, c @ ('\\' | '"'))) => text.push(c),
                    Some((_, c)) => {
                        return Err((self.at + i, format!("an escape that is not known: \\{c}")));
                    }
                    None => break,
                },
                c => text.push(c),
            }
        }
        Err((start, "the quoted text does not end".to_owned()))
    }

    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest.find([' ', '\t', '\r']).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    fn value(&mut self) -> Result<f64, Wrong> {
        let start = self.at;
        let word = self.word();
        if word.is_empty() {
            return Err((start, "the value is missing".to_owned()));
        }
        word.parse().map_err(|_| (start, format!("not a number: {word:?}")))
    }

    fn timestamp(&mut self) -> Result<Option<i64>, Wrong> {
        let start = self.at;
        if self.dialect == Dialect::OpenMetrics && self.rest().starts_with('#') {
            return Ok(None);
        }
        let word = self.word();
        if word.is_empty() {
            return Ok(None);
        }
        let (unit, t) = match self.dialect {
            Dialect::Prometheus => ("milliseconds", word.parse().ok()),
            Dialect::OpenMetrics => ("seconds", word.parse().ok().and_then(millis)),
        };
        t.map(Some).ok_or_else(|| (start, format!("not a timestamp in {unit}: {word:?}")))
    }
}

/// Seconds in whole milliseconds, if a float still tells those apart.
fn millis(seconds: f64) -> Option<i64> {
    let millis = (seconds * 1000.0).round();
    (millis.abs() < (1_u64 << 53) as f64).then_some(millis as i64)
}
