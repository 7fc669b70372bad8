//! A run of API calls from a seed: appends of every shape, keys, maintenance on a moved clock, reopenings.

use std::sync::Arc;

use ringwell_storage::append::{AppendError, Batch, Duplicates, SeriesRef, SeriesSamples};
use ringwell_storage::disk::{Disk, DiskError, File, SimDisk};
use ringwell_storage::keyspace::{Derived, DerivedSample, Effects, Extract, Keyspace, Request};
use ringwell_storage::model::{
    CounterReset, Counts, Histogram, Labels, Matcher, Sample, Schema, Span, TimeRange, Value,
    WalPosition,
};
use ringwell_storage::store::{DeleteError, Options, Store};
use ringwell_storage::tools::backup::restore;
use ringwell_storage::wal::LogOptions;

use crate::oracle::{Oracle, Safe, What, print};

const SPAN: i64 = 20_000;
pub(crate) const RETENTION: i64 = 30 * 60_000;
/// Series; `h` has histograms.
const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "h"];
const STALE: u64 = 0x7ff0_0000_0000_0002;

pub(crate) fn options() -> Options {
    Options {
        ring_samples: 4,
        block_span: SPAN,
        cut_delay: 0,
        max_future: None,
        retention: Some(RETENTION),
        checkpoint_bytes: 900,
        lull_bytes: 400,
        log: LogOptions { segment_bytes: 500, max_pending: 1 << 20, fill_bytes: 200, spares: 2 },
        reserve_bytes: 64,
        ..Options::default()
    }
}

/// Every pushed element `t:n` is a sample of one series.
pub(crate) struct Elements;

impl Extract for Elements {
    fn extract(&self, _: &Keyspace, request: &Request<'_>, _: &Effects, _: i64, out: &mut Derived) {
        if !request.args.starts_with(&[b"RPUSH", b"metrics:events"]) {
            return;
        }
        for element in request.args.iter().skip(2) {
            let text = std::str::from_utf8(element).unwrap();
            let (t, v) = text.split_once(':').unwrap();
            out.samples.push(DerivedSample {
                labels: labels("events"),
                lookback: Some(SPAN),
                t: t.parse().unwrap(),
                value: v.parse().unwrap(),
                duplicates: Duplicates::NextFree,
            });
        }
    }

    fn hold(&self, _: &Keyspace, _: i64, _: &mut Derived) {}
}

/// A native histogram that shows its number everywhere.
pub(crate) fn histogram(n: u64) -> Histogram {
    Histogram {
        reset: CounterReset::Unknown,
        schema: Schema::Exponential(2),
        zero_threshold: 0.0,
        sum: n as f64,
        positive_spans: vec![Span { offset: (n % 7) as i32, length: 2 }],
        negative_spans: vec![],
        custom_values: Arc::from([]),
        counts: Counts::Integer {
            count: 1 + n % 1000 + n % 3,
            zero: 1,
            positive: vec![n % 1000, n % 3],
            negative: vec![],
        },
    }
}

fn labels(name: &str) -> Labels {
    Labels::from_pairs([("__name__", name), ("job", "sim")]).unwrap()
}

/// xorshift64*.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn of(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) % bound.max(1)
    }
}

pub(crate) fn open(disk: &Arc<SimDisk>) -> Result<Store, String> {
    let disk: Arc<dyn Disk> = Arc::new(Arc::clone(disk));
    Store::open(disk, options(), 0).map_err(|e| e.to_string())
}

/// The run: its disk, its clock, and what it promised.
pub(crate) struct Run {
    pub(crate) disk: Arc<SimDisk>,
    pub(crate) oracle: Oracle,
    pub(crate) random: Random,
    pub(crate) now: i64,
    values: u64,
    store: Option<Store>,
}

impl Run {
    pub(crate) fn new(disk: Arc<SimDisk>, oracle: Oracle, seed: u64, now: i64) -> Run {
        // Small enough for a float to tell from the next.
        let values = (seed << 20) & ((1 << 50) - 1);
        Run { disk, oracle, random: Random::of(seed), now, values, store: None }
    }

    /// Takes so many steps; stops at the first error that is not only a full disk.
    pub(crate) fn steps(&mut self, steps: u64) -> Result<(), String> {
        for _ in 0..steps {
            // Anything else may pass: the store goes on once the disk does.
            if let Err(AppendError::Poisoned(reason)) = self.step() {
                return Err(reason);
            }
            if let Some(store) = &self.store
                && let Ok(position) = store.tick(self.now, &Elements)
            {
                // A key may have expired.
                let print = print(store);
                self.oracle.sees_keys(print, position);
            }
        }
        Ok(())
    }

    /// Syncs what there is and has the log say so, so that the last things count too.
    pub(crate) fn finish(&mut self) -> Result<(), AppendError> {
        self.sync()?;
        let now = self.now;
        self.store()?.tick(now, &Elements).map(|_| ())
    }

    /// Where the log ends.
    pub(crate) fn log_end(&self) -> u64 {
        self.store.as_ref().map_or(0, |store| store.stats().log_end)
    }

    fn store(&mut self) -> Result<&Store, AppendError> {
        if self.store.is_none() {
            let store = open(&self.disk).map_err(AppendError::Log)?;
            // What was not acknowledged may have ended with the process before.
            let (elements, _) = crate::oracle::keys(&store).map_err(AppendError::Log)?;
            self.oracle.elements = elements.len();
            // A state of before, without what was not acknowledged.
            self.oracle.may_have(What::Keys(print(&store)));
            self.store = Some(store);
        }
        self.store.as_ref().ok_or_else(|| AppendError::Log(String::new()))
    }

    fn step(&mut self) -> Result<(), AppendError> {
        self.now += self.random.below(4000) as i64;
        match self.random.below(60) {
            0..=23 => self.append(),
            24..=30 => self.push(),
            31..=33 => self.set(),
            34..=38 => self.command(),
            39..=40 => self.delete(),
            41..=51 => self.sync(),
            52..=55 => self.maintain(),
            56 => self.snapshot(),
            57 => self.jump(),
            _ => self.reopen(),
        }
    }

    /// The clock is set: forth, or back behind what was sent before.
    fn jump(&mut self) -> Result<(), AppendError> {
        let far = self.random.below(600_000) as i64;
        self.now = if self.random.below(2) == 0 { self.now + far } else { self.now - far };
        Ok(())
    }

    /// One command on a key of some type; the state after it is what counts.
    fn command(&mut self) -> Result<(), AppendError> {
        let (n, until) = (self.random.below(5).to_string(), (self.now + 20_000).to_string());
        self.values += 1;
        let value = self.values.to_string();
        let lines = [
            format!("HSET hash f{n} {value}"),
            format!("HDEL hash f{n}"),
            format!("HINCRBY hash count {n}"),
            format!("SADD set {n} m{value}"),
            format!("SREM set {n}"),
            format!("ZADD zset {value} m{n}"),
            format!("ZREM zset m{n}"),
            format!("RPUSH list {value}"),
            format!("LPUSH list {value}"),
            "LPOP list".to_owned(),
            format!("LTRIM list 0 {n}"),
            format!("SET mortal {value} PXAT {until}"),
            "PERSIST mortal".to_owned(),
            "RENAME zset set".to_owned(),
            format!("XADD stream * n {value} value text{n}"),
            format!("XADD stream MAXLEN ~ 150 * n {value}"),
            format!("XTRIM stream MAXLEN {n}"),
            "XGROUP CREATE stream group 0 MKSTREAM".to_owned(),
            format!("XREADGROUP GROUP group c{n} COUNT 2 STREAMS stream >"),
            format!("XAUTOCLAIM stream group c{n} 0 0 COUNT 2"),
            format!("XGROUP DELCONSUMER stream group c{n}"),
            format!("PFADD counter {value}"),
            "DEL hash zset".to_owned(),
            "DEL stream counter".to_owned(),
        ];
        let line = &lines[self.random.below(lines.len() as u64) as usize];
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let now = self.now;
        let done = self.store()?.execute(&Request { db: 0, args: &args }, now, &Elements);
        let Some(position) = done.position else { return Ok(()) };
        let print = print(self.store()?);
        self.oracle.sees_keys(print, position);
        self.written(position)
    }

    /// Deletes a stretch of a series, or all of it.
    fn delete(&mut self) -> Result<(), AppendError> {
        let name = NAMES[self.random.below(NAMES.len() as u64) as usize];
        let from = self.now - self.random.below(90_000) as i64;
        let to = from + self.random.below(60_000) as i64;
        let whole = self.random.below(4) == 0;
        let (from, to) = if whole { (i64::MIN, i64::MAX) } else { (from, to) };
        let what = What::Deletion(name.to_owned(), from, to);
        let matchers = vec![Matcher::equal("__name__", name)];
        let range = TimeRange::new(from, to).unwrap();
        let store = self.store()?;
        let done = if whole { store.forget(matchers) } else { store.delete(matchers, range) };
        match done {
            Ok(position) => {
                self.oracle.took(what, position);
                self.written(position)
            }
            Err(DeleteError::Log(error)) => {
                self.oracle.may_have(what);
                Err(error)
            }
            Err(error) => Err(AppendError::Log(error.to_string())),
        }
    }

    /// A snapshot holds all that was acknowledged when it was taken, and nothing wrong.
    fn snapshot(&mut self) -> Result<(), AppendError> {
        self.values += 1;
        let name = format!("s{}", self.values);
        self.sync()?;
        let path = self.store()?.snapshot_to(&name);
        let path = path.map_err(|e| AppendError::Log(e.to_string()))?;
        let inside = Inside { disk: Arc::clone(&self.disk), dir: path.clone() };
        let copy = SimDisk::new();
        restore(&inside, &copy).map_err(|e| AppendError::Log(e.to_string()))?;
        let whole = open(&copy)
            .and_then(|store| self.oracle.check(&store, self.disk.operations(), Safe::Synced));
        whole.map_err(|what| AppendError::Poisoned(format!("snapshot {name}: {what}")))?;
        let files = self.disk.files().into_iter().map(|(file, _)| file);
        for file in files.filter(|file| file.starts_with(&path)) {
            self.disk.remove(&file).map_err(|e| AppendError::Log(e.to_string()))?;
        }
        Ok(())
    }

    fn append(&mut self) -> Result<(), AppendError> {
        let mut series = Vec::new();
        let mut sent = Vec::new();
        for _ in 0..=self.random.below(3) {
            let name = NAMES[self.random.below(NAMES.len() as u64) as usize];
            if sent.iter().any(|((known, _), _): &((String, i64), u64)| known == name) {
                continue;
            }
            let mut samples: Vec<Sample> = Vec::new();
            for _ in 0..=self.random.below(3) {
                // Mostly now, sometimes late, perhaps into a block.
                let late = if self.random.below(4) == 0 { self.random.below(60_000) } else { 0 };
                let t = self.now - late as i64 + samples.len() as i64;
                let bits = if name == "h" { self.number() } else { self.value() };
                let value = match name {
                    "h" => Value::Histogram(Arc::new(histogram(bits))),
                    _ => Value::Float(f64::from_bits(bits)),
                };
                samples.push(Sample { t, start: 0, value });
                sent.push(((name.to_owned(), t), bits));
            }
            series.push(SeriesSamples {
                series: SeriesRef::Labels(labels(name)),
                samples: samples.into(),
            });
        }
        for (key, bits) in &sent {
            self.oracle.sends(key, *bits);
        }
        let now = self.now;
        let batch = Batch { series, duplicates: Duplicates::Reject };
        let done = match self.store()?.append(&batch, now) {
            Ok(done) => done,
            Err(error) => {
                for (key, bits) in sent {
                    self.oracle.may_have(What::Sample(key, bits));
                }
                return Err(error);
            }
        };
        let mut at = 0;
        for (i, series) in batch.series.iter().enumerate() {
            for j in 0..series.samples.len() {
                let refused = |r: &&ringwell_storage::append::Rejected| {
                    r.series == i && r.sample.is_none_or(|s| s == j)
                };
                if done.rejected.iter().find(refused).is_none() {
                    let (key, bits) = sent[at].clone();
                    self.oracle.took(What::Sample(key, bits), done.position);
                }
                at += 1;
            }
        }
        self.written(done.position)
    }

    fn number(&mut self) -> u64 {
        self.values += 1;
        self.values
    }

    /// Every value is another one, so that a mix-up shows; some are odd.
    fn value(&mut self) -> u64 {
        self.values += 1;
        match self.random.below(12) {
            0 => STALE,
            1 => (-0.0_f64).to_bits(),
            2 => 0x7ff8_0000_0000_0000 | self.values,
            _ => (self.values as f64 * 0.25).to_bits(),
        }
    }

    fn push(&mut self) -> Result<(), AppendError> {
        self.store()?;
        // Sometimes as many as make a run that leaves memory for a file.
        let many = if self.random.below(6) == 0 { 40 } else { 1 };
        let before = self.oracle.elements;
        let now = self.now;
        let elements = (before..before + many).map(|n| format!("{now}:{n}")).collect::<Vec<_>>();
        let mut args: Vec<&[u8]> = vec![b"RPUSH", b"metrics:events"];
        args.extend(elements.iter().map(|element| element.as_bytes()));
        let done = self.store()?.execute(&Request { db: 0, args: &args }, now, &Elements);
        let Some(position) = done.position else {
            return Err(AppendError::Log(format!("{:?}", done.reply)));
        };
        self.oracle.elements += many;
        let elements = self.oracle.elements;
        self.oracle.took(What::Elements(elements), position);
        self.written(position)
    }

    fn set(&mut self) -> Result<(), AppendError> {
        let n = self.oracle.next_text();
        let text = n.to_string();
        let args: Vec<&[u8]> = vec![b"SET", b"text", text.as_bytes()];
        let now = self.now;
        let done = self.store()?.execute(&Request { db: 0, args: &args }, now, &Elements);
        let Some(position) = done.position else {
            return Err(AppendError::Log(format!("{:?}", done.reply)));
        };
        self.oracle.took(What::Text(n), position);
        self.written(position)
    }

    fn written(&mut self, position: WalPosition) -> Result<(), AppendError> {
        let waited = crate::now_or_never(
            self.store()?.wait(position, ringwell_storage::store::Ack::Written),
        );
        waited.unwrap_or(Ok(()))?;
        self.oracle.acknowledged(position, Safe::Written, self.disk.operations());
        Ok(())
    }

    fn sync(&mut self) -> Result<(), AppendError> {
        let upto = self.store()?.sync()?;
        self.oracle.acknowledged(upto, Safe::Synced, self.disk.operations());
        Ok(())
    }

    fn maintain(&mut self) -> Result<(), AppendError> {
        // Ranges are looked at once a minute and cut when quiet for two.
        for _ in 0..3 {
            self.now += 61_000;
            let now = self.now;
            self.oracle.horizon = self.oracle.horizon.max(now - RETENTION);
            self.store()?.maintain(now).map_err(|e| AppendError::Log(e.to_string()))?;
        }
        Ok(())
    }

    /// A clean stop, or a kill, and the next start.
    fn reopen(&mut self) -> Result<(), AppendError> {
        let clean = self.random.below(2) == 0;
        let now = self.now;
        if clean {
            let store = self.store()?;
            store.close(now).map_err(|e| AppendError::Log(e.to_string()))?;
            let end = store.sync()?;
            self.oracle.acknowledged(end, Safe::Synced, self.disk.operations());
        }
        self.store = None;
        self.oracle.process_ends();
        self.store().map(|_| ())
    }
}

/// A directory of a disk, read as a disk of its own.
struct Inside {
    disk: Arc<SimDisk>,
    dir: String,
}

impl Inside {
    fn at(&self, path: &str) -> String {
        if path.is_empty() { self.dir.clone() } else { format!("{}/{path}", self.dir) }
    }
}

impl Disk for Inside {
    fn create(&self, path: &str) -> Result<Arc<dyn File>, DiskError> {
        self.disk.create(&self.at(path))
    }

    fn open(&self, path: &str) -> Result<Arc<dyn File>, DiskError> {
        self.disk.open(&self.at(path))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        self.disk.rename(&self.at(from), &self.at(to))
    }

    fn link(&self, from: &str, to: &str) -> Result<(), DiskError> {
        self.disk.link(&self.at(from), &self.at(to))
    }

    fn remove(&self, path: &str) -> Result<(), DiskError> {
        self.disk.remove(&self.at(path))
    }

    fn list(&self, dir: &str) -> Result<Vec<String>, DiskError> {
        self.disk.list(&self.at(dir))
    }

    fn create_dir(&self, dir: &str) -> Result<(), DiskError> {
        self.disk.create_dir(&self.at(dir))
    }

    fn sync_dir(&self, dir: &str) -> Result<(), DiskError> {
        self.disk.sync_dir(&self.at(dir))
    }

    fn free_space(&self) -> Result<u64, DiskError> {
        self.disk.free_space()
    }
}
