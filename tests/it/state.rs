//! Keys and series over time, with a clock that the test moves: the store, the keymap and PromQL as a
//! library.

use std::sync::Arc;
use std::time::Duration;

use ringwell::ingest::keymap::Keymap;
use ringwell::ingest::recent::RecentKeys;
use ringwell_query::{AnswerValue, Engine, EngineOptions, Query, Uninterrupted, When};
use ringwell_storage::disk::OsDisk;
use ringwell_storage::keyspace::{Reply, Request};
use ringwell_storage::model::Value;
use ringwell_storage::read::Queryable as _;
use ringwell_storage::store::{Options, Store};

const START: i64 = 1_795_000_000_000;

struct World {
    dir: tempfile::TempDir,
    store: Store,
    keymap: Keymap,
    now: i64,
}

fn open(dir: &tempfile::TempDir, now: i64) -> Store {
    // Another test of this process may be starting a child, which has the old lock until it is a
    // program of its own.
    let tries = std::iter::repeat_with(|| {
        std::thread::sleep(Duration::from_millis(20));
        OsDisk::open(dir.path())
    });
    let disk = tries.take(500).find_map(Result::ok).expect("the directory can be locked");
    Store::open(Arc::new(disk), Options::default(), now).unwrap()
}

impl World {
    fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir, START);
        World { dir, store, keymap: Keymap::new(Arc::new(RecentKeys::default())), now: START }
    }

    /// Stops and starts again; what the keymap remembered is gone.
    fn restart(self) -> World {
        let World { dir, store, now, .. } = self;
        store.close(now).unwrap();
        drop(store);
        let store = open(&dir, now);
        World { dir, store, keymap: Keymap::new(Arc::new(RecentKeys::default())), now }
    }

    fn run(&self, words: &[&str]) {
        let args: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        let done = self.store.execute(&Request { db: 0, args: &args }, self.now, &self.keymap);
        assert!(!matches!(done.reply, Reply::Error(_)), "{words:?}: {:?}", done.reply);
        assert_eq!(done.derived_refused, 0, "{words:?}");
    }

    fn tick(&mut self, seconds: i64) {
        for _ in 0..seconds {
            self.now += 1000;
            self.store.tick(self.now, &self.keymap).unwrap();
        }
    }

    fn value(&self, text: &str) -> f64 {
        let engine = Engine::new(EngineOptions::default());
        let query = Query { text, when: When::At(self.now), lookback: None };
        let answer = engine.run(self.store.snapshot().as_ref(), &query, &Uninterrupted).unwrap();
        let AnswerValue::Vector(samples) = answer.value else { panic!("no vector") };
        match samples.first().map(|sample| &sample.value) {
            None => 0.0,
            Some(Value::Float(value)) => *value,
            Some(other) => panic!("{other:?}"),
        }
    }
}

#[test]
fn two_thousand_pushes_are_two_thousand_samples() {
    let mut world = World::new();
    world.now += 10_000;
    for n in 0..2_000_i64 {
        let second = START / 1000 + n / 1000;
        let element = format!(r#"{{"value":{n},"timestamp":{second}}}"#);
        world.run(&["LPUSH", "metrics:queue:q:depth", &element]);
    }
    let counted = "count_over_time(queue_depth[1h])";
    assert_eq!(world.value(counted), 2_000.0);
    let world = world.restart();
    assert_eq!(world.value(counted), 2_000.0);
    assert_eq!(world.value("sum_over_time(queue_depth[1h])"), 1_999_000.0);
}

#[test]
fn a_busy_agent_stays_in_the_sum_until_it_is_removed() {
    let mut world = World::new();
    world.run(&["HSET", "metrics:agent:a:workload", "current_tasks", "3"]);
    world.run(&["HSET", "metrics:agent:b:workload", "current_tasks", "2"]);
    let sum = "sum(agent_current_tasks)";
    for minute in 0..20 {
        assert_eq!(world.value(sum), 5.0, "minute {minute}");
        world.tick(60);
        if minute == 10 {
            world = world.restart();
        }
    }
    world.run(&["HDEL", "metrics:agent:a:workload", "current_tasks"]);
    assert_eq!(world.value(sum), 2.0, "at the very next evaluation");
    world.run(&["PEXPIRE", "metrics:agent:b:workload", "1500"]);
    world.tick(1);
    assert_eq!(world.value(sum), 2.0);
    world.tick(2);
    assert_eq!(world.value("count(agent_current_tasks)"), 0.0, "an expired key says nothing");
}
