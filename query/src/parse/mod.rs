//! From text to a checked syntax tree. Pure: any string gives a tree or an error with its place.
//!
//! `lexer` makes tokens, `parser` climbs precedences over them, `selector` and `duration_expr`
//! read the parts with their own grammar, `check` compares types, `print` writes the canonical text.

mod check;
pub mod duration;
mod duration_expr;
mod error;
pub mod expr;
mod lexer;
mod parser;
mod pretty;
mod print;
mod selector;
mod text;
pub(crate) mod token;

pub(crate) use print::{matcher_text, quoted};

pub use duration_expr::DurationContext;
pub use error::{ParseError, place};
pub use pretty::pretty;
pub use text::Text;
pub use token::Span;

use ringwell_storage::model::Matcher;

use expr::Expr;
use parser::Parser;

use crate::stack::with_room;

/// Deepest nesting of an expression.
pub const MAX_DEPTH: usize = 256;

/// Only inputs with more signs than this can nest deeply.
const SIGNS: usize = 100;

/// Parses and checks an expression.
pub fn parse(input: &str) -> Result<Expr, ParseError> {
    let signs = input.bytes().filter(|b| !b.is_ascii_alphanumeric()).count();
    with_room(signs > SIGNS, || {
        let lexemes = lexer::lex(input)?;
        let expr = Parser::new(input, lexemes).whole()?;
        check::check(&expr)?;
        Ok(expr)
    })
    .unwrap_or_else(|reason| {
        Err(ParseError::nowhere(format!("a long query needs its own thread: {reason}")))
    })
}

/// Parses what `match[]` takes: a selector without modifiers, which may mean every series.
pub fn parse_selector(input: &str) -> Result<Vec<Matcher>, ParseError> {
    let lexemes = lexer::lex(input)?;
    Parser::new(input, lexemes).selector_alone()
}
