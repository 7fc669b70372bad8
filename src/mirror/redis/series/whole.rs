//! Keys that series make, as the store has their samples: where the log does not tell, or not all.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ringwell_storage::model::{SampleBuf, TimeRange};
use ringwell_storage::read::{Queryable as _, ReadError, Series};
use ringwell_storage::store::Store;

use super::list::put;
use super::route::Where;
use super::rule::{Part, Place};
use super::spell::Element;

/// The first stretch of time that is read of a list, and how much longer each next one is.
const STRETCH: (i64, i64) = (600_000, 4);
/// How far back the newest sample is looked for, one after the other.
const LOOKS: [i64; 4] = [3_600_000, 86_400_000, 30 * 86_400_000, i64::MAX];
/// Parts of a key by the series that feed them.
type Parts = Vec<(Arc<dyn Series>, Place)>;

/// The keys that the store has series for.
pub(super) struct Wholes(BTreeMap<Arc<[u8]>, Parts>);

/// A key as the store has it.
pub(super) struct Whole {
    pub(super) place: Place,
    pub(super) value: Contents,
}

pub(super) enum Contents {
    /// The newest first.
    List(Vec<Element>),
    /// Fields with when their value was.
    Hash(Vec<(Arc<[u8]>, i64, f64)>),
}

impl Wholes {
    /// Keys that are made of what the store has now. A key is a list or a hash, as the first series says.
    pub(super) fn find(store: &Store, to: &Where) -> Result<Wholes, ReadError> {
        let snapshot = store.snapshot();
        let Some(all) = TimeRange::new(i64::MIN, i64::MAX) else {
            return Ok(Wholes(BTreeMap::new()));
        };
        let mut keys: BTreeMap<Arc<[u8]>, Parts> = BTreeMap::new();
        for rule in to.rules.iter() {
            for series in snapshot.select(&rule.matchers, all)? {
                let Some(place) = rule.place(series.labels()) else { continue };
                if series.lookback().is_some() || to.keymap.feeds(series.labels()) {
                    continue;
                }
                let parts = keys.entry(Arc::clone(&place.key)).or_default();
                if parts.first().is_none_or(|(_, first)| first.is_list() == place.is_list()) {
                    parts.push((series, place));
                }
            }
        }
        Ok(Wholes(keys))
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Arc<[u8]>> {
        self.0.keys()
    }

    pub(super) fn has(&self, key: &[u8]) -> bool {
        self.0.contains_key(key)
    }

    /// A key; `None` if there is no sample for it.
    pub(super) fn read(&self, key: &[u8]) -> Result<Option<Whole>, ReadError> {
        let Some(parts) = self.0.get(key) else { return Ok(None) };
        let Some((_, place)) = parts.first() else { return Ok(None) };
        let value = if place.is_list() { list(parts, place)? } else { hash(parts, place)? };
        let none = match &value {
            Contents::List(elements) => elements.is_empty(),
            Contents::Hash(fields) => fields.is_empty(),
        };
        Ok((!none).then(|| Whole { place: place.clone(), value }))
    }
}

/// Reads back in time until there is enough.
fn list(parts: &Parts, place: &Place) -> Result<Contents, ReadError> {
    let mut elements: BTreeMap<(i64, Arc<str>), Element> = BTreeMap::new();
    let (mut end, mut length) = (newest(parts)?, STRETCH.0);
    while let Some(last) = end {
        let start = last.saturating_sub(length - 1);
        each(parts, start, last, &mut |part, t, v| {
            if let (Part::Member { labels, member, .. }, true) = (part, v.is_finite()) {
                let fields = &mut elements
                    .entry((t, Arc::clone(labels)))
                    .or_insert_with(|| Element {
                        t,
                        labels: Arc::clone(labels),
                        fields: Vec::new(),
                    })
                    .fields;
                put(fields, member, v);
            }
        })?;
        if elements.len() >= place.max_len {
            break;
        }
        let oldest = elements.keys().next().map(|(t, _)| *t);
        let joins = |t: &i64| match (place.ttl, oldest) {
            (Some(ttl), Some(oldest)) => oldest.saturating_sub(*t) <= ttl,
            _ => true,
        };
        end = before(parts, start)?.filter(joins);
        length = length.saturating_mul(STRETCH.1);
    }
    let mut newest: Vec<Element> = elements.into_values().rev().take(place.max_len).collect();
    // Where there was nothing for as long as the key lives it was gone, and began anew.
    if let Some(ttl) = place.ttl {
        let lived = |pair: &[Element]| match pair {
            [newer, older] => newer.t - older.t <= ttl,
            _ => true,
        };
        if let Some(at) = newest.windows(2).position(|pair| !lived(pair)) {
            newest.truncate(at + 1);
        }
    }
    Ok(Contents::List(newest))
}

fn hash(parts: &Parts, place: &Place) -> Result<Contents, ReadError> {
    let mut fields: HashMap<Arc<[u8]>, (i64, Option<f64>)> = HashMap::new();
    for part in parts {
        let one = std::slice::from_ref(part);
        let Some(last) = newest(one)? else { continue };
        each(one, last, last, &mut |part, t, v| {
            let Part::Field { field, scale } = part else { return };
            let value = v.is_finite().then_some(v * scale);
            let known = fields.entry(Arc::clone(field)).or_insert((t, value));
            let newer = t > known.0 || t == known.0 && value > known.1;
            *known = if newer { (t, value) } else { *known };
        })?;
    }
    let newest = fields.values().filter(|(_, v)| v.is_some()).map(|(t, _)| *t).max();
    let old = newest.unwrap_or(0).saturating_sub(place.ttl.unwrap_or(i64::MAX));
    let live = fields.into_iter().filter_map(|(name, (t, v))| Some((name, t, v?)));
    Ok(Contents::Hash(live.filter(|(_, t, _)| *t >= old).collect()))
}

/// When the newest sample of any of them is.
fn newest(parts: &[(Arc<dyn Series>, Place)]) -> Result<Option<i64>, ReadError> {
    before(parts, i64::MAX)
}

/// When the newest sample is that is older than this. It is looked for near by first.
fn before(parts: &[(Arc<dyn Series>, Place)], t: i64) -> Result<Option<i64>, ReadError> {
    let near = t.min(crate::clock::now_ms());
    for back in LOOKS {
        let mut newest = None;
        let start = near.saturating_sub(back);
        each_run(parts, start, t.saturating_sub(1), &mut |_, run| {
            newest = newest.max(run.t.last().copied());
        })?;
        if newest.is_some() {
            return Ok(newest);
        }
    }
    Ok(None)
}

fn each(
    parts: &[(Arc<dyn Series>, Place)],
    start: i64,
    end: i64,
    take: &mut dyn FnMut(&Part, i64, f64),
) -> Result<(), ReadError> {
    each_run(parts, start, end, &mut |place, run| {
        for (at, (t, v)) in run.t.iter().zip(&run.v).enumerate() {
            let histogram = run.h.get(at).is_some_and(Option::is_some);
            take(&place.part, *t, if histogram { f64::NAN } else { *v });
        }
    })
}

fn each_run(
    parts: &[(Arc<dyn Series>, Place)],
    start: i64,
    end: i64,
    take: &mut dyn FnMut(&Place, &SampleBuf),
) -> Result<(), ReadError> {
    let Some(range) = TimeRange::new(start, end) else { return Ok(()) };
    for (series, place) in parts {
        let mut cursor = series.cursor(range)?;
        let mut run = SampleBuf::default();
        loop {
            run.clear();
            let more = cursor.next(&mut run)?;
            take(place, &run);
            if !more {
                break;
            }
        }
    }
    Ok(())
}
