//! Texts of the whole language, type by type, as tokens.

use crate::draw::Draw;

/// A token as it is written; strings are kept apart, for they can be quoted in several ways.
#[derive(Clone, Debug)]
pub(crate) enum Token {
    Text(String),
    /// May be written in any case.
    Word(String),
    Quoted(String),
}

type Tokens = Vec<Token>;

/// Any expression.
pub(crate) fn query(draw: &mut Draw) -> Tokens {
    let mut out = Tokens::new();
    let depth = draw.below(5);
    match draw.below(8) {
        0 => scalar(draw, depth, &mut out),
        1 => matrix(draw, depth, &mut out),
        _ => vector(draw, depth, &mut out),
    }
    out
}

/// Tokens with blanks between them.
pub(crate) fn plain(tokens: &[Token]) -> String {
    let text = |token: &Token| match token {
        Token::Text(text) | Token::Word(text) => text.clone(),
        Token::Quoted(value) => quoted(value, '"'),
    };
    tokens.iter().map(text).collect::<Vec<_>>().join(" ")
}

/// The same tokens in odd spellings: cases, quotes, what stands between them.
pub(crate) fn odd(tokens: &[Token], draw: &mut Draw) -> String {
    let mut out = String::new();
    for token in tokens {
        match token {
            Token::Text(text) => out.push_str(text),
            Token::Word(word) if draw.once_in(3) => out.push_str(&word.to_uppercase()),
            Token::Word(word) => out.push_str(word),
            Token::Quoted(value) => match draw.below(3) {
                0 => out.push_str(&quoted(value, '\'')),
                1 if !value.contains(['`', '\r']) => out.push_str(&format!("`{value}`")),
                _ => out.push_str(&quoted(value, '"')),
            },
        }
        out.push_str(draw.one(&[" ", "  ", "\t", "\n", "\r\n", " # why\n", "\n\n# \" ' ` {\n "]));
    }
    out
}

fn quoted(value: &str, quote: char) -> String {
    let mut out = String::from(quote);
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\u{7}' => out.push_str("\\a"),
            c if c == quote => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

fn put(out: &mut Tokens, texts: &[&str]) {
    out.extend(texts.iter().map(|text| Token::Text((*text).to_owned())));
}

fn word(out: &mut Tokens, word: &str) {
    out.push(Token::Word(word.to_owned()));
}

fn string(draw: &mut Draw, out: &mut Tokens) {
    let text = draw.one(&["", "a", "$1-x", "é", "a\nb", "\\d+", "tab\tquote\"'", "\u{7}", "日本"]);
    out.push(Token::Quoted(text.to_owned()));
}

fn number(draw: &mut Draw) -> &'static str {
    draw.one(&[
        "0",
        "1",
        "5",
        "0.5",
        ".5",
        "1.",
        "1e3",
        "1E-3",
        "0x1f",
        "Inf",
        "NaN",
        "inf",
        "5m",
        "1h30m",
        "300ms",
        "1y2w3d",
        "017",
        "1_000",
        "4503599627370497.5",
        "1e308",
    ])
}

fn scalar(draw: &mut Draw, depth: usize, out: &mut Tokens) {
    if depth == 0 {
        return put(out, &[number(draw)]);
    }
    match draw.below(7) {
        0 => {
            put(out, &["scalar", "("]);
            vector(draw, depth - 1, out);
            put(out, &[")"]);
        }
        1 => put(out, &[draw.one(&["time", "pi", "start", "end", "step", "range"]), "(", ")"]),
        2 => {
            put(out, &["("]);
            scalar(draw, depth - 1, out);
            put(out, &[")"]);
        }
        3 => {
            put(out, &[draw.one(&["-", "+"])]);
            scalar(draw, depth - 1, out);
        }
        4 => {
            scalar(draw, depth - 1, out);
            let op = draw.one(&["+", "-", "*", "/", "%", "^", "atan2"]);
            if op == "atan2" {
                word(out, op)
            } else {
                put(out, &[op])
            }
            scalar(draw, depth - 1, out);
        }
        5 => {
            scalar(draw, depth - 1, out);
            put(out, &[draw.one(&["==", "!=", "<", "<=", ">", ">="])]);
            word(out, "bool");
            scalar(draw, depth - 1, out);
        }
        _ => put(out, &[number(draw)]),
    }
}

fn selector(draw: &mut Draw, out: &mut Tokens) {
    let named = !draw.once_in(4);
    if named {
        let names = ["c_total", "g", "job:x:rate5m", "start", "by", "sum", "offset", "smoothed"];
        put(out, &[draw.one(&names)]);
        if draw.once_in(2) {
            return;
        }
    }
    put(out, &["{"]);
    let mut count = draw.below(4);
    if !named {
        count += 1;
        if draw.once_in(2) {
            out.push(Token::Quoted(draw.one(&["a.b", "c_total", "ü x"]).to_owned()));
        } else {
            put(out, &["__name__", "="]);
            out.push(Token::Quoted("g".to_owned()));
        }
        if count > 1 {
            put(out, &[","]);
        }
        count -= 1;
    }
    for i in 0..count {
        if draw.once_in(6) {
            out.push(Token::Quoted(draw.one(&["a.b", "job"]).to_owned()));
        } else {
            put(out, &[draw.one(&["job", "instance", "le", "on", "sum", "nan"])]);
        }
        let op = draw.one(&["=", "!=", "=~", "!~"]);
        put(out, &[op]);
        if op.contains('~') {
            out.push(Token::Quoted(draw.one(&["", "a|b", ".+", "[ab]*", "é?"]).to_owned()));
        } else {
            string(draw, out);
        }
        if i + 1 < count || draw.once_in(4) {
            put(out, &[","]);
        }
    }
    put(out, &["}"]);
}

fn duration(draw: &mut Draw, depth: usize, out: &mut Tokens) {
    match draw.below(if depth == 0 { 3 } else { 9 }) {
        0 => put(out, &[draw.one(&["60", "90", "0x1f", "1.5"])]),
        1 | 2 => put(out, &[draw.one(&["5m", "1h30m", "15s", "1d", "100ms", "2w"])]),
        3 => put(out, &[draw.one(&["step", "range"]), "(", ")", "+", "5m"]),
        4 => {
            put(out, &["("]);
            duration(draw, depth - 1, out);
            put(out, &[draw.one(&["+", "*"])]);
            put(out, &[draw.one(&["1", "2"]), ")"]);
        }
        5 => {
            put(out, &[draw.one(&["min_of", "max_of"]), "("]);
            duration(draw, depth - 1, out);
            put(out, &[","]);
            duration(draw, depth - 1, out);
            put(out, &[")"]);
        }
        6 => put(out, &["5m", "*", "2", "^", "3", "+", "1m"]),
        7 => put(out, &["(", "10m", "-", "2m", "%", "90s", ")"]),
        _ => put(out, &["1h", "/", "4"]),
    }
}

/// `offset` and `@`, in either order or not at all.
fn shift(draw: &mut Draw, out: &mut Tokens) {
    let which = draw.below(8);
    let at = |draw: &mut Draw, out: &mut Tokens| {
        let when = draw.one(&["1700000000", "-5.123", "0", "1e9", "start", "end", "+3"]);
        put(out, &["@"]);
        if when.starts_with(['+', '-']) {
            put(out, &[&when[..1], &when[1..]]);
        } else {
            put(out, &[when]);
        }
        if when.chars().all(char::is_alphabetic) {
            put(out, &["(", ")"]);
        }
    };
    let offset = |draw: &mut Draw, out: &mut Tokens| {
        word(out, "offset");
        if draw.once_in(3) {
            put(out, &["-"]);
        }
        match draw.below(3) {
            0 => {
                put(out, &["("]);
                duration(draw, 1, out);
                put(out, &[")"]);
            }
            _ => put(out, &[draw.one(&["5m", "30", "1h30m", "1d"])]),
        }
    };
    if which == 0 || which == 2 {
        at(draw, out);
    }
    if which == 1 || which == 2 || which == 3 {
        offset(draw, out);
    }
    if which == 3 {
        at(draw, out);
    }
}

fn matrix(draw: &mut Draw, depth: usize, out: &mut Tokens) {
    if depth > 0 && draw.once_in(4) {
        put(out, &["("]);
        vector(draw, depth - 1, out);
        put(out, &[")", "["]);
        duration(draw, 1, out);
        put(out, &[":"]);
        if draw.once_in(2) {
            duration(draw, 1, out);
        }
        put(out, &["]"]);
    } else {
        selector(draw, out);
        put(out, &["["]);
        duration(draw, 2, out);
        put(out, &["]"]);
        if draw.once_in(6) {
            word(out, draw.one(&["anchored", "smoothed"]));
        }
    }
    shift(draw, out);
}

fn labels(draw: &mut Draw, out: &mut Tokens) {
    put(out, &["("]);
    let count = draw.below(3);
    for i in 0..count {
        match draw.below(6) {
            0 => out.push(Token::Quoted("a.b".to_owned())),
            _ => {
                put(out, &[draw.one(&["job", "instance", "le", "by", "max", "ignoring", "start"])])
            }
        }
        if i + 1 < count || draw.once_in(5) {
            put(out, &[","]);
        }
    }
    put(out, &[")"]);
}

fn vector(draw: &mut Draw, depth: usize, out: &mut Tokens) {
    if depth == 0 {
        selector(draw, out);
        if draw.once_in(12) {
            word(out, "smoothed");
        }
        return shift(draw, out);
    }
    let depth = depth - 1;
    match draw.below(10) {
        0 | 1 => of_range(draw, depth, out),
        2 => of_vector(draw, depth, out),
        3 | 4 => aggregate(draw, depth, out),
        5 => {
            put(out, &["("]);
            vector(draw, depth, out);
            put(out, &[")"]);
        }
        6 => {
            put(out, &[draw.one(&["-", "+"])]);
            vector(draw, depth, out);
        }
        _ => binary(draw, depth, out),
    }
}

fn of_range(draw: &mut Draw, depth: usize, out: &mut Tokens) {
    let f = draw.one(&[
        "rate",
        "increase",
        "irate",
        "delta",
        "idelta",
        "deriv",
        "changes",
        "resets",
        "avg_over_time",
        "sum_over_time",
        "min_over_time",
        "max_over_time",
        "count_over_time",
        "stddev_over_time",
        "stdvar_over_time",
        "last_over_time",
        "first_over_time",
        "present_over_time",
        "absent_over_time",
        "mad_over_time",
        "ts_of_max_over_time",
        "quantile_over_time",
        "predict_linear",
        "double_exponential_smoothing",
        "trend",
        "converged",
        "zscore",
        "sketch_over_time",
        "avg_last_n",
        "plateau",
        "diverging",
        "seed_slope",
        "volatility",
    ]);
    put(out, &[f, "("]);
    match f {
        "quantile_over_time" => {
            scalar(draw, depth.min(1), out);
            put(out, &[","]);
            matrix(draw, depth, out);
        }
        "predict_linear" | "avg_last_n" => {
            matrix(draw, depth, out);
            put(out, &[","]);
            scalar(draw, depth.min(1), out);
        }
        "double_exponential_smoothing" => {
            matrix(draw, depth, out);
            put(out, &[",", "0.3", ",", "0.5"]);
        }
        _ => matrix(draw, depth, out),
    }
    put(out, &[")"]);
}

fn of_vector(draw: &mut Draw, depth: usize, out: &mut Tokens) {
    match draw.below(7) {
        0 => {
            put(out, &["label_replace", "("]);
            vector(draw, depth, out);
            put(out, &[","]);
            out.push(Token::Quoted("x".to_owned()));
            put(out, &[","]);
            string(draw, out);
            put(out, &[",", "\"job\"", ","]);
            out.push(Token::Quoted("(.*)".to_owned()));
            put(out, &[")"]);
        }
        1 => {
            put(out, &["histogram_quantile", "("]);
            scalar(draw, depth.min(1), out);
            put(out, &[","]);
            vector(draw, depth, out);
            put(out, &[")"]);
        }
        2 => {
            put(out, &[draw.one(&["hour", "month", "year", "days_in_month"]), "("]);
            if draw.once_in(2) {
                vector(draw, depth, out);
            }
            put(out, &[")"]);
        }
        3 => {
            put(out, &["clamp", "("]);
            vector(draw, depth, out);
            put(out, &[",", "1", ","]);
            scalar(draw, depth.min(1), out);
            put(out, &[")"]);
        }
        4 => {
            put(out, &["vector", "("]);
            scalar(draw, depth, out);
            put(out, &[")"]);
        }
        _ => {
            let f = draw.one(&[
                "abs",
                "ceil",
                "exp",
                "ln",
                "sgn",
                "sqrt",
                "cos",
                "absent",
                "sort",
                "sort_desc",
                "timestamp",
                "round",
                "histogram_count",
                "histogram_avg",
                "load_variance",
                "info",
            ]);
            put(out, &[f, "("]);
            vector(draw, depth, out);
            put(out, &[")"]);
        }
    }
}

fn aggregate(draw: &mut Draw, depth: usize, out: &mut Tokens) {
    let op = draw.one(&[
        "sum",
        "avg",
        "count",
        "min",
        "max",
        "group",
        "stddev",
        "stdvar",
        "topk",
        "bottomk",
        "quantile",
        "limitk",
        "limit_ratio",
        "count_values",
    ]);
    word(out, op);
    let grouping = draw.below(4);
    let by = |draw: &mut Draw, out: &mut Tokens| {
        word(out, draw.one(&["by", "without"]));
        labels(draw, out);
    };
    if grouping == 0 {
        by(draw, out);
    }
    put(out, &["("]);
    match op {
        "count_values" => {
            out.push(Token::Quoted("v".to_owned()));
            put(out, &[","]);
        }
        "topk" | "bottomk" | "quantile" | "limitk" | "limit_ratio" => {
            put(out, &[draw.one(&["1", "0.5", "3", "0"])]);
            put(out, &[","]);
        }
        _ => {}
    }
    vector(draw, depth, out);
    put(out, &[")"]);
    if grouping == 1 {
        by(draw, out);
    }
}

fn binary(draw: &mut Draw, depth: usize, out: &mut Tokens) {
    let (scalar_left, scalar_right) = [(false, false), (true, false), (false, true)][draw.below(3)];
    let vectors = !scalar_left && !scalar_right;
    let arithmetic = ["+", "-", "*", "/", "%", "^", "atan2"];
    let op = match draw.below(4) {
        0 if vectors => draw.one(&["and", "or", "unless"]),
        1 => draw.one(&["==", "!=", "<", "<=", ">", ">=", "</", ">/"]),
        _ => draw.one(&arithmetic),
    };
    // Where operands may group anew, only operators that take everything are safe.
    let open = arithmetic.contains(&op) && draw.once_in(2);
    operand(draw, depth, scalar_left, open, out);
    if op.chars().all(char::is_alphanumeric) {
        word(out, op)
    } else {
        put(out, &[op])
    }
    if ["==", "!=", "<", "<=", ">", ">="].contains(&op) && draw.once_in(2) {
        word(out, "bool");
    }
    if vectors && !open && draw.once_in(2) {
        matching(draw, ["and", "or", "unless"].contains(&op), out);
    }
    operand(draw, depth, scalar_right, open, out);
}

fn operand(draw: &mut Draw, depth: usize, is_scalar: bool, open: bool, out: &mut Tokens) {
    if is_scalar {
        return scalar(draw, 0, out);
    }
    if !open {
        put(out, &["("]);
    }
    vector(draw, depth, out);
    if !open {
        put(out, &[")"]);
    }
}

fn matching(draw: &mut Draw, set: bool, out: &mut Tokens) {
    let word_of_it = draw.one(&["on", "ignoring"]);
    word(out, word_of_it);
    labels(draw, out);
    if !set && draw.once_in(3) {
        word(out, draw.one(&["group_left", "group_right"]));
        // A label may not be matched on and taken along.
        put(out, &["(", "zone", ")"]);
    }
    if !set && draw.once_in(5) {
        word(out, draw.one(&["fill", "fill_left", "fill_right"]));
        put(out, &["(", draw.one(&["0", "1.5"]), ")"]);
    }
}
