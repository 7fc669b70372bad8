//! Reads requests out of a connection's input: arrays of byte strings, and inline lines.
//!
//! Nothing is copied: arguments are places in the input. The parser remembers how far it came, so a
//! request that arrives in many pieces is not read again from its start. What a sender announces
//! allocates nothing; only bytes that arrived do. Error texts are Redis's.

use std::ops::Range;

/// What one request may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Arguments of one request.
    pub arguments: usize,
    /// Bytes of one argument.
    pub bulk: usize,
    /// Bytes of an inline request, or of any line that announces a length.
    pub line: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { arguments: 1 << 20, bulk: 64 << 20, line: 64 << 10 }
    }
}

/// What is allowed before a secret was given, where there is one.
const UNAUTHENTICATED: Limits = Limits { arguments: 10, bulk: 16 << 10, line: 64 << 10 };

/// Why the input is no request. The connection ends after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// An inline line without end.
    #[error("Protocol error: too big inline request")]
    InlineTooBig,
    /// Quotes that do not close.
    #[error("Protocol error: unbalanced quotes in request")]
    Quotes,
    /// The line of `*` does not end.
    #[error("Protocol error: too big mbulk count string")]
    CountTooBig,
    /// Not a number of arguments, or too many.
    #[error("Protocol error: invalid multibulk length")]
    Count,
    /// Too many arguments for someone unknown.
    #[error("Protocol error: unauthenticated multibulk length")]
    CountUnauthenticated,
    /// The line of `$` does not end.
    #[error("Protocol error: too big bulk count string")]
    LengthTooBig,
    /// An argument that does not begin with `$`.
    #[error("Protocol error: expected '$', got '{}'", .0.escape_ascii())]
    NotBulk(u8),
    /// Not a length, or too long.
    #[error("Protocol error: invalid bulk length")]
    Length,
    /// Too long for someone unknown.
    #[error("Protocol error: unauthenticated bulk length")]
    LengthUnauthenticated,
}

/// Reads requests, one after the other.
#[derive(Debug)]
pub struct Parser {
    limits: Limits,
    authenticated: bool,
    /// Where the next unread byte is.
    at: usize,
    /// Where the request being read began.
    start: usize,
    /// Arguments still to come of the request being read.
    missing: usize,
    /// Length of the argument being read, once it is known.
    length: Option<usize>,
    args: Vec<Range<usize>>,
    /// An inline request's arguments without their quotes.
    unquoted: Vec<u8>,
    inline: bool,
}

impl Parser {
    /// A parser at the start of a connection's input.
    pub fn new(limits: Limits) -> Parser {
        Parser {
            limits,
            authenticated: true,
            at: 0,
            start: 0,
            missing: 0,
            length: None,
            args: Vec::new(),
            unquoted: Vec::new(),
            inline: false,
        }
    }

    /// Whether the sender is known; narrow limits hold until then.
    pub fn set_authenticated(&mut self, authenticated: bool) {
        self.authenticated = authenticated;
    }

    /// Reads on. True: a request is complete, see [`Parser::arguments`]. False: more input is needed.
    pub fn advance(&mut self, input: &[u8]) -> Result<bool, ProtocolError> {
        if self.missing == 0 {
            self.args.clear();
            self.start = self.at;
        }
        while self.missing == 0 {
            match input.get(self.at) {
                None => return Ok(false),
                Some(b'*') => match self.count(input)? {
                    None => return Ok(false),
                    Some(count) => self.missing = count,
                },
                Some(_) => match self.line(input)? {
                    None => return Ok(false),
                    Some(()) if !self.args.is_empty() => return Ok(true),
                    Some(()) => {}
                },
            }
            if self.missing == 0 {
                // An empty request is no request.
                self.start = self.at;
            }
        }
        while self.missing > 0 {
            if !self.argument(input)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The arguments of the complete request, at least one.
    pub fn arguments<'a>(
        &'a self,
        input: &'a [u8],
    ) -> impl ExactSizeIterator<Item = &'a [u8]> + 'a {
        let source = if self.inline { &self.unquoted } else { input };
        self.args.iter().map(|range| source.get(range.clone()).unwrap_or_default())
    }

    /// How many bytes at the front of the input are no longer needed; the caller removes them.
    pub fn release(&mut self) -> usize {
        let released = if self.missing == 0 { self.at } else { self.start };
        self.at -= released;
        self.start = 0;
        for range in &mut self.args {
            *range = range.start.saturating_sub(released)..range.end.saturating_sub(released);
        }
        released
    }

    /// How many bytes the input should at least have room for, to take what is announced in few
    /// reads; never much more than has already arrived.
    pub fn expects(&self, arrived: usize) -> usize {
        self.length.map_or(0, |length| length.min(arrived.max(16 << 10)))
    }

    /// Reads `*<count>\r\n`; `Some(0)` for a request that is none.
    fn count(&mut self, input: &[u8]) -> Result<Option<usize>, ProtocolError> {
        let Some(count) = self.number(input, ProtocolError::CountTooBig)? else { return Ok(None) };
        let count = count.ok_or(ProtocolError::Count)?;
        self.inline = false;
        let count = usize::try_from(count).unwrap_or(0);
        if count > self.limits.arguments {
            return Err(ProtocolError::Count);
        }
        if !self.authenticated && count > UNAUTHENTICATED.arguments {
            return Err(ProtocolError::CountUnauthenticated);
        }
        Ok(Some(count))
    }

    /// Reads `$<length>\r\n<bytes>\r\n`; false if it is not all there.
    fn argument(&mut self, input: &[u8]) -> Result<bool, ProtocolError> {
        let length = match self.length {
            Some(length) => length,
            None => {
                match input.get(self.at) {
                    None => return Ok(false),
                    // Redis names what is wrong only once it has seen the whole line.
                    Some(b'$') => {}
                    Some(other) => {
                        let seen = self.header(input, ProtocolError::LengthTooBig)?.is_some();
                        return if seen { Err(ProtocolError::NotBulk(*other)) } else { Ok(false) };
                    }
                }
                let Some(length) = self.number(input, ProtocolError::LengthTooBig)? else {
                    return Ok(false);
                };
                let length = length.and_then(|length| usize::try_from(length).ok());
                let length = length.ok_or(ProtocolError::Length)?;
                if !self.authenticated && length > UNAUTHENTICATED.bulk {
                    return Err(ProtocolError::LengthUnauthenticated);
                }
                if length > self.limits.bulk {
                    return Err(ProtocolError::Length);
                }
                *self.length.insert(length)
            }
        };
        let end = self.at + length;
        if input.len() < end + 2 {
            return Ok(false);
        }
        self.args.push(self.at..end);
        self.at = end + 2;
        self.missing -= 1;
        self.length = None;
        Ok(true)
    }

    /// The number between a line's first byte and its end, and moves behind the line; `Some(None)` if it is none.
    fn number(
        &mut self,
        input: &[u8],
        too_big: ProtocolError,
    ) -> Result<Option<Option<i64>>, ProtocolError> {
        // Nearly all of them have one digit or two.
        let digit = |byte: &u8| i64::from(byte - b'0');
        let (number, length) = match input.get(self.at..).unwrap_or_default() {
            [_, a @ b'0'..=b'9', b'\r', _, ..] => (digit(a), 4),
            [_, a @ b'1'..=b'9', b @ b'0'..=b'9', b'\r', _, ..] => (digit(a) * 10 + digit(b), 5),
            _ => return Ok(self.header(input, too_big)?.map(number)),
        };
        self.at += length;
        Ok(Some(Some(number)))
    }

    /// The text between a line's first byte and its end, and moves behind the line.
    fn header<'a>(
        &mut self,
        input: &'a [u8],
        too_big: ProtocolError,
    ) -> Result<Option<&'a [u8]>, ProtocolError> {
        let rest = input.get(self.at..).unwrap_or_default();
        let searched = rest.get(..self.limits.line).unwrap_or(rest);
        let Some(end) = memchr::memchr(b'\r', searched) else {
            return if rest.len() > self.limits.line { Err(too_big) } else { Ok(None) };
        };
        if rest.len() < end + 2 {
            return Ok(None);
        }
        self.at += end + 2;
        Ok(Some(rest.get(1..end).unwrap_or_default()))
    }

    /// Reads an inline line; its arguments may be none.
    fn line(&mut self, input: &[u8]) -> Result<Option<()>, ProtocolError> {
        let rest = input.get(self.at..).unwrap_or_default();
        let searched = rest.get(..self.limits.line).unwrap_or(rest);
        let Some(end) = memchr::memchr(b'\n', searched) else {
            let full = rest.len() > self.limits.line;
            return if full { Err(ProtocolError::InlineTooBig) } else { Ok(None) };
        };
        let line = rest.get(..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        self.at += end + 1;
        self.inline = true;
        self.args.clear();
        self.unquoted.clear();
        split(line, &mut self.unquoted, &mut self.args).ok_or(ProtocolError::Quotes)?;
        if !self.authenticated && self.args.len() > UNAUTHENTICATED.arguments {
            return Err(ProtocolError::CountUnauthenticated);
        }
        Ok(Some(()))
    }
}

/// A number without sign but a minus, leading zeros or spaces.
pub(super) fn number(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let canonical = match digits {
        [b'0'] => digits.len() == text.len(),
        [b'1'..=b'9', ..] => true,
        _ => false,
    };
    std::str::from_utf8(text).ok().filter(|_| canonical)?.parse().ok()
}

/// Splits a line as a shell would: spaces part, `"a\x41\n"` and `'a\'b'` quote. `None`: unbalanced.
fn split(line: &[u8], out: &mut Vec<u8>, args: &mut Vec<Range<usize>>) -> Option<()> {
    let mut rest = line.trim_ascii_start();
    while !rest.is_empty() {
        let start = out.len();
        loop {
            match rest {
                [] => break,
                [b'"', quoted @ ..] => rest = double_quoted(quoted, out)?,
                [b'\'', quoted @ ..] => rest = single_quoted(quoted, out)?,
                [b' ' | b'\n' | b'\r' | b'\t' | 0, ..] => break,
                [byte, more @ ..] => {
                    out.push(*byte);
                    rest = more;
                    continue;
                }
            }
            // A closing quote ends the argument.
            if !matches!(rest, [] | [b' ' | b'\n' | b'\r' | b'\t' | 0x0b | 0x0c, ..]) {
                return None;
            }
            break;
        }
        args.push(start..out.len());
        while let [b' ' | b'\n' | b'\r' | b'\t' | 0x0b | 0x0c | 0, more @ ..] = rest {
            rest = more;
        }
    }
    Some(())
}

fn double_quoted<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] => return None,
            [b'"', more @ ..] => return Some(more),
            [b'\\', b'x', high, low, more @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                let digits = [*high, *low];
                let text = std::str::from_utf8(&digits).ok()?;
                out.push(u8::from_str_radix(text, 16).ok()?);
                rest = more;
            }
            [b'\\', escaped, more @ ..] => {
                out.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                rest = more;
            }
            [byte, more @ ..] => {
                out.push(*byte);
                rest = more;
            }
        }
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] => return None,
            [b'\'', more @ ..] => return Some(more),
            [b'\\', b'\'', more @ ..] => {
                out.push(b'\'');
                rest = more;
            }
            [byte, more @ ..] => {
                out.push(*byte);
                rest = more;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds the input in pieces of `step` bytes and gives all requests, and how it ended.
    fn feed(input: &[u8], step: usize) -> (Vec<Vec<Vec<u8>>>, Option<ProtocolError>) {
        let limits = Limits { arguments: 20, bulk: 100, line: 64 };
        let mut parser = Parser::new(limits);
        let (mut buffer, mut requests) = (Vec::new(), Vec::new());
        for piece in input.chunks(step) {
            buffer.extend_from_slice(piece);
            loop {
                match parser.advance(&buffer) {
                    Ok(false) => break,
                    Ok(true) => {
                        requests.push(parser.arguments(&buffer).map(<[u8]>::to_vec).collect());
                    }
                    Err(error) => return (requests, Some(error)),
                }
            }
            buffer.drain(..parser.release());
        }
        (requests, None)
    }

    #[test]
    fn requests_are_the_same_however_they_are_split() {
        let input = b"*2\r\n$4\r\nECHO\r\n$5\r\na\r\nb\n\r\nPING\r\n\r\n*0\r\n*-1\r\n\n*1\r\n$0\r\n\r\n  set 'a b' \"c\\x41\\n\" d\"e\" \r\n*3\r\n$1\r\nx\r\n$0\r\n\r\n$2\r\nyz\r\n";
        let (whole, end) = feed(input, input.len());
        assert_eq!(end, None);
        let text: Vec<String> = whole
            .iter()
            .map(|r| format!("{:?}", r.join(&b'|').escape_ascii().to_string()))
            .collect();
        assert_eq!(
            text,
            [
                "\"ECHO|a\\\\r\\\\nb\\\\n\"",
                "\"PING\"",
                "\"\"",
                "\"set|a b|cA\\\\n|de\"",
                "\"x||yz\""
            ]
        );
        for step in 1..input.len() {
            assert_eq!(feed(input, step), (whole.clone(), None), "in pieces of {step}");
        }
    }

    #[test]
    fn errors_are_redis_s_however_they_are_split() {
        use ProtocolError as E;
        let long = "x".repeat(70);
        let (star, dollar) = (format!("*{}", "1".repeat(70)), format!("*1\r\n${}", "1".repeat(70)));
        let table: &[(&str, E)] = &[
            ("*x\r\n", E::Count),
            ("*21\r\n", E::Count),
            ("*01\r\n", E::Count),
            ("*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n", E::NotBulk(b'f')),
            ("*1\r\n$-10\r\n", E::Length),
            ("*1\r\n$101\r\n", E::Length),
            ("*1\r\n$99999999999999999999\r\n", E::Length),
            (&long, E::InlineTooBig),
            (&star, E::CountTooBig),
            (&dollar, E::LengthTooBig),
            ("set \"a\r\n", E::Quotes),
            ("set \"a\"b\r\n", E::Quotes),
            ("set 'a\r\n", E::Quotes),
        ];
        for (input, expected) in table {
            for step in [1, 2, 3, 1000] {
                assert_eq!(feed(input.as_bytes(), step), (vec![], Some(*expected)), "{input:?}");
            }
        }
    }

    #[test]
    fn any_bytes_are_read_alike_in_any_pieces() {
        let pieces: &[&[u8]] = &[
            b"*1\r\n",
            b"*2\r\n",
            b"$1\r\n",
            b"$4\r\n",
            b"PING",
            b"x",
            b"\r\n",
            b"\n",
            b"\r",
            b"*",
            b"$",
            b"-1\r\n",
            b"\"",
            b"'",
            b"\\x4",
            b" ",
            b"\0",
            b"\xff",
            b"0",
            b"99999999999",
        ];
        let mut state = 11_u64;
        let mut draw = |n: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % n
        };
        for _ in 0..3_000 {
            let input: Vec<u8> =
                (0..=draw(12)).flat_map(|_| pieces[draw(pieces.len())].iter().copied()).collect();
            let whole = feed(&input, input.len());
            for step in [1, 2, 3, 7] {
                assert_eq!(feed(&input, step), whole, "{:?}", input.escape_ascii().to_string());
            }
        }
    }

    #[test]
    fn the_unknown_may_send_little() {
        let mut parser = Parser::new(Limits::default());
        parser.set_authenticated(false);
        assert_eq!(parser.advance(b"*11\r\n"), Err(ProtocolError::CountUnauthenticated));
        let mut parser = Parser::new(Limits::default());
        parser.set_authenticated(false);
        assert_eq!(parser.advance(b"*1\r\n$16385\r\n"), Err(ProtocolError::LengthUnauthenticated));
    }
}
