//! The keymap as a whole: commands in, samples out.

use std::sync::Arc;

use ringwell_storage::keyspace::{Derived, Extract, Keyspace, Request};
use ringwell_storage::model::is_stale;

use super::{
    Keymap, MaxAge, Options, RecentKeys, Rule, Rules, Written, WrongRule, series::selector,
};

/// A keyspace and a keymap, run as the store runs them.
struct World {
    keyspace: Keyspace,
    keymap: Keymap,
    now: i64,
}

const NOW: i64 = 1_795_000_000_000;

impl World {
    fn new() -> World {
        World::with(Options::default())
    }

    fn with(options: Options) -> World {
        let keymap = Keymap::with_options(Arc::new(RecentKeys::default()), options);
        World { keyspace: Keyspace::new(), keymap, now: NOW }
    }

    fn run_in(&mut self, db: u8, words: &[&str]) -> Vec<String> {
        let args: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        let request = Request { db, args: &args };
        let mut effects = self.keyspace.decide(&request, self.now).effects;
        let mut out = Derived::default();
        self.keymap.extract(&self.keyspace, &request, &effects, self.now, &mut out);
        out.marks.iter().for_each(|mark| effects.mark(mark));
        self.keyspace.apply(&effects);
        self.lines(&out)
    }

    fn run(&mut self, words: &[&str]) -> Vec<String> {
        self.run_in(0, words)
    }

    fn hold(&mut self) -> Vec<String> {
        let mut out = Derived::default();
        self.keymap.hold(&self.keyspace, self.now, &mut out);
        self.lines(&out)
    }

    /// Samples as text; times are told where they are not now.
    fn lines(&self, out: &Derived) -> Vec<String> {
        let line = |sample: &ringwell_storage::keyspace::DerivedSample| {
            let value =
                if is_stale(sample.value) { "stale".to_owned() } else { sample.value.to_string() };
            let at = if sample.t == self.now { String::new() } else { format!(" @{}", sample.t) };
            format!("{} {value}{at}", selector(&sample.labels))
        };
        out.samples.iter().map(line).collect()
    }
}

/// The key shapes of the agents' seed, each with what it gives.
#[test]
fn every_key_shape_of_the_seed() {
    let stamped = r#"{"step":12,"value":0.53,"timestamp":"2026-11-18T11:06:40.001Z"}"#;
    let table: &[(&[&str], &[&str])] = &[
        (
            &["LPUSH", "metrics:training:proj-1:loss", stamped],
            &[
                r#"training_loss{project="proj-1",run="1"} 0.53 @1795000000001"#,
                r#"training_loss_step{project="proj-1",run="1"} 12 @1795000000001"#,
            ],
        ),
        (
            &["LPUSH", "metrics:training:proj-1:wer", r#"{"value":7.5}"#],
            &[r#"training_wer{project="proj-1",run="1"} 7.5"#],
        ),
        (
            &[
                "HSET",
                "metrics:training:proj-1:current",
                "loss",
                "0.5",
                "wer",
                "7",
                "last_updated",
                "2026-11-18T11:06:40.500Z",
            ],
            &[
                r#"training_current_loss{project="proj-1"} 0.5"#,
                r#"training_current_wer{project="proj-1"} 7"#,
                r#"training_current_last_updated_timestamp_seconds{project="proj-1"} 1795000000.5"#,
            ],
        ),
        (
            &[
                "HSET",
                "metrics:training:proj-1:analysis",
                "slope",
                "-0.02",
                "volatility",
                "0.1",
                "converged",
                "true",
                "trend",
                "improving",
            ],
            &[
                r#"training_analysis_slope{project="proj-1"} -0.02"#,
                r#"training_analysis_volatility{project="proj-1"} 0.1"#,
                r#"training_analysis_converged{project="proj-1"} 1"#,
                r#"training_analysis_trend{project="proj-1",trend="improving"} 1"#,
            ],
        ),
        (
            &[
                "LPUSH",
                "metrics:tasks:completion_times",
                r#"{"taskId":17,"agent":"coder","duration":31.5}"#,
            ],
            &[r#"tasks_completion_duration_seconds{agent="coder"} 31.5"#],
        ),
        (&["HSET", "metrics:tasks:counters", "completed_today", "3"], &["tasks_completed_today 3"]),
        (
            &[
                "HSET",
                "metrics:tasks:aggregated",
                "throughput_per_hour",
                "12",
                "avg_duration_seconds",
                "31.5",
                "sla_compliance_percent",
                "99",
            ],
            &[
                "tasks_throughput_per_hour 12",
                "tasks_avg_duration_seconds 31.5",
                "tasks_sla_compliance_percent 99",
            ],
        ),
        (&["LPUSH", "metrics:gpu:utilization", r#"{"value":80}"#], &["gpu_utilization_percent 80"]),
        (
            &["LPUSH", "metrics:gpu:memory_used_mb", r#"{"value":40000}"#],
            &["gpu_memory_used_mb 40000"],
        ),
        (&["LPUSH", "metrics:gpu:temperature", r#"{"value":70}"#], &["gpu_temperature_celsius 70"]),
        (
            &[
                "HSET",
                "metrics:gpu:current",
                "utilization_percent",
                "80",
                "memory_used_mb",
                "1",
                "memory_total_mb",
                "2",
                "temperature_celsius",
                "70",
                "power_draw_watts",
                "300",
            ],
            &[
                "gpu_current_utilization_percent 80",
                "gpu_current_memory_used_mb 1",
                "gpu_current_memory_total_mb 2",
                "gpu_current_temperature_celsius 70",
                "gpu_current_power_draw_watts 300",
            ],
        ),
        (
            &[
                "HSET",
                "metrics:agent:coder:performance",
                "tasks_completed",
                "9",
                "avg_duration_seconds",
                "30",
                "error_rate_percent",
                "1.5",
            ],
            &[
                r#"agent_tasks_completed_total{agent="coder"} 9"#,
                r#"agent_avg_duration_seconds{agent="coder"} 30"#,
                r#"agent_error_rate_percent{agent="coder"} 1.5"#,
            ],
        ),
        (
            &["HSET", "metrics:agent:coder:workload", "current_tasks", "2"],
            &[r#"agent_current_tasks{agent="coder"} 2"#],
        ),
        (
            &["SADD", "metrics:agents:active", "coder", "tester"],
            &[
                r#"agent_active{agent="coder"} 1"#,
                r#"agent_active{agent="tester"} 1"#,
                "agents_active 2",
            ],
        ),
        (
            &[
                "HSET",
                "metrics:agents:load_balance",
                "variance_percent",
                "20",
                "avg_tasks_per_agent",
                "1.5",
            ],
            &[
                "agents_load_balance_variance_percent 20",
                "agents_load_balance_avg_tasks_per_agent 1.5",
            ],
        ),
        (
            &[
                "HSET",
                "metrics:agents:rankings",
                "performance_ranked",
                r#"[{"agentType":"coder","score":12.5},{"agentType":"tester","score":-3}]"#,
            ],
            &[
                r#"agents_performance_score{agent="coder"} 12.5"#,
                r#"agents_performance_score{agent="tester"} -3"#,
            ],
        ),
        (
            &["LPUSH", "metrics:workflow:w1:step:build:durations", r#"{"duration":61}"#],
            &[r#"workflow_step_duration_seconds{step="build",workflow="w1"} 61"#],
        ),
        (
            &["HSET", "metrics:alerts:state", "low_throughput", "1795000000000"],
            &[r#"alerts_last_fired_timestamp_seconds{alertname="low_throughput"} 1795000000"#],
        ),
        (
            &["HSET", "metrics:alerts:counters", "low_throughput", "4"],
            &[r#"alerts_fired_total{alertname="low_throughput"} 4"#],
        ),
        (
            &["HSET", "context:project:proj-1", "status", "training", "owner", "7"],
            &[r#"project_status{project="proj-1",status="training"} 1"#],
        ),
        (
            &["HSET", "context:system:capacity", "gpu_available", "false"],
            &["system_capacity_gpu_available 0"],
        ),
    ];
    assert_eq!(table.len(), 21);
    let mut world = World::new();
    for (command, expected) in table {
        assert_eq!(world.run(command), *expected, "{command:?}");
    }
}

/// Keys the table does not know.
#[test]
fn the_general_rule() {
    let table: &[(&[&str], &[&str])] = &[
        (&["LPUSH", "metrics:queue:ingest:depth", "5"], &[r#"queue_depth{queue="ingest"} 5"#]),
        (&["SET", "metrics:queue:size", "5"], &["queue_size 5"]),
        (&["APPEND", "metrics:queue:size", "0"], &["queue_size 50"]),
        (&["SETRANGE", "metrics:queue:size", "1", "2.5"], &["queue_size 52.5"]),
        (
            &["RPUSH", "metrics:web:eu:latency", r#"{"p50":1,"p99":9.5,"ts":1795000000.5,"id":4}"#],
            &[
                r#"web_latency_p50{web="eu"} 1 @1795000000500"#,
                r#"web_latency_p99{web="eu"} 9.5 @1795000000500"#,
            ],
        ),
        (
            &["HSET", "metrics:shop:berlin:till:7:takings", "open", "true", "name", "x"],
            &[r#"shop_till_takings_open{shop="berlin",till="7"} 1"#],
        ),
        (
            &["LPUSH", "metrics:gpu:g0:temperature", "60"],
            &[r#"gpu_temperature_celsius{gpu="g0"} 60"#],
        ),
        (&["LPUSH", "metrics:9-a:b c", "1"], &["_9_a_b_c 1"]),
        (&["SADD", "metrics:fleet:eu:nodes", "a", "b"], &[r#"fleet_nodes{fleet="eu"} 2"#]),
        (&["LPUSH", "other:queue:depth", "5"], &[]),
        (&["LPUSH", "metrics:", "5"], &[]),
        (&["LPUSH", "metrics:a::b", "5"], &[]),
        (&["HSET", "context:other", "status", "x"], &[]),
        (&["SET", "metrics:queue:word", "busy"], &[]),
    ];
    let mut world = World::new();
    for (command, expected) in table {
        assert_eq!(world.run(command), *expected, "{command:?}");
    }
    assert!(world.run_in(1, &["LPUSH", "metrics:queue:ingest:depth", "5"]).is_empty());
}

#[test]
fn elements_are_events_in_the_order_they_were_pushed() {
    let mut world = World::new();
    let lines = world.run(&["LPUSH", "metrics:q:d", "1", "oops", r#"{"value":2}"#, r#"{"x":"y"}"#]);
    assert_eq!(lines, ["q_d 1", "q_d 2"]);
    assert_eq!(world.keymap.counters().unparsed.get(), 2.0);
    let late = r#"{"value":3,"timestamp":1795000601000}"#;
    assert_eq!(world.run(&["RPUSH", "metrics:q:d", late]), ["q_d 3"]);
    assert_eq!(
        world.run(&["RPUSH", "metrics:q:d", r#"{"value":4,"timestamp":"soon"}"#]),
        ["q_d 4"]
    );
    let counters = world.keymap.counters();
    assert_eq!((counters.future.get(), counters.unread_times.get()), (1.0, 1.0));
    for quiet in
        [&["LTRIM", "metrics:q:d", "0", "1"][..], &["LPOP", "metrics:q:d"], &["DEL", "metrics:q:d"]]
    {
        assert!(world.run(quiet).is_empty(), "{quiet:?}");
    }
}

#[test]
fn runs_are_counted_through_deletion() {
    let mut world = World::new();
    let mut push = |step: i64| {
        let element = format!(r#"{{"step":{step},"value":1}}"#);
        world.run(&["LPUSH", "metrics:training:p:loss", &element]).remove(0)
    };
    assert!(push(100).contains(r#"run="1""#));
    assert!(push(60).contains(r#"run="1""#));
    assert!(push(10).contains(r#"run="2""#));
    world.run(&["FLUSHALL"]);
    let named = r#"{"step":1,"value":1,"run":"blue"}"#;
    assert!(world.run(&["LPUSH", "metrics:training:p:loss", named])[0].contains(r#"run="blue""#));
    let next = world.run(&["LPUSH", "metrics:training:p:loss", r#"{"step":11,"value":1}"#]);
    assert!(next[0].contains(r#"run="2""#), "{next:?}");
}

#[test]
fn state_ends_when_it_goes() {
    let mut world = World::new();
    world.run(&["HSET", "context:project:p", "status", "training"]);
    assert_eq!(
        world.run(&["HSET", "context:project:p", "status", "done"]),
        [
            r#"project_status{project="p",status="done"} 1"#,
            r#"project_status{project="p",status="training"} stale"#,
        ]
    );
    world.run(&["HSET", "metrics:agent:a:workload", "current_tasks", "1", "other", "2"]);
    assert_eq!(
        world.run(&["HDEL", "metrics:agent:a:workload", "other"]),
        [r#"agent_other{agent="a"} stale"#]
    );
    assert_eq!(
        world.run(&["HSET", "metrics:agent:a:workload", "current_tasks", "soon"]),
        [r#"agent_current_tasks{agent="a"} stale"#]
    );
    world.run(&["SADD", "metrics:agents:active", "a", "b"]);
    assert_eq!(
        world.run(&["SREM", "metrics:agents:active", "a"]),
        [r#"agent_active{agent="a"} stale"#, "agents_active 1"]
    );
    assert_eq!(
        world.run(&["SREM", "metrics:agents:active", "b"]),
        [r#"agent_active{agent="b"} stale"#, "agents_active 0"]
    );
    world.run(&["HSET", "metrics:x:y", "f", "1"]);
    world.run(&["PEXPIRE", "metrics:x:y", "5"]);
    world.now += 10;
    // The expired hash ends, and the string that takes its place begins, in one command.
    assert_eq!(world.run(&["SET", "metrics:x:y", "2"]), ["x_y_f stale", "x_y 2"]);
    assert_eq!(world.run(&["DEL", "metrics:x:y"]), ["x_y stale"]);
}

#[test]
fn state_is_repeated_once_a_minute_while_it_lives() {
    let mut world = World::new();
    world.run(&["HSET", "metrics:agent:a:workload", "current_tasks", "1"]);
    world.run(&["LPUSH", "metrics:q:d", "1"]);
    world.hold();
    let mut said = 0;
    for _ in 0..300 {
        world.now += 1000;
        said += world.hold().len();
    }
    assert!((4..=5).contains(&said), "{said} times in five minutes");
    // A node that starts anew learns from the keys what holds.
    world.keymap = Keymap::new(Arc::new(RecentKeys::default()));
    let mut lines = Vec::new();
    for _ in 0..61 {
        world.now += 1000;
        lines.extend(world.hold());
    }
    assert_eq!(lines.len(), 1, "{lines:?}");
    world.keymap = Keymap::new(Arc::new(RecentKeys::default()));
    assert_eq!(
        world.run(&["DEL", "metrics:agent:a:workload"]),
        [r#"agent_current_tasks{agent="a"} stale"#]
    );
}

/// What had expired and not yet gone is not what is appended to.
#[test]
fn an_append_to_what_has_expired_begins_anew() {
    let mut world = World::new();
    world.run(&["SET", "metrics:queue:size", "7", "PX", "5"]);
    world.now += 10;
    assert_eq!(world.run(&["APPEND", "metrics:queue:size", "3"]).last().unwrap(), "queue_size 3");
}

#[test]
fn two_keys_never_feed_one_series() {
    let mut world = World::new();
    world.run(&["HSET", "metrics:tasks:counters", "done", "1"]);
    assert!(world.run(&["SET", "metrics:tasks:done", "2"]).is_empty());
    assert_eq!(world.keymap.counters().contested.get(), 1.0);
    world.run(&["DEL", "metrics:tasks:counters"]);
    assert_eq!(world.run(&["SET", "metrics:tasks:done", "2"]), ["tasks_done 2"]);
}

#[test]
fn bounds_hold() {
    let mut world = World::with(Options {
        max_members: 2,
        max_list_keys: 3,
        max_state_keys: 2,
        ..Options::default()
    });
    let lines = world.run(&["SADD", "metrics:agents:active", "a", "b", "c", "d"]);
    assert_eq!(lines.iter().filter(|line| line.starts_with("agent_active")).count(), 2);
    assert_eq!(lines.last().map(String::as_str), Some("agents_active 4"));
    world.run(&["HSET", "metrics:a:b", "c", "1"]);
    assert!(world.run(&["HSET", "metrics:a:d", "c", "1"]).is_empty());
    assert_eq!(world.keymap.counters().unheld.get(), 1.0);
    for i in 0..10 {
        assert_eq!(world.run(&["LPUSH", &format!("metrics:l:{i}"), "1"]).len(), 1);
    }
}

#[test]
fn labels_that_elements_choose_are_not_remembered_without_end() {
    let mut world = World::with(Options { max_list_series: 50, ..Options::default() });
    for i in 0..500 {
        let element = format!(r#"{{"value":1,"run":"r{i}"}}"#);
        let lines = world.run(&["LPUSH", "metrics:training:p:loss", &element]);
        assert_eq!(lines, [format!(r#"training_loss{{project="p",run="r{i}"}} 1"#)]);
    }
    assert!(world.keymap.memory().owners.iter().count() <= 51);
}

#[test]
fn explains_both_ways() {
    let mut world = World::new();
    let ways = |question: &str, world: &World| {
        let found = world.keymap.explain(question).into_iter();
        found.map(|e| format!("{} | {} | {}", e.key, e.from, e.series)).collect::<Vec<_>>()
    };
    assert_eq!(
        ways("metrics:training:p:loss", &world)[0],
        r#"metrics:training:p:loss | value of a list element | training_loss{project="p",run="<run>"}"#
    );
    assert_eq!(
        ways("project_status", &world),
        [
            r#"context:project:<project> | field status | project_status{project="<project>",status="<status>"}"#
        ]
    );
    world.run(&["LPUSH", "metrics:queue:ingest:depth", "5"]);
    assert_eq!(
        ways(r#"queue_depth{queue="ingest"}"#, &world),
        [r#"metrics:queue:ingest:depth | now | queue_depth{queue="ingest"}"#]
    );
    assert!(ways("other:key", &world).is_empty());
}

fn own(change: impl FnOnce(&mut Written)) -> Result<Rules, WrongRule> {
    let mut written =
        Written { key: "shop:<branch>:till:<till>:takings".to_owned(), ..Written::default() };
    change(&mut written);
    Rule::new(written).map(|rule| Rules::new(vec![rule]))
}

#[test]
fn rules_of_the_operators_come_first() {
    let element = r#"{"value":5,"tips":1,"secret":9,"clerk":"ann","loss":0.5}"#;
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    let table: Vec<(Rules, &[&str])> = vec![
        (
            own(|_| {}).unwrap(),
            &[
                r#"shop_till_takings{branch="b",till="7"} 5"#,
                r#"shop_till_takings_tips{branch="b",till="7"} 1"#,
                r#"shop_till_takings_secret{branch="b",till="7"} 9"#,
                r#"shop_till_takings_loss{branch="b",till="7"} 0.5"#,
            ],
        ),
        (
            own(|rule| {
                rule.name = Some("takings_euros".to_owned());
                rule.labels = vec![pair("currency", "eur")];
                rule.label = Some("clerk".to_owned());
                rule.fields = vec![pair("tips", "tips_euros"), pair("secret", "")];
            })
            .unwrap(),
            &[
                r#"takings_euros{branch="b",clerk="ann",currency="eur",till="7"} 5"#,
                r#"tips_euros{branch="b",clerk="ann",currency="eur",till="7"} 1"#,
                r#"takings_euros_loss{branch="b",clerk="ann",currency="eur",till="7"} 0.5"#,
            ],
        ),
    ];
    for (rules, wanted) in table {
        let mut world = World::with(Options { rules, ..Options::default() });
        assert_eq!(world.run(&["LPUSH", "shop:b:till:7:takings", element]), wanted);
        assert!(world.run(&["LPUSH", "shop:b:till:7", element]).is_empty(), "another shape");
        assert_eq!(world.run(&["SET", "metrics:queue:q:depth", "1"]).len(), 1, "as before");
    }
}

#[test]
fn fields_of_hashes_and_lookback_by_rule() {
    let rules = own(|rule| {
        rule.key = "metrics:training:<model>:loss".to_owned();
        rule.fields = vec![("value".to_owned(), "model_loss".to_owned())];
        (rule.only_fields, rule.lookback) = (true, Some(7_200_000));
    });
    let mut world = World::with(Options { rules: rules.unwrap(), ..Options::default() });
    let lines = world.run(&["HSET", "metrics:training:m:loss", "value", "1", "other", "2"]);
    assert_eq!(lines, [r#"model_loss{model="m"} 1"#]);
    let plan = world.keymap.options.rules.plan(b"metrics:training:m:loss").unwrap();
    assert_eq!(plan.list_lookback(), 7_200_000);
}

#[test]
fn rules_that_make_no_sense() {
    type Change = fn(&mut Written);
    let table: &[(Change, &str, &str)] = &[
        (|r| r.key = "shop::x".to_owned(), "key", "empty part"),
        (|r| r.key = "<any>:x".to_owned(), "key", "every key"),
        (|r| r.key = "shop:<a>:<a>".to_owned(), "key", "twice"),
        (|r| r.key = "shop:<9>".to_owned(), "key", "not a label's name"),
        (|r| r.key = "shop:x*".to_owned(), "key", "neither a word nor an id"),
        (|r| r.name = Some("9 lives".to_owned()), "name", "not a metric's name"),
        (|r| r.label = Some("a-b".to_owned()), "label", "not a label's name"),
        (|r| r.labels = vec![("__name__".to_owned(), "x".to_owned())], "labels", "not a label's"),
        (|r| r.labels = vec![("till".to_owned(), "x".to_owned())], "labels", "from the key"),
        (|r| r.fields = vec![("a".to_owned(), "a b".to_owned())], "fields", "not a metric's name"),
        (|r| r.max_len = Some(0), "max_len", "keeps nothing"),
        (|r| r.max_age = Some(MaxAge::Millis(0)), "max_age", "more than 0"),
        (|r| r.lookback = Some(0), "lookback", "more than 0"),
    ];
    for (change, key, reason) in table {
        let error = own(*change).unwrap_err();
        assert_eq!(error.key, *key);
        assert!(error.reason.contains(reason), "{error}");
    }
}

#[test]
fn what_a_key_has_fed_as_a_selector() {
    let mut world = World::new();
    world.run(&["LPUSH", "metrics:training:p:loss_scaled", "1"]);
    let selector = |pattern: &str| world.keymap.selector(pattern).unwrap_or_default();
    for (pattern, wanted) in [
        (
            "metrics:training:p:loss",
            concat!(
                r#"{__name__=~"training_loss|training_loss_.*|training_loss_step|training_loss_.*_step","#,
                r#"project="p",job="",instance="",__name__!~"training_loss_scaled"}"#
            ),
        ),
        (
            "metrics:training:old-*:*",
            concat!(
                r#"{__name__=~"training_.*|training_.*_.*|training_.*_step|training_.*_.*_step","#,
                r#"project=~"old-.*",job="",instance=""}"#
            ),
        ),
        (
            "context:project:p.1",
            r#"{__name__=~"project_status|project_status_step",project="p.1",job="",instance=""}"#,
        ),
        ("other:*", ""),
    ] {
        assert_eq!(selector(pattern), wanted, "{pattern}");
        if !wanted.is_empty() {
            ringwell_query::parse_selector(wanted).unwrap();
        }
    }
}

#[test]
fn state_that_comes_under_another_name() {
    let mut world = World::new();
    world.run(&["HSET", "metrics:agent:a:workload", "current_tasks", "1"]);
    world.run(&["HSET", "metrics:agent:b:workload", "current_tasks", "2", "old", "3"]);
    let mut ends =
        world.run(&["COPY", "metrics:agent:a:workload", "metrics:agent:b:workload", "REPLACE"]);
    assert_eq!(ends.pop().unwrap(), r#"agent_current_tasks{agent="b"} 1"#, "the last one counts");
    ends.sort();
    let stale = [r#"agent_current_tasks{agent="b"} stale"#, r#"agent_old{agent="b"} stale"#];
    assert_eq!(ends, stale);
    let mut lines = world.run(&["RENAME", "metrics:agent:b:workload", "metrics:agent:c:workload"]);
    lines.sort();
    let moved = [r#"agent_current_tasks{agent="b"} stale"#, r#"agent_current_tasks{agent="c"} 1"#];
    assert_eq!(lines, moved);
    let gone = world.run(&["MOVE", "metrics:agent:c:workload", "1"]);
    assert_eq!(gone, [r#"agent_current_tasks{agent="c"} stale"#]);
    let back = world.run_in(1, &["MOVE", "metrics:agent:c:workload", "0"]);
    assert_eq!(back, [r#"agent_current_tasks{agent="c"} 1"#]);
    // A list that comes is no event, but the state whose place it takes ends.
    world.run(&["LPUSH", "plain", "5"]);
    let ends = world.run(&["RENAME", "plain", "metrics:agent:c:workload"]);
    assert_eq!(ends, [r#"agent_current_tasks{agent="c"} stale"#]);
}

#[test]
fn databases_that_change_places() {
    let mut world = World::new();
    world.run(&["SET", "metrics:here", "1"]);
    world.run_in(1, &["SET", "metrics:there", "2"]);
    assert_eq!(world.run_in(1, &["SWAPDB", "0", "1"]), ["here stale"]);
    let mut lines = Vec::new();
    for _ in 0..61 {
        world.now += 1000;
        lines.extend(world.hold());
    }
    assert_eq!(lines, ["there 2"]);
    assert_eq!(world.run_in(3, &["FLUSHALL"]), ["there stale"], "from whichever database");
}
