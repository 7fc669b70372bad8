//! Prometheus's own tool and a Python client ask the node and a real Prometheus with the same data: what they
//! print is the same.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ringwell::client;

use crate::node::{Node, Options};
use crate::prometheus::{Peer, free_address, installed, start};
use crate::wire::{HEADERS, body, now, series};

/// A node and a Prometheus with the same samples up to a time in seconds.
struct Pair {
    node: Node,
    theirs: String,
    _prometheus: Peer,
    end: i64,
}

impl Pair {
    fn start() -> Option<Pair> {
        let program = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/.tools/prometheus3/usr/bin/prometheus");
        if !program.is_file() {
            eprintln!("skipped: no newer prometheus was unpacked (tests/unpack_sid.sh)");
            return None;
        }
        let node = Options::default().start();
        let (theirs, file) = (free_address(), node.dir().join("p.yml"));
        std::fs::write(&file, "global: {}\n").unwrap();
        let prometheus = start(
            &program,
            &[
                format!("--config.file={}", file.display()),
                format!("--storage.tsdb.path={}", node.dir().join("prometheus").display()),
                format!("--web.listen-address={theirs}"),
                "--web.enable-remote-write-receiver".to_owned(),
            ],
        );
        let end = now() / 1000;
        let counter: Vec<(i64, f64)> =
            (0..120).map(|i| ((end - 600 + i * 5) * 1000, (i % 50) as f64 * 1.5)).collect();
        let odd = [(end - 30, f64::NAN), (end - 20, f64::INFINITY), (end - 10, 1e-7)];
        let odd: Vec<(i64, f64)> = odd.map(|(t, v)| (t * 1000, v)).to_vec();
        let request = body(vec![
            series(&[("__name__", "c_total"), ("job", "a")], &counter),
            series(&[("__name__", "c_total"), ("job", "b")], &counter[..100]),
            series(&[("__name__", "odd"), ("text", "ä \"<&>\\")], &odd),
        ]);
        assert_eq!(node.post("/api/v1/write", &HEADERS, &request).status, 204);
        node.wait_for("Prometheus takes the data", |_| {
            let answer = client::send(&theirs, "POST", "/api/v1/write", &HEADERS, &request).ok()?;
            (answer.status == 204).then_some(())
        });
        Some(Pair { node, theirs, _prometheus: prometheus, end })
    }
}

/// Exit status and lines of what a command prints, in order, with its address made the same.
fn printed(command: &mut Command, address: &str) -> (Option<i32>, Vec<String>) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).unwrap().replace(address, "ADDRESS");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    (output.status.code(), lines)
}

#[test]
fn promtool_prints_the_same() {
    let Some(promtool) = installed("promtool") else {
        return eprintln!("skipped: there is no promtool on this machine");
    };
    let Some(pair) = Pair::start() else { return };
    let (end, start) = (pair.end.to_string(), (pair.end - 600).to_string());
    let at = format!("--time={end}");
    let (from, to) = (format!("--start={start}"), format!("--end={end}"));
    let asked: &[&[&str]] = &[
        &["query", "instant", &at, "URL", "c_total"],
        &["query", "instant", &at, "URL", "odd"],
        &["query", "instant", &at, "URL", "sum by (job) (rate(c_total[5m]))"],
        &["query", "instant", &at, "URL", "time() - 1"],
        &["query", "instant", &at, "URL", "\"text\""],
        &["query", "instant", &at, "URL", "c_total[30s]"],
        &["query", "instant", &at, "-o", "json", "URL", "topk(1, c_total)"],
        &["query", "instant", &at, "URL", "sum("],
        &["query", "instant", &at, "URL", "c_total + ignoring (job) sum(c_total)"],
        &["query", "range", &from, &to, "--step=30s", "URL", "rate(c_total[1m])"],
        &["query", "range", &from, &to, "--step=1m", "-o", "json", "URL", "max(c_total)"],
        &["query", "range", &from, &to, "--step=1ms", "URL", "c_total"],
        &["query", "range", &from, &to, "--step=1m", "URL", "c_total[1m]"],
        &["query", "series", "--match=c_total", &from, &to, "URL"],
        &["query", "series", "--match={job=~\"b|c\"}", "--match=odd", "URL"],
        &["query", "series", "--match={", "URL"],
        &["query", "labels", "URL", "job"],
        &["query", "labels", &from, &to, "--match=odd", "URL", "__name__"],
        &["query", "labels", "URL", "nobody"],
    ];
    for arguments in asked {
        let run = |address: &str| {
            let url = format!("http://{address}");
            let arguments = arguments.iter().map(|a| if *a == "URL" { url.as_str() } else { *a });
            printed(Command::new(&promtool).args(arguments), address)
        };
        assert_eq!(run(&pair.node.http), run(&pair.theirs), "{arguments:?}");
    }
    for check in ["healthy", "ready"] {
        let run = |address: &str| {
            let url = format!("--url=http://{address}");
            printed(Command::new(&promtool).args(["check", check, &url]), address)
        };
        assert_eq!(run(&pair.node.http).0, run(&pair.theirs).0, "check {check}");
    }
    let metrics = pair.node.dir().join("metrics");
    std::fs::write(&metrics, pair.node.get("/metrics").body).unwrap();
    let linted = Command::new(&promtool)
        .args(["check", "metrics"])
        .stdin(std::fs::File::open(&metrics).unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&linted.stderr).into_owned();
    assert!(linted.status.success(), "{said}");
}

/// The Python that `tests/setup.sh` makes.
fn python() -> Option<PathBuf> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/.tools/venv/bin/python");
    let has = |python: &Path| {
        let import = Command::new(python).args(["-c", "import prometheus_api_client"]).output();
        import.is_ok_and(|output| output.status.success())
    };
    if !has(&python) {
        println!("skipped: tests/setup.sh has not installed prometheus-api-client");
        return None;
    }
    Some(python)
}

#[test]
fn prometheus_api_client_prints_the_same() {
    let (Some(python), Some(pair)) = (python(), Pair::start()) else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/prometheus_api.py");
    let run = |address: &str| {
        let mut command = Command::new(&python);
        command.arg(&script).arg(format!("http://{address}")).arg(pair.end.to_string());
        printed(&mut command, address)
    };
    let (ours, theirs) = (run(&pair.node.http), run(&pair.theirs));
    assert_eq!(theirs.0, Some(0), "{:?}", theirs.1);
    for (ours, theirs) in ours.1.iter().zip(&theirs.1) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(ours.1.len(), theirs.1.len());
}
