//! Tokens, and how error messages speak of them.

/// What a token is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    End,
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    Comma,
    Colon,
    Equal,
    At,
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    EqualEqual,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    TrimUpper,
    TrimLower,
    Regex,
    NotRegex,
    /// A name without colons; keywords are names in the right place.
    Name,
    /// A name with colons.
    MetricName,
    Number(f64),
    /// Milliseconds.
    Duration(i64),
    Text,
}

/// Where in the input, in bytes; the end is not included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

impl Span {
    /// From the start of one to the end of the other.
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start, end: other.end }
    }
}

/// A token and its place.
#[derive(Clone, Debug)]
pub(crate) struct Lexeme {
    pub(crate) token: Token,
    pub(crate) span: Span,
}

pub(crate) const AGGREGATORS: &[&str] = &[
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
    "count_values",
    "quantile",
    "limitk",
    "limit_ratio",
];

const KEYWORDS: &[&str] = &[
    "offset",
    "smoothed",
    "anchored",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "bool",
    "fill",
    "fill_left",
    "fill_right",
    "start",
    "end",
    "step",
    "range",
];

const WORD_OPERATORS: &[&str] = &["and", "or", "unless", "atan2"];

impl Lexeme {
    /// The token as Prometheus names it in `unexpected ...`.
    pub(crate) fn describe(&self, input: &str) -> String {
        let text = input.get(self.span.start..self.span.end).unwrap_or("");
        let lower = text.to_ascii_lowercase();
        match self.token {
            Token::End => "end of input".to_owned(),
            Token::Name if AGGREGATORS.contains(&lower.as_str()) => format!("<aggr:{text}>"),
            Token::Name if KEYWORDS.contains(&lower.as_str()) => format!("<{text}>"),
            Token::Name if WORD_OPERATORS.contains(&lower.as_str()) => format!("<op:{text}>"),
            Token::Name => format!("identifier {text:?}"),
            Token::MetricName => format!("metric identifier {text:?}"),
            Token::Number(_) => format!("number {}", clip(text)),
            Token::Duration(_) => format!("duration {}", clip(text)),
            Token::Text => format!("string {}", clip(text)),
            Token::Add
            | Token::Sub
            | Token::Mul
            | Token::Div
            | Token::Mod
            | Token::Pow
            | Token::EqualEqual
            | Token::NotEqual
            | Token::Less
            | Token::LessEqual
            | Token::Greater
            | Token::GreaterEqual
            | Token::TrimUpper
            | Token::TrimLower
            | Token::Regex
            | Token::NotRegex => format!("<op:{text}>"),
            _ => format!("{text:?}"),
        }
    }
}

fn clip(text: &str) -> String {
    if text.chars().count() > 10 {
        format!("{:?}...", text.chars().take(10).collect::<String>())
    } else {
        format!("{text:?}")
    }
}
