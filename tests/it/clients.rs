//! Real clients push the seed's lists and hashes: redis-py, redis-cli, redis-benchmark. What comes back is
//! what Debian's redis-server gives for the same commands, and the same data answers PromQL.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::node::Node;
use crate::oracle::{Connection, Redis};
use crate::wire;

pub fn port(address: &str) -> &str {
    address.rsplit(':').next().unwrap()
}

pub fn run(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {status}\n{out}\n{err}");
    out.into_owned()
}

pub fn cli(address: &str, words: &[&str]) -> String {
    run(Command::new("redis-cli").args(["-p", port(address)]).args(words))
}

/// The Python that `tests/setup.sh` makes; without it the test says so and skips.
pub fn python() -> Option<PathBuf> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/.tools/venv/bin/python");
    if !python.exists() {
        println!("skipped: tests/setup.sh has not made its Python environment");
        return None;
    }
    Some(python)
}

/// All lists and hashes, byte for byte.
fn contents(address: &str, keys: &[&str]) -> Vec<String> {
    let mut connection = Connection::open(address);
    let mut found = Vec::new();
    for key in keys {
        found.push(format!("{:?}", connection.call(&["LRANGE", key, "0", "-1"])));
        found.push(format!("{:?}", connection.call(&["HGET", key, "loss"])));
        found.push(format!("{:?}", connection.call(&["HGET", key, "completed_today"])));
        found.push(format!("{:?}", connection.call(&["LLEN", key])));
    }
    found
}

pub fn count(node: &Node, expression: &str) -> f64 {
    let result = node.query(expression, wire::now() as f64 / 1000.0);
    let value = result[0]["value"][1].as_str().unwrap_or("0");
    value.parse().unwrap()
}

#[test]
fn redis_py_pushes_and_promql_answers() {
    let (Some(python), Some(redis)) = (python(), Redis::start()) else { return };
    let keys = [
        "metrics:training:proj-1:loss",
        "metrics:training:proj-1:current",
        "metrics:tasks:completion_times",
        "metrics:tasks:counters",
        "metrics:gpu:gpu-2:temperature",
    ];
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/seed_agent.py");
    for protocol in ["2", "3"] {
        let mut node = Node::start();
        let base = (wire::now() / 1000 - 300).to_string();
        let mut answers = Vec::new();
        cli(&redis.address(), &["FLUSHALL"]);
        for address in [node.redis.clone(), redis.address()] {
            let mut agent = Command::new(&python);
            answers.push(run(agent.arg(&script).args([port(&address), &base, protocol])));
        }
        assert_eq!(answers[0], answers[1]);
        assert_eq!(contents(&node.redis, &keys), contents(&redis.address(), &keys));
        node.kill();
        node.restart();
        assert_eq!(contents(&node.redis, &keys), contents(&redis.address(), &keys));
        assert_eq!(count(&node, r#"count_over_time(training_loss{project="proj-1"}[1h])"#), 50.0);
        let tasks = "sum(count_over_time(tasks_completion_duration_seconds[1h]))";
        assert_eq!(count(&node, tasks), 200.0, "two pushes in a millisecond are two samples");
        assert_eq!(count(&node, "sum(count_over_time(gpu_temperature_celsius[1h]))"), 160.0);
        assert_eq!(count(&node, r#"training_current_wer{project="proj-1"}"#), 12.5);
        assert_eq!(count(&node, "tasks_completed_today"), 200.0);
        assert_eq!(count(&node, "agents_active"), 1.0);
    }
}

#[test]
fn redis_cli_pushes_and_gets_the_bytes_back() {
    let Some(redis) = Redis::start() else { return };
    let node = Node::start();
    let odd =
        "{ \"value\":0.50 , \"step\": 1e1, \"note\":\"\u{fc}\\u00fc\" , \"timestamp\":\"@\" }";
    let at = |seconds: i64| format!("{}", wire::now() / 1000 - seconds);
    let elements: Vec<String> = (0..5).map(|i| odd.replace("\"@\"", &at(100 - i))).collect();
    for element in &elements {
        for address in [&node.redis, &redis.address()] {
            cli(address, &["LPUSH", "metrics:training:proj-1:loss", element]);
        }
    }
    for words in [
        &["LRANGE", "metrics:training:proj-1:loss", "0", "-1"][..],
        &["LRANGE", "metrics:training:proj-1:loss", "1", "2"],
        &["LLEN", "metrics:training:proj-1:loss"],
        &["--json", "LRANGE", "metrics:training:proj-1:loss", "0", "0"],
        &["-3", "TYPE", "metrics:training:proj-1:loss"],
        &["--scan", "--pattern", "metrics:*"],
        &["PUBLISH", "events:alerts:gpu", "x"],
    ] {
        assert_eq!(cli(&node.redis, words), cli(&redis.address(), words), "{words:?}");
    }
    assert_eq!(count(&node, r#"count_over_time(training_loss{project="proj-1"}[5m])"#), 5.0);
    assert_eq!(count(&node, "training_loss_step"), 10.0);
}

#[test]
fn redis_benchmark_runs_and_every_push_is_a_sample() {
    if Redis::start().is_none() {
        return;
    }
    let node = Node::start();
    let benchmark = |words: &[&str]| {
        let mut command = Command::new("redis-benchmark");
        run(command.args(["-p", port(&node.redis), "-q"]).args(words))
    };
    let usual = "ping,set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,lrange_100";
    let shown = benchmark(&["-n", "2000", "-P", "16", "-t", usual]);
    assert!(shown.contains("LRANGE_100"), "{shown}");
    let element = r#"{"value":12.5,"step":__rand_int__}"#;
    benchmark(&[
        "-n",
        "900",
        "-c",
        "20",
        "-P",
        "8",
        "-r",
        "9",
        "LPUSH",
        "metrics:queue:ingest:depth",
        element,
    ]);
    let pushed: f64 =
        cli(&node.redis, &["LLEN", "metrics:queue:ingest:depth"]).trim().parse().unwrap();
    assert!(pushed >= 900.0, "{pushed}");
    // Many pushes share a millisecond; each moves to the next free one, at most 999 on.
    let counted =
        || count(&node, r#"sum(count_over_time(queue_depth{queue="ingest"}[10m] offset -1m))"#);
    assert_eq!(counted(), pushed);
}

/// Lists, hashes, sets, sorted sets, transactions, pipelines, errors and messages, in RESP2 and RESP3.
#[test]
fn ioredis_and_node_redis_see_no_difference() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let modules = root.join("tests/.tools/node/node_modules");
    if !modules.join("redis").exists() || !modules.join("ioredis").exists() {
        println!("skipped: tests/setup.sh has not installed ioredis and node-redis");
        return;
    }
    let Some(redis) = Redis::start() else { return };
    for resp in ["2", "3"] {
        let node = Node::start();
        cli(&redis.address(), &["FLUSHALL"]);
        let agent = |address: &str| {
            let script = root.join("tests/clients/node_agent.mjs");
            run(Command::new("node").arg(script).args([port(address), resp]).arg(&modules))
        };
        let (ours, theirs) = (agent(&node.redis), agent(&redis.address()));
        assert!(theirs.lines().count() > 20, "{theirs}");
        assert_eq!(ours, theirs, "RESP{resp}");
        let keys = ["metrics:training:proj-1:loss"];
        assert_eq!(contents(&node.redis, &keys), contents(&redis.address(), &keys));
    }
}

/// What an agent in Rust does through redis-rs; what it read, as text.
fn redis_rs(address: &str, protocol: &str) -> redis::RedisResult<Vec<String>> {
    const KEY: &str = "metrics:training:proj-1:loss";
    let url = format!("redis://{address}/?protocol={protocol}");
    let client = redis::Client::open(url)?;
    let mut connection = client.get_connection()?;
    let mut told = Vec::new();
    let mut tell = |reply: redis::Value| told.push(format!("{reply:?}"));
    for step in 0..20 {
        let element =
            format!(r#"{{"step":{step},"value":0.5,"timestamp":"2026-11-22T10:00:00Z"}}"#);
        redis::cmd("LPUSH").arg(KEY).arg(element).exec(&mut connection)?;
    }
    tell(redis::cmd("LRANGE").arg(KEY).arg(0).arg(-1).query(&mut connection)?);
    tell(redis::cmd("EXPIRE").arg(KEY).arg(604_800).query(&mut connection)?);
    tell(redis::cmd("HSET").arg("state").arg(&[("a", "1"), ("b", "two")]).query(&mut connection)?);
    tell(redis::cmd("HGETALL").arg("state").query(&mut connection)?);
    tell(redis::cmd("ZADD").arg("marks").arg(1.5).arg("x").query(&mut connection)?);
    tell(redis::cmd("ZSCORE").arg("marks").arg("x").query(&mut connection)?);
    tell(redis::cmd("SADD").arg("team").arg("coder").query(&mut connection)?);
    tell(redis::cmd("SMEMBERS").arg("team").query(&mut connection)?);
    tell(redis::cmd("GET").arg("none").query(&mut connection)?);
    let mut pipe = redis::pipe();
    tell(pipe.atomic().incr("n", 1).incr("n", 2).get("n").query(&mut connection)?);
    tell(redis::pipe().rpush("l", &["a", "b"]).ignore().llen("l").query(&mut connection)?);
    let wrong: redis::RedisResult<()> =
        redis::cmd("LPUSH").arg("state").arg("x").query(&mut connection);
    tell(redis::Value::SimpleString(wrong.unwrap_err().to_string()));
    let mut listener = client.get_connection()?;
    let mut channel = listener.as_pubsub();
    channel.subscribe("events:tasks:updates")?;
    redis::cmd("PUBLISH").arg("events:tasks:updates").arg("done").exec(&mut connection)?;
    let message = channel.get_message()?;
    tell(redis::Value::SimpleString(format!(
        "{} {:?}",
        message.get_channel_name(),
        message.get_payload_bytes()
    )));
    Ok(told)
}

#[test]
fn redis_rs_reads_what_it_reads_of_redis() {
    let Some(redis) = Redis::start() else { return };
    for protocol in ["resp2", "resp3"] {
        let node = Node::start();
        let ours = redis_rs(&node.redis, protocol).unwrap();
        Connection::open(&redis.address()).call(&["FLUSHALL"]);
        assert_eq!(ours, redis_rs(&redis.address(), protocol).unwrap(), "{protocol}");
    }
}
