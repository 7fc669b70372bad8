//! Parse errors and how places are told.

use super::token::Span;

/// What is wrong with a query, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    span: Option<Span>,
    message: String,
}

impl ParseError {
    pub(crate) fn at(span: Span, message: impl Into<String>) -> ParseError {
        ParseError { span: Some(span), message: message.into() }
    }

    pub(crate) fn nowhere(message: impl Into<String>) -> ParseError {
        ParseError { span: None, message: message.into() }
    }

    /// `line:column: parse error: message`.
    pub fn describe(&self, input: &str) -> String {
        let place = match self.span {
            Some(span) if !input.is_empty() => place(input, span.start),
            _ => "unknown position".to_owned(),
        };
        format!("{place}: parse error: {}", self.message)
    }
}

/// `line:column` of a byte, both from 1; a column counts bytes as Prometheus does.
pub fn place(input: &str, at: usize) -> String {
    let before = input.as_bytes().get(..at.min(input.len())).unwrap_or_default();
    let line = 1 + before.iter().filter(|b| **b == b'\n').count();
    let column = before.iter().rev().take_while(|b| **b != b'\n').count() + 1;
    format!("{line}:{column}")
}
