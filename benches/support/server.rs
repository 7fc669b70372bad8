//! The servers under comparison: started on a free port with a fresh directory, measured by /proc.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::http::{Client, encode};

/// Which server, and where its binary is.
#[derive(Clone)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    binary: PathBuf,
    /// Settings beside those that all of its kind have.
    more: Vec<String>,
}

pub(crate) struct Server {
    name: &'static str,
    child: Child,
    port: u16,
    dir: tempfile::TempDir,
}

/// What a server has used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) cpu_seconds: f64,
    pub(crate) peak_mb: f64,
    #[allow(dead_code, reason = "not every bench looks at it")]
    pub(crate) resident_mb: f64,
    /// Handed to write calls, sockets included.
    #[allow(dead_code, reason = "not every bench looks at it")]
    pub(crate) written: u64,
}

impl Usage {
    pub(crate) fn since(&self, before: &Usage) -> Usage {
        Usage {
            cpu_seconds: self.cpu_seconds - before.cpu_seconds,
            written: self.written - before.written,
            ..*self
        }
    }
}

/// Ringwell, and every peer that is installed; says which are not.
pub(crate) fn available() -> Vec<Kind> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let unpacked = here.join("tests/.tools/prometheus3/usr/bin/prometheus");
    let all = [
        ("ringwell", PathBuf::from(env!("CARGO_BIN_EXE_ringwell"))),
        ("prometheus 2", PathBuf::from("/usr/bin/prometheus")),
        ("prometheus 3", unpacked),
        ("victoria-metrics", PathBuf::from("/usr/bin/victoria-metrics")),
    ];
    all.into_iter()
        .filter_map(|(name, binary)| {
            if binary.exists() {
                return Some(Kind { name, binary, more: Vec::new() });
            }
            eprintln!("{name} is not installed: left out");
            None
        })
        .collect()
}

impl Kind {
    /// The same with one more setting, under another name.
    #[allow(dead_code, reason = "not every bench has settings")]
    pub(crate) fn with(&self, name: &'static str, setting: &str) -> Kind {
        let mut more = self.more.clone();
        more.push(setting.to_owned());
        Kind { name, more, ..self.clone() }
    }

    #[allow(dead_code, reason = "not every bench asks")]
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name == name
    }
}

impl Server {
    pub(crate) fn start(kind: &Kind) -> Server {
        let dir = tempfile::tempdir().expect("a temporary directory");
        Server::start_in(kind, dir)
    }

    /// Kills it where it stands and starts it again on what it left; how long until it answered.
    #[allow(dead_code, reason = "not every bench kills")]
    pub(crate) fn kill_and_start(mut self, kind: &Kind) -> (Server, Duration) {
        drop(self.child.kill());
        drop(self.child.wait());
        let started = Instant::now();
        let server = Server::start_in(kind, self.dir);
        (server, started.elapsed())
    }

    /// Kills it where it stands; its directory stays.
    #[allow(dead_code, reason = "not every bench kills")]
    pub(crate) fn kill(mut self) -> tempfile::TempDir {
        drop(self.child.kill());
        drop(self.child.wait());
        self.dir
    }

    fn start_in(kind: &Kind, dir: tempfile::TempDir) -> Server {
        let server = Server::spawn_in(kind, dir);
        server.await_ready();
        server
    }

    /// Starts it on a directory, and does not wait for it.
    pub(crate) fn spawn_in(kind: &Kind, dir: tempfile::TempDir) -> Server {
        let port = free_port();
        let mut command = pinned(&kind.binary);
        arguments(kind.name, &mut command, dir.path(), port);
        command.args(&kind.more);
        let log = std::fs::File::create(dir.path().join("server.log")).expect("a log file");
        let child = command
            // They are this program's, and the node refuses settings it does not know.
            .env_remove("RINGWELL_BENCH_STEPS")
            .env_remove("RINGWELL_BENCH_AGENTS")
            .env_remove("RINGWELL_BENCH_BODIES")
            .env_remove("RINGWELL_BENCH_WORKLOAD")
            .env_remove("RINGWELL_BENCH_CONNECTIONS")
            .env_remove("RINGWELL_BENCH_RUNS")
            .env_remove("RINGWELL_BENCH_KEEP")
            .env_remove("RINGWELL_BENCH_CORES")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|e| panic!("{}: {e}", kind.name));
        Server { name: kind.name, child, port, dir }
    }

    /// What it wrote to stderr.
    #[allow(dead_code, reason = "not every bench reads it")]
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("server.log")).unwrap_or_default()
    }

    /// Waits until it takes connections.
    #[allow(dead_code, reason = "not every bench is in a hurry")]
    pub(crate) fn await_connect(&self) {
        let started = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(started.elapsed() < Duration::from_secs(30), "no connection:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn write_path(&self) -> &'static str {
        "/api/v1/write"
    }

    /// Waits until what was written answers queries and is on the disk.
    pub(crate) fn settle(&self) {
        let mut client = Client::connect(self.port);
        if self.name == "victoria-metrics" {
            client.get("/internal/force_flush").expect("a flush");
            client.get("/internal/force_merge").expect("a merge");
            std::thread::sleep(Duration::from_secs(5));
        }
        std::thread::sleep(Duration::from_secs(2));
    }

    pub(crate) fn usage(&self) -> Usage {
        let proc = |file: &str| {
            std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap_or_default()
        };
        let stat = proc("stat");
        let after = stat.rsplit(')').next().unwrap_or("");
        let ticks: u64 =
            after.split_whitespace().skip(11).take(2).flat_map(str::parse::<u64>).sum();
        let status = proc("status");
        let number = |text: &str, name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
        };
        Usage {
            cpu_seconds: ticks as f64 / 100.0,
            peak_mb: number(&status, "VmHWM:") as f64 / 1024.0,
            resident_mb: number(&status, "VmRSS:") as f64 / 1024.0,
            written: number(&proc("io"), "wchar:"),
        }
    }

    /// Bytes in its data directory.
    pub(crate) fn disk(&self) -> u64 {
        size_of(&self.dir.path().join("data"))
    }

    pub(crate) fn stop(mut self) {
        // The data is not needed any more.
        drop(self.child.kill());
        drop(self.child.wait());
    }

    fn await_ready(&self) {
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(30) {
            if std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                let path = format!("/api/v1/query?query={}", encode("1"));
                if Client::connect(self.port).get(&path).is_ok_and(|(status, _)| status == 200) {
                    return;
                }
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{} does not answer:\n{}", self.name, self.log());
    }
}

fn arguments(name: &str, command: &mut Command, dir: &Path, port: u16) {
    let data = dir.join("data");
    let data = data.display();
    let listen = format!("127.0.0.1:{port}");
    match name {
        _ if name.starts_with("ringwell") => command.args([
            "serve",
            &format!("--data-dir={data}"),
            &format!("--http-listen={listen}"),
            "--redis-listen=127.0.0.1:0",
            "--retention=0",
        ]),
        "victoria-metrics" => command.args([
            format!("-storageDataPath={data}"),
            format!("-httpListenAddr={listen}"),
            "-retentionPeriod=20y".to_owned(),
            "-loggerLevel=WARN".to_owned(),
        ]),
        _ => {
            let config = dir.join("prometheus.yml");
            std::fs::write(&config, "global: {}\n").expect("a config file");
            command.args([
                format!("--config.file={}", config.display()),
                format!("--storage.tsdb.path={data}"),
                format!("--web.listen-address={listen}"),
                "--web.enable-remote-write-receiver".to_owned(),
                "--storage.tsdb.retention.time=20y".to_owned(),
                "--log.level=error".to_owned(),
            ])
        }
    };
}

fn pinned(binary: &Path) -> Command {
    if Path::new("/usr/bin/taskset").exists() {
        let mut command = Command::new("/usr/bin/taskset");
        let cores = std::env::var("RINGWELL_BENCH_CORES").unwrap_or_else(|_| "1".to_owned());
        command.args(["-c", &cores]).arg(binary);
        return command;
    }
    Command::new(binary)
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}

fn size_of(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else {
        return std::fs::metadata(path).map_or(0, |m| m.len());
    };
    entries
        .flatten()
        .map(|e| {
            if e.path().is_dir() { size_of(&e.path()) } else { e.metadata().map_or(0, |m| m.len()) }
        })
        .sum()
}
