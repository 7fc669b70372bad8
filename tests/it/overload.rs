//! Clients that take their time or ask for too much do not keep others out.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::moving::metric;
use crate::node::{Node, Options};
use crate::wire::{HEADERS, body, now, series};

fn set(options: Options, assignment: &str) -> Options {
    options.arg("--set").arg(assignment)
}

/// Connects and sends this much.
fn connect(node: &Node, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(&node.http).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    stream
}

fn read_all(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    // Closed with a reset or with an end: both are an end here.
    let _ = stream.read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn half_a_head_is_not_waited_for() {
    let node =
        set(set(Options::default(), "limits.head_time=300ms"), "limits.http_connections=3").start();
    let started = Instant::now();
    let half = ["", "GET /-/ready HTTP/1.1\r\n", "GET /-/ready HTTP/1.1\r\nHost: local"];
    let slow: Vec<_> = half.iter().map(|text| connect(&node, text)).collect();
    assert_eq!(node.get("/-/ready").status, 200, "answered once there is room");
    for stream in slow {
        assert!(!read_all(stream).contains(" 200 "));
    }
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[test]
fn a_body_that_does_not_come_is_given_up() {
    let node = set(Options::default(), "limits.body_time=300ms").start();
    let head = format!(
        "POST /api/v1/write HTTP/1.1\r\nHost: {}\r\nContent-Length: 100\r\n\r\nhalf",
        node.http
    );
    assert!(read_all(connect(&node, &head)).starts_with("HTTP/1.1 408"));
}

#[test]
fn beyond_the_room_for_requests_senders_are_asked_to_come_again() {
    let node =
        set(set(Options::default(), "limits.ingest_in_flight=64KiB"), "limits.ingest_queue=200ms")
            .start();
    let head = format!(
        "POST /api/v1/write HTTP/1.1\r\nHost: {}\r\nContent-Length: 65536\r\n\r\nhalf",
        node.http
    );
    let holds_the_room = connect(&node, &head);
    // A small request that comes first may leave the large one without room in time.
    node.wait_for("the room is taken", |node| {
        (metric(node, "ringwell_ingest_in_flight_bytes") == 65_536.0).then_some(())
    });
    let request = body(vec![series(&[("__name__", "o")], &[(now(), 1.0)])]);
    let refused = node.wait_for("a refusal", |node| {
        let answer = node.post("/api/v1/write", &HEADERS, &request);
        (answer.status == 503).then_some(answer)
    });
    assert_eq!(refused.header("retry-after"), Some("5"));
    drop(holds_the_room);
    node.wait_for("room", |node| {
        (node.post("/api/v1/write", &HEADERS, &request).status == 204).then_some(())
    });
}

#[test]
fn strange_requests_are_answered_and_survived() {
    let node = Node::start();
    let host = format!("Host: {}\r\nConnection: close\r\n", node.http);
    let many_headers = "X: y\r\n".repeat(10_000);
    let many_params = "a=b&".repeat(20_000);
    for (request, status) in [
        ("NONSENSE\r\n\r\n".to_owned(), " 400 "),
        (format!("GET /-/ready HTTP/1.1\r\n{host}{many_headers}\r\n"), " 431 "),
        (format!("GET /api/v1/labels?{many_params} HTTP/1.1\r\n{host}\r\n"), ""),
        (format!("POST /api/v1/write HTTP/1.1\r\n{host}Content-Length: -1\r\n\r\n"), " 400 "),
        (
            format!(
                "POST /api/v1/write HTTP/1.1\r\n{host}Content-Length: 1\r\nContent-Length: 2\r\n\r\n"
            ),
            " 400 ",
        ),
        (
            format!(
                "POST /api/v1/write HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\nzz\r\n"
            ),
            " 400 ",
        ),
        (
            format!("POST /api/v1/write HTTP/1.1\r\n{host}Content-Length: 99999999999\r\n\r\n"),
            " 413 ",
        ),
    ] {
        let answer = read_all(connect(&node, &request));
        let first = answer.lines().next().unwrap_or_default();
        assert!(first.contains(status), "{:.60}: {first}", request);
        assert_eq!(node.get("/-/ready").status, 200);
    }
}

#[test]
fn a_compressed_import_is_bounded_after_decompression() {
    let node = set(Options::default(), "limits.body_decoded=1MiB").start();
    // Four million newlines make four kilobytes.
    let dir = node.dir().join("newlines");
    std::fs::write(&dir, vec![b'\n'; 4 << 20]).unwrap();
    let zipped = std::process::Command::new("gzip").args(["-9", "-c"]).arg(&dir).output().unwrap();
    let headers = [("Content-Encoding", "gzip")];
    assert_eq!(node.post("/api/v1/import/prometheus", &headers, &zipped.stdout).status, 413);
    std::fs::write(&dir, format!("z 1 {}\n", now())).unwrap();
    let zipped = std::process::Command::new("gzip").arg("-c").arg(&dir).output().unwrap();
    assert_eq!(node.post("/api/v1/import/prometheus", &headers, &zipped.stdout).status, 204);
}

/// A query that reads much: its timeout, its stop when the client goes, and its place in the queue.
#[test]
fn long_queries_end_in_time_and_with_their_client() {
    let node = set(
        set(
            set(Options::default().arg("--retention").arg("0"), "limits.query_concurrency=1"),
            "limits.query_queue=200ms",
        ),
        "limits.query_time=20s",
    )
    .start();
    let samples: Vec<(i64, f64)> = (0..20_000).map(|i| (i * 1_000, i as f64)).collect();
    let all: Vec<_> = ["a", "b", "c", "d"]
        .map(|job| series(&[("__name__", "long"), ("job", job)], &samples))
        .into();
    assert_eq!(node.post("/api/v1/write", &HEADERS, &body(all)).status, 204);
    // Each of 10,000 steps looks at up to 20,000 samples of each series.
    let long =
        "/api/v1/query_range?query=quantile_over_time(0.5,long[6h])&start=0&end=20000&step=2";

    let started = Instant::now();
    let timed_out = node.get(&format!("{long}&timeout=300ms"));
    assert_eq!(timed_out.status, 503, "{}", timed_out.text());
    assert!(timed_out.text().contains("\"errorType\":\"timeout\""), "{}", timed_out.text());
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());

    let running = |node: &Node| {
        let page = node.get("/metrics").text();
        page.contains("ringwell_queries_running 1\n")
    };
    let client = connect(&node, &format!("GET {long} HTTP/1.1\r\nHost: {}\r\n\r\n", node.http));
    node.wait_for("the query to run", |node| running(node).then_some(()));
    let refused = node.get("/api/v1/query?query=1");
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(refused.header("retry-after"), Some("5"));
    let started = Instant::now();
    drop(client);
    node.wait_for("the query to stop", |node| (!running(node)).then_some(()));
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert_eq!(node.get("/api/v1/query?query=1").status, 200);
}
