//! The way out: the samples of a selection, streamed in a format that others read.
//!
//! Metric by metric, in order of names, and of each metric series by series; so what is in memory is one
//! metric's list of series and one run of samples, however much is written.

pub mod command;
mod jsonl;
mod open_metrics;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::sync::Arc;

use ringwell_storage::model::{
    Labels, METRIC_NAME, MatchOp, Matcher, SampleBuf, TimeRange, Timestamp,
};
use ringwell_storage::read::{ReadError, Series, Snapshot};

/// A format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Text in seconds, as OpenMetrics 1.0 has it: floats only, without the markers that end a series
    #[value(name = "openmetrics")]
    OpenMetrics,
    /// A JSON object a line, which loses nothing (docs/format/jsonl.md)
    Jsonl,
}

impl Format {
    /// The format of a name.
    pub fn named(name: &str) -> Option<Format> {
        <Format as clap::ValueEnum>::from_str(name, false).ok()
    }

    /// What it is called on the wire.
    pub fn media(self) -> &'static str {
        match self {
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Jsonl => "application/jsonl",
        }
    }
}

/// Which samples.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Series that any of these accepts; all of them if there are none.
    pub selectors: Vec<Vec<Matcher>>,
    /// Both ends included.
    pub range: TimeRange,
}

/// What was written, and what a format left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Series of which a sample was written.
    pub series: u64,
    /// Samples written.
    pub samples: u64,
    /// Histogram samples left out.
    pub histograms: u64,
    /// Markers of the end of a series left out.
    pub stale: u64,
}

impl Written {
    /// Its counts and their names on the wire.
    pub fn places(&mut self) -> [(&'static str, &mut u64); 4] {
        [
            ("ringwell-series", &mut self.series),
            ("ringwell-samples", &mut self.samples),
            ("ringwell-left-out-histograms", &mut self.histograms),
            ("ringwell-left-out-stale-markers", &mut self.stale),
        ]
    }
}

/// Why an export ended early.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Nobody takes what is written.
    #[error("writing: {0}")]
    Write(#[from] io::Error),
}

/// Writes a selection.
pub fn write(
    snapshot: &dyn Snapshot,
    selection: &Selection,
    format: Format,
    out: &mut dyn Write,
) -> Result<Written, ExportError> {
    let mut written = Written::default();
    for name in names(snapshot, selection)? {
        for series in of_metric(snapshot, selection, &name)? {
            write_series(series.as_ref(), selection.range, format, out, &mut written)?;
        }
    }
    if format == Format::OpenMetrics {
        out.write_all(open_metrics::END)?;
    }
    out.flush()?;
    Ok(written)
}

fn names(snapshot: &dyn Snapshot, selection: &Selection) -> Result<BTreeSet<String>, ReadError> {
    let mut names = BTreeSet::new();
    for matchers in selection.each() {
        names.extend(snapshot.label_values(METRIC_NAME, matchers, selection.range)?);
    }
    Ok(names)
}

fn of_metric(
    snapshot: &dyn Snapshot,
    selection: &Selection,
    name: &str,
) -> Result<Vec<Arc<dyn Series>>, ReadError> {
    let mut found: BTreeMap<Labels, Arc<dyn Series>> = BTreeMap::new();
    let this = Matcher::new(MatchOp::Equal, METRIC_NAME, name)
        .expect("invariant: only an expression can fail to compile");
    for matchers in selection.each() {
        let mut matchers = matchers.to_vec();
        matchers.push(this.clone());
        let series = snapshot.select(&matchers, selection.range)?;
        found.extend(series.into_iter().map(|series| (series.labels().clone(), series)));
    }
    Ok(found.into_values().collect())
}

impl Selection {
    fn each(&self) -> impl Iterator<Item = &[Matcher]> {
        let all = self.selectors.is_empty().then_some(&[] as &[Matcher]);
        self.selectors.iter().map(Vec::as_slice).chain(all)
    }
}

fn write_series(
    series: &dyn Series,
    range: TimeRange,
    format: Format,
    out: &mut dyn Write,
    written: &mut Written,
) -> Result<(), ExportError> {
    let before = written.samples;
    let mut cursor = series.cursor(range)?;
    let (mut samples, mut text) = (SampleBuf::default(), String::new());
    let mut place = open_metrics::Place::of(series.labels());
    loop {
        let more = cursor.next(&mut samples)?;
        match format {
            Format::OpenMetrics => place.push(&mut text, &samples, written),
            Format::Jsonl => jsonl::push(&mut text, series.labels(), &samples, written),
        }
        out.write_all(text.as_bytes())?;
        text.clear();
        samples.clear();
        if !more {
            written.series += u64::from(written.samples > before);
            return Ok(());
        }
    }
}

/// All of time, or what lies between two ends that may be missing.
pub fn between(from: Option<Timestamp>, to: Option<Timestamp>) -> Option<TimeRange> {
    TimeRange::new(from.unwrap_or(Timestamp::MIN), to.unwrap_or(Timestamp::MAX))
}
