//! Runs scripts in the format of Prometheus's promqltest: load, eval, expect.

mod check;
mod loaded;
mod nhcb;
pub(crate) mod notation;
mod pinned;

use ringwell_query::{Engine, EngineOptions, Query, Uninterrupted, When, parse_duration};
use ringwell_storage::model::{Labels, Sample, Value};
use std::sync::Arc;

pub(crate) use check::Expectations;
use loaded::Loaded;
use notation::{Notated, series_line};

/// One eval and why it fails.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The line of the eval, from 1.
    pub(crate) line: usize,
    /// The eval and what is wrong.
    pub(crate) text: String,
}

/// What became of a script.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// How many evals there are.
    pub(crate) evals: usize,
    /// Those that fail.
    pub(crate) failures: Vec<Failure>,
}

/// Runs a script.
pub(crate) fn run(script: &str) -> Report {
    let lines: Vec<&str> = script.lines().map(str::trim).collect();
    let mut runner = Runner {
        engine: Engine::new(EngineOptions {
            delayed_name_removal: true,
            start_timestamps: true,
            ..EngineOptions::default()
        }),
        loaded: Loaded::new(),
        report: Report::default(),
    };
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        let first = at;
        at += 1;
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut body = Vec::new();
        while let Some(line) = lines.get(at).filter(|l| !l.is_empty() && !l.starts_with('#')) {
            body.push(*line);
            at += 1;
        }
        if let Err(text) = runner.command(line, &body) {
            runner
                .report
                .failures
                .push(Failure { line: first + 1, text: format!("{line}\n  {text}") });
        }
    }
    runner.report
}

struct Runner {
    engine: Engine,
    loaded: Loaded,
    report: Report,
}

impl Runner {
    fn command(&mut self, line: &str, body: &[&str]) -> Result<(), String> {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match word {
            "clear" => {
                self.loaded = Loaded::new();
                // Commands may follow without a blank line.
                match body.split_first() {
                    Some((next, rest)) => self.command(next, rest),
                    None => Ok(()),
                }
            }
            "load" | "load_with_nhcb" => self.load(rest.trim(), body, word != "load"),
            _ if word.starts_with("eval") => {
                self.report.evals += 1;
                self.eval(word, rest.trim(), body)
            }
            other => Err(format!("unknown command {other:?}")),
        }
    }

    fn load(&mut self, step: &str, body: &[&str], with_nhcb: bool) -> Result<(), String> {
        let step = parse_duration(step)?;
        let mut starts: Vec<(Labels, Vec<Notated>)> = Vec::new();
        let mut classics = nhcb::Classics::default();
        let mut batch = Vec::new();
        for line in body {
            let series = series_line(line)?;
            if series.starts {
                starts.push((series.labels, series.values));
                continue;
            }
            let own = starts.iter().find(|s| s.0 == series.labels).map(|s| s.1.as_slice());
            let mut samples = Vec::new();
            for (i, value) in series.values.iter().enumerate() {
                let t = step * i as i64;
                let start = match own.and_then(|s| s.get(i)) {
                    Some(Notated::Float(offset)) => t + *offset as i64,
                    _ => 0,
                };
                let value = match value {
                    Notated::Missing => continue,
                    Notated::Float(v) => {
                        classics.push(&series.labels, t, *v);
                        Value::Float(*v)
                    }
                    Notated::Histogram(h) => Value::Histogram(Arc::new(h.to_histogram())),
                };
                samples.push(Sample { t, start, value });
            }
            batch.push((series.labels, samples));
        }
        if with_nhcb {
            for (labels, t, histogram) in classics.convert() {
                let value = Value::Histogram(Arc::new(histogram.to_histogram()));
                batch.push((labels, vec![Sample { t, start: 0, value }]));
            }
        }
        self.loaded.push(batch)
    }

    fn eval(&mut self, word: &str, rest: &str, body: &[&str]) -> Result<(), String> {
        let (when, text) = parse_when(rest)?;
        let expectations = Expectations::parse(word, body, when)?;
        let query = Query { text, when, lookback: None };
        let snapshot = self.loaded.snapshot();
        let result = self.engine.run(snapshot.as_ref(), &query, &Uninterrupted);
        expectations.check(result)?;
        if let When::At(t) = when
            && expectations.repeats_as_range()
            && !["start()", "end()", "step()", "range()"].iter().any(|f| text.contains(f))
        {
            let when = When::Range { start: t - 60_000, end: t + 60_000, step: 60_000 };
            let result =
                self.engine.run(snapshot.as_ref(), &Query { when, ..query }, &Uninterrupted);
            expectations.check_middle(result, t).map_err(|e| format!("as a range: {e}"))?;
            for now in [t - 3_600_000, t + 7_200_000] {
                let Some(text) = pinned::pinned(text, t) else { break };
                let query = Query { text: &text, when: When::At(now), lookback: None };
                let result = self.engine.run(snapshot.as_ref(), &query, &Uninterrupted);
                expectations
                    .check_values(result, now)
                    .map_err(|e| format!("pinned as {text}: {e}"))?;
            }
        }
        Ok(())
    }
}

/// Reads `instant at T EXPR` or `range from A to B step S EXPR`.
fn parse_when(rest: &str) -> Result<(When, &str), String> {
    let mut words = rest;
    let mut next = || {
        let trimmed = words.trim_start();
        let (word, after) = trimmed.split_once(char::is_whitespace).unwrap_or((trimmed, ""));
        words = after;
        word
    };
    let time = |text: &str| -> Result<i64, String> {
        match text.strip_prefix('-') {
            Some(text) => Ok(-parse_time(text)?),
            None => parse_time(text),
        }
    };
    let when = match next() {
        "instant" => {
            next();
            When::At(time(next())?)
        }
        "range" => {
            next();
            let start = time(next())?;
            next();
            let end = time(next())?;
            next();
            When::Range { start, end, step: time(next())? }
        }
        other => return Err(format!("unknown eval {other:?}")),
    };
    Ok((when, words.trim()))
}

/// A duration, or a number of seconds.
pub(crate) fn parse_time(text: &str) -> Result<i64, String> {
    match text.parse::<f64>() {
        Ok(seconds) => Ok((seconds * 1000.0) as i64),
        Err(_) => parse_duration(text),
    }
}
