//! Selectors: `name{label="value", "other.name", l=~"re"}`.

use ringwell_storage::model::{METRIC_NAME, MatchOp, Matcher};

use super::error::ParseError;
use super::expr::{Edges, Expr, Kind, Selector, Shift};
use super::parser::Parser;
use super::token::{Span, Token};

type Parsed<T> = Result<T, ParseError>;

impl Parser<'_> {
    /// The rest of a selector whose name, if it has one, is already read.
    pub(super) fn selector(&mut self, name: Option<String>, start: Span) -> Parsed<Expr> {
        let mut matchers = Vec::new();
        let mut span = start;
        if self.peek() == &Token::LeftBrace {
            let end = self.braces(&mut matchers)?;
            span = start.to(end);
        }
        let named = matchers
            .iter()
            .find(|m: &&Matcher| m.name() == METRIC_NAME && m.op() == MatchOp::Equal);
        if let (Some(name), Some(other)) = (&name, named) {
            let text =
                format!("metric name must not be set twice: {name:?} or {:?}", other.value());
            return Err(ParseError::at(span, text));
        }
        if let Some(name) = &name {
            matchers.push(Matcher::equal(METRIC_NAME, name.as_str()));
        }
        let selector = Selector { name, matchers, shift: Shift::default(), edges: Edges::Plain };
        Ok(Expr { kind: Kind::Selector(Box::new(selector)), span })
    }

    /// A selector and nothing else.
    pub(super) fn selector_alone(&mut self) -> Parsed<Vec<Matcher>> {
        let span = self.span();
        let name = match self.peek() {
            Token::LeftBrace => None,
            Token::MetricName | Token::Name => {
                let name = self.word().to_owned();
                self.next();
                Some(name)
            }
            _ => return Err(self.unexpected("", "")),
        };
        let expr = self.selector(name, span)?;
        if self.peek() != &Token::End {
            return Err(self.unexpected("", ""));
        }
        match expr.kind {
            Kind::Selector(selector) => Ok(selector.matchers),
            _ => Err(ParseError::at(expr.span, "not a selector")),
        }
    }

    fn braces(&mut self, matchers: &mut Vec<Matcher>) -> Parsed<Span> {
        const PLACE: &str = "label matching";
        self.next();
        while self.peek() != &Token::RightBrace {
            self.matcher(matchers)?;
            match self.peek() {
                Token::Comma => {
                    self.next();
                }
                Token::RightBrace => {}
                Token::Name if self.word_is("or") => {
                    let text = "\"or\" between label matchers is not part of PromQL; use the \
                                \"or\" operator between two selectors";
                    return Err(ParseError::at(self.span(), text));
                }
                _ => return Err(self.unexpected(PLACE, "\",\" or \"}\"")),
            }
        }
        Ok(self.next())
    }

    fn matcher(&mut self, matchers: &mut Vec<Matcher>) -> Parsed<()> {
        const PLACE: &str = "label matching";
        let span = self.span();
        let (name, quoted) = match self.peek() {
            Token::Name => {
                let name = self.word().to_owned();
                self.next();
                (name, false)
            }
            Token::Text => {
                let text = self.text()?;
                if text.not_utf8.is_some() {
                    let text = format!("invalid label name: {:?}", text.value);
                    return Err(ParseError::at(span, text));
                }
                (text.value, true)
            }
            _ => return Err(self.unexpected(PLACE, "identifier or \"}\"")),
        };
        let op = match self.peek() {
            Token::Equal => MatchOp::Equal,
            Token::NotEqual => MatchOp::NotEqual,
            Token::Regex => MatchOp::Regex,
            Token::NotRegex => MatchOp::NotRegex,
            Token::Comma | Token::RightBrace if quoted => {
                matchers.push(Matcher::equal(METRIC_NAME, name));
                return Ok(());
            }
            _ => return Err(self.unexpected(PLACE, "label matching operator")),
        };
        self.next();
        if self.peek() != &Token::Text {
            return Err(self.unexpected(PLACE, "string"));
        }
        let value = self.text()?.value;
        let matcher = Matcher::new(op, name, value).map_err(|error| {
            ParseError::at(span, format!("error parsing regexp: {}", error.reason))
        })?;
        matchers.push(matcher);
        Ok(())
    }
}
