//! Who comes in: names, origins and the secret, on every kind of route.

use ringwell::client::send;

use crate::node::{Node, Options, command};

const UPGRADE: [(&str, &str); 4] = [
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Connection", "Upgrade"),
];

fn status(node: &Node, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
    send(&node.http, method, path, headers, b"").unwrap().status
}

#[test]
fn a_foreign_name_or_page_is_refused_everywhere() {
    let node = Node::start();
    let ours = node.http.clone();
    let local = format!("http://{ours}");
    let routes = [
        ("GET", "/api/v1/query?query=1"),
        ("POST", "/api/v1/write"),
        ("GET", "/"),
        ("GET", "/metrics"),
        ("GET", "/api/v1/live"),
        ("POST", "/api/v1/demo/stop"),
        ("GET", "/-/ready"),
    ];
    for (method, path) in routes {
        for headers in [
            &[("Host", "evil.example")][..],
            &[("Host", "localhost.evil.example:9680")],
            &[("Host", ""), ("Origin", "http://evil.example")],
            &[("Origin", "http://evil.example")],
            &[("Origin", "http://127.0.0.1:1")],
            &[("Origin", "null")],
        ] {
            assert_eq!(status(&node, method, path, headers), 403, "{method} {path} {headers:?}");
        }
        let allowed = status(&node, method, path, &[("Origin", &local)]);
        assert_ne!(allowed, 403, "{method} {path}");
    }
    let mut socket = UPGRADE.to_vec();
    socket.push(("Origin", "http://evil.example"));
    assert_eq!(status(&node, "GET", "/api/v1/live", &socket), 403);
    assert_eq!(status(&node, "GET", "/-/healthy", &[("Host", "localhost")]), 200);
}

#[test]
fn a_listed_name_comes_in() {
    let node = Options::default().variable("RINGWELL_HTTP_ALLOWED_HOSTS", "ui.example").start();
    let headers = [("Host", "ui.example"), ("Origin", "https://ui.example")];
    assert_eq!(status(&node, "GET", "/api/v1/node", &headers), 200);
    assert_eq!(status(&node, "GET", "/api/v1/node", &[("Host", "other.example")]), 403);
}

#[test]
fn the_secret_opens_and_nothing_else_does() {
    let node = Options::default().variable("RINGWELL_AUTH_TOKEN", "s3cret").start();
    // "any:s3cret", ":s3cret" and "s3cret:" in Base64.
    let opens = ["Bearer s3cret", "Basic YW55OnMzY3JldA==", "Basic OnMzY3JldA=="];
    let does_not = ["Bearer s3cre", "Bearer s3crett", "Basic czNjcmV0Og==", "s3cret", ""];
    for path in ["/", "/api/v1/node", "/api/v1/labels", "/metrics", "/nowhere", "/api/v1/live"] {
        for secret in does_not {
            let answer = send(&node.http, "GET", path, &[("Authorization", secret)], b"").unwrap();
            assert_eq!(answer.status, 401, "{path} {secret:?}");
            assert!(answer.header("www-authenticate").unwrap().starts_with("Basic "));
        }
        for secret in opens {
            let status = status(&node, "GET", path, &[("Authorization", secret)]);
            assert_ne!(status, 401, "{path} {secret:?}");
        }
    }
    for path in ["/-/healthy", "/-/ready"] {
        assert_eq!(status(&node, "GET", path, &[]), 200, "{path}");
    }
    assert_eq!(status(&node, "POST", "/api/v1/write", &[]), 401);
    assert!(!node.log().contains("s3cret"));
    let flags =
        send(&node.http, "GET", "/api/v1/status/flags", &[("Authorization", opens[0])], b"");
    assert!(!flags.unwrap().text().contains("s3cret"));
}

#[test]
fn the_command_line_gives_the_secret_too() {
    let node = Options::default().variable("RINGWELL_AUTH_TOKEN", "s3cret").start();
    let url = format!("http://{}", node.http);
    let ask = |secret: Option<&str>| {
        let mut query = command();
        query.args(["query", "--url", &url, "1+1"]);
        query.envs(secret.map(|secret| ("RINGWELL_AUTH_TOKEN", secret)));
        query.output().unwrap()
    };
    let refused = ask(None);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("asks for its secret"));
    let answered = ask(Some("s3cret"));
    assert_eq!(String::from_utf8_lossy(&answered.stdout), "2\n");
}
