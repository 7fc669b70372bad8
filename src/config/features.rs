//! Feature switches, named as Prometheus names them.
//!
//! What changes no answer of plain PromQL is always on; two switches are left that do. Every other
//! name of Prometheus's is taken, so that its command lines can be kept, and answered in the log.

use super::raw::nearest;
use super::units::list;

/// What is switched on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// `promql-delayed-name-removal`.
    pub delayed_name_removal: bool,
    /// `use-start-timestamps`.
    pub start_timestamps: bool,
    /// Names that change nothing here, and why.
    pub idle: Vec<(String, &'static str)>,
}

const SWITCHES: [&str; 2] = ["promql-delayed-name-removal", "use-start-timestamps"];

/// Names of what is always on.
const ALWAYS: &[&str] = &[
    "auto-gomaxprocs",
    "auto-gomemlimit",
    "concurrent-rule-eval",
    "native-histograms",
    "promql-at-modifier",
    "promql-binop-fill-modifiers",
    "promql-duration-expr",
    "promql-experimental-functions",
    "promql-extended-range-selectors",
    "promql-negative-offset",
    "promql-per-step-stats",
    "remote-write-receiver",
    "st-storage",
    "utf8-names",
];

/// Names of what Ringwell has no counterpart of.
const NOT_HERE: &[&str] = &[
    "agent",
    "auto-reload-config",
    "created-timestamp-zero-ingestion",
    "delayed-compaction",
    "exemplar-storage",
    "expand-external-labels",
    "extra-scrape-metrics",
    "memory-snapshot-on-shutdown",
    "metadata-wal-records",
    "new-service-discovery-manager",
    "no-default-scrape-port",
    "old-ui",
    "otlp-deltatocumulative",
    "otlp-native-delta-ingestion",
    "otlp-write-receiver",
    "search-api",
    "type-and-unit-labels",
    "use-uncached-io",
    "xor2-encoding",
];

impl Features {
    /// From names separated by commas.
    pub(super) fn mean(text: &str) -> Result<Features, String> {
        let mut features = Features::default();
        for name in list(text) {
            match name.as_str() {
                "promql-delayed-name-removal" => features.delayed_name_removal = true,
                "use-start-timestamps" => features.start_timestamps = true,
                name if ALWAYS.contains(&name) => {
                    features.idle.push((name.to_owned(), "it is always on"));
                }
                name if NOT_HERE.contains(&name) => {
                    features.idle.push((name.to_owned(), "Ringwell has no such feature"));
                }
                name => return Err(unknown(name)),
            }
        }
        Ok(features)
    }
}

fn unknown(name: &str) -> String {
    let known = SWITCHES.iter().chain(ALWAYS).chain(NOT_HERE).map(|name| (*name).to_owned());
    match nearest(name, known) {
        Some(near) => format!("there is no feature {name:?}; did you mean {near:?}?"),
        None => format!("there is no feature {name:?}; there are {}", SWITCHES.join(" and ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_switch_are_idle_or_are_refused() {
        let on = Features::mean("use-start-timestamps, promql-delayed-name-removal").unwrap();
        assert!(on.delayed_name_removal && on.start_timestamps && on.idle.is_empty());
        assert_eq!(Features::mean("").unwrap(), Features::default());
        let idle = Features::mean("promql-duration-expr,old-ui").unwrap().idle;
        assert_eq!(idle[0], ("promql-duration-expr".to_owned(), "it is always on"));
        assert_eq!(idle[1], ("old-ui".to_owned(), "Ringwell has no such feature"));
        for (name, hint) in [
            ("promql-delayed-name-remove", "did you mean \"promql-delayed-name-removal\"?"),
            ("zzz", "there are promql-delayed-name-removal and use-start-timestamps"),
        ] {
            let error = Features::mean(name).unwrap_err();
            assert!(error.contains(hint), "{error}");
        }
    }
}
