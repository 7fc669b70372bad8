//! The shape of an element: what stands between its fields. Elements of one writer share it.

use std::ops::Range;

/// An element with more fields is kept as it is.
const MAX_FIELDS: usize = 32;

/// What is expected between two literals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A number outside of quotes.
    Number,
    /// What stands between quotes.
    Text,
}

/// Literals and the fields between them; one literal more than fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) literals: Vec<Vec<u8>>,
    pub(super) kinds: Vec<Kind>,
}

impl Shape {
    /// The shape of whatever has no other: one field that is all of it.
    pub(super) fn whole() -> Shape {
        Shape { literals: vec![Vec::new(); 2], kinds: vec![Kind::Text] }
    }

    /// The shape of an element. `None` if it has no fields, or too many.
    pub(super) fn of(element: &[u8]) -> Option<Shape> {
        let mut shape = Shape { literals: Vec::new(), kinds: Vec::new() };
        let (mut at, mut literal) = (0, 0);
        while let Some(byte) = element.get(at) {
            let (kind, range) = match byte {
                b'"' => {
                    let end = quoted(element, at + 1)?;
                    if is_name(element, end + 1) {
                        at = end + 1;
                        continue;
                    }
                    (Kind::Text, at + 1..end)
                }
                b'-' | b'0'..=b'9' => {
                    let end = at + number(&element[at..]);
                    let word = |byte: Option<&u8>| byte.is_some_and(|b| is_word(*b));
                    let before = at.checked_sub(1).and_then(|before| element.get(before));
                    if end == at || word(before) || word(element.get(end)) {
                        // Part of a word: all of that is literal.
                        at += 1;
                        while word(element.get(at)) {
                            at += 1;
                        }
                        continue;
                    }
                    (Kind::Number, at..end)
                }
                _ => {
                    at += 1;
                    continue;
                }
            };
            if shape.kinds.len() == MAX_FIELDS {
                return None;
            }
            shape.literals.push(element[literal..range.start].to_vec());
            shape.kinds.push(kind);
            literal = range.end;
            at = range.end + usize::from(kind == Kind::Text);
        }
        shape.literals.push(element[literal..].to_vec());
        (!shape.kinds.is_empty()).then_some(shape)
    }

    /// Where an element has its fields, if it is of this shape.
    pub(super) fn fields(&self, element: &[u8], fields: &mut Vec<Range<usize>>) -> bool {
        fields.clear();
        let mut literals = self.literals.iter();
        let Some(mut at) = literals.next().filter(|l| element.starts_with(l)).map(Vec::len) else {
            return false;
        };
        for (kind, literal) in self.kinds.iter().zip(literals) {
            let rest = element.get(at..).unwrap_or_default();
            let len = match kind {
                Kind::Number => number(rest),
                Kind::Text => match memchr::memchr2(b'"', b'\\', rest) {
                    Some(end) if rest.get(end) == Some(&b'"') => end,
                    _ => return false,
                },
            };
            if (*kind == Kind::Number && len == 0)
                || !rest.get(len..).unwrap_or_default().starts_with(literal)
            {
                return false;
            }
            fields.push(at..at + len);
            at += len + literal.len();
        }
        at == element.len()
    }
}

/// Whether an element has what fields begin with; looked for in all of it at once, which is quick.
pub(super) fn may_have_fields(element: &[u8]) -> bool {
    element.iter().fold(false, |found, byte| found | matches!(byte, b'"' | b'-' | b'0'..=b'9'))
}

/// How many bytes of a number the text begins with.
fn number(text: &[u8]) -> usize {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if !digits.first().is_some_and(u8::is_ascii_digit) {
        return 0;
    }
    let mut end = text.len() - digits.len();
    while let Some(byte) = text.get(end) {
        let goes_on = match byte {
            b'0'..=b'9' | b'.' | b'e' | b'E' => true,
            b'+' | b'-' => matches!(text.get(end - 1), Some(b'e' | b'E')),
            _ => false,
        };
        if !goes_on {
            break;
        }
        end += 1;
    }
    end
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.' || byte >= 0x80
}

/// Where the string that begins at `start` has its closing quote; one with escapes is literal.
fn quoted(element: &[u8], start: usize) -> Option<usize> {
    let rest = element.get(start..)?;
    let end = memchr::memchr2(b'"', b'\\', rest)?;
    (rest.get(end) == Some(&b'"')).then_some(start + end)
}

/// Whether a colon follows, so that what came before names a member.
fn is_name(element: &[u8], after: usize) -> bool {
    let mut rest = element.get(after..).unwrap_or_default().iter();
    rest.find(|b| !b.is_ascii_whitespace()) == Some(&b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(element: &str) -> Option<(Vec<String>, Vec<String>)> {
        let shape = Shape::of(element.as_bytes())?;
        let mut ranges = Vec::new();
        assert!(shape.fields(element.as_bytes(), &mut ranges), "{element}");
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let fields = ranges.into_iter().map(|r| element[r].to_owned()).collect();
        Some((shape.literals.iter().map(|l| text(l)).collect(), fields))
    }

    #[test]
    fn fields_are_numbers_and_string_values() {
        for (element, fields) in [
            (
                r#"{"step":12,"value":-0.53,"timestamp":"2026-01-01T00:00:00Z"}"#,
                "12|-0.53|2026-01-01T00:00:00Z",
            ),
            (r#"{ "a" : 1e-5 , "b" : [1, 2.5, "x"], "c" : {"d": "y"} }"#, "1e-5|1|2.5|x|y"),
            ("step=12 value=0.53", "12|0.53"),
            ("0.53", "0.53"),
            (r#""text""#, "text"),
            (r#"{"a":""}"#, ""),
            ("a1 b-2 3", "3"),
        ] {
            assert_eq!(
                read(element).map(|(_, f)| f.join("|")).as_deref(),
                Some(fields),
                "{element}"
            );
        }
        for none in ["", "plain", r#"{"a":true}"#, r#"{"a":"x\"y"}"#, r#""open"#, "a1b2"] {
            assert_eq!(read(none), None, "{none}");
        }
        let many = "1,".repeat(40);
        assert_eq!(read(&many), None);
    }

    #[test]
    fn another_shape_does_not_match() {
        let shape = Shape::of(br#"{"a":1,"b":"x"}"#).unwrap();
        let mut fields = Vec::new();
        for (element, same) in [
            (r#"{"a":-2.5e7,"b":""}"#, true),
            (r#"{"a":1,"b":"x"} "#, false),
            (r#"{"a":1 ,"b":"x"}"#, false),
            (r#"{"a":null,"b":"x"}"#, false),
            (r#"{"a":1,"b":"x\""}"#, false),
            (r#"{"a":1"#, false),
            ("", false),
        ] {
            assert_eq!(shape.fields(element.as_bytes(), &mut fields), same, "{element}");
        }
    }
}
