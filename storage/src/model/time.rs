//! Time as the storage sees it: milliseconds since 1970, negative before.

/// Milliseconds since the Unix epoch. A finer input time is floored.
pub type Timestamp = i64;

/// A closed interval of time, `start <= end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeRange {
    start: Timestamp,
    end: Timestamp,
}

impl TimeRange {
    /// All of time.
    pub const ALL: TimeRange = TimeRange { start: i64::MIN, end: i64::MAX };

    /// The range from `start` to `end`, both included; `None` if it would be inverted.
    pub fn new(start: Timestamp, end: Timestamp) -> Option<TimeRange> {
        (start <= end).then_some(TimeRange { start, end })
    }

    /// First millisecond.
    pub fn start(self) -> Timestamp {
        self.start
    }

    /// Last millisecond, included.
    pub fn end(self) -> Timestamp {
        self.end
    }

    /// Whether `t` lies inside.
    pub fn contains(self, t: Timestamp) -> bool {
        self.start <= t && t <= self.end
    }

    /// Whether the two share a millisecond.
    pub fn overlaps(self, other: TimeRange) -> bool {
        self.start <= other.end && other.start <= self.end
    }

    /// The smallest range that holds both.
    pub fn union(self, other: TimeRange) -> TimeRange {
        TimeRange { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// What both share.
    pub fn intersect(self, other: TimeRange) -> Option<TimeRange> {
        TimeRange::new(self.start.max(other.start), self.end.min(other.end))
    }
}
