//! How long matchers take over many series: `cargo bench -p ringwell-storage --bench index`, with
//! `RINGWELL_SERIES` for another number than a million.

#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::time::Instant;

use ringwell_storage::index::Postings;
use ringwell_storage::model::{Labels, MatchOp, Matcher};

fn main() {
    let series: u32 =
        std::env::var("RINGWELL_SERIES").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let mut postings = Postings::default();
    let started = Instant::now();
    for i in 0..series {
        let (name, job) = (format!("metric_{}", i % 200), format!("job-{}", i % 37));
        let (pod, zone) = (format!("pod-{i}"), format!("z{}", i % 5));
        let pairs = [
            ("__name__", name.as_str()),
            ("job", job.as_str()),
            ("pod", pod.as_str()),
            ("zone", zone.as_str()),
        ];
        postings.add(i, &Labels::from_pairs(pairs).unwrap());
    }
    println!("{series} series entered in {:.2?}", started.elapsed());
    use MatchOp::{Equal, NotEqual, NotRegex, Regex};
    let cases: &[&[(MatchOp, &str, &str)]] = &[
        &[(Equal, "__name__", "metric_7")],
        &[(Equal, "__name__", "metric_7"), (Equal, "job", "job-3")],
        &[(Equal, "pod", "pod-77777")],
        &[(Equal, "__name__", "metric_7"), (Regex, "pod", "pod-.*7")],
        &[(Equal, "__name__", "metric_7"), (NotRegex, "pod", "pod-[1-4].*")],
        &[(Equal, "__name__", "metric_7"), (NotEqual, "zone", "z1")],
        &[(Regex, "__name__", "metric_1.*"), (Regex, "job", "job-(1|2).*")],
        &[(Regex, "pod", "pod-.*77")],
        &[(Regex, "zone", ".+")],
    ];
    for case in cases {
        let matchers: Vec<Matcher> = case
            .iter()
            .map(|(op, name, value)| Matcher::new(*op, *name, *value).unwrap())
            .collect();
        let mut best = f64::INFINITY;
        let mut found = 0;
        for _ in 0..5 {
            let started = Instant::now();
            found = postings.select(&matchers).len();
            best = best.min(started.elapsed().as_secs_f64() * 1e3);
        }
        println!("{best:9.3} ms  {found:>8} series  {case:?}");
    }
}
