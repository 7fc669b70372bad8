//! A node under test: start it, ask it, kill it, start it again.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use ringwell::client::{self, Answer};
use serde_json::Value;
use tempfile::TempDir;

/// A node is up within this time, or the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where a test keeps a node's data, if not in the node's own scratch directory.
type Place = Option<PathBuf>;

/// A running (or stopped) node and its directory, which ends with it.
pub struct Node {
    child: Option<Child>,
    dir: TempDir,
    options: Options,
    lines: Option<mpsc::Receiver<String>>,
    /// `127.0.0.1:PORT` of the HTTP face.
    pub http: String,
    /// `127.0.0.1:PORT` of the Redis face.
    pub redis: String,
    /// The same where they answer with TLS, if they do.
    pub https: String,
    pub rediss: String,
}

/// How a node is started.
#[derive(Clone, Default)]
pub struct Options {
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    collectors: bool,
    largest_file: Option<u32>,
    data: Place,
}

impl Options {
    pub fn arg(mut self, argument: impl Into<String>) -> Options {
        self.arguments.push(argument.into());
        self
    }

    pub fn variable(mut self, name: &str, value: &str) -> Options {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Lets the node watch itself and its host; off in most tests, so that a store holds only
    /// what the test put there.
    pub fn collectors(mut self) -> Options {
        self.collectors = true;
        self
    }

    /// No file of the node may grow beyond this many KiB: writes fail as on a full disk.
    pub fn largest_file(mut self, kib: u32) -> Options {
        self.largest_file = Some(kib);
        self
    }

    /// Keeps the data in this directory.
    pub fn data_in(mut self, dir: PathBuf) -> Options {
        self.data = Some(dir);
        self
    }

    fn command(&self) -> Command {
        let Some(kib) = self.largest_file else { return command() };
        // The signal that goes with the limit is ignored, also after exec; the error remains.
        let script = format!("trap '' XFSZ; ulimit -f {kib}; exec \"$0\" \"$@\"");
        let mut shell = Command::new("bash");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_ringwell")]);
        without_settings(shell)
    }

    pub fn start(self) -> Node {
        let mut node = self.stopped();
        node.restart();
        node
    }

    /// A node that is not started yet.
    pub fn stopped(self) -> Node {
        let dir = tempfile::tempdir().unwrap();
        let [http, redis, https, rediss] = Default::default();
        Node { child: None, dir, options: self, lines: None, http, redis, https, rediss }
    }
}

/// The binary, without any setting of this environment.
pub fn command() -> Command {
    without_settings(Command::new(env!("CARGO_BIN_EXE_ringwell")))
}

fn without_settings(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("RINGWELL_") {
            command.env_remove(name);
        }
    }
    command
}

impl Node {
    /// A node with nothing special.
    pub fn start() -> Node {
        Options::default().start()
    }

    /// Takes the limit of file sizes away for the next start.
    pub fn with_room(&mut self) {
        self.options.largest_file = None;
    }

    /// Takes an argument away for the next start.
    pub fn without(mut self, argument: &str) -> Node {
        self.options.arguments.retain(|known| known != argument);
        self
    }

    /// Adds an argument for the next start.
    pub fn with(mut self, argument: &str) -> Node {
        self.options.arguments.push(argument.to_owned());
        self
    }

    /// Starts it again on its directory, with new ports.
    pub fn restart(&mut self) {
        self.spawn();
        self.await_ready();
    }

    /// Starts it and returns when its faces listen, before it is ready.
    pub fn spawn(&mut self) {
        assert!(self.child.is_none(), "the node still runs");
        let log =
            std::fs::OpenOptions::new().create(true).append(true).open(self.log_path()).unwrap();
        let mut child = self
            .options
            .command()
            .arg("serve")
            .args(["--http-listen", "127.0.0.1:0", "--redis-listen", "127.0.0.1:0"])
            .args(["--set", &format!("collect.enabled={}", self.options.collectors)])
            .arg("--data-dir")
            .arg(self.data_dir())
            .args(&self.options.arguments)
            .envs(self.options.variables.iter().map(|(n, v)| (n, v)))
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        self.child = Some(child);
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        self.lines = Some(lines);
        let deadline = Instant::now() + PATIENCE;
        let (http, redis) = ("http listening on http://", "redis listening on redis://");
        self.http = self.line(deadline).strip_prefix(http).unwrap().to_owned();
        self.redis = self.line(deadline).strip_prefix(redis).unwrap().to_owned();
        let asked = |flag: &str| self.options.arguments.iter().any(|a| a.starts_with(flag));
        if asked("--http-tls-listen") {
            let line = self.line(deadline);
            self.https = line.strip_prefix("http listening on https://").unwrap().to_owned();
        }
        if asked("--redis-tls-listen") {
            let line = self.line(deadline);
            self.rediss = line.strip_prefix("redis listening on rediss://").unwrap().to_owned();
        }
    }

    /// Waits until it says that it is ready.
    pub fn await_ready(&self) {
        assert_eq!(self.line(Instant::now() + PATIENCE), "ready");
    }

    fn line(&self, deadline: Instant) -> String {
        let left = deadline.saturating_duration_since(Instant::now());
        let line = self.lines.as_ref().unwrap().recv_timeout(left);
        line.unwrap_or_else(|_| panic!("the node is not ready: {}", self.log()))
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(&mut self) -> ExitStatus {
        self.ask_to_stop();
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let child = self.child.as_mut().unwrap();
            if let Some(status) = child.try_wait().unwrap() {
                self.child = None;
                return status;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("the node does not stop: {}", self.log());
    }

    /// SIGTERM.
    pub fn ask_to_stop(&self) {
        self.signal("-TERM");
    }

    /// Any signal.
    pub fn signal(&self, signal: &str) {
        let pid = self.pid().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub fn data_dir(&self) -> PathBuf {
        self.options.data.clone().unwrap_or_else(|| self.dir.path().join("data"))
    }

    /// A place for the test's own files.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn log_path(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    /// All that the node wrote to stderr.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    pub fn get(&self, target: &str) -> Answer {
        client::send(&self.http, "GET", target, &[], b"").unwrap()
    }

    pub fn post(&self, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        client::send(&self.http, "POST", target, headers, body).unwrap()
    }

    /// A form, as Grafana sends its queries.
    pub fn post_form(&self, target: &str, form: &[(&str, &str)]) -> Answer {
        let body: Vec<String> =
            form.iter().map(|(name, value)| format!("{name}={}", client::encode(value))).collect();
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        self.post(target, &headers, body.join("&").as_bytes())
    }

    /// `data.result` of an instant query at a time in seconds.
    pub fn query(&self, expression: &str, time: f64) -> Value {
        let time = time.to_string();
        let answer = self.post_form("/api/v1/query", &[("query", expression), ("time", &time)]);
        data(&answer)["result"].clone()
    }

    /// Waits until `ready` gives something.
    pub fn wait_for<T>(&self, what: &str, mut ready: impl FnMut(&Node) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(done) = ready(self) {
                return done;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("{what} did not come: {}", self.log());
    }
}

/// `data` of a successful answer.
pub fn data(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["status"], "success");
    body["data"].clone()
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- the node's log\n{}", self.log());
        }
    }
}
