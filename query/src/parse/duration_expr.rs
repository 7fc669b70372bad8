//! Durations in brackets and after `offset`: arithmetic over literals, `step()` and `range()`.

use super::error::ParseError;
use super::expr::{At, BinaryOp, DurationExpr, Expr, Kind, Shift};
use super::parser::Parser;
use super::token::{Span, Token};

type Parsed<T> = Result<T, ParseError>;

/// What a query gives to its duration expressions, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct DurationContext {
    /// The query's step; 0 for an instant query.
    pub step: i64,
    /// The query's range; 0 for an instant query.
    pub range: i64,
}

impl DurationExpr {
    /// Its value in milliseconds, or what is wrong with it.
    pub fn millis(&self, context: DurationContext) -> Result<i64, &'static str> {
        let seconds = self.seconds(context)?;
        let millis = seconds * 1000.0;
        if !millis.is_finite() || millis.abs() > i64::MAX as f64 / 1_000_000.0 {
            return Err("duration out of range");
        }
        Ok(millis.round() as i64)
    }

    fn seconds(&self, context: DurationContext) -> Result<f64, &'static str> {
        Ok(match self {
            DurationExpr::Number(seconds) => *seconds,
            DurationExpr::Millis(millis) => *millis as f64 / 1000.0,
            DurationExpr::Step => context.step as f64 / 1000.0,
            DurationExpr::Range => context.range as f64 / 1000.0,
            DurationExpr::Negate(inner) => -inner.seconds(context)?,
            DurationExpr::Paren(inner) => inner.seconds(context)?,
            DurationExpr::Min(a, b) => a.seconds(context)?.min(b.seconds(context)?),
            DurationExpr::Max(a, b) => a.seconds(context)?.max(b.seconds(context)?),
            DurationExpr::Binary(op, a, b) => {
                let (a, b) = (a.seconds(context)?, b.seconds(context)?);
                match op {
                    BinaryOp::Add => a + b,
                    BinaryOp::Sub => a - b,
                    BinaryOp::Mul => a * b,
                    BinaryOp::Div if b == 0.0 => return Err("division by zero"),
                    BinaryOp::Div => a / b,
                    BinaryOp::Mod if b == 0.0 => return Err("modulo by zero"),
                    BinaryOp::Mod => a % b,
                    _ => a.powf(b),
                }
            }
        })
    }

    /// Whether its value is known without the query.
    pub(super) fn is_constant(&self) -> bool {
        match self {
            DurationExpr::Number(_) | DurationExpr::Millis(_) => true,
            DurationExpr::Step | DurationExpr::Range => false,
            DurationExpr::Negate(inner) | DurationExpr::Paren(inner) => inner.is_constant(),
            DurationExpr::Min(a, b) | DurationExpr::Max(a, b) | DurationExpr::Binary(_, a, b) => {
                a.is_constant() && b.is_constant()
            }
        }
    }
}

impl Parser<'_> {
    /// A duration of operators that bind closer than `above`.
    pub(super) fn duration_expression(&mut self, above: u8) -> Parsed<DurationExpr> {
        self.deeper(|parser| {
            parser.leaf();
            let mut left = parser.duration_operand()?;
            let mut height = parser.height();
            loop {
                let op = match parser.peek() {
                    Token::Add => BinaryOp::Add,
                    Token::Sub => BinaryOp::Sub,
                    Token::Mul => BinaryOp::Mul,
                    Token::Div => BinaryOp::Div,
                    Token::Mod => BinaryOp::Mod,
                    Token::Pow => BinaryOp::Pow,
                    _ => break,
                };
                if op.precedence() <= above {
                    break;
                }
                parser.next();
                let right_above =
                    if op == BinaryOp::Pow { op.precedence() - 1 } else { op.precedence() };
                let right = parser.duration_expression(right_above)?;
                left = DurationExpr::Binary(op, Box::new(left), Box::new(right));
                height = height.max(parser.height());
                parser.grown(&mut height)?;
            }
            parser.grown(&mut height)?;
            Ok(left)
        })
    }

    /// One operand with its signs; in `offset` this is all there may be without parentheses.
    fn duration_operand(&mut self) -> Parsed<DurationExpr> {
        const EXPECTED: &str = "number, duration, step(), or range()";
        match self.peek().clone() {
            Token::Sub => {
                self.next();
                let inner = self.duration_expression(BinaryOp::Mul.precedence())?;
                Ok(DurationExpr::Negate(Box::new(inner)))
            }
            Token::Add => {
                self.next();
                self.duration_expression(BinaryOp::Mul.precedence())
            }
            Token::Number(number) if number.is_finite() => {
                self.next();
                Ok(DurationExpr::Number(number))
            }
            Token::Duration(millis) => {
                self.next();
                Ok(DurationExpr::Millis(millis))
            }
            Token::LeftParen => {
                self.next();
                let inner = self.duration_expression(0)?;
                self.expect(&Token::RightParen, "duration expression", "\")\"")?;
                Ok(DurationExpr::Paren(Box::new(inner)))
            }
            Token::Name => self.duration_call(EXPECTED),
            _ => Err(self.unexpected("duration expression", EXPECTED)),
        }
    }

    fn duration_call(&mut self, expected: &str) -> Parsed<DurationExpr> {
        let lower = self.word().to_ascii_lowercase();
        if !matches!(lower.as_str(), "step" | "range" | "min_of" | "max_of") {
            return Err(self.unexpected("duration expression", expected));
        }
        self.next();
        self.expect(&Token::LeftParen, "duration expression", "\"(\"")?;
        let call = match lower.as_str() {
            "step" => DurationExpr::Step,
            "range" => DurationExpr::Range,
            _ => {
                let a = Box::new(self.duration_expression(0)?);
                self.expect(&Token::Comma, "duration expression", "\",\"")?;
                let b = Box::new(self.duration_expression(0)?);
                if lower == "min_of" { DurationExpr::Min(a, b) } else { DurationExpr::Max(a, b) }
            }
        };
        self.expect(&Token::RightParen, "duration expression", "\")\"")?;
        Ok(call)
    }

    /// `offset d`: one operand, with one sign at most.
    pub(super) fn offset(&mut self, expr: &mut Expr) -> Parsed<()> {
        let span = expr.span;
        self.next();
        let negative = self.peek() == &Token::Sub;
        if negative || self.peek() == &Token::Add {
            self.next();
        }
        if matches!(self.peek(), Token::Sub | Token::Add) {
            return Err(self.unexpected("offset", "number, duration, step(), or range()"));
        }
        // Nothing binds closer than this, so operators are left for the expression outside.
        let operand = self.duration_operand()?;
        let operand = if negative { DurationExpr::Negate(Box::new(operand)) } else { operand };
        let shift = shift_of(expr).ok_or_else(|| {
            let text = "offset modifier must be preceded by an instant vector selector or range \
                        vector selector or a subquery";
            ParseError::at(span, text)
        })?;
        if shift.offset.replace(operand).is_some() {
            return Err(ParseError::at(span, "offset may not be set multiple times"));
        }
        self.end_at_last(expr);
        Ok(())
    }

    /// `@ t`, `@ start()`, `@ end()`.
    pub(super) fn at_modifier(&mut self, expr: &mut Expr) -> Parsed<()> {
        let span = expr.span;
        self.next();
        let at = if self.word_is("start") || self.word_is("end") {
            let at = if self.word_is("start") { At::Start } else { At::End };
            self.next();
            self.expect(&Token::LeftParen, "@", "timestamp")?;
            self.expect(&Token::RightParen, "@", "timestamp")?;
            at
        } else {
            if !matches!(
                self.peek(),
                Token::Sub | Token::Add | Token::Number(_) | Token::Duration(_)
            ) {
                return Err(self.unexpected("@", "timestamp"));
            }
            let seconds = self.signed_number("@")?;
            At::Time(timestamp(seconds, span)?)
        };
        let shift = shift_of(expr).ok_or_else(|| {
            let text = "@ modifier must be preceded by an instant vector selector or range vector \
                        selector or a subquery";
            ParseError::at(span, text)
        })?;
        if shift.at.replace(at).is_some() {
            return Err(ParseError::at(span, "@ <timestamp> may not be set multiple times"));
        }
        self.end_at_last(expr);
        Ok(())
    }

    fn end_at_last(&self, expr: &mut Expr) {
        let text = self.input.get(..self.span().start).unwrap_or("");
        expr.span.end = text.trim_end().len().max(expr.span.end);
    }
}

fn timestamp(seconds: f64, span: Span) -> Parsed<i64> {
    let millis = seconds * 1000.0;
    if !millis.is_finite() || millis.abs() >= i64::MAX as f64 {
        let text = format!("timestamp out of bounds for @ modifier: {seconds}");
        return Err(ParseError::at(span, text));
    }
    Ok(millis.round() as i64)
}

fn shift_of(expr: &mut Expr) -> Option<&mut Shift> {
    match &mut expr.kind {
        Kind::Selector(selector) | Kind::Matrix(selector, _) => Some(&mut selector.shift),
        Kind::Subquery(subquery) => Some(&mut subquery.shift),
        _ => None,
    }
}
