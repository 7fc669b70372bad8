//! Messages in, keys out, over a keyspace of the test's own.

use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use ringwell_storage::keyspace::{Keyspace, Reply, Request};
use ringwell_storage::model::WalPosition;

use super::{Derive, Events, Options, Waiting, dashboard, writes};
use crate::inside::{Called, Ear, Inside, strings};

const NOW: i64 = 1_795_000_000_000;

/// Keys alone: nobody listens.
#[derive(Default)]
struct Keys {
    keyspace: Mutex<Keyspace>,
    subscribers: usize,
}

impl Inside for Keys {
    fn call(&self, args: &[&[u8]]) -> Called {
        self.follow(0, args)
    }

    fn follow(&self, db: u8, args: &[&[u8]]) -> Called {
        let mut keyspace = self.keyspace.lock().unwrap();
        let decision = keyspace.decide(&Request { db, args }, NOW);
        keyspace.apply(&decision.effects);
        Called { reply: decision.reply, position: None }
    }

    fn follow_all(&self, commands: &[(u8, Vec<&[u8]>)]) -> Vec<Called> {
        commands.iter().map(|(db, args)| self.follow(*db, args)).collect()
    }

    fn acknowledged(&self, _: WalPosition) -> BoxFuture<'static, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }

    fn publish(&self, _: &[u8], _: &[u8]) -> usize {
        0
    }

    fn is_heard(&self, _: &[u8]) -> bool {
        false
    }

    fn subscribers(&self, _: &[u8]) -> usize {
        self.subscribers
    }

    fn subscribe(&self, _: &[u8], _: bool) -> Box<dyn Ear> {
        unreachable!("events overhear and do not subscribe")
    }
}

impl Keys {
    fn get(&self, words: &[&str]) -> Vec<String> {
        let args: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        let reply = self.call(&args).reply;
        if let Reply::Integer(n) = reply {
            return vec![n.to_string()];
        }
        strings(&reply).into_iter().map(|s| String::from_utf8(s).unwrap()).collect()
    }
}

fn world(derive: Derive, queue: usize, subscribers: usize) -> (Arc<Keys>, Arc<Events>, Waiting) {
    let keys = Arc::new(Keys { subscribers, ..Keys::default() });
    let inside = Arc::<Keys>::clone(&keys);
    let project = String::new();
    let options = Options { derive, queue, dashboard: None, project, outside: None };
    let (events, waiting) = Events::new(inside, options);
    (keys, events, waiting)
}

fn run(messages: &[(&str, &str)]) -> (Arc<Keys>, Arc<Events>) {
    let (keys, events, mut waiting) = world(Derive::Always, 1 << 20, 0);
    for (channel, message) in messages {
        events.overhear(channel.as_bytes(), message.as_bytes());
    }
    let batch: Vec<_> = std::iter::from_fn(|| waiting.0.try_recv().ok()).collect();
    events.take(batch.into_iter(), &mut None);
    (keys, events)
}

const TRAINING: &str = "events:training:progress";
const TASKS: &str = "events:tasks:updates";
const AGENTS: &str = "events:agents:status";

#[test]
fn training_progress_becomes_lists_and_the_current_hash() {
    let progress = |step: u32| {
        format!(
            r#"{{"projectId":"p","step":{step},"loss":{step}.50,"wer":1e1,"timestamp":"T{step}"}}"#
        )
    };
    let (keys, _) = run(&[(TRAINING, &progress(1)), (TRAINING, &progress(2))]);
    assert_eq!(
        keys.get(&["LRANGE", "metrics:training:p:loss", "0", "-1"]),
        [
            r#"{"step":2,"value":2.5,"timestamp":"T2"}"#,
            r#"{"step":1,"value":1.5,"timestamp":"T1"}"#
        ]
    );
    let wer = keys.get(&["LRANGE", "metrics:training:p:wer", "0", "0"]);
    assert_eq!(wer, [r#"{"step":2,"value":10,"timestamp":"T2"}"#]);
    assert_eq!(keys.get(&["TTL", "metrics:training:p:wer"]), ["604800"]);
    let current = keys.get(&["HGETALL", "metrics:training:p:current"]);
    assert_eq!(current, ["loss", "2.5", "wer", "10", "last_updated", "T2"]);
}

#[test]
fn what_a_message_lacks_writes_nothing() {
    let (keys, events) = run(&[(TRAINING, r#"{"projectId":7,"loss":null}"#)]);
    let loss = keys.get(&["LRANGE", "metrics:training:7:loss", "0", "-1"]);
    assert_eq!(loss, [r#"{"value":null}"#]);
    assert_eq!(keys.get(&["EXISTS", "metrics:training:7:wer"]), ["0"]);
    assert_eq!(events.counters().taken.get(), 1.0);
}

#[test]
fn done_tasks_are_counted() {
    let done = r#"{"status":"done","taskId":"t\u00fc","agent":"coder","duration_seconds":31.0,"timestamp":5}"#;
    let (keys, _) = run(&[(TASKS, done), (TASKS, r#"{"status":"started"}"#), (TASKS, done)]);
    assert_eq!(keys.get(&["HGET", "metrics:tasks:counters", "completed_today"]), ["2"]);
    assert_eq!(keys.get(&["HGET", "metrics:agent:coder:performance", "tasks_completed"]), ["2"]);
    assert_eq!(
        keys.get(&["LRANGE", "metrics:tasks:completion_times", "0", "0"]),
        [r#"{"taskId":"tü","agent":"coder","duration":31,"timestamp":5}"#]
    );
    assert_eq!(keys.get(&["TTL", "metrics:tasks:completion_times"]), ["86400"]);
}

#[test]
fn a_counter_that_is_no_number_refuses_and_the_rest_is_written() {
    let (keys, events, _) = world(Derive::Always, 1 << 20, 0);
    keys.get(&["HSET", "metrics:tasks:counters", "completed_today", "NaN"]);
    let message = br#"{"status":"done","agent":"coder"}"#;
    let heard =
        crate::inside::Heard { pattern: None, channel: TASKS.into(), message: message.to_vec() };
    events.take([heard].into_iter(), &mut None);
    assert_eq!(events.counters().refused.get(), 1.0);
    assert_eq!(keys.get(&["LLEN", "metrics:tasks:completion_times"]), ["1"]);
}

#[test]
fn busy_agents_and_their_balance() {
    let status = |agent: &str, status: &str, tasks: &str| {
        format!(r#"{{"agentType":"{agent}","status":"{status}","taskCount":{tasks}}}"#)
    };
    let balance = |keys: &Keys| keys.get(&["HGETALL", "metrics:agents:load_balance"]);
    let mut messages: Vec<(&str, String)> = Vec::new();
    for (agent, state, tasks) in [("a", "busy", "4"), ("b", "busy", "null"), ("c", "idle", "9")] {
        messages.push((AGENTS, status(agent, state, tasks)));
    }
    let messages: Vec<(&str, &str)> = messages.iter().map(|(c, m)| (*c, m.as_str())).collect();
    let (keys, _) = run(&messages);
    assert_eq!(keys.get(&["SCARD", "metrics:agents:active"]), ["2"]);
    assert_eq!(keys.get(&["HGET", "metrics:agent:b:workload", "current_tasks"]), ["0"]);
    assert_eq!(keys.get(&["HGET", "metrics:agent:c:workload", "current_tasks"]), ["9"]);
    assert_eq!(balance(&keys), ["variance_percent", "100", "avg_tasks_per_agent", "2"]);
    let idle = [(AGENTS, status("a", "idle", "0"))];
    let idle: Vec<(&str, &str)> = idle.iter().map(|(c, m)| (*c, m.as_str())).collect();
    let (keys, _) = run(&idle);
    assert!(balance(&keys).is_empty(), "nobody is active, so there is no average");
}

#[test]
fn errors_are_kept_as_they_came() {
    let error = "{ \"component\":\"gpu\" , \"error\":\"gone\" }";
    let channel = "events:errors:monitoring";
    let (keys, _) = run(&[(channel, error), (channel, error)]);
    assert_eq!(keys.get(&["LRANGE", channel, "0", "-1"]), [error, error]);
    assert_eq!(keys.get(&["HGET", "metrics:errors:counters", "monitoring"]), ["2"]);
}

#[test]
fn nonsense_is_counted_and_changes_nothing() {
    let deep = "[".repeat(100_000);
    let mut bad = vec![
        (TRAINING, ""),
        (TRAINING, "null"),
        (TRAINING, "[]"),
        (TRAINING, r#"{"projectId":""}"#),
        (TRAINING, r#"{"projectId":["p"]}"#),
        (TRAINING, r#"{"projectId":"p","loss":{"a":1}}"#),
        (TRAINING, r#"{"projectId":"p","loss":1,"step":[]}"#),
        (TASKS, r#"{"status":"done"}"#),
        (TASKS, r#"{"agent":"a"}"#),
        (AGENTS, r#"{"agentType":"a"}"#),
        (AGENTS, r#"{"agentType":"a","status":"busy","taskCount":{}}"#),
        ("events:errors:critical", "plain text"),
    ];
    bad.push((TRAINING, &deep));
    let (keys, events) = run(&bad);
    assert_eq!(keys.get(&["DBSIZE"]), ["0"]);
    assert_eq!(events.counters().bad.get(), bad.len() as f64);
    for other in ["events:alerts:gpu", "events:errors:", "metrics:x", "events:dashboard:update"] {
        assert!(!super::is_event(other.as_bytes()), "{other}");
    }
    assert_eq!(writes::meaning(b"events:errors:\xff", b"{}"), None);
}

#[test]
fn events_can_be_left_to_others_and_more_than_fits_is_lost() {
    for (derive, subscribers, left) in
        [(Derive::Unheard, 1, 1.0), (Derive::Unheard, 0, 0.0), (Derive::Always, 1, 0.0)]
    {
        let (keys, events, mut waiting) = world(derive, 300, subscribers);
        for _ in 0..3 {
            events.overhear(AGENTS.as_bytes(), br#"{"agentType":"a","status":"busy"}"#);
        }
        let first = waiting.0.try_recv().unwrap();
        events.take([first].into_iter(), &mut None);
        assert_eq!(events.counters().lost.get(), 1.0);
        assert_eq!(events.counters().left.get(), left);
        assert_eq!(keys.get(&["SCARD", "metrics:agents:active"]), [(1.0 - left).to_string()]);
    }
    let (_, events, mut waiting) = world(Derive::Off, 300, 0);
    events.overhear(AGENTS.as_bytes(), b"{}");
    assert!(waiting.0.try_recv().is_err());
}

#[test]
fn the_dashboard_as_the_seed_makes_it() {
    let keys = Keys::default();
    assert_eq!(
        dashboard::message(&keys, "p", NOW),
        concat!(
            r#"{"training":{"currentLoss":null,"currentWER":null,"lossTrend":[]},"#,
            r#""tasks":{"throughputPerHour":null,"avgDurationSeconds":null,"slaCompliancePercent":null,"#,
            r#""recentCompletions":[]},"gpu":{"utilizationPercent":null,"memoryUsedMB":null,"#,
            r#""memoryTotalMB":null,"temperatureCelsius":null,"powerDrawWatts":null},"#,
            r#""agents":{"activeCount":0,"loadVariancePercent":null,"avgTasksPerAgent":null},"#,
            r#""timestamp":"2026-11-18T11:06:40.000Z"}"#
        )
    );
    for words in [
        &["HSET", "metrics:training:p:current", "loss", "0.50", "wer", "7.5x", "last_updated", "T"]
            [..],
        &["LPUSH", "metrics:training:p:loss", r#"{"value":1,"step":1}"#, "torn", r#"{"value":2}"#],
        &["HSET", "metrics:tasks:aggregated", "throughput_per_hour", "12.7"],
        &["LPUSH", "metrics:tasks:completion_times", r#"{"agent":"a","duration":3,"timestamp":9}"#],
        &["HSET", "metrics:gpu:current", "power_draw_watts", "250", "temperature_celsius", "[N/A]"],
        &["SADD", "metrics:agents:active", "a", "b"],
    ] {
        keys.get(words);
    }
    assert_eq!(
        dashboard::message(&keys, "p", NOW),
        concat!(
            r#"{"training":{"currentLoss":0.5,"currentWER":7.5,"lastUpdated":"T","#,
            r#""lossTrend":[{"step":1,"value":1},{"value":2}]},"#,
            r#""tasks":{"throughputPerHour":12,"avgDurationSeconds":null,"slaCompliancePercent":null,"#,
            r#""recentCompletions":[{"timestamp":9,"duration":3,"agent":"a"}]},"#,
            r#""gpu":{"utilizationPercent":null,"memoryUsedMB":null,"#,
            r#""memoryTotalMB":null,"temperatureCelsius":null,"powerDrawWatts":250},"#,
            r#""agents":{"activeCount":2,"loadVariancePercent":null,"avgTasksPerAgent":null},"#,
            r#""timestamp":"2026-11-18T11:06:40.000Z"}"#
        )
    );
}
