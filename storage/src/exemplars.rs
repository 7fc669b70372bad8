//! Exemplars: samples that stand for others and carry labels of their own, as a trace's id. Kept in one
//! ring, the oldest overwritten; logged, and in every checkpoint, so that a restart keeps them.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::append::AppendError;
use crate::model::{Labels, Matcher, TimeRange, Timestamp, WalPosition};
use crate::store::{Store, lock};
use crate::wal::Logged;
use crate::wire::{FormatError, Reader, put_f64, put_prefixed, put_varint, put_zigzag};

/// Characters of an exemplar's names and values together, as OpenMetrics has it.
const MAX_LABEL_CHARS: usize = 128;

/// One exemplar.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// Its own labels.
    pub labels: Labels,
    /// When it was seen.
    pub t: Timestamp,
    /// The value it had.
    pub value: f64,
}

/// An exemplar and whose it is.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesExemplar {
    /// The series.
    pub series: Labels,
    /// The exemplar.
    pub exemplar: Exemplar,
}

/// What became of exemplars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Kept; equal ones that came again count too.
    pub kept: u64,
    /// Older than the newest of their series.
    pub out_of_order: u64,
    /// Labels too long.
    pub too_long: u64,
    /// Where the log ends for them; `None` if nothing was new.
    pub position: Option<WalPosition>,
}

/// The ring.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    capacity: usize,
    entries: VecDeque<SeriesExemplar>,
    /// The newest of each series in the ring, and how many it has there.
    newest: HashMap<Labels, (Exemplar, usize)>,
    /// Records below this position are in.
    pub(crate) applied: WalPosition,
}

/// Whether an exemplar is taken.
enum Admission {
    New,
    Known,
    OutOfOrder,
    TooLong,
}

impl Ring {
    /// Sets how many it holds; what is over goes.
    pub(crate) fn resize(&mut self, capacity: usize) {
        self.capacity = capacity;
        while self.entries.len() > capacity {
            self.drop_oldest();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    fn admit(&self, new: &SeriesExemplar, pending: &HashMap<Labels, Exemplar>) -> Admission {
        let chars = |label: crate::model::Label<'_>| {
            label.name.chars().count() + label.value.chars().count()
        };
        if new.exemplar.labels.iter().map(chars).sum::<usize>() > MAX_LABEL_CHARS {
            return Admission::TooLong;
        }
        let newest =
            pending.get(&new.series).or_else(|| self.newest.get(&new.series).map(|(e, _)| e));
        match newest {
            Some(newest) if new.exemplar.t < newest.t => Admission::OutOfOrder,
            Some(newest) if same(newest, &new.exemplar) => Admission::Known,
            _ => Admission::New,
        }
    }

    /// Takes what is logged.
    pub(crate) fn apply(&mut self, logged: &Logged<&Vec<SeriesExemplar>>) {
        if logged.position() >= self.applied {
            logged.get().iter().for_each(|new| self.push(new));
            self.applied = WalPosition(logged.position().0 + 1);
        }
    }

    fn push(&mut self, new: &SeriesExemplar) {
        if self.capacity == 0 {
            return;
        }
        if self.entries.len() == self.capacity {
            self.drop_oldest();
        }
        // All exemplars of a series share its labels.
        let known = self.newest.get_key_value(&new.series);
        let series = known.map_or_else(|| new.series.clone(), |(labels, _)| labels.clone());
        let newest = self.newest.entry(series.clone()).or_insert((new.exemplar.clone(), 0));
        *newest = (new.exemplar.clone(), newest.1 + 1);
        self.entries.push_back(SeriesExemplar { series, exemplar: new.exemplar.clone() });
    }

    fn drop_oldest(&mut self) {
        let Some(oldest) = self.entries.pop_front() else { return };
        if let Some((_, count)) = self.newest.get_mut(&oldest.series) {
            *count -= 1;
            if *count == 0 {
                self.newest.remove(&oldest.series);
            }
        }
    }

    /// Those of the series that any of the selectors means, in order of labels and of arrival.
    fn select(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
    ) -> BTreeMap<Labels, Vec<Exemplar>> {
        let value = |labels: &Labels, name: &str| labels.get(name).unwrap_or("").to_owned();
        let meant = |labels: &&Labels| {
            selectors
                .iter()
                .any(|selector| selector.iter().all(|m| m.matches(&value(labels, m.name()))))
        };
        let mut found: BTreeMap<Labels, Vec<Exemplar>> =
            self.newest.keys().filter(meant).map(|labels| (labels.clone(), Vec::new())).collect();
        for SeriesExemplar { series, exemplar } in &self.entries {
            if range.start() <= exemplar.t
                && exemplar.t <= range.end()
                && let Some(of_series) = found.get_mut(series)
            {
                of_series.push(exemplar.clone());
            }
        }
        found.retain(|_, exemplars| !exemplars.is_empty());
        found
    }

    /// For a checkpoint; empty where there is nothing to keep.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if !self.entries.is_empty() {
            put_varint(&mut out, self.applied.0);
            put(&mut out, self.entries.len(), self.entries.iter());
        }
        out
    }

    /// Of a checkpoint, before it has its size.
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Ring, FormatError> {
        let applied = WalPosition(reader.varint()?);
        let mut ring = Ring { capacity: usize::MAX, applied, ..Ring::default() };
        get(reader)?.iter().for_each(|entry| ring.push(entry));
        Ok(ring)
    }
}

fn same(a: &Exemplar, b: &Exemplar) -> bool {
    a.t == b.t && a.value.to_bits() == b.value.to_bits() && a.labels == b.labels
}

/// The payload of a record, and of a section of the checkpoint (docs/format/wal.md).
pub(crate) fn put<'a>(
    out: &mut Vec<u8>,
    count: usize,
    entries: impl Iterator<Item = &'a SeriesExemplar>,
) {
    put_varint(out, count as u64);
    for SeriesExemplar { series, exemplar } in entries {
        put_prefixed(out, series.encoded().as_bytes());
        put_prefixed(out, exemplar.labels.encoded().as_bytes());
        put_zigzag(out, exemplar.t);
        put_f64(out, exemplar.value);
    }
}

pub(crate) fn get(reader: &mut Reader<'_>) -> Result<Vec<SeriesExemplar>, FormatError> {
    let mut entries = Vec::new();
    for _ in 0..reader.count(11)? {
        let (series, labels) = (labels(reader)?, labels(reader)?);
        let exemplar = Exemplar { labels, t: reader.zigzag()?, value: reader.f64()? };
        entries.push(SeriesExemplar { series, exemplar });
    }
    Ok(entries)
}

fn labels(reader: &mut Reader<'_>) -> Result<Labels, FormatError> {
    Labels::from_encoded(reader.text()?).map_err(|_| reader.error("labels are damaged"))
}

impl Store {
    /// Takes exemplars in. Wait for the position, then acknowledge.
    pub fn add_exemplars(&self, new: Vec<SeriesExemplar>) -> Result<Taken, AppendError> {
        let mut taken = Taken::default();
        if new.is_empty() || self.options.exemplars == 0 {
            return Ok(taken);
        }
        self.admits()?;
        let mut ring = lock(&self.exemplars);
        let (mut fresh, mut pending) = (Vec::new(), HashMap::new());
        for entry in new {
            match ring.admit(&entry, &pending) {
                Admission::New => {
                    pending.insert(entry.series.clone(), entry.exemplar.clone());
                    fresh.push(entry);
                    taken.kept += 1;
                }
                Admission::Known => taken.kept += 1,
                Admission::OutOfOrder => taken.out_of_order += 1,
                Admission::TooLong => taken.too_long += 1,
            }
        }
        if !fresh.is_empty() {
            let logged = self.log.append(fresh)?;
            ring.apply(&logged.as_ref());
            taken.position = Some(logged.end());
        }
        Ok(taken)
    }

    /// Exemplars of the series that any selector means, by series.
    pub fn exemplars(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
    ) -> BTreeMap<Labels, Vec<Exemplar>> {
        lock(&self.exemplars).select(selectors, range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(series: &str, t: i64, trace: &str) -> SeriesExemplar {
        let exemplar = Exemplar {
            labels: Labels::from_pairs([("trace_id", trace)]).unwrap(),
            t,
            value: t as f64,
        };
        SeriesExemplar { series: Labels::from_pairs([("__name__", series)]).unwrap(), exemplar }
    }

    fn all(ring: &Ring) -> Vec<String> {
        let any = vec![vec![Matcher::equal("nobody", "")]];
        let found = ring.select(&any, TimeRange::ALL);
        let text = |(labels, of): (&Labels, &Vec<Exemplar>)| {
            let times: Vec<i64> = of.iter().map(|e| e.t).collect();
            format!("{} {times:?}", labels.metric_name())
        };
        found.iter().map(text).collect()
    }

    #[test]
    fn the_oldest_makes_room_and_forgets_its_series() {
        let mut ring = Ring::default();
        ring.resize(3);
        for new in [entry("a", 1, "x"), entry("b", 2, "x"), entry("b", 3, "x"), entry("b", 4, "x")]
        {
            ring.push(&new);
        }
        assert_eq!(all(&ring), ["b [2, 3, 4]"]);
        let none = HashMap::new();
        assert!(matches!(ring.admit(&entry("a", 0, "x"), &none), Admission::New));
        assert!(matches!(ring.admit(&entry("b", 3, "x"), &none), Admission::OutOfOrder));
        assert!(matches!(ring.admit(&entry("b", 4, "x"), &none), Admission::Known));
        assert!(matches!(ring.admit(&entry("b", 4, "y"), &none), Admission::New));
        let long = "é".repeat(121);
        assert!(matches!(ring.admit(&entry("c", 1, &long), &none), Admission::TooLong));
        ring.resize(1);
        assert_eq!(all(&ring), ["b [4]"]);
        let bytes = ring.encode();
        let series = "\u{8}__name__\u{1}b";
        let own = "\u{8}trace_id\u{1}x";
        let spelled = [&[0, 1, 11][..], series.as_bytes(), &[11], own.as_bytes(), &[8]].concat();
        assert_eq!(bytes, [&spelled[..], &4_f64.to_le_bytes()].concat(), "docs/format/wal.md");
        let mut again = Ring::decode(&mut Reader::new(&bytes)).unwrap();
        again.resize(1);
        assert_eq!(all(&again), all(&ring));
        for end in 0..bytes.len() {
            assert!(Ring::decode(&mut Reader::new(&bytes[..end])).is_err(), "{end}");
        }
    }
}
