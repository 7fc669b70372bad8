//! A scanner for the JSON that list elements and hash fields hold: top-level members, no tree.
//!
//! It borrows from the text, allocates only for strings with escapes, and never recurses. Numbers
//! are read by the standard library, so a value is the nearest float to what was written.

use std::borrow::Cow;

/// Objects and arrays may be nested so deep before a text is refused.
const MAX_DEPTH: usize = 64;

/// A member's value, as far as the keymap looks.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar<'a> {
    Number(f64),
    Text(Cow<'a, str>),
    Bool(bool),
    /// `null`, an object or an array.
    Other,
}

/// Shows each member of an object, in order. `None` if the text is no JSON object.
pub(super) fn members<'a>(
    text: &'a [u8],
    see: &mut dyn FnMut(Cow<'a, str>, Scalar<'a>),
) -> Option<()> {
    let mut scanner = Scanner { rest: text };
    scanner.expect(b'{')?;
    if !scanner.take(b'}') {
        loop {
            scanner.spaces();
            let name = scanner.string()?;
            scanner.expect(b':')?;
            see(name, scanner.value()?);
            if scanner.take(b'}') {
                break;
            }
            scanner.expect(b',')?;
        }
    }
    scanner.end()
}

/// Shows the text of each element of an array, in order. `None` if the text is no JSON array.
pub(super) fn elements<'a>(text: &'a [u8], see: &mut dyn FnMut(&'a [u8])) -> Option<()> {
    let mut scanner = Scanner { rest: text };
    scanner.expect(b'[')?;
    if !scanner.take(b']') {
        loop {
            scanner.spaces();
            let before = scanner.rest;
            scanner.value()?;
            see(before.get(..before.len() - scanner.rest.len())?);
            if scanner.take(b']') {
                break;
            }
            scanner.expect(b',')?;
        }
    }
    scanner.end()
}

/// A number as JSON spells it, finite.
pub(super) fn number(text: &[u8]) -> Option<f64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let spelled = |byte: &u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
    if !digits.first()?.is_ascii_digit() || !digits.iter().all(spelled) {
        return None;
    }
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    value.is_finite().then_some(value)
}

struct Scanner<'a> {
    rest: &'a [u8],
}

impl<'a> Scanner<'a> {
    fn spaces(&mut self) {
        while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    /// Takes `byte` if it comes next, spaces aside.
    fn take(&mut self, byte: u8) -> bool {
        self.spaces();
        match self.rest.split_first() {
            Some((first, rest)) if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.take(byte).then_some(())
    }

    fn end(&mut self) -> Option<()> {
        self.spaces();
        self.rest.is_empty().then_some(())
    }

    fn value(&mut self) -> Option<Scalar<'a>> {
        self.spaces();
        match self.rest.first()? {
            b'"' => self.string().map(Scalar::Text),
            b'{' | b'[' => self.skip_nested().map(|()| Scalar::Other),
            b't' => self.word(b"true").map(|()| Scalar::Bool(true)),
            b'f' => self.word(b"false").map(|()| Scalar::Bool(false)),
            b'n' => self.word(b"null").map(|()| Scalar::Other),
            _ => {
                let end = self
                    .rest
                    .iter()
                    .position(|b| matches!(b, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r'));
                let (text, rest) = self.rest.split_at_checked(end.unwrap_or(self.rest.len()))?;
                self.rest = rest;
                number(text).map(Scalar::Number)
            }
        }
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(word)?;
        Some(())
    }

    fn string(&mut self) -> Option<Cow<'a, str>> {
        let inner = self.rest.strip_prefix(b"\"")?;
        let end = memchr::memchr2(b'"', b'\\', inner)?;
        let (plain, rest) = inner.split_at_checked(end)?;
        if let Some(rest) = rest.strip_prefix(b"\"") {
            self.rest = rest;
            return std::str::from_utf8(plain).ok().map(Cow::Borrowed);
        }
        let mut text = std::str::from_utf8(plain).ok()?.to_owned();
        self.rest = rest;
        loop {
            match self.rest {
                [b'"', rest @ ..] => {
                    self.rest = rest;
                    return Some(Cow::Owned(text));
                }
                [b'\\', b'u', ..] => text.push(self.unicode()?),
                [b'\\', escaped, rest @ ..] => {
                    text.push(match escaped {
                        b'n' => '\n',
                        b'r' => '\r',
                        b't' => '\t',
                        b'b' => '\u{8}',
                        b'f' => '\u{c}',
                        b'"' | b'\\' | b'/' => char::from(*escaped),
                        _ => return None,
                    });
                    self.rest = rest;
                }
                rest => {
                    let end = memchr::memchr2(b'"', b'\\', rest)?;
                    let (plain, rest) = rest.split_at_checked(end)?;
                    text.push_str(std::str::from_utf8(plain).ok()?);
                    self.rest = rest;
                }
            }
        }
    }

    /// Reads `\uXXXX`, or two of them for a character outside the first plane.
    fn unicode(&mut self) -> Option<char> {
        let high = self.hex()?;
        if !(0xd800..0xdc00).contains(&high) {
            return char::from_u32(high);
        }
        let low = self.hex().filter(|low| (0xdc00..0xe000).contains(low))?;
        char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00))
    }

    fn hex(&mut self) -> Option<u32> {
        let (digits, rest) = self.rest.strip_prefix(b"\\u")?.split_at_checked(4)?;
        self.rest = rest;
        let digits = std::str::from_utf8(digits).ok()?;
        u32::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))
    }

    /// Moves behind an object or array; brackets must pair, strings are read as strings.
    fn skip_nested(&mut self) -> Option<()> {
        let mut open = Vec::new();
        loop {
            match *self.rest.first()? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                bracket @ (b'{' | b'[') if open.len() < MAX_DEPTH => open.push(bracket + 2),
                b'{' | b'[' => return None,
                bracket @ (b'}' | b']') if open.pop() != Some(bracket) => return None,
                _ => {}
            }
            self.rest = self.rest.get(1..)?;
            if open.is_empty() {
                return Some(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        let mut out = String::new();
        members(text.as_bytes(), &mut |name, value| out += &format!("{name}={value:?};"))?;
        Some(out)
    }

    #[test]
    fn reads_objects_and_refuses_the_rest() {
        let table: &[(&str, Option<&str>)] = &[
            ("{}", Some("")),
            (
                r#" { "a" : 1 , "b":-2.5e-3,"c":true } "#,
                Some("a=Number(1.0);b=Number(-0.0025);c=Bool(true);"),
            ),
            (r#"{"a":"x\"\u00e4\ud83d\ude00\n"}"#, Some("a=Text(\"x\\\"ä😀\\n\");")),
            (r#"{"a":{"b":[1,"}"]},"c":null}"#, Some("a=Other;c=Other;")),
            ("", None),
            ("1", None),
            ("[1]", None),
            (r#"{"a":1"#, None),
            (r#"{"a":1}x"#, None),
            (r#"{"a":NaN}"#, None),
            (r#"{"a":inf}"#, None),
            (r#"{"a":1e999}"#, None),
            (r#"{"a":"\ud800"}"#, None),
            (r#"{"a":[1}}"#, None),
            (r#"{"a"}"#, None),
        ];
        for (text, expected) in table {
            assert_eq!(read(text).as_deref(), *expected, "{text}");
        }
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(read(&deep), None);
    }

    #[test]
    fn arrays_give_their_elements() {
        let mut seen = Vec::new();
        elements(br#"[{"a":1}, 2 ,"x"]"#, &mut |e| {
            seen.push(String::from_utf8_lossy(e).into_owned())
        });
        assert_eq!(seen, [r#"{"a":1}"#, "2", r#""x""#]);
    }
}
