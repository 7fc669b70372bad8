//! The parser at its boundary: texts of errors, the canonical text, and that nothing panics.

use ringwell_query::parse::parse;
use ringwell_query::{ErrorKind, parse_selector};

/// Input and message, as Prometheus words it.
const ERRORS: &[(&str, &str)] = &[
    ("", "unknown position: parse error: no expression found in input"),
    ("# only a comment", "1:1: parse error: no expression found in input"),
    ("1 +", "1:4: parse error: unexpected end of input"),
    ("(1", "1:3: parse error: unclosed left parenthesis"),
    ("1)", "1:3: parse error: unexpected right parenthesis ')'"),
    ("foo{", "1:5: parse error: unexpected end of input inside braces"),
    (
        "foo{a=\"b\" c=\"d\"}",
        "1:11: parse error: unexpected identifier \"c\" in label matching, expected \",\" or \"}\"",
    ),
    (
        "foo{a}",
        "1:6: parse error: unexpected \"}\" in label matching, expected label matching operator",
    ),
    ("foo{a=1}", "1:7: parse error: unexpected number \"1\" in label matching, expected string"),
    ("{}", "1:1: parse error: vector selector must contain at least one non-empty matcher"),
    ("{x=\"\"}", "1:1: parse error: vector selector must contain at least one non-empty matcher"),
    (
        "foo{__name__=\"bar\"}",
        "1:1: parse error: metric name must not be set twice: \"foo\" or \"bar\"",
    ),
    ("foo bar", "1:5: parse error: unexpected identifier \"bar\""),
    ("foo[5m", "1:7: parse error: unclosed left bracket"),
    ("rate(foo[", "1:10: parse error: unexpected end of input in duration expression"),
    ("foo[0m]", "1:5: parse error: duration must be greater than 0"),
    ("foo[5mm]", "1:5: parse error: bad number or duration syntax: \"5mm\""),
    ("(foo)[5m]", "1:6: parse error: ranges only allowed for vector selectors"),
    ("foo offset 5m[5m]", "1:14: parse error: no offset modifiers allowed before range"),
    ("foo offset 1m offset 2m", "1:1: parse error: offset may not be set multiple times"),
    (
        "1 offset 1d",
        "1:1: parse error: offset modifier must be preceded by an instant vector selector or range vector selector or a subquery",
    ),
    ("foo @ 1 @ 2", "1:1: parse error: @ <timestamp> may not be set multiple times"),
    (
        "rate(foo)",
        "1:6: parse error: expected type range vector in call to function \"rate\", got instant vector",
    ),
    ("rate()", "1:1: parse error: expected 1 argument(s) in call to \"rate\", got 0"),
    ("round()", "1:1: parse error: expected at least 1 argument(s) in call to \"round\", got 0"),
    ("unknown(foo)", "1:1: parse error: unknown function with name \"unknown\""),
    ("sum()", "1:1: parse error: no arguments for aggregate expression provided"),
    (
        "sum(a, b)",
        "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 1, got 2",
    ),
    (
        "topk(foo)",
        "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 2, got 1",
    ),
    (
        "sum by (a b) (foo)",
        "1:11: parse error: unexpected identifier \"b\" in grouping opts, expected \",\" or \")\"",
    ),
    ("1 == 1", "1:3: parse error: comparisons between scalars must use BOOL modifier"),
    ("foo + bool bar", "1:5: parse error: bool modifier can only be used on comparison operators"),
    ("foo and 1", "1:1: parse error: set operator \"and\" not allowed in binary scalar expression"),
    (
        "foo and on(a) group_left(b) bar",
        "1:15: parse error: no grouping allowed for \"and\" operation",
    ),
    (
        "foo + on(a) group_left(a) bar",
        "1:5: parse error: label \"a\" must not occur in ON and GROUP clause at once",
    ),
    ("1 + on(a) foo", "1:1: parse error: vector matching only allowed between instant vectors"),
    (
        "-\"text\"",
        "1:1: parse error: unary expression only allowed on expressions of type scalar or instant vector, got \"string\"",
    ),
    (
        "1[5m:1m]",
        "1:1: parse error: subquery is only allowed on instant vector, got scalar instead",
    ),
    ("foo{a=~\"(\"}", "1:5: parse error: error parsing regexp: missing closing ): `(`"),
    (
        "foo{a=\"b\" or c=\"d\"}",
        "1:11: parse error: \"or\" between label matchers is not part of PromQL; use the \"or\" operator between two selectors",
    ),
    ("\n  foo ! bar", "2:7: parse error: unexpected character after '!': ' '"),
    ("bool", "1:1: parse error: unexpected <bool>"),
    ("on{}", "1:1: parse error: unexpected <on>"),
    (
        "sum by (without) (foo)",
        "1:9: parse error: unexpected <without> in grouping opts, expected label",
    ),
    ("foo[-5m]", "1:5: parse error: duration must be greater than 0"),
    ("foo[5m:0s]", "1:8: parse error: duration must be greater than 0"),
    ("foo[5m5h]", "1:5: parse error: not a valid duration string: \"5m5h\""),
    ("foo[1.5m]", "1:5: parse error: unknown unit \".\" in duration \"1.5m\""),
    ("foo @ NaN", "1:1: parse error: timestamp out of bounds for @ modifier: NaN"),
    ("1_", "1:1: parse error: bad number or duration syntax: \"1_\""),
    ("foo{a=\"\\q\"}", "1:7: parse error: unknown escape sequence U+0071 'q'"),
    ("\"\\x4\"", "1:1: parse error: illegal character U+0022 '\"' in escape sequence"),
    ("\"\\400\"", "1:1: parse error: escape sequence is an invalid Unicode code point"),
    ("\"a\\", "1:1: parse error: escape sequence not terminated"),
    ("foo\u{0}", "1:4: parse error: unexpected character: '\\x00'"),
    ("foo\n+\n  $", "3:3: parse error: unexpected character: '$'"),
];

#[test]
fn errors_name_place_and_reason() {
    for (input, want) in ERRORS {
        let error = parse(input).err().map(|e| e.describe(input));
        assert_eq!(error.as_deref(), Some(*want), "{input:?}");
    }
}

/// Input and canonical text.
const PRINTED: &[(&str, &str)] = &[
    ("sum(rate(foo{ a = 'b' }[300s])) by (x,y)", "sum by (x, y) (rate(foo{a=\"b\"}[5m]))"),
    ("sum without(x) (foo)", "sum without (x) (foo)"),
    ("TOPK(3, foo)", "topk(3, foo)"),
    ("a+b*c^d^-e", "a + b * c ^ d ^ -e"),
    ("a==bool on(x)group_left(y)b", "a == bool on (x) group_left (y) b"),
    ("a + fill(0) b", "a + fill (0) b"),
    ("{\"my.metric\", \"label.x\"!~\"v.*\"}", "{__name__=\"my.metric\",\"label.x\"!~\"v.*\"}"),
    ("foo @ 1m40s offset -90", "foo @ 100.000 offset -1m30s"),
    ("foo[1h:]@end()", "foo[1h:] @ end()"),
    ("foo[2m*(10+5)] smoothed", "foo[2m * (10s + 5s)] smoothed"),
    ("0x1F + 1_000 + 1e6 + inf", "31 + 1000 + 1e+06 + Inf"),
    ("vector(5m)", "vector(300)"),
    ("`raw\\n` ", "\"raw\\\\n\""),
    ("sum", "sum"),
    ("by + or", "by + or"),
    ("offset{start=\"1\",by=\"2\"}", "offset{start=\"1\",by=\"2\"}"),
];

#[test]
fn the_canonical_text_is_prometheus_like_and_stable() {
    for (input, want) in PRINTED {
        let printed = parse(input).map_err(|e| e.describe(input)).unwrap().to_string();
        assert_eq!(printed, *want, "{input}");
        assert_eq!(parse(&printed).unwrap().to_string(), printed, "{input}");
    }
}

#[test]
fn selectors_alone() {
    assert_eq!(parse_selector("up{job=\"a\"}").unwrap().len(), 2);
    for bad in ["up offset 5m", "sum(up)", "up[5m]", "up @ 1", "1", "", "up{", "up or"] {
        assert_eq!(parse_selector(bad).unwrap_err().kind, ErrorKind::BadData, "{bad}");
    }
    assert!(parse_selector("{}").unwrap().is_empty());
    let error = parse_selector("up[5m]").unwrap_err().message;
    assert_eq!(error, "1:3: parse error: unexpected \"[\"");
}

#[test]
fn depth_is_limited() {
    for deep in [
        format!("{}1{}", "(".repeat(5000), ")".repeat(5000)),
        format!("{}foo", "-".repeat(5000)),
        format!("foo{}", "[1m:1m]".repeat(3000)),
        format!("1{}", " + 1".repeat(20_000)),
        format!("1{}", " ^ 1".repeat(20_000)),
        format!("foo[{}1m{}]", "(".repeat(5000), ")".repeat(5000)),
        format!("foo[1m{}]", " + 1m".repeat(20_000)),
    ] {
        let error = parse(&deep).err().map(|e| e.describe(&deep));
        assert!(error.is_some_and(|e| e.contains("nested deeper")), "{}", &deep[..20]);
    }
    assert!(parse(&format!("{}1{}", "(".repeat(100), ")".repeat(100))).is_ok());
}

const WORDS: &[&str] = &[
    "foo",
    "sum",
    "rate",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "bool",
    "offset",
    "@",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "=",
    "==",
    "!=",
    "=~",
    "!~",
    "<",
    ">=",
    "</",
    ">/",
    "+",
    "-",
    "*",
    "/",
    "%",
    "^",
    "and",
    "or",
    "unless",
    "atan2",
    "1",
    "5m",
    "0x1f",
    "1e5",
    ".5",
    "inf",
    "NaN",
    "\"text\"",
    "'x'",
    "`raw`",
    "start",
    "end",
    "step",
    "()",
    "smoothed",
    "anchored",
    "fill",
    "topk",
    "histogram_quantile",
    "a:b",
    "# note\n",
    "\u{e9}",
    "\"\\xff\"",
    "min_of",
    "\n",
];

/// A small generator, so that a failure can be run again by its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}

#[test]
fn random_tokens_never_panic_and_printing_is_a_fixed_point() {
    let mut parsed = 0;
    for seed in 0..40_000 {
        let mut random = Random(seed);
        let count = 1 + random.below(12);
        let words: Vec<&str> = (0..count).map(|_| WORDS[random.below(WORDS.len())]).collect();
        let input = words.join(if random.below(4) == 0 { "" } else { " " });
        let Ok(expr) = parse(&input) else { continue };
        parsed += 1;
        let printed = expr.to_string();
        let again = parse(&printed)
            .unwrap_or_else(|e| panic!("seed {seed}: {input:?} -> {printed:?}: {e:?}"));
        assert_eq!(again.to_string(), printed, "seed {seed}: {input:?}");
    }
    assert!(parsed > 200, "only {parsed} of the random inputs parse");
}

#[test]
fn random_bytes_never_panic() {
    for seed in 0..20_000 {
        let mut random = Random(seed);
        let bytes: Vec<u8> = (0..random.below(24)).map(|_| random.below(256) as u8).collect();
        let _ = parse(&String::from_utf8_lossy(&bytes));
    }
}
