//! The operator's tools: a snapshot under load is verified, restored, and answers.

use std::process::Output;

use crate::node::{Node, Options, command};
use crate::wire::{HEADERS, body, now, series};

fn tool(arguments: &[&str]) -> Output {
    command().args(arguments).output().unwrap()
}

#[test]
fn a_snapshot_of_a_running_node_is_restored_elsewhere() {
    let mut node = Node::start();
    let t = now() / 1000 * 1000;
    let write = |node: &Node, t: i64, v: f64| {
        let request = body(vec![series(&[("__name__", "s")], &[(t, v)])]);
        assert_eq!(node.post("/api/v1/write", &HEADERS, &request).status, 204);
    };
    write(&node, t - 2_000, 1.0);
    let taken = tool(&["snapshot", "--url", &format!("http://{}", node.http)]);
    assert!(taken.status.success(), "{taken:?}");
    let snapshot = String::from_utf8(taken.stdout).unwrap().trim().to_owned();
    write(&node, t - 1_000, 2.0);
    let verified = tool(&["verify", "--data-dir", &snapshot]);
    assert!(verified.status.success(), "{verified:?}");
    let target = node.dir().join("restored");
    let target_text = target.display().to_string();
    let restored = tool(&["restore", &snapshot, "--data-dir", &target_text]);
    assert!(restored.status.success(), "{restored:?}");
    let again = tool(&["restore", &snapshot, "--data-dir", &target_text]);
    assert!(!again.status.success(), "a directory in use is not overwritten");
    let mut other = Options::default().data_in(target).start();
    let value = |node: &Node| node.query("s", t as f64 / 1000.0)[0]["value"][1].clone();
    assert_eq!((value(&other), value(&node)), ("1".into(), "2".into()));
    other.kill();
    node.stop();
    let verified = tool(&["verify", "--data-dir", &node.data_dir().display().to_string()]);
    assert!(verified.status.success(), "{verified:?}");
}
