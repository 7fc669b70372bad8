//! Series that a mirror pushes to a real Redis as keys: exactly the lists and hashes that agents push, through cuts,
//! kills and a target that comes back from an old RDB file.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::follow::{Direction, Draw, Link, Server, number, valkey};
use crate::mirror::{metric, node_with};
use crate::node::{Node, Options};
use crate::oracle::{Connection, Reply};
use crate::wire::{HEADERS, Histogram, TimeSeries, body, now, series};

const DAY: i64 = 86_400_000;
const STALE: u64 = 0x7ff0_0000_0000_0002;

/// A node that pushes series by these rules.
fn pushing(dir: &Path, address: &str, rules: &str) -> Options {
    node_with(dir, &format!("url = \"redis://{address}\"\n{rules}"))
}

fn write(node: &Node, all: Vec<TimeSeries>) {
    let answer = node.post("/api/v1/write", &HEADERS, &body(all));
    assert_eq!(answer.status, 204, "{}", answer.text());
}

fn texts(address: &str, words: &[&str]) -> Vec<String> {
    let Reply::Nested(_, parts) = Connection::open(address).call(words) else {
        panic!("{words:?}")
    };
    let text = |part| match part {
        // It is shown with escapes.
        Reply::Bulk(text) => {
            text.strip_prefix('$').unwrap().replace("\\\"", "\"").replace("\\\\", "\\")
        }
        other => panic!("{other:?}"),
    };
    parts.into_iter().map(text).collect()
}

fn list(address: &str, key: &str) -> Vec<String> {
    texts(address, &["LRANGE", key, "0", "-1"])
}

fn hash(address: &str, key: &str) -> BTreeMap<String, String> {
    let all = texts(address, &["HGETALL", key]);
    all.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
}

fn integer(address: &str, words: &[&str]) -> i64 {
    match Connection::open(address).call(words) {
        Reply::Line(_, text) => text.parse().unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Waits until the target has all that was written before.
fn caught_up(node: &Node) {
    // What is not synced is not pushed; this waits for the sync.
    node.wait_for("the log to be looked at", |node| {
        let all = metric(node, "ringwell_mirror_series_lag_bytes") == 0.0
            && metric(node, "ringwell_mirror_lag_bytes") == 0.0
            && metric(node, "ringwell_mirror_up") == 1.0;
        all.then_some(())
    });
}

fn ends_as<T: PartialEq + std::fmt::Debug>(node: &Node, wanted: &T, mut found: impl FnMut() -> T) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let found = found();
        if found == *wanted {
            return;
        }
        if std::time::Instant::now() > deadline {
            let differ = "what is there is not what is wanted";
            let metrics = node.get("/metrics").text();
            let metrics: Vec<&str> =
                metrics.lines().filter(|line| line.starts_with("ringwell_mirror")).collect();
            panic!("{differ}\n{found:?}\n{wanted:?}\n{metrics:#?}\n{}", node.log());
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

fn iso(t: i64) -> String {
    let moment = jiff::Timestamp::from_millisecond(t).unwrap();
    moment.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

const RULES: &str = r#"
[[mirror.redis.series]]
match = 'util{job="dcgm"}'
as = "list"
key = "metrics:gpu:{gpu}:utilization"
max_len = 3
ttl = "1d"

[[mirror.redis.series]]
match = '{__name__=~"util|power",job="dcgm"}'
as = "hash"
key = "metrics:gpu:{gpu}:now"
fields = { util = "utilization", power = "power_{unit}" }
ttl = "1d"

[[mirror.redis.series]]
match = '{__name__=~"training_.+|tasks_.+|alerts_.+",source="other"}'
as = "keymap"

[[mirror.redis.series]]
match = 'plain'
as = "list"
key = "plain:{host}"
field = "{__name__}"
labels = "zone"
time = "ms"
"#;

fn dcgm(name: &str, gpu: &str, samples: &[(i64, f64)]) -> TimeSeries {
    series(&[("__name__", name), ("gpu", gpu), ("job", "dcgm"), ("unit", "watts")], samples)
}

#[test]
fn series_become_the_lists_and_hashes_that_agents_push() {
    let Some(target) = Server::start(Path::new("redis-server"), &[]) else { return };
    let at = target.address();
    let dir = tempfile::tempdir().unwrap();
    let mut node = pushing(dir.path(), &at, RULES).start();
    let t = now() / 1000 * 1000 - 60_000;
    write(
        &node,
        vec![
            dcgm("util", "0", &[(t, 87.0), (t + 1, 87.5), (t + 2, 0.1 + 0.2), (t + 3, 1e-7)]),
            dcgm("util", "1", &[(t, 40.0)]),
            dcgm("power", "0", &[(t, 300.25)]),
            series(&[("__name__", "util"), ("gpu", "0"), ("job", "other")], &[(t, 1.0)]),
            series(&[("__name__", "util"), ("job", "dcgm")], &[(t, 1.0)]),
        ],
    );
    let element = |t: i64, value: &str| format!(r#"{{"value":{value},"timestamp":"{}"}}"#, iso(t));
    let wanted =
        vec![element(t + 3, "1e-7"), element(t + 2, "0.30000000000000004"), element(t + 1, "87.5")];
    ends_as(&node, &wanted, || list(&at, "metrics:gpu:0:utilization"));
    ends_as(&node, &vec![element(t, "40")], || list(&at, "metrics:gpu:1:utilization"));
    let fields = |all: &[(&str, &str)]| -> BTreeMap<String, String> {
        all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let current = [("utilization", "1e-7"), ("power_watts", "300.25")];
    ends_as(&node, &fields(&current), || hash(&at, "metrics:gpu:0:now"));
    assert_eq!(integer(&at, &["PEXPIRETIME", "metrics:gpu:0:utilization"]), t + 3 + DAY);
    assert_eq!(integer(&at, &["PEXPIRETIME", "metrics:gpu:0:now"]), t + 3 + DAY);
    assert_eq!(integer(&at, &["EXISTS", "metrics:gpu::utilization"]), 0);

    // A node that was killed goes on where it was.
    caught_up(&node);
    node.kill();
    node.restart();
    write(&node, vec![dcgm("util", "1", &[(t + 1, 40.25)])]);
    let wanted = vec![element(t + 1, "40.25"), element(t, "40")];
    ends_as(&node, &wanted, || list(&at, "metrics:gpu:1:utilization"));
    for name in ["series_whole_keys_total", "rebuilds_total"] {
        assert_eq!(metric(&node, &format!("ringwell_mirror_{name}")), 0.0, "{name}");
    }

    // What comes late, ends, or is no number.
    let stale = f64::from_bits(STALE);
    write(
        &node,
        vec![
            dcgm("util", "1", &[(t - 5, 39.0), (t + 9, 41.0)]),
            dcgm("power", "0", &[(t + 9, f64::NAN)]),
        ],
    );
    write(
        &node,
        vec![
            dcgm("util", "1", &[(t + 4, 40.5), (t - 7, 38.0)]),
            dcgm("util", "0", &[(t + 9, stale)]),
        ],
    );
    let wanted = vec![element(t + 9, "41"), element(t + 4, "40.5"), element(t + 1, "40.25")];
    ends_as(&node, &wanted, || list(&at, "metrics:gpu:1:utilization"));
    ends_as(&node, &BTreeMap::new(), || hash(&at, "metrics:gpu:0:now"));
    assert_eq!(list(&at, "metrics:gpu:0:utilization").len(), 3, "a stale marker ends no list");

    // The shapes of the agents, spelled as they spell them.
    let other = |name: &str, labels: &[(&str, &str)], samples: &[(i64, f64)]| {
        let mut all = vec![("__name__", name)];
        all.extend(labels);
        all.push(("source", "other"));
        series(&all, samples)
    };
    let (run, agent) = (&[("project", "asr"), ("run", "1")][..], &[("agent", "a \"1\"")][..]);
    write(
        &node,
        vec![
            other("training_loss", run, &[(t, 0.5), (t + 1000, 0.25)]),
            other("tasks_completion_duration_seconds", agent, &[(t, 12.5)]),
            other("tasks_completion_duration_seconds", &[("agent", "b")], &[(t, 3.0)]),
            other("alerts_last_fired_timestamp_seconds", &[("alertname", "hot")], &[(t, 1.5)]),
            series(&[("__name__", "plain"), ("host", "h"), ("zone", "z")], &[(t, 7.0)]),
        ],
    );
    // The step comes by itself, and is a member of the same element.
    write(&node, vec![other("training_loss_step", run, &[(t, 100.0), (t + 1000, 200.0)])]);
    let step = |t: i64, step: i64, value: &str| {
        format!(r#"{{"step":{step},"value":{value},"timestamp":"{}"}}"#, iso(t))
    };
    let wanted = vec![step(t + 1000, 200, "0.25"), step(t, 100, "0.5")];
    ends_as(&node, &wanted, || list(&at, "metrics:training:asr:loss"));
    let wanted = vec![
        format!(r#"{{"agent":"b","duration":3,"timestamp":"{}"}}"#, iso(t)),
        format!(r#"{{"agent":"a \"1\"","duration":12.5,"timestamp":"{}"}}"#, iso(t)),
    ];
    ends_as(&node, &wanted, || list(&at, "metrics:tasks:completion_times"));
    ends_as(&node, &fields(&[("hot", "1500")]), || hash(&at, "metrics:alerts:state"));
    let wanted = vec![format!(r#"{{"zone":"z","plain":7,"timestamp":{t}}}"#)];
    ends_as(&node, &wanted, || list(&at, "plain:h"));
    assert_eq!(integer(&at, &["PTTL", "plain:h"]), -1);
    let mut histogram = series(&[("__name__", "plain"), ("host", "h"), ("zone", "z")], &[]);
    histogram.histograms.push(Histogram {
        count: Some(0),
        zero: Some(0),
        t: t + 5,
        ..Histogram::default()
    });
    write(&node, vec![histogram]);
    let skipped = |node: &Node, why: &str| {
        let name =
            format!(r#"ringwell_mirror_series_skipped_total{{mirror="test",reason="{why}"}}"#);
        let text = node.get("/metrics").text();
        let line = text.lines().find_map(|line| line.strip_prefix(&name)).unwrap();
        line.trim().parse::<f64>().unwrap()
    };
    node.wait_for("a histogram to be left out", |node| {
        (skipped(node, "histogram") == 1.0).then_some(())
    });
    assert_eq!(skipped(&node, "not_finite"), 1.0);
    assert_eq!(list(&at, "plain:h"), wanted);

    // Nothing of it is foreign to who compares, and a rebuild leaves it.
    let verified = verify(&node);
    assert_eq!(
        (verified["different"].as_u64(), verified["unsettled"].as_u64()),
        (Some(0), Some(0))
    );
    let all = crate::follow::contents_of(&at, 0, |expires| expires);
    let ours = |all: BTreeMap<String, String>| {
        all.into_iter().filter(|(key, _)| !key.starts_with("ringwell:")).collect::<Vec<_>>()
    };
    let (wanted, rebuilds) = (ours(all), metric(&node, "ringwell_mirror_rebuilds_total"));
    Connection::open(&node.redis).call(&["FLUSHALL"]);
    node.wait_for("a rebuild", |node| {
        (metric(node, "ringwell_mirror_rebuilds_total") > rebuilds).then_some(())
    });
    let found = || ours(crate::follow::contents_of(&at, 0, |expires| expires));
    ends_as(&node, &wanted, found);
    // Without its rules the keys go.
    node.stop();
    std::fs::write(
        dir.path().join("ringwell.toml"),
        format!("[[mirror.redis]]\nname = \"test\"\nurl = \"redis://{at}\"\n"),
    )
    .unwrap();
    node.restart();
    ends_as(&node, &Vec::new(), found);
}

/// Compares all keys of the mirror; how that ended.
fn verify(node: &Node) -> Value {
    node.post("/api/v1/mirrors/verify?name=test", &[], b"");
    node.wait_for("all to be compared", |node| {
        let all: Value = serde_json::from_str(&node.get("/api/v1/mirrors").text()).unwrap();
        let told = all["data"][0]["verification"].clone();
        (told["running"] == json!(false)).then_some(told)
    })
}

/// Series made of keys are pushed as those keys, and where a key of the node's own has the name the node's stands.
#[test]
fn keys_of_the_node_stand_over_series() {
    let Some(target) = Server::start(Path::new("redis-server"), &[]) else { return };
    let at = target.address();
    let dir = tempfile::tempdir().unwrap();
    let rules = r#"
[[mirror.redis.series]]
match = '{__name__=~"gpu_utilization_percent|gpu_current_.+|x"}'
as = "list"
key = "copy:{__name__}"

[[mirror.redis.series]]
match = 'gpu_temperature_celsius'
as = "keymap"
"#;
    let node = pushing(dir.path(), &at, rules).start();
    let mut keys = Connection::open(&node.redis);
    keys.call(&[
        "LPUSH",
        "metrics:gpu:utilization",
        r#"{"value":5,"timestamp":"2026-01-01T00:00:00Z"}"#,
    ]);
    keys.call(&["HSET", "metrics:gpu:current", "utilization_percent", "5"]);
    keys.call(&["RPUSH", "metrics:gpu:1:temperature", "mine"]);
    let t = now() - 60_000;
    let temperature = |gpu: &str, t: i64, v: f64| {
        series(&[("__name__", "gpu_temperature_celsius"), ("gpu", gpu)], &[(t, v)])
    };
    write(
        &node,
        vec![
            series(&[("__name__", "x")], &[(t, 1.0)]),
            temperature("0", t, 60.0),
            temperature("1", t, 61.0),
        ],
    );
    let element = |t: i64, v: &str| format!(r#"{{"value":{v},"timestamp":"{}"}}"#, iso(t));
    ends_as(&node, &vec![element(t, "1")], || list(&at, "copy:x"));
    ends_as(&node, &vec![element(t, "60")], || list(&at, "metrics:gpu:0:temperature"));
    caught_up(&node);
    for key in ["copy:gpu_utilization_percent", "copy:gpu_current_utilization_percent"] {
        assert_eq!(integer(&at, &["EXISTS", key]), 0, "{key}");
    }
    assert_eq!(list(&at, "metrics:gpu:1:temperature"), ["mine"]);
    node.wait_for("a key that is the node's to be named", |node| {
        (metric(node, "ringwell_mirror_series_taken_keys") == 1.0).then_some(())
    });
    let told = node.get("/api/v1/mirrors").text();
    assert!(told.contains("metrics:gpu:1:temperature"), "{told}");

    // The node gets a key where series made one; then it goes, and the series are there again.
    keys.call(&["RPUSH", "metrics:gpu:0:temperature", "a", "b"]);
    ends_as(&node, &vec!["a".to_owned(), "b".to_owned()], || {
        list(&at, "metrics:gpu:0:temperature")
    });
    write(&node, vec![temperature("0", t + 1, 62.0)]);
    caught_up(&node);
    assert_eq!(list(&at, "metrics:gpu:0:temperature"), ["a", "b"]);
    keys.call(&["DEL", "metrics:gpu:0:temperature"]);
    keys.call(&["DEL", "metrics:gpu:1:temperature"]);
    write(&node, vec![temperature("0", t + 2, 63.0), temperature("1", t + 2, 64.0)]);
    let wanted = vec![element(t + 2, "63"), element(t + 1, "62"), element(t, "60")];
    ends_as(&node, &wanted, || list(&at, "metrics:gpu:0:temperature"));
    let wanted = vec![element(t + 2, "64"), element(t, "61")];
    ends_as(&node, &wanted, || list(&at, "metrics:gpu:1:temperature"));
    assert_eq!(verify(&node)["different"], json!(0));
    assert_eq!(metric(&node, "ringwell_mirror_mismatched_keys_total"), 0.0);
}

/// A key that the mirror's user may not touch keeps no other from being pushed, whether the series is there at first or
/// comes later; nor does one that somebody else makes another thing of.
#[test]
fn keys_that_the_target_refuses_are_named() {
    let Some(target) = Server::start(Path::new("redis-server"), &[]) else { return };
    let at = target.address();
    let mut other = Connection::open(&at);
    let user = "ACL SETUSER m on >pw ~ringwell:* ~own:* +@all";
    other.call(&user.split(' ').collect::<Vec<_>>());
    let dir = tempfile::tempdir().unwrap();
    let rules =
        "[[mirror.redis.series]]\nmatch = 'x'\nas = \"list\"\nkey = \"{a}\"\ntime = \"ms\"\n";
    let node = pushing(dir.path(), &format!("m:pw@{at}"), rules).start();
    let t = now() - 60_000;
    let x = |key: &str, t: i64| series(&[("__name__", "x"), ("a", key)], &[(t, 1.0)]);
    let element = |t: i64| format!(r#"{{"value":1,"timestamp":{t}}}"#);
    write(&node, vec![x("own:1", t), x("other:1", t)]);
    ends_as(&node, &vec![element(t)], || list(&at, "own:1"));
    write(&node, vec![x("own:2", t), x("other:2", t)]);
    ends_as(&node, &vec![element(t)], || list(&at, "own:2"));
    node.wait_for("two keys to be named", |node| {
        (metric(node, "ringwell_mirror_series_taken_keys") == 2.0).then_some(())
    });
    // Somebody's hand.
    other.call(&["DEL", "own:1"]);
    other.call(&["SET", "own:1", "mine"]);
    write(&node, vec![x("own:1", t + 1), x("own:2", t + 1)]);
    ends_as(&node, &vec![element(t + 1), element(t)], || list(&at, "own:2"));
    node.wait_for("a third key to be named", |node| {
        (metric(node, "ringwell_mirror_series_taken_keys") == 3.0).then_some(())
    });
    assert_eq!(format!("{:?}", other.call(&["GET", "own:1"])), "Bulk(\"$mine\")");
    assert_eq!(metric(&node, "ringwell_mirror_dead_keys"), 0.0);
    assert_eq!(metric(&node, "ringwell_mirror_stopped"), 0.0);
}

/// What is deleted goes from the lists too; a key that expired begins anew; elements that come much too late find
/// their place.
#[test]
fn keys_of_series_follow_deletions_and_expire() {
    let Some(target) = Server::start(Path::new("redis-server"), &[]) else { return };
    let at = target.address();
    let dir = tempfile::tempdir().unwrap();
    let rules = r#"
[[mirror.redis.series]]
match = 'long'
as = "list"
key = "long"
max_len = 500

[[mirror.redis.series]]
match = '{__name__=~"short.*"}'
as = "list"
key = "list:{__name__}"
ttl = "2s"

[[mirror.redis.series]]
match = '{__name__=~"short.*"}'
as = "hash"
key = "hash"
ttl = "2s"
"#;
    let node = pushing(dir.path(), &at, rules).arg("--web.enable-admin-api").start();
    let t = now() / 1000 * 1000 - 600_000;
    let long = |range: std::ops::Range<i64>| -> TimeSeries {
        let samples: Vec<_> = range.map(|i| (t + i, i as f64)).collect();
        series(&[("__name__", "long")], &samples)
    };
    let elements = |range: std::ops::Range<i64>| -> Vec<String> {
        let spelled =
            range.rev().map(|i| format!(r#"{{"value":{i},"timestamp":"{}"}}"#, iso(t + i)));
        spelled.collect()
    };
    write(&node, vec![long(200..400)]);
    ends_as(&node, &elements(200..400), || list(&at, "long"));
    // Far behind what is known of the list.
    write(&node, vec![long(100..110)]);
    let both = [elements(200..400), elements(100..110)].concat();
    ends_as(&node, &both, || list(&at, "long"));
    write(&node, vec![long(110..200), long(0..100), long(400..410)]);
    ends_as(&node, &elements(0..410), || list(&at, "long"));
    write(&node, vec![long(410..600)]);
    ends_as(&node, &elements(100..600), || list(&at, "long"));

    let (from, to) = ((t + 150) as f64 / 1000.0, (t + 549) as f64 / 1000.0);
    let path = format!("/api/v1/admin/tsdb/delete_series?match[]=long&start={from}&end={to}");
    let deleted = node.post(&path, &[], b"");
    assert!(deleted.status < 300, "{}", deleted.text());
    let left = [elements(550..600), elements(0..150)].concat();
    ends_as(&node, &left, || list(&at, "long"));

    let short = |name: &str, t: i64| series(&[("__name__", name)], &[(t, 1.0)]);
    let first = now();
    write(&node, vec![short("short", first), short("short_too", first)]);
    node.wait_for("a key to come and go", |_| {
        let gone = integer(&at, &["EXISTS", "list:short", "hash"]) == 0;
        (gone && now() > first + 2000).then_some(())
    });
    let before = metric(&node, "ringwell_mirror_series_samples_total");
    let second = now();
    write(&node, vec![short("short", second)]);
    node.wait_for("the samples to be looked at", |node| {
        let brought = metric(node, "ringwell_mirror_series_samples_total");
        (brought > before && metric(node, "ringwell_mirror_series_lag_bytes") == 0.0).then_some(())
    });
    // On a slow machine it may have expired again.
    let found = list(&at, "list:short");
    let element = format!(r#"{{"value":1,"timestamp":"{}"}}"#, iso(second));
    assert!(found.is_empty() || found == [element], "{found:?}");
    let found = hash(&at, "hash");
    assert!(found.is_empty() || found.keys().eq(["short"]), "{found:?}");
}

/// A list that a mirror made, pushed to another node, becomes the samples that it was made of.
#[test]
fn a_list_made_of_series_becomes_the_same_samples() {
    let Some(target) = Server::start(Path::new("redis-server"), &[]) else { return };
    let at = target.address();
    let dir = tempfile::tempdir().unwrap();
    let rules = "[[mirror.redis.series]]\nmatch = '{__name__=~\".+\",job=\"\"}'\nas = \"keymap\"\n";
    let node = pushing(dir.path(), &at, rules).start();
    let t = now() / 1000 * 1000 - 600_000;
    let mut draw = Draw(5);
    let mut samples = |more: f64| -> Vec<(i64, f64)> {
        (0..20).map(|i| (t + i * 1001, more + draw.below(1_000_000) as f64 / 7.0)).collect()
    };
    let steps: Vec<(i64, f64)> = (0..20).map(|i| (t + i * 1001, (i * 100) as f64)).collect();
    let run = [("project", "asr"), ("run", "1")];
    let named = |name, labels: &[(&'static str, &'static str)]| {
        [&[("__name__", name)][..], labels].concat()
    };
    let all = [
        (named("training_loss", &run), samples(0.0)),
        (named("training_loss_step", &run), steps.clone()),
        (named("training_wer", &run), samples(1e-9)),
        (named("training_wer_step", &run), steps),
        (named("gpu_utilization_percent", &[]), samples(1e22)),
        (named("gpu_memory_used_mb", &[("gpu", "3")]), samples(0.0)),
        (named("tasks_completion_duration_seconds", &[("agent", "x")]), samples(0.0)),
        (
            named("workflow_step_duration_seconds", &[("workflow", "w"), ("step", "s")]),
            samples(0.0),
        ),
    ];
    write(&node, all.iter().map(|(labels, samples)| series(labels, samples)).collect());
    let current: Vec<_> = [
        (named("training_current_loss", &run[..1]), 0.25),
        (named("training_current_wer", &run[..1]), 0.5),
        (named("training_analysis_slope", &run[..1]), -1e-5),
        (named("training_analysis_volatility", &run[..1]), 3.5),
        (named("tasks_completed_today", &[]), 17.0),
        (named("tasks_throughput_per_hour", &[]), 4.5),
        (named("tasks_avg_duration_seconds", &[]), 61.25),
        (named("tasks_sla_compliance_percent", &[]), 99.5),
        (named("gpu_current_utilization_percent", &[]), 87.0),
        (named("gpu_current_memory_used_mb", &[("gpu", "1")]), 40960.0),
        (named("gpu_current_memory_total_mb", &[]), 81920.0),
        (named("gpu_current_temperature_celsius", &[]), 64.0),
        (named("gpu_current_power_draw_watts", &[("gpu", "1")]), 312.75),
        (named("agent_tasks_completed_total", &[("agent", "a")]), 12.0),
        (named("agent_avg_duration_seconds", &[("agent", "a")]), 1.5),
        (named("agent_error_rate_percent", &[("agent", "a")]), 0.125),
        (named("agent_current_tasks", &[("agent", "a")]), 2.0),
        (named("agents_load_balance_variance_percent", &[]), 7.5),
        (named("agents_load_balance_avg_tasks_per_agent", &[]), 3.0),
        (named("alerts_last_fired_timestamp_seconds", &[("alertname", "hot")]), 1_795_000_000.5),
        (named("alerts_fired_total", &[("alertname", "hot")]), 5.0),
    ]
    .into_iter()
    .map(|(labels, v)| (labels, vec![(t, v)]))
    .collect();
    write(&node, current.iter().map(|(labels, samples)| series(labels, samples)).collect());
    let names = [
        "metrics:training:asr:loss",
        "metrics:training:asr:wer",
        "metrics:gpu:utilization",
        "metrics:gpu:3:memory_used_mb",
        "metrics:tasks:completion_times",
        "metrics:workflow:w:step:s:durations",
    ];
    for name in names {
        // A step may come after its value.
        let whole = |text: &&String| !name.contains("training") || text.contains("step");
        ends_as(&node, &20, || list(&at, name).iter().filter(whole).count());
    }
    let other = Node::start();
    let mut keys = Connection::open(&other.redis);
    for name in names {
        let mut elements = list(&at, name);
        elements.reverse();
        let elements: Vec<&str> = elements.iter().map(String::as_str).collect();
        keys.call(&[&["LPUSH", name][..], &elements].concat());
        assert_eq!(list(&other.redis, name), list(&at, name));
    }
    let hashes = [
        ("metrics:training:asr:current", 2),
        ("metrics:training:asr:analysis", 2),
        ("metrics:tasks:counters", 1),
        ("metrics:tasks:aggregated", 3),
        ("metrics:gpu:current", 3),
        ("metrics:gpu:1:current", 2),
        ("metrics:agent:a:performance", 3),
        ("metrics:agent:a:workload", 1),
        ("metrics:agents:load_balance", 2),
        ("metrics:alerts:state", 1),
        ("metrics:alerts:counters", 1),
    ];
    for (name, fields) in hashes {
        ends_as(&node, &fields, || hash(&at, name).len());
        let fields = texts(&at, &["HGETALL", name]);
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        keys.call(&[&["HSET", name][..], &fields].concat());
    }
    for (labels, samples) in &current {
        let selector: Vec<String> =
            labels[1..].iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        let query = format!("{}{{{}}}", labels[0].1, selector.join(","));
        let found = other.query(&query, now() as f64 / 1000.0);
        let value = found[0]["value"][1].as_str().map(|text| text.parse::<f64>().unwrap());
        assert_eq!(value, Some(samples[0].1), "{query}: {found}");
        assert_eq!(found.as_array().unwrap().len(), 1, "{query}");
    }
    for (labels, _) in &all {
        let selector: Vec<String> =
            labels[1..].iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        let query = format!("{}{{{}}}[20m]", labels[0].1, selector.join(","));
        let at = (t + 300_000) as f64 / 1000.0;
        let (here, there) = (node.query(&query, at), other.query(&query, at));
        assert_eq!(here[0]["values"].as_array().unwrap().len(), 20, "{query}");
        assert_eq!(here, there, "{query}");
    }
}

/// What a target should have, of all samples that were written.
#[derive(Default)]
struct Model {
    lists: BTreeMap<String, BTreeMap<i64, f64>>,
    hashes: BTreeMap<String, BTreeMap<String, (i64, f64)>>,
}

impl Model {
    fn write(&mut self, gpu: u64, t: i64, v: f64) {
        let list = self.lists.entry(format!("list:{gpu}")).or_default();
        list.insert(t, v);
        while list.len() > 150 {
            list.pop_first();
        }
        let fields = self.hashes.entry(format!("hash:{}", gpu % 2)).or_default();
        let field = fields.entry(format!("g{gpu}")).or_insert((t, v));
        if t >= field.0 {
            *field = (t, v);
        }
    }

    fn wanted(&self) -> BTreeMap<String, Vec<String>> {
        let lists = self.lists.iter().map(|(key, samples)| {
            let elements = samples.iter().rev();
            let spelled = elements.map(|(t, v)| format!(r#"{{"value":{v},"timestamp":{t}}}"#));
            (key.clone(), spelled.collect())
        });
        let hashes = self.hashes.iter().map(|(key, fields)| {
            let fields = fields.iter().flat_map(|(name, (_, v))| [name.clone(), v.to_string()]);
            (key.clone(), fields.collect())
        });
        lists.chain(hashes).collect()
    }

    fn found(&self, address: &str) -> BTreeMap<String, Vec<String>> {
        let lists = self.lists.keys().map(|key| (key.clone(), list(address, key)));
        let hashes = self.hashes.keys().map(|key| {
            let fields = hash(address, key).into_iter();
            (key.clone(), fields.flat_map(|(name, value)| [name, value]).collect())
        });
        lists.chain(hashes).collect()
    }
}

/// Cuts, kills of both sides, and targets that come back from an old file, while samples come, some late: the keys
/// are exactly what the samples say. `RINGWELL_SERIES_ROUNDS=20 RINGWELL_SERIES_STEPS=100` run longer.
#[test]
fn keys_of_series_end_exact_whatever_happens() {
    end_exact(Path::new("redis-server"));
}

#[test]
fn keys_of_series_in_a_valkey_end_exact_whatever_happens() {
    match valkey() {
        Some(program) => end_exact(&program),
        None => println!("skipped: Valkey's package is not installed"),
    }
}

fn end_exact(program: &Path) {
    let rules = r#"verify = 500
[[mirror.redis.series]]
match = 'g'
as = "list"
key = "list:{gpu}"
max_len = 150
time = "ms"

[[mirror.redis.series]]
match = 'g'
as = "hash"
key = "hash:{half}"
field = "g{gpu}"
"#;
    let link = Link::to("127.0.0.1:1");
    let dir = tempfile::tempdir().unwrap();
    let mut node = pushing(dir.path(), &link.address, rules).start();
    let (mut model, mut t) = (Model::default(), now() - 3_000_000);
    let (rounds, steps) =
        (number("RINGWELL_SERIES_ROUNDS", 2), number("RINGWELL_SERIES_STEPS", 24));
    for round in 0..rounds {
        let mut draw = Draw(number("RINGWELL_FIRST_SEED", 1) * 1000 + round);
        let rolls_back = round % 2 == 1;
        let appendonly = if rolls_back { "no" } else { "yes" };
        let args = ["--appendonly", appendonly, "--appendfsync", "always"];
        let Some(mut target) = Server::start(program, &args) else { return };
        link.leads_to(&target.address());
        link.cut();
        let mut keys = Connection::open(&node.redis);
        for step in 0..steps {
            link.chaos.store(draw.below(20), Ordering::SeqCst);
            match draw.below(5) {
                0 => link.cut_within(Direction::There),
                1 => link.cut_within(Direction::Back),
                2 => link.cut(),
                _ => {}
            }
            for _ in 0..draw.below(12) {
                let mut all = Vec::new();
                for gpu in 0..4_u64 {
                    t += 1;
                    // Some come late.
                    let late = if draw.below(6) == 0 { draw.below(500) as i64 } else { 0 };
                    let (t, v) = (t - late, draw.below(100_000) as f64 / 8.0);
                    let known = model.lists.get(&format!("list:{gpu}"));
                    if known.is_some_and(|list| list.contains_key(&t)) {
                        continue;
                    }
                    model.write(gpu, t, v);
                    let (gpu, half) = (gpu.to_string(), (gpu % 2).to_string());
                    let labels = [("__name__", "g"), ("gpu", gpu.as_str()), ("half", &half)];
                    all.push(series(&labels, &[(t, v)]));
                }
                write(&node, all);
                keys.call(&["LPUSH", "mine", &t.to_string()]);
            }
            match step % 8 {
                1 => drop(Connection::open(&target.address()).call(&["SAVE"])),
                3 => {
                    target.kill();
                    assert!(target.run());
                    link.leads_to(&target.address());
                }
                5 => {
                    node.kill();
                    node.restart();
                    keys = Connection::open(&node.redis);
                }
                7 => {
                    target.signal("-STOP");
                    std::thread::sleep(std::time::Duration::from_millis(20));
                    target.signal("-CONT");
                }
                _ => {}
            }
        }
        link.chaos.store(0, Ordering::SeqCst);
        for (key, wanted) in model.wanted() {
            ends_as(&node, &wanted, || model.found(&target.address()).remove(&key).unwrap());
        }
        caught_up(&node);
        assert_eq!(list(&target.address(), "mine"), list(&node.redis, "mine"));
        for name in ["dead_commands_total", "mismatched_keys_total"] {
            assert_eq!(metric(&node, &format!("ringwell_mirror_{name}")), 0.0, "{}", node.log());
        }
        println!("round {round}: equal, {} cuts", link.cuts.load(Ordering::SeqCst));
    }
}
