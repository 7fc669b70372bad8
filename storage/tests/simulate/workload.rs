//! A run of API calls from a seed: appends of every shape, keys, maintenance on a moved clock, reopenings.

use std::sync::Arc;

use ringwell_storage::append::{AppendError, Batch, Duplicates, SeriesRef, SeriesSamples};
use ringwell_storage::disk::{Disk, SimDisk};
use ringwell_storage::keyspace::{Derived, DerivedSample, Effects, Extract, Keyspace, Request};
use ringwell_storage::model::{Labels, Sample, Value, WalPosition};
use ringwell_storage::store::{Options, Store};
use ringwell_storage::wal::LogOptions;

use crate::oracle::{Oracle, Safe, What};

const SPAN: i64 = 20_000;
pub(crate) const RETENTION: i64 = 30 * 60_000;
const STALE: u64 = 0x7ff0_0000_0000_0002;

pub(crate) fn options() -> Options {
    Options {
        ring_samples: 4,
        block_span: SPAN,
        cut_delay: 0,
        max_future: None,
        retention: Some(RETENTION),
        checkpoint_bytes: 900,
        log: LogOptions { segment_bytes: 500, max_pending: 1 << 20, fill_bytes: 200, spares: 2 },
        reserve_bytes: 64,
        ..Options::default()
    }
}

/// Every pushed element `t:n` is a sample of one series.
pub(crate) struct Elements;

impl Extract for Elements {
    fn extract(&self, _: &Keyspace, request: &Request<'_>, _: &Effects, _: i64, out: &mut Derived) {
        if request.args.first() != Some(&b"RPUSH".as_slice()) {
            return;
        }
        for element in request.args.iter().skip(2) {
            let text = std::str::from_utf8(element).unwrap();
            let (t, v) = text.split_once(':').unwrap();
            out.samples.push(DerivedSample {
                labels: labels("events"),
                lookback: None,
                t: t.parse().unwrap(),
                value: v.parse().unwrap(),
                duplicates: Duplicates::NextFree,
            });
        }
    }

    fn hold(&self, _: &Keyspace, _: i64, _: &mut Derived) {}
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
        let values = seed << 20;
        Run { disk, oracle, random: Random::of(seed), now, values, store: None }
    }

    /// Takes so many steps; stops at the first error that is not only a full disk.
    pub(crate) fn steps(&mut self, steps: u64) -> Result<(), String> {
        for _ in 0..steps {
            // Anything else may pass: the store goes on once the disk does.
            if let Err(AppendError::Poisoned(reason)) = self.step() {
                return Err(reason);
            }
            if let Some(store) = &self.store {
                let _ = store.tick(self.now, &Elements);
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
            self.store = Some(store);
        }
        self.store.as_ref().ok_or_else(|| AppendError::Log(String::new()))
    }

    fn step(&mut self) -> Result<(), AppendError> {
        self.now += self.random.below(4000) as i64;
        match self.random.below(20) {
            0..=8 => self.append(),
            9..=11 => self.push(),
            12 => self.set(),
            13..=16 => self.sync(),
            17 | 18 => self.maintain(),
            _ => self.reopen(),
        }
    }

    fn append(&mut self) -> Result<(), AppendError> {
        let mut series = Vec::new();
        let mut sent = Vec::new();
        for _ in 0..=self.random.below(3) {
            let name = ["a", "b", "c", "d", "e"][self.random.below(5) as usize];
            if sent.iter().any(|((known, _), _): &((String, i64), u64)| known == name) {
                continue;
            }
            let mut samples: Vec<Sample> = Vec::new();
            for _ in 0..=self.random.below(3) {
                // Mostly now, sometimes late, perhaps into a block.
                let late = if self.random.below(4) == 0 { self.random.below(60_000) } else { 0 };
                let t = self.now - late as i64 + samples.len() as i64;
                let bits = self.value();
                samples.push(Sample { t, start: 0, value: Value::Float(f64::from_bits(bits)) });
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
        let done = self.store()?.append(&batch, now)?;
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
        let element = format!("{}:{}", self.now, self.oracle.elements);
        let args: Vec<&[u8]> = vec![b"RPUSH", b"metrics:events", element.as_bytes()];
        let now = self.now;
        let done = self.store()?.execute(&Request { db: 0, args: &args }, now, &Elements);
        let Some(position) = done.position else {
            return Err(AppendError::Log(format!("{:?}", done.reply)));
        };
        self.oracle.elements += 1;
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
