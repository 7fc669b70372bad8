//! Expressions that need no search, as most that people write: a few texts, and behind them any characters,
//! so many. They cost no compilation, are compared quickly, and what has no "any" is looked up in the index.

use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};

/// So many texts are still tried one after the other.
const MOST: usize = 64;
/// And so many bytes, for a long text behind a choice is multiplied.
const MOST_BYTES: usize = 16 << 10;

/// What an expression for whole values comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plain {
    /// One of these, sorted and without doubles.
    pub(super) starts: Vec<String>,
    /// Then at least so many characters,
    least: u32,
    /// and at most so many.
    most: Option<u32>,
}

impl Plain {
    /// `None` for an expression of any other kind.
    pub(super) fn of(hir: &Hir) -> Option<Plain> {
        let mut parts = match inner(hir).kind() {
            HirKind::Concat(parts) => parts.as_slice(),
            _ => std::slice::from_ref(hir),
        };
        // The whole value is compared anyway.
        if let [first, rest @ ..] = parts
            && *first.kind() == HirKind::Look(Look::Start)
        {
            parts = rest;
        }
        if let [rest @ .., last] = parts
            && *last.kind() == HirKind::Look(Look::End)
        {
            parts = rest;
        }
        let mut starts = vec![String::new()];
        let tail = parts.iter().position(|part| any(part).is_some()).unwrap_or(parts.len());
        for part in &parts[..tail] {
            starts = product(&starts, &texts(part)?)?;
        }
        let (mut least, mut most) = (0_u32, Some(0_u32));
        for part in &parts[tail..] {
            let (min, max) = any(part)?;
            least = least.checked_add(min)?;
            most = match (most, max) {
                (Some(most), Some(max)) => Some(most.checked_add(max)?),
                _ => None,
            };
        }
        starts.sort();
        starts.dedup();
        Some(Plain { starts, least, most })
    }

    /// Whether it is a choice of texts and nothing more.
    pub(super) fn is_choice(&self) -> bool {
        self.most == Some(0)
    }

    /// Whether a whole value is such.
    pub(super) fn matches(&self, value: &str) -> bool {
        let mut rests = self.starts.iter().filter_map(|start| value.strip_prefix(start.as_str()));
        rests.any(|rest| self.takes(rest))
    }

    fn takes(&self, rest: &str) -> bool {
        let least = self.least as usize;
        match self.most {
            None if least <= 1 => rest.len() >= least,
            None => rest.chars().take(least).count() == least,
            Some(most) => {
                let most = most as usize;
                (least..=most).contains(&rest.chars().take(most.saturating_add(1)).count())
            }
        }
    }
}

/// What is in the groups around it.
fn inner(hir: &Hir) -> &Hir {
    match hir.kind() {
        HirKind::Capture(capture) => inner(&capture.sub),
        _ => hir,
    }
}

/// How many of any character, if it is that.
fn any(hir: &Hir) -> Option<(u32, Option<u32>)> {
    match inner(hir).kind() {
        HirKind::Repetition(Repetition { min, max, sub, .. }) => {
            (any(sub)? == (1, Some(1))).then_some((*min, *max))
        }
        HirKind::Class(Class::Unicode(class)) => {
            let all = |range: &regex_syntax::hir::ClassUnicodeRange| {
                (range.start(), range.end()) == ('\0', char::MAX)
            };
            class.ranges().iter().any(all).then_some((1, Some(1)))
        }
        _ => None,
    }
}

/// All texts that match, if they are few.
fn texts(hir: &Hir) -> Option<Vec<String>> {
    match hir.kind() {
        HirKind::Empty => Some(vec![String::new()]),
        HirKind::Literal(literal) => Some(vec![String::from_utf8(literal.0.to_vec()).ok()?]),
        HirKind::Class(Class::Unicode(class)) => {
            let count: usize = class.iter().map(|range| range.len()).sum();
            let all = class.iter().flat_map(|range| range.start()..=range.end());
            (count <= MOST).then(|| all.map(String::from).collect())
        }
        HirKind::Repetition(Repetition { min: 0, max: Some(1), sub, .. }) => {
            let mut texts = texts(sub)?;
            texts.push(String::new());
            Some(texts)
        }
        HirKind::Capture(capture) => texts(&capture.sub),
        HirKind::Concat(parts) => {
            let start = vec![String::new()];
            parts.iter().try_fold(start, |before, part| product(&before, &texts(part)?))
        }
        HirKind::Alternation(branches) => {
            let mut all = Vec::new();
            for branch in branches {
                all.extend(texts(branch)?);
                if all.len() > MOST {
                    return None;
                }
            }
            Some(all)
        }
        _ => None,
    }
}

fn product(before: &[String], after: &[String]) -> Option<Vec<String>> {
    let bytes = |texts: &[String]| texts.iter().map(String::len).sum::<usize>();
    let size = bytes(before) * after.len() + bytes(after) * before.len();
    if before.len() * after.len() > MOST || size > MOST_BYTES {
        return None;
    }
    let pairs = before.iter().flat_map(|a| after.iter().map(move |b| format!("{a}{b}")));
    Some(pairs.collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(pattern: &str) -> Option<Plain> {
        Plain::of(&regex_syntax::parse(&format!("(?s:{pattern})")).unwrap())
    }

    #[test]
    fn what_is_plain_is_known() {
        for (pattern, starts, least, most) in [
            ("agent_.+", &["agent_"][..], 1, None),
            (".*", &[""], 0, None),
            ("agent-000[0-2].", &["agent-0000", "agent-0001", "agent-0002"], 1, Some(1)),
            ("(a|b|)c?.{2,}.?", &["", "a", "ac", "b", "bc", "c"], 2, None),
            ("^(?:x|yz)$", &["x", "yz"], 0, Some(0)),
            ("", &[""], 0, Some(0)),
        ] {
            let starts = starts.iter().map(|s| (*s).to_owned()).collect();
            assert_eq!(plain(pattern), Some(Plain { starts, least, most }), "{pattern}");
        }
        for pattern in ["a+", ".*a", "[a-z]+", r"\ba", "[^a]", "(?i)abcdefg", "(?-s:.)", "a^b"] {
            assert_eq!(plain(pattern), None, "{pattern}");
        }
        let (short, long) = ("y".repeat(100), "y".repeat(1_000));
        assert!(plain(&format!("[a-z]{short}")).is_some());
        assert_eq!(plain(&format!("[a-z]{long}")), None, "26 kB of texts");
    }

    proptest! {
        #[test]
        fn plain_expressions_match_what_the_others_would(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    "a", "b", "é", "(a|bc)", "[ab]", "(?:b|)", "c?", ".", ".*", ".+", ".?",
                    ".{2}", ".{1,3}", "(.+)", "^", "$",
                ]),
                0..5,
            ),
            values in prop::collection::vec("[abcé\n]{0,6}", 20),
        ) {
            let pattern = parts.concat();
            let regex = regex::Regex::new(&format!("^(?s:{pattern})$")).unwrap();
            if let Some(plain) = plain(&pattern) {
                for value in values {
                    prop_assert_eq!(plain.matches(&value), regex.is_match(&value), "{} {:?}", pattern, value);
                }
            }
        }
    }
}
