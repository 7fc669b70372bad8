//! Seeded fuzzing of lexer, parser and evaluator. An ordinary run takes a moment; `RINGWELL_FUZZ_SECONDS` makes
//! each target run so long and `RINGWELL_FUZZ_SEED` begin elsewhere. A finding prints its seed and its query.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod draw;
mod naive;
mod queries;
mod syntax;

use std::time::{Duration, Instant};

use draw::Draw;
use ringwell_query::{
    Answer, AnswerValue, Engine, EngineOptions, ErrorKind, Query, Uninterrupted, When,
    format_expression, parse_expression,
};

/// Runs a target round after round, each with a seed of its own; so many where nothing says how long.
fn fuzz(name: &str, rounds: u64, mut target: impl FnMut(&mut Draw)) {
    let of = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
    let first = of("RINGWELL_FUZZ_SEED").unwrap_or(1);
    let end = of("RINGWELL_FUZZ_SECONDS").map(|s| Instant::now() + Duration::from_secs(s));
    let mut seed = first;
    while end.map_or(seed - first < rounds, |end| Instant::now() < end) {
        let told = Told(name, seed);
        target(&mut Draw::new(seed));
        std::mem::forget(told);
        seed += 1;
    }
    println!("{name}: {} rounds from seed {first}", seed - first);
}

/// Says which round it was when one panics.
struct Told<'a>(&'a str, u64);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        eprintln!("{}: seed {}", self.0, self.1);
    }
}

/// What stands between tokens, and in which quotes strings stand, changes nothing.
#[test]
fn lexer() {
    fuzz("lexer", 300, |draw| {
        let tokens = syntax::query(draw);
        let plain = syntax::plain(&tokens);
        let expr = parse_expression(&plain).unwrap_or_else(|e| panic!("{plain}\n{e}"));
        for _ in 0..3 {
            let odd = syntax::odd(&tokens, draw);
            let same = parse_expression(&odd).unwrap_or_else(|e| panic!("{odd:?}\n{e}"));
            assert_eq!(same.to_string(), expr.to_string(), "{odd:?}");
        }
        let bytes = draw.bytes(plain.as_bytes());
        refused_in_place(&String::from_utf8_lossy(&bytes));
    });
}

/// Whatever parses is printed, and what is printed parses to the same.
#[test]
fn parser() {
    fuzz("parser", 300, |draw| {
        let text = syntax::plain(&syntax::query(draw));
        assert!(comes_back(&text), "{text} is refused");
        for _ in 0..8 {
            let damaged = draw.bytes(text.as_bytes());
            let damaged = String::from_utf8_lossy(&damaged);
            if !comes_back(&damaged) {
                refused_in_place(&damaged);
            }
        }
    });
}

/// Whether a text parses; then its print and its pretty print are checked.
fn comes_back(text: &str) -> bool {
    let Ok(expr) = parse_expression(text) else { return false };
    let printed = expr.to_string();
    let again = parse_expression(&printed).unwrap_or_else(|e| panic!("{text}\n{printed}\n{e}"));
    assert_eq!(again.to_string(), printed, "{text}");
    let pretty = format_expression(text).unwrap();
    let again = parse_expression(&pretty).unwrap_or_else(|e| panic!("{text}\n{pretty}\n{e}"));
    assert_eq!(again.to_string(), printed, "{text}\n{pretty}");
    true
}

/// An error names a place inside the text.
fn refused_in_place(text: &str) {
    let Err(error) = parse_expression(text) else { return };
    assert_eq!(error.kind, ErrorKind::BadData);
    let (place, _) = error.message.split_once(": parse error: ").expect("a parse error");
    if place == "unknown position" {
        return;
    }
    let (line, column) = place.split_once(':').expect("line and column");
    let (line, column): (usize, usize) = (line.parse().unwrap(), column.parse().unwrap());
    let of_line = text.split('\n').nth(line - 1);
    let of_line = of_line.unwrap_or_else(|| panic!("{text:?}: no line {line}"));
    assert!((1..=of_line.len() + 1).contains(&column), "{text:?}: {}", error.message);
}

/// The engine's answer is the naive evaluator's, as one instant and over a range, on one thread and more.
#[test]
fn evaluator() {
    let mut compared = (0, 0);
    fuzz("evaluator", 50, |draw| {
        let data = queries::data(draw);
        let snapshot = queries::load(&data);
        for _ in 0..6 {
            let text = queries::query(draw);
            let when = queries::when(draw);
            let parallelism = 1 + draw.below(3);
            let engine = Engine::new(EngineOptions { parallelism, ..EngineOptions::default() });
            let query = Query { text: &text, when, lookback: None };
            let ours = engine.run(snapshot.as_ref(), &query, &Uninterrupted);
            let expr = parse_expression(&text).unwrap_or_else(|e| panic!("{text}\n{e}"));
            let naive = naive::evaluate(&expr, &data, when);
            compared.0 += 1;
            match (ours, naive) {
                (Ok(ours), Ok(naive)) => same(&ours, &naive, &text, when),
                (Err(ours), Err(_)) => assert_eq!(ours.kind, ErrorKind::Execution, "{text}"),
                (Ok(_), Err(error)) => panic!("{text} {when:?}: only naive refuses: {error}"),
                (Err(error), Ok(_)) => {
                    let between = naive::evaluate(&expr, &data, without_gaps(when));
                    assert!(between.is_err(), "{text} {when:?}: only ours refuses: {error}");
                }
            }
            compared.1 += 1;
        }
        never_panics(snapshot.as_ref(), draw);
    });
    assert!(compared.0 == compared.1 && compared.0 > 0);
}

/// The same time with steps so near that subqueries are evaluated at all their steps. Between its first window
/// and its last a subquery is, as in Prometheus, and what cannot be matched there is refused, even where no
/// window shows it.
fn without_gaps(when: When) -> When {
    match when {
        When::Range { start, end, .. } => When::Range { start, end, step: 1_000 },
        instant => instant,
    }
}

/// Any expression there is, on small limits: an answer or a reason.
fn never_panics(snapshot: &dyn ringwell_storage::read::Snapshot, draw: &mut Draw) {
    let options = EngineOptions { max_samples: 20_000, max_steps: 2_000, ..Default::default() };
    let text = syntax::plain(&syntax::query(draw));
    let when = queries::when(draw);
    let query = Query { text: &text, when, lookback: None };
    if let Err(error) = Engine::new(options).run(snapshot, &query, &Uninterrupted) {
        assert!(error.kind != ErrorKind::Internal, "{text}: {error}");
    }
}

fn same(ours: &Answer, naive: &naive::Answer, text: &str, when: When) {
    let ours = points(&ours.value);
    let near = |a: f64, b: f64| {
        (a.is_nan() && b.is_nan())
            || a == b
            || (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
    };
    let agree = ours.len() == naive.len()
        && ours.iter().zip(naive).all(|((labels, ours), (others, naive))| {
            labels == others
                && ours.len() == naive.len()
                && ours.iter().zip(naive).all(|(a, b)| a.0 == b.0 && near(a.1, b.1))
        });
    assert!(agree, "{text} {when:?}\nours  {ours:?}\nnaive {naive:?}");
}

/// An answer by labels.
fn points(value: &AnswerValue) -> naive::Answer {
    let mut out = naive::Answer::new();
    match value {
        AnswerValue::Scalar { t, v } => {
            out.insert(String::new(), vec![(*t, *v)]);
        }
        AnswerValue::Vector(samples) => {
            for sample in samples {
                let ringwell_storage::model::Value::Float(v) = sample.value else { continue };
                out.insert(naive::name(&sample.labels), vec![(sample.t, v)]);
            }
        }
        AnswerValue::Matrix(series) => {
            for series in series {
                out.insert(naive::name(&series.labels), series.floats.clone());
            }
        }
        AnswerValue::String { .. } => {}
    }
    out
}
