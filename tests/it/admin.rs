//! Prometheus's admin paths: off unless switched on, behind the secret, and in the same words as
//! Prometheus's own.

use serde_json::{Value, json};

use crate::node::{Node, Options, data};
use crate::wire::{HEADERS, body, now, series};

const SWITCH: &str = "--web.enable-admin-api";

fn ask(node: &Node, target: &str) -> (u16, Value) {
    let answer = node.post(target, &[], b"");
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or(Value::Null))
}

fn error(kind: &str, text: &str) -> Value {
    json!({ "status": "error", "errorType": kind, "error": text })
}

fn write(node: &Node, t: i64) {
    let samples = [(t - 2000, 1.0), (t - 1000, 2.0), (t, 3.0)];
    let request = body(vec![
        series(&[("__name__", "m"), ("job", "a")], &samples),
        series(&[("__name__", "m"), ("job", "b")], &samples),
        series(&[("__name__", "other")], &samples),
    ]);
    assert_eq!(node.post("/api/v1/write", &HEADERS, &request).status, 204);
}

#[test]
fn they_are_off_by_default() {
    let node = Node::start();
    for path in ["delete_series?match[]=up", "clean_tombstones", "snapshot"] {
        let answer = ask(&node, &format!("/api/v1/admin/tsdb/{path}"));
        assert_eq!(answer, (500, error("unavailable", "admin APIs disabled")), "{path}");
    }
    assert_eq!(node.get("/api/v1/admin/tsdb/snapshot").status, 405);
}

#[test]
fn series_are_deleted_and_stay_so() {
    let mut node = Options::default().arg(SWITCH).start();
    let t = now() / 1000 * 1000;
    write(&node, t);
    let delete =
        |node: &Node, rest: &str| ask(node, &format!("/api/v1/admin/tsdb/delete_series?{rest}"));
    let bad = |text: &str| (400, error("bad_data", text));
    assert_eq!(delete(&node, ""), bad("no match[] parameter provided"));
    assert_eq!(
        delete(&node, "match[]=m&start=x"),
        bad(
            "invalid parameter \"start\": invalid time value for 'start': cannot parse \"x\" to a valid timestamp"
        )
    );
    assert_eq!(
        delete(&node, "match[]=m%7B"),
        bad(
            "invalid parameter \"match[]\": 1:3: parse error: unexpected end of input inside braces"
        )
    );
    assert_eq!(delete(&node, "match[]=%7Bx=~%22.*%22%7D").0, 400, "nobody means everything");
    let counts = |node: &Node| {
        let counted =
            node.query("sort_desc(count_over_time({__name__=~\".+\"}[1m]))", t as f64 / 1000.0);
        let counted = counted.as_array().unwrap().iter();
        counted.map(|s| format!("{}={}", s["metric"]["job"], s["value"][1])).collect::<Vec<_>>()
    };
    let middle = (t - 1000) as f64 / 1000.0;
    let one = format!("match[]=m%7Bjob=%22a%22%7D&start={middle}&end={middle}");
    assert_eq!(delete(&node, &one), (204, Value::Null));
    assert_eq!(delete(&node, "match[]=other&match[]=nobody"), (204, Value::Null));
    let left = ["\"b\"=\"3\"", "\"a\"=\"2\""];
    assert_eq!(counts(&node), left);
    assert_eq!(data(&node.get("/api/v1/label/__name__/values")), json!(["m"]));
    node.kill();
    node.restart();
    assert_eq!(counts(&node), left);
    assert_eq!(ask(&node, "/api/v1/admin/tsdb/clean_tombstones"), (204, Value::Null));
    assert_eq!(counts(&node), left);
}

#[test]
fn snapshots_have_a_name() {
    let node = Options::default().arg(SWITCH).start();
    write(&node, now());
    let (status, answer) = ask(&node, "/api/v1/admin/tsdb/snapshot?skip_head=false");
    assert_eq!((status, &answer["status"]), (200, &json!("success")));
    let name = answer["data"]["name"].as_str().unwrap();
    assert!(node.data_dir().join("snapshots").join(name).join("MANIFEST").is_file());
    let (status, answer) = ask(&node, "/api/v1/admin/tsdb/snapshot?skip_head=maybe");
    assert_eq!((status, &answer["errorType"]), (400, &json!("bad_data")));
    assert_eq!(ask(&node, "/api/v1/admin/tsdb/snapshot?skip_head=1").0, 400);
}

#[test]
fn the_secret_guards_them() {
    let node = Options::default().arg(SWITCH).variable("RINGWELL_AUTH_TOKEN", "s").start();
    assert_eq!(node.post("/api/v1/admin/tsdb/clean_tombstones", &[], b"").status, 401);
    let bearer = [("Authorization", "Bearer s")];
    assert_eq!(node.post("/api/v1/admin/tsdb/clean_tombstones", &bearer, b"").status, 204);
}
