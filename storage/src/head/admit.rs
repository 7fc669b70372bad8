//! What may come in: limits on labels and time, and what happens to a taken millisecond. Pure.

use crate::append::{Duplicates, Rejection};
use crate::model::{Labels, Sample, Timestamp, Value};

/// An element of a list may move this far to find a free millisecond.
const MAX_SHIFT: i64 = 999;

/// Limits at the door. Every one is a knob of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Labels of a series.
    pub labels: usize,
    /// Bytes of a label name.
    pub name_bytes: usize,
    /// Bytes of a label value.
    pub value_bytes: usize,
    /// Series with samples in the head.
    pub series: u64,
    /// Of those, series of one metric.
    pub metric_series: u64,
    /// Values that one label has on those.
    pub label_values: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            labels: 40,
            name_bytes: 1 << 10,
            value_bytes: 4 << 10,
            series: 10_000_000,
            metric_series: 10_000_000,
            label_values: 10_000_000,
        }
    }
}

/// The times that are taken now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) oldest: Option<Timestamp>,
    pub(crate) newest: Option<Timestamp>,
    pub(crate) now: Timestamp,
}

/// What becomes of a sample.
#[derive(Debug)]
pub(crate) enum Admission {
    /// It is logged and applied, at this time.
    Take(Timestamp),
    /// The same sample is there already.
    Known,
    /// It is refused.
    Refuse(Rejection),
}

impl Limits {
    /// Whether a new series may have these labels.
    pub(crate) fn check(&self, labels: &Labels) -> Result<(), Rejection> {
        let refuse = |limit, max: usize, offender: String| {
            Err(Rejection::LimitReached { limit, max: max as u64, offender })
        };
        let count = labels.len();
        if count > self.labels {
            let offender = format!("{} has {count} labels", shown(labels.metric_name()));
            return refuse("labels per series", self.labels, offender);
        }
        for label in labels.iter() {
            if label.name.len() > self.name_bytes {
                let offender = format!("name {} has {} bytes", shown(label.name), label.name.len());
                return refuse("label name bytes", self.name_bytes, offender);
            }
            if label.value.len() > self.value_bytes {
                let len = label.value.len();
                let offender = format!("value of {} has {len} bytes", shown(label.name));
                return refuse("label value bytes", self.value_bytes, offender);
            }
        }
        Ok(())
    }
}

impl Window {
    pub(crate) fn check(&self, t: Timestamp) -> Result<(), Rejection> {
        match (self.oldest, self.newest) {
            (Some(horizon), _) if t < horizon => Err(Rejection::TooOld { horizon }),
            (_, Some(newest)) if t > newest => Err(Rejection::TooNew {
                ahead: t.saturating_sub(self.now),
                limit: newest.saturating_sub(self.now),
            }),
            _ => Ok(()),
        }
    }
}

/// Decides on one sample whose time is not newer than all others; `at` tells what a time holds.
pub(crate) fn admit(
    sample: &Sample,
    duplicates: Duplicates,
    at: &dyn Fn(Timestamp) -> Option<Value>,
) -> Admission {
    let Some(old) = at(sample.t) else {
        return Admission::Take(sample.t);
    };
    match duplicates {
        Duplicates::NextFree => {
            let free = (1..=MAX_SHIFT).find_map(|shift| {
                let t = sample.t.checked_add(shift)?;
                at(t).is_none().then_some(t)
            });
            free.map_or(Admission::Refuse(Rejection::Duplicate), Admission::Take)
        }
        _ if old.same(&sample.value) => Admission::Known,
        Duplicates::Last => Admission::Take(sample.t),
        Duplicates::Reject => Admission::Refuse(Rejection::Duplicate),
    }
}

/// Where an element goes when all is taken up to `newest`; `None` if that is too far.
pub(crate) fn shifted(t: Timestamp, newest: Timestamp) -> Option<Timestamp> {
    let free = newest.checked_add(1)?;
    (free.saturating_sub(t) <= MAX_SHIFT).then_some(free)
}

/// The start of a text that may be very long.
fn shown(text: &str) -> String {
    const MOST: usize = 64;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}
