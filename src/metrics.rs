//! The node's own metrics: small values that parts count in, and families gathered on demand.
//!
//! There is no global state: a part owns its counters and registers a function that reads them.
//! The same gathered families become the text of `/metrics` and samples in the node's own store.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::number::push_value;

/// Counts up.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// What it counted.
    pub fn get(&self) -> f64 {
        self.0.load(Ordering::Relaxed) as f64
    }
}

/// Upper bounds of [`Timings`], in seconds.
const BOUNDS: [f64; 10] = [0.001, 0.0025, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0, 60.0];

/// How long things took, in a classic histogram.
#[derive(Debug, Default)]
pub struct Timings {
    buckets: [Counter; BOUNDS.len()],
    count: Counter,
    nanos: Counter,
}

impl Timings {
    /// Counts one.
    pub fn observe(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        if let Some(at) = BOUNDS.iter().position(|bound| seconds <= *bound)
            && let Some(bucket) = self.buckets.get(at)
        {
            bucket.add(1);
        }
        self.count.add(1);
        self.nanos.add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Adds its series to a family.
    pub fn gather(&self, family: &mut Family, labels: &[(&str, &str)]) {
        let mut below = 0.0;
        let mut bound_text = String::new();
        for (bucket, bound) in self.buckets.iter().zip(BOUNDS) {
            below += bucket.get();
            bound_text.clear();
            push_value(&mut bound_text, bound);
            let labels = [labels, &[("le", bound_text.as_str())]].concat();
            family.suffixed("_bucket", &labels, below);
        }
        let count = self.count.get().max(below);
        family.suffixed("_bucket", &[labels, &[("le", "+Inf")]].concat(), count);
        family.suffixed("_sum", labels, self.nanos.get() / 1e9);
        family.suffixed("_count", labels, count);
    }
}

/// What a family's values mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only goes up, but for restarts.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Buckets, sum and count.
    Histogram,
    /// Not known.
    Unknown,
}

impl Kind {
    /// As the text format and the API name it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::Unknown => "unknown",
        }
    }
}

/// All samples of one metric.
#[derive(Clone, Debug)]
pub struct Family {
    /// Its name.
    pub name: Cow<'static, str>,
    /// What it means.
    pub kind: Kind,
    /// In words.
    pub help: &'static str,
    /// The samples.
    pub samples: Vec<Point>,
}

/// One sample of a family.
#[derive(Clone, Debug)]
pub struct Point {
    /// What follows the family's name: empty, `_bucket`, `_sum` or `_count`.
    pub suffix: &'static str,
    /// Its labels.
    pub labels: Vec<(String, String)>,
    /// Its value.
    pub value: f64,
}

impl Family {
    /// Adds a sample.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: f64) {
        self.suffixed("", labels, value);
    }

    fn suffixed(&mut self, suffix: &'static str, labels: &[(&str, &str)], value: f64) {
        let labels = labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        self.samples.push(Point { suffix, labels, value });
    }
}

/// Families as they are collected.
#[derive(Clone, Debug, Default)]
pub struct Families(Vec<Family>);

impl Families {
    /// Begins a family.
    pub fn family(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        kind: Kind,
        help: &'static str,
    ) -> &mut Family {
        let name = name.into();
        let at = match self.0.iter().position(|family| family.name == name) {
            Some(at) => at,
            None => {
                self.0.push(Family { name, kind, help, samples: Vec::new() });
                self.0.len() - 1
            }
        };
        &mut self.0[at]
    }

    /// A family of one counter without labels.
    pub fn counter(&mut self, name: &'static str, help: &'static str, value: f64) {
        self.family(name, Kind::Counter, help).sample(&[], value);
    }

    /// A family of one gauge without labels.
    pub fn gauge(&mut self, name: &'static str, help: &'static str, value: f64) {
        self.family(name, Kind::Gauge, help).sample(&[], value);
    }

    /// Adds families gathered elsewhere.
    pub fn extend(&mut self, other: &Families) {
        self.0.extend(other.0.iter().cloned());
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Family> {
        self.0.iter()
    }

    /// The text format.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        for family in self.0.iter().filter(|family| !family.samples.is_empty()) {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "# HELP {} {}", family.name, escape_help(family.help));
            let _ = writeln!(out, "# TYPE {} {}", family.name, family.kind.name());
            for point in &family.samples {
                out.push_str(&family.name);
                out.push_str(point.suffix);
                push_labels(&mut out, &point.labels);
                out.push(' ');
                push_value(&mut out, point.value);
                out.push('\n');
            }
        }
        out
    }
}

fn push_labels(out: &mut String, labels: &[(String, String)]) {
    for (i, (name, value)) in labels.iter().enumerate() {
        out.push(if i == 0 { '{' } else { ',' });
        out.push_str(name);
        out.push_str("=\"");
        for c in value.chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                '"' => out.push_str("\\\""),
                '\n' => out.push_str("\\n"),
                c => out.push(c),
            }
        }
        out.push('"');
    }
    if !labels.is_empty() {
        out.push('}');
    }
}

fn escape_help(help: &str) -> String {
    help.replace('\\', "\\\\").replace('\n', "\\n")
}

type Source = Box<dyn Fn(&mut Families) + Send + Sync>;

/// The functions that read the parts' counters.
#[derive(Default)]
pub struct Registry(Mutex<Vec<Source>>);

impl Registry {
    /// Adds one.
    pub fn register(&self, source: impl Fn(&mut Families) + Send + Sync + 'static) {
        self.lock().push(Box::new(source));
    }

    /// Reads all parts.
    pub fn gather(&self) -> Families {
        let mut families = Families::default();
        for source in self.lock().iter() {
            source(&mut families);
        }
        families
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Source>> {
        // A source that panicked leaves the list as it was.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Registry({} sources)", self.lock().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_become_the_text_format() {
        let registry = Registry::default();
        let timings = Timings::default();
        timings.observe(Duration::from_millis(20));
        timings.observe(Duration::from_secs(100));
        registry.register(|out| out.counter("a_total", "Counts\nthings.", 3.0));
        registry.register(move |out| {
            timings.gather(out.family("t_seconds", Kind::Histogram, "Times."), &[("p", "a\"b")]);
        });
        let text = registry.gather().to_text();
        assert!(
            text.starts_with(
                "# HELP a_total Counts\\nthings.\n# TYPE a_total counter\na_total 3\n"
            )
        );
        assert!(text.contains("t_seconds_bucket{p=\"a\\\"b\",le=\"0.01\"} 0\n"));
        assert!(text.contains("t_seconds_bucket{p=\"a\\\"b\",le=\"0.025\"} 1\n"));
        assert!(text.ends_with(
            "le=\"+Inf\"} 2\nt_seconds_sum{p=\"a\\\"b\"} 100.02\nt_seconds_count{p=\"a\\\"b\"} 2\n"
        ));
    }
}
