//! What an eval expects, and whether the answer is that.

use ringwell_query::{Answer, AnswerValue, MatrixSeries, QueryError, When};
use ringwell_storage::model::{CounterReset, FloatHistogram, Labels, Value};

use super::notation::{Notated, expand, labels, number, tokens};
use super::parse_time;

/// Everything below an eval line.
#[derive(Clone, Debug)]
pub(crate) struct Expectations {
    fail: Option<Text>,
    warn: Vec<Text>,
    info: Vec<Text>,
    no_warn: bool,
    no_info: bool,
    ordered: bool,
    string: Option<String>,
    scalar: Option<f64>,
    /// First time and step of the values.
    grid: (i64, i64),
    range_vector: bool,
    instant: bool,
    series: Vec<(Labels, Vec<Notated>)>,
}

/// A message that must occur.
#[derive(Clone, Debug)]
enum Text {
    Any,
    Exactly(String),
    Matching(regex::Regex),
}

impl Text {
    fn parse(text: &str) -> Result<Text, String> {
        let text = text.trim();
        if let Some(message) = text.strip_prefix("msg:") {
            return Ok(Text::Exactly(message.trim().to_owned()));
        }
        if let Some(pattern) = text.strip_prefix("regex:") {
            return regex::Regex::new(pattern.trim())
                .map(Text::Matching)
                .map_err(|e| e.to_string());
        }
        if text.is_empty() { Ok(Text::Any) } else { Err(format!("bad expectation {text:?}")) }
    }

    fn fits(&self, message: &str) -> bool {
        match self {
            Text::Any => true,
            Text::Exactly(want) => message == want,
            Text::Matching(regex) => regex.is_match(message),
        }
    }
}

impl Expectations {
    /// Reads the lines below an eval.
    pub(crate) fn parse(word: &str, body: &[&str], when: When) -> Result<Expectations, String> {
        let (grid, instant) = match when {
            When::At(t) => ((t, 1), true),
            When::Range { start, step, .. } => ((start, step), false),
        };
        let mut out = Expectations {
            fail: (word == "eval_fail").then_some(Text::Any),
            warn: Vec::new(),
            info: Vec::new(),
            no_warn: false,
            no_info: false,
            ordered: word == "eval_ordered",
            string: None,
            scalar: None,
            grid,
            range_vector: false,
            instant,
            series: Vec::new(),
        };
        for line in body {
            if let Some(rest) = line.strip_prefix("expect ") {
                out.expect(rest.trim())?;
            } else if let Some(message) = line.strip_prefix("expected_fail_message ") {
                out.fail = Some(Text::Exactly(message.trim().to_owned()));
            } else if let Some(pattern) = line.strip_prefix("expected_fail_regexp ") {
                out.fail = Some(Text::parse(&format!("regex: {pattern}"))?);
            } else if let Ok(value) = number(line) {
                out.scalar = Some(value);
            } else {
                let (labels, rest) = labels(line)?;
                let mut values = Vec::new();
                for token in tokens(rest) {
                    values.extend(expand(&token)?);
                }
                out.series.push((labels, values));
            }
        }
        Ok(out)
    }

    fn expect(&mut self, rest: &str) -> Result<(), String> {
        let (word, text) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        match word {
            "fail" => self.fail = Some(Text::parse(text)?),
            "warn" => self.warn.push(Text::parse(text)?),
            "info" => self.info.push(Text::parse(text)?),
            "no_warn" => self.no_warn = true,
            "no_info" => self.no_info = true,
            "ordered" => self.ordered = true,
            "string" => self.string = Some(text.trim().trim_matches('"').to_owned()),
            "range" => {
                let words: Vec<&str> = text.split_whitespace().collect();
                let at = |i: usize| parse_time(words.get(i).copied().unwrap_or(""));
                self.range_vector = true;
                self.grid = (at(2)?, at(6)?);
            }
            other => return Err(format!("unknown expectation {other:?}")),
        }
        Ok(())
    }

    /// Whether an instant eval also holds as a step of a range query.
    pub(crate) fn repeats_as_range(&self) -> bool {
        !self.range_vector && !self.ordered && self.string.is_none() && self.fail.is_none()
    }

    /// Checks an answer.
    pub(crate) fn check(&self, result: Result<Answer, QueryError>) -> Result<(), String> {
        let answer = match (result, &self.fail) {
            (Err(error), Some(want)) if want.fits(&error.message) => return Ok(()),
            (Err(error), Some(want)) => {
                return Err(format!("fails with {:?}, want {want:?}", error.message));
            }
            (Err(error), None) => return Err(format!("fails: {}", error.message)),
            (Ok(answer), Some(_)) => return Err(format!("must fail, gives {:?}", answer.value)),
            (Ok(answer), None) => answer,
        };
        self.annotations(&answer)?;
        self.values(&answer.value)
    }

    /// Checks an instant answer given for another time, without its annotations.
    pub(crate) fn check_values(
        &self,
        result: Result<Answer, QueryError>,
        now: i64,
    ) -> Result<(), String> {
        let answer = result.map_err(|e| format!("fails: {}", e.message))?;
        let moved = Expectations { grid: (now, 1), ..self.clone() };
        moved.values(&answer.value)
    }

    fn annotations(&self, answer: &Answer) -> Result<(), String> {
        for (want, have, none, kind) in [
            (&self.warn, &answer.warnings, self.no_warn, "warnings"),
            (&self.info, &answer.infos, self.no_info, "infos"),
        ] {
            if none && !have.is_empty() {
                return Err(format!("unwanted {kind}: {have:?}"));
            }
            for text in want {
                if !have.iter().any(|h| text.fits(h)) {
                    return Err(format!("{kind} are {have:?}, want {text:?}"));
                }
            }
        }
        Ok(())
    }

    fn values(&self, value: &AnswerValue) -> Result<(), String> {
        match value {
            AnswerValue::String { s, .. } => {
                if self.string.as_ref() == Some(s) {
                    Ok(())
                } else {
                    Err(format!("gives {s:?}"))
                }
            }
            AnswerValue::Scalar { v, .. } => match self.scalar {
                Some(want) if close(want, *v) => Ok(()),
                want => Err(format!("gives {v}, want {want:?}")),
            },
            AnswerValue::Vector(samples) => {
                let rows: Vec<MatrixSeries> = samples
                    .iter()
                    .map(|s| {
                        let mut series = MatrixSeries {
                            labels: s.labels.clone(),
                            floats: Vec::new(),
                            histograms: Vec::new(),
                        };
                        match &s.value {
                            Value::Float(v) => series.floats.push((s.t, *v)),
                            Value::Histogram(h) => series.histograms.push((s.t, h.clone())),
                        }
                        series
                    })
                    .collect();
                self.rows(&rows)
            }
            AnswerValue::Matrix(rows) => self.rows(rows),
        }
    }

    /// Checks the step at `t` of a range answer against an instant expectation.
    pub(crate) fn check_middle(
        &self,
        result: Result<Answer, QueryError>,
        t: i64,
    ) -> Result<(), String> {
        let answer = result.map_err(|e| format!("fails: {}", e.message))?;
        let AnswerValue::Matrix(rows) = answer.value else {
            return Err("gives no matrix".to_owned());
        };
        let rows: Vec<MatrixSeries> = rows
            .into_iter()
            .map(|row| MatrixSeries {
                floats: row.floats.into_iter().filter(|f| f.0 == t).collect(),
                histograms: row.histograms.into_iter().filter(|h| h.0 == t).collect(),
                labels: row.labels,
            })
            .filter(|row| !(row.floats.is_empty() && row.histograms.is_empty()))
            .collect();
        if let Some(want) = self.scalar {
            let have = rows.first().and_then(|r| r.floats.first()).map(|f| f.1);
            return match have {
                Some(have) if close(want, have) => Ok(()),
                have => Err(format!("gives {have:?}, want {want}")),
            };
        }
        self.rows(&rows)
    }

    fn rows(&self, rows: &[MatrixSeries]) -> Result<(), String> {
        let mut missing: Vec<&(Labels, Vec<Notated>)> = self.series.iter().collect();
        missing.retain(|s| s.1.iter().any(|v| !matches!(v, Notated::Missing)));
        if self.ordered && self.instant && !self.range_vector {
            let want: Vec<&Labels> = missing.iter().map(|s| &s.0).collect();
            let have: Vec<&Labels> = rows.iter().map(|r| &r.labels).collect();
            if want != have {
                return Err(format!("order is {have:?}, want {want:?}"));
            }
        }
        for row in rows {
            let at = missing.iter().position(|s| s.0 == row.labels);
            let Some(at) = at else { return Err(format!("unwanted series {}", describe(row))) };
            let (_, want) = missing.remove(at);
            self.row(row, want).map_err(|e| format!("{}: {e}", row.labels))?;
        }
        match missing.first() {
            None => Ok(()),
            Some(one) => Err(format!("no series {} among {}", one.0, rows.len())),
        }
    }

    fn row(&self, row: &MatrixSeries, want: &[Notated]) -> Result<(), String> {
        let (start, step) = self.grid;
        let mut seen = 0;
        for (i, want) in want.iter().enumerate() {
            let t = start + step * i as i64;
            let float = row.floats.iter().find(|f| f.0 == t).map(|f| f.1);
            let histogram = row.histograms.iter().find(|h| h.0 == t).map(|h| &h.1);
            seen += usize::from(float.is_some()) + usize::from(histogram.is_some());
            match (want, float, histogram) {
                (Notated::Missing, None, None) => {}
                (Notated::Float(want), Some(have), None) if close(*want, have) => {}
                (Notated::Histogram(want), None, Some(have)) => {
                    same_histogram(want, &FloatHistogram::from(have.as_ref()))?;
                }
                _ => return Err(format!("at {t} is {float:?} {histogram:?}, want {want:?}")),
            }
        }
        if seen == row.floats.len() + row.histograms.len() {
            Ok(())
        } else {
            Err(format!("more values than wanted: {}", describe(row)))
        }
    }
}

fn describe(row: &MatrixSeries) -> String {
    format!("{} {:?} {:?}", row.labels, row.floats, row.histograms)
}

/// Equal but for rounding, as Prometheus's own tests take it.
fn close(a: f64, b: f64) -> bool {
    if a.is_nan() || b.is_nan() {
        return a.is_nan() && b.is_nan();
    }
    if a == b {
        return true;
    }
    let (sum, diff) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return diff < 1e-6 * f64::MIN_POSITIVE;
    }
    diff / sum.min(f64::MAX) < 1e-6
}

fn same_histogram(want: &FloatHistogram, have: &FloatHistogram) -> Result<(), String> {
    let side = |a: &[(i32, f64)], b: &[(i32, f64)]| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && close(a.1, b.1))
    };
    let same = want.schema == have.schema
        && close(want.count, have.count)
        && close(want.sum, have.sum)
        && close(want.zero_threshold, have.zero_threshold)
        && close(want.zero_count, have.zero_count)
        && side(&want.positive, &have.positive)
        && side(&want.negative, &have.negative)
        && want.custom_values.len() == have.custom_values.len()
        && want.custom_values.iter().zip(have.custom_values.iter()).all(|(a, b)| close(*a, *b))
        && (want.reset != CounterReset::Gauge || have.reset == CounterReset::Gauge);
    if same { Ok(()) } else { Err(format!("histogram is {have:?}, want {want:?}")) }
}
