//! MCP: the official SDK against `/mcp` and `ringwell mcp`; redis-mcp-server's own answers beside
//! ours; the door; the protocol's versions.

use std::path::{Path, PathBuf};
use std::process::Command;

use ringwell::client::Answer;
use serde_json::{Value, json};

use crate::clients::{cli, port, python, run};
use crate::node::{Node, Options};
use crate::oracle::Redis;

fn agent(words: &[&str]) -> Option<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/mcp_agent.py");
    Some(run(Command::new(with_sdk()?).arg(script).args(words)))
}

/// The Python environment, if it has the SDK; an older one says so and the test skips.
fn with_sdk() -> Option<PathBuf> {
    let python = python()?;
    if !official_server(&python).exists() {
        println!("skipped: the Python environment has no MCP SDK; tests/setup.sh adds it");
        return None;
    }
    Some(python)
}

/// redis-mcp-server, as it is installed beside Python.
fn official_server(python: &Path) -> PathBuf {
    python.with_file_name("redis-mcp-server")
}

#[test]
fn the_seed_works_as_written() {
    let node = Node::start();
    if agent(&["seed", "http", &format!("http://{}/mcp", node.http)]).is_none() {
        return;
    }
    let metrics = node.get("/metrics").text();
    let pushes = r#"ringwell_mcp_calls_total{tool="lpush",outcome="ok"} 20"#;
    assert!(metrics.contains(pushes), "{metrics}");
    let secret = node.dir().join("secret");
    std::fs::write(&secret, "s3cret\n").unwrap();
    let secret = secret.to_str().unwrap();
    let node = Options::default().arg("--auth-token-file").arg(secret).start();
    let url = format!("http://{}", node.http);
    let pipe = [env!("CARGO_BIN_EXE_ringwell"), "mcp", "--url", &url, "--auth-token-file", secret];
    agent(&[&["seed", "stdio"][..], &pipe].concat()).unwrap();
}

/// The official server gives the same on the node's Redis port as on Debian's redis-server, and the
/// node's own tools give the same as it.
#[test]
fn every_text_is_redis_mcp_servers() {
    let (Some(python), Some(redis)) = (with_sdk(), Redis::start()) else { return };
    let server = official_server(&python);
    let official = |address: &str| {
        agent(&["replay", "stdio", server.to_str().unwrap(), "--port", port(address)]).unwrap()
    };
    let theirs = official(&redis.address());
    assert!(theirs.lines().count() > 80, "{theirs}");
    let on_node = official(&Node::start().redis);
    let node = Node::start();
    let ours = agent(&["replay", "http", &format!("http://{}/mcp", node.http)]).unwrap();
    for other in [on_node, ours] {
        for (other, theirs) in other.lines().zip(theirs.lines()) {
            assert_eq!(other, theirs);
        }
        assert_eq!(other, theirs);
    }
}

/// The tools for streams, which are not the node's own, do on the node what they do on redis-server.
#[test]
fn the_official_servers_streams_are_redis_s() {
    let (Some(python), Some(redis)) = (with_sdk(), Redis::start()) else { return };
    let server = official_server(&python);
    let run = |address: &str| {
        agent(&["streams", "stdio", server.to_str().unwrap(), "--port", port(address)]).unwrap()
    };
    let theirs = run(&redis.address());
    assert!(theirs.lines().count() > 15, "{theirs}");
    assert_eq!(run(&Node::start().redis), theirs);
}

/// What its `publish` says ends in the lists, which its `lpush` cannot reach.
#[test]
fn the_official_server_publishes_progress() {
    let Some(python) = with_sdk() else { return };
    let node = Node::start();
    let server = official_server(&python);
    agent(&["progress", "stdio", server.to_str().unwrap(), "--port", port(&node.redis)]).unwrap();
    let key = "metrics:training:proj-1:loss";
    node.wait_for("the list", |node| {
        (cli(&node.redis, &["LLEN", key]).trim() == "10").then_some(())
    });
    let newest = cli(&node.redis, &["LINDEX", key, "0"]);
    assert_eq!(
        newest.trim_end(),
        r#"{"step":9,"value":0.25,"timestamp":"2026-11-22T10:00:09.000Z"}"#
    );
    assert_eq!(cli(&node.redis, &["LLEN", "metrics:training:proj-1:wer"]).trim(), "10");
}

const KIND: (&str, &str) = ("Content-Type", "application/json");
const TAKES: (&str, &str) = ("Accept", "application/json, text/event-stream");

fn post(node: &Node, headers: &[(&str, &str)], message: &Value) -> Answer {
    let headers = [&[KIND, TAKES], headers].concat();
    node.post("/mcp", &headers, message.to_string().as_bytes())
}

fn initialize(version: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"},
    }})
}

#[test]
fn every_version_of_the_protocol_that_agents_speak() {
    let node = Node::start();
    let list = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"});
    for version in ["2025-03-26", "2025-06-18", "2025-11-25"] {
        let answer = post(&node, &[], &initialize(version));
        let result: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(result["result"]["protocolVersion"], version, "{}", answer.text());
        assert_eq!(result["result"]["serverInfo"]["name"], "ringwell");
        let versioned = [("MCP-Protocol-Version", version)];
        let (first, second) = (post(&node, &versioned, &list), post(&node, &versioned, &list));
        assert_eq!((first.status, &first.body), (200, &second.body), "{}", first.text());
    }
    // The newest needs no handshake.
    let version = "2026-07-28";
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let call = |method: &str, params: Value| {
        let mut params = params;
        params["_meta"] = meta.clone();
        let message = json!({"jsonrpc": "2.0", "id": 3, "method": method, "params": params});
        let mut headers = vec![("MCP-Protocol-Version", version), ("Mcp-Method", method)];
        headers.extend(message["params"]["name"].as_str().map(|name| ("Mcp-Name", name)));
        let answer = post(&node, &headers, &message);
        serde_json::from_slice::<Value>(&answer.body)
            .unwrap_or_else(|_| panic!("{method}: {} {}", answer.status, answer.text()))
    };
    let found = call("server/discover", json!({}));
    assert!(found["result"]["supportedVersions"].to_string().contains(version), "{found}");
    let tools = call("tools/list", json!({}));
    assert!(tools["result"]["ttlMs"].is_u64(), "{tools}");
    let arguments = json!({"name": "k", "value": "{\"a\": 1}"});
    let pushed = call("tools/call", json!({"name": "lpush", "arguments": arguments}));
    assert_eq!(pushed["result"]["resultType"], "complete", "{pushed}");
    let arguments = json!({"name": "k"});
    let length = call("tools/call", json!({"name": "llen", "arguments": arguments}));
    assert_eq!(length["result"]["structuredContent"]["result"], 1, "{length}");
}

#[test]
fn the_door_stands_before_the_tools() {
    let node = Options::default().arg("--set").arg("auth.token=s3cret").start();
    let hello = initialize("2025-06-18");
    let secret = ("Authorization", "Bearer s3cret");
    for (headers, status) in [
        (&[][..], 401),
        (&[("Authorization", "Bearer other")], 401),
        (&[secret], 200),
        (&[secret, ("Host", "evil.example")], 403),
        (&[secret, ("Origin", "http://evil.example")], 403),
    ] {
        assert_eq!(post(&node, headers, &hello).status, status, "{headers:?}");
    }
    // There is nothing to listen to and no session to end.
    let target = client_get(&node, secret);
    assert_eq!(target.status, 405, "{}", target.text());
    for body in ["", "{", "[]", "{\"jsonrpc\":\"2.0\"}"] {
        let answer = node.post("/mcp", &[KIND, TAKES, secret], body.as_bytes());
        assert!((400..500).contains(&answer.status), "{body}: {}", answer.text());
    }
}

fn client_get(node: &Node, secret: (&str, &str)) -> Answer {
    let headers = [("Accept", "text/event-stream"), secret];
    ringwell::client::send(&node.http, "GET", "/mcp", &headers, b"").unwrap()
}
