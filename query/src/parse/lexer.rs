//! From text to tokens. Any bytes that are a string are fine as input; what is no token is an
//! error with its place.

use super::duration;
use super::error::ParseError;
use super::token::{Lexeme, Span, Token};

pub(crate) fn lex(input: &str) -> Result<Vec<Lexeme>, ParseError> {
    let mut lexer = Lexer { input, at: 0, parens: 0, braces: false, brackets: false, out: vec![] };
    lexer.run()?;
    Ok(lexer.out)
}

struct Lexer<'a> {
    input: &'a str,
    at: usize,
    parens: usize,
    braces: bool,
    brackets: bool,
    out: Vec<Lexeme>,
}

impl Lexer<'_> {
    fn run(&mut self) -> Result<(), ParseError> {
        loop {
            self.skip_blanks();
            let start = self.at;
            let Some(c) = self.peek() else { break };
            let token = self.token(c, start)?;
            self.out.push(Lexeme { token, span: Span { start, end: self.at } });
        }
        let end = self.input.len();
        let span = Span { start: end, end };
        if self.braces {
            return Err(ParseError::at(span, "unexpected end of input inside braces"));
        }
        if matches!(self.out.last(), Some(Lexeme { token: Token::LeftBracket, .. })) {
            return Err(ParseError::at(span, "unexpected end of input in duration expression"));
        }
        if self.parens > 0 {
            return Err(ParseError::at(span, "unclosed left parenthesis"));
        }
        if self.brackets {
            return Err(ParseError::at(span, "unclosed left bracket"));
        }
        self.out.push(Lexeme { token: Token::End, span });
        Ok(())
    }

    fn token(&mut self, c: char, start: usize) -> Result<Token, ParseError> {
        if c.is_ascii_digit() || (c == '.' && self.peek_at(1).is_some_and(|d| d.is_ascii_digit())) {
            return self.number(start);
        }
        if c.is_ascii_alphabetic() || c == '_' || (c == ':' && !self.brackets && !self.braces) {
            return Ok(self.name(start));
        }
        if matches!(c, '"' | '\'' | '`') {
            return self.text(c, start);
        }
        self.at += c.len_utf8();
        self.symbol(c, start)
    }

    fn symbol(&mut self, c: char, start: usize) -> Result<Token, ParseError> {
        Ok(match c {
            '(' => {
                self.parens += 1;
                Token::LeftParen
            }
            ')' => {
                // Prometheus tells of it once it has passed it.
                let here = Span { start: self.at, end: self.at };
                self.parens = self
                    .parens
                    .checked_sub(1)
                    .ok_or_else(|| ParseError::at(here, "unexpected right parenthesis ')'"))?;
                Token::RightParen
            }
            '{' if self.braces => return Err(self.fault(start, "unexpected left brace '{'")),
            '{' => {
                self.braces = true;
                Token::LeftBrace
            }
            '}' if !self.braces => return Err(self.fault(start, "unexpected right brace '}'")),
            '}' => {
                self.braces = false;
                Token::RightBrace
            }
            '[' if self.brackets => return Err(self.fault(start, "unexpected left bracket '['")),
            '[' => {
                self.brackets = true;
                Token::LeftBracket
            }
            ']' if !self.brackets => {
                return Err(self.fault(start, "unexpected right bracket ']'"));
            }
            ']' => {
                self.brackets = false;
                Token::RightBracket
            }
            ',' => Token::Comma,
            ':' => Token::Colon,
            '@' => Token::At,
            '+' => Token::Add,
            '-' => Token::Sub,
            '*' => Token::Mul,
            '/' => Token::Div,
            '%' => Token::Mod,
            '^' => Token::Pow,
            '=' if self.take('=') => Token::EqualEqual,
            '=' if self.take('~') => Token::Regex,
            '=' => Token::Equal,
            '!' if self.take('=') => Token::NotEqual,
            '!' if self.take('~') => Token::NotRegex,
            '!' => {
                let next = self.peek().map_or("end of input".to_owned(), quoted);
                let text = format!("unexpected character after '!': {next}");
                return Err(self.fault(start, &text));
            }
            '<' if self.take('=') => Token::LessEqual,
            '<' if self.take('/') => Token::TrimUpper,
            '<' => Token::Less,
            '>' if self.take('=') => Token::GreaterEqual,
            '>' if self.take('/') => Token::TrimLower,
            '>' => Token::Greater,
            other if self.braces => {
                let text = format!("unexpected character inside braces: {}", quoted(other));
                return Err(self.fault(start, &text));
            }
            other => {
                return Err(self.fault(start, &format!("unexpected character: {}", quoted(other))));
            }
        })
    }

    /// Digits, then all that could belong to a number or a duration; what it is shows at the end.
    fn number(&mut self, start: usize) -> Result<Token, ParseError> {
        let hex = self.rest().starts_with("0x") || self.rest().starts_with("0X");
        let mut before = ' ';
        while let Some(c) = self.peek() {
            let sign = matches!(c, '+' | '-') && matches!(before, 'e' | 'E') && !hex;
            if !(c.is_ascii_alphanumeric() || c == '_' || c == '.' || sign) {
                break;
            }
            before = c;
            self.at += 1;
        }
        let text = self.input.get(start..self.at).unwrap_or("");
        if let Some(number) = parse_number(text) {
            return Ok(Token::Number(number));
        }
        duration::parse(text).map(Token::Duration).map_err(|reason| {
            let span = Span { start, end: self.at };
            let text = if duration::looks_like_one(text) {
                reason
            } else if duration::is_fraction(text) {
                format!("unknown unit \".\" in duration {text:?}")
            } else {
                format!("bad number or duration syntax: {text:?}")
            };
            ParseError::at(span, text)
        })
    }

    fn name(&mut self, start: usize) -> Token {
        let colons = !self.brackets && !self.braces;
        while let Some(c) = self.peek() {
            if !(c.is_ascii_alphanumeric() || c == '_' || (c == ':' && colons)) {
                break;
            }
            self.at += 1;
        }
        let text = self.input.get(start..self.at).unwrap_or("");
        let follows_number_place = !text.contains(':');
        match text.to_ascii_lowercase().as_str() {
            "inf" if follows_number_place && !self.braces => Token::Number(f64::INFINITY),
            "nan" if follows_number_place && !self.braces => Token::Number(f64::NAN),
            _ if text.contains(':') => Token::MetricName,
            _ => Token::Name,
        }
    }

    fn text(&mut self, quote: char, start: usize) -> Result<Token, ParseError> {
        self.at += 1;
        loop {
            let Some(c) = self.peek() else {
                let kind = if quote == '`' { "raw" } else { "quoted" };
                return Err(self.fault(start, &format!("unterminated {kind} string")));
            };
            self.at += c.len_utf8();
            if c == quote {
                return Ok(Token::Text);
            }
            if quote != '`' && c == '\n' {
                return Err(self.fault(start, "unterminated quoted string"));
            }
            if quote != '`' && c == '\\' {
                self.escape(quote).map_err(|text| self.fault(start, &text))?;
            }
        }
    }

    /// Steps over what a backslash begins; a digit too few leaves what comes instead.
    fn escape(&mut self, quote: char) -> Result<(), String> {
        const OPEN: &str = "escape sequence not terminated";
        let c = self.peek().ok_or(OPEN)?;
        let (digits, radix) = match c {
            'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\' => (0, 16),
            _ if c == quote => (0, 16),
            '0'..='7' => (3, 8),
            'x' => (2, 16),
            'u' => (4, 16),
            'U' => (8, 16),
            other => return Err(format!("unknown escape sequence {}", code_point(other))),
        };
        if radix == 16 {
            self.at += c.len_utf8();
        }
        let mut value = 0_u64;
        for _ in 0..digits {
            let c = self.peek().ok_or(OPEN)?;
            let digit = c
                .to_digit(radix)
                .ok_or_else(|| format!("illegal character {} in escape sequence", code_point(c)))?;
            value = value * u64::from(radix) + u64::from(digit);
            self.at += 1;
        }
        let most = if digits < 4 { 255 } else { u64::from(u32::from(char::MAX)) };
        if value > most || (0xd800..0xe000).contains(&value) {
            return Err("escape sequence is an invalid Unicode code point".to_owned());
        }
        Ok(())
    }

    fn skip_blanks(&mut self) {
        while let Some(c) = self.peek() {
            if c == '#' {
                self.at += self.rest().find('\n').unwrap_or(self.rest().len());
            } else if matches!(c, ' ' | '\t' | '\n' | '\r') {
                self.at += 1;
            } else {
                break;
            }
        }
    }

    fn take(&mut self, c: char) -> bool {
        let hit = self.peek() == Some(c);
        if hit {
            self.at += c.len_utf8();
        }
        hit
    }

    fn rest(&self) -> &str {
        self.input.get(self.at..).unwrap_or("")
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn peek_at(&self, n: usize) -> Option<char> {
        self.rest().chars().nth(n)
    }

    fn fault(&self, start: usize, text: &str) -> ParseError {
        ParseError::at(Span { start, end: self.at }, text)
    }
}

/// A character as Go quotes it.
fn quoted(c: char) -> String {
    match c {
        '\'' | '\\' | '\n' | '\r' | '\t' => format!("'{}'", c.escape_default()),
        '\x07' => r"'\a'".to_owned(),
        '\x08' => r"'\b'".to_owned(),
        '\x0b' => r"'\v'".to_owned(),
        '\x0c' => r"'\f'".to_owned(),
        c if u32::from(c) < 0x20 || c == '\x7f' => format!(r"'\x{:02x}'", u32::from(c)),
        c => format!("'{c}'"),
    }
}

/// A character by its number, as Go's `%#U` has it.
fn code_point(c: char) -> String {
    let number = format!("U+{:04X}", u32::from(c));
    if c.is_control() { number } else { format!("{number} '{c}'") }
}

/// A number literal: decimal, hexadecimal, octal with a leading zero, with underscores.
fn parse_number(text: &str) -> Option<f64> {
    let lower = text.to_ascii_lowercase();
    let hex = lower.starts_with("0x");
    let is_digit =
        |c: char| if hex { c.is_ascii_hexdigit() || c == 'x' } else { c.is_ascii_digit() };
    let parts: Vec<&str> = lower.split('_').collect();
    let between =
        |pair: &[&str]| matches!(pair, [a, b] if a.ends_with(is_digit) && b.starts_with(is_digit));
    if !parts.windows(2).all(between) {
        return None;
    }
    let digits = parts.concat();
    if let Some(hex) = digits.strip_prefix("0x") {
        return u64::from_str_radix(hex, 16).ok().map(|n| n as f64);
    }
    if digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit()) {
        return i64::from_str_radix(&digits, 8).ok().map(|n| n as f64).or(digits.parse().ok());
    }
    if !digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'+' | b'-')) {
        return None;
    }
    digits.parse().ok()
}
