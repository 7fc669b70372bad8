//! Warnings and infos of a query, each with the place it speaks of; equal ones are merged.

use std::collections::{BTreeMap, BTreeSet};

use crate::func::time::rfc3339;
use crate::parse::{Span, place};
use crate::value::{format_general, format_two_digits};

/// Collected on the way.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    warnings: BTreeSet<(String, usize)>,
    infos: BTreeSet<(String, usize)>,
    /// By text and place: all that was forced there, how often, and when last.
    forced: BTreeMap<(String, usize), (Forced, u64, i64)>,
}

/// Classic buckets that had to be made monotonic.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Forced {
    pub(crate) t: i64,
    pub(crate) lowest: f64,
    pub(crate) highest: f64,
    pub(crate) max_diff: f64,
}

impl Notes {
    pub(crate) fn warn(&mut self, span: Span, text: impl AsRef<str>) {
        self.warnings.insert((format!("PromQL warning: {}", text.as_ref()), span.start));
    }

    pub(crate) fn info(&mut self, span: Span, text: impl AsRef<str>) {
        self.infos.insert((format!("PromQL info: {}", text.as_ref()), span.start));
    }

    pub(crate) fn forced_monotonic(&mut self, span: Span, metric: &str, forced: Forced) {
        let text = named(
            "input to histogram_quantile needed to be fixed for monotonicity (see \
             https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)",
            metric,
        );
        let entry = self.forced.entry((text, span.start));
        let (entry, count, last) = entry.or_insert((forced, 0, forced.t));
        *count += 1;
        *last = forced.t.max(*last);
        entry.t = entry.t.min(forced.t);
        entry.lowest = entry.lowest.min(forced.lowest);
        entry.highest = entry.highest.max(forced.highest);
        entry.max_diff = entry.max_diff.max(forced.max_diff);
    }

    /// The finished texts: warnings, then infos.
    pub(crate) fn texts(&self, query: &str) -> (Vec<String>, Vec<String>) {
        let with_place = |(text, at): &(String, usize)| format!("{text} ({})", place(query, *at));
        let warnings = self.warnings.iter().map(with_place).collect();
        let mut infos: Vec<String> = self.infos.iter().map(with_place).collect();
        infos.extend(self.forced.iter().map(|((text, at), (forced, count, last))| {
            format!(
                "PromQL info: {text}, from buckets {} to {}, with a max diff of {}, over {count} \
                 samples from {} to {} ({})",
                format_general(forced.lowest),
                format_general(forced.highest),
                format_two_digits(forced.max_diff),
                rfc3339(forced.t),
                rfc3339(*last),
                place(query, *at)
            )
        }));
        (warnings, infos)
    }
}

/// A text with the metric's name behind it, if there is one.
pub(crate) fn named(text: &str, metric: &str) -> String {
    if metric.is_empty() { text.to_owned() } else { format!("{text} for metric name {metric:?}") }
}
