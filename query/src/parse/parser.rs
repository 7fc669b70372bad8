//! The Pratt parser. `-a ^ b` is `-(a ^ b)`, modifiers bind to the primary before them.

use super::MAX_DEPTH;
use super::duration_expr::DurationContext;
use super::error::ParseError;
use super::expr::{
    Aggregate, AggregateOp, Binary, BinaryOp, Cardinality, DurationExpr, Edges, Expr, Kind,
    Matching, Selector, Shift, Subquery,
};
use super::text::unquote;
use super::token::{AGGREGATORS, Lexeme, Span, Token};
use crate::func;

pub(super) struct Parser<'a> {
    pub(super) input: &'a str,
    lexemes: Vec<Lexeme>,
    at: usize,
    depth: usize,
    /// The height of the tree that was read last.
    height: usize,
}

type Parsed<T> = Result<T, ParseError>;

/// The only words that name no metric without quotes.
const NO_METRICS: [&str; 6] = ["atan2", "bool", "on", "ignoring", "group_left", "group_right"];

impl<'a> Parser<'a> {
    pub(super) fn new(input: &'a str, lexemes: Vec<Lexeme>) -> Parser<'a> {
        Parser { input, lexemes, at: 0, depth: 0, height: 0 }
    }

    pub(super) fn whole(&mut self) -> Parsed<Expr> {
        if self.peek() == &Token::End {
            let text = "no expression found in input";
            return Err(match self.input {
                "" => ParseError::nowhere(text),
                _ => ParseError::at(Span::default(), text),
            });
        }
        let expr = self.expression(0)?;
        if self.peek() != &Token::End {
            return Err(self.unexpected("", ""));
        }
        Ok(expr)
    }

    /// An expression of operators that bind closer than `above`.
    pub(super) fn expression(&mut self, above: u8) -> Parsed<Expr> {
        self.deeper(|parser| {
            let mut left = parser.unary()?;
            let mut height = parser.height;
            while let Some(op) = parser.peek_operator() {
                if op.precedence() <= above {
                    break;
                }
                let op_span = parser.next();
                let (returns_bool, matching) = parser.operator_modifiers(op)?;
                let right_above =
                    if op == BinaryOp::Pow { op.precedence() - 1 } else { op.precedence() };
                let right = parser.expression(right_above)?;
                let span = left.span.to(right.span);
                let binary = Binary { op, op_span, left, right, returns_bool, matching };
                left = Expr { kind: Kind::Binary(Box::new(binary)), span };
                height = height.max(parser.height);
                parser.grown(&mut height)?;
            }
            parser.height = height;
            Ok(left)
        })
    }

    /// Runs `inner` one level deeper, or refuses.
    pub(super) fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= MAX_DEPTH {
            return Err(self.too_deep());
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// One more level over a tree of this height. Chains such as `1+1+1` and `x[1m:][1m:]` nest to
    /// the left without recursion here, but everything after the parser recurses over them.
    pub(super) fn grown(&mut self, height: &mut usize) -> Parsed<()> {
        *height += 1;
        self.height = *height;
        if *height > MAX_DEPTH { Err(self.too_deep()) } else { Ok(()) }
    }

    /// The height of the tree that was read last.
    pub(super) fn height(&self) -> usize {
        self.height
    }

    pub(super) fn leaf(&mut self) {
        self.height = 1;
    }

    fn too_deep(&self) -> ParseError {
        ParseError::at(self.span(), format!("expression is nested deeper than {MAX_DEPTH} levels"))
    }

    fn unary(&mut self) -> Parsed<Expr> {
        let start = self.span();
        let negative = match self.peek() {
            Token::Sub => true,
            Token::Add => false,
            _ => return self.primary_with_modifiers(),
        };
        self.next();
        let operand = self.expression(BinaryOp::Mul.precedence())?;
        let span = start.to(operand.span);
        let mut height = self.height;
        self.grown(&mut height)?;
        if let Kind::Number(number) = operand.kind {
            let number = if negative { -number } else { number };
            return Ok(Expr { kind: Kind::Number(number), span });
        }
        Ok(Expr { kind: Kind::Unary(negative, Box::new(operand)), span })
    }

    fn primary_with_modifiers(&mut self) -> Parsed<Expr> {
        let mut expr = self.primary()?;
        loop {
            match self.peek() {
                Token::LeftBracket => expr = self.bracket(expr)?,
                Token::At => self.at_modifier(&mut expr)?,
                Token::Name if self.word_is("offset") => self.offset(&mut expr)?,
                Token::Name if self.word_is("smoothed") => {
                    self.edges(&mut expr, Edges::Smoothed)?
                }
                Token::Name if self.word_is("anchored") => {
                    self.edges(&mut expr, Edges::Anchored)?
                }
                _ => return Ok(expr),
            }
        }
    }

    fn primary(&mut self) -> Parsed<Expr> {
        let span = self.span();
        self.leaf();
        match self.peek().clone() {
            Token::Number(number) => {
                self.next();
                Ok(Expr { kind: Kind::Number(number), span })
            }
            Token::Duration(millis) => {
                self.next();
                Ok(Expr { kind: Kind::Number(millis as f64 / 1000.0), span })
            }
            Token::Text => {
                let text = self.text()?;
                Ok(Expr { kind: Kind::Text(text), span })
            }
            Token::LeftParen => {
                self.next();
                let inner = self.expression(0)?;
                let end = self.expect(&Token::RightParen, "", "")?;
                let mut height = self.height;
                self.grown(&mut height)?;
                Ok(Expr { kind: Kind::Paren(Box::new(inner)), span: span.to(end) })
            }
            Token::LeftBrace => self.selector(None, span),
            Token::MetricName => {
                let name = self.word().to_owned();
                self.next();
                self.selector(Some(name), span)
            }
            Token::Name => self.name(span),
            _ => Err(self.unexpected("", "")),
        }
    }

    /// A name is an aggregation, a call or a metric; what follows decides.
    fn name(&mut self, span: Span) -> Parsed<Expr> {
        let word = self.word().to_owned();
        let lower = word.to_ascii_lowercase();
        let after = self.peek_after();
        if AGGREGATORS.contains(&lower.as_str()) {
            let grouped = |l: &Lexeme| {
                let text = self.input.get(l.span.start..l.span.end).unwrap_or("");
                l.token == Token::Name
                    && (text.eq_ignore_ascii_case("by") || text.eq_ignore_ascii_case("without"))
            };
            if after.is_some_and(|l| l.token == Token::LeftParen || grouped(l)) {
                return self.aggregation(&lower, span);
            }
        } else if after.is_some_and(|l| l.token == Token::LeftParen) {
            return self.call(&word, span);
        }
        if NO_METRICS.contains(&lower.as_str()) {
            return Err(self.unexpected("", ""));
        }
        self.next();
        self.selector(Some(word), span)
    }

    fn call(&mut self, word: &str, span: Span) -> Parsed<Expr> {
        let lower = word.to_ascii_lowercase();
        // The functions that double as keywords may be written in capitals.
        let keyword = matches!(lower.as_str(), "start" | "end" | "step" | "range");
        let function = func::find(if keyword { &lower } else { word })
            .ok_or_else(|| ParseError::at(span, format!("unknown function with name {word:?}")))?;
        self.next();
        let (args, end) = self.arguments()?;
        Ok(Expr { kind: Kind::Call(function, args), span: span.to(end) })
    }

    fn arguments(&mut self) -> Parsed<(Vec<Expr>, Span)> {
        self.expect(&Token::LeftParen, "", "")?;
        let mut args = Vec::new();
        if self.peek() == &Token::RightParen {
            return Ok((args, self.next()));
        }
        let mut height = 0;
        loop {
            args.push(self.expression(0)?);
            height = height.max(self.height);
            match self.peek() {
                Token::Comma => {
                    self.next();
                    if self.peek() == &Token::RightParen {
                        let text = "trailing commas not allowed in function call args";
                        return Err(ParseError::at(self.span(), text));
                    }
                }
                Token::RightParen => {
                    self.grown(&mut height)?;
                    return Ok((args, self.next()));
                }
                _ => return Err(self.unexpected("", "")),
            }
        }
    }

    fn aggregation(&mut self, name: &str, span: Span) -> Parsed<Expr> {
        let op = AggregateOp::from_name(name).ok_or_else(|| self.unexpected("aggregation", ""))?;
        self.next();
        let mut grouping = self.grouping()?;
        if self.peek() != &Token::LeftParen {
            return Err(self.unexpected("aggregation", ""));
        }
        let (mut args, mut end) = self.arguments()?;
        if grouping.is_none() {
            let before = self.at;
            grouping = self.grouping()?;
            if self.at != before {
                end = self.lexemes.get(self.at - 1).map_or(end, |l| l.span);
            }
        }
        let (without, grouping) = grouping.unwrap_or_default();
        let span = span.to(end);
        let want = if op.has_param() { 2 } else { 1 };
        if args.is_empty() {
            let text = "no arguments for aggregate expression provided";
            return Err(ParseError::at(span, text));
        }
        if args.len() != want {
            let text = format!(
                "wrong number of arguments for aggregate expression provided, expected {want}, \
                 got {}",
                args.len()
            );
            return Err(ParseError::at(span, text));
        }
        let Some(expr) = args.pop() else { return Err(self.unexpected("aggregation", "")) };
        let param = args.pop();
        let aggregate = Aggregate { op, param, expr, grouping, without };
        Ok(Expr { kind: Kind::Aggregate(Box::new(aggregate)), span })
    }

    fn grouping(&mut self) -> Parsed<Option<(bool, Vec<String>)>> {
        let without = self.word_is("without");
        if !without && !self.word_is("by") {
            return Ok(None);
        }
        self.next();
        Ok(Some((without, self.label_list()?)))
    }

    /// `(a, b, "c.d")`.
    fn label_list(&mut self) -> Parsed<Vec<String>> {
        const PLACE: &str = "grouping opts";
        self.expect(&Token::LeftParen, PLACE, "\"(\"")?;
        let mut labels = Vec::new();
        while self.peek() != &Token::RightParen {
            match self.peek() {
                Token::Name if !self.word_is("without") => {
                    labels.push(self.word().to_owned());
                    self.next();
                }
                Token::Text => {
                    let span = self.span();
                    let text = self.text()?;
                    if text.value.is_empty() || text.not_utf8.is_some() {
                        let text = format!("invalid label name for grouping: {:?}", text.value);
                        return Err(ParseError::at(span, text));
                    }
                    labels.push(text.value);
                }
                _ => return Err(self.unexpected(PLACE, "label")),
            }
            match self.peek() {
                Token::Comma => {
                    self.next();
                }
                Token::RightParen => {}
                _ => return Err(self.unexpected(PLACE, "\",\" or \")\"")),
            }
        }
        self.next();
        Ok(labels)
    }

    fn operator_modifiers(&mut self, op: BinaryOp) -> Parsed<(bool, Matching)> {
        let mut matching = Matching::default();
        if op.is_set() {
            matching.cardinality = Cardinality::ManyToMany;
        }
        let returns_bool = self.word_is("bool");
        if returns_bool {
            self.next();
        }
        let opens = self.peek_after().is_some_and(|l| l.token == Token::LeftParen);
        if opens && (self.word_is("on") || self.word_is("ignoring")) {
            matching.on = self.word_is("on");
            matching.written = true;
            self.next();
            matching.labels = self.label_list()?;
            let left = self.word_is("group_left");
            if left || self.word_is("group_right") {
                let span = self.span();
                self.next();
                if op.is_set() {
                    let text = format!("no grouping allowed for {:?} operation", op.symbol());
                    return Err(ParseError::at(span, text));
                }
                matching.cardinality =
                    if left { Cardinality::ManyToOne } else { Cardinality::OneToMany };
                if self.peek() == &Token::LeftParen {
                    matching.include = self.label_list()?;
                }
            }
        }
        self.fills(&mut matching)?;
        Ok((returns_bool, matching))
    }

    fn fills(&mut self, matching: &mut Matching) -> Parsed<()> {
        loop {
            let lower = self.word().to_ascii_lowercase();
            let opens = self.peek_after().is_some_and(|l| l.token == Token::LeftParen);
            if !opens || !matches!(lower.as_str(), "fill" | "fill_left" | "fill_right") {
                return Ok(());
            }
            self.next();
            self.expect(&Token::LeftParen, "fill", "\"(\"")?;
            let value = self.signed_number("fill")?;
            self.expect(&Token::RightParen, "fill", "\")\"")?;
            if lower != "fill_right" {
                matching.fill_left = Some(value);
            }
            if lower != "fill_left" {
                matching.fill_right = Some(value);
            }
        }
    }

    /// A number or duration with signs before it, in seconds.
    pub(super) fn signed_number(&mut self, place: &str) -> Parsed<f64> {
        let mut sign = 1.0;
        loop {
            match *self.peek() {
                Token::Sub => sign = -sign,
                Token::Add => {}
                Token::Number(number) => {
                    self.next();
                    return Ok(sign * number);
                }
                Token::Duration(millis) => {
                    self.next();
                    return Ok(sign * millis as f64 / 1000.0);
                }
                _ => return Err(self.unexpected(place, "number")),
            }
            self.next();
        }
    }

    /// `[range]` or `[range:step]` after an expression.
    fn bracket(&mut self, expr: Expr) -> Parsed<Expr> {
        let mut height = self.height;
        let open = self.next();
        let range = self.positive_duration()?;
        let step = if self.peek() == &Token::Colon {
            self.next();
            if self.peek() == &Token::RightBracket {
                Some(None)
            } else {
                Some(Some(self.positive_duration()?))
            }
        } else {
            None
        };
        let end = self.expect(&Token::RightBracket, "subquery or range selector", "\"]\"")?;
        self.grown(&mut height)?;
        let span = expr.span.to(end);
        let kind = match step {
            Some(step) => {
                let shift = Shift::default();
                Kind::Subquery(Box::new(Subquery { expr, range, step, shift }))
            }
            None => Kind::Matrix(self.range_of(expr, open.to(end))?, range),
        };
        Ok(Expr { kind, span })
    }

    /// A duration that is not known to be zero or less.
    fn positive_duration(&mut self) -> Parsed<DurationExpr> {
        let start = self.span();
        let duration = self.duration_expression(0)?;
        if duration.is_constant() {
            match duration.millis(DurationContext { step: 0, range: 0 }) {
                Ok(millis) if millis > 0 => {}
                Ok(_) => return Err(ParseError::at(start, "duration must be greater than 0")),
                Err(reason) => return Err(ParseError::at(start, reason)),
            }
        }
        Ok(duration)
    }

    fn range_of(&self, expr: Expr, bracket: Span) -> Parsed<Box<Selector>> {
        let fault = |text: &str| Err(ParseError::at(bracket, text));
        let Kind::Selector(selector) = expr.kind else {
            return fault("ranges only allowed for vector selectors");
        };
        if selector.shift.offset.is_some() {
            return fault("no offset modifiers allowed before range");
        }
        if selector.shift.at.is_some() {
            return fault("no @ modifiers allowed before range");
        }
        Ok(selector)
    }

    fn edges(&mut self, expr: &mut Expr, edges: Edges) -> Parsed<()> {
        let span = self.next();
        let word = if edges == Edges::Smoothed { "smoothed" } else { "anchored" };
        let selector = match &mut expr.kind {
            Kind::Selector(selector) | Kind::Matrix(selector, _) => selector,
            _ => {
                let text = format!(
                    "{word} modifier must be preceded by an instant vector selector or range \
                     vector selector, but follows a {} instead",
                    expr.value_type()
                );
                return Err(ParseError::at(span, text));
            }
        };
        if selector.edges != Edges::Plain {
            let text = "anchored and smoothed modifiers cannot be combined";
            return Err(ParseError::at(span, text));
        }
        selector.edges = edges;
        expr.span.end = span.end;
        Ok(())
    }

    fn peek_operator(&self) -> Option<BinaryOp> {
        Some(match self.peek() {
            Token::Add => BinaryOp::Add,
            Token::Sub => BinaryOp::Sub,
            Token::Mul => BinaryOp::Mul,
            Token::Div => BinaryOp::Div,
            Token::Mod => BinaryOp::Mod,
            Token::Pow => BinaryOp::Pow,
            Token::EqualEqual => BinaryOp::Equal,
            Token::NotEqual => BinaryOp::NotEqual,
            Token::Less => BinaryOp::Less,
            Token::LessEqual => BinaryOp::LessEqual,
            Token::Greater => BinaryOp::Greater,
            Token::GreaterEqual => BinaryOp::GreaterEqual,
            Token::TrimUpper => BinaryOp::TrimUpper,
            Token::TrimLower => BinaryOp::TrimLower,
            Token::Name if self.word_is("and") => BinaryOp::And,
            Token::Name if self.word_is("or") => BinaryOp::Or,
            Token::Name if self.word_is("unless") => BinaryOp::Unless,
            Token::Name if self.word_is("atan2") => BinaryOp::Atan2,
            _ => return None,
        })
    }

    pub(super) fn text(&mut self) -> Parsed<super::Text> {
        let span = self.span();
        let text = unquote(self.word()).map_err(|reason| {
            ParseError::at(span, format!("error unquoting string {:?}: {reason}", self.word()))
        })?;
        self.next();
        Ok(text)
    }

    pub(super) fn peek(&self) -> &Token {
        self.lexemes.get(self.at).map_or(&Token::End, |l| &l.token)
    }

    pub(super) fn peek_after(&self) -> Option<&Lexeme> {
        self.lexemes.get(self.at + 1)
    }

    /// The text of the current token.
    pub(super) fn word(&self) -> &'a str {
        let span = self.span();
        self.input.get(span.start..span.end).unwrap_or("")
    }

    pub(super) fn word_is(&self, keyword: &str) -> bool {
        self.peek() == &Token::Name && self.word().eq_ignore_ascii_case(keyword)
    }

    pub(super) fn span(&self) -> Span {
        self.lexemes.get(self.at).map_or(Span::default(), |l| l.span)
    }

    /// Steps over the current token and gives its place.
    pub(super) fn next(&mut self) -> Span {
        let span = self.span();
        if self.at + 1 < self.lexemes.len() {
            self.at += 1;
        }
        span
    }

    pub(super) fn expect(&mut self, token: &Token, place: &str, expected: &str) -> Parsed<Span> {
        if self.peek() == token { Ok(self.next()) } else { Err(self.unexpected(place, expected)) }
    }

    pub(super) fn unexpected(&self, place: &str, expected: &str) -> ParseError {
        let lexeme = self.lexemes.get(self.at);
        let what = lexeme.map_or("end of input".to_owned(), |l| l.describe(self.input));
        let mut text = format!("unexpected {what}");
        if !place.is_empty() {
            text.push_str(&format!(" in {place}"));
        }
        if !expected.is_empty() {
            text.push_str(&format!(", expected {expected}"));
        }
        ParseError::at(self.span(), text)
    }
}
