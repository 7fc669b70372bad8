//! Deletions that blocks do not carry out yet: what they hide from readers until the next compaction
//! leaves it out.

use super::Meta;
use crate::model::{Labels, MatchOp, Matcher, TimeRange, Timestamp, WalPosition};
use crate::wire::{FormatError, Reader, put_prefixed, put_varint, put_zigzag};

/// One deletion: samples of the series all matchers accept, in a time range, that were logged before
/// `position`.
#[derive(Clone, Debug, PartialEq)]
pub struct Tombstone {
    /// Where the deletion stands in the log.
    pub position: WalPosition,
    /// Which samples.
    pub what: Deletion,
}

/// What is to be deleted.
#[derive(Clone, Debug, PartialEq)]
pub struct Deletion {
    /// Which series.
    pub matchers: Vec<Matcher>,
    /// Which of their samples.
    pub range: TimeRange,
    /// Whether the series leave the head too.
    pub forget: bool,
}

impl Deletion {
    /// Whether it means a series.
    pub(crate) fn means(&self, labels: &Labels) -> bool {
        self.matchers.iter().all(|m| m.matches(labels.get(m.name()).unwrap_or("")))
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.forget));
        put_zigzag(out, self.range.start());
        put_zigzag(out, self.range.end());
        put_varint(out, self.matchers.len() as u64);
        for matcher in &self.matchers {
            out.push(match matcher.op() {
                MatchOp::Equal => 0,
                MatchOp::NotEqual => 1,
                MatchOp::Regex => 2,
                MatchOp::NotRegex => 3,
            });
            put_prefixed(out, matcher.name().as_bytes());
            put_prefixed(out, matcher.value().as_bytes());
        }
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Deletion, FormatError> {
        let forget = reader.u8()? != 0;
        let range = TimeRange::new(reader.zigzag()?, reader.zigzag()?);
        let range = range.ok_or_else(|| reader.error("a range that ends before it begins"))?;
        let mut matchers = Vec::new();
        for _ in 0..reader.count(3)? {
            let op = match reader.u8()? {
                0 => MatchOp::Equal,
                1 => MatchOp::NotEqual,
                2 => MatchOp::Regex,
                3 => MatchOp::NotRegex,
                _ => return Err(reader.error("unknown matcher")),
            };
            let (name, value) = (reader.text()?, reader.text()?);
            let matcher = Matcher::new(op, name, value);
            matchers.push(matcher.map_err(|_| reader.error("a matcher does not compile"))?);
        }
        Ok(Deletion { matchers, range, forget })
    }
}

impl Tombstone {
    /// Whether it hides anything a block of this meta could hold.
    pub(crate) fn applies(&self, block: &Meta) -> bool {
        let overlaps =
            block.min_t <= self.what.range.end() && self.what.range.start() <= block.max_t;
        block.position <= self.position.0 && block.cleaned < self.position.0 && overlaps
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.position.0);
        self.what.encode(out);
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Tombstone, FormatError> {
        let position = WalPosition(reader.varint()?);
        Ok(Tombstone { position, what: Deletion::decode(reader)? })
    }
}

/// Time ranges of a series that are hidden in one block.
#[derive(Clone, Debug, Default)]
pub(crate) struct Masks(Vec<TimeRange>);

impl Masks {
    /// What `tombstones` hide of a series in a block.
    pub(crate) fn of(tombstones: &[Tombstone], block: &Meta, labels: &Labels) -> Masks {
        let hiding = tombstones.iter().filter(|t| t.applies(block) && t.what.means(labels));
        Masks(hiding.map(|t| t.what.range).collect())
    }

    /// Hides all samples before a time, too.
    pub(crate) fn hide_before(&mut self, before: Timestamp) {
        self.0.extend(TimeRange::new(Timestamp::MIN, before.saturating_sub(1)));
    }

    /// Whether one range hides all of this stretch.
    pub(crate) fn cover(&self, min_t: Timestamp, max_t: Timestamp) -> bool {
        self.0.iter().any(|m| m.start() <= min_t && max_t <= m.end())
    }

    /// Whether any of this stretch may be hidden.
    pub(crate) fn touch(&self, min_t: Timestamp, max_t: Timestamp) -> bool {
        self.0.iter().any(|m| m.start() <= max_t && min_t <= m.end())
    }

    /// Whether the sample at `t` is hidden.
    pub(crate) fn hide(&self, t: Timestamp) -> bool {
        self.0.iter().any(|m| m.contains(t))
    }
}
