//! What was sent, when it was acknowledged (counted in disk operations), and what must therefore be
//! there after a crash at any operation.

use std::collections::BTreeMap;

use ringwell_storage::keyspace::{Reply, Request};
use ringwell_storage::model::{SampleBuf, TimeRange, Value, WalPosition};
use ringwell_storage::read::Queryable;
use ringwell_storage::store::Store;

use crate::workload::Elements;

/// Never acknowledged.
const NEVER: u64 = u64::MAX;

pub(crate) type Key = (String, i64);

/// One thing that was sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) what: What,
    pub(crate) end: WalPosition,
    /// Disk operations there had been when it was known to be written, and synced.
    pub(crate) written: u64,
    pub(crate) synced: u64,
    /// The process that knew its position has died.
    doubtful: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    /// A value, by its bits.
    Sample(Key, u64),
    /// That many elements in the list.
    Elements(usize),
    /// The value of the one string key.
    Text(u64),
}

/// Which acknowledgements count.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Safe {
    /// All that was written: the process was killed.
    Written,
    /// All that was synced: the power was cut.
    Synced,
}

#[derive(Clone, Default)]
pub(crate) struct Oracle {
    pub(crate) sent: Vec<Sent>,
    /// All bits ever sent for a place.
    pub(crate) bits: BTreeMap<Key, Vec<u64>>,
    pub(crate) elements: usize,
    pub(crate) texts: u64,
    /// Samples older than this may be gone.
    pub(crate) horizon: i64,
}

impl Oracle {
    pub(crate) fn sends(&mut self, key: &Key, bits: u64) {
        self.bits.entry(key.clone()).or_default().push(bits);
    }

    pub(crate) fn next_text(&mut self) -> u64 {
        self.texts += 1;
        self.texts
    }

    pub(crate) fn took(&mut self, what: What, end: WalPosition) {
        self.sent.push(Sent { what, end, written: NEVER, synced: NEVER, doubtful: false });
    }

    /// Everything up to `upto` is acknowledged, by operation `operation`.
    pub(crate) fn acknowledged(&mut self, upto: WalPosition, safe: Safe, operation: u64) {
        for sent in self.sent.iter_mut().rev().filter(|s| !s.doubtful && s.end <= upto) {
            sent.written = sent.written.min(operation);
            if matches!(safe, Safe::Synced) {
                if sent.synced <= operation {
                    break;
                }
                sent.synced = operation;
            }
        }
    }

    /// The process ends: what it did not acknowledge stays open for ever.
    pub(crate) fn process_ends(&mut self) {
        for sent in self.sent.iter_mut().filter(|s| s.synced == NEVER) {
            sent.doubtful = true;
        }
    }

    /// The first violation, if any, in a store opened after a crash at `operation`.
    pub(crate) fn check(&self, store: &Store, operation: u64, safe: Safe) -> Result<(), String> {
        let found = contents(store)?;
        let (elements, text) = keys(store)?;
        let mut least_text = 0;
        for sent in &self.sent {
            let due = match safe {
                Safe::Written => sent.written,
                Safe::Synced => sent.synced,
            };
            if due > operation {
                continue;
            }
            match &sent.what {
                What::Sample(key, bits) if key.1 >= self.horizon => match found.get(key) {
                    None => return Err(format!("{key:?} lost (acknowledged at {due})")),
                    Some(there) if there != bits => {
                        return Err(format!("{key:?} is {there:x}, not {bits:x}"));
                    }
                    Some(_) => {}
                },
                What::Sample(..) => {}
                What::Elements(n) if elements.len() < *n => {
                    return Err(format!("elements lost: {} of {n}", elements.len()));
                }
                What::Elements(_) => {}
                What::Text(n) => least_text = least_text.max(*n),
            }
        }
        if text < least_text || text > self.texts {
            return Err(format!("the text is {text}, acknowledged was {least_text}"));
        }
        self.check_invented(&found, &elements)
    }

    fn check_invented(
        &self,
        found: &BTreeMap<Key, u64>,
        elements: &[String],
    ) -> Result<(), String> {
        let mut derived = 0;
        for (key, bits) in found {
            if key.0 == "events" {
                derived += 1;
            } else if !self.bits.get(key).is_some_and(|sent| sent.contains(bits)) {
                return Err(format!("{key:?} = {bits:x} was never sent"));
            }
        }
        for (i, element) in elements.iter().enumerate() {
            if !element.ends_with(&format!(":{i}")) {
                return Err(format!("element {i} is {element:?}"));
            }
        }
        // Below the horizon a derived sample may be gone while its element stays.
        let kept = |e: &&String| time_of(e) >= self.horizon;
        if derived < elements.iter().filter(kept).count() || derived > elements.len() {
            return Err(format!("{} elements, {derived} samples of them", elements.len()));
        }
        Ok(())
    }
}

fn time_of(element: &str) -> i64 {
    element.split(':').next().and_then(|t| t.parse().ok()).unwrap_or(i64::MAX)
}

/// All samples by their bits; an error where reading fails or order is broken.
pub(crate) fn contents(store: &Store) -> Result<BTreeMap<Key, u64>, String> {
    let mut found = BTreeMap::new();
    let series = store.snapshot().select(&[], TimeRange::ALL).map_err(|e| e.to_string())?;
    for series in series {
        let mut samples = SampleBuf::default();
        let mut cursor = series.cursor(TimeRange::ALL).map_err(|e| e.to_string())?;
        while cursor.next(&mut samples).map_err(|e| e.to_string())? {}
        if !samples.t.is_sorted_by(|a, b| a < b) {
            return Err(format!("doubled or out of order: {:?}", samples.t));
        }
        for sample in samples.iter() {
            let Value::Float(value) = sample.value else { return Err("a histogram".to_owned()) };
            let name = series.labels().metric_name().to_owned();
            found.insert((name, sample.t), value.to_bits());
        }
    }
    Ok(found)
}

/// The elements of the list, and the number in the string.
pub(crate) fn keys(store: &Store) -> Result<(Vec<String>, u64), String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let ask = |args: &[&[u8]]| store.execute(&Request { db: 0, args }, 0, &Elements).reply;
    let elements = match ask(&[b"LRANGE", b"metrics:events", b"0", b"-1"]) {
        Reply::Bulks(packed) => packed.iter().map(text).collect(),
        Reply::Array(replies) => replies
            .iter()
            .map(|r| if let Reply::Bulk(bytes) = r { text(bytes) } else { format!("{r:?}") })
            .collect(),
        other => return Err(format!("{other:?}")),
    };
    let number = match ask(&[b"GET", b"text"]) {
        Reply::Bulk(bytes) => text(&bytes).parse().map_err(|_| "the text is damaged".to_owned())?,
        _ => 0,
    };
    Ok((elements, number))
}
