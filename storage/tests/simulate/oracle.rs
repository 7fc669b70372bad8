//! What was sent, when it was acknowledged (counted in disk operations), and what must therefore be
//! there after a crash at any operation.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use ringwell_storage::keyspace::{Reply, Request};
use ringwell_storage::model::{SampleBuf, TimeRange, Value, WalPosition};
use ringwell_storage::read::Queryable;
use ringwell_storage::store::Store;

use crate::workload::{Elements, histogram};

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
    /// Samples of a series in a range of time are deleted.
    Deletion(String, i64, i64),
    /// What all other keys are, in one number.
    Keys(u64),
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

    /// What the keys are once the log is there up to `end`, if that is another state.
    pub(crate) fn sees_keys(&mut self, print: u64, end: WalPosition) {
        let is_print = |sent: &&Sent| matches!(sent.what, What::Keys(_));
        let last = self.sent.iter().rev().find(is_print);
        if !last.is_some_and(|sent| matches!(sent.what, What::Keys(known) if known == print)) {
            self.took(What::Keys(print), end);
        }
    }

    /// It may be in the log, and nobody knows.
    pub(crate) fn may_have(&mut self, what: What) {
        self.took(what, WalPosition(u64::MAX));
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
        let mut samples: BTreeMap<(&str, i64), Place> = BTreeMap::new();
        let mut prints = vec![EMPTY];
        for sent in &self.sent {
            let due = match safe {
                Safe::Written => sent.written,
                Safe::Synced => sent.synced,
            };
            let is_due = due <= operation;
            match &sent.what {
                What::Sample((name, t), bits) => {
                    samples.entry((name, *t)).or_default().takes(*bits, is_due);
                }
                What::Deletion(name, from, to) => {
                    let meant = samples.range_mut((name.as_str(), *from)..=(name.as_str(), *to));
                    meant.for_each(|(_, place)| place.is_deleted(is_due));
                }
                What::Elements(n) if is_due && elements.len() < *n => {
                    return Err(format!("elements lost: {} of {n}", elements.len()));
                }
                What::Elements(_) => {}
                What::Text(n) if is_due => least_text = least_text.max(*n),
                What::Text(_) => {}
                What::Keys(print) => {
                    // The log is in order: what came before the last that must be there is over.
                    if is_due {
                        prints.clear();
                    }
                    prints.push(*print);
                }
            }
        }
        if text < least_text || text > self.texts {
            return Err(format!("the text is {text}, acknowledged was {least_text}"));
        }
        if !prints.contains(&print(store)) {
            return Err("the keys are as they never were, or acknowledged changes are lost".into());
        }
        for ((name, t), place) in samples {
            let key = (name.to_owned(), t);
            place.check(&key, found.get(&key).copied(), t < self.horizon)?;
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

/// What may stand at one time of a series.
#[derive(Default)]
struct Place {
    allowed: Vec<u64>,
    required: bool,
    deleted: bool,
}

impl Place {
    fn takes(&mut self, bits: u64, is_due: bool) {
        if is_due {
            self.allowed.clear();
            self.required = true;
            self.deleted = false;
        }
        self.allowed.push(bits);
    }

    fn is_deleted(&mut self, is_due: bool) {
        if is_due {
            self.allowed.clear();
            self.deleted = true;
        }
        self.required = false;
    }

    fn check(&self, key: &Key, found: Option<u64>, may_be_gone: bool) -> Result<(), String> {
        match found {
            None if self.required && !may_be_gone => Err(format!("{key:?} lost")),
            Some(there) if !self.allowed.contains(&there) => {
                let deleted = if self.deleted { " and was deleted" } else { "" };
                Err(format!("{key:?} is {there:x}, not one of {:x?}{deleted}", self.allowed))
            }
            _ => Ok(()),
        }
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
            let bits = match &sample.value {
                Value::Float(value) => value.to_bits(),
                Value::Histogram(h) if h.same(&histogram(h.sum as u64)) => h.sum as u64,
                Value::Histogram(h) => return Err(format!("{h:?} was never sent")),
            };
            let name = series.labels().metric_name().to_owned();
            found.insert((name, sample.t), bits);
        }
    }
    Ok(found)
}

/// The print of no keys.
const EMPTY: u64 = 0;

/// All keys but the list and the text, in one number: a key of each type, and one that expires.
pub(crate) fn print(store: &Store) -> u64 {
    const LOOKS: [&[&[u8]]; 8] = [
        &[b"HGETALL", b"hash"],
        &[b"SMEMBERS", b"set"],
        &[b"ZRANGE", b"zset", b"0", b"-1", b"WITHSCORES"],
        &[b"LRANGE", b"list", b"0", b"-1"],
        &[b"XINFO", b"STREAM", b"stream", b"FULL", b"COUNT", b"0"],
        &[b"GET", b"counter"],
        &[b"GET", b"mortal"],
        &[b"PEXPIRETIME", b"mortal"],
    ];
    let ask = |args: &[&[u8]]| store.execute(&Request { db: 0, args }, 0, &Elements).reply;
    const KEYS: [&[u8]; 8] =
        [b"EXISTS", b"hash", b"set", b"zset", b"list", b"mortal", b"stream", b"counter"];
    if ask(&KEYS) == Reply::Integer(0) {
        return EMPTY;
    }
    let mut print = DefaultHasher::new();
    for look in LOOKS {
        let mut members = members(ask(look));
        if look[0] == b"HGETALL" || look[0] == b"SMEMBERS" {
            members.sort();
        }
        members.hash(&mut print);
    }
    print.finish()
}

fn members(reply: Reply) -> Vec<String> {
    match reply {
        Reply::Map(pairs) => pairs.iter().map(|pair| format!("{pair:?}")).collect(),
        Reply::Set(all) | Reply::Array(all) => all.iter().map(|r| format!("{r:?}")).collect(),
        Reply::Bulks(packed) => packed.iter().map(|b| format!("{b:?}")).collect(),
        other => vec![format!("{other:?}")],
    }
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
