//! A label set in one allocation.
//!
//! Layout of the shared string: for each pair, in order of names, `len name len value`. A length
//! below 127 is one byte; longer ones are byte 127 and four 7-bit digits, most significant first.
//! Every length byte is ASCII, so the whole stays valid UTF-8 and slices need no re-check.
//! A clone is a reference count, equality a memory compare.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// The label that holds the metric's name.
pub const METRIC_NAME: &str = "__name__";

const LONG: u8 = 127;
/// Four 7-bit digits.
const MAX_LEN: usize = (1 << 28) - 1;

/// A sorted set of unique, non-empty labels: the identity of a series.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Labels(Arc<str>);

/// One name and value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label<'a> {
    /// The name, never empty.
    pub name: &'a str,
    /// The value, never empty.
    pub value: &'a str,
}

/// Why a list of pairs is no label set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// The same name twice.
    #[error("label name {0:?} is given twice")]
    Duplicate(String),
    /// A label without a name.
    #[error("a label has an empty name (value {0:?})")]
    EmptyName(String),
    /// A series has no name.
    #[error("the metric name (label __name__) is missing")]
    NoMetricName,
    /// Not UTF-8.
    #[error("label {0:?} is not valid UTF-8")]
    NotUtf8(String),
    /// Not this module's layout.
    #[error("not an encoded label set: {0:?}")]
    Damaged(String),
    /// A name or value past the format's limit.
    #[error("a label of {0} bytes is past the limit of {MAX_LEN}")]
    TooLong(usize),
}

impl Labels {
    /// The empty set.
    pub fn empty() -> Labels {
        Labels(Arc::from(""))
    }

    /// Builds a set from pairs in any order. Empty values mean "label absent" and are dropped.
    pub fn from_pairs<'a, I>(pairs: I) -> Result<Labels, LabelError>
    where
        I: IntoIterator<Item = (&'a str, &'a str)>,
    {
        let mut pairs: Vec<(&str, &str)> = pairs.into_iter().collect();
        if !pairs.is_sorted_by(|a, b| a.0 < b.0) {
            pairs.sort_by(|a, b| a.0.cmp(b.0));
        }
        for pair in pairs.windows(2) {
            if let [a, b] = pair
                && a.0 == b.0
            {
                return Err(LabelError::Duplicate(a.0.to_owned()));
            }
        }
        encode(&pairs)
    }

    /// Takes a string in this module's own layout, as a log or a block holds it; checks all of it.
    pub fn from_encoded(text: &str) -> Result<Labels, LabelError> {
        let mut rest = text;
        let mut pairs = Vec::new();
        while !rest.is_empty() {
            let pair = take(rest).and_then(|(name, more)| {
                let (value, more) = take(more)?;
                Some((name, value, more))
            });
            let Some((name, value, more)) = pair else {
                return Err(LabelError::Damaged(text.to_owned()));
            };
            pairs.push((name, value));
            rest = more;
        }
        Labels::from_pairs(pairs)
    }

    /// The layout of this module, for logs and blocks.
    pub fn encoded(&self) -> &str {
        &self.0
    }

    /// The labels in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = Label<'_>> {
        let mut rest: &str = &self.0;
        std::iter::from_fn(move || {
            let (name, after_name) = take(rest)?;
            let (value, after) = take(after_name)?;
            rest = after;
            Some(Label { name, value })
        })
    }

    /// The value of `name`, if the set has it.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|l| l.name == name).map(|l| l.value)
    }

    /// The value of `__name__`, or the empty string.
    pub fn metric_name(&self) -> &str {
        self.get(METRIC_NAME).unwrap_or("")
    }

    /// How many labels there are.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A hash that is the same in every process and release: it chooses the shard.
    pub fn stable_hash(&self) -> u64 {
        xxhash_rust::xxh3::xxh3_64(self.0.as_bytes())
    }

    /// Bytes held.
    pub fn byte_len(&self) -> usize {
        self.0.len()
    }

    /// The set without these names.
    pub fn without(&self, names: &[&str]) -> Labels {
        self.retain(|l| !names.contains(&l.name))
    }

    /// The set with only these names.
    pub fn keep(&self, names: &[&str]) -> Labels {
        self.retain(|l| names.contains(&l.name))
    }

    /// The set of those labels for which `keep` holds.
    pub fn retain(&self, keep: impl Fn(Label<'_>) -> bool) -> Labels {
        let mut text = String::with_capacity(self.0.len());
        self.encode_some(keep, &mut text);
        Labels(text.into())
    }

    /// Appends the layout of those labels for which `keep` holds: the same text for the same ones.
    pub fn encode_some(&self, keep: impl Fn(Label<'_>) -> bool, out: &mut String) {
        for label in self.iter().filter(|l| keep(*l)) {
            put(out, label.name);
            put(out, label.value);
        }
    }

    /// A builder that starts from this set.
    pub fn to_builder(&self) -> LabelsBuilder {
        LabelsBuilder {
            pairs: self.iter().map(|l| (l.name.to_owned(), l.value.to_owned())).collect(),
        }
    }
}

/// Changes a label set, pair by pair.
#[derive(Clone, Debug, Default)]
pub struct LabelsBuilder {
    pairs: Vec<(String, String)>,
}

impl LabelsBuilder {
    /// Sets `name`; an empty value removes it.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.remove(name);
        if !value.is_empty() {
            self.pairs.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// Removes `name`.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.pairs.retain(|(n, _)| n != name);
        self
    }

    /// The value set for `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The finished set.
    pub fn build(&self) -> Result<Labels, LabelError> {
        Labels::from_pairs(self.pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())))
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Labels) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Labels {
    /// By the first name that differs, then by its value: the order Prometheus answers in.
    fn cmp(&self, other: &Labels) -> Ordering {
        let (a, b) = (self.0.as_bytes(), other.0.as_bytes());
        let same = common_prefix(a, b);
        if same == a.len().min(b.len()) {
            return a.len().cmp(&b.len());
        }
        // Names and values begin at the same places up to the one that differs.
        let (mut ours, mut theirs) = (&*self.0, &*other.0);
        let mut left = same;
        while let (Some((a, more)), Some((b, their_more))) = (take(ours), take(theirs)) {
            let length = ours.len() - more.len();
            if length > left {
                return a.cmp(b);
            }
            left -= length;
            (ours, theirs) = (more, their_more);
        }
        Ordering::Equal
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, label) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            if is_plain_name(label.name) {
                write!(f, "{}={:?}", label.name, label.value)?;
            } else {
                write!(f, "{:?}={:?}", label.name, label.value)?;
            }
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether a label name needs no quotes.
fn is_plain_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn encode(pairs: &[(&str, &str)]) -> Result<Labels, LabelError> {
    let mut text = String::with_capacity(pairs.iter().map(|(n, v)| n.len() + v.len() + 2).sum());
    for (name, value) in pairs {
        let longest = name.len().max(value.len());
        if longest > MAX_LEN {
            return Err(LabelError::TooLong(longest));
        }
        if name.is_empty() {
            return Err(LabelError::EmptyName((*value).to_owned()));
        }
        if !value.is_empty() {
            put(&mut text, name);
            put(&mut text, value);
        }
    }
    Ok(Labels(text.into()))
}

fn put(text: &mut String, part: &str) {
    let len = part.len();
    if len < usize::from(LONG) {
        text.push(char::from(len as u8));
    } else {
        text.push(char::from(LONG));
        for shift in [21, 14, 7, 0] {
            text.push(char::from((len >> shift) as u8 & 0x7f));
        }
    }
    text.push_str(part);
}

#[inline]
fn take(text: &str) -> Option<(&str, &str)> {
    let bytes = text.as_bytes();
    let first = *bytes.first()?;
    let (len, head) = if first < LONG {
        (usize::from(first), 1_usize)
    } else if first == LONG {
        let digits = bytes.get(1..5)?;
        let len = digits.iter().fold(0, |len, d| len << 7 | usize::from(d & 0x7f));
        (len, 5)
    } else {
        return None;
    };
    let end = head.checked_add(len)?;
    Some((text.get(head..end)?, text.get(end..)?))
}

/// How many bytes both begin with.
fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let words = a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0);
    let equal = words.take_while(|(a, b)| a == b).count() * 8;
    let rest = a.iter().zip(b).skip(equal);
    equal + rest.take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_drops_empty_values_and_refuses_doubles() {
        let labels = Labels::from_pairs([("b", "2"), ("a", "1"), ("c", "")]).unwrap();
        assert_eq!(labels.to_string(), r#"{a="1", b="2"}"#);
        assert_eq!(labels.get("b"), Some("2"));
        assert_eq!(
            Labels::from_pairs([("a", "1"), ("a", "2")]),
            Err(LabelError::Duplicate("a".into()))
        );
    }

    #[test]
    fn long_values_and_other_alphabets_come_back() {
        let long = "ä".repeat(100_000);
        let labels = Labels::from_pairs([("x", long.as_str()), ("ünï", "k")]).unwrap();
        assert_eq!(labels.get("x"), Some(long.as_str()));
        assert_eq!(Labels::from_encoded(labels.encoded()), Ok(labels));
    }

    #[test]
    fn damaged_layout_is_an_error() {
        for text in ["\u{3}ab", "\u{7f}\u{7f}\u{7f}\u{7f}\u{7f}", "\u{1}a", "ä"] {
            assert!(Labels::from_encoded(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn order_is_that_of_names_and_values_one_by_one() {
        let texts = ["a", "b", "ab", "abc", "é", "", &"x".repeat(130), &"x".repeat(131)];
        let mut seed = 1_u64;
        let mut draw = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
            (seed >> 33) as usize % below
        };
        let all: Vec<Labels> = (0..120)
            .map(|_| {
                let names = ["a", "aa", "b", "name"].into_iter().filter(|_| draw(3) > 0);
                let names: Vec<&str> = names.collect();
                Labels::from_pairs(names.into_iter().map(|n| (n, texts[draw(8)]))).unwrap()
            })
            .collect();
        for a in &all {
            for b in &all {
                assert_eq!(a.cmp(b), a.iter().cmp(b.iter()), "{a} {b}");
            }
        }
    }

    #[test]
    fn order_is_by_name_then_value() {
        let of = |pairs: &[(&'static str, &'static str)]| {
            Labels::from_pairs(pairs.iter().copied()).unwrap()
        };
        assert!(of(&[("a", "2")]) < of(&[("b", "1")]));
        assert!(of(&[("a", "1")]) < of(&[("a", "1"), ("b", "1")]));
        assert!(of(&[("a", "10")]) < of(&[("a", "2")]));
    }
}
