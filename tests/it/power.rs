//! Power cuts and full disks of the real binary, on an ext4 file system in a loop device: shutting the file
//! system down without flushing loses whatever was not synced. Needs root and loop devices, and says so
//! where they are missing. `RINGWELL_POWER_CUTS=200` and `RINGWELL_KILLS=200` run longer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use ringwell::client::send;
use tempfile::TempDir;

use crate::node::{Node, Options};
use crate::wire::{HEADERS, body, now, series};

const WRITERS: usize = 64;
/// EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH: as if the power went.
const CUT: &str = "import fcntl,os,struct,sys\n\
    fcntl.ioctl(os.open(sys.argv[1],os.O_RDONLY),0x8004587D,struct.pack('I',2))";

/// An ext4 file system in a file.
pub struct LoopDisk {
    dir: TempDir,
}

impl LoopDisk {
    pub fn new(megabytes: u32) -> Option<LoopDisk> {
        let disk = LoopDisk { dir: tempfile::tempdir().unwrap() };
        std::fs::create_dir(disk.mount_point()).unwrap();
        let image = std::fs::File::create(disk.image()).unwrap();
        image.set_len(u64::from(megabytes) << 20).unwrap();
        let made = succeeds(Command::new("mkfs.ext4").arg("-qF").arg(disk.image()));
        if !made || !disk.mount() {
            eprintln!("skipped: this needs root, mkfs.ext4 and loop devices");
            return None;
        }
        Some(disk)
    }

    fn image(&self) -> PathBuf {
        self.dir.path().join("image")
    }

    pub fn mount_point(&self) -> PathBuf {
        self.dir.path().join("disk")
    }

    fn mount(&self) -> bool {
        let mut mount = Command::new("mount");
        succeeds(mount.args(["-o", "loop"]).arg(self.image()).arg(self.mount_point()))
    }

    pub fn cut_power(&self) {
        assert!(succeeds(Command::new("python3").args(["-c", CUT]).arg(self.mount_point())));
    }

    pub fn remount(&self) {
        assert!(succeeds(Command::new("umount").arg(self.mount_point())));
        assert!(self.mount());
    }

    fn free(&self) -> u64 {
        let mut stat = Command::new("stat");
        let output = stat.args(["-f", "-c", "%a %S"]).arg(self.mount_point()).output();
        let text = String::from_utf8(output.unwrap().stdout).unwrap();
        text.split_whitespace().map(|n| n.parse::<u64>().unwrap()).product()
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        let _ = succeeds(Command::new("umount").arg("-l").arg(self.mount_point()));
    }
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// Writes of all rounds: by writer the numbers that were acknowledged, and the next one.
struct Load {
    start: i64,
    next: Vec<AtomicI64>,
    acknowledged: Vec<Mutex<Vec<i64>>>,
    over: AtomicBool,
}

impl Load {
    fn new() -> Load {
        Load {
            start: now() - 3_000_000,
            next: (0..WRITERS).map(|_| AtomicI64::new(0)).collect(),
            acknowledged: (0..WRITERS).map(|_| Mutex::default()).collect(),
            over: AtomicBool::new(false),
        }
    }

    /// Writes until told to stop or the node is gone. An answer counts only if it came before the cut.
    fn run(&self, writer: usize, address: &str) {
        let name = writer.to_string();
        while !self.over.load(Ordering::SeqCst) {
            let n = self.next[writer].fetch_add(1, Ordering::SeqCst);
            let labels = [("__name__", "load"), ("writer", name.as_str())];
            let request = body(vec![series(&labels, &[(self.start + n, n as f64)])]);
            let Ok(answer) = send(address, "POST", "/api/v1/write", &HEADERS, &request) else {
                return;
            };
            if answer.status == 204 && !self.over.load(Ordering::SeqCst) {
                self.acknowledged[writer].lock().unwrap().push(n);
            }
        }
    }

    fn count(&self) -> usize {
        self.acknowledged.iter().map(|a| a.lock().unwrap().len()).sum()
    }

    fn round(&self, node: &mut Node, end: impl FnOnce(&mut Node)) {
        let (before, address) = (self.count(), node.http.clone());
        self.over.store(false, Ordering::SeqCst);
        std::thread::scope(|scope| {
            for writer in 0..WRITERS {
                let address = &address;
                scope.spawn(move || self.run(writer, address));
            }
            node.wait_for("some writes", |_| (self.count() > before + 200).then_some(()));
            self.over.store(true, Ordering::SeqCst);
            end(node);
        });
    }

    /// All that was acknowledged is there with its value, and nothing that was never sent.
    fn check(&self, node: &Node) {
        let result = node.query("load[2h]", now() as f64 / 1000.0);
        let mut there: BTreeMap<usize, Vec<i64>> = BTreeMap::new();
        for series in result.as_array().unwrap() {
            let writer = series["metric"]["writer"].as_str().unwrap().parse().unwrap();
            for point in series["values"].as_array().unwrap() {
                let n = (point[0].as_f64().unwrap() * 1000.0).round() as i64 - self.start;
                assert_eq!(point[1], n.to_string());
                there.entry(writer).or_default().push(n);
            }
        }
        for (writer, acknowledged) in self.acknowledged.iter().enumerate() {
            let there = there.get(&writer).cloned().unwrap_or_default();
            assert!(there.is_sorted_by(|a, b| a < b), "none is doubled");
            let sent = self.next[writer].load(Ordering::SeqCst);
            assert!(there.iter().all(|n| (0..sent).contains(n)), "none is invented");
            for n in acknowledged.lock().unwrap().iter() {
                assert!(there.binary_search(n).is_ok(), "writer {writer} lost {n}");
            }
        }
    }
}

pub fn times(variable: &str) -> u32 {
    std::env::var(variable).ok().and_then(|n| n.parse().ok()).unwrap_or(3)
}

#[test]
fn power_cuts_under_64_writers_lose_nothing() {
    let Some(disk) = LoopDisk::new(256) else { return };
    let mut node = Options::default().data_in(disk.mount_point().join("data")).start();
    let load = Load::new();
    for _ in 0..times("RINGWELL_POWER_CUTS") {
        load.round(&mut node, |node| {
            disk.cut_power();
            node.kill();
        });
        disk.remount();
        node.restart();
        load.check(&node);
    }
    node.kill();
    println!("{} samples acknowledged, 0 lost", load.count());
}

#[test]
fn kills_under_64_writers_lose_nothing() {
    let mut node = Node::start();
    let load = Load::new();
    for _ in 0..times("RINGWELL_KILLS") {
        load.round(&mut node, Node::kill);
        node.restart();
        load.check(&node);
    }
    println!("{} samples acknowledged, 0 lost", load.count());
}

/// Filled by somebody else, freed, gone on: nothing is lost, and ingest is back without a restart.
#[test]
fn a_full_disk_refuses_and_resumes_by_itself() {
    let Some(disk) = LoopDisk::new(96) else { return };
    let options = Options::default()
        .data_in(disk.mount_point().join("data"))
        .arg("--set=limits.min_free_disk=8MiB")
        .arg("--set=limits.disk_reserve=4MiB");
    let mut node = options.start();
    let load = Load::new();
    load.round(&mut node, |_| {});
    let filler = disk.mount_point().join("filler");
    fill(&filler, disk.free());
    let one = |node: &Node, n: i64| {
        let request = body(vec![series(&[("__name__", "one")], &[(load.start + n, n as f64)])]);
        node.post("/api/v1/write", &HEADERS, &request)
    };
    let refused = node.wait_for("a refusal", |node| {
        let answer = one(node, 0);
        (answer.status == 503).then_some(answer)
    });
    assert!(refused.header("retry-after").is_some() && refused.text().contains("bytes are free"));
    load.check(&node);
    std::fs::remove_file(&filler).unwrap();
    let freed = Instant::now();
    node.wait_for("ingest to resume", |node| (one(node, 1).status == 204).then_some(()));
    assert!(freed.elapsed() < Duration::from_secs(5), "{:?}", freed.elapsed());
    load.round(&mut node, |_| {});
    assert_eq!(node.stop().code(), Some(0), "{}", node.log());
    node.restart();
    load.check(&node);
    node.kill();
}

fn fill(path: &Path, bytes: u64) {
    let size = format!("count={}", bytes / (1 << 20) + 1);
    // It ends with an error when the disk is full, which is what it is for.
    let of = format!("of={}", path.display());
    let _ = Command::new("dd").args(["if=/dev/zero", "bs=1M", &of, &size]).output();
}
