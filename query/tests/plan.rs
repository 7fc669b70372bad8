//! Plans and their rewrites, as text.

use ringwell_query::{Engine, EngineOptions, Query, When};

fn plan(text: &str) -> String {
    let when = When::Range { start: 0, end: 600_000, step: 60_000 };
    let query = Query { text, when, lookback: None };
    Engine::new(EngineOptions::default()).explain(&query).expect("the query plans")
}

/// Query and plan.
const PLANS: &[(&str, &str)] = &[
    // Equal selectors are one source.
    (
        "foo{a=\"b\"} / sum(rate(foo{a=\"b\"}[5m] offset 1m)) + bar",
        "\
binary +
  binary /
    select #0 {a=\"b\",__name__=\"foo\"}
    aggregate sum by ()
      call rate
        window 5m #0 {a=\"b\",__name__=\"foo\"} offset 1m
  select #1 {__name__=\"bar\"}
",
    ),
    // What is pinned to a time is evaluated once, with all that hangs on it alone.
    (
        "sum(foo @ end()) * 2 + rate(foo[1m] @ 5)",
        "\
once
  binary +
    binary *
      aggregate sum by ()
        select #0 {__name__=\"foo\"} @ 600000ms
      number 2
    call rate
      window 1m #0 {__name__=\"foo\"} @ 5000ms
",
    ),
    // The time itself is pinned by nothing.
    (
        "predict_linear(foo[1m] @ 5, 60) + time() + -(foo @ start())",
        "\
binary +
  binary +
    call predict_linear
      window 1m #0 {__name__=\"foo\"} @ 5000ms
      number 60
    call time
  once
    negate
      select #0 {__name__=\"foo\"} @ 0ms
",
    ),
    // Inside a subquery the steps are its own, and a pinned selector is still one.
    (
        "max_over_time((foo + bar @ 1)[1h:])",
        "\
call max_over_time
  subquery 1h:1m
    binary +
      select #0 {__name__=\"foo\"}
      once
        select #1 {__name__=\"bar\"} @ 1000ms
",
    ),
    // Count and sum of histograms need no buckets; quantiles do.
    (
        "histogram_count(sum(a)) + histogram_quantile(0.9, histogram_sum(b) + c)",
        "\
binary +
  call histogram_count
    aggregate sum by ()
      select #0 {__name__=\"a\"} stats
  call histogram_quantile
    number 0.9
    binary +
      call histogram_sum
        select #1 {__name__=\"b\"} stats
      select #2 {__name__=\"c\"}
",
    ),
    // Durations know the query.
    (
        "sum_over_time(foo[step() * 2 + 1s]) > on (x) group_left (y) bar offset -range()",
        "\
binary > on (x) group_left (y)
  call sum_over_time
    window 2m1s #0 {__name__=\"foo\"}
  select #1 {__name__=\"bar\"} offset -10m
",
    ),
];

#[test]
fn plans_are_as_expected() {
    for (query, want) in PLANS {
        assert_eq!(plan(query), *want, "{query}");
    }
}
