//! Bodies of remote-write requests in a file, so that other generators' workloads and real exporters'
//! scrapes can be written; and a recorder of real scrapes: node_exporter and Prometheus on free
//! ports, Prometheus writing what it scrapes each second to this program.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::fleet::Request;

/// Before each body: its connection at 0, samples (0 = not counted) at 4, time of the first in ms at
/// 12, length of the body at 20, all little-endian.
const HEADER: usize = 24;

/// The bodies of a file, each after its header.
#[allow(dead_code, reason = "not every bench reads or records all")]
pub(crate) fn read(path: &str) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let (mut bodies, mut rest) = (Vec::new(), &bytes[..]);
    while let Some((header, after)) = rest.split_first_chunk::<HEADER>() {
        let length = u32::from_le_bytes([header[20], header[21], header[22], header[23]]);
        let (body, next) = after.split_at(length as usize);
        bodies.push(body.to_vec());
        rest = next;
    }
    bodies
}

/// Scrapes node_exporter and Prometheus itself each second for so long, into a file.
#[allow(dead_code, reason = "not every bench reads or records all")]
pub(crate) fn record(path: &str, time: Duration) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let [node, prometheus] = [free_port(), free_port()];
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let sink = listener.local_addr().expect("an address").port();
    let config = format!(
        "global: {{scrape_interval: 1s}}\n\
         scrape_configs:\n\
         - {{job_name: node, static_configs: [{{targets: ['127.0.0.1:{node}']}}]}}\n\
         - {{job_name: prometheus, static_configs: [{{targets: ['127.0.0.1:{prometheus}']}}]}}\n\
         remote_write:\n\
         - url: http://127.0.0.1:{sink}/\n  \
           queue_config: {{max_shards: 1, min_shards: 1, max_samples_per_send: 2000}}\n  \
           metadata_config: {{send: false}}\n"
    );
    let file = dir.path().join("prometheus.yml");
    std::fs::write(&file, config).expect("a config file");
    let start = |command: &mut Command| -> Child {
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a peer that starts")
    };
    let mut exporter = start(
        Command::new("/usr/bin/prometheus-node-exporter")
            .arg(format!("--web.listen-address=127.0.0.1:{node}")),
    );
    let mut scraper = start(
        Command::new("/usr/bin/prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{prometheus}")),
    );
    let (stream, _) = listener.accept().expect("Prometheus connects");
    keep(stream, Path::new(path), Instant::now() + time);
    for child in [&mut scraper, &mut exporter] {
        drop(child.kill());
        drop(child.wait());
    }
}

/// Answers the requests of a connection and keeps their bodies.
fn keep(stream: TcpStream, path: &Path, end: Instant) {
    let mut out = std::fs::File::create(path).expect("a file to record into");
    let mut reader = BufReader::new(stream);
    while Instant::now() < end {
        let mut length = 0;
        loop {
            let mut line = String::new();
            assert_ne!(reader.read_line(&mut line).expect("a request"), 0, "the sender stopped");
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("a body");
        let mut header = [0; HEADER];
        header[20..].copy_from_slice(&(length as u32).to_le_bytes());
        out.write_all(&header).and_then(|()| out.write_all(&body)).expect("room for the bodies");
        let answer = b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n";
        reader.get_mut().write_all(answer).expect("an answer");
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// Requests by connection.
#[allow(dead_code, reason = "not every bench counts by connection")]
pub(crate) fn from_file(path: &str) -> Vec<Vec<Request>> {
    let bytes = std::fs::read(path).expect("the file of RINGWELL_BENCH_BODIES");
    let mut requests: Vec<Vec<Request>> = Vec::new();
    let mut rest = &bytes[..];
    while let Some((header, after)) = rest.split_first_chunk::<HEADER>() {
        let word = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("4 bytes"));
        let (body, next) = after.split_at(word(20) as usize);
        let connection = word(0) as usize;
        if requests.len() <= connection {
            requests.resize_with(connection + 1, Vec::new);
        }
        requests[connection].push(Request { samples: word(4) as usize, body: body.to_vec() });
        rest = next;
    }
    requests
}
