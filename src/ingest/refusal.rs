//! What was refused, counted by reason and told in one line.

use std::fmt;

use ringwell_storage::append::{Batch, Rejected, Rejection, SeriesRef};

use crate::metrics::{Counter, Families, Kind};

/// The reasons as labels of the counter.
const REASONS: [&str; 6] =
    ["duplicate", "too_old", "too_new", "limit", "invalid_labels", "invalid_histogram"];

fn index(reason: &Rejection) -> usize {
    match reason {
        Rejection::Duplicate => 0,
        Rejection::TooOld { .. } => 1,
        Rejection::TooNew { .. } => 2,
        Rejection::LimitReached { .. } => 3,
        Rejection::Labels(_) => 4,
        Rejection::Histogram(_) => 5,
    }
}

/// Refused samples by reason.
#[derive(Debug, Default)]
pub(super) struct Counters([Counter; REASONS.len()]);

impl Counters {
    pub(super) fn count(&self, batch: &Batch<'_>, refused: &[Rejected]) {
        for one in refused {
            if let Some(counter) = self.0.get(index(&one.reason)) {
                counter.add(samples(batch, one));
            }
        }
    }

    pub(super) fn gather(&self, out: &mut Families, source: &str) {
        let help = "Samples refused, by reason.";
        let family = out.family("ringwell_ingest_rejected_samples_total", Kind::Counter, help);
        for (counter, reason) in self.0.iter().zip(REASONS) {
            family.sample(&[("source", source), ("reason", reason)], counter.get());
        }
    }
}

/// How many samples a refusal is about.
fn samples(batch: &Batch<'_>, refused: &Rejected) -> u64 {
    match refused.sample {
        Some(_) => 1,
        None => batch.series.get(refused.series).map_or(1, |s| s.samples.len() as u64),
    }
}

/// The refusals of one request, as a sender reads them: the first one in full, then how many.
#[derive(Debug)]
pub struct Refusals {
    first: String,
    refused: u64,
    sent: u64,
    only_limits: bool,
}

impl Refusals {
    /// `None` if nothing was refused.
    pub fn of(batch: &Batch<'_>, refused: &[Rejected]) -> Option<Refusals> {
        let first = refused.first()?;
        Some(Refusals {
            first: describe(batch, first),
            refused: refused.iter().map(|one| samples(batch, one)).sum(),
            sent: batch.series.iter().map(|s| s.samples.len() as u64).sum(),
            only_limits: refused
                .iter()
                .all(|one| matches!(one.reason, Rejection::LimitReached { .. })),
        })
    }

    /// Whether only limits stood in the way, so that the same may be taken later.
    pub fn only_limits(&self) -> bool {
        self.only_limits
    }
}

impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ({} of {} samples refused, the rest is kept)",
            self.first, self.refused, self.sent
        )
    }
}

/// Reason, series, and the sample's time.
fn describe(batch: &Batch<'_>, refused: &Rejected) -> String {
    let Some(series) = batch.series.get(refused.series) else { return refused.reason.to_string() };
    let name = match &series.series {
        SeriesRef::Labels(labels) => Some(labels.clone()),
        SeriesRef::Raw { bytes, parse } => parse(bytes).ok(),
    };
    let mut text = refused.reason.to_string();
    if let Some(labels) = name {
        text.push_str(&format!(": series {labels}"));
    }
    if let Some(sample) = refused.sample.and_then(|at| series.samples.get(at)) {
        text.push_str(&format!(" at {}", sample.t));
    }
    text
}
