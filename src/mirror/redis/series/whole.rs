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
            if let Part::Member { labels, member, time } = part
                && v.is_finite()
                && time.tells(t)
            {
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
            [newer, older] => newer.t.saturating_sub(older.t) <= ttl,
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

#[cfg(test)]
mod tests {
    use ringwell_storage::append::{Batch, Duplicates, SeriesRef, SeriesSamples};
    use ringwell_storage::disk::MemDisk;
    use ringwell_storage::model::{Labels, Matcher, STALE_NAN, Sample, Value};
    use ringwell_storage::store::Options;

    use super::super::rule::{Rule, Written};
    use super::*;
    use crate::ingest::keymap::Keymap;
    use crate::ingest::recent::RecentKeys;

    const DAY: i64 = 86_400_000;

    fn store() -> Store {
        let options = Options { max_future: None, ..Options::default() };
        Store::open(Arc::new(MemDisk::default()), options, 0).unwrap()
    }

    fn add(store: &Store, labels: &[(&str, &str)], samples: &[(i64, f64)]) {
        let one = |(t, v): &(i64, f64)| Sample { t: *t, start: 0, value: Value::Float(*v) };
        let labels = Labels::from_pairs(labels.iter().copied()).unwrap();
        let samples = samples.iter().map(one).collect();
        let series = vec![SeriesSamples { series: SeriesRef::Labels(labels), samples }];
        let batch = Batch { series, duplicates: Duplicates::Reject };
        assert_eq!(store.append(&batch, 0).unwrap().rejected.len(), 0);
    }

    fn rule(form: &str, more: impl FnOnce(&mut Written)) -> Where {
        let mut written = Written {
            selector: "x".to_owned(),
            matchers: vec![Matcher::equal("job", "j")],
            form: form.to_owned(),
            key: Some("k".to_owned()),
            ..Written::default()
        };
        more(&mut written);
        let rules = [Rule::new(written).unwrap()].into();
        Where { rules, keymap: Arc::new(Keymap::new(Arc::new(RecentKeys::default()))) }
    }

    /// However far apart samples are, the newest are found, back to a gap that the list did not outlive.
    #[test]
    fn a_list_is_the_newest_elements_back_to_a_gap() {
        let now = crate::clock::now_ms();
        let mut random = 1_u64;
        let mut below = |n: i64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
            (random >> 33) as i64 % n
        };
        for round in 0..60 {
            let store = store();
            let spread = [10_000, 3_600_000, DAY, 90 * DAY][round % 4];
            let mut wanted: BTreeMap<i64, Element> = BTreeMap::new();
            for series in 0..3_i64 {
                let mut samples: Vec<(i64, f64)> =
                    (0..below(200)).map(|_| (now - below(spread), below(1000) as f64)).collect();
                samples.sort_by_key(|(t, _)| *t);
                samples.dedup_by_key(|(t, _)| *t);
                for (t, v) in &samples {
                    let element = wanted.entry(*t).or_insert_with(|| Element {
                        t: *t,
                        labels: "".into(),
                        fields: Vec::new(),
                    });
                    put(&mut element.fields, &format!("m{}", series % 2).into(), *v);
                }
                let (name, number) = (format!("m{}", series % 2), series.to_string());
                let labels = [("__name__", name.as_str()), ("job", "j"), ("n", &number)];
                add(&store, &labels, &samples);
                add(&store, &labels, &[(now + 1, f64::from_bits(STALE_NAN))]);
            }
            let max_len = 1 + usize::try_from(below(300)).unwrap();
            let ttl = (round % 3 == 0).then_some(1000 + spread / 30);
            let to = rule("list", |written| {
                written.field = Some("{__name__}".to_owned());
                (written.max_len, written.ttl) = (Some(max_len), ttl);
            });
            let mut newest: Vec<Element> = wanted.into_values().rev().take(max_len).collect();
            let gap = newest.windows(2).position(|w| ttl.is_some_and(|ttl| w[0].t - w[1].t > ttl));
            newest.truncate(gap.map_or(newest.len(), |at| at + 1));
            let found = Wholes::find(&store, &to).unwrap().read(b"k").unwrap();
            match found.map(|whole| whole.value) {
                Some(Contents::List(found)) => assert_eq!(found, newest, "round {round}"),
                Some(Contents::Hash(_)) => panic!("a hash"),
                None => assert!(newest.is_empty(), "round {round}"),
            }
        }
    }

    #[test]
    fn a_hash_has_the_newest_of_each_field_that_lives() {
        let now = crate::clock::now_ms();
        let store = store();
        let series = |name: &str, samples: &[(i64, f64)]| {
            add(&store, &[("__name__", name), ("job", "j")], samples);
        };
        series("a", &[(now - 40 * DAY, 1.0), (now - 1000, 2.5)]);
        series("old", &[(now - 40 * DAY, 1.0)]);
        series("stale", &[(now - 3000, 1.0), (now, f64::from_bits(STALE_NAN))]);
        series("none", &[(now - 3000, 1.0), (now, f64::NAN)]);
        let fields = |to: &Where| -> Vec<(String, i64, f64)> {
            let whole = Wholes::find(&store, to).unwrap().read(b"k").unwrap().unwrap();
            let Contents::Hash(fields) = whole.value else { panic!("a list") };
            let named = fields.into_iter();
            let text = |name: Arc<[u8]>| String::from_utf8(name.to_vec()).unwrap();
            let mut fields: Vec<_> = named.map(|(name, t, v)| (text(name), t, v)).collect();
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            fields
        };
        let (a, old) = (("a".to_owned(), now - 1000, 2.5), ("old".to_owned(), now - 40 * DAY, 1.0));
        assert_eq!(fields(&rule("hash", |_| {})), [a.clone(), old]);
        assert_eq!(fields(&rule("hash", |written| written.ttl = Some(DAY))), [a]);
    }
}
