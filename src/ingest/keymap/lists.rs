//! List elements as events: one sample for each mapped number of each pushed element.

use std::collections::{HashMap, HashSet};

use ringwell_storage::append::Duplicates;
use ringwell_storage::keyspace::{Bytes, Derived, DerivedSample, Keyspace, Mark, Strings};
use ringwell_storage::model::Labels;

use super::element::Element;
use super::rules::{Field, Plan};
use super::runs::Runs;
use super::series::{Owners, labels, selector};
use super::{Counters, Options};

/// What is known of list keys, so that a further push builds no labels.
#[derive(Debug, Default)]
pub(super) struct Lists {
    keys: HashMap<Bytes, ListKey>,
    /// Series remembered for all of them.
    series: usize,
}

#[derive(Debug)]
struct ListKey {
    name: Bytes,
    plan: Plan,
    /// Series by member, run and label; `None` for one that another key feeds.
    series: HashMap<String, Option<Labels>>,
}

/// Where what is found goes.
pub(super) struct Sink<'a> {
    pub(super) owners: &'a mut Owners,
    pub(super) counters: &'a Counters,
    pub(super) options: &'a Options,
    pub(super) now: i64,
    pub(super) out: &'a mut Derived,
    /// Series that came up for the first time, as selectors.
    pub(super) new: Vec<String>,
    /// Keys that this command deleted, though the keyspace still shows them.
    pub(super) gone: HashSet<Bytes>,
}

impl Lists {
    /// Takes pushed elements, the first one first.
    pub(super) fn push(
        &mut self,
        keyspace: &Keyspace,
        key: &[u8],
        elements: Strings<'_>,
        sink: &mut Sink<'_>,
    ) {
        if self.series >= sink.options.max_list_series {
            self.forget(sink.owners);
        }
        if !self.keys.contains_key(key) && !self.learn(key, sink) {
            return;
        }
        let Some(list) = self.keys.get_mut(key) else { return };
        let known = list.series.len();
        let before = Runs::decode(keyspace.mark(0, key));
        let mut runs = before;
        let mut scratch = String::new();
        for text in elements {
            match Element::read(text, &list.plan) {
                Some(element) if !element.numbers.is_empty() => {
                    list.element(&element, &mut runs, &mut scratch, sink);
                }
                _ => sink.counters.unparsed.add(1),
            }
        }
        self.series += list.series.len() - known;
        if !runs.same(before) {
            sink.out.marks.push(Mark { db: 0, key: key.into(), state: runs.encode() });
        }
    }

    /// Makes a plan for a key that is new here; false if it gives no series.
    fn learn(&mut self, key: &[u8], sink: &mut Sink<'_>) -> bool {
        let Some(plan) = sink.options.rules.plan(key) else { return false };
        if self.keys.len() >= sink.options.max_list_keys {
            self.forget(sink.owners);
        }
        let name = Bytes::from(key);
        self.keys.insert(Bytes::clone(&name), ListKey { name, plan, series: HashMap::new() });
        true
    }

    /// Forgets all lists; they are learned again when they are pushed to.
    fn forget(&mut self, owners: &mut Owners) {
        self.series = 0;
        for (_, list) in self.keys.drain() {
            list.series.values().flatten().for_each(|labels| owners.release(labels));
        }
    }
}

impl ListKey {
    fn element(
        &mut self,
        element: &Element<'_>,
        runs: &mut Runs,
        scratch: &mut String,
        sink: &mut Sink<'_>,
    ) {
        let t = moment(element, sink);
        if let Some(step) = element.step.filter(|_| element.run.is_none()) {
            runs.step(step);
        }
        let numbered = element.step.is_some() || self.plan.is_training();
        let run = match &element.run {
            Some(run) => Some(run.clone()),
            None => numbered.then(|| runs.number().to_string()),
        };
        for (member, value) in &element.numbers {
            self.sample(member, element, run.as_deref(), (t, *value), scratch, sink);
        }
        if let Some(step) = element.step {
            self.sample("step", element, run.as_deref(), (t, step), scratch, sink);
        }
    }

    fn sample(
        &mut self,
        member: &str,
        element: &Element<'_>,
        run: Option<&str>,
        (t, value): (i64, f64),
        scratch: &mut String,
        sink: &mut Sink<'_>,
    ) {
        scratch.clear();
        for part in [member, "\0", run.unwrap_or(""), "\0", element.label.as_deref().unwrap_or("")]
        {
            scratch.push_str(part);
        }
        let known = match self.series.get(scratch.as_str()) {
            Some(known) => known,
            None => {
                let labels = self.name_series(member, element, run, sink);
                self.series.entry(scratch.clone()).or_insert(labels)
            }
        };
        match known {
            None => sink.counters.contested.add(1),
            Some(labels) => sink.out.samples.push(DerivedSample {
                labels: labels.clone(),
                lookback: Some(self.plan.list_lookback()),
                t,
                value,
                duplicates: Duplicates::NextFree,
            }),
        }
    }

    /// The series of a member; `None` if another key feeds it or its labels are no label set.
    fn name_series(
        &self,
        member: &str,
        element: &Element<'_>,
        run: Option<&str>,
        sink: &mut Sink<'_>,
    ) -> Option<Labels> {
        let name = match self.plan.field(member) {
            Some(Field::Number(name)) => name.clone(),
            Some(Field::Nothing) => return None,
            _ => self.plan.appended(member),
        };
        let mut more: Vec<(&str, &str)> = run.map(|run| ("run", run)).into_iter().collect();
        let label = self.plan.rule.as_ref().and_then(|rule| rule.label.as_ref());
        if let (Some((_, label)), Some(value)) = (label, &element.label) {
            more.push((label, value));
        }
        let labels = labels(&self.plan, &name, &more)?;
        if !sink.owners.claim(&labels, &self.name) {
            return None;
        }
        sink.new.push(selector(&labels));
        Some(labels)
    }
}

/// When an element happened: as it says, unless it says nothing, nonsense, or the far future.
fn moment(element: &Element<'_>, sink: &Sink<'_>) -> i64 {
    if element.time_unread {
        sink.counters.unread_times.add(1);
    }
    match element.time {
        Some(t) if t > sink.now.saturating_add(sink.options.max_future) => {
            sink.counters.future.add(1);
            sink.now
        }
        Some(t) => t,
        None => sink.now,
    }
}
