//! Regular expressions as Go's `regexp` reads them, which is what PromQL's matchers are written in: turned
//! into the syntax of the regex crate, or refused in Go's words.
//!
//! They differ in what `\d`, `\w`, `\s` hold (ASCII there), in literal text (`{{x}}`, `[[]`, `\Q.\E`), and in
//! what is refused.

use std::iter::Peekable;
use std::str::Chars;

/// No expression may be repeated more often.
const MAX_REPEAT: u32 = 1000;
const DIGITS: &str = "0-9";
const SPACES: &str = r"\t\n\x0c\r ";
const WORDS: &str = "0-9A-Za-z_";
/// Named classes of ASCII.
const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

/// The expression in the syntax of the regex crate; what is wrong with it in Go's words.
pub(super) fn translate(pattern: &str) -> Result<String, String> {
    let mut reader = Reader { pattern, rest: pattern, out: String::new(), last: Last::Nothing };
    let mut open = 0_usize;
    while let Some(c) = reader.peek() {
        match c {
            '(' => open += usize::from(reader.group()?),
            ')' => {
                let Some(fewer) = open.checked_sub(1) else {
                    return Err(refused("unexpected )", pattern));
                };
                open = fewer;
                reader.copy(1, Last::Atom);
            }
            '|' => reader.copy(1, Last::Nothing),
            '*' | '+' | '?' => reader.repeat(1)?,
            '{' => match reader.counted() {
                Some(length) => reader.repeat(length)?,
                None => reader.literal(),
            },
            '[' => reader.class()?,
            '\\' => reader.escape()?,
            '.' | '^' | '$' => reader.copy(1, Last::Atom),
            _ => reader.literal(),
        }
    }
    if open > 0 {
        return Err(refused("missing closing )", pattern));
    }
    Ok(reader.out)
}

fn refused(what: &str, part: &str) -> String {
    format!("{what}: `{part}`")
}

/// What stands before, as far as a repetition cares.
#[derive(Clone, Copy)]
enum Last<'a> {
    Nothing,
    Atom,
    /// A repetition; all from there on.
    Repeat(&'a str),
}

struct Reader<'a> {
    pattern: &'a str,
    rest: &'a str,
    out: String,
    last: Last<'a>,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn skip(&mut self, bytes: usize) -> &'a str {
        let (skipped, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        skipped
    }

    /// Takes bytes over as they are.
    fn copy(&mut self, bytes: usize, last: Last<'a>) {
        let text = self.skip(bytes);
        self.out.push_str(text);
        self.last = last;
    }

    fn literal(&mut self) {
        let length = self.peek().map_or(0, char::len_utf8);
        let text = self.skip(length);
        self.out.push_str(&regex::escape(text));
        self.last = Last::Atom;
    }

    /// A repetition whose operator has so many bytes; `?` behind it makes it lazy.
    fn repeat(&mut self, length: usize) -> Result<(), String> {
        let start = self.rest;
        let lazy = start[length..].starts_with('?');
        let length = length + usize::from(lazy);
        match self.last {
            Last::Nothing => {
                let what = "missing argument to repetition operator";
                return Err(refused(what, &start[..length]));
            }
            Last::Repeat(before) => {
                let both = &before[..before.len() - start.len() + length];
                return Err(refused("invalid nested repetition operator", both));
            }
            Last::Atom => {}
        }
        if let Some((least, most)) = counts(start)
            && (least > MAX_REPEAT || most.is_some_and(|most| most > MAX_REPEAT || most < least))
        {
            let count = start.split_inclusive('}').next().unwrap_or(start);
            return Err(refused("invalid repeat count", count));
        }
        self.copy(length, Last::Repeat(start));
        Ok(())
    }

    /// How long a counted repetition is; a brace that begins none is a literal.
    fn counted(&self) -> Option<usize> {
        counts(self.rest)?;
        self.rest.find('}').map(|end| end + 1)
    }

    /// Whether a group is opened; flags alone open none.
    fn group(&mut self) -> Result<bool, String> {
        let Some(after) = self.rest.strip_prefix("(?") else {
            self.copy(1, Last::Nothing);
            return Ok(true);
        };
        if let Some(name) = after.strip_prefix("P<").or_else(|| after.strip_prefix('<')) {
            return self.named(name).map(|()| true);
        }
        let mut negated = false;
        let mut flags = 0;
        for (i, c) in after.char_indices() {
            match c {
                'i' | 'm' | 's' | 'U' => flags += 1,
                '-' if !negated => (negated, flags) = (true, 0),
                // No flags at all mean nothing.
                ')' if !negated && flags == 0 => {
                    self.skip(3);
                    return Ok(false);
                }
                ':' | ')' if !negated || flags > 0 => {
                    self.copy(2 + i + 1, if c == ')' { self.last } else { Last::Nothing });
                    return Ok(c == ':');
                }
                c => {
                    let part = &self.rest[..2 + i + c.len_utf8()];
                    return Err(refused("invalid or unsupported Perl syntax", part));
                }
            }
        }
        Err(refused("missing closing )", self.pattern))
    }

    fn named(&mut self, name: &'a str) -> Result<(), String> {
        let Some(end) = name.find('>') else {
            return Err(refused("invalid named capture", self.rest));
        };
        let length = self.rest.len() - name.len() + end + 1;
        let is_name = |name: &str| name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric());
        if end == 0 || !is_name(&name[..end]) {
            return Err(refused("invalid named capture", &self.rest[..length]));
        }
        self.copy(length, Last::Nothing);
        Ok(())
    }

    /// What a backslash begins, outside of a class.
    fn escape(&mut self) -> Result<(), String> {
        let after = &self.rest[1..];
        let simple = match after.chars().next() {
            None => return Err(refused("trailing backslash at end of expression", "")),
            Some('A') => r"\A",
            Some('z') => r"\z",
            Some('b') => r"(?-u:\b)",
            // The crate has no ASCII form for text: beside letters beyond ASCII it reads this otherwise than Go.
            Some('B') => r"\B",
            Some('Q') => {
                self.quoted();
                return Ok(());
            }
            Some('p' | 'P') => {
                self.unicode_class()?;
                self.last = Last::Atom;
                return Ok(());
            }
            Some(c) => match perl_class(c) {
                Some((negated, chars)) => {
                    self.out.push_str(if negated { "[^" } else { "[" });
                    self.out.push_str(chars);
                    "]"
                }
                None => {
                    let c = self.escaped_char()?;
                    self.out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
                    self.last = Last::Atom;
                    return Ok(());
                }
            },
        };
        self.out.push_str(simple);
        self.skip(2);
        self.last = Last::Atom;
        Ok(())
    }

    /// All up to `\E` means itself.
    fn quoted(&mut self) {
        self.skip(2);
        let (text, length) = match self.rest.split_once(r"\E") {
            Some((text, _)) => (text, text.len() + 2),
            None => (self.rest, self.rest.len()),
        };
        for c in text.chars() {
            self.out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
            self.last = Last::Atom;
        }
        self.skip(length);
    }

    /// `\pL` or `\p{Greek}`; that there is such a class is found out when all is compiled.
    fn unicode_class(&mut self) -> Result<(), String> {
        let after = &self.rest[2..];
        let length = match after.chars().next() {
            None => return Err(refused("invalid character class range", self.rest)),
            Some('{') => match after.find('}') {
                Some(end) => end + 1,
                None => return Err(refused("invalid character class range", self.rest)),
            },
            Some(c) => c.len_utf8(),
        };
        self.copy(2 + length, self.last);
        Ok(())
    }

    /// One character behind a backslash, which is the next.
    fn escaped_char(&mut self) -> Result<char, String> {
        let start = self.rest;
        let mut chars = start[1..].chars().peekable();
        let found = unescaped(&mut chars);
        let left: usize = chars.map(char::len_utf8).sum();
        let length = start.len() - left;
        self.skip(length);
        found.ok_or_else(|| match &start[1..] {
            "" => refused("trailing backslash at end of expression", ""),
            _ => refused("invalid escape sequence", &start[..length]),
        })
    }

    fn class(&mut self) -> Result<(), String> {
        let start = self.rest;
        self.copy(1, Last::Atom);
        if self.rest.starts_with('^') {
            self.copy(1, Last::Atom);
        }
        let mut first = true;
        loop {
            match self.peek() {
                None => return Err(refused("missing closing ]", start)),
                Some(']') if !first => break,
                Some(_) => self.class_item(start)?,
            }
            first = false;
        }
        self.copy(1, Last::Atom);
        Ok(())
    }

    fn class_item(&mut self, class: &str) -> Result<(), String> {
        if let Some(after) = self.rest.strip_prefix("[:")
            && let Some(length) = after.find(":]")
        {
            let (name, end) = (&after[..length], length + 2);
            let name = name.strip_prefix('^').unwrap_or(name);
            if !POSIX.contains(&name) {
                return Err(refused("invalid character class range", &self.rest[..end + 2]));
            }
            self.copy(end + 2, Last::Atom);
            return Ok(());
        }
        if self.rest.starts_with(r"\p") || self.rest.starts_with(r"\P") {
            return self.unicode_class();
        }
        if let Some(c) = self.rest.strip_prefix('\\').and_then(|rest| rest.chars().next())
            && let Some((negated, chars)) = perl_class(c)
        {
            let (open, close) = if negated { ("[^", "]") } else { ("", "") };
            self.out.push_str(&format!("{open}{chars}{close}"));
            self.skip(2);
            return Ok(());
        }
        let start = self.rest;
        let low = self.class_char(class)?;
        let mut high = low;
        if let Some(after) = self.rest.strip_prefix('-')
            && !after.starts_with(']')
            && !after.is_empty()
        {
            self.skip(1);
            high = self.class_char(class)?;
            if high < low {
                let range = &start[..start.len() - self.rest.len()];
                return Err(refused("invalid character class range", range));
            }
        }
        self.out.push_str(&format!("\\x{{{:x}}}", u32::from(low)));
        if high > low {
            self.out.push_str(&format!("-\\x{{{:x}}}", u32::from(high)));
        }
        Ok(())
    }

    fn class_char(&mut self, class: &str) -> Result<char, String> {
        match self.peek() {
            None => Err(refused("missing closing ]", class)),
            Some('\\') => self.escaped_char(),
            Some(c) => {
                self.skip(c.len_utf8());
                Ok(c)
            }
        }
    }
}

/// `\d` and its kin: whether it is all but these, and these.
fn perl_class(c: char) -> Option<(bool, &'static str)> {
    match c {
        'd' => Some((false, DIGITS)),
        'D' => Some((true, DIGITS)),
        's' => Some((false, SPACES)),
        'S' => Some((true, SPACES)),
        'w' => Some((false, WORDS)),
        'W' => Some((true, WORDS)),
        _ => None,
    }
}

/// The counts of `{2}`, `{2,}` or `{2,3}` at the start; too large ones as large as they come.
fn counts(text: &str) -> Option<(u32, Option<u32>)> {
    let (inside, _) = text.strip_prefix('{')?.split_once('}')?;
    let count = |digits: &str| {
        // Go takes no idle zeros.
        let plain = digits.bytes().all(|b| b.is_ascii_digit())
            && !digits.is_empty()
            && (digits == "0" || !digits.starts_with('0'));
        plain.then(|| digits.parse().unwrap_or(u32::MAX))
    };
    match inside.split_once(',') {
        None => count(inside).map(|n| (n, Some(n))),
        Some((least, "")) => Some((count(least)?, None)),
        Some((least, most)) => Some((count(least)?, Some(count(most)?))),
    }
}

/// The character an escape stands for; it is read as far as it goes.
fn unescaped(chars: &mut Peekable<Chars<'_>>) -> Option<char> {
    let octal = |c: &char| ('0'..='7').contains(c);
    match chars.next()? {
        'a' => Some('\x07'),
        'f' => Some('\x0c'),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        'v' => Some('\x0b'),
        'x' => match chars.next()? {
            '{' => {
                let mut code = 0_u32;
                let mut digits = 0;
                loop {
                    match chars.next()? {
                        '}' if digits > 0 => return char::from_u32(code),
                        c => code = code.checked_mul(16)?.checked_add(c.to_digit(16)?)?,
                    }
                    digits += 1;
                }
            }
            c => {
                let (high, low) = (c.to_digit(16)?, chars.next()?.to_digit(16)?);
                char::from_u32(high * 16 + low)
            }
        },
        // A single digit other than 0 would refer back, which is not supported.
        c @ '0'..='7' => {
            if c != '0' && !chars.peek().is_some_and(octal) {
                return None;
            }
            let mut code = c.to_digit(8)?;
            for _ in 0..2 {
                let Some(digit) = chars.next_if(octal) else { break };
                code = code * 8 + digit.to_digit(8)?;
            }
            char::from_u32(code)
        }
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(c),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::translate;

    fn matches(pattern: &str, text: &str) -> bool {
        let translated = translate(pattern).unwrap_or_else(|e| panic!("{pattern}: {e}"));
        Regex::new(&format!("^(?s:{translated})$")).unwrap().is_match(text)
    }

    #[test]
    fn what_the_two_read_differently() {
        for (pattern, yes, no) in [
            (r"\d+", "12", "٣"),
            (r"\w", "a", "ä"),
            (r"\W", "ä", "a"),
            (r"[\D]x", "ax", "1x"),
            (r"[^\d\s]", "a", " "),
            ("{{x}}", "{{x}}", "x"),
            ("a{,2}", "a{,2}", "aa"),
            ("a{2,3}?", "aaa", "a"),
            ("[[]a", "[a", "a"),
            ("[[:]+", "[:", "]"),
            ("[a&&b]", "&", "c"),
            ("[]a]", "]", "b"),
            ("[a-]", "-", "b"),
            ("[+--]", ",", "."),
            (r"[\x41-\x{43}]", "B", "D"),
            (r"\Qa.b\E+", "a.bb", "axb"),
            (r"\101\.\-", "A.-", "A..-"),
            ("[[:alpha:]]", "x", "1"),
            ("(?i)abc", "ABC", "ABD"),
            ("(?i:a)b", "Ab", "AB"),
            ("(?P<n>a)|(?<m>b)", "b", "c"),
            (r"\pL+", "äb", "1"),
            ("#~&- ", "#~&- ", ""),
            ("a|", "", "b"),
        ] {
            assert!(matches(pattern, yes), "{pattern} {yes}");
            assert!(!matches(pattern, no), "{pattern} {no}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_in_the_words_of_go() {
        for (pattern, reason) in [
            ("(", "missing closing ): `(`"),
            ("a)(b", "unexpected ): `a)(b`"),
            ("a[b", "missing closing ]: `[b`"),
            ("[z-a]", "invalid character class range: `z-a`"),
            ("[[:no:]]", "invalid character class range: `[:no:]`"),
            ("*a", "missing argument to repetition operator: `*`"),
            ("a|+?", "missing argument to repetition operator: `+?`"),
            ("a**", "invalid nested repetition operator: `**`"),
            ("a+?{2}", "invalid nested repetition operator: `+?{2}`"),
            ("a{1001}", "invalid repeat count: `{1001}`"),
            ("a{3,2}", "invalid repeat count: `{3,2}`"),
            (r"\y", r"invalid escape sequence: `\y`"),
            (r"\1", r"invalid escape sequence: `\1`"),
            (r"a\", "trailing backslash at end of expression: ``"),
            ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
            ("(?P<n", "invalid named capture: `(?P<n`"),
            ("(?P<n->a)", "invalid named capture: `(?P<n->`"),
        ] {
            assert_eq!(translate(pattern), Err(reason.to_owned()), "{pattern}");
        }
    }

    #[test]
    fn whatever_is_not_refused_compiles() {
        let parts = [
            "(", ")", "a", "*", "{2}", "{", "[", "]", "^", "-", "\\", "d", "?", ":", "|", "ä",
            "x41",
        ];
        let mut seed = 3_u64;
        for _ in 0..20_000 {
            let mut pattern = String::new();
            for _ in 0..1 + seed % 9 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
                pattern.push_str(parts[(seed >> 33) as usize % parts.len()]);
            }
            if let Ok(translated) = translate(&pattern) {
                assert!(Regex::new(&translated).is_ok(), "{pattern} {translated}");
            }
        }
    }
}
