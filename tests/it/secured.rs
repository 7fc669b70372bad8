//! TLS of the node's own ports: real Redis servers follow it, real clients of both faces call it; who shows nothing or
//! the wrong thing is refused; files change while it runs. `RINGWELL_VALKEY_TLS` names a Valkey that is built with TLS
//! and follows too.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::clients::{port, python, run};
use crate::follow::{Draw, Link, Server, all_online, end_equal, fulls, partials, send_all};
use crate::moving::metric;
use crate::node::{Node, Options, command};
use crate::oracle::{Connection, Reply};
use crate::prometheus::{free_address, installed, start};
use crate::tls::{certificates, server, sign};
use crate::wire;

/// A node whose faces both answer with TLS too.
fn secured(dir: &Path) -> Options {
    Options::default()
        .arg("--http-tls-listen=127.0.0.1:0")
        .arg("--redis-tls-listen=127.0.0.1:0")
        .arg(format!("--tls-cert-file={}", file(dir, "redis.pem")))
        .arg(format!("--tls-key-file={}", file(dir, "redis.key")))
}

/// The same, and clients of Redis's protocol have to show a certificate of the authority's.
fn mutual(dir: &Path) -> Options {
    secured(dir).arg(format!("--set=redis.tls_client_ca_file={}", file(dir, "ca.pem")))
}

fn file(dir: &Path, name: &str) -> String {
    dir.join(name).display().to_string()
}

/// What redis-cli says who trusts an authority and may show a certificate; in time, or it is killed.
fn cli(dir: &Path, address: &str, authority: &str, shows: Option<&str>, words: &[&str]) -> Output {
    let mut cli = Command::new("timeout");
    cli.args(["20", "redis-cli", "--tls", "-h", "127.0.0.1", "-p", port(address), "--cacert"]);
    cli.arg(dir.join(authority));
    if let Some(name) = shows {
        cli.arg("--cert").arg(dir.join(format!("{name}.pem")));
        cli.arg("--key").arg(dir.join(format!("{name}.key")));
    }
    cli.args(words).output().unwrap()
}

fn pongs(output: &Output) -> bool {
    output.stdout == b"PONG\n"
}

/// Handshakes of a face that ended so.
fn handshakes(node: &Node, face: &str, result: &str) -> f64 {
    let line = format!("ringwell_tls_handshakes_total{{face=\"{face}\",result=\"{result}\"}}");
    metric(node, &line)
}

#[test]
fn redis_servers_follow_with_tls() {
    let Some(dir) = certificates() else { return };
    let dir = dir.path();
    let mut node = mutual(dir).start();
    let link = Link::to(&node.rediss);
    let mut admin = Connection::open(&node.redis);
    admin.call(&["ACL", "SETUSER", "copy", "on", ">hush", "+psync", "+replconf", "+ping"]);
    let mut client = TcpStream::connect(&node.redis).unwrap();
    let mut draw = Draw(41);
    assert!(send_all(&mut client, &draw.pipeline(400)));
    // An RDB file that goes over several records.
    let long = "x".repeat(3 << 20);
    admin.call(&["SET", "long", &long]);
    let follow = format!("127.0.0.1 {}", port(&link.address));
    let (cert, key, ca) = (file(dir, "redis.pem"), file(dir, "redis.key"), file(dir, "ca.pem"));
    let arguments = [
        ["--replicaof", follow.as_str()],
        ["--tls-replication", "yes"],
        ["--tls-cert-file", &cert],
        ["--tls-key-file", &key],
        ["--tls-ca-cert-file", &ca],
        ["--masteruser", "copy"],
        ["--masterauth", "hush"],
    ];
    // Both ways to take an RDB file: by way of a file of their own, and straight from the stream.
    let mut servers = Vec::new();
    let valkey = std::env::var("RINGWELL_VALKEY_TLS").ok();
    let valkey = valkey.iter().map(|program| (program.as_str(), "disabled"));
    let redis = [("redis-server", "disabled"), ("redis-server", "swapdb")];
    for (program, load) in redis.into_iter().chain(valkey) {
        let all = [&arguments.concat()[..], &["--repl-diskless-load", load]].concat();
        let Some(server) = Server::start(Path::new(program), &all) else { return };
        servers.push(server);
    }
    all_online(&node, servers.len());
    end_equal(&node, &servers);
    // It is spelled out at every comparison.
    admin.call(&["DEL", "long"]);
    let before = fulls(&node);
    for _ in 0..3 {
        assert!(send_all(&mut client, &draw.pipeline(150)));
        link.cut();
        assert!(send_all(&mut client, &draw.pipeline(150)));
        end_equal(&node, &servers);
    }
    assert_eq!(fulls(&node), before);
    let count = servers.len() as u64;
    assert!(partials(&node) >= 3 * count, "{}", partials(&node));
    // What is acknowledged over TLS counts.
    let waited = admin.call(&["WAIT", &count.to_string(), "20000"]);
    assert_eq!(waited, Reply::Line(':', count.to_string()));
    // The same after the node was killed.
    node.kill();
    node.restart();
    link.leads_to(&node.rediss);
    link.cut();
    all_online(&node, servers.len());
    let mut client = TcpStream::connect(&node.redis).unwrap();
    assert!(send_all(&mut client, &draw.pipeline(150)));
    end_equal(&node, &servers);
    assert_eq!((fulls(&node), partials(&node)), (0, count));
}

/// A node that follows with TLS tells where it answers in the same way, as a Redis does.
#[test]
fn a_node_that_follows_names_its_port_of_the_same_kind() {
    let Some(made) = certificates() else { return };
    let dir = made.path();
    let Some((source, address, query)) = server(dir) else { return };
    for (url, own) in [
        (format!("rediss://{address}?{query}"), true),
        (format!("redis://{}", source.address()), false),
    ] {
        let node = secured(dir).arg(format!("--replica-of={url}")).start();
        let port = port(if own { &node.rediss } else { &node.redis });
        node.wait_for("the source to know it", |_| {
            let told = Connection::open(&source.address()).call(&["INFO", "replication"]);
            format!("{told:?}").contains(&format!("port={port},")).then_some(())
        });
        let told = format!(
            "{:?}",
            Connection::open(&node.redis).call(&["CONFIG", "GET", "tls-replication"])
        );
        assert!(told.contains(if own { "yes" } else { "no" }), "{told}");
    }
}

/// Links cut at random in the midst of records: a torn one ends a connection and nothing else.
#[test]
fn torn_records_cost_no_row() {
    let Some(dir) = certificates() else { return };
    let dir = dir.path();
    let node = secured(dir).start();
    let link = Link::to(&node.rediss);
    let follow = format!("127.0.0.1 {}", port(&link.address));
    let ca = file(dir, "ca.pem");
    let arguments = [
        ["--replicaof", follow.as_str()],
        ["--tls-replication", "yes"],
        ["--tls-ca-cert-file", &ca],
        ["--tls-cert-file", &file(dir, "redis.pem")],
        ["--tls-key-file", &file(dir, "redis.key")],
    ];
    let Some(server) = Server::start(Path::new("redis-server"), &arguments.concat()) else {
        return;
    };
    all_online(&node, 1);
    let mut client = TcpStream::connect(&node.redis).unwrap();
    let mut draw = Draw(43);
    link.chaos.store(60, std::sync::atomic::Ordering::SeqCst);
    for _ in 0..20 {
        assert!(send_all(&mut client, &draw.pipeline(60)));
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    link.chaos.store(0, std::sync::atomic::Ordering::SeqCst);
    end_equal(&node, std::slice::from_ref(&server));
}

#[test]
fn redis_clients_speak_tls() {
    let Some(dir) = certificates() else { return };
    let dir = dir.path();
    let node = mutual(dir).variable("RINGWELL_AUTH_TOKEN", "hush").start();
    if installed("redis-cli").is_none() {
        return println!("skipped: there is no redis-cli on this machine");
    }
    let at = node.rediss.clone();
    // The secret counts as on the plain port.
    let told = cli(dir, &at, "ca.pem", Some("redis"), &["PING"]);
    assert!(String::from_utf8_lossy(&told.stdout).starts_with("NOAUTH"), "{told:?}");
    let said = |words: &[&str]| {
        let words = [&["--no-auth-warning", "-a", "hush"], words].concat();
        let told = cli(dir, &at, "ca.pem", Some("redis"), &words);
        assert!(told.status.success(), "{told:?}");
        String::from_utf8_lossy(&told.stdout).trim().to_owned()
    };
    assert_eq!(said(&["PING"]), "PONG");
    assert_eq!(said(&["CONFIG", "GET", "tls-port"]), format!("tls-port\n{}", port(&at)));
    assert_eq!(said(&["CONFIG", "GET", "tls-auth-clients"]), "tls-auth-clients\nyes");
    let list = said(&["CLIENT", "LIST"]);
    assert!(list.contains(&format!("laddr={at} ")), "{list}");
    // Nobody is let in who trusts or shows the wrong thing, or shows nothing.
    sign(dir, "stranger", "other");
    for (authority, shows) in
        [("other.pem", Some("redis")), ("ca.pem", None), ("ca.pem", Some("stranger"))]
    {
        let told = cli(dir, &at, authority, shows, &["-a", "hush", "PING"]);
        assert!(!pongs(&told) && !told.status.success(), "{authority} {shows:?}: {told:?}");
    }
    let Some(python) = python() else { return };
    let script = r#"
import sys, redis
port, ca, cert, key = sys.argv[1:]
files = dict(ssl_ca_certs=ca, ssl_certfile=cert, ssl_keyfile=key)
clients = [redis.Redis('127.0.0.1', int(port), ssl=True, password='hush', protocol=p, **files) for p in (2, 3)]
clients.append(redis.from_url(f'rediss://:hush@127.0.0.1:{port}', **files))
for r in clients:
    r.flushall()
    long = bytes(range(256)) * 20000
    r.set('long', long)
    assert r.get('long') == long
    pipe = r.pipeline(transaction=False)
    for i in range(5000):
        pipe.rpush('list', 'x' * (i % 400))
    pipe.lrange('list', 0, -1)
    *lengths, all = pipe.execute()
    assert lengths == list(range(1, 5001)) and [len(x) for x in all] == [i % 400 for i in range(5000)]
    heard = r.pubsub(ignore_subscribe_messages=True)
    heard.subscribe('news')
    heard.get_message(timeout=5)
    assert r.publish('news', 'm') == 1
    while not (message := heard.get_message(timeout=5)): pass
    assert message['data'] == b'm'
    assert r.blpop('none', timeout=0.2) is None
    with r.pipeline() as p:
        p.multi(); p.set('k', 'v'); p.get('k')
        assert p.execute() == [True, b'v']
# One that sends a byte at a time and does not read for a while.
import socket, ssl, time
context = ssl.create_default_context(cafile=ca)
context.load_cert_chain(cert, key)
slow = context.wrap_socket(socket.create_connection(('127.0.0.1', int(port))), server_hostname='127.0.0.1')
for byte in b'AUTH hush\r\n':
    slow.sendall(bytes([byte]))
assert slow.recv(100) == b'+OK\r\n'
slow.sendall(b'GET long\r\n' * 8)
time.sleep(1)
wanted, got = b'$%d\r\n%s\r\n' % (len(long), long) * 8, bytearray()
while len(got) < len(wanted):
    piece = slow.recv(1 << 20)
    assert piece
    got += piece
assert got == wanted
# Its buffers are given back after two seconds.
time.sleep(3)
slow.sendall(b'ECHO late\r\n')
assert slow.recv(100) == b'$4\r\nlate\r\n'
try:
    redis.Redis('127.0.0.1', int(port), password='hush').ping()
    assert False, 'plain'
except redis.ConnectionError: pass
"#;
    let files = ["ca.pem", "redis.pem", "redis.key"].map(|name| file(dir, name));
    run(Command::new(python).args(["-c", script, port(&at)]).args(files));
    // A client may try again by itself.
    let headers = [("Authorization", "Bearer hush")];
    let text = ringwell::client::send(&node.http, "GET", "/metrics", &headers, b"").unwrap().text();
    let failed = text.lines().find_map(|line| {
        line.strip_prefix("ringwell_tls_handshakes_total{face=\"redis\",result=\"failed\"} ")
    });
    assert!(failed.unwrap().parse::<u32>().unwrap() >= 4, "{failed:?}");
    assert!(!node.log().contains("WARN"), "{}", node.log());
}

#[test]
fn http_clients_speak_tls() {
    let Some(dir) = certificates() else { return };
    let dir = dir.path();
    let node = secured(dir).start();
    Connection::open(&node.redis).call(&["SET", "k", "v"]);
    let url = format!("https://{}?ca_file={}", node.https, file(dir, "ca.pem"));
    let ask =
        |url: &str, words: &[&str]| command().args(words).args(["--url", url]).output().unwrap();
    let text = "up{job=\"a\"} 1\n";
    std::fs::write(dir.join("up.txt"), text).unwrap();
    let path = file(dir, "up.txt");
    let imported = ask(&url, &["import", "--format", "prometheus", &path]);
    assert!(imported.status.success(), "{imported:?}");
    let told = ask(&url, &["query", "up"]);
    assert!(String::from_utf8_lossy(&told.stdout).contains("job=\"a\""), "{told:?}");
    let exported = ask(&url, &["export", "--format", "jsonl"]);
    assert!(String::from_utf8_lossy(&exported.stdout).contains("\"job\":\"a\""), "{exported:?}");
    let mut mcp = command();
    mcp.args(["mcp", "--url", &url]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut mcp = mcp.spawn().unwrap();
    let hello = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
    mcp.stdin.take().unwrap().write_all(format!("{hello}\n").as_bytes()).unwrap();
    let told = mcp.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&told.stdout).contains("serverInfo"), "{told:?}");
    for (url, says) in [
        (
            format!("https://{}?ca_file={}", node.https, file(dir, "other.pem")),
            "invalid peer certificate",
        ),
        (format!("https://{}?ca_file=/nowhere", node.https), "cannot read /nowhere"),
        (format!("https://{}?ca=x", node.https), "ca_file"),
        (format!("ftp://{}", node.https), "https://"),
    ] {
        let told = ask(&url, &["query", "up"]);
        let said = String::from_utf8_lossy(&told.stderr).into_owned();
        assert!(!told.status.success() && said.contains(says), "{url}: {said}");
    }
    if installed("curl").is_some() {
        let got = run(Command::new("curl")
            .args(["-sS", "--http2", "--cacert"])
            .args([&file(dir, "ca.pem"), &format!("https://{}/api/v1/node", node.https)]));
        assert!(got.contains(&node.rediss), "{got}");
        let upgrade = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"];
        let mut live = Command::new("curl");
        live.args(["-sSi", "--http1.1", "--max-time", "3", "--cacert", &file(dir, "ca.pem")]);
        live.args(upgrade.iter().flat_map(|header| ["-H", header]));
        live.args(["-H", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="]);
        let told = live.arg(format!("https://{}/api/v1/live", node.https)).output().unwrap();
        assert!(told.stdout.starts_with(b"HTTP/1.1 101 "), "{told:?}");
    }
}

/// A Prometheus scrapes the node and writes to it, both with https and a certificate of its own.
#[test]
fn prometheus_scrapes_and_writes_with_tls() {
    let Some(dir) = certificates() else { return };
    let dir = dir.path();
    let Some(prometheus) = installed("prometheus") else {
        return eprintln!("skipped: there is no prometheus on this machine");
    };
    let client_ca = format!("--set=http.tls_client_ca_file={}", file(dir, "ca.pem"));
    let node = secured(dir).arg(client_ca).start();
    let tls = format!(
        "{{ca_file: '{}', cert_file: '{}', key_file: '{}'}}",
        file(dir, "ca.pem"),
        file(dir, "redis.pem"),
        file(dir, "redis.key")
    );
    let config = format!(
        "global: {{scrape_interval: 500ms}}\nscrape_configs:\n  - job_name: node\n    scheme: https\n    \
         tls_config: {tls}\n    static_configs: [{{targets: ['{at}']}}]\n\
         remote_write:\n  - url: https://{at}/api/v1/write\n    tls_config: {tls}\n    \
         queue_config: {{batch_send_deadline: 200ms}}\n",
        at = node.https
    );
    std::fs::write(dir.join("prometheus.yml"), config).unwrap();
    let _prometheus = start(
        &prometheus,
        &[
            format!("--config.file={}", file(dir, "prometheus.yml")),
            format!("--storage.tsdb.path={}", file(dir, "prometheus")),
            format!("--web.listen-address={}", free_address()),
        ],
    );
    node.wait_for("a scrape", |node| {
        let up = node.query("ringwell_build_info * on (instance) up", wire::now() as f64 / 1000.0);
        (up[0]["value"][1] == "1").then_some(())
    });
}

/// What a connection hears until its end, having said something.
fn heard(address: &str, said: &[u8]) -> usize {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
    stream.write_all(said).unwrap();
    let mut got = Vec::new();
    // An end by a reset is one too.
    match stream.read_to_end(&mut got) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("it does not end"),
        _ => got.len(),
    }
}

#[test]
fn who_agrees_on_nothing_is_cut_off() {
    let Some(dir) = certificates() else { return };
    let node = secured(dir.path())
        .arg("--set=limits.handshake_time=1s")
        .arg("--set=limits.redis_connections=3")
        .arg("--set=limits.http_connections=3")
        .start();
    for (face, at, plain) in [
        ("redis", &node.rediss, &b"*1\r\n$4\r\nPING\r\n"[..]),
        ("http", &node.https, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ] {
        heard(at, plain);
        node.wait_for("it to be counted", |node| {
            (handshakes(node, face, "failed") == 1.0).then_some(())
        });
        assert_eq!(heard(at, b""), 0);
        assert_eq!(heard(at, b"\x16\x03\x01"), 0);
        assert_eq!(handshakes(&node, face, "late"), 2.0);
    }
    // They take places, and give them back.
    let silent: Vec<_> = (0..3).map(|_| TcpStream::connect(&node.rediss).unwrap()).collect();
    let refused = "ringwell_redis_connections_refused_total";
    node.wait_for("a refusal", |node| {
        let mut plain = TcpStream::connect(&node.redis).unwrap();
        plain.write_all(b"PING\r\n").unwrap();
        let mut got = [0; 64];
        let n = plain.read(&mut got).unwrap_or(0);
        (got[..n].starts_with(b"-ERR max number of clients") || metric(node, refused) > 0.0)
            .then_some(())
    });
    node.wait_for("a place", |node| {
        let mut plain = TcpStream::connect(&node.redis).unwrap();
        plain.write_all(b"PING\r\n").unwrap();
        let mut got = [0; 64];
        let n = plain.read(&mut got).unwrap_or(0);
        got[..n].starts_with(b"+PONG").then_some(())
    });
    drop(silent);
    assert!(!node.log().contains("WARN"), "{}", node.log());
}

#[test]
fn files_change_while_it_runs() {
    let Some(made) = certificates() else { return };
    let dir = made.path();
    if installed("redis-cli").is_none() {
        return println!("skipped: there is no redis-cli on this machine");
    }
    sign(dir, "later", "other");
    let node = secured(dir).start();
    let trusted = |by: &str| pongs(&cli(dir, &node.rediss, by, None, &["PING"]));
    assert!(trusted("ca.pem") && !trusted("other.pem"));
    // A connection from before goes on.
    let mut before = Command::new("redis-cli")
        .args(["--tls", "-p", port(&node.rediss), "--cacert", &file(dir, "ca.pem")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = before.stdin.take().unwrap();
    said.write_all(b"SET early 1\n").unwrap();
    node.wait_for("the early one", |node| {
        let got = format!("{:?}", Connection::open(&node.redis).call(&["GET", "early"]));
        got.contains('1').then_some(())
    });
    let stale = |face: &str| metric(&node, &format!("ringwell_tls_files_stale{{face=\"{face}\"}}"));
    let reloads = |result: &str| {
        metric(&node, &format!("ringwell_tls_reloads_total{{face=\"redis\",result=\"{result}\"}}"))
    };
    assert_eq!((stale("redis"), stale("http"), reloads("done")), (0.0, 0.0, 0.0));
    let ends = "ringwell_tls_certificate_expires_timestamp_seconds{face=\"redis\"}";
    let left = metric(&node, ends) - wire::now() as f64 / 1000.0;
    assert!(left > 2.0 * 86_400.0 && left <= 3.0 * 86_400.0, "{left}");
    replace(dir, "later");
    node.wait_for("the new certificate", |_| trusted("other.pem").then_some(()));
    assert!(!trusted("ca.pem"));
    // What cannot be used leaves in place what was before, and is told.
    std::fs::write(dir.join("redis.pem"), "broken\n").unwrap();
    node.wait_for("the news of it", |_| (stale("redis") + stale("http") == 2.0).then_some(()));
    assert!(trusted("other.pem"));
    let says = format!("cannot read {}: there is no certificate in it", file(dir, "redis.pem"));
    assert!(node.log().contains(&says), "{}", node.log());
    sign(dir, "again", "ca");
    replace(dir, "again");
    node.wait_for("the good one", |_| trusted("ca.pem").then_some(()));
    node.wait_for("the news of it", |_| (stale("redis") + stale("http") == 0.0).then_some(()));
    assert!(reloads("done") >= 2.0 && reloads("failed") >= 1.0);
    said.write_all(b"SET early 2\n").unwrap();
    drop(said);
    let output = before.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "OK\nOK\n");
}

/// Puts other files in the place of those in use: the certificate by a new name, the key by new bytes.
fn replace(dir: &Path, name: &str) {
    std::fs::copy(dir.join(format!("{name}.pem")), dir.join("new.pem")).unwrap();
    std::fs::rename(dir.join("new.pem"), dir.join("redis.pem")).unwrap();
    std::fs::copy(dir.join(format!("{name}.key")), dir.join("redis.key")).unwrap();
}

#[test]
fn files_that_cannot_be_used_are_named_at_the_start() {
    let Some(made) = certificates() else { return };
    let dir = made.path();
    std::fs::write(dir.join("empty"), "").unwrap();
    let at = |name: &str| file(dir, name);
    for (cert, key, ca, says) in [
        ("gone.pem", "redis.key", "ca.pem", format!("cannot read {}: ", at("gone.pem"))),
        ("redis.pem", "gone.key", "ca.pem", format!("cannot read {}: ", at("gone.key"))),
        ("empty", "redis.key", "ca.pem", "there is no certificate in it".to_owned()),
        ("redis.pem", "redis.pem", "ca.pem", "there is no key in it".to_owned()),
        ("redis.pem", "redis.key", "empty", format!("cannot read {}: ", at("empty"))),
        (
            "redis.pem",
            "other.key",
            "ca.pem",
            format!("the key in {} is not the one of", at("other.key")),
        ),
    ] {
        let told = check(&made, cert, key, ca);
        let said = String::from_utf8_lossy(&told.stderr).into_owned();
        assert!(!told.status.success(), "{cert} {key} {ca}");
        assert!(said.contains(&says), "{said}");
        assert!(said.contains("Redis cannot speak TLS (redis.tls_listen)"), "{said}");
    }
    let told = check(&made, "redis.pem", "redis.key", "ca.pem");
    assert!(told.status.success(), "{told:?}");
}

fn check(dir: &TempDir, cert: &str, key: &str, client_ca: &str) -> Output {
    let at = |name: &str| file(dir.path(), name);
    command()
        .args(["check", "--redis-tls-listen=127.0.0.1:0"])
        .arg(format!("--tls-cert-file={}", at(cert)))
        .arg(format!("--tls-key-file={}", at(key)))
        .arg(format!("--set=redis.tls_client_ca_file={}", at(client_ca)))
        .output()
        .unwrap()
}
