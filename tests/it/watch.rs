//! The node watches its host and itself.

use serde_json::Value;

use crate::node::{Node, Options};
use crate::wire::now;

fn value(node: &Node, expression: &str) -> Option<f64> {
    let result = node.query(expression, now() as f64 / 1000.0);
    result[0]["value"][1].as_str()?.parse().ok()
}

#[test]
fn host_and_node_are_ordinary_series() {
    let node =
        Options::default().collectors().variable("RINGWELL_COLLECT_INTERVAL", "200ms").start();
    node.wait_for("a few rounds", |node| {
        value(node, "ringwell_collect_duration_seconds_count").filter(|rounds| *rounds >= 4.0)
    });
    let host = node.query("up{job=\"node\"}", now() as f64 / 1000.0);
    let hostname = host[0]["metric"]["instance"].as_str().unwrap().to_owned();
    let own = node.query("up{job=\"ringwell\"}", now() as f64 / 1000.0);
    assert_eq!(own[0]["metric"]["instance"], Value::from(node.http.as_str()));
    for (name, job) in [
        ("node_cpu_seconds_total", "node"),
        ("node_memory_MemAvailable_bytes", "node"),
        ("node_load1", "node"),
        ("node_boot_time_seconds", "node"),
        ("node_network_receive_bytes_total", "node"),
        ("process_resident_memory_bytes", "ringwell"),
        ("process_cpu_seconds_total", "ringwell"),
        ("process_open_fds", "ringwell"),
        ("ringwell_store_series", "ringwell"),
    ] {
        assert!(value(&node, &format!("{name}{{job=\"{job}\"}}")).is_some(), "{name}");
    }
    let uname = node.query("node_uname_info", now() as f64 / 1000.0);
    assert_eq!(uname[0]["metric"]["nodename"], hostname.as_str());
    let resident = value(&node, "process_resident_memory_bytes").unwrap();
    assert!((1e6..1e9).contains(&resident), "{resident}");

    let rounds = value(&node, "ringwell_collect_duration_seconds_count").unwrap();
    let seconds = value(&node, "ringwell_collect_duration_seconds_sum").unwrap();
    assert!(seconds / rounds < 0.1, "a round takes {} s", seconds / rounds);

    let page = node.get("/metrics").text();
    for line in ["# TYPE node_load1 gauge", "# TYPE ringwell_http_requests_total counter"] {
        assert!(page.contains(line), "{line}");
    }
}
