//! The live socket: subscriptions, their answers, and what it refuses.

use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket, client};

use crate::node::{Node, Options};

struct Socket(WebSocket<TcpStream>);

impl Socket {
    fn open(node: &Node) -> Socket {
        let stream = TcpStream::connect(&node.http).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let (socket, _) = client(format!("ws://{}/api/v1/live", node.http), stream).unwrap();
        Socket(socket)
    }

    fn send(&mut self, frame: &Value) {
        self.0.send(Message::text(frame.to_string())).unwrap();
    }

    fn read(&mut self) -> Value {
        loop {
            if let Message::Text(text) = self.0.read().unwrap() {
                return serde_json::from_str(text.as_str()).unwrap();
            }
        }
    }
}

#[test]
fn a_query_is_answered_again_and_again() {
    let node = Node::start();
    let mut socket = Socket::open(&node);
    socket.send(&json!({ "id": 7, "subscribe": { "query": "1+1", "everyMs": 250 } }));
    for seq in 1..=3 {
        let frame = socket.read();
        assert_eq!((&frame["id"], &frame["seq"]), (&json!(7), &json!(seq)));
        assert_eq!(frame["data"]["resultType"], "scalar");
        assert_eq!(frame["data"]["result"], json!([frame["t"], "2"]));
    }
    socket.send(&json!({ "id": 8, "subscribe": { "query": "sum(", "everyMs": 60_000 } }));
    let error = std::iter::repeat_with(|| socket.read()).find(|frame| frame["id"] == 8).unwrap();
    assert_eq!(error["errorType"], "bad_data");
    assert!(error["error"].as_str().unwrap().contains("parse error"), "{error}");
    socket.send(&json!({ "id": 7, "unsubscribe": true }));
    socket.send(&json!({ "id": 9, "subscribe": { "query": "3", "everyMs": 60_000 } }));
    std::iter::repeat_with(|| socket.read()).find(|frame| frame["id"] == 9).unwrap();
    socket.0.get_ref().set_read_timeout(Some(Duration::from_millis(600))).unwrap();
    assert!(socket.0.read().is_err(), "nothing comes after unsubscribing");
}

#[test]
fn what_is_not_understood_is_said() {
    let node = Options::default().arg("--set").arg("limits.live_subscriptions=1").start();
    let mut socket = Socket::open(&node);
    let mut ask = |frame: Value| {
        socket.send(&frame);
        let answer = socket.read();
        (answer["id"].clone(), answer["error"].as_str().unwrap_or_default().to_owned())
    };
    for (frame, id, text) in [
        (
            json!({ "id": 1, "subscribe": { "query": "1", "everyMs": 10 } }),
            json!(1),
            "everyMs must be at least 250",
        ),
        (
            json!({ "id": 2, "subscribe": { "events": "all" } }),
            json!(2),
            "no events \"all\"; there are: keys",
        ),
        (json!({ "id": 3 }), json!(3), "neither subscribe nor unsubscribe"),
        (json!({ "what": 1 }), Value::Null, "not understood"),
        (json!({ "id": 4, "subscribe": { "query": "1", "everyMs": 60_000 } }), json!(4), ""),
        (
            json!({ "id": 5, "subscribe": { "events": "keys" } }),
            json!(5),
            "more than 1 subscriptions",
        ),
    ] {
        let (got_id, got) = ask(frame.clone());
        assert_eq!(got_id, id, "{frame}");
        assert!(got.starts_with(text), "{frame}: {got}");
    }
}

#[test]
fn a_stop_closes_the_socket() {
    let mut node = Node::start();
    let mut socket = Socket::open(&node);
    socket.send(&json!({ "id": 1, "subscribe": { "query": "1", "everyMs": 60_000 } }));
    socket.read();
    let started = std::time::Instant::now();
    assert_eq!(node.stop().code(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(matches!(socket.0.read(), Ok(Message::Close(_))));
}
