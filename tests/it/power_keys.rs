//! The promise of each sync mode for Redis keys: kill -9 loses nothing that was answered; a power cut
//! loses nothing with `commit`, and with a duration nothing that was synced before. An element and its
//! sample come and go together. `RINGWELL_POWER_CUTS=100` and `RINGWELL_KILLS=100` run longer.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::clients::count;
use crate::node::{Node, Options};
use crate::oracle::Connection;
use crate::power::{LoopDisk, times};
use crate::wire::now;

const PUSHERS: usize = 4;
/// Pushes of one connection that are sent before their replies are read.
const PIPELINE: u64 = 8;
/// Between pipelines: a log that grew at full speed for a hundred rounds would only take long to replay.
const PAUSE: Duration = Duration::from_millis(20);

/// What must be there after a round: of each pusher so many pushes.
type Safe = Vec<u64>;

/// Pushes of one round: by pusher how many were answered, and how many sent.
struct Pushes {
    round: u32,
    start: i64,
    answered: Vec<AtomicU64>,
    sent: Vec<AtomicU64>,
    over: AtomicBool,
}

impl Pushes {
    fn new(round: u32) -> Pushes {
        let zeros = || (0..PUSHERS).map(|_| AtomicU64::new(0)).collect();
        let over = AtomicBool::new(false);
        Pushes { round, start: now() - 3_000_000, answered: zeros(), sent: zeros(), over }
    }

    fn queue(&self, pusher: usize) -> String {
        format!("r{}p{pusher}", self.round)
    }

    fn key(&self, pusher: usize) -> String {
        format!("metrics:queue:{}:depth", self.queue(pusher))
    }

    /// Pushes numbers in order until told to stop or the node is gone. An answer counts only if it
    /// came before the cut.
    fn run(&self, pusher: usize, address: &str) {
        let Ok(stream) = TcpStream::connect(address) else { return };
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut reader = BufReader::new(stream);
        let key = self.key(pusher);
        while !self.over.load(Ordering::SeqCst) {
            let first = self.sent[pusher].fetch_add(PIPELINE, Ordering::SeqCst);
            let mut bytes = String::new();
            for number in first..first + PIPELINE {
                let t = self.start + i64::try_from(number).unwrap();
                let element = format!(r#"{{"value":{number},"timestamp":{t}}}"#);
                bytes += &format!("*3\r\n$5\r\nRPUSH\r\n${}\r\n{key}\r\n", key.len());
                bytes += &format!("${}\r\n{element}\r\n", element.len());
            }
            if reader.get_mut().write_all(bytes.as_bytes()).is_err() {
                return;
            }
            for number in first..first + PIPELINE {
                let mut line = String::new();
                if reader.read_line(&mut line).is_err() || !line.ends_with("\r\n") {
                    return;
                }
                assert!(line.starts_with(':'), "{line}");
                if !self.over.load(Ordering::SeqCst) {
                    self.answered[pusher].store(number + 1, Ordering::SeqCst);
                }
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn answered(&self) -> Vec<u64> {
        self.answered.iter().map(|answered| answered.load(Ordering::SeqCst)).collect()
    }

    /// One round: under load it waits for `settled`, which says what was answered then and must stay,
    /// or that all that is answered by the end must.
    fn round(
        &self,
        node: &mut Node,
        settled: impl Fn(&Node, &Pushes) -> Option<Vec<u64>>,
        end: impl FnOnce(&mut Node),
    ) -> Safe {
        let address = node.redis.clone();
        std::thread::scope(|scope| {
            for pusher in 0..PUSHERS {
                let address = &address;
                scope.spawn(move || self.run(pusher, address));
            }
            node.wait_for("some pushes", |_| {
                (self.answered().iter().sum::<u64>() > 200).then_some(())
            });
            let answered = settled(node, self);
            self.over.store(true, Ordering::SeqCst);
            let answered = answered.unwrap_or_else(|| self.answered());
            end(node);
            answered
        })
    }

    /// What must be there is there, in order, once, with its sample.
    fn check(&self, node: &Node, safe: &Safe) {
        let mut connection = Connection::open(&node.redis);
        for (pusher, safe) in safe.iter().enumerate() {
            let key = self.key(pusher);
            let list = format!("{:?}", connection.call(&["LRANGE", &key, "0", "-1"]));
            let numbers: Vec<u64> = list
                .split("value")
                .skip(1)
                .map(|rest| {
                    let digits = rest.trim_start_matches(|c: char| !c.is_ascii_digit());
                    digits.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
                })
                .collect();
            assert!(numbers.is_sorted_by(|a, b| a < b), "{key}: none is doubled");
            let sent = self.sent[pusher].load(Ordering::SeqCst);
            assert!(numbers.iter().all(|n| *n < sent), "{key}: none is invented");
            let missing: Vec<u64> =
                (0..*safe).filter(|n| numbers.binary_search(n).is_err()).collect();
            assert!(missing.is_empty(), "{key} lost {missing:?} of {safe}");
            let samples =
                format!(r#"count_over_time(queue_depth{{queue="{}"}}[2h])"#, self.queue(pusher));
            assert_eq!(count(node, &samples), numbers.len() as f64, "{key}: samples");
        }
    }
}

/// What was answered before the log was seen synced up to where it then ended.
fn synced(node: &Node, pushes: &Pushes) -> Option<Vec<u64>> {
    let position = |name: &str| -> f64 {
        let metrics = node.get("/metrics").text();
        let line = metrics.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        line.split(' ').nth(1).unwrap().parse().unwrap()
    };
    let answered = pushes.answered();
    let end = position("ringwell_wal_bytes_total ");
    node.wait_for("the log to be synced", |_| {
        (position("ringwell_wal_synced_bytes_total ") >= end).then_some(())
    });
    Some(answered)
}

const MODES: [&str; 2] = ["commit", "1s"];

/// Rounds of load and an end; what must be there is checked after each, and once more at last.
fn rounds(
    node: &mut Node,
    count: u32,
    settled: impl Fn(&Node, &Pushes) -> Option<Vec<u64>>,
    end: impl Fn(&mut Node),
) -> u64 {
    let mut done = Vec::new();
    for round in 0..count {
        let pushes = Pushes::new(round);
        let safe = pushes.round(node, &settled, &end);
        node.restart();
        pushes.check(node, &safe);
        done.push((pushes, safe));
    }
    done.iter().for_each(|(pushes, safe)| pushes.check(node, safe));
    done.iter().flat_map(|(pushes, _)| pushes.answered()).sum()
}

#[test]
fn kills_under_redis_traffic_lose_nothing() {
    for mode in MODES {
        let mut node = Options::default().arg(format!("--set=wal.keys_sync={mode}")).start();
        let answered = rounds(&mut node, times("RINGWELL_KILLS"), |_, _| None, Node::kill);
        println!("{mode}: {answered} pushes answered, 0 lost");
    }
}

#[test]
fn power_cuts_under_redis_traffic_keep_what_the_mode_promises() {
    for mode in MODES {
        let Some(disk) = LoopDisk::new(256) else { return };
        let options = Options::default().data_in(disk.mount_point().join("data"));
        let mut node = options.arg(format!("--set=wal.keys_sync={mode}")).start();
        let settled =
            |node: &Node, pushes: &Pushes| (mode != "commit").then(|| synced(node, pushes))?;
        let cut = |node: &mut Node| {
            disk.cut_power();
            node.kill();
            disk.remount();
        };
        let answered = rounds(&mut node, times("RINGWELL_POWER_CUTS"), settled, cut);
        node.kill();
        println!("{mode}: {answered} pushes answered, 0 lost of what was promised");
    }
}
